// SPDX-License-Identifier: Apache-2.0
/* VMs that were made past the platform: what their host says of them in the platform's words, so that they can be adopted.
 *
 * A disk whose file is a volume's has that volume, which is in use from then on; a NIC on a switch of ours has the port group that fits.
 * A file in a pool that is no volume becomes one when the VM is adopted (compute_adopt_volumes()). What has no place here - a file outside of
 * all pools, a bridge that is no switch - stands among the reasons against adopting. */
#include "center/compute/compute.h"

static void take_text(char **to, char *text)
{
  g_free(*to);
  *to = text;
}

const char *compute_found_name(const WsVmReport *report)
{
  return report->spec && report->spec->name && *report->spec->name ? report->spec->name : report->name;
}

/* ---- blockers ---- */

static void clear_blockers(WsVm *vm)
{
  for (guint i = 0; i < vm->adopt_blockers.len; i++)
    g_free(vm->adopt_blockers.items[i]);
  g_clear_pointer(&vm->adopt_blockers.items, g_free);
  vm->adopt_blockers.len = 0;
}

static void add_blocker(WsVm *vm, char *text)
{
  const guint max = 64; /* of the contract */
  if (vm->adopt_blockers.len < max)
    ws_array_add(&vm->adopt_blockers, text);
  else
    g_free(text);
}

/* ---- disks and CDs ---- */

typedef struct {
  const char *file;
  const WsVolume *found;
} FileLook;

static bool look_for_file(const void *object, void *arg)
{
  FileLook *look = arg;
  const WsVolume *volume = object;
  if (g_strcmp0(volume->file, look->file) == 0)
    look->found = volume;
  return !look->found;
}

static const WsVolume *volume_of_file(const InvSnapshot *snap, WsId pool, const char *file)
{
  FileLook look = {file, NULL};
  if (pool && file)
    inv_each_by(snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool, NULL, look_for_file, &look);
  /* One that is being deleted is none: a reference would hold its record back when the file is gone. */
  return look.found && look.found->state != WS_VOLUME_STATE_DELETING ? look.found : NULL;
}

/* Where a file lies, for people. */
static char *place_of(const InvSnapshot *snap, WsId pool_id, const char *file, const char *path)
{
  const WsPool *pool = pool_id ? inv_find(snap, &ws_type_pool, pool_id) : NULL;
  return pool && file ? g_build_filename(pool->path, file, NULL) : g_strdup(path);
}

static void use_volume(InvTxn *txn, WsId id, WsId vm)
{
  WsVolume *volume = inv_edit_id(txn, &ws_type_volume, id);
  if (volume && !volume->used_by)
    volume->used_by = vm;
}

static void link_disks(InvTxn *txn, const InvSnapshot *head, WsVm *vm, const WsVmSpec *spec)
{
  for (guint i = 0; i < vm->disks.len && i < spec->disks.len; i++) {
    const WsVmSpecDisk *from = spec->disks.items[i];
    WsVmDisk *disk = vm->disks.items[i];
    const WsVolume *volume = volume_of_file(head, from->pool, from->file);
    disk->volume = volume ? volume->id : 0;
    take_text(&disk->source, volume ? NULL : place_of(head, from->pool, from->file, from->path));
    if (volume && !disk->shared)
      use_volume(txn, volume->id, vm->id);
    if (!volume && from->pool && !inv_find(head, &ws_type_pool, from->pool))
      add_blocker(vm, g_strdup_printf("disk %s: its pool is not known", disk->key));
    if (volume && volume->kind == WS_VOLUME_KIND_OVA)
      add_blocker(vm, g_strdup_printf("disk %s: the volume %.200s is an exported virtual machine", disk->key, volume->name));
    if (volume && volume->used_by && volume->used_by != vm->id)
      add_blocker(vm, g_strdup_printf("disk %s: the volume %.200s is another VM's", disk->key, volume->name));
  }
}

