// SPDX-License-Identifier: Apache-2.0
/* Simulated annealing on one state: shifts, swaps, shifts that make room by ejecting others, and returns to where an item was at first; over all hosts,
 * or over a few of them and what is on them. */
#pragma once
#include "plan/chance.h"
#include "plan/state-private.h"

typedef struct {
  guint32 item, from;
} PlanAnnealMove;

typedef struct {
  PlanState *state;
  PlanChance chance;
  const guint32 *large;    /* items that can move, large ones first */
  guint32 n_large;
  const guint32 *among;    /* only these hosts take items; NULL: all do */
  guint32 n_among;
  guint32 ejections;       /* of 128 moves so many make room by ejecting */
  guint32 *best;           /* [item]: the cheapest allowed assignment that was kept */
  gint64 best_cost;
  PlanAnnealMove *log;     /* what moved since plan_anneal_log_start(), to be undone; NULL: not wanted */
  guint32 n_log, log_size;
  guint32 n_log_best;      /* moves up to the cheapest state since then, */
  gint64 log_best_cost;    /* which costs so much, */
  gint64 log_best_merit;   /* with what lacks */
  guint64 n_steps, n_accepted;
} PlanAnneal;

/* Tries n moves at a temperature (in units of cost; 0: only what costs nothing more). */
void plan_anneal_steps(PlanAnneal *anneal, guint64 n, double temperature);
/* Keeps the state if it is the cheapest so far. */
void plan_anneal_keep(PlanAnneal *anneal);
/* From now on moves are remembered; back to the cheapest state since then, which may be the first. */
void plan_anneal_log_start(PlanAnneal *anneal);
void plan_anneal_log_rewind(PlanAnneal *anneal);
