// SPDX-License-Identifier: Apache-2.0
/* Power verbs: each is one call to the VM's host. The host's answer carries the new power state, which enters the inventory with the
 * step's end; so a start is done when the host says that the VM runs, never before. */
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/verbs.h"
#include <string.h>

/* A step that makes one call (vm, uuid) and takes the power state of the answer. Methods differ in their types only. */
#define POWER_STEP(name, Name)                                                                                         \
  static bool name##_step(Task *task, void *ctx, GError **error)                                                       \
  {                                                                                                                    \
    VmJob *job = ctx;                                                                                                  \
    RpcLink *link = compute_link(job, error);                                                                          \
    WsRpcVm##Name params = {.vm = job->id, .uuid = (char *)job->uuid};                                                 \
    g_autoptr(WsRpcVm##Name##Result) result = NULL;                                                                    \
    if (!link ||                                                                                                       \
        !rpc_vm_##name(link, &params, &result, task_progress_of_call, task, task_cancel_flag(task), error))            \
      return false;                                                                                                    \
    WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, job->id);                                                      \
    if (vm)                                                                                                            \
      compute_take_power(job->center, vm, result->power);                                                              \
    return true;                                                                                                       \
  }

POWER_STEP(shutdown, Shutdown)
POWER_STEP(power_off, PowerOff)
POWER_STEP(reboot, Reboot)
POWER_STEP(reset, Reset)
POWER_STEP(pause, Pause)
POWER_STEP(hibernate, Hibernate)
POWER_STEP(discard_saved, DiscardSaved)

static bool one_call(Task *task, const char *name, TaskBody body, GError **error)
{
  VmJob job;
  return compute_begin(task, &job, error) && TASK_STEP(task, name, body, NULL, &job, error);
}

bool vm_power_off(Task *task, GError **error)
{
  return one_call(task, "power off", power_off_step, error);
}

bool vm_reboot(Task *task, GError **error)
{
  return one_call(task, "reboot", reboot_step, error);
}

bool vm_reset(Task *task, GError **error)
{
  return one_call(task, "reset", reset_step, error);
}

bool vm_pause(Task *task, GError **error)
{
  return one_call(task, "pause", pause_step, error);
}


/* The host knows it by its UUID only. */
static bool hibernate_named(Task *task, void *ctx, GError **error)
{
  if (hibernate_step(task, ctx, error))
    return true;
  const WsVm *vm = task_find_target(task, NULL);
  if (vm && error && ws_error_code(*error) == WS_ERROR_NOT_ALLOWED)
    ws_error_set_param(*error, "object", vm->name);
  return false;
}

bool vm_hibernate(Task *task, GError **error)
{
  return one_call(task, "hibernate", hibernate_named, error);
}

bool vm_discard_saved(Task *task, GError **error)
{
  return one_call(task, "discard", discard_saved_step, error);
}

/* ---- start: with a choice ---- */

typedef struct {
  VmJob vm; /* first: steps of this file take a VmJob */
  const WsVmStart *args;
} Start;

static WsVmRight *right_of(Task *task, WsVmRight *right)
{
  right->generation = compute_granted(task);
  return right->generation == WS_INT_UNSET ? NULL : right;
}

static bool start_step(Task *task, void *ctx, GError **error)
{
  Start *start = ctx;
  RpcLink *link = compute_link(&start->vm, error);
  WsVmRight right = {0};
  WsRpcVmStart params = {.vm = start->vm.id,
                         .uuid = (char *)start->vm.uuid,
                         .paused = start->args && start->args->paused,
                         .right = right_of(task, &right)};
  g_autoptr(WsRpcVmStartResult) result = NULL;
  if (!link || !rpc_vm_start(link, &params, &result, NULL, NULL, task_cancel_flag(task), error))
    return false;
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, start->vm.id);
  if (vm)
    compute_take_power(start->vm.center, vm, result->power);
  return true;
}

bool vm_start(Task *task, GError **error)
{
  Start start = {.args = task_args(task)};
  const WsVm *vm = task_find_target(task, error);
  if (!vm || (!task_is_resumed(task) && !place_admit(task_center(task), vm, error)))
    return false;
  return compute_begin(task, &start.vm, error) && TASK_STEP(task, COMPUTE_GRANT, compute_grant, NULL, &start, error) &&
         TASK_STEP(task, "start", start_step, NULL, &start, error);
}

/* ---- resume: from saved memory it is a start ---- */

