// SPDX-License-Identifier: Apache-2.0
/* A VM as one file: an OVA, which is a tar archive of an OVF package (DMTF DSP0243 1.1.0, chapter 5). In it, in the order that a reader who goes from
 * front to back needs: the descriptor, the manifest with the SHA-256 of everything else, and the disks as stream-optimised VMDK, each whole,
 * whatever lies below it here.
 *
 * What stands in front tells of what comes behind. So room for descriptor and manifest is left at the head of the archive, the disks are packed
 * one after the other in a hidden folder and taken into it, hashed on the way, and the head is written last. A package that was laid out in
 * full first would need twice the room; this needs the archive and one disk. Until it is whole and synced, the archive has a name that does
 * not count, and a crash leaves what the next start of the agent sweeps. */
#include "base/error.h"
#include "base/hash.h"
#include "host/storage/pool_dir.h"
#include "host/storage/qemu_img.h"
#include "host/storage/storage-private.h"
#include "host/storage/tar.h"
#include "plan/export.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

G_STATIC_ASSERT((int)WS_VM_EXPORT_DISK_FORMAT_RAW == (int)IMAGE_FORMAT_RAW);

enum { PIECE_BYTES = 4 << 20, MAX_DISKS = 64 };
#define FULL_BYTES (G_GUINT64_CONSTANT(1) << 20) /* a pool with less is full: qemu-img says "Invalid argument" then, or whatever */

typedef struct {
  Pool pool;
  int fd;
  VolumeFacts facts;
  char *name;         /* there */
  guint64 data_bytes; /* that the guest has written, and what its image had */
  guint64 bytes;      /* in the archive */
  char *digest;
} Source;

typedef struct {
  const WsRpcVolumeExport *params;
  ExportDescribe describe;
  const StorageOp *op;
  Pool pool;
  FileLock lock;
  HiddenFolder folder;
  NewFile archive;
  Reservation space;
  Source sources[MAX_DISKS];
  guint n;
  guint64 ovf_bytes, manifest_bytes; /* room that is left for them, without their heads */
  guint64 at;                        /* where the archive goes on */
  gint64 now_s;
  StorageOp stage;                   /* of what goes on now; its part of the whole: */
  guint64 stage_from, stage_bytes, all_bytes;
} Export;

static void export_clear(Export *e)
{
  for (guint i = 0; i < e->n; i++) {
    Source *s = &e->sources[i];
    if (s->fd >= 0)
      close(s->fd);
    pool_close(&s->pool);
    g_free(s->name);
    g_free(s->digest);
  }
  new_file_clear(&e->archive);
  hidden_folder_clear(&e->folder);
  reservation_release(&e->space);
  file_unlock(&e->lock);
  pool_close(&e->pool);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Export, export_clear)

/* ---- progress: of every four bytes of a disk, two for packing it, one each for taking it in and for reading it back ---- */

enum { PARTS_PACK = 2, PARTS_ALL = 4 };

static guint64 weight(const Source *s)
{
  return MAX(MIN(s->facts.chain_bytes, s->facts.size_bytes), 1 << 20);
}

static void on_progress(gint64 done, gint64 total, void *arg)
{
  const Export *e = arg;
  guint64 part = total > 0 ? (guint64)((double)e->stage_bytes * ((double)done / (double)total)) : 0;
  op_progress(e->op, e->stage_from + MIN(part, e->stage_bytes), e->all_bytes);
}

static const StorageOp *next_stage(Export *e, guint64 bytes)
{
  e->stage_from += e->stage_bytes;
  e->stage_bytes = bytes;
  e->stage = (StorageOp){.progress = on_progress, .arg = e, .cancel = e->op ? e->op->cancel : NULL};
  return &e->stage;
}

/* ---- the disks as they are ---- */

static bool open_source(Export *e, const WsVmExportDisk *disk, GError **error)
{
  Source *s = &e->sources[e->n++];
  *s = (Source){.pool = POOL_CLOSED, .fd = -1, .name = g_strdup_printf("%s-disk%u.vmdk", e->params->stem, e->n)};
  if (!pool_check_name(disk->file, false, error) || !pool_open(e->pool.storage, disk->pool, "be exported from", &s->pool, error) ||
      (s->fd = pool_open_file(&s->pool, disk->file, O_RDONLY, error)) < 0 || !image_check_unused(&s->pool, disk->file, s->fd, true, error) ||
      !volume_measure(&s->pool, disk->file, s->fd, (ImageFormat)disk->format, &s->facts, error))
    return false;
  e->all_bytes += weight(s);
  /* What the files take says little where they, or the file system below, are compressed themselves. */
  g_autofree char *path = pool_file_path(&s->pool, disk->file);
  if (!qemu_img_measure(path, (ImageFormat)disk->format, IMAGE_FORMAT_QCOW2, &s->data_bytes, e->op, error))
    return false;
  s->data_bytes = MAX(s->data_bytes, s->facts.chain_bytes);
  return true;
}

