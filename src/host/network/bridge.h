// SPDX-License-Identifier: Apache-2.0
/* Switches and port groups as rows of Open vSwitch's database. What is ours is marked in external_ids (winsphere-switch: sw-3,
 * winsphere-uplink, winsphere-port-group: pg-7); what is not is never changed. Each function is one transaction that is as it should be
 * afterwards; when it is already, nothing is written. Threads: the Ovsdb's. */
#pragma once
#include "host/network/ovsdb.h"
#include "model/model.h"

/* Makes the bridge or brings it in line. WS_ERROR_ALREADY_EXISTS: a bridge or interface of that name is not ours. WS_ERROR_IN_USE: an
 * uplink is another bridge's, or carries the host's own address (which it would lose). */
bool bridge_apply(Ovsdb *db, const WsRpcNetworkSwitchApply *params, WsRpcNetworkSwitchApplyResultDatapath *datapath, GError **error);
/* With all our ports. WS_ERROR_IN_USE: a VM is connected to it. */
bool bridge_remove(Ovsdb *db, WsId switch_id, GError **error);

/* The host's own port in a port group, `name`, an internal interface with this MAC address. */
bool bridge_apply_gateway(Ovsdb *db, const char *bridge, const char *name, const char *mac, gint64 mtu, const WsPortGroupVlan *vlan,
                          GError **error);
bool bridge_remove_gateway(Ovsdb *db, const char *name, GError **error);
/* VLAN of the VM ports with these MAC addresses (as libvirt wrote them into external_ids:attached-mac). */
bool bridge_apply_members(Ovsdb *db, const char *bridge, guint n, char *const *macs, const WsPortGroupVlan *vlan, GError **error);