static void link_cdroms(const InvSnapshot *head, WsVm *vm, const WsVmSpec *spec)
{
  for (guint i = 0; i < vm->cdroms.len && i < spec->cdroms.len; i++) {
    const WsVmSpecCdrom *from = spec->cdroms.items[i];
    const WsVolume *volume = volume_of_file(head, from->pool, from->file);
    vm->cdroms.items[i]->volume = volume ? volume->id : 0;
    take_text(&vm->cdroms.items[i]->source, volume ? NULL : place_of(head, from->pool, from->file, from->path));
  }
}

/* ---- NICs ---- */

static bool same_trunks(const WsPortGroupVlan *vlan, const WsVmSpecNic *nic)
{
  return vlan->trunks.len == nic->trunks.len &&
         (!nic->trunks.len || memcmp(vlan->trunks.items, nic->trunks.items, nic->trunks.len * sizeof *nic->trunks.items) == 0);
}

static bool fits(const WsPortGroup *group, const WsVmSpecNic *nic)
{
  const WsPortGroupVlan *vlan = group->vlan;
  if (vlan && vlan->mode == WS_PORT_GROUP_VLAN_MODE_ACCESS)
    return nic->vlan == vlan->tag && !nic->trunks.len;
  if (vlan && vlan->mode == WS_PORT_GROUP_VLAN_MODE_TRUNK)
    return nic->vlan == vlan->tag && same_trunks(vlan, nic);
  return nic->vlan == WS_INT_UNSET && !nic->trunks.len;
}

typedef struct {
  const InvSnapshot *snap;
  WsId host, found;
  const WsVmSpecNic *nic;
} GroupLook;

static bool look_for_group(const void *object, void *arg)
{
  GroupLook *look = arg;
  const WsPortGroup *group = object;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  if (sw && sw->host == look->host && g_strcmp0(sw->bridge, look->nic->bridge) == 0 && fits(group, look->nic))
    look->found = group->id;
  return !look->found;
}

void compute_link_nics(const InvSnapshot *head, WsVm *vm, const WsVmSpec *spec)
{
  for (guint i = 0; i < vm->nics.len && i < spec->nics.len; i++) {
    GroupLook look = {head, vm->host, 0, spec->nics.items[i]};
    if (look.nic->bridge)
      inv_each(head, &ws_type_port_group, look_for_group, &look);
    vm->nics.items[i]->port_group = look.found;
    if (!look.found)
      add_blocker(vm, g_strdup_printf("NIC %s: no port group fits %s; make one, or connect it to another", vm->nics.items[i]->mac,
                                      look.nic->bridge ? look.nic->bridge : "its network"));
  }
}

/* ---- the whole ---- */

/* A spec names the settings alone; what the platform knows of the VM stays. */
static void take_settings(WsVm *vm, const WsVmSpec *spec)
{
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_STORED, &n);
  g_autoptr(WsVm) settings = ws_vm_parse(json, n, WS_PARSE_STORED, NULL);
  if (!settings)
    return;
  g_autoptr(WsVm) before = ws_vm_new();
  ws_resource_take_fields(&ws_type_vm, before, vm);
  ws_resource_take_fields(&ws_type_vm, vm, settings);
  vm->host = before->host;
  vm->management = before->management;
  vm->created = before->created;
  vm->group = before->group;
  WsMap labels = vm->labels;
  vm->labels = before->labels;
  before->labels = labels;
  vm->power = g_steal_pointer(&before->power);
  vm->guest = g_steal_pointer(&before->guest);
  vm->usage = g_steal_pointer(&before->usage);
  vm->activity = g_steal_pointer(&before->activity);
  vm->health = g_steal_pointer(&before->health);
}

