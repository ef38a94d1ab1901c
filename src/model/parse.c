// SPDX-License-Identifier: Apache-2.0
/* JSON to object, driven by the descriptors: one pass over the text, no tree. Every error tells the path of
 * the field.
 *
 * What is checked depends on the mode (type.h): CREATE trusts nothing, RPC checks limits but skips unknown
 * fields, REQUEST only those that ask for nothing, STORED takes what an older or newer version of this program wrote. Keys mostly come in the
 * contract's order, because we write them so: the next field is guessed before it is looked up. */
#include "model/type-private.h"
#include "base/hash.h"
#include "base/seal.h"
#include "base/clock.h"
#include <stdlib.h>

/* ---- errors ---- */

static void path_append(const WsPath *path, GString *out)
{
  if (!path)
    return;
  path_append(path->up, out);
  if (!path->name) {
    g_string_append_printf(out, "[%u]", path->index);
    return;
  }
  if (out->len)
    g_string_append_c(out, '.');
  g_string_append_len(out, path->name, path->name_len);
}

char *ws_path_format(const WsPath *path, const char *name, gsize name_len)
{
  enum { SHOWN_NAME_MAX = 128 }; /* a client's key may be a megabyte */
  GString *out = g_string_new(NULL);
  path_append(path, out);
  if (name) {
    if (out->len)
      g_string_append_c(out, '.');
    g_autofree char *valid = g_utf8_make_valid(name, MIN(name_len, SHOWN_NAME_MAX));
    g_string_append(out, valid);
  }
  return g_string_free(out, FALSE);
}

bool ws_parse_fail(WsParser *parser, WsErrorCode code, const WsPath *path, const char *expected)
{
  g_autofree char *field = ws_path_format(path, NULL, 0);
  return ws_fail(parser->error, code, "field", field, expected ? "expected" : NULL, expected, NULL);
}

/* Something else stands there, or nothing that is JSON: then the reader's own error is better. */
bool ws_parse_wrong_type(WsParser *parser, const WsPath *path, const char *expected)
{
  const char *raw;
  gsize n;
  if (!ws_json_take_raw(&parser->reader, &raw, &n, parser->error))
    return false;
  return ws_parse_fail(parser, WS_ERROR_WRONG_TYPE, path, expected);
}

static bool fail_range(WsParser *parser, const WsPath *path, const char *min, const char *max)
{
  g_autofree char *field = ws_path_format(path, NULL, 0);
  return ws_fail(parser->error, WS_ERROR_OUT_OF_RANGE, "field", field, "min", min, "max", max, NULL);
}

/* ---- single values ---- */

static bool checks_limits(const WsParser *parser)
{
  return parser->mode != WS_PARSE_STORED;
}

static bool parse_bool(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  if (ws_json_peek(&parser->reader) != WS_JSON_BOOL)
    return ws_parse_wrong_type(parser, path, "true or false");
  return ws_json_take_bool(&parser->reader, slot, parser->error);
}

static bool fail_int_range(WsParser *parser, const WsField *field, const WsPath *path)
{
  char min[24], max[24];
  g_snprintf(min, sizeof min, "%" G_GINT64_FORMAT, field->min);
  g_snprintf(max, sizeof max, "%" G_GINT64_FORMAT, field->max);
  return fail_range(parser, path, min, max);
}

/* A number that is no gint64: written with a fraction, or too big. */
static bool fail_not_int(WsParser *parser, const WsField *field, const WsPath *path)
{
  const char *raw;
  gsize n;
  if (!ws_json_take_raw(&parser->reader, &raw, &n, parser->error))
    return false;
  for (gsize i = 0; i < n; i++)
    if (strchr(".eE", raw[i]))
      return ws_parse_fail(parser, WS_ERROR_WRONG_TYPE, path, "an integer");
  return fail_int_range(parser, field, path);
}

