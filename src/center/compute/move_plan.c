// SPDX-License-Identifier: Apache-2.0
/* What a move would do, and all that stands against it. See move.h. */
#include "base/hash.h"
#include "center/compute/move.h"
#include "center/compute/place.h"
#include "center/room.h"
#include "center/room_rules.h"
#include "plan/cpu.h"
#include "plan/estate.h"
#include <string.h>

typedef struct {
  const InvSnapshot *snap;
  const WsVm *vm;
  const WsHost *from, *to;
  GString *reasons;
} Plan;

static void object(Plan *plan, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void object(Plan *plan, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  if (plan->reasons->len)
    g_string_append(plan->reasons, "; ");
  g_string_append_vprintf(plan->reasons, format, args);
  va_end(args);
}

bool move_is_over(Task *task, const Move *move)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  const WsVm *vm = inv_find(head, &ws_type_vm, move->vm.id);
  const WsVolume *first = move->n_disks ? inv_find(head, &ws_type_volume, move->disks[0].volume) : NULL;
  if (move->storage_only) /* they go over together */
    return first && g_strcmp0(first->file, move->disks[0].was_file) != 0;
  return vm && vm->host == move->target;
}

/* ---- disks ---- */

static const WsVmMoveDisk *wish_of(const Move *move, const char *key)
{
  for (guint i = 0; i < move->args->disks.len; i++)
    if (strcmp(move->args->disks.items[i]->key, key) == 0)
      return move->args->disks.items[i];
  return NULL;
}

/* Does it go anywhere at all? */
static bool is_meant(const Plan *plan, const Move *move, const WsVolume *volume, const WsPool *pool, const WsVmMoveDisk *wish)
{
  if (!move->storage_only)
    return wish || !plan_pool_has_host(pool, move->target); /* else the target has it where it is */
  WsId there = wish && wish->pool ? wish->pool : move->args->pool;
  bool changes = wish && (((int)wish->format && (int)wish->format != (int)volume->format) ||
                          ((int)wish->provisioning && (int)wish->provisioning != (int)volume->provisioning));
  return changes || (there && there != pool->id);
}

/* Blocks of a thin copy: what a linked child shares with those below it goes along. */
static gint64 blocks_of(Plan *plan, const WsVolume *volume)
{
  gint64 blocks = 0;
  for (const WsVolume *at = volume; at;
       at = at->parent ? inv_find(plan->snap, &ws_type_volume, at->parent) : NULL)
    blocks += MAX(at->allocated_bytes, 0);
  return MIN(blocks, volume->size_bytes);
}

static void plan_disk(Plan *plan, Move *move, const WsVmDisk *disk)
{
  const WsVolume *volume = inv_find(plan->snap, &ws_type_volume, disk->volume);
  const WsPool *pool = volume ? inv_find(plan->snap, &ws_type_pool, volume->pool) : NULL;
  const WsVmMoveDisk *wish = wish_of(move, disk->key);
  if (!pool) {
    object(plan, "%s has no volume in a pool", disk->key);
    return;
  }
  if (volume->state != WS_VOLUME_STATE_READY)
    object(plan, "the volume %s of %s is not ready", volume->name, disk->key);
  if (!is_meant(plan, move, volume, pool, wish))
    return;
  if (disk->shared && move->storage_only) {
    object(plan, "%s is shared with other VMs", disk->key);
    return;
  }
  if (disk->shared) {
    object(plan, "%s is shared with other VMs, and %s does not reach its pool %s", disk->key, plan->to->name, pool->name);
    return;
  }
  if (inv_find_by(plan->snap, &ws_type_volume, "parent", volume->id, NULL))
    object(plan, "other volumes build on %s", disk->key);
  g_autoptr(GError) error = NULL;
  WsId there = wish && wish->pool ? wish->pool : move->args->pool;
  if (!there && move->storage_only)
    there = pool->id; /* another form, in the same pool */
  int form = wish && (int)wish->provisioning ? (int)wish->provisioning : (int)volume->provisioning;
  gint64 copied = blocks_of(plan, volume);
  PlacePoolNeed need = {there, volume->size_bytes,
                        form == WS_VOLUME_PROVISIONING_THIN ? copied : volume->size_bytes};
  if (!place_pool(move->vm.center, plan->snap, move->target, &need, &there, "pool", &error)) {
    object(plan, "%s: %s", disk->key, error->message);
    return;
  }
  move->disks[move->n_disks++] = (MoveDisk){
      .key = disk->key,
      .was_file = volume->file,
      .volume = volume->id,
      .pool = there,
      .format = wish && (int)wish->format ? (int)wish->format : (int)volume->format,
      .provisioning = form,
      .copied_bytes = copied,
  };
}

