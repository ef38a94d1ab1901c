// SPDX-License-Identifier: Apache-2.0
/* The database of a manager that does not run. See database.h. */
#include "center/database.h"
#include "base/files.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_BYTES_MAX (1 << 16)

static const char *const key_files[] = {"ca.crt", "ca.key", "server.crt", "server.key", CENTER_SECRETS_KEY, NULL};

/* ---- which one ---- */

char *center_database_address(const char *data_dir, const char *option, GError **error)
{
  g_autofree char *named = g_build_filename(data_dir, "database", NULL);

  if (option)
    return g_strdup(option);
  if (!g_file_test(named, G_FILE_TEST_EXISTS))
    return g_build_filename(data_dir, "winsphere.db", NULL);
  char *address = ws_file_read(named, 4096, NULL, error);
  return address ? g_strstrip(address) : NULL;
}

/* ---- keys ---- */

GPtrArray *center_key_files(const char *data_dir, GError **error)
{
  g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)copy_file_free);

  for (guint i = 0; key_files[i]; i++) {
    g_autofree char *path = g_build_filename(data_dir, key_files[i], NULL);
    gsize n;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
      continue;
    char *bytes = ws_file_read(path, KEY_BYTES_MAX, &n, error);
    if (!bytes)
      return NULL;
    CopyFile *file = g_new0(CopyFile, 1);
    *file = (CopyFile){g_strdup(key_files[i]), g_bytes_new_take(bytes, n)};
    g_ptr_array_add(files, file);
  }
  return g_steal_pointer(&files);
}

static bool is_same(const char *path, GBytes *bytes)
{
  gsize n;
  g_autofree char *there = ws_file_read(path, KEY_BYTES_MAX, &n, NULL);

  return there && n == g_bytes_get_size(bytes) && memcmp(there, g_bytes_get_data(bytes, NULL), n) == 0;
}

/* One that is there and different goes to NAME.before-restore. */
static bool restore_key(const char *data_dir, const CopyFile *file, GError **error)
{
  g_autofree char *path = g_build_filename(data_dir, file->name, NULL), *kept = g_strconcat(path, ".before-restore", NULL);
  gsize n;
  const char *bytes = g_bytes_get_data(file->bytes, &n);

  if (!g_strv_contains(key_files, file->name) ||
      is_same(path, file->bytes))
    return true;
  if (g_rename(path, kept) != 0 && errno != ENOENT)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  g_print("%s restored\n", path);
  return ws_file_write(path, bytes, n, 0600, error);
}

/* ---- backups ---- */

static gint newest_first(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)b, *(const char *const *)a);
}

char *center_newest_backup(const char *data_dir)
{
  g_autofree char *folder = g_build_filename(data_dir, "backups", NULL);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
  const char *name;

  while (dir && (name = g_dir_read_name(dir)))
    if (g_str_has_suffix(name, ".backup"))
      g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
  g_ptr_array_sort(paths, newest_first); /* their names hold their times */
  for (guint i = 0; i < paths->len; i++) {
    g_autoptr(CopySummary) whole = copy_verify(g_ptr_array_index(paths, i), NULL, NULL);
    if (whole)
      return g_strdup(g_ptr_array_index(paths, i));
  }
  return NULL;
}

/* ---- what is printed ---- */

static void print_summary(const CopySummary *summary, const char *what)
{
  g_print("%-24s %12s  %s\n", "TABLE", "ROWS", "SHA-256");
  for (guint i = 0; i < summary->sums->len; i++) {
    const CopySum *sum = g_ptr_array_index(summary->sums, i);
    if (sum->n_rows > 0)
      g_print("%-24s %12" G_GUINT64_FORMAT "  %.16s\n", sum->table, sum->n_rows, sum->sha256);
  }
  g_print("%s: %" G_GUINT64_FORMAT " rows.\n", what, summary->n_rows);
  if (summary->kept)
    g_print("What was there before is kept: %s\n", summary->kept);
}

/* ---- commands ---- */

bool center_database_backup(const char *data_dir, const char *option, const char *path, GError **error)
{
  g_autofree char *address = center_database_address(data_dir, option, error);
  g_autoptr(GPtrArray) files = address ? center_key_files(data_dir, error) : NULL;
  WsLoop *loop = ws_loop_new(ws_clock_system());
  Store *store = files ? store_open(address, loop, error) : NULL;
  g_autoptr(CopySummary) summary = store ? copy_backup(store, path, files, NULL, NULL, error) : NULL;

  store_close(store);
  ws_loop_free(loop);
  if (summary)
    print_summary(summary, "Backed up");
  return summary != NULL;
}

bool center_database_restore(const char *data_dir, const char *option, const char *path, GError **error)
{
  g_autofree char *address = center_database_address(data_dir, option, error);
  g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func((GDestroyNotify)copy_file_free);
  g_autoptr(CopySummary) checked = address ? copy_verify(path, files, error) : NULL, summary = NULL;
  WsLoop *loop;

  if (!checked)
    return false;
  if (g_mkdir_with_parents(data_dir, 0700) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", data_dir, "cause", g_strerror(errno), NULL);
  loop = ws_loop_new(ws_clock_system());
  summary = copy_restore(path, address, loop, error);
  ws_loop_free(loop);
  if (!summary)
    return false;
  print_summary(summary, "Restored and compared");
  for (guint i = 0; i < files->len; i++)
    if (!restore_key(data_dir, g_ptr_array_index(files, i), error))
      return false;
  return true;
}

bool center_database_move(const char *data_dir, const char *option, const char *to, GError **error)
{
  g_autofree char *from = center_database_address(data_dir, option, error), *named = g_build_filename(data_dir, "database", NULL),
                  *address = strcmp(to, "file") == 0 ? g_build_filename(data_dir, "winsphere.db", NULL) : g_strdup(to),
                  *line = g_strconcat(address, "\n", NULL);
  g_autoptr(CopySummary) summary = NULL;
  WsLoop *loop;

  if (!from)
    return false;
  loop = ws_loop_new(ws_clock_system());
  summary = copy_move(from, address, loop, error);
  ws_loop_free(loop);
  if (!summary || !ws_file_write(named, line, strlen(line), 0600, error))
    return false;
  if (summary->sums->len > 0)
    print_summary(summary, "Moved and compared");
  g_print("The manager uses %s from now on; %s stays as it was and is not used any more.\n", address, from);
  return true;
}
