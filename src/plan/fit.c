// SPDX-License-Identifier: Apache-2.0
/* How many more fit. See fit.h. */
#include "plan/fit.h"
#include <stdlib.h>

#define MANY ((gint64)1000000000)

typedef struct {
  const PlanFitHost *hosts;
  guint n_hosts;
  PlanFitVm *vms;    /* the largest first */
  guint n_vms;
  gint64 memory_bytes, vcpus;
  gint64 *promised, *promised_vcpus; /* by host */
  gint64 *now;       /* copies to try with */
  gint64 *now_vcpus;
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

static gint64 room_of(const Fit *fit, guint host, PlanFitLimit *limit)
{
  gint64 memory = times(fit->hosts[host].memory_limit_bytes, fit->now[host], fit->memory_bytes);
  gint64 vcpus = times(fit->hosts[host].vcpus_limit, fit->now_vcpus[host], fit->vcpus);
  *limit = memory == MANY && vcpus == MANY ? PLAN_FIT_NOTHING : memory <= vcpus ? PLAN_FIT_MEMORY : PLAN_FIT_VCPUS;
  return MIN(memory, vcpus);
}

/* On the host with most memory left. */
static bool restart(Fit *fit, const PlanFitVm *vm, const bool *lost)
{
  guint best = fit->n_hosts;
  gint64 most = -1;
  for (guint i = 0; i < fit->n_hosts; i++) {
    const PlanFitHost *h = &fit->hosts[i];
    gint64 left = h->memory_limit_bytes ? h->memory_limit_bytes - fit->now[i] - vm->memory_bytes : G_MAXINT64;
    if (!lost[i] && left > most && (!h->vcpus_limit || fit->now_vcpus[i] + vm->vcpus <= h->vcpus_limit))
      best = i, most = left;
  }
  if (best == fit->n_hosts)
    return false;
  fit->now[best] += vm->memory_bytes;
  fit->now_vcpus[best] += vm->vcpus;
  return true;
}

static gint64 count(Fit *fit, const bool *lost, bool *survives, PlanFitLimit *limit)
{
  gint64 sum = 0, most = -1;
  for (guint i = 0; i < fit->n_hosts; i++) {
    fit->now[i] = fit->promised[i];
    fit->now_vcpus[i] = fit->promised_vcpus[i];
  }
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
  Fit fit = {.hosts = hosts, .n_hosts = n_hosts, .vms = g_new(PlanFitVm, n_vms + 1), .n_vms = n_vms, .memory_bytes = memory_bytes, .vcpus = vcpus,
             .promised = g_new0(gint64, 4 * (gsize)n_hosts + 1)};
  g_autofree bool *without = g_new0(bool, n_hosts + 1);
  if (lost > 1 && n_hosts > PLAN_FIT_PAIRS_MAX) {
    g_free(fit.vms);
    g_free(fit.promised);
    return false;
  }
  fit.promised_vcpus = fit.promised + n_hosts;
  fit.now = fit.promised_vcpus + n_hosts;
  fit.now_vcpus = fit.now + n_hosts;
  for (guint i = 0; i < n_vms; i++) {
    fit.vms[i] = vms[i];
    fit.promised[vms[i].host] += vms[i].memory_bytes;
    fit.promised_vcpus[vms[i].host] += vms[i].vcpus;
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
