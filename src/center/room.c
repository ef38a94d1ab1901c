// SPDX-License-Identifier: Apache-2.0
/* From the inventory to the planner's rows. See room.h. */
#include "center/room.h"
#include "plan/estate.h"

static bool add_placed(const void *object, void *arg)
{
  const WsVm *vm = object;
  PlanHost *row = arg;
  if (plan_vm_is_placed(vm)) {
    row->memory_used_bytes += vm->memory_bytes;
    row->vcpus_used += plan_vm_vcpus(vm);
  }
  return true;
}

static bool take_site(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

PlanHost room_of_host(const InvSnapshot *snap, const WsHost *host)
{
  const WsSite *site = NULL;
  inv_each(snap, &ws_type_site, take_site, &site);
  PlanRatios ratios = plan_host_ratios(site, host->cluster ? inv_find(snap, &ws_type_cluster, host->cluster) : NULL, host);
  PlanHost row = {.id = host->id,
                  .name = host->name,
                  .architecture = (int)host->architecture,
                  .connected = host->state == WS_HOST_STATE_CONNECTED,
                  .in_service = plan_host_in_service(host),
                  .cluster = host->cluster,
                  .memory_bytes = plan_host_memory_limit_bytes(host, &ratios),
                  .vcpus = plan_host_vcpus_limit(host, &ratios)};
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, add_placed, &row);
  return row;
}

PlanDemand room_demand(const WsVm *vm, bool running)
{
  return (PlanDemand){.architecture = (int)vm->architecture,
                      .memory_bytes = vm->memory_bytes,
                      .vcpus = plan_vm_vcpus(vm),
                      .running = running};
}
