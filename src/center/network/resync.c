// SPDX-License-Identifier: Apache-2.0
/* Networks of a host that has connected, and what hosts say of theirs by themselves. */
#include "base/log.h"
#include "center/domains.h"
#include "center/network/network.h"
#include "rpc/methods.h"

/* ---- a host has connected: what should be is applied again ---- */

typedef struct {
  Center *center;
  WsId host;
  GArray *ids;
} Gather;

static bool gather_switch(const void *object, void *arg)
{
  const WsSwitch *sw = object;
  if (!sw->activity)
    g_array_append_val(((Gather *)arg)->ids, sw->id);
  return true;
}

static bool gather_group(const void *object, void *arg)
{
  const WsPortGroup *group = object;
  if (!group->activity)
    g_array_append_val(((Gather *)arg)->ids, group->id);
  return true;
}

static bool resync_networks(Center *center, WsId host, RpcLink *link, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(GArray) switches = g_array_new(FALSE, FALSE, sizeof(WsId));
  Gather of_host = {center, host, switches};
  inv_each_by(snap, &ws_type_switch, ws_type_field(&ws_type_switch, "host", 4), host, NULL, gather_switch, &of_host);
  for (guint i = 0; i < switches->len; i++) {
    WsId sw = g_array_index(switches, WsId, i);
    g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(WsId));
    Gather of_switch = {center, host, groups};
    network_reapply_switch(center, sw);
    inv_each_by(snap, &ws_type_port_group, ws_type_field(&ws_type_port_group, "switch", 6), sw, NULL, gather_group, &of_switch);
    for (guint j = 0; j < groups->len; j++)
      network_reapply_port_group(center, host, g_array_index(groups, WsId, j));
  }
  return true;
}

/* ---- what a host says ---- */

static WsPortGroupLease **copy_leases(guint n, WsPortGroupLease *const *leases)
{
  WsPortGroupLease **copy = g_new0(WsPortGroupLease *, n);
  for (guint i = 0; i < n; i++)
    copy[i] = ws_port_group_lease_copy(leases[i]);
  return copy;
}

bool serve_network_leases_changed(RpcCall *call, const WsRpcNetworkLeasesChanged *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsPortGroup *seen = inv_find(head, &ws_type_port_group, params->port_group);
  const WsSwitch *sw = seen ? inv_find(head, &ws_type_switch, seen->switch_) : NULL;
  WsPortGroup *group = sw && sw->host == hosts_of_call(call) ? inv_edit(txn, seen) : NULL; /* of its own networks only */
  if (!group)
    return true;
  for (guint i = 0; i < group->leases.len; i++)
    ws_port_group_lease_free(group->leases.items[i]);
  g_free(group->leases.items);
  group->leases.len = params->leases.len;
  group->leases.items = copy_leases(params->leases.len, params->leases.items);
  return inv_commit(txn, NULL, error);
}

bool serve_network_switch_changed(RpcCall *call, const WsRpcNetworkSwitchChanged *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsSwitch *sw = inv_edit_id(txn, &ws_type_switch, params->switch_);
  if (!sw || sw->host != hosts_of_call(call))
    return true;
  network_take_uplinks(sw, params->uplink_states.len, params->uplink_states.items);
  if ((int)params->datapath)
    sw->datapath = (int)params->datapath;
  sw->state = params->failed ? WS_SWITCH_STATE_FAILED : WS_SWITCH_STATE_ACTIVE;
  g_free(sw->state_reason);
  sw->state_reason = params->failed ? g_strdup(params->reason) : NULL;
  return inv_commit(txn, NULL, error);
}

void network_start(Center *center)
{
  center->firewalls_under_way = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  hosts_add_resync(center, network_resync_firewall);
  hosts_add_resync(center, resync_networks);
}
