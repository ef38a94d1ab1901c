// SPDX-License-Identifier: Apache-2.0
/* Four ways for a VM to go (bin, bin with volumes, out of the inventory, destroyed), and the way back from the bin.
 *
 * A VM in the bin is not defined on its host any more, so nobody can start it there by hand; its settings, NVRAM and TPM state are kept. */
#include "center/bin.h"
#include "center/compute/compute.h"
#include "center/pools.h"
#include "center/quota.h"
#include "center/verbs.h"

typedef struct {
  VmJob vm; /* first */
  int how;
  bool wipe;
  bool began; /* a file of it may be gone already */
} Delete;

static bool undefine(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  WsRpcVmUndefine params = {.vm = d->vm.id, .uuid = (char *)d->vm.uuid, .keep_state = d->how != WS_VM_DELETE_HOW_DESTROY};
  return compute_undefine(d->vm.center, d->vm.host, &params, error);
}

/* Brings the definition back: the undo of the above, and the first step of a restore. */
static bool define_again(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), job->id, error);
  g_autoptr(WsVmSpec) spec = vm ? compute_spec(task_snapshot(task), vm, error) : NULL;
  WsRpcVmDefine params = {.spec = spec};
  return spec && compute_define(job->center, job->host, &params, NULL, NULL, error);
}

static bool release(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  RpcLink *link = compute_link(&d->vm, error);
  WsRpcVmRelease params = {.vm = d->vm.id, .uuid = (char *)d->vm.uuid};
  return link && rpc_vm_release(link, &params, NULL, NULL, NULL, error);
}

/* The undo: marked first, for nobody may define over a stranger; then defined, for with the mark went the ids in it. */
static bool mark_again(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  RpcLink *link = compute_link(&d->vm, error);
  WsRpcVmAdopt params = {.vm = d->vm.id, .uuid = (char *)d->vm.uuid};
  return link && rpc_vm_adopt(link, &params, NULL, NULL, NULL, NULL, error) && define_again(task, &d->vm, error);
}

static bool own_volume(const WsVolume *volume, WsId vm)
{
  return volume && volume->used_by == vm;
}

/* The volumes stay and are free for others; the VM remembers them. */
static bool into_bin(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  InvTxn *txn = task_txn(task);
  WsVm *vm = inv_edit_id(txn, &ws_type_vm, d->vm.id);
  bool with_volumes = d->how == WS_VM_DELETE_HOW_BIN_WITH_VOLUMES;
  if (!vm)
    return true;
  bin_put_vm(d->vm.center, vm, with_volumes && d->wipe);
  for (guint i = 0; i < vm->disks.len; i++) {
    WsVolume *volume = inv_edit_id(txn, &ws_type_volume, vm->disks.items[i]->volume);
    if (!own_volume(volume, vm->id))
      continue;
    if (with_volumes)
      bin_put_volume(d->vm.center, volume, d->wipe);
    else
      volume->used_by = 0;
  }
  return true;
}

/* Out of the inventory: on the host nothing happens, its volumes' files stay where they are, their records too. */
static bool forget(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  InvTxn *txn = task_txn(task);
  const WsVm *vm = inv_edit_id(txn, &ws_type_vm, d->vm.id);
  for (guint i = 0; vm && i < vm->disks.len; i++) {
    WsVolume *volume = inv_edit_id(txn, &ws_type_volume, vm->disks.items[i]->volume);
    if (own_volume(volume, d->vm.id))
      volume->used_by = 0;
  }
  inv_delete(txn, &ws_type_vm, d->vm.id);
  return true;
}

static bool delete_file(Task *task, const Delete *d, const WsVolume *volume, GError **error)
{
  RpcLink *link = compute_link(&d->vm, error);
  WsRpcVolumeDelete params = {.pool = volume->pool, .file = volume->file, .wipe = d->wipe || (volume->in_bin_since && volume->bin_wipe)};
  return link && rpc_volume_delete(link, &params, task_progress_of_call, task, NULL, error);
}

/* Its record stays, in the bin and free, until it is known whether the file does. */
static void leave_volume(Task *task, const Delete *d, WsId id, const GError *why)
{
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, id);
  if (!volume)
    return;
  volume->used_by = 0;
  bin_put_volume(d->vm.center, volume, d->wipe || volume->bin_wipe);
  compute_read_pool_again(d->vm.center, task_snapshot(task), volume->pool);
  const WsHost *host = inv_find(task_snapshot(task), &ws_type_host, d->vm.host);
  task_log(task, "move_left_behind", "host", host ? host->name : "-", "reason", why->message, NULL);
}

