// SPDX-License-Identifier: Apache-2.0
/* Placement of one new VM: which hosts can take it, and which is best. Pure: no I/O, no clock.
 *
 * Filters name their reason per host ("host-7: architecture aarch64"); among those left the one that breaks fewest soft rules, then the one with the
 * largest share of memory free after the placement is taken, lowest id on a tie. */
#pragma once
#include "base/id.h"
#include <stdbool.h>

typedef struct {
  WsId id;
  const char *name;         /* for reasons; borrowed */
  int architecture;         /* of the contract's enum; 0: unknown */
  bool connected;
  bool in_service;          /* not in maintenance mode, nor on the way there */
  bool reaches;             /* sees every pool that the VM needs */
  WsId cluster;             /* 0: none */
  gint64 memory_bytes;      /* that may be promised, with overcommit; 0: unknown */
  gint64 memory_used_bytes; /* promised to VMs that are not off */
  gint64 vcpus, vcpus_used; /* the same of vCPUs */
  guint dislikes;           /* soft affinity rules that it would break there */
  const char *barred;       /* what else stands against it, found by who asks; borrowed. NULL: nothing */
} PlanHost;

typedef struct {
  int architecture; /* 0: any */
  gint64 memory_bytes, vcpus;
  WsId only_host;    /* 0: any */
  WsId only_cluster; /* 0: any */
  bool running;      /* it is to be started at once: what is promised now counts, not only what there is */
} PlanDemand;

/* Why this host cannot take it (static text, or host->barred), or NULL: it can. */
const char *plan_refusal(const PlanHost *host, const PlanDemand *demand);
/* Id of the host, or 0; then *why (caller frees) says for each host why not. */
WsId plan_place(const PlanHost *hosts, guint n, const PlanDemand *demand, char **why);
