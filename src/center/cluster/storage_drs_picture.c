// SPDX-License-Identifier: Apache-2.0
/* From the inventory to the planner's problem of pools and disks. See drs.h. */
#include "center/cluster/drs.h"
#include <string.h>

#define REST_MIN_US (3600 * (gint64)G_USEC_PER_SEC) /* of a volume that moved, or would not */

typedef struct {
  StorageDrsPicture *picture;
  Drs *drs;
  GHashTable *hosts;      /* WsId of the cluster's hosts -> WsHost */
  GHashTable *pool_index; /* WsId -> index + 1 */
  GHashTable *busy;       /* WsId of pools that accepted moves leave or reach */
  GPtrArray *seen_pools;  /* WsPool by index */
  const char **covers; /* [from x n_pools + to]: why a disk that goes there loses hosts; "": not asked yet */
  gint64 now_us;
} Build;

/* ---- pools ---- */

static DrsPool *memory_of(Drs *drs, WsId id)
{
  DrsPool *pool = g_hash_table_lookup(drs->pools, &id);
  if (pool)
    return pool;
  pool = g_new0(DrsPool, 1);
  pool->pool = id;
  g_hash_table_insert(drs->pools, &pool->pool, pool);
  return pool;
}

typedef struct {
  gint64 promised, coming;
} Volumes;

static bool add_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Volumes *sum = arg;
  gint64 size = MAX(volume->size_bytes, 0), there = MAX(volume->allocated_bytes, 0);
  sum->promised += size;
  if (volume->state == WS_VOLUME_STATE_CREATING) /* a copy on its way, say: it may come to take all of it */
    sum->coming += MAX(size - there, 0);
  return true;
}

/* Above the threshold since when, by what this cluster has seen. -1: it is not. */
static double full_for(Build *b, DrsCluster *known, const WsPool *pool, bool full, bool feed)
{
  DrsFull *entry = g_hash_table_lookup(known->full, &pool->id);
  if (full && !entry && feed) {
    entry = g_new0(DrsFull, 1);
    *entry = (DrsFull){pool->id, b->now_us, false};
    g_hash_table_insert(known->full, &entry->pool, entry);
  } else if (!full && entry && feed) {
    g_hash_table_remove(known->full, &pool->id);
    entry = NULL;
  }
  return full && entry ? (double)(b->now_us - entry->since_us) / G_USEC_PER_SEC : -1;
}

static bool is_of_cluster(const Build *b, const WsPool *pool)
{
  for (guint i = 0; i < pool->hosts.len; i++)
    if (g_hash_table_contains(b->hosts, &pool->hosts.items[i]))
      return true;
  return false;
}

static void add_pool(Build *b, DrsCluster *known, const WsPool *pool, bool feed)
{
  StorageDrsPicture *picture = b->picture;
  bool measured = pool->capacity_bytes != WS_INT_UNSET && pool->available_bytes != WS_INT_UNSET;
  bool usable = pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED;
  bool quiet = !pool->activity && !g_hash_table_contains(b->busy, &pool->id);
  DrsPool *memory = memory_of(b->drs, pool->id);
  Volumes sum = {0, 0};
  inv_each_by(picture->snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL,
              add_volume, &sum);
  PlanStorageDrsPool row = {
      .name = pool->name,
      .capacity_bytes = measured ? pool->capacity_bytes : 0,
      .used_bytes = measured ? pool->capacity_bytes - pool->available_bytes : 0,
      .coming_bytes = sum.coming,
      .promised_bytes = sum.promised,
      .promise_limit_bytes =
          (gint64)((double)pool->capacity_bytes * (pool->overcommit_ratio >= 1 ? pool->overcommit_ratio : 2)),
      .leaves = (usable || pool->state == WS_POOL_STATE_FULL) && quiet,
      .takes = usable && quiet};
  if (feed && measured)
    plan_growth_feed(&memory->growth, (double)row.used_bytes, b->now_us);
  row.growth_bytes = (gint64)plan_growth_in(&memory->growth, PLAN_STORAGE_DRS_HORIZON_S);
  row.full_s = full_for(b, known, pool, measured && plan_storage_drs_is_full(&row, &picture->options), feed);
  g_array_append_val(picture->pools, pool->id);
  g_array_append_val(picture->plan_pools, row);
  g_ptr_array_add(b->seen_pools, (gpointer)pool);
  g_hash_table_insert(b->pool_index, (gpointer)&pool->id, GUINT_TO_POINTER(picture->pools->len));
}

typedef struct {
  Build *b;
  DrsCluster *known;
  bool feed;
} Pools;

static bool look_at_pool(const void *object, void *arg)
{
  const Pools *pools = arg;
  const WsPool *pool = object;
  if (is_of_cluster(pools->b, pool) && pool->state != WS_POOL_STATE_CREATING)
    add_pool(pools->b, pools->known, pool, pools->feed);
  return true;
}

static bool add_busy(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  if (drs_kind_of(advice) == DRS_OF_STORAGE) {
    g_hash_table_add(arg, (gpointer)&advice->from_pool);
    g_hash_table_add(arg, (gpointer)&advice->to_pool);
  }
  return true;
}

