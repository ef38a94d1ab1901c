// SPDX-License-Identifier: Apache-2.0
/* The calls of the simulated host, in the order of api/rpc: host, pools, volumes, VMs, networks. Each looks first, acts once between BEFORE
 * and AFTER, and answers from the truth. What is repeated finds its work done. */
#include "center-host-private.h"
#include <string.h>

HostSim *host_sim_of(RpcCall *call)
{
  return rpc_link_arg(rpc_call_link(call));
}

static HostTruth *truth_of(RpcCall *call)
{
  return host_sim_of(call)->truth;
}

static HostDisks *disks_of(RpcCall *call)
{
  return host_sim_of(call)->disks;
}

bool host_before(HostSim *sim, const char *method, GError **error)
{
  return !sim->act || sim->act(method, HOST_BEFORE, sim->arg, error);
}

bool host_after(HostSim *sim, const char *method)
{
  if (sim->act)
    sim->act(method, HOST_AFTER, sim->arg, NULL);
  return true;
}

static bool before(RpcCall *call, const char *method, GError **error)
{
  return host_before(host_sim_of(call), method, error);
}

static bool after(RpcCall *call, const char *method)
{
  return host_after(host_sim_of(call), method);
}

bool host_not_found(const char *what, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_FOUND, "object", what, NULL);
}

/* ---- host ---- */

SERVE_AS(host_facts, void, WsRpcHostFactsResult)
{
  *result = ws_rpc_host_facts_result_new();
  (*result)->facts = ws_host_facts_new();
  (*result)->facts->hostname = g_strdup(host_sim_of(call)->name);
  (*result)->facts->architecture = WS_ARCHITECTURE_X86_64;
  if (host_sim_of(call)->version) {
    (*result)->facts->versions = ws_host_versions_new();
    (*result)->facts->versions->agent = g_strdup(host_sim_of(call)->version);
  }
  (*result)->facts->memory_bytes = (gint64)64 << 30;
  (*result)->facts->cpu = ws_host_cpu_new();
  (*result)->facts->cpu->threads = 16;
  (*result)->facts->boot_time = (truth_of(call)->boots + 1) * (gint64)3600 * G_USEC_PER_SEC;
  return true;
}

SERVE_AS(host_packages, void, WsRpcHostPackagesResult)
{
  static const struct {
    WsHostPackageChangeAction action;
    const char *package, *version, *before;
  } done[] = {{WS_HOST_PACKAGE_CHANGE_ACTION_UPGRADED, "qemu-system-x86", "1:7.2+dfsg-8", "1:7.2+dfsg-7"},
              {WS_HOST_PACKAGE_CHANGE_ACTION_INSTALLED, "nfs-common", "1:2.6.2-4", NULL}};
  *result = ws_rpc_host_packages_result_new();
  (*result)->packages = ws_host_packages_new();
  for (guint i = 0; i < G_N_ELEMENTS(done); i++) {
    WsHostPackageChange *change = ws_host_package_change_new();
    change->time = (gint64)3600 * G_USEC_PER_SEC * (gint64)(10 - i);
    change->action = done[i].action;
    change->package = g_strdup(done[i].package);
    change->version = g_strdup(done[i].version);
    change->before = g_strdup(done[i].before);
    ws_array_add(&(*result)->packages->changes, change);
  }
  return true;
}

void host_lose_power(HostTruth *truth)
{
  truth->is_off = 1;
  for (guint i = 0; i < HOST_DOMAINS; i++)
    if (truth->domains[i].there && truth->domains[i].power != WS_POWER_STATE_HIBERNATED)
      truth->domains[i].power = WS_POWER_STATE_OFF;
}

SERVE_PLAIN(host_power_off, HostPowerOff)
{
  const char *method = params->reboot ? "host.reboot" : "host.power_off";
  if (!before(call, method, error))
    return false;
  host_lose_power(truth_of(call));
  return after(call, method);
}

SERVE_PLAIN(host_firewall, HostFirewall)
{
  HostTruth *truth = truth_of(call);
  g_autofree char *wanted = params->enabled ? ws_object_to_json(&ws_type_rpc_host_firewall, params, WS_WRITE_PEER, NULL) : g_strdup("");
  if (strcmp(wanted, truth->firewall) == 0)
    return true;
  if (!before(call, "host.firewall", error))
    return false;
  memset(truth->firewall, 0, sizeof truth->firewall);
  g_strlcpy(truth->firewall, wanted, sizeof truth->firewall);
  return after(call, "host.firewall");
}

/* ---- pools ---- */

static WsPoolStatus *status_of(const HostDisks *disks, const HostPool *pool)
{
  WsPoolStatus *status = ws_pool_status_new();
  status->state = pool->suspended ? WS_POOL_STATUS_STATE_SUSPENDED : WS_POOL_STATUS_STATE_ACTIVE;
  status->uuid = g_strdup(pool->uuid);
  status->filesystem = g_strdup("ext4");
  status->capacity_bytes = (gint64)1 << 40;
  for (guint i = 0; i < HOST_POOLS; i++)
    if (disks->spaces[i].pool == pool->pool)
      status->capacity_bytes = disks->spaces[i].capacity_bytes;
  status->available_bytes = host_free_bytes(disks, pool->pool);
  status->allocated_bytes = 0;
  return status;
}

