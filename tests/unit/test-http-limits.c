// SPDX-License-Identifier: Apache-2.0
/* Who may come in, how long a peer may take, and what happens to those who leave in the middle. */
#include "http-site.h"
#include "base/error.h"
#include "base/pki.h"
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- certificates ---- */

static void client_certificates_are_optional_and_shown(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) with = peer_new(site, PEER_CERT), without = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) one = peer_ask(with, GET("/echo"), 200), two = peer_ask(without, GET("/echo"), 200);
  g_assert_nonnull(strstr(one->body, " cn=host-3\n"));
  g_assert_nonnull(strstr(two->body, " cn=\n"));
  site_free(site);
}

/* A TLS 1.3 client is through before the server has looked at its certificate: the refusal shows at the first
 * read. */
static void expect_refused(Site *site, PeerFlags flags)
{
  g_autoptr(Peer) peer = peer_new(site, flags);
  if (!peer)
    return;
  peer_send(peer, GET("/hello"));
  g_assert_null(peer_answer(peer, false));
  g_assert_true(peer->is_closed);
}

static void strangers_and_revoked_ones_are_refused(void)
{
  Site *site = site_new(NULL);
  HttpServerCounts counts;
  expect_refused(site, PEER_STRANGER);
  site->revoked = g_strdup(site->serial);
  expect_refused(site, PEER_CERT);
  expect_refused(site, PEER_TLS11);
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  do { /* the client may know before the server has counted */
    http_server_counts(site->server, &counts);
    g_usleep(1000);
  } while (counts.handshakes_failed < 3 && g_get_monotonic_time() < until);
  g_assert_cmpuint(counts.handshakes_failed, ==, 3);
  g_assert_cmpuint(counts.calls, ==, 0);
  g_assert_cmpuint(counts.connections, ==, 0);
  site_free(site);
}

static void a_resumed_session_keeps_the_name_and_obeys_a_revocation(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) first = peer_new(site, PEER_CERT);
  g_autoptr(Answer) hello = peer_ask(first, GET("/hello"), 200); /* brings the ticket too */
  SSL_SESSION *session = SSL_get1_session(first->ssl);
  g_autoptr(Peer) second = peer_resume(site, session);
  g_assert_true(SSL_session_reused(second->ssl));
  g_autoptr(Answer) echo = peer_ask(second, GET("/echo"), 200);
  g_assert_nonnull(strstr(echo->body, " cn=host-3\n"));
  SSL_SESSION *ticket = SSL_get1_session(second->ssl);
  site->revoked = g_strdup(site->serial);
  g_autoptr(Peer) third = peer_resume(site, ticket);
  peer_send(third, GET("/hello"));
  g_assert_null(peer_answer(third, false));
  SSL_SESSION_free(session);
  SSL_SESSION_free(ticket);
  site_free(site);
}

static char *serial_of_server(Peer *peer)
{
  X509 *cert = SSL_get0_peer_certificate(peer->ssl);
  BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
  char *hex = BN_bn2hex(number), *copy = g_strdup(hex);
  OPENSSL_free(hex);
  BN_free(number);
  return copy;
}

