// SPDX-License-Identifier: Apache-2.0
/* The recycle bin (center/bin.h): when something goes stands with it and follows the setting; what is due goes by the system's tasks, wiped if its
 * deletion said so; what cannot go stays and says so. */
#include "center-runs.h"
#include "center/bin.h"
#include <string.h>

#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)

static const WsVm *find_vm(const InvSnapshot *snap, CenterRig *rig, const char *name)
{
  return inv_find(snap, &ws_type_vm, rig_world_find(rig->world, name));
}

static const WsVolume *find_volume(const InvSnapshot *snap, CenterRig *rig, const char *name)
{
  return inv_find(snap, &ws_type_volume, rig_world_find(rig->world, name));
}

static bool is_there(CenterRig *rig, const WsType *type, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return inv_find(snap, type, rig_world_find(rig->world, name)) != NULL;
}

static gint64 expires(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = find_vm(snap, rig, name);
  return vm ? vm->bin_expires : find_volume(snap, rig, name)->bin_expires;
}

static bool is_stuck(CenterRig *rig, const WsType *type, const char *name)
{
  return center_alarm_is_open(&rig->center, type, rig_world_find(rig->world, name), "bin_stuck");
}

typedef struct {
  CenterRig *rig;
  gint64 days;
} Set;

static bool set_site(const void *object, void *arg)
{
  void *const *with = arg;
  ((WsSite *)inv_edit(with[0], object))->bin_days = *(const gint64 *)with[1];
  return false;
}

static void set_in_coroutine(void *arg)
{
  Set *set = arg;
  g_autoptr(InvSnapshot) head = inv_head(set->rig->center.inventory);
  g_autoptr(InvTxn) txn = inv_begin(set->rig->center.inventory);
  void *with[] = {txn, &set->days};
  inv_each(head, &ws_type_site, set_site, with);
  g_assert_true(inv_commit(txn, NULL, NULL));
}

static void watch(void *arg)
{
  bin_watch(arg);
}

/* The minute's look, and until all that it began is over. */
static void look(CenterRig *rig)
{
  for (guint i = 0; i < RIG_HOSTS; i++)
    if (rig->hosts[i].id && host_sim_is_connected(rig->hosts[i].sim))
      host_sim_report_load(rig->hosts[i].sim, false);
  center_rig_settle(rig);
  center_rig_run(rig, watch, &rig->center);
  center_rig_settle(rig);
}

static void keep_for(CenterRig *rig, gint64 days)
{
  Set set = {rig, days};
  center_rig_run(rig, set_in_coroutine, &set);
  look(rig);
}

/* Nothing is done in between, as if the machine had slept. */
static void pass(CenterRig *rig, gint64 us)
{
  rig->now_us = rig->world->now_us = rig->now_us + us;
  center_rig_settle(rig);
}

/* The manager was there the day before, and has seen it coming. */
static void live_for(CenterRig *rig, gint64 us)
{
  pass(rig, us - DAY_US);
  look(rig);
  pass(rig, DAY_US);
  look(rig);
}

static guint files(CenterRig *rig)
{
  guint n = 0;
  for (guint i = 0; i < HOST_FILES; i++)
    n += rig->world->disks.files[i].there;
  return n;
}

/* ---- when ---- */

static void say_when(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = find_vm(snap, rig, "off");
  const WsVolume *disk = inv_find(snap, &ws_type_volume, vm->disks.items[0]->volume);
  g_assert_cmpint(vm->bin_expires, ==, vm->in_bin_since + 30 * DAY_US);
  g_assert_cmpint(disk->bin_expires, ==, disk->in_bin_since + 30 * DAY_US);
  g_assert_cmpint(expires(rig, "binned_volume"), !=, 0);

  pass(rig, 5 * DAY_US);
  keep_for(rig, 10);
  g_assert_cmpint(expires(rig, "off"), ==, vm->in_bin_since + 10 * DAY_US);
  keep_for(rig, 2); /* it has lain there for longer: a day's notice */
  gint64 noticed = expires(rig, "off");
  g_assert_cmpint(noticed, >, rig->now_us);
  g_assert_cmpint(noticed, <=, rig->now_us + DAY_US);
  pass(rig, DAY_US / 2);
  look(rig);
  g_assert_cmpint(expires(rig, "off"), ==, noticed); /* and no day more with each look */

  keep_for(rig, 0);
  g_assert_cmpint(expires(rig, "off"), ==, 0);
  pass(rig, 4000 * DAY_US);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off"));
  keep_for(rig, 3); /* switched on: from now on */
  g_assert_cmpint(expires(rig, "off"), >, rig->now_us + 2 * DAY_US);

  center_rig_do(rig, NULL, "vm_restore", "off", NULL);
  g_assert_cmpint(expires(rig, "off"), ==, 0);
  center_rig_assert_no_quarrel(rig);
}

