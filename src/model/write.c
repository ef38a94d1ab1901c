// SPDX-License-Identifier: Apache-2.0
/* Object to JSON, and the choice of fields to write. Absent values are left out; clients always get lists and
 * maps, empty ones too. */
#include "model/type-private.h"
#include "base/clock.h"
#include "base/seal.h"

/* ---- which fields ---- */

struct WsFieldSet {
  const WsType *type;
  WsSeen fields;
};

WsFieldSet *ws_field_set_parse(const WsType *type, const char *list, GError **error)
{
  g_autoptr(WsFieldSet) set = g_new0(WsFieldSet, 1);
  set->type = type;
  for (const char *at = list;; at++) {
    gsize n = strcspn(at, ",");
    const WsField *field = ws_type_field(type, at, n);
    bool system = (n == 2 && memcmp(at, "id", n) == 0) || (n == 8 && memcmp(at, "revision", n) == 0);
    if (field && !(field->flags & (WS_FIELD_INTERNAL | WS_FIELD_SECRET))) {
      ws_seen_add(&set->fields, ws_field_index(type, field));
    } else if (!system || !ws_type_is_resource(type)) {
      g_autofree char *name = ws_path_format(NULL, at, n);
      ws_fail(error, WS_ERROR_UNKNOWN_FIELD, "field", name, NULL);
      return NULL;
    }
    at += n;
    if (!*at)
      return g_steal_pointer(&set);
  }
}

void ws_field_set_free(WsFieldSet *set)
{
  g_free(set);
}

/* ---- values ---- */

static guint hidden_flags(WsWriteMode mode)
{
  switch (mode) {
  case WS_WRITE_CLIENT:
    return WS_FIELD_SECRET | WS_FIELD_INTERNAL;
  case WS_WRITE_STORED:
    return WS_FIELD_TRANSIENT;
  case WS_WRITE_PEER:
    return 0;
  case WS_WRITE_OLDER:
    return WS_FIELD_DISPENSABLE;
  }
  g_assert_not_reached();
}

static void write_members(const WsType *type, const void *object, WsWriteMode mode, const WsFieldSet *set,
                          WsJsonWriter *w);

static void write_id(const WsType *type, WsId id, WsJsonWriter *w)
{
  char text[WS_ID_TEXT_MAX + 2];
  text[0] = '"';
  ws_id_format(type->prefix, id, text + 1);
  gsize n = strlen(text);
  text[n] = '"';
  ws_json_raw(w, text, n + 1);
}

static void write_time(gint64 us, WsJsonWriter *w)
{
  char text[34];
  text[0] = '"';
  ws_time_format(us, text + 1);
  gsize n = strlen(text);
  text[n] = '"';
  ws_json_raw(w, text, n + 1);
}

static void write_map(const WsMap *map, WsJsonWriter *w)
{
  ws_json_begin_object(w);
  for (guint i = 0; i < map->len; i++) {
    ws_json_key(w, map->items[i].key);
    ws_json_string(w, map->items[i].value);
  }
  ws_json_end_object(w);
}

/* On disk secrets are not in clear. */
static void write_sealed(const WsField *field, const char *text, WsJsonWriter *w)
{
  g_autofree char *sealed = ws_seal(text, field->name);
  ws_json_string(w, sealed);
}

static void write_value(const WsField *field, WsKind kind, const void *slot, WsWriteMode mode,
                        WsJsonWriter *w)
{
  switch (kind) {
  case WS_KIND_BOOL:
    ws_json_bool(w, *(const bool *)slot);
    break;
  case WS_KIND_INT:
    ws_json_int(w, *(const gint64 *)slot);
    break;
  case WS_KIND_DOUBLE:
    ws_json_double(w, *(const double *)slot);
    break;
  case WS_KIND_STRING:
    if (mode == WS_WRITE_STORED && (field->flags & WS_FIELD_SECRET))
      write_sealed(field, *(char *const *)slot, w);
    else
      ws_json_string(w, *(char *const *)slot);
    break;
  case WS_KIND_ENUM: {
    int value = *(const int *)slot;
    ws_json_string(w, value ? field->names[value - 1] : NULL);
    break;
  }
  case WS_KIND_REF:
    write_id(field->sub, *(const WsId *)slot, w);
    break;
  case WS_KIND_ANYREF: {
    const WsAnyRef *ref = slot;
    write_id(ref->type, ref->id, w);
    break;
  }
  case WS_KIND_TIME:
    write_time(*(const gint64 *)slot, w);
    break;
  case WS_KIND_OBJECT:
    write_members(field->sub, *(void *const *)slot, mode, NULL, w);
    break;
  case WS_KIND_ARRAY: {
    const WsArray *array = slot;
    gsize size = ws_kind_size(field->item_kind);
    ws_json_begin_array(w);
    for (guint i = 0; i < array->len; i++)
      write_value(field, field->item_kind, (char *)array->items + i * size, mode, w);
    ws_json_end_array(w);
    break;
  }
  case WS_KIND_MAP:
    write_map(slot, w);
    break;
  case WS_KIND_ANY: {
    const char *json = *(char *const *)slot;
    ws_json_raw(w, json, strlen(json));
    break;
  }
  }
}

