// SPDX-License-Identifier: Apache-2.0
/* Scenarios of a cluster's affinity rules: who may go where, what is broken, what DRS does about it. See
 * plan-scenario.h. */
#include "plan-scenario.h"
#include "plan/drs.h"
#include <string.h>

#define KEYS(object, ...) scenario_keys(object, (const char *const[]){__VA_ARGS__, NULL})

typedef struct {
  json_t *host_rows, *vm_rows;
  PlanDrs plan;
  PlanDrsOptions options;
  GPtrArray *lists; /* owns what rules point at */
} Cluster;

static PlanDrsHost host_of(json_t *row)
{
  KEYS(row, "name", "domain", "memory_gib", "takes", "empties");
  gint64 gib = scenario_int(row, "memory_gib", 64);
  return (PlanDrsHost){.name = scenario_text(row, "name", NULL),
                       .domain = scenario_text(row, "domain", NULL),
                       .threads = 16,
                       .memory_bytes = gib << 30,
                       .memory_limit_bytes = gib << 30,
                       .vcpus_limit = 256,
                       .takes = scenario_bool(row, "takes", true),
                       .empties = scenario_bool(row, "empties", false)};
}

static PlanDrsVm vm_of(const Cluster *c, json_t *row)
{
  KEYS(row, "name", "host", "memory_gib", "cpu", "movable");
  const char *host = scenario_text(row, "host", NULL);
  gint64 bytes = scenario_int(row, "memory_gib", 1) << 30;
  double cpu = scenario_number(row, "cpu", 0.1);
  return (PlanDrsVm){.name = scenario_text(row, "name", NULL),
                     .host = host ? scenario_index(c->host_rows, host) : PLAN_DRS_NOWHERE,
                     .cpu = cpu,
                     .cpu_forecast = cpu,
                     .memory_used_bytes = bytes,
                     .memory_bytes = bytes,
                     .vcpus = 2,
                     .cost_s = 4,
                     .movable = scenario_bool(row, "movable", true),
                     .rested = true};
}

static PlanRuleKind kind_of(const char *word)
{
  static const char *const words[] = {"keep_together", "keep_apart",        "must_run_on", "must_not_run_on",
                                      "should_run_on", "should_not_run_on", "must_spread", "should_spread"};
  for (guint k = 0; k < G_N_ELEMENTS(words); k++)
    if (g_strcmp0(words[k], word) == 0)
      return (PlanRuleKind)(k + 1);
  scenario_fail("no kind of rule is called \"%s\"", word ? word : "");
}

static gint by_number(gconstpointer a, gconstpointer b)
{
  return *(const WsId *)a < *(const WsId *)b ? -1 : 1;
}

/* Numbers from 1 on, as the planner wants them. */
static const WsId *numbers_of(Cluster *c, json_t *names, json_t *rows, guint *n)
{
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  json_t *name;
  size_t k;
  json_array_foreach (names, k, name) {
    WsId id = scenario_index(rows, json_string_value(name)) + 1;
    g_array_append_val(ids, id);
  }
  g_array_sort(ids, by_number);
  g_ptr_array_add(c->lists, ids);
  *n = ids->len;
  return (const WsId *)ids->data;
}

static PlanRule rule_of(Cluster *c, json_t *row)
{
  KEYS(row, "name", "kind", "vms", "hosts", "min_domains");
  PlanRule rule = {.name = scenario_text(row, "name", "rule"),
                   .kind = kind_of(scenario_text(row, "kind", NULL))};
  rule.min_domains = (guint)scenario_int(row, "min_domains", 2);
  rule.vms = numbers_of(c, scenario_get(row, "vms"), c->vm_rows, &rule.n_vms);
  rule.hosts = numbers_of(c, scenario_get(row, "hosts"), c->host_rows, &rule.n_hosts);
  return rule;
}

static void check_placed(Cluster *c, json_t *expect, const guint32 *at)
{
  const char *vm;
  json_t *host;
  json_object_foreach (scenario_get(expect, "at"), vm, host) {
    guint32 is = at[scenario_index(c->vm_rows, vm)];
    const char *name = is == PLAN_DRS_NOWHERE ? "nowhere" : c->plan.hosts[is].name;
    bool wanted = json_is_string(host) && strcmp(name, json_string_value(host)) == 0;
    json_t *one;
    size_t k;
    json_array_foreach (host, k, one) /* any of these */
      wanted = wanted || strcmp(name, json_string_value(one)) == 0;
    if (!wanted)
      scenario_fail("%s is on %s", vm, name);
  }
}

static void check_number(json_t *expect, const char *key, guint is)
{
  if (scenario_get(expect, key) && scenario_int(expect, key, 0) != is)
    scenario_fail("%s: %u, not %" G_GINT64_FORMAT, key, is, scenario_int(expect, key, 0));
}

static void check_says(json_t *expect, const char *why)
{
  json_t *says;
  size_t k;
  json_array_foreach (scenario_get(expect, "says"), k, says)
    if (!why || !strstr(why, json_string_value(says)))
      scenario_fail("it does not say \"%s\": %s", json_string_value(says), why ? why : "nothing");
}

/* VMs without a host are placed, then DRS looks. */
void scenario_rules(json_t *scenario)
{
  json_t *expect = scenario_get(scenario, "expect"), *rule_rows = scenario_get(scenario, "rules");
  KEYS(expect, "unplaced", "moves", "broken", "at", "says");
  Cluster c = {scenario_get(scenario, "hosts"),
               scenario_get(scenario, "vms"),
               {0},
               {0},
               g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref)};
  guint n_hosts = (guint)json_array_size(c.host_rows), n_vms = (guint)json_array_size(c.vm_rows),
        n_rules = (guint)json_array_size(rule_rows);
  g_autofree PlanDrsHost *hosts = g_new0(PlanDrsHost, n_hosts + 1);
  g_autofree PlanDrsVm *vms = g_new0(PlanDrsVm, n_vms + 1);
  g_autofree PlanRule *rules = g_new0(PlanRule, n_rules + 1);
  g_autofree guint32 *at = g_new0(guint32, n_vms + 1);
  g_autofree char *why = NULL;
  for (guint k = 0; k < n_hosts; k++)
    hosts[k] = host_of(json_array_get(c.host_rows, k));
  for (guint k = 0; k < n_vms; k++)
    vms[k] = vm_of(&c, json_array_get(c.vm_rows, k));
  for (guint k = 0; k < n_rules; k++)
    rules[k] = rule_of(&c, json_array_get(rule_rows, k));
  c.plan = (PlanDrs){n_hosts, n_vms, n_rules, hosts, vms, NULL, rules};
  c.options = (PlanDrsOptions){.cpu_percent = 80,
                               .memory_percent = 90,
                               .aggression = 3,
                               .heal = scenario_bool(scenario, "heal", true)};
  c.options.balance = scenario_bool(scenario, "balance", false);
  PlanDrsResult result;
  check_number(expect, "unplaced", plan_drs_place(&c.plan, &c.options, &why));
  check_says(expect, why);
  plan_drs(&c.plan, &c.options, &result);
  for (guint k = 0; k < n_vms; k++)
    at[k] = vms[k].host;
  for (guint k = 0; k < result.moves->len; k++)
    at[g_array_index(result.moves, PlanDrsMove, k).vm] = g_array_index(result.moves, PlanDrsMove, k).to;
  check_placed(&c, expect, at);
  check_number(expect, "moves", result.moves->len);
  check_number(expect, "broken", result.n_broken);
  plan_drs_result_clear(&result);
  g_ptr_array_unref(c.lists);
}
