// SPDX-License-Identifier: Apache-2.0
/* Maintenance mode: a host is emptied and kept empty.
 *
 * The first step says so (`entering_maintenance`: placement leaves the host alone from there on); then the VMs leave, each as a child task
 * of its own kind, so each can be seen, refused and stopped alone; the last step finds the host empty and says `maintenance`. Whatever fails
 * on the way, and a cancel, puts the host back in service. A VM that was shut down stays so: nothing here ever starts or kills one by
 * surprise. */
#include "center/api/call.h"
#include "center/cluster/cluster.h"
#include "center/room.h"
#include "center/room_rules.h"
#include "center/verbs.h"

#define NAMES_MAX 5 /* of VMs, in a refusal */
#define PARALLEL  8
#define PARALLEL_MOVES 2 /* where the cluster does not say */

typedef struct {
  Center *center;
  WsId host;
} Enter;

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

static bool set_mode(Task *task, Enter *enter, int mode)
{
  WsHost *host = inv_edit_id(task_txn(task), &ws_type_host, enter->host);
  if (host && (int)host->mode != mode) {
    host->mode = mode;
    host->mode_since = ws_clock_wall_us(enter->center->clock);
  }
  return true;
}

static bool begin(Task *task, void *ctx, GError **error)
{
  return set_mode(task, ctx, WS_HOST_MODE_ENTERING_MAINTENANCE);
}

static bool back_in_service(Task *task, void *ctx, GError **error)
{
  return set_mode(task, ctx, WS_HOST_MODE_NORMAL);
}

/* A VM that came or started meanwhile (by hand on the host, or by a task that was under way) keeps the host from being called empty. */
static bool finish(Task *task, void *ctx, GError **error)
{
  Enter *enter = ctx;
  g_autoptr(InvSnapshot) head = inv_head(enter->center->inventory);
  const WsHost *host = task_find_target(task, error);
  g_autoptr(GPtrArray) vms = host ? cluster_placed_on(head, enter->host) : NULL;
  if (!host || (vms->len && !cluster_refuse_not_empty(host, vms, error)))
    return false;
  return set_mode(task, enter, WS_HOST_MODE_MAINTENANCE);
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

typedef struct {
  const InvSnapshot *snap;
  WsId from;
  GArray *rooms; /* PlanHost: all but the one that is emptied; filled up as VMs are given to them */
} Targets;

static bool add_target(const void *object, void *arg)
{
  Targets *targets = arg;
  const WsHost *host = object;
  PlanHost room = room_of_host(targets->snap, host);
  room.reaches = true; /* disks that it does not reach move along */
  if (host->id != targets->from)
    g_array_append_val(targets->rooms, room);
  return true;
}

static int larger_first(gconstpointer a, gconstpointer b)
{
  const WsVm *x = *(const WsVm *const *)a, *y = *(const WsVm *const *)b;
  return x->memory_bytes != y->memory_bytes ? (x->memory_bytes < y->memory_bytes ? 1 : -1) : x->id < y->id ? -1 : x->id > y->id;
}

/* How it goes is the cluster's to say, which the move looks up itself. */
static void *move_args(WsId target)
{
  WsVmMigrate *move = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, move);
  move->host = target;
  return move;
}

static void clear_marks(GArray *rooms)
{
  for (guint i = 0; i < rooms->len; i++) {
    g_array_index(rooms, PlanHost, i).barred = NULL;
    g_array_index(rooms, PlanHost, i).dislikes = 0;
  }
}

/* A host of the cluster for each VM, the largest first; a single host's VMs may go to any. Without a place for one nothing begins. */
static bool choose_targets(const InvSnapshot *snap, const WsHost *host, GPtrArray *vms, TaskChild *children, GError **error)
{
  g_autoptr(GArray) rooms = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  Targets targets = {snap, host->id, rooms};
  inv_each(snap, &ws_type_host, add_target, &targets);
  g_autoptr(RoomRules) rules = room_rules_new(snap, host->cluster, NULL, NULL);
  g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
  rules->emptied = host->id;
  g_ptr_array_sort(vms, larger_first);
  for (guint i = 0; i < vms->len; i++) {
    const WsVm *vm = vms->pdata[i];
    PlanDemand demand = room_demand(vm, true);
    clear_marks(rooms);
    room_rules_weigh(rules, vm->id, (PlanHost *)rooms->data, rooms->len, texts);
    g_autofree char *why = NULL;
    demand.only_cluster = host->cluster;
    WsId target = plan_place((PlanHost *)rooms->data, rooms->len, &demand, &why);
    if (!target)
      return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "object", vm->name, NULL);
    for (guint j = 0; j < rooms->len; j++) {
      PlanHost *room = &g_array_index(rooms, PlanHost, j);
      room->memory_used_bytes += room->id == target ? vm->memory_bytes : 0;
      room->vcpus_used += room->id == target ? plan_vm_vcpus(vm) : 0;
    }
    room_rules_sends(rules, vm->id, target);
    if (children)
      children[i] = (TaskChild){vm->id, move_args(target)};
  }
  return true;
}

static guint parallel_of(const InvSnapshot *snap, const WsHost *host)
{
  const WsCluster *cluster = cluster_of_host(snap, host);
  bool said = cluster && cluster->migration && cluster->migration->parallel != WS_INT_UNSET;
  return said ? (guint)cluster->migration->parallel : PARALLEL_MOVES;
}

/* Once the batch is on record what is passed in here is not looked at again: so after a restart nothing is chosen anew. */
static bool move_all(Task *task, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  const InvSnapshot *snap = task_snapshot(task);
  g_autoptr(GPtrArray) vms = host ? cluster_placed_on(snap, host->id) : NULL;
  if (!host)
    return false;
  g_autofree TaskChild *children = g_new0(TaskChild, vms->len + 1);
  guint n = choose_targets(snap, host, vms, children, NULL) ? vms->len : 0;
  return task_run_children(task, task_kind_find(task_engine(task), "vm_migrate"), children, n, parallel_of(snap, host), error);
}

static bool empty(Task *task, const WsHostEnterMaintenance *args, GError **error)
{
  if (args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_MIGRATE)
    return move_all(task, error);
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

bool host_enter_maintenance(Task *task, GError **error)
{
  const WsHost *host = task_find_target(task, error);
  const WsHostEnterMaintenance *args = task_args(task);
  Enter enter = {task_center(task), task_target(task)};
  TaskLockRef lock = {&ws_type_host, enter.host, false};
  if (!host)
    return false;
  g_autoptr(GPtrArray) vms = cluster_placed_on(task_snapshot(task), enter.host);
  bool refuse = args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_REFUSE;
  if (!task_is_resumed(task) && refuse && vms->len)
    return cluster_refuse_not_empty(host, vms, error);
  if (!task_is_resumed(task) && args->vms == WS_HOST_ENTER_MAINTENANCE_VMS_MIGRATE &&
      !choose_targets(task_snapshot(task), host, vms, NULL, error))
    return false;
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "begin", begin, back_in_service, &enter, error) &&
         (refuse || empty(task, args, error)) && TASK_LAST(task, "finish", finish, &enter, error);
}

bool host_leave_maintenance(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsHost *seen = api_call_find_target(call, head, error);
  char task[WS_ID_TEXT_MAX];
  if (!seen)
    return false;
  if (seen->activity && seen->mode == WS_HOST_MODE_ENTERING_MAINTENANCE)
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
