// SPDX-License-Identifier: Apache-2.0
/* ssh/remote.h against a real sshd on loopback, and what needs none. Passwords are tried in tests/lab/e2e/newcomers.py. */
#include "base/error.h"
#include "center/hosts/machine.h"
#include "ssh/remote.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a server ---- */

static char *dir, *fingerprint, *key;
static guint port;
static GPid server;

static char *in_dir(const char *name)
{
  return g_build_filename(dir, name, NULL);
}

static char *output_of(const char *const *argv)
{
  char *out = NULL;
  int status = 0;
  g_autoptr(GError) error = NULL;
  g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, &error);
  g_assert_no_error(error);
  g_assert_cmpint(status, ==, 0);
  return out;
}

static char *make_key(const char *name)
{
  char *path = in_dir(name);
  g_autofree char *nothing = output_of((const char *const[]){"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, NULL});
  return path;
}

static guint free_port(void)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t n = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&at, n), ==, 0);
  g_assert_cmpint(getsockname(fd, (struct sockaddr *)&at, &n), ==, 0);
  close(fd);
  return ntohs(at.sin_port);
}

/* In the child: a test that crashes leaves no server behind. */
static void end_with_parent(void *arg)
{
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void start_server(void)
{
  g_autofree char *host_key = make_key("host_key"), *login = make_key("login"), *config = in_dir("config");
  g_autofree char *public_key = in_dir("login.pub"), *host_public = in_dir("host_key.pub");
  g_autofree char *shown = output_of((const char *const[]){"ssh-keygen", "-lf", host_public, NULL});
  g_auto(GStrv) words = g_strsplit(shown, " ", 3);
  g_autoptr(GError) error = NULL;
  port = free_port();
  fingerprint = g_strdup(words[1]);
  g_assert_true(g_file_get_contents(login, &key, NULL, NULL));
  g_autofree char *text = g_strdup_printf("Port %u\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\n"
                                          "PermitRootLogin yes\nStrictModes no\nPasswordAuthentication no\n",
                                          port, host_key, public_key);
  g_assert_true(g_file_set_contents(config, text, -1, NULL));
  g_mkdir_with_parents("/run/sshd", 0755); /* sshd's own, where systemd does not make it */
  const char *argv[] = {"/usr/sbin/sshd", "-D", "-e", "-f", config, NULL};
  g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_STDOUT_TO_DEV_NULL, end_with_parent, NULL,
                &server, &error);
  g_assert_no_error(error);
}

static RemoteTarget target(void)
{
  return (RemoteTarget){.address = "127.0.0.1", .port = port, .user = g_get_user_name(), .private_key = key, .host_key = fingerprint};
}

static Remote *open_surely(const RemoteTarget *to)
{
  for (gint64 end_us = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;;) {
    g_autoptr(GError) error = NULL;
    Remote *remote = remote_open(to, &error);
    if (remote)
      return remote;
    if (ws_error_code(error) != WS_ERROR_SSH_UNREACHABLE || g_get_monotonic_time() > end_us)
      g_error("%s", error->message);
    g_usleep(20000);
  }
}

static bool fails(const RemoteTarget *to, WsErrorCode code, GError **error)
{
  g_autoptr(Remote) remote = remote_open(to, error);
  return !remote && ws_error_code(*error) == code;
}

/* ---- the host key, and who gets in ---- */

static void host_key_is_looked_at_first(void)
{
  RemoteTarget to = target();
  g_autoptr(GError) unknown = NULL, changed = NULL;
  g_autoptr(Remote) remote = open_surely(&to);
  g_assert_cmpstr(remote_own_address(remote), ==, "127.0.0.1");
  to.host_key = NULL;
  g_assert_true(fails(&to, WS_ERROR_HOST_KEY_UNKNOWN, &unknown));
  g_assert_cmpstr(ws_error_param(unknown, "host_key"), ==, fingerprint);
  g_assert_cmpstr(ws_error_param(unknown, "kind"), ==, "ssh-ed25519");
  to.host_key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  g_assert_true(fails(&to, WS_ERROR_HOST_KEY_CHANGED, &changed));
  g_assert_cmpstr(ws_error_param(changed, "found"), ==, fingerprint);
  g_assert_cmpstr(ws_error_param(changed, "expected"), ==, to.host_key);
}

