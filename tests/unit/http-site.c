// SPDX-License-Identifier: Apache-2.0
/* The site and the raw peer of the HTTP tests; see http-site.h. */
#include "http-site.h"
#include "base/pki.h"
#include "http/frame.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 200 /* only a test that fails waits so long */

/* ---- certificates ---- */

static char *path_of(Site *site, const char *name)
{
  return g_build_filename(site->directory, name, NULL);
}

static void issue(Site *site, const char *ca_cert, const char *ca_key, const char *name, char **cert,
                  char **key, char **serial)
{
  const WsCa ca = {ca_cert, ca_key};
  g_autofree char *csr = NULL, *pem = NULL, *cert_name = g_strconcat(name, ".crt", NULL);
  g_autofree char *key_name = g_strconcat(name, ".key", NULL);
  *cert = path_of(site, cert_name);
  *key = path_of(site, key_name);
  g_autoptr(GError) error = NULL;
  ws_pki_make_request(*key, "whatever", &csr, &error);
  g_assert_no_error(error);
  ws_pki_issue_client(ws_clock_system(), &ca, csr, "host-3", 30 * WS_PKI_DAY_S, &pem, serial, &error);
  g_assert_no_error(error);
  g_file_set_contents(*cert, pem, -1, &error);
  g_assert_no_error(error);
}

static void make_certificates(Site *site)
{
  static const char *const names[] = {"localhost", "127.0.0.1", NULL};
  g_autoptr(GError) error = NULL;
  site->directory = g_dir_make_tmp("ws-http-XXXXXX", &error);
  g_assert_no_error(error);
  site->ca = path_of(site, "ca.crt");
  site->ca_key = path_of(site, "ca.key");
  site->cert = path_of(site, "server.crt");
  site->key = path_of(site, "server.key");
  g_autofree char *other = path_of(site, "other.crt"), *other_key = path_of(site, "other.key"),
                  *unused = NULL;
  const WsCa ca = {site->ca, site->ca_key}, other_ca = {other, other_key};
  ws_pki_create_ca(ws_clock_system(), &ca, "site", &error);
  g_assert_no_error(error);
  ws_pki_create_ca(ws_clock_system(), &other_ca, "site", &error);
  g_assert_no_error(error);
  ws_pki_issue_server(ws_clock_system(), &ca, names, 30 * WS_PKI_DAY_S, site->cert, site->key, &error);
  g_assert_no_error(error);
  issue(site, site->ca, site->ca_key, "client", &site->client_cert, &site->client_key, &site->serial);
  issue(site, other, other_key, "stranger", &site->stranger_cert, &site->stranger_key, &unused);
}

/* ---- what the routes saw ---- */

static void tell(Site *site, guint *counter)
{
  g_mutex_lock(&site->lock);
  if (counter)
    (*counter)++;
  g_cond_broadcast(&site->changed);
  g_mutex_unlock(&site->lock);
}

void site_wait(Site *site, const guint *counter, guint n)
{
  gint64 until = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
  g_mutex_lock(&site->lock);
  while (*counter < n && g_cond_wait_until(&site->changed, &site->lock, until))
    ;
  g_assert_cmpuint(*counter, >=, n);
  g_mutex_unlock(&site->lock);
}

HttpCall *site_wait_held(Site *site)
{
  gint64 until = g_get_monotonic_time() + PATIENCE_S * G_USEC_PER_SEC;
  g_mutex_lock(&site->lock);
  while (!site->held && g_cond_wait_until(&site->changed, &site->lock, until))
    ;
  HttpCall *call = g_steal_pointer(&site->held);
  g_mutex_unlock(&site->lock);
  g_assert_nonnull(call);
  return call;
}

/* ---- routes ---- */

static Site *the_site; /* one at a time */

static void answer_text(HttpCall *call, int status, const char *text)
{
  g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));
  http_call_answer(call, status, "text/plain", body);
}

