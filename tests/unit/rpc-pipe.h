// SPDX-License-Identifier: Apache-2.0
/* Two links joined in memory, on one loop with a clock that moves only when nothing else is to do: a day passes in a millisecond,
 * and every run is the same. Or one link and a peer that is played by the test, byte by byte. */
#pragma once
#include "rpc/rpc.h"

/* ---- virtual time ---- */
typedef struct {
  WsClock clock;
  gint64 now_us;
} PipeClock;
void pipe_clock_init(PipeClock *clock);

/* ---- two links ---- */
typedef struct Pipe Pipe;
typedef struct {
  Pipe *pipe;
  guint side;
  RpcLink *link;
  guint n_up, n_down;
  char *down_reason;
  guint64 n_sent;      /* messages */
} PipeEnd;
struct Pipe {
  WsLoop *loop;
  PipeEnd end[2];
  gint64 delay_us;     /* of each message */
  bool stopped[2];     /* what this side sends is lost, silently */
  guint64 generation;
};

Pipe *pipe_new(WsLoop *loop, const RpcService *services0, guint n0, const RpcService *services1, guint n1);
void pipe_open(Pipe *pipe);                      /* both sides; again after a break */
void pipe_break(Pipe *pipe, const char *reason); /* both sides lose it */
void pipe_free(Pipe *pipe);

/* ---- one link and the test ---- */
typedef struct {
  RpcLink *link;
  GPtrArray *sent; /* char *: what the link sent */
  char *closed;    /* its reason */
  guint n_up, n_down;
  bool refuse;     /* take nothing any more */
  gsize queued;    /* bytes that wait to go out */
} RawPeer;
RawPeer *raw_peer_new(WsLoop *loop, const RpcService *services, guint n);
void raw_peer_open(RawPeer *peer);
void raw_peer_says(RawPeer *peer, const char *text);
const char *raw_peer_last(const RawPeer *peer); /* what the link sent last; "" */
void raw_peer_free(RawPeer *peer);

/* Steps until nothing is ready at this moment / for this long. */
void pipe_settle(WsLoop *loop);
void pipe_run_for(WsLoop *loop, gint64 us);
