// SPDX-License-Identifier: Apache-2.0
/* The evaluator. See check.h. Numbers of a model are kept as read, in one long array, and looked up where the format puts them. */
#include "winplan/check.h"
#include "base/error.h"
#include "winplan/numbers.h"
#include <string.h>

#define VALUE_MAX G_MAXUINT32

typedef unsigned __int128 Sum;

typedef struct {
  GArray *all; /* guint64: every number of the model */
  guint64 n_resources, n_machines, n_services, n_processes, n_balances;
  guint64 resources, machines, machine_size, processes, balances, weights; /* where they begin in `all` */
  guint64 *services;                                                       /* where each begins */
  guint64 *before, *after;                                                 /* machine of each process */
} Instance;

static guint64 at(const Instance *in, guint64 index)
{
  return g_array_index(in->all, guint64, index);
}

static bool take(Instance *in, Numbers *n, const char *what, guint64 most, guint64 *value, GError **error)
{
  if (!numbers_take(n, what, most, value, error))
    return false;
  g_array_append_val(in->all, *value);
  return true;
}

static bool skip(Instance *in, Numbers *n, guint64 count, guint64 most, GError **error)
{
  guint64 value;
  for (guint64 k = 0; k < count; k++)
    if (!take(in, n, "a whole number", most, &value, error))
      return false;
  return true;
}

static bool read_services(Instance *in, Numbers *n, GError **error)
{
  in->services = g_new0(guint64, in->n_services + 1);
  for (guint64 s = 0; s < in->n_services; s++) {
    guint64 spread, count;
    in->services[s] = in->all->len;
    if (!take(in, n, "the smallest number of locations of the service", VALUE_MAX, &spread, error) ||
        !take(in, n, "the number of services that the service depends on", in->n_services, &count, error) ||
        !skip(in, n, count, in->n_services - 1, error))
      return false;
  }
  return true;
}

static bool read_processes(Instance *in, Numbers *n, GError **error)
{
  in->processes = in->all->len;
  for (guint64 p = 0; p < in->n_processes; p++) {
    guint64 service;
    if (!in->n_services)
      return numbers_refuse(n, "at least one service", error);
    if (!take(in, n, "the service of the process", in->n_services - 1, &service, error) || !skip(in, n, in->n_resources + 1, VALUE_MAX, error))
      return false;
  }
  return true;
}

static bool read_balances(Instance *in, Numbers *n, GError **error)
{
  in->balances = in->all->len;
  for (guint64 b = 0; b < in->n_balances; b++)
    if (!skip(in, n, 2, in->n_resources - 1, error) || !skip(in, n, 2, VALUE_MAX, error))
      return false;
  return true;
}

static bool read_model(Instance *in, const CheckFile *file, GError **error)
{
  Numbers n;
  guint64 value;
  numbers_init(&n, file->name, file->text, file->n);
  guint64 most = file->n; /* more of anything than bytes: the file ends before */
  if (!take(in, &n, "the number of resources", most, &in->n_resources, error))
    return false;
  if (!in->n_resources)
    return numbers_refuse(&n, "at least one resource", error);
  in->resources = in->all->len;
  for (guint64 r = 0; r < in->n_resources; r++)
    if (!take(in, &n, "whether the resource is transient", 1, &value, error) ||
        !take(in, &n, "the load weight of the resource", VALUE_MAX, &value, error))
      return false;
  if (!take(in, &n, "the number of machines", most, &in->n_machines, error))
    return false;
  if (!in->n_machines)
    return numbers_refuse(&n, "at least one machine", error);
  in->machines = in->all->len;
  in->machine_size = 2 + 2 * in->n_resources + in->n_machines;
  if (!skip(in, &n, in->n_machines * in->machine_size, VALUE_MAX, error) || !take(in, &n, "the number of services", most, &in->n_services, error) ||
      !read_services(in, &n, error) || !take(in, &n, "the number of processes", most, &in->n_processes, error) || !read_processes(in, &n, error) ||
      !take(in, &n, "the number of balance objectives", most, &in->n_balances, error) || !read_balances(in, &n, error))
    return false;
  in->weights = in->all->len;
  return skip(in, &n, 3, VALUE_MAX, error) && numbers_end(&n, error);
}

