// SPDX-License-Identifier: Apache-2.0
/* A volume is one VM's disk, or is shared by all that have it: every way in which two VMs could come to write one, or a copy be torn, is tried. */
#include "center-runs.h"
#include <string.h>

#define VM(name, disk) "{'name':'" name "','host':'@host','memory_bytes':134217728,'disks':[" disk "]}"

static WsId user_of(CenterRig *rig, const char *volume)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsVolume *)inv_find(snap, &ws_type_volume, rig_world_find(rig->world, volume)))->used_by;
}

static void share_another_vms_disk(CenterRig *rig)
{
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_attach_disk", "off", "{'disk':{'volume':'@run_disk','shared':true}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_update", "linked", "{'patch':{'disks':[{'key':'x','volume':'@run_disk','shared':true}]}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_create", NULL, VM("x", "{'volume':'@run_disk','shared':true}"));
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_create", NULL, VM("x", "{'volume':'@run_disk','shared':true,'read_only':true}"));
  center_rig_assert_no_quarrel(rig);
}

static void disk_of_one_vm_is_not_shared_by_another(void)
{
  runs_on_site(share_another_vms_disk, "shared beside its owner");
}

static void own_a_shared_disk(CenterRig *rig)
{
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'key':'d','volume':'@volume','shared':true}"));
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_attach_disk", "off", "{'disk':{'volume':'@volume'}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_create", NULL, VM("x", "{'volume':'@volume'}"));
  center_rig_do(rig, "two", "vm_create", NULL, VM("two", "{'key':'d','volume':'@volume','shared':true}"));
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_update", "one", "{'patch':{'disks':[{'key':'d','volume':'@volume','shared':false}]}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_detach_disk", "one", "{'key':'d','volume':'destroy'}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_detach_disk", "one", "{'key':'d','volume':'bin'}");
  center_rig_do(rig, NULL, "vm_detach_disk", "one", "{'key':'d'}");
  center_rig_do(rig, NULL, "vm_update", "two", "{'patch':{'disks':[{'key':'d','volume':'@volume','shared':false}]}}"); /* the last one that has it */
  g_assert_cmpuint(user_of(rig, "volume"), ==, rig_world_find(rig->world, "two"));
  center_rig_do(rig, NULL, "vm_update", "two", "{'patch':{'disks':[{'key':'d','volume':'@volume','shared':true}]}}");
  g_assert_cmpuint(user_of(rig, "volume"), ==, 0);
  center_rig_do(rig, NULL, "vm_attach_disk", "one", "{'disk':{'volume':'@volume','shared':true}}");
  center_rig_assert_no_quarrel(rig);
}

static void shared_disk_is_nobodys_own(void)
{
  runs_on_site(own_a_shared_disk, "owned beside who shares it");
}

static void give_to_another(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  ((WsVolume *)inv_edit_id(txn, &ws_type_volume, rig_world_find(rig->world, "volume")))->used_by = rig_world_find(rig->world, "off");
  g_assert_true(inv_commit(txn, NULL, NULL));
}

/* As an older version allowed it: nothing else of the VM waits until that is mended, and it can be. */
static void change_what_shares_anothers(CenterRig *rig)
{
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'key':'d','volume':'@volume','shared':true}"));
  center_rig_run(rig, give_to_another, rig);
  center_rig_do(rig, NULL, "vm_update", "one", "{'patch':{'description':'renamed'}}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_update", "one", "{'patch':{'disks':[{'key':'d','volume':'@volume','shared':false}]}}");
  center_rig_do(rig, NULL, "vm_detach_disk", "one", "{'key':'d'}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_attach_disk", "one", "{'disk':{'volume':'@volume','shared':true}}");
}

static void disk_that_an_older_version_allowed_holds_nothing_else_up(void)
{
  runs_on_site(change_what_shares_anothers, "shared beside its owner since long");
}

static void copy_what_is_written(CenterRig *rig)
{
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'volume':'@volume','shared':true}"));
  center_rig_do(rig, NULL, "volume_clone", "volume", "{'name':'whole'}"); /* it is off */
  center_rig_do(rig, NULL, "vm_start", "one", NULL);
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "volume_clone", "volume", "{'name':'torn'}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "volume_resize", "volume", "{'size_bytes':8388608}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "image_create", NULL, "{'name':'torn','pool':'@pool','source':'@volume'}");
  center_rig_assert_no_quarrel(rig);
}

