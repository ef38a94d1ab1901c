// SPDX-License-Identifier: Apache-2.0
/* What other domains ask of pools: storage/pool.c, storage/pool_hosts.c, storage/room.c. */
#pragma once
#include "center/center.h"
#include "model/model.h"

/* Has capacity and files of the pool read anew, and waits for it: what its volumes take is known of their
 * last reading only. In a coroutine. WS_ERROR_NOT_FOUND, errors of the host. */
bool pools_read(Center *center, WsId pool, GError **error);
/* File name of a volume in its pool, with that ending: unique over sites, because a pool may outlive the manager that filled it. Caller
 * frees. */
char *pools_new_file(const Center *center, WsId volume, const char *ending);
/* Alarms of how full pools are, whatever moved: their files, their size, a threshold, what is promised. With the sweep; in a coroutine. */
void pools_watch_fill(Center *center);
/* What a pool can still hold: bytes that may be promised (capacity x overcommit) and bytes that are free,
 * what is being made counted. */
typedef struct {
  gint64 promised_bytes, real_bytes; /* G_MAXINT64: nothing is known */
} PoolRoom;
PoolRoom pools_room(const Center *center, const InvSnapshot *head, const WsPool *pool);
/* Room that a task has found and whose record is not there yet: others do not find it meanwhile. Given back
 * when it goes out of scope, or by pools_let_go() in the body whose transaction has the record. One for all
 * pools of the task. */
typedef struct {
  Task *task; /* NULL: it holds nothing */
} PoolsHold;
/* Refuses what it cannot hold, by the head and what others hold; else it is held. WS_ERROR_NO_CAPACITY. Core
 * loop. */
bool pools_check_room(Task *task, PoolsHold *hold, WsId pool, gint64 promised_bytes, gint64 real_bytes,
                      GError **error);
/* Held without a check: by a task that goes on with what it had been let do. */
void pools_hold_again(Task *task, PoolsHold *hold, WsId pool, gint64 promised_bytes, gint64 real_bytes);
void pools_let_go(PoolsHold *hold);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PoolsHold, pools_let_go)
/* Has the pool read anew, and waits for it, where so many blocks are refused only because it was read so long
 * ago that it may not show yet what thick disks took. Before a task looks at anything else: it may have
 * changed by then. 0 as the pool: nothing. */
void pools_look_again(Task *task, WsId pool, gint64 real_bytes);
/* From here to the end the members of this dry run of a batch ("REQUEST/1", "REQUEST/2") each find the pools
 * with what those before would take. */
void pools_begin_on_paper(Center *center, const char *request);
/* A member is through; one that was refused takes nothing. */
void pools_note_on_paper(Center *center, const char *request, bool refused);
void pools_end_on_paper(Center *center, const char *request);
/* A VM but `self` (0: any) that has the volume as a disk, for itself or together with others; one in the recycle bin only remembers its
 * disks. NULL: none has. Borrowed from snap. */
const WsVm *pools_other_user(const InvSnapshot *snap, const WsVolume *volume, WsId self);
/* The same, whatever user the volume names. */
const WsVm *pools_sharer(const InvSnapshot *snap, const WsVolume *volume, WsId self);
/* The same as the first, of those that are not known to be off: what they write tears a copy. */
const WsVm *pools_writer(const InvSnapshot *snap, const WsVolume *volume);
