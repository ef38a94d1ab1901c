// SPDX-License-Identifier: Apache-2.0
/* The calls of the simulated host for moves (api/rpc/migrate.yaml). A move takes HOST_MOVE_US and then comes over in two acts, the guest complete
 * on the target and gone from the source, with nothing of the manager's in between. */
#include "center-host-private.h"
#include <string.h>

#define RUNNING WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING
#define DONE    WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_DONE
#define FAILED  WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_FAILED

static HostMove *find_move(HostTruth *truth, const char *session)
{
  for (guint i = 0; i < HOST_MOVES; i++)
    if (truth->moves[i].there && strcmp(truth->moves[i].session, session) == 0)
      return &truth->moves[i];
  return NULL;
}

static HostMove *new_move(HostTruth *truth, const char *uuid, const char *session)
{
  for (guint i = 0; i < HOST_MOVES; i++) {
    HostMove *move = &truth->moves[i];
    if (move->there)
      continue;
    move->there = true;
    g_strlcpy(move->uuid, uuid, sizeof move->uuid);
    g_strlcpy(move->session, session, sizeof move->session);
    return move;
  }
  g_assert_not_reached();
}

/* ---- coming over ---- */

static void give_up(HostMove *move, const char *why)
{
  move->job = FAILED;
  move->ends_us = 0;
  g_strlcpy(move->failure, why, sizeof move->failure);
}

/* A VM that is off: its files are made as they arrive. */
static HostFile *make_file(HostSim *sim, const HostFile *source, const WsVmSpecDisk *to)
{
  HostFile *f = host_new_file(sim->disks);
  f->pool = to->pool;
  f->format = (int)to->format;
  f->size_bytes = source->size_bytes;
  g_strlcpy(f->file, to->file, sizeof f->file);
  return f;
}

/* The bytes of each disk whose file over there is another one. */
static bool copy_disks(HostSim *sim, const HostDomain *d, const WsVmSpec *there, bool off)
{
  g_autoptr(WsVmSpec) here = host_spec(d);
  for (guint i = 0; i < here->disks.len; i++) {
    const WsVmSpecDisk *from = here->disks.items[i], *to = there->disks.items[i];
    const HostFile *source = host_find_file(sim->disks, from->pool, from->file);
    HostFile *target = host_find_file(sim->disks, to->pool, to->file);
    if (!target && source && off)
      target = make_file(sim, source, to);
    if (!source || !target)
      return false;
    target->content = source->content;
    target->allocated_bytes = source->allocated_bytes;
  }
  return true;
}

static void drop_arrival(HostSim *sim, HostDomain *d)
{
  char uuid[40];
  g_strlcpy(uuid, d->uuid, sizeof uuid);
  memset(d, 0, sizeof *d);
  host_tell(sim, uuid, NULL, WS_RPC_VM_EVENT_KIND_UNDEFINED, false);
}

static HostDomain *arrive(HostSim *target, const HostDomain *from, const WsVmSpec *spec, bool off)
{
  HostDomain *d = host_find_domain(target->truth, from->uuid);
  if (!d)
    d = host_new_domain(target->truth);
  g_strlcpy(d->uuid, from->uuid, sizeof d->uuid);
  d->vm = from->vm;
  d->power = off ? WS_POWER_STATE_OFF : WS_POWER_STATE_PAUSED;
  d->arrived = true;
  d->gone_over = false;
  host_write_spec(d, spec);
  host_tell(target, d->uuid, d, off ? WS_RPC_VM_EVENT_KIND_DEFINED : WS_RPC_VM_EVENT_KIND_STARTED, true);
  return d;
}

