// SPDX-License-Identifier: Apache-2.0
/* See pool_probe.h. A thread that is late goes on to its end, clears what it made, and its findings are
 * thrown away. */
#include "host/storage/pool_probe.h"
#include "base/files.h"
#include "base/log.h"
#include "host/storage/pool_dir.h"
#include "host/storage/pool_trial.h"
#include "host/storage/route.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_FOLDER   "checks"
#define NOTE_ENDING    ".json"
#define MOUNTING       "mounting\n" /* begins a note while nothing can be on the server yet */
#define NOTE_MAX_BYTES (64 << 10)
#define PROBES_MAX     8 /* threads out at a time, hanging ones among them */
#define SOFT_TIMEOUT_S 5 /* of a mount that is only tried */
#define SOFT_RETRANS   2
#define FOUND_MAX      1024
#define NFS_PORT       "2049"

guint pool_probe_wait_ms = 40000;
void (*pool_probe_wait_seam)(void);
void (*pool_probe_seam)(WsPoolSignWord sign);

typedef struct {
  gint refs;
  Storage *storage;
  WsRpcPoolCheck *params;
  char *where;     /* folder or export: what is silent once is not asked again meanwhile */
  char *name;      /* of what is made there */
  char *note;      /* file that tells of it; NULL: nothing is made yet */
  char *mount;     /* folder of ours on which the export is mounted; NULL: it is not */
  WsPoolNfs *soft; /* how */
  GMutex lock;
  GCond over;
  bool is_over, is_late;
  bool is_doubtful; /* a mount was given up, and may come about yet; the thread's own */
  WsRpcPoolCheckResult *result;
} Probe;

static void probe_unref(Probe *probe)
{
  if (!g_atomic_int_dec_and_test(&probe->refs))
    return;
  storage_unref(probe->storage);
  ws_rpc_pool_check_free(probe->params);
  ws_rpc_pool_check_result_free(probe->result);
  ws_pool_nfs_free(probe->soft);
  g_free(probe->where);
  g_free(probe->name);
  g_free(probe->note);
  g_free(probe->mount);
  g_mutex_clear(&probe->lock);
  g_cond_clear(&probe->over);
  g_free(probe);
}

static void add_sign(WsRpcPoolCheckResult *result, WsPoolSignWord word, const char *found)
{
  WsPoolSign *sign = ws_pool_sign_new();
  g_autofree char *valid = found ? g_utf8_make_valid(found, -1) : NULL;
  sign->sign = word;
  sign->found = valid ? g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), FOUND_MAX)) : NULL;
  ws_array_add(&result->signs, sign);
}

static void tell(WsPoolSignWord sign, const char *found, void *arg)
{
  Probe *probe = arg;
  g_mutex_lock(&probe->lock);
  add_sign(probe->result, sign, found);
  g_mutex_unlock(&probe->lock);
  if (pool_probe_seam)
    pool_probe_seam(sign);
}

static void tell_error(Probe *probe, WsPoolSignWord sign, const GError *error)
{
  tell(sign, ws_error_cause(error) ? ws_error_cause(error) : error->message, probe);
}

/* ---- notes ---- */

static char *notes_folder(const Storage *storage)
{
  return g_build_filename(storage->state_dir, NOTES_FOLDER, NULL);
}

/* What is made in `path` and the mount at it are on record from here on; mounting: the mount alone. */
static bool take_note(Probe *probe, const char *path, bool mounting, GError **error)
{
  g_autoptr(WsRpcPoolCheck) what = ws_rpc_pool_check_copy(probe->params);
  g_free(what->path);
  what->path = g_strdup(path);
  gsize n;
  g_autofree char *json = ws_object_to_json(&ws_type_rpc_pool_check, what, WS_WRITE_PEER, &n);
  g_autofree char *text = g_strconcat(mounting ? MOUNTING : "", json, NULL);
  return ws_file_write(probe->note, text, strlen(text), 0600, error);
}

/* A number that no note of this run or the last has. */
static void choose_name(Probe *probe)
{
  Storage *storage = probe->storage;
  g_autofree char *folder = notes_folder(storage);
  g_mutex_lock(&storage->lock);
  do {
    g_free(probe->note);
    g_free(probe->mount);
    probe->mount = g_strdup_printf("%s/%" G_GUINT64_FORMAT, folder, ++storage->n_probes);
    probe->note = g_strconcat(probe->mount, NOTE_ENDING, NULL);
  } while (access(probe->note, F_OK) == 0 || access(probe->mount, F_OK) == 0);
  probe->name = g_strdup_printf("%scheck-%" G_GUINT64_FORMAT, storage->new_prefix, storage->n_probes);
  g_mutex_unlock(&storage->lock);
}

