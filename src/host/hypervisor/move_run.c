// SPDX-License-Identifier: Apache-2.0
/* The source's work in a move: one call of libvirt that lasts, watched from a second thread, and what follows. See move-private.h.
 *
 * With business_first and fast the guest arrives standing still and is released when it was seen gone here. With post_copy it must run there
 * while its memory still comes, so libvirt starts it; a source that went into post-copy never goes on, so it does not run twice then
 * either. What remains is post-copy that was allowed but not needed: the last pass ended before it began, and libvirt's answer was
 * lost. That moment is libvirt's own and is not closed here (docs/moving.md).
 *
 * Libvirt would start the VM on this host again after a power failure if it is marked so; the mark is taken off first, and set
 * again by the manager's next definition, or here when the VM stays. */
#include "host/hypervisor/lease.h"
#include "host/hypervisor/move-private.h"
#include "base/files.h"
#include "base/log.h"
#include <string.h>

#define WATCH_US   (G_USEC_PER_SEC / 4)
#define STALL_US   (120 * G_GINT64_CONSTANT(1000000)) /* nothing moved for so long: something hangs */
#define NEARER_US  (600 * G_GINT64_CONSTANT(1000000)) /* not nearer to the end than before for so long: it never will be */
#define SEED_MAX   (8 << 20)
#define DEV_MAX    64

typedef struct {
  VirtMove *move;
  const WsRpcVmMigrateStart *params;
  VirtConn *conn;
  virDomainPtr domain;
  bool was_paused;
  bool stands_still; /* while its memory goes: virt_move_stands_still() */
  bool post_copy;    /* asked for, and there is something to be gained */
  int autostart; /* libvirt's mark */
  bool marked;   /* ours */
  virTypedParameterPtr list;
  int n, room;
  /* the watching thread */
  VirtConn *watch_conn;
  virDomainPtr watched;
  GMutex lock;
  GCond changed;
  bool ended;
  bool in_post_copy;
  gint64 began_us;
  guint64 last_sum;
  gint64 last_change_us;
  bool stalled;
  gint64 least_left_bytes, nearer_us; /* the least that was left, and when */
  const char *endless; /* why it was given up; NULL: it was not */
} Run;

/* ---- progress, cancel, post-copy, stall ---- */

static gint64 stat_of(virTypedParameterPtr params, int n, const char *name)
{
  unsigned long long value = 0;
  int number = 0;
  if (virTypedParamsGetULLong(params, n, name, &value) == 1)
    return (gint64)MIN(value, (unsigned long long)G_MAXINT64);
  return virTypedParamsGetInt(params, n, name, &number) == 1 ? number : WS_INT_UNSET;
}

static gint64 bytes_of_pages(virTypedParameterPtr params, int n)
{
  gint64 rate = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE), page = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
  return rate == WS_INT_UNSET ? rate : rate * (page == WS_INT_UNSET ? 4096 : page);
}

static void take_stats(Run *run, virTypedParameterPtr params, int n)
{
  VirtMove *move = run->move;
  g_mutex_lock(&move->hv->lock);
  WsVmMoveProgress *p = move->progress;
  p->memory_total_bytes = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_TOTAL);
  p->memory_done_bytes = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
  p->memory_remaining_bytes = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_REMAINING);
  p->disk_total_bytes = stat_of(params, n, VIR_DOMAIN_JOB_DISK_TOTAL);
  p->disk_done_bytes = stat_of(params, n, VIR_DOMAIN_JOB_DISK_PROCESSED);
  p->disk_remaining_bytes = stat_of(params, n, VIR_DOMAIN_JOB_DISK_REMAINING);
  p->dirty_bytes_per_s = bytes_of_pages(params, n);
  p->bytes_per_s = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_BPS);
  p->passes = stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION);
  p->throttle_percent = stat_of(params, n, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE);
  p->post_copy = run->in_post_copy;
  g_mutex_unlock(&move->hv->lock);
}

static bool has_stalled(Run *run)
{
  TunnelStats stats = tunnel_stats(run->move->tunnel);
  guint64 sum = (guint64)stats.sent_bytes + (guint64)stats.received_bytes;
  gint64 now_us = g_get_monotonic_time();
  if (sum != run->last_sum)
    run->last_change_us = now_us;
  run->last_sum = sum;
  return now_us - run->last_change_us > STALL_US;
}

/* A guest that writes faster than the wire carries is not waited for without end. Once it runs on the target it is not stopped any more. */
static void look_for_end(Run *run, virTypedParameterPtr params, int n)
{
  gint64 now_us = g_get_monotonic_time(), left = stat_of(params, n, VIR_DOMAIN_JOB_DATA_REMAINING);
  gint64 limit_s = run->params->timeout_s;
  if (run->in_post_copy)
    return;
  if (left != WS_INT_UNSET && left < run->least_left_bytes) {
    run->least_left_bytes = left;
    run->nearer_us = now_us;
  }
  if (limit_s != WS_INT_UNSET && now_us - run->began_us > limit_s * G_USEC_PER_SEC)
    run->endless = "it has not gone over in the time it was given";
  else if (now_us - run->nearer_us > NEARER_US)
    run->endless = "the guest writes faster than the wire carries";
}

