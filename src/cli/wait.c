// SPDX-License-Identifier: Apache-2.0
/* Following a task to its end: a bar on a terminal, its error in words when it failed. See cli.h. */
#include "cli/cli.h"
#include "model/texts.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 250000
#define BAR 24

static bool is_living(const char *state)
{
  static const char *const living[] = {"queued", "running", "cancelling", "rolling_back", NULL};
  return !state || g_strv_contains(living, state);
}

static void draw(const Cli *cli, const json_t *task)
{
  const json_t *progress = json_object_get(task, "progress"), *steps = json_object_get(task, "steps");
  const json_t *step = json_array_get(steps, json_array_size(steps) ? json_array_size(steps) - 1 : 0);
  const char *name = json_string_value(json_object_get(step, "name"));
  const json_t *percent = json_object_get(progress, "percent");
  int done = percent ? (int)json_integer_value(percent) * BAR / 100 : 0;
  char bar[BAR + 1];
  memset(bar, '.', BAR);
  memset(bar, '#', (size_t)done);
  bar[BAR] = '\0';
  g_printerr("\r\033[K%s %s", json_string_value(json_object_get(task, "id")),
          ws_word(json_string_value(json_object_get(task, "state")), cli->lang));
  g_autofree char *said = name ? ws_step_in_words(name, cli->lang) : NULL;
  if (said)
    g_printerr("  %s", said);
  if (percent)
    g_printerr("  [%s] %d %%", bar, (int)json_integer_value(percent));
}

bool wait_fail(const json_t *task, GError **error)
{
  const json_t *failure = json_object_get(task, "error"), *params = json_object_get(failure, "params");
  const char *code = json_string_value(json_object_get(failure, "code")), *name;
  const char *cause = json_string_value(json_object_get(failure, "cause")), *field = json_string_value(json_object_get(failure, "field"));
  json_t *value;
  bool cancelled = g_strcmp0(json_string_value(json_object_get(task, "state")), "cancelled") == 0;
  ws_fail(error, code ? ws_error_code_from_name(code) : cancelled ? WS_ERROR_CANCELLED : WS_ERROR_INTERNAL, NULL);
  if (!error)
    return false;
  json_object_foreach((json_t *)params, name, value)
    if (json_is_string(value))
      ws_error_set_param(*error, name, json_string_value(value));
  if (field)
    ws_error_set_param(*error, "field", field);
  if (cause)
    ws_error_set_param(*error, "cause", cause);
  return false;
}

bool wait_for_task(Cli *cli, const char *task_id, json_t **result, GError **error)
{
  g_autofree char *path = g_strconcat("/api/v1/tasks/", task_id, NULL);
  bool terminal = isatty(STDERR_FILENO) && !cli->quiet;
  for (;;) {
    json_t *task = NULL;
    if (!cli_call(cli, "GET", path, NULL, &task, error))
      return false;
    const char *state = json_string_value(json_object_get(task, "state"));
    if (terminal)
      draw(cli, task);
    if (!is_living(state)) {
      if (terminal)
        g_printerr("\n");
      bool ok = strcmp(state, "done") == 0 || (strcmp(state, "partly_done") == 0 && !json_object_get(task, "error"));
      bool batch = json_object_get(task, "children") != NULL;
      if (!ok && !batch)
        wait_fail(task, error);
      if ((ok || batch) && result)
        *result = task;
      else
        json_decref(task);
      return ok || batch;
    }
    json_decref(task);
    g_usleep(POLL_US);
  }
}
