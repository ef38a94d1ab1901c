// SPDX-License-Identifier: Apache-2.0
/* Affinity rules. See rules.h. */
#include "plan/rules.h"

/* ---- one rule ---- */

static bool has(const WsId *ids, guint n, WsId id)
{
  guint low = 0, high = n;
  while (low < high) {
    guint middle = (low + high) / 2;
    if (ids[middle] == id)
      return true;
    if (ids[middle] < id)
      low = middle + 1;
    else
      high = middle;
  }
  return false;
}

bool plan_rule_has_vm(const PlanRule *rule, WsId vm)
{
  return has(rule->vms, rule->n_vms, vm);
}

bool plan_rule_has_host(const PlanRule *rule, WsId host)
{
  return has(rule->hosts, rule->n_hosts, host);
}

static bool is_on(WsId vm, WsId host, const PlanWhere *where, guint *n)
{
  WsId hosts[2];
  *n = where->hosts_of(vm, hosts, where->arg);
  return (*n > 0 && hosts[0] == host) || (*n > 1 && hosts[1] == host);
}

/* keep apart: is another one there? keep together: does another one run, but not there? */
static bool collides(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  for (guint i = 0; i < rule->n_vms; i++) {
    guint n;
    bool there = rule->vms[i] != vm && is_on(rule->vms[i], host, where, &n);
    if (rule->vms[i] == vm || (rule->kind == PLAN_RULE_KEEP_APART ? !there : there || n == 0))
      continue;
    *other = rule->vms[i];
    return true;
  }
  return false;
}

bool plan_rule_breaks(const PlanRule *rule, WsId vm, WsId host, const PlanWhere *where, WsId *other)
{
  WsId found = 0;
  bool breaks = false;
  if (plan_rule_has_vm(rule, vm))
    switch (rule->kind) {
    case PLAN_RULE_KEEP_TOGETHER:
    case PLAN_RULE_KEEP_APART:
      breaks = collides(rule, vm, host, where, &found);
      break;
    case PLAN_RULE_MUST_RUN_ON:
    case PLAN_RULE_SHOULD_RUN_ON:
      breaks = !plan_rule_has_host(rule, host);
      break;
    case PLAN_RULE_MUST_NOT_RUN_ON:
    case PLAN_RULE_SHOULD_NOT_RUN_ON:
      breaks = plan_rule_has_host(rule, host);
      break;
    }
  if (other)
    *other = found;
  return breaks;
}

/* ---- several ---- */

const PlanRule *plan_rules_refusal(const PlanRule *rules, guint n, WsId vm, WsId host, bool together, const PlanWhere *where, WsId *other)
{
  for (guint i = 0; i < n; i++)
    if (plan_rule_is_hard(rules[i].kind) && (together || rules[i].kind != PLAN_RULE_KEEP_TOGETHER) &&
        plan_rule_breaks(&rules[i], vm, host, where, other))
      return &rules[i];
  return NULL;
}

guint plan_rules_dislikes(const PlanRule *rules, guint n, WsId vm, WsId host, const PlanWhere *where)
{
  guint dislikes = 0;
  for (guint i = 0; i < n; i++)
    dislikes += !plan_rule_is_hard(rules[i].kind) && plan_rule_breaks(&rules[i], vm, host, where, NULL);
  return dislikes;
}

char *plan_rule_reason(const PlanRule *rule, const char *other)
{
  switch (rule->kind) {
  case PLAN_RULE_KEEP_TOGETHER:
    return g_strdup_printf("rule %s keeps it together with %s", rule->name, other ? other : "others");
  case PLAN_RULE_KEEP_APART:
    return g_strdup_printf("rule %s keeps it apart from %s", rule->name, other ? other : "others");
  case PLAN_RULE_MUST_RUN_ON:
    return g_strdup_printf("rule %s lets it run on other hosts only", rule->name);
  case PLAN_RULE_MUST_NOT_RUN_ON:
    return g_strdup_printf("rule %s does not let it run there", rule->name);
  case PLAN_RULE_SHOULD_RUN_ON:
    return g_strdup_printf("rule %s wants it on other hosts", rule->name);
  default:
    return g_strdup_printf("rule %s does not want it there", rule->name);
  }
}

/* ---- what breaks them ---- */

static void add_violation(GArray *found, guint rule, WsId vm, WsId host, WsId other)
{
  PlanViolation one = {rule, vm, host, other};
  g_array_append_val(found, one);
}

/* A VM that moves is looked at where it goes. */
static WsId host_of(WsId vm, const PlanWhere *where)
{
  WsId hosts[2];
  guint n = where->hosts_of(vm, hosts, where->arg);
  return n ? hosts[n - 1] : 0;
}

static void find_apart(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found)
{
  g_autoptr(GHashTable) first = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autofree WsId *hosts = g_new(WsId, rule->n_vms + 1);
  for (guint i = 0; i < rule->n_vms; i++) {
    hosts[i] = host_of(rule->vms[i], where);
    const WsId *other = hosts[i] ? g_hash_table_lookup(first, &hosts[i]) : NULL;
    if (other)
      add_violation(found, index, rule->vms[i], hosts[i], *other);
    else if (hosts[i])
      g_hash_table_insert(first, &hosts[i], (gpointer)&rule->vms[i]);
  }
}