static HostPool *usable_pool(HostTruth *truth, WsId id, GError **error)
{
  HostPool *pool = host_find_pool(truth, id);
  if (!pool)
    return host_not_found("the pool", error) ? pool : NULL;
  if (!pool->suspended)
    return pool;
  ws_fail(error, WS_ERROR_WRONG_STATE, "object", pool->path, "verb", "be used", "state", "suspended", NULL);
  return NULL;
}

/* 0: a free place */
static WsId *find_mark(HostDisks *disks, WsId pool)
{
  for (guint i = 0; i < HOST_POOLS; i++)
    if (disks->marked[i] == pool)
      return &disks->marked[i];
  return NULL;
}

SERVE(pool_prepare, PoolPrepare)
{
  HostTruth *truth = truth_of(call);
  HostPool *pool = host_find_pool(truth, params->pool);
  WsId *mark = find_mark(disks_of(call), params->pool);
  if (!mark && !params->create)
    return host_not_found(params->path, error);
  if (!pool || pool->suspended != params->suspended) {
    if (!before(call, "pool.prepare", error))
      return false;
    if (!pool)
      pool = host_new_pool(truth);
    if (!mark)
      *find_mark(disks_of(call), 0) = params->pool;
    pool->pool = params->pool;
    pool->suspended = params->suspended;
    g_strlcpy(pool->path, params->path, sizeof pool->path);
    g_strlcpy(pool->uuid, params->uuid, sizeof pool->uuid);
    after(call, "pool.prepare");
  }
  *result = ws_rpc_pool_prepare_result_new();
  (*result)->status = status_of(disks_of(call), pool);
  return true;
}

SERVE(pool_refresh, PoolRefresh)
{
  const HostPool *pool = host_find_pool(truth_of(call), params->pool);
  if (!pool)
    return host_not_found("the pool", error);
  *result = ws_rpc_pool_refresh_result_new();
  (*result)->status = status_of(disks_of(call), pool);
  for (guint i = 0; i < HOST_FILES; i++) {
    const HostFile *f = &disks_of(call)->files[i];
    if (!f->there || f->partial || f->pool != params->pool)
      continue;
    WsPoolFile *file = ws_pool_file_new();
    file->file = g_strdup(f->file);
    file->size_bytes = f->size_bytes;
    file->format = f->format == 1 ? WS_POOL_FILE_FORMAT_QCOW2 : WS_POOL_FILE_FORMAT_RAW;
    file->allocated_bytes = f->allocated_bytes;
    ws_array_add(&(*result)->files, file);
  }
  return true;
}

SERVE_PLAIN(pool_remove, PoolRemove)
{
  HostPool *pool = host_find_pool(truth_of(call), params->pool);
  if (!pool)
    return true;
  if (!before(call, "pool.remove", error))
    return false;
  WsId *mark = params->keep ? NULL : find_mark(disks_of(call), params->pool);
  if (mark)
    *mark = 0;
  memset(pool, 0, sizeof *pool);
  return after(call, "pool.remove");
}

static void add_sign(WsRpcPoolCheckResult *result, WsPoolSignWord word)
{
  WsPoolSign *sign = ws_pool_sign_new();
  sign->sign = word;
  ws_array_add(&result->signs, sign);
}

#define CHECK_TURN_US (10 * (gint64)G_USEC_PER_SEC)

/* It looks, and no more: nothing of the truth changes. */
SERVE(pool_check, PoolCheck)
{
  HostTruth *truth = truth_of(call);
  const char *uuid = NULL;
  for (gint64 left_us = host_sim_of(call)->check_late_us; left_us > 0 && !*rpc_call_cancelled(call);
       left_us -= CHECK_TURN_US) {
    ws_co_sleep(MIN(left_us, CHECK_TURN_US));
    rpc_call_progress(call, 1, 2, "parts"); /* it puts its own deadline off: the manager has another */
  }
  for (guint i = 0; i < HOST_POOLS; i++)
    if (truth->pools[i].pool && strcmp(truth->pools[i].path, params->path) == 0)
      uuid = truth->pools[i].uuid;
  *result = ws_rpc_pool_check_result_new();
  if (uuid)
    add_sign(*result, g_strcmp0(uuid, params->uuid) == 0 ? WS_POOL_SIGN_WORD_PATH_THERE
                                                         : WS_POOL_SIGN_WORD_PATH_OTHER_POOL);
  else if (params->uuid)
    add_sign(*result, WS_POOL_SIGN_WORD_PATH_ABSENT);
  else
    add_sign(*result, params->create ? WS_POOL_SIGN_WORD_PATH_TO_MAKE : WS_POOL_SIGN_WORD_PATH_TO_SHARE);
  return true;
}

