// SPDX-License-Identifier: Apache-2.0
/* Making VMs: from nothing, from existing disks, from an ISO (create), and from an image (deploy).
 *
 * Both come to the same: a draft of the whole VM, checked; entered with the volumes that are to be made; the files made; the VM defined
 * on its host; started where asked. Ids are chosen once (task_new_id), all other invented values (UUID, MAC addresses, file names) enter with
 * the objects, and later steps read them there. */
#include "base/hash.h"
#include "base/plant.h"
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/pools.h"
#include "center/quota.h"
#include "center/room.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "plan/estate.h"

#define CPU_FEATURES_MAX 512 /* of the contract */

typedef struct {
  Center *center;
  WsVm *draft;          /* owned by the task function */
  const WsImage *image; /* deploy; borrowed from the function's snapshot */
  bool linked, start;
  WsId id, host;
  WsId volumes[64];     /* ids of the volumes to be made, by disk; 0: exists already */
  PoolsHold room;
} Build;

static void build_clear(Build *b)
{
  pools_let_go(&b->room);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Build, build_clear)

/* ---- the draft's own checks ---- */

static bool check_numbers(const WsVm *draft, GError **error)
{
  const WsVmCpu *cpu = draft->cpu;
  char text[32];
  if (draft->memory_max_bytes != WS_INT_UNSET && draft->memory_max_bytes < draft->memory_bytes)
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "memory_max_bytes", "min", "memory_bytes", "max", "16 TiB", NULL);
  if (!cpu)
    return true;
  g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, cpu->vcpus);
  if (cpu->max_vcpus != WS_INT_UNSET && cpu->max_vcpus < cpu->vcpus)
    return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", "cpu.max_vcpus", "min", text, "max", "512", NULL);
  if (!compute_check_reservation(cpu, error))
    return false;
  if (cpu->mode == WS_VM_CPU_MODE_CUSTOM && !cpu->model)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "cpu.model", NULL);
  return true;
}

/* What all hosts of the cluster can show, so that it can move. Emulation does not depend on the host's processor. */
static void take_baseline(WsVmCpu *cpu, const InvSnapshot *snap, const WsHost *host)
{
  bool kvm = host->facts && host->facts->virtualisation && host->facts->virtualisation->kind == WS_HOST_VIRTUALISATION_KIND_KVM;
  g_autoptr(WsClusterCpuBaseline) baseline = kvm && host->cluster ? room_cpu_baseline(snap, host->cluster, 0) : NULL;
  if (!baseline || !baseline->model)
    return;
  cpu->mode = WS_VM_CPU_MODE_CUSTOM;
  g_free(cpu->model);
  cpu->model = g_steal_pointer(&baseline->model);
  for (guint i = 0; i < MIN(baseline->features.len, CPU_FEATURES_MAX); i++)
    ws_array_add(&cpu->features, g_strdup(baseline->features.items[i]));
}

static void complete_draft(Build *b, const InvSnapshot *snap)
{
  WsVm *draft = b->draft;
  const WsHost *host = inv_find(snap, &ws_type_host, b->host);
  if (!draft->cpu) {
    draft->cpu = ws_vm_cpu_new();
    ws_apply_defaults(&ws_type_vm_cpu, draft->cpu);
  }
  if (host && !(int)draft->cpu->mode)
    take_baseline(draft->cpu, snap, host);
  if (!(int)draft->architecture && host)
    draft->architecture = (int)host->architecture;
  compute_complete_devices(b->center, snap, draft);
}

/* Room in the quotas of its group and those above, held until the function ends: then it is in the inventory, or gone. */
static bool admit(Task *task, const WsVm *draft, QuotaHold *hold, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  WsId id = task_new_id(task, "vm");
  const WsVm *now = inv_find(snap, &ws_type_vm, id); /* resumed */
  return quota_admit_task(task, hold, id, now ? quota_more(snap, now, draft) : quota_of_draft(snap, draft), draft->group, error);
}

