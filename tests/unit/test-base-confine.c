// SPDX-License-Identifier: Apache-2.0
/* Confined programs: what they can no longer do, and that qemu-img still works. This program is also the one
 * that is confined:
 * "--probe WHAT [PATH]" tries one thing and prints "ok" or the error's name. Where the machine does not let
 * us confine at all (no root and no user namespaces) the tests are skipped. With KERNEL=old in its environment all of it is done as on
 * Linux 4.19. */
#include "base/confine-private.h"
#include "base/error.h"
#include "base/exec.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *self; /* path of this program */
static char *dir;  /* a directory for one test */

/* ---- probes: run in the confined child ---- */

static long try_write(const char *path)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  return fd < 0 ? -1 : write(fd, "x", 1);
}

static long try_read(const char *path)
{
  char byte;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : read(fd, &byte, 1);
}

static gpointer do_nothing(gpointer arg)
{
  return NULL;
}

static long try_thread(void)
{
  GThread *thread = g_thread_try_new("t", do_nothing, NULL, NULL);
  return thread ? (g_thread_join(thread), 0) : -1;
}

static long try_call(const char *what, const char *path)
{
  const struct {
    const char *name;
    long number, a, b;
  } calls[] = {
      {"unshare", SYS_unshare, CLONE_NEWUSER, 0},
      {"clone-namespace", SYS_clone, CLONE_NEWUSER | 17, 0},
      {"clone3", SYS_clone3, 0, 0},
      {"keyctl", SYS_keyctl, 0, -3},
      {"bpf", SYS_bpf, 0, 0},
      {"perf", SYS_perf_event_open, 0, 0},
      {"init-module", SYS_init_module, 0, 0},
      {"io-uring", SYS_io_uring_setup, 1, 0},
      {"userfaultfd", SYS_userfaultfd, 0, 0},
      {"chroot", SYS_chroot, (long)"/", 0},
      {"setuid", SYS_setuid, 1, 0},
      {"reboot", SYS_reboot, 0, 0},
      {"sethostname", SYS_sethostname, (long)"x", 1},
      {"settime", SYS_clock_settime, 0, 0},
      {"open-by-handle", SYS_open_by_handle_at, 0, 0},
      {"pidfd-open", SYS_pidfd_open, 1, 0},
      {"new-mount", SYS_fsopen, (long)"tmpfs", 0},
      {"ptrace", SYS_ptrace, PTRACE_TRACEME, 0},
      {"outlive-parent", SYS_prctl, PR_SET_PDEATHSIG, 0},
  };
  for (guint i = 0; i < G_N_ELEMENTS(calls); i++)
    if (strcmp(what, calls[i].name) == 0)
      return syscall(calls[i].number, calls[i].a, calls[i].b, 0, 0, 0);
  if (strcmp(what, "socket-inet") == 0)
    return socket(AF_INET, SOCK_STREAM, 0);
  if (strcmp(what, "socket-unix") == 0)
    return socket(AF_UNIX, SOCK_STREAM, 0);
  if (strcmp(what, "mount") == 0)
    return mount("none", "/usr", "tmpfs", 0, NULL);
  if (strcmp(what, "umount") == 0)
    return umount2(path, MNT_DETACH);
  if (strcmp(what, "sti") == 0)
    return ioctl(1, TIOCSTI, "x");
  if (strcmp(what, "mknod") == 0)
    return mknod(path, S_IFBLK | 0600, makedev(8, 0));
  if (strcmp(what, "write") == 0)
    return try_write(path);
  if (strcmp(what, "read") == 0)
    return try_read(path);
  if (strcmp(what, "list") == 0)
    return access(path, F_OK);
  if (strcmp(what, "thread") == 0)
    return try_thread();
  if (strcmp(what, "raise-limit") == 0)
    return setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
  errno = ENOTSUP;
  return -1;
}

