// SPDX-License-Identifier: Apache-2.0
/* Changing a VM: settings, disks, NICs, CDs.
 *
 * All come to one step: from the VM as it is and what is wanted, make the VM as it should be; tell the host, which changes at once what a
 * running guest can take; enter both in one transaction, with what waits for a restart. Its undo tells the host the VM as it is. */
#include "base/hash.h"
#include "base/plant.h"
#include "center/bin.h"
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/pools.h"
#include "center/quota.h"
#include "center/verbs.h"
#include "plan/estate.h"
#include "plan/live.h"

typedef struct Change Change;
/* Modifies a private copy of the VM; false with error when it cannot be. Runs again after a restart, so it is pure. */
typedef bool (*Edit)(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error);

struct Change {
  VmJob vm; /* first */
  Edit edit;
  const void *args;
  Center *center;
  WsId new_volume;      /* attach_disk with a new one */
  WsId pool;            /* where it goes */
  const char *file;
  const char *mac;      /* attach_nic: chosen once */
  PoolsHold *room;      /* attach_disk with a new one */
};

static WsVm *edited(const Change *change, const InvSnapshot *snap, GError **error)
{
  const WsVm *now = compute_find(snap, change->vm.id, error);
  g_autoptr(WsVm) copy = now ? ws_vm_copy(now) : NULL;
  return copy && change->edit(change, snap, copy, error) ? g_steal_pointer(&copy) : NULL;
}

static bool tell_host(const Change *change, const InvSnapshot *snap, const WsVm *vm, bool seed_too,
                      WsRpcVmUpdateLiveResult **result, volatile gint *cancel, GError **error)
{
  g_autoptr(WsVmSpec) spec = compute_spec(snap, vm, error);
  RpcLink *link = spec ? compute_link(&change->vm, error) : NULL;
  WsRpcVmUpdateLive params = {.spec = spec, .cloud_init = seed_too ? vm->cloud_init : NULL};
  return link && rpc_vm_update_live(link, &params, result, NULL, NULL, cancel, error);
}

static void set_user(InvTxn *txn, WsId volume, WsId from, WsId to)
{
  WsVolume *edit = volume ? inv_edit_id(txn, &ws_type_volume, volume) : NULL;
  if (edit && edit->used_by == from)
    edit->used_by = to;
}

static bool has_volume(const WsVm *vm, WsId volume)
{
  for (guint i = 0; i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == volume)
      return true;
  return false;
}

static bool has_cd(const WsVm *vm, WsId volume)
{
  for (guint i = 0; i < vm->cdroms.len; i++)
    if (vm->cdroms.items[i]->volume == volume)
      return true;
  return false;
}

/* Which volumes came and which went. */
static void follow_volumes(InvTxn *txn, const WsVm *before, const WsVm *after)
{
  for (guint i = 0; i < before->disks.len; i++)
    if (!has_volume(after, before->disks.items[i]->volume))
      set_user(txn, before->disks.items[i]->volume, before->id, 0);
  for (guint i = 0; i < after->disks.len; i++) {
    bool shared = after->disks.items[i]->shared;
    set_user(txn, after->disks.items[i]->volume, shared ? after->id : 0, shared ? 0 : after->id);
  }
}

static bool apply_change(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *before = compute_find(snap, change->vm.id, error);
  g_autoptr(WsVm) after = before ? edited(change, snap, error) : NULL;
  g_autoptr(WsRpcVmUpdateLiveResult) result = NULL;
  if (!after || !tell_host(change, snap, after, true, &result, task_cancel_flag(task), error))
    return false;
  InvTxn *txn = task_txn(task);
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, change->vm.id);
  g_autoptr(InvSnapshot) head = inv_head(change->center->inventory);
  if (!edit || !change->edit(change, head, edit, error))
    return false;
  /* Others may have been let reserve the same while the host was told: who commits first has it. */
  const WsVm *now = inv_find(head, &ws_type_vm, change->vm.id);
  if (now && !place_admit_change(change->center, now, edit, error))
    return false;
  compute_take_report(change->center, edit, result->report);
  if (edit->cloud_init)
    ws_secret_clear(&edit->cloud_init->password);
  follow_volumes(txn, before, edit);
  for (guint i = 0; i < result->refused.len; i++)
    task_log(task, "vm_change_waits", "change", result->refused.items[i], NULL);
  return true;
}