static bool add_size(const void *object_, void *arg)
{
  const WsVolume *volume = object_;
  *(gint64 *)arg += MAX(volume->size_bytes, 0);
  return true;
}

/* What each pool gets, in promises and in blocks. */
static void check_room(Plan *plan, const Move *move)
{
  for (guint i = 0; i < move->n_disks; i++) {
    const WsPool *pool = inv_find(plan->snap, &ws_type_pool, move->disks[i].pool);
    gint64 promised = 0, blocks = 0, held = 0;
    bool first = true;
    for (guint j = 0; j < move->n_disks; j++) {
      const WsVolume *volume = inv_find(plan->snap, &ws_type_volume, move->disks[j].volume);
      if (!volume || move->disks[j].pool != move->disks[i].pool)
        continue;
      first = first && j >= i;
      promised += volume->size_bytes;
      blocks += move->disks[j].provisioning == WS_VOLUME_PROVISIONING_THIN ? blocks_of(plan, volume) : volume->size_bytes;
    }
    if (!first || !pool)
      continue;
    inv_each_by(plan->snap, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, add_size, &held);
    if (blocks > pool->available_bytes)
      object(plan, "pool %s: %" G_GINT64_FORMAT " MiB needed, %" G_GINT64_FORMAT " MiB free", pool->name, blocks >> 20,
             pool->available_bytes >> 20);
    else if ((double)(held + promised) > (double)pool->capacity_bytes * pool->overcommit_ratio)
      object(plan, "pool %s: its volumes would be promised more than its overcommit ratio allows", pool->name);
  }
}

static void plan_disks(Plan *plan, Move *move)
{
  for (guint i = 0; i < plan->vm->disks.len && move->n_disks < MOVE_DISKS_MAX; i++)
    plan_disk(plan, move, plan->vm->disks.items[i]);
  for (guint i = 0; i < move->args->disks.len; i++)
    if (!compute_has_disk(move->args->disks.items[i]->key, plan->vm))
      object(plan, "it has no disk %s", move->args->disks.items[i]->key);
  check_room(plan, move);
  for (guint i = 0; !move->storage_only && i < plan->vm->cdroms.len; i++) {
    const WsVmCdrom *cd = plan->vm->cdroms.items[i];
    const WsVolume *volume = cd->volume ? inv_find(plan->snap, &ws_type_volume, cd->volume) : NULL;
    const WsPool *pool = volume ? inv_find(plan->snap, &ws_type_pool, volume->pool) : NULL;
    if (cd->volume && !(pool && plan_pool_has_host(pool, move->target)))
      object(plan, "the ISO in %s is out of reach of %s: eject it", cd->key, plan->to->name);
  }
}

/* ---- NICs ---- */

typedef struct {
  const InvSnapshot *snap;
  WsId host;
  const WsPortGroup *like, *found;
} GroupLook;

static bool same_vlan(const WsPortGroup *a, const WsPortGroup *b)
{
  int mode_a = a->vlan ? (int)a->vlan->mode : 0, mode_b = b->vlan ? (int)b->vlan->mode : 0;
  return mode_a == mode_b && (!a->vlan || !b->vlan || a->vlan->tag == b->vlan->tag);
}

static bool look_at_group(const void *object_, void *arg)
{
  GroupLook *look = arg;
  const WsPortGroup *group = object_;
  const WsSwitch *sw = inv_find(look->snap, &ws_type_switch, group->switch_);
  if (sw && sw->host == look->host && g_strcmp0(group->name, look->like->name) == 0 && same_vlan(group, look->like))
    look->found = group;
  return !look->found;
}

const WsPortGroup *move_group_like(const InvSnapshot *snap, WsId host, const WsPortGroup *like)
{
  GroupLook look = {snap, host, like, NULL};
  inv_each(snap, &ws_type_port_group, look_at_group, &look);
  return look.found;
}

static const WsVmMoveNic *nic_wish(const Move *move, const char *key)
{
  for (guint i = 0; i < move->args->networks.len; i++)
    if (strcmp(move->args->networks.items[i]->key, key) == 0)
      return move->args->networks.items[i];
  return NULL;
}

