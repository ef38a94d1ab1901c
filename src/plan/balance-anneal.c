// SPDX-License-Identifier: Apache-2.0
/* A small cluster as a whole: simulated annealing over where its VMs are, each at most one step from where it was at first. What is made small is the score
 * with a price for each VM that moved. See balance-private.h. */
#include "plan/balance-private.h"
#include "plan/chance.h"
#include <math.h>
#include <string.h>

#define SEED         1
#define STEPS_FOR_VM 3000
#define STEPS_MAX    1500000
#define PRICE        1 /* of a move, in least gains; */
#define HOT          1 /* first and last temperature, in the same units */
#define COLD         0.1

/* Where a step of that kind brings the VM from where it was at first. false: there is no such step. */
static bool place_by(const Balance *b, guint32 vm, PlanStepKind kind, guint32 target, Move *move)
{
  const PlanBalanceHost *hosts = b->cluster->hosts;
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  guint32 host = v->host, second = v->second;
  bool live = hosts[host].in_service, second_live = second != PLAN_NO_HOST && hosts[second].in_service;
  *move = (Move){.vm = vm, .kind = kind, .host = host, .second = second};
  if (kind == PLAN_N_STEPS)
    return true;
  if (kind != PLAN_STEP_FAILOVER && (target == host || target == second || !hosts[target].in_service || hosts[target].set != hosts[host].set))
    return false;
  switch (kind) {
  case PLAN_STEP_MIGRATE:
    move->host = target;
    return true;
  case PLAN_STEP_FAILOVER:
    move->host = second, move->second = host;
    return live && second_live;
  case PLAN_STEP_NEW_SECOND:
    move->second = target;
    return live;
  case PLAN_STEP_NEW_HOST:
    move->host = target;
    return live && second_live;
  case PLAN_STEP_FAILOVER_SECOND:
    move->host = second, move->second = target;
    return second_live;
  default:
    move->host = target, move->second = host;
    return live;
  }
}

static bool can_move(const PlanBalanceVm *v)
{
  return v->disks == PLAN_DISKS_SHARED || (v->disks == PLAN_DISKS_MIRRORED && v->second != PLAN_NO_HOST);
}

static void try_place(Balance *b, PlanChance *chance, double heat)
{
  Spread *s = b->spread;
  guint64 x = plan_chance_next(chance);
  guint32 vm = plan_chance_pick((guint32)(x >> 32), b->cluster->n_vms), host = s->host[vm], second = s->second[vm];
  const PlanBalanceVm *v = &b->cluster->vms[vm];
  PlanStepKind kind = v->disks == PLAN_DISKS_SHARED ? PLAN_STEP_MIGRATE : (PlanStepKind)((x & 0xffff) % PLAN_STEP_MIGRATE);
  if (b->kind[vm] != PLAN_N_STEPS && (x >> 16 & 3) == 0)
    kind = PLAN_N_STEPS;
  Move move;
  if (!can_move(v) || !place_by(b, vm, kind, plan_chance_below(chance, b->cluster->n_hosts), &move) || (move.host == host && move.second == second))
    return;
  double limit = b->score - heat * log(plan_chance_unit(chance) + 1e-12) + PRICE * b->min_gain * ((b->kind[vm] != PLAN_N_STEPS) - (kind != PLAN_N_STEPS));
  move.score = spread_try(s, vm, move.host, move.second);
  if (!(move.score <= limit))
    return;
  spread_move(s, vm, move.host, move.second);
  b->n_moved += (kind != PLAN_N_STEPS) - (b->kind[vm] != PLAN_N_STEPS);
  b->kind[vm] = kind;
  b->score = move.score;
}

typedef struct {
  guint32 host, second;
  PlanStepKind kind;
} Place;

static void keep(const Balance *b, Place *places)
{
  for (guint32 v = 0; v < b->cluster->n_vms; v++)
    places[v] = (Place){b->spread->host[v], b->spread->second[v], b->kind[v]};
}

static void go_back(Balance *b, const Place *places)
{
  for (guint32 v = 0; v < b->cluster->n_vms; v++) {
    spread_move(b->spread, v, places[v].host, places[v].second);
    b->kind[v] = places[v].kind;
  }
}

static double merit(const Balance *b)
{
  return b->score + PRICE * b->min_gain * b->n_moved;
}

void balance_anneal(Balance *b)
{
  const PlanCluster *c = b->cluster;
  PlanChance chance;
  plan_chance_seed(&chance, SEED);
  g_autofree Place *places = g_new(Place, (gsize)c->n_vms + 1);
  keep(b, places);
  double before = merit(b);
  guint64 steps = MIN((guint64)c->n_vms * STEPS_FOR_VM, STEPS_MAX);
  for (guint64 k = 0; k < steps; k++)
    try_place(b, &chance, b->min_gain * HOT * pow(COLD / (double)HOT, (double)k / (double)steps));
  if (merit(b) > before)
    go_back(b, places);
  b->n_moved = 0;
  for (guint32 v = 0; v < c->n_vms; v++)
    if (b->kind[v] != PLAN_N_STEPS)
      b->moved[b->n_moved++] = v;
  spread_add_up(b->spread);
  b->score = spread_score(b->spread, NULL);
}
