// SPDX-License-Identifier: Apache-2.0
/* A volume leaves for another host: its file and those below it, each byte that is not a hole, in order. Held like a QEMU that reads it, so
 * nobody can start to write it meanwhile. */
#include "base/error.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 64 };
/* QEMU's locks: permissions in use from byte 100, permissions not shared from 200 (blocks.c). A reader that lets nobody write: */
enum { LOCK_READS = 100, LOCK_NO_WRITERS = 201 };

typedef struct {
  char *name;
  int fd;
  guint64 bytes, data_bytes;
} LeavingFile;

struct VolumeLeave {
  Pool pool;
  GArray *files; /* LeavingFile; [0]: the volume itself */
  guint at;      /* file of the next piece */
  guint64 offset;
  void *buffer;
};

static void clear_file(void *arg)
{
  LeavingFile *file = arg;
  if (file->fd >= 0)
    close(file->fd); /* its locks with it */
  g_free(file->name);
}

static bool lock_byte(int fd, off_t at)
{
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* First ours, then asked whether somebody writes: of two that come at once at least one sees the other. */
static bool hold(const Pool *pool, const char *name, int fd, GError **error)
{
  if (!lock_byte(fd, LOCK_READS) || !lock_byte(fd, LOCK_NO_WRITERS))
    return pool_fail(pool, name, "lock", errno, error);
  return image_check_unused(pool, name, fd, true, error);
}

static guint64 data_of(int fd, guint64 bytes)
{
  guint64 sum = 0;
  for (off_t at = 0, hole; (guint64)at < bytes; at = hole) {
    at = lseek(fd, at, SEEK_DATA);
    hole = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
    if (hole < 0)
      break;
    sum += (guint64)(hole - at);
  }
  return sum;
}

static bool add_file(VolumeLeave *leave, const char *name, bool locked, GError **error)
{
  LeavingFile file = {g_strdup(name), pool_open_file(&leave->pool, name, O_RDONLY, error), 0, 0};
  struct stat st = {0};
  bool ok = file.fd >= 0 && (fstat(file.fd, &st) == 0 || pool_fail(&leave->pool, name, "read its size", errno, error)) &&
            (!locked || hold(&leave->pool, name, file.fd, error));
  file.bytes = (guint64)st.st_size;
  file.data_bytes = ok ? data_of(file.fd, file.bytes) : 0;
  g_array_append_val(leave->files, file);
  return ok;
}

/* What lies below was checked by volume_measure(): plain names in this pool, and no ring. */
static bool add_files_below(VolumeLeave *leave, const ImageHeader *top, GError **error)
{
  ImageHeader h = *top;
  while (h.has_backing && leave->files->len < MAX_FILES) {
    bool is_raw = g_strcmp0(h.backing_format, "raw") == 0;
    g_autofree char *name = g_strdup(h.backing_file);
    if (!add_file(leave, name, false, error))
      return false;
    const LeavingFile *file = &g_array_index(leave->files, LeavingFile, leave->files->len - 1);
    if (is_raw)
      break;
    if (!image_read_fd(&leave->pool, name, file->fd, &h, error))
      return false;
  }
  return true;
}

VolumeLeave *storage_leave(Storage *storage, WsId pool, const char *file, gint format, GError **error)
{
  g_autoptr(VolumeLeave) leave = g_new0(VolumeLeave, 1);
  leave->pool.dir_fd = -1;
  leave->files = g_array_new(FALSE, TRUE, sizeof(LeavingFile));
  g_array_set_clear_func(leave->files, clear_file);
  leave->buffer = g_malloc(STORAGE_PIECE_BYTES);
  VolumeFacts facts = {0};
  if (!pool_check_name(file, true, error) || !pool_open(storage, pool, "be moved from", &leave->pool, error) ||
      !add_file(leave, file, true, error))
    return NULL;
  int fd = g_array_index(leave->files, LeavingFile, 0).fd;
  if (!volume_measure(&leave->pool, file, fd, (ImageFormat)format, &facts, error) || !add_files_below(leave, &facts.header, error))
    return NULL;
  return g_steal_pointer(&leave);
}

guint volume_leave_n_files(const VolumeLeave *leave)
{
  return leave->files->len;
}

const char *volume_leave_file(const VolumeLeave *leave, guint i, guint64 *bytes, guint64 *data_bytes)
{
  const LeavingFile *file = &g_array_index(leave->files, LeavingFile, i);
  *bytes = file->bytes;
  *data_bytes = file->data_bytes;
  return file->name;
}

/* The stretch of data at or after the present offset; false: no more in this file (errno 0), or an error. */
static bool find_data(VolumeLeave *leave, const LeavingFile *file, guint64 *n)
{
  off_t at = lseek(file->fd, (off_t)leave->offset, SEEK_DATA);
  if (at < 0 || (guint64)at >= file->bytes) {
    errno = at < 0 && errno != ENXIO ? errno : 0;
    return false;
  }
  off_t end = lseek(file->fd, at, SEEK_HOLE);
  if (end < 0)
    return false;
  leave->offset = (guint64)at;
  *n = MIN(MIN((guint64)end, file->bytes) - (guint64)at, STORAGE_PIECE_BYTES);
  return true;
}

static bool read_piece(VolumeLeave *leave, const LeavingFile *file, VolumePiece *piece, GError **error)
{
  for (gsize done = 0; done < piece->n;) {
    gssize got = pread(file->fd, (char *)leave->buffer + done, piece->n - done, (off_t)(piece->offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return pool_fail(&leave->pool, file->name, "read", got == 0 ? ENODATA : errno, error);
    done += (gsize)got;
  }
  piece->bytes = leave->buffer;
  leave->offset += piece->n;
  return true;
}

bool volume_leave_next(VolumeLeave *leave, VolumePiece *piece, GError **error)
{
  for (; leave->at < leave->files->len; leave->at++, leave->offset = 0) {
    const LeavingFile *file = &g_array_index(leave->files, LeavingFile, leave->at);
    guint64 n;
    errno = 0;
    if (find_data(leave, file, &n)) {
      *piece = (VolumePiece){.file = leave->at, .offset = leave->offset, .n = (gsize)n};
      return read_piece(leave, file, piece, error);
    }
    if (errno)
      return pool_fail(&leave->pool, file->name, "find its data", errno, error);
  }
  *piece = (VolumePiece){0};
  return true;
}

void volume_leave_free(VolumeLeave *leave)
{
  if (!leave)
    return;
  g_array_unref(leave->files);
  pool_close(&leave->pool);
  g_free(leave->buffer);
  g_free(leave);
}
