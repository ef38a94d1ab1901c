// SPDX-License-Identifier: Apache-2.0
/* WebSockets, both sides, over real TLS sockets. */
#include "http-site.h"
#include "base/pki.h"
#include "http/frame.h"
#include "http/socket.h"
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT (0x80 | FRAME_TEXT)

/* ---- the server side, against frames by hand ---- */

static Peer *new_socket(Site *site)
{
  Peer *peer = peer_new(site, PEER_PLAIN);
  peer_upgrade(peer);
  return peer;
}

#define SILENCE_US ((gint64)6 * G_USEC_PER_SEC) /* of http-site.c: longer than a busy machine stands still */

/* The next frame that is no ping; checks its first byte and payload. */
static void expect_frame(Peer *peer, int first, const char *expected, gsize n)
{
  g_autofree char *payload = NULL;
  gsize got;
  int byte;
  do {
    g_free(payload);
    byte = peer_take_frame(peer, &payload, &got);
  } while (byte == (0x80 | FRAME_PING));
  g_assert_cmpint(byte, ==, first);
  g_assert_cmpmem(payload, got, expected, n);
}

static void expect_close(Peer *peer, int code)
{
  g_autofree char *payload = NULL;
  gsize n;
  int byte;
  do {
    g_free(payload);
    byte = peer_take_frame(peer, &payload, &n);
  } while (byte >= 0 && byte != (0x80 | FRAME_CLOSE));
  g_assert_cmpint(byte, ==, 0x80 | FRAME_CLOSE);
  g_assert_cmpuint(n, >=, 2);
  g_assert_cmpint((guint8)payload[0] << 8 | (guint8)payload[1], ==, code);
}

static void messages_come_back(void)
{
  static const gsize sizes[] = {0, 1, 125, 126, 127, 1000, 65535, 65536, 99999};
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site);
  for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *bytes = g_strnfill(sizes[i], 'm');
    peer_frame(peer, TEXT, bytes, sizes[i]);
    expect_frame(peer, TEXT, bytes, sizes[i]);
    peer_frame(peer, 0x80 | FRAME_BINARY, bytes, sizes[i]);
    expect_frame(peer, 0x80 | FRAME_BINARY, bytes, sizes[i]);
  }
  site_free(site);
}

static void fragments_are_joined_around_control_frames(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site);
  peer_frame(peer, FRAME_TEXT, "one \xe4\xb8", 6); /* a character cut in two */
  peer_frame(peer, 0x80 | FRAME_PING, "are you there", 13);
  peer_frame(peer, FRAME_CONTINUATION, "\xad ", 2);
  peer_frame(peer, FRAME_CONTINUATION, "", 0);
  peer_frame(peer, 0x80, "three", 5);
  expect_frame(peer, 0x80 | FRAME_PONG, "are you there", 13);
  expect_frame(peer, TEXT, "one \xe4\xb8\xad three", 13);
  site_free(site);
}

static void a_close_is_answered(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site), silent = new_socket(site);
  peer_frame(peer, 0x80 | FRAME_CLOSE,
             "\x0f\xa2"
             "bye",
             5);
  expect_close(peer, 4002);
  g_assert_true(peer_wait_close(peer));
  site_wait(site, &site->socket_closed, 1);
  g_assert_cmpint(site->close_code, ==, 4002);
  g_assert_cmpstr(site->close_reason, ==, "bye");
  peer_frame(silent, 0x80 | FRAME_CLOSE, "", 0);
  expect_frame(silent, 0x80 | FRAME_CLOSE, "", 0);
  site_wait(site, &site->socket_closed, 2);
  g_assert_cmpint(site->close_code, ==, 1005);
  site_free(site);
}

static void the_owner_closes(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site), rude = new_socket(site);
  peer_frame(peer, TEXT, "close", 5);
  expect_close(peer, 4001);
  g_assert_cmpuint(site->socket_closed, ==, 0); /* not before the peer agrees */
  peer_frame(peer, 0x80 | FRAME_CLOSE, "\x0f\xa1", 2);
  site_wait(site, &site->socket_closed, 1);
  g_assert_cmpint(site->close_code, ==, 4001);
  peer_frame(rude, TEXT, "close", 5); /* it never answers the close */
  site_wait(site, &site->socket_closed, 2);
  g_assert_cmpint(site->close_code, ==, 4001);
  site_free(site);
}

