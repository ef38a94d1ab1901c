// SPDX-License-Identifier: Apache-2.0
/* The right to run a VM, as the manager gives it (docs/leases.md): each has a greater generation than all before, and is durable here before a
 * host hears of it. So a host that comes back with an old one is known by it, and what an older manager believes is refused by the hosts. */
#include "center/compute/compute.h"
#include "center/hosts/hosts.h"

void compute_next_right(WsVm *vm)
{
  vm->run_generation = MAX(vm->run_generation, 0) + 1; /* one that was found, or stored before there were rights, has none */
}

bool compute_grant(Task *task, void *ctx, GError **error)
{
  const VmJob *job = ctx;
  char text[32];
  WsVm *vm = inv_edit_id(task_txn(task), &ws_type_vm, job->id);
  if (!vm)
    return compute_find(task_snapshot(task), job->id, error) != NULL;
  compute_next_right(vm);
  g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, vm->run_generation);
  task_set_result(task, text);
  return true;
}

gint64 compute_granted(Task *task)
{
  const char *text = task_step_result(task, COMPUTE_GRANT);
  return text ? g_ascii_strtoll(text, NULL, 10) : WS_INT_UNSET;
}

/* ---- what hosts have seen ---- */

/* No inventory is so many starts behind its hosts: a host that says more lies, and the number must never come to its end. */
#define AHEAD_MAX ((gint64)1 << 32)

void compute_take_lease(WsVm *vm, const WsVmLease *lease)
{
  gint64 known = MAX(vm->run_generation, 0);
  if (lease && lease->generation > known && lease->generation - known <= AHEAD_MAX)
    vm->run_generation = lease->generation;
}

static void host_name(const InvSnapshot *snap, WsId host, char *buffer, gsize n)
{
  char id[WS_ID_TEXT_MAX];
  const WsHost *object = inv_find(snap, &ws_type_host, host);
  g_strlcpy(buffer, object ? object->name : ws_id_format(ws_type_host.prefix, host, id), n);
}

void compute_tell_lease(Center *center, WsId host, const WsVm *vm, const WsVmReport *report)
{
  const WsVmLease *lease = report->lease;
  char name[256], seen[32], known[32];
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  host_name(snap, host, name, sizeof name);
  if (lease && lease->generation > vm->run_generation && !vm->activity) {
    g_snprintf(seen, sizeof seen, "%" G_GINT64_FORMAT, lease->generation);
    g_snprintf(known, sizeof known, "%" G_GINT64_FORMAT, vm->run_generation);
    center_event(center, CENTER_MAJOR, &ws_type_vm, vm->id, "host report", "lease_ahead", "generation", seen, "known", known, "host", name, NULL);
  }
  bool lost = lease && lease->state == WS_VM_LEASE_STATE_LOST && report->power && compute_is_on((int)report->power->state);
  if (!lost && vm->health && vm->health->alarm)
    center_alarm_close(center, &ws_type_vm, vm->id, "lease_lost");
  else if (lost && !vm->activity)
    center_alarm_open(center, CENTER_CRITICAL, &ws_type_vm, vm->id, "lease_lost");
}

/* ---- a VM of ours that a host has which is not its own ---- */

typedef enum { IS_LEFT_BEHIND, IS_NEWER, IS_STALE, IS_UNCLEAR } Elsewhere;

static Elsewhere look_elsewhere(const WsVm *vm, const WsVmReport *report)
{
  const WsVmLease *lease = report->lease;
  bool off = report->power->state == WS_POWER_STATE_OFF, lost = lease && lease->state == WS_VM_LEASE_STATE_LOST;
  if (report->vm != vm->id)
    return IS_UNCLEAR;
  if (off && (!lease || lost || lease->generation < vm->run_generation))
    return IS_LEFT_BEHIND;
  /* The same number, held there: given in an earlier life, and again by an inventory that had forgotten. Only one can have taken it. */
  bool holds = lease && lease->state == WS_VM_LEASE_STATE_HELD && lease->generation == vm->run_generation;
  if (lease && !lost && (lease->generation > vm->run_generation || holds))
    return IS_NEWER;
  return lease && !off && lease->generation < vm->run_generation ? IS_STALE : IS_UNCLEAR;
}

typedef enum { HOME_UNKNOWN, HOME_RUNS, HOME_NEVER_HAD_IT, HOME_HAD_IT } Home;

/* The VM's host's own word: does it run it, with the newest right, or had it a right after that of the other host (`theirs`)? */
static Home ask_home(Center *center, const WsVm *vm, gint64 theirs)
{
  g_autoptr(GError) error = NULL;
  RpcLink *link = hosts_link(center, vm->host, NULL);
  WsRpcVmGet params = {.vm = vm->id, .uuid = vm->uuid};
  g_autoptr(WsRpcVmGetResult) result = NULL;
  if (!link)
    return HOME_UNKNOWN;
  if (!rpc_vm_get(link, &params, &result, NULL, NULL, NULL, &error))
    return ws_error_code(error) == WS_ERROR_NOT_FOUND ? HOME_NEVER_HAD_IT : HOME_UNKNOWN;
  const WsVmLease *lease = result->report->lease;
  bool on = result->report->power && compute_is_on((int)result->report->power->state);
  bool holds = lease && lease->state == WS_VM_LEASE_STATE_HELD;
  if (on || holds)
    return on && holds && lease->generation >= vm->run_generation ? HOME_RUNS : HOME_UNKNOWN;
  return lease && lease->generation > theirs ? HOME_HAD_IT : HOME_NEVER_HAD_IT;
}

