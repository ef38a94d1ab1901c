// SPDX-License-Identifier: Apache-2.0
/* Rolling maintenance of a cluster: its hosts through maintenance in turn. (CloudStack's word; vSphere Lifecycle Manager and oVirt do the same for an upgrade.)
 *
 * Each host is a child task (maintain.c). The first that fails keeps the rest from beginning. `maintenance_left` of the cluster is the record of what is not
 * done: each host is crossed out in the transaction that puts it back in service, so `continue` goes on where the one before stopped, whatever
 * stopped it. Before anything begins all of it is tried on paper, and each VM is asked whether it can move at all. */
#include "center/api/view.h"
#include "center/cluster/cluster.h"
#include "center/cluster/maintenance.h"
#include "center/cluster/stays.h"
#include "center/verbs.h"
#include <string.h>

typedef struct {
  const InvSnapshot *snap;
  const WsCluster *cluster;
  GArray *hosts; /* WsId, in their order */
  guint parallel, spare;
  bool off_too;
} Roll;

/* ---- which hosts ---- */

typedef struct {
  GPtrArray *hosts; /* WsHost */
  WsMaintenancePlan *plan;
} Gather;

static bool gather_host(const void *object, void *arg)
{
  const WsHost *host = object;
  Gather *gather = arg;
  bool asleep = (int)host->standby;
  if (!asleep && host->mode == WS_HOST_MODE_NORMAL) {
    g_ptr_array_add(gather->hosts, (gpointer)host);
    return true;
  }
  WsMaintenancePlanSkipped *skipped = ws_maintenance_plan_skipped_new();
  skipped->host = host->id;
  skipped->name = g_strdup(host->name);
  skipped->reason = asleep ? WS_MAINTENANCE_PLAN_SKIPPED_REASON_STANDBY : WS_MAINTENANCE_PLAN_SKIPPED_REASON_MAINTENANCE;
  ws_array_add(&gather->plan->skipped, skipped);
  return true;
}

static int by_name(gconstpointer a, gconstpointer b)
{
  const WsHost *x = *(const WsHost *const *)a, *y = *(const WsHost *const *)b;
  int order = g_strcmp0(x->name, y->name);
  return order ? order : x->id < y->id ? -1 : x->id > y->id;
}

static void choose_all(Roll *roll, WsMaintenancePlan *plan)
{
  g_autoptr(GPtrArray) hosts = g_ptr_array_new();
  Gather gather = {hosts, plan};
  inv_each_by(roll->snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), roll->cluster->id, NULL, gather_host, &gather);
  g_ptr_array_sort(hosts, by_name);
  for (guint i = 0; i < hosts->len; i++)
    g_array_append_val(roll->hosts, ((const WsHost *)hosts->pdata[i])->id);
}

static bool has(const GArray *ids, WsId id)
{
  for (guint i = 0; i < ids->len; i++)
    if (g_array_index(ids, WsId, i) == id)
      return true;
  return false;
}

static bool add_wanted(Roll *roll, WsId id, GError **error)
{
  const WsHost *host = inv_find(roll->snap, &ws_type_host, id);
  char text[WS_ID_TEXT_MAX];
  if (!host)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "hosts", "object", ws_id_format("host", id, text), NULL);
  if (host->cluster != roll->cluster->id)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "hosts", "expected", "hosts of this cluster", NULL);
  if ((int)host->standby)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", host->name, "verb", "go through maintenance", "reason", "DPM has it asleep, or on its way there or back", NULL);
  if (!has(roll->hosts, id))
    g_array_append_val(roll->hosts, id);
  return true;
}

/* Hosts that have gone, or have left the cluster, are no longer left over. */
static void choose_left(Roll *roll)
{
  for (guint i = 0; i < roll->cluster->maintenance_left.len; i++)
    add_wanted(roll, roll->cluster->maintenance_left.items[i], NULL);
}

static bool choose_hosts(Roll *roll, const WsId *wanted, guint n, bool again, WsMaintenancePlan *plan, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (!add_wanted(roll, wanted[i], error))
      return false;
  if (again && n)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "continue", "expected", "no hosts beside it", NULL);
  if (again)
    choose_left(roll);
  else if (!n)
    choose_all(roll, plan);
  const char *why = again ? "nothing is left of a rolling maintenance" : "it has no host in service";
  return roll->hosts->len || ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", roll->cluster->name, "verb", "roll maintenance", "reason", why, NULL);
}

