// SPDX-License-Identifier: Apache-2.0
/* What a host may promise. See estate.h. */
#include "plan/estate.h"
#include <math.h>

#define CPU_RATIO_DEFAULT    4
#define MEMORY_RATIO_DEFAULT 1
#define RESERVE_PERCENT_DEFAULT 5
#define RECENT_MS               300000.0
#define RECENT_SAMPLE_MS        5000.0
#define RESERVE_MIN_BYTES ((gint64)512 << 20)

static double first_set(double a, double b, double c, double preset)
{
  return !isnan(a) ? a : !isnan(b) ? b : !isnan(c) ? c : preset;
}

PlanRatios plan_host_ratios(const WsSite *site, const WsCluster *cluster, const WsHost *host)
{
  gint64 memory = host && host->facts && host->facts->memory_bytes != WS_INT_UNSET ? host->facts->memory_bytes : 0;
  gint64 percent = site && site->host_memory_reserved_percent != WS_INT_UNSET ? site->host_memory_reserved_percent : RESERVE_PERCENT_DEFAULT;
  return (PlanRatios){
      .cpu = first_set(host ? host->cpu_overcommit_ratio : NAN, cluster ? cluster->cpu_overcommit_ratio : NAN,
                       site ? site->cpu_overcommit_ratio : NAN, CPU_RATIO_DEFAULT),
      .memory = first_set(host ? host->memory_overcommit_ratio : NAN, cluster ? cluster->memory_overcommit_ratio : NAN,
                          site ? site->memory_overcommit_ratio : NAN, MEMORY_RATIO_DEFAULT),
      .memory_reserved_bytes = MIN(memory / 2, MAX(RESERVE_MIN_BYTES, memory / 100 * percent)),
  };
}

bool plan_host_emulates(const WsHost *host)
{
  const WsHostVirtualisation *can = host->facts ? host->facts->virtualisation : NULL;
  return can && can->kind == WS_HOST_VIRTUALISATION_KIND_TCG;
}

bool plan_host_in_service(const WsHost *host)
{
  return host->mode != WS_HOST_MODE_MAINTENANCE && host->mode != WS_HOST_MODE_ENTERING_MAINTENANCE;
}

gint64 plan_host_vcpus_limit(const WsHost *host, const PlanRatios *ratios)
{
  const WsHostCpu *cpu = host->facts ? host->facts->cpu : NULL;
  return cpu && cpu->threads != WS_INT_UNSET ? (gint64)((double)cpu->threads * ratios->cpu) : 0;
}

gint64 plan_host_memory_limit_bytes(const WsHost *host, const PlanRatios *ratios)
{
  gint64 memory = host->facts && host->facts->memory_bytes != WS_INT_UNSET ? host->facts->memory_bytes : 0;
  return memory ? (gint64)((double)(memory - ratios->memory_reserved_bytes) * ratios->memory) : 0;
}

gint64 plan_host_memory_real_bytes(const WsHost *host, const PlanRatios *ratios)
{
  gint64 memory = host->facts && host->facts->memory_bytes != WS_INT_UNSET ? host->facts->memory_bytes : 0;
  return memory ? memory - ratios->memory_reserved_bytes : 0;
}

gint64 plan_host_cpu_percent(const WsHost *host)
{
  const WsHostCpu *cpu = host->facts ? host->facts->cpu : NULL;
  return cpu && cpu->threads != WS_INT_UNSET ? cpu->threads * 100 : 0;
}

/* What is five minutes old weighs a third of what is new. Without an interval: as often as hosts say it. */
double plan_mean_recent(double before, double now, gint64 interval_ms)
{
  double ms = interval_ms > 0 ? (double)interval_ms : RECENT_SAMPLE_MS;
  return isnan(now) ? before : isnan(before) ? now : now + (before - now) * exp(-ms / RECENT_MS);
}

bool plan_vm_is_placed(const WsVm *vm)
{
  int state = vm->power ? (int)vm->power->state : WS_POWER_STATE_UNKNOWN;
  return state != WS_POWER_STATE_OFF && state != WS_POWER_STATE_HIBERNATED && state != WS_POWER_STATE_CRASHED;
}

bool plan_vm_is_starting(const WsVm *vm)
{
  const char *verb = vm->activity ? vm->activity->verb : NULL;
  return g_strcmp0(verb, "starting") == 0 || g_strcmp0(verb, "resuming") == 0;
}

gint64 plan_vm_vcpus(const WsVm *vm)
{
  return vm->cpu && vm->cpu->vcpus != WS_INT_UNSET ? vm->cpu->vcpus : 1;
}

gint64 plan_vm_memory_reserved_bytes(const WsVm *vm)
{
  gint64 percent = vm->memory_policy && vm->memory_policy->reservation_percent != WS_INT_UNSET
                       ? vm->memory_policy->reservation_percent
                       : 0;
  return (gint64)((double)vm->memory_bytes * (double)percent / 100);
}

gint64 plan_vm_cpu_reserved_percent(const WsVm *vm)
{
  return vm->cpu && vm->cpu->reservation_percent != WS_INT_UNSET ? vm->cpu->reservation_percent : 0;
}

bool plan_pool_has_host(const WsPool *pool, WsId host)
{
  for (guint i = 0; i < pool->hosts.len; i++)
    if (pool->hosts.items[i] == host)
      return true;
  return false;
}

bool plan_pool_reaches(const WsPool *pool, WsId host)
{
  for (guint i = 0; i < pool->host_states.len; i++)
    if (pool->host_states.items[i]->host == host)
      return pool->host_states.items[i]->state != WS_POOL_HOST_STATE_STATE_UNREACHABLE && plan_pool_has_host(pool, host);
  return plan_pool_has_host(pool, host); /* not heard of it yet */
}
