// SPDX-License-Identifier: Apache-2.0
/* A VM that is off becomes one file, for other platforms: a volume of kind ova, which the user downloads.
 *
 *     reserve   the new volume's record, as large as the file can become    undo: gone
 *     pack      its host makes the file; then the volume is ready           undo: the file is deleted
 *
 * The VM is locked, so it neither starts nor changes; its volumes and pools are held so that nobody takes them away. What describes the VM is put
 * together here, field by field: what a reader elsewhere must not know (first-boot settings, passwords, MAC addresses) is never named. */
#include "base/text.h"
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/pools.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "plan/estate.h"
#include "plan/export.h"
#include <string.h>

enum { DISKS_MAX = 64, STEM_MAX = 64 };

typedef struct {
  VmJob vm; /* first */
  const WsVmExport *args;
  WsId id; /* of the new volume */
  const char *file;
  gint64 bytes, peak_bytes; /* the file can become so large; what is needed while it is made */
  PoolsHold room;
} Export;

static void export_clear(Export *e)
{
  pools_let_go(&e->room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

/* ---- checks ---- */

static bool refuse(const WsVm *vm, const char *reason, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", vm->name, "verb", "be exported", "reason", reason, NULL);
}

/* A disk that several VMs share may be written by one that runs. */
static bool check_disk(const InvSnapshot *snap, const WsVm *vm, const WsVmDisk *disk, GError **error)
{
  const WsVolume *volume = inv_find(snap, &ws_type_volume, disk->volume);
  const WsPool *pool = volume ? inv_find(snap, &ws_type_pool, volume->pool) : NULL;
  if (!pool)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", disk->key, NULL);
  if (volume->state != WS_VOLUME_STATE_READY)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", volume->name, "verb", "be exported", "state",
                   volume->state ? ws_volume_state_names[volume->state - 1] : "unknown", NULL);
  if (disk->shared)
    return refuse(vm, "a disk of it is shared with other VMs", error);
  return plan_pool_reaches(pool, vm->host) || ws_fail(error, WS_ERROR_WRONG_STATE, "object", pool->name, "verb", "be read", "state",
                                                      pool->state ? ws_pool_state_names[pool->state - 1] : "unknown", NULL);
}

static bool check(Task *task, Export *e, const WsVm *vm, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  WsId pool = e->args->pool;
  for (guint i = 0; i < vm->disks.len; i++)
    if (!check_disk(snap, vm, vm->disks.items[i], error))
      return false;
  PlacePoolNeed need = {pool, e->bytes, e->peak_bytes};
  return place_pool(e->vm.center, snap, vm->host, &need, &pool, "pool", error) &&
         pools_check_room(task, &e->room, pool, e->bytes, e->peak_bytes, error) &&
         compute_link(&e->vm, error);
}

/* By what was last heard of the disk and all that it builds on. */
static PlanExportDisk room_of(const InvSnapshot *snap, const WsVolume *volume)
{
  PlanExportDisk disk = {0, (guint64)MAX(0, volume->size_bytes)};
  for (const WsVolume *at = volume; at; at = at->parent ? inv_find(snap, &ws_type_volume, at->parent) : NULL)
    disk.data_bytes += at->allocated_bytes == WS_INT_UNSET ? disk.size_bytes : (guint64)at->allocated_bytes;
  return disk;
}

static void estimate(const InvSnapshot *snap, const WsVm *vm, Export *e)
{
  PlanExportDisk disks[DISKS_MAX];
  guint n = 0;
  for (guint i = 0; i < vm->disks.len && n < DISKS_MAX; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[i]->volume);
    if (volume)
      disks[n++] = room_of(snap, volume);
  }
  e->bytes = (gint64)plan_export_bytes(disks, n) / 512 * 512;
  e->peak_bytes = (gint64)plan_export_peak_bytes(disks, n);
}

