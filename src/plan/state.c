// SPDX-License-Identifier: Apache-2.0
/* Building and changing an assignment. See state-private.h. */
#include "plan/state-private.h"
#include <string.h>

#define VECTOR 4 /* numbers of 64 bits in the widest vectors in use */

/* Rows lie apart by whole cache lines as far as their length allows. */
static gint64 *rows_new(gsize n, guint32 stride)
{
  return g_aligned_alloc0(MAX(n * stride, 1), sizeof(gint64), 64);
}

/* ---- tables ---- */

static void fill_items(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  for (gsize i = 0; i < p->n_items; i++) {
    const guint32 *demand = p->demand + i * p->n_resources;
    gint64 *d = t->room + i * t->stride, *w = t->weighted + i * t->stride;
    for (guint32 r = 0; r < p->n_resources; r++) {
      d[r] = t->penalty[r] * demand[r];
      w[r] = (gint64)p->load_weight[r] * demand[r];
    }
    for (guint32 b = 0; b < p->n_balances; b++) {
      const PlanBalance *balance = &p->balances[b];
      w[p->n_resources + b] = (gint64)balance->weight * ((gint64)demand[balance->b] - (gint64)balance->target * demand[balance->a]);
    }
    t->item_cost[i] = (gint64)p->item_weight * p->move_cost[i];
  }
}

static void fill_hosts(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  for (gsize h = 0; h < p->n_hosts; h++) {
    const gint64 *capacity = p->capacity + h * p->n_resources, *safety = p->safety + h * p->n_resources;
    gint64 *empty = t->empty + h * t->stride, *excess = t->excess + h * t->stride;
    for (guint32 r = 0; r < p->n_resources; r++) {
      empty[r] = -t->penalty[r] * capacity[r];
      excess[r] = -(gint64)p->load_weight[r] * safety[r];
    }
    for (guint32 b = 0; b < p->n_balances; b++) {
      const PlanBalance *balance = &p->balances[b];
      excess[p->n_resources + b] = (gint64)balance->weight * ((gint64)balance->target * capacity[balance->a] - capacity[balance->b]);
    }
  }
}

static void fill_masks(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  for (guint32 k = 0; k < t->stride; k++) {
    t->all[k] = -1;
    t->kept[k] = k < p->n_resources && p->transient[k] ? 0 : -1;
  }
}

/* Which groups need one, from which groups one needs. */
static void turn_needs(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  guint32 n = p->needs_start[p->n_groups];
  t->wanted_start = g_new0(guint32, (gsize)p->n_groups + 2);
  t->wanted = g_new(guint32, (gsize)n + 1);
  for (guint32 k = 0; k < n; k++)
    t->wanted_start[p->needs[k] + 2]++;
  for (guint32 g = 2; g <= p->n_groups; g++)
    t->wanted_start[g] += t->wanted_start[g - 1];
  for (guint32 g = 0; g < p->n_groups; g++)
    for (guint32 k = p->needs_start[g]; k < p->needs_start[g + 1]; k++)
      t->wanted[t->wanted_start[p->needs[k] + 1]++] = g;
}

static void fill_groups(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  g_autofree guint32 *n_items = g_new0(guint32, (gsize)p->n_groups + 1);
  for (guint32 i = 0; i < p->n_items; i++)
    n_items[p->group[i]]++;
  for (guint32 g = 0; g < p->n_groups; g++) {
    bool linked = p->needs_start[g] < p->needs_start[g + 1] || t->wanted_start[g] < t->wanted_start[g + 1];
    t->member_row[g] = n_items[g] > 1 ? t->n_member_rows++ : NO_ROW;
    t->location_row[g] = p->spread_min[g] > 1 ? t->n_location_rows++ : NO_ROW;
    t->near_row[g] = linked ? t->n_near_rows++ : NO_ROW;
  }
}

#define STRICTNESS 5 /* passing a capacity is so much worse than passing a safety capacity */

/* Lowered where the sum of all penalties would not stay below 2^62: on each host all items and its capacity. */
static void fill_penalties(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  double sum = 1;
  for (guint32 r = 0; r < p->n_resources; r++) {
    double used = 0, room = 0;
    for (gsize i = 0; i < p->n_items; i++)
      used += p->demand[i * p->n_resources + r];
    for (gsize h = 0; h < p->n_hosts; h++)
      room = MAX(room, (double)p->capacity[h * p->n_resources + r]);
    sum += (double)MAX(p->load_weight[r], 1) * (2 * used + room);
  }
  double factor = MIN(STRICTNESS, 0x1p60 / sum);
  for (guint32 r = 0; r < p->n_resources; r++)
    t->penalty[r] = MAX((gint64)(factor * (double)MAX(p->load_weight[r], 1)), 1);
}

/* ---- hosts that could ever take an item ---- */

