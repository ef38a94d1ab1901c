// SPDX-License-Identifier: Apache-2.0
/* winplan solve and winplan check: the ROADEF/EURO challenge's files. */
#include "plan/solve.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "winplan/check.h"
#include "winplan/roadef.h"
#include "winplan/winplan.h"
#include <stdio.h>
#include <string.h>

typedef struct {
  gint64 begin_us, length_us;
  guint64 steps; /* 0: time counts */
} Budget;

static double spent(void *arg, guint64 steps)
{
  const Budget *b = arg;
  if (winplan_is_stopped())
    return 1;
  if (b->steps)
    return (double)steps / (double)b->steps;
  return b->length_us <= 0 ? 1 : (double)(ws_clock_monotonic_us(ws_clock_system()) - b->begin_us) / (double)b->length_us;
}

static PlanProblem *read_problem(const Options *o, GError **error)
{
  gsize model_n, assignment_n;
  g_autofree char *model = winplan_read(o->words[0], &model_n, error);
  g_autofree char *assignment = model ? winplan_read(o->words[1], &assignment_n, error) : NULL;
  return assignment ? roadef_read(o->words[0], model, model_n, o->words[1], assignment, assignment_n, error) : NULL;
}

/* What the end takes: the last look at the answer, and its way to the disk. */
static gint64 reserve_us(const PlanProblem *p)
{
  return 30000 + (gint64)p->n_items * 2;
}

static bool solve(const Options *o, PlanResult *result, GError **error)
{
  g_autoptr(PlanProblem) p = read_problem(o, error);
  if (!p)
    return false;
  g_autofree guint32 *at = g_new0(guint32, (gsize)p->n_items + 1);
  gint64 now = ws_clock_monotonic_us(ws_clock_system());
  Budget budget = {now, (gint64)(o->seconds * G_USEC_PER_SEC) - (now - o->begin_us) - reserve_us(p), o->steps};
  PlanSearch search = {.seed = o->seed, .n_threads = o->threads, .spent = spent, .arg = &budget};
  if (!plan_solve(p, &search, at, result, error))
    return false;
  g_autoptr(GString) text = g_string_sized_new((gsize)p->n_items * 5 + 1);
  roadef_write(text, at, p->n_items);
  return ws_file_write(o->out, text->str, text->len, 0644, error);
}

int winplan_solve(const Options *o)
{
  GError *error = NULL;
  PlanResult result;
  if (!solve(o, &result, &error))
    return winplan_complain(error);
  double seconds = (double)(ws_clock_monotonic_us(ws_clock_system()) - o->begin_us) / G_USEC_PER_SEC;
  printf("cost %" G_GINT64_FORMAT " -> %" G_GINT64_FORMAT "\n", result.begin.total, result.end.total);
  printf("  load %" G_GINT64_FORMAT ", balance %" G_GINT64_FORMAT ", process moves %" G_GINT64_FORMAT ", service moves %" G_GINT64_FORMAT
         ", machine moves %" G_GINT64_FORMAT "\n",
         result.end.load, result.end.balance, result.end.item_moves, result.end.group_moves, result.end.host_moves);
  printf("  %u processes moved; %" G_GUINT64_FORMAT " steps, %.1f s\n", result.n_moved, result.n_steps, seconds);
  return 0;
}

int winplan_check(const Options *o)
{
  GError *error = NULL;
  CheckFile files[3] = {{0}};
  CheckResult result = {0};
  bool done = true;
  for (guint i = 0; i < 3 && done; i++) {
    files[i].name = o->words[i];
    done = (files[i].text = winplan_read(o->words[i], &files[i].n, &error));
  }
  done = done && check_roadef(&files[0], &files[1], &files[2], &result, &error);
  for (guint i = 0; i < 3; i++)
    g_free((char *)files[i].text);
  if (!done) {
    g_free(result.broken);
    return winplan_complain(error);
  }
  if (result.broken) {
    printf("not allowed: %s\n", result.broken);
    g_free(result.broken);
    return 1;
  }
  printf("allowed, cost %" G_GUINT64_FORMAT "\n", result.total);
  printf("  load %" G_GUINT64_FORMAT ", balance %" G_GUINT64_FORMAT ", process moves %" G_GUINT64_FORMAT ", service moves %" G_GUINT64_FORMAT
         ", machine moves %" G_GUINT64_FORMAT "\n",
         result.load, result.balance, result.process_moves, result.service_moves, result.machine_moves);
  return 0;
}
