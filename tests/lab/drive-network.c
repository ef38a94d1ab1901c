// SPDX-License-Identifier: Apache-2.0
/* drive-network STATE_DIR OVSDB_SOCKET: the network room on its own, driven by lines on standard input. For tests/lab/network.
 *
 * In:  switch_apply JSON | switch_remove ID | port_group_apply JSON | port_group_remove ID | leases ID
 * Out: "ok JSON" or "error CODE TEXT" for each, and "event NAME JSON" whenever the keeper reports something. */
#include "base/error.h"
#include "base/log.h"
#include "host/network/network.h"
#include <stdio.h>
#include <string.h>

static void say(const char *head, const WsType *type, const void *object)
{
  gsize n;
  g_autofree char *json = object ? ws_object_to_json(type, object, WS_WRITE_PEER, &n) : g_strdup("{}");
  printf("%s %s\n", head, json);
  fflush(stdout);
}

static void say_leases(const char *head, WsId id, GPtrArray *leases)
{
  g_autoptr(WsRpcNetworkLeasesChanged) out = ws_rpc_network_leases_changed_new();
  out->port_group = id;
  for (guint i = 0; i < leases->len; i++)
    ws_array_add(&out->leases, ws_port_group_lease_copy(leases->pdata[i]));
  say(head, &ws_type_rpc_network_leases_changed, out);
}

static void on_leases(WsId id, GPtrArray *leases, void *arg)
{
  say_leases("event leases", id, leases);
}

static void on_switch(WsRpcNetworkSwitchChanged *changed, void *arg)
{
  say("event switch", &ws_type_rpc_network_switch_changed, changed);
  ws_rpc_network_switch_changed_free(changed);
}

static void on_version(const char *version, void *arg)
{
  printf("event version %s\n", version ? version : "none");
  fflush(stdout);
}

static bool switch_apply(Network *network, const char *json, GError **error)
{
  g_autoptr(WsRpcNetworkSwitchApply) params =
      ws_rpc_network_switch_apply_parse(json, strlen(json), WS_PARSE_RPC, error);
  g_autoptr(WsRpcNetworkSwitchApplyResult) result = NULL;
  if (!params || !network_switch_apply(network, params, &result, error))
    return false;
  say("ok", &ws_type_rpc_network_switch_apply_result, result);
  return true;
}

static bool port_group_apply(Network *network, const char *json, GError **error)
{
  g_autoptr(WsRpcNetworkPortGroupApply) params =
      ws_rpc_network_port_group_apply_parse(json, strlen(json), WS_PARSE_RPC, error);
  g_autoptr(WsRpcNetworkPortGroupApplyResult) result = NULL;
  if (!params || !network_port_group_apply(network, params, &result, error))
    return false;
  say("ok", &ws_type_rpc_network_port_group_apply_result, result);
  return true;
}

static bool switch_remove(Network *network, const char *id, GError **error)
{
  if (!network_switch_remove(network, g_ascii_strtoull(id, NULL, 10), error))
    return false;
  say("ok", NULL, NULL);
  return true;
}

static bool port_group_remove(Network *network, const char *id, GError **error)
{
  if (!network_port_group_remove(network, g_ascii_strtoull(id, NULL, 10), error))
    return false;
  say("ok", NULL, NULL);
  return true;
}

static bool leases(Network *network, const char *id, GError **error)
{
  WsId group = g_ascii_strtoull(id, NULL, 10);
  g_autoptr(GPtrArray) list = network_leases(network, group);
  say_leases("ok", group, list);
  return true;
}

static const struct {
  const char *name;
  bool (*run)(Network *network, const char *rest, GError **error);
} commands[] = {
    {"switch_apply ", switch_apply},
    {"switch_remove ", switch_remove},
    {"port_group_apply ", port_group_apply},
    {"port_group_remove ", port_group_remove},
    {"leases ", leases},
};

static void obey(Network *network, const char *line)
{
  for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
    g_autoptr(GError) error = NULL;
    if (!g_str_has_prefix(line, commands[i].name))
      continue;
    if (!commands[i].run(network, line + strlen(commands[i].name), &error)) {
      const char *cause = ws_error_cause(error);
      printf("error %s %s%s%s\n", ws_error_code_name(ws_error_code(error)), error->message,
             cause ? " Cause: " : "", cause ? cause : "");
      fflush(stdout);
    }
    return;
  }
  printf("error unknown_command %s\n", line);
  fflush(stdout);
}

int main(int argc, char **argv)
{
  if (argc != 3)
    return 2;
  ws_log_init("drive-network", WS_LOG_INFO, NULL);
  NetworkConfig config = {.state_dir = argv[1],
                          .ovsdb_socket = argv[2],
                          .interval_ms = 1000,
                          .leases_changed = on_leases,
                          .switch_changed = on_switch,
                          .version_changed = on_version};
  g_autoptr(GError) error = NULL;
  g_autoptr(Network) network = network_new(&config, &error);
  if (!network) {
    fprintf(stderr, "%s\n", error->message);
    return 1;
  }
  char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    g_strchomp(line);
    obey(network, line);
  }
  return 0;
}
