// SPDX-License-Identifier: Apache-2.0
/* Scenarios of clusters: balance, maintenance, restart, one more VM, fragments. Whatever a scenario expects, each step must be allowed where it stands,
 * nothing may end worse than it began, the same must come out again, and nothing may be left to do afterwards. See plan-scenario.h. */
#include "plan-scenario.h"
#include "plan/balance.h"
#include "plan/defrag.h"
#include <math.h>
#include <string.h>

#define KEYS(object, ...) scenario_keys(object, (const char *const[]){__VA_ARGS__, NULL})
#define NOTHING 1e-9

typedef struct {
  PlanCluster c;
  json_t *hosts, *vms;
  GPtrArray *tag_names;
} Scene;

static void read_hosts(Scene *s)
{
  PlanCluster *c = &s->c;
  c->n_hosts = (guint32)json_array_size(s->hosts);
  c->hosts = g_new0(PlanBalanceHost, c->n_hosts + 1);
  for (guint h = 0; h < c->n_hosts; h++) {
    json_t *row = json_array_get(s->hosts, h);
    KEYS(row, "name", "memory", "disk", "cpus", "set", "in_service");
    PlanBalanceHost *host = &c->hosts[h];
    host->memory = host->memory_free = scenario_int(row, "memory", 100);
    host->disk = host->disk_free = scenario_int(row, "disk", 1000);
    host->cpus = scenario_number(row, "cpus", 16);
    host->set = (guint32)scenario_int(row, "set", 0);
    host->in_service = scenario_bool(row, "in_service", true);
  }
}

static guint32 tag_number(Scene *s, const char *name)
{
  for (guint k = 0; k < s->tag_names->len; k++)
    if (strcmp(s->tag_names->pdata[k], name) == 0)
      return k;
  g_ptr_array_add(s->tag_names, (char *)name);
  return s->tag_names->len - 1;
}

static PlanBalanceVm read_vm(Scene *s, json_t *row, GArray *tags)
{
  KEYS(row, "name", "memory", "disk", "vcpus", "load", "disks", "runs", "reserved", "host", "second", "apart");
  const char *disks = scenario_text(row, "disks", "shared"), *host = scenario_text(row, "host", NULL), *second = scenario_text(row, "second", NULL);
  PlanBalanceVm vm = {.memory = scenario_int(row, "memory", 10),
                      .disk = scenario_int(row, "disk", 10),
                      .vcpus = (guint32)scenario_int(row, "vcpus", 2),
                      .disks = strcmp(disks, "shared") == 0 ? PLAN_DISKS_SHARED : strcmp(disks, "mirrored") == 0 ? PLAN_DISKS_MIRRORED : PLAN_DISKS_FIXED,
                      .runs = scenario_bool(row, "runs", true),
                      .is_reserved_for = scenario_bool(row, "reserved", true),
                      .host = host ? scenario_index(s->hosts, host) : PLAN_NO_HOST,
                      .second = second ? scenario_index(s->hosts, second) : PLAN_NO_HOST,
                      .tags_start = tags->len};
  json_t *value;
  size_t k;
  json_array_foreach(scenario_get(row, "load"), k, value)
    if (k < PLAN_N_LOADS)
      vm.load[k] = json_number_value(value);
  json_array_foreach(scenario_get(row, "apart"), k, value) {
    guint32 tag = tag_number(s, json_string_value(value));
    g_array_append_val(tags, tag);
    vm.n_tags++;
  }
  return vm;
}

/* Room that its VMs take, or give back. */
static void take_room(PlanCluster *c, const PlanBalanceVm *vm, int sign)
{
  c->hosts[vm->host].memory_free -= vm->runs ? sign * vm->memory : 0;
  c->hosts[vm->host].disk_free -= vm->disks == PLAN_DISKS_SHARED ? 0 : sign * vm->disk;
  if (vm->second != PLAN_NO_HOST)
    c->hosts[vm->second].disk_free -= sign * vm->disk;
}

static Scene *read_scene(json_t *scenario)
{
  Scene *s = g_new0(Scene, 1);
  s->hosts = scenario_get(scenario, "hosts");
  s->vms = scenario_get(scenario, "vms");
  s->tag_names = g_ptr_array_new();
  s->c.vcpu_ratio = scenario_number(scenario, "vcpu_ratio", 0);
  read_hosts(s);
  s->c.n_vms = (guint32)json_array_size(s->vms);
  s->c.vms = g_new0(PlanBalanceVm, s->c.n_vms + 2);
  GArray *tags = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (guint v = 0; v < s->c.n_vms; v++) {
    s->c.vms[v] = read_vm(s, json_array_get(s->vms, v), tags);
    take_room(&s->c, &s->c.vms[v], 1);
  }
  if (scenario_get(scenario, "new"))
    s->c.vms[s->c.n_vms] = read_vm(s, scenario_get(scenario, "new"), tags);
  s->c.n_tags = s->tag_names->len;
  s->c.tags = (guint32 *)(void *)g_array_free(tags, FALSE);
  return s;
}

