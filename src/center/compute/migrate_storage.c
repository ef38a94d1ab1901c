// SPDX-License-Identifier: Apache-2.0
/* The task that moves disks of a VM between pools of its host. See move.h.
 *
 *     reserve      stand-ins in the pools they go to                undo: gone, or in the bin
 *     make disks   their files (of a VM that is off: copies)        undo: deleted
 *     move         the host lets the VM use them, all or none       undo: the host says which it uses, and that is entered
 *     clean up     the old files go, the log
 */
#include "center/api/allowed.h"
#include "center/compute/move.h"
#include "center/turns.h"
#include "center/verbs.h"

typedef struct {
  WsVmMoveHere rows[MOVE_DISKS_MAX], *list[MOVE_DISKS_MAX];
} Heres;

/* The files that the disks go to: before the change of places those of the stand-ins. */
static void fill_heres(Task *task, const Move *move, Heres *heres)
{
  for (guint i = 0; i < move->n_disks; i++) {
    const MoveDisk *disk = &move->disks[i];
    const WsVolume *stand_in = inv_find(task_snapshot(task), &ws_type_volume, disk->stand_in);
    heres->list[i] = &heres->rows[i];
    heres->rows[i] =
        (WsVmMoveHere){.key = (char *)disk->key, .pool = disk->pool, .file = stand_in ? stand_in->file : NULL, .format = disk->format,
                       .provisioning = disk->provisioning};
  }
}

/* ---- make disks ---- */

static bool clone_one(Task *task, Move *move, MoveDisk *disk, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsVolume *volume = inv_find(snap, &ws_type_volume, disk->volume), *stand_in = inv_find(snap, &ws_type_volume, disk->stand_in);
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, error);
  g_autoptr(WsRpcVolumeCloneResult) result = NULL;
  if (!link || !volume || !stand_in)
    return link ? ws_fail(error, WS_ERROR_NOT_FOUND, "object", disk->key, NULL) : false;
  WsRpcVolumeClone params = {.pool = volume->pool, .file = volume->file, .source_format = (int)volume->format,
                             .target_pool = stand_in->pool, .target_file = stand_in->file, .format = disk->format,
                             .provisioning = disk->provisioning, .size_bytes = WS_INT_UNSET};
  if (!rpc_volume_clone(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  disk->allocated_bytes = result->allocated_bytes;
  return true;
}

static bool make(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  g_auto(Turn) turn = {NULL};
  if (move->live)
    return move_make(task, ctx, error);
  if (!turn_take(task, move->vm.host, TURN_COPY, &turn, error))
    return false;
  for (guint i = 0; i < move->n_disks; i++)
    if (!clone_one(task, move, &move->disks[i], error))
      return false;
  for (guint i = 0; i < move->n_disks; i++) {
    WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, move->disks[i].stand_in);
    if (edit) {
      edit->state = WS_VOLUME_STATE_READY;
      edit->allocated_bytes = move->disks[i].allocated_bytes;
    }
  }
  return true;
}

/* ---- move ---- */

static void measure(Task *task, Move *move)
{
  move_measure(task, move);
  for (guint i = 0; i < move->n_disks; i++) {
    WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, move->disks[i].stand_in);
    if (edit && move->disks[i].allocated_bytes)
      edit->allocated_bytes = move->disks[i].allocated_bytes;
  }
}

static bool move_body(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  Heres heres;
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, error);
  fill_heres(task, move, &heres);
  WsRpcVmMoveDisks params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .disks = {move->n_disks, heres.list},
                             .offline = !move->live, .bandwidth_bytes_per_s = move->bandwidth_bytes_per_s};
  if (!link || !rpc_vm_move_disks(link, &params, task_progress_of_call, task, task_cancel_flag(task), error)) {
    move->cancelled = task_cancelled(task);
    if (error && *error && !move->reason)
      move->reason = g_strdup((*error)->message);
    return false;
  }
  task_no_return(task);
  measure(task, move);
  move_swap(task, move);
  return true;
}

static bool unmove(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  Heres heres;
  if (move_is_over(task, move))
    return true;
  fill_heres(task, move, &heres);
  RpcLink *link = hosts_link(move->vm.center, move->vm.host, error);
  WsRpcVmMoveDisksAbort params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .disks = {move->n_disks, heres.list}};
  g_autoptr(WsRpcVmMoveDisksAbortResult) result = NULL;
  if (!link || !rpc_vm_move_disks_abort(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  if (result->moved)
    move_swap(task, move);
  return true;
}

static bool clean_up(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  move_clear_source(task, move);
  move_log(task, move, task_txn(task), WS_MIGRATION_RESULT_DONE);
  return true;
}

/* ---- the task ---- */

typedef struct {
  Move move; /* first: steps take a Move */
  WsVmMigrate *like;
} StorageMove;

static void storage_move_end(StorageMove *s)
{
  move_end(&s->move);
  g_clear_pointer(&s->like, ws_vm_migrate_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StorageMove, storage_move_end)

/* A move to where the VM is. */
static WsVmMigrate *like_a_move(const WsVmMigrateStorage *args, WsId host)
{
  WsVmMigrate *like = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, like);
  like->host = host;
  like->pool = args->pool;
  like->bandwidth_bytes_per_s = args->bandwidth_bytes_per_s;
  for (guint i = 0; i < args->disks.len; i++)
    ws_array_add(&like->disks, ws_vm_move_disk_copy(args->disks.items[i]));
  return like;
}

static bool lock_all(Task *task, const Move *move, GError **error)
{
  TaskLockRef locks[2 + 3 * MOVE_DISKS_MAX] = {{&ws_type_vm, move->vm.id, false}, {&ws_type_host, move->vm.host, true}};
  for (guint i = 0; i < move->n_disks; i++)
    locks[2 + i] = (TaskLockRef){&ws_type_volume, move->disks[i].volume, false};
  return task_lock(task, locks, move_lock_pools(task, move, locks, 2 + move->n_disks), error);
}

bool vm_migrate_storage(Task *task, GError **error)
{
  g_auto(StorageMove) s = {.move = {.downtime_ms = WS_INT_UNSET,
                                    .carried_bytes = WS_INT_UNSET,
                                    .dirty_bytes_per_s = WS_INT_UNSET,
                                    .storage_only = true}};
  Move *move = &s.move;
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  s.like = like_a_move(task_args(task), vm->host);
  move->args = s.like;
  move->vm = (VmJob){task_center(task), vm->id, vm->host, vm->uuid};
  move->target = vm->host;
  if (!task_is_resumed(task) && !allowed_check(task_kind(task)->name, vm, error))
    return false;
  if (!move_plan(task, move, error))
    return false;
  if (move->n_disks == 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "pool", "expected", "another pool or form than the disks have", NULL);
  return lock_all(task, move, error) && TASK_STEP(task, "reserve", move_reserve, move_unreserve, move, error) &&
         TASK_STEP(task, "make disks", make, move_unmake, move, error) && TASK_STEP(task, "move", move_body, unmove, move, error) &&
         TASK_LAST(task, "clean up", clean_up, move, error);
}
