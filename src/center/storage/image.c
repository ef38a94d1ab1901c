// SPDX-License-Identifier: Apache-2.0
/* The image library, and the end of uploads. An image is a volume with what is known of the system in it. */
#include "center/storage/storage.h"
#include "center/api/allowed.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "rpc/methods.h"

/* ---- the end of an upload (verb of Volume): check, convert, take into use ---- */

typedef struct {
  Center *center;
  WsId id;
  const char *sha256; /* asked for; NULL: any */
} Finish;

static bool mark_importing(Task *task, void *ctx, GError **error)
{
  Finish *f = ctx;
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, f->id);
  if (volume)
    volume->state = WS_VOLUME_STATE_IMPORTING;
  return true;
}

static bool mark_awaiting(Task *task, void *ctx, GError **error)
{
  Finish *f = ctx;
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, f->id);
  if (volume && volume->state == WS_VOLUME_STATE_IMPORTING)
    volume->state = WS_VOLUME_STATE_AWAITING_UPLOAD;
  return true;
}

/* Before bytes are read or converted there; a pool that no host sees now is refused by link_of(). */
static bool take_turn(Task *task, Center *center, WsId pool_id, Turn *turn, GError **error)
{
  const WsPool *pool = inv_find(task_snapshot(task), &ws_type_pool, pool_id);
  WsId host = pool ? storage_pool_host(center, pool) : 0;
  return !host || turn_take(task, host, TURN_COPY, turn, error);
}

/* Whatever the pool's state: while its host is away it is unreachable, and that must read as a host to wait for. */
static RpcLink *link_of(Center *center, const WsVolume *volume, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, volume->pool);
  char text[WS_ID_TEXT_MAX];
  if (pool)
    return storage_pool_link(center, pool, error);
  ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_pool, volume->pool, text), NULL);
  return NULL;
}

