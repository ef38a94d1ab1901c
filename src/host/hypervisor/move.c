// SPDX-License-Identifier: Apache-2.0
/* Sessions of moves: the two ends of one, opened by the manager, closed by it, or by themselves when nobody comes. See move-private.h.
 *
 * A session's sockets lie in a folder with a name nobody can guess, below a folder nobody can list: whoever the hypervisor runs QEMU as can
 * reach them by name, others cannot find them. */
#include "host/hypervisor/lease.h"
#include "host/hypervisor/move-private.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define PORT_FIRST 49152 /* libvirt's own range for this purpose */
#define PORT_LAST  49215
#define IDLE_US    (180 * G_GINT64_CONSTANT(1000000)) /* nothing open for so long: the manager will not come back */
#define KEPT_US    (3600 * G_GINT64_CONSTANT(1000000)) /* how long the source remembers how it ended */
#define SEED_MAX   (8 << 20)

/* ---- references ---- */

VirtMove *virt_move_ref(VirtMove *move)
{
  g_atomic_int_inc(&move->refs);
  return move;
}

static void remove_folder(const char *folder)
{
  GDir *dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
  if (!dir)
    return;
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_unlink(path);
  }
  g_dir_close(dir);
  g_rmdir(folder);
}

void virt_move_unref(void *arg)
{
  VirtMove *move = arg;
  if (!g_atomic_int_dec_and_test(&move->refs))
    return;
  tunnel_close(move->tunnel);
  g_clear_pointer(&move->arrivals, g_hash_table_unref);
  g_clear_pointer(&move->leaves, g_ptr_array_unref);
  g_clear_pointer(&move->prepared, ws_rpc_vm_migrate_prepare_free);
  remove_folder(move->folder);
  g_clear_pointer(&move->params, ws_rpc_vm_migrate_start_free);
  g_clear_pointer(&move->progress, ws_vm_move_progress_free);
  g_clear_error(&move->failure);
  g_clear_pointer(&move->spec, ws_vm_spec_free);
  g_clear_pointer(&move->files, g_array_unref);
  g_free(move->memory_uri);
  g_free(move->disks_uri);
  g_free(move->refused);
  g_free(move->uuid);
  g_free(move->session);
  g_free(move->folder);
  g_free(move->address);
  virt_hv_unref(move->hv);
  g_free(move);
}

static VirtMove *move_new(Hypervisor *hv, WsId vm, const char *uuid, const char *session, bool is_source)
{
  VirtMove *move = g_new0(VirtMove, 1);
  *move = (VirtMove){.refs = 1, .hv = virt_hv_ref(hv), .vm = vm, .uuid = g_strdup(uuid), .session = g_strdup(session),
                     .is_source = is_source, .idle_since_us = g_get_monotonic_time()};
  move->progress = ws_vm_move_progress_new();
  return move;
}

/* ---- the table ---- */

static VirtMove *find(Hypervisor *hv, const char *session)
{
  g_mutex_lock(&hv->lock);
  VirtMove *move = hv->moves ? g_hash_table_lookup(hv->moves, session) : NULL;
  if (move)
    virt_move_ref(move);
  g_mutex_unlock(&hv->lock);
  return move;
}

/* Takes the place of one with the same name, which is ended. */
static void enter(VirtMove *move)
{
  Hypervisor *hv = move->hv;
  g_autoptr(VirtMove) old = NULL;
  g_mutex_lock(&hv->lock);
  if (!hv->moves)
    hv->moves = g_hash_table_new(g_str_hash, g_str_equal);
  old = g_hash_table_lookup(hv->moves, move->session);
  if (old)
    g_hash_table_remove(hv->moves, old->session);
  g_hash_table_insert(hv->moves, move->session, virt_move_ref(move));
  g_mutex_unlock(&hv->lock);
}

/* Breaks off what goes through it; the source's thread then comes to its end by itself. */
static void end(VirtMove *move)
{
  g_atomic_int_set(&move->cancel, 1);
  tunnel_break(move->tunnel);
}

static void leave(Hypervisor *hv, const char *session)
{
  g_autoptr(VirtMove) move = NULL;
  g_mutex_lock(&hv->lock);
  move = hv->moves ? g_hash_table_lookup(hv->moves, session) : NULL;
  if (move)
    g_hash_table_remove(hv->moves, session);
  g_mutex_unlock(&hv->lock);
  if (move)
    end(move);
}

/* ---- opening ---- */

