// SPDX-License-Identifier: Apache-2.0
/* Watchers of bench-scale: N WebSockets that watch all hosts of a manager while others change them, as the console does: compressed, and of
 * what changed the fields that did. BENCH_PLAIN: not compressed.
 *
 *   scale-watch CA PORT WATCHERS
 *
 * The token comes from BENCH_TOKEN. Prints "ready" when all watch. When its standard input ends it prints JSON: messages and changes that a
 * watcher has got, how many changes the one that got fewest has missed, and how many watchers got them out of order. */
#include "http/http.h"
#include "kit-https.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCHERS_MAX = 4000 };

typedef struct {
  guint64 revision, messages;
  bool disordered;
  GArray *changes; /* guint64: revisions of objects, as they came */
} Seen;

static Seen seen[WATCHERS_MAX];
static guint wanted;
static gint n_open; /* atomic */

/* The message's own revision comes first, then those of the objects in it. */
static void note(Seen *one, const char *bytes, gsize n)
{
  static const char word[] = "\"revision\":";
  const char *at = bytes, *end = bytes + n;
  for (guint i = 0; (at = memmem(at, (gsize)(end - at), word, sizeof word - 1)); i++) {
    guint64 revision = g_ascii_strtoull(at += sizeof word - 1, NULL, 10);
    if (i > 0) {
      g_array_append_val(one->changes, revision);
      continue;
    }
    one->disordered = one->disordered || revision < one->revision || (one->messages > 1 && revision == one->revision);
    one->revision = revision;
  }
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Seen *one = arg;
  note(one, bytes, n);
  if (one->messages++ == 0)
    g_atomic_int_inc(&n_open);
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  kit_fail("scale-watch: closed: %d %s", code, reason);
}

/* How many changes of that stretch, which all watchers have behind them, it got. */
static guint64 count_between(const Seen *one, guint64 from, guint64 until)
{
  guint64 count = 0;
  for (guint i = 0; i < one->changes->len; i++) {
    guint64 revision = g_array_index(one->changes, guint64, i);
    count += revision > from && revision <= until;
  }
  return count;
}

int main(int argc, char **argv)
{
  const HttpSocketEvents events = {.message = on_message, .closed = on_closed, .deflate = !g_getenv("BENCH_PLAIN")};
  guint64 most = 0, least = G_MAXUINT64, messages = 0, from = 0, newest = 0;
  guint disordered = 0;
  char line[16];
  if (argc != 4 || !g_getenv("BENCH_TOKEN"))
    return 2;
  wanted = MIN((guint)strtoul(argv[3], NULL, 10), WATCHERS_MAX);
  HttpIo *io = http_io_new(ws_clock_system(), NULL);
  g_autofree char *bearer = g_strconcat("Bearer ", g_getenv("BENCH_TOKEN"), NULL);
  g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%s/api/v1/watch?types=hosts&delta=true", argv[2]);
  const HttpClientConfig config = {.url = url,
                                   .tls = {.ca_file = argv[1]},
                                   .headers = (const char *const[]){"authorization", bearer, NULL},
                                   .connect_timeout_ms = 60 * 1000};
  for (guint i = 0; i < wanted; i++) {
    seen[i].changes = g_array_new(FALSE, FALSE, sizeof(guint64));
    http_socket_unref(http_socket_connect(io, &config, NULL, &events, &seen[i]));
  }
  while ((guint)g_atomic_int_get(&n_open) < wanted)
    g_usleep(10000);
  puts("ready");
  (void)fflush(stdout);
  g_usleep(G_USEC_PER_SEC / 2);
  for (guint i = 0; i < wanted; i++)
    from = MAX(from, seen[i].revision); /* all are beyond it when the changes begin */
  while (fgets(line, sizeof line, stdin))
    ;
  guint64 until = G_MAXUINT64;
  for (guint i = 0; i < wanted; i++) {
    until = MIN(until, seen[i].revision);
    messages = MAX(messages, seen[i].messages);
  }
  for (guint i = 0; i < wanted; i++) {
    guint64 count = count_between(&seen[i], from, until);
    most = MAX(most, count);
    least = MIN(least, count);
    disordered += seen[i].disordered;
    newest = MAX(newest, seen[i].revision);
  }
  printf("{\"watchers\":%u,\"changes\":%" G_GUINT64_FORMAT ",\"messages\":%" G_GUINT64_FORMAT
         ",\"missed\":%" G_GUINT64_FORMAT ",\"disordered\":%u,\"behind\":%" G_GUINT64_FORMAT ",\"client_cpu_s\":%.2f}\n",
         wanted, most, messages, most - least, disordered, newest - until, kit_process_cpu_us() / 1e6);
  (void)fflush(stdout);
  _exit(0);
}
