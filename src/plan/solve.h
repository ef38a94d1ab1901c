// SPDX-License-Identifier: Apache-2.0
/* The search: a cheaper assignment for a problem, as good as the budget allows. Never one that breaks a hard rule, never one that costs more than what
 * it began with. Pure: the budget is told by the caller, who owns the clock. */
#pragma once
#include "plan/problem.h"

typedef struct {
  guint64 seed;
  guint n_threads; /* 1 or more */
  /* Share of the budget that is spent, 0 to 1; at 1 the search ends. `steps` is what one thread has tried. Asked every few microseconds to
   * milliseconds, from any of the threads. A function of steps alone makes the whole search a function of the seed. */
  double (*spent)(void *arg, guint64 steps);
  void *arg;
} PlanSearch;

typedef struct {
  PlanCost begin, end;
  guint64 n_steps, n_accepted; /* of all threads */
  guint32 n_moved;             /* items that are elsewhere than at first */
} PlanResult;

/* Fills `at` [item]. Begins with problem->initial, which must be allowed: else WS_ERROR_BAD_VALUE as plan_problem_evaluate() says, or as
 * plan_problem_fits() does. */
bool plan_solve(const PlanProblem *problem, const PlanSearch *search, guint32 *at, PlanResult *result, GError **error);
