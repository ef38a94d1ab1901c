// SPDX-License-Identifier: Apache-2.0
/* The recycle bin: how VMs and volumes go in and out, and what becomes of those that nobody fetches.
 *
 * When something is deleted by itself stands with it (bin_expires), so people see it before it happens. It follows from the site's setting,
 * and once a minute from its changes: shortened, nothing goes before a day has passed; switched on, what is there already counts from then. What
 * the platform put there without knowing whether somebody still writes it is held: it has no such time.
 *
 * What is due is deleted by the tasks that people use, as user "system", with an audit record each; wiped if its deletion said so. What is
 * refused or fails (a linked clone stands on it) stays, has the alarm `bin_stuck`, and is tried again after an hour; what no host reaches
 * whose clock is the manager's (within an hour) waits without one: a clock that jumps empties no bin.
 *
 * A manager may know less than what is: restored from an older backup, off for weeks, its clock wrong when something was put here. So what is to go
 * was seen as due within a day for a day of its run before; who looks at it has that time. And what a host has defined is not in the bin, whatever
 * the inventory says: it has the alarm `bin_stuck` and an event, and only people delete it. In memory is only what was seen and tried lately. Core loop. */
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

/* ---- what hosts have defined (bin_seen.c) ---- */
void bin_seen_defined(Center *center, WsId host, const char *uuid);   /* the VM is in the bin */
void bin_seen_undefined(Center *center, WsId host, const char *uuid); /* host 0: whichever had it */
/* All that it has, asked for since `began_us` (monotonic). */
void bin_seen_list(Center *center, WsId host, GHashTable *uuids, gint64 began_us);
void bin_seen_away(Center *center, WsId host);
bool bin_seen_is_listed(const Center *center, WsId host);
WsId bin_seen_where(const Center *center, const char *uuid); /* 0: nowhere */

/* Times that the setting has moved, alarms, and what is due: begins its tasks and does not wait for them. Once a minute, in a coroutine. */
void bin_watch(Center *center);
void bin_free(Center *center);
