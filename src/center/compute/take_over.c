// SPDX-License-Identifier: Apache-2.0
/* A VM is started on another host although its own cannot be asked. Somebody states that this host does not run it: a person who looked, or
 * fencing. The statement covers the rights given so far, by their generation; so it is worth nothing against a host that got one since.
 *
 *     grant     a new generation, durable
 *     define    on the other host                    undo: forgotten there
 *     start     with the statement; the VM's host is the other from then on
 *
 * When its former host is back, what it still has of the VM goes (rights.c). */
#include "center/api/allowed.h"
#include "center/compute/compute.h"
#include "center/compute/move.h"
#include "center/compute/place.h"
#include "center/verbs.h"
#include "plan/estate.h"
#include <string.h>

typedef struct {
  VmJob vm; /* first; host: its own, that cannot be asked */
  const WsVmTakeOver *args;
  MoveNic nics[32];
  guint n_nics;
} TakeOver;

/* ---- may it be? ---- */

static const char *name_of(const InvSnapshot *snap, WsId host, char *buffer)
{
  const WsHost *object = inv_find(snap, &ws_type_host, host);
  return object ? object->name : ws_id_format(ws_type_host.prefix, host, buffer);
}

static bool check_host(const InvSnapshot *snap, const TakeOver *t, const WsVm *vm, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  const WsHost *to = inv_find(snap, &ws_type_host, t->args->host);
  if (!to)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "host", "object", ws_id_format("host", t->args->host, id), NULL);
  if (to->id == vm->host)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "host", "expected", "another host than the VM's own", NULL);
  if (hosts_is_connected(t->vm.center, vm->host))
    return ws_fail(error, WS_ERROR_HOST_NOT_DOWN, "object", vm->name, "host", name_of(snap, vm->host, id), NULL);
  if ((int)vm->architecture && (int)to->architecture && (int)vm->architecture != (int)to->architecture)
    return ws_fail(error, WS_ERROR_ARCHITECTURE_MISMATCH, "object", vm->name, "architecture", ws_architecture_names[vm->architecture - 1],
                   "container", to->name, "expected", ws_architecture_names[to->architecture - 1], NULL);
  return hosts_link(t->vm.center, to->id, error) != NULL;
}

static bool reaches(const InvSnapshot *snap, WsId host, WsId volume_id)
{
  const WsVolume *volume = inv_find(snap, &ws_type_volume, volume_id);
  const WsPool *pool = volume ? inv_find(snap, &ws_type_pool, volume->pool) : NULL;
  return pool && plan_pool_has_host(pool, host);
}

static bool check_disks(const InvSnapshot *snap, const TakeOver *t, const WsVm *vm, GError **error)
{
  for (guint i = 0; i < vm->disks.len; i++)
    if (!reaches(snap, t->args->host, vm->disks.items[i]->volume))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "host", "expected", "a host that reaches all disks of the VM", NULL);
  for (guint i = 0; i < vm->cdroms.len; i++)
    if (vm->cdroms.items[i]->volume && !reaches(snap, t->args->host, vm->cdroms.items[i]->volume))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "host", "expected", "a host that reaches the VM's CDs", NULL);
  return true;
}

static const WsPortGroup *group_for(const InvSnapshot *snap, const TakeOver *t, const WsVmNic *nic)
{
  for (guint i = 0; i < t->args->networks.len; i++)
    if (g_strcmp0(t->args->networks.items[i]->key, nic->key) == 0) {
      const WsPortGroup *group = inv_find(snap, &ws_type_port_group, t->args->networks.items[i]->port_group);
      const WsSwitch *sw = group ? inv_find(snap, &ws_type_switch, group->switch_) : NULL;
      return sw && sw->host == t->args->host ? group : NULL;
    }
  const WsPortGroup *now = inv_find(snap, &ws_type_port_group, nic->port_group);
  return now ? move_group_like(snap, t->args->host, now) : NULL;
}

/* The same each time: port groups of a host do not change their names while it is locked. */
static bool plan_nics(const InvSnapshot *snap, TakeOver *t, const WsVm *vm, GError **error)
{
  for (guint i = 0; i < vm->nics.len && t->n_nics < G_N_ELEMENTS(t->nics); i++) {
    const WsVmNic *nic = vm->nics.items[i];
    const WsPortGroup *group = nic->port_group ? group_for(snap, t, nic) : NULL;
    if (nic->port_group && !group)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "networks", "expected", "a port group of the host for each NIC", "key", nic->key, NULL);
    if (group)
      t->nics[t->n_nics++] = (MoveNic){nic->key, group->id};
  }
  return true;
}

