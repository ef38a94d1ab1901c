// SPDX-License-Identifier: Apache-2.0
/* Pools: made, watched, suspended, removed. A pool's object exists from the first step of its creation, in state `creating`. */
#include "base/log.h"
#include "base/text.h"
#include <math.h>
#include "center/domains.h"
#include "center/storage/storage.h"
#include "rpc/methods.h"
#include "center/verbs.h"

/* ---- shared by the domain ---- */

RpcLink *storage_pool_link(Center *center, const WsPool *pool, GError **error)
{
  g_assert(pool->hosts.len > 0);
  return hosts_link(center, pool->hosts.items[0], error);
}

const WsPool *storage_usable_pool(const InvSnapshot *snap, WsId id, const char *verb, GError **error)
{
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  char text[WS_ID_TEXT_MAX];
  if (!pool) {
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_pool, id, text), NULL);
    return NULL;
  }
  if (pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED || pool->state == WS_POOL_STATE_FULL)
    return pool;
  ws_fail(error, WS_ERROR_WRONG_STATE, "object", pool->name, "verb", verb, "state",
          pool->state ? ws_pool_state_names[pool->state - 1] : "unknown", NULL);
  return NULL;
}

static bool add_size(const void *object, void *arg)
{
  *(gint64 *)arg += ((const WsVolume *)object)->size_bytes;
  return true;
}

gint64 storage_provisioned_bytes(const InvSnapshot *snap, WsId pool)
{
  gint64 total = 0;
  inv_each_by(snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool, NULL, add_size, &total);
  return total;
}

bool storage_check_room(const InvSnapshot *snap, const WsPool *pool, gint64 promised_bytes, gint64 real_bytes, GError **error)
{
  if (pool->capacity_bytes == WS_INT_UNSET)
    return true; /* not known yet: the host decides */
  double ratio = isnan(pool->overcommit_ratio) ? 1 : pool->overcommit_ratio;
  gint64 promise_left = (gint64)((double)pool->capacity_bytes * ratio) - storage_provisioned_bytes(snap, pool->id);
  gint64 available = pool->available_bytes == WS_INT_UNSET ? G_MAXINT64 : pool->available_bytes;
  if (promised_bytes <= promise_left && real_bytes <= available)
    return true;
  bool promise = promised_bytes > promise_left;
  char need[WS_SIZE_TEXT_MAX], left[WS_SIZE_TEXT_MAX];
  ws_size_format(promise ? promised_bytes : real_bytes, need);
  ws_size_format(MAX(0, promise ? promise_left : available), left);
  return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", pool->name, "need", need, "free", left, NULL);
}

char *storage_new_file(Center *center, WsId volume, const char *format)
{
  char uuid[40], id[WS_ID_TEXT_MAX];
  ws_uuid_new(center->clock, uuid);
  return g_strdup_printf("%s-%.8s.%s", storage_text(&ws_type_volume, volume, id), uuid, format);
}