static int probe(const char *what, const char *path)
{
  errno = 0;
  long result = try_call(what, path);
  g_print("%s", result >= 0 ? "ok" : errno == EPERM ? "EPERM" : errno == EROFS ? "EROFS" : g_strerror(errno));
  return 0;
}

/* ---- help ---- */

static char *confined(WsExec exec)
{
  g_autoptr(GError) error = NULL;
  char *out = NULL;
  exec.confine = true;
  exec.env = ARGV("ASAN_OPTIONS=detect_leaks=0"); /* the leak check wants ptrace */
  bool ok = ws_exec(&exec, &out, NULL, NULL, &error);
  g_assert_no_error(error);
  g_assert_true(ok);
  return out;
}

static void assert_probe(const char *what, const char *path, const char *result)
{
  g_test_message("%s %s", what, path ? path : "");
  g_autofree char *out =
      confined((WsExec){.argv = ARGV(self, "--probe", what, path ? path : "/"), .writable = dir});
  g_assert_cmpstr(out, ==, result);
}

static char *in_dir(const char *name)
{
  return g_build_filename(dir, name, NULL);
}

/* Whether the kernel would let us, asked without the code under test. */
static bool kernel_allows(void)
{
  int user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
  int status;
  pid_t pid = fork();
  if (pid == 0)
    _exit(unshare(user | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) != 0);
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  return status == 0;
}

/* ---- rights ---- */

static void dangerous_calls_are_refused(void)
{
  static const char *const calls[] = {
      "socket-inet", "socket-unix", "mount",  "umount",      "unshare",     "clone-namespace",
      "keyctl",      "bpf",         "perf",   "io-uring",    "init-module", "userfaultfd",
      "chroot",      "setuid",      "reboot", "sethostname", "settime",     "open-by-handle",
      "pidfd-open",  "new-mount",   "ptrace", "sti",         "mknod",       "outlive-parent"};
  for (guint i = 0; i < G_N_ELEMENTS(calls); i++)
    assert_probe(calls[i], NULL, "EPERM");
  assert_probe("clone3", NULL, g_strerror(ENOSYS));
  assert_probe("thread", NULL, "ok");
}

/* The probes themselves are sound: outside they succeed. */
static void the_same_calls_succeed_outside(void)
{
  static const char *const calls[] = {"socket-inet", "socket-unix", "ptrace", "outlive-parent"};
  for (guint i = 0; i < G_N_ELEMENTS(calls); i++) {
    g_autofree char *out = NULL;
    g_autoptr(GError) error = NULL;
    ws_exec(&(WsExec){.argv = ARGV(self, "--probe", calls[i], "/"), .any_status = true}, &out, NULL, NULL,
            &error);
    g_assert_no_error(error);
    g_test_message("%s", calls[i]);
    g_assert_true(g_str_has_prefix(out, "ok"));
  }
}

static void rights_are_gone_and_cannot_come_back(void)
{
  g_autofree char *status = confined((WsExec){.argv = ARGV("cat", "/proc/self/status")});
  g_assert_nonnull(strstr(status, "\nNoNewPrivs:\t1\n"));
  g_assert_nonnull(strstr(status, "\nSeccomp:\t2\n"));
  g_assert_nonnull(strstr(status, "\nCapBnd:\t0000000000000002\n")); /* CAP_DAC_OVERRIDE */
  g_assert_nonnull(strstr(status, "\nCapAmb:\t0000000000000000\n"));
  if (geteuid() == 0)
    g_assert_nonnull(strstr(status, "\nCapEff:\t0000000000000002\n"));
}

/* ---- what is to be seen ---- */

static void only_the_writable_place_can_be_written(void)
{
  g_autofree char *inside = in_dir("file"), *beside = g_strconcat(dir, "-beside", NULL);
  assert_probe("write", inside, "ok");
  g_assert_true(g_file_test(inside, G_FILE_TEST_EXISTS));
  assert_probe("write", beside, "EROFS");
  assert_probe("write", "/etc/ws-confine-test", "EROFS");
  assert_probe("write", "/dev/ws-confine-test", "EROFS");
  assert_probe("write", "/run/ws-confine-test", "EROFS");
  assert_probe("write", "/sys/ws-confine-test", "EROFS");
  assert_probe("write", "/proc/sys/kernel/hostname", "EROFS");
  assert_probe("write", "/dev/null", "ok");
  g_assert_false(g_file_test(beside, G_FILE_TEST_EXISTS));
}