static void bad_frames_end_the_socket(void)
{
  static const struct {
    int first;
    const char *payload;
    gsize n;
    int code;
  } cases[] = {
      {0xc0 | FRAME_TEXT, "x", 1, 1002},             /* reserved bit */
      {0x80 | 3, "x", 1, 1002},                      /* unknown opcode */
      {0x80, "x", 1, 1002},                          /* continues nothing */
      {FRAME_PING, "x", 1, 1002},                    /* fragmented control frame */
      {0x80 | FRAME_CLOSE, "x", 1, 1002},            /* half a code */
      {0x80 | FRAME_CLOSE, "\x03\xed", 2, 1002},     /* 1005 may not be sent */
      {0x80 | FRAME_CLOSE, "\x03\xe8\xff", 3, 1007}, /* reason is not UTF-8 */
      {TEXT, "\xff\xfe", 2, 1007},                   /* text is not UTF-8 */
      {TEXT, "\xed\xa0\x80", 3, 1007},               /* a surrogate */
  };
  Site *site = site_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(Peer) peer = new_socket(site);
    g_test_message("case %u", i);
    peer_frame(peer, cases[i].first, cases[i].payload, cases[i].n);
    expect_close(peer, cases[i].code);
    site_wait(site, &site->socket_closed, i + 1);
    g_assert_cmpint(site->close_code, ==, cases[i].code);
  }
  g_autoptr(Peer) unmasked = new_socket(site), long_way = new_socket(site);
  peer_send_bytes(unmasked, "\x81\x01x", 3);
  expect_close(unmasked, 1002);
  peer_send_bytes(long_way, "\x81\xfe\x00\x01mask", 8); /* a length of 1 in two bytes */
  expect_close(long_way, 1002);
  site_free(site);
}

static void a_long_message_is_refused_before_it_came(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site), parts = new_socket(site);
  peer_send_bytes(peer, "\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1mask", 14); /* announces 100,001 */
  expect_close(peer, 1009);
  g_autofree char *half = g_strnfill(60000, 'h');
  peer_frame(parts, FRAME_BINARY, half, 60000);
  peer_frame(parts, 0x80, half, 60000);
  expect_close(parts, 1009);
  site_free(site);
}

static void a_silent_peer_is_pinged_then_dropped(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site);
  gint64 began = g_get_monotonic_time();
  while (g_get_monotonic_time() - began < SILENCE_US + G_USEC_PER_SEC) { /* pongs keep it */
    g_autofree char *payload = NULL;
    gsize n;
    g_assert_cmpint(peer_take_frame(peer, &payload, &n), ==, 0x80 | FRAME_PING);
    peer_frame(peer, 0x80 | FRAME_PONG, "", 0);
  }
  g_assert_cmpuint(site->socket_closed, ==, 0);
  site_wait(site, &site->socket_closed, 1); /* now it says nothing any more */
  g_assert_cmpint(site->close_code, ==, 1006);
  g_assert_cmpstr(site->close_reason, ==, "the peer was silent for 6.0 s");
  site_free(site);
}

static void a_vanished_peer_is_noticed(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site), second = new_socket(site);
  peer_vanish(peer);
  site_wait(site, &site->socket_closed, 1);
  g_assert_cmpint(site->close_code, ==, 1006);
  peer_frame(second, FRAME_TEXT, "half of a ", 10);
  peer_vanish(second);
  site_wait(site, &site->socket_closed, 2);
  g_autoptr(GBytes) message = g_bytes_new_static("x", 1);
  g_assert_false(http_socket_send(site->socket, message, false));
  site_free(site);
}

