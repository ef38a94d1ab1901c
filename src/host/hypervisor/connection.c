// SPDX-License-Identifier: Apache-2.0
/* Life of the hypervisor and its connections to libvirtd. See hypervisor.h.
 *
 * Two threads of our own: libvirt's event loop (one per process, for ever: libvirt has one event loop) and one per hypervisor that
 * connects, notices the end of the connection, connects again, and asks guests in between. */
#include "host/hypervisor/hypervisor-private.h"
#include "host/hypervisor/lease.h"
#include "base/log.h"
#include <string.h>

#define CONNS_MAX          32 /* libvirtd serves 20 calls at a time in all */
#define BACKOFF_MIN_MS     200
#define BACKOFF_MAX_MS     5000
#define KEEPALIVE_S        5
#define KEEPALIVE_COUNT    6
#define TICK_US            G_USEC_PER_SEC
#define STOP_WAIT_US       G_USEC_PER_SEC

/* ---- libvirt's event loop ---- */

static gpointer run_event_loop(gpointer unused)
{
  for (;;)
    if (virEventRunDefaultImpl() < 0)
      ws_log(WS_LOG_ERROR, "libvirt-event-loop", "cause", virGetLastErrorMessage(), NULL);
  return NULL;
}

/* Errors come back from each call; libvirt need not print them too. */
static void say_nothing(void *unused, virErrorPtr error)
{
}

static gpointer start_event_loop(gpointer unused)
{
  virInitialize();
  virSetErrorFunc(NULL, say_nothing);
  virEventRegisterDefaultImpl();
  g_thread_unref(g_thread_new("virt-events", run_event_loop, NULL));
  return NULL;
}

/* ---- references ---- */

Hypervisor *virt_hv_ref(Hypervisor *hv)
{
  g_atomic_int_inc(&hv->refs);
  return hv;
}

void virt_hv_unref(void *arg)
{
  Hypervisor *hv = arg;
  if (!g_atomic_int_dec_and_test(&hv->refs))
    return;
  g_ptr_array_unref(hv->conns);
  g_array_unref(hv->callbacks);
  virt_leases_free(hv);
  g_hash_table_unref(hv->facts);
  g_queue_clear_full(&hv->removed, virt_removal_free);
  g_mutex_clear(&hv->lock);
  g_mutex_clear(&hv->emit_lock);
  g_cond_clear(&hv->changed);
  g_free((char *)hv->config.uri);
  g_free((char *)hv->config.seed_dir);
  g_free((char *)hv->config.serial_log_dir);
  g_free((char *)hv->config.run_log_dir);
  g_free((char *)hv->config.move_dir);
  g_free((char *)hv->config.lease_dir);
  g_free((char *)hv->config.started_file);
  g_free((char *)hv->config.tls.ca_file);
  g_free((char *)hv->config.tls.cert_file);
  g_free((char *)hv->config.tls.key_file);
  g_free(hv);
}

VirtConn *virt_conn_ref(VirtConn *conn)
{
  g_atomic_int_inc(&conn->refs);
  return conn;
}

void virt_conn_unref(void *arg)
{
  VirtConn *conn = arg;
  if (!g_atomic_int_dec_and_test(&conn->refs))
    return;
  virConnectClose(conn->c);
  virt_hv_unref(conn->hv);
  g_free(conn);
}

bool virt_is_stopped(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  bool stopped = hv->stop;
  g_mutex_unlock(&hv->lock);
  return stopped;
}

/* ---- connections ---- */

static void on_close(virConnectPtr c, int reason, void *arg)
{
  VirtConn *conn = arg;
  g_mutex_lock(&conn->hv->lock);
  conn->dead = true;
  g_cond_broadcast(&conn->hv->changed);
  g_mutex_unlock(&conn->hv->lock);
}

static VirtConn *open_conn(Hypervisor *hv, GError **error)
{
  virConnectPtr c = virConnectOpen(hv->config.uri);
  if (!c) {
    ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, "cause", virGetLastErrorMessage(), NULL);
    return NULL;
  }
  VirtConn *conn = g_new0(VirtConn, 1);
  *conn = (VirtConn){.hv = virt_hv_ref(hv), .c = c, .refs = 1};
  /* A driver that lives in this process (tests) has no connection that could end. libvirt would say that it took the callback, drop it
   * and never give the reference back. */
  bool can_end = virConnectSetKeepAlive(c, KEEPALIVE_S, KEEPALIVE_COUNT) >= 0 || virGetLastErrorCode() != VIR_ERR_NO_SUPPORT;
  if (can_end && virConnectRegisterCloseCallback(c, on_close, virt_conn_ref(conn), virt_conn_unref) < 0)
    virt_conn_unref(conn);
  return conn;
}

