// SPDX-License-Identifier: Apache-2.0
/* From the inventory to the planner's rows. See room.h. */
#include "center/room.h"
#include "center/room_rules.h"
#include "plan/estate.h"
#include <math.h>
#include <string.h>

static bool holds_room(const WsVm *vm)
{
  return plan_vm_is_placed(vm) || plan_vm_is_starting(vm);
}

static bool add_held(const void *object, void *arg)
{
  const WsVm *vm = object;
  PlanHost *row = arg;
  if (holds_room(vm)) {
    PlanDemand share = room_demand(vm, true);
    plan_host_add(row, &share, 1);
  }
  return true;
}

static bool take_site(const void *object, void *arg)
{
  *(const WsSite **)arg = object;
  return false;
}

const WsSite *room_site(const InvSnapshot *snap)
{
  const WsSite *site = NULL;
  inv_each(snap, &ws_type_site, take_site, &site);
  return site;
}

/* ---- what is to come ---- */

typedef struct {
  WsId host; /* the key */
  PlanHost sum;
} Coming;

static void add_coming(GHashTable *coming, WsId host, const WsVm *vm)
{
  Coming *row = g_hash_table_lookup(coming, &host);
  PlanDemand share = room_demand(vm, true);
  if (!row) {
    row = g_new0(Coming, 1);
    row->host = host;
    g_hash_table_insert(coming, &row->host, row);
  }
  plan_host_add(&row->sum, &share, 1);
}

/* An evacuation has found a host for each of its VMs before the first of them moves. */
static bool is_evacuation(const InvSnapshot *snap, WsId id)
{
  const WsTask *task = id ? inv_find(snap, &ws_type_task, id) : NULL;
  return task && !task->ended &&
         (strcmp(task->kind, "host_enter_maintenance") == 0 || strcmp(task->kind, "host_maintain") == 0);
}

WsId room_way(const InvSnapshot *snap, const WsTask *task, bool *in_line)
{
  const char *to = task->ended || !task->steps.len ? NULL : ws_map_get(&task->choices, "to");
  *in_line = false;
  if (to || task->ended || task->steps.len || !task->args || !is_evacuation(snap, task->parent))
    return to ? g_ascii_strtoull(to, NULL, 10) : 0;
  g_autoptr(WsVmMigrate) args =
      ws_object_parse(&ws_type_vm_migrate, task->args, strlen(task->args), WS_PARSE_STORED, NULL);
  *in_line = args && args->host;
  return args ? args->host : 0;
}

typedef struct {
  const InvSnapshot *snap;
  GHashTable *coming;
  WsId self, batch; /* whose own way is not looked at, nor those in line beside it; 0: none */
  bool starts;      /* whatever its power is now */
} Ways;

static bool add_way(const void *object, void *arg)
{
  const WsTask *task = object;
  Ways *ways = arg;
  bool in_line = false;
  WsId host = task->id == ways->self ? 0 : room_way(ways->snap, task, &in_line);
  const WsVm *vm = host && !(in_line && task->parent == ways->batch)
                       ? inv_find(ways->snap, &ws_type_vm, task->target.id)
                       : NULL;
  if (vm && vm->host != host && (ways->starts || plan_vm_is_placed(vm)))
    add_coming(ways->coming, host, vm);
  return true;
}

/* Its place is promised until its task is over, and counts as its own as soon as it runs. */
static bool is_to_come(const InvSnapshot *snap, const RoomPromise *promise)
{
  const WsVm *vm = promise->vm ? inv_find(snap, &ws_type_vm, promise->vm) : NULL;
  return promise->starts && promise->host && !(vm && holds_room(vm));
}

