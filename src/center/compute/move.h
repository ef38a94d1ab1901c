// SPDX-License-Identifier: Apache-2.0
/* Moving a VM: what the files of a move share. Core loop, in coroutines.
 *
 *     move_plan.c    what goes where, and what stands against it; nothing is changed
 *     move_disks.c   volumes on the target that stand in for those of the VM until it is over, then for what is left behind
 *     move_foresee.c what it is expected to take: bytes, how long, how long the guest stands still
 *     move_follow.c  both hosts asked, decided upon (plan/move.h), told; the one way to learn where the VM is
 *     move_carry.c   the same of a VM that is off: its files are carried, and it is defined there
 *     migrate.c      the task
 *     migrate_storage.c  the task that moves disks only, on one host: the target is the VM's own host
 *
 * A stand-in is a volume of its own in the target's pool: it counts there, and a crash leaves no file without a record. When the VM has gone
 * over, in one transaction with its host, each volume and its stand-in change places: the volume keeps its id and lies on the target,
 * the stand-in is what lies on the source still, and is deleted. */
#pragma once
#include "center/compute/compute.h"
#include "plan/move.h"

#define MOVE_DISKS_MAX 64

typedef struct {
  const char *key;
  const char *was_file;        /* where it lay when the task began */
  WsId volume, stand_in, pool; /* pool: where it goes */
  int format, provisioning;    /* as volumes have them */
  gint64 allocated_bytes;      /* of the stand-in; known from move_make() or move_measure() on */
  gint64 copied_bytes;         /* by what is known of it, holes left out; known while it is planned */
} MoveDisk;

typedef struct {
  const char *key;
  WsId port_group;
} MoveNic;

typedef struct {
  VmJob vm;              /* first; host: where it is when the task begins */
  const WsVmMigrate *args;
  WsId target;
  bool storage_only;     /* target == vm.host */
  int strategy;          /* WsVmMigrateStrategy; of the request, else of the cluster */
  gint64 bandwidth_bytes_per_s; /* the same; WS_INT_UNSET: no limit */
  const char *network;   /* of the target's cluster; NULL: hosts use the address by which they reach the manager */
  bool live, was_paused;
  char stands_still[65]; /* while its memory goes: QEMU's version, which is why; "": it goes on */
  gint64 began_us;       /* wall */
  const char *session;
  MoveDisk disks[MOVE_DISKS_MAX];
  guint n_disks;
  MoveNic nics[32];
  guint n_nics;
  WsMigrationForecast *forecast; /* owned; NULL: none was made */
  /* known while this run of the function lasts */
  bool begun, left_behind, cancelled, went;
  char *refused;         /* what the target refused the source; owned; NULL: nothing */
  char *reason;          /* why it did not succeed; owned */
  gint64 downtime_ms, carried_bytes, dirty_bytes_per_s; /* the last: at most */
  gint64 told_passes;    /* of its memory, in the log */
  gint64 patient_until_us; /* monotonic; hosts that are away are not waited for any longer */
} Move;

/* ---- move_plan.c ---- */
/* Fills *move: chosen once, read from the choices ever after. WS_ERROR_CANNOT_MOVE with all that stands against it, also asked of
 * both hosts. */
bool move_plan(Task *task, Move *move, GError **error);
/* The VM as it will be on the target, for its host. Caller frees. */
WsVmSpec *move_spec_there(Task *task, const Move *move, GError **error);
/* A port group of this host with the name and VLAN of `like`, or NULL. Borrowed from snap. */
const WsPortGroup *move_group_like(const InvSnapshot *snap, WsId host, const WsPortGroup *like);
/* The VM's host is the target and its disks are where they go, durably. */
bool move_is_over(Task *task, const Move *move);

/* ---- move_foresee.c ---- */
/* Makes its forecast; waits for the log of moves, and, if it may, while its host measures the guest.
 * Everything else of it is planned by then. */
void move_foresee(Move *move, const InvSnapshot *snap, const WsVm *vm, bool may_measure);
/* As JSON, "" of none, for clients or to be kept; caller frees. And back. */
char *move_forecast_text(const Move *move);
void move_take_forecast(Move *move, const char *text);

