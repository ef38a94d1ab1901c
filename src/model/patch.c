// SPDX-License-Identifier: Apache-2.0
/* JSON merge patch onto a typed object.
 *
 * A field that clients may not change (read-only; immutable once the object exists) is patched on a copy and
 * compared: so what a client read and sends back unchanged is accepted, in whatever form.
 *
 * Lists are replaced whole. Their items are parts; where parts have a field `key`, the new item that carries
 * the key of an old one *is* that one, edited: it is patched like any object. Other items are new and parsed
 * like a request to create. */
#include "model/type-private.h"

static bool patch_members(WsParser *parser, const WsType *type, void *object, const WsPath *path);

/* ---- resetting ---- */

static bool reset(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  if (!ws_json_take_null(&parser->reader, parser->error))
    return false;
  if ((field->flags & WS_FIELD_REQUIRED) && !parser->free_hand)
    return ws_parse_fail(parser, WS_ERROR_REQUIRED, path, NULL);
  ws_value_clear(field, field->kind, slot);
  ws_field_apply_default(field, slot);
  return true;
}

/* ---- parts ---- */

static bool patch_object(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  if (ws_json_peek(&parser->reader) != WS_JSON_OBJECT)
    return ws_parse_wrong_type(parser, path, "an object");
  void *object = *(void **)slot;
  if (!object)
    return ws_parse_value(parser, field, WS_KIND_OBJECT, slot, path);
  return patch_members(parser, field->sub, object, path);
}

/* ---- maps ---- */

static bool patch_map(WsParser *parser, const WsField *field, WsMap *map, const WsPath *path)
{
  GError *failed = NULL;
  const char *key;
  gsize n;
  if (ws_json_peek(&parser->reader) != WS_JSON_OBJECT)
    return ws_parse_wrong_type(parser, path, "an object of strings");
  if (!ws_json_enter_object(&parser->reader, parser->error))
    return false;
  while (ws_json_next_key(&parser->reader, &key, &n, &failed)) {
    if (ws_json_peek(&parser->reader) == WS_JSON_NULL) {
      g_autofree char *gone = g_strndup(key, n);
      ws_map_set(map, gone, NULL);
      if (!ws_json_take_null(&parser->reader, parser->error))
        return false;
      continue;
    }
    WsMapEntry entry;
    if (!ws_parse_map_entry(parser, field, key, n, &entry, path))
      return false;
    ws_map_set(map, entry.key, entry.value);
    g_free(entry.key);
    g_free(entry.value);
    /* Checked as it grows too, so that memory stays bounded; a patch may trade some entries for others within
     * the limit. */
    if (map->len > field->max && !ws_parse_map_count(parser, field, map->len, path))
      return false;
  }
  if (failed) {
    g_propagate_error(parser->error, failed);
    return false;
  }
  return ws_parse_map_count(parser, field, map->len, path);
}

/* ---- lists ---- */

/* The string field `key` of a part type, or NULL. */
static const WsField *key_field(const WsField *list)
{
  const WsField *key = list->item_kind == WS_KIND_OBJECT ? ws_type_field(list->sub, "key", 3) : NULL;
  return key && key->kind == WS_KIND_STRING ? key : NULL;
}

static const char *key_of(const WsField *key, const void *item)
{
  return *(char *const *)ws_field_at(key, item);
}

/* The "key" in the JSON object `json`, to be freed; NULL: none, or not well-formed (which the real parse will
 * tell). */
static char *peek_key(const char *json, gsize n)
{
  g_auto(WsJsonReader) reader;
  const char *key, *value;
  gsize key_len, value_len;
  ws_json_reader_init(&reader, json, n);
  if (ws_json_peek(&reader) != WS_JSON_OBJECT || !ws_json_enter_object(&reader, NULL))
    return NULL;
  while (ws_json_next_key(&reader, &key, &key_len, NULL)) {
    bool is_key = key_len == 3 && memcmp(key, "key", 3) == 0;
    if (is_key && ws_json_peek(&reader) == WS_JSON_STRING &&
        ws_json_take_string(&reader, &value, &value_len, NULL))
      return g_strndup(value, value_len);
    if (!ws_json_take_raw(&reader, &value, &value_len, NULL))
      return NULL;
  }
  return NULL;
}

static void *take_old(WsArray *old, const WsField *key, const char *wanted)
{
  void **items = old->items;
  for (guint i = 0; i < old->len; i++)
    if (items[i] && g_strcmp0(key_of(key, items[i]), wanted) == 0)
      return g_steal_pointer(&items[i]);
  return NULL;
}

static bool patch_item(WsParser *parser, const WsField *field, const WsField *key, WsArray *old, void **slot,
                       const WsPath *path)
{
  WsJsonReader ahead = parser->reader; /* a second look at the same text */
  ahead.scratch = NULL;
  const char *raw;
  gsize n;
  g_autofree char *wanted = NULL;
  if (ws_json_take_raw(&ahead, &raw, &n, NULL))
    wanted = peek_key(raw, n);
  ws_json_reader_clear(&ahead);
  *slot = wanted ? take_old(old, key, wanted) : NULL;
  return patch_object(parser, field, slot, path);
}

