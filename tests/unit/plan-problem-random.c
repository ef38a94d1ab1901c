// SPDX-License-Identifier: Apache-2.0
/* Random problems: first where everything is, then rules that this keeps. See plan-problem-random.h. */
#include "plan-problem-random.h"
#include "plan/chance.h"
#include <math.h>

static void place_items(PlanProblem *p, PlanChance *c)
{
  g_autofree bool *taken = g_new0(bool, (gsize)p->n_hosts * p->n_groups);
  for (guint32 i = 0; i < p->n_items; i++) {
    guint32 group, host;
    do {
      group = plan_chance_below(c, p->n_groups);
      host = plan_chance_below(c, p->n_hosts);
    } while (taken[(gsize)group * p->n_hosts + host]);
    taken[(gsize)group * p->n_hosts + host] = true;
    p->group[i] = group;
    p->initial[i] = host;
    p->move_cost[i] = plan_chance_below(c, 20);
    for (guint32 r = 0; r < p->n_resources; r++)
      p->demand[i * p->n_resources + r] = (guint32)exp(plan_chance_unit(c) * 6);
  }
}

static void fill_hosts(PlanProblem *p, PlanChance *c)
{
  for (guint32 i = 0; i < p->n_items; i++)
    for (guint32 r = 0; r < p->n_resources; r++)
      p->capacity[p->initial[i] * p->n_resources + r] += p->demand[i * p->n_resources + r];
  for (guint32 h = 0; h < p->n_hosts; h++) {
    p->location[h] = h % p->n_locations;
    p->neighbourhood[h] = h / 2 % p->n_neighbourhoods;
    for (guint32 r = 0; r < p->n_resources; r++) {
      gint64 *capacity = &p->capacity[h * p->n_resources + r];
      *capacity += *capacity / 5 + plan_chance_below(c, 400);
      p->safety[h * p->n_resources + r] = *capacity * 2 / 3;
    }
    for (guint32 to = 0; to < p->n_hosts; to++)
      p->between[h * p->n_hosts + to] = h == to ? 0 : plan_chance_below(c, 5);
  }
}

/* In how many of n places is the group, and is it in this one? */
static guint32 places_of(const PlanProblem *p, guint32 group, const guint32 *map, guint32 n, bool *in)
{
  guint32 count = 0;
  for (guint32 k = 0; k < n; k++)
    in[k] = false;
  for (guint32 i = 0; i < p->n_items; i++)
    if (p->group[i] == group && !in[map[p->initial[i]]]) {
      in[map[p->initial[i]]] = true;
      count++;
    }
  return count;
}

static void fill_rules(PlanProblem *p, PlanChance *c)
{
  g_autoptr(GArray) needs = g_array_new(FALSE, FALSE, sizeof(guint32));
  bool in[64], other[64];
  for (guint32 g = 0; g < p->n_groups; g++) {
    p->spread_min[g] = plan_chance_below(c, 2) * places_of(p, g, p->location, p->n_locations, in);
    places_of(p, g, p->neighbourhood, p->n_neighbourhoods, in);
    for (guint32 k = 0; k < 3; k++) {
      guint32 needed = plan_chance_below(c, p->n_groups);
      bool good = true;
      places_of(p, needed, p->neighbourhood, p->n_neighbourhoods, other);
      for (guint32 n = 0; n < p->n_neighbourhoods; n++)
        good = good && (!in[n] || other[n]);
      if (good)
        g_array_append_val(needs, needed);
    }
    p->needs_start[g + 1] = needs->len;
  }
  p->needs = g_new0(guint32, needs->len + 1);
  for (guint i = 0; i < needs->len; i++)
    p->needs[i] = g_array_index(needs, guint32, i);
  for (guint32 i = 0; i < p->n_items; i++)
    p->host_set[i] = plan_chance_below(c, 4) ? 0 : 1;
  for (guint32 k = 0; k < (p->n_hosts + 63) / 64; k++)
    p->host_sets[k] = plan_chance_next(c);
}

PlanProblem *random_problem(guint64 seed, guint32 n_hosts, guint32 n_items)
{
  PlanProblem *p = plan_problem_new();
  PlanChance c;
  plan_chance_seed(&c, seed);
  p->n_hosts = n_hosts;
  p->n_items = n_items;
  p->n_resources = 1 + plan_chance_below(&c, 6);
  p->n_groups = n_items / 3 + 1 + n_items / n_hosts;
  p->n_locations = 1 + plan_chance_below(&c, MIN(n_hosts, 9));
  p->n_neighbourhoods = 1 + plan_chance_below(&c, 3);
  p->n_balances = plan_chance_below(&c, 3);
  p->transient = g_new0(bool, p->n_resources);
  p->load_weight = g_new0(guint64, p->n_resources);
  p->location = g_new0(guint32, n_hosts);
  p->neighbourhood = g_new0(guint32, n_hosts);
  p->capacity = g_new0(gint64, n_hosts * p->n_resources);
  p->safety = g_new0(gint64, n_hosts * p->n_resources);
  p->between = g_new0(guint32, n_hosts * n_hosts);
  p->spread_min = g_new0(guint32, p->n_groups);
  p->needs_start = g_new0(guint32, p->n_groups + 1);
  p->group = g_new0(guint32, n_items);
  p->demand = g_new0(guint32, n_items * p->n_resources);
  p->move_cost = g_new0(guint32, n_items);
  p->initial = g_new0(guint32, n_items);
  p->host_set = g_new0(guint32, n_items);
  p->n_host_sets = 1;
  p->host_sets = g_new0(guint64, (n_hosts + 63) / 64);
  p->balances = g_new0(PlanBalance, p->n_balances + 1);
  for (guint32 r = 0; r < p->n_resources; r++) {
    p->transient[r] = plan_chance_below(&c, 3) == 0;
    p->load_weight[r] = plan_chance_below(&c, 12);
  }
  for (guint32 b = 0; b < p->n_balances; b++)
    p->balances[b] = (PlanBalance){plan_chance_below(&c, p->n_resources), plan_chance_below(&c, p->n_resources), plan_chance_below(&c, 3), 10};
  p->item_weight = 1;
  p->group_weight = plan_chance_below(&c, 50);
  p->host_weight = 3;
  place_items(p, &c);
  fill_hosts(p, &c);
  fill_rules(p, &c);
  return p;
}