static void plan_nic(Plan *plan, Move *move, const WsVmNic *nic)
{
  const WsVmMoveNic *wish = nic_wish(move, nic->key);
  const WsPortGroup *now = inv_find(plan->snap, &ws_type_port_group, nic->port_group);
  const WsPortGroup *found = NULL;
  if (wish) {
    const WsPortGroup *group = inv_find(plan->snap, &ws_type_port_group, wish->port_group);
    const WsSwitch *sw = group ? inv_find(plan->snap, &ws_type_switch, group->switch_) : NULL;
    found = sw && sw->host == move->target ? group : NULL;
    if (!found)
      object(plan, "the port group named for %s is not one of %s", nic->key, plan->to->name);
  } else if (now) {
    found = move_group_like(plan->snap, move->target, now);
    if (!found)
      object(plan, "%s has no port group %s with the same VLAN, for %s", plan->to->name, now->name, nic->key);
  }
  if (found && found->state != WS_PORT_GROUP_STATE_ACTIVE)
    object(plan, "the port group %s of %s is not active", found->name, plan->to->name);
  if (found)
    move->nics[move->n_nics++] = (MoveNic){nic->key, found->id};
}

/* ---- hosts ---- */

/* What the guest counts on: its own model, or, when it runs with what its host has, all of that. An emulated one counts on nothing of the host. */
static void check_cpu(Plan *plan, const Move *move)
{
  g_auto(GStrv) missing = room_cpu_missing(plan->vm, move->live ? plan->from : NULL, plan->to);
  g_autofree char *names = plan_cpu_names(missing);
  if (missing[0])
    object(plan, "the processor of %s lacks %s", plan->to->name, names);
}

/* Memory, and what it and others there have reserved, by the head: the hosts were asked meanwhile, and
 * another move may have been let there. From here to the first step's record nothing waits. */
static void check_host_room(Task *task, Plan *plan, const Move *move)
{
  if (move->storage_only)
    return;
  g_autoptr(InvSnapshot) head = inv_head(move->vm.center->inventory);
  g_autoptr(GHashTable) coming = room_coming_beside(head, move->vm.center->promises, task_id(task));
  PlanHost room = room_of_host(head, plan->to, coming);
  PlanDemand demand = room_demand(plan->vm, move->live);
  gint64 total = plan->to->facts ? MAX(plan->to->facts->memory_bytes, room.memory_bytes)
                                 : 0; /* or what the ratio lets it promise */
  if (move->live && total > 0 && room.memory_used_bytes + plan->vm->memory_bytes > total)
    object(plan, "memory of %s: %" G_GINT64_FORMAT " MiB needed, %" G_GINT64_FORMAT " MiB not promised",
           plan->to->name, plan->vm->memory_bytes >> 20, MAX(total - room.memory_used_bytes, 0) >> 20);
  const char *reason = plan_reservation_refusal(&room, &demand);
  if (reason)
    object(plan, "%s: %s", plan->to->name, reason);
}

static void check_hosts(Plan *plan, const Move *move)
{
  const WsHost *to = plan->to;
  if (to->state != WS_HOST_STATE_CONNECTED)
    object(plan, "%s is not connected", to->name);
  else if (!move->storage_only && to->mode && to->mode != WS_HOST_MODE_NORMAL)
    object(plan, "%s is in maintenance", to->name);
  if ((int)plan->vm->architecture && (int)to->architecture && (int)plan->vm->architecture != (int)to->architecture)
    object(plan, "%s has the architecture %s", to->name, ws_architecture_names[to->architecture - 1]);
  check_cpu(plan, move);
  g_autoptr(RoomRules) rules = move->live && !move->storage_only ? room_rules_new(plan->snap, to->cluster, NULL, NULL) : NULL;
  g_autofree char *rule = rules ? room_rules_refusal(rules, plan->vm->id, to->id, false) : NULL;
  if (rule)
    object(plan, "%s", rule);
}

/* ---- the VM as it will be ---- */

