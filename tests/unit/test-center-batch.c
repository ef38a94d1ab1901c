// SPDX-License-Identifier: Apache-2.0
/* Batches of tasks and dry runs, with a host: each object of a batch is found in the audit log; a dry run
 * says what would wait for a restart. */
#include "center-runs.h"
#include "task/task.h"
#include <string.h>

/* ---- what the audit log has of an object ---- */

static guint count_records(CenterRig *rig, const char *name, const char *operation, char **task)
{
  char id[WS_ID_TEXT_MAX];
  ws_id_format(ws_type_vm.prefix, rig_world_find(rig->world, name), id);
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  const StoreWhere where[] = {{"object", id}, {"operation", operation}};
  g_assert_true(store_query_history(rig->center.store, &ws_type_audit_record, where, 2, 0, 100, rows, NULL));
  if (rows->len && task)
    *task = g_strdup(((const WsAuditRecord *)rows->pdata[0])->task);
  return rows->len;
}

static void do_batch(CenterRig *rig, const char *json)
{
  g_autoptr(GError) error = NULL;
  center_rig_start(rig, "batch", NULL, json, &error);
  g_assert_no_error(error);
  center_rig_settle(rig);
}

static void power_off_two(CenterRig *rig)
{
  g_autofree char *task = NULL;
  do_batch(rig, "{'verb':'power_off','ids':['@running','@off']}");
  g_assert_cmpuint(count_records(rig, "running", "vm_power_off", &task), ==, 1);
  g_assert_cmpuint(count_records(rig, "off", "vm_power_off", NULL), ==, 1);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  WsId id;
  g_assert_true(ws_id_parse(ws_type_task.prefix, task, &id));
  const WsTask *child = inv_find(snap, &ws_type_task, id);
  g_assert_nonnull(child);
  g_assert_cmpuint(child->target.id, ==, rig_world_find(rig->world, "running"));
  g_assert_cmpuint(child->parent, ==, center_rig_last_task(rig)->id);
}

static void each_object_of_a_batch_has_its_audit_record(void)
{
  runs_on_site(power_off_two, "a batch's audit");
}

static void patch_two(CenterRig *rig)
{
  do_batch(rig, "{'verb':'update','ids':['@running','@off'],'args':{'description':'all alike'}}");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const char *const names[] = {"running", "off"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    g_assert_cmpstr(
        ((const WsVm *)inv_find(snap, &ws_type_vm, rig_world_find(rig->world, names[i])))->description, ==,
        "all alike");
  g_assert_cmpuint(count_records(rig, "running", "vm_update", NULL), ==, 1);
}

static void one_patch_goes_to_many_vms(void)
{
  runs_on_site(patch_two, "a batch of patches");
}

static void stop_half_way(CenterRig *rig)
{
  runs_arm(rig);
  do_batch(rig, "{'verb':'update','ids':['@running','@off'],'args':{'description':'all alike'}}");
}

/* All of it or nothing, and each object has one record, however often it was begun. */
static void see_it_through(CenterRig *rig)
{
  center_rig_settle(rig);
  guint wanted = center_rig_last_task(rig) ? 1 : 0;
  const char *const names[] = {"running", "off"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
    const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, names[i]));
    g_assert_cmpuint(count_records(rig, names[i], "vm_update", NULL), ==, wanted);
    g_assert_cmpint(g_strcmp0(vm->description, "all alike") == 0, ==, wanted);
  }
  center_rig_assert_no_quarrel(rig);
}

static void batch_that_is_killed_half_way_has_one_record_for_each(void)
{
  g_assert_cmpint(runs_kill_at_each_point(stop_half_way, see_it_through, false), >, 3);
}

/* ---- dry runs ---- */

typedef struct {
  CenterRig *rig;
  const char *vm, *patch;
  char *waits;
} DryPatch;

static void run_dry(void *arg)
{
  DryPatch *dry = arg;
  g_autoptr(GError) error = NULL;
  g_autofree char *json = g_strdelimit(g_strdup(dry->patch), "'", '"');
  WsPatch *patch = ws_patch_new();
  patch->patch = g_steal_pointer(&json);
  TaskCause cause = {.user_name = "test", .cause = "user"};
  TaskStarted started = {0};
  TaskEngine *tasks = dry->rig->center.tasks;
  task_start(tasks, task_kind_find(tasks, "vm_update"), rig_world_find(dry->rig->world, dry->vm), patch,
             &cause, true, 0, &started, &error);
  g_assert_no_error(error);
  dry->waits = started.dry_waits ? g_strjoinv(" ", started.dry_waits) : g_strdup("");
  g_strfreev(started.dry_steps);
  g_strfreev(started.dry_waits);
}

static void assert_waits(CenterRig *rig, const char *vm, const char *patch, const char *wanted)
{
  DryPatch dry = {rig, vm, patch, NULL};
  center_rig_run(rig, run_dry, &dry);
  g_assert_cmpstr(dry.waits, ==, wanted);
  g_free(dry.waits);
}

static void patch_dry(CenterRig *rig)
{
  assert_waits(rig, "running", "{'tpm':true,'cpu':{'shares':'high'}}", "tpm");
  assert_waits(rig, "running", "{'description':'seen by nobody'}", "");
  assert_waits(rig, "running", "{'cpu':{'vcpus':64}}", "cpu.vcpus");
  assert_waits(rig, "off", "{'tpm':true}", "");
  center_rig_assert_no_quarrel(rig);
}

static void a_dry_patch_says_what_would_wait(void)
{
  runs_on_site(patch_dry, "a dry patch");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
#define ADD(name) g_test_add_func("/center/batch/" #name, name)
  ADD(each_object_of_a_batch_has_its_audit_record);
  ADD(one_patch_goes_to_many_vms);
  ADD(batch_that_is_killed_half_way_has_one_record_for_each);
  ADD(a_dry_patch_says_what_would_wait);
  int result = g_test_run();
  runs_end();
  return result;
}
