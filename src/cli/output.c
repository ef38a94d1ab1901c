// SPDX-License-Identifier: Apache-2.0
/* Answers for people (tables, "name: value") and for programs (JSON, YAML). See cli.h. */
#include "base/clock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "model/model.h"
#include "model/texts.h"
#include <stdio.h>
#include <string.h>

#define DIGITS JSON_REAL_PRECISION(15) /* of a number with a fraction: 99.9 stays 99.9 */

/* ---- kinds of tasks ---- */

char *output_kind(const Cli *cli, const char *kind)
{
  for (guint i = 0; kind && i < cli_n_nouns; i++)
    for (guint j = 0; j < cli_nouns[i].n_commands; j++) {
      const CliNoun *noun = &cli_nouns[i];
      const CliCommand *command = &noun->commands[j];
      if (strcmp(command->operation, kind) == 0)
        return cli->lang == WS_LANG_ZH ? g_strdup_printf("%s：%s", noun->zh, command->zh) : g_strdup_printf("%s %s", noun->name, command->name);
    }
  return g_strdelimit(g_strdup(kind ? kind : "-"), "_", ' ');
}

/* ---- cells ---- */

/* The field at a dotted path of a type; NULL: none. */
static const WsField *field_at(const WsType *type, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  const WsField *field = NULL;
  for (char **name = names; *name; name++) {
    field = type ? ws_type_field(type, *name, strlen(*name)) : NULL;
    type = field ? field->sub : NULL;
  }
  return field;
}

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

/* Bytes, and bytes a second, as sizes; any other number as it is. */
static char *number_text(json_int_t value, const char *unit)
{
  char size[WS_SIZE_TEXT_MAX];
  if (value >= 0 && g_strcmp0(unit, "bytes") == 0)
    return g_strdup(ws_size_format((guint64)value, size));
  if (value >= 0 && (g_strcmp0(unit, "bytes/s") == 0 || g_strcmp0(unit, "B/s") == 0))
    return g_strdup_printf("%s/s", ws_size_format((guint64)value, size));
  return g_strdup_printf("%" JSON_INTEGER_FORMAT, value);
}

static const char *unit_of_name(const char *name)
{
  return g_str_has_suffix(name, "_bytes") ? "bytes" : g_str_has_suffix(name, "_bytes_per_s") ? "bytes/s" : NULL;
}

/* Words of an enum are said in the reader's language; any other text is a person's own. */
static bool is_word(const WsField *field)
{
  return field && (field->kind == WS_KIND_ENUM || (field->kind == WS_KIND_ARRAY && field->item_kind == WS_KIND_ENUM));
}

