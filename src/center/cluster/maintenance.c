// SPDX-License-Identifier: Apache-2.0
/* Maintenance mode: a host is emptied and kept empty.
 *
 * The first step says so (`entering_maintenance`: placement leaves the host alone from there on); then the VMs leave, each as a child task
 * of its own kind, so each can be seen, refused and stopped alone; the last step finds the host empty and says `maintenance`. Whatever fails
 * on the way, and a cancel, puts the host back in service. A VM that was shut down stays so: nothing here ever starts or kills one by
 * surprise. */
#include "center/api/call.h"
#include "center/cluster/cluster.h"
#include "center/cluster/maintenance.h"
#include "center/cluster/stays.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include <string.h>

#define NAMES_MAX 5 /* of VMs, in a refusal */
#define PARALLEL  8
#define PARALLEL_MOVES 2 /* where the cluster does not say */

/* ---- what runs there ---- */

static bool gather_placed(const void *object, void *arg)
{
  if (plan_vm_is_placed(object))
    g_ptr_array_add(arg, (gpointer)object);
  return true;
}

GPtrArray *cluster_placed_on(const InvSnapshot *snap, WsId host)
{
  GPtrArray *vms = g_ptr_array_new();
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, gather_placed, vms);
  return vms;
}

bool cluster_refuse_not_empty(const WsHost *host, const GPtrArray *vms, GError **error)
{
  g_autoptr(GString) names = g_string_new(NULL);
  char count[16];
  for (guint i = 0; i < MIN(vms->len, NAMES_MAX); i++)
    g_string_append_printf(names, "%s%s", i ? ", " : "", ((const WsVm *)vms->pdata[i])->name);
  if (vms->len > NAMES_MAX)
    g_string_append(names, ", ...");
  g_snprintf(count, sizeof count, "%u", vms->len);
  return ws_fail(error, WS_ERROR_HOST_NOT_EMPTY, "object", host->name, "vms", count, "names", names->str, NULL);
}

/* ---- steps ---- */

bool maintenance_set_mode(Task *task, const Maintenance *maintenance, int mode)
{
  WsHost *host = inv_edit_id(task_txn(task), &ws_type_host, maintenance->host);
  if (host && (int)host->mode != mode) {
    host->mode = mode;
    host->mode_since = ws_clock_wall_us(maintenance->center->clock);
  }
  return true;
}

bool maintenance_begin(Task *task, void *ctx, GError **error)
{
  return maintenance_set_mode(task, ctx, WS_HOST_MODE_ENTERING_MAINTENANCE);
}

static bool back_in_service(Task *task, void *ctx, GError **error)
{
  return maintenance_set_mode(task, ctx, WS_HOST_MODE_NORMAL);
}

/* A VM that came or started meanwhile (by hand on the host, or by a task that was under way) keeps the host from being called empty. */
bool maintenance_finish(Task *task, void *ctx, GError **error)
{
  const Maintenance *maintenance = ctx;
  g_autoptr(InvSnapshot) head = inv_head(maintenance->center->inventory);
  const WsHost *host = task_find_target(task, error);
  g_autoptr(GPtrArray) vms = host ? cluster_placed_on(head, maintenance->host) : NULL;
  if (!host || (vms->len && !cluster_refuse_not_empty(host, vms, error)))
    return false;
  return maintenance_set_mode(task, maintenance, WS_HOST_MODE_MAINTENANCE);
}

/* ---- the VMs leave ---- */

static void *shut_down_args(const WsHostEnterMaintenance *args)
{
  WsVmShutdown *shut_down = ws_vm_shutdown_new();
  ws_apply_defaults(&ws_type_vm_shutdown, shut_down);
  shut_down->timeout_s = args->shut_down_timeout_s;
  return shut_down;
}

/* ---- where each goes ---- */

/* How it goes is the cluster's to say, which the move looks up itself. */
static void *move_args(WsId target)
{
  WsVmMigrate *move = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, move);
  move->host = target;
  return move;
}

