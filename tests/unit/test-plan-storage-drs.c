// SPDX-License-Identifier: Apache-2.0
/* Storage DRS: what must hold of every plan, and growth. Single cases are scenarios
 * (tests/scenario/storage-*). */
#include "plan/chance.h"
#include "plan/growth.h"
#include "plan/storage_drs.h"

#define GIB   ((gint64)1 << 30)
#define POOLS 12
#define DISKS 200

typedef struct {
  PlanStorageDrs plan;
  PlanStorageDrsPool pools[POOLS];
  PlanStorageDrsDisk disks[DISKS];
  const char *reach[POOLS * POOLS];
  PlanStorageDrsOptions options;
} World;

static guint32 below(PlanChance *chance, guint32 n)
{
  return plan_chance_below(chance, n);
}

/* Pools of different sizes, each filled by its disks and something else; a tenth of the pairs does not reach.
 */
static World *random_world(guint64 seed)
{
  PlanChance chance;
  World *w = g_new0(World, 1);
  plan_chance_seed(&chance, seed);
  w->plan = (PlanStorageDrs){2 + below(&chance, POOLS - 1), below(&chance, DISKS + 1), w->pools, w->disks,
                             w->reach};
  w->options = (PlanStorageDrsOptions){.space_percent = 60 + below(&chance, 35), .max_moves = DISKS};
  for (guint i = 0; i < w->plan.n_pools; i++)
    w->pools[i] = (PlanStorageDrsPool){.name = "p",
                                       .capacity_bytes = (100 + below(&chance, 900)) * GIB,
                                       .leaves = below(&chance, 20),
                                       .takes = below(&chance, 10)};
  for (guint i = 0; i < POOLS * POOLS; i++)
    w->reach[i] = below(&chance, 10) ? NULL : "out of reach";
  for (guint i = 0; i < w->plan.n_disks; i++) {
    guint32 pool = below(&chance, w->plan.n_pools);
    gint64 frees = below(&chance, 60) * GIB,
           takes = frees + (below(&chance, 4) ? 0 : below(&chance, 40) * GIB);
    w->disks[i] = (PlanStorageDrsDisk){.name = "d",
                                       .vm = below(&chance, DISKS),
                                       .pool = pool,
                                       .reach = below(&chance, POOLS),
                                       .frees_bytes = frees,
                                       .takes_bytes = takes,
                                       .size_bytes = 2 * takes,
                                       .pinned = below(&chance, 5) ? NULL : "pinned"};
    w->pools[pool].used_bytes += frees;
    w->pools[pool].promised_bytes += 2 * takes;
  }
  for (guint i = 0; i < w->plan.n_pools; i++) {
    PlanStorageDrsPool *p = &w->pools[i];
    p->used_bytes = MIN(p->used_bytes + below(&chance, 300) * GIB, p->capacity_bytes);
    p->growth_bytes = below(&chance, 3) ? 0 : below(&chance, 20) * GIB;
    p->promise_limit_bytes = below(&chance, 3) ? 0 : 3 * p->capacity_bytes;
  }
  return w;
}

static guint n_full(const World *w)
{
  guint n = 0;
  for (guint i = 0; i < w->plan.n_pools; i++)
    n += plan_storage_drs_is_full(&w->pools[i], &w->options);
  return n;
}

static void do_move(World *w, const PlanStorageDrsMove *move)
{
  PlanStorageDrsDisk *disk = &w->disks[move->disk];
  PlanStorageDrsPool *from = &w->pools[move->from], *to = &w->pools[move->to];
  g_assert_cmpuint(disk->pool, ==, move->from);
  g_assert_true(from->leaves && to->takes && !disk->pinned);
  g_assert_null(w->reach[disk->reach * w->plan.n_pools + move->to]);
  from->used_bytes -= disk->frees_bytes;
  to->used_bytes += disk->takes_bytes;
  from->promised_bytes -= disk->size_bytes;
  to->promised_bytes += disk->size_bytes;
  disk->pool = move->to;
  disk->frees_bytes = disk->takes_bytes;
  g_assert_cmpfloat(plan_storage_drs_space(to, true), <=, w->options.space_percent);
  g_assert_true(!to->promise_limit_bytes || to->promised_bytes <= to->promise_limit_bytes);
}

