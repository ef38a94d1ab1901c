// SPDX-License-Identifier: Apache-2.0
/* Power: each call says how the VM should be. See hypervisor.h.
 *
 * The state is looked at first, and again when libvirt refuses: somebody else may just have brought about what was asked for. */
#include "host/hypervisor/lease.h"

/* One call: connection, domain, and who it is for in texts. */
typedef struct {
  Hypervisor *hv;
  VirtConn *conn;
  virDomainPtr domain;
  WsId vm;
  const char *uuid;
  WsPowerState state; /* at the beginning */
} Call;

static bool begin(Call *call, Hypervisor *hv, WsId vm, const char *uuid, GError **error)
{
  *call = (Call){.hv = hv, .vm = vm, .uuid = uuid};
  call->conn = virt_conn_acquire(hv, error);
  call->domain = call->conn ? virt_find(call->conn, vm, uuid, error) : NULL;
  if (call->domain)
    call->state = virt_state(call->domain);
  if (call->domain && !call->state)
    return virt_fail(error, vm, uuid, "read the state of");
  return call->domain != NULL;
}

static void end(Call *call)
{
  g_clear_pointer(&call->domain, virDomainFree);
  g_clear_pointer(&call->conn, virt_conn_release);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, end)

static bool is_on(WsPowerState state)
{
  return state == WS_POWER_STATE_RUNNING || state == WS_POWER_STATE_PAUSED || state == WS_POWER_STATE_IO_HELD ||
         state == WS_POWER_STATE_CRASHED;
}

/* The state afterwards is the answer. */
static bool answer(Call *call, WsPower **power, GError **error)
{
  *power = virt_power(call->hv, call->domain, error);
  return *power != NULL;
}

/* libvirt refused: right all the same when the domain is in (one of) the wanted states, a set of 1 << state. */
static bool answer_if(Call *call, guint wanted, const char *operation, WsPower **power, GError **error)
{
  g_autoptr(GError) refused = NULL;
  virt_fail(&refused, call->vm, call->uuid, operation);
  WsPowerState now = virt_state(call->domain);
  if (now && (wanted & (1u << now)))
    return answer(call, power, error);
  g_propagate_error(error, g_steal_pointer(&refused));
  return false;
}

#define RUNNING (1u << WS_POWER_STATE_RUNNING)
#define PAUSED  (1u << WS_POWER_STATE_PAUSED)
#define OFF     (1u << WS_POWER_STATE_OFF)

/* ---- start: only with the right to (lease.h) ---- */

static VirtAsk ask_of(const WsVmRight *right)
{
  VirtAsk ask = VIRT_ASK_NONE;
  if (!right)
    return ask;
  ask.generation = right->generation;
  ask.take_over = right->take_over ? right->take_over->reason : NULL;
  ask.over_generation = right->take_over ? right->take_over->generation : WS_INT_UNSET;
  return ask;
}

static bool start_held(Call *call, const WsVmRight *right, bool paused, WsPower **power, GError **error)
{
  VirtAsk ask = ask_of(right);
  if (!virt_lease_take(call->hv, call->domain, call->vm, call->uuid, &ask, error))
    return false;
  if (is_on(call->state))
    return answer(call, power, error);
  g_autoptr(GError) refused = NULL;
  if (virDomainCreateWithFlags(call->domain, paused ? VIR_DOMAIN_START_PAUSED : 0) < 0)
    virt_fail(&refused, call->vm, call->uuid, "start"); /* before anything else asks libvirt */
  if (!refused || is_on(virt_state(call->domain)))
    return answer(call, power, error);
  if (virt_state(call->domain) == WS_POWER_STATE_OFF)
    virt_lease_give_up(call->hv, call->uuid);
  g_propagate_error(error, g_steal_pointer(&refused));
  return false;
}

static bool start(Hypervisor *hv, WsId vm, const char *uuid, const WsVmRight *right, bool paused, WsPower **power, GError **error)
{
  g_auto(Call) call = {0};
  virt_lease_enter(hv, uuid); /* before its state is read */
  bool started = begin(&call, hv, vm, uuid, error) && start_held(&call, right, paused, power, error);
  virt_lease_leave(hv, uuid);
  return started;
}

bool hypervisor_vm_start(Hypervisor *hv, const WsRpcVmStart *params, WsPower **power, GError **error)
{
  return start(hv, params->vm, params->uuid, params->right, params->paused, power, error);
}

