// SPDX-License-Identifier: Apache-2.0
/* Records beside the disks of who may run a VM. See storage.h, docs/leases.md.
 *
 * A record is a small file below the pool's folder, one for each VM. It is written in place, for its inode carries the lock that hosts which share the
 * pool take on it (open file description locks: NFS has them too): a file put in its place by rename could be locked twice. Two slots are
 * written in turn, each with a checksum, so one that is torn by a crash leaves the other. */
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

#define SLOT_BYTES   512  /* one sector: written whole or not at all on most disks */
#define SLOT_SPACING 4096 /* two slots never share a block of the file system */
#define LOCK_WAIT_US (10 * G_USEC_PER_SEC)
#define LOCK_POLL_US 20000
#define SUM_CHARS    16

struct StorageLeaseFile {
  Pool pool;
  char *name; /* ".winsphere-leases/UUID" */
  int fd;
  guint64 sequence; /* of the newest slot; 0: none */
  int newest;       /* slot */
  StorageLease lease;
};

/* ---- one slot as text ---- */

static char *slot_text(const StorageLease *lease, guint64 sequence)
{
  GString *text = g_string_new("winsphere-lease 1\n");
  g_string_append_printf(text, "sequence %" G_GUINT64_FORMAT "\ngeneration %" G_GINT64_FORMAT "\nheld %s\nholder %s\nhost %s\n", sequence,
                         lease->generation, lease->held ? "yes" : "no", lease->holder, lease->host);
  g_autofree char *sum = ws_sha256_hex(text->str, text->len);
  g_string_append_printf(text, "sum %.*s\n", SUM_CHARS, sum);
  while (text->len < SLOT_BYTES)
    g_string_append_c(text, '\n');
  return g_string_free(text, FALSE);
}

static const char *line_value(const char *text, const char *name, char *buf, gsize n)
{
  g_autofree char *start = g_strdup_printf("\n%s ", name);
  const char *at = strstr(text, start);
  const char *end = at ? strchr(at + 1, '\n') : NULL;
  buf[0] = 0;
  if (!end)
    return buf;
  at += strlen(start);
  g_strlcpy(buf, at, MIN(n, (gsize)(end - at) + 1));
  return buf;
}

/* false: no slot, or a torn one. */
static bool parse_slot(const char *text, StorageLease *lease, guint64 *sequence)
{
  char number[32], sum[SUM_CHARS + 1];
  const char *at = strstr(text, "\nsum ");
  if (!at || strncmp(text, "winsphere-lease 1\n", 18) != 0)
    return false;
  g_autofree char *expected = ws_sha256_hex(text, (gsize)(at + 1 - text));
  if (strncmp(line_value(text, "sum", sum, sizeof sum), expected, SUM_CHARS) != 0)
    return false;
  *sequence = g_ascii_strtoull(line_value(text, "sequence", number, sizeof number), NULL, 10);
  lease->generation = g_ascii_strtoll(line_value(text, "generation", number, sizeof number), NULL, 10);
  lease->held = strcmp(line_value(text, "held", number, sizeof number), "yes") == 0;
  line_value(text, "holder", lease->holder, sizeof lease->holder);
  line_value(text, "host", lease->host, sizeof lease->host);
  return *sequence > 0 && lease->generation > 0;
}

/* ---- the file ---- */

static bool fail(const StorageLeaseFile *file, const char *doing, int errnum, GError **error)
{
  return pool_fail(&file->pool, file->name, doing, errnum, error);
}

static bool read_slots(StorageLeaseFile *file, GError **error)
{
  bool any = false;
  for (int slot = 0; slot < 2; slot++) {
    char text[SLOT_BYTES + 1] = {0};
    StorageLease lease = {0};
    guint64 sequence = 0;
    gssize n = pread(file->fd, text, SLOT_BYTES, slot * SLOT_SPACING);
    if (n < 0)
      return fail(file, "read", errno, error);
    any |= n > 0 && text[0];
    if (!parse_slot(text, &lease, &sequence) || sequence <= file->sequence)
      continue;
    file->sequence = sequence;
    file->newest = slot;
    file->lease = lease;
  }
  /* Both slots at once are not torn by a crash: somebody wrote into it, or the disk lost it. Who may run the VM is then not known. */
  if (any && !file->sequence)
    return fail(file, "read: damaged; remove it when the VM runs nowhere", EIO, error);
  return true;
}

