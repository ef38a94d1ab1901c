// SPDX-License-Identifier: Apache-2.0
/* Scenarios of one VM (placement, moves, processors) and of problems with rules. See plan-scenario.h. */
#include "plan-scenario.h"
#include "plan/cpu.h"
#include "plan/move.h"
#include "plan/place.h"
#include "plan/solve.h"
#include "base/error.h"
#include <stdarg.h>
#include <string.h>

void scenario_fail(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *text = g_strdup_vprintf(format, args);
  va_end(args);
  g_error("%s", text);
}

json_t *scenario_get(json_t *object, const char *key)
{
  return json_object_get(object, key);
}

gint64 scenario_int(json_t *object, const char *key, gint64 preset)
{
  json_t *value = scenario_get(object, key);
  if (value && !json_is_integer(value))
    scenario_fail("%s is no integer", key);
  return value ? json_integer_value(value) : preset;
}

double scenario_number(json_t *object, const char *key, double preset)
{
  json_t *value = scenario_get(object, key);
  if (value && !json_is_number(value))
    scenario_fail("%s is no number", key);
  return value ? json_number_value(value) : preset;
}

bool scenario_bool(json_t *object, const char *key, bool preset)
{
  json_t *value = scenario_get(object, key);
  if (value && !json_is_boolean(value))
    scenario_fail("%s is not true or false", key);
  return value ? json_is_true(value) : preset;
}

const char *scenario_text(json_t *object, const char *key, const char *preset)
{
  json_t *value = scenario_get(object, key);
  if (value && !json_is_string(value))
    scenario_fail("%s is no text", key);
  return value ? json_string_value(value) : preset;
}

void scenario_keys(json_t *object, const char *const *keys)
{
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value)
    if (!g_strv_contains(keys, key))
      scenario_fail("nobody asks for \"%s\"", key);
}

guint scenario_index(json_t *array, const char *name)
{
  for (guint k = 0; k < json_array_size(array); k++)
    if (g_strcmp0(scenario_text(json_array_get(array, k), "name", NULL), name) == 0)
      return k;
  scenario_fail("nothing is called \"%s\"", name ? name : "");
}

#define KEYS(object, ...) scenario_keys(object, (const char *const[]){__VA_ARGS__, NULL})

/* ---- placement ---- */

static int architecture_of(json_t *object)
{
  const char *name = scenario_text(object, "architecture", NULL);
  return !name ? 0 : strcmp(name, "x86_64") == 0 ? 1 : strcmp(name, "aarch64") == 0 ? 2 : 3;
}

static PlanStrategy strategy_of(json_t *object, const char *key)
{
  const char *name = scenario_text(object, key, NULL);
  return !name                               ? 0
         : strcmp(name, "spread") == 0       ? PLAN_SPREAD
         : strcmp(name, "concentrated") == 0 ? PLAN_CONCENTRATED
                                             : (PlanStrategy)3;
}

static PlanHost place_host(json_t *host, WsId id)
{
  KEYS(host, "name", "architecture", "connected", "in_service", "reaches", "cluster", "memory_gib",
       "memory_used_gib", "vcpus", "vcpus_used", "barred", "strategy", "fill_percent", "measured_cpu",
       "measured_memory", "dislikes");
  return (PlanHost){.id = id,
                    .name = scenario_text(host, "name", NULL),
                    .architecture = architecture_of(host),
                    .connected = scenario_bool(host, "connected", true),
                    .in_service = scenario_bool(host, "in_service", true),
                    .reaches = scenario_bool(host, "reaches", true),
                    .cluster = (WsId)scenario_int(host, "cluster", 0),
                    .memory_bytes = scenario_int(host, "memory_gib", 64) << 30,
                    .memory_used_bytes = scenario_int(host, "memory_used_gib", 0) << 30,
                    .vcpus = scenario_int(host, "vcpus", 64),
                    .vcpus_used = scenario_int(host, "vcpus_used", 0),
                    .measured = scenario_get(host, "measured_cpu") != NULL,
                    .measured_cpu_percent = scenario_number(host, "measured_cpu", 0),
                    .measured_memory_percent = scenario_number(host, "measured_memory", 0),
                    .strategy = strategy_of(host, "strategy"),
                    .fill_percent = (guint)scenario_int(host, "fill_percent", 0),
                    .dislikes = (guint)scenario_int(host, "dislikes", 0),
                    .barred = scenario_text(host, "barred", NULL)};
}

