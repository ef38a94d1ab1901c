// SPDX-License-Identifier: Apache-2.0
/* Volumes: create, resize, delete, wipe, info, checksum. Copies are in volume_copy.c. */
#include "base/error.h"
#include "host/storage/qemu_img.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The contract's enums are the same everywhere; casts between them rest on this. */
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CREATE_FORMAT_QCOW2 == (int)IMAGE_FORMAT_QCOW2);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CREATE_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CREATE_PARENT_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_RESIZE_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_WIPE_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_INFO_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_INFO_RESULT_FORMAT_ISO == (int)IMAGE_FORMAT_ISO);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CREATE_PROVISIONING_EAGER_ZEROED == (int)PROVISIONING_EAGER);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_RESIZE_PROVISIONING_EAGER_ZEROED == (int)PROVISIONING_EAGER);

enum { MAX_CHAIN = 64 };
#define SLACK_BYTES (1 << 20) /* an empty qcow2 takes 200 KiB */

/* ---- what a file is ---- */

bool image_read_fd(const Pool *pool, const char *file, int fd, ImageHeader *header, GError **error)
{
  g_autofree char *name = g_strconcat(pool->name, "/", file, NULL);
  ImageSource source;
  return image_source_fd(&source, fd, name, error) && image_header_read(&source, name, header, error);
}

static bool refuse(const Pool *pool, const char *file, const char *reason, GError **error)
{
  g_autofree char *name = g_strconcat(pool->name, "/", file, NULL);
  return ws_fail(error, WS_ERROR_IMAGE_REFUSED, "image", name, "reason", reason, NULL);
}

/* Every file below a qcow2 must be one of ours: a plain name in the same pool with its format written down. */
static bool check_chain(const Pool *pool, const char *file, VolumeFacts *facts, GError **error)
{
  ImageHeader h = facts->header;
  g_autofree char *at = g_strdup(file);
  for (guint depth = 0;; depth++) {
    if (h.has_data_file || h.is_encrypted)
      return refuse(pool, at, "its data are in another file or encrypted", error);
    if (!h.has_backing)
      return true;
    if (depth == MAX_CHAIN)
      return refuse(pool, file, "its chain of files is too long or has a ring", error);
    bool is_raw = strcmp(h.backing_format, "raw") == 0;
    if ((!is_raw && strcmp(h.backing_format, "qcow2") != 0) || !pool_check_name(h.backing_file, true, NULL))
      return refuse(pool, at, "the file below it is not named plainly with its format", error);
    g_free(at);
    at = g_strdup(h.backing_file);
    int fd = pool_open_file(pool, at, O_RDONLY, error);
    if (fd < 0)
      return false;
    bool ok = is_raw || image_read_fd(pool, at, fd, &h, error);
    facts->chain_bytes += file_allocated_bytes(fd);
    close(fd);
    if (!ok)
      return false;
    if (is_raw)
      return true;
    if (h.format != IMAGE_FORMAT_QCOW2)
      return refuse(pool, at, "it is no qcow2", error);
  }
}

bool volume_measure(const Pool *pool, const char *file, int fd, ImageFormat format, VolumeFacts *facts,
                    GError **error)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return pool_fail(pool, file, "read its size", errno, error);
  guint64 bytes = (guint64)st.st_size;
  *facts = (VolumeFacts){.size_bytes = bytes,
                         .chain_bytes = (guint64)st.st_blocks * 512,
                         .header = {.format = format, .size_bytes = bytes, .file_bytes = bytes}};
  if (format != IMAGE_FORMAT_QCOW2)
    return true;
  if (!image_read_fd(pool, file, fd, &facts->header, error))
    return false;
  if (facts->header.format != IMAGE_FORMAT_QCOW2)
    return refuse(pool, file, "it is no qcow2", error);
  facts->size_bytes = facts->header.size_bytes;
  return check_chain(pool, file, facts, error);
}

