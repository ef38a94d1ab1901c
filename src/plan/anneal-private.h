// SPDX-License-Identifier: Apache-2.0
/* Simulated annealing on one state: shifts, swaps, shifts that make room by ejecting others, and returns to where an item was at first. */
#pragma once
#include "plan/chance.h"
#include "plan/state-private.h"

typedef struct {
  PlanState *state;
  PlanChance chance;
  const guint32 *large;    /* all items, large ones first */
  guint32 ejections;       /* of 128 moves so many make room by ejecting */
  guint32 *best;           /* [item]: the cheapest allowed assignment that was kept */
  gint64 best_cost;
  guint64 n_steps, n_accepted;
} PlanAnneal;

/* Tries n moves at a temperature (in units of cost; 0: only what costs nothing more). */
void plan_anneal_steps(PlanAnneal *anneal, guint64 n, double temperature);
/* Keeps the state if it is the cheapest so far. */
void plan_anneal_keep(PlanAnneal *anneal);
