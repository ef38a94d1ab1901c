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

/* ---- what is reserved ---- */

static PlanHost overcommitted(WsId id)
{
  PlanHost host = host_of(id, 20, 0); /* twice of what it has */
  host.memory_real_bytes = 10 * GIB;
  host.cpu_percent = 400;
  return host;
}

static void reserved_memory_is_never_promised_twice(void)
{
  PlanHost host = overcommitted(1);
  PlanDemand reserved = {
      .memory_bytes = 6 * GIB, .vcpus = 1, .memory_reserved_bytes = 6 * GIB, .running = true};
  PlanDemand plain = {.memory_bytes = 6 * GIB, .vcpus = 1, .running = true};
  g_assert_null(plan_refusal(&host, &reserved));
  plan_host_add(&host, &reserved, 1);
  g_assert_nonnull(strstr(plan_refusal(&host, &reserved),
                          "beside what is reserved")); /* 12 of 10, though 12 of 20 by the ratio */
  g_assert_null(plan_refusal(&host, &plain));          /* 6 + 6/2 */
  plan_host_add(&host, &plain, 1);
  g_assert_nonnull(strstr(plan_refusal(&host, &plain),
                          "beside what is reserved")); /* 6 + 12/2: the ratio alone would let it in */
  plan_host_add(&host, &reserved, -1);
  g_assert_null(plan_refusal(&host, &plain));
  reserved.memory_bytes = reserved.memory_reserved_bytes = 11 * GIB;
  reserved.running = false;
  g_assert_nonnull(strstr(plan_refusal(&host, &reserved), "less memory in all"));
}

static void reserved_processors_are_never_promised_twice(void)
{
  PlanHost host = overcommitted(1);
  PlanDemand demand = {.memory_bytes = GIB, .vcpus = 3, .cpu_reserved_percent = 300, .running = true};
  g_assert_null(plan_refusal(&host, &demand));
  plan_host_add(&host, &demand, 1);
  g_assert_nonnull(strstr(plan_refusal(&host, &demand), "processors left"));
  demand.cpu_reserved_percent = 100;
  g_assert_null(plan_refusal(&host, &demand));
  demand.cpu_reserved_percent = 0; /* who reserves nothing takes what the others leave */
  g_assert_null(plan_refusal(&host, &demand));
  demand.cpu_reserved_percent = 500;
  demand.running = false;
  g_assert_nonnull(strstr(plan_refusal(&host, &demand), "fewer processors in all"));
}

static void vm_says_what_it_reserves(void)
{
  g_autoptr(WsVm) vm = ws_vm_new();
  vm->memory_bytes = 4 * GIB;
  g_assert_cmpint(plan_vm_memory_reserved_bytes(vm), ==, 0);
  g_assert_cmpint(plan_vm_cpu_reserved_percent(vm), ==, 0);
  vm->memory_policy = ws_vm_memory_policy_new();
  vm->memory_policy->reservation_percent = 25;
  vm->cpu = ws_vm_cpu_new();
  vm->cpu->reservation_percent = 150;
  g_assert_cmpint(plan_vm_memory_reserved_bytes(vm), ==, GIB);
  g_assert_cmpint(plan_vm_cpu_reserved_percent(vm), ==, 150);
}

/* ---- what was weighed ---- */

static void choice_names_the_next_best_and_those_left_out(void)
{
  PlanHost hosts[10];
  PlanDemand demand = {.memory_bytes = GIB, .vcpus = 1, .running = true};
  g_auto(PlanChoice) choice = {0};
  g_autofree char *why = NULL;
  for (guint i = 0; i < 10; i++) {
    hosts[i] = host_of(i + 1, 100, 10 * (gint64)i);
    hosts[i].connected = i == 7 || i == 2 || i == 5 || i == 0;
  }
  plan_weigh(hosts, 10, &demand, &choice);
  g_assert_cmpuint(hosts[choice.chosen].id, ==, plan_place(hosts, 10, &demand, &why));
  g_assert_cmpuint(choice.chosen, ==, 0);
  g_assert_cmpuint(choice.n_others, ==, 3);
  g_assert_cmpuint(choice.others[0], ==, 2);
  g_assert_cmpuint(choice.others[1], ==, 5);
  g_assert_cmpuint(choice.others[2], ==, 7);
  g_assert_cmpint(plan_score(&hosts[2], &demand), ==, 79);
  g_assert_cmpuint(choice.n_out, ==, 6);
  g_assert_true(g_str_has_suffix(choice.out, "; 1 more"));
  g_assert_nonnull(strstr(choice.out, "two: not connected"));
}