void scenario_place(json_t *scenario)
{
  json_t *rows = scenario_get(scenario, "hosts"), *ask = scenario_get(scenario, "vm"), *expect = scenario_get(scenario, "expect");
  KEYS(ask, "architecture", "memory_gib", "vcpus", "only_host", "only_cluster", "running", "strategy");
  KEYS(expect, "host", "says", "by");
  guint n = (guint)json_array_size(rows);
  g_autofree PlanHost *hosts = g_new0(PlanHost, n + 1);
  for (guint k = 0; k < n; k++)
    hosts[k] = place_host(json_array_get(rows, k), k + 1);
  const char *only = scenario_text(ask, "only_host", NULL), *wanted = scenario_text(expect, "host", NULL);
  PlanDemand demand = {.architecture = architecture_of(ask),
                       .memory_bytes = scenario_int(ask, "memory_gib", 4) << 30,
                       .vcpus = scenario_int(ask, "vcpus", 2),
                       .only_host = only ? scenario_index(rows, only) + 1 : 0,
                       .only_cluster = (WsId)scenario_int(ask, "only_cluster", 0),
                       .running = scenario_bool(ask, "running", true),
                       .strategy = strategy_of(ask, "strategy")};
  g_autofree char *why = NULL;
  WsId host = plan_place(hosts, n, &demand, &why);
  if (host != (wanted ? scenario_index(rows, wanted) + 1 : 0))
    scenario_fail("host %s, not %s; %s", host ? hosts[host - 1].name : "none", wanted ? wanted : "none", why ? why : "");
  if (host && scenario_get(expect, "by") &&
      plan_chosen_by(&hosts[host - 1], &demand) != strategy_of(expect, "by"))
    scenario_fail("not chosen by %s", scenario_text(expect, "by", NULL));
  json_t *says;
  size_t k;
  json_array_foreach(scenario_get(expect, "says"), k, says)
    if (!why || !strstr(why, json_string_value(says)))
      scenario_fail("it does not say \"%s\": %s", json_string_value(says), why ? why : "nothing");
}

/* ---- a move ---- */

static guint number_of(const char *const *words, guint n, const char *word)
{
  for (guint k = 0; k < n; k++)
    if (g_strcmp0(words[k], word) == 0)
      return k;
  scenario_fail("\"%s\" is no word here", word ? word : "");
}

void scenario_move(json_t *scenario)
{
  static const char *const domains[] = {"unknown", "absent", "off", "gone over", "running", "paused", "incoming", "outgoing", "post-copy", "post-copy failed", "crashed"};
  static const char *const verdicts[] = {"", "start", "wait", "ask", "release", "end source", "resume source", "drop", "stayed", "went", "ended", "twice"};
  json_t *sight = scenario_get(scenario, "sight"), *expect = scenario_get(scenario, "expect");
  KEYS(sight, "source", "target", "working", "begun", "was_paused", "held");
  KEYS(expect, "verdict");
  PlanMoveSight s = {.source = (PlanMoveDomain)number_of(domains, G_N_ELEMENTS(domains), scenario_text(sight, "source", NULL)),
                     .target = (PlanMoveDomain)number_of(domains, G_N_ELEMENTS(domains), scenario_text(sight, "target", NULL)),
                     .working = scenario_bool(sight, "working", false),
                     .begun = scenario_bool(sight, "begun", true),
                     .was_paused = scenario_bool(sight, "was_paused", false),
                     .held = scenario_bool(sight, "held", true)};
  guint verdict = (guint)plan_move_verdict(&s), wanted = number_of(verdicts, G_N_ELEMENTS(verdicts), scenario_text(expect, "verdict", NULL));
  if (verdict != wanted)
    scenario_fail("%s, not %s", verdicts[verdict], verdicts[wanted]);
}

/* ---- processors ---- */

