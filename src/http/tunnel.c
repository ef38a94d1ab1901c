// SPDX-License-Identifier: Apache-2.0
/* Tunnels over mutual TLS. See tunnel.h; tunnel_flow.c moves the bytes.
 *
 * A connection begins with a greeting of the sender, in one piece:
 *     "WST1", length of ticket (1 byte), ticket, length of channel (1), channel, length of payload (4, big endian), payload
 * and the receiver's answer when the far socket is connected or the call was made:
 *     0 accepted or 1 refused (1 byte), length of reason (2, big endian), reason
 * On a channel of calls more may follow, each as length (4, big endian) and payload, and is answered in the same way.
 * Both ends give a greeting TUNNEL_HANDSHAKE_MS, the answer to a call as long as it takes. */
#include "http/tunnel-private.h"
#include "base/error.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char magic[4] = "WST1";

/* ---- threads: counted, so that tunnel_close() can wait for them ---- */

typedef struct {
  Tunnel *tunnel;
  void (*func)(Tunnel *tunnel, void *arg);
  void *arg;
} Job;

static gpointer run_job(gpointer data)
{
  g_autofree Job *job = data;
  Tunnel *tunnel = job->tunnel;
  job->func(tunnel, job->arg);
  g_mutex_lock(&tunnel->lock);
  tunnel->threads--;
  g_cond_broadcast(&tunnel->changed);
  g_mutex_unlock(&tunnel->lock);
  return NULL;
}

static void start_thread(Tunnel *tunnel, void (*func)(Tunnel *tunnel, void *arg), void *arg)
{
  Job *job = g_new(Job, 1);
  *job = (Job){tunnel, func, arg};
  g_mutex_lock(&tunnel->lock);
  tunnel->threads++;
  g_mutex_unlock(&tunnel->lock);
  g_thread_unref(g_thread_new("tunnel", run_job, job));
}

/* ---- sockets ---- */

static bool fail_socket(GError **error, const char *what, int number)
{
  return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", what, "cause", g_strerror(number), NULL);
}

static int unix_socket(const char *path, struct sockaddr_un *address, GError **error)
{
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address->sun_path) {
    fail_socket(error, "the path of a socket is too long", ENAMETOOLONG);
    return -1;
  }
  g_strlcpy(address->sun_path, path, sizeof address->sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    fail_socket(error, "no socket", errno);
  return fd;
}

static int listen_unix(const char *path, GError **error)
{
  struct sockaddr_un address;
  int fd = unix_socket(path, &address, error);
  if (fd < 0)
    return -1;
  unlink(path);
  /* Who may reach it is decided by the folder it lies in. */
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0666) == 0 && listen(fd, 16) == 0)
    return fd;
  fail_socket(error, path, errno);
  close(fd);
  return -1;
}

static int connect_unix(const char *path, GError **error)
{
  struct sockaddr_un address;
  int fd = unix_socket(path, &address, error);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  fail_socket(error, path, errno);
  close(fd);
  return -1;
}

static bool parse_address(const char *text, guint16 port, struct sockaddr_storage *out, socklen_t *n, GError **error)
{
  struct sockaddr_in *v4 = (struct sockaddr_in *)out;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *n = sizeof *v4;
    return true;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *n = sizeof *v6;
    return true;
  }
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "address", "expected", "an IPv4 or IPv6 address", NULL);
}

static void tune(int fd)
{
  int on = 1, silence_ms = TUNNEL_SILENCE_MS, idle_s = 20, interval_s = 10; /* asked while nothing is under way, too */
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms);
}

static int listen_tcp(const char *address, guint16 port, GError **error)
{
  struct sockaddr_storage at;
  socklen_t n;
  int on = 1;
  if (!parse_address(address, port, &at, &n, error))
    return -1;
  int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return fail_socket(error, address, errno), -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, TUNNEL_ARRIVING_MAX) == 0)
    return fd;
  int number = errno;
  close(fd);
  fail_socket(error, address, number);
  errno = number;
  return -1;
}

