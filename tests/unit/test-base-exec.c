// SPDX-License-Identifier: Apache-2.0
/* Running programs: results, limits, environment. This program is also the one that is run: "--probe WHAT"
 * does one thing and prints how it went. */
#include "base/error.h"
#include "base/confine-private.h"
#include "base/exec.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self; /* path of this program */

/* ---- probes: run in the child ---- */

static void probe_fds(void)
{
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0)
      g_print("%d ", fd);
}

static void probe_signals(void)
{
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  for (int number = 1; number < 32; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
      g_print("handled-%d ", number);
    if (sigismember(&blocked, number))
      g_print("blocked-%d ", number);
  }
}

static int probe(const char *what)
{
  if (strcmp(what, "fds") == 0) {
    probe_fds();
  } else if (strcmp(what, "signals") == 0) {
    probe_signals();
  } else if (strcmp(what, "core") == 0) {
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    g_print("%d %d", (int)limit.rlim_cur, (int)limit.rlim_max);
  } else if (strcmp(what, "umask") == 0) {
    g_print("%03o", umask(0));
  } else if (strcmp(what, "group") == 0) {
    g_print("%d", getpgrp() == getpid());
  } else {
    return 99;
  }
  return 0;
}

/* ---- help ---- */

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *output_of(const WsExec *exec)
{
  g_autoptr(GError) error = NULL;
  char *out = NULL;
  bool ok = ws_exec(exec, &out, NULL, NULL, &error);
  g_assert_no_error(error);
  g_assert_true(ok);
  return out;
}

static void assert_fails(const WsExec *exec, WsErrorCode code, const char *param, const char *value)
{
  g_autoptr(GError) error = NULL;
  char *out = NULL;
  g_assert_false(ws_exec(exec, &out, NULL, NULL, &error));
  g_assert_error(error, WS_ERROR, (int)code);
  g_assert_null(out);
  if (param)
    g_assert_cmpstr(ws_error_param(error, param), ==, value);
}

/* ---- results ---- */

static void output_is_returned(void)
{
  g_autofree char *out = output_of(&(WsExec){.argv = ARGV("echo", "a b", "$HOME", "; true")});
  g_assert_cmpstr(out, ==, "a b $HOME ; true\n");
}

static void output_may_hold_nul_and_be_empty(void)
{
  g_autofree char *out = NULL;
  gsize n = 0;
  g_assert_true(ws_exec(&(WsExec){.argv = ARGV("printf", "a\\0b")}, &out, &n, NULL, NULL));
  g_assert_cmpmem(out, n, "a\0b", 3);
  g_autofree char *none = output_of(&(WsExec){.argv = ARGV("true")});
  g_assert_cmpstr(none, ==, "");
  g_assert_true(ws_exec(&(WsExec){.argv = ARGV("echo", "unwanted")}, NULL, NULL, NULL, NULL));
}

static void missing_program_is_told(void)
{
  assert_fails(&(WsExec){.argv = ARGV("no-such-program")}, WS_ERROR_PROGRAM_MISSING, "program",
               "no-such-program");
  assert_fails(&(WsExec){.argv = ARGV("/nonexistent/x")}, WS_ERROR_PROGRAM_MISSING, "program",
               "/nonexistent/x");
  assert_fails(&(WsExec){.argv = ARGV("../bin/true")}, WS_ERROR_PROGRAM_MISSING, NULL, NULL);
}

static void failure_carries_status_and_last_line_of_stderr(void)
{
  WsExec exec = {.argv = ARGV("sh", "-c", "echo first >&2; echo 'it broke'  >&2; echo >&2; exit 3")};
  assert_fails(&exec, WS_ERROR_PROGRAM_FAILED, "status", "3");
  assert_fails(&exec, WS_ERROR_PROGRAM_FAILED, "cause", "it broke");
  assert_fails(&exec, WS_ERROR_PROGRAM_FAILED, "program", "sh");
}

