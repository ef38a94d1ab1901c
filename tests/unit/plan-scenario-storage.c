// SPDX-License-Identifier: Apache-2.0
/* Scenarios of pools and disks; all sizes in GiB. Whatever a scenario expects, no target may come above the
 * threshold at any step, only what may move does, the cheapest goes first, the same must come out again, and
 * the second look finds nothing. See plan-scenario.h. */
#include "plan-scenario.h"
#include "plan/storage_drs.h"
#include <string.h>

#define KEYS(object, ...) scenario_keys(object, (const char *const[]){__VA_ARGS__, NULL})
#define GIB               ((gint64)1 << 30)

typedef struct {
  PlanStorageDrs plan;
  PlanStorageDrsOptions options;
  json_t *pools, *disks;
  const char **reach;
} Scene;

static gint64 gib(json_t *row, const char *key, gint64 preset)
{
  return (gint64)(scenario_number(row, key, (double)preset) * (double)GIB);
}

static PlanStorageDrsPool read_pool(json_t *row)
{
  KEYS(row, "name", "capacity", "used", "growth", "coming", "promised", "promise_limit", "leaves", "takes",
       "full_s");
  return (PlanStorageDrsPool){.name = scenario_text(row, "name", NULL),
                              .capacity_bytes = gib(row, "capacity", 100),
                              .used_bytes = gib(row, "used", 0),
                              .growth_bytes = gib(row, "growth", 0),
                              .coming_bytes = gib(row, "coming", 0),
                              .promised_bytes = gib(row, "promised", 0),
                              .promise_limit_bytes = gib(row, "promise_limit", 0),
                              .leaves = scenario_bool(row, "leaves", true),
                              .takes = scenario_bool(row, "takes", true),
                              .full_s = scenario_number(row, "full_s", 0)};
}

static PlanStorageDrsDisk read_disk(Scene *s, guint index)
{
  json_t *row = json_array_get(s->disks, index), *value;
  size_t k;
  KEYS(row, "name", "vm", "pool", "size", "frees", "takes", "pinned", "reaches");
  gint64 size = gib(row, "size", 10);
  PlanStorageDrsDisk disk = {.name = scenario_text(row, "name", NULL),
                             .vm = (guint64)scenario_int(row, "vm", 1000 + index),
                             .pool = scenario_index(s->pools, scenario_text(row, "pool", NULL)),
                             .reach = index,
                             .size_bytes = size,
                             .frees_bytes = scenario_get(row, "frees") ? gib(row, "frees", 0) : size,
                             .takes_bytes = scenario_get(row, "takes") ? gib(row, "takes", 0) : size,
                             .pinned = scenario_text(row, "pinned", NULL)};
  for (guint p = 0; scenario_get(row, "reaches") && p < s->plan.n_pools; p++)
    s->reach[index * s->plan.n_pools + p] = "out of reach";
  json_array_foreach (scenario_get(row, "reaches"), k, value)
    s->reach[index * s->plan.n_pools + scenario_index(s->pools, json_string_value(value))] = NULL;
  return disk;
}

static Scene *read_scene(json_t *scenario)
{
  Scene *s = g_new0(Scene, 1);
  s->pools = scenario_get(scenario, "pools");
  s->disks = scenario_get(scenario, "disks");
  s->plan.n_pools = (guint32)json_array_size(s->pools);
  s->plan.n_disks = (guint32)json_array_size(s->disks);
  s->plan.pools = g_new0(PlanStorageDrsPool, s->plan.n_pools + 1);
  s->plan.disks = g_new0(PlanStorageDrsDisk, s->plan.n_disks + 1);
  s->plan.reach = s->reach = g_new0(const char *, (gsize)s->plan.n_pools * s->plan.n_disks + 1);
  for (guint i = 0; i < s->plan.n_pools; i++)
    s->plan.pools[i] = read_pool(json_array_get(s->pools, i));
  for (guint i = 0; i < s->plan.n_disks; i++)
    s->plan.disks[i] = read_disk(s, i);
  s->options = (PlanStorageDrsOptions){.space_percent = scenario_number(scenario, "threshold", 80),
                                       .duration_s = scenario_number(scenario, "duration", 0),
                                       .max_moves = (guint)scenario_int(scenario, "limit", 0)};
  return s;
}

