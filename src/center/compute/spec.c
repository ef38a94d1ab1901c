// SPDX-License-Identifier: Apache-2.0
/* From the VM of the contract to what a host needs: the same words, with files and bridges in place of references.
 *
 * Vm and VmSpec name their common settings alike, so these are carried over by name through the stored form; only references are
 * resolved by hand. A setting added to both in api/vm.yaml needs no line here. */
#include "base/plant.h"
#include "center/compute/compute.h"

static bool bad_reference(GError **error, const char *list, guint i, const char *field, const WsType *type, WsId id)
{
  char text[WS_ID_TEXT_MAX];
  g_autofree char *path = g_strdup_printf("%s[%u].%s", list, i, field);
  return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", path, "object", ws_id_format(type->prefix, id, text), NULL);
}

static void set_text(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

static bool resolve_disks(const InvSnapshot *snap, WsVmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->disks.len; i++) {
    WsVmSpecDisk *disk = spec->disks.items[i];
    const WsVolume *volume = inv_find(snap, &ws_type_volume, disk->volume);
    if (!volume)
      return bad_reference(error, "disks", i, "volume", &ws_type_volume, disk->volume);
    if (SIM_PLANT(disk_of_another))
      volume = inv_find_by(snap, &ws_type_volume, "pool", volume->pool, NULL);
    disk->pool = volume->pool;
    disk->format = (int)volume->format;
    set_text(&disk->file, volume->file);
  }
  return true;
}

static bool resolve_cdroms(const InvSnapshot *snap, WsVmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->cdroms.len; i++) {
    WsVmSpecCdrom *cdrom = spec->cdroms.items[i];
    const WsVolume *volume = cdrom->volume ? inv_find(snap, &ws_type_volume, cdrom->volume) : NULL;
    if (cdrom->volume && !volume)
      return bad_reference(error, "cdroms", i, "volume", &ws_type_volume, cdrom->volume);
    cdrom->pool = volume ? volume->pool : 0;
    set_text(&cdrom->file, volume ? volume->file : NULL);
  }
  return true;
}

static void take_vlan(WsVmSpecNic *nic, const WsPortGroupVlan *vlan)
{
  bool access = vlan && vlan->mode == WS_PORT_GROUP_VLAN_MODE_ACCESS;
  bool trunk = vlan && vlan->mode == WS_PORT_GROUP_VLAN_MODE_TRUNK;
  nic->vlan = access || trunk ? vlan->tag : WS_INT_UNSET;
  g_free(nic->trunks.items);
  nic->trunks.len = trunk ? vlan->trunks.len : 0;
  nic->trunks.items = trunk ? g_memdup2(vlan->trunks.items, vlan->trunks.len * sizeof *vlan->trunks.items) : NULL;
}

static bool resolve_nics(const InvSnapshot *snap, WsVmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->nics.len; i++) {
    WsVmSpecNic *nic = spec->nics.items[i];
    const WsPortGroup *group = inv_find(snap, &ws_type_port_group, nic->port_group);
    const WsSwitch *sw = group ? inv_find(snap, &ws_type_switch, group->switch_) : NULL;
    if (!sw)
      return bad_reference(error, "nics", i, "port_group", &ws_type_port_group, nic->port_group);
    set_text(&nic->bridge, sw->bridge);
    take_vlan(nic, group->vlan);
    if (nic->mtu == WS_INT_UNSET && sw->mtu != 1500)
      nic->mtu = sw->mtu;
  }
  return true;
}

WsVmSpec *compute_spec(const InvSnapshot *snap, const WsVm *vm, GError **error)
{
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_vm, vm, WS_WRITE_STORED, &n);
  g_autoptr(WsVmSpec) spec = ws_vm_spec_parse(json, n, WS_PARSE_STORED, error);
  if (!spec)
    return NULL;
  spec->vm = vm->id;
  spec->seed = vm->cloud_init != NULL;
  if (!resolve_disks(snap, spec, error) || !resolve_cdroms(snap, spec, error) || !resolve_nics(snap, spec, error))
    return NULL;
  return g_steal_pointer(&spec);
}
