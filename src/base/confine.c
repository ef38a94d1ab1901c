// SPDX-License-Identifier: Apache-2.0
/* Confinement: a new root made of read-only copies of the mounts that shall be seen, no capabilities, a
 * system call filter.
 *
 * The new root is put together from detached mount trees (open_tree, mount_setattr, move_mount; Linux 5.12):
 * each is made read-only before it is attached, so at no moment is anything writable that should not be. Only
 * then is the root changed. Older kernels: confine-binds.c. */
#include "base/confine-private.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

const char *const ws_confine_devices[WS_CONFINE_N_DEVICES] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

bool ws_exec_as_on_old_kernel;

/* ---- the system call filter (parent) ---- */

/* What a program needs to compute, use threads and children, and work on files. */
static const char *const allowed_calls[] = {
    /* files */
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lseek",
    "_llseek",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "sync_file_range2",
    "syncfs",
    "truncate",
    "truncate64",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "write",
    "writev",
    /* waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "_newselect",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    /* memory */
    "brk",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munmap",
    /* processes, threads, signals */
    "alarm",
    "arch_prctl",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "pause",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setitimer",
    "setpgid",
    "setpriority",
    "setrlimit",
    "setsid",
    "sigaltstack",
    "tgkill",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "times",
    "tkill",
    "ugetrlimit",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
    /* time and facts */
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getrandom",
    "gettimeofday",
    "nanosleep",
    "sysinfo",
    "time",
    "uname",
};

#define NAMESPACES                                                                                           \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const guint prctl_options[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_CAPBSET_READ,
                                      PR_GET_SECUREBITS};

/* Questions about terminals and files, and sharing of blocks between files. No TIOCSTI: typing into a
 * terminal that was left open is the classic way out. */
static const guint ioctl_requests[] = {TCGETS,        TIOCGWINSZ,      FIONREAD,        FIONBIO,
                                       FIOCLEX,       FIONCLEX,        FICLONE,         FICLONERANGE,
                                       FS_IOC_FIEMAP, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR,
                                       0x800c581e /* XFS_IOC_DIOINFO: alignment for direct I/O */};

/* Allows a call when argument `index` is one of the values. */
static int allow_values(scmp_filter_ctx context, int call, guint index, const guint *values, guint n)
{
  int failed = 0;
  for (guint i = 0; i < n && !failed; i++)
    failed = seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(index, SCMP_CMP_EQ, values[i]));
  return failed;
}

static int add_conditional_rules(scmp_filter_ctx context)
{
  int failed = allow_values(context, SCMP_SYS(prctl), 0, prctl_options, G_N_ELEMENTS(prctl_options));
  if (!failed)
    failed = allow_values(context, SCMP_SYS(ioctl), 1, ioctl_requests, G_N_ELEMENTS(ioctl_requests));
  if (!failed)
    failed = seccomp_rule_add(context, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, (scmp_datum_t)NAMESPACES, 0));
  /* The flags of clone3 are in memory, where a filter cannot look: "not there" makes the C library use clone.
   */
  if (!failed)
    failed = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  return failed;
}

static int add_rules(scmp_filter_ctx context)
{
  for (guint i = 0; i < G_N_ELEMENTS(allowed_calls); i++) {
    int number = seccomp_syscall_resolve_name(allowed_calls[i]);
    if (number < 0) /* not on this architecture */
      continue;
    int failed = seccomp_rule_add(context, SCMP_ACT_ALLOW, number, 0);
    if (failed)
      return failed;
  }
  return add_conditional_rules(context);
}

/* The filter as the kernel takes it; lives as long as the process. len 0: could not be made. */
static struct sock_fprog compile_filter(void)
{
  struct sock_fprog filter = {0};
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  int fd = memfd_create("filter", MFD_CLOEXEC);
  struct stat st;
  if (context && fd >= 0 && seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
      add_rules(context) == 0 && seccomp_export_bpf(context, fd) == 0 && fstat(fd, &st) == 0) {
    filter.filter = g_malloc((gsize)st.st_size);
    if (pread(fd, filter.filter, (gsize)st.st_size, 0) == st.st_size)
      filter.len = (guint16)((gsize)st.st_size / sizeof *filter.filter);
  }
  if (context)
    seccomp_release(context);
  if (fd >= 0)
    close(fd);
  return filter;
}

