// SPDX-License-Identifier: Apache-2.0
/* A host through maintenance and back: emptied, rebooted or left to people, in service again. Alone, or as one of a rolling maintenance (roll.c).
 *
 * Until it is empty a failure and a cancel put it back where it was. From then on it stays in maintenance, whatever comes: a host that was being worked on is
 * given virtual machines again when all has gone well, or when a person says so (leave_maintenance), never because something failed. */
#include "center/cluster/maintenance.h"
#include "center/cluster/cluster.h"
#include "center/cluster/drs.h"
#include "center/cluster/stays.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include "rpc/methods.h"
#include <string.h>

#define LOOK_US ((gint64)G_USEC_PER_SEC)
#define BUSY_US ((gint64)600 * G_USEC_PER_SEC) /* so long others may be at the host, or at a VM of it */
#define AWAIT   "wait until it may leave"

typedef struct {
  Maintenance base;
  const WsHostMaintain *args;
  int was; /* its mode before */
} Maintain;

guint maintain_spare(const WsCluster *cluster, gint64 asked)
{
  if (asked != WS_INT_UNSET)
    return (guint)asked;
  bool dpm = cluster && dpm_concerns(cluster);
  return !dpm ? 0 : cluster->dpm->spare_hosts != WS_INT_UNSET ? (guint)cluster->dpm->spare_hosts : 1;
}

/* ---- its turn ---- */

typedef struct {
  const InvSnapshot *snap;
  const WsHost *host;
  WsId other; /* what is waited for; 0: nothing */
  const WsType *type;
  const WsActivity *activity;
} Ahead;

static bool look_at_host(const void *object, void *arg)
{
  const WsHost *other = object;
  Ahead *ahead = arg;
  if (other->id == ahead->host->id || other->mode != WS_HOST_MODE_ENTERING_MAINTENANCE || !other->activity)
    return true;
  *ahead = (Ahead){ahead->snap, ahead->host, other->id, &ws_type_host, other->activity};
  return false;
}

static void look_at_vms(Ahead *ahead)
{
  g_autoptr(GPtrArray) vms = cluster_placed_on(ahead->snap, ahead->host->id);
  for (guint i = 0; !ahead->other && i < vms->len; i++) {
    const WsVm *vm = vms->pdata[i];
    if (vm->activity)
      *ahead = (Ahead){ahead->snap, ahead->host, vm->id, &ws_type_vm, vm->activity};
  }
}

/* Another host of the cluster is being emptied: where its VMs go would not hold. Or a VM of this one has something done to it: it would not move. */
static void show_ahead(Task *task, const Ahead *ahead)
{
  char object[WS_ID_TEXT_MAX], other[WS_ID_TEXT_MAX];
  g_autoptr(GError) why = NULL;
  ws_fail(&why, WS_ERROR_BUSY, "object", ws_id_format(ahead->type->prefix, ahead->other, object), "verb", ahead->activity->verb, "task",
          ws_id_format(ws_type_task.prefix, ahead->activity->task, other), NULL);
  task_show_waiting(task, why);
}

static bool can_be_empty(Center *center, const InvSnapshot *head, const WsHost *host,
                         const WsHostMaintain *args, GError **error)
{
  g_autoptr(Evacuation) evacuation = evacuation_new_of(head, host, center->promises);
  return evacuation_empty(evacuation, host, maintain_spare(cluster_of_host(head, host), args->spare_hosts), NULL, error);
}

/* From the last look to the commit of the mode nothing waits. Other hosts may be on their way back: they, and a place, are
 * waited for as a step waits for its host. */
static bool await_turn(Task *task, const Maintain *maintain, GError **error)
{
  Center *center = maintain->base.center;
  gint64 begun_us = ws_clock_monotonic_us(center->clock), full_us = 0;
  for (;;) {
    gint64 now_us = ws_clock_monotonic_us(center->clock);
    g_autoptr(InvSnapshot) head = inv_head(center->inventory);
    const WsHost *host = inv_find(head, &ws_type_host, maintain->base.host);
    char id[WS_ID_TEXT_MAX];
    if (!host)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format("host", maintain->base.host, id), NULL);
    Ahead ahead = {head, host, 0, NULL, NULL};
    if (host->cluster)
      inv_each_by(head, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), host->cluster, NULL, look_at_host, &ahead);
    if (!ahead.other && now_us - begun_us < BUSY_US)
      look_at_vms(&ahead);
    g_autoptr(GError) why = NULL;
    if (ahead.other) {
      full_us = 0;
      show_ahead(task, &ahead);
    } else if (!hosts_link(center, host->id, error)) {
      return false;
    } else if (can_be_empty(center, head, host, maintain->args, &why) &&
               (maintenance_all_there(center, head, host) ||
                (full_us && now_us - full_us > (gint64)TASK_HOST_WAIT_MS * 1000))) {
      task_show_waiting(task, NULL);
      return true;
    } else {
      full_us = full_us ? full_us : now_us;
      if (why)
        task_show_waiting(task, why);
    }
    if (task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    if (full_us && now_us - full_us > (gint64)TASK_HOST_WAIT_MS * 1000) {
      g_propagate_error(error, g_steal_pointer(&why));
      return false;
    }
    ws_co_sleep(LOOK_US);
  }
}

