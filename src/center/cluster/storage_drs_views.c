// SPDX-License-Identifier: Apache-2.0
/* What storage DRS sees of a cluster. See drs.h. On workers; nothing is done. */
#include "center/api/view.h"
#include "center/cluster/drs.h"
#include "center/verbs.h"

#define PINNED_MAX 256

static WsStorageDrsPool *pool_row(const StorageDrsPicture *picture, guint32 index)
{
  const PlanStorageDrsPool *pool = &picture->plan.pools[index];
  WsStorageDrsPool *row = ws_storage_drs_pool_new();
  row->pool = g_array_index(picture->pools, WsId, index);
  row->name = g_strdup(pool->name);
  row->in_service = pool->takes;
  row->disks = 0;
  for (guint32 i = 0; i < picture->plan.n_disks; i++)
    row->disks += picture->plan.disks[i].pool == index;
  if (pool->capacity_bytes > 0) {
    row->space_percent = drs_rounded(plan_storage_drs_space(pool, false));
    row->forecast_percent = drs_rounded(plan_storage_drs_space(pool, true));
  }
  return row;
}

static void tell_pinned(const StorageDrsPicture *picture, WsLang lang, WsStorageDrsStatus *out)
{
  for (guint32 i = 0; i < picture->plan.n_disks && out->pinned.len < PINNED_MAX; i++) {
    const PlanStorageDrsDisk *disk = &picture->plan.disks[i];
    const char *reason = plan_storage_drs_pinned(disk);
    WsId vm = g_array_index(picture->vms, WsId, i);
    if (!reason || !plan_storage_drs_is_full(&picture->plan.pools[disk->pool], &picture->options))
      continue;
    WsStorageDrsPinned *row = ws_storage_drs_pinned_new();
    row->vm = vm;
    row->name = g_strdup(((const WsVm *)inv_find(picture->snap, &ws_type_vm, vm))->name);
    row->disk = g_strdup(disk->name);
    row->pool = g_array_index(picture->pools, WsId, disk->pool);
    row->reason = ws_phrase(reason, lang);
    ws_array_add(&out->pinned, row);
  }
}

bool cluster_storage_drs_status(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  Drs *drs = view->center->drs;
  gint64 now = ws_clock_monotonic_us(view->center->clock), wall = ws_clock_wall_us(view->center->clock);
  g_autoptr(StorageDrsPicture) picture = storage_drs_picture_new(drs, view->snap, cluster, now, false);
  WsStorageDrsStatus *out = ws_storage_drs_status_new();
  guint pending, accepted;
  drs_count(view->snap, cluster->id, DRS_OF_STORAGE, &pending, &accepted);
  out->level = (int)picture->settings->level;
  out->pending = pending;
  out->under_way = accepted;
  g_mutex_lock(&drs->lock);
  const DrsCluster *known = drs_cluster(drs, cluster->id);
  out->looked = known->storage_looked_us;
  if (known->storage_next_us)
    out->next = wall + MAX(known->storage_next_us - now, 0);
  for (guint32 i = 0; i < picture->plan.n_pools; i++) {
    WsStorageDrsPool *row = pool_row(picture, i);
    const DrsFull *full = g_hash_table_lookup(known->full, &row->pool);
    if (full)
      row->full_since = wall - (now - full->since_us);
    ws_array_add(&out->pools, row);
  }
  g_mutex_unlock(&drs->lock);
  tell_pinned(picture, view->call ? api_call_lang(view->call) : WS_LANG_EN, out);
  *result = out;
  return true;
}