/* ---- on paper ---- */

static void add_moves(const Roll *roll, const GArray *moves, WsMaintenancePlanHost *row)
{
  for (guint i = 0; i < moves->len; i++) {
    const EvacuationMove *from = &g_array_index(moves, EvacuationMove, i);
    WsMaintenancePlanMove *move = ws_maintenance_plan_move_new();
    move->vm = from->vm;
    move->name = g_strdup(((const WsVm *)inv_find(roll->snap, &ws_type_vm, from->vm))->name);
    move->to = from->to;
    move->to_name = g_strdup(((const WsHost *)inv_find(roll->snap, &ws_type_host, from->to))->name);
    ws_array_add(&row->moves, move);
  }
}

/* Whose fault and why, without what frames it in a message. */
static char *reason_of(const GError *error)
{
  const char *reasons = ws_error_param(error, "reasons"), *object = ws_error_param(error, "object");
  return reasons ? g_strdup_printf("%s: %s", object ? object : "-", reasons) : g_strdup(error->message);
}

static void plan_host(const Roll *roll, Evacuation *evacuation, const WsHost *host, WsMaintenancePlan *plan)
{
  g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(EvacuationMove));
  g_autoptr(GError) error = NULL;
  WsMaintenancePlanHost *row = ws_maintenance_plan_host_new();
  row->host = host->id;
  row->name = g_strdup(host->name);
  if (host->state != WS_HOST_STATE_CONNECTED)
    row->refused = g_strdup("not connected");
  else if (evacuation_empty(evacuation, host, roll->spare, moves, &error))
    add_moves(roll, moves, row);
  else
    row->refused = reason_of(error);
  g_auto(HostStays) stays = {0};
  host_stays_find(&stays, roll->snap, host->id, roll->off_too);
  row->stays = host_stays_text(&stays);
  plan->possible = plan->possible && !row->refused;
  ws_array_add(&plan->hosts, row);
}

/* With `parallel` hosts out at a time, the one that went first is the one that is back first. */
static void make_plan(const Roll *roll, const GPtrArray *promises, WsMaintenancePlan *plan)
{
  g_autoptr(Evacuation) evacuation = evacuation_new(roll->snap, roll->cluster->id, promises);
  plan->possible = true;
  for (guint i = 0; i < roll->hosts->len; i++) {
    if (i >= roll->parallel)
      evacuation_return(evacuation, g_array_index(roll->hosts, WsId, i - roll->parallel));
    plan_host(roll, evacuation, inv_find(roll->snap, &ws_type_host, g_array_index(roll->hosts, WsId, i)), plan);
  }
}

bool cluster_maintenance_plan(const ApiView *view, void **result, GError **error)
{
  g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(WsId)), hosts = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_autoptr(WsMaintenancePlan) plan = ws_maintenance_plan_new();
  const char *again = api_view_query(view, "continue");
  gint64 parallel, spare;
  if (!api_view_query_ids(view, "hosts", &ws_type_host, wanted, error) || !api_view_query_int(view, "parallel", 1, 32, 1, &parallel, error) ||
      !api_view_query_int(view, "spare_hosts", 0, 2, WS_INT_UNSET, &spare, error))
    return false;
  Roll roll = {view->snap, view->object, hosts, (guint)parallel, maintain_spare(view->object, spare), false};
  if (!choose_hosts(&roll, (WsId *)wanted->data, wanted->len, g_strcmp0(again, "true") == 0, plan, error))
    return false;
  make_plan(&roll, NULL, plan); /* any thread: what is promised to VMs that are being made is not seen */
  *result = g_steal_pointer(&plan);
  return true;
}

/* ---- before it begins ---- */

