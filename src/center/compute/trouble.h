// SPDX-License-Identifier: Apache-2.0
/* Alarms of VMs in trouble: one that crashed, stands still, was lost with its host, waits for a host that is away, or misses a disk.
 *
 * They follow from what the inventory says, not from events: each VM whose state changed is looked at anew, all of them when the manager
 * starts, and those of hosts that are away once a minute. So what happened while manager or agent were down is found as well, and an alarm
 * ends with its condition however that came about. Of a VM whose state is not known what was known last stays. Core loop. */
#pragma once
#include "center/center.h"

Troubles *troubles_new(Center *center); /* begins to watch; all VMs are looked at soon */
void troubles_free(Troubles *troubles);
/* Nothing is left to be looked at. */
bool troubles_are_told(const Troubles *troubles);
/* What only time tells: hosts that have been away for long. Once a minute; in a coroutine. */
void troubles_watch(Center *center);
