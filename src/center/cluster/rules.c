// SPDX-License-Identifier: Apache-2.0
/* Affinity rules: made, changed, looked at. What they mean is plan/rules.h. Calls: core loop; views: a worker. */
#include "base/log.h"
#include "center/api/call.h"
#include "center/api/view.h"
#include "center/cluster/cluster.h"
#include "center/room_rules.h"
#include "center/verbs.h"

/* ---- what a rule may say ---- */

static bool refuse(GError **error, const char *field, const char *expected)
{
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

static bool check_vms(const InvSnapshot *head, const WsAffinityRule *rule, GError **error)
{
  for (guint i = 0; i < rule->vms.len; i++) {
    const WsVm *vm = inv_find(head, &ws_type_vm, rule->vms.items[i]);
    const WsHost *host = vm ? inv_find(head, &ws_type_host, vm->host) : NULL;
    g_autofree char *field = g_strdup_printf("vms[%u]", i);
    if (!host || host->cluster != rule->cluster)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "a virtual machine of the cluster", NULL);
  }
  return true;
}

static bool check_hosts(const InvSnapshot *head, const WsAffinityRule *rule, GError **error)
{
  for (guint i = 0; i < rule->hosts.len; i++) {
    const WsHost *host = inv_find(head, &ws_type_host, rule->hosts.items[i]);
    g_autofree char *field = g_strdup_printf("hosts[%u]", i);
    if (!host || host->cluster != rule->cluster)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "a host of the cluster", NULL);
  }
  return true;
}

/* What the estate has become since does not keep anybody from another change of the rule. */
static bool asks_for_domains(const WsAffinityRule *rule, const WsAffinityRule *seen)
{
  return rule->enabled && plan_rule_is_hard((PlanRuleKind)rule->kind) &&
         (!seen || !seen->enabled || seen->kind != rule->kind || seen->min_domains != rule->min_domains);
}

static bool check_domains(const InvSnapshot *head, const WsAffinityRule *rule, const WsAffinityRule *seen,
                          GError **error)
{
  guint n = room_domains(head, rule->cluster);
  bool spreads = plan_rule_spreads((PlanRuleKind)rule->kind), said = rule->min_domains != WS_INT_UNSET;
  if (!spreads)
    return !said || refuse(error, "min_domains", "no number of fault domains with a rule of this kind");
  if (!asks_for_domains(rule, seen) || (said ? rule->min_domains : ROOM_DOMAINS_MIN) <= n)
    return true;
  g_autofree char *most =
      g_strdup_printf("no more fault domains than the hosts of the cluster make up: %u", n);
  return refuse(error, "min_domains", most);
}

/* On its own, then with the others. `seen`: what it was; NULL: it is new. */
static bool check(const InvSnapshot *head, const WsAffinityRule *rule, const WsAffinityRule *seen,
                  GError **error)
{
  bool names_hosts = plan_rule_names_hosts((PlanRuleKind)rule->kind);
  guint vms_needed = names_hosts ? 1 : 2;
  char text[WS_ID_TEXT_MAX];
  if (!inv_find(head, &ws_type_cluster, rule->cluster))
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "cluster", "object", ws_id_format("cl", rule->cluster, text), NULL);
  if (!rule->vm_label && rule->vms.len < vms_needed)
    return refuse(error, "vms", names_hosts ? "a virtual machine, or a label" : "two virtual machines at least, or a label");
  if (!names_hosts && (rule->hosts.len || rule->host_label))
    return refuse(error, "hosts", "no hosts with a rule of this kind");
  if (names_hosts && !rule->hosts.len && !rule->host_label)
    return refuse(error, "hosts", "a host, or a label");
  if (!check_vms(head, rule, error) || !check_hosts(head, rule, error) ||
      !check_domains(head, rule, seen, error))
    return false;
  g_autoptr(RoomRules) rules = room_rules_new(head, rule->cluster, NULL, rule);
  return !rule->enabled || room_rules_check_last(rules, error);
}

/* ---- calls ---- */

bool affinity_rule_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  WsAffinityRule *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!check(head, body, NULL, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create affinity rule", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  WsId id = rule->id;
  ws_resource_take_fields(&ws_type_affinity_rule, rule, body);
  rule->created = ws_clock_wall_us(center->clock);
  api_call_set_object(call, &ws_type_affinity_rule, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_affinity_rule, id, error);
}

/* VMs and hosts that have gone are not named any more. */
static void drop_gone(const InvSnapshot *head, WsAffinityRule *rule)
{
  guint n = 0;
  for (guint i = 0; i < rule->vms.len; i++)
    if (inv_find(head, &ws_type_vm, rule->vms.items[i]))
      rule->vms.items[n++] = rule->vms.items[i];
  rule->vms.len = n;
  n = 0;
  for (guint i = 0; i < rule->hosts.len; i++)
    if (inv_find(head, &ws_type_host, rule->hosts.items[i]))
      rule->hosts.items[n++] = rule->hosts.items[i];
  rule->hosts.len = n;
}

bool affinity_rule_update(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsAffinityRule *seen = api_call_find_target(call, head, error);
  gsize n;
  const char *patch = api_call_patch(call, &n);
  bool changed = false;
  if (!seen)
    return false;
  WsId id = seen->id;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsAffinityRule *rule = inv_edit(txn, seen);
  drop_gone(head, rule);
  if (!ws_object_merge_patch(&ws_type_affinity_rule, rule, patch, n, &changed, error) ||
      !check(head, rule, seen, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){changed ? "update affinity rule" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, &ws_type_affinity_rule, seen);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_affinity_rule, id, error);
}

/* ---- views ---- */

bool affinity_rule_violations(const ApiView *view, void **result, GError **error)
{
  const WsAffinityRule *rule = view->object;
  g_autoptr(RoomRules) rules = room_rules_new(view->snap, rule->cluster, NULL, NULL);
  *result = room_rules_violations(rules, rule->id);
  return true;
}

bool cluster_rule_violations(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  g_autoptr(RoomRules) rules = room_rules_new(view->snap, cluster->id, NULL, NULL);
  *result = room_rules_violations(rules, 0);
  return true;
}