/* A VM must not come back with a part of its disks. So the first file may refuse and nothing has happened; once one may be gone the way is
 * forward, and what cannot be deleted goes to the bin. */
static bool delete_files(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), d->vm.id, error);
  bool forward = d->began || d->wipe || task_is_resumed(task);
  for (guint i = 0; vm && i < vm->disks.len; i++) {
    const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, vm->disks.items[i]->volume);
    g_autoptr(GError) failed = NULL;
    if (!bin_volume_goes(volume, vm))
      continue;
    if (delete_file(task, d, volume, &failed)) {
      d->began = forward = true;
      continue;
    }
    int code = ws_error_code(failed);
    d->began = d->began || code == WS_ERROR_HOST_UNREACHABLE || code == WS_ERROR_DEADLINE_EXCEEDED; /* it may have been obeyed */
    if (code == WS_ERROR_HOST_UNREACHABLE || !forward) {
      g_propagate_error(error, g_steal_pointer(&failed));
      return false;
    }
    leave_volume(task, d, volume->id, failed);
  }
  return vm != NULL;
}

/* What somebody fetched from the bin is not destroyed with the VM that stayed there: it is free. */
static void drop_with_volumes(InvTxn *txn, WsId id)
{
  const WsVm *vm = inv_edit_id(txn, &ws_type_vm, id);
  for (guint i = 0; vm && i < vm->disks.len; i++) {
    WsVolume *volume = inv_edit_id(txn, &ws_type_volume, vm->disks.items[i]->volume);
    if (bin_volume_goes(volume, vm))
      inv_delete(txn, &ws_type_volume, vm->disks.items[i]->volume);
    else if (own_volume(volume, id))
      volume->used_by = 0;
  }
  inv_delete(txn, &ws_type_vm, id);
}

static bool destroy(Task *task, void *ctx, GError **error)
{
  Delete *d = ctx;
  drop_with_volumes(task_txn(task), d->vm.id);
  return true;
}

/* Volumes that others depend on cannot be destroyed with the VM. */
static bool check_destroy(Task *task, const WsVm *vm, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[i]->volume);
    const WsVolume *child = volume ? inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL) : NULL;
    const WsImage *image = volume ? inv_find_by(snap, &ws_type_image, "volume", volume->id, NULL) : NULL;
    if (!bin_volume_goes(volume, vm))
      continue;
    if (child || image)
      return ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user",
                     child ? child->name : image->name, NULL);
    if (!compute_pool_takes_deletes(task, volume->pool, error))
      return false;
  }
  /* Whoever else names a volume (another VM in the bin) would hold the records back when the files are already gone. */
  g_autoptr(InvTxn) dry = inv_begin(task_inventory(task));
  drop_with_volumes(dry, vm->id);
  return inv_check(dry, error);
}

static bool lock_with_volumes(Task *task, const WsVm *vm, bool destroy, GError **error)
{
  TaskLockRef locks[1 + 2 * 64] = {{&ws_type_vm, vm->id, false}};
  guint n = 1;
  for (guint i = 0; i < vm->disks.len && n + 1 < G_N_ELEMENTS(locks); i++) {
    const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, vm->disks.items[i]->volume);
    if (!volume)
      continue;
    locks[n++] = (TaskLockRef){&ws_type_volume, volume->id, !own_volume(volume, vm->id)};
    if (destroy && bin_volume_goes(volume, vm))
      n = compute_add_lock(locks, n, &ws_type_pool, volume->pool);
  }
  return task_lock(task, locks, n, error);
}

static bool to_bin(Task *task, Delete *d, GError **error)
{
  return TASK_STEP(task, "undefine", undefine, define_again, d, error) && TASK_LAST(task, "to the bin", into_bin, d, error);
}

static bool out_for_good(Task *task, Delete *d, bool binned, GError **error)
{
  task_allow_cancel(task, false); /* from the first file on there is no way back */
  return TASK_STEP(task, "undefine", undefine, binned ? NULL : define_again, d, error) &&
         TASK_STEP(task, "delete files", delete_files, NULL, d, error) && TASK_LAST(task, "forget", destroy, d, error);
}

