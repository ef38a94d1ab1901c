// SPDX-License-Identifier: Apache-2.0
/* Text as people compare it: case does not matter, numbers inside count by value. ASCII, the common case,
 * allocates nothing. */
#include "model/type-private.h"

static inline bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* Folded character at *p; moves on. */
static inline gunichar next_folded(const char **p)
{
  unsigned char byte = (unsigned char)**p;
  if (byte < 0x80) {
    ++*p;
    return byte >= 'A' && byte <= 'Z' ? byte + 32u : byte;
  }
  gunichar ch = g_unichar_tolower(g_utf8_get_char(*p));
  *p = g_utf8_next_char(*p);
  return ch;
}

/* Order of two numbers of any length; moves behind both. */
static int compare_numbers(const char **a, const char **b)
{
  while (**a == '0')
    ++*a;
  while (**b == '0')
    ++*b;
  const char *x = *a, *y = *b;
  while (is_digit(**a))
    ++*a;
  while (is_digit(**b))
    ++*b;
  gsize nx = (gsize)(*a - x), ny = (gsize)(*b - y);
  if (nx != ny)
    return nx < ny ? -1 : 1;
  return memcmp(x, y, nx);
}

int ws_text_compare(const char *a, const char *b)
{
  const char *x = a, *y = b;
  while (*x && *y) {
    if (is_digit(*x) && is_digit(*y)) {
      int order = compare_numbers(&x, &y);
      if (order)
        return order;
      continue;
    }
    gunichar cx = next_folded(&x), cy = next_folded(&y);
    if (cx != cy)
      return cx < cy ? -1 : 1;
  }
  if (*x || *y)
    return *x ? 1 : -1;
  return strcmp(a, b); /* web-1 and Web-01 are near, but not the same */
}

static bool is_ascii(const char *s)
{
  for (; *s; s++)
    if (*s & 0x80)
      return false;
  return true;
}

char *ws_text_fold(const char *text)
{
  return is_ascii(text) ? g_ascii_strdown(text, -1) : g_utf8_casefold(text, -1);
}

static bool contains_ascii(const char *text, const char *folded)
{
  if (!*folded)
    return true;
  for (; *text; text++) {
    gsize i = 0;
    while (folded[i] && g_ascii_tolower(text[i]) == folded[i])
      i++;
    if (!folded[i])
      return true;
  }
  return false;
}

bool ws_text_contains(const char *text, const char *folded)
{
  if (is_ascii(text))
    return contains_ascii(text, folded);
  g_autofree char *other = g_utf8_casefold(text, -1);
  return strstr(other, folded) != NULL;
}

/* ---- many texts at once ---- */

/* Lead bytes of UTF-8 whose characters have no case, nor anything else that folding changes (Unicode 15, CaseFolding.txt): U+3000-9FFF
 * and U+B000-EFFF, so all that is written in Chinese and Japanese but fullwidth forms. */
static inline bool is_caseless(unsigned char c)
{
  return c < 0xc0 || (c >= 0xe3 && c <= 0xe9) || (c >= 0xeb && c <= 0xee);
}

bool ws_texts_fold(const char *texts, gsize n)
{
  unsigned folds = 0;
  for (gsize i = 0; i < n; i++)
    folds |= !is_caseless((unsigned char)texts[i]);
  return folds;
}

static inline unsigned char folded_byte(unsigned char c)
{
  return c + (unsigned char)((unsigned char)(c - 'A') < 26 ? 'a' - 'A' : 0);
}

static bool is_at(const char *text, const char *folded, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (folded_byte((unsigned char)text[i]) != (unsigned char)folded[i])
      return false;
  return true;
}

bool ws_text_begins(const char *text, const char *folded)
{
  while (*folded && folded_byte((unsigned char)*text) == (unsigned char)*folded)
    text++, folded++;
  return !*folded;
}

enum { STRIDE = 64 }; /* a fixed number, so that the compiler makes vectors of the loop */

/* Marks those of STRIDE places where first and last byte of what is looked for stand; false: none. */
static inline bool mark(const unsigned char *text, const unsigned char *text_end, unsigned char first, unsigned char last,
                        unsigned char *restrict marks)
{
  unsigned char seen = 0;
  for (int i = 0; i < STRIDE; i++) {
    marks[i] = (unsigned char)((unsigned char)(folded_byte(text[i]) == first) & (unsigned char)(folded_byte(text_end[i]) == last));
    seen |= marks[i];
  }
  return seen;
}

/* Whether it stands at one of STRIDE places. */
static inline bool is_within(const char *text, const char *folded, gsize n)
{
  unsigned char marks[STRIDE];
  const unsigned char *bytes = (const unsigned char *)text;
  if (!mark(bytes, bytes + n - 1, (unsigned char)folded[0], (unsigned char)folded[n - 1], marks))
    return false;
  for (const unsigned char *at = marks, *end = marks + STRIDE; (at = memchr(at, 1, (gsize)(end - at))); at++)
    if (is_at(text + (at - marks), folded, n))
      return true;
  return false;
}

/* By first and last byte, as W. Mula, "SIMD-friendly algorithms for substring searching", does it. */
bool ws_texts_contain(const char *texts, gsize n, const char *folded, gsize folded_len)
{
  if (folded_len == 0)
    return true;
  if (folded_len > n)
    return false;
  gsize at = 0, places = n - folded_len + 1;
  for (; at + STRIDE <= places; at += STRIDE)
    if (is_within(texts + at, folded, folded_len))
      return true;
  if (places >= STRIDE) /* the rest, and some once more */
    return at < places && is_within(texts + places - STRIDE, folded, folded_len);
  for (; at < places; at++)
    if (is_at(texts + at, folded, folded_len))
      return true;
  return false;
}
