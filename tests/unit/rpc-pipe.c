// SPDX-License-Identifier: Apache-2.0
/* See rpc-pipe.h. */
#include "rpc-pipe.h"
#include <string.h>

/* ---- virtual time ---- */

static gint64 read_clock(WsClock *clock)
{
  return ((PipeClock *)clock)->now_us;
}

static void move_clock(WsClock *clock, gint64 until_us)
{
  g_assert_cmpint(until_us, <, G_MAXINT64); /* nothing would ever happen again */
  ((PipeClock *)clock)->now_us = MAX(((PipeClock *)clock)->now_us, until_us);
}

void pipe_clock_init(PipeClock *clock)
{
  *clock = (PipeClock){.clock = {.wall_us = read_clock, .monotonic_us = read_clock, .wait = move_clock},
                       .now_us = G_TIME_SPAN_DAY};
}

void pipe_settle(WsLoop *loop)
{
  while (ws_loop_next_us(loop) <= ws_clock_monotonic_us(ws_loop_clock(loop)))
    ws_loop_step(loop, 0);
}

static void nothing(void *arg)
{
}

void pipe_run_for(WsLoop *loop, gint64 us)
{
  gint64 end_us = ws_clock_monotonic_us(ws_loop_clock(loop)) + us;

  ws_loop_after(loop, us, nothing, NULL);
  while (ws_clock_monotonic_us(ws_loop_clock(loop)) < end_us)
    ws_loop_step(loop, -1);
  pipe_settle(loop);
}

/* ---- two links ---- */

typedef struct {
  Pipe *pipe;
  guint to;
  guint64 generation;
  GBytes *message; /* NULL: closed */
  char *reason;
} Packet;

static void packet_free(Packet *packet)
{
  g_clear_pointer(&packet->message, g_bytes_unref);
  g_free(packet->reason);
  g_free(packet);
}

static void deliver(void *arg)
{
  Packet *packet = arg;
  gsize n;

  if (packet->generation == packet->pipe->generation) {
    RpcLink *link = packet->pipe->end[packet->to].link;
    if (packet->message) {
      const char *bytes = g_bytes_get_data(packet->message, &n);
      rpc_link_received(link, bytes, n);
    } else {
      rpc_link_lost(link, packet->reason);
    }
  }
  packet_free(packet);
}

static void send_packet(PipeEnd *end, GBytes *message, const char *reason)
{
  Packet *packet = g_new0(Packet, 1);

  *packet = (Packet){end->pipe, 1 - end->side, end->pipe->generation, message ? g_bytes_ref(message) : NULL, g_strdup(reason)};
  ws_loop_after(end->pipe->loop, end->pipe->delay_us, deliver, packet);
}

static bool end_send(void *carrier, GBytes *message)
{
  PipeEnd *end = carrier;

  end->n_sent++;
  if (!end->pipe->stopped[end->side])
    send_packet(end, message, NULL);
  return true;
}

static void end_close(void *carrier, const char *reason)
{
  if (reason)
    send_packet(carrier, NULL, reason);
}

static const RpcCarrier pipe_carrier = {end_send, end_close};

static void on_up(RpcLink *link, void *arg)
{
  ((PipeEnd *)arg)->n_up++;
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  PipeEnd *end = arg;

  end->n_down++;
  g_free(end->down_reason);
  end->down_reason = g_strdup(reason);
}

static const RpcEvents pipe_events = {on_up, on_down};

Pipe *pipe_new(WsLoop *loop, const RpcService *services0, guint n0, const RpcService *services1, guint n1)
{
  Pipe *pipe = g_new0(Pipe, 1);

  pipe->loop = loop;
  for (guint i = 0; i < 2; i++) {
    pipe->end[i].pipe = pipe;
    pipe->end[i].side = i;
    pipe->end[i].link = rpc_link_new(loop, i ? services1 : services0, i ? n1 : n0, &pipe_events, &pipe->end[i]);
    rpc_link_set_peer(pipe->end[i].link, i ? "manager" : "host-1");
  }
  return pipe;
}

void pipe_open(Pipe *pipe)
{
  pipe->generation++;
  for (guint i = 0; i < 2; i++)
    rpc_link_opened(pipe->end[i].link, &pipe_carrier, &pipe->end[i]);
}

void pipe_break(Pipe *pipe, const char *reason)
{
  pipe->generation++;
  for (guint i = 0; i < 2; i++)
    rpc_link_lost(pipe->end[i].link, reason);
}

void pipe_free(Pipe *pipe)
{
  pipe_break(pipe, "the test ends");
  pipe_settle(pipe->loop);
  for (guint i = 0; i < 2; i++) {
    rpc_link_unref(pipe->end[i].link);
    g_free(pipe->end[i].down_reason);
  }
  g_free(pipe);
}

/* ---- one link and the test ---- */

static bool raw_send(void *carrier, GBytes *message)
{
  RawPeer *peer = carrier;
  gsize n;
  const char *bytes = g_bytes_get_data(message, &n);

  if (!peer->refuse)
    g_ptr_array_add(peer->sent, g_strndup(bytes, n));
  return !peer->refuse;
}

static void raw_close(void *carrier, const char *reason)
{
  RawPeer *peer = carrier;

  g_free(peer->closed);
  peer->closed = g_strdup(reason);
}

static gsize raw_queued(void *carrier)
{
  return ((RawPeer *)carrier)->queued;
}

static const RpcCarrier raw_carrier = {raw_send, raw_close, raw_queued};

static void raw_up(RpcLink *link, void *arg)
{
  ((RawPeer *)arg)->n_up++;
}

static void raw_down(RpcLink *link, const char *reason, void *arg)
{
  ((RawPeer *)arg)->n_down++;
}

static const RpcEvents raw_events = {raw_up, raw_down};

RawPeer *raw_peer_new(WsLoop *loop, const RpcService *services, guint n)
{
  RawPeer *peer = g_new0(RawPeer, 1);

  peer->sent = g_ptr_array_new_with_free_func(g_free);
  peer->link = rpc_link_new(loop, services, n, &raw_events, peer);
  rpc_link_opened(peer->link, &raw_carrier, peer);
  return peer;
}

void raw_peer_open(RawPeer *peer)
{
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":"
                      "{\"protocol_min\":1,\"protocol_max\":1,\"program\":\"test\"}}");
}

void raw_peer_says(RawPeer *peer, const char *text)
{
  gsize n = strlen(text);
  g_autofree char *exact = g_memdup2(text, n); /* no NUL behind it: a read too far is seen */

  rpc_link_received(peer->link, exact, n);
}

const char *raw_peer_last(const RawPeer *peer)
{
  return peer->sent->len ? peer->sent->pdata[peer->sent->len - 1] : "";
}

void raw_peer_free(RawPeer *peer)
{
  rpc_link_lost(peer->link, "the test ends");
  rpc_link_unref(peer->link);
  g_ptr_array_unref(peer->sent);
  g_free(peer->closed);
  g_free(peer);
}
