// SPDX-License-Identifier: Apache-2.0
/* A simulated host's virtual machines: what libvirt and QEMU do for the calls of api/rpc/vm.yaml. See host.h.
 *
 * Each call says how a VM should be; what is already so is a success. QEMU locks the images it writes: a second writer does not start. */
#include "rpc/methods.h"
#include "sim/host.h"
#include "sim/plant.h"
#include <string.h>

#define SHUTDOWN_US (2 * G_USEC_PER_SEC)

SimDomain *sim_host_find_domain(const SimHost *host, const char *uuid)
{
  for (guint i = 0; i < host->domains->len; i++)
    if (strcmp(((SimDomain *)host->domains->pdata[i])->uuid, uuid) == 0)
      return host->domains->pdata[i];
  return NULL;
}

static gint compare_domains(gconstpointer a, gconstpointer b)
{
  return strcmp((*(SimDomain *const *)a)->uuid, (*(SimDomain *const *)b)->uuid);
}

static void take_spec(SimHost *host, SimDomain *domain, const WsVmSpec *spec);

static SimDomain *add_domain(SimHost *host, const char *uuid)
{
  SimDomain *domain = g_new0(SimDomain, 1);
  domain->uuid = g_strdup(uuid);
  domain->state = WS_POWER_STATE_OFF;
  domain->reason = "defined";
  domain->since_us = ws_clock_wall_us(&host->machine->clock);
  domain->obeys = !sim_chance(&host->random, host->faults.guest_deaf);
  g_ptr_array_add(host->domains, domain);
  g_ptr_array_sort(host->domains, compare_domains);
  return domain;
}

static void remove_domain(SimHost *host, SimDomain *domain)
{
  sim_cancel(domain->ending);
  g_ptr_array_remove(host->domains, domain);
  g_clear_pointer(&domain->spec, ws_vm_spec_free);
  g_clear_pointer(&domain->live, ws_vm_spec_free);
  g_free(domain->uuid);
  g_free(domain->name);
  g_free(domain);
}

/* ---- state ---- */

static void set_state(SimHost *host, SimDomain *domain, WsPowerState state, const char *reason)
{
  domain->state = state;
  domain->reason = reason;
  domain->since_us = ws_clock_wall_us(&host->machine->clock);
  sim_host_note(host, "domain %s is %s (%s)", domain->uuid, ws_power_state_names[state - 1], reason);
}

static WsPower *power_of(SimHost *host, const SimDomain *domain)
{
  WsPower *power = ws_power_new();
  power->look = (gint64)++host->looks;
  power->state = domain->state;
  power->reason = g_strdup(domain->reason);
  power->since = domain->since_us;
  return power;
}

WsPower *sim_domain_power(SimHost *host, const SimDomain *domain)
{
  return power_of(host, domain);
}

static bool writes(const SimDomain *domain, WsId pool, const char *file)
{
  for (guint i = 0; domain->live && i < domain->live->disks.len; i++) {
    const WsVmSpecDisk *disk = domain->live->disks.items[i];
    if (disk->pool == pool && !disk->read_only && !disk->shared && g_strcmp0(disk->file, file) == 0)
      return true;
  }
  return false;
}

/* On any host: a pool that is shared has one file behind its name everywhere, one that is not is of one host alone. */
SimDomain *sim_host_writer(const SimHost *host, WsId pool, const char *file)
{
  const SimHost *at;
  for (guint k = 0; (at = sim_host_nth(k)); k++)
    for (guint i = 0; i < at->domains->len; i++)
      if (writes(at->domains->pdata[i], pool, file))
        return at->domains->pdata[i];
  return NULL;
}

/* Every file that the guest needs is there, and nobody else writes it. */
static bool check_files(SimHost *host, const SimDomain *domain, const WsVmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->disks.len; i++) {
    const WsVmSpecDisk *disk = spec->disks.items[i];
    SimPool *pool = sim_host_find_pool(host, disk->pool);
    if (!disk->pool)
      continue;
    if (!pool || !sim_folder_find(pool->folder, disk->file))
      return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", domain->name, "operation", "open a disk of", "cause",
                     "no such file", NULL);
    const SimDomain *writer = sim_host_writer(host, disk->pool, disk->file);
    if (writer && strcmp(writer->uuid, domain->uuid) != 0 && !ws_sim_is_planted("disk_of_another"))
      return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", domain->name, "operation", "lock a disk of", "cause",
                     "Failed to get \"write\" lock", NULL);
  }
  return true;
}

