// SPDX-License-Identifier: Apache-2.0
/* --watch: the list, then every change of it as it happens; goes on after a broken link from where it was. */
#include "cli/stream.h"
#include <string.h>

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
  g_print("%s", strcmp(op, "put") == 0 ? "*" : "-");
  for (guint i = 0; i < noun->n_columns; i++) {
    g_autofree char *text = output_cell(cli, object, noun->columns[i].path, noun->columns[i].unit);
    g_print(" %s", text);
  }
  g_print("\n");
}

/* true: relist and go on. */
static bool follow(Cli *cli, const CliNoun *noun, json_int_t *revision, GError **error)
{
  g_autoptr(GString) path = g_string_new(NULL);
  const char *filter = cli_option(cli, "filter");
  g_string_printf(path, "/api/v1/watch?types=%s&since=%" JSON_INTEGER_FORMAT, noun->type->plural, *revision);
  if (filter) {
    g_autofree char *escaped = g_uri_escape_string(filter, NULL, FALSE);
    g_string_append_printf(path, "&filter=%s", escaped);
  }
  g_autoptr(CliStream) stream = stream_open(cli, path->str, error);
  GBytes *message;
  while (stream && (message = stream_take(stream, -1, error))) {
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
      return true;
  }
  return false;
}

bool watch_list(Cli *cli, const CliNoun *noun, const char *query, GError **error)
{
  for (;;) {
    json_t *list = list_now(cli, noun, query, error);
    if (!list)
      return false;
    json_int_t revision = json_integer_value(json_object_get(list, "revision"));
    if (cli->format == CLI_TABLE)
      output_list(cli, noun, list);
    else
      output_raw(cli, list);
    json_decref(list);
    if (!follow(cli, noun, &revision, error))
      return error && !*error;
  }
}
