// SPDX-License-Identifier: Apache-2.0
/* Batches. See batch.h.
 *
 * The right is checked on each object's route for the verb. What takes time: the parent records what was
 * asked, so that it survives a restart, and each child is an ordinary task of the verb's kind on one object.
 * What answers at once, and every dry run: a call of its own for each object, one after the other; the answer
 * has one result for each. */
#include "center/api/batch.h"
#include "base/hash.h"
#include "center/auth/audit.h"
#include "center/auth/identity.h"
#include "center/auth/references.h"
#include "center/pools.h"
#include "model/model.h"

#define AT_ONCE_MAX 1000 /* objects of a verb that answers at once: each waits for the disk */
#define SHORT_MAX   64   /* bytes of a message in the short answer, so that 1,000 are kept for a repeat */
#define TURN        64   /* objects after which all else that is ready runs first */

static bool is_for_many(const WsRoute *route)
{
  return (route->kind == WS_ROUTE_VERB || route->kind == WS_ROUTE_DELETE || route->kind == WS_ROUTE_UPDATE) &&
         !route->result;
}

static const WsRoute *verb_route(const WsType *type, const char *verb, GError **error)
{
  bool deletes = strcmp(verb, "delete") == 0, updates = strcmp(verb, "update") == 0;
  g_autofree char *path = deletes || updates
                              ? g_strdup_printf("/api/v1/%s/%s-1", type->plural, type->prefix)
                              : g_strdup_printf("/api/v1/%s/%s-1/%s", type->plural, type->prefix, verb);
  WsId target;
  const WsRoute *route = api_route_find(deletes ? "DELETE" : updates ? "PATCH" : "POST", path, &target, NULL);
  if (route && is_for_many(route))
    return route;
  ws_fail(error, WS_ERROR_BAD_VALUE, "field", "verb", "expected",
          "a verb of this type that can run on many objects", NULL);
  return NULL;
}

/* The verb's arguments, once for each child: parsed anew, so that each owns its own. */
static void *parse_args(const WsRoute *route, const char *json, GError **error)
{
  const char *text = json ? json : "{}";
  if (route->kind == WS_ROUTE_UPDATE) {
    WsPatch *patch = ws_patch_new();
    patch->patch = g_strdup(text);
    return patch;
  }
  return route->body ? ws_object_parse(route->body, text, strlen(text), WS_PARSE_CREATE, error) : NULL;
}

/* ---- what is checked for all before anything is done ---- */

static bool check_kinds(ApiCall *call, const WsBatch *batch, GError **error)
{
  for (guint i = 0; i < batch->ids.len; i++) {
    if (batch->ids.items[i].type == call->route->type)
      continue;
    g_autofree char *field = g_strdup_printf("ids[%u]", i);
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", call->route->type->prefix, NULL);
  }
  return true;
}

static bool may_verb_on(ApiCall *call, const InvSnapshot *snap, const WsRoute *route, WsId id, GError **error)
{
  return auth_authorise(snap, &call->identity, route, id, error) &&
         auth_may_adopt(snap, &call->identity, route, id, error);
}

/* The right itself is asked for first, of all of them, before anybody looks at the arguments. */
static bool may_verb(ApiCall *call, const InvSnapshot *snap, const WsRoute *route, const WsBatch *batch, GError **error)
{
  bool ok = true;
  for (guint i = 0; ok && i < batch->ids.len; i++) {
    ok = may_verb_on(call, snap, route, batch->ids.items[i].id, error);
    if (i % TURN == TURN - 1)
      ws_co_sleep(0);
  }
  return ok;
}

static bool may_with_args_on(ApiCall *call, const InvSnapshot *snap, const WsRoute *route,
                             const WsBatch *batch, WsId id, const void *args, GError **error)
{
  const ApiIdentity *who = &call->identity;
  const char *patch = batch->args ? batch->args : "{}";
  if (route->kind == WS_ROUTE_UPDATE)
    return auth_authorise_patch(who, route, id, patch, strlen(patch), error) &&
           auth_authorise_patched(snap, who, route->type, id, patch, strlen(patch), error);
  return auth_may_let_go(snap, who, route, id, args, error);
}

/* `args`: the verb's, parsed; NULL: it has none, or is a patch. */
static bool may_with_args(ApiCall *call, const InvSnapshot *snap, const WsRoute *route, const WsBatch *batch,
                          const void *args, GError **error)
{
  bool ok = !args || auth_authorise_references(&call->identity, route->body, args, NULL, error);
  for (guint i = 0; ok && i < batch->ids.len; i++) {
    ok = may_with_args_on(call, snap, route, batch, batch->ids.items[i].id, args, error);
    if (i % TURN == TURN - 1)
      ws_co_sleep(0);
  }
  return ok;
}

