// SPDX-License-Identifier: Apache-2.0
#include "plan/growth.h"

#define POINT_US (3600 * (gint64)G_USEC_PER_SEC) /* between two points */
#define KNOWN_US (600 * (gint64)G_USEC_PER_SEC)  /* less says nothing */

void plan_growth_feed(PlanGrowth *growth, double bytes, gint64 time_us)
{
  if (growth->now_us && time_us <= growth->now_us)
    return;
  if (!growth->older_us) {
    growth->older_us = growth->newer_us = time_us;
    growth->older = growth->newer = bytes;
  } else if (time_us - growth->newer_us >= POINT_US) {
    growth->older_us = growth->newer_us;
    growth->older = growth->newer;
    growth->newer_us = time_us;
    growth->newer = bytes;
  }
  growth->now_us = time_us;
  growth->now = bytes;
}

void plan_growth_restart(PlanGrowth *growth)
{
  *growth = (PlanGrowth){0};
}

double plan_growth_in(const PlanGrowth *growth, double horizon_s)
{
  double seconds = (double)(growth->now_us - growth->older_us) / G_USEC_PER_SEC;
  if (!growth->older_us || growth->now_us - growth->older_us < KNOWN_US || growth->now <= growth->older)
    return 0;
  return (growth->now - growth->older) / seconds * horizon_s;
}
