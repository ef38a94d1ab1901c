// SPDX-License-Identifier: Apache-2.0
/* Standard switches and port groups: what should be is here, the host makes it so and says what it found.
 *
 * Create enters the object (`pending`), then the host applies it. An update changes the object and the host in one step, with the old
 * settings applied again as undo. When a host connects, everything of it is applied anew: applying is idempotent. */
#include "base/log.h"
#include "center/domains.h"
#include "center/network/network.h"
#include "rpc/methods.h"
#include "center/verbs.h"

static void replace(char **to, const char *from)
{
  g_free(*to);
  *to = g_strdup(from);
}

static const void *need(const InvSnapshot *snap, const WsType *type, WsId id, GError **error)
{
  const void *object = inv_find(snap, type, id);
  char text[WS_ID_TEXT_MAX];
  if (!object)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(type->prefix, id, text), NULL);
  return object;
}

/* ---- telling the host ---- */

static bool apply_switch(Center *center, const WsSwitch *sw, WsRpcNetworkSwitchApplyResult **result, GError **error)
{
  RpcLink *link = hosts_link(center, sw->host, error);
  WsRpcNetworkSwitchApply params = {.switch_ = sw->id,
                                    .bridge = sw->bridge,
                                    .bond_mode = (int)sw->bond_mode,
                                    .lacp = (int)sw->lacp,
                                    .mtu = sw->mtu};
  params.uplinks.len = sw->uplinks.len;
  params.uplinks.items = sw->uplinks.items;
  return link && rpc_network_switch_apply(link, &params, result, NULL, NULL, NULL, error);
}

typedef struct {
  WsId group;
  GPtrArray *macs;
} MacGather;

static bool gather_macs(const void *object, void *arg)
{
  const WsVm *vm = object;
  MacGather *gather = arg;
  for (guint i = 0; i < vm->nics.len; i++)
    if (vm->nics.items[i]->port_group == gather->group && vm->nics.items[i]->mac)
      g_ptr_array_add(gather->macs, vm->nics.items[i]->mac);
  return true;
}

static bool apply_port_group(Center *center, WsId host, const WsPortGroup *group, WsRpcNetworkPortGroupApplyResult **result,
                             GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  WsRpcNetworkPortGroupApply params = {
      .port_group = group->id, .switch_ = group->switch_, .vlan = group->vlan, .subnet = group->subnet};
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  g_autoptr(GPtrArray) macs = g_ptr_array_new();
  MacGather gather = {group->id, macs};
  /* A port group's NICs are on its own host. */
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, gather_macs, &gather);
  params.macs.len = macs->len;
  params.macs.items = (char **)macs->pdata;
  return link && rpc_network_port_group_apply(link, &params, result, NULL, NULL, NULL, error);
}

void network_take_uplinks(WsSwitch *sw, guint n, WsSwitchUplink *const *states)
{
  for (guint i = 0; i < sw->uplink_states.len; i++)
    ws_switch_uplink_free(sw->uplink_states.items[i]);
  g_free(sw->uplink_states.items);
  sw->uplink_states.len = n;
  sw->uplink_states.items = g_new0(WsSwitchUplink *, n);
  for (guint i = 0; i < n; i++)
    sw->uplink_states.items[i] = ws_switch_uplink_copy(states[i]);
}

static void switch_is_active(WsSwitch *sw, const WsRpcNetworkSwitchApplyResult *result)
{
  sw->state = WS_SWITCH_STATE_ACTIVE;
  replace(&sw->state_reason, NULL);
  sw->datapath = (int)result->datapath;
  network_take_uplinks(sw, result->uplink_states.len, result->uplink_states.items);
}

static void port_group_is_active(WsPortGroup *group, const WsRpcNetworkPortGroupApplyResult *result)
{
  group->state = WS_PORT_GROUP_STATE_ACTIVE;
  replace(&group->state_reason, NULL);
  replace(&group->gateway_port, result->gateway_port);
}

/* Failing is told in the object, not to a caller: nobody waits for it. */
void network_reapply_switch(Center *center, WsId id)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsSwitch *sw = inv_find(snap, &ws_type_switch, id);
  g_autoptr(WsRpcNetworkSwitchApplyResult) result = NULL;
  g_autoptr(GError) failed = NULL;
  if (!sw)
    return;
  bool ok = apply_switch(center, sw, &result, &failed);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsSwitch *edit = inv_edit_id(txn, &ws_type_switch, id);
  if (!edit) {
    RpcLink *link = hosts_link(center, sw->host, NULL);
    WsRpcNetworkSwitchRemove gone = {.switch_ = id};
    if (link)
      rpc_network_switch_remove(link, &gone, NULL, NULL, NULL, NULL);
    return;
  }
  if (ok) {
    switch_is_active(edit, result);
  } else {
    edit->state = WS_SWITCH_STATE_FAILED;
    replace(&edit->state_reason, failed->message);
  }
  inv_commit(txn, NULL, NULL);
}

