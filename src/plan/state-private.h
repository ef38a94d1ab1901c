// SPDX-License-Identifier: Apache-2.0
/* An assignment with all that is needed to know at once what a shift (one item to another host) or a swap (two items change places) breaks and
 * costs: O(resources + rules touched), exactly, without a look at the rest.
 *
 * Resources and balance objectives are one list of "dimensions". What counts in one is an excess, e.g. used - safety capacity, which an item adds to
 * linearly: a balance objective target x free(a) - free(b) grows by demand(b) - target x demand(a). Excesses are kept multiplied by their weights, so
 * the cost of a host is the sum of its positive excesses. Rows are padded to whole vectors, with zeros that change nothing.
 *
 * PlanTables never changes and is shared by threads; a PlanState belongs to one. */
#pragma once
#include "plan/problem.h"

#define NO_ROW G_MAXUINT32

typedef struct {
  const PlanProblem *problem;
  guint32 stride;        /* dimensions of a row, a multiple of 4 */
  guint32 words;         /* of a set of hosts */
  gint64 *penalty;       /* [resource]: of passing a capacity by one, which happens in the middle of a move */
  gint64 *weighted;      /* [item x stride]: added to the excess of its host */
  gint64 *room;          /* [item x stride]: penalty x demand */
  gint64 *empty;         /* [host x stride]: overs of empty hosts */
  gint64 *item_cost;     /* [item]: of moving it at all */
  gint64 *all, *kept;    /* [stride] masks: every dimension; those that are not transient */
  gint64 *excess;        /* [host x stride]: of empty hosts */
  guint32 *member_row;   /* [group]: of PlanState.members; NO_ROW: its items cannot meet */
  guint32 *location_row; /* [group]: of PlanState.in_location; NO_ROW: it need not be spread */
  guint32 *near_row;     /* [group]: of PlanState.near; NO_ROW: it neither needs nor is needed */
  guint32 *wanted_start, *wanted; /* the groups that need this one */
  guint32 n_member_rows, n_location_rows, n_near_rows;
  guint32 *fit_start, *fit; /* [item], [n_items + 1]: hosts other than its first that could ever take it: fit[fit_start[i] .. fit_start[i + 1]) */
  guint64 *fits;            /* [item x words]: the same and its first, as sets. NULL, all three: too many to list */
} PlanTables;

typedef struct {
  const PlanTables *t;
  guint32 *at;          /* [item] */
  gint64 *over;         /* [host x stride]: penalty x (held - capacity) */
  gint64 *host_penalty; /* [host]: sum of its positive overs; 0: allowed */
  gint64 *away;         /* [item]: extra charge, in what counts against a limit, for being moved; see plan_state_thrift() */
  gint64 *excess;       /* [host x stride]: weighted */
  gint64 *host_cost;    /* [host]: sum of its positive excesses */
  guint32 *next, *prev; /* [item]: ring of the items of its host */
  guint32 *cursor;      /* [host]: some item there; NO_ROW: none */
  guint64 *members;     /* [row x words]: hosts with an item of the group */
  guint32 *in_location; /* [row x n_locations]: items there */
  guint32 *n_locations; /* [row] */
  guint32 *near;        /* [row x n_neighbourhoods]: items there */
  guint32 *moved;       /* [group] */
  guint32 *n_moved;     /* [n]: groups of which n items moved */
  guint32 most_moved;
  gint64 cost;          /* total */
  gint64 lacking;       /* needs that do not hold: (group, neighbourhood, needed group) */
  gint64 lack_price;    /* what one counts against a limit */
  bool lack_never;      /* none may come */
  gint64 penalty;       /* sum of host_penalty; 0: no capacity is passed */
} PlanState;

