// SPDX-License-Identifier: Apache-2.0
/* Placement of one new VM: which hosts can take it, and which is best. Pure: no I/O, no clock.
 *
 * Filters name their reason per host ("host-7: architecture aarch64"); among those left the one with the largest share of memory free after
 * the placement is taken, lowest id on a tie. */
#pragma once
#include "base/id.h"
#include <stdbool.h>

typedef struct {
  WsId id;
  const char *name;         /* for reasons; borrowed */
  int architecture;         /* of the contract's enum; 0: unknown */
  bool usable;              /* connected, not in maintenance */
  gint64 memory_bytes;      /* 0: unknown */
  gint64 memory_used_bytes; /* promised to VMs that are not off */
} PlanHost;

typedef struct {
  int architecture; /* 0: any */
  gint64 memory_bytes;
  WsId only_host;   /* 0: any */
} PlanDemand;

/* Id of the host, or 0; then *why (caller frees) says for each host why not. */
WsId plan_place(const PlanHost *hosts, guint n, const PlanDemand *demand, char **why);
