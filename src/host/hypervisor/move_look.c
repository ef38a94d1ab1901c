// SPDX-License-Identifier: Apache-2.0
/* Looking before a move and during it: what a VM is, what stands against it here, what this host has of it. See move-private.h. */
#include "host/hypervisor/lease.h"
#include "host/hypervisor/move-private.h"
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* ---- the source's sight ---- */

static void block(WsVmMoveSight *sight, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void block(WsVmMoveSight *sight, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  if (sight->blockers.len < 64)
    ws_array_add(&sight->blockers, text);
  else
    g_free(text);
}

static char *node_text(const xmlNode *node)
{
  xmlBuffer *buffer = xmlBufferCreate();
  xmlNodeDump(buffer, node->doc, (xmlNode *)node, 0, 0);
  char *text = g_strdup((const char *)xmlBufferContent(buffer));
  xmlBufferFree(buffer);
  return text;
}

static char *version_of(VirtConn *conn)
{
  gulong number = 0;
  virConnectGetVersion(conn->c, &number);
  return number ? g_strdup_printf("%lu.%lu.%lu", number / 1000000, number / 1000 % 1000, number % 1000) : NULL;
}

#define QEMU_SEES_WRITES 9000000 /* 9.0.0, as libvirt writes it */

bool virt_move_stands_still(Hypervisor *hv, VirtConn *conn, bool emulated)
{
  gulong number = 0;
  virConnectGetVersion(conn->c, &number);
  return emulated && number < QEMU_SEES_WRITES && !hv->config.move_emulated_live; /* 0, unknown: it may be an old one */
}

/* The host's own processor, as libvirt describes it. */
static char *host_cpu(VirtConn *conn)
{
  char *text = virConnectGetCapabilities(conn->c);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, NULL) : NULL;
  const xmlNode *cpu = doc ? virt_xml_child(xmlDocGetRootElement(doc), "host/cpu") : NULL;
  char *cpu_text = cpu ? node_text(cpu) : NULL;
  free(text);
  return cpu_text;
}

static void look_at_cpu(WsVmMoveSight *sight, VirtConn *conn, const xmlNode *root)
{
  const xmlNode *cpu = virt_xml_child(root, "cpu");
  sight->cpu_mode = g_strdup(cpu ? virt_xml_get(cpu, "mode") : NULL);
  if (g_strcmp0(sight->cpu_mode, "custom") == 0)
    sight->cpu_xml = node_text(cpu);
  else if (g_strcmp0(sight->cpu_mode, "host-passthrough") == 0 || g_strcmp0(sight->cpu_mode, "host-model") == 0)
    sight->cpu_xml = host_cpu(conn);
}

/* Devices that are part of this host, or that nobody can carry away. */
static void look_at_devices(WsVmMoveSight *sight, const xmlNode *root)
{
  static const struct { const char *element, *why; } held[] = {
    {"hostdev", "a device of the host is passed through to it"},
    {"filesystem", "a folder of the host is passed through to it"},
    {"shmem", "it shares memory with others on the host"},
    {"vsock", "it has a socket to the host"},
    {"redirdev", "a USB device is redirected to it"},
  };
  for (const xmlNode *device = virt_xml_first(virt_xml_child(root, "devices")); device; device = virt_xml_next(device)) {
    const char *alias = virt_xml_path_get(device, "alias", "name");
    for (guint i = 0; i < G_N_ELEMENTS(held); i++)
      if (virt_xml_is(device, held[i].element))
        block(sight, "%s (%s)", held[i].why, alias ? alias : held[i].element);
    if (virt_xml_is(device, "interface") && g_strcmp0(virt_xml_get(device, "type"), "hostdev") == 0)
      block(sight, "%s (%s)", held[0].why, alias ? alias : "NIC");
    if (virt_xml_is(device, "disk") && (!alias || !g_str_has_prefix(alias, "ua-")))
      block(sight, "its disk %s is not known to the platform by name", virt_xml_path_get(device, "target", "dev"));
    if (virt_xml_is(device, "disk") && virt_xml_child(device, "mirror"))
      block(sight, "its disk %s is being copied", alias ? alias : "");
  }
  if (virt_xml_child(root, "os/kernel"))
    block(sight, "it boots a kernel that lies on this host");
}

