// SPDX-License-Identifier: Apache-2.0
/* The search. See solve.h.
 *
 * Each thread anneals a state of its own with its own random numbers, cooled by the share of the budget that is spent, from a temperature at which large
 * items still change places to one at which only small ones do, with a descent before and after. Then it takes few hosts at a time and anneals what is on
 * them, over and over, all threads from the cheapest that any of them has by then. The cheapest result wins. With a long budget the
 * cooling takes nine tenths of it. (Threads that deal the hosts out among them and work on one assignment were tried: what groups need in their
 * neighbourhoods leaves each too little to do.) */
#include "plan/solve.h"
#include "base/error.h"
#include "plan/anneal-private.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH       1000 /* steps between looks at the budget */
#define HOT         20   /* first and last temperature, in units of cost / items at the beginning */
#define COLD        1e-2
#define FIRST       0.02 /* up to here, and from LAST on, only what costs nothing more: whoever stops early has something, and nothing is left undone */
#define LAST        0.97
#define THRIFT      0.15 /* see plan_state_thrift(); a third of it is left when all is cold, and falls to nothing in the zoom */
#define N_UPDATES   24   /* of the thrift, in a cooling, */
#define ZOOM_UPDATES 16  /* in the zoom */
#define EJECTIONS   8    /* of 128 moves, where hosts have few items; */
#define EJECTIONS_FEW 1  /* where many small ones find room anyhow it is time lost */
#define FEW_ITEMS   30   /* on a host */
#define THREADS_MAX 64
#define ZOOM        0.6  /* from here on few hosts at a time are annealed, */
#define ZOOM_LONG   0.9  /* or from here where the budget is long: */
#define COOLING     400000 /* it holds two coolings or more of so many steps for each item */
#define ZOOM_HOSTS  8    /* two and up to so many more, */
#define ZOOM_ROUNDS 20   /* in so many rounds */
#define ZOOM_STEPS  50   /* of so many steps for each item there, */
#define ZOOM_COLD   0.02 /* down to this share of a first temperature, in units as above from 10 ^ */
#define ZOOM_LEAST  (-2) /* up to 10 ^ */
#define ZOOM_MOST   1
#define LACK        10   /* price of a need that does not hold, in the same units; only where neighbourhoods are small, and */
#define LACK_END    (0.55 / 0.6) /* up to this share of a cooling, it may fail to hold for a while */
#define SMALL_NEAR  4    /* hosts of a neighbourhood on average, below which it is small */

typedef struct {
  const PlanProblem *problem;
  const PlanSearch *search;
  PlanTables *tables;
  guint32 *large; /* items that can move, large ones first */
  guint32 n_large;
  guint32 *rank;  /* [item]: its place there */
  double unit;    /* of temperatures */
  bool soft_needs;
  GMutex lock;     /* of what follows: where threads wait for each other before the zoom */
  GCond arrived;
  guint n_arrived[2];
  double n_steps;  /* that the budget holds, as the first thread saw that knew; 0: nobody knows */
  guint n_threads;
} Solve;

typedef struct Worker Worker;
struct Worker {
  Solve *solve;
  Worker *all;            /* of the threads */
  PlanAnneal anneal;
  guint32 *hosts, *items; /* of a zoom */
  bool has_shared;
  double zoom_from;       /* share of the budget; before it the cooling */
};

/* ---- a few hosts at a time ---- */

static int by_number(const void *a, const void *b)
{
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  return x < y ? -1 : x > y;
}

static bool take_host(Worker *w, guint32 *n, guint32 host)
{
  for (guint32 k = 0; k < *n; k++)
    if (w->hosts[k] == host)
      return false;
  w->hosts[(*n)++] = host;
  return true;
}

