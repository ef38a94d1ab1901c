// SPDX-License-Identifier: Apache-2.0
/* How fast something fills up: the slope between now and a point one to two hours back. What fills a pool is
 * slow and comes in steps, so that a slope over minutes would say nothing (demand.h, which follows within a
 * minute, is for loads). Pure. */
#pragma once
#include <glib.h>

typedef struct {
  gint64 older_us, newer_us; /* of the two points kept; 0: none */
  double older, newer;       /* bytes there */
  gint64 now_us;             /* of the last sample */
  double now;
} PlanGrowth;

/* A measurement; one that is no newer than the last is dropped. */
void plan_growth_feed(PlanGrowth *growth, double bytes, gint64 time_us);
/* After something was moved away or there: what was seen before says nothing of what comes. */
void plan_growth_restart(PlanGrowth *growth);
/* Bytes more in `horizon_s` seconds; 0 where it shrinks, or is known for less than ten minutes. */
double plan_growth_in(const PlanGrowth *growth, double horizon_s);
