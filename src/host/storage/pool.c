// SPDX-License-Identifier: Apache-2.0
/* Pools: taken up, looked at, listed, removed.
 *
 * `Storage.lock` guards the registry and is never held over I/O: a call copies what it needs and works on its own
 * descriptors. */
#include "base/error.h"
#include "base/log.h"
#include "host/storage/pool_dir.h"
#include "host/storage/pool_probe.h"
#include "host/storage/pool_watch.h"
#include "host/storage/storage-private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A pool is full below the lesser of 1 % and 1 GiB. */
#define FULL_BYTES (G_GUINT64_CONSTANT(1) << 30)

/* ---- status ---- */

static WsPoolStatus *unreachable_status(const StoragePool *p, const char *reason)
{
  WsPoolStatus *s = ws_pool_status_new();
  s->state = WS_POOL_STATUS_STATE_UNREACHABLE;
  s->uuid = g_strdup(p->uuid);
  s->reason = g_strdup(reason);
  return s;
}

/* What a look needs of a pool, copied under the lock. */
typedef struct {
  StoragePool p; /* its texts are ours */
  WsPoolNfs *nfs;
  ReachGate *gate;
} Copied;

static void copied_clear(Copied *c)
{
  g_free(c->p.path);
  g_free(c->p.uuid);
  g_free(c->p.filesystem);
  ws_pool_nfs_free(c->nfs);
  reach_gate_unref(c->gate);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copied, copied_clear)

static bool copy_pool(Storage *storage, WsId id, Copied *c)
{
  g_mutex_lock(&storage->lock);
  StoragePool *found = storage_find_pool(storage, id);
  if (found) {
    c->p = *found;
    c->p.path = g_strdup(found->path);
    c->p.uuid = g_strdup(found->uuid);
    c->p.filesystem = g_strdup(found->filesystem);
    c->p.names = NULL;
    c->nfs = found->nfs ? ws_pool_nfs_copy(found->nfs) : NULL;
    c->gate = reach_gate_ref(found->gate);
  }
  g_mutex_unlock(&storage->lock);
  return found != NULL;
}

static WsPoolStatus *status_of(Copied *c, const struct statvfs *fs);

WsPoolStatus *pool_look(Storage *storage, WsId id)
{
  g_auto(Copied) c = {.nfs = NULL};
  g_auto(Reached) reached = REACHED_NONE;
  if (!copy_pool(storage, id, &c))
    return NULL;
  pool_reach(storage->allowed_roots, c.p.path, c.nfs, c.gate, &reached);
  if (reached.dir_fd < 0)
    return unreachable_status(&c.p, reached.why);
  if (g_strcmp0(reached.identity, c.p.uuid) != 0)
    return unreachable_status(&c.p, reached.identity ? "another pool is at its path"
                                    : reached.why    ? reached.why
                                                     : "the folder is no pool: is its file system mounted?");
  if (!reached.has_fs)
    return unreachable_status(&c.p, "its file system does not answer");
  return status_of(&c, &reached.fs);
}

WsPoolStatus *pool_silent(Storage *storage, WsId id)
{
  g_auto(Copied) c = {.nfs = NULL};
  return copy_pool(storage, id, &c) ? unreachable_status(&c.p, REACH_NO_ANSWER(c.nfs)) : NULL;
}

static WsPoolStatus *status_of(Copied *c, const struct statvfs *fs)
{
  WsPoolStatus *s = ws_pool_status_new();
  guint64 available = (guint64)fs->f_bavail * fs->f_frsize;
  available = available > c->p.reserved_bytes ? available - c->p.reserved_bytes : 0;
  s->uuid = g_strdup(c->p.uuid);
  s->filesystem = g_steal_pointer(&c->p.filesystem);
  s->reflink = c->p.reflink;
  s->capacity_bytes = (gint64)(fs->f_blocks * fs->f_frsize);
  s->available_bytes = (gint64)available;
  s->allocated_bytes = (gint64)c->p.allocated_bytes;
  s->state = WS_POOL_STATUS_STATE_ACTIVE;
  if (c->p.suspended)
    s->state = WS_POOL_STATUS_STATE_SUSPENDED;
  else if (fs->f_flag & ST_RDONLY) {
    s->state = WS_POOL_STATUS_STATE_DEGRADED;
    s->reason = g_strdup("its file system is read-only");
  } else if (available < MIN((guint64)s->capacity_bytes / 100, FULL_BYTES))
    s->state = WS_POOL_STATUS_STATE_FULL;
  return s;
}