static bool start_domain(SimHost *host, SimDomain *domain, bool paused, GError **error)
{
  if (!check_files(host, domain, domain->spec, error))
    return false;
  domain->live = ws_vm_spec_copy(domain->spec);
  domain->gone_over = false;
  set_state(host, domain, paused ? WS_POWER_STATE_PAUSED : WS_POWER_STATE_RUNNING, "booted");
  return true;
}

void sim_host_add_incoming(SimHost *host, const WsVmSpec *spec)
{
  SimDomain *domain = add_domain(host, spec->uuid);
  take_spec(host, domain, spec);
  domain->arrival = SIM_INCOMING;
  domain->state = WS_POWER_STATE_PAUSED;
  domain->reason = "migration";
  sim_host_note(host, "domain %s arrives", domain->uuid);
}

void sim_host_remove_domain(SimHost *host, SimDomain *domain)
{
  remove_domain(host, domain);
}

void sim_domain_stand(SimHost *host, SimDomain *domain)
{
  domain->outgoing = true;
  set_state(host, domain, WS_POWER_STATE_PAUSED, "migration");
}

void sim_domain_go_on(SimHost *host, SimDomain *domain)
{
  bool stays_paused = domain->outgoing && domain->was_paused;
  domain->outgoing = false;
  domain->arrival = SIM_HERE;
  if (!stays_paused)
    set_state(host, domain, WS_POWER_STATE_RUNNING, "migrated");
}

void sim_domain_stop(SimHost *host, SimDomain *domain, WsPowerState state, const char *reason)
{
  sim_cancel(g_steal_pointer(&domain->ending));
  g_clear_pointer(&domain->live, ws_vm_spec_free);
  domain->gone_over = domain->outgoing; /* ended while it stood still for that */
  domain->outgoing = false;
  set_state(host, domain, state, reason);
}

/* Power is gone: what only lived in memory is lost; saved memory is on disk. */
void sim_host_guests_die(SimHost *host)
{
  for (guint i = host->domains->len; i-- > 0;) {
    SimDomain *domain = host->domains->pdata[i];
    if (domain->arrival) {
      remove_domain(host, domain); /* it was never defined */
    } else if (domain->live) {
      sim_domain_stop(host, domain, WS_POWER_STATE_OFF, "crashed");
      domain->gone_over = false;
    }
  }
}

/* ---- reports and events ---- */

static WsVmReport *report_of(SimHost *host, const SimDomain *domain)
{
  WsVmReport *report = ws_vm_report_new();
  report->vm = domain->vm;
  report->uuid = g_strdup(domain->uuid);
  report->name = g_strdup(domain->name);
  report->power = power_of(host, domain);
  report->persistent = true;
  report->spec = ws_vm_spec_copy(domain->spec);
  report->spec->vm = domain->vm;
  if (domain->vm && domain->generation) {
    report->lease = ws_vm_lease_new();
    report->lease->generation = domain->generation;
    report->lease->state = domain->live || domain->state == WS_POWER_STATE_HIBERNATED ? WS_VM_LEASE_STATE_HELD : WS_VM_LEASE_STATE_FREE;
  }
  return report;
}

void sim_host_tell_event(SimHost *host, const SimDomain *domain, int kind, bool with_report)
{
  if (!host->link || !rpc_link_is_up(host->link))
    return; /* the report on the next connection has it */
  g_autoptr(WsRpcVmEvent) event = ws_rpc_vm_event_new();
  event->sequence = (gint64)++host->sequence;
  event->time = ws_clock_wall_us(&host->machine->clock);
  event->vm = domain->vm;
  event->uuid = g_strdup(domain->uuid);
  event->name = g_strdup(domain->name);
  event->kind = kind;
  event->reason = g_strdup(domain->reason);
  if (kind == WS_RPC_VM_EVENT_KIND_UNDEFINED)
    event->look = (gint64)++host->looks;
  else
    event->power = power_of(host, domain);
  if (with_report)
    event->report = report_of(host, domain);
  rpc_notify(host->link, &rpc_method_vm_event, event);
}

/* ---- calls ---- */

