// SPDX-License-Identifier: Apache-2.0
/* Comparing two objects of a type: wholly, or without what hosts report all the time. */
#include "model/type-private.h"
#include <math.h>

static bool object_equal(const WsType *type, const void *a, const void *b, bool skip_volatile)
{
  if (a == b)
    return true;
  if (ws_type_is_resource(type) && ((const WsResource *)a)->id != ((const WsResource *)b)->id)
    return false;
  for (const WsField *f = type->fields, *end = f + type->n_fields; f < end; f++) {
    if (skip_volatile && (f->flags & WS_FIELD_VOLATILE))
      continue;
    if (!ws_value_equal(f, f->kind, ws_field_at(f, a), ws_field_at(f, b), skip_volatile))
      return false;
  }
  return true;
}

static bool array_equal(const WsField *field, const WsArray *a, const WsArray *b, bool skip_volatile)
{
  gsize size = ws_kind_size(field->item_kind);
  if (a->len != b->len)
    return false;
  for (guint i = 0; i < a->len; i++)
    if (!ws_value_equal(field, field->item_kind, (char *)a->items + i * size, (char *)b->items + i * size,
                        skip_volatile))
      return false;
  return true;
}

static bool map_equal(const WsMap *a, const WsMap *b)
{
  if (a->len != b->len)
    return false;
  for (guint i = 0; i < a->len; i++)
    if (strcmp(a->items[i].key, b->items[i].key) != 0 || g_strcmp0(a->items[i].value, b->items[i].value) != 0)
      return false;
  return true;
}

bool ws_value_equal(const WsField *field, WsKind kind, const void *a, const void *b, bool skip_volatile)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return *(const bool *)a == *(const bool *)b;
  case WS_KIND_INT:
  case WS_KIND_REF:
  case WS_KIND_TIME:
    return *(const gint64 *)a == *(const gint64 *)b;
  case WS_KIND_DOUBLE: {
    double x = *(const double *)a, y = *(const double *)b;
    return x == y || (isnan(x) && isnan(y));
  }
  case WS_KIND_ENUM:
    return *(const int *)a == *(const int *)b;
  case WS_KIND_ANYREF: {
    const WsAnyRef *x = a, *y = b;
    return x->type == y->type && x->id == y->id;
  }
  case WS_KIND_STRING:
  case WS_KIND_ANY:
    return g_strcmp0(*(char *const *)a, *(char *const *)b) == 0;
  case WS_KIND_OBJECT: {
    const void *x = *(void *const *)a, *y = *(void *const *)b;
    return x && y ? object_equal(field->sub, x, y, skip_volatile) : x == y;
  }
  case WS_KIND_ARRAY:
    return array_equal(field, a, b, skip_volatile);
  case WS_KIND_MAP:
    return map_equal(a, b);
  }
  g_assert_not_reached();
}

bool ws_object_equal(const WsType *type, const void *a, const void *b)
{
  return object_equal(type, a, b, false);
}

bool ws_object_differs_only_volatile(const WsType *type, const void *a, const void *b)
{
  return object_equal(type, a, b, true) && !object_equal(type, a, b, false);
}
