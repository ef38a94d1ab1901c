// SPDX-License-Identifier: Apache-2.0
/* Inside of the domain: site, host pools, clusters. Core loop, but for what takes only a snapshot (any thread). */
#pragma once
#include "center/center.h"
#include "plan/estate.h"

/* The cluster of a host; NULL: none. */
const WsCluster *cluster_of_host(const InvSnapshot *snap, const WsHost *host);
PlanRatios cluster_ratios(const InvSnapshot *snap, const WsHost *host);
/* VMs that hold the host's processors and memory; borrowed from snap. The array is the caller's. */
GPtrArray *cluster_placed_on(const InvSnapshot *snap, WsId host);
/* Always false, with WS_ERROR_HOST_NOT_EMPTY naming some of them. */
bool cluster_refuse_not_empty(const WsHost *host, const GPtrArray *vms, GError **error);
/* May the host join, as far as its processor goes? WS_ERROR_CPU_LACKS: VMs that run in the cluster need what it lacks. */
bool cluster_check_cpu(const InvSnapshot *snap, const WsCluster *cluster, const WsHost *host, GError **error);
