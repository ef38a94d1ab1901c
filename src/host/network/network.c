// SPDX-License-Identifier: Apache-2.0
#include "host/network/network-private.h"
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "host/network/bridge.h"
#include "host/network/dhcp.h"
#include "host/network/nat.h"
#include "host/network/netlink.h"
#include "host/node/tree.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MAX_STATE_BYTES = 8 << 20 };

static void switch_free(gpointer data)
{
  Switch *s = data;
  ws_rpc_network_switch_apply_free(s->wanted);
  g_free(s->told_uplinks);
  g_free(s);
}

static void port_group_free(gpointer data)
{
  PortGroup *g = data;
  ws_rpc_network_port_group_apply_free(g->wanted);
  g_free(g);
}

/* ---- what is kept ---- */

static char *kept_path(Network *network, const char *prefix, WsId id)
{
  char name[WS_ID_TEXT_MAX];
  ws_id_format(prefix, id, name);
  return g_strdup_printf("%s/%s.json", network->state_dir, name);
}

static bool keep(Network *network, const char *prefix, WsId id, const WsType *type, const void *wanted,
                 GError **error)
{
  g_autofree char *path = kept_path(network, prefix, id);
  gsize n;
  g_autofree char *json = ws_object_to_json(type, wanted, WS_WRITE_PEER, &n);
  return ws_file_write(path, json, n, 0600, error);
}

static bool unkeep(Network *network, const char *prefix, WsId id, GError **error)
{
  g_autofree char *path = kept_path(network, prefix, id);
  return unlink(path) == 0 || errno == ENOENT ||
         ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
}

static bool resolve(PortGroup *g, GError **error)
{
  const WsRpcNetworkPortGroupApply *w = g->wanted;
  ws_id_format("pg", w->port_group, g->name);
  g->has_subnet = w->subnet != NULL;
  if (w->vlan && w->vlan->mode == WS_PORT_GROUP_VLAN_MODE_ACCESS && w->vlan->tag == WS_INT_UNSET)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "vlan.tag", NULL);
  if (g->has_subnet && w->vlan && w->vlan->mode == WS_PORT_GROUP_VLAN_MODE_TRUNK)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "subnet", "expected", "no subnet on a trunk", NULL);
  return !g->has_subnet || subnet_resolve(w->subnet, &g->subnet, error);
}

static void load_one(Network *network, const char *file, const char *json, gsize n)
{
  g_autoptr(GError) error = NULL;
  if (g_str_has_prefix(file, "sw-")) {
    WsRpcNetworkSwitchApply *wanted = ws_rpc_network_switch_apply_parse(json, n, WS_PARSE_STORED, &error);
    Switch *s = wanted ? g_new0(Switch, 1) : NULL;
    if (s) {
      s->wanted = wanted;
      g_hash_table_replace(network->switches, &s->wanted->switch_, s);
    }
  } else {
    WsRpcNetworkPortGroupApply *wanted =
        ws_rpc_network_port_group_apply_parse(json, n, WS_PARSE_STORED, &error);
    PortGroup *g = wanted ? g_new0(PortGroup, 1) : NULL;
    if (g) {
      g->wanted = wanted;
      if (resolve(g, &error))
        g_hash_table_replace(network->groups, &g->wanted->port_group, g);
      else
        port_group_free(g);
    }
  }
  if (error) /* the manager will send it again */
    ws_log_error(WS_LOG_WARNING, "network-state-ignored", error, "file", file, NULL);
}

static bool load_kept(Network *network, GError **error)
{
  g_autoptr(GError) why = NULL;
  g_autoptr(GDir) dir = g_dir_open(network->state_dir, 0, &why);
  if (!dir)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", network->state_dir, "cause", why->message, NULL);
  const char *name;
  while ((name = g_dir_read_name(dir))) {
    if (!g_str_has_suffix(name, ".json") ||
        (!g_str_has_prefix(name, "sw-") && !g_str_has_prefix(name, "pg-")))
      continue;
    g_autofree char *path = g_build_filename(network->state_dir, name, NULL);
    gsize n;
    g_autofree char *json = ws_file_read(path, MAX_STATE_BYTES, &n, error);
    if (!json)
      return false;
    load_one(network, name, json, n);
  }
  return true;
}

