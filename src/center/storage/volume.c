// SPDX-License-Identifier: Apache-2.0
/* Volumes: create, grow, clone, delete, restore.
 *
 * A volume's object is entered first, in state `creating` and locked by its task; the file is made under the name that the object
 * carries; the last step makes it `ready`. So whatever is cut short is known by name and can be removed. */
#include "center/storage/storage.h"
#include "center/bin.h"
#include "center/quota.h"
#include "center/turns.h"
#include "base/plant.h"
#include "rpc/methods.h"
#include "center/verbs.h"

typedef struct {
  Center *center;
  WsId id;             /* of the new or changed volume */
  WsId pool;           /* where it lies or will lie */
  WsId host;           /* that makes the file; 0: any of the pool */
  const char *file;    /* chosen once */
  const WsVolume *as;  /* fields of the new object; NULL with clone */
  const WsVolumeClone *clone;
  WsId source;
  gint64 size_bytes;
  bool wipe;
  bool abort_upload;   /* bytes may have been uploaded that are no volume yet */
  int state_before;    /* delete: what it goes back to when its file cannot be removed */
  PoolsHold room;
} Job;

static void job_clear(Job *job)
{
  pools_let_go(&job->room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)

/* ---- steps shared by create and clone ---- */

static RpcLink *link_of_pool(const Job *job, GError **error)
{
  return storage_link_at(job->center, job->pool, job->host, error);
}

static bool forget_volume(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, ((Job *)ctx)->id);
  return true;
}

static bool remove_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  RpcLink *link = link_of_pool(job, error);
  WsRpcVolumeUploadAbort abort = {.pool = job->pool, .file = (char *)job->file};
  if (job->abort_upload && (!link || !rpc_volume_upload_abort(link, &abort, NULL, NULL, NULL, error)))
    return false;
  if (SIM_PLANT(file_left_behind) && !job->wipe)
    return true;
  WsRpcVolumeDelete params = {.pool = job->pool, .file = (char *)job->file, .wipe = job->wipe};
  return link && rpc_volume_delete(link, &params, task_progress_of_call, task, NULL, error);
}

/* Nothing waits from here to the record: what was held is the volume's own. */
static void enter(Task *task, Job *job, WsVolume *volume)
{
  pools_let_go(&job->room);
  volume->state = WS_VOLUME_STATE_CREATING;
  volume->file = g_strdup(job->file);
  volume->created = ws_clock_wall_us(job->center->clock);
  task_lock_new(task, task_txn(task), volume);
  task_set_object(task, &ws_type_volume, job->id);
}

/* In the transaction of the step that made the file: object and file become good together. */
static bool become_ready(Task *task, Job *job, gint64 size_bytes, gint64 allocated_bytes, GError **error)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, job->id);
  char text[WS_ID_TEXT_MAX];
  if (!volume)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_volume, job->id, text), NULL);
  volume->state = WS_VOLUME_STATE_READY;
  pools_let_go(&job->room); /* of one that grew: its size has it */
  if (size_bytes > 0)
    volume->size_bytes = size_bytes;
  volume->allocated_bytes = allocated_bytes;
  return true;
}

/* ---- create ---- */

static bool enter_created(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  g_autoptr(WsVolume) fields = ws_volume_copy(job->as);
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, job->id);
  ws_resource_take_fields(&ws_type_volume, volume, fields);
  enter(task, job, volume);
  return true;
}

static bool make_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  RpcLink *link = link_of_pool(job, error);
  g_autoptr(WsRpcVolumeCreateResult) result = NULL;
  WsRpcVolumeCreate params = {.pool = job->pool,
                              .file = (char *)job->file,
                              .size_bytes = job->as->size_bytes,
                              .format = (int)job->as->format,
                              .provisioning = (int)job->as->provisioning};
  return link &&
         rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error) &&
         become_ready(task, job, 0, result->allocated_bytes, error);
}

