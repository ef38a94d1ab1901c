// SPDX-License-Identifier: Apache-2.0
/* What libvirt tells, as events of ours.
 *
 * Callbacks come on libvirt's event thread and only note what was said; a worker then looks at the domain (its state now, its
 * definition where that changed) and sends the event. Jobs of one domain run in order, so its events do too; a domain that
 * cannot be looked at holds up no other. */
#include "host/hypervisor/lease.h"
#include "base/log.h"
#include <string.h>

#define REMOVALS_KEPT 256

/* ---- sending ---- */

void virt_emit(Hypervisor *hv, WsRpcVmEvent *event)
{
  event->vm = event->vm ? event->vm : virt_facts_vm(hv, event->uuid);
  event->time = ws_clock_wall_us(hv->config.clock);
  g_mutex_lock(&hv->emit_lock);
  g_mutex_lock(&hv->lock);
  bool stopped = hv->stop;
  event->sequence = stopped ? hv->sequence : ++hv->sequence;
  g_mutex_unlock(&hv->lock);
  if (hv->config.on_event && !stopped)
    hv->config.on_event(event, hv->config.arg);
  else
    ws_rpc_vm_event_free(event);
  g_mutex_unlock(&hv->emit_lock);
}

/* ---- noting ---- */

typedef struct {
  Hypervisor *hv; /* referenced */
  char uuid[VIR_UUID_STRING_BUFLEN];
  char *name;
  WsRpcVmEventKind kind;
  char *reason; /* NULL: that of the state */
  char *device; /* key */
  bool look;    /* report the definition too */
} Noted;

static void noted_free(void *arg)
{
  Noted *noted = arg;
  virt_hv_unref(noted->hv);
  g_free(noted->name);
  g_free(noted->reason);
  g_free(noted->device);
  g_free(noted);
}

/* The right to run goes with what the domain does, before it is told. */
static void follow_lease(Noted *noted)
{
  switch (noted->kind) {
  case WS_RPC_VM_EVENT_KIND_STARTED:
  case WS_RPC_VM_EVENT_KIND_RESUMED:
  case WS_RPC_VM_EVENT_KIND_STOPPED: {
    g_autoptr(VirtConn) conn = virt_conn_acquire(noted->hv, NULL);
    VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, 0, noted->uuid, NULL) : NULL;
    if (domain)
      virt_lease_follow(noted->hv, domain);
    break;
  }
  default:
    break;
  }
}

/* Adds what can be seen of the domain now. false: it is gone. */
static bool look(Noted *noted, WsRpcVmEvent *event)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(VirtConn) conn = virt_conn_acquire(noted->hv, &error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, 0, noted->uuid, &error) : NULL;
  if (!domain)
    return ws_error_code(error) != WS_ERROR_NOT_FOUND;
  if (noted->look) {
    event->report = virt_report(noted->hv, domain, &error);
    event->vm = event->report ? event->report->vm : 0;
    event->power = event->report ? ws_power_copy(event->report->power) : NULL;
  } else {
    event->power = virt_power(noted->hv, domain, &error);
  }
  return event->power || ws_error_code(error) != WS_ERROR_NOT_FOUND;
}

static void send_noted(void *arg)
{
  Noted *noted = arg;
  WsRpcVmEvent *event = ws_rpc_vm_event_new();
  event->uuid = g_strdup(noted->uuid);
  event->name = g_strdup(noted->name);
  event->kind = noted->kind;
  event->device = g_strdup(noted->device);
  follow_lease(noted);
  bool undefined_once = noted->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED;
  gint64 number = virt_look(noted->hv);
  noted->look |= undefined_once;
  if (!look(noted, event)) /* a domain without a definition vanishes when it stops, and libvirt tells the stop only */
    event->kind = WS_RPC_VM_EVENT_KIND_UNDEFINED;
  else if (undefined_once && event->report) /* and is defined anew meanwhile */
    event->kind = WS_RPC_VM_EVENT_KIND_DEFINED;
  if (event->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED)
    event->look = number;
  event->reason = g_strdup(noted->reason ? noted->reason : event->power ? event->power->reason : NULL);
  bool undefined = event->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED;
  virt_emit(noted->hv, event);
  if (undefined)
    virt_facts_forget(noted->hv, noted->uuid);
}

static Noted *note(VirtConn *conn, virDomainPtr domain, WsRpcVmEventKind kind)
{
  Noted *noted = g_new0(Noted, 1);
  noted->hv = virt_hv_ref(conn->hv);
  noted->kind = kind;
  noted->name = g_strdup(virDomainGetName(domain));
  virt_uuid(domain, noted->uuid);
  return noted;
}

static void hand_over(Noted *noted)
{
  virt_run(noted->hv, noted->uuid, send_noted, noted, noted_free);
}

/* Key of a device by its alias; NULL: none of ours. */
static char *key_of(const char *alias)
{
  return alias && g_str_has_prefix(alias, "ua-") && alias[3] != '_' ? g_strdup(alias + 3) : NULL;
}

