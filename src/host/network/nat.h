// SPDX-License-Identifier: Apache-2.0
/* Address translation and isolation of the subnets: one nftables table of our own, replaced as a whole in one transaction; other
 * tables are not touched. Threads: one at a time; blocks. */
#pragma once
#include "host/network/subnet.h"

typedef struct {
  const char *interface; /* the port group's gateway port */
  Subnet subnet;
  bool nat;
} NatGroup;

/* The table as text for nft; pure. Caller frees. */
char *nat_ruleset(const NatGroup *groups, guint n);
/* Puts it in place; without groups removes it. Turns forwarding on while a group translates; `was_off_file` remembers that it was off
 * before, so that it is off again after the last one. */
bool nat_apply(const NatGroup *groups, guint n, const char *was_off_file, GError **error);