/* ---- making it so ---- */

void network_read_uplinks(const WsRpcNetworkSwitchApply *wanted, WsArray *uplinks)
{
  struct {
    guint len;
    WsSwitchUplink **items;
  } *list = (void *)uplinks;
  for (guint i = 0; i < wanted->uplinks.len; i++) {
    const char *nic = wanted->uplinks.items[i];
    WsSwitchUplink *u = ws_switch_uplink_new();
    u->nic = g_strdup(nic);
    g_autofree char *state = tree_read("", "/sys/class/net/%s/operstate", nic);
    bool up = g_strcmp0(state, "up") == 0 || (g_strcmp0(state, "unknown") == 0 &&
                                              tree_read_int("", 0, "/sys/class/net/%s/carrier", nic) == 1);
    u->link = !netlink_has_interface(nic) ? WS_SWITCH_UPLINK_LINK_MISSING
              : up                        ? WS_SWITCH_UPLINK_LINK_UP
                                          : WS_SWITCH_UPLINK_LINK_DOWN;
    gint64 speed = tree_read_int("", -1, "/sys/class/net/%s/speed", nic);
    u->speed_mbps = speed > 0 ? speed : WS_INT_UNSET;
    ws_array_add(list, u);
  }
}

bool network_make_switch(Network *network, Ovsdb *db, const WsRpcNetworkSwitchApply *wanted,
                         WsRpcNetworkSwitchApplyResult *result, GError **error)
{
  if (!bridge_apply(db, wanted, &result->datapath, error) || !netlink_set_up(wanted->bridge, error))
    return false;
  for (guint i = 0; i < wanted->uplinks.len; i++)
    if (netlink_has_interface(wanted->uplinks.items[i]) && !netlink_set_up(wanted->uplinks.items[i], error))
      return false;
  return true;
}

bool network_has_dhcp(const PortGroup *g)
{
  return g->has_subnet && g->wanted->subnet->dhcp;
}

/* Locally administered and the same for good, so that guests need not ask again who their gateway is. */
static char *gateway_mac(WsId group)
{
  return g_strdup_printf("0a:57:%02x:%02x:%02x:%02x", (guint)(group >> 24) & 255, (guint)(group >> 16) & 255,
                         (guint)(group >> 8) & 255, (guint)group & 255);
}

bool network_make_port_group(Network *network, Ovsdb *db, PortGroup *g, GError **error)
{
  const WsRpcNetworkPortGroupApply *w = g->wanted;
  const Switch *s = g_hash_table_lookup(network->switches, &w->switch_);
  char text[WS_ID_TEXT_MAX];
  if (!s)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format("sw", w->switch_, text), NULL);
  if (!bridge_apply_members(db, s->wanted->bridge, w->macs.len, w->macs.items, w->vlan, error))
    return false;
  if (!g->has_subnet)
    return bridge_remove_gateway(db, g->name, error) && dhcp_remove(network->state_dir, g->name, error);
  g_autofree char *mac = gateway_mac(w->port_group);
  if (!bridge_apply_gateway(db, s->wanted->bridge, g->name, mac, s->wanted->mtu, w->vlan, error) ||
      !netlink_set_up(g->name, error) ||
      !netlink_set_address(g->name, g->subnet.gateway, g->subnet.prefix, error))
    return false;
  return network_has_dhcp(g)
             ? dhcp_apply(network->state_dir, g->name, w->subnet, &g->subnet, s->wanted->mtu, error)
             : dhcp_remove(network->state_dir, g->name, error);
}

