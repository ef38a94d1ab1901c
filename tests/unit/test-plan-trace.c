// SPDX-License-Identifier: Apache-2.0
/* A day of a cluster whose load changes - office hours, jobs at night, bursts - with one look of DRS a
 * minute, what it advises done at once. Beside it the same day with nobody looking, and with the simplest
 * balancer: of each hot host the largest VM goes to the host that is used least. All of it is a function of
 * the seed. */
#include "plan/chance.h"
#include "plan/demand.h"
#include "plan/drs.h"
#include <math.h>

#define N_HOSTS      40
#define N_VMS        400
#define THREADS      16
#define GIB          ((gint64)1 << 30)
#define DAY_MIN      (24 * 60)
#define SAMPLES      3 /* of each VM's use, a minute */
#define HOUR_MIN     60
#define BURSTS       4 /* of a VM, in the day */
#define N_RULES      24
#define RULE_VMS     3
#define DURATION_MIN 3
#define REST_MIN     2 /* after a move, as the manager has it for looks once a minute */

typedef struct {
  double base, swing, peak_min; /* threads; at what time of the day it wants most */
  struct {
    double from_min, until_min, more;
  } bursts[BURSTS];
  PlanSeries series;
  gint moved_min;         /* -1: not yet */
  gint left_min[N_HOSTS]; /* when it left each of them; -1: not on this day */
} Guest;

typedef struct {
  PlanDrs plan;
  PlanDrsOptions options;
  PlanDrsHost hosts[N_HOSTS];
  PlanDrsVm vms[N_VMS];
  Guest guests[N_VMS];
  PlanRule rules[N_RULES];
  WsId members[N_RULES][RULE_VMS];
  PlanChance chance;
  gint hot_since[N_HOSTS]; /* minute; -1: it is not */
  double crowd;            /* what all want, times so much */
} Day;

typedef struct {
  guint moves, back, hot_min, broken; /* back: to a host that the VM left less than an hour before; hot_min:
                                         of hosts, by what is wanted in truth */
  guint advised_again;                /* moves, by a second look at what the first one left */
  double wanted, served;              /* thread minutes */
} Outcome;

typedef void (*Policy)(Day *day, gint minute, Outcome *outcome);

/* Guests of one kind began side by side, as they are made in practice: their hosts are hot at the same time
 * of the day. */
static Day *day_new(guint64 seed)
{
  Day *d = g_new0(Day, 1);
  plan_chance_seed(&d->chance, seed);
  d->plan = (PlanDrs){N_HOSTS, N_VMS, N_RULES, d->hosts, d->vms, NULL, d->rules};
  d->options = (PlanDrsOptions){.cpu_percent = 80,
                                .memory_percent = 90,
                                .duration_s = DURATION_MIN * 60,
                                .aggression = 3,
                                .balance = true,
                                .heal = true};
  for (guint i = 0; i < N_HOSTS; i++) {
    d->hosts[i] = (PlanDrsHost){.name = "host",
                                .threads = THREADS,
                                .memory_bytes = 160 * GIB,
                                .memory_limit_bytes = 152 * GIB,
                                .vcpus_limit = 4 * THREADS,
                                .takes = true};
    d->hot_since[i] = -1;
  }
  for (guint i = 0; i < N_VMS; i++) {
    Guest *g = &d->guests[i];
    guint kind = i * 4 / N_VMS; /* offices, shops, jobs at night, what never changes */
    static const double peak_min[] = {11 * 60, 19 * 60, 3 * 60, 0};
    gint64 memory = (4 + plan_chance_below(&d->chance, 9)) * GIB;
    d->vms[i] = (PlanDrsVm){.name = "vm",
                            .host = i * N_HOSTS / N_VMS,
                            .memory_used_bytes = memory * 3 / 4,
                            .memory_bytes = memory,
                            .vcpus = 4,
                            .cost_s = 2 + 2.0 * (double)memory / GIB,
                            .movable = true};
    *g = (Guest){.base = 0.25 + 0.35 * plan_chance_unit(&d->chance),
                 .swing = kind == 3 ? 0 : 0.8 + 1.0 * plan_chance_unit(&d->chance),
                 .moved_min = -1};
    g->peak_min = peak_min[kind] + 60 * plan_chance_unit(&d->chance);
    for (guint k = 0; k < BURSTS; k++) {
      g->bursts[k].from_min = DAY_MIN * plan_chance_unit(&d->chance);
      g->bursts[k].until_min = g->bursts[k].from_min + 10 + 80 * plan_chance_unit(&d->chance);
      g->bursts[k].more = 1 + plan_chance_unit(&d->chance);
    }
    for (guint h = 0; h < N_HOSTS; h++)
      g->left_min[h] = -1;
  }
  for (guint i = 0; i < N_RULES; i++) { /* kept apart, and they are, for they begin on different hosts */
    for (guint k = 0; k < RULE_VMS; k++)
      d->members[i][k] = 1 + (i * 13 + k * (N_VMS / RULE_VMS)) % N_VMS;
    d->rules[i] = (PlanRule){
        .id = i + 1, .name = "rule", .kind = PLAN_RULE_KEEP_APART, .vms = d->members[i], .n_vms = RULE_VMS};
    for (guint k = 0; k < RULE_VMS; k++) /* in rising order */
      for (guint m = k + 1; m < RULE_VMS; m++)
        if (d->members[i][m] < d->members[i][k]) {
          WsId swap = d->members[i][m];
          d->members[i][m] = d->members[i][k], d->members[i][k] = swap;
        }
  }
  return d;
}