/* Thin ones promise their size, thick ones take it. */
static bool check_room_for(Task *task, PoolsHold *hold, WsId pool_id, gint64 size_bytes, bool thin,
                           const char *verb, GError **error)
{
  const WsPool *pool = storage_usable_pool(task_snapshot(task), pool_id, verb, error);
  return pool && pools_check_room(task, hold, pool->id, size_bytes, thin ? 0 : size_bytes, error);
}

/* One that is to be uploaded has no file yet: its object waits for the bytes. */
static bool enter_awaiting(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  enter_created(task, ctx, error);
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, job->id);
  volume->state = WS_VOLUME_STATE_AWAITING_UPLOAD;
  if (volume->size_bytes == WS_INT_UNSET)
    volume->size_bytes = volume->upload_bytes;
  if (volume->kind == WS_VOLUME_KIND_ISO)
    volume->format = WS_VOLUME_FORMAT_RAW;
  return true;
}

static bool create_for_upload(Task *task, Job *job, GError **error)
{
  const WsVolume *args = job->as;
  pools_look_again(task, args->pool, args->upload_bytes);
  if (!task_is_resumed(task) &&
      !check_room_for(task, &job->room, args->pool, args->upload_bytes, false, "take an upload", error))
    return false;
  TaskLockRef lock = {&ws_type_pool, args->pool, true};
  if (!task_lock(task, &lock, 1, error))
    return false;
  job->id = task_new_id(task, "volume");
  const char *ending = args->kind == WS_VOLUME_KIND_ISO ? "iso" : args->format == WS_VOLUME_FORMAT_RAW ? "raw" : "qcow2";
  g_autofree char *file = pools_new_file(job->center, job->id, ending);
  job->file = task_choose(task, "file", file);
  return TASK_STEP(task, "enter", enter_awaiting, forget_volume, job, error);
}

bool volume_create(Task *task, GError **error)
{
  const WsVolume *args = task_args(task);
  g_auto(Job) job = {.center = task_center(task), .as = args, .pool = args->pool};
  bool thin = args->provisioning == WS_VOLUME_PROVISIONING_THIN;
  if (args->kind == WS_VOLUME_KIND_OVA)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "kind", "expected", "disk or iso, for vm export makes an ova", NULL);
  if (args->upload_bytes != WS_INT_UNSET)
    return create_for_upload(task, &job, error);
  if (args->kind == WS_VOLUME_KIND_ISO)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "upload_bytes", NULL);
  if (args->size_bytes == WS_INT_UNSET)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "size_bytes", NULL);
  pools_look_again(task, args->pool, thin ? 0 : args->size_bytes);
  if (!task_is_resumed(task) &&
      (!check_room_for(task, &job.room, args->pool, args->size_bytes, thin, "hold a new volume", error) ||
       !link_of_pool(&job, error)))
    return false;
  TaskLockRef lock = {&ws_type_pool, args->pool, true};
  if (!task_lock(task, &lock, 1, error))
    return false;
  job.id = task_new_id(task, "volume");
  g_autofree char *file = pools_new_file(job.center, job.id, args->format == WS_VOLUME_FORMAT_RAW ? "raw" : "qcow2");
  job.file = task_choose(task, "file", file);
  const WsPool *pool = inv_find(task_snapshot(task), &ws_type_pool, job.pool);
  job.host = storage_choose_host(task, pool ? storage_pool_host(job.center, pool) : 0);
  return TASK_STEP(task, "enter", enter_created, forget_volume, &job, error) &&
         TASK_STEP(task, "make file", make_file, remove_file, &job, error);
}

/* What a VM was exported into is no disk: nobody may read or change it as one. */
static bool refuse_export(const WsVolume *volume, const char *verb, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", volume->name, "verb", verb, "reason", "it is an exported virtual machine", NULL);
}

/* ---- clone ---- */

static const WsVolume *find_source(Job *job, const InvSnapshot *snap, GError **error)
{
  const WsVolume *source = inv_find(snap, &ws_type_volume, job->source);
  char text[WS_ID_TEXT_MAX];
  if (!source)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_volume, job->source, text), NULL);
  return source;
}

