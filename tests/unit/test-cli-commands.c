// SPDX-License-Identifier: Apache-2.0
/* The table of winctl's commands is sound: names are unique, options lead to fields that the body has. And
 * what a dry run foretells, in words. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "model/model.h"
#include <string.h>

/* The field at a dotted path of a type, or NULL. */
static const WsField *field_at(const WsType *type, const char *path)
{
  g_auto(GStrv) steps = g_strsplit(path, ".", -1);
  const WsField *field = NULL;
  for (char **step = steps; *step; step++) {
    if (!type)
      return NULL;
    field = ws_type_field(type, *step, strlen(*step));
    type = field && field->kind == WS_KIND_OBJECT ? field->sub : NULL;
    if (!field)
      return NULL;
  }
  return field;
}

static void check_command(const CliCommand *command)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  g_test_message("%s", command->operation);
  g_assert_true(g_str_has_prefix(command->path, "/api/v1/"));
  g_assert_nonnull(command->summary);
  g_assert_nonnull(command->zh);
  for (guint i = 0; i < command->n_options; i++) {
    const CliOption *option = &command->options[i];
    g_assert_true(g_hash_table_add(seen, (char *)option->name));
    if (option->place == CLI_IN_BODY)
      g_assert_true(field_at(command->body, option->path) == option->field);
    else
      g_assert_cmpstr(option->field->name, ==, option->path);
    g_assert_false(option->field->flags & (WS_FIELD_READ_ONLY | WS_FIELD_INTERNAL));
  }
}

static void commands_lead_to_fields(void)
{
  g_autoptr(GHashTable) nouns = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < cli_n_nouns; i++) {
    const CliNoun *noun = &cli_nouns[i];
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    g_assert_true(g_hash_table_add(nouns, (char *)noun->name));
    for (guint k = 0; k < noun->n_commands; k++) {
      g_assert_true(g_hash_table_add(names, (char *)noun->commands[k].name));
      check_command(&noun->commands[k]);
    }
  }
}

static void columns_lead_to_fields(void)
{
  for (guint i = 0; i < cli_n_nouns; i++)
    for (guint k = 0; k < cli_nouns[i].n_columns; k++) {
      const CliColumn *column = &cli_nouns[i].columns[k];
      bool system = strcmp(column->path, "id") == 0 || strcmp(column->path, "revision") == 0;
      g_test_message("%s.%s", cli_nouns[i].name, column->path);
      g_assert_true(system || field_at(cli_nouns[i].type, column->path) == column->field);
      g_assert_nonnull(column->heading);
      g_assert_nonnull(column->zh);
    }
}

static void assert_told(WsLang lang, const char *json, const char *words)
{
  Cli cli = {.lang = lang};
  json_t *forecast = json_loads(json, 0, NULL);
  g_assert_nonnull(forecast);
  g_autofree char *said = forecast_in_short(&cli, forecast);
  g_assert_cmpstr(said, ==, words);
  json_decref(forecast);
}

static void forecast_says_what_is_known(void)
{
  assert_told(WS_LANG_EN, "{}", "how long it takes is not known");
  assert_told(WS_LANG_EN, "{\"course\": \"never_ends\"}",
              "it does not end: the guest writes faster than can be carried");
  assert_told(WS_LANG_EN, "{\"duration_s\": 6, \"downtime_max_ms\": 400}",
              "takes at least 6.0 s; the guest stands still at most 0.4 s");
  const char *whole = "{\"course\": \"converges\", \"duration_s\": 75, \"duration_max_s\": 7500, "
                      "\"downtime_ms\": 400, \"downtime_max_ms\": 400}";
  assert_told(WS_LANG_EN, whole, "takes about 75 s, at most 2 h 5 min; the guest stands still about 0.4 s");
  assert_told(WS_LANG_ZH, whole, "用时约 75 秒，最长 2 小时 5 分钟；客户机停顿约 0.4 秒");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/cli/commands/commands_lead_to_fields", commands_lead_to_fields);
  g_test_add_func("/cli/commands/columns_lead_to_fields", columns_lead_to_fields);
  g_test_add_func("/cli/commands/forecast_says_what_is_known", forecast_says_what_is_known);
  return g_test_run();
}
