// SPDX-License-Identifier: Apache-2.0
/* What something will want in a while, from what it was seen to want: a level that follows the measurements, and a trend that dies away.
 *
 * Exponential smoothing by time, not by count, so that samples may come at any pace (C. C. Holt, Forecasting seasonals and trends by exponentially
 * weighted moving averages, 1957; damped trend: E. S. Gardner, E. McKenzie, Forecasting trends in time series, 1985). One short peak moves the level
 * little; a load that stays is followed within a minute. Pure; a series is 32 bytes. */
#pragma once
#include <glib.h>

typedef struct {
  double level, trend; /* any unit; per second */
  gint64 time_us;      /* of the last sample */
  guint n;             /* samples; 0: nothing is known */
} PlanSeries;

/* A measurement. One that is no newer than the last is dropped. After a gap of ten minutes and more the series begins anew. */
void plan_demand_feed(PlanSeries *series, double value, gint64 time_us);
/* What it will want on the mean over the next `horizon_s` seconds; never below 0, at most half as much again as the level. */
double plan_demand_forecast(const PlanSeries *series, double horizon_s);
