// SPDX-License-Identifier: Apache-2.0
/* Servers: settings, who may come in, TLS files that can be read again, counts.
 *
 * Threads: the table of addresses and the TLS context are under `lock`; counts are atomic; the rest never
 * changes. */
#include "http/server.h"
#include "base/error.h"
#include "http/gate.h"
#include "http/h1.h"
#include "http/h2.h"
#include "http/local.h"
#include "http/tls.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  BACKLOG = 4096,
  TOLD_CONNECTIONS = 64, /* this many beyond the limit are told so, further ones just closed */
  TOLD_PER_ADDRESS = 16,
};

struct HttpServer {
  HttpIo *io;
  HttpServerConfig config; /* strings owned, defaults filled in */
  Proxies *proxies;        /* NULL: none are trusted */
  TlsHook hook;
  int fd;
  guint16 port;
  GMutex lock;
  SSL_CTX *context;
  GHashTable *addresses; /* text -> number of connections */
  guint connections;
  /* atomic */
  gint sockets;
  gsize accepted, calls, refused, handshakes_failed, handshakes_resumed;
};

/* ---- making and ending ---- */

static bool check_config(const HttpServerConfig *config, GError **error)
{
  if (!config->bind_address || !config->on_request)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", config->bind_address ? "on_request" : "bind_address",
                   NULL);
  if (!config->tls.cert_file || !config->tls.key_file)
    return ws_fail(error, WS_ERROR_REQUIRED, "field",
                   config->tls.cert_file ? "tls.key_file" : "tls.cert_file", NULL);
  return true;
}

static void copy_config(HttpServer *server, const HttpServerConfig *config)
{
  HttpServerConfig *own = &server->config;
  *own = *config;
  own->trusted_proxies = NULL; /* they are in server->proxies */
  own->bind_address = g_strdup(config->bind_address);
  own->tls.cert_file = g_strdup(config->tls.cert_file);
  own->tls.key_file = g_strdup(config->tls.key_file);
  own->tls.ca_file = g_strdup(config->tls.ca_file);
  own->max_body_bytes = config->max_body_bytes ? config->max_body_bytes : 1024 * 1024;
  own->max_connections = config->max_connections ? config->max_connections : 8192;
  own->max_connections_per_address = config->max_connections_per_address ? config->max_connections_per_address
                                                                         : MAX(own->max_connections / 2, 1);
  own->header_timeout_s = config->header_timeout_s ? config->header_timeout_s : 10;
  own->body_timeout_s = config->body_timeout_s ? config->body_timeout_s : 60;
  own->idle_timeout_s = config->idle_timeout_s ? config->idle_timeout_s : 60;
  server->hook = (TlsHook){config->accept_peer, config->accept_peer_arg};
}

static bool fail_to_listen(HttpServer *server, int error_number, GError **error)
{
  const char *address = server->config.bind_address;
  g_autofree char *name =
      g_strdup_printf(strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, server->config.port);
  if (error_number == EADDRINUSE)
    return ws_fail(error, WS_ERROR_IN_USE, "object", name, "user", "another program", NULL);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", name, "cause", g_strerror(error_number), NULL);
}

static bool open_port(HttpServer *server, GError **error)
{
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *found;
  char port[8];
  int on = 1, off = 0;
  g_snprintf(port, sizeof port, "%u", server->config.port);
  if (getaddrinfo(server->config.bind_address, port, &hints, &found) != 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "bind_address", "expected", "an IP address", NULL);
  server->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  bool ok = server->fd >= 0 && setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (ok && found->ai_family == AF_INET6)
    setsockopt(server->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  ok = ok && bind(server->fd, found->ai_addr, found->ai_addrlen) == 0 && listen(server->fd, BACKLOG) == 0;
  int error_number = errno;
  freeaddrinfo(found);
  if (!ok)
    return fail_to_listen(server, error_number, error);
  struct sockaddr_storage bound;
  socklen_t n = sizeof bound;
  getsockname(server->fd, (struct sockaddr *)&bound, &n);
  server->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                   : ((struct sockaddr_in *)&bound)->sin_port);
  return true;
}

