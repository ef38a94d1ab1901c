// SPDX-License-Identifier: Apache-2.0
/* GET /<plural>/{id}/verbs: what the caller may do with an object now, and why not. Asks what a call of the verb would be asked, in the same
 * order: right, lock, state. What only the verb itself finds out (room, what its arguments name) is told by its dry run. */
#include "center/api/allowed.h"
#include "center/api/call-private.h"
#include "center/api/view.h"
#include "center/auth/identity.h"
#include "center/verbs.h"
#include "model/model.h"
#include "model/texts.h"

static const char *name_of(const WsType *type, const WsResource *object, char *id)
{
  const WsField *name = ws_type_field(type, "name", 4);
  const char *text = name && name->kind == WS_KIND_STRING ? *(char **)ws_field_at(name, object) : NULL;
  return text ? text : ws_id_format(type->prefix, object->id, id);
}

/* Held by a living task? Verbs that are calls do not ask. */
static bool check_idle(const WsRoute *route, const void *object, GError **error)
{
  char id[WS_ID_TEXT_MAX], task[WS_ID_TEXT_MAX];
  const WsField *field = route->task ? ws_type_field(route->type, "activity", strlen("activity")) : NULL;
  const WsActivity *activity = field ? *(WsActivity **)ws_field_at(field, object) : NULL;
  return !activity || ws_fail(error, WS_ERROR_BUSY, "object", name_of(route->type, object, id), "verb", activity->verb, "task",
                              ws_id_format(ws_type_task.prefix, activity->task, task), NULL);
}

static WsAllowedVerb *row_of(const ApiView *view, const WsRoute *route)
{
  g_autoptr(GError) error = NULL;
  const WsResource *object = view->object;
  WsAllowedVerb *row = ws_allowed_verb_new();
  row->verb = g_strdup(route->verb);
  row->danger = route->danger;
  row->allowed = (!view->call || auth_authorise(view->snap, &view->call->identity, route, object->id, &error)) &&
                 check_idle(route, object, &error) && allowed_check_route(route, object, &error);
  if (!row->allowed) {
    row->code = g_strdup(ws_error_code_name(ws_error_code(error)));
    row->reason = ws_error_in_words(error, view->call ? view->call->lang : WS_LANG_EN);
  }
  return row;
}

bool allowed_verbs(const ApiView *view, void **result, GError **error)
{
  WsAllowedVerbs *answer = ws_allowed_verbs_new();
  for (guint i = 0; i < ws_n_routes; i++) {
    const WsRoute *route = &ws_routes[i];
    bool verb = route->kind == WS_ROUTE_VERB || route->kind == WS_ROUTE_UPDATE || route->kind == WS_ROUTE_DELETE;
    if (verb && route->type == ((const WsResource *)view->object)->type)
      ws_array_add(&answer->verbs, row_of(view, route));
  }
  *result = answer;
  return true;
}
