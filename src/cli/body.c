// SPDX-License-Identifier: Apache-2.0
/* From options to what is sent: values by the contract's descriptors, names to ids. See cli.h.
 *
 * Lists are repeated options or comma-separated; parts in lists are "key=value,key=value" or JSON; sizes read "8g", "8 GiB". */
#include "base/text.h"
#include "cli/cli.h"
#include "model/model.h"
#include <string.h>

static bool bad(const char *option, const char *expected, GError **error)
{
  g_autofree char *name = g_strconcat("--", option, NULL);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", name, "expected", expected, NULL);
}

/* ---- names ---- */

static bool looks_like_id(const WsType *type, const char *text)
{
  WsId id;
  return ws_id_parse(type->prefix, text, &id);
}

/* Names that are near the one that does not exist, among the first thousand. NULL: none. Caller frees. */
static char *near_names(Cli *cli, const WsType *type, const char *text)
{
  g_autofree char *path = g_strdup_printf("/api/v1/%s?limit=1000&fields=name", type->plural);
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  json_t *list = NULL, *item;
  size_t i;
  if (!cli_call(cli, "GET", path, NULL, &list, NULL))
    return NULL;
  json_array_foreach(json_object_get(list, "items"), i, item)
    if (json_string_value(json_object_get(item, "name")))
      g_ptr_array_add(names, (char *)json_string_value(json_object_get(item, "name")));
  g_ptr_array_add(names, NULL);
  char *near = suggest(text, (const char *const *)names->pdata);
  json_decref(list);
  return near;
}

/* "vm-7, vm-9" */
static char *ids_of(const json_t *items)
{
  GString *out = g_string_new(NULL);
  size_t i;
  json_t *item;
  json_array_foreach((json_t *)items, i, item)
    g_string_append_printf(out, "%s%s", i ? ", " : "", json_string_value(json_object_get(item, "id")));
  return g_string_free(out, FALSE);
}

char *resolve_id(Cli *cli, const WsType *type, const char *text, GError **error)
{
  if (!type || !type->prefix || looks_like_id(type, text))
    return g_strdup(text);
  const char *name_field = ws_type_field(type, "name", 4) ? "name" : NULL;
  g_autofree char *filter = g_strdup_printf("name=\"%s\"", text);
  g_autofree char *escaped = g_uri_escape_string(filter, NULL, FALSE);
  g_autofree char *path = g_strdup_printf("/api/v1/%s?limit=3&fields=name&filter=%s", type->plural, escaped);
  json_t *list = NULL;
  if (!name_field || !cli_call(cli, "GET", path, NULL, &list, error))
    return name_field ? NULL : g_strdup(text);
  json_t *items = json_object_get(list, "items");
  char *id = NULL;
  if (json_array_size(items) == 1) {
    id = g_strdup(json_string_value(json_object_get(json_array_get(items, 0), "id")));
  } else {
    const CliNoun *noun = find_noun(type->plural);
    g_autofree char *what = g_strdup_printf("%s %s", noun ? cli_words(cli, noun->name, noun->zh) : type->plural, text);
    if (json_array_size(items) == 0) {
      g_autofree char *near = near_names(cli, type, text), *cause = near ? g_strdup_printf(cli_words(cli, "there is %s", "存在 %s"), near) : NULL;
      ws_fail(error, WS_ERROR_NOT_FOUND, "object", what, cause ? "cause" : NULL, cause, NULL);
    } else {
      g_autofree char *ids = ids_of(items), *expected = g_strdup_printf("an id, for several objects have this name: %s%s", ids, json_array_size(items) > 2 ? ", ..." : "");
      ws_fail(error, WS_ERROR_BAD_VALUE, "field", text, "expected", expected, NULL);
    }
  }
  json_decref(list);
  return id;
}

/* ---- values ---- */

static json_t *value_of(Cli *cli, const WsField *field, int kind, const char *option, const char *unit, const char *text, GError **error);

