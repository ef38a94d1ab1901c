// SPDX-License-Identifier: Apache-2.0
/* One command: path, question, body, call, answer. See cli.h. */
#include "base/hash.h"
#include "cli/cli.h"
#include "model/model.h"
#include "model/texts.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

RestPeer cli_peer(const Cli *cli)
{
  return (RestPeer){.url = cli->manager, .ca_file = cli->ca_file, .token = cli->token, .language = cli->lang == WS_LANG_ZH ? "zh" : "en"};
}

/* ---- errors: the manager's own words are kept ---- */

static bool error_of(const json_t *json, long status, GError **error)
{
  const char *code = json_string_value(json_object_get(json, "code"));
  const char *message = json_string_value(json_object_get(json, "message"));
  const char *hint = json_string_value(json_object_get(json, "hint"));
  const char *cause = json_string_value(json_object_get(json, "cause"));
  const char *request = json_string_value(json_object_get(json, "request_id"));
  g_autofree char *fallback = g_strdup_printf("HTTP %ld", status);
  ws_fail(error, code ? ws_error_code_from_name(code) : WS_ERROR_INTERNAL, "remote_message", message ? message : fallback, NULL);
  const struct {
    const char *name, *value;
  } more[] = {{"remote_hint", hint}, {"remote_request", request}, {"cause", cause}};
  for (guint i = 0; error && i < G_N_ELEMENTS(more); i++)
    if (more[i].value)
      ws_error_set_param(*error, more[i].name, more[i].value);
  const char *name;
  json_t *value;
  json_object_foreach(json_object_get(json, "params"), name, value)
    if (error && json_is_string(value))
      ws_error_set_param(*error, name, json_string_value(value));
  return false;
}

bool cli_refused(const char *body, long status, GError **error)
{
  json_t *json = body ? json_loads(body, JSON_DECODE_ANY, NULL) : NULL;
  error_of(json, status, error);
  json_decref(json);
  return false;
}

void cli_print_error(const Cli *cli, const GError *error)
{
  const char *remote = ws_error_param(error, "remote_message"), *hint = ws_error_param(error, "remote_hint");
  g_autofree char *own = ws_error_in_words(error, cli->lang), *own_hint = ws_error_hint(error, cli->lang);
  g_autofree char *message = output_plain(remote ? remote : own);
  g_autofree char *said = ws_error_cause(error) ? ws_phrase(ws_error_cause(error), cli->lang) : NULL, *cause = said ? output_plain(said) : NULL;
  g_printerr("winctl: %s\n", message);
  if (cause)
    g_printerr("  %s%s\n", cli_words(cli, "Cause: ", "原因："), cause);
  if (remote ? hint : own_hint)
    g_printerr("  %s%s\n", cli_words(cli, "Next:  ", "下一步："), remote ? hint : own_hint);
  if (ws_error_param(error, "remote_request"))
    g_printerr("  %s%s\n", cli_words(cli, "Request: ", "请求编号："), ws_error_param(error, "remote_request"));
}

/* ---- calls ---- */

bool cli_call(Cli *cli, const char *method, const char *path, const char *body, json_t **json, GError **error)
{
  g_auto(RestAnswer) answer = {0};
  RestPeer peer = cli_peer(cli);
  g_autofree char *match = cli->if_match ? g_strconcat("If-Match: ", cli->if_match, NULL) : NULL;
  g_autofree char *key = cli->idempotency_key ? g_strconcat("Idempotency-Key: ", cli->idempotency_key, NULL) : NULL;
  bool reads = strcmp(method, "GET") == 0;
  const char *headers[3] = {NULL};
  guint n = 0;
  if (match && !reads)
    headers[n++] = match;
  if (key && !reads)
    headers[n++] = key;
  if (json)
    *json = NULL;
  if (!rest_call(&peer, method, path, headers, body, &answer, error))
    return false;
  json_t *tree = answer.body->len ? json_loadb(answer.body->str, answer.body->len, JSON_DECODE_ANY, NULL) : NULL;
  bool ok = (answer.status >= 200 && answer.status < 300) || error_of(tree, answer.status, error);
  if (ok && json)
    *json = tree;
  else
    json_decref(tree);
  return ok;
}

/* ---- asking before danger ---- */

static bool confirm(Cli *cli, const CliCommand *command, const char *what, GError **error)
{
  char line[300];
  if (command->danger == 0 || cli->yes || cli->dry_run)
    return true;
  if (!isatty(STDIN_FILENO))
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "--yes", "cause", "this command is dangerous and there is nobody to ask", NULL);
  g_printerr(cli_words(cli, "%s %s? %s [y/N] ", "%s %s？%s [y/N] "), command->name, what,
          cli_words(cli, command->summary, command->zh));
  return (fgets(line, sizeof line, stdin) && (*line == 'y' || *line == 'Y')) || ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static char *path_with_id(const CliCommand *command, const char *id)
{
  const char *mark = strstr(command->path, "{id}");
  return mark ? g_strdup_printf("%.*s%s%s", (int)(mark - command->path), command->path, id, mark + 4) : g_strdup(command->path);
}

