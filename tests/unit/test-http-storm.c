// SPDX-License-Identifier: Apache-2.0
/* Mutated requests of all kinds, cut at random places, by peers that leave as they like: the server must
 * live, and answer the next one.
 *
 * The seed is printed first; --seed=... runs the same storm again. */
#include "http-site.h"
#include <string.h>

#define UPGRADE                                                                                              \
  "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "  \
  "13\r\n"                                                                                                   \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define HELLO   "\x82\x87\x04\x06/hello\x01\x01x" /* :method GET, :scheme https, :path, :authority x */
#define UPLOAD  "\x83\x87\x04\x07/upload\x01\x01x"

typedef struct {
  const char *bytes;
  gsize n;
} Seed;
#define SEED(text)                                                                                           \
  {                                                                                                          \
    text, sizeof text - 1                                                                                    \
  }

static const Seed h1_seeds[] = {
    SEED("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
    SEED("POST /echo?a=b%20c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /later "
         "HTTP/1.1\r\nHost: x\r\n\r\n"),
    SEED("POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET "
         "/pour?n=300000 HTTP/1.1\r\n"
         "Host: x\r\n\r\n"),
    SEED("PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\nExpect: 100-continue\r\n\r\nabc"),
    SEED("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"),
    SEED("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabcdefghi"),
    SEED("GET /cut HTTP/1.1\r\nHost: x\r\n\r\nGET /big?n=200000 HTTP/1.0\r\n\r\n"),
    SEED("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /forget HTTP/1.1\r\nHost: x\r\n\r\n"),
    SEED(UPGRADE
         "\x81\x82\1\1\1\1hi\x89\x80\1\1\1\1\x01\x81\1\1\1\1a\x80\x81\1\1\1\1b\x88\x82\0\0\0\0\x03\xe8"),
    SEED(UPGRADE "\x81\x85\0\0\0\0close\x81\x85\0\0\0\0pause\x82\xfe\x01\x00\0\0\0\0"),
};

static const Seed h2_seeds[] = {
    SEED(PREFACE "\0\0\x0d\1\5\0\0\0\1" HELLO "\0\0\x0d\1\5\0\0\0\3" HELLO),
    SEED(PREFACE "\0\0\x0e\1\4\0\0\0\1" UPLOAD "\0\0\5\0\0\0\0\0\1hello\0\0\0\0\1\0\0\0\1"),
    SEED(PREFACE "\0\0\x0e\1\4\0\0\0\1" UPLOAD "\0\0\5\0\0\0\0\0\1hello\0\0\4\3\0\0\0\0\1\0\0\0\x08"),
    SEED(PREFACE "\0\0\x0e\1\4\0\0\0\1" UPLOAD
                 "\0\0\4\x8\0\0\0\0\1\x7f\xff\xff\xff\0\0\x8\6\0\0\0\0\0pingpong"),
    SEED(PREFACE "\0\0\5\1\0\0\0\0\1\x82\x87\x04\x06/"
                 "\0\0\x8\x9\4\0\0\0\1hello\x01\x01x\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0"),
};

static void mutate(GByteArray *bytes)
{
  for (int left = g_test_rand_int_range(0, 4); left > 0 && bytes->len > 1; left--) {
    guint at = (guint)g_test_rand_int_range(0, (gint32)bytes->len), n = (guint)g_test_rand_int_range(1, 20);
    guint from = (guint)g_test_rand_int_range(0, (gint32)bytes->len);
    switch (g_test_rand_int_range(0, 4)) {
    case 0:
      bytes->data[at] = (guint8)g_test_rand_int();
      break;
    case 1:
      g_byte_array_remove_range(bytes, at, MIN(n, bytes->len - at));
      break;
    case 2: { /* a part of it once more, at the end */
      g_autofree guint8 *part = g_memdup2(bytes->data + from, MIN(n, bytes->len - from));
      g_byte_array_append(bytes, part, MIN(n, bytes->len - from));
      break;
    }
    default:
      g_byte_array_set_size(bytes, at + 1);
    }
  }
}

static void send_in_pieces(Peer *peer, const GByteArray *bytes)
{
  for (guint at = 0; at < bytes->len;) {
    guint n =
        g_test_rand_bit() ? bytes->len - at : (guint)g_test_rand_int_range(1, (gint32)(bytes->len - at) + 1);
    peer_send_bytes(peer, bytes->data + at, n);
    at += n;
  }
}

static void one_peer(Site *site)
{
  bool is_h2 = g_test_rand_int_range(0, 3) == 0;
  g_autoptr(Peer) peer = peer_new(site, is_h2 ? PEER_H2 : g_test_rand_bit() ? PEER_PLAIN : PEER_SMALL_BUFFER);
  for (int left = g_test_rand_int_range(1, 3); left > 0; left--) {
    guint i = (guint)g_test_rand_int_range(0, is_h2 ? G_N_ELEMENTS(h2_seeds) : G_N_ELEMENTS(h1_seeds));
    const Seed *seed = is_h2 ? &h2_seeds[i] : &h1_seeds[i];
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_append(bytes, (const guint8 *)seed->bytes, (guint)seed->n);
    mutate(bytes);
    send_in_pieces(peer, bytes);
  }
  if (g_test_rand_bit())
    g_usleep((gulong)g_test_rand_int_range(0, 3000));
  switch (g_test_rand_int_range(0, 3)) {
  case 0:
    peer_vanish(peer);
    break;
  case 1:
    SSL_shutdown(peer->ssl);
    break;
  default:
    break; /* closes without a word */
  }
}

static void hurry(HttpServerConfig *config)
{
  config->header_timeout_s = config->body_timeout_s = config->idle_timeout_s = 1;
}

static void the_server_lives_through_a_storm(void)
{
  Site *site = site_new(hurry);
  gint64 until = g_get_monotonic_time() + (g_test_slow() ? 60 : 3) * G_USEC_PER_SEC;
  while (g_get_monotonic_time() < until)
    one_peer(site);
  g_autoptr(Peer) peer = peer_new(site, PEER_PLAIN);
  g_autoptr(Answer) answer = peer_ask(peer, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 200);
  HttpServerCounts counts;
  http_server_counts(site->server, &counts);
  g_test_message("%u connections open, %" G_GUINT64_FORMAT " seen, %" G_GUINT64_FORMAT
                 " calls, %" G_GUINT64_FORMAT " refused",
                 counts.connections, counts.accepted, counts.calls, counts.refused);
  g_assert_cmpuint(counts.accepted, >, 20);
  site_free(site);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/http/storm/the_server_lives_through_a_storm", the_server_lives_through_a_storm);
  return g_test_run();
}
