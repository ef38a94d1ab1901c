// SPDX-License-Identifier: Apache-2.0
/* See plan-day.h. */
#include "plan/balance.h"
#include "plan/chance.h"
#include "plan/demand.h"
#include "plan/drs.h"
#include "plan-day.h"
#include <math.h>

#define THREADS          16
#define VCPUS            4
#define VMS_OF_A_HOST    10
#define COMING           1 /* more of them for each host, in the course of the day, and as many go */
#define GIB              ((gint64)1 << 30)
#define DAY_MIN          (24 * 60)
#define SAMPLES          3 /* of each VM's use, a minute */
#define HOUR_MIN         60
#define BURSTS           4 /* of a VM, in the day */
#define RULE_VMS         3
#define HOSTS_OF_RULES   5 /* so many hosts for three rules */
#define DURATION_MIN     3
#define REST_MIN         2    /* after a move, as the manager has it for looks once a minute */
#define UNKNOWN_SHARE    0.25 /* of its vCPUs a VM counts for until it is measured, as in the manager */
#define SAMPLES_MIN      3    /* and so often it is measured before it moves */
#define HOSTS_OF_FAILURE 40   /* of so many hosts one fails in the day */
#define FAILED_MIN       60
#define CPU_RATIO        4
#define AGGRESSION       3
#define GAIN_OVER_COST   2 /* of that aggression (docs/drs.md) */
#define HERE             0 /* rows of reach: a VM that is there, and one that is not */
#define AWAY             1

typedef struct {
  double base, swing, peak_min; /* threads; at what time of the day it wants most */
  struct {
    double from_min, until_min, more;
  } bursts[BURSTS];
  gint comes_min, goes_min; /* is there from, until */
  PlanChance noise;         /* its own: what it wants is the same whoever decides */
  PlanSeries series;
  gint moved_min; /* -1: not yet */
  gint *left_min; /* [host]: when it left each of them; before the day: not on it */
} Guest;

typedef struct {
  const PlanDay *spec;
  PlanDrs plan;
  PlanDrsOptions options;
  Guest *guests;
  PlanRule *rules;
  WsId *members;
  PlanChance chance;
  gint *hot_since; /* [host] minute; -1: it is not */
  gint *fails_min; /* [host]; never: DAY_MIN */
  double *on_host; /* [host]: wanted now */
  PlanDrsLoad *loads;
  PlanDayOutcome outcome;
} Day;

const char *plan_day_policy_name(PlanDayPolicy policy)
{
  static const char *names[] = {"nobody", "largest to least used", "hbal", "DRS"};
  return names[policy];
}

/* ---- the day ---- */

static bool is_there(const Guest *g, gint minute)
{
  return minute >= g->comes_min && minute < g->goes_min;
}

static void add_hosts(Day *d)
{
  guint n = d->plan.n_hosts, memory = MAX(d->spec->memory, 1);
  for (guint i = 0; i < n; i++) {
    d->plan.hosts[i] = (PlanDrsHost){.name = "host",
                                     .threads = THREADS,
                                     .memory_bytes = 160 * GIB * memory,
                                     .memory_limit_bytes = 152 * GIB * memory,
                                     .vcpus_limit = CPU_RATIO * THREADS,
                                     .takes = true};
    d->hot_since[i] = -1;
    d->fails_min[i] = DAY_MIN;
  }
  for (guint k = 0; d->spec->churn && k < MAX(n / HOSTS_OF_FAILURE, 1); k++)
    d->fails_min[plan_chance_below(&d->chance, n)] = (gint)plan_chance_below(&d->chance, DAY_MIN);
}

/* Guests of one kind began side by side, as they are made in practice: their hosts are hot at the same time
 * of the day. */