/* All of its disks are where this host sees them, under the same names: nothing but the host is another. */
static bool has_same_disks(const InvSnapshot *head, WsId host, const WsVm *vm, const WsVmSpec *spec)
{
  if (!spec || spec->disks.len != vm->disks.len)
    return false;
  for (guint i = 0; i < vm->disks.len; i++) {
    const WsVolume *volume = inv_find(head, &ws_type_volume, vm->disks.items[i]->volume);
    const WsPool *pool = volume ? inv_find(head, &ws_type_pool, volume->pool) : NULL;
    bool seen = false;
    for (guint j = 0; pool && j < pool->hosts.len; j++)
      seen |= pool->hosts.items[j] == host;
    if (!seen || volume->pool != spec->disks.items[i]->pool || g_strcmp0(volume->file, spec->disks.items[i]->file) != 0)
      return false;
  }
  return true;
}

/* The inventory is older than the hosts: it is brought in line with them. */
static bool take_to(Center *center, WsId host, WsId id, const WsVmReport *report, bool *taken, GError **error)
{
  char from[256], to[256];
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsVm *vm = inv_find(head, &ws_type_vm, id);
  *taken = vm && !vm->activity && !compute_is_on(compute_power_state(vm)) && has_same_disks(head, host, vm, report->spec);
  if (!*taken)
    return true;
  host_name(head, vm->host, from, sizeof from);
  host_name(head, host, to, sizeof to);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsVm *edit = inv_edit_id(txn, &ws_type_vm, id);
  edit->host = host;
  compute_link_nics(head, edit, report->spec);
  compute_take_report(center, edit, report);
  if (!inv_commit(txn, NULL, error))
    return false;
  hosts_catch_up(center, vm->host); /* what it still has of it is a leftover now */
  center_alarm_close(center, &ws_type_vm, id, "vm_elsewhere");
  center_event(center, CENTER_MAJOR, &ws_type_vm, id, "host report", "vm_found_at", "name", vm->name, "host", to, "from", from, NULL);
  return true;
}

static bool remove_there(Center *center, WsId host, const WsVm *vm, GError **error)
{
  WsRpcVmUndefine params = {.vm = vm->id, .uuid = vm->uuid, .keep_state = vm->tpm};
  if (!compute_undefine(center, host, &params, error))
    return false;
  center_alarm_close(center, &ws_type_vm, vm->id, "vm_elsewhere");
  return true;
}

/* Its guest has run on since another host got the right: what it did meanwhile is lost, and it must do no more. */
static bool end_stale(Center *center, WsId host, const WsVm *vm, GError **error)
{
  char here[256], home[256];
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  host_name(snap, host, here, sizeof here);
  host_name(snap, vm->host, home, sizeof home);
  RpcLink *link = hosts_link(center, host, error);
  WsRpcVmPowerOff params = {.vm = vm->id, .uuid = vm->uuid};
  g_autoptr(WsRpcVmPowerOffResult) result = NULL;
  if (!link || !rpc_vm_power_off(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  center_event(center, CENTER_CRITICAL, &ws_type_vm, vm->id, "host report", "stale_vm_ended", "host", here, "other", home, NULL);
  return remove_there(center, host, vm, error);
}

static void tell_unclear(Center *center, WsId host, const WsVm *vm)
{
  char name[256];
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  if (center_alarm_is_open(center, &ws_type_vm, vm->id, "vm_elsewhere"))
    return;
  host_name(snap, host, name, sizeof name);
  center_event(center, CENTER_CRITICAL, &ws_type_vm, vm->id, "host report", "vm_elsewhere", "name", vm->name, "host", name, NULL);
  center_alarm_open(center, CENTER_CRITICAL, &ws_type_vm, vm->id, "vm_elsewhere");
}

bool compute_take_elsewhere(Center *center, WsId host, const WsVm *vm, const WsVmReport *report, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  bool taken = false;
  switch (look_elsewhere(vm, report)) {
  case IS_LEFT_BEHIND:
    if (!remove_there(center, host, vm, error))
      return false;
    center_event(center, CENTER_INFO, &ws_type_vm, vm->id, "host report", "move_leftover_gone", "host",
                 ws_id_format(ws_type_host.prefix, host, id), NULL);
    return true;
  case IS_NEWER:
    if (!take_to(center, host, vm->id, report, &taken, error))
      return false;
    break;
  case IS_STALE: {
    Home home = ask_home(center, vm, report->lease->generation);
    if (home == HOME_RUNS)
      return end_stale(center, host, vm, error);
    /* Nobody took what was given since: starts that were refused. Who holds it is right. */
    if (home == HOME_NEVER_HAD_IT && report->lease->state == WS_VM_LEASE_STATE_HELD && !take_to(center, host, vm->id, report, &taken, error))
      return false;
    break;
  }
  default:
    break;
  }
  if (!taken)
    tell_unclear(center, host, vm);
  if (!taken)
    hosts_catch_up(center, host); /* it may be clear when another host can be asked */
  return true;
}
