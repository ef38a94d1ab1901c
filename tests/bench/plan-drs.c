// SPDX-License-Identifier: Apache-2.0
/* For bench-plan: how long DRS takes to decide, in one cluster of 5,000 hosts and 50,000 VMs (or as many hosts as are asked for). Processor time, the best of three.
 * Prints JSON: of each case ms and moves. */
#include "plan/chance.h"
#include "plan/drs.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VMS_OF_A_HOST 10
#define GIB           ((gint64)1 << 30)
#define APART         4 /* VMs of a rule */
#define RUNS          3

typedef struct {
  PlanDrs plan;
  PlanDrsOptions options;
  PlanChance chance;
  WsId *members; /* of all rules */
  PlanRule *rules;
} Cluster;

/* Hosts of three kinds, half in use; VMs of many sizes. */
static void cluster_init(Cluster *c, guint n_hosts)
{
  static const double threads[] = {32, 64, 128};
  guint n_vms = n_hosts * VMS_OF_A_HOST;
  *c = (Cluster){.options = {.cpu_percent = 80, .memory_percent = 80, .aggression = 3, .balance = true, .heal = true}};
  plan_chance_seed(&c->chance, 1);
  c->plan = (PlanDrs){.n_hosts = n_hosts, .n_vms = n_vms, .hosts = g_new0(PlanDrsHost, n_hosts), .vms = g_new0(PlanDrsVm, n_vms)};
  for (guint i = 0; i < n_hosts; i++) {
    double t = threads[i % G_N_ELEMENTS(threads)];
    c->plan.hosts[i] = (PlanDrsHost){.name = "host", .threads = t, .memory_bytes = (gint64)(8 * t) * GIB, .memory_limit_bytes = (gint64)(8 * t) * GIB, .vcpus_limit = (gint64)(4 * t), .takes = true};
  }
  for (guint i = 0; i < n_vms; i++) {
    guint32 host = i % n_hosts;
    double part = (0.5 + plan_chance_unit(&c->chance)) / VMS_OF_A_HOST, t = c->plan.hosts[host].threads; /* of its host */
    gint64 memory = (gint64)(part * 0.6 * 8 * t) * GIB;
    c->plan.vms[i] = (PlanDrsVm){.name = "vm", .host = host, .memory_bytes = memory, .memory_used_bytes = memory / 2, .vcpus = MAX((gint64)(part * t), 1),
                                 .cost_s = 2 + (double)memory / (double)GIB / 2, .movable = true, .rested = true};
    c->plan.vms[i].cpu = c->plan.vms[i].cpu_forecast = part * t * (0.2 + 0.6 * plan_chance_unit(&c->chance));
  }
}

static void cluster_clear(Cluster *c)
{
  g_free(c->plan.hosts);
  g_free(c->plan.vms);
  g_free(c->members);
  g_free(c->rules);
}

/* Every so many-th host is above its threshold. */
static void heat(Cluster *c, guint every)
{
  for (guint i = 0; i < c->plan.n_vms; i++)
    if (c->plan.vms[i].host % every == 0)
      c->plan.vms[i].cpu = c->plan.vms[i].cpu_forecast = c->plan.hosts[c->plan.vms[i].host].threads * 0.1;
}

/* A quarter of the VMs are kept apart, four at a time; a hundredth of the rules do not hold. */
static void keep_apart(Cluster *c)
{
  guint n = c->plan.n_vms / APART / APART, n_hosts = c->plan.n_hosts;
  c->members = g_new(WsId, n * APART);
  c->rules = g_new0(PlanRule, n);
  for (guint i = 0; i < n; i++) {
    WsId *members = c->members + i * APART;
    for (guint k = 0; k < APART; k++)
      members[k] = i * APART + k + 1;
    c->rules[i] = (PlanRule){.id = i + 1, .name = "rule", .kind = PLAN_RULE_KEEP_APART, .vms = members, .n_vms = APART};
    if (i % 100 == 0 && n_hosts > APART)
      c->plan.vms[members[1] - 1].host = c->plan.vms[members[0] - 1].host;
  }
  c->plan.rules = c->rules;
  c->plan.n_rules = n;
}

static void calm(Cluster *c)
{
}

static void one_hot(Cluster *c)
{
  heat(c, c->plan.n_hosts);
}

static void tenth_hot(Cluster *c)
{
  heat(c, 10);
}

static void uneven(Cluster *c)
{
  c->options.aggression = 5;
}

static void rules_and_heat(Cluster *c)
{
  heat(c, 10);
  keep_apart(c);
}

static void ten_to_empty(Cluster *c)
{
  for (guint i = 0; i < 10 && i < c->plan.n_hosts; i++) {
    c->plan.hosts[i * (c->plan.n_hosts / 10)].empties = true;
    c->plan.hosts[i * (c->plan.n_hosts / 10)].takes = false;
  }
}

static double processor_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*change)(Cluster *);
  } cases[] = {{"calm", calm}, {"one_hot", one_hot}, {"tenth_hot", tenth_hot}, {"uneven", uneven}, {"rules_and_heat", rules_and_heat}, {"ten_to_empty", ten_to_empty}};
  guint64 n_hosts = 5000;
  if (argc > 1 && !g_ascii_string_to_unsigned(argv[1], 10, 10, 100000, &n_hosts, NULL)) {
    fprintf(stderr, "plan-drs: %s: hosts from 10 to 100000\n", argv[1]);
    return 2;
  }
  for (guint k = 0; k < G_N_ELEMENTS(cases); k++) {
    Cluster c;
    double best_ms = 0;
    guint n_moves = 0;
    cluster_init(&c, (guint)n_hosts);
    cases[k].change(&c);
    for (guint run = 0; run < RUNS; run++) {
      PlanDrsResult result;
      double began_ms = processor_ms();
      plan_drs(&c.plan, &c.options, &result);
      double ms = processor_ms() - began_ms;
      best_ms = run ? MIN(best_ms, ms) : ms;
      n_moves = result.moves->len;
      plan_drs_result_clear(&result);
    }
    printf("%s\"%s\":{\"ms\":%.3f,\"moves\":%u}", k ? "," : "{", cases[k].name, best_ms, n_moves);
    cluster_clear(&c);
  }
  printf("}\n");
}