static bool enter_clone(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsVolume *source = find_source(job, task_snapshot(task), error);
  if (!source)
    return false;
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, job->id);
  volume->name = g_strdup(job->clone->name);
  volume->pool = job->pool;
  volume->kind = source->kind;
  volume->size_bytes = source->size_bytes;
  volume->format = job->clone->linked ? WS_VOLUME_FORMAT_QCOW2 : source->format;
  volume->provisioning = job->clone->linked ? WS_VOLUME_PROVISIONING_THIN : source->provisioning;
  volume->parent = job->clone->linked ? source->id : 0;
  enter(task, job, volume);
  return true;
}

static bool make_linked(Task *task, Job *job, const WsVolume *source, RpcLink *link, GError **error)
{
  g_autoptr(WsRpcVolumeCreateResult) result = NULL;
  WsRpcVolumeCreate params = {.pool = job->pool,
                              .file = (char *)job->file,
                              .size_bytes = source->size_bytes,
                              .format = WS_RPC_VOLUME_CREATE_FORMAT_QCOW2,
                              .provisioning = WS_RPC_VOLUME_CREATE_PROVISIONING_THIN,
                              .parent_file = source->file,
                              .parent_format = (int)source->format};
  return rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error) &&
         become_ready(task, job, 0, result->allocated_bytes, error);
}

/* The host that reads the source and writes the copy. */
static WsId host_of_both(Task *task, const Job *job, const WsVolume *source)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *from = inv_find(snap, &ws_type_pool, source->pool), *to = inv_find(snap, &ws_type_pool, job->pool);
  return from && to ? storage_common_host(job->center, from, to) : 0;
}

static bool copy_blocks(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsVolume *source = find_source(job, task_snapshot(task), error);
  g_auto(Turn) turn = {NULL};
  g_autoptr(WsRpcVolumeCloneResult) result = NULL;
  if (!source || (job->host && !turn_take(task, job->host, job->clone->linked ? TURN_FILE : TURN_COPY, &turn, error)))
    return false;
  source = find_source(job, task_snapshot(task), error); /* it may have been long */
  RpcLink *link = source ? link_of_pool(job, error) : NULL;
  if (!link)
    return false;
  if (job->clone->linked)
    return make_linked(task, job, source, link, error);
  WsRpcVolumeClone params = {.pool = source->pool,
                             .file = source->file,
                             .source_format = (int)source->format,
                             .target_pool = job->pool,
                             .target_file = (char *)job->file,
                             .format = (int)source->format,
                             .provisioning = (int)source->provisioning,
                             .size_bytes = WS_INT_UNSET};
  return rpc_volume_clone(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error) &&
         become_ready(task, job, result->size_bytes, result->allocated_bytes, error);
}

/* A running guest changes its disk while it is read: its copy would be torn. A linked child is torn also by what a guest writes to its parent
 * later on, so that this may be nobody's disk. */
static bool check_users(const InvSnapshot *snap, const WsVolume *source, bool linked, GError **error)
{
  const WsVm *user = linked ? pools_other_user(snap, source, 0) : NULL;
  if (user)
    return ws_fail(error, WS_ERROR_IN_USE, "object", source->name, "user", user->name, NULL);
  return !pools_writer(snap, source) ||
         ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", source->name, "verb", "clone", "reason", "its virtual machine is not off", NULL);
}

static gint64 blocks_of_clone(const Job *job, const WsVolume *source)
{
  bool thin = source->provisioning == WS_VOLUME_PROVISIONING_THIN;
  return job->clone->linked ? 0 : thin ? MAX(0, source->allocated_bytes) : source->size_bytes;
}

static bool check_clone(Task *task, Job *job, const WsVolume *source, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *from = storage_usable_pool(snap, source->pool, "be read", error);
  const WsPool *to = from ? storage_usable_pool(snap, job->pool, "hold a clone", error) : NULL;
  if (!to)
    return false;
  if (source->kind == WS_VOLUME_KIND_OVA)
    return refuse_export(source, "clone", error);
  if (source->state != WS_VOLUME_STATE_READY)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", source->name, "verb", "clone", "state",
                   ws_volume_state_names[source->state - 1], NULL);
  if (!check_users(snap, source, job->clone->linked, error))
    return false;
  if (!storage_common_host(job->center, from, to))
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "copying between pools that no host reaches both", NULL);
  if (job->clone->linked && source->pool != job->pool)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "pool", "expected", "the source's own pool for a linked clone", NULL);
  return pools_check_room(task, &job->room, to->id, source->size_bytes, blocks_of_clone(job, source),
                          error) &&
         link_of_pool(job, error);
}

