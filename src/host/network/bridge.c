// SPDX-License-Identifier: Apache-2.0
#include "host/network/bridge.h"
#include "base/error.h"
#include "host/network/netlink.h"
#include <string.h>

#define SWITCH_KEY "winsphere-switch"
#define UPLINK_KEY "winsphere-uplink"
#define GROUP_KEY "winsphere-port-group"

/* The rows of one host: some hundreds at most, read anew for each change. */
typedef struct {
  json_t *bridges, *ports, *interfaces; /* arrays of rows */
} Tables;

static void tables_clear(Tables *t)
{
  json_decref(t->bridges);
  json_decref(t->ports);
  json_decref(t->interfaces);
  *t = (Tables){0};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tables, tables_clear)

static bool tables_read(Ovsdb *db, Tables *t, GError **error)
{
  static const char *const bridge_columns[] = {"_uuid",         "name",         "ports",
                                               "datapath_type", "external_ids", NULL};
  static const char *const port_columns[] = {"_uuid",     "name",      "interfaces", "tag",          "trunks",
                                             "vlan_mode", "bond_mode", "lacp",       "external_ids", NULL};
  static const char *const interface_columns[] = {"_uuid",       "name",         "type", "mac",
                                                  "mtu_request", "external_ids", NULL};
  return (t->bridges = ovsdb_select(db, "Bridge", NULL, bridge_columns, error)) &&
         (t->ports = ovsdb_select(db, "Port", NULL, port_columns, error)) &&
         (t->interfaces = ovsdb_select(db, "Interface", NULL, interface_columns, error));
}

static const char *text_of(json_t *row, const char *column)
{
  return json_string_value(ovsdb_member(json_object_get(row, column), 0));
}

static const char *mark_of(json_t *row, const char *key)
{
  return ovsdb_map_get(json_object_get(row, "external_ids"), key);
}

static const char *uuid_of(json_t *row)
{
  return ovsdb_uuid_text(json_object_get(row, "_uuid"));
}

static json_t *find_row(json_t *rows, const char *name)
{
  json_t *row;
  size_t i;
  json_array_foreach (rows, i, row)
    if (g_strcmp0(text_of(row, "name"), name) == 0)
      return row;
  return NULL;
}

static bool refers_to(json_t *row, const char *column, const char *uuid)
{
  json_t *value = json_object_get(row, column), *member;
  for (size_t i = 0; (member = ovsdb_member(value, i)); i++)
    if (g_strcmp0(ovsdb_uuid_text(member), uuid) == 0)
      return true;
  return false;
}

/* Row of `rows` whose `column` refers to `uuid`. */
static json_t *find_holder(json_t *rows, const char *column, const char *uuid)
{
  json_t *row;
  size_t i;
  json_array_foreach (rows, i, row)
    if (refers_to(row, column, uuid))
      return row;
  return NULL;
}

/* ---- operations ---- */

static json_t *insert(const char *table, const char *as, json_t *row)
{
  return json_pack("{s:s s:s s:s s:o}", "op", "insert", "table", table, "uuid-name", as, "row", row);
}

static json_t *update(const char *table, const char *uuid, json_t *row)
{
  return json_pack("{s:s s:s s:o s:o}", "op", "update", "table", table, "where",
                   ovsdb_where("_uuid", "==", ovsdb_uuid(uuid)), "row", row);
}

static json_t *mutate(const char *table, json_t *where, const char *column, const char *mutator,
                      json_t *member)
{
  return json_pack("{s:s s:s s:o s:[[s s o]]}", "op", "mutate", "table", table, "where", where, "mutations",
                   column, mutator, ovsdb_set(json_pack("[o]", member)));
}

static json_t *bridge_named(const char *bridge)
{
  return ovsdb_where("name", "==", json_string(bridge));
}

/* Runs the operations; nothing to do is done. */
static bool commit(Ovsdb *db, json_t *ops, const char *object, const char *operation, GError **error)
{
  if (json_array_size(ops) == 0) {
    json_decref(ops);
    return true;
  }
  json_t *results = ovsdb_transact_and_apply(db, ops, object, operation, error);
  json_decref(results);
  return results != NULL;
}

