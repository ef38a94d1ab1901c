// SPDX-License-Identifier: Apache-2.0
/* DRS: the search. See drs.h. Each part makes the best move it finds, again and again, until none is worth it. */
#include "plan/drs-private.h"
#include <math.h>

#define UNIT_MAX 32        /* VMs that keep together move as one, up to so many */
#define LEAST_GAIN_S 20.0  /* less is noise */
#define COOLER_PERCENT 10  /* a target that comes above a threshold must still stay so much below what the source was */
#define ROOM_TRIES 16 /* VMs of a rule that spreads for which room is sought where only that is lacking */
#define EVEN_BAND 5        /* percent points below the most used host that count as most used too */

static guint limit_of(const PlanDrsOptions *options)
{
  return options->max_moves ? options->max_moves : PLAN_DRS_MOVES_MAX;
}

/* ---- VMs that must move as one ---- */

/* The VM and those on its host that keep together with it, through however many rules. 0: more than a unit may have. */
static guint unit_of(DrsState *state, guint32 vm, guint32 unit[UNIT_MAX])
{
  guint n = 1;
  unit[0] = vm;
  for (guint i = 0; i < n; i++)
    for (guint j = 0; state->rules[unit[i]] && j < state->rules[unit[i]]->len; j++) {
      const PlanRule *rule = &state->problem->rules[g_array_index(state->rules[unit[i]], guint32, j)];
      for (guint k = 0; rule->kind == PLAN_RULE_KEEP_TOGETHER && k < rule->n_vms; k++) {
        guint32 other = (guint32)rule->vms[k] - 1;
        bool known = state->at[other] != state->at[vm];
        for (guint m = 0; m < n && !known; m++)
          known = unit[m] == other;
        if (!known && n == UNIT_MAX)
          return 0;
        if (!known)
          unit[n++] = other;
      }
    }
  return n;
}

static bool unit_is(const DrsState *state, const guint32 *unit, guint n, bool rested)
{
  for (guint i = 0; i < n; i++)
    if (!state->problem->vms[unit[i]].movable || (rested && !state->problem->vms[unit[i]].rested))
      return false;
  return n > 0;
}

/* Have all of them room there, one beside the other, and does no rule forbid it? */
static bool unit_may(DrsState *state, const guint32 *unit, guint n, guint32 host)
{
  DrsHostState *h = &state->hosts[host];
  gint64 promised = h->promised, vcpus = h->vcpus;
  guint n_looked = 0;
  bool may = true;
  for (guint i = 0; i < n && may; i++) {
    may = drs_may(state, unit[i], host, n == 1, true);
    h->promised += state->problem->vms[unit[i]].memory_bytes;
    h->vcpus += state->problem->vms[unit[i]].vcpus;
    drs_domains_shift(state, unit[i], state->at[unit[i]], host);
    n_looked = i + 1;
  }
  h->promised = promised;
  h->vcpus = vcpus;
  for (guint i = 0; i < n_looked; i++)
    drs_domains_shift(state, unit[i], host, state->at[unit[i]]);
  return may;
}

/* Soft rules against it, of all that would go. */
static guint unit_dislikes(DrsState *state, const guint32 *unit, guint n, guint32 host)
{
  guint dislikes = drs_domains_dislikes(state, unit, n, host);
  for (guint i = 0; i < n; i++)
    dislikes += drs_dislikes(state, unit[i], host);
  return dislikes;
}

static void move_unit(DrsState *state, const guint32 *unit, guint n, guint32 to, PlanDrsReason reason, guint32 rule)
{
  double gain = drs_gain(state, unit, n, to);
  for (guint i = 0; i < n; i++)
    drs_move(state, unit[i], to, reason, rule, gain);
}

/* ---- hosts that are to be empty ---- */

/* Would the rule, which spreads, be as broken as before, for the VM stays in its fault domain? */
static bool heals_not(const DrsState *state, guint32 vm, guint32 host, guint32 rule)
{
  return rule != G_MAXUINT32 && drs_domains_counts(state, rule) && drs_domains_stays(state, vm, host);
}

/* The host with fewest soft rules against it, then the largest gain. `heals`: a rule that is to be less
 * broken by it; G_MAXUINT32: none. */
