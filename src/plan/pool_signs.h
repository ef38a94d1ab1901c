// SPDX-License-Identifier: Apache-2.0
/* What hosts found when they tried a pool, judged: which check each sign belongs to, whether it is well; and
 * what the NICs by which a server is reached are worth: two ports that stand in for each other, of 10 Gbit/s,
 * shared neither with management nor its subnet, with one MTU on all hosts. Pure. */
#pragma once
#include "model/model.h"

/* A finding of that sign; `found` may be NULL. Its sentences are left to the reader's catalogue. Caller
 * frees. */
WsPoolFinding *plan_pool_finding(WsId host, WsPoolSignWord sign, const char *found);

/* How a host reaches a server. */
typedef struct {
  const WsHost *host;
  const char *device, *source; /* interface, and the address there; NULL: not known */
} PlanPoolWay;
/* Adds what there is to say of these. An interface that the host's facts do not have, or of which they do not
 * tell the ports, is not judged. */
void plan_pool_judge_ways(const PlanPoolWay *ways, guint n, WsPoolFindings *findings);
