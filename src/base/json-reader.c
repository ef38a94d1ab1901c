// SPDX-License-Identifier: Apache-2.0
/* The strict JSON reader: pulls values out of a buffer of known length and never looks beyond its end.
 *
 * r->at stands before the next token. Each function skips white space, takes its token and leaves r->at
 * behind it; on an error r->at is where it was found, and the reader is of no further use. */
#include "base/json.h"
#include "base/error.h"
#include "base/json-private.h"
#include "base/utf8-private.h"
#include <math.h>

G_STATIC_ASSERT(WS_JSON_MAX_DEPTH < 64); /* one bit per level in a guint64 */

/* Fails at r->at, saying what should have been there. */
static bool expected(const WsJsonReader *r, const char *what, GError **error)
{
  char position[24];
  g_snprintf(position, sizeof position, "%" G_GSIZE_FORMAT, (gsize)(r->at - r->text));
  return ws_fail(error, WS_ERROR_BAD_JSON, "position", position, "expected", what, NULL);
}

static inline bool is_digit(const WsJsonReader *r, const char *at)
{
  return at < r->end && *at >= '0' && *at <= '9';
}

/* Skips white space; the byte that follows, or NUL at the end of the text. */
static inline char next_byte(WsJsonReader *r)
{
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
    r->at++;
  return r->at < r->end ? *r->at : '\0';
}

void ws_json_reader_init(WsJsonReader *r, const char *text, gsize n)
{
  *r = (WsJsonReader){.text = text, .at = text, .end = text + n};
}

void ws_json_reader_clear(WsJsonReader *r)
{
  if (r->scratch)
    g_string_free(r->scratch, TRUE);
  r->scratch = NULL;
}

/* ---- numbers ---- */

typedef struct {
  const char *end;
  bool negative, is_int; /* is_int: no fraction, no exponent, fits a gint64 */
  bool exact;            /* value is digits * 10^exponent with nothing cut off */
  guint64 digits;
  int exponent;
} Number;

/* Takes digits into the number; those beyond what 64 bits hold are counted and dropped. */
static const char *scan_digits(const WsJsonReader *r, const char *at, Number *number, bool fraction)
{
  for (; is_digit(r, at); at++) {
    guint64 digit = (guint64)(*at - '0');
    if (number->exact && number->digits <= (G_MAXUINT64 - digit) / 10) {
      number->digits = number->digits * 10 + digit;
      number->exponent -= fraction;
    } else {
      number->exact = false;
    }
  }
  return at;
}

static const char *scan_exponent(const WsJsonReader *r, const char *at, Number *number)
{
  bool negative = *at == '-';
  if (*at == '-' || *at == '+')
    at++;
  int exponent = 0;
  for (; is_digit(r, at); at++)
    exponent = MIN(exponent * 10 + (*at - '0'), 100000);
  number->exponent += negative ? -exponent : exponent;
  return at;
}

/* Scans the number at r->at without taking it. On a malformed one r->at moves to the fault. */
static bool scan_number(WsJsonReader *r, Number *number, GError **error)
{
  *number = (Number){.is_int = true, .exact = true};
  const char *at = r->at;
  number->negative = *at == '-';
  if (number->negative)
    at++;
  if (!is_digit(r, at)) {
    r->at = at;
    return expected(r, "a digit", error);
  }
  if (*at == '0')
    at++; /* nothing but '.', 'e' or the end may follow */
  else
    at = scan_digits(r, at, number, false);
  number->is_int = number->exact && number->digits <= (guint64)G_MAXINT64 + number->negative;
  if (at < r->end && *at == '.') {
    number->is_int = false;
    if (!is_digit(r, ++at)) {
      r->at = at;
      return expected(r, "a digit after the decimal point", error);
    }
    at = scan_digits(r, at, number, true);
  }
  if (at < r->end && (*at == 'e' || *at == 'E')) {
    number->is_int = false;
    at++;
    if (!is_digit(r, at) && !(at < r->end && (*at == '-' || *at == '+') && is_digit(r, at + 1))) {
      r->at = at;
      return expected(r, "an exponent", error);
    }
    at = scan_exponent(r, at, number);
  }
  number->end = at;
  return true;
}

/* Both the digits and the power of ten are exact doubles then, so that one operation rounds correctly. */
static bool small_double(const Number *number, double *v)
{
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (!number->exact || number->digits > (G_GUINT64_CONSTANT(1) << 53) || ABS(number->exponent) > 22)
    return false;
  double digits = (double)number->digits;
  *v = number->exponent < 0 ? digits / powers[-number->exponent] : digits * powers[number->exponent];
  if (number->negative)
    *v = -*v;
  return true;
}

static bool starts_number(char byte)
{
  return byte == '-' || (byte >= '0' && byte <= '9');
}

bool ws_json_take_int(WsJsonReader *r, gint64 *v, GError **error)
{
  Number number;
  if (!starts_number(next_byte(r)))
    return expected(r, "an integer", error);
  if (!scan_number(r, &number, error))
    return false;
  if (!number.is_int)
    return expected(r, "an integer of 64 bits", error);
  *v = (gint64)(number.negative ? 0 - number.digits : number.digits);
  r->at = number.end;
  return true;
}

