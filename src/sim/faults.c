// SPDX-License-Identifier: Apache-2.0
/* Faults and their end. See faults.h. */
#include "sim/faults.h"

#define SHORT_US (2 * G_USEC_PER_SEC)
#define LONG_US  (60 * G_USEC_PER_SEC)

static SimHost *any_host(SimFaults *faults)
{
  return faults->hosts[sim_below(&faults->random, faults->n_hosts)];
}

static gint64 a_while(SimFaults *faults)
{
  return sim_delay(&faults->random, SHORT_US, LONG_US);
}

/* ---- what ends by itself ---- */

typedef struct {
  SimFaults *faults;
  SimHost *host;
  guint from, to;
} Later;

static void later(SimFaults *faults, gint64 delay_us, void (*func)(void *arg), SimHost *host, guint from, guint to)
{
  Later *end = g_new(Later, 1);
  *end = (Later){faults, host, from, to};
  sim_after(faults->manager->world, delay_us, func, end);
}

static void power_on(void *arg)
{
  Later *end = arg;
  sim_host_power_on(end->host);
  g_free(end);
}

static void start_agent(void *arg)
{
  Later *end = arg;
  sim_host_start_agent(end->host);
  g_free(end);
}

static void unpause_host(void *arg)
{
  Later *end = arg;
  end->host->machine->paused = false;
  sim_host_note(end->host, "goes on");
  g_free(end);
}

static void unpause_manager(void *arg)
{
  Later *end = arg;
  end->faults->manager->machine->paused = false;
  g_free(end);
}

static void open_way(void *arg)
{
  Later *end = arg;
  sim_net_set_reach(end->faults->net, end->from, end->to, true);
  g_free(end);
}

static void disk_is_good(void *arg)
{
  Later *end = arg;
  SimDiskFaults good = {.delay_us = 500, .delay_most_us = 5000};
  sim_disk_set_faults(end->faults->manager->disk, &good);
  g_free(end);
}

static void net_is_good(void *arg)
{
  Later *end = arg;
  SimNetFaults good = {.latency_us = 200, .latency_most_us = 5000};
  sim_net_set_faults(end->faults->net, &good);
  g_free(end);
}

/* ---- the faults ---- */

static void kill_manager(SimFaults *faults)
{
  sim_manager_crash(faults->manager, false);
}

static void cut_manager_power(SimFaults *faults)
{
  sim_manager_crash(faults->manager, true);
}

static void stop_manager(SimFaults *faults)
{
  sim_manager_stop(faults->manager);
}

static void pause_manager(SimFaults *faults)
{
  if (!faults->manager->center)
    return;
  sim_note(faults->manager->world, "manager: paused");
  faults->manager->machine->paused = true;
  later(faults, a_while(faults), unpause_manager, NULL, 0, 0);
}

static void cut_host_power(SimFaults *faults)
{
  SimHost *host = any_host(faults);
  sim_host_power_off(host);
  later(faults, a_while(faults), power_on, host, 0, 0);
}

static void kill_agent(SimFaults *faults)
{
  SimHost *host = any_host(faults);
  sim_host_stop_agent(host);
  later(faults, sim_between(&faults->random, 0, 3 * SHORT_US), start_agent, host, 0, 0);
}

static void pause_host(SimFaults *faults)
{
  SimHost *host = any_host(faults);
  sim_host_note(host, "paused");
  host->machine->paused = true;
  later(faults, a_while(faults), unpause_host, host, 0, 0);
}

static void cut(SimFaults *faults, guint from, guint to, gint64 duration_us)
{
  sim_net_set_reach(faults->net, from, to, false);
  later(faults, duration_us, open_way, NULL, from, to);
}

static void part_host(SimFaults *faults)
{
  guint node = any_host(faults)->node;
  gint64 duration = a_while(faults);
  cut(faults, node, SIM_MANAGER, duration);
  cut(faults, SIM_MANAGER, node, duration);
}

static void part_one_way(SimFaults *faults)
{
  guint node = any_host(faults)->node;
  bool to_manager = sim_chance(&faults->random, 0.5);
  cut(faults, to_manager ? node : SIM_MANAGER, to_manager ? SIM_MANAGER : node, a_while(faults));
}

/* All are cut one after the other, and healed in another order. */
static void swizzle(SimFaults *faults)
{
  for (guint i = 0; i < faults->n_hosts; i++) {
    gint64 duration = sim_between(&faults->random, SHORT_US, 20 * SHORT_US);
    cut(faults, faults->hosts[i]->node, SIM_MANAGER, duration);
    cut(faults, SIM_MANAGER, faults->hosts[i]->node, duration + sim_between(&faults->random, 0, SHORT_US));
  }
}

static void bad_disk(SimFaults *faults)
{
  SimDiskFaults bad = {.delay_us = sim_between(&faults->random, 1000, 300 * 1000), .delay_most_us = 3 * G_USEC_PER_SEC};
  guint kind = (guint)sim_below(&faults->random, 3);
  if (kind == 1)
    bad.write_fails = 0.1;
  if (kind == 2)
    bad.sync_fails = 0.02;
  sim_note(faults->manager->world, "disk: turns bad (%u)", kind);
  sim_disk_set_faults(faults->manager->disk, &bad);
  later(faults, a_while(faults), disk_is_good, NULL, 0, 0);
}

