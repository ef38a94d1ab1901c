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

/* First byte from `at` on that is a quote, a backslash, a control character or not ASCII; `end` when there is none.
 *
 * Eight bytes at a time. In (x - 0x01..01 * n) & ~x, the lowest byte with its top bit set is the lowest byte of x
 * that is below n; bytes above it may be wrong by a borrow, and are not looked at. */
static inline const char *ws_json_plain_end(const char *at, const char *end)
{
  const guint64 tops = WS_JSON_BYTES(0x80);
  for (; end - at >= 8; at += 8) {
    guint64 x;
    memcpy(&x, at, sizeof x);
    x = GUINT64_FROM_LE(x);
    guint64 quote = x ^ WS_JSON_BYTES('"');
    guint64 backslash = x ^ WS_JSON_BYTES('\\');
    guint64 found = (((x - WS_JSON_BYTES(0x20)) & ~x) | ((quote - WS_JSON_BYTES(1)) & ~quote) |
                     ((backslash - WS_JSON_BYTES(1)) & ~backslash) | x) &
                    tops;
    if (found)
      return at + (__builtin_ctzll(found) >> 3);
  }
  while (at < end && ws_json_is_plain((guchar)*at))
    at++;
  return at;
}
