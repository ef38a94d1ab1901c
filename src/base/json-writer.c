// SPDX-License-Identifier: Apache-2.0
/* The JSON writer: appends to the caller's GString and keeps nothing but whether a comma is due.
 *
 * Written for speed where it is paid for per field of 50,000 objects: room is taken once per value, plain
 * runs of a string are copied whole, numbers are made without printf. */
#include "base/json.h"
#include "base/json-private.h"
#include "base/utf8-private.h"
#include <math.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Makes room for n more bytes and a NUL; returns where they go. The caller moves `len`. */
static inline char *room_for(GString *out, gsize n)
{
  if (G_UNLIKELY(out->allocated_len - out->len <= n)) {
    gsize len = out->len;
    g_string_set_size(out, len + n);
    out->len = len;
  }
  return out->str + out->len;
}

static inline void finish(GString *out, const char *end)
{
  out->len = (gsize)(end - out->str);
  out->str[out->len] = '\0';
}

/* Room for a value of up to n bytes and the comma in front of it. */
static inline char *begin_value(WsJsonWriter *w, gsize n)
{
  char *at = room_for(w->out, n + 1);
  if (w->need_comma)
    *at++ = ',';
  w->need_comma = true;
  return at;
}

/* Copies n bytes; the short runs that JSON is made of by a few moves that overlap instead of a call. Returns their end. */
static inline char *put(char *to, const char *from, gsize n)
{
  if (n > 32) {
    memcpy(to, from, n);
  } else if (n >= 16) {
    memcpy(to, from, 16);
    memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    memcpy(to, from, 8);
    memcpy(to + n - 8, from + n - 8, 8);
  } else if (n >= 4) {
    memcpy(to, from, 4);
    memcpy(to + n - 4, from + n - 4, 4);
  } else if (n > 0) {
    to[0] = from[0];
    to[n / 2] = from[n / 2];
    to[n - 1] = from[n - 1];
  }
  return to + n;
}

static inline void write_bytes(WsJsonWriter *w, const char *bytes, gsize n)
{
  finish(w->out, put(begin_value(w, n), bytes, n));
}

void ws_json_begin_object(WsJsonWriter *w)
{
  write_bytes(w, "{", 1);
  w->need_comma = false;
}

void ws_json_begin_array(WsJsonWriter *w)
{
  write_bytes(w, "[", 1);
  w->need_comma = false;
}

static void end_container(WsJsonWriter *w, char bracket)
{
  char *at = room_for(w->out, 1);
  *at++ = bracket;
  finish(w->out, at);
  w->need_comma = true;
}

void ws_json_end_object(WsJsonWriter *w)
{
  end_container(w, '}');
}

void ws_json_end_array(WsJsonWriter *w)
{
  end_container(w, ']');
}

/* ---- strings ---- */

