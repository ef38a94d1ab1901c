// SPDX-License-Identifier: Apache-2.0
/* The manager's calls about power. Whether VMs run is asked of libvirt at that moment: the manager may not know yet of one that somebody
 * started here, and one of which nobody can tell (libvirt is away) counts as running. */
#include "base/error.h"
#include "host/agent.h"
#include "host/hypervisor/hypervisor.h"
#include "host/node/power.h"
#include "rpc/methods.h"

typedef struct {
  Hypervisor *hv;
  bool reboot, force;
} Off;

static bool refuse(GPtrArray *names, GError **error)
{
  g_autofree char *count = g_strdup_printf("%u", names->len);
  g_ptr_array_set_size(names, (gint)MIN(names->len, 5));
  g_ptr_array_add(names, NULL);
  g_autofree char *text = g_strjoinv(", ", (char **)names->pdata);
  return ws_fail(error, WS_ERROR_HOST_NOT_EMPTY, "object", "this host", "vms", count, "names", text, NULL);
}

static bool run_off(AgentJob *job, void *arg, GError **error)
{
  const Off *off = arg;
  if (!off->force) {
    g_autoptr(GPtrArray) running = hypervisor_running(off->hv, error);
    if (!running || (running->len && !refuse(running, error)))
      return false;
  }
  return node_power_off(off->reboot, error);
}

bool serve_host_power_off(RpcCall *call, const WsRpcHostPowerOff *params, GError **error)
{
  Off off = {agent_of_call(call)->hypervisor, params->reboot, params->force};
  return agent_blocking(call, run_off, &off, NULL, 0, error);
}

typedef struct {
  const char *mac;
  guint networks;
} Wake;

static bool run_wake(AgentJob *job, void *arg, GError **error)
{
  Wake *wake = arg;
  return node_wake(wake->mac, &wake->networks, error);
}

bool serve_host_wake(RpcCall *call, const WsRpcHostWake *params, WsRpcHostWakeResult **result, GError **error)
{
  Wake wake = {params->mac, 0};
  if (!agent_blocking(call, run_wake, &wake, NULL, 0, error))
    return false;
  *result = ws_rpc_host_wake_result_new();
  (*result)->networks = wake.networks;
  return true;
}
