// SPDX-License-Identifier: Apache-2.0
/* Pools: made, watched, suspended, removed. A pool's object exists from the first step of its creation, in state `creating`. */
#include "base/log.h"
#include "base/plant.h"
#include "base/text.h"
#include "center/domains.h"
#include "center/storage/storage.h"
#include "plan/estate.h"
#include "rpc/methods.h"
#include "center/verbs.h"
#include <string.h>

#define NFS_FOLDER "/var/lib/winsphere/pools/nfs-" /* where no path is named: the identity follows */

/* ---- shared by the domain ---- */

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

typedef struct {
  WsId volume, self;
  bool but_off;
  const WsVm *found;
} UserLook;

static bool is_user(const WsVm *vm, const UserLook *look)
{
  bool off = vm->power && vm->power->state == WS_POWER_STATE_OFF;
  if (vm->id == look->self || vm->management == WS_VM_MANAGEMENT_IN_BIN || (look->but_off && off))
    return false;
  for (guint i = 0; i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == look->volume)
      return true;
  return false;
}

static bool look_for_user(const void *object, void *arg)
{
  UserLook *look = arg;
  if (is_user(object, look))
    look->found = object;
  return !look->found;
}

/* Who has it for itself is named by it; those that share it are not. A VM in the bin keeps what it had for itself. */
static const WsVm *find_user(const InvSnapshot *snap, const WsVolume *volume, UserLook *look)
{
  const WsVm *owner = volume->used_by ? inv_find(snap, &ws_type_vm, volume->used_by) : NULL;
  if (!owner)
    inv_each_referrer(snap, &ws_type_vm, volume->id, look_for_user, look);
  else if (owner->id != look->self && !(look->but_off && owner->power && owner->power->state == WS_POWER_STATE_OFF))
    look->found = owner;
  return look->found;
}

const WsVm *pools_other_user(const InvSnapshot *snap, const WsVolume *volume, WsId self)
{
  UserLook look = {volume->id, self, false, NULL};
  return find_user(snap, volume, &look);
}

const WsVm *pools_sharer(const InvSnapshot *snap, const WsVolume *volume, WsId self)
{
  UserLook look = {volume->id, self, false, NULL};
  inv_each_referrer(snap, &ws_type_vm, volume->id, look_for_user, &look);
  return look.found;
}

const WsVm *pools_writer(const InvSnapshot *snap, const WsVolume *volume)
{
  UserLook look = {volume->id, 0, true, NULL};
  return find_user(snap, volume, &look);
}

char *pools_new_file(const Center *center, WsId volume, const char *ending)
{
  char uuid[40], id[WS_ID_TEXT_MAX];
  ws_uuid_new(center->clock, uuid);
  return g_strdup_printf("%s-%.8s.%s", storage_text(&ws_type_volume, volume, id), uuid, ending);
}

/* ---- create ---- */

