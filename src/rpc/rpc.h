// SPDX-License-Identifier: Apache-2.0
/* JSON-RPC 2.0 both ways over one WebSocket: the link between manager and host agent.
 *
 * Methods come from api/rpc/*.yaml (generated table: name, parameter and result types, deadline). A call is matched by id; errors travel as
 * {code: -32000, message, data: {code: "pool_full", params: {...}, cause}} and come out as the same GError. Notifications have no id.
 * Unknown methods, bad parameters, a second answer, or garbage close nothing: they are answered or dropped and logged; a peer that floods is cut.
 *
 * Threads: the core loop (WebSocket callbacks of the I/O thread are posted to it). Handlers of incoming calls run as coroutines. */
#pragma once
#include "base/loop.h"
#include "http/http.h"
#include "model/type.h"

typedef struct RpcLink RpcLink;
typedef struct RpcCall RpcCall; /* an incoming call being served */

typedef struct {
  const char *name;              /* "volume.copy" */
  const WsType *params, *result; /* result NULL: none */
  guint deadline_ms;             /* 0: no deadline, the call lives while it makes progress */
  bool notification;
} RpcMethod;

/* Serves one incoming call in a coroutine: params is a parsed plain object (borrowed); *result a new plain object of method->result. */
typedef bool (*RpcHandler)(RpcCall *call, const void *params, void **result, GError **error);
typedef struct { const RpcMethod *method; RpcHandler handler; } RpcService;

typedef struct {
  void (*up)(RpcLink *link, void *arg);                       /* socket open, versions agreed */
  void (*down)(RpcLink *link, const char *reason, void *arg); /* all pending calls have failed with WS_ERROR_HOST_UNREACHABLE */
} RpcEvents;

RpcLink *rpc_link_new(WsLoop *loop, const RpcService *services, guint n, const RpcEvents *events, void *arg);
/* The socket events to give to http_call_upgrade()/http_socket_connect(); arg is the link. */
const HttpSocketEvents *rpc_link_socket_events(void);
void rpc_link_attach(RpcLink *link, HttpSocket *socket);
void rpc_link_close(RpcLink *link, const char *reason);
RpcLink *rpc_link_ref(RpcLink *link);
void rpc_link_unref(RpcLink *link);
bool rpc_link_is_up(const RpcLink *link);

/* In a coroutine: calls the peer and waits. *result (may be NULL when the method has none) is a plain object the caller frees.
 * Progress notifications of the call reset the deadline and go to on_progress. Typed forms are generated: rpc_volume_copy(link, ...). */
typedef void (*RpcProgress)(gint64 done, gint64 total, const char *unit, void *arg);
bool rpc_call(RpcLink *link, const RpcMethod *method, const void *params, void **result, RpcProgress on_progress, void *arg,
              volatile gint *cancel, GError **error);
/* Fire and forget; dropped when the link is down. */
void rpc_notify(RpcLink *link, const RpcMethod *method, const void *params);

/* Inside a handler: */
void rpc_call_progress(RpcCall *call, gint64 done, gint64 total, const char *unit); /* any thread */
volatile gint *rpc_call_cancelled(RpcCall *call); /* non-zero when the peer asked to stop */
RpcLink *rpc_call_link(RpcCall *call);