static bool check_items(ApiCall *call, const WsRoute *route, const WsBatch *batch, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  GError *bad = NULL;
  if (!check_kinds(call, batch, error) || !may_verb(call, snap, route, batch, error))
    return false;
  void *args = route->kind == WS_ROUTE_UPDATE ? NULL : parse_args(route, batch->args, &bad);
  if (bad) {
    ws_error_context(&bad, "args");
    g_propagate_error(error, bad);
    return false;
  }
  bool may = may_with_args(call, snap, route, batch, args, error);
  if (args)
    ws_object_free(route->body, args);
  return may;
}

/* ---- one call for each object ---- */

static ApiCall *part_of(ApiCall *call, const WsRoute *route, const WsBatch *batch, guint i, GError **error)
{
  g_autoptr(ApiCall) part = api_call_new_part(call, route, batch->ids.items[i].id, i + 1);
  part->patch = g_strdup(batch->args ? batch->args : "{}");
  part->patch_bytes = strlen(part->patch);
  part->body_type = route->kind == WS_ROUTE_UPDATE ? NULL : route->body;
  if (part->body_type && !(part->body = parse_args(route, batch->args, error)))
    return NULL;
  return g_steal_pointer(&part);
}

/* Objects take their time: whoever goes away, logs out or loses a right meanwhile has the rest left alone. */
static bool may_go_on(ApiCall *call, const WsRoute *route, const WsBatch *batch, ApiCall *part,
                      GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  if (http_call_is_gone(call->http))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  return auth_renew(call->center, snap, &part->identity, error) &&
         may_verb_on(part, snap, route, part->target, error) &&
         (!part->body || auth_authorise_references(&part->identity, route->body, part->body, NULL, error)) &&
         may_with_args_on(part, snap, route, batch, part->target, part->body, error);
}

/* The first that is left alone has a record of it. */
static bool run_part(ApiCall *call, const WsRoute *route, const WsBatch *batch, ApiCall *part, bool *stopped,
                     GError **error)
{
  GError *why = NULL;
  if (may_go_on(call, route, batch, part, &why))
    return api_call_run_part(part, error);
  if (!*stopped)
    api_call_refuse_part(part, why);
  *stopped = true;
  g_propagate_error(error, why);
  return false;
}

/* Id and outcome alone. */
static void write_short(WsJsonWriter *w, const ApiCall *call, const WsAnyRef *object, const GError *error)
{
  char id[WS_ID_TEXT_MAX];
  ws_json_begin_object(w);
  ws_json_key(w, "id");
  ws_json_string(w, ws_id_format(object->type->prefix, object->id, id));
  if (error) {
    const char *code = ws_error_code_name(ws_error_code(error));
    g_autofree char *message = ws_error_message(error, call->lang);
    ws_json_key(w, "error");
    ws_json_begin_object(w);
    ws_json_key(w, "code");
    ws_json_string(w, code);
    ws_json_key(w, "message");
    ws_json_string(w, strlen(message) <= SHORT_MAX ? message : code);
    ws_json_end_object(w);
  }
  ws_json_end_object(w);
}

static WsJsonWriter begin_results(GString *text)
{
  WsJsonWriter w = ws_json_writer(text);
  ws_json_begin_object(&w);
  ws_json_key(&w, "results");
  ws_json_begin_array(&w);
  return w;
}

static void write_result(WsJsonWriter *w, ApiCall *call, const WsAnyRef *object, ApiCall *part,
                         const GError *error)
{
  char id[WS_ID_TEXT_MAX];
  ws_json_begin_object(w);
  ws_json_key(w, "id");
  ws_json_string(w, ws_id_format(object->type->prefix, object->id, id));
  if (error) {
    GString *text = api_error_json(part ? part->request_id : call->request_id, call->lang, error, NULL);
    ws_json_key(w, "error");
    ws_json_raw(w, text->str, text->len);
    g_string_free(text, TRUE);
  } else if (call->dry_run) {
    api_write_dry(w, part);
  }
  ws_json_end_object(w);
}

/* Step names of all objects, each once. */
static void note_steps(GPtrArray *all, char *const *steps)
{
  for (; steps && *steps; steps++)
    if (!g_ptr_array_find_with_equal_func(all, *steps, g_str_equal, NULL))
      g_ptr_array_add(all, g_strdup(*steps));
}