void network_reapply_port_group(Center *center, WsId host, WsId id)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPortGroup *group = inv_find(snap, &ws_type_port_group, id);
  g_autoptr(WsRpcNetworkPortGroupApplyResult) result = NULL;
  g_autoptr(GError) failed = NULL;
  if (!group)
    return;
  bool ok = apply_port_group(center, host, group, &result, &failed);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsPortGroup *edit = inv_edit_id(txn, &ws_type_port_group, id);
  if (!edit) { /* deleted while the host was told of it */
    RpcLink *link = hosts_link(center, host, NULL);
    WsRpcNetworkPortGroupRemove gone = {.port_group = id};
    if (link)
      rpc_network_port_group_remove(link, &gone, NULL, NULL, NULL, NULL);
    return;
  }
  if (ok) {
    port_group_is_active(edit, result);
  } else {
    edit->state = WS_PORT_GROUP_STATE_FAILED;
    replace(&edit->state_reason, failed->message);
  }
  inv_commit(txn, NULL, NULL);
}

/* ---- switches ---- */

typedef struct {
  Center *center;
  const WsSwitch *as;
  const WsPortGroup *group_as;
  WsId id, host;
  const char *bridge;
  const WsPatch *patch;
} Job;

static bool enter_switch(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  g_autoptr(WsSwitch) fields = ws_switch_copy(job->as);
  WsSwitch *sw = inv_create_with_id(task_txn(task), &ws_type_switch, job->id);
  ws_resource_take_fields(&ws_type_switch, sw, fields);
  replace(&sw->bridge, job->bridge);
  sw->state = WS_SWITCH_STATE_PENDING;
  sw->created = ws_clock_wall_us(job->center->clock);
  task_lock_new(task, task_txn(task), sw);
  task_set_object(task, &ws_type_switch, job->id);
  return true;
}

static bool forget_switch(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_switch, ((Job *)ctx)->id);
  return true;
}

static bool make_switch(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsSwitch *sw = need(task_snapshot(task), &ws_type_switch, job->id, error);
  g_autoptr(WsRpcNetworkSwitchApplyResult) result = NULL;
  if (!sw || !apply_switch(job->center, sw, &result, error))
    return false;
  WsSwitch *edit = inv_edit_id(task_txn(task), &ws_type_switch, job->id);
  switch_is_active(edit, result);
  return true;
}

static bool unmake_switch(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  RpcLink *link = hosts_link(job->center, job->host, error);
  WsRpcNetworkSwitchRemove params = {.switch_ = job->id};
  return link && rpc_network_switch_remove(link, &params, NULL, NULL, NULL, error);
}

typedef struct {
  const char *bridge;
  bool taken;
} BridgeLook;

static bool look_for_bridge(const void *object, void *arg)
{
  BridgeLook *look = arg;
  look->taken |= g_strcmp0(((const WsSwitch *)object)->bridge, look->bridge) == 0;
  return !look->taken;
}

static bool bridge_is_taken(const InvSnapshot *snap, WsId host, const char *bridge)
{
  BridgeLook look = {bridge, false};
  inv_each_by(snap, &ws_type_switch, ws_type_field(&ws_type_switch, "host", 4), host, NULL, look_for_bridge, &look);
  return look.taken;
}

/* The one asked for, or the first free of vs0, vs1, ... */
static char *pick_bridge(const InvSnapshot *snap, const WsSwitch *as, GError **error)
{
  if (as->bridge) {
    if (bridge_is_taken(snap, as->host, as->bridge)) {
      ws_fail(error, WS_ERROR_NAME_TAKEN, "name", as->bridge, "field", "bridge", NULL);
      return NULL;
    }
    return g_strdup(as->bridge);
  }
  for (guint i = 0;; i++) {
    g_autofree char *bridge = g_strdup_printf("vs%u", i);
    if (!bridge_is_taken(snap, as->host, bridge))
      return g_steal_pointer(&bridge);
  }
}

bool switch_create(Task *task, GError **error)
{
  Job job = {.center = task_center(task), .as = task_args(task)};
  g_autofree char *bridge = NULL;
  job.host = job.as->host;
  if (!task_is_resumed(task) &&
      (!need(task_snapshot(task), &ws_type_host, job.host, error) || !hosts_link(job.center, job.host, error) ||
       !(bridge = pick_bridge(task_snapshot(task), job.as, error))))
    return false;
  TaskLockRef lock = {&ws_type_host, job.host, true};
  if (!task_lock(task, &lock, 1, error))
    return false;
  job.id = task_new_id(task, "switch");
  job.bridge = task_choose(task, "bridge", bridge);
  return TASK_STEP(task, "enter", enter_switch, forget_switch, &job, error) &&
         TASK_STEP(task, "apply", make_switch, unmake_switch, &job, error);
}

