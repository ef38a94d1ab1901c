// SPDX-License-Identifier: Apache-2.0
/* Clusters of hosts with NUMA nodes, as text. Lines of words between spaces; what follows a # is a comment:
 *
 *   slot CPUS MEMORY                    the VM that is to fit in, on one node (once, first); memory 0: does not count
 *   host NAME CPUS MEMORY [CPUS MEMORY] what VMs can have of its node, or two nodes
 *   vm NAME CPUS MEMORY HOST NODE       0, 1: all of it is on this node; both: half on each */
#pragma once
#include "plan/defrag.h"

typedef struct {
  PlanNumaCluster cluster;
  char **host_names, **vm_names;
} Numa;

/* WS_ERROR_BAD_VALUE, field FILE:LINE; also where VMs have more of a node than there is. */
Numa *numa_read(const char *name, const char *text, gsize n, GError **error);
void numa_free(Numa *numa);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Numa, numa_free)
