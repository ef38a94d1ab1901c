// SPDX-License-Identifier: Apache-2.0
/* DPM: when a host is switched off, when one is woken, and what forbids it. */
#include "plan/dpm.h"
#include <string.h>

#define GIB   ((gint64)1 << 30)
#define HOSTS 4

typedef struct {
  PlanDrs plan;
  PlanDrsHost hosts[HOSTS];
  PlanDrsVm vms[32];
  PlanRule rules[2];
  WsId list[4];
  PlanDpmHost power[HOSTS];
  PlanDrsOptions drs;
  PlanDpmOptions options;
} World;

static World world(void)
{
  World w = {.drs = {.cpu_percent = 80, .memory_percent = 80, .aggression = 3},
             .options = {30, 30, 70, 70, 600, 0, 300, 1, 0}};
  for (guint i = 0; i < HOSTS; i++) {
    w.hosts[i] = (PlanDrsHost){.name = "h", .threads = 4, .memory_bytes = 32 * GIB, .memory_limit_bytes = 30 * GIB, .takes = true};
    w.power[i].may_sleep = true;
  }
  return w;
}

static void settle(World *w)
{
  w->plan.n_hosts = HOSTS;
  w->plan.hosts = w->hosts;
  w->plan.vms = w->vms;
  w->plan.rules = w->rules;
}

static void add(World *w, guint32 host, double cpu, gint64 gib)
{
  w->vms[w->plan.n_vms++] = (PlanDrsVm){.name = "v", .host = host, .cpu = cpu, .cpu_forecast = cpu, .memory_used_bytes = gib * GIB, .memory_bytes = gib * GIB,
                                        .vcpus = 1, .cost_s = (double)gib, .movable = true, .rested = true};
}

static PlanDpm ask(World *w)
{
  settle(w);
  return plan_dpm(&w->plan, &w->drs, w->power, &w->options);
}

static void idle_cluster_switches_off_the_host_that_is_emptied_cheapest(void)
{
  World w = world();
  for (guint i = 0; i < HOSTS; i++)
    add(&w, i, 0.5, i == 2 ? 1 : 2);
  PlanDpm dpm = ask(&w);
  g_assert_cmpint(dpm.action, ==, PLAN_DPM_SLEEP);
  g_assert_cmpint(dpm.reason, ==, PLAN_DPM_IDLE);
  g_assert_cmpuint(dpm.host, ==, 2);
  g_assert_cmpuint(dpm.after.n_on, ==, 3);
  w.options.low_s = 299; /* not for long enough */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
}

static void what_forbids_sleep_is_kept(void)
{
  World w = world();
  for (guint i = 0; i < HOSTS; i++)
    add(&w, i, 0.3, 6);
  w.options.low_memory_percent = 60;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  w.options.min_on = HOSTS;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  w.options.min_on = 1;
  for (guint i = 0; i < HOSTS; i++)
    w.power[i].may_sleep = false; /* nobody can wake it again */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  for (guint i = 0; i < HOSTS; i++)
    w.power[i].may_sleep = true;
  for (guint i = 0; i < HOSTS; i++)
    w.vms[i].movable = false;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  for (guint i = 0; i < HOSTS; i++)
    w.vms[i].movable = true, w.list[i] = i + 1;
  w.rules[0] = (PlanRule){1, "apart", PLAN_RULE_KEEP_APART, w.list, NULL, HOSTS, 0};
  w.plan.n_rules = 1;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  w.rules[0].kind = PLAN_RULE_MUST_SPREAD;
  w.rules[0].min_domains = HOSTS;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  w.rules[0].min_domains = HOSTS - 1; /* without one host there are so many still */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  w.hosts[0].domain = w.hosts[1].domain = "rack-1";
  w.hosts[2].domain = w.hosts[3].domain = "rack-2"; /* broken already, and no more so by a move within the rack */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  w.hosts[0].domain = w.hosts[1].domain = w.hosts[2].domain = w.hosts[3].domain = NULL;
  w.rules[0].min_domains = HOSTS;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
}

