// SPDX-License-Identifier: Apache-2.0
/* Uploads and downloads as streams by offset.
 *
 * An upload is a file ".upload-NAME" that only grows; its length is what has been received. Each write is synced before it is
 * acknowledged. Its total is kept with it as an attribute. The running SHA-256 lives in Storage.uploads while the agent runs, so
 * the bytes are not read twice; after a restart, finish reads them once more.
 *
 * Each Upload has a lock of its own: the newest sink writes, older ones find another generation and fail. */
#include "base/error.h"
#include "base/hash.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

G_STATIC_ASSERT((int)WS_RPC_VOLUME_UPLOAD_FINISH_SOURCE_FORMAT_VDI == (int)IMAGE_FORMAT_VDI);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_UPLOAD_FINISH_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);

enum { MAX_HASHES = 64 }; /* uploads whose running checksum is kept */

typedef struct {
  gint ref_count;
  GMutex lock;
  guint64 generation; /* of the sink that may write */
  guint64 received, total;
  WsSha256 *hash; /* over the first `received` bytes, or NULL: to be read again */
} Upload;

struct UploadSink {
  Pool pool;
  char *temp;
  int fd;
  Upload *upload;
  guint64 generation;
  Reservation space;
};

static Upload *upload_ref(Upload *u)
{
  g_atomic_int_inc(&u->ref_count);
  return u;
}

void upload_free(gpointer data)
{
  Upload *u = data;
  if (!u || !g_atomic_int_dec_and_test(&u->ref_count))
    return;
  ws_sha256_free(u->hash);
  g_mutex_clear(&u->lock);
  g_free(u);
}

static char *upload_key(const Pool *pool, const char *file)
{
  return g_strconcat(pool->name, "/", file, NULL);
}

/* The table's entry, made if absent; its caller owns a reference. */
static Upload *get_upload(const Pool *pool, const char *file)
{
  Storage *storage = pool->storage;
  g_autofree char *key = upload_key(pool, file);
  g_mutex_lock(&storage->lock);
  Upload *u = g_hash_table_lookup(storage->uploads, key);
  if (!u) {
    if (g_hash_table_size(storage->uploads) >= MAX_HASHES)
      g_hash_table_remove_all(storage->uploads); /* only running checksums are lost */
    u = g_new0(Upload, 1);
    u->ref_count = 1;
    g_mutex_init(&u->lock);
    g_hash_table_insert(storage->uploads, g_steal_pointer(&key), u);
  }
  upload_ref(u);
  g_mutex_unlock(&storage->lock);
  return u;
}

static void forget_upload(const Pool *pool, const char *file)
{
  g_autofree char *key = upload_key(pool, file);
  g_mutex_lock(&pool->storage->lock);
  Upload *u = g_hash_table_lookup(pool->storage->uploads, key);
  if (u) {
    upload_ref(u);
    g_hash_table_remove(pool->storage->uploads, key);
  }
  g_mutex_unlock(&pool->storage->lock);
  if (!u)
    return;
  g_mutex_lock(&u->lock); /* a sink that still writes has no upload any more */
  u->generation = 0;
  g_mutex_unlock(&u->lock);
  upload_free(u);
}

/* ---- open, abort ---- */

static bool read_total(const Pool *pool, const char *temp, int fd, guint64 *received, guint64 *total,
                       GError **error)
{
  struct stat st;
  char text[24];
  if (fstat(fd, &st) < 0)
    return pool_fail(pool, temp, "read its size", errno, error);
  *received = (guint64)st.st_size;
  *total = storage_get_attribute(fd, "total", text, sizeof text) > 0 ? g_ascii_strtoull(text, NULL, 10) : 0;
  return true;
}

