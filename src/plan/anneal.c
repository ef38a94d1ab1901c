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

/* ---- memory ---- */

void plan_anneal_log_start(PlanAnneal *a)
{
  if (!a->log) {
    a->log_size = 1024;
    a->log = g_new(PlanAnnealMove, a->log_size);
  }
  a->n_log = a->n_log_best = 0;
  a->log_best_cost = a->state->cost;
  a->log_best_merit = plan_state_merit(a->state);
}

/* Called once a move is whole: the moves of a swap, or of an ejection, count together. */
static void remember(PlanAnneal *a, const PlanAnnealMove *moves, guint n)
{
  if (!a->log)
    return;
  if (a->n_log + n > a->log_size) {
    a->log_size *= 2;
    a->log = g_renew(PlanAnnealMove, a->log, a->log_size);
  }
  for (guint k = 0; k < n; k++)
    a->log[a->n_log++] = moves[k];
  gint64 merit = plan_state_merit(a->state);
  if (merit < a->log_best_merit) {
    a->log_best_merit = merit;
    a->log_best_cost = a->state->cost;
    a->n_log_best = a->n_log;
  }
}

/* The items of a swap change places together: one after the other, members of one group might meet. */
void plan_anneal_log_rewind(PlanAnneal *a)
{
  PlanState *s = a->state;
  while (a->n_log > a->n_log_best) {
    PlanAnnealMove m = a->log[--a->n_log];
    gint64 penalty;
    if (m.from != NO_ROW) {
      plan_state_shift(s, m.item, m.from, shift_change(s, m.item, m.from, &penalty));
    } else {
      guint32 other = a->log[--a->n_log].item;
      plan_state_swap(s, m.item, other, 0);
    }
  }
  s->cost = a->log_best_cost;
}

void plan_anneal_keep(PlanAnneal *a)
{
  if (a->state->penalty == 0 && a->state->lacking == 0 && a->state->cost < a->best_cost) {
    a->best_cost = a->state->cost;
    memcpy(a->best, a->state->at, a->state->t->problem->n_items * sizeof *a->best);
  }
}

/* ---- choices ---- */

/* Where an item might go: a host that could take it, if they are listed. NO_ROW: none of those that are asked. */
INLINE guint32 pick_host(const PlanAnneal *a, guint32 item, guint32 bits)
{
  const PlanTables *t = a->state->t;
  if (a->among) {
    guint32 host = a->among[plan_chance_pick(bits, a->n_among)];
    return host_ever_fits(t, item, host) ? host : NO_ROW;
  }
  if (!t->fit)
    return plan_chance_pick(bits, t->problem->n_hosts);
  guint32 start = t->fit_start[item];
  return t->fit[start + plan_chance_pick(bits, t->fit_start[item + 1] - start)];
}

/* Half of the items are chosen evenly, the others rather large: there are few of them, and they are what is hard to place. */
INLINE guint32 choose_item(const PlanAnneal *a, guint64 x)
{
  guint32 bits = (guint32)(x >> 32), n = a->n_large;
  return a->large[plan_chance_pick(x & 32 ? bits : (guint32)((bits * ((x >> 6) & 0xffff)) >> 16), n)];
}

/* ---- moves ---- */

INLINE bool try_shift(PlanAnneal *a, guint32 item, guint32 to, gint64 limit)
{
  PlanState *s = a->state;
  gint64 delta;
  guint32 from = s->at[item], group = s->t->problem->group[item];
  if (to == from || to == NO_ROW || group_on_host(s, group, to) || !limit_with_lack(s, shift_lack(s, group, from, to), &limit) ||
      !shift_cost(s, item, to, limit, &delta) || !shift_keeps_rules(s, item, to))
    return false;
  plan_state_shift(s, item, to, delta);
  remember(a, &(PlanAnnealMove){item, from}, 1);
  return true;
}

/* With some item of that host, the next one each time. */
INLINE bool try_swap(PlanAnneal *a, guint32 i, guint32 host, gint64 limit)
{
  PlanState *s = a->state;
  gint64 delta;
  if (host == NO_ROW || host == s->at[i] || s->cursor[host] == NO_ROW)
    return false;
  guint32 j = s->cursor[host] = s->next[s->cursor[host]];
  const guint32 *group = s->t->problem->group;
  if (!host_ever_fits(s->t, j, s->at[i]) || !limit_with_lack(s, swap_lack(s, group[i], group[j], s->at[i], host), &limit) || !swap_cost(s, i, j, limit, &delta) || !swap_keeps_rules(s, i, j))
    return false;
  plan_state_swap(s, i, j, delta);
  remember(a, (PlanAnnealMove[]){{j, NO_ROW}, {i, NO_ROW}}, 2);
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
    if (s->t->fit && s->t->fit_start[out] == s->t->fit_start[out + 1] && home == host)
      continue;
    guint32 to = (x & 3) == 0 ? newcomer_from : (x & 3) == 1 || (s->t->fit && s->t->fit_start[out] == s->t->fit_start[out + 1]) ? home : pick_host(a, out, (guint32)(x >> 32));
    gint64 delta, penalty;
    if (out == newcomer || to == host || to == NO_ROW || !shift_keeps_rules(s, out, to))
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
  PlanAnnealMove done[EJECTIONS_MAX + 1];
  gint64 deltas[EJECTIONS_MAX + 1];
  guint n = 0;
  guint32 from = s->at[item];
  if (to == from || to == NO_ROW || !shift_keeps_rules(s, item, to))
    return false;
  gint64 penalty, before = plan_state_merit(s), lacking = s->lacking, delta = shift_change(s, item, to, &penalty), charge = moved_change(s, item, to) * s->away[item];
  done[n] = (PlanAnnealMove){item, from};
  deltas[n++] = delta;
  plan_state_shift(s, item, to, delta);
  Ejection next;
  while (s->penalty && n <= EJECTIONS_MAX && choose_ejection(a, item, to, from, &next)) {
    charge += moved_change(s, next.item, next.to) * s->away[next.item];
    done[n] = (PlanAnnealMove){next.item, to};
    deltas[n++] = next.delta;
    plan_state_shift(s, next.item, next.to, next.delta);
  }
  if (s->penalty == 0 && (s->lacking <= lacking || !s->lack_never) && plan_state_merit(s) - before + charge <= limit) {
    remember(a, done, n);
    return true;
  }
  while (n--)
    plan_state_shift(s, done[n].item, done[n].from, -deltas[n]);
  return false;
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
      a->n_accepted += try_eject(a, item, pick_host(a, item, bits), limit);
    else if ((x & 15) == 0)
      a->n_accepted += try_shift(a, item, p->initial[item], limit);
    else if (x & 1)
      a->n_accepted += try_shift(a, item, pick_host(a, item, bits), limit);
    else
      a->n_accepted += try_swap(a, item, pick_host(a, item, bits), limit);
  }
  a->n_steps += n;
}