SERVE_PLAIN(pool_keep, PoolKeep)
{
  HostTruth *truth = truth_of(call);
  for (guint i = 0; i < HOST_POOLS; i++) {
    HostPool *pool = &truth->pools[i];
    bool kept = false;
    for (guint j = 0; j < params->pools.len; j++)
      kept |= params->pools.items[j] == pool->pool;
    if (!pool->there || kept)
      continue;
    if (!before(call, "pool.keep", error))
      return false;
    memset(pool, 0, sizeof *pool);
    after(call, "pool.keep");
  }
  return true;
}

/* ---- volumes ---- */

static HostFile *whole_file(RpcCall *call, WsId pool, const char *file, GError **error)
{
  HostFile *f = usable_pool(truth_of(call), pool, error) ? host_find_file(disks_of(call), pool, file) : NULL;
  if (f && !f->partial)
    return f;
  if (error && *error)
    return NULL;
  host_not_found(file, error);
  return NULL;
}

/* The file under its name, made if it is not there yet. */
static HostFile *make_file(RpcCall *call, const char *method, WsId pool, const char *name, int format, gint64 size_bytes,
                           GError **error)
{
  HostDisks *disks = disks_of(call);
  if (!usable_pool(truth_of(call), pool, error))
    return NULL;
  HostFile *f = host_find_file(disks, pool, name);
  if (f)
    return f;
  if (!before(call, method, error))
    return NULL;
  f = host_new_file(disks);
  f->pool = pool;
  f->format = format;
  f->size_bytes = size_bytes;
  f->content = ++disks->last_content;
  g_strlcpy(f->file, name, sizeof f->file);
  return f;
}

SERVE(volume_create, VolumeCreate)
{
  bool there = host_find_file(disks_of(call), params->pool, params->file) != NULL;
  if (params->parent_file && !whole_file(call, params->pool, params->parent_file, error))
    return false;
  HostFile *f = make_file(call, "volume.create", params->pool, params->file, (int)params->format, params->size_bytes, error);
  if (!f)
    return false;
  g_strlcpy(f->parent, params->parent_file ? params->parent_file : "", sizeof f->parent);
  if (!there)
    after(call, "volume.create");
  *result = ws_rpc_volume_create_result_new();
  (*result)->allocated_bytes = f->allocated_bytes;
  return true;
}

SERVE(volume_clone, VolumeClone)
{
  bool there = host_find_file(disks_of(call), params->target_pool, params->target_file) != NULL;
  const HostFile *source = whole_file(call, params->pool, params->file, error);
  if (!source)
    return false;
  gint64 size_bytes = params->size_bytes == WS_INT_UNSET ? source->size_bytes : params->size_bytes;
  HostFile *f =
      make_file(call, "volume.clone", params->target_pool, params->target_file, (int)params->format, size_bytes, error);
  if (!f)
    return false;
  f->content = source->content;
  f->allocated_bytes = source->allocated_bytes;
  if (!there)
    after(call, "volume.clone");
  *result = ws_rpc_volume_clone_result_new();
  (*result)->size_bytes = f->size_bytes;
  (*result)->allocated_bytes = f->allocated_bytes;
  return true;
}

SERVE(volume_export, VolumeExport)
{
  bool there = host_find_file(disks_of(call), params->pool, params->file) != NULL;
  for (guint i = 0; i < params->disks.len; i++)
    if (!whole_file(call, params->disks.items[i]->pool, params->disks.items[i]->file, error))
      return false;
  HostFile *f = make_file(call, "volume.export", params->pool, params->file, 2, 65536, error);
  if (!f)
    return false;
  f->allocated_bytes = f->size_bytes;
  if (!there)
    after(call, "volume.export");
  *result = ws_rpc_volume_export_result_new();
  (*result)->size_bytes = f->size_bytes;
  (*result)->allocated_bytes = f->allocated_bytes;
  (*result)->sha256 = g_strnfill(64, 'e');
  return true;
}

SERVE(volume_resize, VolumeResize)
{
  HostFile *f = whole_file(call, params->pool, params->file, error);
  if (!f)
    return false;
  if (f->size_bytes < params->size_bytes) {
    if (!before(call, "volume.resize", error))
      return false;
    f->size_bytes = params->size_bytes;
    after(call, "volume.resize");
  }
  *result = ws_rpc_volume_resize_result_new();
  (*result)->size_bytes = f->size_bytes;
  (*result)->allocated_bytes = f->allocated_bytes;
  return true;
}

static bool drop_file(RpcCall *call, const char *method, WsId pool, const char *name, bool partial, GError **error)
{
  HostFile *f = host_find_file(disks_of(call), pool, name);
  if (!f || f->partial != partial)
    return true;
  if (!before(call, method, error))
    return false;
  memset(f, 0, sizeof *f);
  return after(call, method);
}