static WsHostGuestCpu *cpu_of(json_t *host)
{
  KEYS(host, "name", "vendor", "features", "models");
  WsHostGuestCpu *cpu = ws_host_guest_cpu_new();
  cpu->vendor = g_strdup(scenario_text(host, "vendor", NULL));
  json_t *value;
  size_t k;
  json_array_foreach(scenario_get(host, "features"), k, value)
    ws_array_add(&cpu->features, g_strdup(json_string_value(value)));
  const char *name;
  json_object_foreach(scenario_get(host, "models"), name, value) {
    KEYS(value, "vendor", "features");
    WsHostGuestCpuModel *model = ws_host_guest_cpu_model_new();
    model->name = g_strdup(name);
    model->vendor = g_strdup(scenario_text(value, "vendor", NULL));
    model->features = scenario_int(value, "features", 0);
    ws_array_add(&cpu->models, model);
  }
  return cpu;
}

static void expect_names(json_t *expect, const char *key, char *const *names, guint n)
{
  json_t *wanted = scenario_get(expect, key), *value;
  size_t k;
  if (!wanted)
    return;
  if (json_array_size(wanted) != n)
    scenario_fail("%s: %u, not %u", key, n, (guint)json_array_size(wanted));
  json_array_foreach(wanted, k, value)
    if (strcmp(names[k], json_string_value(value)) != 0)
      scenario_fail("%s: %s, not %s", key, names[k], json_string_value(value));
}

void scenario_cpu(json_t *scenario)
{
  json_t *rows = scenario_get(scenario, "hosts"), *expect = scenario_get(scenario, "expect"), *guest = scenario_get(scenario, "guest");
  KEYS(expect, "model", "vendor", "features", "limits", "missing");
  guint n = (guint)json_array_size(rows);
  g_autofree PlanCpuHost *hosts = g_new0(PlanCpuHost, n + 1);
  g_autoptr(GPtrArray) cpus = g_ptr_array_new_with_free_func((GDestroyNotify)ws_host_guest_cpu_free);
  for (guint k = 0; k < n; k++) {
    g_ptr_array_add(cpus, cpu_of(json_array_get(rows, k)));
    hosts[k] = (PlanCpuHost){scenario_text(json_array_get(rows, k), "name", NULL), cpus->pdata[k]};
  }
  if (guest) { /* may it run on the first? */
    KEYS(guest, "model", "features");
    g_autoptr(GPtrArray) features = g_ptr_array_new();
    json_t *value;
    size_t k;
    json_array_foreach(scenario_get(guest, "features"), k, value)
      g_ptr_array_add(features, (char *)json_string_value(value));
    g_auto(GStrv) missing = plan_cpu_missing(hosts[0].cpu, scenario_text(guest, "model", NULL), (char *const *)features->pdata, features->len);
    expect_names(expect, "missing", missing, g_strv_length(missing));
    return;
  }
  g_autoptr(WsClusterCpuBaseline) baseline = plan_cpu_baseline(hosts, n);
  const char *model = scenario_text(expect, "model", NULL);
  if (g_strcmp0(baseline ? baseline->model : NULL, model) != 0)
    scenario_fail("model %s, not %s", baseline ? baseline->model : "none", model ? model : "none");
  if (!baseline)
    return;
  if (scenario_get(expect, "vendor") && g_strcmp0(baseline->vendor, scenario_text(expect, "vendor", NULL)) != 0)
    scenario_fail("vendor %s", baseline->vendor);
  expect_names(expect, "features", baseline->features.items, baseline->features.len);
  g_autoptr(GPtrArray) limits = g_ptr_array_new();
  for (guint k = 0; k < baseline->limits.len; k++)
    g_ptr_array_add(limits, baseline->limits.items[k]->host);
  expect_names(expect, "limits", (char *const *)limits->pdata, limits->len);
}

/* ---- items on hosts, with rules ---- */

static gint64 element(json_t *array, guint k, gint64 preset)
{
  return array && k < json_array_size(array) ? json_integer_value(json_array_get(array, k)) : preset;
}

