// SPDX-License-Identifier: Apache-2.0
/* From inventory to the planner's questions and back. See place.h. */
#include "center/compute/place.h"
#include "center/room.h"
#include "center/room_rules.h"
#include "plan/estate.h"

/* ---- what was promised ---- */

/* Several VMs that are asked for at once are placed one after the other, and each is in the inventory some syncs of the disk later. */

static void promise_free(void *arg)
{
  RoomPromise *promise = arg;
  ws_vm_unref(promise->draft);
  g_free(promise);
}

void place_start(Center *center)
{
  center->promises = g_ptr_array_new_with_free_func(promise_free);
}

static void promise(Task *task, const WsVm *draft, WsId host, bool starts)
{
  if (task_is_dry_run(task))
    return;
  RoomPromise *promise = g_new(RoomPromise, 1);
  *promise = (RoomPromise){task_new_id(task, "vm"), host, ws_vm_copy(draft), starts};
  Center *center = task_center(task);
  g_ptr_array_add(center->promises, promise);
}

void place_end(Task *task)
{
  const Center *center = task_center(task);
  GPtrArray *promises = center->promises;
  WsId vm = task_is_dry_run(task) || !task_chosen(task, "host") ? 0 : task_new_id(task, "vm");
  for (guint i = 0; vm && i < promises->len; i++)
    if (((const RoomPromise *)promises->pdata[i])->vm == vm) {
      g_ptr_array_remove_index_fast(promises, i);
      return;
    }
}

/* Those that the snapshot does not have. */
static GPtrArray *open_promises(const Center *center, const InvSnapshot *snap)
{
  GPtrArray *open = g_ptr_array_new();
  for (guint i = 0; i < center->promises->len; i++)
    if (!inv_find(snap, &ws_type_vm, ((const RoomPromise *)center->promises->pdata[i])->vm))
      g_ptr_array_add(open, center->promises->pdata[i]);
  return open;
}

/* ---- hosts ---- */

typedef struct {
  Center *center;
  const InvSnapshot *snap;
  GArray *hosts;   /* PlanHost */
  GPtrArray *pools; /* WsPool that it must see; borrowed from snap */
  const GPtrArray *promises;
} Gather;

static bool add_host(const void *object, void *arg)
{
  Gather *gather = arg;
  PlanHost row = room_of_host(gather->snap, object);
  row.reaches = true;
  for (guint i = 0; i < gather->pools->len; i++)
    row.reaches = row.reaches && plan_pool_reaches(gather->pools->pdata[i], row.id);
  for (guint i = 0; i < gather->promises->len; i++) {
    const RoomPromise *promise = gather->promises->pdata[i];
    if (promise->host != row.id || !promise->starts)
      continue;
    row.memory_used_bytes += promise->draft->memory_bytes;
    row.vcpus_used += plan_vm_vcpus(promise->draft);
  }
  g_array_append_val(gather->hosts, row);
  return true;
}

/* Pools of the draft's existing volumes, those asked for new ones, and one more (0: none). */
static GPtrArray *pools_of(const InvSnapshot *snap, const WsVm *draft, WsId one_more)
{
  GPtrArray *pools = g_ptr_array_new();
  for (guint i = 0; i <= draft->disks.len; i++) {
    const WsVmDisk *disk = i < draft->disks.len ? draft->disks.items[i] : NULL;
    const WsVolume *volume = disk && disk->volume ? inv_find(snap, &ws_type_volume, disk->volume) : NULL;
    WsId id = !disk ? one_more : volume ? volume->pool : disk->new_volume ? disk->new_volume->pool : 0;
    const WsPool *pool = id ? inv_find(snap, &ws_type_pool, id) : NULL;
    if (pool)
      g_ptr_array_add(pools, (gpointer)pool);
  }
  return pools;
}

/* Hosts of each cluster by that cluster's rules. Texts of refusals go to `texts`. */
static void weigh_rules(const InvSnapshot *snap, const WsVm *draft, const GPtrArray *promises, GArray *hosts, GPtrArray *texts)
{
  g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
  WsId self = draft->id ? draft->id : ROOM_DRAFT;
  for (guint i = 0; i < hosts->len; i++) {
    WsId *cluster = &g_array_index(hosts, PlanHost, i).cluster;
    if (!*cluster || !g_hash_table_add(done, cluster))
      continue;
    g_autoptr(RoomRules) rules = room_rules_new_with(snap, *cluster, draft->id ? NULL : draft, promises);
    for (guint j = i; j < hosts->len; j++)
      if (g_array_index(hosts, PlanHost, j).cluster == *cluster)
        room_rules_weigh(rules, self, &g_array_index(hosts, PlanHost, j), 1, texts);
  }
}

