// SPDX-License-Identifier: Apache-2.0
/* Spread over fault domains. See domains.h. */
#include "plan/domains.h"

WsId plan_domain_of(const PlanWhere *where, WsId host)
{
  return where->domain_of ? where->domain_of(host, where->arg) : host;
}

guint plan_domains_of(const PlanWhere *where, WsId vm, WsId domains[2])
{
  guint n = where->hosts_of(vm, domains, where->arg);
  for (guint i = 0; i < n; i++)
    domains[i] = plan_domain_of(where, domains[i]);
  return n == 2 && domains[0] == domains[1] ? 1 : n;
}

static bool holds(const WsId *domains, guint n, WsId domain)
{
  for (guint i = 0; i < n; i++)
    if (domains[i] == domain)
      return true;
  return false;
}

/* Are the others in so many domains, wherever those arrive that move now? */
static bool others_hold(const PlanRule *rule, WsId vm, guint wanted, const PlanWhere *where)
{
  g_autofree WsId *held = g_new(WsId, (gsize)2 * wanted + 2);
  WsId at[2];
  guint n = 0, n_marked;
  for (guint i = 0; i < rule->n_vms && n < wanted; i++)
    if (rule->vms[i] != vm && plan_domains_of(where, rule->vms[i], at) == 1 && !holds(held, n, at[0]))
      held[n++] = at[0];
  n_marked = n;
  for (guint i = 0; i < rule->n_vms && n < wanted; i++)
    if (rule->vms[i] != vm && plan_domains_of(where, rule->vms[i], at) == 2 &&
        !holds(held, n_marked, at[0]) && !holds(held, n_marked, at[1])) {
      held[n_marked++] =
          at[0]; /* one of the two is held; which is not known, so both are passed over from now on */
      held[n_marked++] = at[1];
      n++;
    }
  return n >= wanted;
}

bool plan_domains_stays(const PlanWhere *where, WsId vm, WsId domain)
{
  WsId at[2] = {0, 0};
  if (where->home_of)
    at[0] = where->home_of(vm, where->arg);
  else if (!where->hosts_of(vm, at, where->arg))
    return false;
  return at[0] && plan_domain_of(where, at[0]) == domain;
}

bool plan_domains_refuse(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  WsId domain = plan_domain_of(where, host), beside = 0, at[2];
  guint running = 0;
  for (guint i = 0; i < rule->n_vms; i++) {
    guint n = rule->vms[i] == vm ? 0 : plan_domains_of(where, rule->vms[i], at);
    running += n > 0;
    if (!beside && holds(at, n, domain))
      beside = rule->vms[i];
  }
  bool refused = beside && !others_hold(rule, vm, MIN(running + 1, rule->min_domains), where) &&
                 !plan_domains_stays(where, vm, domain);
  *other = refused ? beside : 0;
  return refused;
}

void plan_domains_find(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found)
{
  g_autoptr(GHashTable) first = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autofree WsId *hosts = g_new0(WsId, rule->n_vms + 1), *domains = g_new0(WsId, rule->n_vms + 1);
  guint running = 0;
  for (guint i = 0; i < rule->n_vms; i++) {
    WsId at[2];
    guint n = where->hosts_of(rule->vms[i], at, where->arg);
    if (!n)
      continue;
    running++;
    hosts[i] = at[n - 1];
    domains[i] = plan_domain_of(where, hosts[i]);
    if (!g_hash_table_contains(first, &domains[i]))
      g_hash_table_insert(first, &domains[i], (gpointer)&rule->vms[i]);
  }
  guint wanted = MIN(running, rule->min_domains), held = g_hash_table_size(first);
  for (guint i = 0; i < rule->n_vms && held < wanted; i++) {
    const WsId *other = hosts[i] ? g_hash_table_lookup(first, &domains[i]) : NULL;
    PlanViolation one = {index, rule->vms[i], hosts[i], other ? *other : 0};
    if (!other || *other == one.vm)
      continue;
    g_array_append_val(found, one);
    held++;
  }
}