bool vm_delete(Task *task, GError **error)
{
  const WsVmDelete *args = task_args(task);
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  Delete d = {.vm = {task_center(task), vm->id, vm->host, vm->uuid}, .how = (int)args->how, .wipe = args->wipe || vm->bin_wipe};
  bool binned = vm->management == WS_VM_MANAGEMENT_IN_BIN;
  if (!task_is_resumed(task)) {
    if (!compute_may_delete(task, vm, error)) /* nor is a running one forgotten: its disks would be free */
      return false;
    if (d.how == WS_VM_DELETE_HOW_DESTROY && !check_destroy(task, vm, error))
      return false;
    if (binned && d.how != WS_VM_DELETE_HOW_DESTROY)
      return ws_fail(error, WS_ERROR_WRONG_STATE, "object", vm->name, "verb", "delete", "state", "in the recycle bin", NULL);
  }
  if (!lock_with_volumes(task, vm, d.how == WS_VM_DELETE_HOW_DESTROY, error))
    return false;
  switch (d.how) {
  case WS_VM_DELETE_HOW_FORGET:
    return TASK_STEP(task, "release", release, mark_again, &d, error) && TASK_LAST(task, "forget", forget, &d, error);
  case WS_VM_DELETE_HOW_DESTROY:
    return out_for_good(task, &d, binned, error);
  default:
    return to_bin(task, &d, error);
  }
}

/* ---- restore ---- */

/* What it had for itself may be others' meanwhile, or the base of others. */
static bool check_disk(const InvSnapshot *snap, const WsVmDisk *disk, const WsVolume *volume, WsId self, GError **error)
{
  const WsVm *user = disk->shared && !volume->used_by ? NULL : pools_other_user(snap, volume, self);
  const WsVolume *child = inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL);
  return (!user && !child) || ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", user ? user->name : child->name, NULL);
}

static bool check_restore(const InvSnapshot *snap, const WsVm *vm, GError **error)
{
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[i]->volume);
    char id[WS_ID_TEXT_MAX];
    if (!volume)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object",
                     ws_id_format(ws_type_volume.prefix, vm->disks.items[i]->volume, id), NULL);
    if (!check_disk(snap, vm->disks.items[i], volume, vm->id, error))
      return false;
  }
  return true;
}

static bool out_of_bin(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  InvTxn *txn = task_txn(task);
  WsVm *vm = inv_edit_id(txn, &ws_type_vm, job->id);
  if (!vm)
    return true;
  bin_take_vm(vm);
  for (guint i = 0; i < vm->disks.len; i++) {
    WsVolume *volume = inv_edit_id(txn, &ws_type_volume, vm->disks.items[i]->volume);
    if (!volume)
      continue;
    bin_take_volume(volume);
    if (!volume->used_by && !vm->disks.items[i]->shared)
      volume->used_by = vm->id;
  }
  return true;
}

/* Whoever started it on its host meanwhile wants it: it is not stopped, and what runs is not in the bin. */
static bool undefine_again(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  g_autoptr(GError) failed = NULL;
  WsRpcVmUndefine params = {.vm = job->id, .uuid = (char *)job->uuid, .keep_state = true};
  if (compute_undefine(job->center, job->host, &params, &failed))
    return true;
  if (ws_error_code(failed) != WS_ERROR_WRONG_STATE) {
    g_propagate_error(error, g_steal_pointer(&failed));
    return false;
  }
  task_log(task, "restore_stays", NULL);
  hosts_catch_up(job->center, job->host); /* its power is not known yet */
  return out_of_bin(task, ctx, error);
}

/* Nobody takes its disks while it comes back. */
static bool lock_disks(Task *task, const WsVm *vm, GError **error)
{
  TaskLockRef locks[64];
  guint n = 0;
  for (guint i = 0; i < vm->disks.len && n < G_N_ELEMENTS(locks); i++)
    locks[n++] = (TaskLockRef){&ws_type_volume, vm->disks.items[i]->volume, vm->disks.items[i]->shared};
  return task_lock(task, locks, n, error);
}

bool vm_restore(Task *task, GError **error)
{
  const WsVm *vm = task_find_target(task, error);
  VmJob job;
  if (!vm || (!task_is_resumed(task) && !check_restore(task_snapshot(task), vm, error)))
    return false;
  g_auto(QuotaHold) hold = {NULL};
  QuotaFigures more = quota_more(task_snapshot(task), vm, vm);
  return compute_begin(task, &job, error) && lock_disks(task, vm, error) &&
         quota_admit_task(task, &hold, vm->id, more, vm->group, error) && TASK_STEP(task, "define", define_again, undefine_again, &job, error) &&
         TASK_LAST(task, "restore", out_of_bin, &job, error);
}
