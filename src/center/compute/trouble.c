// SPDX-License-Identifier: Apache-2.0
/* See trouble.h. */
#include "center/compute/trouble.h"
#include "center/compute/compute.h"

#define SOON_US (G_USEC_PER_SEC / 4)
#define TURN    64 /* VMs that are looked at before others on the core loop have their turn */
/* A host that restarts is there again by then; whoever waits longer waits for a person. */
#define AWAY_US (5 * 60 * (gint64)G_USEC_PER_SEC)

struct Troubles {
  Center *center;
  GHashTable *vms;     /* ids of those to be looked at */
  GHashTable *volumes; /* ids of those whose file went or came: whoever has one as a disk is to be looked at */
  GHashTable *untold;  /* ids of those whose alarms could not be recorded: tried again with the next watch */
  bool working;
};

static GHashTable *ids_new(void)
{
  return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

static void ids_add(GHashTable *ids, WsId id)
{
  g_hash_table_add(ids, g_memdup2(&id, sizeof id));
}

/* ---- what is wrong with a VM ---- */

typedef enum { CRASHED, IO_HELD, WATCHDOG, ENDED_UNSEEN, DISK_MISSING, HOST_AWAY, N_TROUBLES } Trouble;

#define BIT(trouble) (1u << (trouble))
#define OF_POWER     (BIT(CRASHED) | BIT(IO_HELD) | BIT(WATCHDOG) | BIT(ENDED_UNSEEN))

static const struct {
  const char *kind;
  CenterLevel level;
} troubles_table[N_TROUBLES] = {
  [CRASHED] = {.kind = "vm_crashed", CENTER_MAJOR},
  [IO_HELD] = {.kind = "vm_io_held", CENTER_MAJOR},
  [WATCHDOG] = {.kind = "vm_watchdog_fired", CENTER_MAJOR},
  [ENDED_UNSEEN] = {.kind = "vm_ended_unseen", CENTER_MAJOR},
  [DISK_MISSING] = {.kind = "vm_disk_missing", CENTER_CRITICAL},
  [HOST_AWAY] = {.kind = "vm_host_away", CENTER_MAJOR},
};

static guint power_trouble(const WsPower *power)
{
  if (compute_has_crashed(power))
    return BIT(CRASHED);
  if (power->state == WS_POWER_STATE_IO_HELD)
    return BIT(IO_HELD);
  if (power->state == WS_POWER_STATE_PAUSED && g_strcmp0(power->reason, "watchdog") == 0)
    return BIT(WATCHDOG);
  return power->state == WS_POWER_STATE_OFF && g_strcmp0(power->reason, COMPUTE_ENDED_UNSEEN) == 0 ? BIT(ENDED_UNSEEN) : 0;
}

static bool is_away_for_long(const Center *center, const WsHost *host)
{
  return host && host->connection && host->state != WS_HOST_STATE_CONNECTED &&
         ws_clock_wall_us(center->clock) - host->connection->since >= AWAY_US;
}

static bool misses_disk(const InvSnapshot *head, const WsVm *vm)
{
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVolume *volume = inv_find(head, &ws_type_volume, vm->disks.items[i]->volume);
    if (volume && volume->state == WS_VOLUME_STATE_MISSING)
      return true;
  }
  return false;
}

/* `open`: what it has an alarm of. */
static guint trouble_of(const Center *center, const InvSnapshot *head, const WsVm *vm, guint open)
{
  int state = compute_power_state(vm);
  if (vm->management != WS_VM_MANAGEMENT_MANAGED)
    return 0;
  guint trouble = state == WS_POWER_STATE_UNKNOWN ? open & OF_POWER : power_trouble(vm->power);
  if (misses_disk(head, vm))
    trouble |= BIT(DISK_MISSING);
  if (state != WS_POWER_STATE_OFF && state != WS_POWER_STATE_HIBERNATED && is_away_for_long(center, inv_find(head, &ws_type_host, vm->host)))
    trouble |= BIT(HOST_AWAY);
  return trouble;
}

/* ---- telling ---- */

static bool add_open(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  for (guint i = 0; alarm->object.type == &ws_type_vm && i < N_TROUBLES; i++)
    if (g_strcmp0(alarm->kind, troubles_table[i].kind) == 0)
      *(guint *)arg |= BIT(i);
  return true;
}

static guint open_of(const InvSnapshot *head, WsId vm)
{
  guint open = 0;
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "object", 6), vm, NULL, add_open, &open);
  return open;
}

/* What is open, and what should be. */
static guint judge(Center *center, WsId id, guint *trouble)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsVm *vm = inv_find(head, &ws_type_vm, id);
  guint open = vm ? open_of(head, id) : 0;
  *trouble = vm ? trouble_of(center, head, vm, open) : 0;
  return open;
}

static void look_at_vm(Troubles *troubles, WsId id)
{
  guint trouble, open = judge(troubles->center, id, &trouble);
  if (open == trouble)
    return;
  for (guint i = 0; i < N_TROUBLES; i++)
    if (trouble & ~open & BIT(i))
      center_alarm_open(troubles->center, troubles_table[i].level, &ws_type_vm, id, troubles_table[i].kind);
    else if (open & ~trouble & BIT(i))
      center_alarm_close(troubles->center, &ws_type_vm, id, troubles_table[i].kind);
  if (judge(troubles->center, id, &trouble) != trouble)
    ids_add(troubles->untold, id);
}

