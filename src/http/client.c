// SPDX-License-Identifier: Apache-2.0
/* Dialling a WebSocket: URL, TLS, the HTTP upgrade. RFC 6455, section 4.1.
 *
 * The gate connects; then a role of its own sends the request and reads the answer on the I/O thread, until
 * the socket takes the connection over. Whatever fails on the way ends in the socket's `closed`. */
#include "base/error.h"
#include "http/deflate.h"
#include "http/gate.h"
#include "http/head.h"
#include "http/socket.h"
#include "http/tls.h"
#include <string.h>

typedef struct {
  Dial dial;          /* first: one is the other */
  HttpSocket *socket; /* counted */
  char *request;      /* head, ready to go */
  char *accept;       /* expected Sec-WebSocket-Accept */
  char *protocol;     /* offered; NULL: none */
  bool deflate;       /* offered */
  gsize seen;         /* of the answer's head */
} Upgrade;

static Upgrade *upgrade_of(Dial *dial)
{
  return (Upgrade *)dial;
}

static void destroy(Dial *dial)
{
  Upgrade *upgrade = upgrade_of(dial);
  http_socket_unref(upgrade->socket);
  g_free(upgrade->request);
  g_free(upgrade->accept);
  g_free(upgrade->protocol);
  g_free(upgrade);
}

/* ---- on the connection ---- */

/* NULL: the answer agrees to what we asked for; else why not. */
static char *find_fault(const Upgrade *upgrade, const HttpHead *head)
{
  const char *protocol = http_head_field(head, "sec-websocket-protocol");
  const char *extensions = http_head_field(head, "sec-websocket-extensions");
  if (head->status != 101)
    return g_strdup_printf("HTTP %d %s", head->status, head->reason);
  if (!http_head_field_has(head, "upgrade", "websocket") ||
      !http_head_field_has(head, "connection", "upgrade") ||
      g_strcmp0(http_head_field(head, "sec-websocket-accept"), upgrade->accept) != 0)
    return g_strdup("the server's answer to the WebSocket upgrade is not valid");
  if ((extensions && !(upgrade->deflate && deflate_is_accepted(extensions))) ||
      (protocol && g_strcmp0(protocol, upgrade->protocol) != 0))
    return g_strdup("the server chose a WebSocket protocol or extension that was not offered");
  return NULL;
}

static gsize input(Connection *connection, char *bytes, gsize n)
{
  Upgrade *upgrade = connection->state;
  HttpFlaw flaw = {0};
  gsize length = http_head_find_end(bytes, n, &upgrade->seen);
  if (length == 0 && n <= HTTP_MAX_HEAD_BYTES)
    return 0;
  g_autoptr(HttpHead) head = length ? http_head_parse_response(bytes, length, &flaw) : NULL;
  g_autofree char *fault = head ? find_fault(upgrade, head) : g_strdup("the server does not speak HTTP/1.1");
  g_autoptr(HttpSocket) socket = http_socket_ref(upgrade->socket);
  if (fault) {
    socket_fail(socket, fault);
    connection_let_go(connection);
    dial_unref(&upgrade->dial);
    return n;
  }
  if (http_head_field(head, "sec-websocket-extensions"))
    socket_set_deflate(socket);
  dial_unref(&upgrade->dial);
  connection_set_deadline(connection, 0);
  if (!socket_start(socket, connection))
    connection_let_go(connection);
  return length;
}

static void ended_input(Connection *connection)
{
  connection_abort(connection, "the peer broke off the connection");
}

static void sent(Connection *connection, gsize n)
{
}

static void expired(Connection *connection)
{
  connection_abort(connection, "no answer to the WebSocket upgrade in time");
}

static bool is_idle(Connection *connection)
{
  return false;
}

static void over(Connection *connection, const char *why)
{
  Upgrade *upgrade = connection->state;
  socket_fail(upgrade->socket, why);
  dial_unref(&upgrade->dial);
}

static const ConnectionRole upgrade_role = {.input = input,
                                            .ended_input = ended_input,
                                            .sent = sent,
                                            .expired = expired,
                                            .is_idle = is_idle,
                                            .over = over};

static void ready(Dial *dial, int fd, SSL *ssl, const char *address)
{
  Upgrade *upgrade = upgrade_of(dial);
  Connection *connection = connection_new(dial->io, NULL, fd, ssl, address);
  g_atomic_int_inc(&dial->refs);
  connection_set_role(connection, &upgrade_role, upgrade);
  connection_send(connection, upgrade->request, strlen(upgrade->request), NULL);
  connection_set_deadline(connection, dial->deadline_us);
}

