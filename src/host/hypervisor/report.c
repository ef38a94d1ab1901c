// SPDX-License-Identifier: Apache-2.0
/* Reports: one domain as it is and as it is defined, ours or a stranger's; all of them, page by page.
 *
 * Reading a domain's XML and state asks libvirtd's memory only, not QEMU: a frozen guest is reported like any other. */
#include "host/hypervisor/lease.h"
#include "base/log.h"
#include <string.h>

#define PAGE 200 /* of api/rpc/vm.yaml: what fits into one message */

char *virt_xml(virDomainPtr domain, bool live)
{
  return virDomainGetXMLDesc(domain, live ? 0 : VIR_DOMAIN_XML_INACTIVE);
}

static VirtDomain *read_xml(Hypervisor *hv, virDomainPtr domain, bool live, GError **error)
{
  VirtHost host = virt_host(hv);
  char uuid[VIR_UUID_STRING_BUFLEN];
  char *xml = virt_xml(domain, live);
  if (!xml) {
    virt_fail(error, 0, virt_uuid(domain, uuid), "read the definition of");
    return NULL;
  }
  VirtDomain *read = virt_domain_parse(xml, &host, error);
  free(xml);
  return read;
}

/* Moves texts into a list of the model. */
static void take_texts(guint *len, char ***items, GPtrArray *texts)
{
  gsize n;
  *items = (char **)g_ptr_array_steal(texts, &n);
  *len = (guint)n;
}

/* A stranger's settings may lie outside the limits that the contract gives ours (a name too long, a file named as we never would). Such a
 * spec is not sent: the manager would have to refuse the whole message. */
static bool is_sendable(const WsVmSpec *spec, GError **error)
{
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_vm_spec, spec, WS_WRITE_PEER, &n);
  g_autoptr(WsVmSpec) again = ws_vm_spec_parse(json, n, WS_PARSE_RPC, error);
  return again != NULL;
}

static void take_definition(WsVmReport *report, VirtDomain *defined)
{
  g_autoptr(GError) error = NULL;
  report->vm = defined->spec->vm;
  g_free(report->name);
  report->name = g_strdup(report->vm ? defined->spec->name : defined->domain_name);
  if (is_sendable(defined->spec, &error))
    report->spec = g_steal_pointer(&defined->spec);
  else
    g_ptr_array_add(defined->blockers, g_strndup(error->message, 255));
  g_ptr_array_set_size(defined->blockers, MIN(defined->blockers->len, 64));
  if (!report->vm)
    take_texts(&report->blockers.len, &report->blockers.items, defined->blockers);
}

static void take_live(WsVmReport *report, VirtDomain *live)
{
  report->live_vcpus = live->spec->cpu->vcpus;
  report->live_memory_bytes = live->spec->memory_bytes;
  gsize n;
  report->taps.items = (WsVmTap **)g_ptr_array_steal(live->taps, &n);
  report->taps.len = (guint)n;
  if (!report->spec)
    return;
  g_autoptr(GPtrArray) diff = virt_domain_waits(live, report->spec);
  g_ptr_array_set_size(diff, MIN(diff->len, 256));
  take_texts(&report->pending_restart.len, &report->pending_restart.items, diff);
}

WsVmReport *virt_report(Hypervisor *hv, virDomainPtr domain, GError **error)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  g_autoptr(WsVmReport) report = ws_vm_report_new();
  report->uuid = g_strdup(virt_uuid(domain, uuid));
  report->name = g_strdup(virDomainGetName(domain));
  report->power = virt_power(hv, domain, error);
  if (!report->power)
    return NULL;
  report->persistent = virDomainIsPersistent(domain) == 1;

  /* What we cannot read (another architecture, a container) is reported by name and power. */
  g_autoptr(GError) unread = NULL;
  g_autoptr(VirtDomain) defined = read_xml(hv, domain, false, &unread);
  if (!defined) {
    if (ws_error_code(unread) == WS_ERROR_NOT_FOUND) {
      g_propagate_error(error, g_steal_pointer(&unread));
      return NULL;
    }
    ws_array_add(&report->blockers, g_strndup(unread->message, 255));
    return g_steal_pointer(&report);
  }
  int autostart = 0;
  if (virDomainGetAutostart(domain, &autostart) == 0)
    defined->spec->autostart = autostart != 0 || virt_lease_autostart(hv, uuid);
  take_definition(report, defined);
  virt_facts_set_vm(hv, uuid, report->vm);

  if (virDomainIsActive(domain) == 1) {
    g_autoptr(VirtDomain) live = read_xml(hv, domain, true, NULL);
    if (live && live->live) {
      take_live(report, live);
      virt_guest_connected(hv, uuid, live->agent_connected > 0);
    }
  }
  report->guest = virt_facts_guest(hv, uuid);
  report->lease = report->vm ? virt_lease_report(hv, uuid) : NULL;
  return g_steal_pointer(&report);
}

/* ---- all of them ---- */

typedef struct {
  char uuid[VIR_UUID_STRING_BUFLEN];
  virDomainPtr domain;
} Entry;

static int compare_entries(gconstpointer a, gconstpointer b)
{
  return strcmp(((const Entry *)a)->uuid, ((const Entry *)b)->uuid);
}

static void entry_clear(void *entry)
{
  virDomainFree(((Entry *)entry)->domain);
}

