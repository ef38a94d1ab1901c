// SPDX-License-Identifier: Apache-2.0
/* DPM in a real manager with simulated hosts: an idle host goes to sleep and comes back, also over a manager that is killed at each point of it.
 * What is decided is tried in test-plan-dpm. */
#include "center-runs.h"
#include "model/model.h"

#define SECOND_US ((gint64)G_USEC_PER_SEC)

static void fill(WsCluster *cluster)
{
  cluster->dpm = ws_cluster_dpm_new();
  ws_apply_defaults(&ws_type_cluster_dpm, cluster->dpm);
  cluster->dpm->level = WS_CLUSTER_DPM_LEVEL_AUTOMATIC;
  cluster->dpm->interval_s = 5;
  cluster->dpm->duration_s = cluster->dpm->spare_hosts = 0;
}

static void want_both(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsCluster *cluster = inv_edit_id(txn, &ws_type_cluster, rig_world_find(rig->world, "cluster"));
  cluster->dpm->min_hosts_on = 2;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static bool looks(CenterRig *rig, int standby, int mode, bool connected)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, rig->world->names[0].id);
  return (int)host->standby == standby && (int)host->mode == mode && (host->state == WS_HOST_STATE_CONNECTED) == connected;
}

static void wait_until(CenterRig *rig, int standby, int mode, bool connected, guint seconds)
{
  for (guint i = 0; i < seconds && !looks(rig, standby, mode, connected); i++)
    center_rig_run_for(rig, SECOND_US);
  g_assert_true(looks(rig, standby, mode, connected));
}

/* Nothing runs any more; the first host is the one with a BMC. */
static void prepare(CenterRig *rig)
{
  static const char *const vms[] = {"sharer", "mover", "still", "running", "paused"};
  for (guint i = 0; i < G_N_ELEMENTS(vms); i++)
    center_rig_do(rig, NULL, "vm_power_off", vms[i], NULL);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill);
}

static void sleep_and_wake(CenterRig *rig)
{
  prepare(rig);
  wait_until(rig, WS_HOST_STANDBY_ASLEEP, WS_HOST_MODE_MAINTENANCE, false, 600);
  center_rig_run(rig, want_both, rig);
  wait_until(rig, 0, WS_HOST_MODE_NORMAL, true, 60); /* it went to sleep just now, and is woken all the same */
}

static void idle_host_sleeps_and_is_woken_when_it_is_needed(void)
{
  runs_on_site(sleep_and_wake, "sleep and wake");
}

static void fall_asleep(CenterRig *rig)
{
  prepare(rig);
  runs_arm(rig);
  wait_until(rig, WS_HOST_STANDBY_ASLEEP, WS_HOST_MODE_MAINTENANCE, false, 600);
}

static void see_it_wake(CenterRig *rig)
{
  center_rig_run(rig, want_both, rig);
  center_rig_run_for(rig, 60 * SECOND_US); /* what was begun comes to its end: it may be asleep by now */
  wait_until(rig, 0, WS_HOST_MODE_NORMAL, true, 600);
  center_rig_run_for(rig, 60 * SECOND_US);
  g_assert_true(looks(rig, 0, WS_HOST_MODE_NORMAL, true));
}

static void manager_that_is_killed_on_the_way_brings_it_back(void)
{
  g_assert_cmpint(runs_kill_at_each_point(fall_asleep, see_it_wake, true), >, 5);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/dpm/idle_host_sleeps_and_is_woken_when_it_is_needed", idle_host_sleeps_and_is_woken_when_it_is_needed);
  g_test_add_func("/center/dpm/manager_that_is_killed_on_the_way_brings_it_back", manager_that_is_killed_on_the_way_brings_it_back);
  int result = g_test_run();
  runs_end();
  return result;
}