bool image_check_upload(const Pool *pool, const char *file, int fd, ImageFormat declared, VolumeFacts *facts,
                        GError **error)
{
  g_autofree char *name = g_strconcat(pool->name, "/", file, NULL);
  *facts = (VolumeFacts){.chain_bytes = file_allocated_bytes(fd)};
  if (!image_read_fd(pool, file, fd, &facts->header, error) ||
      !image_header_accept(&facts->header, declared, name, error))
    return false;
  facts->size_bytes = facts->header.size_bytes;
  return true;
}

void storage_set_attribute(int fd, const char *name, const char *value)
{
  g_autofree char *full = g_strconcat("user.winsphere.", name, NULL);
  if (value)
    (void)!fsetxattr(fd, full, value, strlen(value), 0);
  else
    (void)!fremovexattr(fd, full);
}

gssize storage_get_attribute(int fd, const char *name, char *buf, gsize n)
{
  g_autofree char *full = g_strconcat("user.winsphere.", name, NULL);
  gssize got = fgetxattr(fd, full, buf, n - 1);
  buf[MAX(got, 0)] = 0;
  return got;
}

guint64 volume_need_bytes(ImageFormat format, Provisioning provisioning, guint64 size_bytes)
{
  /* A thin one grows later; its L1 table and, for a preallocated one, all L2 and refcount tables: 8 + 2 bytes per 64 KiB. */
  guint64 tables = format == IMAGE_FORMAT_QCOW2
                       ? SLACK_BYTES + size_bytes / (provisioning == PROVISIONING_THIN ? 1 << 24 : 1 << 12)
                       : 0;
  return (provisioning == PROVISIONING_THIN ? 0 : size_bytes) + tables;
}

/* ---- create ---- */

static bool fill_new(const Pool *pool, const NewFile *n, const WsRpcVolumeCreate *params, const StorageOp *op,
                     Reservation *reservation, GError **error)
{
  Blocks blocks = {.pool = pool, .name = params->file, .op = op, .reservation = reservation};
  guint64 size = (guint64)params->size_bytes;
  Provisioning provisioning = (Provisioning)params->provisioning;
  if ((ImageFormat)params->format == IMAGE_FORMAT_RAW) {
    if (ftruncate(n->fd, (off_t)size) < 0)
      return pool_fail(pool, params->file, "set its size", errno, error);
    return blocks_fill(&blocks, n->fd, 0, size, provisioning, error);
  }
  if (!qemu_img_create(n->temp_path, size, provisioning != PROVISIONING_THIN, params->parent_file,
                       (ImageFormat)params->parent_format, op, error))
    return false;
  struct stat st;
  if (fstat(n->fd, &st) < 0)
    return pool_fail(pool, params->file, "read its size", errno, error);
  /* With its tables in place the data blocks are the file's holes. */
  return blocks_fill(&blocks, n->fd, 0, (guint64)st.st_size, provisioning, error);
}

/* The file is there already: the same, or something else? */
static bool accept_existing(const Pool *pool, const char *file, ImageFormat format, guint64 size_bytes,
                            guint64 *allocated, GError **error)
{
  int fd = pool_open_file(pool, file, O_RDONLY, error);
  if (fd < 0)
    return false;
  VolumeFacts facts;
  bool ok = volume_measure(pool, file, fd, format, &facts, error);
  *allocated = file_allocated_bytes(fd);
  close(fd);
  if (!ok || facts.size_bytes == size_bytes)
    return ok;
  g_autofree char *object = g_strconcat(pool->name, "/", file, NULL);
  return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", object, "cause", "it has another size", NULL);
}

