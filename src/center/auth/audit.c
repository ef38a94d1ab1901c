// SPDX-License-Identifier: Apache-2.0
/* The audit chain. See audit.h. */
#include "center/auth/audit.h"
#include "base/hash.h"

struct AuditLog {
  Center *center;
  char *durable; /* chain of the last record known to be on disk; "" at the beginning */
  char *head;    /* chain of the last record appended */
  guint open;    /* appended, outcome not known yet */
};

static char *chain_of(const char *previous, const WsAuditRecord *r)
{
  char time[32];
  g_autofree char *text = g_strjoin("\x1f", previous, ws_time_format(r->time, time), r->user ? r->user : "",
                                    r->address ? r->address : "", r->operation ? r->operation : "",
                                    r->object ? r->object : "", r->object_name ? r->object_name : "",
                                    r->kind ? r->kind : "", r->error ? r->error : "", r->task ? r->task : "",
                                    r->detail ? r->detail : "", r->request_id ? r->request_id : "", NULL);
  g_autofree char *full = g_strdup_printf("%s\x1f%d\x1f%d", text, r->risk, r->result);
  return ws_sha256_hex(full, strlen(full));
}

static char *last_chain(Store *store, GError **error)
{
  g_autoptr(GPtrArray) last = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  if (!store_query_history(store, &ws_type_audit_record, NULL, 0, 0, 1, last, error))
    return NULL;
  return g_strdup(last->len ? ((WsAuditRecord *)last->pdata[0])->chain : "");
}

AuditLog *audit_new(Center *center, GError **error)
{
  g_autofree char *last = last_chain(center->store, error);
  if (!last)
    return NULL;
  AuditLog *log = g_new0(AuditLog, 1);
  log->center = center;
  log->head = g_strdup(last);
  log->durable = g_steal_pointer(&last);
  return log;
}

void audit_free(AuditLog *log)
{
  if (!log)
    return;
  g_free(log->head);
  g_free(log->durable);
  g_free(log);
}

void audit_append(AuditLog *log, InvTxn *txn, WsAuditRecord *record)
{
  record->time = ws_clock_wall_us(log->center->clock);
  char *chain = chain_of(log->head, record);
  g_free(record->chain);
  record->chain = g_strdup(chain);
  g_free(log->head);
  log->head = chain;
  log->open++;
  inv_append_history(txn, record);
}

void audit_done(AuditLog *log)
{
  g_assert(log->open > 0);
  if (--log->open == 0) {
    g_free(log->durable);
    log->durable = g_strdup(log->head);
  }
}

/* A failed group takes all that was queued behind it along, so everything open is lost together. What became durable
 * since `durable` was noted is read back, which may block for a moment: the disk is full, nothing else goes on. */
void audit_failed(AuditLog *log)
{
  g_assert(log->open > 0);
  if (--log->open > 0)
    return;
  g_autofree char *last = last_chain(log->center->store, NULL);
  g_free(log->head);
  log->head = g_strdup(last ? last : log->durable);
  g_free(log->durable);
  log->durable = g_strdup(log->head);
}

#define VERIFY_PAGE 1000

bool audit_verify(Center *center, guint64 *n_records, GError **error)
{
  /* Pages come newest first; a record is checked when its predecessor is at hand. */
  g_autoptr(WsAuditRecord) next = NULL;
  WsId before = 0;
  *n_records = 0;
  for (;;) {
    g_autoptr(GPtrArray) page = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
    if (!store_query_history(center->store, &ws_type_audit_record, NULL, 0, before, VERIFY_PAGE, page, error))
      return false;
    for (guint i = 0; i <= page->len; i++) {
      WsAuditRecord *record = i < page->len ? page->pdata[i] : NULL;
      if (!record && page->len == VERIFY_PAGE)
        break;
      if (next) {
        g_autofree char *expected = chain_of(record ? record->chain : "", next);
        char id[WS_ID_TEXT_MAX];
        if (g_strcmp0(expected, next->chain) != 0)
          return ws_fail(error, WS_ERROR_CHECKSUM_MISMATCH, "object",
                         ws_id_format(ws_type_audit_record.prefix, next->id, id), NULL);
        (*n_records)++;
      }
      g_clear_pointer(&next, ws_audit_record_unref);
      if (record) {
        next = (WsAuditRecord *)ws_resource_ref(record);
        before = record->id;
      }
    }
    if (page->len < VERIFY_PAGE)
      return true;
  }
}
