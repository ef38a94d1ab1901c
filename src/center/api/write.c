// SPDX-License-Identifier: Apache-2.0
/* The writing half of the API: executes a call as a coroutine on the core loop, audits it, answers it.
 *
 * Order: refusals found on the I/O thread, Idempotency-Key, then the route's own way (generic commit, call: function, task),
 * then the audit record where the call's own transaction did not carry it, then the answer. Nothing is answered before
 * it is durable. */
#include "base/hash.h"
#include "base/plant.h"
#include "base/log.h"
#include "center/api/allowed.h"
#include "center/api/batch.h"
#include "center/api/call-private.h"
#include "center/api/idempotency.h"
#include "center/auth/audit.h"
#include "center/auth/strangers.h"
#include "center/auth/users.h"
#include "center/verbs.h"

/* ---- audit ---- */

static const char *target_name(const InvSnapshot *snap, const WsType *type, WsId id)
{
  const WsField *name = type ? ws_type_field(type, "name", 4) : NULL;
  const void *object = name && id ? inv_find(snap, type, id) : NULL;
  return object && name->kind == WS_KIND_STRING ? *(char **)ws_field_at(name, object) : NULL;
}

/* Which fields were given, by name only: values may be secret. */
static char *detail_of(ApiCall *call)
{
  GString *names = g_string_new(NULL);
  const char *text = call->patch, *key;
  gsize n = call->patch_bytes, key_bytes, raw_bytes;
  g_auto(WsJsonReader) r = {0};
  if (!text)
    return g_string_free(names, FALSE);
  ws_json_reader_init(&r, text, n);
  if (ws_json_enter_object(&r, NULL))
    while (names->len < 2048 && ws_json_next_key(&r, &key, &key_bytes, NULL)) {
      g_string_append_printf(names, "%s%.*s", names->len ? " " : "", (int)MIN(key_bytes, 64), key);
      if (!ws_json_take_raw(&r, &key, &raw_bytes, NULL))
        break;
    }
  return g_string_free(names, FALSE);
}

/* Of a batch also what is done to what: "start: vm-1 vm-2 ... of 300". Only what reads like a verb and like
 * ids: the rest may be anything. */
static char *detail_of_batch(ApiCall *call)
{
  const WsBatch *batch = call->batch;
  GString *text = g_string_new(batch->verb);
  char id[WS_ID_TEXT_MAX];
  guint i = 0;
  g_string_append_c(text, ':');
  for (; i < batch->ids.len && text->len < 2048; i++)
    g_string_append_printf(text, " %s",
                           ws_id_format(batch->ids.items[i].type->prefix, batch->ids.items[i].id, id));
  if (i < batch->ids.len)
    g_string_append_printf(text, " ... of %u", batch->ids.len);
  return g_string_free(text, FALSE);
}

static WsAuditRecord *audit_record(ApiCall *call, int result, const GError *error)
{
  WsAuditRecord *record = ws_audit_record_new();
  g_autoptr(InvSnapshot) head = inv_head(call->center->inventory);
  char id[WS_ID_TEXT_MAX];
  record->user = g_strdup(call->identity.name ? call->identity.name : "nobody");
  record->address = g_strdup(api_call_origin(call));
  record->operation = g_strdup(call->route->operation);
  if (call->object)
    record->object = g_strdup(ws_id_format(call->object_type->prefix, call->object, id));
  record->object_name = g_strdup(target_name(head, call->object_type, call->object));
  record->kind = g_strdup(call->route->audit_kind);
  record->risk = call->dry_run ? WS_AUDIT_RECORD_RISK_LOW : call->route->audit_risk;
  record->result = result;
  record->error = g_strdup(error ? ws_error_code_name(ws_error_code(error)) : NULL);
  record->task = g_strdup(call->task_text);
  g_autofree char *detail = call->batch ? detail_of_batch(call) : detail_of(call);
  record->detail = g_strconcat(call->dry_run ? "dry run: " : "", detail, NULL);
  record->request_id = g_strdup(call->request_id);
  return record;
}

bool api_call_commit(ApiCall *call, InvTxn *txn, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  audit_append(call->center->audit, txn, audit_record(call, WS_AUDIT_RECORD_RESULT_DONE, NULL));
  idempotency_note(call, txn, call->object ? ws_id_format(call->object_type->prefix, call->object, id) : NULL);
  bool done = inv_commit(txn, NULL, error);
  call->audited = done && !SIM_PLANT(audited_twice);
  return done;
}

/* Somebody without a login: what they leave in the log is bounded (auth/strangers.h). */
static bool is_stranger(const ApiCall *call)
{
  return !call->identity.user && strcmp(call->route->permission, "host-certificate") != 0;
}