static guint32 best_host(DrsState *state, const guint32 *unit, guint n, guint32 heals)
{
  guint32 best = PLAN_DRS_NOWHERE;
  guint fewest = 0;
  double most = 0;
  for (guint32 host = 0; host < state->problem->n_hosts; host++) {
    if (host == state->at[unit[0]] || heals_not(state, unit[0], host, heals) ||
        !unit_may(state, unit, n, host))
      continue;
    guint dislikes = unit_dislikes(state, unit, n, host);
    double gain = drs_gain(state, unit, n, host);
    if (best == PLAN_DRS_NOWHERE || dislikes < fewest || (dislikes == fewest && gain > most))
      best = host, fewest = dislikes, most = gain;
  }
  return best;
}

static void empty_hosts(DrsState *state)
{
  for (guint32 vm = 0; vm < state->problem->n_vms; vm++) {
    guint32 unit[UNIT_MAX], from = state->at[vm];
    if (from == PLAN_DRS_NOWHERE || !state->problem->hosts[from].empties)
      continue;
    guint n = unit_of(state, vm, unit);
    guint32 to = unit_is(state, unit, n, false) ? best_host(state, unit, n, G_MAXUINT32) : PLAN_DRS_NOWHERE;
    if (to != PLAN_DRS_NOWHERE)
      move_unit(state, unit, n, to, PLAN_DRS_EVACUATE, G_MAXUINT32);
  }
}

/* ---- broken rules ---- */

static guint broken_by(DrsState *state, guint32 rule)
{
  if (drs_domains_counts(state, rule))
    return drs_domains_missing(state, rule);
  PlanWhere where = drs_where(state);
  g_autoptr(GArray) found = plan_rules_violations(&state->problem->rules[rule], 1, &where);
  return found->len;
}

/* How often each rule is broken, and all hard ([1]) and soft ones together. */
typedef struct {
  guint *of_rule;
  guint sum[2];
} Broken;

static void count_broken(DrsState *state, Broken *broken, guint32 rule)
{
  bool hard = plan_rule_is_hard(state->problem->rules[rule].kind);
  broken->sum[hard] -= broken->of_rule[rule];
  broken->of_rule[rule] = broken_by(state, rule);
  broken->sum[hard] += broken->of_rule[rule];
}

/* Only the rules that VMs are in that moved since there were `n_moves`. */
static void count_broken_since(DrsState *state, Broken *broken, guint n_moves)
{
  for (; n_moves < state->moves->len; n_moves++) {
    const GArray *rules = state->rules[g_array_index(state->moves, PlanDrsMove, n_moves).vm];
    for (guint i = 0; rules && i < rules->len; i++)
      count_broken(state, broken, g_array_index(rules, guint32, i));
  }
}

/* A soft rule is healed where no host becomes hot by it. */
static bool stays_cool(DrsState *state, guint32 vm, guint32 to)
{
  const PlanDrsVm *v = &state->problem->vms[vm];
  PlanDrsLoad load = drs_load(state, to);
  const PlanDrsHost *h = &state->problem->hosts[to];
  load.cpu += 100 * drs_vm_cpu(v) / h->threads;
  load.memory += h->memory_bytes ? 100 * (double)v->memory_used_bytes / (double)h->memory_bytes : 0;
  return !plan_drs_is_hot(&load, state->options);
}

static guint members_of(const PlanRule *rule, const guint32 *unit, guint n)
{
  guint members = 0;
  for (guint i = 0; i < n; i++)
    members += plan_rule_has_vm(rule, (WsId)unit[i] + 1);
  return members;
}

/* VMs that the rule parts, but another one keeps together, would go to and fro. */
static bool parts(DrsState *state, const guint32 *unit, guint n, guint32 to, guint32 index)
{
  const PlanRule *rule = &state->problem->rules[index];
  guint32 from = state->at[unit[0]];
  if (n == 1 || !drs_domains_counts(state, index))
    return n == 1 || rule->kind != PLAN_RULE_KEEP_APART || members_of(rule, unit, n) == 1;
  guint before = drs_domains_missing(state, index);
  for (guint i = 0; i < n; i++)
    drs_domains_shift(state, unit[i], from, to);
  bool fewer = drs_domains_missing(state, index) < before;
  for (guint i = 0; i < n; i++)
    drs_domains_shift(state, unit[i], to, from);
  return fewer;
}