static bool parse_int(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  gint64 value;
  WsJsonKind kind = ws_json_peek(&parser->reader);
  if (kind == WS_JSON_NUMBER)
    return fail_not_int(parser, field, path);
  if (kind != WS_JSON_INT)
    return ws_parse_wrong_type(parser, path, "an integer");
  if (!ws_json_take_int(&parser->reader, &value, parser->error))
    return false;
  if (checks_limits(parser)) {
    if (value < field->min || value > field->max)
      return fail_int_range(parser, field, path);
    if (field->multiple_of && value % field->multiple_of) {
      g_autofree char *expected = g_strdup_printf("a multiple of %" G_GINT64_FORMAT, field->multiple_of);
      return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
    }
  }
  *(gint64 *)slot = value;
  return true;
}

static bool parse_double(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  double value;
  WsJsonKind kind = ws_json_peek(&parser->reader);
  if (kind != WS_JSON_INT && kind != WS_JSON_NUMBER)
    return ws_parse_wrong_type(parser, path, "a number");
  if (!ws_json_take_double(&parser->reader, &value, parser->error))
    return false;
  if (checks_limits(parser) && !(value >= field->fmin && value <= field->fmax)) {
    char min[G_ASCII_DTOSTR_BUF_SIZE], max[G_ASCII_DTOSTR_BUF_SIZE];
    return fail_range(parser, path, g_ascii_formatd(min, sizeof min, "%.15g", field->fmin),
                      g_ascii_formatd(max, sizeof max, "%.15g", field->fmax));
  }
  *(double *)slot = value;
  return true;
}

static bool take_string(WsParser *parser, const char **s, gsize *n, const char *expected, const WsPath *path)
{
  if (ws_json_peek(&parser->reader) != WS_JSON_STRING)
    return ws_parse_wrong_type(parser, path, expected);
  return ws_json_take_string(&parser->reader, s, n, parser->error);
}

/* Cuts white space off both ends, as people leave it when they paste. */
static void trim(const char **s, gsize *n)
{
  const char *start = *s, *end = *s + *n;
  while (start < end && g_unichar_isspace(g_utf8_get_char(start)))
    start = g_utf8_next_char(start);
  while (end > start) {
    const char *last = g_utf8_prev_char(end);
    if (!g_unichar_isspace(g_utf8_get_char(last)))
      break;
    end = last;
  }
  *s = start;
  *n = (gsize)(end - start);
}

/* Takes `stored` over. */
static bool unseal(WsParser *parser, const WsField *field, char *stored, void *slot)
{
  *(char **)slot = ws_unseal(stored, field->name, parser->error);
  ws_secret_free(stored);
  return *(char **)slot != NULL;
}

static bool parse_string(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  const char *s;
  gsize n;
  if (!take_string(parser, &s, &n, "a string", path))
    return false;
  if (parser->mode == WS_PARSE_CREATE && (field->flags & WS_FIELD_NAME_LIKE)) {
    trim(&s, &n);
    if (!ws_text_is_clean(s, n, field->max > 255))
      return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, "text without control characters");
  }
  if (checks_limits(parser)) {
    g_autofree char *expected = ws_string_check(field, s, n);
    if (expected)
      return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
  }
  char *copy = g_malloc(n + 1);
  memcpy(copy, s, n);
  copy[n] = '\0';
  return parser->mode == WS_PARSE_STORED && (field->flags & WS_FIELD_SECRET) ? unseal(parser, field, copy, slot) : (*(char **)slot = copy, true);
}

/* A word of a newer contract: "kind nfs". */
static bool fail_newer_word(WsParser *parser, const WsPath *path, const char *word, gsize n)
{
  g_autofree char *name = ws_path_format(path, NULL, 0);
  g_autofree char *what = n > 0 && n <= 64 ? g_strdup_printf("%s %.*s", name, (int)n, word) : g_strdup(name);
  return ws_fail(parser->error, WS_ERROR_UNSUPPORTED, "what", what, NULL);
}

