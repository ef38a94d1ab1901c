// SPDX-License-Identifier: Apache-2.0
/* What a host may promise: overcommit ratios and reserves, from the most particular that is set - host, cluster, site.
 * Pure; the objects are borrowed and may be NULL (then the contract's defaults hold). */
#pragma once
#include "model/model.h"
#include <stdbool.h>

typedef struct {
  double cpu;                   /* vCPUs for each hardware thread */
  double memory;                /* promised bytes for each byte */
  gint64 memory_reserved_bytes; /* of the host, for the host itself */
} PlanRatios;

PlanRatios plan_host_ratios(const WsSite *site, const WsCluster *cluster, const WsHost *host);

/* Its guests are emulated: it has no KVM. False also where that is not known. */
bool plan_host_emulates(const WsHost *host);
/* Not in maintenance mode, nor on the way there. */
bool plan_host_in_service(const WsHost *host);
/* vCPUs that may run there; 0: its processors are not known. */
gint64 plan_host_vcpus_limit(const WsHost *host, const PlanRatios *ratios);
/* Bytes that may be promised to VMs there: (memory - reserve) x ratio; 0: its memory is not known. */
gint64 plan_host_memory_limit_bytes(const WsHost *host, const PlanRatios *ratios);
/* The same without overcommit: what VMs may reserve. */
gint64 plan_host_memory_real_bytes(const WsHost *host, const PlanRatios *ratios);
/* Processors that VMs may reserve; 100: one hardware thread; 0: not known. */
gint64 plan_host_cpu_percent(const WsHost *host);

/* Mean of what was measured in the last minutes, with one measurement more, of so many ms; NAN: nothing is
 * known (before: yet). */
double plan_mean_recent(double before, double now, gint64 interval_ms);

/* May this host use the pool, and (reaches) does it see it now? */
bool plan_pool_has_host(const WsPool *pool, WsId host);
bool plan_pool_reaches(const WsPool *pool, WsId host);

/* Does the VM hold processors and memory of its host now? A VM whose host is lost (unknown) does: it may run. */
bool plan_vm_is_placed(const WsVm *vm);
/* It does not run and is about to: what it needs of its host is spoken for. */
bool plan_vm_is_starting(const WsVm *vm);
gint64 plan_vm_vcpus(const WsVm *vm);
/* What it has reserved; 0: nothing. */
gint64 plan_vm_memory_reserved_bytes(const WsVm *vm);
gint64 plan_vm_cpu_reserved_percent(const WsVm *vm);