/* The object as it would be after the patch; NULL with error. */
static void *patched(const WsType *type, const void *object, const WsPatch *patch, GError **error)
{
  void *copy = ws_object_copy(type, object);
  bool changed;
  if (ws_object_merge_patch(type, copy, patch->patch, strlen(patch->patch), &changed, error))
    return copy;
  ws_object_free(type, copy);
  return NULL;
}

static bool change_switch(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsSwitch *now = task_find_target(task, error);
  g_autoptr(WsSwitch) wanted = now ? patched(&ws_type_switch, now, job->patch, error) : NULL;
  g_autoptr(WsRpcNetworkSwitchApplyResult) result = NULL;
  bool changed;
  if (!wanted || !apply_switch(job->center, wanted, &result, error))
    return false;
  WsSwitch *edit = inv_edit_id(task_txn(task), &ws_type_switch, job->id);
  switch_is_active(edit, result);
  return ws_object_merge_patch(&ws_type_switch, edit, job->patch->patch, strlen(job->patch->patch), &changed, error);
}

static bool change_switch_back(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsSwitch *now = task_find_target(task, error);
  return now && apply_switch(job->center, now, NULL, error);
}

bool switch_update(Task *task, GError **error)
{
  const WsSwitch *sw = task_find_target(task, error);
  Job job = {.center = task_center(task), .id = task_target(task), .patch = task_args(task)};
  g_autoptr(WsSwitch) wanted = sw ? patched(&ws_type_switch, sw, job.patch, error) : NULL;
  if (!wanted)
    return false;
  if (!task_is_resumed(task) && ws_switch_equal(sw, wanted))
    return true;
  job.host = sw->host;
  TaskLockRef lock = {&ws_type_switch, job.id, false};
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "apply", change_switch, change_switch_back, &job, error);
}

/* It stays after all: its host makes it anew. */
static bool make_switch_again(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsSwitch *sw = need(task_snapshot(task), &ws_type_switch, job->id, error);
  g_autoptr(WsRpcNetworkSwitchApplyResult) result = NULL;
  return sw && apply_switch(job->center, sw, &result, error);
}

bool switch_delete(Task *task, GError **error)
{
  const WsSwitch *sw = task_find_target(task, error);
  if (!sw)
    return false;
  Job job = {.center = task_center(task), .id = sw->id, .host = sw->host};
  const WsPortGroup *group = inv_find_by(task_snapshot(task), &ws_type_port_group, "switch", sw->id, NULL);
  if (group && !task_is_resumed(task))
    return ws_fail(error, WS_ERROR_IN_USE, "object", sw->name, "user", group->name, NULL);
  TaskLockRef lock = {&ws_type_switch, job.id, false};
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "remove", unmake_switch, make_switch_again, &job, error) &&
         TASK_LAST(task, "forget", forget_switch, &job, error);
}

/* ---- port groups ---- */

static WsId host_of_group(const InvSnapshot *snap, WsId sw_id, GError **error)
{
  const WsSwitch *sw = need(snap, &ws_type_switch, sw_id, error);
  return sw ? sw->host : 0;
}

static bool enter_port_group(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  g_autoptr(WsPortGroup) fields = ws_port_group_copy(job->group_as);
  WsPortGroup *group = inv_create_with_id(task_txn(task), &ws_type_port_group, job->id);
  ws_resource_take_fields(&ws_type_port_group, group, fields);
  group->state = WS_PORT_GROUP_STATE_PENDING;
  group->created = ws_clock_wall_us(job->center->clock);
  task_lock_new(task, task_txn(task), group);
  task_set_object(task, &ws_type_port_group, job->id);
  return true;
}

static bool forget_port_group(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_port_group, ((Job *)ctx)->id);
  return true;
}

static bool make_port_group(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsPortGroup *group = need(task_snapshot(task), &ws_type_port_group, job->id, error);
  g_autoptr(WsRpcNetworkPortGroupApplyResult) result = NULL;
  if (!group || !apply_port_group(job->center, job->host, group, &result, error))
    return false;
  WsPortGroup *edit = inv_edit_id(task_txn(task), &ws_type_port_group, job->id);
  port_group_is_active(edit, result);
  return true;
}

