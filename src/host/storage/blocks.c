// SPDX-License-Identifier: Apache-2.0
/* Long loops over the bytes of one file: filling, overwriting, copying, hashing. They stop between two pieces when asked to,
 * and report as they go. */
#include "base/error.h"
#include "base/hash.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 4 << 20, COPY_BYTES = 32 << 20 };

/* QEMU's locks on an image: bytes 100+ tell permissions in use, 200+ permissions not shared (block/file-posix.c). Held as shared
 * locks; so asking whether an exclusive lock could be had tells whether anybody holds one. */
enum { LOCK_PERMISSIONS = 100, LOCK_WRITE_PERMISSION = 101, N_LOCK_PERMISSIONS = 64 };

bool op_is_cancelled(const StorageOp *op, GError **error)
{
  if (!op || !op->cancel || !g_atomic_int_get(op->cancel))
    return false;
  ws_fail(error, WS_ERROR_CANCELLED, NULL);
  return true;
}

void op_progress(const StorageOp *op, guint64 done, guint64 total)
{
  if (op && op->progress)
    op->progress((gint64)done, (gint64)total, op->arg);
}

static bool advance(Blocks *b, guint64 bytes, int written_fd, GError **error)
{
  b->done += bytes;
  if (b->reservation && written_fd >= 0)
    reservation_used(b->reservation, file_allocated_bytes(written_fd));
  op_progress(b->op, MIN(b->done, b->total), b->total);
  return !op_is_cancelled(b->op, error);
}

bool file_write_all(int fd, const void *buf, gsize n, guint64 offset)
{
  for (gsize done = 0; done < n;) {
    gssize put = pwrite(fd, (const char *)buf + done, n - done, (off_t)(offset + done));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return false;
    done += (gsize)put;
  }
  return true;
}

guint64 file_allocated_bytes(int fd)
{
  struct stat st;
  return fstat(fd, &st) == 0 ? (guint64)st.st_blocks * 512 : 0;
}

bool image_is_in_use(int fd, bool for_writing_only)
{
  struct flock lock = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_PERMISSIONS, .l_len = N_LOCK_PERMISSIONS};
  if (for_writing_only) {
    lock.l_start = LOCK_WRITE_PERMISSION;
    lock.l_len = 1;
  }
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool image_check_unused(const Pool *pool, const char *file, int fd, bool for_writing_only, GError **error)
{
  if (!image_is_in_use(fd, for_writing_only))
    return true;
  g_autofree char *object = g_strconcat(pool->name, "/", file, NULL);
  return ws_fail(error, WS_ERROR_IN_USE, "object", object, "user", "QEMU", NULL);
}

/* ---- filling ---- */

typedef struct {
  guint64 from, to;
} Extent;

/* The next stretch of the wanted kind at or after `at` and before `end`; false: none, or an error (errno, 0 when none). */
static bool next_extent(int fd, bool holes, guint64 at, guint64 end, Extent *extent)
{
  off_t from = lseek(fd, (off_t)at, holes ? SEEK_HOLE : SEEK_DATA);
  if (from < 0 || (guint64)from >= end) {
    errno = from < 0 && errno != ENXIO ? errno : 0;
    return false;
  }
  off_t to = lseek(fd, from, holes ? SEEK_DATA : SEEK_HOLE);
  if (to < 0 && errno != ENXIO)
    return false;
  *extent = (Extent){(guint64)from, to < 0 ? end : MIN((guint64)to, end)};
  return true;
}

static GArray *list_extents(int fd, bool holes, guint64 from, guint64 to, guint64 *sum)
{
  GArray *list = g_array_new(FALSE, FALSE, sizeof(Extent));
  Extent e;
  *sum = 0;
  for (guint64 at = from; at < to && next_extent(fd, holes, at, to, &e); at = e.to) {
    g_array_append_val(list, e);
    *sum += e.to - e.from;
    errno = 0;
  }
  if (errno != 0)
    g_clear_pointer(&list, g_array_unref);
  return list;
}

static bool write_zeroes(Blocks *b, int fd, GArray *extents, GError **error)
{
  g_autofree void *zeroes = g_malloc0(PIECE_BYTES);
  for (guint i = 0; i < extents->len; i++) {
    Extent e = g_array_index(extents, Extent, i);
    for (guint64 at = e.from; at < e.to;) {
      gsize n = (gsize)MIN(PIECE_BYTES, e.to - at);
      if (!file_write_all(fd, zeroes, n, at))
        return pool_fail(b->pool, b->name, "write zeroes", errno, error);
      if (!advance(b, n, fd, error))
        return false;
      at += n;
    }
  }
  return true;
}

