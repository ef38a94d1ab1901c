// SPDX-License-Identifier: Apache-2.0
#include "plan/cpu.h"
#include <string.h>

#define NAMES_MAX 8

static GHashTable *set_of(char *const *names, guint n)
{
  GHashTable *set = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < n; i++)
    g_hash_table_add(set, names[i]);
  return set;
}

static int by_name(gconstpointer a, gconstpointer b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const WsHostGuestCpuModel *find_model(const WsHostGuestCpu *cpu, const char *name)
{
  for (guint i = 0; i < cpu->models.len; i++)
    if (g_strcmp0(cpu->models.items[i]->name, name) == 0)
      return cpu->models.items[i];
  return NULL;
}

/* The hosts' vendor; NULL: they have several, or it is not told. */
static const char *common_vendor(const PlanCpuHost *hosts, guint n)
{
  const char *vendor = hosts[0].cpu->vendor;
  for (guint i = 1; i < n; i++)
    if (g_strcmp0(vendor, hosts[i].cpu->vendor) != 0)
      return NULL;
  return vendor;
}

/* Better: of the hosts' own vendor; then more features; then by name, so that the same hosts always give the same. */
static bool is_better(const WsHostGuestCpuModel *a, const WsHostGuestCpuModel *b, const char *vendor)
{
  bool own_a = vendor && g_strcmp0(a->vendor, vendor) == 0, own_b = vendor && g_strcmp0(b->vendor, vendor) == 0;
  if (own_a != own_b)
    return own_a;
  return a->features != b->features ? a->features > b->features : strcmp(a->name, b->name) < 0;
}

static const WsHostGuestCpuModel *best_model(const PlanCpuHost *hosts, guint n)
{
  const char *vendor = common_vendor(hosts, n);
  const WsHostGuestCpuModel *best = NULL;
  for (guint m = 0; m < hosts[0].cpu->models.len; m++) {
    const WsHostGuestCpuModel *model = hosts[0].cpu->models.items[m];
    bool common = model->name && (!model->vendor || (vendor && strcmp(model->vendor, vendor) == 0));
    for (guint i = 1; i < n && common; i++)
      common = find_model(hosts[i].cpu, model->name) != NULL;
    if (common && (!best || is_better(model, best, vendor)))
      best = model;
  }
  return best;
}

/* The keys, borrowed. */
static GPtrArray *sorted_names(GHashTable *set)
{
  GPtrArray *names = g_ptr_array_new();
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init(&iter, set);
  while (g_hash_table_iter_next(&iter, &name, NULL))
    g_ptr_array_add(names, name);
  g_ptr_array_sort(names, by_name);
  return names;
}

static GPtrArray *common_features(const PlanCpuHost *hosts, guint n)
{
  g_autoptr(GHashTable) common = set_of(hosts[0].cpu->features.items, hosts[0].cpu->features.len);
  for (guint i = 1; i < n; i++) {
    g_autoptr(GHashTable) there = set_of(hosts[i].cpu->features.items, hosts[i].cpu->features.len);
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init(&iter, common);
    while (g_hash_table_iter_next(&iter, &name, NULL))
      if (!g_hash_table_contains(there, name))
        g_hash_table_iter_remove(&iter);
  }
  return sorted_names(common);
}

/* Which hosts have something that the others lack, and so gives nothing to the cluster; and which lack what others have. */
static void add_limits(WsClusterCpuBaseline *baseline, const PlanCpuHost *hosts, guint n)
{
  for (guint i = 0; n > 1 && i < n; i++) {
    g_autofree PlanCpuHost *others = g_new(PlanCpuHost, n);
    guint n_others = 0;
    for (guint j = 0; j < n; j++)
      if (j != i)
        others[n_others++] = hosts[j];
    g_autoptr(GPtrArray) without = common_features(others, n_others);
    g_auto(GStrv) missing = plan_cpu_missing(hosts[i].cpu, NULL, (char *const *)without->pdata, without->len);
    if (!missing[0])
      continue;
    WsClusterCpuLimit *limit = ws_cluster_cpu_limit_new();
    limit->host = g_strdup(hosts[i].name);
    limit->features.len = g_strv_length(missing);
    limit->features.items = g_steal_pointer(&missing);
    ws_array_add(&baseline->limits, limit);
  }
}

WsClusterCpuBaseline *plan_cpu_baseline(const PlanCpuHost *hosts, guint n)
{
  const WsHostGuestCpuModel *model = n ? best_model(hosts, n) : NULL;
  if (!model)
    return NULL;
  g_autoptr(GPtrArray) features = common_features(hosts, n);
  WsClusterCpuBaseline *baseline = ws_cluster_cpu_baseline_new();
  baseline->model = g_strdup(model->name);
  baseline->vendor = g_strdup(common_vendor(hosts, n));
  baseline->hosts = n;
  baseline->features.len = features->len;
  baseline->features.items = g_new0(char *, features->len + 1);
  for (guint i = 0; i < features->len; i++)
    baseline->features.items[i] = g_strdup(features->pdata[i]);
  add_limits(baseline, hosts, n);
  return baseline;
}

char **plan_cpu_missing(const WsHostGuestCpu *there, const char *model, char *const *features, guint n)
{
  GPtrArray *missing = g_ptr_array_new();
  if (there && there->models.len) {
    g_autoptr(GHashTable) has = set_of(there->features.items, there->features.len);
    if (model && !find_model(there, model))
      g_ptr_array_add(missing, g_strdup_printf("model %s", model));
    for (guint i = 0; i < n; i++)
      if (!g_hash_table_contains(has, features[i]))
        g_ptr_array_add(missing, g_strdup(features[i]));
    g_ptr_array_sort(missing, by_name);
  }
  g_ptr_array_add(missing, NULL);
  return (char **)g_ptr_array_free(missing, FALSE);
}

char **plan_cpu_missing_of_vm(const WsVmCpu *cpu, const WsHostGuestCpu *here, const WsHostGuestCpu *there)
{
  if (cpu && cpu->mode == WS_VM_CPU_MODE_CUSTOM)
    return plan_cpu_missing(there, cpu->model, cpu->features.items, cpu->features.len);
  return plan_cpu_missing(here ? there : NULL, NULL, here ? here->features.items : NULL,
                          here ? here->features.len : 0);
}

bool plan_cpu_alike(const WsHostGuestCpu *a, const WsHostGuestCpu *b)
{
  if (a == b)
    return true;
  if (!a || !b || a->features.len != b->features.len || a->models.len != b->models.len)
    return false;
  for (guint i = 0; i < a->features.len; i++)
    if (strcmp(a->features.items[i], b->features.items[i]) != 0)
      return false;
  for (guint i = 0; i < a->models.len; i++)
    if (g_strcmp0(a->models.items[i]->name, b->models.items[i]->name) != 0)
      return false;
  return true;
}

char *plan_cpu_names(char *const *missing)
{
  GString *text = g_string_new(NULL);
  guint n = g_strv_length((char **)missing);
  for (guint i = 0; i < MIN(n, NAMES_MAX); i++)
    g_string_append_printf(text, "%s%s", i ? ", " : "", missing[i]);
  if (n > NAMES_MAX)
    g_string_append_printf(text, ", %u more", n - NAMES_MAX);
  return g_string_free(text, FALSE);
}
