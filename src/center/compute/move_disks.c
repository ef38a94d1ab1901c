// SPDX-License-Identifier: Apache-2.0
/* Volumes of a move: stand-ins on the target, the change of places, what is left behind. See move.h. */
#include "base/hash.h"
#include "center/bin.h"
#include "center/compute/move.h"
#include "center/pools.h"

#define PATIENCE_US (60 * (gint64)G_USEC_PER_SEC) /* for a host that has just gone */
#define POLL_US     (G_USEC_PER_SEC / 2)

static char *new_file(Move *move, const MoveDisk *disk)
{
  return pools_new_file(move->vm.center, disk->volume, disk->format == WS_VOLUME_FORMAT_RAW ? "raw" : "qcow2");
}

guint move_lock_pools(Task *task, const Move *move, TaskLockRef *locks, guint n)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *vm = inv_find(snap, &ws_type_vm, move->vm.id);
  for (guint i = 0; vm && i < vm->disks.len && i < MOVE_DISKS_MAX; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[i]->volume);
    if (volume)
      n = compute_add_lock(locks, n, &ws_type_pool, volume->pool);
  }
  for (guint i = 0; i < move->n_disks; i++)
    n = compute_add_lock(locks, n, &ws_type_pool, move->disks[i].pool);
  return n;
}

/* ---- reserve: the stand-ins' records ---- */

bool move_reserve(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  const InvSnapshot *snap = task_snapshot(task);
  for (guint i = 0; i < move->n_disks; i++) {
    const MoveDisk *disk = &move->disks[i];
    const WsVolume *volume = inv_find(snap, &ws_type_volume, disk->volume);
    if (!volume)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", disk->key, NULL);
    WsVolume *stand_in = inv_create_with_id(task_txn(task), &ws_type_volume, disk->stand_in);
    stand_in->name = g_strdup(volume->name);
    stand_in->pool = disk->pool;
    stand_in->kind = WS_VOLUME_KIND_DISK;
    stand_in->size_bytes = volume->size_bytes;
    stand_in->format = disk->format;
    stand_in->provisioning = disk->provisioning;
    stand_in->state = WS_VOLUME_STATE_CREATING;
    stand_in->file = new_file(move, disk);
    stand_in->created = ws_clock_wall_us(move->vm.center->clock);
    task_lock_new(task, task_txn(task), stand_in);
  }
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, move->vm.id);
  if (vm)
    compute_next_right(vm); /* the target's right to run it, when it is there (rights.c) */
  return true;
}

/* Its host has not confirmed that the file is gone, nor that it is there: that is looked up. */
static void into_bin(Task *task, const Move *move, WsId id)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, id);
  if (!volume)
    return;
  volume->state = WS_VOLUME_STATE_READY;
  bin_put_volume(move->vm.center, volume, false);
  compute_read_pool_again(move->vm.center, task_snapshot(task), volume->pool);
}

bool move_unreserve(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  bool over = move_is_over(task, move);
  for (guint i = 0; i < move->n_disks; i++) {
    WsId id = move->disks[i].stand_in;
    g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
    if (!inv_find(head, &ws_type_volume, id))
      continue;
    if (over || move->left_behind)
      into_bin(task, move, id);
    else
      inv_delete(task_txn(task), &ws_type_volume, id);
  }
  if (!over)
    move_log(task, move, task_txn(task), move->cancelled ? WS_MIGRATION_RESULT_CANCELLED : WS_MIGRATION_RESULT_FAILED);
  return true;
}

/* ---- make: their files ---- */

static bool make_one(Task *task, Move *move, const MoveDisk *disk, gint64 *allocated, GError **error)
{
  const WsVolume *stand_in = inv_find(task_snapshot(task), &ws_type_volume, disk->stand_in);
  RpcLink *link = hosts_link(move->vm.center, move->target, error);
  g_autoptr(WsRpcVolumeCreateResult) result = NULL;
  if (!link || !stand_in)
    return link ? ws_fail(error, WS_ERROR_NOT_FOUND, "object", disk->key, NULL) : false;
  WsRpcVolumeCreate params = {.pool = stand_in->pool,
                              .file = stand_in->file,
                              .size_bytes = stand_in->size_bytes,
                              .format = (int)stand_in->format,
                              .provisioning = (int)stand_in->provisioning};
  if (!rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  *allocated = result->allocated_bytes;
  return true;
}

bool move_make(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  gint64 allocated[MOVE_DISKS_MAX];
  if (!move->live)
    return true;
  for (guint i = 0; i < move->n_disks; i++)
    if (!make_one(task, move, &move->disks[i], &allocated[i], error)) {
      if (error && *error)
        ws_error_context(error, "make disk %s on the target", move->disks[i].key);
      return false;
    }
  for (guint i = 0; i < move->n_disks; i++) {
    WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, move->disks[i].stand_in);
    if (edit) {
      edit->state = WS_VOLUME_STATE_READY;
      edit->allocated_bytes = allocated[i];
    }
  }
  return true;
}