void compute_fill_found(Center *center, InvTxn *txn, WsVm *vm, const WsVmReport *report)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (report->spec) {
    compute_release_volumes(txn, vm); /* it may have others now */
    take_settings(vm, report->spec);
  }
  clear_blockers(vm);
  for (guint i = 0; i < report->blockers.len; i++)
    add_blocker(vm, g_strdup(report->blockers.items[i]));
  if (report->spec) {
    link_disks(txn, head, vm, report->spec);
    link_cdroms(head, vm, report->spec);
    compute_link_nics(head, vm, report->spec);
  }
  take_text(&vm->name, g_strdup(compute_found_name(report)));
  take_text(&vm->uuid, g_strdup(report->uuid));
}

void compute_release_volumes(InvTxn *txn, const WsVm *vm)
{
  for (guint i = 0; i < vm->disks.len; i++) {
    WsVolume *volume = vm->disks.items[i]->volume ? inv_edit_id(txn, &ws_type_volume, vm->disks.items[i]->volume) : NULL;
    if (volume && volume->used_by == vm->id)
      volume->used_by = 0;
  }
}

/* ---- files that become volumes ---- */

typedef struct {
  Center *center;
  RpcLink *link;
  InvTxn *txn;
  const InvSnapshot *head;
} Adoption;

/* One file: its volume, or WS_ERROR_NOT_ALLOWED when it cannot be one. */
static WsVolume *make_volume(const Adoption *a, WsId pool, const char *file, bool iso, int format, GError **error)
{
  g_autoptr(WsRpcVolumeInfoResult) info = NULL;
  WsRpcVolumeInfo params = {.pool = pool, .file = (char *)file, .format = format};
  if (!rpc_volume_info(a->link, &params, &info, NULL, NULL, NULL, error))
    return NULL;
  const WsVolume *parent = info->parent_file ? volume_of_file(a->head, pool, info->parent_file) : NULL;
  if (!info->exists || (info->parent_file && !parent)) {
    ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", file, "verb", "become a volume", "reason",
            info->exists ? "its backing file is no volume" : "it is not there", NULL);
    return NULL;
  }
  WsVolume *volume = inv_create(a->txn, &ws_type_volume);
  volume->name = g_strdup(file);
  volume->pool = pool;
  volume->kind = iso ? WS_VOLUME_KIND_ISO : WS_VOLUME_KIND_DISK;
  volume->format = iso ? WS_VOLUME_FORMAT_RAW : format;
  volume->provisioning = WS_VOLUME_PROVISIONING_THIN;
  volume->size_bytes = info->size_bytes;
  volume->allocated_bytes = info->allocated_bytes;
  volume->parent = parent ? parent->id : 0;
  volume->state = WS_VOLUME_STATE_READY;
  volume->file = g_strdup(file);
  volume->created = ws_clock_wall_us(a->center->clock);
  return volume;
}

bool compute_adopt_volumes(Center *center, RpcLink *link, InvTxn *txn, WsVm *vm, const WsVmSpec *spec, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  Adoption a = {center, link, txn, head};
  for (guint i = 0; i < vm->disks.len && i < spec->disks.len; i++) {
    const WsVmSpecDisk *from = spec->disks.items[i];
    WsVmDisk *disk = vm->disks.items[i];
    WsVolume *volume = disk->volume ? NULL : make_volume(&a, from->pool, from->file, false, (int)from->format, error);
    if (!disk->volume && !volume)
      return false;
    if (volume) {
      disk->volume = volume->id;
      volume->used_by = disk->shared ? 0 : vm->id;
      take_text(&disk->source, NULL);
    }
  }
  for (guint i = 0; i < vm->cdroms.len && i < spec->cdroms.len; i++) {
    const WsVmSpecCdrom *from = spec->cdroms.items[i];
    if (vm->cdroms.items[i]->volume || !from->file)
      continue;
    WsVolume *volume = make_volume(&a, from->pool, from->file, true, WS_RPC_VOLUME_INFO_FORMAT_RAW, error);
    if (!volume)
      return false;
    vm->cdroms.items[i]->volume = volume->id;
    take_text(&vm->cdroms.items[i]->source, NULL);
  }
  return true;
}
