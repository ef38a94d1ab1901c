// SPDX-License-Identifier: Apache-2.0
/* The recycle bin: how VMs and volumes go in and out, and what becomes of those that nobody fetches.
 *
 * When something is deleted by itself stands with it (bin_expires), so people see it before it happens. It follows from the site's setting,
 * and once a minute from its changes: shortened, nothing goes before a day has passed; switched on, what is there already counts from then. What
 * the platform put there without knowing whether somebody still writes it is held: it has no such time.
 *
 * What is due is deleted by the tasks that people use, as user "system", with an audit record each; wiped if its deletion said so. What is
 * refused or fails (a linked clone stands on it) stays, has the alarm `bin_stuck`, and is tried again after an hour; what no host reaches
 * whose clock is the manager's (within an hour) waits without one: a clock that jumps empties no bin. In memory is only what was tried lately. Core loop. */
#pragma once
#include "center/center.h"
#include "model/model.h"

/* Edits in a transaction of the caller's. wipe: overwritten when it is deleted. */
void bin_put_vm(Center *center, WsVm *vm, bool wipe);
void bin_put_volume(Center *center, WsVolume *volume, bool wipe);
/* The same, for what is not deleted by itself. */
void bin_hold_volume(WsVolume *volume, gint64 now_us);
void bin_take_vm(WsVm *vm);
void bin_take_volume(WsVolume *volume);
/* One that somebody restores alone: the VM that is in the bin has it no more. It names it yet, and has it again if it is back first. */
void bin_take_volume_alone(const InvSnapshot *snap, WsVolume *volume);
/* It is deleted with its VM, which is `vm`: it is that's own, and nobody fetched it from the bin. */
bool bin_volume_goes(const WsVolume *volume, const WsVm *vm);

/* Times that the setting has moved, alarms, and what is due: begins its tasks and does not wait for them. Once a minute, in a coroutine. */
void bin_watch(Center *center);
void bin_free(Center *center);
