// SPDX-License-Identifier: Apache-2.0
/* Walking the audit chain back from its newest record. See audit.h.
 *
 * Pages come newest first; a record is checked when the one before it is at hand. Where retention has cut, the newest record that says so stands in
 * for what is gone; of what is older than the cut but still there (a portion not taken away yet) only the neighbours are checked. */
#include "center/auth/audit.h"
#include <string.h>

#define PAGE 1000

typedef struct {
  const AuditExpected *expected;
  AuditVerdict *verdict;
  AuditCut cut;        /* id 0: nothing was taken away */
  WsAuditRecord *next; /* newer than the one at hand, not yet checked */
  bool met_noted, met_last;
} Walk;

void audit_verdict_clear(AuditVerdict *verdict)
{
  g_clear_pointer(&verdict->chain, g_free);
}

#define CUT_FORM "through %s chain %s"

char *audit_cut_text(WsId id, const char *chain)
{
  char text[WS_ID_TEXT_MAX];
  return g_strdup_printf(CUT_FORM, ws_id_format(ws_type_audit_record.prefix, id, text), chain);
}

bool audit_cut_of(const WsAuditRecord *record, AuditCut *cut)
{
  if (g_strcmp0(record->operation, AUDIT_CUT_OPERATION) != 0 || record->result != WS_AUDIT_RECORD_RESULT_DONE || !record->detail)
    return false;
  g_auto(GStrv) words = g_strsplit(record->detail, " ", 5);
  if (g_strv_length(words) != 4 || !ws_id_parse(ws_type_audit_record.prefix, words[1], &cut->id))
    return false;
  cut->chain = g_strdup(words[3]);
  return true;
}

static bool broken(WsId id, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  return ws_fail(error, WS_ERROR_AUDIT_BROKEN, "object", ws_id_format(ws_type_audit_record.prefix, id, text), NULL);
}

/* The chain that `next` must build on, with `before` (NULL: none) the record before it. NULL: that cannot be known any more. */
static const char *base_of(const Walk *walk, const WsAuditRecord *before)
{
  WsId cut = walk->cut.id;
  if (before && (before->id > cut || walk->next->id <= cut))
    return before->chain ? before->chain : "";
  if (!cut)
    return "";
  return walk->next->id > cut ? walk->cut.chain : NULL;
}

static bool check_next(Walk *walk, const WsAuditRecord *before, GError **error)
{
  const char *base = base_of(walk, before);
  g_autofree char *expected = base ? audit_chain_of(base, walk->next) : NULL;
  if (expected && g_strcmp0(expected, walk->next->chain) != 0)
    return broken(walk->next->id, error);
  walk->verdict->n_records++;
  return true;
}

static void look_at(Walk *walk, const WsAuditRecord *record)
{
  AuditVerdict *verdict = walk->verdict;
  char id[WS_ID_TEXT_MAX];
  ws_id_format(ws_type_audit_record.prefix, record->id, id);
  memcpy(verdict->oldest, id, sizeof id);
  if (!*verdict->newest) {
    memcpy(verdict->newest, id, sizeof id);
    verdict->chain = g_strdup(record->chain);
  }
  if (!walk->cut.id && audit_cut_of(record, &walk->cut))
    ws_id_format(ws_type_audit_record.prefix, walk->cut.id, verdict->expired);
  walk->met_noted |= g_strcmp0(id, walk->expected->record) == 0 && g_strcmp0(record->chain, walk->expected->chain) == 0;
  walk->met_last |= g_strcmp0(record->chain, walk->expected->last) == 0;
}

/* What must be somewhere in the chain. A record noted before retention took it away can be told by the cut alone. */
static bool check_met(const Walk *walk, GError **error)
{
  const AuditExpected *expected = walk->expected;
  WsId noted = 0;
  if (expected->last && *expected->last && !walk->met_last)
    return ws_fail(error, WS_ERROR_AUDIT_BROKEN, "object", *walk->verdict->newest ? walk->verdict->newest : "audit-1", "cause",
                   "the newest records are gone", NULL);
  if (!expected->record || walk->met_noted)
    return true;
  if (ws_id_parse(ws_type_audit_record.prefix, expected->record, &noted) && noted <= walk->cut.id &&
      (noted != walk->cut.id || g_strcmp0(walk->cut.chain, expected->chain) == 0))
    return true;
  return ws_fail(error, WS_ERROR_AUDIT_BROKEN, "object", expected->record, NULL);
}

/* One page; *before goes on to the next, 0 after the last. */
static bool walk_page(Walk *walk, Store *store, WsId *before, GError **error)
{
  g_autoptr(GPtrArray) page = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  if (!store_query_history(store, &ws_type_audit_record, NULL, 0, *before, PAGE, page, error))
    return false;
  for (guint i = 0; i < page->len; i++) {
    WsAuditRecord *record = page->pdata[i];
    look_at(walk, record);
    if (walk->next && !check_next(walk, record, error))
      return false;
    g_clear_pointer(&walk->next, ws_audit_record_unref);
    walk->next = (WsAuditRecord *)ws_resource_ref(record);
    *before = record->id;
  }
  if (page->len == PAGE)
    return true;
  *before = 0;
  return !walk->next || check_next(walk, NULL, error);
}

bool audit_verify(Store *store, const AuditExpected *expected, AuditVerdict *verdict, GError **error)
{
  Walk walk = {.expected = expected, .verdict = verdict};
  WsId before = 0;
  bool ok;
  do
    ok = walk_page(&walk, store, &before, error);
  while (ok && before);
  ok = ok && check_met(&walk, error);
  g_clear_pointer(&walk.next, ws_audit_record_unref);
  g_free(walk.cut.chain);
  return ok;
}
