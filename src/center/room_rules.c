// SPDX-License-Identifier: Apache-2.0
/* Affinity rules of the inventory for the planner. See room_rules.h. */
#include "center/room_rules.h"
#include "center/room.h"
#include "plan/estate.h"
#include <string.h>

/* ---- VMs that move ---- */

typedef struct {
  const InvSnapshot *snap;
  GHashTable *arrivals;
} Arrivals;

static bool add_arrival(const void *object, void *arg)
{
  const WsTask *task = object;
  Arrivals *found = arg;
  bool in_line;
  WsId to = room_way(found->snap, task, &in_line);
  if (to) {
    WsId *pair = g_new(WsId, 2);
    pair[0] = task->target.id;
    pair[1] = to;
    g_hash_table_replace(found->arrivals, pair, pair + 1); /* the key owns both */
  }
  return true;
}

GHashTable *room_arrivals(const InvSnapshot *snap)
{
  Arrivals found = {snap, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL)};
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate", add_arrival,
              &found);
  return found.arrivals;
}

/* ---- where VMs are ---- */

/* One that is being made or started will run in a moment. */
static bool counts(const WsVm *vm)
{
  const char *verb = vm->activity ? vm->activity->verb : NULL;
  return plan_vm_is_placed(vm) || plan_vm_is_starting(vm) || g_strcmp0(verb, "creating") == 0;
}

/* NULL: it is none of those that are promised. */
static const RoomPromise *promise_of(const RoomRules *rules, WsId id)
{
  WsId i = ROOM_DRAFT - 1 - id;
  return id != ROOM_DRAFT && rules->promises && i < rules->promises->len ? rules->promises->pdata[i] : NULL;
}

guint room_rules_hosts_of(WsId id, WsId hosts[2], void *arg)
{
  const RoomRules *rules = arg;
  const RoomPromise *promise = promise_of(rules, id);
  if (promise) {
    hosts[0] = promise->host;
    return promise->host != 0;
  }
  const WsId *moved = rules->moved ? g_hash_table_lookup((GHashTable *)rules->moved, &id) : NULL;
  if (moved) {
    hosts[0] = *moved;
    return *moved != rules->emptied;
  }
  const WsVm *vm = id == ROOM_DRAFT ? NULL : inv_find(rules->snap, &ws_type_vm, id);
  const WsHost *host = vm && counts(vm) ? inv_find(rules->snap, &ws_type_host, vm->host) : NULL;
  const WsId *to = host ? g_hash_table_lookup(rules->arrivals, &id) : NULL;
  guint n = 0;
  if (host && host->id != rules->emptied && host->mode != WS_HOST_MODE_ENTERING_MAINTENANCE)
    hosts[n++] = host->id;
  if (to && *to != vm->host)
    hosts[n++] = *to;
  return n;
}

/* ---- fault domains ---- */

typedef struct {
  GHashTable *names;   /* name -> WsId *, in domains' values */
  GHashTable *domains; /* WsId * -> WsId *, one block each */
  guint n;
} Domains;

/* Hosts come in the order of their ids. */
static bool add_domain(const void *object, void *arg)
{
  const WsHost *host = object;
  Domains *all = arg;
  WsId *pair = g_new(WsId, 2);
  const WsId *known = host->fault_domain ? g_hash_table_lookup(all->names, host->fault_domain) : NULL;
  pair[0] = host->id;
  pair[1] = known ? *known : host->id;
  all->n += !known;
  g_hash_table_replace(all->domains, pair, pair + 1); /* the key owns both */
  if (host->fault_domain && !known)
    g_hash_table_insert(all->names, host->fault_domain, pair + 1);
  return true;
}

/* Caller unrefs. */
static GHashTable *domains_of(const InvSnapshot *snap, WsId cluster, guint *n)
{
  g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
  Domains all = {names, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL), 0};
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster, NULL, add_domain,
              &all);
  *n = all.n;
  return all.domains;
}

guint room_domains(const InvSnapshot *snap, WsId cluster)
{
  guint n;
  g_hash_table_unref(domains_of(snap, cluster, &n));
  return n;
}

WsId room_rules_domain_of(WsId host, void *arg)
{
  const RoomRules *rules = arg;
  const WsId *domain = rules->domains ? g_hash_table_lookup(rules->domains, &host) : NULL;
  return domain ? *domain : host;
}

/* ---- from the inventory ---- */