static void come_over(HostSim *sim, HostMove *move)
{
  g_autoptr(GError) error = NULL;
  HostDomain *d = host_find_domain(sim->truth, move->uuid), *there;
  g_autoptr(WsVmSpec) spec = ws_vm_spec_parse(move->spec, strlen(move->spec), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  if (!d || host_is_on(d) == move->off || !find_move(sim->peer->truth, move->session)) {
    give_up(move, "gone");
    return;
  }
  if (sim->peer->truth->suspects) {
    host_sim_suspect(sim->peer, d->uuid, find_move(sim->peer->truth, move->session)->peer);
    give_up(move, "broken off");
    return;
  }
  if (!host_before(sim->peer, "vm.arrive", &error) || !copy_disks(sim, d, spec, move->off)) {
    give_up(move, "simulated");
    return;
  }
  there = arrive(sim->peer, d, spec, move->off);
  there->arriving = move->off ? 0 : find_move(sim->peer->truth, move->session)->generation;
  host_after(sim->peer, "vm.arrive");
  if (move->off) {
    move->job = DONE;
    move->ends_us = 0;
    return;
  }
  if (!host_before(sim, "vm.leave", &error)) {
    drop_arrival(sim->peer, there);
    give_up(move, "simulated");
    return;
  }
  d->power = WS_POWER_STATE_OFF;
  d->gone_over = true;
  host_lease_release(sim, d);
  move->job = DONE;
  move->ends_us = 0;
  host_tell(sim, d->uuid, d, WS_RPC_VM_EVENT_KIND_STOPPED, false);
  host_after(sim, "vm.leave");
}

void host_end_moves(void *arg)
{
  HostSim *sim = arg;
  gint64 now_us = ws_clock_wall_us(ws_loop_clock(sim->loop));
  for (guint i = 0; i < HOST_MOVES; i++) {
    HostMove *move = &sim->truth->moves[i];
    if (move->there && move->ends_us && move->ends_us <= now_us)
      come_over(sim, move);
  }
}

/* ---- calls ---- */

SERVE(vm_migrate_look, VmMigrateLook)
{
  HostSim *sim = host_sim_of(call);
  const HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (!d)
    return host_not_found(params->uuid, error);
  *result = ws_rpc_vm_migrate_look_result_new();
  (*result)->sight = ws_vm_move_sight_new();
  (*result)->sight->power = host_power(sim->truth, d);
  return true;
}

SERVE(vm_dirty_rate, VmDirtyRate)
{
  HostSim *sim = host_sim_of(call);
  if (!sim->truth->dirty_bytes_per_s)
    return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", params->uuid, "operation", "measure", "cause",
                   "simulated", NULL);
  sim->truth->n_measured++;
  *result = ws_rpc_vm_dirty_rate_result_new();
  (*result)->bytes_per_s = sim->truth->dirty_bytes_per_s;
  return true;
}

SERVE(vm_migrate_check, VmMigrateCheck)
{
  const HostTruth *truth = host_sim_of(call)->truth;
  if (truth->boots && truth->libvirt_late)
    return ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, NULL);
  *result = ws_rpc_vm_migrate_check_result_new();
  return true;
}

SERVE(vm_migrate_prepare, VmMigratePrepare)
{
  HostSim *sim = host_sim_of(call);
  if (!find_move(sim->truth, params->session)) {
    if (!host_before(sim, "vm.migrate_prepare", error))
      return false;
    HostMove *move = new_move(sim->truth, params->uuid, params->session);
    move->generation = params->generation;
    move->peer = params->peer;
    host_after(sim, "vm.migrate_prepare");
  }
  *result = ws_rpc_vm_migrate_prepare_result_new();
  (*result)->port = 49152;
  (*result)->folder = g_strdup("/run/winsphere/move");
  return true;
}

SERVE_PLAIN(vm_migrate_start, VmMigrateStart)
{
  HostSim *sim = host_sim_of(call);
  const HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (find_move(sim->truth, params->session))
    return true;
  if (!d)
    return host_not_found(params->uuid, error);
  if (host_is_on(d) == params->offline)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "move", "state", params->offline ? "running" : "off", NULL);
  if (!host_before(sim, "vm.migrate_start", error))
    return false;
  HostMove *move = new_move(sim->truth, params->uuid, params->session);
  g_autofree char *json = ws_object_to_json(&ws_type_vm_spec, params->spec, WS_WRITE_PEER, NULL);
  g_assert_cmpuint(strlen(json), <, sizeof move->spec);
  g_strlcpy(move->spec, json, sizeof move->spec);
  move->off = params->offline;
  move->job = RUNNING;
  move->ends_us = ws_clock_wall_us(ws_loop_clock(sim->loop)) + HOST_MOVE_US;
  ws_loop_after(sim->loop, HOST_MOVE_US, host_end_moves, sim);
  return host_after(sim, "vm.migrate_start");
}