/* Blocks that a new disk takes at once; bytes that it may grow to are promised. */
static gint64 blocks_of(const WsVmNewVolume *volume, const WsVolume *source, bool linked)
{
  bool thin = volume->provisioning == WS_VM_NEW_VOLUME_PROVISIONING_THIN || !(int)volume->provisioning;
  gint64 copied = source && !linked && source->allocated_bytes != WS_INT_UNSET ? source->allocated_bytes : 0;
  return !thin && !linked ? volume->size_bytes : copied;
}

static PlacePoolNeed need_of(const Build *b, const InvSnapshot *snap, guint disk)
{
  const WsVmNewVolume *volume = b->draft->disks.items[disk]->new_volume;
  const WsVolume *source = disk == 0 && b->image ? inv_find(snap, &ws_type_volume, b->image->volume) : NULL;
  return (PlacePoolNeed){volume->pool, volume->size_bytes, blocks_of(volume, source, b->linked)};
}

/* All disks that go to the pool of this one, together; each pool once. */
static bool check_pool(Task *task, Build *b, const InvSnapshot *snap, guint disk, GError **error)
{
  WsId pool = b->draft->disks.items[disk]->new_volume->pool;
  gint64 promised = 0, real = 0;
  for (guint i = 0; i < b->draft->disks.len; i++) {
    const WsVmNewVolume *volume = b->draft->disks.items[i]->new_volume;
    if (!volume || volume->pool != pool)
      continue;
    if (i < disk)
      return true;
    PlacePoolNeed need = need_of(b, snap, i);
    promised += need.promised_bytes;
    real += need.real_bytes;
  }
  return pools_check_room(task, &b->room, pool, promised, real, error);
}

/* Before anything else is looked at. Pools that are not named are not asked: one that may be full is not
 * picked. */
static void look_again(Task *task, const WsVm *draft, const WsVolume *source, bool linked)
{
  for (guint i = 0; i < draft->disks.len; i++) {
    const WsVmNewVolume *volume = draft->disks.items[i]->new_volume;
    gint64 real = 0;
    for (guint j = 0; volume && volume->pool && j < draft->disks.len; j++) {
      const WsVmNewVolume *other = draft->disks.items[j]->new_volume;
      if (other && other->pool == volume->pool)
        real += blocks_of(other, j == 0 ? source : NULL, linked);
    }
    if (volume)
      pools_look_again(task, volume->pool, real);
  }
}

static bool pick_pool(const Build *b, PlacePools *pools, const InvSnapshot *head, guint disk, GError **error)
{
  g_autofree char *field = g_strdup_printf("disks[%u].new_volume.pool", disk);
  PlacePoolNeed need = need_of(b, head, disk);
  return place_pool_of(pools, b->host, &need, &b->draft->disks.items[disk]->new_volume->pool, field, error);
}

/* The pool for a new disk: the one asked for, or the roomiest usable one of the host; chosen once. */
static bool pick_pools(Task *task, Build *b, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  g_autoptr(InvSnapshot) head =
      inv_head(b->center->inventory); /* disks that are being made take their room too */
  g_autoptr(PlacePools) pools = place_pools_new(b->center, head);
  for (guint i = 0; i < b->draft->disks.len; i++) {
    WsVmNewVolume *volume = b->draft->disks.items[i]->new_volume;
    g_autofree char *label = g_strdup_printf("pool %u", i);
    const char *chosen = task_chosen(task, label);
    if (chosen && volume)
      ws_id_parse(ws_type_pool.prefix, chosen, &volume->pool);
    else if (volume && !pick_pool(b, pools, head, i, error))
      return false;
    else if (volume)
      task_choose(task, label, ws_id_format(ws_type_pool.prefix, volume->pool, text));
  }
  for (guint i = 0; !task_is_resumed(task) && i < b->draft->disks.len; i++)
    if (b->draft->disks.items[i]->new_volume && !check_pool(task, b, head, i, error))
      return false;
  return true;
}

/* ---- steps ---- */