static guint64 number(HttpCall *call, const char *name)
{
  const char *text = http_call_query(call, name);
  return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void on_gone(HttpCall *call, void *arg)
{
  tell(arg, &the_site->gone);
}

static gpointer answer_later(gpointer arg)
{
  g_autoptr(HttpCall) call = arg;
  answer_text(call, 200, "later\n");
  return NULL;
}

typedef struct {
  guint64 left;
} Pour;

static void pour(HttpCall *call, void *arg)
{
  Pour *state = arg;
  gsize n = MIN(state->left, 40000);
  if (n == 0 || http_call_is_gone(call)) {
    http_call_stream_end(call, false);
    http_call_unref(call);
    tell(the_site, &the_site->ended);
    return;
  }
  char *bytes = g_malloc(n);
  memset(bytes, 'p', n);
  g_autoptr(GBytes) piece = g_bytes_new_take(bytes, n);
  state->left -= n;
  http_call_stream_write(call, piece);
}

static void start_pour(HttpCall *call)
{
  Pour *state = g_new0(Pour, 1);
  state->left = number(call, "n");
  http_call_ref(call); /* the producer's, until the end */
  http_call_set_user(call, state, g_free);
  http_call_stream_start(call, 200, "application/octet-stream",
                         number(call, "length") ? (gint64)state->left : -1, pour, state);
}

static void answer_echo(HttpCall *call, const char *body, gsize n)
{
  g_autoptr(GString) text = g_string_new(NULL);
  const char *name, *value;
  g_string_append_printf(text, "%s %s", http_call_method(call), http_call_path(call));
  for (guint i = 0; i < http_call_query_count(call); i++) {
    http_call_nth_query(call, i, &name, &value);
    g_string_append_printf(text, " %s=%s", name, value);
  }
  const char *key = http_call_header(call, "idempotency-key"), *cookie = http_call_header(call, "cookie");
  const char *host = http_call_header(call, "host"), *cn = http_call_peer_cn(call);
  g_string_append_printf(text, "\nkey=%s cookie=%s host=%s peer=%s cn=%s\n", key ? key : "",
                         cookie ? cookie : "", host ? host : "", http_call_peer_address(call), cn ? cn : "");
  g_string_append_len(text, body, (gssize)n);
  g_autoptr(GBytes) bytes = g_bytes_new(text->str, text->len);
  http_call_answer(call, 200, "text/plain", bytes);
}

static void hold(Site *site, HttpCall *call)
{
  g_mutex_lock(&site->lock);
  HttpCall *old = site->held;
  site->held = http_call_ref(call);
  g_mutex_unlock(&site->lock);
  http_call_unref(old);
  tell(site, NULL);
}

static void take_piece(HttpCall *call, const char *bytes, gsize n, void *arg)
{
  Site *site = the_site;
  g_mutex_lock(&site->lock);
  site->body_bytes += n;
  for (gsize i = 0; i < n; i++)
    site->body_sum = site->body_sum * 31 + (guint8)bytes[i];
  guint64 total = site->body_bytes;
  guint32 sum = site->body_sum;
  g_mutex_unlock(&site->lock);
  if (n == 0) {
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %u\n", total, sum);
    answer_text(call, 201, text);
    tell(site, &site->ended);
    return;
  }
  if (arg && site->pieces == 0) {
    http_call_pause_body(call);
    hold(site, call);
  }
  tell(site, &site->pieces);
}

static void lose_body(HttpCall *call, void *arg)
{
  tell(the_site, &the_site->gone);
}

static void socket_opened(HttpSocket *socket, void *arg)
{
}

static void socket_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  g_autoptr(GBytes) message = g_bytes_new(bytes, n);
  if (n == 5 && memcmp(bytes, "close", 5) == 0) {
    http_socket_close(socket, 4001, "as you wish");
  } else if (n == 5 && memcmp(bytes, "flood", 5) == 0) {
    g_autofree char *flood = g_strnfill(1024 * 1024, 'f');
    g_autoptr(GBytes) big = g_bytes_new(flood, 1024 * 1024);
    while (http_socket_send(socket, big, true))
      ;
  } else if (n >= 4 && memcmp(bytes, "pack", 4) == 0) {
    g_autoptr(HttpMessage) shared = http_message_new(message, binary);
    http_socket_send_message(socket, shared);
    http_socket_send_message(socket, shared);
  } else {
    if (n == 5 && memcmp(bytes, "pause", 5) == 0)
      http_socket_pause(socket);
    http_socket_send(socket, message, binary);
  }
}

static void socket_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Site *site = arg;
  g_mutex_lock(&site->lock);
  site->close_code = code;
  g_free(site->close_reason);
  site->close_reason = g_strdup(reason);
  g_mutex_unlock(&site->lock);
  tell(site, &site->socket_closed);
}

static void upgrade(Site *site, HttpCall *call)
{
  const HttpSocketEvents events = {.opened = socket_opened,
                                   .message = socket_message,
                                   .closed = socket_closed,
                                   .max_message_bytes = 100 * 1000,
                                   .deflate = true,
                                   .ping_ms = 500,
                                   .silence_ms = 6000};
  if (!http_call_wants_upgrade(call)) {
    answer_text(call, 426, "a WebSocket is wanted\n");
    return;
  }
  HttpSocket *socket =
      http_call_upgrade(call, http_call_header(call, "sec-websocket-protocol"), &events, site);
  g_mutex_lock(&site->lock);
  HttpSocket *old = site->socket;
  site->socket = socket;
  g_mutex_unlock(&site->lock);
  http_socket_unref(old);
}