static void a_peer_that_does_not_read_is_cut_at_16_mib(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_SMALL_BUFFER);
  peer_upgrade(peer);
  peer_frame(peer, TEXT, "flood", 5);
  site_wait(site, &site->socket_closed, 1);
  g_assert_cmpint(site->close_code, ==, 1013);
  g_assert_cmpuint(http_socket_queued(site->socket), <=, 17 * 1024 * 1024);
  site_free(site);
}

static void a_paused_socket_does_not_read(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = new_socket(site);
  peer_frame(peer, TEXT, "pause", 5);
  expect_frame(peer, TEXT, "pause", 5);
  peer_frame(peer, TEXT, "later", 5);
  g_usleep(SILENCE_US + 500 * 1000); /* longer than the silence that is allowed */
  g_assert_cmpuint(site->socket_closed, ==, 0);
  g_assert_cmpuint(peer->input->len, ==, 0);
  http_socket_resume(site->socket);
  expect_frame(peer, TEXT, "later", 5);
  site_free(site);
}

static void what_asks_wrongly_stays_http(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) plain = peer_ask(peer, "GET /socket HTTP/1.1\r\nHost: x\r\n\r\n", 426);
  g_autoptr(Answer) version =
      peer_ask(peer,
               "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               426);
  g_autoptr(Answer) post =
      peer_ask(peer,
               "POST /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               426);
  site_free(site);
}

static void frames_sent_with_the_request_are_not_lost(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  static const char text[] =
      "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
      "\x81\x82\x01\x01\x01\x01\x69\x68"; /* "hi" */
  peer_send_bytes(peer, text, sizeof text - 1);
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 101);
  expect_frame(peer, TEXT, "hi", 2);
  site_free(site);
}

/* ---- our client against our server ---- */

typedef struct {
  GMutex lock;
  GCond changed;
  guint opened, messages, closed, writable;
  int code;
  char *reason;
  GString *text;
} Seen;

static void tell(Seen *seen, guint *counter)
{
  g_mutex_lock(&seen->lock);
  (*counter)++;
  g_cond_broadcast(&seen->changed);
  g_mutex_unlock(&seen->lock);
}

static void wait_seen(Seen *seen, const guint *counter, guint n)
{
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  g_mutex_lock(&seen->lock);
  while (*counter < n && g_cond_wait_until(&seen->changed, &seen->lock, until))
    ;
  g_assert_cmpuint(*counter, >=, n);
  g_mutex_unlock(&seen->lock);
}

static void client_opened(HttpSocket *socket, void *arg)
{
  Seen *seen = arg;
  tell(seen, &seen->opened);
}

static void client_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Seen *seen = arg;
  g_mutex_lock(&seen->lock);
  g_string_append_len(seen->text, bytes, (gssize)n);
  g_mutex_unlock(&seen->lock);
  tell(seen, &seen->messages);
}

static void client_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Seen *seen = arg;
  seen->code = code;
  g_free(seen->reason);
  seen->reason = g_strdup(reason);
  tell(seen, &seen->closed);
}

static Seen *seen_new(void)
{
  Seen *seen = g_new0(Seen, 1);
  g_mutex_init(&seen->lock);
  g_cond_init(&seen->changed);
  seen->text = g_string_new(NULL);
  return seen;
}

static void seen_free(Seen *seen)
{
  g_string_free(seen->text, TRUE);
  g_free(seen->reason);
  g_mutex_clear(&seen->lock);
  g_cond_clear(&seen->changed);
  g_free(seen);
}

static const HttpSocketEvents client_events = {
    .opened = client_opened, .message = client_message, .closed = client_closed};

typedef struct {
  const char *host, *path, *ca, *cert, *key, *name;
  guint16 port;
  guint timeout_ms;
} Where;

static HttpSocket *dial(Site *site, Where where, Seen *seen)
{
  const char *host = where.host ? where.host : "127.0.0.1";
  g_autofree char *url =
      g_strdup_printf("wss://%s:%u%s", host, where.port ? where.port : http_server_port(site->server),
                      where.path ? where.path : "/socket");
  HttpClientConfig config = {.url = url,
                             .tls = {where.cert, where.key, where.ca ? where.ca : site->ca},
                             .server_name = where.name,
                             .connect_timeout_ms = where.timeout_ms};
  return http_socket_connect(site->io, &config, "echo", &client_events, seen);
}

