// SPDX-License-Identifier: Apache-2.0
/* What DRS weighs: loads, stress, refusals, one move. See drs-private.h. */
#include "plan/drs-private.h"
#include <math.h>
#include <string.h>

/* ---- state ---- */

static void add_vm(DrsState *state, guint32 vm, guint32 host, gint sign)
{
  const PlanDrsVm *v = &state->problem->vms[vm];
  DrsHostState *h = &state->hosts[host];
  h->cpu += sign * drs_vm_cpu(v);
  h->memory_used += sign * v->memory_used_bytes;
  h->promised += sign * v->memory_bytes;
  h->vcpus += sign * v->vcpus;
}

static void index_rules(DrsState *state)
{
  const PlanDrs *p = state->problem;
  for (guint32 i = 0; i < p->n_rules; i++)
    for (guint j = 0; j < p->rules[i].n_vms; j++) {
      guint32 vm = (guint32)p->rules[i].vms[j] - 1;
      if (!state->rules[vm])
        state->rules[vm] = g_array_new(FALSE, FALSE, sizeof(guint32));
      g_array_append_val(state->rules[vm], i);
    }
}

void drs_state_init(DrsState *state, const PlanDrs *problem, const PlanDrsOptions *options)
{
  *state = (DrsState){.problem = problem,
                      .options = options,
                      .horizon_s = options->horizon_s > 0 ? options->horizon_s : PLAN_DRS_HORIZON_S,
                      .at = g_new(guint32, problem->n_vms + 1),
                      .left = g_new(guint32, problem->n_vms + 1),
                      .hosts = g_new0(DrsHostState, problem->n_hosts + 1),
                      .rules = g_new0(GArray *, problem->n_vms + 1),
                      .moves = g_array_new(FALSE, TRUE, sizeof(PlanDrsMove))};
  for (guint32 i = 0; i < problem->n_vms; i++) {
    state->at[i] = problem->vms[i].host;
    state->left[i] = PLAN_DRS_NOWHERE;
    if (state->at[i] != PLAN_DRS_NOWHERE)
      add_vm(state, i, state->at[i], 1);
  }
  for (guint32 i = 0; i < problem->n_hosts; i++) {
    state->hosts[i].held = state->hosts[i].promised;
    state->hosts[i].held_vcpus = state->hosts[i].vcpus;
  }
  index_rules(state);
  drs_domains_init(state);
}

void drs_enter(DrsState *state, guint32 vm, guint32 host)
{
  drs_domains_shift(state, vm, state->at[vm], host);
  state->at[vm] = host;
  add_vm(state, vm, host, 1);
}

void drs_state_clear(DrsState *state)
{
  drs_domains_clear(state);
  for (guint32 i = 0; i < state->problem->n_vms; i++)
    if (state->rules[i])
      g_array_unref(state->rules[i]);
  g_free(state->at);
  g_free(state->left);
  g_free(state->hosts);
  g_free(state->rules);
}

/* ---- loads ---- */

static PlanDrsLoad load_of(const DrsState *state, guint32 host, double more_cpu, gint64 more_memory)
{
  const PlanDrsHost *h = &state->problem->hosts[host];
  double cpu = fmax(0, state->hosts[host].cpu + more_cpu), memory = (double)MAX(0, state->hosts[host].memory_used + more_memory);
  return (PlanDrsLoad){h->threads > 0 ? 100 * cpu / h->threads : 0, h->memory_bytes > 0 ? 100 * memory / (double)h->memory_bytes : 0};
}

PlanDrsLoad drs_load(const DrsState *state, guint32 host)
{
  return load_of(state, host, 0, 0);
}

static double waits(double percent, double threshold)
{
  double u = percent / 100;
  return u * u * u * u + 4 * fmax(0, u - threshold / 100);
}

double drs_stress(const DrsState *state, guint32 host, double more_cpu, gint64 more_memory)
{
  PlanDrsLoad load = load_of(state, host, more_cpu, more_memory);
  return state->problem->hosts[host].threads *
         (waits(load.cpu, state->options->cpu_percent) + waits(load.memory, state->options->memory_percent));
}

double drs_all_stress(const DrsState *state)
{
  double sum = 0;
  for (guint32 i = 0; i < state->problem->n_hosts; i++)
    sum += drs_stress(state, i, 0, 0);
  return sum;
}

bool plan_drs_is_hot(const PlanDrsLoad *load, const PlanDrsOptions *options)
{
  bool cpu = load->cpu > options->cpu_percent, memory = load->memory > options->memory_percent;
  return options->both ? cpu && memory : cpu || memory;
}

