// SPDX-License-Identifier: Apache-2.0
/* What is remembered per domain, and what libvirt's states are called here. See VirtFacts. */
#include "host/hypervisor/hypervisor-private.h"

/* ---- states ---- */

static const char *running_reason(int reason)
{
  static const char *const words[] = {
    [VIR_DOMAIN_RUNNING_BOOTED] = "booted", [VIR_DOMAIN_RUNNING_MIGRATED] = "migrated", [VIR_DOMAIN_RUNNING_RESTORED] = "restored",
    [VIR_DOMAIN_RUNNING_FROM_SNAPSHOT] = "from_snapshot", [VIR_DOMAIN_RUNNING_UNPAUSED] = "unpaused",
    [VIR_DOMAIN_RUNNING_MIGRATION_CANCELED] = "migration_cancelled", [VIR_DOMAIN_RUNNING_SAVE_CANCELED] = "save_cancelled",
    [VIR_DOMAIN_RUNNING_WAKEUP] = "woken", [VIR_DOMAIN_RUNNING_CRASHED] = "crashed", [VIR_DOMAIN_RUNNING_POSTCOPY] = "postcopy",
  };
  return reason >= 0 && reason < (int)G_N_ELEMENTS(words) ? words[reason] : NULL;
}

static const char *paused_reason(int reason)
{
  static const char *const words[] = {
    [VIR_DOMAIN_PAUSED_USER] = "user", [VIR_DOMAIN_PAUSED_MIGRATION] = "migration", [VIR_DOMAIN_PAUSED_SAVE] = "save",
    [VIR_DOMAIN_PAUSED_DUMP] = "dump", [VIR_DOMAIN_PAUSED_IOERROR] = "io_error", [VIR_DOMAIN_PAUSED_WATCHDOG] = "watchdog",
    [VIR_DOMAIN_PAUSED_FROM_SNAPSHOT] = "from_snapshot", [VIR_DOMAIN_PAUSED_SHUTTING_DOWN] = "shutting_down",
    [VIR_DOMAIN_PAUSED_SNAPSHOT] = "snapshot", [VIR_DOMAIN_PAUSED_CRASHED] = "crashed", [VIR_DOMAIN_PAUSED_STARTING_UP] = "starting_up",
    [VIR_DOMAIN_PAUSED_POSTCOPY] = "postcopy", [VIR_DOMAIN_PAUSED_POSTCOPY_FAILED] = "postcopy_failed",
  };
  return reason >= 0 && reason < (int)G_N_ELEMENTS(words) ? words[reason] : NULL;
}

static const char *shutoff_reason(int reason)
{
  static const char *const words[] = {
    [VIR_DOMAIN_SHUTOFF_SHUTDOWN] = "shutdown", [VIR_DOMAIN_SHUTOFF_DESTROYED] = "destroyed", [VIR_DOMAIN_SHUTOFF_CRASHED] = "crashed",
    [VIR_DOMAIN_SHUTOFF_MIGRATED] = "migrated", [VIR_DOMAIN_SHUTOFF_SAVED] = "saved", [VIR_DOMAIN_SHUTOFF_FAILED] = "failed",
    [VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT] = "from_snapshot", [VIR_DOMAIN_SHUTOFF_DAEMON] = "daemon",
  };
  return reason >= 0 && reason < (int)G_N_ELEMENTS(words) ? words[reason] : NULL;
}

/* libvirt's state and reason as ours. A QEMU that died by itself leaves its VM off, with the reason; crashed is a guest that
 * panicked and can still be looked at. */
static WsPowerState map_state(virDomainPtr domain, int state, int reason, const char **word)
{
  switch (state) {
  case VIR_DOMAIN_RUNNING:
  case VIR_DOMAIN_BLOCKED:
    *word = running_reason(reason);
    return WS_POWER_STATE_RUNNING;
  case VIR_DOMAIN_SHUTDOWN:
    *word = "shutting_down";
    return WS_POWER_STATE_RUNNING;
  case VIR_DOMAIN_PAUSED:
    *word = paused_reason(reason);
    return reason == VIR_DOMAIN_PAUSED_IOERROR ? WS_POWER_STATE_IO_HELD : WS_POWER_STATE_PAUSED;
  case VIR_DOMAIN_PMSUSPENDED:
    *word = "suspended_by_guest";
    return WS_POWER_STATE_PAUSED;
  case VIR_DOMAIN_CRASHED:
    *word = "panicked";
    return WS_POWER_STATE_CRASHED;
  case VIR_DOMAIN_SHUTOFF:
    *word = shutoff_reason(reason);
    return virDomainHasManagedSaveImage(domain, 0) == 1 ? WS_POWER_STATE_HIBERNATED : WS_POWER_STATE_OFF;
  default:
    *word = NULL;
    return WS_POWER_STATE_UNKNOWN;
  }
}

