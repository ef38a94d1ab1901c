// SPDX-License-Identifier: Apache-2.0
/* DRS and affinity rules in a real manager with simulated hosts: rules refuse and are healed, recommendations are accepted, a manager that is killed
 * half-way goes on. What is planned is tried in test-plan-drs. */
#include "center-runs.h"
#include "center/cluster/drs.h"
#include "model/model.h"
#include <string.h>

#define SECOND_US ((gint64)G_USEC_PER_SEC)

static bool take_first(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

static const char *rules_level; /* of the cluster */

static void fill(WsCluster *cluster)
{
  cluster->drs = ws_cluster_drs_new();
  ws_apply_defaults(&ws_type_cluster_drs, cluster->drs);
  cluster->drs->interval_s = 5;
  if (g_strcmp0(rules_level, "manual") == 0)
    cluster->drs->rules = WS_CLUSTER_DRS_RULES_MANUAL;
}

static void make_rule(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup("apart");
  rule->cluster = rig_world_find(rig->world, "cluster");
  rule->kind = WS_AFFINITY_RULE_KIND_KEEP_APART;
  rule->enabled = true;
  ws_array_add(&rule->vms, rig_world_find(rig->world, "sharer"));
  ws_array_add(&rule->vms, rig_world_find(rig->world, "resting"));
  rig_world_name(rig->world, "rule", rule->id);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static WsId host_of(CenterRig *rig, const char *vm)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsVm *)inv_find(snap, &ws_type_vm, rig_world_find(rig->world, vm)))->host;
}

static bool is_apart(CenterRig *rig)
{
  return host_of(rig, "sharer") != host_of(rig, "resting");
}

static bool count_one(const void *object, void *arg)
{
  ++*(guint *)arg;
  return true;
}

static guint moves(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  guint n = 0;
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate", count_one, &n);
  return n;
}

static guint advices(CenterRig *rig, const char *state)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  guint n = 0;
  inv_each_by(snap, &ws_type_drs_recommendation, ws_type_field(&ws_type_drs_recommendation, "state", 5), 0, state, count_one, &n);
  return n;
}

static bool rule_is_broken(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsAffinityRule *rule = inv_find(snap, &ws_type_affinity_rule, rig_world_find(rig->world, "rule"));
  return rule->health && rule->health->level > WS_HEALTH_LEVEL_OK;
}

/* Twice its memory may be promised on the second host. */
static void allow_overcommit(void *host)
{
  ((WsHost *)host)->memory_overcommit_ratio = 2;
}

/* Both run on the first host when the rule comes. */
static void prepare(CenterRig *rig)
{
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_do(rig, NULL, "vm_start", "resting", NULL);
  g_assert_false(is_apart(rig));
  center_rig_run(rig, make_rule, rig);
}

/* ---- rules ---- */

