// SPDX-License-Identifier: Apache-2.0
/* The one door to the network: HTTP/1.1, HTTP/2 and WebSocket over TLS, server and client, on one I/O thread (libwebsockets).
 *
 * Nobody else in the program knows libwebsockets or OpenSSL sockets. Callbacks run on the I/O thread and must not block; they may
 * answer at once, or keep the HttpCall and answer later from any thread. Limits (request line, headers, body, time to send them,
 * connections, idle time) are the server's settings and answered with 400/408/413/429/431/503 by itself.
 *
 * Threads: functions marked (any) may be called from any thread, all others on the I/O thread inside callbacks. Objects are
 * reference-counted; a peer that goes away leaves them valid, operations on them then do nothing. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct HttpServer HttpServer;
typedef struct HttpCall HttpCall;     /* one request and its answer */
typedef struct HttpSocket HttpSocket; /* one WebSocket, server or client side */
typedef struct HttpIo HttpIo;         /* the I/O thread: servers and clients live on one */

HttpIo *http_io_new(GError **error);
void http_io_free(HttpIo *io); /* closes all, joins the thread */
/* (any) Runs func(arg) on the I/O thread. */
void http_io_post(HttpIo *io, void (*func)(void *arg), void *arg);

/* ---- TLS material: PEM files; re-read by http_server_reload_tls() so that certificates renew unnoticed ---- */
typedef struct {
  const char *cert_file, *key_file; /* chain and key; key mode 0600 */
  const char *ca_file;              /* peers must chain to it: required for clients; for servers NULL = no client certificates */
} HttpTls;

/* ---- server ---- */
typedef struct {
  const char *bind_address; /* "0.0.0.0", "127.0.0.1", "::" */
  guint16 port;             /* 0: any free; see http_server_port() */
  HttpTls tls;              /* TLS 1.2+; client certificates are asked for but optional: http_call_peer_cn() */
  gsize max_body_bytes;     /* for calls that do not stream; default 1 MiB */
  guint max_connections;    /* default 8192 */
  guint header_timeout_s, idle_timeout_s; /* defaults 10, 60 */
  /* A request whose headers are complete. Decide: http_call_want_body() (default: on_body comes when it is whole),
   * http_call_stream_body(), http_call_upgrade() or answer now. */
  void (*on_request)(HttpCall *call, void *arg);
  /* The whole body is there (also when empty). */
  void (*on_body)(HttpCall *call, const char *body, gsize n, void *arg);
  void *arg;
} HttpServerConfig;

HttpServer *http_server_new(HttpIo *io, const HttpServerConfig *config, GError **error); /* listening on return */
void http_server_free(HttpServer *server);
guint16 http_server_port(HttpServer *server);
bool http_server_reload_tls(HttpServer *server, GError **error); /* (any) */

HttpCall *http_call_ref(HttpCall *call); /* (any) */
void http_call_unref(HttpCall *call);    /* (any) unanswered when the last reference goes: 500 */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpCall, http_call_unref)
/* (any) while referenced: */
const char *http_call_method(const HttpCall *call);
const char *http_call_path(const HttpCall *call);                       /* decoded, without query; begins with '/' */
const char *http_call_query(const HttpCall *call, const char *name);    /* decoded; NULL: absent */
const char *http_call_header(const HttpCall *call, const char *name);   /* lower-case name; NULL: absent. authorization, cookie, if-match, range,
                                                                            content-type, content-length, accept-language, idempotency-key, x-request-id,
                                                                            user-agent, content-range, origin, host, sec-websocket-protocol at least */
const char *http_call_peer_address(const HttpCall *call);
const char *http_call_peer_cn(const HttpCall *call);     /* CN of the verified client certificate, or NULL */
const char *http_call_peer_serial(const HttpCall *call); /* its serial in hex, or NULL */
void http_call_set_user(HttpCall *call, void *user, GDestroyNotify destroy); /* anything the handler wants to keep with it */
void *http_call_user(const HttpCall *call);
bool http_call_is_gone(const HttpCall *call); /* (any) the peer went away */

