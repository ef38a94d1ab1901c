// SPDX-License-Identifier: Apache-2.0
/* Leases follow what is: guests that are seen to run or to have ended, whatever was told; what could not be written is written later; and VMs that
 * start with their host. See lease.h. */
#include "base/files.h"
#include "base/log.h"
#include "host/hypervisor/lease-private.h"
#include <glib/gstdio.h>

#define RETRY_US (10 * (gint64)G_USEC_PER_SEC)

/* ---- following what is ---- */

static bool has_right(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, const Lease *lease, GError **error)
{
  VirtAsk ask = VIRT_ASK_NONE;
  if (lease->arriving)
    return virt_lease_arrive(hv, domain, vm, uuid, error);
  return lease->state == LEASE_HELD ? virt_lease_check(hv, domain, vm, uuid, error) : virt_lease_take(hv, domain, vm, uuid, &ask, error);
}

static void take_for_running(Hypervisor *hv, virDomainPtr domain, WsId vm, const char *uuid, bool check)
{
  Lease lease = lease_of(hv, uuid);
  g_autoptr(GError) error = NULL;
  /* One that lost its right does not get it again while it runs: others may have written its disks. */
  bool settled = !lease.arriving && (lease.state == LEASE_LOST || (lease.state == LEASE_HELD && !check));
  if (settled || has_right(hv, domain, vm, uuid, &lease, &error))
    return;
  ws_log_error(WS_LOG_ERROR, "vm-runs-without-lease", error, "uuid", uuid, NULL);
  if (ws_error_code(error) != WS_ERROR_LEASE_HELD && ws_error_code(error) != WS_ERROR_LEASE_OUTDATED)
    return; /* its pool is away: asked again when libvirt tells more of it */
  lease.state = LEASE_LOST;
  lease_keep_or_say(hv, uuid, &lease);
  g_atomic_int_inc(&hv->leases->losses);
}

static void follow(Hypervisor *hv, virDomainPtr domain, bool check)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  WsId vm = virt_facts_vm(hv, virt_uuid(domain, uuid));
  if (!hv->leases)
    return;
  virt_lease_enter(hv, uuid);
  WsPowerState state = virt_state(domain);
  if (state == WS_POWER_STATE_RUNNING && vm)
    take_for_running(hv, domain, vm, uuid, check);
  else if (state == WS_POWER_STATE_OFF)
    virt_lease_release(hv, uuid);
  virt_lease_leave(hv, uuid);
}

void virt_lease_follow(Hypervisor *hv, virDomainPtr domain)
{
  follow(hv, domain, false);
}

static void follow_checking(Hypervisor *hv, virDomainPtr domain)
{
  follow(hv, domain, true);
}

static void release_gone(Hypervisor *hv, VirtConn *conn)
{
  g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  void *uuid, *lease;
  g_mutex_lock(&hv->lock);
  for (g_hash_table_iter_init(&iter, hv->leases->known); g_hash_table_iter_next(&iter, &uuid, &lease);)
    if (((Lease *)lease)->state == LEASE_HELD)
      g_ptr_array_add(uuids, g_strdup(uuid));
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < uuids->len; i++) {
    VIRT_AUTO_DOMAIN domain = virDomainLookupByUUIDString(conn->c, uuids->pdata[i]);
    if (domain || !virt_error_is(VIR_ERR_NO_DOMAIN))
      continue;
    virt_lease_enter(hv, uuids->pdata[i]);
    virt_lease_release(hv, uuids->pdata[i]);
    virt_lease_leave(hv, uuids->pdata[i]);
  }
}

typedef void (*Each)(Hypervisor *hv, virDomainPtr domain);

static void each_domain(Hypervisor *hv, VirtConn *conn, Each func)
{
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains(conn->c, &domains, 0);
  for (int i = 0; i < n; i++) {
    func(hv, domains[i]);
    virDomainFree(domains[i]);
  }
  free(domains);
}

void virt_lease_follow_all(Hypervisor *hv, VirtConn *conn)
{
  if (!hv->leases)
    return;
  each_domain(hv, conn, virt_lease_follow);
  release_gone(hv, conn);
}

static void check_all(void *arg)
{
  Hypervisor *hv = arg;
  gint losses = g_atomic_int_get(&hv->leases->losses);
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, NULL);
  if (!conn)
    return; /* when libvirt is back all is followed */
  each_domain(hv, conn, follow_checking);
  if (g_atomic_int_get(&hv->leases->losses) != losses)
    virt_report_all(hv, conn, NULL);
}

void hypervisor_check_leases(Hypervisor *hv)
{
  if (hv->leases)
    virt_run(hv, "leases", check_all, virt_hv_ref(hv), virt_hv_unref);
}

