// SPDX-License-Identifier: Apache-2.0
/* From method and path to a route of the contract. The table is built once, before threads start to use it. */
#include "center/api/call-private.h"

static GHashTable *by_key;  /* "GET /api/v1/vms/{id}" -> WsRoute */
static GHashTable *by_path; /* the same without the method: tells 405 from 404 */

static void build(void)
{
  by_key = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  by_path = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < ws_n_routes; i++) {
    const WsRoute *route = &ws_routes[i];
    g_hash_table_insert(by_key, g_strdup_printf("%s %s", route->method, route->path), (void *)route);
    g_hash_table_insert(by_path, (void *)route->path, (void *)route);
  }
}

/* "/api/v1/vms/vm-7/start" -> "/api/v1/vms/{id}/start" and 7, when the third segment is an id of that collection. */
static char *template_of(const char *path, WsId *target)
{
  g_auto(GStrv) parts = g_strsplit(path, "/", 8);
  guint n = g_strv_length(parts);
  const WsType *type = n > 4 ? ws_type_by_plural(parts[3]) : NULL;
  *target = 0;
  if (!type || !ws_id_parse(type->prefix, parts[4], target))
    return g_strdup(path);
  g_free(parts[4]);
  parts[4] = g_strdup("{id}");
  return g_strjoinv("/", parts);
}

const WsRoute *api_route_find(const char *method, const char *path, WsId *target, GError **error)
{
  static gsize once;
  if (g_once_init_enter(&once)) {
    build();
    g_once_init_leave(&once, 1);
  }
  g_autofree char *template = template_of(path, target);
  g_autofree char *key = g_strdup_printf("%s %s", method, template);
  const WsRoute *route = g_hash_table_lookup(by_key, key);
  if (route)
    return route;
  if (g_hash_table_contains(by_path, template))
    ws_fail(error, WS_ERROR_METHOD_NOT_ALLOWED, "method", method, NULL);
  else
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", path, NULL);
  return NULL;
}