static void take_text(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

void storage_take_status(Center *center, WsPool *pool, const WsPoolStatus *status)
{
  if (!status)
    return;
  if ((int)status->state) {
    int state = WS_POOL_STATE_UNREACHABLE; /* the two enums share their words, not their numbers */
    for (int i = 0; ws_pool_state_names[i]; i++)
      if (strcmp(ws_pool_state_names[i], ws_pool_status_state_names[status->state - 1]) == 0)
        state = i + 1;
    if ((int)pool->state != state)
      pool->state_since = ws_clock_wall_us(center->clock);
    pool->state = state;
  }
  take_text(&pool->state_reason, status->reason);
  if (status->filesystem)
    take_text(&pool->filesystem, status->filesystem);
  pool->reflink = status->reflink;
  pool->capacity_bytes = status->capacity_bytes;
  pool->available_bytes = status->available_bytes;
  pool->allocated_bytes = status->allocated_bytes;
}

/* ---- create ---- */

typedef struct {
  Center *center;
  const WsPool *args;
  WsId id;
  const char *uuid;
} Create;

static bool enter_pool(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  InvTxn *txn = task_txn(task);
  WsPool *pool = inv_create_with_id(txn, &ws_type_pool, c->id);
  g_autoptr(WsPool) copy = ws_pool_copy(c->args);
  ws_resource_take_fields(&ws_type_pool, pool, copy);
  pool->state = WS_POOL_STATE_CREATING;
  pool->created = pool->state_since = ws_clock_wall_us(c->center->clock);
  pool->uuid = g_strdup(c->uuid);
  task_lock_new(task, txn, pool);
  task_set_object(task, &ws_type_pool, c->id);
  return true;
}

static bool remove_pool_object(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  inv_delete(task_txn(task), &ws_type_pool, c->id);
  return true;
}

static bool prepare_pool(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  RpcLink *link = hosts_link(c->center, c->args->hosts.items[0], error);
  g_autoptr(WsRpcPoolPrepareResult) result = NULL;
  WsRpcPoolPrepare params = {.pool = c->id,
                             .kind = WS_RPC_POOL_PREPARE_KIND_DIRECTORY,
                             .path = c->args->path,
                             .uuid = (char *)c->uuid,
                             .create = true};
  if (!link || !rpc_pool_prepare(link, &params, &result, NULL, NULL, task_cancel_flag(task), error))
    return false;
  WsPool *pool = inv_edit_id(task_txn(task), &ws_type_pool, c->id);
  storage_take_status(c->center, pool, result->status);
  return true;
}

static bool unprepare_pool(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  RpcLink *link = hosts_link(c->center, c->args->hosts.items[0], error);
  WsRpcPoolRemove params = {.pool = c->id};
  return link && rpc_pool_remove(link, &params, NULL, NULL, NULL, error);
}

static bool same_path(const void *object, void *arg)
{
  const WsPool *pool = object, **found = arg;
  const WsPool *asked = found[0];
  if (pool->hosts.len && pool->hosts.items[0] == asked->hosts.items[0] && g_strcmp0(pool->path, asked->path) == 0)
    found[1] = pool;
  return !found[1];
}

bool pool_create(Task *task, GError **error)
{
  Create c = {.center = task_center(task), .args = task_args(task)};
  const WsPool *look[2] = {c.args, NULL};
  char uuid[40];
  if (c.args->hosts.len != 1)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts", "expected", "exactly one host for a directory", NULL);
  inv_each(task_snapshot(task), &ws_type_pool, same_path, look);
  if (look[1] && !task_is_resumed(task))
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", look[1]->name, "field", "path", NULL);
  if (!task_is_resumed(task) && !hosts_link(c.center, c.args->hosts.items[0], error))
    return false;
  TaskLockRef lock = {&ws_type_host, c.args->hosts.items[0], true};
  c.id = task_new_id(task, "pool");
  c.uuid = task_choose(task, "uuid", ws_uuid_new(c.center->clock, uuid));
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "enter", enter_pool, remove_pool_object, &c, error) &&
         TASK_STEP(task, "prepare", prepare_pool, unprepare_pool, &c, error);
}

/* ---- start, suspend, refresh ---- */

typedef struct {
  Center *center;
  WsId id;
  bool suspended;
} Mode;

/* Tells the host and takes what it says. */
static bool tell_mode(Center *center, const WsPool *pool, bool suspended, WsRpcPoolPrepareResult **result, GError **error)
{
  RpcLink *link = storage_pool_link(center, pool, error);
  WsRpcPoolPrepare params = {.pool = pool->id,
                             .kind = WS_RPC_POOL_PREPARE_KIND_DIRECTORY,
                             .path = pool->path,
                             .uuid = pool->uuid,
                             .suspended = suspended};
  return link && rpc_pool_prepare(link, &params, result, NULL, NULL, NULL, error);
}

static bool set_mode(Task *task, void *ctx, GError **error)
{
  Mode *m = ctx;
  g_autoptr(WsRpcPoolPrepareResult) result = NULL;
  const WsPool *pool = task_find_target(task, error);
  if (!pool || !tell_mode(m->center, pool, m->suspended, &result, error))
    return false;
  WsPool *edit = inv_edit_id(task_txn(task), &ws_type_pool, m->id);
  edit->suspended = m->suspended;
  storage_take_status(m->center, edit, result->status);
  return true;
}

/* A pool under a running VM is not suspended: its disks would hang. */
static bool first_running_user(const void *object, void *arg)
{
  const WsVolume *volume = object;
  const void **look = arg;
  const WsVm *vm = volume->used_by ? inv_find(look[0], &ws_type_vm, volume->used_by) : NULL;
  if (vm && vm->power && vm->power->state != WS_POWER_STATE_OFF && vm->power->state != WS_POWER_STATE_HIBERNATED)
    look[1] = vm;
  return !look[1];
}