static bool check(const InvSnapshot *snap, const TakeOver *t, const WsVm *vm, GError **error)
{
  g_autoptr(WsVm) there = ws_vm_copy(vm);
  there->host = t->args->host;
  if (there->power)
    there->power->state = WS_POWER_STATE_OFF; /* it holds no share there */
  return check_host(snap, t, vm, error) && check_disks(snap, t, vm, error) &&
         place_admit(t->vm.center, there, error);
}

/* ---- steps ---- */

static void link_nics(const TakeOver *t, WsVm *vm)
{
  for (guint i = 0; i < vm->nics.len; i++)
    for (guint j = 0; j < t->n_nics; j++)
      if (g_strcmp0(vm->nics.items[i]->key, t->nics[j].key) == 0)
        vm->nics.items[i]->port_group = t->nics[j].port_group;
}

static bool define_there(Task *task, void *ctx, GError **error)
{
  TakeOver *t = ctx;
  const WsVm *vm = compute_find(task_snapshot(task), t->vm.id, error);
  g_autoptr(WsVm) there = vm ? ws_vm_copy(vm) : NULL;
  if (!there)
    return false;
  link_nics(t, there);
  g_autoptr(WsVmSpec) spec = compute_spec(task_snapshot(task), there, error);
  WsRpcVmDefine params = {.spec = spec, .cloud_init = there->cloud_init};
  return spec && compute_define(t->vm.center, t->args->host, &params, task_cancel_flag(task), NULL, error);
}

/* It does not run there: the start refused or failed. Records of the lease stay. */
static bool undefine_there(Task *task, void *ctx, GError **error)
{
  TakeOver *t = ctx;
  WsRpcVmUndefine params = {.vm = t->vm.id, .uuid = (char *)t->vm.uuid, .keep_state = true};
  RpcLink *link = hosts_link(t->vm.center, t->args->host, error);
  WsRpcVmPowerOff off = {.vm = t->vm.id, .uuid = (char *)t->vm.uuid};
  if (!link)
    return false;
  rpc_vm_power_off(link, &off, NULL, NULL, NULL, NULL, NULL); /* a start whose answer was lost */
  return compute_undefine(t->vm.center, t->args->host, &params, error);
}

static bool start_there(Task *task, void *ctx, GError **error)
{
  TakeOver *t = ctx;
  char from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  gint64 generation = compute_granted(task);
  const char *how = ws_vm_take_over_host_down_names[t->args->host_down - 1];
  g_autofree char *reason = g_strdup_printf("%s: %s", how, t->args->reason);
  WsVmLeaseOver over = {.generation = generation - 1, .reason = reason};
  WsVmRight right = {.generation = generation, .take_over = &over};
  WsRpcVmStart params = {.vm = t->vm.id, .uuid = (char *)t->vm.uuid, .right = &right};
  g_autoptr(WsRpcVmStartResult) result = NULL;
  if (hosts_is_connected(t->vm.center, t->vm.host)) /* back meanwhile: ask it */
    return ws_fail(error, WS_ERROR_HOST_NOT_DOWN, "object", t->vm.uuid, "host", name_of(task_snapshot(task), t->vm.host, from), NULL);
  RpcLink *link = hosts_link(t->vm.center, t->args->host, error);
  if (!link || !rpc_vm_start(link, &params, &result, NULL, NULL, task_cancel_flag(task), error))
    return false;
  task_no_return(task);
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, t->vm.id);
  if (!vm)
    return true;
  vm->host = t->args->host;
  link_nics(t, vm);
  compute_take_power(t->vm.center, vm, result->power);
  center_event(t->vm.center, CENTER_MAJOR, &ws_type_vm, vm->id, "task", "vm_taken_over", "from", name_of(task_snapshot(task), t->vm.host, from),
               "to", name_of(task_snapshot(task), t->args->host, to), "how", how, "reason", t->args->reason, NULL);
  return true;
}

bool vm_take_over(Task *task, GError **error)
{
  TakeOver t = {.args = task_args(task)};
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  t.vm = (VmJob){task_center(task), vm->id, vm->host, vm->uuid};
  if (!plan_nics(task_snapshot(task), &t, vm, error))
    return false;
  if (!task_is_resumed(task) && (!allowed_check(task_kind(task)->name, vm, error) || !check(task_snapshot(task), &t, vm, error)))
    return false;
  g_autofree char *to = g_strdup_printf("%" G_GUINT64_FORMAT, t.args->host);
  task_choose(task, "to", to); /* whoever looks for room there sees it coming */
  TaskLockRef locks[] = {{&ws_type_vm, t.vm.id, false}, {&ws_type_host, t.args->host, true}};
  return task_lock(task, locks, G_N_ELEMENTS(locks), error) && TASK_STEP(task, COMPUTE_GRANT, compute_grant, NULL, &t, error) &&
         TASK_STEP(task, "define", define_there, undefine_there, &t, error) && TASK_LAST(task, "start", start_there, &t, error);
}