static void add_guest(Day *d, guint i, guint n_first)
{
  static const double peak_min[] = {11 * 60, 19 * 60, 3 * 60, 0};
  Guest *g = &d->guests[i];
  bool comes = i >= n_first;
  guint kind = comes ? plan_chance_below(&d->chance, 4)
                     : i * 4 / n_first; /* offices, shops, jobs at night, what never changes */
  gint64 memory = (4 + plan_chance_below(&d->chance, 9)) * GIB * MAX(d->spec->memory, 1);
  d->plan.vms[i] = (PlanDrsVm){.name = "vm",
                               .host = comes ? PLAN_DRS_NOWHERE : i / VMS_OF_A_HOST,
                               .reach = comes ? AWAY : HERE,
                               .memory_used_bytes = memory * 3 / 4,
                               .memory_bytes = memory,
                               .vcpus = VCPUS,
                               .cost_s = 2 + 2.0 * (double)memory / GIB,
                               .movable = true};
  *g = (Guest){.base = 0.25 + 0.35 * plan_chance_unit(&d->chance),
               .swing = kind == 3 ? 0 : 0.8 + 1.0 * plan_chance_unit(&d->chance),
               .goes_min = DAY_MIN,
               .moved_min = -1,
               .left_min = g_new(gint, d->plan.n_hosts)};
  g->peak_min = peak_min[kind] + 60 * plan_chance_unit(&d->chance);
  for (guint k = 0; k < BURSTS; k++) {
    g->bursts[k].from_min = DAY_MIN * plan_chance_unit(&d->chance);
    g->bursts[k].until_min = g->bursts[k].from_min + 10 + 80 * plan_chance_unit(&d->chance);
    g->bursts[k].more = 1 + plan_chance_unit(&d->chance);
  }
  for (guint h = 0; h < d->plan.n_hosts; h++)
    g->left_min[h] = -DAY_MIN;
  if (comes)
    g->comes_min = 1 + (gint)plan_chance_below(&d->chance, DAY_MIN - 1);
  else if (d->spec->churn && plan_chance_below(&d->chance, VMS_OF_A_HOST) < COMING)
    g->goes_min = 1 + (gint)plan_chance_below(&d->chance, DAY_MIN - 1);
  plan_chance_seed(&g->noise, plan_chance_next(&d->chance));
}

static gint by_number(gconstpointer a, gconstpointer b)
{
  WsId x = *(const WsId *)a, y = *(const WsId *)b;
  return x < y ? -1 : x > y;
}

/* Kept apart, and they are, for they begin on different hosts. */
static void add_rules(Day *d, guint n_first)
{
  for (guint i = 0; i < d->plan.n_rules; i++) {
    WsId *members = d->members + (gsize)i * RULE_VMS;
    for (guint k = 0; k < RULE_VMS; k++)
      members[k] = 1 + (i * 13 + k * (n_first / RULE_VMS)) % n_first;
    qsort(members, RULE_VMS, sizeof *members, by_number);
    d->rules[i] = (PlanRule){
        .id = i + 1, .name = "rule", .kind = PLAN_RULE_KEEP_APART, .vms = members, .n_vms = RULE_VMS};
  }
}

static Day *day_new(const PlanDay *spec)
{
  guint n = spec->n_hosts, n_first = n * VMS_OF_A_HOST, n_vms = n_first + (spec->churn ? n * COMING : 0),
        n_rules = n * RULE_VMS / HOSTS_OF_RULES;
  Day *d = g_new0(Day, 1);
  d->spec = spec;
  plan_chance_seed(&d->chance, spec->seed);
  d->guests = g_new0(Guest, n_vms);
  d->rules = g_new0(PlanRule, n_rules);
  d->members = g_new0(WsId, (gsize)n_rules * RULE_VMS);
  d->hot_since = g_new(gint, n);
  d->fails_min = g_new(gint, n);
  d->on_host = g_new(double, n);
  d->loads = g_new(PlanDrsLoad, n);
  d->plan = (PlanDrs){.n_hosts = n,
                      .n_vms = n_vms,
                      .n_rules = n_rules,
                      .hosts = g_new0(PlanDrsHost, n),
                      .vms = g_new0(PlanDrsVm, n_vms),
                      .reach = g_new0(const char *, (gsize)2 * n),
                      .rules = d->rules};
  for (guint h = 0; h < n; h++)
    d->plan.reach[(gsize)AWAY * n + h] = "it is not there";
  d->options = (PlanDrsOptions){.cpu_percent = 80,
                                .memory_percent = 90,
                                .duration_s = DURATION_MIN * 60,
                                .aggression = AGGRESSION,
                                .balance = true,
                                .heal = true};
  add_hosts(d);
  for (guint i = 0; i < n_vms; i++)
    add_guest(d, i, n_first);
  add_rules(d, n_first);
  return d;
}

