// SPDX-License-Identifier: Apache-2.0
/* The search for few good moves. See balance.h.
 *
 * Sweeps over hosts, the most loaded first: of all moves of the VMs there to the hosts with most room (all hosts in a small cluster) the best is made, until
 * none gains enough. Then each VM that was moved is judged anew from where it was at first: it stays if that costs less than a move must gain, or goes by
 * one move to where it does most good now. What is left is put in an order in which each step is allowed. In the end VMs may move a second time; so
 * nothing is left to gain, and as a sweep depends on the state alone, nothing is planned for a cluster that was balanced so. */
#include "plan/balance-private.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALL_TARGETS 40   /* hosts up to which every one is a target */
#define FEW_TARGETS 8    /* in a larger cluster; */
#define FEWEST_TARGETS 4 /* above ALL_VMS, where more room is soon found anyhow: what has most of it goes to whoever gains most */
#define MORE_MOVES  5 /* of a large cluster's host, made beside the best one */
#define ALL_VMS     2500 /* VMs up to which each move is the best of all */
#define SMALLEST    1e-6 /* deviation that an estimate reckons with */
#define GAIN        0.09 /* divided by the hosts: what a move must gain by default */
#define ROUNDS_MAX  8
#define ROUNDS_LARGE 1
#define THOUGHTS    2 /* times that moves are reconsidered, one after the other, in a small cluster */
#define NOTHING     1e-9

/* ---- order of hosts ---- */

static int by_key(const void *a, const void *b, void *arg)
{
  const double *key = arg;
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  return key[x] < key[y] ? -1 : key[x] > key[y] ? 1 : x < y ? -1 : x > y;
}

/* How far above the mean a host is used, in deviations. Free memory and disk count the other way round. */
static double key_of(const Spread *s, guint32 host, const Measure *measures, guint n)
{
  double key = 0, live = MAX(s->n_live, 1);
  for (guint k = 0; k < n; k++) {
    Measure m = measures[k];
    double mean = s->sum[m] / live, deviation = sqrt(MAX(1e-18, s->squares[m] / live - mean * mean));
    double above = deviation < 1e-8 ? 0 : (s->hosts[host].m[m] - mean) / deviation;
    key += m == M_MEMORY_FREE || m == M_DISK_FREE ? -above : above * MIN(1, deviation * 10);
  }
  return round(key * 1e9) / 1e9; /* the same whatever order the sums were made in */
}

static void sort_hosts(Balance *b)
{
  static const Measure as_first[] = {M_MEMORY_FREE, M_VCPUS, M_LOAD + PLAN_LOAD_CPU, M_LOAD + PLAN_LOAD_MEMORY, M_LOAD + PLAN_LOAD_NET, M_LOAD + PLAN_LOAD_DISK};
  static const Measure as_second[] = {M_DISK_FREE, M_RESERVED, M_LOAD + PLAN_LOAD_DISK, M_SPINDLES};
  guint32 n = b->cluster->n_hosts;
  for (guint32 h = 0; h < n; h++) {
    bool live = b->cluster->hosts[h].in_service;
    b->first_key[h] = live ? key_of(b->spread, h, as_first, G_N_ELEMENTS(as_first)) : G_MAXDOUBLE;
    b->second_key[h] = live ? key_of(b->spread, h, as_second, G_N_ELEMENTS(as_second)) : G_MAXDOUBLE;
    b->first_order[h] = b->second_order[h] = h;
  }
  g_qsort_with_data(b->first_order, (gint)n, sizeof *b->first_order, by_key, b->first_key);
  g_qsort_with_data(b->second_order, (gint)n, sizeof *b->second_order, by_key, b->second_key);
  b->accepted_since_sort = 0;
}

/* ---- one move ---- */

static bool is_movable(const Balance *b, guint32 vm)
{
  const Spread *s = b->spread;
  if (!b->again && b->kind[vm] != PLAN_N_STEPS)
    return false;
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  if (v->disks == PLAN_DISKS_FIXED || (v->disks == PLAN_DISKS_MIRRORED && s->second[vm] == PLAN_NO_HOST))
    return false;
  return !b->options->only_evacuate || !b->cluster->hosts[s->host[vm]].in_service ||
         (s->second[vm] != PLAN_NO_HOST && !b->cluster->hosts[s->second[vm]].in_service);
}