static bool apply_back(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const WsVm *now = compute_find(task_snapshot(task), change->vm.id, error);
  g_autoptr(WsVmSpec) spec = now ? compute_spec(task_snapshot(task), now, NULL) : NULL;
  /* What cannot be said of the VM now could not be said with the change either: the host has not heard of it. (An adopted VM's disk
   * may lie outside all pools.) To wait for it would be for ever. */
  if (now && !spec && !SIM_PLANT(undo_waits_forever))
    return true;
  return now && tell_host(change, task_snapshot(task), now, false, NULL, NULL, error);
}

static bool has_group(const WsVm *vm, WsId group)
{
  for (guint i = 0; i < vm->nics.len; i++)
    if (vm->nics.items[i]->port_group == group)
      return true;
  return false;
}

/* Volumes that come: two VMs that ask for one at the same time must not both get it. */
static bool lock_new_devices(Task *task, const WsVm *before, const WsVm *after, GError **error)
{
  TaskLockRef locks[64 + 8 + 32];
  guint n = 0;
  for (guint i = 0; i < after->disks.len && n < G_N_ELEMENTS(locks); i++)
    if (after->disks.items[i]->volume && !has_volume(before, after->disks.items[i]->volume))
      locks[n++] = (TaskLockRef){&ws_type_volume, after->disks.items[i]->volume, after->disks.items[i]->shared};
  for (guint i = 0; i < after->cdroms.len && n < G_N_ELEMENTS(locks); i++)
    if (after->cdroms.items[i]->volume && !has_cd(before, after->cdroms.items[i]->volume))
      locks[n++] = (TaskLockRef){&ws_type_volume, after->cdroms.items[i]->volume, true};
  /* Not to be taken away while the VM gets it. */
  for (guint i = 0; i < after->nics.len && n < G_N_ELEMENTS(locks); i++)
    if (!has_group(before, after->nics.items[i]->port_group))
      n = compute_add_lock(locks, n, &ws_type_port_group, after->nics.items[i]->port_group);
  return task_lock(task, locks, n, error);
}

/* The group is the head's where the change does not name another: it may be moving meanwhile. */
static bool admit(Task *task, const Change *change, const WsVm *before, const WsVm *after, QuotaHold *hold, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(change->center->inventory);
  const WsVm *newest = inv_find(head, &ws_type_vm, change->vm.id);
  WsId group = after->group == before->group && newest ? newest->group : after->group;
  return quota_admit_task(task, hold, change->vm.id, quota_more(task_snapshot(task), before, after), group, error);
}

/* What changes of its reservation must be possible, and be kept where it runs. */
static bool admit_reservation(Center *center, const WsVm *before, const WsVm *after, GError **error)
{
  const WsVmCpu *was = before->cpu, *will = after->cpu;
  bool same =
      !will || (was && was->reservation_percent == will->reservation_percent && was->vcpus == will->vcpus &&
                was->max_vcpus == will->max_vcpus && was->limit_percent == will->limit_percent);
  return (same || compute_check_reservation(will, error)) && place_admit_change(center, before, after, error);
}

/* It was admitted before the restart. What is done already asks for nothing more. */
static bool admit_again(Task *task, const Change *change, QuotaHold *hold)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *before = inv_find(snap, &ws_type_vm, change->vm.id);
  g_autoptr(WsVm) after = before ? edited(change, snap, NULL) : NULL;
  return !after || admit(task, change, before, after, hold, NULL);
}

static bool is_emulated(const InvSnapshot *snap, WsId host_id)
{
  const WsHost *host = inv_find(snap, &ws_type_host, host_id);
  return host && plan_host_emulates(host);
}

