// SPDX-License-Identifier: Apache-2.0
/* Tunnels between two hosts: who is let in, what is carried, how it ends. */
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pki.h"
#include "http/tunnel.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TICKET "0123456789abcdef-ticket"

typedef struct {
  char *ca, *cert, *key, *serial;
} Identity;

static char *folder;
static Identity source, target, stranger, foreign;

static char *in_folder(const char *name)
{
  return g_build_filename(folder, name, NULL);
}

static Identity make_host(const char *site, const char *file, const char *cn)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *ca_name = g_strconcat(site, ".crt", NULL), *ca_key_name = g_strconcat(site, ".key", NULL);
  g_autofree char *cert_name = g_strconcat(file, ".crt", NULL), *key_name = g_strconcat(file, ".key", NULL);
  g_autofree char *ca_key = in_folder(ca_key_name), *csr = NULL, *pem = NULL;
  Identity id = {in_folder(ca_name), in_folder(cert_name), in_folder(key_name), NULL};
  WsCa ca = {id.ca, ca_key};
  if (!g_file_test(id.ca, G_FILE_TEST_EXISTS))
    ws_pki_create_ca(ws_clock_system(), &ca, site, &error);
  g_assert_no_error(error);
  ws_pki_make_request(id.key, "host", &csr, &error);
  g_assert_no_error(error);
  ws_pki_issue_client(ws_clock_system(), &ca, csr, cn, 3600, &pem, &id.serial, &error);
  g_assert_no_error(error);
  g_file_set_contents(id.cert, pem, -1, &error);
  g_assert_no_error(error);
  return id;
}

/* ---- programs at the ends ---- */

