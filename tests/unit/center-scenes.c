// SPDX-License-Identifier: Apache-2.0
/* See center-scenes.h. */
#include "center-scenes.h"
#include "center/verbs.h"
#include <string.h>

#define STRANGER "6f2b6a0e-5e0c-4a52-9d3c-1d2f9b1f0a11"
#define DISK     "{'new_volume':{'size_bytes':1048576,'pool':'@pool'}}"

const Scene scenes[] = {
    {"pool_create", "pool_create", NULL, "{'name':'new','hosts':['@host'],'path':'/pools/new'}"},
    {"pool_create_nfs", "pool_create", NULL, "{'name':'filer','kind':'nfs','hosts':['@host','@second'],'nfs':{'server':'filer','export':'/vol'}}"},
    {"pool_delete", "pool_delete", "idle_pool", NULL, .no_way_back = true},
    {"pool_suspend", "pool_suspend", "idle_pool", NULL},
    {"pool_start", "pool_start", "suspended_pool", NULL},
    {"pool_refresh", "pool_refresh", "pool", NULL},
    {"switch_create", "switch_create", NULL, "{'name':'new','host':'@host'}"},
    {"switch_update", "switch_update", "switch", "{'patch':{'mtu':9000}}"},
    {"switch_delete", "switch_delete", "idle_switch", NULL, .no_way_back = true},
    {"port_group_create", "port_group_create", NULL, "{'name':'new','switch':'@switch','vlan':{'mode':'access','tag':7}}"},
    {"port_group_update", "port_group_update", "group", "{'patch':{'vlan':{'mode':'access','tag':9}}}"},
    {"port_group_delete", "port_group_delete", "idle_group", NULL, .no_way_back = true},
    {"volume_create", "volume_create", NULL, "{'name':'new','pool':'@pool','size_bytes':4194304}"},
    {"volume_create_for_upload", "volume_create", NULL, "{'name':'new','pool':'@pool','upload_bytes':4096}"},
    {"volume_finish_upload", "volume_finish_upload", "uploaded", NULL, .no_way_back = true},
    {"volume_clone", "volume_clone", "volume", "{'name':'copy'}"},
    {"volume_clone_linked", "volume_clone", "volume", "{'name':'copy','linked':true}"},
    {"volume_clone_to_another_pool", "volume_clone", "volume", "{'name':'copy','pool':'@idle_pool'}"},
    {"volume_resize", "volume_resize", "volume", "{'size_bytes':8388608}", .acts_only = true},
    {"volume_resize_of_a_running_vm", "volume_resize", "run_disk", "{'size_bytes':8388608}", .acts_only = true},
    {"volume_delete", "volume_delete", "volume", "{'wipe':true}", .no_way_back = true},
    {"volume_delete_to_bin", "volume_delete", "volume", "{'to_bin':true}"},
    {"volume_delete_awaiting_upload", "volume_delete", "uploaded", NULL, .no_way_back = true},
    {"volume_restore", "volume_restore", "binned_volume", NULL},
    {"volume_restore_without_its_vm", "volume_restore", "binned_disk", NULL},
    {"image_create_for_upload", "image_create", NULL, "{'name':'new','pool':'@pool','upload_bytes':4096}"},
    {"image_create_from_volume", "image_create", NULL, "{'name':'new','pool':'@pool','source':'@volume'}"},
    {"image_finish_upload", "volume_finish_upload", "uploaded_image", NULL, .no_way_back = true},
    {"image_verify", "image_verify", "image", NULL},
    {"image_delete", "image_delete", "other_iso", NULL, .no_way_back = true},
    {"vm_create", "vm_create", NULL,
     "{'name':'new','memory_bytes':134217728,'disks':[" DISK "," DISK "],'cdroms':[{}],'nics':[{'port_group':'@group'}],'group':'@team'}"},
    {"vm_create_where_the_manager_likes", "vm_create", NULL,
     "{'name':'new','memory_bytes':134217728,'disks':[{'new_volume':{'size_bytes':1048576}}]}"},
    {"vm_create_from_a_disk", "vm_create", NULL, "{'name':'new','memory_bytes':134217728,'disks':[{'volume':'@volume'}]}"},
    {"vm_deploy", "vm_deploy", NULL, "{'name':'new','image':'@image','group':'@team','cloud_init':{'user':'u','password':'secret'}}"},
    {"vm_deploy_linked", "vm_deploy", NULL, "{'name':'new','image':'@image','linked':true,'port_group':'@group'}"},
    {"vm_deploy_off", "vm_deploy", NULL, "{'name':'new','image':'@image','pool':'@pool','start':false}"},
    {"vm_deploy_two", "vm_deploy", NULL, "{'name':'new','image':'@image','linked':true,'count':2}", .acts_only = true},
    {"vm_delete_to_bin", "vm_delete", "off", "{'how':'bin'}"},
    {"vm_delete_to_bin_with_volumes", "vm_delete", "off", "{'how':'bin_with_volumes'}"},
    {"vm_delete_forget", "vm_delete", "off", "{'how':'forget'}"},
    {"vm_delete_destroy", "vm_delete", "off", "{'how':'destroy','wipe':true}", .no_way_back = true},
    {"vm_delete_destroy_from_the_bin", "vm_delete", "binned", "{'how':'destroy'}", .no_way_back = true},
    {"vm_delete_hibernated", "vm_delete", "hibernated", "{'how':'destroy'}", .no_way_back = true},
    {"vm_restore", "vm_restore", "binned", NULL},
    {"vm_start", "vm_start", "off", NULL, .acts_only = true},
    {"vm_start_hibernated", "vm_start", "hibernated", NULL, .acts_only = true},
    {"vm_shutdown", "vm_shutdown", "running", NULL, .acts_only = true},
    {"vm_power_off", "vm_power_off", "running", NULL, .acts_only = true},
    {"vm_reboot", "vm_reboot", "running", NULL, .acts_only = true},
    {"vm_reset", "vm_reset", "running", NULL, .acts_only = true},
    {"vm_set_password", "vm_set_password", "running", "{'user':'root','password':'secret'}", .acts_only = true},
    {"vm_pause", "vm_pause", "running", NULL, .acts_only = true},
    {"vm_resume", "vm_resume", "paused", NULL, .acts_only = true},
    {"vm_hibernate", "vm_hibernate", "running", NULL, .acts_only = true},
    {"vm_discard_saved", "vm_discard_saved", "hibernated", NULL, .acts_only = true},
    {"vm_update", "vm_update", "running", "{'patch':{'name':'renamed','memory_bytes':268435456}}"},
    {"vm_update_out_of_its_group", "vm_update", "off", "{'patch':{'group':null}}"},
    {"vm_attach_new_disk", "vm_attach_disk", "running", "{'disk':{'new_volume':{'size_bytes':1048576}}}"},
    {"vm_attach_disk", "vm_attach_disk", "off", "{'disk':{'volume':'@volume'}}"},
    {"vm_detach_disk", "vm_detach_disk", "off", "{'key':'disk-1'}"},
    {"vm_detach_disk_to_bin", "vm_detach_disk", "off", "{'key':'disk-1','volume':'bin'}"},
    {"vm_detach_disk_destroy", "vm_detach_disk", "off", "{'key':'disk-1','volume':'destroy'}"},
    {"vm_revert_disk", "vm_revert_disk", "copied", "{'key':'disk-0'}"},
    {"vm_revert_linked_disk", "vm_revert_disk", "linked", "{'key':'disk-0'}"},
    {"vm_export", "vm_export", "off", "{'pool':'@idle_pool','name':'packed'}"},
    {"vm_export_linked", "vm_export", "linked", "{'pool':'@pool'}"},
    {"vm_attach_nic", "vm_attach_nic", "running", "{'nic':{'port_group':'@group'}}"},
    {"vm_detach_nic", "vm_detach_nic", "running", "{'key':'nic-0'}"},
    {"vm_insert_cd", "vm_insert_cd", "running", "{'volume':'@iso_volume'}"},
    {"vm_eject_cd", "vm_eject_cd", "off", "{}"},
    {"vm_take_over", "vm_take_over", "sharer", "{'host':'@second','host_down':'seen_off','reason':'the rack is dark'}", .host_off = true,
     .acts_only = true},
    {"vm_adopt", "vm_adopt", "found", NULL},
    {"vm_sync", "vm_sync", "running", NULL},
    {"vm_migrate", "vm_migrate", "sharer", "{'host':'@second'}"},
    {"vm_migrate_with_its_disk", "vm_migrate", "mover", "{'host':'@second','pool':'@far_pool'}",
     .acts_only = true}, /* where the target is away for long, what was made there goes to the bin */
    {"vm_migrate_off", "vm_migrate", "resting", "{'host':'@second'}"},
    {"vm_migrate_off_with_its_disk", "vm_migrate", "resting", "{'host':'@second','pool':'@far_pool','disks':[{'key':'disk-0'}]}",
     .acts_only = true},
    {"vm_migrate_storage", "vm_migrate_storage", "running", "{'pool':'@idle_pool'}", .acts_only = true},
    {"vm_migrate_storage_of_one_that_is_off", "vm_migrate_storage", "off", "{'disks':[{'key':'disk-1','format':'raw','pool':'@idle_pool'}]}",
     .acts_only = true},
    {"vm_migrate_paused", "vm_migrate", "still", "{'host':'@second'}"},
    {"pool_attach", "pool_attach", "lone_pool", "{'host':'@second'}"},
    {"pool_detach", "pool_detach", "idle_shared_pool", "{'host':'@second'}", .acts_only = true},
    {"backup_create", "backup_create", NULL, "{'note':'new'}"},
    {"backup_verify", "backup_verify", "backup", NULL},
    {"backup_delete", "backup_delete", "backup", NULL, .no_way_back = true},
    {"host_sync", "host_sync", "host", NULL},
    {"host_enter_maintenance", "host_enter_maintenance", "host", "{'vms':'power_off'}", .acts_only = true},
    {"host_maintain", "host_maintain", "second", "{'reboot':'orderly','timeout_s':86400}", .acts_only = true},
    {"cluster_roll_maintenance", "cluster_roll_maintenance", "rack", "{'reboot':'orderly','timeout_s':86400}", .acts_only = true},
    {"host_power_off", "host_power_off", "host", "{'force':true,'timeout_s':86400}", .acts_only = true},
    {"host_power_off_hard", "host_power_off", "host", "{'how':'hard','force':true,'timeout_s':86400}", .acts_only = true},
    {"host_reboot", "host_reboot", "host", "{'force':true,'timeout_s':86400}", .acts_only = true},
    {"host_reboot_hard", "host_reboot", "host", "{'how':'hard','force':true,'timeout_s':86400}", .acts_only = true},
    {"host_power_on", "host_power_on", "host", "{'timeout_s':86400}", .acts_only = true},
    {"host_set_firewall", "host_set_firewall", "host", "{'rules':[{'source':'10.0.0.0/8','protocol':'tcp','ports':'22'}]}"},
    {"host_check_power", "host_check_power", "host", NULL},
    {"host_add", "host_add", NULL,
     "{'address':'192.0.2.30','password':'secret','name':'added','fault_domain':'rack-3','host_key':'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'}",
     .has_secret = true},
    {"host_delete", "host_delete", "host", "{'force':true}"},
};
const guint n_scenes = G_N_ELEMENTS(scenes);