/* The daemon's socket on this host: of the daemon for QEMU alone where there is one. */
static char *libvirt_socket(Hypervisor *hv)
{
  static const char *const usual[] = {"/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock"};
  const char *named = strstr(hv->config.uri, "?socket=");
  if (named)
    return g_strdup(named + strlen("?socket="));
  for (guint i = 0; i < G_N_ELEMENTS(usual); i++)
    if (g_file_test(usual[i], G_FILE_TEST_EXISTS))
      return g_strdup(usual[i]);
  return g_strdup(usual[1]);
}

static bool make_folder(Hypervisor *hv, const char *folder, GError **error)
{
  /* QEMU's user makes its sockets in it, whoever that is. */
  if (g_mkdir_with_parents(hv->config.move_dir, 0711) == 0 && (g_mkdir(folder, 0700) == 0 || errno == EEXIST) &&
      g_chmod(folder, 01733) == 0)
    return true;
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", folder, "cause", g_strerror(errno), NULL);
}

/* The path comes from another host: it must be one that we would have made. */
static bool check_folder(Hypervisor *hv, const char *folder, GError **error)
{
  gsize n = strlen(hv->config.move_dir);
  const char *name = folder + n + 1;
  bool ok = strncmp(folder, hv->config.move_dir, n) == 0 && folder[n] == '/' && strlen(name) == 32 &&
            strspn(name, "0123456789abcdef") == 32;
  return ok || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "folder", "expected", "a folder for sessions of this host", NULL);
}

static char *new_folder(Hypervisor *hv)
{
  guint8 bytes[16];
  hv->config.clock->random_bytes(hv->config.clock, bytes, sizeof bytes);
  GString *path = g_string_new(hv->config.move_dir);
  g_string_append_c(path, '/');
  for (guint i = 0; i < sizeof bytes; i++)
    g_string_append_printf(path, "%02x", bytes[i]);
  return g_string_free(path, FALSE);
}

static char *in_folder(const VirtMove *move, const char *name)
{
  return g_build_filename(move->folder, name, NULL);
}

static void settle_terms(const Hypervisor *hv, TunnelConfig *config, const char *ticket, WsId peer, char *peer_cn,
                         const char **serials, char *const *from, guint n)
{
  for (guint i = 0; i < n && i < 2; i++)
    serials[i] = from[i];
  config->tls = hv->config.tls;
  config->clock = hv->config.clock;
  config->ticket = ticket;
  config->peer_cn = ws_id_format("host", peer, peer_cn);
  config->peer_serials = serials;
}

/* ---- the target's end ---- */

static bool take_seed(GBytes *payload, void *arg, GError **error)
{
  VirtMove *move = arg;
  VirtHost host = virt_host(move->hv);
  g_autofree char *path = virt_seed_path(&host, move->uuid);
  gsize n;
  const void *bytes = g_bytes_get_data(payload, &n);
  return ws_file_write(path, bytes, n, 0600, error);
}

static bool take_release(GBytes *payload, void *arg, GError **error)
{
  VirtMove *move = arg;
  return virt_move_release(move->hv, move->vm, move->uuid, error);
}

static bool listen_with(VirtMove *move, const WsRpcVmMigratePrepare *params, const TunnelChannel *channels, guint n, guint16 *port,
                        GError **error)
{
  char peer[WS_ID_TEXT_MAX];
  const char *serials[3] = {NULL};
  TunnelConfig config = {.channels = channels, .n_channels = n};
  settle_terms(move->hv, &config, params->ticket, params->peer, peer, serials, params->peer_serials.items, params->peer_serials.len);
  if (params->network && !move->address)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", "an address in the migration network", "cause", params->network, NULL);
  move->tunnel = tunnel_listen(&config, move->address, PORT_FIRST, PORT_LAST, port, error);
  return move->tunnel != NULL;
}

/* Nothing of libvirt's is opened for one that is off. */
static bool listen_for_files(VirtMove *move, const WsRpcVmMigratePrepare *params, guint16 *port, GError **error)
{
  const TunnelChannel channels[] = {
    {.name = MOVE_FILES, .call = virt_move_take_part, .arg = move, .max = 1},
    {.name = MOVE_STATE, .call = virt_move_take_state, .arg = move, .max = 1},
    {.name = MOVE_SEED, .call = take_seed, .arg = move, .max = 1},
  };
  return listen_with(move, params, channels, G_N_ELEMENTS(channels), port, error);
}