static void failed(Dial *dial, const char *why)
{
  socket_fail(upgrade_of(dial)->socket, why);
}

/* ---- asking ---- */

static bool append_headers(GString *request, const char *const *headers, GError **error)
{
  for (; headers && headers[0]; headers += 2) {
    if (!http_is_token(headers[0], strlen(headers[0])) ||
        !http_is_field_value(headers[1], strlen(headers[1])))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "headers", "expected",
                     "a header without control characters", NULL);
    g_string_append_printf(request, "%s: %s\r\n", headers[0], headers[1]);
  }
  return true;
}

static bool write_request(Upgrade *upgrade, GUri *uri, const HttpClientConfig *config, GError **error)
{
  guint8 random[16];
  HttpIo *io = upgrade->dial.io;
  g_autoptr(GString) request = g_string_new("GET ");
  const char *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
  const char *host = upgrade->dial.host;
  io->clock->random_bytes(io->clock, random, sizeof random);
  g_autofree char *key = g_base64_encode(random, sizeof random);
  upgrade->accept = socket_accept_key(key);
  g_string_append_printf(request, "%s%s%s HTTP/1.1\r\n", *path ? path : "/", query ? "?" : "",
                         query ? query : "");
  g_string_append_printf(request, strchr(host, ':') ? "Host: [%s]" : "Host: %s", host);
  if (upgrade->dial.port != 443)
    g_string_append_printf(request, ":%u", upgrade->dial.port);
  g_string_append_printf(request,
                         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: %s\r\n",
                         key);
  if (upgrade->protocol)
    g_string_append_printf(request, "Sec-WebSocket-Protocol: %s\r\n", upgrade->protocol);
  if (upgrade->deflate)
    g_string_append(request, "Sec-WebSocket-Extensions: " DEFLATE_OFFER "\r\n");
  if (!append_headers(request, config->headers, error))
    return false;
  g_string_append(request, "\r\n");
  upgrade->request = g_string_free(g_steal_pointer(&request), FALSE);
  return true;
}

static bool prepare(Upgrade *upgrade, const HttpClientConfig *config, GError **error)
{
  Dial *dial = &upgrade->dial;
  g_autoptr(GUri) uri = g_uri_parse(config->url, G_URI_FLAGS_ENCODED, NULL);
  if (!uri || strpbrk(config->url, " \t\r\n") || g_strcmp0(g_uri_get_scheme(uri), "wss") != 0 ||
      !g_uri_get_host(uri) || !*g_uri_get_host(uri) || g_uri_get_userinfo(uri))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "url", "expected", "wss://host[:port]/path", NULL);
  if (!config->tls.ca_file)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "tls.ca_file", NULL);
  dial->host = g_strdup(g_uri_get_host(uri));
  dial->port = g_uri_get_port(uri) > 0 ? (guint16)g_uri_get_port(uri) : 443;
  dial->server_name = g_strdup(config->server_name ? config->server_name : dial->host);
  dial->context = http_tls_client_context(&config->tls, error);
  return dial->context && write_request(upgrade, uri, config, error);
}

HttpSocket *http_socket_connect(HttpIo *io, const HttpClientConfig *config, const char *protocol,
                                const HttpSocketEvents *events, void *arg)
{
  g_autoptr(GError) error = NULL;
  guint timeout_ms = config->connect_timeout_ms ? config->connect_timeout_ms : 10 * 1000;
  Upgrade *upgrade = g_new0(Upgrade, 1);
  upgrade->dial = (Dial){.refs = 1, .io = io_ref(io), .ready = ready, .failed = failed, .destroy = destroy};
  upgrade->dial.deadline_us = ws_clock_monotonic_us(io->clock) + (gint64)timeout_ms * 1000;
  HttpSocket *socket = socket_new(io, false, events, arg);
  upgrade->socket = http_socket_ref(socket);
  upgrade->protocol = g_strdup(protocol);
  upgrade->deflate = events->deflate;
  HttpSocket *result = http_socket_ref(socket);
  if (prepare(upgrade, config, &error)) {
    gate_dial(io->gate, &upgrade->dial);
    dial_unref(&upgrade->dial);
  } else {
    gate_refuse(&upgrade->dial, error->message);
  }
  return result;
}
