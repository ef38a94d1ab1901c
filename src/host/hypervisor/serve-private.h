// SPDX-License-Identifier: Apache-2.0
/* Inside of src/host/hypervisor: what serve.c has in a file of its own. */
#pragma once
#include "host/agent.h"
#include "host/hypervisor/hypervisor.h"

/* Opens the console and dials its stream; both then live by themselves until one ends. Blocks. */
bool virt_serve_console(Agent *agent, Hypervisor *hv, const WsRpcVmConsoleOpen *params, GError **error);
