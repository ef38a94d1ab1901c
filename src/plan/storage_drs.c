// SPDX-License-Identifier: Apache-2.0
/* Storage DRS: the search. See storage_drs.h. */
#include "plan/storage_drs.h"
#include <math.h>

#define LEAST_BYTES ((gint64)1 << 20) /* frees less: not worth a task */
#define COPIED_MAX  2                 /* bytes copied for one that is freed */

typedef struct {
  const PlanStorageDrs *problem;
  const PlanStorageDrsOptions *options;
  gint64 *used, *promised; /* by pool, as it is planned up to now; used: without what is on its way */
  guint32 *at;             /* by disk */
  bool *barred;            /* by pool: above the threshold at the beginning of this pass */
} State;

/* A disk that could leave, and where to. */
typedef struct {
  guint32 disk, to;
  guint pass;
} Choice;

double plan_storage_drs_space(const PlanStorageDrsPool *pool, bool in_an_hour)
{
  gint64 bytes = pool->used_bytes + (in_an_hour ? pool->growth_bytes : 0);
  return pool->capacity_bytes > 0 ? 100 * (double)bytes / (double)pool->capacity_bytes : 0;
}

bool plan_storage_drs_is_full(const PlanStorageDrsPool *pool, const PlanStorageDrsOptions *options)
{
  return plan_storage_drs_space(pool, false) > options->space_percent;
}

const char *plan_storage_drs_pinned(const PlanStorageDrsDisk *disk)
{
  if (disk->pinned)
    return disk->pinned;
  if (disk->frees_bytes < LEAST_BYTES)
    return "moving it frees next to nothing";
  return disk->takes_bytes / COPIED_MAX > disk->frees_bytes
             ? "it shares its blocks with its parent: a copy would take much more than it frees"
             : NULL;
}

/* ---- room ---- */

static gint64 goal_bytes(const State *s, guint32 pool)
{
  double percent = s->options->space_percent, band = fmin(PLAN_STORAGE_DRS_BAND, percent / 2);
  return (gint64)((double)s->problem->pools[pool].capacity_bytes * (percent - band) / 100);
}

static double percent_of(const State *s, guint32 pool, gint64 bytes)
{
  return 100 * (double)bytes / (double)s->problem->pools[pool].capacity_bytes;
}

/* What keeps the disk out of the pool. NULL: nothing. */
static const char *refusal(const State *s, const PlanStorageDrsDisk *disk, guint32 to)
{
  const PlanStorageDrsPool *pool = &s->problem->pools[to];
  const char *reach =
      s->problem->reach ? s->problem->reach[(gsize)disk->reach * s->problem->n_pools + to] : NULL;
  if (!pool->takes || pool->capacity_bytes <= 0)
    return "it is not in service";
  if (reach)
    return reach;
  if (s->barred[to] ||
      s->used[to] + pool->growth_bytes + pool->coming_bytes + disk->takes_bytes > goal_bytes(s, to))
    return "it would be too full itself";
  if (pool->promise_limit_bytes && s->promised[to] + disk->size_bytes > pool->promise_limit_bytes)
    return "its volumes would be promised more than its overcommit ratio allows";
  return NULL;
}

/* The emptiest afterwards. G_MAXUINT32: none. */
static guint32 best_target(const State *s, const PlanStorageDrsDisk *disk)
{
  guint32 best = G_MAXUINT32;
  double least = 0;
  for (guint32 to = 0; to < s->problem->n_pools; to++) {
    if (to == disk->pool || refusal(s, disk, to))
      continue;
    double after = percent_of(s, to,
                              s->used[to] + s->problem->pools[to].growth_bytes +
                                  s->problem->pools[to].coming_bytes + disk->takes_bytes);
    if (best == G_MAXUINT32 || after < least)
      best = to, least = after;
  }
  return best;
}