bool place_host(Task *task, const WsVm *draft, WsId image_pool, bool start, WsId *host, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  const char *chosen = task_chosen(task, "host");
  if (chosen) {
    if (!ws_id_parse(ws_type_host.prefix, chosen, host))
      return false;
    promise(task, draft, *host, start);
    return true;
  }
  const InvSnapshot *snap = task_snapshot(task);
  g_autoptr(GPtrArray) pools = pools_of(snap, draft, image_pool);
  g_autoptr(GPtrArray) promises = open_promises(task_center(task), snap);
  Gather gather = {task_center(task), snap, g_array_new(FALSE, FALSE, sizeof(PlanHost)), pools, promises};
  inv_each(snap, &ws_type_host, add_host, &gather);
  PlanDemand demand = room_demand(draft, start);
  demand.only_host = draft->host;
  demand.only_cluster = draft->cluster;
  g_autofree char *why = NULL;
  g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
  weigh_rules(snap, draft, promises, gather.hosts, texts);
  WsId picked = plan_place((PlanHost *)gather.hosts->data, gather.hosts->len, &demand, &why);
  g_array_unref(gather.hosts);
  if (!picked)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "field", "host", NULL);
  *host = picked;
  task_choose(task, "host", ws_id_format(ws_type_host.prefix, picked, text));
  promise(task, draft, picked, start);
  return true;
}

bool place_admit(const InvSnapshot *snap, const WsVm *vm, GError **error)
{
  const WsHost *host = inv_find(snap, &ws_type_host, vm->host);
  if (!host)
    return true; /* its own error comes with the call */
  PlanHost row = room_of_host(snap, host);
  PlanDemand demand = room_demand(vm, true);
  row.reaches = true; /* its own error tells which volume is not there */
  if (plan_vm_is_placed(vm)) { /* paused on start, say: it holds its share already */
    row.memory_used_bytes -= vm->memory_bytes;
    row.vcpus_used -= plan_vm_vcpus(vm);
  }
  g_autoptr(RoomRules) rules = room_rules_new(snap, host->cluster, NULL, NULL);
  g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
  room_rules_weigh(rules, vm->id, &row, 1, texts);
  const char *reason = row.connected ? plan_refusal(&row, &demand) : NULL;
  if (!reason)
    return true;
  g_autofree char *reasons = g_strdup_printf("%s: %s", host->name, reason);
  return ws_fail(error, WS_ERROR_NO_HOST, "reasons", reasons, NULL);
}

/* ---- pools ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId host;
  gint64 size_bytes;
  const WsPool *best;
} PoolLook;

static bool is_usable(const WsPool *pool)
{
  return pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED;
}

static bool look_at_pool(const void *object, void *arg)
{
  const WsPool *pool = object;
  PoolLook *look = arg;
  if (is_usable(pool) && plan_pool_reaches(pool, look->host) &&
      (!look->best || pool->available_bytes > look->best->available_bytes))
    look->best = pool;
  return true;
}

bool place_pool(const InvSnapshot *snap, WsId host, gint64 size_bytes, WsId *id, const char *field, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  PoolLook look = {snap, host, size_bytes, NULL};
  if (!*id) {
    inv_each(snap, &ws_type_pool, look_at_pool, &look);
    if (!look.best)
      return ws_fail(error, WS_ERROR_NO_CAPACITY, "field", field, "object", "the host's pools", "need", "an active pool", "free",
                     "none", NULL);
    *id = look.best->id;
    return true;
  }
  const WsPool *pool = inv_find(snap, &ws_type_pool, *id);
  if (!pool)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", field, "object", ws_id_format(ws_type_pool.prefix, *id, text), NULL);
  if (!is_usable(pool))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "field", field, "object", pool->name, "verb", "hold a new disk", "state",
                   pool->state ? ws_pool_state_names[pool->state - 1] : "unknown", NULL);
  return plan_pool_reaches(pool, host) ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "a pool that the VM's host reaches", NULL);
}

/* ---- networks ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId host, any, served;
} GroupLook;

static bool look_at_group(const void *object, void *arg)
{
  const WsPortGroup *group = object;
  GroupLook *look = arg;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  if (!sw || sw->host != look->host || group->state != WS_PORT_GROUP_STATE_ACTIVE)
    return true;
  if (!look->any)
    look->any = group->id;
  if (!look->served && group->subnet)
    look->served = group->id;
  return true;
}

WsId place_port_group(const InvSnapshot *snap, WsId host)
{
  GroupLook look = {snap, host, 0, 0};
  inv_each(snap, &ws_type_port_group, look_at_group, &look);
  return look.served ? look.served : look.any;
}