bool hypervisor_vm_migrate_look(Hypervisor *hv, const WsRpcVmMigrateLook *params, WsVmMoveSight **result, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  g_autoptr(WsVmMoveSight) sight = ws_vm_move_sight_new();
  sight->power = virt_power(hv, domain, error);
  char *text = sight->power ? virt_xml(domain, virDomainIsActive(domain) == 1) : NULL;
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, error) : NULL;
  if (!doc)
    return text || !sight->power ? (free(text), false) : virt_fail(error, params->vm, params->uuid, "read the definition of");
  free(text);
  const xmlNode *root = xmlDocGetRootElement(doc);
  sight->machine = g_strdup(virt_xml_path_get(root, "os/type", "machine"));
  sight->emulated = g_strcmp0(virt_xml_get(root, "type"), "qemu") == 0;
  sight->qemu = version_of(conn);
  sight->stands_still = virt_move_stands_still(hv, conn, sight->emulated);
  virDomainInfo info;
  if (virDomainGetInfo(domain, &info) == 0)
    sight->memory_bytes = (gint64)info.maxMem * 1024;
  look_at_cpu(sight, conn, root);
  look_at_devices(sight, root);
  if (virDomainSnapshotNum(domain, 0) > 0)
    block(sight, "it has snapshots that only this host knows");
  g_autofree char *address = params->network ? virt_move_address(params->network) : NULL;
  if (params->network && !address)
    block(sight, "the host that it is on has no address in the migration network %s", params->network);
  *result = g_steal_pointer(&sight);
  return true;
}

/* ---- what stands against it on the target ---- */

typedef struct {
  const WsRpcVmMigrateCheck *params;
  VirtConn *conn;
  WsRpcVmMigrateCheckResult *result;
} Check;

