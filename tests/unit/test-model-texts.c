// SPDX-License-Identifier: Apache-2.0
/* Sentences and words in both languages; verbs by state. */
#include "model/model.h"
#include "model/routes.h"
#include "model/texts.h"
#include <string.h>

static void a_sentence_gets_its_parameters(void)
{
  g_autoptr(WsTaskLogLine) line = ws_task_log_line_new();
  ws_map_set(&line->params, "step", "copy");
  ws_map_set(&line->params, "code", "{x}");
  g_autofree char *en = ws_text_format("task_step_waits", WS_LANG_EN, &line->params);
  g_autofree char *zh = ws_text_format("task_step_waits", WS_LANG_ZH, &line->params);
  g_assert_cmpstr(en, ==, "Step copy could not go on ({x}); tried again in ? s.");
  g_assert_nonnull(strstr(zh, "copy"));
  g_autofree char *unknown = ws_text_format("not_in_the_catalogue", WS_LANG_EN, NULL);
  g_assert_cmpstr(unknown, ==, "not_in_the_catalogue");
}

static void a_word_has_two_languages(void)
{
  g_assert_cmpstr(ws_word("running", WS_LANG_EN), ==, "Running");
  g_assert_cmpstr(ws_word("running", WS_LANG_ZH), ==, "运行中");
  g_assert_cmpstr(ws_word("no_such_word", WS_LANG_ZH), ==, "no_such_word");
}

static void tables_are_sorted_and_found(void)
{
  for (guint i = 0; i < ws_n_texts; i++)
    g_assert_true(ws_text_find(ws_texts[i].name) == &ws_texts[i]);
  for (guint i = 0; i < ws_n_words; i++)
    g_assert_true(ws_word(ws_words[i].word, WS_LANG_EN) == ws_words[i].text[WS_LANG_EN]);
}

/* ---- verbs by state ---- */

static const WsField *field_of(const WsType *type, const char *name)
{
  const WsField *field = ws_type_field(type, name, strlen(name));
  g_assert_nonnull(field);
  return field;
}

static void a_verb_is_allowed_by_every_condition(void)
{
  const WsAllowed allowed[] = {
      {.part = field_of(&ws_type_vm, "power"),
       .field = field_of(&ws_type_power, "state"),
       .words = 1 << (WS_POWER_STATE_OFF - 1) | 1 << (WS_POWER_STATE_HIBERNATED - 1)},
      {.field = field_of(&ws_type_vm, "management"), .words = 1 << (WS_VM_MANAGEMENT_MANAGED - 1)},
  };
  const WsAllowed *failed = NULL;
  const char *word = NULL;
  g_autoptr(WsVm) vm = ws_vm_new();
  /* No report yet: the power state counts as its default. */
  g_assert_false(ws_allowed_check(allowed, 2, vm, &failed, &word));
  g_assert_true(failed == &allowed[0]);
  g_assert_cmpstr(word, ==, "unknown");
  vm->power = ws_power_new();
  vm->power->state = WS_POWER_STATE_RUNNING;
  g_assert_false(ws_allowed_check(allowed, 2, vm, &failed, &word));
  g_assert_cmpstr(word, ==, "running");
  vm->power->state = WS_POWER_STATE_OFF;
  g_assert_true(ws_allowed_check(allowed, 2, vm, &failed, &word)); /* management: its default is managed */
  vm->management = WS_VM_MANAGEMENT_FOUND;
  g_assert_false(ws_allowed_check(allowed, 2, vm, &failed, &word));
  g_assert_true(failed == &allowed[1]);
  g_assert_cmpstr(word, ==, "found");
  g_assert_true(ws_allowed_check(NULL, 0, vm, NULL, NULL));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/model/texts/a_sentence_gets_its_parameters", a_sentence_gets_its_parameters);
  g_test_add_func("/model/texts/a_word_has_two_languages", a_word_has_two_languages);
  g_test_add_func("/model/texts/tables_are_sorted_and_found", tables_are_sorted_and_found);
  g_test_add_func("/model/allowed/a_verb_is_allowed_by_every_condition",
                  a_verb_is_allowed_by_every_condition);
  return g_test_run();
}