/* Can it leave its host at all, whatever there is room for later? Its host and the one it would go to are asked. */
static char *refusal_of_vm(Task *task, const Roll *roll, WsId vm)
{
  const TaskCause why = {.user_name = "system", .cause = "maintenance", .one_of_many = true};
  TaskStarted started = {0};
  g_autoptr(GError) failed = NULL;
  WsVmMigrate *args = ws_vm_migrate_new();
  ws_apply_defaults(&ws_type_vm_migrate, args);
  args->cluster = roll->cluster->id;
  if (task_start(task_engine(task), task_kind_find(task_engine(task), "vm_migrate"), vm, args, &why, true, 0, &started, &failed)) {
    g_strfreev(started.dry_steps);
    task_shown_clear(&started.dry_shown);
    return NULL;
  }
  WsErrorCode code = ws_error_code(failed);
  return code == WS_ERROR_NO_HOST || code == WS_ERROR_CANNOT_MOVE || code == WS_ERROR_UNSUPPORTED ? reason_of(failed) : NULL; /* others pass */
}

/* With a host of them in maintenance now, there may be no place today for who finds one then. */
static bool all_in_service(const Roll *roll)
{
  for (guint i = 0; i < roll->hosts->len; i++)
    if (((const WsHost *)inv_find(roll->snap, &ws_type_host, g_array_index(roll->hosts, WsId, i)))->mode != WS_HOST_MODE_NORMAL)
      return false;
  return true;
}

/* Those that are there now; who comes on the way has moved once. */
static void ask_vms(Task *task, const Roll *roll, WsMaintenancePlan *plan)
{
  for (guint i = 0; i < plan->hosts.len; i++) {
    WsMaintenancePlanHost *row = plan->hosts.items[i];
    g_autoptr(GPtrArray) vms = cluster_placed_on(roll->snap, row->host);
    for (guint j = 0; !row->refused && j < vms->len; j++)
      row->refused = refusal_of_vm(task, roll, ((const WsVm *)vms->pdata[j])->id);
    plan->possible = plan->possible && !row->refused;
  }
}

static bool refuse(const Roll *roll, const WsMaintenancePlan *plan, GError **error)
{
  g_autoptr(GString) reasons = g_string_new(NULL);
  for (guint i = 0; i < plan->hosts.len; i++)
    if (plan->hosts.items[i]->refused)
      g_string_append_printf(reasons, "%s%s: %s", reasons->len ? "; " : "", plan->hosts.items[i]->name, plan->hosts.items[i]->refused);
  return ws_fail(error, WS_ERROR_ROLL_REFUSED, "object", roll->cluster->name, "reasons", reasons->str, NULL);
}

static bool check(Task *task, const Roll *roll, WsMaintenancePlan *plan, GError **error)
{
  make_plan(roll, ((Center *)task_center(task))->promises, plan);
  if (plan->possible && all_in_service(roll))
    ask_vms(task, roll, plan);
  return plan->possible || refuse(roll, plan, error);
}

/* A dry run has a line for each host. */
static bool tell(Task *task, const WsMaintenancePlan *plan, bool off_too, GError **error)
{
  for (guint i = 0; i < plan->hosts.len; i++) {
    const WsMaintenancePlanHost *row = plan->hosts.items[i];
    g_autoptr(GString) line = g_string_new(row->name);
    for (guint j = 0; j < row->moves.len; j++)
      g_string_append_printf(line, "%s %s -> %s", j ? "," : ":", row->moves.items[j]->name, row->moves.items[j]->to_name);
    if (!TASK_STEP(task, line->str, NULL, NULL, NULL, error))
      return false;
    if (!host_stays_tell(task, row->host, off_too, error))
      return false;
  }
  return true;
}

/* ---- the task ---- */

typedef struct {
  Center *center;
  WsId cluster;
  const GArray *hosts;
} Rolling;

/* The list is the record for people; the step's result is for this task, also when the manager was started anew. */
static bool begin(Task *task, void *ctx, GError **error)
{
  const Rolling *rolling = ctx;
  WsCluster *cluster = inv_edit_id(task_txn(task), &ws_type_cluster, rolling->cluster);
  g_autoptr(GString) ids = g_string_new(NULL);
  if (!cluster)
    return task_find_target(task, error) != NULL;
  cluster->maintenance_left.len = 0;
  for (guint i = 0; i < rolling->hosts->len; i++) {
    ws_array_add(&cluster->maintenance_left, g_array_index(rolling->hosts, WsId, i));
    g_string_append_printf(ids, "%" G_GUINT64_FORMAT " ", g_array_index(rolling->hosts, WsId, i));
  }
  task_set_result(task, ids->str);
  return true;
}

