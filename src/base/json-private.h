// SPDX-License-Identifier: Apache-2.0
/* What the JSON reader and writer share: finding the end of a run of bytes that need no thought. */
#pragma once
#include <glib.h>
#include <string.h>

#define WS_JSON_BYTES(byte) (G_GUINT64_CONSTANT(0x0101010101010101) * (byte))

static inline gboolean ws_json_is_plain(guchar byte)
{
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Which of eight bytes (the first is the lowest) are not plain: their top bits; 0: none. Only the lowest one of these is sure.
 *
 * In (x - 0x01..01 * n) & ~x, the lowest byte with its top bit set is the lowest byte of x that is below n; bytes above it may be wrong by a
 * borrow, and are not looked at. */
static inline guint64 ws_json_not_plain(guint64 x)
{
  x = GUINT64_FROM_LE(x);
  guint64 quote = x ^ WS_JSON_BYTES('"');
  guint64 backslash = x ^ WS_JSON_BYTES('\\');
  return (((x - WS_JSON_BYTES(0x20)) & ~x) | ((quote - WS_JSON_BYTES(1)) & ~quote) |
          ((backslash - WS_JSON_BYTES(1)) & ~backslash) | x) &
         WS_JSON_BYTES(0x80);
}

/* First byte from `at` on that is a quote, a backslash, a control character or not ASCII; `end` when there is none. */
static inline const char *ws_json_plain_end(const char *at, const char *end)
{
  for (; end - at >= 8; at += 8) {
    guint64 x;
    memcpy(&x, at, sizeof x);
    guint64 found = ws_json_not_plain(x);
    if (found)
      return at + (__builtin_ctzll(found) >> 3);
  }
  while (at < end && ws_json_is_plain((guchar)*at))
    at++;
  return at;
}