PlanTables *plan_tables_new(const PlanProblem *problem);
void plan_tables_free(PlanTables *tables);
PlanState *plan_state_new(const PlanTables *tables);
void plan_state_free(PlanState *state);
/* Takes an assignment over, whole; it keeps all rules but, perhaps, capacities and needs. */
void plan_state_set(PlanState *state, const guint32 *at);
/* A moved item is charged `rate` x (load weight) for each unit of transient resources that it holds twice: room for later moves is not wasted. */
void plan_state_thrift(PlanState *state, double rate);
/* Any move; whether it is allowed was asked before. `delta` is what was said of its cost. */
void plan_state_shift(PlanState *state, guint32 item, guint32 to, gint64 delta);
void plan_state_swap(PlanState *state, guint32 i, guint32 j, gint64 delta);

/* Cost with the price of what lacks. */
static inline gint64 plan_state_merit(const PlanState *s)
{
  return s->cost + s->lacking * s->lack_price;
}

/* ---- what a move breaks ---- */

/* Could the host ever take the item? What is transient stays held by those that are there at first, whoever leaves. */
static inline bool host_ever_fits(const PlanTables *t, guint32 item, guint32 host)
{
  return !t->fits || (t->fits[(gsize)item * t->words + host / 64] >> (host % 64) & 1);
}

static inline bool host_in_set(const PlanTables *t, guint32 item, guint32 host)
{
  const PlanProblem *p = t->problem;
  guint32 set = p->host_set ? p->host_set[item] : 0;
  return !set || host == p->initial[item] || (p->host_sets[(gsize)(set - 1) * t->words + host / 64] >> (host % 64) & 1);
}

static inline bool group_on_host(const PlanState *s, guint32 group, guint32 host)
{
  guint32 row = s->t->member_row[group];
  return row != NO_ROW && (s->members[(gsize)row * s->t->words + host / 64] >> (host % 64) & 1);
}

/* Is the group still in enough locations when one item goes from one host to the other? */
static inline bool stays_spread(const PlanState *s, guint32 group, guint32 from, guint32 to)
{
  const PlanProblem *p = s->t->problem;
  guint32 row = s->t->location_row[group], a = p->location[from], b = p->location[to];
  if (row == NO_ROW || a == b)
    return true;
  const guint32 *in = s->in_location + (gsize)row * p->n_locations;
  return s->n_locations[row] - (in[a] == 1) + (in[b] == 0) >= p->spread_min[group];
}

/* How many needs more come not to hold when an item of the group goes from neighbourhood a to b. */
static inline gint64 lack_of_going(const PlanState *s, guint32 group, guint32 a, guint32 b)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  guint32 n = p->n_neighbourhoods;
  const guint32 *own = s->near + (gsize)t->near_row[group] * n;
  gint64 change = 0;
  bool last = own[a] == 1, first = own[b] == 0;
  if (!last && !first)
    return 0;
  for (guint32 k = p->needs_start[group]; k < p->needs_start[group + 1]; k++) {
    const guint32 *needed = s->near + (gsize)t->near_row[p->needs[k]] * n;
    if (p->needs[k] != group)
      change += (first && needed[b] == 0) - (last && needed[a] == 0);
  }
  for (guint32 k = t->wanted_start[group]; k < t->wanted_start[group + 1]; k++) {
    const guint32 *wanting = s->near + (gsize)t->near_row[t->wanted[k]] * n;
    if (t->wanted[k] != group)
      change += (last && wanting[a] > 0) - (first && wanting[b] > 0);
  }
  return change;
}

static inline gint64 shift_lack(const PlanState *s, guint32 group, guint32 from, guint32 to)
{
  guint32 a = s->t->problem->neighbourhood[from], b = s->t->problem->neighbourhood[to];
  return s->t->near_row[group] == NO_ROW || a == b ? 0 : lack_of_going(s, group, a, b);
}

/* The same when one goes each way; the state is as before. */
static inline gint64 swap_lack(PlanState *s, guint32 gi, guint32 gj, guint32 hi, guint32 hj)
{
  guint32 a = s->t->problem->neighbourhood[hi], b = s->t->problem->neighbourhood[hj], row = s->t->near_row[gi];
  if (a == b || gi == gj)
    return 0;
  if (row == NO_ROW)
    return shift_lack(s, gj, hj, hi);
  gint64 change = lack_of_going(s, gi, a, b);
  guint32 *near = s->near + (gsize)row * s->t->problem->n_neighbourhoods;
  near[a]--, near[b]++;
  change += shift_lack(s, gj, hj, hi);
  near[a]++, near[b]--;
  return change;
}