static void on_request(HttpCall *call, void *arg)
{
  static const HttpBodySink sink = {take_piece, lose_body};
  Site *site = arg;
  const char *path = http_call_path(call);
  if (strcmp(path, "/hello") == 0) {
    answer_text(call, 200, "hello\n");
  } else if (strcmp(path, "/big") == 0) {
    gsize n = number(call, "n");
    g_autofree char *bytes = g_strnfill(n, 'b');
    g_autoptr(GBytes) body = g_bytes_new_take(g_steal_pointer(&bytes), n);
    http_call_answer(call, 200, "application/octet-stream", body);
  } else if (strcmp(path, "/pour") == 0) {
    start_pour(call);
  } else if (strcmp(path, "/cut") == 0) {
    g_autofree char *text = g_strnfill(1000, 'c');
    g_autoptr(GBytes) piece = g_bytes_new(text, 1000);
    http_call_stream_start(call, 200, NULL, number(call, "length") ? 2000 : -1, NULL, NULL);
    http_call_stream_write(call, piece);
    http_call_stream_end(call, number(call, "length") == 0);
  } else if (strcmp(path, "/later") == 0) {
    g_thread_unref(g_thread_new("later", answer_later, http_call_ref(call)));
  } else if (strcmp(path, "/hold") == 0) {
    http_call_on_gone(call, on_gone, site);
    hold(site, call);
  } else if (strcmp(path, "/headers") == 0) {
    g_assert_true(http_call_add_header(call, "X-Good", "yes"));
    g_assert_false(http_call_add_header(call, "X-Split", "a\r\nSet-Cookie: evil=1"));
    g_assert_false(http_call_add_header(call, "X Bad", "name"));
    http_call_answer(call, 204, NULL, NULL);
  } else if (strcmp(path, "/not-modified") == 0) {
    http_call_add_header(call, "ETag", "\"7\"");
    http_call_answer(call, 304, NULL, NULL);
  } else if (strcmp(path, "/upload") == 0) {
    http_call_stream_body(call, &sink, NULL, 2 * 1024 * 1024 * G_GUINT64_CONSTANT(1024));
  } else if (strcmp(path, "/slow") == 0) {
    http_call_stream_body(call, &sink, site, 2 * 1024 * 1024 * G_GUINT64_CONSTANT(1024));
  } else if (strcmp(path, "/small") == 0) {
    http_call_stream_body(call, &sink, NULL, 1000);
  } else if (strcmp(path, "/early") == 0) {
    answer_text(call, 403, "no\n");
  } else if (strcmp(path, "/socket") == 0) {
    upgrade(site, call);
  } else if (strcmp(path, "/forget") != 0 && strcmp(path, "/echo") != 0) {
    answer_text(call, 404, "nothing here\n");
  }
}

static void on_body(HttpCall *call, const char *body, gsize n, void *arg)
{
  if (strcmp(http_call_path(call), "/echo") == 0) /* others are being answered by another thread, or held */
    answer_echo(call, body, n);
}

static bool accept_peer(const char *cn, const char *serial, void *arg)
{
  Site *site = arg;
  return !site->revoked || strcmp(site->revoked, serial) != 0;
}

Site *site_new(void (*change)(HttpServerConfig *config))
{
  g_autoptr(GError) error = NULL;
  Site *site = g_new0(Site, 1);
  the_site = site;
  signal(SIGPIPE, SIG_IGN); /* for the raw peer's writes */
  g_mutex_init(&site->lock);
  g_cond_init(&site->changed);
  make_certificates(site);
  HttpServerConfig config = {.bind_address = "127.0.0.1",
                             .tls = {site->cert, site->key, site->ca},
                             .on_request = on_request,
                             .on_body = on_body,
                             .arg = site,
                             .accept_peer = accept_peer,
                             .accept_peer_arg = site};
  if (change)
    change(&config);
  site->io = http_io_new(ws_clock_system(), &error);
  g_assert_no_error(error);
  site->server = http_server_new(site->io, &config, &error);
  g_assert_no_error(error);
  return site;
}