static void day_free(Day *d)
{
  for (guint i = 0; i < d->plan.n_vms; i++)
    g_free(d->guests[i].left_min);
  void *arrays[] = {d->guests,  d->rules, d->members,    d->hot_since, d->fails_min,
                    d->on_host, d->loads, d->plan.hosts, d->plan.vms,  d->plan.reach};
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_free(arrays[i]);
  g_free(d);
}

/* ---- what happens, whoever decides ---- */

/* VMs come and go, hosts fail and return. Who has no host gets one by the same rule under each policy. */
static void change(Day *d, gint minute)
{
  bool any = false;
  for (guint h = 0; h < d->plan.n_hosts; h++) {
    bool fails = minute == d->fails_min[h];
    d->plan.hosts[h].takes = minute < d->fails_min[h] || minute >= d->fails_min[h] + FAILED_MIN;
    d->outcome.failed += fails;
    for (guint i = 0; fails && i < d->plan.n_vms; i++)
      if (d->plan.vms[i].host == h)
        d->plan.vms[i].host = PLAN_DRS_NOWHERE;
  }
  for (guint i = 0; i < d->plan.n_vms; i++) {
    PlanDrsVm *vm = &d->plan.vms[i];
    Guest *g = &d->guests[i];
    vm->reach = is_there(g, minute) ? HERE : AWAY;
    if (vm->reach == AWAY)
      vm->host = PLAN_DRS_NOWHERE;
    if (minute && minute == g->comes_min) {
      vm->cpu = vm->cpu_forecast = UNKNOWN_SHARE * VCPUS;
      d->outcome.started++;
    }
    any = any || (vm->reach == HERE && vm->host == PLAN_DRS_NOWHERE);
  }
  if (any)
    plan_drs_place(&d->plan, &d->options, NULL);
}

static double wanted_at(Day *d, guint vm, double minute)
{
  Guest *g = &d->guests[vm];
  double day = pow(fmax(0, cos((minute - g->peak_min) * 2 * G_PI / DAY_MIN)), 2),
         wanted = g->base + g->swing * day;
  for (guint k = 0; k < BURSTS; k++)
    wanted += minute >= g->bursts[k].from_min && minute < g->bursts[k].until_min ? g->bursts[k].more : 0;
  return fmin(VCPUS, d->spec->crowd * wanted * (0.85 + 0.3 * plan_chance_unit(&g->noise)));
}

/* What guests want and get in a part of a minute. */
static void pass_sample(Day *d, gint minute, guint sample, double *mean_on_host)
{
  for (guint h = 0; h < d->plan.n_hosts; h++)
    d->on_host[h] = 0;
  for (guint i = 0; i < d->plan.n_vms; i++) {
    Guest *g = &d->guests[i];
    if (!is_there(g, minute))
      continue;
    double wanted = wanted_at(d, i, minute + (double)sample / SAMPLES);
    d->outcome.wanted += wanted / SAMPLES;
    if (d->plan.vms[i].host == PLAN_DRS_NOWHERE)
      continue;
    plan_demand_feed(&g->series, wanted,
                     (gint64)(minute * SAMPLES + (gint)sample + 1) * 60 / SAMPLES * G_USEC_PER_SEC);
    d->on_host[d->plan.vms[i].host] += wanted;
  }
  for (guint h = 0; h < d->plan.n_hosts; h++) {
    mean_on_host[h] += d->on_host[h] / SAMPLES;
    d->outcome.contended_min += d->on_host[h] > THREADS ? 1.0 / SAMPLES : 0;
    d->outcome.served += fmin(d->on_host[h], THREADS) / SAMPLES;
  }
}