/* Escape for a byte that may not stand in a string as it is; writes at most 6 bytes. */
static char *write_escape(char *at, guchar byte)
{
  static const char hex[] = "0123456789abcdef";
  static const char short_form[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  *at++ = '\\';
  if (byte >= 0x20) {
    *at++ = (char)byte;
  } else if (short_form[byte]) {
    *at++ = short_form[byte];
  } else {
    memcpy(at, "u00", 3);
    at[3] = hex[byte >> 4];
    at[4] = hex[byte & 15];
    at += 5;
  }
  return at;
}

/* Appends s with escapes and without quotes. */
static void append_escaped(GString *out, const char *s, const char *end)
{
  while (s < end) {
    const char *run = s;
    while ((s = ws_json_plain_end(s, end)) < end && (guchar)*s >= 0x80) {
      guint n = ws_utf8_sequence((const guchar *)s, (const guchar *)end);
      if (n == 0)
        break;
      s += n;
    }
    char *at = room_for(out, (gsize)(s - run) + 6);
    memcpy(at, run, (gsize)(s - run));
    at += s - run;
    if (s < end && (guchar)*s >= 0x80) {
      memcpy(at, REPLACEMENT, 3);
      at += 3;
      s++;
    } else if (s < end) {
      at = write_escape(at, (guchar)*s++);
    }
    finish(out, at);
  }
}

/* Copies n bytes up to the first that is not plain; how many these are. Looking and copying are one pass. */
static inline gsize copy_plain(char *to, const char *s, gsize n)
{
  guint64 x, found;
  gsize i = 0;
  for (; n - i >= sizeof x; i += sizeof x) {
    memcpy(&x, s + i, sizeof x);
    memcpy(to + i, &x, sizeof x);
    if ((found = ws_json_not_plain(x)))
      return i + (gsize)(__builtin_ctzll(found) >> 3);
  }
  if (i < n && n > sizeof x) { /* the rest with some of what was looked at already */
    memcpy(&x, s + n - sizeof x, sizeof x);
    memcpy(to + n - sizeof x, &x, sizeof x);
    found = ws_json_not_plain(x);
    return found ? n - sizeof x + (gsize)(__builtin_ctzll(found) >> 3) : n;
  }
  for (; i < n && ws_json_is_plain((guchar)s[i]); i++)
    to[i] = s[i];
  return i;
}

static inline void write_quoted(WsJsonWriter *w, const char *s, const char *after, gsize n_after)
{
  gsize n = strlen(s);
  char *at = begin_value(w, n + 2 + n_after);
  *at++ = '"';
  gsize plain = copy_plain(at, s, n);
  at += plain;
  if (G_UNLIKELY(plain < n)) {
    finish(w->out, at);
    append_escaped(w->out, s + plain, s + n);
    at = room_for(w->out, 1 + n_after);
  }
  *at++ = '"';
  finish(w->out, put(at, after, n_after));
}

void ws_json_string(WsJsonWriter *w, const char *s)
{
  if (s)
    write_quoted(w, s, "", 0);
  else
    ws_json_null(w);
}

void ws_json_key(WsJsonWriter *w, const char *key)
{
  write_quoted(w, key, ":", 1);
  w->need_comma = false;
}

void ws_json_key_raw(WsJsonWriter *w, const char *quoted, gsize n)
{
  write_bytes(w, quoted, n);
  w->need_comma = false;
}

/* ---- numbers ---- */

/* Decimal digits of v so that they end just before `end`; returns the first. */
static char *digits_before(char *end, guint64 v)
{
  static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                              "25262728293031323334353637383940414243444546474849"
                              "50515253545556575859606162636465666768697071727374"
                              "75767778798081828384858687888990919293949596979899";
  while (v >= 100) {
    end -= 2;
    memcpy(end, pairs + 2 * (v % 100), 2);
    v /= 100;
  }
  if (v >= 10) {
    end -= 2;
    memcpy(end, pairs + 2 * v, 2);
  } else {
    *--end = (char)('0' + v);
  }
  return end;
}

static void write_integer(WsJsonWriter *w, guint64 magnitude, bool negative)
{
  char text[24];
  char *first = digits_before(text + sizeof text, magnitude);
  if (negative)
    *--first = '-';
  write_bytes(w, first, (gsize)(text + sizeof text - first));
}

void ws_json_uint(WsJsonWriter *w, guint64 v)
{
  write_integer(w, v, false);
}

void ws_json_int(WsJsonWriter *w, gint64 v)
{
  write_integer(w, v < 0 ? 0 - (guint64)v : (guint64)v, v < 0);
}

/* Measured values mostly have a few decimals (12.5, 99.73). If v equals n / 10^k for an n below 2^53 and a k
 * up to 6, then the text of that fraction reads back as v: both numbers are exact doubles and division rounds
 * correctly, as reading does. The smallest such k gives the shortest text. */
static bool write_short_decimal(WsJsonWriter *w, double v)
{
  static const guint64 powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
  double magnitude = fabs(v);
  for (guint k = 0; k < G_N_ELEMENTS(powers); k++) {
    double scaled = rint(magnitude * (double)powers[k]);
    if (!(scaled < 9007199254740992.0))
      return false;
    if (scaled / (double)powers[k] != magnitude)
      continue;
    char text[32];
    char *end = text + sizeof text, *first = end;
    guint64 n = (guint64)scaled;
    if (k > 0) {
      first = digits_before(end, n % powers[k]);
      while (end - first < (gssize)k)
        *--first = '0';
      *--first = '.';
    }
    first = digits_before(first, n / powers[k]);
    if (signbit(v))
      *--first = '-';
    write_bytes(w, first, (gsize)(end - first));
    return true;
  }
  return false;
}

void ws_json_double(WsJsonWriter *w, double v)
{
  if (!isfinite(v)) {
    ws_json_null(w);
    return;
  }
  if (v == 0 && signbit(v)) {
    write_bytes(w, "-0.0", 4); /* "-0" would read back as an integer, which has no such thing */
    return;
  }
  if (write_short_decimal(w, v))
    return;
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  const char *formats[] = {"%.15g", "%.16g", "%.17g"}; /* 17 digits always suffice */
  for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
    g_ascii_formatd(text, sizeof text, formats[i], v);
    if (g_ascii_strtod(text, NULL) == v)
      break;
  }
  write_bytes(w, text, strlen(text));
}

void ws_json_bool(WsJsonWriter *w, bool v)
{
  write_bytes(w, v ? "true" : "false", v ? 4 : 5);
}

void ws_json_null(WsJsonWriter *w)
{
  write_bytes(w, "null", 4);
}

void ws_json_raw(WsJsonWriter *w, const char *json, gsize n)
{
  write_bytes(w, json, n);
}
