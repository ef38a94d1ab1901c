// SPDX-License-Identifier: Apache-2.0
/* Who may connect to a host: told to its agent, kept in the Host, told again when it connects (its agent keeps it too: so it holds also
 * while the manager is away). */
#include "center/network/network.h"
#include "center/verbs.h"
#include "rpc/methods.h"

typedef struct {
  Center *center;
  WsId host;
  const WsHostSetFirewall *args;
} Set;

static WsHostFirewallRule **copy_rules(guint n, WsHostFirewallRule *const *rules)
{
  WsHostFirewallRule **copy = n ? g_new0(WsHostFirewallRule *, n) : NULL;
  for (guint i = 0; i < n; i++)
    copy[i] = ws_host_firewall_rule_copy(rules[i]);
  return copy;
}

/* NULL: none was ever set. */
static bool tell(RpcLink *link, const WsHostFirewall *firewall, GError **error)
{
  WsRpcHostFirewall params = {.enabled = firewall && firewall->enabled};
  if (params.enabled) {
    params.rules.len = firewall->rules.len;
    params.rules.items = firewall->rules.items; /* borrowed */
  }
  return rpc_host_firewall(link, &params, NULL, NULL, NULL, error);
}

static WsHostFirewall *firewall_of(const WsHostSetFirewall *args)
{
  WsHostFirewall *firewall = ws_host_firewall_new();
  firewall->enabled = args->enabled;
  firewall->rules.len = args->rules.len;
  firewall->rules.items = copy_rules(args->rules.len, args->rules.items);
  return firewall;
}

static bool apply(Task *task, void *ctx, GError **error)
{
  const Set *set = ctx;
  g_autoptr(WsHostFirewall) wanted = firewall_of(set->args);
  RpcLink *link = hosts_link(set->center, set->host, error);
  if (!link || !tell(link, wanted, error))
    return false;
  WsHost *host = inv_edit_id(task_txn(task), &ws_type_host, set->host);
  if (host) {
    ws_host_firewall_free(host->firewall);
    host->firewall = g_steal_pointer(&wanted);
  }
  return true;
}

/* The inventory has the one of before as long as the step has not ended. */
static bool take_back(Task *task, void *ctx, GError **error)
{
  const Set *set = ctx;
  g_autoptr(InvSnapshot) snap = inv_snapshot(set->center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, set->host);
  RpcLink *link = host ? hosts_link(set->center, set->host, error) : NULL;
  return !host || (link && tell(link, host->firewall, error));
}

/* What a rule means is the agent's to say; what cannot be anywhere is refused before there is a task. */
static bool check_rules(const WsHostSetFirewall *args, GError **error)
{
  for (guint i = 0; i < args->rules.len; i++) {
    const WsHostFirewallRule *rule = args->rules.items[i];
    g_autofree char *field = g_strdup_printf("rules[%u].ports", i);
    char *end;
    if (!rule->ports)
      continue;
    if (rule->protocol == WS_HOST_FIREWALL_RULE_PROTOCOL_ANY || rule->protocol == WS_HOST_FIREWALL_RULE_PROTOCOL_ICMP)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "ports for tcp and udp only", NULL);
    guint64 first = g_ascii_strtoull(rule->ports, &end, 10), last = *end ? g_ascii_strtoull(end + 1, NULL, 10) : first;
    if (first < 1 || last < first || last > 65535)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "ports from 1 to 65535, the first before the last", NULL);
  }
  return true;
}

bool host_set_firewall(Task *task, GError **error)
{
  Set set = {task_center(task), task_target(task), task_args(task)};
  TaskLockRef lock = {&ws_type_host, set.host, false};
  if (!task_find_target(task, error) || !check_rules(set.args, error) ||
      !(task_is_resumed(task) || hosts_link(set.center, set.host, error)) || !task_lock(task, &lock, 1, error))
    return false;
  g_hash_table_add(set.center->firewalls_under_way, g_memdup2(&set.host, sizeof set.host));
  bool ok = task_last_step(task, "apply", apply, take_back, &set, error);
  g_hash_table_remove(set.center->firewalls_under_way, &set.host);
  return ok;
}

bool network_resync_firewall(Center *center, WsId id, RpcLink *link, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  /* While a task has told it another one and not recorded that yet, the inventory's is of before; the task says the right one, or takes it back. */
  if (!host || !host->firewall || g_hash_table_contains(center->firewalls_under_way, &id))
    return true;
  return tell(link, host->firewall, error);
}