static bool check_parent(const Pool *pool, const WsRpcVolumeCreate *params, GError **error)
{
  if (!params->parent_file)
    return true;
  if (!pool_check_name(params->parent_file, false, error))
    return false;
  if (!params->parent_format)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "parent_format", NULL);
  if ((ImageFormat)params->format != IMAGE_FORMAT_QCOW2 ||
      (Provisioning)params->provisioning != PROVISIONING_THIN)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "format", "expected", "thin qcow2 for a linked child",
                   NULL);
  if (g_str_equal(params->parent_file, params->file))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "parent_file", "expected", "another file", NULL);
  int fd = pool_open_file(pool, params->parent_file, O_RDONLY, error);
  VolumeFacts facts;
  bool ok = fd >= 0 &&
            volume_measure(pool, params->parent_file, fd, (ImageFormat)params->parent_format, &facts, error);
  if (fd >= 0)
    close(fd);
  if (ok && facts.size_bytes > (guint64)params->size_bytes)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "size_bytes", "expected", "at least the parent's size",
                   NULL);
  return ok;
}

bool storage_volume_create(Storage *storage, const WsRpcVolumeCreate *params, const StorageOp *op,
                           WsRpcVolumeCreateResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  g_auto(Reservation) space = {0};
  g_auto(NewFile) n = NEW_FILE_NONE;
  guint64 allocated = 0;
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "hold a new volume", &pool, error) ||
      !file_lock(&pool, params->file, op, &lock, error))
    return false;
  if (pool_has_file(&pool, params->file)) {
    if (!accept_existing(&pool, params->file, (ImageFormat)params->format, (guint64)params->size_bytes,
                         &allocated, error))
      return false;
  } else {
    guint64 need = volume_need_bytes((ImageFormat)params->format, (Provisioning)params->provisioning,
                                     (guint64)params->size_bytes);
    if (!check_parent(&pool, params, error) || !reserve(&pool, need, &space, error) ||
        !new_file_begin(&pool, params->file, &n, error) || !fill_new(&pool, &n, params, op, &space, error) ||
        !new_file_publish(&n, error))
      return false;
    allocated = file_allocated_bytes(n.fd);
  }
  *result = ws_rpc_volume_create_result_new();
  (*result)->allocated_bytes = (gint64)allocated;
  return true;
}

/* ---- resize ---- */

static bool grow_raw(Blocks *blocks, int fd, guint64 old, guint64 size, Provisioning provisioning,
                     GError **error)
{
  if (ftruncate(fd, (off_t)size) < 0)
    return pool_fail(blocks->pool, blocks->name, "set its size", errno, error);
  if (blocks_fill(blocks, fd, old, size, provisioning, error))
    return true;
  if (ftruncate(fd, (off_t)old) < 0) /* undone: as it was */
    ws_error_context(error, "and cut back: %s", g_strerror(errno));
  return false;
}

static bool grow_qcow2(Blocks *blocks, int fd, guint64 old, guint64 size, Provisioning provisioning,
                       GError **error)
{
  g_autofree char *path = pool_file_path(blocks->pool, blocks->name);
  struct stat before, after;
  bool thick = provisioning != PROVISIONING_THIN;
  if (fstat(fd, &before) < 0)
    return pool_fail(blocks->pool, blocks->name, "read its size", errno, error);
  if (!qemu_img_resize(path, size, thick, false, blocks->op, error))
    return false;
  if (fstat(fd, &after) < 0)
    return pool_fail(blocks->pool, blocks->name, "read its size", errno, error);
  if (!thick || blocks_fill(blocks, fd, (guint64)before.st_size, (guint64)after.st_size, provisioning, error))
    return true;
  qemu_img_resize(path, old, false, true, NULL, NULL);
  return false;
}

bool volume_grow(Blocks *blocks, int fd, ImageFormat format, guint64 old, guint64 size,
                 Provisioning provisioning, GError **error)
{
  bool grown = format == IMAGE_FORMAT_RAW ? grow_raw(blocks, fd, old, size, provisioning, error)
                                          : grow_qcow2(blocks, fd, old, size, provisioning, error);
  return grown && (fsync(fd) == 0 || pool_fail(blocks->pool, blocks->name, "sync", errno, error));
}