bool ws_json_take_double(WsJsonReader *r, double *v, GError **error)
{
  Number number;
  if (!starts_number(next_byte(r)))
    return expected(r, "a number", error);
  if (!scan_number(r, &number, error))
    return false;
  double value;
  if (!small_double(&number, &value)) {
    g_autofree char *copy = g_strndup(r->at, (gsize)(number.end - r->at));
    value = g_ascii_strtod(copy, NULL);
    if (!isfinite(value))
      return expected(r, "a number in the range of a double", error);
  }
  *v = value;
  r->at = number.end;
  return true;
}

/* ---- strings ---- */

static int hex_quad(const WsJsonReader *r, const char *at)
{
  int value = 0;
  if (r->end - at < 4)
    return -1;
  for (int i = 0; i < 4; i++) {
    int digit = g_ascii_xdigit_value(at[i]);
    if (digit < 0)
      return -1;
    value = value << 4 | digit;
  }
  return value;
}

/* Decodes \uXXXX, or two of them for a character beyond U+FFFF; r->at stands behind the 'u'. */
static bool take_unicode_escape(WsJsonReader *r, GError **error)
{
  int code = hex_quad(r, r->at);
  if (code < 0)
    return expected(r, "four hexadecimal digits", error);
  if (code == 0)
    return expected(r, "a character other than NUL", error);
  gunichar character = (gunichar)code;
  gsize n = 4;
  if (code >= 0xD800 && code <= 0xDFFF) {
    bool pair = code < 0xDC00 && r->end - r->at >= 10 && r->at[4] == '\\' && r->at[5] == 'u';
    int low = pair ? hex_quad(r, r->at + 6) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
      return expected(r, "a pair of surrogates", error);
    character = 0x10000 + (((gunichar)code - 0xD800) << 10) + ((gunichar)low - 0xDC00);
    n = 10;
  }
  g_string_append_unichar(r->scratch, character);
  r->at += n;
  return true;
}