bool volume_clone(Task *task, GError **error)
{
  const WsVolume *source = task_find_target(task, error);
  const WsVolumeClone *args = task_args(task);
  if (!source)
    return false;
  g_auto(Job) job = {.center = task_center(task), .source = source->id, .clone = args};
  job.pool = args->pool ? args->pool : source->pool;
  pools_look_again(task, job.pool, blocks_of_clone(&job, source));
  source = task_find_target(task, error);
  if (!source)
    return false;
  if (!task_is_resumed(task) && !check_clone(task, &job, source, error))
    return false;
  /* Its VM does not begin to write while it is read. */
  TaskLockRef locks[] = {{&ws_type_volume, source->id, true}, {&ws_type_pool, job.pool, true}, {&ws_type_vm, source->used_by, true}};
  if (!task_lock(task, locks, source->used_by ? 3 : 2, error))
    return false;
  bool raw = source->format == WS_VOLUME_FORMAT_RAW && !args->linked;
  job.id = task_new_id(task, "volume");
  g_autofree char *file = pools_new_file(job.center, job.id, raw ? "raw" : "qcow2");
  job.file = task_choose(task, "file", file);
  job.host = storage_choose_host(task, host_of_both(task, &job, source));
  return TASK_STEP(task, "enter", enter_clone, forget_volume, &job, error) &&
         TASK_STEP(task, "copy", copy_blocks, remove_file, &job, error);
}

/* ---- resize ---- */

static bool grow_file(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsVolume *volume = task_find_target(task, error);
  RpcLink *link = volume ? link_of_pool(job, error) : NULL;
  g_autoptr(WsRpcVolumeResizeResult) result = NULL;
  if (!link)
    return false;
  WsRpcVolumeResize params = {.pool = job->pool,
                              .file = volume->file,
                              .format = (int)volume->format,
                              .size_bytes = job->size_bytes,
                              .provisioning = (int)volume->provisioning};
  return rpc_volume_resize(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error) &&
         become_ready(task, job, result->size_bytes, result->allocated_bytes, error);
}

static bool grow_running(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsVolume *volume = task_find_target(task, error);
  const WsVm *vm = volume ? inv_find(task_snapshot(task), &ws_type_vm, volume->used_by) : NULL;
  RpcLink *link = vm ? hosts_link(job->center, vm->host, error) : NULL;
  const char *key = NULL;
  for (guint i = 0; vm && i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == volume->id)
      key = vm->disks.items[i]->key;
  if (!link || !key)
    return link ? ws_fail(error, WS_ERROR_CONFLICT, "object", volume->name, NULL) : false;
  WsRpcVmDiskResize params = {.vm = vm->id, .uuid = vm->uuid, .key = (char *)key, .size_bytes = job->size_bytes};
  return rpc_vm_disk_resize(link, &params, NULL, NULL, task_cancel_flag(task), error) &&
         become_ready(task, job, job->size_bytes, volume->allocated_bytes, error);
}

/* What grew does not shrink again, and whether it grew may not have been heard: the file says it. Of a raw disk, too: nobody else has changed it. */
static bool take_size(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, job->id);
  RpcLink *link = volume ? link_of_pool(job, error) : NULL;
  g_autoptr(WsRpcVolumeInfoResult) info = NULL;
  if (!volume)
    return true;
  WsRpcVolumeInfo params = {.pool = job->pool, .file = volume->file, .format = (int)volume->format};
  if (!link || !rpc_volume_info(link, &params, &info, NULL, NULL, NULL, error))
    return false;
  return !info->exists || become_ready(task, job, info->size_bytes, info->allocated_bytes, error);
}

