// SPDX-License-Identifier: Apache-2.0
/* Where virtual machines go when hosts are emptied, one host or several in turn: the planner asked with what was decided so far. Nothing is done.
 * Functions of a snapshot; any thread. */
#pragma once
#include "center/room_rules.h"

typedef struct {
  WsId vm, to;
} EvacuationMove;

typedef struct {
  const InvSnapshot *snap; /* borrowed; outlives it */
  WsId cluster;            /* whose hosts take them; 0: those of the host pool that are in no cluster */
  WsId host_pool;
  GArray *rooms;           /* PlanHost of these, filled up as VMs are given to them */
  RoomRules *rules;
  GHashTable *moved;       /* WsId of a VM -> WsId of the host it is on by then; RoomRules looks there too */
  GHashTable *coming;      /* room_coming(): what is promised there to others holds its share */
  GHashTable *arrivals;    /* room_arrivals(): of VMs that are asked about, which may be among these */
  GPtrArray *texts;        /* owns reasons */
} Evacuation;

/* `promises`: as in room_coming(). Whoever acts on the answer passes inv_head() and the core loop's: all of
 * it then counts as it does when a VM is admitted. */
Evacuation *evacuation_new(const InvSnapshot *snap, WsId cluster, const GPtrArray *promises);
/* For this host alone: its cluster, or the hosts of its host pool that are in none either. */
Evacuation *evacuation_new_of(const InvSnapshot *snap, const WsHost *host, const GPtrArray *promises);
void evacuation_free(Evacuation *evacuation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Evacuation, evacuation_free)

/* VMs that are on the host by then, the largest first: const WsVm *, borrowed from the snapshot. The array is the caller's. */
GPtrArray *evacuation_vms_on(const Evacuation *evacuation, WsId host);
/* Another of the hosts for each VM of this one, added to `moves` (EvacuationMove; may be NULL): it is out of service and empty from then on. `spare`: the rest
 * bears the loss of so many hosts (0 to 2) more. WS_ERROR_NO_HOST naming the VMs without a place, WS_ERROR_NO_HEADROOM; then nothing is changed. */
bool evacuation_empty(Evacuation *evacuation, const WsHost *host, guint spare, GArray *moves, GError **error);
/* The host is back in service. */
void evacuation_return(Evacuation *evacuation, WsId host);