/* Where the VM is after a move of that kind to `target`. false: there is no such move. */
static bool places_after(const Balance *b, guint32 vm, PlanStepKind kind, guint32 target, Move *move)
{
  const Spread *s = b->spread;
  guint32 host = s->host[vm], second = s->second[vm];
  bool live = b->cluster->hosts[host].in_service;
  *move = (Move){.vm = vm, .kind = kind, .host = host, .second = second};
  if (kind != PLAN_STEP_FAILOVER &&
      (target == host || target == second || !b->cluster->hosts[target].in_service || b->cluster->hosts[target].set != b->cluster->hosts[host].set))
    return false;
  if (kind == PLAN_STEP_MIGRATE) {
    move->host = target;
    return true;
  }
  bool second_live = b->cluster->hosts[second].in_service;
  switch (kind) {
  case PLAN_STEP_FAILOVER:
    move->host = second, move->second = host;
    return second_live && live;
  case PLAN_STEP_NEW_SECOND:
    move->second = target;
    return live;
  case PLAN_STEP_NEW_HOST: /* runs on the second for a while */
    move->host = target;
    return live && spread_can_run(s, &b->cluster->vms[vm], second);
  case PLAN_STEP_FAILOVER_SECOND:
    move->host = second, move->second = target;
    return second_live;
  default:
    move->host = target, move->second = host;
    return live;
  }
}

/* Score after the move, or infinity where it is not allowed. The state is as before. */
static double score_after(Balance *b, const Move *move)
{
  return spread_try(b->spread, move->vm, move->host, move->second);
}

/* ---- estimates ----
 *
 * Of the first host a VM uses memory, processors and three of the loads (`first`), of both hosts disk, disk load and spindles (`both`). A move takes each
 * of the two from one host to another. To first order it changes the score by the sum, over what is measured, of slope x change of the squared distances
 * from the mean. Reserves are left out; the score of the best few is then computed. */

static void learn_slopes(Balance *b)
{
  const Spread *s = b->spread;
  double n = MAX(s->n_live, 1);
  for (guint m = 0; m < N_MEASURES; m++) {
    b->mean[m] = s->sum[m] / n;
    double deviation = sqrt(MAX(0, s->squares[m] / n - b->mean[m] * b->mean[m]));
    b->slope[m] = 1 / (2 * n * MAX(deviation, SMALLEST));
  }
}

/* By how much an amount that goes from a host (sign -1) or comes to it (1) changes the score. */
static inline double squared(const Balance *b, Measure m, guint32 host, double amount, int sign)
{
  return b->slope[m] * amount * (amount + 2 * sign * (b->spread->hosts[host].m[m] - b->mean[m]));
}

/* What the VM uses of its first host alone comes to a host, or goes from it. */
static inline double first_changed(const Balance *b, const PlanBalanceVm *v, guint32 host, int sign)
{
  const Inverse *x = &b->inverse[host];
  double sum = 0;
  if (v->runs)
    sum += squared(b, M_MEMORY_FREE, host, -(double)v->memory * x->memory, sign) + squared(b, M_VCPUS, host, v->vcpus * x->cpus, sign);
  for (guint k = 0; k < PLAN_N_LOADS; k++)
    if (k != PLAN_LOAD_DISK)
      sum += squared(b, M_LOAD + k, host, v->load[k], sign);
  return sum;
}

/* What it uses of both. */
static inline double both_changed(const Balance *b, const PlanBalanceVm *v, guint32 host, int sign)
{
  const Inverse *x = &b->inverse[host];
  double sum = squared(b, M_LOAD + PLAN_LOAD_DISK, host, v->load[PLAN_LOAD_DISK], sign);
  if (v->disks == PLAN_DISKS_MIRRORED)
    sum += squared(b, M_DISK_FREE, host, -(double)v->disk * x->disk, sign);
  return sum + squared(b, M_SPINDLES, host, v->spindles * x->spindles, sign);
}

