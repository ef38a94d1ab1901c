// SPDX-License-Identifier: Apache-2.0
/* See remote.h. The handshake uses libssh's blocking calls, each bounded by SSH_OPTIONS_TIMEOUT; from then on the session does not block, and
 * programs are followed by events, so that deadline and cancel hold. */
#include "ssh/remote.h"
#include "base/error.h"
#include <errno.h>
#include <gio/gio.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_S   10
#define SILENT_MS     30000 /* TCP: what is not acknowledged for so long is lost */
#define RUN_MS        30000
#define TURN_MS       100   /* how often deadline and cancel are looked at */
#define CHUNK         32768 /* SSH's usual packet */
#define LAST_WORDS_US (2 * G_USEC_PER_SEC)
#define STDERR_MAX    4096

static const RemoteFake *fake;

struct Remote {
  RemoteTarget target;
  ssh_session session;
  ssh_event event;
  char *own_address;
};

void remote_set_fake(const RemoteFake *with)
{
  fake = with;
}

/* ---- errors ---- */

static bool fail_unreachable(const RemoteTarget *target, const char *cause, GError **error)
{
  g_autofree char *port = g_strdup_printf("%u", target->port);
  return ws_fail(error, WS_ERROR_SSH_UNREACHABLE, "address", target->address, "port", port, "cause", cause, NULL);
}

static bool was_cancelled(const RemoteTarget *target)
{
  return target->cancel && g_atomic_int_get(target->cancel);
}

/* ---- the host key ---- */

/* Base64 without its padding, as OpenSSH shows it. */
static bool same_key(const char *one, const char *other)
{
  gsize n = strlen(one), m = strlen(other);
  while (n && one[n - 1] == '=')
    n--;
  while (m && other[m - 1] == '=')
    m--;
  return n == m && memcmp(one, other, n) == 0;
}

static char *fingerprint_of(ssh_session session, const char **kind)
{
  ssh_key key = NULL;
  unsigned char *hash = NULL;
  gsize n = 0;
  char *text = NULL;
  if (ssh_get_server_publickey(session, &key) == SSH_OK && ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &n) == 0) {
    char *made = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, n);
    text = g_strdup(made);
    ssh_string_free_char(made);
    *kind = ssh_key_type_to_char(ssh_key_type(key));
    ssh_clean_pubkey_hash(&hash);
  }
  ssh_key_free(key);
  return text;
}

static bool check_host_key(const RemoteTarget *target, ssh_session session, GError **error)
{
  const char *kind = "";
  g_autofree char *found = fingerprint_of(session, &kind);
  if (!found)
    return fail_unreachable(target, "it shows no host key", error);
  if (!target->host_key)
    return ws_fail(error, WS_ERROR_HOST_KEY_UNKNOWN, "address", target->address, "host_key", found, "kind", kind, NULL);
  return same_key(target->host_key, found) || ws_fail(error, WS_ERROR_HOST_KEY_CHANGED, "address", target->address, "expected",
                                                      target->host_key, "found", found, NULL);
}

/* ---- connecting ---- */

static bool set_options(const RemoteTarget *target, ssh_session session, GError **error)
{
  long timeout_s = HANDSHAKE_S;
  bool no = false;
  unsigned int port = target->port;
  return (ssh_options_set(session, SSH_OPTIONS_HOST, target->address) == 0 && ssh_options_set(session, SSH_OPTIONS_PORT, &port) == 0 &&
          ssh_options_set(session, SSH_OPTIONS_USER, target->user) == 0 && ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &timeout_s) == 0 &&
          ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == 0 &&
          ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, "/dev/null") == 0 &&
          ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null") == 0) ||
         fail_unreachable(target, ssh_get_error(session), error);
}

static void set_socket(int fd)
{
  int on = 1, idle_s = 10, interval_s = 5, probes = 4, silent_ms = SILENT_MS;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof silent_ms);
}

