// SPDX-License-Identifier: Apache-2.0
/* Networks in the agent: the manager's calls, each on a worker, and what the keeper notices. */
#include "base/error.h"
#include "base/log.h"
#include "host/agent.h"
#include "host/network/firewall.h"
#include "host/network/network.h"
#include "host/node/node.h"
#include "rpc/methods.h"
#include <errno.h>
#include <glib/gstdio.h>

#define STATE_FOLDER "network"

typedef struct {
  Network *network;
  const void *params;
  void *result;
} Work;

/* Without a deadline of its own (every wait below has one), so that all may lie on the coroutine's stack. */
static bool on_worker(RpcCall *call, bool (*run)(AgentJob *, void *, GError **), const void *params,
                      void **result, GError **error)
{
  Work work = {.network = agent_of_call(call)->network, .params = params};
  bool ok = agent_blocking(call, run, &work, NULL, 0, error);
  if (result)
    *result = work.result;
  return ok;
}

static bool run_switch_apply(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return network_switch_apply(w->network, w->params, (WsRpcNetworkSwitchApplyResult **)&w->result, error);
}

bool serve_network_switch_apply(RpcCall *call, const WsRpcNetworkSwitchApply *params,
                                WsRpcNetworkSwitchApplyResult **result, GError **error)
{
  return on_worker(call, run_switch_apply, params, (void **)result, error);
}

static bool run_switch_remove(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return network_switch_remove(w->network, ((const WsRpcNetworkSwitchRemove *)w->params)->switch_, error);
}

bool serve_network_switch_remove(RpcCall *call, const WsRpcNetworkSwitchRemove *params, GError **error)
{
  return on_worker(call, run_switch_remove, params, NULL, error);
}

static bool run_port_group_apply(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return network_port_group_apply(w->network, w->params, (WsRpcNetworkPortGroupApplyResult **)&w->result,
                                  error);
}

bool serve_network_port_group_apply(RpcCall *call, const WsRpcNetworkPortGroupApply *params,
                                    WsRpcNetworkPortGroupApplyResult **result, GError **error)
{
  return on_worker(call, run_port_group_apply, params, (void **)result, error);
}

static bool run_port_group_remove(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return network_port_group_remove(w->network, ((const WsRpcNetworkPortGroupRemove *)w->params)->port_group,
                                   error);
}

bool serve_network_port_group_remove(RpcCall *call, const WsRpcNetworkPortGroupRemove *params, GError **error)
{
  return on_worker(call, run_port_group_remove, params, NULL, error);
}

static bool run_leases(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  w->result = network_leases(w->network, ((const WsRpcNetworkLeases *)w->params)->port_group);
  return true;
}

bool serve_network_leases(RpcCall *call, const WsRpcNetworkLeases *params, WsRpcNetworkLeasesResult **result,
                          GError **error)
{
  g_autoptr(GPtrArray) leases = NULL;
  if (!on_worker(call, run_leases, params, (void **)&leases, error))
    return false;
  *result = ws_rpc_network_leases_result_new();
  for (guint i = 0; i < leases->len; i++)
    ws_array_add(&(*result)->leases, ws_port_group_lease_copy(leases->pdata[i]));
  return true;
}

/* ---- the host's own firewall ---- */

#define FIREWALL_LINE "firewall" /* of workers: one at a time */

typedef struct {
  char *state_dir;
  WsRpcHostFirewall *wanted;
} Firewall;

static void firewall_free(void *arg)
{
  Firewall *firewall = arg;
  g_free(firewall->state_dir);
  ws_rpc_host_firewall_free(firewall->wanted);
  g_free(firewall);
}

static bool run_firewall(void *arg, GError **error)
{
  const Firewall *firewall = arg;
  return firewall_apply(firewall->state_dir, firewall->wanted, error);
}

static char *state_dir_of(const Agent *agent)
{
  return g_build_filename(agent->config.state_dir, STATE_FOLDER, NULL);
}

bool serve_host_firewall(RpcCall *call, const WsRpcHostFirewall *params, GError **error)
{
  Agent *agent = agent_of_call(call);
  Firewall *firewall = g_new(Firewall, 1);
  *firewall = (Firewall){state_dir_of(agent), ws_rpc_host_firewall_copy(params)};
  if (!ws_co_blocking_keyed(agent->workers, FIREWALL_LINE, run_firewall, firewall, firewall_free, 0, error))
    return false;
  firewall_free(firewall);
  return true;
}

/* ---- reports, on the keeper's thread ---- */

static void on_leases(WsId port_group, GPtrArray *leases, void *arg)
{
  WsRpcNetworkLeasesChanged *params = ws_rpc_network_leases_changed_new();
  params->port_group = port_group;
  for (guint i = 0; i < leases->len; i++)
    ws_array_add(&params->leases, ws_port_group_lease_copy(leases->pdata[i]));
  agent_notify(arg, &rpc_method_network_leases_changed, params);
}

static void on_switch(WsRpcNetworkSwitchChanged *changed, void *arg)
{
  agent_notify(arg, &rpc_method_network_switch_changed, changed);
}

static void on_version(const char *version, void *arg)
{
  Agent *agent = arg;
  node_tell_version(agent->node, NODE_OVS, version);
}

/* ---- the room ---- */

bool network_room_start(Agent *agent, GError **error)
{
  g_autofree char *state = state_dir_of(agent);
  g_autoptr(GError) closed = NULL;
  if (g_mkdir(state, 0755) < 0 && errno != EEXIST)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", state, "cause", g_strerror(errno), NULL);
  NetworkConfig config = {.state_dir = state,
                          .ovsdb_socket = agent->config.ovsdb_socket,
                          .leases_changed = on_leases,
                          .switch_changed = on_switch,
                          .version_changed = on_version,
                          .arg = agent};
  if (!firewall_restore(state, &closed)) /* the manager will say it again; without an agent nobody could */
    ws_log_error(WS_LOG_ERROR, "firewall-not-restored", closed, NULL);
  agent->network = network_new(&config, error);
  return agent->network != NULL;
}

void network_room_stop(Agent *agent)
{
  g_clear_pointer(&agent->network, network_free);
}
