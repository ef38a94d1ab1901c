// SPDX-License-Identifier: Apache-2.0
/* Queries, paths, ranges and cookies. The input is one text, without NUL as where it is used. */
#include "http/fields.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text)
{
  g_assert_true(g_utf8_validate(text, -1, NULL));
  for (; *text; text++)
    g_assert_true((guchar)*text >= 0x20 && *text != 0x7f);
}

static void try_decoding(const char *text)
{
  g_autofree char *plain = g_strdup(text), *path = g_strdup(text), *query = g_strdup(text);
  g_autoptr(GArray) parameters = g_array_new(FALSE, FALSE, sizeof(HttpParameter));
  if (http_decode_escapes(plain, true)) {
    check_text(plain);
    g_autofree char *escaped = g_uri_escape_string(plain, NULL, TRUE);
    g_assert_true(http_decode_escapes(escaped, false));
    g_assert_cmpstr(escaped, ==, plain);
  }
  if (http_decode_path(path)) {
    check_text(path);
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    for (char **segment = segments; *segment; segment++)
      g_assert_true(strcmp(*segment, ".") != 0 && strcmp(*segment, "..") != 0);
  }
  if (http_split_query(query, parameters)) {
    g_assert_cmpuint(parameters->len, <=, HTTP_MAX_PARAMETERS);
    for (guint i = 0; i < parameters->len; i++) {
      check_text(g_array_index(parameters, HttpParameter, i).name);
      check_text(g_array_index(parameters, HttpParameter, i).value);
    }
  }
}

static void try_ranges(const char *text)
{
  static const guint64 sizes[] = {0, 1, 1000, G_MAXINT64, G_MAXUINT64};
  guint64 first, count, size;
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
    if (http_parse_range(text, sizes[i], &first, &count) == HTTP_RANGE_OK) {
      g_assert_cmpuint(count, >=, 1);
      g_assert_cmpuint(first, <, sizes[i]);
      g_assert_cmpuint(count, <=, sizes[i] - first);
    }
  if (http_parse_content_range(text, &first, &count, &size)) {
    g_assert_cmpuint(first + count, >=, first);
    g_assert_cmpuint(first + count, <=, size);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autofree char *text = g_strndup((const char *)data, n);
  try_decoding(text);
  try_ranges(text);
  g_autofree char *cookie = http_find_cookie(text, "session");
  if (cookie)
    g_assert_null(strchr(cookie, ';'));
  return 0;
}
