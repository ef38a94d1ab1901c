// SPDX-License-Identifier: Apache-2.0
/* Two things at the same time on one object, and hosts that go for good: what one task alone does not show. */
#include "center-runs.h"
#include "inventory/store-private.h"
#include "center/cluster/cluster.h"
#include "center/network/network.h"
#include "center/room.h"
#include "center/storage/storage.h"
#include "task/task-private.h"
#include <string.h>

static const void *look(CenterRig *rig, const WsType *type, const char *name)
{
  static const void *kept;
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const void *object = inv_find(snap, type, rig_world_find(rig->world, name));
  ws_resource_unref(kept);
  kept = object ? ws_resource_ref(object) : NULL;
  return kept;
}

static WsTaskState state_of(CenterRig *rig, WsId task)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsTask *)inv_find(snap, &ws_type_task, task))->state;
}

static WsId start_ok(CenterRig *rig, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  WsId task = center_rig_start(rig, kind, target, json, &error);
  g_assert_no_error(error);
  return task;
}

/* ---- a cluster and its processors ---- */

static WsHostFacts *facts_with(const char *const *features)
{
  WsHostFacts *facts = ws_host_facts_new();
  facts->virtualisation = ws_host_virtualisation_new();
  facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_KVM;
  facts->guest_cpu = center_rig_guest_cpu(features);
  return facts;
}

static void make_cluster(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsHost *host = inv_edit_id(txn, &ws_type_host, rig_world_find(rig->world, "host"));
  WsHost *second = inv_edit_id(txn, &ws_type_host, rig_world_find(rig->world, "second"));
  WsCluster *cluster = inv_create(txn, &ws_type_cluster);
  WsId id = cluster->id;
  cluster->name = g_strdup("fast");
  cluster->host_pool = host->host_pool;
  host->cluster = id;
  ws_host_facts_free(host->facts);
  host->facts = facts_with((const char *const[]){"avx", "avx2", NULL});
  ws_host_facts_free(second->facts);
  second->facts = facts_with((const char *const[]){"avx", NULL});
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
  rig_world_name(rig->world, "fast", id);
}

/* Host "second" would join the cluster of "host", on which a VM of the new cluster runs. */
static void ask_old_processor_to_join(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  center_rig_run(rig, make_cluster, rig);
  WsId id = rig_world_find(rig->world, "fast");
  center_rig_do(rig, "fast_vm", "vm_create", NULL, "{'name':'f','host':'@host','memory_bytes':134217728}");
  const WsVm *vm = look(rig, &ws_type_vm, "fast_vm");
  g_assert_cmpint(vm->cpu->mode, ==, WS_VM_CPU_MODE_CUSTOM);
  g_assert_cmpstr(vm->cpu->model, ==, "kvm64");
  g_assert_cmpuint(vm->cpu->features.len, ==, 2);

  g_autoptr(InvSnapshot) off = inv_snapshot(rig->center.inventory);
  const WsHost *joins = inv_find(off, &ws_type_host, rig_world_find(rig->world, "second"));
  g_assert_true(cluster_check_cpu(off, inv_find(off, &ws_type_cluster, id), joins, &error)); /* nobody runs who needs more */
  g_auto(GStrv) lowered = room_cpu_lowered(off, id, joins);
  g_assert_cmpstr(lowered[0], ==, "avx2");
  center_rig_assert_refused(rig, WS_ERROR_CANNOT_MOVE, "vm_migrate", "fast_vm", "{'host':'@second'}");

  center_rig_do(rig, NULL, "vm_start", "fast_vm", NULL);
  g_autoptr(InvSnapshot) on = inv_snapshot(rig->center.inventory);
  g_assert_false(cluster_check_cpu(on, inv_find(on, &ws_type_cluster, id), joins, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_CPU_LACKS);
  g_assert_nonnull(strstr(error->message, "avx2"));
  g_assert_nonnull(strstr(error->message, "f."));
}

static void running_vms_keep_an_old_processor_out(void)
{
  runs_on_site(ask_old_processor_to_join, "an old processor");
}

/* ---- a VM that changes while its move is planned ---- */

static void goes_off(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsVm *vm = inv_edit_id(txn, &ws_type_vm, rig_world_find(rig->world, "sharer"));
  vm->power->state = WS_POWER_STATE_OFF;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

/* The commit is on its way to the disk when the move asks its hosts. */
static void ask_to_move_what_changes(CenterRig *rig)
{
  ws_co_start(rig->center.loop, goes_off, rig);
  center_rig_assert_refused(rig, WS_ERROR_CONFLICT, "vm_migrate", "sharer", "{'host':'@second'}");
}

static void move_is_not_begun_on_what_was_so(void)
{
  runs_on_site(ask_to_move_what_changes, "a VM that goes off while its move is planned");
}

/* ---- one volume, two VMs ---- */

static void ask_twice_for_one_volume(CenterRig *rig)
{
  start_ok(rig, "vm_attach_disk", "off", "{'disk':{'volume':'@volume'}}");
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "vm_attach_disk", "running", "{'disk':{'volume':'@volume'}}");
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "vm_update", "running", "{'patch':{'disks':[{'volume':'@volume'}]}}");
  center_rig_settle(rig);
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_attach_disk", "running", "{'disk':{'volume':'@volume'}}");
  center_rig_assert_no_quarrel(rig);
}

