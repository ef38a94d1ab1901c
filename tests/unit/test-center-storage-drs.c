// SPDX-License-Identifier: Apache-2.0
/* Storage DRS in a real manager with simulated hosts: a full pool is relieved once, recommendations are
 * accepted, refused, expire, a manager that is killed half-way goes on. What is planned is tried in
 * test-plan-storage-drs and tests/scenario. */
#include "center-runs.h"
#include "center/api/view.h"
#include "center/verbs.h"
#include "model/model.h"
#include <string.h>

#define SECOND_US ((gint64)G_USEC_PER_SEC)
#define MIB       ((gint64)1 << 20)

static const char *level; /* of the cluster */

static bool take_first(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

static void fill(WsCluster *cluster)
{
  WsClusterStorageDrs *s = cluster->storage_drs = ws_cluster_storage_drs_new();
  ws_apply_defaults(&ws_type_cluster_storage_drs, s);
  s->interval_s = 5;
  s->duration_s = 10;
  s->bandwidth_mbps = 80;
  s->level = strcmp(level, "automatic") == 0 ? WS_CLUSTER_STORAGE_DRS_LEVEL_AUTOMATIC
                                             : WS_CLUSTER_STORAGE_DRS_LEVEL_MANUAL;
}

/* Three VMs have a disk of 1 MiB there, one runs, one is paused, one is off; 20 MiB, of which 85 % are taken:
 * two must go. */
static void fill_pool(CenterRig *rig)
{
  HostDisks *disks = &rig->world->disks;
  for (guint i = 0; i < HOST_FILES; i++)
    if (disks->files[i].there)
      disks->files[i].allocated_bytes = disks->files[i].size_bytes;
  host_set_space(disks, rig_world_find(rig->world, "shared_pool"), 20 * MIB, 14 * MIB);
  host_set_space(disks, rig_world_find(rig->world, "idle_shared_pool"), 20 * MIB, 2 * MIB);
  center_rig_do(rig, NULL, "pool_refresh", "shared_pool", NULL);
  center_rig_do(rig, NULL, "pool_refresh", "idle_shared_pool", NULL);
}

static void prepare(CenterRig *rig)
{
  fill_pool(rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
}

static double used_percent(CenterRig *rig, const char *pool)
{
  return 100 * (1 - (double)host_free_bytes(&rig->world->disks, rig_world_find(rig->world, pool)) /
                        (double)(20 * MIB));
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
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate_storage",
              count_one, &n);
  return n;
}

static guint advices(CenterRig *rig, const char *state)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  guint n = 0;
  inv_each_by(snap, &ws_type_drs_recommendation, ws_type_field(&ws_type_drs_recommendation, "state", 5), 0,
              state, count_one, &n);
  return n;
}

/* ---- automatic ---- */

static bool check_task(const void *object, void *arg)
{
  const WsTask *task = object;
  gint64 *last_ended = arg;
  g_assert_cmpstr(task->cause, ==, "drs");
  g_assert_true(g_str_has_prefix(task->request_id, "drs-"));
  g_assert_nonnull(task->request);
  g_assert_nonnull(strstr(task->request, "\"bandwidth_bytes_per_s\":10000000")); /* 80 Mbit/s */
  g_assert_cmpint(task->created, >=, *last_ended);                               /* one at a time */
  *last_ended = task->ended;
  return true;
}

static void check_tasks(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  gint64 last_ended = 0;
  inv_each_by(snap, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate_storage",
              check_task, &last_ended);
}

static void relieve(CenterRig *rig)
{
  prepare(rig);
  center_rig_run_for(rig, 120 * SECOND_US);
  g_assert_cmpuint(moves(rig), ==, 2);
  g_assert_cmpuint(advices(rig, "applied"), ==, 2);
  g_assert_cmpuint(advices(rig, "accepted"), ==, 0);
  g_assert_cmpfloat_with_epsilon(used_percent(rig, "shared_pool"), 75, 1e-6);
  g_assert_cmpfloat_with_epsilon(used_percent(rig, "idle_shared_pool"), 20, 1e-6);
  check_tasks(rig);
  center_rig_assert_no_quarrel(rig); /* each move has its audit record, among others */
  center_rig_run_for(rig, 7200 * SECOND_US); /* and then nothing moves, also when the volumes have rested */
  g_assert_cmpuint(advices(rig, "applied"), ==, 2);
  g_assert_cmpuint(advices(rig, "accepted") + advices(rig, "failed"), ==, 0);
  g_assert_cmpuint(moves(rig), ==, 0); /* those have gone to history */
  center_rig_settle(rig);
}

static void full_pool_is_relieved_once(void)
{
  level = "automatic";
  runs_on_site(relieve, "relieve");
}