/* ---- VLAN ---- */

static json_t *empty_set(void)
{
  return ovsdb_set(json_array());
}

/* tag, trunks and vlan_mode as a Port has them. NULL: untagged. */
static json_t *vlan_columns(const WsPortGroupVlan *vlan)
{
  WsPortGroupVlanMode mode = vlan ? vlan->mode : WS_PORT_GROUP_VLAN_MODE_NONE;
  bool access = mode == WS_PORT_GROUP_VLAN_MODE_ACCESS, trunk = mode == WS_PORT_GROUP_VLAN_MODE_TRUNK;
  bool has_tag = (access || trunk) && vlan->tag != WS_INT_UNSET;
  json_t *trunks = json_array();
  for (guint i = 0; trunk && i < vlan->trunks.len; i++)
    json_array_append_new(trunks, json_integer(vlan->trunks.items[i]));
  const char *word = access ? "access" : trunk && has_tag ? "native-untagged" : trunk ? "trunk" : NULL;
  return json_pack("{s:o s:o s:o}", "tag", has_tag ? json_integer(vlan->tag) : empty_set(), "trunks",
                   ovsdb_set(trunks), "vlan_mode", word ? json_string(word) : empty_set());
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A set of one reads as that one: both forms as a plain sorted text. */
static char *set_text(json_t *value)
{
  g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
  json_t *member;
  for (size_t i = 0; (member = ovsdb_member(value, i)); i++) {
    char *text = json_dumps(member, JSON_ENCODE_ANY | JSON_COMPACT);
    g_ptr_array_add(items, g_strdup(text));
    free(text);
  }
  g_ptr_array_sort(items, compare_texts);
  g_ptr_array_add(items, NULL);
  return g_strjoinv(",", (char **)items->pdata);
}

/* Columns of `wanted` that the row has differently; NULL: none. */
static json_t *differences(json_t *row, json_t *wanted)
{
  json_t *out = json_object(), *value;
  const char *column;
  json_object_foreach (wanted, column, value) {
    g_autofree char *now = set_text(json_object_get(row, column)), *then = set_text(value);
    if (strcmp(now, then) != 0)
      json_object_set(out, column, value);
  }
  json_decref(wanted);
  if (json_object_size(out) > 0)
    return out;
  json_decref(out);
  return NULL;
}

static void update_if_different(json_t *ops, const char *table, json_t *row, json_t *wanted)
{
  json_t *changes = differences(row, wanted);
  if (changes)
    json_array_append_new(ops, update(table, uuid_of(row), changes));
}

/* ---- switches ---- */

static json_t *new_internal_port(json_t *ops, const char *name, const char *port_as, const char *interface_as,
                                 gint64 mtu, const char *mac, json_t *port_extra)
{
  json_t *interface =
      json_pack("{s:s s:s s:I}", "name", name, "type", "internal", "mtu_request", (json_int_t)mtu);
  if (mac)
    json_object_set_new(interface, "mac", json_string(mac));
  json_array_append_new(ops, insert("Interface", interface_as, interface));
  json_object_set_new(port_extra, "name", json_string(name));
  json_object_set_new(port_extra, "interfaces", ovsdb_named(interface_as));
  json_array_append_new(ops, insert("Port", port_as, port_extra));
  return ovsdb_named(port_as);
}

static void insert_bridge(json_t *ops, const WsRpcNetworkSwitchApply *params, bool userspace)
{
  char id[WS_ID_TEXT_MAX];
  json_t *port = new_internal_port(ops, params->bridge, "bridge_port", "bridge_interface", params->mtu, NULL,
                                   json_object());
  json_t *row = json_pack("{s:s s:s s:s s:o s:o}", "name", params->bridge, "datapath_type",
                          userspace ? "netdev" : "system", "fail_mode", "standalone", "ports",
                          ovsdb_set(json_pack("[o]", port)), "external_ids",
                          ovsdb_map(SWITCH_KEY, ws_id_format("sw", params->switch_, id), NULL));
  json_array_append_new(ops, insert("Bridge", "bridge", row));
  json_array_append_new(ops,
                        mutate("Open_vSwitch", json_array(), "bridges", "insert", ovsdb_named("bridge")));
}

/* In Open vSwitch's words. */
static const char *bond_mode_of(const WsRpcNetworkSwitchApply *params)
{
  static const char *const words[] = {"active-backup", "balance-slb", "balance-tcp"};
  return words[params->bond_mode ? params->bond_mode - 1 : 0];
}

static const char *lacp_of(const WsRpcNetworkSwitchApply *params)
{
  static const char *const words[] = {"off", "passive", "active"};
  return words[params->lacp ? params->lacp - 1 : 0];
}

/* The uplinks' one port: a NIC, or a bond of several. */
static void insert_uplinks(json_t *ops, const WsRpcNetworkSwitchApply *params)
{
  if (params->uplinks.len == 0)
    return;
  json_t *members = json_array();
  for (guint i = 0; i < params->uplinks.len; i++) {
    g_autofree char *as = g_strdup_printf("uplink_%u", i);
    json_array_append_new(ops, insert("Interface", as, json_pack("{s:s}", "name", params->uplinks.items[i])));
    json_array_append_new(members, ovsdb_named(as));
  }
  bool bond = params->uplinks.len > 1;
  g_autofree char *name =
      bond ? g_strconcat(params->bridge, "-bond", NULL) : g_strdup(params->uplinks.items[0]);
  json_t *row = json_pack("{s:s s:o s:o}", "name", name, "interfaces", ovsdb_set(members), "external_ids",
                          ovsdb_map(UPLINK_KEY, "yes", NULL));
  if (bond) {
    json_object_set_new(row, "bond_mode", json_string(bond_mode_of(params)));
    json_object_set_new(row, "lacp", json_string(lacp_of(params)));
  }
  json_array_append_new(ops, insert("Port", "uplink", row));
  json_array_append_new(
      ops, mutate("Bridge", bridge_named(params->bridge), "ports", "insert", ovsdb_named("uplink")));
}

/* "eth1,eth2 active-backup off": what an uplink port is, for comparing. */
static char *describe_uplinks(const Tables *t, json_t *port)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  json_t *row;
  size_t i;
  json_array_foreach (t->interfaces, i, row)
    if (refers_to(port, "interfaces", uuid_of(row)))
      g_ptr_array_add(names, (char *)text_of(row, "name"));
  g_ptr_array_sort(names, compare_texts);
  bool bond = names->len > 1;
  g_ptr_array_add(names, NULL);
  g_autofree char *joined = g_strjoinv(",", (char **)names->pdata);
  return g_strdup_printf("%s %s %s", joined, bond ? text_of(port, "bond_mode") : "",
                         bond ? text_of(port, "lacp") : "");
}

