// SPDX-License-Identifier: Apache-2.0
/* Smoothing and a short forecast. See demand.h. */
#include "plan/demand.h"
#include <math.h>

#define LEVEL_S 20.0 /* time constants: of the level, of the trend, and of the trend's dying away */
#define TREND_S 60.0
#define DAMP_S  60.0
#define GAP_S   600.0
#define MOST    1.5 /* forecast over level */

void plan_demand_feed(PlanSeries *series, double value, gint64 time_us)
{
  double span_s = (double)(time_us - series->time_us) / G_USEC_PER_SEC;
  if (!series->n || span_s >= GAP_S) {
    *series = (PlanSeries){value, 0, time_us, 1};
    return;
  }
  if (span_s <= 0)
    return;
  double before = series->level;
  series->level += (1 - exp(-span_s / LEVEL_S)) * (value - series->level);
  series->trend += (1 - exp(-span_s / TREND_S)) * ((series->level - before) / span_s - series->trend);
  series->time_us = time_us;
  series->n++;
}

double plan_demand_forecast(const PlanSeries *series, double horizon_s)
{
  if (!series->n || horizon_s <= 0)
    return series->level;
  /* The mean over the horizon of a rise that dies away. */
  double reach_s = DAMP_S * (1 - DAMP_S / horizon_s * (1 - exp(-horizon_s / DAMP_S)));
  return CLAMP(series->level + series->trend * reach_s, 0, series->level * MOST);
}
