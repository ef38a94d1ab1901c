// SPDX-License-Identifier: Apache-2.0
/* The solver: properties that hold for every problem, asked of random ones. */
#include "plan-problem-random.h"
#include "base/error.h"
#include "plan/solve.h"
#include <string.h>

#define N_SEEDS 60
#define LONG    1100000 /* steps for each item */

static double by_steps(void *arg, guint64 steps)
{
  return (double)steps / (double)*(guint64 *)arg;
}

static guint32 *solve(const PlanProblem *p, guint64 seed, guint threads, guint64 steps, PlanResult *result)
{
  g_autoptr(GError) error = NULL;
  guint32 *at = g_new0(guint32, p->n_items + 1);
  PlanSearch search = {.seed = seed, .n_threads = threads, .spent = by_steps, .arg = &steps};
  g_assert_true(plan_solve(p, &search, at, result, &error));
  g_assert_no_error(error);
  return at;
}

/* Never a rule broken, never worse than doing nothing; what it says it costs is what it costs. */
static void every_answer_is_allowed_and_no_worse(void)
{
  guint cheaper = 0;
  for (guint64 seed = 1; seed <= N_SEEDS; seed++) {
    g_autoptr(PlanProblem) p = random_problem(seed, 2 + (guint32)seed % 70, 20 + (guint32)seed * 7 % 300);
    PlanResult result;
    g_autofree guint32 *at = solve(p, seed, 1 + seed % 2, 40000, &result);
    PlanCost cost;
    g_autoptr(GError) error = NULL;
    g_assert_true(plan_problem_evaluate(p, at, &cost, &error));
    g_assert_no_error(error);
    g_assert_cmpint(cost.total, ==, result.end.total);
    g_assert_cmpint(result.end.total, <=, result.begin.total);
    cheaper += result.end.total < result.begin.total;
  }
  g_assert_cmpuint(cheaper, >, N_SEEDS * 3 / 4);
}

static void same_seed_gives_the_same_answer(void)
{
  for (guint64 seed = 1; seed <= 10; seed++) {
    g_autoptr(PlanProblem) p = random_problem(seed, 20, 150);
    PlanResult result;
    g_autofree guint32 *one = solve(p, seed, 2, 30000, &result);
    g_autofree guint32 *two = solve(p, seed, 2, 30000, &result);
    g_assert_cmpmem(one, p->n_items * sizeof *one, two, p->n_items * sizeof *two);
  }
}

/* The cheapest of all assignments that are allowed: each is looked at. */
static gint64 cheapest(const PlanProblem *p)
{
  gint64 least = G_MAXINT64;
  g_autofree guint32 *at = g_new0(guint32, p->n_items);
  for (guint32 k = 0; k < p->n_items;) {
    PlanCost cost;
    if (plan_problem_evaluate(p, at, &cost, NULL))
      least = MIN(least, cost.total);
    for (k = 0; k < p->n_items && ++at[k] == p->n_hosts; k++)
      at[k] = 0;
  }
  return least;
}

/* So many steps that it is a long one. */
static void long_budget_finds_the_cheapest_of_few(void)
{
  guint cheaper = 0;
  for (guint64 seed = 1; seed <= 3; seed++) {
    g_autoptr(PlanProblem) p = random_problem(seed, 5, 4);
    PlanResult result;
    g_autofree guint32 *one = solve(p, seed, 2, LONG * p->n_items, &result);
    g_assert_cmpint(result.end.total, ==, cheapest(p));
    cheaper += result.end.total < result.begin.total;
    g_autofree guint32 *two = solve(p, seed, 2, LONG * p->n_items, &result);
    g_assert_cmpmem(one, p->n_items * sizeof *one, two, p->n_items * sizeof *two);
  }
  g_assert_cmpuint(cheaper, >, 0);
}

/* One thread ends before the others come to the meeting, or after it: nobody waits for ever, and the answer is allowed. */
static double by_fewer_steps(void *arg, guint64 steps)
{
  gint *calls = arg;
  return g_atomic_int_add(calls, 1) > 60 ? 1 : (double)steps / 30000;
}

