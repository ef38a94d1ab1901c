// SPDX-License-Identifier: Apache-2.0
/* Pools and their hosts: attached, detached, read anew when a host connects, and what hosts say by themselves. */
#include "base/log.h"
#include "base/plant.h"
#include "center/domains.h"
#include "center/pools.h"
#include "center/storage/storage.h"
#include "center/verbs.h"
#include "plan/estate.h"
#include "rpc/methods.h"
#include <string.h>

/* ---- telling a host ---- */

bool storage_tell_pool(Center *center, const WsPool *pool, WsId host, bool create, bool suspended, WsRpcPoolPrepareResult **result,
                       GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  WsRpcPoolPrepare params = {.pool = pool->id,
                             .kind = (int)pool->kind,
                             .path = pool->path,
                             .uuid = pool->uuid,
                             .nfs = pool->nfs,
                             .create = create,
                             .suspended = suspended};
  return link && rpc_pool_prepare(link, &params, result, NULL, NULL, NULL, error);
}

bool storage_tell_pool_gone(Center *center, WsId pool, WsId host, bool keep, GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  WsRpcPoolRemove params = {.pool = pool, .keep = keep};
  return link && rpc_pool_remove(link, &params, NULL, NULL, NULL, error);
}

/* ---- refresh ---- */

/* A size is believed only of a file that looks like what it is: a guest can write any header into a raw disk. */
static bool says_size(const WsVolume *volume, const WsPoolFile *file)
{
  bool qcow2 = volume->format == WS_VOLUME_FORMAT_QCOW2 && file->format == WS_POOL_FILE_FORMAT_QCOW2;
  bool raw = volume->format == WS_VOLUME_FORMAT_RAW && file->format == WS_POOL_FILE_FORMAT_RAW;
  return (qcow2 || raw) && file->size_bytes > 0;
}

/* What the files of a pool say about its volumes: gone, another size on disk, or grown by a task that did not hear the answer. */
typedef struct {
  Center *center;
  InvTxn *txn;
  const InvSnapshot *head;
  GHashTable *files; /* name -> WsPoolFile */
  bool busy;         /* a volume was left out, for a task works on it */
} Compare;

static bool compare_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Compare *compare = arg;
  const WsPoolFile *file = volume->file ? g_hash_table_lookup(compare->files, volume->file) : NULL;
  bool settled = volume->state == WS_VOLUME_STATE_READY || volume->state == WS_VOLUME_STATE_MISSING;
  compare->busy = compare->busy || (settled && volume->activity);
  if (!settled || volume->activity)
    return true;
  int state = file ? WS_VOLUME_STATE_READY : WS_VOLUME_STATE_MISSING;
  bool resized = file && says_size(volume, file) && file->size_bytes != volume->size_bytes;
  if ((int)volume->state == state && !resized && (!file || volume->allocated_bytes == file->allocated_bytes))
    return true;
  WsVolume *edit = inv_edit(compare->txn, volume);
  if ((int)volume->state != state)
    center_event(compare->center, file ? CENTER_INFO : CENTER_MAJOR, &ws_type_volume, volume->id, "outside",
                 file ? "volume_found_again" : "volume_missing", "file", volume->file, NULL);
  edit->state = state;
  if (file)
    edit->allocated_bytes = file->allocated_bytes;
  if (resized)
    edit->size_bytes = file->size_bytes;
  return true;
}

static bool take_files(Center *center, WsId id, WsId host, const WsRpcPoolRefreshResult *result, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GHashTable) files = g_hash_table_new(g_str_hash, g_str_equal);
  Compare compare = {center, txn, head, files, false};
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, id);
  if (!pool)
    return true;
  for (guint i = 0; i < result->files.len; i++)
    g_hash_table_insert(files, result->files.items[i]->file, result->files.items[i]);
  storage_take_status(center, pool, host, result->status);
  inv_each_by(head, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), id, NULL, compare_volume, &compare);
  if (compare.busy)
    hosts_catch_up(center, host);
  if (!inv_commit(txn, NULL, error))
    return false;
  storage_tell_fill(center, id);
  return true;
}