static bool parse_enum(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  const char *s;
  gsize n;
  if (!take_string(parser, &s, &n, "a string", path))
    return false;
  for (int i = 0; field->names[i]; i++)
    if (strncmp(field->names[i], s, n) == 0 && field->names[i][n] == '\0') {
      *(int *)slot = i + 1;
      return true;
    }
  if (parser->mode == WS_PARSE_STORED)
    return true; /* a newer version's word: absent for us */
  if (parser->mode == WS_PARSE_RPC && !(field->kind == WS_KIND_ENUM && (field->flags & WS_FIELD_REQUIRED))) {
    if (field->kind == WS_KIND_ENUM && field->default_json)
      ws_field_apply_default(field, slot);
    return true;
  }
  if (parser->mode == WS_PARSE_REQUEST)
    return fail_newer_word(parser, path, s, n);
  g_autofree char *words = g_strjoinv(", ", (char **)field->names);
  g_autofree char *expected = g_strdup_printf("one of %s", words);
  return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
}

/* Copies a short text with a NUL behind it; false when it does not fit or has a NUL inside. */
static bool short_text(const char *s, gsize n, char *buf, gsize size)
{
  if (n >= size || memchr(s, '\0', n))
    return false;
  memcpy(buf, s, n);
  buf[n] = '\0';
  return true;
}

static bool parse_ref(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  const char *s;
  gsize n;
  char text[WS_ID_TEXT_MAX];
  if (!take_string(parser, &s, &n, "an id", path))
    return false;
  if (short_text(s, n, text, sizeof text) && ws_id_parse(field->sub->prefix, text, slot))
    return true;
  g_autofree char *expected = g_strdup_printf("an id such as %s-7", field->sub->prefix);
  return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
}

static bool parse_any_ref(WsParser *parser, void *slot, const WsPath *path)
{
  const char *s;
  gsize n;
  char text[WS_ID_TEXT_MAX], prefix[WS_ID_TEXT_MAX];
  if (!take_string(parser, &s, &n, "an id", path))
    return false;
  if (short_text(s, n, text, sizeof text)) {
    const char *dash = strchr(text, '-');
    WsAnyRef ref = {0};
    if (dash && short_text(text, (gsize)(dash - text), prefix, sizeof prefix))
      ref.type = ws_type_by_prefix(prefix);
    if (ref.type && ws_id_parse(prefix, text, &ref.id)) {
      *(WsAnyRef *)slot = ref;
      return true;
    }
  }
  if (parser->mode == WS_PARSE_STORED)
    return true; /* of a type that this version does not know */
  return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, "an id such as vm-7");
}

static bool parse_time(WsParser *parser, void *slot, const WsPath *path)
{
  const char *s;
  gsize n;
  char text[40];
  if (!take_string(parser, &s, &n, "a time", path))
    return false;
  if (short_text(s, n, text, sizeof text) && ws_time_parse(text, slot))
    return true;
  return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, "a time such as 2026-01-31T08:00:00Z");
}

static bool parse_any(WsParser *parser, void *slot, const WsPath *path)
{
  const char *raw;
  gsize n;
  if (!ws_json_take_raw(&parser->reader, &raw, &n, parser->error))
    return false;
  *(char **)slot = g_strndup(raw, n);
  return true;
}

/* ---- lists and maps ---- */

static bool fail_count(WsParser *parser, const WsPath *path, gint64 min, gint64 max, const char *what)
{
  g_autofree char *expected =
      g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " %s", min, max, what);
  return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, expected);
}

static bool parse_items(WsParser *parser, const WsField *field, WsArray *array, const WsPath *path)
{
  GError *failed = NULL;
  gsize size = ws_kind_size(field->item_kind);
  guint capacity = 0;
  while (ws_json_next_item(&parser->reader, &failed)) {
    if (checks_limits(parser) && array->len >= field->max_items)
      return fail_count(parser, path, field->min_items, field->max_items, "items");
    if (array->len == capacity) {
      capacity = capacity ? capacity * 2 : 4;
      array->items = g_realloc_n(array->items, capacity, size);
    }
    void *item = (char *)array->items + array->len * size;
    memset(item, 0, size);
    WsPath at = {.up = path, .index = array->len++};
    if (!ws_parse_value(parser, field, field->item_kind, item, &at))
      return false;
    if ((parser->mode == WS_PARSE_STORED || parser->mode == WS_PARSE_RPC) && ws_value_is_absent(field->item_kind, item))
      array->len--; /* a word or a type that this version does not know */
  }
  if (failed) {
    g_propagate_error(parser->error, failed);
    return false;
  }
  if (array->len < capacity)
    array->items = g_realloc_n(array->items, array->len, size);
  return true;
}

