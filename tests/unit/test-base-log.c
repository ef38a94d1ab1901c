// SPDX-License-Identifier: Apache-2.0
/* Logs: one event one line, escaping, levels, errors, many threads, GLib's messages. Each test runs in a
 * child process, since a process opens its log once. */
#include "base/error.h"
#include "base/log.h"
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char *log_path;

static gint64 fixed_wall(WsClock *clock)
{
  return 1795444325000000;
}

static void begin(WsLogLevel max)
{
  static WsClock clock = {.wall_us = fixed_wall};
  ws_log_init("tester", max, g_getenv("TEST_LOG"));
  ws_log_set_clock(&clock);
}

static char *fresh_log(void)
{
  g_unlink(log_path);
  g_setenv("TEST_LOG", log_path, TRUE);
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_passed();
  char *text = NULL;
  g_assert_true(g_file_get_contents(log_path, &text, NULL, NULL));
  return text;
}

/* The text behind "tester[pid]: " of the only line. */
static const char *event_of(char *text)
{
  g_assert_true(g_str_has_prefix(text, "2026-11-23T14:32:05.000000Z info tester["));
  char *newline = strchr(text, '\n');
  g_assert_nonnull(newline);
  g_assert_cmpstr(newline, ==, "\n");
  *newline = '\0';
  char *event = strstr(text, "]: ");
  g_assert_nonnull(event);
  return event + 3;
}

static void event_is_one_line_of_pairs(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    ws_log(WS_LOG_INFO, "vm-started", "vm", "vm-42", "absent", NULL, "name", "web 3", "empty", "", NULL);
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpstr(event_of(text), ==, "vm-started vm=vm-42 name=\"web 3\" empty=\"\"");
}

static void value_cannot_forge_a_line(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    ws_log(WS_LOG_INFO, "e", "a", "x\n2026 error forged", "b", "q\"uo\\te", "c", "\x1b[31m\r\t\x7f", "d",
           "\xff\xc0zh", "e", "虚拟机", "f", "\xe2\x80\xae rtl \xe2\x80\xa8", "g", "a=b", "h",
           "\xef\xbb\xbf|\xc2\xa0|\xc2\x9f", NULL);
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpstr(
      event_of(text), ==,
      "e a=\"x\\n2026 error forged\" b=\"q\\\"uo\\\\te\" c=\"\\u001b[31m\\u000d\\t\\u007f\" "
      "d=\"\\xff\\xc0zh\" e=\"虚拟机\" f=\"\\u202e rtl \\u2028\" g=\"a=b\" h=\"\\ufeff|\xc2\xa0|\\u009f\"");
}

static void long_value_is_cut(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    g_autofree char *big = g_strnfill(100000, 'x');
    ws_log(WS_LOG_INFO, "e", "big", big, NULL);
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpuint(strlen(event_of(text)), ==, strlen("e big=\"…\"") + 4096);
}

static void levels_above_the_limit_are_dropped(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    ws_log(WS_LOG_DEBUG, "dropped", NULL);
    ws_log(WS_LOG_INFO, "kept", NULL);
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpstr(event_of(text), ==, "kept");
}

static void error_is_told_with_code_text_and_cause(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    g_autoptr(GError) error = NULL;
    ws_fail(&error, WS_ERROR_NOT_FOUND, "object", "vm-1", "cause", "stat: gone", NULL);
    ws_log_error(WS_LOG_INFO, "read-failed", error, "task", "task-9", NULL);
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpstr(
      event_of(text), ==,
      "read-failed task=task-9 code=not_found error=\"vm-1 does not exist.\" cause=\"stat: gone\"");
}

static void library_messages_become_events(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    g_log_structured("Lib", G_LOG_LEVEL_INFO, "MESSAGE", "hello\nthere");
    return;
  }
  g_autofree char *text = fresh_log();
  g_assert_cmpstr(event_of(text), ==, "library-message domain=Lib message=\"hello\\nthere\"");
}

/* ---- journald ---- */

/* A socket where journald's would be, in a /run of our own. -1: not allowed here. */
static int pretend_journal(void)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", "/run", "tmpfs", 0, NULL) != 0 ||
      g_mkdir_with_parents("/run/systemd/journal", 0755) != 0)
    return -1;
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  return fd;
}

