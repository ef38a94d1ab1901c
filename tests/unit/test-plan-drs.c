// SPDX-License-Identifier: Apache-2.0
/* DRS: what is moved, what is not, and what must hold of every plan. */
#include "plan/chance.h"
#include "plan/demand.h"
#include "plan/drs.h"
#include "plan/fit.h"
#include <math.h>
#include <string.h>

#define GIB     ((gint64)1 << 30)
#define MANY    64
#define MAX_VMS 400

typedef struct {
  PlanDrs plan;
  PlanDrsHost hosts[MANY];
  PlanDrsVm vms[MAX_VMS];
  PlanRule rules[MANY];
  WsId lists[MANY][16];
  const char *reach[4 * MANY];
  PlanDrsOptions options;
} World;

static World *world_new(guint n_hosts)
{
  World *w = g_new0(World, 1);
  w->plan = (PlanDrs){n_hosts, 0, 0, w->hosts, w->vms, NULL, w->rules};
  w->options = (PlanDrsOptions){.cpu_percent = 80, .memory_percent = 80, .aggression = 3, .balance = true, .heal = true};
  for (guint i = 0; i < n_hosts; i++)
    w->hosts[i] = (PlanDrsHost){.name = "h", .threads = 4, .memory_bytes = 32 * GIB, .memory_limit_bytes = 30 * GIB, .vcpus_limit = 16, .takes = true};
  return w;
}

static guint32 add(World *w, guint32 host, double cpu, gint64 gib)
{
  guint32 vm = w->plan.n_vms++;
  w->vms[vm] = (PlanDrsVm){.name = "v", .host = host, .cpu = cpu, .cpu_forecast = cpu, .memory_used_bytes = gib * GIB, .memory_bytes = gib * GIB, .vcpus = 2,
                           .cost_s = 2 + 2 * (double)gib, .movable = true, .rested = true};
  return vm;
}

static void add_rule(World *w, PlanRuleKind kind, const WsId *vms, guint n_vms, const WsId *hosts, guint n_hosts)
{
  guint i = w->plan.n_rules++;
  WsId *list = w->lists[i];
  for (guint j = 0; j < n_vms; j++)
    list[j] = vms[j] + 1;
  for (guint j = 0; j < n_hosts; j++)
    list[n_vms + j] = hosts[j] + 1;
  w->rules[i] = (PlanRule){i + 1, "r", kind, list, list + n_vms, n_vms, n_hosts};
}

static guint moves_of(World *w, PlanDrsMove *first)
{
  PlanDrsResult result;
  plan_drs(&w->plan, &w->options, &result);
  guint n = result.moves->len;
  if (n && first)
    *first = g_array_index(result.moves, PlanDrsMove, 0);
  plan_drs_result_clear(&result);
  return n;
}

/* Does what is planned; how many moves that were. */
static guint apply(World *w)
{
  PlanDrsResult result;
  plan_drs(&w->plan, &w->options, &result);
  guint n = result.moves->len;
  for (guint i = 0; i < n; i++) {
    const PlanDrsMove *move = &g_array_index(result.moves, PlanDrsMove, i);
    w->vms[move->vm].host = move->to;
  }
  plan_drs_result_clear(&result);
  return n;
}

static double cpu_of(World *w, guint32 host)
{
  PlanDrsLoad loads[MANY];
  plan_drs_loads(&w->plan, loads, NULL);
  return loads[host].cpu;
}

/* ---- load ---- */

static void hot_host_is_relieved_and_then_nothing_moves(void)
{
  g_autofree World *w = world_new(3);
  for (guint i = 0; i < 4; i++)
    add(w, 0, 1, 1);
  g_assert_cmpuint(apply(w), >, 0);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat(cpu_of(w, i), <=, 80);
  g_assert_cmpuint(apply(w), ==, 0);
}

static void move_carries_its_reasons_and_alternatives(void)
{
  g_autofree World *w = world_new(3);
  PlanDrsResult result;
  for (guint i = 0; i < 4; i++)
    add(w, 0, 1, 1);
  add(w, 2, 1, 1);
  plan_drs(&w->plan, &w->options, &result);
  const PlanDrsMove *move = &g_array_index(result.moves, PlanDrsMove, 0);
  g_assert_cmpint(move->reason, ==, PLAN_DRS_CPU);
  g_assert_cmpuint(move->to, ==, 1); /* the idle one */
  g_assert_cmpfloat(move->from_before.cpu, ==, 100);
  g_assert_cmpfloat(move->from_after.cpu, ==, 75);
  g_assert_cmpfloat(move->to_after.cpu, ==, 25);
  g_assert_cmpfloat(move->gain_s, >, move->cost_s);
  g_assert_cmpuint(move->n_alternatives, ==, 1);
  g_assert_cmpuint(move->alternatives[0].host, ==, 2);
  g_assert_cmpfloat(move->alternatives[0].gain_s, <, move->gain_s);
  g_assert_cmpfloat(result.stress_after, <, result.stress_before);
  plan_drs_result_clear(&result);
}