/* Of a guest that is there to take it. The host has the last word. */
static void say_waits(Task *task, const Change *change, const WsVm *before, const WsVm *after)
{
  const InvSnapshot *snap = task_snapshot(task);
  int power = before->power ? (int)before->power->state : 0;
  if (!task_is_dry_run(task) ||
      (power != WS_POWER_STATE_RUNNING && power != WS_POWER_STATE_PAUSED && power != WS_POWER_STATE_IO_HELD))
    return;
  g_autoptr(WsVmSpec) now = compute_spec(snap, before, NULL),
                      next = now ? compute_spec(snap, after, NULL) : NULL;
  g_autoptr(GPtrArray) waits = next ? live_waits(now, next, is_emulated(snap, change->vm.host)) : NULL;
  for (guint i = 0; waits && i < waits->len; i++)
    task_say_waits(task, waits->pdata[i]);
}

static bool run_change(Task *task, Change *change, GError **error)
{
  g_auto(QuotaHold) hold = {NULL};
  change->center = change->vm.center;
  if (task_is_resumed(task))
    admit_again(task, change, &hold);
  if (!task_is_resumed(task)) {
    const InvSnapshot *snap = task_snapshot(task);
    const WsVm *before = compute_find(snap, change->vm.id, error);
    g_autoptr(WsVm) after = before ? edited(change, snap, error) : NULL;
    if (!after || !compute_check_devices(snap, after, change->vm.id, change->vm.host, error) ||
        !admit_reservation(change->center, before, after, error) ||
        !admit(task, change, before, after, &hold, error) || !lock_new_devices(task, before, after, error))
      return false;
    say_waits(task, change, before, after);
  }
  return TASK_STEP(task, "apply", apply_change, apply_back, change, error);
}

/* ---- settings (PATCH) ---- */

static bool edit_settings(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsPatch *patch = change->args;
  bool changed;
  if (!ws_object_merge_patch(&ws_type_vm, vm, patch->patch, strlen(patch->patch), &changed, error))
    return false;
  for (guint i = 0; i < vm->disks.len; i++) {
    g_autofree char *field = g_strdup_printf("disks[%u].new_volume", i);
    if (vm->disks.items[i]->new_volume)
      return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a new volume in a PATCH (use attach_disk)", "field", field, NULL);
  }
  compute_complete_devices(change->vm.center, snap, vm);
  return true;
}

bool vm_update(Task *task, GError **error)
{
  Change change = {.edit = edit_settings, .args = task_args(task)};
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  if (!task_is_resumed(task)) {
    /* The same PATCH twice is no change: no task, no new revision. */
    g_autoptr(WsVm) copy = ws_vm_copy(vm);
    const WsPatch *patch = change.args;
    bool changed = false;
    if (!ws_object_merge_patch(&ws_type_vm, copy, patch->patch, strlen(patch->patch), &changed, error))
      return false;
    if (!changed)
      return true;
  }
  return compute_begin(task, &change.vm, error) && run_change(task, &change, error);
}

/* ---- disks ---- */

#define APPEND(list, type, item)                                                                                       \
  do {                                                                                                                 \
    (list).items = g_renew(type *, (list).items, (list).len + 1);                                                      \
    (list).items[(list).len++] = (item);                                                                               \
  } while (0)

#define REMOVE(list, index, free_func)                                                                                 \
  do {                                                                                                                 \
    free_func((list).items[index]);                                                                                    \
    memmove(&(list).items[index], &(list).items[(index) + 1], ((list).len - (index)-1) * sizeof *(list).items);        \
    (list).len--;                                                                                                      \
  } while (0)

static bool key_taken(const char *key, GError **error)
{
  return ws_fail(error, WS_ERROR_NAME_TAKEN, "name", key, NULL);
}

static bool no_such_key(const WsVm *vm, const char *key, GError **error)
{
  g_autofree char *what = g_strdup_printf("%s of %s", key, vm->name);
  return ws_fail(error, WS_ERROR_NOT_FOUND, "object", what, "field", "key", NULL);
}