static void one_file_can_be_the_writable_place(void)
{
  g_autofree char *file = in_dir("only"), *other = in_dir("other");
  g_assert_true(g_file_set_contents(file, "abc", -1, NULL));
  g_autofree char *out = confined((WsExec){.argv = ARGV(self, "--probe", "write", file), .writable = file});
  g_assert_cmpstr(out, ==, "ok");
  g_autofree char *no = confined((WsExec){.argv = ARGV(self, "--probe", "write", other), .writable = file});
  g_assert_cmpstr(no, ==, "EROFS");
}

static void host_devices_sys_and_run_are_not_there(void)
{
  g_autofree char *dev = confined((WsExec){.argv = ARGV("ls", "/dev")});
  g_assert_cmpstr(dev, ==, "fd\nfull\nnull\nrandom\nstderr\nstdin\nstdout\nurandom\nzero\n");
  g_autofree char *rest = confined((WsExec){.argv = ARGV("ls", "-A", "/sys", "/run")});
  g_assert_cmpstr(rest, ==, "/run:\n\n/sys:\n");
  g_autofree char *random = confined((WsExec){.argv = ARGV("head", "-c", "8", "/dev/urandom")});
  g_assert_nonnull(random);
}

static void device_nodes_in_the_writable_place_do_not_work(void)
{
  g_autofree char *node = in_dir("node");
  if (mknod(node, S_IFCHR | 0666, makedev(1, 3)) != 0) {
    g_test_skip("cannot make a device node");
    return;
  }
  assert_probe("write", node, g_strerror(EACCES));
}

static void no_network_interface_but_loopback(void)
{
  g_autofree char *out = confined((WsExec){.argv = ARGV("cat", "/proc/net/dev")});
  g_autofree char *host = NULL;
  g_assert_true(g_file_get_contents("/proc/net/dev", &host, NULL, NULL));
  g_auto(GStrv) lines = g_strsplit(host, "\n", -1);
  for (guint i = 2; lines[i] && *lines[i]; i++) {
    g_auto(GStrv) parts = g_strsplit(g_strstrip(lines[i]), ":", 2);
    if (strcmp(parts[0], "lo") != 0 && !g_file_test("/proc/sys/net/core/fb_tunnels_only_for_init_net", 0))
      g_assert_null(strstr(out, parts[0]));
  }
  g_assert_nonnull(strstr(out, "lo:"));
}

static void no_other_process_is_seen(void)
{
  g_autofree char *out = confined((WsExec){.argv = ARGV("sh", "-c", "echo $$; echo /proc/[0-9]*")});
  g_assert_cmpstr(out, ==, "1\n/proc/1\n");
}

static void children_die_with_the_program_even_in_groups_of_their_own(void)
{
  int fds[2];
  g_assert_cmpint(pipe(fds), ==, 0);
  g_autofree char *out =
      confined((WsExec){.argv = ARGV("sh", "-c", "setsid sleep 1000 & echo done"), .pass_fd = fds[1]});
  g_assert_cmpstr(out, ==, "done\n");
  close(fds[1]);
  char byte;
  g_assert_cmpint(read(fds[0], &byte, 1), ==, 0);
  close(fds[0]);
}

/* ---- showing little ---- */