static bool begin(Task *task, void *ctx, GError **error)
{
  return await_turn(task, ctx, error) && maintenance_begin(task, ctx, error);
}

static bool take_back(Task *task, void *ctx, GError **error)
{
  const Maintain *maintain = ctx;
  bool emptied = task_step_result(task, "finish") != NULL;
  return maintenance_set_mode(task, &maintain->base, emptied ? WS_HOST_MODE_MAINTENANCE : maintain->was);
}

static bool finish(Task *task, void *ctx, GError **error)
{
  if (!maintenance_finish(task, ctx, error))
    return false;
  task_set_result(task, "empty");
  return true;
}

/* ---- the work ---- */

/* A manager that was started anew has to wait for the host, else it would refuse to ask it. */
static void await_host(Task *task)
{
  Center *center = task_center(task);
  gint64 until_us = ws_clock_monotonic_us(center->clock) + (gint64)TASK_HOST_WAIT_MS * 1000;
  while (task_is_resumed(task) && !task_is_undoing(task) && !task_step_result(task, "host_reboot") && !task_cancelled(task) &&
         !hosts_is_connected(center, task_target(task)) && ws_clock_monotonic_us(center->clock) < until_us)
    ws_co_sleep(LOOK_US);
}

static bool reboot(Task *task, const WsHostMaintain *args, GError **error)
{
  if (args->reboot != WS_HOST_MAINTAIN_REBOOT_ORDERLY && args->reboot != WS_HOST_MAINTAIN_REBOOT_HARD)
    return true;
  await_host(task);
  WsHostReboot *how = ws_host_reboot_new();
  ws_apply_defaults(&ws_type_host_reboot, how);
  how->how = args->reboot == WS_HOST_MAINTAIN_REBOOT_HARD ? WS_HOST_REBOOT_HOW_HARD : WS_HOST_REBOOT_HOW_ORDERLY;
  how->timeout_s = args->timeout_s;
  TaskChild child = {task_target(task), how};
  return task_run_children(task, task_kind_find(task_engine(task), "host_reboot"), &child, 1, 1, error);
}

/* The word is leave_maintenance: then the mode says it. */
static bool await_word(Task *task, void *ctx, GError **error)
{
  const Maintain *maintain = ctx;
  bool told = false;
  for (;;) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(maintain->base.center->inventory);
    const WsHost *host = inv_find(snap, &ws_type_host, maintain->base.host);
    g_autoptr(GError) why = NULL;
    if (!host || host->mode == WS_HOST_MODE_NORMAL) {
      task_show_waiting(task, NULL);
      return host || task_find_target(task, error);
    }
    ws_fail(&why, WS_ERROR_AWAITS_WORD, "object", host->name, NULL);
    task_show_waiting(task, why);
    if (!told)
      center_event(maintain->base.center, CENTER_INFO, &ws_type_host, host->id, "maintenance", "maintain_waits", NULL);
    told = true;
    if (task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    ws_co_sleep(LOOK_US);
  }
}

bool maintain_awaits_word(const InvSnapshot *snap, const WsHost *host)
{
  const WsTask *task = host->activity ? inv_find(snap, &ws_type_task, host->activity->task) : NULL;
  const WsTaskStep *last = task && task->steps.len ? task->steps.items[task->steps.len - 1] : NULL;
  return last && strcmp(last->name, AWAIT) == 0 && last->state == WS_TASK_STEP_STATE_RUNNING;
}

/* ---- back ---- */