static SimDomain *find(SimHost *host, const char *uuid, GError **error)
{
  SimDomain *domain = sim_host_find_domain(host, uuid);
  if (!domain)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", uuid, NULL);
  return domain;
}

static bool wrong_state(const SimDomain *domain, const char *verb, GError **error)
{
  return ws_fail(error, WS_ERROR_WRONG_STATE, "object", domain->name, "verb", verb, "state",
                 ws_power_state_names[domain->state - 1], NULL);
}

static void take_spec(SimHost *host, SimDomain *domain, const WsVmSpec *spec)
{
  g_clear_pointer(&domain->spec, ws_vm_spec_free);
  domain->spec = ws_vm_spec_copy(spec);
  g_free(domain->name);
  domain->name = g_strdup(spec->name);
  domain->vm = spec->vm;
}

static bool do_define(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmDefine *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->spec->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->spec->uuid);
  bool is_new = !domain;
  if (is_new)
    domain = add_domain(host, params->spec->uuid);
  take_spec(host, domain, params->spec);
  if (domain->arrival == SIM_COMPLETE)
    domain->arrival = SIM_HERE; /* one that is to stay paused */
  sim_host_note(host, "domain %s defined for vm-%" G_GUINT64_FORMAT, domain->uuid, domain->vm);
  sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_DEFINED, true);
  WsRpcVmDefineResult *answer = ws_rpc_vm_define_result_new();
  answer->report = report_of(host, domain);
  *result = answer;
  return true;
}

static bool do_undefine(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmUndefine *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->uuid);
  if (domain && domain->live)
    return wrong_state(domain, "be removed", error);
  if (domain) {
    sim_host_note(host, "domain %s undefined", domain->uuid);
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_UNDEFINED, false);
    remove_domain(host, domain);
  }
  WsRpcVmUndefineResult *answer = ws_rpc_vm_undefine_result_new();
  answer->look = (gint64)++host->looks;
  *result = answer;
  return true;
}

static bool do_start(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmStart *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = find(host, params->uuid, error);
  if (!domain)
    return false;
  if (params->right && params->right->generation < domain->generation)
    return ws_fail(error, WS_ERROR_LEASE_OUTDATED, "object", domain->name, "generation", "-", "known", "-", "host", "-", NULL);
  if (params->right)
    domain->generation = params->right->generation;
  if (!domain->live) {
    if (!start_domain(host, domain, params->paused, error))
      return false;
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_STARTED, false);
  }
  WsRpcVmStartResult *answer = ws_rpc_vm_start_result_new();
  answer->power = power_of(host, domain);
  *result = answer;
  return true;
}

static void guest_ends(void *arg)
{
  void **pair = arg;
  SimHost *host = pair[0];
  SimDomain *domain = sim_host_find_domain(host, pair[1]);
  if (domain && domain->ending && host->machine->paused) { /* guests are paused with their host */
    domain->ending = sim_after(host->world, SHUTDOWN_US, guest_ends, pair);
    return;
  }
  if (domain && domain->ending) {
    domain->ending = NULL;
    sim_domain_stop(host, domain, WS_POWER_STATE_OFF, "shutdown");
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_STOPPED, false);
  }
  g_free(pair[1]);
  g_free(pair);
}

static void ask_guest(SimHost *host, SimDomain *domain)
{
  if (!domain->obeys || domain->ending || domain->state != WS_POWER_STATE_RUNNING)
    return;
  void **pair = g_new(void *, 2);
  pair[0] = host;
  pair[1] = g_strdup(domain->uuid);
  domain->ending = sim_after(host->world, sim_delay(&host->random, SHUTDOWN_US, SHUTDOWN_US * 5), guest_ends, pair);
}

/* What the calls on one running or stopped domain do. */
typedef enum { SHUTDOWN, POWER_OFF, REBOOT, RESET, PAUSE, RESUME, HIBERNATE, DISCARD } Verb;