static bool lock_all(Task *task, const Export *e, const WsVm *vm, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  TaskLockRef locks[2 * DISKS_MAX + 2];
  guint n = compute_add_lock(locks, 0, &ws_type_host, e->vm.host);
  n = compute_add_lock(locks, n, &ws_type_pool, e->args->pool);
  for (guint i = 0; i < vm->disks.len && i < DISKS_MAX; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[i]->volume);
    if (!volume)
      continue;
    n = compute_add_lock(locks, n, &ws_type_volume, volume->id);
    n = compute_add_lock(locks, n, &ws_type_pool, volume->pool);
  }
  return task_lock(task, locks, n, error);
}

/* ---- the VM, as others are told of it ---- */

/* What every file system and program takes: the VM's name where that is plain, else its id. Caller frees. */
static char *stem_of(const WsVm *vm)
{
  char id[WS_ID_TEXT_MAX];
  g_autofree char *stem = g_strndup(vm->name, STEM_MAX);
  g_strdelimit(stem, " ", '-');
  bool plain = g_ascii_isalnum(*stem);
  for (const char *c = stem; *c; c++)
    plain = plain && (g_ascii_isalnum(*c) || strchr("._-", *c));
  return plain ? g_steal_pointer(&stem) : g_strdup(ws_id_format(ws_type_vm.prefix, vm->id, id));
}

/* What goes to the host has words of its own; the same ones. */
G_STATIC_ASSERT((int)WS_VM_EXPORT_DISK_FORMAT_QCOW2 == (int)WS_VOLUME_FORMAT_QCOW2 && (int)WS_VM_EXPORT_DISK_FORMAT_RAW == (int)WS_VOLUME_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_VM_EXPORT_DISK_BUS_VIRTIO_BLK == (int)WS_VM_DISK_BUS_VIRTIO_BLK && (int)WS_VM_EXPORT_DISK_BUS_USB == (int)WS_VM_DISK_BUS_USB);
G_STATIC_ASSERT((int)WS_VM_EXPORT_NIC_MODEL_VIRTIO == (int)WS_VM_NIC_MODEL_VIRTIO && (int)WS_VM_EXPORT_NIC_MODEL_RTL8139 == (int)WS_VM_NIC_MODEL_RTL8139);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_EXPORT_FIRMWARE_BIOS == (int)WS_VM_FIRMWARE_BIOS &&
                (int)WS_RPC_VOLUME_EXPORT_FIRMWARE_UEFI_SECURE == (int)WS_VM_FIRMWARE_UEFI_SECURE);

static bool add_disks(const InvSnapshot *snap, const WsVm *vm, WsRpcVolumeExport *to, GError **error)
{
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVmDisk *from = vm->disks.items[i];
    const WsVolume *volume = inv_find(snap, &ws_type_volume, from->volume);
    if (!volume)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", from->key, NULL);
    WsVmExportDisk *disk = ws_vm_export_disk_new();
    disk->key = g_strdup(from->key);
    disk->pool = volume->pool;
    disk->file = g_strdup(volume->file);
    disk->format = (int)volume->format;
    disk->bus = (int)from->bus;
    ws_array_add(&to->disks, disk);
  }
  return true;
}

static void add_nics(const InvSnapshot *snap, const WsVm *vm, WsRpcVolumeExport *to)
{
  for (guint i = 0; i < vm->nics.len; i++) {
    const WsVmNic *from = vm->nics.items[i];
    const WsPortGroup *group = inv_find(snap, &ws_type_port_group, from->port_group);
    WsVmExportNic *nic = ws_vm_export_nic_new();
    nic->network = g_strdup(group ? group->name : from->key);
    nic->model = (int)from->model;
    nic->connected = from->connected;
    ws_array_add(&to->nics, nic);
  }
}

static WsRpcVolumeExport *describe(const InvSnapshot *snap, const Export *e, const WsVm *vm, GError **error)
{
  g_autoptr(WsRpcVolumeExport) to = ws_rpc_volume_export_new();
  to->pool = e->args->pool;
  to->file = g_strdup(e->file);
  to->stem = stem_of(vm);
  to->name = g_strdup(vm->name);
  to->description = g_strdup(vm->description);
  for (WsArchitecture a = 1; vm->architecture && ws_architecture_names[a - 1]; a++)
    if (strcmp(ws_architecture_names[a - 1], ws_vm_architecture_names[vm->architecture - 1]) == 0)
      to->architecture = a;
  to->os = vm->os ? ws_vm_os_copy(vm->os) : NULL;
  to->firmware = (int)vm->firmware;
  to->vcpus = plan_vm_vcpus(vm);
  to->cores = vm->cpu ? vm->cpu->cores : WS_INT_UNSET;
  to->memory_bytes = vm->memory_bytes;
  to->cdroms = vm->cdroms.len;
  add_nics(snap, vm, to);
  return add_disks(snap, vm, to, error) ? g_steal_pointer(&to) : NULL;
}