static void next_best_are_in_their_order_however_they_come(void)
{
  static const gint64 used[] = {50, 20, 80, 10, 60, 30, 5};
  PlanHost hosts[7];
  PlanDemand demand = {.memory_bytes = GIB, .vcpus = 1, .running = true};
  g_auto(PlanChoice) choice = {0};
  for (guint i = 0; i < 7; i++)
    hosts[i] = host_of(i + 1, 100, used[i]);
  plan_weigh(hosts, 7, &demand, &choice);
  g_assert_cmpuint(choice.chosen, ==, 6);
  g_assert_cmpuint(choice.n_others, ==, 3);
  g_assert_cmpuint(choice.others[0], ==, 3);
  g_assert_cmpuint(choice.others[1], ==, 1);
  g_assert_cmpuint(choice.others[2], ==, 5);
  g_assert_null(choice.out);
}

/* ---- many alike ---- */

static void many_are_spread_over_what_there_is(void)
{
  PlanHost hosts[] = {host_of(1, 16, 8), host_of(2, 16, 0), host_of(3, 8, 0)};
  PlanDemand demand = {.memory_bytes = 4 * GIB, .vcpus = 1, .running = true};
  guint at[9], fit, n[3] = {0};
  g_autofree char *why = NULL;
  g_assert_true(plan_place_many(hosts, 3, &demand, 8, NULL, NULL, at, &fit, &why));
  for (guint i = 0; i < 8; i++)
    n[at[i]]++;
  g_assert_cmpuint(n[0], ==, 2);
  g_assert_cmpuint(n[1], ==, 4);
  g_assert_cmpuint(n[2], ==, 2);
}

static void too_many_are_refused_with_how_many_fit(void)
{
  PlanHost hosts[] = {host_of(1, 16, 8), host_of(2, 16, 0), host_of(3, 8, 0)};
  PlanDemand demand = {.memory_bytes = 4 * GIB, .vcpus = 1, .running = true};
  guint at[60], fit = 0;
  g_autofree char *why = NULL;
  g_assert_false(plan_place_many(hosts, 3, &demand, 60, NULL, NULL, at, &fit, &why));
  g_assert_cmpuint(fit, ==, 8);
  g_assert_nonnull(strstr(why, "three: not enough memory left"));
}

/* The quick way, without marks, gives what looking at all hosts each time gives. */
static void no_marks(PlanHost *hosts, guint n, const guint *at, guint placed, void *arg)
{
}

static void many_are_placed_as_one_after_the_other(void)
{
  for (guint seed = 0; seed < 50; seed++) {
    g_autoptr(GRand) chance = g_rand_new_with_seed(seed);
    PlanHost hosts[12], same[12];
    guint at[40], other[40], fit, other_fit, count = (guint)g_rand_int_range(chance, 1, 40);
    PlanDemand demand = {.memory_bytes = 2 * GIB, .vcpus = 1, .running = g_rand_boolean(chance)};
    g_autofree char *why = NULL, *other_why = NULL;
    for (guint i = 0; i < 12; i++) {
      hosts[i] = host_of(i + 1, g_rand_int_range(chance, 4, 24), g_rand_int_range(chance, 0, 8));
      hosts[i].connected = g_rand_boolean(chance);
      hosts[i].dislikes = (guint)g_rand_int_range(chance, 0, 2);
      hosts[i].measured = g_rand_boolean(chance);
      hosts[i].measured_cpu_percent = g_rand_int_range(chance, 0, 100);
      hosts[i].strategy = g_rand_boolean(chance) ? PLAN_SPREAD : PLAN_CONCENTRATED;
      hosts[i].fill_percent = (guint)g_rand_int_range(chance, 20, 100);
      same[i] = hosts[i];
    }
    bool all = plan_place_many(hosts, 12, &demand, count, NULL, NULL, at, &fit, &why);
    g_assert_cmpint(all, ==, plan_place_many(same, 12, &demand, count, no_marks, NULL, other, &other_fit, &other_why));
    g_assert_cmpuint(fit, ==, other_fit);
    for (guint i = 0; all && i < count; i++)
      g_assert_cmpuint(at[i], ==, other[i]);
  }
}