/* The event kind that tells of it; 0: none. false: it cannot be done. */
static bool act(SimHost *host, SimDomain *domain, Verb verb, int *kind, GError **error)
{
  bool running = domain->state == WS_POWER_STATE_RUNNING;
  *kind = 0;
  switch (verb) {
  case SHUTDOWN:
    if (domain->live)
      ask_guest(host, domain);
    return true;
  case POWER_OFF:
    if (domain->live) {
      sim_domain_stop(host, domain, WS_POWER_STATE_OFF, "destroyed");
      *kind = WS_RPC_VM_EVENT_KIND_STOPPED;
    }
    return true;
  case REBOOT:
  case RESET:
    if (!running)
      return wrong_state(domain, "restart", error);
    *kind = WS_RPC_VM_EVENT_KIND_REBOOTED;
    return true;
  case PAUSE:
    if (!domain->live)
      return wrong_state(domain, "pause", error);
    if (running) {
      set_state(host, domain, WS_POWER_STATE_PAUSED, "user");
      *kind = WS_RPC_VM_EVENT_KIND_PAUSED;
    }
    return true;
  case RESUME:
    if (domain->state == WS_POWER_STATE_HIBERNATED) {
      *kind = WS_RPC_VM_EVENT_KIND_STARTED;
      return start_domain(host, domain, false, error);
    }
    if (domain->state == WS_POWER_STATE_PAUSED && !domain->arrival) {
      domain->outgoing = false;
      set_state(host, domain, WS_POWER_STATE_RUNNING, "unpaused");
      *kind = WS_RPC_VM_EVENT_KIND_RESUMED;
    }
    return domain->live || wrong_state(domain, "resume", error);
  case HIBERNATE:
    if (domain->state == WS_POWER_STATE_HIBERNATED)
      return true;
    if (!domain->live)
      return wrong_state(domain, "hibernate", error);
    sim_domain_stop(host, domain, WS_POWER_STATE_HIBERNATED, "saved");
    *kind = WS_RPC_VM_EVENT_KIND_HIBERNATED;
    return true;
  default:
    if (domain->state == WS_POWER_STATE_HIBERNATED)
      set_state(host, domain, WS_POWER_STATE_OFF, "discarded");
    return domain->state == WS_POWER_STATE_OFF || wrong_state(domain, "forget its memory", error);
  }
}

static WsPower *run_verb(RpcCall *call, const char *uuid, Verb verb, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  int kind;
  bool worked = verb == HIBERNATE ? sim_host_work_long(host, call, uuid, 1 << 30, error) : sim_host_work(host, call, uuid, error);
  SimDomain *domain = worked ? find(host, uuid, error) : NULL;
  if (!domain || !act(host, domain, verb, &kind, error))
    return NULL;
  if (kind)
    sim_host_tell_event(host, domain, kind, false);
  return power_of(host, domain);
}

/* One handler for each: the types differ, the members do not. */
#define VERB(name, Name, new_result, verb)                                                                            \
  static bool do_##name(RpcCall *call, const void *arg, void **result, GError **error)                                 \
  {                                                                                                                    \
    WsPower *power = run_verb(call, ((const WsRpcVm##Name *)arg)->uuid, verb, error);                                  \
    if (!power)                                                                                                        \
      return false;                                                                                                    \
    WsRpcVm##Name##Result *answer = new_result();                                                                      \
    answer->power = power;                                                                                             \
    *result = answer;                                                                                                  \
    return true;                                                                                                       \
  }
VERB(shutdown, Shutdown, ws_rpc_vm_shutdown_result_new, SHUTDOWN)
VERB(power_off, PowerOff, ws_rpc_vm_power_off_result_new, POWER_OFF)
VERB(reboot, Reboot, ws_rpc_vm_reboot_result_new, REBOOT)
VERB(reset, Reset, ws_rpc_vm_reset_result_new, RESET)
VERB(pause, Pause, ws_rpc_vm_pause_result_new, PAUSE)
VERB(resume, Resume, ws_rpc_vm_resume_result_new, RESUME)
VERB(hibernate, Hibernate, ws_rpc_vm_hibernate_result_new, HIBERNATE)
VERB(discard_saved, DiscardSaved, ws_rpc_vm_discard_saved_result_new, DISCARD)

static bool do_update_live(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmUpdateLive *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->spec->uuid, error))
    return false;
  SimDomain *domain = find(host, params->spec->uuid, error);
  if (!domain || (domain->live && !check_files(host, domain, params->spec, error)))
    return false;
  take_spec(host, domain, params->spec);
  if (domain->live) {
    g_clear_pointer(&domain->live, ws_vm_spec_free);
    domain->live = ws_vm_spec_copy(domain->spec);
  }
  sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_DEFINED, true);
  WsRpcVmUpdateLiveResult *answer = ws_rpc_vm_update_live_result_new();
  answer->report = report_of(host, domain);
  *result = answer;
  return true;
}