WsVmSpec *move_spec_there(Task *task, const Move *move, GError **error)
{
  const InvSnapshot *snap = task_snapshot(task);
  const WsVm *vm = compute_find(snap, move->vm.id, error);
  g_autoptr(WsVm) there = vm ? ws_vm_copy(vm) : NULL;
  if (!there)
    return NULL;
  for (guint i = 0; i < there->nics.len; i++)
    for (guint j = 0; j < move->n_nics; j++)
      if (strcmp(there->nics.items[i]->key, move->nics[j].key) == 0)
        there->nics.items[i]->port_group = move->nics[j].port_group;
  WsVmSpec *spec = compute_spec(snap, there, error);
  for (guint i = 0; spec && i < spec->disks.len; i++)
    for (guint j = 0; j < move->n_disks; j++) {
      const MoveDisk *disk = &move->disks[j];
      const WsVolume *stand_in = inv_find(snap, &ws_type_volume, disk->stand_in);
      if (strcmp(spec->disks.items[i]->key, disk->key) != 0)
        continue;
      spec->disks.items[i]->pool = disk->pool;
      spec->disks.items[i]->format = disk->format;
      g_free(spec->disks.items[i]->file);
      spec->disks.items[i]->file = g_strdup(stand_in ? stand_in->file : "not-made-yet");
    }
  return spec;
}

/* ---- what the hosts say ---- */

/* Post-copy gains nothing where the guest stands still while its memory goes, and is done in the usual way then. */
static void settle_standing(Move *move, const WsVmMoveSight *sight)
{
  bool runs = sight->power->state == WS_POWER_STATE_RUNNING;
  g_strlcpy(move->stands_still, sight->stands_still && runs && sight->qemu ? sight->qemu : "", sizeof move->stands_still);
  if ((sight->stands_still || !runs) && move->strategy == WS_VM_MIGRATE_STRATEGY_POST_COPY)
    move->strategy = WS_VM_MIGRATE_STRATEGY_BUSINESS_FIRST;
}

static bool ask_hosts(Task *task, Plan *plan, Move *move, GError **error)
{
  RpcLink *from = hosts_link(move->vm.center, move->vm.host, error);
  WsRpcVmMigrateLook look = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid, .network = (char *)move->network};
  g_autoptr(WsRpcVmMigrateLookResult) seen = NULL;
  if (!from || !rpc_vm_migrate_look(from, &look, &seen, NULL, NULL, NULL, error))
    return false;
  for (guint i = 0; i < seen->sight->blockers.len; i++)
    object(plan, "%s", seen->sight->blockers.items[i]);
  settle_standing(move, seen->sight);
  g_autoptr(WsVmSpec) spec = move_spec_there(task, move, error);
  RpcLink *to = spec ? hosts_link(move->vm.center, move->target, error) : NULL;
  WsRpcVmMigrateCheck check = {.spec = spec, .sight = seen->sight, .network = (char *)move->network};
  g_autoptr(WsRpcVmMigrateCheckResult) said = NULL;
  if (!to || !rpc_vm_migrate_check(to, &check, &said, NULL, NULL, NULL, error))
    return false;
  for (guint i = 0; i < said->reasons.len; i++)
    object(plan, "%s", said->reasons.items[i]);
  return true;
}

/* ---- choices: the plan, durable with the first step ---- */

static void choose_number(Task *task, const char *label, guint64 value)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
  task_choose(task, label, text);
}

static guint64 chosen_number(Task *task, const char *label)
{
  const char *text = task_chosen(task, label);
  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void keep(Task *task, Move *move)
{
  char uuid[40];
  choose_number(task, "from", move->vm.host);
  choose_number(task, "to", move->target);
  choose_number(task, "strategy", (guint64)move->strategy);
  if (move->bandwidth_bytes_per_s != WS_INT_UNSET)
    choose_number(task, "bandwidth", (guint64)move->bandwidth_bytes_per_s);
  if (move->network)
    task_choose(task, "network", move->network);
  choose_number(task, "live", move->live);
  choose_number(task, "was_paused", move->was_paused);
  task_choose(task, "stands still", move->stands_still);
  choose_number(task, "began", (guint64)move->began_us);
  g_autofree char *forecast = move_forecast_text(move);
  task_choose(task, "forecast", forecast);
  task_choose(task, "session", ws_uuid_new(move->vm.center->clock, uuid));
  choose_number(task, "disks", move->n_disks);
  choose_number(task, "nics", move->n_nics);
  for (guint i = 0; i < move->n_disks; i++) {
    const MoveDisk *d = &move->disks[i];
    g_autofree char *label = g_strdup_printf("disk %u", i), *stand_in = g_strdup_printf("stand-in %u", i);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d %d %s", d->volume, d->pool, d->format,
                                            d->provisioning, d->key);
    g_autofree char *was = g_strdup_printf("was %u", i);
    task_choose(task, label, text);
    task_choose(task, was, d->was_file ? d->was_file : "");
    task_new_id(task, stand_in);
  }
  for (guint i = 0; i < move->n_nics; i++) {
    g_autofree char *label = g_strdup_printf("nic %u", i);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %s", move->nics[i].port_group, move->nics[i].key);
    task_choose(task, label, text);
  }
}

