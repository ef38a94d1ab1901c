// SPDX-License-Identifier: Apache-2.0
/* Storage DRS in a real manager with simulated hosts: a full pool is relieved once, recommendations are
 * accepted, refused, expire, a manager that is killed half-way goes on. What is planned is tried in
 * test-plan-storage-drs and tests/scenario. */
#include "center-runs.h"
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

static WsId first_pool(CenterRig *rig)
{
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  const WsHostPool *found = NULL;
  inv_each(head, &ws_type_host_pool, take_first, &found);
  return found->id;
}

static WsClusterStorageDrs *settings(void)
{
  WsClusterStorageDrs *s = ws_cluster_storage_drs_new();
  ws_apply_defaults(&ws_type_cluster_storage_drs, s);
  s->interval_s = 5;
  s->duration_s = 10;
  s->bandwidth_mbps = 80;
  s->level = strcmp(level, "automatic") == 0 ? WS_CLUSTER_STORAGE_DRS_LEVEL_AUTOMATIC
                                             : WS_CLUSTER_STORAGE_DRS_LEVEL_MANUAL;
  return s;
}

static void make_cluster(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsCluster *cluster = inv_create(txn, &ws_type_cluster);
  cluster->name = g_strdup("c");
  cluster->host_pool = first_pool(rig);
  cluster->storage_drs = settings();
  rig_world_name(rig->world, "cluster", cluster->id);
  for (guint i = 0; i < RIG_MEMBERS; i++) {
    WsHost *host = inv_edit_id(txn, &ws_type_host, rig->world->names[i].id);
    host->cluster = cluster->id;
    host->host_pool = cluster->host_pool;
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
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
  center_rig_run(rig, make_cluster, rig);
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
  g_autofree char *quarrel = center_rig_quarrel(rig);
  g_assert_cmpstr(quarrel, ==, NULL); /* each move has its audit record, among others */
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
  center_rig_run(rig, make_cluster, rig);
  center_rig_run_for(rig, 300 * SECOND_US);
  g_assert_cmpuint(moves(rig), ==, 0);
  g_assert_cmpuint(advices(rig, "pending") + advices(rig, "accepted") + advices(rig, "failed"), ==, 0);
}

static void vms_that_drs_may_not_move_keep_their_disks(void)
{
  level = "automatic";
  runs_on_site(leave, "leave");
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

static gint kill_at;

static void stop_half_way(CenterRig *rig)
{
  prepare(rig);
  rig->world->n_points = 0;
  rig->world->at = kill_at;
  rig->world->fault = RIG_KILL;
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
  g_autofree char *quarrel = center_rig_quarrel(rig);
  g_assert_cmpstr(quarrel, ==, NULL);
}

static void manager_that_is_killed_half_way_goes_on(void)
{
  level = "automatic";
  bool lived = false;
  for (kill_at = 1; !lived; kill_at += runs_stride()) {
    lived = runs_may_die(stop_half_way, "stop");
    runs_world->fault = RIG_NO_FAULT;
    runs_on_same_site(see_it_through, "go on");
  }
  g_assert_cmpint(kill_at, >, 10);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/storage-drs/full_pool_is_relieved_once", full_pool_is_relieved_once);
  g_test_add_func("/center/storage-drs/vms_that_drs_may_not_move_keep_their_disks",
                  vms_that_drs_may_not_move_keep_their_disks);
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
