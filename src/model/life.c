// SPDX-License-Identifier: Apache-2.0
/* Life of objects: making, copying, counting, freeing, defaults; lists and maps by hand. */
#include "model/type-private.h"
#include <math.h>

gsize ws_kind_size(WsKind kind)
{
  static const guint8 sizes[] = {
      [WS_KIND_BOOL] = sizeof(bool),       [WS_KIND_INT] = sizeof(gint64),  [WS_KIND_DOUBLE] = sizeof(double),
      [WS_KIND_STRING] = sizeof(char *),   [WS_KIND_ENUM] = sizeof(int),    [WS_KIND_REF] = sizeof(WsId),
      [WS_KIND_ANYREF] = sizeof(WsAnyRef), [WS_KIND_TIME] = sizeof(gint64), [WS_KIND_OBJECT] = sizeof(void *),
      [WS_KIND_ARRAY] = sizeof(WsArray),   [WS_KIND_MAP] = sizeof(WsMap),   [WS_KIND_ANY] = sizeof(char *),
  };
  return sizes[kind];
}

/* ---- making ---- */

void *ws_object_new(const WsType *type)
{
  void *object = g_malloc0(type->size);
  if (ws_type_is_resource(type)) {
    WsResource *resource = object;
    resource->type = type;
    resource->ref_count = 1;
  }
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++) {
    if (f->kind == WS_KIND_INT)
      *(gint64 *)ws_field_at(f, object) = WS_INT_UNSET;
    else if (f->kind == WS_KIND_DOUBLE)
      *(double *)ws_field_at(f, object) = NAN;
  }
  return object;
}

void ws_field_apply_default(const WsField *field, void *slot)
{
  if (!field->default_json || (field->kind != WS_KIND_BOOL && !ws_value_is_absent(field->kind, slot)))
    return;
  /* Defaults were checked by the generator, so this cannot fail; STORED because they need no second check. */
  g_autoptr(GError) error = NULL;
  WsParser parser = {.mode = WS_PARSE_STORED, .error = &error};
  ws_json_reader_init(&parser.reader, field->default_json, strlen(field->default_json));
  bool ok = ws_parse_value(&parser, field, field->kind, slot, NULL);
  ws_json_reader_clear(&parser.reader);
  g_assert(ok);
  if (field->kind == WS_KIND_OBJECT) /* "default: {}" brings the part with its own defaults */
    ws_apply_defaults(field->sub, *(void **)slot);
}

void ws_apply_defaults(const WsType *type, void *object)
{
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++)
    ws_field_apply_default(f, ws_field_at(f, object));
}

/* ---- copying ---- */

static void copy_array(const WsField *field, WsArray *to, const WsArray *from)
{
  gsize size = ws_kind_size(field->item_kind);
  to->len = from->len;
  to->items = from->len ? g_malloc(from->len * size) : NULL;
  for (guint i = 0; i < from->len; i++)
    ws_value_copy(field, field->item_kind, (char *)to->items + i * size,
                  (const char *)from->items + i * size);
}

static void copy_map(WsMap *to, const WsMap *from)
{
  to->len = from->len;
  to->items = from->len ? g_new(WsMapEntry, from->len) : NULL;
  for (guint i = 0; i < from->len; i++)
    to->items[i] = (WsMapEntry){g_strdup(from->items[i].key), g_strdup(from->items[i].value)};
}

void ws_value_copy(const WsField *field, WsKind kind, void *to, const void *from)
{
  switch (kind) {
  case WS_KIND_STRING:
  case WS_KIND_ANY:
    *(char **)to = g_strdup(*(char *const *)from);
    break;
  case WS_KIND_OBJECT: {
    const void *object = *(void *const *)from;
    *(void **)to = object ? ws_object_copy(field->sub, object) : NULL;
    break;
  }
  case WS_KIND_ARRAY:
    copy_array(field, to, from);
    break;
  case WS_KIND_MAP:
    copy_map(to, from);
    break;
  default:
    memcpy(to, from, ws_kind_size(kind));
  }
}

/* True for kinds whose value is more than the bytes of its slot. */
static bool kind_owns(WsKind kind)
{
  return kind == WS_KIND_STRING || kind == WS_KIND_ANY || kind == WS_KIND_OBJECT || kind == WS_KIND_ARRAY ||
         kind == WS_KIND_MAP;
}

void *ws_object_copy(const WsType *type, const void *object)
{
  char *copy = g_malloc(type->size);
  gsize from = 0;
  if (ws_type_is_resource(type)) { /* the original's count is not read: other threads may be counting */
    *(WsResource *)(void *)copy = (WsResource){.type = type, .ref_count = 1};
    from = G_STRUCT_OFFSET(WsResource, id);
  }
  memcpy(copy + from, (const char *)object + from, type->size - from);
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++)
    if (kind_owns(f->kind))
      ws_value_copy(f, f->kind, ws_field_at(f, copy), ws_field_at(f, object));
  return copy;
}