static bool listen_for(VirtMove *move, const WsRpcVmMigratePrepare *params, guint16 *port, GError **error)
{
  g_autofree char *daemon = libvirt_socket(move->hv), *memory = in_folder(move, MOVE_MEMORY), *disks = in_folder(move, MOVE_DISKS);
  const TunnelChannel channels[] = {
      {.name = MOVE_LIBVIRT, .path = daemon, .arg = move, .max = 2, .reader = &virt_move_reader},
      {.name = MOVE_MEMORY, .path = memory, .max = 2},
      {.name = MOVE_DISKS, .path = disks, .max = 128},
      {.name = MOVE_SEED, .call = take_seed, .arg = move, .max = 2},
      {.name = MOVE_RELEASE, .call = take_release, .arg = move, .max = 8},
  };
  return listen_with(move, params, channels, G_N_ELEMENTS(channels), port, error);
}

static bool add_path(Hypervisor *hv, WsRpcVmMigratePrepareResult *result, const char *key, WsId pool, const char *file, GError **error)
{
  char *path = hv->host.pool_file(hv->host.arg, pool, file, error);
  if (!path)
    return false;
  WsVmMovePath *entry = ws_vm_move_path_new();
  entry->key = g_strdup(key);
  entry->path = path;
  ws_array_add(&result->disks, entry);
  return true;
}

bool virt_move_name_files(VirtMove *move, const WsVmSpec *spec, WsRpcVmMigratePrepareResult *result, GError **error)
{
  VirtHost host = virt_host(move->hv);
  for (guint i = 0; i < spec->disks.len; i++)
    if (!add_path(move->hv, result, spec->disks.items[i]->key, spec->disks.items[i]->pool, spec->disks.items[i]->file, error))
      return false;
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (spec->cdroms.items[i]->file &&
        !add_path(move->hv, result, spec->cdroms.items[i]->key, spec->cdroms.items[i]->pool, spec->cdroms.items[i]->file, error))
      return false;
  if (spec->seed)
    result->seed_path = virt_seed_path(&host, spec->uuid);
  if (host.serial_log_dir)
    result->serial_log = g_strdup_printf("%s/%s.log", host.serial_log_dir, spec->uuid);
  return true;
}

static bool prepare_live(VirtMove *move, const WsRpcVmMigratePrepare *params,
                         WsRpcVmMigratePrepareResult *out, guint16 *port, GError **error)
{
  return virt_move_name_files(move, params->spec, out, error) &&
         virt_move_expect(move, params->spec, out, error) && make_folder(move->hv, move->folder, error) &&
         listen_for(move, params, port, error);
}

static bool prepare_files(VirtMove *move, const WsRpcVmMigratePrepare *params, guint16 *port, GError **error)
{
  if (!move->hv->config.storage)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "moving a VM that is off", NULL);
  move->prepared = ws_rpc_vm_migrate_prepare_copy(params);
  move->arrivals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)volume_arrival_free);
  return listen_for_files(move, params, port, error);
}

bool hypervisor_vm_migrate_prepare(Hypervisor *hv, const WsRpcVmMigratePrepare *params, WsRpcVmMigratePrepareResult **result,
                                   GError **error)
{
  leave(hv, params->session);
  g_autoptr(VirtMove) move = move_new(hv, params->vm, params->uuid, params->session, false);
  g_autoptr(WsRpcVmMigratePrepareResult) out = ws_rpc_vm_migrate_prepare_result_new();
  guint16 port = 0;
  move->folder = new_folder(hv);
  move->peer = params->peer;
  if (!params->offline && !virt_lease_expect(hv, params->uuid, params->generation, error))
    return false;
  move->address = params->network ? virt_move_address(params->network) : g_strdup(params->address);
  bool ready = params->offline ? prepare_files(move, params, &port, error)
                               : prepare_live(move, params, out, &port, error);
  if (!ready)
    return false;
  out->port = port;
  out->address = g_strdup(move->address);
  out->folder = g_strdup(move->folder);
  enter(move);
  *result = g_steal_pointer(&out);
  return true;
}

/* ---- the source's end ---- */

