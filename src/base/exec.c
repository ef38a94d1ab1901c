// SPDX-License-Identifier: Apache-2.0
/* Running another program and watching it: pipes, limits of time and output, and its end.
 *
 * The child is a copy of the calling thread in a process that has many. So everything it needs is prepared
 * before, and between clone and execve it makes system calls only: no malloc, no locks, no stdio. What goes
 * wrong there comes back through a pipe that execve closes.
 *
 * Threads: any that may block. Nothing is shared but the tests' recorder. */
#include "base/exec.h"
#include "base/confine-private.h"
#include "base/error.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_MAX_OUTPUT (1024 * 1024)
#define STDERR_KEPT        4096
#define NO_PIDFD_POLL_MS 10
#define CANCEL_POLL_MS     50
#define KILL_GRACE_MS      5000 /* a killed process that sits in the kernel longer is left to a reaper */
#define FIRST_OTHER_FD     4    /* 0-2 and pass_fd come before */

static const char *const program_directories[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
#define PROGRAM_PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

static WsExecRecorder recorder;
static void *recorder_arg;

/* Everything the child needs, prepared by the parent. */
typedef struct {
  const WsExec *exec;
  const char *program; /* absolute */
  char **environment;
  const WsConfinePlan *confine; /* NULL: not confined */
  int stdin_fd, stdout_fd, stderr_fd, report_fd;
  bool confining;
} Child;

/* What the child tells when it could not become the program. `step` is a string constant: its address means
 * the same to both. */
typedef struct {
  const char *step;
  int error;
  bool confining; /* the step is one of confinement's */
} Report;

/* A running program, as the parent sees it. Closed fds are -1. */
typedef struct {
  const WsExec *exec;
  const char *name;
  pid_t pid;
  int pid_fd, stdout_fd, stderr_fd, report_fd;
  guint64 max_output_bytes; /* 0: no limit */
  guint64 n_output;
  GString *out, *err;
  Report report;
  gint64 until_us;
} Run;

/* ---- the child: system calls only ---- */

static bool set_limit(int resource, guint64 value)
{
  const struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
  return value == 0 || setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

static bool set_limits(const WsExec *exec)
{
  return setrlimit(RLIMIT_CORE, &(const struct rlimit){0, 0}) == 0 && /* a core may hold secrets */
         set_limit(RLIMIT_AS, exec->max_memory_bytes) && set_limit(RLIMIT_CPU, exec->max_cpu_s) &&
         set_limit(RLIMIT_FSIZE, exec->max_file_bytes);
}

/* Handlers of the parent would run in the wrong process; ignored signals (SIGPIPE) would stay ignored. */
static void reset_signals(void)
{
  const struct sigaction action = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++)
    sigaction(number, &action, NULL); /* fails for SIGKILL, SIGSTOP and the C library's own: as it should */
}

static bool place_fds(Child *child)
{
  /* First out of the way of 0-3, then into place. */
  int *fds[] = {&child->stdin_fd, &child->stdout_fd, &child->stderr_fd, &child->report_fd};
  for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
    if ((*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, FIRST_OTHER_FD)) < 0)
      return false;
  int pass_fd = child->exec->pass_fd;
  if (pass_fd == 3 && fcntl(3, F_SETFD, 0) != 0)
    return false;
  if (pass_fd > 0 && pass_fd != 3 && dup2(pass_fd, 3) < 0)
    return false;
  return dup2(child->stdin_fd, 0) == 0 && dup2(child->stdout_fd, 1) == 1 && dup2(child->stderr_fd, 2) == 2;
}