static void close_conn(void *arg)
{
  VirtConn *conn = arg;
  virConnectUnregisterCloseCallback(conn->c, on_close);
  virt_conn_unref(conn);
}

/* With the lock held: the one with the fewest calls. The first is for events alone. */
static VirtConn *least_busy(Hypervisor *hv)
{
  VirtConn *best = NULL;
  for (guint i = 1; i < hv->conns->len; i++) {
    VirtConn *conn = hv->conns->pdata[i];
    if (!conn->dead && (!best || conn->calls < best->calls))
      best = conn;
  }
  return best;
}

/* With the lock held. Closed further connections go; the first is its thread's business. */
static void drop_dead(Hypervisor *hv, GPtrArray *out)
{
  for (guint i = hv->conns->len; i > 1; i--)
    if (((VirtConn *)hv->conns->pdata[i - 1])->dead)
      g_ptr_array_add(out, g_ptr_array_steal_index_fast(hv->conns, i - 1));
}

/* Opens one more and takes it. When libvirt went meanwhile it is for this call only. */
static VirtConn *add_conn(Hypervisor *hv, GError **error)
{
  VirtConn *conn = open_conn(hv, error);
  if (!conn)
    return NULL;
  g_mutex_lock(&hv->lock);
  conn->calls = 1;
  bool keep = hv->conns->len > 0 && hv->conns->len < CONNS_MAX && !hv->stop;
  if (keep)
    g_ptr_array_add(hv->conns, virt_conn_ref(conn));
  g_mutex_unlock(&hv->lock);
  if (!keep)
    virConnectUnregisterCloseCallback(conn->c, on_close);
  return conn;
}

/* A connection has one call at a time as long as there may be more of them: replies to several threads on one connection come late
 * in libvirt 9.0 while one of them waits for a frozen QEMU (each call took seconds). */
VirtConn *virt_conn_acquire(Hypervisor *hv, GError **error)
{
  g_autoptr(GPtrArray) dead = g_ptr_array_new_with_free_func(close_conn); /* closed after the lock is given up */
  VirtConn *conn = NULL;
  g_mutex_lock(&hv->lock);
  drop_dead(hv, dead);
  bool away = hv->conns->len == 0 || ((VirtConn *)hv->conns->pdata[0])->dead, full = hv->conns->len >= CONNS_MAX;
  VirtConn *best = least_busy(hv);
  if (!away && best && (best->calls == 0 || full)) {
    best->calls++;
    conn = virt_conn_ref(best);
  }
  g_mutex_unlock(&hv->lock);
  if (!away)
    return conn ? conn : add_conn(hv, error);
  ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, NULL);
  return NULL;
}

void virt_conn_release(VirtConn *conn)
{
  if (!conn)
    return;
  g_mutex_lock(&conn->hv->lock);
  conn->calls--;
  g_mutex_unlock(&conn->hv->lock);
  virt_conn_unref(conn);
}

/* ---- what the host is ---- */

static bool arch_has_kvm(const xmlNode *arch)
{
  for (const xmlNode *node = virt_xml_first(arch); node; node = virt_xml_next(node))
    if (virt_xml_is(node, "domain") && g_strcmp0(virt_xml_get(node, "type"), "kvm") == 0)
      return true;
  return false;
}

static void read_capabilities(Hypervisor *hv, VirtConn *conn)
{
  char *text = virConnectGetCapabilities(conn->c);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, NULL) : NULL;
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  const VirtArch *native = virt_arch_find(virt_xml_path_text(root, "host/cpu/arch"));
  bool kvm = false;
  for (const xmlNode *guest = virt_xml_first(root); guest; guest = virt_xml_next(guest)) {
    const xmlNode *arch = virt_xml_is(guest, "guest") ? virt_xml_child(guest, "arch") : NULL;
    if (native && g_strcmp0(virt_xml_get(arch, "name"), native->name) == 0)
      kvm |= arch_has_kvm(arch);
  }
  free(text);
  g_mutex_lock(&hv->lock);
  hv->host.native = native ? native->id : WS_VM_SPEC_ARCHITECTURE_X86_64;
  hv->host.kvm = kvm;
  g_mutex_unlock(&hv->lock);
  ws_log(WS_LOG_NOTICE, "libvirt-connected", "uri", hv->config.uri, "architecture", native ? native->name : "other", "kvm",
         kvm ? "yes" : "no", NULL);
}