static bool refresh_pool(Center *center, WsId id, WsId host, GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  g_autoptr(WsRpcPoolRefreshResult) result = NULL;
  WsRpcPoolRefresh params = {.pool = id};
  return link && rpc_pool_refresh(link, &params, &result, NULL, NULL, NULL, error) &&
         take_files(center, id, host, result, error);
}

bool pools_read(Center *center, WsId id, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  char text[WS_ID_TEXT_MAX];
  if (!pool)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_pool, id, text), NULL);
  return refresh_pool(center, id, storage_pool_host(center, pool), error);
}

static bool refresh_step(Task *task, void *ctx, GError **error)
{
  Center *center = task_center(task);
  const WsPool *pool = task_find_target(task, error);
  return pool && refresh_pool(center, pool->id, storage_pool_host(center, pool), error);
}

bool pool_refresh(Task *task, GError **error)
{
  TaskLockRef lock = {&ws_type_pool, task_target(task), true}; /* it only looks: it does not wait for those who make files there, nor they for it */
  return task_find_target(task, error) && task_lock(task, &lock, 1, error) &&
         TASK_STEP(task, "refresh", refresh_step, NULL, NULL, error);
}

/* ---- attach ---- */

typedef struct {
  Center *center;
  WsId pool, host;
} Member;

/* The host must find the pool's identity at its path: another disk behind the same path has another one, or none. */
static bool attach_host(Task *task, void *ctx, GError **error)
{
  Member *m = ctx;
  const WsPool *pool = task_find_target(task, error);
  g_autoptr(WsRpcPoolPrepareResult) result = NULL;
  if (!pool || !storage_tell_pool(m->center, pool, m->host, false, pool->suspended, &result, error))
    return false;
  WsPool *edit = inv_edit_id(task_txn(task), &ws_type_pool, m->pool);
  if (!plan_pool_has_host(edit, m->host))
    ws_array_add(&edit->hosts, m->host);
  storage_take_status(m->center, edit, m->host, result->status);
  return true;
}

static bool cut_off_again(Task *task, void *ctx, GError **error)
{
  Member *m = ctx;
  return storage_tell_pool_gone(m->center, m->pool, m->host, true, error);
}

static bool look_for_path(const void *object, void *arg)
{
  const WsPool *pool = object;
  const void **look = arg; /* the pool asked for, the host, what was found */
  const WsPool *asked = look[0];
  if (pool->id != asked->id && plan_pool_has_host(pool, *(const WsId *)look[1]) && g_strcmp0(pool->path, asked->path) == 0)
    look[2] = pool;
  return !look[2];
}

static bool check_attach(Task *task, const WsPool *pool, WsId host, GError **error)
{
  const WsHost *found = inv_find(task_snapshot(task), &ws_type_host, host);
  const void *look[3] = {pool, &host, NULL};
  char text[WS_ID_TEXT_MAX];
  if (!found)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "host", "object", storage_text(&ws_type_host, host, text), NULL);
  if (pool->kind == WS_POOL_KIND_DIRECTORY)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a second host for a local directory", NULL);
  if (plan_pool_has_host(pool, host))
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", found->name, "field", "host", NULL);
  inv_each(task_snapshot(task), &ws_type_pool, look_for_path, look);
  if (look[2])
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", ((const WsPool *)look[2])->name, "field", "path", NULL);
  return hosts_link(task_center(task), host, error) != NULL;
}

/* The host has it before it is on record: one that is told just then what is on record keeps it (forget_others). */
static void note_attach(const Member *m)
{
  if (!m->center->pools_attached)
    m->center->pools_attached = g_array_new(FALSE, FALSE, sizeof(Member));
  g_array_append_val(m->center->pools_attached, *m);
}