static struct sock_fprog shared_filter(void)
{
  static struct sock_fprog filter;
  static gsize once;
  if (g_once_init_enter(&once)) {
    filter = compile_filter();
    g_once_init_leave(&once, 1);
  }
  return filter;
}

/* ---- the plan (parent) ---- */

static void clear_shown(void *item)
{
  WsConfineShown *shown = item;
  g_free(shown->path);
  g_free(shown->link);
}

static int compare_shown(gconstpointer a, gconstpointer b)
{
  return strcmp(((const WsConfineShown *)a)->path, ((const WsConfineShown *)b)->path); /* "/a" comes before "/a/b" */
}

static bool show(WsConfinePlan *plan, const char *path, guint64 attributes, GError **error)
{
  struct stat st;
  g_assert(path[0] == '/');
  if (stat(path, &st) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  WsConfineShown shown = {.path = g_strdup(path), .directory = S_ISDIR(st.st_mode), .attributes = attributes};
  g_array_append_val(plan->shown, shown);
  return true;
}

/* Programs, libraries and what finds them. */
static bool show_system(WsConfinePlan *plan, GError **error)
{
  static const char *const paths[] = {"/usr",
                                      "/bin",
                                      "/sbin",
                                      "/lib",
                                      "/lib32",
                                      "/lib64",
                                      "/libx32",
                                      "/etc/ld.so.cache",
                                      "/etc/alternatives"};
  for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
    g_autofree char *link = g_file_read_link(paths[i], NULL);
    if (link) {
      WsConfineShown shown = {.path = g_strdup(paths[i]), .link = g_steal_pointer(&link)};
      g_array_append_val(plan->shown, shown);
    } else if (access(paths[i], F_OK) == 0 && !show(plan, paths[i], READ_ONLY, error)) {
      return false;
    }
  }
  return true;
}

static bool show_all(WsConfinePlan *plan, const WsExec *exec, const char *program, GError **error)
{
  for (guint i = 0; exec->visible && exec->visible[i]; i++)
    if (g_strcmp0(exec->visible[i], exec->writable) != 0 &&
        !show(plan, exec->visible[i], READ_ONLY | MOUNT_ATTR_NOEXEC, error))
      return false;
  if (exec->writable &&
      !show(plan, exec->writable, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, error))
    return false;
  if (plan->whole_root)
    return true;
  bool of_system = g_str_has_prefix(program, "/usr/") || g_str_has_prefix(program, "/bin/") ||
                   g_str_has_prefix(program, "/sbin/");
  return show_system(plan, error) && (of_system || show(plan, program, READ_ONLY, error));
}

static bool may_mount(void)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {0};
  if (syscall(SYS_capget, &header, sets) != 0)
    return false;
  return sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

WsConfinePlan *ws_confine_plan_new(const WsExec *exec, const char *program, GError **error)
{
  WsConfinePlan *plan = g_new0(WsConfinePlan, 1);
  plan->whole_root = exec->visible == NULL;
  plan->shown = g_array_new(FALSE, FALSE, sizeof(WsConfineShown));
  g_array_set_clear_func(plan->shown, clear_shown);
  plan->user_namespace = !may_mount();
  plan->uid_map = g_strdup_printf("%u %u 1\n", (guint)geteuid(), (guint)geteuid());
  plan->gid_map = g_strdup_printf("%u %u 1\n", (guint)getegid(), (guint)getegid());
  plan->filter = shared_filter();
  bool ok = plan->filter.len > 0 || ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "confining programs",
                                            "cause", "no seccomp filter", NULL);
  if (!ok || !show_all(plan, exec, program, error)) {
    ws_confine_plan_free(plan);
    return NULL;
  }
  g_array_sort(plan->shown, compare_shown);
  return plan;
}