/* The VM alone to where the rule wants it. */
static bool heal_by(DrsState *state, guint32 vm, guint32 rule)
{
  bool hard = plan_rule_is_hard(state->problem->rules[rule].kind);
  guint32 unit[UNIT_MAX];
  guint n = unit_of(state, vm, unit);
  guint32 to = unit_is(state, unit, n, false) ? best_host(state, unit, n, rule) : PLAN_DRS_NOWHERE;
  if (to == PLAN_DRS_NOWHERE || !parts(state, unit, n, to, rule) ||
      (!hard && (unit_dislikes(state, unit, n, to) >= unit_dislikes(state, unit, n, state->at[vm]) ||
                 !stays_cool(state, vm, to))))
    return false;
  move_unit(state, unit, n, to, PLAN_DRS_RULE, rule);
  return true;
}

/* The first of its VMs were only thought to be there. */
static void put_back(DrsState *state, const PlanRule *rule, guint n, guint32 host)
{
  for (guint i = 0; i < n; i++) {
    guint32 vm = (guint32)rule->vms[i] - 1;
    if (state->at[vm] != PLAN_DRS_NOWHERE && state->at[vm] != host)
      drs_domains_shift(state, vm, host, state->at[vm]);
  }
}

/* Is one beside it that another rule keeps it together with? It would be fetched back. */
static bool leaves_fellows(const DrsState *state, guint32 vm, guint32 index)
{
  const PlanRule *rules = state->problem->rules;
  for (guint i = 0; i < state->rules[vm]->len; i++) {
    guint32 other = g_array_index(state->rules[vm], guint32, i);
    for (guint j = 0;
         other != index && rules[other].kind == PLAN_RULE_KEEP_TOGETHER && j < rules[other].n_vms; j++) {
      WsId fellow = rules[other].vms[j];
      if (fellow != vm + 1 && state->at[fellow - 1] == state->at[vm] &&
          !plan_rule_has_vm(&rules[index], fellow))
        return true;
    }
  }
  return false;
}

/* Where would they all be best together? Those that are not there go, if all may. */
static bool heal_together(DrsState *state, guint32 index)
{
  const PlanRule *rule = &state->problem->rules[index];
  guint32 best = PLAN_DRS_NOWHERE;
  double least = 0;
  for (guint32 host = 0; host < state->problem->n_hosts; host++) {
    double cost = drs_stress(state, host, 0, 0);
    gint64 promised = state->hosts[host].promised, vcpus = state->hosts[host].vcpus;
    guint n_looked = 0;
    bool may = true;
    for (guint i = 0; i < rule->n_vms && may; i++) {
      guint32 vm = (guint32)rule->vms[i] - 1;
      if (state->at[vm] == PLAN_DRS_NOWHERE || state->at[vm] == host)
        continue;
      may = state->problem->vms[vm].movable && !leaves_fellows(state, vm, index) &&
            drs_may(state, vm, host, false, true);
      cost += state->problem->vms[vm].cost_s;
      state->hosts[host].promised += state->problem->vms[vm].memory_bytes;
      state->hosts[host].vcpus += state->problem->vms[vm].vcpus;
      drs_domains_shift(state, vm, state->at[vm], host);
      n_looked = i + 1;
    }
    state->hosts[host].promised = promised;
    state->hosts[host].vcpus = vcpus;
    put_back(state, rule, n_looked, host);
    if (may && (best == PLAN_DRS_NOWHERE || cost < least))
      best = host, least = cost;
  }
  for (guint i = 0; best != PLAN_DRS_NOWHERE && i < rule->n_vms; i++) {
    guint32 vm = (guint32)rule->vms[i] - 1;
    if (state->at[vm] != PLAN_DRS_NOWHERE && state->at[vm] != best)
      drs_move(state, vm, best, PLAN_DRS_RULE, index, drs_gain(state, &vm, 1, best));
  }
  return best != PLAN_DRS_NOWHERE;
}

/* Would it fit on `host` if `other` left it? */
static bool fits_without(DrsState *state, guint32 vm, guint32 host, guint32 other)
{
  const PlanDrsVm *o = &state->problem->vms[other];
  DrsHostState *h = &state->hosts[host];
  h->promised -= o->memory_bytes;
  h->vcpus -= o->vcpus;
  bool fits = drs_may(state, vm, host, true, true);
  h->promised += o->memory_bytes;
  h->vcpus += o->vcpus;
  return fits;
}