static bool begin_upload(const Pool *pool, const char *temp, guint64 total, guint64 *received, GError **error)
{
  int fd = pool_open_file(pool, temp, O_RDWR | O_CREAT, error);
  if (fd < 0)
    return false;
  guint64 announced = 0;
  bool ok = read_total(pool, temp, fd, received, &announced, error);
  if (ok && (announced != total || *received > total)) {
    /* another upload under this name, or the first: from the start */
    char text[24];
    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, total);
    ok = ftruncate(fd, 0) == 0 || pool_fail(pool, temp, "empty", errno, error);
    storage_set_attribute(fd, "total", text);
    *received = 0;
  }
  Reservation space = {0};
  ok = ok && reserve(pool, total - *received, &space,
                     error); /* asked now, so that it is refused before hours of upload */
  reservation_release(&space);
  close(fd);
  return ok;
}

bool storage_upload_open(Storage *storage, const WsRpcVolumeUploadOpen *params,
                         WsRpcVolumeUploadOpenResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  g_autofree char *temp = g_strconcat(UPLOAD_PREFIX, params->file, NULL);
  guint64 received = (guint64)params->total_bytes;
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "take an upload", &pool, error) ||
      !file_lock(&pool, params->file, NULL, &lock, error))
    return false;
  bool done = pool_has_file(&pool, params->file);
  if (!done && !begin_upload(&pool, temp, (guint64)params->total_bytes, &received, error))
    return false;
  *result = ws_rpc_volume_upload_open_result_new();
  (*result)->received_bytes = (gint64)received;
  (*result)->done = done;
  return true;
}

bool storage_upload_abort(Storage *storage, const WsRpcVolumeUploadAbort *params, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_autofree char *temp = g_strconcat(UPLOAD_PREFIX, params->file, NULL);
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "drop an upload", &pool, error))
    return false;
  forget_upload(&pool, params->file);
  return unlinkat(pool.dir_fd, temp, 0) == 0 || errno == ENOENT ||
         pool_fail(&pool, temp, "delete", errno, error);
}

/* ---- the sink ---- */

UploadSink *storage_upload_sink(Storage *storage, WsId pool_id, const char *file, GError **error)
{
  g_autoptr(UploadSink) sink = g_new0(UploadSink, 1);
  sink->pool.dir_fd = sink->fd = -1;
  sink->temp = g_strconcat(UPLOAD_PREFIX, file, NULL);
  guint64 received, total;
  if (!pool_check_name(file, false, error) ||
      !pool_open(storage, pool_id, "take an upload", &sink->pool, error) ||
      (sink->fd = pool_open_file(&sink->pool, sink->temp, O_RDWR, error)) < 0 ||
      !read_total(&sink->pool, sink->temp, sink->fd, &received, &total, error))
    return NULL;
  Upload *u = sink->upload = get_upload(&sink->pool, file);

  g_mutex_lock(&storage->lock);
  sink->generation = ++storage->upload_generation;
  g_mutex_unlock(&storage->lock);
  g_mutex_lock(&u->lock);
  u->generation = sink->generation;
  if (u->received != received)
    g_clear_pointer(&u->hash, ws_sha256_free);
  if (!u->hash && received == 0)
    u->hash = ws_sha256_new();
  u->received = received;
  u->total = total;
  g_mutex_unlock(&u->lock);
  return reserve(&sink->pool, total - MIN(received, total), &sink->space, error) ? g_steal_pointer(&sink)
                                                                                 : NULL;
}

guint64 upload_sink_received(const UploadSink *sink)
{
  g_mutex_lock(&sink->upload->lock);
  guint64 received = sink->upload->received;
  g_mutex_unlock(&sink->upload->lock);
  return received;
}

/* Under the upload's lock. */
static bool append(UploadSink *sink, const char *bytes, gsize n, GError **error)
{
  Upload *u = sink->upload;
  for (gsize done = 0; done < n;) {
    gssize put = pwrite(sink->fd, bytes + done, n - done, (off_t)(u->received + done));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0) {
      int saved = errno;
      if (ftruncate(sink->fd, (off_t)u->received) < 0) /* the length is what counts as received */
        ws_error_context(error, "and cut back: %s", g_strerror(errno));
      return pool_fail(&sink->pool, sink->temp, "write", saved, error);
    }
    done += (gsize)put;
  }
  if (fdatasync(sink->fd) < 0)
    return pool_fail(&sink->pool, sink->temp, "sync", errno, error);
  if (u->hash)
    ws_sha256_add(u->hash, bytes, n);
  u->received += n;
  return true;
}

