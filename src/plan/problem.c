// SPDX-License-Identifier: Apache-2.0
/* The problem as data: its limits, and the cost of an assignment from nothing. See problem.h. */
#include "plan/problem.h"
#include "base/error.h"

PlanProblem *plan_problem_new(void)
{
  return g_new0(PlanProblem, 1);
}

void plan_problem_free(PlanProblem *p)
{
  if (!p)
    return;
  void *arrays[] = {p->transient, p->load_weight, p->location, p->neighbourhood, p->capacity, p->safety,   p->between,   p->spread_min, p->needs_start,
                    p->needs,     p->group,       p->demand,   p->move_cost,     p->initial,  p->host_set, p->host_sets, p->balances};
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_free(arrays[i]);
  g_free(p);
}

/* ---- limits ---- */

typedef unsigned __int128 Wide;
#define FITS ((Wide)1 << 62)

static bool too_large(GError **error, const char *field)
{
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "numbers whose sums stay below 2^62", NULL);
}

static Wide sum_of(const guint32 *values, guint32 n, guint32 step)
{
  Wide sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += values[i * step];
  return sum;
}

static Wide largest_between(const PlanProblem *p)
{
  guint32 largest = 0;
  for (gsize i = 0; p->between && i < (gsize)p->n_hosts * p->n_hosts; i++)
    largest = MAX(largest, p->between[i]);
  return largest;
}

/* Bounds are generous: the whole demand on every host. Each factor is below 2^64 and each sum below 2^97, so that a product may pass 2^128: the
 * factors are looked at first. */
static bool add_bound(Wide *sum, Wide factor, Wide value)
{
  if (factor >= FITS || value >= FITS || (factor && value > FITS / factor))
    return false;
  *sum += factor * value;
  return *sum < FITS;
}

bool plan_problem_fits(const PlanProblem *p, GError **error)
{
  Wide total = 0, reach = 0; /* the most that a resource's use, capacity or safety capacity can be */
  for (guint32 r = 0; r < p->n_resources; r++) {
    Wide used = sum_of(p->demand ? p->demand + r : NULL, p->n_items, p->n_resources), room = 0;
    for (gsize h = 0; h < p->n_hosts; h++)
      room = MAX(room, (Wide)MAX(p->capacity[h * p->n_resources + r], p->safety[h * p->n_resources + r]));
    if (!add_bound(&total, p->load_weight[r], used + room))
      return too_large(error, "load weights");
    reach = MAX(reach, used + room);
  }
  for (guint32 b = 0; b < p->n_balances; b++) {
    Wide most = 0;
    if (!add_bound(&most, (Wide)p->balances[b].target + 1, reach) || !add_bound(&total, p->balances[b].weight, most * MAX(p->n_hosts, 1)))
      return too_large(error, "balance objectives");
  }
  if (!add_bound(&total, p->item_weight, sum_of(p->move_cost, p->n_items, 1)) || !add_bound(&total, p->group_weight, p->n_items) ||
      !add_bound(&total, p->host_weight, largest_between(p) * p->n_items))
    return too_large(error, "weights of moves");
  return true;
}

/* ---- an assignment from nothing ---- */