static void set_text(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

/* An image of this volume becomes ready with it. */
static void finish_image(Task *task, const WsVolume *volume, const char *uploaded_sha256)
{
  const WsImage *image = inv_find_by(task_snapshot(task), &ws_type_image, "volume", volume->id, NULL);
  WsImage *edit = image ? inv_edit_id(task_txn(task), &ws_type_image, image->id) : NULL;
  if (!edit)
    return;
  edit->state = WS_IMAGE_STATE_READY;
  edit->size_bytes = edit->min_disk_bytes = volume->size_bytes;
  set_text(&edit->sha256, uploaded_sha256);
  set_text(&edit->state_reason, NULL);
}

static int source_format_of(const WsVolume *volume)
{
  if ((int)volume->source_format)
    return (int)volume->source_format;
  if (volume->kind == WS_VOLUME_KIND_ISO)
    return WS_VOLUME_SOURCE_FORMAT_ISO;
  return volume->format == WS_VOLUME_FORMAT_RAW ? WS_VOLUME_SOURCE_FORMAT_RAW : WS_VOLUME_SOURCE_FORMAT_QCOW2;
}

static bool import_bytes(Task *task, void *ctx, GError **error)
{
  Finish *f = ctx;
  g_auto(Turn) turn = {NULL};
  const WsVolume *volume = task_find_target(task, error);
  if (!volume || !take_turn(task, f->center, volume->pool, &turn, error))
    return false;
  volume = task_find_target(task, error);
  RpcLink *link = volume ? link_of(f->center, volume, error) : NULL;
  g_autoptr(WsRpcVolumeUploadFinishResult) result = NULL;
  if (!link)
    return false;
  WsRpcVolumeUploadFinish params = {.pool = volume->pool,
                                    .file = volume->file,
                                    .total_bytes = volume->upload_bytes,
                                    .source_format = source_format_of(volume),
                                    .format = (int)volume->format,
                                    .sha256 = (char *)f->sha256};
  const char *name = volume->name;
  g_autoptr(WsRpcVolumeChecksumResult) checksum = NULL;
  WsRpcVolumeChecksum sum = {.pool = volume->pool, .file = volume->file};
  if (!rpc_volume_upload_finish(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error)) {
    if (error && ws_error_code(*error) == WS_ERROR_CHECKSUM_MISMATCH)
      ws_error_set_param(*error, "object", name); /* rather than the file's */
    return false;
  }
  if (!rpc_volume_checksum(link, &sum, &checksum, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, f->id);
  edit->state = WS_VOLUME_STATE_READY;
  edit->size_bytes = result->size_bytes;
  edit->allocated_bytes = result->allocated_bytes;
  set_text(&edit->sha256, checksum->sha256);
  finish_image(task, edit, result->sha256);
  return true;
}

bool volume_finish_upload(Task *task, GError **error)
{
  const WsVolume *volume = task_find_target(task, error);
  const WsVolumeFinishUpload *args = task_args(task);
  if (!volume || (!task_is_resumed(task) && !allowed_check(task_kind(task)->name, volume, error))) /* in a batch nobody else has looked */
    return false;
  const WsImage *image = inv_find_by(task_snapshot(task), &ws_type_image, "volume", volume->id, NULL);
  Finish f = {task_center(task), volume->id, args && args->sha256 ? args->sha256 : image ? image->sha256 : NULL};
  TaskLockRef locks[] = {{&ws_type_volume, volume->id, false}, {&ws_type_image, image ? image->id : 0, false}};
  return task_lock(task, locks, image ? 2 : 1, error) &&
         TASK_STEP(task, "begin", mark_importing, mark_awaiting, &f, error) &&
         TASK_STEP(task, "import", import_bytes, NULL, &f, error);
}

/* ---- images ---- */

typedef struct {
  Center *center;
  const WsImage *args;
  WsId id, volume;
  WsId host; /* that makes the copy */
  const char *file;
  PoolsHold *hold;
} Create;

static WsVolume *enter_volume(Task *task, Create *c)
{
  const WsImage *args = c->args;
  bool iso = args->kind == WS_IMAGE_KIND_ISO;
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, c->volume);
  volume->name = g_strdup(args->name);
  volume->pool = args->pool;
  volume->kind = iso ? WS_VOLUME_KIND_ISO : WS_VOLUME_KIND_DISK;
  volume->format = iso ? WS_VOLUME_FORMAT_RAW : (int)args->format;
  volume->provisioning = WS_VOLUME_PROVISIONING_THIN;
  volume->size_bytes = args->upload_bytes == WS_INT_UNSET ? 0 : args->upload_bytes;
  volume->upload_bytes = args->upload_bytes;
  volume->source_format = iso ? WS_VOLUME_SOURCE_FORMAT_ISO : (int)args->source_format;
  volume->state = args->source ? WS_VOLUME_STATE_CREATING : WS_VOLUME_STATE_AWAITING_UPLOAD;
  volume->file = g_strdup(c->file);
  volume->created = ws_clock_wall_us(c->center->clock);
  return volume;
}

static bool enter(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  pools_let_go(c->hold); /* its volume has it from here */
  g_autoptr(WsImage) fields = ws_image_copy(c->args);
  WsVolume *volume = enter_volume(task, c);
  WsImage *image = inv_create_with_id(task_txn(task), &ws_type_image, c->id);
  ws_resource_take_fields(&ws_type_image, image, fields);
  image->volume = c->volume;
  image->format = (int)volume->format; /* an ISO's are not asked for */
  image->source_format = (int)volume->source_format;
  image->state = c->args->source ? WS_IMAGE_STATE_IMPORTING : WS_IMAGE_STATE_AWAITING_UPLOAD;
  image->created = volume->created;
  task_lock_new(task, task_txn(task), image);
  task_lock_new(task, task_txn(task), volume);
  task_set_object(task, &ws_type_image, c->id);
  return true;
}

static bool leave(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  inv_delete(task_txn(task), &ws_type_image, c->id);
  inv_delete(task_txn(task), &ws_type_volume, c->volume);
  return true;
}

static bool copy_source(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  g_auto(Turn) turn = {NULL};
  if (c->host && !turn_take(task, c->host, TURN_COPY, &turn, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  const WsVolume *source = inv_find(snap, &ws_type_volume, c->args->source);
  const WsVolume *volume = inv_find(snap, &ws_type_volume, c->volume);
  RpcLink *link = source && volume ? storage_link_at(c->center, volume->pool, c->host, error) : NULL;
  g_autoptr(WsRpcVolumeCloneResult) result = NULL;
  g_autoptr(WsRpcVolumeChecksumResult) checksum = NULL;
  if (!source || !volume)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", "the source volume", NULL);
  if (!link)
    return false;
  WsRpcVolumeClone params = {.pool = source->pool,
                             .file = source->file,
                             .source_format = (int)source->format,
                             .target_pool = volume->pool,
                             .target_file = volume->file,
                             .format = (int)volume->format,
                             .provisioning = WS_RPC_VOLUME_CLONE_PROVISIONING_THIN,
                             .size_bytes = WS_INT_UNSET};
  WsRpcVolumeChecksum sum = {.pool = volume->pool, .file = volume->file};
  if (!rpc_volume_clone(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error) ||
      !rpc_volume_checksum(link, &sum, &checksum, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, c->volume);
  edit->state = WS_VOLUME_STATE_READY;
  edit->size_bytes = result->size_bytes;
  edit->allocated_bytes = result->allocated_bytes;
  set_text(&edit->sha256, checksum->sha256);
  finish_image(task, edit, checksum->sha256);
  return true;
}

static bool remove_copy(Task *task, void *ctx, GError **error)
{
  Create *c = ctx;
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, c->volume);
  RpcLink *link = volume ? storage_link_at(c->center, volume->pool, c->host, error) : NULL;
  if (!volume)
    return true;
  WsRpcVolumeDelete params = {.pool = volume->pool, .file = volume->file};
  return link && rpc_volume_delete(link, &params, NULL, NULL, NULL, error);
}

static bool check_create(Task *task, PoolsHold *hold, const WsImage *args, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *pool = storage_usable_pool(snap, args->pool, "hold an image", error);
  const WsVolume *source = args->source ? inv_find(snap, &ws_type_volume, args->source) : NULL;
  if (!pool)
    return false;
  if (!args->source && args->upload_bytes == WS_INT_UNSET)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "upload_bytes", NULL);
  if (args->source && (!source || source->state != WS_VOLUME_STATE_READY))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "source", "expected", "a volume that is ready", NULL);
  if (source && source->kind == WS_VOLUME_KIND_OVA)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", source->name, "verb", "become an image", "reason", "it is an exported virtual machine", NULL);
  if (source && pools_writer(snap, source))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", source->name, "verb", "become an image", "reason",
                   "its virtual machine is not off", NULL);
  gint64 bytes = source ? source->size_bytes : args->upload_bytes;
  return pools_check_room(task, hold, pool->id, bytes,
                          source ? MAX(0, source->allocated_bytes) : args->upload_bytes, error) &&
         storage_pool_link(task_center(task), pool, error);
}