/* One host up to its threshold, then the next; when all are there the rest is spread. */
static void many_fill_one_host_after_the_other(void)
{
  PlanHost hosts[] = {host_of(1, 20, 0), host_of(2, 20, 2), host_of(3, 20, 0)};
  PlanDemand demand = {.memory_bytes = 2 * GIB, .vcpus = 1, .running = true, .strategy = PLAN_CONCENTRATED};
  static const guint wanted[] = {1, 1, 1, 1, 0, 0, 0, 0, 0,
                                 2, 2, 2, 2, 2, 1, 0, 2}; /* then the second has fewest vCPUs */
  guint at[G_N_ELEMENTS(wanted)], fit;
  g_autofree char *why = NULL;
  for (guint i = 0; i < 3; i++)
    hosts[i].fill_percent = 50;
  g_assert_true(plan_place_many(hosts, 3, &demand, G_N_ELEMENTS(wanted), NULL, NULL, at, &fit, &why));
  for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
    g_assert_cmpuint(at[i], ==, wanted[i]);
}

static void same_picture_same_answer(void)
{
  for (guint seed = 0; seed < 20; seed++) {
    g_autoptr(GRand) chance = g_rand_new_with_seed(seed);
    PlanHost hosts[30];
    PlanDemand demand = {.memory_bytes = GIB, .vcpus = 1, .running = true};
    for (guint i = 0; i < 30; i++) {
      hosts[i] = host_of(i + 1, 16, g_rand_int_range(chance, 0, 3)); /* many are alike */
      hosts[i].strategy = seed % 2 ? PLAN_SPREAD : PLAN_CONCENTRATED;
      hosts[i].measured = i % 3;
      hosts[i].measured_cpu_percent = 10 * g_rand_int_range(chance, 0, 3);
    }
    g_autofree char *why = NULL, *again = NULL;
    WsId first = plan_place(hosts, 30, &demand, &why);
    g_assert_cmpuint(plan_place(hosts, 30, &demand, &again), ==, first);
    for (WsId id = 1; id < first; id++) { /* none before it is as good */
      PlanHost pair[] = {hosts[first - 1], hosts[id - 1]};
      g_assert_cmpuint(plan_place(pair, 2, &demand, &again), ==, first);
    }
  }
}

static void recent_use_follows_what_stays_and_not_a_peak(void)
{
  double mean = plan_mean_recent(NAN, 20, 5000);
  g_assert_cmpfloat(mean, ==, 20);
  mean = plan_mean_recent(mean, 100, 5000); /* one peak */
  g_assert_cmpfloat(mean, <, 22);
  g_assert_cmpfloat(plan_mean_recent(mean, NAN, 5000), ==, mean);
  for (guint i = 0; i < 120; i++) /* ten minutes */
    mean = plan_mean_recent(mean, 90, WS_INT_UNSET);
  g_assert_cmpfloat(mean, >, 80);
  g_assert_cmpfloat(mean, <, 90);
  g_assert_cmpfloat(fabs(plan_mean_recent(0, 100, 60000) - 100 * (1 - exp(-0.2))), <, 1e-9);
}

static void members_that_do_not_run_are_spread_too(void)
{
  PlanHost hosts[] = {host_of(1, 16, 0), host_of(2, 16, 0)};
  PlanDemand demand = {.memory_bytes = GIB, .vcpus = 1};
  guint at[6], fit, n = 0;
  g_autofree char *why = NULL;
  g_assert_true(plan_place_many(hosts, 2, &demand, 6, NULL, NULL, at, &fit, &why));
  for (guint i = 0; i < 6; i++)
    n += at[i];
  g_assert_cmpuint(n, ==, 3);
}