static double wanted_at(Day *d, guint vm, double minute)
{
  const Guest *g = &d->guests[vm];
  double day = pow(fmax(0, cos((minute - g->peak_min) * 2 * G_PI / DAY_MIN)), 2),
         wanted = g->base + g->swing * day;
  for (guint k = 0; k < BURSTS; k++)
    wanted += minute >= g->bursts[k].from_min && minute < g->bursts[k].until_min ? g->bursts[k].more : 0;
  return fmin(4, d->crowd * wanted * (0.85 + 0.3 * plan_chance_unit(&d->chance)));
}

/* A minute passes: guests are measured, hosts become hot or cool. */
static void pass_minute(Day *d, gint minute, Outcome *outcome)
{
  double on_host[N_HOSTS] = {0};
  PlanDrsLoad loads[N_HOSTS];
  for (guint i = 0; i < N_VMS; i++) {
    PlanDrsVm *vm = &d->vms[i];
    for (guint k = 0; k < SAMPLES; k++) {
      double wanted = wanted_at(d, i, minute + (double)k / SAMPLES);
      plan_demand_feed(&d->guests[i].series, wanted,
                       (gint64)(minute * SAMPLES + (gint)k + 1) * 60 / SAMPLES * G_USEC_PER_SEC);
      on_host[vm->host] += wanted / SAMPLES;
    }
    vm->cpu = fmin(d->guests[i].series.level, 4);
    vm->cpu_forecast = fmin(plan_demand_forecast(&d->guests[i].series, PLAN_DRS_HORIZON_S), 4);
    vm->rested = d->guests[i].moved_min < 0 || minute - d->guests[i].moved_min >= REST_MIN;
  }
  plan_drs_loads(&d->plan, loads, NULL);
  for (guint h = 0; h < N_HOSTS; h++) {
    bool hot = plan_drs_is_hot(&loads[h], &d->options);
    d->hot_since[h] = !hot ? -1 : d->hot_since[h] >= 0 ? d->hot_since[h] : minute;
    d->hosts[h].hot_s = hot ? 60 * (minute - d->hot_since[h]) : -1;
    outcome->hot_min += on_host[h] > THREADS * d->options.cpu_percent / 100;
    outcome->wanted += on_host[h];
    outcome->served += fmin(on_host[h], THREADS);
  }
}

static guint host_of(WsId vm, WsId hosts[2], void *arg)
{
  hosts[0] = ((Day *)arg)->vms[vm - 1].host + 1;
  return 1;
}

static guint n_broken(Day *d)
{
  PlanWhere where = {host_of, d};
  g_autoptr(GArray) found = plan_rules_violations(d->rules, N_RULES, &where);
  return found->len;
}

static void move(Day *d, guint32 vm, guint32 to, gint minute, Outcome *outcome)
{
  Guest *g = &d->guests[vm];
  guint broken = n_broken(d);
  outcome->moves++;
  outcome->back += g->left_min[to] >= 0 && minute - g->left_min[to] < HOUR_MIN;
  g->left_min[d->vms[vm].host] = g->moved_min = minute;
  d->vms[vm].host = to;
  outcome->broken += n_broken(d) > broken;
}

/* ---- who decides ---- */

static void nobody(Day *d, gint minute, Outcome *outcome)
{
}

static void drs(Day *d, gint minute, Outcome *outcome)
{
  PlanDrsResult result;
  plan_drs(&d->plan, &d->options, &result);
  guint n = result.moves->len;
  for (guint i = 0; i < n; i++) {
    const PlanDrsMove *m = &g_array_index(result.moves, PlanDrsMove, i);
    move(d, m->vm, m->to, minute, outcome);
  }
  plan_drs_result_clear(&result);
  if (!n)
    return;
  plan_drs(&d->plan, &d->options, &result);
  outcome->advised_again += result.moves->len;
  plan_drs_result_clear(&result);
}

