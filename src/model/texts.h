// SPDX-License-Identifier: Apache-2.0
/* Sentences and words for people, in English and Chinese: task logs, events (api/texts.yaml), states and
 * activities (api/words.yaml). What is stored and sent is the name and its parameters; the sentence is made
 * for its reader. Threads: any. */
#pragma once
#include "base/error.h"
#include "model/type.h"

typedef struct {
  const char *name;          /* "vm_power_changed" */
  const char *text[2];       /* by WsLang, with {placeholders} */
  const char *hint[2];       /* what to do next; NULL: none */
  const char *const *params; /* NULL-ended names */
} WsText;

extern const WsText ws_texts[]; /* generated; sorted by name */
extern const guint ws_n_texts;
const WsText *ws_text_find(const char *name); /* NULL: unknown */

/* The sentence with its parameters put in; one that is missing reads "?". An unknown name gives the name
 * itself. A parameter `kind` is that of an alarm, and shown as its word. Caller frees. */
char *ws_text_format(const char *name, WsLang lang, const WsMap *params);

/* "running" -> "Running", "运行中". An unknown word gives itself. Borrowed. */
const char *ws_word(const char *word, WsLang lang);
/* The same of a choice of a field, which may mean something else there than elsewhere: "normal" of "shares". Borrowed. */
const char *ws_word_of(const char *field, const char *word, WsLang lang);
/* The name of a task's step for people; one that is in no table is given as it is. Caller frees. */
char *ws_step_in_words(const char *step, WsLang lang);

/* ws_error_message() with states, verbs and sizes among its parameters as its reader says them. Caller frees. */
char *ws_error_in_words(const GError *error, WsLang lang);

typedef struct {
  const char *word;
  const char *text[2];
  const char *cannot; /* English, behind "cannot"; NULL: as it is */
} WsWord;
extern const WsWord ws_words[]; /* generated; sorted */
extern const guint ws_n_words;
