// SPDX-License-Identifier: Apache-2.0
/* VMs of a rule by fault domain. See tally.h. */
#include "plan/tally.h"
#include "plan/domains.h"

typedef struct {
  WsId domains[2];
  guint n;
} At;

/* A fault domain that holds some of them. */
typedef struct {
  WsId id;
  guint n, n_settled; /* VMs that are or may be there; those that are nowhere else */
  WsId first, second; /* of those, in the order of the rule; 0: there is none */
  bool stale;         /* the first ones are not known any more */
} Held;

struct PlanTally {
  const PlanRule *rule;
  At *at;                   /* of each VM of the rule */
  GHashTable *held;         /* WsId * -> Held */
  GHashTable *movers;       /* indexes of VMs between two domains, + 1 */
  guint running, n_settled; /* VMs; domains that surely hold one */
  WsId asked;               /* of this VM is known whether domains are missing; 0: of none */
  bool few;
};

static void tell(PlanTally *tally, guint vm, int more)
{
  At *at = &tally->at[vm];
  WsId id = tally->rule->vms[vm];
  tally->running += at->n ? more : 0;
  if (at->n == 2 && more > 0)
    g_hash_table_add(tally->movers, GUINT_TO_POINTER(vm + 1));
  else if (at->n == 2)
    g_hash_table_remove(tally->movers, GUINT_TO_POINTER(vm + 1));
  for (guint i = 0; i < at->n; i++) {
    Held *held = g_hash_table_lookup(tally->held, &at->domains[i]);
    if (!held) {
      held = g_new0(Held, 1);
      held->id = at->domains[i];
      g_hash_table_insert(tally->held, &held->id, held);
    }
    tally->n_settled -= held->n_settled > 0;
    held->n += more;
    held->n_settled += at->n == 1 ? more : 0;
    tally->n_settled += held->n_settled > 0;
    if (more < 0)
      held->stale = held->stale || id == held->first || id == held->second;
    else if (!held->first || id < held->first)
      held->second = held->first, held->first = id;
    else if (!held->second || id < held->second)
      held->second = id;
  }
}

static void look(PlanTally *tally, guint vm, const PlanWhere *where)
{
  tally->at[vm].n = plan_domains_of(where, tally->rule->vms[vm], tally->at[vm].domains);
  tell(tally, vm, 1);
}

PlanTally *plan_tally_new(const PlanRule *rule, const PlanWhere *where)
{
  PlanTally *tally = g_new0(PlanTally, 1);
  tally->rule = rule;
  tally->at = g_new0(At, rule->n_vms + 1);
  tally->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  tally->movers = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < rule->n_vms; i++)
    look(tally, i, where);
  return tally;
}

void plan_tally_free(PlanTally *tally)
{
  if (!tally)
    return;
  g_hash_table_unref(tally->held);
  g_hash_table_unref(tally->movers);
  g_free(tally->at);
  g_free(tally);
}

/* n_vms: it is none of the rule's. */
static guint index_of(const PlanRule *rule, WsId vm)
{
  guint low = 0, high = rule->n_vms;
  while (low < high) {
    guint middle = (low + high) / 2;
    if (rule->vms[middle] < vm)
      low = middle + 1;
    else
      high = middle;
  }
  return low < rule->n_vms && rule->vms[low] == vm ? low : rule->n_vms;
}

void plan_tally_look(PlanTally *tally, WsId vm, const PlanWhere *where)
{
  guint i = index_of(tally->rule, vm);
  if (i == tally->rule->n_vms)
    return;
  tally->asked = 0;
  tell(tally, i, -1);
  look(tally, i, where);
}

static bool is_at(const At *at, WsId domain)
{
  return (at->n > 0 && at->domains[0] == domain) || (at->n > 1 && at->domains[1] == domain);
}

/* Surely holds another VM than this one. */
static bool holds_other(const PlanTally *tally, const At *own, WsId domain)
{
  const Held *held = g_hash_table_lookup(tally->held, &domain);
  return held && held->n_settled > (own->n == 1 && own->domains[0] == domain ? 1 : 0);
}

/* Of those that move one domain counts, if none of the others counts either of the two; in the order of the
 * rule, as plan_domains_refuse() does. */
static guint count_movers(const PlanTally *tally, guint vm, const At *own)
{
  g_autoptr(GHashTable) marked = g_hash_table_new(g_int64_hash, g_int64_equal);
  guint n = 0;
  for (guint i = 0; g_hash_table_size(tally->movers) > 0 && i < tally->rule->n_vms; i++) {
    At *at = &tally->at[i];
    if (i == vm || at->n < 2 || holds_other(tally, own, at->domains[0]) ||
        holds_other(tally, own, at->domains[1]) || g_hash_table_contains(marked, &at->domains[0]) ||
        g_hash_table_contains(marked, &at->domains[1]))
      continue;
    g_hash_table_add(marked, &at->domains[0]);
    g_hash_table_add(marked, &at->domains[1]);
    n++;
  }
  return n;
}

/* Are domains missing, whatever this VM does? */
static bool are_few(PlanTally *tally, guint vm)
{
  static const At nowhere;
  const At *own = vm < tally->rule->n_vms ? &tally->at[vm] : &nowhere;
  guint wanted = MIN(tally->running - (own->n > 0) + 1, tally->rule->min_domains), n = tally->n_settled;
  if (own->n == 1 && !holds_other(tally, own, own->domains[0]))
    n--;
  return n < wanted && n + count_movers(tally, vm, own) < wanted;
}

static void find_first(const PlanTally *tally, Held *held)
{
  held->first = held->second = 0;
  held->stale = false;
  for (guint i = 0; i < tally->rule->n_vms && !held->second; i++)
    if (is_at(&tally->at[i], held->id))
      *(held->first ? &held->second : &held->first) = tally->rule->vms[i];
}

bool plan_tally_refuse(PlanTally *tally, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  WsId domain = plan_domain_of(where, host);
  Held *held = g_hash_table_lookup(tally->held, &domain);
  *other = 0;
  if (!held || !held->n)
    return false;
  if (tally->asked != vm) {
    tally->few = are_few(tally, index_of(tally->rule, vm));
    tally->asked = vm;
  }
  if (!tally->few)
    return false;
  if (held->stale)
    find_first(tally, held);
  *other = held->first == vm ? held->second : held->first;
  if (*other && plan_domains_stays(where, vm, domain))
    *other = 0;
  return *other != 0;
}