static gint compare_nat_groups(gconstpointer a, gconstpointer b)
{
  return strcmp(((const NatGroup *)a)->interface, ((const NatGroup *)b)->interface);
}

bool network_make_nat(Network *network, GError **error)
{
  g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(NatGroup));
  g_autofree char *was_off = g_build_filename(network->state_dir, "forwarding-was-off", NULL);
  GHashTableIter iter;
  PortGroup *g;
  g_hash_table_iter_init(&iter, network->groups);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&g)) {
    NatGroup n = {g->name, g->subnet, g->has_subnet && g->wanted->subnet->nat};
    if (g->has_subnet)
      g_array_append_val(groups, n);
  }
  g_array_sort(groups, compare_nat_groups);
  return nat_apply((const NatGroup *)(void *)groups->data, groups->len, was_off, error);
}

/* ---- calls: switches ---- */

static Ovsdb *connect_db(Network *network, GError **error)
{
  return ovsdb_connect(network->ovsdb_socket, error);
}

static bool apply_switch(Network *network, const WsRpcNetworkSwitchApply *params,
                         WsRpcNetworkSwitchApplyResult *result, GError **error)
{
  g_autoptr(Ovsdb) db = connect_db(network, error);
  if (!db || !network_make_switch(network, db, params, result, error) ||
      !keep(network, "sw", params->switch_, &ws_type_rpc_network_switch_apply, params, error))
    return false;
  Switch *s = g_new0(Switch, 1);
  s->wanted = ws_rpc_network_switch_apply_copy(params);
  g_hash_table_replace(network->switches, &s->wanted->switch_, s);
  network_read_uplinks(params, (WsArray *)(void *)&result->uplink_states);
  return true;
}

bool network_switch_apply(Network *network, const WsRpcNetworkSwitchApply *params,
                          WsRpcNetworkSwitchApplyResult **result, GError **error)
{
  g_autoptr(WsRpcNetworkSwitchApplyResult) r = ws_rpc_network_switch_apply_result_new();
  g_mutex_lock(&network->lock);
  bool ok = apply_switch(network, params, r, error);
  g_mutex_unlock(&network->lock);
  if (ok)
    *result = g_steal_pointer(&r);
  keeper_wake(network->keeper);
  return ok;
}

/* DHCP ends, files go, the entry is forgotten; the gateway port goes here or with its switch. */
static bool forget_port_group(Network *network, PortGroup *g, GError **error)
{
  WsId id = g->wanted->port_group;
  if (!dhcp_remove(network->state_dir, g->name, error) || !unkeep(network, "pg", id, error))
    return false;
  g_hash_table_remove(network->groups, &id);
  return true;
}

static PortGroup *find_group_of_switch(Network *network, WsId switch_id)
{
  GHashTableIter iter;
  PortGroup *g;
  g_hash_table_iter_init(&iter, network->groups);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&g))
    if (g->wanted->switch_ == switch_id)
      return g;
  return NULL;
}

static bool remove_switch(Network *network, WsId switch_id, GError **error)
{
  g_autoptr(Ovsdb) db = connect_db(network, error);
  if (!db || !bridge_remove(db, switch_id, error))
    return false;
  PortGroup *g;
  while ((g = find_group_of_switch(network, switch_id)))
    if (!forget_port_group(network, g, error))
      return false;
  if (!network_make_nat(network, error) || !unkeep(network, "sw", switch_id, error))
    return false;
  g_hash_table_remove(network->switches, &switch_id);
  return true;
}

bool network_switch_remove(Network *network, WsId switch_id, GError **error)
{
  g_mutex_lock(&network->lock);
  bool ok = remove_switch(network, switch_id, error);
  g_mutex_unlock(&network->lock);
  return ok;
}

/* ---- calls: port groups ---- */