GHashTable *room_coming_beside(const InvSnapshot *snap, const GPtrArray *promises, WsId self)
{
  GHashTable *coming = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  const WsField *kind = ws_type_field(&ws_type_task, "kind", 4);
  const WsTask *task = self ? inv_find(snap, &ws_type_task, self) : NULL;
  Ways moves = {snap, coming, self, task ? task->parent : 0, false}, take_overs = {snap, coming, 0, 0, true};
  inv_each_by(snap, &ws_type_task, kind, 0, "vm_migrate", add_way, &moves);
  inv_each_by(snap, &ws_type_task, kind, 0, "vm_take_over", add_way, &take_overs);
  for (guint i = 0; promises && i < promises->len; i++) {
    const RoomPromise *promise = promises->pdata[i];
    if (is_to_come(snap, promise))
      add_coming(coming, promise->host, promise->draft);
  }
  return coming;
}

GHashTable *room_coming(const InvSnapshot *snap, const GPtrArray *promises)
{
  return room_coming_beside(snap, promises, 0);
}

/* ---- hosts ---- */

/* What a host said before it was away is not looked at. */
static void take_measured(PlanHost *row, const WsHost *host)
{
  gint64 memory = host->facts && host->facts->memory_bytes != WS_INT_UNSET ? host->facts->memory_bytes : 0;
  gint64 used =
      host->load && host->load->memory_used_bytes != WS_INT_UNSET ? host->load->memory_used_bytes : 0;
  row->measured = row->connected && host->load && !isnan(host->cpu_recent_percent);
  row->measured_cpu_percent = row->measured ? host->cpu_recent_percent : 0;
  row->measured_memory_percent = row->measured && memory ? 100 * (double)used / (double)memory : 0;
}

static void take_strategy(PlanHost *row, const WsCluster *cluster)
{
  const WsClusterPlacement *placement = cluster ? cluster->placement : NULL;
  G_STATIC_ASSERT((int)PLAN_CONCENTRATED == (int)WS_CLUSTER_PLACEMENT_STRATEGY_CONCENTRATED);
  G_STATIC_ASSERT((int)PLAN_CONCENTRATED == (int)WS_VM_DEPLOY_PLACEMENT_CONCENTRATED);
  row->strategy = placement && (int)placement->strategy ? (PlanStrategy)placement->strategy : PLAN_SPREAD;
  row->fill_percent = placement && placement->fill_threshold_percent != WS_INT_UNSET
                          ? (guint)placement->fill_threshold_percent
                          : PLAN_FILL_PERCENT;
}

void room_add_coming(PlanHost *row, GHashTable *coming)
{
  const Coming *more = coming ? g_hash_table_lookup(coming, &row->id) : NULL;
  if (!more)
    return;
  row->memory_used_bytes += more->sum.memory_used_bytes;
  row->vcpus_used += more->sum.vcpus_used;
  row->memory_reserved_bytes += more->sum.memory_reserved_bytes;
  row->cpu_reserved_percent += more->sum.cpu_reserved_percent;
}

PlanHost room_of_host(const InvSnapshot *snap, const WsHost *host, GHashTable *coming)
{
  const WsCluster *cluster = host->cluster ? inv_find(snap, &ws_type_cluster, host->cluster) : NULL;
  PlanRatios ratios = plan_host_ratios(room_site(snap), cluster, host);
  PlanHost row = {.id = host->id,
                  .name = host->name,
                  .architecture = (int)host->architecture,
                  .connected = host->state == WS_HOST_STATE_CONNECTED,
                  .in_service = plan_host_in_service(host),
                  .cluster = host->cluster,
                  .memory_bytes = plan_host_memory_limit_bytes(host, &ratios),
                  .vcpus = plan_host_vcpus_limit(host, &ratios),
                  .memory_real_bytes = plan_host_memory_real_bytes(host, &ratios),
                  .cpu_percent = plan_host_cpu_percent(host)};
  take_measured(&row, host);
  take_strategy(&row, cluster);
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, add_held, &row);
  room_add_coming(&row, coming);
  return row;
}

bool room_holds(const InvSnapshot *snap, WsId id, WsId host)
{
  const WsVm *vm = inv_find(snap, &ws_type_vm, id);
  return vm && vm->host == host && holds_room(vm);
}