/* What changes where a VM is now when it goes; hosts out of service are not in the sums. */
typedef struct {
  double first, both, second_both; /* on the first host alone, there, on the second one */
  double failover;
} Gone;

static Gone gone_from(const Balance *b, guint32 vm)
{
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  guint32 host = b->spread->host[vm], second = b->spread->second[vm];
  Gone gone = {0, 0, 0, 0};
  if (b->cluster->hosts[host].in_service)
    gone = (Gone){.first = first_changed(b, v, host, -1), .both = both_changed(b, v, host, -1)};
  if (v->disks != PLAN_DISKS_MIRRORED)
    return gone;
  if (b->cluster->hosts[second].in_service)
    gone.second_both = both_changed(b, v, second, -1);
  gone.failover = gone.first + first_changed(b, v, second, 1);
  return gone;
}

static void note_look(Balance *b, guint32 vm, PlanStepKind kind, guint32 target, double estimate, Looks *looks)
{
  Move move;
  if (!places_after(b, vm, kind, target, &move))
    return;
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  const SpreadHost *host = &b->spread->hosts[move.host];
  if ((v->runs && move.host != b->spread->host[vm] && host->memory_free < v->memory + host->reserved) ||
      (kind != PLAN_STEP_FAILOVER && kind != PLAN_STEP_MIGRATE && b->spread->hosts[target].disk_free < v->disk))
    return;
  guint at = looks->n < LOOKS ? looks->n++ : LOOKS - 1;
  for (; at > 0 && looks->moves[at - 1].score > estimate; at--)
    looks->moves[at] = looks->moves[at - 1];
  looks->moves[at] = move;
  looks->moves[at].score = estimate;
}

/* Most are not among the best. */
static inline void look_at(Balance *b, guint32 vm, PlanStepKind kind, guint32 target, double estimate, Looks *looks)
{
  if (looks->n < LOOKS || estimate < looks->moves[LOOKS - 1].score)
    note_look(b, vm, kind, target, estimate, looks);
}

static void estimate_to(Balance *b, guint32 vm, guint32 to, const Gone *gone, bool as_first, Looks *looks)
{
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  if (!b->cluster->hosts[to].in_service || to == b->spread->host[vm] || to == b->spread->second[vm])
    return;
  bool shared = v->disks == PLAN_DISKS_SHARED;
  if (shared && !as_first)
    return;
  double both = both_changed(b, v, to, 1);
  if (as_first) {
    double first = gone->first + first_changed(b, v, to, 1) + both;
    look_at(b, vm, shared ? PLAN_STEP_MIGRATE : PLAN_STEP_NEW_HOST, to, first + gone->both, looks);
    if (!shared)
      look_at(b, vm, PLAN_STEP_SECOND_FAILOVER, to, first + gone->second_both, looks);
  } else {
    look_at(b, vm, PLAN_STEP_NEW_SECOND, to, gone->second_both + both, looks);
    look_at(b, vm, PLAN_STEP_FAILOVER_SECOND, to, gone->failover + gone->both + both, looks);
  }
}

static void estimate_vm(Balance *b, guint32 vm, Looks *looks)
{
  if (!is_movable(b, vm))
    return;
  Gone gone = gone_from(b, vm);
  if (b->cluster->vms[vm].disks == PLAN_DISKS_MIRRORED)
    look_at(b, vm, PLAN_STEP_FAILOVER, 0, gone.failover, looks);
  /* In a large cluster a host that took something is one of the first no more, although they are sorted anew now and then only. */
  guint32 n = b->cluster->n_hosts, start = b->n_targets == n ? 0 : MIN(b->accepted_since_sort, n - b->n_targets);
  for (guint32 k = start; k < start + b->n_targets; k++) {
    estimate_to(b, vm, b->first_order[k], &gone, true, looks);
    estimate_to(b, vm, b->second_order[k], &gone, false, looks);
  }
}

/* The best of them by its true score, if it is better than what `best` holds. */
static void choose(Balance *b, const Looks *looks, Move *best)
{
  for (guint k = 0; k < looks->n; k++) {
    double score = score_after(b, &looks->moves[k]);
    if (score < best->score - NOTHING) {
      *best = looks->moves[k];
      best->score = score;
    }
  }
}

