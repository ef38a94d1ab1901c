// SPDX-License-Identifier: Apache-2.0
/* An accepted recommendation of a disk becomes a move: the task that people use, with the limits of the
 * cluster. See drs.h, and drs_apply.c for which are begun when. */
#include "center/cluster/drs.h"
#include "base/log.h"
#include "center/pools.h"

#define BYTES_PER_MBIT 125000
#define BANDWIDTH_MIN  1048576 /* of the contract's vm_migrate_storage */

static const char *name_of(const InvSnapshot *snap, WsId id)
{
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  return pool ? pool->name : "-";
}

static WsVmMigrateStorage *args_of(const InvSnapshot *snap, const WsDrsRecommendation *advice)
{
  const WsCluster *cluster = inv_find(snap, &ws_type_cluster, advice->cluster);
  const WsClusterStorageDrs *s = cluster ? cluster->storage_drs : NULL;
  WsVmMigrateStorage *args = ws_vm_migrate_storage_new();
  WsVmMoveDisk *disk = ws_vm_move_disk_new();
  ws_apply_defaults(&ws_type_vm_migrate_storage, args);
  disk->key = g_strdup(advice->disk);
  disk->pool = advice->to_pool;
  ws_array_add(&args->disks, disk);
  if (s && s->bandwidth_mbps != WS_INT_UNSET)
    args->bandwidth_bytes_per_s = MAX(s->bandwidth_mbps * BYTES_PER_MBIT, BANDWIDTH_MIN);
  return args;
}

/* Begun by the manager before this one, which may have had no time to note it. */
static bool is_ours(const InvSnapshot *snap, const WsVm *vm)
{
  const WsTask *task = inv_find(snap, &ws_type_task, vm->activity->task);
  return task && g_strcmp0(task->cause, "drs") == 0 && g_strcmp0(task->kind, "vm_migrate_storage") == 0;
}

/* The move that is under way; 0: none could be begun. */
static WsId begin(Center *center, const InvSnapshot *snap, const WsDrsRecommendation *advice, const WsVm *vm,
                  GError **error)
{
  if (vm->activity)
    return is_ours(snap, vm) ? vm->activity->task
                             : (ws_fail(error, WS_ERROR_BUSY, "object", vm->name, "verb", vm->activity->verb,
                                        "task", "-", NULL),
                                0);
  return drs_begin_task(center, advice, "vm_migrate_storage", args_of(snap, advice), error);
}

static const WsVolume *volume_of(const InvSnapshot *snap, const WsDrsRecommendation *advice)
{
  return inv_find(snap, &ws_type_volume, advice->volume);
}

static void read_pools(Center *center, const WsDrsRecommendation *advice)
{
  const WsId pools[] = {advice->from_pool, advice->to_pool};
  for (guint i = 0; i < G_N_ELEMENTS(pools); i++) {
    g_autoptr(GError) error = NULL;
    if (!pools_read(center, pools[i], &error))
      ws_log_error(WS_LOG_WARNING, "storage-drs-did-not-read-pool", error, NULL);
  }
}

void storage_drs_do(Center *center, const InvSnapshot *snap, const WsDrsRecommendation *advice)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, advice->vm);
  const WsVolume *volume = volume_of(snap, advice);
  g_autoptr(GError) error = NULL;
  if (!vm || !volume || (volume->pool != advice->from_pool && volume->pool != advice->to_pool)) {
    drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_EXPIRED, "the disk is not there any more");
    return;
  }
  bool over = volume->pool == advice->to_pool && !vm->activity;
  WsId task = over ? 0 : begin(center, snap, advice, vm, &error);
  if (task) {
    g_autofree char *mib =
        g_strdup_printf("%" G_GINT64_FORMAT, (advice->effect ? advice->effect->disk_bytes : 0) >> 20);
    center_event(center, CENTER_INFO, &ws_type_vm, advice->vm, "drs", "storage_drs_moves", "disk",
                 advice->disk, "vm", advice->vm_name, "from", name_of(snap, advice->from_pool), "to",
                 name_of(snap, advice->to_pool), "mib", mib, NULL);
    drs_set_task(center, advice->id, task);
    task_wait(center->tasks, task, &error);
  }
  storage_drs_note_moved(center, advice->volume, advice->from_pool, advice->to_pool);
  read_pools(center, advice);
  g_autoptr(InvSnapshot) now = inv_snapshot(center->inventory);
  const WsVolume *after = volume_of(now, advice);
  if (after && after->pool == advice->to_pool) {
    drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_APPLIED, NULL);
    return;
  }
  const char *reason = error ? error->message : "it stayed where it was";
  center_event(center, CENTER_MINOR, &ws_type_vm, advice->vm, "drs", "storage_drs_failed", "disk",
               advice->disk, "vm", advice->vm_name, "to", name_of(snap, advice->to_pool), "reason", reason,
               NULL);
  drs_end_advice(center, advice->id, WS_DRS_RECOMMENDATION_STATE_FAILED, reason);
}
