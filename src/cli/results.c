// SPDX-License-Identifier: Apache-2.0
/* What became of each object of a batch. See cli.h. */
#include "cli/cli.h"
#include "model/texts.h"
#include <stdio.h>
#include <string.h>

#define CHILDREN_MAX "100000" /* more than a batch takes */

static json_t *children_of(Cli *cli, const char *parent, GError **error)
{
  g_autofree char *filter = g_strdup_printf("parent=%s", parent);
  g_autofree char *escaped = g_uri_escape_string(filter, NULL, FALSE);
  g_autofree char *path = g_strdup_printf("/api/v1/tasks?limit=" CHILDREN_MAX "&filter=%s", escaped);
  json_t *list = NULL;
  return cli_call(cli, "GET", path, NULL, &list, error) ? list : NULL;
}

static bool is_done(const json_t *child)
{
  return g_strcmp0(json_string_value(json_object_get(child, "state")), "done") == 0;
}

/* The object it was about, or made. */
static const char *id_of(const json_t *child)
{
  const char *target = json_string_value(json_object_get(child, "target"));
  return target ? target : json_string_value(json_object_get(child, "result"));
}

static const char *name_of(const json_t *child)
{
  const char *name = json_string_value(json_object_get(child, "target_name"));
  return name ? name : json_string_value(json_object_get(json_object_get(child, "request"), "name"));
}

static char *reason_of(const Cli *cli, const json_t *child)
{
  g_autoptr(GError) error = NULL;
  if (is_done(child))
    return g_strdup("");
  wait_fail(child, &error);
  char *message = ws_error_in_words(error, cli->lang);
  if (!ws_error_cause(error))
    return message;
  g_autofree char *cause = ws_phrase(ws_error_cause(error), cli->lang);
  g_autofree char *whole = message;
  return g_strdup_printf("%s %s", whole, cause);
}

static void add_row(GPtrArray *rows, const char *id, const char *name, const char *state, char *reason)
{
  char **cells = g_new0(char *, 5);
  cells[0] = g_strdup(id ? id : "-");
  cells[1] = g_strdup(name ? name : "-");
  cells[2] = g_strdup(state);
  cells[3] = reason;
  for (char *p = cells[3]; *p; p++)
    if ((guchar)*p < 0x20)
      *p = ' ';
  g_ptr_array_add(rows, cells);
}

static void show(const Cli *cli, const json_t *items)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  size_t i;
  json_t *child;
  if (!cli->quiet)
    add_row(rows, "ID", cli_words(cli, "NAME", "名称"), cli_words(cli, "RESULT", "结果"), g_strdup(cli_words(cli, "REASON", "原因")));
  json_array_foreach(items, i, child) {
    if (!cli->quiet)
      add_row(rows, id_of(child), name_of(child), ws_word(json_string_value(json_object_get(child, "state")), cli->lang),
              reason_of(cli, child));
    else if (is_done(child) && id_of(child))
      g_print("%s\n", id_of(child));
  }
  output_table(rows, 4);
}

bool results_of_children(Cli *cli, const json_t *parent, GError **error)
{
  json_t *list = children_of(cli, json_string_value(json_object_get(parent, "id")), error), *child;
  json_t *items = json_object_get(list, "items");
  size_t i, done = 0, all = json_array_size(items);
  if (!list)
    return false;
  json_array_foreach(items, i, child)
    done += is_done(child);
  if (cli->format == CLI_TABLE) {
    show(cli, items);
  } else {
    json_t *whole = json_copy((json_t *)parent);
    json_object_set(whole, "results", items);
    output_raw(cli, whole);
    json_decref(whole);
  }
  json_decref(list);
  g_autofree char *n_done = g_strdup_printf("%zu", done), *n_all = g_strdup_printf("%zu", all);
  return done == all || ws_fail(error, WS_ERROR_PARTLY_DONE, "done", n_done, "all", n_all, NULL);
}

/* ---- a batch that answered at once ---- */

/* The manager's words, or what would be done. */
static char *said_of(const Cli *cli, const json_t *result)
{
  const json_t *error = json_object_get(result, "error"), *steps = json_object_get(result, "steps");
  const char *message = json_string_value(json_object_get(error, "message")),
             *cause = json_string_value(json_object_get(error, "cause"));
  GString *text = g_string_new(message);
  size_t i;
  json_t *step;
  if (cause)
    g_string_append_printf(text, " %s", cause);
  json_array_foreach ((json_t *)steps, i, step) {
    g_autofree char *said = ws_step_in_words(json_string_value(step), cli->lang);
    g_string_append_printf(text, "%s%s", i ? ", " : "", said);
  }
  if (json_object_get(result, "forecast")) {
    g_autofree char *takes = forecast_in_short(cli, json_object_get(result, "forecast"));
    g_string_append_printf(text, "; %s", takes);
  }
  return g_string_free(text, FALSE);
}

static void show_at_once(const Cli *cli, const json_t *results, bool dry)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  const char *good = dry ? cli_words(cli, "possible", "可执行") : ws_word("done", cli->lang),
             *bad = cli_words(cli, "refused", "被拒绝");
  size_t i;
  json_t *result;
  if (!cli->quiet)
    add_row(
        rows, "ID", "", cli_words(cli, "RESULT", "结果"),
        g_strdup(dry ? cli_words(cli, "STEPS OR REASON", "步骤或原因") : cli_words(cli, "REASON", "原因")));
  json_array_foreach (results, i, result) {
    const char *id = json_string_value(json_object_get(result, "id"));
    if (cli->quiet && !json_object_get(result, "error"))
      g_print("%s\n", id);
    else if (!cli->quiet)
      add_row(rows, id, "", json_object_get(result, "error") ? bad : good, said_of(cli, result));
  }
  for (guint r = 0; r < rows->len; r++) { /* no names came with it */
    char **cells = rows->pdata[r];
    g_free(cells[1]);
    memmove(cells + 1, cells + 2, 3 * sizeof *cells);
  }
  output_table(rows, 3);
}

bool results_at_once(Cli *cli, const json_t *answer, GError **error)
{
  const json_t *results = json_object_get(answer, "results");
  size_t i, done = 0, all = json_array_size(results);
  json_t *result;
  json_array_foreach (results, i, result)
    done += !json_object_get(result, "error");
  if (cli->format == CLI_TABLE)
    show_at_once(cli, results, json_is_true(json_object_get(answer, "dry_run")));
  else
    output_raw(cli, answer);
  g_autofree char *n_done = g_strdup_printf("%zu", done), *n_all = g_strdup_printf("%zu", all);
  return done == all || ws_fail(error, WS_ERROR_PARTLY_DONE, "done", n_done, "all", n_all, NULL);
}
