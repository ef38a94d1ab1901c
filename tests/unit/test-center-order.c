// SPDX-License-Identifier: Apache-2.0
/* What a host says comes late and out of order: lists that were made before a VM was defined, stopped or removed, events that an answer has
 * overtaken. The inventory ends up as the host is, and on the way says nothing of what did not happen. */
#include "center-runs.h"
#include "inventory/store-private.h"
#include "task/task-private.h"
#include <string.h>

#define LATE_US (200 * G_GINT64_CONSTANT(1000)) /* longer than any task here, shorter than what center_rig_settle() waits */

static void assert_no_event(CenterRig *rig, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_assert_true(store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 10000, events, &error));
  for (guint i = 0; i < events->len; i++)
    g_assert_cmpstr(((WsEvent *)events->pdata[i])->text, !=, text);
}

static guint count_vms(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return inv_count(snap, &ws_type_vm);
}

static int power_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, name));
  return vm->power->state;
}

/* A list is made now and comes in LATE_US; meanwhile something is done to its end. */
static void read_host_while(CenterRig *rig, const char *name, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  host_sim_delay(rig->hosts[0].sim, LATE_US, 0);
  center_rig_start(rig, "host_sync", "host", NULL, &error);
  g_assert_no_error(error);
  for (gint64 looks = rig->world->hosts[0].looks; looks == rig->world->hosts[0].looks;)
    center_rig_run_for(rig, 1);
  center_rig_do(rig, name, kind, target, json);
  center_rig_run_for(rig, 2 * LATE_US);
  host_sim_delay(rig->hosts[0].sim, 0, 0);
}

/* ---- lists ---- */

static void create_during_a_list(CenterRig *rig)
{
  read_host_while(rig, "late", "vm_create", NULL, "{'name':'late','host':'@host','memory_bytes':67108864}");
  assert_no_event(rig, "vm_vanished");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void vm_defined_after_a_list_was_made_is_not_gone(void)
{
  runs_on_site(create_during_a_list, "create during a list");
}

static void start_during_a_list(CenterRig *rig)
{
  read_host_while(rig, NULL, "vm_start", "off", NULL);
  g_assert_cmpint(power_of(rig, "off"), ==, WS_POWER_STATE_RUNNING);
  assert_no_event(rig, "vm_power_changed");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void vm_started_after_a_list_was_made_runs(void)
{
  runs_on_site(start_during_a_list, "start during a list");
}

static void destroy_during_a_list(CenterRig *rig)
{
  guint n = count_vms(rig);
  read_host_while(rig, NULL, "vm_delete", "off", "{'how':'destroy'}");
  g_assert_cmpuint(count_vms(rig), ==, n - 1);
  center_rig_settle(rig);
  g_assert_cmpuint(count_vms(rig), ==, n - 1);
}

static void vm_removed_after_a_list_was_made_is_not_found(void)
{
  runs_on_site(destroy_during_a_list, "destroy during a list");
}

/* ---- events ---- */

/* The event of the stop is overtaken by the answer to the start. */
static void stop_and_start(CenterRig *rig)
{
  host_sim_delay(rig->hosts[0].sim, 0, LATE_US);
  center_rig_do(rig, NULL, "vm_power_off", "running", NULL);
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  host_sim_delay(rig->hosts[0].sim, 0, 0);
  for (guint i = 0; i < 40; i++) {
    g_assert_cmpint(power_of(rig, "running"), ==, WS_POWER_STATE_RUNNING);
    center_rig_run_for(rig, LATE_US / 10);
  }
  assert_no_event(rig, "vm_power_changed");
  center_rig_assert_no_quarrel(rig);
}

static void event_of_a_stop_does_not_stop_what_was_started_since(void)
{
  runs_on_site(stop_and_start, "a late stop");
}

/* So is that of the end of a definition. */
static void bin_and_restore(CenterRig *rig)
{
  host_sim_delay(rig->hosts[0].sim, 0, LATE_US);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  center_rig_do(rig, NULL, "vm_restore", "off", NULL);
  host_sim_delay(rig->hosts[0].sim, 0, 0);
  center_rig_run_for(rig, 2 * LATE_US);
  assert_no_event(rig, "vm_vanished");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void event_of_an_end_does_not_end_what_was_defined_since(void)
{
  runs_on_site(bin_and_restore, "a late end");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/order/vm_defined_after_a_list_was_made_is_not_gone", vm_defined_after_a_list_was_made_is_not_gone);
  g_test_add_func("/center/order/vm_started_after_a_list_was_made_runs", vm_started_after_a_list_was_made_runs);
  g_test_add_func("/center/order/vm_removed_after_a_list_was_made_is_not_found", vm_removed_after_a_list_was_made_is_not_found);
  g_test_add_func("/center/order/event_of_a_stop_does_not_stop_what_was_started_since",
                  event_of_a_stop_does_not_stop_what_was_started_since);
  g_test_add_func("/center/order/event_of_an_end_does_not_end_what_was_defined_since",
                  event_of_an_end_does_not_end_what_was_defined_since);
  int result = g_test_run();
  runs_end();
  return result;
}