static void shared_disk_is_not_copied_while_a_vm_writes_it(void)
{
  runs_on_site(copy_what_is_written, "a torn copy");
}

static void build_on_a_vms_disk(CenterRig *rig)
{
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'key':'d','volume':'@volume'}"));
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "volume_clone", "volume", "{'name':'child','linked':true}"); /* its next start would write into it */
  center_rig_do(rig, NULL, "vm_delete", "one", "{'how':'bin_with_volumes'}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "volume_clone", "volume", "{'name':'child','linked':true}"); /* it may come back */
  center_rig_do(rig, NULL, "vm_restore", "one", NULL);
  center_rig_do(rig, NULL, "vm_delete", "one", "{'how':'bin'}"); /* its disks are free */
  center_rig_do(rig, "child", "volume_clone", "volume", "{'name':'child','linked':true}");
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_restore", "one", NULL);
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_create", NULL, VM("x", "{'volume':'@volume','shared':true}"));
  center_rig_do(rig, NULL, "volume_delete", "child", NULL);
  center_rig_do(rig, NULL, "vm_restore", "one", NULL);
  center_rig_assert_no_quarrel(rig);
}

static void nothing_builds_on_a_vms_disk(void)
{
  runs_on_site(build_on_a_vms_disk, "a linked clone");
}

static void take_while_in_the_bin(CenterRig *rig)
{
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'key':'d','volume':'@volume'}"));
  center_rig_do(rig, NULL, "vm_delete", "one", "{'how':'bin'}");
  center_rig_do(rig, "two", "vm_create", NULL, VM("two", "{'key':'d','volume':'@volume','shared':true}"));
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_restore", "one", NULL);
  center_rig_assert_refused(rig, WS_ERROR_IN_USE, "vm_detach_disk", "two", "{'key':'d','volume':'destroy'}"); /* one remembers it */
  center_rig_do(rig, NULL, "vm_detach_disk", "two", "{'key':'d'}");
  center_rig_do(rig, NULL, "vm_restore", "one", NULL);
  g_assert_cmpuint(user_of(rig, "volume"), ==, rig_world_find(rig->world, "one"));
  center_rig_assert_no_quarrel(rig);
}

static void vm_does_not_come_back_to_a_disk_that_others_have(void)
{
  runs_on_site(take_while_in_the_bin, "restored beside another");
}

static void put_into_drive(CenterRig *rig)
{
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_insert_cd", "off", "{'volume':'@run_disk'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_insert_cd", "off", "{'volume':'@volume'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_update", "off", "{'patch':{'cdroms':[{'key':'cd-0','volume':'@run_disk'}]}}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_create", NULL, "{'name':'x','host':'@host','cdroms':[{'volume':'@run_disk'}]}");
  center_rig_do(rig, NULL, "vm_insert_cd", "off", "{'volume':'@other_iso_volume'}");
  center_rig_assert_no_quarrel(rig);
}

static void drive_takes_an_iso_only(void)
{
  runs_on_site(put_into_drive, "a disk in a drive");
}

static void write_to_an_iso(CenterRig *rig)
{
  center_rig_do(rig, "loose_iso", "volume_create", NULL, "{'name':'loose','pool':'@pool','kind':'iso','upload_bytes':4096}");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVolume *v = inv_find(snap, &ws_type_volume, rig_world_find(rig->world, "loose_iso"));
  host_put_upload(&rig->world->disks, v->pool, v->file, v->upload_bytes);
  center_rig_do(rig, NULL, "volume_finish_upload", "loose_iso", NULL);
  center_rig_do(rig, NULL, "vm_insert_cd", "running", "{'volume':'@loose_iso'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_attach_disk", "off", "{'disk':{'volume':'@loose_iso'}}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_attach_disk", "off", "{'disk':{'volume':'@loose_iso','shared':true}}");
  center_rig_do(rig, NULL, "vm_attach_disk", "off", "{'disk':{'volume':'@loose_iso','read_only':true,'shared':true}}");
  center_rig_assert_no_quarrel(rig);
}

static void iso_is_read_only_as_a_disk(void)
{
  runs_on_site(write_to_an_iso, "an ISO as a disk");
}

static const WsVolume *disk_of(const InvSnapshot *snap, const char *name, CenterRig *rig)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, name));
  return inv_find(snap, &ws_type_volume, vm->disks.items[0]->volume);
}

