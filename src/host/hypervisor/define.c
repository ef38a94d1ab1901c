// SPDX-License-Identifier: Apache-2.0
/* Definitions: define, undefine, adopt, release. See hypervisor.h. */
#include "host/hypervisor/lease.h"
#include "host/hypervisor/seed.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define LOG_BACKUPS_MAX 10

WsVmSpec *virt_prepare_spec(Hypervisor *hv, const WsVmSpec *spec, GError **error)
{
  VirtHost host = virt_host(hv);
  g_autoptr(WsVmSpec) copy = ws_vm_spec_copy(spec);
  virt_spec_fill(copy, &host);
  return virt_spec_check(copy, error) ? g_steal_pointer(&copy) : NULL;
}

/* ---- define ---- */

static const char *path_of(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; spec && i < spec->disks.len; i++)
    if (strcmp(spec->disks.items[i]->key, key) == 0)
      return spec->disks.items[i]->path;
  for (guint i = 0; spec && i < spec->cdroms.len; i++)
    if (strcmp(spec->cdroms.items[i]->key, key) == 0)
      return spec->cdroms.items[i]->path;
  return NULL;
}

/* Bare paths are for files of a found VM that lie in no pool. One may stay where it is; nobody gets a new one by naming it. */
static bool check_path(const WsVmSpec *before, const char *list, const char *key, const char *path, GError **error)
{
  if (!path || g_strcmp0(path, path_of(before, key)) == 0)
    return true;
  g_autofree char *field = g_strdup_printf("%s[%s].path", list, key);
  return ws_fail(error, WS_ERROR_READ_ONLY_FIELD, "field", field, NULL);
}

static bool check_paths(const WsVmSpec *spec, const WsVmSpec *before, GError **error)
{
  for (guint i = 0; i < spec->disks.len; i++)
    if (!check_path(before, "disks", spec->disks.items[i]->key, spec->disks.items[i]->path, error))
      return false;
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (!check_path(before, "cdroms", spec->cdroms.items[i]->key, spec->cdroms.items[i]->path, error))
      return false;
  return true;
}

/* What was defined before under this UUID must be the same VM (or, for a repeated first call, nothing). */
static bool check_owner(const WsVmSpec *spec, const VirtDomain *before, GError **error)
{
  if (!before || before->spec->vm == spec->vm)
    return true;
  return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", spec->uuid, "cause",
                 before->spec->vm ? "the UUID is another VM's on this host" : "the UUID is a found VM's: adopt it", NULL);
}

static bool settle_seed(Hypervisor *hv, const WsVmSpec *spec, const WsVmCloudInit *cloud_init, const char *instance_id,
                        GError **error)
{
  VirtHost host = virt_host(hv);
  if (!spec->seed)
    return seed_remove(&host, spec->uuid, error);
  if (cloud_init)
    return seed_write(&host, spec, cloud_init, instance_id, hv->config.clock, error);
  return seed_ensure(&host, spec, hv->config.clock, error);
}

/* Our own mark: libvirt would start it with the host whoever runs it by then. Where no leases are kept it is libvirt's. */
static bool settle_autostart(Hypervisor *hv, virDomainPtr domain, const WsVmSpec *spec, GError **error)
{
  int now = 0, wanted = spec->autostart && !hv->leases;
  if (hv->leases && !virt_lease_set_autostart(hv, spec->uuid, spec->autostart, error))
    return false;
  if (virDomainGetAutostart(domain, &now) == 0 && !now == !wanted)
    return true;
  return virDomainSetAutostart(domain, wanted) == 0 || virt_fail(error, spec->vm, spec->uuid, "set autostart of");
}

bool virt_define(Hypervisor *hv, VirtConn *conn, const WsVmSpec *spec, const WsVmCloudInit *cloud_init, const char *instance_id,
                 virDomainPtr *domain, GError **error)
{
  VirtHost host = virt_host(hv);
  if (!*domain)
    *domain = virDomainLookupByUUIDString(conn->c, spec->uuid);
  char *old = *domain ? virt_xml(*domain, false) : NULL;
  g_autoptr(VirtDomain) before = old ? virt_domain_parse(old, &host, NULL) : NULL;
  g_autoptr(VirtPlaces) places = virt_places_new(old);
  free(old);
  if (!check_owner(spec, before, error) || !check_paths(spec, before ? before->spec : NULL, error) ||
      !settle_seed(hv, spec, cloud_init, instance_id, error))
    return false;
  g_autofree char *xml = virt_domain_xml(spec, &host, places, error);
  virDomainPtr defined = xml ? virDomainDefineXMLFlags(conn->c, xml, VIR_DOMAIN_DEFINE_VALIDATE) : NULL;
  if (!defined) {
    if (xml)
      virt_fail(error, spec->vm, spec->uuid, "define");
    if (!*domain)
      seed_remove(&host, spec->uuid, NULL); /* no VM, no seed */
    return false;
  }
  g_clear_pointer(domain, virDomainFree);
  *domain = defined;
  virt_facts_set_vm(hv, spec->uuid, spec->vm);
  return settle_autostart(hv, defined, spec, error);
}