static void tls_files_are_read_again_for_new_connections(void)
{
  static const char *const names[] = {"localhost", "127.0.0.1", NULL};
  Site *site = site_new(NULL);
  g_autoptr(GError) error = NULL;
  const WsCa ca = {site->ca, site->ca_key};
  g_autoptr(Peer) old = peer_new(site, PEER_PLAIN);
  g_autofree char *before = serial_of_server(old);
  ws_pki_issue_server(ws_clock_system(), &ca, names, 30 * WS_PKI_DAY_S, site->cert, site->key, &error);
  g_assert_no_error(error);
  g_assert_true(http_server_reload_tls(site->server, &error));
  g_autoptr(Peer) fresh = peer_new(site, PEER_PLAIN);
  g_autofree char *after = serial_of_server(fresh);
  g_assert_cmpstr(before, !=, after);
  g_autoptr(Answer) one = peer_ask(old, GET("/hello"), 200), two = peer_ask(fresh, GET("/hello"), 200);
  g_file_set_contents(site->key, "garbage", -1, NULL);
  g_assert_false(http_server_reload_tls(site->server, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_IO_ERROR);
  g_autoptr(Peer) still = peer_new(site, PEER_PLAIN); /* with what it had */
  g_assert_nonnull(still);
  site_free(site);
}

static int plain_socket(Site *site)
{
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(http_server_port(site->server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval patience = {.tv_sec = 60};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  g_assert_cmpint(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
  return fd;
}

static void plain_http_is_told_to_use_https(void)
{
  Site *site = site_new(NULL);
  char answer[512] = "";
  int fd = plain_socket(site);
  g_assert_cmpint(send(fd, GET("/hello"), strlen(GET("/hello")), 0), >, 0);
  gsize n = 0;
  for (gssize got; (got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0;)
    n += (gsize)got;
  g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 400 "));
  g_assert_nonnull(strstr(answer, "use https://"));
  close(fd);
  site_free(site);
}

static void a_server_says_why_it_cannot_start(void)
{
  Site *site = site_new(NULL);
  HttpServerConfig config = {.bind_address = "127.0.0.1",
                             .port = http_server_port(site->server),
                             .tls = {site->cert, site->key, NULL},
                             .on_request = (void (*)(HttpCall *, void *))abort};
  g_autoptr(GError) taken = NULL, address = NULL, file = NULL, missing = NULL;
  g_assert_null(http_server_new(site->io, &config, &taken));
  g_assert_error(taken, WS_ERROR, WS_ERROR_IN_USE);
  config.bind_address = "somewhere";
  g_assert_null(http_server_new(site->io, &config, &address));
  g_assert_error(address, WS_ERROR, WS_ERROR_BAD_VALUE);
  config.bind_address = "127.0.0.1";
  config.tls.key_file = site->client_key;
  g_assert_null(http_server_new(site->io, &config, &file));
  g_assert_error(file, WS_ERROR, WS_ERROR_IO_ERROR);
  config.tls.key_file = NULL;
  g_assert_null(http_server_new(site->io, &config, &missing));
  g_assert_error(missing, WS_ERROR, WS_ERROR_REQUIRED);
  site_free(site);
}

/* ---- time ---- */

/* As short as a test has time for, and longer than a busy machine lets it wait between two of its own steps. */
#define HURRY_S 5

static void hurry(HttpServerConfig *config)
{
  config->header_timeout_s = HURRY_S;
  config->body_timeout_s = HURRY_S;
  config->idle_timeout_s = HURRY_S;
}

static void slow_requests_get_408(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) head = peer_new(site, PEER_PLAIN);
  peer_send(head, "GET /hello HTTP/1.1\r\nHost:");
  g_autoptr(Peer) body = peer_new(site, PEER_PLAIN);
  peer_send(body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  g_autoptr(Peer) stream = peer_new(site, PEER_PLAIN), idle = peer_new(site, PEER_PLAIN);
  peer_send(stream, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  g_autoptr(Answer) one = peer_answer(head, false), two = peer_answer(body, false),
                    three = peer_answer(stream, false);
  g_assert_cmpint(one->status, ==, 408);
  g_assert_cmpint(two->status, ==, 408);
  g_assert_cmpint(three->status, ==, 408);
  site_wait(site, &site->gone, 1); /* the upload's sink heard of it */
  g_assert_true(peer_wait_close(idle));
  g_assert_cmpuint(idle->input->len, ==, 0); /* nothing was asked: just goodbye */
  site_free(site);
}

static void a_head_in_drops_does_not_win_time(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  gint64 began = g_get_monotonic_time();
  peer_send(peer, "GET /hello HTTP/1.1\r\nHost: x\r\n");
  while (g_get_monotonic_time() - began < 2 * HURRY_S * G_USEC_PER_SEC) {
    peer_send(peer, "A: b\r\n");
    g_usleep(100 * 1000);
  }
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 408);
  site_free(site);
}

static void a_handshake_that_never_ends_is_dropped(void)
{
  Site *site = site_new(hurry);
  int fd = plain_socket(site);
  char byte;
  g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
  close(fd);
  site_free(site);
}

static void who_does_not_read_is_dropped(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) peer = peer_new(site, PEER_SMALL_BUFFER), whole = peer_new(site, PEER_SMALL_BUFFER);
  peer_send(peer, GET("/pour?n=100000000"));
  site_wait(site, &site->ended, 1);
  peer_send(whole, GET("/big?n=30000000"));
  HttpServerCounts counts;
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  do {
    g_usleep(20 * 1000);
    http_server_counts(site->server, &counts);
  } while (counts.connections > 0 && g_get_monotonic_time() < until);
  g_assert_cmpuint(counts.connections, ==, 0);
  site_free(site);
}

static void a_slow_reader_that_goes_on_reading_gets_all(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) peer = peer_new(site, PEER_SMALL_BUFFER);
  peer_send(peer, GET("/big?n=3000000"));
  gint64 began = g_get_monotonic_time();
  for (gsize n = 0; n < 3000000; n += 100000) { /* in half as long again as the time-out, a little in each */
    g_assert_true(peer_fill(peer, n));
    g_usleep(HURRY_S * 3 / 2 * G_USEC_PER_SEC / 30);
  }
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpuint(answer->n, ==, 3000000);
  g_assert_cmpint(g_get_monotonic_time() - began, >, HURRY_S * G_USEC_PER_SEC);
  site_free(site);
}

static void a_held_call_may_take_its_time(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  peer_send(peer, GET("/hold"));
  HttpCall *call = site_wait_held(site);
  g_usleep(HURRY_S * G_USEC_PER_SEC + 500 * 1000);
  g_assert_false(http_call_is_gone(call));
  http_call_answer(call, 200, NULL, NULL);
  http_call_unref(call);
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 200);
  site_free(site);
}

/* ---- numbers ---- */

static void crowd(HttpServerConfig *config)
{
  config->max_connections = 4;
  config->max_connections_per_address = 100;
}

static void a_full_server_gives_idle_places_away_and_else_says_503(void)
{
  Site *site = site_new(crowd);
  Peer *peers[5];
  HttpCall *calls[5] = {NULL};
  for (int i = 0; i < 5; i++) {
    peers[i] = peer_new(site, PEER_PLAIN);
    if (i == 3) {
      answer_free(peer_ask(peers[i], GET("/hello"), 200)); /* idle from now on */
      continue;
    }
    peer_send(peers[i], GET("/hold"));
    calls[i] = site_wait_held(site);
  }
  g_assert_true(peer_wait_close(peers[3])); /* it gave way to the fifth */
  g_autoptr(Peer) sixth = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) full = peer_ask(sixth, GET("/hello"), 503);
  g_autofree char *retry = answer_header(full, "retry-after");
  g_assert_cmpstr(retry, ==, "1");
  for (int i = 0; i < 5; i++) {
    if (calls[i])
      http_call_unref(calls[i]);
    peer_free(peers[i]);
  }
  site_free(site);
}

static void lonely(HttpServerConfig *config)
{
  config->max_connections_per_address = 2;
}

static void one_address_cannot_take_all(void)
{
  Site *site = site_new(lonely);
  g_autoptr(Peer) one = peer_new(site, PEER_PLAIN), two = peer_new(site, PEER_PLAIN),
                  three = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) fine = peer_ask(two, GET("/hello"), 200);
  g_autoptr(Answer) full = peer_ask(three, GET("/hello"), 429);
  g_autofree char *retry = answer_header(full, "retry-after");
  g_assert_cmpstr(retry, ==, "1");
  g_assert_true(peer_wait_close(three));
  site_free(site);
}