static bool is_list_or_map(const WsField *field)
{
  return field->kind == WS_KIND_ARRAY || field->kind == WS_KIND_MAP;
}

static void write_identity(const WsType *type, const WsResource *resource, WsJsonWriter *w)
{
  ws_json_key_raw(w, "\"id\":", 5);
  write_id(type, resource->id, w);
  ws_json_key_raw(w, "\"revision\":", 11);
  ws_json_uint(w, resource->revision);
}

static void write_members(const WsType *type, const void *object, WsWriteMode mode, const WsFieldSet *set,
                          WsJsonWriter *w)
{
  guint hidden = hidden_flags(mode);
  ws_json_begin_object(w);
  if (ws_type_is_resource(type) && ((const WsResource *)object)->id) /* one that is not created yet has none */
    write_identity(type, object, w);
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    const void *slot = ws_field_at(field, object);
    if ((field->flags & hidden) || (set && !ws_seen_has(&set->fields, i)))
      continue;
    if (ws_value_is_absent(field->kind, slot) && !(mode == WS_WRITE_CLIENT && is_list_or_map(field)))
      continue;
    ws_json_key_raw(w, field->quoted, field->quoted_len);
    write_value(field, field->kind, slot, mode, w);
  }
  ws_json_end_object(w);
}

void ws_object_write(const WsType *type, const void *object, WsWriteMode mode, const WsFieldSet *set,
                     WsJsonWriter *w)
{
  g_assert(!set || set->type == type);
  write_members(type, object, mode, set, w);
}

void ws_object_write_changes(const WsType *type, const void *before, const void *after, WsJsonWriter *w)
{
  guint hidden = hidden_flags(WS_WRITE_CLIENT);
  ws_json_begin_object(w);
  write_identity(type, after, w);
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    const void *slot = ws_field_at(field, after);
    if ((field->flags & hidden) || ws_value_equal(field, field->kind, ws_field_at(field, before), slot, false))
      continue;
    ws_json_key_raw(w, field->quoted, field->quoted_len);
    if (ws_value_is_absent(field->kind, slot) && !is_list_or_map(field))
      ws_json_null(w);
    else
      write_value(field, field->kind, slot, WS_WRITE_CLIENT, w);
  }
  ws_json_end_object(w);
}

char *ws_object_to_json(const WsType *type, const void *object, WsWriteMode mode, gsize *n)
{
  GString *out = g_string_sized_new(1024);
  WsJsonWriter w = ws_json_writer(out);
  write_members(type, object, mode, NULL, &w);
  if (n)
    *n = out->len;
  return g_string_free(out, FALSE);
}

/* ---- what clients sent ---- */

static bool copy_members(const WsType *type, WsJsonReader *r, WsJsonWriter *w);

static bool copy_raw(WsJsonReader *r, WsJsonWriter *w)
{
  const char *raw;
  gsize n;
  bool ok = ws_json_take_raw(r, &raw, &n, NULL);
  if (ok && w)
    ws_json_raw(w, raw, n);
  return ok;
}

static bool copy_parts(const WsType *type, WsJsonReader *r, WsJsonWriter *w)
{
  g_autoptr(GError) error = NULL;
  if (!ws_json_enter_array(r, NULL))
    return false;
  ws_json_begin_array(w);
  while (ws_json_next_item(r, &error))
    if (!(ws_json_peek(r) == WS_JSON_OBJECT ? copy_members(type, r, w) : copy_raw(r, w)))
      return false;
  ws_json_end_array(w);
  return !error;
}

static bool copy_members(const WsType *type, WsJsonReader *r, WsJsonWriter *w)
{
  g_autoptr(GError) error = NULL;
  const char *key;
  gsize n;
  if (!ws_json_enter_object(r, NULL))
    return false;
  ws_json_begin_object(w);
  while (ws_json_next_key(r, &key, &n, &error)) {
    const WsField *field = ws_type_field(type, key, n);
    bool secret = field && (field->flags & WS_FIELD_SECRET);
    if (!secret) {
      g_autofree char *name = g_strndup(key, n);
      ws_json_key(w, name);
    }
    WsJsonKind kind = ws_json_peek(r);
    bool part = field && !secret && field->kind == WS_KIND_OBJECT && kind == WS_JSON_OBJECT;
    bool parts = field && !secret && field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_OBJECT && kind == WS_JSON_ARRAY;
    if (!(part ? copy_members(field->sub, r, w) : parts ? copy_parts(field->sub, r, w) : copy_raw(r, secret ? NULL : w)))
      return false;
  }
  ws_json_end_object(w);
  return !error;
}

char *ws_json_without_secrets(const WsType *type, const char *json, gsize n)
{
  g_auto(WsJsonReader) r = {0};
  GString *out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_reader_init(&r, json, n);
  if (!copy_members(type, &r, &w))
    g_string_assign(out, "{}");
  return g_string_free(out, FALSE);
}