bool storage_volume_resize(Storage *storage, const WsRpcVolumeResize *params, const StorageOp *op,
                           WsRpcVolumeResizeResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  g_auto(Reservation) space = {0};
  ImageFormat format = (ImageFormat)params->format;
  Provisioning provisioning = (Provisioning)params->provisioning;
  guint64 size = (guint64)params->size_bytes;
  VolumeFacts facts;
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "grow a volume", &pool, error) ||
      !file_lock(&pool, params->file, op, &lock, error))
    return false;
  int fd = pool_open_file(&pool, params->file, O_RDWR, error);
  if (fd < 0)
    return false;
  Blocks blocks = {.pool = &pool, .name = params->file, .op = op, .reservation = &space};
  bool ok = volume_measure(&pool, params->file, fd, format, &facts, error);
  guint64 old = facts.size_bytes;
  if (ok && size > old)
    ok = image_check_unused(&pool, params->file, fd, false, error) &&
         reserve(&pool, volume_need_bytes(format, provisioning, size - old), &space, error) &&
         volume_grow(&blocks, fd, format, old, size, provisioning, error);
  if (ok) {
    *result = ws_rpc_volume_resize_result_new();
    (*result)->size_bytes = (gint64)MAX(size, old);
    (*result)->allocated_bytes = (gint64)file_allocated_bytes(fd);
  }
  close(fd);
  return ok;
}

/* ---- delete, wipe ---- */

bool storage_volume_delete(Storage *storage, const WsRpcVolumeDelete *params, const StorageOp *op,
                           GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "delete a volume", &pool, error) ||
      !file_lock(&pool, params->file, op, &lock, error))
    return false;
  g_autoptr(GError) why = NULL;
  int fd = pool_open_file(&pool, params->file, params->wipe ? O_RDWR : O_RDONLY, &why);
  if (fd < 0) {
    if (ws_error_code(why) == WS_ERROR_NOT_FOUND)
      return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
  }
  Blocks blocks = {.pool = &pool, .name = params->file, .op = op};
  bool ok = image_check_unused(&pool, params->file, fd, false, error) &&
            (!params->wipe || blocks_zero(&blocks, fd, error));
  if (ok) {
    pool_expect(&pool, params->file, false);
    ok = unlinkat(pool.dir_fd, params->file, 0) == 0 || errno == ENOENT ||
         pool_fail(&pool, params->file, "delete", errno, error);
    ok = ok && (fsync(pool.dir_fd) == 0 || pool_fail(&pool, params->file, "sync its folder", errno, error));
  }
  close(fd);
  return ok;
}

/* After the bytes are gone: an empty, thin volume of the same size in its place, swapped in by rename. */
static bool replace_by_empty(const Pool *pool, const char *file, ImageFormat format, guint64 size, int old_fd,
                             const StorageOp *op, GError **error)
{
  if (format == IMAGE_FORMAT_RAW) /* in place: cut to nothing and back, so all blocks are free */
    return (ftruncate(old_fd, 0) == 0 && ftruncate(old_fd, (off_t)size) == 0 && fsync(old_fd) == 0) ||
           pool_fail(pool, file, "empty", errno, error);
  g_auto(NewFile) n = NEW_FILE_NONE;
  if (!new_file_begin(pool, file, &n, error) ||
      !qemu_img_create(n.temp_path, size, false, NULL, IMAGE_FORMAT_UNKNOWN, op, error))
    return false;
  if (fsync(n.fd) < 0 || renameat(pool->dir_fd, n.temp, pool->dir_fd, file) < 0)
    return pool_fail(pool, file, "replace", errno, error);
  n.published = true;
  return fsync(pool->dir_fd) == 0 || pool_fail(pool, file, "sync its folder", errno, error);
}

/* The size is in the qcow2's own header, which the wipe overwrites; so it is kept in an attribute until the empty one is
 * in place: a wipe that a crash cut short can be taken again. */
