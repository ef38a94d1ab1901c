// SPDX-License-Identifier: Apache-2.0
/* See stays.h. */
#include "center/cluster/stays.h"
#include "plan/estate.h"

#define NAMES_MAX 20

static bool is_movable(const WsVm *vm)
{
  return vm->management == WS_VM_MANAGEMENT_MANAGED && vm->power && vm->power->state == WS_POWER_STATE_OFF;
}

/* As pieces of sentences. */
static const char *const states[] = {"that are off", "that are hibernated", "that crashed",
                                     "that are in the recycle bin", "that are not managed"};
G_STATIC_ASSERT(G_N_ELEMENTS(states) == STAYS_VOLUMES);

static StaysKind kind_of(const WsVm *vm)
{
  if (vm->management == WS_VM_MANAGEMENT_IN_BIN)
    return STAYS_IN_BIN;
  if (vm->management != WS_VM_MANAGEMENT_MANAGED)
    return STAYS_NOT_MANAGED;
  return vm->power->state == WS_POWER_STATE_HIBERNATED ? STAYS_HIBERNATED
         : vm->power->state == WS_POWER_STATE_CRASHED  ? STAYS_CRASHED
                                                       : STAYS_OFF;
}

static void add_name(HostStays *stays, StaysKind kind, const char *name)
{
  GString *names = stays->of[kind].names;
  if (stays->of[kind].n++ < NAMES_MAX)
    g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
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
    add_name(look->stays, kind_of(vm), vm->name);
  return true;
}

static bool look_at_volume(const void *object, void *arg)
{
  const WsVolume *volume = object;
  Look *look = arg;
  if (!volume->used_by)
    add_name(look->stays, STAYS_VOLUMES, volume->name);
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

void host_stays_find(HostStays *stays, const InvSnapshot *snap, WsId host, bool move)
{
  Look look = {stays, snap, host, move};
  for (guint i = 0; i < N_STAYS; i++) {
    stays->of[i].names = g_string_new(NULL);
    stays->of[i].n = 0;
  }
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, look_at_vm, &look);
  inv_each(snap, &ws_type_pool, look_at_pool, &look);
  for (guint i = 0; i < N_STAYS; i++)
    if (stays->of[i].n > NAMES_MAX)
      g_string_append_printf(stays->of[i].names, ", %u more", stays->of[i].n - NAMES_MAX);
}

void host_stays_clear(HostStays *stays)
{
  for (guint i = 0; i < N_STAYS; i++)
    if (stays->of[i].names)
      g_string_free(g_steal_pointer(&stays->of[i].names), TRUE);
}

/* Caller frees. */
static char *line_of(const HostStays *stays, guint kind)
{
  if (kind == STAYS_VOLUMES)
    return g_strdup_printf("%u volumes that only it reaches stay: %s", stays->of[kind].n,
                           stays->of[kind].names->str);
  return g_strdup_printf("%u virtual machines %s stay: %s", stays->of[kind].n, states[kind],
                         stays->of[kind].names->str);
}

char *host_stays_text(const HostStays *stays)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < N_STAYS; i++) {
    g_autofree char *line = stays->of[i].n ? line_of(stays, i) : NULL;
    if (line)
      g_string_append_printf(text, "%s%s", text->len ? "; " : "", line);
  }
  return g_string_free(text, text->len == 0);
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
  if (!host)
    return;
  host_stays_find(&stays, head, id, false);
  for (guint i = 0; i < N_STAYS; i++) {
    char count[12];
    const char *names = stays.of[i].names->str;
    g_snprintf(count, sizeof count, "%u", stays.of[i].n);
    if (stays.of[i].n && i == STAYS_VOLUMES)
      task_log(task, "stays_on_pools", "host", host->name, "volumes", count, "names", names, NULL);
    else if (stays.of[i].n)
      task_log(task, "stays_on_host", "host", host->name, "vms", count, "what", states[i], "names", names,
               NULL);
  }
}

bool host_stays_add_steps(Task *task, const char *host, const HostStays *stays, GError **error)
{
  for (guint i = 0; i < N_STAYS; i++) {
    g_autofree char *line = stays->of[i].n ? line_of(stays, i) : NULL;
    g_autofree char *step = line ? g_strdup_printf("%s: %s", host, line) : NULL;
    if (step && !TASK_STEP(task, step, NULL, NULL, NULL, error))
      return false;
  }
  return true;
}

bool host_stays_tell(Task *task, WsId id, bool move, GError **error)
{
  g_auto(HostStays) stays = {0};
  const WsHost *host = task_is_dry_run(task) ? inv_find(task_snapshot(task), &ws_type_host, id) : NULL;
  if (!host)
    return true;
  host_stays_find(&stays, task_snapshot(task), id, move);
  return host_stays_add_steps(task, host->name, &stays, error);
}