static void set_off(void *arg)
{
  static const char *const names[] = {"sharer", "still", "resting"};
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    ((WsVm *)inv_edit_id(txn, &ws_type_vm, rig_world_find(rig->world, names[i])))->drs_level =
        WS_VM_DRS_LEVEL_OFF;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void leave(CenterRig *rig)
{
  fill_pool(rig);
  center_rig_run(rig, set_off, rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_run_for(rig, 300 * SECOND_US);
  g_assert_cmpuint(moves(rig), ==, 0);
  g_assert_cmpuint(advices(rig, "pending") + advices(rig, "accepted") + advices(rig, "failed"), ==, 0);
}

static void vms_that_drs_may_not_move_keep_their_disks(void)
{
  level = "automatic";
  runs_on_site(leave, "leave");
}

/* ---- when nothing can be done ---- */

static guint n_told(CenterRig *rig)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  char id[WS_ID_TEXT_MAX];
  guint n = 0;
  store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 1000, rows, NULL);
  for (guint i = 0; i < rows->len; i++) {
    const WsEvent *event = rows->pdata[i];
    if (g_strcmp0(event->text, "storage_drs_stuck") != 0)
      continue;
    n++;
    g_assert_cmpstr(event->object, ==, ws_id_format(ws_type_pool.prefix, rig_world_find(rig->world, "shared_pool"), id));
    g_assert_cmpstr(ws_map_get(&event->params, "percent"), ==, "85");
    g_assert_cmpstr(ws_map_get(&event->params, "threshold"), ==, "80");
  }
  return n;
}

/* The other pool is out of service: nowhere to go. */
static void stay_stuck(CenterRig *rig)
{
  fill_pool(rig);
  center_rig_do(rig, NULL, "pool_suspend", "idle_shared_pool", NULL);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
  center_rig_run_for(rig, 300 * SECOND_US);
  g_assert_cmpuint(moves(rig), ==, 0);
  g_assert_cmpuint(n_told(rig), ==, 1); /* however often it looked */
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "shared_pool"), 20 * MIB, 4 * MIB);
  center_rig_do(rig, NULL, "pool_refresh", "shared_pool", NULL);
  center_rig_run_for(rig, 60 * SECOND_US);
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "shared_pool"), 20 * MIB, 14 * MIB);
  center_rig_do(rig, NULL, "pool_refresh", "shared_pool", NULL);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(n_told(rig), ==, 2); /* it has filled up anew */
}

static void pool_that_nothing_can_relieve_is_told_once(void)
{
  level = "automatic";
  runs_on_site(stay_stuck, "stuck");
}

/* ---- recommendations ---- */

static bool check_advice(const void *object, void *arg)
{
  const WsDrsRecommendation *advice = object;
  CenterRig *rig = arg;
  g_assert_cmpint(advice->kind, ==, WS_DRS_RECOMMENDATION_KIND_STORAGE);
  g_assert_cmpint(advice->reason, ==, WS_DRS_RECOMMENDATION_REASON_SPACE);
  g_assert_cmpint((gint64)advice->from_pool, ==, (gint64)rig_world_find(rig->world, "shared_pool"));
  g_assert_cmpint((gint64)advice->to_pool, ==, (gint64)rig_world_find(rig->world, "idle_shared_pool"));
  g_assert_cmpstr(advice->disk, ==, "disk-0");
  g_assert_cmpint(advice->effect->disk_bytes, ==, MIB);
  g_assert_cmpfloat(advice->effect->from_space_after, <, advice->effect->from_space_before);
  g_assert_cmpfloat(advice->effect->to_space_after, >, advice->effect->to_space_before);
  bool lone = false, near = false;
  for (guint i = 0; i < advice->alternatives.len; i++) {
    const WsDrsAlternative *one = advice->alternatives.items[i];
    lone =
        lone || (strcmp(one->pool, "lone_pool") == 0 &&
                 g_strcmp0(one->refused, "second reaches the pool where the disk is, but not this one") == 0);
    near = near ||
           (strcmp(one->pool, "far") == 0 && g_strcmp0(one->refused, "the VM's host does not reach it") == 0);
  }
  g_assert_true(lone && near);
  return true;
}