/* ---- where a disk can go ---- */

/* A VM whose disk goes there must be able to move to all hosts that it could move to before. */
static const char *covers(Build *b, guint32 from, guint32 to)
{
  guint32 n = b->seen_pools->len;
  const char **known = &b->covers[(gsize)from * n + to];
  const WsPool *source = b->seen_pools->pdata[from], *target = b->seen_pools->pdata[to];
  if (!*known || **known)
    return *known;
  *known = NULL;
  for (guint i = 0; i < source->hosts.len && !*known; i++) {
    const WsHost *host = g_hash_table_lookup(b->hosts, &source->hosts.items[i]);
    if (host && !plan_pool_has_host(target, host->id)) {
      g_ptr_array_add(b->picture->texts,
                      g_strdup_printf("%s reaches the pool where the disk is, but not this one", host->name));
      *known = b->picture->texts->pdata[b->picture->texts->len - 1];
    }
  }
  return *known;
}

static guint32 row_of(Build *b, WsId host, guint32 from)
{
  StorageDrsPicture *picture = b->picture;
  guint32 n = b->seen_pools->len;
  char *key = g_strdup_printf("%" G_GUINT64_FORMAT " %u", host, from);
  guint row = GPOINTER_TO_UINT(g_hash_table_lookup(picture->reach_rows, key));
  if (row) {
    g_free(key);
    return row - 1;
  }
  row = g_hash_table_size(picture->reach_rows);
  g_hash_table_insert(picture->reach_rows, key, GUINT_TO_POINTER(row + 1));
  for (guint32 to = 0; to < n; to++)
    g_ptr_array_add(picture->reach, plan_pool_reaches(b->seen_pools->pdata[to], host)
                                        ? (gpointer)covers(b, from, to)
                                        : (gpointer) "the VM's host does not reach it");
  return row;
}

/* ---- disks ---- */

static const char *pinned_volume(const Build *b, const WsVolume *volume)
{
  const DrsVolume *moved = g_hash_table_lookup(b->drs->volumes, &volume->id);
  gint64 rest = MAX(REST_MIN_US, 2 * b->picture->settings->interval_s * G_USEC_PER_SEC);
  if (volume->state != WS_VOLUME_STATE_READY)
    return "its volume is not ready";
  if (volume->activity)
    return "a task is at work on it";
  if (inv_find_by(b->picture->snap, &ws_type_volume, "parent", volume->id, NULL))
    return "other volumes build on it";
  return moved && b->now_us - moved->moved_us < rest ? "it was moved, or could not be, a short while ago"
                                                     : NULL;
}

/* The same as the move asks, as far as the inventory knows. */
static const char *pinned_vm(const WsVm *vm, const WsHost *host)
{
  int state = vm->power ? (int)vm->power->state : WS_POWER_STATE_UNKNOWN;
  if (vm->management != WS_VM_MANAGEMENT_MANAGED)
    return "its VM is not managed";
  if (vm->drs_level == WS_VM_DRS_LEVEL_OFF)
    return "DRS is off for its VM";
  if (vm->activity)
    return "a task is at work on it";
  if (state != WS_POWER_STATE_OFF && state != WS_POWER_STATE_RUNNING && state != WS_POWER_STATE_PAUSED)
    return "its VM is in a state in which disks do not move";
  return host->state == WS_HOST_STATE_CONNECTED && !host->activity ? NULL
                                                                   : "its host is not connected, or busy";
}

/* Blocks of a copy: those of all that it builds on go along. */
static gint64 copied_bytes(const InvSnapshot *snap, const WsVolume *volume)
{
  gint64 blocks = 0;
  if (volume->provisioning != WS_VOLUME_PROVISIONING_THIN && (int)volume->provisioning)
    return volume->size_bytes;
  for (const WsVolume *at = volume; at; at = at->parent ? inv_find(snap, &ws_type_volume, at->parent) : NULL)
    blocks += MAX(at->allocated_bytes, 0);
  return MIN(blocks, volume->size_bytes);
}

static void add_disk(Build *b, const WsVm *vm, const WsHost *host, const WsVmDisk *disk)
{
  StorageDrsPicture *picture = b->picture;
  const WsVolume *volume = inv_find(picture->snap, &ws_type_volume, disk->volume);
  guint index = volume ? GPOINTER_TO_UINT(g_hash_table_lookup(b->pool_index, &volume->pool)) : 0;
  if (!index)
    return;
  PlanStorageDrsDisk row = {.name = disk->key,
                            .vm = vm->id,
                            .pool = index - 1,
                            .frees_bytes = MAX(volume->allocated_bytes, 0),
                            .takes_bytes = copied_bytes(picture->snap, volume),
                            .size_bytes = MAX(volume->size_bytes, 0)};
  row.pinned = disk->shared ? "it is shared with other VMs" : pinned_vm(vm, host);
  row.pinned = row.pinned ? row.pinned : pinned_volume(b, volume);
  /* rows only where they are asked for: there may be as many pools as hosts */
  if (!row.pinned && g_array_index(picture->plan_pools, PlanStorageDrsPool, row.pool).full_s >= 0)
    row.reach = row_of(b, host->id, row.pool);
  g_array_append_val(picture->volumes, volume->id);
  g_array_append_val(picture->vms, vm->id);
  g_ptr_array_add(picture->keys, disk->key);
  g_array_append_val(picture->plan_disks, row);
}