typedef struct {
  Center *center;
  const WsPool *args;
  WsId id;
  const char *uuid;
  char *path; /* owned by the task function */
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
  g_free(pool->path);
  pool->path = g_strdup(c->path);
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

/* The first host makes it, the others must find it. Repeated, the first finds it as well. */
static bool prepare_pool(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  const WsPool *args = c->args;
  g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func((GDestroyNotify)ws_rpc_pool_prepare_result_free);
  for (guint i = 0; i < args->hosts.len; i++) {
    g_autoptr(WsPool) draft = ws_pool_copy(args);
    WsRpcPoolPrepareResult *answer = NULL;
    draft->id = c->id;
    g_free(draft->uuid);
    draft->uuid = g_strdup(c->uuid);
    g_free(draft->path);
    draft->path = g_strdup(c->path);
    if (!storage_tell_pool(c->center, draft, args->hosts.items[i], i == 0, false, &answer, error))
      return false;
    g_ptr_array_add(answers, answer);
  }
  WsPool *pool = inv_edit_id(task_txn(task), &ws_type_pool, c->id);
  for (guint i = 0; i < answers->len; i++)
    storage_take_status(c->center, pool, args->hosts.items[i], ((WsRpcPoolPrepareResult *)answers->pdata[i])->status);
  return true;
}

static bool unprepare_pool(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  for (guint i = c->args->hosts.len; i-- > 0;) {
    g_autoptr(GError) failed = NULL;
    if (storage_tell_pool_gone(c->center, c->id, c->args->hosts.items[i], i > 0, &failed) || ws_error_code(failed) == WS_ERROR_NOT_FOUND)
      continue; /* one that was removed meanwhile has nothing to forget, and the others are to be told all the same */
    g_propagate_error(error, g_steal_pointer(&failed));
    return false;
  }
  return true;
}

typedef struct {
  const WsPool *asked, *found;
  const char *path, *field; /* what is the same */
} PathLook;

static bool same_export(const WsPoolNfs *a, const WsPoolNfs *b)
{
  return a && b && g_ascii_strcasecmp(a->server, b->server) == 0 && strcmp(a->export, b->export) == 0;
}

static bool same_place(const void *object, void *arg)
{
  const WsPool *pool = object;
  PathLook *look = arg;
  if (same_export(pool->nfs, look->asked->nfs)) {
    look->found = pool;
    look->field = "nfs";
  }
  for (guint i = 0; i < look->asked->hosts.len && !look->found; i++)
    if (plan_pool_has_host(pool, look->asked->hosts.items[i]) && g_strcmp0(pool->path, look->path) == 0) {
      look->found = pool;
      look->field = "path";
    }
  return !look->found;
}

/* What its kind asks for. */
static bool check_kind(const WsPool *args, GError **error)
{
  bool nfs = args->kind == WS_POOL_KIND_NFS;
  if (args->kind == WS_POOL_KIND_DIRECTORY && args->hosts.len != 1)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts", "expected", "exactly one host for a directory", NULL);
  if (nfs && !args->nfs)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "nfs", NULL);
  if (!nfs && args->nfs)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nfs", "expected", "nothing: it is for pools of kind nfs", NULL);
  return nfs || args->path || ws_fail(error, WS_ERROR_REQUIRED, "field", "path", NULL);
}

static bool check_new(Task *task, Create *c, GError **error)
{
  PathLook look = {c->args, NULL, c->path, NULL};
  for (guint i = 0; i < c->args->hosts.len; i++) {
    for (guint j = 0; j < i; j++)
      if (c->args->hosts.items[i] == c->args->hosts.items[j])
        return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts", "expected", "each host once", NULL);
    if (!hosts_link(c->center, c->args->hosts.items[i], error))
      return false;
  }
  inv_each(task_snapshot(task), &ws_type_pool, same_place, &look);
  return !look.found || ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", look.found->name, "field", look.field, NULL);
}

static void show_check(Task *task, const Create *c)
{
  g_autoptr(WsPool) draft = ws_pool_copy(c->args);
  g_free(draft->path);
  draft->path = g_strdup(c->path);
  storage_show_check(task, draft, false, draft->hosts.items, draft->hosts.len);
}

bool pool_create(Task *task, GError **error)
{
  Create c = {.center = task_center(task), .args = task_args(task)};
  char uuid[40];
  if (!check_kind(c.args, error))
    return false;
  c.uuid = task_choose(task, "uuid", ws_uuid_new(c.center->clock, uuid));
  g_autofree char *path = c.path = c.args->path ? g_strdup(c.args->path) : g_strconcat(NFS_FOLDER, c.uuid, NULL);
  if (!task_is_resumed(task) && !check_new(task, &c, error))
    return false;
  g_autofree TaskLockRef *locks = g_new0(TaskLockRef, c.args->hosts.len);
  for (guint i = 0; i < c.args->hosts.len; i++)
    locks[i] = (TaskLockRef){&ws_type_host, c.args->hosts.items[i], true};
  c.id = task_new_id(task, "pool");
  show_check(task, &c); /* nothing is held meanwhile */
  return task_lock(task, locks, c.args->hosts.len, error) && TASK_STEP(task, "enter", enter_pool, remove_pool_object, &c, error) &&
         TASK_STEP(task, "prepare", prepare_pool, unprepare_pool, &c, error);
}

/* ---- start, suspend ---- */

typedef struct {
  Center *center;
  WsId id;
  bool suspended;
} Mode;