static void enter_volume(Task *task, Build *b, guint i, const WsVm *vm)
{
  const WsVmNewVolume *from = b->draft->disks.items[i]->new_volume;
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, b->volumes[i]);
  volume->name = from->name ? g_strdup(from->name) : g_strdup_printf("%s %s", vm->name, vm->disks.items[i]->key);
  volume->pool = from->pool;
  volume->kind = WS_VOLUME_KIND_DISK;
  volume->size_bytes = from->size_bytes;
  volume->format = (int)from->format;
  volume->provisioning = (int)from->provisioning;
  volume->parent = i == 0 && b->image && b->linked ? b->image->volume : 0;
  if (i == 0 && b->image) {
    const WsVolume *base = inv_find(task_snapshot(task), &ws_type_volume, b->image->volume);
    volume->image = b->image->id; /* what revert_disk goes back to */
    volume->image_sha256 = g_strdup(base ? base->sha256 : NULL);
  }
  volume->state = WS_VOLUME_STATE_CREATING;
  volume->used_by = vm->id;
  volume->created = ws_clock_wall_us(b->center->clock);
  volume->file = pools_new_file(b->center, volume->id, from->format == WS_VM_NEW_VOLUME_FORMAT_RAW ? "raw" : "qcow2");
  task_lock_new(task, task_txn(task), volume);
}

static void take_volumes(Task *task, Build *b, WsVm *vm)
{
  for (guint i = 0; i < vm->disks.len; i++) {
    WsVmDisk *disk = vm->disks.items[i];
    if (!b->volumes[i]) {
      WsVolume *volume = inv_edit_id(task_txn(task), &ws_type_volume, disk->volume);
      if (volume && !disk->shared)
        volume->used_by = vm->id;
      continue;
    }
    enter_volume(task, b, i, vm);
    disk->volume = b->volumes[i];
    g_clear_pointer(&disk->new_volume, ws_vm_new_volume_free);
  }
}

static bool enter(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  char uuid[40];
  gint64 now = ws_clock_wall_us(b->center->clock);
  g_autoptr(WsVm) fields = ws_vm_copy(b->draft);
  pools_let_go(&b->room); /* its volumes have it from here */
  WsVm *vm = inv_create_with_id(task_txn(task), &ws_type_vm, b->id);
  ws_resource_take_fields(&ws_type_vm, vm, fields);
  vm->host = b->host;
  vm->image = b->image ? b->image->id : 0;
  vm->management = WS_VM_MANAGEMENT_MANAGED;
  vm->created = now;
  vm->run_generation = b->start; /* the right to run it, durable before its host hears of it */
  if (!vm->uuid)
    vm->uuid = g_strdup(ws_uuid_new(b->center->clock, uuid));
  vm->power = ws_power_new();
  vm->power->state = WS_POWER_STATE_OFF;
  vm->power->since = now;
  take_volumes(task, b, vm);
  task_lock_new(task, task_txn(task), vm);
  task_set_object(task, &ws_type_vm, b->id);
  return true;
}

static bool leave(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  g_autoptr(InvSnapshot) head = inv_head(b->center->inventory);
  const WsVm *vm = inv_find(head, &ws_type_vm, b->id);
  for (guint i = 0; vm && i < vm->disks.len; i++) {
    WsVolume *volume = b->volumes[i] ? NULL : inv_edit_id(task_txn(task), &ws_type_volume, vm->disks.items[i]->volume);
    if (b->volumes[i])
      inv_delete(task_txn(task), &ws_type_volume, b->volumes[i]);
    else if (volume && volume->used_by == b->id)
      volume->used_by = 0;
  }
  inv_delete(task_txn(task), &ws_type_vm, b->id);
  return true;
}

