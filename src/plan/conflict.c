// SPDX-License-Identifier: Apache-2.0
/* Affinity rules that contradict each other. See rules.h. */
#include "plan/rules.h"

/* VMs that keep together are one: a group. */
typedef struct {
  const PlanRule *rules;
  guint n_rules, n_vms;
  WsId *vms;       /* all that rules speak of, in rising order */
  guint *group;    /* of each: index of the first of its group */
  GArray **hosts;  /* by group: WsId where it may be; NULL: anywhere */
  guint *narrowed; /* by group: the rule that said so first */
  const PlanDomains *domains;
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
      guint a = group_of(w, index_of(w, w->rules[i].vms[0])),
            b = group_of(w, index_of(w, w->rules[i].vms[j]));
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
        return conflicts(w, i, rule_that_joins(w, rule->vms[j]),
                         "the same virtual machines are to be together and apart");
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
  return hosts && !hosts->len ? conflicts(w, index, w->narrowed[group],
                                          "no host is left on which the virtual machines may run")
                              : false;
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
        return conflicts(w, i, w->narrowed[group],
                         "there are fewer hosts than virtual machines that keep apart on them");
    }
  }
  return false;
}

/* ---- VMs that spread: kept together, or fewer domains than they need ---- */

static WsId domain_of_host(const Weigh *w, WsId host)
{
  const WsId *at = w->domains && w->domains->n
                       ? bsearch(&host, w->domains->hosts, w->domains->n, sizeof host, by_id)
                       : NULL;
  return at ? w->domains->domains[at - w->domains->hosts] : host;
}

/* By group: indexes of the rules that say where it must not be; NULL: none. */
static GArray **rules_that_forbid(Weigh *w)
{
  GArray **forbid = g_new0(GArray *, w->n_vms + 1);
  for (guint i = 0; i < w->n_rules; i++)
    for (guint j = 0; w->rules[i].kind == PLAN_RULE_MUST_NOT_RUN_ON && j < w->rules[i].n_vms; j++) {
      GArray **of = &forbid[group_of(w, index_of(w, w->rules[i].vms[j]))];
      *of = *of ? *of : g_array_new(FALSE, FALSE, sizeof(guint));
      g_array_append_val(*of, i);
    }
  return forbid;
}

static bool is_forbidden(const Weigh *w, const GArray *forbid, WsId host)
{
  for (guint i = 0; i < forbid->len; i++)
    if (plan_rule_has_host(&w->rules[g_array_index(forbid, guint, i)], host))
      return true;
  return false;
}

/* VMs of a rule that may be in the same domains. */
typedef struct {
  GArray *domains; /* WsId, in rising order, each once */
  guint n_vms;
  guint rule; /* that keeps them there */
} Among;

/* Counts each once. */
static void add_domain(const Weigh *w, GArray *domains, GHashTable *seen, WsId host)
{
  WsId domain = domain_of_host(w, host);
  if (!g_hash_table_contains(seen, &domain)) {
    g_hash_table_add(seen, g_memdup2(&domain, sizeof domain));
    g_array_append_val(domains, domain);
  }
}

/* Where the group may be, of what is there; NULL: in `wanted` domains or more. Caller unrefs. */
static GArray *domains_left(const Weigh *w, guint group, const GArray *forbid, guint wanted)
{
  const GArray *hosts = w->hosts[group];
  if (!hosts && !(forbid && w->domains))
    return NULL;
  GArray *domains = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  for (guint i = 0; hosts && i < hosts->len && domains->len < wanted; i++)
    add_domain(w, domains, seen, g_array_index(hosts, WsId, i));
  for (guint i = 0; !hosts && i < w->domains->n && domains->len < wanted; i++)
    if (!is_forbidden(w, forbid, w->domains->hosts[i]))
      add_domain(w, domains, seen, w->domains->hosts[i]);
  if (domains->len >= wanted)
    g_clear_pointer(&domains, g_array_unref);
  else
    g_array_sort(domains, by_id);
  return domains;
}

static bool is_within(const GArray *some, const GArray *all)
{
  for (guint i = 0; i < some->len; i++)
    if (!all->len || !bsearch(&g_array_index(some, WsId, i), all->data, all->len, sizeof(WsId), by_id))
      return false;
  return true;
}

/* Takes the domains over. */
static void enter_among(GArray *sets, GArray *domains, guint rule)
{
  for (guint i = 0; i < sets->len; i++) {
    Among *one = &g_array_index(sets, Among, i);
    if (one->domains->len == domains->len && is_within(one->domains, domains)) {
      one->n_vms++;
      g_array_unref(domains);
      return;
    }
  }
  Among fresh = {domains, 1, rule};
  g_array_append_val(sets, fresh);
}

static void clear_among(gpointer among)
{
  g_array_unref(((Among *)among)->domains);
}

