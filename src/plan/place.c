// SPDX-License-Identifier: Apache-2.0
/* Placement of one VM. See place.h. */
#include "plan/place.h"

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
  return host->barred;
}

static double free_share(const PlanHost *host, const PlanDemand *demand)
{
  if (host->memory_bytes <= 0)
    return 0;
  return (double)(host->memory_bytes - host->memory_used_bytes - demand->memory_bytes) / (double)host->memory_bytes;
}

static bool is_better(const PlanHost *host, const PlanHost *best, const PlanDemand *demand)
{
  if (!best || host->dislikes != best->dislikes)
    return !best || host->dislikes < best->dislikes;
  return free_share(host, demand) > free_share(best, demand);
}

WsId plan_place(const PlanHost *hosts, guint n, const PlanDemand *demand, char **why)
{
  GString *reasons = g_string_new(n ? NULL : "there is no host");
  const PlanHost *best = NULL;
  for (guint i = 0; i < n; i++) {
    const char *reason = plan_refusal(&hosts[i], demand);
    if (reason)
      g_string_append_printf(reasons, "%s%s: %s", reasons->len ? "; " : "", hosts[i].name, reason);
    else if (is_better(&hosts[i], best, demand))
      best = &hosts[i];
  }
  *why = g_string_free(reasons, best != NULL);
  return best ? best->id : 0;
}