static void thread_that_ends_early_is_not_waited_for(void)
{
  for (guint64 seed = 1; seed <= 20; seed++) {
    g_autoptr(PlanProblem) p = random_problem(seed, 20, 150);
    g_autofree guint32 *at = g_new0(guint32, p->n_items);
    gint calls = (gint)seed * 3;
    PlanResult result;
    PlanSearch search = {.seed = seed, .n_threads = 3, .spent = by_fewer_steps, .arg = &calls};
    g_assert_true(plan_solve(p, &search, at, &result, NULL));
    g_assert_cmpint(result.end.total, <=, result.begin.total);
  }
}

static void no_budget_leaves_everything_where_it_is(void)
{
  g_autoptr(PlanProblem) p = random_problem(7, 10, 80);
  PlanResult result;
  guint64 none = 1;
  PlanSearch search = {.seed = 1, .n_threads = 1, .spent = by_steps, .arg = &none};
  g_autofree guint32 *at = g_new0(guint32, p->n_items);
  none = 0; /* 0 / 0 is no number: the search ends at once */
  g_assert_true(plan_solve(p, &search, at, &result, NULL));
  g_assert_cmpmem(at, p->n_items * sizeof *at, p->initial, p->n_items * sizeof *at);
  g_assert_cmpuint(result.n_moved, ==, 0);
}

/* What each rule refuses, alone: a change of the first assignment that breaks it. */
static void each_rule_refuses(void)
{
  guint32 n_broken[6] = {0};
  const char *says[] = {"exists", "set", "capacity", "different hosts", "locations", "neighbourhoods"};
  for (guint64 seed = 1; seed <= 1000; seed++) {
    g_autoptr(PlanProblem) p = random_problem(seed, 6, 40);
    g_autofree guint32 *at = g_memdup2(p->initial, p->n_items * sizeof *at);
    at[seed % p->n_items] = (guint32)(seed * 5 / 40 % 7); /* 6 does not exist */
    PlanCost cost;
    g_autoptr(GError) error = NULL;
    if (plan_problem_evaluate(p, at, &cost, &error))
      continue;
    g_assert_error(error, WS_ERROR, WS_ERROR_BAD_VALUE);
    for (guint k = 0; k < G_N_ELEMENTS(says); k++)
      n_broken[k] += strstr(error->message, says[k]) != NULL;
  }
  for (guint k = 0; k < G_N_ELEMENTS(says); k++)
    if (!n_broken[k])
      g_error("no problem was refused for: %s", says[k]);
}

static void refuses_what_does_not_fit(void)
{
  g_autoptr(PlanProblem) p = random_problem(3, 10, 80);
  g_autoptr(GError) error = NULL;
  g_assert_true(plan_problem_fits(p, &error));
  p->load_weight[0] = G_MAXUINT64 / 2;
  g_assert_false(plan_problem_fits(p, &error));
  g_assert_cmpstr(ws_error_field(error), ==, "load weights");
  g_clear_error(&error);
  p->load_weight[0] = 1;
  p->item_weight = G_MAXUINT64;
  g_assert_false(plan_problem_fits(p, &error));
  g_assert_cmpstr(ws_error_field(error), ==, "weights of moves");
}

static void first_assignment_must_be_allowed(void)
{
  g_autoptr(PlanProblem) p = random_problem(3, 10, 80);
  g_autofree guint32 *at = g_new0(guint32, p->n_items);
  g_autoptr(GError) error = NULL;
  PlanResult result;
  guint64 steps = 1000;
  PlanSearch search = {.seed = 1, .n_threads = 1, .spent = by_steps, .arg = &steps};
  p->capacity[p->initial[0] * p->n_resources] = 0;
  g_assert_false(plan_solve(p, &search, at, &result, &error));
  g_assert_nonnull(strstr(error->message, "capacity"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/every_answer_is_allowed_and_no_worse", every_answer_is_allowed_and_no_worse);
  g_test_add_func("/same_seed_gives_the_same_answer", same_seed_gives_the_same_answer);
  g_test_add_func("/long_budget_finds_the_cheapest_of_few", long_budget_finds_the_cheapest_of_few);
  g_test_add_func("/thread_that_ends_early_is_not_waited_for", thread_that_ends_early_is_not_waited_for);
  g_test_add_func("/no_budget_leaves_everything_where_it_is", no_budget_leaves_everything_where_it_is);
  g_test_add_func("/each_rule_refuses", each_rule_refuses);
  g_test_add_func("/refuses_what_does_not_fit", refuses_what_does_not_fit);
  g_test_add_func("/first_assignment_must_be_allowed", first_assignment_must_be_allowed);
  return g_test_run();
}