static char *describe_wanted(const WsRpcNetworkSwitchApply *params)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (guint i = 0; i < params->uplinks.len; i++)
    g_ptr_array_add(names, params->uplinks.items[i]);
  g_ptr_array_sort(names, compare_texts);
  g_ptr_array_add(names, NULL);
  g_autofree char *joined = g_strjoinv(",", (char **)names->pdata);
  bool bond = params->uplinks.len > 1;
  return g_strdup_printf("%s %s %s", joined, bond ? bond_mode_of(params) : "", bond ? lacp_of(params) : "");
}

static json_t *find_uplink_port(const Tables *t, json_t *bridge)
{
  json_t *port;
  size_t i;
  json_array_foreach (t->ports, i, port)
    if (bridge && refers_to(bridge, "ports", uuid_of(port)) && mark_of(port, UPLINK_KEY))
      return port;
  return NULL;
}

/* A NIC that is to become an uplink must be free: neither another bridge's nor the one the host itself talks through. */
static bool check_nic(const Tables *t, json_t *own_port, const char *nic, GError **error)
{
  json_t *interface = find_row(t->interfaces, nic);
  json_t *port = interface ? find_holder(t->ports, "interfaces", uuid_of(interface)) : NULL;
  if (port && port != own_port) {
    json_t *bridge = find_holder(t->bridges, "ports", uuid_of(port));
    return ws_fail(error, WS_ERROR_IN_USE, "object", nic, "user",
                   bridge ? text_of(bridge, "name") : "another switch", NULL);
  }
  g_autofree char *addresses = netlink_addresses(nic);
  if (!addresses)
    return true;
  g_autofree char *user = g_strdup_printf("the host itself (%s)", addresses);
  return ws_fail(error, WS_ERROR_IN_USE, "object", nic, "user", user, NULL);
}