/* ---- listing ---- */

guint64 pool_list(int dir_fd, void (*each)(const char *name, const struct stat *st, void *arg), void *arg)
{
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir)
    return 0;
  guint64 allocated = 0;
  for (struct dirent *e; (e = readdir(dir));) {
    struct stat st;
    if (fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
      continue;
    allocated += (guint64)st.st_blocks * 512;
    if (e->d_name[0] != '.' && strlen(e->d_name) <= 255 && g_utf8_validate(e->d_name, -1, NULL))
      each(e->d_name, &st, arg);
  }
  closedir(dir);
  return allocated;
}

typedef struct {
  const Pool *pool;
  GPtrArray *files; /* WsPoolFile */
  GHashTable *names;
} Listing;

/* What it looks like. Not to be believed of a raw disk (see image_header.h); good enough to show. */
static void list_file(const char *name, const struct stat *st, void *arg)
{
  Listing *l = arg;
  g_hash_table_add(l->names, g_strdup(name));
  WsPoolFile *f = ws_pool_file_new();
  f->file = g_strdup(name);
  f->size_bytes = st->st_size;
  f->allocated_bytes = (gint64)st->st_blocks * 512;
  f->format = WS_POOL_FILE_FORMAT_UNKNOWN;
  g_ptr_array_add(l->files, f);
  int fd = pool_open_file(l->pool, name, O_RDONLY, NULL);
  ImageHeader h;
  if (fd >= 0 && image_read_fd(l->pool, name, fd, &h, NULL)) {
    f->size_bytes = (gint64)h.size_bytes;
    if (h.format == IMAGE_FORMAT_QCOW2)
      f->format = WS_POOL_FILE_FORMAT_QCOW2;
    else if (h.format == IMAGE_FORMAT_RAW)
      f->format = WS_POOL_FILE_FORMAT_RAW;
    else if (h.format == IMAGE_FORMAT_ISO)
      f->format = WS_POOL_FILE_FORMAT_ISO;
    if (h.has_backing && strlen(h.backing_file) <= 255)
      f->parent_file = g_strdup(h.backing_file);
  }
  if (fd >= 0)
    close(fd);
}

/* ---- the door: pools ---- */

/* What the folder is, and what a crash left in it: before anything is made there. */
bool pool_take_up(Storage *storage, WsId id, int dir_fd)
{
  g_mutex_lock(&storage->lock);
  StoragePool *p = storage_find_pool(storage, id);
  bool settled = !p || p->taken_up != NOT_TAKEN_UP, ours = !p || p->taken_up == TAKEN_UP;
  g_autofree char *path = p ? g_strdup(p->path) : NULL;
  if (!settled)
    p->taken_up = IS_BEING_TAKEN_UP;
  g_mutex_unlock(&storage->lock);
  if (settled)
    return ours;
  pool_dir_sweep(dir_fd, path, storage->new_prefix);
  char *filesystem = pool_dir_filesystem(dir_fd);
  bool reflink = pool_dir_can_reflink(dir_fd, storage->new_prefix);
  g_mutex_lock(&storage->lock);
  if ((p = storage_find_pool(storage, id))) {
    p->taken_up = TAKEN_UP;
    p->reflink = reflink;
    g_free(p->filesystem);
    p->filesystem = g_steal_pointer(&filesystem);
  }
  g_mutex_unlock(&storage->lock);
  g_free(filesystem);
  return true;
}

