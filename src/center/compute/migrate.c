// SPDX-License-Identifier: Apache-2.0
/* The task that moves a VM to another host. See move.h.
 *
 *     reserve      stand-ins on the target's pools                  undo: gone, or in the bin
 *     make disks   their files                                      undo: deleted
 *     move         until both hosts agree where the VM is; with the inventory's word for it in the same transaction
 *     clean up     what the source has of it still, the log
 *
 * From the moment the VM is known to be on the target nothing is undone any more. An undo that finds it there (the manager was down while it
 * went over) enters it there. */
#include "base/log.h"
#include "center/api/allowed.h"
#include "center/compute/move.h"
#include "center/verbs.h"
#include <string.h>

/* ---- log ---- */

static char *object_text(const WsType *type, WsId id)
{
  char text[WS_ID_TEXT_MAX];
  return id ? g_strdup(ws_id_format(type->prefix, id, text)) : NULL;
}

static void log_disks(Task *task, const Move *move, WsMigration *row)
{
  for (guint i = 0; i < move->n_disks; i++) {
    const MoveDisk *disk = &move->disks[i];
    char to[WS_ID_TEXT_MAX];
    ws_array_add(&row->disks, g_strdup_printf("%s: %s", disk->key, ws_id_format(ws_type_pool.prefix, disk->pool, to)));
  }
}

void move_log(Task *task, Move *move, InvTxn *txn, int result)
{
  const WsVm *vm = inv_find(task_snapshot(task), &ws_type_vm, move->vm.id);
  const WsTask *record = inv_find(task_snapshot(task), &ws_type_task, task_id(task));
  WsMigration *row = ws_migration_new();
  row->time = ws_clock_wall_us(move->vm.center->clock);
  row->started = move->began_us;
  row->vm = object_text(&ws_type_vm, move->vm.id);
  row->vm_name = g_strdup(vm ? vm->name : NULL);
  row->kind = move->storage_only ? WS_MIGRATION_KIND_STORAGE : move->n_disks ? WS_MIGRATION_KIND_BOTH : WS_MIGRATION_KIND_HOST;
  row->live = move->live;
  row->from_host = object_text(&ws_type_host, move->vm.host);
  row->to_host = object_text(&ws_type_host, move->target);
  row->strategy = g_strdup(move->live && !move->storage_only && move->strategy ? ws_vm_migrate_strategy_names[move->strategy - 1] : NULL);
  row->owner = g_strdup(record && record->owner ? record->owner : "system");
  row->cause = g_strdup(record ? record->cause : NULL);
  row->task = object_text(&ws_type_task, task_id(task));
  row->result = result;
  row->reason = g_strdup(move->reason);
  row->duration_ms = MAX((row->time - row->started) / 1000, 0);
  row->downtime_ms = result == WS_MIGRATION_RESULT_DONE && move->live && !move->was_paused ? move->downtime_ms : WS_INT_UNSET;
  row->bytes = move->carried_bytes;
  row->dirty_bytes_per_s = move->dirty_bytes_per_s;
  row->forecast = move->forecast ? ws_migration_forecast_copy(move->forecast) : NULL;
  log_disks(task, move, row);
  inv_append_history(txn, row);
}

/* ---- move ---- */

static const char *name_of(Task *task, WsId host, char *buffer)
{
  const WsHost *object = inv_find(task_snapshot(task), &ws_type_host, host);
  return object ? object->name : ws_id_format("host", host, buffer);
}

/* What the target says of it now; the domain may have ended meanwhile, that is no fault of the move. */
static WsVmReport *report_of(Move *move)
{
  RpcLink *link = hosts_link(move->vm.center, move->target, NULL);
  WsRpcVmGet params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid};
  g_autoptr(WsRpcVmGetResult) result = NULL;
  return link && rpc_vm_get(link, &params, &result, NULL, NULL, NULL, NULL) ? g_steal_pointer(&result->report) : NULL;
}

