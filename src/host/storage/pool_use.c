// SPDX-License-Identifier: Apache-2.0
/* A pool in use by one call: its files, the locks on them, the space set aside, and files in the making. */
#include "base/error.h"
#include "base/text.h"
#include "host/storage/pool_dir.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOCK_POLL_US 100000

static bool wrong_state(const char *name, const char *verb, const char *state, const char *why,
                        GError **error)
{
  return ws_fail(error, WS_ERROR_WRONG_STATE, "object", name, "verb", verb, "state", state, "cause", why,
                 NULL);
}

bool pool_open(Storage *storage, WsId id, const char *verb, Pool *pool, GError **error)
{
  *pool = (Pool){.storage = storage, .id = id, .dir_fd = -1};
  ws_id_format("pool", id, pool->name);
  g_mutex_lock(&storage->lock);
  StoragePool *p = storage_find_pool(storage, id);
  g_autofree char *uuid = p ? g_strdup(p->uuid) : NULL;
  g_autoptr(WsPoolNfs) nfs = p && p->nfs ? ws_pool_nfs_copy(p->nfs) : NULL;
  g_autoptr(ReachGate) gate = p ? reach_gate_ref(p->gate) : NULL;
  bool suspended = p && p->suspended;
  pool->path = p ? g_strdup(p->path) : NULL;
  g_mutex_unlock(&storage->lock);
  if (!uuid)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", pool->name, NULL);
  if (suspended)
    return wrong_state(pool->name, verb, "suspended", NULL, error);
  g_auto(Reached) reached = REACHED_NONE;
  pool_reach(storage->allowed_roots, pool->path, nfs, gate, &reached);
  if (reached.dir_fd < 0)
    return wrong_state(pool->name, verb, "unreachable", reached.why, error);
  if (g_strcmp0(reached.identity, uuid) != 0)
    return wrong_state(pool->name, verb, "unreachable",
                       reached.identity ? "another pool is at its path" : "its folder has no identity", error);
  if (!pool_take_up(storage, id, reached.dir_fd))
    return wrong_state(pool->name, verb, "unreachable", "it is being taken up", error);
  pool->dir_fd = reached.dir_fd;
  reached.dir_fd = -1;
  return true;
}

void pool_close(Pool *pool)
{
  if (pool->dir_fd >= 0)
    close(pool->dir_fd);
  pool->dir_fd = -1;
  g_clear_pointer(&pool->path, g_free);
}

bool pool_check_name(const char *file, bool foreign, GError **error)
{
  gsize n = file ? strlen(file) : 0;
  bool ok = n > 0 && n <= 201 && g_ascii_isalnum(file[0]);
  for (gsize i = 0; ok && i < n; i++) {
    char c = file[i];
    ok = g_ascii_islower(c) || g_ascii_isdigit(c) || (foreign && g_ascii_isupper(c)) ||
         (i > 0 && strchr("._-", c));
  }
  return ok || ws_fail(error, WS_ERROR_BAD_VALUE, "field", "file", "expected", "a plain file name", NULL);
}

bool pool_fail(const Pool *pool, const char *name, const char *doing, int errnum, GError **error)
{
  if (errnum == ENOSPC || errnum == EDQUOT) {
    struct statvfs fs = {0};
    fstatvfs(pool->dir_fd, &fs);
    char free_text[WS_SIZE_TEXT_MAX];
    ws_size_format((guint64)fs.f_bavail * fs.f_frsize, free_text);
    return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", pool->name, "need", "more", "free", free_text,
                   "cause", doing, NULL);
  }
  g_autofree char *object = g_strconcat(pool->name, "/", name, NULL);
  if (errnum == ENOENT)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", object, NULL);
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errnum));
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", object, "cause", cause, NULL);
}

int pool_open_file(const Pool *pool, const char *name, int flags, GError **error)
{
  int fd = pool_dir_open_beneath(pool->dir_fd, name, flags | O_CLOEXEC | O_NONBLOCK, 0600);
  if (fd < 0) {
    pool_fail(pool, name, "open", errno, error);
    return -1;
  }
  struct stat st;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
    return fd;
  close(fd);
  pool_fail(pool, name, "open: not a regular file", EINVAL, error);
  return -1;
}