/* ---- removals, for those who wait ---- */

typedef struct {
  char *uuid, *alias;
  gint64 time_us; /* monotonic */
  bool refused;
} VirtRemoval;

void virt_removal_free(void *arg)
{
  VirtRemoval *removal = arg;
  g_free(removal->uuid);
  g_free(removal->alias);
  g_free(removal);
}

static void keep_removal(Hypervisor *hv, const char *uuid, const char *alias, bool refused)
{
  VirtRemoval *removal = g_new(VirtRemoval, 1);
  *removal = (VirtRemoval){g_strdup(uuid), g_strdup(alias), g_get_monotonic_time(), refused};
  g_mutex_lock(&hv->lock);
  g_queue_push_tail(&hv->removed, removal);
  if (hv->removed.length > REMOVALS_KEPT)
    virt_removal_free(g_queue_pop_head(&hv->removed));
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
}

static const VirtRemoval *find_removal(Hypervisor *hv, const char *uuid, const char *alias, gint64 since_us)
{
  for (const GList *at = hv->removed.tail; at; at = at->prev) {
    const VirtRemoval *removal = at->data;
    if (removal->time_us < since_us)
      return NULL;
    if (strcmp(removal->uuid, uuid) == 0 && strcmp(removal->alias, alias) == 0)
      return removal;
  }
  return NULL;
}

bool virt_wait_removed(Hypervisor *hv, const char *uuid, const char *alias, gint64 since_us, guint timeout_ms)
{
  gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
  const VirtRemoval *removal;
  g_mutex_lock(&hv->lock);
  while (!(removal = find_removal(hv, uuid, alias, since_us)) && !hv->stop)
    if (!g_cond_wait_until(&hv->changed, &hv->lock, end))
      break;
  bool removed = removal && !removal->refused;
  g_mutex_unlock(&hv->lock);
  return removed;
}

/* ---- libvirt's callbacks ---- */

static int on_lifecycle(virConnectPtr c, virDomainPtr domain, int event, int detail, void *arg)
{
  static const struct { int event; WsRpcVmEventKind kind; bool look; } rows[] = {
    {VIR_DOMAIN_EVENT_DEFINED, WS_RPC_VM_EVENT_KIND_DEFINED, true},
    {VIR_DOMAIN_EVENT_UNDEFINED, WS_RPC_VM_EVENT_KIND_UNDEFINED, false},
    {VIR_DOMAIN_EVENT_STARTED, WS_RPC_VM_EVENT_KIND_STARTED, true}, /* what waited for a restart waits no more */
    {VIR_DOMAIN_EVENT_SUSPENDED, WS_RPC_VM_EVENT_KIND_PAUSED, false},
    {VIR_DOMAIN_EVENT_RESUMED, WS_RPC_VM_EVENT_KIND_RESUMED, false},
    {VIR_DOMAIN_EVENT_STOPPED, WS_RPC_VM_EVENT_KIND_STOPPED, true},
    {VIR_DOMAIN_EVENT_PMSUSPENDED, WS_RPC_VM_EVENT_KIND_SUSPENDED_BY_GUEST, false},
    {VIR_DOMAIN_EVENT_CRASHED, WS_RPC_VM_EVENT_KIND_CRASHED, false},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    if (rows[i].event != event)
      continue;
    Noted *noted = note(arg, domain, rows[i].kind);
    noted->look = rows[i].look;
    if (event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_SAVED)
      noted->kind = WS_RPC_VM_EVENT_KIND_HIBERNATED;
    if (event == VIR_DOMAIN_EVENT_STOPPED) {
      virt_guest_gone(noted->hv, noted->uuid);
      virt_facts_set_restarting(noted->hv, noted->uuid, false);
    }
    if (event == VIR_DOMAIN_EVENT_SUSPENDED && detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)
      virt_moves_note_stopped(noted->hv, noted->uuid);
    hand_over(noted);
  }
  return 0;
}

static void on_reboot(virConnectPtr c, virDomainPtr domain, void *arg)
{
  Noted *noted = note(arg, domain, WS_RPC_VM_EVENT_KIND_REBOOTED);
  virt_facts_note_reset(noted->hv, noted->uuid);
  hand_over(noted);
}

static void on_io_error(virConnectPtr c, virDomainPtr domain, const char *path, const char *alias, int action, const char *reason,
                        void *arg)
{
  Noted *noted = note(arg, domain, WS_RPC_VM_EVENT_KIND_IO_ERROR);
  noted->reason = g_strdup(reason && *reason ? reason : action == VIR_DOMAIN_EVENT_IO_ERROR_REPORT ? "reported to the guest" : "error");
  noted->device = key_of(alias);
  hand_over(noted);
}