static void spare_hosts_are_kept_and_woken(void)
{
  World w = world();
  for (guint i = 0; i < HOSTS; i++)
    add(&w, i, 0.1, 14); /* three hosts hold all, but not with one of them lost */
  w.options.low_memory_percent = w.options.high_memory_percent = 99;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  w.options.spare = 2; /* two hosts hold four of 14 GiB; one does not */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  w.hosts[3].takes = false, w.power[3].asleep = true;
  w.vms[3].host = 0;
  PlanDpm dpm = ask(&w);
  g_assert_cmpint(dpm.action, ==, PLAN_DPM_WAKE);
  g_assert_cmpint(dpm.reason, ==, PLAN_DPM_SPARE);
  g_assert_cmpuint(dpm.host, ==, 3);
}

/* Twice its memory may be promised on each host. What is reserved is kept whole: then three do not bear the
 * loss of one. */
static void what_is_reserved_counts_among_what_is_lost(void)
{
  World w = world();
  for (guint i = 0; i < HOSTS; i++) {
    w.hosts[i].memory_limit_bytes = 60 * GIB;
    w.hosts[i].memory_real_bytes = 30 * GIB;
    w.hosts[i].cpu_percent = 400;
    add(&w, i, 0.1, 16);
    w.vms[i].memory_used_bytes = GIB;
  }
  w.options.low_memory_percent = w.options.high_memory_percent = 99;
  w.options.spare = 1;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  for (guint i = 0; i < HOSTS; i++)
    w.vms[i].memory_reserved_bytes = 16 * GIB; /* one on each of 30 */
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  for (guint i = 0; i < HOSTS; i++) {
    w.vms[i].memory_reserved_bytes = 0;
    w.vms[i].cpu_reserved_percent = 150; /* two on each of 400 */
  }
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_SLEEP);
  for (guint i = 0; i < HOSTS; i++)
    w.vms[i].cpu_reserved_percent = 250;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
}

static void busy_or_rising_cluster_wakes_the_largest_host(void)
{
  World w = world();
  w.hosts[0].takes = w.hosts[1].takes = false;
  w.power[0].asleep = w.power[1].asleep = true;
  w.hosts[1].threads = 8;
  for (guint i = 0; i < 6; i++)
    add(&w, 2 + i % 2, 0.5, 1);
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING); /* 37 % */
  for (guint i = 0; i < 6; i++)
    w.vms[i].cpu_forecast = 0.99; /* 74 % soon */
  w.options.high_s = 300;
  PlanDpm dpm = ask(&w);
  g_assert_cmpint(dpm.action, ==, PLAN_DPM_WAKE);
  g_assert_cmpint(dpm.reason, ==, PLAN_DPM_BUSY);
  g_assert_cmpuint(dpm.host, ==, 1);
  w.options.high_s = 299;
  g_assert_cmpint(ask(&w).action, ==, PLAN_DPM_NOTHING);
  w.options.min_on = 3; /* at once */
  g_assert_cmpint(ask(&w).reason, ==, PLAN_DPM_FEW);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-dpm/idle_cluster_switches_off_the_host_that_is_emptied_cheapest", idle_cluster_switches_off_the_host_that_is_emptied_cheapest);
  g_test_add_func("/plan-dpm/what_forbids_sleep_is_kept", what_forbids_sleep_is_kept);
  g_test_add_func("/plan-dpm/spare_hosts_are_kept_and_woken", spare_hosts_are_kept_and_woken);
  g_test_add_func("/plan-dpm/what_is_reserved_counts_among_what_is_lost",
                  what_is_reserved_counts_among_what_is_lost);
  g_test_add_func("/plan-dpm/busy_or_rising_cluster_wakes_the_largest_host", busy_or_rising_cluster_wakes_the_largest_host);
  return g_test_run();
}