static bool has_id(const CliCommand *command)
{
  return strstr(command->path, "{id}") != NULL;
}

/* ---- answers ---- */

static bool show_task(Cli *cli, const json_t *task, GError **error)
{
  const char *id = json_string_value(json_object_get(task, "id"));
  json_t *ended = NULL;
  if (!cli->wait) {
    if (cli->format != CLI_TABLE)
      output_raw(cli, task);
    else if (cli->quiet)
      g_print("%s\n", id);
    else {
      g_autofree char *kind = output_kind(cli, json_string_value(json_object_get(task, "kind")));
      g_print(cli_words(cli, "%s: %s has begun. Follow it: winctl task get %s\n", "%s：已开始%s。查看：winctl task get %s\n"), id, kind, id);
    }
    return true;
  }
  if (!wait_for_task(cli, id, &ended, error))
    return false;
  if (json_object_get(ended, "children")) {
    bool all = results_of_children(cli, ended, error);
    json_decref(ended);
    return all;
  }
  output_log(cli, ended);
  const char *result = json_string_value(json_object_get(ended, "result"));
  if (cli->format != CLI_TABLE)
    output_raw(cli, ended);
  else if (result)
    g_print("%s\n", result);
  json_decref(ended);
  return true;
}

/* A step's name, or the kind of a task that would be made. */
static char *step_text(const Cli *cli, const char *step)
{
  for (guint i = 0; i < cli_n_nouns; i++)
    for (guint j = 0; j < cli_nouns[i].n_commands; j++)
      if (strcmp(cli_nouns[i].commands[j].operation, step) == 0)
        return output_kind(cli, step);
  return ws_step_in_words(step, cli->lang);
}

static void show_waiting(const Cli *cli, const json_t *json)
{
  size_t i;
  json_t *path;
  json_array_foreach (json_object_get(json, "waits_for_restart"), i, path)
    g_print(cli_words(cli, "waits for a restart: %s\n", "重启后生效：%s\n"), json_string_value(path));
}

/* What hosts say of a pool that would be made. */
static void show_findings(const Cli *cli, const json_t *json)
{
  const json_t *check = json_object_get(json, "check");
  if (check)
    output_parts(cli, &ws_type_pool_findings, check);
}

static bool show(Cli *cli, const CliNoun *noun, const CliCommand *command, const json_t *json, GError **error)
{
  if (!json)
    return true;
  if (json_is_array(json_object_get(json, "results")) && command->kind != WS_ROUTE_GET && !command->result)
    return results_at_once(cli, json, error);
  if (json_is_true(json_object_get(json, "dry_run"))) {
    size_t i;
    json_t *step;
    if (cli->format != CLI_TABLE)
      output_raw(cli, json);
    else
      json_array_foreach(json_object_get(json, "steps"), i, step) {
        g_autofree char *said = step_text(cli, json_string_value(step));
        g_print("%zu. %s\n", i + 1, said);
      }
    if (cli->format == CLI_TABLE) {
      show_waiting(cli, json);
      if (json_object_get(json, "forecast"))
        forecast_show(cli, json_object_get(json, "forecast"));
      show_findings(cli, json);
    }
    return true;
  }
  const char *id = json_string_value(json_object_get(json, "id")), *url = json_string_value(json_object_get(json, "url"));
  if (url && *url == '/') { /* a page of the manager's: to be opened as it stands */
    g_autofree char *whole = g_strconcat(cli->manager, url, NULL);
    json_object_set_new((json_t *)json, "url", json_string(whole));
  }
  if (command->is_task && id && g_str_has_prefix(id, "task-"))
    return show_task(cli, json, error);
  if (cli->format != CLI_TABLE)
    output_raw(cli, json);
  else if (command->result == &ws_type_vm_log_result)
    output_log_text(cli, json);
  else if (command->result == &ws_type_history && !cli->columns)
    output_history(cli, json);
  else if (json_is_array(json_object_get(json, "items")))
    output_list(cli, noun, command->result, json);
  else
    output_value(cli, noun, command, json);
  return true;
}

bool run_with_body(Cli *cli, const CliNoun *noun, const CliCommand *command, const char *id, const json_t *body, GError **error)
{
  g_autofree char *path = path_with_id(command, id);
  g_autofree char *query = query_build(cli, noun, command, error);
  json_t *answer = NULL;
  bool empty = !body || json_object_size(body) == 0;
  char *text = body && !(empty && !command->body) ? json_dumps(body, 0) : NULL;
  g_autofree char *url = g_strconcat(path, query, NULL);
  bool ok = cli_call(cli, command->method, url, text, &answer, error) && show(cli, noun, command, answer, error);
  ws_secret_free(text); /* it may hold a password */
  json_decref(answer);
  return ok;
}

