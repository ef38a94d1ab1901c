// SPDX-License-Identifier: Apache-2.0
/* A pool's directory: opened without following a link, told apart by its identity file, swept of leftovers. */
#include "host/storage/pool_dir.h"
#include "base/error.h"
#include "base/log.h"
#include "host/storage/storage-private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define IDENTITY_FIRST_LINE "winsphere-pool 1\nuuid "
#define DIRECTORY_MODE                                                                                       \
  0711 /* QEMU, another user, must get at the files it is handed; nobody else may list them */

/* The root that `path` lies below, or NULL; *rest: what follows it. */
static const char *find_root(char *const *allowed_roots, const char *path, const char **rest)
{
  for (; *allowed_roots; allowed_roots++) {
    gsize n = strlen(*allowed_roots);
    if (strncmp(path, *allowed_roots, n) == 0 && path[n] == '/' && path[n + 1]) {
      *rest = path + n + 1;
      return *allowed_roots;
    }
  }
  return NULL;
}

/* What the contract's pattern says: plain components, none of them hidden, "." or "..". */
static bool is_plain(const char *path)
{
  for (const char *c = path; *c; c++)
    if ((*c == '/' && (c[1] == '.' || c[1] == '/' || c[1] == '-' || c[1] == 0)) ||
        !(g_ascii_isalnum(*c) || strchr("/._-", *c)))
      return false;
  return *path == '/';
}

bool pool_dir_check_path(char *const *allowed_roots, const char *path, GError **error)
{
  const char *rest;
  if (is_plain(path) && find_root(allowed_roots, path, &rest))
    return true;
  g_autofree char *roots = g_strjoinv(", ", (char **)allowed_roots);
  g_autofree char *expected = g_strdup_printf("a plain path below one of: %s", roots);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "path", "expected", expected, NULL);
}

bool storage_as_on_old_kernel;

