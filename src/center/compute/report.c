// SPDX-License-Identifier: Apache-2.0
/* What hosts say of VMs: full reports, events, load. The host is right about what is; the inventory about what should be.
 *
 * A report replaces all that is known of a host's domains: ours take power, guest and pending changes from it; one that is ours but gone
 * is told; one that nobody knows becomes a found VM, which may be adopted. Differences that no task of ours made are events. */
#include "base/log.h"
#include "base/plant.h"
#include "center/compute/place.h"
#include "center/compute/trouble.h"
#include "center/bin.h"
#include "center/domains.h"
#include "center/pools.h"
#include "center/quota.h"

#define USAGE_US (5 * (gint64)G_USEC_PER_SEC)
#define HOST_LOST "host lost" /* reason of a power state that is not known */
#define UNDEFINED     "undefined" /* of one that was off, and is not on its host any more */
#define POLL_TOGETHER 8 /* hosts asked in one go */
#define FOUND_MAX 2000  /* found VMs of one host: who tells of more makes them up, and the inventory is in memory */
#define LIST_MAX 100000 /* domains in one host's list */

/* ---- taking facts into a VM ---- */

bool compute_has_crashed(const WsPower *power)
{
  bool died = g_strcmp0(power->reason, "crashed") == 0;
  if (power->state == WS_POWER_STATE_OFF)
    return died || g_strcmp0(power->reason, "daemon") == 0; /* libvirt could not reach it any more, and ended what was left */
  return power->state == WS_POWER_STATE_CRASHED || (power->state == WS_POWER_STATE_PAUSED && died);
}

static bool is_out(const WsVm *vm)
{
  int state = compute_power_state(vm);
  return state == WS_POWER_STATE_OFF || state == WS_POWER_STATE_HIBERNATED;
}

static gint64 look_of(const WsPower *power)
{
  return power ? power->look : WS_INT_UNSET;
}

/* libvirt forgets why a VM is off when it starts anew, and does not tell what ended while it was not there. So what was known stays; and one that
 * ran when it was last heard of has ended unseen: with its host, or on its own. */
static const char *why_off(const WsVm *vm)
{
  int before = compute_power_state(vm);
  const char *verb = vm->activity ? vm->activity->verb : NULL;
  if (before ==
      WS_POWER_STATE_OFF) /* one that is defined again is there: that it was not is no reason any more */
    return g_strcmp0(vm->power->reason, UNDEFINED) == 0 ? NULL : vm->power->reason;
  if (g_strcmp0(verb, "powering_off") == 0 || g_strcmp0(verb, "shutting_down") == 0)
    return NULL; /* as it was told */
  bool ran = compute_is_on(before) || (before == WS_POWER_STATE_UNKNOWN && vm->power && g_strcmp0(vm->power->reason, HOST_LOST) == 0);
  return ran && vm->run_generation > 0 ? COMPUTE_ENDED_UNSEEN : NULL;
}

void compute_take_power(Center *center, WsVm *vm, const WsPower *power)
{
  if (!power || !compute_is_news(center, vm->host, vm->uuid, power->look))
    return;
  compute_note_look(center, vm->host, vm->uuid, power->look);
  int before = compute_power_state(vm);
  gint64 since = vm->power ? vm->power->since : 0;
  g_autofree char *reason = g_strdup(power->reason || power->state != WS_POWER_STATE_OFF ? power->reason : why_off(vm));
  if (vm->power)
    ws_power_free(vm->power);
  vm->power = ws_power_copy(power);
  g_free(vm->power->reason);
  vm->power->reason = g_steal_pointer(&reason);
  vm->power->look = WS_INT_UNSET; /* of the host's run, not of the inventory */
  if (before == (int)power->state && since)
    vm->power->since = since;
  else if (!vm->power->since)
    vm->power->since = ws_clock_wall_us(center->clock);
  if (vm->power->state != WS_POWER_STATE_RUNNING)
    g_clear_pointer(&vm->usage, ws_vm_usage_free);
  if (is_out(vm))
    g_clear_pointer(&vm->guest, ws_vm_guest_free); /* nobody is in it; a paused one is the same afterwards */
}