static bool parse_array(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  WsArray *array = slot;
  if (ws_json_peek(&parser->reader) != WS_JSON_ARRAY)
    return ws_parse_wrong_type(parser, path, "a list");
  if (!ws_json_enter_array(&parser->reader, parser->error) || !parse_items(parser, field, array, path))
    return false;
  if (checks_limits(parser) && array->len < field->min_items)
    return fail_count(parser, path, field->min_items, field->max_items, "items");
  return true;
}

bool ws_parse_map_count(WsParser *parser, const WsField *field, guint len, const WsPath *path)
{
  if (checks_limits(parser) && (len < field->min || len > field->max))
    return fail_count(parser, path, field->min, field->max, "entries");
  return true;
}

bool ws_parse_map_entry(WsParser *parser, const WsField *field, const char *key, gsize key_len,
                        WsMapEntry *entry, const WsPath *path)
{
  enum { KEY_MAX = 255 };
  const char *s;
  gsize n;
  g_autofree char *owned = g_strndup(key, key_len); /* the reader's memory goes with the next call */
  WsPath at = {.up = path, .name = owned, .name_len = MIN(key_len, 128)};
  if (checks_limits(parser) && (key_len == 0 || key_len > KEY_MAX || !ws_text_is_clean(key, key_len, false)))
    return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path,
                         "keys of 1 to 255 bytes without control characters");
  if (!take_string(parser, &s, &n, "a string", &at))
    return false;
  if (checks_limits(parser) && (gint64)n > field->max_items && g_utf8_strlen(s, (gssize)n) > field->max_items)
    return fail_count(parser, &at, 0, field->max_items, "characters");
  *entry = (WsMapEntry){g_steal_pointer(&owned), g_strndup(s, n)};
  return true;
}

static int compare_entries(const void *a, const void *b)
{
  return strcmp(((const WsMapEntry *)a)->key, ((const WsMapEntry *)b)->key);
}

static bool parse_map(WsParser *parser, const WsField *field, void *slot, const WsPath *path)
{
  WsMap *map = slot;
  const char *key;
  gsize n;
  GError *failed = NULL;
  if (ws_json_peek(&parser->reader) != WS_JSON_OBJECT)
    return ws_parse_wrong_type(parser, path, "an object of strings");
  if (!ws_json_enter_object(&parser->reader, parser->error))
    return false;
  while (ws_json_next_key(&parser->reader, &key, &n, &failed)) {
    WsMapEntry entry;
    if (!ws_parse_map_count(parser, field, MAX(map->len + 1, (guint)field->min), path) ||
        !ws_parse_map_entry(parser, field, key, n, &entry, path))
      return false;
    *(WsMapEntry *)ws_array_grow((WsArray *)(void *)map, sizeof entry) = entry;
  }
  if (failed) {
    g_propagate_error(parser->error, failed);
    return false;
  }
  if (map->len > 1)
    qsort(map->items, map->len, sizeof *map->items, compare_entries);
  for (guint i = 1; i < map->len; i++)
    if (strcmp(map->items[i - 1].key, map->items[i].key) == 0)
      return ws_parse_fail(parser, WS_ERROR_BAD_VALUE, path, "each key once");
  return ws_parse_map_count(parser, field, map->len, path);
}

/* ---- objects ---- */

static bool fail_twice(WsParser *parser, const char *name)
{
  char position[24];
  g_snprintf(position, sizeof position, "%" G_GSIZE_FORMAT, (gsize)(parser->reader.at - parser->reader.text));
  g_autofree char *expected = g_strdup_printf("\"%s\" only once", name);
  return ws_fail(parser->error, WS_ERROR_BAD_JSON, "position", position, "expected", expected, NULL);
}

static const WsField *find_field(const WsType *type, const char *key, gsize n, guint *guess)
{
  if (*guess < type->n_fields) {
    const WsField *next = &type->fields[*guess];
    if (ws_field_name_len(next) == n && memcmp(next->name, key, n) == 0) {
      ++*guess;
      return next;
    }
  }
  const WsField *field = ws_type_field(type, key, n);
  if (field)
    *guess = ws_field_index(type, field) + 1;
  return field;
}