/* ---- a mount that is only tried ---- */

/* Whatever the pool's own would be: this one gives up by itself. */
static WsPoolNfs *softly(const WsPoolNfs *nfs)
{
  WsPoolNfs *soft = ws_pool_nfs_copy(nfs);
  soft->hard = false;
  soft->timeout_s = MIN(nfs->timeout_s == WS_INT_UNSET ? SOFT_TIMEOUT_S : nfs->timeout_s, SOFT_TIMEOUT_S);
  soft->retrans = MIN(nfs->retrans == WS_INT_UNSET ? SOFT_RETRANS : nfs->retrans, SOFT_RETRANS);
  return soft;
}

static WsPoolSignWord sign_of_mount(const GError *error)
{
  switch (ws_error_code(error)) {
  case WS_ERROR_UNSUPPORTED:
  case WS_ERROR_PROGRAM_MISSING:
    return WS_POOL_SIGN_WORD_MOUNT_NO_CLIENT;
  case WS_ERROR_DEADLINE_EXCEEDED:
    return WS_POOL_SIGN_WORD_MOUNT_SILENT;
  default:
    return WS_POOL_SIGN_WORD_MOUNT_FAILED;
  }
}

static bool mount_softly(const WsPoolNfs *soft, const char *folder, GError **error)
{
  if (mkdir(folder, 0700) < 0 && errno != EEXIST)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", folder, "cause", g_strerror(errno), NULL);
  return nfs_mount_once(soft, folder, error);
}

/* false: it may be mounted yet. */
static bool unmount_softly(const WsPoolNfs *soft, const char *folder)
{
  g_autoptr(GError) error = NULL;
  if (!nfs_unmount(soft, folder, &error) && !nfs_give_up(soft, folder, &error)) {
    ws_log_error(WS_LOG_WARNING, "pool-check-not-unmounted", error, "path", folder, NULL);
    return false;
  }
  return rmdir(folder) == 0 || errno == ENOENT;
}

/* ---- on the thread: where it is tried ---- */

static int open_export(Probe *probe)
{
  const WsRpcPoolCheck *params = probe->params;
  g_autoptr(GError) error = NULL;
  NfsState state = nfs_state(params->nfs, params->path);
  if (state == NFS_OTHER) {
    tell(WS_POOL_SIGN_WORD_MOUNT_OTHER, params->path, probe);
    return -1;
  }
  const char *at = state == NFS_MOUNTED ? params->path : probe->mount;
  if (state == NFS_MOUNTED) /* by us: what virtual machines use is what is tried */
    g_clear_pointer(&probe->mount, g_free);
  bool ok = (state == NFS_MOUNTED ||
             (take_note(probe, at, true, &error) && mount_softly(probe->soft, at, &error))) &&
            take_note(probe, at, false, &error);
  int fd = ok ? open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  probe->is_doubtful = ws_error_code(error) == WS_ERROR_DEADLINE_EXCEEDED;
  if (!ok)
    tell_error(probe, sign_of_mount(error), error);
  else if (fd < 0)
    tell(WS_POOL_SIGN_WORD_MOUNT_FAILED, g_strerror(errno), probe);
  else
    tell(WS_POOL_SIGN_WORD_MOUNT_DONE, NULL, probe);
  return fd;
}

static bool is_root(char *const *roots, const char *path)
{
  for (; *roots; roots++)
    if (strcmp(*roots, path) == 0)
      return true;
  return false;
}

/* The nearest folder above that is there, not above the root; *path becomes it. */
static int open_above(char *const *roots, char **path)
{
  int fd = -1;
  while (fd < 0 && !is_root(roots, *path)) {
    char *above = g_path_get_dirname(*path);
    g_free(*path);
    *path = above;
    fd = is_root(roots, above) ? open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                               : pool_dir_open(roots, above, false, NULL);
  }
  return fd;
}