SERVE_PLAIN(volume_delete, VolumeDelete)
{
  disks_of(call)->n_wiped += params->wipe;
  return usable_pool(truth_of(call), params->pool, error) &&
         drop_file(call, "volume.delete", params->pool, params->file, false, error);
}

SERVE_PLAIN(volume_upload_abort, VolumeUploadAbort)
{
  return usable_pool(truth_of(call), params->pool, error) &&
         drop_file(call, "volume.upload_abort", params->pool, params->file, true, error);
}

static char *checksum_of(const HostFile *f)
{
  return g_strdup_printf("%064x", f->content);
}

SERVE(volume_upload_finish, VolumeUploadFinish)
{
  HostFile *f = host_find_file(disks_of(call), params->pool, params->file);
  if (!f)
    return host_not_found(params->file, error);
  if (f->partial) {
    if (!before(call, "volume.upload_finish", error))
      return false;
    f->partial = false;
    f->received_bytes = 0;
    f->format = (int)params->format;
    after(call, "volume.upload_finish");
  }
  *result = ws_rpc_volume_upload_finish_result_new();
  (*result)->sha256 = checksum_of(f);
  (*result)->size_bytes = f->size_bytes;
  (*result)->allocated_bytes = f->allocated_bytes;
  return true;
}

SERVE(volume_checksum, VolumeChecksum)
{
  const HostFile *f = whole_file(call, params->pool, params->file, error);
  if (!f || !before(call, "volume.checksum", error))
    return false;
  *result = ws_rpc_volume_checksum_result_new();
  (*result)->sha256 = checksum_of(f);
  return true;
}

/* ---- VMs ---- */

static HostDomain *find_domain(RpcCall *call, const char *uuid, GError **error)
{
  HostDomain *d = host_find_domain(truth_of(call), uuid);
  if (!d)
    host_not_found(uuid, error);
  return d;
}

WsPower *host_power(HostTruth *truth, const HostDomain *d)
{
  WsPower *power = ws_power_new();
  power->look = ++truth->looks;
  power->state = d->power;
  power->reason = strcmp(d->reason, "-") == 0 ? NULL : g_strdup(d->reason[0] ? d->reason : "simulated");
  return power;
}

WsVmReport *host_report(HostTruth *truth, const HostDomain *d)
{
  WsVmReport *report = ws_vm_report_new();
  report->vm = d->vm;
  report->uuid = g_strdup(d->uuid);
  report->name = g_strdup(d->name);
  report->power = host_power(truth, d);
  report->persistent = true;
  report->spec = host_spec(d);
  if (d->vm && d->lease) {
    report->lease = ws_vm_lease_new();
    report->lease->generation = d->generation;
    report->lease->state = (WsVmLeaseState)d->lease;
  }
  return report;
}

/* An event that was made, and waits for its turn while answers pass it. */
typedef struct {
  HostSim *sim;
  WsRpcVmEvent *event;
  guint64 generation; /* of the wire: what was sent on an older one does not arrive */
} Late;

static void send_now(void *arg)
{
  Late *late = arg;
  if (late->sim->connected && late->generation == late->sim->generation)
    rpc_vm_event(late->sim->link, late->event);
  ws_rpc_vm_event_free(late->event);
  g_free(late);
}

static void send_late(HostSim *sim, const WsRpcVmEvent *event)
{
  Late *late = g_new(Late, 1);
  *late = (Late){sim, ws_rpc_vm_event_copy(event), sim->generation};
  ws_loop_after(sim->loop, sim->event_late_us, send_now, late);
}

static WsRpcVmEvent *new_event(HostSim *sim, const char *uuid, WsRpcVmEventKind kind)
{
  WsRpcVmEvent *event = ws_rpc_vm_event_new();
  event->sequence = ++sim->truth->sequence;
  event->time = ws_clock_wall_us(ws_loop_clock(sim->loop));
  event->uuid = g_strdup(uuid);
  event->kind = kind;
  return event;
}

static void send_event(HostSim *sim, const WsRpcVmEvent *event)
{
  if (!sim->event_late_us)
    rpc_vm_event(sim->link, event);
  else
    send_late(sim, event);
}

void host_sim_suspect(HostSim *sim, const char *uuid, WsId peer)
{
  g_autoptr(WsRpcVmEvent) event = new_event(sim, uuid, WS_RPC_VM_EVENT_KIND_PEER_REFUSED);
  event->peer = peer;
  event->reason = g_strdup("libvirt's procedure 12");
  send_event(sim, event);
}

void host_tell(HostSim *sim, const char *uuid, const HostDomain *d, WsRpcVmEventKind kind, bool with_report)
{
  g_autoptr(WsRpcVmEvent) event = new_event(sim, uuid, kind);
  event->vm = d ? d->vm : 0;
  event->power = d ? host_power(sim->truth, d) : NULL;
  event->look = d ? WS_INT_UNSET : ++sim->truth->looks;
  event->report = with_report ? host_report(sim->truth, d) : NULL;
  send_event(sim, event);
}

