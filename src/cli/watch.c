// SPDX-License-Identifier: Apache-2.0
/* --watch: the list, then every change of it as it happens; goes on after a broken link from where it was. */
#include "cli/stream.h"
#include <string.h>

#define AGAIN_FIRST_US 250000
#define AGAIN_LAST_US  5000000

static json_t *list_now(Cli *cli, const CliNoun *noun, const char *query, GError **error)
{
  g_autofree char *path = g_strdup_printf("/api/v1/%s%s", noun->type->plural, query);
  json_t *list = NULL;
  return cli_call(cli, "GET", path, NULL, &list, error) ? list : NULL;
}

static void show_change(Cli *cli, const CliNoun *noun, const json_t *change)
{
  const json_t *object = json_object_get(change, "object");
  const char *op = json_string_value(json_object_get(change, "op"));
  if (cli->format != CLI_TABLE) {
    g_autofree char *text = json_dumps(change, JSON_COMPACT);
    g_print("%s\n", text);
    return;
  }
  if (!object) {
    g_print("- %s\n", json_string_value(json_object_get(change, "id")));
    return;
  }
  output_change(cli, noun, strcmp(op, "put") == 0 ? "*" : "-", object);
}

typedef enum { WATCH_RELIST, WATCH_BROKEN, WATCH_ENDED } WatchEnd;

static char *watch_path(const Cli *cli, const CliNoun *noun, json_int_t revision)
{
  const char *filter = cli_option(cli, "filter");
  g_autofree char *escaped = filter ? g_uri_escape_string(filter, NULL, FALSE) : NULL;
  return g_strdup_printf("/api/v1/watch?types=%s&since=%" JSON_INTEGER_FORMAT "%s%s", noun->type->plural, revision,
                         escaped ? "&filter=" : "", escaped ? escaped : "");
}

/* Shows what comes and keeps the revision up to which it came. */
static WatchEnd follow(Cli *cli, const CliNoun *noun, json_int_t *revision)
{
  g_autoptr(GError) broken = NULL;
  g_autofree char *path = watch_path(cli, noun, *revision);
  g_autoptr(CliStream) stream = stream_open(cli, path, &broken);
  GBytes *message;
  while (stream && (message = stream_take(stream, -1, &broken))) {
    json_t *json = json_loadb(g_bytes_get_data(message, NULL), g_bytes_get_size(message), 0, NULL), *change;
    size_t i;
    json_array_foreach(json_object_get(json, "changes"), i, change)
      show_change(cli, noun, change);
    if (json_object_get(json, "revision"))
      *revision = json_integer_value(json_object_get(json, "revision"));
    bool relist = json_object_get(json, "relist") != NULL;
    json_decref(json);
    g_bytes_unref(message);
    if (relist)
      return WATCH_RELIST;
  }
  return broken ? WATCH_BROKEN : WATCH_ENDED;
}

/* Until the manager answers again; false: it does, but will not have us any more. */
static bool wait_for_manager(Cli *cli, GError **error)
{
  if (!cli->quiet)
    g_printerr("%s\n", cli_words(cli, "The link broke; going on as soon as the manager answers.", "连接中断，管理平台恢复应答后继续。"));
  for (gulong wait_us = AGAIN_FIRST_US;; wait_us = MIN(wait_us * 2, AGAIN_LAST_US)) {
    g_autoptr(GError) failed = NULL;
    g_usleep(wait_us);
    if (cli_call(cli, "GET", "/api/v1/whoami", NULL, NULL, &failed))
      return true;
    if (ws_error_code(failed) == WS_ERROR_UNAUTHENTICATED) {
      g_propagate_error(error, g_steal_pointer(&failed));
      return false;
    }
  }
}

bool watch_list(Cli *cli, const CliNoun *noun, const char *query, GError **error)
{
  for (;;) {
    json_t *list = list_now(cli, noun, query, error);
    if (!list)
      return false;
    json_int_t revision = json_integer_value(json_object_get(list, "revision"));
    if (cli->format == CLI_TABLE)
      output_list(cli, noun, NULL, list);
    else
      output_raw(cli, list);
    json_decref(list);
    for (WatchEnd end; (end = follow(cli, noun, &revision)) != WATCH_RELIST;)
      if (end == WATCH_ENDED || !wait_for_manager(cli, error))
        return end == WATCH_ENDED;
  }
}
