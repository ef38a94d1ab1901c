// SPDX-License-Identifier: Apache-2.0
/* Sizes and time spans in text. */
#include "base/text.h"
#include <string.h>

/* ---- sizes ---- */

static const char size_units[] = "BKMGTPE";

char *ws_size_format(guint64 bytes, char *buf)
{
  guint unit = 0;
  while (unit < strlen(size_units) - 1 && bytes >> (10 * (unit + 1)) > 0)
    unit++;
  if (unit == 0) {
    g_snprintf(buf, WS_SIZE_TEXT_MAX, "%u B", (guint)bytes);
    return buf;
  }
  guint64 whole = bytes >> (10 * unit);
  guint64 rest = bytes >> (10 * (unit - 1)) & 1023; /* in 1024ths, enough for one digit */
  g_snprintf(buf, WS_SIZE_TEXT_MAX, "%u.%u %ciB", (guint)whole, (guint)(rest * 10 / 1024), size_units[unit]);
  return buf;
}

static const char *skip_spaces(const char *at)
{
  return at + strspn(at, " ");
}

/* Digits into *value, which stays below 2^63; NULL when there is none or it would not. */
static const char *take_number(const char *at, guint64 *value)
{
  *value = 0;
  const char *start = at;
  for (; g_ascii_isdigit(*at); at++) {
    guint64 digit = (guint64)(*at - '0');
    if (*value > (G_MAXINT64 - digit) / 10)
      return NULL;
    *value = *value * 10 + digit;
  }
  return at > start ? at : NULL;
}

/* "", "B", "K", "KB", "KiB", ... to the power of 1,024; -1: none of them. */
static int size_unit(const char *text)
{
  if (*text == '\0')
    return 0;
  const char *found = strchr(size_units, g_ascii_toupper(*text));
  if (!found || *found == '\0')
    return -1;
  int power = (int)(found - size_units);
  text++;
  if (power > 0 && g_ascii_tolower(*text) == 'i' && g_ascii_tolower(text[1]) == 'b')
    text += 2;
  else if (power > 0 && g_ascii_tolower(*text) == 'b')
    text++;
  return *skip_spaces(text) == '\0' ? power : -1;
}

bool ws_size_parse(const char *text, guint64 *bytes)
{
  guint64 whole, thousandths = 0;
  const char *at = take_number(skip_spaces(text), &whole);
  if (!at)
    return false;
  if (*at == '.') {
    const char *start = at + 1;
    at = take_number(start, &thousandths);
    if (!at || at - start > 3)
      return false;
    for (gssize n = at - start; n < 3; n++)
      thousandths *= 10;
  }
  int power = size_unit(skip_spaces(at));
  if (power < 0)
    return false;
  guint64 unit = G_GUINT64_CONSTANT(1) << (10 * power);
  guint64 fraction = unit / 1000 * thousandths + unit % 1000 * thousandths / 1000;
  if (whole > (G_MAXINT64 - fraction) / unit || (power == 0 && thousandths > 0))
    return false;
  *bytes = whole * unit + fraction;
  return true;
}

/* ---- time spans ---- */

static const struct {
  gint64 us;
  const char *shown;
  const char *names[4]; /* accepted; ended by NULL */
} spans[] = {
    {G_GINT64_CONSTANT(86400000000), "d", {"d"}},
    {G_GINT64_CONSTANT(3600000000), "h", {"h"}},
    {G_GINT64_CONSTANT(60000000), "min", {"min", "m"}},
    {G_GINT64_CONSTANT(1000000), "s", {"s", ""}},
    {G_GINT64_CONSTANT(1000), "ms", {"ms"}},
};

char *ws_span_format(gint64 us, char *buf)
{
  const char *minus = us <= -1000 ? "-" : "";
  guint64 rest = us < 0 ? 0 - (guint64)us : (guint64)us;
  guint i = 0;
  while (i < G_N_ELEMENTS(spans) - 1 && rest < (guint64)spans[i].us)
    i++;
  guint64 first = rest / (guint64)spans[i].us;
  rest %= (guint64)spans[i].us;
  bool two = i < 3; /* seconds and below stand alone */
  guint64 second = two ? rest / (guint64)spans[i + 1].us : 0;
  if (second > 0)
    g_snprintf(buf, WS_SPAN_TEXT_MAX, "%s%" G_GUINT64_FORMAT " %s %" G_GUINT64_FORMAT " %s", minus, first,
               spans[i].shown, second, spans[i + 1].shown);
  else
    g_snprintf(buf, WS_SPAN_TEXT_MAX, "%s%" G_GUINT64_FORMAT " %s", minus, first, spans[i].shown);
  return buf;
}

/* Index of the unit whose name is exactly the n letters at `at`; -1: none. */
static int span_unit(const char *at, gsize n)
{
  for (guint i = 0; i < G_N_ELEMENTS(spans); i++)
    for (guint k = 0; spans[i].names[k]; k++)
      if (strlen(spans[i].names[k]) == n && g_ascii_strncasecmp(spans[i].names[k], at, n) == 0)
        return (int)i;
  return -1;
}

bool ws_span_parse(const char *text, gint64 *us)
{
  gint64 sum = 0;
  int last_unit = -1;
  const char *at = skip_spaces(text);
  do {
    guint64 number;
    at = take_number(at, &number);
    if (!at)
      return false;
    at = skip_spaces(at);
    gsize n = 0;
    while (g_ascii_isalpha(at[n]))
      n++;
    int unit = span_unit(at, n);
    if (unit <= last_unit || number > (guint64)((G_MAXINT64 - sum) / spans[unit].us))
      return false;
    sum += (gint64)number * spans[unit].us;
    last_unit = unit;
    at = skip_spaces(at + n);
  } while (*at);
  *us = sum;
  return true;
}

/* ---- versions ---- */

int ws_version_compare(const char *a, const char *b)
{
  if (!a || !b)
    return (a != NULL) - (b != NULL);
  for (;;) {
    char *a_end, *b_end;
    guint64 x = g_ascii_strtoull(a, &a_end, 10), y = g_ascii_strtoull(b, &b_end, 10);
    if (x != y)
      return x < y ? -1 : 1;
    bool a_more = a_end > a && *a_end == '.', b_more = b_end > b && *b_end == '.';
    if (!a_more && !b_more)
      return 0;
    a = a_more ? a_end + 1 : "";
    b = b_more ? b_end + 1 : "";
  }
}