static void take_strings(guint *len, char ***items, guint n, char *const *from)
{
  for (guint i = 0; i < *len; i++)
    g_free((*items)[i]);
  g_free(*items);
  *items = g_new0(char *, n);
  *len = n;
  for (guint i = 0; i < n; i++)
    (*items)[i] = g_strdup(from[i]);
}

/* Settings that were left to the host's defaults are written back, so that they stay when a default changes. */
static void take_defaults(WsVm *vm, const WsVmSpec *spec)
{
  if (!spec)
    return;
  if (!vm->machine)
    vm->machine = g_strdup(spec->machine);
  if (!(int)vm->firmware)
    vm->firmware = (int)spec->firmware;
  if (!(int)vm->video)
    vm->video = (int)spec->video;
  for (guint i = 0; i < vm->disks.len && i < spec->disks.len; i++)
    if (!(int)vm->disks.items[i]->bus)
      vm->disks.items[i]->bus = (int)spec->disks.items[i]->bus;
  for (guint i = 0; i < vm->cdroms.len && i < spec->cdroms.len; i++)
    if (!(int)vm->cdroms.items[i]->bus)
      vm->cdroms.items[i]->bus = (int)spec->cdroms.items[i]->bus;
  for (guint i = 0; i < vm->nics.len && i < spec->nics.len; i++)
    if (!(int)vm->nics.items[i]->model)
      vm->nics.items[i]->model = (int)spec->nics.items[i]->model;
}

void compute_take_report(Center *center, WsVm *vm, const WsVmReport *report)
{
  if (!report || !compute_is_news(center, vm->host, vm->uuid, look_of(report->power)))
    return;
  compute_take_power(center, vm, report->power);
  compute_take_lease(vm, report->lease);
  take_defaults(vm, report->spec);
  take_strings(&vm->pending_restart.len, &vm->pending_restart.items, report->pending_restart.len,
               report->pending_restart.items);
  if (report->guest && !is_out(vm)) {
    if (vm->guest)
      ws_vm_guest_free(vm->guest);
    vm->guest = ws_vm_guest_copy(report->guest);
  }
}

/* ---- found VMs (found.c says what they are) ---- */

static WsId enter_found(Center *center, InvTxn *txn, WsId host, const WsVmReport *report)
{
  WsVm *vm = inv_create(txn, &ws_type_vm);
  vm->host = host;
  vm->management = WS_VM_MANAGEMENT_FOUND;
  vm->run_generation = 0;
  compute_fill_found(center, txn, vm, report);
  compute_take_report(center, vm, report);
  return vm->id;
}

static bool count_found(const void *object, void *arg)
{
  guint *n = arg;
  *n += ((const WsVm *)object)->management != WS_VM_MANAGEMENT_MANAGED;
  return *n < FOUND_MAX;
}

static bool has_too_many(const InvSnapshot *head, WsId host)
{
  guint n = 0;
  inv_each_by(head, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, count_found, &n);
  return n >= FOUND_MAX;
}

/* ---- one report of one domain ---- */

static const WsVm *known(const InvSnapshot *snap, WsId host, const char *uuid)
{
  const WsVm *vm = inv_find_by(snap, &ws_type_vm, "uuid", 0, uuid);
  return vm && vm->host == host ? vm : NULL;
}

/* Two hosts say something of a VM that moves, each its half: only the task that has asked both knows. */
static bool is_moving(const WsVm *vm)
{
  return vm->activity && (g_strcmp0(vm->activity->verb, "migrating") == 0 || g_strcmp0(vm->activity->verb, "taking_over") == 0);
}

static bool is_bad(const WsPower *power)
{
  return power->state == WS_POWER_STATE_IO_HELD || compute_has_crashed(power);
}

/* A change of power that no living task is responsible for came from outside: virsh, the guest itself, a crash. */
static void tell_power(Center *center, const WsVm *before, const WsPower *power)
{
  if (!power || before->activity || compute_power_state(before) == (int)power->state)
    return;
  center_event(center, is_bad(power) ? CENTER_MAJOR : CENTER_INFO, &ws_type_vm, before->id, "outside", "vm_power_changed", "state",
               ws_power_state_names[power->state - 1], "reason", power->reason ? power->reason : "-", NULL);
}