/* A library may have opened an fd that would survive execve. */
static void close_others_on_exec(int pass_fd)
{
  guint first = pass_fd > 0 ? FIRST_OTHER_FD : 3;
  if (!ws_exec_as_on_old_kernel && syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
    return;
  struct rlimit limit; /* before Linux 5.11 */
  rlim_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? MIN(limit.rlim_cur, 65536) : 65536;
  for (int fd = (int)first; fd < (int)end; fd++)
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The parent may have died before we asked to be told: then nobody holds the other end of the report pipe. */
static bool parent_lives(const Child *child)
{
  struct pollfd report = {.fd = child->report_fd};
  return poll(&report, 1, 0) == 0;
}

/* Returns the step that failed, with errno; does not return when the program runs. */
static const char *become_program(Child *child)
{
  reset_signals();
  if (setpgid(0, 0) != 0)
    return "make a process group";
  if (!place_fds(child))
    return "place file descriptors";
  close_others_on_exec(child->exec->pass_fd);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !parent_lives(child))
    return "follow the parent";
  umask(077);
  const char *failed = child->confine ? ws_confine_enter(child->confine) : NULL;
  child->confining = failed != NULL;
  if (failed)
    return failed;
  if (chdir(child->exec->directory ? child->exec->directory : "/") != 0)
    return "change the directory";
  if (!set_limits(child->exec))
    return "set limits";
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  failed = child->confine ? ws_confine_drop_rights(child->confine) : NULL;
  child->confining = failed != NULL;
  if (failed)
    return failed;
  execve(child->program, (char *const *)child->exec->argv, child->environment);
  return "execute";
}

static G_NORETURN void child_main(Child *child)
{
  Report report = {.step = become_program(child)};
  report.error = errno;
  report.confining = child->confining;
  gssize wrote = write(child->report_fd, &report, sizeof report);
  (void)wrote; /* nobody left to tell */
  _exit(127);
}

/* ---- starting (parent) ---- */

static char *find_program(const char *name)
{
  if (name[0] == '/')
    return access(name, X_OK) == 0 ? g_strdup(name) : NULL;
  for (guint i = 0; i < G_N_ELEMENTS(program_directories) && !strchr(name, '/'); i++) {
    g_autofree char *path = g_build_filename(program_directories[i], name, NULL);
    if (access(path, X_OK) == 0)
      return g_steal_pointer(&path);
  }
  return NULL;
}

static char **make_environment(const char *const *extra)
{
  GPtrArray *environment = g_ptr_array_new();
  g_ptr_array_add(environment, (char *)PROGRAM_PATH);
  g_ptr_array_add(environment, (char *)"LANG=C.UTF-8");
  for (guint i = 0; extra && extra[i]; i++)
    g_ptr_array_add(environment, (char *)extra[i]);
  g_ptr_array_add(environment, NULL);
  return (char **)g_ptr_array_free(environment, FALSE);
}

static bool fail_errno(GError **error, const char *program, const char *step, int number)
{
  g_autofree char *cause = g_strdup_printf("start %s: %s: %s", program, step, g_strerror(number));
  return ws_fail(error, WS_ERROR_INTERNAL, "cause", cause, NULL);
}

/* Input as a file in memory: nothing to pump, no SIGPIPE. */
static int open_input(const WsExec *exec)
{
  if (!exec->input)
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
  int fd = memfd_create("input", MFD_CLOEXEC);
  const char *bytes = exec->input;
  for (gsize done = 0; fd >= 0 && done < exec->input_bytes;) {
    gssize wrote = write(fd, bytes + done, exec->input_bytes - done);
    if (wrote < 0) {
      close(fd);
      return -1;
    }
    done += (gsize)wrote;
  }
  if (fd >= 0)
    lseek(fd, 0, SEEK_SET);
  return fd;
}

static void close_fd(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

/* Signals stay blocked until the child has reset its handlers. */
static pid_t clone_child(Child *child, int *pid_fd)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int flags = SIGCHLD | (ws_exec_as_on_old_kernel ? 0 : CLONE_PIDFD) | (child->confine ? ws_confine_clone_flags(child->confine) : 0);
  pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, pid_fd, NULL, NULL);
  if (pid == 0)
    child_main(child);
  int saved_errno = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = saved_errno;
  return pid;
}

/* Makes the pipes and the child. On success run's fds are open. */
static bool start(Run *run, Child *child, GError **error)
{
  int out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1};
  child->stdin_fd = open_input(run->exec);
  if (child->stdin_fd >= 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0 &&
      pipe2(report, O_CLOEXEC) == 0) {
    child->stdout_fd = out[1];
    child->stderr_fd = run->exec->merge_stderr ? out[1] : err[1];
    child->report_fd = report[1];
    run->pid = clone_child(child, &run->pid_fd);
  }
  int failure = errno;
  close_fd(&child->stdin_fd);
  close_fd(&out[1]);
  close_fd(&err[1]);
  close_fd(&report[1]);
  run->stdout_fd = out[0];
  run->stderr_fd = err[0];
  run->report_fd = report[0];
  if (run->pid > 0) {
    fcntl(run->stdout_fd, F_SETFL, O_NONBLOCK);
    fcntl(run->stderr_fd, F_SETFL, O_NONBLOCK);
    return true;
  }
  if (child->confine && (failure == EPERM || failure == ENOSPC || failure == EINVAL))
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "confining programs", "cause", g_strerror(failure),
                   NULL);
  return fail_errno(error, run->name, "make a process", failure);
}

/* ---- watching ---- */