/* Two pools in one another would each count, sweep and report the other's files. */
static bool check_apart(Storage *storage, WsId id, const char *path, GError **error)
{
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p)) {
    gsize a = strlen(path), b = strlen(p->path), n = MIN(a, b);
    const char *longer = a > b ? path : p->path;
    if (p->id == id || strncmp(path, p->path, n) != 0 || (longer[n] != 0 && longer[n] != '/'))
      continue;
    char name[WS_ID_TEXT_MAX];
    return ws_fail(error, WS_ERROR_IN_USE, "object", path, "user", ws_id_format("pool", p->id, name), NULL);
  }
  return true;
}

/* From here on the folder is the export's: an empty mount point is never marked or written to. */
static bool mount_for(Storage *storage, const WsRpcPoolPrepare *params, GError **error)
{
  if (!nfs_check(params->nfs, error))
    return false;
  if (nfs_state(params->nfs, params->path) == NFS_MOUNTED)
    return true;
  int fd = pool_dir_open(storage->allowed_roots, params->path, true, error);
  if (fd < 0)
    return false;
  close(fd);
  if (nfs_mount(params->nfs, params->path, error))
    return true;
  rmdir(params->path); /* ours, if it is empty; a mount point stays */
  return false;
}

/* Makes the directory the pool with this UUID, or finds that it is. */
static bool claim_directory(Storage *storage, const WsRpcPoolPrepare *params, GError **error)
{
  if (params->kind == WS_RPC_POOL_PREPARE_KIND_NFS && !mount_for(storage, params, error))
    return false;
  int fd = pool_dir_open(storage->allowed_roots, params->path, params->create, error);
  if (fd < 0)
    return false;
  g_autoptr(GError) why = NULL;
  g_autofree char *identity = pool_dir_identity(fd, params->path, &why);
  struct stat st;
  bool ok;
  if (why) {
    ok = false;
    g_propagate_error(error, g_steal_pointer(&why));
  } else if (identity)
    ok =
        g_str_equal(identity, params->uuid) || ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", params->path,
                                                       "cause", "it is marked as another pool", NULL);
  else if (!params->create)
    ok = ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->path, "cause",
                 "the folder is no pool: is its file system mounted?", NULL);
  else if (fstat(fd, &st) < 0 || pool_dir_is_open(&st, params->kind == WS_RPC_POOL_PREPARE_KIND_NFS))
    ok = ws_fail(error, WS_ERROR_BAD_VALUE, "field", "path", "expected", "a folder that nobody but root may write", NULL);
  else
    ok = pool_dir_mark(fd, params->path, params->uuid, storage->new_prefix, error);
  close(fd);
  return ok;
}

static bool same_nfs(const WsPoolNfs *a, const WsPoolNfs *b)
{
  return a && b ? ws_pool_nfs_equal(a, b) : a == b;
}

/* A suspended one is looked at as well: its state is shown. */
static void take_up_now(Storage *storage, WsId id)
{
  g_auto(Copied) c = {.nfs = NULL};
  g_auto(Reached) reached = REACHED_NONE;
  if (!copy_pool(storage, id, &c) || c.p.taken_up != NOT_TAKEN_UP)
    return;
  pool_reach(storage->allowed_roots, c.p.path, c.nfs, c.gate, &reached);
  if (reached.dir_fd >= 0 && g_strcmp0(reached.identity, c.p.uuid) == 0)
    pool_take_up(storage, id, reached.dir_fd);
  else
    ws_log(WS_LOG_WARNING, "pool-unreachable", "path", c.p.path, "cause", reached.why ? reached.why : "it has no identity of ours", NULL);
}