static void begin_post_copy(Run *run, gint64 passes)
{
  if (!run->post_copy || run->in_post_copy || passes == WS_INT_UNSET || passes <= run->params->post_copy_after)
    return;
  run->in_post_copy = virDomainMigrateStartPostCopy(run->watched, 0) == 0;
  if (!run->in_post_copy)
    ws_log(WS_LOG_WARNING, "post-copy-not-begun", "uuid", run->move->uuid, "cause", virGetLastErrorMessage(), NULL);
}

static void watch_once(Run *run)
{
  virTypedParameterPtr params = NULL;
  int type = 0, n = 0;
  run->stalled = run->stalled || has_stalled(run);
  if (g_atomic_int_get(&run->move->cancel) || run->stalled || run->endless) {
    virDomainAbortJob(run->watched);
    return;
  }
  if (virDomainGetJobStats(run->watched, &type, &params, &n, 0) < 0 || type == VIR_DOMAIN_JOB_NONE) {
    virTypedParamsFree(params, n);
    return;
  }
  take_stats(run, params, n);
  look_for_end(run, params, n);
  begin_post_copy(run, stat_of(params, n, VIR_DOMAIN_JOB_MEMORY_ITERATION));
  virTypedParamsFree(params, n);
}

static gpointer watch(gpointer arg)
{
  Run *run = arg;
  g_mutex_lock(&run->lock);
  while (!run->ended) {
    g_cond_wait_until(&run->changed, &run->lock, g_get_monotonic_time() + WATCH_US);
    if (run->ended)
      break;
    g_mutex_unlock(&run->lock);
    watch_once(run);
    g_mutex_lock(&run->lock);
  }
  g_mutex_unlock(&run->lock);
  return NULL;
}

/* ---- what libvirt is told ---- */

static bool add_text(Run *run, const char *name, const char *value)
{
  return virTypedParamsAddString(&run->list, &run->n, &run->room, name, value) == 0;
}

static char *there_xml(Run *run, unsigned int flags, GError **error)
{
  const WsRpcVmMigrateStart *p = run->params;
  VirtMoveThere there = {p->spec, p->disks.items, p->disks.len, p->seed_path, p->serial_log};
  char *xml = virDomainGetXMLDesc(run->domain, flags);
  char *changed = xml ? virt_move_xml(xml, &there, error) : NULL;
  if (!xml)
    virt_fail(error, p->vm, p->uuid, "read the definition of");
  free(xml);
  return changed;
}

static bool add_definitions(Run *run, GError **error)
{
  g_autofree char *live = there_xml(run, VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE, error);
  g_autofree char *defined =
      live ? there_xml(run, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE, error) : NULL;
  if (!defined)
    return false;
  return (add_text(run, VIR_MIGRATE_PARAM_DEST_XML, live) && add_text(run, VIR_MIGRATE_PARAM_PERSIST_XML, defined)) ||
         virt_fail(error, run->params->vm, run->params->uuid, "describe");
}

static bool add_sockets(Run *run, GError **error)
{
  const char *folder = run->params->folder;
  g_autofree char *memory = g_strdup_printf("unix://%s/%s", folder, MOVE_MEMORY);
  g_autofree char *disks = g_strdup_printf("unix://%s/%s", folder, MOVE_DISKS);
  return (add_text(run, VIR_MIGRATE_PARAM_URI, memory) &&
          (run->params->copy.len == 0 || add_text(run, VIR_MIGRATE_PARAM_DISKS_URI, disks))) ||
         virt_fail(error, run->params->vm, run->params->uuid, "describe");
}

/* Libvirt names the disks to copy by their target. */
static bool add_disks(Run *run, GError **error)
{
  const WsRpcVmMigrateStart *p = run->params;
  const char *devs[DEV_MAX + 1] = {NULL};
  char *xml = virt_xml(run->domain, true);
  bool ok = xml != NULL;
  guint n = MIN(p->copy.len, DEV_MAX);
  for (guint i = 0; ok && i < n; i++) {
    devs[i] = virt_move_dev(xml, p->copy.items[i]);
    ok = devs[i] || ws_fail(error, WS_ERROR_NOT_FOUND, "object", p->copy.items[i], NULL);
  }
  if (ok && n)
    ok = virTypedParamsAddStringList(&run->list, &run->n, &run->room, VIR_MIGRATE_PARAM_MIGRATE_DISKS, devs) == 0 ||
         virt_fail(error, p->vm, p->uuid, "name the disks of");
  for (guint i = 0; i < n; i++)
    g_free((char *)devs[i]);
  free(xml);
  return ok;
}