static void find_together(const PlanRule *rule, guint index, const PlanWhere *where, GArray *found)
{
  g_autofree WsId *hosts = g_new(WsId, rule->n_vms + 1);
  guint best = 0, most = 0;
  for (guint i = 0; i < rule->n_vms; i++)
    hosts[i] = host_of(rule->vms[i], where);
  for (guint i = 0; i < rule->n_vms; i++) {
    guint n = 0;
    for (guint j = 0; hosts[i] && j < rule->n_vms; j++)
      n += hosts[j] == hosts[i];
    if (n > most)
      most = n, best = i;
  }
  for (guint i = 0; most && i < rule->n_vms; i++)
    if (hosts[i] && hosts[i] != hosts[best])
      add_violation(found, index, rule->vms[i], hosts[i], rule->vms[best]);
}

GArray *plan_rules_violations(const PlanRule *rules, guint n, const PlanWhere *where)
{
  GArray *found = g_array_new(FALSE, FALSE, sizeof(PlanViolation));
  for (guint i = 0; i < n; i++) {
    if (rules[i].kind == PLAN_RULE_KEEP_APART)
      find_apart(&rules[i], i, where, found);
    else if (rules[i].kind == PLAN_RULE_KEEP_TOGETHER)
      find_together(&rules[i], i, where, found);
    for (guint j = 0; plan_rule_names_hosts(rules[i].kind) && j < rules[i].n_vms; j++) {
      WsId host = host_of(rules[i].vms[j], where);
      if (host && plan_rule_breaks(&rules[i], rules[i].vms[j], host, where, NULL))
        add_violation(found, i, rules[i].vms[j], host, 0);
    }
  }
  return found;
}

/* ---- contradictions ---- */

/* VMs that keep together are one: a group. */
typedef struct {
  const PlanRule *rules;
  guint n_rules, n_vms;
  WsId *vms;        /* all that rules speak of, in rising order */
  guint *group;     /* of each: index of the first of its group */
  GArray **hosts;   /* by group: WsId where it may be; NULL: anywhere */
  guint *narrowed;  /* by group: the rule that said so first */
  PlanConflict *conflict;
} Weigh;

static gint by_id(gconstpointer a, gconstpointer b)
{
  WsId x = *(const WsId *)a, y = *(const WsId *)b;
  return x < y ? -1 : x > y;
}

static guint index_of(const Weigh *w, WsId vm)
{
  const WsId *at = bsearch(&vm, w->vms, w->n_vms, sizeof vm, by_id);
  return (guint)(at - w->vms);
}

static guint group_of(Weigh *w, guint vm)
{
  while (w->group[vm] != vm)
    vm = w->group[vm] = w->group[w->group[vm]];
  return vm;
}

static void gather_vms(Weigh *w)
{
  guint all = 0;
  for (guint i = 0; i < w->n_rules; i++)
    all += w->rules[i].n_vms;
  w->vms = g_new(WsId, all + 1);
  for (guint i = 0, at = 0; i < w->n_rules; at += w->rules[i++].n_vms)
    for (guint j = 0; j < w->rules[i].n_vms; j++)
      w->vms[at + j] = w->rules[i].vms[j];
  qsort(w->vms, all, sizeof(WsId), by_id);
  for (guint i = 0; i < all; i++)
    if (!w->n_vms || w->vms[w->n_vms - 1] != w->vms[i])
      w->vms[w->n_vms++] = w->vms[i];
  w->group = g_new(guint, w->n_vms + 1);
  w->narrowed = g_new0(guint, w->n_vms + 1);
  w->hosts = g_new0(GArray *, w->n_vms + 1);
  for (guint i = 0; i < w->n_vms; i++)
    w->group[i] = i;
}

static void join_groups(Weigh *w)
{
  for (guint i = 0; i < w->n_rules; i++)
    for (guint j = 1; w->rules[i].kind == PLAN_RULE_KEEP_TOGETHER && j < w->rules[i].n_vms; j++) {
      guint a = group_of(w, index_of(w, w->rules[i].vms[0])), b = group_of(w, index_of(w, w->rules[i].vms[j]));
      w->group[MAX(a, b)] = MIN(a, b);
    }
}

static bool conflicts(Weigh *w, guint a, guint b, const char *reason)
{
  *w->conflict = (PlanConflict){a, b, reason};
  return true;
}

/* A keep-together rule that this VM is in. */
static guint rule_that_joins(const Weigh *w, WsId vm)
{
  for (guint i = 0; i < w->n_rules; i++)
    if (w->rules[i].kind == PLAN_RULE_KEEP_TOGETHER && plan_rule_has_vm(&w->rules[i], vm))
      return i;
  return 0;
}