static void time_of_going_follows_the_setting(void)
{
  runs_on_site(say_when, "when it goes");
}

/* ---- going ---- */

static void let_all_go(CenterRig *rig)
{
  guint before = files(rig), wiped = rig->world->disks.n_wiped;
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes','wipe':true}");
  center_rig_do(rig, NULL, "volume_delete", "volume", "{'to_bin':true}");
  pass(rig, 29 * DAY_US);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off") && is_there(rig, &ws_type_volume, "volume") && is_there(rig, &ws_type_vm, "binned"));
  g_assert_cmpuint(files(rig), ==, before);

  pass(rig, 2 * DAY_US);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_vm, "off") || is_there(rig, &ws_type_volume, "volume") || is_there(rig, &ws_type_vm, "binned"));
  g_assert_false(is_there(rig, &ws_type_volume, "binned_volume"));
  g_assert_cmpuint(files(rig), <, before - 3);
  g_assert_cmpuint(rig->world->disks.n_wiped, >, wiped); /* the disks of the one whose deletion said so */
  const WsTask *task = center_rig_last_task(rig);
  g_assert_cmpstr(task->owner, ==, "system");
  g_assert_cmpstr(task->cause, ==, "retention");
  g_assert_cmpint(task->state, ==, WS_TASK_STATE_DONE);
  center_rig_assert_no_quarrel(rig); /* an audit record each */
}

static void what_is_due_is_deleted_by_the_system(void)
{
  runs_on_site(let_all_go, "what is due");
}

static void wipe_by_hand(CenterRig *rig)
{
  guint wiped = rig->world->disks.n_wiped;
  center_rig_do(rig, NULL, "volume_delete", "volume", "{'to_bin':true,'wipe':true}");
  g_assert_cmpuint(rig->world->disks.n_wiped, ==, wiped);
  center_rig_do(rig, NULL, "volume_delete", "volume", NULL);
  g_assert_cmpuint(rig->world->disks.n_wiped, ==, wiped + 1);
  center_rig_do(rig, NULL, "volume_delete", "binned_volume", NULL);
  g_assert_cmpuint(rig->world->disks.n_wiped, ==, wiped + 1);
}

static void deletion_by_hand_wipes_what_was_to_be_wiped(void)
{
  runs_on_site(wipe_by_hand, "wiped by hand");
}

/* ---- staying ---- */

static void set_clocks(CenterRig *rig, gint64 ahead_us)
{
  for (guint i = 0; i < RIG_HOSTS; i++)
    if (rig->hosts[i].id)
      host_sim_set_clock(rig->hosts[i].sim, ahead_us);
}

/* The manager's clock goes a day ahead of its hosts', on the last day. What they told of theirs before says nothing of that. */
static void jump(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  center_rig_do(rig, NULL, "volume_delete", "volume", "{'to_bin':true}");
  live_for(rig, 30 * DAY_US - DAY_US / 2);
  pass(rig, DAY_US);
  center_rig_run(rig, watch, &rig->center);
  center_rig_settle(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off") && is_there(rig, &ws_type_volume, "volume"));
  set_clocks(rig, -DAY_US);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off") && is_there(rig, &ws_type_volume, "volume"));
  set_clocks(rig, DAY_US / 48);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_vm, "off") || is_there(rig, &ws_type_volume, "volume"));
}

static void clock_that_jumps_empties_no_bin(void)
{
  runs_on_site(jump, "a clock that jumps");
}

