// SPDX-License-Identifier: Apache-2.0
/* List cursors: base64url of a check value over type, sort and filter, and the stored form of the object's id and sort fields.
 * See cursor.h. */
#include "center/api/cursor.h"
#include <string.h>

static guint32 check_of(const WsType *type, const char *sort, const char *filter)
{
  g_autofree char *text = g_strjoin("\n", type->name, sort ? sort : "", filter ? filter : "", NULL);
  return g_str_hash(text);
}

/* "name,-memory_bytes" -> "id,revision,name,memory_bytes": the fields that the order depends on, at their top level. */
static char *fields_of(const char *sort)
{
  GString *fields = g_string_new("id");
  g_auto(GStrv) keys = g_strsplit(sort ? sort : "", ",", -1);
  for (char **key = keys; *key; key++) {
    const char *name = **key == '-' ? *key + 1 : *key;
    gsize top = strcspn(name, ".");
    if (top && strncmp(name, "id", MAX(top, 2)) != 0)
      g_string_append_printf(fields, ",%.*s", (int)top, name);
  }
  return g_string_free(fields, FALSE);
}

char *cursor_format(const WsType *type, const char *sort, const char *filter, const void *object)
{
  g_autofree char *fields = fields_of(sort);
  g_autoptr(WsFieldSet) set = ws_field_set_parse(type, fields, NULL);
  g_autoptr(GString) text = g_string_new(NULL);
  g_string_printf(text, "%08x", check_of(type, sort, filter));
  WsJsonWriter w = ws_json_writer(text);
  ws_object_write(type, object, WS_WRITE_CLIENT, set, &w);
  char *cursor = g_base64_encode((const guchar *)text->str, text->len);
  g_strdelimit(cursor, "+", '-');
  g_strdelimit(cursor, "/", '_');
  return cursor;
}

void *cursor_parse(const WsType *type, const char *sort, const char *filter, const char *cursor, GError **error)
{
  g_autofree char *text = g_strdup(cursor);
  gsize n = 0;
  g_strdelimit(text, "-", '+');
  g_strdelimit(text, "_", '/');
  g_autofree char *plain = strlen(text) <= 16384 ? (char *)g_base64_decode(text, &n) : NULL;
  g_autofree char *check = g_strdup_printf("%08x", check_of(type, sort, filter));
  void *object = NULL;
  if (plain && n > 8 && memcmp(plain, check, 8) == 0)
    object = ws_object_parse(type, plain + 8, n - 8, WS_PARSE_STORED, NULL);
  if (!object)
    ws_fail(error, WS_ERROR_BAD_CURSOR, NULL);
  return object;
}
