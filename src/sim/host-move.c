// SPDX-License-Identifier: Apache-2.0
/* A simulated host's part in moving running VMs: what two agents, libvirt and QEMU do for the calls of api/rpc/migrate.yaml. See host.h.
 *
 * A move is three moments, with a while between them in which anything may go down: the source stands still, the target is complete, the source
 * has given the guest away. What breaks before the second leaves the guest at the source (running, or standing still), what breaks
 * after it leaves it on the target, standing still until it is released. VMs that are off are not moved here. */
#include "rpc/methods.h"
#include "sim/host.h"
#include <string.h>

typedef enum { COPYING, STANDING, HANDING_OVER } Phase;

typedef struct {
  SimHost *host;
  char *id, *uuid, *failure;
  WsId peer;
  int job; /* of vm.migrate_status */
  Phase phase;
  WsVmSpec *spec; /* the VM as it will be on the target */
  SimEvent *event;
} Session;

static GPtrArray *hosts; /* SimHost; a run is a process */

void sim_host_move_know(SimHost *host)
{
  hosts = hosts ? hosts : g_ptr_array_new();
  g_ptr_array_add(hosts, host);
  host->sessions = g_ptr_array_new();
}

SimHost *sim_host_nth(guint i)
{
  return i < hosts->len ? hosts->pdata[i] : NULL;
}

static SimHost *find_host(WsId id)
{
  for (guint i = 0; i < hosts->len; i++)
    if (((SimHost *)hosts->pdata[i])->id == id)
      return hosts->pdata[i];
  return NULL;
}

static Session *find_session(const SimHost *host, const char *id)
{
  for (guint i = 0; i < host->sessions->len; i++)
    if (strcmp(((Session *)host->sessions->pdata[i])->id, id) == 0)
      return host->sessions->pdata[i];
  return NULL;
}

static Session *open_session(SimHost *host, const char *id, const char *uuid, WsId peer, const WsVmSpec *spec)
{
  Session *session = g_new0(Session, 1);
  *session = (Session){.host = host, .id = g_strdup(id), .uuid = g_strdup(uuid), .peer = peer, .job = WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE,
                       .spec = ws_vm_spec_copy(spec)};
  g_ptr_array_add(host->sessions, session);
  return session;
}

/* What arrives and is not complete ends with its session, on either side. */
static void drop_incoming(SimHost *target, const char *uuid)
{
  SimDomain *domain = target ? sim_host_find_domain(target, uuid) : NULL;
  if (domain && domain->arrival == SIM_INCOMING)
    sim_host_remove_domain(target, domain);
}

static void fail_job(Session *session, const char *why, bool resumes)
{
  SimDomain *domain = sim_host_find_domain(session->host, session->uuid);
  sim_cancel(g_steal_pointer(&session->event));
  session->job = WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_FAILED;
  g_free(session->failure);
  session->failure = g_strdup(why);
  sim_host_note(session->host, "move of %s fails: %s", session->uuid, why);
  if (session->phase < HANDING_OVER) {
    drop_incoming(find_host(session->peer), session->uuid);
    if (domain && domain->outgoing && resumes)
      sim_domain_go_on(session->host, domain);
  }
}

/* The guest is on the target: the source has none any more. */
static void give_away(Session *session, SimDomain *domain)
{
  domain->outgoing = false;
  sim_domain_stop(session->host, domain, WS_POWER_STATE_OFF, "migrated");
  domain->gone_over = true;
  session->job = WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_DONE;
}

static void step(void *arg);

static void step_in(Session *session, gint64 usual_us, gint64 most_us)
{
  session->event = sim_after(session->host->world, sim_delay(&session->host->random, usual_us, most_us), step, session);
}