static void recall(Task *task, Move *move)
{
  move->vm.host = chosen_number(task, "from");
  move->target = chosen_number(task, "to");
  move->strategy = (int)chosen_number(task, "strategy");
  move->bandwidth_bytes_per_s = task_chosen(task, "bandwidth") ? (gint64)chosen_number(task, "bandwidth") : WS_INT_UNSET;
  move->network = task_chosen(task, "network");
  move->live = chosen_number(task, "live");
  move->was_paused = chosen_number(task, "was_paused");
  const char *stands_still = task_chosen(task, "stands still");
  g_strlcpy(move->stands_still, stands_still ? stands_still : "", sizeof move->stands_still);
  move->began_us = (gint64)chosen_number(task, "began");
  move_take_forecast(move, task_chosen(task, "forecast"));
  move->session = task_chosen(task, "session");
  move->n_disks = (guint)MIN(chosen_number(task, "disks"), MOVE_DISKS_MAX);
  move->n_nics = (guint)MIN(chosen_number(task, "nics"), G_N_ELEMENTS(move->nics));
  for (guint i = 0; i < move->n_disks; i++) {
    g_autofree char *label = g_strdup_printf("disk %u", i), *stand_in = g_strdup_printf("stand-in %u", i);
    MoveDisk *d = &move->disks[i];
    char *at = (char *)task_chosen(task, label);
    d->volume = g_ascii_strtoull(at, &at, 10);
    d->pool = g_ascii_strtoull(at, &at, 10);
    d->format = (int)g_ascii_strtoull(at, &at, 10);
    d->provisioning = (int)g_ascii_strtoull(at, &at, 10);
    g_autofree char *was = g_strdup_printf("was %u", i);
    d->key = at + 1;
    d->was_file = task_chosen(task, was);
    d->stand_in = task_new_id(task, stand_in);
  }
  for (guint i = 0; i < move->n_nics; i++) {
    g_autofree char *label = g_strdup_printf("nic %u", i);
    char *at = (char *)task_chosen(task, label);
    move->nics[i].port_group = g_ascii_strtoull(at, &at, 10);
    move->nics[i].key = at + 1;
  }
}

static bool find_target(Task *task, Plan *plan, Move *move, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  plan->to = inv_find(plan->snap, &ws_type_host, move->target);
  plan->from = inv_find(plan->snap, &ws_type_host, move->vm.host);
  if (!plan->to)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "host", "object", ws_id_format("host", move->target, text), NULL);
  if (move->target == move->vm.host && !move->storage_only)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "host", "expected", "another host than the VM's own", NULL);
  return plan->from || ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format("host", move->vm.host, text), NULL);
}

/* All that stands against this target; *reasons is empty when nothing does. Caller frees. */
static bool weigh(Task *task, Plan *plan, Move *move, char **reasons, GError **error)
{
  move->n_disks = move->n_nics = 0;
  *reasons = NULL;
  if (!find_target(task, plan, move, error))
    return false;
  plan->reasons = g_string_new(NULL);
  move_settle_ways(plan->snap, move);
  check_hosts(plan, move);
  plan_disks(plan, move);
  for (guint i = 0; !move->storage_only && i < plan->vm->nics.len && i < G_N_ELEMENTS(move->nics); i++)
    plan_nic(plan, move, plan->vm->nics.items[i]);
  bool asked = move->storage_only || plan->to->state != WS_HOST_STATE_CONNECTED || ask_hosts(task, plan, move, error);
  if (asked && !plan->reasons->len)
    move_foresee(move, plan->snap, plan->vm, task_is_dry_run(task) && !task_is_one_of_many(task));
  if (asked)
    check_host_room(task, plan, move);
  *reasons = g_string_free(plan->reasons, FALSE);
  return asked;
}

static void bar(GArray *rooms, WsId host, const char *why)
{
  for (guint i = 0; i < rooms->len; i++)
    if (g_array_index(rooms, PlanHost, i).id == host)
      g_array_index(rooms, PlanHost, i).barred = why;
}