static void put(State *s, guint32 disk, guint32 to, gint64 sign)
{
  const PlanStorageDrsDisk *d = &s->problem->disks[disk];
  s->used[d->pool] -= sign * d->frees_bytes;
  s->promised[d->pool] -= sign * d->size_bytes;
  s->used[to] += sign * d->takes_bytes;
  s->promised[to] += sign * d->size_bytes;
  s->at[disk] = sign > 0 ? to : d->pool;
}

/* ---- which disks of one pool ---- */

static gint largest_first(gconstpointer a, gconstpointer b, gpointer problem)
{
  const PlanStorageDrsDisk *disks = ((const PlanStorageDrs *)problem)->disks;
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  gint64 p = disks[x].frees_bytes, q = disks[y].frees_bytes;
  return p != q ? (p < q ? 1 : -1) : x < y ? -1 : x > y;
}

static gint cheapest_first(gconstpointer a, gconstpointer b, gpointer problem)
{
  const PlanStorageDrsDisk *disks = ((const PlanStorageDrs *)problem)->disks;
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  gint64 p = disks[x].takes_bytes, q = disks[y].takes_bytes;
  return p != q ? (p < q ? -1 : 1) : x < y ? -1 : x > y;
}

static GArray *leavers(const State *s, guint32 pool, GCompareDataFunc order)
{
  GArray *found = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (guint32 i = 0; i < s->problem->n_disks; i++)
    if (s->at[i] == pool && s->problem->disks[i].pool == pool &&
        !plan_storage_drs_pinned(&s->problem->disks[i]))
      g_array_append_val(found, i);
  g_array_sort_with_data(found, order, (gpointer)s->problem);
  return found;
}

/* The cheapest one that frees all of `need` alone. */
static Choice cover(const State *s, const GArray *by_cost, guint32 pool, gint64 need)
{
  for (guint i = 0; i < by_cost->len; i++) {
    guint32 disk = g_array_index(by_cost, guint32, i);
    if (s->at[disk] != pool || s->problem->disks[disk].frees_bytes < need)
      continue;
    guint32 to = best_target(s, &s->problem->disks[disk]);
    if (to != G_MAXUINT32)
      return (Choice){disk, to, 0};
  }
  return (Choice){G_MAXUINT32, G_MAXUINT32, 0};
}

/* Chooses: after each prefix of the largest disks that do not overshoot, could one cover the rest, and for
 * how many bytes? Leaves them put. */
static void relieve(State *s, guint32 pool, guint limit, GArray *chosen)
{
  g_autoptr(GArray) by_size = leavers(s, pool, largest_first), by_cost = leavers(s, pool, cheapest_first),
                    taken = g_array_new(FALSE, FALSE, sizeof(Choice));
  gint64 need = s->used[pool] + s->problem->pools[pool].growth_bytes - goal_bytes(s, pool), bytes = 0,
         least = G_MAXINT64;
  guint best_prefix = 0;
  Choice best_cover = {G_MAXUINT32, G_MAXUINT32, 0};
  for (guint i = 0; need > 0 && taken->len < limit; i++) {
    Choice last = cover(s, by_cost, pool, need);
    if (last.disk != G_MAXUINT32 && bytes + s->problem->disks[last.disk].takes_bytes < least) {
      least = bytes + s->problem->disks[last.disk].takes_bytes;
      best_prefix = taken->len;
      best_cover = last;
    }
    guint32 to = G_MAXUINT32;
    for (; i < by_size->len; i++) {
      guint32 disk = g_array_index(by_size, guint32, i);
      to = s->problem->disks[disk].frees_bytes <= need ? best_target(s, &s->problem->disks[disk])
                                                       : G_MAXUINT32;
      if (to != G_MAXUINT32)
        break;
    }
    if (i >= by_size->len)
      break;
    Choice next = {g_array_index(by_size, guint32, i), to, 0};
    put(s, next.disk, to, 1);
    g_array_append_val(taken, next);
    need -= s->problem->disks[next.disk].frees_bytes;
    bytes += s->problem->disks[next.disk].takes_bytes;
  }
  bool whole = need <= 0 && bytes <= least; /* the prefix alone did it */
  guint keep = whole || best_cover.disk == G_MAXUINT32 ? taken->len : best_prefix;
  for (guint i = taken->len; i-- > keep;)
    put(s, g_array_index(taken, Choice, i).disk, g_array_index(taken, Choice, i).to, -1);
  g_array_append_vals(chosen, taken->data, keep);
  if (!whole && best_cover.disk != G_MAXUINT32) {
    put(s, best_cover.disk, best_cover.to, 1);
    g_array_append_val(chosen, best_cover);
  }
}

