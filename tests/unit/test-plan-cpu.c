// SPDX-License-Identifier: Apache-2.0
/* The CPU baseline, from models of processors as libvirt spells them out (tests/data/cpu/models). A machine with the processor of a model has
 * its features, and every model whose features are among them. */
#include "base/files.h"
#include "plan/cpu.h"
#include <string.h>

typedef struct {
  char *name, *vendor; /* vendor NULL: none */
  char **features;
} Model;

static GPtrArray *models;

static void read_models(void)
{
  g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", "cpu", "models", NULL);
  g_autoptr(GError) error = NULL;
  g_autofree char *text = ws_file_read(path, 1 << 20, NULL, &error);
  g_assert_no_error(error);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  models = g_ptr_array_new();
  for (guint i = 0; lines[i]; i++) {
    if (!*lines[i] || *lines[i] == '#')
      continue;
    char **words = g_strsplit(lines[i], " ", -1);
    Model *model = g_new0(Model, 1);
    *model = (Model){words[0], strcmp(words[1], "-") ? words[1] : NULL, words + 2};
    g_ptr_array_add(models, model);
  }
  g_assert_cmpuint(models->len, >, 12);
}

static const Model *find(const char *name)
{
  for (guint i = 0; i < models->len; i++)
    if (strcmp(((Model *)models->pdata[i])->name, name) == 0)
      return models->pdata[i];
  g_error("no model %s", name);
}

/* A host with that processor, and one feature more (NULL: none) or less ("-name"). */
static WsHostGuestCpu *machine(const char *name, const char *change)
{
  const Model *own = find(name);
  WsHostGuestCpu *cpu = ws_host_guest_cpu_new();
  cpu->vendor = g_strdup(own->vendor);
  for (guint i = 0; own->features[i]; i++)
    if (!change || *change != '-' || strcmp(own->features[i], change + 1) != 0)
      ws_array_add(&cpu->features, g_strdup(own->features[i]));
  if (change && *change != '-')
    ws_array_add(&cpu->features, g_strdup(change));
  for (guint i = 0; i < models->len; i++) {
    const Model *model = models->pdata[i];
    g_auto(GStrv) missing = NULL;
    WsHostGuestCpu probe = {.features = {cpu->features.len, cpu->features.items}};
    WsHostGuestCpuModel any = {.name = (char *)"any"}, *list[] = {&any};
    probe.models.len = 1;
    probe.models.items = list;
    missing = plan_cpu_missing(&probe, NULL, model->features, g_strv_length(model->features));
    if (missing[0])
      continue;
    WsHostGuestCpuModel *usable = ws_host_guest_cpu_model_new();
    usable->name = g_strdup(model->name);
    usable->vendor = g_strdup(model->vendor);
    usable->features = g_strv_length(model->features);
    ws_array_add(&cpu->models, usable);
  }
  return cpu;
}

static WsClusterCpuBaseline *baseline_of(WsHostGuestCpu **cpus, guint n)
{
  static const char *const names[] = {"a", "b", "c", "d"};
  PlanCpuHost hosts[4];
  for (guint i = 0; i < n; i++)
    hosts[i] = (PlanCpuHost){names[i], cpus[i]};
  return plan_cpu_baseline(hosts, n);
}

static bool has(const WsClusterCpuBaseline *baseline, const char *feature)
{
  for (guint i = 0; i < baseline->features.len; i++)
    if (strcmp(baseline->features.items[i], feature) == 0)
      return true;
  return false;
}

static void alike_hosts_give_all_they_have(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("Cascadelake-Server-noTSX", NULL), b = machine("Cascadelake-Server-noTSX", NULL);
  WsHostGuestCpu *cpus[] = {a, b};
  g_autoptr(WsClusterCpuBaseline) baseline = baseline_of(cpus, 2);
  g_assert_cmpstr(baseline->model, ==, "Cascadelake-Server-noTSX");
  g_assert_cmpstr(baseline->vendor, ==, "Intel");
  g_assert_cmpuint(baseline->features.len, ==, a->features.len);
  g_assert_cmpuint(baseline->limits.len, ==, 0);
}

static void oldest_host_holds_the_cluster_down_and_is_named(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("Icelake-Server-noTSX", NULL), b = machine("Icelake-Server-noTSX", "avx-vnni"), c = machine("Haswell-noTSX-IBRS", NULL);
  WsHostGuestCpu *cpus[] = {a, b, c};
  g_autoptr(WsClusterCpuBaseline) baseline = baseline_of(cpus, 3);
  g_assert_cmpstr(baseline->model, ==, "Haswell-noTSX-IBRS");
  g_assert_true(has(baseline, "avx2"));
  g_assert_false(has(baseline, "avx512f"));
  g_assert_cmpuint(baseline->limits.len, ==, 1);
  g_assert_cmpstr(baseline->limits.items[0]->host, ==, "c");
  bool named = false;
  for (guint i = 0; i < baseline->limits.items[0]->features.len; i++)
    named |= strcmp(baseline->limits.items[0]->features.items[i], "avx512f") == 0;
  g_assert_true(named);
}

