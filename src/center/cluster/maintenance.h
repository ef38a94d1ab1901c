// SPDX-License-Identifier: Apache-2.0
/* Steps that every way into maintenance has. Core loop, in task bodies. */
#pragma once
#include "center/cluster/evacuation.h"
#include "center/center.h"

/* The ctx of these steps; a task may have more behind it. */
typedef struct {
  Center *center;
  WsId host;
} Maintenance;

/* Says the mode with the step; true also when the host has gone. */
bool maintenance_set_mode(Task *task, const Maintenance *maintenance, int mode);
/* Bodies: entering_maintenance; maintenance, when nothing runs there (WS_ERROR_HOST_NOT_EMPTY). */
bool maintenance_begin(Task *task, void *ctx, GError **error);
bool maintenance_finish(Task *task, void *ctx, GError **error);
/* A batch: VMs of the target that run move to where the planner sends them, those that are off to where they
 * can. That these stay is no failure: the host is empty all the same, and the task is partly done. */
bool maintenance_move_all(Task *task, bool running_too, bool off_too, GError **error);
/* Before "finish": the log says what stays there. */
void maintenance_log_stays(Task *task);

/* Are the host and those in service of its cluster connected? Just after the manager's start they may not be yet, whatever the inventory says. */
bool maintenance_all_there(Center *center, const InvSnapshot *snap, const WsHost *host);

/* ---- maintain.c ---- */
/* Does the task that has this host wait for somebody to say leave_maintenance? */
bool maintain_awaits_word(const InvSnapshot *snap, const WsHost *host);
/* Hosts more whose loss the cluster is to bear: what was asked for, or (WS_INT_UNSET) what DPM keeps. */
guint maintain_spare(const WsCluster *cluster, gint64 asked);