/* A minute passes: guests are measured, hosts become hot or cool. */
static void pass_minute(Day *d, gint minute)
{
  g_autofree double *mean = g_new0(double, d->plan.n_hosts);
  for (guint k = 0; k < SAMPLES; k++)
    pass_sample(d, minute, k, mean);
  for (guint i = 0; i < d->plan.n_vms; i++) {
    PlanDrsVm *vm = &d->plan.vms[i];
    Guest *g = &d->guests[i];
    if (vm->host == PLAN_DRS_NOWHERE)
      continue;
    vm->cpu = fmin(g->series.level, VCPUS);
    vm->cpu_forecast = fmin(plan_demand_forecast(&g->series, PLAN_DRS_HORIZON_S), VCPUS);
    vm->rested = g->series.n >= SAMPLES_MIN && (g->moved_min < 0 || minute - g->moved_min >= REST_MIN);
  }
  plan_drs_loads(&d->plan, d->loads, NULL);
  for (guint h = 0; h < d->plan.n_hosts; h++) {
    bool hot = plan_drs_is_hot(&d->loads[h], &d->options);
    d->hot_since[h] = !hot ? -1 : d->hot_since[h] >= 0 ? d->hot_since[h] : minute;
    d->plan.hosts[h].hot_s = hot ? 60 * (minute - d->hot_since[h]) : -1;
    d->outcome.hot_min += mean[h] > THREADS * d->options.cpu_percent / 100;
  }
}

static guint host_of(WsId vm, WsId hosts[2], void *arg)
{
  guint32 host = ((Day *)arg)->plan.vms[vm - 1].host;
  hosts[0] = host + 1;
  return host != PLAN_DRS_NOWHERE;
}

static guint n_broken(Day *d)
{
  PlanWhere where = {host_of, d};
  g_autoptr(GArray) found = plan_rules_violations(d->rules, d->plan.n_rules, &where);
  return found->len;
}

static void move(Day *d, guint32 vm, guint32 to, gint minute)
{
  Guest *g = &d->guests[vm];
  guint broken = n_broken(d);
  d->outcome.moves++;
  d->outcome.back += minute - g->left_min[to] < HOUR_MIN;
  g->left_min[d->plan.vms[vm].host] = g->moved_min = minute;
  d->plan.vms[vm].host = to;
  d->outcome.broken += n_broken(d) > broken;
}

/* ---- who decides ---- */

static void nobody(Day *d, gint minute)
{
}

static void drs(Day *d, gint minute)
{
  PlanDrsResult result;
  plan_drs(&d->plan, &d->options, &result);
  guint n = result.moves->len;
  for (guint i = 0; i < n; i++) {
    const PlanDrsMove *m = &g_array_index(result.moves, PlanDrsMove, i);
    d->outcome.too_soon += m->reason != PLAN_DRS_RULE && !d->plan.vms[m->vm].rested;
    d->outcome.not_worth += m->reason != PLAN_DRS_RULE && m->gain_s < GAIN_OVER_COST * m->cost_s;
    move(d, m->vm, m->to, minute);
  }
  plan_drs_result_clear(&result);
  if (!n)
    return;
  plan_drs(&d->plan, &d->options, &result);
  d->outcome.advised_again += result.moves->len;
  plan_drs_result_clear(&result);
}

static void greedy(Day *d, gint minute)
{
  for (guint32 h = 0; h < d->plan.n_hosts; h++) {
    guint32 largest = PLAN_DRS_NOWHERE, least = PLAN_DRS_NOWHERE;
    if (d->plan.hosts[h].hot_s < d->options.duration_s)
      continue;
    plan_drs_loads(&d->plan, d->loads, NULL);
    for (guint32 k = 0; k < d->plan.n_hosts; k++)
      if (d->plan.hosts[k].takes && (least == PLAN_DRS_NOWHERE || d->loads[k].cpu < d->loads[least].cpu))
        least = k;
    for (guint32 vm = 0; vm < d->plan.n_vms; vm++)
      if (d->plan.vms[vm].host == h &&
          (largest == PLAN_DRS_NOWHERE || d->plan.vms[vm].cpu > d->plan.vms[largest].cpu))
        largest = vm;
    if (largest != PLAN_DRS_NOWHERE && least != PLAN_DRS_NOWHERE && least != h)
      move(d, largest, least, minute);
  }
}

