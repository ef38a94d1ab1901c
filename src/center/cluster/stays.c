// SPDX-License-Identifier: Apache-2.0
/* See stays.h. */
#include "center/cluster/stays.h"
#include "plan/estate.h"

#define NAMES_MAX 20

static bool is_movable(const WsVm *vm)
{
  return vm->management == WS_VM_MANAGEMENT_MANAGED && vm->power && vm->power->state == WS_POWER_STATE_OFF;
}

static const char *state_of(const WsVm *vm)
{
  if (vm->management == WS_VM_MANAGEMENT_IN_BIN)
    return "in the recycle bin";
  if (vm->management != WS_VM_MANAGEMENT_MANAGED)
    return "not managed";
  return vm->power ? ws_power_state_names[vm->power->state - 1] : "off";
}

static void add_name(GString *names, guint *n, const char *name, const char *state)
{
  if ((*n)++ >= NAMES_MAX)
    return;
  g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
  if (state)
    g_string_append_printf(names, " (%s)", state);
}

typedef struct {
  HostStays *stays;
  const InvSnapshot *snap;
  WsId host;
  bool move;
} Look;

static bool look_at_vm(const void *object, void *arg)
{
  const WsVm *vm = object;
  Look *look = arg;
  if (!plan_vm_is_placed(vm) && !(look->move && is_movable(vm)))
    add_name(look->stays->vms, &look->stays->n_vms, vm->name, state_of(vm));
  return true;
}

static bool look_at_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Look *look = arg;
  if (!volume->used_by)
    add_name(look->stays->volumes, &look->stays->n_volumes, volume->name,
             volume->in_bin_since ? "in the recycle bin" : NULL);
  return true;
}

static bool look_at_pool(const void *object, void *arg)
{
  const WsPool *pool = object;
  Look *look = arg;
  if (pool->hosts.len == 1 && pool->hosts.items[0] == look->host)
    inv_each_by(look->snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL,
                look_at_volume, look);
  return true;
}

static void end_list(GString *names, guint n)
{
  if (n > NAMES_MAX)
    g_string_append_printf(names, ", %u more", n - NAMES_MAX);
}

void host_stays_find(HostStays *stays, const InvSnapshot *snap, WsId host, bool move)
{
  Look look = {stays, snap, host, move};
  *stays = (HostStays){g_string_new(NULL), g_string_new(NULL), 0, 0};
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, look_at_vm, &look);
  inv_each(snap, &ws_type_pool, look_at_pool, &look);
  end_list(stays->vms, stays->n_vms);
  end_list(stays->volumes, stays->n_volumes);
}

void host_stays_clear(HostStays *stays)
{
  if (!stays->vms)
    return;
  g_string_free(g_steal_pointer(&stays->vms), TRUE);
  g_string_free(g_steal_pointer(&stays->volumes), TRUE);
}

char *host_stays_text(const HostStays *stays)
{
  if (!stays->n_vms && !stays->n_volumes)
    return NULL;
  if (!stays->n_volumes)
    return g_strdup_printf("%u virtual machines that do not run: %s", stays->n_vms, stays->vms->str);
  if (!stays->n_vms)
    return g_strdup_printf("%u volumes that only it reaches: %s", stays->n_volumes, stays->volumes->str);
  return g_strdup_printf("%u virtual machines that do not run: %s; %u volumes that only it reaches: %s",
                         stays->n_vms, stays->vms->str, stays->n_volumes, stays->volumes->str);
}

static bool gather_movable(const void *object, void *arg)
{
  if (is_movable(object))
    g_ptr_array_add(arg, (gpointer)object);
  return true;
}

GPtrArray *host_stays_movable(const InvSnapshot *snap, WsId host)
{
  GPtrArray *vms = g_ptr_array_new();
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, gather_movable, vms);
  return vms;
}

/* ---- told ---- */

void host_stays_log(Task *task, WsId id)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  const WsHost *host = inv_find(head, &ws_type_host, id);
  g_auto(HostStays) stays = {0};
  char n_vms[12], n_volumes[12];
  if (!host)
    return;
  host_stays_find(&stays, head, id, false);
  g_snprintf(n_vms, sizeof n_vms, "%u", stays.n_vms);
  g_snprintf(n_volumes, sizeof n_volumes, "%u", stays.n_volumes);
  if (stays.n_vms)
    task_log(task, "stays_on_host", "host", host->name, "vms", n_vms, "what", stays.vms->str, NULL);
  if (stays.n_volumes)
    task_log(task, "stays_on_pools", "host", host->name, "volumes", n_volumes, "what", stays.volumes->str,
             NULL);
}

bool host_stays_tell(Task *task, WsId id, bool move, GError **error)
{
  g_auto(HostStays) stays = {0};
  const WsHost *host = task_is_dry_run(task) ? inv_find(task_snapshot(task), &ws_type_host, id) : NULL;
  if (!host)
    return true;
  host_stays_find(&stays, task_snapshot(task), id, move);
  g_autofree char *text = host_stays_text(&stays);
  g_autofree char *line = text ? g_strdup_printf("%s: stays: %s", host->name, text) : NULL;
  return !line || TASK_STEP(task, line, NULL, NULL, NULL, error);
}