static void recall(Task *task, GArray *hosts)
{
  g_auto(GStrv) words = g_strsplit(task_step_result(task, "begin"), " ", -1);
  g_array_set_size(hosts, 0);
  for (guint i = 0; words[i] && *words[i]; i++) {
    WsId id = g_ascii_strtoull(words[i], NULL, 10);
    g_array_append_val(hosts, id);
  }
}

/* Told when all is over but not all is done. */
static void tell_left(Center *center, WsId id)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsCluster *cluster = inv_find(head, &ws_type_cluster, id);
  g_autoptr(GString) names = g_string_new(NULL);
  for (guint i = 0; cluster && i < cluster->maintenance_left.len; i++) {
    const WsHost *host = inv_find(head, &ws_type_host, cluster->maintenance_left.items[i]);
    g_string_append_printf(names, "%s%s", names->len ? ", " : "", host ? host->name : "-");
  }
  if (names->len)
    center_event(center, CENTER_MINOR, &ws_type_cluster, id, "maintenance", "roll_stopped", "left", names->str, NULL);
}

static bool say_what_is_left(Task *task, void *ctx, GError **error)
{
  const Rolling *rolling = ctx;
  tell_left(rolling->center, rolling->cluster);
  return true;
}

static void *maintain_args(const WsClusterRollMaintenance *args)
{
  WsHostMaintain *one = ws_host_maintain_new();
  ws_apply_defaults(&ws_type_host_maintain, one);
  G_STATIC_ASSERT((int)WS_HOST_MAINTAIN_REBOOT_HARD == (int)WS_CLUSTER_ROLL_MAINTENANCE_REBOOT_HARD);
  one->reboot = (int)args->reboot;
  one->pause = args->pause;
  one->timeout_s = args->timeout_s;
  one->spare_hosts = args->spare_hosts;
  G_STATIC_ASSERT((int)WS_HOST_MAINTAIN_POWERED_OFF_MOVE ==
                  (int)WS_CLUSTER_ROLL_MAINTENANCE_POWERED_OFF_MOVE);
  one->powered_off = (int)args->powered_off;
  return one;
}

static bool run_hosts(Task *task, const WsClusterRollMaintenance *args, const GArray *hosts, GError **error)
{
  g_autofree TaskChild *children = g_new0(TaskChild, hosts->len + 1);
  for (guint i = 0; i < hosts->len; i++)
    children[i] = (TaskChild){g_array_index(hosts, WsId, i), maintain_args(args)};
  return task_run_children_in_turn(task, task_kind_find(task_engine(task), "host_maintain"), children, hosts->len, (guint)args->parallel, error);
}

bool cluster_roll_maintenance(Task *task, GError **error)
{
  const WsCluster *cluster = task_find_target(task, error);
  const WsClusterRollMaintenance *args = task_args(task);
  g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_autoptr(WsMaintenancePlan) plan = ws_maintenance_plan_new();
  TaskLockRef lock = {&ws_type_cluster, task_target(task), false};
  if (!cluster)
    return false;
  Roll roll = {task_snapshot(task),
               cluster,
               hosts,
               (guint)args->parallel,
               maintain_spare(cluster, args->spare_hosts),
               args->powered_off == WS_CLUSTER_ROLL_MAINTENANCE_POWERED_OFF_MOVE};
  Rolling rolling = {task_center(task), cluster->id, hosts};
  if (!task_step_result(task, "begin") && !choose_hosts(&roll, args->hosts.items, args->hosts.len, args->continue_, plan, error))
    return false;
  if (!task_lock(task, &lock, 1, error) || (!task_is_resumed(task) && !check(task, &roll, plan, error)))
    return false;
  if (task_is_dry_run(task))
    return tell(task, plan, roll.off_too, error);
  if (!TASK_STEP(task, "begin", begin, say_what_is_left, &rolling, error))
    return false;
  recall(task, hosts);
  return run_hosts(task, args, hosts, error) && TASK_LAST(task, "finish", say_what_is_left, &rolling, error);
}