static void object(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void object(Check *check, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *text = g_strdup_vprintf(format, args);
  va_end(args);
  if (check->result->reasons.len < 64)
    ws_array_add(&check->result->reasons, g_strndup(text, 500));
}

/* "7.2.9" as a number that can be compared; 0: unknown. */
static guint64 version_number(const char *text)
{
  guint a = 0, b = 0, c = 0;
  return text && sscanf(text, "%u.%u.%u", &a, &b, &c) >= 2 ? a * G_GUINT64_CONSTANT(1000000) + b * 1000 + c : 0;
}

static bool is_off(const Check *check)
{
  return check->params->sight->power->state == WS_POWER_STATE_OFF;
}

static void check_emulator(Check *check)
{
  const WsVmMoveSight *sight = check->params->sight;
  const char *arch = ws_vm_spec_architecture_names[check->params->spec->architecture - 1];
  char *caps = virConnectGetDomainCapabilities(check->conn->c, NULL, arch, sight->machine, sight->emulated ? "qemu" : "kvm", 0);
  if (!caps)
    object(check, "machine %s (%s%s): %s", sight->machine ? sight->machine : "?", arch, sight->emulated ? ", emulated" : "",
           virGetLastErrorMessage());
  free(caps);
  g_autofree char *here = version_of(check->conn);
  guint64 mine = version_number(here), theirs = version_number(sight->qemu);
  if (is_off(check))
    return; /* it begins anew with the QEMU here: the machine type is all that counts */
  if (mine && theirs && mine < theirs)
    object(check, "QEMU %s here is older than %s there", here, sight->qemu);
  else if (mine != theirs && g_strcmp0(sight->cpu_mode, "maximum") == 0)
    object(check, "the guest sees all that QEMU %s emulates, and here is QEMU %s", sight->qemu, here);
}

static void check_cpu(Check *check)
{
  const WsVmMoveSight *sight = check->params->sight;
  const char *arch = ws_vm_spec_architecture_names[check->params->spec->architecture - 1];
  bool custom = g_strcmp0(sight->cpu_mode, "custom") == 0;
  if (!sight->cpu_xml || (is_off(check) && !custom)) /* off, it takes the processor it finds */
    return;
  int verdict = custom ? virConnectCompareHypervisorCPU(check->conn->c, NULL, arch, NULL, sight->emulated ? "qemu" : "kvm",
                                                        sight->cpu_xml, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
                       : virConnectCompareCPU(check->conn->c, sight->cpu_xml, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
  if (verdict == VIR_CPU_COMPARE_ERROR && (virt_error_is(VIR_ERR_CPU_INCOMPATIBLE) || !virt_error_is(VIR_ERR_NO_SUPPORT)))
    object(check, "CPU: %s", virGetLastErrorMessage());
  else if (verdict == VIR_CPU_COMPARE_INCOMPATIBLE)
    object(check, "CPU: the processor here lacks features that the guest sees");
}

static gint64 available_memory(void)
{
  g_autofree char *text = NULL;
  long long kib = -1;
  if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
    return -1;
  const char *at = strstr(text, "MemAvailable:");
  return at && sscanf(at, "MemAvailable: %lld", &kib) == 1 ? kib * 1024 : -1;
}

static void check_memory(Check *check)
{
  gint64 need = check->params->spec->memory_bytes, free_bytes = available_memory();
  if (!is_off(check) && free_bytes >= 0 && need > free_bytes)
    object(check, "memory: %" G_GINT64_FORMAT " MiB needed, %" G_GINT64_FORMAT " MiB available", need >> 20, free_bytes >> 20);
}

static void check_switches(Check *check)
{
  const WsVmSpec *spec = check->params->spec;
  for (guint i = 0; i < spec->nics.len; i++)
    if (!spec->nics.items[i]->bridge || !if_nametoindex(spec->nics.items[i]->bridge))
      object(check, "network: the switch %s of %s is not there", spec->nics.items[i]->bridge ? spec->nics.items[i]->bridge : "?",
             spec->nics.items[i]->key);
}

static void check_network(Check *check)
{
  const char *network = check->params->network;
  g_autofree char *address = network ? virt_move_address(network) : NULL;
  if (network && !address)
    object(check, "the target has no address in the migration network %s", network);
}

static void check_name(Check *check)
{
  const WsVmSpec *spec = check->params->spec;
  char name[WS_ID_TEXT_MAX];
  VIRT_AUTO_DOMAIN same = virDomainLookupByUUIDString(check->conn->c, spec->uuid);
  VIRT_AUTO_DOMAIN named = virDomainLookupByName(check->conn->c, ws_id_format("vm", spec->vm, name));
  char uuid[VIR_UUID_STRING_BUFLEN];
  if (same)
    object(check, "a domain with its UUID is here already");
  else if (named && g_ascii_strcasecmp(virt_uuid(named, uuid), spec->uuid) != 0)
    object(check, "another domain is called %s", name);
}

bool hypervisor_vm_migrate_check(Hypervisor *hv, const WsRpcVmMigrateCheck *params, WsRpcVmMigrateCheckResult **result,
                                 GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  if (!conn)
    return false;
  Check check = {params, conn, ws_rpc_vm_migrate_check_result_new()};
  check_emulator(&check);
  check_cpu(&check);
  check_memory(&check);
  check_switches(&check);
  check_name(&check);
  check_network(&check);
  *result = check.result;
  return true;
}

/* ---- what this host has of it ---- */

/* libvirt works on it: what arrives, or what leaves. */
static bool has_job(virDomainPtr domain)
{
  virDomainJobInfo info;
  return virDomainGetJobInfo(domain, &info) == 0 && info.type != VIR_DOMAIN_JOB_NONE;
}

static WsRpcVmMigrateStatusResultDomain paused_state(virDomainPtr domain, int reason)
{
  switch (reason) {
  case VIR_DOMAIN_PAUSED_POSTCOPY:
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_POST_COPY;
  case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_POST_COPY_FAILED;
  default:
    break;
  }
  /* A definition is made when all of the guest is there; until then the domain is only what arrives. */
  if (virDomainIsPersistent(domain) != 1)
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_INCOMING;
  bool moves = reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_STARTING_UP || has_job(domain);
  return moves ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OUTGOING : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED;
}

WsRpcVmMigrateStatusResultDomain virt_move_domain_state(virDomainPtr domain)
{
  int state = 0, reason = 0;
  if (virDomainGetState(domain, &state, &reason, 0) < 0)
    return virt_error_is(VIR_ERR_NO_DOMAIN) ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_ABSENT : 0;
  switch (state) {
  case VIR_DOMAIN_RUNNING:
  case VIR_DOMAIN_BLOCKED:
  case VIR_DOMAIN_SHUTDOWN:
    return reason == VIR_DOMAIN_RUNNING_POSTCOPY          ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_POST_COPY
           : reason == VIR_DOMAIN_RUNNING_POSTCOPY_FAILED ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_POST_COPY_FAILED
                                                          : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_RUNNING;
  case VIR_DOMAIN_PAUSED:
    return paused_state(domain, reason);
  case VIR_DOMAIN_PMSUSPENDED:
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED;
  case VIR_DOMAIN_CRASHED:
    return WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_CRASHED;
  default:
    return reason == VIR_DOMAIN_SHUTOFF_MIGRATED ? WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_GONE_OVER
                                                 : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OFF;
  }
}

/* ---- let it go, or forget it ---- */

static bool arrive(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, GError **error)
{
  virt_lease_enter(hv, uuid);
  bool ours = virt_lease_arrive(hv, domain, vm, uuid, error);
  virt_lease_leave(hv, uuid);
  return ours;
}

bool virt_move_release(Hypervisor *hv, WsId vm, const char *uuid, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, vm, uuid, error) : NULL;
  if (!domain)
    return false;
  switch (virt_move_domain_state(domain)) {
  case WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_RUNNING:
    return true;
  case WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED:
    return arrive(hv, domain, vm, uuid, error) &&
           (virDomainResume(domain) == 0 || virt_state(domain) == WS_POWER_STATE_RUNNING || virt_fail(error, vm, uuid, "resume"));
  default:
    return virt_wrong_state(error, vm, uuid, "go on here", virt_state(domain));
  }
}

bool hypervisor_vm_migrate_release(Hypervisor *hv, const WsRpcVmMigrateRelease *params, WsPower **power, GError **error)
{
  if (!virt_move_release(hv, params->vm, params->uuid, error))
    return false;
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  *power = domain ? virt_power(hv, domain, error) : NULL;
  return *power != NULL;
}

bool hypervisor_vm_lease_pass(Hypervisor *hv, const WsRpcVmLeasePass *params, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  virt_lease_enter(hv, params->uuid); /* nobody starts it meanwhile */
  WsPowerState state = virt_state(domain);
  bool may = params->back || (state == WS_POWER_STATE_OFF && virDomainHasManagedSaveImage(domain, 0) != 1);
  bool ok = may ? virt_lease_pass(hv, params->uuid, params->generation, params->back, error)
                : virt_wrong_state(error, params->vm, params->uuid, "become another host's", state);
  virt_lease_leave(hv, params->uuid);
  return ok;
}

bool hypervisor_vm_migrate_drop(Hypervisor *hv, const WsRpcVmMigrateDrop *params, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  if (!conn)
    return false;
  VIRT_AUTO_DOMAIN domain = virDomainLookupByUUIDString(conn->c, params->uuid);
  WsRpcVmMigrateStatusResultDomain state = domain ? virt_move_domain_state(domain) : 0;
  bool stands = state == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_PAUSED || state == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_INCOMING ||
                state == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_OUTGOING;
  if (domain && virDomainIsActive(domain) == 1) {
    if (!stands)
      return virt_wrong_state(error, params->vm, params->uuid, "be dropped", virt_state(domain));
    if (virDomainDestroy(domain) < 0 && virDomainIsActive(domain) == 1)
      return virt_fail(error, params->vm, params->uuid, "drop");
  }
  WsRpcVmUndefine undefine = {.vm = params->vm, .uuid = params->uuid};
  return hypervisor_vm_undefine(hv, &undefine, error);
}