static bool call_once(Cli *cli, const CliNoun *noun, const CliCommand *command, const char *id, GError **error)
{
  bool sends = command->body || command->kind == WS_ROUTE_CREATE || command->kind == WS_ROUTE_UPDATE || command->kind == WS_ROUTE_VERB ||
               command->kind == WS_ROUTE_COLLECTION_VERB;
  json_t *body = sends ? body_build(cli, command, error) : NULL;
  bool ok = (!sends || body) && run_with_body(cli, noun, command, id, body, error);
  json_decref(body);
  return ok;
}

/* ---- many objects: one batch ---- */

static bool call_batch(Cli *cli, const CliNoun *noun, const CliCommand *command, GPtrArray *ids, GError **error)
{
  json_t *args = body_build(cli, command, error), *list = json_array(), *answer = NULL;
  if (!args)
    return false;
  for (guint i = 0; i < ids->len; i++)
    json_array_append_new(list, json_string(ids->pdata[i]));
  g_autofree char *verb = g_strdup(command->name);
  g_strdelimit(verb, "-", '_');
  json_t *body = json_pack("{s:s, s:o}", "verb", verb, "ids", list);
  if (json_object_size(args))
    json_object_set_new(body, "args", args);
  else
    json_decref(args);
  char *text = json_dumps(body, 0);
  json_decref(body);
  g_autofree char *path = g_strconcat(noun->batch_path, cli->dry_run ? "?dry_run=true" : "", NULL);
  CliCommand as_task = *command;
  as_task.is_task = true;
  bool ok = cli_call(cli, "POST", path, text, &answer, error) && show(cli, noun, &as_task, answer, error);
  g_free(text);
  json_decref(answer);
  return ok;
}

static GPtrArray *resolve_all(Cli *cli, const CliNoun *noun, GError **error)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < cli->ids->len; i++) {
    char *id = resolve_id(cli, noun->type, cli->ids->pdata[i], error);
    if (!id) {
      g_ptr_array_unref(ids);
      return NULL;
    }
    g_ptr_array_add(ids, id);
  }
  return ids;
}

/* The objects as they are, then each change of them. The revision is asked for first, so that nothing falls
 * between. */
static bool watch_shown(Cli *cli, const CliNoun *noun, const CliCommand *command, GPtrArray *ids,
                        GError **error)
{
  json_t *me = NULL;
  if (noun->type->flags & WS_TYPE_HISTORY)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what",
                   "watching a record of history, which never changes (watch the list)", NULL);
  if (!cli_call(cli, "GET", "/api/v1/whoami", NULL, &me, error))
    return false;
  json_int_t revision = json_integer_value(json_object_get(me, "revision"));
  json_decref(me);
  for (guint i = 0; i < ids->len; i++)
    if (!call_once(cli, noun, command, ids->pdata[i], error))
      return false;
  return watch_objects(cli, noun, ids, revision, error);
}

bool run_command(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error)
{
  g_autofree char *query = NULL, *usage = g_strdup_printf("winctl %s %s ID|NAME ...", noun->name, command->name);
  bool adds_host = noun->type == &ws_type_host && strcmp(command->name, "add") == 0; /* it takes an address, and options of its own */
  if ((!adds_host && !options_check(cli, noun, command, error)) || !output_columns_check(cli, noun, command, error))
    return false;
  if (command->kind == WS_ROUTE_LIST && cli->watch)
    return (query = query_build(cli, noun, command, error)) && watch_list(cli, noun, query, error);
  if (adds_host)
    return add_host(cli, noun, command, error);
  if (!has_id(command))
    return call_once(cli, noun, command, "", error);
  if (!cli->ids->len)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "ID|NAME", "cause", usage, NULL);
  g_autoptr(GPtrArray) ids = resolve_all(cli, noun, error);
  if (!ids)
    return false;
  g_autofree char *what = ids->len == 1 ? g_strdup(cli->ids->pdata[0]) : g_strdup_printf("%u", ids->len);
  if (!confirm(cli, command, what, error))
    return false;
  if (command->kind == WS_ROUTE_GET && cli->watch)
    return watch_shown(cli, noun, command, ids, error);
  if (noun->type == &ws_type_vm && strcmp(command->name, "console") == 0 && g_strcmp0(cli_option(cli, "kind"), "vnc") != 0)
    return console_attach(cli, ids->pdata[0], error);
  bool batch = ids->len > 1 && noun->batch_path && command->is_task && command->kind != WS_ROUTE_UPDATE;
  if (batch)
    return call_batch(cli, noun, command, ids, error);
  for (guint i = 0; i < ids->len; i++)
    if (!call_once(cli, noun, command, ids->pdata[i], error))
      return false;
  return true;
}
