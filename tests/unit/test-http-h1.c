// SPDX-License-Identifier: Apache-2.0
/* HTTP/1.1 over real TLS sockets: what is answered, what is refused and how. */
#include "http-site.h"
#include <string.h>
#include <sys/socket.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define MIB       (1024 * 1024)

static void get_is_answered_and_the_connection_kept(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  for (int i = 0; i < 3; i++) {
    g_autoptr(Answer) answer = peer_ask(peer, GET("/hello"), 200);
    g_autofree char *type = answer_header(answer, "content-type"), *date = answer_header(answer, "date");
    g_autofree char *connection = answer_header(answer, "connection");
    g_assert_cmpstr(answer->body, ==, "hello\n");
    g_assert_cmpstr(type, ==, "text/plain");
    g_assert_cmpuint(strlen(date), ==, 29);
    g_assert_null(connection);
  }
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_assert_cmpuint(counts.calls, ==, 3);
  g_assert_cmpuint(counts.connections, ==, 1);
  site_free(site);
}

static void head_and_304_have_no_body(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) head = peer_ask(peer, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  g_autofree char *length = answer_header(head, "content-length");
  g_assert_cmpstr(length, ==, "6");
  g_autoptr(Answer) streamed = peer_ask(peer, "HEAD /pour?n=100000000 HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  site_wait(site, &site->ended, 1); /* the producer was told to stop */
  g_autoptr(Answer) same = peer_ask(peer, GET("/not-modified"), 304);
  g_autofree char *tag = answer_header(same, "etag");
  g_assert_cmpstr(tag, ==, "\"7\"");
  g_autoptr(Answer) next = peer_ask(peer, GET("/hello"), 200); /* nothing of the bodies is in between */
  g_assert_cmpstr(next->body, ==, "hello\n");
  site_free(site);
}

static void requests_sent_ahead_are_answered_in_order(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(GString) text = g_string_new(NULL);
  for (int i = 0; i < 200; i++)
    g_string_append_printf(text,
                           i % 3 ? "GET /echo?i=%d HTTP/1.1\r\nHost: x\r\n\r\n"
                                 : "POST /later?i=%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
                           i);
  peer_send(peer, text->str);
  for (int i = 0; i < 200; i++) {
    g_autoptr(Answer) answer = peer_answer(peer, false);
    g_autofree char *expected = g_strdup_printf("GET /echo i=%d\n", i);
    g_assert_nonnull(answer);
    g_assert_cmpint(answer->status, ==, 200);
    g_assert_true(g_str_has_prefix(answer->body, i % 3 ? expected : "later\n"));
  }
  site_free(site);
}

static void a_peer_that_sends_ahead_and_reads_nothing_is_held_back(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_SMALL_BUFFER);
  HttpServerCounts counts;
  for (int i = 0; i < 300; i++) /* 300 answers of 100 kB, if all were taken */
    peer_send(peer, GET("/big?n=100000"));
  for (int i = 0; i < 300; i++) {
    g_autoptr(Answer) answer = peer_answer(peer, false);
    g_assert_cmpuint(answer->n, ==, 100000);
    http_server_counts(site->server, &counts);
    g_assert_cmpuint(counts.calls, <, i + 60u); /* kernel buffers hold some */
  }
  site_free(site);
}

static void bodies_come_with_length_and_in_chunks(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) one =
      peer_ask(peer, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200);
  g_assert_true(g_str_has_suffix(one->body, "\nhello"));
  g_autoptr(Answer) two =
      peer_ask(peer,
               "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
               "5;name=value\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\nTrailer: x\r\n\r\n",
               200);
  g_assert_true(g_str_has_suffix(two->body, "\nhello world"));
  g_autoptr(Answer) none =
      peer_ask(peer, "PATCH /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200);
  g_assert_true(g_str_has_prefix(none->body, "PATCH /echo"));
  site_free(site);
}

