// SPDX-License-Identifier: Apache-2.0
/* Shared by calls (network.c) and keeper (keeper.c). */
#pragma once
#include "host/network/network.h"
#include "host/network/ovsdb.h"
#include "host/network/subnet.h"

typedef struct {
  WsRpcNetworkSwitchApply *wanted;
  char *told_uplinks; /* keeper: what was last reported, as text */
  bool told_failed;
} Switch;

typedef struct {
  WsRpcNetworkPortGroupApply *wanted;
  char name[WS_ID_TEXT_MAX]; /* "pg-7": gateway port, file names */
  bool has_subnet;
  Subnet subnet;
  guint leases_hash; /* keeper: what was last reported */
  bool told_failed;  /* keeper: in the log */
} PortGroup;

struct Network {
  char *state_dir, *ovsdb_socket;
  guint interval_ms;
  NetworkConfig config; /* callbacks */
  GMutex lock;          /* calls and keeper's work, one at a time; all below */
  GHashTable *switches; /* WsId -> Switch */
  GHashTable *groups;   /* WsId -> PortGroup */
  struct Keeper *keeper;
};

/* Under lock: make one so (again). */
bool network_make_switch(Network *network, Ovsdb *db, const WsRpcNetworkSwitchApply *wanted, WsRpcNetworkSwitchApplyResult *result,
                         GError **error);
bool network_make_port_group(Network *network, Ovsdb *db, PortGroup *group, GError **error);
/* The one table for all port groups. */
bool network_make_nat(Network *network, GError **error);
bool network_has_dhcp(const PortGroup *group);
/* Appends the state of each uplink to a list of WsSwitchUplink. */
void network_read_uplinks(const WsRpcNetworkSwitchApply *wanted, WsArray *uplinks);

typedef struct Keeper Keeper;
Keeper *keeper_new(Network *network);
void keeper_free(Keeper *keeper); /* NULL is fine */
void keeper_wake(Keeper *keeper);