static void attach_is_over(const Member *m)
{
  for (guint i = 0; i < m->center->pools_attached->len; i++)
    if (memcmp(&g_array_index(m->center->pools_attached, Member, i), m, sizeof *m) == 0) {
      g_array_remove_index_fast(m->center->pools_attached, i);
      return;
    }
}

bool pool_attach(Task *task, GError **error)
{
  const WsPool *pool = task_find_target(task, error);
  const WsPoolAttach *args = task_args(task);
  Member m = {task_center(task), task_target(task), args->host};
  TaskLockRef locks[] = {{&ws_type_pool, m.pool, false}, {&ws_type_host, m.host, true}};
  if (!pool || (!task_is_resumed(task) && !check_attach(task, pool, m.host, error)))
    return false;
  storage_show_check(task, pool, true, &m.host, 1); /* nothing is held meanwhile */
  if (!task_lock(task, locks, G_N_ELEMENTS(locks), error))
    return false;
  note_attach(&m);
  bool ok = TASK_STEP(task, "attach", attach_host, cut_off_again, &m, error);
  attach_is_over(&m);
  return ok;
}

/* ---- detach ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId host;
  const WsVm *vm;
} UserLook;

static bool look_for_user(const void *object, void *arg)
{
  UserLook *look = arg;
  const WsVolume *volume = object;
  const WsVm *vm = volume->used_by ? inv_find(look->snap, &ws_type_vm, volume->used_by) : NULL;
  if (vm && vm->host == look->host)
    look->vm = vm;
  return !look->vm;
}

/* First out of the inventory, so that nothing new is placed there, then the host is told; one that is away hears it when it connects. */
static bool detach_host(Task *task, void *ctx, GError **error)
{
  Member *m = ctx;
  if (hosts_is_connected(m->center, m->host) && !storage_tell_pool_gone(m->center, m->pool, m->host, true, error))
    return false;
  WsPool *edit = inv_edit_id(task_txn(task), &ws_type_pool, m->pool);
  for (guint i = 0; edit && i < edit->hosts.len; i++)
    if (edit->hosts.items[i] == m->host) {
      memmove(&edit->hosts.items[i], &edit->hosts.items[i + 1], (edit->hosts.len - i - 1) * sizeof(WsId));
      edit->hosts.len--;
    }
  if (edit)
    storage_settle_state(m->center, edit);
  return true;
}

static bool check_detach(Task *task, const WsPool *pool, WsId host, GError **error)
{
  UserLook look = {task_snapshot(task), host, NULL};
  char text[WS_ID_TEXT_MAX];
  if (!plan_pool_has_host(pool, host))
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "host", "object", storage_text(&ws_type_host, host, text), NULL);
  if (pool->hosts.len == 1)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", pool->name, "verb", "detach", "reason",
                   "it is its last host (delete the pool instead)", NULL);
  inv_each_by(look.snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, look_for_user, &look);
  return !look.vm || ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", look.vm->name, NULL);
}

bool pool_detach(Task *task, GError **error)
{
  const WsPool *pool = task_find_target(task, error);
  const WsPoolDetach *args = task_args(task);
  Member m = {task_center(task), task_target(task), args->host};
  TaskLockRef locks[] = {{&ws_type_pool, m.pool, false}, {&ws_type_host, m.host, true}};
  return pool && (task_is_resumed(task) || check_detach(task, pool, m.host, error)) &&
         task_lock(task, locks, G_N_ELEMENTS(locks), error) && TASK_STEP(task, "detach", detach_host, NULL, &m, error);
}

/* ---- a host has connected ---- */

/* Which pools a host has is asked for each host that connects: not by walking over all pools each time. host -> GArray of WsId, of what is
 * published. */