static char *own_address_of(int fd)
{
  struct sockaddr_storage own;
  socklen_t n = sizeof own;
  if (getsockname(fd, (struct sockaddr *)&own, &n) < 0)
    return NULL;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&own;
  bool mapped = own.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
  const void *bytes = own.ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)&own)->sin_addr
                                               : (const void *)(six->sin6_addr.s6_addr + (mapped ? 12 : 0));
  g_autoptr(GInetAddress) address = g_inet_address_new_from_bytes(bytes, own.ss_family == AF_INET || mapped ? G_SOCKET_FAMILY_IPV4 : G_SOCKET_FAMILY_IPV6);
  g_autofree char *text = g_inet_address_to_string(address);
  return strchr(text, ':') ? g_strdup_printf("[%s]", text) : g_steal_pointer(&text);
}

/* ---- logging in ---- */

/* Servers that ask by keyboard-interactive (PAM) ask for the same password. */
static int answer_questions(const RemoteTarget *target, ssh_session session)
{
  int rc = ssh_userauth_kbdint(session, NULL, NULL);
  for (guint round = 0; rc == SSH_AUTH_INFO && round < 4; round++) {
    int n = ssh_userauth_kbdint_getnprompts(session);
    for (int i = 0; i < n; i++) {
      char echo = 0;
      ssh_userauth_kbdint_getprompt(session, (unsigned int)i, &echo);
      if (echo || ssh_userauth_kbdint_setanswer(session, (unsigned int)i, target->password) < 0)
        return SSH_AUTH_DENIED; /* it asks for something else */
    }
    rc = ssh_userauth_kbdint(session, NULL, NULL);
  }
  return rc;
}

static bool read_key(const RemoteTarget *target, ssh_key *key, GError **error)
{
  const char *passphrase = target->password ? target->password : ""; /* none at all: OpenSSL would ask on the terminal */
  if (ssh_pki_import_privkey_base64(target->private_key, passphrase, NULL, NULL, key) == SSH_OK)
    return true;
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "private_key", "expected",
                 "a private key in PEM or OpenSSH form, and its passphrase as the password where it has one", NULL);
}

static bool log_in(const RemoteTarget *target, ssh_session session, GError **error)
{
  ssh_key key = NULL;
  int rc = SSH_AUTH_DENIED;
  if (target->private_key) {
    if (!read_key(target, &key, error))
      return false;
    rc = ssh_userauth_publickey(session, NULL, key);
    ssh_key_free(key);
  } else if (target->password) {
    int first = ssh_userauth_none(session, NULL); /* it tells the ways that there are */
    int ways = ssh_userauth_list(session, NULL);
    if (first == SSH_AUTH_ERROR)
      rc = first;
    else if (ways & SSH_AUTH_METHOD_PASSWORD)
      rc = ssh_userauth_password(session, NULL, target->password);
    if (rc != SSH_AUTH_SUCCESS && rc != SSH_AUTH_ERROR && (ways & SSH_AUTH_METHOD_INTERACTIVE))
      rc = answer_questions(target, session);
  }
  if (rc == SSH_AUTH_SUCCESS)
    return true;
  if (rc == SSH_AUTH_ERROR && !ssh_is_connected(session))
    return fail_unreachable(target, ssh_get_error(session), error);
  return ws_fail(error, WS_ERROR_SSH_REFUSED, "address", target->address, "user", target->user, "cause", ssh_get_error(session), NULL);
}

static bool connect_session(Remote *remote, GError **error)
{
  ssh_session session = remote->session;
  const RemoteTarget *target = &remote->target;
  if (!set_options(target, session, error))
    return false;
  if (ssh_connect(session) != SSH_OK)
    return fail_unreachable(target, ssh_get_error(session), error);
  set_socket(ssh_get_fd(session));
  remote->own_address = own_address_of(ssh_get_fd(session));
  if (!check_host_key(target, session, error) || !log_in(target, session, error))
    return false;
  ssh_set_blocking(session, 0);
  remote->event = ssh_event_new();
  return ssh_event_add_session(remote->event, session) == SSH_OK || fail_unreachable(target, ssh_get_error(session), error);
}

Remote *remote_open(const RemoteTarget *target, GError **error)
{
  g_autoptr(Remote) remote = g_new0(Remote, 1);
  remote->target = *target;
  if (fake)
    return fake->open(target, &remote->own_address, fake->arg, error) ? g_steal_pointer(&remote) : NULL;
  remote->session = ssh_new();
  return connect_session(remote, error) ? g_steal_pointer(&remote) : NULL;
}

