// SPDX-License-Identifier: Apache-2.0
/* The small grammars inside HTTP; see fields.h. */
#include "http/fields.h"
#include <string.h>
#include <time.h>

static bool is_control(unsigned char c)
{
  return c < 0x20 || c == 0x7f;
}

bool http_decode_escapes(char *text, bool plus)
{
  char *to = text;
  for (const char *from = text; *from; to++) {
    if (*from == '%') {
      int high = g_ascii_xdigit_value(from[1]);
      int low = high < 0 ? -1 : g_ascii_xdigit_value(from[2]);
      if (low < 0)
        return false;
      *to = (char)(high << 4 | low);
      from += 3;
    } else {
      *to = plus && *from == '+' ? ' ' : *from;
      from++;
    }
    if (is_control((unsigned char)*to))
      return false;
  }
  *to = '\0';
  return g_utf8_validate(text, to - text, NULL);
}

/* A segment "." or "..", as routers and file systems would climb by it. `end` is at its '/' or NUL. */
static bool is_dots(const char *segment, const char *end)
{
  gsize n = (gsize)(end - segment);
  return n > 0 && n <= 2 && strspn(segment, ".") >= n;
}

bool http_decode_path(char *path)
{
  if (path[0] != '/')
    return false;
  for (const char *c = path; *c; c++)
    if (c[0] == '%' && c[1] == '2' && (c[2] == 'f' || c[2] == 'F'))
      return false; /* a slash inside a segment would move the segments after decoding */
  if (!http_decode_escapes(path, false))
    return false;
  for (const char *segment = path; segment; segment = strchr(segment, '/')) {
    segment++;
    const char *end = strchrnul(segment, '/');
    if (is_dots(segment, end))
      return false;
  }
  return true;
}

bool http_split_query(char *query, GArray *into)
{
  while (query && *query) {
    char *next = strchr(query, '&');
    if (next)
      *next++ = '\0';
    if (*query) {
      char *equals = strchr(query, '=');
      HttpParameter parameter = {.name = query, .value = equals ? equals + 1 : query + strlen(query)};
      if (equals)
        *equals = '\0';
      if (into->len >= HTTP_MAX_PARAMETERS || !http_decode_escapes(parameter.name, true) ||
          (equals && !http_decode_escapes(parameter.value, true)))
        return false;
      g_array_append_val(into, parameter);
    }
    query = next;
  }
  return true;
}

/* Reads 1 to 19 digits (so that sums never overflow) and moves *text behind them. */
static bool take_number(const char **text, guint64 *number)
{
  const char *c = *text;
  *number = 0;
  while (g_ascii_isdigit(*c) && c - *text < 19)
    *number = *number * 10 + (guint64)(*c++ - '0');
  if (c == *text || g_ascii_isdigit(*c))
    return false;
  *text = c;
  return true;
}

HttpRange http_parse_range(const char *range, guint64 size, guint64 *first, guint64 *n)
{
  guint64 from, to;
  if (!range || g_ascii_strncasecmp(range, "bytes=", 6) != 0)
    return HTTP_RANGE_NONE;
  const char *c = range + 6;
  if (*c == '-') { /* the last `to` bytes */
    c++;
    if (!take_number(&c, &to) || *c)
      return HTTP_RANGE_NONE;
    if (to == 0 || size == 0)
      return HTTP_RANGE_UNSATISFIABLE;
    *n = MIN(to, size);
    *first = size - *n;
    return HTTP_RANGE_OK;
  }
  if (!take_number(&c, &from) || *c++ != '-')
    return HTTP_RANGE_NONE;
  if (!*c)
    to = G_MAXUINT64;
  else if (!take_number(&c, &to) || *c || to < from)
    return HTTP_RANGE_NONE;
  if (from >= size)
    return HTTP_RANGE_UNSATISFIABLE;
  *first = from;
  *n = MIN(to, size - 1) - from + 1;
  return HTTP_RANGE_OK;
}

bool http_parse_content_range(const char *value, guint64 *first, guint64 *n, guint64 *size)
{
  guint64 last = 0;
  if (!value || g_ascii_strncasecmp(value, "bytes ", 6) != 0)
    return false;
  const char *c = value + 6;
  bool question = *c == '*';
  *first = *n = 0;
  if (question)
    c++;
  else if (!take_number(&c, first) || *c++ != '-' || !take_number(&c, &last) || last < *first)
    return false;
  if (*c++ != '/')
    return false;
  *size = G_MAXUINT64;
  if (*c == '*') {
    c++;
    if (question)
      return false; /* asks nothing and tells nothing */
  } else if (!take_number(&c, size) || (!question && last >= *size)) {
    return false;
  }
  if (!question)
    *n = last - *first + 1;
  return *c == '\0';
}

char *http_find_cookie(const char *cookie_header, const char *name)
{
  gsize length = strlen(name);
  for (const char *c = cookie_header; c && *c;) {
    c += strspn(c, " \t");
    const char *end = strchrnul(c, ';');
    if (strncmp(c, name, length) == 0 && c[length] == '=') {
      c += length + 1;
      while (end > c && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
      return g_strndup(c, (gsize)(end - c));
    }
    c = *end ? end + 1 : end;
  }
  return NULL;
}

char *http_format_date(gint64 wall_us, char *buf)
{
  /* strftime would speak the locale's language. */
  static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  time_t seconds = (time_t)(wall_us / G_USEC_PER_SEC);
  struct tm tm;
  gmtime_r(&seconds, &tm);
  g_snprintf(buf, 30, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + tm.tm_wday * 3, tm.tm_mday,
             months + tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
  return buf;
}
