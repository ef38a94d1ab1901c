// SPDX-License-Identifier: Apache-2.0
/* From the inventory to the planner's problem. See drs.h. */
#include "center/cluster/drs.h"
#include "center/room.h"
#include "plan/fit.h"
#include <math.h>
#include <string.h>

#define SAMPLES_MIN 3             /* before a VM is moved for its load's sake */
#define REST_MIN_US (60 * (gint64)G_USEC_PER_SEC) /* between two moves of a VM; or two intervals of its cluster */
#define UNKNOWN_SHARE 0.25        /* of its vCPUs that a VM is taken to want before it was measured */
#define COST_FIXED_S 2.0          /* processor seconds of any move: both QEMUs, the guest's pause */
#define COST_PER_GIB_S 2.0        /* to send and to receive; 10 Gbit/s, a thread on each side */
#define GIB ((double)(1 << 30))

bool drs_concerns(const InvSnapshot *snap, const WsCluster *cluster)
{
  const WsClusterDrs *drs = cluster->drs;
  return (drs && drs->level != WS_CLUSTER_DRS_LEVEL_OFF && (int)drs->level) ||
         inv_find_by(snap, &ws_type_affinity_rule, "cluster", cluster->id, NULL);
}

/* ---- memory of demands ---- */

static void free_cluster(gpointer arg)
{
  DrsCluster *cluster = arg;
  g_hash_table_unref(cluster->hot);
  g_hash_table_unref(cluster->full);
  g_free(cluster);
}

DrsCluster *drs_cluster(Drs *drs, WsId id)
{
  DrsCluster *cluster;
  if (!drs->clusters)
    drs->clusters = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_cluster);
  cluster = g_hash_table_lookup(drs->clusters, &id);
  if (cluster)
    return cluster;
  cluster = g_new0(DrsCluster, 1);
  cluster->cluster = id;
  cluster->hot = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  cluster->full = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  g_hash_table_insert(drs->clusters, &cluster->cluster, cluster);
  return cluster;
}

static DrsMemory *memory_of(Drs *drs, WsId vm)
{
  DrsMemory *memory = g_hash_table_lookup(drs->memories, &vm);
  if (memory)
    return memory;
  memory = g_new0(DrsMemory, 1);
  memory->vm = vm;
  g_hash_table_insert(drs->memories, &memory->vm, memory);
  return memory;
}

static double known(double value)
{
  return isnan(value) ? 0 : value;
}

typedef struct {
  Drs *drs;
  const InvSnapshot *snap;
  gint64 now_us;
} Sample;

/* What it used and what it waited for: on a host that is too busy use alone says too little. */
static bool sample_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  Sample *sample = arg;
  const WsVmUsage *usage = vm->usage;
  if (!usage || isnan(usage->cpu_percent) || !vm->power || vm->power->state != WS_POWER_STATE_RUNNING)
    return true;
  DrsMemory *memory = memory_of(sample->drs, vm->id);
  double vcpus = (double)plan_vm_vcpus(vm), cpu = vcpus * (usage->cpu_percent + known(usage->cpu_wait_percent)) / 100;
  gint64 bytes = usage->memory_host_bytes != WS_INT_UNSET ? usage->memory_host_bytes : usage->memory_used_bytes;
  if (memory->host && memory->host != vm->host)
    memory->moved_us = sample->now_us;
  memory->host = vm->host;
  plan_demand_feed(&memory->cpu, fmin(cpu, vcpus), usage->time);
  if (bytes != WS_INT_UNSET)
    plan_demand_feed(&memory->memory, (double)bytes, usage->time);
  return true;
}

static bool sample_host(const void *object, void *arg)
{
  Sample *sample = arg;
  const WsHost *host = object;
  if (host->state == WS_HOST_STATE_CONNECTED)
    inv_each_by(sample->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, sample_vm, sample);
  return true;
}

void drs_sample(Drs *drs, const InvSnapshot *snap, WsId cluster, gint64 now_us)
{
  Sample sample = {drs, snap, now_us};
  g_mutex_lock(&drs->lock);
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster, NULL, sample_host, &sample);
  g_mutex_unlock(&drs->lock);
}

/* ---- hosts ---- */

