// SPDX-License-Identifier: Apache-2.0
/* Clock, times as text, UUIDs, ids. */
#include "base/clock.h"
#include "base/id.h"
#include <string.h>
#include <time.h>

static void system_clock_moves_and_random_differs(void)
{
  WsClock *clock = ws_clock_system();
  gint64 before = g_get_real_time();
  gint64 wall = ws_clock_wall_us(clock);
  g_assert_cmpint(wall, >=, before);
  g_assert_cmpint(wall - before, <, 60 * G_USEC_PER_SEC);
  gint64 first = ws_clock_monotonic_us(clock);
  g_assert_cmpint(ws_clock_monotonic_us(clock), >=, first);
  guint8 a[64] = {0}, b[64] = {0};
  clock->random_bytes(clock, a, sizeof a);
  clock->random_bytes(clock, b, sizeof b);
  g_assert_cmpint(memcmp(a, b, sizeof a), !=, 0);
}

static void times_format(void)
{
  char buf[32];
  g_assert_cmpstr(ws_time_format(0, buf), ==, "1970-01-01T00:00:00.000000Z");
  g_assert_cmpstr(ws_time_format(1795444325000000, buf), ==, "2026-11-23T14:32:05.000000Z");
  g_assert_cmpstr(ws_time_format(951782399999999, buf), ==, "2000-02-28T23:59:59.999999Z");
  g_assert_cmpstr(ws_time_format(951782400000001, buf), ==, "2000-02-29T00:00:00.000001Z");
  g_assert_cmpstr(ws_time_format(253402300799999999, buf), ==, "9999-12-31T23:59:59.999999Z");
  g_assert_cmpstr(ws_time_format(G_MAXINT64, buf), ==, "9999-12-31T23:59:59.999999Z");
  g_assert_cmpstr(ws_time_format(-1, buf), ==, "1970-01-01T00:00:00.000000Z");
}

/* Every 7th hour or so of 8,030 years against the C library, and back. */
static void times_agree_with_the_c_library(void)
{
  for (gint64 s = 0; s < 253402300800; s += 25200 * 701 + 12347) {
    char ours[32], theirs[32];
    struct tm tm;
    time_t t = s;
    gmtime_r(&t, &tm);
    strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
    g_assert_cmpstr(ws_time_format(s * G_USEC_PER_SEC, ours), ==, theirs);
    gint64 back = -1;
    g_assert_true(ws_time_parse(ours, &back));
    g_assert_cmpint(back, ==, s * G_USEC_PER_SEC);
  }
}

static void first_and_last_days_of_all_years_format(void)
{
  for (int year = 1970; year <= 9999; year++) {
    char text[32], back[32];
    gint64 us;
    g_snprintf(text, sizeof text, "%04d-12-31T23:59:59.999999Z", year);
    g_assert_true(ws_time_parse(text, &us));
    g_assert_cmpstr(ws_time_format(us, back), ==, text);
    if (year < 9999) {
      g_snprintf(text, sizeof text, "%04d-01-01T00:00:00.000000Z", year + 1);
      g_assert_cmpstr(ws_time_format(us + 1, back), ==, text);
    }
  }
}