/* One step for all disks, so that the list of steps does not depend on their number; each file is made idempotently. */
static bool make_disk(Task *task, Build *b, RpcLink *link, const WsVolume *volume, const WsVolume *source, gint64 *allocated,
                      GError **error)
{
  if (source && !b->linked) {
    g_autoptr(WsRpcVolumeCloneResult) result = NULL;
    WsRpcVolumeClone params = {.pool = source->pool,
                               .file = source->file,
                               .source_format = (int)source->format,
                               .target_pool = volume->pool,
                               .target_file = volume->file,
                               .format = (int)volume->format,
                               .provisioning = (int)volume->provisioning,
                               .size_bytes = volume->size_bytes};
    if (!rpc_volume_clone(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
      return false;
    *allocated = result->allocated_bytes;
    return true;
  }
  g_autoptr(WsRpcVolumeCreateResult) result = NULL;
  WsRpcVolumeCreate params = {.pool = volume->pool,
                              .file = volume->file,
                              .size_bytes = volume->size_bytes,
                              .format = (int)volume->format,
                              .provisioning = (int)volume->provisioning,
                              .parent_file = source ? source->file : NULL,
                              .parent_format = source ? (int)source->format : 0};
  if (!rpc_volume_create(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))
    return false;
  *allocated = result->allocated_bytes;
  return true;
}

static bool makes_files(const Build *b)
{
  for (guint i = 0; i < b->draft->disks.len; i++)
    if (b->volumes[i])
      return true;
  return false;
}

static bool make_disks(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const InvSnapshot *snap = task_snapshot(task);
  gint64 allocated[64];
  guint n = b->draft->disks.len;
  g_auto(Turn) turn = {NULL};
  if (makes_files(b) && !turn_take(task, b->host, b->image && !b->linked ? TURN_COPY : TURN_FILE, &turn, error))
    return false;
  snap = task_snapshot(task);
  for (guint i = 0; i < n; i++) {
    const WsVolume *volume = b->volumes[i] ? inv_find(snap, &ws_type_volume, b->volumes[i]) : NULL;
    const WsVolume *source = i == 0 && b->image ? inv_find(snap, &ws_type_volume, b->image->volume) : NULL;
    RpcLink *link = hosts_link(b->center, b->host, error);
    if (!link)
      return false;
    if (volume && !make_disk(task, b, link, volume, source, &allocated[i], error)) {
      if (error && *error)
        ws_error_context(error, "make disk %s", b->draft->disks.items[i]->key);
      return false;
    }
  }
  for (guint i = 0; i < n; i++) {
    WsVolume *volume = b->volumes[i] ? inv_edit_id(task_txn(task), &ws_type_volume, b->volumes[i]) : NULL;
    if (volume) {
      volume->state = WS_VOLUME_STATE_READY;
      volume->allocated_bytes = allocated[i];
    }
  }
  return true;
}

static bool remove_disks(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const InvSnapshot *snap = task_snapshot(task);
  for (guint i = 0; i < b->draft->disks.len; i++) {
    const WsVolume *volume = b->volumes[i] ? inv_find(snap, &ws_type_volume, b->volumes[i]) : NULL;
    RpcLink *link = volume ? hosts_link(b->center, b->host, error) : NULL;
    WsRpcVolumeDelete params = {.pool = volume ? volume->pool : 0, .file = volume ? volume->file : NULL};
    if (volume && (!link || !rpc_volume_delete(link, &params, NULL, NULL, NULL, error)))
      return false;
  }
  return true;
}

/* It may have gone from under us with its host. */
static WsVm *edit_built(Task *task, Build *b, GError **error)
{
  WsVm *edit = inv_edit_id(task_txn(task), &ws_type_vm, b->id);
  char text[WS_ID_TEXT_MAX];
  if (!edit)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(ws_type_vm.prefix, b->id, text), NULL);
  return edit;
}

static bool define(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), b->id, error);
  g_autoptr(WsVmSpec) spec = vm ? compute_spec(task_snapshot(task), vm, error) : NULL;
  g_autoptr(WsVmReport) report = NULL;
  if (!spec)
    return false;
  WsRpcVmDefine params = {.spec = spec, .cloud_init = vm->cloud_init};
  if (!compute_define(b->center, b->host, &params, task_cancel_flag(task), &report, error))
    return false;
  WsVm *edit = edit_built(task, b, error);
  if (!edit)
    return false;
  compute_take_report(b->center, edit, report);
  /* The guest's password is on the seed CD, hashed; nobody needs it in the inventory any more. */
  if (edit->cloud_init)
    ws_secret_clear(&edit->cloud_init->password);
  return true;
}

