// SPDX-License-Identifier: Apache-2.0
/* What abandoned tasks left half made or half deleted on hosts that were away: marked by the alarm left_behind, cleaned up when the host is back.
 *
 * The alarm is written in the transaction that ends the task, so it is the whole memory of this. A leftover is removed as a user would remove it, by the
 * tasks of its own domain, as user "system"; what fails is tried again at the next look. Until then the object shows in its passing state, with
 * the alarm as its health; deleting it by hand is as good. */
#include "base/log.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "model/model.h"
#include <string.h>

#define KIND "left_behind"

/* ---- marking ---- */

/* An object that was half made, or half deleted. */
static bool takes_cleaning(const WsTask *task, const WsTaskLock *lock)
{
  bool deleting = strcmp(task->kind, "vm_delete") == 0 || strcmp(task->kind, "volume_delete") == 0;
  return lock->made || (deleting && lock->object.type == task->target.type && lock->object.id == task->target.id);
}

static void mark(InvTxn *txn, const WsTask *task, void *arg)
{
  Center *center = arg;
  for (guint i = 0; i < task->locks.len; i++) {
    const WsTaskLock *lock = task->locks.items[i];
    if (!lock->object.type || !takes_cleaning(task, lock) || !inv_edit_id(txn, lock->object.type, lock->object.id))
      continue;
    center_alarm_add(center, txn, CENTER_MINOR, lock->object.type, lock->object.id, KIND);
  }
}

/* ---- cleaning up ---- */

typedef struct {
  Center *center;
  WsId host; /* 0: all */
  GArray *objects; /* WsAnyRef */
} Clean;

static bool collect(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  if (g_strcmp0(alarm->kind, KIND) == 0)
    g_array_append_val(((Clean *)arg)->objects, alarm->object);
  return true;
}

/* Runs a task of the kind on the object to its end. */
static bool run(Center *center, const char *kind, WsId target, void *args, GError **error)
{
  TaskCause cause = {.user_name = "system", .cause = "recovery"};
  TaskStarted started = {0};
  return task_start(center->tasks, task_kind_find(center->tasks, kind), target, args, &cause, false, 0, &started, error) &&
         task_wait(center->tasks, started.task_id, error);
}

static bool clean_vm(Center *center, const WsVm *vm, GError **error)
{
  if (vm->power && vm->power->state != WS_POWER_STATE_OFF && !run(center, "vm_power_off", vm->id, NULL, error))
    return false;
  WsVmDelete *args = ws_vm_delete_new();
  args->how = WS_VM_DELETE_HOW_DESTROY;
  return run(center, "vm_delete", vm->id, args, error);
}

static bool reaches(Center *center, const WsPool *pool)
{
  for (guint i = 0; pool && i < pool->hosts.len; i++)
    if (hosts_is_connected(center, pool->hosts.items[i]))
      return true;
  return false;
}

/* True: it is gone, or is not one that takes cleaning. */
static bool clean_one(Center *center, const WsAnyRef *ref, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const void *object = inv_find(snap, ref->type, ref->id);
  if (!object)
    return true;
  if (ref->type == &ws_type_vm) {
    const WsVm *vm = object;
    if (vm->activity || !hosts_is_connected(center, vm->host))
      return false;
    return clean_vm(center, vm, error);
  }
  if (ref->type == &ws_type_volume) {
    const WsVolume *volume = object;
    if (volume->activity || !reaches(center, inv_find(snap, &ws_type_pool, volume->pool)) ||
        (volume->used_by && inv_find(snap, &ws_type_vm, volume->used_by)))
      return false; /* with its VM, if that is left too */
    return run(center, "volume_delete", volume->id, NULL, error);
  }
  return false;
}

static void clean(void *arg)
{
  Center *center = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(GArray) objects = g_array_new(FALSE, FALSE, sizeof(WsAnyRef));
  Clean all = {.center = center, .objects = objects};
  inv_each(snap, &ws_type_alarm, collect, &all);
  for (guint pass = 0; pass < 2; pass++) /* VMs first: their volumes go with them */
    for (guint i = 0; i < objects->len; i++) {
      const WsAnyRef *ref = &g_array_index(objects, WsAnyRef, i);
      g_autoptr(GError) error = NULL;
      char id[WS_ID_TEXT_MAX];
      if ((ref->type == &ws_type_vm) != (pass == 0))
        continue;
      if (clean_one(center, ref, &error))
        center_alarm_close(center, ref->type, ref->id, KIND);
      else if (error)
        ws_log_error(WS_LOG_WARNING, "leftover-stays", error, "object", ws_id_format(ref->type->prefix, ref->id, id), NULL);
    }
  center->cleaning = false;
}

void leftovers_clean(Center *center)
{
  if (center->cleaning)
    return;
  center->cleaning = true;
  ws_co_start(center->loop, clean, center);
}

static bool on_host(Center *center, WsId host, RpcLink *link, GError **error)
{
  leftovers_clean(center);
  return true;
}

void operate_start(Center *center)
{
  task_engine_set_abandoned(center->tasks, mark);
  hosts_add_resync(center, on_host); /* the last of the domains: what is on the host is known by now */
}