void ws_confine_plan_free(WsConfinePlan *plan)
{
  if (!plan)
    return;
  g_array_unref(plan->shown);
  g_free(plan->uid_map);
  g_free(plan->gid_map);
  g_free(plan);
}

int ws_confine_clone_flags(const WsConfinePlan *plan)
{
  return CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
         (plan->user_namespace ? CLONE_NEWUSER : 0);
}

/* ---- from here on: the child; system calls only ---- */

static bool write_file(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  gssize n = (gssize)strlen(text);
  bool ok = fd >= 0 && write(fd, text, (gsize)n) == n;
  if (fd >= 0)
    close(fd);
  return ok;
}

static bool map_ids(const WsConfinePlan *plan)
{
  return !plan->user_namespace ||
         (write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", plan->uid_map) &&
          write_file("/proc/self/gid_map", plan->gid_map));
}

static bool set_attributes(int dir_fd, const char *path, guint flags, guint64 attributes)
{
  struct mount_attr change = {.attr_set = attributes};
  return mount_setattr(dir_fd, path, flags, &change, sizeof change) == 0;
}

/* A detached copy of the mounts at `path`, with `attributes` on top of their own; -1: failed. */
static int copy_tree(const char *path, guint64 attributes)
{
  int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (fd >= 0 && set_attributes(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, attributes))
    return fd;
  return -1;
}

/* Turns a configured file system context into a detached mount; takes the context over. */
static int mount_context(int context, guint64 attributes)
{
  int fd = -1;
  if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    fd = fsmount(context, FSMOUNT_CLOEXEC, (guint)attributes);
  int saved_errno = errno;
  if (context >= 0)
    close(context);
  errno = saved_errno;
  return fd;
}

/* Room for places to mount on, no more. */
static int new_tmpfs(guint64 attributes)
{
  int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context >= 0) {
    fsconfig(context, FSCONFIG_SET_STRING, "size", "1m", 0);
    fsconfig(context, FSCONFIG_SET_STRING, "mode", "0755", 0);
  }
  return mount_context(context, attributes);
}

static int new_proc(void)
{
  return mount_context(fsopen("proc", FSOPEN_CLOEXEC), READ_ONLY | MOUNT_ATTR_NOEXEC);
}