static void memory_above_its_threshold_moves_too(void)
{
  g_autofree World *w = world_new(2);
  PlanDrsMove move;
  for (guint i = 0; i < 7; i++)
    add(w, 0, 0.1, 4);
  g_assert_cmpuint(moves_of(w, &move), >, 0);
  g_assert_cmpint(move.reason, ==, PLAN_DRS_MEMORY);
  w->options.both = true; /* processors are idle */
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
}

static void short_peak_and_small_gain_move_nothing(void)
{
  g_autofree World *w = world_new(2);
  for (guint i = 0; i < 4; i++)
    add(w, 0, 1, 1);
  w->options.duration_s = 300;
  w->hosts[0].hot_s = 299;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  w->hosts[0].hot_s = 300;
  g_assert_cmpuint(moves_of(w, NULL), >, 0);
  for (guint i = 0; i < 4; i++)
    w->vms[i].cost_s = 1e6; /* takes more than it saves */
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
}

static void aggression_says_how_much_is_moved(void)
{
  g_autofree World *w = world_new(2);
  for (guint i = 0; i < 3; i++)
    add(w, 0, 0.6, 1); /* 45 % and 0 %: below the threshold */
  static const bool moves[] = {false, false, false, true, true};
  for (guint aggression = 1; aggression <= 5; aggression++) {
    w->options.aggression = aggression;
    g_assert_true((moves_of(w, NULL) > 0) == moves[aggression - 1]);
  }
  for (guint i = 0; i < 3; i++)
    w->vms[i].cpu = w->vms[i].cpu_forecast = 1.2;
  w->options.aggression = 1; /* hot, but told not to */
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
}

/* What a move saves, with its cost taken off, must be a multiple of the cost that the aggression says. */
static void gain_beside_cost_decides(void)
{
  static const double ratio[] = {0, 4, 2, 1, 0.5};
  g_autofree World *w = world_new(2);
  PlanDrsMove move;
  add(w, 0, 3.6, 1);
  w->hosts[0].threads = 4;
  w->hosts[1].threads = 8;
  w->hosts[0].memory_bytes = w->hosts[1].memory_bytes = 0; /* processors alone */
  double before = 4 * (pow(0.9, 4) + 4 * 0.1), after = 8 * pow(0.45, 4), saves = 600 * (before - after);
  for (guint aggression = 2; aggression <= 5; aggression++) {
    double most = saves / (1 + ratio[aggression - 1]); /* gain = saves - cost >= ratio x cost */
    w->options.aggression = aggression;
    w->vms[0].cost_s = most * 1.01;
    g_assert_cmpuint(moves_of(w, NULL), ==, 0);
    w->vms[0].cost_s = most * 0.99;
    g_assert_cmpuint(moves_of(w, &move), ==, 1);
    g_assert_cmpfloat_with_epsilon(move.gain_s, saves - most * 0.99, 1e-6);
    g_assert_cmpfloat(move.cost_s, ==, most * 0.99);
  }
}

static void of_vms_that_relieve_alike_the_cheapest_moves(void)
{
  g_autofree World *w = world_new(2);
  PlanDrsMove move;
  for (guint i = 0; i < 4; i++)
    add(w, 0, 0.9, 1);
  for (guint cheap = 0; cheap < 4; cheap++) {
    for (guint i = 0; i < 4; i++)
      w->vms[i].cost_s = i == cheap ? 10 : 11;
    g_assert_cmpuint(moves_of(w, &move), >, 0);
    g_assert_cmpuint(move.vm, ==, cheap);
  }
}

/* Where its target would be hot too, the move must leave that one at least 10 percent points below what its source had. */
static void heat_is_not_only_passed_on(void)
{
  g_autofree World *w = world_new(2);
  add(w, 0, 1.9, 1);
  add(w, 0, 1.9, 1); /* 95 % of four threads; one of them saves 1,500 s at a cost of 4 */
  w->hosts[1].threads = 2;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0); /* it would be at 95 % there */
  w->hosts[1].threads = 1.9 / 0.86;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0); /* 86 % */
  w->hosts[1].threads = 1.9 / 0.84;
  g_assert_cmpuint(moves_of(w, NULL), ==, 1); /* 84 %: hot, but well below */
}

static void what_may_not_move_stays(void)
{
  g_autofree World *w = world_new(2);
  for (guint i = 0; i < 4; i++)
    add(w, 0, 1, 1);
  for (guint i = 0; i < 4; i++)
    w->vms[i].rested = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  for (guint i = 0; i < 4; i++)
    w->vms[i].rested = true, w->vms[i].movable = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  for (guint i = 0; i < 4; i++)
    w->vms[i].movable = true;
  w->reach[1] = "does not reach the storage pools that the VM needs";
  w->plan.reach = w->reach;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  w->reach[1] = NULL;
  w->hosts[1].takes = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
}

/* ---- rules ---- */

static void vms_that_keep_apart_part_with_balancing_off(void)
{
  g_autofree World *w = world_new(2);
  PlanDrsMove move;
  WsId both[] = {add(w, 0, 0.1, 1), add(w, 0, 0.1, 1)};
  w->options.balance = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  add_rule(w, PLAN_RULE_KEEP_APART, both, 2, NULL, 0);
  g_assert_cmpuint(moves_of(w, &move), ==, 1);
  g_assert_cmpint(move.reason, ==, PLAN_DRS_RULE);
  g_assert_cmpuint(move.rule, ==, 0);
  g_assert_cmpuint(move.to, ==, 1);
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(apply(w), ==, 0);
  w->options.heal = false;
  w->vms[1].host = w->vms[0].host;
  g_assert_cmpuint(apply(w), ==, 0);
}