static void strangers_do_not_get_in(void)
{
  RemoteTarget to = target();
  g_autofree char *path = make_key("other"), *other = NULL;
  g_autoptr(GError) refused = NULL, no_key = NULL, nobody = NULL, by_password = NULL;
  g_assert_true(g_file_get_contents(path, &other, NULL, NULL));
  to.private_key = other;
  g_assert_true(fails(&to, WS_ERROR_SSH_REFUSED, &refused));
  to.private_key = "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n";
  g_assert_true(fails(&to, WS_ERROR_BAD_VALUE, &no_key));
  to.private_key = NULL;
  to.password = "wrong";
  g_assert_true(fails(&to, WS_ERROR_SSH_REFUSED, &by_password));
  to.port = free_port();
  g_assert_true(fails(&to, WS_ERROR_SSH_UNREACHABLE, &nobody));
}

/* ---- programs ---- */

#define WORDS(...) (const char *const[]){__VA_ARGS__, NULL}

static void program_gets_its_words_and_input_as_they_are(void)
{
  RemoteTarget to = target();
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) error = NULL;
  g_autofree char *out = NULL, *echoed = NULL;
  remote_run(remote, &(RemoteRun){.argv = WORDS("printf", "%s|", "it's", "$HOME; `id`", "a\nb", "")}, &out, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(out, ==, "it's|$HOME; `id`|a\nb||");
  remote_run(remote, &(RemoteRun){.argv = WORDS("cat"), .input = "secret", .input_bytes = 6}, &echoed, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(echoed, ==, "secret");
}

static void exit_status_and_last_words_are_told(void)
{
  RemoteTarget to = target();
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) error = NULL, missing = NULL;
  int status = 0;
  g_assert_false(remote_run(remote, &(RemoteRun){.argv = WORDS("ls", "/no such folder")}, NULL, NULL, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_REMOTE_FAILED);
  g_assert_nonnull(strstr(ws_error_cause(error), "/no such folder"));
  g_assert_true(remote_run(remote, &(RemoteRun){.argv = WORDS("no-such-program"), .any_status = true}, NULL, &status, &missing));
  g_assert_cmpint(status, ==, 127);
}

static void big_file_arrives_whole(void)
{
  RemoteTarget to = target();
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) error = NULL;
  g_autofree char *from = in_dir("big"), *copy = in_dir("copy"), *of = g_strconcat("of=", copy, NULL), *sent = NULL, *came = NULL;
  const gsize n = 9 * 1024 * 1024 + 7; /* more than a window */
  gsize n_came = 0;
  sent = g_malloc(n);
  for (gsize i = 0; i < n; i++)
    sent[i] = (char)(i * 2654435761u >> 13);
  g_assert_true(g_file_set_contents(from, sent, (gssize)n, NULL));
  int fd = open(from, O_RDONLY | O_CLOEXEC);
  remote_run(remote, &(RemoteRun){.argv = WORDS("dd", of, "bs=64k", "status=none"), .input_fd = fd}, NULL, NULL, &error);
  close(fd);
  g_assert_no_error(error);
  g_assert_true(g_file_get_contents(copy, &came, &n_came, NULL));
  g_assert_cmpmem(sent, n, came, n_came);
}

static void program_that_leaves_a_child_has_ended(void)
{
  RemoteTarget to = target();
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) error = NULL;
  g_autofree char *pid = NULL;
  remote_run(remote, &(RemoteRun){.argv = WORDS("sh", "-c", "sleep 600 & echo $!"), .timeout_ms = 250000}, &pid, NULL, &error);
  g_assert_no_error(error);
  g_assert_cmpint(kill((pid_t)g_ascii_strtoll(pid, NULL, 10), SIGKILL), ==, 0);
}