static bool run_parts(ApiCall *call, const WsRoute *route, const WsBatch *batch)
{
  GString *body = g_string_new(NULL);
  call->answer_short = g_string_new(NULL);
  WsJsonWriter w = begin_results(body), brief = begin_results(call->answer_short);
  g_autoptr(GPtrArray) all_steps = g_ptr_array_new_with_free_func(g_free);
  bool stopped = false;
  if (call->dry_run)
    pools_begin_on_paper(call->center, call->request_id);
  for (guint i = 0; i < batch->ids.len; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(ApiCall) part = part_of(call, route, batch, i, &error);
    bool ok = part && run_part(call, route, batch, part, &stopped, &error);
    if (ok)
      note_steps(all_steps, part->dry_steps);
    if (call->dry_run)
      pools_note_on_paper(call->center, call->request_id, !ok);
    write_result(&w, call, &batch->ids.items[i], part, error);
    write_short(&brief, call, &batch->ids.items[i], error);
    if (i % TURN == TURN - 1)
      ws_co_sleep(0);
  }
  if (call->dry_run)
    pools_end_on_paper(call->center, call->request_id);
  ws_json_end_array(&w);
  ws_json_end_array(&brief);
  ws_json_end_object(&brief);
  if (call->dry_run) {
    g_ptr_array_add(all_steps, NULL);
    ws_json_key(&w, "dry_run");
    ws_json_bool(&w, true);
    api_write_texts(&w, "steps", (char *const *)all_steps->pdata);
  }
  ws_json_end_object(&w);
  return api_call_answer_results(call, body);
}

bool api_batch(ApiCall *call, GError **error)
{
  const WsBatch *batch = call->batch = ws_batch_copy(call->body);
  const WsRoute *route = verb_route(call->route->type, batch->verb, error);
  if (!route || !check_items(call, route, batch, error))
    return false;
  if (!route->task && batch->ids.len > AT_ONCE_MAX)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "ids", "expected",
                   "at most " G_STRINGIFY(AT_ONCE_MAX) " objects for this verb", NULL);
  if (call->dry_run || !route->task)
    return run_parts(call, route, batch);
  return api_call_start_task(call, api_batch_task_kind(), 0, g_steal_pointer(&call->body), error);
}

/* ---- the parent ---- */

static const WsRoute *route_of_child(const WsTask *child)
{
  for (guint i = 0; i < ws_n_routes; i++)
    if (ws_routes[i].type == child->target.type && g_strcmp0(ws_routes[i].task, child->kind) == 0 &&
        is_for_many(&ws_routes[i]))
      return &ws_routes[i];
  return NULL;
}

/* So whoever asks what was done to an object finds it. */
static void audit_child(InvTxn *txn, const WsTask *child, void *arg)
{
  Center *center = arg;
  const WsRoute *route = route_of_child(child);
  WsAuditRecord *record = ws_audit_record_new();
  char id[WS_ID_TEXT_MAX];
  record->user = g_strdup(child->owner);
  record->address = g_strdup(child->origin);
  record->operation = g_strdup(route ? route->operation : child->kind);
  record->object = g_strdup(ws_id_format(child->target.type->prefix, child->target.id, id));
  record->object_name = g_strdup(child->target_name);
  record->kind = g_strdup(route ? route->audit_kind : "resource_operation");
  record->risk = route ? route->audit_risk : WS_AUDIT_RECORD_RISK_HIGH;
  record->result = WS_AUDIT_RECORD_RESULT_ACCEPTED;
  record->task = g_strdup(ws_id_format(ws_type_task.prefix, child->id, id));
  record->request_id = child->request_id
                           ? g_strdup_printf("%s/%" G_GINT64_FORMAT, child->request_id, child->ordinal + 1)
                           : NULL;
  audit_append(center->audit, txn, record);
}

static bool run_batch(Task *task, GError **error)
{
  const WsBatch *batch = task_args(task);
  const WsRoute *route = batch->ids.len ? verb_route(batch->ids.items[0].type, batch->verb, error) : NULL;
  if (!route)
    return false;
  g_autofree TaskChild *children = g_new0(TaskChild, batch->ids.len);
  for (guint i = 0; i < batch->ids.len; i++) {
    children[i].target = batch->ids.items[i].id;
    children[i].args = parse_args(route, batch->args, NULL);
  }
  const TaskKind *kind = task_kind_find(task_engine(task), route->task);
  return task_run_children_recorded(task, kind, children, batch->ids.len, batch->parallel, audit_child,
                                    error);
}

/* The verb's arguments stand in it as they came. */
static char *request_of(const void *args)
{
  g_autoptr(WsBatch) shown = ws_batch_copy(args);
  char *text = g_steal_pointer(&shown->args);
  const WsRoute *route = shown->ids.len ? verb_route(shown->ids.items[0].type, shown->verb, NULL) : NULL;
  const WsType *type = route && route->kind == WS_ROUTE_UPDATE ? route->type : route ? route->body : NULL;
  if (text && type)
    shown->args = ws_json_without_secrets(type, text, strlen(text));
  ws_secret_free(text);
  return ws_object_to_json(&ws_type_batch, shown, WS_WRITE_CLIENT, NULL);
}

const TaskKind *api_batch_task_kind(void)
{
  static TaskKind kind;
  if (!kind.name)
    kind = (TaskKind){.name = "batch", .func = run_batch, .args_type = &ws_type_batch, .verb = "batch", .request = request_of};
  return &kind;
}