/* Counts it among those that are like it and share a record. false: it is the first, which has its own. */
static bool count_with_others(ApiCall *call, const GError *error)
{
  return is_stranger(call) && !strangers_note(call->center, call->route, call->object_type, call->object, api_call_origin(call), error);
}

/* A dry run changes nothing, so it has no record; but one that is refused for a password was a try, and one
 * for which hosts mounted or wrote something was more than a look. */
static bool has_record(ApiCall *call, const GError *error)
{
  if (call->audited || (call->dry_run && !call->dry_shown.hosts_asked && !(error && is_stranger(call))))
    return false;
  return !is_stranger(call) || call->noted || !count_with_others(call, error);
}

/* The record of a call whose transaction did not carry it. A store that cannot write refuses all changes anyway; then the
 * refusal is at least logged. A stranger's is counted with those that follow, which are written once something can be. */
static void audit_alone(ApiCall *call, const GError *error)
{
  Center *center = call->center;
  if (!has_record(call, error) || (SIM_PLANT(refusal_not_audited) && error))
    return;
  g_autoptr(GError) failed = NULL;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  audit_append(center->audit, txn,
               audit_record(call, error ? WS_AUDIT_RECORD_RESULT_REFUSED : WS_AUDIT_RECORD_RESULT_DONE, error));
  if (!inv_commit(txn, NULL, &failed) && !count_with_others(call, error))
    ws_log_error(WS_LOG_ERROR, "audit-record-lost", failed, "operation", call->route->operation, "user",
                 call->identity.name, "request", call->request_id, NULL);
}

/* ---- generic methods: the change is one checked commit ---- */

static void stamp_created(ApiCall *call, const WsType *type, void *object)
{
  const WsField *created = ws_type_field(type, "created", 7);
  if (created && created->kind == WS_KIND_TIME)
    *(gint64 *)ws_field_at(created, object) = ws_clock_wall_us(call->center->clock);
}

static bool create_generic(ApiCall *call, GError **error)
{
  const WsType *type = call->route->type;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsResource *object = inv_create(txn, type);
  WsId id = object->id;
  ws_resource_take_fields(type, object, call->body);
  stamp_created(call, type, object);
  if (call->dry_run)
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"create", NULL});
  api_call_set_object(call, type, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, type, id, error);
}

bool api_call_update(ApiCall *call, ApiUpdated updated, GError **error)
{
  const WsType *type = call->route->type;
  g_autoptr(InvSnapshot) head = inv_head(call->center->inventory);
  const void *seen = api_call_find_target(call, head, error);
  if (!seen)
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  void *object = inv_edit(txn, seen);
  bool changed = false;
  if (!ws_object_merge_patch(type, object, call->patch, call->patch_bytes, &changed, error) ||
      (updated && !updated(txn, head, seen, object, error)))
    return false;
  if (call->dry_run)
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){changed ? "update" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, type, seen);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, type, call->target, error);
}

static bool delete_generic(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(call->center->inventory);
  const void *seen = api_call_find_target(call, head, error);
  if (!seen || !auth_may_take_from_owner(call, head, call->route->type, seen, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, call->route->type, call->target);
  if (call->dry_run)
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"delete", NULL});
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- tasks ---- */

static void add_audit_to_task(InvTxn *txn, WsId task, void *arg)
{
  ApiCall *call = arg;
  char id[WS_ID_TEXT_MAX];
  call->task_text = g_strdup(ws_id_format(ws_type_task.prefix, task, id));
  audit_append(call->center->audit, txn, audit_record(call, WS_AUDIT_RECORD_RESULT_ACCEPTED, NULL));
}

bool api_call_start_task(ApiCall *call, const TaskKind *kind, WsId target, void *args, GError **error)
{
  TaskCause cause = api_call_cause(call);
  TaskStarted started = {0};
  cause.enrich = add_audit_to_task;
  cause.enrich_arg = call;
  bool ok = task_start(call->center->tasks, kind, target, args, &cause, call->dry_run, 0, &started, error);
  if (call->task_text) {
    call->audited = ok;
    if (!ok)
      g_clear_pointer(&call->task_text, g_free);
  }
  g_auto(GStrv) steps = started.dry_steps;
  call->dry_waits = started.dry_waits;
  call->dry_shown = started.dry_shown;
  if (!ok)
    return false;
  if (call->dry_run)
    return api_call_answer_dry(call, (const char *const *)steps);
  return api_call_answer_object(call, 202, &ws_type_task, started.task_id, error);
}

/* A task that updates gets the patch itself: what it means depends on the version that it finds. */
static WsPatch *patch_args(ApiCall *call)
{
  WsPatch *patch = ws_patch_new();
  patch->patch = g_strndup(call->patch, call->patch_bytes);
  return patch;
}