static bool edit_attach_disk(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmAttachDisk *args = change->args;
  if (args->disk->key && compute_has_disk(args->disk->key, vm))
    return key_taken(args->disk->key, error);
  if (vm->disks.len >= 64)
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "disks", "min", "0", "max", "64", NULL);
  WsVmDisk *disk = ws_vm_disk_copy(args->disk);
  if (!disk->key)
    disk->key = compute_free_key("disk", compute_has_disk, vm);
  if (change->new_volume && inv_find(snap, &ws_type_volume, change->new_volume)) {
    disk->volume = change->new_volume;
    g_clear_pointer(&disk->new_volume, ws_vm_new_volume_free);
  }
  APPEND(vm->disks, WsVmDisk, disk);
  return true;
}

static bool enter_new_volume(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const WsVmNewVolume *from = ((const WsVmAttachDisk *)change->args)->disk->new_volume;
  const WsVm *vm = compute_find(task_snapshot(task), change->vm.id, error);
  if (!vm)
    return false;
  pools_let_go(change->room); /* the volume has it from here */
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, change->new_volume);
  volume->name = from->name ? g_strdup(from->name) : g_strdup_printf("%s disk", vm->name);
  volume->pool = change->pool;
  volume->kind = WS_VOLUME_KIND_DISK;
  volume->size_bytes = from->size_bytes;
  volume->format = (int)from->format;
  volume->provisioning = (int)from->provisioning;
  volume->state = WS_VOLUME_STATE_CREATING;
  volume->file = g_strdup(change->file);
  volume->created = ws_clock_wall_us(change->vm.center->clock);
  task_lock_new(task, task_txn(task), volume);
  return true;
}

static bool drop_new_volume(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, ((Change *)ctx)->new_volume);
  return true;
}

static bool make_new_volume(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const WsVmNewVolume *from = ((const WsVmAttachDisk *)change->args)->disk->new_volume;
  RpcLink *link = compute_link(&change->vm, error);
  g_autoptr(WsRpcVolumeCreateResult) result = NULL;
  WsRpcVolumeCreate params = {.pool = change->pool,
                              .file = (char *)change->file,
                              .size_bytes = from->size_bytes,
                              .format = (int)from->format,
                              .provisioning = (int)from->provisioning};
  if (!link || !rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, change->new_volume);
  if (volume) {
    volume->state = WS_VOLUME_STATE_READY;
    volume->allocated_bytes = result->allocated_bytes;
  }
  return true;
}

static bool remove_new_file(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  RpcLink *link = compute_link(&change->vm, error);
  WsRpcVolumeDelete params = {.pool = change->pool, .file = (char *)change->file};
  return link && rpc_volume_delete(link, &params, NULL, NULL, NULL, error);
}

static bool attach_new_disk(Task *task, Change *change, const WsVmNewVolume *volume, GError **error)
{
  char pool[WS_ID_TEXT_MAX];
  const char *chosen = task_chosen(task, "pool");
  bool thin = (int)volume->provisioning == WS_VM_NEW_VOLUME_PROVISIONING_THIN || !(int)volume->provisioning;
  PlacePoolNeed need = {volume->pool, volume->size_bytes, thin ? 0 : volume->size_bytes};
  g_auto(PoolsHold) room = {NULL};
  change->room = &room;
  change->pool = volume->pool;
  if (chosen)
    ws_id_parse(ws_type_pool.prefix, chosen, &change->pool);
  else if (!place_pool(change->vm.center, task_snapshot(task), change->vm.host, &need, &change->pool,
                       "disk.new_volume.pool", error))
    return false;
  change->new_volume = task_new_id(task, "volume");
  task_choose(task, "pool", ws_id_format(ws_type_pool.prefix, change->pool, pool));
  g_autofree char *file =
      pools_new_file(change->vm.center, change->new_volume, volume->format == WS_VM_NEW_VOLUME_FORMAT_RAW ? "raw" : "qcow2");
  change->file = task_choose(task, "file", file);
  /* Not to be suspended while the file is made in it, or taken away again. */
  TaskLockRef lock = {&ws_type_pool, change->pool, true};
  if (!task_is_resumed(task) &&
      !pools_check_room(task, &room, change->pool, need.promised_bytes, need.real_bytes, error))
    return false;
  return task_lock(task, &lock, 1, error) &&
         TASK_STEP(task, "enter volume", enter_new_volume, drop_new_volume, change, error) &&
         TASK_STEP(task, "make volume", make_new_volume, remove_new_file, change, error) &&
         TASK_STEP(task, "apply", apply_change, apply_back, change, error);
}