static void add_step(Balance *b, const Move *move)
{
  Spread *s = b->spread;
  PlanStep step = {.vm = move->vm, .kind = move->kind, .host_before = s->host[move->vm], .second_before = s->second[move->vm], .host = move->host, .second = move->second};
  spread_move(s, move->vm, move->host, move->second);
  b->score = step.score = spread_score(s, NULL);
  g_array_append_val(b->steps, step);
}

static void make(Balance *b, const Move *move)
{
  if (b->again) {
    add_step(b, move);
  } else {
    spread_move(b->spread, move->vm, move->host, move->second);
    b->score = spread_score(b->spread, NULL);
    b->kind[move->vm] = move->kind;
    b->moved[b->n_moved++] = move->vm;
  }
  if (++b->accepted_since_sort > MAX(b->cluster->n_hosts / 8, 1))
    sort_hosts(b);
}

static bool is_full(const Balance *b)
{
  return b->options->max_steps && b->steps->len + b->n_moved >= b->options->max_steps;
}

/* ---- sweeps ---- */

/* Of the moves that were looked at, more than the best one: what gains half as much still, of VMs that have not moved since. */
static guint32 make_others(Balance *b, const Looks *looks, double gain)
{
  guint32 made = 0;
  for (guint k = 0; k < looks->n && made < MORE_MOVES && !is_full(b); k++) {
    Move move = looks->moves[k];
    if (b->kind[move.vm] != PLAN_N_STEPS || b->again)
      continue;
    move.score = score_after(b, &move);
    if (b->score - move.score < MAX(gain / 2, b->min_gain))
      continue;
    make(b, &move);
    made++;
  }
  return made;
}

/* The best moves of what is on this host, one after the other. */
static guint32 relieve(Balance *b, guint32 host)
{
  const Spread *s = b->spread;
  guint32 made = 0;
  while (!is_full(b)) {
    Move best = {.score = b->score - b->min_gain};
    bool urgent = !b->cluster->hosts[host].in_service;
    if (urgent)
      best.score = b->score;
    double before = b->score, least = best.score;
    Looks looks = {.n = 0};
    learn_slopes(b);
    for (guint32 k = 0; k < s->n_vms[host]; k++)
      estimate_vm(b, s->vms[host][k], &looks);
    choose(b, &looks, &best);
    if (best.score >= least)
      return made;
    make(b, &best);
    made++;
    if (b->cluster->n_vms > ALL_VMS && !urgent)
      made += make_others(b, &looks, before - best.score);
  }
  return made;
}

/* Of a small cluster each time the best move of all. */
static guint32 sweep_all_vms(Balance *b)
{
  guint32 made = 0;
  for (; !is_full(b); made++) {
    Move best = {.score = b->score - b->min_gain};
    Move start = best;
    Looks looks = {.n = 0};
    sort_hosts(b);
    learn_slopes(b);
    for (guint32 vm = 0; vm < b->cluster->n_vms; vm++)
      estimate_vm(b, vm, &looks);
    choose(b, &looks, &best);
    if (best.score >= start.score)
      return made;
    make(b, &best);
  }
  return made;
}

static guint32 sweep(Balance *b)
{
  guint32 n = b->cluster->n_hosts, made = 0;
  if (b->cluster->n_vms <= ALL_VMS)
    made = sweep_all_vms(b);
  if (b->options->only_evacuate) {
    for (guint32 h = 0; h < n && !is_full(b); h++)
      if (!b->cluster->hosts[h].in_service)
        made += relieve(b, h);
    return made;
  }
  sort_hosts(b);
  g_autofree double *heat = g_new(double, (gsize)n + 1); /* most loaded first, hosts out of service before all */
  for (guint32 h = 0; h < n; h++) {
    heat[h] = b->cluster->hosts[h].in_service ? -MAX(b->first_key[h], b->second_key[h]) : -G_MAXDOUBLE;
    b->sources[h] = h;
  }
  g_qsort_with_data(b->sources, (gint)n, sizeof *b->sources, by_key, heat);
  for (guint32 k = 0; k < n && !is_full(b); k++) {
    made += relieve(b, b->sources[k]);
  }
  return made;
}

