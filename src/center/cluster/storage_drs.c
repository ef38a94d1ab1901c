// SPDX-License-Identifier: Apache-2.0
/* Storage DRS: looks at the pools of clusters that want it. See drs.h.
 *
 * It is called at each tick of DRS's timer. A cluster that is due is planned, on a worker, from a snapshot;
 * before, pools that were full for long enough are read anew, for what volumes take is known of the last
 * reading only. Each move checks all again by itself. */
#include "base/log.h"
#include "center/cluster/drs.h"
#include "center/pools.h"

bool storage_drs_concerns(const WsCluster *cluster)
{
  const WsClusterStorageDrs *s = cluster->storage_drs;
  return s && (int)s->level && s->level != WS_CLUSTER_STORAGE_DRS_LEVEL_OFF;
}

/* ---- one look, on a worker ---- */

typedef struct {
  Drs *drs;
  InvSnapshot *snap;
  WsId cluster;
  gint64 now_us;
  bool plan, forced;
  StorageDrsPicture *picture; /* NULL: the cluster is gone */
  PlanStorageDrsResult result;
} Look;

static void look_free(void *arg)
{
  Look *look = arg;
  plan_storage_drs_result_clear(&look->result);
  storage_drs_picture_free(look->picture);
  inv_snapshot_unref(look->snap);
  g_free(look);
}

static bool work(void *arg, GError **error)
{
  Look *look = arg;
  const WsCluster *cluster = inv_find(look->snap, &ws_type_cluster, look->cluster);
  if (!cluster)
    return true;
  look->picture = storage_drs_picture_new(look->drs, look->snap, cluster, look->now_us, true);
  if (look->forced)
    look->picture->options.duration_s = 0;
  if (!storage_drs_concerns(cluster)) /* switched off: what was advised expires */
    look->picture->options.space_percent = 100;
  if (look->plan)
    plan_storage_drs(&look->picture->plan, &look->picture->options, &look->result);
  return true;
}

/* Caller frees with look_free(); NULL with *error. */
static Look *look_at(Center *center, WsId cluster, bool plan, bool forced, GError **error)
{
  Look *look = g_new0(Look, 1);
  *look = (Look){.drs = center->drs,
                 .snap = inv_snapshot(center->inventory),
                 .cluster = cluster,
                 .now_us = ws_clock_monotonic_us(center->clock),
                 .plan = plan,
                 .forced = forced};
  return ws_co_blocking(center->workers, work, look, look_free, 0, error) ? look : NULL;
}

/* ---- on the core loop ---- */

/* Pools that are about to be relieved. What cannot be read is planned with what is known. */
static void read_full_pools(Center *center, const StorageDrsPicture *picture)
{
  for (guint i = 0; i < picture->plan.n_pools; i++) {
    const PlanStorageDrsPool *pool = &picture->plan.pools[i];
    g_autoptr(GError) error = NULL;
    if (pool->leaves && pool->full_s >= picture->options.duration_s &&
        !pools_read(center, g_array_index(picture->pools, WsId, i), &error))
      ws_log_error(WS_LOG_WARNING, "storage-drs-did-not-read-pool", error, NULL);
  }
}

/* Once for each time that it fills up. */
static void tell_stuck(Center *center, const Look *look)
{
  DrsCluster *known;
  g_mutex_lock(&center->drs->lock);
  known = drs_cluster(center->drs, look->cluster);
  for (guint i = 0; i < look->result.stuck->len; i++) {
    guint32 pool = g_array_index(look->result.stuck, guint32, i);
    WsId id = g_array_index(look->picture->pools, WsId, pool);
    DrsFull *entry = g_hash_table_lookup(known->full, &id);
    g_autofree char *percent =
        g_strdup_printf("%.0f", plan_storage_drs_space(&look->picture->plan.pools[pool], false));
    g_autofree char *threshold = g_strdup_printf("%.0f", look->picture->options.space_percent);
    if (entry && !entry->told)
      center_event(center, CENTER_MINOR, &ws_type_pool, id, "DRS", "storage_drs_stuck", "percent", percent,
                   "threshold", threshold, NULL);
    if (entry)
      entry->told = true;
  }
  g_mutex_unlock(&center->drs->lock);
}

