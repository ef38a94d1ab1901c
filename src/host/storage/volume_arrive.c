// SPDX-License-Identifier: Apache-2.0
/* A volume arrives from another host (volume_leave.c sends it). Its files are gathered in a hidden folder of the pool under the names they had
 * there, so that a linked child finds what it builds on; when all are whole, synced, read back and found the same, they become one
 * file of the wanted form under its own name. Until then nothing of it has a name that counts, and a crash leaves a folder that the
 * next start of the agent sweeps. */
#include "base/error.h"
#include "base/hash.h"
#include "host/storage/pool_dir.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 64 };

typedef struct {
  guint64 offset;
  gsize n;
  char digest[65];
} Arrived;

typedef struct {
  char *name;
  int fd;
  GArray *pieces; /* Arrived */
} ArrivingFile;

struct VolumeArrival {
  Pool pool;
  HiddenFolder folder;
  char *file;
  FileLock lock;
  ImageFormat format;
  Provisioning provisioning;
  guint64 size_bytes;
  Reservation space;
  guint64 used_bytes;
  GArray *files; /* ArrivingFile */
};

static void clear_file(void *arg)
{
  ArrivingFile *file = arg;
  if (file->fd >= 0)
    close(file->fd);
  g_free(file->name);
  g_array_unref(file->pieces);
}

/* ---- begin ---- */

/* Of an earlier try of the same move. It is made anew: nobody knows whether the source has changed since. */
static bool drop_earlier(VolumeArrival *a, GError **error)
{
  if (!pool_has_file(&a->pool, a->file))
    return true;
  int fd = pool_open_file(&a->pool, a->file, O_RDONLY, error);
  bool ok = fd >= 0 && image_check_unused(&a->pool, a->file, fd, false, error);
  if (fd >= 0)
    close(fd);
  if (!ok)
    return false;
  pool_expect(&a->pool, a->file, false);
  return unlinkat(a->pool.dir_fd, a->file, 0) == 0 || pool_fail(&a->pool, a->file, "delete", errno, error);
}

VolumeArrival *storage_arrive(Storage *storage, WsId pool, const char *file, gint format, gint provisioning, guint64 size_bytes,
                              const StorageOp *op, GError **error)
{
  g_autoptr(VolumeArrival) a = g_new0(VolumeArrival, 1);
  a->pool.dir_fd = a->folder.pool.dir_fd = -1;
  a->file = g_strdup(file);
  a->format = (ImageFormat)format;
  a->provisioning = (Provisioning)provisioning;
  a->size_bytes = size_bytes;
  a->files = g_array_new(FALSE, TRUE, sizeof(ArrivingFile));
  g_array_set_clear_func(a->files, clear_file);
  if (!pool_check_name(file, false, error) || !pool_open(storage, pool, "take a disk", &a->pool, error) ||
      !file_lock(&a->pool, file, op, &a->lock, error))
    return NULL;
  return drop_earlier(a, error) && hidden_folder_begin(&a->pool, "arrives", file, &a->folder, error) ? g_steal_pointer(&a) : NULL;
}

/* ---- pieces ---- */

bool volume_arrival_file(VolumeArrival *a, const char *name, guint64 bytes, guint64 data_bytes, GError **error)
{
  if (a->files->len >= MAX_FILES || bytes > G_MAXINT64 || data_bytes > bytes)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "files", "expected", "the files of one disk", NULL);
  if (!pool_check_name(name, true, error))
    return false;
  if (a->files->len == 0 && !reserve(&a->pool, volume_need_bytes(a->format, a->provisioning, a->size_bytes) + data_bytes, &a->space, error))
    return false;
  ArrivingFile file = {g_strdup(name), pool_dir_open_beneath(a->folder.pool.dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
                       g_array_new(FALSE, FALSE, sizeof(Arrived))};
  g_array_append_val(a->files, file);
  return (file.fd >= 0 && ftruncate(file.fd, (off_t)bytes) == 0) || pool_fail(&a->folder.pool, name, "create", errno, error);
}

static void digest_of(const void *bytes, gsize n, char out[65])
{
  g_autofree char *hex = ws_sha256_hex(bytes, n);
  g_strlcpy(out, hex, 65);
}

static bool refuse_piece(const VolumeArrival *a, const char *cause, GError **error)
{
  g_autofree char *object = g_strconcat(a->pool.name, "/", a->file, NULL);
  return ws_fail(error, WS_ERROR_CHECKSUM_MISMATCH, "object", object, "cause", cause, NULL);
}