static void step(void *arg)
{
  Session *session = arg;
  SimHost *target = find_host(session->peer);
  SimDomain *here = sim_host_find_domain(session->host, session->uuid);
  SimDomain *there = target ? sim_host_find_domain(target, session->uuid) : NULL;
  session->event = NULL;
  if (session->host->machine->paused || (target && target->machine->paused)) {
    step_in(session, G_USEC_PER_SEC / 2, G_USEC_PER_SEC);
    return;
  }
  if (session->phase == HANDING_OVER && here && here->outgoing) {
    give_away(session, here);
    return;
  }
  if (!here || !here->live || !there || there->arrival != SIM_INCOMING) {
    fail_job(session, "the other side is gone", true);
  } else if (sim_chance(&session->host->random, 0.1)) {
    fail_job(session, "simulated", sim_chance(&session->host->random, 0.5));
  } else if (session->phase == COPYING) {
    here->was_paused = here->state == WS_POWER_STATE_PAUSED;
    sim_domain_stand(session->host, here);
    session->phase = STANDING;
    step_in(session, 50 * 1000, G_USEC_PER_SEC);
  } else {
    there->arrival = SIM_COMPLETE;
    there->live = ws_vm_spec_copy(there->spec);
    session->phase = HANDING_OVER;
    sim_host_note(target, "domain %s is complete", session->uuid);
    step_in(session, 20 * 1000, G_USEC_PER_SEC);
  }
}

/* An agent is gone, and the streams that it carried. */
void sim_host_moves_break(SimHost *host)
{
  for (guint i = 0; hosts && i < hosts->len; i++) {
    SimHost *at = hosts->pdata[i];
    for (guint k = 0; k < at->sessions->len; k++) {
      Session *session = at->sessions->pdata[k];
      if (session->job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING && (at == host || session->peer == host->id))
        fail_job(session, "the stream broke", sim_chance(&host->random, 0.5));
    }
  }
  for (guint i = host->domains->len; i-- > 0;)
    drop_incoming(host, ((SimDomain *)host->domains->pdata[i])->uuid);
  for (guint i = 0; i < host->sessions->len; i++)
    sim_cancel(g_steal_pointer(&((Session *)host->sessions->pdata[i])->event));
  g_ptr_array_set_size(host->sessions, 0); /* known to nobody any more */
}

/* ---- calls ---- */

static bool do_look(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigrateLook *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimDomain *domain = sim_host_work(host, call, params->uuid, error) ? sim_host_find_domain(host, params->uuid) : NULL;
  if (!domain)
    return (error && *error) ? false : ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->uuid, NULL);
  WsRpcVmMigrateLookResult *answer = ws_rpc_vm_migrate_look_result_new();
  answer->sight = ws_vm_move_sight_new();
  answer->sight->power = ws_power_new();
  answer->sight->power->state = domain->state;
  if (!domain->live)
    ws_array_add(&answer->sight->blockers, g_strdup("it is off: not simulated"));
  *result = answer;
  return true;
}

static bool do_dirty_rate(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmDirtyRate *params = arg;
  SimHost *host = sim_host_of_call(call);
  SimDomain *domain =
      sim_host_work(host, call, NULL, error) ? sim_host_find_domain(host, params->uuid) : NULL;
  if (!domain)
    return (error && *error) ? false : ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->uuid, NULL);
  WsRpcVmDirtyRateResult *answer = ws_rpc_vm_dirty_rate_result_new();
  answer->bytes_per_s = 16 << 20;
  *result = answer;
  return true;
}

static bool do_check(RpcCall *call, const void *arg, void **result, GError **error)
{
  if (!sim_host_work(sim_host_of_call(call), call, NULL, error))
    return false;
  *result = ws_rpc_vm_migrate_check_result_new();
  return true;
}

static bool do_prepare(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigratePrepare *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  if (params->offline)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a VM that is off", NULL);
  if (!find_session(host, params->session))
    open_session(host, params->session, params->uuid, params->peer, params->spec);
  WsRpcVmMigratePrepareResult *answer = ws_rpc_vm_migrate_prepare_result_new();
  answer->port = 50000;
  answer->folder = g_strdup("/run/move");
  *result = answer;
  return true;
}