/* Where only room is lacking, another VM goes first: the one that is moved most cheaply. */
static bool make_room(DrsState *state, guint32 vm, guint32 rule)
{
  const PlanDrs *p = state->problem;
  guint32 who = PLAN_DRS_NOWHERE, where = 0, best_target = 0;
  for (guint32 other = 0; other < p->n_vms; other++) {
    guint32 host = state->at[other];
    if (host == PLAN_DRS_NOWHERE || host == state->at[vm] || !p->vms[other].movable ||
        heals_not(state, vm, host, rule) || drs_domains_bind(state, vm, other) ||
        (who != PLAN_DRS_NOWHERE && p->vms[other].cost_s >= p->vms[who].cost_s) ||
        drs_may(state, vm, host, true, true) || !drs_may(state, vm, host, true, false) ||
        !fits_without(state, vm, host, other))
      continue;
    guint32 to = best_host(state, &other, 1, G_MAXUINT32);
    if (to != PLAN_DRS_NOWHERE)
      who = other, where = host, best_target = to;
  }
  if (who == PLAN_DRS_NOWHERE || !p->vms[vm].movable)
    return false;
  drs_move(state, who, best_target, PLAN_DRS_MAKE_ROOM, rule, drs_gain(state, &who, 1, best_target));
  drs_move(state, vm, where, PLAN_DRS_RULE, rule, drs_gain(state, &vm, 1, where));
  return true;
}

/* Any VM that shares its fault domain may be the one that leaves it. */
static bool heal_spread(DrsState *state, guint32 index)
{
  const PlanRule *rule = &state->problem->rules[index];
  guint tries = plan_rule_is_hard(rule->kind) ? ROOM_TRIES : 0;
  for (guint i = 0; i < rule->n_vms; i++) {
    guint32 vm = (guint32)rule->vms[i] - 1;
    if (drs_domains_shares(state, index, vm) && heal_by(state, vm, index))
      return true;
  }
  for (guint i = 0; tries && i < rule->n_vms; i++) {
    guint32 vm = (guint32)rule->vms[i] - 1;
    bool shares = drs_domains_shares(state, index, vm);
    tries -= shares;
    if (shares && make_room(state, vm, index))
      return true;
  }
  return false;
}

static bool heal_one(DrsState *state, guint32 index)
{
  const PlanRule *rule = &state->problem->rules[index];
  PlanWhere where = drs_where(state);
  g_autoptr(GArray) found = plan_rules_violations(rule, 1, &where);
  if (!found->len)
    return false;
  if (rule->kind == PLAN_RULE_KEEP_TOGETHER)
    return heal_together(state, index);
  if (drs_domains_counts(state, index))
    return heal_spread(state, index);
  for (guint i = 0; i < found->len; i++) {
    const PlanViolation *v = &g_array_index(found, PlanViolation, i);
    guint32 vm = (guint32)v->vm - 1, other = (guint32)v->other - 1;
    if (heal_by(state, vm, index) || (v->other && heal_by(state, other, index)))
      return true;
  }
  for (guint i = 0; plan_rule_is_hard(rule->kind) && i < found->len; i++)
    if (make_room(state, (guint32)g_array_index(found, PlanViolation, i).vm - 1, index))
      return true;
  return false;
}

/* Hard ones first. What was healed is not broken again: a move that heals breaks no hard rule; soft ones only become fewer. */
static void heal_rules(DrsState *state)
{
  guint32 n = state->problem->n_rules;
  g_autofree guint *of_rule = g_new0(guint, (gsize)n + 1);
  Broken broken = {of_rule, {0, 0}};
  for (guint32 i = 0; i < n; i++)
    count_broken(state, &broken, i);
  for (guint hard = 2; hard-- > 0;)
    for (guint32 i = 0; i < n; i++)
      while (of_rule[i] && plan_rule_is_hard(state->problem->rules[i].kind) == (bool)hard &&
             state->moves->len < limit_of(state->options)) {
        guint before = broken.sum[hard], n_moves = state->moves->len;
        if (!heal_one(state, i))
          break;
        count_broken_since(state, &broken, n_moves);
        if (broken.sum[hard] >= before)
          break;
      }
}

/* ---- load ---- */

typedef struct {
  guint32 to;
  double gain; /* 0: it has no move that is worth it */
  bool known;
} Choice;