static bool too_few_domains(Weigh *w, guint index, const GArray *sets)
{
  for (guint i = 0; i < sets->len; i++) {
    const Among *all = &g_array_index(sets, Among, i);
    guint n = 0;
    for (guint j = 0; j < sets->len; j++) {
      const Among *some = &g_array_index(sets, Among, j);
      n += is_within(some->domains, all->domains) ? some->n_vms : 0;
    }
    if (all->domains->len < MIN(n, w->rules[index].min_domains))
      return conflicts(w, index, all->rule,
                       "there are fewer fault domains than the virtual machines that spread need");
  }
  return false;
}

/* Two that keep together break it when no other one runs. */
static bool cannot_spread_one(Weigh *w, guint index, GArray *const *forbid)
{
  const PlanRule *rule = &w->rules[index];
  g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
  g_autoptr(GArray) sets = g_array_new(FALSE, FALSE, sizeof(Among));
  g_array_set_clear_func(sets, clear_among);
  for (guint i = 0; i < rule->n_vms; i++) {
    guint group = group_of(w, index_of(w, rule->vms[i]));
    if (!g_hash_table_add(seen, GUINT_TO_POINTER(group + 1)))
      return conflicts(w, index, rule_that_joins(w, rule->vms[i]),
                       "the same virtual machines are to be together and in different fault domains");
    GArray *domains = domains_left(w, group, forbid[group], MIN(rule->n_vms, rule->min_domains));
    if (domains)
      enter_among(sets, domains,
                  w->hosts[group] ? w->narrowed[group] : g_array_index(forbid[group], guint, 0));
  }
  return too_few_domains(w, index, sets);
}

static bool cannot_spread(Weigh *w)
{
  GArray **forbid = rules_that_forbid(w);
  bool found = false;
  for (guint i = 0; i < w->n_rules && !found; i++)
    found = w->rules[i].kind == PLAN_RULE_MUST_SPREAD && w->rules[i].min_domains > 1 &&
            cannot_spread_one(w, i, forbid);
  for (guint i = 0; i < w->n_vms; i++)
    g_clear_pointer(&forbid[i], g_array_unref);
  g_free(forbid);
  return found;
}

bool plan_rules_conflict(const PlanRule *rules, guint n, const PlanDomains *domains, PlanConflict *conflict)
{
  static const PlanRuleKind hard[] = {PLAN_RULE_MUST_RUN_ON, PLAN_RULE_MUST_NOT_RUN_ON};
  /* must not once more: for those of which only a soft rule has said where. */
  static const PlanRuleKind soft[] = {PLAN_RULE_SHOULD_RUN_ON, PLAN_RULE_MUST_NOT_RUN_ON,
                                      PLAN_RULE_SHOULD_NOT_RUN_ON};
  Weigh w = {.rules = rules, .n_rules = n, .domains = domains, .conflict = conflict};
  gather_vms(&w);
  join_groups(&w);
  bool found = together_and_apart(&w) || no_host_left(&w, hard, G_N_ELEMENTS(hard)) || too_few_hosts(&w) ||
               cannot_spread(&w) || no_host_left(&w, soft, G_N_ELEMENTS(soft));
  for (guint i = 0; i < w.n_vms; i++)
    if (w.hosts[i])
      g_array_unref(w.hosts[i]);
  g_free(w.hosts);
  g_free(w.narrowed);
  g_free(w.group);
  g_free(w.vms);
  return found;
}

/* ---- what one rule adds ---- */

/* Indexes of the rules, by what is looked at. */
static void tell_by(PlanConflict *conflict, const guint *index)
{
  conflict->a = index[conflict->a];
  conflict->b = index[conflict->b];
}

/* Of the others as many as can be kept stay, and the last one is looked at with them; then with each that had
 * to go. */
bool plan_rules_conflict_last(const PlanRule *rules, guint n, const PlanDomains *domains,
                              PlanConflict *conflict)
{
  g_autofree PlanRule *kept = g_memdup2(rules, n * sizeof *rules);
  g_autofree guint *index = g_new(guint, n + 1), *gone = g_new(guint, n + 1);
  guint n_kept = n ? n - 1 : 0, n_gone = 0;
  for (guint i = 0; i < n; i++)
    index[i] = i;
  if (!n || !plan_rules_conflict(rules, n, domains, conflict))
    return false;
  while (n_kept && plan_rules_conflict(kept, n_kept, domains, conflict)) {
    gone[n_gone++] = index[conflict->a];
    n_kept--;
    for (guint i = conflict->a; i < n_kept; i++) {
      kept[i] = kept[i + 1];
      index[i] = index[i + 1];
    }
  }
  kept[n_kept] = rules[n - 1];
  index[n_kept] = n - 1;
  if (plan_rules_conflict(kept, n_kept + 1, domains, conflict)) {
    tell_by(conflict, index);
    return true;
  }
  for (guint i = 0; i < n_gone; i++) {
    const PlanRule alone = rules[gone[i]], pair[] = {alone, rules[n - 1]};
    if (plan_rules_conflict(&alone, 1, domains, conflict) || !plan_rules_conflict(pair, 2, domains, conflict))
      continue;
    tell_by(conflict, (const guint[]){gone[i], n - 1});
    return true;
  }
  return false;
}
