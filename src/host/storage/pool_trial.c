// SPDX-License-Identifier: Apache-2.0
/* See pool_trial.h. The first part that fails ends those that build on it; each says so for itself. */
#include "host/storage/pool_trial.h"
#include "base/text.h"
#include "host/storage/pool_dir.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TRIAL_BYTES (1 << 20)
#define BLOCK_BYTES 4096
#define LOCK_BYTE                                                                                            \
  201 /* the last of those by which QEMU tells others what it does with an image (block/file-posix.c) */
#define OTHER_UID  1 /* anybody but root: whoever may give a file to this one may give it to QEMU's user */
#define LOW_BYTES  (G_GUINT64_CONSTANT(16) << 30)
#define FULL_BYTES (G_GUINT64_CONSTANT(1) << 30)

typedef struct {
  int dir_fd;
  const char *name, *renamed;
  PoolTrialTell tell;
  void *arg;
} Trial;

static void say(const Trial *trial, WsPoolSignWord sign, const char *doing)
{
  g_autofree char *found = doing ? g_strdup_printf("%s: %s", doing, g_strerror(errno)) : NULL;
  trial->tell(sign, found, trial->arg);
}

/* The file itself, not what has its name by now: who may write into the folder can put another there. */
static int open_again(int fd, int flags)
{
  char path[64];
  g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, flags | O_CLOEXEC);
}

/* ---- the file system ---- */

static void look_at_filesystem(const Trial *trial)
{
  g_autofree char *type = pool_dir_filesystem(trial->dir_fd);
  WsPoolSignWord sign = WS_POOL_SIGN_WORD_FILESYSTEM_KNOWN;
  if (g_strcmp0(type, "tmpfs") == 0)
    sign = WS_POOL_SIGN_WORD_FILESYSTEM_MEMORY;
  else if (g_strcmp0(type, "overlay") == 0)
    sign = WS_POOL_SIGN_WORD_FILESYSTEM_OVERLAY;
  trial->tell(sign, type, trial->arg);
}

/* false: it is read-only, and nothing else can be tried. */
static bool look_at_room(const Trial *trial)
{
  struct statvfs fs;
  if (fstatvfs(trial->dir_fd, &fs) < 0) {
    say(trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "read its free space");
    return false;
  }
  if (fs.f_flag & ST_RDONLY) {
    trial->tell(WS_POOL_SIGN_WORD_FILESYSTEM_READ_ONLY, NULL, trial->arg);
    return false;
  }
  guint64 all = (guint64)fs.f_blocks * fs.f_frsize, left = (guint64)fs.f_bavail * fs.f_frsize;
  char text[WS_SIZE_TEXT_MAX];
  WsPoolSignWord sign = WS_POOL_SIGN_WORD_SPACE_FREE;
  if (left < MIN(all / 100, FULL_BYTES))
    sign = WS_POOL_SIGN_WORD_SPACE_FULL;
  else if (left < MIN(all / 10, LOW_BYTES))
    sign = WS_POOL_SIGN_WORD_SPACE_LOW;
  ws_size_format(left, text);
  trial->tell(sign, text, trial->arg);
  return true;
}

/* ---- bytes ---- */

/* No two blocks alike, and no two trials: what an earlier one left would not pass for it. */
static char *pattern_of(const char *name)
{
  char *bytes = g_malloc(TRIAL_BYTES);
  guint64 state = (guint64)g_get_monotonic_time() ^ ((guint64)g_str_hash(name) << 32);
  for (gsize i = 0; i < TRIAL_BYTES; i += sizeof state) {
    state = state * G_GUINT64_CONSTANT(6364136223846793005) + G_GUINT64_CONSTANT(1442695040888963407);
    memcpy(bytes + i, &state, sizeof state);
  }
  return bytes;
}

static bool write_and_read(const Trial *trial, int fd)
{
  g_autofree char *bytes = pattern_of(trial->name), *seen = g_malloc(TRIAL_BYTES);
  gsize n = 0;
  if (!file_write_all(fd, bytes, TRIAL_BYTES, 0)) {
    say(trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "write");
    return false;
  }
  if (fsync(fd) < 0) {
    say(trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "sync");
    return false;
  }
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk, where it can be */
  int again = open_again(fd, O_RDONLY);
  for (gssize got;
       again >= 0 && n < TRIAL_BYTES && (got = pread(again, seen + n, TRIAL_BYTES - n, (off_t)n)) > 0;)
    n += (gsize)got;
  if (n < TRIAL_BYTES)
    say(trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "read");
  else
    trial->tell(memcmp(bytes, seen, TRIAL_BYTES) == 0 ? WS_POOL_SIGN_WORD_WRITE_DONE
                                                      : WS_POOL_SIGN_WORD_WRITE_DIFFERS,
                NULL, trial->arg);
  if (again >= 0)
    close(again);
  return n == TRIAL_BYTES;
}

