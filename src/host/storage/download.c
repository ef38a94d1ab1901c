// SPDX-License-Identifier: Apache-2.0
/* A file of a pool as a stream of bytes from any offset. */
#include "base/error.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct DownloadSource {
  Pool pool;
  char *file;
  int fd;
  guint64 bytes;
};

DownloadSource *storage_download_source(Storage *storage, WsId pool_id, const char *file, gint format,
                                        GError **error)
{
  g_autoptr(DownloadSource) source = g_new0(DownloadSource, 1);
  source->pool.dir_fd = source->fd = -1;
  source->file = g_strdup(file);
  VolumeFacts facts;
  if (!pool_check_name(file, false, error) ||
      !pool_open(storage, pool_id, "be downloaded from", &source->pool, error) ||
      (source->fd = pool_open_file(&source->pool, file, O_RDONLY, error)) < 0 ||
      !image_check_unused(&source->pool, file, source->fd, true, error) ||
      !volume_measure(&source->pool, file, source->fd, (ImageFormat)format, &facts, error))
    return NULL;
  if (facts.header.has_backing) {
    ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "downloading a linked child", "cause",
            "clone it in full first", NULL);
    return NULL;
  }
  source->bytes = facts.header.file_bytes;
  return g_steal_pointer(&source);
}

guint64 download_source_bytes(const DownloadSource *source)
{
  return source->bytes;
}

bool download_source_read(DownloadSource *source, guint64 offset, void *buf, gsize *n, GError **error)
{
  gsize wanted = (gsize)MIN(*n, offset < source->bytes ? source->bytes - offset : 0), done = 0;
  while (done < wanted) {
    gssize got = pread(source->fd, (char *)buf + done, wanted - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return pool_fail(&source->pool, source->file, "read", got == 0 ? ENODATA : errno, error);
    done += (gsize)got;
  }
  *n = done;
  return true;
}

void download_source_free(DownloadSource *source)
{
  if (!source)
    return;
  if (source->fd >= 0)
    close(source->fd);
  pool_close(&source->pool);
  g_free(source->file);
  g_free(source);
}