static void heal(CenterRig *rig)
{
  prepare(rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(is_apart(rig));
  g_assert_cmpuint(moves(rig), ==, 1);
  g_assert_cmpuint(advices(rig, "applied"), ==, 1);
  g_assert_cmpuint(advices(rig, "accepted"), ==, 0);
  g_assert_false(rule_is_broken(rig));
  center_rig_assert_no_quarrel(rig); /* its move has its audit record, among others */
  center_rig_run_for(rig, 600 * SECOND_US); /* and then nothing moves */
  g_assert_cmpuint(moves(rig), ==, 1);
  center_rig_settle(rig);
}

static void broken_rule_is_healed_once_with_balancing_off(void)
{
  rules_level = NULL;
  runs_on_site(heal, "heal");
}

static void refuse(CenterRig *rig)
{
  static const char *const ways[][3] = {{"vm_start", "resting", NULL}, {"vm_migrate", "sharer", "{'host':'@second'}"}};
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_run(rig, make_rule, rig);
  for (guint i = 0; i < 2; i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(center_rig_start(rig, ways[i][0], ways[i][1], ways[i][2], &error), ==, 0);
    g_assert_nonnull(error);
    if (!strstr(error->message, "rule apart keeps it apart from"))
      g_error("%s: %s", ways[i][0], error->message);
    if (i == 0) { /* the other one goes, then it may start; back it may not come */
      center_rig_do(rig, NULL, "vm_migrate", "resting", "{'host':'@second'}");
      center_rig_do(rig, NULL, "vm_start", "resting", NULL);
    }
  }
}

static void start_and_move_are_refused_naming_rule_and_vm(void)
{
  rules_level = NULL;
  runs_on_site(refuse, "refuse");
}

/* ---- fault domains ---- */

static void make_spread(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup("racks");
  rule->cluster = rig_world_find(rig->world, "cluster");
  rule->kind = WS_AFFINITY_RULE_KIND_MUST_SPREAD; /* over two: it says no number */
  rule->min_domains = WS_INT_UNSET;
  rule->enabled = true;
  ws_array_add(&rule->vms, rig_world_find(rig->world, "sharer"));
  ws_array_add(&rule->vms, rig_world_find(rig->world, "resting"));
  rig_world_name(rig->world, "rule", rule->id);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static bool one_rack;

static void into_rack(void *host)
{
  ((WsHost *)host)->fault_domain = g_strdup("rack-1");
}

static void out_of_rack(void *host)
{
  g_clear_pointer(&((WsHost *)host)->fault_domain, g_free);
}

static void spread(CenterRig *rig)
{
  static const char *const ways[][3] = {{"vm_start", "resting", NULL},
                                        {"vm_migrate", "sharer", "{'host':'@second'}"}};
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_run(rig, make_spread, rig);
  for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(center_rig_start(rig, ways[i][0], ways[i][1], ways[i][2], &error), ==, 0);
    g_assert_nonnull(error);
    if (!strstr(error->message, "rule racks spreads over 2 fault domains, and ") ||
        !strstr(error->message, " is in this one"))
      g_error("%s: %s", ways[i][0], error->message);
    if (i == 0) { /* the other one goes, then it may start; back it may not come */
      center_rig_do(rig, NULL, "vm_migrate", "resting", "{'host':'@second'}");
      center_rig_do(rig, NULL, "vm_start", "resting", NULL);
    }
  }
}

static void start_and_move_are_refused_a_domain_that_is_held(void)
{
  rules_level = NULL;
  runs_on_site(spread, "spread");
}

static void add_to_rack(CenterRig *rig)
{
  center_rig_do(rig, "added", "host_add", NULL,
                "{'address':'192.0.2.30','password':'secret','name':'added','fault_domain':'rack-9','host_key':'SHA256:"
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'}");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, rig_world_find(rig->world, "added"));
  g_assert_cmpstr(host->fault_domain, ==, "rack-9");
}

static void host_is_added_with_its_domain(void)
{
  runs_on_site(add_to_rack, "a host in a rack");
}

/* The hosts come to be of one rack: it is told, and healed when they are not any more. */
static void change_racks(CenterRig *rig)
{
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_edit(rig, &ws_type_host, "second", into_rack);
  center_rig_edit(rig, &ws_type_host, "host", into_rack);
  center_rig_do(rig, NULL, "vm_start", "resting", NULL);
  center_rig_run(rig, make_spread, rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(rule_is_broken(rig));
  g_assert_cmpuint(moves(rig), ==, 0); /* to another host of the rack would be no better */
  center_rig_edit(rig, &ws_type_host, "second", out_of_rack);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(is_apart(rig));
  g_assert_false(rule_is_broken(rig));
  g_assert_cmpuint(moves(rig), ==, 1);
  center_rig_edit(rig, &ws_type_host, "second", into_rack);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(rule_is_broken(rig));
  g_assert_cmpuint(moves(rig), ==, 1);
}

static void change_of_a_hosts_domain_breaks_and_heals(void)
{
  rules_level = NULL;
  runs_on_site(change_racks, "racks");
}

/* ---- several at once ---- */

typedef struct {
  CenterRig *rig;
  const char *name;
  TaskStarted started;
  GError *error;
} Ask;

static void ask_for_web(void *arg)
{
  Ask *ask = arg;
  Center *center = &ask->rig->center;
  TaskCause cause = {.user_name = "alice", .origin = "192.0.2.1", .cause = "user"};
  WsVm *vm = ws_vm_new();
  ws_apply_defaults(&ws_type_vm, vm);
  vm->name = g_strdup(ask->name);
  vm->cluster = rig_world_find(ask->rig->world, "cluster");
  vm->memory_bytes = (gint64)128 << 20;
  ws_map_set(&vm->labels, "role", "web");
  task_start(center->tasks, task_kind_find(center->tasks, "vm_create"), 0, vm, &cause, false, 0, &ask->started, &ask->error);
}

static bool find_web(const void *object, void *arg)
{
  const WsVm *vm = object;
  WsId *hosts = arg;
  if (g_str_has_prefix(vm->name, "web-"))
    hosts[hosts[0] ? 1 : 0] = vm->host;
  return true;
}

/* Three in one turn of the loop: none is in the inventory when the next one is placed, and there are two hosts. */
static void ask_for_three(CenterRig *rig)
{
  static const char *const names[] = {"web-1", "web-2", "web-3"};
  Ask asks[3] = {0};
  WsId hosts[2] = {0};
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_keep_apart(rig, "cluster", "web", "role=web");
  for (guint i = 0; i < 3; i++) {
    asks[i] = (Ask){.rig = rig, .name = names[i]};
    ws_co_start(rig->center.loop, ask_for_web, &asks[i]);
  }
  center_rig_settle(rig);
  g_assert_no_error(asks[0].error);
  g_assert_no_error(asks[1].error);
  g_assert_error(asks[2].error, WS_ERROR, WS_ERROR_NO_HOST);
  if (!strstr(asks[2].error->message, "rule web keeps it apart from web-"))
    g_error("%s", asks[2].error->message);
  g_clear_error(&asks[2].error);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  inv_each(snap, &ws_type_vm, find_web, hosts);
  g_assert_cmpuint(hosts[0], !=, hosts[1]);
  g_assert_cmpuint(rig->center.promises->len, ==, 0);
}

static void label_spread(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup("web");
  rule->cluster = rig_world_find(rig->world, "cluster");
  rule->kind = WS_AFFINITY_RULE_KIND_MUST_SPREAD;
  rule->enabled = true;
  rule->vm_label = g_strdup("role=web");
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static bool find_two_hosts(const void *object, void *arg)
{
  const WsVm *vm = object;
  WsId *hosts = arg;
  if (g_str_has_prefix(vm->name, "web-") && vm->host != hosts[0])
    hosts[hosts[0] ? 1 : 0] = vm->host;
  return true;
}

/* Two are on two hosts, the third may be anywhere; of one rack only the first finds a place. */
static void ask_for_three_spread(CenterRig *rig)
{
  static const char *const names[][3] = {{"web-1", "web-2", "web-3"}, {"rack-1", "rack-2", "rack-3"}};
  Ask asks[3] = {0};
  WsId hosts[2] = {0};
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_run(rig, label_spread, rig);
  if (one_rack) {
    center_rig_edit(rig, &ws_type_host, "host", into_rack);
    center_rig_edit(rig, &ws_type_host, "second", into_rack);
  }
  for (guint i = 0; i < 3; i++) {
    asks[i] = (Ask){.rig = rig, .name = names[one_rack][i]};
    ws_co_start(rig->center.loop, ask_for_web, &asks[i]);
  }
  center_rig_settle(rig);
  for (guint i = 0; i < 3; i++) {
    bool refused = one_rack && i > 0;
    if (!!asks[i].error != refused || (refused && !strstr(asks[i].error->message, "rule web spreads over 2 fault domains, and rack-1 is in this one")))
      g_error("%u: %s", i, asks[i].error ? asks[i].error->message : "it was let");
    g_clear_error(&asks[i].error);
  }
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  inv_each(snap, &ws_type_vm, find_two_hosts, hosts);
  g_assert_true(one_rack || hosts[1]);
}

static void vms_that_are_made_at_once_spread(void)
{
  rules_level = NULL;
  one_rack = false;
  runs_on_site(ask_for_three_spread, "three spread");
  one_rack = true;
  runs_on_site(ask_for_three_spread, "three in one rack");
}

static void vms_that_are_made_at_once_keep_apart(void)
{
  rules_level = NULL;
  runs_on_site(ask_for_three, "three at once");
}

/* ---- recommendations ---- */

/* As docs/drs.md says: two seconds, and two for each GiB that the guest uses. */
static void expect_cost(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsDrsRecommendation *found = NULL;
  inv_each(snap, &ws_type_drs_recommendation, take_first, &found);
  double gib = (double)found->effect->vm_memory_bytes / (double)(1 << 30);
  g_assert_cmpfloat(gib, >, 0);
  g_assert_cmpfloat_with_epsilon(found->effect->cost, 2 + 2 * gib, 0.01);
}

static void advise(CenterRig *rig)
{
  prepare(rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_false(is_apart(rig));
  g_assert_true(rule_is_broken(rig));
  g_assert_cmpuint(moves(rig), ==, 0);
  g_assert_cmpuint(advices(rig, "pending"), ==, 1); /* one, however often it looked */
  g_assert_cmpuint(advices(rig, "expired"), ==, 0);
  expect_cost(rig);
}

static void accept_it(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  const WsDrsRecommendation *found = NULL;
  inv_each(head, &ws_type_drs_recommendation, take_first, &found);
  ((WsDrsRecommendation *)inv_edit(txn, found))->state = WS_DRS_RECOMMENDATION_STATE_ACCEPTED;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static bool is_other(const void *plan, guint i, const WsDrsRecommendation *advice)
{
  return false;
}

static guint first_wave(const void *plan, guint i)
{
  return 0;
}

/* A plan that was under way when somebody accepted what was advised before: it knows nothing of that. */
static void enter_late_plan(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  const DrsMoves late = {DRS_OF_HOSTS, rig_world_find(rig->world, "cluster"), 1, NULL, is_other, NULL, first_wave, NULL, NULL};
  g_assert_true(drs_enter_moves(&rig->center, &late, 1, &error)); /* else it would ask for what it advises */
  g_assert_no_error(error);
}

static void see_accepted_done(CenterRig *rig)
{
  center_rig_run_for(rig, 30 * SECOND_US);
  center_rig_run(rig, accept_it, rig);
  center_rig_run(rig, enter_late_plan, rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(is_apart(rig));
  g_assert_cmpuint(advices(rig, "applied"), ==, 1);
  g_assert_cmpuint(advices(rig, "pending") + advices(rig, "expired"), ==, 0);
}

/* It waits over a restart, until somebody accepts it. */
static void manual_level_advises_and_does_what_is_accepted(void)
{
  rules_level = "manual";
  runs_on_site(advise, "advise");
  runs_on_same_site(see_accepted_done, "accept");
}

/* The other host has reserved all but a little: nothing is advised that it would refuse, also of VMs that
 * reserve nothing. */
static void advise_nothing_that_is_refused(CenterRig *rig)
{
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_edit(rig, &ws_type_host, "second", allow_overcommit);
  center_rig_do(rig, "hog", "vm_create", NULL,
                "{'name':'hog','host':'@second','memory_bytes':65230864384,'memory_policy':{'reservation_"
                "percent':100}}");
  center_rig_do(rig, NULL, "vm_start", "hog", NULL);
  center_rig_do(rig, NULL, "vm_start", "resting", NULL);
  center_rig_assert_refused(rig, WS_ERROR_CANNOT_MOVE, "vm_migrate", "sharer", "{'host':'@second'}");
  center_rig_run(rig, make_rule, rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(rule_is_broken(rig));
  g_assert_cmpuint(advices(rig, "pending"), ==, 0);
  g_assert_cmpuint(moves(rig), ==, 0);
}

static void what_a_reservation_forbids_is_not_advised(void)
{
  rules_level = "manual";
  runs_on_site(advise_nothing_that_is_refused, "a full host");
}

static void go_away(CenterRig *rig)
{
  advise(rig);
  center_rig_do(rig, NULL, "vm_power_off", "resting", NULL);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(advices(rig, "pending"), ==, 0);
  g_assert_cmpuint(advices(rig, "expired"), ==, 1);
  g_assert_false(rule_is_broken(rig));
}

static void advice_expires_when_its_reason_is_gone(void)
{
  rules_level = "manual";
  runs_on_site(go_away, "expire");
}

/* ---- a manager that is killed half-way ---- */

/* From here on the manager is killed at one of the commits and acts of its host that healing takes. */
static void stop_half_way(CenterRig *rig)
{
  prepare(rig);
  runs_arm(rig);
  center_rig_run_for(rig, 60 * SECOND_US);
}

static void see_it_through(CenterRig *rig)
{
  center_rig_run_for(rig, 180 * SECOND_US);
  g_assert_true(is_apart(rig));
  g_assert_cmpuint(moves(rig), ==, 1);
  g_assert_cmpuint(advices(rig, "accepted"), ==, 0);
  g_assert_cmpuint(advices(rig, "failed"), ==, 0);
}

static void manager_that_is_killed_half_way_goes_on(void)
{
  rules_level = NULL;
  g_assert_cmpint(runs_kill_at_each_point(stop_half_way, see_it_through, false), >, 5);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/drs/broken_rule_is_healed_once_with_balancing_off", broken_rule_is_healed_once_with_balancing_off);
  g_test_add_func("/center/drs/start_and_move_are_refused_naming_rule_and_vm", start_and_move_are_refused_naming_rule_and_vm);
  g_test_add_func("/center/drs/start_and_move_are_refused_a_domain_that_is_held",
                  start_and_move_are_refused_a_domain_that_is_held);
  g_test_add_func("/center/drs/host_is_added_with_its_domain", host_is_added_with_its_domain);
  g_test_add_func("/center/drs/change_of_a_hosts_domain_breaks_and_heals",
                  change_of_a_hosts_domain_breaks_and_heals);
  g_test_add_func("/center/drs/vms_that_are_made_at_once_keep_apart", vms_that_are_made_at_once_keep_apart);
  g_test_add_func("/center/drs/vms_that_are_made_at_once_spread", vms_that_are_made_at_once_spread);
  g_test_add_func("/center/drs/manual_level_advises_and_does_what_is_accepted", manual_level_advises_and_does_what_is_accepted);
  g_test_add_func("/center/drs/what_a_reservation_forbids_is_not_advised",
                  what_a_reservation_forbids_is_not_advised);
  g_test_add_func("/center/drs/advice_expires_when_its_reason_is_gone", advice_expires_when_its_reason_is_gone);
  g_test_add_func("/center/drs/manager_that_is_killed_half_way_goes_on", manager_that_is_killed_half_way_goes_on);
  int result = g_test_run();
  runs_end();
  return result;
}