bool drs_is_hot(const DrsState *state, guint32 host)
{
  PlanDrsLoad load = drs_load(state, host);
  return plan_drs_is_hot(&load, state->options);
}

double drs_gain_with(const DrsState *state, const guint32 *vms, guint n, guint32 to, gint64 more_memory)
{
  guint32 from = state->at[vms[0]];
  double cpu = 0, cost = 0;
  gint64 memory = 0;
  for (guint i = 0; i < n; i++) {
    const PlanDrsVm *vm = &state->problem->vms[vms[i]];
    cpu += drs_vm_cpu(vm);
    memory += vm->memory_used_bytes;
    cost += vm->cost_s;
  }
  double before = drs_stress(state, to, 0, more_memory),
         after = drs_stress(state, to, cpu, memory + more_memory);
  if (from != PLAN_DRS_NOWHERE) {
    before += drs_stress(state, from, 0, 0);
    after += drs_stress(state, from, -cpu, -memory);
  }
  return state->horizon_s * (before - after) - cost;
}

double drs_gain(const DrsState *state, const guint32 *vms, guint n, guint32 to)
{
  return drs_gain_with(state, vms, n, to, 0);
}

/* ---- rules ---- */

static guint hosts_of(WsId vm, WsId hosts[2], void *arg)
{
  const DrsState *state = arg;
  guint32 i = (guint32)vm - 1;
  guint n = 0;
  if (state->at[i] == PLAN_DRS_NOWHERE)
    return 0;
  if (state->sees_both && state->left[i] != PLAN_DRS_NOWHERE)
    hosts[n++] = state->left[i] + 1;
  hosts[n++] = state->at[i] + 1;
  return n;
}

static WsId domain_of(WsId host, void *arg)
{
  const DrsState *state = arg;
  return state->domain ? state->domain[host - 1] + 1 : host;
}

PlanWhere drs_where(DrsState *state)
{
  return (PlanWhere){hosts_of, state, domain_of};
}

/* While moves are under way, which are on both hosts, there are no counts. */
static bool breaks(DrsState *state, guint32 rule, guint32 vm, guint32 host)
{
  PlanWhere where = drs_where(state);
  if (!state->sees_both && drs_domains_counts(state, rule))
    return drs_domains_refuse(state, rule, vm, host);
  return plan_rule_breaks(&state->problem->rules[rule], vm + 1, host + 1, &where, NULL);
}

static const PlanRule *broken_rule(DrsState *state, guint32 vm, guint32 host, bool together, WsId *other)
{
  PlanWhere where = drs_where(state);
  for (guint i = 0; state->rules[vm] && i < state->rules[vm]->len; i++) {
    guint32 index = g_array_index(state->rules[vm], guint32, i);
    const PlanRule *rule = &state->problem->rules[index];
    if (!plan_rule_is_hard(rule->kind) || (rule->kind == PLAN_RULE_KEEP_TOGETHER && !together) ||
        !breaks(state, index, vm, host))
      continue;
    if (other)
      plan_rule_breaks(rule, vm + 1, host + 1, &where, other);
    return rule;
  }
  return NULL;
}

guint drs_dislikes(DrsState *state, guint32 vm, guint32 host)
{
  guint n = 0;
  for (guint i = 0; state->rules[vm] && i < state->rules[vm]->len; i++) {
    guint32 rule = g_array_index(state->rules[vm], guint32, i);
    n += !plan_rule_is_hard(state->problem->rules[rule].kind) && !drs_domains_counts(state, rule) &&
         breaks(state, rule, vm, host);
  }
  return n;
}

/* ---- refusals ---- */

static const char *room_refusal(const DrsState *state, guint32 vm, guint32 host, bool held)
{
  const PlanDrsVm *v = &state->problem->vms[vm];
  const PlanDrsHost *h = &state->problem->hosts[host];
  gint64 promised = held ? state->hosts[host].held : state->hosts[host].promised;
  gint64 vcpus = held ? state->hosts[host].held_vcpus : state->hosts[host].vcpus;
  if (h->memory_limit_bytes && promised + v->memory_bytes > h->memory_limit_bytes)
    return "not enough memory left (overcommit ratio)";
  if (h->vcpus_limit && vcpus + v->vcpus > h->vcpus_limit)
    return "not enough vCPUs left (overcommit ratio)";
  return NULL;
}

const char *drs_refusal(DrsState *state, guint32 vm, guint32 host, bool together, char **owned)
{
  const PlanDrs *p = state->problem;
  const char *reason = p->reach ? p->reach[(gsize)p->vms[vm].reach * p->n_hosts + host] : NULL;
  WsId other = 0;
  if (p->hosts[host].empties || !p->hosts[host].takes || p->hosts[host].threads <= 0)
    return "not in service";
  if (!reason)
    reason = room_refusal(state, vm, host, false);
  const PlanRule *rule = reason ? NULL : broken_rule(state, vm, host, together, &other);
  return rule ? (*owned = plan_rule_reason(rule, other ? p->vms[other - 1].name : NULL)) : reason;
}

