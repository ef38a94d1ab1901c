// SPDX-License-Identifier: Apache-2.0
/* What hosts may promise and have promised, as the planner asks for it. Any thread: functions of a snapshot. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"
#include "plan/cpu.h"
#include "plan/place.h"

/* The host's row; `reaches` is left false: it depends on the VM. Name borrowed from the snapshot. */
PlanHost room_of_host(const InvSnapshot *snap, const WsHost *host);
/* What the VM needs; `running`: now. */
PlanDemand room_demand(const WsVm *vm, bool running);
/* What guests can have of the processor on every host of the cluster; hosts of which nothing is known are in `unknown` only. Model NULL: there is
 * no baseline. `without` (0: none) is left out. Caller frees. */
WsClusterCpuBaseline *room_cpu_baseline(const InvSnapshot *snap, WsId cluster, WsId without);
/* Bars hosts whose processor lacks what the VM counts on; `from` (NULL: it does not run): where it runs. `texts` keeps the reasons: one that frees. */
void room_cpus_weigh(const InvSnapshot *snap, const WsVm *vm, const WsHost *from, PlanHost *hosts, guint n, GPtrArray *texts);
/* What the baseline that the other hosts make has and this one lacks: sorted names. Empty: it lowers nothing, or nothing is known. g_strfreev(). */
char **room_cpu_lowered(const InvSnapshot *snap, WsId cluster, const WsHost *host);
/* What the VM counts on and guests of `to` cannot have; `from` (NULL: it does not run): where it runs. A
 * custom model that is emulated there is not looked at. Sorted names; empty: nothing. g_strfreev(). */
char **room_cpu_missing(const WsVm *vm, const WsHost *from, const WsHost *to);