static void vms_that_keep_together_move_as_one(void)
{
  g_autofree World *w = world_new(2);
  WsId pair[] = {add(w, 0, 1, 1), add(w, 0, 1, 1)};
  add(w, 0, 1, 1);
  add(w, 0, 0.9, 1);
  add_rule(w, PLAN_RULE_KEEP_TOGETHER, pair, 2, NULL, 0);
  w->vms[2].movable = w->vms[3].movable = false;
  g_assert_cmpuint(apply(w), ==, 2);
  g_assert_cmpuint(w->vms[0].host, ==, 1);
  g_assert_cmpuint(w->vms[1].host, ==, 1);
  w->vms[1].host = 0; /* parted by somebody */
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(w->vms[1].host, ==, w->vms[0].host);
}

static void rules_that_name_hosts_are_healed(void)
{
  g_autofree World *w = world_new(3);
  WsId vms[] = {add(w, 0, 0.1, 1)}, hosts[] = {2};
  add_rule(w, PLAN_RULE_MUST_RUN_ON, vms, 1, hosts, 1);
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(w->vms[0].host, ==, 2);
  w->rules[0].kind = PLAN_RULE_SHOULD_NOT_RUN_ON;
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(w->vms[0].host, !=, 2);
}

static void another_vm_makes_room_where_only_that_is_lacking(void)
{
  g_autofree World *w = world_new(3);
  WsId vms[] = {add(w, 0, 0.1, 20)}, hosts[] = {1};
  guint32 small = add(w, 1, 0.1, 12);
  add_rule(w, PLAN_RULE_MUST_RUN_ON, vms, 1, hosts, 1);
  PlanDrsResult result;
  plan_drs(&w->plan, &w->options, &result);
  g_assert_cmpuint(result.moves->len, ==, 2);
  const PlanDrsMove *first = &g_array_index(result.moves, PlanDrsMove, 0), *second = &g_array_index(result.moves, PlanDrsMove, 1);
  g_assert_cmpuint(first->vm, ==, small);
  g_assert_cmpint(first->reason, ==, PLAN_DRS_MAKE_ROOM);
  g_assert_cmpuint(second->wave, >, first->wave); /* the room is there when it has left */
  plan_drs_result_clear(&result);
}

static void hosts_that_are_to_be_empty_are_emptied(void)
{
  g_autofree World *w = world_new(3);
  for (guint i = 0; i < 4; i++)
    add(w, 0, 0.2, 4);
  w->hosts[0].empties = true;
  w->options.balance = w->options.heal = false;
  g_assert_cmpuint(apply(w), ==, 4);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint(w->vms[i].host, !=, 0);
}

/* ---- rules that spread over fault domains ---- */

static void add_spread(World *w, PlanRuleKind kind, const WsId *vms, guint n_vms, guint min_domains)
{
  add_rule(w, kind, vms, n_vms, NULL, 0);
  w->rules[w->plan.n_rules - 1].min_domains = min_domains;
}

static void racks(World *w, guint hosts_each)
{
  static const char *const names[] = {"rack-1", "rack-2", "rack-3", "rack-4"};
  for (guint i = 0; i < w->plan.n_hosts; i++)
    w->hosts[i].domain = names[i / hosts_each];
}

static void vms_spread_with_balancing_off(void)
{
  g_autofree World *w = world_new(4);
  WsId vms[] = {add(w, 0, 0.1, 1), add(w, 1, 0.1, 1), add(w, 0, 0.1, 1)};
  PlanDrsMove move;
  racks(w, 2);
  w->options.balance = false;
  add_spread(w, PLAN_RULE_MUST_SPREAD, vms, 3, 2);
  g_assert_cmpuint(moves_of(w, &move), ==, 1); /* two racks hold one, so the third may be anywhere */
  g_assert_cmpint(move.reason, ==, PLAN_DRS_RULE);
  g_assert_cmpuint(move.to, >=, 2);
  w->rules[0].min_domains = 3; /* there are but two */
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(apply(w), ==, 0);
  w->hosts[3].domain = NULL; /* a domain of its own */
  g_assert_cmpuint(apply(w), ==, 1);
  g_assert_cmpuint(apply(w), ==, 0);
}

static void relief_of_a_hot_host_keeps_them_spread(void)
{
  g_autofree World *w = world_new(3);
  WsId vms[] = {add(w, 0, 1.9, 1), add(w, 2, 0.1, 1)};
  add(w, 0, 1.9, 1);
  w->hosts[0].domain = "rack-1";
  w->hosts[1].domain = w->hosts[2].domain = "rack-2";
  w->vms[2].movable = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 1);
  add_spread(w, PLAN_RULE_MUST_SPREAD, vms, 2, 2);
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  w->rules[0].kind = PLAN_RULE_SHOULD_SPREAD; /* no more dislikes than now either */
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  w->hosts[1].domain = "rack-1";
  g_assert_cmpuint(moves_of(w, NULL), ==, 1);
}

