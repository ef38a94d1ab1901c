// SPDX-License-Identifier: Apache-2.0
/* A disk goes back to what it was when it was deployed from its image.
 *
 *     reserve      a stand-in volume in the disk's pool                      undo: gone
 *     make disk    its file, of the image: linked as before, or a copy       undo: deleted
 *     swap         the host's definition names that file; in the same        undo: the definition names the old file again
 *                  transaction volume and stand-in change places
 *     remove old   what was written goes, with the stand-in
 *
 * The volume keeps its id, so who refers to it goes on doing so, and its pool, so the VM's lease is where it was (docs/leases.md). Until the
 * swap is durable the old file is whole; a crash leaves no file without a record. */
#include "base/hash.h"
#include "center/bin.h"
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/pools.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "plan/estate.h"

typedef struct {
  VmJob vm; /* first */
  const char *key;
  WsId volume, image, base, stand_in; /* base: the image's volume */
  const char *was_file;               /* where its blocks lay when the task began */
  bool linked;
} Revert;

/* ---- what it goes back to ---- */

static const WsVmDisk *find_disk(const WsVm *vm, const char *key, GError **error)
{
  for (guint i = 0; i < vm->disks.len; i++)
    if (g_strcmp0(vm->disks.items[i]->key, key) == 0)
      return vm->disks.items[i];
  g_autofree char *what = g_strdup_printf("%s of %s", key, vm->name);
  ws_fail(error, WS_ERROR_NOT_FOUND, "object", what, "field", "key", NULL);
  return NULL;
}

/* The image that the volume was deployed from. Of a linked one made before that was noted, the one whose blocks it shares. NULL: none. */
static const WsImage *image_of(const InvSnapshot *snap, const WsVolume *volume)
{
  if (volume->image)
    return inv_find(snap, &ws_type_image, volume->image);
  return volume->parent ? inv_find_by(snap, &ws_type_image, "volume", volume->parent, NULL) : NULL;
}

static bool refuse(const WsVolume *volume, const char *reason, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", volume->name, "verb", "be reverted", "reason", reason, NULL);
}

static const WsVolume *find_base(const InvSnapshot *snap, const WsVolume *volume, const WsImage *image, GError **error)
{
  const WsVolume *base = image ? inv_find(snap, &ws_type_volume, image->volume) : NULL;
  const char *reason = !image ? (volume->image ? "its image has been deleted" : "it was not deployed from an image")
                       : !base || image->state != WS_IMAGE_STATE_READY || base->state != WS_VOLUME_STATE_READY ? "its image is not ready"
                       : volume->image_sha256 && g_strcmp0(volume->image_sha256, base->sha256) != 0 ? "its image is not the same any more"
                                                                                                   : NULL;
  if (!reason)
    return base;
  refuse(volume, reason, error);
  return NULL;
}

static bool is_linked(const WsVolume *volume, const WsVolume *base)
{
  return volume->parent == base->id && volume->pool == base->pool && volume->format == WS_VOLUME_FORMAT_QCOW2;
}

static bool check_pools(Task *task, const Revert *r, const WsVolume *volume, const WsVolume *base, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsPool *from = inv_find(snap, &ws_type_pool, base->pool);
  WsId pool = volume->pool;
  if (!from || !plan_pool_has_host(from, r->vm.host))
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "copying between pools that no host reaches both", NULL);
  return compute_pool_takes_deletes(task, pool, error) &&
         (r->linked ||
          place_pool(r->vm.center, snap, r->vm.host, &(PlacePoolNeed){.pool = pool}, &pool, "key", error));
}

static bool check_volume(const InvSnapshot *snap, const WsVmDisk *disk, const WsVolume *volume, GError **error)
{
  if (volume->state != WS_VOLUME_STATE_READY)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", volume->name, "verb", "be reverted", "state",
                   ws_volume_state_names[volume->state - 1], NULL);
  if (disk->shared)
    return refuse(volume, "it is shared with other VMs", error);
  if (inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL))
    return refuse(volume, "linked clones share its blocks", error);
  return true;
}

/* ---- steps ---- */

static bool is_over(Task *task, const Revert *r)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  const WsVolume *volume = inv_find(head, &ws_type_volume, r->volume);
  return volume && g_strcmp0(volume->file, r->was_file) != 0;
}