/* The tags of a VM are the rules that it is in. */
static GArray *tags_of_rules(const Day *d, PlanBalanceVm *vms, const guint32 *index)
{
  GArray *tags = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (guint32 i = 0; i < d->plan.n_vms; i++) {
    if (index[i] == PLAN_NO_HOST)
      continue;
    vms[index[i]].tags_start = tags->len;
    for (guint32 r = 0; r < d->plan.n_rules; r++)
      for (guint k = 0; k < RULE_VMS; k++)
        if (d->rules[r].vms[k] == i + 1)
          g_array_append_val(tags, r);
    vms[index[i]].n_tags = tags->len - vms[index[i]].tags_start;
  }
  return tags;
}

static void hbal(Day *d, gint minute)
{
  guint32 n = 0;
  if (!minute || minute % (gint)d->spec->every_min)
    return;
  g_autofree PlanBalanceHost *hosts = g_new0(PlanBalanceHost, d->plan.n_hosts);
  g_autofree PlanBalanceVm *vms = g_new0(PlanBalanceVm, d->plan.n_vms + 1);
  g_autofree guint32 *index = g_new(guint32, d->plan.n_vms), *back = g_new(guint32, d->plan.n_vms);
  for (guint h = 0; h < d->plan.n_hosts; h++)
    hosts[h] = (PlanBalanceHost){.memory = d->plan.hosts[h].memory_bytes,
                                 .memory_free = d->plan.hosts[h].memory_limit_bytes,
                                 .disk = 1,
                                 .disk_free = 1,
                                 .cpus = THREADS,
                                 .in_service = d->plan.hosts[h].takes};
  for (guint32 i = 0; i < d->plan.n_vms; i++) {
    const PlanDrsVm *vm = &d->plan.vms[i];
    index[i] = PLAN_NO_HOST;
    if (vm->host == PLAN_DRS_NOWHERE)
      continue;
    index[i] = n;
    back[n] = i;
    hosts[vm->host].memory_free -= vm->memory_bytes;
    vms[n++] = (PlanBalanceVm){.memory = vm->memory_bytes,
                               .vcpus = VCPUS,
                               .load = {[PLAN_LOAD_CPU] = vm->cpu},
                               .disks = PLAN_DISKS_SHARED,
                               .runs = true,
                               .host = vm->host,
                               .second = PLAN_NO_HOST};
  }
  g_autoptr(GArray) tags = tags_of_rules(d, vms, index);
  PlanCluster cluster = {.n_hosts = d->plan.n_hosts,
                         .n_vms = n,
                         .n_tags = d->plan.n_rules,
                         .hosts = hosts,
                         .vms = vms,
                         .tags = (guint32 *)(void *)tags->data,
                         .vcpu_ratio = CPU_RATIO};
  PlanBalanceOptions options = {0};
  PlanBalanceResult result;
  plan_balance(&cluster, &options, &result);
  for (guint32 k = 0; k < result.n_steps; k++)
    move(d, back[result.steps[k].vm], result.steps[k].host, minute);
  plan_balance_result_clear(&result);
}

PlanDayOutcome plan_day_live(const PlanDay *day, PlanDayPolicy policy)
{
  static void (*const decide[])(Day *, gint) = {nobody, greedy, hbal, drs};
  Day *d = day_new(day);
  g_assert_cmpuint(n_broken(d), ==, 0);
  for (gint minute = 0; minute < DAY_MIN; minute++) {
    if (day->churn)
      change(d, minute);
    pass_minute(d, minute);
    decide[policy](d, minute);
  }
  PlanDayOutcome outcome = d->outcome;
  day_free(d);
  return outcome;
}