/* Standard error becomes a pipe that JOURNAL_STREAM names. */
static void claim_stderr(void)
{
  int fds[2];
  struct stat st;
  g_assert_true(pipe(fds) == 0 && dup2(fds[1], STDERR_FILENO) == STDERR_FILENO &&
                fstat(STDERR_FILENO, &st) == 0);
  g_autofree char *stream = g_strdup_printf("%lu:%lu", (gulong)st.st_dev, (gulong)st.st_ino);
  g_setenv("JOURNAL_STREAM", stream, TRUE);
}

static void journald_gets_fields(void)
{
  if (g_test_subprocess()) {
    int journal = pretend_journal();
    if (journal < 0)
      return;
    claim_stderr();
    ws_log_init("tester", WS_LOG_INFO, NULL);
    ws_log(WS_LOG_WARNING, "disk-full", "pool-name", "p 1", "cause", "two\nlines", NULL);
    char datagram[2048];
    gssize n = recv(journal, datagram, sizeof datagram, MSG_DONTWAIT);
    g_assert_cmpint(n, >, 0);
    static const char expected[] =
        "PRIORITY=4\nSYSLOG_IDENTIFIER=tester\n"
        "MESSAGE=disk-full pool-name=\"p 1\" cause=\"two\\nlines\"\n"
        "WS_EVENT=disk-full\nWS_POOL_NAME=p 1\nWS_CAUSE\n\x09\0\0\0\0\0\0\0two\nlines\n";
    g_assert_cmpmem(datagram, n, expected, sizeof expected - 1);
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_passed();
}

/* ---- many threads ---- */

#define THREADS 4
#define LINES   500

static gpointer write_many(gpointer arg)
{
  g_autofree char *filler = g_strnfill(3000, (char)('a' + GPOINTER_TO_INT(arg)));
  for (int i = 0; i < LINES; i++)
    ws_log(WS_LOG_INFO, "e", "v", filler, NULL);
  return NULL;
}

static void lines_of_threads_do_not_interleave(void)
{
  if (g_test_subprocess()) {
    begin(WS_LOG_INFO);
    GThread *threads[THREADS];
    for (int i = 0; i < THREADS; i++)
      threads[i] = g_thread_new("writer", write_many, GINT_TO_POINTER(i));
    for (int i = 0; i < THREADS; i++)
      g_thread_join(threads[i]);
    return;
  }
  g_autofree char *text = fresh_log();
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  g_assert_cmpuint(g_strv_length(lines), ==, THREADS * LINES + 1);
  for (int i = 0; i < THREADS * LINES; i++) {
    const char *value = strstr(lines[i], "v=");
    g_assert_nonnull(value);
    g_assert_cmpuint(strlen(value), ==, 2 + 3000);
    g_assert_cmpuint(strspn(value + 2, (char[]){value[2], '\0'}), ==, 3000);
  }
}

static void unopenable_file_leaves_stderr(void)
{
  if (g_test_subprocess()) {
    ws_log_init("tester", WS_LOG_INFO, "/nonexistent/log");
    ws_log(WS_LOG_INFO, "still-here", NULL);
    return;
  }
  g_test_trap_subprocess(NULL, 0, 0);
  g_test_trap_assert_passed();
  g_test_trap_assert_stderr("*log-not-opened path=/nonexistent/log*still-here*");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_autofree char *dir = g_dir_make_tmp("ws-log-XXXXXX", NULL);
  log_path = g_build_filename(dir, "log", NULL);
#define TEST(name) g_test_add_func("/base/log/" #name, name)
  TEST(event_is_one_line_of_pairs);
  TEST(value_cannot_forge_a_line);
  TEST(long_value_is_cut);
  TEST(levels_above_the_limit_are_dropped);
  TEST(error_is_told_with_code_text_and_cause);
  TEST(library_messages_become_events);
  TEST(journald_gets_fields);
  TEST(lines_of_threads_do_not_interleave);
  TEST(unopenable_file_leaves_stderr);
  int status = g_test_run();
  g_unlink(log_path);
  g_rmdir(dir);
  g_free(log_path);
  return status;
}
