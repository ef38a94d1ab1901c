// SPDX-License-Identifier: Apache-2.0
/* Placement of one VM. See place.h. */
#include "plan/place.h"
#include <string.h>

/* Bytes of the host that the promises take: reserved ones as a whole, others as far as the ratio says. */
static double bytes_taken(const PlanHost *host, gint64 promised, gint64 reserved)
{
  double ratio = (double)host->memory_bytes / (double)host->memory_real_bytes;
  return (double)reserved + (double)(promised - reserved) / ratio;
}

const char *plan_reservation_refusal(const PlanHost *host, const PlanDemand *demand)
{
  gint64 bytes = demand->memory_reserved_bytes, percent = demand->cpu_reserved_percent;
  bool memory_known = host->memory_real_bytes > 0 && host->memory_bytes > 0;
  if (memory_known && bytes > host->memory_real_bytes)
    return "less memory in all than the VM has reserved";
  if (percent > 0 && host->cpu_percent && percent > host->cpu_percent)
    return "fewer processors in all than the VM has reserved";
  if (!demand->running)
    return NULL;
  gint64 reserved = host->memory_reserved_bytes + bytes;
  if (memory_known && reserved > 0 &&
      bytes_taken(host, host->memory_used_bytes + demand->memory_bytes, reserved) >
          (double)host->memory_real_bytes)
    return "not enough memory left beside what is reserved";
  if (percent > 0 && host->cpu_percent && host->cpu_reserved_percent + percent > host->cpu_percent)
    return "not enough processors left that are not reserved";
  return NULL;
}

const char *plan_refusal(const PlanHost *host, const PlanDemand *demand)
{
  if (demand->only_host && host->id != demand->only_host)
    return "not the host that was asked for";
  if (demand->only_cluster && host->cluster != demand->only_cluster)
    return "not in the cluster that was asked for";
  if (!host->connected)
    return "not connected";
  if (!host->reaches)
    return "does not reach the storage pools that the VM needs";
  if (!host->in_service)
    return "in maintenance mode";
  if (demand->architecture && host->architecture && host->architecture != demand->architecture)
    return "another architecture";
  if (host->memory_bytes && demand->memory_bytes > host->memory_bytes)
    return "less memory in all than the VM needs";
  if (host->vcpus && demand->vcpus > host->vcpus)
    return "fewer vCPUs in all than the VM needs";
  if (demand->running && host->memory_bytes && demand->memory_bytes > host->memory_bytes - host->memory_used_bytes)
    return "not enough memory left (overcommit ratio)";
  if (demand->running && host->vcpus && demand->vcpus > host->vcpus - host->vcpus_used)
    return "not enough vCPUs left (overcommit ratio)";
  const char *reserved = plan_reservation_refusal(host, demand);
  return reserved ? reserved : host->barred;
}

/* ---- weights ---- */

static double share(gint64 used, gint64 of)
{
  return of > 0 ? (double)used / (double)of : 0;
}

/* One whose memory nobody knows is taken to be full. */
static double promised(const PlanHost *host, const PlanDemand *demand)
{
  if (host->memory_bytes <= 0)
    return 1;
  double memory = share(host->memory_used_bytes + demand->memory_bytes, host->memory_bytes);
  return MAX(memory, share(host->vcpus_used + demand->vcpus, host->vcpus));
}

static double measured(const PlanHost *host)
{
  return MAX(host->measured_cpu_percent, host->measured_memory_percent) / 100;
}

static double use(const PlanHost *host, const PlanDemand *demand)
{
  double is_promised = promised(host, demand);
  return host->measured ? (is_promised + measured(host)) / 2 : is_promised;
}

static double fill(const PlanHost *host, const PlanDemand *demand)
{
  double is_promised = promised(host, demand);
  return host->measured ? MAX(is_promised, measured(host)) : is_promised;
}

int plan_score(const PlanHost *host, const PlanDemand *demand)
{
  return (int)(CLAMP(1 - use(host, demand), 0, 1) * 100 + 0.5);
}

PlanStrategy plan_chosen_by(const PlanHost *host, const PlanDemand *demand)
{
  PlanStrategy strategy = (int)demand->strategy ? demand->strategy : host->strategy;
  guint threshold = host->fill_percent ? host->fill_percent : PLAN_FILL_PERCENT;
  bool fills = strategy == PLAN_CONCENTRATED && fill(host, demand) * 100 <= threshold + 1e-9;
  return fills ? PLAN_CONCENTRATED : PLAN_SPREAD;
}