bool vm_attach_disk(Task *task, GError **error)
{
  Change change = {.edit = edit_attach_disk, .args = task_args(task)};
  const WsVmAttachDisk *args = change.args;
  const WsVmNewVolume *made = args->disk->new_volume;
  if (made && (int)made->provisioning && made->provisioning != WS_VM_NEW_VOLUME_PROVISIONING_THIN)
    pools_look_again(task, made->pool, made->size_bytes);
  if (!compute_begin(task, &change.vm, error))
    return false;
  change.center = change.vm.center;
  if (!args->disk->new_volume)
    return run_change(task, &change, error);
  g_auto(QuotaHold) hold = {NULL};
  if (task_is_resumed(task))
    return admit_again(task, &change, &hold) && attach_new_disk(task, &change, args->disk->new_volume, error);
  const WsVm *before = compute_find(task_snapshot(task), change.vm.id, error);
  g_autoptr(WsVm) after = before ? edited(&change, task_snapshot(task), error) : NULL;
  return after && admit(task, &change, before, after, &hold, error) && attach_new_disk(task, &change, args->disk->new_volume, error);
}

static bool edit_detach_disk(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmDetachDisk *args = change->args;
  for (guint i = 0; i < vm->disks.len; i++)
    if (g_strcmp0(vm->disks.items[i]->key, args->key) == 0) {
      REMOVE(vm->disks, i, ws_vm_disk_free);
      return true;
    }
  return no_such_key(vm, args->key, error);
}

/* The disk leaves the VM, for the bin at once where its volume is not kept: so a file that cannot be deleted is at least where people
 * look for it. What the disk was is kept with the step, for the way back. */
static bool detach(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const WsVmDetachDisk *args = change->args;
  const WsVm *vm = compute_find(task_snapshot(task), change->vm.id, error);
  g_autofree char *kept = NULL;
  for (guint i = 0; vm && i < vm->disks.len; i++)
    if (g_strcmp0(vm->disks.items[i]->key, args->key) == 0) {
      g_autofree char *json = ws_object_to_json(&ws_type_vm_disk, vm->disks.items[i], WS_WRITE_STORED, NULL);
      kept = g_strdup_printf("%u %s", i, json);
    }
  if (!vm || !apply_change(task, ctx, error))
    return false;
  task_set_result(task, kept);
  WsVolume *volume = args->volume == WS_VM_DETACH_DISK_VOLUME_KEEP
                         ? NULL
                         : inv_edit_id(task_txn(task), &ws_type_volume, change->new_volume);
  if (volume)
    bin_put_volume(change->center, volume, false);
  return true;
}

static bool put_back(WsVm *vm, const char *kept, GError **error)
{
  char *json = NULL;
  guint at = (guint)g_ascii_strtoull(kept, &json, 10);
  g_autoptr(WsVmDisk) disk = ws_object_parse(&ws_type_vm_disk, json, strlen(json), WS_PARSE_STORED, error);
  if (!disk)
    return false;
  if (compute_has_disk(disk->key, vm))
    return true;
  APPEND(vm->disks, WsVmDisk, g_steal_pointer(&disk));
  for (guint i = vm->disks.len - 1; i > at; i--) {
    WsVmDisk *other = vm->disks.items[i - 1];
    vm->disks.items[i - 1] = vm->disks.items[i];
    vm->disks.items[i] = other;
  }
  return true;
}

static bool is_shared(const WsVm *vm, WsId volume)
{
  for (guint i = 0; i < vm->disks.len; i++)
    if (vm->disks.items[i]->volume == volume)
      return vm->disks.items[i]->shared;
  return false;
}

