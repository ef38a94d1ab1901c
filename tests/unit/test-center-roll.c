// SPDX-License-Identifier: Apache-2.0
/* Rolling maintenance in a real manager with two simulated hosts and a VM that runs through all of it: what it says before, what stops it and where, how it
 * goes on, and a manager that is killed at each point of it. */
#include "center-runs.h"
#include "center/api/view.h"
#include "center/cluster/evacuation.h"
#include "center/cluster/maintenance.h"
#include "center/verbs.h"
#include "model/model.h"
#include <string.h>

#define SECOND_US ((gint64)G_USEC_PER_SEC)

/* ---- the site: one cluster of both hosts, of whose VMs one runs ---- */

static void prepare(CenterRig *rig)
{
  static const char *const vms[] = {"mover", "still", "running", "paused"};
  for (guint i = 0; i < G_N_ELEMENTS(vms); i++)
    center_rig_do(rig, NULL, "vm_power_off", vms[i], NULL);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
}

/* ---- looking ---- */

static int mode_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return (int)((const WsHost *)inv_find(snap, &ws_type_host, rig_world_find(rig->world, name)))->mode;
}

static guint n_left(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsCluster *)inv_find(snap, &ws_type_cluster, rig_world_find(rig->world, "cluster")))->maintenance_left.len;
}

static bool vm_runs(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "sharer"));
  return vm->power && vm->power->state == WS_POWER_STATE_RUNNING;
}

static void assert_agreed(CenterRig *rig)
{
  center_rig_assert_no_quarrel(rig);
  g_assert_true(vm_runs(rig));
}

static void assert_all_done(CenterRig *rig)
{
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_NORMAL);
  g_assert_cmpint(mode_of(rig, "second"), ==, WS_HOST_MODE_NORMAL);
  g_assert_cmpuint(n_left(rig), ==, 0);
  assert_agreed(rig);
}

static bool was_told(const char *text, CenterRig *rig)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  bool found = false;
  center_rig_run_for(rig, 5 * SECOND_US);
  store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 1000, rows, NULL);
  for (guint i = 0; i < rows->len; i++)
    found = found || g_strcmp0(((const WsEvent *)rows->pdata[i])->text, text) == 0;
  return found;
}

/* ---- before it begins ---- */

typedef struct {
  CenterRig *rig;
  TaskStarted started;
} Dry;

static void run_dry(void *arg)
{
  Dry *dry = arg;
  Center *center = &dry->rig->center;
  g_autoptr(GError) error = NULL;
  const TaskCause why = {.user_name = "alice", .cause = "user"};
  task_start(center->tasks, task_kind_find(center->tasks, "cluster_roll_maintenance"), rig_world_find(dry->rig->world, "cluster"), NULL, &why, true, 0,
             &dry->started, &error);
  g_assert_no_error(error);
}

static WsMaintenancePlan *plan_of(CenterRig *rig, const InvSnapshot *snap)
{
  ApiView view = {&rig->center, snap, inv_find(snap, &ws_type_cluster, rig_world_find(rig->world, "cluster")), NULL};
  void *plan = NULL;
  g_autoptr(GError) error = NULL;
  g_assert_true(cluster_maintenance_plan(&view, &plan, &error));
  return plan;
}

