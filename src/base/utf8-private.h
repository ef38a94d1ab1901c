// SPDX-License-Identifier: Apache-2.0
/* UTF-8 sequences one at a time (RFC 3629): shortest forms only, no surrogates, nothing above U+10FFFF. */
#pragma once
#include <glib.h>

static inline gboolean ws_utf8_is_tail(guchar byte)
{
  return (byte & 0xC0) == 0x80;
}

/* Length of the multi-byte sequence at `at` (its first byte is 0x80 or more): 2 to 4, or 0 when it is not valid. */
static inline guint ws_utf8_sequence(const guchar *at, const guchar *end)
{
  gsize room = (gsize)(end - at);
  guchar first = at[0];
  if (first < 0xC2 || room < 2 || !ws_utf8_is_tail(at[1]))
    return 0;
  if (first < 0xE0)
    return 2;
  if (room < 3 || !ws_utf8_is_tail(at[2]))
    return 0;
  if (first < 0xF0) {
    gboolean overlong = first == 0xE0 && at[1] < 0xA0;
    gboolean surrogate = first == 0xED && at[1] >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first > 0xF4 || room < 4 || !ws_utf8_is_tail(at[3]))
    return 0;
  gboolean overlong = first == 0xF0 && at[1] < 0x90;
  gboolean too_big = first == 0xF4 && at[1] >= 0x90;
  return overlong || too_big ? 0 : 4;
}