bool volume_arrival_piece(VolumeArrival *a, const VolumePiece *piece, const char *digest, GError **error)
{
  ArrivingFile *file = piece->file < a->files->len ? &g_array_index(a->files, ArrivingFile, piece->file) : NULL;
  struct stat st;
  Arrived arrived = {.offset = piece->offset, .n = piece->n};
  if (!file || fstat(file->fd, &st) < 0 || piece->n > STORAGE_PIECE_BYTES || piece->offset > (guint64)st.st_size ||
      piece->n > (guint64)st.st_size - piece->offset)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "piece", "expected", "a piece of a file that was announced", NULL);
  digest_of(piece->bytes, piece->n, arrived.digest);
  if (g_strcmp0(arrived.digest, digest) != 0)
    return refuse_piece(a, "a piece arrived with other bytes than it left with", error);
  if (!file_write_all(file->fd, piece->bytes, piece->n, piece->offset))
    return pool_fail(&a->pool, a->file, "write", errno, error);
  a->used_bytes += piece->n;
  reservation_used(&a->space, a->used_bytes);
  g_array_append_val(file->pieces, arrived);
  return true;
}

/* ---- finish ---- */

/* What the disk gives back is what was sent. The cache is let go of first, as far as the kernel does that. */
static bool read_back(VolumeArrival *a, const ArrivingFile *file, const StorageOp *op, GError **error)
{
  g_autofree char *buffer = g_malloc(STORAGE_PIECE_BYTES);
  if (fsync(file->fd) < 0)
    return pool_fail(&a->pool, a->file, "sync", errno, error);
  posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
  for (guint i = 0; i < file->pieces->len; i++) {
    const Arrived *arrived = &g_array_index(file->pieces, Arrived, i);
    char digest[65];
    for (gsize done = 0; done < arrived->n;) {
      gssize got = pread(file->fd, buffer + done, arrived->n - done, (off_t)(arrived->offset + done));
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return pool_fail(&a->pool, a->file, "read back", got == 0 ? ENODATA : errno, error);
      done += (gsize)got;
    }
    digest_of(buffer, arrived->n, digest);
    if (strcmp(digest, arrived->digest) != 0)
      return refuse_piece(a, "the disk gives back other bytes than were written", error);
    if (op_is_cancelled(op, error))
      return false;
  }
  return true;
}

/* As it is, under its name. */
static bool name_it(VolumeArrival *a, const ArrivingFile *file, GError **error)
{
  pool_expect(&a->pool, a->file, true);
  if (!pool_dir_publish(a->folder.pool.dir_fd, file->name, a->pool.dir_fd, a->file)) {
    int saved = errno;
    if (saved != EEXIST)
      pool_expect(&a->pool, a->file, false);
    return pool_fail(&a->pool, a->file, "rename", saved, error);
  }
  return fsync(a->pool.dir_fd) == 0 || pool_fail(&a->pool, a->file, "sync its folder", errno, error);
}

static bool make_final(VolumeArrival *a, ImageFormat source_format, const StorageOp *op, gint64 *allocated, GError **error)
{
  const ArrivingFile *top = &g_array_index(a->files, ArrivingFile, 0);
  VolumeFacts facts = {0};
  guint64 size = 0, blocks = 0;
  if (!volume_measure(&a->folder.pool, top->name, top->fd, source_format, &facts, error))
    return false;
  if (facts.size_bytes != a->size_bytes)
    return refuse_piece(a, "it has another size than its record says", error);
  bool as_it_is = a->files->len == 1 && source_format == a->format && !facts.header.has_backing && facts.header.snapshots == 0 &&
                  (a->format == IMAGE_FORMAT_RAW || a->provisioning == PROVISIONING_THIN);
  if (as_it_is) {
    Blocks fill = {.pool = &a->pool, .name = a->file, .op = op, .reservation = &a->space};
    if (!blocks_fill(&fill, top->fd, 0, a->size_bytes, a->provisioning, error) || !name_it(a, top, error))
      return false;
    *allocated = (gint64)file_allocated_bytes(top->fd);
    return true;
  }
  VolumeCopy copy = {.source_pool = &a->folder.pool, .source_file = top->name, .source_fd = top->fd, .source = &facts, .pool = &a->pool,
                     .file = a->file, .format = a->format, .provisioning = a->provisioning, .op = op};
  reservation_release(&a->space); /* the copy makes its own */
  bool ok = volume_copy(&copy, &size, &blocks, error);
  *allocated = (gint64)blocks;
  return ok;
}

bool volume_arrival_finish(VolumeArrival *a, gint source_format, const StorageOp *op, gint64 *allocated_bytes, GError **error)
{
  if (a->files->len == 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "files", "expected", "the files of one disk", NULL);
  for (guint i = 0; i < a->files->len; i++)
    if (!read_back(a, &g_array_index(a->files, ArrivingFile, i), op, error))
      return false;
  return make_final(a, (ImageFormat)source_format, op, allocated_bytes, error);
}

void volume_arrival_free(VolumeArrival *a)
{
  if (!a)
    return;
  g_array_unref(a->files);
  hidden_folder_clear(&a->folder);
  reservation_release(&a->space);
  file_unlock(&a->lock);
  pool_close(&a->pool);
  g_free(a->file);
  g_free(a);
}