static void be_patient(int fd)
{
  struct timeval patience = {20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static int listen_at(const char *path)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  g_strlcpy(at.sun_path, path, sizeof at.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
  g_assert_cmpint(listen(fd, 4), ==, 0);
  be_patient(fd);
  return fd;
}

static int connect_at(const char *path)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  g_strlcpy(at.sun_path, path, sizeof at.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  g_assert_cmpint(connect(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
  be_patient(fd);
  return fd;
}

/* Everything up to the end of the stream, as a checksum; -1 as length when it broke off. */
typedef struct {
  int fd;
  gint64 bytes;
  GChecksum *sum;
} Sink;

static gpointer drink(gpointer arg)
{
  Sink *sink = arg;
  guchar buffer[65536];
  ssize_t n;
  while ((n = read(sink->fd, buffer, sizeof buffer)) > 0) {
    g_checksum_update(sink->sum, buffer, n);
    sink->bytes += n;
  }
  if (n < 0)
    sink->bytes = -1;
  return NULL;
}

static void pour(int fd, gsize bytes, guint32 seed, GChecksum *sum)
{
  g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
  guint32 buffer[16384];
  for (gsize at = 0; at < bytes;) {
    for (guint i = 0; i < G_N_ELEMENTS(buffer); i++)
      buffer[i] = g_rand_int(rand);
    gsize n = MIN(bytes - at, sizeof buffer);
    g_checksum_update(sum, (const guchar *)buffer, (gssize)n);
    for (gsize sent = 0; sent < n;) {
      ssize_t now = send(fd, (const char *)buffer + sent, n - sent, MSG_NOSIGNAL);
      g_assert_cmpint(now, >, 0);
      sent += (gsize)now;
    }
    at += n;
  }
}

/* ---- a pair of ends ---- */

typedef struct {
  Tunnel *receiver, *sender;
  char *near, *far;
  int listener; /* the far program */
  TunnelChannel channels[2];
  const char *payload_seen;
  gint refusals, ended; /* of far_reader; atomic */
} Pair;

static bool take_payload(GBytes *payload, void *arg, GError **error)
{
  Pair *pair = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(payload, &n);
  pair->payload_seen = g_strndup(bytes, n);
  return n < 100 || ws_fail(error, WS_ERROR_TOO_LARGE, "limit", "100 bytes", NULL);
}

typedef struct {
  const Identity *sender, *receiver;
  const char *expect_at_receiver, *expect_at_sender; /* CN */
  const char *serial_at_receiver, *serial_at_sender;
  const char *ticket;
} Terms;

static Terms good(void)
{
  return (Terms){&source, &target, "host-1", "host-2", source.serial, target.serial, TICKET};
}

static const TunnelReader *far_reader; /* of the next pair's channel of bytes */

static void open_pair(Pair *pair, Terms terms)
{
  g_autoptr(GError) error = NULL;
  static int number;
  g_autofree char *near = g_strdup_printf("near-%d", number), *far = g_strdup_printf("far-%d", number);
  guint16 port;
  number++;
  *pair = (Pair){.near = in_folder(near), .far = in_folder(far)};
  pair->listener = listen_at(pair->far);
  const char *from_source[] = {terms.serial_at_receiver, NULL}, *from_target[] = {terms.serial_at_sender, NULL};
  TunnelChannel far_channels[] = {
      {.name = "data", .path = pair->far, .arg = pair, .max = 3, .reader = far_reader},
      {.name = "tell", .call = take_payload, .arg = pair, .max = 10}};
  TunnelChannel near_channels[] = {{.name = "data", .path = pair->near, .max = 10}};
  TunnelConfig at_receiver = {{terms.receiver->cert, terms.receiver->key, terms.receiver->ca}, ws_clock_system(), TICKET,
                              terms.expect_at_receiver, from_source, far_channels, 2};
  TunnelConfig at_sender = {{terms.sender->cert, terms.sender->key, terms.sender->ca}, ws_clock_system(), terms.ticket,
                            terms.expect_at_sender, from_target, near_channels, 1};
  pair->receiver = tunnel_listen(&at_receiver, "127.0.0.1", 0, 0, &port, &error);
  g_assert_no_error(error);
  pair->sender = tunnel_dial(&at_sender, "127.0.0.1", port, &error);
  g_assert_no_error(error);
}

static void close_pair(Pair *pair)
{
  tunnel_close(pair->sender);
  tunnel_close(pair->receiver);
  g_assert_false(g_file_test(pair->near, G_FILE_TEST_EXISTS));
  close(pair->listener);
  g_free(pair->near);
  g_free(pair->far);
  g_free((char *)pair->payload_seen);
}

/* ---- tests ---- */

static void carries_both_ways_and_ends_each_alone(void)
{
  Pair pair;
  open_pair(&pair, good());
  int near = connect_at(pair.near), far = accept(pair.listener, NULL, NULL);
  g_autoptr(GChecksum) sent = g_checksum_new(G_CHECKSUM_SHA256), came = g_checksum_new(G_CHECKSUM_SHA256);
  Sink sink = {far, 0, came};
  GThread *thread = g_thread_new("sink", drink, &sink);
  pour(near, 48 << 20, 1, sent);
  shutdown(near, SHUT_WR);
  g_thread_join(thread);
  g_assert_cmpint(sink.bytes, ==, 48 << 20);
  g_assert_cmpstr(g_checksum_get_string(sent), ==, g_checksum_get_string(came));

  /* The end of one direction has been told; the other still carries. */
  g_autoptr(GChecksum) back = g_checksum_new(G_CHECKSUM_SHA256), got = g_checksum_new(G_CHECKSUM_SHA256);
  Sink other = {near, 0, got};
  thread = g_thread_new("sink", drink, &other);
  pour(far, 5000000, 2, back);
  close(far);
  g_thread_join(thread);
  g_assert_cmpint(other.bytes, ==, 5000000);
  g_assert_cmpstr(g_checksum_get_string(back), ==, g_checksum_get_string(got));
  close(near);
  TunnelStats stats = tunnel_stats(pair.receiver);
  g_assert_cmpint(stats.received_bytes, ==, 48 << 20);
  g_assert_cmpint(stats.sent_bytes, ==, 5000000);
  close_pair(&pair);
}

/* What the sender's program sees when its connection is not let in: its end. And for the reason meant. */
static void expect_refusal(Terms terms, const char *reason)
{
  g_autoptr(GError) error = NULL;
  Pair pair;
  char byte;
  open_pair(&pair, terms);
  g_assert_false(tunnel_request(pair.sender, "tell", NULL, 0, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
  if (!strstr(error->message, reason))
    g_error("refused with: %s", error->message);
  int near = connect_at(pair.near);
  ssize_t n = read(near, &byte, 1);
  g_assert_cmpint(n, <=, 0);
  close(near);
  TunnelStats stats = tunnel_stats(pair.receiver);
  g_assert_cmpuint(stats.total, ==, 0);
  struct timeval none = {0, 1};
  setsockopt(pair.listener, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  g_assert_cmpint(accept(pair.listener, NULL, NULL), ==, -1); /* the far program never heard of it */
  close_pair(&pair);
}

static void refuses_wrong_ticket(void)
{
  Terms terms = good();
  terms.ticket = "0123456789abcdef-ticker";
  expect_refusal(terms, "ticket");
  terms.ticket = "0123456789abcdef";
  expect_refusal(terms, "ticket");
}

static void refuses_another_host(void)
{
  Terms terms = good();
  terms.sender = &stranger;
  expect_refusal(terms, "revoked");
  terms.serial_at_receiver = stranger.serial; /* even if its serial were expected */
  expect_refusal(terms, "revoked");
}

static void refuses_replaced_certificate(void)
{
  Terms terms = good();
  terms.serial_at_receiver = target.serial;
  expect_refusal(terms, "revoked");
}

static void refuses_another_site(void)
{
  Terms terms = good();
  terms.sender = &foreign; /* says host-1, but its CA is another */
  terms.serial_at_receiver = foreign.serial;
  expect_refusal(terms, "self-signed");
}

static void sender_refuses_a_receiver_that_is_not_the_one_meant(void)
{
  Terms terms = good();
  terms.expect_at_sender = "host-3";
  expect_refusal(terms, "revoked");
  terms = good();
  terms.serial_at_sender = source.serial;
  expect_refusal(terms, "revoked");
  terms = good();
  terms.receiver = &foreign;
  expect_refusal(terms, "self-signed");
}

static void channel_has_so_many_connections_and_no_more(void)
{
  Pair pair;
  char byte;
  open_pair(&pair, good());
  int near[4], far[3];
  for (guint i = 0; i < 3; i++) {
    near[i] = connect_at(pair.near);
    far[i] = accept(pair.listener, NULL, NULL);
    g_assert_cmpint(write(far[i], &"abc"[i], 1), ==, 1);
    g_assert_cmpint(read(near[i], &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, 'a' + (int)i);
    close(near[i]);
    close(far[i]);
  }
  near[3] = connect_at(pair.near);
  g_assert_cmpint(read(near[3], &byte, 1), <=, 0);
  close(near[3]);
  close_pair(&pair);
}

static void request_reaches_the_call_and_its_refusal_comes_back(void)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *long_text = g_strnfill(500, 'x');
  Pair pair;
  open_pair(&pair, good());
  g_assert_true(tunnel_request(pair.sender, "tell", "resume", 6, &error));
  g_assert_no_error(error);
  g_assert_cmpstr(pair.payload_seen, ==, "resume");
  g_clear_pointer((char **)&pair.payload_seen, g_free);
  g_assert_false(tunnel_request(pair.sender, "tell", long_text, 500, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
  g_assert_nonnull(strstr(error->message, "100 bytes"));
  g_clear_error(&error);
  g_assert_false(tunnel_request(pair.sender, "data", "x", 1, &error)); /* a channel of bytes takes no payload */
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
  g_clear_error(&error);
  g_assert_false(tunnel_request(pair.sender, "nothing", NULL, 0, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
  close_pair(&pair);
}

static void caller_makes_many_calls_over_one_connection(void)
{
  Pair pair;
  open_pair(&pair, good());
  g_autofree char *long_text = g_strnfill(500, 'x');
  TunnelCaller *caller = tunnel_caller_new(pair.sender, "tell");
  for (guint i = 0; i < 20; i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf("piece %u", i);
    g_clear_pointer((char **)&pair.payload_seen, g_free);
    g_assert_true(tunnel_caller_call(caller, text, strlen(text), &error));
    g_assert_cmpstr(pair.payload_seen, ==, text);
  }
  g_assert_cmpuint(tunnel_stats(pair.receiver).total, ==, 1);
  g_autoptr(GError) refused = NULL;
  g_clear_pointer((char **)&pair.payload_seen, g_free);
  g_assert_false(tunnel_caller_call(caller, long_text, 500, &refused));
  g_assert_nonnull(strstr(refused->message, "100 bytes"));
  g_clear_pointer((char **)&pair.payload_seen, g_free);
  g_assert_true(tunnel_caller_call(caller, "again", 5, NULL)); /* over a new one */
  g_assert_cmpuint(tunnel_stats(pair.receiver).total, ==, 2);
  tunnel_break(pair.sender);
  g_assert_false(tunnel_caller_call(caller, "late", 4, NULL));
  tunnel_caller_free(caller);
  close_pair(&pair);
}

static void slow_reader_holds_the_writer_back(void)
{
  Pair pair;
  char buffer[65536] = {0};
  open_pair(&pair, good());
  int near = connect_at(pair.near), far = accept(pair.listener, NULL, NULL);
  struct timeval patience = {1, 0};
  setsockopt(near, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  gint64 taken = 0;
  ssize_t n;
  while ((n = send(near, buffer, sizeof buffer, MSG_NOSIGNAL)) > 0 && taken < 256 << 20)
    taken += n;
  g_assert_cmpint(taken, <, 64 << 20); /* buffers of ours, of TLS, and the kernel's for three sockets */
  close(far);
  close(near);
  close_pair(&pair);
}

static void breaks_off_at_both_ends(void)
{
  Pair pair;
  open_pair(&pair, good());
  int near = connect_at(pair.near), far = accept(pair.listener, NULL, NULL);
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  Sink sink = {near, 0, sum};
  GThread *thread = g_thread_new("sink", drink, &sink);
  tunnel_close(g_steal_pointer(&pair.receiver));
  g_thread_join(thread); /* it came to its end */
  char byte;
  g_assert_cmpint(read(far, &byte, 1), <=, 0);
  close(near);
  close(far);
  g_autoptr(GError) error = NULL;
  g_assert_false(tunnel_request(pair.sender, "tell", NULL, 0, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED); /* nobody listens any more */
  close_pair(&pair);
}

/* Lets whole lines pass, but none that begins with '!'. */
typedef struct {
  GString *held;
  Pair *pair;
} Lines;

static void *lines_begin(void *pair)
{
  Lines *lines = g_new(Lines, 1);
  *lines = (Lines){g_string_new(NULL), pair};
  return lines;
}

static bool lines_take(void *state, const void *bytes, gsize n, GByteArray *pass, GError **error)
{
  GString *held = ((Lines *)state)->held;
  g_string_append_len(held, bytes, (gssize)n);
  for (char *end; (end = memchr(held->str, '\n', held->len));) {
    gsize length = (gsize)(end - held->str) + 1;
    if (*held->str == '!')
      return ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", "a shout", NULL);
    g_byte_array_append(pass, (const guint8 *)held->str, (guint)length);
    g_string_erase(held, 0, (gssize)length);
  }
  return true;
}

static void lines_refused(const GError *error, void *pair)
{
  g_assert_error(error, WS_ERROR, WS_ERROR_PEER_REFUSED);
  g_atomic_int_inc(&((Pair *)pair)->refusals);
}

static void lines_end(void *state)
{
  Lines *lines = state;
  g_atomic_int_inc(&lines->pair->ended);
  g_string_free(lines->held, TRUE);
  g_free(lines);
}

static const TunnelReader lines_reader = {lines_begin, lines_take, lines_refused, lines_end};

static void expect_line(int fd, const char *text)
{
  for (; *text; text++) {
    char byte;
    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    g_assert_cmpint(byte, ==, *text);
  }
}

static void reader_hears_first_and_what_it_refuses_ends_everything(void)
{
  Pair pair;
  char byte;
  far_reader = &lines_reader;
  open_pair(&pair, good());
  far_reader = NULL;
  int near[2], far[2];
  for (guint i = 0; i < 2; i++) {
    near[i] = connect_at(pair.near);
    far[i] = accept(pair.listener, NULL, NULL);
    be_patient(far[i]);
  }
  g_assert_cmpint(write(near[0], "one\ntw", 6), ==, 6);
  expect_line(far[0], "one\n");
  g_assert_cmpint(write(near[0], "o\nthr", 5), ==, 5);
  expect_line(far[0], "two\n");
  g_assert_cmpint(write(far[0], "!answers are not read\n", 22), ==, 22);
  expect_line(near[0], "!answers are not read\n");
  g_assert_cmpint(write(near[0], "ee\n!out\nfour\n", 14), ==, 14);
  /* Of the bytes that came with what is refused nothing goes on; the other connection of the job ends with
   * it. */
  g_assert_cmpint(read(far[0], &byte, 1), <=, 0);
  g_assert_cmpint(read(far[1], &byte, 1), <=, 0);
  g_assert_cmpint(read(near[0], &byte, 1), <=, 0);
  g_assert_cmpint(read(near[1], &byte, 1), <=, 0);
  for (guint i = 0; i < 2; i++) {
    close(near[i]);
    close(far[i]);
  }
  tunnel_close(g_steal_pointer(&pair.receiver));
  g_assert_cmpint(g_atomic_int_get(&pair.refusals), ==, 1);
  g_assert_cmpint(g_atomic_int_get(&pair.ended), ==, 2);
  close_pair(&pair);
}

/* Through a reader everything comes as it was sent, whatever its size. */
static void reader_holds_what_is_larger_than_a_buffer(void)
{
  Pair pair;
  far_reader = &lines_reader;
  open_pair(&pair, good());
  far_reader = NULL;
  int near = connect_at(pair.near), far = accept(pair.listener, NULL, NULL);
  g_autoptr(GChecksum) sent = g_checksum_new(G_CHECKSUM_SHA256), came = g_checksum_new(G_CHECKSUM_SHA256);
  Sink sink = {far, 0, came};
  GThread *thread = g_thread_new("sink", drink, &sink);
  gsize n = 3 * TUNNEL_BUFFER_BYTES;
  g_autofree char *line = g_strnfill(n, 'x');
  line[n - 1] = '\n';
  for (guint i = 0; i < 4; i++) {
    g_checksum_update(sent, (const guchar *)line, (gssize)n);
    for (gsize at = 0; at < n;) {
      ssize_t now = send(near, line + at, n - at, MSG_NOSIGNAL);
      g_assert_cmpint(now, >, 0);
      at += (gsize)now;
    }
  }
  shutdown(near, SHUT_WR);
  g_thread_join(thread);
  g_assert_cmpint(sink.bytes, ==, (gint64)(4 * n));
  g_assert_cmpstr(g_checksum_get_string(sent), ==, g_checksum_get_string(came));
  close(near);
  close(far);
  close_pair(&pair);
}

/* The second connection must not overtake the first, whose far end is slow to take it. */
static void connections_keep_their_order(void)
{
  Pair pair;
  open_pair(&pair, good());
  for (guint round = 0; round < 1; round++) {
    int near[3], far[3];
    for (int i = 0; i < 3; i++) {
      near[i] = connect_at(pair.near);
      g_assert_cmpint(write(near[i], &"012"[i], 1), ==, 1);
    }
    for (int i = 0; i < 3; i++) {
      char byte;
      far[i] = accept(pair.listener, NULL, NULL);
      g_assert_cmpint(read(far[i], &byte, 1), ==, 1);
      g_assert_cmpint(byte, ==, '0' + i);
    }
    for (int i = 0; i < 3; i++) {
      close(near[i]);
      close(far[i]);
    }
  }
  close_pair(&pair);
}

static void takes_a_port_of_the_range_and_says_when_there_is_none(void)
{
  g_autoptr(GError) error = NULL;
  const char *serials[] = {source.serial, NULL};
  TunnelConfig config = {{target.cert, target.key, target.ca}, ws_clock_system(), TICKET, "host-1", serials, NULL, 0};
  guint16 port, second;
  g_autoptr(Tunnel) first = tunnel_listen(&config, "127.0.0.1", 0, 0, &port, &error);
  g_assert_no_error(error);
  g_assert_null(tunnel_listen(&config, "127.0.0.1", port, port, &second, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
  g_clear_error(&error);
  g_assert_null(tunnel_listen(&config, "192.0.2.1", 0, 0, &second, &error)); /* no address of this machine */
  g_assert_error(error, WS_ERROR, WS_ERROR_TUNNEL_REFUSED);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_log_init("test", WS_LOG_ERROR, NULL);
  folder = g_dir_make_tmp("tunnel-XXXXXX", NULL);
  source = make_host("site", "source", "host-1");
  target = make_host("site", "target", "host-2");
  stranger = make_host("site", "stranger", "host-3");
  foreign = make_host("other", "foreign", "host-1");
#define TEST(name) g_test_add_func("/http/tunnel/" #name, name)
  TEST(carries_both_ways_and_ends_each_alone);
  TEST(refuses_wrong_ticket);
  TEST(refuses_another_host);
  TEST(refuses_replaced_certificate);
  TEST(refuses_another_site);
  TEST(sender_refuses_a_receiver_that_is_not_the_one_meant);
  TEST(channel_has_so_many_connections_and_no_more);
  TEST(request_reaches_the_call_and_its_refusal_comes_back);
  TEST(caller_makes_many_calls_over_one_connection);
  TEST(slow_reader_holds_the_writer_back);
  TEST(breaks_off_at_both_ends);
  TEST(reader_hears_first_and_what_it_refuses_ends_everything);
  TEST(reader_holds_what_is_larger_than_a_buffer);
  TEST(connections_keep_their_order);
  TEST(takes_a_port_of_the_range_and_says_when_there_is_none);
  int status = g_test_run();
  GDir *dir = g_dir_open(folder, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = in_folder(name);
    g_unlink(path);
  }
  g_dir_close(dir);
  g_rmdir(folder);
  return status;
}
