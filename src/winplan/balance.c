// SPDX-License-Identifier: Apache-2.0
/* winplan balance: moves for a cluster in Ganeti's text format, as hbal prints them. */
#include "plan/balance.h"
#include "base/clock.h"
#include "base/error.h"
#include "winplan/ganeti.h"
#include "winplan/winplan.h"
#include <stdio.h>
#include <string.h>

/* What is done, in hbal's short form: f failover, r:NODE replace the second, fa:NODE migrate. */
static char *action_of(const Ganeti *g, const PlanStep *s)
{
  const char *host = g->host_names[s->host], *second = s->second == PLAN_NO_HOST ? "" : g->host_names[s->second];
  switch (s->kind) {
  case PLAN_STEP_FAILOVER:
    return g_strdup("f");
  case PLAN_STEP_NEW_SECOND:
    return g_strdup_printf("r:%s", second);
  case PLAN_STEP_NEW_HOST:
    return g_strdup_printf("f r:%s f", host);
  case PLAN_STEP_FAILOVER_SECOND:
    return g_strdup_printf("f r:%s", second);
  case PLAN_STEP_SECOND_FAILOVER:
    return g_strdup_printf("r:%s f", host);
  default:
    return g_strdup_printf("fa:%s", host);
  }
}

static void print_step(const Ganeti *g, guint number, const PlanStep *s)
{
  g_autofree char *action = action_of(g, s);
  bool single = s->second_before == PLAN_NO_HOST;
  printf("  %3u. %s %s%s%s => %s%s%s %.8f a=%s\n", number, g->vm_names[s->vm], g->host_names[s->host_before], single ? "" : ":",
         single ? "" : g->host_names[s->second_before], g->host_names[s->host], single ? "" : ":", single ? "" : g->host_names[s->second], s->score, action);
}

static void print_parts(const char *title, const double *parts)
{
  printf("%s:", title);
  for (guint k = 0; k < PLAN_N_SCORE_PARTS; k++)
    printf(" %s=%.8f", plan_score_part_name(k), parts[k]);
  printf("\n");
}

static Ganeti *read_cluster(const Options *o, GError **error)
{
  gsize n;
  g_autofree char *text = winplan_read(o->file, &n, error);
  g_autoptr(Ganeti) ganeti = text ? ganeti_read(o->file, text, n, error) : NULL;
  if (!ganeti || !o->use)
    return g_steal_pointer(&ganeti);
  g_autofree char *use = winplan_read(o->use, &n, error);
  return use && ganeti_read_use(ganeti, o->use, use, n, error) ? g_steal_pointer(&ganeti) : NULL;
}

static bool take_out_of_service(Ganeti *g, const Options *o, GError **error)
{
  for (guint k = 0; k < o->n_offline; k++) {
    guint32 h = 0;
    while (h < g->cluster.n_hosts && strcmp(g->host_names[h], o->offline[k]) != 0)
      h++;
    if (h == g->cluster.n_hosts)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", o->offline[k], NULL);
    g->cluster.hosts[h].in_service = false;
  }
  return true;
}

int winplan_balance(const Options *o)
{
  GError *error = NULL;
  g_autoptr(Ganeti) ganeti = read_cluster(o, &error);
  if (!ganeti || !take_out_of_service(ganeti, o, &error))
    return winplan_complain(error);
  double parts[PLAN_N_SCORE_PARTS];
  PlanBalancer *balancer = plan_balancer_new(&ganeti->cluster);
  gint64 read_us = ws_clock_monotonic_us(ws_clock_system());
  plan_balancer_score(balancer, parts);
  print_parts("Initial coefficients", parts);
  PlanBalanceOptions options = {.max_steps = o->limit, .only_evacuate = o->only_evacuate};
  PlanBalanceResult result;
  plan_balancer_plan(balancer, &options, &result);
  gint64 done_us = ws_clock_monotonic_us(ws_clock_system());
  plan_balancer_free(balancer);
  for (guint32 k = 0; k < result.n_steps; k++)
    print_step(ganeti, k + 1, &result.steps[k]);
  printf("Cluster score improved from %.8f to %.8f\n", result.score_before, result.score_after);
  printf("Solution length=%u\n", result.n_steps);
  printf("Read in %.3f s, planned in %.3f s\n", (double)(read_us - o->begin_us) / G_USEC_PER_SEC, (double)(done_us - read_us) / G_USEC_PER_SEC);
  if (result.n_stranded)
    printf("%u instances on offline nodes have nowhere to go\n", result.n_stranded);
  bool stranded = result.n_stranded;
  plan_balance_result_clear(&result);
  return stranded;
}