static void visible_paths_and_the_system_are_all_there_is(void)
{
  g_autofree char *shown = in_dir("shown"), *hidden = in_dir("hidden");
  g_assert_true(g_file_set_contents(shown, "abc", -1, NULL));
  g_assert_true(g_file_set_contents(hidden, "abc", -1, NULL));
  WsExec exec = {.visible = ARGV(shown)};

  exec.argv = ARGV("cat", shown);
  g_autofree char *text = confined(exec);
  g_assert_cmpstr(text, ==, "abc");
  exec.argv = ARGV("ls", "-A", dir);
  g_autofree char *listed = confined(exec);
  g_assert_cmpstr(listed, ==, "shown\n");
  exec.argv = ARGV("ls", "/etc", "/root");
  exec.any_status = true;
  g_autofree char *etc = confined(exec);
  g_assert_null(strstr(etc, "passwd"));
  exec.argv = ARGV(self, "--probe", "list", "/root");
  g_autofree char *root = confined(exec);
  g_assert_cmpstr(root, ==, g_strerror(ENOENT));
  exec.argv = ARGV(self, "--probe", "write", shown);
  g_autofree char *written = confined(exec);
  g_assert_cmpstr(written, ==, "EROFS");
  exec.argv = ARGV(self, "--probe", "write", "/new");
  g_autofree char *new = confined(exec);
  g_assert_cmpstr(new, ==, "EROFS");
}

static void visible_and_writable_may_lie_in_one_another(void)
{
  g_autofree char *pool = in_dir("pool"), *base = g_build_filename(pool, "base", NULL),
                  *new = g_build_filename(pool, "new", NULL);
  g_mkdir(pool, 0700);
  g_assert_true(g_file_set_contents(base, "b", -1, NULL));
  g_assert_true(g_file_set_contents(new, "n", -1, NULL));

  WsExec exec = {.argv = ARGV(self, "--probe", "write", base), .visible = ARGV(base), .writable = pool};
  g_autofree char *kept = confined(exec); /* a file kept in a directory to write to */
  g_assert_cmpstr(kept, ==, "EROFS");
  exec.argv = ARGV(self, "--probe", "write", new);
  g_autofree char *written = confined(exec);
  g_assert_cmpstr(written, ==, "ok");

  exec.visible = ARGV(pool); /* a file to write to in a directory to read */
  exec.writable = new;
  g_autofree char *inner = confined(exec);
  g_assert_cmpstr(inner, ==, "ok");
  exec.argv = ARGV(self, "--probe", "write", base);
  g_autofree char *outer = confined(exec);
  g_assert_cmpstr(outer, ==, "EROFS");
}