bool pool_has_file(const Pool *pool, const char *name)
{
  struct stat st;
  return fstatat(pool->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

char *pool_file_path(const Pool *pool, const char *name)
{
  return g_strconcat(pool->path, "/", name, NULL);
}

void pool_expect(const Pool *pool, const char *file, bool present)
{
  g_mutex_lock(&pool->storage->lock);
  StoragePool *p = storage_find_pool(pool->storage, pool->id);
  if (p) {
    p->changes++;
    if (p->names && present)
      g_hash_table_add(p->names, g_strdup(file));
    else if (p->names)
      g_hash_table_remove(p->names, file);
  }
  g_mutex_unlock(&pool->storage->lock);
}

/* ---- file locks ---- */

bool file_lock(const Pool *pool, const char *file, const StorageOp *op, FileLock *lock, GError **error)
{
  Storage *storage = pool->storage;
  g_autofree char *key = g_strconcat(pool->name, "/", file, NULL);
  g_mutex_lock(&storage->lock);
  while (g_hash_table_contains(storage->busy, key)) {
    /* A real wait, so it is the system's clock: g_cond needs a monotonic end time. */
    g_cond_wait_until(&storage->file_unlocked, &storage->lock, g_get_monotonic_time() + LOCK_POLL_US);
    if (op && op->cancel && g_atomic_int_get(op->cancel)) {
      g_mutex_unlock(&storage->lock);
      return op_is_cancelled(op, error) && false;
    }
  }
  g_hash_table_add(storage->busy, g_strdup(key));
  g_mutex_unlock(&storage->lock);
  *lock = (FileLock){storage, g_steal_pointer(&key)};
  return true;
}

void file_unlock(FileLock *lock)
{
  if (!lock->key)
    return;
  g_mutex_lock(&lock->storage->lock);
  g_hash_table_remove(lock->storage->busy, lock->key);
  g_cond_broadcast(&lock->storage->file_unlocked);
  g_mutex_unlock(&lock->storage->lock);
  g_clear_pointer(&lock->key, g_free);
}

/* ---- reservations ---- */

bool reserve(const Pool *pool, guint64 bytes, Reservation *reservation, GError **error)
{
  struct statvfs fs;
  if (fstatvfs(pool->dir_fd, &fs) < 0)
    return pool_fail(pool, "", "read its free space", errno, error);
  guint64 available = (guint64)fs.f_bavail * fs.f_frsize;
  g_mutex_lock(&pool->storage->lock);
  StoragePool *p = storage_find_pool(pool->storage, pool->id);
  guint64 others = p ? p->reserved_bytes : 0;
  bool fits = p && others <= available && bytes <= available - others;
  if (fits)
    p->reserved_bytes += bytes;
  g_mutex_unlock(&pool->storage->lock);
  if (!fits) {
    char need[WS_SIZE_TEXT_MAX], left[WS_SIZE_TEXT_MAX];
    ws_size_format(bytes, need);
    ws_size_format(available > others ? available - others : 0, left);
    return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", pool->name, "need", need, "free", left, NULL);
  }
  *reservation = (Reservation){pool->storage, pool->id, bytes, bytes};
  return true;
}

static void give_back(Reservation *r, guint64 bytes)
{
  g_mutex_lock(&r->storage->lock);
  StoragePool *p = storage_find_pool(r->storage, r->pool);
  if (p)
    p->reserved_bytes -= MIN(p->reserved_bytes, bytes);
  g_mutex_unlock(&r->storage->lock);
  r->bytes -= bytes;
}

void reservation_used(Reservation *r, guint64 used_bytes)
{
  guint64 left = r->total > used_bytes ? r->total - used_bytes : 0;
  if (r->storage && left < r->bytes)
    give_back(r, r->bytes - left);
}

void reservation_release(Reservation *r)
{
  if (r->storage && r->bytes > 0)
    give_back(r, r->bytes);
  r->storage = NULL;
}

/* ---- files in the making ---- */

bool new_file_begin(const Pool *pool, const char *file, NewFile *n, GError **error)
{
  *n = (NewFile){.pool = pool, .file = g_strdup(file), .temp = g_strconcat(pool->storage->new_prefix, file, NULL), .fd = -1};
  n->temp_path = pool_file_path(pool, n->temp);
  unlinkat(pool->dir_fd, n->temp, 0); /* of a call that was cut short */
  n->fd = pool_dir_open_beneath(pool->dir_fd, n->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return n->fd >= 0 || pool_fail(pool, n->temp, "create", errno, error);
}

bool new_file_publish(NewFile *n, GError **error)
{
  const Pool *pool = n->pool;
  if (fsync(n->fd) < 0)
    return pool_fail(pool, n->temp, "sync", errno, error);
  pool_expect(pool, n->file, true);
  if (!pool_dir_publish(pool->dir_fd, n->temp, pool->dir_fd, n->file)) {
    int saved = errno;
    if (saved != EEXIST)
      pool_expect(pool, n->file, false);
    return pool_fail(pool, n->file, "rename", saved, error);
  }
  n->published = true;
  return fsync(pool->dir_fd) == 0 || pool_fail(pool, n->file, "sync its folder", errno, error);
}

void new_file_clear(NewFile *n)
{
  if (n->fd >= 0)
    close(n->fd);
  if (n->temp && !n->published)
    unlinkat(n->pool->dir_fd, n->temp, 0);
  g_free(n->file);
  g_free(n->temp);
  g_free(n->temp_path);
  *n = (NewFile)NEW_FILE_NONE;
}

/* ---- folders in the making ---- */

bool hidden_folder_begin(const Pool *in, const char *what, const char *file, HiddenFolder *folder, GError **error)
{
  *folder = (HiddenFolder){.in = in, .name = g_strconcat(in->storage->new_prefix, what, "-", file, NULL)};
  folder->pool = (Pool){.storage = in->storage, .id = in->id, .path = pool_file_path(in, folder->name), .dir_fd = -1};
  memcpy(folder->pool.name, in->name, sizeof in->name);
  pool_dir_remove_folder(in->dir_fd, folder->name);
  if (mkdirat(in->dir_fd, folder->name, 0700) < 0)
    return pool_fail(in, folder->name, "create", errno, error);
  folder->pool.dir_fd = openat(in->dir_fd, folder->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return folder->pool.dir_fd >= 0 || pool_fail(in, folder->name, "open", errno, error);
}

void hidden_folder_clear(HiddenFolder *folder)
{
  if (folder->name)
    pool_dir_remove_folder(folder->in->dir_fd, folder->name);
  pool_close(&folder->pool);
  g_free(folder->name);
  *folder = (HiddenFolder)HIDDEN_FOLDER_NONE;
}