static bool is_open_to_others(Probe *probe, int fd, const char *path)
{
  struct stat st;
  bool known = fstat(fd, &st) == 0;
  if (known && !pool_dir_is_open(&st, probe->params->nfs != NULL))
    return false;
  g_autofree char *found =
      known ? g_strdup_printf("%s: uid %u, mode %04o", path, (guint)st.st_uid, (guint)st.st_mode & 07777)
            : g_strdup(path);
  tell(WS_POOL_SIGN_WORD_PATH_OPEN_TO_ALL, found, probe);
  return true;
}

/* *own: it is the pool's folder, not one above. */
static int open_folder(Probe *probe, bool *own)
{
  const WsRpcPoolCheck *params = probe->params;
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_strdup(params->path);
  struct stat st;
  g_clear_pointer(&probe->mount, g_free);
  int fd = pool_dir_open(probe->storage->allowed_roots, path, false, &error);
  *own = fd >= 0;
  if (fd < 0 && (params->uuid || lstat(path, &st) == 0)) {
    tell_error(probe, WS_POOL_SIGN_WORD_PATH_ABSENT, error);
    return -1;
  }
  if (fd < 0) {
    fd = open_above(probe->storage->allowed_roots, &path);
    tell(params->create ? WS_POOL_SIGN_WORD_PATH_TO_MAKE : WS_POOL_SIGN_WORD_PATH_TO_SHARE, path, probe);
  }
  g_clear_error(&error);
  bool ok = fd >= 0 && (*own || !is_open_to_others(probe, fd, path));
  if (ok && !take_note(probe, path, false, &error)) {
    tell_error(probe, WS_POOL_SIGN_WORD_HOST_FAILED, error);
    ok = false;
  }
  if (ok || fd < 0)
    return fd;
  close(fd);
  return -1;
}

/* Is it what it should be? */
static bool is_right(Probe *probe, int fd)
{
  const WsRpcPoolCheck *params = probe->params;
  g_autoptr(GError) error = NULL;
  g_autofree char *identity = pool_dir_identity(fd, params->path, &error);
  if (error)
    tell_error(probe, WS_POOL_SIGN_WORD_PATH_ABSENT, error);
  else if (identity && g_strcmp0(identity, params->uuid) != 0)
    tell(WS_POOL_SIGN_WORD_PATH_OTHER_POOL, identity, probe);
  else if (!identity && params->uuid)
    tell(WS_POOL_SIGN_WORD_PATH_NO_POOL, params->path, probe);
  else if (identity || !is_open_to_others(probe, fd, params->path)) {
    tell(WS_POOL_SIGN_WORD_PATH_THERE, NULL, probe);
    return true;
  }
  return false;
}

/* ---- on the thread: all of it ---- */

static void tell_options(Probe *probe, const WsPoolNfs *nfs)
{
  g_autofree char *options = nfs_options(nfs);
  if (!nfs->hard)
    tell(WS_POOL_SIGN_WORD_OPTIONS_SOFT, options, probe);
  if (nfs->version == WS_POOL_NFS_VERSION_V3)
    tell(WS_POOL_SIGN_WORD_OPTIONS_V3, options, probe);
}

static void find_way(Probe *probe, const WsPoolNfs *nfs)
{
  char *device = NULL, *source = NULL;
  if (!route_find(nfs->server, NFS_PORT, &device, &source))
    return;
  g_mutex_lock(&probe->lock);
  probe->result->device = device;
  probe->result->source = source;
  g_mutex_unlock(&probe->lock);
}

/* The note goes last, and only when nothing is left that it tells of. */
static void leave(Probe *probe, int fd)
{
  bool clear = fd < 0 || pool_trial_clear(fd, probe->name);
  if (fd >= 0)
    close(fd);
  if (probe->mount)
    clear = unmount_softly(probe->soft, probe->mount) && clear;
  if (clear && !probe->is_doubtful)
    unlink(probe->note);
}

static void look(Probe *probe)
{
  const WsPoolNfs *nfs = probe->params->nfs;
  bool own = true;
  if (nfs) {
    tell_options(probe, nfs);
    find_way(probe, nfs);
  }
  int fd = nfs ? open_export(probe) : open_folder(probe, &own);
  if (fd >= 0 && (!own || is_right(probe, fd)))
    pool_trial_run(fd, probe->name, tell, probe);
  leave(probe, fd);
}

static void count_out(Probe *probe, bool was_late)
{
  Storage *storage = probe->storage;
  g_mutex_lock(&storage->lock);
  storage->probes_out--;
  if (was_late)
    g_hash_table_remove(storage->silent, probe->where);
  g_mutex_unlock(&storage->lock);
}