/* A site of thousands of hosts may stand behind one address: whoever has shown a certificate is known, and not counted. */
static void who_shows_a_certificate_is_not_counted_by_address(void)
{
  Site *site = site_new(lonely);
  g_autoptr(Peer) one = peer_new(site, PEER_PLAIN), two = peer_new(site, PEER_PLAIN);
  for (guint i = 0; i < 4; i++) {
    g_autoptr(Peer) host = peer_new(site, PEER_CERT);
    g_autoptr(Answer) fine = peer_ask(host, GET("/hello"), 200);
  }
  g_autoptr(Peer) host = peer_new(site, PEER_CERT), other = peer_new(site, PEER_CERT), third = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) fine = peer_ask(host, GET("/hello"), 200), too = peer_ask(other, GET("/hello"), 200);
  g_autoptr(Answer) full = peer_ask(third, GET("/hello"), 429);
  site_free(site);
}

/* ---- peers that leave ---- */

static void a_peer_may_vanish_at_any_byte(void)
{
  static const char text[] =
      "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  Site *site = site_new(NULL);
  for (gsize n = 0; n < sizeof text; n += 3) {
    g_autoptr(Peer) rude = peer_new(site, PEER_PLAIN), polite = peer_new(site, PEER_PLAIN);
    peer_send_bytes(rude, text, n);
    peer_vanish(rude);
    peer_send_bytes(polite, text, n);
    SSL_shutdown(polite->ssl);
  }
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer, GET("/hello"), 200);
  g_assert_cmpuint(site->gone, >, 0);
  site_free(site);
}