WsPowerState virt_state(virDomainPtr domain)
{
  int state, reason;
  const char *word;
  return virDomainGetState(domain, &state, &reason, 0) == 0 ? map_state(domain, state, reason, &word) : 0;
}

const char *virt_uuid(virDomainPtr domain, char *buf)
{
  if (virDomainGetUUIDString(domain, buf) < 0)
    buf[0] = 0;
  return buf;
}

gint64 virt_look(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  gint64 look = ++hv->looks;
  g_mutex_unlock(&hv->lock);
  return look;
}

WsPower *virt_power(Hypervisor *hv, virDomainPtr domain, GError **error)
{
  gint64 look = virt_look(hv);
  char uuid[VIR_UUID_STRING_BUFLEN];
  int state, reason;
  const char *word;
  virt_uuid(domain, uuid);
  if (virDomainGetState(domain, &state, &reason, 0) < 0) {
    virt_fail(error, virt_facts_vm(hv, uuid), uuid, "read the state of");
    return NULL;
  }
  WsPower *power = ws_power_new();
  power->look = look;
  power->state = map_state(domain, state, reason, &word);
  power->reason = g_strdup(word);
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  if (facts->state && facts->state != power->state)
    facts->since_us = ws_clock_wall_us(hv->config.clock);
  facts->state = power->state;
  g_free(facts->reason);
  facts->reason = g_strdup(word);
  power->since = facts->since_us;
  g_mutex_unlock(&hv->lock);
  return power;
}

/* ---- memory ---- */

void virt_facts_free(void *arg)
{
  VirtFacts *facts = arg;
  g_free(facts->reason);
  ws_vm_guest_free(facts->guest);
  ws_vm_usage_free(facts->slow_usage);
  g_free(facts);
}

VirtFacts *virt_facts(Hypervisor *hv, const char *uuid)
{
  VirtFacts *facts = g_hash_table_lookup(hv->facts, uuid);
  if (!facts) {
    facts = g_new0(VirtFacts, 1);
    g_hash_table_insert(hv->facts, g_strdup(uuid), facts);
  }
  return facts;
}

WsId virt_facts_vm(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  const VirtFacts *facts = g_hash_table_lookup(hv->facts, uuid);
  WsId vm = facts ? facts->vm : 0;
  g_mutex_unlock(&hv->lock);
  return vm;
}

void virt_facts_set_vm(Hypervisor *hv, const char *uuid, WsId vm)
{
  g_mutex_lock(&hv->lock);
  virt_facts(hv, uuid)->vm = vm;
  g_mutex_unlock(&hv->lock);
}

void virt_facts_forget(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  g_hash_table_remove(hv->facts, uuid);
  g_mutex_unlock(&hv->lock);
}

WsVmGuest *virt_facts_guest(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  const VirtFacts *facts = g_hash_table_lookup(hv->facts, uuid);
  WsVmGuest *guest = facts && facts->guest ? ws_vm_guest_copy(facts->guest) : NULL;
  g_mutex_unlock(&hv->lock);
  return guest;
}

/* ---- restarts through ACPI ---- */

#define REBOOT_PATIENCE_US (120 * (gint64)G_USEC_PER_SEC)

void virt_facts_set_restarting(Hypervisor *hv, const char *uuid, bool restarting)
{
  g_mutex_lock(&hv->lock);
  virt_facts(hv, uuid)->restarting_us = restarting ? g_get_monotonic_time() : 0;
  g_mutex_unlock(&hv->lock);
}

/* QEMU tells of one reset two or three times, the last some 60 ms after it (7.2), later when the machine is busy; no guest goes down for a restart
 * and resets in less than two seconds. */
#define RESET_EVENTS_US (10 * (gint64)G_USEC_PER_SEC)
#define GOING_DOWN_US   (2 * (gint64)G_USEC_PER_SEC)

void virt_facts_note_own_reset(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  facts->reset_us = g_get_monotonic_time();
  facts->restarting_us = 0;
  g_mutex_unlock(&hv->lock);
}

void virt_facts_note_reset(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  VirtFacts *facts = virt_facts(hv, uuid);
  gint64 now_us = g_get_monotonic_time();
  bool ours = facts->reset_us && now_us - facts->reset_us < RESET_EVENTS_US && now_us - facts->restarting_us < GOING_DOWN_US;
  if (!ours)
    facts->restarting_us = 0;
  g_mutex_unlock(&hv->lock);
}

bool virt_facts_is_restarting(Hypervisor *hv, const char *uuid)
{
  g_mutex_lock(&hv->lock);
  const VirtFacts *facts = g_hash_table_lookup(hv->facts, uuid);
  bool restarting = facts && facts->restarting_us && g_get_monotonic_time() - facts->restarting_us < REBOOT_PATIENCE_US;
  g_mutex_unlock(&hv->lock);
  return restarting;
}
