// SPDX-License-Identifier: Apache-2.0
/* Whole numbers of a text. See numbers.h. */
#include "winplan/numbers.h"
#include "base/error.h"

void numbers_init(Numbers *n, const char *name, const char *text, gsize size)
{
  *n = (Numbers){.name = name, .at = text, .end = text + size, .line = 1};
}

bool numbers_refuse(const Numbers *n, const char *what, GError **error)
{
  g_autofree char *field = g_strdup_printf("%s:%u", n->name, n->line);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", what, NULL);
}

static void skip_space(Numbers *n)
{
  for (; n->at < n->end && (*n->at == ' ' || *n->at == '\n' || *n->at == '\t' || *n->at == '\r'); n->at++)
    n->line += *n->at == '\n';
}

bool numbers_take(Numbers *n, const char *what, guint64 most, guint64 *value, GError **error)
{
  skip_space(n);
  guint64 v = 0;
  const char *start = n->at;
  for (; n->at < n->end && *n->at >= '0' && *n->at <= '9'; n->at++) {
    guint64 digit = (guint64)(*n->at - '0');
    if (v > (G_MAXUINT64 - digit) / 10)
      break;
    v = v * 10 + digit;
  }
  bool whole = n->at > start && (n->at == n->end || *n->at == ' ' || *n->at == '\n' || *n->at == '\t' || *n->at == '\r');
  if (whole && v <= most) {
    *value = v;
    return true;
  }
  g_autofree char *expected = g_strdup_printf("%s (0 to %" G_GUINT64_FORMAT ")", what, most);
  return numbers_refuse(n, start == n->end ? what : expected, error);
}

bool numbers_take32(Numbers *n, const char *what, guint32 most, guint32 *value, GError **error)
{
  guint64 v;
  if (!numbers_take(n, what, most, &v, error))
    return false;
  *value = (guint32)v;
  return true;
}

bool numbers_end(Numbers *n, GError **error)
{
  skip_space(n);
  return n->at == n->end || numbers_refuse(n, "the end of the file", error);
}