/* In the body's transaction, after its last wait. */
static void enter_there(Task *task, Move *move, const WsVmReport *report)
{
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, move->vm.id);
  if (!vm)
    return;
  vm->host = move->target;
  for (guint i = 0; i < vm->nics.len; i++)
    for (guint j = 0; j < move->n_nics; j++)
      if (strcmp(vm->nics.items[i]->key, move->nics[j].key) == 0)
        vm->nics.items[i]->port_group = move->nics[j].port_group;
  if (report)
    compute_take_report(move->vm.center, vm, report);
  move_swap(task, move);
}

static bool fail_move(Task *task, Move *move, MoveOutcome outcome, GError **error)
{
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  const WsVm *vm = inv_find(task_snapshot(task), &ws_type_vm, move->vm.id);
  const char *name = vm ? vm->name : move->vm.uuid;
  if (outcome == MOVE_ENDED)
    return ws_fail(error, WS_ERROR_MOVE_ENDED_OFF, "object", name, "from", name_of(task, move->vm.host, from), "cause",
                   move->reason, NULL);
  if (move->refused)
    return move_fail_refused(task, move, error);
  if (move->cancelled)
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", move->reason, NULL);
  return ws_fail(error, WS_ERROR_MOVE_FAILED, "object", name, "from", name_of(task, move->vm.host, from), "to",
                 name_of(task, move->target, to), "cause", move->reason, NULL);
}

static bool move_body(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  MoveOutcome outcome = MOVE_WENT;
  task_log(task, "move_begins", "from", name_of(task, move->vm.host, from), "to", name_of(task, move->target, to), NULL);
  if (*move->stands_still)
    task_log(task, "move_stands_still", "qemu", move->stands_still, NULL);
  if (!(move->live ? move_follow(task, move, true, &outcome, error) : move_carry(task, move, error))) {
    if (error && *error && !move->reason)
      move->reason = g_strdup((*error)->message);
    return false;
  }
  if (outcome != MOVE_WENT)
    return fail_move(task, move, outcome, error);
  if (!move->live && !move_pass_lease(task, move, false, error))
    return false;
  g_autoptr(WsVmReport) report = report_of(move);
  if (!move->live)
    move_measure(task, move);
  g_autofree char *downtime = g_strdup_printf("%" G_GINT64_FORMAT, MAX(move->downtime_ms, 0));
  task_log(task, "move_went_over", "to", name_of(task, move->target, to), "downtime", downtime, NULL);
  task_no_return(task);
  enter_there(task, move, report);
  return true;
}

/* Defines it where it is, as the inventory has it: with its autostart mark, and the ids of port groups there. *report may be NULL. */
static bool define_at(Task *task, Move *move, WsId host, WsVmReport **report, GError **error)
{
  const WsVm *vm = compute_find(task_snapshot(task), move->vm.id, error);
  g_autoptr(WsVmSpec) spec = vm ? compute_spec(task_snapshot(task), vm, error) : NULL;
  WsRpcVmDefine params = {.spec = spec};
  return spec && compute_define(move->vm.center, host, &params, NULL, report, error);
}

/* The same before the inventory has it there: best effort. Returns what the target says of it, or NULL. */
static WsVmReport *define_there(Task *task, Move *move)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = move_spec_there(task, move, &error);
  WsRpcVmDefine params = {.spec = spec};
  WsVmReport *report = NULL;
  if (spec && compute_define(move->vm.center, move->target, &params, NULL, &report, &error))
    return report;
  ws_log_error(WS_LOG_WARNING, "moved-vm-not-defined", error, "uuid", move->vm.uuid, NULL);
  return report_of(move);
}

static void take(Task *task, Move *move, const WsVmReport *report)
{
  WsVm *edit = report ? inv_edit_id(task_txn(task), &ws_type_vm, move->vm.id) : NULL;
  if (edit)
    compute_take_report(move->vm.center, edit, report);
}

