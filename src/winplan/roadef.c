// SPDX-License-Identifier: Apache-2.0
/* Reading and writing the challenge's files. See roadef.h. */
#include "winplan/roadef.h"
#include "base/error.h"
#include "winplan/numbers.h"
#include <string.h>

#define WEIGHT_MAX G_MAXUINT32
#define DEPENDENCIES_MAX 50000000u

/* Arrays grow no larger than what the file can fill: each number takes two bytes at least. */
static bool fits_file(const Numbers *n, guint64 count, const char *what, GError **error)
{
  return count <= (guint64)(n->end - n->at) / 2 + 1 || numbers_refuse(n, what, error);
}

static bool read_resources(PlanProblem *p, Numbers *n, GError **error)
{
  if (!numbers_take32(n, "the number of resources", PLAN_RESOURCES_MAX, &p->n_resources, error))
    return false;
  if (p->n_resources == 0)
    return numbers_refuse(n, "at least one resource", error);
  p->transient = g_new0(bool, p->n_resources);
  p->load_weight = g_new0(guint64, p->n_resources);
  for (guint32 r = 0; r < p->n_resources; r++) {
    guint64 transient;
    if (!numbers_take(n, "whether the resource is transient", 1, &transient, error) ||
        !numbers_take(n, "the load weight of the resource", WEIGHT_MAX, &p->load_weight[r], error))
      return false;
    p->transient[r] = transient;
  }
  return true;
}

static bool read_room(Numbers *n, gint64 *room, guint32 count, const char *what, GError **error)
{
  for (guint32 r = 0; r < count; r++) {
    guint64 value;
    if (!numbers_take(n, what, G_MAXUINT32, &value, error))
      return false;
    room[r] = (gint64)value;
  }
  return true;
}

static bool read_hosts(PlanProblem *p, Numbers *n, GError **error)
{
  if (!numbers_take32(n, "the number of machines", PLAN_HOSTS_MAX, &p->n_hosts, error))
    return false;
  if (p->n_hosts == 0)
    return numbers_refuse(n, "at least one machine", error);
  gsize hosts = p->n_hosts;
  if (!fits_file(n, hosts * (2 + 2 * p->n_resources + hosts), "a file with all these machines", error))
    return false;
  p->location = g_new0(guint32, hosts);
  p->neighbourhood = g_new0(guint32, hosts);
  p->capacity = g_new0(gint64, hosts * p->n_resources);
  p->safety = g_new0(gint64, hosts * p->n_resources);
  p->between = g_new0(guint32, hosts * hosts);
  for (gsize h = 0; h < hosts; h++) {
    if (!numbers_take32(n, "the neighbourhood of the machine", PLAN_HOSTS_MAX - 1, &p->neighbourhood[h], error) ||
        !numbers_take32(n, "the location of the machine", PLAN_HOSTS_MAX - 1, &p->location[h], error) ||
        !read_room(n, p->capacity + h * p->n_resources, p->n_resources, "a capacity of the machine", error) ||
        !read_room(n, p->safety + h * p->n_resources, p->n_resources, "a safety capacity of the machine", error))
      return false;
    for (gsize to = 0; to < hosts; to++)
      if (!numbers_take32(n, "the cost of a move to another machine", G_MAXUINT32, &p->between[h * hosts + to], error))
        return false;
  }
  return true;
}

/* Locations and neighbourhoods are names: numbered anew without gaps. */
static guint32 number_anew(guint32 *names, guint32 n)
{
  g_autofree guint32 *number = g_new0(guint32, PLAN_HOSTS_MAX);
  guint32 count = 0;
  for (guint32 i = 0; i < n; i++) {
    if (!number[names[i]])
      number[names[i]] = ++count;
    names[i] = number[names[i]] - 1;
  }
  return count;
}

static bool read_groups(PlanProblem *p, Numbers *n, GError **error)
{
  if (!numbers_take32(n, "the number of services", PLAN_ITEMS_MAX, &p->n_groups, error) ||
      !fits_file(n, (guint64)p->n_groups * 2, "a file with all these services", error))
    return false;
  p->spread_min = g_new0(guint32, (gsize)p->n_groups + 1);
  p->needs_start = g_new0(guint32, (gsize)p->n_groups + 1);
  g_autoptr(GArray) needs = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (guint32 g = 0; g < p->n_groups; g++) {
    guint32 count;
    if (!numbers_take32(n, "the smallest number of locations of the service", PLAN_HOSTS_MAX, &p->spread_min[g], error) ||
        !numbers_take32(n, "the number of services that the service depends on", p->n_groups, &count, error))
      return false;
    for (; count; count--) {
      guint32 needed;
      if (!numbers_take32(n, "a service that the service depends on", p->n_groups - 1, &needed, error))
        return false;
      if (needs->len == DEPENDENCIES_MAX)
        return numbers_refuse(n, "fewer dependencies", error);
      g_array_append_val(needs, needed);
    }
    p->needs_start[g + 1] = needs->len;
  }
  p->needs = (guint32 *)(void *)g_array_free(g_steal_pointer(&needs), FALSE);
  return true;
}

