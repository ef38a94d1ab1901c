// SPDX-License-Identifier: Apache-2.0
/* Power of hosts by what is wanted. See dpm.h. */
#include "plan/dpm.h"
#include "plan/fit.h"
#include <math.h>
#include <string.h>

/* ---- what is wanted of what is on ---- */

static PlanDpmLoad load_with(const PlanDrs *p, const PlanDpmHost *hosts, guint32 woken, guint32 asleep)
{
  double threads = 0, memory = 0, limit = 0, cpu = 0, forecast = 0, used = 0, promised = 0;
  PlanDpmLoad load = {0};
  for (guint32 i = 0; i < p->n_hosts; i++) {
    bool on = (p->hosts[i].takes || i == woken) && i != asleep;
    load.n_asleep += hosts[i].asleep && i != woken;
    if (!on)
      continue;
    load.n_on++;
    threads += p->hosts[i].threads;
    memory += (double)p->hosts[i].memory_bytes;
    limit += (double)p->hosts[i].memory_limit_bytes;
  }
  for (guint32 i = 0; i < p->n_vms; i++) {
    cpu += p->vms[i].cpu;
    forecast += p->vms[i].cpu_forecast;
    used += (double)p->vms[i].memory_used_bytes;
    promised += (double)p->vms[i].memory_bytes;
  }
  load.cpu = threads > 0 ? 100 * cpu / threads : 0;
  load.cpu_forecast = threads > 0 ? 100 * forecast / threads : 0;
  load.memory = fmax(memory > 0 ? 100 * used / memory : 0, limit > 0 ? 100 * promised / limit : 0);
  return load;
}

PlanDpmLoad plan_dpm_load(const PlanDrs *problem, const PlanDpmHost *hosts)
{
  return load_with(problem, hosts, PLAN_DRS_NOWHERE, PLAN_DRS_NOWHERE);
}

bool plan_dpm_is_low(const PlanDpmLoad *load, const PlanDpmOptions *options)
{
  return fmax(load->cpu, load->cpu_forecast) < options->low_cpu_percent && load->memory < options->low_memory_percent;
}

bool plan_dpm_is_high(const PlanDpmLoad *load, const PlanDpmOptions *options)
{
  return fmax(load->cpu, load->cpu_forecast) > options->high_cpu_percent || load->memory > options->high_memory_percent;
}

/* ---- does what is on bear the loss of hosts? ---- */

static bool bears_loss(const PlanDrs *p, guint spare)
{
  g_autoptr(GArray) hosts = g_array_new(FALSE, TRUE, sizeof(PlanFitHost)), vms = g_array_new(FALSE, TRUE, sizeof(PlanFitVm));
  g_autofree guint32 *index = g_new(guint32, p->n_hosts + 1);
  PlanFit fit;
  if (!spare)
    return true;
  for (guint32 i = 0; i < p->n_hosts; i++) {
    const PlanDrsHost *host = &p->hosts[i];
    PlanFitHost row = {host->memory_limit_bytes, host->vcpus_limit, host->memory_real_bytes,
                       host->cpu_percent};
    index[i] = host->takes ? hosts->len : PLAN_DRS_NOWHERE;
    if (host->takes)
      g_array_append_val(hosts, row);
  }
  for (guint32 i = 0; i < p->n_vms; i++) {
    const PlanDrsVm *vm = &p->vms[i];
    guint32 at = vm->host == PLAN_DRS_NOWHERE ? PLAN_DRS_NOWHERE : index[vm->host];
    PlanFitVm row = {at, vm->memory_bytes, vm->vcpus, vm->memory_reserved_bytes, vm->cpu_reserved_percent};
    if (at != PLAN_DRS_NOWHERE)
      g_array_append_val(vms, row);
  }
  return hosts->len > spare &&
         (!plan_fit((PlanFitHost *)hosts->data, hosts->len, (PlanFitVm *)vms->data, vms->len, 1, 1, MIN(spare, 2), &fit) || fit.survives);
}

/* ---- a host to switch off ---- */