/* One that reads the source and writes the copy; 0: none does both now. */
static WsId host_of_copy(Task *task, const Create *c)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *to = inv_find(snap, &ws_type_pool, c->args->pool);
  const WsVolume *source = c->args->source ? inv_find(snap, &ws_type_volume, c->args->source) : NULL;
  const WsPool *from = source ? inv_find(snap, &ws_type_pool, source->pool) : NULL;
  return from && to ? storage_common_host(c->center, from, to) : 0;
}

bool image_create(Task *task, GError **error)
{
  Create c = {.center = task_center(task), .args = task_args(task)};
  g_auto(PoolsHold) hold = {NULL};
  const WsVolume *source = c.args->source ? inv_find(task_snapshot(task), &ws_type_volume, c.args->source) : NULL;
  c.hold = &hold;
  pools_look_again(task, c.args->pool, source ? source->allocated_bytes : c.args->upload_bytes);
  if (!task_is_resumed(task) && !check_create(task, &hold, c.args, error))
    return false;
  source = c.args->source ? inv_find(task_snapshot(task), &ws_type_volume, c.args->source) : NULL;
  WsId user = source ? source->used_by : 0; /* it does not begin to write while it is read */
  TaskLockRef locks[] = {{&ws_type_pool, c.args->pool, true}, {&ws_type_volume, c.args->source, true}, {&ws_type_vm, user, true}};
  if (!task_lock(task, locks, user ? 3 : c.args->source ? 2 : 1, error))
    return false;
  bool raw = c.args->kind == WS_IMAGE_KIND_ISO || c.args->format == WS_IMAGE_FORMAT_RAW;
  c.id = task_new_id(task, "image");
  c.volume = task_new_id(task, "volume");
  g_autofree char *file =
      pools_new_file(c.center, c.volume, c.args->kind == WS_IMAGE_KIND_ISO ? "iso" : raw ? "raw" : "qcow2");
  c.file = task_choose(task, "file", file);
  c.host = storage_choose_host(task, host_of_copy(task, &c));
  return TASK_STEP(task, "enter", enter, leave, &c, error) &&
         (!c.args->source || TASK_STEP(task, "copy", copy_source, remove_copy, &c, error));
}