static void everything_may_come_byte_by_byte(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  const char *text =
      "POST /echo?a=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" GET(
          "/hello");
  for (const char *c = text; *c; c++)
    peer_send_bytes(peer, c, 1);
  g_autoptr(Answer) one = peer_answer(peer, false), two = peer_answer(peer, false);
  g_assert_true(g_str_has_suffix(one->body, "\nabc"));
  g_assert_cmpstr(two->body, ==, "hello\n");
  site_free(site);
}

static void a_client_that_waits_for_100_continue_gets_it(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) go = peer_ask(
      peer, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", 100);
  g_autoptr(Answer) answer = peer_ask(peer, "ok", 200);
  g_assert_true(g_str_has_suffix(answer->body, "\nok"));
  g_autoptr(Answer) no = peer_ask(
      peer, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", 403);
  g_assert_true(peer_wait_close(peer)); /* it may or may not send the body now: nobody can tell */
  site_free(site);
}

static void what_is_not_http_is_refused(void)
{
  static const struct {
    const char *text;
    int status;
  } cases[] = {
      {"GARBAGE\r\n\r\n", 400},
      {"GET /hello\r\n\r\n", 400},
      {"GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\n\r\n", 400}, /* no Host */
      {"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\nHost : x\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400}, /* a bare LF */
      {"GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", 505},
      {"GET /hello HTTP/1.1x\r\nHost: x\r\n\r\n", 400},
      {"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501},
      {"GET hello HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a/%2e%2E/b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400}, /* not UTF-8 */
      {"GET /a?b=%0a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  };
  Site *site = site_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_test_message("%s", cases[i].text);
    g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
    g_autoptr(Answer) answer = peer_ask(peer, cases[i].text, cases[i].status);
    g_autofree char *connection = answer_header(answer, "connection"),
                    *type = answer_header(answer, "content-type");
    g_assert_cmpstr(connection, ==, "close");
    g_assert_cmpstr(type, ==, "application/json");
    g_assert_true(g_str_has_prefix(answer->body, "{\"code\":\""));
    g_assert_true(peer_wait_close(peer));
  }
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_assert_cmpuint(counts.refused, ==, G_N_ELEMENTS(cases));
  site_free(site);
}

static Answer *ask_long(Site *site, const char *before, gsize n, const char *after, int status)
{
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autofree char *middle = g_strnfill(n, 'a'), *text = g_strconcat(before, middle, after, NULL);
  return peer_ask(peer, text, status);
}

static void long_heads_are_refused(void)
{
  Site *site = site_new(NULL);
  answer_free(ask_long(site, "GET /echo?", 8000, "=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200));
  answer_free(ask_long(site, "GET /echo?", 8192, "=1 HTTP/1.1\r\nHost: x\r\n\r\n", 414));
  answer_free(ask_long(site, "GET /echo?", 100000, "=1 HTTP/1.1\r\nHost: x\r\n\r\n", 414));
  answer_free(ask_long(site, "GET /echo HTTP/1.1\r\nHost: x\r\nA: ", 16000, "\r\n\r\n", 200));
  answer_free(ask_long(site, "GET /echo HTTP/1.1\r\nHost: x\r\nA: ", 16384, "\r\n\r\n", 431));
  answer_free(ask_long(site, "GET /echo HTTP/1.1\r\nHost: x\r\nA: ", 200000, "\r\n\r\n", 431));
  g_autoptr(GString) many = g_string_new("GET /echo HTTP/1.1\r\nHost: x\r\n");
  for (int i = 0; i < 100; i++)
    g_string_append_printf(many, "h%d: v\r\n", i);
  g_string_append(many, "\r\n");
  answer_free(ask_long(site, many->str, 0, "", 431));
  site_free(site);
}

static void parts_of_the_request_are_decoded(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer, "GET /echo/../echo HTTP/1.0\r\n\r\n", 400);
  g_autoptr(Peer) second = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) full =
      peer_ask(second,
               "GET https://x:8443/echo?a+b=1%2B2&empty&%E4%B8%AD=%e6%96%87 HTTP/1.1\r\nHost: x:8443\r\n"
               "Cookie: a=1\r\nIdempotency-Key: k1\r\nCookie: b=2\r\n\r\n",
               200);
  g_assert_cmpstr(full->body, ==,
                  "GET /echo a b=1+2 empty= 中=文\nkey=k1 cookie=a=1; b=2 host=x:8443 peer=127.0.0.1 cn=\n");
  g_autoptr(Answer) path = peer_ask(second, GET("/nowhere/%E4%B8%AD%20x"), 404);
  site_free(site);
}

static void http_1_0_is_answered_and_closed(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) kept = peer_ask(peer, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200);
  g_autoptr(Answer) poured = peer_ask(peer, "GET /pour?n=100000 HTTP/1.0\r\n\r\n", 200);
  g_assert_cmpuint(poured->n, ==, 100000); /* ends with the connection */
  g_assert_true(peer->is_closed);
  site_free(site);
}

static void answers_may_come_later_or_never(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) later = peer_ask(peer, GET("/later"), 200);
  g_assert_cmpstr(later->body, ==, "later\n");
  g_autoptr(Answer) forgotten = peer_ask(peer, GET("/forget"), 500);
  g_autoptr(Answer) next = peer_ask(peer, GET("/hello"), 200);
  site_free(site);
}

static void headers_cannot_be_split(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer, GET("/headers"), 204);
  g_assert_nonnull(strstr(answer->head, "X-Good: yes\r\n"));
  g_assert_null(strstr(answer->head, "evil"));
  g_assert_null(strstr(answer->head, "Bad"));
  g_assert_null(strstr(answer->head, "Content-Length"));
  site_free(site);
}

static void streamed_answers_arrive_whole(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) chunked = peer_ask(peer, GET("/pour?n=3000000"), 200);
  g_assert_true(chunked->complete);
  g_assert_cmpuint(chunked->n, ==, 3000000);
  g_autoptr(Answer) counted = peer_ask(peer, GET("/pour?n=3000000&length=1"), 200);
  g_assert_cmpuint(counted->n, ==, 3000000);
  g_autoptr(Answer) empty = peer_ask(peer, GET("/pour?n=0"), 200);
  g_assert_true(empty->complete);
  g_autoptr(Answer) big = peer_ask(peer, GET("/big?n=22000000"), 200);
  g_assert_cmpuint(big->n, ==, 22000000);
  site_wait(site, &site->ended, 3);
  site_free(site);
}

static void a_broken_off_answer_is_seen_as_such(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN), second = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) cut = peer_ask(peer, GET("/cut"), 200);
  g_assert_false(cut->complete);
  g_autoptr(Answer) counted = peer_ask(second, GET("/cut?length=1"), 200);
  g_assert_false(counted->complete);
  g_assert_cmpuint(counted->n, ==, 1000);
  site_free(site);
}