/* ---- second thoughts ---- */

/* Judges a moved VM anew from where it was at first. */
static void reconsider(Balance *b, guint32 vm)
{
  Spread *s = b->spread;
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  Move now = {.vm = vm, .host = s->host[vm], .second = s->second[vm], .kind = b->kind[vm], .score = b->score};
  bool must = !b->cluster->hosts[v->host].in_service || (v->second != PLAN_NO_HOST && !b->cluster->hosts[v->second].in_service);
  spread_move(s, vm, v->host, v->second);
  double home = spread_score(s, NULL);
  b->kind[vm] = PLAN_N_STEPS;
  Move best = now;
  Looks looks = {.n = 0};
  learn_slopes(b);
  estimate_vm(b, vm, &looks);
  choose(b, &looks, &best);
  if (!must && home - b->min_gain < best.score && spread_room_is_kept(s, vm)) {
    b->score = home;
    return;
  }
  spread_move(s, vm, best.host, best.second);
  b->kind[vm] = best.kind;
  b->score = spread_score(s, NULL);
}

static void reconsider_all(Balance *b)
{
  if (!b->options->only_evacuate)
    sort_hosts(b);
  for (guint32 k = 0; k < b->n_moved; k++)
    reconsider(b, b->moved[k]);
  guint32 n = 0;
  for (guint32 k = 0; k < b->n_moved; k++)
    if (b->kind[b->moved[k]] != PLAN_N_STEPS)
      b->moved[n++] = b->moved[k];
  b->n_moved = n;
}

/* Begins anew and makes the moves as steps, each when there is room for it. What never finds any stays. */
static void put_in_order(Balance *b)
{
  guint32 n = b->n_moved, left = n;
  g_autofree guint32 *host = g_new(guint32, (gsize)n + 1), *second = g_new(guint32, (gsize)n + 1);
  for (guint32 k = 0; k < n; k++) {
    host[k] = b->spread->host[b->moved[k]];
    second[k] = b->spread->second[b->moved[k]];
  }
  for (guint32 k = n; k--;)
    spread_move(b->spread, b->moved[k], b->cluster->vms[b->moved[k]].host, b->cluster->vms[b->moved[k]].second);
  for (bool progress = true; left && progress;) {
    progress = false;
    for (guint32 k = 0; k < n; k++) {
      guint32 vm = b->moved[k];
      Move move;
      if (vm == PLAN_NO_HOST)
        continue;
      guint32 target = b->kind[vm] == PLAN_STEP_NEW_SECOND || b->kind[vm] == PLAN_STEP_FAILOVER_SECOND ? second[k] : host[k];
      if (!places_after(b, vm, b->kind[vm], target, &move) || isinf(score_after(b, &move)))
        continue;
      add_step(b, &move);
      b->moved[k] = PLAN_NO_HOST;
      left--;
      progress = true;
    }
  }
  b->n_moved = 0;
  spread_add_up(b->spread);
  b->score = spread_score(b->spread, NULL);
}

/* ---- result ---- */

static void find_stranded(const Balance *b, PlanBalanceResult *result)
{
  for (guint32 v = 0; v < b->cluster->n_vms; v++)
    result->n_stranded += !b->cluster->hosts[b->spread->host[v]].in_service;
}

static void search(Balance *b)
{
  sort_hosts(b);
  bool small = b->cluster->n_vms <= ALL_VMS;
  guint thoughts = small ? THOUGHTS : 1, rounds = small ? ROUNDS_MAX : ROUNDS_LARGE;
  for (guint round = 0; round < rounds && sweep(b); round++)
    for (guint k = 0; k < thoughts; k++)
      reconsider_all(b);
  if (small && !b->options->only_evacuate && !b->options->max_steps && b->n_moved) {
    balance_anneal(b);
    reconsider_all(b);
  }
  put_in_order(b);
  b->again = true;
  for (guint round = 0; round < ROUNDS_MAX && sweep(b); round++)
    ;
}

