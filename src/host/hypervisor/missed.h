// SPDX-License-Identifier: Apache-2.0
/* Events of VMs that happen while the link is down: kept in memory, the newest MISSED_MAX of them, and told in their order when it is up again, so that
 * the record has no hole where the manager was away. They say nothing about now: reports do. Core loop, unless marked (any). */
#pragma once
#include "host/agent.h"
#include "rpc/methods.h"

#define MISSED_MAX 4096

/* Takes the event: to the manager when the link is up, else kept. (any) */
void missed_tell(Agent *agent, WsRpcVmEvent *event);
/* The link is up. */
void missed_send(Agent *agent);
void missed_free(Agent *agent);
