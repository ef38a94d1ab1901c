// SPDX-License-Identifier: Apache-2.0
/* See compatibility.h. The list is one entry a line, so that an error has a line number and a change is one line of a diff. */
#include "center/hosts/compatibility.h"
#include "base/files.h"
#include "center/api/view.h"
#include "center/verbs.h"
#include <string.h>
#include <unistd.h>

#define PROBLEMS_MAX 100

extern const char *const compatibility_lines[]; /* tools/embed-lines */

WsCompatibilityEntry *compatibility_parse(const char *line, gsize n, GError **error)
{
  while (n > 0 && g_ascii_isspace(line[n - 1]))
    n--;
  if (n == 0 || line[0] == '#')
    return NULL;
  return ws_compatibility_entry_parse(line, n, WS_PARSE_CREATE, error);
}

static gpointer read_builtin(gpointer arg)
{
  GPtrArray *list = g_ptr_array_new();
  for (guint i = 0; compatibility_lines[i]; i++) {
    g_autoptr(GError) error = NULL;
    WsCompatibilityEntry *entry = compatibility_parse(compatibility_lines[i], strlen(compatibility_lines[i]), &error);
    if (!entry)
      g_error("compatibility list: %s: %s", compatibility_lines[i], error ? error->message : "empty");
    g_ptr_array_add(list, entry);
  }
  return list;
}

const GPtrArray *compatibility_builtin(void)
{
  static GOnce once = G_ONCE_INIT;
  return g_once(&once, read_builtin, NULL);
}

static void add_problem(GPtrArray *problems, const char *path, guint line, const GError *error)
{
  if (!problems || problems->len >= PROBLEMS_MAX)
    return;
  WsCompatibilityProblem *problem = ws_compatibility_problem_new();
  problem->file = g_path_get_basename(path);
  problem->line = line;
  problem->reason = g_strdup(error->message);
  g_ptr_array_add(problems, problem);
}

static void read_own(GPtrArray *list, const char *path, GPtrArray *problems)
{
  g_autoptr(GError) error = NULL;
  gsize n = 0;
  guint number = 0;
  if (access(path, F_OK) != 0)
    return;
  g_autofree char *text = ws_file_read(path, COMPATIBILITY_MAX_BYTES, &n, &error);
  if (!text) {
    add_problem(problems, path, 0, error);
    return;
  }
  for (const char *line = text; line < text + n && list->len < COMPATIBILITY_MAX_ENTRIES;) {
    const char *end = memchr(line, '\n', (gsize)(text + n - line));
    gsize length = end ? (gsize)(end - line) : (gsize)(text + n - line);
    g_autoptr(GError) wrong = NULL;
    WsCompatibilityEntry *entry = compatibility_parse(line, length, &wrong);
    number++;
    if (entry) {
      entry->own = true;
      g_ptr_array_add(list, entry);
    } else if (wrong) {
      add_problem(problems, path, number, wrong);
    }
    line += length + 1;
  }
}

GPtrArray *compatibility_load(const char *path, GPtrArray *problems)
{
  GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)ws_compatibility_entry_free);
  const GPtrArray *builtin = compatibility_builtin();
  if (path)
    read_own(list, path, problems);
  for (guint i = 0; i < builtin->len; i++)
    g_ptr_array_add(list, ws_compatibility_entry_copy(builtin->pdata[i]));
  return list;
}

char *compatibility_path(const Center *center)
{
  return center->config.data_dir ? g_build_filename(center->config.data_dir, COMPATIBILITY_FILE, NULL) : NULL;
}

/* ---- the view ---- */

static void put(GString *text, const char *word)
{
  g_autofree char *folded = word ? g_utf8_casefold(word, -1) : NULL;
  if (folded)
    g_string_append_printf(text, "%s\n", folded);
}

static bool has_words(const WsCompatibilityEntry *entry, char *const *words)
{
  g_autoptr(GString) text = g_string_new(NULL);
  const char *const parts[] = {entry->vendor, entry->name, entry->versions, entry->driver, entry->os_variant, entry->note, entry->source};
  for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
    put(text, parts[i]);
  for (guint i = 0; i < entry->pci.len; i++)
    put(text, entry->pci.items[i]);
  for (guint i = 0; i < entry->models.len; i++)
    put(text, entry->models.items[i]);
  for (guint i = 0; words[i]; i++)
    if (!strstr(text->str, words[i]))
      return false;
  return true;
}

static int kind_of(const char *word)
{
  for (int i = 0; word && ws_compatibility_entry_kind_names[i]; i++)
    if (strcmp(ws_compatibility_entry_kind_names[i], word) == 0)
      return i + 1;
  return 0;
}

bool compatibility_list(const ApiView *view, void **result, GError **error)
{
  const char *kind = api_view_query(view, "kind"), *q = api_view_query(view, "q");
  g_autofree char *folded = g_utf8_casefold(q ? q : "", -1), *path = compatibility_path(view->center);
  g_auto(GStrv) words = g_strsplit_set(folded, " \t", -1);
  if (kind && !kind_of(kind))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "kind", "expected", "a kind of the compatibility list, such as nic or guest_os", NULL);
  g_autoptr(GPtrArray) problems = g_ptr_array_new();
  g_autoptr(GPtrArray) list = compatibility_load(path, problems);
  WsCompatibilityResult *answer = ws_compatibility_result_new();
  for (guint i = 0; i < list->len; i++) {
    const WsCompatibilityEntry *entry = list->pdata[i];
    if ((!kind || (int)entry->kind == kind_of(kind)) && has_words(entry, words))
      ws_array_add(&answer->items, ws_compatibility_entry_copy(entry));
  }
  for (guint i = 0; i < problems->len; i++)
    ws_array_add(&answer->problems, problems->pdata[i]);
  *result = answer;
  return true;
}