static void hold(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  bin_hold_volume(inv_edit_id(txn, &ws_type_volume, rig_world_find(rig->world, "volume")), rig->now_us);
  g_assert_true(inv_commit(txn, NULL, NULL));
}

static void hold_one(CenterRig *rig)
{
  center_rig_run(rig, hold, rig);
  live_for(rig, 400 * DAY_US);
  g_assert_true(is_there(rig, &ws_type_volume, "volume"));
  g_assert_cmpint(expires(rig, "volume"), ==, 0);
}

static void what_somebody_may_still_write_is_not_deleted(void)
{
  runs_on_site(hold_one, "held");
}

/* A linked clone can be made of what is in the bin, and stands on it from then on. */
static void bin_and_build_on(CenterRig *rig, const char *copy)
{
  center_rig_do(rig, NULL, "volume_delete", "volume", "{'to_bin':true}");
  center_rig_do(rig, copy, "volume_clone", "volume", "{'name':'copy','linked':true}");
}

static void refuse(CenterRig *rig)
{
  bin_and_build_on(rig, "copy");
  live_for(rig, 31 * DAY_US);
  g_assert_true(is_there(rig, &ws_type_volume, "volume"));
  g_assert_true(is_stuck(rig, &ws_type_volume, "volume"));
  g_assert_false(is_there(rig, &ws_type_volume, "binned_volume")); /* others go on */

  center_rig_do(rig, NULL, "volume_restore", "volume", NULL);
  look(rig);
  g_assert_false(is_stuck(rig, &ws_type_volume, "volume"));
  center_rig_do(rig, NULL, "volume_delete", "copy", NULL);

  bin_and_build_on(rig, "second_copy");
  live_for(rig, 31 * DAY_US);
  g_assert_true(is_stuck(rig, &ws_type_volume, "volume"));
  center_rig_do(rig, NULL, "volume_delete", "second_copy", NULL);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_volume, "volume")); /* not with each look */
  pass(rig, DAY_US / 12);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_volume, "volume"));
  center_rig_assert_no_quarrel(rig);
}

static void what_others_stand_on_stays_with_an_alarm(void)
{
  runs_on_site(refuse, "refused");
}

static void wait_for_the_host(CenterRig *rig)
{
  center_rig_link(rig, 0, false);
  live_for(rig, 31 * DAY_US);
  g_assert_true(is_there(rig, &ws_type_vm, "binned"));
  g_assert_false(is_stuck(rig, &ws_type_vm, "binned"));
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_assert_null(find_vm(snap, rig, "binned")->activity); /* no task waits for it either */
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_vm, "binned"));
  center_rig_assert_no_quarrel(rig);
}

static void what_no_host_reaches_waits(void)
{
  runs_on_site(wait_for_the_host, "no host");
}

/* ---- a manager that knows less than what is ---- */

static void bin_some(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  center_rig_do(rig, NULL, "volume_delete", "volume", "{'to_bin':true}");
  look(rig);
}

static void come_back(CenterRig *rig)
{
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off") && is_there(rig, &ws_type_volume, "volume") && is_there(rig, &ws_type_vm, "binned"));
  pass(rig, DAY_US / 2);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "off") && is_there(rig, &ws_type_volume, "volume"));
  center_rig_do(rig, NULL, "vm_restore", "off", NULL); /* there was time for that */
  pass(rig, DAY_US / 2);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_volume, "volume") || is_there(rig, &ws_type_vm, "binned"));
  g_assert_true(is_there(rig, &ws_type_vm, "off"));
  center_rig_assert_no_quarrel(rig);
}

static void manager_that_was_off_for_long_leaves_a_day(void)
{
  runs_on_site(bin_some, "into the bin");
  runs_world->now_us += 60 * DAY_US;
  runs_on_same_site(come_back, "two months later");
}

static void fetch(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_restore", "binned", NULL);
}

static guint count_told(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  guint n = 0;
  g_assert_true(store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 10000, events, &error));
  for (guint i = 0; i < events->len; i++)
    n += g_strcmp0(((WsEvent *)events->pdata[i])->text, "vm_defined_in_bin") == 0;
  return n;
}

