// SPDX-License-Identifier: Apache-2.0
/* Paths such as power.state: resolved once against a type, then followed in many objects. */
#include "model/type-private.h"

static bool is(const char *text, gsize n, const char *word)
{
  return strlen(word) == n && memcmp(text, word, n) == 0;
}

bool ws_field_path_parse(const WsType *type, const char *text, gsize n, WsFieldPath *path)
{
  *path = (WsFieldPath){.what = WS_PATH_FIELD};
  if (ws_type_is_resource(type) && (is(text, n, "id") || is(text, n, "revision"))) {
    path->what = is(text, n, "id") ? WS_PATH_ID : WS_PATH_REVISION;
    return true;
  }
  for (;;) {
    const char *dot = memchr(text, '.', n);
    gsize len = dot ? (gsize)(dot - text) : n;
    const WsField *field = ws_type_field(type, text, len);
    if (!field || (field->flags & (WS_FIELD_SECRET | WS_FIELD_INTERNAL)) ||
        path->n_steps == WS_FIELD_PATH_MAX)
      return false;
    path->steps[path->n_steps++] = field;
    if (!dot)
      return true;
    text += len + 1;
    n -= len + 1;
    if (field->kind == WS_KIND_MAP) {
      path->map_key = g_strndup(text, n);
      return n > 0;
    }
    if (field->kind != WS_KIND_OBJECT &&
        !(field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_OBJECT))
      return false;
    type = field->sub;
  }
}

void ws_field_path_clear(WsFieldPath *path)
{
  g_clear_pointer(&path->map_key, g_free);
}

static bool visit(const WsFieldPath *path, guint step, const void *object, WsPathVisit func, void *arg);

static bool visit_slot(const WsFieldPath *path, guint step, WsKind kind, const void *slot, WsPathVisit func,
                       void *arg)
{
  const WsField *field = path->steps[step];
  if (kind == WS_KIND_ARRAY) {
    const WsArray *array = slot;
    gsize size = ws_kind_size(field->item_kind);
    for (guint i = 0; i < array->len; i++)
      if (visit_slot(path, step, field->item_kind, (const char *)array->items + i * size, func, arg))
        return true;
    return false;
  }
  if (ws_value_is_absent(kind, slot))
    return false;
  if (step + 1 < path->n_steps)
    return visit(path, step + 1, *(void *const *)slot, func, arg);
  if (path->map_key) {
    const char *value = ws_map_get(slot, path->map_key);
    return value && func(field, WS_KIND_STRING, &value, arg);
  }
  return func(field, kind, slot, arg);
}

static bool visit(const WsFieldPath *path, guint step, const void *object, WsPathVisit func, void *arg)
{
  const WsField *field = path->steps[step];
  return visit_slot(path, step, field->kind, ws_field_at(field, object), func, arg);
}

bool ws_field_path_visit(const WsFieldPath *path, const void *object, WsPathVisit func, void *arg)
{
  if (path->what == WS_PATH_FIELD)
    return visit(path, 0, object, func, arg);
  const WsResource *resource = object;
  return func(NULL, path->what == WS_PATH_ID ? WS_KIND_REF : WS_KIND_INT,
              path->what == WS_PATH_ID ? (const void *)&resource->id : (const void *)&resource->revision,
              arg);
}
