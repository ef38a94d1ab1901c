// SPDX-License-Identifier: Apache-2.0
/* A simulated host's switches and port groups, for the calls of api/rpc/network.yaml. See host.h. */
#include "rpc/methods.h"
#include "sim/host.h"
#include <string.h>

static void apply(GPtrArray *list, WsId id, WsId on, const WsType *type, const void *params)
{
  SimApplied *applied = sim_applied_find(list, id);
  gsize n;
  if (!applied) {
    applied = g_new0(SimApplied, 1);
    applied->id = id;
    g_ptr_array_add(list, applied);
  }
  applied->on = on;
  g_free(applied->json);
  applied->json = ws_object_to_json(type, params, WS_WRITE_PEER, &n);
}

static void forget(GPtrArray *list, SimApplied *applied)
{
  if (!applied)
    return;
  g_ptr_array_remove(list, applied);
  g_free(applied->json);
  g_free(applied);
}

static bool do_switch_apply(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcNetworkSwitchApply *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, sim_host_key("sw", params->switch_), error))
    return false;
  apply(host->switches, params->switch_, 0, &ws_type_rpc_network_switch_apply, params);
  sim_host_note(host, "switch %" G_GUINT64_FORMAT " applied", params->switch_);
  WsRpcNetworkSwitchApplyResult *answer = ws_rpc_network_switch_apply_result_new();
  answer->datapath = WS_RPC_NETWORK_SWITCH_APPLY_RESULT_DATAPATH_KERNEL;
  *result = answer;
  return true;
}

static bool do_switch_remove(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcNetworkSwitchRemove *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, sim_host_key("sw", params->switch_), error))
    return false;
  for (guint i = host->groups->len; i-- > 0;)
    if (((SimApplied *)host->groups->pdata[i])->on == params->switch_)
      forget(host->groups, host->groups->pdata[i]);
  forget(host->switches, sim_applied_find(host->switches, params->switch_));
  sim_host_note(host, "switch %" G_GUINT64_FORMAT " removed", params->switch_);
  return true;
}

static bool do_group_apply(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcNetworkPortGroupApply *params = arg;
  SimHost *host = sim_host_of_call(call);
  char id[WS_ID_TEXT_MAX];
  if (!sim_host_work(host, call, sim_host_key("pg", params->port_group), error))
    return false;
  if (!sim_applied_find(host->switches, params->switch_))
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format("sw", params->switch_, id), NULL);
  apply(host->groups, params->port_group, params->switch_, &ws_type_rpc_network_port_group_apply, params);
  sim_host_note(host, "port group %" G_GUINT64_FORMAT " applied", params->port_group);
  WsRpcNetworkPortGroupApplyResult *answer = ws_rpc_network_port_group_apply_result_new();
  if (params->subnet)
    answer->gateway_port = g_strdup_printf("gw%" G_GUINT64_FORMAT, params->port_group);
  *result = answer;
  return true;
}

static bool do_group_remove(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcNetworkPortGroupRemove *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, sim_host_key("pg", params->port_group), error))
    return false;
  forget(host->groups, sim_applied_find(host->groups, params->port_group));
  sim_host_note(host, "port group %" G_GUINT64_FORMAT " removed", params->port_group);
  return true;
}

static bool do_leases(RpcCall *call, const void *arg, void **result, GError **error)
{
  if (!sim_host_work(sim_host_of_call(call), call, NULL, error))
    return false;
  *result = ws_rpc_network_leases_result_new();
  return true;
}

SimServices sim_host_network_services(void)
{
  static const RpcService services[] = {
      {&rpc_method_network_switch_apply, do_switch_apply},
      {&rpc_method_network_switch_remove, do_switch_remove},
      {&rpc_method_network_port_group_apply, do_group_apply},
      {&rpc_method_network_port_group_remove, do_group_remove},
      {&rpc_method_network_leases, do_leases},
  };
  return (SimServices){services, G_N_ELEMENTS(services)};
}