static bool finish_connect(Tunnel *tunnel, int fd, GError **error)
{
  int number = 0;
  socklen_t n = sizeof number;
  if (!tunnel_wait_fd(tunnel, fd, POLLOUT, g_get_monotonic_time() + TUNNEL_HANDSHAKE_MS * G_GINT64_CONSTANT(1000), error))
    return false;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &n);
  return number == 0 || fail_socket(error, "the other host cannot be reached", number);
}

static int connect_tcp(Tunnel *tunnel, GError **error)
{
  struct sockaddr_storage at;
  socklen_t n;
  if (!parse_address(tunnel->address, tunnel->port, &at, &n, error))
    return -1;
  int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return fail_socket(error, tunnel->address, errno), -1;
  if (connect(fd, (struct sockaddr *)&at, n) == 0 || (errno == EINPROGRESS && finish_connect(tunnel, fd, error)))
    return fd;
  if (error && !*error)
    fail_socket(error, "the other host cannot be reached", errno);
  close(fd);
  return -1;
}

/* ---- who may come in ---- */

static bool accept_peer(const char *cn, const char *serial, void *arg)
{
  const Tunnel *tunnel = arg;
  return strcmp(cn, tunnel->peer_cn) == 0 && g_strv_contains((const char *const *)tunnel->peer_serials, serial);
}

static bool ticket_fits(const Tunnel *tunnel, const char *ticket, gsize n)
{
  return n == strlen(tunnel->ticket) && CRYPTO_memcmp(ticket, tunnel->ticket, n) == 0;
}

static Channel *find_channel(Tunnel *tunnel, const char *name)
{
  for (guint i = 0; i < tunnel->n_channels; i++)
    if (strcmp(tunnel->channels[i].name, name) == 0)
      return &tunnel->channels[i];
  return NULL;
}

/* Takes one of the connections that the channel allows. */
static bool take_place(Tunnel *tunnel, Channel *channel)
{
  g_mutex_lock(&tunnel->lock);
  bool room = channel->taken < channel->max;
  if (room) {
    channel->taken++;
    tunnel->stats.total++;
  }
  g_mutex_unlock(&tunnel->lock);
  return room;
}

static void count_open(Tunnel *tunnel, int by)
{
  g_mutex_lock(&tunnel->lock);
  tunnel->stats.open += (guint)by;
  g_mutex_unlock(&tunnel->lock);
}

/* ---- the receiver ---- */

typedef struct {
  Channel *channel;
  char name[64];
  GBytes *payload; /* NULL: none */
} Greeting;

static bool read_text(TunnelLine *line, char *out, gsize max, GError **error)
{
  guint8 n;
  if (!tunnel_read(line, &n, 1, error))
    return false;
  if (n == 0 || n >= max)
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the greeting is not understood", NULL);
  out[n] = 0;
  return tunnel_read(line, out, n, error);
}

static GBytes *read_payload(TunnelLine *line, guint32 n, GError **error)
{
  g_autofree char *payload = g_malloc(n + 1);
  if (!tunnel_read(line, payload, n, error))
    return NULL;
  __atomic_add_fetch(&line->tunnel->stats.received_bytes, (gint64)n, __ATOMIC_RELAXED);
  return g_bytes_new_take(g_steal_pointer(&payload), n);
}