static bool undefine(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), b->id, error);
  RpcLink *link = vm ? hosts_link(b->center, b->host, error) : NULL;
  WsRpcVmPowerOff off = {.vm = b->id, .uuid = vm ? vm->uuid : NULL};
  WsRpcVmUndefine params = {.vm = b->id, .uuid = vm ? vm->uuid : NULL};
  if (!link)
    return false;
  /* Somebody may have started it on the host meanwhile; one that is not there, or not on, is as well. */
  if (!SIM_PLANT(started_vm_not_stopped))
    rpc_vm_power_off(link, &off, NULL, NULL, NULL, NULL, NULL);
  return compute_undefine(b->center, b->host, &params, error);
}

static bool start(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), b->id, error);
  RpcLink *link = vm ? hosts_link(b->center, b->host, error) : NULL;
  WsVmRight right = {.generation = vm ? vm->run_generation : 1};
  WsRpcVmStart params = {.vm = b->id, .uuid = vm ? vm->uuid : NULL, .right = &right};
  g_autoptr(WsRpcVmStartResult) result = NULL;
  if (!link || !rpc_vm_start(link, &params, &result, NULL, NULL, task_cancel_flag(task), error))
    return false;
  WsVm *edit = edit_built(task, b, error);
  if (!edit)
    return false;
  compute_take_power(b->center, edit, result->power);
  return true;
}

static bool stop(Task *task, void *ctx, GError **error)
{
  Build *b = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), b->id, error);
  RpcLink *link = vm ? hosts_link(b->center, b->host, error) : NULL;
  WsRpcVmPowerOff params = {.vm = b->id, .uuid = vm ? vm->uuid : NULL};
  return link && rpc_vm_power_off(link, &params, NULL, NULL, NULL, NULL, error);
}

static void add_lock(GArray *locks, const WsType *type, WsId id)
{
  g_array_set_size(locks, locks->len + 1);
  g_array_set_size(locks, compute_add_lock((TaskLockRef *)locks->data, locks->len - 1, type, id));
}

static bool build(Task *task, Build *b, GError **error)
{
  GArray *locks = g_array_new(FALSE, FALSE, sizeof(TaskLockRef));
  TaskLockRef lock = {&ws_type_host, b->host, true};
  g_array_append_val(locks, lock);
  b->id = task_new_id(task, "vm");
  for (guint i = 0; i < b->draft->disks.len; i++) {
    const WsVmDisk *disk = b->draft->disks.items[i];
    g_autofree char *label = g_strdup_printf("volume %u", i);
    b->volumes[i] = disk->new_volume ? task_new_id(task, label) : 0;
    lock = (TaskLockRef){&ws_type_volume, disk->volume, disk->shared};
    if (!disk->new_volume)
      g_array_append_val(locks, lock);
    else if (disk->new_volume->pool) /* not to be suspended while files are made in it, or taken away again */
      add_lock(locks, &ws_type_pool, disk->new_volume->pool);
  }
  for (guint i = 0; i < b->draft->nics.len; i++) /* nor these taken away */
    add_lock(locks, &ws_type_port_group, b->draft->nics.items[i]->port_group);
  lock = (TaskLockRef){&ws_type_image, b->image ? b->image->id : 0, true};
  if (b->image)
    g_array_append_val(locks, lock);
  bool ok = task_lock(task, (TaskLockRef *)locks->data, locks->len, error);
  g_array_unref(locks);
  return ok && TASK_STEP(task, "enter", enter, leave, b, error) &&
         TASK_STEP(task, "make disks", make_disks, remove_disks, b, error) &&
         TASK_STEP(task, "define", define, undefine, b, error) &&
         (!b->start || TASK_STEP(task, "start", start, stop, b, error));
}

/* ---- create ---- */

