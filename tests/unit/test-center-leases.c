// SPDX-License-Identifier: Apache-2.0
/* A VM never runs twice (docs/leases.md): hosts refuse what a manager with an older inventory asks for, what comes back stale is known by its
 * generation, and a host that can be asked is not passed over. */
#include "center-runs.h"
#include "inventory/store-private.h"
#include "task/task-private.h"
#include <string.h>

#define TAKE_OVER "{'host':'@second','host_down':'seen_off','reason':'the rack is dark'}"

static const void *look(CenterRig *rig, const WsType *type, const char *name)
{
  static const void *kept;
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const void *object = inv_find(snap, type, rig_world_find(rig->world, name));
  ws_resource_unref(kept);
  kept = object ? ws_resource_ref(object) : NULL;
  return kept;
}

static const WsVm *vm_of(CenterRig *rig, const char *name)
{
  return look(rig, &ws_type_vm, name);
}

static HostDomain *domain_on(CenterRig *rig, guint host, const char *name)
{
  return host_find_domain(&rig->world->hosts[host], vm_of(rig, name)->uuid);
}

static guint count_events(CenterRig *rig, const char *text)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  guint n = 0;
  g_assert_true(store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 10000, events, &error));
  for (guint i = 0; i < events->len; i++)
    n += g_strcmp0(((WsEvent *)events->pdata[i])->text, text) == 0;
  return n;
}

/* It begins, and ends with this code. */
static void assert_fails(CenterRig *rig, const char *code, const char *kind, const char *target)
{
  g_autoptr(GError) error = NULL;
  WsId task = center_rig_start(rig, kind, target, NULL, &error);
  g_assert_no_error(error);
  while (engine_find(rig->center.tasks, task))
    center_rig_run_for(rig, 1000);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsTask *rec = inv_find(snap, &ws_type_task, task);
  g_assert_nonnull(rec->error);
  g_assert_cmpstr(rec->error->code, ==, code);
}

static void lose_power(CenterRig *rig)
{
  center_rig_switch(rig, 0, false);
  center_rig_settle(rig);
}

/* ---- taking over ---- */

static void take_from_a_host_that_is_there(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_power_off", "sharer", NULL);
  center_rig_assert_refused(rig, WS_ERROR_HOST_NOT_DOWN, "vm_take_over", "sharer", TAKE_OVER);
  center_rig_assert_no_quarrel(rig);
}

static void host_that_can_be_asked_is_not_taken_over_from(void)
{
  runs_on_site(take_from_a_host_that_is_there, "its host is there");
}

static void take_what_lies_elsewhere(CenterRig *rig)
{
  lose_power(rig);
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_take_over", "mover", TAKE_OVER); /* its disk is on the first host alone */
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_take_over", "sharer", "{'host':'@host','host_down':'fenced','reason':'for fun'}");
}

static void disks_out_of_reach_are_not_taken_over(void)
{
  runs_on_site(take_what_lies_elsewhere, "disks out of reach");
}

