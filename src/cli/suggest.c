// SPDX-License-Identifier: Apache-2.0
/* What was meant by a word that nobody knows: the nearest of those that are known. See cli.h. */
#include "cli/cli.h"
#include "model/model.h"
#include <string.h>

#define WORD_MAX 64
#define SUGGESTIONS 3

/* How people call it elsewhere. */
static const char *const other_names[][2] = {
    {"power-on", "start"}, {"poweron", "start"}, {"on", "start"}, {"boot", "start"}, {"stop", "shutdown"}, {"off", "power-off"},
    {"kill", "power-off"}, {"suspend", "hibernate"}, {"restart", "reboot"}, {"vmotion", "migrate"}, {"move", "migrate"}, {"rm", "delete"},
    {"remove", "delete"}, {"destroy", "delete"}, {"show", "get"}, {"info", "get"}, {"describe", "get"}, {"ls", "list"}, {"add", "create"},
    {"new", "create"}, {"make", "create"}, {"edit", "update"}, {"set", "update"}, {"modify", "update"}, {"clone", "deploy"},
    {"grow", "resize"}, {"extend", "resize"}, {"datastore", "pool"}, {"storage", "pool"}, {"network", "port-group"}, {"portgroup", "port-group"},
    {"vswitch", "switch"}, {"datacenter", "host-pool"}, {"folder", "business-group"}, {"disk", "volume"}, {"template", "image"},
    {"iso", "volume"}, {"rule", "affinity-rule"}, {"permission", "role"}, {"search", "system"}, {NULL, NULL}};

/* Letters to put in, take out, change or swap with the next to come from one to the other. */
static guint distance(const char *a, const char *b)
{
  gsize n = strlen(a), m = strlen(b);
  guint rows[3][WORD_MAX + 1];
  if (n > WORD_MAX || m > WORD_MAX)
    return WORD_MAX;
  for (gsize j = 0; j <= m; j++)
    rows[0][j] = (guint)j;
  for (gsize i = 1; i <= n; i++) {
    guint *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
    now[0] = (guint)i;
    for (gsize j = 1; j <= m; j++) {
      now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = MIN(now[j], before[j - 2] + 1);
    }
  }
  return rows[n % 3][m];
}

static bool is_called(const char *word, const char *name)
{
  for (guint i = 0; other_names[i][0]; i++)
    if (strcmp(other_names[i][0], word) == 0 && strcmp(other_names[i][1], name) == 0)
      return true;
  return false;
}

/* How far it is from what was typed; WORD_MAX: too far. */
static guint rank(const char *word, const char *name)
{
  guint n = distance(word, name);
  if (is_called(word, name))
    return 0;
  if (n <= 1 + strlen(word) / 4)
    return n;
  return strlen(word) >= 3 && strstr(name, word) ? WORD_MAX / 2 : WORD_MAX;
}

char *suggest(const char *word, const char *const *known)
{
  g_autoptr(GString) best = g_string_new(NULL);
  for (guint limit = 0, n = 0; limit < WORD_MAX && n < SUGGESTIONS; limit++)
    for (const char *const *name = known; *name && n < SUGGESTIONS; name++)
      if (rank(word, *name) == limit) {
        g_string_append_printf(best, "%s%s", best->len ? ", " : "", *name);
        n++;
      }
  return best->len ? g_strdup(best->str) : NULL;
}

static bool refuse(const char *word, const char *what, const char *see, const char *near, GError **error)
{
  g_autofree char *expected = near ? g_strdup_printf("%s, perhaps %s; all: %s", what, near, see) : g_strdup_printf("%s; all: %s", what, see);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", word, "expected", expected, NULL);
}

bool unknown_noun(const char *word, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; i < cli_n_nouns; i++)
    g_ptr_array_add(names, (char *)cli_nouns[i].name);
  g_ptr_array_add(names, NULL);
  g_autofree char *near = suggest(word, (const char *const *)names->pdata);
  return refuse(word, "a kind of object", "winctl --help", near, error);
}

bool unknown_command(const CliNoun *noun, const char *word, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; i < noun->n_commands; i++)
    g_ptr_array_add(names, (char *)noun->commands[i].name);
  g_ptr_array_add(names, NULL);
  g_autofree char *near = suggest(word, (const char *const *)names->pdata), *see = g_strdup_printf("winctl %s --help", noun->name);
  return refuse(word, "a command", see, near, error);
}

static const char *const of_lists[] = {"filter", "sort", "limit", "cursor", "fields"};

/* `names`: the options it has, without a NULL at the end yet. */
static bool refuse_option(GPtrArray *names, const char *key, const char *see, GError **error)
{
  for (const GlobalOption *o = global_options; o->name; o++)
    g_ptr_array_add(names, (char *)o->name);
  g_ptr_array_add(names, NULL);
  g_autofree char *option = g_strconcat("--", key, NULL), *nearest = suggest(key, (const char *const *)names->pdata);
  g_auto(GStrv) each = nearest ? g_strsplit(nearest, ", ", -1) : NULL;
  g_autofree char *joined = each ? g_strjoinv(", --", each) : NULL,
                  *near = joined ? g_strconcat("--", joined, NULL) : NULL;
  return refuse(option, "an option of this command", see, near, error);
}

bool unknown_option(const CliNoun *noun, const CliCommand *command, const char *key, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; i < command->n_options; i++)
    g_ptr_array_add(names, (char *)command->options[i].name);
  for (guint i = 0; command->kind == WS_ROUTE_LIST && i < G_N_ELEMENTS(of_lists); i++)
    g_ptr_array_add(names, (char *)of_lists[i]);
  g_autofree char *see = g_strdup_printf("winctl %s %s --help", noun->name, command->name);
  return refuse_option(names, key, see, error);
}

bool unknown_own_option(const char *own, const char *const *names, const char *key, GError **error)
{
  g_autoptr(GPtrArray) all = g_ptr_array_new();
  for (; *names; names++)
    g_ptr_array_add(all, (char *)*names);
  g_autofree char *see = g_strdup_printf("winctl %s --help", own);
  return refuse_option(all, key, see, error);
}

/* ---- what a part is made of ---- */

static void add_members(GString *out, const WsType *type, const char *before, guint depth)
{
  for (guint i = 0; i < type->n_fields; i++) {
    const WsField *field = &type->fields[i];
    if (field->flags & (WS_FIELD_READ_ONLY | WS_FIELD_INTERNAL))
      continue;
    if (field->kind == WS_KIND_OBJECT && field->sub && depth < 2) {
      g_autofree char *path = g_strdup_printf("%s%s.", before, field->name);
      add_members(out, field->sub, path, depth + 1);
    } else {
      g_string_append_printf(out, "%s%s%s", out->len ? ", " : "", before, field->name);
    }
  }
}

char *members_of(const WsType *type)
{
  GString *out = g_string_new(NULL);
  add_members(out, type, "", 0);
  return g_string_free(out, FALSE);
}