static gint64 blocks_of_growth(const WsVolume *volume, gint64 size_bytes)
{
  return volume->provisioning == WS_VOLUME_PROVISIONING_THIN ? 0 : size_bytes - volume->size_bytes;
}

static bool check_resize(Task *task, PoolsHold *hold, const WsVolume *volume, gint64 size_bytes,
                         GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *pool = storage_usable_pool(snap, volume->pool, "grow a volume", error);
  g_autofree char *least = g_strdup_printf("%" G_GINT64_FORMAT, volume->size_bytes);
  if (!pool)
    return false;
  if (volume->kind == WS_VOLUME_KIND_OVA)
    return refuse_export(volume, "resize", error);
  if (volume->state != WS_VOLUME_STATE_READY)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", volume->name, "verb", "resize", "state",
                   ws_volume_state_names[volume->state - 1], NULL);
  if (size_bytes < volume->size_bytes)
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "size_bytes", "min", least, "max", "70368744177664", NULL);
  if (inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", volume->name, "verb", "resize", "reason",
                   "linked clones share its blocks", NULL);
  if (!volume->used_by && pools_writer(snap, volume)) /* each of their emulators would have to be told */
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", volume->name, "verb", "resize", "reason",
                   "a virtual machine that shares it is not off", NULL);
  return pools_check_room(task, hold, pool->id, size_bytes - volume->size_bytes,
                          blocks_of_growth(volume, size_bytes), error);
}

typedef struct {
  Task *task;
  QuotaHold *hold;
  const WsVolume *volume;
  gint64 more_bytes;
  GError **error;
  bool ok;
} Admit;

static bool admit_user(const void *object, void *arg)
{
  Admit *admit = arg;
  const WsVm *vm = object;
  QuotaFigures more = {.of[QUOTA_DISK] = admit->more_bytes};
  bool has = false;
  for (guint i = 0; i < vm->disks.len; i++)
    has = has || vm->disks.items[i]->volume == admit->volume->id;
  /* One in the bin counts its disks: else they would grow there unasked, and be restored. */
  if (has && (vm->management == WS_VM_MANAGEMENT_MANAGED || vm->management == WS_VM_MANAGEMENT_IN_BIN))
    admit->ok = quota_admit_task(admit->task, admit->hold, vm->id, more, vm->group, admit->error);
  return admit->ok;
}

/* Each VM that has it counts it. The group is the head's: the VM may be moving meanwhile. */
static bool admit_growth(Task *task, const WsVolume *volume, gint64 size_bytes, QuotaHold *hold, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  Admit admit = {task, hold, volume, size_bytes - volume->size_bytes, error, true};
  const WsVm *user = volume->used_by ? inv_find(head, &ws_type_vm, volume->used_by) : NULL;
  if (user)
    admit_user(user, &admit);
  else
    inv_each_referrer(head, &ws_type_vm, volume->id, admit_user, &admit); /* several may share it */
  return admit.ok;
}

bool volume_resize(Task *task, GError **error)
{
  const WsVolume *volume = task_find_target(task, error);
  const WsVolumeResize *args = task_args(task);
  if (!volume)
    return false;
  pools_look_again(task, volume->pool, blocks_of_growth(volume, args->size_bytes));
  volume = task_find_target(task, error);
  if (!volume)
    return false;
  g_auto(Job) job = {
      .center = task_center(task), .id = volume->id, .pool = volume->pool, .size_bytes = args->size_bytes};
  g_auto(QuotaHold) hold = {NULL};
  if (task_is_resumed(task))
    pools_hold_again(task, &job.room, volume->pool, args->size_bytes - volume->size_bytes,
                     blocks_of_growth(volume, args->size_bytes));
  if ((!task_is_resumed(task) && !check_resize(task, &job.room, volume, args->size_bytes, error)) ||
      !admit_growth(task, volume, args->size_bytes, &hold, error))
    return false;
  bool running = volume->used_by && pools_writer(task_snapshot(task), volume);
  const char *how = task_choose(task, "how", running ? "running" : "file");
  TaskLockRef locks[] = {{&ws_type_volume, volume->id, false}, {&ws_type_vm, volume->used_by, true}};
  return task_lock(task, locks, volume->used_by ? 2 : 1, error) &&
         TASK_STEP(task, "grow", strcmp(how, "running") == 0 ? grow_running : grow_file, take_size, &job, error);
}

