// SPDX-License-Identifier: Apache-2.0
/* Batches. See batch.h.
 *
 * The right is checked on each object's route for the verb; the parent records what was asked, so that it survives a
 * restart, and each child is an ordinary task of the verb's kind on one object. */
#include "center/api/batch.h"
#include "base/hash.h"
#include "center/auth/identity.h"
#include "center/auth/references.h"
#include "model/model.h"

static const WsRoute *verb_route(const WsType *type, const char *verb, GError **error)
{
  g_autofree char *path = strcmp(verb, "delete") == 0
                              ? g_strdup_printf("/api/v1/%s/%s-1", type->plural, type->prefix)
                              : g_strdup_printf("/api/v1/%s/%s-1/%s", type->plural, type->prefix, verb);
  WsId target;
  const WsRoute *route = api_route_find(strcmp(verb, "delete") == 0 ? "DELETE" : "POST", path, &target, NULL);
  if (!route || (route->kind != WS_ROUTE_VERB && route->kind != WS_ROUTE_DELETE) || !route->task)
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "verb", "expected", "a verb of this type that can run on many objects",
            NULL);
  return route && route->task && (route->kind == WS_ROUTE_VERB || route->kind == WS_ROUTE_DELETE) ? route : NULL;
}

/* The verb's arguments, once for each child: parsed anew, so that each owns its own. */
static void *parse_args(const WsRoute *route, const char *json, GError **error)
{
  if (!route->body)
    return NULL;
  const char *text = json ? json : "{}";
  return ws_object_parse(route->body, text, strlen(text), WS_PARSE_CREATE, error);
}

static bool check_items(ApiCall *call, const WsRoute *route, const WsBatch *batch, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  for (guint i = 0; i < batch->ids.len; i++) {
    if (batch->ids.items[i].type != call->route->type) {
      g_autofree char *field = g_strdup_printf("ids[%u]", i);
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", call->route->type->prefix, NULL);
    }
    if (!auth_authorise(snap, &call->identity, route, batch->ids.items[i].id, error) ||
        !auth_may_adopt(snap, &call->identity, route, batch->ids.items[i].id, error))
      return false;
  }
  GError *bad = NULL;
  void *args = parse_args(route, batch->args, &bad);
  if (bad) {
    ws_error_context(&bad, "args");
    g_propagate_error(error, bad);
    return false;
  }
  bool may = !args || auth_authorise_references(&call->identity, route->body, args, NULL, error);
  for (guint i = 0; may && i < batch->ids.len; i++)
    may = auth_may_let_go(snap, &call->identity, route, batch->ids.items[i].id, args, error);
  if (args)
    ws_object_free(route->body, args);
  return may;
}

bool api_batch(ApiCall *call, GError **error)
{
  WsBatch *batch = call->body;
  const WsRoute *route = verb_route(call->route->type, batch->verb, error);
  if (!route || !check_items(call, route, batch, error))
    return false;
  return api_call_start_task(call, api_batch_task_kind(), 0, g_steal_pointer(&call->body), error);
}

/* ---- the parent ---- */

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
  return task_run_children(task, kind, children, batch->ids.len, batch->parallel, error);
}

/* The verb's arguments stand in it as they came. */
static char *request_of(const void *args)
{
  g_autoptr(WsBatch) shown = ws_batch_copy(args);
  char *text = g_steal_pointer(&shown->args);
  const WsRoute *route = shown->ids.len ? verb_route(shown->ids.items[0].type, shown->verb, NULL) : NULL;
  if (text && route && route->body)
    shown->args = ws_json_without_secrets(route->body, text, strlen(text));
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
