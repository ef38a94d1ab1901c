// SPDX-License-Identifier: Apache-2.0
/* Looking up sentences and words, and putting parameters in. */
#include "model/texts.h"
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