static bool take_one(Center *center, WsId host, const WsVmReport *report, GError **error)
{
  if (!compute_is_news(center, host, report->uuid, look_of(report->power)))
    return true;
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsVm *vm = inv_find_by(head, &ws_type_vm, "uuid", 0, report->uuid);
  if (vm && vm->management == WS_VM_MANAGEMENT_IN_BIN)
    bin_seen_defined(center, host, vm->uuid); /* on whichever host */
  if (vm && is_moving(vm)) {
    if (vm->host != host && report->power && report->power->state == WS_POWER_STATE_OFF)
      hosts_catch_up(center, host); /* its task may come to its end without this host: looked at again when it has */
    return true;
  }
  if (vm && vm->host != host)
    return vm->management != WS_VM_MANAGEMENT_MANAGED || !report->power || compute_take_elsewhere(center, host, vm, report, error);
  if (!vm && has_too_many(head, host)) {
    ws_log(WS_LOG_WARNING, "found-vm-not-taken", "uuid", report->uuid, NULL);
    return true;
  }
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  if (!vm) {
    WsId id = enter_found(center, txn, host, report);
    if (!inv_commit(txn, NULL, error))
      return false;
    center_event(center, CENTER_INFO, &ws_type_vm, id, "outside", "vm_found", "name", compute_found_name(report), NULL);
    return true;
  }
  tell_power(center, vm, report->power);
  if (vm->management == WS_VM_MANAGEMENT_MANAGED)
    compute_tell_lease(center, host, vm, report);
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, vm->id);
  if (edit->management == WS_VM_MANAGEMENT_FOUND)
    compute_fill_found(center, txn, edit, report);
  compute_take_report(center, edit, report);
  return inv_commit(txn, NULL, error);
}

/* A domain that is not on its host any more. A found one leaves the inventory; one of ours stays, off, with an event: its
 * settings are here and it can be started again. */
static void take_gone(Center *center, const WsVm *vm)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  bin_seen_undefined(center, vm->host, vm->uuid);
  if (vm->activity) /* its task may be what made it go, or is about to fail: looked at again when it is over */
    hosts_catch_up(center, vm->host);
  if (vm->activity || vm->management == WS_VM_MANAGEMENT_IN_BIN || SIM_PLANT(gone_vm_kept))
    return;
  if (vm->management != WS_VM_MANAGEMENT_MANAGED) {
    compute_release_volumes(txn, vm);
    inv_delete(txn, &ws_type_vm, vm->id);
    if (!inv_commit(txn, NULL, NULL))
      hosts_catch_up(center, vm->host); /* the event came once */
    return;
  }
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, vm->id);
  WsPower power = {.state = WS_POWER_STATE_OFF, .reason = (char *)UNDEFINED, .look = WS_INT_UNSET};
  if (compute_power_state(vm) == WS_POWER_STATE_OFF && g_strcmp0(vm->power->reason, UNDEFINED) == 0)
    return;
  compute_take_power(center, edit, &power);
  center_event(center, CENTER_MAJOR, &ws_type_vm, vm->id, "outside", "vm_vanished", "name", vm->name, NULL);
  if (!inv_commit(txn, NULL, NULL))
    hosts_catch_up(center, vm->host);
}

typedef struct {
  Center *center;
  WsId host;
  gint64 look;      /* before the list was made */
  GHashTable *seen; /* uuid */
  GPtrArray *gone;  /* WsVm, referenced */
} GoneLook;

static bool look_for_gone(const void *object, void *arg)
{
  GoneLook *look = arg;
  const WsVm *vm = object;
  if (!g_hash_table_contains(look->seen, vm->uuid) &&
      compute_is_news(look->center, look->host, vm->uuid, look->look))
    g_ptr_array_add(look->gone, ws_resource_ref(vm));
  return true;
}

/* ---- full reports ---- */

static void compare_definition(Center *center, WsId host, const WsVmReport *report)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsVm *vm = known(snap, host, report->uuid);
  if (vm)
    compute_compare_nics(center, snap, vm, report->spec);
}

