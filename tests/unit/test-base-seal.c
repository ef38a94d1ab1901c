// SPDX-License-Identifier: Apache-2.0
/* Secrets at rest: sealed, opened, and not opened by anybody else. */
#include "base/error.h"
#include "base/seal.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  char *top, *key, *other;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
  f->top = g_dir_make_tmp("ws-seal-XXXXXX", NULL);
  f->key = g_build_filename(f->top, "secrets.key", NULL);
  f->other = g_build_filename(f->top, "other.key", NULL);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
  ws_seal_unload();
  g_unlink(f->key);
  g_unlink(f->other);
  g_rmdir(f->top);
  g_free(f->top);
  g_free(f->key);
  g_free(f->other);
}

static void load(const char *path)
{
  g_autoptr(GError) error = NULL;
  ws_seal_load(path, &error);
  g_assert_no_error(error);
}

static void must_not_open(const char *sealed, const char *name)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *text = ws_unseal(sealed, name, &error);
  g_assert_null(text);
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_SECRETS_SEALED);
}

static void sealed_text_comes_back_after_a_restart(Fixture *f, gconstpointer unused)
{
  static const char *const texts[] = {"", "x", "calvin", "sealed:1:", "\xe5\xaf\x86\xe7\xa0\x81 with spaces and \"quotes\""};
  load(f->key);
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
    g_autofree char *a = ws_seal(texts[i], "password"), *b = ws_seal(texts[i], "password");
    g_assert_true(ws_seal_is_sealed(a));
    g_assert_cmpstr(a, !=, b); /* who sees both does not see that they are the same */
    g_assert_true(strlen(texts[i]) < 6 || !strstr(a + strlen("sealed:1:"), texts[i]));
    load(f->key);
    g_autofree char *text = ws_unseal(a, "password", NULL);
    g_assert_cmpstr(text, ==, texts[i]);
  }
}

static void key_is_its_owners_alone(Fixture *f, gconstpointer unused)
{
  struct stat st;
  g_autoptr(GError) error = NULL;
  load(f->key);
  g_assert_cmpint(stat(f->key, &st), ==, 0);
  g_assert_cmpint(st.st_mode & 0777, ==, 0600);
  g_assert_cmpint(g_chmod(f->key, 0644), ==, 0);
  g_assert_false(ws_seal_load(f->key, &error));
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_IO_ERROR);
}

static void file_that_is_no_key_is_refused(Fixture *f, gconstpointer unused)
{
  static const char *const texts[] = {"", "winsphere-secrets-key 1\n", "winsphere-secrets-key 1\n0123", "0123456789abcdef"};
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_true(g_file_set_contents(f->key, texts[i], -1, NULL));
    g_assert_cmpint(g_chmod(f->key, 0600), ==, 0);
    g_assert_false(ws_seal_load(f->key, &error));
    g_assert_error(error, WS_ERROR, (int)WS_ERROR_IO_ERROR);
    g_assert_null(ws_seal_path());
  }
}

static void other_key_field_or_bytes_do_not_open_it(Fixture *f, gconstpointer unused)
{
  load(f->key);
  g_autofree char *sealed = ws_seal("calvin", "password");
  must_not_open(sealed, "user");
  for (gsize i = strlen("sealed:1:"); sealed[i] && sealed[i] != '='; i++) {
    g_autofree char *changed = g_strdup(sealed);
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    g_autoptr(GError) error = NULL;
    g_autofree char *text = ws_unseal(changed, "password", &error);
    g_assert_true(!text || strcmp(text, "calvin") == 0); /* the last digit has bits that stand for nothing */
  }
  must_not_open("sealed:1:", "password");
  must_not_open("sealed:1:AAAA", "password");
  load(f->other);
  must_not_open(sealed, "password");
  ws_seal_unload();
  must_not_open(sealed, "password");
}

static void text_in_clear_is_taken_and_counted(Fixture *f, gconstpointer unused)
{
  g_autofree char *without = ws_seal("calvin", "password");
  g_assert_cmpstr(without, ==, "calvin"); /* no key, nothing to hide */
  load(f->key);
  g_autofree char *text = ws_unseal("calvin", "password", NULL);
  g_assert_cmpstr(text, ==, "calvin");
  g_assert_cmpuint(ws_seal_n_plain(), ==, 1);
}

#define ADD(name) g_test_add("/base/seal/" #name, Fixture, NULL, set_up, name, tear_down)

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ADD(sealed_text_comes_back_after_a_restart);
  ADD(key_is_its_owners_alone);
  ADD(file_that_is_no_key_is_refused);
  ADD(other_key_field_or_bytes_do_not_open_it);
  ADD(text_in_clear_is_taken_and_counted);
  return g_test_run();
}