static void our_client_talks_to_our_server(void)
{
  Site *site = site_new(NULL);
  Seen *seen = seen_new();
  g_autoptr(HttpSocket) socket =
      dial(site, (Where){.host = "localhost", .cert = site->client_cert, .key = site->client_key}, seen);
  g_autoptr(GBytes) early = g_bytes_new_static("early ", 6), late = g_bytes_new_static("late", 4);
  g_assert_true(http_socket_send(socket, early, false)); /* waits for the opening */
  wait_seen(seen, &seen->opened, 1);
  g_assert_cmpstr(http_socket_peer_address(socket), ==, "127.0.0.1");
  http_socket_send(socket, late, true);
  wait_seen(seen, &seen->messages, 2);
  g_assert_cmpstr(seen->text->str, ==, "early late");
  http_socket_close(socket, 1000, "done");
  wait_seen(seen, &seen->closed, 1);
  g_assert_cmpint(seen->code, ==, 1000);
  site_wait(site, &site->socket_closed, 1);
  g_assert_cmpint(site->close_code, ==, 1000);
  g_assert_cmpstr(site->close_reason, ==, "done");
  g_assert_cmpuint(http_socket_queued(socket), ==, 0);
  site_free(site);
  seen_free(seen);
}

/* A long message is worth packing, a short one is not; sent twice each. */
static void messages_come_compressed_to_who_can_unpack_them(void)
{
  g_autofree char *filler = g_strnfill(20000, 'm'), *longer = g_strconcat("pack", filler, NULL);
  g_autofree char *twice = g_strconcat(longer, longer, "packpack", NULL);
  g_autoptr(GBytes) message = g_bytes_new(longer, strlen(longer)), brief = g_bytes_new_static("pack", 4);
  for (guint deflates = 0; deflates < 2; deflates++) {
    Site *site = site_new(NULL);
    Seen *seen = seen_new();
    g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%u/socket", http_server_port(site->server));
    const HttpClientConfig config = {.url = url, .tls = {.ca_file = site->ca}};
    HttpSocketEvents events = client_events;
    events.deflate = deflates;
    g_autoptr(HttpSocket) socket = http_socket_connect(site->io, &config, "echo", &events, seen);
    http_socket_send(socket, message, false);
    http_socket_send(socket, brief, false);
    wait_seen(seen, &seen->messages, 4);
    g_assert_cmpstr(seen->text->str, ==, twice);
    http_socket_close(socket, 1000, "done");
    wait_seen(seen, &seen->closed, 1);
    site_free(site);
    seen_free(seen);
  }
}

static void compressed_frames_say_so(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer,
                                      "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Protocol: echo\r\n"
                                      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
                                      101);
  g_autofree char *agreed = answer_header(answer, "sec-websocket-extensions"), *filler = g_strnfill(20000, 'm'),
                  *longer = g_strconcat("pack", filler, NULL), *payload = NULL;
  gsize n;
  int first;
  g_assert_cmpstr(agreed, ==, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  peer_frame(peer, TEXT, longer, strlen(longer));
  do {
    g_free(payload);
    first = peer_take_frame(peer, &payload, &n);
  } while (first == (0x80 | FRAME_PING));
  g_assert_cmpint(first, ==, TEXT | 0x40);
  g_assert_cmpuint(n, <, 1000);
  site_free(site);
}

static void talk(Site *site, Where where)
{
  Seen *seen = seen_new();
  g_autoptr(HttpSocket) socket = dial(site, where, seen);
  g_autoptr(GBytes) hello = g_bytes_new_static("hello", 5);
  http_socket_send(socket, hello, false);
  wait_seen(seen, &seen->messages, 1); /* what came before it, the ticket too, was read */
  http_socket_close(socket, 1000, "done");
  wait_seen(seen, &seen->closed, 1);
  seen_free(seen);
}