static void write_directly(const Trial *trial, int file)
{
  void *block = NULL;
  int fd = open_again(file, O_RDWR | O_DIRECT);
  bool ok = fd >= 0 && posix_memalign(&block, BLOCK_BYTES, BLOCK_BYTES) == 0;
  if (ok) {
    memset(block, 0x5a, BLOCK_BYTES);
    ok = pwrite(fd, block, BLOCK_BYTES, 0) == BLOCK_BYTES;
  }
  say(trial, ok ? WS_POOL_SIGN_WORD_DIRECT_IO_WORKS : WS_POOL_SIGN_WORD_DIRECT_IO_MISSING,
      ok       ? NULL
      : fd < 0 ? "open"
               : "write");
  free(block); /* posix_memalign's */
  if (fd >= 0)
    close(fd);
}

/* ---- whose it is ---- */

static void give_away(const Trial *trial, int fd)
{
  struct stat st = {0};
  if (fstat(fd, &st) == 0 && st.st_uid != geteuid()) {
    g_autofree char *found = g_strdup_printf("uid %u", (guint)st.st_uid);
    trial->tell(WS_POOL_SIGN_WORD_OWNER_SQUASHED, found, trial->arg);
  } else if (geteuid() != 0) {
    return; /* an agent on trial, without rights to give anything away */
  } else if (fchown(fd, OTHER_UID, (gid_t)-1) < 0) {
    say(trial, WS_POOL_SIGN_WORD_OWNER_SQUASHED, "chown");
  } else {
    trial->tell(WS_POOL_SIGN_WORD_OWNER_KEPT, NULL, trial->arg);
  }
}

/* ---- locks ---- */

static bool lock(int fd)
{
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1};
  return fcntl(fd, F_OFD_SETLK, &range) == 0;
}

static void lock_twice(const Trial *trial, int fd)
{
  int other = open_again(fd, O_RDWR);
  if (other < 0) {
    say(trial, WS_POOL_SIGN_WORD_LOCKS_REFUSED, "open");
    return;
  }
  if (!lock(fd))
    say(trial, WS_POOL_SIGN_WORD_LOCKS_REFUSED, "lock");
  else if (lock(other))
    trial->tell(WS_POOL_SIGN_WORD_LOCKS_IGNORED, NULL, trial->arg);
  else if (errno == EAGAIN || errno == EACCES)
    trial->tell(WS_POOL_SIGN_WORD_LOCKS_KEPT, NULL, trial->arg);
  else
    say(trial, WS_POOL_SIGN_WORD_LOCKS_REFUSED, "lock");
  close(other);
}

/* ---- all of it ---- */

/* As a volume gets its name. */
static void rename_it(const Trial *trial)
{
  bool ok = pool_dir_publish(trial->dir_fd, trial->name, trial->dir_fd, trial->renamed) &&
            fsync(trial->dir_fd) == 0;
  say(trial, ok ? WS_POOL_SIGN_WORD_RENAME_DONE : WS_POOL_SIGN_WORD_RENAME_FAILED, ok ? NULL : "rename");
}

static char *second_name(const char *name)
{
  return g_strconcat(name, "-b", NULL);
}

bool pool_trial_clear(int dir_fd, const char *name)
{
  g_autofree char *renamed = second_name(name);
  const char *const names[] = {name, renamed};
  bool ok = true;
  for (guint i = 0; i < G_N_ELEMENTS(names); i++)
    ok = (unlinkat(dir_fd, names[i], 0) == 0 || errno == ENOENT) && ok;
  return ok;
}

void pool_trial_run(int dir_fd, const char *name, PoolTrialTell tell, void *arg)
{
  g_autofree char *renamed = second_name(name);
  Trial trial = {dir_fd, name, renamed, tell, arg};
  look_at_filesystem(&trial);
  if (!look_at_room(&trial))
    return;
  int fd = pool_dir_open_beneath(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    say(&trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "create");
    return;
  }
  if (write_and_read(&trial, fd)) {
    give_away(&trial, fd);
    lock_twice(&trial, fd);
    write_directly(&trial, fd);
    rename_it(&trial);
  }
  close(fd);
  if (!pool_trial_clear(dir_fd, name))
    say(&trial, WS_POOL_SIGN_WORD_WRITE_FAILED, "remove");
}
