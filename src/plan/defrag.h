// SPDX-License-Identifier: Apache-2.0
/* Fragments of hosts with NUMA nodes: which few VMs to move so that most large VMs fit in afterwards.
 *
 * A VM is on one node of its host, or half on each of both. What is left of a node is worth as many slots as it can take VMs of the wanted size, each on
 * one node; the rest is waste. At most so many moves; each step finds room where it goes, in the order given. Fewer moves are taken where
 * more would free nothing. A function of the cluster, the limit and the seed. Pure. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  gint64 cpus, memory; /* that VMs can have; 0, 0: there is no such node */
} PlanNumaNode;

typedef struct {
  gint64 cpus, memory; /* on each node that it is on */
  guint32 node;        /* host x 2 + node of the host; where it is on both: host x 2 */
  bool both;
  bool fixed;          /* it cannot move */
} PlanNumaVm;

typedef struct {
  guint32 n_hosts, n_vms;
  PlanNumaNode *nodes; /* [host x 2 + node] */
  PlanNumaVm *vms;
  gint64 slot_cpus;    /* of the VM that is to fit in, 1 or more; */
  gint64 slot_memory;  /* 0: does not count */
} PlanNumaCluster;

typedef struct {
  guint32 vm, from, to; /* nodes */
  gint64 slots;         /* of the cluster after it */
} PlanDefragStep;

typedef struct {
  gint64 slots_before, slots_after;
  PlanDefragStep *steps;
  guint32 n_steps;
} PlanDefragResult;

/* The free slots; -1 where a node has less than its VMs need (then nothing is planned). */
gint64 plan_defrag_slots(const PlanNumaCluster *cluster);
void plan_defrag(const PlanNumaCluster *cluster, guint32 limit, guint64 seed, PlanDefragResult *result);
void plan_defrag_result_clear(PlanDefragResult *result);
