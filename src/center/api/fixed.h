// SPDX-License-Identifier: Apache-2.0
/* Routes that are no plain resource methods (api/openapi.yaml): documents, sockets, byte streams. Each has a function here by its
 * operationId. It runs on the I/O thread after authentication and takes the call; the right was checked where the route
 * has an id or needs none. Functions live in the domain that owns them. */
#pragma once
#include "center/api/call-private.h"

typedef void (*ApiFixed)(ApiCall *call);
ApiFixed api_fixed_find(const char *operation); /* NULL: not a fixed one */

void fixed_openapi(ApiCall *call);        /* api/fixed.c */
void fixed_health(ApiCall *call);         /* api/fixed.c */
void fixed_ca(ApiCall *call);             /* api/fixed.c */
void fixed_whoami(ApiCall *call);         /* api/fixed.c */
void fixed_watch(ApiCall *call);          /* api/watch.c */
void fixed_metrics(ApiCall *call);        /* monitor/metrics.c */
void fixed_agent(ApiCall *call);          /* hosts/link.c: the agents' WebSocket */
void fixed_agent_stream(ApiCall *call);   /* hosts/stream.c: dial-back of consoles and transfers */
void fixed_console(ApiCall *call);        /* compute/console.c: WebSocket by ticket */
void fixed_volume_upload(ApiCall *call);  /* storage/transfer.c */
void fixed_volume_download(ApiCall *call); /* storage/transfer.c */