static bool open_sources(Export *e, GError **error)
{
  if (e->params->disks.len > MAX_DISKS)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "disks", "expected", "at most 64 disks", NULL);
  for (guint i = 0; i < e->params->disks.len; i++)
    if (!open_source(e, e->params->disks.items[i], error))
      return false;
  return true;
}

static bool reserve_all(Export *e, GError **error)
{
  PlanExportDisk disks[MAX_DISKS];
  for (guint i = 0; i < e->n; i++)
    disks[i] = (PlanExportDisk){e->sources[i].data_bytes, e->sources[i].facts.size_bytes};
  return reserve(&e->pool, plan_export_peak_bytes(disks, e->n), &e->space, error);
}

/* ---- what stands in front ---- */

/* bytes: of each disk in the archive; 0: what they are. A guest sees whole sectors, which are as large as tar's blocks. */
static char *descriptor(const Export *e, guint64 bytes)
{
  ExportedDisk disks[MAX_DISKS];
  for (guint i = 0; i < e->n; i++)
    disks[i] = (ExportedDisk){e->sources[i].name, bytes ? bytes : e->sources[i].bytes, tar_whole_blocks(e->sources[i].facts.size_bytes)};
  return e->describe(e->params, disks, e->n);
}

static char *manifest(const Export *e, const char *ovf_digest)
{
  GString *text = g_string_new(NULL);
  g_string_printf(text, "SHA256(%s.ovf)= %s\n", e->params->stem, ovf_digest);
  for (guint i = 0; i < e->n; i++)
    g_string_append_printf(text, "SHA256(%s)= %s\n", e->sources[i].name, e->sources[i].digest ? e->sources[i].digest : ovf_digest);
  return g_string_free(text, FALSE);
}

/* As long as they can become. */
static void leave_room(Export *e)
{
  g_autofree char *ovf = descriptor(e, G_MAXINT64), *any_digest = ws_sha256_hex("", 0), *sums = manifest(e, any_digest);
  e->ovf_bytes = tar_whole_blocks(strlen(ovf));
  e->manifest_bytes = tar_whole_blocks(strlen(sums));
  e->at = TAR_BLOCK + e->ovf_bytes + TAR_BLOCK + e->manifest_bytes;
}

static bool write_at(Export *e, guint64 at, const void *bytes, gsize n, GError **error)
{
  return file_write_all(e->archive.fd, bytes, n, at) || pool_fail(&e->pool, e->archive.temp, "write", errno, error);
}

static bool write_head(Export *e, guint64 at, const char *name, guint64 bytes, GError **error)
{
  guint8 head[TAR_BLOCK];
  tar_head(head, name, bytes, e->now_s);
  return write_at(e, at, head, sizeof head, error);
}

/* A descriptor that has become shorter by a block is filled up with line feeds, which XML allows behind its root. */
static bool write_front(Export *e, GError **error)
{
  g_autofree char *described = descriptor(e, 0), *ovf_name = g_strconcat(e->params->stem, ".ovf", NULL),
                  *manifest_name = g_strconcat(e->params->stem, ".mf", NULL);
  g_autoptr(GString) ovf = g_string_new(described);
  while (tar_whole_blocks(ovf->len) < e->ovf_bytes)
    g_string_append_c(ovf, '\n');
  g_autofree char *digest = ws_sha256_hex(ovf->str, ovf->len), *sums = manifest(e, digest);
  guint64 second = TAR_BLOCK + e->ovf_bytes;
  g_assert(ovf->len <= e->ovf_bytes && strlen(sums) <= e->manifest_bytes);
  return write_head(e, 0, ovf_name, ovf->len, error) && write_at(e, TAR_BLOCK, ovf->str, ovf->len, error) &&
         write_head(e, second, manifest_name, strlen(sums), error) && write_at(e, second + TAR_BLOCK, sums, strlen(sums), error);
}

/* ---- one disk after the other ---- */

/* qemu-img has no word for a full disk. */
static bool pack_failed(const Export *e, const char *name, GError **error)
{
  struct statvfs fs;
  if (!error || !*error || ws_error_code(*error) == WS_ERROR_CANCELLED || fstatvfs(e->pool.dir_fd, &fs) < 0 ||
      (guint64)fs.f_bavail * fs.f_frsize >= FULL_BYTES)
    return false;
  g_clear_error(error);
  return pool_fail(&e->pool, name, "pack a disk", ENOSPC, error);
}