static bool dial_for(VirtMove *move, const WsRpcVmMigrateStart *params, GError **error)
{
  g_autofree char *daemon = in_folder(move, MOVE_LIBVIRT), *memory = in_folder(move, MOVE_MEMORY), *disks = in_folder(move, MOVE_DISKS);
  const TunnelChannel channels[] = {
    {.name = MOVE_LIBVIRT, .path = daemon, .max = 2},
    {.name = MOVE_MEMORY, .path = memory, .max = 2},
    {.name = MOVE_DISKS, .path = disks, .max = 128},
  };
  char peer[WS_ID_TEXT_MAX];
  const char *serials[3] = {NULL};
  TunnelConfig config = {.channels = channels, .n_channels = params->offline ? 0 : G_N_ELEMENTS(channels)};
  settle_terms(move->hv, &config, params->ticket, params->peer, peer, serials, params->peer_serials.items, params->peer_serials.len);
  move->tunnel = tunnel_dial(&config, params->address, (guint16)params->port, error);
  return move->tunnel != NULL;
}

bool hypervisor_vm_migrate_start(Hypervisor *hv, const WsRpcVmMigrateStart *params, GError **error)
{
  g_autoptr(VirtMove) begun = find(hv, params->session);
  if (begun && begun->is_source)
    return true;
  g_autoptr(WsVmSpec) filled = check_folder(hv, params->folder, error) ? virt_prepare_spec(hv, params->spec, error) : NULL;
  if (!filled)
    return false;
  g_autoptr(VirtMove) move = move_new(hv, params->vm, params->uuid, params->session, true);
  move->params = ws_rpc_vm_migrate_start_copy(params);
  ws_vm_spec_free(move->params->spec);
  move->params->spec = g_steal_pointer(&filled);
  move->folder = g_strdup(params->folder);
  if ((!params->offline && !make_folder(hv, move->folder, error)) || !dial_for(move, params, error))
    return false;
  if (params->offline && !hv->config.storage)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "moving a VM that is off", NULL);
  move->running = true;
  enter(move);
  g_thread_unref(g_thread_new("move", params->offline ? virt_move_off_run : virt_move_run, virt_move_ref(move)));
  return true;
}

bool hypervisor_vm_migrate_cancel(Hypervisor *hv, const WsRpcVmMigrateCancel *params, GError **error)
{
  g_autoptr(VirtMove) move = find(hv, params->session);
  if (move)
    g_atomic_int_set(&move->cancel, 1);
  if (move && move->params && move->params->offline)
    tunnel_break(move->tunnel); /* it may be waiting for the other end */
  return true;
}

bool hypervisor_vm_migrate_close(Hypervisor *hv, const WsRpcVmMigrateClose *params, GError **error)
{
  leave(hv, params->session);
  return true;
}

/* ---- how far ---- */

static WsFailure *failure_of(const GError *error)
{
  WsFailure *failure = ws_failure_new();
  failure->code = g_strdup(ws_error_code_name(ws_error_code(error)));
  failure->cause = g_strdup(ws_error_cause(error) ? ws_error_cause(error) : error->message);
  guint n = ws_error_n_params(error);
  failure->params.items = g_new0(WsMapEntry, n);
  failure->params.len = n;
  for (guint i = 0; i < n; i++) {
    const char *name, *value;
    ws_error_nth_param(error, i, &name, &value);
    failure->params.items[i] = (WsMapEntry){g_strdup(name), g_strdup(value)};
  }
  return failure;
}

static void tell_job(VirtMove *move, WsRpcVmMigrateStatusResult *result)
{
  g_mutex_lock(&move->hv->lock);
  if (move->is_source) {
    result->job = move->running   ? WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_RUNNING
                  : move->failure ? WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_FAILED
                  : move->done    ? WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_DONE
                                  : WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE;
    if (move->failure)
      result->failure = failure_of(move->failure);
  }
  result->refused = g_strdup(move->refused);
  result->progress = ws_vm_move_progress_copy(move->progress);
  if (move->tunnel) {
    TunnelStats stats = tunnel_stats(move->tunnel);
    result->progress->carried_bytes = stats.sent_bytes + stats.received_bytes;
  }
  g_mutex_unlock(&move->hv->lock);
}

