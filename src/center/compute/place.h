// SPDX-License-Identifier: Apache-2.0
/* Where a new VM goes: asks src/plan with what the inventory knows. Core loop. */
#pragma once
#include "center/compute/compute.h"
#include "plan/place.h"

/* Host of a new VM: the one asked for, or the planner's choice among those that reach its volumes and
 * `image_pool` (0: none); recorded in the task, and promised: until the VM is in the inventory others that
 * ask see it on that host, its room and its rules. The field host is refused when it is not connected, of
 * another architecture, or does not reach the volumes. `start`: it will run at once, so the host must have
 * the room now. `strategy` 0: as the hosts' clusters say. */
bool place_host(Task *task, const WsVm *draft, WsId image_pool, bool start, PlanStrategy strategy, WsId *host,
                GError **error);
/* The host that the planner takes among these and why, in the task's log. One of them must be able to. */
void place_log(Task *task, const PlanHost *hosts, guint n, const PlanDemand *demand);
/* The same for `count` alike (hosts: so many), as one: all find a place, or WS_ERROR_NO_HOST, WS_ERROR_NO_ROOM_FOR_ALL says how many do. Nothing is recorded. */
bool place_many(Task *task, const WsVm *draft, WsId image_pool, bool start, PlanStrategy strategy,
                guint count, WsId *hosts, GError **error);
/* Until place_release() others see the members that are still to come on these hosts; each gives its place up when it is placed itself. `draft` has the host
 * and the name of one member. */
void place_hold(Task *task, const WsVm *draft, bool starts);
void place_release(Task *task);
/* The task's VM is in the inventory, or will never be: what place_host() promised it of its host is forgotten. */
void place_end(Task *task);
/* Once, when the manager starts. */
void place_start(Center *center);
/* May this VM be started where it is: is its host in service, does it have the room that the ratios give, and does no affinity rule forbid it? */
bool place_admit(Center *center, const WsVm *vm, GError **error);
/* May a VM that holds its share already reserve so much more? One that is off reserves nothing yet. */
bool place_admit_change(Center *center, const WsVm *before, const WsVm *after, GError **error);
/* What a new disk takes, or the disks of one member of a deployment. */
typedef struct {
  WsId pool; /* 0: any of its host */
  gint64 promised_bytes, real_bytes;
} PlacePoolNeed;
/* Pool for a new disk on host: *pool when it is set and can be used there, else the roomiest of those that
 * can hold what it needs; where none can, the roomiest of all, so that its own check says what is missing.
 * Errors carry `field`. */
bool place_pool(const Center *center, const InvSnapshot *snap, WsId host, const PlacePoolNeed *need,
                WsId *pool, const char *field, GError **error);
/* The same for several disks of one request: each finds the pools with what those before take. The room of a
 * pool is looked at once. `snap` outlives it. */
typedef struct PlacePools PlacePools;
PlacePools *place_pools_new(const Center *center, const InvSnapshot *snap);
void place_pools_free(PlacePools *pools);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlacePools, place_pools_free)
bool place_pool_of(PlacePools *pools, WsId host, const PlacePoolNeed *need, WsId *pool, const char *field,
                   GError **error);
/* Do the pools hold all members, each on its host? WS_ERROR_NO_DISK_ROOM_FOR_ALL says how many they do. */
bool place_pools(Task *task, const PlacePoolNeed *need, const WsId *hosts, guint count, GError **error);
/* First port group of the host that serves a subnet, else its first, else 0. */
WsId place_port_group(const InvSnapshot *snap, WsId host);