/* The lower one is better. */
typedef struct {
  guint dislikes;
  int turn;          /* hosts to be filled come first */
  double use, other; /* of those, the one that is used most: both are negative */
} Merit;

/* `other`: of memory and vCPUs the one of which less is promised, where hosts are used alike. */
static Merit merit_of(const PlanHost *host, const PlanDemand *demand)
{
  bool fills = plan_chosen_by(host, demand) == PLAN_CONCENTRATED;
  double other = MIN(share(host->memory_used_bytes + demand->memory_bytes, host->memory_bytes),
                     share(host->vcpus_used + demand->vcpus, host->vcpus));
  return (Merit){host->dislikes, fills ? 0 : 1, fills ? -use(host, demand) : use(host, demand),
                 fills ? -other : other};
}

static bool beats(const Merit *a, const Merit *b)
{
  if (a->dislikes != b->dislikes)
    return a->dislikes < b->dislikes;
  if (a->turn != b->turn)
    return a->turn < b->turn;
  return a->use < b->use || (!(b->use < a->use) && a->other < b->other);
}

void plan_host_add(PlanHost *host, const PlanDemand *demand, int times)
{
  host->memory_used_bytes += times * demand->memory_bytes;
  host->vcpus_used += times * demand->vcpus;
  host->memory_reserved_bytes += times * demand->memory_reserved_bytes;
  host->cpu_reserved_percent += times * demand->cpu_reserved_percent;
}

static bool is_better(const PlanHost *host, const PlanHost *best, const PlanDemand *demand)
{
  Merit a = merit_of(host, demand), b = merit_of(best, demand);
  return beats(&a, &b);
}

WsId plan_place(const PlanHost *hosts, guint n, const PlanDemand *demand, char **why)
{
  GString *reasons = g_string_new(n ? NULL : "there is no host");
  const PlanHost *best = NULL;
  Merit least = {0};
  for (guint i = 0; i < n; i++) {
    const char *reason = plan_refusal(&hosts[i], demand);
    if (reason) {
      g_string_append_printf(reasons, "%s%s: %s", reasons->len ? "; " : "", hosts[i].name, reason);
      continue;
    }
    Merit merit = merit_of(&hosts[i], demand);
    if (!best || beats(&merit, &least))
      best = &hosts[i], least = merit;
  }
  *why = g_string_free(reasons, best != NULL);
  return best ? best->id : 0;
}

/* ---- what was weighed ---- */

static void add_other(PlanChoice *choice, const PlanHost *hosts, guint host, const PlanDemand *demand)
{
  guint at = choice->n_others;
  while (at > 0 && is_better(&hosts[host], &hosts[choice->others[at - 1]], demand))
    at--;
  if (at == PLAN_OTHERS_MAX)
    return;
  guint last = MIN(choice->n_others, PLAN_OTHERS_MAX - 1);
  memmove(choice->others + at + 1, choice->others + at, (last - at) * sizeof *choice->others);
  choice->others[at] = host;
  choice->n_others = last + 1;
}

void plan_weigh(const PlanHost *hosts, guint n, const PlanDemand *demand, PlanChoice *choice)
{
  g_autoptr(GString) out = g_string_new(NULL);
  *choice = (PlanChoice){.chosen = n};
  for (guint i = 0; i < n; i++) {
    const char *reason = plan_refusal(&hosts[i], demand);
    if (reason && choice->n_out++ < PLAN_OUT_MAX)
      g_string_append_printf(out, "%s%s: %s", out->len ? "; " : "", hosts[i].name, reason);
    if (reason)
      continue;
    bool best = choice->chosen == n || is_better(&hosts[i], &hosts[choice->chosen], demand);
    if (choice->chosen != n)
      add_other(choice, hosts, best ? choice->chosen : i, demand);
    if (best)
      choice->chosen = i;
  }
  if (choice->n_out > PLAN_OUT_MAX) {
    g_string_append(out, "; ");
    g_string_append_printf(out, "%u more", choice->n_out - PLAN_OUT_MAX);
  }
  choice->out = out->len ? g_strdup(out->str) : NULL;
}

void plan_choice_clear(PlanChoice *choice)
{
  g_clear_pointer(&choice->out, g_free);
}

/* ---- many alike ---- */

typedef struct {
  PlanHost *hosts;
  guint n;
  const PlanDemand *demand;
  PlanMarks marks;
  void *arg;
} Many;

