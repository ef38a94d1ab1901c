// SPDX-License-Identifier: Apache-2.0
/* How long a move will last, and how long its guest will stand still. Pure.
 *
 * Pre-copy (Clark et al., Live Migration of Virtual Machines, NSDI 2005): a pass carries what the guest wrote
 * during the pass before. With memory M, rate R and dirty rate D a pass i is of M r^i, r = D / R; the last
 * one, for which the guest stands still, is the first that fits into R times the pause that is allowed. So
 * after n + 1 passes the move has lasted M / R times the sum of r^i; with r >= 1 it never ends by itself.
 *
 * What then happens is QEMU's (docs.qemu.org, Migration, and migration/ram.c): told to converge, it slows a
 * guest whose writes in a pass come to more than half of what the pass carried, for two passes: by 20 percent
 * first, then by 10 more each second time, up to 99. Post-copy goes over after some passes and fetches what
 * is left. A guest whose emulator loses writes stands still for all of its memory
 * (host/hypervisor/move_look.c).
 *
 * No figure falls when there is more to copy, when the guest writes faster, or when the rate is less: a guest
 * that is slowed is counted with half the rate at least, so that one which writes a little less than is
 * slowed does not seem to take longer. */
#pragma once
#include <glib.h>
#include <stdbool.h>

/* QEMU's downtime-limit, which nobody here changes. */
#define PLAN_FORECAST_PAUSE_S 0.3
/* What any move lasts, whatever it carries, as seen: the session, the definitions, the looks at both hosts.
 */
#define PLAN_FORECAST_AROUND_S 2.0
/* What any guest that runs stands still for, as seen: its devices' state, and the word that lets it go on. */
#define PLAN_FORECAST_HAND_S 0.1

typedef enum {
  PLAN_FORECAST_COPY,       /* nothing writes meanwhile: it is off, or paused by a person */
  PLAN_FORECAST_STILL,      /* the guest stands still while its memory goes; its disks go before */
  PLAN_FORECAST_SLOW_DOWN,  /* business_first */
  PLAN_FORECAST_NEVER_SLOW, /* fast */
  PLAN_FORECAST_POST_COPY,
} PlanForecastWay;

/* In the order of the contract (MigrationForecast.course). */
typedef enum {
  PLAN_FORECAST_UNKNOWN, /* the rate is */
  PLAN_FORECAST_IS_COPIED,
  PLAN_FORECAST_CONVERGES,
  PLAN_FORECAST_IS_SLOWED,
  PLAN_FORECAST_GOES_POST_COPY,
  PLAN_FORECAST_STANDS_STILL,
  PLAN_FORECAST_NEVER_ENDS,
} PlanForecastCourse;

typedef struct {
  PlanForecastWay way;
  double memory_bytes, disk_bytes;
  double rate;           /* bytes/s; 0: not known */
  double dirty;          /* bytes/s */
  double pause_s;        /* that is allowed */
  guint post_copy_after; /* passes */
} PlanForecastMove;

typedef struct {
  PlanForecastCourse course;
  double duration_s; /* INFINITY: it does not end, or the rate is not known */
  double pause_s;    /* at most, while it ends; INFINITY: as above */
  double passes;     /* over the memory, the last one included */
} PlanForecast;

PlanForecast plan_forecast(const PlanForecastMove *move);

/* In the order of the contract (MigrationForecast.rate_basis). */
typedef enum { PLAN_RATE_UNKNOWN, PLAN_RATE_LIMIT, PLAN_RATE_NIC, PLAN_RATE_LOG } PlanRateBasis;
/* Bytes/s of the way between two hosts: the limit that is set, or the slower NIC where that is less; without
 * either what moves had before (median of `logged`, which is sorted by it). What is 0 is not known, a limit
 * of 0 none. */
double plan_forecast_rate(double limit, double from_nic, double to_nic, double *logged, guint n_logged,
                          PlanRateBasis *basis);