/* Checks the patch against the object as it is, and the state table; the task's own checks follow. */
static bool check_before_task(ApiCall *call, GError **error)
{
  const WsType *type = call->route->type;
  g_autoptr(InvSnapshot) head = inv_head(call->center->inventory);
  const void *object = api_call_find_target(call, head, error);
  if (!object || !allowed_check_route(call->route, object, error))
    return false;
  if (call->route->kind != WS_ROUTE_UPDATE)
    return true;
  void *copy = ws_object_copy(type, object);
  bool changed = false, ok = ws_object_merge_patch(type, copy, call->patch, call->patch_bytes, &changed, error);
  ws_object_free(type, copy);
  if (ok && !changed)
    return api_call_answer_value(call, 200, type, object); /* the same PATCH twice is no change */
  return ok;
}

static bool run_task(ApiCall *call, GError **error)
{
  const TaskKind *kind = task_kind_find(call->center->tasks, call->route->task);
  g_assert(kind);
  if (call->target && !check_before_task(call, error))
    return false;
  if (call->status)
    return true;
  void *args = call->route->kind == WS_ROUTE_UPDATE ? patch_args(call) : g_steal_pointer(&call->body);
  return api_call_start_task(call, kind, call->target, args, error);
}

/* ---- one call from beginning to end ---- */

/* What is said of the body as a whole has no path. */
static void name_body(GError *error)
{
  if (error && g_strcmp0(ws_error_field(error), "") == 0)
    ws_error_set_param(error, "field", "body");
}

/* The state table holds for what answers at once as it does for tasks. */
static bool check_state(ApiCall *call, GError **error)
{
  if (!call->route->n_allowed)
    return true;
  g_autoptr(InvSnapshot) head = inv_head(call->center->inventory);
  const void *object = api_call_find_target(call, head, error);
  return object && allowed_check_route(call->route, object, error);
}

static bool execute(ApiCall *call, GError **error)
{
  const WsRoute *route = call->route;
  if (call->then)
    return call->then(call, error);
  if (route->kind == WS_ROUTE_BATCH)
    return api_batch(call, error);
  if (route->call)
    return check_state(call, error) && route->call(call, error);
  if (route->task)
    return run_task(call, error);
  switch (route->kind) {
  case WS_ROUTE_CREATE:
    return create_generic(call, error);
  case WS_ROUTE_UPDATE:
    return api_call_update(call, NULL, error);
  case WS_ROUTE_DELETE:
    return delete_generic(call, error);
  default:
    g_assert_not_reached();
  }
}

bool api_call_run_part(ApiCall *part, GError **error)
{
  GError *failed = NULL;
  bool ok = execute(part, &failed);
  name_body(failed);
  audit_alone(part, failed);
  if (failed)
    g_propagate_error(error, failed);
  return ok;
}

void api_call_refuse_part(ApiCall *part, const GError *why)
{
  audit_alone(part, why);
}

/* Turned away before anything is written for it. Beyond the limit of its address it has no key: a record of that is two transactions. */
static bool admit(ApiCall *call, GError **error)
{
  if (!is_stranger(call))
    return true;
  if (strangers_is_over(call->center, api_call_origin(call)))
    g_clear_pointer(&call->idempotency_key, g_free);
  return strangers_admit(call, error);
}

/* Logins have counts of their own (auth/login_guard.h). */
static void count_refusal(ApiCall *call, GError **error)
{
  int status = ws_error_http_status(ws_error_code(*error));
  if (status < 500 && is_stranger(call) && !call->noted && call->route->call != session_create)
    strangers_refused(call->center, api_call_origin(call), error);
}

static void run_call(void *arg)
{
  g_autoptr(ApiCall) call = arg;
  g_autoptr(GError) error = NULL;
  bool ok = false, replayed = false;
  if (call->refused)
    error = g_steal_pointer(&call->refused);
  else if (admit(call, &error) && idempotency_begin(call, &replayed, &error))
    ok = replayed || execute(call, &error);
  if (!ok)
    count_refusal(call, &error);
  name_body(error);
  if (!replayed) {
    audit_alone(call, ok ? NULL : error);
    idempotency_end(call, ok);
  }
  if (call->streamed)
    return;
  if (ok)
    api_answer_json(call->http, call->request_id, call->status, g_steal_pointer(&call->answer), call->etag,
                    call->location);
  else
    api_answer_error(call->http, call->request_id, call->lang, error, call->task_text);
}

static void run_call_counted(void *arg)
{
  Center *center = ((ApiCall *)arg)->center;
  run_call(arg);
  g_atomic_int_add(&center->n_calls, -1);
}

static void start_call(void *arg)
{
  ApiCall *call = arg;
  ws_co_start(call->center->loop, run_call_counted, call);
}

void api_write(ApiCall *call)
{
  g_atomic_int_inc(&call->center->n_calls);
  ws_loop_post(call->center->loop, start_call, call, NULL);
}