static guint64 resumed(Site *site)
{
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  return counts.handshakes_resumed;
}

/* A server that starts anew on the same key is, to its tickets, one that reads its files again. */
static void our_client_resumes_also_after_a_restart(void)
{
  static const char *const names[] = {"localhost", "127.0.0.1", NULL};
  Site *site = site_new(NULL);
  const WsCa ca = {site->ca, site->ca_key};
  const Where host = {.cert = site->client_cert, .key = site->client_key};
  g_autoptr(GError) error = NULL;
  talk(site, host);
  g_assert_cmpuint(resumed(site), ==, 0);
  talk(site, (Where){0}); /* as nobody: another session */
  g_assert_cmpuint(resumed(site), ==, 0);
  talk(site, host);
  g_assert_cmpuint(resumed(site), ==, 1);
  g_assert_true(http_server_reload_tls(site->server, &error));
  talk(site, host);
  g_assert_cmpuint(resumed(site), ==, 2);
  ws_pki_issue_server(ws_clock_system(), &ca, names, 30 * WS_PKI_DAY_S, site->cert, site->key, &error);
  g_assert_no_error(error);
  g_assert_true(http_server_reload_tls(site->server, &error)); /* another key */
  talk(site, host);
  g_assert_cmpuint(resumed(site), ==, 2);
  site->revoked = g_strdup(site->serial); /* a ticket is not a right */
  Seen *seen = seen_new();
  g_autoptr(HttpSocket) socket = dial(site, host, seen);
  wait_seen(seen, &seen->closed, 1);
  g_assert_cmpuint(seen->opened, ==, 0);
  g_clear_pointer(&socket, http_socket_unref);
  seen_free(seen);
  site_free(site);
}

static void expect_failure(Site *site, Where where, const char *reason)
{
  Seen *seen = seen_new();
  g_autoptr(HttpSocket) socket = dial(site, where, seen);
  wait_seen(seen, &seen->closed, 1);
  g_assert_cmpint(seen->code, ==, 1006);
  g_test_message("%s", seen->reason);
  g_assert_nonnull(strstr(seen->reason, reason));
  g_assert_cmpuint(seen->closed, ==, 1);
  g_clear_pointer(&socket, http_socket_unref);
  seen_free(seen);
}

static void our_client_says_why_it_failed(void)
{
  Site *site = site_new(NULL);
  expect_failure(site, (Where){.path = "/hello"}, "HTTP 200 OK");
  expect_failure(site, (Where){.path = "/nowhere"}, "HTTP 404 Not Found");
  expect_failure(site, (Where){.name = "other.example"}, "certificate verify failed: hostname mismatch");
  expect_failure(site, (Where){.host = "127.0.0.2"}, "Connection refused");
  expect_failure(site, (Where){.name = "127.0.0.9"}, "IP address mismatch");
  g_autofree char *other = g_build_filename(site->directory, "other.crt", NULL);
  expect_failure(site, (Where){.ca = other}, "certificate verify failed: ");
  expect_failure(site, (Where){.port = 1}, "Connection refused");
  expect_failure(site, (Where){.cert = site->stranger_cert, .key = site->stranger_key},
                 "the peer refused us: unknown ca");
  expect_failure(site, (Where){.cert = site->client_cert, .key = site->stranger_key}, "key values mismatch");
  expect_failure(site, (Where){.ca = "/nonexistent"}, "No such file or directory");
  expect_failure(site, (Where){.path = "/\r\nEvil: 1"}, "wss://");
  site->revoked = g_strdup(site->serial);
  expect_failure(site, (Where){.cert = site->client_cert, .key = site->client_key},
                 "the peer refused us: certificate revoked");
  site_free(site);
}

/* ---- our client against servers that are none of ours ---- */

typedef struct {
  Site *site;
  int fd; /* listening */
  const char
      *words; /* said after the handshake; NULL: goes before it; "%s" stands for the right accept key */
  bool reset; /* ends with RST */
} Impostor;