static bool resync_vms(Center *center, WsId host, RpcLink *link, GError **error)
{
  g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autofree char *after = NULL;
  gint64 look_first = WS_INT_UNSET, began_us = ws_clock_monotonic_us(center->clock);
  bool all = true; /* what could not be taken in is read anew soon (hosts.h) */
  for (bool more = true; more;) {
    g_autoptr(WsRpcVmListResult) page = NULL;
    WsRpcVmList params = {.after = after};
    if (!rpc_vm_list(link, &params, &page, NULL, NULL, NULL, error))
      return false;
    if (!after)
      look_first = page->look;
    for (guint i = 0; i < page->vms.len; i++) {
      g_autoptr(GError) failed = NULL;
      g_hash_table_add(seen, g_strdup(page->vms.items[i]->uuid));
      if (take_one(center, host, page->vms.items[i], &failed)) {
        compare_definition(center, host, page->vms.items[i]);
        continue;
      }
      ws_log_error(WS_LOG_WARNING, "vm-report", failed, "uuid", page->vms.items[i]->uuid, NULL);
      if (all && error && !*error)
        g_propagate_error(error, g_steal_pointer(&failed));
      all = false;
    }
    more = page->more && page->vms.len;
    if (g_hash_table_size(seen) > LIST_MAX)
      return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", G_STRINGIFY(LIST_MAX) " VMs", NULL);
    g_free(after);
    after = more ? g_strdup(page->vms.items[page->vms.len - 1]->uuid) : NULL;
  }
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  GoneLook look = {center, host, look_first, seen, gone};
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, look_for_gone, &look);
  for (guint i = 0; i < gone->len; i++)
    take_gone(center, gone->pdata[i]);
  bin_seen_list(center, host, seen, began_us);
  return all;
}

/* The agent reports by itself after libvirt came back. What is gone is known only after the last page; then the list is read anew. */
bool serve_vm_report(RpcCall *call, const WsRpcVmReport *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  WsId host = hosts_of_call(call);
  if (!params->last)
    return true;
  return resync_vms(center, host, rpc_call_link(call), error);
}

/* ---- events ---- */

static void take_guest(WsVm *vm, const WsVmGuest *guest)
{
  if (vm->guest)
    ws_vm_guest_free(vm->guest);
  vm->guest = ws_vm_guest_copy(guest);
}

/* The target of a move tells what the source asked it for; which may be over when it is told, so the VM is at
 * one of the two. About others' it is not believed: it would be a way to have any host suspected. */
static void tell_refused(Center *center, const InvSnapshot *snap, WsId host, const WsRpcVmEvent *event)
{
  char here_id[WS_ID_TEXT_MAX];
  const WsVm *vm = inv_find_by(snap, &ws_type_vm, "uuid", 0, event->uuid);
  const WsHost *here = inv_find(snap, &ws_type_host, host),
               *from = inv_find(snap, &ws_type_host, event->peer);
  if (!vm || !from || (vm->host != host && vm->host != event->peer)) {
    ws_log(WS_LOG_WARNING, "peer-refused-elsewhere", "host", here ? here->name : "-", "peer",
           from ? from->name : "-", "uuid", event->uuid, NULL);
    return;
  }
  center_event_at(center, MIN(event->time, ws_clock_wall_us(center->clock)), CENTER_CRITICAL, &ws_type_vm,
                  vm->id, "host report", "move_peer_refused", "host",
                  here ? here->name : ws_id_format("host", host, here_id), "from", from->name, "name",
                  vm->name, "reason", event->reason ? event->reason : "-", NULL);
}

/* Of a time when nobody was there to be told. A clock of a host may be ahead: nothing has happened after now. */
static void record_missed(Center *center, const WsVm *vm, const WsRpcVmEvent *event)
{
  gint64 time_us = MIN(event->time, ws_clock_wall_us(center->clock));
  const char *reason = event->reason ? event->reason : "-";
  if (event->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED)
    center_event_at(center, time_us, CENTER_MAJOR, &ws_type_vm, vm->id, "host report", "vm_vanished", "name", vm->name, NULL);
  else if (event->power)
    center_event_at(center, time_us, is_bad(event->power) ? CENTER_MAJOR : CENTER_INFO, &ws_type_vm, vm->id, "host report",
                    "vm_power_changed", "state", ws_power_state_names[event->power->state - 1], "reason", reason, NULL);
}