static void volume_is_attached_to_one_vm_only(void)
{
  runs_on_site(ask_twice_for_one_volume, "one volume for two");
}

/* Past the tasks: the inventory itself refuses. */
typedef struct {
  CenterRig *rig;
  GError *error;
} Steal;

static void steal(void *arg)
{
  Steal *s = arg;
  g_autoptr(InvTxn) txn = inv_begin(s->rig->center.inventory);
  WsVm *thief = inv_edit_id(txn, &ws_type_vm, rig_world_find(s->rig->world, "off"));
  thief->disks.items[0]->volume = rig_world_find(s->rig->world, "run_disk");
  inv_commit(txn, NULL, &s->error);
}

static void write_one_volume_into_two(CenterRig *rig)
{
  Steal s = {rig, NULL};
  center_rig_run(rig, steal, &s);
  g_assert_error(s.error, WS_ERROR, WS_ERROR_IN_USE);
  g_assert_cmpstr(ws_error_param(s.error, "user"), ==, "running");
  g_clear_error(&s.error);
}

static void inventory_refuses_a_volume_in_two_vms(void)
{
  runs_on_site(write_one_volume_into_two, "one volume in two");
}

static void detach_and_attach(CenterRig *rig)
{
  char json[128], id[WS_ID_TEXT_MAX];
  const WsVm *vm = look(rig, &ws_type_vm, "off");
  g_snprintf(json, sizeof json, "{'disk':{'volume':'%s'}}",
             ws_id_format(ws_type_volume.prefix, vm->disks.items[1]->volume, id));
  start_ok(rig, "vm_detach_disk", "off", "{'key':'disk-1','volume':'destroy'}");
  for (guint i = 0; i < 40; i++) { /* at any moment of the detach */
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(center_rig_start(rig, "vm_attach_disk", "running", json, &error), ==, 0);
    center_rig_run_for(rig, 200);
  }
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void volume_that_is_being_destroyed_is_attached_to_nobody(void)
{
  runs_on_site(detach_and_attach, "detach and attach");
}

/* ---- a pool and what is made in it ---- */

#define NEW_DISK "{'disk':{'new_volume':{'size_bytes':1048576,'pool':'@idle_pool'}}}"

/* A suspended pool's host refuses to delete files: what may have to be taken back must not be caught in it.
 */
static void suspend_under_a_new_disk(CenterRig *rig)
{
  start_ok(rig, "vm_attach_disk", "off", NEW_DISK);
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "pool_suspend", "idle_pool", NULL);
  center_rig_settle(rig);
  start_ok(rig, "pool_suspend", "idle_pool", NULL);
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "vm_attach_disk", "off", NEW_DISK);
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void pool_is_not_suspended_while_a_disk_is_made_in_it(void)
{
  runs_on_site(suspend_under_a_new_disk, "suspend under a new disk");
}

static void delete_from_a_suspended_pool(CenterRig *rig)
{
  start_ok(rig, "vm_attach_disk", "off", NEW_DISK);
  center_rig_settle(rig);
  start_ok(rig, "pool_suspend", "idle_pool", NULL);
  center_rig_settle(rig);
  const WsVm *vm = look(rig, &ws_type_vm, "off");
  g_autofree char *json =
      g_strdup_printf("{'key':'%s','volume':'destroy'}", vm->disks.items[vm->disks.len - 1]->key);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_detach_disk", "off", json);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_delete", "off", "{'how':'destroy'}");
  center_rig_assert_no_quarrel(rig);
}