/* ---- from choices to moves ---- */

static gint best_first(gconstpointer a, gconstpointer b)
{
  const PlanStorageDrsAlternative *x = a, *y = b;
  if (!x->refused != !y->refused)
    return x->refused ? 1 : -1;
  if (!x->refused && x->space_after != y->space_after)
    return x->space_after < y->space_after ? -1 : 1;
  return x->pool < y->pool ? -1 : x->pool > y->pool;
}

static void add_alternatives(const State *s, PlanStorageDrsMove *move)
{
  const PlanStorageDrsDisk *disk = &s->problem->disks[move->disk];
  g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(PlanStorageDrsAlternative));
  for (guint32 to = 0; to < s->problem->n_pools; to++) {
    PlanStorageDrsAlternative one = {.pool = to};
    if (to == move->from || to == move->to)
      continue;
    one.refused = refusal(s, disk, to);
    one.space_after = one.refused ? 0 : percent_of(s, to, s->used[to] + disk->takes_bytes);
    g_array_append_val(all, one);
  }
  g_array_sort(all, best_first);
  move->n_alternatives = MIN(all->len, PLAN_STORAGE_DRS_ALTERNATIVES);
  for (guint i = 0; i < move->n_alternatives; i++)
    move->alternatives[i] = g_array_index(all, PlanStorageDrsAlternative, i);
}

/* Disks of one VM in turn; what goes to a pool that had to be relieved first, after all that relieves. */
static guint wave_of(const State *s, const GArray *chosen, const GArray *moves, const Choice *choice)
{
  guint base = 0, in_turn = 0;
  for (guint i = 0; i < moves->len; i++) {
    const PlanStorageDrsMove *move = &g_array_index(moves, PlanStorageDrsMove, i);
    if (g_array_index(chosen, Choice, i).pass < choice->pass)
      base = MAX(base, move->wave + 1);
    else
      in_turn += s->problem->disks[move->disk].vm == s->problem->disks[choice->disk].vm;
  }
  return base + in_turn;
}

static gint cheaper_choice(gconstpointer a, gconstpointer b, gpointer problem)
{
  guint p = ((const Choice *)a)->pass, q = ((const Choice *)b)->pass;
  return p != q ? (p < q ? -1 : 1)
                : cheapest_first(&((const Choice *)a)->disk, &((const Choice *)b)->disk, problem);
}

/* In the order in which they will be done, each with the figures at its time. */
static void write_moves(State *s, GArray *chosen, GArray *moves)
{
  for (guint i = 0; i < chosen->len; i++)
    put(s, g_array_index(chosen, Choice, i).disk, g_array_index(chosen, Choice, i).to, -1);
  g_array_sort_with_data(chosen, cheaper_choice, (gpointer)s->problem);
  for (guint i = 0; i < chosen->len; i++) {
    const Choice *c = &g_array_index(chosen, Choice, i);
    guint32 from = s->problem->disks[c->disk].pool;
    PlanStorageDrsMove move = {.disk = c->disk,
                               .from = from,
                               .to = c->to,
                               .wave = wave_of(s, chosen, moves, c),
                               .from_before = percent_of(s, from, s->used[from]),
                               .to_before = percent_of(s, c->to, s->used[c->to])};
    add_alternatives(s, &move);
    put(s, c->disk, c->to, 1);
    move.from_after = percent_of(s, from, s->used[from]);
    move.to_after = percent_of(s, c->to, s->used[c->to]);
    g_array_append_val(moves, move);
  }
}

/* ---- the doors ---- */

