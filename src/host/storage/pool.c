// SPDX-License-Identifier: Apache-2.0
/* The registry of pools, the pool as one call uses it, file locks and reservations.
 *
 * `Storage.lock` guards the registry and is never held over I/O: a call copies what it needs and works on its own
 * descriptors. pools.json in the agent's state directory is the registry's durable form; it is small and written whole. */
#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "host/storage/pool_dir.h"
#include "host/storage/pool_watch.h"
#include "host/storage/storage-private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REGISTRY_FILE "pools.json"
#define TAG_FILE "tag"
#define MAX_REGISTRY_BYTES (4 << 20)
/* A pool is full below the lesser of 1 % and 1 GiB. */
#define FULL_BYTES (G_GUINT64_CONSTANT(1) << 30)

/* ---- registry ---- */

static void storage_pool_free(gpointer data)
{
  StoragePool *p = data;
  g_free(p->path);
  g_free(p->uuid);
  g_free(p->filesystem);
  if (p->names)
    g_hash_table_unref(p->names);
  g_free(p);
}

StoragePool *storage_find_pool(Storage *storage, WsId id)
{
  return g_hash_table_lookup(storage->pools, &id);
}

/* Under lock: the registry as text. */
static char *registry_to_json(Storage *storage)
{
  json_t *root = json_array();
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p))
    json_array_append_new(root, json_pack("{s:I s:s s:s s:b}", "pool", (json_int_t)p->id, "path", p->path,
                                          "uuid", p->uuid, "suspended", p->suspended));
  char *text = json_dumps(root, JSON_INDENT(1));
  json_decref(root);
  return text;
}

static bool save_registry(Storage *storage, GError **error)
{
  g_mutex_lock(&storage->lock);
  char *text = registry_to_json(storage);
  g_mutex_unlock(&storage->lock);
  g_autofree char *path = g_build_filename(storage->state_dir, REGISTRY_FILE, NULL);
  bool ok = ws_file_write(path, text, strlen(text), 0600, error);
  free(text); /* jansson's */
  return ok;
}

static StoragePool *storage_pool_new(WsId id, const char *path, const char *uuid, bool suspended)
{
  StoragePool *p = g_new0(StoragePool, 1);
  *p = (StoragePool){.id = id, .path = g_strdup(path), .uuid = g_strdup(uuid), .suspended = suspended};
  return p;
}

static bool load_registry(Storage *storage, GError **error)
{
  g_autofree char *path = g_build_filename(storage->state_dir, REGISTRY_FILE, NULL);
  if (access(path, F_OK) != 0)
    return true; /* the first start */
  gsize n;
  g_autofree char *text = ws_file_read(path, MAX_REGISTRY_BYTES, &n, error);
  if (!text)
    return false;
  json_error_t why;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why), *item;
  size_t i;
  if (!json_is_array(root)) {
    json_decref(root);
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "it is damaged", NULL);
  }
  json_array_foreach (root, i, item) {
    json_int_t id = 0;
    const char *pool_path = NULL, *uuid = NULL;
    int suspended = 0;
    if (json_unpack(item, "{s:I s:s s:s s:b}", "pool", &id, "path", &pool_path, "uuid", &uuid, "suspended",
                    &suspended) == 0) {
      StoragePool *p = storage_pool_new((WsId)id, pool_path, uuid, suspended);
      g_hash_table_insert(storage->pools, &p->id, p);
    }
  }
  json_decref(root);
  return true;
}