/* What a newer peer writes of a field that it does not use. */
static bool asks_for_nothing(const char *raw, gsize n)
{
  static const char *const nothing[] = {"null", "false", "0", "\"\"", "[]", "{}"};
  for (guint i = 0; i < G_N_ELEMENTS(nothing); i++)
    if (n == strlen(nothing[i]) && memcmp(raw, nothing[i], n) == 0)
      return true;
  return false;
}

static bool is_system_key(const WsType *type, const char *key, gsize n)
{
  return ws_type_is_resource(type) &&
         ((n == 2 && memcmp(key, "id", 2) == 0) || (n == 8 && memcmp(key, "revision", 8) == 0));
}

bool ws_parse_next_field(WsParser *parser, const WsType *type, WsSeen *seen, guint *guess,
                         const WsField **field, const char **key, gsize *key_len, bool *more,
                         const WsPath *path)
{
  GError *failed = NULL;
  *more = true;
  while (ws_json_next_key(&parser->reader, key, key_len, &failed)) {
    *field = find_field(type, *key, *key_len, guess);
    if (*field && (parser->mode != WS_PARSE_CREATE || !((*field)->flags & WS_FIELD_INTERNAL))) {
      guint i = ws_field_index(type, *field);
      if (ws_seen_has(seen, i))
        return fail_twice(parser, (*field)->name);
      ws_seen_add(seen, i);
      return true;
    }
    *field = NULL;
    if (is_system_key(type, *key, *key_len))
      return true;
    if (parser->mode == WS_PARSE_CREATE) {
      g_autofree char *name = ws_path_format(path, *key, *key_len);
      return ws_fail(parser->error, WS_ERROR_UNKNOWN_FIELD, "field", name, NULL);
    }
    const char *raw;
    gsize n;
    g_autofree char *name = parser->mode == WS_PARSE_REQUEST ? ws_path_format(path, *key, *key_len) : NULL;
    if (!ws_json_take_raw(&parser->reader, &raw, &n, parser->error))
      return false;
    if (parser->mode == WS_PARSE_REQUEST && !asks_for_nothing(raw, n))
      return ws_fail(parser->error, WS_ERROR_UNSUPPORTED, "what", name, NULL);
  }
  *more = false;
  if (failed)
    g_propagate_error(parser->error, failed);
  return failed == NULL;
}

/* "id" and "revision" of a resource: ours to give, so a client cannot. */
static bool parse_system_field(WsParser *parser, const WsType *type, WsResource *resource, const char *key,
                               gsize n, const WsPath *path)
{
  bool is_id = n == 2;
  WsPath at = {.up = path, .name = is_id ? "id" : "revision", .name_len = n};
  if (parser->mode == WS_PARSE_CREATE)
    return ws_parse_fail(parser, WS_ERROR_READ_ONLY_FIELD, &at, NULL);
  if (is_id) {
    const WsField field = {.sub = type};
    return parse_ref(parser, &field, &resource->id, &at);
  }
  gint64 revision;
  const WsField field = {.min = 0, .max = G_MAXINT64};
  if (!parse_int(parser, &field, &revision, &at))
    return false;
  resource->revision = (Revision)revision;
  return true;
}

bool ws_parse_complete(WsParser *parser, const WsType *type, void *object, const WsSeen *seen,
                       const WsPath *path)
{
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    if (ws_seen_has(seen, i))
      continue;
    /* An empty list is not written, so between peers its absence is the empty list. */
    bool empty_list = (parser->mode == WS_PARSE_RPC || parser->mode == WS_PARSE_REQUEST) && (field->kind == WS_KIND_ARRAY || field->kind == WS_KIND_MAP);
    if ((field->flags & WS_FIELD_REQUIRED) && parser->mode != WS_PARSE_STORED && !parser->free_hand && !empty_list) {
      WsPath at = {.up = path, .name = field->name, .name_len = ws_field_name_len(field)};
      return ws_parse_fail(parser, WS_ERROR_REQUIRED, &at, NULL);
    }
    /* Booleans are always written: a stored row without one is older than the field. */
    if (field->default_json && (parser->mode != WS_PARSE_STORED || field->kind == WS_KIND_BOOL))
      ws_field_apply_default(field, ws_field_at(field, object));
  }
  return true;
}