/* The undo: the file is still there, else there is no way back any more (the disposal waits until it is through). */
static bool attach_again(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const char *kept = task_step_result(task, "apply");
  if (!kept)
    return apply_back(task, ctx, error);
  const WsVm *now = compute_find(task_snapshot(task), change->vm.id, error);
  g_autoptr(WsVm) back = now ? ws_vm_copy(now) : NULL;
  if (!back || !put_back(back, kept, error) ||
      !tell_host(change, task_snapshot(task), back, false, NULL, NULL, error))
    return false;
  WsVm *edit = inv_edit_id(task_txn(task), &ws_type_vm, change->vm.id);
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, change->new_volume);
  if (!edit || !put_back(edit, kept, error))
    return edit ? false : ws_fail(error, WS_ERROR_NOT_FOUND, "object", "the VM", NULL);
  if (volume) {
    bin_take_volume(volume);
    if (!volume->used_by && !is_shared(edit, volume->id))
      volume->used_by = edit->id;
  }
  return true;
}

static bool dispose_volume(Task *task, void *ctx, GError **error)
{
  Change *change = ctx;
  const WsVolume *volume = inv_find(task_snapshot(task), &ws_type_volume, change->new_volume);
  if (!volume)
    return true;
  RpcLink *link = compute_link(&change->vm, error);
  WsRpcVolumeDelete params = {.pool = volume->pool, .file = volume->file};
  if (!link || !rpc_volume_delete(link, &params, task_progress_of_call, task, NULL, error))
    return false;
  inv_delete(task_txn(task), &ws_type_volume, volume->id);
  return true;
}

/* Not from under those that share it; nor of whoever else names it (a VM in the bin), who would hold the record back when the file is gone. */
static bool check_nobody_else(Task *task, WsId self, const WsVolume *volume, bool destroy, GError **error)
{
  const WsVm *user = pools_other_user(task_snapshot(task), volume, self);
  if (user)
    return ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", user->name, NULL);
  if (!destroy)
    return true;
  g_autoptr(InvTxn) dry = inv_begin(task_inventory(task));
  WsVm *vm = inv_edit_id(dry, &ws_type_vm, self);
  for (guint i = vm ? vm->disks.len : 0; i > 0; i--)
    if (vm->disks.items[i - 1]->volume == volume->id)
      REMOVE(vm->disks, i - 1, ws_vm_disk_free);
  inv_delete(dry, &ws_type_volume, volume->id);
  return inv_check(dry, error);
}

/* A volume that goes: nobody else takes it meanwhile, and nobody depends on it. */
static bool lock_leaving(Task *task, Change *change, bool goes, bool destroy, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  TaskLockRef locks[2];
  const WsVolume *volume = inv_find(snap, &ws_type_volume, change->new_volume);
  const WsVolume *child = volume ? inv_find_by(snap, &ws_type_volume, "parent", volume->id, NULL) : NULL;
  const WsImage *image = volume ? inv_find_by(snap, &ws_type_image, "volume", volume->id, NULL) : NULL;
  guint n = 0;
  if (!volume)
    return true;
  if (!task_is_resumed(task) && destroy && (child || image))
    return ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", child ? child->name : image->name,
                   NULL);
  if (!task_is_resumed(task) && goes && !check_nobody_else(task, change->vm.id, volume, destroy, error))
    return false;
  if (destroy && !compute_pool_takes_deletes(task, volume->pool, error))
    return false;
  locks[n++] = (TaskLockRef){&ws_type_volume, volume->id, false};
  if (destroy)
    n = compute_add_lock(locks, n, &ws_type_pool, volume->pool);
  return task_lock(task, locks, n, error);
}