static void a_peer_may_vanish_during_each_kind_of_answer(void)
{
  static const char *const requests[] = {
      GET("/big?n=5000000"),
      GET("/pour?n=5000000"),
      GET("/later"),
      GET("/hello"),
      "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
      "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc"};
  Site *site = site_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(requests); i++)
    for (int delay_ms = 0; delay_ms < 8; delay_ms += 2) {
      g_autoptr(Peer) peer = peer_new(site, PEER_SMALL_BUFFER);
      peer_send(peer, requests[i]);
      g_usleep((gulong)delay_ms * 1000);
      peer_vanish(peer);
    }
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer, GET("/hello"), 200);
  HttpServerCounts counts;
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  do {
    http_server_counts(site->server, &counts);
    g_usleep(10 * 1000);
  } while (counts.connections > 1 && g_get_monotonic_time() < until);
  g_assert_cmpuint(counts.connections, ==, 1);
  site_free(site);
}

static void an_answer_for_a_vanished_peer_is_harmless(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN), other = peer_new(site, PEER_PLAIN);
  peer_send(peer, GET("/hold"));
  HttpCall *call = site_wait_held(site);
  peer_vanish(peer);
  site_wait(site, &site->gone, 1);
  g_assert_true(http_call_is_gone(call));
  g_autoptr(GBytes) body = g_bytes_new_static("too late", 8);
  http_call_add_header(call, "X-A", "b");
  http_call_answer(call, 200, "text/plain", body);
  g_assert_cmpstr(http_call_path(call), ==, "/hold");
  http_call_unref(call);
  g_autoptr(Answer) answer = peer_ask(other, GET("/hello"), 200);
  site_free(site);
}

static void count_writable(HttpCall *call, void *arg)
{
  g_assert_true(http_call_is_gone(call));
  g_atomic_int_inc((gint *)arg);
}

static void wait_for_count(gint *count, gint n)
{
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  while (g_atomic_int_get(count) < n && g_get_monotonic_time() < until)
    g_usleep(1000);
  g_assert_cmpint(g_atomic_int_get(count), ==, n);
}

static void who_streams_too_late_is_told(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Peer) gone = peer_new(site, PEER_PLAIN), slow = peer_new(site, PEER_PLAIN);
  g_autoptr(GBytes) piece = g_bytes_new_static("x", 1);
  gint told = 0;
  peer_send(gone, GET("/hold"));
  HttpCall *call = site_wait_held(site);
  peer_vanish(gone);
  site_wait(site, &site->gone, 1);
  http_call_stream_start(call, 200, NULL, -1, count_writable, &told);
  http_call_stream_write(call, piece);
  wait_for_count(&told, 1);
  http_call_stream_end(call, false);
  http_call_unref(call);
  /* Its body never comes: the call is refused while its handler still holds it. */
  peer_send(slow, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
  call = site_wait_held(site);
  http_call_add_header(call, "X-Mine", "1");
  g_autoptr(Answer) answer = peer_answer(slow, false);
  g_assert_cmpint(answer->status, ==, 408);
  g_assert_null(strstr(answer->head, "X-Mine"));
  site_wait(site, &site->gone, 2);
  http_call_add_header(call, "X-Other", "2");
  http_call_stream_start(call, 200, NULL, -1, count_writable, &told);
  wait_for_count(&told, 2);
  http_call_unref(call);
  site_free(site);
}

