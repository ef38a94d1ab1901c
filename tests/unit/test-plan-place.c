// SPDX-License-Identifier: Apache-2.0
/* Where one VM goes, and what a host may promise. */
#include "plan/estate.h"
#include "plan/place.h"
#include <math.h>
#include <string.h>

#define GIB ((gint64)1 << 30)

static PlanHost host_of(WsId id, gint64 memory_gib, gint64 used_gib)
{
  return (PlanHost){.id = id,
                    .name = id == 1 ? "one" : id == 2 ? "two" : "three",
                    .architecture = WS_ARCHITECTURE_X86_64,
                    .connected = true,
                    .in_service = true,
                    .reaches = true,
                    .memory_bytes = memory_gib * GIB,
                    .memory_used_bytes = used_gib * GIB,
                    .vcpus = 16};
}

static void takes_the_host_with_most_room(void)
{
  PlanHost hosts[] = {host_of(1, 16, 8), host_of(2, 16, 2), host_of(3, 16, 4)};
  PlanDemand demand = {.memory_bytes = 4 * GIB, .vcpus = 2, .running = true};
  g_autofree char *why = NULL;

  g_assert_cmpuint(plan_place(hosts, 3, &demand, &why), ==, 2);
  g_assert_null(why);
}

/* What a host is refused for, each alone. */
static void each_refusal_names_its_reason(void)
{
  PlanHost fine = host_of(1, 16, 4);
  PlanDemand demand = {.architecture = WS_ARCHITECTURE_X86_64, .memory_bytes = 4 * GIB, .vcpus = 2, .running = true};
  g_assert_null(plan_refusal(&fine, &demand));

  struct {
    PlanHost host;
    PlanDemand demand;
    const char *says;
  } cases[10];
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    cases[i].host = fine;
    cases[i].demand = demand;
  }
  cases[0].host.connected = false, cases[0].says = "not connected";
  cases[1].host.in_service = false, cases[1].says = "maintenance";
  cases[2].host.architecture = WS_ARCHITECTURE_AARCH64, cases[2].says = "architecture";
  cases[3].demand.memory_bytes = 17 * GIB, cases[3].says = "less memory in all";
  cases[4].demand.vcpus = 17, cases[4].says = "fewer vCPUs in all";
  cases[5].host.memory_used_bytes = 13 * GIB, cases[5].says = "not enough memory left";
  cases[6].host.vcpus_used = 15, cases[6].says = "not enough vCPUs left";
  cases[7].demand.only_cluster = 7, cases[7].says = "cluster";
  cases[9].host.barred = "its CPU lacks avx2", cases[9].says = "avx2";
  cases[8].host.reaches = false, cases[8].says = "storage pools";
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    const char *said = plan_refusal(&cases[i].host, &cases[i].demand);
    g_assert_nonnull(said);
    if (!strstr(said, cases[i].says))
      g_error("case %u: \"%s\" does not say \"%s\"", i, said, cases[i].says);
  }
}

/* A VM that is only defined takes no room yet: it may wait for it. */
static void stopped_vm_needs_no_room_now(void)
{
  PlanHost hosts[] = {host_of(1, 16, 16)};
  PlanDemand demand = {.memory_bytes = 4 * GIB, .vcpus = 2};
  g_autofree char *why = NULL;

  g_assert_cmpuint(plan_place(hosts, 1, &demand, &why), ==, 1);
  demand.running = true;
  g_assert_cmpuint(plan_place(hosts, 1, &demand, &why), ==, 0);
  g_assert_true(g_str_has_prefix(why, "one: "));
}

static WsHost *facts_host(void)
{
  WsHost *host = ws_host_new();
  host->facts = ws_host_facts_new();
  host->facts->memory_bytes = 100 * GIB;
  host->facts->cpu = ws_host_cpu_new();
  host->facts->cpu->threads = 32;
  return host;
}

static void nearest_ratio_counts(void)
{
  g_autoptr(WsSite) site = ws_site_new();
  g_autoptr(WsCluster) cluster = ws_cluster_new();
  g_autoptr(WsHost) host = facts_host();

  ws_apply_defaults(&ws_type_site, site);
  PlanRatios ratios = plan_host_ratios(site, cluster, host);
  g_assert_cmpfloat(ratios.cpu, ==, 4);
  g_assert_cmpfloat(ratios.memory, ==, 1);
  cluster->cpu_overcommit_ratio = 2;
  cluster->memory_overcommit_ratio = 1.5;
  ratios = plan_host_ratios(site, cluster, host);
  g_assert_cmpfloat(ratios.cpu, ==, 2);
  host->memory_overcommit_ratio = 1.25;
  ratios = plan_host_ratios(site, cluster, host);
  g_assert_cmpfloat(ratios.cpu, ==, 2);
  g_assert_cmpfloat(ratios.memory, ==, 1.25);
  g_assert_cmpint(plan_host_vcpus_limit(host, &ratios), ==, 64);
}

static void host_keeps_memory_for_itself(void)
{
  g_autoptr(WsSite) site = ws_site_new();
  g_autoptr(WsHost) host = facts_host();

  ws_apply_defaults(&ws_type_site, site);
  PlanRatios ratios = plan_host_ratios(site, NULL, host);
  g_assert_cmpint(ratios.memory_reserved_bytes, ==, 100 * GIB / 100 * 5);
  g_assert_cmpint(plan_host_memory_limit_bytes(host, &ratios), ==, 100 * GIB - 100 * GIB / 100 * 5);
  host->facts->memory_bytes = 2 * GIB; /* a small one: 5 percent would be too little to live on */
  ratios = plan_host_ratios(site, NULL, host);
  g_assert_cmpint(ratios.memory_reserved_bytes, ==, GIB / 2);
  host->facts->memory_bytes = GIB / 2; /* never more than half */
  ratios = plan_host_ratios(NULL, NULL, host);
  g_assert_cmpint(ratios.memory_reserved_bytes, ==, GIB / 4);
  host->facts->memory_bytes = WS_INT_UNSET;
  ratios = plan_host_ratios(NULL, NULL, host);
  g_assert_cmpint(plan_host_memory_limit_bytes(host, &ratios), ==, 0);
}

static void vm_of_a_lost_host_still_holds_its_place(void)
{
  g_autoptr(WsVm) vm = ws_vm_new();
  g_assert_true(plan_vm_is_placed(vm));
  vm->power = ws_power_new();
  vm->power->state = WS_POWER_STATE_UNKNOWN;
  g_assert_true(plan_vm_is_placed(vm));
  vm->power->state = WS_POWER_STATE_OFF;
  g_assert_false(plan_vm_is_placed(vm));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/takes_the_host_with_most_room", takes_the_host_with_most_room);
  g_test_add_func("/each_refusal_names_its_reason", each_refusal_names_its_reason);
  g_test_add_func("/stopped_vm_needs_no_room_now", stopped_vm_needs_no_room_now);
  g_test_add_func("/nearest_ratio_counts", nearest_ratio_counts);
  g_test_add_func("/host_keeps_memory_for_itself", host_keeps_memory_for_itself);
  g_test_add_func("/vm_of_a_lost_host_still_holds_its_place", vm_of_a_lost_host_still_holds_its_place);
  return g_test_run();
}