/* A backup from before it was fetched. */
static void know_it_in_the_bin(CenterRig *rig)
{
  guint before = files(rig);
  live_for(rig, 31 * DAY_US);
  live_for(rig, 2 * DAY_US);
  g_assert_true(is_there(rig, &ws_type_vm, "binned"));
  g_assert_false(is_there(rig, &ws_type_volume, "binned_volume")); /* nobody says that it is not in the bin */
  g_assert_cmpuint(files(rig), ==, before - 1);
  g_assert_true(is_stuck(rig, &ws_type_vm, "binned"));
  g_assert_cmpuint(count_told(rig), ==, 1);
  center_rig_link(rig, 0, false); /* what it has is not forgotten, nor deleted before it has told all of it again */
  live_for(rig, 2 * DAY_US);
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "binned"));

  center_rig_do(rig, NULL, "vm_restore", "binned", NULL);
  look(rig);
  g_assert_false(is_stuck(rig, &ws_type_vm, "binned"));
  center_rig_assert_no_quarrel(rig);

  center_rig_do(rig, NULL, "vm_delete", "binned", "{'how':'bin_with_volumes'}"); /* and now it is in there */
  live_for(rig, 31 * DAY_US);
  g_assert_false(is_there(rig, &ws_type_vm, "binned"));
  center_rig_assert_no_quarrel(rig);
}

static void what_a_host_has_defined_is_not_deleted(void)
{
  runs_on_site(fetch, "fetched");
  runs_on_older_site(know_it_in_the_bin, "an older inventory");
}

/* Its host is there, and has not told yet what it has. */
static void wait_for_the_list(CenterRig *rig)
{
  live_for(rig, 30 * DAY_US - DAY_US / 2);
  pass(rig, DAY_US);
  bin_seen_away(&rig->center, rig_world_find(rig->world, "host"));
  look(rig);
  g_assert_true(is_there(rig, &ws_type_vm, "binned"));
  center_rig_do(rig, NULL, "host_sync", "host", NULL);
  look(rig);
  g_assert_false(is_there(rig, &ws_type_vm, "binned"));
}

static void host_that_has_told_nothing_yet_is_waited_for(void)
{
  runs_on_site(wait_for_the_list, "no list");
}

/* ---- a disk that is fetched without its VM ---- */

static void name_disk(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  rig_world_name(rig->world, "off_disk", find_vm(snap, rig, "off")->disks.items[0]->volume);
}

static WsId user_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return find_volume(snap, rig, name)->used_by;
}

static void bin_and_fetch_disk(CenterRig *rig)
{
  name_disk(rig);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  center_rig_do(rig, NULL, "volume_restore", "off_disk", NULL);
  g_assert_cmpuint(user_of(rig, "off_disk"), ==, 0);
}

/* Its VM is gone, its disk is not; nor is its file. */
static void assert_only_disk_is_there(CenterRig *rig, guint files_before)
{
  g_assert_false(is_there(rig, &ws_type_vm, "off"));
  g_assert_true(is_there(rig, &ws_type_volume, "off_disk"));
  g_assert_cmpuint(user_of(rig, "off_disk"), ==, 0);
  g_assert_cmpuint(files(rig), ==, files_before - 1); /* it had two */
  center_rig_assert_no_quarrel(rig);
}

static void fetch_disk_and_destroy(CenterRig *rig)
{
  guint before = files(rig);
  bin_and_fetch_disk(rig);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'destroy','wipe':true}");
  assert_only_disk_is_there(rig, before);
}

static void fetch_disk_and_wait(CenterRig *rig)
{
  bin_and_fetch_disk(rig);
  center_rig_do(rig, NULL, "vm_delete", "binned", "{'how':'destroy'}");
  center_rig_do(rig, NULL, "volume_delete", "binned_volume", NULL);
  guint before = files(rig);
  live_for(rig, 31 * DAY_US);
  assert_only_disk_is_there(rig, before);
}

static void take_as_before(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  bin_take_volume(inv_edit_id(txn, &ws_type_volume, rig_world_find(rig->world, "off_disk")));
  g_assert_true(inv_commit(txn, NULL, NULL));
}

