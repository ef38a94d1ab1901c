// SPDX-License-Identifier: Apache-2.0
/* HTTP without a network and without threads: for the simulator, and for tests that want the server's side of a call alone.
 *
 * A stepped HttpIo has a loop and no thread: whoever made it runs the loop, turn by turn, on the thread of everything else. A local
 * server has no port; requests are handed to it as text and come out at its callbacks (on_request, on_body) as any other call. What
 * the handlers answer is told to LocalEvents. An upgraded call becomes a WebSocket whose frames are given and taken here.
 *
 * There is no flow control but this: what a socket has said counts as queued until http_local_took() says otherwise, so that a slow
 * peer is slow for its owner too. Pings and time-outs are the business of real connections.
 *
 * All on one thread. Callbacks run inside turns of the io's loop and may not free it. */
#pragma once
#include "base/loop.h"
#include "http/http.h"

typedef struct HttpLocal HttpLocal; /* one request and what becomes of it, seen from the peer's side */

HttpIo *http_io_new_stepped(WsClock *clock);
WsLoop *http_io_loop(HttpIo *io);
/* bind_address, port, tls and time-outs of `config` are not looked at. Freed by http_server_free(). */
HttpServer *http_server_new_local(HttpIo *io, const HttpServerConfig *config);

typedef struct {
  const char *method, *target;  /* "GET", "/api/v1/vms?limit=3" */
  const char *const *headers;   /* name, value, ..., NULL; or NULL */
  const char *body;             /* sent with a Content-Length; NULL: none */
  gsize body_bytes;
  const char *address;          /* of the peer */
  const char *cn, *serial;      /* of its client certificate; or NULL */
} HttpLocalRequest;

typedef struct {
  /* The whole answer. `header` gives the value of a field (lower-case name; NULL: absent) until this returns. */
  void (*answered)(HttpLocal *local, int status, const char *(*header)(HttpLocal *local, const char *name), GBytes *body, void *arg);
  void (*upgraded)(HttpLocal *local, void *arg);
  void (*message)(HttpLocal *local, GBytes *message, bool binary, void *arg);
  /* The server's side of the socket is gone, or the answer was broken off. */
  void (*closed)(HttpLocal *local, int code, const char *reason, void *arg);
} HttpLocalEvents;

/* Everything is copied but `events`. Taken up in the next turn of the io's loop. NULL: not a request that HTTP allows. */
HttpLocal *http_local_request(HttpServer *server, const HttpLocalRequest *request, const HttpLocalEvents *events, void *arg);
/* One message of the peer on an upgraded call. */
void http_local_send(HttpLocal *local, GBytes *message, bool binary);
/* The peer has taken so many bytes of messages. */
void http_local_took(HttpLocal *local, gsize bytes);
/* The peer is gone; no event comes any more, and `local` may not be used. Also after it was answered or closed. */
void http_local_free(HttpLocal *local);
