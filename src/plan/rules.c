// SPDX-License-Identifier: Apache-2.0
/* Affinity rules. See rules.h. */
#include "plan/domains.h"
#include "plan/tally.h"

/* ---- one rule ---- */

static bool has(const WsId *ids, guint n, WsId id)
{
  guint low = 0, high = n;
  while (low < high) {
    guint middle = (low + high) / 2;
    if (ids[middle] == id)
      return true;
    if (ids[middle] < id)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

bool plan_rule_has_vm(const PlanRule *rule, WsId vm)
{
  return has(rule->vms, rule->n_vms, vm);
}

bool plan_rule_has_host(const PlanRule *rule, WsId host)
{
  return has(rule->hosts, rule->n_hosts, host);
}

static bool is_on(WsId vm, WsId host, const PlanWhere *where, guint *n)
{
  WsId hosts[2];
  *n = where->hosts_of(vm, hosts, where->arg);
  return (*n > 0 && hosts[0] == host) || (*n > 1 && hosts[1] == host);
}

/* keep apart: is another one there? keep together: does another one run, but not there? */
static bool collides(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  for (guint i = 0; i < rule->n_vms; i++) {
    guint n;
    bool there = rule->vms[i] != vm && is_on(rule->vms[i], host, where, &n);
    if (rule->vms[i] == vm || (rule->kind == PLAN_RULE_KEEP_APART ? !there : there || n == 0))
      continue;
    *other = rule->vms[i];
    return true;
  }
  return false;
}

static bool crowds(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  PlanTally *tally = where->tally_of ? where->tally_of(rule, where->arg) : NULL;
  return tally ? plan_tally_refuse(tally, vm, host, where, other)
               : plan_domains_refuse(rule, vm, host, where, other);
}

bool plan_rule_breaks(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  WsId found = 0;
  bool breaks = false;
  if (plan_rule_has_vm(rule, vm))
    switch (rule->kind) {
    case PLAN_RULE_KEEP_TOGETHER:
    case PLAN_RULE_KEEP_APART:
      breaks = collides(rule, vm, host, where, &found);
      break;
    case PLAN_RULE_MUST_RUN_ON:
    case PLAN_RULE_SHOULD_RUN_ON:
      breaks = !plan_rule_has_host(rule, host);
      break;
    case PLAN_RULE_MUST_NOT_RUN_ON:
    case PLAN_RULE_SHOULD_NOT_RUN_ON:
      breaks = plan_rule_has_host(rule, host);
      break;
    case PLAN_RULE_MUST_SPREAD:
    case PLAN_RULE_SHOULD_SPREAD:
      breaks = crowds(rule, vm, host, where, &found);
      break;
    }
  if (other)
    *other = found;
  return breaks;
}

/* ---- several ---- */

const PlanRule *plan_rules_refusal(const PlanRule *rules, guint n, WsId vm, WsId host, bool together, const PlanWhere *where, WsId *other)
{
  for (guint i = 0; i < n; i++)
    if (plan_rule_is_hard(rules[i].kind) && (together || rules[i].kind != PLAN_RULE_KEEP_TOGETHER) &&
        plan_rule_breaks(&rules[i], vm, host, where, other))
      return &rules[i];
  return NULL;
}

guint plan_rules_dislikes(const PlanRule *rules, guint n, WsId vm, WsId host, const PlanWhere *where)
{
  guint dislikes = 0;
  for (guint i = 0; i < n; i++)
    dislikes += !plan_rule_is_hard(rules[i].kind) && plan_rule_breaks(&rules[i], vm, host, where, NULL);
  return dislikes;
}

char *plan_rule_reason(const PlanRule *rule, const char *other)
{
  switch (rule->kind) {
  case PLAN_RULE_KEEP_TOGETHER:
    return g_strdup_printf("rule %s keeps it together with %s", rule->name, other ? other : "others");
  case PLAN_RULE_KEEP_APART:
    return g_strdup_printf("rule %s keeps it apart from %s", rule->name, other ? other : "others");
  case PLAN_RULE_MUST_RUN_ON:
    return g_strdup_printf("rule %s lets it run on other hosts only", rule->name);
  case PLAN_RULE_MUST_NOT_RUN_ON:
    return g_strdup_printf("rule %s does not let it run there", rule->name);
  case PLAN_RULE_SHOULD_RUN_ON:
    return g_strdup_printf("rule %s wants it on other hosts", rule->name);
  case PLAN_RULE_MUST_SPREAD:
  case PLAN_RULE_SHOULD_SPREAD:
    return g_strdup_printf("rule %s spreads over %u fault domains, and %s is in this one", rule->name,
                           rule->min_domains, other ? other : "another one");
  default:
    return g_strdup_printf("rule %s does not want it there", rule->name);
  }
}

/* ---- what breaks them ---- */

static void add_violation(GArray *found, guint rule, WsId vm, WsId host, WsId other)
{
  PlanViolation one = {rule, vm, host, other};
  g_array_append_val(found, one);
}

/* A VM that moves is looked at where it goes. */
static WsId host_of(WsId vm, const PlanWhere *where)
{
  WsId hosts[2];
  guint n = where->hosts_of(vm, hosts, where->arg);
  return n ? hosts[n - 1] : 0;
}

static void find_apart(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found)
{
  g_autoptr(GHashTable) first = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autofree WsId *hosts = g_new(WsId, rule->n_vms + 1);
  for (guint i = 0; i < rule->n_vms; i++) {
    hosts[i] = host_of(rule->vms[i], where);
    const WsId *other = hosts[i] ? g_hash_table_lookup(first, &hosts[i]) : NULL;
    if (other)
      add_violation(found, index, rule->vms[i], hosts[i], *other);
    else if (hosts[i])
      g_hash_table_insert(first, &hosts[i], (gpointer)&rule->vms[i]);
  }
}

static void find_together(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found)
{
  g_autofree WsId *hosts = g_new(WsId, rule->n_vms + 1);
  guint best = 0, most = 0;
  for (guint i = 0; i < rule->n_vms; i++)
    hosts[i] = host_of(rule->vms[i], where);
  for (guint i = 0; i < rule->n_vms; i++) {
    guint n = 0;
    for (guint j = 0; hosts[i] && j < rule->n_vms; j++)
      n += hosts[j] == hosts[i];
    if (n > most)
      most = n, best = i;
  }
  for (guint i = 0; most && i < rule->n_vms; i++)
    if (hosts[i] && hosts[i] != hosts[best])
      add_violation(found, index, rule->vms[i], hosts[i], rule->vms[best]);
}

GArray *plan_rules_violations(const PlanRule *rules, guint n, const PlanWhere *where)
{
  GArray *found = g_array_new(FALSE, FALSE, sizeof(PlanViolation));
  for (guint i = 0; i < n; i++) {
    if (rules[i].kind == PLAN_RULE_KEEP_APART)
      find_apart(&rules[i], i, where, found);
    else if (rules[i].kind == PLAN_RULE_KEEP_TOGETHER)
      find_together(&rules[i], i, where, found);
    else if (plan_rule_spreads(rules[i].kind))
      plan_domains_find(&rules[i], i, where, found);
    for (guint j = 0; plan_rule_names_hosts(rules[i].kind) && j < rules[i].n_vms; j++) {
      WsId host = host_of(rules[i].vms[j], where);
      if (host && plan_rule_breaks(&rules[i], rules[i].vms[j], host, where, NULL))
        add_violation(found, i, rules[i].vms[j], host, 0);
    }
  }
  return found;
}