/* Decodes one escape into scratch; r->at stands at the backslash. */
static bool take_escape(WsJsonReader *r, GError **error)
{
  static const char meaning[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
  char byte = r->at + 1 < r->end ? r->at[1] : '\0';
  if (byte == 'u') {
    r->at += 2;
    return take_unicode_escape(r, error);
  }
  if ((guchar)byte >= 128 || !meaning[(guchar)byte])
    return expected(r, "an escape sequence", error);
  g_string_append_c(r->scratch, meaning[(guchar)byte]);
  r->at += 2;
  return true;
}

/* Moves r->at over characters that stand for themselves, up to a quote or a backslash. */
static bool skip_literal(WsJsonReader *r, GError **error)
{
  for (;;) {
    r->at = ws_json_plain_end(r->at, r->end);
    if (r->at == r->end)
      return expected(r, "the end of the string", error);
    guchar byte = (guchar)*r->at;
    if (byte == '"' || byte == '\\')
      return true;
    if (byte < 0x20)
      return expected(r, "no control character in a string", error);
    guint n = ws_utf8_sequence((const guchar *)r->at, (const guchar *)r->end);
    if (n == 0)
      return expected(r, "valid UTF-8", error);
    r->at += n;
  }
}

/* The string whose opening quote is at r->at. */
static bool take_quoted(WsJsonReader *r, const char **s, gsize *n, GError **error)
{
  const char *start = ++r->at;
  if (!skip_literal(r, error))
    return false;
  if (G_LIKELY(*r->at == '"')) {
    *s = start;
    *n = (gsize)(r->at++ - start);
    return true;
  }
  if (!r->scratch)
    r->scratch = g_string_new(NULL);
  g_string_truncate(r->scratch, 0);
  while (*r->at != '"') {
    g_string_append_len(r->scratch, start, r->at - start);
    if (!take_escape(r, error))
      return false;
    start = r->at;
    if (!skip_literal(r, error))
      return false;
  }
  g_string_append_len(r->scratch, start, r->at - start);
  r->at++;
  *s = r->scratch->str;
  *n = r->scratch->len;
  return true;
}

bool ws_json_take_string(WsJsonReader *r, const char **s, gsize *n, GError **error)
{
  if (next_byte(r) != '"')
    return expected(r, "a string", error);
  return take_quoted(r, s, n, error);
}

/* ---- containers ---- */

static bool enter(WsJsonReader *r, bool object, GError **error)
{
  if (next_byte(r) != (object ? '{' : '['))
    return expected(r, object ? "an object" : "an array", error);
  if (r->depth == WS_JSON_MAX_DEPTH)
    return expected(r, "no deeper nesting than " G_STRINGIFY(WS_JSON_MAX_DEPTH), error);
  r->at++;
  guint64 bit = G_GUINT64_CONSTANT(1) << r->depth++;
  r->not_first &= ~bit;
  r->in_object = object ? r->in_object | bit : r->in_object & ~bit;
  return true;
}

bool ws_json_enter_object(WsJsonReader *r, GError **error)
{
  return enter(r, true, error);
}

bool ws_json_enter_array(WsJsonReader *r, GError **error)
{
  return enter(r, false, error);
}

/* To the next member, over the comma if one is due. *end: the container was left instead. */
static bool next_member(WsJsonReader *r, bool object, bool *end, GError **error)
{
  g_assert(r->depth > 0);
  guint64 bit = G_GUINT64_CONSTANT(1) << (r->depth - 1);
  g_assert(object == ((r->in_object & bit) != 0));
  char byte = next_byte(r);
  *end = byte == (object ? '}' : ']');
  if (*end) {
    r->at++;
    r->depth--;
    return true;
  }
  if (!(r->not_first & bit)) {
    r->not_first |= bit;
    return true;
  }
  if (byte != ',')
    return expected(r, object ? "',' or '}'" : "',' or ']'", error);
  r->at++;
  return true;
}

bool ws_json_next_key(WsJsonReader *r, const char **key, gsize *n, GError **error)
{
  bool end;
  if (!next_member(r, true, &end, error) || end)
    return false;
  if (next_byte(r) != '"')
    return expected(r, "a key in quotes", error);
  if (!take_quoted(r, key, n, error))
    return false;
  if (next_byte(r) != ':')
    return expected(r, "':'", error);
  r->at++;
  return true;
}

bool ws_json_next_item(WsJsonReader *r, GError **error)
{
  bool end;
  if (!next_member(r, false, &end, error) || end)
    return false;
  if (next_byte(r) == ']')
    return expected(r, "a value", error);
  return true;
}

/* ---- words and any value ---- */

static bool take_word(WsJsonReader *r, const char *word)
{
  gsize n = strlen(word);
  if ((gsize)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
    return false;
  r->at += n;
  return true;
}

bool ws_json_take_bool(WsJsonReader *r, bool *v, GError **error)
{
  next_byte(r);
  if (take_word(r, "true"))
    *v = true;
  else if (take_word(r, "false"))
    *v = false;
  else
    return expected(r, "true or false", error);
  return true;
}

bool ws_json_take_null(WsJsonReader *r, GError **error)
{
  next_byte(r);
  return take_word(r, "null") || expected(r, "null", error);
}

WsJsonKind ws_json_peek(WsJsonReader *r)
{
  char byte = next_byte(r);
  switch (byte) {
  case '{':
    return WS_JSON_OBJECT;
  case '[':
    return WS_JSON_ARRAY;
  case '"':
    return WS_JSON_STRING;
  case 't':
  case 'f':
    return WS_JSON_BOOL;
  case 'n':
    return WS_JSON_NULL;
  }
  if (!starts_number(byte))
    return WS_JSON_NONE;
  WsJsonReader probe = *r;
  Number number;
  return scan_number(&probe, &number, NULL) && number.is_int ? WS_JSON_INT : WS_JSON_NUMBER;
}

static bool skip_value(WsJsonReader *r, GError **error);

static bool skip_object(WsJsonReader *r, GError **error)
{
  const char *key;
  gsize n;
  guint depth = r->depth;
  if (!ws_json_enter_object(r, error))
    return false;
  while (ws_json_next_key(r, &key, &n, error))
    if (!skip_value(r, error))
      return false;
  return r->depth == depth; /* left at its end, not at an error */
}

static bool skip_array(WsJsonReader *r, GError **error)
{
  guint depth = r->depth;
  if (!ws_json_enter_array(r, error))
    return false;
  while (ws_json_next_item(r, error))
    if (!skip_value(r, error))
      return false;
  return r->depth == depth;
}

/* Recursion is bounded by WS_JSON_MAX_DEPTH. */
static bool skip_value(WsJsonReader *r, GError **error)
{
  const char *s;
  gsize n;
  bool truth;
  double number;
  switch (ws_json_peek(r)) {
  case WS_JSON_OBJECT:
    return skip_object(r, error);
  case WS_JSON_ARRAY:
    return skip_array(r, error);
  case WS_JSON_STRING:
    return take_quoted(r, &s, &n, error);
  case WS_JSON_INT:
  case WS_JSON_NUMBER:
    return ws_json_take_double(r, &number, error);
  case WS_JSON_BOOL:
    return ws_json_take_bool(r, &truth, error);
  case WS_JSON_NULL:
    return ws_json_take_null(r, error);
  case WS_JSON_NONE:
    break;
  }
  return expected(r, "a value", error);
}

bool ws_json_take_raw(WsJsonReader *r, const char **json, gsize *n, GError **error)
{
  next_byte(r);
  const char *start = r->at;
  if (!skip_value(r, error))
    return false;
  *json = start;
  *n = (gsize)(r->at - start);
  return true;
}

bool ws_json_reader_end(WsJsonReader *r, GError **error)
{
  next_byte(r);
  return r->at == r->end || expected(r, "the end of the text", error);
}