/* Limit for the cost of what changes so many needs; false: it may not be at all. */
static inline bool limit_with_lack(const PlanState *s, gint64 lack, gint64 *limit)
{
  if (!lack)
    return true;
  *limit -= lack * s->lack_price;
  return lack < 0 || !s->lack_never;
}

/* All rules but capacities and needs. */
static inline bool shift_keeps_rules(const PlanState *s, guint32 item, guint32 to)
{
  guint32 group = s->t->problem->group[item], from = s->at[item];
  return !group_on_host(s, group, to) && host_in_set(s->t, item, to) && stays_spread(s, group, from, to);
}

static inline bool swap_keeps_rules(const PlanState *s, guint32 i, guint32 j)
{
  guint32 gi = s->t->problem->group[i], gj = s->t->problem->group[j], hi = s->at[i], hj = s->at[j];
  if (!host_in_set(s->t, i, hj) || !host_in_set(s->t, j, hi))
    return false;
  return gi == gj || (!group_on_host(s, gi, hj) && !group_on_host(s, gj, hi) && stays_spread(s, gi, hi, hj) && stays_spread(s, gj, hj, hi));
}

/* ---- what a move costs ---- */

/* Of having the item on this host instead of where it was at first. */
static inline gint64 move_cost(const PlanTables *t, guint32 item, guint32 host)
{
  const PlanProblem *p = t->problem;
  guint32 home = p->initial[item];
  if (host == home)
    return 0;
  return t->item_cost[item] + (p->between ? (gint64)p->host_weight * p->between[(gsize)home * p->n_hosts + host] : 0);
}

/* How many more (1: it went away; -1: it came back) of its group have moved once the item is on `to`. */
static inline int moved_change(const PlanState *s, guint32 item, guint32 to)
{
  guint32 home = s->t->problem->initial[item];
  return (int)(to != home) - (int)(s->at[item] != home);
}

/* Of the most moved group, when the numbers of two groups change by da and db (0: not at all). */
static inline gint64 group_cost(const PlanState *s, guint32 a, int da, guint32 b, int db)
{
  if (a == b) {
    da += db;
    db = 0;
  }
  if (!da && !db)
    return 0;
  guint32 most = s->most_moved;
  guint32 ma = (guint32)((int)s->moved[a] + da), mb = (guint32)((int)s->moved[b] + db), higher = MAX(da ? ma : 0, db ? mb : 0);
  gint64 weight = (gint64)s->t->problem->group_weight;
  if (higher > most)
    return weight * (gint64)(higher - most);
  guint32 leave = (da && s->moved[a] == most) + (db && s->moved[b] == most);
  if (leave && higher < most && s->n_moved[most] == leave) {
    /* The highest that is left: somebody at most - 1 at least, unless two steps were taken at once (items of one group that swap). */
    guint32 next = most - 1;
    while (next > higher && next > 0 && s->n_moved[next] == 0)
      next--;
    return -weight * (gint64)(most - MAX(next, higher));
  }
  return 0;
}

/* Change of the total cost by a shift that keeps the rules. false: there is no room for it, or it costs more than `limit` (against which the extra
 * charges count as well). */
static inline __attribute__((always_inline)) bool shift_cost(const PlanState *s, guint32 item, guint32 to, gint64 limit, gint64 *delta)
{
  const PlanTables *t = s->t;
  guint32 from = s->at[item], stride = t->stride, group = t->problem->group[item];
  const gint64 *d = t->room + (gsize)item * stride, *w = t->weighted + (gsize)item * stride;
  const gint64 *over = s->over + (gsize)to * stride, *comes = to == t->problem->initial[item] ? t->kept : t->all;
  const gint64 *ea = s->excess + (gsize)from * stride, *eb = s->excess + (gsize)to * stride;
  gint64 room = 0, sum = 0;
  for (guint32 k = 0; k < stride; k++) {
    gint64 a = ea[k] - w[k], b = eb[k] + w[k];
    room |= -(over[k] + (d[k] & comes[k]));
    sum += (a > 0 ? a : 0) + (b > 0 ? b : 0);
  }
  if (room < 0)
    return false;
  sum += move_cost(t, item, to) - move_cost(t, item, from) - s->host_cost[from] - s->host_cost[to];
  int change = moved_change(s, item, to);
  if (change)
    sum += group_cost(s, group, change, group, 0);
  *delta = sum;
  return sum + change * s->away[item] <= limit;
}

