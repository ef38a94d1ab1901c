// SPDX-License-Identifier: Apache-2.0
/* Quotas of business groups: each way to get more is admitted at the limit and refused one beyond it; what is asked for at the same time does not
 * pass together. The site has all its VMs in the group "team", which lies in "division" (center-scenes.c). */
#include "center-runs.h"
#include "center/quota.h"
#include <string.h>

#define MIB ((gint64)1 << 20)

/* ---- what the tests say ---- */

typedef struct {
  CenterRig *rig;
  const char *group;
  QuotaKind kind;
  gint64 limit;
} Set;

static void set_in_coroutine(void *arg)
{
  const Set *set = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(set->rig->center.inventory);
  WsBusinessGroup *group = inv_edit_id(txn, &ws_type_business_group, rig_world_find(set->rig->world, set->group));
  ws_business_group_quota_free(group->quota);
  group->quota = ws_business_group_quota_new();
  gint64 *const limits[N_QUOTAS] = {&group->quota->vms, &group->quota->vcpus, &group->quota->memory_bytes, &group->quota->disk_bytes};
  for (guint k = 0; k < N_QUOTAS; k++)
    *limits[k] = k == set->kind ? set->limit : WS_INT_UNSET;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static gint64 used(CenterRig *rig, const char *group, QuotaKind kind)
{
  return quota_used(rig->center.quotas, rig_world_find(rig->world, group)).of[kind];
}

/* The group may have `more` than it has now; of nothing else is there a limit. */
static void allow(CenterRig *rig, const char *group, QuotaKind kind, gint64 more)
{
  Set set = {rig, group, kind, used(rig, group, kind) + more};
  center_rig_run(rig, set_in_coroutine, &set);
}

static void assert_refused(CenterRig *rig, const char *group, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  guint held = quota_n_held(rig->center.quotas);
  center_rig_start(rig, kind, target, json, &error);
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_QUOTA_EXCEEDED);
  g_assert_nonnull(strstr(error->message, group));
  g_assert_cmpuint(quota_n_held(rig->center.quotas), ==, held);
}

/* Refused with one less than it needs, in the group and in the one above; admitted with just that. */
static void try_at_limit(CenterRig *rig, QuotaKind what, gint64 needs, gint64 step, const char *kind, const char *target, const char *json)
{
  Set none = {rig, "division", what, WS_INT_UNSET};
  allow(rig, "team", what, needs - step);
  assert_refused(rig, "team", kind, target, json);
  allow(rig, "team", what, needs);
  allow(rig, "division", what, needs - step);
  assert_refused(rig, "division", kind, target, json);
  allow(rig, "division", what, needs);
  gint64 before = used(rig, "division", what);
  center_rig_do(rig, NULL, kind, target, json);
  center_rig_settle(rig);
  g_assert_cmpint(used(rig, "division", what) - before, ==, needs);
  center_rig_assert_no_quarrel(rig);
  center_rig_run(rig, set_in_coroutine, &none);
  none.group = "team";
  center_rig_run(rig, set_in_coroutine, &none);
}

/* ---- each way ---- */

#define NEW(name) "{'name':'" name "','group':'@team','memory_bytes':134217728,'cpu':{'vcpus':2},'disks':[{'new_volume':{'size_bytes':3145728}}," \
                  "{'new_volume':{'size_bytes':1048576}}]}"

static void ask_to_create(CenterRig *rig)
{
  try_at_limit(rig, QUOTA_VMS, 1, 1, "vm_create", NULL, NEW("a"));
  try_at_limit(rig, QUOTA_VCPUS, 2, 1, "vm_create", NULL, NEW("b"));
  try_at_limit(rig, QUOTA_MEMORY, 128 * MIB, 1, "vm_create", NULL, NEW("c"));
  try_at_limit(rig, QUOTA_DISK, 4 * MIB, 1, "vm_create", NULL, NEW("d"));
}

static void ask_to_deploy(CenterRig *rig)
{
  try_at_limit(rig, QUOTA_VMS, 1, 1, "vm_deploy", NULL, "{'name':'a','image':'@image','group':'@team','start':false}");
  try_at_limit(rig, QUOTA_VMS, 3, 1, "vm_deploy", NULL, "{'name':'b','image':'@image','group':'@team','linked':true,'count':3}");
  try_at_limit(rig, QUOTA_DISK, MIB, 1, "vm_deploy", NULL, "{'name':'c','image':'@image','group':'@team','linked':true}");
}