RpcLink *move_patient_link(Move *move, WsId host, GError **error)
{
  WsClock *clock = move->vm.center->clock;
  if (!move->patient_until_us)
    move->patient_until_us = ws_clock_monotonic_us(clock) + PATIENCE_US;
  for (;;) {
    g_autoptr(GError) away = NULL;
    RpcLink *link = hosts_link(move->vm.center, host, &away);
    bool may_come = ws_error_code(away) == WS_ERROR_HOST_UNREACHABLE; /* one that was removed does not */
    if (link || !may_come || ws_clock_monotonic_us(clock) >= move->patient_until_us) {
      if (away)
        g_propagate_error(error, g_steal_pointer(&away));
      return link;
    }
    ws_co_sleep(POLL_US);
  }
}

/* A QEMU that is ending may hold the file a moment longer. */
static bool delete_file(Task *task, Move *move, const MoveDisk *disk, WsId host, GError **error)
{
  const WsVolume *stand_in = inv_find(task_snapshot(task), &ws_type_volume, disk->stand_in);
  gint64 end = ws_clock_monotonic_us(move->vm.center->clock) + PATIENCE_US;
  WsRpcVolumeDelete params = {.pool = stand_in ? stand_in->pool : 0, .file = stand_in ? stand_in->file : NULL};
  while (stand_in) {
    g_autoptr(GError) failed = NULL;
    RpcLink *link = move_patient_link(move, host, &failed);
    if (link && rpc_volume_delete(link, &params, NULL, NULL, NULL, &failed))
      return true;
    bool passes = ws_error_code(failed) == WS_ERROR_IN_USE || ws_error_code(failed) == WS_ERROR_HOST_UNREACHABLE;
    if (!passes || ws_clock_monotonic_us(move->vm.center->clock) >= end) {
      g_propagate_error(error, g_steal_pointer(&failed));
      return false;
    }
    ws_co_sleep(POLL_US);
  }
  return true;
}

static void log_left_behind(Task *task, WsId host, const GError *error)
{
  char id[WS_ID_TEXT_MAX];
  const WsHost *object = inv_find(task_snapshot(task), &ws_type_host, host);
  task_log(task, "move_left_behind", "host", object ? object->name : ws_id_format("host", host, id), "reason", error->message, NULL);
}

bool move_unmake(Task *task, void *ctx, GError **error)
{
  Move *move = ctx;
  if (move_is_over(task, move))
    return true; /* its disks are there */
  for (guint i = 0; i < move->n_disks; i++) {
    g_autoptr(GError) failed = NULL;
    if (delete_file(task, move, &move->disks[i], move->target, &failed))
      continue;
    move->left_behind = true;
    log_left_behind(task, move->target, failed);
  }
  return true;
}

/* ---- over: the volumes lie on the target, the stand-ins where the volumes lay ---- */

static void swap_text(char **a, char **b)
{
  char *held = *a;
  *a = *b;
  *b = held;
}

#define SWAP(type, a, b)                                                                                               \
  do {                                                                                                                 \
    type held = a;                                                                                                     \
    a = b;                                                                                                             \
    b = held;                                                                                                          \
  } while (0)

void move_measure(Task *task, Move *move)
{
  RpcLink *link = hosts_link(move->vm.center, move->target, NULL);
  for (guint i = 0; link && i < move->n_disks; i++) {
    const WsVolume *stand_in = inv_find(task_snapshot(task), &ws_type_volume, move->disks[i].stand_in);
    WsRpcVolumeInfo params = {.pool = move->disks[i].pool, .file = stand_in ? stand_in->file : NULL, .format = move->disks[i].format};
    g_autoptr(WsRpcVolumeInfoResult) result = NULL;
    if (stand_in && rpc_volume_info(link, &params, &result, NULL, NULL, NULL, NULL) && result->exists)
      move->disks[i].allocated_bytes = result->allocated_bytes;
  }
}

void move_swap(Task *task, Move *move)
{
  for (guint i = 0; i < move->n_disks; i++) {
    WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, move->disks[i].volume);
    WsVolume *stand_in = inv_edit_id(task_txn(task), &ws_type_volume, move->disks[i].stand_in);
    if (!volume || !stand_in)
      continue;
    SWAP(WsId, volume->pool, stand_in->pool);
    SWAP(int, *(int *)&volume->format, *(int *)&stand_in->format);
    SWAP(int, *(int *)&volume->provisioning, *(int *)&stand_in->provisioning);
    SWAP(gint64, volume->allocated_bytes, stand_in->allocated_bytes);
    swap_text(&volume->file, &stand_in->file);
    stand_in->state = WS_VOLUME_STATE_READY;
    if (!move->live)
      volume->allocated_bytes = move->disks[i].allocated_bytes;
    stand_in->parent = volume->parent; /* what went over is whole */
    volume->parent = 0;
  }
}

bool move_clear_source(Task *task, Move *move)
{
  bool deleted[MOVE_DISKS_MAX] = {false}, all = true;
  for (guint i = 0; i < move->n_disks; i++) {
    g_autoptr(GError) failed = NULL;
    deleted[i] = delete_file(task, move, &move->disks[i], move->vm.host, &failed);
    if (!deleted[i])
      log_left_behind(task, move->vm.host, failed);
    all = all && deleted[i];
  }
  for (guint i = 0; i < move->n_disks; i++) {
    if (!inv_find(task_snapshot(task), &ws_type_volume, move->disks[i].stand_in))
      continue;
    if (deleted[i])
      inv_delete(task_txn(task), &ws_type_volume, move->disks[i].stand_in);
    else
      into_bin(task, move, move->disks[i].stand_in);
  }
  return all;
}
