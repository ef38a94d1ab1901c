// SPDX-License-Identifier: Apache-2.0
/* The search. See solve.h.
 *
 * Each thread anneals a state of its own with its own random numbers, cooled by the share of the budget that is spent, from a temperature at which large
 * items still change places to one at which only small ones do, with a descent before and after. The cheapest result wins. (Threads that deal the hosts out among
 * them and work on one assignment were tried: what groups need in their neighbourhoods leaves each too little to do.) */
#include "plan/solve.h"
#include "base/error.h"
#include "plan/anneal-private.h"
#include <math.h>
#include <string.h>

#define BATCH       1000 /* steps between looks at the budget */
#define HOT         20   /* first and last temperature, in units of cost / items at the beginning */
#define COLD        1e-2
#define FIRST       0.02 /* up to here, and from LAST on, only what costs nothing more: whoever stops early has something, and nothing is left undone */
#define LAST        0.97
#define THRIFT      0.15 /* see plan_state_thrift(); falls to nothing at THRIFT_END */
#define THRIFT_END  0.9
#define N_UPDATES   40   /* of the thrift */
#define EJECTIONS   8    /* of 128 moves, where hosts have few items; */
#define EJECTIONS_FEW 1  /* where many small ones find room anyhow it is time lost */
#define FEW_ITEMS   30   /* on a host */
#define THREADS_MAX 64

typedef struct {
  const PlanProblem *problem;
  const PlanSearch *search;
  PlanTables *tables;
  guint32 *large; /* [item]: large ones first */
  double unit;    /* of temperatures */
  guint n_threads;
} Solve;

typedef struct {
  Solve *solve;
  PlanAnneal anneal;
} Worker;

static void *run_worker(void *arg)
{
  Worker *w = arg;
  PlanAnneal *a = &w->anneal;
  guint last_update = 0;
  bool first = true;
  const PlanSearch *search = w->solve->search;
  for (double spent; (spent = search->spent(search->arg, a->n_steps)) < 1;) {
    guint update = 1 + (guint)(MAX(spent, 0) * N_UPDATES);
    if (update > last_update) {
      last_update = update;
      plan_state_thrift(a->state, THRIFT * MAX(0, 1 - spent / THRIFT_END));
    }
    if (first && spent >= FIRST) {
      plan_anneal_keep(a);
      first = false;
    }
    double heat = HOT * pow(COLD / (double)HOT, MAX(spent, 0) / LAST);
    plan_anneal_steps(a, BATCH, first || spent >= LAST ? 0 : heat * w->solve->unit);
  }
  plan_anneal_keep(a);
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

/* Items by their share of all demand, summed over resources. */
static guint32 *large_first(const PlanProblem *p)
{
  g_autofree double *size = g_new0(double, (gsize)p->n_items + 1);
  for (guint32 r = 0; r < p->n_resources; r++) {
    double sum = 1;
    for (gsize i = 0; i < p->n_items; i++)
      sum += p->demand[i * p->n_resources + r];
    for (gsize i = 0; i < p->n_items; i++)
      size[i] += p->demand[i * p->n_resources + r] / sum;
  }
  guint32 *items = g_new(guint32, (gsize)p->n_items + 1);
  for (guint32 i = 0; i < p->n_items; i++)
    items[i] = i;
  g_qsort_with_data(items, (gint)p->n_items, sizeof *items, larger_first, size);
  return items;
}

static void worker_init(Worker *w, Solve *s, guint index, gint64 cost)
{
  const PlanProblem *p = s->problem;
  w->solve = s;
  PlanAnneal *a = &w->anneal;
  a->state = plan_state_new(s->tables);
  plan_state_set(a->state, p->initial);
  plan_chance_seed(&a->chance, s->search->seed + index * 0x9e3779b9u);
  a->large = s->large;
  a->ejections = p->n_items / p->n_hosts < FEW_ITEMS ? EJECTIONS : EJECTIONS_FEW;
  a->best = g_memdup2(p->initial, p->n_items * sizeof *a->best);
  a->best_cost = cost;
}

static void worker_clear(Worker *w)
{
  plan_state_free(w->anneal.state);
  g_free(w->anneal.best);
}

static void search_all(Solve *s, guint32 *at, PlanResult *result)
{
  const PlanProblem *p = s->problem;
  g_autofree Worker *workers = g_new0(Worker, s->n_threads);
  for (guint i = 0; i < s->n_threads; i++)
    worker_init(&workers[i], s, i, result->begin.total);
  run_all(workers, s->n_threads);
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
  s.tables = plan_tables_new(p);
  s.large = large_first(p);
  search_all(&s, at, result);
  g_free(s.large);
  plan_tables_free(s.tables);
  for (guint32 i = 0; i < p->n_items; i++)
    result->n_moved += at[i] != p->initial[i];
  /* What is handed out was looked at by code that knows nothing of increments. */
  return plan_problem_evaluate(p, at, &result->end, error);
}
