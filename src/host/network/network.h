// SPDX-License-Identifier: Apache-2.0
/* The networks of one host: standard switches on Open vSwitch, port groups with VLAN, gateway, DHCP and NAT.
 *
 *     apply (a call) -> checked, made so -> kept in state_dir as sw-3.json, pg-7.json
 *     keeper (a thread) -> after a start of ours or of Open vSwitch: all that is kept is made so again; a dead dnsmasq is started, a
 *                          lost gateway address set again; leases and links that change are reported
 *
 * So the manager may be away for ever: what it once asked for holds. Applying what is so already changes nothing.
 *
 * Packets are forwarded by the kernel's openvswitch module, or in userspace (datapath netdev) where it is absent; a switch keeps what it
 * was made with. Nothing here touches what is not marked as ours.
 *
 * Threads: any; calls block (up to 20 s when Open vSwitch is slow) and run one at a time. Callbacks come on the keeper's
 * thread and must not block. Errors, beside those named: WS_ERROR_SWITCH_UNREACHABLE, WS_ERROR_SWITCH_ERROR,
 * WS_ERROR_DEADLINE_EXCEEDED, WS_ERROR_PROGRAM_*, WS_ERROR_IO_ERROR. */
#pragma once
#include "model/model.h"

typedef struct Network Network;

typedef struct {
  const char *state_dir;    /* exists; what is kept, and dnsmasq's files */
  const char *ovsdb_socket; /* "/run/openvswitch/db.sock" */
  guint interval_ms;        /* 0: 5,000; how often the keeper looks without a hint */
  void (*leases_changed)(WsId port_group, GPtrArray *leases, void *arg); /* of WsPortGroupLease; borrowed */
  /* An uplink's link changed, or a switch could not be made so again (failed, reason). `changed` is the callee's. */
  void (*switch_changed)(WsRpcNetworkSwitchChanged *changed, void *arg);
  void (*version_changed)(const char *version, void *arg); /* NULL: Open vSwitch is gone */
  void *arg;
} NetworkConfig;

/* Never fails for Open vSwitch being away: the keeper tries again. WS_ERROR_IO_ERROR: what was kept cannot be read. */
Network *network_new(const NetworkConfig *config, GError **error);
/* Switches, DHCP and NAT go on. No call may be running; NULL is fine. */
void network_free(Network *network);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

/* WS_ERROR_ALREADY_EXISTS, WS_ERROR_IN_USE: see bridge.h. */
bool network_switch_apply(Network *network, const WsRpcNetworkSwitchApply *params, WsRpcNetworkSwitchApplyResult **result, GError **error);
/* With its port groups. WS_ERROR_IN_USE while a VM is connected. */
bool network_switch_remove(Network *network, WsId switch_id, GError **error);
/* WS_ERROR_NOT_FOUND: the switch; WS_ERROR_BAD_VALUE: VLAN or subnet; WS_ERROR_IN_USE: another port group has an overlapping subnet. */
bool network_port_group_apply(Network *network, const WsRpcNetworkPortGroupApply *params, WsRpcNetworkPortGroupApplyResult **result,
                              GError **error);
bool network_port_group_remove(Network *network, WsId port_group, GError **error);
GPtrArray *network_leases(Network *network, WsId port_group); /* of WsPortGroupLease, owned */
