// SPDX-License-Identifier: Apache-2.0
/* Confinement on kernels without detached mounts (before 5.12; 4.19 is still about): the same new root, by bind mounts.
 *
 * Everything is put together behind the back of the program that is to come: on a scratch root where the old one is /old and the new one /new. A
 * bind mount takes its flags only afterwards, mount by mount, so the list of mounts is read back from the kernel and each one below /new is
 * remounted as it shall be; if one cannot be, nothing is run. Then /new becomes the root and the scratch root goes. The child, like all
 * of confine.c's second half: system calls only. */
#include "base/confine-private.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCRATCH "/dev" /* any directory that is there; it is uncovered again */
#define LINE_MAX_BYTES (2 * PATH_MAX)

/* "/new" + path, or "/old" + path; NULL: too long. */
static const char *under(const char *root, const char *path, char *buffer)
{
  gsize n = strlen(root), m = strlen(path);
  if (n + m >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return NULL;
  }
  memcpy(buffer, root, n);
  memcpy(buffer + n, path, m + 1);
  return buffer;
}

static bool new_tmpfs(const char *path, unsigned long flags)
{
  return mount("tmpfs", path, "tmpfs", flags, "size=1m,mode=0755") == 0;
}

static bool bind(const char *path, bool directory)
{
  char from[PATH_MAX], to[PATH_MAX];
  return under("/old", path, from) && under("/new", path, to) && ws_confine_make_place(to, directory) &&
         mount(from, to, NULL, MS_BIND | MS_REC, NULL) == 0;
}

/* ---- flags, once all is in place ---- */

static unsigned long flags_of(guint64 attributes)
{
  unsigned long flags = 0;
  flags |= attributes & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0;
  flags |= attributes & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0;
  flags |= attributes & MOUNT_ATTR_NODEV ? MS_NODEV : 0;
  flags |= attributes & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0;
  return flags;
}