/* ---- the site ---- */

/* The first names of the world: center-rig.c goes by that. */
static void enter_hosts(void *arg)
{
  static const char *const names[RIG_MEMBERS] = {"host", "second"};
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  for (guint i = 0; i < RIG_MEMBERS; i++) {
    WsHost *host = inv_create(txn, &ws_type_host);
    host->name = g_strdup(names[i]);
    host->state = WS_HOST_STATE_JOINING;
    host->architecture = WS_ARCHITECTURE_X86_64;
    host->certificate = ws_host_certificate_new();
    host->certificate->serial = g_strdup_printf("0%u", i + 1);
    host->bmc = ws_host_bmc_new();
    host->bmc->address = g_strdup("192.0.2.10");
    rig_world_name(rig->world, names[i], host->id);
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void name_part(CenterRig *rig, const char *name, WsId id)
{
  rig_world_name(rig->world, name, id);
}

/* The bytes come by another way than RPC. */
static void upload(CenterRig *rig, WsId volume_id)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVolume *v = inv_find(snap, &ws_type_volume, volume_id);
  host_put_upload(&rig->world->disks, v->pool, v->file, v->upload_bytes);
}

static WsId volume_of_image(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsImage *)inv_find(snap, &ws_type_image, rig_world_find(rig->world, name)))->volume;
}