static void feature_beyond_the_model_counts_when_all_have_it(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("EPYC-Rome", "extra"), b = machine("EPYC-Rome", "extra"), c = machine("EPYC-Rome", NULL);
  WsHostGuestCpu *with[] = {a, b}, *without[] = {a, b, c};
  g_autoptr(WsClusterCpuBaseline) two = baseline_of(with, 2), three = baseline_of(without, 3);
  g_assert_cmpstr(two->model, ==, "EPYC-Rome");
  g_assert_true(has(two, "extra"));
  g_assert_false(has(three, "extra"));
}

static void disabled_feature_takes_its_model_away(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("EPYC-Rome", NULL), b = machine("EPYC-Rome", "-clwb");
  WsHostGuestCpu *cpus[] = {a, b};
  g_autoptr(WsClusterCpuBaseline) baseline = baseline_of(cpus, 2);
  g_assert_cmpstr(baseline->model, ==, "EPYC");
  g_assert_false(has(baseline, "clwb"));
}

static void several_vendors_have_a_model_of_none(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("EPYC-Milan", NULL), b = machine("Skylake-Server-IBRS", NULL);
  WsHostGuestCpu *cpus[] = {a, b};
  g_autoptr(WsClusterCpuBaseline) baseline = baseline_of(cpus, 2);
  g_assert_null(baseline->vendor);
  g_assert_null(find(baseline->model)->vendor);
}

static void nothing_in_common_is_no_baseline(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("EPYC", NULL), none = ws_host_guest_cpu_new();
  WsHostGuestCpu *cpus[] = {a, none};
  g_assert_null(baseline_of(cpus, 2));
  g_assert_null(plan_cpu_baseline(NULL, 0));
}

static void order_of_hosts_does_not_matter(void)
{
  g_autoptr(WsHostGuestCpu) a = machine("Westmere", NULL), b = machine("Cascadelake-Server-noTSX", NULL), c = machine("Broadwell-noTSX", NULL);
  WsHostGuestCpu *one[] = {a, b, c}, *other[] = {c, b, a};
  g_autoptr(WsClusterCpuBaseline) x = baseline_of(one, 3), y = baseline_of(other, 3);
  g_assert_cmpstr(x->model, ==, "Westmere");
  g_assert_cmpstr(x->model, ==, y->model);
  g_assert_cmpuint(x->features.len, ==, y->features.len);
  for (guint i = 0; i < x->features.len; i++)
    g_assert_cmpstr(x->features.items[i], ==, y->features.items[i]);
}

static void what_is_missing_is_named(void)
{
  g_autoptr(WsHostGuestCpu) old = machine("Westmere", NULL), unknown = ws_host_guest_cpu_new();
  const Model *new = find("Haswell-noTSX-IBRS");
  guint n = g_strv_length(new->features);
  g_auto(GStrv) missing = plan_cpu_missing(old, new->name, new->features, n), none = plan_cpu_missing(unknown, new->name, new->features, n),
                self = plan_cpu_missing(old, "Nehalem", find("Nehalem")->features, 3);
  g_assert_true(g_strv_contains((const char *const *)missing, "avx2"));
  g_assert_true(g_strv_contains((const char *const *)missing, "model Haswell-noTSX-IBRS"));
  g_assert_null(none[0]);
  g_assert_null(self[0]);
  g_autofree char *names = plan_cpu_names(missing);
  g_assert_nonnull(strstr(names, " more"));
}

/* A custom model counts everywhere; what its host has counts only for a guest that runs. */
static void vm_counts_on_its_model_or_on_what_it_runs_with(void)
{
  g_autoptr(WsHostGuestCpu) old = machine("Westmere", NULL), new = machine("Haswell-noTSX-IBRS", NULL),
                            same = machine("Westmere", NULL);
  g_autoptr(WsVmCpu) cpu = ws_vm_cpu_new();
  g_auto(GStrv) runs = plan_cpu_missing_of_vm(cpu, new, old), off = plan_cpu_missing_of_vm(cpu, NULL, old),
                none = plan_cpu_missing_of_vm(NULL, NULL, old);
  g_assert_true(g_strv_contains((const char *const *)runs, "avx2"));
  g_assert_null(off[0]);
  g_assert_null(none[0]);
  cpu->mode = WS_VM_CPU_MODE_CUSTOM;
  cpu->model = g_strdup("Westmere");
  ws_array_add(&cpu->features, g_strdup("avx2"));
  g_auto(GStrv) custom = plan_cpu_missing_of_vm(cpu, NULL, old), fine = plan_cpu_missing_of_vm(cpu, old, new);
  g_assert_cmpuint(g_strv_length(custom), ==, 1);
  g_assert_cmpstr(custom[0], ==, "avx2");
  g_assert_false(g_strv_contains((const char *const *)fine, "avx2"));
  g_assert_true(plan_cpu_alike(old, same));
  g_assert_false(plan_cpu_alike(old, new));
  g_assert_false(plan_cpu_alike(old, NULL));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  read_models();
#define ADD(name) g_test_add_func("/plan/cpu/" #name, name)
  ADD(alike_hosts_give_all_they_have);
  ADD(oldest_host_holds_the_cluster_down_and_is_named);
  ADD(feature_beyond_the_model_counts_when_all_have_it);
  ADD(disabled_feature_takes_its_model_away);
  ADD(several_vendors_have_a_model_of_none);
  ADD(nothing_in_common_is_no_baseline);
  ADD(order_of_hosts_does_not_matter);
  ADD(what_is_missing_is_named);
  ADD(vm_counts_on_its_model_or_on_what_it_runs_with);
  return g_test_run();
}
