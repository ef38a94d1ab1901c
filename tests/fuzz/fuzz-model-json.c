// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the body of a request. Input: the name of a type, a line break, JSON.
 *
 * Whatever is accepted must come through writing and reading unchanged; the same patch twice must be no
 * change; whatever is refused must say why. */
#include "model/model.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_refusal(GError *error)
{
  g_assert_nonnull(error);
  g_assert_true(error->domain == WS_ERROR);
  g_assert_cmpint(ws_error_code(error), !=, WS_ERROR_INTERNAL);
  g_error_free(error);
}

static void check_round_trip(const WsType *type, const void *object)
{
  gsize n;
  g_autoptr(GError) error = NULL;
  g_autofree char *json = ws_object_to_json(type, object, WS_WRITE_PEER, &n);
  void *again = ws_object_parse(type, json, n, WS_PARSE_STORED, &error);
  g_assert_no_error(error);
  g_assert_true(ws_object_equal(type, object, again));
  void *copy = ws_object_copy(type, again);
  g_assert_true(ws_object_equal(type, again, copy));
  ws_object_free(type, copy);
  ws_object_free(type, again);
}

static void check_patch(const WsType *type, const void *object, const char *json, gsize n)
{
  GError *error = NULL;
  bool changed;
  void *edit = ws_object_copy(type, object);
  if (ws_object_merge_patch(type, edit, json, n, &changed, &error)) {
    g_assert_cmpint(changed, ==, !ws_object_equal(type, object, edit));
    g_assert_true(ws_object_merge_patch(type, edit, json, n, &changed, &error));
    g_assert_false(changed);
    check_round_trip(type, edit);
  } else {
    check_refusal(error);
  }
  ws_object_free(type, edit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  const char *line_end = memchr(data, '\n', n);
  if (!line_end)
    return 0;
  g_autofree char *name = g_strndup((const char *)data, (gsize)(line_end - (const char *)data));
  const WsType *type = ws_type_by_name(name);
  if (!type)
    return 0;
  const char *json = line_end + 1;
  gsize size = n - (gsize)(json - (const char *)data);
  void *empty = ws_object_new(type);
  check_patch(type, empty, json, size);
  ws_object_free(type, empty);
  for (WsParseMode mode = WS_PARSE_CREATE; mode <= WS_PARSE_RPC; mode++) {
    GError *error = NULL;
    void *object = ws_object_parse(type, json, size, mode, &error);
    if (!object) {
      check_refusal(error);
      continue;
    }
    check_round_trip(type, object);
    check_patch(type, object, json, size);
    ws_object_free(type, object);
  }
  return 0;
}