PlanDemand room_demand(const WsVm *vm, bool running)
{
  return (PlanDemand){.architecture = (int)vm->architecture,
                      .memory_bytes = vm->memory_bytes,
                      .vcpus = plan_vm_vcpus(vm),
                      .memory_reserved_bytes = plan_vm_memory_reserved_bytes(vm),
                      .cpu_reserved_percent = plan_vm_cpu_reserved_percent(vm),
                      .running = running};
}

/* ---- processors ---- */

typedef struct {
  WsId without;
  GArray *known;      /* of PlanCpuHost */
  GPtrArray *unknown; /* names; borrowed */
} CpuLook;

static bool add_cpu(const void *object, void *arg)
{
  CpuLook *look = arg;
  const WsHost *host = object;
  const WsHostGuestCpu *cpu = host->facts ? host->facts->guest_cpu : NULL;
  PlanCpuHost row = {host->name, cpu};
  if (host->id == look->without)
    return true;
  if (cpu && cpu->models.len)
    g_array_append_val(look->known, row);
  else
    g_ptr_array_add(look->unknown, host->name);
  return true;
}

WsClusterCpuBaseline *room_cpu_baseline(const InvSnapshot *snap, WsId cluster, WsId without)
{
  g_autoptr(GArray) known = g_array_new(FALSE, FALSE, sizeof(PlanCpuHost));
  g_autoptr(GPtrArray) unknown = g_ptr_array_new();
  CpuLook look = {without, known, unknown};
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster, NULL, add_cpu, &look);
  WsClusterCpuBaseline *baseline = plan_cpu_baseline((PlanCpuHost *)known->data, known->len);
  if (!baseline) {
    baseline = ws_cluster_cpu_baseline_new();
    baseline->hosts = known->len;
  }
  for (guint i = 0; i < unknown->len; i++)
    ws_array_add(&baseline->unknown, g_strdup(unknown->pdata[i]));
  return baseline;
}

char **room_cpu_lowered(const InvSnapshot *snap, WsId cluster, const WsHost *host)
{
  g_autoptr(WsClusterCpuBaseline) others = room_cpu_baseline(snap, cluster, host->id);
  return plan_cpu_missing(host->facts ? host->facts->guest_cpu : NULL, others->model, others->features.items, others->features.len);
}

/* An emulator is asked for a model as far as it has it (check='none' in the domain), whatever the processor.
 */
static const WsHostGuestCpu *counted_on(const WsVm *vm, const WsHost *host)
{
  bool custom = vm->cpu && vm->cpu->mode == WS_VM_CPU_MODE_CUSTOM;
  return host && host->facts && !(custom && plan_host_emulates(host)) ? host->facts->guest_cpu : NULL;
}

char **room_cpu_missing(const WsVm *vm, const WsHost *from, const WsHost *to)
{
  return plan_cpu_missing_of_vm(vm->cpu, from && from->facts ? from->facts->guest_cpu : NULL,
                                counted_on(vm, to));
}

/* Most hosts of a site are alike: then the answer is the one before. */
void room_cpus_weigh(const InvSnapshot *snap, const WsVm *vm, const WsHost *from, PlanHost *hosts, guint n,
                     GPtrArray *texts)
{
  const WsHostGuestCpu *here = from && from->facts ? from->facts->guest_cpu : NULL, *last = NULL;
  const char *said = NULL;
  if (!here && !(vm->cpu && vm->cpu->mode == WS_VM_CPU_MODE_CUSTOM))
    return;
  for (guint i = 0; i < n; i++) {
    const WsHost *host = inv_find(snap, &ws_type_host, hosts[i].id);
    const WsHostGuestCpu *there = counted_on(vm, host);
    if (!last || !plan_cpu_alike(there, last)) {
      g_auto(GStrv) missing = plan_cpu_missing_of_vm(vm->cpu, here, there);
      g_autofree char *names = plan_cpu_names(missing);
      said = missing[0] ? g_strdup_printf("its processor lacks %s", names) : NULL;
      if (said)
        g_ptr_array_add(texts, (char *)said);
    }
    last = there;
    if (said)
      hosts[i].barred = said;
  }
}