/* Without a place for one nothing begins. `moves` (may be NULL): EvacuationMove. */
static bool choose_targets(Center *center, const InvSnapshot *head, const WsHost *host, GArray *moves,
                           GError **error)
{
  g_autoptr(Evacuation) evacuation = evacuation_new_of(head, host, center->promises);
  return evacuation_empty(evacuation, host, 0, moves, error);
}

static guint parallel_of(const InvSnapshot *snap, const WsHost *host)
{
  const WsCluster *cluster = cluster_of_host(snap, host);
  bool said = cluster && cluster->migration && cluster->migration->parallel != WS_INT_UNSET;
  return said ? (guint)cluster->migration->parallel : PARALLEL_MOVES;
}

typedef struct {
  Center *center;
  bool away;
} Look;

static bool look_for_away(const void *object, void *arg)
{
  const WsHost *host = object;
  Look *look = arg;
  look->away = host->mode == WS_HOST_MODE_NORMAL && (host->state != WS_HOST_STATE_CONNECTED || !hosts_is_connected(look->center, host->id));
  return !look->away;
}

bool maintenance_all_there(Center *center, const InvSnapshot *snap, const WsHost *host)
{
  Look look = {center, !hosts_is_connected(center, host->id)};
  if (!look.away && host->cluster)
    inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), host->cluster, NULL, look_for_away, &look);
  return !look.away;
}

/* There was a place for each when it began. A manager that was started anew has to wait for its hosts first, else moves are refused that could be. */
static bool choose_in_time(Task *task, GArray *moves, GError **error)
{
  WsClock *clock = ((Center *)task_center(task))->clock;
  gint64 until_us = ws_clock_monotonic_us(clock) + (gint64)TASK_HOST_WAIT_MS * 1000;
  bool begun = task_step_has_begun(task, "vm_migrate");
  while (!task_is_undoing(task) && !task_step_result(task, "vm_migrate")) {
    g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
    const WsHost *host = inv_find(head, &ws_type_host, task_target(task));
    g_autoptr(GError) why = NULL;
    if (!host)
      return task_find_target(task, error) != NULL;
    if (((choose_targets(task_center(task), head, host, moves, &why) || begun) &&
         (!task_is_resumed(task) || maintenance_all_there(task_center(task), head, host))) ||
        task_cancelled(task) || ws_clock_monotonic_us(clock) > until_us)
      break;
    g_array_set_size(moves, 0);
    task_show_waiting(task, why);
    ws_co_sleep(G_USEC_PER_SEC);
  }
  task_show_waiting(task, NULL);
  return true;
}

/* Where one that is off goes is for the move to find: its disks decide, and nobody waits for it. */
static void *move_off_args(void)
{
  WsVmMigrate *move = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, move);
  return move;
}

/* Those that run go first. Once the batch is on record what is passed in here is not looked at again: so
 * after a restart nothing is chosen anew. */
bool maintenance_move_all(Task *task, bool running_too, bool off_too, GError **error)
{
  g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(EvacuationMove));
  if (running_too && !choose_in_time(task, moves, error))
    return false;
  const WsHost *host = task_find_target(task, error);
  const InvSnapshot *snap = task_snapshot(task);
  if (!host)
    return false;
  g_autoptr(GPtrArray) off = off_too ? host_stays_movable(snap, host->id) : g_ptr_array_new();
  g_autofree TaskChild *children = g_new0(TaskChild, moves->len + off->len + 1);
  for (guint i = 0; i < moves->len; i++) {
    const EvacuationMove *move = &g_array_index(moves, EvacuationMove, i);
    children[i] = (TaskChild){move->vm, move_args(move->to)};
  }
  for (guint i = 0; i < off->len; i++)
    children[moves->len + i] = (TaskChild){((const WsVm *)off->pdata[i])->id, move_off_args()};
  /* Where nothing runs that is to move the host is as empty as it must be; where something does, its failure
   * comes first. */
  g_autoptr(GPtrArray) placed = cluster_placed_on(snap, host->id);
  bool spared = !running_too || !placed->len;
  return (spared ? task_run_children_spared
                 : task_run_children)(task, task_kind_find(task_engine(task), "vm_migrate"), children,
                                      moves->len + off->len, parallel_of(snap, host), error);
}

