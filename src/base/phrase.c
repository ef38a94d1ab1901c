// SPDX-License-Identifier: Apache-2.0
/* Pieces of sentences in another language than the one they are written in; see error.h and api/phrases.yaml.
 *
 * The text is looked for as a whole, then among the phrases with places ("at most {} items"), whose fillings are looked for in turn; then it is
 * taken apart at "; " and ", ", and behind the first ": ". Only errors that are shown pay for it. */
#include "base/error.h"
#include "base/error-catalogue.h"
#include <string.h>

#define FILLINGS_MAX 8
#define DEPTH_MAX 4 /* a phrase in a phrase in a list behind a name */

static char *translate(const char *text, guint depth);

/* What fills the places of the pattern in the text, each as short as can be. The ends of a range, "{} to {}", are numbers: other texts have a "to", too. */
static bool match(const char *pattern, const char *text, GPtrArray *fillings)
{
  const char *place = strstr(pattern, "{}");
  if (!place)
    return strcmp(pattern, text) == 0;
  gsize before = (gsize)(place - pattern);
  if (strncmp(pattern, text, before) != 0 || fillings->len == FILLINGS_MAX)
    return false;
  bool number = g_str_has_prefix(place, "{} to {}") || g_str_has_prefix(pattern, " to {}");
  const char *rest = place + 2;
  for (const char *end = text + before; ; end++) {
    guint n = fillings->len;
    g_ptr_array_add(fillings, g_strndup(text + before, (gsize)(end - text) - before));
    if ((!number || end > text + before) && match(rest, end, fillings))
      return true;
    g_ptr_array_set_size(fillings, (gint)n);
    if (!*end || (number && !g_ascii_isdigit(*end)))
      return false;
  }
}

static char *fill(const char *zh, const GPtrArray *fillings, guint depth)
{
  GString *out = g_string_new(NULL);
  guint i = 0;
  for (const char *place; (place = strstr(zh, "{}")); zh = place + 2) {
    g_autofree char *filling = translate(fillings->pdata[i++], depth + 1);
    g_string_append_len(out, zh, place - zh);
    g_string_append(out, filling ? filling : (char *)fillings->pdata[i - 1]);
  }
  g_string_append(out, zh);
  return g_string_free(out, FALSE);
}

static char *whole(const char *text, guint depth)
{
  for (guint i = 0; i < ws_n_phrases; i++) {
    g_autoptr(GPtrArray) fillings = g_ptr_array_new_with_free_func(g_free);
    if (match(ws_phrases[i].en, text, fillings))
      return fill(ws_phrases[i].zh, fillings, depth);
  }
  return NULL;
}

/* All parts, or nothing when none of them is known. */
static char *list(const char *text, const char *by, const char *with, guint depth)
{
  g_auto(GStrv) parts = g_strsplit(text, by, 256);
  bool known = false;
  for (char **part = parts; *part; part++) {
    char *zh = translate(*part, depth + 1);
    known |= zh != NULL;
    if (zh) {
      g_free(*part);
      *part = zh;
    }
  }
  return known ? g_strjoinv(with, parts) : NULL;
}

static char *behind_name(const char *text, guint depth)
{
  const char *colon = strstr(text, ": ");
  g_autofree char *tail = colon ? translate(colon + 2, depth + 1) : NULL;
  return tail ? g_strdup_printf("%.*s：%s", (int)(colon - text), text, tail) : NULL;
}

/* NULL: not known. */
static char *translate(const char *text, guint depth)
{
  char *zh = whole(text, depth);
  if (zh || depth >= DEPTH_MAX)
    return zh;
  if (strstr(text, "; "))
    return list(text, "; ", "；", depth);
  zh = behind_name(text, depth);
  if (!zh && strstr(text, ", "))
    zh = list(text, ", ", "，", depth);
  return zh;
}

char *ws_phrase(const char *text, WsLang lang)
{
  char *zh = lang == WS_LANG_ZH ? translate(text, 0) : NULL;
  return zh ? zh : g_strdup(text);
}