/* Answer. Headers before the answer; a value with CR/LF is refused. (any) The bytes are shared, not copied: 1,000 watchers
 * can be sent the same GBytes. HEAD and 304 send no body. */
void http_call_add_header(HttpCall *call, const char *name, const char *value);
void http_call_answer(HttpCall *call, int status, const char *content_type, GBytes *body); /* body may be NULL */

/* Streaming down: (any) start, write pieces as asked, end. `writable` is called on the I/O thread whenever the queue falls below
 * 256 KiB, so the producer never runs ahead. content_length -1: unknown (chunked). */
void http_call_stream_start(HttpCall *call, int status, const char *content_type, gint64 content_length,
                            void (*writable)(HttpCall *call, void *arg), void *arg);
void http_call_stream_write(HttpCall *call, GBytes *piece);
gsize http_call_stream_queued(const HttpCall *call);
void http_call_stream_end(HttpCall *call, bool aborted);

/* Streaming up: from on_request. `piece` gets bytes as they come; n = 0: the end; gone: the peer broke off. Pause stops reading from the
 * peer (back-pressure) until resumed. (any: pause, resume) */
typedef struct {
  void (*piece)(HttpCall *call, const char *bytes, gsize n, void *arg);
  void (*gone)(HttpCall *call, void *arg);
} HttpBodySink;
void http_call_stream_body(HttpCall *call, const HttpBodySink *sink, void *arg, guint64 max_bytes);
void http_call_pause_body(HttpCall *call);
void http_call_resume_body(HttpCall *call);

/* ---- WebSocket ---- */
typedef struct {
  void (*opened)(HttpSocket *socket, void *arg);   /* client: handshake done; server: after http_call_upgrade */
  void (*message)(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg); /* whole, <= max_message_bytes */
  void (*writable)(HttpSocket *socket, void *arg); /* queue fell below the low mark; may be NULL */
  void (*closed)(HttpSocket *socket, int code, const char *reason, void *arg); /* exactly once, also when never opened */
  gsize max_message_bytes;                         /* default 4 MiB; longer: closed with 1009 */
} HttpSocketEvents;
/* From on_request for a request that asks for it (http_call_wants_upgrade). protocol: the one chosen, or NULL. */
bool http_call_wants_upgrade(const HttpCall *call);
HttpSocket *http_call_upgrade(HttpCall *call, const char *protocol, const HttpSocketEvents *events, void *arg);
HttpSocket *http_socket_ref(HttpSocket *socket);
void http_socket_unref(HttpSocket *socket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpSocket, http_socket_unref)
/* (any) Queues one message. false: gone, or more than 16 MiB would be queued (the socket is then closed with 1013). */
bool http_socket_send(HttpSocket *socket, GBytes *message, bool binary);
gsize http_socket_queued(const HttpSocket *socket); /* (any) bytes */
void http_socket_pause(HttpSocket *socket);  /* (any) stop reading from the peer */
void http_socket_resume(HttpSocket *socket); /* (any) */
void http_socket_close(HttpSocket *socket, int code, const char *reason); /* (any) */
const char *http_socket_peer_address(const HttpSocket *socket);
/* Pings go every 10 s by themselves; a peer silent for 25 s is closed (code 1006). */

/* ---- client ---- */
typedef struct {
  const char *url;           /* https:// or wss:// only */
  HttpTls tls;               /* ca_file required; cert_file/key_file for mutual TLS or NULL */
  const char *server_name;   /* expected name in the certificate; NULL: the URL's host */
  const char *const *headers; /* name, value, ..., NULL */
  guint connect_timeout_ms;  /* 0: 10,000 */
} HttpClientConfig;
/* (any) Connects; `closed` tells of failure with a reason for people ("certificate verify failed: ..."). */
HttpSocket *http_socket_connect(HttpIo *io, const HttpClientConfig *config, const char *protocol,
                                const HttpSocketEvents *events, void *arg);