typedef struct {
  DrsPicture *picture;
  Drs *drs;
  GHashTable *arrivals; /* room_arrivals() */
  GPtrArray *seen_hosts; /* WsHost by index */
  gint64 now_us;
  GHashTable *coming; /* room_coming() */
  GArray *rooms;      /* PlanHost by index */
  bool reserved;      /* by some VM of the cluster */
} Build;

static bool add_host(const void *object, void *arg)
{
  Build *b = arg;
  const WsHost *host = object;
  const WsHostCpu *cpu = host->facts ? host->facts->cpu : NULL;
  PlanRatios ratios = cluster_ratios(b->picture->snap, host);
  gint64 *hot = g_hash_table_lookup(drs_cluster(b->drs, b->picture->cluster)->hot, &host->id);
  PlanDrsHost row = {.name = host->name,
                     .domain = host->fault_domain,
                     .threads = cpu && cpu->threads != WS_INT_UNSET ? (double)cpu->threads : 0,
                     .memory_bytes = host->facts && host->facts->memory_bytes != WS_INT_UNSET ? host->facts->memory_bytes : 0,
                     .memory_limit_bytes = plan_host_memory_limit_bytes(host, &ratios),
                     .vcpus_limit = plan_host_vcpus_limit(host, &ratios),
                     .memory_real_bytes = plan_host_memory_real_bytes(host, &ratios),
                     .cpu_percent = plan_host_cpu_percent(host),
                     .takes = host->state == WS_HOST_STATE_CONNECTED && plan_host_in_service(host) && !host->activity,
                     .hot_s = hot ? (double)(b->now_us - *hot) / G_USEC_PER_SEC : -1};
  g_array_append_val(b->picture->hosts, host->id);
  PlanHost room = room_of_host(b->picture->snap, host, b->coming);
  b->reserved = b->reserved || room.memory_reserved_bytes > 0 || room.cpu_reserved_percent > 0;
  g_array_append_val(b->rooms, room);
  g_array_append_val(b->picture->plan_hosts, row);
  g_ptr_array_add(b->seen_hosts, (gpointer)host);
  return true;
}

/* ---- where a VM can go ---- */

static void append_group(GString *out, const WsPortGroup *group)
{
  g_string_append_printf(out, "%d %d %s\n", group->vlan ? (int)group->vlan->mode : 0,
                         group->vlan && group->vlan->tag != WS_INT_UNSET ? (int)group->vlan->tag : 0, group->name);
}

static bool reserves(const WsVm *vm)
{
  return plan_vm_memory_reserved_bytes(vm) > 0 || plan_vm_cpu_reserved_percent(vm) > 0;
}

/* What it asks of a host, as text: VMs of one text share a row. */
static char *needs_of(const Build *b, const WsVm *vm, const WsHost *at)
{
  const DrsPicture *picture = b->picture;
  GString *out = g_string_new(NULL);
  bool custom = vm->cpu && vm->cpu->mode == WS_VM_CPU_MODE_CUSTOM, own = !custom && at->facts && at->facts->guest_cpu;
  g_string_append_printf(out, "%d %" G_GUINT64_FORMAT, (int)vm->architecture, own ? at->id : 0);
  for (guint i = 0; i < vm->disks.len + vm->cdroms.len; i++) {
    WsId id = i < vm->disks.len ? vm->disks.items[i]->volume : vm->cdroms.items[i - vm->disks.len]->volume;
    const WsVolume *volume = id ? inv_find(picture->snap, &ws_type_volume, id) : NULL;
    g_string_append_printf(out, " p%" G_GUINT64_FORMAT, volume ? volume->pool : 0);
  }
  for (guint i = 0; i < vm->nics.len; i++) {
    const WsPortGroup *group = inv_find(picture->snap, &ws_type_port_group, vm->nics.items[i]->port_group);
    if (group)
      append_group(out, group);
  }
  g_string_append_printf(out, " %s", custom && vm->cpu->model ? vm->cpu->model : "-");
  for (guint i = 0; custom && i < vm->cpu->features.len; i++)
    g_string_append_printf(out, " %s", vm->cpu->features.items[i]);
  if (b->reserved || reserves(vm)) /* what others have reserved also bounds those that reserve nothing */
    g_string_append_printf(
        out, " r%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, at->id,
        vm->memory_bytes, plan_vm_memory_reserved_bytes(vm), plan_vm_cpu_reserved_percent(vm));
  return g_string_free(out, FALSE);
}