static void make_image(CenterRig *rig, const char *name, const char *volume_name, const char *kind, bool finish)
{
  g_autofree char *json =
      g_strdup_printf("{'name':'%s','pool':'@pool','kind':'%s','upload_bytes':1048576%s}", name, kind,
                      strcmp(kind, "disk") == 0 ? ",'architecture':'x86_64'" : "");
  center_rig_do(rig, name, "image_create", NULL, json);
  name_part(rig, volume_name, volume_of_image(rig, name));
  upload(rig, volume_of_image(rig, name));
  if (finish)
    center_rig_do(rig, NULL, "volume_finish_upload", volume_name, NULL);
}

static void make_vm(CenterRig *rig, const char *name)
{
  g_autofree char *json = g_strdup_printf("{'name':'%s','memory_bytes':134217728,'disks':[" DISK "," DISK
                                          "],'cdroms':[{'volume':'@iso_volume'}],'nics':[{'port_group':'@group'}]}",
                                          name);
  center_rig_do(rig, name, "vm_create", NULL, json);
}

static void make_shared_pool(CenterRig *rig, const char *name, bool attach)
{
  g_autofree char *json = g_strdup_printf("{'name':'%s','kind':'shared_directory','hosts':['@host'],'path':'/shared/%s'}", name, name);
  center_rig_do(rig, name, "pool_create", NULL, json);
  if (attach)
    center_rig_do(rig, NULL, "pool_attach", name, "{'host':'@second'}");
}