static bool do_start(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigrateStart *params = arg;
  SimHost *host = sim_host_of_call(call), *target = find_host(params->peer);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->uuid);
  Session *session = find_session(host, params->session);
  if (session)
    return true; /* it has begun */
  if (!domain || !domain->live || domain->outgoing)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", params->uuid, "verb", "migrate", "state", "off", NULL);
  session = open_session(host, params->session, params->uuid, params->peer, params->spec);
  session->job = WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING;
  if (!target || !target->powered || !sim_host_has_agent(target) || !find_session(target, params->session) ||
      sim_host_find_domain(target, params->uuid)) {
    fail_job(session, "the target does not take it", true);
    return true;
  }
  sim_host_add_incoming(target, params->spec);
  step_in(session, 2 * G_USEC_PER_SEC, 10 * G_USEC_PER_SEC);
  return true;
}

static int word_of(const SimDomain *domain)
{
  if (!domain)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_ABSENT;
  if (domain->arrival == SIM_INCOMING)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_INCOMING;
  if (domain->arrival == SIM_COMPLETE)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED;
  if (domain->outgoing)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OUTGOING;
  if (!domain->live)
    return domain->gone_over ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_GONE_OVER : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OFF;
  return domain->state == WS_POWER_STATE_PAUSED ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED
                                                : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_RUNNING;
}

static bool do_status(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigrateStatus *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  const Session *session = find_session(host, params->session);
  WsRpcVmMigrateStatusResult *answer = ws_rpc_vm_migrate_status_result_new();
  answer->domain = word_of(sim_host_find_domain(host, params->uuid));
  answer->job = session ? session->job : WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE;
  if (session && session->failure) {
    answer->failure = ws_failure_new();
    answer->failure->code = g_strdup("hypervisor_error");
    answer->failure->cause = g_strdup(session->failure);
  }
  *result = answer;
  return true;
}

static bool do_cancel(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  Session *session = find_session(host, ((const WsRpcVmMigrateCancel *)arg)->session);
  if (session && session->job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING && session->phase < HANDING_OVER)
    fail_job(session, "cancelled", true);
  return true;
}

static bool do_release(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigrateRelease *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->uuid);
  if (!domain || !domain->live)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->uuid, NULL);
  if (domain->arrival == SIM_COMPLETE)
    sim_domain_go_on(host, domain);
  WsRpcVmMigrateReleaseResult *answer = ws_rpc_vm_migrate_release_result_new();
  answer->power = sim_domain_power(host, domain);
  *result = answer;
  return true;
}

static bool do_drop(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcVmMigrateDrop *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, params->uuid, error))
    return false;
  SimDomain *domain = sim_host_find_domain(host, params->uuid);
  if (!domain)
    return true;
  if (!domain->arrival)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", params->uuid, "verb", "be removed", "state", "running", NULL);
  sim_host_note(host, "what arrived of %s is dropped", params->uuid);
  sim_host_remove_domain(host, domain);
  return true;
}

/* The simulated hosts' disks are the inventory's to keep apart: nothing is started here that the manager does not ask for. */
static bool do_pass(RpcCall *call, const void *arg, void **result, GError **error)
{
  return sim_host_work(sim_host_of_call(call), call, NULL, error);
}

static bool do_close(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  Session *session = find_session(host, ((const WsRpcVmMigrateClose *)arg)->session);
  if (session && session->job == WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING)
    fail_job(session, "closed", true);
  if (session)
    g_ptr_array_remove(host->sessions, session);
  return true;
}

SimServices sim_host_move_services(void)
{
  static const RpcService services[] = {
      {&rpc_method_vm_migrate_look, do_look},     {&rpc_method_vm_migrate_check, do_check},
      {&rpc_method_vm_dirty_rate, do_dirty_rate}, {&rpc_method_vm_migrate_prepare, do_prepare},
      {&rpc_method_vm_migrate_start, do_start},   {&rpc_method_vm_migrate_status, do_status},
      {&rpc_method_vm_migrate_cancel, do_cancel}, {&rpc_method_vm_migrate_release, do_release},
      {&rpc_method_vm_migrate_drop, do_drop},     {&rpc_method_vm_migrate_close, do_close},
      {&rpc_method_vm_lease_pass, do_pass},
  };
  return (SimServices){services, G_N_ELEMENTS(services)};
}