static bool read_greeting(TunnelLine *line, Greeting *greeting, GError **error)
{
  Tunnel *tunnel = line->tunnel;
  char start[sizeof magic], ticket[130];
  guint32 n;
  if (!tunnel_read(line, start, sizeof start, error))
    return false;
  if (memcmp(start, magic, sizeof start) != 0)
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the greeting is not understood", NULL);
  if (!read_text(line, ticket, sizeof ticket, error))
    return false;
  if (!ticket_fits(tunnel, ticket, strlen(ticket)))
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the ticket is not this job's", NULL);
  if (!read_text(line, greeting->name, sizeof greeting->name, error) || !tunnel_read(line, &n, sizeof n, error))
    return false;
  n = g_ntohl(n);
  greeting->channel = find_channel(tunnel, greeting->name);
  if (!greeting->channel || (n && !greeting->channel->call) || n > TUNNEL_PAYLOAD_MAX)
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "there is no such channel", NULL);
  if (!take_place(tunnel, greeting->channel))
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the channel has no connection left", NULL);
  greeting->payload = read_payload(line, n, error);
  return greeting->payload != NULL;
}

static bool send_answer(TunnelLine *line, const GError *refused)
{
  const char *cause = refused ? ws_error_cause(refused) : NULL;
  g_autofree char *why = refused ? g_strdup_printf("%s%s%s", refused->message, cause ? ": " : "", cause ? cause : "") : NULL;
  guint16 n = why ? (guint16)MIN(strlen(why), 1000) : 0;
  g_autoptr(GByteArray) out = g_byte_array_new();
  guint8 status = refused != NULL, length[2] = {(guint8)(n >> 8), (guint8)n};
  g_byte_array_append(out, &status, 1);
  g_byte_array_append(out, length, 2);
  if (n)
    g_byte_array_append(out, (const guint8 *)why, n);
  return tunnel_write(line, out->data, out->len, NULL);
}

static void refuse(TunnelLine *line, const GError *error)
{
  Tunnel *tunnel = line->tunnel;
  g_mutex_lock(&tunnel->lock);
  tunnel->stats.refused++;
  g_mutex_unlock(&tunnel->lock);
  ws_log_error(WS_LOG_WARNING, "tunnel-refused", error, "peer", tunnel->peer_cn, NULL);
  if (SSL_is_init_finished(line->ssl))
    send_answer(line, error);
}

/* Ends the arriving part of a connection's life. */
static void arrived(Tunnel *tunnel)
{
  g_mutex_lock(&tunnel->lock);
  tunnel->arriving--;
  g_mutex_unlock(&tunnel->lock);
}

/* Until the sender has no more. */
static void serve_calls(TunnelLine *line, Greeting *greeting)
{
  for (guint32 n; greeting->payload;) {
    g_autoptr(GError) error = NULL;
    bool ok = greeting->channel->call(greeting->payload, greeting->channel->arg, &error);
    g_clear_pointer(&greeting->payload, g_bytes_unref);
    if (send_answer(line, ok ? NULL : error) && tunnel_read(line, &n, sizeof n, NULL) && g_ntohl(n) <= TUNNEL_PAYLOAD_MAX)
      greeting->payload = read_payload(line, g_ntohl(n), NULL);
  }
}

static void serve_channel(TunnelLine *line, Greeting *greeting)
{
  g_autoptr(GError) error = NULL;
  Tunnel *tunnel = line->tunnel;
  line->deadline_us = G_MAXINT64;
  if (greeting->channel->call) {
    serve_calls(line, greeting);
    return;
  }
  int fd = connect_unix(greeting->channel->path, &error);
  if (fd < 0) {
    refuse(line, error);
    return;
  }
  count_open(tunnel, 1);
  if (send_answer(line, NULL))
    tunnel_flow(line, greeting->channel, fd);
  count_open(tunnel, -1);
  close(fd);
}

static void serve_connection(Tunnel *tunnel, void *arg)
{
  g_autoptr(GError) error = NULL;
  Greeting greeting = {0};
  TunnelLine line;
  tunnel_line_init(&line, tunnel, GPOINTER_TO_INT(arg), false);
  bool welcome = tunnel_handshake(&line, &error) && read_greeting(&line, &greeting, &error);
  arrived(tunnel);
  if (welcome)
    serve_channel(&line, &greeting);
  else
    refuse(&line, error);
  g_clear_pointer(&greeting.payload, g_bytes_unref);
  tunnel_line_clear(&line);
}

