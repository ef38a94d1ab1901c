// SPDX-License-Identifier: Apache-2.0
/* The audit chain as it grows. See audit.h. */
#include "center/auth/audit.h"
#include "base/hash.h"
#include "center/api/call.h"
#include "center/verbs.h"

#define CUTTING_US (20 * 1000) /* how often a walk asks whether retention is done */

char *audit_chain_of(const char *previous, const WsAuditRecord *r)
{
  char time[32];
  g_autofree char *text = g_strjoin("\x1f", previous, ws_time_format(r->time, time), r->user ? r->user : "",
                                    r->address ? r->address : "", r->operation ? r->operation : "",
                                    r->object ? r->object : "", r->object_name ? r->object_name : "",
                                    r->kind ? r->kind : "", r->error ? r->error : "", r->task ? r->task : "",
                                    r->detail ? r->detail : "", r->request_id ? r->request_id : "", NULL);
  g_autofree char *count = r->count == WS_INT_UNSET ? g_strdup("") : g_strdup_printf("\x1f%" G_GINT64_FORMAT, r->count);
  g_autofree char *full = g_strdup_printf("%s\x1f%d\x1f%d%s", text, r->risk, r->result, count);
  return ws_sha256_hex(full, strlen(full));
}

static void set(char **to, const char *text)
{
  g_free(*to);
  *to = g_strdup(text);
}

static void seal(void *arg, void *log_arg)
{
  AuditLog *log = log_arg;
  WsAuditRecord *record = arg;
  g_free(record->chain);
  record->chain = audit_chain_of(log->head, record);
  set(&log->head, record->chain);
}

static void durable(const void *record, void *log)
{
  set(&((AuditLog *)log)->durable, ((const WsAuditRecord *)record)->chain);
}

static void fell(void *arg)
{
  AuditLog *log = arg;
  set(&log->head, log->durable);
}

AuditLog *audit_new(Center *center, GError **error)
{
  static const InvSeal chain = {seal, durable, fell};
  g_autoptr(GPtrArray) last = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  if (!store_query_history(center->store, &ws_type_audit_record, NULL, 0, 0, 1, last, error))
    return NULL;
  AuditLog *log = g_new0(AuditLog, 1);
  log->center = center;
  log->durable = g_strdup(last->len ? ((WsAuditRecord *)last->pdata[0])->chain : "");
  log->head = g_strdup(log->durable);
  inv_set_seal(center->inventory, &ws_type_audit_record, &chain, log);
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
  inv_append_history(txn, record);
}

void audit_begun(InvTxn *txn, WsId task, void *arg)
{
  const AuditBegun *begun = arg;
  char id[WS_ID_TEXT_MAX];
  WsAuditRecord *record = ws_audit_record_new();
  record->user = g_strdup(begun->user);
  record->operation = g_strdup(begun->operation);
  record->object = g_strdup(ws_id_format(begun->object.type->prefix, begun->object.id, id));
  record->object_name = g_strdup(begun->name);
  record->kind = g_strdup("resource_operation");
  record->risk = begun->risk;
  record->result = WS_AUDIT_RECORD_RESULT_ACCEPTED;
  record->task = g_strdup(ws_id_format(ws_type_task.prefix, task, id));
  record->request_id = g_strdup(begun->request_id);
  audit_append(begun->log, txn, record);
}

/* ---- POST /audit-records/verify ---- */

typedef struct {
  Store *store;
  char *record, *chain, *last;
  AuditVerdict verdict;
} Walk;

static void walk_free(void *arg)
{
  Walk *walk = arg;
  g_free(walk->record);
  g_free(walk->chain);
  g_free(walk->last);
  audit_verdict_clear(&walk->verdict);
  g_free(walk);
}

static bool walk_on_worker(void *arg, GError **error)
{
  Walk *walk = arg;
  AuditExpected expected = {walk->record, walk->chain, walk->last};
  return audit_verify(walk->store, &expected, &walk->verdict, error);
}

static char *text_or_null(char *text)
{
  return *text ? text : NULL;
}

static GString *answer_of(AuditVerdict *verdict)
{
  WsAuditRecordVerifyResult result = {
      .records = verdict->n_records,
      .oldest = text_or_null(verdict->oldest),
      .newest = text_or_null(verdict->newest),
      .expired = text_or_null(verdict->expired),
      .chain = verdict->chain,
  };
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(&ws_type_audit_record_verify_result, &result, WS_WRITE_CLIENT, NULL, &w);
  return body;
}

bool audit_verify_log(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  AuditLog *log = center->audit;
  const WsAuditRecordVerify *body = api_call_body(call);
  if (!body->record != !body->chain)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", body->record ? "chain" : "record", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"verify", NULL});
  while (log->cutting)
    ws_co_sleep(CUTTING_US);
  Walk *walk = g_new0(Walk, 1);
  *walk = (Walk){center->store, g_strdup(body->record), g_strdup(body->chain), g_strdup(log->durable), {0}};
  GError *failed = NULL;
  log->readers++;
  bool ok = ws_co_blocking(center->workers, walk_on_worker, walk, walk_free, 0, &failed);
  log->readers--;
  if (!ok) {
    if (ws_error_code(failed) == WS_ERROR_AUDIT_BROKEN)
      center_alarm_open(center, CENTER_CRITICAL, NULL, 0, "audit_broken");
    g_propagate_error(error, failed);
    return false;
  }
  center_alarm_close(center, NULL, 0, "audit_broken");
  GString *answer = answer_of(&walk->verdict);
  walk_free(walk);
  return api_call_answer_json(call, 200, answer);
}
