// SPDX-License-Identifier: Apache-2.0
/* The inside of a link, shared by the files of src/rpc: link.c (life), call.c (our calls), serve.c (the peer's calls).
 *
 * Core loop only, but for the reference counts and what an RpcCall says it guards. */
#pragma once
#include "rpc/message.h"
#include "rpc/rpc.h"

typedef enum { LINK_DOWN, LINK_HELLO, LINK_UP } LinkState;

struct RpcLink {
  gint ref_count; /* atomic */
  WsLoop *loop;
  const RpcEvents *events;
  void *arg;
  GHashTable *services; /* method name -> RpcService */
  char *peer;

  /* The carrier, while state is not LINK_DOWN. */
  LinkState state;
  RpcCarrier carrier;
  void *carrier_arg;
  guint64 generation; /* counts carriers: what was begun on an older one is not answered on a newer one */
  guint version;
  WsTimer *hello_timer, *heartbeat_timer;
  gint64 last_sent_us, last_heard_us, heartbeat_due_us; /* monotonic */
  double rate_tokens;                                   /* messages the peer may still send now */
  gint64 rate_us;                                       /* when that was reckoned */
  guint garbage;                                        /* unusable messages since garbage_us */
  gint64 garbage_us;

  /* A carrier that has not opened yet, or NULL. */
  const RpcCarrier *opening;
  void *opening_arg;

  /* call.c */
  GHashTable *pending; /* id -> Pending, on its caller's stack */
  gint64 last_id;
  guint n_cancellable; /* pending calls with a cancel flag */
  WsTimer *cancel_timer;

  /* serve.c */
  GHashTable *serving;  /* id -> RpcCall */
  GQueue notifications; /* of RpcCall: waiting for their turn */
  RpcCall *notifying;   /* the one whose turn it is */
  bool notifier_runs;   /* the coroutine that serves them lives */
  guint unknown;        /* notifications that are not known, ever */

  bool misfits; /* the last carrier ended for want of a common protocol version */
};

/* link.c */
/* The carrier that is being opened; NULL: none any more. The link is done with the one before. */
void rpc_link_set_opening(RpcLink *link, const RpcCarrier *carrier, void *carrier_arg);
gint64 rpc_now_us(RpcLink *link);
/* Takes the message. false: no link; the carrier failing brings the link down before this returns. */
bool rpc_link_send(RpcLink *link, GBytes *message);
/* In a coroutine: waits while the carrier has much to send. The link may be down on return. */
void rpc_link_wait_for_room(RpcLink *link);
/* Counts an unusable message. false: it was one too many, and the link is down now. */
bool rpc_link_garbage(RpcLink *link, const char *what, const GError *why);

/* call.c */
void rpc_calls_init(RpcLink *link);
void rpc_calls_free(RpcLink *link);
void rpc_calls_fail(RpcLink *link, const char *reason);              /* the link is down */
void rpc_calls_answered(RpcLink *link, RpcMessage *message);         /* RESULT or FAILURE */
void rpc_calls_progressed(RpcLink *link, gint64 id, gint64 done, gint64 total, const char *unit);

/* serve.c */
void rpc_serve_init(RpcLink *link);
void rpc_serve_free(RpcLink *link);
void rpc_serve_drop(RpcLink *link);                              /* the link is down: what is served is told so */
void rpc_serve_message(RpcLink *link, const RpcMessage *message); /* REQUEST or NOTIFICATION of a service */
void rpc_serve_cancel(RpcLink *link, gint64 id);