static void full_disk(SimFaults *faults)
{
  SimDiskFaults full = {.delay_us = 500, .delay_most_us = 5000, .write_fails = 1};
  sim_note(faults->manager->world, "disk: full");
  sim_disk_set_faults(faults->manager->disk, &full);
  later(faults, a_while(faults), disk_is_good, NULL, 0, 0);
}

static void bad_net(SimFaults *faults)
{
  SimNetFaults bad = {.latency_us = sim_between(&faults->random, 1000, 200 * 1000),
                      .latency_most_us = 4 * G_USEC_PER_SEC,
                      .breaks = sim_chance(&faults->random, 0.5) ? 0.01 : 0};
  sim_note(faults->manager->world, "net: turns bad");
  sim_net_set_faults(faults->net, &bad);
  later(faults, a_while(faults), net_is_good, NULL, 0, 0);
}

static void bad_host(SimFaults *faults)
{
  SimHostFaults bad = {.call_fails = sim_chance(&faults->random, 0.5) ? 0.1 : 0,
                       .call_us = sim_between(&faults->random, 1000, 500 * 1000),
                       .call_most_us = 20 * G_USEC_PER_SEC,
                       .guest_deaf = 0.3};
  sim_host_set_faults(any_host(faults), &bad);
}

static void jump_clock(SimFaults *faults)
{
  static const gint64 jumps_s[] = {-10, 10, -3600, 3600, 1, -1, 0, 0};
  gint64 jump_us = jumps_s[sim_below(&faults->random, G_N_ELEMENTS(jumps_s))] * G_USEC_PER_SEC;
  SimMachine *machine = sim_chance(&faults->random, 0.5) ? faults->manager->machine : any_host(faults)->machine;
  sim_note(faults->manager->world, "%s: clock off by %" G_GINT64_FORMAT " s", machine->name, jump_us / G_USEC_PER_SEC);
  machine->wall_offset_us = jump_us;
}

static void meddle(SimFaults *faults)
{
  sim_host_meddle(any_host(faults));
}

static const struct {
  const char *name;
  guint weight;
  void (*func)(SimFaults *faults);
} all[] = {
    {"kill_manager", 6, kill_manager}, {"cut_manager_power", 6, cut_manager_power}, {"stop_manager", 1, stop_manager},
    {"pause_manager", 2, pause_manager}, {"cut_host_power", 5, cut_host_power},     {"kill_agent", 6, kill_agent},
    {"pause_host", 4, pause_host},     {"part_host", 5, part_host},                 {"part_one_way", 4, part_one_way},
    {"swizzle", 2, swizzle},           {"bad_disk", 4, bad_disk},                   {"full_disk", 2, full_disk},
    {"bad_net", 4, bad_net},           {"bad_host", 4, bad_host},                   {"jump_clock", 2, jump_clock},
    {"meddle", 12, meddle},
};

const char *sim_faults_name(guint i)
{
  return i < G_N_ELEMENTS(all) ? all[i].name : NULL;
}

static void next(void *arg)
{
  SimFaults *faults = arg;
  guint sum = 0, i = 0;
  if (faults->stopped)
    return;
  for (guint j = 0; j < G_N_ELEMENTS(all); j++)
    sum += all[j].weight;
  guint at = (guint)sim_below(&faults->random, sum);
  for (; at >= all[i].weight; i++)
    at -= all[i].weight;
  faults->done[i]++;
  all[i].func(faults);
  sim_after(faults->manager->world, sim_delay(&faults->random, faults->pause_us, faults->pause_us * 8), next, faults);
}

void sim_faults_start(SimFaults *faults)
{
  sim_random_seed(&faults->random, sim_world_seed(faults->manager->world), 4000);
  sim_after(faults->manager->world, faults->pause_us, next, faults);
}

void sim_faults_heal(SimFaults *faults)
{
  SimDiskFaults good_disk = {.delay_us = 500, .delay_most_us = 5000};
  SimNetFaults good_net = {.latency_us = 200, .latency_most_us = 5000};
  SimHostFaults good_host = {.call_us = 3000, .call_most_us = 50 * 1000};
  sim_note(faults->manager->world, "all is mended");
  faults->stopped = true;
  sim_disk_set_faults(faults->manager->disk, &good_disk);
  sim_net_set_faults(faults->net, &good_net);
  sim_net_heal(faults->net);
  faults->manager->machine->paused = false;
  faults->manager->machine->wall_offset_us = 0;
  for (guint i = 0; i < faults->n_hosts; i++) {
    SimHost *host = faults->hosts[i];
    sim_host_set_faults(host, &good_host);
    host->machine->paused = false;
    host->machine->wall_offset_us = 0;
    sim_host_power_on(host);
    sim_host_start_agent(host);
    for (guint d = 0; d < host->domains->len; d++)
      ((SimDomain *)host->domains->pdata[d])->obeys = true;
  }
}