static void say_words(SSL *ssl, const char *words)
{
  char request[2048];
  int n = SSL_read(ssl, request, sizeof request - 1);
  request[MAX(n, 0)] = '\0';
  const char *key = strstr(request, "Sec-WebSocket-Key: ");
  g_assert_nonnull(key);
  g_autofree char *value = g_strndup(key + 19, 24), *accept = socket_accept_key(value);
  g_autoptr(GString) text = g_string_new(words);
  g_string_replace(text, "%s", accept, 1);
  SSL_write(ssl, text->str, (int)text->len);
}

static gpointer run_impostor(gpointer arg)
{
  Impostor *impostor = arg;
  int fd = accept(impostor->fd, NULL, NULL);
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate_chain_file(context, impostor->site->cert);
  SSL_CTX_use_PrivateKey_file(context, impostor->site->key, SSL_FILETYPE_PEM);
  SSL *ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  if (impostor->words && SSL_accept(ssl) == 1)
    say_words(ssl, impostor->words);
  if (impostor->reset) {
    const struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  close(fd);
  return NULL;
}

/* What our client says of such a server, and with which code. */
static char *meet(Site *site, const char *words, bool reset, int *code)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof at;
  Impostor impostor = {site, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), words, reset};
  g_assert_cmpint(bind(impostor.fd, (struct sockaddr *)&at, sizeof at), ==, 0);
  g_assert_cmpint(listen(impostor.fd, 1), ==, 0);
  getsockname(impostor.fd, (struct sockaddr *)&at, &n);
  GThread *thread = g_thread_new("impostor", run_impostor, &impostor);
  Seen *seen = seen_new();
  g_autoptr(HttpSocket) dialled = dial(site, (Where){.port = ntohs(at.sin_port)}, seen);
  wait_seen(seen, &seen->closed, 1);
  g_thread_join(thread);
  close(impostor.fd);
  g_assert_cmpuint(seen->closed, ==, 1);
  char *reason = g_steal_pointer(&seen->reason);
  *code = seen->code;
  seen_free(seen);
  return reason;
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: %s\r\n"

