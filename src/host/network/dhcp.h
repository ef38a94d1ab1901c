// SPDX-License-Identifier: Apache-2.0
/* DHCP (and DNS) of a port group: one dnsmasq, which lives on its own - guests go on getting addresses while the agent is
 * restarted - and is found again by its pid file. Its files are in one directory: NAME.conf, NAME.leases, NAME.pid. Threads: one at a time; blocks. */
#pragma once
#include "host/network/subnet.h"

/* Its configuration; pure. `directory` holds the files. Caller frees. */
char *dhcp_config(const char *directory, const char *name, const WsPortGroupSubnet *given, const Subnet *subnet, gint64 mtu);

/* Runs with this configuration: started when it is not there, started anew when the configuration changed (some 50 ms; leases are
 * kept). WS_ERROR_PROGRAM_*, WS_ERROR_IO_ERROR. */
bool dhcp_apply(const char *directory, const char *name, const WsPortGroupSubnet *given, const Subnet *subnet, gint64 mtu, GError **error);
bool dhcp_is_running(const char *directory, const char *name);
/* Ends it and removes its files. Nothing there is no error. */
bool dhcp_remove(const char *directory, const char *name, GError **error);
/* Leases in the order of their addresses. None when there is no file. */
GPtrArray *dhcp_leases(const char *directory, const char *name); /* of WsPortGroupLease, owned */
/* The same from text; pure. */
GPtrArray *dhcp_parse_leases(const char *text);