static void make_network_and_storage(CenterRig *rig)
{
  center_rig_do(rig, "pool", "pool_create", NULL, "{'name':'p','hosts':['@host'],'path':'/pools/p'}");
  center_rig_do(rig, "idle_pool", "pool_create", NULL, "{'name':'q','hosts':['@host'],'path':'/pools/q'}");
  center_rig_do(rig, "suspended_pool", "pool_create", NULL, "{'name':'r','hosts':['@host'],'path':'/pools/r'}");
  center_rig_do(rig, NULL, "pool_suspend", "suspended_pool", NULL);
  center_rig_do(rig, "far_pool", "pool_create", NULL, "{'name':'far','hosts':['@second'],'path':'/pools/far'}");
  make_shared_pool(rig, "shared_pool", true);
  make_shared_pool(rig, "idle_shared_pool", true);
  make_shared_pool(rig, "lone_pool", false);
  center_rig_do(rig, "switch", "switch_create", NULL, "{'name':'s','host':'@host'}");
  center_rig_do(rig, "idle_switch", "switch_create", NULL, "{'name':'t','host':'@host'}");
  center_rig_do(rig, "group", "port_group_create", NULL, "{'name':'g','switch':'@switch'}");
  center_rig_do(rig, "far_switch", "switch_create", NULL, "{'name':'s','host':'@second'}");
  center_rig_do(rig, "far_group", "port_group_create", NULL, "{'name':'g','switch':'@far_switch'}");
  center_rig_do(rig, "idle_group", "port_group_create", NULL, "{'name':'h','switch':'@switch'}");
  center_rig_do(rig, "volume", "volume_create", NULL, "{'name':'v','pool':'@pool','size_bytes':4194304}");
  center_rig_do(rig, "binned_volume", "volume_create", NULL, "{'name':'b','pool':'@pool','size_bytes':4194304}");
  center_rig_do(rig, NULL, "volume_delete", "binned_volume", "{'to_bin':true}");
  center_rig_do(rig, "uploaded", "volume_create", NULL, "{'name':'u','pool':'@pool','upload_bytes':4096}");
  upload(rig, rig_world_find(rig->world, "uploaded"));
  make_image(rig, "image", "image_volume", "disk", true);
  make_image(rig, "half_image", "uploaded_image", "disk", false);
  make_image(rig, "iso", "iso_volume", "iso", true);
  make_image(rig, "other_iso", "other_iso_volume", "iso", true);
}