static bool create_one(Task *task, GError **error)
{
  const WsVm *args = task_args(task);
  look_again(task, args, NULL, false);
  const InvSnapshot *snap = task_snapshot(task);
  g_autoptr(WsVm) draft = ws_vm_copy(args);
  g_auto(Build) b = {.center = task_center(task), .draft = draft};
  g_auto(QuotaHold) hold = {NULL};
  if (!check_numbers(draft, error) || !admit(task, draft, &hold, error) ||
      !place_host(task, draft, 0, false, 0, &b.host, error))
    return false;
  complete_draft(&b, snap);
  if (!pick_pools(task, &b, error) ||
      (!task_is_resumed(task) && !compute_check_devices(snap, draft, 0, b.host, error)))
    return false;
  return build(task, &b, error);
}

bool vm_create(Task *task, GError **error)
{
  bool ok = create_one(task, error);
  place_end(task);
  return ok;
}

/* ---- deploy ---- */

static const WsImage *usable_image(const InvSnapshot *snap, WsId id, GError **error)
{
  const WsImage *image = inv_find(snap, &ws_type_image, id);
  char text[WS_ID_TEXT_MAX];
  if (!image) {
    ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "image", "object", ws_id_format(ws_type_image.prefix, id, text), NULL);
    return NULL;
  }
  if (image->kind == WS_IMAGE_KIND_ISO) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "image", "expected", "a disk image; an ISO goes into the CD drive of a new VM", NULL);
    return NULL;
  }
  if (image->state == WS_IMAGE_STATE_READY)
    return image;
  ws_fail(error, WS_ERROR_WRONG_STATE, "object", image->name, "verb", "be deployed", "state",
          image->state ? ws_image_state_names[image->state - 1] : "unknown", NULL);
  return NULL;
}

static void *copy_part(const WsType *type, const void *part)
{
  return part ? ws_object_copy(type, part) : NULL;
}

static gint64 at_least(gint64 value, gint64 least, gint64 preset)
{
  return value != WS_INT_UNSET ? value : least == WS_INT_UNSET ? preset : MAX(least, preset);
}

/* An image's needs and the request make the VM. */
static WsVm *draft_of(const WsVmDeploy *args, const WsImage *image, const WsVolume *source)
{
  WsVm *draft = ws_vm_new();
  ws_apply_defaults(&ws_type_vm, draft);
  draft->name = g_strdup(args->name);
  draft->description = g_strdup(args->description);
  for (guint i = 0; i < args->labels.len; i++)
    ws_map_set(&draft->labels, args->labels.items[i].key, args->labels.items[i].value);
  draft->host = args->host;
  draft->cluster = args->cluster;
  draft->group = args->group;
  draft->architecture = (int)image->architecture;
  draft->os = copy_part(&ws_type_vm_os, image->os);
  draft->cpu = copy_part(&ws_type_vm_cpu, args->cpu);
  if (!draft->cpu) {
    draft->cpu = ws_vm_cpu_new();
    ws_apply_defaults(&ws_type_vm_cpu, draft->cpu);
    draft->cpu->vcpus = at_least(WS_INT_UNSET, image->min_vcpus, 1);
  }
  draft->memory_bytes = at_least(args->memory_bytes, image->min_memory_bytes, 256 << 20);
  draft->cloud_init = copy_part(&ws_type_vm_cloud_init, args->cloud_init);
  if (image->firmware == WS_IMAGE_FIRMWARE_UEFI)
    draft->firmware = WS_VM_FIRMWARE_UEFI;
  WsVmDisk *disk = ws_vm_disk_new();
  ws_apply_defaults(&ws_type_vm_disk, disk);
  disk->boot_order = 1;
  disk->new_volume = ws_vm_new_volume_new();
  ws_apply_defaults(&ws_type_vm_new_volume, disk->new_volume);
  disk->new_volume->pool = args->pool;
  disk->new_volume->size_bytes = source->size_bytes;
  draft->disks.len = 1;
  draft->disks.items = g_new(WsVmDisk *, 1);
  draft->disks.items[0] = disk;
  if (!draft->cloud_init && image->cloud_init)
    draft->cloud_init = ws_vm_cloud_init_new(); /* at least its name */
  return draft;
}