static void every_plan_is_feasible_and_ends(void)
{
  guint n_moves = 0, n_relieved = 0;
  for (guint64 seed = 1; seed <= 400; seed++) {
    g_autofree World *w = random_world(seed);
    PlanStorageDrsResult result, again;
    guint before = n_full(w);
    plan_storage_drs(&w->plan, &w->options, &result);
    gint64 last = 0;
    guint wave = 0;
    for (guint i = 0; i < result.moves->len; i++) {
      const PlanStorageDrsMove *move = &g_array_index(result.moves, PlanStorageDrsMove, i);
      g_assert_true(w->disks[move->disk].takes_bytes >= last || move->wave > wave); /* the cheapest first */
      wave = MAX(wave, move->wave);
      last = w->disks[move->disk].takes_bytes;
      do_move(w, move);
    }
    n_moves += result.moves->len;
    n_relieved += before - n_full(w);
    plan_storage_drs(&w->plan, &w->options, &again);
    g_assert_cmpuint(again.moves->len, ==, 0);
    plan_storage_drs_result_clear(&result);
    plan_storage_drs_result_clear(&again);
  }
  g_test_message("%u moves relieve %u pools", n_moves, n_relieved);
  g_assert_cmpuint(n_relieved, >, 100);
}

static void many_disks_are_planned_in_no_time(void)
{
  enum { N_POOLS = 1000, N_DISKS = 50000 };
  g_autofree PlanStorageDrsPool *pools = g_new0(PlanStorageDrsPool, N_POOLS);
  g_autofree PlanStorageDrsDisk *disks = g_new0(PlanStorageDrsDisk, N_DISKS);
  PlanStorageDrs plan = {N_POOLS, N_DISKS, pools, disks, NULL};
  PlanStorageDrsOptions options = {.space_percent = 80};
  PlanStorageDrsResult result;
  for (guint i = 0; i < N_DISKS; i++) {
    gint64 bytes = (1 + i % 37) * GIB;
    disks[i] = (PlanStorageDrsDisk){.name = "d",
                                    .vm = i,
                                    .pool = i % N_POOLS,
                                    .frees_bytes = bytes,
                                    .takes_bytes = bytes,
                                    .size_bytes = bytes};
    pools[i % N_POOLS].used_bytes += bytes;
  }
  for (guint i = 0; i < N_POOLS; i++)
    pools[i] = (PlanStorageDrsPool){.name = "p",
                                    .capacity_bytes = pools[i].used_bytes * (i % 10 ? 3 : 1),
                                    .used_bytes = pools[i].used_bytes,
                                    .leaves = true,
                                    .takes = true};
  gint64 began = g_get_monotonic_time();
  plan_storage_drs(&plan, &options, &result);
  g_test_message("%u moves of %u disks in %u pools: %.1f ms", result.moves->len, N_DISKS, N_POOLS,
                 (double)(g_get_monotonic_time() - began) / 1000);
  g_assert_cmpuint(result.moves->len, ==, PLAN_STORAGE_DRS_MOVES_MAX);
  plan_storage_drs_result_clear(&result);
}

static void growth_is_a_slope_over_an_hour_or_two(void)
{
  PlanGrowth growth = {0};
  const gint64 minute_us = 60 * (gint64)G_USEC_PER_SEC;
  g_assert_cmpfloat(plan_growth_in(&growth, 3600), ==, 0);
  for (gint64 i = 1; i <= 9; i++)
    plan_growth_feed(&growth, (double)i, i * minute_us);
  g_assert_cmpfloat(plan_growth_in(&growth, 3600), ==, 0); /* too short */
  for (gint64 i = 10; i <= 300; i++)
    plan_growth_feed(&growth, (double)i, i * minute_us);
  g_assert_cmpfloat_with_epsilon(plan_growth_in(&growth, 3600), 60, 0.01);
  for (gint64 i = 301; i <= 450; i++) /* it has stopped: after two hours nothing is left of it */
    plan_growth_feed(&growth, 300, i * minute_us);
  g_assert_cmpfloat(plan_growth_in(&growth, 3600), ==, 0);
  for (gint64 i = 451; i <= 500; i++)
    plan_growth_feed(&growth, 200, i * minute_us);
  g_assert_cmpfloat(plan_growth_in(&growth, 3600), ==, 0); /* it shrinks */
  plan_growth_restart(&growth);
  g_assert_cmpfloat(plan_growth_in(&growth, 3600), ==, 0);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-storage-drs/every_plan_is_feasible_and_ends", every_plan_is_feasible_and_ends);
  g_test_add_func("/plan-storage-drs/many_disks_are_planned_in_no_time", many_disks_are_planned_in_no_time);
  g_test_add_func("/plan-storage-drs/growth_is_a_slope_over_an_hour_or_two",
                  growth_is_a_slope_over_an_hour_or_two);
  return g_test_run();
}