static bool reserve(Task *task, void *ctx, GError **error)
{
  Revert *r = ctx;
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, r->volume);
  if (!volume)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", r->key, NULL);
  WsVolume *stand_in = inv_create_with_id(task_txn(task), &ws_type_volume, r->stand_in);
  stand_in->name = g_strdup(volume->name);
  stand_in->pool = volume->pool;
  stand_in->kind = WS_VOLUME_KIND_DISK;
  stand_in->size_bytes = volume->size_bytes;
  stand_in->format = volume->format;
  stand_in->provisioning = volume->provisioning;
  stand_in->parent = r->linked ? r->base : 0;
  stand_in->state = WS_VOLUME_STATE_CREATING;
  stand_in->created = ws_clock_wall_us(r->vm.center->clock);
  stand_in->file = pools_new_file(r->vm.center, r->volume, volume->format == WS_VOLUME_FORMAT_RAW ? "raw" : "qcow2");
  task_lock_new(task, task_txn(task), stand_in);
  return true;
}

static bool unreserve(Task *task, void *ctx, GError **error)
{
  if (!is_over(task, ctx))
    inv_delete(task_txn(task), &ws_type_volume, ((Revert *)ctx)->stand_in);
  return true;
}

static bool make_file(Task *task, Revert *r, RpcLink *link, const WsVolume *to, const WsVolume *base, gint64 *allocated, GError **error)
{
  if (r->linked) {
    g_autoptr(WsRpcVolumeCreateResult) result = NULL;
    WsRpcVolumeCreate params = {.pool = to->pool, .file = to->file, .size_bytes = to->size_bytes, .format = (int)to->format,
                                .provisioning = (int)to->provisioning, .parent_file = base->file, .parent_format = (int)base->format};
    if (!rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
      return false;
    *allocated = result->allocated_bytes;
    return true;
  }
  g_autoptr(WsRpcVolumeCloneResult) result = NULL;
  WsRpcVolumeClone params = {.pool = base->pool, .file = base->file, .source_format = (int)base->format, .target_pool = to->pool,
                             .target_file = to->file, .format = (int)to->format, .provisioning = (int)to->provisioning,
                             .size_bytes = to->size_bytes};
  if (!rpc_volume_clone(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  *allocated = result->allocated_bytes;
  return true;
}

static bool make(Task *task, void *ctx, GError **error)
{
  Revert *r = ctx;
  gint64 allocated = WS_INT_UNSET;
  g_auto(Turn) turn = {NULL};
  if (!turn_take(task, r->vm.host, r->linked ? TURN_FILE : TURN_COPY, &turn, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  const WsVolume *stand_in = inv_find(snap, &ws_type_volume, r->stand_in), *base = inv_find(snap, &ws_type_volume, r->base);
  RpcLink *link = compute_link(&r->vm, error);
  if (!link || !stand_in || !base)
    return link ? ws_fail(error, WS_ERROR_NOT_FOUND, "object", r->key, NULL) : false;
  if (!make_file(task, r, link, stand_in, base, &allocated, error))
    return false;
  WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, r->stand_in);
  if (edit) {
    edit->state = WS_VOLUME_STATE_READY;
    edit->allocated_bytes = allocated;
  }
  return true;
}

static bool delete_stand_in(Task *task, const Revert *r, GError **error)
{
  const WsVolume *stand_in = inv_find(task_snapshot(task), &ws_type_volume, r->stand_in);
  RpcLink *link = stand_in ? compute_link(&r->vm, error) : NULL;
  WsRpcVolumeDelete params = {.pool = stand_in ? stand_in->pool : 0, .file = stand_in ? stand_in->file : NULL};
  return !stand_in || (link && rpc_volume_delete(link, &params, NULL, NULL, NULL, error));
}

static bool unmake(Task *task, void *ctx, GError **error)
{
  return is_over(task, ctx) || delete_stand_in(task, ctx, error);
}

/* The host's definition names the file of this volume. */
static bool tell_host(Task *task, const Revert *r, WsId of, volatile gint *cancel, GError **error)
{
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, of);
  RpcLink *link = compute_link(&r->vm, error);
  if (!link || !volume)
    return link ? ws_fail(error, WS_ERROR_NOT_FOUND, "object", r->key, NULL) : false;
  WsVmMoveHere here = {.key = (char *)r->key, .pool = volume->pool, .file = volume->file, .format = (int)volume->format,
                       .provisioning = (int)volume->provisioning};
  WsVmMoveHere *list[] = {&here};
  WsRpcVmMoveDisks params = {.vm = r->vm.id, .uuid = (char *)r->vm.uuid, .disks = {1, list}, .offline = true};
  params.bandwidth_bytes_per_s = WS_INT_UNSET;
  return rpc_vm_move_disks(link, &params, NULL, NULL, cancel, error);
}

static bool swap(Task *task, void *ctx, GError **error)
{
  Revert *r = ctx;
  if (!tell_host(task, r, r->stand_in, task_cancel_flag(task), error))
    return false;
  task_no_return(task);
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, r->volume);
  WsVolume *stand_in = inv_edit_id(task_txn(task), &ws_type_volume, r->stand_in);
  if (!volume || !stand_in)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", r->key, NULL);
  char *file = volume->file;
  WsId parent = volume->parent;
  gint64 allocated = volume->allocated_bytes;
  volume->file = stand_in->file;
  volume->parent = stand_in->parent;
  volume->allocated_bytes = stand_in->allocated_bytes;
  volume->image = r->image;
  stand_in->file = file;
  stand_in->parent = parent;
  stand_in->allocated_bytes = allocated;
  return true;
}

static bool unswap(Task *task, void *ctx, GError **error)
{
  return is_over(task, ctx) || tell_host(task, ctx, ((Revert *)ctx)->volume, NULL, error);
}

/* What will not be deleted goes to the bin, where a person sees it. */
static bool remove_old(Task *task, void *ctx, GError **error)
{
  Revert *r = ctx;
  char id[WS_ID_TEXT_MAX];
  g_autoptr(GError) failed = NULL;
  if (delete_stand_in(task, r, &failed)) {
    if (inv_find(task_snapshot(task), &ws_type_volume, r->stand_in))
      inv_delete(task_txn(task), &ws_type_volume, r->stand_in);
    return true;
  }
  if (ws_error_code(failed) == WS_ERROR_HOST_UNREACHABLE) { /* is awaited */
    g_propagate_error(error, g_steal_pointer(&failed));
    return false;
  }
  const WsHost *host = inv_find(task_snapshot(task), &ws_type_host, r->vm.host);
  task_log(task, "move_left_behind", "host", host ? host->name : ws_id_format("host", r->vm.host, id), "reason", failed->message, NULL);
  WsVolume *edit = inv_edit_id(task_txn(task), &ws_type_volume, r->stand_in);
  if (edit) {
    bin_put_volume(r->vm.center, edit, false);
    compute_read_pool_again(r->vm.center, task_snapshot(task), edit->pool);
  }
  return true;
}

/* ---- the task ---- */

static bool lock_all(Task *task, const Revert *r, const WsVolume *volume, const WsVolume *base, GError **error)
{
  TaskLockRef locks[6] = {{&ws_type_volume, r->volume, false}};
  guint n = compute_add_lock(locks, 1, &ws_type_host, r->vm.host);
  n = compute_add_lock(locks, n, &ws_type_volume, r->base);
  n = compute_add_lock(locks, n, &ws_type_image, r->image);
  n = compute_add_lock(locks, n, &ws_type_pool, volume->pool);
  n = compute_add_lock(locks, n, &ws_type_pool, base->pool);
  return task_lock(task, locks, n, error);
}

bool vm_revert_disk(Task *task, GError **error)
{
  const WsVmRevertDisk *args = task_args(task);
  Revert r = {.key = args->key};
  if (!compute_begin(task, &r.vm, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *vm = compute_find(snap, r.vm.id, error);
  const WsVmDisk *disk = vm ? find_disk(vm, r.key, error) : NULL;
  const WsVolume *volume = disk ? inv_find(snap, &ws_type_volume, disk->volume) : NULL;
  if (!volume)
    return disk ? ws_fail(error, WS_ERROR_NOT_FOUND, "object", r.key, NULL) : false;
  if (!task_is_resumed(task) && !check_volume(snap, disk, volume, error))
    return false;
  const WsImage *image = image_of(snap, volume);
  const WsVolume *base = find_base(snap, volume, image, error);
  if (!base)
    return false;
  r.volume = volume->id;
  r.image = image->id;
  r.base = base->id;
  r.linked = g_strcmp0(task_choose(task, "how", is_linked(volume, base) ? "linked" : "copy"), "linked") == 0;
  r.was_file = task_choose(task, "file", volume->file);
  r.stand_in = task_new_id(task, "volume");
  if (!task_is_resumed(task) && (!check_pools(task, &r, volume, base, error) || !compute_link(&r.vm, error)))
    return false;
  if (!lock_all(task, &r, volume, base, error) || !TASK_STEP(task, "reserve", reserve, unreserve, &r, error) ||
      !TASK_STEP(task, "make disk", make, unmake, &r, error) || !TASK_STEP(task, "swap", swap, unswap, &r, error))
    return false;
  task_allow_cancel(task, false);
  return TASK_LAST(task, "remove old", remove_old, &r, error);
}