static void add_nic(WsVm *draft, WsId port_group)
{
  WsVmNic *nic = ws_vm_nic_new();
  ws_apply_defaults(&ws_type_vm_nic, nic);
  nic->port_group = port_group;
  draft->nics.len = 1;
  draft->nics.items = g_new(WsVmNic *, 1);
  draft->nics.items[0] = nic;
}

/* The VM that is asked for, checked as far as its host does not matter; NULL with error. Caller unrefs. */
static WsVm *deploy_draft(const InvSnapshot *snap, const WsVmDeploy *args, const WsImage **image,
                          const WsVolume **source, GError **error)
{
  *image = usable_image(snap, args->image, error);
  *source = *image ? inv_find(snap, &ws_type_volume, (*image)->volume) : NULL;
  if (!*source) {
    if (*image)
      ws_fail(error, WS_ERROR_NOT_FOUND, "object", (*image)->name, NULL);
    return NULL;
  }
  g_autoptr(WsVm) draft = draft_of(args, *image, *source);
  const WsPool *pool = inv_find(snap, &ws_type_pool, (*source)->pool);
  if (pool && draft->host && !plan_pool_has_host(pool, draft->host)) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "host", "expected", "a host that reaches the image's pool",
            NULL);
    return NULL;
  }
  if (args->linked && args->pool && args->pool != (*source)->pool) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "pool", "expected",
            "the image's own pool for a linked deployment", NULL);
    return NULL;
  }
  if (args->linked)
    draft->disks.items[0]->new_volume->pool = (*source)->pool;
  return check_numbers(draft, error) ? g_steal_pointer(&draft) : NULL;
}

static bool deploy_one(Task *task, const WsVmDeploy *args, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsImage *image;
  const WsVolume *source;
  g_autoptr(WsVm) early = deploy_draft(snap, args, &image, &source, error);
  if (!early)
    return false;
  look_again(task, early, source, args->linked);
  snap = task_snapshot(task);
  g_autoptr(WsVm) draft = deploy_draft(snap, args, &image, &source, error);
  if (!draft)
    return false;
  g_auto(Build) b = {.center = task_center(task),
                     .draft = draft,
                     .image = image,
                     .linked = args->linked,
                     .start = args->start};
  g_auto(QuotaHold) hold = {NULL};
  if (!admit(task, draft, &hold, error) ||
      !place_host(task, draft, source->pool, args->start, (PlanStrategy)args->placement, &b.host, error))
    return false;
  WsId group = args->port_group ? args->port_group : place_port_group(snap, b.host);
  if (group)
    add_nic(draft, group);
  complete_draft(&b, snap);
  if (!pick_pools(task, &b, error) ||
      (!task_is_resumed(task) && !compute_check_devices(snap, draft, 0, b.host, error)))
    return false;
  return build(task, &b, error);
}

#define DEPLOY_PARALLEL 8
#define LOG_HOSTS_MAX   20 /* named in the log */

/* All of them: it is known before the first is made. Each holds its own part when its turn comes. */
static bool admit_many(Task *task, const WsVmDeploy *args, const WsVm *draft, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  QuotaAsk ask = {0};
  QuotaFigures one = quota_of_draft(snap, draft);
  for (guint k = 0; k < N_QUOTAS; k++)
    ask.more.of[k] = args->count * one.of[k];
  return quota_admit(((Center *)task_center(task))->quotas, NULL, &ask, 1, args->group, error);
}