/* 9001002 is 9.1.2; 0: not told. */
static char *version_text(gulong number)
{
  return number ? g_strdup_printf("%lu.%lu.%lu", number / 1000000, number / 1000 % 1000, number % 1000) : NULL;
}

static void tell_versions(Hypervisor *hv, VirtConn *conn)
{
  gulong libvirt = 0, qemu = 0;
  if (!hv->config.on_versions)
    return;
  virConnectGetLibVersion(conn->c, &libvirt);
  virConnectGetVersion(conn->c, &qemu);
  g_autofree char *libvirt_text = version_text(libvirt), *qemu_text = version_text(qemu);
  hv->config.on_versions(libvirt_text, qemu_text, hv->config.arg);
}

void hypervisor_ask_versions(const char *uri, char **libvirt, char **qemu)
{
  gulong libvirt_number = 0, qemu_number = 0;
  virSetErrorFunc(NULL, say_nothing);
  virConnectPtr conn = virConnectOpenReadOnly(uri);
  if (!conn)
    return;
  virConnectGetLibVersion(conn, &libvirt_number);
  virConnectGetVersion(conn, &qemu_number);
  virConnectClose(conn);
  *libvirt = version_text(libvirt_number);
  *qemu = version_text(qemu_number);
}

VirtHost virt_host(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  VirtHost host = hv->host;
  g_mutex_unlock(&hv->lock);
  return host;
}

/* ---- the thread ---- */

static void forget_conns(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  GPtrArray *conns = hv->conns;
  hv->conns = g_ptr_array_new_with_free_func(close_conn);
  hv->ready = false;
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
  if (conns->len > 0)
    virt_events_unregister(hv, conns->pdata[0]);
  g_ptr_array_unref(conns);
}

/* Events first, then the report: what happens in between is in both, and nothing is lost. */
static bool come_up(Hypervisor *hv, GError **error)
{
  VirtConn *conn = open_conn(hv, error);
  if (!conn)
    return false;
  read_capabilities(hv, conn);
  tell_versions(hv, conn);
  virt_guest_cpu_tell(conn);
  g_mutex_lock(&hv->lock);
  g_ptr_array_add(hv->conns, conn);
  g_mutex_unlock(&hv->lock);
  if (!virt_events_register(hv, conn, error) || !virt_report_all(hv, conn, error)) {
    forget_conns(hv);
    return false;
  }
  virt_lease_start_marked(hv, conn);
  virt_lease_follow_all(hv, conn);
  g_mutex_lock(&hv->lock);
  hv->ready = true;
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
  return true;
}

/* Waits for `us`, or until told to stop, or until the connection is lost. */
static void pause_for(Hypervisor *hv, gint64 us)
{
  gint64 end = g_get_monotonic_time() + us;
  g_mutex_lock(&hv->lock);
  while (!hv->stop && !(hv->conns->len > 0 && ((VirtConn *)hv->conns->pdata[0])->dead))
    if (!g_cond_wait_until(&hv->changed, &hv->lock, end))
      break;
  g_mutex_unlock(&hv->lock);
}

static bool is_lost(Hypervisor *hv)
{
  g_mutex_lock(&hv->lock);
  bool lost = hv->conns->len == 0 || ((VirtConn *)hv->conns->pdata[0])->dead;
  g_mutex_unlock(&hv->lock);
  return lost;
}

static gpointer run(gpointer arg)
{
  Hypervisor *hv = arg;
  guint backoff_ms = 0;
  while (!virt_is_stopped(hv)) {
    virt_moves_tick(hv);
    if (!is_lost(hv)) {
      virt_guest_tick(hv);
      virt_lease_tick(hv);
      pause_for(hv, TICK_US);
      continue;
    }
    g_autoptr(GError) error = NULL;
    if (hv->ready)
      ws_log(WS_LOG_WARNING, "libvirt-lost", "uri", hv->config.uri, NULL);
    forget_conns(hv);
    if (come_up(hv, &error)) {
      backoff_ms = 0;
      continue;
    }
    if (backoff_ms == 0) /* once for each time it goes away */
      ws_log_error(WS_LOG_WARNING, "libvirt-not-reachable", error, "uri", hv->config.uri, NULL);
    backoff_ms = backoff_ms ? MIN(backoff_ms * 2, BACKOFF_MAX_MS) : BACKOFF_MIN_MS;
    pause_for(hv, backoff_ms * G_GINT64_CONSTANT(1000));
  }
  return NULL;
}