/* Through the agent when it is there, else through ACPI. An agent that is there but silent costs libvirt's 5 s. */
static unsigned int guest_way(Hypervisor *hv, const char *uuid, unsigned int agent, unsigned int acpi)
{
  g_autoptr(WsVmGuest) guest = virt_facts_guest(hv, uuid);
  return guest && guest->agent == WS_VM_GUEST_AGENT_CONNECTED ? agent : acpi;
}

bool hypervisor_vm_shutdown(Hypervisor *hv, const WsRpcVmShutdown *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (!is_on(call.state))
    return answer(&call, power, error);
  if (call.state != WS_POWER_STATE_RUNNING)
    return virt_wrong_state(error, params->vm, params->uuid, "shut down", call.state);
  unsigned int way = guest_way(hv, params->uuid, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
  if (virDomainShutdownFlags(call.domain, way) == 0)
    return answer(&call, power, error);
  if (way == VIR_DOMAIN_SHUTDOWN_GUEST_AGENT && virDomainShutdownFlags(call.domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0)
    return answer(&call, power, error);
  return answer_if(&call, OFF, "shut down", power, error);
}

bool hypervisor_vm_reboot(Hypervisor *hv, const WsRpcVmReboot *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (call.state != WS_POWER_STATE_RUNNING)
    return virt_wrong_state(error, params->vm, params->uuid, "reboot", call.state);
  unsigned int way = guest_way(hv, params->uuid, VIR_DOMAIN_REBOOT_GUEST_AGENT, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN);
  if (way == VIR_DOMAIN_REBOOT_GUEST_AGENT && virDomainReboot(call.domain, way) == 0)
    return answer(&call, power, error);
  virt_facts_set_restarting(hv, params->uuid, true); /* before its event can come */
  if (virDomainReboot(call.domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN) == 0)
    return answer(&call, power, error);
  virt_facts_set_restarting(hv, params->uuid, false);
  return virt_fail(error, params->vm, params->uuid, "reboot");
}

bool hypervisor_vm_power_off(Hypervisor *hv, const WsRpcVmPowerOff *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (!is_on(call.state))
    return answer(&call, power, error);
  bool persistent = virDomainIsPersistent(call.domain) != 0;
  if (virDomainDestroy(call.domain) < 0)
    return answer_if(&call, OFF, "power off", power, error);
  if (persistent)
    return answer(&call, power, error);
  *power = ws_power_new(); /* it had no definition: gone with its process */
  (*power)->look = virt_look(hv);
  (*power)->state = WS_POWER_STATE_OFF;
  (*power)->reason = g_strdup("destroyed");
  return true;
}

bool hypervisor_vm_reset(Hypervisor *hv, const WsRpcVmReset *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (!is_on(call.state))
    return virt_wrong_state(error, params->vm, params->uuid, "reset", call.state);
  if (virDomainReset(call.domain, 0) < 0)
    return virt_fail(error, params->vm, params->uuid, "reset");
  virt_facts_note_own_reset(hv, params->uuid);
  /* After a panic libvirt leaves it stopped. */
  if (call.state == WS_POWER_STATE_CRASHED && virt_state(call.domain) == WS_POWER_STATE_PAUSED && virDomainResume(call.domain) < 0)
    return virt_fail(error, params->vm, params->uuid, "reset");
  return answer(&call, power, error);
}

bool hypervisor_vm_pause(Hypervisor *hv, const WsRpcVmPause *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (call.state == WS_POWER_STATE_PAUSED || call.state == WS_POWER_STATE_IO_HELD)
    return answer(&call, power, error);
  if (call.state != WS_POWER_STATE_RUNNING)
    return virt_wrong_state(error, params->vm, params->uuid, "pause", call.state);
  if (virDomainSuspend(call.domain) < 0)
    return answer_if(&call, PAUSED, "pause", power, error);
  return answer(&call, power, error);
}

/* A guest that the hypervisor paused goes on; one that sent itself to sleep is woken. Unless another host has it by now. */
static bool go_on(Call *call, WsPower **power, GError **error)
{
  int state = 0;
  if (!virt_lease_check(call->hv, call->domain, call->vm, call->uuid, error))
    return false;
  virDomainGetState(call->domain, &state, NULL, 0);
  if ((state == VIR_DOMAIN_PMSUSPENDED ? virDomainPMWakeup(call->domain, 0) : virDomainResume(call->domain)) < 0)
    return answer_if(call, RUNNING, "resume", power, error);
  return answer(call, power, error);
}

/* One in saved memory is started. */
bool hypervisor_vm_resume(Hypervisor *hv, const WsRpcVmResume *params, WsPower **power, GError **error)
{
  g_auto(Call) call = {0};
  bool done = false;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  switch (call.state) {
  case WS_POWER_STATE_RUNNING:
    return answer(&call, power, error);
  case WS_POWER_STATE_PAUSED:
  case WS_POWER_STATE_IO_HELD:
    virt_lease_enter(hv, params->uuid);
    done = go_on(&call, power, error);
    virt_lease_leave(hv, params->uuid);
    return done;
  case WS_POWER_STATE_HIBERNATED:
    return start(hv, params->vm, params->uuid, params->right, false, power, error);
  default:
    return virt_wrong_state(error, params->vm, params->uuid, "resume", call.state);
  }
}

/* ---- hibernation: long, so it is watched from a second thread ---- */

typedef struct {
  const HypervisorOp *op;
  virDomainPtr domain;
  GMutex lock;
  GCond ended_cond;
  bool ended;
} Watch;

static bool is_cancelled(const HypervisorOp *op)
{
  return op && op->cancel && g_atomic_int_get(op->cancel);
}

static void watch_once(Watch *watch)
{
  virDomainJobInfo info;
  if (is_cancelled(watch->op)) {
    virDomainAbortJob(watch->domain);
    return;
  }
  if (watch->op->progress && virDomainGetJobInfo(watch->domain, &info) == 0 && info.type != VIR_DOMAIN_JOB_NONE)
    watch->op->progress((gint64)info.dataProcessed, info.dataTotal ? (gint64)info.dataTotal : -1, watch->op->arg);
}

static gpointer watch_job(gpointer arg)
{
  Watch *watch = arg;
  g_mutex_lock(&watch->lock);
  while (!watch->ended) {
    g_cond_wait_until(&watch->ended_cond, &watch->lock, g_get_monotonic_time() + G_USEC_PER_SEC / 2);
    if (watch->ended)
      break;
    g_mutex_unlock(&watch->lock);
    watch_once(watch);
    g_mutex_lock(&watch->lock);
  }
  g_mutex_unlock(&watch->lock);
  return NULL;
}

static int save_watched(virDomainPtr domain, const HypervisorOp *op)
{
  if (!op)
    return virDomainManagedSave(domain, 0);
  Watch watch = {.op = op, .domain = domain};
  g_mutex_init(&watch.lock);
  g_cond_init(&watch.ended_cond);
  GThread *thread = g_thread_new("hibernate", watch_job, &watch);
  int done = virDomainManagedSave(domain, 0);
  g_mutex_lock(&watch.lock);
  watch.ended = true;
  g_cond_signal(&watch.ended_cond);
  g_mutex_unlock(&watch.lock);
  g_thread_join(thread);
  g_mutex_clear(&watch.lock);
  g_cond_clear(&watch.ended_cond);
  return done;
}

bool hypervisor_vm_hibernate(Hypervisor *hv, const WsRpcVmHibernate *params, const HypervisorOp *op, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (call.state == WS_POWER_STATE_HIBERNATED)
    return answer(&call, power, error);
  if (call.state != WS_POWER_STATE_RUNNING && call.state != WS_POWER_STATE_PAUSED)
    return virt_wrong_state(error, params->vm, params->uuid, "hibernate", call.state);
  if (virt_facts_is_restarting(hv, params->uuid))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", params->uuid, "verb", "hibernate", "reason",
                   "its guest is going down for a restart, which the saved memory would forget; try again when it is up", NULL);
  if (save_watched(call.domain, op) == 0)
    return answer(&call, power, error);
  if (is_cancelled(op))
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", virGetLastErrorMessage(), NULL);
  return answer_if(&call, 1u << WS_POWER_STATE_HIBERNATED, "hibernate", power, error);
}

bool hypervisor_vm_discard_saved(Hypervisor *hv, const WsRpcVmDiscardSaved *params, WsPower **power, GError **error)
{
  g_auto(Call) call;
  if (!begin(&call, hv, params->vm, params->uuid, error))
    return false;
  if (call.state == WS_POWER_STATE_HIBERNATED && virDomainManagedSaveRemove(call.domain, 0) < 0)
    return answer_if(&call, OFF, "discard the saved memory of", power, error);
  virt_lease_follow(hv, call.domain);
  return answer(&call, power, error);
}
