// SPDX-License-Identifier: Apache-2.0
/* Looking up sentences and words, and putting parameters in. */
#include "model/texts.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

/* Both tables begin each row with the name. */
static int compare_names(const void *name, const void *row)
{
  return strcmp(name, *(const char *const *)row);
}

const WsText *ws_text_find(const char *name)
{
  return bsearch(name, ws_texts, ws_n_texts, sizeof *ws_texts, compare_names);
}

static const WsWord *word_find(const char *word)
{
  return bsearch(word, ws_words, ws_n_words, sizeof *ws_words, compare_names);
}

const char *ws_word(const char *word, WsLang lang)
{
  const WsWord *found = word_find(word);
  return found ? found->text[lang] : word;
}

const char *ws_word_of(const char *field, const char *word, WsLang lang)
{
  g_autofree char *own = g_strdup_printf("%s.%s", field, word);
  const WsWord *found = word_find(own);
  return found ? found->text[lang] : ws_word(word, lang);
}

/* Where a size in it begins, and its length; 0: none. */
static gsize size_in(const char *text, gsize *n)
{
  for (const char *p = text; *p; p++)
    if (g_ascii_isdigit(*p) && p > text && p[-1] == ' ') {
      gsize number = strspn(p, "0123456789."), unit = p[number] == ' ' ? strspn(p + number + 1, "BKMGTPEi") : 0;
      *n = unit ? number + 1 + unit : 0;
      if (*n)
        return (gsize)(p - text);
    }
  return 0;
}

char *ws_step_in_words(const char *step, WsLang lang)
{
  gsize n = 0, at = size_in(step, &n);
  g_autofree char *name = at ? g_strdup_printf("step.%.*s{}%s", (int)at, step, step + at + n) : g_strconcat("step.", step, NULL);
  const WsWord *found = word_find(name);
  if (!found) /* a line of a dry run: names and pieces of sentences */
    return ws_phrase(step, lang);
  const char *text = found->text[lang], *place = at ? strstr(text, "{}") : NULL;
  return place ? g_strdup_printf("%.*s%.*s%s", (int)(place - text), text, (int)n, step + at, place + 2) : g_strdup(text);
}

/* "kind" is that of an alarm; what was an error's or a host's sentence is looked up as a piece of one, other parameters are names and numbers. */
static char *param_for(const char *param, const char *value, WsLang lang)
{
  static const char *const sentences[] = {"reason", "change", "what", "strategy", NULL};
  if (strcmp(param, "kind") == 0)
    return g_strdup(ws_word(value, lang));
  return g_strv_contains(sentences, param) ? ws_phrase(value, lang) : g_strdup(value);
}

char *ws_text_format(const char *name, WsLang lang, const WsMap *params)
{
  const WsText *text = ws_text_find(name);
  if (!text)
    return g_strdup(name);
  GString *out = g_string_new(NULL);
  const char *at = text->text[lang];
  for (const char *open; (open = strchr(at, '{'));) {
    const char *close = strchr(open, '}');
    g_assert(close); /* the generator has seen to it */
    g_autofree char *param = g_strndup(open + 1, (gsize)(close - open - 1));
    const char *value = params ? ws_map_get(params, param) : NULL;
    g_string_append_len(out, at, open - at);
    g_autofree char *said = value ? param_for(param, value, lang) : NULL;
    g_string_append(out, said ? said : "?");
    at = close + 1;
  }
  g_string_append(out, at);
  return g_string_free(out, FALSE);
}

/* ---- parameters of errors ---- */

static bool is_one_of(const char *name, const char *const *names)
{
  return g_strv_contains(names, name);
}

/* "power_off" is for programs. In English a word stays small inside its sentence, names of things ("NFS") as they are; `cannot`: behind that word. */
static char *word_for(const char *word, WsLang lang, bool cannot)
{
  const WsWord *found = word_find(word);
  if (lang == WS_LANG_ZH || !found)
    return lang == WS_LANG_ZH ? g_strdup(ws_word(word, lang)) : g_strdelimit(g_strdup(word), "_", ' ');
  char *text = g_strdup(cannot && found->cannot ? found->cannot : found->text[lang]);
  if (g_ascii_isupper(text[0]) && (g_ascii_islower(text[1]) || text[1] == ' '))
    text[0] = g_ascii_tolower(text[0]);
  return text;
}

static char *size_for(const char *text)
{
  char size[WS_SIZE_TEXT_MAX];
  guint64 bytes;
  return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &bytes, NULL) ? g_strdup(ws_size_format(bytes, size)) : g_strdup(text);
}

char *ws_error_in_words(const GError *error, WsLang lang)
{
  static const char *const words[] = {"state", "verb", NULL}, *const limits[] = {"min", "max", NULL};
  const char *field = ws_error_field(error);
  bool bytes = field && g_str_has_suffix(field, "_bytes"), cannot = ws_error_code(error) != WS_ERROR_BUSY;
  g_autoptr(GError) said = g_error_copy(error);
  for (guint i = 0; i < ws_error_n_params(error); i++) {
    const char *name, *value;
    ws_error_nth_param(error, i, &name, &value);
    g_autofree char *text = is_one_of(name, words) ? word_for(value, lang, cannot) : bytes && is_one_of(name, limits) ? size_for(value) : NULL;
    if (text)
      ws_error_set_param(said, name, text);
  }
  return ws_error_message(said, lang);
}
