// SPDX-License-Identifier: Apache-2.0
/* JSON-RPC 2.0 both ways over one WebSocket: the link between manager and host agent.
 *
 * Methods come from the files of api/rpc (generated table: name, parameter and result types, deadline). A call is matched by id; errors
 * travel as {code: -32000, message, data: {code: "pool_full", params: {...}, field, cause}} and come out as the same GError.
 * Notifications have no id; those of one peer are served one at a time, in the order they came.
 *
 * A link begins with link.hello from both sides: each tells the protocol versions it speaks, both take the highest common one, and
 * without one the link is closed. Then either side calls. A side that has sent nothing for ten seconds sends a heartbeat; one that has heard
 * nothing for thirty takes the link for dead. When a link goes, calls that wait on it fail with WS_ERROR_HOST_UNREACHABLE, and calls
 * that are served for it are told to stop (rpc_call_cancelled), for nobody waits for them any more; the caller repeats
 * them on the next link, which is why methods are idempotent.
 *
 * Peers may be of different versions. What one is asked for and does not know, a method or a parameter that is set, it refuses, and the caller
 * gets WS_ERROR_PEER_OLDER; what it is told and does not know - fields of answers, notifications - it skips (docs/architecture.md, Versions).
 *
 * Unknown methods, bad parameters, a second answer, or garbage close nothing: they are answered or dropped and logged. A peer that
 * goes on (RPC_GARBAGE_MAX), floods (RPC_RATE_MAX) or piles up notifications (RPC_BACKLOG_MAX) is cut.
 *
 * Below is a *carrier*: whatever takes bytes to the peer. rpc_link_upgrade() and rpc_link_connect() make one of a WebSocket; the
 * simulator and tests bring their own.
 *
 * Threads: the core loop, but for what is marked (any); WebSocket callbacks of the I/O thread are posted to it. Handlers of
 * incoming calls run as coroutines. */
#pragma once
#include "base/loop.h"
#include "http/http.h"
#include "model/type.h"

typedef struct RpcLink RpcLink;
typedef struct RpcCall RpcCall; /* an incoming call being served */

#define RPC_PROTOCOL_MIN 1 /* versions of the protocol this program speaks */
#define RPC_PROTOCOL_MAX 1

#define RPC_MESSAGE_MAX (4 * 1024 * 1024) /* bytes of one message, either way */
#define RPC_QUEUE_HIGH  (4 * 1024 * 1024) /* bytes on their way to a peer that is slow: calls and answers wait */
#define RPC_PENDING_MAX 4096              /* calls of ours that wait for an answer, per link */
#define RPC_SERVING_MAX 256               /* calls of the peer under way; more are answered with too_many_requests */
#define RPC_BACKLOG_MAX 4096              /* notifications of the peer that wait to be served */
#define RPC_RATE_MAX 5000                 /* messages per second of the peer, averaged over four seconds */
#define RPC_GARBAGE_MAX 100               /* unusable messages per minute */

#define RPC_HELLO_TIMEOUT_MS 10000
#define RPC_HEARTBEAT_MS 10000
#define RPC_SILENCE_MS 30000
#define RPC_PROGRESS_MS 250      /* progress of one call is sent at most this often */
#define RPC_CANCEL_GRACE_MS 30000 /* a call that was cancelled but not answered is given up after this time */

typedef struct RpcMethod {
  const char *name;              /* "volume.copy" */
  const WsType *params, *result; /* NULL: none */
  guint deadline_ms;             /* from the last sign of progress; 0: none, the call lives as long as the link */
  bool notification;
} RpcMethod;

/* Serves one incoming call in a coroutine: params is a parsed plain object (borrowed); *result a new plain object of method->result;
 * result is NULL when the method has none. The error of a notification is logged. */
typedef bool (*RpcHandler)(RpcCall *call, const void *params, void **result, GError **error);
typedef struct { const RpcMethod *method; RpcHandler handler; } RpcService;

typedef struct {
  /* Socket open, versions agreed. */
  void (*up)(RpcLink *link, void *arg);
  /* Once for each carrier, also for one that never came up. All pending calls have failed. The link may be dropped or attached anew here. */
  void (*down)(RpcLink *link, const char *reason, void *arg);
} RpcEvents;