/* ---- delete, restore ---- */

static bool into_bin(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, job->id);
  if (volume)
    bin_put_volume(job->center, volume, job->wipe);
  return true;
}

static bool mark_deleting(Task *task, void *ctx, GError **error)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, ((Job *)ctx)->id);
  if (volume)
    volume->state = WS_VOLUME_STATE_DELETING;
  return true;
}

/* It could not be deleted: it is there as before (or overwritten in part, as was asked). */
static bool unmark_deleting(Task *task, void *ctx, GError **error)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, ((Job *)ctx)->id);
  if (volume)
    volume->state = ((Job *)ctx)->state_before;
  return true;
}

static int parse_state(const char *word)
{
  for (int i = 0; ws_volume_state_names[i]; i++)
    if (strcmp(ws_volume_state_names[i], word) == 0 && i + 1 != WS_VOLUME_STATE_DELETING)
      return i + 1;
  return WS_VOLUME_STATE_READY;
}

static bool check_delete(Task *task, const WsVolume *volume, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsVolume *child = inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL);
  const WsImage *image = inv_find_by(snap, &ws_type_image, "volume", volume->id, NULL);
  const WsVm *vm = volume->used_by ? inv_find(snap, &ws_type_vm, volume->used_by) : NULL;
  const char *user = child ? child->name : image ? image->name : vm ? vm->name : NULL;
  if (user)
    return ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", user, NULL);
  /* Whoever else names it (a VM in the bin) would hold the record back when the file is already gone. */
  g_autoptr(InvTxn) dry = inv_begin(task_inventory(task));
  inv_delete(dry, &ws_type_volume, volume->id);
  return inv_check(dry, error);
}

bool volume_delete(Task *task, GError **error)
{
  const WsVolume *volume = task_find_target(task, error);
  const WsVolumeDelete *args = task_args(task);
  if (!volume || (!task_is_resumed(task) && !check_delete(task, volume, error)))
    return false;
  Job job = {.center = task_center(task),
             .id = volume->id,
             .pool = volume->pool,
             .file = volume->file,
             .wipe = (args && args->wipe) || (volume->in_bin_since && volume->bin_wipe),
             .abort_upload = volume->upload_bytes != WS_INT_UNSET};
  TaskLockRef lock = {&ws_type_volume, volume->id, false};
  if (!task_lock(task, &lock, 1, error))
    return false;
  if (args && args->to_bin)
    return TASK_LAST(task, "to the bin", into_bin, &job, error);
  /* From the first overwritten byte on there is no way back: the object says so, and goes only after the file. */
  task_allow_cancel(task, false);
  job.file = task_choose(task, "file", volume->file);
  job.state_before = parse_state(task_choose(task, "state", volume->state ? ws_volume_state_names[volume->state - 1] : ""));
  return TASK_STEP(task, "mark", mark_deleting, unmark_deleting, &job, error) &&
         TASK_STEP(task, "remove file", remove_file, NULL, &job, error) &&
         TASK_LAST(task, "forget", forget_volume, &job, error);
}

static bool out_of_bin(Task *task, void *ctx, GError **error)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, ((Job *)ctx)->id);
  if (volume)
    bin_take_volume_alone(task_snapshot(task), volume);
  return true;
}

bool volume_restore(Task *task, GError **error)
{
  const WsVolume *volume = task_find_target(task, error);
  if (!volume)
    return false;
  Job job = {.center = task_center(task), .id = volume->id};
  TaskLockRef lock = {&ws_type_volume, volume->id, false};
  if (!volume->in_bin_since && !task_is_resumed(task))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", volume->name, "verb", "restore", "reason",
                   "it is not in the recycle bin", NULL);
  return task_lock(task, &lock, 1, error) && TASK_LAST(task, "restore", out_of_bin, &job, error);
}