static bool is_at_or_below(const char *path, const char *top)
{
  gsize n = strlen(top);
  return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* What a mount at this path of the new root shall have: as the last of the shown that it belongs to. */
static unsigned long wanted_flags(const WsConfinePlan *plan, const char *path)
{
  unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (is_at_or_below(path, "/dev"))
    flags = MS_NOSUID | MS_NOEXEC | (strcmp(path, "/dev") == 0 ? MS_RDONLY : 0);
  if (is_at_or_below(path, "/proc"))
    flags |= MS_NOEXEC;
  for (guint i = 0; i < plan->shown->len; i++) {
    const WsConfineShown *shown = &g_array_index(plan->shown, WsConfineShown, i);
    if (!shown->link && is_at_or_below(path, shown->path))
      flags = flags_of(shown->attributes);
  }
  return flags;
}

/* "\\040" and its like, in place. */
static void unescape(char *text)
{
  char *to = text;
  for (const char *at = text; *at; to++)
    if (at[0] == '\\' && at[1] && at[2] && at[3]) {
      *to = (char)(((at[1] - '0') << 6) | ((at[2] - '0') << 3) | (at[3] - '0'));
      at += 4;
    } else {
      *to = *at++;
    }
  *to = 0;
}

/* One line of mountinfo: "ID PARENT MAJOR:MINOR ROOT PLACE OPTIONS ...". */
static bool remount_line(const WsConfinePlan *plan, char *line)
{
  char *fields[6] = {line}, *rest = line;
  for (guint i = 1; i < G_N_ELEMENTS(fields); i++) {
    rest = strchr(rest, ' ');
    if (!rest)
      return true;
    *rest++ = 0;
    fields[i] = rest;
  }
  char *end = strchr(fields[5], ' ');
  if (end)
    *end = 0;
  unescape(fields[4]);
  if (!is_at_or_below(fields[4], "/new"))
    return true;
  const char *path = fields[4][4] ? fields[4] + 4 : "/";
  unsigned long flags = wanted_flags(plan, path);
  if (strstr(fields[5], "noexec"))
    flags |= MS_NOEXEC; /* what it has it keeps */
  if (strstr(fields[5], "nodev"))
    flags |= MS_NODEV;
  /* Not there, or no place of a mount: another one covers it, and has a line of its own. */
  return mount(NULL, fields[4], NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0 || errno == ENOENT || errno == EINVAL;
}

/* Reads the list whole lines at a time. */
static bool remount_all(const WsConfinePlan *plan)
{
  char buffer[LINE_MAX_BYTES + 1];
  gsize n = 0;
  int fd = open("/old/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  bool ok = fd >= 0;
  while (ok) {
    gssize got = read(fd, buffer + n, LINE_MAX_BYTES - n);
    if (got <= 0) {
      ok = got == 0 && n == 0;
      break;
    }
    n += (gsize)got;
    buffer[n] = 0;
    char *line = buffer;
    for (char *end; ok && (end = strchr(line, '\n')); line = end + 1) {
      *end = 0;
      ok = remount_line(plan, line);
    }
    n -= (gsize)(line - buffer);
    memmove(buffer, line, n);
    ok = ok && n < LINE_MAX_BYTES;
  }
  int saved_errno = errno;
  if (fd >= 0)
    close(fd);
  errno = saved_errno;
  return ok;
}

/* ---- the new root ---- */

static bool make_scratch(void)
{
  return new_tmpfs(SCRATCH, MS_NOSUID | MS_NODEV | MS_NOEXEC) && mkdir(SCRATCH "/old", 0700) == 0 && mkdir(SCRATCH "/new", 0755) == 0 &&
         chdir(SCRATCH) == 0 && syscall(SYS_pivot_root, ".", "old") == 0 && chdir("/") == 0;
}

static bool make_root(const WsConfinePlan *plan)
{
  return plan->whole_root ? mount("/old", "/new", NULL, MS_BIND | MS_REC, NULL) == 0 : new_tmpfs("/new", MS_NOSUID | MS_NODEV);
}

static bool make_proc(void)
{
  return ws_confine_make_place("/new/proc", true) && mount("proc", "/new/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static bool make_dev(void)
{
  if (!ws_confine_make_place("/new/dev", true) || !new_tmpfs("/new/dev", MS_NOSUID | MS_NOEXEC))
    return false;
  for (guint i = 0; i < WS_CONFINE_N_DEVICES; i++)
    if (!bind(ws_confine_devices[i], false))
      return false;
  return symlink("/proc/self/fd", "/new/dev/fd") == 0 && symlink("/proc/self/fd/0", "/new/dev/stdin") == 0 &&
         symlink("/proc/self/fd/1", "/new/dev/stdout") == 0 && symlink("/proc/self/fd/2", "/new/dev/stderr") == 0;
}

static bool hide(const char *path)
{
  return access(path, F_OK) != 0 || new_tmpfs(path, MS_NOSUID | MS_NODEV | MS_NOEXEC);
}

static bool bind_shown(const WsConfinePlan *plan)
{
  char to[PATH_MAX];
  for (guint i = 0; i < plan->shown->len; i++) {
    const WsConfineShown *shown = &g_array_index(plan->shown, WsConfineShown, i);
    bool ok = shown->link ? under("/new", shown->path, to) && symlink(shown->link, to) == 0 : bind(shown->path, shown->directory);
    if (!ok)
      return false;
  }
  return true;
}

static bool change_root(void)
{
  return chdir("/new") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

const char *ws_confine_enter_by_binds(const WsConfinePlan *plan)
{
  if (!make_scratch())
    return "make a scratch root";
  if (!make_root(plan))
    return "make a root";
  if (!make_proc())
    return "mount /proc";
  if (!make_dev())
    return "make /dev";
  if (plan->whole_root && (!hide("/new/sys") || !hide("/new/run")))
    return "hide /sys and /run";
  if (!bind_shown(plan))
    return "bind mounts";
  if (!remount_all(plan))
    return "make mounts read-only";
  if (!change_root())
    return "change the root";
  return NULL;
}