/* What tells this host's unfinished files from those of others in a shared pool; drawn once. */
static bool load_tag(Storage *storage, GError **error)
{
  g_autofree char *path = g_build_filename(storage->state_dir, TAG_FILE, NULL);
  guint32 drawn;
  char tag[16];
  gsize n = 0;
  if (access(path, F_OK) == 0) {
    g_autofree char *text = ws_file_read(path, sizeof tag - 1, &n, error);
    if (!text)
      return false;
    if (n != 8 || strspn(text, "0123456789abcdef") != 8)
      return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "it is damaged", NULL);
    storage->new_prefix = g_strdup_printf(NEW_PREFIX "%s-", text);
    return true;
  }
  storage->clock->random_bytes(storage->clock, &drawn, sizeof drawn);
  g_snprintf(tag, sizeof tag, "%08x", drawn);
  storage->new_prefix = g_strdup_printf(NEW_PREFIX "%s-", tag);
  return ws_file_write(path, tag, strlen(tag), 0600, error);
}

/* ---- status ---- */

static WsPoolStatus *unreachable_status(const StoragePool *p, const char *reason)
{
  WsPoolStatus *s = ws_pool_status_new();
  s->state = WS_POOL_STATUS_STATE_UNREACHABLE;
  s->uuid = g_strdup(p->uuid);
  s->reason = g_strdup(reason);
  return s;
}