/* A rule that keeps them together: all where the first one is. */
static void keep_together(PlanHost *hosts, guint n, const guint *at, guint placed, void *arg)
{
  for (guint i = 0; i < n; i++)
    hosts[i].barred = placed && i != at[0] ? "not with the others" : NULL;
}

static void those_that_keep_together_go_where_there_is_room_for_all(void)
{
  PlanHost hosts[] = {host_of(1, 8, 0), host_of(2, 64, 32)}; /* the first is the emptier one, by share */
  PlanDemand demand = {.memory_bytes = 4 * GIB, .vcpus = 1, .running = true};
  guint at[4], fit;
  g_autofree char *why = NULL;
  g_assert_true(plan_place_many(hosts, 2, &demand, 4, keep_together, NULL, at, &fit, &why));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint(at[i], ==, 1);
  g_assert_cmpint(hosts[0].memory_used_bytes, ==, 0); /* what was tried is taken back */
  g_assert_cmpint(hosts[1].memory_used_bytes, ==, 48 * GIB);
}

static void keep_apart(PlanHost *hosts, guint n, const guint *at, guint placed, void *arg)
{
  for (guint i = 0; i < n; i++)
    hosts[i].barred = NULL;
  for (guint i = 0; i < placed; i++)
    hosts[at[i]].barred = "apart from the others";
}

static void of_those_that_keep_apart_as_many_fit_as_there_are_hosts(void)
{
  PlanHost hosts[] = {host_of(1, 16, 0), host_of(2, 16, 0), host_of(3, 16, 0)};
  PlanDemand demand = {.memory_bytes = GIB, .vcpus = 1, .running = true};
  guint at[5], fit;
  g_autofree char *why = NULL;
  g_assert_true(plan_place_many(hosts, 3, &demand, 3, keep_apart, NULL, at, &fit, &why));
  g_assert_true(at[0] != at[1] && at[1] != at[2] && at[0] != at[2]);
  for (guint i = 0; i < 3; i++)
    hosts[i] = host_of(i + 1, 16, 0);
  g_assert_false(plan_place_many(hosts, 3, &demand, 5, keep_apart, NULL, at, &fit, &why));
  g_assert_cmpuint(fit, ==, 3);
  g_assert_nonnull(strstr(why, "apart from the others"));
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
  g_test_add_func("/reserved_memory_is_never_promised_twice", reserved_memory_is_never_promised_twice);
  g_test_add_func("/reserved_processors_are_never_promised_twice",
                  reserved_processors_are_never_promised_twice);
  g_test_add_func("/vm_says_what_it_reserves", vm_says_what_it_reserves);
  g_test_add_func("/choice_names_the_next_best_and_those_left_out",
                  choice_names_the_next_best_and_those_left_out);
  g_test_add_func("/next_best_are_in_their_order_however_they_come",
                  next_best_are_in_their_order_however_they_come);
  g_test_add_func("/many_are_spread_over_what_there_is", many_are_spread_over_what_there_is);
  g_test_add_func("/many_are_placed_as_one_after_the_other", many_are_placed_as_one_after_the_other);
  g_test_add_func("/many_fill_one_host_after_the_other", many_fill_one_host_after_the_other);
  g_test_add_func("/same_picture_same_answer", same_picture_same_answer);
  g_test_add_func("/recent_use_follows_what_stays_and_not_a_peak",
                  recent_use_follows_what_stays_and_not_a_peak);
  g_test_add_func("/members_that_do_not_run_are_spread_too", members_that_do_not_run_are_spread_too);
  g_test_add_func("/too_many_are_refused_with_how_many_fit", too_many_are_refused_with_how_many_fit);
  g_test_add_func("/those_that_keep_together_go_where_there_is_room_for_all",
                  those_that_keep_together_go_where_there_is_room_for_all);
  g_test_add_func("/of_those_that_keep_apart_as_many_fit_as_there_are_hosts",
                  of_those_that_keep_apart_as_many_fit_as_there_are_hosts);
  g_test_add_func("/nearest_ratio_counts", nearest_ratio_counts);
  g_test_add_func("/host_keeps_memory_for_itself", host_keeps_memory_for_itself);
  g_test_add_func("/vm_of_a_lost_host_still_holds_its_place", vm_of_a_lost_host_still_holds_its_place);
  return g_test_run();
}