static void scene_free(Scene *s)
{
  g_free(s->c.hosts);
  g_free(s->c.vms);
  g_free(s->c.tags);
  g_ptr_array_free(s->tag_names, TRUE);
  g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* ---- what must hold of every plan ---- */

static guint conflicts_on(const PlanCluster *c, guint32 host)
{
  guint n = 0;
  for (guint32 a = 0; a < c->n_vms; a++)
    for (guint32 b = 0; b < a; b++)
      for (guint32 x = 0; c->vms[a].host == host && c->vms[b].host == host && x < c->vms[a].n_tags; x++)
        for (guint32 y = 0; y < c->vms[b].n_tags; y++)
          n += c->tags[c->vms[a].tags_start + x] == c->tags[c->vms[b].tags_start + y];
  return n;
}

static double vcpus_on(const PlanCluster *c, guint32 host)
{
  double sum = 0;
  for (guint32 v = 0; v < c->n_vms; v++)
    sum += c->vms[v].host == host && c->vms[v].runs ? c->vms[v].vcpus : 0;
  return sum;
}

static void do_step(PlanCluster *c, const PlanStep *step)
{
  PlanBalanceVm *vm = &c->vms[step->vm];
  const PlanBalanceHost *to = &c->hosts[step->host];
  g_assert_cmpuint(vm->host, ==, step->host_before);
  g_assert_cmpuint(vm->second, ==, step->second_before);
  g_assert_cmpint(vm->disks, !=, PLAN_DISKS_FIXED);
  g_assert_true(to->in_service);
  g_assert_cmpuint(to->set, ==, c->hosts[vm->host].set);
  guint conflicts = conflicts_on(c, step->host);
  bool comes = vm->host != step->host;
  take_room(c, vm, -1);
  vm->host = step->host;
  vm->second = step->second;
  take_room(c, vm, 1);
  g_assert_cmpint(to->disk_free, >=, 0);
  if (comes) {
    g_assert_true(to->memory_free >= 0 || !vm->runs);
    g_assert_cmpuint(conflicts_on(c, step->host), <=, conflicts);
    g_assert_true(c->vcpu_ratio <= 0 || !vm->runs || vcpus_on(c, step->host) <= c->vcpu_ratio * to->cpus);
  }
  if (step->second != PLAN_NO_HOST) {
    g_assert_true(c->hosts[step->second].in_service);
    g_assert_cmpint(c->hosts[step->second].disk_free, >=, 0);
  }
}

static void do_all(Scene *s, const PlanBalanceResult *result, bool only_evacuate)
{
  double parts[PLAN_N_SCORE_PARTS];
  for (guint32 k = 0; k < result->n_steps; k++) {
    const PlanStep *step = &result->steps[k];
    if (only_evacuate)
      g_assert_true(!s->c.hosts[step->host_before].in_service || (step->second_before != PLAN_NO_HOST && !s->c.hosts[step->second_before].in_service));
    do_step(&s->c, step);
    g_assert_cmpfloat_with_epsilon(plan_balance_score(&s->c, parts), step->score, 1e-6);
  }
}

static void expect_same(const PlanBalanceResult *a, const PlanBalanceResult *b)
{
  g_assert_cmpuint(a->n_steps, ==, b->n_steps);
  for (guint32 k = 0; k < a->n_steps; k++) {
    g_assert_cmpuint(a->steps[k].vm, ==, b->steps[k].vm);
    g_assert_cmpuint(a->steps[k].host, ==, b->steps[k].host);
    g_assert_cmpuint(a->steps[k].second, ==, b->steps[k].second);
  }
}

/* ---- what a scenario expects ---- */

static const char *host_name(const Scene *s, guint32 host)
{
  return host == PLAN_NO_HOST ? "none" : scenario_text(json_array_get(s->hosts, host), "name", NULL);
}

static void expect_at(const Scene *s, json_t *expect)
{
  const char *name;
  json_t *value;
  size_t k;
  json_object_foreach(scenario_get(expect, "at"), name, value) {
    const char *host = host_name(s, s->c.vms[scenario_index(s->vms, name)].host);
    if (strcmp(host, json_string_value(value)) != 0)
      scenario_fail("%s is on %s, not on %s", name, host, json_string_value(value));
  }
  json_object_foreach(scenario_get(expect, "second"), name, value) {
    const char *host = host_name(s, s->c.vms[scenario_index(s->vms, name)].second);
    if (strcmp(host, json_string_value(value)) != 0)
      scenario_fail("the second of %s is %s, not %s", name, host, json_string_value(value));
  }
  json_array_foreach(scenario_get(expect, "empty"), k, value) {
    guint host = scenario_index(s->hosts, json_string_value(value));
    for (guint32 v = 0; v < s->c.n_vms; v++)
      if (s->c.vms[v].host == host || s->c.vms[v].second == host)
        scenario_fail("%s is not empty", json_string_value(value));
  }
}

static void expect_counts(const Scene *s, json_t *expect)
{
  const char *name;
  json_t *value;
  json_object_foreach(scenario_get(expect, "count"), name, value) {
    guint host = scenario_index(s->hosts, name), n = 0;
    for (guint32 v = 0; v < s->c.n_vms; v++)
      n += s->c.vms[v].host == host;
    if (n != json_integer_value(value))
      scenario_fail("%s has %u VMs, not %u", name, n, (guint)json_integer_value(value));
  }
  guint conflicts = 0;
  for (guint32 h = 0; h < s->c.n_hosts; h++)
    conflicts += conflicts_on(&s->c, h);
  if (conflicts != scenario_int(expect, "conflicts", conflicts))
    scenario_fail("%u pairs that should be apart are together", conflicts);
}

void scenario_balance(json_t *scenario)
{
  g_autoptr(Scene) s = read_scene(scenario);
  json_t *expect = scenario_get(scenario, "expect");
  KEYS(expect, "steps", "steps_max", "stranded", "score_before", "score_after", "score_below", "at", "second", "empty", "count", "conflicts");
  PlanBalanceOptions options = {.max_steps = (guint32)scenario_int(scenario, "limit", 0),
                                .only_evacuate = scenario_bool(scenario, "only_evacuate", false),
                                .min_gain = scenario_number(scenario, "min_gain", 0)};
  PlanBalanceResult result, twin, rest;
  plan_balance(&s->c, &options, &result);
  plan_balance(&s->c, &options, &twin);
  expect_same(&result, &twin);
  g_assert_cmpfloat(result.score_after, <=, result.score_before + NOTHING);
  do_all(s, &result, options.only_evacuate);
  g_assert_cmpuint(result.n_steps, ==, scenario_int(expect, "steps", result.n_steps));
  g_assert_cmpuint(result.n_steps, <=, scenario_int(expect, "steps_max", result.n_steps));
  g_assert_cmpuint(result.n_stranded, ==, scenario_int(expect, "stranded", 0));
  g_assert_cmpfloat_with_epsilon(result.score_before, scenario_number(expect, "score_before", result.score_before), 1e-6);
  g_assert_cmpfloat_with_epsilon(result.score_after, scenario_number(expect, "score_after", result.score_after), 1e-6);
  g_assert_cmpfloat(result.score_after, <=, scenario_number(expect, "score_below", result.score_after));
  expect_at(s, expect);
  expect_counts(s, expect);
  plan_balance(&s->c, &options, &rest);
  if (!options.max_steps)
    g_assert_cmpuint(rest.n_steps, ==, 0);
  plan_balance_result_clear(&result);
  plan_balance_result_clear(&twin);
  plan_balance_result_clear(&rest);
}

void scenario_one_more(json_t *scenario)
{
  g_autoptr(Scene) s = read_scene(scenario);
  json_t *expect = scenario_get(scenario, "expect");
  KEYS(expect, "host");
  double score, parts[PLAN_N_SCORE_PARTS];
  PlanBalanceVm vm = s->c.vms[s->c.n_vms];
  guint32 host = plan_balance_place(&s->c, &vm, &score);
  if (g_strcmp0(host_name(s, host), scenario_text(expect, "host", "none")) != 0)
    scenario_fail("host %s, not %s", host_name(s, host), scenario_text(expect, "host", "none"));
  if (host == PLAN_NO_HOST)
    return;
  s->c.vms[s->c.n_vms++].host = host;
  take_room(&s->c, &s->c.vms[s->c.n_vms - 1], 1);
  g_assert_cmpfloat_with_epsilon(plan_balance_score(&s->c, parts), score, 1e-6);
}

/* ---- fragments ---- */

static void numa_room(PlanNumaCluster *c, const PlanNumaVm *vm, guint32 node, int sign)
{
  for (guint k = 0; k <= vm->both; k++) {
    c->nodes[node + k].cpus -= sign * vm->cpus;
    c->nodes[node + k].memory -= sign * vm->memory;
    g_assert_cmpint(c->nodes[node + k].cpus, >=, 0);
    g_assert_cmpint(c->nodes[node + k].memory, >=, 0);
  }
}

static gint64 free_slots(const PlanNumaCluster *c)
{
  gint64 n = 0;
  for (guint k = 0; k < c->n_hosts * 2; k++) {
    gint64 fit = c->nodes[k].cpus / c->slot_cpus;
    n += c->slot_memory ? MIN(fit, c->nodes[k].memory / c->slot_memory) : fit;
  }
  return n;
}

static void read_numa(json_t *scenario, PlanNumaCluster *c)
{
  json_t *hosts = scenario_get(scenario, "hosts"), *vms = scenario_get(scenario, "vms"), *slot = scenario_get(scenario, "slot");
  KEYS(slot, "cpus", "memory");
  *c = (PlanNumaCluster){.n_hosts = (guint32)json_array_size(hosts), .n_vms = (guint32)json_array_size(vms), .slot_cpus = scenario_int(slot, "cpus", 16), .slot_memory = scenario_int(slot, "memory", 0)};
  c->nodes = g_new0(PlanNumaNode, c->n_hosts * 2 + 1);
  c->vms = g_new0(PlanNumaVm, c->n_vms + 1);
  for (guint h = 0; h < c->n_hosts; h++) {
    json_t *row = json_array_get(hosts, h);
    KEYS(row, "name", "nodes", "cpus", "memory");
    for (guint k = 0; k < scenario_int(row, "nodes", 2); k++)
      c->nodes[h * 2 + k] = (PlanNumaNode){scenario_int(row, "cpus", 32), scenario_int(row, "memory", 1000)};
  }
  for (guint v = 0; v < c->n_vms; v++) {
    json_t *row = json_array_get(vms, v);
    KEYS(row, "name", "cpus", "memory", "host", "node", "both", "fixed");
    bool both = scenario_bool(row, "both", false);
    c->vms[v] = (PlanNumaVm){.cpus = scenario_int(row, "cpus", 1) / (both ? 2 : 1), .memory = scenario_int(row, "memory", 0) / (both ? 2 : 1), .both = both, .fixed = scenario_bool(row, "fixed", false),
                             .node = scenario_index(hosts, scenario_text(row, "host", NULL)) * 2 + (guint32)scenario_int(row, "node", 0)};
  }
}

void scenario_defrag(json_t *scenario)
{
  PlanNumaCluster c;
  read_numa(scenario, &c);
  json_t *expect = scenario_get(scenario, "expect");
  KEYS(expect, "before", "after", "steps", "steps_max");
  guint32 limit = (guint32)scenario_int(scenario, "limit", 1000);
  PlanDefragResult result, twin;
  plan_defrag(&c, limit, 1, &result);
  plan_defrag(&c, limit, 1, &twin);
  g_assert_cmpuint(result.n_steps, ==, twin.n_steps);
  g_assert_cmpint(result.slots_before, ==, scenario_int(expect, "before", result.slots_before));
  g_assert_cmpint(result.slots_after, ==, scenario_int(expect, "after", result.slots_after));
  g_assert_cmpint(result.slots_after, >=, result.slots_before);
  g_assert_cmpuint(result.n_steps, ==, scenario_int(expect, "steps", result.n_steps));
  g_assert_cmpuint(result.n_steps, <=, MIN(limit, scenario_int(expect, "steps_max", limit)));
  for (guint32 v = 0; result.slots_before >= 0 && v < c.n_vms; v++)
    numa_room(&c, &c.vms[v], c.vms[v].node, 1);
  for (guint32 k = 0; k < result.n_steps; k++) {
    const PlanDefragStep *step = &result.steps[k];
    PlanNumaVm *vm = &c.vms[step->vm];
    g_assert_false(vm->fixed);
    g_assert_cmpuint(vm->node, ==, step->from);
    numa_room(&c, vm, step->from, -1);
    numa_room(&c, vm, step->to, 1);
    vm->node = step->to;
    g_assert_cmpint(free_slots(&c), ==, step->slots);
    g_assert_cmpuint(step->vm, ==, twin.steps[k].vm);
    g_assert_cmpuint(step->to, ==, twin.steps[k].to);
  }
  plan_defrag_result_clear(&result);
  plan_defrag_result_clear(&twin);
  g_free(c.nodes);
  g_free(c.vms);
}