static bool pools_reach(const DrsPicture *picture, const WsVm *vm, WsId host)
{
  for (guint i = 0; i < vm->disks.len + vm->cdroms.len; i++) {
    WsId id = i < vm->disks.len ? vm->disks.items[i]->volume : vm->cdroms.items[i - vm->disks.len]->volume;
    const WsVolume *volume = id ? inv_find(picture->snap, &ws_type_volume, id) : NULL;
    const WsPool *pool = volume ? inv_find(picture->snap, &ws_type_pool, volume->pool) : NULL;
    if (id && !(pool && plan_pool_reaches(pool, host)))
      return false;
  }
  return true;
}

/* Active port groups of all hosts: "host mode tag name". */
static bool add_group(const void *object, void *arg)
{
  DrsPicture *picture = arg;
  const WsPortGroup *group = object;
  const WsSwitch *sw = inv_find(picture->snap, &ws_type_switch, group->switch_);
  GString *key = g_string_new(NULL);
  if (sw && group->state == WS_PORT_GROUP_STATE_ACTIVE) {
    g_string_printf(key, "%" G_GUINT64_FORMAT " ", sw->host);
    append_group(key, group);
    g_hash_table_add(picture->groups, g_string_free(key, FALSE));
  } else
    g_string_free(key, TRUE);
  return true;
}

static bool networks_reach(const DrsPicture *picture, const WsVm *vm, WsId host)
{
  for (guint i = 0; i < vm->nics.len; i++) {
    const WsPortGroup *like = inv_find(picture->snap, &ws_type_port_group, vm->nics.items[i]->port_group);
    g_autoptr(GString) key = g_string_new(NULL);
    g_string_printf(key, "%" G_GUINT64_FORMAT " ", host);
    if (like)
      append_group(key, like);
    if (like && !g_hash_table_contains(picture->groups, key->str))
      return false;
  }
  return true;
}

static bool cpu_reaches(const WsVm *vm, const WsHost *from, const WsHost *to)
{
  g_auto(GStrv) missing = room_cpu_missing(vm, from, to);
  return !missing[0];
}

/* The same checks as a move makes, as far as the inventory knows; what only the hosts know is found when it moves. */
static const char *reach_refusal(const Build *b, const WsVm *vm, const WsHost *from, guint index)
{
  const DrsPicture *picture = b->picture;
  const WsHost *to = b->seen_hosts->pdata[index];
  PlanDemand demand = room_demand(vm, true);
  if ((int)vm->architecture && (int)to->architecture && (int)vm->architecture != (int)to->architecture)
    return "another architecture";
  if (!pools_reach(picture, vm, to->id))
    return "does not reach the storage pools that the VM needs";
  if (!networks_reach(picture, vm, to->id))
    return "has no port group of the same name and VLAN";
  if (!cpu_reaches(vm, from, to))
    return "its processor lacks what the VM was started with";
  /* As things stand: the move looks again. */
  return from != to ? plan_reservation_refusal(&g_array_index(b->rooms, PlanHost, index), &demand) : NULL;
}

static guint32 row_of(Build *b, const WsVm *vm, const WsHost *at)
{
  DrsPicture *picture = b->picture;
  char *needs = needs_of(b, vm, at);
  guint row = GPOINTER_TO_UINT(g_hash_table_lookup(picture->reach_rows, needs));
  if (row) {
    g_free(needs);
    return row - 1;
  }
  row = g_hash_table_size(picture->reach_rows);
  g_hash_table_insert(picture->reach_rows, needs, GUINT_TO_POINTER(row + 1));
  for (guint i = 0; i < b->seen_hosts->len; i++)
    g_ptr_array_add(picture->reach, (gpointer)reach_refusal(b, vm, at, i));
  return row;
}

/* ---- VMs ---- */

static bool counts(const WsVm *vm)
{
  const char *verb = vm->activity ? vm->activity->verb : NULL;
  return plan_vm_is_placed(vm) || plan_vm_is_starting(vm) || g_strcmp0(verb, "creating") == 0;
}

static guint32 index_of_host(const DrsPicture *picture, WsId host)
{
  for (guint32 i = 0; i < picture->hosts->len; i++)
    if (g_array_index(picture->hosts, WsId, i) == host)
      return i;
  return PLAN_DRS_NOWHERE;
}