static bool resume_step(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  RpcLink *link = compute_link(job, error);
  WsVmRight right = {0};
  WsRpcVmResume params = {.vm = job->id, .uuid = (char *)job->uuid, .right = right_of(task, &right)};
  g_autoptr(WsRpcVmResumeResult) result = NULL;
  if (!link || !rpc_vm_resume(link, &params, &result, NULL, NULL, task_cancel_flag(task), error))
    return false;
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, job->id);
  if (vm)
    compute_take_power(job->center, vm, result->power);
  return true;
}

bool vm_resume(Task *task, GError **error)
{
  VmJob job;
  const WsVm *vm = task_find_target(task, error);
  if (!vm || !compute_begin(task, &job, error))
    return false;
  if (!task_is_resumed(task) && compute_power_state(vm) == WS_POWER_STATE_HIBERNATED &&
      !place_admit(task_center(task), vm, error))
    return false;
  bool saved = strcmp(task_choose(task, "saved", compute_power_state(vm) == WS_POWER_STATE_HIBERNATED ? "yes" : "no"), "yes") == 0;
  return (!saved || TASK_STEP(task, COMPUTE_GRANT, compute_grant, NULL, &job, error)) &&
         TASK_STEP(task, "resume", resume_step, NULL, &job, error);
}

/* ---- shut down: the guest is asked, then awaited ---- */

typedef struct {
  VmJob vm;
  const WsVmShutdown *args;
} Shutdown;

#define ASK_AGAIN_US (20 * (gint64)G_USEC_PER_SEC)
#define ENDED ((1u << WS_POWER_STATE_OFF) | (1u << WS_POWER_STATE_CRASHED) | (1u << WS_POWER_STATE_HIBERNATED))

/* A guest that is still booting, or whose agent just comes up, does not hear it: it is asked again while there is time. */
static bool wait_asking_again(Task *task, const VmJob *job, gint64 timeout_us, GError **error)
{
  WsClock *clock = job->center->clock;
  gint64 end = ws_clock_monotonic_us(clock) + timeout_us;
  for (;;) {
    g_autoptr(GError) late = NULL;
    gint64 left = end - ws_clock_monotonic_us(clock);
    if (compute_wait_power(task, job->id, ENDED, CLAMP(left, 0, ASK_AGAIN_US), "the guest's shutdown", &late))
      return true;
    left = end - ws_clock_monotonic_us(clock);
    if (ws_error_code(late) != WS_ERROR_DEADLINE_EXCEEDED || left <= 0) {
      g_autofree char *timeout = g_strdup_printf("%" G_GINT64_FORMAT " s", timeout_us / G_USEC_PER_SEC);
      ws_error_set_param(late, "timeout", timeout);
      g_propagate_error(error, g_steal_pointer(&late));
      return false;
    }
    RpcLink *link = compute_link(job, NULL);
    WsRpcVmShutdown params = {.vm = job->id, .uuid = (char *)job->uuid};
    if (link)
      rpc_vm_shutdown(link, &params, NULL, NULL, NULL, task_cancel_flag(task), NULL);
  }
}

static bool await_end(Task *task, void *ctx, GError **error)
{
  Shutdown *s = ctx;
  g_autoptr(GError) late = NULL;
  if (wait_asking_again(task, &s->vm, s->args->timeout_s * G_USEC_PER_SEC, &late))
    return true;
  if (ws_error_code(late) == WS_ERROR_DEADLINE_EXCEEDED && s->args->or_power_off)
    return power_off_step(task, &s->vm, error);
  g_propagate_error(error, g_steal_pointer(&late));
  return false;
}

bool vm_shutdown(Task *task, GError **error)
{
  Shutdown s = {.args = task_args(task)};
  return compute_begin(task, &s.vm, error) && TASK_STEP(task, "ask the guest", shutdown_step, NULL, &s.vm, error) &&
         TASK_STEP(task, "wait for the guest", await_end, NULL, &s, error);
}

/* ---- inside the guest ---- */

static bool set_password_step(Task *task, void *ctx, GError **error)
{
  VmJob *job = ctx;
  const WsVmSetPassword *args = task_args(task);
  RpcLink *link = compute_link(job, error);
  WsRpcVmSetPassword params = {.vm = job->id, .uuid = (char *)job->uuid, .user = args->user, .password = args->password};
  return link && rpc_vm_set_password(link, &params, NULL, NULL, task_cancel_flag(task), error);
}

bool vm_set_password(Task *task, GError **error)
{
  return one_call(task, "set password", set_password_step, error);
}
