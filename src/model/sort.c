// SPDX-License-Identifier: Apache-2.0
/* Order of lists: "name,-memory_bytes". What is absent comes last either way; ties end with the id. */
#include "model/type-private.h"

enum { KEYS_MAX = 4 };

typedef struct {
  WsFieldPath path;
  bool descending;
} Key;

struct WsSort {
  guint n_keys;
  Key keys[KEYS_MAX];
};

static bool goes_through_list(const WsFieldPath *path)
{
  for (guint i = 0; i < path->n_steps; i++)
    if (path->steps[i]->kind == WS_KIND_ARRAY)
      return true;
  return false;
}

/* Kinds that have an order. */
static bool is_sortable(const WsFieldPath *path)
{
  if (path->what != WS_PATH_FIELD || path->map_key)
    return true;
  if (goes_through_list(path))
    return false;
  WsKind kind = path->steps[path->n_steps - 1]->kind;
  return kind != WS_KIND_OBJECT && kind != WS_KIND_MAP && kind != WS_KIND_ANY;
}

WsSort *ws_sort_parse(const WsType *type, const char *text, GError **error)
{
  g_autoptr(WsSort) sort = g_new0(WsSort, 1);
  for (const char *at = text;; at++) {
    if (sort->n_keys == KEYS_MAX) {
      ws_fail(error, WS_ERROR_BAD_VALUE, "field", "sort", "expected", "at most 4 fields", NULL);
      return NULL;
    }
    Key *key = &sort->keys[sort->n_keys++];
    key->descending = *at == '-';
    at += key->descending;
    gsize n = strcspn(at, ",");
    if (!ws_field_path_parse(type, at, n, &key->path)) {
      g_autofree char *name = ws_path_format(NULL, at, n);
      ws_fail(error, WS_ERROR_UNKNOWN_FIELD, "field", name, NULL);
      return NULL;
    }
    if (!is_sortable(&key->path)) {
      g_autofree char *name = ws_path_format(NULL, at, n);
      g_autofree char *expected = g_strdup_printf("fields that have an order, which %s has not", name);
      ws_fail(error, WS_ERROR_BAD_VALUE, "field", "sort", "expected", expected, NULL);
      return NULL;
    }
    at += n;
    if (!*at)
      return g_steal_pointer(&sort);
  }
}

void ws_sort_free(WsSort *sort)
{
  if (!sort)
    return;
  for (guint i = 0; i < sort->n_keys; i++)
    ws_field_path_clear(&sort->keys[i].path);
  g_free(sort);
}

typedef struct {
  WsKind kind;
  const void *slot; /* NULL: absent */
  const char *text; /* of a map entry: its slot does not outlive the visit */
} Found;

static bool found_value(const WsField *field, WsKind kind, const void *slot, void *arg)
{
  Found *found = arg;
  found->kind = kind;
  found->slot = slot;
  if (kind == WS_KIND_STRING)
    found->text = *(char *const *)slot;
  return true;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_refs(const WsAnyRef *a, const WsAnyRef *b)
{
  int order = strcmp(a->type->prefix, b->type->prefix);
  return order ? order : ORDER(a->id, b->id);
}

static int compare_values(WsKind kind, const Found *a, const Found *b)
{
  switch (kind) {
  case WS_KIND_BOOL:
    return ORDER(*(const bool *)a->slot, *(const bool *)b->slot);
  case WS_KIND_INT:
  case WS_KIND_TIME:
    return ORDER(*(const gint64 *)a->slot, *(const gint64 *)b->slot);
  case WS_KIND_REF:
    return ORDER(*(const WsId *)a->slot, *(const WsId *)b->slot);
  case WS_KIND_DOUBLE:
    return ORDER(*(const double *)a->slot, *(const double *)b->slot);
  case WS_KIND_ENUM:
    return ORDER(*(const int *)a->slot, *(const int *)b->slot);
  case WS_KIND_ANYREF:
    return compare_refs(a->slot, b->slot);
  case WS_KIND_STRING:
    return ws_text_compare(a->text, b->text);
  default:
    g_assert_not_reached();
  }
}

int ws_sort_compare(const WsSort *sort, const void *a, const void *b)
{
  for (guint i = 0; i < sort->n_keys; i++) {
    const Key *key = &sort->keys[i];
    Found x = {0}, y = {0};
    bool has_x = ws_field_path_visit(&key->path, a, found_value, &x);
    bool has_y = ws_field_path_visit(&key->path, b, found_value, &y);
    if (!has_x || !has_y) {
      if (has_x != has_y)
        return has_x ? -1 : 1;
      continue;
    }
    int order = compare_values(x.kind, &x, &y);
    if (order)
      return key->descending ? -order : order;
  }
  return ORDER(((const WsResource *)a)->id, ((const WsResource *)b)->id);
}
