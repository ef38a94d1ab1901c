// SPDX-License-Identifier: Apache-2.0
/* JSON: what the writer writes, what the reader takes and refuses, and where it says the fault is. */
#include "base/error.h"
#include "base/json.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- writer ---- */

static void writer_places_commas(void)
{
  g_autoptr(GString) out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_begin_object(&w);
  ws_json_key(&w, "a");
  ws_json_begin_array(&w);
  ws_json_end_array(&w);
  ws_json_key_raw(&w, "\"b\":", 4);
  ws_json_begin_array(&w);
  ws_json_int(&w, 1);
  ws_json_begin_object(&w);
  ws_json_end_object(&w);
  ws_json_begin_object(&w);
  ws_json_key(&w, "k");
  ws_json_string(&w, "v");
  ws_json_end_object(&w);
  ws_json_bool(&w, true);
  ws_json_bool(&w, false);
  ws_json_null(&w);
  ws_json_raw(&w, "[7]", 3);
  ws_json_end_array(&w);
  ws_json_key(&w, "c");
  ws_json_string(&w, NULL);
  ws_json_end_object(&w);
  g_assert_cmpstr(out->str, ==, "{\"a\":[],\"b\":[1,{},{\"k\":\"v\"},true,false,null,[7]],\"c\":null}");
  g_assert_cmpuint(strlen(out->str), ==, out->len);
}

static char *written_string(const char *s)
{
  GString *out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_string(&w, s);
  return g_string_free(out, FALSE);
}