static bool add_rates(Run *run, GError **error)
{
  gint64 rate = run->params->bandwidth_bytes_per_s;
  unsigned long long mib = rate == WS_INT_UNSET ? 0 : (unsigned long long)MAX(rate >> 20, 1);
  return mib == 0 ||
         (virTypedParamsAddULLong(&run->list, &run->n, &run->room, VIR_MIGRATE_PARAM_BANDWIDTH, mib) == 0 &&
          (!run->post_copy ||
           virTypedParamsAddULLong(&run->list, &run->n, &run->room, VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, mib) == 0)) ||
         virt_fail(error, run->params->vm, run->params->uuid, "set the rate of");
}

/* libvirt knows shared storage by the file system's kind and takes a directory that the hosts share in any other way for a local one ("Migration
 * without shared storage is unsafe"). We know better: both hosts found the pool's identity there. What remains to be seen is the page cache: a disk
 * that stays where it is must not be cached by the host that is left. */
static bool stays_coherent(const Run *run)
{
  const WsVmSpec *spec = run->params->spec;
  for (guint i = 0; i < spec->disks.len; i++) {
    const WsVmSpecDisk *disk = spec->disks.items[i];
    bool copied = false;
    for (guint c = 0; c < run->params->copy.len && !copied; c++)
      copied = g_strcmp0(run->params->copy.items[c], disk->key) == 0;
    if (!copied && disk->cache != WS_VM_SPEC_DISK_CACHE_NONE && disk->cache != WS_VM_SPEC_DISK_CACHE_DIRECTSYNC)
      return false;
  }
  return true;
}

static unsigned int flags_of(const Run *run)
{
  unsigned int flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST;
  /* Without LIVE libvirt copies the disks while the guest runs, then stops it, and starts it again when the move fails. */
  if (!run->stands_still)
    flags |= VIR_MIGRATE_LIVE;
  if (stays_coherent(run))
    flags |= VIR_MIGRATE_UNSAFE;
  if (run->params->copy.len)
    flags |= VIR_MIGRATE_NON_SHARED_DISK;
  if (run->post_copy)
    return flags | VIR_MIGRATE_POSTCOPY;
  if (run->params->strategy == WS_RPC_VM_MIGRATE_START_STRATEGY_BUSINESS_FIRST && !run->stands_still)
    flags |= VIR_MIGRATE_AUTO_CONVERGE;
  return flags | VIR_MIGRATE_PAUSED;
}

/* ---- the move ---- */

static bool send_seed(Run *run, GError **error)
{
  VirtHost host = virt_host(run->move->hv);
  g_autofree char *path = virt_seed_path(&host, run->params->uuid);
  gsize n;
  if (!run->params->spec->seed)
    return true;
  g_autofree char *bytes = ws_file_read(path, SEED_MAX, &n, error);
  return bytes && tunnel_request(run->move->tunnel, MOVE_SEED, bytes, n, error);
}

static bool migrate(Run *run, GError **error)
{
  g_autofree char *daemon =
      g_strdup_printf("qemu+unix:///system?socket=%s/%s", run->params->folder, MOVE_LIBVIRT);
  GThread *watcher = g_thread_new("move-watch", watch, run);
  int done = virDomainMigrateToURI3(run->domain, daemon, run->list, (unsigned int)run->n, flags_of(run));
  bool ok = done == 0 || virt_fail(error, run->params->vm, run->params->uuid, "move");
  g_mutex_lock(&run->lock);
  run->ended = true;
  g_cond_signal(&run->changed);
  g_mutex_unlock(&run->lock);
  g_thread_join(watcher);
  return ok;
}

static void note_downtime(Run *run)
{
  VirtMove *move = run->move;
  virTypedParameterPtr params = NULL;
  int type, n = 0;
  gint64 told = WS_INT_UNSET;
  if (virDomainGetJobStats(run->domain, &type, &params, &n, VIR_DOMAIN_JOB_STATS_COMPLETED) == 0)
    told = stat_of(params, n, VIR_DOMAIN_JOB_DOWNTIME);
  virTypedParamsFree(params, n);
  g_mutex_lock(&move->hv->lock);
  /* Ours runs from libvirt's word that the guest was stopped to its going on there; libvirt's own does not know of the release. */
  gint64 seen = move->stopped_us ? (g_get_monotonic_time() - move->stopped_us) / 1000 : WS_INT_UNSET;
  if (!run->was_paused)
    move->progress->downtime_ms = run->post_copy || seen == WS_INT_UNSET ? told : seen;
  g_mutex_unlock(&move->hv->lock);
}