bool blocks_fill(Blocks *b, int fd, guint64 from, guint64 to, Provisioning provisioning, GError **error)
{
  if (provisioning == PROVISIONING_THIN || from >= to)
    return true;
  errno = 0;
  guint64 sum;
  g_autoptr(GArray) holes = list_extents(fd, true, from, to, &sum);
  if (!holes)
    return pool_fail(b->pool, b->name, "find its holes", errno, error);
  b->total = b->done + sum;
  /* Reserving is quick where the file system can; it also tells at once when there is not enough room. */
  bool reserved = true;
  for (guint i = 0; reserved && i < holes->len; i++) {
    Extent e = g_array_index(holes, Extent, i);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)e.from, (off_t)(e.to - e.from)) < 0) {
      if (errno != EOPNOTSUPP && errno != ENOSYS)
        return pool_fail(b->pool, b->name, "reserve space", errno, error);
      reserved = false;
    }
  }
  if (provisioning == PROVISIONING_LAZY && reserved)
    return true;
  if (!write_zeroes(b, fd, holes, error))
    return false;
  return fdatasync(fd) == 0 || pool_fail(b->pool, b->name, "sync", errno, error);
}

bool blocks_zero(Blocks *b, int fd, GError **error)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return pool_fail(b->pool, b->name, "read its size", errno, error);
  errno = 0;
  guint64 sum;
  g_autoptr(GArray) data = list_extents(fd, false, 0, (guint64)st.st_size, &sum);
  if (!data)
    return pool_fail(b->pool, b->name, "find its data", errno, error);
  b->total = sum;
  b->done = 0;
  if (!write_zeroes(b, fd, data, error))
    return false;
  return fsync(fd) == 0 || pool_fail(b->pool, b->name, "sync", errno, error);
}

/* ---- copying ---- */

static bool copy_by_hand(int in, int out, guint64 at, gsize n, void *buf)
{
  for (gsize done = 0; done < n;) {
    gssize got = pread(in, buf, MIN(PIECE_BYTES, n - done), (off_t)(at + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      if (got == 0)
        errno = ENODATA;
      return false;
    }
    if (!file_write_all(out, buf, (gsize)got, at + done))
      return false;
    done += (gsize)got;
  }
  return true;
}

/* The kernel copies where both files are its own to copy (shares blocks where it can); else through our memory. */
static bool copy_piece(int in, int out, guint64 at, gsize n, bool *by_kernel, void *buf)
{
  off_t in_at = (off_t)at, out_at = (off_t)at;
  for (gsize left = n; *by_kernel && left > 0;) {
    gssize got = copy_file_range(in, &in_at, out, &out_at, left, 0);
    if (got > 0)
      left -= (gsize)got;
    else if (got < 0 && errno == EINTR)
      continue;
    else if (got == 0 || errno == EXDEV || errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP)
      *by_kernel = false;
    else
      return false;
    if (left == 0)
      return true;
  }
  return copy_by_hand(in, out, at, n, buf);
}

bool blocks_copy(Blocks *b, int in, int out, guint64 bytes, GError **error)
{
  if (ioctl(out, FICLONE, in) == 0)
    return advance(b, b->total, out, error);
  if (ftruncate(out, (off_t)bytes) < 0)
    return pool_fail(b->pool, b->name, "set its size", errno, error);
  errno = 0;
  guint64 sum;
  g_autoptr(GArray) data = list_extents(in, false, 0, bytes, &sum);
  if (!data)
    return pool_fail(b->pool, b->name, "find the data to copy", errno, error);
  g_autofree void *buf = g_malloc(PIECE_BYTES);
  bool by_kernel = true;
  b->total = b->done + sum;
  for (guint i = 0; i < data->len; i++) {
    Extent e = g_array_index(data, Extent, i);
    for (guint64 at = e.from; at < e.to;) {
      gsize n = (gsize)MIN(COPY_BYTES, e.to - at);
      if (!copy_piece(in, out, at, n, &by_kernel, buf))
        return pool_fail(b->pool, b->name, "copy", errno, error);
      if (!advance(b, n, out, error))
        return false;
      at += n;
    }
  }
  return true;
}

/* ---- hashing ---- */

char *blocks_sha256(Blocks *b, int fd, guint64 bytes, GError **error)
{
  g_autofree void *buf = g_malloc(PIECE_BYTES);
  g_autoptr(WsSha256) hash = ws_sha256_new();
  b->total = b->done + bytes;
  for (guint64 at = 0; at < bytes;) {
    gssize got = pread(fd, buf, MIN(PIECE_BYTES, bytes - at), (off_t)at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      pool_fail(b->pool, b->name, "read", got == 0 ? ENODATA : errno, error);
      return NULL;
    }
    ws_sha256_add(hash, buf, (gsize)got);
    at += (guint64)got;
    if (!advance(b, (guint64)got, -1, error))
      return NULL;
  }
  return ws_sha256_end(g_steal_pointer(&hash));
}