static void a_server_without_descriptors_goes_on_when_there_are_some(void)
{
  Site *site = site_new(NULL);
  struct rlimit old, few;
  g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(int));
  getrlimit(RLIMIT_NOFILE, &old);
  few = (struct rlimit){.rlim_cur = 128, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  int mine = plain_socket(site), fd;
  HttpServerCounts counts;
  gint64 until = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;
  do { /* until that one has been accepted */
    g_usleep(1000);
    http_server_counts(site->server, &counts);
  } while (counts.connections < 1 && g_get_monotonic_time() < until);
  int next = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  while ((fd = dup(0)) >= 0)
    g_array_append_val(taken, fd);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(http_server_port(site->server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  g_assert_cmpint(connect(next, (struct sockaddr *)&to, sizeof to), ==, 0); /* by the kernel */
  g_usleep(50 * 1000);
  for (guint i = 0; i < taken->len; i++)
    close(g_array_index(taken, int, i));
  setrlimit(RLIMIT_NOFILE, &old);
  g_assert_cmpint(send(next, GET("/hello"), strlen(GET("/hello")), 0), >, 0);
  char answer[16] = "";
  g_assert_cmpint(recv(next, answer, sizeof answer - 1, 0), >, 0); /* "use https": somebody is there */
  g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 400"));
  close(mine);
  close(next);
  site_free(site);
}

static void a_server_that_goes_tells_its_calls(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) held = peer_new(site, PEER_PLAIN), socket = peer_new(site, PEER_PLAIN);
  peer_send(held, GET("/hold"));
  HttpCall *call = site_wait_held(site);
  peer_upgrade(socket);
  http_server_free(g_steal_pointer(&site->server));
  g_assert_true(http_call_is_gone(call));
  g_assert_cmpuint(site->gone, ==, 1);
  g_assert_cmpuint(site->socket_closed, ==, 1);
  http_call_answer(call, 200, NULL, NULL);
  http_call_unref(call);
  g_autofree char *payload = NULL;
  gsize n;
  g_assert_cmpint(peer_take_frame(socket, &payload, &n), ==, 0x88); /* it was told: 1001 */
  g_assert_cmpint((guint8)payload[0] << 8 | (guint8)payload[1], ==, 1001);
  site_free(site);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/http/limits/" #name, name)
  TEST(client_certificates_are_optional_and_shown);
  TEST(strangers_and_revoked_ones_are_refused);
  TEST(a_resumed_session_keeps_the_name_and_obeys_a_revocation);
  TEST(tls_files_are_read_again_for_new_connections);
  TEST(plain_http_is_told_to_use_https);
  TEST(a_server_says_why_it_cannot_start);
  TEST(slow_requests_get_408);
  TEST(a_head_in_drops_does_not_win_time);
  TEST(a_handshake_that_never_ends_is_dropped);
  TEST(who_does_not_read_is_dropped);
  TEST(a_slow_reader_that_goes_on_reading_gets_all);
  TEST(a_held_call_may_take_its_time);
  TEST(a_full_server_gives_idle_places_away_and_else_says_503);
  TEST(one_address_cannot_take_all);
  TEST(who_shows_a_certificate_is_not_counted_by_address);
  TEST(a_peer_may_vanish_at_any_byte);
  TEST(a_peer_may_vanish_during_each_kind_of_answer);
  TEST(an_answer_for_a_vanished_peer_is_harmless);
  TEST(who_streams_too_late_is_told);
  TEST(a_server_without_descriptors_goes_on_when_there_are_some);
  TEST(a_server_that_goes_tells_its_calls);
  return g_test_run();
}
