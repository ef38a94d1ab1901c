// SPDX-License-Identifier: Apache-2.0
/* Answers for people (tables, "name: value") and for programs (JSON, YAML). See cli.h. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "model/texts.h"
#include <stdio.h>
#include <string.h>

/* ---- cells ---- */

static const json_t *at_path(const json_t *object, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  for (char **name = names; object && *name; name++)
    object = json_object_get(object, *name);
  return object;
}

static char *local_time(const char *text)
{
  gint64 us;
  if (!ws_time_parse(text, &us))
    return g_strdup(text);
  g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(us / G_USEC_PER_SEC);
  return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup(text);
}

static char *text_of(const Cli *cli, const json_t *value, const char *unit)
{
  char size[WS_SIZE_TEXT_MAX];
  if (!value || json_is_null(value))
    return g_strdup("-");
  if (json_is_integer(value))
    return unit && strcmp(unit, "bytes") == 0 ? g_strdup(ws_size_format((guint64)json_integer_value(value), size))
                                              : g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_real(value))
    return g_strdup_printf("%.1f", json_real_value(value));
  if (json_is_boolean(value))
    return g_strdup(json_is_true(value) ? cli_words(cli, "yes", "是") : cli_words(cli, "no", "否"));
  if (json_is_string(value)) {
    const char *text = json_string_value(value);
    gsize n = strlen(text);
    return n > 19 && text[4] == '-' && text[10] == 'T' && text[n - 1] == 'Z' ? local_time(text) : g_strdup(ws_word(text, cli->lang));
  }
  if (json_is_array(value)) {
    GString *all = g_string_new(NULL);
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
      g_autofree char *text = text_of(cli, item, unit);
      g_string_append_printf(all, "%s%s", i ? " " : "", text);
    }
    if (!all->len)
      g_string_append_c(all, '-');
    return g_string_free(all, FALSE);
  }
  if (json_object_get(value, "verb")) { /* an activity */
    const json_t *percent = json_object_get(value, "percent");
    const char *word = ws_word(json_string_value(json_object_get(value, "verb")), cli->lang);
    return percent ? g_strdup_printf("%s %" JSON_INTEGER_FORMAT " %%", word, json_integer_value(percent)) : g_strdup(word);
  }
  if (json_object_get(value, "percent"))
    return g_strdup_printf("%" JSON_INTEGER_FORMAT " %%", json_integer_value(json_object_get(value, "percent")));
  char *dump = json_dumps(value, JSON_COMPACT);
  return dump;
}

char *output_cell(const Cli *cli, const json_t *object, const char *path, const char *unit)
{
  char *text = text_of(cli, at_path(object, path), unit);
  for (char *p = text; *p; p++) /* a name must not move the cursor */
    if ((guchar)*p < 0x20 || *p == 0x7f)
      *p = '?';
  return text;
}

/* Columns a text takes: East Asian letters take two. */
static int width_of(const char *text)
{
  int width = 0;
  for (const char *p = text; *p; p = g_utf8_next_char(p)) {
    gunichar c = g_utf8_get_char(p);
    width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
  }
  return width;
}

/* ---- tables ---- */

typedef struct {
  char *path;
  const char *heading, *unit;
} Column;

static GArray *columns_of(const Cli *cli, const CliNoun *noun)
{
  GArray *columns = g_array_new(FALSE, FALSE, sizeof(Column));
  g_auto(GStrv) own = cli->columns ? g_strsplit(cli->columns, ",", -1) : NULL;
  for (char **path = own; path && *path; path++) {
    Column column = {g_strdup(*path), NULL, g_str_has_suffix(*path, "_bytes") ? "bytes" : NULL};
    column.heading = g_intern_string(*path);
    g_array_append_val(columns, column);
  }
  for (guint i = 0; !own && i < noun->n_columns; i++) {
    const CliColumn *c = &noun->columns[i];
    Column column = {g_strdup(c->path), cli_words(cli, c->heading, c->zh), c->unit};
    g_array_append_val(columns, column);
  }
  return columns;
}

static void columns_free(GArray *columns)
{
  for (guint i = 0; i < columns->len; i++)
    g_free(g_array_index(columns, Column, i).path);
  g_array_unref(columns);
}