WsPoolStatus *pool_look(Storage *storage, WsId id)
{
  g_mutex_lock(&storage->lock);
  StoragePool *found = storage_find_pool(storage, id);
  if (!found) {
    g_mutex_unlock(&storage->lock);
    return NULL;
  }
  StoragePool p = *found;
  p.path = g_strdup(p.path);
  p.uuid = g_strdup(p.uuid);
  p.filesystem = g_strdup(p.filesystem);
  p.names = NULL;
  g_mutex_unlock(&storage->lock);
  g_autofree char *path = p.path, *uuid = p.uuid, *filesystem = p.filesystem;

  g_autoptr(GError) error = NULL;
  int fd = pool_dir_open(storage->allowed_roots, path, false, &error);
  if (fd < 0)
    return unreachable_status(&p, ws_error_cause(error));
  g_autofree char *identity = pool_dir_identity(fd, path, &error);
  struct statvfs fs;
  bool ok = fstatvfs(fd, &fs) == 0;
  close(fd);
  if (!identity || g_strcmp0(identity, uuid) != 0)
    return unreachable_status(&p, identity ? "another pool is at its path"
                                  : error  ? ws_error_cause(error)
                                           : "the folder is no pool: is its file system mounted?");
  if (!ok)
    return unreachable_status(&p, "its file system does not answer");

  WsPoolStatus *s = ws_pool_status_new();
  guint64 available = (guint64)fs.f_bavail * fs.f_frsize;
  available = available > p.reserved_bytes ? available - p.reserved_bytes : 0;
  s->uuid = g_strdup(uuid);
  s->filesystem = g_steal_pointer(&filesystem);
  s->reflink = p.reflink;
  s->capacity_bytes = (gint64)(fs.f_blocks * fs.f_frsize);
  s->available_bytes = (gint64)available;
  s->allocated_bytes = (gint64)p.allocated_bytes;
  s->state = WS_POOL_STATUS_STATE_ACTIVE;
  if (p.suspended)
    s->state = WS_POOL_STATUS_STATE_SUSPENDED;
  else if (fs.f_flag & ST_RDONLY) {
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

/* First use in this run: what the directory is, and what a crash left in it. */
static void take_up(Storage *storage, StoragePool *p)
{
  g_autoptr(GError) error = NULL;
  int fd = pool_dir_open(storage->allowed_roots, p->path, false, &error);
  g_autofree char *identity = fd < 0 ? NULL : pool_dir_identity(fd, p->path, &error);
  if (g_strcmp0(identity, p->uuid) == 0) {
    pool_dir_sweep(fd, p->path, storage->new_prefix);
    p->filesystem = pool_dir_filesystem(fd);
    p->reflink = pool_dir_can_reflink(fd, storage->new_prefix);
  } else
    ws_log_error(WS_LOG_WARNING, "pool-unreachable", error, "path", p->path, NULL);
  if (fd >= 0)
    close(fd);
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

/* Makes the directory the pool with this UUID, or finds that it is. */
static bool claim_directory(Storage *storage, const WsRpcPoolPrepare *params, GError **error)
{
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
  else if (fstat(fd, &st) < 0 || (st.st_mode & S_IWOTH))
    ok = ws_fail(error, WS_ERROR_BAD_VALUE, "field", "path", "expected",
                 "a folder that not everybody may write", NULL);
  else
    ok = pool_dir_mark(fd, params->path, params->uuid, storage->new_prefix, error);
  close(fd);
  return ok;
}

bool storage_pool_prepare(Storage *storage, const WsRpcPoolPrepare *params, WsPoolStatus **status,
                          GError **error)
{
  if (!pool_dir_check_path(storage->allowed_roots, params->path, error))
    return false;
  g_mutex_lock(&storage->lock);
  bool apart = check_apart(storage, params->pool, params->path, error);
  g_mutex_unlock(&storage->lock);
  if (!apart || !claim_directory(storage, params, error))
    return false;

  g_mutex_lock(&storage->lock);
  StoragePool *p = storage_find_pool(storage, params->pool);
  bool is_new = !p || !g_str_equal(p->path, params->path) || !g_str_equal(p->uuid, params->uuid);
  g_mutex_unlock(&storage->lock);
  if (is_new) {
    p = storage_pool_new(params->pool, params->path, params->uuid, params->suspended);
    take_up(storage, p);
    g_mutex_lock(&storage->lock);
    p->prepared_at = ++storage->n_prepared;
    g_hash_table_replace(storage->pools, &p->id, p);
    g_mutex_unlock(&storage->lock);
  } else {
    g_mutex_lock(&storage->lock);
    if ((p = storage_find_pool(storage, params->pool))) {
      p->suspended = params->suspended;
      p->prepared_at = ++storage->n_prepared;
    }
    g_mutex_unlock(&storage->lock);
  }
  if (!save_registry(storage, error))
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

bool storage_pool_remove(Storage *storage, WsId id, bool keep, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  /* Its folder goes with it when there is nothing but our mark in it. */
  if (!keep && pool_open(storage, id, "be removed", &pool, NULL)) {
    pool_dir_sweep(pool.dir_fd, pool.path, storage->new_prefix);
    bool empty = pool_dir_is_empty(pool.dir_fd);
    if (empty)
      pool_dir_drop_leases(pool.dir_fd);
    if (empty && unlinkat(pool.dir_fd, POOL_IDENTITY_FILE, 0) == 0)
      rmdir(pool.path); /* a mount point stays: EBUSY */
  }
  g_mutex_lock(&storage->lock);
  g_hash_table_remove(storage->pools, &id);
  g_mutex_unlock(&storage->lock);
  pool_watch_wake(storage->watch);
  return save_registry(storage, error);
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
  storage->state_dir = g_strdup(config->state_dir);
  storage->allowed_roots = g_strdupv((char **)config->allowed_roots);
  storage->clock = config->clock;
  g_mutex_init(&storage->lock);
  g_cond_init(&storage->file_unlocked);
  storage->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, storage_pool_free);
  storage->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  storage->uploads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, upload_free);
  if (!load_tag(storage, error) || !load_registry(storage, error)) {
    storage_free(storage);
    return NULL;
  }
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p))
    take_up(storage, p);
  if (config->changed)
    storage->watch = pool_watch_new(storage, config);
  return storage;
}

void storage_free(Storage *storage)
{
  if (!storage)
    return;
  pool_watch_free(storage->watch);
  g_hash_table_unref(storage->uploads);
  g_hash_table_unref(storage->busy);
  g_hash_table_unref(storage->pools);
  g_cond_clear(&storage->file_unlocked);
  g_mutex_clear(&storage->lock);
  g_strfreev(storage->allowed_roots);
  g_free(storage->state_dir);
  g_free(storage->new_prefix);
  g_free(storage);
}