/* The VM comes back on paper as it will for real: the second host's turn finds it there. */
static void tell_plan(CenterRig *rig)
{
  prepare(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(WsMaintenancePlan) plan = plan_of(rig, snap);
  g_assert_true(plan->possible);
  g_assert_cmpuint(plan->hosts.len, ==, 2);
  for (guint i = 0; i < 2; i++) {
    g_assert_cmpstr(plan->hosts.items[i]->name, ==, i ? "second" : "host");
    g_assert_cmpuint(plan->hosts.items[i]->moves.len, ==, 1);
    g_assert_cmpstr(plan->hosts.items[i]->moves.items[0]->name, ==, "sharer");
    g_assert_cmpstr(plan->hosts.items[i]->moves.items[0]->to_name, ==, i ? "host" : "second");
    g_assert_true(i ? !plan->hosts.items[i]->stays
                    : strstr(plan->hosts.items[i]->stays, "that are off stay: ") != NULL);
  }
  Dry dry = {.rig = rig};
  center_rig_run(rig, run_dry, &dry);
  guint last = g_strv_length(dry.started.dry_steps) - 1;
  g_assert_cmpstr(dry.started.dry_steps[0], ==, "host: sharer -> second");
  for (guint i = 1; i < last; i++) /* what does not run there */
    g_assert_true(g_str_has_prefix(dry.started.dry_steps[i], "host: ") &&
                  strstr(dry.started.dry_steps[i], " stay"));
  g_assert_cmpuint(last, >, 1);
  g_assert_cmpstr(dry.started.dry_steps[last], ==, "second: sharer -> host");
  g_strfreev(dry.started.dry_steps);
  center_rig_settle(rig);
  assert_all_done(rig);
}

static void plan_names_hosts_in_order_and_what_moves(void)
{
  runs_on_site(tell_plan, "plan");
}

static WsAffinityRuleKind kind_on_paper;
static WsId third_id;

/* A third host, small, and a rule between the two VMs that leave the first. */
static void add_third(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  const WsHost *like = inv_find(head, &ws_type_host, rig_world_find(rig->world, "second"));
  WsHost *third = inv_create(txn, &ws_type_host);
  third_id = third->id;
  third->name = g_strdup("third");
  third->cluster = like->cluster;
  third->host_pool = like->host_pool;
  third->architecture = like->architecture;
  third->state = WS_HOST_STATE_CONNECTED;
  third->facts = ws_host_facts_copy(like->facts);
  third->facts->memory_bytes = (gint64)2 << 30;
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup("apart");
  rule->cluster = like->cluster;
  rule->kind = kind_on_paper;
  rule->enabled = true;
  ws_array_add(&rule->vms, rig_world_find(rig->world, "sharer"));
  ws_array_add(&rule->vms, rig_world_find(rig->world, "still"));
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void prepare_plan_with_rule(CenterRig *rig)
{
  static const char *const vms[] = {"mover", "running", "paused"};
  for (guint i = 0; i < G_N_ELEMENTS(vms); i++)
    center_rig_do(rig, NULL, "vm_power_off", vms[i], NULL);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  center_rig_run(rig, add_third, rig);
}

static void tell_plan_with_rule(CenterRig *rig)
{
  prepare_plan_with_rule(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(WsMaintenancePlan) plan = plan_of(rig, snap);
  g_assert_true(plan->possible);
  const WsMaintenancePlanHost *first = plan->hosts.items[0], *second = plan->hosts.items[1];
  g_assert_cmpuint(first->moves.len, ==, 2);
  g_assert_cmpstr(first->moves.items[0]->to_name, ==, "second"); /* the larger one */
  g_assert_cmpstr(first->moves.items[1]->to_name, ==, "third");
  g_assert_cmpuint(second->moves.len, ==, 1);
  g_assert_cmpstr(second->moves.items[0]->to_name, ==, "host"); /* not to the other one */
}

static void into_rack(void *host)
{
  ((WsHost *)host)->fault_domain = g_strdup("rack-2");
}

/* All but the one that is emptied are of one rack. */
static void refuse_plan_of_one_rack(CenterRig *rig)
{
  prepare_plan_with_rule(rig);
  rig_world_name(rig->world, "third", third_id);
  center_rig_edit(rig, &ws_type_host, "second", into_rack);
  center_rig_edit(rig, &ws_type_host, "third", into_rack);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(WsMaintenancePlan) plan = plan_of(rig, snap);
  g_assert_false(plan->possible);
  if (!strstr(plan->hosts.items[0]->refused, "rule apart spreads over 2 fault domains"))
    g_error("%s", plan->hosts.items[0]->refused);
  g_assert_null(plan->hosts.items[1]->refused);
}

static void into_rack_2_too(void *host)
{
  g_free(((WsHost *)host)->fault_domain);
  into_rack(host);
}

/* There is but one rack: the rule is broken, and is no more so by whoever moves within it. */
static void tell_plan_within_the_only_rack(CenterRig *rig)
{
  prepare_plan_with_rule(rig);
  rig_world_name(rig->world, "third", third_id);
  center_rig_edit(rig, &ws_type_host, "host", into_rack_2_too);
  center_rig_edit(rig, &ws_type_host, "second", into_rack_2_too);
  center_rig_edit(rig, &ws_type_host, "third", into_rack_2_too);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(WsMaintenancePlan) plan = plan_of(rig, snap);
  if (!plan->possible)
    g_error("%s", ((const WsMaintenancePlanHost *)plan->hosts.items[0])->refused);
}

static void plan_keeps_rules_with_what_has_moved_on_paper(void)
{
  kind_on_paper = WS_AFFINITY_RULE_KIND_KEEP_APART;
  runs_on_site(tell_plan_with_rule, "rule on paper");
  kind_on_paper = WS_AFFINITY_RULE_KIND_MUST_SPREAD; /* each host is a domain of its own */
  runs_on_site(tell_plan_with_rule, "spread on paper");
  runs_on_site(refuse_plan_of_one_rack, "one rack on paper");
  runs_on_site(tell_plan_within_the_only_rack, "the only rack on paper");
}

static void assert_refused(CenterRig *rig, const char *json, WsErrorCode code, const char *part)
{
  g_autoptr(GError) error = NULL;
  g_assert_cmpint((gint64)center_rig_start(rig, "cluster_roll_maintenance", "cluster", json, &error), ==, 0);
  g_assert_cmpint(ws_error_code(error), ==, code);
  if (!strstr(error->message, part))
    g_error("%s", error->message);
  center_rig_settle(rig);
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_NORMAL);
  g_assert_cmpuint(n_left(rig), ==, 0);
}

static void pin(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup("licence");
  rule->cluster = rig_world_find(rig->world, "cluster");
  rule->kind = WS_AFFINITY_RULE_KIND_MUST_RUN_ON;
  rule->enabled = true;
  ws_array_add(&rule->vms, rig_world_find(rig->world, "sharer"));
  ws_array_add(&rule->hosts, rig_world_find(rig->world, "host"));
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void refuse_pinned(CenterRig *rig)
{
  prepare(rig);
  center_rig_run(rig, pin, rig);
  assert_refused(rig, NULL, WS_ERROR_ROLL_REFUSED, "licence");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(WsMaintenancePlan) plan = plan_of(rig, snap);
  g_assert_false(plan->possible);
  g_assert_nonnull(strstr(plan->hosts.items[0]->refused, "sharer: "));
  g_assert_null(plan->hosts.items[1]->refused); /* nothing is there */
  center_rig_do(rig, NULL, "cluster_roll_maintenance", "cluster", "{'hosts':['@second']}");
  assert_all_done(rig);
}

/* An ISO that lies on the host alone keeps its VM there, which only the VM's own check knows. */
static void refuse_iso(CenterRig *rig)
{
  prepare(rig);
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  assert_refused(rig, NULL, WS_ERROR_ROLL_REFUSED, "ISO");
}

/* What was given away on paper before the refusal is taken back: the plan of the next host begins from what is so. */
static void refusal_leaves_the_plan_as_it_was(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(Evacuation) evacuation = evacuation_new(snap, rig_world_find(rig->world, "cluster"), NULL);
  const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "sharer"));
  g_autofree PlanHost *before = g_memdup2(evacuation->rooms->data, evacuation->rooms->len * sizeof(PlanHost));
  g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(EvacuationMove));
  g_autoptr(GError) error = NULL;
  g_assert_false(evacuation_empty(evacuation, inv_find(snap, &ws_type_host, vm->host), 1, moves, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_NO_HEADROOM);
  g_assert_cmpuint(moves->len, ==, 0);
  for (guint i = 0; i < evacuation->rooms->len; i++) {
    const PlanHost *room = &g_array_index(evacuation->rooms, PlanHost, i);
    g_autoptr(GPtrArray) there = evacuation_vms_on(evacuation, room->id);
    g_assert_cmpint(room->memory_used_bytes, ==, before[i].memory_used_bytes);
    g_assert_cmpint(room->vcpus_used, ==, before[i].vcpus_used);
    g_assert_cmpint(room->in_service, ==, before[i].in_service);
    g_assert_cmpint(g_ptr_array_find(there, vm, NULL), ==, room->id == vm->host);
  }
}

static void refuse_headroom(CenterRig *rig)
{
  prepare(rig);
  refusal_leaves_the_plan_as_it_was(rig);
  assert_refused(rig, "{'spare_hosts':1}", WS_ERROR_ROLL_REFUSED, "bear the loss of 1");
  assert_refused(rig, "{'parallel':2}", WS_ERROR_ROLL_REFUSED, "sharer"); /* nothing is left on */
  assert_refused(rig, "{'continue':true}", WS_ERROR_NOT_ALLOWED, "nothing is left");
  center_rig_switch(rig, 1, false);
  center_rig_run_for(rig, 30 * SECOND_US);
  assert_refused(rig, NULL, WS_ERROR_ROLL_REFUSED, "second: not connected");
}

static void host_that_cannot_be_emptied_is_named_before_anything_happens(void)
{
  runs_on_site(refuse_pinned, "rule");
  runs_on_site(refuse_iso, "iso");
  runs_on_site(refuse_headroom, "headroom");
}

/* ---- it rolls ---- */

static void roll(CenterRig *rig)
{
  prepare(rig);
  center_rig_do(rig, NULL, "cluster_roll_maintenance", "cluster", "{'reboot':'orderly'}");
  center_rig_settle(rig);
  assert_all_done(rig);
  g_assert_cmpint(rig->world->hosts[0].boots, ==, 1);
  g_assert_cmpint(rig->world->hosts[1].boots, ==, 1);
  g_assert_false(was_told("roll_stopped", rig));
}

static void each_host_is_rebooted_empty_and_the_vm_runs_on(void)
{
  runs_on_site(roll, "roll");
}

/* The agent is there before libvirt is: the second host's VM would find nobody there to take it. */
static void roll_with_a_late_libvirt(CenterRig *rig)
{
  rig->world->hosts[0].libvirt_late = 4;
  roll(rig);
  g_assert_cmpuint(rig->world->hosts[0].libvirt_late, ==, 0);
}

static void next_host_waits_until_libvirt_answers_on_the_one_before(void)
{
  runs_on_site(roll_with_a_late_libvirt, "late libvirt");
}

static void start(CenterRig *rig, const char *json)
{
  g_autoptr(GError) error = NULL;
  center_rig_start(rig, "cluster_roll_maintenance", "cluster", json, &error);
  g_assert_no_error(error);
}

static void until_mode(CenterRig *rig, const char *host, int mode)
{
  for (guint i = 0; i < 600 && mode_of(rig, host) != mode; i++)
    center_rig_run_for(rig, SECOND_US);
  g_assert_cmpint(mode_of(rig, host), ==, mode);
}

static void say_leave(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  for (guint i = 0; i < RIG_MEMBERS; i++) {
    WsHost *host = inv_edit_id(txn, &ws_type_host, rig->world->names[i].id);
    if (host->mode == WS_HOST_MODE_MAINTENANCE)
      host->mode = WS_HOST_MODE_NORMAL;
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

/* Else nobody may let it leave. */
static bool awaits_word(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return maintain_awaits_word(snap, inv_find(snap, &ws_type_host, rig_world_find(rig->world, name)));
}

static void pause_each(CenterRig *rig)
{
  prepare(rig);
  start(rig, "{'pause':true}");
  for (guint i = 0; i < RIG_MEMBERS; i++) {
    until_mode(rig, i ? "second" : "host", WS_HOST_MODE_ENTERING_MAINTENANCE);
    g_assert_false(awaits_word(rig, i ? "second" : "host"));
    until_mode(rig, i ? "second" : "host", WS_HOST_MODE_MAINTENANCE);
    center_rig_run_for(rig, 3600 * SECOND_US); /* for as long as it takes */
    g_assert_cmpint(mode_of(rig, i ? "second" : "host"), ==, WS_HOST_MODE_MAINTENANCE);
    g_assert_cmpint(mode_of(rig, i ? "host" : "second"), ==, WS_HOST_MODE_NORMAL);
    g_assert_true(awaits_word(rig, i ? "second" : "host") && !awaits_word(rig, i ? "host" : "second"));
    g_assert_cmpuint(n_left(rig), ==, 2 - i);
    g_assert_true(vm_runs(rig));
    center_rig_run(rig, say_leave, rig);
  }
  center_rig_settle(rig);
  assert_all_done(rig);
  g_assert_true(was_told("maintain_waits", rig));
}

static void host_waits_for_the_word_before_the_next_begins(void)
{
  runs_on_site(pause_each, "pause");
}

/* ---- what stops it ---- */

static void cancel_at_work(CenterRig *rig)
{
  prepare(rig);
  start(rig, "{'pause':true}");
  until_mode(rig, "host", WS_HOST_MODE_MAINTENANCE);
  center_rig_run_for(rig, 10 * SECOND_US);
  center_rig_run(rig, rig_cancel_task, rig);
  center_rig_settle(rig);
  g_assert_cmpint(center_rig_last_task(rig)->state, ==, WS_TASK_STATE_CANCELLED);
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_MAINTENANCE); /* somebody may be working on it */
  g_assert_cmpint(mode_of(rig, "second"), ==, WS_HOST_MODE_NORMAL);
  g_assert_cmpuint(n_left(rig), ==, 2);
  assert_agreed(rig);
  g_assert_true(was_told("roll_stopped", rig));
  center_rig_do(rig, NULL, "cluster_roll_maintenance", "cluster", "{'continue':true}");
  center_rig_settle(rig);
  assert_all_done(rig);
}

static void cancelled_one_can_be_continued(void)
{
  runs_on_site(cancel_at_work, "cancel");
}

static void assert_clear(CenterRig *rig, const WsTask *task)
{
  bool done = task->state == WS_TASK_STATE_DONE;
  guint left = n_left(rig);
  g_assert_true(done == (left == 0));
  g_assert_true(left < 2 ? task->state == (done ? WS_TASK_STATE_DONE : WS_TASK_STATE_PARTLY_DONE) : task->error != NULL);
  for (guint i = 0; i < RIG_MEMBERS; i++) {
    int mode = mode_of(rig, i ? "second" : "host");
    g_assert_true(mode == WS_HOST_MODE_NORMAL || (!done && mode == WS_HOST_MODE_MAINTENANCE));
  }
  if (left == 2) /* the first failed: the other has not begun */
    g_assert_cmpint(mode_of(rig, "second"), ==, WS_HOST_MODE_NORMAL);
  assert_agreed(rig);
}

static void fail_somewhere(CenterRig *rig)
{
  RigWorld *world = rig->world;
  gint at = world->at;
  prepare(rig);
  world->n_acts = world->happened = 0;
  world->at = at;
  world->fault = RIG_FAIL;
  start(rig, NULL);
  center_rig_settle(rig);
  world->at = 0; /* no more */
}

/* A restart later: what could not be cleaned up on a host has been by then. */
static void see_what_became(CenterRig *rig)
{
  const WsTask *task = center_rig_last_task(rig);
  assert_clear(rig, task);
  rig->world->n_ops = task->state != WS_TASK_STATE_DONE; /* told to the test's own process */
  if (n_left(rig))
    center_rig_do(rig, NULL, "cluster_roll_maintenance", "cluster", "{'continue':true}");
  center_rig_settle(rig);
  assert_all_done(rig);
}

static void first_failure_stops_it_and_continue_does_the_rest(void)
{
  gint n_stopped = 0;
  for (gint at = 1;; at++) {
    runs_begin(RIG_NO_FAULT, at);
    runs_on_same_site(fail_somewhere, "fail");
    if (!runs_world->happened)
      break;
    runs_on_same_site(see_what_became, "continue");
    n_stopped += runs_world->n_ops;
  }
  g_assert_cmpint(n_stopped, >, 2);
}

/* ---- a manager that is killed half-way ---- */

static void stop_half_way(CenterRig *rig)
{
  prepare(rig);
  runs_arm(rig);
  start(rig, "{'reboot':'orderly'}");
  center_rig_settle(rig);
}

static void see_it_through(CenterRig *rig)
{
  center_rig_settle(rig);
  const WsTask *task = center_rig_last_task(rig);
  if (strcmp(task->kind, "cluster_roll_maintenance") == 0)
    g_assert_cmpint(task->state, ==, WS_TASK_STATE_DONE);
  assert_all_done(rig);
}

static void manager_that_is_killed_half_way_goes_on(void)
{
  g_assert_cmpint(runs_kill_at_each_point(stop_half_way, see_it_through, false), >, 20);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/roll/plan_names_hosts_in_order_and_what_moves", plan_names_hosts_in_order_and_what_moves);
  g_test_add_func("/center/roll/plan_keeps_rules_with_what_has_moved_on_paper", plan_keeps_rules_with_what_has_moved_on_paper);
  g_test_add_func("/center/roll/host_that_cannot_be_emptied_is_named_before_anything_happens",
                  host_that_cannot_be_emptied_is_named_before_anything_happens);
  g_test_add_func("/center/roll/each_host_is_rebooted_empty_and_the_vm_runs_on", each_host_is_rebooted_empty_and_the_vm_runs_on);
  g_test_add_func("/center/roll/next_host_waits_until_libvirt_answers_on_the_one_before", next_host_waits_until_libvirt_answers_on_the_one_before);
  g_test_add_func("/center/roll/host_waits_for_the_word_before_the_next_begins", host_waits_for_the_word_before_the_next_begins);
  g_test_add_func("/center/roll/cancelled_one_can_be_continued", cancelled_one_can_be_continued);
  g_test_add_func("/center/roll/first_failure_stops_it_and_continue_does_the_rest", first_failure_stops_it_and_continue_does_the_rest);
  g_test_add_func("/center/roll/manager_that_is_killed_half_way_goes_on", manager_that_is_killed_half_way_goes_on);
  int result = g_test_run();
  runs_end();
  return result;
}
