// SPDX-License-Identifier: Apache-2.0
/* Copies of volumes: clone, and import of images. Bytes are copied as they are where source and copy have the same form
 * (the file system may then share them); else qemu-img converts. */
#include "base/error.h"
#include "host/storage/qemu_img.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

G_STATIC_ASSERT((int)WS_RPC_VOLUME_CLONE_SOURCE_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CLONE_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_VOLUME_CLONE_PROVISIONING_EAGER_ZEROED == (int)PROVISIONING_EAGER);
G_STATIC_ASSERT((int)WS_RPC_IMAGE_INSPECT_FORMAT_VDI == (int)IMAGE_FORMAT_VDI);
G_STATIC_ASSERT((int)WS_RPC_IMAGE_INSPECT_RESULT_FORMAT_VDI == (int)IMAGE_FORMAT_VDI);
G_STATIC_ASSERT((int)WS_RPC_IMAGE_IMPORT_SOURCE_FORMAT_VDI == (int)IMAGE_FORMAT_VDI);
G_STATIC_ASSERT((int)WS_RPC_IMAGE_IMPORT_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);
G_STATIC_ASSERT((int)WS_RPC_IMAGE_IMPORT_PROVISIONING_EAGER_ZEROED == (int)PROVISIONING_EAGER);

/* An ISO's bytes are a raw disk's. */
static ImageFormat stored_as(ImageFormat format)
{
  return format == IMAGE_FORMAT_ISO ? IMAGE_FORMAT_RAW : format;
}

static bool can_copy_bytes(const VolumeCopy *c)
{
  const ImageHeader *h = &c->source->header;
  if (stored_as(h->format) != c->format || h->has_backing || h->snapshots > 0)
    return false;
  return c->format == IMAGE_FORMAT_RAW || c->provisioning == PROVISIONING_THIN;
}

static bool need_bytes(const VolumeCopy *c, bool by_bytes, const char *source_path, guint64 size,
                       guint64 *need, GError **error)
{
  *need = volume_need_bytes(c->format, c->provisioning, size);
  if (c->provisioning != PROVISIONING_THIN)
    return true;
  guint64 data = c->source->chain_bytes;
  if (!by_bytes && !qemu_img_measure(source_path, c->source->header.format, c->format, &data, c->op, error))
    return false;
  *need += c->format == IMAGE_FORMAT_RAW ? MIN(data, size) : data;
  return true;
}

/* Space promised by the provisioning, and the copy's own size. */
static bool finish_size(const VolumeCopy *c, const NewFile *n, guint64 size, Blocks *blocks, GError **error)
{
  struct stat st;
  /* A raw disk ends with a whole sector: QEMU rounds up, and the guest must not see less after a move. */
  guint64 now =
      c->format == IMAGE_FORMAT_RAW ? (c->source->size_bytes + 511) / 512 * 512 : c->source->size_bytes;
  if (c->format == IMAGE_FORMAT_RAW && ftruncate(n->fd, (off_t)MAX(now, size)) < 0)
    return pool_fail(c->pool, n->temp, "set its size", errno, error);
  if (c->format == IMAGE_FORMAT_QCOW2 && size > now &&
      !qemu_img_resize(n->temp_path, size, c->provisioning != PROVISIONING_THIN, false, c->op, error))
    return false;
  if (fstat(n->fd, &st) < 0)
    return pool_fail(c->pool, n->temp, "read its size", errno, error);
  return blocks_fill(blocks, n->fd, 0, (guint64)st.st_size, c->provisioning, error);
}

bool volume_copy(const VolumeCopy *c, guint64 *size_bytes, guint64 *allocated_bytes, GError **error)
{
  g_auto(Reservation) space = {0};
  g_auto(NewFile) n = NEW_FILE_NONE;
  g_autofree char *source_path = pool_file_path(c->source_pool, c->source_file);
  guint64 size = MAX(c->size_bytes, c->source->size_bytes), need;
  bool by_bytes = can_copy_bytes(c);
  if (!need_bytes(c, by_bytes, source_path, size, &need, error) || !reserve(c->pool, need, &space, error) ||
      !new_file_begin(c->pool, c->file, &n, error))
    return false;
  Blocks blocks = {.pool = c->pool, .name = n.temp, .op = c->op, .reservation = &space};
  bool copied = by_bytes ? blocks_copy(&blocks, c->source_fd, n.fd, c->source->header.file_bytes, error)
                         : qemu_img_convert(source_path, c->source->header.format, n.temp_path, c->format,
                                            c->provisioning != PROVISIONING_THIN, size, c->op, error);
  if (!copied || !finish_size(c, &n, size, &blocks, error) || !new_file_publish(&n, error))
    return false;
  *size_bytes = size;
  *allocated_bytes = file_allocated_bytes(n.fd);
  return true;
}

/* A copy that is there already: it is whole, since files appear whole. */
static bool copy_is_done(const Pool *pool, const char *file, ImageFormat format, guint64 *size,
                         guint64 *allocated, bool *done, GError **error)
{
  *done = pool_has_file(pool, file);
  if (!*done)
    return true;
  int fd = pool_open_file(pool, file, O_RDONLY, error);
  if (fd < 0)
    return false;
  VolumeFacts facts;
  bool ok = volume_measure(pool, file, fd, format, &facts, error);
  *size = facts.size_bytes;
  *allocated = file_allocated_bytes(fd);
  close(fd);
  return ok;
}

/* ---- clone ---- */

