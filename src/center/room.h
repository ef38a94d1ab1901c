// SPDX-License-Identifier: Apache-2.0
/* What hosts may promise and have promised, as the planner asks for it. Any thread: functions of a snapshot. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"
#include "plan/place.h"

/* The host's row; `reaches` is left false: it depends on the VM. Name borrowed from the snapshot. */
PlanHost room_of_host(const InvSnapshot *snap, const WsHost *host);
/* What the VM needs; `running`: now. */
PlanDemand room_demand(const WsVm *vm, bool running);