/* A host that costs much, and some where what is there could go. */
static guint32 choose_hosts(Worker *w, guint32 wanted)
{
  PlanAnneal *a = &w->anneal;
  const PlanState *s = a->state;
  const PlanTables *t = s->t;
  guint32 n = 0, n_hosts = t->problem->n_hosts;
  guint32 first = plan_chance_below(&a->chance, n_hosts);
  for (guint k = 0; k < 2; k++) {
    guint32 other = plan_chance_below(&a->chance, n_hosts);
    if (s->host_cost[other] > s->host_cost[first])
      first = other;
  }
  take_host(w, &n, first);
  for (guint tries = 0; n < wanted && tries < 4 * wanted; tries++) {
    guint32 from = s->cursor[w->hosts[plan_chance_below(&a->chance, n)]], host = plan_chance_below(&a->chance, n_hosts);
    if ((tries & 1) && t->fit && from != NO_ROW) {
      guint32 item = from;
      for (guint32 skip = plan_chance_below(&a->chance, 16); skip; skip--)
        item = s->next[item];
      guint32 start = t->fit_start[item], count = t->fit_start[item + 1] - start;
      if (s->at[item] != t->problem->initial[item] && !plan_chance_below(&a->chance, 4))
        host = t->problem->initial[item];
      else if (count)
        host = t->fit[start + plan_chance_below(&a->chance, count)];
    }
    take_host(w, &n, host);
  }
  return n;
}

/* Anneals what is on a few hosts, among these, from some temperature; then back to the cheapest state that was met. */
static void zoom(Worker *w)
{
  PlanAnneal *a = &w->anneal;
  PlanState *s = a->state;
  const guint32 *large = a->large;
  guint32 n_large = a->n_large, n = 0;
  a->n_among = choose_hosts(w, 2 + plan_chance_below(&a->chance, ZOOM_HOSTS));
  for (guint32 k = 0; k < a->n_among; k++) {
    guint32 item = s->cursor[w->hosts[k]], first = item;
    if (item == NO_ROW)
      continue;
    do {
      if (w->solve->rank[item] != NO_ROW)
        w->items[n++] = w->solve->rank[item];
      item = s->next[item];
    } while (item != first);
  }
  if (n < 2) {
    a->n_steps++;
    return;
  }
  qsort(w->items, n, sizeof *w->items, by_number);
  for (guint32 k = 0; k < n; k++)
    w->items[k] = w->solve->large[w->items[k]];
  a->among = w->hosts;
  a->large = w->items;
  a->n_large = n;
  plan_anneal_log_start(a);
  double first = w->solve->unit * pow(10, ZOOM_LEAST + (ZOOM_MOST - ZOOM_LEAST) * plan_chance_unit(&a->chance));
  for (guint k = 0; k < ZOOM_ROUNDS; k++)
    plan_anneal_steps(a, ZOOM_STEPS * n, k + 1 == ZOOM_ROUNDS ? 0 : first * pow(ZOOM_COLD, (double)k / ZOOM_ROUNDS));
  plan_anneal_log_rewind(a);
  g_clear_pointer(&a->log, g_free);
  a->among = NULL;
  a->large = large;
  a->n_large = n_large;
}

/* ---- threads meet ---- */

/* Waits until all threads have come to that meeting, or have ended. */
static void meet(Worker *w, guint meeting)
{
  Solve *s = w->solve;
  g_mutex_lock(&s->lock);
  s->n_arrived[meeting]++;
  g_cond_broadcast(&s->arrived);
  while (s->n_arrived[meeting] < s->n_threads)
    g_cond_wait(&s->arrived, &s->lock);
  g_mutex_unlock(&s->lock);
}

/* All go on from the cheapest that any of them has. */
static void share_best(Worker *w)
{
  plan_anneal_keep(&w->anneal);
  meet(w, 0);
  const PlanAnneal *best = &w->all[0].anneal;
  for (guint k = 1; k < w->solve->n_threads; k++)
    if (w->all[k].anneal.best_cost < best->best_cost)
      best = &w->all[k].anneal;
  plan_state_set(w->anneal.state, best->best);
  meet(w, 1); /* nobody writes before all have read */
  w->has_shared = true;
}

/* Who ends early is not waited for. */
static void leave_meetings(Worker *w)
{
  if (w->has_shared)
    return;
  g_mutex_lock(&w->solve->lock);
  w->solve->n_arrived[0]++;
  w->solve->n_arrived[1]++;
  g_cond_broadcast(&w->solve->arrived);
  g_mutex_unlock(&w->solve->lock);
}

