// SPDX-License-Identifier: Apache-2.0
/* Ring files: what is noted is read back, coarser steps are means, places change hands without their past, and faults of the disk cost steps only. */
#include "center/monitor/rings.h"
#include "base/error.h"
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define S     ((gint64)G_USEC_PER_SEC)
#define START (1790000000 / 86400 * 86400 * S) /* a midnight */

typedef struct {
  char *dir;
  Rings *rings;
} Fixture;

static void open_them(Fixture *f)
{
  g_autoptr(GError) error = NULL;
  f->rings = rings_open(f->dir, "things", &error);
  g_assert_no_error(error);
}

static void setup(Fixture *f, const void *data)
{
  f->dir = g_dir_make_tmp("rings-XXXXXX", NULL);
  open_them(f);
}

static void teardown(Fixture *f, const void *data)
{
  rings_free(f->rings);
  GDir *dir = g_dir_open(f->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_unlink(path);
  }
  g_dir_close(dir);
  g_rmdir(f->dir);
  g_free(f->dir);
}

static RingsSample sample(WsId id, double value)
{
  RingsSample made = {.id = id};
  for (guint c = 0; c < RINGS_COLUMNS; c++)
    made.values[c] = (float)(value + c);
  return made;
}

/* The step that ends at this time. */
static void take(Fixture *f, gint64 at_us, WsId id, double value)
{
  g_autoptr(GError) error = NULL;
  RingsSample one = sample(id, value);
  g_assert_true(rings_take(f->rings, at_us, &one, 1, &error));
  g_assert_no_error(error);
}

static RingsSeries read_back(Fixture *f, WsId id, gint64 now_us, gint64 from_us)
{
  g_autoptr(GError) error = NULL;
  RingsSeries series;
  g_assert_true(rings_read(f->rings, id, now_us, from_us, now_us, &series, &error));
  return series;
}

static void assert_value(const RingsSeries *series, gint64 at_us, double expected)
{
  guint i = (guint)((at_us - series->from_us) / series->step_us);
  g_assert_cmpuint(i, <, series->n);
  if (isnan(expected))
    g_assert_true(isnan(series->values[i][0]));
  else
    g_assert_cmpfloat_with_epsilon((double)series->values[i][0], expected, 1e-3);
  if (!isnan(expected))
    g_assert_cmpfloat_with_epsilon((double)series->values[i][RINGS_COLUMNS - 1], expected + RINGS_COLUMNS - 1, 1e-3);
}

static void what_is_noted_is_read_back(Fixture *f, const void *data)
{
  for (int restart = 0; restart < 2; restart++) {
    if (restart == 0)
      for (gint64 i = 1; i <= 10; i++)
        if (i != 5)
          take(f, START + i * 20 * S, 7, (double)i);
    RingsSeries series = read_back(f, 7, START + 200 * S, START);
    g_assert_cmpint(series.step_us, ==, 20 * S);
    g_assert_cmpint(series.from_us, ==, START);
    g_assert_cmpuint(series.n, ==, 10);
    for (gint64 i = 1; i <= 10; i++)
      assert_value(&series, START + (i - 1) * 20 * S, i == 5 ? (double)NAN : (double)i);
    g_free(series.values);
    series = read_back(f, 8, START + 200 * S, START);
    g_assert_cmpuint(series.n, ==, 0);
    g_free(series.values);
    g_clear_pointer(&f->rings, rings_free);
    open_them(f);
  }
}

/* Two hours, then asked for a time that is beyond what the fine steps hold. */
static void coarser_steps_are_means(Fixture *f, const void *data)
{
  const gint64 n = 3 * 180;
  for (gint64 i = 1; i <= n; i++)
    take(f, START + i * 20 * S, 7, (double)i);
  gint64 now = START + n * 20 * S;
  RingsSeries series = read_back(f, 7, now, START);
  g_assert_cmpint(series.step_us, ==, 300 * S);
  assert_value(&series, START, (1 + 15) / 2.0);
  assert_value(&series, START + 300 * S, (16 + 30) / 2.0);
  g_free(series.values);
  series = read_back(f, 7, now, now - 2 * 86400 * S);
  g_assert_cmpint(series.step_us, ==, 1800 * S);
  assert_value(&series, START + 1800 * S, (91 + 180) / 2.0);
  g_free(series.values);
  series = read_back(f, 7, now, now - 10 * 86400 * S);
  assert_value(&series, START, (1 + 360) / 2.0);
  g_free(series.values);
}

/* A manager that was away when a coarser step ended makes it when it is back. */
static void steps_that_ended_meanwhile_are_made_later(Fixture *f, const void *data)
{
  for (gint64 i = 1; i <= 15; i++)
    if (i != 15)
      take(f, START + i * 20 * S, 7, 4);
  g_clear_pointer(&f->rings, rings_free);
  open_them(f);
  gint64 later = START + 2000 * S;
  take(f, later, 7, 9);
  RingsSeries series = read_back(f, 7, later, later - 4000 * S);
  g_assert_cmpint(series.step_us, ==, 300 * S);
  assert_value(&series, START, 4);
  assert_value(&series, START + 600 * S, (double)NAN);
  g_free(series.values);
}