/* Everything is where it was. */
static void go_back(Balance *b)
{
  Spread *s = b->spread;
  for (guint k = b->steps->len; k--;) {
    const PlanStep *step = &g_array_index(b->steps, PlanStep, k);
    const guint32 places[] = {step->host_before, step->second_before, step->host, step->second};
    spread_move(s, step->vm, step->host_before, step->second_before);
    for (guint i = 0; i < G_N_ELEMENTS(places); i++)
      if (places[i] != PLAN_NO_HOST)
        b->sources[places[i]] = G_MAXUINT32;
  }
  for (guint32 h = 0; h < b->cluster->n_hosts; h++)
    if (b->sources[h] == G_MAXUINT32)
      spread_sort_lists(s, h);
  spread_add_up(s);
}

/* ---- a planner that stays ---- */

struct PlanBalancer {
  PlanCluster cluster; /* hosts and VMs are its own */
  Spread *spread;
};

PlanBalancer *plan_balancer_new(const PlanCluster *c)
{
  PlanBalancer *p = g_new0(PlanBalancer, 1);
  p->cluster = *c;
  p->cluster.hosts = g_memdup2(c->hosts, c->n_hosts * sizeof *c->hosts);
  p->cluster.vms = g_new(PlanBalanceVm, (gsize)c->n_vms + 1); /* room for one that is to be placed */
  if (c->n_vms)
    memcpy(p->cluster.vms, c->vms, c->n_vms * sizeof *c->vms);
  p->spread = spread_new(&p->cluster);
  return p;
}

void plan_balancer_free(PlanBalancer *p)
{
  if (!p)
    return;
  spread_free(p->spread);
  g_free(p->cluster.hosts);
  g_free(p->cluster.vms);
  g_free(p);
}

void plan_balancer_set_in_service(PlanBalancer *p, guint32 host, bool in_service)
{
  p->cluster.hosts[host].in_service = in_service;
  spread_set_service(p->spread);
}

void plan_balancer_move(PlanBalancer *p, guint32 vm, guint32 host, guint32 second)
{
  PlanBalanceVm *v = &p->cluster.vms[vm];
  const guint32 places[] = {v->host, v->second, host, second};
  spread_move(p->spread, vm, host, second);
  v->host = host;
  v->second = second;
  for (guint i = 0; i < G_N_ELEMENTS(places); i++)
    if (places[i] != PLAN_NO_HOST)
      spread_sort_lists(p->spread, places[i]);
}

void plan_balancer_plan(PlanBalancer *p, const PlanBalanceOptions *options, PlanBalanceResult *result)
{
  const PlanCluster *c = &p->cluster;
  gsize n = (gsize)c->n_hosts + 1;
  Balance b = {.cluster = c, .spread = p->spread, .inverse = p->spread->inverse, .options = options, .steps = g_array_new(FALSE, FALSE, sizeof(PlanStep))};
  b.first_order = g_new(guint32, n);
  b.second_order = g_new(guint32, n);
  b.sources = g_new0(guint32, n);
  b.first_key = g_new(double, n);
  b.second_key = g_new(double, n);
  b.kind = g_new(PlanStepKind, (gsize)c->n_vms + 1);
  b.moved = g_new(guint32, (gsize)c->n_vms + 1);
  for (guint32 v = 0; v < c->n_vms; v++)
    b.kind[v] = PLAN_N_STEPS;
  b.n_targets = c->n_hosts <= ALL_TARGETS ? c->n_hosts : c->n_vms <= ALL_VMS ? FEW_TARGETS : MIN(FEWEST_TARGETS, c->n_hosts);
  *result = (PlanBalanceResult){.score_before = spread_score(b.spread, NULL)};
  b.score = result->score_before;
  b.min_gain = options->min_gain > 0 ? options->min_gain : GAIN / MAX(c->n_hosts, 1);
  search(&b);
  find_stranded(&b, result);
  result->score_after = b.steps->len ? b.score : result->score_before; /* what was tried and taken back leaves traces of rounding */
  go_back(&b);
  result->n_steps = b.steps->len;
  result->steps = (PlanStep *)(void *)g_array_free(b.steps, FALSE);
  void *arrays[] = {b.first_order, b.second_order, b.sources, b.first_key, b.second_key, b.kind, b.moved};
  for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
    g_free(arrays[k]);
}

