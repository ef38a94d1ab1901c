// SPDX-License-Identifier: Apache-2.0
/* The move of a VM that is off. See move.h.
 *
 * Nothing runs, so there is nothing to decide between: the source has the VM until the inventory says otherwise, and the inventory says
 * so when both hosts have been asked and each has it defined and off. What lies on the target until then is thrown away by an undo. */
#include "center/compute/move.h"

#define POLL_US (G_USEC_PER_SEC / 4)
#define CLOSE_US (60 * (gint64)G_USEC_PER_SEC) /* for the source's work to end once it was told to */

static bool is_off(const WsRpcVmMigrateStatusResult *status)
{
  return status && status->domain == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OFF;
}

static bool fail_away(Move *move, WsId host, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  return hosts_link(move->vm.center, host, error) &&
         ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", ws_id_format(ws_type_host.prefix, host, id), NULL);
}

static bool fail_carried(Task *task, Move *move, GError **error)
{
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *vm = inv_find(snap, &ws_type_vm, move->vm.id);
  const WsHost *source = inv_find(snap, &ws_type_host, move->vm.host), *target = inv_find(snap, &ws_type_host, move->target);
  if (move->cancelled)
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", move->reason, NULL);
  return ws_fail(error, WS_ERROR_MOVE_FAILED, "object", vm ? vm->name : move->vm.uuid, "from",
                 source ? source->name : ws_id_format("host", move->vm.host, from), "to",
                 target ? target->name : ws_id_format("host", move->target, to), "cause", move->reason ? move->reason : "-", NULL);
}

/* All was sent: is it what both hosts have? */
static bool check_both(Task *task, Move *move, const WsRpcVmMigrateStatusResult *source, GError **error)
{
  g_autoptr(WsRpcVmMigrateStatusResult) target = move_status(move, move->target);
  if (!target)
    return fail_away(move, move->target, error);
  if (is_off(source) && is_off(target))
    return true;
  if (!move->reason)
    move->reason = g_strdup(!is_off(source) ? "it was started on its host meanwhile" : "it is not on the target any more");
  return fail_carried(task, move, error);
}

/* Before the inventory says that the VM is elsewhere its old host has it on disk that it went: an older inventory, or a person at that host,
 * cannot start the copy there. A host that does not know the call, or the VM any more, has nothing to say. */
bool move_pass_lease(Task *task, Move *move, bool back, GError **error)
{
  const WsVm *vm = inv_find(task_snapshot(task), &ws_type_vm, move->vm.id);
  g_autoptr(GError) failed = NULL;
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, error);
  WsRpcVmLeasePass params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .generation = vm ? vm->run_generation : 0, .back = back};
  if (!link)
    return false;
  if (params.generation < 1 || rpc_vm_lease_pass(link, &params, NULL, NULL, NULL, &failed) || ws_error_code(failed) == WS_ERROR_PEER_OLDER ||
      (back && ws_error_code(failed) == WS_ERROR_NOT_FOUND))
    return true;
  g_propagate_error(error, g_steal_pointer(&failed));
  return false;
}

bool move_carry(Task *task, Move *move, GError **error)
{
  for (;;) {
    g_autoptr(WsRpcVmMigrateStatusResult) source = move_status(move, move->vm.host);
    if (!source)
      return fail_away(move, move->vm.host, error);
    move_tell_progress(task, move, source);
    move_keep_reason(move, source);
    move->cancelled = move->cancelled || task_cancelled(task);
    switch (source->job) {
    case WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_DONE:
      return check_both(task, move, source, error);
    case WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_FAILED: {
      g_autoptr(WsRpcVmMigrateStatusResult) target = move_status(move, move->target);
      move_keep_refusal(move, target);
      return move->refused ? move_fail_refused(task, move, error) : fail_carried(task, move, error);
    }
    case WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE:
      if (move->cancelled)
        return ws_fail(error, WS_ERROR_CANCELLED, NULL);
      if (!move_start(task, move, error))
        return false;
      break;
    default:
      if (move->cancelled)
        move_cancel(move);
      ws_co_sleep(POLL_US);
    }
  }
}

bool move_uncarry(Task *task, Move *move, GError **error)
{
  gint64 end_us = ws_clock_monotonic_us(move->vm.center->clock) + CLOSE_US;
  for (;;) {
    g_autoptr(WsRpcVmMigrateStatusResult) source = move_status(move, move->vm.host);
    if (!source)
      return fail_away(move, move->vm.host, error);
    move_keep_reason(move, source);
    if (source->job != WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING)
      break;
    if (ws_clock_monotonic_us(move->vm.center->clock) >= end_us)
      return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the end of the move", "timeout", "60 s", NULL);
    move_cancel(move);
    ws_co_sleep(POLL_US);
  }
  if (!move_pass_lease(task, move, true, error))
    return false;
  move_close(move);
  g_autoptr(GError) left = NULL;
  move_drop(move, &left); /* a target that is away loses it when it is back: take_elsewhere() in report.c */
  return true;
}