static void missing_paths_are_told_before_anything_runs(void)
{
  g_autoptr(GError) error = NULL;
  WsExec exec = {.argv = ARGV("true"), .confine = true, .visible = ARGV("/nonexistent/a")};
  g_assert_false(ws_exec(&exec, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_cmpstr(ws_error_param(error, "path"), ==, "/nonexistent/a");
}

/* ---- limits inside ---- */

static void limits_hold_inside(void)
{
  g_autoptr(GError) error = NULL;
  WsExec slow = {.argv = ARGV("sleep", "1000"), .confine = true, .timeout_ms = 200};
  g_assert_false(ws_exec(&slow, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  g_clear_error(&error);
  WsExec hot = {
      .argv = ARGV("sh", "-c", "while :; do :; done"), .confine = true, .max_cpu_s = 1, .timeout_ms = 250000};
  g_assert_false(ws_exec(&hot, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_PROGRAM_FAILED);
  g_assert_cmpstr(ws_error_param(error, "status"), ==, "137");
  g_clear_error(&error);
  WsExec loud = {.argv = ARGV("yes"), .confine = true, .timeout_ms = 250000};
  g_assert_false(ws_exec(&loud, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TOO_LARGE);
  g_clear_error(&error);
  WsExec large = {.argv = ARGV("dd", "if=/dev/zero", "of=/dev/null", "bs=600M", "count=1"),
                  .confine = true,
                  .max_memory_bytes = 200 << 20};
  g_assert_false(ws_exec(&large, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_PROGRAM_FAILED);
}

static void memory_limit_cannot_be_raised_inside(void)
{
  /* dd again, under a shell that tries to lift the limit first */
  g_autofree char *out = NULL;
  g_autoptr(GError) error = NULL;
  WsExec exec = {.argv =
                     ARGV("sh", "-c", "ulimit -v unlimited; dd if=/dev/zero of=/dev/null bs=600M count=1"),
                 .confine = true,
                 .max_memory_bytes = 200 << 20};
  g_assert_false(ws_exec(&exec, &out, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_PROGRAM_FAILED);
}

/* ---- qemu-img ---- */

static WsExec qemu_img(const char *const *argv)
{
  return (WsExec){.argv = argv, .max_memory_bytes = G_GUINT64_CONSTANT(2) << 30, .max_cpu_s = 60};
}

static void qemu_img_works_inside(void)
{
  if (access("/usr/bin/qemu-img", X_OK) != 0) {
    g_test_skip("no qemu-img");
    return;
  }
  g_autofree char *source = in_dir("source.qcow2"), *pool = in_dir("pool"),
                  *target = g_build_filename(pool, "target.raw", NULL),
                  *back = g_build_filename(pool, "back.qcow2", NULL);
  g_mkdir(pool, 0700);
  WsExec create = {.argv = ARGV("qemu-img", "create", "-q", "-f", "qcow2", source, "16M")};
  g_assert_true(ws_exec(&create, NULL, NULL, NULL, NULL));
  if (geteuid() == 0)
    g_assert_cmpint(chown(source, 64055, 64055), ==, 0); /* as libvirt leaves them: owned by another, 0600 */

  WsExec info = qemu_img(ARGV("qemu-img", "info", "--output=json", "--force-share", source));
  info.visible = ARGV(source);
  g_autofree char *json = confined(info);
  g_assert_nonnull(strstr(json, "\"virtual-size\": 16777216"));

  WsExec convert = qemu_img(ARGV("qemu-img", "convert", "-p", "-f", "qcow2", "-O", "raw", source, target));
  convert.visible = ARGV(source);
  convert.writable = pool;
  g_autofree char *progress = confined(convert);
  g_assert_nonnull(strstr(progress, "(100.00/100%)"));
  struct stat st;
  g_assert_cmpint(stat(target, &st), ==, 0);
  g_assert_cmpint(st.st_size, ==, 16 << 20);

  WsExec again =
      qemu_img(ARGV("qemu-img", "convert", "-c", "-m", "4", "-W", "-f", "raw", "-O", "qcow2", target, back));
  again.writable = pool;
  g_autofree char *nothing = confined(again);
  g_assert_cmpstr(nothing, ==, "");
  WsExec compare = qemu_img(ARGV("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", target, back));
  compare.visible = ARGV(pool);
  g_autofree char *same = confined(compare);
  g_assert_cmpstr(same, ==, "");
}

static void qemu_img_cannot_reach_what_is_not_shown(void)
{
  if (access("/usr/bin/qemu-img", X_OK) != 0) {
    g_test_skip("no qemu-img");
    return;
  }
  g_autofree char *secret = in_dir("secret"), *image = in_dir("image.qcow2");
  g_autofree char *zeros = g_malloc0(65536);
  g_assert_true(g_file_set_contents(secret, zeros, 65536, NULL));
  WsExec create = {.argv = ARGV("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", image)};
  g_assert_true(ws_exec(&create, NULL, NULL, NULL, NULL));
  WsExec check = qemu_img(ARGV("qemu-img", "convert", "-O", "raw", image, "/dev/stdout"));
  check.visible = ARGV(image);
  check.confine = true;
  g_autoptr(GError) error = NULL;
  g_assert_false(ws_exec(&check, NULL, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_PROGRAM_FAILED);
  g_assert_nonnull(strstr(ws_error_cause(error), "No such file"));
}

/* ---- without privilege ---- */

static void check_unprivileged(const char *const *visible)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *out = NULL;
  WsExec exec = {
      .argv =
          ARGV("sh", "-c", "id -u; echo /proc/[0-9]*; touch /tmp/ws-confine-nobody 2>&1 | grep -c -e Read -e No"),
      .visible = visible,
      .confine = true};
  if (ws_exec(&exec, &out, NULL, NULL, &error))
    g_assert_cmpstr(out, ==, "65534\n/proc/1\n1\n");
  else
    g_assert_error(error, WS_ERROR, WS_ERROR_UNSUPPORTED); /* no user namespaces for users here */
}

static void unprivileged_user_is_confined_or_refused(void)
{
  if (g_test_subprocess()) {
    g_assert_cmpint(setresgid(65534, 65534, 65534), ==, 0);
    g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);
    prctl(PR_SET_DUMPABLE, 1); /* as it would be, had we been started by that user */
    check_unprivileged(NULL);
    check_unprivileged(ARGV("/etc/passwd"));
    return;
  }
  if (geteuid() != 0) {
    g_test_skip("not root");
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_passed();
}

/* No capability, and user namespaces used up: nothing to confine with. */
static void program_is_not_run_when_it_cannot_be_confined(void)
{
  if (g_test_subprocess()) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    g_assert_cmpint(unshare(CLONE_NEWUSER), ==, 0);
    int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "0", 1), ==, 1);
    g_assert_cmpint(syscall(SYS_capset, &header, none), ==, 0);
    g_autoptr(GError) error = NULL;
    WsExec exec = {.argv = ARGV("sh", "-c", "echo ran >&2"), .confine = true};
    g_assert_false(ws_exec(&exec, NULL, NULL, NULL, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_UNSUPPORTED);
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  if (!g_test_trap_has_passed()) {
    g_test_skip("cannot take the right away here");
    return;
  }
  g_test_trap_assert_stderr_unmatched("*ran*");
}

/* ---- the run ---- */

static void run_in_own_directory(gconstpointer test)
{
  if (g_test_subprocess()) { /* it gives up its rights: it could not remove the directory */
    ((void (*)(void))test)();
    return;
  }
  if (!kernel_allows()) {
    g_test_skip("this machine does not let us confine programs");
    return;
  }
  g_autoptr(GError) error = NULL;
  dir = g_dir_make_tmp("ws-confine-XXXXXX", &error);
  g_assert_no_error(error);
  ((void (*)(void))test)();
  g_autofree char *out = NULL;
  ws_exec(&(WsExec){.argv = ARGV("rm", "-rf", dir)}, &out, NULL, NULL, NULL);
  g_clear_pointer(&dir, g_free);
}

int main(int argc, char **argv)
{
  if (argc == 4 && strcmp(argv[1], "--probe") == 0)
    return probe(argv[2], argv[3]);
  ws_exec_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  g_test_init(&argc, &argv, NULL);
  self = g_file_read_link("/proc/self/exe", NULL);
#define TEST(name) g_test_add_data_func("/base/confine/" #name, (gconstpointer)name, run_in_own_directory)
  TEST(dangerous_calls_are_refused);
  TEST(the_same_calls_succeed_outside);
  TEST(rights_are_gone_and_cannot_come_back);
  TEST(only_the_writable_place_can_be_written);
  TEST(one_file_can_be_the_writable_place);
  TEST(host_devices_sys_and_run_are_not_there);
  TEST(device_nodes_in_the_writable_place_do_not_work);
  TEST(no_network_interface_but_loopback);
  TEST(no_other_process_is_seen);
  TEST(children_die_with_the_program_even_in_groups_of_their_own);
  TEST(visible_paths_and_the_system_are_all_there_is);
  TEST(visible_and_writable_may_lie_in_one_another);
  TEST(missing_paths_are_told_before_anything_runs);
  TEST(limits_hold_inside);
  TEST(memory_limit_cannot_be_raised_inside);
  TEST(qemu_img_works_inside);
  TEST(qemu_img_cannot_reach_what_is_not_shown);
  TEST(unprivileged_user_is_confined_or_refused);
  TEST(program_is_not_run_when_it_cannot_be_confined);
  int status = g_test_run();
  g_free(self);
  return status;
}
