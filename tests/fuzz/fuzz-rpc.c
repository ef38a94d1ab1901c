// SPDX-License-Identifier: Apache-2.0
/* Any bytes from a peer: each line of the input is a message, after a proper hello unless the first byte is '-'. A line "+" lets ten
 * seconds pass. Nothing may break, whatever the link sends must be a message that it would itself take, and what is begun must end. */
#include "base/log.h"
#include "model/model.h"
#include "rpc/message.h"
#include "rpc/rpc.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static gint64 now_us;

static gint64 read_clock(WsClock *clock)
{
  return now_us;
}

static void move_clock(WsClock *clock, gint64 until_us)
{
  now_us = until_us == G_MAXINT64 ? now_us + G_USEC_PER_SEC : until_us;
}

static bool take_sent(void *carrier, GBytes *bytes)
{
  g_auto(RpcMessage) message = {0};
  g_autoptr(GError) error = NULL;
  gsize n;
  const char *text = g_bytes_get_data(bytes, &n);

  g_assert_true(rpc_message_parse(&message, text, n, &error));
  return true;
}

static void take_close(void *carrier, const char *reason)
{
}

static const RpcCarrier carrier = {take_sent, take_close};
static const RpcEvents events = {0};

static bool serve(RpcCall *call, const void *params, void **result, GError **error)
{
  const WsRpcLinkProgress *p = params;

  if (p->done % 3 == 0)
    ws_co_sleep(G_USEC_PER_SEC);
  rpc_call_progress(call, p->done, p->total, "bytes");
  if (p->done % 5 == 0)
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (result)
    *result = ws_rpc_link_progress_copy(p);
  return true;
}

static const RpcMethod request = {"a.b", &ws_type_rpc_link_progress, &ws_type_rpc_link_progress, 0, false};
static const RpcMethod note = {"a.n", &ws_type_rpc_link_progress, NULL, 0, true};
static const RpcMethod asked = {"a.c", NULL, &ws_type_rpc_link_progress, 5000, false};
static const RpcService services[] = {{&request, serve}, {&note, serve}};

static void ask(void *link)
{
  void *result = NULL;

  rpc_call(link, &asked, NULL, &result, NULL, NULL, NULL, NULL);
  ws_rpc_link_progress_free(result);
}

static void nothing(void *arg)
{
}

static void run_for(WsLoop *loop, gint64 us)
{
  gint64 end_us = now_us + us;

  ws_loop_after(loop, us, nothing, NULL);
  while (now_us < end_us || ws_loop_next_us(loop) <= now_us)
    ws_loop_step(loop, -1);
}

static void play(WsLoop *loop, RpcLink *link, const char *at, size_t n)
{
  while (n > 0) {
    const char *newline = memchr(at, '\n', n);
    size_t line = newline ? (size_t)(newline - at) : n;
    g_autofree char *exact = g_memdup2(at, line ? line : 1);

    if (line == 1 && *exact == '+')
      run_for(loop, 10 * G_USEC_PER_SEC);
    else
      rpc_link_received(link, exact, line);
    run_for(loop, 1000);
    at += MIN(line + 1, n);
    n -= MIN(line + 1, n);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  static const char hello[] = "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":"
                              "{\"protocol_min\":1,\"protocol_max\":1,\"program\":\"fuzz\"}}";
  WsClock clock = {.wall_us = read_clock, .monotonic_us = read_clock, .wait = move_clock};
  WsLoop *loop = ws_loop_new(&clock);
  RpcLink *link = rpc_link_new(loop, services, G_N_ELEMENTS(services), &events, NULL);

  ws_log_init("fuzz", WS_LOG_ERROR, NULL);
  rpc_link_opened(link, &carrier, NULL);
  if (n == 0 || data[0] != '-') {
    rpc_link_received(link, hello, strlen(hello));
    ws_co_start(loop, ask, link);
    ws_co_start(loop, ask, link);
  }
  play(loop, link, (const char *)data, n);
  rpc_link_lost(link, "end of input");
  run_for(loop, G_TIME_SPAN_HOUR);
  rpc_link_unref(link);
  ws_loop_free(loop);
  return 0;
}
