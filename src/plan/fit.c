// SPDX-License-Identifier: Apache-2.0
/* How many more fit. See fit.h. */
#include "plan/fit.h"
#include <stdlib.h>

#define MANY ((gint64)1000000000)

typedef struct {
  gint64 memory, vcpus;   /* promised */
  gint64 memory_reserved; /* of that: kept whole, whatever the ratio */
  gint64 cpu_reserved;
} Load;

typedef struct {
  const PlanFitHost *hosts;
  guint n_hosts;
  PlanFitVm *vms;    /* the largest first */
  guint n_vms;
  gint64 memory_bytes, vcpus;
  Load *promised, *now; /* by host; now: to try with */
} Fit;

static int largest_first(const void *a, const void *b)
{
  const PlanFitVm *x = a, *y = b;
  return x->memory_bytes != y->memory_bytes ? (x->memory_bytes < y->memory_bytes ? 1 : -1) : x->vcpus < y->vcpus ? 1 : x->vcpus > y->vcpus ? -1 : 0;
}

static gint64 times(gint64 limit, gint64 used, gint64 size)
{
  return !limit || size <= 0 ? MANY : MAX(limit - used, 0) / size;
}

/* Bytes that may be promised there when so many of them are reserved: these are kept whole, the rest is
 * promised as often as the ratio says. 0: no limit is known. */
static gint64 limit_of(const PlanFitHost *host, gint64 reserved)
{
  if (reserved <= 0 || host->memory_limit_bytes <= 0 || host->memory_real_bytes <= 0)
    return host->memory_limit_bytes;
  double ratio = (double)host->memory_limit_bytes / (double)host->memory_real_bytes;
  double limit = (double)reserved + (double)(host->memory_real_bytes - reserved) * ratio;
  return (gint64)MAX(limit, 1);
}

void plan_fit_set_aside(gint64 *limit, gint64 *real, gint64 memory, gint64 reserved)
{
  if (*limit <= 0)
    return;
  if (*real <= 0) {
    *limit = MAX(*limit - memory, 1);
    return;
  }
  double ratio = (double)*limit / (double)*real;
  double left = (double)*real - (double)reserved - (double)(memory - reserved) / ratio;
  *real = (gint64)MAX(left, 1);
  *limit = (gint64)MAX(left * ratio, 1);
}

static gint64 room_of(const Fit *fit, guint host, PlanFitLimit *limit)
{
  const Load *now = &fit->now[host];
  gint64 memory = times(limit_of(&fit->hosts[host], now->memory_reserved), now->memory, fit->memory_bytes);
  gint64 vcpus = times(fit->hosts[host].vcpus_limit, now->vcpus, fit->vcpus);
  *limit = memory == MANY && vcpus == MANY ? PLAN_FIT_NOTHING : memory <= vcpus ? PLAN_FIT_MEMORY : PLAN_FIT_VCPUS;
  return MIN(memory, vcpus);
}

static void add(Load *load, const PlanFitVm *vm)
{
  load->memory += vm->memory_bytes;
  load->vcpus += vm->vcpus;
  load->memory_reserved += vm->memory_reserved_bytes;
  load->cpu_reserved += vm->cpu_reserved_percent;
}

/* Bytes that may still be promised once the VM is there; below 0: it does not fit. */
static gint64 left_with(const PlanFitHost *host, const Load *now, const PlanFitVm *vm)
{
  gint64 limit = limit_of(host, now->memory_reserved + vm->memory_reserved_bytes);
  if (host->vcpus_limit && now->vcpus + vm->vcpus > host->vcpus_limit)
    return -1;
  if (vm->cpu_reserved_percent > 0 && host->cpu_percent &&
      now->cpu_reserved + vm->cpu_reserved_percent > host->cpu_percent)
    return -1;
  return limit ? limit - now->memory - vm->memory_bytes : G_MAXINT64;
}

/* On the host with most memory left. */
static bool restart(Fit *fit, const PlanFitVm *vm, const bool *lost)
{
  guint best = fit->n_hosts;
  gint64 most = -1;
  for (guint i = 0; i < fit->n_hosts; i++) {
    gint64 left = lost[i] ? -1 : left_with(&fit->hosts[i], &fit->now[i], vm);
    if (left > most)
      best = i, most = left;
  }
  if (best == fit->n_hosts)
    return false;
  add(&fit->now[best], vm);
  return true;
}

static gint64 count(Fit *fit, const bool *lost, bool *survives, PlanFitLimit *limit)
{
  gint64 sum = 0, most = -1;
  for (guint i = 0; i < fit->n_hosts; i++)
    fit->now[i] = fit->promised[i];
  for (guint i = 0; i < fit->n_vms; i++)
    if (lost[fit->vms[i].host] && !restart(fit, &fit->vms[i], lost))
      *survives = false;
  *limit = PLAN_FIT_NOTHING;
  for (guint i = 0; i < fit->n_hosts; i++) {
    PlanFitLimit here;
    gint64 n = lost[i] ? 0 : room_of(fit, i, &here);
    sum += n;
    if (!lost[i] && n > most)
      most = n, *limit = here;
  }
  return *survives ? sum : 0;
}

static void try_without(Fit *fit, bool *lost, guint a, guint b, PlanFit *out)
{
  bool survives = true;
  PlanFitLimit limit;
  lost[a] = lost[b] = true;
  gint64 n = count(fit, lost, &survives, &limit);
  lost[a] = lost[b] = false;
  if (out->n_worst && (n > out->fit || (n == out->fit && (survives || !out->survives))))
    return;
  *out = (PlanFit){.fit = n, .fit_now = out->fit_now, .survives = survives, .worst = {a, b}, .n_worst = a == b ? 1 : 2, .limited_by = limit};
}

bool plan_fit(const PlanFitHost *hosts, guint n_hosts, const PlanFitVm *vms, guint n_vms, gint64 memory_bytes, gint64 vcpus, guint lost, PlanFit *out)
{
  Fit fit = {.hosts = hosts,
             .n_hosts = n_hosts,
             .vms = g_new(PlanFitVm, n_vms + 1),
             .n_vms = n_vms,
             .memory_bytes = memory_bytes,
             .vcpus = vcpus,
             .promised = g_new0(Load, 2 * (gsize)n_hosts + 1)};
  g_autofree bool *without = g_new0(bool, n_hosts + 1);
  if (lost > 1 && n_hosts > PLAN_FIT_PAIRS_MAX) {
    g_free(fit.vms);
    g_free(fit.promised);
    return false;
  }
  fit.now = fit.promised + n_hosts;
  for (guint i = 0; i < n_vms; i++) {
    fit.vms[i] = vms[i];
    add(&fit.promised[vms[i].host], &vms[i]);
  }
  qsort(fit.vms, n_vms, sizeof *fit.vms, largest_first);
  *out = (PlanFit){.survives = true};
  out->fit = out->fit_now = count(&fit, without, &out->survives, &out->limited_by);
  for (guint a = 0; (lost == 1 || n_hosts == 1) && lost && a < n_hosts; a++)
    try_without(&fit, without, a, a, out);
  for (guint a = 0; lost > 1 && a < n_hosts; a++)
    for (guint b = a + 1; b < n_hosts; b++)
      try_without(&fit, without, a, b, out);
  g_free(fit.vms);
  g_free(fit.promised);
  return true;
}
