// SPDX-License-Identifier: Apache-2.0
/* The I/O thread: a core loop, the connections that live on it, and what ends each of its turns.
 *
 * Every callback on the thread ends with io_settle(): connections that were given bytes are flushed once,
 * those that have bytes left are read again, dead ones are freed. So ten messages sent in one turn leave in
 * one TLS record, and nobody frees a connection under somebody's feet. Work from other threads comes through
 * one inbox, drained in one turn.
 *
 * HttpIo is counted: calls and sockets that outlive the thread keep it, and their operations are then
 * dropped. Private to src/http. Functions without a mark: I/O thread. */
#pragma once
#include "base/loop.h"
#include "http/http.h"

typedef struct Connection Connection;
typedef struct Gate Gate;

enum {
  IO_INPUT_BYTES = 64 * 1024,  /* given to a reader at once */
  IO_RECORD_BYTES = 16 * 1024, /* one TLS record */
  IO_TIDY_CONNECTIONS = 64,    /* that came or went, before memory is given back */
};

struct HttpIo {
  gint refs;
  WsClock *clock;
  WsLoop *loop;
  GThread *thread; /* NULL: whoever made it steps the loop (local.h) */
  Gate *gate;      /* the handshake thread; NULL without a thread */
  GMutex lock; /* inbox, stopped */
  GQueue inbox;
  bool stopped;
  /* the rest: I/O thread only */
  GQueue live, dirty, hungry, dead; /* Connection; each is in `live` or `dead` */
  GPtrArray *later;                 /* to be read on in the next turn */
  bool settling;
  guint freed; /* connections, ever */
  WsTimer *sweep;
  gint64 sweep_us;      /* when it fires */
  char *input, *output; /* scratch for one read and one write */
  char date[32];
  gint64 date_s;
};

HttpIo *io_ref(HttpIo *io); /* (any) */
void io_unref(HttpIo *io);  /* (any) */
/* (any) Runs func(arg) on the I/O thread, then destroy(arg) (may be NULL); only the latter once the thread
 * has stopped. */
void io_post(HttpIo *io, WsLoopFunc func, void *arg, GDestroyNotify destroy);
/* (any other thread) The same, and waits for it. false: the thread has stopped. */
bool io_call(HttpIo *io, WsLoopFunc func, void *arg);
void io_settle(HttpIo *io);
/* Reads the connection on in the next turn, after the others. */
void io_come_back(HttpIo *io, Connection *connection);
gint64 io_now_us(HttpIo *io);
/* Sees to it that deadlines at `when_us` are noticed. */
void io_watch_deadline(HttpIo *io, gint64 when_us);
const char *io_date(HttpIo *io); /* of now, for a Date header */

/* (any other thread) Runs func(arg) on a loop and waits for it. */
void io_call_on_loop(WsLoop *loop, WsLoopFunc func, void *arg);
/* For our own threads: signals are the program's business, and SIGPIPE must not end it when a peer is gone. */
void io_block_signals(void);