bool storage_pool_prepare(Storage *storage, const WsRpcPoolPrepare *params, WsPoolStatus **status,
                          GError **error)
{
  const WsPoolNfs *nfs = params->kind == WS_RPC_POOL_PREPARE_KIND_NFS ? params->nfs : NULL;
  if (!pool_dir_check_path(storage->allowed_roots, params->path, error))
    return false;
  g_mutex_lock(&storage->lock);
  bool apart = check_apart(storage, params->pool, params->path, error);
  g_mutex_unlock(&storage->lock);
  if (!apart || !claim_directory(storage, params, error))
    return false;

  g_mutex_lock(&storage->lock);
  StoragePool *p = storage_find_pool(storage, params->pool);
  if (!p || !g_str_equal(p->path, params->path) || !g_str_equal(p->uuid, params->uuid) || !same_nfs(p->nfs, nfs)) {
    p = storage_pool_new(params->pool, params->path, params->uuid, nfs ? ws_pool_nfs_copy(nfs) : NULL, params->suspended);
    g_hash_table_replace(storage->pools, &p->id, p);
  }
  p->suspended = params->suspended;
  p->prepared_at = ++storage->n_prepared;
  g_mutex_unlock(&storage->lock);
  take_up_now(storage, params->pool);
  if (!registry_save(storage, error))
    return false;
  pool_watch_wake(storage->watch);
  *status = pool_look(storage, params->pool);
  return *status || ws_fail(error, WS_ERROR_NOT_FOUND, "object", params->path, NULL);
}

bool storage_pool_refresh(Storage *storage, WsId id, WsRpcPoolRefreshResult **result, GError **error)
{
  g_autoptr(GPtrArray) files = g_ptr_array_new();
  g_auto(Pool) pool = POOL_CLOSED;
  g_autoptr(GError) why = NULL;
  if (pool_open(storage, id, "be refreshed", &pool, &why)) {
    Listing listing = {&pool, files, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    guint64 allocated = pool_list(pool.dir_fd, list_file, &listing);
    g_mutex_lock(&storage->lock);
    StoragePool *p = storage_find_pool(storage, id);
    if (p)
      p->allocated_bytes = allocated;
    g_mutex_unlock(&storage->lock);
    g_hash_table_unref(listing.names);
  } else if (ws_error_code(why) == WS_ERROR_NOT_FOUND) {
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
  }
  /* A suspended or unreachable pool has a status, and no files to show. */
  WsPoolStatus *status = pool_look(storage, id);
  if (!status)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", pool.name, NULL);
  *result = ws_rpc_pool_refresh_result_new();
  (*result)->status = status;
  (*result)->files.len = files->len;
  (*result)->files.items = (WsPoolFile **)g_ptr_array_steal(files, NULL);
  return true;
}

/* What was mounted for it; the folder below goes when it is empty. */
static bool unmount_for(Storage *storage, WsId id, GError **error)
{
  g_auto(Copied) c = {.nfs = NULL};
  if (!copy_pool(storage, id, &c) || !c.nfs)
    return true;
  if (!reach_gate_unmount(c.gate, c.nfs, c.p.path, error))
    return false;
  rmdir(c.p.path);
  return true;
}

/* Its folder goes with it when there is nothing but our mark in it. */
static void clear_folder(Storage *storage, WsId id)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (!pool_open(storage, id, "be removed", &pool, NULL))
    return;
  pool_dir_sweep(pool.dir_fd, pool.path, storage->new_prefix);
  bool empty = pool_dir_is_empty(pool.dir_fd);
  if (empty)
    pool_dir_drop_leases(pool.dir_fd);
  if (empty && unlinkat(pool.dir_fd, POOL_IDENTITY_FILE, 0) == 0)
    rmdir(pool.path); /* a mount point stays: EBUSY */
}

bool storage_pool_remove(Storage *storage, WsId id, bool keep, GError **error)
{
  if (!keep)
    clear_folder(storage, id);
  if (!unmount_for(storage, id, error))
    return false;
  g_mutex_lock(&storage->lock);
  g_hash_table_remove(storage->pools, &id);
  g_mutex_unlock(&storage->lock);
  pool_watch_wake(storage->watch);
  return registry_save(storage, error);
}

guint64 storage_pool_moment(Storage *storage)
{
  g_mutex_lock(&storage->lock);
  guint64 moment = storage->n_prepared;
  g_mutex_unlock(&storage->lock);
  return moment;
}