static void fill_hosts(PlanProblem *p, json_t *rows)
{
  gsize n = p->n_hosts;
  p->location = g_new0(guint32, n + 1);
  p->neighbourhood = g_new0(guint32, n + 1);
  p->capacity = g_new0(gint64, n * p->n_resources + 1);
  p->safety = g_new0(gint64, n * p->n_resources + 1);
  for (guint h = 0; h < n; h++) {
    json_t *row = json_array_get(rows, h);
    KEYS(row, "name", "location", "neighbourhood", "capacity", "safety");
    p->location[h] = (guint32)scenario_int(row, "location", 0);
    p->neighbourhood[h] = (guint32)scenario_int(row, "neighbourhood", 0);
    p->n_locations = MAX(p->n_locations, p->location[h] + 1);
    p->n_neighbourhoods = MAX(p->n_neighbourhoods, p->neighbourhood[h] + 1);
    for (guint r = 0; r < p->n_resources; r++) {
      p->capacity[h * p->n_resources + r] = element(scenario_get(row, "capacity"), r, 100);
      p->safety[h * p->n_resources + r] = element(scenario_get(row, "safety"), r, 50);
    }
  }
}

static void fill_groups(PlanProblem *p, json_t *rows)
{
  p->spread_min = g_new0(guint32, (gsize)p->n_groups + 1);
  p->needs_start = g_new0(guint32, (gsize)p->n_groups + 1);
  p->needs = g_new0(guint32, (gsize)p->n_groups * p->n_groups + 1);
  for (guint g = 0; g < p->n_groups; g++) {
    json_t *row = json_array_get(rows, g), *value;
    size_t k;
    KEYS(row, "name", "locations", "needs");
    p->spread_min[g] = (guint32)scenario_int(row, "locations", 0);
    p->needs_start[g + 1] = p->needs_start[g];
    json_array_foreach(scenario_get(row, "needs"), k, value)
      p->needs[p->needs_start[g + 1]++] = scenario_index(rows, json_string_value(value));
  }
}

static void add_host_set(PlanProblem *p, guint item, json_t *names, json_t *hosts)
{
  guint words = (p->n_hosts + 63) / 64;
  json_t *value;
  size_t k;
  p->host_set[item] = ++p->n_host_sets;
  json_array_foreach(names, k, value) {
    guint h = scenario_index(hosts, json_string_value(value));
    p->host_sets[(gsize)(p->n_host_sets - 1) * words + h / 64] |= (guint64)1 << (h % 64);
  }
}

static void fill_items(PlanProblem *p, json_t *rows, json_t *hosts, json_t *groups)
{
  gsize n = p->n_items;
  p->group = g_new0(guint32, n + 1);
  p->demand = g_new0(guint32, n * p->n_resources + 1);
  p->move_cost = g_new0(guint32, n + 1);
  p->initial = g_new0(guint32, n + 1);
  p->host_set = g_new0(guint32, n + 1);
  p->host_sets = g_new0(guint64, n * ((p->n_hosts + 63) / 64) + 1);
  for (guint i = 0; i < n; i++) {
    json_t *row = json_array_get(rows, i);
    KEYS(row, "name", "group", "demand", "move_cost", "host", "only");
    p->group[i] = scenario_index(groups, scenario_text(row, "group", NULL));
    p->move_cost[i] = (guint32)scenario_int(row, "move_cost", 1);
    p->initial[i] = scenario_index(hosts, scenario_text(row, "host", NULL));
    for (guint r = 0; r < p->n_resources; r++)
      p->demand[i * p->n_resources + r] = (guint32)element(scenario_get(row, "demand"), r, 0);
    if (scenario_get(row, "only"))
      add_host_set(p, i, scenario_get(row, "only"), hosts);
  }
}