static gpointer run(gpointer arg)
{
  Probe *probe = arg;
  look(probe);
  g_mutex_lock(&probe->lock);
  probe->is_over = true;
  bool late = probe->is_late;
  g_cond_signal(&probe->over);
  g_mutex_unlock(&probe->lock);
  count_out(probe, late);
  probe_unref(probe);
  return NULL;
}

/* ---- who asks ---- */

/* false: not now, and the sign that says why. */
static bool count_in(Storage *storage, const char *where, WsPoolSignWord *why)
{
  g_mutex_lock(&storage->lock);
  bool silent = g_hash_table_contains(storage->silent, where),
       may = !silent && storage->probes_out < PROBES_MAX;
  storage->probes_out += may;
  g_mutex_unlock(&storage->lock);
  *why = silent ? WS_POOL_SIGN_WORD_MOUNT_SILENT : WS_POOL_SIGN_WORD_HOST_BUSY;
  return may;
}

/* The thread is left to itself: what it has seen so far, and that it hangs. */
static WsRpcPoolCheckResult *give_up_waiting(Probe *probe)
{
  g_autofree char *found = g_strdup_printf("%u s", pool_probe_wait_ms / 1000);
  WsRpcPoolCheckResult *result = ws_rpc_pool_check_result_copy(probe->result);
  add_sign(result, WS_POOL_SIGN_WORD_MOUNT_SILENT, found);
  probe->is_late = true;
  g_mutex_lock(&probe->storage->lock);
  g_hash_table_add(probe->storage->silent, g_strdup(probe->where));
  g_mutex_unlock(&probe->storage->lock);
  return result;
}

static WsRpcPoolCheckResult *wait_for(Probe *probe)
{
  if (pool_probe_wait_seam)
    pool_probe_wait_seam();
  gint64 end_us = g_get_monotonic_time() + (gint64)pool_probe_wait_ms * 1000;
  WsRpcPoolCheckResult *result;
  g_mutex_lock(&probe->lock);
  while (!probe->is_over && g_cond_wait_until(&probe->over, &probe->lock, end_us))
    ;
  bool late = !probe->is_over;
  if (late)
    result = give_up_waiting(probe);
  else
    result = g_steal_pointer(&probe->result);
  g_mutex_unlock(&probe->lock);
  if (late && probe->soft) { /* off the tree at once; the thread, freed by that, does the rest */
    g_autofree char *folder = g_strndup(probe->note, strlen(probe->note) - strlen(NOTE_ENDING));
    if (nfs_state(probe->soft, folder) == NFS_MOUNTED)
      nfs_give_up(probe->soft, folder, NULL);
  }
  return result;
}

static Probe *probe_new(Storage *storage, const WsRpcPoolCheck *params, const char *where)
{
  Probe *probe = g_new0(Probe, 1);
  *probe = (Probe){.refs = 2,
                   .storage = storage_ref(storage),
                   .params = ws_rpc_pool_check_copy(params),
                   .where = g_strdup(where),
                   .soft = params->nfs ? softly(params->nfs) : NULL,
                   .result = ws_rpc_pool_check_result_new()};
  g_mutex_init(&probe->lock);
  g_cond_init(&probe->over);
  choose_name(probe);
  return probe;
}

bool storage_pool_check(Storage *storage, const WsRpcPoolCheck *params, WsRpcPoolCheckResult **result,
                        GError **error)
{
  bool nfs = params->kind == WS_RPC_POOL_CHECK_KIND_NFS;
  g_autoptr(GError) refused = NULL;
  g_autofree char *notes = notes_folder(storage);
  WsPoolSignWord why;
  if ((nfs && !nfs_check(params->nfs, error)) ||
      (!nfs && params->nfs &&
       !ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nfs", "expected", "nothing: it is for pools of kind nfs",
                NULL)))
    return false;
  g_autofree char *where = nfs ? nfs_source(params->nfs) : g_strdup(params->path);
  if (mkdir(notes, 0700) < 0 && errno != EEXIST)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", notes, "cause", g_strerror(errno), NULL);
  if (!pool_dir_check_path(storage->allowed_roots, params->path, &refused)) {
    *result = ws_rpc_pool_check_result_new();
    add_sign(*result, WS_POOL_SIGN_WORD_PATH_REFUSED, ws_error_param(refused, "expected"));
    return true;
  }
  if (!count_in(storage, where, &why)) {
    *result = ws_rpc_pool_check_result_new();
    add_sign(*result, why, where);
    return true;
  }
  Probe *probe = probe_new(storage, params, where);
  g_thread_unref(g_thread_new("pool-check", run, probe));
  *result = wait_for(probe);
  probe_unref(probe);
  return true;
}

