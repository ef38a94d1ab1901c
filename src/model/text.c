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