static bool fits_label(const WsMap *labels, const char *label)
{
  const char *equals = strchr(label, '=');
  g_autofree char *key = equals ? g_strndup(label, (gsize)(equals - label)) : NULL;
  const char *value = key ? ws_map_get(labels, key) : NULL;
  return value && strcmp(value, equals + 1) == 0;
}

typedef struct {
  const InvSnapshot *snap;
  const char *label;
  GArray *ids;
} ByLabel;

static bool add_vm_by_label(const void *object, void *arg)
{
  const WsVm *vm = object;
  ByLabel *by = arg;
  if (fits_label(&vm->labels, by->label))
    g_array_append_val(by->ids, vm->id);
  return true;
}

static bool add_vms_of_host(const void *object, void *arg)
{
  ByLabel *by = arg;
  inv_each_by(by->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), ((const WsHost *)object)->id, NULL, add_vm_by_label, by);
  return true;
}

static bool add_host_by_label(const void *object, void *arg)
{
  const WsHost *host = object;
  ByLabel *by = arg;
  if (fits_label(&host->labels, by->label))
    g_array_append_val(by->ids, host->id);
  return true;
}

static gint by_id(gconstpointer a, gconstpointer b)
{
  WsId x = *(const WsId *)a, y = *(const WsId *)b;
  return x < y ? -1 : x > y;
}

/* In rising order, each once. */
static const WsId *settle(RoomRules *rules, GArray *ids, guint *n)
{
  g_array_sort(ids, by_id);
  for (guint i = ids->len; i-- > 1;)
    if (g_array_index(ids, WsId, i) == g_array_index(ids, WsId, i - 1))
      g_array_remove_index(ids, i);
  *n = ids->len;
  g_ptr_array_add(rules->lists, ids);
  return (const WsId *)ids->data;
}

static GArray *vms_of(RoomRules *rules, const WsAffinityRule *rule, const WsVm *draft)
{
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  WsId draft_id = ROOM_DRAFT;
  ByLabel by = {rules->snap, rule->vm_label, ids};
  for (guint i = 0; i < rule->vms.len; i++)
    if (inv_find(rules->snap, &ws_type_vm, rule->vms.items[i]))
      g_array_append_val(ids, rule->vms.items[i]);
  if (!rule->vm_label)
    return ids;
  inv_each_by(rules->snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), rule->cluster, NULL, add_vms_of_host, &by);
  if (draft && fits_label(&draft->labels, rule->vm_label))
    g_array_append_val(ids, draft_id);
  for (guint i = 0; rules->promises && i < rules->promises->len; i++) {
    WsId id = ROOM_DRAFT - 1 - i;
    if (fits_label(&((const RoomPromise *)rules->promises->pdata[i])->draft->labels, rule->vm_label))
      g_array_append_val(ids, id);
  }
  return ids;
}

static GArray *hosts_of(RoomRules *rules, const WsAffinityRule *rule)
{
  GArray *ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  ByLabel by = {rules->snap, rule->host_label, ids};
  for (guint i = 0; i < rule->hosts.len; i++)
    if (inv_find(rules->snap, &ws_type_host, rule->hosts.items[i]))
      g_array_append_val(ids, rule->hosts.items[i]);
  if (rule->host_label)
    inv_each_by(rules->snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), rule->cluster, NULL, add_host_by_label, &by);
  return ids;
}

typedef struct {
  RoomRules *rules;
  const WsVm *draft;
  const WsAffinityRule *changed;
} Gather;

static void add_rule(Gather *gather, const WsAffinityRule *rule)
{
  RoomRules *rules = gather->rules;
  PlanRule row = {.id = rule->id, .name = rule->name, .kind = (PlanRuleKind)rule->kind};
  if (plan_rule_spreads(row.kind))
    row.min_domains = rule->min_domains == WS_INT_UNSET ? ROOM_DOMAINS_MIN : (guint)rule->min_domains;
  if (!rule->enabled || !(int)rule->kind)
    return;
  row.vms = settle(rules, vms_of(rules, rule, gather->draft), &row.n_vms);
  row.hosts = settle(rules, hosts_of(rules, rule), &row.n_hosts);
  g_array_append_val(rules->rules, row);
}

static bool look_at_rule(const void *object, void *arg)
{
  Gather *gather = arg;
  const WsAffinityRule *rule = object;
  if (!gather->changed || gather->changed->id != rule->id)
    add_rule(gather, rule);
  return true;
}

static void unref_list(gpointer list)
{
  g_array_unref(list);
}