typedef struct {
  Troubles *troubles;
  GHashTable *volumes;
} Users;

static bool mark_user(const void *object, void *arg)
{
  const WsVm *vm = object;
  const Users *users = arg;
  for (guint i = 0; i < vm->disks.len; i++)
    if (g_hash_table_contains(users->volumes, &vm->disks.items[i]->volume))
      ids_add(users->troubles->vms, vm->id);
  return true;
}

/* One walk over the VMs, however many files a pool has lost at once. */
static void mark_users(Troubles *troubles)
{
  g_autoptr(GHashTable) volumes = troubles->volumes;
  Users users = {troubles, volumes};
  troubles->volumes = ids_new();
  if (!g_hash_table_size(volumes))
    return;
  g_autoptr(InvSnapshot) head = inv_head(troubles->center->inventory);
  inv_each(head, &ws_type_vm, mark_user, &users);
}

static void look(void *arg)
{
  Troubles *troubles = arg;
  guint n = 0;
  for (mark_users(troubles); g_hash_table_size(troubles->vms); mark_users(troubles)) {
    g_autoptr(GHashTable) vms = troubles->vms;
    GHashTableIter iter;
    const WsId *id;
    troubles->vms = ids_new();
    g_hash_table_iter_init(&iter, vms);
    while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL)) {
      look_at_vm(troubles, *id);
      if (++n % TURN == 0)
        ws_co_sleep(0);
    }
  }
  troubles->working = false;
}

static void on_timer(void *arg)
{
  ws_co_start(((Troubles *)arg)->center->loop, look, arg);
}

/* Not at once: a task's end, an event and a report come together. */
static void look_soon(Troubles *troubles)
{
  if (!troubles->working)
    ws_loop_after(troubles->center->loop, SOON_US, on_timer, troubles);
  troubles->working = true;
}

static void mark(Troubles *troubles, WsId vm)
{
  ids_add(troubles->vms, vm);
  look_soon(troubles);
}

/* ---- what may change it ---- */

static bool same_power(const WsPower *a, const WsPower *b)
{
  return a == b || (a && b && a->state == b->state && g_strcmp0(a->reason, b->reason) == 0);
}

static bool same_disks(const WsVm *a, const WsVm *b)
{
  bool same = a->disks.len == b->disks.len;
  for (guint i = 0; same && i < a->disks.len; i++)
    same = a->disks.items[i]->volume == b->disks.items[i]->volume;
  return same;
}

static bool is_missing(const WsVolume *volume)
{
  return volume && volume->state == WS_VOLUME_STATE_MISSING;
}

static bool mark_vm(const void *object, void *arg)
{
  mark(arg, ((const WsVm *)object)->id);
  return true;
}

static void mark_vms_of_host(Troubles *troubles, WsId host)
{
  g_autoptr(InvSnapshot) head = inv_head(troubles->center->inventory);
  inv_each_by(head, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, mark_vm, troubles);
}

/* Load is written every few seconds into each VM and host: the rest is left out fast. */
static void on_change(const InvChange *change, void *arg)
{
  Troubles *troubles = arg;
  if (change->type == &ws_type_vm) {
    const WsVm *before = change->old_object, *now = change->new_object;
    if (now && (!before || before->management != now->management || before->host != now->host || !same_power(before->power, now->power) ||
                !same_disks(before, now)))
      mark(troubles, now->id);
  } else if (change->type == &ws_type_volume) {
    if (is_missing(change->old_object) != is_missing(change->new_object)) {
      ids_add(troubles->volumes, change->id);
      look_soon(troubles);
    }
  } else if (change->type == &ws_type_host && change->old_object && change->new_object) {
    const WsHost *before = change->old_object, *now = change->new_object;
    if (before->state != now->state && now->state == WS_HOST_STATE_CONNECTED)
      mark_vms_of_host(troubles, now->id);
  }
}

static bool look_for_away(const void *object, void *arg)
{
  Troubles *troubles = arg;
  const WsHost *host = object;
  if (is_away_for_long(troubles->center, host))
    mark_vms_of_host(troubles, host->id);
  return true;
}

void troubles_watch(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  GHashTableIter iter;
  const WsId *id;
  inv_each(head, &ws_type_host, look_for_away, center->troubles);
  g_hash_table_iter_init(&iter, center->troubles->untold);
  while (g_hash_table_iter_next(&iter, (gpointer *)&id, NULL))
    mark(center->troubles, *id);
  g_hash_table_remove_all(center->troubles->untold);
}

bool troubles_are_told(const Troubles *troubles)
{
  return !troubles->working;
}

Troubles *troubles_new(Center *center)
{
  Troubles *troubles = g_new(Troubles, 1);
  *troubles = (Troubles){center, ids_new(), ids_new(), ids_new(), false};
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  inv_each(head, &ws_type_vm, mark_vm, troubles);
  inv_add_listener(center->inventory, on_change, troubles);
  return troubles;
}

void troubles_free(Troubles *troubles)
{
  if (!troubles)
    return;
  g_hash_table_unref(troubles->vms);
  g_hash_table_unref(troubles->volumes);
  g_hash_table_unref(troubles->untold);
  g_free(troubles);
}
