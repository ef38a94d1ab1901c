// SPDX-License-Identifier: Apache-2.0
/* How many more VMs of one size fit into a cluster, now and when hosts are lost: the VMs of lost hosts first
 * find room on the others, the largest first. What is promised counts, not what is used; what VMs have
 * reserved is kept whole, as admission keeps it (place.h). Pure. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  gint64 memory_limit_bytes, vcpus_limit; /* 0: no limit is known */
  gint64 memory_real_bytes, cpu_percent;  /* what VMs may reserve; 0: not known */
} PlanFitHost;

typedef struct {
  guint32 host;
  gint64 memory_bytes, vcpus;
  gint64 memory_reserved_bytes, cpu_reserved_percent; /* 0: nothing */
} PlanFitVm;

typedef enum { PLAN_FIT_MEMORY = 1, PLAN_FIT_VCPUS, PLAN_FIT_NOTHING } PlanFitLimit; /* in the order of the contract */

typedef struct {
  gint64 fit, fit_now;  /* G_MAXINT64 / 2 and more: no limit is known */
  bool survives;        /* the VMs of lost hosts find room */
  guint32 worst[2];     /* the hosts whose loss leaves least */
  guint n_worst;
  PlanFitLimit limited_by;
} PlanFit;

#define PLAN_FIT_PAIRS_MAX 200 /* hosts; with more of them pairs are not tried */

/* What a host must keep for a VM that is on its way to another one: of what it has and of what may be
 * promised there. Limits that are known stay so (0 would mean that there is none), and their ratio stays the
 * same. */
void plan_fit_set_aside(gint64 *memory_limit_bytes, gint64 *memory_real_bytes, gint64 memory_bytes,
                        gint64 memory_reserved_bytes);
/* `lost`: 0, 1 or 2 hosts, whichever they are. False: there are too many hosts for pairs. */
bool plan_fit(const PlanFitHost *hosts, guint n_hosts, const PlanFitVm *vms, guint n_vms, gint64 memory_bytes, gint64 vcpus, guint lost, PlanFit *fit);