static bool unmake_port_group(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  RpcLink *link = hosts_link(job->center, job->host, error);
  WsRpcNetworkPortGroupRemove params = {.port_group = job->id};
  return link && rpc_network_port_group_remove(link, &params, NULL, NULL, NULL, error);
}

static bool check_port_group(const WsPortGroup *group, GError **error)
{
  bool trunk = group->vlan && group->vlan->mode == WS_PORT_GROUP_VLAN_MODE_TRUNK;
  bool access = group->vlan && group->vlan->mode == WS_PORT_GROUP_VLAN_MODE_ACCESS;
  if (access && group->vlan->tag == WS_INT_UNSET)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "vlan.tag", NULL);
  if (trunk && group->subnet)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "subnet", "expected", "none on a trunk", NULL);
  return true;
}

bool port_group_create(Task *task, GError **error)
{
  Job job = {.center = task_center(task), .group_as = task_args(task)};
  if (!check_port_group(job.group_as, error) ||
      !(job.host = host_of_group(task_snapshot(task), job.group_as->switch_, error)) ||
      (!task_is_resumed(task) && !hosts_link(job.center, job.host, error)))
    return false;
  TaskLockRef lock = {&ws_type_switch, job.group_as->switch_, true};
  if (!task_lock(task, &lock, 1, error))
    return false;
  job.id = task_new_id(task, "port group");
  return TASK_STEP(task, "enter", enter_port_group, forget_port_group, &job, error) &&
         TASK_STEP(task, "apply", make_port_group, unmake_port_group, &job, error);
}

static bool change_port_group(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsPortGroup *now = task_find_target(task, error);
  g_autoptr(WsPortGroup) wanted = now ? patched(&ws_type_port_group, now, job->patch, error) : NULL;
  g_autoptr(WsRpcNetworkPortGroupApplyResult) result = NULL;
  bool changed;
  if (!wanted || !apply_port_group(job->center, job->host, wanted, &result, error))
    return false;
  WsPortGroup *edit = inv_edit_id(task_txn(task), &ws_type_port_group, job->id);
  port_group_is_active(edit, result);
  return ws_object_merge_patch(&ws_type_port_group, edit, job->patch->patch, strlen(job->patch->patch), &changed, error);
}

static bool change_port_group_back(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsPortGroup *now = task_find_target(task, error);
  return now && apply_port_group(job->center, job->host, now, NULL, error);
}

bool port_group_update(Task *task, GError **error)
{
  const WsPortGroup *group = task_find_target(task, error);
  Job job = {.center = task_center(task), .id = task_target(task), .patch = task_args(task)};
  g_autoptr(WsPortGroup) wanted = group ? patched(&ws_type_port_group, group, job.patch, error) : NULL;
  if (!wanted || !check_port_group(wanted, error) ||
      !(job.host = host_of_group(task_snapshot(task), group->switch_, error)))
    return false;
  if (!task_is_resumed(task) && ws_port_group_equal(group, wanted))
    return true;
  TaskLockRef lock = {&ws_type_port_group, job.id, false};
  return task_lock(task, &lock, 1, error) &&
         TASK_STEP(task, "apply", change_port_group, change_port_group_back, &job, error);
}

typedef struct {
  WsId group;
  const WsVm *user;
} NicLook;

static bool look_for_nic(const void *object, void *arg)
{
  NicLook *look = arg;
  const WsVm *vm = object;
  for (guint i = 0; i < vm->nics.len && !look->user; i++)
    if (vm->nics.items[i]->port_group == look->group)
      look->user = vm;
  return !look->user;
}

static bool make_port_group_again(Task *task, void *ctx, GError **error)
{
  Job *job = ctx;
  const WsPortGroup *group = need(task_snapshot(task), &ws_type_port_group, job->id, error);
  g_autoptr(WsRpcNetworkPortGroupApplyResult) result = NULL;
  return group && apply_port_group(job->center, job->host, group, &result, error);
}

bool port_group_delete(Task *task, GError **error)
{
  const WsPortGroup *group = task_find_target(task, error);
  if (!group)
    return false;
  Job job = {.center = task_center(task), .id = group->id};
  NicLook look = {group->id, NULL};
  inv_each(task_snapshot(task), &ws_type_vm, look_for_nic, &look);
  if (look.user && !task_is_resumed(task))
    return ws_fail(error, WS_ERROR_IN_USE, "object", group->name, "user", look.user->name, NULL);
  if (!(job.host = host_of_group(task_snapshot(task), group->switch_, error)))
    return false;
  TaskLockRef lock = {&ws_type_port_group, job.id, false};
  return task_lock(task, &lock, 1, error) && TASK_STEP(task, "remove", unmake_port_group, make_port_group_again, &job, error) &&
         TASK_LAST(task, "forget", forget_port_group, &job, error);
}