static gint fullest_first(gconstpointer a, gconstpointer b, gpointer problem)
{
  const PlanStorageDrsPool *pools = ((const PlanStorageDrs *)problem)->pools;
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  double p = plan_storage_drs_space(&pools[x], false), q = plan_storage_drs_space(&pools[y], false);
  return p != q ? (p < q ? 1 : -1) : x < y ? -1 : x > y;
}

static GArray *full_pools(const PlanStorageDrs *problem, const PlanStorageDrsOptions *options)
{
  GArray *found = g_array_new(FALSE, FALSE, sizeof(guint32));
  for (guint32 i = 0; i < problem->n_pools; i++) {
    const PlanStorageDrsPool *pool = &problem->pools[i];
    if (pool->leaves && pool->capacity_bytes > 0 && plan_storage_drs_is_full(pool, options) &&
        pool->full_s >= options->duration_s)
      g_array_append_val(found, i);
  }
  g_array_sort_with_data(found, fullest_first, (gpointer)problem);
  return found;
}

static State state_new(const PlanStorageDrs *problem, const PlanStorageDrsOptions *options)
{
  State s = {problem,
             options,
             g_new(gint64, problem->n_pools + 1),
             g_new(gint64, problem->n_pools + 1),
             g_new(guint32, problem->n_disks + 1),
             g_new0(bool, problem->n_pools + 1)};
  for (guint32 i = 0; i < problem->n_pools; i++) {
    s.used[i] = problem->pools[i].used_bytes;
    s.promised[i] = problem->pools[i].promised_bytes;
  }
  for (guint32 i = 0; i < problem->n_disks; i++)
    s.at[i] = problem->disks[i].pool;
  return s;
}

static bool is_still_full(const State *s, guint32 pool)
{
  return s->problem->pools[pool].capacity_bytes > 0 &&
         percent_of(s, pool, s->used[pool]) > s->options->space_percent;
}

/* A pool that is above the threshold takes nothing, though it may be relieved by this very plan: what comes
 * might come before what leaves has left. In the next pass it may, for those that found no room before.
 * False: nothing was found. */
static bool one_pass(State *s, const GArray *full, guint pass, guint limit, GArray *chosen)
{
  guint before = chosen->len;
  for (guint32 i = 0; i < s->problem->n_pools; i++)
    s->barred[i] = is_still_full(s, i);
  for (guint i = 0; i < full->len && chosen->len < limit; i++)
    if (is_still_full(s, g_array_index(full, guint32, i)))
      relieve(s, g_array_index(full, guint32, i), limit - chosen->len, chosen);
  for (guint i = before; i < chosen->len; i++)
    g_array_index(chosen, Choice, i).pass = pass;
  return chosen->len > before && chosen->len < limit;
}

void plan_storage_drs(const PlanStorageDrs *problem, const PlanStorageDrsOptions *options,
                      PlanStorageDrsResult *result)
{
  State s = state_new(problem, options);
  guint limit = options->max_moves ? options->max_moves : PLAN_STORAGE_DRS_MOVES_MAX;
  g_autoptr(GArray) full = full_pools(problem, options), chosen = g_array_new(FALSE, FALSE, sizeof(Choice));
  *result = (PlanStorageDrsResult){g_array_new(FALSE, FALSE, sizeof(PlanStorageDrsMove)),
                                   g_array_new(FALSE, FALSE, sizeof(guint32))};
  for (guint pass = 0; one_pass(&s, full, pass, limit, chosen); pass++)
    ;
  for (guint i = 0; i < full->len && chosen->len < limit; i++)
    if (is_still_full(&s, g_array_index(full, guint32, i)))
      g_array_append_val(result->stuck, g_array_index(full, guint32, i));
  write_moves(&s, chosen, result->moves);
  g_free(s.used);
  g_free(s.promised);
  g_free(s.at);
  g_free(s.barred);
}

void plan_storage_drs_result_clear(PlanStorageDrsResult *result)
{
  g_clear_pointer(&result->moves, g_array_unref);
  g_clear_pointer(&result->stuck, g_array_unref);
}
