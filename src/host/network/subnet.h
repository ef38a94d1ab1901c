// SPDX-License-Identifier: Apache-2.0
/* A port group's subnet with all that was left out filled in. Pure. */
#pragma once
#include "model/model.h"

#define SUBNET_TEXT_MAX 20 /* "255.255.255.255/32" */

typedef struct {
  guint32 network, mask, gateway, first, last; /* host byte order; first, last: range of DHCP, 0 without DHCP */
  guint prefix;
} Subnet;

/* WS_ERROR_BAD_VALUE naming the field ("subnet.gateway"): not in the network, the gateway within the range, a network of fewer than
 * two hosts, a reservation outside or for the gateway. */
bool subnet_resolve(const WsPortGroupSubnet *given, Subnet *subnet, GError **error);
bool subnet_overlaps(const Subnet *a, const Subnet *b);

char *subnet_ip(guint32 address, char *buf);             /* into SUBNET_TEXT_MAX; returns buf */
char *subnet_cidr(const Subnet *subnet, char *buf);      /* the network: "192.168.100.0/24" */