/* One that can leave its host: without an ISO that lies there. */
static void make_mover(CenterRig *rig, const char *name, const char *pool)
{
  g_autofree char *json = g_strdup_printf("{'name':'%s','host':'@host','memory_bytes':134217728,'nics':[{'port_group':'@group'}],"
                                          "'disks':[{'new_volume':{'size_bytes':1048576,'pool':'@%s'}}]}",
                                          name, pool);
  center_rig_do(rig, name, "vm_create", NULL, json);
  center_rig_do(rig, NULL, "vm_start", name, NULL);
}

static void make_vms(CenterRig *rig)
{
  make_mover(rig, "sharer", "shared_pool");
  make_mover(rig, "mover", "pool");
  make_mover(rig, "still", "shared_pool");
  make_mover(rig, "resting", "shared_pool");
  center_rig_do(rig, NULL, "vm_power_off", "resting", NULL);
  center_rig_do(rig, NULL, "vm_pause", "still", NULL);
  center_rig_do(rig, "copied", "vm_deploy", NULL, "{'name':'copied','image':'@image','host':'@host','pool':'@pool','start':false}");
  center_rig_do(rig, "linked", "vm_deploy", NULL, "{'name':'linked','image':'@image','host':'@host','pool':'@pool','linked':true,'start':false}");
  make_vm(rig, "off");
  make_vm(rig, "running");
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  make_vm(rig, "paused");
  center_rig_do(rig, NULL, "vm_start", "paused", NULL);
  center_rig_do(rig, NULL, "vm_pause", "paused", NULL);
  make_vm(rig, "hibernated");
  center_rig_do(rig, NULL, "vm_start", "hibernated", NULL);
  center_rig_do(rig, NULL, "vm_hibernate", "hibernated", NULL);
  make_vm(rig, "binned");
  center_rig_do(rig, NULL, "vm_delete", "binned", "{'how':'bin_with_volumes'}");
  host_put_stranger(&rig->world->hosts[0], STRANGER, "stranger");
  center_rig_do(rig, NULL, "host_sync", "host", NULL);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *found = inv_find_by(snap, &ws_type_vm, "uuid", 0, STRANGER);
  const WsVm *running = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "running"));
  const WsVm *binned = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "binned"));
  name_part(rig, "found", found->id);
  name_part(rig, "run_disk", running->disks.items[0]->volume);
  name_part(rig, "binned_disk", binned->disks.items[0]->volume);
}

static bool put_into_team(const void *object, void *arg)
{
  void *const *with = arg;
  ((WsVm *)inv_edit(with[0], object))->group = *(const WsId *)with[1];
  return true;
}

/* All VMs are in a group, in another one whose quota has room. */
static void make_groups(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsBusinessGroup *division = inv_create(txn, &ws_type_business_group), *team = inv_create(txn, &ws_type_business_group);
  WsId division_id = division->id, team_id = team->id;
  division->name = g_strdup("division");
  division->quota = ws_business_group_quota_new();
  division->quota->vms = 1000;
  division->quota->vcpus = 1000;
  division->quota->memory_bytes = (gint64)1 << 40;
  division->quota->disk_bytes = (gint64)1 << 40;
  team->name = g_strdup("team");
  team->parent = division_id;
  void *with[] = {txn, &team_id};
  inv_each(head, &ws_type_vm, put_into_team, with);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
  rig_world_name(rig->world, "division", division_id);
  rig_world_name(rig->world, "team", team_id);
}

void scenes_make_site(const char *dir, RigWorld *world)
{
  CenterRig *rig = center_rig_open(dir, world);
  center_rig_run(rig, enter_hosts, rig);
  center_rig_close(rig);
  rig = center_rig_open(dir, world);
  center_rig_settle(rig);
  make_network_and_storage(rig);
  make_vms(rig);
  center_rig_run(rig, make_groups, rig);
  center_rig_make_cluster(rig, "rack", 1, 1, NULL); /* the second host alone, which no VM is on */
  center_rig_do(rig, "backup", "backup_create", NULL, "{}");
  center_rig_settle(rig);
  world->last_id = inv_new_id(rig->center.inventory);
  center_rig_close(rig);
}
