// SPDX-License-Identifier: Apache-2.0
/* See json-members.h. A table from each key to the text of its value, read anew by whoever asks. */
#include "base/json-members.h"
#include "base/error.h"
#include <math.h>

#define WHOLE_MAX 9007199254740992.0 /* 2^53: beyond it a double is not exact (RFC 8259, 6) */

struct WsJsonMembers {
  GHashTable *values; /* key -> text */
};

void ws_json_members_free(WsJsonMembers *members)
{
  if (!members)
    return;
  g_hash_table_unref(members->values);
  g_free(members);
}

static bool take_members(WsJsonMembers *members, WsJsonReader *r, GError **error)
{
  GError *failed = NULL;
  const char *key, *value;
  gsize n_key, n_value;
  if (!ws_json_enter_object(r, error))
    return false;
  while (ws_json_next_key(r, &key, &n_key, &failed)) {
    g_autofree char *name = g_strndup(key, n_key);
    if (g_hash_table_contains(members->values, name))
      return ws_fail(error, WS_ERROR_BAD_JSON, "position", "0", "expected", "each key once", NULL);
    if (!ws_json_take_raw(r, &value, &n_value, error))
      return false;
    g_hash_table_insert(members->values, g_steal_pointer(&name), g_strndup(value, n_value));
  }
  if (failed) {
    g_propagate_error(error, failed);
    return false;
  }
  return ws_json_reader_end(r, error);
}

WsJsonMembers *ws_json_members_parse(const char *text, gsize n, GError **error)
{
  g_autoptr(WsJsonMembers) members = g_new0(WsJsonMembers, 1);
  g_auto(WsJsonReader) r = {0};
  members->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  ws_json_reader_init(&r, text, n);
  return take_members(members, &r, error) ? g_steal_pointer(&members) : NULL;
}

bool ws_json_members_has(const WsJsonMembers *members, const char *name)
{
  return g_hash_table_contains(members->values, name);
}

/* A reader at the value, or false when there is none of that kind. */
static bool read_value(const WsJsonMembers *members, const char *name, WsJsonKind kind, WsJsonReader *r)
{
  const char *value = g_hash_table_lookup(members->values, name);
  if (!value)
    return false;
  ws_json_reader_init(r, value, strlen(value));
  return ws_json_peek(r) == kind;
}

char *ws_json_members_string(const WsJsonMembers *members, const char *name)
{
  g_auto(WsJsonReader) r = {0};
  const char *text;
  gsize n;
  return read_value(members, name, WS_JSON_STRING, &r) && ws_json_take_string(&r, &text, &n, NULL) ? g_strndup(text, n) : NULL;
}

bool ws_json_members_number(const WsJsonMembers *members, const char *name, gint64 *value)
{
  g_auto(WsJsonReader) r = {0};
  double number;
  if (!read_value(members, name, WS_JSON_INT, &r) && !read_value(members, name, WS_JSON_NUMBER, &r))
    return false;
  if (!ws_json_take_double(&r, &number, NULL) || !isfinite(number) || fabs(number) > WHOLE_MAX)
    return false;
  *value = (gint64)number;
  return true;
}

bool ws_json_members_is_true(const WsJsonMembers *members, const char *name)
{
  g_auto(WsJsonReader) r = {0};
  bool value = false;
  return read_value(members, name, WS_JSON_BOOL, &r) && ws_json_take_bool(&r, &value, NULL) && value;
}

GPtrArray *ws_json_members_strings(const WsJsonMembers *members, const char *name)
{
  g_auto(WsJsonReader) r = {0};
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  const char *text;
  gsize n;
  char *one = ws_json_members_string(members, name);
  if (one) {
    g_ptr_array_add(list, one);
    return g_steal_pointer(&list);
  }
  if (!read_value(members, name, WS_JSON_ARRAY, &r) || !ws_json_enter_array(&r, NULL))
    return NULL;
  while (ws_json_next_item(&r, NULL)) {
    if (ws_json_peek(&r) != WS_JSON_STRING || !ws_json_take_string(&r, &text, &n, NULL))
      return NULL;
    g_ptr_array_add(list, g_strndup(text, n));
  }
  return g_steal_pointer(&list);
}

GPtrArray *ws_json_members_items(const WsJsonMembers *members, const char *name)
{
  g_auto(WsJsonReader) r = {0};
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
  const char *text;
  gsize n;
  if (!read_value(members, name, WS_JSON_ARRAY, &r) || !ws_json_enter_array(&r, NULL))
    return NULL;
  while (ws_json_next_item(&r, NULL)) {
    if (!ws_json_take_raw(&r, &text, &n, NULL))
      return NULL;
    g_ptr_array_add(list, g_strndup(text, n));
  }
  return g_steal_pointer(&list);
}
