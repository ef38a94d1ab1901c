// SPDX-License-Identifier: Apache-2.0
/* What a move is forecast to take: figures worked out by hand, the ends of the range, and, over many random
 * moves, that nothing becomes quicker by there being more to do. The seed is in the log: --seed repeats a
 * run. */
#include "plan/forecast.h"
#include <math.h>

#define MIB 1048576.0
#define GIB (1024 * MIB)

static PlanForecastMove usual(PlanForecastWay way)
{
  return (PlanForecastMove){.way = way,
                            .memory_bytes = 4 * GIB,
                            .rate = 1 * GIB,
                            .pause_s = PLAN_FORECAST_PAUSE_S,
                            .post_copy_after = 3};
}

static void near(double is, double should)
{
  g_assert_cmpfloat_with_epsilon(is, should, 1e-6 * MAX(1, fabs(should)));
}

static void series_adds_up(void)
{
  PlanForecastMove move = usual(PLAN_FORECAST_SLOW_DOWN);
  move.dirty = 0.25 * GIB; /* 4, 1, 0.25 GiB: that fits into 0.3 s */
  PlanForecast f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_CONVERGES);
  near(f.duration_s, PLAN_FORECAST_AROUND_S + 5.25);
  near(f.passes, 3);
  near(f.pause_s, PLAN_FORECAST_HAND_S + 0.3);
  move.disk_bytes = 10 * GIB;
  near(plan_forecast(&move).duration_s, PLAN_FORECAST_AROUND_S + 15.25);
  move.disk_bytes = 0;
  move.dirty = 0.01 * GIB; /* 0.04 GiB are left after the first pass */
  f = plan_forecast(&move);
  near(f.duration_s, PLAN_FORECAST_AROUND_S + 4.04);
  near(f.pause_s, PLAN_FORECAST_HAND_S + 0.04);
}

static void quiet_guest_takes_one_pass(void)
{
  for (int way = PLAN_FORECAST_SLOW_DOWN; way <= PLAN_FORECAST_POST_COPY; way++) {
    PlanForecastMove move = usual(way);
    PlanForecast f = plan_forecast(&move);
    g_assert_cmpint(f.course, ==, PLAN_FORECAST_CONVERGES);
    near(f.duration_s, PLAN_FORECAST_AROUND_S + 4);
    near(f.pause_s, PLAN_FORECAST_HAND_S);
  }
}

static void what_does_not_converge(void)
{
  PlanForecastMove move = usual(PLAN_FORECAST_NEVER_SLOW);
  move.dirty = 2 * GIB;
  PlanForecast f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_NEVER_ENDS);
  g_assert_true(isinf(f.duration_s) && isinf(f.pause_s));
  move.dirty = move.rate; /* just so */
  g_assert_cmpint(plan_forecast(&move).course, ==, PLAN_FORECAST_NEVER_ENDS);

  move = usual(PLAN_FORECAST_SLOW_DOWN);
  move.dirty = 2 * GIB;
  f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_IS_SLOWED);
  g_assert_true(f.duration_s > 20 && f.duration_s < 120);
  near(f.pause_s, PLAN_FORECAST_HAND_S + 0.3);
  move.dirty = 200 * GIB; /* slowed to a hundredth it still writes faster */
  g_assert_cmpint(plan_forecast(&move).course, ==, PLAN_FORECAST_NEVER_ENDS);

  move = usual(PLAN_FORECAST_POST_COPY);
  move.dirty = 2 * GIB;
  f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_GOES_POST_COPY);
  near(f.duration_s, PLAN_FORECAST_AROUND_S + 4 * 4); /* three passes, and all of it once more */
  g_assert_true(f.pause_s <= PLAN_FORECAST_HAND_S + 0.3 + 1e-9);
}

static void what_stands_still(void)
{
  PlanForecastMove move = usual(PLAN_FORECAST_STILL);
  move.dirty = 100 * GIB; /* it writes nothing then */
  move.disk_bytes = 2 * GIB;
  PlanForecast f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_STANDS_STILL);
  near(f.duration_s, PLAN_FORECAST_AROUND_S + 6);
  near(f.pause_s, PLAN_FORECAST_HAND_S + 4); /* its disks went before */
  move.way = PLAN_FORECAST_COPY;
  move.memory_bytes = 0;
  f = plan_forecast(&move);
  g_assert_cmpint(f.course, ==, PLAN_FORECAST_IS_COPIED);
  near(f.duration_s, PLAN_FORECAST_AROUND_S + 2);
  near(f.pause_s, 0);
  near(f.passes, 0);
}

static void is_sane(const PlanForecast *f)
{
  g_assert_false(isnan(f->duration_s) || isnan(f->pause_s) || isnan(f->passes));
  g_assert_true(f->duration_s >= 0 && f->pause_s >= 0 && f->passes >= 0);
  bool endless = f->course == PLAN_FORECAST_NEVER_ENDS || f->course == PLAN_FORECAST_UNKNOWN;
  g_assert_cmpint(endless, ==, isinf(f->duration_s) != 0);
}