static bool change_uplinks(const Tables *t, json_t *bridge, const WsRpcNetworkSwitchApply *params,
                           json_t *ops, GError **error)
{
  json_t *port = find_uplink_port(t, bridge);
  g_autofree char *now = port ? describe_uplinks(t, port) : g_strdup("  "), *wanted = describe_wanted(params);
  for (guint i = 0; i < params->uplinks.len; i++)
    if (!check_nic(t, port, params->uplinks.items[i], error))
      return false;
  if (strcmp(now, wanted) == 0)
    return true;
  if (port)
    json_array_append_new(
        ops, mutate("Bridge", bridge_named(params->bridge), "ports", "delete", ovsdb_uuid(uuid_of(port))));
  insert_uplinks(ops, params);
  return true;
}

static bool check_is_ours(json_t *bridge, const WsRpcNetworkSwitchApply *params, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  ws_id_format("sw", params->switch_, id);
  bool ours =
      bridge ? g_strcmp0(mark_of(bridge, SWITCH_KEY), id) == 0 : !netlink_has_interface(params->bridge);
  return ours || ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", params->bridge, "cause",
                         "it is not this switch's", NULL);
}

bool bridge_apply(Ovsdb *db, const WsRpcNetworkSwitchApply *params,
                  WsRpcNetworkSwitchApplyResultDatapath *datapath, GError **error)
{
  g_auto(Tables) t = {0};
  if (!tables_read(db, &t, error))
    return false;
  json_t *bridge = find_row(t.bridges, params->bridge);
  if (!check_is_ours(bridge, params, error))
    return false;
  bool userspace =
      bridge ? g_strcmp0(text_of(bridge, "datapath_type"), "netdev") == 0 : !netlink_has_ovs_datapath();
  json_t *ops = json_array();
  if (!bridge)
    insert_bridge(ops, params, userspace);
  else {
    json_t *interface = find_row(t.interfaces, params->bridge);
    if (interface)
      update_if_different(ops, "Interface", interface,
                          json_pack("{s:I}", "mtu_request", (json_int_t)params->mtu));
  }
  if (!change_uplinks(&t, bridge, params, ops, error)) {
    json_decref(ops);
    return false;
  }
  *datapath = userspace ? WS_RPC_NETWORK_SWITCH_APPLY_RESULT_DATAPATH_USERSPACE
                        : WS_RPC_NETWORK_SWITCH_APPLY_RESULT_DATAPATH_KERNEL;
  return commit(db, ops, params->bridge, bridge ? "change" : "create", error);
}

/* A port that is neither the bridge's own, nor an uplink, nor a gateway of ours: a VM's, or somebody's who put it there. */
static const char *find_stranger(const Tables *t, json_t *bridge)
{
  json_t *port;
  size_t i;
  json_array_foreach (t->ports, i, port) {
    const char *name = text_of(port, "name");
    if (refers_to(bridge, "ports", uuid_of(port)) && g_strcmp0(name, text_of(bridge, "name")) != 0 &&
        !mark_of(port, UPLINK_KEY) && !mark_of(port, GROUP_KEY))
      return name;
  }
  return NULL;
}