static void take_over_and_come_back(CenterRig *rig)
{
  lose_power(rig);
  center_rig_do(rig, NULL, "vm_take_over", "sharer", TAKE_OVER);
  g_assert_cmpuint(vm_of(rig, "sharer")->host, ==, rig_world_find(rig->world, "second"));
  g_assert_cmpint(domain_on(rig, 1, "sharer")->power, ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpuint(count_events(rig, "vm_taken_over"), ==, 1);
  center_rig_switch(rig, 0, true);
  center_rig_settle(rig);
  g_assert_null(domain_on(rig, 0, "sharer")); /* what was left there is gone */
  g_assert_cmpint(domain_on(rig, 1, "sharer")->power, ==, WS_POWER_STATE_RUNNING);
  center_rig_assert_no_quarrel(rig);
}

static void host_that_comes_back_does_not_run_it_again(void)
{
  runs_on_site(take_over_and_come_back, "the host is back");
}

/* The statement was wrong: only the link was cut. What ran on has lost its right, and is ended when both can be asked. */
static void take_from_a_host_that_runs_on(CenterRig *rig)
{
  rig->world->lied_to = true;
  center_rig_link(rig, 0, false);
  center_rig_settle(rig);
  center_rig_do(rig, NULL, "vm_take_over", "sharer", TAKE_OVER);
  center_rig_link(rig, 1, false); /* the new one cannot be asked: nothing is ended on a guess */
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_cmpint(domain_on(rig, 0, "sharer")->power, ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpuint(count_events(rig, "stale_vm_ended"), ==, 0);
  g_assert_cmpuint(count_events(rig, "vm_elsewhere"), ==, 1);
  center_rig_link(rig, 1, true);
  center_rig_settle(rig);
  center_rig_run_for(rig, 15 * (gint64)G_USEC_PER_SEC);
  center_rig_settle(rig);
  g_assert_null(domain_on(rig, 0, "sharer"));
  g_assert_cmpint(domain_on(rig, 1, "sharer")->power, ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpuint(count_events(rig, "stale_vm_ended"), ==, 1);
  center_rig_assert_no_quarrel(rig);
}

static void stale_guest_is_ended_when_the_newer_is_proven(void)
{
  runs_on_site(take_from_a_host_that_runs_on, "a stale guest");
}

/* ---- a manager that knows less than its hosts: restored from an older backup ---- */

static void take_over_only(CenterRig *rig)
{
  lose_power(rig);
  center_rig_do(rig, NULL, "vm_take_over", "sharer", TAKE_OVER);
  center_rig_settle(rig);
}

static void start_with_an_old_inventory(CenterRig *rig)
{
  g_assert_cmpuint(vm_of(rig, "sharer")->host, ==, rig_world_find(rig->world, "host")); /* as it was then */
  g_assert_cmpint(vm_of(rig, "sharer")->power->state, ==, WS_POWER_STATE_OFF);
  assert_fails(rig, "lease_held", "vm_start", "sharer");
  g_assert_cmpint(domain_on(rig, 0, "sharer")->power, ==, WS_POWER_STATE_OFF);
  center_rig_link(rig, 1, true);
  center_rig_settle(rig);
  center_rig_run_for(rig, 15 * (gint64)G_USEC_PER_SEC);
  center_rig_settle(rig);
  g_assert_cmpuint(vm_of(rig, "sharer")->host, ==, rig_world_find(rig->world, "second")); /* the hosts know better */
  g_assert_cmpuint(count_events(rig, "vm_found_at"), ==, 1);
  g_assert_null(domain_on(rig, 0, "sharer"));
  center_rig_assert_no_quarrel(rig);
}

static void restored_manager_cannot_start_it_twice(void)
{
  runs_on_site(take_over_only, "taken over");
  runs_world->away[0] = false;
  runs_world->away[1] = true;
  runs_on_older_site(start_with_an_old_inventory, "an older inventory");
}

static void start_and_stop(CenterRig *rig)
{
  for (guint i = 0; i < 3; i++) {
    center_rig_do(rig, NULL, "vm_start", "off", NULL);
    center_rig_do(rig, NULL, "vm_power_off", "off", NULL);
  }
}

static void start_once_more(CenterRig *rig)
{
  g_assert_cmpint(vm_of(rig, "off")->run_generation, ==, 3); /* taken from the host */
  g_assert_cmpuint(count_events(rig, "lease_ahead"), ==, 1);
  center_rig_do(rig, NULL, "vm_start", "off", NULL);
  g_assert_cmpint(domain_on(rig, 0, "off")->generation, ==, 4);
  center_rig_assert_no_quarrel(rig);
}

static void restored_manager_goes_on_from_what_its_hosts_have_seen(void)
{
  runs_on_site(start_and_stop, "started thrice");
  runs_on_older_site(start_once_more, "and once more");
}

/* ---- generations ---- */

static void move_and_look(CenterRig *rig)
{
  gint64 before = vm_of(rig, "sharer")->run_generation;
  center_rig_do(rig, NULL, "vm_migrate", "sharer", "{'host':'@second'}");
  g_assert_cmpint(vm_of(rig, "sharer")->run_generation, ==, before + 1);
  g_assert_cmpint(domain_on(rig, 1, "sharer")->generation, ==, before + 1);
  g_assert_cmpint(domain_on(rig, 1, "sharer")->lease, ==, WS_VM_LEASE_STATE_HELD);
}

static void move_takes_the_lease_along(void)
{
  runs_on_site(move_and_look, "a move");
}

static void hibernate_and_resume(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_hibernate", "sharer", NULL);
  g_assert_cmpint(domain_on(rig, 0, "sharer")->lease, ==, WS_VM_LEASE_STATE_HELD); /* its memory waits here */
  center_rig_do(rig, NULL, "vm_resume", "sharer", NULL);
  g_assert_cmpint(domain_on(rig, 0, "sharer")->generation, ==, 2);
  center_rig_do(rig, NULL, "vm_power_off", "sharer", NULL);
  g_assert_cmpint(domain_on(rig, 0, "sharer")->lease, ==, WS_VM_LEASE_STATE_FREE);
}

static void saved_memory_keeps_the_lease(void)
{
  runs_on_site(hibernate_and_resume, "hibernated");
}

#define ADD(name) g_test_add_func("/center/leases/" #name, name)

/* ---- a host that lies ---- */

static void lie_about_the_number(CenterRig *rig)
{
  gint64 before = vm_of(rig, "running")->run_generation;
  domain_on(rig, 0, "running")->generation = G_MAXINT64; /* after which there would be no greater one */
  center_rig_do(rig, NULL, "host_sync", "host", NULL);
  g_assert_cmpint(vm_of(rig, "running")->run_generation, ==, before);
  domain_on(rig, 0, "running")->generation = before + 1000; /* as after a restored backup */
  center_rig_do(rig, NULL, "host_sync", "host", NULL);
  g_assert_cmpint(vm_of(rig, "running")->run_generation, ==, before + 1000);
  center_rig_assert_no_quarrel(rig);
}

static void number_that_no_host_can_have_is_not_believed(void)
{
  runs_on_site(lie_about_the_number, "a made-up number");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  ADD(host_that_can_be_asked_is_not_taken_over_from);
  ADD(disks_out_of_reach_are_not_taken_over);
  ADD(host_that_comes_back_does_not_run_it_again);
  ADD(stale_guest_is_ended_when_the_newer_is_proven);
  ADD(restored_manager_cannot_start_it_twice);
  ADD(restored_manager_goes_on_from_what_its_hosts_have_seen);
  ADD(move_takes_the_lease_along);
  ADD(saved_memory_keeps_the_lease);
  ADD(number_that_no_host_can_have_is_not_believed);
  int result = g_test_run();
  runs_end();
  return result;
}