/* "pool=pool-1,size_bytes=10g" for a part of a list. */
static json_t *part_of(Cli *cli, const WsType *type, const char *option, const char *text, GError **error)
{
  if (*text == '{')
    return json_loads(text, 0, NULL);
  json_t *object = json_object();
  g_auto(GStrv) pairs = g_strsplit(text, ",", -1);
  for (char **pair = pairs; *pair; pair++) {
    g_auto(GStrv) words = g_strsplit(*pair, "=", 2);
    g_auto(GStrv) path = g_strsplit(words[0] ? words[0] : "", ".", 3);
    json_t *at = object;
    const WsType *sub = type;
    const WsField *field = NULL;
    for (guint i = 0; path[i]; i++) {
      g_strdelimit(path[i], "-", '_');
      field = sub ? ws_type_field(sub, path[i], strlen(path[i])) : NULL;
      if (!field)
        break;
      if (path[i + 1]) {
        json_t *next = json_object_get(at, path[i]);
        if (!next)
          json_object_set_new(at, path[i], next = json_object());
        at = next;
        sub = field->sub;
      }
    }
    bool size = field && g_str_has_suffix(field->name, "_bytes");
    json_t *value = field && words[1] ? value_of(cli, field, field->kind, option, size ? "bytes" : NULL, words[1], error) : NULL;
    if (!value) {
      g_autofree char *all = members_of(type), *expected = g_strdup_printf("name=value pairs, comma-separated, of: %s (there is no %s)", all, words[0] ? words[0] : "");
      if (!error || !*error)
        bad(option, field ? "name=value pairs, comma-separated" : expected, error);
      json_decref(object);
      return NULL;
    }
    json_object_set_new(at, field->name, value);
  }
  return object;
}

