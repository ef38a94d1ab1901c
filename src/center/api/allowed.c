// SPDX-License-Identifier: Apache-2.0
/* The contract's table of verbs and states. See allowed.h. */
#include "center/api/allowed.h"
#include <string.h>

static const WsRoute *route_of(const char *operation)
{
  for (guint i = 0; i < ws_n_routes; i++) {
    const WsRoute *route = &ws_routes[i];
    if (strcmp(route->operation, operation) == 0 || (route->task && strcmp(route->task, operation) == 0))
      return route;
  }
  return NULL;
}

/* "possible while it is off, hibernated": what it would have to be. Nobody knows what a VM does whose host cannot be asked. */
static char *wanted(const WsAllowed *allowed, const char *word)
{
  if (allowed->part && g_strcmp0(word, "unknown") == 0)
    return g_strdup("its host cannot be asked: see winctl host list, winctl alarm list");
  g_autoptr(GString) words = g_string_new(NULL);
  for (guint i = 0; allowed->field->names[i]; i++)
    if (allowed->words & (guint64)1 << i)
      g_string_append_printf(words, "%s%s", words->len ? ", " : "", allowed->field->names[i]);
  return g_strdup_printf("possible while it is %s", words->str);
}

bool allowed_check_route(const WsRoute *route, const void *object, GError **error)
{
  const WsAllowed *failed;
  const char *word;
  const WsResource *resource = object;
  if (!route->n_allowed || ws_allowed_check(route->allowed, route->n_allowed, object, &failed, &word))
    return true;
  char id[WS_ID_TEXT_MAX];
  const WsField *name = ws_type_field(resource->type, "name", 4);
  const char *text = name && name->kind == WS_KIND_STRING ? *(char **)ws_field_at(name, object) : NULL;
  g_autofree char *cause = wanted(failed, word);
  return ws_fail(error, WS_ERROR_WRONG_STATE, "cause", cause, "object",
                 text ? text : ws_id_format(resource->type->prefix, resource->id, id), "verb", route->verb, "state",
                 word ? word : "unknown", NULL);
}

bool allowed_check(const char *operation, const void *object, GError **error)
{
  const WsRoute *route = route_of(operation);
  return !route || allowed_check_route(route, object, error);
}