static void enter_pool_of_host(Center *center, WsId host, WsId pool)
{
  GArray *pools = g_hash_table_lookup(center->pools_of_hosts, &host);
  if (!pools) {
    pools = g_array_new(FALSE, FALSE, sizeof(WsId));
    g_hash_table_insert(center->pools_of_hosts, g_memdup2(&host, sizeof host), pools);
  }
  g_array_append_val(pools, pool);
}

static void leave_pool_of_host(Center *center, WsId host, WsId pool)
{
  GArray *pools = g_hash_table_lookup(center->pools_of_hosts, &host);
  for (guint i = 0; pools && i < pools->len; i++)
    if (g_array_index(pools, WsId, i) == pool) {
      g_array_remove_index(pools, i);
      break;
    }
  if (pools && !pools->len)
    g_hash_table_remove(center->pools_of_hosts, &host);
}

static bool same_hosts(const WsPool *a, const WsPool *b)
{
  return a && b && a->hosts.len == b->hosts.len && memcmp(a->hosts.items, b->hosts.items, a->hosts.len * sizeof *a->hosts.items) == 0;
}

static void on_change(const InvChange *change, void *arg)
{
  const WsPool *before = change->old_object, *after = change->new_object;
  if (change->type != &ws_type_pool || same_hosts(before, after))
    return;
  for (guint i = 0; before && i < before->hosts.len; i++)
    leave_pool_of_host(arg, before->hosts.items[i], before->id);
  for (guint i = 0; after && i < after->hosts.len; i++)
    enter_pool_of_host(arg, after->hosts.items[i], after->id);
}

static bool enter_pool(const void *object, void *arg)
{
  const WsPool *pool = object;
  for (guint i = 0; i < pool->hosts.len; i++)
    enter_pool_of_host(arg, pool->hosts.items[i], pool->id);
  return true;
}

static void know_pools_of_hosts(Center *center)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  center->pools_of_hosts = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)g_array_unref);
  inv_each(snap, &ws_type_pool, enter_pool, center);
  inv_add_listener(center->inventory, on_change, center);
}

/* A copy; caller unrefs. */
static GArray *pools_of_host(Center *center, WsId host)
{
  const GArray *pools = g_hash_table_lookup(center->pools_of_hosts, &host);
  GArray *copy = g_array_new(FALSE, FALSE, sizeof(WsId));
  if (pools)
    g_array_append_vals(copy, pools->data, pools->len);
  return copy;
}

static bool resync_pool(Center *center, WsId id, WsId host, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_head(center->inventory);
  g_autoptr(WsRpcPoolPrepareResult) result = NULL;
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  if (!pool || pool->state == WS_POOL_STATE_CREATING)
    return true; /* its own task sees to it */
  if (pool->activity && !SIM_PLANT(busy_pool_told)) { /* its task tells the host something else just now: what it brings is told after it */
    hosts_catch_up(center, host);
    return true;
  }
  if (!storage_tell_pool(center, pool, host, false, pool->suspended, &result, error))
    return false;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsPool *edit = inv_edit_id(txn, &ws_type_pool, id);
  if ((!edit || !plan_pool_has_host(edit, host)) && !SIM_PLANT(deleted_pool_prepared)) /* deleted, or the host cut off, while the host was told of it */
    return storage_tell_pool_gone(center, id, host, pool->hosts.len > 1, error);
  if (edit)
    storage_take_status(center, edit, host, result->status);
  if (!inv_commit(txn, NULL, error))
    return false;
  storage_tell_fill(center, id);
  return storage_pool_host(center, pool) != host || refresh_pool(center, id, host, error);
}

static void set_away(Center *center, WsId id, WsId host, const char *reason)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, id);
  if (!pool || pool->state == WS_POOL_STATE_CREATING)
    return;
  storage_set_away(center, pool, host, reason);
  inv_commit(txn, NULL, NULL);
}

