// SPDX-License-Identifier: Apache-2.0
/* plan-day [HOSTS [SEEDS]]: a day of a cluster (tests/unit/plan-day.h) under each policy, means over the
 * seeds: the table in docs/scheduler.md. 200 hosts and three seeds by default. */
#include "plan-day.h"
#include <stdio.h>

typedef struct {
  PlanDayPolicy policy;
  guint every_min; /* hbal */
} Row;

/* Means of one policy over the seeds. */
static void print_row(guint n_hosts, guint seeds, double crowd, const Row *row)
{
  PlanDayOutcome sum = {0};
  for (guint seed = 1; seed <= seeds; seed++) {
    PlanDay day = {
        .n_hosts = n_hosts, .seed = seed, .crowd = crowd, .churn = true, .every_min = row->every_min};
    PlanDayOutcome o = plan_day_live(&day, row->policy);
    sum.moves += o.moves, sum.back += o.back, sum.hot_min += o.hot_min, sum.broken += o.broken;
    sum.contended_min += o.contended_min, sum.wanted += o.wanted, sum.served += o.served;
  }
  g_autofree char *every =
      row->every_min ? g_strdup_printf(" every %u minutes", row->every_min) : g_strdup("");
  printf("| %.2f | %s%s | %.0f | %.1f | %.0f | %.1f | %.5f %% | %.1f |\n", crowd,
         plan_day_policy_name(row->policy), every, (double)sum.moves / seeds, (double)sum.back / seeds,
         (double)sum.hot_min / seeds, sum.contended_min / seeds, 100 * sum.served / sum.wanted,
         (double)sum.broken / seeds);
  fflush(stdout);
}

int main(int argc, char **argv)
{
  static const double crowds[] = {1, 1.25};
  static const Row rows[] = {{PLAN_DAY_NOBODY, 0},
                             {PLAN_DAY_GREEDY, 0},
                             {PLAN_DAY_HBAL, 60},
                             {PLAN_DAY_HBAL, 10},
                             {PLAN_DAY_DRS, 0}};
  guint64 hosts = 200, seeds = 3;
  if ((argc > 1 && !g_ascii_string_to_unsigned(argv[1], 10, 10, 1000, &hosts, NULL)) ||
      (argc > 2 && !g_ascii_string_to_unsigned(argv[2], 10, 1, 100, &seeds, NULL))) {
    fprintf(stderr, "plan-day: 10 to 1000 hosts, 1 to 100 seeds\n");
    return 2;
  }
  printf("| crowd | who decides | moves | back within the hour | hot host minutes | minutes of contention | "
         "demand "
         "served | moves that broke a rule |\n|---|---|---|---|---|---|---|---|\n");
  for (guint k = 0; k < G_N_ELEMENTS(crowds); k++)
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
      print_row((guint)hosts, (guint)seeds, crowds[k], &rows[i]);
}