bool serve_vm_event(RpcCall *call, const WsRpcVmEvent *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  WsId host = hosts_of_call(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsVm *vm = known(head, host, params->uuid);
  if (params->kind == WS_RPC_VM_EVENT_KIND_PEER_REFUSED) {
    tell_refused(center, head, host, params);
    return true;
  }
  if (params->missed) {
    if (vm)
      record_missed(center, vm, params);
    return true;
  }
  if (params->report) {
    bool known_now = take_one(center, host, params->report, error);
    if (!known_now)
      hosts_catch_up(center, host); /* an event comes once */
    return known_now;
  }
  if (!vm && !inv_find_by(head, &ws_type_vm, "uuid", 0, params->uuid)) {
    /* A list that was made before may be on its way into the inventory, and would say what is past. */
    if (params->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED)
      compute_note_look(center, host, params->uuid, params->look);
    else
      hosts_catch_up(center, host);
    return true;
  }
  if (!vm && params->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED)
    bin_seen_undefined(center, host, params->uuid); /* it is another host's in the inventory */
  if (!vm || is_moving(vm))
    return true; /* see is_moving() */
  if (!compute_is_news(center, host, params->uuid, look_of(params->power)))
    return true;
  if (params->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED) {
    if (!compute_is_news(center, host, params->uuid, params->look))
      return true;
    compute_note_look(center, host, params->uuid, params->look);
    take_gone(center, vm);
    return true;
  }
  tell_power(center, vm, params->power);
  if (SIM_PLANT(stop_not_heard) && params->kind == WS_RPC_VM_EVENT_KIND_STOPPED)
    return true;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, vm->id);
  compute_take_power(center, edit, params->power);
  if (params->guest && !is_out(edit))
    take_guest(edit, params->guest);
  bool taken = inv_commit(txn, NULL, error);
  if (!taken)
    hosts_catch_up(center, host);
  return taken;
}

/* ---- load ---- */

static void take_samples(Center *center, WsId host, const WsRpcVmStatsResult *result)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  for (guint i = 0; i < result->samples.len; i++) {
    const WsVmSample *sample = result->samples.items[i];
    WsVm *vm = sample->vm ? inv_edit_id(txn, &ws_type_vm, sample->vm) : NULL;
    if (!vm || vm->host != host || !sample->usage)
      continue;
    if (vm->usage)
      ws_vm_usage_free(vm->usage);
    vm->usage = ws_vm_usage_copy(sample->usage);
  }
  inv_commit(txn, NULL, NULL);
}

static void poll_usage(Center *center, WsId host)
{
  g_autoptr(WsRpcVmStatsResult) result = NULL;
  RpcLink *link = hosts_link(center, host, NULL);
  if (link && rpc_vm_stats(link, &result, NULL, NULL, NULL, NULL))
    take_samples(center, host, result);
}

static bool poll_host(const void *object, void *arg)
{
  const WsHost *host = object;
  if (host->state == WS_HOST_STATE_CONNECTED)
    g_array_append_val((GArray *)arg, host->id);
  return true;
}

/* One coroutine for all: a host that hangs costs its own deadline, so each gets its own turn in a coroutine of its own. */
typedef struct {
  Center *center;
  WsId host;
} Poll;

static void poll_one(void *arg)
{
  g_autofree Poll *poll = arg;
  poll_usage(poll->center, poll->host);
}

static void begin_poll(void *arg);

