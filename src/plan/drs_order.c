// SPDX-License-Identifier: Apache-2.0
/* Hosts in an order in which a search for the best one may stop early. See drs-private.h.
 *
 * A host's stress rises the steeper the more is used (drs.h: f is convex). So of hosts that are alike, one whose processors are used at least so much, and
 * whose memory at least as much as of any, gains at least so much stress by a VM. */
#include "plan/drs-private.h"

#define ROUNDING_S 1e-6

static int by_use(const void *a, const void *b, void *arg)
{
  const DrsState *state = arg;
  guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
  const PlanDrsHost *h = &state->problem->hosts[x], *k = &state->problem->hosts[y];
  if (h->threads != k->threads)
    return h->threads < k->threads ? -1 : 1;
  if (h->memory_bytes != k->memory_bytes)
    return h->memory_bytes < k->memory_bytes ? -1 : 1;
  double u = state->hosts[x].cpu, v = state->hosts[y].cpu;
  return u < v ? -1 : u > v ? 1 : x < y ? -1 : x > y;
}

DrsOrder *drs_order_new(const DrsState *state)
{
  const PlanDrs *p = state->problem;
  DrsOrder *order = g_new0(DrsOrder, 1);
  order->state = state;
  order->hosts = g_new(guint32, (gsize)p->n_hosts + 1);
  order->kind = g_new(guint32, (gsize)p->n_hosts + 1);
  order->kinds = g_new0(DrsKind, (gsize)p->n_hosts + 1);
  for (guint32 i = 0; i < p->n_hosts; i++)
    order->hosts[i] = i;
  g_qsort_with_data(order->hosts, (gint)p->n_hosts, sizeof *order->hosts, by_use, (gpointer)state);
  for (guint32 i = 0; i < p->n_hosts; i++) {
    const PlanDrsHost *h = &p->hosts[order->hosts[i]];
    DrsKind *last = order->n_kinds ? &order->kinds[order->n_kinds - 1] : NULL;
    gint64 used = state->hosts[order->hosts[i]].memory_used;
    if (!last || last->threads != h->threads || last->memory_bytes != h->memory_bytes) {
      last = &order->kinds[order->n_kinds++];
      *last = (DrsKind){h->threads, h->memory_bytes, order->hosts + i, 0, used};
    }
    last->n++;
    last->least_used = MIN(last->least_used, used);
    order->kind[order->hosts[i]] = order->n_kinds - 1;
  }
  return order;
}

void drs_order_free(DrsOrder *order)
{
  g_free(order->hosts);
  g_free(order->kind);
  g_free(order->kinds);
  g_free(order);
}

void drs_order_changed(DrsOrder *order, guint32 host)
{
  DrsKind *k = &order->kinds[order->kind[host]];
  guint32 at = 0;
  while (k->hosts[at] != host)
    at++;
  k->least_used = MIN(k->least_used, order->state->hosts[host].memory_used);
  for (; at > 0 && by_use(&k->hosts[at - 1], &host, (gpointer)order->state) > 0; at--)
    k->hosts[at] = k->hosts[at - 1];
  for (; at + 1 < k->n && by_use(&k->hosts[at + 1], &host, (gpointer)order->state) < 0; at++)
    k->hosts[at] = k->hosts[at + 1];
  k->hosts[at] = host;
}

double drs_order_gain(const DrsOrder *order, const guint32 *vms, guint n, guint kind, guint32 from_place)
{
  const DrsKind *k = &order->kinds[kind];
  guint32 host = k->hosts[from_place];
  return drs_gain_with(order->state, vms, n, host, k->least_used - order->state->hosts[host].memory_used) + ROUNDING_S;
}