static void take_demand(Build *b, const WsVm *vm, PlanDrsVm *row)
{
  const DrsMemory *memory = g_hash_table_lookup(b->drs->memories, &vm->id);
  double vcpus = (double)row->vcpus;
  gint64 rest = MAX(REST_MIN_US, 2 * b->picture->settings->interval_s * G_USEC_PER_SEC);
  if (!memory || !memory->cpu.n) {
    row->cpu = row->cpu_forecast = UNKNOWN_SHARE * vcpus;
    row->memory_used_bytes = row->memory_bytes;
    return;
  }
  row->cpu = fmin(memory->cpu.level, vcpus);
  row->cpu_forecast = fmin(plan_demand_forecast(&memory->cpu, PLAN_DRS_HORIZON_S), vcpus);
  row->memory_used_bytes = memory->memory.n ? (gint64)memory->memory.level : row->memory_bytes;
  row->rested = memory->cpu.n >= SAMPLES_MIN && (!memory->moved_us || b->now_us - memory->moved_us >= rest);
}

typedef struct {
  Build *b;
  const WsHost *host;
  guint32 index;
} HostVms;

static bool add_vm(const void *object, void *arg)
{
  HostVms *at = arg;
  Build *b = at->b;
  const WsVm *vm = object;
  const WsId *to = g_hash_table_lookup(b->arrivals, &vm->id);
  PlanDrsVm row = {.name = vm->name,
                   .host = at->index,
                   .memory_bytes = vm->memory_bytes,
                   .vcpus = plan_vm_vcpus(vm),
                   .memory_reserved_bytes = plan_vm_memory_reserved_bytes(vm),
                   .cpu_reserved_percent = plan_vm_cpu_reserved_percent(vm)};
  if (!counts(vm))
    return true;
  take_demand(b, vm, &row);
  row.cost_s = COST_FIXED_S + COST_PER_GIB_S * (double)row.memory_used_bytes / GIB;
  row.movable = vm->management == WS_VM_MANAGEMENT_MANAGED && vm->power && vm->power->state == WS_POWER_STATE_RUNNING && !vm->activity &&
                vm->drs_level != WS_VM_DRS_LEVEL_OFF && at->host->state == WS_HOST_STATE_CONNECTED && plan_host_in_service(at->host);
  row.reach = row_of(b, vm, at->host);
  guint32 target = to ? index_of_host(b->picture, *to) : PLAN_DRS_NOWHERE;
  if (target != PLAN_DRS_NOWHERE && target != at->index) { /* on its way: its load counts there, its memory on both */
    PlanDrsHost *from = &g_array_index(b->picture->plan_hosts, PlanDrsHost, at->index);
    plan_fit_set_aside(&from->memory_limit_bytes, &from->memory_real_bytes, row.memory_bytes,
                       row.memory_reserved_bytes);
    row.host = target;
  }
  g_array_append_val(b->picture->vms, vm->id);
  g_array_append_val(b->picture->plan_vms, row);
  return true;
}

/* ---- rules ---- */

static gint by_number(gconstpointer a, gconstpointer b)
{
  WsId x = *(const WsId *)a, y = *(const WsId *)b;
  return x < y ? -1 : x > y;
}

static const WsId *numbers_of(DrsPicture *picture, const WsId *ids, guint n, const GArray *all, guint *n_found)
{
  GArray *found = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_autoptr(GHashTable) wanted = g_hash_table_new(g_int64_hash, g_int64_equal);
  for (guint i = 0; i < n; i++)
    g_hash_table_add(wanted, (gpointer)&ids[i]);
  for (guint i = 0; i < all->len; i++) {
    WsId number = i + 1;
    if (g_hash_table_contains(wanted, &g_array_index(all, WsId, i)))
      g_array_append_val(found, number);
  }
  g_array_sort(found, by_number);
  g_ptr_array_add(picture->lists, found);
  *n_found = found->len;
  return (const WsId *)found->data;
}

static void number_rules(DrsPicture *picture)
{
  for (guint i = 0; i < picture->rules->rules->len; i++) {
    PlanRule rule = g_array_index(picture->rules->rules, PlanRule, i);
    rule.vms = numbers_of(picture, rule.vms, rule.n_vms, picture->vms, &rule.n_vms);
    rule.hosts = numbers_of(picture, rule.hosts, rule.n_hosts, picture->hosts, &rule.n_hosts);
    g_array_append_val(picture->plan_rules, rule);
  }
}