bool storage_pool_keep(Storage *storage, const WsRpcPoolKeep *params, guint64 came_at, GError **error)
{
  g_autoptr(GArray) strangers = g_array_new(FALSE, FALSE, sizeof(WsId));
  GHashTableIter iter;
  StoragePool *p;
  g_mutex_lock(&storage->lock);
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p)) {
    bool kept = p->prepared_at > came_at;
    for (guint i = 0; i < params->pools.len && !kept; i++)
      kept = params->pools.items[i] == p->id;
    if (!kept)
      g_array_append_val(strangers, p->id);
  }
  g_mutex_unlock(&storage->lock);
  for (guint i = 0; i < strangers->len; i++) {
    WsId id = g_array_index(strangers, WsId, i);
    char name[WS_ID_TEXT_MAX];
    ws_log(WS_LOG_NOTICE, "pool-forgotten", "pool", ws_id_format("pool", id, name), NULL);
    if (!storage_pool_remove(storage, id, true, error))
      return false;
  }
  return true;
}

char *storage_volume_path(Storage *storage, WsId id, const char *file, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (!pool_check_name(file, true, error) || !pool_open(storage, id, "be used", &pool, error))
    return NULL;
  int fd = pool_open_file(&pool, file, O_RDONLY, error);
  if (fd < 0)
    return NULL;
  close(fd);
  return pool_file_path(&pool, file);
}

bool storage_find_volume(Storage *storage, const char *path, WsId *pool, const char **file)
{
  const char *slash = strrchr(path, '/');
  if (!slash || slash[1] == 0)
    return false;
  g_mutex_lock(&storage->lock);
  GHashTableIter iter;
  StoragePool *p;
  bool found = false;
  g_hash_table_iter_init(&iter, storage->pools);
  while (!found && g_hash_table_iter_next(&iter, NULL, (gpointer *)&p))
    if (strlen(p->path) == (gsize)(slash - path) && strncmp(p->path, path, (gsize)(slash - path)) == 0) {
      *pool = p->id;
      *file = slash + 1;
      found = true;
    }
  g_mutex_unlock(&storage->lock);
  return found;
}

/* ---- the door: life ---- */

Storage *storage_new(const StorageConfig *config, GError **error)
{
  Storage *storage = g_new0(Storage, 1);
  storage->refs = 1;
  storage->state_dir = g_strdup(config->state_dir);
  storage->allowed_roots = g_strdupv((char **)config->allowed_roots);
  storage->clock = config->clock;
  g_mutex_init(&storage->lock);
  g_cond_init(&storage->file_unlocked);
  storage->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, storage_pool_free);
  storage->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  storage->uploads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, upload_free);
  storage->silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  if (!registry_load_tag(storage, error) || !registry_load(storage, error)) {
    storage_free(storage);
    return NULL;
  }
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p))
    if (!p->nfs) /* which may have to be mounted, and its server may be away: the watch sees to it, or who needs it first */
      take_up_now(storage, p->id);
  pool_probe_recover(storage);
  if (config->changed)
    storage->watch = pool_watch_new(storage, config);
  return storage;
}

Storage *storage_ref(Storage *storage)
{
  g_atomic_int_inc(&storage->refs);
  return storage;
}

void storage_unref(Storage *storage)
{
  if (!g_atomic_int_dec_and_test(&storage->refs))
    return;
  g_hash_table_unref(storage->uploads);
  g_hash_table_unref(storage->busy);
  g_hash_table_unref(storage->silent);
  g_hash_table_unref(storage->pools);
  g_cond_clear(&storage->file_unlocked);
  g_mutex_clear(&storage->lock);
  g_strfreev(storage->allowed_roots);
  g_free(storage->state_dir);
  g_free(storage->new_prefix);
  g_free(storage);
}

void storage_free(Storage *storage)
{
  if (!storage)
    return;
  pool_watch_free(g_steal_pointer(&storage->watch));
  storage_unref(storage);
}