#define PAIRS_MAX 4000000 /* items x hosts up to which they are listed; of more, each item is small beside most hosts */

/* Room of each host for newcomers at its best: all else gone, but for what stays held. */
static gint64 *room_at_best(const PlanProblem *p)
{
  gsize n = (gsize)p->n_hosts * p->n_resources;
  gint64 *room = g_memdup2(p->capacity, n * sizeof *room);
  for (gsize i = 0; i < p->n_items; i++)
    for (guint32 r = 0; r < p->n_resources; r++)
      if (p->transient[r])
        room[(gsize)p->initial[i] * p->n_resources + r] -= p->demand[i * p->n_resources + r];
  return room;
}

static bool could_take(const PlanTables *t, const gint64 *room, guint32 item, guint32 host)
{
  const PlanProblem *p = t->problem;
  const guint32 *demand = p->demand + (gsize)item * p->n_resources;
  room += (gsize)host * p->n_resources;
  for (guint32 r = 0; r < p->n_resources; r++)
    if (demand[r] > room[r])
      return false;
  return host_in_set(t, item, host);
}

static void fill_fits(PlanTables *t)
{
  const PlanProblem *p = t->problem;
  if ((guint64)p->n_items * p->n_hosts > PAIRS_MAX)
    return;
  g_autofree gint64 *room = room_at_best(p);
  GArray *fit = g_array_new(FALSE, FALSE, sizeof(guint32));
  t->fit_start = g_new0(guint32, (gsize)p->n_items + 1);
  t->fits = g_new0(guint64, (gsize)p->n_items * t->words + 1);
  for (guint32 i = 0; i < p->n_items; i++) {
    for (guint32 h = 0; h < p->n_hosts; h++) {
      bool home = h == p->initial[i];
      if (!home && !could_take(t, room, i, h))
        continue;
      t->fits[(gsize)i * t->words + h / 64] |= (guint64)1 << (h % 64);
      if (!home)
        g_array_append_val(fit, h);
    }
    t->fit_start[i + 1] = fit->len;
  }
  t->fit = (guint32 *)(void *)g_array_free(fit, FALSE);
}

PlanTables *plan_tables_new(const PlanProblem *p)
{
  PlanTables *t = g_new0(PlanTables, 1);
  t->problem = p;
  t->stride = MAX((p->n_resources + p->n_balances + VECTOR - 1) / VECTOR * VECTOR, VECTOR);
  t->words = (p->n_hosts + 63) / 64;
  t->penalty = rows_new(1, MAX(p->n_resources, 1));
  t->room = rows_new(p->n_items, t->stride);
  t->empty = rows_new(p->n_hosts, t->stride);
  t->weighted = rows_new(p->n_items, t->stride);
  t->item_cost = g_new0(gint64, (gsize)p->n_items + 1);
  t->all = rows_new(1, t->stride);
  t->kept = rows_new(1, t->stride);
  t->excess = rows_new(p->n_hosts, t->stride);
  t->member_row = g_new(guint32, (gsize)p->n_groups + 1);
  t->location_row = g_new(guint32, (gsize)p->n_groups + 1);
  t->near_row = g_new(guint32, (gsize)p->n_groups + 1);
  fill_penalties(t);
  fill_items(t);
  fill_hosts(t);
  fill_masks(t);
  turn_needs(t);
  fill_groups(t);
  fill_fits(t);
  return t;
}

void plan_tables_free(PlanTables *t)
{
  if (!t)
    return;
  gint64 *rows[] = {t->penalty, t->room, t->empty, t->weighted, t->all, t->kept, t->excess};
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    g_aligned_free(rows[i]);
  void *arrays[] = {t->item_cost, t->member_row, t->location_row, t->near_row, t->wanted_start, t->wanted, t->fit_start, t->fit, t->fits};
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_free(arrays[i]);
  g_free(t);
}

/* ---- states ---- */

PlanState *plan_state_new(const PlanTables *t)
{
  const PlanProblem *p = t->problem;
  PlanState *s = g_new0(PlanState, 1);
  s->t = t;
  s->at = g_new(guint32, (gsize)p->n_items + 1);
  s->over = rows_new(p->n_hosts, t->stride);
  s->away = g_new0(gint64, (gsize)p->n_items + 1);
  s->host_penalty = g_new(gint64, (gsize)p->n_hosts + 1);
  s->excess = rows_new(p->n_hosts, t->stride);
  s->host_cost = g_new(gint64, (gsize)p->n_hosts + 1);
  s->next = g_new(guint32, (gsize)p->n_items + 1);
  s->prev = g_new(guint32, (gsize)p->n_items + 1);
  s->cursor = g_new(guint32, (gsize)p->n_hosts + 1);
  s->members = g_new(guint64, (gsize)t->n_member_rows * t->words + 1);
  s->in_location = g_new(guint32, (gsize)t->n_location_rows * p->n_locations + 1);
  s->n_locations = g_new(guint32, (gsize)t->n_location_rows + 1);
  s->near = g_new(guint32, (gsize)t->n_near_rows * p->n_neighbourhoods + 1);
  s->moved = g_new(guint32, (gsize)p->n_groups + 1);
  s->n_moved = g_new(guint32, (gsize)p->n_items + 2);
  return s;
}