/* The same step by step, for kernels before 5.6: no part may be a link or lead up. */
static int open_by_steps(int dir_fd, const char *name, int flags, mode_t mode)
{
  g_auto(GStrv) parts = g_strsplit(name, "/", -1);
  int at = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
  for (guint i = 0; at >= 0 && parts[i]; i++) {
    bool last = !parts[i + 1], strange = !*parts[i] || strcmp(parts[i], "..") == 0;
    int next = strange ? -1
               : last  ? openat(at, parts[i], flags | O_NOFOLLOW, mode)
                       : openat(at, parts[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int saved_errno = strange ? EXDEV : errno;
    close(at);
    errno = saved_errno;
    at = next;
  }
  return at;
}

int pool_dir_open_beneath(int dir_fd, const char *name, int flags, mode_t mode)
{
  struct open_how how = {.flags = (guint64)flags,
                         .mode = flags & O_CREAT ? mode : 0,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  int fd = storage_as_on_old_kernel ? -1 : (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
  if (fd < 0 && (storage_as_on_old_kernel || errno == ENOSYS))
    return open_by_steps(dir_fd, name, flags, how.mode);
  return fd;
}

/* With its mode whatever our umask is. */
static bool make_directory(int parent_fd, const char *name)
{
  if (mkdirat(parent_fd, name, DIRECTORY_MODE) < 0)
    return errno == EEXIST;
  return fchmodat(parent_fd, name, DIRECTORY_MODE, 0) == 0;
}

int pool_dir_open(char *const *allowed_roots, const char *path, bool make, GError **error)
{
  const char *rest = "";
  if (!pool_dir_check_path(allowed_roots, path, error))
    return -1;
  const char *root = find_root(allowed_roots, path, &rest);
  if (make && g_mkdir_with_parents(root, 0755) < 0) {
    ws_fail(error, WS_ERROR_IO_ERROR, "path", root, "cause", g_strerror(errno), NULL);
    return -1;
  }
  int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    ws_fail(error, WS_ERROR_IO_ERROR, "path", root, "cause", g_strerror(errno), NULL);
    return -1;
  }
  g_auto(GStrv) parts = g_strsplit(rest, "/", -1);
  for (char **part = parts; *part; part++) {
    if (make && !make_directory(fd, *part)) {
      ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
      close(fd);
      return -1;
    }
    int next = pool_dir_open_beneath(fd, *part, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int saved = errno;
    close(fd);
    fd = next;
    if (fd < 0) {
      ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause",
              saved == ELOOP || saved == ENOTDIR ? "a part of it is a symbolic link or no folder"
                                                 : g_strerror(saved),
              NULL);
      return -1;
    }
  }
  return fd;
}

char *pool_dir_identity(int dir_fd, const char *path, GError **error)
{
  int fd = pool_dir_open_beneath(dir_fd, POOL_IDENTITY_FILE, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) {
    if (errno != ENOENT)
      ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
    return NULL;
  }
  char buf[128] = {0};
  struct stat st; /* what is no file may be somebody's pipe */
  gssize n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, buf, sizeof buf - 1) : -1;
  close(fd);
  gsize head = strlen(IDENTITY_FIRST_LINE);
  if (n < (gssize)head + 37 || strncmp(buf, IDENTITY_FIRST_LINE, head) != 0 || buf[head + 36] != '\n') {
    g_autofree char *cause = g_strdup_printf("its identity file %s is damaged", POOL_IDENTITY_FILE);
    ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
    return NULL;
  }
  return g_strndup(buf + head, 36);
}

static bool is_same_file(int a_fd, const char *a, int b_fd, const char *b)
{
  struct stat x, y;
  return fstatat(a_fd, a, &x, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(b_fd, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool pool_dir_publish(int from_fd, const char *from, int to_fd, const char *to)
{
  if (!storage_as_on_old_kernel && renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
    return true;
  if (!storage_as_on_old_kernel && errno != EINVAL && errno != ENOSYS)
    return false;
  /* A server may have done what it is asked once more, because its answer was lost. */
  if (linkat(from_fd, from, to_fd, to, 0) < 0 && (errno != EEXIST || !is_same_file(from_fd, from, to_fd, to)))
    return false;
  unlinkat(from_fd, from, 0);
  return true;
}

bool pool_dir_is_open(const struct stat *st, bool nfs)
{
  bool theirs = !nfs && st->st_uid != 0 && st->st_uid != geteuid();
  return theirs || (st->st_mode & (nfs ? S_IWOTH : S_IWGRP | S_IWOTH));
}

bool pool_dir_mark(int dir_fd, const char *path, const char *uuid, const char *new_prefix, GError **error)
{
  g_autofree char *text = g_strconcat(IDENTITY_FIRST_LINE, uuid, "\n", NULL);
  g_autofree char *temp = g_strconcat(new_prefix, "identity", NULL);
  unlinkat(dir_fd, temp, 0);
  int fd = pool_dir_open_beneath(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  gssize n = (gssize)strlen(text);
  bool ok = fd >= 0 && write(fd, text, (gsize)n) == n && fsync(fd) == 0 &&
            pool_dir_publish(dir_fd, temp, dir_fd, POOL_IDENTITY_FILE) && fsync(dir_fd) == 0;
  int saved = errno;
  if (fd >= 0)
    close(fd);
  if (ok)
    return true;
  unlinkat(dir_fd, temp, 0);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(saved), NULL);
}

bool pool_dir_remove_folder(int dir_fd, const char *name)
{
  int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir)
    return false;
  for (struct dirent *e; (e = readdir(dir));)
    unlinkat(dirfd(dir), e->d_name, 0);
  closedir(dir);
  return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0;
}

void pool_dir_sweep(int dir_fd, const char *path, const char *new_prefix)
{
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir)
    return;
  for (struct dirent *e; (e = readdir(dir));)
    if (g_str_has_prefix(e->d_name, new_prefix) &&
        (unlinkat(dir_fd, e->d_name, 0) == 0 || pool_dir_remove_folder(dir_fd, e->d_name)))
      ws_log(WS_LOG_NOTICE, "pool-leftover-removed", "path", path, "file", e->d_name, NULL);
  closedir(dir);
}

char *pool_dir_filesystem(int dir_fd)
{
  static const struct {
    long magic;
    const char *name;
  } known[] = {
      {0xef53, "ext4"},      {0x58465342, "xfs"},     {0x9123683e, "btrfs"},
      {0x01021994, "tmpfs"}, {0x794c7630, "overlay"}, {0x6969, "nfs"},
      {0x2fc12fc1, "zfs"},   {0x65735546, "fuse"},    {0xf2f52010, "f2fs"},
  };
  struct statfs fs;
  if (fstatfs(dir_fd, &fs) < 0)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS(known); i++)
    if ((unsigned long)fs.f_type == (unsigned long)known[i].magic)
      return g_strdup(known[i].name);
  return g_strdup_printf("%#lx", (unsigned long)fs.f_type);
}

/* XFS has it or not by how it was made: only trying tells. */
bool pool_dir_can_reflink(int dir_fd, const char *new_prefix)
{
  g_autofree char *a = g_strconcat(new_prefix, "probe-a", NULL), *b = g_strconcat(new_prefix, "probe-b", NULL);
  int in = openat(dir_fd, a, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  int out = openat(dir_fd, b, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  char block[4096] = {1};
  bool can =
      in >= 0 && out >= 0 && write(in, block, sizeof block) == sizeof block && ioctl(out, FICLONE, in) == 0;
  if (in >= 0)
    close(in);
  if (out >= 0)
    close(out);
  unlinkat(dir_fd, a, 0);
  unlinkat(dir_fd, b, 0);
  return can;
}

bool pool_dir_is_empty(int dir_fd)
{
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir)
    return false;
  bool empty = true;
  for (struct dirent *e; (e = readdir(dir));)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
        strcmp(e->d_name, POOL_IDENTITY_FILE) != 0 && strcmp(e->d_name, POOL_LEASE_FOLDER) != 0)
      empty = false;
  closedir(dir);
  return empty;
}

void pool_dir_drop_leases(int dir_fd)
{
  int fd = pool_dir_open_beneath(dir_fd, POOL_LEASE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  for (struct dirent *e; dir && (e = readdir(dir));)
    if (e->d_name[0] != '.')
      unlinkat(fd, e->d_name, 0);
  if (dir)
    closedir(dir);
  unlinkat(dir_fd, POOL_LEASE_FOLDER, AT_REMOVEDIR);
}