static bool together_and_apart(Weigh *w)
{
  for (guint i = 0; i < w->n_rules; i++) {
    const PlanRule *rule = &w->rules[i];
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    for (guint j = 0; rule->kind == PLAN_RULE_KEEP_APART && j < rule->n_vms; j++)
      if (!g_hash_table_add(seen, GUINT_TO_POINTER(group_of(w, index_of(w, rule->vms[j])) + 1)))
        return conflicts(w, i, rule_that_joins(w, rule->vms[j]), "the same virtual machines are to be together and apart");
  }
  return false;
}

/* The group may be only where the rule lets it. */
static bool narrow(Weigh *w, guint group, guint index)
{
  const PlanRule *rule = &w->rules[index];
  bool only = rule->kind == PLAN_RULE_MUST_RUN_ON || rule->kind == PLAN_RULE_SHOULD_RUN_ON;
  GArray *hosts = w->hosts[group];
  if (!hosts && only) {
    hosts = w->hosts[group] = g_array_new(FALSE, FALSE, sizeof(WsId));
    g_array_append_vals(hosts, rule->hosts, rule->n_hosts);
    w->narrowed[group] = index;
    return hosts->len == 0 ? conflicts(w, index, index, "it names no host") : false;
  }
  for (guint i = hosts ? hosts->len : 0; i-- > 0;)
    if (plan_rule_has_host(rule, g_array_index(hosts, WsId, i)) != only)
      g_array_remove_index(hosts, i);
  return hosts && !hosts->len ? conflicts(w, index, w->narrowed[group], "no host is left on which the virtual machines may run") : false;
}

/* First those that say where, then those that say where not. */
static bool no_host_left(Weigh *w, const PlanRuleKind *order, guint n)
{
  for (guint k = 0; k < n; k++)
    for (guint i = 0; i < w->n_rules; i++)
      for (guint j = 0; w->rules[i].kind == order[k] && j < w->rules[i].n_vms; j++)
        if (narrow(w, group_of(w, index_of(w, w->rules[i].vms[j])), i))
          return true;
  return false;
}

/* ---- more VMs that keep apart than hosts they may be on: no matching ---- */

typedef struct {
  Weigh *w;
  const PlanRule *apart;
  GHashTable *taken; /* WsId * (in a group's hosts) -> index of the VM in the rule + 1 */
  GHashTable *tried; /* WsId * */
} Match;

static bool find_host(Match *m, guint vm)
{
  GArray *hosts = m->w->hosts[group_of(m->w, index_of(m->w, m->apart->vms[vm]))];
  for (guint i = 0; i < hosts->len; i++) {
    WsId *host = &g_array_index(hosts, WsId, i);
    if (!g_hash_table_add(m->tried, host))
      continue;
    guint holder = GPOINTER_TO_UINT(g_hash_table_lookup(m->taken, host));
    if (!holder || find_host(m, holder - 1)) {
      g_hash_table_replace(m->taken, host, GUINT_TO_POINTER(vm + 1));
      return true;
    }
  }
  return false;
}

static bool too_few_hosts(Weigh *w)
{
  for (guint i = 0; i < w->n_rules; i++) {
    g_autoptr(GHashTable) taken = g_hash_table_new(g_int64_hash, g_int64_equal);
    Match m = {w, &w->rules[i], taken, NULL};
    for (guint j = 0; w->rules[i].kind == PLAN_RULE_KEEP_APART && j < w->rules[i].n_vms; j++) {
      guint group = group_of(w, index_of(w, w->rules[i].vms[j]));
      if (!w->hosts[group])
        continue;
      g_autoptr(GHashTable) tried = g_hash_table_new(g_int64_hash, g_int64_equal);
      m.tried = tried;
      if (!find_host(&m, j))
        return conflicts(w, i, w->narrowed[group], "there are fewer hosts than virtual machines that keep apart on them");
    }
  }
  return false;
}

bool plan_rules_conflict(const PlanRule *rules, guint n, PlanConflict *conflict)
{
  static const PlanRuleKind hard[] = {PLAN_RULE_MUST_RUN_ON, PLAN_RULE_MUST_NOT_RUN_ON};
  /* must not once more: for those of which only a soft rule has said where. */
  static const PlanRuleKind soft[] = {PLAN_RULE_SHOULD_RUN_ON, PLAN_RULE_MUST_NOT_RUN_ON, PLAN_RULE_SHOULD_NOT_RUN_ON};
  Weigh w = {.rules = rules, .n_rules = n, .conflict = conflict};
  gather_vms(&w);
  join_groups(&w);
  bool found = together_and_apart(&w) || no_host_left(&w, hard, G_N_ELEMENTS(hard)) || too_few_hosts(&w) ||
               no_host_left(&w, soft, G_N_ELEMENTS(soft));
  for (guint i = 0; i < w.n_vms; i++)
    if (w.hosts[i])
      g_array_unref(w.hosts[i]);
  g_free(w.hosts);
  g_free(w.narrowed);
  g_free(w.group);
  g_free(w.vms);
  return found;
}