static bool read_assignment(const Instance *in, const CheckFile *file, guint64 **machines, GError **error)
{
  Numbers n;
  numbers_init(&n, file->name, file->text, file->n);
  *machines = g_new0(guint64, in->n_processes + 1);
  for (guint64 p = 0; p < in->n_processes; p++)
    if (!numbers_take(&n, "the machine of a process", in->n_machines - 1, &(*machines)[p], error))
      return false;
  return numbers_end(&n, error);
}

/* ---- what the numbers mean ---- */

static guint64 machine(const Instance *in, guint64 m, guint64 field)
{
  return at(in, in->machines + m * in->machine_size + field);
}
static guint64 neighbourhood(const Instance *in, guint64 m)
{
  return machine(in, m, 0);
}
static guint64 location(const Instance *in, guint64 m)
{
  return machine(in, m, 1);
}
static guint64 capacity(const Instance *in, guint64 m, guint64 r)
{
  return machine(in, m, 2 + r);
}
static guint64 safety(const Instance *in, guint64 m, guint64 r)
{
  return machine(in, m, 2 + in->n_resources + r);
}
static guint64 process(const Instance *in, guint64 p, guint64 field)
{
  return at(in, in->processes + p * (in->n_resources + 2) + field);
}
static guint64 demand(const Instance *in, guint64 p, guint64 r)
{
  return process(in, p, 1 + r);
}

/* ---- rules ---- */

static void check_capacities(const Instance *in, const Sum *used, CheckResult *result)
{
  g_autofree Sum *held = g_memdup2(used, in->n_machines * in->n_resources * sizeof *used);
  for (guint64 p = 0; p < in->n_processes; p++)
    for (guint64 r = 0; r < in->n_resources; r++)
      if (at(in, in->resources + 2 * r) && in->before[p] != in->after[p])
        held[in->before[p] * in->n_resources + r] += demand(in, p, r);
  for (guint64 m = 0; m < in->n_machines && !result->broken; m++)
    for (guint64 r = 0; r < in->n_resources && !result->broken; r++)
      if (held[m * in->n_resources + r] > capacity(in, m, r))
        result->broken = g_strdup_printf("machine %" G_GUINT64_FORMAT ": more of resource %" G_GUINT64_FORMAT " than its capacity", m, r);
}

/* A set of (service, place) as a hash of "service place". */
static GHashTable *places_of(const Instance *in, guint64 (*place)(const Instance *, guint64))
{
  GHashTable *places = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  for (guint64 p = 0; p < in->n_processes; p++) {
    gint64 key = (gint64)(process(in, p, 0) << 32 | place(in, in->after[p]));
    g_hash_table_add(places, g_memdup2(&key, sizeof key));
  }
  return places;
}

static guint64 itself(const Instance *in, guint64 m)
{
  (void)in;
  return m;
}

static void check_conflicts(const Instance *in, CheckResult *result)
{
  g_autoptr(GHashTable) places = places_of(in, itself);
  if (result->broken || g_hash_table_size(places) == in->n_processes)
    return;
  g_hash_table_remove_all(places);
  for (guint64 p = 0; p < in->n_processes && !result->broken; p++) {
    gint64 key = (gint64)(process(in, p, 0) << 32 | in->after[p]);
    if (!g_hash_table_add(places, g_memdup2(&key, sizeof key)))
      result->broken = g_strdup_printf("machine %" G_GUINT64_FORMAT ": two processes of service %" G_GUINT64_FORMAT, in->after[p], process(in, p, 0));
  }
}

static void check_spread(const Instance *in, CheckResult *result)
{
  g_autoptr(GHashTable) places = places_of(in, location);
  g_autofree guint64 *n = g_new0(guint64, in->n_services + 1);
  GHashTableIter iter;
  gpointer key;
  g_hash_table_iter_init(&iter, places);
  while (g_hash_table_iter_next(&iter, &key, NULL))
    n[*(gint64 *)key >> 32]++;
  for (guint64 s = 0; s < in->n_services && !result->broken; s++)
    if (n[s] < at(in, in->services[s]))
      result->broken = g_strdup_printf("service %" G_GUINT64_FORMAT ": in %" G_GUINT64_FORMAT " locations instead of %" G_GUINT64_FORMAT, s, n[s],
                                       at(in, in->services[s]));
}