bool vm_detach_disk(Task *task, GError **error)
{
  Change change = {.edit = edit_detach_disk, .args = task_args(task)};
  const WsVmDetachDisk *args = change.args;
  bool destroy = args->volume == WS_VM_DETACH_DISK_VOLUME_DESTROY;
  char id[WS_ID_TEXT_MAX];
  if (!compute_begin(task, &change.vm, error))
    return false;
  const WsVm *vm = task_find_target(task, error);
  for (guint i = 0; vm && i < vm->disks.len; i++)
    if (g_strcmp0(vm->disks.items[i]->key, args->key) == 0)
      task_choose(task, "volume", ws_id_format(ws_type_volume.prefix, vm->disks.items[i]->volume, id));
  const char *volume = task_chosen(task, "volume");
  if (!volume)
    return vm ? no_such_key(vm, args->key, error) : false;
  ws_id_parse(ws_type_volume.prefix, volume, &change.new_volume);
  change.center = change.vm.center;
  if (!lock_leaving(task, &change, args->volume != WS_VM_DETACH_DISK_VOLUME_KEEP, destroy, error) || !TASK_STEP(task, "apply", detach, attach_again, &change, error))
    return false;
  if (!destroy)
    return true;
  task_allow_cancel(task, false);
  return TASK_STEP(task, "dispose of volume", dispose_volume, NULL, &change, error);
}

/* ---- NICs ---- */

static bool edit_attach_nic(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmAttachNic *args = change->args;
  if (args->nic->key && compute_has_nic(args->nic->key, vm))
    return key_taken(args->nic->key, error);
  if (vm->nics.len >= 32)
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "nics", "min", "0", "max", "32", NULL);
  WsVmNic *nic = ws_vm_nic_copy(args->nic);
  if (!nic->key)
    nic->key = compute_free_key("nic", compute_has_nic, vm);
  if (!nic->mac)
    nic->mac = g_strdup(change->mac);
  APPEND(vm->nics, WsVmNic, nic);
  return true;
}

bool vm_attach_nic(Task *task, GError **error)
{
  Change change = {.edit = edit_attach_nic, .args = task_args(task)};
  if (!compute_begin(task, &change.vm, error))
    return false;
  g_autofree char *mac = compute_new_mac(change.vm.center, task_snapshot(task));
  change.mac = task_choose(task, "mac", mac);
  return run_change(task, &change, error);
}

static bool edit_detach_nic(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmDetachNic *args = change->args;
  for (guint i = 0; i < vm->nics.len; i++)
    if (g_strcmp0(vm->nics.items[i]->key, args->key) == 0) {
      REMOVE(vm->nics, i, ws_vm_nic_free);
      return true;
    }
  return no_such_key(vm, args->key, error);
}

bool vm_detach_nic(Task *task, GError **error)
{
  Change change = {.edit = edit_detach_nic, .args = task_args(task)};
  return compute_begin(task, &change.vm, error) && run_change(task, &change, error);
}

/* ---- CDs ---- */

static WsVmCdrom *find_cdrom(WsVm *vm, const char *key)
{
  for (guint i = 0; i < vm->cdroms.len; i++)
    if (g_strcmp0(vm->cdroms.items[i]->key, key) == 0)
      return vm->cdroms.items[i];
  return NULL;
}

static bool edit_insert_cd(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmInsertCd *args = change->args;
  WsVmCdrom *cdrom = find_cdrom(vm, args->key);
  if (!cdrom && !vm->cdroms.len)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", vm->name, "verb", "take a CD", "reason",
                   "it has no CD drive; add one to its settings (cdroms)", NULL);
  if (!cdrom)
    return no_such_key(vm, args->key, error);
  cdrom->volume = args->volume;
  return true;
}

bool vm_insert_cd(Task *task, GError **error)
{
  Change change = {.edit = edit_insert_cd, .args = task_args(task)};
  return compute_begin(task, &change.vm, error) && run_change(task, &change, error);
}

static bool edit_eject_cd(const Change *change, const InvSnapshot *snap, WsVm *vm, GError **error)
{
  const WsVmEjectCd *args = change->args;
  WsVmCdrom *cdrom = find_cdrom(vm, args->key);
  if (!cdrom)
    return no_such_key(vm, args->key, error);
  cdrom->volume = 0;
  return true;
}

bool vm_eject_cd(Task *task, GError **error)
{
  Change change = {.edit = edit_eject_cd, .args = task_args(task)};
  return compute_begin(task, &change.vm, error) && run_change(task, &change, error);
}