bool bridge_remove(Ovsdb *db, WsId switch_id, GError **error)
{
  g_auto(Tables) t = {0};
  char id[WS_ID_TEXT_MAX];
  if (!tables_read(db, &t, error))
    return false;
  ws_id_format("sw", switch_id, id);
  json_t *bridge, *ops = json_array();
  size_t i;
  json_array_foreach (t.bridges, i, bridge) {
    if (g_strcmp0(mark_of(bridge, SWITCH_KEY), id) != 0)
      continue;
    const char *stranger = find_stranger(&t, bridge);
    if (stranger) {
      json_decref(ops);
      return ws_fail(error, WS_ERROR_IN_USE, "object", text_of(bridge, "name"), "user", stranger, NULL);
    }
    json_array_append_new(
        ops, mutate("Open_vSwitch", json_array(), "bridges", "delete", ovsdb_uuid(uuid_of(bridge))));
  }
  return commit(db, ops, id, "delete", error);
}

/* ---- port groups ---- */

bool bridge_apply_gateway(Ovsdb *db, const char *bridge_name, const char *name, const char *mac, gint64 mtu,
                          const WsPortGroupVlan *vlan, GError **error)
{
  g_auto(Tables) t = {0};
  if (!tables_read(db, &t, error))
    return false;
  json_t *port = find_row(t.ports, name), *interface = find_row(t.interfaces, name),
         *bridge = find_row(t.bridges, bridge_name);
  if (!bridge)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", bridge_name, NULL);
  if (port ? g_strcmp0(mark_of(port, GROUP_KEY), name) != 0 : netlink_has_interface(name))
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", name, "cause", "it is not this port group's",
                   NULL);
  json_t *ops = json_array();
  if (port && !refers_to(bridge, "ports", uuid_of(port))) { /* the group was on another switch */
    json_t *old = find_holder(t.bridges, "ports", uuid_of(port));
    if (old)
      json_array_append_new(ops, mutate("Bridge", bridge_named(text_of(old, "name")), "ports", "delete",
                                        ovsdb_uuid(uuid_of(port))));
    port = NULL;
  }
  if (port) {
    update_if_different(ops, "Port", port, vlan_columns(vlan));
    update_if_different(ops, "Interface", interface,
                        json_pack("{s:I s:s}", "mtu_request", (json_int_t)mtu, "mac", mac));
  } else {
    json_t *row = vlan_columns(vlan);
    json_object_set_new(row, "external_ids", ovsdb_map(GROUP_KEY, name, NULL));
    json_t *added = new_internal_port(ops, name, "gateway_port", "gateway_interface", mtu, mac, row);
    json_array_append_new(ops, mutate("Bridge", bridge_named(bridge_name), "ports", "insert", added));
  }
  return commit(db, ops, name, "change", error);
}

bool bridge_remove_gateway(Ovsdb *db, const char *name, GError **error)
{
  g_auto(Tables) t = {0};
  if (!tables_read(db, &t, error))
    return false;
  json_t *port = find_row(t.ports, name), *ops = json_array();
  json_t *bridge = port && mark_of(port, GROUP_KEY) ? find_holder(t.bridges, "ports", uuid_of(port)) : NULL;
  if (bridge)
    json_array_append_new(ops, mutate("Bridge", bridge_named(text_of(bridge, "name")), "ports", "delete",
                                      ovsdb_uuid(uuid_of(port))));
  return commit(db, ops, name, "delete", error);
}

static bool is_listed(const char *mac, guint n, char *const *macs)
{
  for (guint i = 0; mac && i < n; i++)
    if (g_ascii_strcasecmp(mac, macs[i]) == 0)
      return true;
  return false;
}

bool bridge_apply_members(Ovsdb *db, const char *bridge_name, guint n, char *const *macs,
                          const WsPortGroupVlan *vlan, GError **error)
{
  g_auto(Tables) t = {0};
  if (n == 0)
    return true;
  if (!tables_read(db, &t, error))
    return false;
  json_t *interface, *ops = json_array(), *bridge = find_row(t.bridges, bridge_name);
  size_t i;
  json_array_foreach (t.interfaces, i, interface) {
    json_t *port = is_listed(mark_of(interface, "attached-mac"), n, macs)
                       ? find_holder(t.ports, "interfaces", uuid_of(interface))
                       : NULL;
    if (port && bridge && refers_to(bridge, "ports", uuid_of(port)))
      update_if_different(ops, "Port", port, vlan_columns(vlan));
  }
  return commit(db, ops, bridge_name, "change", error);
}