/* Where each VM would best go. It holds until its host or the one it would go to changes. */
typedef struct {
  DrsState *state;
  DrsOrder *order;
  Choice *of_vm;
} Choices;

static double ratio_wanted(guint aggression)
{
  static const double ratios[] = {0, 4, 2, 1, 0.5}; /* gain over cost, by aggression from 1 on; 1 moves nothing for the load's sake */
  return ratios[CLAMP(aggression, 1, 5) - 1];
}

double plan_drs_uneven_percent(guint aggression)
{
  return aggression >= 5 ? 10 : aggression == 4 ? 25 : 0;
}

static double most_used(PlanDrsLoad load)
{
  return fmax(load.cpu, load.memory);
}

/* What is moved off a hot host must not only make the next one hot. */
static bool helps(DrsState *state, const guint32 *unit, guint n, guint32 to)
{
  guint32 from = state->at[unit[0]];
  double cpu = 0;
  gint64 memory = 0;
  for (guint i = 0; i < n; i++) {
    cpu += drs_vm_cpu(&state->problem->vms[unit[i]]);
    memory += state->problem->vms[unit[i]].memory_used_bytes;
  }
  const PlanDrsHost *h = &state->problem->hosts[to];
  PlanDrsLoad before = drs_load(state, from), after = drs_load(state, to);
  after.cpu += 100 * cpu / h->threads;
  after.memory += h->memory_bytes ? 100 * (double)memory / (double)h->memory_bytes : 0;
  return !plan_drs_is_hot(&after, state->options) || most_used(after) + COOLER_PERCENT <= most_used(before);
}

static double least_gain(const DrsState *state, const guint32 *unit, guint n)
{
  double cost = 0;
  for (guint i = 0; i < n; i++)
    cost += state->problem->vms[unit[i]].cost_s;
  return fmax(LEAST_GAIN_S, ratio_wanted(state->options->aggression) * cost);
}

/* Of hosts that are equally good the first. */
static void weigh_host(DrsState *state, const guint32 *unit, guint n, guint32 host, double least,
                       Choice *choice)
{
  guint32 from = state->at[unit[0]];
  double gain = host == from ? 0 : drs_gain(state, unit, n, host);
  if (gain < least || gain < choice->gain || (gain == choice->gain && host > choice->to))
    return;
  if (unit_may(state, unit, n, host) &&
      unit_dislikes(state, unit, n, host) <= unit_dislikes(state, unit, n, from) &&
      helps(state, unit, n, host))
    *choice = (Choice){host, gain, choice->known};
}

static void weigh_unit(Choices *c, const guint32 *unit, guint n, Choice *choice)
{
  double least = least_gain(c->state, unit, n);
  *choice = (Choice){0, 0, true};
  for (guint kind = 0; kind < c->order->n_kinds; kind++) {
    const DrsKind *k = &c->order->kinds[kind];
    for (guint32 i = 0; i < k->n && drs_order_gain(c->order, unit, n, kind, i) >= fmax(least, choice->gain);
         i++)
      weigh_host(c->state, unit, n, k->hosts[i], least, choice);
  }
}

static guint movable_unit(DrsState *state, guint32 vm, guint32 unit[UNIT_MAX])
{
  const PlanDrsVm *v = &state->problem->vms[vm];
  guint n = state->at[vm] != PLAN_DRS_NOWHERE && v->movable && v->rested ? unit_of(state, vm, unit) : 0;
  return unit_is(state, unit, n, true) ? n : 0;
}

/* After moves between these two hosts: what is on them is weighed anew, and so is who wanted to go there; for
 * all others the two are compared with their choice. What a rule says of a host changes only where one of its
 * VMs came or went, so that is all; but for rules that spread (fellows_changed()). */
static void hosts_changed(Choices *c, guint32 a, guint32 b)
{
  DrsState *state = c->state;
  drs_order_changed(c->order, a);
  drs_order_changed(c->order, b);
  for (guint32 vm = 0; vm < state->problem->n_vms; vm++) {
    Choice *choice = &c->of_vm[vm];
    guint32 unit[UNIT_MAX], at = state->at[vm];
    choice->known =
        choice->known && at != a && at != b && !(choice->gain > 0 && (choice->to == a || choice->to == b));
    guint n = choice->known ? movable_unit(state, vm, unit) : 0;
    double least = n ? least_gain(state, unit, n) : 0;
    if (n) {
      weigh_host(state, unit, n, a, least, choice);
      weigh_host(state, unit, n, b, least, choice);
    }
  }
}