static RoomRules *new_rules(const InvSnapshot *snap, WsId cluster, const WsVm *draft, const WsAffinityRule *changed, const GPtrArray *promises)
{
  RoomRules *rules = g_new0(RoomRules, 1);
  Gather gather = {rules, draft, changed};
  G_STATIC_ASSERT((int)PLAN_RULE_SHOULD_SPREAD == (int)WS_AFFINITY_RULE_KIND_SHOULD_SPREAD);
  rules->snap = snap;
  rules->promises = promises;
  rules->rules = g_array_new(FALSE, FALSE, sizeof(PlanRule));
  rules->lists = g_ptr_array_new_with_free_func(unref_list);
  if (cluster)
    inv_each_by(snap, &ws_type_affinity_rule, ws_type_field(&ws_type_affinity_rule, "cluster", 7), cluster, NULL, look_at_rule, &gather);
  if (changed)
    add_rule(&gather, changed);
  for (guint i = 0, n; i < rules->rules->len && !rules->domains; i++)
    if (plan_rule_spreads(g_array_index(rules->rules, PlanRule, i).kind))
      rules->domains = domains_of(snap, cluster, &n);
  rules->arrivals = rules->rules->len ? room_arrivals(snap) : g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  return rules;
}

RoomRules *room_rules_new(const InvSnapshot *snap, WsId cluster, const WsVm *draft, const WsAffinityRule *changed)
{
  return new_rules(snap, cluster, draft, changed, NULL);
}

RoomRules *room_rules_new_with(const InvSnapshot *snap, WsId cluster, const WsVm *draft, const GPtrArray *promises)
{
  return new_rules(snap, cluster, draft, NULL, promises);
}

void room_rules_free(RoomRules *rules)
{
  if (!rules)
    return;
  g_array_unref(rules->rules);
  g_ptr_array_unref(rules->lists);
  g_hash_table_unref(rules->arrivals);
  g_clear_pointer(&rules->domains, g_hash_table_unref);
  g_clear_pointer(&rules->tallies, g_ptr_array_unref);
  g_free(rules);
}

/* ---- where those are that spread, counted once for all hosts ---- */

static PlanTally *tally_of(const PlanRule *rule, void *arg);

/* One that starts is nowhere yet, and one that leaves its host is still there. */
static WsId home_of(WsId id, void *arg)
{
  const RoomRules *rules = arg;
  const WsId *moved = rules->moved ? g_hash_table_lookup((GHashTable *)rules->moved, &id) : NULL;
  const WsVm *vm = promise_of(rules, id) || id == ROOM_DRAFT ? NULL : inv_find(rules->snap, &ws_type_vm, id);
  const char *verb = vm && vm->activity ? vm->activity->verb : NULL;
  if (moved)
    return *moved;
  return vm && plan_vm_is_placed(vm) && !plan_vm_is_starting(vm) && g_strcmp0(verb, "creating") != 0
             ? vm->host
             : 0;
}

static PlanWhere where_of(RoomRules *rules)
{
  return (PlanWhere){room_rules_hosts_of, rules, room_rules_domain_of, tally_of, home_of};
}

static void free_tally(gpointer tally)
{
  plan_tally_free(tally);
}

static PlanTally *tally_of(const PlanRule *rule, void *arg)
{
  RoomRules *rules = arg;
  guint i = (guint)(rule - (const PlanRule *)rules->rules->data);
  PlanWhere where = where_of(rules);
  if (!rules->tallies) {
    rules->tallies = g_ptr_array_new_with_free_func(free_tally);
    g_ptr_array_set_size(rules->tallies, (gint)rules->rules->len);
  }
  if (!rules->tallies->pdata[i])
    rules->tallies->pdata[i] = plan_tally_new(rule, &where);
  return rules->tallies->pdata[i];
}

static void look_again(RoomRules *rules, WsId vm)
{
  PlanWhere where = where_of(rules);
  for (guint i = 0; rules->tallies && i < rules->tallies->len; i++)
    if (rules->tallies->pdata[i])
      plan_tally_look(rules->tallies->pdata[i], vm, &where);
}

void room_rules_sends(RoomRules *rules, WsId vm, WsId host)
{
  WsId *pair = g_new(WsId, 2);
  pair[0] = vm;
  pair[1] = host;
  g_hash_table_replace(rules->arrivals, pair, pair + 1);
  look_again(rules, vm);
}

void room_rules_promised(RoomRules *rules, const RoomPromise *promise)
{
  guint i;
  if (rules->promises && g_ptr_array_find((GPtrArray *)rules->promises, promise, &i))
    look_again(rules, ROOM_DRAFT - 1 - i);
}

/* ---- what they say ---- */