static void free_server(HttpServer *server)
{
  if (server->fd >= 0)
    close(server->fd);
  SSL_CTX_free(server->context);
  proxies_free(server->proxies);
  g_hash_table_unref(server->addresses);
  g_mutex_clear(&server->lock);
  g_free((char *)server->config.bind_address);
  g_free((char *)server->config.tls.cert_file);
  g_free((char *)server->config.tls.key_file);
  g_free((char *)server->config.tls.ca_file);
  io_unref(server->io);
  g_free(server);
}

static bool trust(HttpServer *server, const HttpServerConfig *config, GError **error)
{
  GError *bad = NULL;
  server->proxies = proxies_new(config->trusted_proxies, &bad);
  if (bad)
    g_propagate_error(error, bad);
  return !bad;
}

HttpServer *http_server_new(HttpIo *io, const HttpServerConfig *config, GError **error)
{
  if (!check_config(config, error))
    return NULL;
  HttpServer *server = g_new0(HttpServer, 1);
  server->io = io_ref(io);
  server->fd = -1;
  g_mutex_init(&server->lock);
  server->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  copy_config(server, config);
  if (!trust(server, config, error) || !(server->context = http_tls_server_context(&server->config.tls, &server->hook, error)) ||
      !open_port(server, error)) {
    free_server(server);
    return NULL;
  }
  gate_listen(io->gate, server, server->fd);
  return server;
}

HttpServer *http_server_new_local(HttpIo *io, const HttpServerConfig *config)
{
  HttpServer *server = g_new0(HttpServer, 1);
  server->io = io_ref(io);
  server->fd = -1;
  g_mutex_init(&server->lock);
  server->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  copy_config(server, config);
  return server;
}

static void shut_connections(void *arg)
{
  HttpServer *server = arg;
  for (GList *link = server->io->live.head, *next; link; link = next) {
    Connection *connection = link->data;
    next = link->next;
    if (connection->server == server)
      connection_shut(connection, "shutting down");
  }
  io_settle(server->io);
}

void http_server_free(HttpServer *server)
{
  if (!server)
    return;
  if (server->io->gate)
    gate_unlisten(server->io->gate, server);
  io_call(server->io, shut_connections, server);
  free_server(server);
}

guint16 http_server_port(const HttpServer *server)
{
  return server->port;
}

bool http_server_reload_tls(HttpServer *server, GError **error)
{
  if (!server->context)
    return true; /* a local one has none */
  SSL_CTX *fresh = http_tls_server_context(&server->config.tls, &server->hook, error);
  if (!fresh)
    return false;
  g_mutex_lock(&server->lock);
  SSL_CTX *old = server->context;
  server->context = fresh;
  g_mutex_unlock(&server->lock);
  SSL_CTX_free(old);
  return true;
}

SSL_CTX *server_dup_context(HttpServer *server)
{
  g_mutex_lock(&server->lock);
  SSL_CTX *context = server->context;
  SSL_CTX_up_ref(context);
  g_mutex_unlock(&server->lock);
  return context;
}

HttpIo *server_io(const HttpServer *server)
{
  return server->io;
}

const HttpServerConfig *server_config(const HttpServer *server)
{
  return &server->config;
}

const Proxies *server_proxies(const HttpServer *server)
{
  return server->proxies;
}

/* ---- who may come in ---- */

int server_admit(HttpServer *server, const char *address)
{
  g_mutex_lock(&server->lock);
  guint here = GPOINTER_TO_UINT(g_hash_table_lookup(server->addresses, address)) + 1;
  guint all = server->connections + 1, max = server->config.max_connections;
  guint max_here = proxies_have(server->proxies, address) ? max : server->config.max_connections_per_address;
  bool closed = all > max + TOLD_CONNECTIONS || here > max_here + TOLD_PER_ADDRESS;
  if (!closed) {
    g_hash_table_replace(server->addresses, g_strdup(address), GUINT_TO_POINTER(here));
    server->connections = all;
  }
  g_mutex_unlock(&server->lock);
  if (closed)
    return -1;
  g_atomic_pointer_add(&server->accepted, 1);
  return here > max_here ? 429 : all > max ? 503 : 0;
}

