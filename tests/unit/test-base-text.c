// SPDX-License-Identifier: Apache-2.0
/* Sizes and time spans, both ways. */
#include "base/text.h"

static void sizes_format(void)
{
  static const struct {
    guint64 bytes;
    const char *text;
  } cases[] = {
      {0, "0 B"},
      {1, "1 B"},
      {1023, "1023 B"},
      {1024, "1.0 KiB"},
      {1536, "1.5 KiB"},
      {1048575, "1023.9 KiB"},
      {1048576, "1.0 MiB"},
      {4294967296, "4.0 GiB"},
      {4294967295, "3.9 GiB"},
      {1099511627776, "1.0 TiB"},
      {G_MAXUINT64, "15.9 EiB"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    char buf[WS_SIZE_TEXT_MAX];
    g_assert_cmpstr(ws_size_format(cases[i].bytes, buf), ==, cases[i].text);
  }
}

static void sizes_parse(void)
{
  static const struct {
    const char *text;
    guint64 bytes;
  } cases[] = {
      {"0", 0},
      {"512", 512},
      {"512 B", 512},
      {"8g", 8589934592},
      {"8 GiB", 8589934592},
      {"8GB", 8589934592},
      {"8192M", 8589934592},
      {"8192 mib", 8589934592},
      {" 1k ", 1024},
      {"1.5T", 1649267441664},
      {"0.5 KiB", 512},
      {"1.125k", 1152},
      {"1.1 GiB", 1181116006},
      {"7 EiB", 8070450532247928832},
      {"9223372036854775807", G_MAXINT64},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    guint64 bytes = 1;
    g_test_message("%s", cases[i].text);
    g_assert_true(ws_size_parse(cases[i].text, &bytes));
    g_assert_cmpuint(bytes, ==, cases[i].bytes);
  }
}

static void bad_sizes_are_refused(void)
{
  static const char *const bad[] = {"",        " ",
                                    "g",       "-1",
                                    "+1",      "1x",
                                    "1ib",     "1 G B",
                                    "8 EiB",   "9223372036854775808",
                                    "1.",      ".5g",
                                    "1.2345g", "0.5",
                                    "0.001",   "1.5 B",
                                    "1 1",     "0x10",
                                    "1e3",     "8bb",
                                    "8gibs",   "99999999999999999999",
                                    "1,5g",    "8biB",
                                    "1..5g",   "9007199254740992k",
                                    "１g"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    guint64 bytes = 7;
    g_test_message("%s", bad[i]);
    g_assert_false(ws_size_parse(bad[i], &bytes));
    g_assert_cmpuint(bytes, ==, 7);
  }
}

static void formatted_sizes_parse_back_no_larger(void)
{
  for (guint64 bytes = 1; bytes < G_GUINT64_CONSTANT(1) << 62; bytes = bytes * 3 + 1) {
    char buf[WS_SIZE_TEXT_MAX];
    guint64 back;
    g_assert_true(ws_size_parse(ws_size_format(bytes, buf), &back));
    g_assert_cmpuint(back, <=, bytes);
    g_assert_cmpuint(bytes - back, <=, bytes / 9);
  }
}

static void spans_format(void)
{
  static const struct {
    gint64 us;
    const char *text;
  } cases[] = {
      {0, "0 ms"},
      {999, "0 ms"},
      {-999, "0 ms"},
      {350000, "350 ms"},
      {999999, "999 ms"},
      {1000000, "1 s"},
      {59999999, "59 s"},
      {60000000, "1 min"},
      {303000000, "5 min 3 s"},
      {3600000000, "1 h"},
      {3661000000, "1 h 1 min"},
      {7 * G_GINT64_CONSTANT(86400000000), "7 d"},
      {76 * G_GINT64_CONSTANT(3600000000), "3 d 4 h"},
      {-5000000, "-5 s"},
      {G_MININT64, "-106751991 d 4 h"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    char buf[WS_SPAN_TEXT_MAX];
    g_assert_cmpstr(ws_span_format(cases[i].us, buf), ==, cases[i].text);
  }
}

static void spans_parse(void)
{
  static const struct {
    const char *text;
    gint64 us;
  } cases[] = {
      {"0", 0},
      {"5", 5000000},
      {"500ms", 500000},
      {"30s", 30000000},
      {"30 s", 30000000},
      {"5m", 300000000},
      {"5 MIN", 300000000},
      {"2h", 7200000000},
      {"7d", G_GINT64_CONSTANT(604800000000)},
      {"1h 30m", 5400000000},
      {"1h30m15s", 5415000000},
      {" 1 min 3 s ", 63000000},
      {"1m 30", 90000000},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    gint64 us = -1;
    g_test_message("%s", cases[i].text);
    g_assert_true(ws_span_parse(cases[i].text, &us));
    g_assert_cmpint(us, ==, cases[i].us);
  }
}

static void bad_spans_are_refused(void)
{
  static const char *const bad[] = {"",
                                    " ",
                                    "s",
                                    "-5s",
                                    "1.5h",
                                    "5x",
                                    "5 m s",
                                    "30m 1h",
                                    "1h 1h",
                                    "5us",
                                    "1h,2m",
                                    "106751992d",
                                    "99999999999999999999",
                                    "1h -5m",
                                    "5min!"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    gint64 us = 7;
    g_test_message("%s", bad[i]);
    g_assert_false(ws_span_parse(bad[i], &us));
    g_assert_cmpint(us, ==, 7);
  }
}

static void versions_are_numbers_between_points(void)
{
  static const struct {
    const char *a, *b;
    int order;
  } cases[] = {{"0.1.0", "0.1.0", 0},  {"0.9", "0.10", -1},       {"1.0", "1", 0},         {"1.0.1", "1", 1},
               {"2", "10.1", -1},      {"0.1.0-3~bpo", "0.1.0", 0}, {NULL, "0", -1},        {NULL, NULL, 0},
               {"0.0.9", "0.1.0", -1}, {"99.1", "0.1.0", 1},      {"", "0.1", -1}};
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_assert_cmpint(ws_version_compare(cases[i].a, cases[i].b), ==, cases[i].order);
    g_assert_cmpint(ws_version_compare(cases[i].b, cases[i].a), ==, -cases[i].order);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/text/" #name, name)
  TEST(sizes_format);
  TEST(sizes_parse);
  TEST(bad_sizes_are_refused);
  TEST(formatted_sizes_parse_back_no_larger);
  TEST(spans_format);
  TEST(spans_parse);
  TEST(bad_spans_are_refused);
  TEST(versions_are_numbers_between_points);
  return g_test_run();
}