static char *text_of(const Cli *cli, const json_t *value, const char *unit, const WsField *field)
{
  if (!value || json_is_null(value) || (json_is_object(value) && !json_object_size(value)))
    return g_strdup("-");
  if (json_is_integer(value))
    return number_text(json_integer_value(value), unit);
  if (json_is_real(value))
    return g_strdup_printf("%.1f", json_real_value(value));
  if (json_is_boolean(value))
    return g_strdup(json_is_true(value) ? cli_words(cli, "yes", "是") : cli_words(cli, "no", "否"));
  if (json_is_string(value)) {
    const char *text = json_string_value(value);
    gsize n = strlen(text);
    return n > 19 && text[4] == '-' && text[10] == 'T' && text[n - 1] == 'Z' ? local_time(text)
                                                                         : g_strdup(is_word(field) ? ws_word_of(field->name, text, cli->lang) : text);
  }
  if (json_is_array(value)) {
    GString *all = g_string_new(NULL);
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
      g_autofree char *text = text_of(cli, item, unit, field);
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

/* The catalogue's sentence where an object names one with its parameters (events, lines of task logs); NULL: it does not. */
static char *sentence_of(const Cli *cli, const json_t *object)
{
  const char *name = json_string_value(json_object_get(object, "text")), *key;
  json_t *params = json_object_get(object, "params"), *value;
  if (!name || !ws_text_find(name))
    return NULL;
  WsMap map = {0};
  json_object_foreach(params, key, value)
    if (json_is_string(value)) {
      bool word = strcmp(key, "state") == 0;
      ws_map_set(&map, key, word ? ws_word(json_string_value(value), cli->lang) : json_string_value(value));
    }
  char *text = ws_text_format(name, cli->lang, &map);
  while (map.len)
    ws_map_set(&map, map.items[0].key, NULL);
  g_free(map.items);
  return text;
}

/* What moves the cursor, or turns the direction of what follows: a name, a guest's host name or a host's words must not. */
static bool is_tricky(gunichar c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

char *output_plain(const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  GString *plain = g_string_new(NULL);
  for (const char *p = valid; *p; p = g_utf8_next_char(p))
    g_string_append_unichar(plain, is_tricky(g_utf8_get_char(p)) ? '?' : g_utf8_get_char(p));
  return g_string_free(plain, FALSE);
}

/* What a task or a record is about is named as the command is. */
static bool is_kind(const char *path, const WsField *field)
{
  const WsField *const kinds[] = {ws_type_field(&ws_type_task, "kind", 4), ws_type_field(&ws_type_ended_task, "kind", 4),
                                  ws_type_field(&ws_type_audit_record, "operation", 9)};
  for (guint i = 0; field && i < G_N_ELEMENTS(kinds); i++)
    if (field == kinds[i])
      return true;
  return false;
}

/* An alarm's kind is a word of the catalogue, though no choice of an enum: there are more kinds with each version. */
static bool is_alarm_kind(const char *path, const WsField *field)
{
  return field && strcmp(path, "kind") == 0 && field == ws_type_field(&ws_type_alarm, "kind", 4);
}

/* A VM in the recycle bin says how long it is there yet: "In bin, 12 d left". NULL: it is not, or does not go by itself. */
static char *bin_text(const Cli *cli, const json_t *object, const WsField *field)
{
  const json_t *state = json_object_get(object, "management");
  const char *when = json_string_value(json_object_get(object, "bin_expires"));
  gint64 us;
  if (field != ws_type_field(&ws_type_vm, "management", 10) || g_strcmp0(json_string_value(state), "in_bin") != 0 || !when || !ws_time_parse(when, &us))
    return NULL;
  gint64 hours = MAX(0, us - ws_clock_wall_us(ws_clock_system())) / (3600 * (gint64)G_USEC_PER_SEC);
  const char *unit = hours >= 24 ? cli_words(cli, "d", "天") : cli_words(cli, "h", "小时");
  return g_strdup_printf(cli->lang == WS_LANG_ZH ? "%s（剩 %d %s）" : "%s, %d %s left", ws_word("in_bin", cli->lang),
                         (int)(hours >= 24 ? hours / 24 : hours), unit);
}

static char *cell_of(const Cli *cli, const json_t *object, const char *path, const char *unit, const WsField *field)
{
  g_autofree char *text = strcmp(path, "text") == 0 ? sentence_of(cli, object) : NULL;
  const json_t *value = at_path(object, path);
  if (!text && !cli->quiet)
    text = bin_text(cli, object, field);
  if (!text && is_kind(path, field) && !cli->quiet && json_is_string(value))
    text = output_kind(cli, json_string_value(value));
  if (!text && is_alarm_kind(path, field) && !cli->quiet && json_is_string(value))
    text = g_strdup(ws_word(json_string_value(value), cli->lang));
  if (!text)
    text = text_of(cli, at_path(object, path), unit, field);
  return output_plain(text);
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
  const WsField *field;
} Column;

/* `items`: the type of what an answer of its own form lists (a view's); NULL: objects of the noun. */
static GArray *columns_of(const Cli *cli, const CliNoun *noun, const WsType *items)
{
  GArray *columns = g_array_new(FALSE, FALSE, sizeof(Column));
  for (guint i = 0; items && !cli->columns && i < items->n_fields; i++) {
    const char *name = items->fields[i].name;
    Column column = {g_strdup(name), g_intern_string(name), unit_of_name(name), &items->fields[i]};
    g_array_append_val(columns, column);
  }
  if (items && !cli->columns)
    return columns;
  g_auto(GStrv) own = cli->columns ? g_strsplit(cli->columns, ",", -1) : NULL;
  for (char **path = own; path && *path; path++) {
    Column column = {g_strdup(*path), NULL, unit_of_name(*path), field_at(noun->type, *path)};
    column.heading = g_intern_string(*path);
    g_array_append_val(columns, column);
  }
  for (guint i = 0; !own && i < noun->n_columns; i++) {
    const CliColumn *c = &noun->columns[i];
    Column column = {g_strdup(c->path), cli_words(cli, c->heading, c->zh), c->unit, c->field};
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

static char **cells_of(const Cli *cli, const GArray *columns, const json_t *object)
{
  char **cells = g_new0(char *, columns->len + 1);
  for (guint i = 0; i < columns->len; i++) {
    const Column *column = &g_array_index(columns, Column, i);
    cells[i] = cell_of(cli, object, column->path, column->unit, column->field);
  }
  return cells;
}

static char **headings_of(const GArray *columns)
{
  char **head = g_new0(char *, columns->len + 1);
  for (guint i = 0; i < columns->len; i++)
    head[i] = g_utf8_strup(g_array_index(columns, Column, i).heading, -1);
  return head;
}

void output_table(const GPtrArray *rows, guint n)
{
  g_autofree int *widths = g_new0(int, n);
  for (guint r = 0; r < rows->len; r++)
    for (guint i = 0; i < n; i++)
      widths[i] = MAX(widths[i], width_of(((char **)rows->pdata[r])[i]));
  for (guint r = 0; r < rows->len; r++)
    print_row(rows->pdata[r], widths, n);
}

void output_change(const Cli *cli, const CliNoun *noun, const char *mark, const json_t *object)
{
  GArray *columns = columns_of(cli, noun, NULL);
  g_auto(GStrv) cells = cells_of(cli, columns, object);
  g_autofree char *line = g_strjoinv("  ", cells);
  g_print("%s %s\n", mark, line);
  columns_free(columns);
}

void output_list(const Cli *cli, const CliNoun *noun, const WsType *result, const json_t *list)
{
  const json_t *items = json_object_get(list, "items");
  const WsField *field = result ? ws_type_field(result, "items", strlen("items")) : NULL;
  GArray *columns = columns_of(cli, noun, field && field->item_kind == WS_KIND_OBJECT ? field->sub : NULL);
  guint n = columns->len;
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  size_t index;
  json_t *item;
  if (cli->quiet && !cli->columns) {
    json_array_foreach(items, index, item)
      g_print("%s\n", json_string_value(json_object_get(item, "id")));
    columns_free(columns);
    return;
  }
  if (!cli->quiet)
    g_ptr_array_add(rows, headings_of(columns));
  json_array_foreach(items, index, item)
    g_ptr_array_add(rows, cells_of(cli, columns, item));
  output_table(rows, n);
  if (json_object_get(list, "next_cursor"))
    g_printerr(cli_words(cli, "More: --cursor %s\n", "更多：--cursor %s\n"), json_string_value(json_object_get(list, "next_cursor")));
  columns_free(columns);
}

/* Paths may go on inside of maps and lists; what lies there is not known here. */
static bool has_path(const WsType *type, const char *path)
{
  g_auto(GStrv) names = g_strsplit(path, ".", -1);
  for (char **name = names; *name; name++) {
    const WsField *field = type ? ws_type_field(type, *name, strlen(*name)) : NULL;
    if (!field)
      return name == names && (strcmp(path, "id") == 0 || strcmp(path, "revision") == 0);
    if (field->kind == WS_KIND_MAP || field->kind == WS_KIND_ANY || field->kind == WS_KIND_ARRAY)
      return true;
    type = field->sub;
  }
  return true;
}

bool output_columns_check(const Cli *cli, const CliNoun *noun, const CliCommand *command, GError **error)
{
  bool objects = command->kind == WS_ROUTE_LIST || command->kind == WS_ROUTE_GET;
  g_auto(GStrv) paths = cli->columns && objects && noun->type ? g_strsplit(cli->columns, ",", -1) : NULL;
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; paths && i < noun->type->n_fields; i++)
    g_ptr_array_add(names, (char *)noun->type->fields[i].name);
  g_ptr_array_add(names, NULL);
  for (char **path = paths; path && *path; path++)
    if (!has_path(noun->type, *path)) {
      g_autofree char *near = suggest(*path, (const char *const *)names->pdata), *all = g_strjoinv(", ", (char **)names->pdata);
      g_autofree char *expected = near ? g_strdup_printf("fields of the object, perhaps %s; there is no %s", near, *path)
                                       : g_strdup_printf("fields of the object (%s); there is no %s", all, *path);
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "--columns", "expected", expected, NULL);
    }
  return true;
}

/* ---- what was measured ---- */

static char *measured(const json_t *value, const char *unit)
{
  if (!json_is_number(value))
    return g_strdup("-");
  if (g_str_has_prefix(unit ? unit : "", "bytes"))
    return number_text((json_int_t)json_number_value(value), unit);
  return g_strdup_printf(g_strcmp0(unit, "percent") == 0 ? "%.1f %%" : "%.1f", json_number_value(value));
}

/* "disk_read_bytes_per_s" over a column whose cells have their unit. */
static char *measure_name(const json_t *series)
{
  static const char *const ends[] = {"_bytes_per_s", "_bytes", "_percent"};
  char *name = g_strdup(json_string_value(json_object_get(series, "name")));
  for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
    if (g_str_has_suffix(name, ends[i])) {
      name[strlen(name) - strlen(ends[i])] = '\0';
      break;
    }
  g_autofree char *own = g_strdelimit(name, "_", ' ');
  return g_utf8_strup(own, -1);
}

void output_history(const Cli *cli, const json_t *history)
{
  const json_t *series = json_object_get(history, "series"), *one;
  guint n = (guint)json_array_size(series) + 1;
  size_t steps = 0, i;
  gint64 from = 0, step_us = json_integer_value(json_object_get(history, "step_s")) * G_USEC_PER_SEC;
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  char **head = g_new0(char *, n + 1);
  const char *text = json_string_value(json_object_get(history, "from"));
  if (!text || !ws_time_parse(text, &from))
    from = 0;
  head[0] = g_strdup(cli_words(cli, "TIME", "时间"));
  json_array_foreach((json_t *)series, i, one) {
    head[i + 1] = measure_name(one);
    steps = MAX(steps, json_array_size(json_object_get(one, "values")));
  }
  if (cli->quiet)
    g_strfreev(head);
  else
    g_ptr_array_add(rows, head);
  for (size_t step = 0; step < steps; step++) {
    bool any = false;
    char **cells = g_new0(char *, n + 1), at[32];
    cells[0] = local_time(ws_time_format(from + (gint64)step * step_us, at));
    json_array_foreach((json_t *)series, i, one) {
      const json_t *value = json_array_get(json_object_get(one, "values"), step);
      any |= json_is_number(value);
      cells[i + 1] = measured(value, json_string_value(json_object_get(one, "unit")));
    }
    if (any)
      g_ptr_array_add(rows, cells);
    else
      g_strfreev(cells);
  }
  output_table(rows, n);
}

/* ---- a log ---- */

void output_log_text(const Cli *cli, const json_t *log)
{
  const char *text = json_string_value(json_object_get(log, "text"));
  if (json_is_true(json_object_get(log, "more")))
    g_printerr(cli_words(cli, "Older lines are left out: --lines\n", "更早的行已省略：--lines\n"));
  for (const char *p = text ? text : ""; *p; p = g_utf8_next_char(p)) {
    gunichar c = g_utf8_get_char(p);
    bool moves = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0); /* the host has seen to it; a host may be bad */
    if (moves)
      (void)fputc('?', stdout);
    else
      (void)fwrite(p, 1, (size_t)(g_utf8_next_char(p) - p), stdout);
  }
  if (text && *text && !g_str_has_suffix(text, "\n"))
    (void)fputc('\n', stdout);
}

/* ---- one object ---- */

static void print_members(const Cli *cli, const json_t *object, const WsType *type, int depth)
{
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    const WsField *field = field_at(type, name);
    bool nested = json_is_object(value) && json_object_size(value) && depth < 3;
    bool parts = json_is_array(value) && json_is_object(json_array_get(value, 0));
    g_autofree char *label = output_plain(name); /* a map's keys are people's */
    g_print("%*s%s:", depth * 2, "", label);
    if (nested) {
      g_print("\n");
      print_members(cli, value, field ? field->sub : NULL, depth + 1);
    } else if (parts) {
      size_t i;
      json_t *item;
      g_print("\n");
      json_array_foreach(value, i, item) {
        g_print("%*s- #%zu\n", depth * 2 + 2, "", i);
        print_members(cli, item, field ? field->sub : NULL, depth + 2);
      }
    } else {
      g_autofree char *text = cell_of(cli, object, name, unit_of_name(name), field);
      g_print(" %s\n", text);
    }
  }
}

bool output_parts(const Cli *cli, const WsType *type, const json_t *json)
{
  void *iter = json_object_size(json) == 1 ? json_object_iter((json_t *)json) : NULL;
  const WsField *list = iter ? field_at(type, json_object_iter_key(iter)) : NULL;
  if (!list || list->kind != WS_KIND_ARRAY || list->item_kind != WS_KIND_OBJECT || !list->sub)
    return false;
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  guint n = list->sub->n_fields;
  size_t index;
  json_t *item;
  char **head = g_new0(char *, n + 1);
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdelimit(g_strdup(list->sub->fields[i].name), "_", ' ');
    head[i] = g_utf8_strup(name, -1);
  }
  g_ptr_array_add(rows, head);
  json_array_foreach(json_object_iter_value(iter), index, item) {
    char **cells = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
      cells[i] = cell_of(cli, item, list->sub->fields[i].name, unit_of_name(list->sub->fields[i].name), &list->sub->fields[i]);
    g_ptr_array_add(rows, cells);
  }
  output_table(rows, n);
  return true;
}