/* All connected hosts are told; the others hear it when they connect. At least one must be there to be told. */
static bool set_mode(Task *task, void *ctx, GError **error)
{
  Mode *m = ctx;
  const WsPool *pool = task_find_target(task, error);
  g_autoptr(WsPool) draft = pool ? ws_pool_copy(pool) : NULL;
  if (!draft || !storage_pool_link(m->center, pool, error))
    return false;
  draft->suspended = m->suspended;
  for (guint i = 0; i < draft->hosts.len; i++) {
    WsId host = draft->hosts.items[i];
    g_autoptr(WsRpcPoolPrepareResult) result = NULL;
    g_autoptr(GError) failed = NULL;
    if (!hosts_is_connected(m->center, host))
      continue;
    bool ok = storage_tell_pool(m->center, draft, host, false, m->suspended, &result, &failed);
    if (!ok && draft->hosts.len == 1) {
      g_propagate_error(error, g_steal_pointer(&failed));
      return false;
    }
    if (ok) {
      storage_take_status(m->center, draft, host, result->status);
    } else {
      storage_set_away(m->center, draft, host, failed->message);
      hosts_catch_up(m->center, host); /* it stays connected: it hears it again when this task has ended */
    }
  }
  WsPool *edit = inv_edit_id(task_txn(task), &ws_type_pool, m->id);
  edit->suspended = m->suspended;
  storage_copy_states(m->center, edit, draft);
  return true;
}

/* The pool as the inventory has it, told to its hosts that are there; what they say of it is taken into the
 * body's transaction. */
static bool tell_what_holds(Task *task, Center *center, const WsPool *pool, bool create, GError **error)
{
  g_autoptr(WsPool) draft = ws_pool_copy(pool);
  for (guint i = 0; i < pool->hosts.len; i++) {
    WsId host = pool->hosts.items[i];
    g_autoptr(WsRpcPoolPrepareResult) result = NULL;
    if (!hosts_is_connected(center, host))
      continue;
    if (!storage_tell_pool(center, pool, host, create, pool->suspended, &result, error))
      return false;
    storage_take_status(center, draft, host, result->status);
    create = false; /* the first one makes it, the others must find it */
  }
  WsPool *edit = inv_edit_id(task_txn(task), &ws_type_pool, pool->id);
  if (edit)
    storage_copy_states(center, edit, draft);
  return true;
}

/* A call that was given up may be obeyed yet: the hosts hear what holds. One that is away hears it when it
 * comes. */
static bool set_mode_back(Task *task, void *ctx, GError **error)
{
  Mode *m = ctx;
  const WsPool *pool = task_find_target(task, error);
  return pool && tell_what_holds(task, m->center, pool, false, error);
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
  if (suspended && !task_is_resumed(task))
    inv_each_by(look[0], &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), m.id, NULL,
                first_running_user, look);
  if (look[1])
    return ws_fail(error, WS_ERROR_IN_USE, "object", pool->name, "user", ((const WsVm *)look[1])->name, NULL);
  return TASK_STEP(task, suspended ? "suspend" : "start", set_mode, set_mode_back, &m, error);
}

bool pool_start(Task *task, GError **error)
{
  return change_mode(task, false, error);
}

bool pool_suspend(Task *task, GError **error)
{
  return change_mode(task, true, error);
}

/* ---- delete ---- */

typedef struct {
  Center *center;
  WsId id;
  bool forget;
} Delete;

/* Hosts that are away forget it when they connect (pool.keep); one must be there, and clears the folder when nothing is in it. */
static bool tell_removal(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  const WsPool *pool = task_find_target(task, error);
  if (!pool || !storage_pool_link(d->center, pool, error))
    return false;
  WsId last = storage_pool_host(d->center, pool);
  for (guint i = 0; i < pool->hosts.len; i++)
    if (pool->hosts.items[i] != last && hosts_is_connected(d->center, pool->hosts.items[i]) &&
        !storage_tell_pool_gone(d->center, d->id, pool->hosts.items[i], true, error))
      return false;
  return storage_tell_pool_gone(d->center, d->id, last, false, error);
}

/* It stays after all: its hosts take it up again. The first one makes folder and identity anew if the removal
 * took them, so one must be there: until then the undo waits. Others that are away take it up when they come.
 */
static bool tell_again(Task *task, void *ctx, GError **error)
{
  if (SIM_PLANT(pool_stays_removed))
    return true;
  Delete *d = ctx;
  const WsPool *pool = task_find_target(task, error);
  return pool && storage_pool_link(d->center, pool, error) &&
         tell_what_holds(task, d->center, pool, true, error);
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
  Delete d = {task_center(task), pool->id, args && args->forget_volumes};
  TaskLockRef lock = {&ws_type_pool, d.id, false};
  if (!task_is_resumed(task) && !check_users(task_snapshot(task), pool, d.forget, error))
    return false;
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "remove", tell_removal, tell_again, &d, error) &&
         TASK_LAST(task, "forget", forget_pool, &d, error);
}