static void print_row(char **cells, const int *widths, guint n)
{
  for (guint i = 0; i < n; i++)
    g_print("%s%*s", cells[i], i + 1 < n ? widths[i] - width_of(cells[i]) + 2 : 0, "");
  g_print("\n");
}

void output_list(const Cli *cli, const CliNoun *noun, const json_t *list)
{
  const json_t *items = json_object_get(list, "items");
  GArray *columns = columns_of(cli, noun);
  guint n = columns->len;
  g_autofree int *widths = g_new0(int, n);
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  size_t index;
  json_t *item;
  if (cli->quiet) {
    json_array_foreach(items, index, item)
      g_print("%s\n", json_string_value(json_object_get(item, "id")));
    columns_free(columns);
    return;
  }
  char **head = g_new0(char *, n + 1);
  for (guint i = 0; i < n; i++)
    head[i] = g_utf8_strup(g_array_index(columns, Column, i).heading, -1);
  g_ptr_array_add(rows, head);
  json_array_foreach(items, index, item) {
    char **cells = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
      cells[i] = output_cell(cli, item, g_array_index(columns, Column, i).path, g_array_index(columns, Column, i).unit);
    g_ptr_array_add(rows, cells);
  }
  for (guint r = 0; r < rows->len; r++)
    for (guint i = 0; i < n; i++)
      widths[i] = MAX(widths[i], width_of(((char **)rows->pdata[r])[i]));
  for (guint r = 0; r < rows->len; r++)
    print_row(rows->pdata[r], widths, n);
  if (json_object_get(list, "next_cursor"))
    g_printerr(cli_words(cli, "More: --cursor %s\n", "更多：--cursor %s\n"), json_string_value(json_object_get(list, "next_cursor")));
  columns_free(columns);
}

/* ---- one object ---- */

static void print_members(const Cli *cli, const json_t *object, int depth)
{
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    bool nested = json_is_object(value) && json_object_size(value) && depth < 3;
    bool parts = json_is_array(value) && json_is_object(json_array_get(value, 0));
    g_print("%*s%s:", depth * 2, "", name);
    if (nested) {
      g_print("\n");
      print_members(cli, value, depth + 1);
    } else if (parts) {
      size_t i;
      json_t *item;
      g_print("\n");
      json_array_foreach(value, i, item) {
        g_print("%*s- #%zu\n", depth * 2 + 2, "", i);
        print_members(cli, item, depth + 2);
      }
    } else {
      g_autofree char *text = output_cell(cli, object, name, g_str_has_suffix(name, "_bytes") ? "bytes" : NULL);
      g_print(" %s\n", text);
    }
  }
}

void output_value(const Cli *cli, const CliNoun *noun, const json_t *json)
{
  if (cli->quiet)
    g_print("%s\n", json_string_value(json_object_get(json, "id")));
  else
    print_members(cli, json, 0);
}

/* ---- programs ---- */

static void yaml_value(const json_t *value, int depth);

static void yaml_scalar(const json_t *value)
{
  g_autofree char *text = json_dumps(value, JSON_ENCODE_ANY); /* a JSON scalar is a YAML scalar */
  g_print("%s\n", text);
}

static void yaml_object(const json_t *object, int depth, bool first_inline)
{
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    g_print("%*s%s:", first_inline ? 0 : depth * 2, "", name);
    first_inline = false;
    yaml_value(value, depth + 1);
  }
}

static void yaml_value(const json_t *value, int depth)
{
  size_t i;
  json_t *item;
  if (json_is_object(value) && json_object_size(value)) {
    g_print("\n");
    yaml_object(value, depth, false);
  } else if (json_is_array(value) && json_array_size(value)) {
    g_print("\n");
    json_array_foreach((json_t *)value, i, item) {
      g_print("%*s- ", (depth - 1) * 2, "");
      if (json_is_object(item) && json_object_size(item))
        yaml_object(item, depth, true);
      else
        yaml_scalar(item);
    }
  } else {
    g_print(" ");
    yaml_scalar(value);
  }
}

void output_raw(const Cli *cli, const json_t *json)
{
  if (cli->format == CLI_YAML && json_is_object(json) && json_object_size(json)) {
    yaml_object(json, 0, false);
    return;
  }
  char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);
  g_print("%s\n", text);
  free(text);
}
