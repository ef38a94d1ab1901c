// SPDX-License-Identifier: Apache-2.0
/* Errors: code, parameters, rendering in two languages, context, foreign errors, Accept-Language. */
#include "base/error-catalogue.h"
#include "base/error.h"
#include <gio/gio.h>
#include <string.h>

static void error_carries_code_and_parameters(void)
{
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_fail(&error, WS_ERROR_BUSY, "object", "vm-7", "verb", "migrate", "task", "task-3", NULL));
  g_assert_true(error->domain == WS_ERROR);
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_BUSY);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "vm-7");
  g_assert_cmpstr(ws_error_param(error, "task"), ==, "task-3");
  g_assert_null(ws_error_param(error, "absent"));
  g_assert_null(ws_error_field(error));
  g_assert_null(ws_error_cause(error));
  g_assert_cmpuint(ws_error_n_params(error), ==, 3);
  const char *name, *value;
  ws_error_nth_param(error, 1, &name, &value);
  g_assert_cmpstr(name, ==, "verb");
  g_assert_cmpstr(value, ==, "migrate");
}

static void field_and_cause_are_no_ordinary_parameters(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_REQUIRED, "field", "disks[1].size_bytes", "cause", "because", NULL);
  g_assert_cmpuint(ws_error_n_params(error), ==, 0);
  g_assert_cmpstr(ws_error_field(error), ==, "disks[1].size_bytes");
  g_assert_cmpstr(ws_error_cause(error), ==, "because");
  g_autofree char *text = ws_error_message(error, WS_LANG_EN);
  g_assert_cmpstr(text, ==, "disks[1].size_bytes is required.");
}

static void null_error_place_is_fine(void)
{
  g_assert_false(ws_fail(NULL, WS_ERROR_INTERNAL, NULL));
  ws_error_context(NULL, "nowhere");
  g_autoptr(GError) none = NULL;
  ws_error_context(&none, "nothing");
  g_assert_no_error(none);
}

static void null_value_reads_empty(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", NULL, NULL);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "");
}

static void texts_render_in_both_languages(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", "vm-42", NULL);
  g_autofree char *en = ws_error_message(error, WS_LANG_EN);
  g_autofree char *zh = ws_error_message(error, WS_LANG_ZH);
  g_autofree char *hint = ws_error_hint(error, WS_LANG_ZH);
  g_assert_cmpstr(en, ==, "vm-42 does not exist.");
  g_assert_cmpstr(zh, ==, "vm-42 不存在。");
  g_assert_nonnull(hint);
  g_assert_cmpstr(error->message, ==, en);
}

static void missing_parameter_renders_as_question_mark(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_NOT_FOUND, NULL);
  g_assert_cmpstr(error->message, ==, "? does not exist.");
}

static void braces_in_values_are_not_expanded(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_IN_USE, "object", "{user}", "user", "vm-1", NULL);
  g_assert_cmpstr(error->message, ==, "{user} is in use by vm-1.");
}

static void values_are_made_valid_and_cut(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *big = g_strnfill(5000, 'x');
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", "bad\xff!", "other", big, NULL);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "bad\xEF\xBF\xBD!");
  g_assert_cmpuint(strlen(ws_error_param(error, "other")), ==, 1000 + strlen("…"));
  g_autofree char *umlauts = g_strnfill(1001, '\xC3'); /* cut in the middle of what could be a character */
  ws_error_set_param(error, "object", umlauts);
  g_assert_true(g_utf8_validate(ws_error_param(error, "object"), -1, NULL));
}

static void context_goes_in_front_of_the_cause(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_IO_ERROR, "path", "/x", "cause", "Permission denied", NULL);
  ws_error_context(&error, "open volume %d", 3);
  ws_error_context(&error, "deploy");
  g_assert_cmpstr(ws_error_cause(error), ==, "deploy: open volume 3: Permission denied");
  g_assert_cmpstr(error->message, ==,
                  "Reading or writing /x failed. (deploy: open volume 3: Permission denied)");
}

static void set_param_replaces_and_renders_again(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", "vm-1", NULL);
  ws_error_set_param(error, "object", "vm-2");
  ws_error_set_param(error, "extra", "e");
  g_assert_cmpstr(error->message, ==, "vm-2 does not exist.");
  g_assert_cmpuint(ws_error_n_params(error), ==, 2);
}

static void copy_is_deep(void)
{
  g_autoptr(GError) error = NULL;
  ws_fail(&error, WS_ERROR_NOT_FOUND, "object", "vm-1", "field", "f", "cause", "c", NULL);
  g_autoptr(GError) copy = g_error_copy(error);
  ws_error_set_param(error, "object", "vm-2");
  g_assert_cmpstr(ws_error_param(copy, "object"), ==, "vm-1");
  g_assert_cmpstr(ws_error_field(copy), ==, "f");
  g_assert_cmpstr(ws_error_cause(copy), ==, "c");
}

