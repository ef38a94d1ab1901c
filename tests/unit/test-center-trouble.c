// SPDX-License-Identifier: Apache-2.0
/* VMs in trouble have their alarms: they come and go with what is so, whoever was there when it began or ended (compute/trouble.h). */
#include "center-runs.h"
#include "center/compute/trouble.h"
#include "center/hosts/hosts.h"
#include <string.h>

static WsId vm_of(CenterRig *rig, const char *name)
{
  return rig_world_find(rig->world, name);
}

static char *uuid_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return g_strdup(((const WsVm *)inv_find(snap, &ws_type_vm, vm_of(rig, name)))->uuid);
}

static bool has(CenterRig *rig, const char *name, const char *kind)
{
  return center_alarm_is_open(&rig->center, &ws_type_vm, vm_of(rig, name), kind);
}

static int health_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = inv_find(snap, &ws_type_vm, vm_of(rig, name));
  return vm->health ? (int)vm->health->level : WS_HEALTH_LEVEL_OK;
}

static int power_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return (int)((const WsVm *)inv_find(snap, &ws_type_vm, vm_of(rig, name)))->power->state;
}

static void happens(CenterRig *rig, const char *name, int power, const char *reason)
{
  g_autofree char *uuid = uuid_of(rig, name);
  host_sim_set_power(rig->hosts[0].sim, uuid, power, reason);
}

static void watch(void *arg)
{
  troubles_watch(arg);
  hosts_tell_lost(arg);
}

/* What the minute's housekeeping does, and until all is told. */
static void let_a_minute_pass(CenterRig *rig)
{
  center_rig_run(rig, watch, &rig->center);
  center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
}

static guint count_alarms_of_vms(CenterRig *rig)
{
  static const char *const kinds[] = {"vm_crashed", "vm_io_held", "vm_watchdog_fired", "vm_ended_unseen", "vm_disk_missing", "vm_host_away"};
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
    n += has(rig, "running", kinds[i]);
  return n;
}

/* ---- each condition, told as it happens ---- */

static void go_through_all(CenterRig *rig)
{
  static const struct {
    int power;
    const char *reason, *kind;
    int level;
  } rows[] = {
    {WS_POWER_STATE_IO_HELD, "io_error", "vm_io_held", WS_HEALTH_LEVEL_MAJOR},
    {WS_POWER_STATE_PAUSED, "watchdog", "vm_watchdog_fired", WS_HEALTH_LEVEL_MAJOR},
    {WS_POWER_STATE_PAUSED, "user", NULL, WS_HEALTH_LEVEL_OK},
    {WS_POWER_STATE_CRASHED, "panicked", "vm_crashed", WS_HEALTH_LEVEL_MAJOR},
    {WS_POWER_STATE_RUNNING, "booted", NULL, WS_HEALTH_LEVEL_OK},
    {WS_POWER_STATE_OFF, "crashed", "vm_crashed", WS_HEALTH_LEVEL_MAJOR},
    {WS_POWER_STATE_OFF, "shutdown", NULL, WS_HEALTH_LEVEL_OK},
    {WS_POWER_STATE_OFF, "daemon", "vm_crashed", WS_HEALTH_LEVEL_MAJOR},
    {WS_POWER_STATE_OFF, "destroyed", NULL, WS_HEALTH_LEVEL_OK},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    happens(rig, "running", rows[i].power, rows[i].reason);
    center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
    g_assert_cmpuint(count_alarms_of_vms(rig), ==, rows[i].kind ? 1 : 0);
    g_assert_true(!rows[i].kind || has(rig, "running", rows[i].kind));
    g_assert_cmpint(health_of(rig, "running"), ==, rows[i].level);
  }
}

static void each_trouble_has_its_alarm_while_it_lasts(void)
{
  runs_on_site(go_through_all, "each trouble of a VM");
}

