// SPDX-License-Identifier: Apache-2.0
#include "plan/forecast.h"
#include <math.h>
#include <stdlib.h>

/* cpu-throttle-initial, cpu-throttle-increment, max-cpu-throttle, throttle-trigger-threshold: QEMU's, which
 * libvirt leaves alone. */
#define SLOWED_FIRST   0.20
#define SLOWED_MORE    0.10
#define SLOWED_MOST    0.99
#define SLOWED_FROM    0.5
#define PASSES_BETWEEN 2
#define ROUNDED        1e-9                 /* a whole number of passes is not one more */
#define PASSES_SLOWING (PASSES_BETWEEN * 9) /* then it is slowed as far as it goes */

typedef struct {
  double left;    /* bytes that the next pass carries */
  double carried; /* bytes */
  double passes;
} Series;

/* One pass, while which `ratio` as much is written; a guest cannot have written more than all of its memory.
 */
static void pass(Series *series, double memory, double ratio)
{
  series->carried += series->left;
  series->left = MIN(memory, series->left * ratio);
  series->passes++;
}

/* All passes with the same ratio until `fits` bytes or less are left. */
static void passes(Series *series, double ratio, double fits)
{
  if (series->left <= fits)
    return;
  if (ratio <= 0) {
    pass(series, series->left, 0);
    return;
  }
  if (ratio >= 1 || fits <= 0) {
    series->carried = INFINITY;
    return;
  }
  double n = MAX(ceil(log(fits / series->left) / log(ratio) - ROUNDED), 1);
  double power = pow(ratio, n);
  series->carried += series->left * (1 - power) / (1 - ratio);
  series->left *= power;
  series->passes += n;
}

static double slowed(guint pass_number)
{
  guint times = pass_number / PASSES_BETWEEN;
  return times ? MIN(SLOWED_FIRST + SLOWED_MORE * (times - 1), SLOWED_MOST) : 0;
}

static PlanForecastCourse slow_down(Series *series, double memory, double ratio, double fits)
{
  if (ratio <= SLOWED_FROM) {
    passes(series, ratio, fits);
    return PLAN_FORECAST_CONVERGES;
  }
  for (guint i = 0; i < PASSES_SLOWING && series->left > fits; i++)
    pass(series, memory, MAX(ratio * (1 - slowed(i)), SLOWED_FROM));
  passes(series, MAX(ratio * (1 - SLOWED_MOST), SLOWED_FROM), fits);
  return PLAN_FORECAST_IS_SLOWED;
}

static PlanForecastCourse go_post_copy(Series *series, double memory, double ratio, double fits, guint after)
{
  for (guint i = 0; i < MAX(after, 1) && series->left > fits; i++)
    pass(series, memory, ratio);
  return series->left > fits ? PLAN_FORECAST_GOES_POST_COPY : PLAN_FORECAST_CONVERGES;
}

static PlanForecast pre_copy(const PlanForecastMove *move)
{
  double memory = move->memory_bytes, ratio = move->dirty / move->rate, fits = move->rate * move->pause_s;
  Series series = {.left = memory};
  PlanForecast forecast = {.course = PLAN_FORECAST_CONVERGES};
  if (move->way == PLAN_FORECAST_SLOW_DOWN)
    forecast.course = slow_down(&series, memory, ratio, fits);
  else if (move->way == PLAN_FORECAST_POST_COPY)
    forecast.course = go_post_copy(&series, memory, ratio, fits, move->post_copy_after);
  else
    passes(&series, ratio, fits);
  forecast.duration_s =
      PLAN_FORECAST_AROUND_S + (series.carried + series.left + move->disk_bytes) / move->rate;
  /* What the last pass carries was written during one that carried all of the memory at most. */
  forecast.pause_s = PLAN_FORECAST_HAND_S + MIN(move->pause_s, memory * MIN(ratio, 1) / move->rate);
  forecast.passes = series.passes + (series.left > 0);
  if (isinf(series.carried))
    forecast = (PlanForecast){PLAN_FORECAST_NEVER_ENDS, INFINITY, INFINITY, INFINITY};
  return forecast;
}

PlanForecast plan_forecast(const PlanForecastMove *move)
{
  if (!(move->rate > 0))
    return (PlanForecast){PLAN_FORECAST_UNKNOWN, INFINITY, INFINITY, 0};
  double once = move->memory_bytes > 0,
         copied = PLAN_FORECAST_AROUND_S + (move->memory_bytes + move->disk_bytes) / move->rate;
  if (move->way == PLAN_FORECAST_COPY)
    return (PlanForecast){PLAN_FORECAST_IS_COPIED, copied, 0, once};
  if (move->way == PLAN_FORECAST_STILL)
    return (PlanForecast){PLAN_FORECAST_STANDS_STILL, copied,
                          PLAN_FORECAST_HAND_S + move->memory_bytes / move->rate, once};
  return pre_copy(move);
}

static int by_size(const void *a_, const void *b_)
{
  double a = *(const double *)a_, b = *(const double *)b_;
  return (a > b) - (a < b);
}

double plan_forecast_rate(double limit, double from_nic, double to_nic, double *logged, guint n_logged,
                          PlanRateBasis *basis)
{
  double nic = from_nic > 0 && to_nic > 0 ? MIN(from_nic, to_nic) : MAX(from_nic, to_nic);
  if (limit > 0 && (nic <= 0 || limit <= nic)) {
    *basis = PLAN_RATE_LIMIT;
    return limit;
  }
  if (nic > 0) {
    *basis = PLAN_RATE_NIC;
    return nic;
  }
  *basis = n_logged ? PLAN_RATE_LOG : PLAN_RATE_UNKNOWN;
  if (!n_logged)
    return 0;
  qsort(logged, n_logged, sizeof *logged, by_size);
  return n_logged % 2 ? logged[n_logged / 2] : (logged[n_logged / 2 - 1] + logged[n_logged / 2]) / 2;
}