/* Every domain of the host in order of UUID; NULL with error. */
static GArray *list_domains(VirtConn *conn, GError **error)
{
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains(conn->c, &domains, 0);
  if (n < 0) {
    virt_fail(error, 0, NULL, "list domains");
    return NULL;
  }
  GArray *entries = g_array_new(FALSE, FALSE, sizeof(Entry));
  g_array_set_clear_func(entries, entry_clear);
  for (int i = 0; i < n; i++) {
    Entry entry = {.domain = domains[i]};
    virt_uuid(domains[i], entry.uuid);
    g_array_append_val(entries, entry);
  }
  free(domains);
  g_array_sort(entries, compare_entries);
  return entries;
}

GPtrArray *hypervisor_running(Hypervisor *hv, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  virDomainPtr *domains = NULL;
  int n = conn ? virConnectListAllDomains(conn->c, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE) : -1;
  if (conn && n < 0)
    virt_fail(error, 0, NULL, "list domains");
  if (n < 0)
    return NULL;
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  for (int i = 0; i < n; i++) {
    g_ptr_array_add(names, g_strdup(virDomainGetName(domains[i])));
    virDomainFree(domains[i]);
  }
  free(domains);
  return names;
}

/* Reports of one page from entries[*at] on; one that vanished meanwhile is left out. Moves *at on. */
static GPtrArray *report_page(Hypervisor *hv, GArray *entries, guint *at, GError **error)
{
  GPtrArray *page = g_ptr_array_new();
  for (; *at < entries->len && page->len < PAGE; ++*at) {
    g_autoptr(GError) failed = NULL;
    WsVmReport *report = virt_report(hv, g_array_index(entries, Entry, *at).domain, &failed);
    if (report) {
      g_ptr_array_add(page, report);
    } else if (ws_error_code(failed) == WS_ERROR_HYPERVISOR_UNREACHABLE) {
      g_propagate_error(error, g_steal_pointer(&failed));
      g_ptr_array_set_free_func(page, (GDestroyNotify)ws_vm_report_free);
      g_ptr_array_unref(page);
      return NULL;
    } else {
      ws_log_error(WS_LOG_INFO, "domain-not-reported", failed, "uuid", g_array_index(entries, Entry, *at).uuid, NULL);
    }
  }
  return page;
}

static gint64 last_sequence(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  gint64 sequence = hv->sequence;
  g_mutex_unlock(&hv->lock);
  return sequence;
}

static void send_page(Hypervisor *hv, WsRpcVmReport *page)
{
  g_mutex_lock(&hv->emit_lock);
  if (hv->config.on_report && !virt_is_stopped(hv))
    hv->config.on_report(page, hv->config.arg);
  else
    ws_rpc_vm_report_free(page);
  g_mutex_unlock(&hv->emit_lock);
}

/* Forgets what was remembered of domains that went while nobody told. */
static void keep_facts_of(Hypervisor *hv, GArray *entries)
{
  g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < entries->len; i++)
    g_hash_table_add(there, g_array_index(entries, Entry, i).uuid);
  GHashTableIter iter;
  gpointer uuid;
  g_mutex_lock(&hv->lock);
  g_hash_table_iter_init(&iter, hv->facts);
  while (g_hash_table_iter_next(&iter, &uuid, NULL))
    if (!g_hash_table_contains(there, uuid))
      g_hash_table_iter_remove(&iter);
  g_mutex_unlock(&hv->lock);
}

bool virt_report_all(Hypervisor *hv, VirtConn *conn, GError **error)
{
  gint64 sequence = last_sequence(hv);
  g_autoptr(GArray) entries = list_domains(conn, error);
  if (!entries)
    return false;
  keep_facts_of(hv, entries);
  guint at = 0;
  gint64 number = 0;
  do {
    g_autoptr(GPtrArray) reports = report_page(hv, entries, &at, error);
    if (!reports)
      return false;
    WsRpcVmReport *page = ws_rpc_vm_report_new();
    gsize n;
    page->sequence = sequence;
    page->page = number++;
    page->last = at == entries->len;
    page->vms.items = (WsVmReport **)g_ptr_array_steal(reports, &n);
    page->vms.len = (guint)n;
    send_page(hv, page);
  } while (at < entries->len);
  return true;
}

bool hypervisor_vm_list(Hypervisor *hv, const WsRpcVmList *params, WsRpcVmListResult **result, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  gint64 sequence = last_sequence(hv), look = virt_look(hv);
  g_autoptr(GArray) entries = conn ? list_domains(conn, error) : NULL;
  if (!entries)
    return false;
  guint at = 0;
  while (params->after && at < entries->len && strcmp(g_array_index(entries, Entry, at).uuid, params->after) <= 0)
    at++;
  g_autoptr(GPtrArray) reports = report_page(hv, entries, &at, error);
  if (!reports)
    return false;
  gsize n;
  *result = ws_rpc_vm_list_result_new();
  (*result)->sequence = sequence;
  (*result)->look = look;
  (*result)->more = at < entries->len;
  (*result)->vms.items = (WsVmReport **)g_ptr_array_steal(reports, &n);
  (*result)->vms.len = (guint)n;
  return true;
}

/* ---- one of them ---- */

bool hypervisor_vm_get(Hypervisor *hv, const WsRpcVmGet *params, WsVmReport **report, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  *report = domain ? virt_report(hv, domain, error) : NULL;
  return *report != NULL;
}

bool hypervisor_vm_get_xml(Hypervisor *hv, const WsRpcVmGetXml *params, char **xml, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  char *text = virt_xml(domain, params->live);
  if (!text)
    return virt_fail(error, params->vm, params->uuid, "read the definition of");
  *xml = g_strdup(text);
  free(text);
  return true;
}