/* ---- the course of one thread ---- */

/* Once it is known how many steps the budget holds: where there is time, each thread cools as slowly as it can, which ends better than several quick
 * coolings and the best of them. What one thread found holds for all: they meet before the zoom. */
static void plan_course(Worker *w, double n_steps)
{
  Solve *s = w->solve;
  g_mutex_lock(&s->lock);
  if (s->n_steps == 0)
    s->n_steps = n_steps;
  n_steps = s->n_steps;
  g_mutex_unlock(&s->lock);
  double n = ZOOM_LONG * n_steps / COOLING / s->problem->n_items;
  if (n >= 2)
    w->zoom_from = ZOOM_LONG;
}

/* How much of the thrift is left, and whether needs may fail to hold, at that share of a cooling (from 1 to 2: of the zoom). */
static void set_charges(Worker *w, double share)
{
  double left = share < 1 ? 1 - share * 2 / 3 : 1 / 3.0 - (share - 1) * 4 / 9;
  plan_state_thrift(w->anneal.state, THRIFT * MAX(0, left));
}

/* A few steps of the cooling that is under way; at its end a descent. */
static void cool(Worker *w, double share)
{
  double heat = HOT * pow(COLD / (double)HOT, share / LAST);
  w->anneal.state->lack_never = !w->solve->soft_needs || share >= LACK_END;
  plan_anneal_steps(&w->anneal, BATCH, share >= LAST ? 0 : heat * w->solve->unit);
}

static void *run_worker(void *arg)
{
  Worker *w = arg;
  PlanAnneal *a = &w->anneal;
  guint last_update = 1;
  bool first = true;
  const PlanSearch *search = w->solve->search;
  for (double spent; (spent = search->spent(search->arg, a->n_steps)) < 1;) {
    spent = MAX(spent, 0);
    if (first && spent < FIRST) {
      plan_anneal_steps(a, BATCH, 0);
      continue;
    }
    if (first) {
      plan_anneal_keep(a);
      plan_course(w, (double)a->n_steps / spent);
      first = false;
    }
    double share = spent < w->zoom_from ? spent / w->zoom_from : 1 + (spent - w->zoom_from) / (1 - w->zoom_from);
    guint update = share < 1 ? 1 + (guint)(share * N_UPDATES) : 1 + N_UPDATES + (guint)((share - 1) * ZOOM_UPDATES);
    if (update != last_update)
      set_charges(w, share);
    last_update = update;
    if (spent < w->zoom_from) {
      cool(w, share);
      continue;
    }
    if (!w->has_shared)
      share_best(w);
    a->state->lack_never = true;
    zoom(w);
  }
  plan_anneal_keep(a);
  leave_meetings(w);
  return NULL;
}

static void run_all(Worker *workers, guint n)
{
  GThread *threads[THREADS_MAX];
  for (guint i = 1; i < n; i++)
    threads[i] = g_thread_new("plan", run_worker, &workers[i]);
  run_worker(&workers[0]);
  for (guint i = 1; i < n; i++)
    g_thread_join(threads[i]);
}

/* ---- all ---- */

static int larger_first(const void *a, const void *b, void *arg)
{
  const double *size = arg;
  double x = size[*(const guint32 *)a], y = size[*(const guint32 *)b];
  return x > y ? -1 : x < y;
}

/* Items by their share of all demand, summed over resources; those that can move at all. */
static void large_first(Solve *s)
{
  const PlanProblem *p = s->problem;
  const PlanTables *t = s->tables;
  g_autofree double *size = g_new0(double, (gsize)p->n_items + 1);
  for (guint32 r = 0; r < p->n_resources; r++) {
    double sum = 1;
    for (gsize i = 0; i < p->n_items; i++)
      sum += p->demand[i * p->n_resources + r];
    for (gsize i = 0; i < p->n_items; i++)
      size[i] += p->demand[i * p->n_resources + r] / sum;
  }
  s->large = g_new(guint32, (gsize)p->n_items + 1);
  s->rank = g_new(guint32, (gsize)p->n_items + 1);
  for (guint32 i = 0; i < p->n_items; i++)
    if (!t->fit || t->fit_start[i] < t->fit_start[i + 1])
      s->large[s->n_large++] = i;
  g_qsort_with_data(s->large, (gint)s->n_large, sizeof *s->large, larger_first, size);
  memset(s->rank, 0xff, p->n_items * sizeof *s->rank);
  for (guint32 k = 0; k < s->n_large; k++)
    s->rank[s->large[k]] = k;
}