void plan_balance(const PlanCluster *c, const PlanBalanceOptions *options, PlanBalanceResult *result)
{
  PlanBalancer *p = plan_balancer_new(c);
  plan_balancer_plan(p, options, result);
  plan_balancer_free(p);
}

void plan_balance_result_clear(PlanBalanceResult *result)
{
  g_clear_pointer(&result->steps, g_free);
  result->n_steps = 0;
}

/* By how much the score changes, to first order, when the VM comes to the host; its copy on a second one is not looked at. */
static double estimate_arrival(const Balance *b, const PlanBalanceVm *v, guint32 host)
{
  const Inverse *x = &b->inverse[host];
  double amounts[N_MEASURES] = {0}, sum = 0;
  amounts[M_MEMORY_FREE] = v->runs ? -(double)v->memory * x->memory : 0;
  amounts[M_DISK_FREE] = v->disks == PLAN_DISKS_SHARED ? 0 : -(double)v->disk * x->disk;
  amounts[M_VCPUS] = v->runs ? v->vcpus * x->cpus : 0;
  amounts[M_SPINDLES] = v->spindles * x->spindles;
  for (guint k = 0; k < PLAN_N_LOADS; k++)
    amounts[M_LOAD + k] = v->load[k];
  for (guint m = 0; m < N_MEASURES; m++)
    sum += b->slope[m] * amounts[m] * (amounts[m] + 2 * (b->spread->hosts[host].m[m] - b->mean[m]));
  return sum;
}

static void try_arrival(Spread *s, guint32 vm, guint32 host, guint32 *best, double *score)
{
  double after = spread_arrival(s, vm, host);
  if (after < *score - NOTHING || (after < *score + NOTHING && host < *best && *best != PLAN_NO_HOST)) {
    *score = MIN(after, *score);
    *best = host;
  }
}

guint32 plan_balancer_place(PlanBalancer *p, const PlanBalanceVm *vm, double *score)
{
  Spread *s = p->spread;
  guint32 index = p->cluster.n_vms, best = PLAN_NO_HOST;
  p->cluster.vms[index] = *vm;
  Balance b = {.cluster = &p->cluster, .spread = s, .inverse = s->inverse};
  Looks looks = {.n = 0};
  learn_slopes(&b);
  *score = INFINITY;
  for (guint32 h = 0; h < p->cluster.n_hosts; h++) {
    if (p->cluster.n_hosts <= ALL_TARGETS) { /* few enough to compute each score */
      try_arrival(s, index, h, &best, score);
      continue;
    }
    double estimate = estimate_arrival(&b, vm, h);
    if ((looks.n == LOOKS && estimate >= looks.moves[LOOKS - 1].score) || !spread_fits(s, index, h, PLAN_NO_HOST))
      continue;
    guint at = looks.n < LOOKS ? looks.n++ : LOOKS - 1;
    for (; at > 0 && looks.moves[at - 1].score > estimate; at--)
      looks.moves[at] = looks.moves[at - 1];
    looks.moves[at] = (Move){.host = h, .score = estimate};
  }
  for (guint k = 0; k < looks.n; k++)
    try_arrival(s, index, looks.moves[k].host, &best, score);
  return best;
}

guint32 plan_balance_place(const PlanCluster *c, const PlanBalanceVm *vm, double *score)
{
  PlanBalancer *p = plan_balancer_new(c);
  guint32 host = plan_balancer_place(p, vm, score);
  plan_balancer_free(p);
  return host;
}

double plan_balancer_score(const PlanBalancer *p, double parts[PLAN_N_SCORE_PARTS])
{
  return spread_score(p->spread, parts);
}

double plan_balance_score(const PlanCluster *c, double parts[PLAN_N_SCORE_PARTS])
{
  Spread *s = spread_new(c);
  double score = spread_score(s, parts);
  spread_free(s);
  return score;
}
