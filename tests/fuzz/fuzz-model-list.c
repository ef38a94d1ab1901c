// SPDX-License-Identifier: Apache-2.0
/* Any text as the filter, the order and the fields of a list. Input: the name of a type, a line break, the
 * text.
 *
 * Whatever is accepted must work on an object, and an order must be one; whatever is refused must say why. */
#include "model/model.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_refusal(GError *error)
{
  g_assert_nonnull(error);
  g_assert_true(error->domain == WS_ERROR);
  g_error_free(error);
}

/* An object with something in most fields: its defaults and the members of its parts. */
static void *sample(const WsType *type, WsId id)
{
  WsResource *object = ws_object_new(type);
  ws_apply_defaults(type, object);
  object->id = id;
  object->revision = id;
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    void *slot = ws_field_at(field, object);
    if (field->kind == WS_KIND_STRING)
      *(char **)slot = g_strdup_printf("Web-%" G_GUINT64_FORMAT "ä", id);
    else if (field->kind == WS_KIND_OBJECT)
      *(void **)slot = ws_object_new(field->sub);
    else if (field->kind == WS_KIND_REF || field->kind == WS_KIND_TIME)
      *(guint64 *)slot = id;
    else if (field->kind == WS_KIND_MAP)
      ws_map_set(slot, "env", "prod");
  }
  return object;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  const char *line_end = memchr(data, '\n', n);
  if (!line_end)
    return 0;
  g_autofree char *name = g_strndup((const char *)data, (gsize)(line_end - (const char *)data));
  const WsType *type = ws_type_by_name(name);
  if (!type || !(type->flags & WS_TYPE_RESOURCE))
    return 0;
  g_autofree char *text = g_strndup(line_end + 1, n - (gsize)(line_end + 1 - (const char *)data));
  GError *error = NULL;
  void *a = sample(type, 2), *b = sample(type, 10);
  g_autoptr(WsFilter) filter = ws_filter_parse_joined(type, text, &error);
  if (filter) {
    const WsField *field;
    WsId ref;
    const char *hint;
    const WsType *there;
    for (guint i = 0; ws_filter_join(filter, i, &there); i++)
      ws_filter_join_add(filter, i, 1);
    g_autoptr(GArray) ids = ws_filter_join_hint(filter, &field);
    ws_filter_match(filter, a);
    ws_filter_index_hint(filter, &field, &ref, &hint);
    for (guint i = 0; i < ws_filter_n_terms(filter); i++) {
      const char *path, *op, *value;
      ws_filter_nth_term(filter, i, &path, &op, &value);
      g_assert_true(path && op && value);
    }
  } else {
    check_refusal(error);
  }
  error = NULL;
  g_autoptr(WsSort) sort = ws_sort_parse(type, text, &error);
  if (sort) {
    int order = ws_sort_compare(sort, a, b);
    g_assert_cmpint(order, !=, 0);
    g_assert_cmpint(order<0, ==, ws_sort_compare(sort, b, a)> 0);
    g_assert_cmpint(ws_sort_compare(sort, a, a), ==, 0);
  } else {
    check_refusal(error);
  }
  error = NULL;
  g_autoptr(WsFieldSet) fields = ws_field_set_parse(type, text, &error);
  if (!fields)
    check_refusal(error);
  ws_object_free(type, a);
  ws_object_free(type, b);
  return 0;
}