/* With --columns: these paths alone. */
static void print_columns(const Cli *cli, const CliNoun *noun, const json_t *object)
{
  GArray *columns = columns_of(cli, noun, NULL);
  g_auto(GStrv) cells = cells_of(cli, columns, object);
  for (guint i = 0; i < columns->len; i++) {
    const json_t *value = at_path(object, g_array_index(columns, Column, i).path);
    bool whole = (json_is_object(value) && json_object_size(value)) || json_is_object(json_array_get(value, 0));
    json_t *one = json_object();
    json_object_set(one, g_array_index(columns, Column, i).path, (json_t *)value);
    if (whole)
      print_members(cli, one, noun->type, 0);
    else
      g_print("%s: %s\n", g_array_index(columns, Column, i).path, cells[i]);
    json_decref(one);
  }
  columns_free(columns);
}

/* As a list of one. */
static void print_values(const Cli *cli, const CliNoun *noun, const json_t *object)
{
  GArray *columns = columns_of(cli, noun, NULL);
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
  g_ptr_array_add(rows, cells_of(cli, columns, object));
  output_table(rows, columns->len);
  columns_free(columns);
}

/* Under an alarm: what its kind means, and what to do. */
static void print_advice(const Cli *cli, const json_t *alarm)
{
  const char *kind = json_string_value(json_object_get(alarm, "kind"));
  g_autofree char *name = g_strconcat("alarm_", kind ? kind : "", NULL);
  const WsText *text = ws_text_find(name);
  if (text && text->hint[cli->lang])
    g_print("\n%s\n%s\n", text->text[cli->lang], text->hint[cli->lang]);
}

