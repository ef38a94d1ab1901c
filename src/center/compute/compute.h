// SPDX-License-Identifier: Apache-2.0
/* Inside of the compute domain: what its files share. Core loop, in coroutines. */
#pragma once
#include "center/center.h"
#include "center/hosts/hosts.h"
#include "model/model.h"
#include "rpc/methods.h"

/* ---- what a host is told (spec.c) ---- */
/* The VM with its references resolved: volumes to pool and file, port groups to bridge and VLAN. WS_ERROR_BAD_REFERENCE. Caller frees. */
WsVmSpec *compute_spec(const InvSnapshot *snap, const WsVm *vm, GError **error);

/* ---- what a host says (report.c) ---- */
/* Writes a host's report into an edited VM: power, guest, pending restart, and settings that were left to the host's defaults. What is older
 * than what is known of it (looks.c): nothing. */
void compute_take_report(Center *center, WsVm *vm, const WsVmReport *report);
void compute_take_power(Center *center, WsVm *vm, const WsPower *power);

/* Reason of a VM that is off and ran when it was last heard of; nobody is known to have stopped it. */
#define COMPUTE_ENDED_UNSEEN "ended_unseen"
/* The guest panicked, or its emulator died: then it is off, with a reason of libvirt's. */
bool compute_has_crashed(const WsPower *power);

/* ---- what is older than what is known (looks.c) ---- */
/* Whether a look of this number is no older than the newest that told of the VM. WS_INT_UNSET: as new as can be. */
bool compute_is_news(Center *center, WsId host, const char *uuid, gint64 look);
void compute_note_look(Center *center, WsId host, const char *uuid, gint64 look);
/* The calls, with their looks noted: no list that was read before counts against them. `cancel` and `report` may be NULL. */
bool compute_undefine(Center *center, WsId host, const WsRpcVmUndefine *params, GError **error);
bool compute_define(Center *center, WsId host, const WsRpcVmDefine *params, volatile gint *cancel, WsVmReport **report, GError **error);

/* ---- the right to run a VM (rights.c) ---- */
#define COMPUTE_GRANT "grant" /* the step's name */
/* The VM's next right to run, in an edit: greater than all before. */
void compute_next_right(WsVm *vm);
/* A step's body; ctx begins with a VmJob: the VM's next generation, durable. Before a step that has a host start it. */
bool compute_grant(Task *task, void *ctx, GError **error);
gint64 compute_granted(Task *task); /* WS_INT_UNSET: nothing was */
void compute_take_lease(WsVm *vm, const WsVmLease *lease); /* a host has seen a greater one: so has the edited VM. NULL is fine */
/* Events and alarms of what its own host says of its lease; vm: as known before. */
void compute_tell_lease(Center *center, WsId host, const WsVm *vm, const WsVmReport *report);
/* A VM of ours on a host that is not its own: left behind, newer than what is known here, stale, or for a person to decide. In a coroutine. */
bool compute_take_elsewhere(Center *center, WsId host, const WsVm *vm, const WsVmReport *report, GError **error);
static inline bool compute_is_on(int state)
{
  return state == WS_POWER_STATE_RUNNING || state == WS_POWER_STATE_PAUSED || state == WS_POWER_STATE_IO_HELD || state == WS_POWER_STATE_CRASHED;
}

/* ---- networks change (follow.c) ---- */
void compute_follow_networks(Center *center); /* at start */
/* A full report of a VM: when its NICs are not defined as they should be, it is defined anew soon. */
void compute_compare_nics(Center *center, const InvSnapshot *snap, const WsVm *vm, const WsVmSpec *reported);

/* ---- VMs made past the platform (found.c) ---- */
/* Fills a found VM from its host's report: settings, the volumes and port groups that are its own, what stands against adopting it. Marks
 * those volumes as used in the same transaction. */
void compute_fill_found(Center *center, InvTxn *txn, WsVm *vm, const WsVmReport *report);
/* NICs get the port groups of the VM's host that the report names. */
void compute_link_nics(const InvSnapshot *head, WsVm *vm, const WsVmSpec *spec);
const char *compute_found_name(const WsVmReport *report); /* borrowed */
/* The VM leaves: its volumes are free. */
void compute_release_volumes(InvTxn *txn, const WsVm *vm);
/* Makes volumes of the VM's files that are none yet. Asks the host. WS_ERROR_NOT_ALLOWED: one cannot be a volume. */
bool compute_adopt_volumes(Center *center, RpcLink *link, InvTxn *txn, WsVm *vm, const WsVmSpec *spec, GError **error);

/* ---- tasks on one VM ---- */
typedef struct {
  Center *center;
  WsId id, host;
  const char *uuid; /* borrowed from the function's snapshot */
} VmJob;
/* Finds the target, checks that `kind` is allowed in its state (not when resumed), locks it. */
bool compute_begin(Task *task, VmJob *job, GError **error);
/* The VM as it is now, or WS_ERROR_NOT_FOUND. Borrowed from snap. */
const WsVm *compute_find(const InvSnapshot *snap, WsId id, GError **error);
RpcLink *compute_link(const VmJob *job, GError **error);
/* Appends a shared lock to the first n unless it is there; the new n. There must be room. */
guint compute_add_lock(TaskLockRef *locks, guint n, const WsType *type, WsId id);
/* A file of the pool may be there or not: its hosts are read anew, soon. */
void compute_read_pool_again(Center *center, const InvSnapshot *snap, WsId pool);
/* Before a way without return begins: WS_ERROR_WRONG_STATE when the pool is suspended, for its host would
 * refuse to delete the file. A resumed task holds the pool and is not asked. */
bool compute_pool_takes_deletes(Task *task, WsId pool, GError **error);
/* Waits until the VM's power state is one of `states` (bits 1 << state). False: WS_ERROR_DEADLINE_EXCEEDED or
 * cancelled. */
bool compute_wait_power(Task *task, WsId id, guint states, gint64 timeout_us, const char *what,
                        GError **error);

static inline int compute_power_state(const WsVm *vm)
{
  return vm->power ? (int)vm->power->state : WS_POWER_STATE_UNKNOWN;
}

/* First free key "disk-0", "nic-1", ... given how to look one up. Caller frees. */
char *compute_free_key(const char *stem, bool (*taken)(const char *key, const void *arg), const void *arg);
bool compute_has_disk(const char *key, const void *vm);
bool compute_has_cdrom(const char *key, const void *vm);
bool compute_has_nic(const char *key, const void *vm);

/* What a VM has reserved of processors is no more than it can use: its vCPUs, its ceiling. */
bool compute_check_reservation(const WsVmCpu *cpu, GError **error);
/* A MAC address no VM has, in QEMU's range 52:54:00. Caller frees. */
char *compute_new_mac(Center *center, const InvSnapshot *snap);
/* Completes a draft's disks, CD drives and NICs: keys, MAC addresses. */
void compute_complete_devices(Center *center, const InvSnapshot *snap, WsVm *draft);
/* Refuses a draft that refers to what cannot be used on `host`: volumes in use, foreign hosts, missing port groups; with field. */
bool compute_check_devices(const InvSnapshot *snap, const WsVm *draft, WsId self, WsId host, GError **error);

/* May the VM be deleted in its state? A running one is refused; one whose host is away, too. */
bool compute_may_delete(Task *task, const WsVm *vm, GError **error);