static bool empty(Task *task, const WsHostEnterMaintenance *args, GError **error)
{
  bool gently = args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_SHUT_DOWN;
  const TaskKind *kind = task_kind_find(task_engine(task), gently ? "vm_shutdown" : "vm_power_off");
  g_autoptr(GPtrArray) vms = cluster_placed_on(task_snapshot(task), task_target(task));
  g_autofree TaskChild *children = g_new0(TaskChild, vms->len + 1);
  for (guint i = 0; i < vms->len; i++) {
    children[i].target = ((const WsVm *)vms->pdata[i])->id;
    children[i].args = gently ? shut_down_args(args) : NULL;
  }
  return task_run_children(task, kind, children, vms->len, PARALLEL, error);
}

/* What is off by then may be what was just shut down. What runs still although it was asked to end is not
 * moved: nobody asked for that, and the host is not empty. */
static bool send_away(Task *task, const WsHostEnterMaintenance *args, GError **error)
{
  bool migrate = args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_MIGRATE,
       off_too = args->powered_off == WS_HOST_ENTER_MAINTENANCE_POWERED_OFF_MOVE;
  if (!migrate && args->vms != WS_HOST_ENTER_MAINTENANCE_VMS_REFUSE && !empty(task, args, error))
    return false;
  return (!migrate && !off_too) || maintenance_move_all(task, migrate, off_too, error);
}

void maintenance_log_stays(Task *task)
{
  if (!task_is_dry_run(task) && !task_is_undoing(task) && !task_step_has_begun(task, "finish"))
    host_stays_log(task, task_target(task));
}

bool host_enter_maintenance(Task *task, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  const WsHostEnterMaintenance *args = task_args(task);
  Maintenance enter = {task_center(task), task_target(task)};
  TaskLockRef lock = {&ws_type_host, enter.host, false};
  if (!host)
    return false;
  g_autoptr(GPtrArray) vms = cluster_placed_on(task_snapshot(task), enter.host);
  bool refuse = args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_REFUSE;
  if (!task_is_resumed(task) && refuse && vms->len)
    return cluster_refuse_not_empty(host, vms, error);
  g_autoptr(InvSnapshot) head = inv_head(enter.center->inventory);
  const WsHost *now = inv_find(head, &ws_type_host, enter.host);
  if (!task_is_resumed(task) && args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_MIGRATE && now &&
      !choose_targets(enter.center, head, now, NULL, error))
    return false;
  if (!task_lock(task, &lock, 1, error) ||
      !TASK_STEP(task, "begin", maintenance_begin, back_in_service, &enter, error) ||
      !send_away(task, args, error))
    return false;
  maintenance_log_stays(task);
  return TASK_LAST(task, "finish", maintenance_finish, &enter, error) &&
         host_stays_tell(task, enter.host, args->powered_off == WS_HOST_ENTER_MAINTENANCE_POWERED_OFF_MOVE,
                         error);
}

bool host_leave_maintenance(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsHost *seen = api_call_find_target(call, head, error);
  char task[WS_ID_TEXT_MAX];
  if (!seen)
    return false;
  bool maintained = seen->activity && strcmp(seen->activity->verb, "maintaining") == 0;
  if (seen->activity && (seen->mode == WS_HOST_MODE_ENTERING_MAINTENANCE || (maintained && !maintain_awaits_word(head, seen))))
    return ws_fail(error, WS_ERROR_BUSY, "object", seen->name, "verb", seen->activity->verb, "task",
                   ws_id_format(ws_type_task.prefix, seen->activity->task, task), NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"leave maintenance mode", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsHost *host = inv_edit(txn, seen);
  WsId id = seen->id;
  host->mode = WS_HOST_MODE_NORMAL;
  host->mode_since = ws_clock_wall_us(center->clock);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_host, id, error);
}