static bool clone_into(const Pool *from, const Pool *to, const WsRpcVolumeClone *params, const StorageOp *op,
                       guint64 *size, guint64 *allocated, GError **error)
{
  int fd = pool_open_file(from, params->file, O_RDONLY, error);
  if (fd < 0)
    return false;
  VolumeFacts facts;
  VolumeCopy copy = {
      .source_pool = from,
      .source_file = params->file,
      .source_fd = fd,
      .source = &facts,
      .pool = to,
      .file = params->target_file,
      .format = (ImageFormat)params->format,
      .provisioning = (Provisioning)params->provisioning,
      .size_bytes = params->size_bytes > 0 ? (guint64)params->size_bytes : 0,
      .op = op,
  };
  bool ok = image_check_unused(from, params->file, fd, true, error) &&
            volume_measure(from, params->file, fd, (ImageFormat)params->source_format, &facts, error) &&
            volume_copy(&copy, size, allocated, error);
  close(fd);
  return ok;
}

bool storage_volume_clone(Storage *storage, const WsRpcVolumeClone *params, const StorageOp *op,
                          WsRpcVolumeCloneResult **result, GError **error)
{
  g_auto(Pool) from = POOL_CLOSED, to = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  guint64 size = 0, allocated = 0;
  bool done;
  if (!pool_check_name(params->file, false, error) || !pool_check_name(params->target_file, false, error) ||
      !pool_open(storage, params->pool, "be copied from", &from, error) ||
      !pool_open(storage, params->target_pool, "hold a copy", &to, error) ||
      !file_lock(&to, params->target_file, op, &lock, error) ||
      !copy_is_done(&to, params->target_file, (ImageFormat)params->format, &size, &allocated, &done, error) ||
      (!done && !clone_into(&from, &to, params, op, &size, &allocated, error)))
    return false;
  *result = ws_rpc_volume_clone_result_new();
  (*result)->size_bytes = (gint64)size;
  (*result)->allocated_bytes = (gint64)allocated;
  return true;
}

/* ---- images ---- */

bool storage_image_inspect(Storage *storage, const WsRpcImageInspect *params,
                           WsRpcImageInspectResult **result, GError **error)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (!pool_check_name(params->file, true, error) ||
      !pool_open(storage, params->pool, "be read", &pool, error))
    return false;
  int fd = pool_open_file(&pool, params->file, O_RDONLY, error);
  if (fd < 0)
    return false;
  VolumeFacts facts = {0};
  const ImageHeader *h = &facts.header;
  bool ok = params->format
                ? image_check_upload(&pool, params->file, fd, (ImageFormat)params->format, &facts, error)
                : image_read_fd(&pool, params->file, fd, &facts.header, error);
  close(fd);
  if (!ok)
    return false;
  WsRpcImageInspectResult *r = *result = ws_rpc_image_inspect_result_new();
  r->format = (WsRpcImageInspectResultFormat)h->format;
  r->size_bytes = (gint64)h->size_bytes;
  r->file_bytes = (gint64)h->file_bytes;
  r->bootable = h->is_bootable;
  if (h->label[0])
    r->label = g_strdup(h->label);
  return true;
}

static bool import_into(const Pool *from, const Pool *to, const WsRpcImageImport *params, const StorageOp *op,
                        WsRpcImageImportResult *r, GError **error)
{
  int fd = pool_open_file(from, params->source_file, O_RDONLY, error);
  if (fd < 0)
    return false;
  VolumeFacts facts;
  VolumeCopy copy = {
      .source_pool = from,
      .source_file = params->source_file,
      .source_fd = fd,
      .source = &facts,
      .pool = to,
      .file = params->file,
      .format = (ImageFormat)params->source_format == IMAGE_FORMAT_ISO ? IMAGE_FORMAT_RAW
                                                                       : (ImageFormat)params->format,
      .provisioning = (Provisioning)params->provisioning,
      .op = op,
  };
  guint64 size, allocated;
  g_autofree char *hex = NULL;
  Blocks blocks = {.pool = from, .name = params->source_file, .op = op};
  bool ok =
      image_check_upload(from, params->source_file, fd, (ImageFormat)params->source_format, &facts, error) &&
      (hex = blocks_sha256(&blocks, fd, facts.header.file_bytes, error)) &&
      volume_copy(&copy, &size, &allocated, error);
  close(fd);
  if (!ok)
    return false;
  r->sha256 = g_steal_pointer(&hex);
  r->size_bytes = (gint64)size;
  r->allocated_bytes = (gint64)allocated;
  return true;
}

bool storage_image_import(Storage *storage, const WsRpcImageImport *params, const StorageOp *op,
                          WsRpcImageImportResult **result, GError **error)
{
  g_auto(Pool) from = POOL_CLOSED, to = POOL_CLOSED;
  g_auto(FileLock) lock = {0};
  if (!pool_check_name(params->source_file, true, error) || !pool_check_name(params->file, false, error) ||
      !pool_open(storage, params->pool, "be read", &from, error) ||
      !pool_open(storage, params->target_pool ? params->target_pool : params->pool, "hold an image", &to,
                 error) ||
      !file_lock(&to, params->file, op, &lock, error))
    return false;
  guint64 size = 0, allocated = 0;
  bool done;
  if (!copy_is_done(&to, params->file, (ImageFormat)params->format, &size, &allocated, &done, error))
    return false;
  g_autoptr(WsRpcImageImportResult) r = ws_rpc_image_import_result_new();
  if (done) {
    r->size_bytes = (gint64)size;
    r->allocated_bytes = (gint64)allocated;
  } else if (!import_into(&from, &to, params, op, r, error))
    return false;
  *result = g_steal_pointer(&r);
  return true;
}