static bool remember_size(const Pool *pool, const char *file, int fd, ImageFormat format, guint64 *size,
                          GError **error)
{
  char text[24];
  gssize n = storage_get_attribute(fd, "size", text, sizeof text);
  if (n > 0) {
    *size = g_ascii_strtoull(text, NULL, 10);
    return true;
  }
  VolumeFacts facts;
  if (!volume_measure(pool, file, fd, format, &facts, error))
    return false;
  *size = facts.size_bytes;
  g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, *size);
  storage_set_attribute(fd, "size", text);
  return true;
}

bool storage_volume_wipe(Storage *storage, const WsRpcVolumeWipe *params, const StorageOp *op, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "wipe a volume", &pool, error) ||
      !file_lock(&pool, params->file, op, &lock, error))
    return false;
  int fd = pool_open_file(&pool, params->file, O_RDWR, error);
  if (fd < 0)
    return false;
  ImageFormat format = (ImageFormat)params->format;
  Blocks blocks = {.pool = &pool, .name = params->file, .op = op};
  guint64 size;
  bool ok = image_check_unused(&pool, params->file, fd, false, error) &&
            remember_size(&pool, params->file, fd, format, &size, error) && blocks_zero(&blocks, fd, error) &&
            replace_by_empty(&pool, params->file, format, size, fd, op, error);
  if (ok)
    storage_set_attribute(fd, "size", NULL);
  close(fd);
  return ok;
}

/* ---- info, checksum ---- */

bool storage_volume_info(Storage *storage, const WsRpcVolumeInfo *params, WsRpcVolumeInfoResult **result,
                         GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "be read", &pool, error))
    return false;
  WsRpcVolumeInfoResult *r = *result = ws_rpc_volume_info_result_new();
  g_autoptr(GError) why = NULL;
  int fd = pool_open_file(&pool, params->file, O_RDONLY, &why);
  if (fd < 0) {
    if (ws_error_code(why) == WS_ERROR_NOT_FOUND)
      return true;
    g_propagate_error(error, g_steal_pointer(&why));
    g_clear_pointer(result, ws_rpc_volume_info_result_free);
    return false;
  }
  struct stat st = {0};
  VolumeFacts facts = {0};
  const ImageHeader *h = &facts.header;
  fstat(fd, &st);
  bool ok = params->format
                ? volume_measure(&pool, params->file, fd, (ImageFormat)params->format, &facts, error)
                : image_read_fd(&pool, params->file, fd, &facts.header, error);
  close(fd);
  if (!ok) {
    g_clear_pointer(result, ws_rpc_volume_info_result_free);
    return false;
  }
  r->exists = true;
  r->format = h->format <= IMAGE_FORMAT_ISO ? (WsRpcVolumeInfoResultFormat)h->format
                                            : WS_RPC_VOLUME_INFO_RESULT_FORMAT_UNKNOWN;
  r->size_bytes = (gint64)h->size_bytes;
  r->file_bytes = st.st_size;
  r->allocated_bytes = (gint64)st.st_blocks * 512;
  r->modified = (gint64)st.st_mtim.tv_sec * G_USEC_PER_SEC + st.st_mtim.tv_nsec / 1000;
  if (h->has_backing)
    r->parent_file = g_strdup(h->backing_file);
  return true;
}

bool storage_volume_checksum(Storage *storage, const WsRpcVolumeChecksum *params, const StorageOp *op,
                             WsRpcVolumeChecksumResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (!pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "be read", &pool, error))
    return false;
  int fd = pool_open_file(&pool, params->file, O_RDONLY, error);
  if (fd < 0)
    return false;
  struct stat st;
  Blocks blocks = {.pool = &pool, .name = params->file, .op = op};
  bool ok = fstat(fd, &st) == 0 || pool_fail(&pool, params->file, "read its size", errno, error);
  char *hex = ok ? blocks_sha256(&blocks, fd, (guint64)st.st_size, error) : NULL;
  close(fd);
  if (!hex)
    return false;
  *result = ws_rpc_volume_checksum_result_new();
  (*result)->sha256 = hex;
  (*result)->file_bytes = st.st_size;
  return true;
}