/* ---- the whole ---- */

void drs_picture_settle(DrsPicture *picture)
{
  picture->plan = (PlanDrs){picture->plan_hosts->len,  picture->plan_vms->len, picture->plan_rules->len,
                            (PlanDrsHost *)picture->plan_hosts->data, (PlanDrsVm *)picture->plan_vms->data, (const char **)picture->reach->pdata,
                            (const PlanRule *)picture->plan_rules->data};
}

static void take_settings(DrsPicture *picture, const WsCluster *cluster)
{
  const WsClusterDrs *s = picture->settings = cluster->drs ? ws_cluster_drs_copy(cluster->drs) : ws_cluster_drs_new();
  ws_apply_defaults(&ws_type_cluster_drs, picture->settings); /* a patch may have named only some */
  picture->options = (PlanDrsOptions){.cpu_percent = (double)s->cpu_percent,
                                      .memory_percent = (double)s->memory_percent,
                                      .both = s->condition == WS_CLUSTER_DRS_CONDITION_BOTH,
                                      .duration_s = (double)s->duration_s,
                                      .aggression = (guint)s->aggression,
                                      .balance = s->level != WS_CLUSTER_DRS_LEVEL_OFF,
                                      .heal = s->rules != WS_CLUSTER_DRS_RULES_OFF};
}

static void unref_array(gpointer array)
{
  g_array_unref(array);
}

DrsPicture *drs_picture_new(Drs *drs, const InvSnapshot *snap, const WsCluster *cluster, const WsAffinityRule *rule, gint64 now_us)
{
  DrsPicture *picture = g_new0(DrsPicture, 1);
  picture->snap = snap;
  picture->cluster = cluster->id;
  picture->hosts = g_array_new(FALSE, FALSE, sizeof(WsId));
  picture->vms = g_array_new(FALSE, FALSE, sizeof(WsId));
  picture->plan_hosts = g_array_new(FALSE, TRUE, sizeof(PlanDrsHost));
  picture->plan_vms = g_array_new(FALSE, TRUE, sizeof(PlanDrsVm));
  picture->plan_rules = g_array_new(FALSE, TRUE, sizeof(PlanRule));
  picture->reach = g_ptr_array_new();
  picture->reach_rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  picture->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  inv_each(snap, &ws_type_port_group, add_group, picture);
  picture->lists = g_ptr_array_new_with_free_func(unref_array);
  picture->rules = room_rules_new(snap, cluster->id, NULL, rule);
  take_settings(picture, cluster);
  g_autoptr(GPtrArray) seen_hosts = g_ptr_array_new();
  g_autoptr(GHashTable) arrivals = room_arrivals(snap);
  g_autoptr(GHashTable) coming = room_coming(snap, NULL);
  g_autoptr(GArray) rooms = g_array_new(FALSE, FALSE, sizeof(PlanHost));
  Build b = {picture, drs, arrivals, seen_hosts, now_us, coming, rooms, false};
  g_mutex_lock(&drs->lock);
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster->id, NULL, add_host, &b);
  for (guint i = 0; i < seen_hosts->len; i++) {
    HostVms at = {&b, seen_hosts->pdata[i], i};
    inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), at.host->id, NULL, add_vm, &at);
  }
  const DrsCluster *known_cluster = drs_cluster(drs, cluster->id);
  picture->options.uneven_s = known_cluster->uneven_since_us ? (double)(now_us - known_cluster->uneven_since_us) / G_USEC_PER_SEC : -1;
  g_mutex_unlock(&drs->lock);
  number_rules(picture);
  drs_picture_settle(picture);
  return picture;
}

void drs_picture_free(DrsPicture *picture)
{
  if (!picture)
    return;
  g_array_unref(picture->hosts);
  g_array_unref(picture->vms);
  g_array_unref(picture->plan_hosts);
  g_array_unref(picture->plan_vms);
  g_array_unref(picture->plan_rules);
  g_ptr_array_unref(picture->reach);
  g_hash_table_unref(picture->reach_rows);
  g_hash_table_unref(picture->groups);
  g_ptr_array_unref(picture->lists);
  room_rules_free(picture->rules);
  ws_cluster_drs_free(picture->settings);
  g_free(picture);
}