static void any_status_is_no_error_when_asked(void)
{
  int status = -1;
  g_autoptr(GError) error = NULL;
  g_autofree char *out = NULL;
  WsExec exec = {.argv = ARGV("sh", "-c", "echo yes; exit 42"), .any_status = true};
  g_assert_true(ws_exec(&exec, &out, NULL, &status, &error));
  g_assert_cmpint(status, ==, 42);
  g_assert_cmpstr(out, ==, "yes\n");
}

static void signal_is_128_and_its_number(void)
{
  assert_fails(&(WsExec){.argv = ARGV("sh", "-c", "kill -TERM $$")}, WS_ERROR_PROGRAM_FAILED, "status",
               "143");
  assert_fails(&(WsExec){.argv = ARGV("sh", "-c", "kill -TERM $$")}, WS_ERROR_PROGRAM_FAILED, "cause",
               "Terminated");
}

static void only_the_end_of_a_long_stderr_is_kept(void)
{
  assert_fails(&(WsExec){.argv = ARGV("sh", "-c", "yes noise | head -c 600000 >&2; echo last >&2; exit 1")},
               WS_ERROR_PROGRAM_FAILED, "cause", "last");
}

/* ---- what the child gets ---- */

static void input_larger_than_a_pipe_arrives(void)
{
  gsize n = 3000000;
  g_autofree char *input = g_malloc(n);
  for (gsize i = 0; i < n; i++)
    input[i] = (char)(i * 7 % 251);
  g_autofree char *out = NULL;
  gsize out_n = 0;
  WsExec exec = {.argv = ARGV("cat"), .input = input, .input_bytes = n, .max_output_bytes = n};
  g_assert_true(ws_exec(&exec, &out, &out_n, NULL, NULL));
  g_assert_cmpmem(out, out_n, input, n);
}

static void input_is_empty_by_default(void)
{
  g_autofree char *out = output_of(&(WsExec){.argv = ARGV("cat")});
  g_assert_cmpstr(out, ==, "");
  g_autofree char *empty = output_of(&(WsExec){.argv = ARGV("cat"), .input = "", .input_bytes = 0});
  g_assert_cmpstr(empty, ==, "");
}

