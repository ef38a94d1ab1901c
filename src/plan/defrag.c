// SPDX-License-Identifier: Apache-2.0
/* The search for few moves that free most slots. See defrag.h.
 *
 * Simulated annealing over assignments in which at most `limit` VMs are elsewhere than at first. A move that would pass the limit sends another VM home.
 * What is made large is the number of slots, and, ever less, the sum of squares of what is left over on each node: two half slots on different nodes
 * are worth less than one node with none and one nearly with one. Then the moves are put in an order in which each finds room. */
#include "plan/defrag.h"
#include "plan/chance.h"
#include <math.h>
#include <string.h>

#define SEARCHES      3
#define STEPS_FOR_VM  600     /* tried in one search, for each VM */
#define STEPS_MIN     600000
#define HOT           0.7     /* temperatures, in slots */
#define COLD          0.03
#define LEFTOVERS     0.5     /* worth of a leftover of nearly a slot, at first */
#define MOVE_PRICE    0.02     /* in slots: a move that frees nothing is not made */

typedef struct {
  const PlanNumaCluster *c;
  gint64 *cpus, *memory; /* [node]: free */
  guint32 *at;           /* [vm]: node */
  guint32 *moved, *place; /* those that are elsewhere; [vm]: where in there */
  guint32 n_moved, limit;
  gint64 slots;
  guint32 *best;         /* [vm]: node, when there were most slots, */
  gint64 best_slots;     /* so many, */
  guint32 best_moved;    /* with so few moved */
  PlanChance chance;
} Defrag;

static inline gint64 slots_of(const PlanNumaCluster *c, gint64 cpus, gint64 memory)
{
  gint64 n = cpus / c->slot_cpus;
  return c->slot_memory > 0 ? MIN(n, memory / c->slot_memory) : n;
}

/* Of one node: slots, and `weight` for what is left over, squared. */
static inline double worth(const PlanNumaCluster *c, gint64 cpus, gint64 memory, double weight, gint64 *slots)
{
  gint64 n = slots_of(c, cpus, memory);
  double left = MIN(1, (double)(cpus - n * c->slot_cpus) / (double)c->slot_cpus);
  *slots += n;
  return (double)n + weight * left * left;
}

/* ---- state ---- */

static inline bool has_room(const Defrag *d, guint32 vm, guint32 node)
{
  const PlanNumaVm *v = &d->c->vms[vm];
  return d->cpus[node] >= v->cpus && d->memory[node] >= v->memory && (!v->both || (d->cpus[node + 1] >= v->cpus && d->memory[node + 1] >= v->memory));
}

static inline void add(Defrag *d, guint32 vm, guint32 node, int sign)
{
  const PlanNumaVm *v = &d->c->vms[vm];
  for (guint k = 0; k <= v->both; k++) {
    d->cpus[node + k] -= sign * v->cpus;
    d->memory[node + k] -= sign * v->memory;
  }
}

static double worth_of(const Defrag *d, guint32 vm, guint32 node, double weight, gint64 *slots)
{
  double sum = 0;
  for (guint k = 0; k <= d->c->vms[vm].both; k++)
    sum += worth(d->c, d->cpus[node + k], d->memory[node + k], weight, slots);
  return sum;
}

static void note_moved(Defrag *d, guint32 vm)
{
  bool away = d->at[vm] != d->c->vms[vm].node, noted = d->place[vm] != G_MAXUINT32;
  if (away && !noted) {
    d->place[vm] = d->n_moved;
    d->moved[d->n_moved++] = vm;
  } else if (!away && noted) {
    guint32 last = d->moved[--d->n_moved];
    d->moved[d->place[vm]] = last;
    d->place[last] = d->place[vm];
    d->place[vm] = G_MAXUINT32;
  }
}

/* Moves it to another node (or pair of nodes), whatever the room, and says by how much the worth grows. */
static double relocate(Defrag *d, guint32 vm, guint32 to, double weight)
{
  guint32 from = d->at[vm];
  gint64 before = 0, after = 0;
  double gain = -worth_of(d, vm, from, weight, &before) - worth_of(d, vm, to, weight, &before);
  add(d, vm, from, -1);
  add(d, vm, to, 1);
  d->at[vm] = to;
  gain += worth_of(d, vm, from, weight, &after) + worth_of(d, vm, to, weight, &after);
  d->slots += after - before;
  note_moved(d, vm);
  return gain;
}

static void go_home(Defrag *d)
{
  const PlanNumaCluster *c = d->c;
  d->n_moved = 0;
  memset(d->place, 0xff, c->n_vms * sizeof *d->place);
  for (guint32 n = 0; n < 2 * c->n_hosts; n++) {
    d->cpus[n] = c->nodes[n].cpus;
    d->memory[n] = c->nodes[n].memory;
  }
  for (guint32 v = 0; v < c->n_vms; v++) {
    d->at[v] = c->vms[v].node;
    add(d, v, d->at[v], 1);
  }
  d->slots = 0;
  for (guint32 n = 0; n < 2 * c->n_hosts; n++)
    d->slots += slots_of(c, d->cpus[n], d->memory[n]);
}