/* Sends n bytes of 'u' in an upload's body. */
static void send_body(Peer *peer, gsize n)
{
  g_autofree char *bytes = g_strnfill(MIB, 'u');
  for (gsize at = 0; at < n; at += MIB)
    peer_send_bytes(peer, bytes, MIN(n - at, (gsize)MIB));
}

static guint32 sum_of(gsize n)
{
  guint32 sum = 0;
  for (gsize i = 0; i < n; i++)
    sum = sum * 31 + 'u';
  return sum;
}

static void uploads_are_streamed(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autofree char *expected = g_strdup_printf("%d %u\n", 5 * MIB, sum_of(5 * MIB));
  peer_send(peer, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n");
  send_body(peer, 5 * MIB);
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 201);
  g_assert_cmpstr(answer->body, ==, expected);
  g_autoptr(Answer) next = peer_ask(peer, GET("/hello"), 200);
  site_free(site);
}

typedef struct {
  Peer *peer;
  gsize n;
  gint sent; /* atomic, MiB */
} Sender;

static gpointer send_in_thread(gpointer arg)
{
  Sender *sender = arg;
  for (gsize at = 0; at < sender->n; at += MIB) {
    send_body(sender->peer, MIB);
    g_atomic_int_inc(&sender->sent);
  }
  return NULL;
}

