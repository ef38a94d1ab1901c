// SPDX-License-Identifier: Apache-2.0
/* What hosts may promise and have promised, as the planner asks for it. Any thread: functions of a snapshot. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"
#include "plan/cpu.h"
#include "plan/place.h"

/* The one site; NULL only before the first start has made it. */
const WsSite *room_site(const InvSnapshot *snap);
/* What is promised to VMs that are not on their hosts yet, by host: those that move or are taken over there,
 * and `promises` (RoomPromise; NULL: none), which only the core loop may look at. For room_of_host(); unref.
 */
GHashTable *room_coming(const InvSnapshot *snap, const GPtrArray *promises);
/* The same for a move (its task; 0: none has begun): without its own way, and without those of its batch that
 * are still in line. */
GHashTable *room_coming_beside(const InvSnapshot *snap, const GPtrArray *promises, WsId task);
/* Host that this move (its record) sends its VM to: the one it has chosen, or (*in_line) that an evacuation
 * has chosen for it, whose turn has not come. 0: none, or it has ended. */
WsId room_way(const InvSnapshot *snap, const WsTask *task, bool *in_line);
/* The host's row: VMs that run there hold their share, those that are being started, and `coming` (NULL: not
 * looked at). Whoever promises room passes inv_head() and all that comes: nothing must be promised twice.
 * `reaches` is left false: it depends on the VM. Name borrowed from the snapshot. */
PlanHost room_of_host(const InvSnapshot *snap, const WsHost *host, GHashTable *coming);
/* Adds what comes there, as room_of_host() does. */
void room_add_coming(PlanHost *row, GHashTable *coming);
/* Is this VM among those whose share that row has, `coming` aside? */
bool room_holds(const InvSnapshot *snap, WsId vm, WsId host);
/* What the VM needs; `running`: now. */
PlanDemand room_demand(const WsVm *vm, bool running);
/* What guests can have of the processor on every host of the cluster; hosts of which nothing is known are in `unknown` only. Model NULL: there is
 * no baseline. `without` (0: none) is left out. Caller frees. */
WsClusterCpuBaseline *room_cpu_baseline(const InvSnapshot *snap, WsId cluster, WsId without);
/* What the VM counts on and guests of `to` cannot have; `from` (NULL: it does not run): where it runs. A
 * custom model that is emulated there is not looked at. Sorted names; empty: nothing. g_strfreev(). */
char **room_cpu_missing(const WsVm *vm, const WsHost *from, const WsHost *to);
/* Bars hosts whose processor lacks what the VM counts on; `from` (NULL: it does not run): where it runs. `texts` keeps the reasons: one that frees. */
void room_cpus_weigh(const InvSnapshot *snap, const WsVm *vm, const WsHost *from, PlanHost *hosts, guint n, GPtrArray *texts);
/* What the baseline that the other hosts make has and this one lacks: sorted names. Empty: it lowers nothing, or nothing is known. g_strfreev(). */
char **room_cpu_lowered(const InvSnapshot *snap, WsId cluster, const WsHost *host);
