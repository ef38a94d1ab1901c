// SPDX-License-Identifier: Apache-2.0
/* The kernel's view of interfaces: up, addresses, events (rtnetlink); and whether it has the switch's module (generic netlink).
 * Calls block for microseconds. Threads: any; no state. */
#pragma once
#include <glib.h>
#include <stdbool.h>

bool netlink_has_interface(const char *name);
/* Errors: WS_ERROR_NOT_FOUND (interface), WS_ERROR_IO_ERROR. Repeating is no error. */
bool netlink_set_up(const char *name, GError **error);
/* Makes `address`/`prefix` (host byte order) the interface's only IPv4 address. */
bool netlink_set_address(const char *name, guint32 address, guint prefix, GError **error);
/* It is up and has this address. */
bool netlink_is_set(const char *name, guint32 address, guint prefix);
/* IPv4 and IPv6 addresses but link-local ones: "10.0.0.5, fd00::1"; NULL: none. Caller frees. */
char *netlink_addresses(const char *name);
/* Non-blocking descriptor, readable when a link or an IPv4 address changes; -1: not to be had. Empty it with netlink_drain_events(). */
int netlink_open_events(void);
void netlink_drain_events(int fd);
/* The kernel forwards for Open vSwitch (module loaded, loadable or built in). */
bool netlink_has_ovs_datapath(void);
