// SPDX-License-Identifier: Apache-2.0
/* Ids in text: prefix, '-', decimal number. Strict both ways, so that one id has one spelling. */
#include "base/id.h"
#include <string.h>

char *ws_id_format(const char *prefix, WsId id, char *buf)
{
  char digits[20], *first = digits + sizeof digits; /* by hand: lists of 10,000 objects hold 60,000 ids */
  gsize n = strlen(prefix), n_digits;
  do
    *--first = (char)('0' + id % 10);
  while ((id /= 10) > 0);
  n_digits = (gsize)(digits + sizeof digits - first);
  g_assert(n + 1 + n_digits < WS_ID_TEXT_MAX);
  memcpy(buf, prefix, n);
  buf[n] = '-';
  memcpy(buf + n + 1, first, n_digits);
  buf[n + 1 + n_digits] = '\0';
  return buf;
}

bool ws_id_parse(const char *prefix, const char *text, WsId *id)
{
  gsize n = strlen(prefix);
  if (strncmp(text, prefix, n) != 0 || text[n] != '-')
    return false;
  const char *at = text + n + 1;
  if (*at < '1' || *at > '9')
    return false;
  guint64 value = 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    guint64 digit = (guint64)(*at - '0');
    if (value > (G_MAXINT64 - digit) / 10)
      return false;
    value = value * 10 + digit;
  }
  if (*at != '\0')
    return false;
  *id = value;
  return true;
}
