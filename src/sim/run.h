// SPDX-License-Identifier: Apache-2.0
/* One run: a world of one seed, from power on to the last check.
 *
 * A site is made once (sim_site_make): a manager that has started for the first time, a few hosts, an administrator and somebody who may
 * only read. Each run begins with a copy of it: it is a process of its own, forked from the one that has the site. */
#pragma once
#include "sim/disk.h"

typedef struct {
  guint64 seed;
  gint64 safety_us;  /* of the phase with faults */
  guint n_users;
  bool no_faults;    /* only the workload */
  bool show;         /* tell every event */
  const char *log_path;
} SimOptions;

typedef struct {
  guint64 hash, n_steps, n_calls, n_answers;
  gint64 virtual_us;
  guint starts, crashes;
  gint64 quiet_us;     /* how long it took to come to rest */
  guint actions[64], faults[32];
  char failure[1024];  /* "": none */
} SimResult;

typedef struct SimSite SimSite;
SimSite *sim_site_make(const char *data_dir);
void sim_run(SimSite *site, const SimOptions *options, SimResult *result);