void plan_state_free(PlanState *s)
{
  if (!s)
    return;
  g_aligned_free(s->over);
  g_aligned_free(s->excess);
  void *arrays[] = {s->at, s->next, s->prev, s->cursor, s->away, s->host_penalty, s->host_cost, s->members, s->in_location, s->n_locations, s->near, s->moved, s->n_moved};
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_free(arrays[i]);
  g_free(s);
}

static gint64 positive_sum(const gint64 *row, guint32 n)
{
  gint64 sum = 0;
  for (guint32 k = 0; k < n; k++)
    sum += row[k] > 0 ? row[k] : 0;
  return sum;
}

static void sum_host(PlanState *s, guint32 host)
{
  guint32 stride = s->t->stride;
  s->host_cost[host] = positive_sum(s->excess + (gsize)host * stride, stride);
  s->penalty -= s->host_penalty[host];
  s->host_penalty[host] = positive_sum(s->over + (gsize)host * stride, stride);
  s->penalty += s->host_penalty[host];
}

/* Adds (sign 1) or takes (-1) an item to or from a host's excess and room. */
static void put(PlanState *s, guint32 item, guint32 host, int sign, const gint64 *mask)
{
  guint32 stride = s->t->stride;
  const gint64 *d = s->t->room + (gsize)item * stride, *w = s->t->weighted + (gsize)item * stride;
  gint64 *over = s->over + (gsize)host * stride, *excess = s->excess + (gsize)host * stride;
  for (guint32 k = 0; k < stride; k++) {
    over[k] += sign * (d[k] & mask[k]);
    excess[k] += sign * w[k];
  }
}

static void join_ring(PlanState *s, guint32 item, guint32 host)
{
  guint32 c = s->cursor[host];
  if (c == NO_ROW) {
    s->next[item] = s->prev[item] = s->cursor[host] = item;
    return;
  }
  s->next[item] = c;
  s->prev[item] = s->prev[c];
  s->next[s->prev[c]] = item;
  s->prev[c] = item;
}

static void leave_ring(PlanState *s, guint32 item, guint32 host)
{
  guint32 next = s->next[item];
  if (s->cursor[host] == item)
    s->cursor[host] = next == item ? NO_ROW : next;
  s->next[s->prev[item]] = next;
  s->prev[next] = s->prev[item];
}

static gint64 count_lacking(const PlanState *s)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  gint64 n = 0;
  for (guint32 g = 0; g < p->n_groups; g++)
    for (guint32 k = p->needs_start[g]; k < p->needs_start[g + 1]; k++)
      for (guint32 a = 0; p->needs[k] != g && a < p->n_neighbourhoods; a++)
        n += s->near[(gsize)t->near_row[g] * p->n_neighbourhoods + a] > 0 && s->near[(gsize)t->near_row[p->needs[k]] * p->n_neighbourhoods + a] == 0;
  return n;
}

static void count_groups(PlanState *s)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  memset(s->members, 0, (gsize)t->n_member_rows * t->words * sizeof *s->members);
  memset(s->in_location, 0, (gsize)t->n_location_rows * p->n_locations * sizeof *s->in_location);
  memset(s->n_locations, 0, t->n_location_rows * sizeof *s->n_locations);
  memset(s->near, 0, (gsize)t->n_near_rows * p->n_neighbourhoods * sizeof *s->near);
  memset(s->moved, 0, p->n_groups * sizeof *s->moved);
  memset(s->n_moved, 0, ((gsize)p->n_items + 2) * sizeof *s->n_moved);
  for (gsize i = 0; i < p->n_items; i++) {
    guint32 g = p->group[i], host = s->at[i], row = t->location_row[g];
    if (t->member_row[g] != NO_ROW)
      s->members[(gsize)t->member_row[g] * t->words + host / 64] |= (guint64)1 << (host % 64);
    if (row != NO_ROW && s->in_location[(gsize)row * p->n_locations + p->location[host]]++ == 0)
      s->n_locations[row]++;
    if (t->near_row[g] != NO_ROW)
      s->near[(gsize)t->near_row[g] * p->n_neighbourhoods + p->neighbourhood[host]]++;
    s->moved[g] += host != p->initial[i];
  }
  s->most_moved = 0;
  s->lacking = count_lacking(s);
  for (guint32 g = 0; g < p->n_groups; g++) {
    s->n_moved[s->moved[g]]++;
    s->most_moved = MAX(s->most_moved, s->moved[g]);
  }
}