void remote_close(Remote *remote)
{
  if (!remote)
    return;
  if (remote->event)
    ssh_event_free(remote->event);
  if (remote->session) {
    ssh_set_blocking(remote->session, 1);
    ssh_disconnect(remote->session);
    ssh_free(remote->session);
  }
  g_free(remote->own_address);
  g_free(remote);
}

const char *remote_own_address(const Remote *remote)
{
  return remote->own_address;
}

/* ---- words ---- */

char *remote_quote(const char *const *argv, bool by_sudo)
{
  GString *line = g_string_new(by_sudo ? "sudo -n --" : NULL);
  for (guint i = 0; argv[i]; i++) {
    g_autofree char *word = g_shell_quote(argv[i]);
    g_string_append_printf(line, "%s%s", line->len ? " " : "", word);
  }
  return g_string_free(line, FALSE);
}

static char *last_line(const char *text)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (guint i = g_strv_length(lines); i-- > 0;)
    if (*g_strstrip(lines[i]))
      return g_utf8_make_valid(lines[i], -1);
  return NULL;
}

/* ---- one program ---- */

typedef struct {
  Remote *remote;
  const RemoteRun *run;
  ssh_channel channel;
  GString *out, *said; /* stdout, stderr's end */
  gint64 end_us, sent;
  int status;          /* -1: it runs */
  bool closed, too_large, sent_all;
} Program;

static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t n, int is_stderr, void *arg)
{
  Program *program = arg;
  GString *to = is_stderr ? program->said : program->out;
  if (is_stderr && to->len > STDERR_MAX)
    g_string_erase(to, 0, (gssize)(to->len - STDERR_MAX / 2));
  if (!is_stderr && to->len + n > REMOTE_OUTPUT_MAX)
    program->too_large = true;
  else
    g_string_append_len(to, data, (gssize)n);
  return (int)n;
}

static void on_status(ssh_session session, ssh_channel channel, int status, void *arg)
{
  ((Program *)arg)->status = status;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, int core, const char *text, const char *lang, void *arg)
{
  ((Program *)arg)->status = 128 + 9; /* which one SSH tells by name only */
}

static void on_close(ssh_session session, ssh_channel channel, void *arg)
{
  ((Program *)arg)->closed = true;
}

/* A turn of the session; false: it is lost, time is over, or the caller has had enough. */
static bool turn(Program *program, int wait_ms, GError **error)
{
  const RemoteTarget *target = &program->remote->target;
  if (was_cancelled(target))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (g_get_monotonic_time() >= program->end_us) {
    g_autofree char *timeout = g_strdup_printf("%u s", (program->run->timeout_ms ? program->run->timeout_ms : RUN_MS) / 1000);
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", program->run->argv[0], "timeout", timeout, NULL);
  }
  if (ssh_event_dopoll(program->remote->event, wait_ms) == SSH_ERROR || !ssh_is_connected(program->remote->session))
    return fail_unreachable(target, ssh_get_error(program->remote->session), error);
  return true;
}

/* Calls of a session that does not block say SSH_AGAIN until they are done. */
static bool open_channel(Program *program, const char *line, GError **error)
{
  int rc;
  while ((rc = ssh_channel_open_session(program->channel)) == SSH_AGAIN)
    if (!turn(program, TURN_MS, error))
      return false;
  if (rc == SSH_OK)
    while ((rc = ssh_channel_request_exec(program->channel, line)) == SSH_AGAIN)
      if (!turn(program, TURN_MS, error))
        return false;
  return rc == SSH_OK || fail_unreachable(&program->remote->target, ssh_get_error(program->remote->session), error);
}