/* Domains that a should names are sought, but not where a host would be hot by it. */
static void should_spread_yields_to_heat(void)
{
  g_autofree World *w = world_new(2);
  WsId vms[] = {add(w, 0, 1, 1), add(w, 0, 1, 1)};
  add_spread(w, PLAN_RULE_SHOULD_SPREAD, vms, 2, 2);
  w->options.balance = false;
  g_assert_cmpuint(moves_of(w, NULL), ==, 1);
  add(w, 1, 2.9, 1);
  g_assert_cmpuint(moves_of(w, NULL), ==, 0);
  w->rules[0].kind = PLAN_RULE_MUST_SPREAD;
  g_assert_cmpuint(moves_of(w, NULL), ==, 1);
}

/* Room in the other rack comes only by a VM that leaves it. */
static void room_is_made_in_another_domain(void)
{
  g_autofree World *w = world_new(3);
  WsId vms[] = {add(w, 0, 0.1, 20), add(w, 0, 0.1, 5)};
  guint32 in_the_way = add(w, 2, 0.1, 26);
  PlanDrsResult result;
  w->hosts[0].domain = w->hosts[1].domain = "rack-1";
  w->vms[vms[0]].movable = false;
  add_spread(w, PLAN_RULE_MUST_SPREAD, vms, 2, 2);
  plan_drs(&w->plan, &w->options, &result);
  g_assert_cmpuint(result.moves->len, ==, 2);
  g_assert_cmpuint(g_array_index(result.moves, PlanDrsMove, 0).vm, ==, in_the_way);
  g_assert_cmpuint(g_array_index(result.moves, PlanDrsMove, 1).to, ==, 2);
  g_assert_cmpuint(result.n_broken, ==, 0);
  plan_drs_result_clear(&result);
}

static void lost_racks_vms_are_spread_over_what_is_left(void)
{
  g_autofree World *w = world_new(6);
  g_autofree char *why = NULL;
  WsId vms[] = {add(w, 0, 0.1, 1), add(w, 2, 0.1, 1), add(w, 4, 0.1, 1)};
  racks(w, 2);
  add_spread(w, PLAN_RULE_MUST_SPREAD, vms, 3, 2);
  w->hosts[0].takes = w->hosts[1].takes = w->hosts[2].takes = w->hosts[3].takes = false;
  w->vms[0].host = w->vms[1].host = PLAN_DRS_NOWHERE;
  g_assert_cmpuint(plan_drs_place(&w->plan, &w->options, &why), ==, 2); /* the third one runs in rack-3 */
  g_assert_nonnull(strstr(why, "rule r spreads over 2 fault domains, and v is in this one"));
  w->hosts[2].takes = true;
  g_assert_cmpuint(plan_drs_place(&w->plan, &w->options, NULL), ==, 0);
  g_assert_cmpuint(w->vms[0].host, ==, 2);
}

/* One comes to where another one leaves: not before that one is gone. */
static void place_is_taken_over_a_wave_later(void)
{
  g_autofree World *w = world_new(3);
  WsId vms[] = {add(w, 0, 0.1, 1), add(w, 1, 0.1, 1)}, last[] = {2}, first[] = {0};
  PlanDrsResult result;
  add_rule(w, PLAN_RULE_MUST_RUN_ON, vms, 1, last, 1);
  add_rule(w, PLAN_RULE_MUST_RUN_ON, vms + 1, 1, first, 1);
  w->options.balance = false;
  for (guint spread = 0; spread < 2; spread++) {
    plan_drs(&w->plan, &w->options, &result);
    g_assert_cmpuint(result.moves->len, ==, 2);
    g_assert_cmpuint(g_array_index(result.moves, PlanDrsMove, 1).to, ==, 0);
    g_assert_cmpuint(g_array_index(result.moves, PlanDrsMove, 1).wave, ==,
                     g_array_index(result.moves, PlanDrsMove, 0).wave + spread);
    plan_drs_result_clear(&result);
    add_spread(w, PLAN_RULE_MUST_SPREAD, vms, 2, 2);
  }
}

/* ---- what must hold of every plan ---- */

/* The fault domains that a rule misses, counted anew from where VMs are: nothing of the planner's is in it.
 */
static guint missing_by_hand(const World *w, const PlanRule *rule, const guint32 *at)
{
  bool held[MANY] = {false};
  guint running = 0, n = 0;
  for (guint i = 0; i < rule->n_vms; i++) {
    guint32 host = at[rule->vms[i] - 1], domain = host;
    if (host == PLAN_DRS_NOWHERE)
      continue;
    for (guint32 k = 0; w->hosts[host].domain && k < w->plan.n_hosts; k++)
      if (w->hosts[k].domain && strcmp(w->hosts[k].domain, w->hosts[host].domain) == 0)
        domain = MIN(domain, k);
    running++;
    n += !held[domain];
    held[domain] = true;
  }
  guint wanted = MIN(running, rule->min_domains);
  return wanted > n ? wanted - n : 0;
}