static bool change_mode(Task *task, bool suspended, GError **error)
{
  Mode m = {task_center(task), task_target(task), suspended};
  const WsPool *pool = task_find_target(task, error);
  const void *look[2] = {task_snapshot(task), NULL};
  TaskLockRef lock = {&ws_type_pool, m.id, false};
  if (!pool || !task_lock(task, &lock, 1, error))
    return false;
  if (suspended)
    inv_each_by(look[0], &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), m.id, NULL, first_running_user, look);
  if (look[1])
    return ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", ((const WsVm *)look[1])->name, NULL);
  return TASK_STEP(task, suspended ? "suspend" : "start", set_mode, NULL, &m, error);
}

bool pool_start(Task *task, GError **error)
{
  return change_mode(task, false, error);
}

bool pool_suspend(Task *task, GError **error)
{
  return change_mode(task, true, error);
}

/* What the files of a pool say about its volumes: gone, or another size on disk. */
typedef struct {
  Center *center;
  InvTxn *txn;
  const InvSnapshot *head;
  GHashTable *files; /* name -> WsPoolFile */
} Compare;

static bool compare_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Compare *compare = arg;
  const WsPoolFile *file = volume->file ? g_hash_table_lookup(compare->files, volume->file) : NULL;
  bool settled = volume->state == WS_VOLUME_STATE_READY || volume->state == WS_VOLUME_STATE_MISSING;
  if (!settled || volume->activity)
    return true;
  int state = file ? WS_VOLUME_STATE_READY : WS_VOLUME_STATE_MISSING;
  if ((int)volume->state == state && (!file || volume->allocated_bytes == file->allocated_bytes))
    return true;
  WsVolume *edit = inv_edit(compare->txn, volume);
  if ((int)volume->state != state)
    center_event(compare->center, file ? CENTER_INFO : CENTER_MAJOR, &ws_type_volume, volume->id, "outside",
                 file ? "volume_found_again" : "volume_missing", "file", volume->file, NULL);
  edit->state = state;
  if (file)
    edit->allocated_bytes = file->allocated_bytes;
  return true;
}

static bool take_files(Center *center, WsId id, const WsRpcPoolRefreshResult *result, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GHashTable) files = g_hash_table_new(g_str_hash, g_str_equal);
  Compare compare = {center, txn, head, files};
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, id);
  if (!pool)
    return true;
  for (guint i = 0; i < result->files.len; i++)
    g_hash_table_insert(files, result->files.items[i]->file, result->files.items[i]);
  storage_take_status(center, pool, result->status);
  pool->provisioned_bytes = storage_provisioned_bytes(head, id);
  inv_each_by(head, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), id, NULL, compare_volume, &compare);
  return inv_commit(txn, NULL, error);
}

static bool refresh_pool(Center *center, WsId id, RpcLink *link, GError **error)
{
  g_autoptr(WsRpcPoolRefreshResult) result = NULL;
  WsRpcPoolRefresh params = {.pool = id};
  return rpc_pool_refresh(link, &params, &result, NULL, NULL, NULL, error) && take_files(center, id, result, error);
}

static bool refresh_step(Task *task, void *ctx, GError **error)
{
  Mode *m = ctx;
  const WsPool *pool = task_find_target(task, error);
  RpcLink *link = pool ? storage_pool_link(m->center, pool, error) : NULL;
  return link && refresh_pool(m->center, m->id, link, error);
}

bool pool_refresh(Task *task, GError **error)
{
  Mode m = {task_center(task), task_target(task), false};
  TaskLockRef lock = {&ws_type_pool, m.id, false};
  return task_find_target(task, error) && task_lock(task, &lock, 1, error) &&
         TASK_STEP(task, "refresh", refresh_step, NULL, &m, error);
}

/* ---- delete ---- */

typedef struct {
  Center *center;
  WsId id, host;
  bool forget;
} Delete;

static bool tell_removal(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  RpcLink *link = hosts_link(d->center, d->host, error);
  WsRpcPoolRemove params = {.pool = d->id};
  return link && rpc_pool_remove(link, &params, NULL, NULL, NULL, error);
}

static bool drop_volume(const void *object, void *arg)
{
  inv_delete(arg, &ws_type_volume, ((const WsVolume *)object)->id);
  return true;
}

static bool forget_pool(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  InvTxn *txn = task_txn(task);
  g_autoptr(InvSnapshot) head = inv_head(d->center->inventory);
  if (d->forget)
    inv_each_by(head, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), d->id, NULL, drop_volume, txn);
  inv_delete(txn, &ws_type_pool, d->id);
  return true;
}