static void time_and_patience_end(void)
{
  gint cancel = 0;
  RemoteTarget to = target();
  to.cancel = &cancel;
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) late = NULL, cancelled = NULL, large = NULL;
  g_assert_false(remote_run(remote, &(RemoteRun){.argv = WORDS("sleep", "60"), .timeout_ms = 300}, NULL, NULL, &late));
  g_assert_cmpint(ws_error_code(late), ==, WS_ERROR_DEADLINE_EXCEEDED);
  g_assert_false(remote_run(remote, &(RemoteRun){.argv = WORDS("head", "-c", "2000000", "/dev/zero")}, NULL, NULL, &large));
  g_assert_cmpint(ws_error_code(large), ==, WS_ERROR_TOO_LARGE);
  cancel = 1;
  g_assert_false(remote_run(remote, &(RemoteRun){.argv = WORDS("true")}, NULL, NULL, &cancelled));
  g_assert_cmpint(ws_error_code(cancelled), ==, WS_ERROR_CANCELLED);
}

/* Last: the server that this connection has is ended by what it runs. */
static void lost_connection_is_told(void)
{
  RemoteTarget to = target();
  g_autoptr(Remote) remote = open_surely(&to);
  g_autoptr(GError) error = NULL;
  g_assert_false(remote_run(remote, &(RemoteRun){.argv = WORDS("sh", "-c", "kill -9 $PPID; sleep 5"), .timeout_ms = 250000}, NULL, NULL, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SSH_UNREACHABLE);
}

/* ---- without a server ---- */

static void words_are_quoted(void)
{
  g_autofree char *line = remote_quote(WORDS("a b", "it's"), true);
  g_auto(GStrv) back = NULL;
  int n;
  g_assert_true(g_shell_parse_argv(line, &n, &back, NULL));
  g_assert_cmpint(n, ==, 5);
  g_assert_cmpstr(back[0], ==, "sudo");
  g_assert_cmpstr(back[3], ==, "a b");
  g_assert_cmpstr(back[4], ==, "it's");
}

static void put(const char *name)
{
  g_autofree char *path = in_dir(name);
  g_assert_true(g_file_set_contents(path, "", 0, NULL));
}

static void newest_package_of_the_architecture_is_found(void)
{
  g_autofree char *version = NULL, *none = NULL, *found = NULL, *nowhere = machine_find_package("/no/such/folder", "amd64", NULL);
  put("winsphere-host_0.9_amd64.deb");
  put("winsphere-host_0.10_amd64.deb");
  put("winsphere-host_0.11_arm64.deb");
  put("winsphere-manager_0.12_amd64.deb");
  found = machine_find_package(dir, "amd64", &version);
  g_assert_cmpstr(version, ==, "0.10");
  g_assert_true(g_str_has_suffix(found, "/winsphere-host_0.10_amd64.deb"));
  none = machine_find_package(dir, "s390x", NULL);
  g_assert_null(none);
  g_assert_null(nowhere);
}

static void remove_dir(void)
{
  GDir *d = g_dir_open(dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name(d));) {
    g_autofree char *path = in_dir(name);
    g_unlink(path);
  }
  g_dir_close(d);
  g_rmdir(dir);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  dir = g_dir_make_tmp("ssh-XXXXXX", NULL);
  g_test_add_func("/ssh/remote/words_are_quoted", words_are_quoted);
  g_test_add_func("/ssh/remote/newest_package_of_the_architecture_is_found", newest_package_of_the_architecture_is_found);
  if (getuid() == 0 && g_file_test("/usr/sbin/sshd", G_FILE_TEST_IS_EXECUTABLE)) {
    start_server();
#define ADD(name) g_test_add_func("/ssh/remote/" #name, name)
    ADD(host_key_is_looked_at_first);
    ADD(strangers_do_not_get_in);
    ADD(program_gets_its_words_and_input_as_they_are);
    ADD(exit_status_and_last_words_are_told);
    ADD(big_file_arrives_whole);
    ADD(program_that_leaves_a_child_has_ended);
    ADD(time_and_patience_end);
    ADD(lost_connection_is_told);
  }
  int result = g_test_run();
  if (server) {
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
  }
  remove_dir();
  return result;
}