/* What it has besides is of pools that were deleted, or that it was cut off from, while it was away. */
static void forget_others(Center *center, WsId host, RpcLink *link, const GArray *pools)
{
  g_autoptr(GError) failed = NULL;
  g_autoptr(GArray) kept = g_array_copy((GArray *)pools);
  for (guint i = 0; center->pools_attached && i < center->pools_attached->len; i++) {
    const Member *m = &g_array_index(center->pools_attached, Member, i);
    if (m->host == host)
      g_array_append_val(kept, m->pool);
  }
  WsRpcPoolKeep params = {.pools = {.len = kept->len, .items = (WsId *)kept->data}};
  if (!rpc_pool_keep(link, &params, NULL, NULL, NULL, &failed))
    ws_log_error(WS_LOG_WARNING, "pools-not-forgotten", failed, NULL);
}

/* May be over when it is tried again soon; a disk that is not there is not. */
static bool is_passing(const GError *error)
{
  switch (ws_error_code(error)) {
  case WS_ERROR_READ_ONLY:
  case WS_ERROR_DEADLINE_EXCEEDED:
  case WS_ERROR_HYPERVISOR_ERROR:
  case WS_ERROR_CONFLICT:
  case WS_ERROR_BUSY:
    return true;
  default:
    return false;
  }
}

static bool is_in(const GArray *pools, WsId id)
{
  for (guint i = 0; i < pools->len; i++)
    if (g_array_index(pools, WsId, i) == id)
      return true;
  return false;
}

static bool is_being_made(Center *center, WsId id)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, id);
  return pool && pool->state == WS_POOL_STATE_CREATING;
}

bool storage_resync_pools(Center *center, WsId host, RpcLink *link, GError **error)
{
  g_autoptr(GArray) kept = pools_of_host(center, host);
  bool all = true;
  forget_others(center, host, link, kept);
  /* One that was made or attached meanwhile was not among them, and may be forgotten again: the host is told
   * of it now, or when its task is through. */
  g_autoptr(GArray) pools = pools_of_host(center, host);
  for (guint i = 0; i < pools->len; i++)
    if (!is_in(kept, g_array_index(pools, WsId, i)) && is_being_made(center, g_array_index(pools, WsId, i)))
      hosts_catch_up(center, host);
  for (guint i = 0; i < pools->len; i++) {
    g_autoptr(GError) failed = NULL;
    WsId id = g_array_index(pools, WsId, i);
    if (resync_pool(center, id, host, &failed))
      continue;
    set_away(center, id, host, failed->message);
    center_event(center, CENTER_MAJOR, &ws_type_pool, id, "host report", "pool_unreachable", "reason", failed->message, NULL);
    all = all && !is_passing(failed);
    if (!all && error && !*error)
      g_propagate_error(error, g_steal_pointer(&failed));
  }
  return all;
}

static void pools_down(Center *center, WsId host)
{
  g_autoptr(GArray) pools = pools_of_host(center, host);
  for (guint i = 0; i < pools->len; i++)
    set_away(center, g_array_index(pools, WsId, i), host, "the host is not connected");
}

/* ---- what the host says by itself ---- */

bool serve_pool_changed(RpcCall *call, const WsRpcPoolChanged *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsId host = hosts_of_call(call);
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, params->pool);
  if (!pool || pool->state == WS_POOL_STATE_CREATING || !plan_pool_has_host(pool, host))
    return true;
  storage_take_status(center, pool, host, params->status);
  bool ours = storage_pool_host(center, pool) == host; /* one host's word about files is enough */
  if (!inv_commit(txn, NULL, error))
    return false;
  storage_tell_fill(center, params->pool);
  if (!ours || (!params->vanished.len && !params->appeared.len))
    return true;
  return refresh_pool(center, params->pool, host, error);
}

void storage_start(Center *center)
{
  know_pools_of_hosts(center);
  storage_fill_start(center);
  hosts_add_resync(center, storage_resync_pools);
  hosts_add_down(center, pools_down);
}