/* The lower one of two that are alike. */
static bool comes_before(const Many *m, guint a, guint b)
{
  return is_better(&m->hosts[a], &m->hosts[b], m->demand) || (!is_better(&m->hosts[b], &m->hosts[a], m->demand) && a < b);
}

static gint by_merit(gconstpointer a, gconstpointer b, gpointer many)
{
  guint x = *(const guint *)a, y = *(const guint *)b;
  return x == y ? 0 : comes_before(many, x, y) ? -1 : 1;
}

static guint best_of(const Many *m, const guint *hosts, guint n, guint best)
{
  for (guint i = 0; i < n; i++)
    if (!plan_refusal(&m->hosts[hosts[i]], m->demand) && (best == m->n || comes_before(m, hosts[i], best)))
      best = hosts[i];
  return best;
}

/* Hosts that can take one now, the best first. */
static GArray *candidates(const Many *m)
{
  GArray *hosts = g_array_new(FALSE, FALSE, sizeof(guint));
  for (guint i = 0; i < m->n; i++)
    if (!plan_refusal(&m->hosts[i], m->demand))
      g_array_append_val(hosts, i);
  g_array_sort_with_data(hosts, by_merit, (gpointer)m);
  return hosts;
}

/* Nothing but those that were given one has changed since they were put in order: of a site's thousands of hosts few are looked at again. */
static guint place_by_merit(const Many *m, guint count, guint *at)
{
  g_autoptr(GArray) order = candidates(m);
  guint n_given = 0; /* the first of them were given one at least */
  for (guint placed = 0; placed < count; placed++) {
    guint fresh = n_given < order->len ? g_array_index(order, guint, n_given) : m->n;
    guint host = best_of(m, (const guint *)order->data, n_given, fresh);
    if (host == m->n)
      return placed;
    n_given += host == fresh;
    at[placed] = host;
    plan_host_add(&m->hosts[host], m->demand, 1);
  }
  return count;
}

/* One after the other on the best host there is by then; `first` (n: none) is where the first one goes. How many found a place. */
static guint place_from(const Many *m, guint first, guint count, guint *at)
{
  if (!m->marks)
    return place_by_merit(m, count, at);
  g_autofree guint *all = g_new(guint, m->n + 1);
  for (guint i = 0; i < m->n; i++)
    all[i] = i;
  for (guint placed = 0; placed < count; placed++) {
    m->marks(m->hosts, m->n, at, placed, m->arg);
    guint host = placed == 0 && first < m->n ? first : best_of(m, all, m->n, m->n);
    if (host == m->n)
      return placed;
    at[placed] = host;
    plan_host_add(&m->hosts[host], m->demand, 1); /* also of those that do not run yet: so they are spread */
  }
  return count;
}

static void take_back(const Many *m, guint placed, const guint *at)
{
  for (guint i = 0; i < placed; i++)
    plan_host_add(&m->hosts[at[i]], m->demand, -1);
}

/* All that keep together go where the first one is: the best host for one need not be the one that has room
 * for all. */
static guint most_roomy(const Many *m, guint count)
{
  g_autofree guint *at = g_new(guint, count);
  guint best = m->n, most = 0;
  if (m->marks)
    m->marks(m->hosts, m->n, at, 0, m->arg);
  for (guint i = 0; i < m->n; i++) {
    PlanHost host = m->hosts[i];
    guint n = 0;
    while (n < count && !plan_refusal(&host, m->demand)) {
      plan_host_add(&host, m->demand, 1);
      n++;
    }
    if (n > most)
      most = n, best = i;
  }
  return best;
}

static char *reasons_of(const Many *m)
{
  PlanChoice choice;
  plan_weigh(m->hosts, m->n, m->demand, &choice);
  return choice.out ? choice.out : g_strdup("there is no host");
}

bool plan_place_many(PlanHost *hosts, guint n, const PlanDemand *demand, guint count, PlanMarks marks,
                     void *arg, guint *at, guint *fit, char **why)
{
  Many many = {hosts, n, demand, marks, arg};
  *why = NULL;
  *fit = place_from(&many, n, count, at);
  if (*fit<count && * fit> 0 && marks) {
    guint placed = *fit;
    take_back(&many, placed, at);
    *fit = place_from(&many, most_roomy(&many, count), count, at);
    if (*fit < placed) { /* it was better before */
      take_back(&many, *fit, at);
      *fit = place_from(&many, n, count, at);
    }
  }
  if (*fit == count)
    return true;
  *why = reasons_of(&many);
  return false;
}
