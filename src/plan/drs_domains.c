// SPDX-License-Identifier: Apache-2.0
/* DRS: how many VMs of a rule that spreads are in each fault domain, kept with each move. So what a move
 * would break is known at once. See drs-private.h. */
#include "plan/drs-private.h"

/* Of one rule. */
struct DrsSpread {
  guint32 *n_vms;      /* by domain */
  guint running, held; /* VMs that run; domains that hold one */
};

void drs_domains_init(DrsState *state)
{
  const PlanDrs *p = state->problem;
  bool any = false;
  for (guint32 i = 0; i < p->n_rules; i++)
    any = any || plan_rule_spreads(p->rules[i].kind);
  if (!any)
    return;
  g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
  state->domain = g_new(guint32, p->n_hosts + 1);
  for (guint32 i = 0; i < p->n_hosts; i++) {
    const char *name = p->hosts[i].domain;
    guint32 known = name ? GPOINTER_TO_UINT(g_hash_table_lookup(by_name, name)) : 0;
    state->domain[i] = known ? known - 1 : i; /* the number of its first host */
    if (name && !known)
      g_hash_table_insert(by_name, (gpointer)name, GUINT_TO_POINTER(i + 1));
  }
  state->spread = g_new0(DrsSpread *, p->n_rules + 1);
  for (guint32 i = 0; i < p->n_rules; i++)
    if (plan_rule_spreads(p->rules[i].kind)) {
      state->spread[i] = g_new0(DrsSpread, 1);
      state->spread[i]->n_vms = g_new0(guint32, p->n_hosts + 1);
    }
  for (guint32 i = 0; i < p->n_vms; i++)
    drs_domains_shift(state, i, PLAN_DRS_NOWHERE, state->at[i]);
}

void drs_domains_clear(DrsState *state)
{
  for (guint32 i = 0; state->spread && i < state->problem->n_rules; i++)
    if (state->spread[i]) {
      g_free(state->spread[i]->n_vms);
      g_free(state->spread[i]);
    }
  g_clear_pointer(&state->spread, g_free);
  g_clear_pointer(&state->domain, g_free);
}

static void shift(DrsState *state, DrsSpread *spread, guint32 from, guint32 to)
{
  if (from != PLAN_DRS_NOWHERE) {
    spread->running--;
    spread->held -= --spread->n_vms[state->domain[from]] == 0;
  }
  if (to != PLAN_DRS_NOWHERE) {
    spread->running++;
    spread->held += spread->n_vms[state->domain[to]]++ == 0;
  }
}

void drs_domains_shift(DrsState *state, guint32 vm, guint32 from, guint32 to)
{
  for (guint i = 0; state->spread && state->rules[vm] && i < state->rules[vm]->len; i++) {
    DrsSpread *spread = state->spread[g_array_index(state->rules[vm], guint32, i)];
    if (spread)
      shift(state, spread, from, to);
  }
}

bool drs_domains_counts(const DrsState *state, guint32 rule)
{
  return state->spread && state->spread[rule];
}

bool drs_domains_stays(const DrsState *state, guint32 vm, guint32 host)
{
  return state->domain && state->at[vm] != PLAN_DRS_NOWHERE &&
         state->domain[state->at[vm]] == state->domain[host];
}

bool drs_domains_refuse(DrsState *state, guint32 rule, guint32 vm, guint32 host)
{
  DrsSpread *spread = state->spread[rule];
  guint32 at = state->at[vm];
  if (drs_domains_stays(state, vm, host))
    return false;
  shift(state, spread, at, PLAN_DRS_NOWHERE);
  bool beside = spread->n_vms[state->domain[host]] > 0,
       few = spread->held < MIN(spread->running + 1, state->problem->rules[rule].min_domains);
  shift(state, spread, PLAN_DRS_NOWHERE, at);
  return beside && few;
}

guint drs_domains_missing(const DrsState *state, guint32 rule)
{
  const DrsSpread *spread = state->spread[rule];
  guint wanted = MIN(spread->running, state->problem->rules[rule].min_domains);
  return wanted > spread->held ? wanted - spread->held : 0;
}

static bool is_of_one_before(const DrsState *state, const guint32 *unit, guint i, guint32 rule)
{
  for (guint k = 0; k < i; k++)
    if (plan_rule_has_vm(&state->problem->rules[rule], (WsId)unit[k] + 1))
      return true;
  return false;
}

guint drs_domains_dislikes(DrsState *state, const guint32 *unit, guint n, guint32 host)
{
  guint missing = 0;
  for (guint i = 0; state->spread && i < n; i++)
    drs_domains_shift(state, unit[i], state->at[unit[i]], host);
  for (guint i = 0; state->spread && i < n; i++)
    for (guint j = 0; state->rules[unit[i]] && j < state->rules[unit[i]]->len; j++) {
      guint32 rule = g_array_index(state->rules[unit[i]], guint32, j);
      if (state->problem->rules[rule].kind == PLAN_RULE_SHOULD_SPREAD &&
          !is_of_one_before(state, unit, i, rule))
        missing += drs_domains_missing(state, rule);
    }
  for (guint i = 0; state->spread && i < n; i++)
    drs_domains_shift(state, unit[i], host, state->at[unit[i]]);
  return missing;
}

bool drs_domains_shares(const DrsState *state, guint32 rule, guint32 vm)
{
  return state->at[vm] != PLAN_DRS_NOWHERE && state->spread[rule]->n_vms[state->domain[state->at[vm]]] > 1;
}

bool drs_domains_bind(const DrsState *state, guint32 a, guint32 b)
{
  for (guint i = 0; state->spread && state->rules[a] && i < state->rules[a]->len; i++) {
    guint32 rule = g_array_index(state->rules[a], guint32, i);
    if (state->spread[rule] && plan_rule_has_vm(&state->problem->rules[rule], (WsId)b + 1))
      return true;
  }
  return false;
}