typedef struct {
  Build *b;
  const WsHost *host;
} HostVms;

static bool look_at_vm(const void *object, void *arg)
{
  const HostVms *at = arg;
  const WsVm *vm = object;
  for (guint i = 0; i < vm->disks.len; i++)
    add_disk(at->b, vm, at->host, vm->disks.items[i]);
  return true;
}

static bool look_at_host(const void *object, void *arg)
{
  HostVms at = {arg, object};
  inv_each_by(at.b->picture->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), at.host->id, NULL,
              look_at_vm, &at);
  return true;
}

static bool note_host(const void *object, void *arg)
{
  const WsHost *host = object;
  g_hash_table_insert(arg, (gpointer)&host->id, (gpointer)host);
  return true;
}

/* ---- the whole ---- */

static void take_settings(StorageDrsPicture *picture, const WsCluster *cluster)
{
  picture->settings =
      cluster->storage_drs ? ws_cluster_storage_drs_copy(cluster->storage_drs) : ws_cluster_storage_drs_new();
  ws_apply_defaults(&ws_type_cluster_storage_drs, picture->settings); /* a patch may have named only some */
  picture->options = (PlanStorageDrsOptions){.space_percent = (double)picture->settings->space_percent,
                                             .duration_s = (double)picture->settings->duration_s};
}

static StorageDrsPicture *picture_alloc(const InvSnapshot *snap, const WsCluster *cluster)
{
  StorageDrsPicture *picture = g_new0(StorageDrsPicture, 1);
  picture->snap = snap;
  picture->cluster = cluster->id;
  picture->pools = g_array_new(FALSE, FALSE, sizeof(WsId));
  picture->volumes = g_array_new(FALSE, FALSE, sizeof(WsId));
  picture->vms = g_array_new(FALSE, FALSE, sizeof(WsId));
  picture->keys = g_ptr_array_new();
  picture->plan_pools = g_array_new(FALSE, TRUE, sizeof(PlanStorageDrsPool));
  picture->plan_disks = g_array_new(FALSE, TRUE, sizeof(PlanStorageDrsDisk));
  picture->reach = g_ptr_array_new();
  picture->texts = g_ptr_array_new_with_free_func(g_free);
  picture->reach_rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  take_settings(picture, cluster);
  return picture;
}

StorageDrsPicture *storage_drs_picture_new(Drs *drs, const InvSnapshot *snap, const WsCluster *cluster,
                                           gint64 now_us, bool feed)
{
  StorageDrsPicture *picture = picture_alloc(snap, cluster);
  g_autoptr(GHashTable) hosts = g_hash_table_new(g_int64_hash, g_int64_equal),
                        pool_index = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autoptr(GHashTable) busy = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autoptr(GPtrArray) seen_pools = g_ptr_array_new();
  Build b = {picture, drs, hosts, pool_index, busy, seen_pools, NULL, now_us};
  const WsField *of_cluster = ws_type_field(&ws_type_host, "cluster", 7);
  inv_each_by(snap, &ws_type_host, of_cluster, cluster->id, NULL, note_host, hosts);
  inv_each_by(snap, &ws_type_drs_recommendation, ws_type_field(&ws_type_drs_recommendation, "state", 5), 0,
              "accepted", add_busy, busy);
  g_mutex_lock(&drs->lock);
  Pools pools = {&b, drs_cluster(drs, cluster->id), feed};
  inv_each(snap, &ws_type_pool, look_at_pool, &pools);
  gsize n_pairs = (gsize)seen_pools->len * seen_pools->len;
  b.covers = g_new(const char *, n_pairs + 1);
  for (gsize i = 0; i < n_pairs; i++)
    b.covers[i] = "";
  inv_each_by(snap, &ws_type_host, of_cluster, cluster->id, NULL, look_at_host, &b);
  g_mutex_unlock(&drs->lock);
  g_free(b.covers);
  picture->plan = (PlanStorageDrs){
      picture->plan_pools->len, picture->plan_disks->len, (PlanStorageDrsPool *)picture->plan_pools->data,
      (PlanStorageDrsDisk *)picture->plan_disks->data, (const char **)picture->reach->pdata};
  return picture;
}

void storage_drs_picture_free(StorageDrsPicture *picture)
{
  if (!picture)
    return;
  g_array_unref(picture->pools);
  g_array_unref(picture->volumes);
  g_array_unref(picture->vms);
  g_ptr_array_unref(picture->keys);
  g_array_unref(picture->plan_pools);
  g_array_unref(picture->plan_disks);
  g_ptr_array_unref(picture->reach);
  g_ptr_array_unref(picture->texts);
  g_hash_table_unref(picture->reach_rows);
  ws_cluster_storage_drs_free(picture->settings);
  g_free(picture);
}
