// SPDX-License-Identifier: Apache-2.0
/* One problem for every decision about where things run: items (VMs, processes) on hosts with several resources.
 *
 * Hard rules - an assignment that breaks one is no answer:
 *   capacity      what is used of a resource on a host is at most its capacity; of a transient resource an item that moved counts on the host
 *                 that it left as well (both ends hold it while the move is under way)
 *   conflict      items of one group are on different hosts
 *   spread        a group is in at least `spread_min` locations
 *   dependency    where group a needs group b, each neighbourhood with an item of a has one of b
 *   host sets     an item is on a host of its set, or where it was
 *
 * Cost, to be made small, all in whole numbers:
 *   load          per resource: weight x what is used above the safety capacity
 *   balance       per objective: weight x max(0, target x free(a) - free(b)) on each host
 *   moves         per moved item: weight x its cost, and weight x the cost between the two hosts
 *   groups        weight x the most items moved of any one group
 *
 * This is the problem of the ROADEF/EURO challenge 2012; docs/scheduler.md tells how VMs and clusters are put into it.
 * Pure data; the arrays belong to the problem. Threads: any number may read one that is prepared. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define PLAN_RESOURCES_MAX 64
#define PLAN_BALANCES_MAX  64
#define PLAN_HOSTS_MAX     65535
#define PLAN_ITEMS_MAX     4000000

typedef struct {
  guint32 a, b;   /* resources */
  guint64 target; /* wanted: free(b) >= target x free(a) */
  guint64 weight;
} PlanBalance;

typedef struct {
  guint32 n_resources, n_hosts, n_groups, n_items, n_balances, n_locations, n_neighbourhoods;

  bool *transient;      /* [resource] */
  guint64 *load_weight; /* [resource] */

  guint32 *location, *neighbourhood; /* [host], below n_locations, n_neighbourhoods */
  gint64 *capacity, *safety;         /* [host x n_resources + resource] */
  guint32 *between;                  /* [from x n_hosts + to]: cost of moving between two hosts; NULL: none */

  guint32 *spread_min;           /* [group] */
  guint32 *needs_start, *needs;  /* [group], [n_groups + 1]: the groups that group g needs are needs[needs_start[g] .. needs_start[g + 1]) */

  guint32 *group;     /* [item] */
  guint32 *demand;    /* [item x n_resources + resource] */
  guint32 *move_cost; /* [item] */
  guint32 *initial;   /* [item]: host */

  guint32 *host_set;     /* [item]: 0: any host, else set - 1 of host_sets; NULL: any for all */
  guint32 n_host_sets;
  guint64 *host_sets;    /* [set x words + host / 64], words = (n_hosts + 63) / 64 */

  PlanBalance *balances;
  guint64 item_weight, group_weight, host_weight; /* of item moves, of moves in one group, of moves between hosts */
} PlanProblem;

/* Empty; the arrays are allocated by who fills it, with g_new() or g_malloc(). */
PlanProblem *plan_problem_new(void);
void plan_problem_free(PlanProblem *problem); /* NULL: nothing */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlanProblem, plan_problem_free)

/* Largest possible cost and use fit into 62 bits? Everything below depends on it. WS_ERROR_BAD_VALUE (field: what is too large). */
bool plan_problem_fits(const PlanProblem *problem, GError **error);

typedef struct {
  gint64 load, balance, item_moves, group_moves, host_moves, total;
} PlanCost;

/* Is the assignment allowed, and what does it cost? Computed from nothing, O(items x resources). WS_ERROR_BAD_VALUE names the rule and the host,
 * group or item that breaks it. */
bool plan_problem_evaluate(const PlanProblem *problem, const guint32 *at, PlanCost *cost, GError **error);
