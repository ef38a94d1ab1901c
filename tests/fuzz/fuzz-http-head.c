// SPDX-License-Identifier: Apache-2.0
/* What a peer sends first: a request of HTTP/1.1 with a chunked body, the same lines as fields of HTTP/2, and
 * a response.
 *
 * Whatever is accepted must keep what handlers rely on, and must not depend on how the bytes were cut on the
 * way. */
#include "http/chunk.h"
#include "http/head.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text)
{
  g_assert_true(g_utf8_validate(text, -1, NULL));
  for (; *text; text++)
    g_assert_true((guchar)*text >= 0x20 && *text != 0x7f);
}

static void check_request(const HttpHead *head)
{
  g_assert_true(http_is_token(head->method, strlen(head->method)));
  g_assert_true(head->path[0] == '/');
  g_assert_null(strstr(head->path, "/../"));
  g_assert_false(g_str_has_suffix(head->path, "/.."));
  check_text(head->path);
  g_assert_cmpint(head->content_length, >=, -1);
  g_assert_false(head->chunked && head->content_length >= 0);
  g_assert_cmpuint(head->fields->len, <=, HTTP_MAX_FIELDS);
  for (guint i = 0; head->query && i < head->query->len; i++) {
    check_text(g_array_index(head->query, HttpParameter, i).name);
    check_text(g_array_index(head->query, HttpParameter, i).value);
  }
  for (guint i = 0; i < head->fields->len; i++) {
    const HttpField *field = &g_array_index(head->fields, HttpField, i);
    g_assert_true(http_is_token(field->name, strlen(field->name)));
    g_assert_true(http_is_field_value(field->value, strlen(field->value)));
  }
}

/* The body's bytes, read in steps; the result is where it ended. */
static ChunkResult read_chunks(const char *bytes, gsize n, gsize step, GString *body)
{
  ChunkReader reader = {0};
  ChunkResult result = CHUNK_MORE;
  while (n > 0 && result == CHUNK_MORE) {
    gsize left = MIN(n, step), part_n;
    const char *part;
    n -= left;
    while ((result = chunk_reader_take(&reader, &bytes, &left, &part, &part_n)) == CHUNK_DATA)
      g_string_append_len(body, part, (gssize)part_n);
    g_assert_true(result != CHUNK_MORE || left == 0);
  }
  return result;
}

static void check_chunks(const char *bytes, gsize n)
{
  g_autoptr(GString) whole = g_string_new(NULL), pieces = g_string_new(NULL);
  g_assert_cmpint(read_chunks(bytes, n, G_MAXSIZE, whole), ==, read_chunks(bytes, n, 3, pieces));
  g_assert_true(g_string_equal(whole, pieces));
}

static void try_fields(const char *text, gsize n)
{
  g_autoptr(HttpHead) head = http_head_new();
  HttpFlaw flaw = {0};
  while (n > 0) {
    const char *newline = memchr(text, '\n', n), *colon;
    gsize line = newline ? (gsize)(newline - text) : n;
    if (line > 1 && (colon = memchr(text + 1, ':', line - 1))) {
      gsize name_n = (gsize)(colon - text), value_n = line - name_n - 1;
      g_autofree char *name = g_memdup2(text, name_n), *value = g_memdup2(colon + 1, value_n);
      if (!http_head_add(head, name, name_n, value_n ? value : "", value_n, &flaw))
        return;
    }
    text += MIN(line + 1, n);
    n -= MIN(line + 1, n);
  }
  if (http_head_complete_h2(head, &flaw))
    check_request(head);
  else
    g_assert_cmpint(flaw.status, >=, 400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autofree char *bytes =
      g_memdup2(data, n ? n : 1); /* exactly as long, so that the sanitizer sees an overrun */
  gsize seen = 0, length = http_head_find_end(bytes, n, &seen), again = 0;
  for (gsize at = 1; at <= n && !again && at < 4096; at++) {
    gsize known = at - 1;
    again = http_head_find_end(bytes, at, &known);
  }
  g_assert_true(again == length || length >= 4096);
  try_fields(bytes, n);
  if (length == 0)
    return 0;
  HttpFlaw flaw = {400, ""};
  g_autoptr(HttpHead) request = http_head_parse_request(bytes, length, &flaw);
  g_autoptr(HttpHead) response = http_head_parse_response(bytes, length, &flaw);
  g_assert_false(request && response);
  if (request)
    check_request(request);
  else
    g_assert_true(flaw.status >= 400 && flaw.status <= 505);
  if (response)
    g_assert_true(response->status >= 0 && response->status <= 999);
  check_chunks(bytes + length, n - length);
  return 0;
}