/* The planner's best of those against which nothing stands; each refused one is named with its reasons. */
static bool choose_target(Task *task, Plan *plan, Move *move, GError **error)
{
  const WsHost *own = inv_find(plan->snap, &ws_type_host, move->vm.host);
  WsId cluster = move->args->cluster ? move->args->cluster : own ? own->cluster : 0;
  g_autoptr(GArray) rooms = move_rooms(move->vm.center, plan->snap, plan->vm, cluster);
  g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
  PlanDemand demand = room_demand(plan->vm, move->live);
  g_autoptr(RoomRules) rules = room_rules_new(plan->snap, cluster, NULL, NULL);
  room_rules_weigh(rules, plan->vm->id, (PlanHost *)rooms->data, rooms->len, said);
  for (;;) {
    g_autofree char *why = NULL, *reasons = NULL;
    g_autoptr(GError) failed = NULL;
    move->target = plan_place((PlanHost *)rooms->data, rooms->len, &demand, &why);
    if (!move->target)
      return ws_fail(error, WS_ERROR_NO_HOST, "reasons", why, "object", plan->vm->name, "field", "host", NULL);
    if (weigh(task, plan, move, &reasons, &failed) && !*reasons) {
      place_log(task, (PlanHost *)rooms->data, rooms->len, &demand);
      return true;
    }
    g_ptr_array_add(said, g_strdup(failed ? failed->message : reasons));
    bar(rooms, move->target, said->pdata[said->len - 1]);
  }
}

static bool check_target(Task *task, Plan *plan, Move *move, GError **error)
{
  g_autofree char *reasons = NULL;
  if (!weigh(task, plan, move, &reasons, error))
    return false;
  return !*reasons || ws_fail(error, WS_ERROR_CANNOT_MOVE, "object", plan->vm->name, "host", plan->to->name, "reasons", reasons, NULL);
}

/* Whether two snapshots say the same of where the VM and its disks are. */
static bool is_same(const InvSnapshot *before, const WsVm *a, const InvSnapshot *after, const WsVm *b)
{
  bool same = a->host == b->host && a->management == b->management && compute_power_state(a) == compute_power_state(b) && a->disks.len == b->disks.len;
  for (guint i = 0; same && i < a->disks.len; i++) {
    const WsVolume *x = inv_find(before, &ws_type_volume, a->disks.items[i]->volume);
    const WsVolume *y = inv_find(after, &ws_type_volume, b->disks.items[i]->volume);
    same = x && y && x->id == y->id && x->pool == y->pool;
  }
  return same;
}

/* The hosts were asked before anything was locked: another task may have come to its end meanwhile, and the VM be somewhere else. From here to
 * the locks nothing waits. */
static bool is_still_so(Task *task, const Plan *plan, GError **error)
{
  const WsVm *now = task_find_target(task, error);
  char text[WS_ID_TEXT_MAX];
  return now && (is_same(plan->snap, plan->vm, task_snapshot(task), now) ||
                 ws_fail(error, WS_ERROR_CONFLICT, "object", ws_id_format(ws_type_vm.prefix, now->id, text), NULL));
}

bool move_plan(Task *task, Move *move, GError **error)
{
  char text[WS_ID_TEXT_MAX];
  if (task_chosen(task, "session")) {
    recall(task, move);
    return true;
  }
  Plan plan = {.snap = task_snapshot(task), .vm = task_find_target(task, error)};
  if (!plan.vm)
    return false;
  if (move->args->cluster && !inv_find(plan.snap, &ws_type_cluster, move->args->cluster))
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "cluster", "object",
                   ws_id_format(ws_type_cluster.prefix, move->args->cluster, text), NULL);
  int state = compute_power_state(plan.vm);
  move->live = state != WS_POWER_STATE_OFF;
  move->was_paused = state == WS_POWER_STATE_PAUSED;
  move->began_us = ws_clock_wall_us(move->vm.center->clock);
  if (!(move->target ? check_target(task, &plan, move, error) : choose_target(task, &plan, move, error)) || !is_still_so(task, &plan, error))
    return false;
  if (task_is_dry_run(task) && move->forecast)
    task_show_dry(task, (TaskShown){"forecast", &ws_type_migration_forecast, ws_migration_forecast_copy(move->forecast), NULL});
  keep(task, move);
  recall(task, move);
  return true;
}