static void try_again(void *arg)
{
  void **job = arg;
  virt_lease_enter(job[0], job[1]);
  g_autoptr(VirtConn) conn = virt_conn_acquire(job[0], NULL);
  VIRT_AUTO_DOMAIN domain = conn ? virDomainLookupByUUIDString(conn->c, job[1]) : NULL;
  bool off = conn && (domain ? virt_state(domain) == WS_POWER_STATE_OFF : virt_error_is(VIR_ERR_NO_DOMAIN));
  if (off)
    virt_lease_release(job[0], job[1]);
  virt_lease_leave(job[0], job[1]);
}

static void job_free(void *arg)
{
  void **job = arg;
  virt_hv_unref(job[0]);
  g_free(job[1]);
  g_free(job);
}

void virt_lease_tick(Hypervisor *hv)
{
  gint64 now_us = g_get_monotonic_time();
  if (!hv->leases || now_us < hv->leases->retry_us)
    return;
  hv->leases->retry_us = now_us + RETRY_US;
  g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter iter;
  void *uuid;
  g_mutex_lock(&hv->lock);
  for (g_hash_table_iter_init(&iter, hv->leases->due); g_hash_table_iter_next(&iter, &uuid, NULL);)
    g_ptr_array_add(uuids, g_strdup(uuid));
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < uuids->len; i++) {
    void **job = g_new(void *, 2);
    job[0] = virt_hv_ref(hv);
    job[1] = g_strdup(uuids->pdata[i]);
    virt_run(hv, uuids->pdata[i], try_again, job, job_free);
  }
}

/* ---- starting with the host ---- */

typedef struct {
  virDomainPtr domain; /* owned */
  gint64 order;
} Marked;

/* Those with a number first, the lowest before all; the rest as libvirt lists them. */
static gint by_order(gconstpointer a, gconstpointer b)
{
  gint64 x = ((const Marked *)a)->order, y = ((const Marked *)b)->order;
  return !x != !y ? (x ? -1 : 1) : x < y ? -1 : x > y;
}

static gint64 order_of(Hypervisor *hv, virDomainPtr domain)
{
  VirtHost host = virt_host(hv);
  char *xml = virt_xml(domain, false);
  g_autoptr(VirtDomain) parsed = xml ? virt_domain_parse(xml, &host, NULL) : NULL;
  free(xml);
  return parsed && parsed->spec->start_order > 0 ? parsed->spec->start_order : 0;
}

static void marked_clear(gpointer marked)
{
  virDomainFree(((Marked *)marked)->domain);
}

static void start_marked(Hypervisor *hv, virDomainPtr domain)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  g_autoptr(GError) error = NULL;
  VirtAsk ask = VIRT_ASK_NONE;
  ask.own_only = true;
  WsId vm = virt_facts_vm(hv, virt_uuid(domain, uuid));
  if (!vm || !virt_lease_autostart(hv, uuid))
    return;
  virt_lease_enter(hv, uuid);
  if (virDomainIsActive(domain) == 0) {
    bool may = virt_lease_take(hv, domain, vm, uuid, &ask, &error);
    if (may && virDomainCreate(domain) < 0)
      virt_fail(&error, vm, uuid, "start");
    if (may && error && virt_state(domain) == WS_POWER_STATE_OFF)
      virt_lease_release(hv, uuid);
  }
  virt_lease_leave(hv, uuid);
  if (error)
    ws_log_error(WS_LOG_WARNING, "vm-not-started-with-host", error, "uuid", uuid, NULL);
  else
    ws_log(WS_LOG_NOTICE, "vm-started-with-host", "uuid", uuid, NULL);
}

/* One after the other: the next is begun when QEMU runs the one before. One that cannot be started keeps
 * nobody from it. */
static void start_in_order(Hypervisor *hv, VirtConn *conn)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains(conn->c, &domains, 0);
  g_autoptr(GArray) marked = g_array_new(FALSE, FALSE, sizeof(Marked));
  g_array_set_clear_func(marked, marked_clear);
  for (int i = 0; i < n; i++) {
    Marked one = {domains[i], 0};
    bool starts = virt_lease_autostart(hv, virt_uuid(domains[i], uuid));
    if (starts)
      one.order = order_of(hv, domains[i]);
    if (starts)
      g_array_append_val(marked, one);
    else
      virDomainFree(domains[i]);
  }
  free(domains);
  g_array_sort(marked, by_order); /* equal ones keep their places */
  for (guint i = 0; i < marked->len; i++)
    start_marked(hv, g_array_index(marked, Marked, i).domain);
}

void virt_lease_start_marked(Hypervisor *hv, VirtConn *conn)
{
  g_autoptr(GError) error = NULL;
  if (!hv->leases || !hv->config.started_file || g_file_test(hv->config.started_file, G_FILE_TEST_EXISTS))
    return;
  g_autofree char *folder = g_path_get_dirname(hv->config.started_file);
  g_mkdir_with_parents(folder, 0755);
  if (!ws_file_write(hv->config.started_file, "", 0, 0644, &error)) {
    ws_log_error(WS_LOG_ERROR, "start-of-the-host-not-noted", error, NULL); /* else it would be done again with each restart of ours */
    return;
  }
  start_in_order(hv, conn);
}
