// SPDX-License-Identifier: Apache-2.0
/* Definitions follow the networks. A domain's definition carries the VLAN and the MTU of its NICs, and libvirt gives a port these when the
 * VM starts; so after a change of a port group or switch every VM on it is defined anew on its host, or it would start in
 * the old network. (Ports of running VMs follow at once: that is the host's part of applying a port group.)
 *
 * VMs that are due wait in center->stale_vms until no task holds them: a task that began before the change may still tell the host the old
 * one, a later one knows the new. What is lost with a host's link or the manager is found again by the next full report. Core loop. */
#include "base/log.h"
#include "center/compute/compute.h"

#define FOLLOW_US G_USEC_PER_SEC

static void follow_soon(Center *center);

static void define_anew(Center *center, const InvSnapshot *snap, const WsVm *vm)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = compute_spec(snap, vm, &error);
  WsRpcVmDefine params = {.spec = spec};
  if (!spec || !compute_define(center, vm->host, &params, NULL, NULL, &error))
    ws_log_error(WS_LOG_WARNING, "vm-not-defined-anew", error, "name", vm->name, NULL);
}

static void follow(void *arg)
{
  Center *center = arg;
  g_autofree WsId **ids = (WsId **)g_hash_table_get_keys_as_array(center->stale_vms, NULL);
  g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(WsId));
  for (guint i = 0; ids[i]; i++)
    g_array_append_val(due, *ids[i]);
  for (guint i = 0; i < due->len; i++) {
    WsId id = g_array_index(due, WsId, i);
    g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
    const WsVm *vm = inv_find(snap, &ws_type_vm, id);
    if (vm && vm->activity)
      continue;
    g_hash_table_remove(center->stale_vms, &id); /* before the call: it may become due again meanwhile */
    if (vm && vm->management == WS_VM_MANAGEMENT_MANAGED)
      define_anew(center, snap, vm);
  }
  follow_soon(center);
}

static void on_timer(void *arg)
{
  Center *center = arg;
  center->follow_timer = NULL;
  ws_co_start(center->loop, follow, center);
}

static void follow_soon(Center *center)
{
  if (!center->follow_timer && g_hash_table_size(center->stale_vms))
    center->follow_timer = ws_loop_after(center->loop, FOLLOW_US, on_timer, center);
}

static void mark(Center *center, WsId vm)
{
  g_hash_table_add(center->stale_vms, g_memdup2(&vm, sizeof vm));
  follow_soon(center);
}

/* ---- what makes a definition stale ---- */

typedef struct {
  Center *center;
  const InvSnapshot *snap;
  WsId group, sw; /* one of them */
} Touched;

static bool look_at_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  const Touched *touched = arg;
  for (guint i = 0; i < vm->nics.len; i++) {
    WsId id = vm->nics.items[i]->port_group;
    const WsPortGroup *group = touched->sw ? inv_find(touched->snap, &ws_type_port_group, id) : NULL;
    if (!(touched->group && id == touched->group) && !(group && group->switch_ == touched->sw))
      continue;
    mark(touched->center, vm->id);
    break;
  }
  return true;
}

static bool same_vlan(const WsPortGroupVlan *a, const WsPortGroupVlan *b)
{
  return a == b || (a && b && ws_object_equal(&ws_type_port_group_vlan, a, b));
}

static void on_change(const InvChange *change, void *arg)
{
  Touched touched = {.center = arg};
  if (!change->old_object || !change->new_object)
    return;
  if (change->type == &ws_type_port_group) {
    const WsPortGroup *before = change->old_object, *now = change->new_object;
    touched.group = same_vlan(before->vlan, now->vlan) ? 0 : change->id;
  } else if (change->type == &ws_type_switch) {
    const WsSwitch *before = change->old_object, *now = change->new_object;
    touched.sw = before->mtu == now->mtu ? 0 : change->id;
  }
  if (!touched.group && !touched.sw)
    return;
  g_autoptr(InvSnapshot) snap = inv_snapshot(touched.center->inventory);
  touched.snap = snap;
  inv_each(snap, &ws_type_vm, look_at_vm, &touched);
}

static bool same_nic(const WsVmSpecNic *a, const WsVmSpecNic *b)
{
  return a->vlan == b->vlan && a->mtu == b->mtu && g_strcmp0(a->bridge, b->bridge) == 0 && a->trunks.len == b->trunks.len &&
         (!a->trunks.len || memcmp(a->trunks.items, b->trunks.items, a->trunks.len * sizeof *a->trunks.items) == 0);
}

void compute_compare_nics(Center *center, const InvSnapshot *snap, const WsVm *vm, const WsVmSpec *reported)
{
  g_autoptr(WsVmSpec) wanted =
      reported && vm->management == WS_VM_MANAGEMENT_MANAGED && vm->nics.len ? compute_spec(snap, vm, NULL) : NULL;
  for (guint i = 0; wanted && i < wanted->nics.len; i++)
    for (guint j = 0; j < reported->nics.len; j++)
      if (g_strcmp0(wanted->nics.items[i]->key, reported->nics.items[j]->key) == 0 &&
          !same_nic(wanted->nics.items[i], reported->nics.items[j]))
        mark(center, vm->id);
}

void compute_follow_networks(Center *center)
{
  center->stale_vms = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  inv_add_listener(center->inventory, on_change, center);
}
