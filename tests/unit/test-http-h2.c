// SPDX-License-Identifier: Apache-2.0
/* HTTP/2, as libcurl speaks it, and some frames by hand. */
#include "http-site.h"
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>

/* One transfer. */
typedef struct {
  CURL *curl;
  struct curl_slist *headers;
  GString *body, *head;
  gsize to_send, sent; /* of an upload */
  gint moved;          /* atomic: MiB sent */
  CURLcode result;
} Transfer;

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
  g_string_append_len(((Transfer *)arg)->body, bytes, (gssize)(size * n));
  return size * n;
}

static size_t take_head(char *bytes, size_t size, size_t n, void *arg)
{
  g_string_append_len(((Transfer *)arg)->head, bytes, (gssize)(size * n));
  return size * n;
}

static size_t give_body(char *bytes, size_t size, size_t n, void *arg)
{
  Transfer *transfer = arg;
  gsize part = MIN(size * n, transfer->to_send - transfer->sent);
  memset(bytes, 'u', part);
  transfer->sent += part;
  g_atomic_int_set(&transfer->moved, (gint)(transfer->sent >> 20));
  return part;
}

static Transfer *transfer_new(Site *site, const char *path)
{
  Transfer *transfer = g_new0(Transfer, 1);
  g_autofree char *url = g_strdup_printf("https://127.0.0.1:%u%s", http_server_port(site->server), path);
  transfer->body = g_string_new(NULL);
  transfer->head = g_string_new(NULL);
  transfer->curl = curl_easy_init();
  curl_easy_setopt(transfer->curl, CURLOPT_URL, url);
  curl_easy_setopt(transfer->curl, CURLOPT_CAINFO, site->ca);
  curl_easy_setopt(transfer->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(transfer->curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(transfer->curl, CURLOPT_TIMEOUT, 120L);
  curl_easy_setopt(transfer->curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(transfer->curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(transfer->curl, CURLOPT_PIPEWAIT, 1L);
  curl_easy_setopt(transfer->curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(transfer->curl, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(transfer->curl, CURLOPT_HEADERFUNCTION, take_head);
  curl_easy_setopt(transfer->curl, CURLOPT_HEADERDATA, transfer);
  return transfer;
}

static void set_header(Transfer *transfer, const char *line)
{
  transfer->headers = curl_slist_append(transfer->headers, line);
  curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_upload(Transfer *transfer, gsize n, bool announced)
{
  transfer->to_send = n;
  curl_easy_setopt(transfer->curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(transfer->curl, CURLOPT_READFUNCTION, give_body);
  curl_easy_setopt(transfer->curl, CURLOPT_READDATA, transfer);
  if (announced)
    curl_easy_setopt(transfer->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)n);
  set_header(transfer, "Expect:");
}

static void transfer_free(Transfer *transfer)
{
  curl_easy_cleanup(transfer->curl);
  curl_slist_free_all(transfer->headers);
  g_string_free(transfer->body, TRUE);
  g_string_free(transfer->head, TRUE);
  g_free(transfer);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transfer, transfer_free)

static void expect_status(Transfer *transfer, long status)
{
  long got, version;
  curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &got);
  curl_easy_getinfo(transfer->curl, CURLINFO_HTTP_VERSION, &version);
  g_assert_cmpint(got, ==, status);
  g_assert_cmpint(version, ==, CURL_HTTP_VERSION_2_0);
}

static void perform(Transfer *transfer, long status)
{
  transfer->result = curl_easy_perform(transfer->curl);
  g_assert_cmpstr(curl_easy_strerror(transfer->result), ==, curl_easy_strerror(CURLE_OK));
  expect_status(transfer, status);
}

static void get(Site *site, const char *path, long status)
{
  g_autoptr(Transfer) transfer = transfer_new(site, path);
  perform(transfer, status);
}

static void requests_are_answered(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Transfer) echo = transfer_new(site, "/echo?a+b=1%2B2&%E4%B8%AD=%e6%96%87");
  set_header(echo, "Idempotency-Key: k1");
  set_header(echo, "Cookie: a=1");
  perform(echo, 200);
  g_autofree char *expected =
      g_strdup_printf("GET /echo a b=1+2 中=文\nkey=k1 cookie=a=1 host=127.0.0.1:%u peer=127.0.0.1 cn=\n",
                      http_server_port(site->server));
  g_assert_cmpstr(echo->body->str, ==, expected);
  get(site, "/hello", 200);
  get(site, "/later", 200);
  get(site, "/nowhere", 404);
  get(site, "/forget", 500);
  get(site, "/not-modified", 304);
  g_autoptr(Transfer) headers = transfer_new(site, "/headers");
  perform(headers, 204);
  g_assert_nonnull(strstr(headers->head->str, "x-good: yes\r\n"));
  g_assert_null(strstr(headers->head->str, "evil"));
  g_autoptr(Transfer) head = transfer_new(site, "/pour?n=50000000");
  curl_easy_setopt(head->curl, CURLOPT_NOBODY, 1L);
  perform(head, 200);
  g_assert_cmpuint(head->body->len, ==, 0);
  site_free(site);
}

static void bad_requests_are_refused(void)
{
  Site *site = site_new(NULL);
  get(site, "/a/../b", 400);
  get(site, "/a%2fb", 400);
  get(site, "/a%00", 400);
  get(site, "/a?b=%zz", 400);
  g_autofree char *long_name = g_strnfill(9000, 'a'), *path = g_strconcat("/echo?", long_name, NULL);
  get(site, path, 414);
  g_autoptr(Transfer) fat = transfer_new(site, "/echo");
  g_autofree char *filler = g_strnfill(10000, 'f'), *one = g_strconcat("A: ", filler, NULL);
  g_autofree char *two = g_strconcat("B: ", filler, NULL);
  set_header(fat, one);
  set_header(fat, two);
  perform(fat, 431);
  g_autoptr(Transfer) many = transfer_new(site, "/echo");
  for (int i = 0; i < 110; i++) {
    g_autofree char *line = g_strdup_printf("h%d: x", i);
    set_header(many, line);
  }
  perform(many, 431);
  g_autoptr(Transfer) large = transfer_new(site, "/echo");
  set_upload(large, 5 * 1024 * 1024, true);
  curl_easy_perform(large->curl);
  expect_status(large, 413);
  site_free(site);
}

static guint32 sum_of(gsize n)
{
  guint32 sum = 0;
  for (gsize i = 0; i < n; i++)
    sum = sum * 31 + 'u';
  return sum;
}

static void bodies_go_both_ways(void)
{
  enum { N = 7 * 1024 * 1024 + 11 };
  Site *site = site_new(NULL);
  g_autoptr(Transfer) up = transfer_new(site, "/upload"), unknown = transfer_new(site, "/echo");
  set_upload(up, N, true);
  perform(up, 201);
  g_autofree char *expected = g_strdup_printf("%d %u\n", N, sum_of(N));
  g_assert_cmpstr(up->body->str, ==, expected);
  set_upload(unknown, 300000, false);
  perform(unknown, 200);
  g_assert_cmpuint(unknown->body->len, >, 300000);
  g_autoptr(Transfer) down = transfer_new(site, "/pour?n=9000000"),
                      counted = transfer_new(site, "/pour?n=9000000&length=1");
  perform(down, 200);
  perform(counted, 200);
  g_assert_cmpuint(down->body->len, ==, 9000000);
  g_assert_cmpuint(counted->body->len, ==, 9000000);
  g_autoptr(Transfer) big = transfer_new(site, "/big?n=22000000");
  perform(big, 200);
  g_assert_cmpuint(big->body->len, ==, 22000000);
  site_free(site);
}

static void a_broken_off_answer_is_seen_as_such(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Transfer) cut = transfer_new(site, "/cut"), counted = transfer_new(site, "/cut?length=1");
  g_assert_cmpint(curl_easy_perform(cut->curl), !=, CURLE_OK);
  g_assert_cmpint(curl_easy_perform(counted->curl), !=, CURLE_OK);
  get(site, "/hello", 200);
  site_free(site);
}

static void an_early_answer_stops_the_sender(void)
{
  Site *site = site_new(NULL);
  g_autoptr(Transfer) early = transfer_new(site, "/early"), small = transfer_new(site, "/small");
  set_upload(early, 50 * 1024 * 1024, true);
  curl_easy_perform(early->curl);
  expect_status(early, 403);
  g_assert_cmpuint(early->sent, <, 5 * 1024 * 1024);
  set_upload(small, 20000, false);
  curl_easy_perform(small->curl);
  expect_status(small, 413);
  site_wait(site, &site->gone, 1);
  site_free(site);
}

/* Runs transfers together on one connection until `stop` (may be NULL) says so or all are done. */
static void perform_all(Transfer **transfers, guint n, bool (*stop)(void *arg), void *arg)
{
  CURLM *multi = curl_multi_init();
  int running = 1;
  gint64 until = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
  for (guint i = 0; i < n; i++)
    curl_multi_add_handle(multi, transfers[i]->curl);
  while (running && !(stop && stop(arg)) && g_get_monotonic_time() < until) {
    curl_multi_perform(multi, &running);
    curl_multi_poll(multi, NULL, 0, 20, NULL);
  }
  for (guint i = 0; i < n; i++)
    curl_multi_remove_handle(multi, transfers[i]->curl);
  curl_multi_cleanup(multi);
}

static void many_calls_share_a_connection(void)
{
  enum { N = 60 };
  Site *site = site_new(NULL);
  Transfer *transfers[N];
  for (int i = 0; i < N; i++) {
    transfers[i] = transfer_new(site, i % 3 == 0   ? "/later"
                                      : i % 3 == 1 ? "/pour?n=700000"
                                                   : "/big?n=300000");
  }
  perform_all(transfers, N, NULL, NULL);
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_assert_cmpuint(counts.accepted, ==, 1);
  for (int i = 0; i < N; i++) {
    expect_status(transfers[i], 200);
    g_assert_cmpuint(transfers[i]->body->len, ==, i % 3 == 0 ? 6 : i % 3 == 1 ? 700000 : 300000);
    transfer_free(transfers[i]);
  }
  site_free(site);
}

typedef struct {
  Site *site;
  Transfer *upload;
  gint64 quiet_since;
  gint moved;
  bool resumed;
} Pause;

/* Lets the paused upload run dry, then looks at how much got through, and lets it go. */
static bool watch_pause(void *arg)
{
  Pause *pause = arg;
  gint moved = g_atomic_int_get(&pause->upload->moved);
  gint64 now = g_get_monotonic_time();
  if (moved != pause->moved)
    pause->quiet_since = now;
  pause->moved = moved;
  if (!pause->resumed && pause->quiet_since && now - pause->quiet_since > 300 * 1000) {
    HttpCall *call = site_wait_held(pause->site);
    g_assert_cmpint(pause->upload->sent, <, 3 * 1024 * 1024); /* the stream's window and curl's own buffers */
    http_call_resume_body(call);
    http_call_unref(call);
    pause->resumed = true;
  }
  return false;
}

static void a_paused_upload_stops_the_sender_and_nobody_else(void)
{
  enum { N = 32 * 1024 * 1024 };
  Site *site = site_new(NULL);
  Transfer *transfers[2] = {transfer_new(site, "/slow"), transfer_new(site, "/big?n=4000000")};
  set_upload(transfers[0], N, true);
  Pause pause = {.site = site, .upload = transfers[0], .quiet_since = g_get_monotonic_time(), .moved = -1};
  perform_all(transfers, 2, watch_pause, &pause);
  g_assert_true(pause.resumed);
  expect_status(transfers[0], 201);
  expect_status(transfers[1], 200);
  g_autofree char *expected = g_strdup_printf("%d %u\n", N, sum_of(N));
  g_assert_cmpstr(transfers[0]->body->str, ==, expected);
  transfer_free(transfers[0]);
  transfer_free(transfers[1]);
  site_free(site);
}

typedef struct {
  Site *site;
  Transfer *download;
} Middle;

static bool in_the_middle(void *arg)
{
  Middle *middle = arg;
  g_mutex_lock(&middle->site->lock);
  bool begun = middle->site->held && middle->site->pieces > 0;
  g_mutex_unlock(&middle->site->lock);
  return begun && middle->download->body->len > 1000000;
}

static void a_peer_may_leave_in_the_middle(void)
{
  Site *site = site_new(NULL);
  Transfer *transfers[] = {transfer_new(site, "/pour?n=900000000"), transfer_new(site, "/hold"),
                           transfer_new(site, "/upload")};
  Middle middle = {site, transfers[0]};
  set_upload(transfers[2], 900000000, true);
  perform_all(transfers, 3, in_the_middle, &middle);
  site_wait(site, &site->ended, 1); /* the producer */
  site_wait(site, &site->gone, 2);  /* the held call and the upload */
  for (guint i = 0; i < G_N_ELEMENTS(transfers); i++)
    transfer_free(transfers[i]);
  get(site, "/hello", 200);
  site_free(site);
}

static void hurry(HttpServerConfig *config)
{
  config->body_timeout_s = config->idle_timeout_s = 5; /* longer than a busy machine lets the test wait before it sends */
}

static size_t stall(char *bytes, size_t size, size_t n, void *arg)
{
  Transfer *transfer = arg;
  if (transfer->sent > 0)
    return CURL_READFUNC_PAUSE;
  transfer->sent = 1;
  *bytes = 'x';
  return 1;
}

/* curl goes on waiting for bodies to send, although the answers are there. */
static bool are_answered(void *arg)
{
  Transfer **both = arg;
  long one = 0, two = 0;
  curl_easy_getinfo(both[0]->curl, CURLINFO_RESPONSE_CODE, &one);
  curl_easy_getinfo(both[1]->curl, CURLINFO_RESPONSE_CODE, &two);
  return one && two;
}

static void a_stalled_body_gets_408(void)
{
  Site *site = site_new(hurry);
  g_autoptr(Transfer) whole = transfer_new(site, "/echo"), streamed = transfer_new(site, "/upload");
  Transfer *both[] = {whole, streamed};
  for (int i = 0; i < 2; i++) {
    set_upload(both[i], 1000, true);
    curl_easy_setopt(both[i]->curl, CURLOPT_READFUNCTION, stall);
  }
  perform_all(both, 2, are_answered, both);
  expect_status(whole, 408);
  expect_status(streamed, 408);
  site_wait(site, &site->gone, 1);
  site_free(site);
}

/* A peer that negotiates h2 and then talks rubbish. */
static void rubbish_ends_the_connection(void)
{
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
  static const struct {
    const char *bytes;
    gsize n;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
      {"\0\0\4\x8\0\0\0\0\0\0\0\0\0", 13},    /* WINDOW_UPDATE by 0 */
      {"\0\0\1\0\1\0\0\0\1x", 10},            /* DATA on an idle stream */
      {"\xff\xff\xff\0\0\0\0\0\1", 9},        /* a frame of 16 MiB */
      {"\0\0\3\1\5\0\0\0\1\xff\xff\xff", 12}, /* HEADERS that are no HPACK */
  };
  Site *site = site_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(Peer) peer = peer_new(site, PEER_H2);
    if (i > 0)
      peer_send_bytes(peer, preface, sizeof preface - 1);
    peer_send_bytes(peer, cases[i].bytes, cases[i].n);
    g_assert_true(peer_wait_close(peer));
  }
  get(site, "/hello", 200);
  site_free(site);
}

/* Opens streams and resets them at once, by the thousand. */
static void a_flood_of_resets_ends_the_connection(void)
{
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
  /* :method GET, :scheme https, :path /hold (literal), :authority x (literal) */
  static const char fields[] = "\x82\x87\x04\x05/hold\x01\x01x";
  Site *site = site_new(NULL);
  g_autoptr(Peer) peer = peer_new(site, PEER_H2);
  g_autoptr(GByteArray) flood = g_byte_array_new();
  g_byte_array_append(flood, (const guint8 *)preface, sizeof preface - 1);
  for (guint32 id = 1; id < 20000; id += 2) {
    const guint8 stream[4] = {0, (guint8)(id >> 16), (guint8)(id >> 8), (guint8)id};
    g_byte_array_append(flood, (const guint8 *)"\0\0\x0c\1\5", 5);
    g_byte_array_append(flood, stream, 4);
    g_byte_array_append(flood, (const guint8 *)fields, sizeof fields - 1);
    g_byte_array_append(flood, (const guint8 *)"\0\0\4\3\0", 5);
    g_byte_array_append(flood, stream, 4);
    g_byte_array_append(flood, (const guint8 *)"\0\0\0\x8", 4);
  }
  peer_send_bytes(peer, flood->data, flood->len);
  g_assert_true(peer_wait_close(peer));
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_assert_cmpuint(counts.calls, <, 3000);
  site_free(site);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  curl_global_init(CURL_GLOBAL_DEFAULT);
#define TEST(name) g_test_add_func("/http/h2/" #name, name)
  TEST(requests_are_answered);
  TEST(bad_requests_are_refused);
  TEST(bodies_go_both_ways);
  TEST(a_broken_off_answer_is_seen_as_such);
  TEST(an_early_answer_stops_the_sender);
  TEST(many_calls_share_a_connection);
  TEST(a_paused_upload_stops_the_sender_and_nobody_else);
  TEST(a_peer_may_leave_in_the_middle);
  TEST(a_stalled_body_gets_408);
  TEST(rubbish_ends_the_connection);
  TEST(a_flood_of_resets_ends_the_connection);
  return g_test_run();
}
