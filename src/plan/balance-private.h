// SPDX-License-Identifier: Apache-2.0
/* What the parts of the search for moves share: balance.c (the best moves one after the other, their order), balance-anneal.c (a small cluster as a whole). */
#pragma once
#include "plan/balance.h"
#include "plan/spread-private.h"

#define LOOKS 24 /* moves at most, of all that were estimated, whose score is computed */

typedef struct {
  guint32 vm, host, second;
  PlanStepKind kind;
  double score;
} Move;

/* The best by estimate, best first. */
typedef struct {
  Move moves[LOOKS]; /* score: estimated change of the cluster's */
  guint n;
} Looks;

typedef struct {
  const PlanCluster *cluster;
  Spread *spread;
  const Inverse *inverse; /* [host] */
  double slope[N_MEASURES], mean[N_MEASURES]; /* of the score by the sum of squares of each measure */
  const PlanBalanceOptions *options;
  double score, min_gain;
  guint32 *first_order, *second_order, *sources; /* hosts: most room first, for each role; most loaded first */
  double *first_key, *second_key;                /* [host] */
  guint32 n_targets;
  guint32 accepted_since_sort, n_moved;
  PlanStepKind *kind;       /* [vm]: how it gets from where it was at first to where it is; PLAN_N_STEPS: it has not moved */
  guint32 *moved;           /* VMs that moved, in that order */
  bool again;               /* VMs may move a second time: each move is a step at once */
  GArray *steps;            /* PlanStep */
} Balance;

/* A small cluster: VMs change places by chance, each by at most one step from where it was at first, until moves cost more than they bring. Ends no worse, by
 * score and number of moves, than it began. */
void balance_anneal(Balance *balance);
