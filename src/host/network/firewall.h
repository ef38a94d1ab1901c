// SPDX-License-Identifier: Apache-2.0
/* Who may connect to this host: one nftables table of our own (inet winsphere_host), replaced as a whole in one transaction, so at no moment
 * is there half of it; other tables are not touched. It filters what comes in for the host itself. What always passes: connections that are
 * there (the agent's link among them: it dials out), loopback, what IP itself needs, DHCP, the services of our own subnets, and moves of
 * VMs (mutual TLS). So no list can lock the agent out. Blocking; one call at a time. */
#pragma once
#include "model/model.h"

/* The table as text for nft; pure. NULL: a rule cannot be (WS_ERROR_BAD_VALUE names it). Caller frees. */
char *firewall_ruleset(const WsRpcHostFirewall *wanted, GError **error);
/* Puts it in place, or, when it is not enabled, removes it; then keeps it in state_dir. WS_ERROR_BAD_VALUE, WS_ERROR_PROGRAM_*, WS_ERROR_IO_ERROR. */
bool firewall_apply(const char *state_dir, const WsRpcHostFirewall *wanted, GError **error);
/* At start: what was kept, again. True when there is none. */
bool firewall_restore(const char *state_dir, GError **error);