static bool do_adopt(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmAdopt *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimDomain *domain = sim_host_work(host, call, params->uuid, error) ? find(host, params->uuid, error) : NULL;
  if (!domain)
    return false;
  domain->vm = params->vm;
  sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_METADATA, true);
  WsRpcVmAdoptResult *answer = ws_rpc_vm_adopt_result_new();
  answer->report = report_of(host, domain);
  *result = answer;
  return true;
}

static bool do_release(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmRelease *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->uuid);
  if (domain) {
    domain->vm = 0;
    domain->released = true;
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_METADATA, true);
  }
  return true;
}

static bool do_get(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmGet *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimDomain *domain = sim_host_work(host, call, params->uuid, error) ? find(host, params->uuid, error) : NULL;
  if (!domain)
    return false;
  WsRpcVmGetResult *answer = ws_rpc_vm_get_result_new();
  answer->report = report_of(host, domain);
  *result = answer;
  return true;
}

#define PAGE 3 /* small, so that there are several */

static bool do_list(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmList *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  WsRpcVmListResult *answer = ws_rpc_vm_list_result_new();
  answer->sequence = (gint64)host->sequence;
  answer->look = (gint64)++host->looks;
  answer->more = false;
  for (guint i = 0; i < host->domains->len; i++) {
    const SimDomain *domain = host->domains->pdata[i];
    if ((params->after && strcmp(domain->uuid, params->after) <= 0) || domain->arrival)
      continue;
    answer->more = answer->vms.len == PAGE;
    if (answer->more)
      break;
    ws_array_add(&answer->vms, report_of(host, domain));
  }
  *result = answer;
  return true;
}

static bool do_get_xml(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error) || !find(host, ((const WsRpcVmGetXml *)arg)->uuid, error))
    return false;
  WsRpcVmGetXmlResult *answer = ws_rpc_vm_get_xml_result_new();
  answer->xml = g_strdup("<domain/>");
  *result = answer;
  return true;
}

/* No stream comes: the manager's wait for it must end by itself. */
static bool do_console_open(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  return sim_host_work(host, call, NULL, error) && find(host, ((const WsRpcVmConsoleOpen *)arg)->uuid, error);
}

static bool do_screenshot(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error) || !find(host, ((const WsRpcVmScreenshot *)arg)->uuid, error))
    return false;
  WsRpcVmScreenshotResult *answer = ws_rpc_vm_screenshot_result_new();
  answer->png = g_strdup("iVBORw0KGgo=");
  *result = answer;
  return true;
}

static bool do_log(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error) || !find(host, ((const WsRpcVmLog *)arg)->uuid, error))
    return false;
  WsRpcVmLogResult *answer = ws_rpc_vm_log_result_new();
  answer->text = g_strdup("2026-01-01 00:00:00.000+0000: starting up\nchar device redirected to /dev/pts/0 (label charserial0)\n");
  answer->lines = 2;
  answer->more = false;
  *result = answer;
  return true;
}

static bool do_send_keys(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  return sim_host_work(host, call, NULL, error) && find(host, ((const WsRpcVmSendKeys *)arg)->uuid, error);
}

static bool do_disk_resize(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmDiskResize *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimDomain *domain = sim_host_work(host, call, params->uuid, error) ? find(host, params->uuid, error) : NULL;
  if (!domain)
    return false;
  if (!domain->live)
    return wrong_state(domain, "grow a disk", error);
  for (guint i = 0; i < domain->live->disks.len; i++) {
    const WsVmSpecDisk *disk = domain->live->disks.items[i];
    SimPool *pool = sim_host_find_pool(host, disk->pool);
    SimFile *file = pool && strcmp(disk->key, params->key) == 0 ? sim_folder_find(pool->folder, disk->file) : NULL;
    if (file) {
      file->size_bytes = MAX(file->size_bytes, params->size_bytes);
      return true;
    }
  }
  return ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->key, NULL);
}