void host_write_spec(HostDomain *d, const WsVmSpec *spec)
{
  g_autofree char *json = ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_PEER, NULL);
  g_assert_cmpuint(strlen(json), <, sizeof d->spec);
  memset(d->spec, 0, sizeof d->spec);
  g_strlcpy(d->spec, json, sizeof d->spec);
  memset(d->name, 0, sizeof d->name);
  g_strlcpy(d->name, spec->name, sizeof d->name);
}

/* Disks and CDs must be there. */
static bool check_files(RpcCall *call, const WsVmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->disks.len; i++)
    if (!whole_file(call, spec->disks.items[i]->pool, spec->disks.items[i]->file, error))
      return false;
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (spec->cdroms.items[i]->file && !whole_file(call, spec->cdroms.items[i]->pool, spec->cdroms.items[i]->file, error))
      return false;
  return true;
}

static bool same_spec(const HostDomain *d, const WsVmSpec *spec)
{
  g_autofree char *json = ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_PEER, NULL);
  return strcmp(json, d->spec) == 0;
}

static HostDomain *put_definition(RpcCall *call, const char *method, const WsVmSpec *spec, GError **error)
{
  HostDomain *d = host_find_domain(truth_of(call), spec->uuid);
  if (spec->start_order > 0 && host_sim_of(call)->knows_no_start_order) {
    g_autofree char *what = g_strdup_printf("%s: spec.start_order", method);
    ws_fail(error, WS_ERROR_UNSUPPORTED, "what", what, NULL);
    return NULL;
  }
  if (d && d->vm != spec->vm) {
    ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", spec->uuid, NULL);
    return NULL;
  }
  if (d && same_spec(d, spec))
    return d;
  if (!before(call, method, error))
    return NULL;
  if (!d) {
    d = host_new_domain(truth_of(call));
    g_strlcpy(d->uuid, spec->uuid, sizeof d->uuid);
    d->vm = spec->vm;
    d->power = WS_POWER_STATE_OFF;
  }
  host_write_spec(d, spec);
  host_tell(host_sim_of(call), d->uuid, d, WS_RPC_VM_EVENT_KIND_DEFINED, true);
  after(call, method);
  return d;
}

SERVE(vm_define, VmDefine)
{
  HostDomain *d = put_definition(call, "vm.define", params->spec, error);
  if (!d)
    return false;
  *result = ws_rpc_vm_define_result_new();
  (*result)->report = host_report(truth_of(call), d);
  return true;
}

SERVE(vm_update_live, VmUpdateLive)
{
  if (!find_domain(call, params->spec->uuid, error) || !check_files(call, params->spec, error))
    return false;
  HostDomain *d = put_definition(call, "vm.update_live", params->spec, error);
  if (!d)
    return false;
  *result = ws_rpc_vm_update_live_result_new();
  (*result)->report = host_report(truth_of(call), d);
  return true;
}

SERVE(vm_undefine, VmUndefine)
{
  HostDomain *d = host_find_domain(truth_of(call), params->uuid);
  *result = ws_rpc_vm_undefine_result_new();
  (*result)->look = ++truth_of(call)->looks;
  if (!d)
    return true;
  if (host_is_on(d))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "be deleted", "state", "running", NULL);
  if (!before(call, "vm.undefine", error))
    return false;
  memset(d, 0, sizeof *d);
  if (!params->keep_state)
    host_lease_forget(host_sim_of(call), params->uuid);
  host_tell(host_sim_of(call), params->uuid, NULL, WS_RPC_VM_EVENT_KIND_UNDEFINED, false);
  (*result)->look = ++truth_of(call)->looks;
  return after(call, "vm.undefine");
}

/* From one of `from` (bits 1 << state) to `to`; already there is a success. */
static bool change_power(RpcCall *call, const char *method, const char *uuid, guint from, int to, WsRpcVmEventKind kind,
                         WsPower **power, GError **error)
{
  HostDomain *d = find_domain(call, uuid, error);
  if (!d)
    return false;
  if (d->power != to) {
    if (!(from & (1u << d->power)))
      return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", method, "state",
                     ws_power_state_names[d->power - 1], NULL);
    if (!before(call, method, error))
      return false;
    d->power = to;
    memset(d->reason, 0, sizeof d->reason);
    d->gone_over = d->arrived = false;
    if (to == WS_POWER_STATE_OFF)
      host_lease_release(host_sim_of(call), d);
    host_tell(host_sim_of(call), uuid, d, kind, false);
    after(call, method);
  }
  *power = host_power(truth_of(call), d);
  return true;
}

#define OFF        (1u << WS_POWER_STATE_OFF)
#define RUNNING    (1u << WS_POWER_STATE_RUNNING)
#define PAUSED     (1u << WS_POWER_STATE_PAUSED)
#define HIBERNATED (1u << WS_POWER_STATE_HIBERNATED)