/* The same of a shift that may pass capacities; *penalty: the change of the penalty. */
static inline gint64 shift_change(const PlanState *s, guint32 item, guint32 to, gint64 *penalty)
{
  const PlanTables *t = s->t;
  guint32 from = s->at[item], stride = t->stride, group = t->problem->group[item], home = t->problem->initial[item];
  const gint64 *d = t->room + (gsize)item * stride, *w = t->weighted + (gsize)item * stride;
  const gint64 *oa = s->over + (gsize)from * stride, *ob = s->over + (gsize)to * stride;
  const gint64 *leaves = from == home ? t->kept : t->all, *comes = to == home ? t->kept : t->all;
  const gint64 *ea = s->excess + (gsize)from * stride, *eb = s->excess + (gsize)to * stride;
  gint64 over = 0, sum = 0;
  for (guint32 k = 0; k < stride; k++) {
    gint64 a = ea[k] - w[k], b = eb[k] + w[k], pa = oa[k] - (d[k] & leaves[k]), pb = ob[k] + (d[k] & comes[k]);
    sum += (a > 0 ? a : 0) + (b > 0 ? b : 0);
    over += (pa > 0 ? pa : 0) + (pb > 0 ? pb : 0);
  }
  *penalty = over - s->host_penalty[from] - s->host_penalty[to];
  sum += move_cost(t, item, to) - move_cost(t, item, from) - s->host_cost[from] - s->host_cost[to];
  int change = moved_change(s, item, to);
  return change ? sum + group_cost(s, group, change, group, 0) : sum;
}

static inline __attribute__((always_inline)) bool swap_cost(const PlanState *s, guint32 i, guint32 j, gint64 limit, gint64 *delta)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  guint32 hi = s->at[i], hj = s->at[j], stride = t->stride;
  const gint64 *di = t->room + (gsize)i * stride, *wi = t->weighted + (gsize)i * stride;
  const gint64 *dj = t->room + (gsize)j * stride, *wj = t->weighted + (gsize)j * stride;
  const gint64 *oi = s->over + (gsize)hi * stride, *oj = s->over + (gsize)hj * stride;
  const gint64 *ei = s->excess + (gsize)hi * stride, *ej = s->excess + (gsize)hj * stride;
  const gint64 *i_leaves = hi == p->initial[i] ? t->kept : t->all, *i_comes = hj == p->initial[i] ? t->kept : t->all;
  const gint64 *j_leaves = hj == p->initial[j] ? t->kept : t->all, *j_comes = hi == p->initial[j] ? t->kept : t->all;
  gint64 room = 0, sum = 0;
  for (guint32 k = 0; k < stride; k++) {
    room |= -(oi[k] - (di[k] & i_leaves[k]) + (dj[k] & j_comes[k]));
    room |= -(oj[k] - (dj[k] & j_leaves[k]) + (di[k] & i_comes[k]));
    gint64 change = wj[k] - wi[k], a = ei[k] + change, b = ej[k] - change;
    sum += (a > 0 ? a : 0) + (b > 0 ? b : 0);
  }
  if (room < 0)
    return false;
  sum += move_cost(t, i, hj) - move_cost(t, i, hi) + move_cost(t, j, hi) - move_cost(t, j, hj) - s->host_cost[hi] - s->host_cost[hj];
  int ci = moved_change(s, i, hj), cj = moved_change(s, j, hi);
  if (ci || cj)
    sum += group_cost(s, p->group[i], ci, p->group[j], cj);
  *delta = sum;
  return sum + ci * s->away[i] + cj * s->away[j] <= limit;
}