static void a_place_changes_hands_without_its_past(Fixture *f, const void *data)
{
  for (gint64 i = 1; i <= 20; i++)
    take(f, START + i * 20 * S, i <= 16 ? 7 : 8, i <= 16 ? 1000 : 3);
  gint64 now = START + 400 * S;
  RingsSeries series = read_back(f, 8, now, START);
  for (gint64 i = 1; i <= 20; i++)
    assert_value(&series, START + (i - 1) * 20 * S, i <= 16 ? (double)NAN : 3);
  g_free(series.values);
  for (gint64 i = 21; i <= 31; i++)
    take(f, START + i * 20 * S, 8, 3);
  now = START + 31 * 20 * S;
  series = read_back(f, 8, now, now - 4000 * S);
  assert_value(&series, START, (double)NAN); /* it was the other's */
  assert_value(&series, START + 300 * S, 3); /* its own part of the step in which it came */
  g_free(series.values);
  series = read_back(f, 7, now, START);
  g_assert_cmpuint(series.n, ==, 0);
  g_free(series.values);
}

static void more_objects_than_one_file_holds(Fixture *f, const void *data)
{
  g_autoptr(GError) error = NULL;
  const guint n = RINGS_SLOTS + 5;
  g_autofree RingsSample *samples = g_new(RingsSample, n);
  for (guint i = 0; i < n; i++)
    samples[i] = sample(100 + i, i);
  g_assert_true(rings_take(f->rings, START + 20 * S, samples, n, &error));
  g_clear_pointer(&f->rings, rings_free);
  open_them(f);
  g_assert_true(rings_take(f->rings, START + 40 * S, samples, n, &error));
  for (guint i = 0; i < n; i += RINGS_SLOTS + 4 - i ? RINGS_SLOTS + 4 : 1) {
    RingsSeries series = read_back(f, 100 + i, START + 40 * S, START);
    assert_value(&series, START, i);
    assert_value(&series, START + 20 * S, i);
    g_free(series.values);
  }
  g_autofree char *third = g_build_filename(f->dir, "things-2.ring", NULL);
  g_assert_false(g_file_test(third, G_FILE_TEST_EXISTS));
}

static void what_is_no_ring_is_put_aside(Fixture *f, const void *data)
{
  take(f, START + 20 * S, 7, 1);
  g_clear_pointer(&f->rings, rings_free);
  g_autofree char *path = g_build_filename(f->dir, "things-0.ring", NULL), *aside = g_strconcat(path, ".bad", NULL);
  g_assert_true(g_file_set_contents(path, "something else", -1, NULL));
  open_them(f);
  g_assert_true(g_file_test(aside, G_FILE_TEST_EXISTS));
  take(f, START + 40 * S, 7, 2);
  RingsSeries series = read_back(f, 7, START + 40 * S, START);
  assert_value(&series, START, (double)NAN);
  assert_value(&series, START + 20 * S, 2);
  g_free(series.values);
}

/* A disk without room (here: a limit of the file's size): the step is refused, nothing wrong shows, and later ones are taken. */
static void a_full_disk_costs_steps(Fixture *f, const void *data)
{
  g_autoptr(GError) error = NULL;
  struct rlimit before, tight;
  signal(SIGXFSZ, SIG_IGN);
  take(f, START + 20 * S, 7, 1);
  getrlimit(RLIMIT_FSIZE, &before);
  tight = before;
  tight.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &tight);
  RingsSample one = sample(7, 2);
  bool taken = rings_take(f->rings, START + 10000 * S, &one, 1, &error);
  setrlimit(RLIMIT_FSIZE, &before);
  g_assert_false(taken);
  g_assert_true(g_error_matches(error, WS_ERROR, WS_ERROR_IO_ERROR));
  RingsSeries series = read_back(f, 7, START + 10000 * S, START + 9000 * S);
  for (guint i = 0; i < series.n; i++)
    g_assert_true(isnan(series.values[i][0]));
  g_free(series.values);
  take(f, START + 10020 * S, 7, 3);
  series = read_back(f, 7, START + 10020 * S, START + 9000 * S);
  assert_value(&series, START + 10000 * S, 3);
  g_free(series.values);
}

/* A clock that was a year ahead leaves nothing in the way. */
static void a_clock_that_comes_back_is_followed(Fixture *f, const void *data)
{
  for (gint64 i = 1; i <= 40; i++)
    take(f, START + 365 * 86400 * S + i * 20 * S, 7, 50);
  for (gint64 i = 1; i <= 40; i++)
    take(f, START + i * 20 * S, 7, 5);
  gint64 now = START + 800 * S;
  RingsSeries series = read_back(f, 7, now, now - 4000 * S);
  assert_value(&series, START, 5);
  assert_value(&series, START + 300 * S, 5);
  g_free(series.values);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/" #name, Fixture, NULL, setup, name, teardown)
  ADD(what_is_noted_is_read_back);
  ADD(coarser_steps_are_means);
  ADD(steps_that_ended_meanwhile_are_made_later);
  ADD(a_place_changes_hands_without_its_past);
  ADD(more_objects_than_one_file_holds);
  ADD(what_is_no_ring_is_put_aside);
  ADD(a_full_disk_costs_steps);
  ADD(a_clock_that_comes_back_is_followed);
  return g_test_run();
}
