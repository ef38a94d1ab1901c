// SPDX-License-Identifier: Apache-2.0
/* The receivers of bench-http: N WebSockets that each get every message.
 *
 *   http-receive CA URL N MESSAGES     prints "ready" when all are open, then for each message how many
 * microseconds after its time the last receiver had it, then ends. */
#include "http/http.h"
#include <stdio.h>
#include <stdlib.h>

static guint wanted, open_sockets, seen, messages;
static gint64 sent_us;

static void opened(HttpSocket *socket, void *arg)
{
  if (++open_sockets == wanted) {
    puts("ready");
    fflush(stdout);
  }
}

/* Messages come 50 ms apart: all have one before the next is sent, or the time shows it. */
static void message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  if (seen % wanted == 0)
    sent_us = g_ascii_strtoll(bytes, NULL, 10);
  if (++seen % wanted == 0) {
    printf("%" G_GINT64_FORMAT "\n", g_get_monotonic_time() - sent_us);
    fflush(stdout);
  }
  if (seen == wanted * messages)
    exit(0);
}

static void closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  fprintf(stderr, "http-receive: closed: %d %s\n", code, reason);
  exit(1);
}

int main(int argc, char **argv)
{
  static const HttpSocketEvents events = {.opened = opened, .message = message, .closed = closed};
  if (argc != 5)
    return 2;
  wanted = (guint)atoi(argv[3]);
  messages = (guint)atoi(argv[4]);
  HttpIo *io = http_io_new(ws_clock_system(), NULL);
  const HttpClientConfig config = {
      .url = argv[2], .tls = {.ca_file = argv[1]}, .connect_timeout_ms = 30 * 1000};
  for (guint i = 0; i < wanted; i++)
    http_socket_unref(http_socket_connect(io, &config, NULL, &events, NULL));
  g_usleep(120 * G_USEC_PER_SEC);
  return 1;
}