/* ---- search ---- */

static guint32 random_target(Defrag *d, guint32 vm)
{
  const PlanNumaVm *v = &d->c->vms[vm];
  guint32 node = plan_chance_below(&d->chance, 2 * d->c->n_hosts);
  return v->both ? node & ~1U : node;
}

/* One VM goes somewhere; where the limit would be passed, another goes home. Undone unless what it gains is at least `least`. */
static void try_move(Defrag *d, double least, double weight)
{
  bool again = d->n_moved && (d->n_moved >= d->limit ? plan_chance_below(&d->chance, 2) : !plan_chance_below(&d->chance, 4));
  guint32 vm = again ? d->moved[plan_chance_below(&d->chance, d->n_moved)] : plan_chance_below(&d->chance, d->c->n_vms), from = d->at[vm];
  guint32 home = d->c->vms[vm].node, to = from != home && !plan_chance_below(&d->chance, 4) ? home : random_target(d, vm);
  if (d->c->vms[vm].fixed || to == from)
    return;
  guint32 back = G_MAXUINT32, back_from = 0, n_before = d->n_moved;
  double gain = 0;
  if (from == home && d->n_moved >= d->limit) {
    back = d->moved[plan_chance_below(&d->chance, d->n_moved)];
    back_from = d->at[back];
    add(d, back, back_from, -1);
    bool good = has_room(d, back, d->c->vms[back].node);
    add(d, back, back_from, 1);
    if (!good)
      return;
    gain = relocate(d, back, d->c->vms[back].node, weight);
  }
  add(d, vm, from, -1); /* beside itself: between nodes of its host */
  bool good = has_room(d, vm, to);
  add(d, vm, from, 1);
  if (good) {
    gain += relocate(d, vm, to, weight);
    gain -= MOVE_PRICE * ((double)d->n_moved - (double)n_before);
    if (gain >= least)
      return;
    relocate(d, vm, from, weight);
  }
  if (back != G_MAXUINT32)
    relocate(d, back, back_from, weight);
}

/* Two VMs change places, as far as the limit allows; undone unless what that gains is at least `least`. */
static void try_swap(Defrag *d, double least, double weight)
{
  guint32 a = plan_chance_below(&d->chance, d->c->n_vms), b = plan_chance_below(&d->chance, d->c->n_vms), at_a = d->at[a], at_b = d->at[b], n_before = d->n_moved;
  const PlanNumaVm *x = &d->c->vms[a], *y = &d->c->vms[b];
  if (x->fixed || y->fixed || x->both != y->both || at_a == at_b || x->cpus == y->cpus)
    return;
  add(d, a, at_a, -1);
  bool good = has_room(d, b, at_a);
  add(d, a, at_a, 1);
  add(d, b, at_b, -1);
  good = good && has_room(d, a, at_b);
  add(d, b, at_b, 1);
  if (!good)
    return;
  double gain = relocate(d, a, at_b, weight) + relocate(d, b, at_a, weight) - MOVE_PRICE * ((double)d->n_moved - (double)n_before);
  if (gain >= least && d->n_moved <= d->limit)
    return;
  relocate(d, b, at_b, weight);
  relocate(d, a, at_a, weight);
}

static void keep_best(Defrag *d)
{
  if (d->slots < d->best_slots || (d->slots == d->best_slots && d->n_moved >= d->best_moved))
    return;
  d->best_slots = d->slots;
  d->best_moved = d->n_moved;
  memcpy(d->best, d->at, d->c->n_vms * sizeof *d->best);
}

static void anneal(Defrag *d)
{
  guint64 steps = MAX((guint64)d->c->n_vms * STEPS_FOR_VM, STEPS_MIN);
  double heat = HOT, weight = LEFTOVERS;
  d->best_slots = -1;
  keep_best(d);
  for (guint64 k = 0; k < steps; k++) {
    if (k % 256 == 0) {
      double spent = (double)k / (double)steps;
      heat = HOT * pow(COLD / HOT, spent);
      weight = LEFTOVERS * (1 - spent * spent);
    }
    double least = heat * log(plan_chance_unit(&d->chance) + 1e-12);
    if (k % 4)
      try_move(d, least, weight);
    else
      try_swap(d, least, weight);
    keep_best(d);
  }
  for (guint32 v = 0; v < d->c->n_vms; v++)
    if (d->at[v] != d->best[v])
      relocate(d, v, d->best[v], 0);
}

/* ---- order ---- */