bool drs_may(DrsState *state, guint32 vm, guint32 host, bool together, bool room)
{
  const PlanDrs *p = state->problem;
  const PlanDrsHost *h = &p->hosts[host];
  return h->takes && !h->empties && h->threads > 0 && !(p->reach && p->reach[(gsize)p->vms[vm].reach * p->n_hosts + host]) &&
         !(room && room_refusal(state, vm, host, false)) && !broken_rule(state, vm, host, together, NULL);
}

/* ---- one move ---- */

/* Those that could take it come first, then by gain. */
static bool is_better(const PlanDrsAlternative *x, const PlanDrsAlternative *y)
{
  return !x->refused != !y->refused ? !x->refused
                                    : x->gain_s > y->gain_s; /* alike: whoever was there first */
}

/* The best few. Of a host that others have displaced already nobody asks why it would refuse. */
static void note_alternatives(DrsState *state, PlanDrsMove *move)
{
  PlanDrsAlternative *list = move->alternatives;
  guint n = 0;
  for (guint32 host = 0; host < state->problem->n_hosts; host++) {
    if (host == move->from || host == move->to)
      continue;
    bool full = n == PLAN_DRS_ALTERNATIVES, may = drs_may(state, move->vm, host, true, true);
    PlanDrsAlternative one = {host, may ? drs_gain(state, &move->vm, 1, host) : 0, NULL};
    if (full && (!may || !is_better(&one, &list[n - 1]))) /* those that refuse are alike */
      continue;
    if (!may) {
      char *owned = NULL;
      const char *refused = drs_refusal(state, move->vm, host, true, &owned);
      one.refused = owned ? owned : g_strdup(refused);
    }
    if (full)
      g_free(list[--n].refused);
    guint at = n++;
    for (; at > 0 && is_better(&one, &list[at - 1]); at--)
      list[at] = list[at - 1];
    list[at] = one;
  }
  move->n_alternatives = n;
}

/* All moves so far have ended. */
static void next_wave(DrsState *state)
{
  for (guint32 i = 0; i < state->problem->n_vms; i++)
    state->left[i] = PLAN_DRS_NOWHERE;
  for (guint32 i = 0; i < state->problem->n_hosts; i++) {
    state->hosts[i].held = state->hosts[i].promised;
    state->hosts[i].held_vcpus = state->hosts[i].vcpus;
  }
  state->wave++;
}

static bool fits_this_wave(DrsState *state, guint32 vm, guint32 to)
{
  state->sees_both = true;
  bool fits = !room_refusal(state, vm, to, true) && !broken_rule(state, vm, to, false, NULL) && state->left[vm] == PLAN_DRS_NOWHERE;
  state->sees_both = false;
  return fits;
}

static guint priority_of(PlanDrsReason reason, double gain_s, double cost_s)
{
  if (reason == PLAN_DRS_RULE || reason == PLAN_DRS_EVACUATE || reason == PLAN_DRS_MAKE_ROOM)
    return 1;
  double ratio = gain_s / fmax(cost_s, 1);
  return ratio >= 64 ? 2 : ratio >= 16 ? 3 : ratio >= 4 ? 4 : 5;
}

void drs_move(DrsState *state, guint32 vm, guint32 to, PlanDrsReason reason, guint32 rule, double gain_s)
{
  const PlanDrsVm *v = &state->problem->vms[vm];
  guint32 from = state->at[vm];
  PlanDrsMove move = {.vm = vm, .from = from, .to = to, .reason = reason, .rule = rule, .gain_s = gain_s, .cost_s = v->cost_s};
  if (!fits_this_wave(state, vm, to))
    next_wave(state);
  move.wave = state->wave;
  move.priority = priority_of(reason, gain_s, v->cost_s);
  move.from_before = drs_load(state, from);
  move.to_before = drs_load(state, to);
  note_alternatives(state, &move);
  add_vm(state, vm, from, -1);
  add_vm(state, vm, to, 1);
  state->hosts[to].held += v->memory_bytes;
  state->hosts[to].held_vcpus += v->vcpus;
  state->left[vm] = from;
  drs_domains_shift(state, vm, from, to);
  state->at[vm] = to;
  move.from_after = drs_load(state, from);
  move.to_after = drs_load(state, to);
  g_array_append_val(state->moves, move);
}