static void advise(CenterRig *rig)
{
  prepare(rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(moves(rig), ==, 0);
  g_assert_cmpuint(advices(rig, "pending"), ==, 2); /* two, however often it looked */
  g_assert_cmpuint(advices(rig, "expired"), ==, 0);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  inv_each(snap, &ws_type_drs_recommendation, check_advice, rig);
}

static bool has_line(const WsDrsRecommendationExplainResult *why, const char *line)
{
  for (guint i = 0; i < why->lines.len; i++)
    if (strstr(why->lines.items[i], line))
      return true;
  for (guint i = 0; i < why->lines.len; i++)
    g_test_message("%s", why->lines.items[i]);
  return false;
}

static void tell_why(CenterRig *rig)
{
  advise(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsDrsRecommendation *advice = NULL;
  inv_each(snap, &ws_type_drs_recommendation, take_first, &advice);
  ApiView view = {&rig->center, snap, advice, NULL};
  void *result = NULL;
  g_autoptr(GError) error = NULL;
  g_assert_true(drs_recommendation_explain(&view, &result, &error));
  g_autoptr(WsDrsRecommendationExplainResult) why = result;
  g_assert_true(has_line(why, "shared_pool is fuller than the threshold."));
  g_assert_true(has_line(why, "disk-0"));
  g_assert_true(has_line(why, "shared_pool: 85 % used before, 80 % after."));
  g_assert_true(has_line(why, "idle_shared_pool: 10 % used before, 15 % after."));
  g_assert_true(has_line(why, "lone_pool cannot take it: second reaches the pool where the disk is, but not this one."));
}

static void explain_tells_of_both_pools_and_of_those_it_passed_over(void)
{
  level = "manual";
  runs_on_site(tell_why, "explain");
}

typedef struct {
  InvTxn *txn;
  guint n;
} Accept;

static bool accept_one(const void *object, void *arg)
{
  Accept *accept = arg;
  WsDrsRecommendation *edit = inv_edit(accept->txn, object);
  edit->state = WS_DRS_RECOMMENDATION_STATE_ACCEPTED;
  return --accept->n > 0;
}

static void accept_all(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  Accept accept = {txn, 2};
  inv_each(head, &ws_type_drs_recommendation, accept_one, &accept);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void see_accepted_done(CenterRig *rig)
{
  center_rig_run_for(rig, 30 * SECOND_US);
  g_assert_cmpuint(advices(rig, "pending"), ==, 2);
  center_rig_run(rig, accept_all, rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(advices(rig, "applied"), ==, 2);
  g_assert_cmpuint(moves(rig), ==, 2);
}

/* They wait over a restart, until somebody accepts them. */
static void manual_level_advises_and_does_what_is_accepted(void)
{
  level = "manual";
  runs_on_site(advise, "advise");
  runs_on_same_site(see_accepted_done, "accept");
}

static void refuse(CenterRig *rig)
{
  advise(rig);
  center_rig_do(rig, NULL, "pool_suspend", "idle_shared_pool", NULL);
  center_rig_run(rig, accept_all, rig);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(advices(rig, "failed"), ==, 2);
  g_assert_cmpuint(advices(rig, "accepted") + advices(rig, "pending"), ==,
                   0); /* and it is not tried again at once */
  g_assert_cmpfloat_with_epsilon(used_percent(rig, "shared_pool"), 85, 1e-6);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsDrsRecommendation *advice = NULL;
  inv_each(snap, &ws_type_drs_recommendation, take_first, &advice);
  g_assert_nonnull(advice->note);
  g_assert_nonnull(strstr(advice->note, "suspended"));
}

static void move_that_is_refused_says_why_and_rests(void)
{
  level = "manual";
  runs_on_site(refuse, "refuse");
}

/* Somebody has cleaned up; nobody has told the manager. */
static void clean_up(CenterRig *rig)
{
  advise(rig);
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "shared_pool"), 20 * MIB, 4 * MIB);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_cmpuint(advices(rig, "pending"), ==, 0);
  g_assert_cmpuint(advices(rig, "expired"), ==, 2);
}

static void advice_expires_when_its_reason_is_gone(void)
{
  level = "manual";
  runs_on_site(clean_up, "expire");
}

/* ---- a manager that is killed half-way ---- */

static void stop_half_way(CenterRig *rig)
{
  prepare(rig);
  runs_arm(rig);
  center_rig_run_for(rig, 120 * SECOND_US);
}

static void see_it_through(CenterRig *rig)
{
  center_rig_run_for(rig, 240 * SECOND_US);
  g_assert_cmpfloat_with_epsilon(used_percent(rig, "shared_pool"), 75, 1e-6);
  g_assert_cmpfloat_with_epsilon(used_percent(rig, "idle_shared_pool"), 20, 1e-6);
  g_assert_cmpuint(moves(rig), ==, 2);
  g_assert_cmpuint(advices(rig, "accepted"), ==, 0);
  g_assert_cmpuint(advices(rig, "failed"), ==, 0);
  center_rig_assert_no_quarrel(rig);
}

static void manager_that_is_killed_half_way_goes_on(void)
{
  level = "automatic";
  g_assert_cmpint(runs_kill_at_each_point(stop_half_way, see_it_through, false), >, 10);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/storage-drs/full_pool_is_relieved_once", full_pool_is_relieved_once);
  g_test_add_func("/center/storage-drs/vms_that_drs_may_not_move_keep_their_disks",
                  vms_that_drs_may_not_move_keep_their_disks);
  g_test_add_func("/center/storage-drs/pool_that_nothing_can_relieve_is_told_once", pool_that_nothing_can_relieve_is_told_once);
  g_test_add_func("/center/storage-drs/explain_tells_of_both_pools_and_of_those_it_passed_over",
                  explain_tells_of_both_pools_and_of_those_it_passed_over);
  g_test_add_func("/center/storage-drs/manual_level_advises_and_does_what_is_accepted",
                  manual_level_advises_and_does_what_is_accepted);
  g_test_add_func("/center/storage-drs/move_that_is_refused_says_why_and_rests",
                  move_that_is_refused_says_why_and_rests);
  g_test_add_func("/center/storage-drs/advice_expires_when_its_reason_is_gone",
                  advice_expires_when_its_reason_is_gone);
  g_test_add_func("/center/storage-drs/manager_that_is_killed_half_way_goes_on",
                  manager_that_is_killed_half_way_goes_on);
  int result = g_test_run();
  runs_end();
  return result;
}