/* Under the lock. */
static void leave_address(HttpServer *server, const char *address)
{
  guint here = GPOINTER_TO_UINT(g_hash_table_lookup(server->addresses, address));
  g_assert(here > 0);
  if (here > 1)
    g_hash_table_replace(server->addresses, g_strdup(address), GUINT_TO_POINTER(here - 1));
  else
    g_hash_table_remove(server->addresses, address);
}

void server_leave(HttpServer *server, const char *address)
{
  g_mutex_lock(&server->lock);
  if (address)
    leave_address(server, address);
  g_assert(server->connections > 0);
  server->connections--;
  g_mutex_unlock(&server->lock);
}

/* Ends the connection that has been idle for longest. false: none is. */
static bool make_room(HttpServer *server)
{
  Connection *oldest = NULL;
  for (GList *link = server->io->live.head; link; link = link->next) {
    Connection *connection = link->data;
    if (connection->server == server && connection->phase == CONNECTION_OPEN &&
        connection->role->is_idle(connection) &&
        (!oldest || connection->idle_since_us < oldest->idle_since_us))
      oldest = connection;
  }
  if (oldest)
    connection_shut(oldest, "made room for another connection");
  return oldest;
}

void server_adopt(HttpServer *server, int fd, SSL *ssl, const char *address, int refusal)
{
  bool has_certificate = SSL_get0_peer_certificate(ssl) != NULL;
  if (has_certificate) {
    g_mutex_lock(&server->lock);
    leave_address(server, address);
    g_mutex_unlock(&server->lock);
  }
  if ((refusal == 503 && make_room(server)) || (refusal == 429 && has_certificate))
    refusal = 0;
  Connection *connection = connection_new(server->io, server, fd, ssl, address);
  connection->is_counted_by_address = !has_certificate;
  connection->refusal = refusal;
  if (http_tls_speaks_h2(ssl))
    h2_start(connection);
  else
    h1_start(connection);
}

void server_connection_over(HttpServer *server, Connection *connection)
{
  server_leave(server, connection->is_counted_by_address ? connection->address : NULL);
}

/* ---- refusals and counts ---- */

GBytes *server_refusal(HttpServer *server, int status, const char *why)
{
  static const struct {
    int status;
    const char *code;
  } codes[] = {{408, "timeout"},           {413, "too_large"}, {414, "too_large"},
               {429, "too_many_requests"}, {431, "too_large"}, {500, "internal"},
               {501, "unsupported"},       {503, "busy"},      {505, "unsupported"}};
  const char *code = "bad_request";
  if (server->config.refusal)
    return server->config.refusal(status, why, server->config.arg);
  for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
    if (codes[i].status == status)
      code = codes[i].code;
  char *text =
      g_strdup_printf("{\"code\":\"%s\",\"message\":\"%c%s.\"}", code, g_ascii_toupper(why[0]), why + 1);
  return g_bytes_new_take(text, strlen(text));
}

void server_count_call(HttpServer *server)
{
  g_atomic_pointer_add(&server->calls, 1);
}

void server_count_socket(HttpServer *server, int change)
{
  g_atomic_int_add(&server->sockets, change);
}

void server_count_refusal(HttpServer *server)
{
  g_atomic_pointer_add(&server->refused, 1);
}

void server_count_failed_handshake(HttpServer *server)
{
  g_atomic_pointer_add(&server->handshakes_failed, 1);
}

void server_count_resumed(HttpServer *server)
{
  g_atomic_pointer_add(&server->handshakes_resumed, 1);
}

void http_server_counts(const HttpServer *asked, HttpServerCounts *counts)
{
  HttpServer *server = (HttpServer *)asked; /* locks and atomics want it writable */
  g_mutex_lock(&server->lock);
  counts->connections = server->connections;
  g_mutex_unlock(&server->lock);
  counts->sockets = (guint)g_atomic_int_get(&server->sockets);
  counts->accepted = (gsize)g_atomic_pointer_get(&server->accepted);
  counts->calls = (gsize)g_atomic_pointer_get(&server->calls);
  counts->refused = (gsize)g_atomic_pointer_get(&server->refused);
  counts->handshakes_failed = (gsize)g_atomic_pointer_get(&server->handshakes_failed);
  counts->handshakes_resumed = (gsize)g_atomic_pointer_get(&server->handshakes_resumed);
}