/* (any) `services` (n of them) and `events` are borrowed and must outlive the link. */
RpcLink *rpc_link_new(WsLoop *loop, const RpcService *services, guint n, const RpcEvents *events, void *arg);
RpcLink *rpc_link_ref(RpcLink *link); /* (any) */
void rpc_link_unref(RpcLink *link);   /* (any) NULL is fine. A carrier holds a reference of its own until it is lost */
/* Name of the peer for errors and logs: "host-7". */
void rpc_link_set_peer(RpcLink *link, const char *peer);
const char *rpc_link_peer(const RpcLink *link);
void *rpc_link_arg(const RpcLink *link); /* what was given to rpc_link_new() */
bool rpc_link_is_up(const RpcLink *link);
guint rpc_link_version(const RpcLink *link); /* agreed protocol version; 0: not up */
bool rpc_link_misfits(const RpcLink *link);  /* the last carrier was closed because no protocol version is known to both sides */
/* Fails what waits, tells the peer `reason`, calls `down`. Without a carrier: nothing. */
void rpc_link_close(RpcLink *link, const char *reason);

/* ---- over a WebSocket ----
 * A link has one socket at a time; a new one that opens takes the place of the old one. */
/* I/O thread, in on_request: answers an upgrade request; the socket becomes the link's. */
void rpc_link_upgrade(RpcLink *link, HttpCall *call, const char *protocol);
/* Dials; `down` tells also of a socket that never opened. rpc_link_close() gives up. */
void rpc_link_connect(RpcLink *link, HttpIo *io, const HttpClientConfig *config, const char *protocol);

/* ---- over anything else ---- */
typedef struct {
  /* Keeps order, never blocks, calls nothing of the link. false: gone, or too much is queued. */
  bool (*send)(void *carrier, GBytes *message);
  /* The link is done with the carrier; once. reason NULL: rpc_link_lost() said so; else the peer is to be told. */
  void (*close)(void *carrier, const char *reason);
  /* Bytes that wait to go out; above RPC_QUEUE_HIGH calls and answers wait. NULL: unknown. */
  gsize (*queued)(void *carrier);
} RpcCarrier;
/* The way to the peer is open: the hello goes out. A carrier that is still there is closed first. */
void rpc_link_opened(RpcLink *link, const RpcCarrier *carrier, void *carrier_arg);
void rpc_link_received(RpcLink *link, const char *bytes, gsize n); /* one whole message */
void rpc_link_lost(RpcLink *link, const char *reason);             /* the carrier is gone by itself */

/* ---- calling ---- */
/* In a coroutine: calls the peer and waits. *result (may be NULL when the method has none) is a plain object the caller frees.
 * Progress notifications of the call reset the deadline and go to on_progress (may be NULL). When *cancel (may be NULL) becomes
 * non-zero, the peer is asked to stop, and its answer is what counts: usually WS_ERROR_CANCELLED. Typed forms are generated:
 * rpc_volume_copy(link, ...). Errors besides the peer's own: WS_ERROR_HOST_UNREACHABLE, WS_ERROR_DEADLINE_EXCEEDED, WS_ERROR_CANCELLED,
 * WS_ERROR_TOO_LARGE, WS_ERROR_TOO_MANY_REQUESTS, WS_ERROR_PEER_OLDER (it does not know the method, or a parameter that is set: nothing was
 * done; it has been asked again without those that are dispensable, if there were any). */
typedef void (*RpcProgress)(gint64 done, gint64 total, const char *unit, void *arg);
bool rpc_call(RpcLink *link, const RpcMethod *method, const void *params, void **result, RpcProgress on_progress, void *arg,
              volatile gint *cancel, GError **error);
/* Fire and forget; dropped when the link is down. */
void rpc_notify(RpcLink *link, const RpcMethod *method, const void *params);

/* ---- inside a handler ---- */
/* (any) `total` < 0: unknown. `unit`: a literal. A worker that may outlive the handler holds a reference of the call. */
void rpc_call_progress(RpcCall *call, gint64 done, gint64 total, const char *unit);
volatile gint *rpc_call_cancelled(RpcCall *call); /* (any) non-zero when the peer asked to stop, or is gone */
RpcLink *rpc_call_link(RpcCall *call);            /* borrowed */
RpcCall *rpc_call_ref(RpcCall *call);             /* (any) */
void rpc_call_unref(RpcCall *call);               /* (any) */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RpcLink, rpc_link_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RpcCall, rpc_call_unref)