static void way_without_return_does_not_begin_in_a_suspended_pool(void)
{
  runs_on_site(delete_from_a_suspended_pool, "delete from a suspended pool");
}

static void next_act_is_done_and_its_answer_lost(CenterRig *rig)
{
  rig->world->happened = 0;
  rig->world->fault = RIG_CUT_AFTER;
  rig->world->at = rig->world->n_acts + 1;
}

typedef struct {
  CenterRig *rig;
  WsId task;
} Cancel;

static void cancel(void *arg)
{
  const Cancel *c = arg;
  g_autoptr(GError) error = NULL;
  task_cancel(c->rig->center.tasks, c->task, "bob", &error);
  g_assert_no_error(error);
}

static void cancel_while_the_host_is_away(CenterRig *rig, WsId task)
{
  Cancel c = {rig, task};
  while (!rig->world->happened || host_sim_is_connected(rig->hosts[0].sim))
    center_rig_run_for(rig, 1000);
  center_rig_run(rig, cancel, &c);
  center_rig_settle(rig);
  g_assert_cmpint(state_of(rig, task), ==, WS_TASK_STATE_CANCELLED);
  center_rig_assert_no_quarrel(rig);
}

/* The removal took the folder's identity along, and nobody heard: the way back makes it anew, and waits for
 * the host to do so. */
static void cancel_a_removal(CenterRig *rig)
{
  next_act_is_done_and_its_answer_lost(rig);
  cancel_while_the_host_is_away(rig, start_ok(rig, "pool_delete", "idle_pool", NULL));
}

static void cancel_a_suspension(CenterRig *rig)
{
  next_act_is_done_and_its_answer_lost(rig);
  cancel_while_the_host_is_away(rig, start_ok(rig, "pool_suspend", "idle_pool", NULL));
}

static void cancel_a_removal_of_a_switch(CenterRig *rig)
{
  next_act_is_done_and_its_answer_lost(rig);
  cancel_while_the_host_is_away(rig, start_ok(rig, "switch_delete", "idle_switch", NULL));
}

static void cancel_a_removal_of_a_port_group(CenterRig *rig)
{
  next_act_is_done_and_its_answer_lost(rig);
  cancel_while_the_host_is_away(rig, start_ok(rig, "port_group_delete", "idle_group", NULL));
}

static void network_is_there_again_when_its_removal_is_cancelled(void)
{
  runs_on_site(cancel_a_removal_of_a_switch, "a cancelled removal of a switch");
  runs_on_site(cancel_a_removal_of_a_port_group, "a cancelled removal of a port group");
}

static void pool_is_what_it_was_when_its_change_is_cancelled(void)
{
  runs_on_site(cancel_a_removal, "a cancelled removal");
  runs_on_site(cancel_a_suspension, "a cancelled suspension");
}