static bool unmove(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  char from[WS_ID_TEXT_MAX];
  MoveOutcome outcome = MOVE_STAYED;
  if (!move->live && move_is_over(task, move))
    return true;
  if (!(move->live ? move_follow(task, move, false, &outcome, error) : move_uncarry(task, move, error)))
    return false;
  move_close(move);
  if (outcome == MOVE_WENT) {
    g_autoptr(WsVmReport) report = define_there(task, move);
    enter_there(task, move, report);
    hosts_catch_up(move->vm.center, move->vm.host); /* what it has left there is cleared when it is read anew */
    return true;
  }
  task_log(task, "move_stays", "from", name_of(task, move->vm.host, from), "reason", move->reason ? move->reason : "-", NULL);
  g_autoptr(WsVmReport) report = NULL;
  if (!define_at(task, move, move->vm.host, &report, error))
    return false;
  take(task, move, report);
  return true;
}

/* ---- clean up: best effort, and what is left is told ---- */

static bool undefine_source(Move *move, GError **error)
{
  WsRpcVmUndefine params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid};
  return move_patient_link(move, move->vm.host, error) && compute_undefine(move->vm.center, move->vm.host, &params, error);
}

static bool clean_up(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  g_autoptr(GError) failed = NULL;
  move_close(move);
  if (!undefine_source(move, &failed)) {
    char from[WS_ID_TEXT_MAX];
    task_log(task, "move_left_behind", "host", name_of(task, move->vm.host, from), "reason", failed->message, NULL);
  }
  g_autoptr(GError) undefined = NULL;
  g_autoptr(WsVmReport) report = NULL;
  if (!define_at(task, move, move->target, &report, &undefined))
    ws_log_error(WS_LOG_WARNING, "moved-vm-not-defined", undefined, "uuid", move->vm.uuid, NULL);
  move_clear_source(task, move);
  take(task, move, report);
  move_log(task, move, task_txn(task), WS_MIGRATION_RESULT_DONE);
  return true;
}

/* ---- the task ---- */

void move_end(Move *move)
{
  g_clear_pointer(&move->forecast, ws_migration_forecast_free);
  g_clear_pointer(&move->refused, g_free);
  g_clear_pointer(&move->reason, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Move, move_end)

static bool lock_all(Task *task, const Move *move, GError **error)
{
  TaskLockRef locks[3 + 3 * MOVE_DISKS_MAX] = {
    {&ws_type_vm, move->vm.id, false}, {&ws_type_host, move->vm.host, true}, {&ws_type_host, move->target, true}};
  for (guint i = 0; i < move->n_disks; i++)
    locks[3 + i] = (TaskLockRef){&ws_type_volume, move->disks[i].volume, false};
  return task_lock(task, locks, move_lock_pools(task, move, locks, 3 + move->n_disks), error);
}

bool vm_migrate(Task *task, GError **error)
{
  g_auto(Move) move = {.args = task_args(task),
                       .downtime_ms = WS_INT_UNSET,
                       .carried_bytes = WS_INT_UNSET,
                       .dirty_bytes_per_s = WS_INT_UNSET};
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  move.vm = (VmJob){task_center(task), vm->id, vm->host, vm->uuid};
  move.target = move.args->host;
  if (!task_is_resumed(task) && !allowed_check(task_kind(task)->name, vm, error))
    return false;
  return move_plan(task, &move, error) && lock_all(task, &move, error) && TASK_STEP(task, MOVE_TURN, move_wait_turn, NULL, &move, error) &&
         TASK_STEP(task, "reserve", move_reserve, move_unreserve, &move, error) &&
         TASK_STEP(task, "make disks", move_make, move_unmake, &move, error) && /* of one that is off they are made as they arrive */
         TASK_STEP(task, "move", move_body, unmove, &move, error) && TASK_LAST(task, "clean up", clean_up, &move, error);
}
