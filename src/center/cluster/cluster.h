// SPDX-License-Identifier: Apache-2.0
/* Inside of the domain: site, host pools, clusters. Core loop, but for what takes only a snapshot (any thread). */
#pragma once
#include "center/center.h"
#include "plan/estate.h"

/* The one site; NULL only before the first start has made it. */
const WsSite *cluster_site(const InvSnapshot *snap);
/* The cluster of a host; NULL: none. */
const WsCluster *cluster_of_host(const InvSnapshot *snap, const WsHost *host);
PlanRatios cluster_ratios(const InvSnapshot *snap, const WsHost *host);