static json_t *map_of(const char *option, const char *text, GError **error)
{
  json_t *object = json_object();
  g_auto(GStrv) pairs = g_strsplit(text, ",", -1);
  for (char **pair = pairs; *pair; pair++) {
    g_auto(GStrv) words = g_strsplit(*pair, "=", 2);
    if (words[0] && words[1])
      json_object_set_new(object, words[0], json_string(words[1]));
    else {
      bad(option, "key=value pairs, comma-separated", error);
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

static json_t *number_of(const char *option, const char *unit, const char *text, GError **error)
{
  guint64 bytes;
  gint64 value;
  if (g_ascii_string_to_signed(text, 10, G_MININT64 + 1, G_MAXINT64, &value, NULL))
    return json_integer(value);
  if (g_strcmp0(unit, "bytes") == 0 && ws_size_parse(text, &bytes))
    return json_integer((json_int_t)bytes);
  bad(option, g_strcmp0(unit, "bytes") == 0 ? "a size such as 8g or 512 MiB" : "a whole number", error);
  return NULL;
}

static json_t *value_of(Cli *cli, const WsField *field, int kind, const char *option, const char *unit, const char *text, GError **error)
{
  char *end;
  switch (kind) {
  case WS_KIND_BOOL:
    if (!*text || strcmp(text, "true") == 0)
      return json_true();
    if (strcmp(text, "false") == 0)
      return json_false();
    bad(option, "true or false", error);
    return NULL;
  case WS_KIND_INT:
    return number_of(option, unit, text, error);
  case WS_KIND_DOUBLE: {
    double value = g_ascii_strtod(text, &end);
    if (*text && !*end)
      return json_real(value);
    bad(option, "a number", error);
    return NULL;
  }
  case WS_KIND_REF: {
    g_autofree char *id = resolve_id(cli, field->sub, text, error);
    return id ? json_string(id) : NULL;
  }
  case WS_KIND_OBJECT:
    return part_of(cli, field->sub, option, text, error);
  case WS_KIND_MAP:
    return map_of(option, text, error);
  case WS_KIND_ANY: {
    json_t *any = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!any)
      bad(option, "JSON", error);
    return any;
  }
  default: /* STRING, ENUM, TIME, ANYREF: the manager checks; a file's content with @ */
    if (*text == '@') {
      g_autofree char *content = NULL;
      if (g_file_get_contents(text + 1, &content, NULL, NULL)) {
        gsize n = strlen(content);
        if (n && content[n - 1] == '\n') /* an editor's, not the value's */
          content[n - 1] = '\0';
        return json_string(content);
      }
      bad(option, "a file that can be read after @", error);
      return NULL;
    }
    return json_string(text);
  }
}

static json_t *list_of(Cli *cli, const CliOption *o, GPtrArray *values, GError **error)
{
  json_t *list = json_array();
  for (guint i = 0; i < values->len; i++) {
    const char *text = values->pdata[i];
    if (*text == '[') {
      json_t *whole = json_loads(text, 0, NULL);
      json_array_extend(list, whole);
      json_decref(whole);
      continue;
    }
    bool whole = o->field->item_kind == WS_KIND_OBJECT || *text == '@';
    g_auto(GStrv) items = whole ? g_new0(char *, 2) : g_strsplit(text, ",", -1);
    if (whole)
      items[0] = g_strdup(text);
    for (char **item = items; *item && **item; item++) {
      json_t *value = value_of(cli, o->field, o->field->item_kind, o->name, o->unit, *item, error);
      if (!value) {
        json_decref(list);
        return NULL;
      }
      json_array_append_new(list, value);
    }
  }
  return list;
}

/* A part beside options for members of it: neither undoes the other. */
static void set_member(json_t *body, const char *name, json_t *value)
{
  json_t *there = json_object_get(body, name);
  if (json_is_object(value) && json_is_object(there)) {
    json_object_update_missing(there, value);
    json_decref(value);
    return;
  }
  json_object_set_new(body, name, value);
}

static void set_path(json_t *body, const char *path, json_t *value)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  guint i = 0;
  for (; names[i + 1]; i++) {
    json_t *next = json_object_get(body, names[i]);
    if (!next)
      json_object_set_new(body, names[i], next = json_object());
    body = next;
  }
  set_member(body, names[i], value);
}

/* A whole part: "--disk volume=vol-7,bus=sata" beside "--disk.volume vol-7". NULL: the body has no such part. */
static const WsField *part_named(const CliCommand *command, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  const WsType *type = command->body;
  const WsField *field = NULL;
  for (guint i = 0; names[i]; i++) {
    field = type ? ws_type_field(type, names[i], strlen(names[i])) : NULL;
    if (!field || field->kind != WS_KIND_OBJECT || field->flags & (WS_FIELD_READ_ONLY | WS_FIELD_INTERNAL))
      return NULL;
    type = field->sub;
  }
  return field;
}

static const CliOption *option_named(const CliCommand *command, const char *name)
{
  for (guint i = 0; i < command->n_options; i++)
    if (strcmp(command->options[i].name, name) == 0 || strcmp(command->options[i].path, name) == 0)
      return &command->options[i];
  return NULL;
}

static bool is_global(const char *name)
{
  for (const GlobalOption *o = global_options; o->name; o++)
    if (strcmp(o->name, name) == 0)
      return true;
  static const char *const own[] = {"filter", "sort", "limit", "cursor", "fields", "json", NULL};
  return g_strv_contains(own, name);
}

/* --json TEXT or @FILE gives a whole body; options are laid over it. */
static json_t *base_body(Cli *cli, GError **error)
{
  const char *text = cli_option(cli, "json");
  g_autofree char *content = NULL;
  if (!text)
    return json_object();
  if (*text == '@' && !g_file_get_contents(text + 1, &content, NULL, NULL)) {
    bad("json", "a file that can be read after @", error);
    return NULL;
  }
  json_t *body = json_loads(content ? content : text, 0, NULL);
  if (!body)
    bad("json", "a JSON object", error);
  return body;
}

/* "--password-file FILE" is "--password @FILE", for all that is secret, as login has it. NULL: it is not that. */
static const CliOption *secret_in_file(const CliCommand *command, const char *key)
{
  g_autofree char *name = g_str_has_suffix(key, "-file") ? g_strndup(key, strlen(key) - strlen("-file")) : NULL;
  const CliOption *o = name ? option_named(command, name) : NULL;
  return o && cli_is_secret(o) ? o : NULL;
}

bool options_check(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error)
{
  GHashTableIter iter;
  void *key;
  g_hash_table_iter_init(&iter, cli->options);
  while (g_hash_table_iter_next(&iter, &key, NULL)) {
    g_autofree char *path = g_strdelimit(g_strdup(key), "-", '_');
    if (!is_global(key) && !option_named(command, key) && !secret_in_file(command, key) && !part_named(command, path))
      return unknown_option(noun, command, key, error);
  }
  if (cli->ids->len == 0 || strstr(command->path, "{id}"))
    return true;
  g_autofree char *see = g_strdup_printf("options only; all: winctl %s %s --help", noun->name, command->name);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", (char *)cli->ids->pdata[0], "expected", see, NULL);
}

json_t *body_build(Cli *cli, const CliCommand *command, GError **error)
{
  json_t *body = base_body(cli, error);
  GHashTableIter iter;
  void *key, *values;
  if (!body)
    return NULL;
  g_hash_table_iter_init(&iter, cli->options);
  while (g_hash_table_iter_next(&iter, &key, &values)) {
    const CliOption *o = option_named(command, key), *secret = o ? NULL : secret_in_file(command, key);
    if (!o && !secret && is_global(key))
      continue;
    json_t *value = NULL;
    g_autofree char *path = g_strdup(o ? o->path : secret ? secret->path : key);
    g_strdelimit(path, "-", '_');
    const WsField *part = o || secret ? NULL : part_named(command, path);
    g_autofree char *in_file = secret ? g_strconcat("@", ((GPtrArray *)values)->pdata[0], NULL) : NULL;
    if (secret)
      value = value_of(cli, secret->field, WS_KIND_STRING, key, NULL, in_file, error);
    else if (part)
      value = part_of(cli, part->sub, key, ((GPtrArray *)values)->pdata[0], error);
    else if (!o)
      bad(key, "an option of this command (see --help)", error);
    else if (o->place == CLI_IN_QUERY)
      continue;
    else if (strcmp(((GPtrArray *)values)->pdata[0], "null") == 0)
      value = json_null();
    else if (o->field->kind == WS_KIND_ARRAY)
      value = list_of(cli, o, values, error);
    else
      value = value_of(cli, o->field, o->field->kind, o->name, o->unit, ((GPtrArray *)values)->pdata[0], error);
    if (!value) {
      json_decref(body);
      return NULL;
    }
    set_path(body, path, value);
  }
  return body;
}

/* ---- query ---- */

static void add_query(GString *query, const char *name, const char *value)
{
  g_autofree char *escaped = g_uri_escape_string(value, NULL, FALSE);
  g_string_append_printf(query, "%s%s=%s", query->len ? "&" : "?", name, escaped);
}

char *query_build(Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error)
{
  static const char *const list_options[] = {"filter", "sort", "limit", "cursor", "fields"};
  GString *query = g_string_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(list_options); i++)
    if (cli_option(cli, list_options[i]) && (command->kind == WS_ROUTE_LIST || command->kind == WS_ROUTE_GET))
      add_query(query, list_options[i], cli_option(cli, list_options[i]));
  for (guint i = 0; i < command->n_options; i++)
    if (command->options[i].place == CLI_IN_QUERY && cli_option(cli, command->options[i].name))
      add_query(query, command->options[i].path, cli_option(cli, command->options[i].name));
  if (cli->dry_run && strcmp(command->method, "GET") != 0)
    add_query(query, "dry_run", "true");
  return g_string_free(query, FALSE);
}