static bool do_stats(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  WsRpcVmStatsResult *answer = ws_rpc_vm_stats_result_new();
  for (guint i = 0; i < host->domains->len; i++) {
    const SimDomain *domain = host->domains->pdata[i];
    if (!domain->live || !domain->vm)
      continue;
    WsVmSample *sample = ws_vm_sample_new();
    sample->vm = domain->vm;
    sample->uuid = g_strdup(domain->uuid);
    sample->time = ws_clock_wall_us(&host->machine->clock);
    sample->usage = ws_vm_usage_new();
    sample->usage->memory_used_bytes = (gint64)sim_below(&host->random, 1 << 30);
    sample->usage->cpu_percent = (double)(domain->vm * 37 % 101); /* each its own, always the same: a load that DRS answers once */
    sample->usage->memory_host_bytes = G_GINT64_CONSTANT(256) << 20;
    sample->usage->time = sample->time;
    ws_array_add(&answer->samples, sample);
  }
  *result = answer;
  return true;
}

SimServices sim_host_vm_services(void)
{
  static const RpcService services[] = {
      {&rpc_method_vm_define, do_define},         {&rpc_method_vm_undefine, do_undefine},
      {&rpc_method_vm_start, do_start},           {&rpc_method_vm_shutdown, do_shutdown},
      {&rpc_method_vm_power_off, do_power_off},   {&rpc_method_vm_reboot, do_reboot},
      {&rpc_method_vm_reset, do_reset},           {&rpc_method_vm_pause, do_pause},
      {&rpc_method_vm_resume, do_resume},         {&rpc_method_vm_hibernate, do_hibernate},
      {&rpc_method_vm_discard_saved, do_discard_saved}, {&rpc_method_vm_update_live, do_update_live},
      {&rpc_method_vm_adopt, do_adopt},           {&rpc_method_vm_release, do_release},
      {&rpc_method_vm_get, do_get},               {&rpc_method_vm_list, do_list},
      {&rpc_method_vm_get_xml, do_get_xml},       {&rpc_method_vm_console_open, do_console_open},
      {&rpc_method_vm_screenshot, do_screenshot}, {&rpc_method_vm_send_keys, do_send_keys},
      {&rpc_method_vm_disk_resize, do_disk_resize}, {&rpc_method_vm_stats, do_stats},
      {&rpc_method_vm_log, do_log},
  };
  return (SimServices){services, G_N_ELEMENTS(services)};
}

/* ---- somebody with virsh ---- */

static void define_stranger(SimHost *host)
{
  char uuid[40];
  g_autoptr(WsVmSpec) spec = ws_vm_spec_new();
  ws_apply_defaults(&ws_type_vm_spec, spec);
  spec->uuid = g_strdup(ws_uuid_new(&host->machine->clock, uuid));
  spec->name = g_strdup_printf("stranger-%.4s", uuid);
  spec->architecture = WS_VM_SPEC_ARCHITECTURE_X86_64;
  spec->cpu = ws_vm_cpu_new();
  ws_apply_defaults(&ws_type_vm_cpu, spec->cpu);
  spec->memory_bytes = 256 << 20;
  SimDomain *domain = add_domain(host, uuid);
  take_spec(host, domain, spec);
  sim_host_note(host, "stranger %s defined", uuid);
  sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_DEFINED, true);
}

void sim_host_meddle(SimHost *host)
{
  guint what = (guint)sim_below(&host->random, 8);
  SimDomain *domain = host->domains->len ? host->domains->pdata[sim_below(&host->random, host->domains->len)] : NULL;
  /* Hands off what moves, and what has moved: to start that again past everybody is to ask for it twice. */
  if (!host->powered || host->machine->paused || (domain && (domain->arrival || domain->outgoing || domain->gone_over)))
    return;
  if (!domain || what == 0) {
    define_stranger(host);
  } else if (what == 1 && !domain->live && !domain->vm) {
    sim_host_note(host, "domain %s undefined by hand", domain->uuid);
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_UNDEFINED, false);
    remove_domain(host, domain);
  } else if (what <= 3 && domain->live) {
    sim_domain_stop(host, domain, WS_POWER_STATE_OFF, "destroyed");
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_STOPPED, false);
  } else if (what == 4 && domain->state == WS_POWER_STATE_RUNNING) {
    set_state(host, domain, WS_POWER_STATE_PAUSED, "user");
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_PAUSED, false);
  } else if (!domain->live && domain->state == WS_POWER_STATE_OFF && start_domain(host, domain, false, NULL)) {
    sim_host_tell_event(host, domain, WS_RPC_VM_EVENT_KIND_STARTED, false);
  }
}