void site_free(Site *site)
{
  http_server_free(site->server);
  http_io_free(site->io);
  if (site->held)
    http_call_unref(site->held);
  http_socket_unref(site->socket);
  g_autoptr(GDir) directory = g_dir_open(site->directory, 0, NULL);
  for (const char *name; (name = g_dir_read_name(directory));) {
    g_autofree char *path = path_of(site, name);
    g_unlink(path);
  }
  g_rmdir(site->directory);
  char **strings[] = {&site->directory,     &site->ca,           &site->ca_key,       &site->cert,
                      &site->key,           &site->client_cert,  &site->client_key,   &site->serial,
                      &site->stranger_cert, &site->stranger_key, &site->close_reason, &site->revoked};
  for (guint i = 0; i < G_N_ELEMENTS(strings); i++)
    g_free(*strings[i]);
  g_mutex_clear(&site->lock);
  g_cond_clear(&site->changed);
  g_free(site);
}

/* ---- a raw peer ---- */

static SSL_CTX *peer_context(Site *site, PeerFlags flags)
{
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_load_verify_file(context, site->ca);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (flags & (PEER_CERT | PEER_STRANGER)) {
    bool ours = flags & PEER_CERT;
    SSL_CTX_use_certificate_chain_file(context, ours ? site->client_cert : site->stranger_cert);
    SSL_CTX_use_PrivateKey_file(context, ours ? site->client_key : site->stranger_key, SSL_FILETYPE_PEM);
  }
  if (flags & PEER_H2)
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
  if (flags & PEER_TLS11) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  }
  return context;
}