bool upload_sink_write(UploadSink *sink, guint64 offset, const void *bytes, gsize n, GError **error)
{
  Upload *u = sink->upload;
  g_assert(n <= STORAGE_CHUNK_BYTES);
  g_mutex_lock(&u->lock);
  bool ok;
  if (u->generation != sink->generation)
    ok = ws_fail(error, WS_ERROR_CONFLICT, "object", sink->temp, "cause", "a newer stream has taken over",
                 NULL);
  else if (offset > u->received)
    ok = ws_fail(error, WS_ERROR_BAD_VALUE, "field", "offset", "expected", "no gap after what was received",
                 NULL);
  else if (n > u->total || offset > u->total - n)
    ok = ws_fail(error, WS_ERROR_BAD_VALUE, "field", "offset", "expected", "no more than the announced total",
                 NULL);
  else if (offset + n <= u->received)
    ok = true; /* sent again after a break */
  else {
    gsize known = (gsize)(u->received - offset);
    ok = append(sink, (const char *)bytes + known, n - known, error);
    reservation_used(&sink->space, sink->space.total - (u->total - u->received));
  }
  g_mutex_unlock(&u->lock);
  return ok;
}

void upload_sink_free(UploadSink *sink)
{
  if (!sink)
    return;
  reservation_release(&sink->space);
  if (sink->fd >= 0)
    close(sink->fd);
  pool_close(&sink->pool);
  upload_free(sink->upload);
  g_free(sink->temp);
  g_free(sink);
}

/* ---- finish ---- */

/* The checksum of all bytes: the running one where it covers them. */
static char *whole_checksum(const Pool *pool, const char *file, const char *temp, int fd, guint64 total,
                            const StorageOp *op, GError **error)
{
  Upload *u = get_upload(pool, file);
  g_mutex_lock(&u->lock);
  u->generation = 0; /* nothing more is taken */
  WsSha256 *hash = u->hash && u->received == total ? g_steal_pointer(&u->hash) : NULL;
  g_mutex_unlock(&u->lock);
  upload_free(u);
  Blocks blocks = {.pool = pool, .name = temp, .op = op};
  return hash ? ws_sha256_end(hash) : blocks_sha256(&blocks, fd, total, error);
}

/* Gives the upload itself its name: it has the wanted form already. */
static bool publish_upload(const Pool *pool, const char *temp, const char *file, int fd,
                           const VolumeFacts *facts, const char *sha256, GError **error)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return pool_fail(pool, temp, "read its size", errno, error);
  /* QEMU rounds a raw disk up to a whole sector; so do we, once. */
  if (facts->header.format != IMAGE_FORMAT_QCOW2 && st.st_size % 512 != 0 &&
      ftruncate(fd, st.st_size / 512 * 512 + 512) < 0)
    return pool_fail(pool, temp, "set its size", errno, error);
  storage_set_attribute(fd, "total", NULL);
  storage_set_attribute(fd, "sha256", sha256);
  NewFile n = {
      .pool = pool, .file = g_strdup(file), .temp = g_strdup(temp), .fd = dup(fd), .published = false};
  bool ok = new_file_publish(&n, error);
  n.published = true; /* a failure must not cost the upload */
  new_file_clear(&n);
  return ok;
}