static void foreign_error_counts_as_internal(void)
{
  g_autoptr(GError) foreign = g_error_new(G_IO_ERROR, G_IO_ERROR_NO_SPACE, "disk full");
  g_assert_cmpint(ws_error_code(foreign), ==, WS_ERROR_INTERNAL);
  g_assert_cmpstr(ws_error_cause(foreign), ==, "disk full");
  g_assert_null(ws_error_field(foreign));
  g_assert_cmpuint(ws_error_n_params(foreign), ==, 0);
  g_autofree char *text = ws_error_message(foreign, WS_LANG_EN);
  g_assert_cmpstr(text, ==, "An internal error happened.");
  g_assert_cmpint(ws_error_code(NULL), ==, WS_ERROR_INTERNAL);
  g_assert_null(ws_error_cause(NULL));
}

static void adopt_keeps_foreign_text_as_cause(void)
{
  g_autoptr(GError) error = NULL;
  GError *foreign = g_error_new(G_IO_ERROR, G_IO_ERROR_NO_SPACE, "disk full");
  g_assert_false(ws_error_adopt(&error, foreign, WS_ERROR_IO_ERROR));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_IO_ERROR);
  g_assert_cmpstr(ws_error_cause(error), ==, "disk full");
}

static void adopt_leaves_our_own_as_they_are(void)
{
  g_autoptr(GError) error = NULL;
  GError *own = NULL;
  ws_fail(&own, WS_ERROR_BUSY, "object", "vm-1", NULL);
  ws_error_adopt(&error, own, WS_ERROR_IO_ERROR);
  g_assert_true(error == own);
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_BUSY);
}

static void context_on_a_foreign_error_adopts_it(void)
{
  g_autoptr(GError) error = g_error_new(G_IO_ERROR, G_IO_ERROR_NO_SPACE, "disk full");
  ws_error_context(&error, "write");
  g_assert_true(error->domain == WS_ERROR);
  g_assert_cmpstr(ws_error_cause(error), ==, "write: disk full");
}

static void catalogue_is_complete_and_names_lead_back(void)
{
  for (guint i = 1; i < ws_n_error_texts; i++) {
    WsErrorCode code = (WsErrorCode)i;
    g_assert_nonnull(ws_error_code_name(code));
    g_assert_cmpint(ws_error_code_from_name(ws_error_code_name(code)), ==, code);
    g_assert_cmpint(ws_error_http_status(code), >=, 400);
    g_assert_cmpint(ws_error_http_status(code), <, 600);
    for (int lang = 0; lang < 2; lang++)
      g_assert_nonnull(ws_error_texts[i].text[lang]);
  }
  g_assert_cmpint(ws_error_code_from_name("no_such_code"), ==, WS_ERROR_INTERNAL);
  g_assert_cmpint(ws_error_code_from_name(NULL), ==, WS_ERROR_INTERNAL);
  g_assert_cmpint(ws_error_http_status(WS_ERROR_NOT_FOUND), ==, 404);
}

static void accept_language_picks_the_preferred_one(void)
{
  static const struct {
    const char *header;
    WsLang lang;
  } cases[] = {
      {NULL, WS_LANG_EN},
      {"", WS_LANG_EN},
      {"zh", WS_LANG_ZH},
      {"zh-CN", WS_LANG_ZH},
      {"ZH-hans-CN", WS_LANG_ZH},
      {"en", WS_LANG_EN},
      {"de, zh;q=0.5", WS_LANG_ZH},
      {"en;q=0.8, zh;q=0.9", WS_LANG_ZH},
      {"en-GB,en;q=0.9,zh;q=0.8", WS_LANG_EN},
      {"zh;q=0, en;q=0.1", WS_LANG_EN},
      {"zh;q=0", WS_LANG_EN},
      {"zhx", WS_LANG_EN},
      {"*;q=0.5, zh;q=0.4", WS_LANG_EN},
      {"fr,de", WS_LANG_EN},
      {",,, ;q=zz, zh ; q=nonsense", WS_LANG_EN},
      {"zh ;q=0.7", WS_LANG_ZH},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_test_message("%s", cases[i].header ? cases[i].header : "(none)");
    g_assert_cmpint(ws_lang_parse(cases[i].header), ==, cases[i].lang);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/error/" #name, name)
  TEST(error_carries_code_and_parameters);
  TEST(field_and_cause_are_no_ordinary_parameters);
  TEST(null_error_place_is_fine);
  TEST(null_value_reads_empty);
  TEST(texts_render_in_both_languages);
  TEST(missing_parameter_renders_as_question_mark);
  TEST(braces_in_values_are_not_expanded);
  TEST(values_are_made_valid_and_cut);
  TEST(context_goes_in_front_of_the_cause);
  TEST(set_param_replaces_and_renders_again);
  TEST(copy_is_deep);
  TEST(foreign_error_counts_as_internal);
  TEST(adopt_keeps_foreign_text_as_cause);
  TEST(adopt_leaves_our_own_as_they_are);
  TEST(context_on_a_foreign_error_adopts_it);
  TEST(catalogue_is_complete_and_names_lead_back);
  TEST(accept_language_picks_the_preferred_one);
  return g_test_run();
}