void output_value(const Cli *cli, const CliNoun *noun, const CliCommand *command, const json_t *json)
{
  if (cli->quiet && cli->columns)
    print_values(cli, noun, json);
  else if (cli->quiet)
    g_print("%s\n", json_string_value(json_object_get(json, "id")));
  else if (cli->columns)
    print_columns(cli, noun, json);
  else if (!command->result || !output_parts(cli, command->result, json))
    print_members(cli, json, command->result ? command->result : noun->type, 0);
  if (!cli->quiet && !cli->columns && !command->result && noun->type == &ws_type_alarm)
    print_advice(cli, json);
}

void output_log(const Cli *cli, const json_t *task)
{
  size_t i;
  json_t *line;
  json_array_foreach(json_object_get(task, "log"), i, line) {
    g_autofree char *text = cli->quiet || cli->format != CLI_TABLE ? NULL : cell_of(cli, line, "text", NULL, NULL);
    if (text)
      g_printerr("%s\n", text);
  }
}

/* ---- programs ---- */

static void yaml_value(const json_t *value, int depth);

static void yaml_scalar(const json_t *value)
{
  g_autofree char *text = json_dumps(value, JSON_ENCODE_ANY | DIGITS); /* a JSON scalar is a YAML scalar */
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
  char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY | DIGITS);
  g_print("%s\n", text);
  free(text);
}