static bool finish_upload(const Pool *pool, const WsRpcVolumeUploadFinish *params, const char *temp, int fd,
                          const StorageOp *op, WsRpcVolumeUploadFinishResult *r, GError **error)
{
  guint64 received = 0, announced = 0, total = (guint64)params->total_bytes;
  ImageFormat declared = (ImageFormat)params->source_format;
  VolumeFacts facts;
  if (!read_total(pool, temp, fd, &received, &announced, error))
    return false;
  if (received != total) {
    g_autofree char *cause =
        g_strdup_printf("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes are there", received, total);
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", params->file, "verb", "be finished", "state",
                   "incomplete", "cause", cause, NULL);
  }
  g_autofree char *hex = whole_checksum(pool, params->file, temp, fd, total, op, error);
  if (!hex)
    return false;
  if (params->sha256 && g_ascii_strcasecmp(params->sha256, hex) != 0) {
    g_autofree char *cause = g_strdup_printf("its SHA-256 is %s", hex);
    return ws_fail(error, WS_ERROR_CHECKSUM_MISMATCH, "object", params->file, "cause", cause, NULL);
  }
  if (!image_check_upload(pool, params->file, fd, declared, &facts, error))
    return false;
  ImageFormat wanted = declared == IMAGE_FORMAT_ISO ? IMAGE_FORMAT_RAW : (ImageFormat)params->format;
  guint64 size = facts.size_bytes, allocated = facts.chain_bytes;
  if (declared == wanted || declared == IMAGE_FORMAT_ISO) {
    if (!publish_upload(pool, temp, params->file, fd, &facts, hex, error))
      return false;
  } else {
    VolumeCopy copy = {.source_pool = pool,
                       .source_file = temp,
                       .source_fd = fd,
                       .source = &facts,
                       .pool = pool,
                       .file = params->file,
                       .format = wanted,
                       .provisioning = PROVISIONING_THIN,
                       .op = op};
    if (!volume_copy(&copy, &size, &allocated, error))
      return false;
    unlinkat(pool->dir_fd, temp, 0);
  }
  r->sha256 = g_steal_pointer(&hex);
  r->size_bytes = (gint64)size;
  r->allocated_bytes = (gint64)allocated;
  return true;
}

/* It has its name already: what was answered before, as far as it can still be told. */
static bool describe_finished(const Pool *pool, const WsRpcVolumeUploadFinish *params,
                              WsRpcVolumeUploadFinishResult *r, GError **error)
{
  int fd = pool_open_file(pool, params->file, O_RDONLY, error);
  if (fd < 0)
    return false;
  bool is_iso = params->source_format == WS_RPC_VOLUME_UPLOAD_FINISH_SOURCE_FORMAT_ISO;
  VolumeFacts facts;
  char hex[65];
  bool ok = volume_measure(pool, params->file, fd, is_iso ? IMAGE_FORMAT_RAW : (ImageFormat)params->format,
                           &facts, error);
  r->size_bytes = (gint64)facts.size_bytes;
  r->allocated_bytes = (gint64)file_allocated_bytes(fd);
  if (storage_get_attribute(fd, "sha256", hex, sizeof hex) == 64)
    r->sha256 = g_strdup(hex);
  close(fd);
  return ok;
}

bool storage_upload_finish(Storage *storage, const WsRpcVolumeUploadFinish *params, const StorageOp *op,
                           WsRpcVolumeUploadFinishResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  g_autofree char *temp = g_strconcat(UPLOAD_PREFIX, params->file, NULL);
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "finish an upload", &pool, error) ||
      !file_lock(&pool, params->file, op, &lock, error))
    return false;
  g_autoptr(WsRpcVolumeUploadFinishResult) r = ws_rpc_volume_upload_finish_result_new();
  if (pool_has_file(&pool, params->file)) {
    unlinkat(pool.dir_fd, temp, 0); /* of a conversion that ended just before a crash */
    if (!describe_finished(&pool, params, r, error))
      return false;
  } else {
    int fd = pool_open_file(&pool, temp, O_RDWR, error);
    bool ok = fd >= 0 && finish_upload(&pool, params, temp, fd, op, r, error);
    if (fd >= 0)
      close(fd);
    if (!ok)
      return false;
  }
  forget_upload(&pool, params->file);
  *result = g_steal_pointer(&r);
  return true;
}