static bool look_and_plan(Center *center, DrsCluster *known, bool forced, GError **error)
{
  Look *look = look_at(center, known->cluster, false, forced, error);
  if (!look)
    return false;
  if (look->picture)
    read_full_pools(center, look->picture);
  look_free(look);
  look = look_at(center, known->cluster, true, forced, error);
  if (!look)
    return false;
  bool entered = true;
  if (look->picture) {
    tell_stuck(center, look);
    entered = storage_drs_enter_plan(center, look->picture, &look->result, ++known->storage_batch, error);
  }
  look_free(look);
  return entered;
}

static bool is_due(Center *center, DrsCluster *known, const WsCluster *cluster, bool now)
{
  const WsClusterStorageDrs *s = cluster->storage_drs;
  gint64 interval_s = s && s->interval_s != WS_INT_UNSET ? s->interval_s : 300,
         now_us = ws_clock_monotonic_us(center->clock);
  g_mutex_lock(&center->drs->lock);
  bool due = now || now_us >= known->storage_next_us;
  if (due)
    known->storage_next_us = now_us + interval_s * G_USEC_PER_SEC;
  g_mutex_unlock(&center->drs->lock);
  return due;
}

bool storage_drs_look(Center *center, WsId id, bool now, GError **error)
{
  g_mutex_lock(&center->drs->lock);
  DrsCluster *known = drs_cluster(center->drs, id); /* never freed while drs lives */
  g_mutex_unlock(&center->drs->lock);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsCluster *cluster = inv_find(snap, &ws_type_cluster, id);
  guint pending, accepted;
  bool ok = true;
  drs_count(snap, id, DRS_OF_STORAGE, &pending, &accepted);
  if (!cluster || known->storage_looking)
    return true;
  known->storage_looking = true;
  if (!known->storage_batch)
    known->storage_batch = ws_clock_wall_us(center->clock);
  /* while disks are on their way the figures are of neither state */
  if (!accepted && !known->applying[DRS_OF_STORAGE] && (storage_drs_concerns(cluster) || pending) &&
      is_due(center, known, cluster, now)) {
    ok = look_and_plan(center, known, now, error);
    known->storage_looked_us = ws_clock_wall_us(center->clock);
  }
  known->storage_looking = false;
  drs_apply(center, id);
  return ok;
}

static void restart_growth(Drs *drs, WsId pool)
{
  DrsPool *memory = g_hash_table_lookup(drs->pools, &pool);
  if (memory)
    plan_growth_restart(&memory->growth);
}

static gboolean is_rested(gpointer key, gpointer value, gpointer before_us)
{
  return ((const DrsVolume *)value)->moved_us < *(const gint64 *)before_us;
}

void storage_drs_note_moved(Center *center, WsId volume, WsId from, WsId to)
{
  Drs *drs = center->drs;
  gint64 now_us = ws_clock_monotonic_us(center->clock),
         long_ago_us = now_us - 2 * (gint64)86400 * G_USEC_PER_SEC;
  g_mutex_lock(&drs->lock);
  restart_growth(drs, from);
  restart_growth(drs, to);
  g_hash_table_foreach_remove(drs->volumes, is_rested, &long_ago_us);
  DrsVolume *memory = g_hash_table_lookup(drs->volumes, &volume);
  if (!memory) {
    memory = g_new0(DrsVolume, 1);
    memory->volume = volume;
    g_hash_table_insert(drs->volumes, &memory->volume, memory);
  }
  memory->moved_us = now_us;
  g_mutex_unlock(&drs->lock);
}