static void adopt_and_start(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_adopt", "found", NULL);
  center_rig_do(rig, NULL, "vm_start", "found", NULL);
  const WsVm *vm = look(rig, &ws_type_vm, "found");
  g_assert_cmpint(vm->run_generation, ==, 1);
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void adopted_vm_starts_with_its_first_right(void)
{
  runs_on_site(adopt_and_start, "an adopted VM");
}

/* ---- an export ---- */

#define FILER "'nfs':{'server':'Filer','export':'/vol'}"

static void ask_for_exports(CenterRig *rig)
{
  center_rig_assert_refused(rig, WS_ERROR_REQUIRED, "pool_create", NULL, "{'name':'x','kind':'nfs','hosts':['@host']}");
  center_rig_assert_refused(rig, WS_ERROR_REQUIRED, "pool_create", NULL, "{'name':'x','hosts':['@host']}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "pool_create", NULL, "{'name':'x','hosts':['@host'],'path':'/pools/x'," FILER "}");
  center_rig_do(rig, "filer", "pool_create", NULL, "{'name':'filer','kind':'nfs','hosts':['@host']," FILER "}");
  const WsPool *pool = look(rig, &ws_type_pool, "filer");
  g_autofree char *path = g_strconcat("/var/lib/winsphere/pools/nfs-", pool->uuid, NULL);
  g_assert_cmpstr(pool->path, ==, path);
  center_rig_do(rig, NULL, "pool_attach", "filer", "{'host':'@second'}"); /* at the same place there */
  center_rig_assert_refused(rig, WS_ERROR_ALREADY_EXISTS, "pool_create", NULL,
                 "{'name':'again','kind':'nfs','hosts':['@second'],'nfs':{'server':'filer','export':'/vol'}}");
  center_rig_do(rig, NULL, "pool_create", NULL, "{'name':'more','kind':'nfs','hosts':['@host'],'nfs':{'server':'filer','export':'/vol2'}}");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void export_is_one_pool_at_the_same_place_everywhere(void)
{
  runs_on_site(ask_for_exports, "exports");
}

/* ---- networks ---- */

typedef struct {
  WsId id;
} NewGroup;

static bool look_for_pending(const void *object, void *arg)
{
  const WsPortGroup *group = object;
  if (group->activity)
    ((NewGroup *)arg)->id = group->id;
  return true;
}

/* Its creation may be undone yet: a VM that had it meanwhile would hold that up for ever. */
static void use_a_port_group_too_early(CenterRig *rig)
{
  NewGroup new = {0};
  char id[WS_ID_TEXT_MAX];
  start_ok(rig, "port_group_create", NULL, "{'name':'early','switch':'@switch'}");
  while (!new.id) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
    inv_each(snap, &ws_type_port_group, look_for_pending, &new);
    center_rig_run_for(rig, 10);
  }
  g_autofree char *json =
      g_strdup_printf("{'nic':{'port_group':'%s'}}", ws_id_format(ws_type_port_group.prefix, new.id, id));
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "vm_attach_nic", "off", json);
  center_rig_settle(rig);
  start_ok(rig, "vm_attach_nic", "off", json);
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void port_group_is_nobodys_before_it_is_made(void)
{
  runs_on_site(use_a_port_group_too_early, "a port group too early");
}

static gint64 vlan_on_host(CenterRig *rig, const char *name)
{
  const WsVm *vm = look(rig, &ws_type_vm, name);
  const HostDomain *d = host_find_domain(&rig->world->hosts[0], vm->uuid);
  g_autoptr(GError) error = NULL;
  g_autoptr(WsVmSpec) spec = ws_vm_spec_parse(d->spec, strlen(d->spec), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  return spec->nics.items[0]->vlan;
}

static void change_the_vlan_with_the_host_away(CenterRig *rig)
{
  start_ok(rig, "port_group_update", "group", "{'patch':{'vlan':{'mode':'access','tag':42}}}");
  rig->world->fault = RIG_CUT_AFTER; /* the next act: what follows the change is lost with the link */
  rig->world->at = rig->world->n_acts + 1;
  center_rig_settle(rig);
  g_assert_cmpint(vlan_on_host(rig, "off"), ==, 42);
  g_assert_cmpint(vlan_on_host(rig, "running"), ==, 42);
  center_rig_assert_no_quarrel(rig);
}

static void stopped_vm_starts_in_the_new_vlan(void)
{
  runs_on_site(change_the_vlan_with_the_host_away, "a new VLAN");
}

/* ---- hosts that never come back ---- */

static void lose_host(CenterRig *rig)
{
  rig->world->fault = RIG_AWAY;
  rig->world->at = rig->world->n_acts + 1;
}

/* What waits for the host - a step, an undo, a delete past its point of no return - ends when the host is given up. */
static void wait_for_a_dead_host(CenterRig *rig, const char *kind, const char *target, const char *json, gint64 wait_us)
{
  lose_host(rig);
  WsId waiting = start_ok(rig, kind, target, json);
  center_rig_run_for(rig, wait_us);
  g_assert_false(host_sim_is_connected(rig->hosts[0].sim));
  g_assert_false(task_state_is_end(state_of(rig, waiting)));
  start_ok(rig, "host_delete", "host", "{'force':true}");
  center_rig_settle(rig);
  g_assert_true(task_state_is_end(state_of(rig, waiting)));
  g_assert_cmpint(g_hash_table_size(rig->center.tasks->locks), ==, 0);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_assert_cmpuint(inv_count(snap, &ws_type_vm), ==, 0);
  g_assert_null(inv_find(snap, &ws_type_host, rig->hosts[0].id));
}

static void deploy_forward(CenterRig *rig)
{
  wait_for_a_dead_host(rig, "vm_deploy", NULL, "{'name':'new','image':'@image'}", 30 * (gint64)G_USEC_PER_SEC);
}

static void deploy_back(CenterRig *rig)
{
  wait_for_a_dead_host(rig, "vm_deploy", NULL, "{'name':'new','image':'@image'}", 200 * (gint64)G_USEC_PER_SEC);
}

static void destroy_onward(CenterRig *rig)
{
  wait_for_a_dead_host(rig, "vm_delete", "off", "{'how':'destroy'}", 200 * (gint64)G_USEC_PER_SEC);
}

static void task_ends_with_a_host_that_is_given_up(void)
{
  runs_on_site(deploy_forward, "a deploy waits");
  runs_on_site(deploy_back, "an undo waits");
  runs_on_site(destroy_onward, "a delete waits");
}

/* A delete past the point of no return waits for its host, and is through when it is back. */
static void delete_with_the_host_away(CenterRig *rig)
{
  lose_host(rig);
  WsId task = start_ok(rig, "vm_delete", "off", "{'how':'destroy'}");
  center_rig_run_for(rig, 200 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(state_of(rig, task), ==, WS_TASK_STATE_RUNNING);
  center_rig_settle(rig);
  g_assert_cmpint(state_of(rig, task), ==, WS_TASK_STATE_DONE);
  center_rig_assert_no_quarrel(rig);
}

static void delete_past_its_point_of_no_return_waits_for_its_host(void)
{
  runs_on_site(delete_with_the_host_away, "a delete goes on");
}

/* ---- ways without return ---- */

typedef struct {
  WsId vm;
  guint owned, binned; /* volumes that are its own; in the bin and free */
} Disks;

static bool count_disk(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Disks *disks = arg;
  disks->owned += volume->used_by == disks->vm;
  disks->binned += volume->in_bin_since && !volume->used_by;
  return true;
}

static Disks count_disks(CenterRig *rig, const char *vm)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  Disks disks = {.vm = rig_world_find(rig->world, vm)};
  inv_each(snap, &ws_type_volume, count_disk, &disks);
  return disks;
}

/* Its acts: undefine, then a file, then the other. */
static WsTaskState delete_with_a_failing_act(CenterRig *rig, gint act)
{
  rig->world->happened = 0;
  rig->world->fault = RIG_FAIL;
  rig->world->at = rig->world->n_acts + act;
  WsId task = start_ok(rig, "vm_delete", "off", "{'how':'destroy'}");
  center_rig_settle(rig);
  g_assert_cmpstr(rig->world->where, ==, "volume.delete");
  center_rig_assert_no_quarrel(rig);
  return state_of(rig, task);
}

static void fail_at_the_first_file(CenterRig *rig)
{
  Disks before = count_disks(rig, "off");
  g_assert_cmpint(delete_with_a_failing_act(rig, 2), ==, WS_TASK_STATE_ROLLED_BACK);
  g_assert_nonnull(look(rig, &ws_type_vm, "off"));
  g_assert_cmpuint(count_disks(rig, "off").owned, ==, before.owned);
}

static void fail_at_the_second_file(CenterRig *rig)
{
  Disks before = count_disks(rig, "off");
  g_assert_cmpint(delete_with_a_failing_act(rig, 3), ==, WS_TASK_STATE_DONE);
  g_assert_null(look(rig, &ws_type_vm, "off"));
  Disks after = count_disks(rig, "off");
  g_assert_cmpuint(after.owned, ==, 0);
  g_assert_cmpuint(after.binned, ==, before.binned + 1);
}

static void vm_never_comes_back_with_a_part_of_its_disks(void)
{
  runs_on_site(fail_at_the_first_file, "the first file cannot be deleted");
  runs_on_site(fail_at_the_second_file, "the second file cannot be deleted");
}

/* ---- pools of several hosts ---- */

static void detach_the_target(CenterRig *rig)
{
  start_ok(rig, "vm_migrate", "sharer", "{'host':'@second'}");
  center_rig_assert_refused(rig, WS_ERROR_BUSY, "pool_detach", "shared_pool", "{'host':'@second'}");
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
}

static void pool_stays_where_a_vm_moves_to(void)
{
  runs_on_site(detach_the_target, "a pool is detached from a move's target");
}

/* Another host of the pool is there; but what was asked of the first one may come to be yet. */
static void cancel_what_a_host_may_be_at(CenterRig *rig)
{
  Cancel c = {rig, start_ok(rig, "volume_create", NULL, "{'name':'w','pool':'@shared_pool','size_bytes':4194304}")};
  center_rig_link(rig, 0, false);
  center_rig_run(rig, cancel, &c);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(state_of(rig, c.task), ==, WS_TASK_STATE_CANCELLING);
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_cmpint(state_of(rig, c.task), ==, WS_TASK_STATE_CANCELLED);
  center_rig_assert_no_quarrel(rig);
}

static void file_is_taken_back_by_the_host_that_made_it(void)
{
  runs_on_site(cancel_what_a_host_may_be_at, "a file of a host that is away");
}

/* ---- a target that is given up ---- */

static void give_the_target_up(CenterRig *rig)
{
  WsId task = start_ok(rig, "vm_migrate", "sharer", "{'host':'@second'}");
  const HostDomain *there;
  char uuid[40];
  g_strlcpy(uuid, ((const WsVm *)look(rig, &ws_type_vm, "sharer"))->uuid, sizeof uuid);
  do {
    center_rig_run_for(rig, 1000);
    there = host_find_domain(&rig->world->hosts[1], uuid);
  } while (!there || !there->there);
  center_rig_link(rig, 1, false);
  while (!host_find_domain(&rig->world->hosts[0], uuid)->gone_over)
    center_rig_run_for(rig, 1000);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  g_assert_false(task_state_is_end(state_of(rig, task)));
  start_ok(rig, "host_delete", "second", "{'force':true}");
  center_rig_run_for(rig, 30 * (gint64)G_USEC_PER_SEC);
  g_assert_true(task_state_is_end(state_of(rig, task)));
  const WsVm *vm = look(rig, &ws_type_vm, "sharer");
  g_assert_cmpint(vm->host, ==, rig->hosts[0].id);
  g_assert_cmpint(vm->power->state, ==, WS_POWER_STATE_OFF);
}

static void move_ends_with_a_target_that_is_given_up(void)
{
  runs_on_site(give_the_target_up, "the target of a move is removed");
}

/* ---- a source that asks its target for what is no part of the move ---- */

static void move_from_a_suspect(CenterRig *rig)
{
  rig->world->hosts[1].suspects = true;
  WsId task = start_ok(rig, "vm_migrate", "sharer", "{'host':'@second'}");
  center_rig_settle(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsTask *record = inv_find(snap, &ws_type_task, task);
  g_assert_true(record->state == WS_TASK_STATE_FAILED || record->state == WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(record->error->code, ==, "move_refused");
  const WsVm *vm = look(rig, &ws_type_vm, "sharer");
  g_assert_cmpint(vm->host, ==, rig->hosts[0].id);
  host_sim_suspect(rig->hosts[1].sim, vm->uuid,
                   rig->hosts[1].id); /* as if it were at neither of the two: not believed */
  center_rig_settle(rig);
  g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  guint told = 0;
  g_assert_true(store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 10000, events, &error));
  for (guint i = 0; i < events->len; i++) {
    const WsEvent *event = events->pdata[i];
    if (strcmp(event->text, "move_peer_refused") != 0)
      continue;
    g_assert_cmpint(event->level, ==, WS_EVENT_LEVEL_CRITICAL);
    g_assert_cmpstr(ws_map_get(&event->params, "from"), ==,
                    ((const WsHost *)inv_find(snap, &ws_type_host, rig->hosts[0].id))->name);
    told++;
  }
  g_assert_cmpuint(told, ==, 1);
  center_rig_assert_no_quarrel(rig);
}

static void move_one_that_is_off_from_a_suspect(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_power_off", "sharer", "{}");
  move_from_a_suspect(rig);
}

static void move_from_a_host_that_asks_for_more_fails_by_name(void)
{
  runs_on_site(move_from_a_suspect, "a suspect moves a VM");
  runs_on_site(move_one_that_is_off_from_a_suspect, "a suspect moves a VM that is off");
}

/* ---- a host that connects while it is told its firewall ---- */

#define RULES(source) "{'rules':[{'source':'" source "','protocol':'tcp','ports':'22'}]}"

static void tell_again(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  WsId host = rig_world_find(rig->world, "host");
  g_assert_true(network_resync_firewall(&rig->center, host, hosts_link(&rig->center, host, &error), &error));
  g_assert_no_error(error);
}

/* The host has the new list and the inventory not yet, when what connecting brings looks there. */
static void connect_between_act_and_record(CenterRig *rig)
{
  center_rig_do(rig, NULL, "host_set_firewall", "host", RULES("10.0.0.0/8"));
  start_ok(rig, "host_set_firewall", "host", RULES("192.0.2.0/24"));
  while (!strstr(rig->world->hosts[0].firewall, "192.0.2.0"))
    center_rig_run_for(rig, 1);
  const WsHost *host = look(rig, &ws_type_host, "host");
  g_assert_cmpstr(host->firewall->rules.items[0]->source, ==, "10.0.0.0/8");
  ws_co_start(rig->center.loop, tell_again, rig);
  center_rig_settle(rig);
  center_rig_assert_no_quarrel(rig);
  g_assert_nonnull(strstr(rig->world->hosts[0].firewall, "192.0.2.0"));
}

static void firewall_told_while_it_is_set_is_the_new_one(void)
{
  runs_on_site(connect_between_act_and_record, "a host connects while its firewall is set");
}

/* ---- a host that connects while it is given a pool ---- */

static void tell_pools_again(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  WsId host = rig_world_find(rig->world, "second");
  g_assert_true(storage_resync_pools(&rig->center, host, hosts_link(&rig->center, host, &error), &error));
  g_assert_no_error(error);
}

/* The host has the pool and the inventory not yet, when the host is told which are its own. */
static void tell_pools_between_act_and_record(CenterRig *rig)
{
  center_rig_do(rig, "late", "pool_create", NULL, "{'name':'late','kind':'shared_directory','hosts':['@host'],'path':'/shared/late'}");
  WsId pool = rig_world_find(rig->world, "late");
  start_ok(rig, "pool_attach", "late", "{'host':'@second'}");
  while (!host_find_pool(&rig->world->hosts[1], pool))
    center_rig_run_for(rig, 1);
  g_assert_cmpuint(((const WsPool *)look(rig, &ws_type_pool, "late"))->hosts.len, ==, 1);
  ws_co_start(rig->center.loop, tell_pools_again, rig);
  for (guint ms = 0; ms < 200; ms++) { /* not for a moment, either: its preparation may go on there */
    center_rig_run_for(rig, 1);
    g_assert_nonnull(host_find_pool(&rig->world->hosts[1], pool));
  }
  center_rig_settle(rig);
  g_assert_cmpuint(((const WsPool *)look(rig, &ws_type_pool, "late"))->hosts.len, ==, 2);
  center_rig_assert_no_quarrel(rig);
}

static void pool_is_not_forgotten_while_it_is_attached(void)
{
  runs_on_site(tell_pools_between_act_and_record, "a host connects while it is given a pool");
}

/* ---- the volume of an image, as a VM's disk ---- */

static void assert_is_the_images(CenterRig *rig, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  g_assert_cmpuint(center_rig_start(rig, kind, target, json, &error), ==, 0);
  g_assert_error(error, WS_ERROR, WS_ERROR_IN_USE);
  g_assert_cmpstr(ws_error_param(error, "user"), ==, "image");
}

static void ask_for_the_images_volume(CenterRig *rig)
{
  assert_is_the_images(rig, "vm_create", NULL, "{'name':'user','host':'@host','memory_bytes':67108864,'disks':[{'volume':'@image_volume'}]}");
  assert_is_the_images(rig, "vm_attach_disk", "off", "{'disk':{'volume':'@image_volume'}}");
  assert_is_the_images(rig, "vm_attach_disk", "off", "{'disk':{'volume':'@image_volume','shared':true}}");
  center_rig_assert_no_quarrel(rig);
}

static void volume_of_an_image_is_nobodys_disk(void)
{
  runs_on_site(ask_for_the_images_volume, "an image's volume is asked for");
}

/* As one that was found has it. */
static void give_volume(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsVm *vm = inv_edit_id(txn, &ws_type_vm, rig_world_find(rig->world, "off"));
  WsVolume *before = inv_edit_id(txn, &ws_type_volume, vm->disks.items[0]->volume);
  WsVolume *after = inv_edit_id(txn, &ws_type_volume, rig_world_find(rig->world, "image_volume"));
  vm->disks.items[0]->volume = after->id;
  before->used_by = 0;
  after->used_by = vm->id;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

/* The bytes went first, and only then the record was held back. */
static void delete_image_of_a_disk(CenterRig *rig)
{
  center_rig_do(rig, NULL, "vm_delete", "linked", "{'how':'destroy'}");
  center_rig_run(rig, give_volume, rig);
  g_autoptr(GError) error = NULL;
  g_assert_cmpuint(center_rig_start(rig, "image_delete", "image", NULL, &error), ==, 0);
  g_assert_error(error, ws_error_quark(), WS_ERROR_IN_USE);
  center_rig_settle(rig);
  const WsImage *image = look(rig, &ws_type_image, "image");
  const WsVolume *volume = look(rig, &ws_type_volume, "image_volume");
  g_assert_nonnull(image);
  g_assert_cmpint(volume->state, ==, WS_VOLUME_STATE_READY);
  g_assert_true(host_find_file(&rig->world->disks, volume->pool, volume->file) != NULL);
}

static void image_whose_volume_a_vm_has_keeps_its_bytes(void)
{
  runs_on_site(delete_image_of_a_disk, "an image's volume as a disk");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/together/volume_of_an_image_is_nobodys_disk", volume_of_an_image_is_nobodys_disk);
  g_test_add_func("/center/together/adopted_vm_starts_with_its_first_right", adopted_vm_starts_with_its_first_right);
  g_test_add_func("/center/together/export_is_one_pool_at_the_same_place_everywhere", export_is_one_pool_at_the_same_place_everywhere);
  g_test_add_func("/center/together/running_vms_keep_an_old_processor_out", running_vms_keep_an_old_processor_out);
  g_test_add_func("/center/together/volume_is_attached_to_one_vm_only", volume_is_attached_to_one_vm_only);
  g_test_add_func("/center/together/inventory_refuses_a_volume_in_two_vms", inventory_refuses_a_volume_in_two_vms);
  g_test_add_func("/center/together/volume_that_is_being_destroyed_is_attached_to_nobody",
                  volume_that_is_being_destroyed_is_attached_to_nobody);
  g_test_add_func("/center/together/pool_is_not_suspended_while_a_disk_is_made_in_it",
                  pool_is_not_suspended_while_a_disk_is_made_in_it);
  g_test_add_func("/center/together/way_without_return_does_not_begin_in_a_suspended_pool",
                  way_without_return_does_not_begin_in_a_suspended_pool);
  g_test_add_func("/center/together/pool_is_what_it_was_when_its_change_is_cancelled",
                  pool_is_what_it_was_when_its_change_is_cancelled);
  g_test_add_func("/center/together/network_is_there_again_when_its_removal_is_cancelled",
                  network_is_there_again_when_its_removal_is_cancelled);
  g_test_add_func("/center/together/port_group_is_nobodys_before_it_is_made",
                  port_group_is_nobodys_before_it_is_made);
  g_test_add_func("/center/together/stopped_vm_starts_in_the_new_vlan", stopped_vm_starts_in_the_new_vlan);
  g_test_add_func("/center/together/task_ends_with_a_host_that_is_given_up", task_ends_with_a_host_that_is_given_up);
  g_test_add_func("/center/together/delete_past_its_point_of_no_return_waits_for_its_host",
                  delete_past_its_point_of_no_return_waits_for_its_host);
  g_test_add_func("/center/together/vm_never_comes_back_with_a_part_of_its_disks", vm_never_comes_back_with_a_part_of_its_disks);
  g_test_add_func("/center/together/pool_stays_where_a_vm_moves_to", pool_stays_where_a_vm_moves_to);
  g_test_add_func("/center/together/file_is_taken_back_by_the_host_that_made_it", file_is_taken_back_by_the_host_that_made_it);
  g_test_add_func("/center/together/move_is_not_begun_on_what_was_so", move_is_not_begun_on_what_was_so);
  g_test_add_func("/center/together/move_ends_with_a_target_that_is_given_up", move_ends_with_a_target_that_is_given_up);
  g_test_add_func("/center/together/move_from_a_host_that_asks_for_more_fails_by_name",
                  move_from_a_host_that_asks_for_more_fails_by_name);
  g_test_add_func("/center/together/pool_is_not_forgotten_while_it_is_attached", pool_is_not_forgotten_while_it_is_attached);
  g_test_add_func("/center/together/firewall_told_while_it_is_set_is_the_new_one", firewall_told_while_it_is_set_is_the_new_one);
  g_test_add_func("/center/together/image_whose_volume_a_vm_has_keeps_its_bytes", image_whose_volume_a_vm_has_keeps_its_bytes);
  int result = g_test_run();
  runs_end();
  return result;
}