static void worker_init(Worker *w, Solve *s, guint index, gint64 cost)
{
  const PlanProblem *p = s->problem;
  w->solve = s;
  w->zoom_from = ZOOM;
  PlanAnneal *a = &w->anneal;
  a->state = plan_state_new(s->tables);
  a->state->lack_never = true;
  a->state->lack_price = (gint64)(LACK * s->unit);
  plan_state_set(a->state, p->initial);
  set_charges(w, 0);
  plan_chance_seed(&a->chance, s->search->seed + index * 0x9e3779b9u);
  a->large = s->large;
  a->n_large = s->n_large;
  w->hosts = g_new0(guint32, (gsize)p->n_hosts + 1);
  w->items = g_new(guint32, (gsize)p->n_items + 1);
  a->ejections = p->n_items / p->n_hosts < FEW_ITEMS ? EJECTIONS : EJECTIONS_FEW;
  a->best = g_memdup2(p->initial, p->n_items * sizeof *a->best);
  a->best_cost = cost;
}

static void worker_clear(Worker *w)
{
  plan_state_free(w->anneal.state);
  g_free(w->anneal.best);
  g_free(w->anneal.log);
  g_free(w->hosts);
  g_free(w->items);
}

static void search_all(Solve *s, guint32 *at, PlanResult *result)
{
  const PlanProblem *p = s->problem;
  g_autofree Worker *workers = g_new0(Worker, s->n_threads);
  for (guint i = 0; i < s->n_threads; i++) {
    worker_init(&workers[i], s, i, result->begin.total);
    workers[i].all = workers;
  }
  g_mutex_init(&s->lock);
  g_cond_init(&s->arrived);
  run_all(workers, s->n_threads);
  g_mutex_clear(&s->lock);
  g_cond_clear(&s->arrived);
  gint64 best = G_MAXINT64;
  for (guint i = 0; i < s->n_threads; i++) {
    PlanAnneal *a = &workers[i].anneal;
    if (a->best_cost < best) {
      best = a->best_cost;
      memcpy(at, a->best, p->n_items * sizeof *at);
    }
    result->n_steps += a->n_steps;
    result->n_accepted += a->n_accepted;
    worker_clear(&workers[i]);
  }
}

bool plan_solve(const PlanProblem *p, const PlanSearch *search, guint32 *at, PlanResult *result, GError **error)
{
  *result = (PlanResult){0};
  if (!plan_problem_fits(p, error) || !plan_problem_evaluate(p, p->initial, &result->begin, error))
    return false;
  if (p->n_items == 0 || p->n_hosts < 2) {
    if (p->n_items)
      memcpy(at, p->initial, p->n_items * sizeof *at);
    result->end = result->begin;
    return true;
  }
  Solve s = {.problem = p, .search = search, .unit = (double)result->begin.total / p->n_items, .n_threads = CLAMP(search->n_threads, 1, THREADS_MAX)};
  s.soft_needs = p->n_hosts < (guint64)SMALL_NEAR * p->n_neighbourhoods;
  s.tables = plan_tables_new(p);
  large_first(&s);
  if (s.n_large)
    search_all(&s, at, result);
  else
    memcpy(at, p->initial, p->n_items * sizeof *at);
  g_free(s.large);
  g_free(s.rank);
  plan_tables_free(s.tables);
  for (guint32 i = 0; i < p->n_items; i++)
    result->n_moved += at[i] != p->initial[i];
  /* What is handed out was looked at by code that knows nothing of increments. */
  return plan_problem_evaluate(p, at, &result->end, error);
}