static PlanProblem *problem_of(json_t *scenario)
{
  json_t *resources = scenario_get(scenario, "resources"), *hosts = scenario_get(scenario, "hosts"), *groups = scenario_get(scenario, "groups"),
         *items = scenario_get(scenario, "items"), *balances = scenario_get(scenario, "balances");
  PlanProblem *p = plan_problem_new();
  p->n_resources = (guint32)json_array_size(resources);
  p->n_hosts = (guint32)json_array_size(hosts);
  p->n_groups = (guint32)json_array_size(groups);
  p->n_items = (guint32)json_array_size(items);
  p->n_balances = (guint32)json_array_size(balances);
  p->transient = g_new0(bool, p->n_resources + 1);
  p->load_weight = g_new0(guint64, p->n_resources + 1);
  for (guint r = 0; r < p->n_resources; r++) {
    json_t *row = json_array_get(resources, r);
    KEYS(row, "name", "transient", "weight");
    p->transient[r] = scenario_bool(row, "transient", false);
    p->load_weight[r] = (guint64)scenario_int(row, "weight", 10);
  }
  fill_hosts(p, hosts);
  fill_groups(p, groups);
  fill_items(p, items, hosts, groups);
  p->balances = g_new0(PlanBalance, p->n_balances + 1);
  for (guint b = 0; b < p->n_balances; b++) {
    json_t *row = json_array_get(balances, b);
    KEYS(row, "a", "b", "target", "weight");
    p->balances[b] = (PlanBalance){scenario_index(resources, scenario_text(row, "a", NULL)), scenario_index(resources, scenario_text(row, "b", NULL)),
                                   (guint64)scenario_int(row, "target", 1), (guint64)scenario_int(row, "weight", 10)};
  }
  p->item_weight = (guint64)scenario_int(scenario, "item_weight", 1);
  p->group_weight = (guint64)scenario_int(scenario, "group_weight", 1);
  return p;
}

static double by_steps(void *arg, guint64 steps)
{
  return (double)steps / (double)*(const guint64 *)arg;
}

static void expect_places(json_t *scenario, json_t *expect, const guint32 *at)
{
  json_t *hosts = scenario_get(scenario, "hosts"), *items = scenario_get(scenario, "items"), *value;
  const char *name;
  json_object_foreach(scenario_get(expect, "at"), name, value) {
    const char *host = scenario_text(json_array_get(hosts, at[scenario_index(items, name)]), "name", NULL);
    if (strcmp(host, json_string_value(value)) != 0)
      scenario_fail("%s is on %s, not on %s", name, host, json_string_value(value));
  }
}

void scenario_assign(json_t *scenario)
{
  g_autoptr(PlanProblem) p = problem_of(scenario);
  json_t *expect = scenario_get(scenario, "expect"), *items = scenario_get(scenario, "items");
  KEYS(expect, "refused", "cost", "cost_before", "at", "moved");
  g_autoptr(GError) error = NULL;
  guint64 steps = 20000;
  const char *refused = scenario_text(expect, "refused", NULL);
  for (guint64 seed = 1; seed <= 3; seed++) {
    g_autofree guint32 *at = g_new0(guint32, p->n_items + 1), *twin = g_new0(guint32, p->n_items + 1);
    PlanResult result, again;
    PlanSearch search = {.seed = seed, .n_threads = (guint)seed % 2 + 1, .spent = by_steps, .arg = &steps};
    bool good = plan_solve(p, &search, at, &result, &error);
    if (refused) {
      if (good || !strstr(error->message, refused))
        scenario_fail("not refused for \"%s\": %s", refused, good ? "it was solved" : error->message);
      return;
    }
    g_assert_no_error(error);
    g_assert_true(plan_solve(p, &search, twin, &again, NULL));
    g_assert_cmpmem(at, p->n_items * sizeof *at, twin, p->n_items * sizeof *twin);
    g_assert_cmpint(result.end.total, <=, result.begin.total);
    g_assert_cmpint(result.begin.total, ==, scenario_int(expect, "cost_before", result.begin.total));
    g_assert_cmpint(result.end.total, ==, scenario_int(expect, "cost", result.end.total));
    g_assert_cmpuint(result.n_moved, ==, scenario_int(expect, "moved", result.n_moved));
    for (guint i = 0; i < p->n_items; i++) /* whatever else is expected */
      if (scenario_get(json_array_get(items, i), "only") && at[i] != p->initial[i])
        g_assert_true(p->host_sets[p->host_set[i] - 1] >> at[i] & 1);
    expect_places(scenario, expect, at);
  }
}
