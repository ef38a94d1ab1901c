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
PoolRoom pools_room(const InvSnapshot *head, const WsPool *pool);
/* Refuses what it cannot hold, by the head: from here to the record of what is to be made nothing may wait.
 * WS_ERROR_NO_CAPACITY. Core loop. */
bool pools_check_room(Task *task, WsId pool, gint64 promised_bytes, gint64 real_bytes, GError **error);
/* From here to the end the members of this dry run of a batch ("REQUEST/1", "REQUEST/2") each find the pools
 * with what those before would take. */
void pools_begin_on_paper(Center *center, const char *request);
void pools_end_on_paper(Center *center, const char *request);
/* A VM but `self` (0: any) that has the volume as a disk, for itself or together with others; one in the recycle bin only remembers its
 * disks. NULL: none has. Borrowed from snap. */
const WsVm *pools_other_user(const InvSnapshot *snap, const WsVolume *volume, WsId self);
/* The same, whatever user the volume names. */
const WsVm *pools_sharer(const InvSnapshot *snap, const WsVolume *volume, WsId self);
/* The same as the first, of those that are not known to be off: what they write tears a copy. */
const WsVm *pools_writer(const InvSnapshot *snap, const WsVolume *volume);