static void on_agent(virConnectPtr c, virDomainPtr domain, int state, int reason, void *arg)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  virt_guest_connected(((VirtConn *)arg)->hv, virt_uuid(domain, uuid), state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED);
}

static void note_device(VirtConn *conn, virDomainPtr domain, const char *alias, WsRpcVmEventKind kind, bool look_too)
{
  Noted *noted = note(conn, domain, kind);
  noted->device = key_of(alias);
  noted->look = look_too;
  hand_over(noted);
}

static void on_device_removed(virConnectPtr c, virDomainPtr domain, const char *alias, void *arg)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  keep_removal(((VirtConn *)arg)->hv, virt_uuid(domain, uuid), alias, false);
  note_device(arg, domain, alias, WS_RPC_VM_EVENT_KIND_DEVICE_REMOVED, true);
}

static void on_removal_failed(virConnectPtr c, virDomainPtr domain, const char *alias, void *arg)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  keep_removal(((VirtConn *)arg)->hv, virt_uuid(domain, uuid), alias, true);
  note_device(arg, domain, alias, WS_RPC_VM_EVENT_KIND_REMOVAL_REFUSED, false);
}

static void on_device_added(virConnectPtr c, virDomainPtr domain, const char *alias, void *arg)
{
  note_device(arg, domain, alias, WS_RPC_VM_EVENT_KIND_DEVICE_ADDED, true);
}

static void on_metadata(virConnectPtr c, virDomainPtr domain, int type, const char *uri, void *arg)
{
  Noted *noted = note(arg, domain, WS_RPC_VM_EVENT_KIND_METADATA);
  noted->look = true;
  hand_over(noted);
}

static void on_watchdog(virConnectPtr c, virDomainPtr domain, int action, void *arg)
{
  static const char *const words[] = {
    [VIR_DOMAIN_EVENT_WATCHDOG_NONE] = "none",         [VIR_DOMAIN_EVENT_WATCHDOG_PAUSE] = "pause",
    [VIR_DOMAIN_EVENT_WATCHDOG_RESET] = "reset",       [VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF] = "power_off",
    [VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN] = "shutdown", [VIR_DOMAIN_EVENT_WATCHDOG_DEBUG] = "debug",
    [VIR_DOMAIN_EVENT_WATCHDOG_INJECTNMI] = "nmi",
  };
  Noted *noted = note(arg, domain, WS_RPC_VM_EVENT_KIND_WATCHDOG);
  noted->reason = g_strdup(action >= 0 && action < (int)G_N_ELEMENTS(words) ? words[action] : NULL);
  hand_over(noted);
}

static void on_sleep(virConnectPtr c, virDomainPtr domain, int reason, void *arg)
{
  hand_over(note(arg, domain, WS_RPC_VM_EVENT_KIND_SUSPENDED_BY_GUEST));
}

static void on_wake(virConnectPtr c, virDomainPtr domain, int reason, void *arg)
{
  hand_over(note(arg, domain, WS_RPC_VM_EVENT_KIND_WOKEN));
}

static void on_balloon(virConnectPtr c, virDomainPtr domain, unsigned long long kib, void *arg)
{
  Noted *noted = note(arg, domain, WS_RPC_VM_EVENT_KIND_BALLOON);
  noted->look = true;
  hand_over(noted);
}

static const struct {
  int id;
  virConnectDomainEventGenericCallback func;
} subscriptions[] = {
  {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)},
  {VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot)},
  {VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error)},
  {VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent)},
  {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed)},
  {VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_removal_failed)},
  {VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added)},
  {VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata)},
  {VIR_DOMAIN_EVENT_ID_WATCHDOG, VIR_DOMAIN_EVENT_CALLBACK(on_watchdog)},
  {VIR_DOMAIN_EVENT_ID_PMSUSPEND, VIR_DOMAIN_EVENT_CALLBACK(on_sleep)},
  {VIR_DOMAIN_EVENT_ID_PMWAKEUP, VIR_DOMAIN_EVENT_CALLBACK(on_wake)},
  {VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_balloon)},
};

bool virt_events_register(Hypervisor *hv, VirtConn *conn, GError **error)
{
  g_array_set_size(hv->callbacks, 0);
  for (guint i = 0; i < G_N_ELEMENTS(subscriptions); i++) {
    int id = virConnectDomainEventRegisterAny(conn->c, NULL, subscriptions[i].id, subscriptions[i].func, virt_conn_ref(conn),
                                              virt_conn_unref);
    if (id < 0) {
      virt_conn_unref(conn);
      return virt_fail(error, 0, NULL, "subscribe to events");
    }
    g_array_append_val(hv->callbacks, id);
  }
  return true;
}

void virt_events_unregister(Hypervisor *hv, VirtConn *conn)
{
  for (guint i = 0; i < hv->callbacks->len; i++)
    virConnectDomainEventDeregisterAny(conn->c, g_array_index(hv->callbacks, int, i));
  g_array_set_size(hv->callbacks, 0);
}
