// SPDX-License-Identifier: Apache-2.0
/* VMs that somebody made past the platform: adopt, ignore; and reading a VM's state again. */
#include "center/api/call.h"
#include "center/compute/compute.h"
#include "center/quota.h"
#include "center/verbs.h"

typedef struct {
  VmJob vm; /* first */
  QuotaHold hold;
  gint64 disk_bytes; /* held for files that become volumes */
} Adopt;

static bool blocked(const WsVm *vm, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", vm->name, "verb", "be adopted", "reason", vm->adopt_blockers.items[0], NULL);
}

/* What its disks have was not known before its host was asked. */
static bool admit_disks(Task *task, Adopt *adopt, const WsVm *vm, GError **error)
{
  QuotaAsk ask = {.vm = vm->id};
  gint64 bytes = 0;
  for (guint i = 0; i < vm->disks.len; i++) {
    WsId id = vm->disks.items[i]->volume;
    const WsVolume *volume = id && !inv_find(task_snapshot(task), &ws_type_volume, id) ? inv_edit_id(task_txn(task), &ws_type_volume, id) : NULL;
    bytes += volume ? volume->size_bytes : 0;
  }
  ask.more.of[QUOTA_DISK] = bytes - adopt->disk_bytes; /* the body may run again */
  adopt->disk_bytes = bytes;
  return quota_admit(adopt->vm.center->quotas, &adopt->hold, &ask, 1, vm->group, error);
}

static bool mark_on_host(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  RpcLink *link = compute_link(job, error);
  WsRpcVmAdopt params = {.vm = job->id, .uuid = (char *)job->uuid};
  g_autoptr(WsRpcVmAdoptResult) result = NULL;
  if (!link || !rpc_vm_adopt(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  InvTxn *txn = task_txn(task);
  WsVm *vm = inv_edit_id(txn, &ws_type_vm, job->id);
  if (!vm)
    return true;
  compute_fill_found(job->center, txn, vm, result->report); /* as it is now */
  if (vm->adopt_blockers.len)
    return blocked(vm, error);
  if (result->report->spec && !compute_adopt_volumes(job->center, link, txn, vm, result->report->spec, error))
    return false;
  if (!admit_disks(task, ctx, vm, error))
    return false;
  vm->management = WS_VM_MANAGEMENT_MANAGED;
  vm->created = ws_clock_wall_us(job->center->clock);
  compute_take_report(job->center, vm, result->report);
  return true;
}

static bool unmark_on_host(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  RpcLink *link = compute_link(job, error);
  WsRpcVmRelease params = {.vm = job->id, .uuid = (char *)job->uuid};
  if (!link || !rpc_vm_release(link, &params, NULL, NULL, NULL, error))
    return false;
  /* A cancel may come when the step is on record: what says that it is ours must not outlive the mark. */
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, job->id);
  if (vm && vm->management == WS_VM_MANAGEMENT_MANAGED) {
    vm->management = WS_VM_MANAGEMENT_FOUND;
    vm->created = 0;
  }
  return true;
}

bool vm_adopt(Task *task, GError **error)
{
  Adopt adopt = {.hold = {NULL}};
  const WsVm *vm = task_find_target(task, error);
  if (!vm)
    return false;
  if (!task_is_resumed(task) && vm->adopt_blockers.len)
    return blocked(vm, error);
  QuotaFigures more = quota_more(task_snapshot(task), vm, vm);
  bool ok = compute_begin(task, &adopt.vm, error) && quota_admit_task(task, &adopt.hold, vm->id, more, vm->group, error) &&
            TASK_STEP(task, "adopt", mark_on_host, unmark_on_host, &adopt, error);
  quota_hold_end(&adopt.hold);
  return ok;
}

bool vm_ignore(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsVm *vm = api_call_find_target(call, head, error);
  if (!vm)
    return false;
  WsId id = vm->id;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"ignore", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsVm *edit = inv_edit(txn, vm);
  edit->management = WS_VM_MANAGEMENT_IGNORED;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_vm, id, error);
}

static bool read_again(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  RpcLink *link = compute_link(job, error);
  WsRpcVmGet params = {.vm = job->id, .uuid = (char *)job->uuid};
  g_autoptr(WsRpcVmGetResult) result = NULL;
  if (!link || !rpc_vm_get(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, job->id);
  if (vm)
    compute_take_report(job->center, vm, result->report);
  return true;
}

bool vm_sync(Task *task, GError **error)
{
  VmJob job;
  return compute_begin(task, &job, error) && TASK_STEP(task, "read", read_again, NULL, &job, error);
}
