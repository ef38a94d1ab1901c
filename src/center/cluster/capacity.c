// SPDX-License-Identifier: Apache-2.0
/* Capacity of a part of the estate: one walk over its hosts, their VMs and pools. Any thread (views).
 *
 * Totals, limits and what is allocated count the hosts that can be used now (connected, not in maintenance); all hosts and VMs are counted. */
#include "center/api/view.h"
#include "center/cluster/cluster.h"
#include "center/room.h"
#include "center/verbs.h"
#include <math.h>

#define N_ARCHITECTURES 64

typedef struct {
  gint64 hosts, hosts_connected, vms, vms_running;
  gint64 threads, total_mhz, vcpus_limit, vcpus_allocated, vcpus_defined;
  double used_mhz;
  gint64 memory, reserved, memory_limit, memory_allocated, memory_defined, memory_used;
} Sum;

typedef struct {
  const InvSnapshot *snap;
  const WsSite *site;
  Sum all, by_architecture[N_ARCHITECTURES];
  GHashTable *hosts; /* ids of the hosts walked over */
} Walk;

/* ---- adding up ---- */

static gint64 known(gint64 value)
{
  return value == WS_INT_UNSET ? 0 : value;
}

typedef struct {
  Sum *sums[2]; /* of all, and of the architecture */
  bool usable;
} VmWalk;

static bool add_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  VmWalk *walk = arg;
  bool placed = plan_vm_is_placed(vm);
  for (guint i = 0; i < 2; i++) {
    Sum *sum = walk->sums[i];
    sum->vms++;
    sum->vms_running += placed;
    if (!walk->usable)
      continue;
    sum->vcpus_defined += plan_vm_vcpus(vm);
    sum->memory_defined += known(vm->memory_bytes);
    sum->vcpus_allocated += placed ? plan_vm_vcpus(vm) : 0;
    sum->memory_allocated += placed ? known(vm->memory_bytes) : 0;
  }
  return true;
}

static void add_room(Sum *sum, const WsHost *host, const PlanRatios *ratios)
{
  const WsHostFacts *facts = host->facts;
  const WsHostLoad *load = host->load;
  gint64 threads = facts && facts->cpu ? known(facts->cpu->threads) : 0;
  gint64 mhz = facts && facts->cpu ? threads * known(facts->cpu->frequency_mhz) : 0;
  sum->threads += threads;
  sum->total_mhz += mhz;
  sum->vcpus_limit += plan_host_vcpus_limit(host, ratios);
  sum->memory += facts ? known(facts->memory_bytes) : 0;
  sum->reserved += ratios->memory_reserved_bytes;
  sum->memory_limit += plan_host_memory_limit_bytes(host, ratios);
  if (load) {
    sum->used_mhz += isnan(load->cpu_percent) ? 0 : (double)(mhz ? mhz : threads) * load->cpu_percent / 100;
    sum->memory_used += known(load->memory_used_bytes);
  }
}

static bool add_host(const void *object, void *arg)
{
  Walk *walk = arg;
  const WsHost *host = object;
  guint architecture = MIN((guint)host->architecture, N_ARCHITECTURES - 1);
  bool usable = host->state == WS_HOST_STATE_CONNECTED && plan_host_in_service(host);
  VmWalk vms = {{&walk->all, &walk->by_architecture[architecture]}, usable};
  PlanRatios ratios = plan_host_ratios(walk->site, cluster_of_host(walk->snap, host), host);
  for (guint i = 0; i < 2; i++) {
    vms.sums[i]->hosts++;
    vms.sums[i]->hosts_connected += usable;
    if (usable)
      add_room(vms.sums[i], host, &ratios);
  }
  g_hash_table_add(walk->hosts, (gpointer)&host->id);
  inv_each_by(walk->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, add_vm, &vms);
  return true;
}

/* ---- storage ---- */

static bool add_provisioned(const void *object, void *arg)
{
  *(gint64 *)arg += known(((const WsVolume *)object)->size_bytes);
  return true;
}

typedef struct {
  Walk *walk;
  WsCapacityStorage *to;
} PoolWalk;

static bool is_reached(const Walk *walk, const WsPool *pool)
{
  for (guint i = 0; i < pool->hosts.len; i++)
    if (g_hash_table_contains(walk->hosts, &pool->hosts.items[i]))
      return true;
  return false;
}

static bool add_pool(const void *object, void *arg)
{
  PoolWalk *pools = arg;
  const WsPool *pool = object;
  WsCapacityStorage *to = pools->to;
  gint64 provisioned = 0;
  if (!is_reached(pools->walk, pool))
    return true;
  inv_each_by(pools->walk->snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, add_provisioned,
              &provisioned);
  to->pools++;
  to->provisioned_bytes += provisioned;
  if (pool->capacity_bytes == WS_INT_UNSET)
    return true;
  to->total_bytes += pool->capacity_bytes;
  to->limit_bytes += (gint64)((double)pool->capacity_bytes * (isnan(pool->overcommit_ratio) ? 1 : pool->overcommit_ratio));
  to->available_bytes += known(pool->available_bytes);
  to->used_bytes += MAX(0, pool->capacity_bytes - known(pool->available_bytes));
  return true;
}

