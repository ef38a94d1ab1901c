// SPDX-License-Identifier: Apache-2.0
/* Where two objects differ, as paths of fields. Generic over the descriptors, so a new field needs nothing
 * here. See type.h. */
#include "model/type-private.h"
#include <string.h>

static bool scalar_equal(WsKind kind, const void *a, const void *b)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return *(const bool *)a == *(const bool *)b;
  case WS_KIND_ENUM:
    return *(const int *)a == *(const int *)b;
  case WS_KIND_STRING:
  case WS_KIND_ANY:
    return g_strcmp0(*(char *const *)a, *(char *const *)b) == 0;
  case WS_KIND_DOUBLE:
    return memcmp(a, b, sizeof(double)) == 0;
  default: /* INT, REF, TIME: 64 bits each */
    return *(const gint64 *)a == *(const gint64 *)b;
  }
}

static gsize item_size(WsKind kind)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return sizeof(bool);
  case WS_KIND_ENUM:
    return sizeof(int);
  default:
    return 8; /* numbers and pointers */
  }
}

static void diff_objects(const WsType *type, const void *a, const void *b, const char *path,
                         const char *const *skip, GPtrArray *out);

static const char *key_of(const WsType *type, const void *object)
{
  const WsField *field = ws_type_field(type, "key", 3);
  return field ? *(char *const *)ws_field_at(field, object) : NULL;
}

static const void *find_by_key(const WsType *type, const WsArray *array, const char *key)
{
  void *const *items = array->items;
  for (guint i = 0; i < array->len; i++)
    if (g_strcmp0(key_of(type, items[i]), key) == 0)
      return items[i];
  return NULL;
}

/* Items with a key are told apart by it, in any order. */
static void diff_keyed(const WsType *type, const WsArray *a, const WsArray *b, const char *path,
                       const char *const *skip, GPtrArray *out)
{
  void *const *items_a = a->items, *const *items_b = b->items;
  for (guint i = 0; i < a->len; i++) {
    const char *key = key_of(type, items_a[i]);
    g_autofree char *item_path = g_strdup_printf("%s[%s]", path, key);
    const void *other = find_by_key(type, b, key);
    if (other)
      diff_objects(type, items_a[i], other, item_path, skip, out);
    else
      g_ptr_array_add(out, g_steal_pointer(&item_path));
  }
  for (guint i = 0; i < b->len; i++)
    if (!find_by_key(type, a, key_of(type, items_b[i])))
      g_ptr_array_add(out, g_strdup_printf("%s[%s]", path, key_of(type, items_b[i])));
}

static bool arrays_equal(const WsField *field, const WsArray *a, const WsArray *b)
{
  if (a->len != b->len)
    return false;
  gsize size = item_size(field->item_kind);
  for (guint i = 0; i < a->len; i++) {
    const char *x = (const char *)a->items + i * size, *y = (const char *)b->items + i * size;
    bool same = field->item_kind == WS_KIND_OBJECT
                    ? ws_object_equal(field->sub, *(void *const *)x, *(void *const *)y)
                    : scalar_equal(field->item_kind, x, y);
    if (!same)
      return false;
  }
  return true;
}

static void diff_field(const WsField *field, const void *a, const void *b, const char *path,
                       const char *const *skip, GPtrArray *out)
{
  const void *x = ws_field_at(field, a), *y = ws_field_at(field, b);
  if (field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_OBJECT &&
      ws_type_field(field->sub, "key", 3)) {
    diff_keyed(field->sub, x, y, path, skip, out);
    return;
  }
  bool same;
  if (field->kind == WS_KIND_OBJECT) {
    const void *sub_a = *(void *const *)x, *sub_b = *(void *const *)y;
    if (sub_a && sub_b) {
      diff_objects(field->sub, sub_a, sub_b, path, skip, out);
      return;
    }
    same = !sub_a && !sub_b;
  } else if (field->kind == WS_KIND_ARRAY) {
    same = arrays_equal(field, x, y);
  } else {
    same = scalar_equal(field->kind, x, y);
  }
  if (!same)
    g_ptr_array_add(out, g_strdup(path));
}

static void diff_objects(const WsType *type, const void *a, const void *b, const char *path,
                         const char *const *skip, GPtrArray *out)
{
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    if (g_strv_contains(skip, field->name))
      continue;
    g_autofree char *field_path = *path ? g_strconcat(path, ".", field->name, NULL) : g_strdup(field->name);
    diff_field(field, a, b, field_path, skip, out);
  }
}

GPtrArray *ws_object_diff(const WsType *type, const void *a, const void *b, const char *const *skip)
{
  GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
  diff_objects(type, a, b, "", skip, out);
  return out;
}