static bool read_items(PlanProblem *p, Numbers *n, GError **error)
{
  if (!numbers_take32(n, "the number of processes", PLAN_ITEMS_MAX, &p->n_items, error) ||
      !fits_file(n, (guint64)p->n_items * (2 + p->n_resources), "a file with all these processes", error))
    return false;
  if (p->n_items && !p->n_groups)
    return numbers_refuse(n, "at least one service", error);
  gsize items = p->n_items;
  p->group = g_new0(guint32, items + 1);
  p->demand = g_new0(guint32, items * p->n_resources + 1);
  p->move_cost = g_new0(guint32, items + 1);
  for (gsize i = 0; i < items; i++) {
    if (!numbers_take32(n, "the service of the process", p->n_groups - 1, &p->group[i], error))
      return false;
    for (guint32 r = 0; r < p->n_resources; r++)
      if (!numbers_take32(n, "a demand of the process", G_MAXUINT32, &p->demand[i * p->n_resources + r], error))
        return false;
    if (!numbers_take32(n, "the move cost of the process", G_MAXUINT32, &p->move_cost[i], error))
      return false;
  }
  return true;
}

static bool read_balances(PlanProblem *p, Numbers *n, GError **error)
{
  if (!numbers_take32(n, "the number of balance objectives", PLAN_BALANCES_MAX, &p->n_balances, error))
    return false;
  p->balances = g_new0(PlanBalance, p->n_balances + 1);
  for (guint32 b = 0; b < p->n_balances; b++) {
    PlanBalance *balance = &p->balances[b];
    if (!numbers_take32(n, "the first resource of the balance objective", p->n_resources - 1, &balance->a, error) ||
        !numbers_take32(n, "the second resource of the balance objective", p->n_resources - 1, &balance->b, error) ||
        !numbers_take(n, "the target of the balance objective", WEIGHT_MAX, &balance->target, error) ||
        !numbers_take(n, "the weight of the balance objective", WEIGHT_MAX, &balance->weight, error))
      return false;
  }
  return true;
}

static bool read_model(PlanProblem *p, Numbers *n, GError **error)
{
  if (!read_resources(p, n, error) || !read_hosts(p, n, error) || !read_groups(p, n, error) || !read_items(p, n, error) ||
      !read_balances(p, n, error) || !numbers_take(n, "the weight of process moves", WEIGHT_MAX, &p->item_weight, error) ||
      !numbers_take(n, "the weight of service moves", WEIGHT_MAX, &p->group_weight, error) ||
      !numbers_take(n, "the weight of machine moves", WEIGHT_MAX, &p->host_weight, error) || !numbers_end(n, error))
    return false;
  p->n_locations = number_anew(p->location, p->n_hosts);
  p->n_neighbourhoods = number_anew(p->neighbourhood, p->n_hosts);
  return true;
}

static bool read_assignment(PlanProblem *p, Numbers *n, GError **error)
{
  p->initial = g_new0(guint32, (gsize)p->n_items + 1);
  for (gsize i = 0; i < p->n_items; i++)
    if (!numbers_take32(n, "the machine of a process", p->n_hosts - 1, &p->initial[i], error))
      return false;
  return numbers_end(n, error);
}

PlanProblem *roadef_read(const char *model_name, const char *model, gsize model_n, const char *assignment_name, const char *assignment,
                         gsize assignment_n, GError **error)
{
  g_autoptr(PlanProblem) p = plan_problem_new();
  Numbers numbers;
  numbers_init(&numbers, model_name, model, model_n);
  if (!read_model(p, &numbers, error))
    return NULL;
  numbers_init(&numbers, assignment_name, assignment, assignment_n);
  if (!read_assignment(p, &numbers, error))
    return NULL;
  return g_steal_pointer(&p);
}

void roadef_write(GString *out, const guint32 *at, guint32 n)
{
  for (guint32 i = 0; i < n; i++) {
    char digits[12];
    guint k = sizeof digits;
    digits[--k] = i + 1 < n ? ' ' : '\n';
    guint32 v = at[i];
    do
      digits[--k] = (char)('0' + v % 10);
    while (v /= 10);
    g_string_append_len(out, digits + k, sizeof digits - k);
  }
}