static void ask_to_change(CenterRig *rig)
{
  try_at_limit(rig, QUOTA_MEMORY, 128 * MIB, 1, "vm_update", "off", "{'patch':{'memory_bytes':268435456}}");
  try_at_limit(rig, QUOTA_VCPUS, 3, 1, "vm_update", "off", "{'patch':{'cpu':{'vcpus':4}}}");
  try_at_limit(rig, QUOTA_DISK, 5 * MIB, 1, "vm_attach_disk", "running", "{'disk':{'new_volume':{'size_bytes':5242880}}}");
  try_at_limit(rig, QUOTA_DISK, 4 * MIB, 1, "vm_attach_disk", "off", "{'disk':{'volume':'@volume'}}");
  try_at_limit(rig, QUOTA_DISK, 4 * MIB, 1, "volume_resize", "volume", "{'size_bytes':8388608}");
  try_at_limit(rig, QUOTA_DISK, 7 * MIB, 1, "volume_resize", "run_disk", "{'size_bytes':8388608}");
}

static void ask_to_come_in(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_update", "off", "{'patch':{'group':null}}");
  try_at_limit(rig, QUOTA_MEMORY, 128 * MIB, 1, "vm_update", "off", "{'patch':{'group':'@team'}}");
  try_at_limit(rig, QUOTA_VMS, 1, 1, "vm_adopt", "found", NULL);
}

/* What grows there counts when it does: to come back asks for no more. */
static void ask_to_grow_in_the_bin(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_attach_disk", "off", "{'disk':{'volume':'@volume'}}");
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  try_at_limit(rig, QUOTA_DISK, 4 * MIB, 1, "volume_resize", "volume", "{'size_bytes':8388608}");
}

/* In the bin it has its disks alone; without its volumes nothing. */
static void ask_to_come_back(CenterRig *rig)
{
  try_at_limit(rig, QUOTA_VMS, 1, 1, "vm_restore", "binned", NULL);
  gint64 disks = used(rig, "team", QUOTA_DISK);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin_with_volumes'}");
  g_assert_cmpint(used(rig, "team", QUOTA_DISK), ==, disks);
  try_at_limit(rig, QUOTA_MEMORY, 128 * MIB, 1, "vm_restore", "off", NULL);
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin'}");
  g_assert_cmpint(used(rig, "team", QUOTA_DISK), ==, disks - 2 * MIB);
  try_at_limit(rig, QUOTA_DISK, 2 * MIB, 1, "vm_restore", "off", NULL);
}

static void created_at_the_limit(void)
{
  runs_on_site(ask_to_create, "VMs are made at the limit of a quota");
}

static void deployed_at_the_limit(void)
{
  runs_on_site(ask_to_deploy, "VMs are deployed at the limit of a quota");
}

static void changed_at_the_limit(void)
{
  runs_on_site(ask_to_change, "VMs grow at the limit of a quota");
}

static void taken_in_at_the_limit(void)
{
  runs_on_site(ask_to_come_in, "VMs come into a group at the limit of its quota");
}

static void restored_at_the_limit(void)
{
  runs_on_site(ask_to_come_back, "VMs come out of the bin at the limit of a quota");
}

static void grown_in_the_bin_at_the_limit(void)
{
  runs_on_site(ask_to_grow_in_the_bin, "the disk of a VM in the bin grows at the limit of a quota");
}

/* ---- what is not refused ---- */