static void start_a_crashed_one(CenterRig *rig)
{
  happens(rig, "running", WS_POWER_STATE_OFF, "crashed");
  center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
  g_assert_true(has(rig, "running", "vm_crashed"));
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  center_rig_settle(rig);
  g_assert_false(has(rig, "running", "vm_crashed"));
}

static void alarm_of_a_crash_ends_with_a_start(void)
{
  runs_on_site(start_a_crashed_one, "a crashed VM is started");
}

/* ---- what nobody heard ---- */

static void crash_unheard(CenterRig *rig)
{
  center_rig_link(rig, 0, false);
  center_rig_run_for(rig, G_USEC_PER_SEC);
  happens(rig, "running", WS_POWER_STATE_IO_HELD, "io_error");
  center_rig_run_for(rig, G_USEC_PER_SEC);
  g_assert_false(has(rig, "running", "vm_io_held"));
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_true(has(rig, "running", "vm_io_held"));

  center_rig_link(rig, 0, false); /* what it does now is not known: the alarm stays until it is */
  center_rig_run_for(rig, G_USEC_PER_SEC);
  g_assert_true(has(rig, "running", "vm_io_held"));
  happens(rig, "running", WS_POWER_STATE_RUNNING, "unpaused");
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_cmpuint(count_alarms_of_vms(rig), ==, 0);
}

static void trouble_is_found_though_nobody_heard_it(void)
{
  runs_on_site(crash_unheard, "trouble while the link is down");
}

static bool has_reason(CenterRig *rig, const char *name, const char *reason)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return g_strcmp0(((const WsVm *)inv_find(snap, &ws_type_vm, vm_of(rig, name)))->power->reason, reason) == 0;
}

static void be_defined_again(CenterRig *rig)
{
  happens(rig, "off", WS_POWER_STATE_OFF, "undefined");
  center_rig_settle(rig);
  g_assert_true(has_reason(rig, "off", "undefined"));
  happens(rig, "off", WS_POWER_STATE_OFF, "-");
  center_rig_settle(rig);
  g_assert_false(has_reason(rig, "off", "undefined")); /* else nobody is told when it vanishes again */
}

static void vm_that_is_there_again_is_not_undefined(void)
{
  runs_on_site(be_defined_again, "defined again");
}

static void lose_with_its_host(CenterRig *rig)
{
  center_rig_link(rig, 0, false);
  center_rig_run_for(rig, G_USEC_PER_SEC);
  happens(rig, "running", WS_POWER_STATE_OFF, "-"); /* libvirt has started anew, and knows of no reason */
  happens(rig, "off", WS_POWER_STATE_OFF, "-");
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_true(has(rig, "running", "vm_ended_unseen"));
  g_assert_false(has(rig, "off", "vm_ended_unseen"));
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  center_rig_settle(rig);
  g_assert_cmpuint(count_alarms_of_vms(rig), ==, 0);
}

static void vm_that_ended_with_its_host_has_an_alarm(void)
{
  runs_on_site(lose_with_its_host, "a VM ends with its host");
}

static void forget_the_reason(CenterRig *rig)
{
  happens(rig, "running", WS_POWER_STATE_OFF, "crashed");
  center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
  center_rig_link(rig, 0, false);
  center_rig_run_for(rig, G_USEC_PER_SEC);
  happens(rig, "running", WS_POWER_STATE_OFF, "-");
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_true(has(rig, "running", "vm_crashed"));
  g_assert_cmpuint(count_alarms_of_vms(rig), ==, 1);
}

static void libvirt_that_forgot_ends_no_alarm(void)
{
  runs_on_site(forget_the_reason, "libvirt forgets why a VM is off");
}

/* ---- a manager that starts anew ---- */

static void crash_and_stop(CenterRig *rig)
{
  happens(rig, "running", WS_POWER_STATE_OFF, "crashed");
  center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
}

static void drop_alarm(void *arg)
{
  CenterRig *rig = arg;
  center_alarm_close(&rig->center, &ws_type_vm, vm_of(rig, "running"), "vm_crashed");
}

