// SPDX-License-Identifier: Apache-2.0
/* From method and path to a route of the contract. The table is built once, before threads start to use it. */
#include "center/api/call-private.h"

#define COLLECTIONS "/api/v1/"

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
static void append_template(GString *key, const char *path, WsId *target)
{
  char plural[64], id[WS_ID_TEXT_MAX];
  gsize n_plural = 0, n_id = 0;
  const WsType *type = NULL;
  *target = 0;
  if (g_str_has_prefix(path, COLLECTIONS)) {
    const char *at = path + strlen(COLLECTIONS);
    n_plural = strcspn(at, "/");
    n_id = at[n_plural] ? strcspn(at + n_plural + 1, "/") : 0;
    if (n_id > 0 && n_id < sizeof id && n_plural < sizeof plural) {
      g_strlcpy(plural, at, n_plural + 1);
      g_strlcpy(id, at + n_plural + 1, n_id + 1);
      type = ws_type_by_plural(plural);
    }
  }
  if (!type || !ws_id_parse(type->prefix, id, target)) {
    g_string_append(key, path);
    return;
  }
  gsize head_n = strlen(COLLECTIONS) + n_plural + 1;
  g_string_append_len(key, path, (gssize)head_n);
  g_string_append(key, "{id}");
  g_string_append(key, path + head_n + n_id);
}

const WsRoute *api_route_find(const char *method, const char *path, WsId *target, GError **error)
{
  static gsize once;
  if (g_once_init_enter(&once)) {
    build();
    g_once_init_leave(&once, 1);
  }
  g_autoptr(GString) key = g_string_sized_new(128);
  g_string_append(key, method);
  g_string_append_c(key, ' ');
  gsize path_at = key->len;
  append_template(key, path, target);
  const WsRoute *route = g_hash_table_lookup(by_key, key->str);
  if (route)
    return route;
  if (g_hash_table_contains(by_path, key->str + path_at))
    ws_fail(error, WS_ERROR_METHOD_NOT_ALLOWED, "method", method, NULL);
  else
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", path, NULL);
  return NULL;
}