/* Of a running VM, and of one that is off, both in a pool of two hosts. */
static void give_a_host_up(CenterRig *rig)
{
  g_autoptr(InvSnapshot) before = inv_snapshot(rig->center.inventory);
  rig_world_name(rig->world, "written", disk_of(before, "sharer", rig)->id);
  rig_world_name(rig->world, "unwritten", disk_of(before, "resting", rig)->id);
  center_rig_link(rig, 0, false); /* its guests run on */
  center_rig_run_for(rig, 30 * (gint64)G_USEC_PER_SEC);
  center_rig_do(rig, NULL, "host_delete", "host", "{'force':true}");
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_create", NULL, "{'name':'x','host':'@second','memory_bytes':134217728,'disks':[{'volume':'@written'}]}");
  center_rig_do(rig, NULL, "vm_create", NULL, "{'name':'x','host':'@second','memory_bytes':134217728,'disks':[{'volume':'@unwritten'}]}");
}

static void disk_of_a_host_that_is_given_up_is_not_free_at_once(void)
{
  runs_on_site(give_a_host_up, "a host that may go on");
}

/* As a batch does, which asks for tasks and not by a route: nobody has looked at the state table before. */
static void ask_past_the_table(CenterRig *rig)
{
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "volume_finish_upload", "run_disk", NULL); /* it would be "awaiting upload" afterwards */
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "volume_finish_upload", "volume", NULL);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "image_verify", "half_image", NULL);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_delete", "running", "{'how':'forget'}"); /* its disks would be free */
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVolume *volume = inv_find(snap, &ws_type_volume, rig_world_find(rig->world, "run_disk"));
  g_assert_cmpint(volume->state, ==, WS_VOLUME_STATE_READY);
  g_assert_cmpuint(volume->used_by, ==, rig_world_find(rig->world, "running"));
  center_rig_assert_no_quarrel(rig);
}

static void state_table_holds_in_a_batch_too(void)
{
  runs_on_site(ask_past_the_table, "past the state table");
}

static void start_while_read(CenterRig *rig)
{
  static const char *const copies[][3] = {
      {"volume_clone", "volume", "{'name':'copy'}"},
      {"image_create", NULL, "{'name':'copy','pool':'@pool','source':'@volume','architecture':'x86_64'}"},
  };
  center_rig_do(rig, "one", "vm_create", NULL, VM("one", "{'volume':'@volume'}"));
  for (guint i = 0; i < G_N_ELEMENTS(copies); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(center_rig_start(rig, copies[i][0], copies[i][1], copies[i][2], &error), !=, 0);
    center_rig_assert_refused(rig, WS_ERROR_BUSY, "vm_start", "one", NULL);
    center_rig_settle(rig);
    center_rig_do(rig, NULL, "vm_start", "one", NULL);
    center_rig_do(rig, NULL, "vm_power_off", "one", NULL);
  }
  center_rig_assert_no_quarrel(rig);
}

static void vm_does_not_start_while_its_disk_is_copied(void)
{
  runs_on_site(start_while_read, "started while it is copied");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
#define ADD(name) g_test_add_func("/center/disks/" #name, name)
  ADD(disk_of_one_vm_is_not_shared_by_another);
  ADD(shared_disk_is_nobodys_own);
  ADD(disk_that_an_older_version_allowed_holds_nothing_else_up);
  ADD(shared_disk_is_not_copied_while_a_vm_writes_it);
  ADD(nothing_builds_on_a_vms_disk);
  ADD(vm_does_not_come_back_to_a_disk_that_others_have);
  ADD(drive_takes_an_iso_only);
  ADD(iso_is_read_only_as_a_disk);
  ADD(disk_of_a_host_that_is_given_up_is_not_free_at_once);
  ADD(state_table_holds_in_a_batch_too);
  ADD(vm_does_not_start_while_its_disk_is_copied);
  int result = g_test_run();
  runs_end();
  return result;
}