static bool check_users(const InvSnapshot *snap, const WsPool *pool, bool forget, GError **error)
{
  const WsVolume *volume = inv_find_by(snap, &ws_type_volume, "pool", pool->id, NULL);
  const WsImage *image = inv_find_by(snap, &ws_type_image, "pool", pool->id, NULL);
  const void *look[2] = {snap, NULL};
  inv_each_by(snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, first_running_user, look);
  if (look[1])
    return ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", ((const WsVm *)look[1])->name, NULL);
  if (image)
    return ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", image->name, NULL);
  return !volume || forget || ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", volume->name, NULL);
}

bool pool_delete(Task *task, GError **error)
{
  const WsPoolDelete *args = task_args(task);
  const WsPool *pool = task_find_target(task, error);
  if (!pool)
    return false;
  Delete d = {task_center(task), pool->id, pool->hosts.items[0], args && args->forget_volumes};
  TaskLockRef lock = {&ws_type_pool, d.id, false};
  if (!task_is_resumed(task) && !check_users(task_snapshot(task), pool, d.forget, error))
    return false;
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "remove", tell_removal, NULL, &d, error) &&
         TASK_LAST(task, "forget", forget_pool, &d, error);
}

/* ---- a host has connected ---- */

typedef struct {
  WsId host;
  GArray *pools;
} OfHost;

static bool add_pool_of_host(const void *object, void *arg)
{
  const WsPool *pool = object;
  OfHost *of = arg;
  for (guint i = 0; i < pool->hosts.len; i++)
    if (pool->hosts.items[i] == of->host && pool->state != WS_POOL_STATE_CREATING)
      g_array_append_val(of->pools, pool->id);
  return true;
}

static GArray *pools_of_host(Center *center, WsId host)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  OfHost of = {host, g_array_new(FALSE, FALSE, sizeof(WsId))};
  inv_each(snap, &ws_type_pool, add_pool_of_host, &of);
  return of.pools;
}

static bool resync_pool(Center *center, WsId id, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(WsRpcPoolPrepareResult) result = NULL;
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  if (!pool)
    return true;
  if (!tell_mode(center, pool, pool->suspended, &result, error))
    return false;
  RpcLink *link = storage_pool_link(center, pool, error);
  return link && refresh_pool(center, id, link, error);
}

static void set_unreachable(Center *center, WsId id, const char *reason)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, id);
  if (!pool || pool->state == WS_POOL_STATE_CREATING)
    return;
  if (pool->state != WS_POOL_STATE_UNREACHABLE)
    pool->state_since = ws_clock_wall_us(center->clock);
  pool->state = WS_POOL_STATE_UNREACHABLE;
  take_text(&pool->state_reason, reason);
  inv_commit(txn, NULL, NULL);
}

static bool resync_pools(Center *center, WsId host, RpcLink *link, GError **error)
{
  g_autoptr(GArray) pools = pools_of_host(center, host);
  for (guint i = 0; i < pools->len; i++) {
    g_autoptr(GError) failed = NULL;
    WsId id = g_array_index(pools, WsId, i);
    if (resync_pool(center, id, &failed))
      continue;
    set_unreachable(center, id, failed->message);
    center_event(center, CENTER_MAJOR, &ws_type_pool, id, "host report", "pool_unreachable", "reason", failed->message, NULL);
  }
  return true;
}

static void pools_down(Center *center, WsId host)
{
  g_autoptr(GArray) pools = pools_of_host(center, host);
  for (guint i = 0; i < pools->len; i++)
    set_unreachable(center, g_array_index(pools, WsId, i), "its host is not connected");
}

/* ---- what the host says by itself ---- */

bool serve_pool_changed(RpcCall *call, const WsRpcPoolChanged *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, params->pool);
  if (!pool || pool->state == WS_POOL_STATE_CREATING || pool->hosts.items[0] != hosts_of_call(call))
    return true;
  storage_take_status(center, pool, params->status);
  if (!inv_commit(txn, NULL, error))
    return false;
  if (!params->vanished.len && !params->appeared.len)
    return true;
  return refresh_pool(center, params->pool, rpc_call_link(call), error);
}

void storage_start(Center *center)
{
  hosts_add_resync(center, resync_pools);
  hosts_add_down(center, pools_down);
}