/* A host for each, all or none: chosen once, for a batch that is taken up again is given the same list. */
static bool place_all(Task *task, const WsVmDeploy *args, WsId *hosts, GError **error)
{
  guint count = (guint)args->count;
  const char *chosen = task_chosen(task, "hosts");
  const WsImage *image;
  const WsVolume *source;
  char *at = (char *)chosen;
  for (guint i = 0; i < count; i++)
    hosts[i] = chosen ? g_ascii_strtoull(at, &at, 10) : args->host;
  if (chosen || task_is_resumed(task)) /* not chosen: it was begun by a manager that left it to each */
    return true;
  g_autoptr(WsVm) draft = deploy_draft(task_snapshot(task), args, &image, &source, error);
  if (!draft || !admit_many(task, args, draft, error) ||
      !place_many(task, draft, source->pool, args->start, (PlanStrategy)args->placement, count, hosts, error))
    return false;
  const WsVmNewVolume *disk = draft->disks.items[0]->new_volume;
  PlacePoolNeed need = {disk->pool, disk->size_bytes, blocks_of(disk, source, args->linked)};
  if (!place_pools(task, &need, hosts, count, error))
    return false;
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < count; i++) {
    g_string_append_printf(text, "%s%" G_GUINT64_FORMAT, i ? " " : "", hosts[i]);
    g_free(draft->name);
    draft->name = g_strdup_printf("%s-%u", args->name, i + 1);
    draft->host = hosts[i];
    if (!task_is_dry_run(task))
      place_hold(task, draft, args->start);
  }
  task_choose(task, "hosts", text->str);
  return true;
}

static WsVmDeploy *member_args(const WsVmDeploy *args, guint i, WsId host)
{
  WsVmDeploy *one = ws_vm_deploy_copy(args);
  g_free(one->name);
  one->name = g_strdup_printf("%s-%u", args->name, i + 1);
  one->count = 1;
  one->host = host;
  return one;
}

/* How many each host gets. */
static void log_many(Task *task, const WsId *hosts, guint count)
{
  g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autoptr(GString) text = g_string_new(NULL);
  char all[12];
  for (guint i = 0; i < count; i++) {
    guint n = 0;
    if (!g_hash_table_add(done, (gpointer)&hosts[i]))
      continue;
    for (guint j = i; j < count; j++)
      n += hosts[j] == hosts[i];
    const WsHost *host = inv_find(task_snapshot(task), &ws_type_host, hosts[i]);
    if (g_hash_table_size(done) <= LOG_HOSTS_MAX)
      g_string_append_printf(text, "%s%s (%u)", text->len ? ", " : "", host ? host->name : "-", n);
  }
  if (g_hash_table_size(done) > LOG_HOSTS_MAX)
    g_string_append_printf(text, ", %u more", g_hash_table_size(done) - LOG_HOSTS_MAX);
  g_snprintf(all, sizeof all, "%u", count);
  task_log(task, "placed_many", "count", all, "hosts", text->str, NULL);
}

/* A line for each member and its host, as steps of a dry run; then what stands against the first there. */
static bool tell_many(Task *task, const WsVmDeploy *args, const WsId *hosts, GError **error)
{
  for (guint i = 0; i < (guint)args->count; i++) {
    const WsHost *host = inv_find(task_snapshot(task), &ws_type_host, hosts[i]);
    g_autofree char *line = g_strdup_printf("%s-%u -> %s", args->name, i + 1, host ? host->name : "-");
    if (!TASK_STEP(task, line, NULL, NULL, NULL, error))
      return false;
  }
  g_autoptr(WsVmDeploy) first = member_args(args, 0, hosts[0]);
  return deploy_one(task, first, error);
}

static bool deploy_many(Task *task, const WsVmDeploy *args, GError **error)
{
  guint count = (guint)args->count;
  g_autofree TaskChild *children = g_new0(TaskChild, count);
  g_autofree WsId *hosts = g_new0(WsId, count);
  if (!place_all(task, args, hosts, error))
    return false;
  if (!task_is_resumed(task))
    log_many(task, hosts, count);
  if (task_is_dry_run(task))
    return tell_many(task, args, hosts, error);
  for (guint i = 0; i < count; i++)
    children[i].args = member_args(args, i, hosts[i]);
  return task_run_children(task, task_kind_find(task_engine(task), "vm_deploy"), children, count,
                           DEPLOY_PARALLEL, error);
}

bool vm_deploy(Task *task, GError **error)
{
  const WsVmDeploy *args = task_args(task);
  if (args->count > 1) {
    bool done = deploy_many(task, args, error);
    place_release(task);
    return done;
  }
  bool ok = deploy_one(task, args, error);
  place_end(task);
  return ok;
}