static void times_parse(void)
{
  static const struct {
    const char *text;
    gint64 us; /* -1: refused */
  } cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"1970-01-01t00:00:00z", 0},
      {"2026-11-23T14:32:05Z", 1795444325000000},
      {"2026-11-23T14:32:05.5Z", 1795444325500000},
      {"2026-11-23T14:32:05.000001Z", 1795444325000001},
      {"2026-11-23T22:32:05+08:00", 1795444325000000},
      {"2026-11-23T09:02:05-05:30", 1795444325000000},
      {"2026-11-23T14:32:05-00:00", 1795444325000000},
      {"2016-12-31T23:59:60Z", 1483228800000000},
      {"1969-12-31T23:00:00-01:00", 0},
      {"2000-02-29T00:00:00Z", 951782400000000},
      {"1969-12-31T23:59:59Z", -1},
      {"1970-01-01T00:00:00+00:01", -1},
      {"9999-12-31T23:59:59-01:00", -1},
      {"10000-01-01T00:00:00Z", -1},
      {"1900-02-29T00:00:00Z", -1},
      {"2100-02-29T00:00:00Z", -1},
      {"2026-13-01T00:00:00Z", -1},
      {"2026-00-01T00:00:00Z", -1},
      {"2026-04-31T00:00:00Z", -1},
      {"2026-01-00T00:00:00Z", -1},
      {"2026-01-01T24:00:00Z", -1},
      {"2026-01-01T00:60:00Z", -1},
      {"2026-01-01T00:00:61Z", -1},
      {"2026-01-01T00:00:00", -1},
      {"2026-01-01T00:00:00.Z", -1},
      {"2026-01-01T00:00:00.1234567Z", -1},
      {"2026-01-01T00:00:00,5Z", -1},
      {"2026-01-01 00:00:00Z", -1},
      {"2026-01-01T00:00Z", -1},
      {"2026-1-01T00:00:00Z", -1},
      {"2026-01-01T00:00:00+8:00", -1},
      {"2026-01-01T00:00:00+08", -1},
      {"2026-01-01T00:00:00+24:00", -1},
      {"2026-01-01T00:00:00Zx", -1},
      {"2026-01-01T00:00:00+08:00x", -1},
      {" 2026-01-01T00:00:00Z", -1},
      {"", -1},
      {"2026", -1},
      {"-026-01-01T00:00:00Z", -1},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    gint64 us = -1;
    g_test_message("%s", cases[i].text);
    g_assert_cmpint(ws_time_parse(cases[i].text, &us), ==, cases[i].us >= 0);
    g_assert_cmpint(us, ==, cases[i].us);
  }
}

static void fill_with_ff(WsClock *clock, void *buf, gsize n)
{
  memset(buf, 0xff, n);
}

static void uuid_is_version_4(void)
{
  WsClock all_ones = {.random_bytes = fill_with_ff};
  char buf[37];
  g_assert_cmpstr(ws_uuid_new(&all_ones, buf), ==, "ffffffff-ffff-4fff-bfff-ffffffffffff");
  g_assert_true(g_uuid_string_is_valid(ws_uuid_new(ws_clock_system(), buf)));
}

static void ids_format_and_parse(void)
{
  char buf[WS_ID_TEXT_MAX];
  WsId id = 0;
  g_assert_cmpstr(ws_id_format("vm", 42, buf), ==, "vm-42");
  g_assert_true(ws_id_parse("vm", buf, &id));
  g_assert_cmpuint(id, ==, 42);
  g_assert_cmpstr(ws_id_format("elevenchars", G_MAXINT64, buf), ==, "elevenchars-9223372036854775807");
  g_assert_true(ws_id_parse("vm", "vm-9223372036854775807", &id));
  g_assert_cmpuint(id, ==, G_MAXINT64);
}

static void bad_ids_are_refused(void)
{
  static const char *const bad[] = {"",
                                    "vm",
                                    "vm-",
                                    "vm-0",
                                    "vm-042",
                                    "vm--1",
                                    "vm-+1",
                                    "vm- 1",
                                    "vm-1 ",
                                    "vm-1x",
                                    "VM-1",
                                    "vmx-1",
                                    "v-1",
                                    "1",
                                    "host-1",
                                    "vm_1",
                                    "vm-0x1",
                                    "vm-１",
                                    " vm-1",
                                    "vm-1-",
                                    "vm-9223372036854775808",
                                    "vm-99999999999999999999"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    WsId id = 7;
    g_test_message("%s", bad[i]);
    g_assert_false(ws_id_parse("vm", bad[i], &id));
    g_assert_cmpuint(id, ==, 7);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/clock/" #name, name)
  TEST(system_clock_moves_and_random_differs);
  TEST(times_format);
  TEST(times_agree_with_the_c_library);
  TEST(first_and_last_days_of_all_years_format);
  TEST(times_parse);
  TEST(uuid_is_version_4);
  TEST(ids_format_and_parse);
  TEST(bad_ids_are_refused);
  return g_test_run();
}