bool hypervisor_vm_define(Hypervisor *hv, const WsRpcVmDefine *params, WsVmReport **report, GError **error)
{
  g_autoptr(WsVmSpec) spec = virt_prepare_spec(hv, params->spec, error);
  g_autoptr(VirtConn) conn = spec ? virt_conn_acquire(hv, error) : NULL;
  VIRT_AUTO_DOMAIN domain = NULL;
  if (!conn || !virt_define(hv, conn, spec, params->cloud_init, params->instance_id, &domain, error))
    return false;
  *report = virt_report(hv, domain, error);
  return *report != NULL;
}

/* ---- undefine ---- */

/* The serial port's log, and the older ones that virtlogd keeps as .0, .1, ... */
static bool remove_logs(const VirtHost *host, const char *uuid, GError **error)
{
  for (int i = -1; host->serial_log_dir && i < LOG_BACKUPS_MAX; i++) {
    g_autofree char *path = i < 0 ? g_strdup_printf("%s/%s.log", host->serial_log_dir, uuid)
                                  : g_strdup_printf("%s/%s.log.%d", host->serial_log_dir, uuid, i);
    if (g_unlink(path) != 0 && errno != ENOENT)
      return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  }
  return true;
}

bool hypervisor_vm_undefine(Hypervisor *hv, const WsRpcVmUndefine *params, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  g_autoptr(GError) none = NULL;
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, &none) : NULL;
  VirtHost host = virt_host(hv);
  if (!conn)
    return false;
  if (!domain && ws_error_code(none) != WS_ERROR_NOT_FOUND) {
    g_propagate_error(error, g_steal_pointer(&none));
    return false;
  }
  if (domain && virDomainIsActive(domain) == 1)
    return virt_wrong_state(error, params->vm, params->uuid, "be deleted", virt_state(domain));
  unsigned int flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                       VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
  flags |= params->keep_state ? VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_TPM
                              : VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_TPM;
  if (domain && virDomainUndefineFlags(domain, flags) < 0 && !virt_error_is(VIR_ERR_NO_DOMAIN))
    return virt_fail(error, params->vm, params->uuid, "undefine");
  virt_facts_forget(hv, params->uuid);
  if (!params->keep_state)
    virt_lease_forget(hv, params->uuid);
  /* Kept state includes the seed: its instance id is what the guest has seen. */
  return params->keep_state || (seed_remove(&host, params->uuid, error) && remove_logs(&host, params->uuid, error));
}

/* ---- adopt, release: our note in the metadata ---- */

/* Sets or (element NULL) removes the note, in the definition and in the running guest. */
static bool set_note(virDomainPtr domain, const char *element, WsId vm, const char *uuid, GError **error)
{
  unsigned int flags = 0;
  if (virDomainIsPersistent(domain) == 1)
    flags |= VIR_DOMAIN_AFFECT_CONFIG;
  if (virDomainIsActive(domain) == 1)
    flags |= VIR_DOMAIN_AFFECT_LIVE;
  if (virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, element, VIRT_METADATA_PREFIX, VIRT_METADATA_URI, flags) == 0)
    return true;
  if (!element && virt_error_is(VIR_ERR_NO_DOMAIN_METADATA))
    return true;
  return virt_fail(error, vm, uuid, element ? "adopt" : "release");
}

bool hypervisor_vm_adopt(Hypervisor *hv, const WsRpcVmAdopt *params, WsVmReport **report, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  VirtHost host = virt_host(hv);
  char *xml = virt_xml(domain, false);
  g_autoptr(VirtDomain) found = xml ? virt_domain_parse(xml, &host, error) : NULL;
  free(xml);
  if (!found)
    return xml ? false : virt_fail(error, params->vm, params->uuid, "adopt");
  if (found->spec->vm && found->spec->vm != params->vm)
    return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", params->uuid, "cause", "it is another VM's already", NULL);
  found->spec->vm = params->vm;
  g_autofree char *note = virt_metadata_xml(found->spec, found->devs);
  if (!set_note(domain, note, params->vm, params->uuid, error))
    return false;
  *report = virt_report(hv, domain, error);
  return *report != NULL;
}

bool hypervisor_vm_release(Hypervisor *hv, const WsRpcVmRelease *params, GError **error)
{
  g_autoptr(GError) none = NULL;
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, &none) : NULL;
  if (!conn)
    return false;
  if (!domain && ws_error_code(none) == WS_ERROR_NOT_FOUND)
    return true;
  if (!domain) {
    g_propagate_error(error, g_steal_pointer(&none));
    return false;
  }
  if (!set_note(domain, NULL, params->vm, params->uuid, error))
    return false;
  virt_facts_set_vm(hv, params->uuid, 0);
  return true;
}
