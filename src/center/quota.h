// SPDX-License-Identifier: Apache-2.0
/* Quotas of business groups: what the VMs of a group and of all groups below it have together, and whether more of it may come.
 *
 * What is used is a sum over the inventory, and nothing of it is stored: it is added up once at start and follows each published change. So a
 * restart, a kill or a change made past the manager leaves no wrong count behind.
 *
 * Between the moment when a request is admitted and the one when its change is published lie syncs of the disk and work of hosts. Meanwhile the
 * request *holds* what it asked for, so those that come together do not pass a limit together. A hold says how large a VM is going to be; as the
 * VM grows into it nothing is counted twice. Holds are in memory alone: a task that is taken up after a restart was admitted, and holds again
 * without being asked.
 *
 * Asking and following cost by the depth of groups, not by the number of VMs. Core loop, but for what takes only a snapshot (any thread). */
#pragma once
#include "center/center.h"
#include "model/model.h"

typedef enum { QUOTA_VMS, QUOTA_VCPUS, QUOTA_MEMORY, QUOTA_DISK, N_QUOTAS } QuotaKind; /* as WsBusinessGroupLimitWhat - 1 */

typedef struct {
  gint64 of[N_QUOTAS]; /* VMs, vCPUs, bytes, bytes */
} QuotaFigures;

/* Follows the inventory from now on; free it after that is closed. */
Quotas *quotas_new(Inventory *inventory);
void quotas_free(Quotas *quotas); /* NULL is fine */

/* ---- what counts (any thread) ---- */
/* What a VM counts for now. One in the recycle bin: its disks alone, as far as they are still its own. One that is not ours (found, ignored): nothing. */
QuotaFigures quota_of_vm(const InvSnapshot *snap, const WsVm *vm);
/* What it will count for when it is managed and has these disks, new ones among them. */
QuotaFigures quota_of_draft(const InvSnapshot *snap, const WsVm *draft);
/* What it lacks of its draft's: for quota_admit(). */
QuotaFigures quota_more(const InvSnapshot *snap, const WsVm *now, const WsVm *draft);
/* Limit of a quota (may be NULL), WS_INT_UNSET: none. */
gint64 quota_limit(const WsBusinessGroupQuota *quota, QuotaKind kind);

/* ---- asking ---- */
typedef struct {
  Quotas *quotas; /* NULL: nothing is held */
  GArray *vms, *arrivals;
} QuotaHold;
void quota_hold_end(QuotaHold *hold);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QuotaHold, quota_hold_end)

typedef struct {
  WsId vm;           /* 0: one that has no id yet; then nothing can be held */
  QuotaFigures more; /* than it has, or is on the way to */
} QuotaAsk;

/* May these VMs be in `group` (0: none) and have that much more? All or none. WS_ERROR_QUOTA_EXCEEDED naming the first group, upwards, whose
 * quota would be passed by something that grows there. What is admitted is added to `hold`, which may have more already and must end when the
 * change is published or given up; NULL: only asked (dry run). */
bool quota_admit(Quotas *quotas, QuotaHold *hold, const QuotaAsk *asks, guint n, WsId group, GError **error);
/* May the group, with all below it, lie in `parent`? */
bool quota_admit_group(Quotas *quotas, QuotaHold *hold, WsId group, WsId parent, GError **error);

/* For tasks, before the first step: one VM that is going to have `more` (of what it has now) and to be in `group`. Only asks in a dry run; one that is
 * resumed was admitted, and holds again. `hold` lives as long as the task's function. */
bool quota_admit_task(Task *task, QuotaHold *hold, WsId vm, QuotaFigures more, WsId group, GError **error);

/* What the group and all below it have, without holds: running sum. */
QuotaFigures quota_used(const Quotas *quotas, WsId group);
/* Opens the alarm `quota_nearly_full` (minor) of each group that uses QUOTA_NEARLY_PERCENT or more of a limit, and closes the others. With the
 * sweep; in a coroutine. */
#define QUOTA_NEARLY_PERCENT 90
void quota_watch(Center *center);
guint quota_n_held(const Quotas *quotas); /* VMs for which something is held */
