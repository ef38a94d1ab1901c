// SPDX-License-Identifier: Apache-2.0
/* Ids in text: prefix, '-', decimal number. Strict both ways, so that one id has one spelling. */
#include "base/id.h"
#include <string.h>

char *ws_id_format(const char *prefix, WsId id, char *buf)
{
  int n = g_snprintf(buf, WS_ID_TEXT_MAX, "%s-%" G_GUINT64_FORMAT, prefix, id);
  g_assert(n < WS_ID_TEXT_MAX);
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