static void check_dependencies(const Instance *in, CheckResult *result)
{
  g_autoptr(GHashTable) places = places_of(in, neighbourhood);
  for (guint64 p = 0; p < in->n_processes && !result->broken; p++) {
    guint64 s = process(in, p, 0), near = neighbourhood(in, in->after[p]);
    for (guint64 k = 0; k < at(in, in->services[s] + 1) && !result->broken; k++) {
      guint64 needed = at(in, in->services[s] + 2 + k);
      gint64 key = (gint64)(needed << 32 | near);
      if (!g_hash_table_contains(places, &key))
        result->broken = g_strdup_printf("process %" G_GUINT64_FORMAT ": service %" G_GUINT64_FORMAT " is not in its neighbourhood", p, needed);
    }
  }
}

/* ---- costs ---- */

static bool keep(Sum sum, guint64 *cost, GError **error)
{
  *cost = (guint64)sum;
  return sum <= G_MAXINT64 || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "the cost", "expected", "sums of at most 63 bits", NULL);
}

static Sum load_cost(const Instance *in, const Sum *used)
{
  Sum sum = 0;
  for (guint64 m = 0; m < in->n_machines; m++)
    for (guint64 r = 0; r < in->n_resources; r++) {
      Sum u = used[m * in->n_resources + r], s = safety(in, m, r);
      sum += u > s ? (u - s) * at(in, in->resources + 2 * r + 1) : 0;
    }
  return sum;
}

/* What is free may be less than nothing where a rule is broken: signed. */
static Sum balance_cost(const Instance *in, const Sum *used)
{
  Sum sum = 0;
  for (guint64 b = 0; b < in->n_balances; b++) {
    guint64 a = at(in, in->balances + 4 * b), c = at(in, in->balances + 4 * b + 1);
    for (guint64 m = 0; m < in->n_machines; m++) {
      __int128 free_a = (__int128)capacity(in, m, a) - (__int128)used[m * in->n_resources + a];
      __int128 free_c = (__int128)capacity(in, m, c) - (__int128)used[m * in->n_resources + c];
      __int128 lack = (__int128)at(in, in->balances + 4 * b + 2) * free_a - free_c;
      sum += lack > 0 ? (Sum)lack * at(in, in->balances + 4 * b + 3) : 0;
    }
  }
  return sum;
}

static bool add_move_costs(const Instance *in, CheckResult *result, GError **error)
{
  Sum processes = 0, machines = 0;
  g_autofree guint64 *moved = g_new0(guint64, in->n_services + 1);
  guint64 most = 0;
  for (guint64 p = 0; p < in->n_processes; p++)
    if (in->before[p] != in->after[p]) {
      guint64 s = process(in, p, 0);
      processes += process(in, p, in->n_resources + 1);
      machines += machine(in, in->before[p], 2 + 2 * in->n_resources + in->after[p]);
      moved[s]++;
      most = MAX(most, moved[s]);
    }
  return keep(processes * at(in, in->weights), &result->process_moves, error) && keep((Sum)most * at(in, in->weights + 1), &result->service_moves, error) &&
         keep(machines * at(in, in->weights + 2), &result->machine_moves, error);
}

static bool evaluate(const Instance *in, CheckResult *result, GError **error)
{
  g_autofree Sum *used = g_new0(Sum, in->n_machines * in->n_resources + 1);
  for (guint64 p = 0; p < in->n_processes; p++)
    for (guint64 r = 0; r < in->n_resources; r++)
      used[in->after[p] * in->n_resources + r] += demand(in, p, r);
  if (!keep(load_cost(in, used), &result->load, error) || !keep(balance_cost(in, used), &result->balance, error) || !add_move_costs(in, result, error) ||
      !keep((Sum)result->load + result->balance + result->process_moves + result->service_moves + result->machine_moves, &result->total, error))
    return false;
  check_capacities(in, used, result);
  check_conflicts(in, result);
  check_spread(in, result);
  check_dependencies(in, result);
  return true;
}

bool check_roadef(const CheckFile *model, const CheckFile *initial, const CheckFile *solution, CheckResult *result, GError **error)
{
  Instance in = {.all = g_array_new(FALSE, FALSE, sizeof(guint64))};
  *result = (CheckResult){0};
  bool done = read_model(&in, model, error) && read_assignment(&in, initial, &in.before, error) && read_assignment(&in, solution, &in.after, error) &&
              evaluate(&in, result, error);
  g_array_free(in.all, TRUE);
  g_free(in.services);
  g_free(in.before);
  g_free(in.after);
  return done;
}