/* Spread over half of the interval: thousands of hosts that are asked, and answer, at once would hold everybody else up. */
static void poll_all(void *arg)
{
  Center *center = arg;
  gint64 began_us = ws_clock_monotonic_us(center->clock);
  g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(WsId));
  InvSnapshot *snap = inv_snapshot(center->inventory);
  inv_each(snap, &ws_type_host, poll_host, hosts);
  inv_snapshot_unref(snap); /* not kept while waiting */
  for (guint i = 0; i < hosts->len; i++) {
    Poll *poll = g_new(Poll, 1);
    *poll = (Poll){center, g_array_index(hosts, WsId, i)};
    ws_co_start(center->loop, poll_one, poll);
    if (i % POLL_TOGETHER == POLL_TOGETHER - 1)
      ws_co_sleep(USAGE_US / 2 * POLL_TOGETHER / hosts->len);
  }
  center->usage_timer = ws_loop_after(center->loop, MAX(began_us + USAGE_US - ws_clock_monotonic_us(center->clock), USAGE_US / 4), begin_poll, center);
}

static void begin_poll(void *arg)
{
  Center *center = arg;
  center->usage_timer = NULL;
  ws_co_start(center->loop, poll_all, center);
}

/* The host is away: what its VMs do is not known. */
static bool forget_power(const void *object, void *arg)
{
  Center *center = ((void **)arg)[0];
  InvTxn *txn = ((void **)arg)[1];
  const WsVm *vm = object;
  if (is_out(vm) || vm->management == WS_VM_MANAGEMENT_IN_BIN)
    return true;
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, vm->id);
  WsPower power = {.state = WS_POWER_STATE_UNKNOWN, .reason = (char *)HOST_LOST, .look = WS_INT_UNSET};
  compute_take_power(center, edit, &power);
  return true;
}

static void vms_down(Center *center, WsId host)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  void *arg[] = {center, txn};
  inv_each_by(head, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, forget_power, arg);
  inv_commit(txn, NULL, NULL);
  bin_seen_away(center, host);
}

/* Did it have this disk before, in the same way? */
static bool had_disk(const WsVm *before, const WsVmDisk *disk)
{
  for (guint i = 0; before && before->management == WS_VM_MANAGEMENT_MANAGED && i < before->disks.len; i++)
    if (before->disks.items[i]->volume == disk->volume && before->disks.items[i]->shared == disk->shared)
      return true;
  return false;
}

/* A disk that is new to the VM. What is made with it nobody else can have: there no look at all others. */
static bool check_disk_taken(const InvSnapshot *head, const WsVm *vm, const WsVmDisk *disk, GError **error)
{
  const WsVolume *volume = inv_find(head, &ws_type_volume, disk->volume);
  if (!volume || volume->state == WS_VOLUME_STATE_CREATING)
    return true;
  const WsVm *user = disk->shared ? inv_find(head, &ws_type_vm, volume->used_by) : pools_sharer(head, volume, vm->id);
  return !user || ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", user->name, NULL);
}

/* A volume belongs to one VM, or to all that share it, whatever tasks believe: two that write one disk destroy it. */
static bool check_disks_owned(const InvSnapshot *head, const void *old_object, const void *new_object, GError **error)
{
  const WsVm *vm = new_object;
  for (guint i = 0; vm && vm->management == WS_VM_MANAGEMENT_MANAGED && i < vm->disks.len; i++) {
    const WsVmDisk *disk = vm->disks.items[i];
    const WsVolume *volume = disk->shared ? NULL : inv_find(head, &ws_type_volume, disk->volume);
    if (!had_disk(old_object, disk) && !check_disk_taken(head, vm, disk, error))
      return false;
    if (!volume || volume->used_by == vm->id)
      continue;
    const WsVm *user = inv_find(head, &ws_type_vm, volume->used_by);
    return ws_fail(error, WS_ERROR_IN_USE, "object", volume->name, "user", user ? user->name : "nobody", NULL);
  }
  return true;
}

void compute_start(Center *center)
{
  compute_follow_networks(center);
  place_start(center);
  center->quotas = quotas_new(center->inventory);
  center->troubles = troubles_new(center);
  center->logs_asked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  inv_add_check(center->inventory, &ws_type_vm, check_disks_owned);
  hosts_add_resync(center, resync_vms);
  hosts_add_down(center, vms_down);
  center->usage_timer = ws_loop_after(center->loop, USAGE_US, begin_poll, center);
}