static bool pack(Export *e, const Source *s, const WsVmExportDisk *disk, int *fd, GError **error)
{
  g_autofree char *source_path = pool_file_path(&s->pool, disk->file), *path = pool_file_path(&e->folder.pool, s->name);
  *fd = pool_dir_open_beneath(e->folder.pool.dir_fd, s->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (*fd < 0)
    return pool_fail(&e->folder.pool, s->name, "create", errno, error);
  return qemu_img_export(source_path, (ImageFormat)disk->format, path, s->facts.size_bytes, next_stage(e, weight(s) / PARTS_ALL * PARTS_PACK), error) ||
         pack_failed(e, s->name, error);
}

static bool take_in(Export *e, Source *s, int fd, GError **error)
{
  off_t bytes = lseek(fd, 0, SEEK_END);
  if (bytes < 0)
    return pool_fail(&e->folder.pool, s->name, "read its size", errno, error);
  s->bytes = (guint64)bytes;
  g_autoptr(WsSha256) hash = ws_sha256_new();
  g_autofree char *buffer = g_malloc(PIECE_BYTES);
  const StorageOp *op = next_stage(e, weight(s) / PARTS_ALL);
  if (!write_head(e, e->at, s->name, s->bytes, error))
    return false;
  e->at += TAR_BLOCK;
  for (guint64 at = 0; at < s->bytes;) {
    gssize got = pread(fd, buffer, PIECE_BYTES, (off_t)at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return pool_fail(&e->folder.pool, s->name, "read", got == 0 ? ENODATA : errno, error);
    ws_sha256_add(hash, buffer, (gsize)got);
    if (!write_at(e, e->at + at, buffer, (gsize)got, error))
      return false;
    at += (guint64)got;
    op_progress(op, at, s->bytes);
    if (op_is_cancelled(op, error))
      return false;
  }
  s->digest = ws_sha256_end(g_steal_pointer(&hash));
  e->at += tar_whole_blocks(s->bytes);
  reservation_used(&e->space, file_allocated_bytes(e->archive.fd));
  return true;
}

static bool add_disk(Export *e, guint i, GError **error)
{
  Source *s = &e->sources[i];
  int fd = -1;
  bool ok = pack(e, s, e->params->disks.items[i], &fd, error) && take_in(e, s, fd, error);
  if (fd >= 0)
    close(fd);
  unlinkat(e->folder.pool.dir_fd, s->name, 0);
  return ok;
}

/* ---- the whole ---- */

static char *hash_whole(Export *e, int fd, guint64 bytes, GError **error)
{
  Blocks blocks = {.pool = &e->pool, .name = e->params->file, .op = next_stage(e, e->all_bytes / PARTS_ALL)};
  return blocks_sha256(&blocks, fd, bytes, error);
}

static bool make_archive(Export *e, WsRpcVolumeExportResult *r, GError **error)
{
  if (!open_sources(e, error) || !reserve_all(e, error) || !hidden_folder_begin(&e->pool, "export", e->params->file, &e->folder, error) ||
      !new_file_begin(&e->pool, e->params->file, &e->archive, error))
    return false;
  leave_room(e);
  for (guint i = 0; i < e->n; i++)
    if (!add_disk(e, i, error))
      return false;
  guint64 bytes = e->at + TAR_END_BYTES;
  if (!write_front(e, error))
    return false;
  if (ftruncate(e->archive.fd, (off_t)bytes) < 0)
    return pool_fail(&e->pool, e->archive.temp, "set its size", errno, error);
  if (!(r->sha256 = hash_whole(e, e->archive.fd, bytes, error)) || !new_file_publish(&e->archive, error))
    return false;
  r->size_bytes = (gint64)bytes;
  r->allocated_bytes = (gint64)file_allocated_bytes(e->archive.fd);
  return true;
}

/* It is whole, since files appear whole. */
static bool look_at_earlier(Export *e, WsRpcVolumeExportResult *r, GError **error)
{
  int fd = pool_open_file(&e->pool, e->params->file, O_RDONLY, error);
  off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
  e->all_bytes = bytes > 0 ? (guint64)bytes * PARTS_ALL : PARTS_ALL;
  r->sha256 = bytes < 0 ? NULL : hash_whole(e, fd, (guint64)bytes, error);
  r->size_bytes = (gint64)bytes;
  r->allocated_bytes = fd < 0 ? 0 : (gint64)file_allocated_bytes(fd);
  if (fd >= 0 && bytes < 0)
    pool_fail(&e->pool, e->params->file, "read its size", errno, error);
  if (fd >= 0)
    close(fd);
  return r->sha256 != NULL;
}

bool storage_volume_export(Storage *storage, const WsRpcVolumeExport *params, ExportDescribe describe, const StorageOp *op,
                           WsRpcVolumeExportResult **result, GError **error)
{
  g_autoptr(WsRpcVolumeExportResult) r = ws_rpc_volume_export_result_new();
  g_auto(Export) e = {.params = params, .describe = describe, .op = op, .pool = POOL_CLOSED, .folder = HIDDEN_FOLDER_NONE,
                      .archive = NEW_FILE_NONE, .now_s = ws_clock_wall_us(storage->clock) / G_USEC_PER_SEC};
  if (!pool_check_name(params->file, false, error) || !pool_check_name(params->stem, true, error) ||
      !pool_open(storage, params->pool, "hold an export", &e.pool, error) || !file_lock(&e.pool, params->file, op, &e.lock, error))
    return false;
  bool ok = pool_has_file(&e.pool, params->file) ? look_at_earlier(&e, r, error) : make_archive(&e, r, error);
  if (ok)
    *result = g_steal_pointer(&r);
  return ok;
}