/* Each field at each of its ends, in each combination. */
static void ends_of_the_range(void)
{
  const double bytes[] = {0, 1, 4096, GIB, 16 * 1024 * GIB, 9223372036854775807.0},
               rates[] = {0, 1, 1048576, 1e12}, pauses[] = {0, 0.3, 1e9};
  const double ratios[] = {0, 1e-300, 0.5, 1 - 1e-16, 1, 99.999, 100, 101, 1e300};
  for (int way = PLAN_FORECAST_COPY; way <= PLAN_FORECAST_POST_COPY; way++)
    for (guint m = 0; m < G_N_ELEMENTS(bytes); m++)
      for (guint d = 0; d < G_N_ELEMENTS(bytes); d++)
        for (guint r = 0; r < G_N_ELEMENTS(rates); r++)
          for (guint w = 0; w < G_N_ELEMENTS(ratios); w++)
            for (guint p = 0; p < G_N_ELEMENTS(pauses); p++) {
              PlanForecastMove move = {way, bytes[m], bytes[d], rates[r], ratios[w] * rates[r], pauses[p], 3};
              PlanForecast f = plan_forecast(&move);
              is_sane(&f);
              g_assert_cmpint(f.course == PLAN_FORECAST_UNKNOWN, ==, rates[r] == 0);
            }
}

static double random_size(double least, double most)
{
  return least * pow(most / least, g_test_rand_double());
}

static void is_no_quicker(const PlanForecast *more, const PlanForecast *less)
{
  is_sane(more);
  g_assert_true(more->duration_s >= less->duration_s * (1 - 1e-9));
  g_assert_true(more->pause_s >= less->pause_s * (1 - 1e-9));
}

static void more_never_takes_less(void)
{
  for (guint i = 0; i < 20000; i++) {
    PlanForecastMove less = {
        .way = g_test_rand_int_range(PLAN_FORECAST_COPY, PLAN_FORECAST_POST_COPY + 1),
        .memory_bytes = random_size(MIB, 16384 * GIB),
        .disk_bytes = g_test_rand_bit() ? random_size(MIB, 16384 * GIB) : 0,
        .rate = random_size(MIB, 100 * GIB),
        .pause_s = PLAN_FORECAST_PAUSE_S,
        .post_copy_after = (guint)g_test_rand_int_range(1, 101),
    };
    less.dirty = g_test_rand_int_range(0, 8) ? less.rate * random_size(0.001, 300) : 0;
    PlanForecast f = plan_forecast(&less);
    double by = g_test_rand_bit() ? random_size(1.0000001, 1.1) : random_size(1.1, 100);
    PlanForecastMove memory = less, disks = less, dirty = less, slow = less;
    memory.memory_bytes *= by;
    disks.disk_bytes = disks.disk_bytes * by + MIB;
    dirty.dirty *= by;
    slow.rate /= by;
    PlanForecast more[] = {plan_forecast(&memory), plan_forecast(&disks), plan_forecast(&dirty),
                           plan_forecast(&slow)};
    for (guint k = 0; k < G_N_ELEMENTS(more); k++)
      is_no_quicker(&more[k], &f);
    is_sane(&f);
  }
}

/* Past the point from which it is slowed, and the one from which it would not end. */
static void writing_more_never_takes_less(void)
{
  for (int way = PLAN_FORECAST_SLOW_DOWN; way <= PLAN_FORECAST_POST_COPY; way++)
    for (double gib = 1; gib <= 4096; gib *= 4) {
      PlanForecastMove move = usual(way);
      move.memory_bytes = gib * GIB;
      PlanForecast less = plan_forecast(&move);
      for (guint thousandths = 1; thousandths < 1500; thousandths++) {
        move.dirty = move.rate * thousandths / 1000;
        PlanForecast more = plan_forecast(&move);
        is_no_quicker(&more, &less);
        less = more;
      }
    }
}

static void rate_rests_on(void)
{
  PlanRateBasis basis;
  double logged[] = {50 * MIB, 10 * MIB, 30 * MIB, 20 * MIB};
  near(plan_forecast_rate(100 * MIB, GIB, GIB, logged, 4, &basis), 100 * MIB);
  g_assert_cmpint(basis, ==, PLAN_RATE_LIMIT);
  near(plan_forecast_rate(100 * MIB, 0, 0, NULL, 0, &basis), 100 * MIB);
  g_assert_cmpint(basis, ==, PLAN_RATE_LIMIT);
  near(plan_forecast_rate(2 * GIB, GIB, 10 * GIB, logged, 4, &basis),
       GIB); /* a limit that the NIC does not reach */
  g_assert_cmpint(basis, ==, PLAN_RATE_NIC);
  near(plan_forecast_rate(0, 10 * GIB, 0, logged, 4, &basis), 10 * GIB);
  near(plan_forecast_rate(0, 0, 0, logged, 4, &basis), 25 * MIB);
  g_assert_cmpint(basis, ==, PLAN_RATE_LOG);
  near(plan_forecast_rate(0, 0, 0, logged, 3, &basis), 20 * MIB);
  near(plan_forecast_rate(0, 0, 0, logged, 0, &basis), 0);
  g_assert_cmpint(basis, ==, PLAN_RATE_UNKNOWN);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/forecast/series-adds-up", series_adds_up);
  g_test_add_func("/forecast/quiet-guest-takes-one-pass", quiet_guest_takes_one_pass);
  g_test_add_func("/forecast/what-does-not-converge", what_does_not_converge);
  g_test_add_func("/forecast/what-stands-still", what_stands_still);
  g_test_add_func("/forecast/ends-of-the-range", ends_of_the_range);
  g_test_add_func("/forecast/more-never-takes-less", more_never_takes_less);
  g_test_add_func("/forecast/writing-more-never-takes-less", writing_more_never_takes_less);
  g_test_add_func("/forecast/rate-rests-on", rate_rests_on);
  return g_test_run();
}