/* Takes what is there; false: the end of the stream. */
static bool read_stream(int fd, char *buf, gsize size, gsize *n)
{
  gssize got = read(fd, buf, size);
  *n = got > 0 ? (gsize)got : 0;
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool take_stdout(Run *run, GError **error)
{
  char buf[65536];
  gsize n;
  do {
    if (!read_stream(run->stdout_fd, buf, sizeof buf, &n)) {
      close_fd(&run->stdout_fd);
      return true;
    }
    run->n_output += n;
    if (run->max_output_bytes && run->n_output > run->max_output_bytes) {
      char limit[WS_SIZE_TEXT_MAX];
      return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", ws_size_format(run->max_output_bytes, limit),
                     "cause", run->name, NULL);
    }
    if (n > 0 && run->exec->on_stdout)
      run->exec->on_stdout(buf, n, run->exec->on_stdout_arg);
    else
      g_string_append_len(run->out, buf, (gssize)n);
  } while (n == sizeof buf);
  return true;
}

static void take_stderr(Run *run)
{
  char buf[STDERR_KEPT];
  gsize n;
  do {
    if (!read_stream(run->stderr_fd, buf, sizeof buf, &n))
      close_fd(&run->stderr_fd);
    g_string_append_len(run->err, buf, (gssize)n);
    if (run->err->len > STDERR_KEPT)
      g_string_erase(run->err, 0, (gssize)(run->err->len - STDERR_KEPT));
  } while (n == sizeof buf);
}

static void take_report(Run *run)
{
  Report report;
  if (read(run->report_fd, &report, sizeof report) == (gssize)sizeof report)
    run->report = report;
  close_fd(&run->report_fd);
}

static int wait_ms(const Run *run)
{
  gint64 left_us = run->until_us - g_get_monotonic_time();
  gint64 ms = left_us > 0 ? (left_us + 999) / 1000 : 0;
  if (run->pid_fd < 0)
    return (int)MIN(ms, NO_PIDFD_POLL_MS);
  return (int)MIN(ms, run->exec->cancel ? CANCEL_POLL_MS : G_MAXINT);
}

/* Without taking its status. For kernels before 5.2, where no fd tells. */
static bool has_ended(const Run *run)
{
  siginfo_t info = {0};
  return waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == run->pid;
}

static bool wait_for_end(const Run *run, int timeout_ms)
{
  struct pollfd ended = {.fd = run->pid_fd, .events = POLLIN};
  if (run->pid_fd >= 0)
    return poll(&ended, 1, timeout_ms) == 1;
  for (int waited_ms = 0; waited_ms < timeout_ms && !has_ended(run); waited_ms += NO_PIDFD_POLL_MS)
    poll(NULL, 0, NO_PIDFD_POLL_MS);
  return has_ended(run);
}

static bool fail_deadline(const WsExec *exec, const char *name, GError **error)
{
  char timeout[WS_SPAN_TEXT_MAX];
  guint ms = exec->timeout_ms ? exec->timeout_ms : DEFAULT_TIMEOUT_MS;
  return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", name, "timeout",
                 ws_span_format(ms * G_GINT64_CONSTANT(1000), timeout), NULL);
}

static bool check_limits(Run *run, GError **error)
{
  if (run->exec->cancel && g_atomic_int_get(run->exec->cancel))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (g_get_monotonic_time() < run->until_us)
    return true;
  return fail_deadline(run->exec, run->name, error);
}

/* Until the program has ended (its output then taken as far as it is there), or a limit is passed. */
static bool watch(Run *run, GError **error)
{
  for (bool ended = false; !ended;) {
    struct pollfd fds[] = {{.fd = run->stdout_fd, .events = POLLIN},
                           {.fd = run->stderr_fd, .events = POLLIN},
                           {.fd = run->report_fd, .events = POLLIN},
                           {.fd = run->pid_fd, .events = POLLIN}};
    poll(fds, G_N_ELEMENTS(fds), wait_ms(run));
    ended = run->pid_fd >= 0 ? fds[3].revents != 0 : has_ended(run);
    if (run->stdout_fd >= 0 && (ended || fds[0].revents) && !take_stdout(run, error))
      return false;
    if (run->stderr_fd >= 0 && (ended || fds[1].revents))
      take_stderr(run);
    if (run->report_fd >= 0 && (ended || fds[2].revents))
      take_report(run);
    if (!ended && !check_limits(run, error))
      return false;
  }
  return true;
}

static gpointer reap(gpointer pid)
{
  waitpid(GPOINTER_TO_INT(pid), NULL, 0);
  return NULL;
}

/* Kills what is left and takes the exit status. Until it is taken the pid, hence the group's number, cannot
 * be anybody else's. */