/* Where one VM of a rule that spreads is bears on all hosts for the others, and for whoever moves with them.
 */
static void fellows_changed(Choices *c, guint32 vm)
{
  DrsState *state = c->state;
  for (guint i = 0; state->rules[vm] && i < state->rules[vm]->len; i++) {
    guint32 index = g_array_index(state->rules[vm], guint32, i);
    const PlanRule *rule = &state->problem->rules[index];
    for (guint j = 0; drs_domains_counts(state, index) && j < rule->n_vms; j++) {
      guint32 unit[UNIT_MAX];
      guint n = unit_of(state, (guint32)rule->vms[j] - 1, unit);
      for (guint k = 0; k < n; k++)
        c->of_vm[unit[k]].known = false;
    }
  }
}

static bool relieve(Choices *c, const bool *sources, PlanDrsReason even)
{
  DrsState *state = c->state;
  guint32 unit[UNIT_MAX], best = PLAN_DRS_NOWHERE;
  for (guint32 vm = 0; vm < state->problem->n_vms; vm++) {
    Choice *choice = &c->of_vm[vm];
    if (state->at[vm] == PLAN_DRS_NOWHERE || !sources[state->at[vm]])
      continue;
    guint n = choice->known ? 0 : movable_unit(state, vm, unit);
    if (n)
      weigh_unit(c, unit, n, choice);
    if (choice->gain > (best == PLAN_DRS_NOWHERE ? 0 : c->of_vm[best].gain))
      best = vm;
  }
  if (best == PLAN_DRS_NOWHERE)
    return false;
  guint32 from = state->at[best], to = c->of_vm[best].to;
  PlanDrsLoad load = drs_load(state, from);
  PlanDrsReason reason = even ? even : load.cpu > state->options->cpu_percent ? PLAN_DRS_CPU : PLAN_DRS_MEMORY;
  guint n = movable_unit(state, best, unit);
  move_unit(state, unit, n, to, reason, G_MAXUINT32);
  hosts_changed(c, from, to);
  for (guint i = 0; i < n; i++)
    fellows_changed(c, unit[i]);
  return true;
}

static bool mark_hot(DrsState *state, bool *sources)
{
  bool any = false;
  for (guint32 i = 0; i < state->problem->n_hosts; i++) {
    const PlanDrsHost *h = &state->problem->hosts[i];
    sources[i] = h->threads > 0 && h->hot_s >= state->options->duration_s && drs_is_hot(state, i);
    any = any || sources[i];
  }
  return any;
}

static bool mark_uneven(DrsState *state, bool *sources)
{
  double limit = plan_drs_uneven_percent(state->options->aggression), most = 0, least = HUGE_VAL;
  for (guint32 i = 0; i < state->problem->n_hosts; i++)
    if (state->problem->hosts[i].takes) {
      most = fmax(most, most_used(drs_load(state, i)));
      least = fmin(least, most_used(drs_load(state, i)));
    }
  for (guint32 i = 0; i < state->problem->n_hosts; i++)
    sources[i] = state->problem->hosts[i].takes && most_used(drs_load(state, i)) >= most - EVEN_BAND;
  return limit > 0 && least < HUGE_VAL && most - least > limit && state->options->uneven_s >= state->options->duration_s;
}

static void balance(DrsState *state)
{
  g_autofree bool *sources = g_new0(bool, state->problem->n_hosts + 1);
  guint limit = limit_of(state->options);
  if (state->options->aggression < 2)
    return;
  g_autofree Choice *of_vm = g_new0(Choice, (gsize)state->problem->n_vms + 1);
  Choices choices = {state, drs_order_new(state), of_vm};
  while (state->moves->len < limit && mark_hot(state, sources) && relieve(&choices, sources, 0))
    ;
  while (state->moves->len < limit && mark_uneven(state, sources) &&
         relieve(&choices, sources, PLAN_DRS_BALANCE))
    ;
  drs_order_free(choices.order);
}

/* ---- the doors ---- */

