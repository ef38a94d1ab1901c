// SPDX-License-Identifier: Apache-2.0
/* Inside of src/host/hypervisor: what serve.c has in a file of its own. */
#pragma once
#include "host/agent.h"
#include "host/hypervisor/hypervisor.h"

/* Opens the console and dials its stream; both then live by themselves until one ends. Blocks. */
bool virt_serve_console(Agent *agent, Hypervisor *hv, const WsRpcVmConsoleOpen *params, GError **error);

/* One call on a worker, in line with others of the VM with this UUID (NULL: waits for none). run: *result is NULL on entry; what it leaves there
 * is the caller's on success and freed otherwise. */
typedef bool (*VirtServe)(Hypervisor *hv, const void *params, void **result, GError **error);
bool virt_serve(RpcCall *call, const RpcMethod *method, const void *params, const char *uuid, VirtServe run, void **result,
                GError **error);