static void ask_when_over(CenterRig *rig)
{
  Set zero = {rig, "division", QUOTA_MEMORY, 0};
  center_rig_run(rig, set_in_coroutine, &zero); /* less than is used */
  assert_refused(rig, "division", "vm_create", NULL, NEW("a"));
  center_rig_do(rig, NULL, "vm_update", "off", "{'patch':{'memory_bytes':67108864}}");
  center_rig_do(rig, NULL, "vm_update", "off", "{'patch':{'cpu':{'vcpus':4}}}");
  assert_refused(rig, "division", "vm_update", "off", "{'patch':{'memory_bytes':134217728}}");
  center_rig_do(rig, NULL, "vm_start", "off", NULL);
  center_rig_do(rig, NULL, "vm_create", NULL, "{'name':'free','memory_bytes':134217728}"); /* in no group */
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void only_growth_is_refused_when_over(void)
{
  runs_on_site(ask_when_over, "a quota is lowered below what is used");
}

/* From one group to another under the same quota nothing grows there. */
static void ask_to_move_inside(CenterRig *rig)
{
  allow(rig, "division", QUOTA_VMS, 0);
  center_rig_do(rig, NULL, "vm_update", "off", "{'patch':{'group':'@division'}}");
  g_assert_cmpint(used(rig, "division", QUOTA_VMS) - used(rig, "team", QUOTA_VMS), ==, 1);
  center_rig_do(rig, NULL, "vm_update", "off", "{'patch':{'group':'@team'}}");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void move_under_the_same_quota_is_no_growth(void)
{
  runs_on_site(ask_to_move_inside, "a VM moves between groups under one quota");
}

static void watch(void *arg)
{
  quota_watch(&((CenterRig *)arg)->center);
}

static bool alarm_is_open(CenterRig *rig, const char *group)
{
  center_rig_run(rig, watch, rig);
  return center_alarm_is_open(&rig->center, &ws_type_business_group, rig_world_find(rig->world, group), "quota_nearly_full");
}

static void ask_for_alarm(CenterRig *rig)
{
  g_assert_false(alarm_is_open(rig, "division"));
  gint64 now = used(rig, "division", QUOTA_VCPUS);
  allow(rig, "division", QUOTA_VCPUS, now / 9 + 1);
  g_assert_false(alarm_is_open(rig, "division"));
  allow(rig, "division", QUOTA_VCPUS, now / 9);
  g_assert_true(alarm_is_open(rig, "division"));
  g_assert_true(alarm_is_open(rig, "division"));
  g_assert_false(alarm_is_open(rig, "team"));
  allow(rig, "division", QUOTA_VCPUS, 100);
  g_assert_false(alarm_is_open(rig, "division"));
}

static void nearly_full_is_told(void)
{
  runs_on_site(ask_for_alarm, "a quota is nearly used up");
}

/* ---- at the same time ---- */

typedef struct {
  CenterRig *rig;
  guint n, admitted, refused;
} Together;

static void deploy_one(void *arg)
{
  Together *together = arg;
  CenterRig *rig = together->rig;
  TaskStarted started = {0};
  g_autoptr(GError) error = NULL;
  WsVmDeploy *args = ws_vm_deploy_new();
  ws_apply_defaults(&ws_type_vm_deploy, args);
  args->name = g_strdup_printf("together-%u", together->n++);
  args->image = rig_world_find(rig->world, "image");
  args->group = rig_world_find(rig->world, "team");
  args->linked = true;
  if (task_start(rig->center.tasks, task_kind_find(rig->center.tasks, "vm_deploy"), 0, args, &(TaskCause){.cause = "user"}, false, 0, &started, &error)) {
    together->admitted++;
    return;
  }
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_QUOTA_EXCEEDED);
  together->refused++;
}

/* All ask before the first of them is in the inventory. */
static void ask_together(CenterRig *rig)
{
  Together together = {rig, 0, 0, 0};
  allow(rig, "division", QUOTA_VMS, 3);
  gint64 before = used(rig, "division", QUOTA_VMS);
  for (guint i = 0; i < 5; i++)
    ws_co_start(rig->center.loop, deploy_one, &together);
  center_rig_settle(rig);
  g_assert_cmpuint(together.admitted, ==, 3);
  g_assert_cmpuint(together.refused, ==, 2);
  g_assert_cmpint(used(rig, "division", QUOTA_VMS) - before, ==, 3);
  g_assert_cmpuint(quota_n_held(rig->center.quotas), ==, 0);
  assert_refused(rig, "division", "vm_create", NULL, NEW("f"));
}

static void deployments_do_not_pass_together(void)
{
  runs_on_site(ask_together, "more is deployed at once than a quota has");
}

/* The memory is held while the host works, not only when it is in the inventory. */
static void ask_while_held(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  allow(rig, "team", QUOTA_MEMORY, 128 * MIB);
  center_rig_start(rig, "vm_update", "off", "{'patch':{'memory_bytes':268435456}}", &error);
  g_assert_no_error(error);
  g_assert_cmpuint(quota_n_held(rig->center.quotas), ==, 1);
  center_rig_start(rig, "vm_update", "resting", "{'patch':{'memory_bytes':268435456}}", &error);
  g_assert_error(error, WS_ERROR, (int)WS_ERROR_QUOTA_EXCEEDED);
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void growth_under_way_is_held(void)
{
  runs_on_site(ask_while_held, "two VMs ask for the last memory of a quota");
}

/* What a failed request held is free again. */
static void ask_after_failure(CenterRig *rig)
{
  allow(rig, "team", QUOTA_VMS, 1);
  g_autoptr(GError) error = NULL;
  rig->world->fault = RIG_FAIL;
  rig->world->at = rig->world->n_acts + 1;
  center_rig_start(rig, "vm_create", NULL, NEW("a"), &error);
  center_rig_settle(rig);
  g_assert_cmpint(rig->world->happened, ==, 1);
  rig->world->fault = RIG_NO_FAULT;
  center_rig_assert_no_quarrel(rig);
  center_rig_do(rig, NULL, "vm_create", NULL, NEW("b"));
  assert_refused(rig, "team", "vm_create", NULL, NEW("c"));
}

static void failure_gives_back_what_it_held(void)
{
  runs_on_site(ask_after_failure, "a VM that is not made under a quota");
}

/* ---- restart ---- */

static void start_and_die(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  allow(rig, "division", QUOTA_VMS, 1);
  rig->world->fault = RIG_KILL;
  rig->world->at = rig->world->n_points + 2; /* the task is on record */
  center_rig_start(rig, "vm_deploy", NULL, "{'name':'a','image':'@image','group':'@team','linked':true}", &error);
  center_rig_settle(rig);
}

static void look_after_restart(CenterRig *rig)
{
  rig->world->fault = RIG_NO_FAULT;
  g_assert_cmpuint(quota_n_held(rig->center.quotas), ==, 1);
  assert_refused(rig, "division", "vm_create", NULL, NEW("b")); /* the one that is resumed holds the last place */
}

static void look_when_quiet(CenterRig *rig)
{
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
  assert_refused(rig, "division", "vm_create", NULL, NEW("b"));
}

static void kill_leaves_the_count_right(void)
{
  g_assert_false(runs_may_die(start_and_die, "the manager dies while it deploys under a quota"));
  runs_on_same_site_at_once(look_after_restart, "another comes before it is through");
  runs_on_same_site(look_when_quiet, "and afterwards");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/quota/created_at_the_limit", created_at_the_limit);
  g_test_add_func("/center/quota/deployed_at_the_limit", deployed_at_the_limit);
  g_test_add_func("/center/quota/changed_at_the_limit", changed_at_the_limit);
  g_test_add_func("/center/quota/taken_in_at_the_limit", taken_in_at_the_limit);
  g_test_add_func("/center/quota/restored_at_the_limit", restored_at_the_limit);
  g_test_add_func("/center/quota/grown_in_the_bin_at_the_limit", grown_in_the_bin_at_the_limit);
  g_test_add_func("/center/quota/only_growth_is_refused_when_over", only_growth_is_refused_when_over);
  g_test_add_func("/center/quota/move_under_the_same_quota_is_no_growth", move_under_the_same_quota_is_no_growth);
  g_test_add_func("/center/quota/nearly_full_is_told", nearly_full_is_told);
  g_test_add_func("/center/quota/deployments_do_not_pass_together", deployments_do_not_pass_together);
  g_test_add_func("/center/quota/growth_under_way_is_held", growth_under_way_is_held);
  g_test_add_func("/center/quota/failure_gives_back_what_it_held", failure_gives_back_what_it_held);
  g_test_add_func("/center/quota/kill_leaves_the_count_right", kill_leaves_the_count_right);
  int result = g_test_run();
  runs_end();
  return result;
}