#define SERVE_POWER(name, Name, method, from, to, kind)                                                                \
  SERVE(name, Name)                                                                                                    \
  {                                                                                                                    \
    WsPower *power = NULL;                                                                                             \
    if (!change_power(call, method, params->uuid, from, to, WS_RPC_VM_EVENT_KIND_##kind, &power, error))               \
      return false;                                                                                                    \
    *result = ws_rpc_##name##_result_new();                                                                            \
    (*result)->power = power;                                                                                          \
    return true;                                                                                                       \
  }

SERVE_POWER(vm_power_off, VmPowerOff, "vm.power_off", RUNNING | PAUSED, WS_POWER_STATE_OFF, STOPPED)
SERVE_POWER(vm_pause, VmPause, "vm.pause", RUNNING, WS_POWER_STATE_PAUSED, PAUSED)
SERVE_POWER(vm_hibernate, VmHibernate, "vm.hibernate", RUNNING | PAUSED, WS_POWER_STATE_HIBERNATED, HIBERNATED)
SERVE_POWER(vm_discard_saved, VmDiscardSaved, "vm.discard_saved", HIBERNATED, WS_POWER_STATE_OFF, STOPPED)

static HostAsk ask_of(const WsVmRight *right)
{
  HostAsk ask = {.generation = right ? right->generation : WS_INT_UNSET};
  if (right && right->take_over) {
    ask.over = true;
    ask.over_generation = right->take_over->generation;
  }
  return ask;
}

/* With the right to, or not at all. */
static bool start(RpcCall *call, const char *method, HostDomain *d, const HostAsk *ask, int to, WsRpcVmEventKind kind, WsPower **power,
                  GError **error)
{
  HostSim *sim = host_sim_of(call);
  if (!host_lease_take(sim, d, ask, error))
    return false;
  if (change_power(call, method, d->uuid, OFF | HIBERNATED | PAUSED, to, kind, power, error))
    return true;
  if (d->power == WS_POWER_STATE_OFF)
    host_lease_release(sim, d);
  return false;
}

SERVE(vm_resume, VmResume)
{
  HostDomain *d = find_domain(call, params->uuid, error);
  WsPower *power = NULL;
  if (!d)
    return false;
  HostAsk ask = ask_of(params->right);
  if (d->arriving) { /* a person had paused it before it moved */
    ask.generation = d->arriving;
    d->arriving = 0;
  }
  if (d->power == WS_POWER_STATE_OFF)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", "vm.resume", "state", "off", NULL);
  if (!start(call, "vm.resume", d, &ask, WS_POWER_STATE_RUNNING, WS_RPC_VM_EVENT_KIND_RESUMED, &power, error))
    return false;
  *result = ws_rpc_vm_resume_result_new();
  (*result)->power = power;
  return true;
}

SERVE(vm_start, VmStart)
{
  HostDomain *d = find_domain(call, params->uuid, error);
  g_autoptr(WsVmSpec) spec = d ? host_spec(d) : NULL;
  WsPower *power = NULL;
  int to = params->paused ? WS_POWER_STATE_PAUSED : WS_POWER_STATE_RUNNING;
  if (!spec || !check_files(call, spec, error))
    return false;
  HostAsk ask = ask_of(params->right);
  if (host_is_on(d))
    power = host_power(truth_of(call), d);
  else if (!start(call, "vm.start", d, &ask, to, WS_RPC_VM_EVENT_KIND_STARTED, &power, error))
    return false;
  *result = ws_rpc_vm_start_result_new();
  (*result)->power = power;
  return true;
}

/* The guest ends a while after it was asked. Those whose time has come. */
void host_end_guests(void *arg)
{
  HostSim *sim = arg;
  gint64 now_us = ws_clock_wall_us(ws_loop_clock(sim->loop));
  for (guint i = 0; i < HOST_DOMAINS; i++) {
    HostDomain *d = &sim->truth->domains[i];
    if (!d->there || !d->ends_us || d->ends_us > now_us)
      continue;
    d->ends_us = 0;
    if (!host_is_on(d))
      continue;
    d->power = WS_POWER_STATE_OFF;
    host_lease_release(sim, d);
    host_tell(sim, d->uuid, d, WS_RPC_VM_EVENT_KIND_STOPPED, false);
  }
}

void host_sim_fail_power(HostSim *sim)
{
  for (guint i = 0; i < HOST_DOMAINS; i++) {
    HostDomain *d = &sim->truth->domains[i];
    if (!d->there || !host_is_on(d))
      continue;
    d->power = WS_POWER_STATE_OFF;
    host_lease_release(sim, d); /* its agent, when it is up again */
  }
}

SERVE(vm_shutdown, VmShutdown)
{
  HostDomain *d = find_domain(call, params->uuid, error);
  if (!d)
    return false;
  if (host_is_on(d)) {
    if (!before(call, "vm.shutdown", error))
      return false;
    HostSim *sim = host_sim_of(call);
    if (strcmp(truth_of(call)->deaf, params->uuid) != 0) {
      d->ends_us = ws_clock_wall_us(ws_loop_clock(sim->loop)) + HOST_GOODBYE_US;
      ws_loop_after(sim->loop, HOST_GOODBYE_US, host_end_guests, sim);
    }
    after(call, "vm.shutdown");
  }
  *result = ws_rpc_vm_shutdown_result_new();
  (*result)->power = host_power(truth_of(call), d);
  return true;
}

/* Neither changes what is seen from outside. */
static bool restart_guest(RpcCall *call, const char *method, const char *uuid, WsPower **power, GError **error)
{
  HostDomain *d = find_domain(call, uuid, error);
  if (!d)
    return false;
  if (!host_is_on(d))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", d->name, "verb", method, "state", "off", NULL);
  if (!before(call, method, error))
    return false;
  after(call, method);
  *power = host_power(truth_of(call), d);
  return true;
}

SERVE(vm_reboot, VmReboot)
{
  WsPower *power = NULL;
  if (!restart_guest(call, "vm.reboot", params->uuid, &power, error))
    return false;
  *result = ws_rpc_vm_reboot_result_new();
  (*result)->power = power;
  return true;
}

SERVE(vm_reset, VmReset)
{
  WsPower *power = NULL;
  if (!restart_guest(call, "vm.reset", params->uuid, &power, error))
    return false;
  *result = ws_rpc_vm_reset_result_new();
  (*result)->power = power;
  return true;
}

SERVE_PLAIN(vm_set_password, VmSetPassword)
{
  const HostDomain *d = find_domain(call, params->uuid, error);
  return d && before(call, "vm.set_password", error) && after(call, "vm.set_password");
}

SERVE(vm_adopt, VmAdopt)
{
  HostDomain *d = find_domain(call, params->uuid, error);
  if (!d)
    return false;
  if (d->vm && d->vm != params->vm)
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", params->uuid, NULL);
  if (!d->vm) {
    if (!before(call, "vm.adopt", error))
      return false;
    d->vm = params->vm;
    host_tell(host_sim_of(call), d->uuid, d, WS_RPC_VM_EVENT_KIND_METADATA, true);
    after(call, "vm.adopt");
  }
  *result = ws_rpc_vm_adopt_result_new();
  (*result)->report = host_report(truth_of(call), d);
  return true;
}

SERVE_PLAIN(vm_release, VmRelease)
{
  HostDomain *d = host_find_domain(truth_of(call), params->uuid);
  if (!d || !d->vm)
    return true;
  if (!before(call, "vm.release", error))
    return false;
  d->vm = 0;
  host_tell(host_sim_of(call), d->uuid, d, WS_RPC_VM_EVENT_KIND_METADATA, true);
  return after(call, "vm.release");
}

SERVE(vm_get, VmGet)
{
  const HostDomain *d = find_domain(call, params->uuid, error);
  if (!d || !before(call, "vm.get", error))
    return false;
  *result = ws_rpc_vm_get_result_new();
  (*result)->report = host_report(truth_of(call), d);
  return true;
}

SERVE_PLAIN(vm_send_keys, VmSendKeys)
{
  HostDomain *d = host_find_domain(truth_of(call), params->uuid);
  if (!d || !host_is_on(d))
    return host_not_found(params->uuid, error);
  return before(call, "vm.send_keys", error) && after(call, "vm.send_keys");
}

SERVE(vm_log, VmLog)
{
  if (!find_domain(call, params->uuid, error))
    return false;
  *result = ws_rpc_vm_log_result_new();
  (*result)->text = g_strdup("2026-01-01 00:00:00.000+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.9\n/usr/bin/qemu-system-x86_64 \\\n"
                             "-object '{\"qom-type\":\"secret\",\"id\":\"masterKey0\"}'\n");
  (*result)->lines = 3;
  (*result)->more = false;
  return true;
}

SERVE(vm_list, VmList)
{
  HostTruth *truth = truth_of(call);
  if (truth->boots && truth->libvirt_late) {
    truth->libvirt_late--;
    return ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, NULL);
  }
  *result = ws_rpc_vm_list_result_new();
  (*result)->sequence = truth->sequence;
  (*result)->look = ++truth->looks;
  (*result)->more = false;
  for (guint i = 0; i < HOST_DOMAINS; i++)
    if (truth->domains[i].there)
      ws_array_add(&(*result)->vms, host_report(truth, &truth->domains[i]));
  if (host_sim_of(call)->list_late_us)
    ws_co_sleep(host_sim_of(call)->list_late_us); /* read, and not yet sent: what happens now it does not know */
  return true;
}

SERVE_AS(vm_stats, void, WsRpcVmStatsResult)
{
  *result = ws_rpc_vm_stats_result_new();
  return true;
}

SERVE_PLAIN(vm_disk_resize, VmDiskResize)
{
  const HostDomain *d = find_domain(call, params->uuid, error);
  g_autoptr(WsVmSpec) spec = d ? host_spec(d) : NULL;
  for (guint i = 0; spec && i < spec->disks.len; i++) {
    const WsVmSpecDisk *disk = spec->disks.items[i];
    HostFile *f = strcmp(disk->key, params->key) == 0 ? host_find_file(disks_of(call), disk->pool, disk->file) : NULL;
    if (!f)
      continue;
    if (f->size_bytes >= params->size_bytes)
      return true;
    if (!before(call, "vm.disk_resize", error))
      return false;
    f->size_bytes = params->size_bytes;
    return after(call, "vm.disk_resize");
  }
  return d ? host_not_found(params->key, error) : false;
}

/* ---- networks ---- */

static HostNet *put_net(RpcCall *call, const char *method, const HostNet *wanted, GError **error)
{
  HostTruth *truth = truth_of(call);
  HostNet *net = host_find_net(truth, wanted->is_group, wanted->id);
  if (net && memcmp(net, wanted, sizeof *net) == 0)
    return net;
  if (!before(call, method, error))
    return NULL;
  if (!net)
    net = host_new_net(truth);
  *net = *wanted;
  after(call, method);
  return net;
}

SERVE(switch_apply, NetworkSwitchApply)
{
  HostNet wanted = {0};
  wanted.there = true;
  wanted.id = params->switch_;
  wanted.mtu = params->mtu;
  g_strlcpy(wanted.bridge, params->bridge, sizeof wanted.bridge);
  if (!put_net(call, "network.switch_apply", &wanted, error))
    return false;
  *result = ws_rpc_network_switch_apply_result_new();
  (*result)->datapath = WS_RPC_NETWORK_SWITCH_APPLY_RESULT_DATAPATH_USERSPACE;
  return true;
}

SERVE(port_group_apply, NetworkPortGroupApply)
{
  HostNet wanted = {0};
  if (!host_find_net(truth_of(call), false, params->switch_))
    return host_not_found("the switch", error);
  wanted.there = wanted.is_group = true;
  wanted.id = params->port_group;
  wanted.of = params->switch_;
  wanted.tag = params->vlan && params->vlan->tag != WS_INT_UNSET ? params->vlan->tag : 0;
  if (!put_net(call, "network.port_group_apply", &wanted, error))
    return false;
  *result = ws_rpc_network_port_group_apply_result_new();
  return true;
}

static bool drop_net(RpcCall *call, const char *method, bool is_group, WsId id, GError **error)
{
  HostNet *net = host_find_net(truth_of(call), is_group, id);
  if (!net)
    return true;
  if (!before(call, method, error))
    return false;
  memset(net, 0, sizeof *net);
  return after(call, method);
}

SERVE_PLAIN(switch_remove, NetworkSwitchRemove)
{
  return drop_net(call, "network.switch_remove", false, params->switch_, error);
}

SERVE_PLAIN(port_group_remove, NetworkPortGroupRemove)
{
  return drop_net(call, "network.port_group_remove", true, params->port_group, error);
}

const RpcService host_services[] = {
    ROW(host_facts, host_facts),
    ROW(host_packages, host_packages),
    ROW(host_power_off, host_power_off),
    ROW(host_firewall, host_firewall),
    ROW(pool_prepare, pool_prepare),
    ROW(pool_refresh, pool_refresh),
    ROW(pool_remove, pool_remove),
    ROW(pool_keep, pool_keep),
    ROW(pool_check, pool_check),
    ROW(volume_create, volume_create),
    ROW(volume_clone, volume_clone),
    ROW(volume_export, volume_export),
    ROW(volume_resize, volume_resize),
    ROW(volume_delete, volume_delete),
    ROW(volume_upload_abort, volume_upload_abort),
    ROW(volume_upload_finish, volume_upload_finish),
    ROW(volume_checksum, volume_checksum),
    ROW(vm_define, vm_define),
    ROW(vm_update_live, vm_update_live),
    ROW(vm_undefine, vm_undefine),
    ROW(vm_start, vm_start),
    ROW(vm_shutdown, vm_shutdown),
    ROW(vm_power_off, vm_power_off),
    ROW(vm_reboot, vm_reboot),
    ROW(vm_reset, vm_reset),
    ROW(vm_pause, vm_pause),
    ROW(vm_resume, vm_resume),
    ROW(vm_hibernate, vm_hibernate),
    ROW(vm_discard_saved, vm_discard_saved),
    ROW(vm_adopt, vm_adopt),
    ROW(vm_set_password, vm_set_password),
    ROW(vm_release, vm_release),
    ROW(vm_get, vm_get),
    ROW(vm_log, vm_log),
    ROW(vm_send_keys, vm_send_keys),
    ROW(vm_list, vm_list),
    ROW(vm_stats, vm_stats),
    ROW(vm_disk_resize, vm_disk_resize),
    ROW(network_switch_apply, switch_apply),
    ROW(network_switch_remove, switch_remove),
    ROW(network_port_group_apply, port_group_apply),
    ROW(network_port_group_remove, port_group_remove),
};
const guint host_n_services = G_N_ELEMENTS(host_services);
