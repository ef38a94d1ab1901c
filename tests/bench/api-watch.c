// SPDX-License-Identifier: Apache-2.0
/* Watchers of bench-api: N WebSockets that watch all hosts of a manager, and one client that changes a host.
 *
 *   api-watch CA PORT WATCHERS CHANGES FIRST     changes host-FIRST and the 99 after it
 *
 * The token comes from BENCH_TOKEN. Prints "ready" when all watch, waits for a line, then PATCHes one host after another, each when all
 * watchers have heard of the last, and prints JSON: from the sending of a PATCH to the first watcher, to the last one, and to the
 * PATCH's own answer, in ms; and this program's own processor time for one message. */
#include "http/http.h"
#include "kit-https.h"
#include <stdio.h>
#include <stdlib.h>

enum { CHANGES_MAX = 10000, PAUSE_US = 110000 };

static guint wanted, first_host;
static guint n_open, n_heard; /* I/O thread; n_heard of the change under way */
static double first_us, last_us;
static GMutex lock;
static GCond changed;
static bool is_ready, is_heard;

static void tell(bool *what)
{
  g_mutex_lock(&lock);
  *what = true;
  g_cond_signal(&changed);
  g_mutex_unlock(&lock);
}

static void wait_for(bool *what)
{
  g_mutex_lock(&lock);
  while (!*what)
    g_cond_wait(&changed, &lock);
  *what = false;
  g_mutex_unlock(&lock);
}

/* The first message of each says where it begins; each other one is a change. */
static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  if (n_open < wanted) {
    if (++n_open == wanted)
      tell(&is_ready);
    return;
  }
  if (n_heard++ == 0)
    first_us = kit_now_us();
  if (n_heard == wanted) {
    last_us = kit_now_us();
    n_heard = 0;
    tell(&is_heard);
  }
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  kit_fail("api-watch: closed: %d %s", code, reason);
}

static void open_watchers(HttpIo *io, const char *ca, const char *port)
{
  static const HttpSocketEvents events = {.message = on_message, .closed = on_closed};
  g_autofree char *bearer = g_strconcat("Bearer ", g_getenv("BENCH_TOKEN"), NULL);
  g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%s/api/v1/watch?types=hosts", port);
  const HttpClientConfig config = {.url = url,
                                   .tls = {.ca_file = ca},
                                   .headers = (const char *const[]){"authorization", bearer, NULL},
                                   .connect_timeout_ms = 60 * 1000};
  for (guint i = 0; i < wanted; i++)
    http_socket_unref(http_socket_connect(io, &config, NULL, &events, NULL));
  wait_for(&is_ready);
}

static double first_ms[CHANGES_MAX], last_ms[CHANGES_MAX], answer_ms[CHANGES_MAX], spread_ms[CHANGES_MAX];

static void change_one(Https *https, guint i)
{
  char path[64], body[64];
  g_snprintf(path, sizeof path, "/api/v1/hosts/host-%u", first_host + i % 100);
  g_snprintf(body, sizeof body, "{\"description\":\"row %u of %d\"}", i, (int)getpid());
  double began = kit_now_us();
  https_send(https, "PATCH", path, body);
  if (https_receive(https, NULL) != 200)
    kit_fail("api-watch: the PATCH was refused");
  answer_ms[i] = (kit_now_us() - began) / 1000;
  wait_for(&is_heard);
  first_ms[i] = (first_us - began) / 1000;
  last_ms[i] = (last_us - began) / 1000;
  spread_ms[i] = (last_us - first_us) / 1000;
}

static void report_one(const char *name, double *values, guint n)
{
  double p50 = kit_percentile(values, n, 0.5), p99 = kit_percentile(values, n, 0.99);
  printf("\"%s_p50_ms\":%.2f,\"%s_p99_ms\":%.2f,", name, p50, name, p99);
}

int main(int argc, char **argv)
{
  char line[16];
  if (argc != 6 || !g_getenv("BENCH_TOKEN"))
    return 2;
  wanted = (guint)strtoul(argv[3], NULL, 10);
  first_host = (guint)strtoul(argv[5], NULL, 10);
  guint n = MIN((guint)strtoul(argv[4], NULL, 10), CHANGES_MAX);
  open_watchers(http_io_new(ws_clock_system(), NULL), argv[1], argv[2]);
  Https *https = https_open(argv[1], (guint16)strtoul(argv[2], NULL, 10), g_getenv("BENCH_TOKEN"));
  puts("ready");
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin))
    return 1;
  double cpu = kit_process_cpu_us();
  for (guint i = 0; i < n; i++) {
    change_one(https, i);
    g_usleep(PAUSE_US); /* people do not change things without a pause; buffers of the last one are gone */
  }
  cpu = (kit_process_cpu_us() - cpu) / n / wanted;
  printf("{");
  report_one("first", first_ms, n);
  report_one("last", last_ms, n);
  report_one("spread", spread_ms, n);
  report_one("answer", answer_ms, n);
  printf("\"client_cpu_us\":%.2f}\n", cpu);
  return 0;
}
