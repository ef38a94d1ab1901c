// SPDX-License-Identifier: Apache-2.0
/* A cluster whose VMs change hosts, with the score known at once: sums and sums of squares over hosts of all that is measured. */
#pragma once
#include "plan/balance.h"

typedef enum {
  M_MEMORY_FREE,
  M_DISK_FREE,
  M_RESERVED,
  M_VCPUS,
  M_LOAD, /* four */
  M_SPINDLES = M_LOAD + PLAN_N_LOADS,
  N_MEASURES
} Measure;

typedef struct {
  gint64 memory_free, disk_free, reserved;
  double vcpus, spindles, load[PLAN_N_LOADS];
  guint32 n_first, n_second, n_conflicts;
  double m[N_MEASURES];
} SpreadHost;

typedef struct {
  guint32 host;
  gint64 memory;
} Peer;

/* 1 / capacity; 0: none. */
typedef struct {
  double memory, disk, cpus, spindles;
} Inverse;

/* For which hosts, and how much, memory is kept here. */
typedef struct {
  Peer *peers;
  guint32 n, size;
} Peers;

typedef struct {
  const PlanCluster *cluster;
  SpreadHost *hosts;
  Inverse *inverse;          /* [host] */
  Peers *peers;
  guint32 *host, *second;    /* [vm] */
  guint32 *tag_count;        /* [host x n_tags]; NULL: no tags */
  guint32 **vms;             /* [host]: VMs that have it as first or second, */
  guint32 *n_vms, *vms_size; /* so many */
  double sum[N_MEASURES], squares[N_MEASURES];
  double reserved_sum;
  guint32 n_live;            /* hosts in service */
  gint64 n_lacking, n_offline, n_offline_first, n_conflicts;
} Spread;

/* The host is in service, or is not any more; what is on it stays. Its flag in the cluster is the caller's, and changed before. */
void spread_set_service(Spread *spread);
/* The hosts' lists of VMs as spread_new() makes them. */
void spread_sort_lists(Spread *spread, guint32 host);

Spread *spread_new(const PlanCluster *cluster);
void spread_free(Spread *spread);
double spread_score(const Spread *spread, double *parts);
/* Takes the VM off its hosts; puts it on others. Whatever the room. To try; the hosts' lists of VMs stay as they are. */
void spread_take(Spread *spread, guint32 vm);
void spread_put(Spread *spread, guint32 vm, guint32 host, guint32 second);
/* Score with the VM on other hosts, or infinity where there is no room; all is as before, to the last bit. */
double spread_try(Spread *spread, guint32 vm, guint32 host, guint32 second);
/* The same with a VM that is on no host, of the cluster's VMs the one after the last. */
double spread_arrival(Spread *spread, guint32 vm, guint32 host);
/* For good. */
void spread_move(Spread *spread, guint32 vm, guint32 host, guint32 second);
/* Sums anew, in the order of hosts and VMs: what was added and taken away before leaves no rounding behind. */
void spread_add_up(Spread *spread);
/* Is there room for a VM that is on no host now, so that no host in service comes to lack reserves? */
bool spread_fits(const Spread *spread, guint32 vm, guint32 host, guint32 second);
/* Memory and processors alone, of a host that runs it for a moment. */
bool spread_can_run(const Spread *spread, const PlanBalanceVm *vm, guint32 host);
/* Do the hosts of the VM keep what they have and what they reserve? */
bool spread_room_is_kept(const Spread *spread, guint32 vm);
