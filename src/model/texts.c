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

const char *ws_word(const char *word, WsLang lang)
{
  const WsWord *found = bsearch(word, ws_words, ws_n_words, sizeof *ws_words, compare_names);
  return found ? found->text[lang] : word;
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
    g_string_append(out, value ? value : "?");
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

/* "power_off" is for programs. In English a word stays small inside its sentence. */
static char *word_for(const char *word, WsLang lang)
{
  if (lang == WS_LANG_ZH)
    return g_strdup(ws_word(word, lang));
  return g_strdelimit(g_strdup(word), "_", ' ');
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
  bool bytes = field && g_str_has_suffix(field, "_bytes");
  g_autoptr(GError) said = g_error_copy(error);
  for (guint i = 0; i < ws_error_n_params(error); i++) {
    const char *name, *value;
    ws_error_nth_param(error, i, &name, &value);
    g_autofree char *text = is_one_of(name, words) ? word_for(value, lang) : bytes && is_one_of(name, limits) ? size_for(value) : NULL;
    if (text)
      ws_error_set_param(said, name, text);
  }
  return ws_error_message(said, lang);
}