static void scene_free(Scene *s)
{
  g_free(s->plan.pools);
  g_free(s->plan.disks);
  g_free(s->reach);
  g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* ---- what must hold of every plan ---- */

static void do_move(Scene *s, const PlanStorageDrsMove *move)
{
  PlanStorageDrsDisk *disk = &s->plan.disks[move->disk];
  PlanStorageDrsPool *from = &s->plan.pools[move->from], *to = &s->plan.pools[move->to];
  g_assert_cmpuint(disk->pool, ==, move->from);
  g_assert_null(plan_storage_drs_pinned(disk));
  g_assert_true(from->leaves && to->takes);
  g_assert_null(s->reach[disk->reach * s->plan.n_pools + move->to]);
  g_assert_cmpfloat_with_epsilon(plan_storage_drs_space(to, false), move->to_before, 1e-6);
  from->used_bytes -= disk->frees_bytes;
  from->promised_bytes -= disk->size_bytes;
  to->used_bytes += disk->takes_bytes;
  to->promised_bytes += disk->size_bytes;
  disk->pool = move->to;
  disk->frees_bytes = disk->takes_bytes; /* it shares nothing any more */
  g_assert_cmpfloat_with_epsilon(plan_storage_drs_space(to, false), move->to_after, 1e-6);
  g_assert_cmpfloat_with_epsilon(plan_storage_drs_space(from, false), move->from_after, 1e-6);
  g_assert_cmpfloat(plan_storage_drs_space(to, true), <=, s->options.space_percent);
  if (to->promise_limit_bytes)
    g_assert_cmpint(to->promised_bytes, <=, to->promise_limit_bytes);
}

static void do_all(Scene *s, const GArray *moves)
{
  for (guint i = 0; i < moves->len; i++) {
    const PlanStorageDrsMove *move = &g_array_index(moves, PlanStorageDrsMove, i);
    gint64 bytes = s->plan.disks[move->disk].takes_bytes;
    const PlanStorageDrsMove *before = i ? &g_array_index(moves, PlanStorageDrsMove, i - 1) : NULL;
    g_assert_true(!before || bytes >= s->plan.disks[before->disk].takes_bytes || move->wave > before->wave);
    for (guint j = 0; j < i; j++) {
      const PlanStorageDrsMove *other = &g_array_index(moves, PlanStorageDrsMove, j);
      g_assert_true(other->wave != move->wave ||
                    s->plan.disks[other->disk].vm != s->plan.disks[move->disk].vm);
    }
    do_move(s, move);
  }
}

/* ---- what this one expects ---- */

static void expect_list(json_t *expect, const char *key, const GString *got)
{
  g_autoptr(GString) wanted = g_string_new(NULL);
  json_t *value;
  size_t k;
  json_array_foreach (scenario_get(expect, key), k, value)
    g_string_append_printf(wanted, "%s\n", json_string_value(value));
  if (scenario_get(expect, key) && strcmp(wanted->str, got->str) != 0)
    scenario_fail("%s:\n%snot:\n%s", key, got->str, wanted->str);
}

static void expect_plan(const Scene *s, json_t *expect, const PlanStorageDrsResult *result)
{
  g_autoptr(GString) moves = g_string_new(NULL), others = g_string_new(NULL), stuck = g_string_new(NULL);
  for (guint i = 0; i < result->moves->len; i++) {
    const PlanStorageDrsMove *move = &g_array_index(result->moves, PlanStorageDrsMove, i);
    g_string_append_printf(moves, "%s to %s\n", s->plan.disks[move->disk].name, s->plan.pools[move->to].name);
    for (guint j = 0; j < move->n_alternatives; j++) {
      const PlanStorageDrsAlternative *one = &move->alternatives[j];
      g_string_append_printf(others, "%s to %s: ", s->plan.disks[move->disk].name,
                             s->plan.pools[one->pool].name);
      if (one->refused)
        g_string_append_printf(others, "%s\n", one->refused);
      else
        g_string_append_printf(others, "%.4g %%\n", one->space_after);
    }
  }
  for (guint i = 0; i < result->stuck->len; i++)
    g_string_append_printf(stuck, "%s\n", s->plan.pools[g_array_index(result->stuck, guint32, i)].name);
  expect_list(expect, "moves", moves);
  expect_list(expect, "alternatives", others);
  expect_list(expect, "stuck", stuck);
  if (!scenario_get(expect, "stuck"))
    g_assert_cmpstr(stuck->str, ==, "");
}

void scenario_storage(json_t *scenario)
{
  g_autoptr(Scene) s = read_scene(scenario);
  json_t *expect = scenario_get(scenario, "expect");
  PlanStorageDrsResult result, twin, rest;
  KEYS(expect, "moves", "alternatives", "stuck", "waves");
  plan_storage_drs(&s->plan, &s->options, &result);
  plan_storage_drs(&s->plan, &s->options, &twin);
  g_assert_cmpuint(result.moves->len, ==, twin.moves->len);
  if (result.moves->len)
    g_assert_cmpmem(result.moves->data, result.moves->len * sizeof(PlanStorageDrsMove), twin.moves->data,
                    twin.moves->len * sizeof(PlanStorageDrsMove));
  expect_plan(s, expect, &result);
  for (guint i = 0; i < result.moves->len; i++)
    if (scenario_get(expect, "waves"))
      g_assert_cmpuint(g_array_index(result.moves, PlanStorageDrsMove, i).wave, ==,
                       json_integer_value(json_array_get(scenario_get(expect, "waves"), i)));
  do_all(s, result.moves);
  plan_storage_drs(&s->plan, &s->options, &rest);
  if (!s->options.max_moves)
    g_assert_cmpuint(rest.moves->len, ==, 0);
  plan_storage_drs_result_clear(&result);
  plan_storage_drs_result_clear(&twin);
  plan_storage_drs_result_clear(&rest);
}