void plan_state_set(PlanState *s, const guint32 *at)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  if (at != s->at)
    memcpy(s->at, at, p->n_items * sizeof *at);
  memcpy(s->excess, t->excess, (gsize)p->n_hosts * t->stride * sizeof(gint64));
  memcpy(s->over, t->empty, (gsize)p->n_hosts * t->stride * sizeof(gint64));
  s->cost = s->penalty = 0;
  memset(s->cursor, 0xff, p->n_hosts * sizeof *s->cursor);
  memset(s->host_penalty, 0, p->n_hosts * sizeof *s->host_penalty);
  for (guint32 i = 0; i < p->n_items; i++) {
    put(s, i, at[i], 1, t->all);
    join_ring(s, i, at[i]);
    if (at[i] != p->initial[i]) { /* what it left is held there still, as far as it is transient */
      const gint64 *d = s->t->room + (gsize)i * t->stride;
      gint64 *over = s->over + (gsize)p->initial[i] * t->stride;
      for (guint32 k = 0; k < t->stride; k++)
        over[k] += d[k] & ~t->kept[k];
    }
    s->cost += move_cost(t, i, at[i]);
  }
  for (guint32 h = 0; h < p->n_hosts; h++) {
    sum_host(s, h);
    s->cost += s->host_cost[h];
  }
  count_groups(s);
  s->cost += (gint64)p->group_weight * s->most_moved;
}

void plan_state_thrift(PlanState *s, double rate)
{
  const PlanProblem *p = s->t->problem;
  for (gsize i = 0; i < p->n_items; i++) {
    double held = 0;
    for (guint32 r = 0; r < p->n_resources; r++)
      held += p->transient[r] ? (double)p->load_weight[r] * p->demand[i * p->n_resources + r] : 0;
    s->away[i] = (gint64)(rate * held);
  }
}

static void move_in_groups(PlanState *s, guint32 g, guint32 from, guint32 to)
{
  const PlanTables *t = s->t;
  const PlanProblem *p = t->problem;
  if (t->member_row[g] != NO_ROW) {
    guint64 *members = s->members + (gsize)t->member_row[g] * t->words;
    members[from / 64] &= ~((guint64)1 << (from % 64));
    members[to / 64] |= (guint64)1 << (to % 64);
  }
  if (t->location_row[g] != NO_ROW) {
    guint32 *in = s->in_location + (gsize)t->location_row[g] * p->n_locations, *n = &s->n_locations[t->location_row[g]];
    *n -= --in[p->location[from]] == 0;
    *n += in[p->location[to]]++ == 0;
  }
  if (t->near_row[g] != NO_ROW) {
    guint32 *near = s->near + (gsize)t->near_row[g] * p->n_neighbourhoods;
    s->lacking += shift_lack(s, g, from, to);
    near[p->neighbourhood[from]]--;
    near[p->neighbourhood[to]]++;
  }
}

/* All of a shift but for the group's places. */
static void relocate(PlanState *s, guint32 item, guint32 to)
{
  const PlanTables *t = s->t;
  guint32 from = s->at[item], g = t->problem->group[item], home = t->problem->initial[item];
  int change = moved_change(s, item, to);
  put(s, item, from, -1, from == home ? t->kept : t->all);
  put(s, item, to, 1, to == home ? t->kept : t->all);
  if (change) {
    s->n_moved[s->moved[g]]--;
    s->moved[g] = (guint32)((int)s->moved[g] + change);
    s->n_moved[s->moved[g]]++;
    s->most_moved = MAX(s->most_moved, s->moved[g]);
    while (s->most_moved && !s->n_moved[s->most_moved])
      s->most_moved--;
  }
  leave_ring(s, item, from);
  join_ring(s, item, to);
  s->at[item] = to;
}

void plan_state_shift(PlanState *s, guint32 item, guint32 to, gint64 delta)
{
  guint32 from = s->at[item];
  relocate(s, item, to);
  move_in_groups(s, s->t->problem->group[item], from, to);
  sum_host(s, from);
  sum_host(s, to);
  s->cost += delta;
}

void plan_state_swap(PlanState *s, guint32 i, guint32 j, gint64 delta)
{
  const guint32 *group = s->t->problem->group;
  guint32 hi = s->at[i], hj = s->at[j];
  relocate(s, i, hj);
  relocate(s, j, hi);
  if (group[i] != group[j]) { /* else the group is where it was */
    move_in_groups(s, group[i], hi, hj);
    move_in_groups(s, group[j], hj, hi);
  }
  sum_host(s, hi);
  sum_host(s, hj);
  s->cost += delta;
}