static void a_paused_upload_stops_the_sender(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  Sender sender = {peer, 64 * (gsize)MIB, 0};
  peer_send(peer, "PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n");
  GThread *thread = g_thread_new("sender", send_in_thread, &sender);
  HttpCall *call = site_wait_held(site);
  int before = -1, quiet = 0;
  while (quiet < 10) { /* until nothing moves any more */
    int now = g_atomic_int_get(&sender.sent);
    quiet = now == before ? quiet + 1 : 0;
    before = now;
    g_usleep(20 * 1000);
  }
  g_assert_cmpint(before, <, 16); /* what kernel buffers hold */
  g_assert_cmpuint(site->body_bytes, <, 100 * 1000);
  http_call_resume_body(call);
  http_call_unref(call);
  g_thread_join(thread);
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_autofree char *expected = g_strdup_printf("%d %u\n", 64 * MIB, sum_of(64 * MIB));
  g_assert_cmpstr(answer->body, ==, expected);
  site_free(site);
}

static void too_large_uploads_are_refused(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  peer_send(peer, "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 10; i++)
    peer_send(peer, "c8\r\n" /* 200 bytes */
                    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    "0000000000000"
                    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    "00000000000\r\n");
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 413);
  site_wait(site, &site->gone, 1);
  site_free(site);
}

static void an_early_answer_reaches_a_sender_that_is_still_sending(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN), second = peer_new(site, PEER_PLAIN);
  peer_send(peer, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
  send_body(peer, 2 * MIB);
  g_autoptr(Answer) answer = peer_answer(peer, false);
  g_assert_cmpint(answer->status, ==, 403);
  /* A small body is thrown away, and the connection lives on. */
  g_autoptr(Answer) small =
      peer_ask(second, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody" GET("/hello"), 403);
  g_autoptr(Answer) next = peer_answer(second, false);
  g_assert_cmpstr(next->body, ==, "hello\n");
  site_free(site);
}

static void a_peer_that_closed_its_half_is_answered(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  peer_send(peer, GET("/hold") GET("/hello"));
  HttpCall *call = site_wait_held(site);
  SSL_shutdown(peer->ssl);
  shutdown(peer->fd, SHUT_WR);
  g_usleep(50 * 1000);
  g_autoptr(GBytes) body = g_bytes_new_static("late", 4);
  http_call_answer(call, 200, NULL, body);
  http_call_unref(call);
  g_autoptr(Answer) answer = peer_answer(peer, false), next = peer_answer(peer, false);
  g_assert_cmpstr(answer->body, ==, "late");
  g_assert_cmpstr(next->body, ==, "hello\n");
  g_assert_true(peer_wait_close(peer));
  site_free(site);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/http/h1/" #name, name)
  TEST(get_is_answered_and_the_connection_kept);
  TEST(head_and_304_have_no_body);
  TEST(requests_sent_ahead_are_answered_in_order);
  TEST(a_peer_that_sends_ahead_and_reads_nothing_is_held_back);
  TEST(bodies_come_with_length_and_in_chunks);
  TEST(everything_may_come_byte_by_byte);
  TEST(a_client_that_waits_for_100_continue_gets_it);
  TEST(what_is_not_http_is_refused);
  TEST(long_heads_are_refused);
  TEST(parts_of_the_request_are_decoded);
  TEST(http_1_0_is_answered_and_closed);
  TEST(answers_may_come_later_or_never);
  TEST(headers_cannot_be_split);
  TEST(streamed_answers_arrive_whole);
  TEST(a_broken_off_answer_is_seen_as_such);
  TEST(uploads_are_streamed);
  TEST(a_paused_upload_stops_the_sender);
  TEST(too_large_uploads_are_refused);
  TEST(an_early_answer_reaches_a_sender_that_is_still_sending);
  TEST(a_peer_that_closed_its_half_is_answered);
  return g_test_run();
}