/* An earlier version left it with its VM. */
static void destroy_with_a_fetched_disk(CenterRig *rig)
{
  guint before = files(rig);
  name_disk(rig);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  center_rig_run(rig, take_as_before, rig);
  g_assert_cmpuint(user_of(rig, "off_disk"), ==, rig_world_find(rig->world, "off"));
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'destroy'}");
  assert_only_disk_is_there(rig, before);
}

static void disk_that_was_fetched_does_not_go_with_its_vm(void)
{
  runs_on_site(fetch_disk_and_destroy, "destroyed by hand");
  runs_on_site(fetch_disk_and_wait, "destroyed by the system");
  runs_on_site(destroy_with_a_fetched_disk, "fetched by an earlier version");
}

static void give_disk_to_another(CenterRig *rig)
{
  bin_and_fetch_disk(rig);
  center_rig_do(rig, NULL, "vm_attach_disk", "copied", "{'disk':{'volume':'@off_disk'}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_restore", "off", NULL);
  center_rig_do(rig, NULL, "vm_detach_disk", "copied", "{'key':'disk-1'}");
  center_rig_do(rig, NULL, "vm_restore", "off", NULL);
  g_assert_cmpuint(user_of(rig, "off_disk"), ==, rig_world_find(rig->world, "off"));
  center_rig_assert_no_quarrel(rig);
}

static void vm_comes_back_when_nobody_has_its_disk(void)
{
  runs_on_site(give_disk_to_another, "another has it");
}

/* ---- a manager that is killed half-way ---- */

static void stop_half_way(CenterRig *rig)
{
  live_for(rig, 30 * DAY_US - DAY_US / 2);
  pass(rig, DAY_US);
  runs_arm(rig);
  look(rig);
}

static void see_it_through(CenterRig *rig)
{
  center_rig_settle(rig);
  look(rig);
  pass(rig, DAY_US); /* it saw it now only */
  look(rig);
  g_assert_false(is_there(rig, &ws_type_vm, "binned") || is_there(rig, &ws_type_volume, "binned_volume"));
  center_rig_assert_no_quarrel(rig);
}

static void manager_that_is_killed_half_way_goes_on(void)
{
  g_assert_cmpint(runs_kill_at_each_point(stop_half_way, see_it_through, false), >, 5);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/bin/time_of_going_follows_the_setting", time_of_going_follows_the_setting);
  g_test_add_func("/center/bin/what_is_due_is_deleted_by_the_system", what_is_due_is_deleted_by_the_system);
  g_test_add_func("/center/bin/deletion_by_hand_wipes_what_was_to_be_wiped", deletion_by_hand_wipes_what_was_to_be_wiped);
  g_test_add_func("/center/bin/clock_that_jumps_empties_no_bin", clock_that_jumps_empties_no_bin);
  g_test_add_func("/center/bin/what_somebody_may_still_write_is_not_deleted", what_somebody_may_still_write_is_not_deleted);
  g_test_add_func("/center/bin/what_others_stand_on_stays_with_an_alarm", what_others_stand_on_stays_with_an_alarm);
  g_test_add_func("/center/bin/what_no_host_reaches_waits", what_no_host_reaches_waits);
  g_test_add_func("/center/bin/manager_that_was_off_for_long_leaves_a_day", manager_that_was_off_for_long_leaves_a_day);
  g_test_add_func("/center/bin/what_a_host_has_defined_is_not_deleted", what_a_host_has_defined_is_not_deleted);
  g_test_add_func("/center/bin/host_that_has_told_nothing_yet_is_waited_for", host_that_has_told_nothing_yet_is_waited_for);
  g_test_add_func("/center/bin/disk_that_was_fetched_does_not_go_with_its_vm", disk_that_was_fetched_does_not_go_with_its_vm);
  g_test_add_func("/center/bin/vm_comes_back_when_nobody_has_its_disk", vm_comes_back_when_nobody_has_its_disk);
  g_test_add_func("/center/bin/manager_that_is_killed_half_way_goes_on", manager_that_is_killed_half_way_goes_on);
  int result = g_test_run();
  runs_end();
  return result;
}