static void writer_escapes_strings(void)
{
  static const struct {
    const char *s, *json;
  } cases[] = {
      {"", "\"\""},
      {"plain", "\"plain\""},
      {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
      {"\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\""},
      {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
      {"虚拟机 é 😀", "\"虚拟机 é 😀\""},
      {"\xff", "\"\xEF\xBF\xBD\""},
      {"a\xC3", "\"a\xEF\xBF\xBD\""},
      {"\xC0\x80z", "\"\xEF\xBF\xBD\xEF\xBF\xBDz\""},
      {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"0123456\"89abcdef\"", "\"0123456\\\"89abcdef\\\"\""},
      {"0123456789abcde\x02", "\"0123456789abcde\\u0002\""},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *json = written_string(cases[i].s);
    g_assert_cmpstr(json, ==, cases[i].json);
  }
}

static void writer_grows_over_any_size(void)
{
  for (gsize n = 0; n < 300; n++) {
    g_autofree char *s = g_strnfill(n, '\x01');
    g_autofree char *json = written_string(s);
    g_assert_cmpuint(strlen(json), ==, 2 + 6 * n);
    g_autoptr(GString) out = g_string_sized_new(1);
    WsJsonWriter w = ws_json_writer(out);
    ws_json_key(&w, s);
    g_assert_cmpuint(out->len, ==, 3 + 6 * n);
    g_assert_cmpuint(out->len, <, out->allocated_len);
  }
}

static void writer_writes_integers(void)
{
  static const gint64 values[] = {0, 1, -1, 9, 10, 99, 100, 101, 12345, -100, G_MAXINT64, G_MININT64};
  for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
    g_autoptr(GString) out = g_string_new(NULL);
    WsJsonWriter w = ws_json_writer(out);
    ws_json_int(&w, values[i]);
    g_autofree char *plain = g_strdup_printf("%" G_GINT64_FORMAT, values[i]);
    g_assert_cmpstr(out->str, ==, plain);
  }
  g_autoptr(GString) out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_uint(&w, G_MAXUINT64);
  g_assert_cmpstr(out->str, ==, "18446744073709551615");
}

static char *written_double(double v)
{
  GString *out = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_double(&w, v);
  return g_string_free(out, FALSE);
}

static void writer_writes_shortest_doubles(void)
{
  static const struct {
    double v;
    const char *json;
  } cases[] = {
      {0, "0"},
      {-0.0, "-0.0"},
      {1, "1"},
      {-2.5, "-2.5"},
      {0.1, "0.1"},
      {0.05, "0.05"},
      {99.73, "99.73"},
      {0.000001, "0.000001"},
      {1.0000001, "1.0000001"},
      {123456789.125, "123456789.125"},
      {1e15, "1000000000000000"},
      {9007199254740993.0, "9007199254740992"},
      {1e21, "1e+21"},
      {1.0 / 3, "0.3333333333333333"},
      {5e-324, "4.94065645841247e-324"},
      {DBL_MAX, "1.7976931348623157e+308"},
      {NAN, "null"},
      {INFINITY, "null"},
      {-INFINITY, "null"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autofree char *json = written_double(cases[i].v);
    g_assert_cmpstr(json, ==, cases[i].json);
  }
}

static void doubles_survive_writing_and_reading(void)
{
  GRand *random = g_rand_new_with_seed(42);
  for (int i = 0; i < 200000; i++) {
    guint64 bits = (guint64)g_rand_int(random) << 32 | g_rand_int(random);
    double v, back = 0;
    if (i % 2)
      v = (double)(g_rand_int(random) % 10000000) / (double)(g_rand_int(random) % 1000 + 1);
    else
      memcpy(&v, &bits, sizeof v);
    if (!isfinite(v))
      continue;
    g_autofree char *json = written_double(v);
    WsJsonReader r;
    ws_json_reader_init(&r, json, strlen(json));
    g_autoptr(GError) error = NULL;
    g_assert_true(ws_json_take_double(&r, &back, &error));
    g_assert_cmpint(memcmp(&v, &back, sizeof v), ==, 0);
  }
  g_rand_free(random);
}

/* ---- reader ---- */

/* A copy in a block of exactly n bytes, so that the address sanitizer sees a read beyond the end. */
static char *exact_copy(const char *text, gsize n)
{
  char *copy = g_malloc(MAX(n, 1));
  memcpy(copy, text, n);
  return copy;
}

/* Whole text as one value; where refused, checks the place. */
static void check_raw(const char *text, gsize n, gssize fault)
{
  g_autofree char *copy = exact_copy(text, n);
  g_auto(WsJsonReader) r;
  ws_json_reader_init(&r, copy, n);
  g_autoptr(GError) error = NULL;
  const char *json;
  gsize json_n;
  bool ok = ws_json_take_raw(&r, &json, &json_n, &error) && ws_json_reader_end(&r, &error);
  if (fault < 0) {
    g_assert_no_error(error);
    g_assert_true(ok);
    return;
  }
  g_assert_false(ok);
  g_assert_error(error, WS_ERROR, WS_ERROR_BAD_JSON);
  g_assert_cmpint(g_ascii_strtoll(ws_error_param(error, "position"), NULL, 10), ==, fault);
  g_assert_nonnull(ws_error_param(error, "expected"));
}

static void reader_takes_valid_texts(void)
{
  static const char *const good[] = {
      "{}",
      "[]",
      " [ ] ",
      "\t\r\n{\n}",
      "null",
      "true",
      "false",
      "0",
      "-0",
      "-0.0",
      "1",
      "10",
      "0.5",
      "1e5",
      "1E+5",
      "1e-05",
      "-1.25e10",
      "\"\"",
      "\"a\"",
      "[1,2,3]",
      "[[],[[]]]",
      "{\"a\":1}",
      "{\"a\":{\"b\":[null]}}",
      "{\"a\" : 1 , \"a\" : 2}",
      "\"\\u4e2d\\u6587\"",
      "\"\\ud83d\\ude00\"",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
      "\"\x7f\"",
      "\"虚拟机\"",
      "\"\xF4\x8F\xBF\xBF\"",
      "\"\xEF\xBF\xBF\"",
      "9223372036854775808",
      "123456789012345678901234567890",
      "1e-400",
      "{\"\":0}",
      "[\"a\",\"b\"]",
  };
  for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
    g_test_message("%s", good[i]);
    check_raw(good[i], strlen(good[i]), -1);
  }
}

static void reader_refuses_and_says_where(void)
{
  static const struct {
    const char *text;
    gssize fault;
  } bad[] = {
      {"", 0},
      {"  ", 2},
      {"{", 1},
      {"[", 1},
      {"}", 0},
      {"]", 0},
      {"{]", 1},
      {"[}", 1},
      {"[1", 2},
      {"{\"a\"", 4},
      {"{\"a\":", 5},
      {"{\"a\":1", 6},
      {"{\"a\":1,", 7},
      {"{\"a\":1,}", 7},
      {"[1,]", 3},
      {"[,1]", 1},
      {"[1,,2]", 3},
      {"[1 2]", 3},
      {"{\"a\" 1}", 5},
      {"{a:1}", 1},
      {"{'a':1}", 1},
      {"{1:1}", 1},
      {"{\"a\":}", 5},
      {"{,}", 1},
      {"[]]", 2},
      {"{}{}", 2},
      {"1 2", 2},
      {"nul", 0},
      {"nulll", 4},
      {"True", 0},
      {"tru", 0},
      {"fals", 0},
      {"NaN", 0},
      {"Infinity", 0},
      {"-Infinity", 1},
      {"+1", 0},
      {"-", 1},
      {"--1", 1},
      {"01", 1},
      {"-01", 2},
      {"1.", 2},
      {".5", 0},
      {"1.e5", 2},
      {"1e", 2},
      {"1e+", 2},
      {"1ex", 2},
      {"0x10", 1},
      {"1_000", 1},
      {"1e999", 0},
      {"-1e999", 0},
      {"\"", 1},
      {"\"a", 2},
      {"\"\\", 1},
      {"\"\\\"", 3},
      {"\"\\x\"", 1},
      {"\"\\'\"", 1},
      {"\"\\u\"", 3},
      {"\"\\u12\"", 3},
      {"\"\\u12g4\"", 3},
      {"\"\\u0000\"", 3},
      {"\"a\\u0000\"", 4},
      {"\"\\ud800\"", 3},
      {"\"\\udc00\"", 3},
      {"\"\\ud800\\u0041\"", 3},
      {"\"\\ud800\\ud800\"", 3},
      {"\"\\ud800x\"", 3},
      {"\"\\ud83d\\u\"", 3},
      {"\"\\ud83dxude00\"", 3},
      {"\"\\udc00\\udc00\"", 3},
      {"\"\\ud83d\\xde00\"", 3},
      {"\"\n\"", 1},
      {"\"a\tb\"", 2},
      {"\"\x01\"", 1},
      {"\"\x1f\"", 1},
      {"// c\n1", 0},
      {"/**/1", 0},
      {"\xEF\xBB\xBF{}", 0},
      {"'a'", 0},
      {"[1}", 2},
      {"{\"a\":1]", 6},
      {"\v1", 0},
      {"\xC2\xA0"
       "1",
       0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_test_message("%s", bad[i].text);
    check_raw(bad[i].text, strlen(bad[i].text), bad[i].fault);
  }
}

static void reader_refuses_bad_utf8(void)
{
  static const char *const bad[] = {
      "\x80",
      "\xBF",
      "\xC0\x80",
      "\xC1\xBF",
      "\xC2",
      "\xC2\x20",
      "\xC2\xC2",
      "\xE0\x80\x80",
      "\xE0\x9F\xBF",
      "\xE1\x80",
      "\xE1\x80\x20",
      "\xED\xA0\x80",
      "\xED\xBF\xBF",
      "\xF0\x80\x80\x80",
      "\xF0\x8F\xBF\xBF",
      "\xF0\x90\x80",
      "\xF4\x90\x80\x80",
      "\xF5\x80\x80\x80",
      "\xF8\x88\x80\x80\x80",
      "\xFE",
      "\xFF",
  };
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autofree char *quoted = g_strdup_printf("\"0123456%s\"", bad[i]);
    check_raw(quoted, strlen(quoted), 8);
    g_autofree char *key = g_strdup_printf("{\"%s\":1}", bad[i]);
    check_raw(key, strlen(key), 2);
    g_autofree char *cut = g_strdup_printf("\"%s", bad[i]);
    check_raw(cut, strlen(cut), 1);
  }
}

/* All sequences of up to three bytes after a quote agree with GLib's validation. */
static void reader_agrees_with_glib_on_utf8(void)
{
  for (guint a = 0x80; a < 0x100; a++)
    for (guint b = 0x20; b < 0x100; b++)
      for (guint c = 0x70; c < 0x100; c += 5) {
        char text[6] = {'"', (char)a, (char)b, (char)c, (char)0x80, '"'};
        for (guint n = 2; n <= 5; n++) {
          char quoted[7];
          memcpy(quoted, text, n);
          quoted[n] = '"';
          if (memchr(quoted + 1, '"', n - 1) || memchr(quoted + 1, '\\', n - 1))
            continue;
          WsJsonReader r;
          ws_json_reader_init(&r, quoted, n + 1);
          const char *s;
          gsize s_n;
          bool ok = ws_json_take_string(&r, &s, &s_n, NULL);
          g_assert_cmpint(ok, ==, g_utf8_validate(quoted + 1, n - 1, NULL));
        }
      }
}

static void nul_bytes_are_refused(void)
{
  check_raw("\"a\0b\"", 5, 2);
  check_raw("1\0", 2, 1);
  check_raw("\0", 1, 0);
  check_raw("[1\0]", 4, 2);
}

static void depth_is_bounded(void)
{
  for (int array = 0; array < 2; array++) {
    for (int depth = WS_JSON_MAX_DEPTH; depth <= WS_JSON_MAX_DEPTH + 1; depth++) {
      g_autoptr(GString) text = g_string_new(NULL);
      for (int i = 0; i < depth; i++)
        g_string_append(text, array ? "[" : "{\"k\":");
      g_string_append(text, "1");
      for (int i = 0; i < depth; i++)
        g_string_append_c(text, array ? ']' : '}');
      check_raw(text->str, text->len, depth <= WS_JSON_MAX_DEPTH ? -1 : WS_JSON_MAX_DEPTH * (array ? 1 : 5));
    }
  }
  g_autofree char *million = g_strnfill(1000000, '[');
  check_raw(million, 1000000, WS_JSON_MAX_DEPTH);
}

static void reader_pulls_members(void)
{
  const char *text =
      " { \"name\" : \"web\\n3\" , \"n\":-7,\"list\":[true,2.5,null,\"x\"],\"o\":{},\"raw\": [1, {}] } ";
  g_auto(WsJsonReader) r;
  g_autoptr(GError) error = NULL;
  ws_json_reader_init(&r, text, strlen(text));
  g_assert_cmpint(ws_json_peek(&r), ==, WS_JSON_OBJECT);
  g_assert_true(ws_json_enter_object(&r, &error));
  const char *key, *s;
  gsize n;
  g_autoptr(GString) seen = g_string_new(NULL);
  while (ws_json_next_key(&r, &key, &n, &error)) {
    g_string_append_len(seen, key, (gssize)n);
    g_string_append_c(seen, ' ');
    switch (ws_json_peek(&r)) {
    case WS_JSON_STRING:
      g_assert_true(ws_json_take_string(&r, &s, &n, &error));
      g_assert_cmpmem(s, n, "web\n3", 5);
      break;
    case WS_JSON_INT: {
      gint64 v;
      g_assert_true(ws_json_take_int(&r, &v, &error));
      g_assert_cmpint(v, ==, -7);
      break;
    }
    case WS_JSON_OBJECT:
      g_assert_true(ws_json_enter_object(&r, &error));
      g_assert_cmpint(ws_json_peek(&r), ==, WS_JSON_NONE);
      g_assert_false(ws_json_next_key(&r, &key, &n, &error));
      break;
    default:
      g_assert_cmpint(ws_json_peek(&r), ==, WS_JSON_ARRAY);
      if (seen->str[seen->len - 2] == 'w') {
        g_assert_true(ws_json_take_raw(&r, &s, &n, &error));
        g_assert_cmpmem(s, n, "[1, {}]", 7);
        break;
      }
      bool b;
      double d;
      g_assert_true(ws_json_enter_array(&r, &error));
      g_assert_true(ws_json_next_item(&r, &error) && ws_json_take_bool(&r, &b, &error) && b);
      g_assert_true(ws_json_next_item(&r, &error));
      g_assert_cmpint(ws_json_peek(&r), ==, WS_JSON_NUMBER);
      g_assert_true(ws_json_take_double(&r, &d, &error) && d == 2.5);
      g_assert_true(ws_json_next_item(&r, &error) && ws_json_take_null(&r, &error));
      g_assert_true(ws_json_next_item(&r, &error) && ws_json_take_string(&r, &s, &n, &error));
      g_assert_false(ws_json_next_item(&r, &error));
    }
  }
  g_assert_no_error(error);
  g_assert_true(ws_json_reader_end(&r, &error));
  g_assert_cmpstr(seen->str, ==, "name n list o raw ");
}

static void integers_keep_their_limits(void)
{
  static const struct {
    const char *text;
    WsJsonKind kind;
    gint64 v;
  } cases[] = {
      {"0", WS_JSON_INT, 0},
      {"-0", WS_JSON_INT, 0},
      {"9223372036854775807", WS_JSON_INT, G_MAXINT64},
      {"-9223372036854775808", WS_JSON_INT, G_MININT64},
      {"9223372036854775808", WS_JSON_NUMBER, 0},
      {"-9223372036854775809", WS_JSON_NUMBER, 0},
      {"18446744073709551615", WS_JSON_NUMBER, 0},
      {"18446744073709551616", WS_JSON_NUMBER, 0},
      {"99999999999999999999999", WS_JSON_NUMBER, 0},
      {"1.0", WS_JSON_NUMBER, 0},
      {"1e2", WS_JSON_NUMBER, 0},
      {"\"1\"", WS_JSON_STRING, 0},
      {"true", WS_JSON_BOOL, 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_auto(WsJsonReader) r;
    g_autoptr(GError) error = NULL;
    gint64 v = 0;
    ws_json_reader_init(&r, cases[i].text, strlen(cases[i].text));
    g_assert_cmpint(ws_json_peek(&r), ==, cases[i].kind);
    g_assert_cmpint(ws_json_take_int(&r, &v, &error), ==, cases[i].kind == WS_JSON_INT);
    g_assert_cmpint(v, ==, cases[i].v);
    if (cases[i].kind != WS_JSON_INT)
      g_assert_error(error, WS_ERROR, WS_ERROR_BAD_JSON);
  }
}

static void malformed_numbers_are_refused_by_each_take(void)
{
  static const char *const bad[] = {"-", "-x", "1.", "1e", "1.e1", "-.5", "x"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_auto(WsJsonReader) r;
    g_autoptr(GError) error = NULL;
    gint64 whole = 7;
    double number = 7;
    ws_json_reader_init(&r, bad[i], strlen(bad[i]));
    g_assert_false(ws_json_take_int(&r, &whole, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_BAD_JSON);
    g_clear_error(&error);
    ws_json_reader_init(&r, bad[i], strlen(bad[i]));
    g_assert_false(ws_json_take_double(&r, &number, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_BAD_JSON);
    g_assert_true(whole == 7 && number == 7);
  }
}

static void doubles_read_exactly(void)
{
  static const char *const texts[] = {
      "0.1",
      "1e22",
      "1e23",
      "123456789012345678",
      "9007199254740993",
      "0.30000000000000004",
      "1e-7",
      "4.9e-324",
      "2.2250738585072011e-308",
      "1.7976931348623157e308",
      "-0.0",
      "8.5e-5",
      "179769313486231570000",
      "1e-22",
      "1e-23",
      "0.000000000000000000000000000000000000000000000001",
      "18446744073709551616.5",
      "7205759403792793200001e-6",
      "0.1234567890123456789012345678901234567890",
  };
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
    WsJsonReader r;
    double v = 0, right = g_ascii_strtod(texts[i], NULL);
    ws_json_reader_init(&r, texts[i], strlen(texts[i]));
    g_assert_true(ws_json_take_double(&r, &v, NULL));
    g_assert_cmpint(memcmp(&v, &right, sizeof v), ==, 0);
  }
}

static void every_cut_of_a_text_is_refused(void)
{
  const char *text = "{\"a\":[1,-2.5e3,\"\\u4e2d\\ud83d\\ude00\",true,null,{\"b\":\"虚\"}],\"c\":false}";
  check_raw(text, strlen(text), -1);
  for (gsize n = 0; n < strlen(text); n++) {
    g_autofree char *copy = exact_copy(text, n);
    g_auto(WsJsonReader) r;
    const char *json;
    gsize json_n;
    ws_json_reader_init(&r, copy, n);
    g_assert_false(ws_json_take_raw(&r, &json, &json_n, NULL));
  }
}

static void strings_with_escapes_decode(void)
{
  static const struct {
    const char *json, *s;
  } cases[] = {
      {"\"\\u00e9\\u4E2D\\ud83D\\uDE00\"", "é中😀"},
      {"\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\te\"", "a\"b\\c/d\b\f\n\r\te"},
      {"\"long run before the escape 虚拟机\\n and a long run after it\"",
       "long run before the escape 虚拟机\n and a long run after it"},
      {"\"\\uffff\\u0001\"", "\xEF\xBF\xBF\x01"},
      {"\"\\udbff\\udfff\"", "\xF4\x8F\xBF\xBF"},
  };
  g_auto(WsJsonReader) r = {0};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    const char *s;
    gsize n;
    g_autoptr(GError) error = NULL;
    ws_json_reader_clear(&r);
    ws_json_reader_init(&r, cases[i].json, strlen(cases[i].json));
    g_assert_true(ws_json_take_string(&r, &s, &n, &error));
    g_assert_cmpmem(s, n, cases[i].s, strlen(cases[i].s));
  }
}

static void wrong_kind_is_refused_without_moving(void)
{
  g_auto(WsJsonReader) r;
  const char *s;
  gsize n;
  bool b;
  double d;
  ws_json_reader_init(&r, " 5", 2);
  g_assert_false(ws_json_take_string(&r, &s, &n, NULL));
  g_assert_false(ws_json_take_bool(&r, &b, NULL));
  g_assert_false(ws_json_take_null(&r, NULL));
  g_assert_false(ws_json_enter_object(&r, NULL));
  g_assert_false(ws_json_enter_array(&r, NULL));
  g_assert_true(ws_json_take_double(&r, &d, NULL) && d == 5);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/json/" #name, name)
  TEST(writer_places_commas);
  TEST(writer_escapes_strings);
  TEST(writer_grows_over_any_size);
  TEST(writer_writes_integers);
  TEST(writer_writes_shortest_doubles);
  TEST(doubles_survive_writing_and_reading);
  TEST(reader_takes_valid_texts);
  TEST(reader_refuses_and_says_where);
  TEST(reader_refuses_bad_utf8);
  TEST(reader_agrees_with_glib_on_utf8);
  TEST(nul_bytes_are_refused);
  TEST(depth_is_bounded);
  TEST(reader_pulls_members);
  TEST(integers_keep_their_limits);
  TEST(malformed_numbers_are_refused_by_each_take);
  TEST(doubles_read_exactly);
  TEST(every_cut_of_a_text_is_refused);
  TEST(strings_with_escapes_decode);
  TEST(wrong_kind_is_refused_without_moving);
  return g_test_run();
}