/* ---- after a start ---- */

typedef struct {
  Storage *storage;
  char *note, *folder, *name;
  WsRpcPoolCheck *what;
  bool mounting; /* it had not come further */
} Left;

static void left_free(Left *left)
{
  storage_unref(left->storage);
  g_free(left->note);
  g_free(left->folder);
  g_free(left->name);
  ws_rpc_pool_check_free(left->what);
  g_free(left);
}

/* A mount that may have come about, or not: no server is asked, and nothing can lie there. */
static bool clear_mount(const Left *left)
{
  g_autoptr(WsPoolNfs) soft = left->what->nfs ? softly(left->what->nfs) : NULL;
  return !soft || !g_str_equal(left->what->path, left->folder) || unmount_softly(soft, left->folder);
}

static bool clear_files(const Left *left, GError **error)
{
  const char *path = left->what->path;
  g_autoptr(WsPoolNfs) soft =
      left->what->nfs && g_str_equal(path, left->folder) ? softly(left->what->nfs) : NULL;
  bool there = !soft || mount_softly(soft, path, error);
  int fd = there ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  bool clear = there && (fd >= 0 ? pool_trial_clear(fd, left->name) : errno == ENOENT);
  if (fd >= 0)
    close(fd);
  if (soft)
    clear = unmount_softly(soft, path) && clear;
  return clear;
}

/* It stays on record until it could be looked whether something is there: a server may be away just now. */
static void clear_up(const Left *left)
{
  const char *path = left->what->path;
  g_autoptr(GError) error = NULL;
  bool clear = left->mounting ? clear_mount(left) : clear_files(left, &error);
  if (clear)
    unlink(left->note);
  if (clear)
    ws_log(WS_LOG_NOTICE, "pool-check-cleared", "path", path, NULL);
  else
    ws_log(WS_LOG_WARNING, "pool-check-not-cleared", "path", path, "cause",
           error ? error->message : "it does not answer", NULL);
}

/* One after the other: however many there are, a server that is away has one thread. */
static gpointer clear_all(gpointer arg)
{
  g_autoptr(GPtrArray) all = arg;
  for (guint i = 0; i < all->len; i++)
    clear_up(all->pdata[i]);
  return NULL;
}

static Left *read_note(Storage *storage, const char *folder, const char *name)
{
  Left *left = g_new0(Left, 1);
  gsize n = 0;
  g_autofree char *number = g_strndup(name, strlen(name) - strlen(NOTE_ENDING));
  left->storage = storage_ref(storage);
  left->note = g_build_filename(folder, name, NULL);
  left->folder = g_build_filename(folder, number, NULL);
  left->name = g_strdup_printf("%scheck-%s", storage->new_prefix, number);
  g_autofree char *text = ws_file_read(left->note, NOTE_MAX_BYTES, &n, NULL);
  left->mounting = text && g_str_has_prefix(text, MOUNTING);
  gsize head = left->mounting ? strlen(MOUNTING) : 0;
  left->what = text ? ws_rpc_pool_check_parse(text + head, n - head, WS_PARSE_RPC, NULL) : NULL;
  if (left->what && left->what->path)
    return left;
  ws_log(WS_LOG_WARNING, "pool-check-note-damaged", "path", left->note, NULL);
  unlink(left->note); /* it was written whole, so it is not ours */
  left_free(left);
  return NULL;
}

void pool_probe_recover(Storage *storage)
{
  g_autofree char *folder = notes_folder(storage);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)left_free);
  const char *name;
  while (dir && (name = g_dir_read_name(dir))) {
    Left *left = g_str_has_suffix(name, NOTE_ENDING) ? read_note(storage, folder, name) : NULL;
    if (left)
      g_ptr_array_insert(all, left->mounting ? 0 : -1, left); /* these ask nobody */
  }
  if (all->len)
    g_thread_unref(g_thread_new("pool-check", clear_all, all));
  else
    g_ptr_array_unref(all);
}