static WsCapacityStorage *storage_of(Walk *walk)
{
  WsCapacityStorage *to = ws_capacity_storage_new();
  PoolWalk pools = {walk, to};
  to->pools = to->total_bytes = to->limit_bytes = to->provisioned_bytes = to->used_bytes = to->available_bytes = 0;
  inv_each(walk->snap, &ws_type_pool, add_pool, &pools);
  if (to->total_bytes > 0)
    to->overcommit = (double)to->provisioned_bytes / (double)to->total_bytes;
  return to;
}

/* ---- writing down ---- */

static WsCapacityCpu *cpu_of(const Sum *sum)
{
  WsCapacityCpu *cpu = ws_capacity_cpu_new();
  double whole = (double)(sum->total_mhz ? sum->total_mhz : sum->threads);
  cpu->threads = sum->threads;
  cpu->total_mhz = sum->total_mhz;
  cpu->used_mhz = sum->total_mhz ? (gint64)sum->used_mhz : 0;
  cpu->vcpus_limit = sum->vcpus_limit;
  cpu->vcpus_allocated = sum->vcpus_allocated;
  cpu->vcpus_defined = sum->vcpus_defined;
  if (sum->threads) {
    cpu->used_percent = MIN(100, 100 * sum->used_mhz / whole);
    cpu->overcommit = (double)sum->vcpus_allocated / (double)sum->threads;
  }
  return cpu;
}

static WsCapacityMemory *memory_of(const Sum *sum)
{
  WsCapacityMemory *memory = ws_capacity_memory_new();
  memory->total_bytes = sum->memory;
  memory->reserved_bytes = sum->reserved;
  memory->limit_bytes = sum->memory_limit;
  memory->allocated_bytes = sum->memory_allocated;
  memory->defined_bytes = sum->memory_defined;
  memory->used_bytes = sum->memory_used;
  if (sum->memory)
    memory->overcommit = (double)sum->memory_allocated / (double)sum->memory;
  return memory;
}

static WsCapacityArchitecture *share_of(guint architecture, const Sum *sum)
{
  WsCapacityArchitecture *share = ws_capacity_architecture_new();
  share->architecture = architecture;
  share->hosts = sum->hosts;
  share->hosts_connected = sum->hosts_connected;
  share->vms = sum->vms;
  share->vms_running = sum->vms_running;
  share->cpu = cpu_of(sum);
  share->memory = memory_of(sum);
  return share;
}

static WsCapacity *write_down(Walk *walk)
{
  WsCapacity *capacity = ws_capacity_new();
  capacity->hosts = walk->all.hosts;
  capacity->hosts_connected = walk->all.hosts_connected;
  capacity->vms = walk->all.vms;
  capacity->vms_running = walk->all.vms_running;
  capacity->cpu = cpu_of(&walk->all);
  capacity->memory = memory_of(&walk->all);
  capacity->storage = storage_of(walk);
  for (guint i = 1; i < N_ARCHITECTURES; i++)
    if (walk->by_architecture[i].hosts)
      ws_array_add(&capacity->architectures, share_of(i, &walk->by_architecture[i]));
  return capacity;
}

static guint id_hash(gconstpointer id)
{
  return (guint)*(const WsId *)id ^ (guint)(*(const WsId *)id >> 32);
}

static gboolean id_equal(gconstpointer a, gconstpointer b)
{
  return *(const WsId *)a == *(const WsId *)b;
}

/* Of the hosts whose field names `id`; field NULL: of all, or of the one host. */
static bool capacity_of(const ApiView *view, const char *field, const WsHost *only, void **result)
{
  g_autoptr(GHashTable) hosts = g_hash_table_new(id_hash, id_equal);
  g_autofree Walk *walk = g_new0(Walk, 1);
  walk->snap = view->snap;
  walk->site = room_site(view->snap);
  walk->hosts = hosts;
  if (only)
    add_host(only, walk);
  else if (field)
    inv_each_by(view->snap, &ws_type_host, ws_type_field(&ws_type_host, field, strlen(field)),
                ((const WsResource *)view->object)->id, NULL, add_host, walk);
  else
    inv_each(view->snap, &ws_type_host, add_host, walk);
  *result = write_down(walk);
  return true;
}

bool site_capacity(const ApiView *view, void **result, GError **error)
{
  return capacity_of(view, NULL, NULL, result);
}

bool host_pool_capacity(const ApiView *view, void **result, GError **error)
{
  return capacity_of(view, "host_pool", NULL, result);
}

bool cluster_capacity(const ApiView *view, void **result, GError **error)
{
  return capacity_of(view, "cluster", NULL, result);
}

bool host_capacity(const ApiView *view, void **result, GError **error)
{
  return capacity_of(view, NULL, view->object, result);
}