static bool patch_keyed_list(WsParser *parser, const WsField *field, const WsField *key, WsArray *list,
                             const WsPath *path)
{
  GError *failed = NULL;
  if (ws_json_peek(&parser->reader) != WS_JSON_ARRAY)
    return ws_parse_wrong_type(parser, path, "a list");
  if (!ws_json_enter_array(&parser->reader, parser->error))
    return false;
  WsArray old = *list;
  *list = (WsArray){0};
  bool ok = true;
  while (ok && ws_json_next_item(&parser->reader, &failed)) {
    WsPath at = {.up = path, .index = list->len};
    ok = patch_item(parser, field, key, &old, ws_array_grow(list, sizeof(void *)), &at);
    if (ok && list->len > field->max_items) {
      g_autofree char *expected = g_strdup_printf("at most %" G_GINT64_FORMAT " items", field->max_items);
      ok = ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
    }
  }
  if (failed) {
    g_propagate_error(parser->error, failed);
    ok = false;
  }
  ws_value_clear(field, WS_KIND_ARRAY, &old);
  if (ok && list->len < field->min_items) {
    g_autofree char *expected = g_strdup_printf("at least %" G_GINT64_FORMAT " items", field->min_items);
    ok = ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
  }
  return ok;
}

/* ---- one field ---- */

static bool patch_value(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  if (ws_json_peek(&parser->reader) == WS_JSON_NULL)
    return reset(parser, field, slot, path);
  if (field->kind == WS_KIND_OBJECT)
    return patch_object(parser, field, slot, path);
  if (field->kind == WS_KIND_MAP)
    return patch_map(parser, field, slot, path);
  const WsField *key = field->kind == WS_KIND_ARRAY ? key_field(field) : NULL;
  if (key)
    return patch_keyed_list(parser, field, key, slot, path);
  ws_value_clear(field, field->kind, slot);
  return ws_parse_value(parser, field, field->kind, slot, path);
}

/* Patches a copy with a free hand and demands that nothing came of it. */
static bool patch_fixed(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  union {
    gint64 i;
    WsAnyRef ref;
    WsArray array;
    WsMap map;
    void *p;
  } copy; /* room for any slot */
  ws_value_copy(field, field->kind, &copy, slot);
  parser->free_hand = true;
  bool ok = patch_value(parser, field, &copy, path);
  parser->free_hand = false;
  bool equal = ok && ws_value_equal(field, field->kind, &copy, slot, false);
  ws_value_clear(field, field->kind, &copy);
  if (ok && !equal)
    return ws_parse_fail(
        parser, field->flags & WS_FIELD_READ_ONLY ? WS_ERROR_READ_ONLY_FIELD : WS_ERROR_IMMUTABLE_FIELD, path,
        NULL);
  return ok;
}

static bool patch_system_field(WsParser *parser, const WsType *type, const WsResource *resource,
                               gsize key_len, const WsPath *path)
{
  bool is_id = key_len == 2;
  WsPath at = {.up = path, .name = is_id ? "id" : "revision", .name_len = key_len};
  const WsField field = {.kind = is_id ? WS_KIND_REF : WS_KIND_INT, .sub = type, .min = 0, .max = G_MAXINT64};
  gint64 value = 0;
  if (!ws_parse_value(parser, &field, field.kind, &value, &at))
    return false;
  if ((guint64)value != (is_id ? resource->id : resource->revision))
    return ws_parse_fail(parser, WS_ERROR_READ_ONLY_FIELD, &at, NULL);
  return true;
}

static bool patch_members(WsParser *parser, const WsType *type, void *object, const WsPath *path)
{
  WsSeen seen = {0};
  guint guess = 0;
  if (!ws_json_enter_object(&parser->reader, parser->error))
    return false;
  for (;;) {
    const WsField *field;
    const char *key;
    gsize n;
    bool more, ok;
    if (!ws_parse_next_field(parser, type, &seen, &guess, &field, &key, &n, &more, path))
      return false;
    if (!more)
      return true;
    if (!field) {
      ok = patch_system_field(parser, type, object, n, path);
    } else {
      WsPath at = {.up = path, .name = field->name, .name_len = ws_field_name_len(field)};
      bool fixed = !parser->free_hand && (field->flags & (WS_FIELD_READ_ONLY | WS_FIELD_IMMUTABLE));
      ok = (fixed ? patch_fixed : patch_value)(parser, field, ws_field_at(field, object), &at);
    }
    if (!ok)
      return false;
  }
}

bool ws_object_merge_patch(const WsType *type, void *object, const char *json, gsize n, bool *changed,
                           GError **error)
{
  WsParser parser = {.mode = WS_PARSE_CREATE, .error = error};
  void *before = changed ? ws_object_copy(type, object) : NULL;
  ws_json_reader_init(&parser.reader, json, n);
  bool ok = ws_json_peek(&parser.reader) == WS_JSON_OBJECT ? patch_members(&parser, type, object, NULL)
                                                           : ws_parse_wrong_type(&parser, NULL, "an object");
  ok = ok && ws_json_reader_end(&parser.reader, error);
  ws_json_reader_clear(&parser.reader);
  if (ok && changed)
    *changed = !ws_object_equal(type, before, object);
  ws_object_free(type, before);
  return ok;
}
