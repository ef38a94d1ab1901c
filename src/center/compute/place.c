// SPDX-License-Identifier: Apache-2.0
/* From inventory to the planner's questions and back. See place.h. */
#include "center/compute/place.h"
#include "plan/place.h"

/* ---- hosts ---- */

typedef struct {
  Center *center;
  const InvSnapshot *snap;
  GArray *hosts;   /* PlanHost */
  GPtrArray *names; /* keeps names alive: borrowed from snap */
} Gather;

static bool add_memory(const void *object, void *arg)
{
  const WsVm *vm = object;
  int state = compute_power_state(vm);
  if (state != WS_POWER_STATE_OFF && state != WS_POWER_STATE_HIBERNATED && state != WS_POWER_STATE_CRASHED)
    *(gint64 *)arg += vm->memory_bytes;
  return true;
}

static bool add_host(const void *object, void *arg)
{
  Gather *gather = arg;
  const WsHost *host = object;
  PlanHost row = {.id = host->id,
                  .name = host->name,
                  .architecture = (int)host->architecture,
                  .usable = host->state == WS_HOST_STATE_CONNECTED,
                  .memory_bytes = host->facts ? host->facts->memory_bytes : 0};
  inv_each_by(gather->snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host->id, NULL, add_memory, &row.memory_used_bytes);
  g_array_append_val(gather->hosts, row);
  return true;
}

/* The host that the draft's existing volumes force, or 0. */
static WsId host_of_volumes(const InvSnapshot *snap, const WsVm *draft)
{
  for (guint i = 0; i < draft->disks.len; i++) {
    const WsVolume *volume = inv_find(snap, &ws_type_volume, draft->disks.items[i]->volume);
    const WsPool *pool = volume ? inv_find(snap, &ws_type_pool, volume->pool) : NULL;
    if (pool)
      return pool->hosts.items[0];
  }
  return 0;
}

bool place_host(Task *task, const WsVm *draft, WsId *host, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  const char *chosen = task_chosen(task, "host");
  if (chosen)
    return ws_id_parse(ws_type_host.prefix, chosen, host);
  const InvSnapshot *snap = task_snapshot(task);
  Gather gather = {task_center(task), snap, g_array_new(FALSE, FALSE, sizeof(PlanHost)), NULL};
  inv_each(snap, &ws_type_host, add_host, &gather);
  PlanDemand demand = {.architecture = (int)draft->architecture,
                       .memory_bytes = draft->memory_bytes,
                       .only_host = draft->host ? draft->host : host_of_volumes(snap, draft)};
  g_autofree char *why = NULL;
  WsId picked = plan_place((PlanHost *)gather.hosts->data, gather.hosts->len, &demand, &why);
  g_array_unref(gather.hosts);
  if (!picked)
    return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "field", "host", NULL);
  *host = picked;
  task_choose(task, "host", ws_id_format(ws_type_host.prefix, picked, text));
  return true;
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
  if (is_usable(pool) && pool->hosts.items[0] == look->host &&
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
  return pool->hosts.items[0] == host ||
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