static bool may_arrive(Tunnel *tunnel)
{
  g_mutex_lock(&tunnel->lock);
  bool room = tunnel->arriving < TUNNEL_ARRIVING_MAX;
  if (room)
    tunnel->arriving++;
  g_mutex_unlock(&tunnel->lock);
  return room;
}

static void accept_loop(Tunnel *tunnel, void *unused)
{
  while (tunnel_wait_fd(tunnel, tunnel->tcp_fd, POLLIN, G_MAXINT64, NULL)) {
    int fd = accept4(tunnel->tcp_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
      continue;
    tune(fd);
    if (may_arrive(tunnel))
      start_thread(tunnel, serve_connection, GINT_TO_POINTER(fd));
    else
      close(fd);
  }
}

/* ---- the sender ---- */

static void append_text(GByteArray *out, const char *text)
{
  guint8 n = (guint8)strlen(text);
  g_byte_array_append(out, &n, 1);
  g_byte_array_append(out, (const guint8 *)text, n);
}

static bool greet(TunnelLine *line, const char *channel, const void *payload, gsize n, GError **error)
{
  g_autoptr(GByteArray) out = g_byte_array_new();
  guint32 length = g_htonl((guint32)n);
  g_byte_array_append(out, (const guint8 *)magic, sizeof magic);
  append_text(out, line->tunnel->ticket);
  append_text(out, channel);
  g_byte_array_append(out, (const guint8 *)&length, sizeof length);
  if (n)
    g_byte_array_append(out, payload, (guint)n);
  return tunnel_write(line, out->data, out->len, error);
}

static bool read_answer(TunnelLine *line, GError **error)
{
  guint8 head[3];
  char why[1001];
  if (!tunnel_read(line, head, sizeof head, error))
    return false;
  gsize n = (gsize)head[1] << 8 | head[2];
  if (n >= sizeof why)
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the answer is not understood", NULL);
  if (!tunnel_read(line, why, n, error))
    return false;
  why[n] = 0;
  return head[0] == 0 || ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", why, NULL);
}

/* A connection to the other end that has been let in to the channel. */
static bool open_line(Tunnel *tunnel, const char *channel, const void *payload, gsize n, bool is_call, TunnelLine *line,
                      GError **error)
{
  int fd = connect_tcp(tunnel, error);
  if (fd < 0)
    return false;
  tune(fd);
  tunnel_line_init(line, tunnel, fd, true);
  if (tunnel_handshake(line, error) && greet(line, channel, payload, n, error)) {
    if (is_call)
      line->deadline_us = G_MAXINT64;
    if (read_answer(line, error)) {
      line->deadline_us = G_MAXINT64;
      return true;
    }
  }
  tunnel_line_clear(line);
  return false;
}

typedef struct {
  TunnelLine line;
  const Channel *channel;
  int fd;
} Carried;

static void carry(Tunnel *tunnel, void *arg)
{
  g_autofree Carried *carried = arg;
  tunnel_flow(&carried->line, carried->channel, carried->fd);
  count_open(tunnel, -1);
  tunnel_line_clear(&carried->line);
  close(carried->fd);
}

/* One after the other: see the order of connections in tunnel.h. */
static void take_loop(Tunnel *tunnel, void *arg)
{
  Channel *channel = arg;
  while (tunnel_wait_fd(tunnel, channel->listen_fd, POLLIN, G_MAXINT64, NULL)) {
    g_autoptr(GError) error = NULL;
    g_autofree Carried *carried = g_new0(Carried, 1);
    carried->channel = channel;
    carried->fd = accept4(channel->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (carried->fd < 0)
      continue;
    if (!take_place(tunnel, channel))
      ws_fail(&error, WS_ERROR_TUNNEL_REFUSED, "reason", "the channel has no connection left", NULL);
    else if (open_line(tunnel, channel->name, NULL, 0, false, &carried->line, &error)) {
      count_open(tunnel, 1);
      start_thread(tunnel, carry, g_steal_pointer(&carried));
      continue;
    }
    ws_log_error(WS_LOG_WARNING, "tunnel-not-opened", error, "channel", channel->name, "peer", tunnel->peer_cn, NULL);
    close(carried->fd);
  }
}

bool tunnel_request(Tunnel *tunnel, const char *channel, const void *payload, gsize n, GError **error)
{
  TunnelLine line;
  g_assert(n <= TUNNEL_PAYLOAD_MAX);
  if (!open_line(tunnel, channel, payload, n, true, &line, error))
    return false;
  tunnel_line_clear(&line);
  return true;
}

struct TunnelCaller {
  Tunnel *tunnel;
  const char *channel;
  TunnelLine line;
  bool open;
};

TunnelCaller *tunnel_caller_new(Tunnel *tunnel, const char *channel)
{
  TunnelCaller *caller = g_new0(TunnelCaller, 1);
  caller->tunnel = tunnel;
  caller->channel = channel;
  return caller;
}

static bool call_again(TunnelLine *line, const void *payload, gsize n, GError **error)
{
  guint32 length = g_htonl((guint32)n);
  return tunnel_write(line, &length, sizeof length, error) && tunnel_write(line, payload, n, error) && read_answer(line, error);
}

bool tunnel_caller_call(TunnelCaller *caller, const void *payload, gsize n, GError **error)
{
  g_assert(n <= TUNNEL_PAYLOAD_MAX);
  bool was_open = caller->open;
  struct pollfd ended = {caller->tunnel->wake_fd, POLLIN, 0};
  if (poll(&ended, 1, 0) > 0)
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the job has ended", NULL);
  if (!was_open)
    caller->open = open_line(caller->tunnel, caller->channel, payload, n, true, &caller->line, error);
  bool ok = was_open ? call_again(&caller->line, payload, n, error) : caller->open;
  if (!ok && caller->open) {
    tunnel_line_clear(&caller->line);
    caller->open = false;
  }
  if (ok)
    __atomic_add_fetch(&caller->tunnel->stats.sent_bytes, (gint64)n, __ATOMIC_RELAXED);
  return ok;
}

void tunnel_caller_free(TunnelCaller *caller)
{
  if (caller && caller->open)
    tunnel_line_clear(&caller->line);
  g_free(caller);
}

/* ---- life ---- */

static Tunnel *tunnel_new(const TunnelConfig *config, bool server, GError **error)
{
  Tunnel *tunnel = g_new0(Tunnel, 1);
  tunnel->hook = (TlsHook){accept_peer, tunnel};
  tunnel->tcp_fd = -1;
  tunnel->clock = config->clock;
  tunnel->ticket = g_strdup(config->ticket);
  tunnel->peer_cn = g_strdup(config->peer_cn);
  tunnel->peer_serials = g_strdupv((char **)config->peer_serials);
  tunnel->n_channels = config->n_channels;
  tunnel->channels = g_new0(Channel, config->n_channels);
  for (guint i = 0; i < config->n_channels; i++) {
    const TunnelChannel *from = &config->channels[i];
    tunnel->channels[i] = (Channel){
        g_strdup(from->name), g_strdup(from->path), from->call, from->arg, from->max, 0, -1, from->reader};
  }
  g_mutex_init(&tunnel->lock);
  g_cond_init(&tunnel->changed);
  tunnel->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_assert(tunnel->wake_fd >= 0);
  tunnel->context = http_tls_tunnel_context(&config->tls, server, &tunnel->hook, error);
  gsize n = strlen(config->ticket);
  if (tunnel->context && n >= 16 && n <= 128)
    return tunnel;
  if (tunnel->context)
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "ticket", "expected", "16 to 128 letters", NULL);
  tunnel_close(tunnel);
  return NULL;
}

Tunnel *tunnel_listen(const TunnelConfig *config, const char *address, guint16 first, guint16 last, guint16 *port, GError **error)
{
  Tunnel *tunnel = tunnel_new(config, true, error);
  if (!tunnel)
    return NULL;
  for (guint try = first; try <= last && tunnel->tcp_fd < 0; try++) {
    g_autoptr(GError) taken = NULL;
    tunnel->tcp_fd = listen_tcp(address, (guint16)try, &taken);
    if (tunnel->tcp_fd < 0 && (errno != EADDRINUSE || try == last)) {
      g_propagate_error(error, g_steal_pointer(&taken));
      tunnel_close(tunnel);
      return NULL;
    }
  }
  struct sockaddr_storage at;
  socklen_t n = sizeof at;
  getsockname(tunnel->tcp_fd, (struct sockaddr *)&at, &n);
  *port = g_ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
  start_thread(tunnel, accept_loop, NULL);
  return tunnel;
}

Tunnel *tunnel_dial(const TunnelConfig *config, const char *address, guint16 port, GError **error)
{
  Tunnel *tunnel = tunnel_new(config, false, error);
  if (!tunnel)
    return NULL;
  tunnel->address = g_strdup(address);
  tunnel->port = port;
  for (guint i = 0; i < tunnel->n_channels; i++) {
    Channel *channel = &tunnel->channels[i];
    channel->listen_fd = channel->path ? listen_unix(channel->path, error) : -1;
    if (channel->path && channel->listen_fd < 0) {
      tunnel_close(tunnel);
      return NULL;
    }
  }
  for (guint i = 0; i < tunnel->n_channels; i++)
    if (tunnel->channels[i].path)
      start_thread(tunnel, take_loop, &tunnel->channels[i]);
  return tunnel;
}

void tunnel_break(Tunnel *tunnel)
{
  guint64 one = 1;
  ssize_t done = tunnel ? write(tunnel->wake_fd, &one, sizeof one) : (ssize_t)sizeof one; /* never read: everybody sees it */
  g_assert(done == sizeof one);
}

void tunnel_close(Tunnel *tunnel)
{
  if (!tunnel)
    return;
  tunnel_break(tunnel);
  g_mutex_lock(&tunnel->lock);
  while (tunnel->threads > 0)
    g_cond_wait(&tunnel->changed, &tunnel->lock);
  g_mutex_unlock(&tunnel->lock);
  for (guint i = 0; i < tunnel->n_channels; i++) {
    Channel *channel = &tunnel->channels[i];
    if (channel->listen_fd >= 0) {
      close(channel->listen_fd);
      unlink(channel->path);
    }
    g_free(channel->name);
    g_free(channel->path);
  }
  if (tunnel->tcp_fd >= 0)
    close(tunnel->tcp_fd);
  close(tunnel->wake_fd);
  SSL_CTX_free(tunnel->context);
  g_free(tunnel->channels);
  OPENSSL_cleanse(tunnel->ticket, strlen(tunnel->ticket));
  g_free(tunnel->ticket);
  g_free(tunnel->peer_cn);
  g_strfreev(tunnel->peer_serials);
  g_free(tunnel->address);
  g_mutex_clear(&tunnel->lock);
  g_cond_clear(&tunnel->changed);
  g_free(tunnel);
}

TunnelStats tunnel_stats(Tunnel *tunnel)
{
  g_mutex_lock(&tunnel->lock);
  TunnelStats stats = tunnel->stats;
  g_mutex_unlock(&tunnel->lock);
  stats.sent_bytes = __atomic_load_n(&tunnel->stats.sent_bytes, __ATOMIC_RELAXED);
  stats.received_bytes = __atomic_load_n(&tunnel->stats.received_bytes, __ATOMIC_RELAXED);
  return stats;
}