static bool breaks(GError **error, const char *what, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool breaks(GError **error, const char *rule, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *where = g_strdup_vprintf(format, args);
  va_end(args);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", where, "expected", rule, NULL);
}

static bool check_hosts(const PlanProblem *p, const guint32 *at, GError **error)
{
  guint32 words = (p->n_hosts + 63) / 64;
  for (guint32 i = 0; i < p->n_items; i++) {
    if (at[i] >= p->n_hosts)
      return breaks(error, "a host that exists", "item %u", i);
    if (p->host_set && p->host_set[i] && at[i] != p->initial[i] &&
        !(p->host_sets[(gsize)(p->host_set[i] - 1) * words + at[i] / 64] >> (at[i] % 64) & 1))
      return breaks(error, "a host of its set", "item %u on host %u", i, at[i]);
  }
  return true;
}

static bool check_load(const PlanProblem *p, const guint32 *at, PlanCost *cost, GError **error)
{
  gsize n = (gsize)p->n_hosts * p->n_resources;
  g_autofree gint64 *used = g_new0(gint64, n + 1);
  g_autofree gint64 *left = g_new0(gint64, n + 1); /* of transient resources: held by those that went elsewhere */
  for (gsize i = 0; i < p->n_items; i++)
    for (guint32 r = 0; r < p->n_resources; r++) {
      used[(gsize)at[i] * p->n_resources + r] += p->demand[i * p->n_resources + r];
      if (at[i] != p->initial[i] && p->transient[r])
        left[(gsize)p->initial[i] * p->n_resources + r] += p->demand[i * p->n_resources + r];
    }
  for (gsize k = 0; k < n; k++) {
    guint32 r = (guint32)(k % p->n_resources);
    if (used[k] + left[k] > p->capacity[k])
      return breaks(error, "use within the capacity", "host %u, resource %u", (guint)(k / p->n_resources), r);
    cost->load += (gint64)p->load_weight[r] * MAX(0, used[k] - p->safety[k]);
  }
  for (guint32 b = 0; b < p->n_balances; b++)
    for (gsize h = 0; h < p->n_hosts; h++) {
      gsize ka = h * p->n_resources + p->balances[b].a, kb = h * p->n_resources + p->balances[b].b;
      gint64 lack = (gint64)p->balances[b].target * (p->capacity[ka] - used[ka]) - (p->capacity[kb] - used[kb]);
      cost->balance += (gint64)p->balances[b].weight * MAX(0, lack);
    }
  return true;
}

typedef struct {
  guint32 group, value;
} Pair;

static int compare_pairs(const void *a, const void *b)
{
  const Pair *x = a, *y = b;
  return x->group != y->group ? (x->group < y->group ? -1 : 1) : x->value != y->value ? (x->value < y->value ? -1 : 1) : 0;
}

/* All (group, map[host]) of the assignment, sorted. */
static Pair *pairs_of(const PlanProblem *p, const guint32 *at, const guint32 *map)
{
  Pair *pairs = g_new(Pair, (gsize)p->n_items + 1);
  for (guint32 i = 0; i < p->n_items; i++)
    pairs[i] = (Pair){p->group[i], map ? map[at[i]] : at[i]};
  qsort(pairs, p->n_items, sizeof *pairs, compare_pairs);
  return pairs;
}

static bool check_groups(const PlanProblem *p, const guint32 *at, GError **error)
{
  g_autofree Pair *on = pairs_of(p, at, NULL);
  for (guint32 i = 1; i < p->n_items; i++)
    if (compare_pairs(&on[i - 1], &on[i]) == 0)
      return breaks(error, "items of one group on different hosts", "group %u on host %u", on[i].group, on[i].value);

  g_autofree Pair *in = pairs_of(p, at, p->location);
  g_autofree guint32 *n_locations = g_new0(guint32, (gsize)p->n_groups + 1);
  for (guint32 i = 0; i < p->n_items; i++)
    n_locations[in[i].group] += i == 0 || compare_pairs(&in[i - 1], &in[i]) != 0;
  for (guint32 g = 0; g < p->n_groups; g++)
    if (n_locations[g] < p->spread_min[g])
      return breaks(error, "its smallest number of locations", "group %u", g);

  g_autofree Pair *near = pairs_of(p, at, p->neighbourhood);
  for (guint32 i = 0; i < p->n_items; i++) {
    if (i && compare_pairs(&near[i - 1], &near[i]) == 0)
      continue;
    for (guint32 k = p->needs_start[near[i].group]; k < p->needs_start[near[i].group + 1]; k++) {
      Pair needed = {p->needs[k], near[i].value};
      if (!bsearch(&needed, near, p->n_items, sizeof *near, compare_pairs))
        return breaks(error, "the groups that it needs in its neighbourhoods", "group %u in neighbourhood %u", near[i].group, near[i].value);
    }
  }
  return true;
}

static void add_moves(const PlanProblem *p, const guint32 *at, PlanCost *cost)
{
  g_autofree guint32 *moved = g_new0(guint32, (gsize)p->n_groups + 1);
  guint32 most = 0;
  for (gsize i = 0; i < p->n_items; i++)
    if (at[i] != p->initial[i]) {
      cost->item_moves += (gint64)p->item_weight * p->move_cost[i];
      if (p->between)
        cost->host_moves += (gint64)p->host_weight * p->between[(gsize)p->initial[i] * p->n_hosts + at[i]];
      guint32 n = ++moved[p->group[i]];
      most = MAX(most, n);
    }
  cost->group_moves = (gint64)p->group_weight * most;
}

bool plan_problem_evaluate(const PlanProblem *p, const guint32 *at, PlanCost *cost, GError **error)
{
  *cost = (PlanCost){0};
  if (!check_hosts(p, at, error) || !check_load(p, at, cost, error) || !check_groups(p, at, error))
    return false;
  add_moves(p, at, cost);
  cost->total = cost->load + cost->balance + cost->item_moves + cost->group_moves + cost->host_moves;
  return true;
}
