// SPDX-License-Identifier: Apache-2.0
/* For bench-plan: how long it takes to choose a host for one VM among 5,000 with 50,000 VMs (or as many hosts
 * as are asked for), by what is promised and was measured of each, which whoever asks has at hand; and what a
 * rule that spreads 5,000 VMs over racks of 20 says of each of the hosts. Processor time, the best of
 * several. Prints JSON: of each case ms. */
#include "plan/chance.h"
#include "plan/place.h"
#include "plan/tally.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VMS_OF_A_HOST 10
#define GIB           ((gint64)1 << 30)
#define RUNS          20

static double processor_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static PlanHost *make_hosts(guint n, PlanStrategy strategy, bool measured)
{
  PlanHost *hosts = g_new0(PlanHost, n);
  PlanChance chance;
  plan_chance_seed(&chance, 1);
  for (guint i = 0; i < n; i++) {
    hosts[i] = (PlanHost){.id = i + 1,
                          .name = "host",
                          .connected = true,
                          .in_service = true,
                          .reaches = true,
                          .memory_bytes = 256 * GIB,
                          .vcpus = 256,
                          .memory_real_bytes = 256 * GIB,
                          .cpu_percent = 6400,
                          .strategy = strategy,
                          .measured = measured,
                          .measured_cpu_percent = (double)(plan_chance_below(&chance, 100)),
                          .measured_memory_percent = (double)(plan_chance_below(&chance, 80))};
    for (guint j = 0; j < VMS_OF_A_HOST; j++) {
      PlanDemand vm = {.memory_bytes = (gint64)(1 + plan_chance_below(&chance, 24)) * GIB,
                       .vcpus = 1 + (gint64)(plan_chance_below(&chance, 16))};
      plan_host_add(&hosts[i], &vm, 1);
    }
  }
  return hosts;
}

#define RULE_VMS      5000
#define HOSTS_OF_RACK 20

typedef struct {
  WsId n_hosts;
  PlanTally *tally;
} Racks;

static guint host_of(WsId vm, WsId hosts[2], void *arg)
{
  hosts[0] = 1 + vm % ((const Racks *)arg)->n_hosts;
  return 1;
}

static WsId rack_of(WsId host, void *arg)
{
  return host / HOSTS_OF_RACK;
}

static PlanTally *tally_of(const PlanRule *rule, void *arg)
{
  return ((Racks *)arg)->tally;
}

/* Over more racks than there are, so that all of it counts. */
static double spread_rule_ms(guint n_hosts)
{
  g_autofree WsId *vms = g_new(WsId, RULE_VMS);
  PlanRule rule = {
      .name = "racks", .kind = PLAN_RULE_MUST_SPREAD, .vms = vms, .n_vms = RULE_VMS, .min_domains = 4096};
  Racks racks = {n_hosts, NULL};
  PlanWhere where = {host_of, &racks, rack_of, tally_of};
  guint refused = 0;
  for (guint i = 0; i < RULE_VMS; i++)
    vms[i] = i + 1;
  double began_ms = processor_ms();
  racks.tally = plan_tally_new(&rule, &where);
  for (WsId host = 1; host <= n_hosts; host++)
    refused += plan_rule_breaks(&rule, 1, host, &where, NULL);
  double ms = processor_ms() - began_ms;
  plan_tally_free(racks.tally);
  if (!refused) {
    fprintf(stderr, "plan-place: the rule refuses nothing\n");
    exit(1);
  }
  return ms;
}

/* Whether a rule that spreads 1,000 VMs can be kept with one that keeps them off a host. */
static double conflict_ms(guint n_hosts)
{
  g_autofree WsId *ids = g_new(WsId, MAX(n_hosts, 1000)), *domains = g_new(WsId, n_hosts);
  for (guint i = 0; i < MAX(n_hosts, 1000); i++)
    ids[i] = i + 1;
  for (guint i = 0; i < n_hosts; i++)
    domains[i] = 1 + i / HOSTS_OF_RACK;
  PlanRule rules[] = {
      {.name = "racks", .kind = PLAN_RULE_MUST_SPREAD, .vms = ids, .n_vms = 1000, .min_domains = 3},
      {.name = "off",
       .kind = PLAN_RULE_MUST_NOT_RUN_ON,
       .vms = ids,
       .n_vms = 1000,
       .hosts = ids,
       .n_hosts = 1}};
  PlanDomains there = {ids, domains, n_hosts};
  PlanConflict conflict;
  double began_ms = processor_ms();
  plan_rules_conflict(rules, 2, &there, &conflict);
  return processor_ms() - began_ms;
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    PlanStrategy strategy;
    bool measured;
  } cases[] = {{"promises", PLAN_SPREAD, false},
               {"spread", PLAN_SPREAD, true},
               {"concentrated", PLAN_CONCENTRATED, true}};
  guint64 n_hosts = 5000;
  if (argc > 1 && !g_ascii_string_to_unsigned(argv[1], 10, 10, 100000, &n_hosts, NULL)) {
    fprintf(stderr, "plan-place: %s: hosts from 10 to 100000\n", argv[1]);
    return 2;
  }
  for (guint k = 0; k < G_N_ELEMENTS(cases); k++) {
    g_autofree PlanHost *hosts = make_hosts((guint)n_hosts, cases[k].strategy, cases[k].measured);
    PlanDemand demand = {.memory_bytes = 8 * GIB, .vcpus = 4, .running = true};
    double best_ms = 0;
    for (guint run = 0; run < RUNS; run++) {
      g_autofree char *why = NULL;
      double began_ms = processor_ms();
      WsId host = plan_place(hosts, (guint)n_hosts, &demand, &why);
      double ms = processor_ms() - began_ms;
      if (!host) {
        fprintf(stderr, "plan-place: no host was found\n");
        return 1;
      }
      best_ms = run ? MIN(best_ms, ms) : ms;
    }
    printf("%s\"%s\":{\"ms\":%.3f}", k ? "," : "{", cases[k].name, best_ms);
  }
  double rule_ms = spread_rule_ms((guint)n_hosts);
  for (guint run = 1; run < RUNS; run++)
    rule_ms = MIN(rule_ms, spread_rule_ms((guint)n_hosts));
  printf(",\"a spread rule of 5,000\":{\"ms\":%.3f},\"a conflict of 1,000\":{\"ms\":%.3f}}\n", rule_ms,
         conflict_ms((guint)n_hosts));
}