/* No host of the list any more: what is left of a rolling maintenance is what did not come as far as this. */
static void cross_out(Task *task, WsId cluster_id, WsId host)
{
  WsCluster *cluster = cluster_id ? inv_edit_id(task_txn(task), &ws_type_cluster, cluster_id) : NULL;
  guint n = 0;
  for (guint i = 0; cluster && i < cluster->maintenance_left.len; i++)
    if (cluster->maintenance_left.items[i] != host)
      cluster->maintenance_left.items[n++] = cluster->maintenance_left.items[i];
  if (cluster)
    cluster->maintenance_left.len = n;
}

/* After a start the agent is there before libvirt is, and so long no VM can come: whoever is emptied next may have to send its VMs here. */
static bool check_libvirt(Center *center, WsId host, GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  g_autoptr(GError) why = NULL;
  g_autoptr(WsRpcVmListResult) page = NULL;
  WsRpcVmList params = {.after = (char *)"ffffffff-ffff-ffff-ffff-ffffffffffff"}; /* behind all of them: not they are asked for */
  char id[WS_ID_TEXT_MAX];
  if (!link || rpc_vm_list(link, &params, &page, NULL, NULL, NULL, &why))
    return link != NULL;
  if (ws_error_code(why) == WS_ERROR_HYPERVISOR_UNREACHABLE)
    return ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", ws_id_format("host", host, id), "cause", why->message, NULL);
  g_propagate_error(error, g_steal_pointer(&why));
  return false;
}

/* One that does not come back is waited for as long as every step waits for a host; then it stays in maintenance. */
static bool leave(Task *task, void *ctx, GError **error)
{
  const Maintain *maintain = ctx;
  if (!check_libvirt(maintain->base.center, maintain->base.host, error))
    return false;
  const WsHost *host = task_find_target(task, error);
  if (!host)
    return false;
  cross_out(task, host->cluster, host->id);
  return maintenance_set_mode(task, &maintain->base, WS_HOST_MODE_NORMAL);
}

/* ---- the verb ---- */

/* In a rolling maintenance somebody may be at the host for a moment when its turn comes. */
static bool lock(Task *task, const Maintain *maintain, GError **error)
{
  WsClock *clock = maintain->base.center->clock;
  TaskLockRef ref = {&ws_type_host, maintain->base.host, false};
  bool alone = task_id(task) == 0; /* somebody waits for an answer */
  gint64 until_us = ws_clock_monotonic_us(clock) + BUSY_US;
  for (;;) {
    g_autoptr(GError) why = NULL;
    if (task_lock(task, &ref, 1, &why))
      return true;
    if (alone || ws_error_code(why) != WS_ERROR_BUSY || task_cancelled(task) || ws_clock_monotonic_us(clock) > until_us) {
      g_propagate_error(error, g_steal_pointer(&why));
      return false;
    }
    task_show_waiting(task, why);
    ws_co_sleep(LOOK_US);
  }
}

static bool check(Task *task, const WsHost *host, const WsHostMaintain *args, GError **error)
{
  if ((int)host->standby)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", "go through maintenance", "reason", "DPM has it asleep, or on its way there or back", NULL);
  if (task_id(task)) /* one of several waits for its turn */
    return true;
  Center *center = task_center(task);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsHost *now = inv_find(head, &ws_type_host, host->id);
  return !now || can_be_empty(center, head, now, args, error);
}

bool host_maintain(Task *task, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  Maintain maintain = {.base = {task_center(task), task_target(task)}, .args = task_args(task)};
  if (!host || !lock(task, &maintain, error))
    return false;
  host = task_find_target(task, error);
  if (!host || (!task_is_resumed(task) && !check(task, host, maintain.args, error)))
    return false;
  bool out = host->mode == WS_HOST_MODE_MAINTENANCE;
  maintain.was = strcmp(task_choose(task, "was", out ? "maintenance" : "normal"), "normal") == 0 ? WS_HOST_MODE_NORMAL : WS_HOST_MODE_MAINTENANCE;
  bool off_too = maintain.args->powered_off == WS_HOST_MAINTAIN_POWERED_OFF_MOVE;
  if (!TASK_STEP(task, "begin", begin, take_back, &maintain, error) ||
      !maintenance_move_all(task, true, off_too, error))
    return false;
  maintenance_log_stays(task);
  return TASK_STEP(task, "finish", finish, NULL, &maintain, error) && reboot(task, maintain.args, error) &&
         (!maintain.args->pause || TASK_STEP(task, AWAIT, await_word, NULL, &maintain, error)) &&
         TASK_LAST(task, "leave", leave, &maintain, error) &&
         host_stays_tell(task, maintain.base.host, off_too, error);
}