static guint all_missing(const World *w, const guint32 *at, guint *of_rule)
{
  guint sum = 0;
  for (guint i = 0; i < w->plan.n_rules; i++) {
    guint missing = w->rules[i].kind == PLAN_RULE_MUST_SPREAD ? missing_by_hand(w, &w->rules[i], at) : 0;
    if (of_rule)
      of_rule[i] = missing;
    sum += missing;
  }
  return sum;
}

/* Moves of a wave end in any order: none of the states between lacks a domain that was held when it began. */
static void check_domains_of_wave(World *w, PlanChance *chance, const guint32 *at, const PlanDrsMove *moves,
                                  guint n)
{
  guint before[MANY], after[MANY];
  all_missing(w, at, before);
  for (guint round = 0; round < 3; round++) {
    g_autofree guint32 *now = g_memdup2(at, MAX_VMS * sizeof *at);
    g_autofree guint *order = g_new(guint, n + 1);
    for (guint i = 0; i < n; i++) {
      guint j = plan_chance_below(chance, i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    for (guint i = 0; i < n; i++) {
      now[moves[order[i]].vm] = moves[order[i]].to;
      all_missing(w, now, after);
      for (guint k = 0; k < w->plan.n_rules; k++)
        g_assert_cmpuint(after[k], <=, before[k]);
    }
  }
}

static guint at_look_up(WsId vm, WsId hosts[2], void *arg)
{
  const guint32 *at = arg;
  hosts[0] = at[vm - 1] + 1;
  return 1;
}

static guint hard_broken(const World *w, const guint32 *at)
{
  PlanWhere where = {at_look_up, (void *)at};
  guint n = all_missing(w, at, NULL);
  for (guint i = 0; i < w->plan.n_rules; i++) {
    g_autoptr(GArray) found = plan_rules_violations(&w->rules[i], 1, &where);
    n += plan_rule_is_hard(w->rules[i].kind) && w->rules[i].kind != PLAN_RULE_MUST_SPREAD ? found->len : 0;
  }
  return n;
}

static void random_spread(World *w, PlanChance *chance)
{
  static const char *const names[] = {NULL, "rack-1", "rack-2", "rack-3"};
  for (guint i = 0; i < w->plan.n_hosts; i++)
    w->hosts[i].domain = names[plan_chance_below(chance, G_N_ELEMENTS(names))];
  for (guint i = 0; i < 1 + w->plan.n_hosts / 3; i++) {
    guint n = 2 + plan_chance_below(chance, 5), first = plan_chance_below(chance, w->plan.n_vms - n);
    WsId vms[8];
    for (guint j = 0; j < n; j++)
      vms[j] = first + j;
    add_spread(w, plan_chance_below(chance, 3) ? PLAN_RULE_MUST_SPREAD : PLAN_RULE_SHOULD_SPREAD, vms, n,
               2 + plan_chance_below(chance, 3));
    PlanConflict conflict; /* such a rule is not made */
    w->plan.n_rules -=
        plan_rules_conflict(w->rules, w->plan.n_rules, NULL, &conflict) && conflict.a == w->plan.n_rules - 1;
  }
}

static void random_world(World *w, PlanChance *chance)
{
  for (guint i = 0; i < w->plan.n_hosts; i++)
    w->hosts[i].threads = 4 + plan_chance_below(chance, 12);
  gint64 used[MANY] = {0};
  for (guint i = 0; i < 8 * w->plan.n_hosts; i++) {
    guint32 host = plan_chance_below(chance, w->plan.n_hosts);
    host = plan_chance_below(chance, 3) ? host : 0; /* the first has more */
    gint64 gib = 1 + plan_chance_below(chance, 4);
    if ((used[host] += gib) > 28) /* feasible at the beginning */
      used[host] -= gib;
    else
      add(w, host, plan_chance_unit(chance) * 2, gib);
  }
  for (guint i = 0; i < w->plan.n_hosts; i++)
    w->hosts[i].vcpus_limit = 64;
  for (guint i = 0; i < w->plan.n_hosts / 2; i++) {
    WsId a = plan_chance_below(chance, w->plan.n_vms - 1), vms[] = {a, a + 1}, hosts[] = {plan_chance_below(chance, w->plan.n_hosts)};
    PlanRuleKind kind = PLAN_RULE_KEEP_TOGETHER + plan_chance_below(chance, 6);
    add_rule(w, kind, vms, 2, hosts, plan_rule_names_hosts(kind));
  }
  random_spread(w, chance);
  w->options.aggression = 1 + plan_chance_below(chance, 5);
}

/* All moves of a wave under way at a time, in the worst case: memory is taken on both ends. */
static void check_waves(World *w, PlanChance *chance, const PlanDrsResult *result)
{
  g_autofree guint32 *at = g_new(guint32, MAX_VMS);
  gint64 held[MANY];
  guint broken_before;
  for (guint i = 0; i < w->plan.n_vms; i++)
    at[i] = w->vms[i].host;
  broken_before = hard_broken(w, at);
  for (guint i = 0; i < result->moves->len;) {
    guint wave = g_array_index(result->moves, PlanDrsMove, i).wave;
    g_autofree guint32 *began = g_memdup2(at, MAX_VMS * sizeof *at);
    guint first = i;
    memset(held, 0, sizeof held);
    for (guint j = 0; j < w->plan.n_vms; j++)
      held[at[j]] += w->vms[j].memory_bytes;
    for (; i < result->moves->len && g_array_index(result->moves, PlanDrsMove, i).wave == wave; i++) {
      const PlanDrsMove *move = &g_array_index(result->moves, PlanDrsMove, i);
      g_assert_cmpuint(at[move->vm], ==, move->from);
      g_assert_true(w->hosts[move->to].takes && w->vms[move->vm].movable);
      held[move->to] += w->vms[move->vm].memory_bytes;
      g_assert_cmpint(held[move->to], <=, w->hosts[move->to].memory_limit_bytes);
      guint missing = all_missing(w, at, NULL);
      at[move->vm] = move->to;
      g_assert_cmpuint(all_missing(w, at, NULL), <=, missing); /* each step, in the plan's order */
    }
    check_domains_of_wave(w, chance, began, &g_array_index(result->moves, PlanDrsMove, first), i - first);
  }
  g_assert_cmpuint(hard_broken(w, at), <=, broken_before);
  g_assert_cmpuint(hard_broken(w, at), ==, result->n_broken);
}

static void every_plan_is_feasible_and_ends(void)
{
  PlanChance chance;
  plan_chance_seed(&chance, 3);
  guint moved = 0;
  for (guint round = 0; round < 300; round++) {
    g_autofree World *w = world_new(2 + plan_chance_below(&chance, 10));
    PlanDrsResult result, again;
    random_world(w, &chance);
    plan_drs(&w->plan, &w->options, &result);
    plan_drs(&w->plan, &w->options, &again);
    g_assert_cmpuint(result.moves->len, ==, again.moves->len); /* the same world, the same plan */
    for (guint i = 0; i < result.moves->len; i++) {
      const PlanDrsMove *a = &g_array_index(result.moves, PlanDrsMove, i),
                        *b = &g_array_index(again.moves, PlanDrsMove, i);
      g_assert_true(a->vm == b->vm && a->to == b->to && a->wave == b->wave);
    }
    check_waves(w, &chance, &result);
    bool heals = false;
    for (guint i = 0; i < result.moves->len; i++)
      heals = heals || g_array_index(result.moves, PlanDrsMove, i).rule != G_MAXUINT32;
    if (!heals)
      g_assert_cmpfloat(result.stress_after, <=, result.stress_before);
    moved += result.moves->len;
    plan_drs_result_clear(&result);
    plan_drs_result_clear(&again);
    guint runs = 0;
    while (apply(w))
      g_assert_cmpuint(runs++, <, 4); /* more than one only where a plan was cut short or healing made a host hot */
  }
  g_assert_cmpuint(moved, >, 200);
}

/* VMs of hosts that are hot and of others, so that where one goes bears on many hosts for the rest. */
static void bind_by_domains(World *w, PlanChance *chance)
{
  for (guint i = 0; i < w->plan.n_hosts && w->plan.n_rules < MANY; i++) {
    WsId vms[6], at = plan_chance_below(chance, w->plan.n_vms / 6);
    for (guint j = 0; j < G_N_ELEMENTS(vms); j++, at += 1 + plan_chance_below(chance, w->plan.n_vms / 6))
      vms[j] = at;
    add_spread(w, i % 2 ? PLAN_RULE_MUST_SPREAD : PLAN_RULE_SHOULD_SPREAD, vms, 4 + i % 3,
               2 + plan_chance_below(chance, 2));
  }
}

/* What the search remembers of a move before is what it would find if it looked anew. */
static void plan_is_that_of_one_move_after_the_other(void)
{
  PlanChance chance;
  plan_chance_seed(&chance, 7);
  guint n_moves = 0;
  for (guint round = 0; round < 300; round++) {
    g_autofree World *w = world_new(2 + plan_chance_below(&chance, 20));
    PlanDrsResult whole, next;
    random_world(w, &chance);
    for (guint i = 0; i < w->plan.n_hosts; i++) { /* many that bind VMs of hot hosts to others */
      WsId x = plan_chance_below(&chance, w->plan.n_vms / 2),
           vms[] = {x, w->plan.n_vms / 2 + plan_chance_below(&chance, w->plan.n_vms / 2)};
      add_rule(w, PLAN_RULE_KEEP_APART, vms, 2, NULL, 0);
    }
    bind_by_domains(w, &chance);
    w->options.aggression = 2 + round % 2; /* for the load's sake alone: one kind of moves */
    w->options.heal = false;
    plan_drs(&w->plan, &w->options, &whole);
    w->options.max_moves = 1; /* VMs that keep together go together all the same */
    for (guint i = 0; i < whole.moves->len;) {
      plan_drs(&w->plan, &w->options, &next);
      g_assert_cmpuint(next.moves->len, >, 0);
      for (guint k = 0; k < next.moves->len; k++, i++) {
        const PlanDrsMove *a = &g_array_index(whole.moves, PlanDrsMove, i),
                          *b = &g_array_index(next.moves, PlanDrsMove, k);
        g_assert_cmpuint(a->vm, ==, b->vm);
        g_assert_cmpuint(a->to, ==, b->to);
        w->vms[a->vm].host = a->to;
        n_moves++;
      }
      plan_drs_result_clear(&next);
    }
    g_assert_cmpuint(whole.moves->len == PLAN_DRS_MOVES_MAX ? 0 : moves_of(w, NULL), ==, 0);
    plan_drs_result_clear(&whole);
  }
  g_assert_cmpuint(n_moves, >, 200);
}

/* ---- forecast ---- */

static void demand_follows_what_stays_and_not_a_peak(void)
{
  PlanSeries series = {0};
  gint64 at = 1;
  for (guint i = 0; i < 20; i++)
    plan_demand_feed(&series, 1, at += 5 * G_USEC_PER_SEC);
  g_assert_cmpfloat(fabs(series.level - 1), <, 0.01);
  g_assert_cmpfloat(fabs(plan_demand_forecast(&series, 600) - 1), <, 0.01);
  plan_demand_feed(&series, 4, at += G_USEC_PER_SEC);
  g_assert_cmpfloat(series.level, <, 1.2);
  plan_demand_feed(&series, 9, at); /* not newer */
  g_assert_cmpfloat(series.level, <, 1.2);
  for (guint i = 0; i < 24; i++)
    plan_demand_feed(&series, 4, at += 5 * G_USEC_PER_SEC);
  g_assert_cmpfloat(series.level, >, 3.9);
}

static void rise_is_forecast_to_go_on_for_a_while(void)
{
  PlanSeries series = {0};
  gint64 at = 1;
  for (guint i = 0; i < 40; i++)
    plan_demand_feed(&series, 0.05 * i, at += 5 * G_USEC_PER_SEC);
  double next = plan_demand_forecast(&series, 600);
  g_assert_cmpfloat(next, >, series.level);
  g_assert_cmpfloat(next, <=, 1.5 * series.level);
}

/* ---- how many fit ---- */

static void fit_counts_with_a_host_lost(void)
{
  PlanFitHost hosts[] = {{16 * GIB, 64}, {16 * GIB, 64}, {8 * GIB, 64}};
  PlanFitVm vms[] = {{0, 4 * GIB, 2}, {1, 4 * GIB, 2}, {2, 2 * GIB, 2}};
  PlanFit fit;
  g_assert_true(plan_fit(hosts, 3, vms, 3, 2 * GIB, 2, 0, &fit));
  g_assert_cmpint(fit.fit, ==, 6 + 6 + 3);
  g_assert_true(plan_fit(hosts, 3, vms, 3, 2 * GIB, 2, 1, &fit));
  g_assert_cmpint(fit.fit_now, ==, 15);
  g_assert_cmpint(fit.fit, ==, 15 - 6 - 2); /* a large one is lost, its VM takes the room of two */
  g_assert_true(fit.survives);
  g_assert_cmpuint(fit.n_worst, ==, 1);
  g_assert_cmpuint(fit.worst[0], ==, 0);
  g_assert_cmpint(fit.limited_by, ==, PLAN_FIT_MEMORY);
  vms[2].memory_bytes = 8 * GIB;
  vms[0].memory_bytes = vms[1].memory_bytes = 16 * GIB;
  g_assert_true(plan_fit(hosts, 3, vms, 3, 2 * GIB, 2, 1, &fit));
  g_assert_false(fit.survives);
  g_assert_cmpint(fit.fit, ==, 0);
}

/* Limits of twice the real memory, as admission keeps them: 4 GiB reserved leave 4 + (8 - 4) x 2 = 12 of 16.
 */
static void fit_keeps_what_is_reserved(void)
{
  PlanFitHost hosts[] = {{16 * GIB, 64, 8 * GIB, 400}, {16 * GIB, 64, 8 * GIB, 400}};
  PlanFitVm vms[] = {{0, 4 * GIB, 2, 4 * GIB, 300}, {1, 4 * GIB, 2, 4 * GIB, 100}};
  PlanFit fit;
  g_assert_true(plan_fit(hosts, 2, vms, 2, 2 * GIB, 2, 0, &fit));
  g_assert_cmpint(fit.fit, ==, 4 + 4);
  g_assert_true(plan_fit(hosts, 2, vms, 2, 2 * GIB, 2, 1, &fit));
  g_assert_true(fit.survives);
  g_assert_cmpint(fit.fit, ==, 0); /* all of 8 is reserved */
  vms[1].cpu_reserved_percent = 101;
  g_assert_true(plan_fit(hosts, 2, vms, 2, 2 * GIB, 2, 1, &fit));
  g_assert_false(fit.survives);
  vms[1].cpu_reserved_percent = 0;
  vms[1].memory_reserved_bytes = vms[1].memory_bytes = 5 * GIB;
  g_assert_true(plan_fit(hosts, 2, vms, 2, 2 * GIB, 2, 1, &fit));
  g_assert_false(fit.survives);
}

/* One that leaves is on both hosts for a while: its host may promise less, by the same ratio, and never
 * without a limit. */
static void what_leaves_is_kept_room_for(void)
{
  gint64 limit = 16 * GIB, real = 8 * GIB;
  plan_fit_set_aside(&limit, &real, 4 * GIB, 0);
  g_assert_cmpint(limit, ==, 12 * GIB);
  g_assert_cmpint(real, ==, 6 * GIB);
  plan_fit_set_aside(&limit, &real, 2 * GIB, 2 * GIB);
  g_assert_cmpint(limit, ==, 8 * GIB);
  g_assert_cmpint(real, ==, 4 * GIB);
  PlanFitHost host = {limit, 64, real, 400};
  PlanFitVm vm = {0, 2 * GIB, 2, 2 * GIB, 0};
  PlanFit fit;
  g_assert_true(plan_fit(&host, 1, &vm, 1, GIB, 1, 0, &fit));
  g_assert_cmpint(fit.fit, ==, 4); /* 2 + (4 - 2) x 2, of which it has 2 */
  plan_fit_set_aside(&limit, &real, 8 * GIB, 0);
  g_assert_cmpint(limit, ==, 1);
  limit = real = 0;
  plan_fit_set_aside(&limit, &real, GIB, 0);
  g_assert_cmpint(limit, ==, 0);
}

static void lost_hosts_vms_find_another_one(void)
{
  g_autofree World *w = world_new(3);
  g_autofree char *why = NULL;
  for (guint i = 0; i < 3; i++)
    add(w, PLAN_DRS_NOWHERE, 0.5, 10);
  w->hosts[0].takes = false;
  g_assert_cmpuint(plan_drs_place(&w->plan, &w->options, &why), ==, 0);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpuint(w->vms[i].host, !=, 0);
  add(w, PLAN_DRS_NOWHERE, 0.5, 29);
  g_assert_cmpuint(plan_drs_place(&w->plan, &w->options, &why), ==, 1);
  g_assert_nonnull(strstr(why, "not enough memory left"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/plan-drs/hot_host_is_relieved_and_then_nothing_moves", hot_host_is_relieved_and_then_nothing_moves);
  g_test_add_func("/plan-drs/move_carries_its_reasons_and_alternatives", move_carries_its_reasons_and_alternatives);
  g_test_add_func("/plan-drs/memory_above_its_threshold_moves_too", memory_above_its_threshold_moves_too);
  g_test_add_func("/plan-drs/short_peak_and_small_gain_move_nothing", short_peak_and_small_gain_move_nothing);
  g_test_add_func("/plan-drs/aggression_says_how_much_is_moved", aggression_says_how_much_is_moved);
  g_test_add_func("/plan-drs/gain_beside_cost_decides", gain_beside_cost_decides);
  g_test_add_func("/plan-drs/of_vms_that_relieve_alike_the_cheapest_moves", of_vms_that_relieve_alike_the_cheapest_moves);
  g_test_add_func("/plan-drs/heat_is_not_only_passed_on", heat_is_not_only_passed_on);
  g_test_add_func("/plan-drs/what_may_not_move_stays", what_may_not_move_stays);
  g_test_add_func("/plan-drs/vms_that_keep_apart_part_with_balancing_off", vms_that_keep_apart_part_with_balancing_off);
  g_test_add_func("/plan-drs/vms_that_keep_together_move_as_one", vms_that_keep_together_move_as_one);
  g_test_add_func("/plan-drs/rules_that_name_hosts_are_healed", rules_that_name_hosts_are_healed);
  g_test_add_func("/plan-drs/another_vm_makes_room_where_only_that_is_lacking", another_vm_makes_room_where_only_that_is_lacking);
  g_test_add_func("/plan-drs/hosts_that_are_to_be_empty_are_emptied", hosts_that_are_to_be_empty_are_emptied);
  g_test_add_func("/plan-drs/vms_spread_with_balancing_off", vms_spread_with_balancing_off);
  g_test_add_func("/plan-drs/relief_of_a_hot_host_keeps_them_spread", relief_of_a_hot_host_keeps_them_spread);
  g_test_add_func("/plan-drs/should_spread_yields_to_heat", should_spread_yields_to_heat);
  g_test_add_func("/plan-drs/room_is_made_in_another_domain", room_is_made_in_another_domain);
  g_test_add_func("/plan-drs/lost_racks_vms_are_spread_over_what_is_left",
                  lost_racks_vms_are_spread_over_what_is_left);
  g_test_add_func("/plan-drs/place_is_taken_over_a_wave_later", place_is_taken_over_a_wave_later);
  g_test_add_func("/plan-drs/every_plan_is_feasible_and_ends", every_plan_is_feasible_and_ends);
  g_test_add_func("/plan-drs/plan_is_that_of_one_move_after_the_other",
                  plan_is_that_of_one_move_after_the_other);
  g_test_add_func("/plan-drs/demand_follows_what_stays_and_not_a_peak", demand_follows_what_stays_and_not_a_peak);
  g_test_add_func("/plan-drs/rise_is_forecast_to_go_on_for_a_while", rise_is_forecast_to_go_on_for_a_while);
  g_test_add_func("/plan-drs/fit_keeps_what_is_reserved", fit_keeps_what_is_reserved);
  g_test_add_func("/plan-drs/what_leaves_is_kept_room_for", what_leaves_is_kept_room_for);
  g_test_add_func("/plan-drs/fit_counts_with_a_host_lost", fit_counts_with_a_host_lost);
  g_test_add_func("/plan-drs/lost_hosts_vms_find_another_one", lost_hosts_vms_find_another_one);
  return g_test_run();
}