/* The problem with the host empty, as DRS would empty it; false: some VM finds no place, or a host comes above the high thresholds. */
static bool can_empty(const PlanDrs *problem, const PlanDrsOptions *drs, const PlanDpmOptions *options, guint32 host)
{
  g_autofree PlanDrsHost *hosts = g_new(PlanDrsHost, problem->n_hosts + 1);
  g_autofree PlanDrsVm *vms = g_new(PlanDrsVm, problem->n_vms + 1);
  g_autofree PlanDrsLoad *loads = g_new(PlanDrsLoad, problem->n_hosts + 1);
  PlanDrsOptions only = *drs;
  PlanDrs p = *problem;
  PlanDrsResult result;
  memcpy(hosts, problem->hosts, problem->n_hosts * sizeof *hosts);
  if (problem->n_vms) /* NULL must not be copied from, not even nothing of it */
    memcpy(vms, problem->vms, problem->n_vms * sizeof *vms);
  p.hosts = hosts;
  p.vms = vms;
  hosts[host].empties = true;
  only.balance = only.heal = false;
  only.max_moves = 0;
  plan_drs(&p, &only, &result);
  for (guint i = 0; i < result.moves->len; i++) {
    const PlanDrsMove *move = &g_array_index(result.moves, PlanDrsMove, i);
    vms[move->vm].host = move->to;
  }
  plan_drs_result_clear(&result);
  for (guint32 i = 0; i < p.n_vms; i++)
    if (vms[i].host == host)
      return false;
  hosts[host].takes = false;
  plan_drs_loads(&p, loads, NULL);
  for (guint32 i = 0; i < p.n_hosts; i++)
    if (hosts[i].takes && (loads[i].cpu > options->high_cpu_percent || loads[i].memory > options->high_memory_percent))
      return false;
  return bears_loss(&p, options->spare);
}

static double cost_of(const PlanDrs *p, guint32 host)
{
  double cost = 0;
  for (guint32 i = 0; i < p->n_vms; i++)
    cost += p->vms[i].host == host ? p->vms[i].cost_s : 0;
  return cost;
}

/* The one that is emptied most cheaply, lowest number on a tie. */
static bool find_sleeper(const PlanDrs *p, const PlanDrsOptions *drs, const PlanDpmHost *hosts, const PlanDpmOptions *options, PlanDpm *out)
{
  double least = HUGE_VAL;
  for (guint32 i = 0; i < p->n_hosts; i++) {
    PlanDpmLoad after = load_with(p, hosts, PLAN_DRS_NOWHERE, i);
    if (!hosts[i].may_sleep || !p->hosts[i].takes || cost_of(p, i) >= least || plan_dpm_is_high(&after, options) || !can_empty(p, drs, options, i))
      continue;
    least = cost_of(p, i);
    out->host = i;
    out->after = after;
  }
  return least < HUGE_VAL;
}

/* The largest of those that sleep. */
static bool find_waker(const PlanDrs *p, const PlanDpmHost *hosts, PlanDpm *out)
{
  out->host = PLAN_DRS_NOWHERE;
  for (guint32 i = 0; i < p->n_hosts; i++)
    if (hosts[i].asleep && (out->host == PLAN_DRS_NOWHERE || p->hosts[i].threads > p->hosts[out->host].threads))
      out->host = i;
  if (out->host == PLAN_DRS_NOWHERE)
    return false;
  out->after = load_with(p, hosts, out->host, PLAN_DRS_NOWHERE);
  return true;
}

PlanDpm plan_dpm(const PlanDrs *problem, const PlanDrsOptions *drs, const PlanDpmHost *hosts, const PlanDpmOptions *options)
{
  PlanDpm out = {.before = plan_dpm_load(problem, hosts)};
  guint min_on = MAX(options->min_on, 1);
  out.reason = out.before.n_on < min_on                                                                    ? PLAN_DPM_FEW
               : !bears_loss(problem, options->spare)                                                      ? PLAN_DPM_SPARE
               : plan_dpm_is_high(&out.before, options) && options->high_s >= options->duration_s ? PLAN_DPM_BUSY
                                                                                                            : 0;
  if ((int)out.reason) {
    out.action = find_waker(problem, hosts, &out) ? PLAN_DPM_WAKE : PLAN_DPM_NOTHING;
    return out;
  }
  if (out.before.n_on > min_on && plan_dpm_is_low(&out.before, options) && options->low_s >= options->duration_s &&
      find_sleeper(problem, drs, hosts, options, &out)) {
    out.action = PLAN_DPM_SLEEP;
    out.reason = PLAN_DPM_IDLE;
  }
  return out;
}
