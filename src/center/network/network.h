// SPDX-License-Identifier: Apache-2.0
/* Inside of the network domain: what its files share. Core loop, in a coroutine. */
#pragma once
#include "center/center.h"
#include "center/hosts/hosts.h"
#include "model/model.h"

/* Applies what should be again; the object takes the outcome: `active`, or `failed` with the reason. */
void network_reapply_switch(Center *center, WsId id);
void network_reapply_port_group(Center *center, WsId host, WsId id);
/* Replaces the uplink states by copies of these. */
void network_take_uplinks(WsSwitch *sw, guint n, WsSwitchUplink *const *states);
/* Tells a host that has connected who may connect to it. A HostResync. */
bool network_resync_firewall(Center *center, WsId host, RpcLink *link, GError **error);
