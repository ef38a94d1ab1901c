// SPDX-License-Identifier: Apache-2.0
/* What the task engine cannot see: objects in a passing state without a living task, as a record of a kind that is gone, an older version or a
 * backup of another moment would leave them. A start of the manager sets each right. */
#include "center-runs.h"
#include "inventory/store-private.h"
#include <string.h>

static void *edit(InvTxn *txn, CenterRig *rig, const WsType *type, const char *name)
{
  return inv_edit_id(txn, type, rig_world_find(rig->world, name));
}

static bool take_id(const void *object, void *arg)
{
  *(WsId *)arg = ((const WsTask *)object)->id;
  return false;
}

/* One that has ended: the inventory itself refuses to name one that never was. */
static WsId ended_task(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  WsId id = 0;
  inv_each(snap, &ws_type_task, take_id, &id);
  g_assert_cmpuint(id, !=, 0);
  return id;
}

static void leave_in_limbo(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsVm *vm = edit(txn, rig, &ws_type_vm, "off");
  vm->activity = ws_activity_new();
  vm->activity->task = ended_task(rig);
  vm->activity->verb = g_strdup("starting");
  vm->activity->since = rig->now_us;
  ((WsPool *)edit(txn, rig, &ws_type_pool, "idle_pool"))->state = WS_POOL_STATE_CREATING;
  ((WsVolume *)edit(txn, rig, &ws_type_volume, "volume"))->state = WS_VOLUME_STATE_IMPORTING;
  ((WsVolume *)edit(txn, rig, &ws_type_volume, "uploaded"))->state = WS_VOLUME_STATE_DELETING;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void leave(CenterRig *rig)
{
  center_rig_run(rig, leave_in_limbo, rig);
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

static void look(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "off"));
  const WsPool *pool = inv_find(snap, &ws_type_pool, rig_world_find(rig->world, "idle_pool"));
  const WsVolume *volume = inv_find(snap, &ws_type_volume, rig_world_find(rig->world, "volume"));
  g_assert_null(vm->activity);
  g_assert_cmpint(pool->state, ==, WS_POOL_STATE_ACTIVE);    /* its host has looked */
  g_assert_cmpint(volume->state, ==, WS_VOLUME_STATE_READY); /* its file is there, and whole */
  g_assert_null(inv_find(snap, &ws_type_volume, rig_world_find(rig->world, "uploaded"))); /* what was half deleted is gone */
  g_assert_cmpuint(count_events(rig, "limbo_ended"), ==, 4);
  center_rig_do(rig, NULL, "vm_start", "off", NULL); /* nobody holds it */
}

static void start_sets_right_what_no_task_holds(void)
{
  runs_on_site(leave, "left in limbo");
  runs_on_same_site(look, "set right");
}

/* A living task's objects are left to it. */
static void leave_a_task(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  center_rig_link(rig, 0, false);
  center_rig_start(rig, "volume_create", NULL, "{'name':'waits','pool':'@shared_pool','size_bytes':4194304}", &error);
  center_rig_run_for(rig, 1000);
}

static void look_at_the_task(CenterRig *rig)
{
  g_assert_cmpuint(count_events(rig, "limbo_ended"), ==, 0);
}

static void object_of_a_living_task_is_left_to_it(void)
{
  runs_on_site(leave_a_task, "a task waits");
  runs_world->away[0] = false;
  runs_on_same_site(look_at_the_task, "and goes on");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/limbo/start_sets_right_what_no_task_holds", start_sets_right_what_no_task_holds);
  g_test_add_func("/center/limbo/object_of_a_living_task_is_left_to_it", object_of_a_living_task_is_left_to_it);
  int result = g_test_run();
  runs_end();
  return result;
}
