// SPDX-License-Identifier: Apache-2.0
/* What stays on a host that goes into maintenance: virtual machines that do not run, and volumes that nobody uses on pools that only it reaches.
 * Functions of a snapshot, and the task's words for it. */
#pragma once
#include "inventory/inventory.h"
#include "task/task.h"

typedef enum {
  STAYS_OFF,
  STAYS_HIBERNATED,
  STAYS_CRASHED,
  STAYS_IN_BIN,
  STAYS_NOT_MANAGED,
  STAYS_VOLUMES,
  N_STAYS
} StaysKind;

typedef struct {
  struct {
    GString *names; /* the first of them */
    guint n;
  } of[N_STAYS];
} HostStays;

/* `move`: those that are off are to go, and are left out. */
void host_stays_find(HostStays *stays, const InvSnapshot *snap, WsId host, bool move);
void host_stays_clear(HostStays *stays);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostStays, host_stays_clear)
/* All of it in one text; NULL: nothing stays. Caller frees. */
char *host_stays_text(const HostStays *stays);

/* VMs that are off and can be asked to move: const WsVm *, borrowed from snap, in the order of their ids. Caller unrefs. */
GPtrArray *host_stays_movable(const InvSnapshot *snap, WsId host);

/* In the task's log. */
void host_stays_log(Task *task, WsId host);
/* A dry run: a line for each kind of what stays. */
bool host_stays_add_steps(Task *task, const char *host, const HostStays *stays, GError **error);
bool host_stays_tell(Task *task, WsId host, bool move, GError **error);