void plan_drs(const PlanDrs *problem, const PlanDrsOptions *options, PlanDrsResult *result)
{
  DrsState state;
  drs_state_init(&state, problem, options);
  *result = (PlanDrsResult){.moves = state.moves, .stress_before = drs_all_stress(&state)};
  empty_hosts(&state);
  if (options->heal)
    heal_rules(&state);
  if (options->balance)
    balance(&state);
  result->stress_after = drs_all_stress(&state);
  for (guint32 i = 0; i < problem->n_rules; i++)
    result->n_broken += plan_rule_is_hard(problem->rules[i].kind) ? broken_by(&state, i) : 0;
  drs_state_clear(&state);
}

void plan_drs_result_clear(PlanDrsResult *result)
{
  for (guint i = 0; result->moves && i < result->moves->len; i++) {
    PlanDrsMove *move = &g_array_index(result->moves, PlanDrsMove, i);
    for (guint j = 0; j < move->n_alternatives; j++)
      g_free(move->alternatives[j].refused);
  }
  g_clear_pointer(&result->moves, g_array_unref);
}

static const PlanDrsOptions no_options = {.cpu_percent = 100, .memory_percent = 100};

void plan_drs_loads(const PlanDrs *problem, PlanDrsLoad *loads, guint *n_vms)
{
  DrsState state;
  drs_state_init(&state, problem, &no_options);
  for (guint32 i = 0; i < problem->n_hosts; i++) {
    loads[i] = drs_load(&state, i);
    if (n_vms)
      n_vms[i] = 0;
  }
  for (guint32 i = 0; n_vms && i < problem->n_vms; i++)
    if (state.at[i] != PLAN_DRS_NOWHERE)
      n_vms[state.at[i]]++;
  g_array_unref(state.moves);
  drs_state_clear(&state);
}

double plan_drs_imbalance(const PlanDrs *problem)
{
  g_autofree PlanDrsLoad *loads = g_new(PlanDrsLoad, problem->n_hosts + 1);
  double most = 0, least = HUGE_VAL;
  plan_drs_loads(problem, loads, NULL);
  for (guint32 i = 0; i < problem->n_hosts; i++)
    if (problem->hosts[i].takes) {
      most = fmax(most, most_used(loads[i]));
      least = fmin(least, most_used(loads[i]));
    }
  return least < HUGE_VAL ? most - least : 0;
}

/* ---- VMs that run nowhere yet ---- */

static gint largest_first(gconstpointer a, gconstpointer b, gpointer problem)
{
  const PlanDrsVm *x = &((PlanDrs *)problem)->vms[*(const guint32 *)a], *y = &((PlanDrs *)problem)->vms[*(const guint32 *)b];
  return x->memory_bytes != y->memory_bytes ? (x->memory_bytes < y->memory_bytes ? 1 : -1) : *(const guint32 *)a < *(const guint32 *)b ? -1 : 1;
}

static char *reasons_of(DrsState *state, guint32 vm)
{
  GString *out = g_string_new(state->problem->n_hosts ? NULL : "there is no host");
  for (guint32 host = 0; host < state->problem->n_hosts && host < PLAN_DRS_ALTERNATIVES; host++) {
    g_autofree char *owned = NULL;
    const char *reason = drs_refusal(state, vm, host, true, &owned);
    g_string_append_printf(out, "%s%s: %s", out->len ? "; " : "", state->problem->hosts[host].name, reason ? reason : "-");
  }
  return g_string_free(out, FALSE);
}

guint plan_drs_place(PlanDrs *problem, const PlanDrsOptions *options, char **why)
{
  DrsState state;
  guint missing = 0;
  g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(guint32));
  drs_state_init(&state, problem, options);
  for (guint32 i = 0; i < problem->n_vms; i++)
    if (problem->vms[i].host == PLAN_DRS_NOWHERE)
      g_array_append_val(todo, i);
  g_array_sort_with_data(todo, largest_first, problem);
  for (guint i = 0; i < todo->len; i++) {
    guint32 vm = g_array_index(todo, guint32, i), to = best_host(&state, &vm, 1, G_MAXUINT32);
    if (to == PLAN_DRS_NOWHERE && !missing++ && why)
      *why = reasons_of(&state, vm);
    if (to != PLAN_DRS_NOWHERE) {
      problem->vms[vm].host = to;
      drs_enter(&state, vm, to);
    }
  }
  g_array_unref(state.moves);
  drs_state_clear(&state);
  return missing;
}