/* ---- delete ---- */

typedef struct {
  Center *center;
  WsId id, volume;
} Delete;

static bool remove_bytes(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, d->volume);
  RpcLink *link = volume ? link_of(d->center, volume, error) : NULL;
  if (!volume)
    return true;
  if (!link)
    return false;
  WsRpcVolumeUploadAbort abort = {.pool = volume->pool, .file = volume->file};
  WsRpcVolumeDelete params = {.pool = volume->pool, .file = volume->file};
  return rpc_volume_upload_abort(link, &abort, NULL, NULL, NULL, error) &&
         rpc_volume_delete(link, &params, task_progress_of_call, task, NULL, error);
}

static bool forget(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  inv_delete(task_txn(task), &ws_type_image, d->id);
  inv_delete(task_txn(task), &ws_type_volume, d->volume);
  return true;
}

/* Its volume may be a VM's disk too, or the base of others. Whoever else names either would hold the record back when the bytes are gone. */
static bool check_delete(Task *task, const Delete *d, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsImage *image = inv_find(snap, &ws_type_image, d->id);
  const WsVolume *volume = inv_find(snap, &ws_type_volume, d->volume);
  const WsVolume *child = inv_find_by(snap, &ws_type_volume, "parent", d->volume, NULL);
  const WsVm *vm = volume && volume->used_by ? inv_find(snap, &ws_type_vm, volume->used_by) : NULL;
  if (image && (child || vm))
    return ws_fail(error, WS_ERROR_IN_USE, "object", image->name, "user", child ? child->name : vm->name, NULL);
  g_autoptr(InvTxn) dry = inv_begin(task_inventory(task));
  inv_delete(dry, &ws_type_image, d->id);
  inv_delete(dry, &ws_type_volume, d->volume);
  return inv_check(dry, error);
}

bool image_delete(Task *task, GError **error)
{
  const WsImage *image = task_find_target(task, error);
  if (!image)
    return false;
  Delete d = {task_center(task), image->id, image->volume};
  TaskLockRef locks[] = {{&ws_type_image, d.id, false}, {&ws_type_volume, d.volume, false}};
  if (!task_lock(task, locks, 2, error) || (!task_is_resumed(task) && !check_delete(task, &d, error)))
    return false;
  task_allow_cancel(task, false);
  return TASK_STEP(task, "remove bytes", remove_bytes, NULL, &d, error) && TASK_LAST(task, "forget", forget, &d, error);
}

/* ---- verify ---- */

static bool compare_checksum(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  g_auto(Turn) turn = {NULL};
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, d->volume);
  if (volume && !take_turn(task, d->center, volume->pool, &turn, error))
    return false;
  volume = inv_find(task_snapshot(task), &ws_type_volume, d->volume);
  const WsImage *image = task_find_target(task, error);
  RpcLink *link = volume && image ? link_of(d->center, volume, error) : NULL;
  g_autoptr(WsRpcVolumeChecksumResult) result = NULL;
  if (!link)
    return false;
  WsRpcVolumeChecksum params = {.pool = volume->pool, .file = volume->file};
  if (!rpc_volume_checksum(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  return g_strcmp0(result->sha256, volume->sha256) == 0 ||
         ws_fail(error, WS_ERROR_CHECKSUM_MISMATCH, "object", image->name, NULL);
}

bool image_verify(Task *task, GError **error)
{
  const WsImage *image = task_find_target(task, error);
  if (!image || (!task_is_resumed(task) && !allowed_check(task_kind(task)->name, image, error)))
    return false;
  Delete d = {task_center(task), image->id, image->volume};
  TaskLockRef locks[] = {{&ws_type_image, d.id, false}, {&ws_type_volume, d.volume, true}};
  return task_lock(task, locks, 2, error) && TASK_STEP(task, "compare", compare_checksum, NULL, &d, error);
}