static bool accepts_null(const WsParser *parser, const WsField *field)
{
  switch (parser->mode) {
  case WS_PARSE_CREATE:
    return (field->flags & WS_FIELD_NULLABLE) != 0;
  case WS_PARSE_STORED:
    return true;
  case WS_PARSE_RPC:
  case WS_PARSE_REQUEST:
    return !(field->flags & WS_FIELD_REQUIRED);
  }
  g_assert_not_reached();
}

static bool parse_members(WsParser *parser, const WsType *type, void *object, const WsPath *path)
{
  WsSeen seen = {0};
  guint guess = 0;
  const WsField *field;
  const char *key;
  gsize n;
  for (;;) {
    bool more;
    if (!ws_parse_next_field(parser, type, &seen, &guess, &field, &key, &n, &more, path))
      return false;
    if (!more)
      break;
    if (!field) {
      if (!parse_system_field(parser, type, object, key, n, path))
        return false;
      continue;
    }
    WsPath at = {.up = path, .name = field->name, .name_len = ws_field_name_len(field)};
    if (parser->mode == WS_PARSE_CREATE && (field->flags & WS_FIELD_READ_ONLY) && !parser->free_hand)
      return ws_parse_fail(parser, WS_ERROR_READ_ONLY_FIELD, &at, NULL);
    if (ws_json_peek(&parser->reader) == WS_JSON_NULL && accepts_null(parser, field)) {
      if (!ws_json_take_null(&parser->reader, parser->error))
        return false;
      continue;
    }
    if (!ws_parse_value(parser, field, field->kind, ws_field_at(field, object), &at))
      return false;
  }
  return ws_parse_complete(parser, type, object, &seen, path);
}

static bool parse_object(WsParser *parser, const WsType *type, void *slot, const WsPath *path)
{
  if (ws_json_peek(&parser->reader) != WS_JSON_OBJECT)
    return ws_parse_wrong_type(parser, path, "an object");
  if (!ws_json_enter_object(&parser->reader, parser->error))
    return false;
  *(void **)slot = ws_object_new(type);
  return parse_members(parser, type, *(void **)slot, path);
}

bool ws_parse_value(WsParser *parser, const WsField *field, WsKind kind, void *slot, const WsPath *path)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return parse_bool(parser, field, slot, path);
  case WS_KIND_INT:
    return parse_int(parser, field, slot, path);
  case WS_KIND_DOUBLE:
    return parse_double(parser, field, slot, path);
  case WS_KIND_STRING:
    return parse_string(parser, field, slot, path);
  case WS_KIND_ENUM:
    return parse_enum(parser, field, slot, path);
  case WS_KIND_REF:
    return parse_ref(parser, field, slot, path);
  case WS_KIND_ANYREF:
    return parse_any_ref(parser, slot, path);
  case WS_KIND_TIME:
    return parse_time(parser, slot, path);
  case WS_KIND_OBJECT:
    return parse_object(parser, field->sub, slot, path);
  case WS_KIND_ARRAY:
    return parse_array(parser, field, slot, path);
  case WS_KIND_MAP:
    return parse_map(parser, field, slot, path);
  case WS_KIND_ANY:
    return parse_any(parser, slot, path);
  }
  g_assert_not_reached();
}

void *ws_object_parse(const WsType *type, const char *json, gsize n, WsParseMode mode, GError **error)
{
  WsParser parser = {.mode = mode, .error = error};
  void *object = NULL;
  ws_json_reader_init(&parser.reader, json, n);
  bool ok = parse_object(&parser, type, &object, NULL) && ws_json_reader_end(&parser.reader, error);
  ws_json_reader_clear(&parser.reader);
  if (!ok) {
    ws_object_free(type, object);
    return NULL;
  }
  return object;
}
