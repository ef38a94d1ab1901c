// SPDX-License-Identifier: Apache-2.0
/* Writers of bench-api: each sends PATCHes that change the description of one host after another, the next when the last is answered.
 *
 *   api-write CA PORT WRITERS SECONDS FIRST HOSTS [SYNC-FILE]     hosts host-FIRST and on
 *
 * The token comes from BENCH_TOKEN. With SYNC-FILE (one writer) each PATCH follows an append of 4 KiB to that file and an fdatasync, so
 * that whatever else the disk does hits both alike. With BENCH_RATE all writers together send so many a second. Prints JSON: how many, per
 * second, percentiles. */
#include "kit-https.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WRITERS_MAX = 256 };

static struct {
  guint n_writers, first_host, n_hosts, n_sent, n_done;
  double until_us, pause_us; /* pause_us: between two PATCHes of all */
  double next_us;
  int epoll_fd, sync_fd;
  GArray *took_us, *sync_us; /* double */
} load;

typedef struct {
  Https *https;
  double sent_us;
  bool idle;
} Writer;

static Writer writers[WRITERS_MAX];

static void append_and_sync(void)
{
  static const char block[4096];
  double began = kit_now_us(), took;
  if (write(load.sync_fd, block, sizeof block) != sizeof block || fdatasync(load.sync_fd) != 0)
    kit_fail("fdatasync: %m");
  took = kit_now_us() - began;
  g_array_append_val(load.sync_us, took);
}

static void send_next(Writer *writer)
{
  char path[64], body[64];
  if (load.sync_fd >= 0)
    append_and_sync();
  g_snprintf(path, sizeof path, "/api/v1/hosts/host-%u", load.first_host + load.n_sent % load.n_hosts);
  g_snprintf(body, sizeof body, "{\"description\":\"rack %u\"}", load.n_sent++);
  writer->sent_us = kit_now_us();
  https_send(writer->https, "PATCH", path, body);
}

static void take_answer(Writer *writer)
{
  int status = https_receive(writer->https, NULL);
  double now = kit_now_us(), took = now - writer->sent_us;
  if (status != 200)
    kit_fail("a PATCH was answered with %d", status);
  g_array_append_val(load.took_us, took);
  load.n_done++;
  writer->idle = load.pause_us > 0 || now >= load.until_us;
  if (!writer->idle)
    send_next(writer);
}

/* At a rate: whoever is idle sends what is due. */
static void send_due(void)
{
  for (guint i = 0; i < load.n_writers && kit_now_us() >= load.next_us && load.next_us < load.until_us; i++) {
    if (!writers[i].idle)
      continue;
    writers[i].idle = false;
    load.next_us += load.pause_us;
    send_next(&writers[i]);
  }
}

static bool is_over(void)
{
  return load.n_done == load.n_sent && (load.pause_us == 0 || kit_now_us() >= load.until_us);
}

static void open_writer(Writer *writer, const char *ca, guint16 port)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = writer};
  writer->https = https_open(ca, port, g_getenv("BENCH_TOKEN"));
  https_send(writer->https, "GET", "/api/v1/health", NULL); /* what TLS says after the handshake comes with this */
  https_receive(writer->https, NULL);
  epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, https_fd(writer->https), &event);
}

static void run(void)
{
  struct epoll_event events[64];
  for (guint i = 0; i < load.n_writers; i++)
    if (load.pause_us > 0)
      writers[i].idle = true;
    else
      send_next(&writers[i]);
  while (!is_over()) {
    int n = epoll_wait(load.epoll_fd, events, G_N_ELEMENTS(events), load.pause_us > 0 ? 1 : -1);
    for (int i = 0; i < n; i++)
      take_answer(events[i].data.ptr);
    if (load.pause_us > 0)
      send_due();
  }
}

static double ms(GArray *values, double p)
{
  return kit_percentile((double *)(void *)values->data, values->len, p) / 1000;
}

static void report(double seconds)
{
  printf("{\"done\":%u,\"per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"client_cpu_us\":%.1f", load.n_done, load.n_done / seconds,
         ms(load.took_us, 0.5), ms(load.took_us, 0.99), kit_process_cpu_us() / load.n_done);
  if (load.sync_us->len)
    printf(",\"sync_p50_ms\":%.3f", ms(load.sync_us, 0.5));
  puts("}");
}

int main(int argc, char **argv)
{
  if (argc < 7 || argc > 8 || !g_getenv("BENCH_TOKEN"))
    return 2;
  guint16 port = (guint16)strtoul(argv[2], NULL, 10);
  load.n_writers = MIN((guint)strtoul(argv[3], NULL, 10), WRITERS_MAX);
  load.first_host = (guint)strtoul(argv[5], NULL, 10);
  load.n_hosts = (guint)strtoul(argv[6], NULL, 10);
  load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  load.sync_fd = argc == 8 ? open(argv[7], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  load.took_us = g_array_new(FALSE, FALSE, sizeof(double));
  load.sync_us = g_array_new(FALSE, FALSE, sizeof(double));
  for (guint i = 0; i < load.n_writers; i++)
    open_writer(&writers[i], argv[1], port);
  double began = kit_now_us();
  load.n_sent = (guint)(getpid() % 1000) * 1000; /* so that a second run does not say what the first one said */
  load.n_done = load.n_sent;
  load.until_us = began + strtod(argv[4], NULL) * 1e6;
  load.pause_us = g_getenv("BENCH_RATE") ? 1e6 / strtod(g_getenv("BENCH_RATE"), NULL) : 0;
  load.next_us = began;
  run();
  load.n_done = load.took_us->len;
  report((kit_now_us() - began) / 1e6);
  return 0;
}