/* ---- freeing ---- */

static void free_string(const WsField *field, char *s)
{
  if (s && (field->flags & WS_FIELD_SECRET))
    explicit_bzero(s, strlen(s));
  g_free(s);
}

void ws_value_clear(const WsField *field, WsKind kind, void *slot)
{
  switch (kind) {
  case WS_KIND_STRING:
  case WS_KIND_ANY:
    free_string(field, *(char **)slot);
    *(char **)slot = NULL;
    break;
  case WS_KIND_OBJECT:
    ws_object_free(field->sub, *(void **)slot);
    *(void **)slot = NULL;
    break;
  case WS_KIND_ARRAY: {
    WsArray *array = slot;
    if (kind_owns(field->item_kind))
      for (guint i = 0; i < array->len; i++)
        ws_value_clear(field, field->item_kind, (char *)array->items + i * ws_kind_size(field->item_kind));
    g_free(array->items);
    *array = (WsArray){0};
    break;
  }
  case WS_KIND_MAP: {
    WsMap *map = slot;
    for (guint i = 0; i < map->len; i++) {
      g_free(map->items[i].key);
      g_free(map->items[i].value);
    }
    g_free(map->items);
    *map = (WsMap){0};
    break;
  }
  case WS_KIND_INT:
    *(gint64 *)slot = WS_INT_UNSET;
    break;
  case WS_KIND_DOUBLE:
    *(double *)slot = NAN;
    break;
  default:
    memset(slot, 0, ws_kind_size(kind));
  }
}

void ws_object_free(const WsType *type, void *object)
{
  if (!object)
    return;
  g_assert(!ws_type_is_resource(type) || ((WsResource *)object)->ref_count <= 1);
  if (ws_type_is_resource(type) && ((WsResource *)object)->packed_bytes) {
    explicit_bzero(object, ((WsResource *)object)->packed_bytes); /* there may be secrets among it */
    g_free(object);
    return;
  }
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++)
    if (kind_owns(f->kind))
      ws_value_clear(f, f->kind, ws_field_at(f, object));
  g_free(object);
}

WsResource *ws_resource_ref(const void *resource)
{
  WsResource *r = (WsResource *)resource;
  g_atomic_int_inc(&r->ref_count);
  return r;
}

void ws_resource_unref(const void *resource)
{
  WsResource *r = (WsResource *)resource;
  if (r && g_atomic_int_dec_and_test(&r->ref_count))
    ws_object_free(r->type, r);
}

/* ---- lists and maps by hand ---- */

void *ws_array_grow(WsArray *array, gsize item_size)
{
  array->items = g_realloc_n(array->items, array->len + 1, item_size);
  void *item = (char *)array->items + array->len++ * item_size;
  memset(item, 0, item_size);
  return item;
}

/* Position of `key`, or where it belongs (*found false). */
static guint map_find(const WsMap *map, const char *key, bool *found)
{
  guint low = 0, high = map->len;
  while (low < high) {
    guint middle = (low + high) / 2;
    int order = strcmp(key, map->items[middle].key);
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  *found = false;
  return low;
}

const char *ws_map_get(const WsMap *map, const char *key)
{
  bool found;
  guint i = map_find(map, key, &found);
  return found ? map->items[i].value : NULL;
}

void ws_map_set(WsMap *map, const char *key, const char *value)
{
  bool found;
  guint i = map_find(map, key, &found);
  if (found && value) {
    char *copy = g_strdup(value); /* before the old one goes: it may be the same */
    g_free(map->items[i].value);
    map->items[i].value = copy;
  } else if (found) {
    g_free(map->items[i].key);
    g_free(map->items[i].value);
    memmove(&map->items[i], &map->items[i + 1], (map->len - i - 1) * sizeof *map->items);
    map->len--;
  } else if (value) {
    map->items = g_renew(WsMapEntry, map->items, map->len + 1);
    memmove(&map->items[i + 1], &map->items[i], (map->len - i) * sizeof *map->items);
    map->items[i] = (WsMapEntry){g_strdup(key), g_strdup(value)};
    map->len++;
  }
}

void ws_resource_take_fields(const WsType *type, void *to, void *from)
{
  g_assert(ws_type_is_resource(type) && !((WsResource *)to)->packed_bytes && !((WsResource *)from)->packed_bytes);
  gsize head = sizeof(WsResource), n = type->size - head;
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++)
    ws_value_clear(f, f->kind, ws_field_at(f, to));
  memcpy((char *)to + head, (char *)from + head, n);
  g_autofree WsResource *empty = ws_object_new(type);
  memcpy((char *)from + head, (char *)empty + head, n);
}