static void add_step(Defrag *d, GArray *steps, guint32 vm, guint32 to)
{
  PlanDefragStep step = {.vm = vm, .from = d->at[vm], .to = to};
  relocate(d, vm, to, 0);
  step.slots = d->slots;
  g_array_append_val(steps, step);
}

/* Somewhere it has room for the time being; the step comes on top. */
static bool step_aside(Defrag *d, GArray *steps, guint32 vm)
{
  for (guint32 n = 0; n < 2 * d->c->n_hosts; n += d->c->vms[vm].both ? 2 : 1)
    if (n / 2 != d->at[vm] / 2 && has_room(d, vm, n)) {
      add_step(d, steps, vm, n);
      return true;
    }
  return false;
}

/* From where all began, to where the search ended: each step when there is room for it. When none has any, and moves are left, one of them steps aside. */
static GArray *put_in_order(Defrag *d)
{
  guint32 n = d->n_moved, left = n;
  g_autofree guint32 *vms = g_memdup2(d->moved, (gsize)n * sizeof *vms), *to = g_new(guint32, (gsize)n + 1);
  for (guint32 k = 0; k < n; k++)
    to[k] = d->at[vms[k]];
  go_home(d);
  GArray *steps = g_array_new(FALSE, FALSE, sizeof(PlanDefragStep));
  for (guint32 k = 0, idle = 0; left; k = (k + 1) % n) {
    if (to[k] != G_MAXUINT32 && has_room(d, vms[k], to[k])) {
      add_step(d, steps, vms[k], to[k]);
      to[k] = G_MAXUINT32;
      left--;
      idle = 0;
    } else if (++idle > n) {
      while (to[k] == G_MAXUINT32)
        k = (k + 1) % n;
      if (steps->len + left >= d->limit || !step_aside(d, steps, vms[k])) {
        to[k] = G_MAXUINT32; /* it stays where it is */
        left--;
      }
      idle = 0;
    }
  }
  return steps;
}

/* What comes after the last gain is not done. */
static gint64 trim(GArray *steps, gint64 slots)
{
  guint n = 0;
  for (guint k = 0; k < steps->len; k++)
    if (g_array_index(steps, PlanDefragStep, k).slots > slots) {
      slots = g_array_index(steps, PlanDefragStep, k).slots;
      n = k + 1;
    }
  g_array_set_size(steps, n);
  return slots;
}

/* ---- all ---- */

static void defrag_init(Defrag *d, const PlanNumaCluster *c)
{
  gsize n = (gsize)c->n_hosts * 2 + 1, n_vms = (gsize)c->n_vms + 1;
  *d = (Defrag){.c = c, .cpus = g_new(gint64, n), .memory = g_new(gint64, n), .at = g_new(guint32, n_vms), .moved = g_new(guint32, n_vms), .place = g_new(guint32, n_vms), .best = g_new(guint32, n_vms)};
  go_home(d);
}

static void defrag_clear(Defrag *d)
{
  void *arrays[] = {d->cpus, d->memory, d->at, d->moved, d->place, d->best};
  for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
    g_free(arrays[k]);
}

static bool is_sound(const Defrag *d)
{
  for (guint32 n = 0; n < 2 * d->c->n_hosts; n++)
    if (d->cpus[n] < 0 || d->memory[n] < 0)
      return false;
  return true;
}

gint64 plan_defrag_slots(const PlanNumaCluster *c)
{
  Defrag d;
  defrag_init(&d, c);
  gint64 slots = is_sound(&d) ? d.slots : -1;
  defrag_clear(&d);
  return slots;
}

void plan_defrag(const PlanNumaCluster *c, guint32 limit, guint64 seed, PlanDefragResult *result)
{
  Defrag d;
  defrag_init(&d, c);
  *result = (PlanDefragResult){.slots_before = is_sound(&d) ? d.slots : -1, .slots_after = is_sound(&d) ? d.slots : -1};
  d.limit = MIN(limit, c->n_vms);
  for (guint k = 0; k < SEARCHES && is_sound(&d) && limit && c->n_vms; k++) {
    plan_chance_seed(&d.chance, seed + k * 0x9e3779b9u);
    anneal(&d);
    GArray *steps = put_in_order(&d);
    gint64 slots = trim(steps, result->slots_before);
    go_home(&d);
    if (slots > result->slots_after || (slots == result->slots_after && steps->len < result->n_steps)) {
      plan_defrag_result_clear(result);
      result->slots_after = slots;
      result->n_steps = steps->len;
      result->steps = (PlanDefragStep *)(void *)g_array_free(steps, FALSE);
    } else
      g_array_free(steps, TRUE);
  }
  defrag_clear(&d);
}

void plan_defrag_result_clear(PlanDefragResult *result)
{
  g_clear_pointer(&result->steps, g_free);
  result->n_steps = 0;
}
