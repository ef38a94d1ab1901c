// SPDX-License-Identifier: Apache-2.0
/* Small files, written whole or not at all. */
#include "base/error.h"
#include "base/files.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static char *dir;

static char *at(const char *name)
{
  return g_build_filename(dir, name, NULL);
}

static void put(const char *name)
{
  g_autofree char *path = at(name);
  g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static bool is_there(const char *name)
{
  g_autofree char *path = at(name);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void written_file_is_read_back_and_for_its_owner_only(void)
{
  g_autofree char *path = at("a"), *text = NULL;
  g_autoptr(GError) error = NULL;
  struct stat st;
  gsize n;
  g_assert_true(ws_file_write(path, "one", 3, 0600, &error));
  g_assert_true(ws_file_write(path, "three", 5, 0600, &error));
  text = ws_file_read(path, 100, &n, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(text, ==, "three");
  g_assert_cmpuint(n, ==, 5);
  g_assert_cmpint(g_stat(path, &st), ==, 0);
  g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
  g_assert_null(ws_file_read(path, 4, &n, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TOO_LARGE);
  g_unlink(path);
}

static void failed_write_leaves_the_old_one_and_nothing_else(void)
{
  g_autofree char *path = at("folder"), *inside = at("folder/kept");
  g_autoptr(GError) error = NULL;
  g_mkdir(path, 0700);
  put("folder/kept");
  g_assert_false(ws_file_write(path, "x", 1, 0600, &error)); /* a folder is in the way of the rename */
  g_assert_error(error, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_true(is_there("folder/kept"));
  GDir *d = g_dir_open(dir, 0, NULL);
  g_assert_cmpstr(g_dir_read_name(d), ==, "folder");
  g_assert_null(g_dir_read_name(d));
  g_dir_close(d);
  g_unlink(inside);
  g_rmdir(path);
}

static void unfinished_files_are_dropped_and_no_others(void)
{
  static const char *const names[] = {"ca.key",        "ca.key.unfinished-Ab1xYz",    "ca.key.backup", "ca.key.Ab1xYz",
                                      "ca.key.old",    "ca.keys.unfinished-Ab1xYz", "xca.key.unfinished-Ab1xYz"};
  g_autofree char *path = at("ca.key");
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    put(names[i]);
  ws_file_drop_unfinished(path);
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *file = at(names[i]);
    g_assert_true(is_there(names[i]) == (i != 1));
    g_unlink(file);
  }
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/base/files/" #name, name)
  g_test_init(&argc, &argv, NULL);
  dir = g_dir_make_tmp("files-XXXXXX", NULL);
  add(written_file_is_read_back_and_for_its_owner_only);
  add(failed_write_leaves_the_old_one_and_nothing_else);
  add(unfinished_files_are_dropped_and_no_others);
  int result = g_test_run();
  g_rmdir(dir);
  g_free(dir);
  return result;
}
