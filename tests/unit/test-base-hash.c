// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static void sha256_matches_fips_180_4_example(void)
{
  g_autofree char *hex = ws_sha256_hex("abc", 3);
  WsSha256 *sha = ws_sha256_new();
  ws_sha256_add(sha, "a", 1);
  ws_sha256_add(sha, "bc", 2);
  g_autofree char *pieces = ws_sha256_end(sha);
  g_assert_cmpstr(hex, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  g_assert_cmpstr(pieces, ==, hex);
}

static void password_fits_only_itself(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *phc = ws_password_hash(ws_clock_system(), "correct horse", &error);
  g_autofree char *again = ws_password_hash(ws_clock_system(), "correct horse", &error);
  g_assert_no_error(error);
  g_assert_true(g_str_has_prefix(phc, "$argon2id$"));
  g_assert_cmpstr(phc, !=, again); /* salted */
  g_assert_true(ws_password_verify("correct horse", phc));
  g_assert_false(ws_password_verify("correct horsf", phc));
  g_assert_false(ws_password_verify("", phc));
  g_assert_false(ws_password_verify("correct horse", ""));
  g_assert_false(ws_password_verify("correct horse", "$argon2id$v=19$m=1"));
}

static void tokens_are_long_and_differ(void)
{
  g_autofree char *a = ws_token_new(ws_clock_system(), "wss_"), *b = ws_token_new(ws_clock_system(), "wss_");
  g_assert_cmpuint(strlen(a), ==, 4 + 43);
  g_assert_cmpstr(a, !=, b);
  g_assert_cmpuint(strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), ==, strlen(a));
}

static void file_is_replaced_whole_with_its_mode(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp("ws-files-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(dir, "key", NULL);
  struct stat st;
  gsize n;
  g_assert_true(ws_file_write(path, "one", 3, 0600, &error));
  g_assert_true(ws_file_write(path, "second", 6, 0600, &error));
  g_autofree char *text = ws_file_read(path, 100, &n, &error);
  g_assert_cmpstr(text, ==, "second");
  g_assert_cmpuint(n, ==, 6);
  g_assert_cmpint(stat(path, &st), ==, 0);
  g_assert_cmpint(st.st_mode & 0777, ==, 0600);
  g_assert_null(ws_file_read(path, 5, &n, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TOO_LARGE);
  g_unlink(path);
  g_assert_cmpint(g_rmdir(dir), ==, 0); /* no temporary file is left */
}

static void unwritable_place_is_an_error_naming_the_path(void)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_file_write("/nonexistent/dir/file", "x", 1, 0600, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_cmpstr(ws_error_param(error, "path"), ==, "/nonexistent/dir/file");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/base/hash/sha256_matches_fips_180_4_example", sha256_matches_fips_180_4_example);
  g_test_add_func("/base/hash/password_fits_only_itself", password_fits_only_itself);
  g_test_add_func("/base/hash/tokens_are_long_and_differ", tokens_are_long_and_differ);
  g_test_add_func("/base/files/file_is_replaced_whole_with_its_mode", file_is_replaced_whole_with_its_mode);
  g_test_add_func("/base/files/unwritable_place_is_an_error_naming_the_path", unwritable_place_is_an_error_naming_the_path);
  return g_test_run();
}