/* libvirt has answered, whatever it said: what counts is where the guest is. */
static bool conclude(Run *run, bool said_done, GError **said, GError **error)
{
  WsRpcVmMigrateStatusResultDomain state = virt_move_domain_state(run->domain);
  if (state == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_GONE_OVER || state == WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_ABSENT) {
    bool held = (flags_of(run) & VIR_MIGRATE_PAUSED) && !run->was_paused;
    bool released = !held || tunnel_request(run->move->tunnel, MOVE_RELEASE, NULL, 0, error);
    if (released) {
      virt_lease_lose(run->move->hv, run->params->uuid, run->params->generation);
      note_downtime(run);
    }
    return released;
  }
  if (run->autostart)
    virDomainSetAutostart(run->domain, 1);
  if (run->marked)
    virt_lease_set_autostart(run->move->hv, run->params->uuid, true, NULL);
  if (said_done)
    return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", run->params->uuid, "operation", "move", "cause",
                   "it is still here although the move is said to be done", NULL);
  if (run->endless) {
    gint64 limit_s = run->params->timeout_s == WS_INT_UNSET ? NEARER_US / G_USEC_PER_SEC : run->params->timeout_s;
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT " s", limit_s);
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the end of the move", "timeout", limit, "cause", run->endless, NULL);
  }
  if (run->stalled)
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "the next byte of the move", "timeout", "120 s", NULL);
  if (g_atomic_int_get(&run->move->cancel) && ws_error_code(*said) != WS_ERROR_HYPERVISOR_UNREACHABLE)
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", ws_error_cause(*said), NULL);
  g_propagate_error(error, g_steal_pointer(said));
  return false;
}

static bool is_emulated(virDomainPtr domain)
{
  char *text = virt_xml(domain, true);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, NULL) : NULL;
  free(text);
  return doc && g_strcmp0(virt_xml_get(xmlDocGetRootElement(doc), "type"), "qemu") == 0;
}

static bool begin(Run *run, GError **error)
{
  const WsRpcVmMigrateStart *p = run->params;
  Hypervisor *hv = run->move->hv;
  run->conn = virt_conn_acquire(hv, error);
  run->watch_conn = run->conn ? virt_conn_acquire(hv, error) : NULL;
  run->domain = run->watch_conn ? virt_find(run->conn, p->vm, p->uuid, error) : NULL;
  run->watched = run->domain ? virt_find(run->watch_conn, p->vm, p->uuid, error) : NULL;
  if (!run->watched)
    return false;
  WsPowerState state = virt_state(run->domain);
  if (state != WS_POWER_STATE_RUNNING && state != WS_POWER_STATE_PAUSED)
    return virt_wrong_state(error, p->vm, p->uuid, "move", state);
  run->was_paused = state == WS_POWER_STATE_PAUSED;
  run->stands_still = virt_move_stands_still(hv, run->conn, is_emulated(run->domain));
  /* libvirt refuses it for a guest that stands still. */
  run->post_copy = p->strategy == WS_RPC_VM_MIGRATE_START_STRATEGY_POST_COPY && !run->was_paused && !run->stands_still;
  virDomainGetAutostart(run->domain, &run->autostart);
  if (run->autostart && virDomainSetAutostart(run->domain, 0) < 0)
    return virt_fail(error, p->vm, p->uuid, "take the autostart mark off");
  run->marked = virt_lease_autostart(hv, p->uuid);
  return virt_lease_set_autostart(hv, p->uuid, false, error);
}

static bool work(Run *run, GError **error)
{
  g_autoptr(GError) said = NULL;
  if (!begin(run, error) || !send_seed(run, error) || !add_definitions(run, error) || !add_sockets(run, error) ||
      !add_disks(run, error) || !add_rates(run, error))
    return false;
  bool done = migrate(run, &said);
  return conclude(run, done, &said, error);
}

gpointer virt_move_run(gpointer arg)
{
  g_autoptr(VirtMove) move = arg;
  g_autoptr(GError) error = NULL;
  Run run = {.move = move, .params = move->params, .last_change_us = g_get_monotonic_time(),
             .began_us = g_get_monotonic_time(), .nearer_us = g_get_monotonic_time(), .least_left_bytes = G_MAXINT64};
  g_mutex_init(&run.lock);
  g_cond_init(&run.changed);
  bool done = work(&run, &error);
  virt_move_conclude(move, done, g_steal_pointer(&error));
  virTypedParamsFree(run.list, run.n);
  g_clear_pointer(&run.domain, virDomainFree);
  g_clear_pointer(&run.watched, virDomainFree);
  virt_conn_release(run.watch_conn);
  virt_conn_release(run.conn);
  g_mutex_clear(&run.lock);
  g_cond_clear(&run.changed);
  return NULL;
}