static int domain_word(const HostDomain *d)
{
  if (!d)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_ABSENT;
  if (d->power == WS_POWER_STATE_RUNNING)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_RUNNING;
  if (d->power == WS_POWER_STATE_PAUSED)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED;
  return d->gone_over ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_GONE_OVER : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OFF;
}

SERVE(vm_migrate_status, VmMigrateStatus)
{
  HostSim *sim = host_sim_of(call);
  const HostMove *move = find_move(sim->truth, params->session);
  *result = ws_rpc_vm_migrate_status_result_new();
  (*result)->domain = domain_word(host_find_domain(sim->truth, params->uuid));
  (*result)->job = move && move->job ? (WsRpcVmMigrateStatusResultJob)move->job : WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE;
  if (move && !move->job && sim->truth->suspects)
    (*result)->refused = g_strdup("libvirt's procedure 24");
  if (move && move->job == FAILED) {
    (*result)->failure = ws_failure_new();
    (*result)->failure->code = g_strdup(move->failure);
  }
  return true;
}

SERVE_PLAIN(vm_migrate_cancel, VmMigrateCancel)
{
  HostSim *sim = host_sim_of(call);
  HostMove *move = find_move(sim->truth, params->session);
  if (!move || move->job != RUNNING)
    return true;
  if (!host_before(sim, "vm.migrate_cancel", error))
    return false;
  give_up(move, "cancelled");
  return host_after(sim, "vm.migrate_cancel");
}

SERVE(vm_migrate_release, VmMigrateRelease)
{
  HostSim *sim = host_sim_of(call);
  HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (!d)
    return host_not_found(params->uuid, error);
  if (d->power != WS_POWER_STATE_RUNNING) {
    if (!d->arrived)
      return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "run", "state", ws_power_state_names[d->power - 1], NULL);
    HostAsk ask = {.generation = d->arriving ? d->arriving : WS_INT_UNSET, .handed_over = true};
    if (!host_before(sim, "vm.migrate_release", error) || !host_lease_take(sim, d, &ask, error))
      return false;
    d->arriving = 0;
    d->power = WS_POWER_STATE_RUNNING;
    d->arrived = false;
    host_tell(sim, d->uuid, d, WS_RPC_VM_EVENT_KIND_RESUMED, false);
    host_after(sim, "vm.migrate_release");
  }
  *result = ws_rpc_vm_migrate_release_result_new();
  (*result)->power = host_power(sim->truth, d);
  return true;
}

SERVE_PLAIN(vm_migrate_drop, VmMigrateDrop)
{
  HostSim *sim = host_sim_of(call);
  HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (!d)
    return true;
  if (!d->arrived && host_is_on(d))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "be dropped", "state", ws_power_state_names[d->power - 1], NULL);
  if (!host_before(sim, "vm.migrate_drop", error))
    return false;
  drop_arrival(sim, d);
  return host_after(sim, "vm.migrate_drop");
}

SERVE_PLAIN(vm_lease_pass, VmLeasePass)
{
  HostSim *sim = host_sim_of(call);
  HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (!d)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->uuid, NULL);
  if (!params->back && host_is_on(d))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "become another host's", "state", ws_power_state_names[d->power - 1], NULL);
  if (params->back && (d->lease != WS_VM_LEASE_STATE_LOST || d->generation != params->generation))
    return true;
  if (!host_before(sim, "vm.lease_pass", error))
    return false;
  host_lease_release(sim, d);
  d->generation = MAX(d->generation, params->generation);
  d->lease = params->back ? WS_VM_LEASE_STATE_FREE : WS_VM_LEASE_STATE_LOST;
  return host_after(sim, "vm.lease_pass");
}