/* ---- move_target.c ---- */
/* How it moves, as the request and then the clusters say. */
void move_settle_ways(const InvSnapshot *snap, Move *move);
/* Rooms of the hosts that the planner may choose from, moves under way to them and what is promised counted:
 * PlanHost. Caller unrefs. */
GArray *move_rooms(Center *center, const InvSnapshot *snap, const WsVm *vm, WsId cluster);
/* Step: waits until not too many others leave or reach the two hosts. */
bool move_wait_turn(Task *task, void *ctx, GError **error);
/* Looks once whether it is the turn of task `me`, by what is recorded and by turns that were taken and are
 * not recorded yet; takes it. 0, or the host which has as many as it may (limit). Core loop. */
WsId move_take_turn(Center *center, const InvSnapshot *head, WsId me, WsId from, WsId to, guint *limit);
/* Of one that is off: its host does not start what lies there any more; back: it may again. */
bool move_pass_lease(Task *task, Move *move, bool back, GError **error);
#define MOVE_TURN "wait its turn"

/* ---- move_disks.c: steps; ctx is the Move ---- */
bool move_reserve(Task *task, void *ctx, GError **error);
bool move_unreserve(Task *task, void *ctx, GError **error);
bool move_make(Task *task, void *ctx, GError **error);
bool move_unmake(Task *task, void *ctx, GError **error);
/* What arrived takes so much of its pool; as far as the target says. */
void move_measure(Task *task, Move *move);
/* In a body's transaction: volumes and stand-ins change places. */
void move_swap(Task *task, Move *move);
/* Adds locks of the pools that its disks lie in and go to: none is to be taken from a host while the VM is on its way there. n: how many locks
 * there are; gives how many there are then, at most 2 * MOVE_DISKS_MAX more. */
guint move_lock_pools(Task *task, const Move *move, TaskLockRef *locks, guint n);
/* Deletes what lies on the source still; what cannot be deleted goes to the recycle bin. In a body; false: some could not. */
bool move_clear_source(Task *task, Move *move);

/* ---- move_follow.c ---- */
typedef enum { MOVE_STAYED, MOVE_WENT, MOVE_ENDED } MoveOutcome;
/* Begins the move if `may_begin`, and sees to it until it is known where the VM is and nothing of it is elsewhere. A cancel is passed on.
 * False: it could not be begun, or (when undoing) a host that must be asked is away. */
bool move_follow(Task *task, Move *move, bool may_begin, MoveOutcome *outcome, GError **error);
/* The link of a host. One that is away is waited for, half a minute in all: after a restart of the manager all are. */
RpcLink *move_patient_link(Move *move, WsId host, GError **error);
/* Ends the session on both hosts, as far as they can be reached within a while; an agent that is not ends it by itself (docs/moving.md). */
void move_close(Move *move);
/* The parts of it that move_carry.c needs, too. */
bool move_start(Task *task, Move *move, GError **error);
WsRpcVmMigrateStatusResult *move_status(Move *move, WsId host); /* NULL: cannot be asked. Caller frees */
void move_tell_progress(Task *task, Move *move, const WsRpcVmMigrateStatusResult *source);
void move_keep_reason(Move *move, const WsRpcVmMigrateStatusResult *source);
/* The target refused what the source asked it for: that is why, whatever the source says. */
void move_keep_refusal(Move *move, const WsRpcVmMigrateStatusResult *target);
/* Always false: the error of such a move. */
bool move_fail_refused(Task *task, const Move *move, GError **error);
void move_cancel(Move *move);
void move_drop(Move *move, GError **error); /* what arrived on the target goes */

/* ---- move_carry.c ---- */
/* Begins it if need be and waits until all of the VM lies on the target, too, defined and off. */
bool move_carry(Task *task, Move *move, GError **error);
/* Stops it and removes the definition from the target; the source may be started again. False: the source is away. */
bool move_uncarry(Task *task, Move *move, GError **error);

/* ---- migrate.c ---- */
void move_end(Move *move); /* frees what it owns */
void move_log(Task *task, Move *move, InvTxn *txn, int result);