static Peer *peer_connect(Site *site, PeerFlags flags)
{
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(http_server_port(site->server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval patience = {.tv_sec = PATIENCE_S};
  int small = 4096;
  Peer *peer = g_new0(Peer, 1);
  peer->input = g_string_new(NULL);
  peer->context = peer_context(site, flags);
  peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (flags & PEER_SMALL_BUFFER)
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  g_assert_cmpint(connect(peer->fd, (struct sockaddr *)&to, sizeof to), ==, 0);
  peer->ssl = SSL_new(peer->context);
  SSL_set_fd(peer->ssl, peer->fd);
  return peer;
}

Peer *peer_new(Site *site, PeerFlags flags)
{
  Peer *peer = peer_connect(site, flags);
  if (SSL_connect(peer->ssl) == 1)
    return peer;
  ERR_clear_error();
  peer_free(peer);
  return NULL;
}

Peer *peer_resume(Site *site, SSL_SESSION *session)
{
  Peer *peer = peer_connect(site, PEER_CERT);
  SSL_set_session(peer->ssl, session);
  SSL_connect(peer->ssl);
  return peer;
}

void peer_free(Peer *peer)
{
  if (!peer)
    return;
  SSL_free(peer->ssl);
  SSL_CTX_free(peer->context);
  if (peer->fd >= 0)
    close(peer->fd);
  g_string_free(peer->input, TRUE);
  g_free(peer);
}

void peer_send_bytes(Peer *peer, const void *bytes, gsize n)
{
  ERR_clear_error();
  for (gsize at = 0; at < n;) {
    int sent = SSL_write(peer->ssl, (const char *)bytes + at, (int)MIN(n - at, 16384));
    if (sent <= 0) {
      ERR_clear_error();
      return;
    }
    at += (gsize)sent;
  }
}

void peer_send(Peer *peer, const char *text)
{
  peer_send_bytes(peer, text, strlen(text));
}

bool peer_fill(Peer *peer, gsize n)
{
  char bytes[16384];
  while (peer->input->len < n && !peer->is_closed) {
    ERR_clear_error();
    int got = SSL_read(peer->ssl, bytes, sizeof bytes);
    if (got > 0) {
      g_string_append_len(peer->input, bytes, got);
    } else if (SSL_get_error(peer->ssl, got) == SSL_ERROR_SYSCALL && errno == EAGAIN) {
      return false; /* too late */
    } else {
      peer->is_closed = true;
    }
  }
  ERR_clear_error();
  return peer->input->len >= n;
}

bool peer_wait_close(Peer *peer)
{
  peer_fill(peer, G_MAXSIZE);
  return peer->is_closed;
}

void peer_vanish(Peer *peer)
{
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(peer->fd);
  peer->fd = -1;
  SSL_set_quiet_shutdown(peer->ssl, 1);
}

/* ---- answers ---- */

/* Reads to the end of the line at `at`; returns where the next begins, 0: closed. */
static gsize next_line(Peer *peer, gsize at)
{
  const char *end;
  while (!(end = strstr(peer->input->str + at, "\r\n")))
    if (!peer_fill(peer, peer->input->len + 1))
      return 0;
  return (gsize)(end - peer->input->str) + 2;
}

static void read_chunks(Peer *peer, Answer *answer)
{
  g_autoptr(GString) body = g_string_new(NULL);
  for (;;) {
    gsize line = next_line(peer, 0);
    if (line == 0)
      break;
    gsize size = g_ascii_strtoull(peer->input->str, NULL, 16);
    if (!peer_fill(peer, line + size + 2))
      break;
    g_string_append_len(body, peer->input->str + line, (gssize)size);
    g_assert_true(memcmp(peer->input->str + line + size, "\r\n", 2) == 0);
    g_string_erase(peer->input, 0, (gssize)(line + size + 2));
    if (size == 0) {
      answer->complete = true;
      break;
    }
  }
  answer->n = body->len;
  answer->body = g_string_free(g_steal_pointer(&body), FALSE);
}

Answer *peer_answer(Peer *peer, bool to_head)
{
  gsize at = 0, before;
  do {
    before = at;
    at = next_line(peer, at);
    if (at == 0)
      return NULL;
  } while (at - before > 2);
  Answer *answer = g_new0(Answer, 1);
  answer->head = g_strndup(peer->input->str, at);
  g_string_erase(peer->input, 0, (gssize)at);
  g_assert_true(g_str_has_prefix(answer->head, "HTTP/1.1 "));
  answer->status = atoi(answer->head + 9);
  g_autofree char *length = answer_header(answer, "content-length");
  g_autofree char *coding = answer_header(answer, "transfer-encoding");
  if (to_head || answer->status == 204 || answer->status == 304 || answer->status < 200) {
    answer->complete = true;
    answer->body = g_strdup("");
  } else if (coding) {
    read_chunks(peer, answer);
  } else {
    gsize n = length ? g_ascii_strtoull(length, NULL, 10) : G_MAXSIZE;
    answer->complete = peer_fill(peer, n) || !length;
    answer->n = MIN(n, peer->input->len);
    answer->body = g_strndup(peer->input->str, answer->n);
    g_string_erase(peer->input, 0, (gssize)answer->n);
  }
  return answer;
}

char *answer_header(const Answer *answer, const char *name)
{
  g_auto(GStrv) lines = g_strsplit(answer->head, "\r\n", -1);
  gsize n = strlen(name);
  for (guint i = 1; lines[i]; i++)
    if (g_ascii_strncasecmp(lines[i], name, n) == 0 && lines[i][n] == ':')
      return g_strdup(g_strstrip(lines[i] + n + 1));
  return NULL;
}

void answer_free(Answer *answer)
{
  if (!answer)
    return;
  g_free(answer->head);
  g_free(answer->body);
  g_free(answer);
}

Answer *peer_ask(Peer *peer, const char *text, int status)
{
  peer_send(peer, text);
  Answer *answer = peer_answer(peer, g_str_has_prefix(text, "HEAD"));
  g_assert_nonnull(answer);
  g_assert_cmpint(answer->status, ==, status);
  return answer;
}

/* ---- WebSocket by hand ---- */

void peer_upgrade(Peer *peer)
{
  g_autoptr(Answer) answer = peer_ask(peer,
                                      "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                                      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Protocol: echo\r\n\r\n",
                                      101);
  g_autofree char *accept = answer_header(answer, "sec-websocket-accept");
  g_assert_cmpstr(accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455, 1.3 */
}

void peer_frame(Peer *peer, int first_byte, const void *payload, gsize n)
{
  static const guint8 mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  guint8 header[FRAME_MAX_HEADER_BYTES];
  gsize header_n = frame_header(header, FRAME_TEXT, false, n, mask);
  g_autofree char *bytes = g_malloc(header_n + n);
  header[0] = (guint8)first_byte;
  memcpy(bytes, header, header_n);
  frame_mask(bytes + header_n, payload, n, mask, 0);
  peer_send_bytes(peer, bytes, header_n + n);
}

int peer_take_frame(Peer *peer, char **payload, gsize *n)
{
  *payload = NULL;
  *n = 0;
  if (!peer_fill(peer, 2))
    return -1;
  const guint8 *bytes = (const guint8 *)peer->input->str;
  gsize header = 2, size = bytes[1];
  g_assert_cmpuint(size, <, 128); /* unmasked */
  if (size >= 126) {
    guint width = size == 126 ? 2 : 8;
    header += width;
    size = 0;
    g_assert_true(peer_fill(peer, header));
    bytes = (const guint8 *)peer->input->str;
    for (guint i = 0; i < width; i++)
      size = size << 8 | bytes[2 + i];
  }
  if (!peer_fill(peer, header + size))
    return -1;
  int first = (guint8)peer->input->str[0];
  *payload = g_memdup2(peer->input->str + header, size + 1);
  (*payload)[size] = '\0';
  *n = size;
  g_string_erase(peer->input, 0, (gssize)(header + size));
  return first;
}