static int finish(Run *run)
{
  kill(-run->pid, SIGKILL);
  kill(run->pid, SIGKILL); /* it may not have made its group yet */
  int status = 0;
  if (wait_for_end(run, KILL_GRACE_MS))
    waitpid(run->pid, &status, 0);
  else
    g_thread_unref(g_thread_new("reaper", reap, GINT_TO_POINTER(run->pid)));
  close_fd(&run->pid_fd);
  close_fd(&run->stdout_fd);
  close_fd(&run->stderr_fd);
  close_fd(&run->report_fd);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- results ---- */

/* Last line with anything in it. */
static char *last_line(const GString *text)
{
  g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
  for (guint i = g_strv_length(lines); i-- > 0;)
    if (*g_strstrip(lines[i]))
      return g_strdup(lines[i]);
  return g_strdup("");
}

static bool fail_status(const char *name, int status, const GString *err, GError **error)
{
  char number[16];
  g_snprintf(number, sizeof number, "%d", status);
  g_autofree char *line = last_line(err);
  g_autofree char *cause = status > 128 && status < 128 + NSIG
                               ? g_strdup_printf("%s%s%s", strsignal(status - 128), *line ? ": " : "", line)
                               : g_steal_pointer(&line);
  return ws_fail(error, WS_ERROR_PROGRAM_FAILED, "program", name, "status", number, "cause", cause, NULL);
}

/* Why the child did not become the program. */
static bool fail_report(const Run *run, GError **error)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", run->report.step, g_strerror(run->report.error));
  if (run->report.confining)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "confining programs", "cause", cause, NULL);
  return fail_errno(error, run->name, run->report.step, run->report.error);
}

static bool run_program(Run *run, Child *child, char **out, gsize *out_bytes, int *status, GError **error)
{
  if (!start(run, child, error)) {
    close_fd(&run->stdout_fd);
    close_fd(&run->stderr_fd);
    close_fd(&run->report_fd);
    return false;
  }
  bool ended = watch(run, error);
  int exit_status = finish(run);
  if (!ended)
    return false;
  if (run->report.step)
    return fail_report(run, error);
  if (status)
    *status = exit_status;
  if (exit_status != 0 && !run->exec->any_status)
    return fail_status(run->name, exit_status, run->err, error);
  if (out_bytes)
    *out_bytes = run->out->len;
  if (out)
    *out = g_string_free(g_steal_pointer(&run->out), FALSE);
  return true;
}

/* The recorder's answer in the program's place; false: it has none. */
static bool recorded(const WsExec *exec, char **out, gsize *out_bytes, int *status, bool *ok, GError **error)
{
  g_autofree char *answer = NULL;
  int exit_status = 0;
  if (!recorder || !recorder(exec, &answer, &exit_status, recorder_arg))
    return false;
  g_autoptr(GString) nothing = g_string_new(NULL);
  if (exit_status < 0)
    *ok = fail_deadline(exec, exec->argv[0], error);
  else
    *ok = exit_status == 0 || exec->any_status || fail_status(exec->argv[0], exit_status, nothing, error);
  if (status)
    *status = exit_status;
  if (!*ok)
    return true;
  gsize n = answer ? strlen(answer) : 0;
  if (exec->on_stdout && n > 0)
    exec->on_stdout(answer, n, exec->on_stdout_arg);
  if (out_bytes)
    *out_bytes = exec->on_stdout ? 0 : n;
  if (out)
    *out = answer && !exec->on_stdout ? g_steal_pointer(&answer) : g_strdup("");
  return true;
}

bool ws_exec(const WsExec *exec, char **out, gsize *out_bytes, int *status, GError **error)
{
  g_assert(exec->argv && exec->argv[0]);
  g_assert(exec->confine || (!exec->visible && !exec->writable));
  bool ok;
  if (recorded(exec, out, out_bytes, status, &ok, error))
    return ok;

  g_autofree char *program = find_program(exec->argv[0]);
  if (!program)
    return ws_fail(error, WS_ERROR_PROGRAM_MISSING, "program", exec->argv[0], NULL);
  g_autofree char **environment = make_environment(exec->env);
  WsConfinePlan *plan = NULL;
  if (exec->confine && !(plan = ws_confine_plan_new(exec, program, error)))
    return false;

  guint timeout_ms = exec->timeout_ms ? exec->timeout_ms : DEFAULT_TIMEOUT_MS;
  Run run = {.exec = exec,
             .name = exec->argv[0],
             .pid = -1,
             .pid_fd = -1,
             .max_output_bytes =
                 exec->max_output_bytes || exec->on_stdout ? exec->max_output_bytes : DEFAULT_MAX_OUTPUT,
             .out = g_string_new(NULL),
             .err = g_string_new(NULL),
             .until_us = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000)};
  Child child = {.exec = exec, .program = program, .environment = environment, .confine = plan};
  ok = run_program(&run, &child, out, out_bytes, status, error);
  if (run.out)
    g_string_free(run.out, TRUE);
  g_string_free(run.err, TRUE);
  ws_confine_plan_free(plan);
  return ok;
}

void ws_exec_set_recorder(WsExecRecorder new_recorder, void *arg)
{
  recorder = new_recorder;
  recorder_arg = arg;
}
