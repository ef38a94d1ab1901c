// SPDX-License-Identifier: Apache-2.0
/* Any bytes as JSON, held against two other opinions: the reader's own check of a whole value, and jansson.
 *
 * All three must agree on what is valid and mean the same by it; pulled out value by value and written again,
 * the text must read back as itself. */
#include "base/error.h"
#include "base/json.h"
#include <jansson.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool copy_value(WsJsonReader *r, WsJsonWriter *w, GError **error);

static bool copy_object(WsJsonReader *r, WsJsonWriter *w, GError **error)
{
  const char *key;
  gsize n;
  g_autoptr(GError) fault = NULL;
  if (!ws_json_enter_object(r, error))
    return false;
  ws_json_begin_object(w);
  while (ws_json_next_key(r, &key, &n, &fault)) {
    g_autofree char *copy = g_strndup(key, n);
    ws_json_key(w, copy);
    if (!copy_value(r, w, error))
      return false;
  }
  if (fault) {
    g_propagate_error(error, g_steal_pointer(&fault));
    return false;
  }
  ws_json_end_object(w);
  return true;
}

static bool copy_array(WsJsonReader *r, WsJsonWriter *w, GError **error)
{
  g_autoptr(GError) fault = NULL;
  if (!ws_json_enter_array(r, error))
    return false;
  ws_json_begin_array(w);
  while (ws_json_next_item(r, &fault))
    if (!copy_value(r, w, error))
      return false;
  if (fault) {
    g_propagate_error(error, g_steal_pointer(&fault));
    return false;
  }
  ws_json_end_array(w);
  return true;
}

static bool copy_scalar(WsJsonReader *r, WsJsonWriter *w, WsJsonKind kind, GError **error)
{
  const char *s;
  gsize n;
  gint64 whole;
  double number;
  bool truth;
  if (kind == WS_JSON_STRING && ws_json_take_string(r, &s, &n, error)) {
    g_assert_true(g_utf8_validate_len(s, n, NULL));
    g_autofree char *copy = g_strndup(s, n);
    g_assert_cmpuint(strlen(copy), ==, n); /* no NUL gets in */
    ws_json_string(w, copy);
  } else if (kind == WS_JSON_INT && ws_json_take_int(r, &whole, error)) {
    ws_json_int(w, whole);
  } else if (kind == WS_JSON_NUMBER && ws_json_take_double(r, &number, error)) {
    ws_json_double(w, number);
  } else if (kind == WS_JSON_BOOL && ws_json_take_bool(r, &truth, error)) {
    ws_json_bool(w, truth);
  } else if (kind == WS_JSON_NULL && ws_json_take_null(r, error)) {
    ws_json_null(w);
  } else {
    return kind == WS_JSON_NONE ? ws_json_take_raw(r, &s, &n, error) : false; /* raw: for its message */
  }
  return true;
}

static bool copy_value(WsJsonReader *r, WsJsonWriter *w, GError **error)
{
  WsJsonKind kind = ws_json_peek(r);
  g_assert_cmpuint(r->depth, <=, WS_JSON_MAX_DEPTH);
  if (kind == WS_JSON_OBJECT)
    return copy_object(r, w, error);
  if (kind == WS_JSON_ARRAY)
    return copy_array(r, w, error);
  return copy_scalar(r, w, kind, error);
}

/* Reads the text value by value and writes it into `out`. */
static bool copy_text(const char *text, gsize n, GString *out, GError **error)
{
  g_auto(WsJsonReader) r;
  WsJsonWriter w = ws_json_writer(out);
  ws_json_reader_init(&r, text, n);
  bool ok = copy_value(&r, &w, error) && ws_json_reader_end(&r, error);
  g_assert_true(r.at >= r.text && r.at <= r.end);
  return ok;
}

static bool check_text(const char *text, gsize n, GError **error)
{
  g_auto(WsJsonReader) r;
  const char *json;
  gsize json_n;
  ws_json_reader_init(&r, text, n);
  return ws_json_take_raw(&r, &json, &json_n, error) && ws_json_reader_end(&r, error);
}

/* jansson has no limit of 32 levels, and takes a NUL byte outside a string for the end: there it may say yes
 * where we say no. */
static void ask_jansson(const char *text, gsize n, const GString *out, const GError *error)
{
  json_error_t fault;
  json_t *theirs = json_loadb(text, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &fault);
  bool lax = error && (strstr(ws_error_param(error, "expected"), "nesting") || memchr(text, 0, n));
  if (!lax)
    g_assert_cmpint(theirs != NULL, ==, error == NULL);
  if (!error) {
    json_t *ours = json_loadb(out->str, out->len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &fault);
    g_assert_nonnull(ours);
    g_assert_true(json_equal(ours, theirs));
    json_decref(ours);
  }
  json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  const char *text = (const char *)data;
  g_autoptr(GString) out = g_string_new(NULL);
  g_autoptr(GString) again = g_string_new(NULL);
  g_autoptr(GError) pulled = NULL;
  g_autoptr(GError) checked = NULL;
  bool ok = copy_text(text, n, out, &pulled);
  g_assert_cmpint(ok, ==, pulled == NULL);
  g_assert_cmpint(check_text(text, n, &checked), ==, ok);
  ask_jansson(text, n, out, pulled);
  if (!ok) {
    g_assert_cmpstr(ws_error_param(pulled, "position"), ==, ws_error_param(checked, "position"));
    return 0;
  }
  g_assert_true(copy_text(out->str, out->len, again, NULL));
  g_assert_cmpstr(out->str, ==, again->str);
  return 0;
}