/* ---- jobs ---- */

typedef struct {
  Hypervisor *hv;
  WsLoopFunc func;
  void *arg;
  GDestroyNotify destroy;
} Job;

static void run_job(void *arg)
{
  Job *job = arg;
  Hypervisor *hv = job->hv;
  if (!virt_is_stopped(hv))
    job->func(job->arg);
  if (job->destroy)
    job->destroy(job->arg);
  g_free(job);
  g_mutex_lock(&hv->lock);
  hv->pending--;
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
  virt_hv_unref(hv);
}

void virt_run(Hypervisor *hv, const char *key, WsLoopFunc func, void *arg, GDestroyNotify destroy)
{
  Job *job = g_new(Job, 1);
  *job = (Job){virt_hv_ref(hv), func, arg, destroy};
  g_mutex_lock(&hv->lock);
  hv->pending++;
  g_mutex_unlock(&hv->lock);
  ws_workers_run(hv->config.workers, key, run_job, job);
}

/* ---- life ---- */

Hypervisor *hypervisor_new(const HypervisorConfig *config)
{
  static GOnce once = G_ONCE_INIT;
  g_once(&once, start_event_loop, NULL);
  Hypervisor *hv = g_new0(Hypervisor, 1);
  hv->refs = 1;
  hv->config = *config;
  hv->config.uri = g_strdup(config->uri);
  hv->config.seed_dir = g_strdup(config->seed_dir);
  hv->config.serial_log_dir = g_strdup(config->serial_log_dir);
  hv->config.run_log_dir = g_strdup(config->run_log_dir);
  hv->config.move_dir = g_strdup(config->move_dir);
  hv->config.lease_dir = g_strdup(config->lease_dir);
  hv->config.started_file = g_strdup(config->started_file);
  hv->config.tls.ca_file = g_strdup(config->tls.ca_file);
  hv->config.tls.cert_file = g_strdup(config->tls.cert_file);
  hv->config.tls.key_file = g_strdup(config->tls.key_file);
  hv->host = (VirtHost){.native = WS_VM_SPEC_ARCHITECTURE_X86_64,
                        .seed_dir = hv->config.seed_dir,
                        .serial_log_dir = hv->config.serial_log_dir,
                        .pool_file = config->pool_file,
                        .find_pool = config->find_pool,
                        .arg = config->arg};
  g_mutex_init(&hv->lock);
  g_mutex_init(&hv->emit_lock);
  g_cond_init(&hv->changed);
  hv->conns = g_ptr_array_new_with_free_func(close_conn);
  hv->callbacks = g_array_new(FALSE, FALSE, sizeof(int));
  hv->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, virt_facts_free);
  g_queue_init(&hv->removed);
  virt_moves_sweep(hv->config.move_dir);
  virt_leases_load(hv);
  hv->thread = g_thread_new("hypervisor", run, hv);
  return hv;
}

bool hypervisor_wait_ready(Hypervisor *hv, guint timeout_ms)
{
  gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
  g_mutex_lock(&hv->lock);
  while (!hv->ready && g_cond_wait_until(&hv->changed, &hv->lock, end))
    ;
  bool ready = hv->ready;
  g_mutex_unlock(&hv->lock);
  return ready;
}

void hypervisor_free(Hypervisor *hv)
{
  if (!hv)
    return;
  g_mutex_lock(&hv->lock);
  hv->stop = true;
  g_cond_broadcast(&hv->changed);
  g_mutex_unlock(&hv->lock);
  g_thread_join(hv->thread);
  virt_moves_stop(hv);
  forget_conns(hv);
  g_mutex_lock(&hv->emit_lock); /* who is sending ends first; then nobody begins */
  g_mutex_unlock(&hv->emit_lock);
  gint64 end = g_get_monotonic_time() + STOP_WAIT_US;
  g_mutex_lock(&hv->lock);
  while (hv->pending > 0 && g_cond_wait_until(&hv->changed, &hv->lock, end))
    ;
  g_mutex_unlock(&hv->lock);
  virt_hv_unref(hv);
}