/* Waits for whoever has it; they hold it for moments. */
static bool lock(StorageLeaseFile *file, GError **error)
{
  struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  gint64 end_us = g_get_monotonic_time() + LOCK_WAIT_US;
  while (fcntl(file->fd, F_OFD_SETLK, &all) != 0) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR)
      return fail(file, "lock", errno, error);
    if (g_get_monotonic_time() > end_us)
      return fail(file, "lock: another host holds it for long", EAGAIN, error);
    g_usleep(LOCK_POLL_US);
  }
  return true;
}

/* It may have been removed by another host between our opening and our lock. */
static bool is_still_named(const StorageLeaseFile *file)
{
  struct stat named, opened;
  return fstat(file->fd, &opened) == 0 && fstatat(file->pool.dir_fd, file->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         named.st_ino == opened.st_ino && named.st_dev == opened.st_dev;
}

/* Somebody has written to it, so its name was made durable before. */
static bool is_old(const StorageLeaseFile *file)
{
  struct stat st;
  return fstat(file->fd, &st) == 0 && st.st_size > 0;
}

static bool sync_folder(const StorageLeaseFile *file, GError **error)
{
  int fd = pool_dir_open_beneath(file->pool.dir_fd, POOL_LEASE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  bool ok = fd >= 0 && fsync(fd) == 0;
  int saved = errno;
  if (fd >= 0)
    close(fd);
  return ok || fail(file, "sync", saved, error);
}

static bool open_locked(StorageLeaseFile *file, bool make, GError **error)
{
  for (;;) {
    file->fd = pool_dir_open_beneath(file->pool.dir_fd, file->name, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
    if (file->fd < 0)
      return fail(file, "open", errno, error);
    if (!lock(file, error))
      return false;
    if (is_still_named(file))
      return is_old(file) || sync_folder(file, error);
    close(file->fd);
  }
}

StorageLeaseFile *storage_lease_open(Storage *storage, WsId pool, const char *uuid, bool make, GError **error)
{
  g_autoptr(StorageLeaseFile) file = g_new0(StorageLeaseFile, 1);
  file->fd = -1;
  file->pool.dir_fd = -1;
  if (!g_uuid_string_is_valid(uuid)) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "uuid", "expected", "a UUID", NULL);
    return NULL;
  }
  file->name = g_strdup_printf("%s/%s", POOL_LEASE_FOLDER, uuid);
  if (!pool_open(storage, pool, "be used", &file->pool, error))
    return NULL;
  if (make && mkdirat(file->pool.dir_fd, POOL_LEASE_FOLDER, 0700) == 0) {
    fsync(file->pool.dir_fd);
  } else if (make && errno != EEXIST) {
    fail(file, "make", errno, error);
    return NULL;
  }
  return open_locked(file, make, error) && read_slots(file, error) ? g_steal_pointer(&file) : NULL;
}

const StorageLease *storage_lease_get(const StorageLeaseFile *file)
{
  return &file->lease;
}

bool storage_lease_put(StorageLeaseFile *file, const StorageLease *lease, GError **error)
{
  int slot = file->sequence ? !file->newest : 0;
  g_autofree char *text = slot_text(lease, file->sequence + 1);
  gssize n = pwrite(file->fd, text, SLOT_BYTES, slot * SLOT_SPACING);
  if (n != SLOT_BYTES)
    return fail(file, "write", n < 0 ? errno : ENOSPC, error);
  if (fdatasync(file->fd) != 0)
    return fail(file, "sync", errno, error);
  file->sequence++;
  file->newest = slot;
  file->lease = *lease;
  return true;
}

bool storage_lease_remove(StorageLeaseFile *file, GError **error)
{
  return unlinkat(file->pool.dir_fd, file->name, 0) == 0 || errno == ENOENT || fail(file, "remove", errno, error);
}

void storage_lease_close(StorageLeaseFile *file)
{
  if (!file)
    return;
  if (file->fd >= 0)
    close(file->fd); /* and the lock goes with it */
  pool_close(&file->pool);
  g_free(file->name);
  g_free(file);
}