/* ---- steps ---- */

static bool reserve(Task *task, void *ctx, GError **error)
{
  Export *e = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), e->vm.id, error);
  if (!vm)
    return false;
  pools_let_go(&e->room); /* the volume has it from here */
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, e->id);
  volume->name = g_strdup(e->args->name ? e->args->name : vm->name);
  volume->pool = e->args->pool;
  volume->kind = WS_VOLUME_KIND_OVA;
  volume->size_bytes = e->bytes;
  volume->format = WS_VOLUME_FORMAT_RAW;
  volume->provisioning = WS_VOLUME_PROVISIONING_THIN;
  volume->state = WS_VOLUME_STATE_CREATING;
  volume->created = ws_clock_wall_us(e->vm.center->clock);
  volume->file = g_strdup(e->file);
  task_lock_new(task, task_txn(task), volume);
  task_set_object(task, &ws_type_volume, e->id);
  return true;
}

static bool unreserve(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, ((Export *)ctx)->id);
  return true;
}

static bool pack(Task *task, void *ctx, GError **error)
{
  Export *e = ctx;
  g_auto(Turn) turn = {NULL};
  if (!turn_take(task, e->vm.host, TURN_COPY, &turn, error))
    return false;
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *vm = compute_find(snap, e->vm.id, error);
  RpcLink *link = vm ? compute_link(&e->vm, error) : NULL;
  g_autoptr(WsRpcVolumeExport) params = link ? describe(snap, e, vm, error) : NULL;
  g_autoptr(WsRpcVolumeExportResult) result = NULL;
  if (!params || !rpc_volume_export(link, params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, e->id);
  if (!volume)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", e->file, NULL);
  volume->state = WS_VOLUME_STATE_READY;
  volume->size_bytes = result->size_bytes;
  volume->allocated_bytes = result->allocated_bytes;
  g_free(volume->sha256);
  volume->sha256 = g_strdup(result->sha256);
  return true;
}

static bool unpack(Task *task, void *ctx, GError **error)
{
  Export *e = ctx;
  RpcLink *link = compute_link(&e->vm, error);
  WsRpcVolumeDelete params = {.pool = e->args->pool, .file = (char *)e->file};
  return link && rpc_volume_delete(link, &params, NULL, NULL, NULL, error);
}

/* ---- the task ---- */

bool vm_export(Task *task, GError **error)
{
  g_auto(Export) e = {.args = task_args(task)};
  if (!compute_begin(task, &e.vm, error))
    return false;
  const WsVm *vm = compute_find(task_snapshot(task), e.vm.id, error);
  if (!vm)
    return false;
  estimate(task_snapshot(task), vm, &e);
  pools_look_again(task, e.args->pool, e.peak_bytes);
  vm = compute_find(task_snapshot(task), e.vm.id, error);
  if (!vm)
    return false;
  if ((!task_is_resumed(task) && !check(task, &e, vm, error)) || !lock_all(task, &e, vm, error))
    return false;
  e.id = task_new_id(task, "volume");
  g_autofree char *file = pools_new_file(e.vm.center, e.id, "ova");
  e.file = task_choose(task, "file", file);
  /* A dry run names its steps: so it tells of the room, too. */
  char room[WS_SIZE_TEXT_MAX];
  g_autofree char *step = g_strdup_printf("pack (needs at most %s)", ws_size_format((guint64)e.peak_bytes, room));
  return TASK_STEP(task, "reserve", reserve, unreserve, &e, error) &&
         TASK_STEP(task, task_choose(task, "pack", step), pack, unpack, &e, error);
}
