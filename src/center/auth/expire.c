// SPDX-License-Identifier: Apache-2.0
/* Retention of the audit log: whole beginnings of the chain go, and the chain says so. See audit.h.
 *
 * The cut is the newest record that is old enough. A record that names it and its chain is written in the very transaction that takes the first
 * portion away; what is left of it goes with the next portions. The newest record of all always stays, so the chain goes on from it. */
#include "base/log.h"
#include "center/auth/audit.h"

#define PORTION 500
#define PORTIONS_MAX 20 /* at a time */
#define PAUSE_US (3600 * (gint64)G_USEC_PER_SEC)

typedef struct {
  Store *store;
  gint64 limit_us;
  WsId end;         /* ids are below it */
  AuditCut cut;     /* id 0: nothing is old enough */
  bool said;        /* a record of an earlier time covers it */
  GArray *portion;  /* WsId */
} Search;

static void search_free(void *arg)
{
  Search *search = arg;
  g_free(search->cut.chain);
  g_array_free(search->portion, TRUE);
  g_free(search);
}

static GPtrArray *read_below(Store *store, const StoreWhere *where, guint n_where, WsId before, guint limit, GError **error)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  return store_query_history(store, &ws_type_audit_record, where, n_where, before, limit, rows, error) ? g_steal_pointer(&rows) : NULL;
}

/* Halving over ids, which are in the order of time but for clocks set back; some forty looks at one row. */
static bool find_cut(Search *search, GError **error)
{
  WsId low = 1, high = search->end; /* everything below low is old or absent */
  while (low < high) {
    WsId middle = low + (high - low) / 2;
    g_autoptr(GPtrArray) row = read_below(search->store, NULL, 0, middle + 1, 1, error);
    if (!row)
      return false;
    const WsAuditRecord *record = row->len ? row->pdata[0] : NULL;
    if (record && record->time >= search->limit_us) {
      high = record->id;
      continue;
    }
    if (record) {
      g_free(search->cut.chain);
      search->cut = (AuditCut){record->id, g_strdup(record->chain)};
    }
    low = middle + 1;
  }
  return true;
}

static bool was_said(Search *search, GError **error)
{
  StoreWhere where = {"operation", AUDIT_CUT_OPERATION};
  AuditCut earlier = {0};
  g_autoptr(GPtrArray) row = read_below(search->store, &where, 1, 0, 1, error);
  if (!row)
    return false;
  search->said = row->len && audit_cut_of(row->pdata[0], &earlier) && earlier.id >= search->cut.id;
  g_free(earlier.chain);
  return true;
}

static bool search_on_worker(void *arg, GError **error)
{
  Search *search = arg;
  g_autoptr(GPtrArray) newest = read_below(search->store, NULL, 0, 0, 1, error);
  if (!newest)
    return false;
  if (!newest->len)
    return true;
  search->end = ((WsAuditRecord *)newest->pdata[0])->id;
  if (!find_cut(search, error))
    return false;
  if (!search->cut.id)
    return true;
  g_autoptr(GPtrArray) rows = was_said(search, error) ? read_below(search->store, NULL, 0, search->cut.id + 1, PORTION, error) : NULL;
  for (guint i = 0; rows && i < rows->len; i++)
    g_array_append_val(search->portion, ((WsAuditRecord *)rows->pdata[i])->id);
  return rows != NULL;
}

static WsAuditRecord *cut_record(const AuditCut *cut)
{
  WsAuditRecord *record = ws_audit_record_new();
  record->user = g_strdup("system");
  record->operation = g_strdup(AUDIT_CUT_OPERATION);
  record->kind = g_strdup("retention");
  record->risk = WS_AUDIT_RECORD_RISK_LOW;
  record->result = WS_AUDIT_RECORD_RESULT_DONE;
  record->detail = audit_cut_text(cut->id, cut->chain);
  return record;
}

/* False: nothing is left to do, or it did not work. */
static bool take_portion(Center *center, gint64 limit_us)
{
  g_autoptr(GError) error = NULL;
  Search *search = g_new0(Search, 1);
  *search = (Search){.store = center->store, .limit_us = limit_us, .portion = g_array_new(FALSE, FALSE, sizeof(WsId))};
  if (!ws_co_blocking(center->workers, search_on_worker, search, search_free, 0, &error)) {
    ws_log_error(WS_LOG_WARNING, "audit-not-expired", error, NULL);
    return false;
  }
  guint n = search->portion->len;
  if (n) {
    g_autoptr(InvTxn) txn = inv_begin(center->inventory);
    if (!search->said)
      audit_append(center->audit, txn, cut_record(&search->cut));
    for (guint i = 0; i < n; i++)
      inv_delete_history(txn, &ws_type_audit_record, g_array_index(search->portion, WsId, i));
    if (!inv_commit(txn, NULL, &error)) {
      ws_log_error(WS_LOG_WARNING, "audit-not-expired", error, NULL);
      n = 0;
    }
  }
  search_free(search);
  return n == PORTION;
}

void audit_expire(Center *center)
{
  AuditLog *log = center->audit;
  gint64 now = ws_clock_wall_us(center->clock);
  if (!center->config.audit_keep_days || (now < log->next_expiry_us && now > log->next_expiry_us - PAUSE_US) || log->readers)
    return;
  gint64 limit_us = now - center->config.audit_keep_days * (gint64)24 * 3600 * G_USEC_PER_SEC;
  bool more = true;
  log->cutting = true;
  for (guint i = 0; more && i < PORTIONS_MAX; i++)
    more = take_portion(center, limit_us);
  log->cutting = false;
  log->next_expiry_us = more ? 0 : now + PAUSE_US;
}
