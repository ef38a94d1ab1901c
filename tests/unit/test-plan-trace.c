// SPDX-License-Identifier: Apache-2.0
/* A day of a cluster whose load changes (plan-day.h) under DRS; beside it the same day with nobody looking,
 * with the simplest balancer and with one that looks seldom and evens out all there is. tests/bench/plan-day
 * makes the table of docs/scheduler.md of larger ones. */
#include "plan-day.h"

#define N_HOSTS  40
#define N_VMS    400
#define SEEDS    2
#define CROWD    1.25
#define HEAVY    100
#define HBAL_MIN 60

static PlanDayOutcome live(PlanDay day, PlanDayPolicy policy)
{
  PlanDayOutcome o = plan_day_live(&day, policy);
  g_test_message(
      "%s: %u moves, %u of them back within an hour, %u hot host minutes, %.1f in contention, %.4f %% of "
      "what was wanted served, rules broken %u times, %u moves not worth it, %u VMs came, %u hosts failed",
      plan_day_policy_name(policy), o.moves, o.back, o.hot_min, o.contended_min, 100 * o.served / o.wanted,
      o.broken, o.not_worth, o.started, o.failed);
  return o;
}

static void check_moves(const PlanDayOutcome *o)
{
  g_assert_cmpuint(o->broken, ==, 0);
  g_assert_cmpuint(o->advised_again, ==, 0);
  g_assert_cmpuint(o->not_worth, ==, 0);
  g_assert_cmpuint(o->too_soon, ==, 0);
}

static void day_is_served_with_few_moves(void)
{
  for (guint64 seed = 1; seed <= SEEDS; seed++) {
    PlanDay day = {.n_hosts = N_HOSTS, .seed = seed, .crowd = 1, .every_min = HBAL_MIN};
    PlanDayOutcome without = live(day, PLAN_DAY_NOBODY), with = live(day, PLAN_DAY_DRS),
                   simple = live(day, PLAN_DAY_GREEDY);
    g_assert_cmpuint(without.hot_min, >, 1000); /* there is something to do */
    g_assert_cmpuint(with.moves, >, 0);
    g_assert_cmpuint(with.hot_min * 6, <=, without.hot_min);
    g_assert_cmpfloat(with.contended_min * 100, <=, without.contended_min);
    g_assert_cmpfloat(with.served, >, 0.9999 * with.wanted);
    g_assert_cmpuint(with.moves, <=, N_VMS); /* once a day on average */
    g_assert_cmpuint(with.moves, <=, simple.moves + simple.moves / 10);
    g_assert_cmpuint(with.back, ==, 0);
    check_moves(&with);
  }
}

/* At noon there are few hosts left that are not hot: what moves in vain, or comes back, is what the load's
 * ups and downs make of the simplest balancer. */
static void crowded_day_makes_nobody_nervous(void)
{
  PlanDay day = {.n_hosts = N_HOSTS, .seed = 1, .crowd = CROWD, .every_min = HBAL_MIN};
  PlanDayOutcome without = live(day, PLAN_DAY_NOBODY), with = live(day, PLAN_DAY_DRS),
                 simple = live(day, PLAN_DAY_GREEDY);
  g_assert_cmpfloat(without.served, <, 0.97 * without.wanted);
  g_assert_cmpfloat(with.served, >, 0.999 * with.wanted);
  g_assert_cmpuint(with.moves, <, simple.moves);
  g_assert_cmpuint(with.moves, <=, 3 * N_VMS);
  g_assert_cmpuint(with.back * 50, <=, with.moves);
  g_assert_cmpuint(with.back * 4, <, simple.back);
  g_assert_cmpuint(with.hot_min, <, simple.hot_min);
  check_moves(&with);
}

/* Guests of much memory are moved only where that saves much. */
static void what_costs_much_moves_less(void)
{
  PlanDay light = {.n_hosts = N_HOSTS, .seed = 1, .crowd = CROWD}, heavy = light;
  heavy.memory = HEAVY;
  PlanDayOutcome little = live(light, PLAN_DAY_DRS), much = live(heavy, PLAN_DAY_DRS);
  g_assert_cmpuint(much.moves, >, 0);
  g_assert_cmpuint(much.moves * 10, <, little.moves * 9);
  check_moves(&much);
}

/* VMs come and go, hosts fail and return; beside it also who evens out all there is, once an hour. */
static void day_with_arrivals_and_failures_is_served(void)
{
  PlanDay day = {.n_hosts = N_HOSTS, .seed = 1, .crowd = 1, .churn = true, .every_min = HBAL_MIN};
  PlanDayOutcome without = live(day, PLAN_DAY_NOBODY), with = live(day, PLAN_DAY_DRS),
                 even = live(day, PLAN_DAY_HBAL);
  g_assert_cmpuint(with.started, >, 0);
  g_assert_cmpuint(with.failed, >, 0);
  g_assert_cmpfloat(with.wanted, ==, without.wanted); /* the same day */
  g_assert_cmpfloat(with.wanted, ==, even.wanted);
  g_assert_cmpfloat(without.served, <, 0.99 * without.wanted);
  g_assert_cmpfloat(with.served, >, even.served);
  g_assert_cmpfloat(with.contended_min, <, even.contended_min);
  g_assert_cmpuint(with.moves * 2, <, even.moves);
  check_moves(&with);
}

static void same_day_is_the_same_again(void)
{
  PlanDay day = {.n_hosts = N_HOSTS, .seed = 1, .crowd = 1, .churn = true};
  PlanDayOutcome a = live(day, PLAN_DAY_DRS), b = live(day, PLAN_DAY_DRS);
  g_assert_cmpuint(a.moves, ==, b.moves);
  g_assert_cmpuint(a.hot_min, ==, b.hot_min);
  g_assert_cmpfloat(a.served, ==, b.served);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-trace/day_is_served_with_few_moves", day_is_served_with_few_moves);
  g_test_add_func("/plan-trace/crowded_day_makes_nobody_nervous", crowded_day_makes_nobody_nervous);
  g_test_add_func("/plan-trace/what_costs_much_moves_less", what_costs_much_moves_less);
  g_test_add_func("/plan-trace/day_with_arrivals_and_failures_is_served",
                  day_with_arrivals_and_failures_is_served);
  g_test_add_func("/plan-trace/same_day_is_the_same_again", same_day_is_the_same_again);
  return g_test_run();
}