SERVE_PLAIN(vm_migrate_close, VmMigrateClose)
{
  HostSim *sim = host_sim_of(call);
  HostMove *move = find_move(sim->truth, params->session);
  if (!move)
    return true;
  if (!host_before(sim, "vm.migrate_close", error))
    return false;
  HostDomain *d = host_find_domain(sim->truth, move->uuid);
  if (d && d->arrived && d->power != WS_POWER_STATE_RUNNING && move->job == 0)
    d->arrived = false; /* a person had paused it, or it is off: it is here now, as it was there */
  memset(move, 0, sizeof *move);
  return host_after(sim, "vm.migrate_close");
}

/* ---- disks on their host ---- */

static const WsVmMoveHere *here_of(WsVmMoveHere *const *disks, guint n, const char *key)
{
  for (guint i = 0; i < n; i++)
    if (strcmp(disks[i]->key, key) == 0)
      return disks[i];
  return NULL;
}

/* Whether all use the new files. With `spec` (may be NULL) they are written into it. */
static bool uses_new(const HostDomain *d, WsVmMoveHere *const *disks, guint n, WsVmSpec *spec)
{
  g_autoptr(WsVmSpec) now = host_spec(d);
  bool all = true;
  for (guint i = 0; i < now->disks.len; i++) {
    const WsVmMoveHere *here = here_of(disks, n, now->disks.items[i]->key);
    if (!here)
      continue;
    all = all && strcmp(now->disks.items[i]->file, here->file) == 0;
    if (spec) {
      spec->disks.items[i]->pool = here->pool;
      spec->disks.items[i]->format = (int)here->format;
      g_free(spec->disks.items[i]->file);
      spec->disks.items[i]->file = g_strdup(here->file);
    }
  }
  return all;
}

SERVE_PLAIN(vm_move_disks, VmMoveDisks)
{
  HostSim *sim = host_sim_of(call);
  HostDomain *d = host_find_domain(sim->truth, params->uuid);
  if (!d)
    return host_not_found(params->uuid, error);
  g_autoptr(WsVmSpec) spec = host_spec(d);
  if (uses_new(d, params->disks.items, params->disks.len, spec))
    return true;
  if (host_is_on(d) == params->offline)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "move", "state", "-", NULL);
  if (!host_before(sim, "vm.move_disks", error))
    return false;
  if (!params->offline && !copy_disks(sim, d, spec, false))
    return host_not_found("a file", error);
  host_write_spec(d, spec);
  return host_after(sim, "vm.move_disks");
}

SERVE(vm_move_disks_abort, VmMoveDisksAbort)
{
  const HostDomain *d = host_find_domain(host_sim_of(call)->truth, params->uuid);
  *result = ws_rpc_vm_move_disks_abort_result_new();
  (*result)->moved = d && uses_new(d, params->disks.items, params->disks.len, NULL);
  return true;
}

const RpcService host_move_services[] = {
    ROW(vm_move_disks, vm_move_disks),         ROW(vm_move_disks_abort, vm_move_disks_abort),
    ROW(vm_migrate_look, vm_migrate_look),     ROW(vm_dirty_rate, vm_dirty_rate),
    ROW(vm_migrate_check, vm_migrate_check),   ROW(vm_migrate_prepare, vm_migrate_prepare),
    ROW(vm_migrate_start, vm_migrate_start),   ROW(vm_migrate_status, vm_migrate_status),
    ROW(vm_migrate_cancel, vm_migrate_cancel), ROW(vm_migrate_release, vm_migrate_release),
    ROW(vm_migrate_drop, vm_migrate_drop),     ROW(vm_migrate_close, vm_migrate_close),
    ROW(vm_lease_pass, vm_lease_pass),
};
const guint host_n_move_services = G_N_ELEMENTS(host_move_services);