/* As after an upgrade from a manager that had no such alarms; the host does not come back, so that nobody tells it again. */
static void crash_and_lose_the_alarm(CenterRig *rig)
{
  crash_and_stop(rig);
  center_rig_run(rig, drop_alarm, rig);
  g_assert_false(has(rig, "running", "vm_crashed"));
  rig->world->away[0] = true;
}

static void look_for_crash(CenterRig *rig)
{
  g_assert_true(has(rig, "running", "vm_crashed"));
}

static void start_of_the_manager_finds_them(void)
{
  runs_on_site(crash_and_lose_the_alarm, "a VM has crashed");
  runs_on_same_site(look_for_crash, "the manager starts");
}

static void start_past_the_manager(CenterRig *rig)
{
  happens(rig, "running", WS_POWER_STATE_RUNNING, "booted"); /* before its host has connected */
  center_rig_settle(rig);
  g_assert_cmpuint(count_alarms_of_vms(rig), ==, 0);
}

static void start_of_the_manager_ends_those_that_are_over(void)
{
  runs_on_site(crash_and_stop, "a VM has crashed");
  runs_on_same_site_at_once(start_past_the_manager, "and runs when the manager starts");
}

/* ---- hosts that are away ---- */

static void be_away_for_long(CenterRig *rig)
{
  happens(rig, "off", WS_POWER_STATE_HIBERNATED, "");
  center_rig_settle(rig);
  g_assert_cmpint(power_of(rig, "off"), ==, WS_POWER_STATE_HIBERNATED);
  center_rig_link(rig, 0, false);
  center_rig_run_for(rig, 4 * 60 * (gint64)G_USEC_PER_SEC);
  let_a_minute_pass(rig);
  g_assert_false(has(rig, "running", "vm_host_away"));
  center_rig_run_for(rig, 2 * 60 * (gint64)G_USEC_PER_SEC);
  let_a_minute_pass(rig);
  g_assert_true(has(rig, "running", "vm_host_away"));
  g_assert_true(has(rig, "paused", "vm_host_away"));
  g_assert_cmpint(power_of(rig, "off"), ==,
                  WS_POWER_STATE_HIBERNATED); /* what does not run does nothing unseen */
  g_assert_false(has(rig, "off", "vm_host_away"));
  rig->world->hosts[0].boots++;
  rig->world->hosts[0].libvirt_late = 2; /* it is there again, and cannot say yet what its VMs do */
  center_rig_link(rig, 0, true);
  center_rig_run_for(rig, 8 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(power_of(rig, "running"), ==, WS_POWER_STATE_UNKNOWN);
  g_assert_false(has(rig, "running", "vm_host_away"));
  center_rig_settle(rig);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(power_of(rig, "running"), ==, WS_POWER_STATE_RUNNING);
  g_assert_false(has(rig, "running", "vm_host_away"));
  g_assert_false(has(rig, "paused", "vm_host_away"));
}

static void vm_whose_host_is_away_for_minutes_has_an_alarm(void)
{
  runs_on_site(be_away_for_long, "a host is away");
}

static void leave(CenterRig *rig)
{
  g_assert_false(center_alarm_is_open(&rig->center, &ws_type_host, rig->hosts[0].id, "host_lost"));
  rig->world->away[0] = true; /* while no manager runs */
}

static void never_come_back(CenterRig *rig)
{
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  let_a_minute_pass(rig);
  g_assert_false(center_alarm_is_open(&rig->center, &ws_type_host, rig->hosts[0].id, "host_lost"));
  center_rig_run_for(rig, 5 * 60 * (gint64)G_USEC_PER_SEC);
  let_a_minute_pass(rig);
  g_assert_true(center_alarm_is_open(&rig->center, &ws_type_host, rig->hosts[0].id, "host_lost"));
  g_assert_true(has(rig, "running", "vm_host_away"));
  g_assert_false(center_alarm_is_open(&rig->center, &ws_type_host, rig->hosts[1].id, "host_lost"));
}

static void host_that_does_not_come_back_to_a_new_manager_is_told(void)
{
  runs_on_site(leave, "a host goes while no manager runs");
  runs_on_same_site_at_once(never_come_back, "and does not come back");
}

/* ---- disks ---- */

static void lose_a_disk(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = inv_find(snap, &ws_type_vm, vm_of(rig, "running"));
  const WsVolume *volume = inv_find(snap, &ws_type_volume, vm->disks.items[0]->volume);
  HostFile *file = host_find_file(&rig->world->disks, volume->pool, volume->file);
  HostFile kept = *file;
  memset(file, 0, sizeof *file);
  center_rig_do(rig, NULL, "pool_refresh", "pool", NULL);
  center_rig_settle(rig);
  g_assert_true(has(rig, "running", "vm_disk_missing"));
  g_assert_cmpint(health_of(rig, "running"), ==, WS_HEALTH_LEVEL_CRITICAL);
  *file = kept;
  center_rig_do(rig, NULL, "pool_refresh", "pool", NULL);
  center_rig_settle(rig);
  g_assert_false(has(rig, "running", "vm_disk_missing"));
  g_assert_cmpint(health_of(rig, "running"), ==, WS_HEALTH_LEVEL_OK);
}

static void vm_whose_disk_is_missing_has_an_alarm(void)
{
  runs_on_site(lose_a_disk, "a disk is missing");
}

/* ---- VMs that leave ---- */

static void move_to_the_bin(CenterRig *rig)
{
  happens(rig, "running", WS_POWER_STATE_OFF, "crashed");
  center_rig_run_for(rig, 2 * G_USEC_PER_SEC);
  g_assert_true(has(rig, "running", "vm_crashed"));
  center_rig_do(rig, NULL, "vm_delete", "running", "{'how':'bin'}");
  center_rig_settle(rig);
  g_assert_false(has(rig, "running", "vm_crashed"));
}

static void vm_in_the_bin_has_no_alarm(void)
{
  runs_on_site(move_to_the_bin, "a crashed VM goes to the bin");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/trouble/each_trouble_has_its_alarm_while_it_lasts", each_trouble_has_its_alarm_while_it_lasts);
  g_test_add_func("/center/trouble/alarm_of_a_crash_ends_with_a_start", alarm_of_a_crash_ends_with_a_start);
  g_test_add_func("/center/trouble/trouble_is_found_though_nobody_heard_it", trouble_is_found_though_nobody_heard_it);
  g_test_add_func("/center/trouble/vm_that_ended_with_its_host_has_an_alarm", vm_that_ended_with_its_host_has_an_alarm);
  g_test_add_func("/center/trouble/libvirt_that_forgot_ends_no_alarm", libvirt_that_forgot_ends_no_alarm);
  g_test_add_func("/center/trouble/start_of_the_manager_finds_them", start_of_the_manager_finds_them);
  g_test_add_func("/center/trouble/start_of_the_manager_ends_those_that_are_over", start_of_the_manager_ends_those_that_are_over);
  g_test_add_func("/center/trouble/vm_that_is_there_again_is_not_undefined",
                  vm_that_is_there_again_is_not_undefined);
  g_test_add_func("/center/trouble/vm_whose_host_is_away_for_minutes_has_an_alarm", vm_whose_host_is_away_for_minutes_has_an_alarm);
  g_test_add_func("/center/trouble/host_that_does_not_come_back_to_a_new_manager_is_told", host_that_does_not_come_back_to_a_new_manager_is_told);
  g_test_add_func("/center/trouble/vm_whose_disk_is_missing_has_an_alarm", vm_whose_disk_is_missing_has_an_alarm);
  g_test_add_func("/center/trouble/vm_in_the_bin_has_no_alarm", vm_in_the_bin_has_no_alarm);
  int result = g_test_run();
  runs_end();
  return result;
}
