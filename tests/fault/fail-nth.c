// SPDX-License-Identifier: Apache-2.0
/* LD_PRELOAD: the n-th operation that changes a file below one directory fails, or kills the process.
 *
 *   FAIL_DIR    files below this directory count
 *   FAIL_AT     number of the operation; 0 or absent: none
 *   FAIL_HOW    an errno ("28": ENOSPC), or "kill": SIGKILL instead of the operation
 *   FAIL_WHILE  a file; while it exists every write fails with FAIL_HOW, and FAIL_AT does not matter
 *   FAIL_COUNT  a file that gets the number of operations, in decimal, at each one (for the test to know when it is through)
 *
 * Operations: write, pwrite, fsync, fdatasync, ftruncate, fallocate, rename, unlink, mkdir, open with O_CREAT. */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int n_done; /* atomic */

static int counts(const char *path)
{
  const char *dir = getenv("FAIL_DIR");
  size_t n = dir ? strlen(dir) : 0;
  return n && strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static int counts_fd(int fd)
{
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0)
    return 0;
  path[n] = '\0';
  return counts(path);
}

static void tell(int n)
{
  const char *file = getenv("FAIL_COUNT");
  char text[16];
  int length = snprintf(text, sizeof text, "%d\n", n);
  int fd = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    syscall(SYS_write, fd, text, length);
    syscall(SYS_close, fd);
  }
}

/* The errno of the operation at hand; 0: it goes on. */
static int fails(int is_write)
{
  const char *at = getenv("FAIL_AT"), *how = getenv("FAIL_HOW"), *present = getenv("FAIL_WHILE");
  int error = how && *how != 'k' ? atoi(how) : 0;
  if (present)
    return is_write && access(present, F_OK) == 0 ? error : 0;
  int n = __atomic_add_fetch(&n_done, 1, __ATOMIC_SEQ_CST);
  tell(n);
  if (!at || n != atoi(at))
    return 0;
  if (!error)
    kill(getpid(), SIGKILL);
  return error;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)
#define OR_FAIL(counted, is_write)                                                                                      \
  int error = (counted) ? fails(is_write) : 0;                                                                          \
  if (error) {                                                                                                          \
    errno = error;                                                                                                      \
    return -1;                                                                                                          \
  }

ssize_t write(int fd, const void *bytes, size_t n)
{
  REAL(ssize_t, "write", int, const void *, size_t);
  OR_FAIL(counts_fd(fd), 1)
  return real(fd, bytes, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  OR_FAIL(counts_fd(fd), 1)
  return real(fd, bytes, n, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
  return pwrite64(fd, bytes, n, offset);
}

int fsync(int fd)
{
  REAL(int, "fsync", int);
  OR_FAIL(counts_fd(fd), 0)
  return real(fd);
}

int fdatasync(int fd)
{
  REAL(int, "fdatasync", int);
  OR_FAIL(counts_fd(fd), 0)
  return real(fd);
}

int ftruncate64(int fd, off64_t size)
{
  REAL(int, "ftruncate64", int, off64_t);
  OR_FAIL(counts_fd(fd), 1)
  return real(fd, size);
}

int ftruncate(int fd, off_t size)
{
  return ftruncate64(fd, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
  REAL(int, "fallocate64", int, int, off64_t, off64_t);
  OR_FAIL(counts_fd(fd), 1)
  return real(fd, mode, offset, size);
}

int rename(const char *from, const char *to)
{
  REAL(int, "rename", const char *, const char *);
  OR_FAIL(counts(to), 0)
  return real(from, to);
}

int unlink(const char *path)
{
  REAL(int, "unlink", const char *);
  OR_FAIL(counts(path), 0)
  return real(path);
}

int mkdir(const char *path, mode_t mode)
{
  REAL(int, "mkdir", const char *, mode_t);
  OR_FAIL(counts(path), 0)
  return real(path, mode);
}

static int open_as(const char *path, int flags, mode_t mode)
{
  REAL(int, "open64", const char *, int, ...);
  OR_FAIL((flags & O_CREAT) && counts(path), 0)
  return real(path, flags, mode);
}

#define MODE_OF(flags)                                                                                                  \
  mode_t mode = 0;                                                                                                      \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                                \
    va_list more;                                                                                                       \
    va_start(more, flags);                                                                                              \
    mode = va_arg(more, mode_t);                                                                                        \
    va_end(more);                                                                                                       \
  }

int open(const char *path, int flags, ...)
{
  MODE_OF(flags)
  return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
  MODE_OF(flags)
  return open_as(path, flags, mode);
}
