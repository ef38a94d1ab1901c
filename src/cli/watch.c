// SPDX-License-Identifier: Apache-2.0
/* --watch: the list, then every change of it as it happens; goes on after a broken link from where it was. */
#include "cli/stream.h"
#include <string.h>

#define AGAIN_FIRST_US 250000
#define AGAIN_LAST_US  5000000
#define IDS_MAX        1024 /* the manager takes no more */

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

/* Takes what is gone out of the ids; true: none is left. */
static bool none_left(GPtrArray *ids, const json_t *change)
{
  guint at;
  if (ids && g_strcmp0(json_string_value(json_object_get(change, "op")), "gone") == 0 &&
      g_ptr_array_find_with_equal_func(ids, json_string_value(json_object_get(change, "id")), g_str_equal,
                                       &at))
    g_ptr_array_remove_index(ids, at);
  return ids && ids->len == 0;
}

typedef enum { WATCH_RELIST, WATCH_BROKEN, WATCH_REFUSED, WATCH_ENDED } WatchEnd;

/* `ids`: of these objects; NULL: of the list. */
static char *watch_path(const Cli *cli, const CliNoun *noun, const GPtrArray *ids, json_int_t revision)
{
  const char *filter = ids ? NULL : cli_option(cli, "filter");
  g_autofree char *escaped = filter ? g_uri_escape_string(filter, NULL, FALSE) : NULL;
  g_autoptr(GString) path = g_string_new(NULL);
  g_string_printf(path, "/api/v1/watch?types=%s&since=%" JSON_INTEGER_FORMAT "%s%s", noun->type->plural,
                  revision, escaped ? "&filter=" : "", escaped ? escaped : "");
  for (guint i = 0; ids && i < ids->len; i++)
    g_string_append_printf(path, "%s%s", i ? "," : "&ids=", (const char *)ids->pdata[i]);
  return g_strdup(path->str);
}

/* The answer to a handshake is a number; the manager's words come for a plain call. */
static WatchEnd refuse(Cli *cli, const char *path, GError **broken, GError **error)
{
  if (cli_call(cli, "GET", path, NULL, NULL, error))
    g_propagate_error(error, g_steal_pointer(broken));
  return WATCH_REFUSED;
}

/* Shows what comes and keeps the revision up to which it came. The error is of WATCH_REFUSED alone. */
static WatchEnd follow(Cli *cli, const CliNoun *noun, GPtrArray *ids, json_int_t *revision, GError **error)
{
  g_autoptr(GError) broken = NULL;
  g_autofree char *path = watch_path(cli, noun, ids, *revision);
  g_autoptr(CliStream) stream = stream_open(cli, path, &broken);
  GBytes *message;
  if (!stream && stream_is_refused(broken))
    return refuse(cli, path, &broken, error);
  while (stream && (message = stream_take(stream, -1, &broken))) {
    json_t *json = json_loadb(g_bytes_get_data(message, NULL), g_bytes_get_size(message), 0, NULL), *change;
    size_t i;
    bool ended = false;
    json_array_foreach (json_object_get(json, "changes"), i, change) {
      show_change(cli, noun, change);
      ended = none_left(ids, change);
    }
    if (json_object_get(json, "revision"))
      *revision = json_integer_value(json_object_get(json, "revision"));
    bool relist = json_object_get(json, "relist") != NULL;
    json_decref(json);
    g_bytes_unref(message);
    if (relist || ended)
      return relist ? WATCH_RELIST : WATCH_ENDED;
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
    for (WatchEnd end; (end = follow(cli, noun, NULL, &revision, error)) != WATCH_RELIST;)
      if (end != WATCH_BROKEN || !wait_for_manager(cli, error))
        return end == WATCH_ENDED;
  }
}

/* Too old to go on from: what has changed meanwhile is told by the objects as they are. */
static bool show_again(Cli *cli, const CliNoun *noun, GPtrArray *ids, json_int_t *revision, GError **error)
{
  json_t *me = NULL, *object = NULL;
  if (!cli_call(cli, "GET", "/api/v1/whoami", NULL, &me, error))
    return false;
  *revision = json_integer_value(json_object_get(me, "revision"));
  json_decref(me);
  for (guint i = 0; i < ids->len; i++, json_decref(object)) {
    g_autofree char *path = g_strdup_printf("/api/v1/%s/%s", noun->type->plural, (const char *)ids->pdata[i]);
    if (!cli_call(cli, "GET", path, NULL, &object, error))
      return false;
    if (cli->format == CLI_TABLE)
      output_change(cli, noun, "*", object);
    else
      output_raw(cli, object);
  }
  return true;
}

bool watch_objects(Cli *cli, const CliNoun *noun, GPtrArray *ids, json_int_t revision, GError **error)
{
  if (ids->len > IDS_MAX)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "--watch", "expected",
                   "at most " G_STRINGIFY(IDS_MAX) " ids", NULL);
  for (WatchEnd end; (end = follow(cli, noun, ids, &revision, error)) != WATCH_ENDED;)
    if (end == WATCH_REFUSED)
      return false;
    else if (end == WATCH_BROKEN ? !wait_for_manager(cli, error)
                                 : !show_again(cli, noun, ids, &revision, error))
      return false;
  return true;
}