static const char *name_of(const RoomRules *rules, WsId vm)
{
  const RoomPromise *promise = promise_of(rules, vm);
  const WsVm *found = promise ? promise->draft : vm && vm != ROOM_DRAFT ? inv_find(rules->snap, &ws_type_vm, vm) : NULL;
  return found ? found->name : NULL;
}

static char *domain_name(const RoomRules *rules, WsId id)
{
  const WsHost *host = inv_find(rules->snap, &ws_type_host, id);
  return host ? g_strdup(host->fault_domain ? host->fault_domain : host->name) : NULL;
}

char *room_rules_refusal(RoomRules *rules, WsId vm, WsId host, bool together)
{
  PlanWhere where = where_of(rules);
  WsId other = 0;
  const PlanRule *broken =
      plan_rules_refusal((PlanRule *)rules->rules->data, rules->rules->len, vm, host, together, &where, &other);
  return broken ? plan_rule_reason(broken, name_of(rules, other)) : NULL;
}

guint room_rules_dislikes(RoomRules *rules, WsId vm, WsId host)
{
  PlanWhere where = where_of(rules);
  return plan_rules_dislikes((PlanRule *)rules->rules->data, rules->rules->len, vm, host, &where);
}

void room_rules_weigh(RoomRules *rules, WsId vm, PlanHost *hosts, guint n, GPtrArray *texts)
{
  if (rules->moved)
    g_clear_pointer(&rules->tallies, g_ptr_array_unref);
  for (guint i = 0; rules->rules->len && i < n; i++) {
    char *why = room_rules_refusal(rules, vm, hosts[i].id, true);
    hosts[i].dislikes = room_rules_dislikes(rules, vm, hosts[i].id);
    if (why) {
      g_ptr_array_add(texts, why);
      hosts[i].barred = why;
    }
  }
}

WsAffinityViolations *room_rules_violations(RoomRules *rules, WsId only)
{
  PlanWhere where = where_of(rules);
  WsAffinityViolations *out = ws_affinity_violations_new();
  g_autoptr(GArray) found = plan_rules_violations((PlanRule *)rules->rules->data, rules->rules->len, &where);
  for (guint i = 0; i < found->len; i++) {
    const PlanViolation *v = &g_array_index(found, PlanViolation, i);
    const PlanRule *rule = &g_array_index(rules->rules, PlanRule, v->rule);
    if (only && rule->id != only)
      continue;
    WsAffinityViolation *one = ws_affinity_violation_new();
    one->rule = rule->id;
    one->name = g_strdup(rule->name);
    one->vm = v->vm;
    one->vm_name = g_strdup(name_of(rules, v->vm));
    one->host = v->host;
    one->other = v->other;
    one->domain = plan_rule_spreads(rule->kind) ? domain_name(rules, v->host) : NULL;
    one->reason = plan_rule_reason(rule, name_of(rules, v->other));
    ws_array_add(&out->items, one);
  }
  return out;
}

static bool check(RoomRules *rules, bool only_last, GError **error)
{
  PlanConflict conflict;
  g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(WsId)),
                    domains = g_array_new(FALSE, FALSE, sizeof(WsId));
  GHashTableIter iter;
  gpointer key;
  if (rules->domains)
    g_hash_table_iter_init(&iter, rules->domains);
  while (rules->domains && g_hash_table_iter_next(&iter, &key, NULL))
    g_array_append_val(hosts, *(WsId *)key);
  g_array_sort(hosts, by_id);
  for (guint i = 0; i < hosts->len; i++) {
    WsId domain = room_rules_domain_of(g_array_index(hosts, WsId, i), rules);
    g_array_append_val(domains, domain);
  }
  PlanDomains all = {(const WsId *)hosts->data, (const WsId *)domains->data, hosts->len};
  const PlanDomains *there = rules->domains ? &all : NULL;
  const PlanRule *rows = (const PlanRule *)rules->rules->data;
  guint n = rules->rules->len;
  if (only_last ? !plan_rules_conflict_last(rows, n, there, &conflict)
                : !plan_rules_conflict(rows, n, there, &conflict))
    return true;
  return ws_fail(error, WS_ERROR_RULE_CONFLICT, "object", g_array_index(rules->rules, PlanRule, conflict.a).name, "other",
                 g_array_index(rules->rules, PlanRule, conflict.b).name, "reason", conflict.reason, NULL);
}

bool room_rules_check(RoomRules *rules, GError **error)
{
  return check(rules, false, error);
}

bool room_rules_check_last(RoomRules *rules, GError **error)
{
  return check(rules, true, error);
}
