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

static void an_alarm_is_named_in_the_readers_words(void)
{
  g_autoptr(WsTaskLogLine) line = ws_task_log_line_new();
  ws_map_set(&line->params, "kind", "host_lost");
  g_autofree char *en = ws_text_format("alarm_opened", WS_LANG_EN, &line->params), *zh = ws_text_format("alarm_opened", WS_LANG_ZH, &line->params);
  g_assert_cmpstr(en, ==, "Alarm opened: Host lost.");
  g_assert_cmpstr(zh, ==, "产生告警：主机失联。");
}

static void a_sentence_inside_of_a_sentence_is_told_in_the_readers_words(void)
{
  g_autoptr(WsTaskLogLine) line = ws_task_log_line_new();
  ws_map_set(&line->params, "change", "nics[nic-0]: the guest has not released the device");
  g_autofree char *en = ws_text_format("vm_change_waits", WS_LANG_EN, &line->params), *zh = ws_text_format("vm_change_waits", WS_LANG_ZH, &line->params);
  g_assert_cmpstr(en, ==, "Takes effect with the next power cycle: nics[nic-0]: the guest has not released the device.");
  g_assert_cmpstr(zh, ==, "将在下次关机再启动后生效：nics[nic-0]：客户机未释放该设备。");
}

static void a_word_has_two_languages(void)
{
  g_assert_cmpstr(ws_word("running", WS_LANG_EN), ==, "Running");
  g_assert_cmpstr(ws_word("running", WS_LANG_ZH), ==, "运行中");
  g_assert_cmpstr(ws_word("no_such_word", WS_LANG_ZH), ==, "no_such_word");
}

static void a_word_may_mean_something_else_in_a_field(void)
{
  g_assert_cmpstr(ws_word_of("mode", "normal", WS_LANG_EN), ==, "In service");
  g_assert_cmpstr(ws_word_of("shares", "normal", WS_LANG_EN), ==, "Normal");
  g_assert_cmpstr(ws_word_of("shares", "normal", WS_LANG_ZH), ==, "正常");
  g_assert_cmpstr(ws_word_of("shares", "low", WS_LANG_EN), ==, "Low");
}

static void steps_have_words(void)
{
  g_autofree char *plain = ws_step_in_words("make disks", WS_LANG_ZH), *room = ws_step_in_words("pack (needs at most 20.3 MiB)", WS_LANG_ZH),
                  *other = ws_step_in_words("of its own 7 kinds", WS_LANG_EN);
  g_assert_cmpstr(plain, ==, "创建磁盘");
  g_assert_cmpstr(room, ==, "打包（最多需要 20.3 MiB）");
  g_assert_cmpstr(other, ==, "of its own 7 kinds");
}

/* What a dry run finds is said in the reader's language as far as it is made of phrases. */
static void lines_of_dry_runs_are_translated(void)
{
  g_autofree char *stays = ws_step_in_words("host-a: 2 virtual machines that are hibernated stay: web, db",
                                            WS_LANG_ZH),
                  *goes = ws_step_in_words("web-1 -> host-a", WS_LANG_ZH);
  g_assert_cmpstr(stays, ==, "host-a: 2 台虚拟机（已休眠）留在原处：web, db");
  g_assert_cmpstr(goes, ==, "web-1 -> host-a");
}

static void assert_says(GError *error, const char *words)
{
  g_autoptr(GError) owned = error;
  g_autofree char *said = ws_error_in_words(owned, WS_LANG_EN);
  g_assert_cmpstr(said, ==, words);
}

/* Names of the API are for programs. */
static void errors_say_verbs_and_states_in_words(void)
{
  GError *error = NULL;
  ws_fail(&error, WS_ERROR_WRONG_STATE, "object", "web", "verb", "delete", "state", "running", NULL);
  assert_says(error, "web cannot be deleted while it is running.");
  error = NULL;
  ws_fail(&error, WS_ERROR_WRONG_STATE, "object", "web", "verb", "attach_nic", "state", "io_held", NULL);
  assert_says(error, "web cannot have a NIC attached while it is waiting for storage.");
  error = NULL;
  ws_fail(&error, WS_ERROR_BUSY, "object", "web", "verb", "attaching_nic", "task", "task-7", NULL);
  assert_says(error, "web is busy: attaching NIC (task-7) is under way.");
  error = NULL;
  ws_fail(&error, WS_ERROR_WRONG_STATE, "object", "web", "verb", "be deployed", "state", "ready", NULL);
  assert_says(error, "web cannot be deployed while it is ready.");
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
  g_test_add_func("/model/texts/an_alarm_is_named_in_the_readers_words", an_alarm_is_named_in_the_readers_words);
  g_test_add_func("/model/texts/a_sentence_inside_of_a_sentence_is_told_in_the_readers_words",
                  a_sentence_inside_of_a_sentence_is_told_in_the_readers_words);
  g_test_add_func("/model/texts/a_word_has_two_languages", a_word_has_two_languages);
  g_test_add_func("/model/texts/a_word_may_mean_something_else_in_a_field", a_word_may_mean_something_else_in_a_field);
  g_test_add_func("/model/texts/steps_have_words", steps_have_words);
  g_test_add_func("/model/texts/lines_of_dry_runs_are_translated", lines_of_dry_runs_are_translated);
  g_test_add_func("/model/texts/errors_say_verbs_and_states_in_words", errors_say_verbs_and_states_in_words);
  g_test_add_func("/model/texts/tables_are_sorted_and_found", tables_are_sorted_and_found);
  g_test_add_func("/model/allowed/a_verb_is_allowed_by_every_condition",
                  a_verb_is_allowed_by_every_condition);
  return g_test_run();
}