/* The next piece of stdin; *n 0: that was all. */
static bool next_piece(Program *program, char *buffer, gsize room, const char **piece, gsize *n, GError **error)
{
  const RemoteRun *run = program->run;
  if (!run->input_fd) {
    *piece = (const char *)run->input + program->sent;
    *n = MIN(room, run->input_bytes - (gsize)program->sent);
    return true;
  }
  ssize_t got = pread(run->input_fd, buffer, room, program->sent);
  if (got < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", "the file to send", "cause", g_strerror(errno), NULL);
  *piece = buffer;
  *n = (gsize)got;
  return true;
}

/* As much as the other side has room for. */
static bool feed(Program *program, GError **error)
{
  char buffer[CHUNK];
  while (!program->sent_all && !program->closed && program->status < 0) {
    gsize room = MIN(sizeof buffer, ssh_channel_window_size(program->channel)), n = 0;
    const char *piece = NULL;
    if (!room)
      return true;
    if (!next_piece(program, buffer, room, &piece, &n, error))
      return false;
    program->sent_all = n == 0;
    if (program->sent_all) {
      ssh_channel_send_eof(program->channel);
      break;
    }
    int wrote = ssh_channel_write(program->channel, piece, (uint32_t)n);
    if (wrote == SSH_ERROR)
      return fail_unreachable(&program->remote->target, ssh_get_error(program->remote->session), error);
    program->sent += wrote;
    if (program->run->progress)
      program->run->progress(program->sent, program->run->progress_arg);
    if (wrote < (int)n || program->run->input_fd)
      break; /* the socket first */
  }
  explicit_bzero(buffer, sizeof buffer);
  return true;
}

/* Its status may come before its last words: these are taken until the channel closes, or for a moment when what it has started in the background
 * keeps it open. */
static bool follow(Program *program, GError **error)
{
  while (program->status < 0 && !program->closed)
    if (!feed(program, error) || !turn(program, program->sent_all ? TURN_MS : 1, error))
      return false;
  for (gint64 until_us = g_get_monotonic_time() + LAST_WORDS_US; !program->closed && !ssh_channel_is_eof(program->channel);)
    if (!turn(program, TURN_MS, error))
      return false;
    else if (g_get_monotonic_time() >= until_us)
      break;
  if (program->too_large)
    return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", G_STRINGIFY(REMOTE_OUTPUT_MAX), NULL);
  return program->status >= 0 || fail_unreachable(&program->remote->target, "the program's end was not told", error);
}

static bool run_program(Program *program, GError **error)
{
  struct ssh_channel_callbacks_struct callbacks = {.userdata = program,
                                                   .channel_data_function = on_data,
                                                   .channel_exit_status_function = on_status,
                                                   .channel_exit_signal_function = on_signal,
                                                   .channel_close_function = on_close};
  g_autofree char *line = remote_quote(program->run->argv, program->run->by_sudo);
  ssh_callbacks_init(&callbacks);
  program->channel = ssh_channel_new(program->remote->session);
  ssh_set_channel_callbacks(program->channel, &callbacks);
  bool ok = open_channel(program, line, error) && follow(program, error);
  ssh_remove_channel_callbacks(program->channel, &callbacks);
  ssh_channel_close(program->channel);
  ssh_channel_free(program->channel);
  return ok;
}

static bool judge(const Remote *remote, const RemoteRun *run, int status, const char *said, GError **error)
{
  if (status == 0 || run->any_status)
    return true;
  g_autofree char *number = g_strdup_printf("%d", status), *cause = last_line(said);
  return ws_fail(error, WS_ERROR_REMOTE_FAILED, "address", remote->target.address, "program", run->argv[0], "status", number, "cause",
                 cause ? cause : "it said nothing", NULL);
}

bool remote_run(Remote *remote, const RemoteRun *run, char **out, int *status, GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL), said = g_string_new(NULL);
  guint timeout_ms = run->timeout_ms ? run->timeout_ms : RUN_MS;
  Program program = {.remote = remote, .run = run, .out = text, .said = said, .status = -1,
                     .end_us = g_get_monotonic_time() + (gint64)timeout_ms * 1000};
  if (fake) {
    char *answer = NULL;
    if (!fake->run(&remote->target, run, &answer, &program.status, fake->arg, error))
      return false;
    g_string_assign(text, answer ? answer : "");
    g_string_assign(said, text->str);
    g_free(answer);
  } else if (!run_program(&program, error)) {
    return false;
  }
  if (status)
    *status = program.status;
  if (!judge(remote, run, program.status, said->str, error))
    return false;
  if (out)
    *out = g_strdup(text->str);
  return true;
}