static bool check_overlap(Network *network, const PortGroup *new_group, GError **error)
{
  GHashTableIter iter;
  const PortGroup *g;
  g_hash_table_iter_init(&iter, network->groups);
  while (new_group->has_subnet && g_hash_table_iter_next(&iter, NULL, (gpointer *)&g))
    if (g->has_subnet && g->wanted->port_group != new_group->wanted->port_group &&
        subnet_overlaps(&g->subnet, &new_group->subnet))
      return ws_fail(error, WS_ERROR_IN_USE, "object", new_group->wanted->subnet->cidr, "user", g->name,
                     "field", "subnet.cidr", NULL);
  return true;
}

static bool apply_port_group(Network *network, const WsRpcNetworkPortGroupApply *params, GError **error)
{
  PortGroup *g = g_new0(PortGroup, 1);
  g->wanted = ws_rpc_network_port_group_apply_copy(params);
  g_autoptr(Ovsdb) db = NULL;
  if (!resolve(g, error) || !check_overlap(network, g, error) || !(db = connect_db(network, error)) ||
      !network_make_port_group(network, db, g, error) ||
      !keep(network, "pg", params->port_group, &ws_type_rpc_network_port_group_apply, params, error)) {
    port_group_free(g);
    return false;
  }
  g_hash_table_replace(network->groups, &g->wanted->port_group, g);
  return network_make_nat(network, error);
}

bool network_port_group_apply(Network *network, const WsRpcNetworkPortGroupApply *params,
                              WsRpcNetworkPortGroupApplyResult **result, GError **error)
{
  g_mutex_lock(&network->lock);
  bool ok = apply_port_group(network, params, error);
  g_mutex_unlock(&network->lock);
  keeper_wake(network->keeper);
  if (!ok)
    return false;
  char name[WS_ID_TEXT_MAX];
  *result = ws_rpc_network_port_group_apply_result_new();
  (*result)->gateway_port = params->subnet ? g_strdup(ws_id_format("pg", params->port_group, name)) : NULL;
  return true;
}

static bool remove_port_group(Network *network, WsId id, GError **error)
{
  PortGroup *g = g_hash_table_lookup(network->groups, &id);
  char name[WS_ID_TEXT_MAX];
  ws_id_format("pg", id, name);
  g_autoptr(Ovsdb) db = connect_db(network, error);
  /* Also without an entry: an apply may have been cut short after the port was made. */
  return db && bridge_remove_gateway(db, name, error) &&
         (g ? forget_port_group(network, g, error) : dhcp_remove(network->state_dir, name, error)) &&
         network_make_nat(network, error);
}

bool network_port_group_remove(Network *network, WsId id, GError **error)
{
  g_mutex_lock(&network->lock);
  bool ok = remove_port_group(network, id, error);
  g_mutex_unlock(&network->lock);
  return ok;
}

GPtrArray *network_leases(Network *network, WsId port_group)
{
  char name[WS_ID_TEXT_MAX];
  return dhcp_leases(network->state_dir, ws_id_format("pg", port_group, name));
}

/* ---- life ---- */

Network *network_new(const NetworkConfig *config, GError **error)
{
  g_autoptr(Network) network = g_new0(Network, 1);
  network->state_dir = g_strdup(config->state_dir);
  network->ovsdb_socket = g_strdup(config->ovsdb_socket);
  network->interval_ms = config->interval_ms ? config->interval_ms : 5000;
  network->config = *config;
  g_mutex_init(&network->lock);
  network->switches = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, switch_free);
  network->groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, port_group_free);
  if (!load_kept(network, error))
    return NULL;
  network->keeper = keeper_new(network);
  return g_steal_pointer(&network);
}

void network_free(Network *network)
{
  if (!network)
    return;
  keeper_free(network->keeper);
  g_hash_table_unref(network->groups);
  g_hash_table_unref(network->switches);
  g_mutex_clear(&network->lock);
  g_free(network->state_dir);
  g_free(network->ovsdb_socket);
  g_free(network);
}