static void servers_may_say_anything(void)
{
  static const struct {
    const char *words, *reason;
    int code;
  } cases[] = {
      {NULL, "", 1006}, /* gone before the handshake */
      {"", "broke off", 1006},
      {"HTTP/1.1 101", "broke off", 1006},
      {"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404 Not Found", 1006},
      {"HTTP/1.1 503\r\n\r\n", "HTTP 503 ", 1006},
      {"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP", 1006},
      {SWITCH "\r\n", "not valid", 1006}, /* no accept key */
      {SWITCH "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", "not valid", 1006},
      {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n" ACCEPT "\r\n", "not valid", 1006},
      {SWITCH ACCEPT "Sec-WebSocket-Protocol: other\r\n\r\n", "not offered", 1006},
      {SWITCH ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "not offered", 1006},
      {SWITCH ACCEPT "\r\n", "broke off", 1006}, /* opened, then gone */
      {SWITCH ACCEPT "\r\n\x88\x05\x0f\xa0"
                     "bye",
       "bye", 4000},
      {SWITCH ACCEPT "\r\n\x81\x05hel", "broke off", 1006},
      {SWITCH ACCEPT "\r\n\x81\x85mask12345", "masked by the wrong side", 1002},
  };
  Site *site = site_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
    for (int reset = 0; reset < 2; reset++) {
      int code;
      g_autofree char *reason = meet(site, cases[i].words, reset, &code);
      g_test_message("%u: %d %s", i, code, reason);
      if (!reset) {
        g_assert_nonnull(strstr(reason, cases[i].reason));
        g_assert_cmpint(code, ==, cases[i].code);
      }
    }
  g_autofree char *filler = g_strnfill(20000, 'x'), *long_head = g_strconcat("HTTP/1.1 101 ", filler, NULL);
  int code;
  g_autofree char *reason = meet(site, long_head, false, &code);
  g_assert_nonnull(strstr(reason, "does not speak HTTP"));
  site_free(site);
}

static void a_client_waits_no_longer_than_told(void)
{
  Site *site = site_new(NULL);
  gint64 began = g_get_monotonic_time();
  expect_failure(site, (Where){.path = "/hold", .timeout_ms = 300}, "in time");
  g_assert_cmpint(g_get_monotonic_time() - began, <, 9 * G_USEC_PER_SEC); /* untold it would be 10 */
  http_call_unref(site_wait_held(site));
  site_free(site);
}

static void a_client_may_give_up_while_it_dials(void)
{
  Site *site = site_new(NULL);
  Seen *seen = seen_new();
  HttpSocket *socket = dial(site, (Where){0}, seen);
  http_socket_close(socket, 1000, "changed my mind");
  wait_seen(seen, &seen->closed, 1);
  g_assert_cmpint(seen->code, ==, 1000);
  http_socket_unref(socket);
  site_free(site);
  g_assert_cmpuint(seen->closed, ==, 1);
  seen_free(seen);
}

static void the_end_of_the_thread_closes_all_sockets(void)
{
  Site *site = site_new(NULL);
  Seen *seen = seen_new();
  HttpSocket *open = dial(site, (Where){0}, seen), *dialling;
  wait_seen(seen, &seen->opened, 1);
  dialling = dial(site, (Where){.path = "/hold"}, seen);
  HttpCall *held = site_wait_held(site);
  site_free(site);
  g_assert_cmpuint(seen->closed, ==, 2);
  g_autoptr(GBytes) message = g_bytes_new_static("x", 1);
  g_assert_false(http_socket_send(open, message, false));
  http_socket_close(dialling, 1000, NULL);
  http_call_answer(held, 200, NULL, message); /* nobody is there: nothing happens */
  http_call_unref(held);
  http_socket_unref(open);
  http_socket_unref(dialling);
  seen_free(seen);
}

static void one_message_reaches_many(void)
{
  enum { RECEIVERS = 200 };
  Site *site = site_new(NULL);
  Seen *seen = seen_new();
  HttpSocket *sockets[RECEIVERS];
  for (int i = 0; i < RECEIVERS; i++)
    sockets[i] = dial(site, (Where){0}, seen);
  wait_seen(seen, &seen->opened, RECEIVERS);
  g_autoptr(GBytes) message = g_bytes_new_static("to all", 6);
  for (int i = 0; i < RECEIVERS; i++)
    g_assert_true(http_socket_send(sockets[i], message, false));
  wait_seen(seen, &seen->messages, RECEIVERS);
  for (int i = 0; i < RECEIVERS; i++)
    http_socket_unref(sockets[i]); /* the connections live on until the end */
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_assert_cmpuint(counts.sockets, ==, RECEIVERS);
  site_free(site);
  g_assert_cmpuint(seen->closed, ==, RECEIVERS);
  seen_free(seen);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/http/socket/" #name, name)
  TEST(messages_come_back);
  TEST(fragments_are_joined_around_control_frames);
  TEST(a_close_is_answered);
  TEST(the_owner_closes);
  TEST(bad_frames_end_the_socket);
  TEST(a_long_message_is_refused_before_it_came);
  TEST(a_silent_peer_is_pinged_then_dropped);
  TEST(a_vanished_peer_is_noticed);
  TEST(a_peer_that_does_not_read_is_cut_at_16_mib);
  TEST(a_paused_socket_does_not_read);
  TEST(what_asks_wrongly_stays_http);
  TEST(frames_sent_with_the_request_are_not_lost);
  TEST(our_client_talks_to_our_server);
  TEST(messages_come_compressed_to_who_can_unpack_them);
  TEST(compressed_frames_say_so);
  TEST(our_client_resumes_also_after_a_restart);
  TEST(our_client_says_why_it_failed);
  TEST(servers_may_say_anything);
  TEST(a_client_waits_no_longer_than_told);
  TEST(a_client_may_give_up_while_it_dials);
  TEST(the_end_of_the_thread_closes_all_sockets);
  TEST(one_message_reaches_many);
  return g_test_run();
}
