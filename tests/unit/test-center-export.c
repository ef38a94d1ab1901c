// SPDX-License-Identifier: Apache-2.0
/* A VM that is exported: what it becomes, what is refused, and that nobody takes the file for a disk. Kills and faults are in the scenes. */
#include "center-runs.h"
#include <string.h>

static void export_and_delete(CenterRig *rig)
{
  center_rig_do(rig, "packed", "vm_export", "linked", "{'pool':'@idle_pool'}");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVolume *volume = inv_find(snap, &ws_type_volume, rig_world_find(rig->world, "packed"));
  g_assert_cmpint(volume->kind, ==, WS_VOLUME_KIND_OVA);
  g_assert_cmpint(volume->state, ==, WS_VOLUME_STATE_READY);
  g_assert_cmpint(volume->format, ==, WS_VOLUME_FORMAT_RAW);
  g_assert_cmpint(volume->size_bytes, ==, 65536); /* what the host says, no more the most it could be */
  g_assert_cmpstr(volume->name, ==, "linked");
  g_assert_cmpuint(strlen(volume->sha256), ==, 64);
  g_assert_true(g_str_has_suffix(volume->file, ".ova"));
  g_assert_cmpuint(volume->used_by, ==, 0);
  center_rig_do(rig, NULL, "volume_delete", "packed", "{'to_bin':true}");
  center_rig_do(rig, NULL, "volume_restore", "packed", NULL);
  center_rig_do(rig, NULL, "volume_delete", "packed", NULL);
  center_rig_assert_no_quarrel(rig);
}

static void export_is_a_volume_to_be_downloaded_and_deleted(void)
{
  runs_on_site(export_and_delete, "an export");
}

static void use_as_disk(CenterRig *rig)
{
  center_rig_do(rig, "packed", "vm_export", "off", "{'pool':'@pool'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_attach_disk", "off", "{'disk':{'volume':'@packed'}}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_attach_disk", "off", "{'disk':{'volume':'@packed','shared':true}}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_insert_cd", "off", "{'volume':'@packed'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_update", "off", "{'patch':{'cdroms':[{'volume':'@packed'}]}}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_create", NULL, "{'name':'x','host':'@host','disks':[{'volume':'@packed'}]}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_create", NULL, "{'name':'x','host':'@host','cdroms':[{'volume':'@packed'}]}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "volume_clone", "packed", "{'name':'x'}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "volume_clone", "packed", "{'name':'x','linked':true}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "volume_resize", "packed", "{'size_bytes':1048576}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "image_create", NULL, "{'name':'x','pool':'@pool','source':'@packed'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "volume_create", NULL, "{'name':'x','pool':'@pool','kind':'ova','size_bytes':1048576}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "volume_create", NULL, "{'name':'x','pool':'@pool','kind':'ova','upload_bytes':1048576}");
  center_rig_assert_no_quarrel(rig);
}

static void export_is_no_disk(void)
{
  runs_on_site(use_as_disk, "a disk of it");
}

static void ask_in_vain(CenterRig *rig)
{
  const char *json = "{'pool':'@idle_pool'}";
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_export", "running", json);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_export", "hibernated", json);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_export", "binned", json);
  center_rig_assert_refused(rig, WS_ERROR_WRONG_STATE, "vm_export", "off", "{'pool':'@suspended_pool'}");
  center_rig_assert_refused(rig, WS_ERROR_BAD_VALUE, "vm_export", "off", "{'pool':'@far_pool'}"); /* the other host's */
  center_rig_do(rig, "sharing", "vm_create", NULL,
                "{'name':'sharing','host':'@host','memory_bytes':134217728,'disks':[{'volume':'@volume','shared':true}]}");
  center_rig_assert_refused(rig, WS_ERROR_NOT_ALLOWED, "vm_export", "sharing", json);
  center_rig_assert_no_quarrel(rig);
}

static void vm_that_cannot_be_exported_is_refused(void)
{
  runs_on_site(ask_in_vain, "refusals");
}

static void ask_for_too_much(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "idle_pool"), 8 << 20, 7 << 20);
  center_rig_do(rig, NULL, "pool_refresh", "idle_pool", NULL);
  g_assert_cmpuint(center_rig_start(rig, "vm_export", "linked", "{'pool':'@idle_pool'}", &error), ==, 0);
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, "q");
  g_assert_cmpstr(ws_error_param(error, "need"), ==, "3.0 MiB"); /* nothing is on its disk yet: tables, and what describes it */
  g_assert_cmpstr(ws_error_param(error, "free"), ==, "1.0 MiB");
  center_rig_assert_no_quarrel(rig);
}

static void pool_without_room_is_named_with_both_numbers(void)
{
  runs_on_site(ask_for_too_much, "no room");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
#define ADD(name) g_test_add_func("/center/export/" #name, name)
  ADD(export_is_a_volume_to_be_downloaded_and_deleted);
  ADD(export_is_no_disk);
  ADD(vm_that_cannot_be_exported_is_refused);
  ADD(pool_without_room_is_named_with_both_numbers);
  int result = g_test_run();
  runs_end();
  return result;
}