static void greedy(Day *d, gint minute, Outcome *outcome)
{
  for (guint32 h = 0; h < N_HOSTS; h++) {
    PlanDrsLoad loads[N_HOSTS];
    guint32 largest = PLAN_DRS_NOWHERE, least = 0;
    if (d->hosts[h].hot_s < d->options.duration_s)
      continue;
    plan_drs_loads(&d->plan, loads, NULL);
    for (guint32 k = 0; k < N_HOSTS; k++)
      least = loads[k].cpu < loads[least].cpu ? k : least;
    for (guint32 vm = 0; vm < N_VMS; vm++)
      if (d->vms[vm].host == h && (largest == PLAN_DRS_NOWHERE || d->vms[vm].cpu > d->vms[largest].cpu))
        largest = vm;
    if (largest != PLAN_DRS_NOWHERE && least != h)
      move(d, largest, least, minute, outcome);
  }
}

static Outcome live(guint64 seed, double crowd, Policy policy, const char *name)
{
  g_autofree Day *d = day_new(seed);
  Outcome outcome = {0};
  d->crowd = crowd;
  g_assert_cmpuint(n_broken(d), ==, 0);
  for (gint minute = 0; minute < DAY_MIN; minute++) {
    pass_minute(d, minute, &outcome);
    policy(d, minute, &outcome);
  }
  g_test_message("%s: %u moves, %u of them back within an hour, %u hot host minutes, %.3f %% of what was "
                 "wanted served, rules broken %u times",
                 name, outcome.moves, outcome.back, outcome.hot_min, 100 * outcome.served / outcome.wanted,
                 outcome.broken);
  return outcome;
}

/* ---- what must hold ---- */

#define SEEDS 3
#define CROWD 1.25

static void day_is_served_with_few_moves(void)
{
  for (guint64 seed = 1; seed <= SEEDS; seed++) {
    Outcome without = live(seed, 1, nobody, "nobody"), with = live(seed, 1, drs, "DRS"),
            simple = live(seed, 1, greedy, "the largest to the least used");
    g_assert_cmpuint(without.hot_min, >, 1000); /* there is something to do */
    g_assert_cmpuint(with.moves, >, 0);
    g_assert_cmpuint(with.hot_min * 6, <=, without.hot_min);
    g_assert_cmpfloat(with.served, >, without.served);
    g_assert_cmpuint(with.moves, <=, N_VMS); /* once a day on average */
    g_assert_cmpuint(with.moves, <=, simple.moves + simple.moves / 20);
    g_assert_cmpuint(with.back, ==, 0);
    g_assert_cmpuint(with.broken, ==, 0);
    g_assert_cmpuint(with.advised_again, ==, 0);
  }
}

/* At noon there are few hosts left that are not hot: what moves in vain, or comes back, is what the load's
 * ups and downs make of the simplest balancer. */
static void crowded_day_makes_nobody_nervous(void)
{
  Outcome without = live(1, CROWD, nobody, "nobody"), with = live(1, CROWD, drs, "DRS"),
          simple = live(1, CROWD, greedy, "the largest to the least used");
  g_assert_cmpfloat(with.served, >, 0.995 * with.wanted);
  g_assert_cmpfloat(without.served, <, 0.97 * without.wanted);
  g_assert_cmpuint(with.moves, <, simple.moves);
  g_assert_cmpuint(with.moves, <=, 3 * N_VMS);
  g_assert_cmpuint(with.back * 50, <=, with.moves);
  g_assert_cmpuint(with.back * 4, <, simple.back);
  g_assert_cmpuint(with.hot_min, <, simple.hot_min);
  g_assert_cmpuint(with.broken, ==, 0);
  g_assert_cmpuint(with.advised_again, ==, 0);
}

static void same_day_is_the_same_again(void)
{
  Outcome a = live(1, 1, drs, "DRS"), b = live(1, 1, drs, "DRS");
  g_assert_cmpuint(a.moves, ==, b.moves);
  g_assert_cmpuint(a.hot_min, ==, b.hot_min);
  g_assert_cmpfloat(a.served, ==, b.served);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-trace/day_is_served_with_few_moves", day_is_served_with_few_moves);
  g_test_add_func("/plan-trace/crowded_day_makes_nobody_nervous", crowded_day_makes_nobody_nervous);
  g_test_add_func("/plan-trace/same_day_is_the_same_again", same_day_is_the_same_again);
  return g_test_run();
}