static bool attach(int tree_fd, const char *path)
{
  bool ok = tree_fd >= 0 && move_mount(tree_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
  if (tree_fd >= 0)
    close(tree_fd);
  return ok;
}

bool ws_confine_make_place(const char *path, bool directory)
{
  char part[PATH_MAX];
  gsize n = strlen(path);
  if (n >= sizeof part) {
    errno = ENAMETOOLONG;
    return false;
  }
  for (gsize i = 1; i < n; i++)
    if (path[i] == '/') {
      memcpy(part, path, i);
      part[i] = '\0';
      if (access(part, F_OK) != 0 && mkdir(part, 0755) != 0)
        return false;
    }
  if (access(path, F_OK) == 0)
    return true;
  if (directory)
    return mkdir(path, 0755) == 0;
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

/* All trees are taken from the old root before anything covers it. */
static bool copy_shown(const WsConfinePlan *plan)
{
  for (guint i = 0; i < plan->shown->len; i++) {
    WsConfineShown *shown = &g_array_index(plan->shown, WsConfineShown, i);
    if (shown->link)
      continue;
    shown->tree_fd = copy_tree(shown->path, shown->attributes);
    if (shown->tree_fd < 0)
      return false;
  }
  return true;
}

static bool attach_shown(const WsConfinePlan *plan)
{
  for (guint i = 0; i < plan->shown->len; i++) {
    const WsConfineShown *shown = &g_array_index(plan->shown, WsConfineShown, i);
    bool ok = shown->link ? symlink(shown->link, shown->path) == 0
                          : ws_confine_make_place(shown->path, shown->directory) && attach(shown->tree_fd, shown->path);
    if (!ok)
      return false;
  }
  return true;
}

/* The root changes to the tree; nothing of the old one stays reachable. */
static bool change_root(int tree_fd)
{
  const char *place = "/dev"; /* any directory that is there */
  return attach(tree_fd, place) && chdir(place) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
         umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

/* Covers a directory of the host's, if it is there, with an empty one. */
static bool hide(const char *path)
{
  return access(path, F_OK) != 0 ||
         attach(new_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), path);
}

static bool make_dev(const int *device_fds)
{
  if (!ws_confine_make_place("/dev", true) || !attach(new_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), "/dev"))
    return false;
  for (guint i = 0; i < WS_CONFINE_N_DEVICES; i++)
    if (!ws_confine_make_place(ws_confine_devices[i], false) || !attach(device_fds[i], ws_confine_devices[i]))
      return false;
  return symlink("/proc/self/fd", "/dev/fd") == 0 && symlink("/proc/self/fd/0", "/dev/stdin") == 0 &&
         symlink("/proc/self/fd/1", "/dev/stdout") == 0 && symlink("/proc/self/fd/2", "/dev/stderr") == 0;
}

/* What was writable so that places for mounts could be made in it. */
static bool lock_places(const WsConfinePlan *plan)
{
  static const char *const hidden[] = {"/sys", "/run"};
  if (!set_attributes(AT_FDCWD, "/dev", 0, MOUNT_ATTR_RDONLY))
    return false;
  if (!plan->whole_root)
    return set_attributes(AT_FDCWD, "/", 0, MOUNT_ATTR_RDONLY);
  for (guint i = 0; i < G_N_ELEMENTS(hidden); i++)
    if (access(hidden[i], F_OK) == 0 && !set_attributes(AT_FDCWD, hidden[i], 0, MOUNT_ATTR_RDONLY))
      return false;
  return true;
}

/* The calls of 5.12 and before are all there when the last of them is. */
static bool has_detached_mounts(void)
{
  return !ws_exec_as_on_old_kernel && (mount_setattr(-1, "", 0, NULL, 0) == 0 || errno != ENOSYS);
}

const char *ws_confine_enter(const WsConfinePlan *plan)
{
  int device_fds[WS_CONFINE_N_DEVICES];
  if (!map_ids(plan))
    return "map ids";
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
    return "make mounts private";
  if (!has_detached_mounts())
    return ws_confine_enter_by_binds(plan);
  for (guint i = 0; i < WS_CONFINE_N_DEVICES; i++)
    if ((device_fds[i] = copy_tree(ws_confine_devices[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) < 0)
      return "copy devices";
  if (!copy_shown(plan))
    return "copy mounts";
  int proc =
      new_proc(); /* before the root changes: in a user namespace, only who sees a /proc may mount one */
  if (proc < 0)
    return "make a /proc";
  int root = plan->whole_root ? copy_tree("/", READ_ONLY) : new_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (root < 0)
    return "make a root";
  if (!change_root(root))
    return "change the root";
  if (!ws_confine_make_place("/proc", true) || !attach(proc, "/proc"))
    return "mount /proc";
  if (!make_dev(device_fds))
    return "make /dev";
  if (plan->whole_root && (!hide("/sys") || !hide("/run")))
    return "hide /sys and /run";
  if (!attach_shown(plan))
    return "attach mounts";
  if (!lock_places(plan))
    return "make the root read-only";
  return NULL;
}

/* Disks belong to libvirt's user; all else that root may do is gone. */
static bool drop_capabilities(void)
{
  const guint32 kept = CAP_TO_MASK(CAP_DAC_OVERRIDE);
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
    if (cap != CAP_DAC_OVERRIDE && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
      return false;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {{.effective = kept, .permitted = kept, .inheritable = kept}};
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
         syscall(SYS_capset, &header, sets) == 0;
}

const char *ws_confine_drop_rights(const WsConfinePlan *plan)
{
  if (!drop_capabilities())
    return "drop capabilities";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return "forbid new privileges";
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &plan->filter, 0, 0) != 0)
    return "set the system call filter";
  return NULL;
}