static void environment_is_clean(void)
{
  g_setenv("WS_SECRET_OF_THE_PARENT", "x", TRUE);
  g_autofree char *out = output_of(&(WsExec){.argv = ARGV("env"), .env = ARGV("A=1", "B=two words")});
  g_assert_cmpstr(out, ==, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C.UTF-8\nA=1\nB=two words\n");
}

static void directory_is_root_or_as_asked(void)
{
  g_autofree char *root = output_of(&(WsExec){.argv = ARGV("pwd")});
  g_assert_cmpstr(root, ==, "/\n");
  g_autofree char *usr = output_of(&(WsExec){.argv = ARGV("pwd"), .directory = "/usr"});
  g_assert_cmpstr(usr, ==, "/usr\n");
  assert_fails(&(WsExec){.argv = ARGV("pwd"), .directory = "/nonexistent"}, WS_ERROR_INTERNAL, NULL, NULL);
}

static void child_inherits_no_fds_but_the_passed_one(void)
{
  int fds[2], leak = open("/dev/null", O_RDONLY); /* no CLOEXEC */
  g_assert_cmpint(leak, >=, 0);
  g_assert_cmpint(pipe(fds), ==, 0);
  g_autofree char *plain = output_of(&(WsExec){.argv = ARGV(self, "--probe", "fds")});
  g_assert_cmpstr(plain, ==, "0 1 2 ");
  g_autofree char *passed = output_of(&(WsExec){.argv = ARGV(self, "--probe", "fds"), .pass_fd = fds[1]});
  g_assert_cmpstr(passed, ==, "0 1 2 3 ");

  g_free(output_of(&(WsExec){.argv = ARGV("sh", "-c", "echo hello >&3"), .pass_fd = fds[1]}));
  char text[16] = {0};
  g_assert_cmpint(read(fds[0], text, sizeof text - 1), ==, 6);
  g_assert_cmpstr(text, ==, "hello\n");

  int three = fcntl(fds[1], F_DUPFD, 3); /* already in its place */
  g_autofree char *in_place = output_of(&(WsExec){.argv = ARGV(self, "--probe", "fds"), .pass_fd = three});
  g_assert_cmpstr(in_place, ==, "0 1 2 3 ");
  close(three);
  close(leak);
  close(fds[0]);
  close(fds[1]);
}

static void do_nothing(int number)
{
}

static void signals_core_umask_and_group_are_set_anew(void)
{
  struct sigaction handler = {.sa_handler = do_nothing}, ignore = {.sa_handler = SIG_IGN}, before[2];
  sigaction(SIGUSR1, &handler, &before[0]);
  sigaction(SIGPIPE, &ignore, &before[1]);
  WsExec probe_signals_plainly = {.argv =
                                      ARGV(self, "--probe", "signals"), /* without a sanitizer's handlers */
                                  .env = ARGV("ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0")};
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  g_autofree char *signals = output_of(&probe_signals_plainly);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  sigaction(SIGUSR1, &before[0], NULL);
  sigaction(SIGPIPE, &before[1], NULL);
  g_assert_cmpstr(signals, ==, "");
  g_autofree char *core = output_of(&(WsExec){.argv = ARGV(self, "--probe", "core")});
  g_assert_cmpstr(core, ==, "0 0");
  g_autofree char *mode = output_of(&(WsExec){.argv = ARGV(self, "--probe", "umask")});
  g_assert_cmpstr(mode, ==, "077");
  g_autofree char *group = output_of(&(WsExec){.argv = ARGV(self, "--probe", "group")});
  g_assert_cmpstr(group, ==, "1");
}

/* ---- limits ---- */

static void program_that_takes_too_long_is_killed_with_its_children(void)
{
  int fds[2];
  g_assert_cmpint(pipe(fds), ==, 0);
  gint64 before = g_get_monotonic_time();
  WsExec exec = {.argv = ARGV("sh", "-c", "sleep 1000 & sleep 1000"), .timeout_ms = 200, .pass_fd = fds[1]};
  assert_fails(&exec, WS_ERROR_DEADLINE_EXCEEDED, "timeout", "200 ms");
  g_assert_cmpint(g_get_monotonic_time() - before, >=, 200000);
  g_assert_cmpint(g_get_monotonic_time() - before, <, 500 * G_USEC_PER_SEC);
  close(fds[1]);
  char byte;
  g_assert_cmpint(read(fds[0], &byte, 1), ==, 0); /* the last holder of the other end is gone */
  close(fds[0]);
}

static void children_left_behind_are_killed(void)
{
  int fds[2];
  g_assert_cmpint(pipe(fds), ==, 0);
  g_autofree char *out = output_of(
      &(WsExec){.argv = ARGV("sh", "-c", "sleep 1000 & echo done"), .timeout_ms = 250000, .pass_fd = fds[1]});
  g_assert_cmpstr(out, ==, "done\n"); /* although the sleeper holds standard output open */
  close(fds[1]);
  char byte;
  g_assert_cmpint(read(fds[0], &byte, 1), ==, 0);
  close(fds[0]);
}

static void too_much_output_is_refused(void)
{
  assert_fails(&(WsExec){.argv = ARGV("yes"), .timeout_ms = 250000}, WS_ERROR_TOO_LARGE, "limit", "1.0 MiB");
  assert_fails(&(WsExec){.argv = ARGV("echo", "12345"), .max_output_bytes = 5}, WS_ERROR_TOO_LARGE, "limit",
               "5 B");
  g_autofree char *out = output_of(&(WsExec){.argv = ARGV("echo", "1234"), .max_output_bytes = 5});
  g_assert_cmpstr(out, ==, "1234\n");
}

static gpointer cancel_soon(gpointer flag)
{
  g_usleep(50000);
  g_atomic_int_set((gint *)flag, 1);
  return NULL;
}

static void cancel_kills_the_program(void)
{
  gint flag = 0;
  GThread *thread = g_thread_new("canceller", cancel_soon, &flag);
  assert_fails(&(WsExec){.argv = ARGV("sleep", "1000"), .cancel = &flag}, WS_ERROR_CANCELLED, NULL, NULL);
  g_thread_join(thread);
}

static void memory_is_limited(void)
{
  const char *const *argv = ARGV("dd", "if=/dev/zero", "of=/dev/null", "bs=600M", "count=1");
  g_free(output_of(&(WsExec){.argv = argv}));
  assert_fails(&(WsExec){.argv = argv, .max_memory_bytes = 200 << 20}, WS_ERROR_PROGRAM_FAILED, "status",
               "1");
}

static void file_size_is_limited(void)
{
  g_autofree char *dir = g_dir_make_tmp("ws-exec-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(dir, "big", NULL);
  g_autofree char *of = g_strconcat("of=", path, NULL);
  WsExec exec = {.argv = ARGV("dd", "if=/dev/zero", of, "bs=64K", "count=100"), .max_file_bytes = 1 << 20};
  assert_fails(&exec, WS_ERROR_PROGRAM_FAILED, "status", "153"); /* SIGXFSZ */
  struct stat st;
  g_assert_cmpint(stat(path, &st), ==, 0);
  g_assert_cmpint(st.st_size, <=, 1 << 20);
  unlink(path);
  rmdir(dir);
}

static void cpu_time_is_limited(void)
{
  gint64 before = g_get_monotonic_time();
  WsExec exec = {.argv = ARGV("sh", "-c", "while :; do :; done"), .max_cpu_s = 1, .timeout_ms = 250000};
  assert_fails(&exec, WS_ERROR_PROGRAM_FAILED, "status", "137");
  g_assert_cmpint(g_get_monotonic_time() - before, <, 240 * G_USEC_PER_SEC);
}

static guint count_fds(void)
{
  g_autoptr(GDir) entries = g_dir_open("/proc/self/fd", 0, NULL);
  guint n = 0;
  while (g_dir_read_name(entries))
    n++;
  return n;
}

static void no_fd_is_left_open(void)
{
  guint before = count_fds();
  gint flag = 1;
  g_free(output_of(&(WsExec){.argv = ARGV("cat"), .input = "x", .input_bytes = 1}));
  assert_fails(&(WsExec){.argv = ARGV("yes")}, WS_ERROR_TOO_LARGE, NULL, NULL);
  assert_fails(&(WsExec){.argv = ARGV("sleep", "1000"), .timeout_ms = 20}, WS_ERROR_DEADLINE_EXCEEDED, NULL,
               NULL);
  assert_fails(&(WsExec){.argv = ARGV("sleep", "1000"), .cancel = &flag}, WS_ERROR_CANCELLED, NULL, NULL);
  assert_fails(&(WsExec){.argv = ARGV("pwd"), .directory = "/nonexistent"}, WS_ERROR_INTERNAL, NULL, NULL);
  g_assert_cmpuint(count_fds(), ==, before);
}

static void program_that_closes_its_output_costs_nothing_while_it_works(void)
{
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  g_free(output_of(&(WsExec){.argv = ARGV("sh", "-c", "exec >&- 2>&-; sleep 3")}));
  getrusage(RUSAGE_SELF, &after);
  gint64 us =
      (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
          1000000 +
      (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec);
  g_assert_cmpint(us, <, 1500000); /* asked again and again it would be three seconds */
}

static gpointer run_sleeper(gpointer pass_fd)
{
  ws_exec(&(WsExec){.argv = ARGV("sh", "-c", "echo up >&3; exec sleep 1000"), .pass_fd = GPOINTER_TO_INT(pass_fd)},
          NULL, NULL, NULL, NULL);
  return NULL;
}

static void program_dies_with_its_parent(void)
{
  int fds[2];
  g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
  pid_t pid = fork();
  if (pid == 0) {
    g_thread_new("runner", run_sleeper, GINT_TO_POINTER(fds[1]));
    pause();
  }
  close(fds[1]);
  char text[16];
  g_assert_cmpint(read(fds[0], text, sizeof text), ==, 3); /* it is up */
  kill(pid, SIGKILL);
  g_assert_cmpint(read(fds[0], text, sizeof text), ==, 0); /* and gone */
  waitpid(pid, NULL, 0);
  close(fds[0]);
}

/* ---- streaming ---- */

static void count_bytes(const char *chunk, gsize n, void *arg)
{
  *(gsize *)arg += n;
}

static void streamed_output_is_not_kept_and_not_limited(void)
{
  gsize n = 0, out_n = 1;
  g_autofree char *out = NULL;
  WsExec exec = {
      .argv = ARGV("head", "-c", "5000000", "/dev/zero"), .on_stdout = count_bytes, .on_stdout_arg = &n};
  g_assert_true(ws_exec(&exec, &out, &out_n, NULL, NULL));
  g_assert_cmpuint(n, ==, 5000000);
  g_assert_cmpuint(out_n, ==, 0);
}

/* ---- many at once ---- */

static gpointer run_many(gpointer arg)
{
  for (int i = 0; i < 25; i++) {
    g_autofree char *word = g_strdup_printf("%d-%d", GPOINTER_TO_INT(arg), i);
    g_autofree char *out =
        output_of(&(WsExec){.argv = ARGV("cat"), .input = word, .input_bytes = strlen(word)});
    g_assert_cmpstr(out, ==, word);
  }
  return NULL;
}

static void programs_run_from_many_threads(void)
{
  GThread *threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new("runner", run_many, GINT_TO_POINTER(i));
  for (int i = 0; i < 4; i++)
    g_thread_join(threads[i]);
}

/* ---- the recorder ---- */

static bool answer(const WsExec *exec, char **out, int *status, void *arg)
{
  g_string_append((GString *)arg, exec->argv[0]);
  if (strcmp(exec->argv[0], "true") == 0)
    return false;
  *out = g_strdup("answer");
  *status = strcmp(exec->argv[0], "bad") == 0 ? 2 : 0;
  return true;
}

static void recorder_answers_in_the_programs_place(void)
{
  g_autoptr(GString) seen = g_string_new(NULL);
  ws_exec_set_recorder(answer, seen);
  g_autofree char *out = output_of(&(WsExec){.argv = ARGV("good")});
  g_assert_cmpstr(out, ==, "answer");
  assert_fails(&(WsExec){.argv = ARGV("bad")}, WS_ERROR_PROGRAM_FAILED, "status", "2");
  g_autofree char *real = output_of(&(WsExec){.argv = ARGV("true")});
  g_assert_cmpstr(real, ==, "");
  ws_exec_set_recorder(NULL, NULL);
  g_assert_cmpstr(seen->str, ==, "goodbadtrue");
}

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--probe") == 0)
    return probe(argv[2]);
  ws_exec_as_on_old_kernel = g_strcmp0(g_getenv("KERNEL"), "old") == 0;
  g_test_init(&argc, &argv, NULL);
  self = g_file_read_link("/proc/self/exe", NULL);
#define TEST(name) g_test_add_func("/base/exec/" #name, name)
  TEST(output_is_returned);
  TEST(output_may_hold_nul_and_be_empty);
  TEST(missing_program_is_told);
  TEST(failure_carries_status_and_last_line_of_stderr);
  TEST(any_status_is_no_error_when_asked);
  TEST(signal_is_128_and_its_number);
  TEST(only_the_end_of_a_long_stderr_is_kept);
  TEST(input_larger_than_a_pipe_arrives);
  TEST(input_is_empty_by_default);
  TEST(environment_is_clean);
  TEST(directory_is_root_or_as_asked);
  TEST(child_inherits_no_fds_but_the_passed_one);
  TEST(signals_core_umask_and_group_are_set_anew);
  TEST(program_that_takes_too_long_is_killed_with_its_children);
  TEST(children_left_behind_are_killed);
  TEST(too_much_output_is_refused);
  TEST(cancel_kills_the_program);
  TEST(memory_is_limited);
  TEST(file_size_is_limited);
  TEST(cpu_time_is_limited);
  TEST(no_fd_is_left_open);
  TEST(program_that_closes_its_output_costs_nothing_while_it_works);
  TEST(program_dies_with_its_parent);
  TEST(streamed_output_is_not_kept_and_not_limited);
  TEST(programs_run_from_many_threads);
  TEST(recorder_answers_in_the_programs_place);
  int status = g_test_run();
  g_free(self);
  return status;
}