bool hypervisor_vm_migrate_status(Hypervisor *hv, const WsRpcVmMigrateStatus *params, WsRpcVmMigrateStatusResult **out, GError **error)
{
  g_autoptr(WsRpcVmMigrateStatusResult) result = ws_rpc_vm_migrate_status_result_new();
  g_autoptr(VirtMove) move = find(hv, params->session);
  result->job = WS_RPC_VM_MIGRATE_STATUS_RESULT_JOB_NONE;
  if (move)
    tell_job(move, result); /* first: when the job has ended, the domain's state is later than its end */
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  if (!conn)
    return false;
  VIRT_AUTO_DOMAIN domain = virDomainLookupByUUIDString(conn->c, params->uuid);
  if (!domain && !virt_error_is(VIR_ERR_NO_DOMAIN))
    return virt_fail(error, params->vm, params->uuid, "find");
  result->domain = domain ? virt_move_domain_state(domain) : WS_RPC_VM_MIGRATE_STATUS_RESULT_DOMAIN_ABSENT;
  if (!result->domain)
    return virt_fail(error, params->vm, params->uuid, "read the state of");
  *out = g_steal_pointer(&result);
  return true;
}

/* ---- by itself ---- */

/* With the lock held: is it over, and nobody has closed it? */
static bool is_abandoned(VirtMove *move, gint64 now_us)
{
  bool busy = move->running || (move->tunnel && tunnel_stats(move->tunnel).open > 0);
  if (busy)
    move->idle_since_us = 0;
  else if (!move->idle_since_us)
    move->idle_since_us = now_us;
  return !busy && now_us - move->idle_since_us > (move->is_source ? KEPT_US : IDLE_US);
}

void virt_moves_tick(Hypervisor *hv)
{
  g_autoptr(GPtrArray) over = g_ptr_array_new_with_free_func(g_free);
  gint64 now_us = g_get_monotonic_time();
  GHashTableIter iter;
  void *value;
  g_mutex_lock(&hv->lock);
  if (hv->moves)
    for (g_hash_table_iter_init(&iter, hv->moves); g_hash_table_iter_next(&iter, NULL, &value);)
      if (is_abandoned(value, now_us))
        g_ptr_array_add(over, g_strdup(((VirtMove *)value)->session));
  g_mutex_unlock(&hv->lock);
  for (guint i = 0; i < over->len; i++) {
    ws_log(WS_LOG_NOTICE, "move-session-abandoned", "session", over->pdata[i], NULL);
    leave(hv, over->pdata[i]);
  }
}

void virt_moves_sweep(const char *move_dir)
{
  GDir *dir = move_dir ? g_dir_open(move_dir, 0, NULL) : NULL;
  if (!dir)
    return;
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *folder = g_build_filename(move_dir, name, NULL);
    remove_folder(folder);
  }
  g_dir_close(dir);
}

void virt_moves_stop(Hypervisor *hv)
{
  for (;;) {
    g_autofree char *session = NULL;
    GHashTableIter iter;
    void *key;
    g_mutex_lock(&hv->lock);
    if (hv->moves) {
      g_hash_table_iter_init(&iter, hv->moves);
      if (g_hash_table_iter_next(&iter, &key, NULL))
        session = g_strdup(key);
    }
    g_mutex_unlock(&hv->lock);
    if (!session)
      break;
    leave(hv, session);
  }
  g_clear_pointer(&hv->moves, g_hash_table_unref);
}

void virt_moves_note_stopped(Hypervisor *hv, const char *uuid)
{
  GHashTableIter iter;
  void *value;
  g_mutex_lock(&hv->lock);
  if (hv->moves)
    for (g_hash_table_iter_init(&iter, hv->moves); g_hash_table_iter_next(&iter, NULL, &value);) {
      VirtMove *move = value;
      if (move->is_source && move->running && strcmp(move->uuid, uuid) == 0)
        move->stopped_us = g_get_monotonic_time();
    }
  g_mutex_unlock(&hv->lock);
}

bool virt_moves_has(Hypervisor *hv, const char *uuid)
{
  GHashTableIter iter;
  void *value;
  bool found = false;
  if (hv->moves)
    for (g_hash_table_iter_init(&iter, hv->moves); !found && g_hash_table_iter_next(&iter, NULL, &value);) {
      const VirtMove *move = value;
      found = (move->running || !move->is_source) && strcmp(move->uuid, uuid) == 0;
    }
  return found;
}

void virt_move_conclude(VirtMove *move, bool done, GError *error)
{
  if (done)
    ws_log(WS_LOG_NOTICE, "vm-moved", "uuid", move->uuid, "session", move->session, NULL);
  else
    ws_log_error(WS_LOG_WARNING, "vm-not-moved", error, "uuid", move->uuid, "session", move->session, NULL);
  g_mutex_lock(&move->hv->lock);
  move->done = done;
  move->failure = error;
  move->running = false;
  g_mutex_unlock(&move->hv->lock);
}
