// SPDX-License-Identifier: Apache-2.0
/* The inner loop. See anneal-private.h. */
#include "plan/anneal-private.h"
#include <math.h>
#include <string.h>

#define N_DRAWS       4096
#define EJECTIONS_MAX 4 /* items that one move may send on */
#define SAMPLES       6 /* of them, to choose one from */

#define INLINE static inline __attribute__((always_inline))

/* -ln(u) for u evenly in (0, 1): a move is taken when its cost is at most temperature x this (Metropolis, asked before the cost is known). */
static double draws[N_DRAWS];

static void fill_draws(void)
{
  static gsize done;
  if (g_once_init_enter(&done)) {
    for (guint i = 0; i < N_DRAWS; i++)
      draws[i] = -log((i + 0.5) / N_DRAWS);
    g_once_init_leave(&done, 1);
  }
}

void plan_anneal_keep(PlanAnneal *a)
{
  if (a->state->penalty == 0 && a->state->cost < a->best_cost) {
    a->best_cost = a->state->cost;
    memcpy(a->best, a->state->at, a->state->t->problem->n_items * sizeof *a->best);
  }
}

INLINE bool try_shift(PlanAnneal *a, guint32 item, guint32 to, gint64 limit)
{
  PlanState *s = a->state;
  gint64 delta;
  guint32 from = s->at[item], group = s->t->problem->group[item];
  if (to == from || group_on_host(s, group, to) || !shift_cost(s, item, to, limit, &delta) ||
      !shift_keeps_rules(s, item, to))
    return false;
  plan_state_shift(s, item, to, delta);
  return true;
}

INLINE bool try_swap(PlanAnneal *a, guint32 i, guint32 j, gint64 limit)
{
  PlanState *s = a->state;
  gint64 delta;
  if (s->at[i] == s->at[j] || !swap_cost(s, i, j, limit, &delta) || !swap_keeps_rules(s, i, j))
    return false;
  plan_state_swap(s, i, j, delta);
  return true;
}

typedef struct {
  guint32 item, to;
  gint64 delta, score;
} Ejection;

/* Whose going relieves the host most, and where to: the best of a few. */
static bool choose_ejection(PlanAnneal *a, guint32 newcomer, guint32 host, guint32 newcomer_from, Ejection *best)
{
  PlanState *s = a->state;
  best->score = G_MAXINT64;
  for (guint k = 0; k < SAMPLES; k++) {
    guint64 x = plan_chance_next(&a->chance);
    guint32 out = s->cursor[host] = s->next[s->cursor[host]], home = s->t->problem->initial[out];
    guint32 to = (x & 3) == 0 ? newcomer_from : (x & 3) == 1 ? home : plan_chance_pick((guint32)(x >> 32), s->t->problem->n_hosts);
    gint64 delta, penalty;
    if (out == newcomer || to == host || !shift_keeps_rules(s, out, to))
      continue;
    delta = shift_change(s, out, to, &penalty);
    if (penalty < 0 && delta + penalty < best->score)
      *best = (Ejection){out, to, delta, delta + penalty};
  }
  return best->score < G_MAXINT64;
}

/* An item goes where there is no room for it, and others make room: each time the one of a few whose going is best. Undone as a whole unless there is
 * room in the end, at a cost within the limit. */
static bool try_eject(PlanAnneal *a, guint32 item, guint32 to, gint64 limit)
{
  PlanState *s = a->state;
  Ejection done[EJECTIONS_MAX + 1]; /* to: where it was */
  guint n = 0;
  guint32 from = s->at[item];
  if (to == from || !shift_keeps_rules(s, item, to))
    return false;
  gint64 penalty, cost = s->cost, delta = shift_change(s, item, to, &penalty), charge = moved_change(s, item, to) * s->away[item];
  done[n++] = (Ejection){item, from, delta, 0};
  plan_state_shift(s, item, to, delta);
  Ejection next;
  while (s->penalty && n <= EJECTIONS_MAX && choose_ejection(a, item, to, from, &next)) {
    charge += moved_change(s, next.item, next.to) * s->away[next.item];
    done[n++] = (Ejection){next.item, to, next.delta, 0};
    plan_state_shift(s, next.item, next.to, next.delta);
  }
  if (s->penalty == 0 && s->cost - cost + charge <= limit)
    return true;
  while (n--)
    plan_state_shift(s, done[n].item, done[n].to, -done[n].delta);
  return false;
}

/* Half of the items are chosen evenly, the others rather large: there are few of them, and they are what is hard to place. */
INLINE guint32 choose_item(const PlanAnneal *a, guint64 x)
{
  guint32 bits = (guint32)(x >> 32), n = a->state->t->problem->n_items;
  return x & 32 ? plan_chance_pick(bits, n) : a->large[plan_chance_pick((guint32)((bits * ((x >> 6) & 0xffff)) >> 16), n)];
}

/* Vectors of 64-bit numbers: a machine with AVX2 or AVX-512 goes through a row in half the time. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten))
#endif
void plan_anneal_steps(PlanAnneal *a, guint64 n, double temperature)
{
  const PlanProblem *p = a->state->t->problem;
  fill_draws();
  for (guint64 k = 0; k < n; k++) {
    guint64 x = plan_chance_next(&a->chance), y = plan_chance_next(&a->chance);
    guint32 item = choose_item(a, x), bits = (guint32)(y >> 32);
    gint64 limit = (gint64)(temperature * draws[y % N_DRAWS]);
    if (((x >> 22) & 127) < a->ejections)
      a->n_accepted += try_eject(a, item, plan_chance_pick(bits, p->n_hosts), limit);
    else if ((x & 15) == 0)
      a->n_accepted += try_shift(a, item, p->initial[item], limit);
    else if (x & 1)
      a->n_accepted += try_shift(a, item, plan_chance_pick(bits, p->n_hosts), limit);
    else
      a->n_accepted += try_swap(a, item, plan_chance_pick(bits, p->n_items), limit);
  }
  a->n_steps += n;
}
