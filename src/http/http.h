// SPDX-License-Identifier: Apache-2.0
/* The one door to the network: HTTP/1.1, HTTP/2 and WebSocket over TLS, server and client, on one I/O thread.
 *
 * Nobody else in the program knows sockets, OpenSSL's TLS or nghttp2. Callbacks run on the I/O thread and must not block;
 * they may answer at once, or keep the HttpCall (http_call_ref) and answer later from any thread. What breaks HTTP or a
 * limit never reaches a callback: it is answered here with 400, 408, 413, 414, 417, 429, 431, 501, 503 or 505.
 * TLS handshakes run on a thread of their own, so that 5,000 hosts that dial in at once do not hold up anybody's request.
 *
 * Threads: functions marked (any) may be called from any thread, all others on the I/O thread inside callbacks. Objects
 * are reference-counted; a peer that goes away leaves them valid, operations on them then do nothing. */
#pragma once
#include "base/clock.h"
#include <glib.h>
#include <stdbool.h>

typedef struct HttpServer HttpServer;
typedef struct HttpCall HttpCall;     /* one request and its answer */
typedef struct HttpSocket HttpSocket; /* one WebSocket, server or client side */
typedef struct HttpMessage HttpMessage; /* what one WebSocket or many are sent */
typedef struct HttpIo HttpIo;         /* the I/O thread: servers and clients live on one */

/* (any) `clock` (borrowed, outlives io) gives the time for time-outs and the Date header, and random masks. */
HttpIo *http_io_new(WsClock *clock, GError **error);
/* (any but the I/O thread) Closes all that is left (every HttpSocket gets its `closed`), joins the threads. After the
 * servers. NULL is fine. HttpCalls and HttpSockets still referenced elsewhere stay valid and dead. */
void http_io_free(HttpIo *io);
/* (any) Runs func(arg) on the I/O thread, in order of posting. */
void http_io_post(HttpIo *io, void (*func)(void *arg), void *arg);
bool http_io_is_own_thread(const HttpIo *io); /* (any) for asserts */

/* ---- TLS material: PEM files; re-read by http_server_reload_tls() so that certificates renew unnoticed ---- */
typedef struct {
  const char *cert_file, *key_file; /* chain and key; key mode 0600 */
  const char *ca_file; /* peers must chain to it: required for clients; for servers NULL = no client certificates */
} HttpTls;

/* ---- server ---- */
typedef struct {
  const char *bind_address; /* "0.0.0.0", "127.0.0.1", "::" (both families), "::1" */
  guint16 port;             /* 0: any free; see http_server_port() */
  HttpTls tls;              /* TLS 1.2+; client certificates are asked for but optional: http_call_peer_cn() */
  gsize max_body_bytes;     /* for calls that do not stream; 0: 1 MiB. Longer: 413 */
  guint max_connections;    /* 0: 8192. Beyond it idle connections give way; else 503 with Retry-After */
  /* 0: half of max_connections. Beyond it: 429 with Retry-After. Who has shown a client certificate is not counted: a whole site may
   * come from one address. */
  guint max_connections_per_address;
  /* Proxies before this server: of what they bring, the client's address is what they say in X-Forwarded-For, and they are not
   * counted as one address. Addresses and networks, ended by NULL; NULL: there are none, and the header is not looked at. */
  const char *const *trusted_proxies;
  guint header_timeout_s;   /* 0: 10. For a handshake, and for a head from its first byte: 408 */
  guint body_timeout_s;     /* 0: 60. For the whole body of a call that does not stream: 408 */
  guint idle_timeout_s;     /* 0: 60. Without a byte moving: between calls, in a streamed body, in an answer */

  /* A request whose head is complete. Decide: nothing (on_body comes when the body is whole), http_call_stream_body(),
   * http_call_upgrade(), or answer now. */
  void (*on_request)(HttpCall *call, void *arg);
  /* The whole body is there (also when empty), of a call that is not answered yet. Borrowed for this callback. */
  void (*on_body)(HttpCall *call, const char *body, gsize n, void *arg);
  void *arg;

  /* Revocation: asked for each client certificate that chains to ca_file; false refuses the handshake. NULL: all are
   * welcome. Runs on the handshake thread and must not block. */
  bool (*accept_peer)(const char *cn, const char *serial, void *arg);
  void *accept_peer_arg;
  /* The JSON body of a refusal made here (400, 413, ...). Runs on the I/O thread. NULL: {"code", "message"} in English. */
  GBytes *(*refusal)(int status, const char *why, void *arg);
} HttpServerConfig;

/* (any but the I/O thread) Everything in config is copied. Listening on return. Errors: bad_value (address, TLS files),
 * io_error (a file), in_use (the port). */
HttpServer *http_server_new(HttpIo *io, const HttpServerConfig *config, GError **error);
/* (any but the I/O thread) Closes the listener and all its connections; no callback runs after return. NULL is fine. */
void http_server_free(HttpServer *server);
guint16 http_server_port(const HttpServer *server); /* (any) */
/* (any) New connections use the files as they are now; living ones go on. On an error nothing changes. */
bool http_server_reload_tls(HttpServer *server, GError **error);

typedef struct {
  guint connections, sockets; /* now; sockets are those connections that are WebSockets */
  guint64 accepted, calls;    /* since start */
  guint64 refused;            /* calls answered here with 4xx/5xx */
  guint64 handshakes_failed, handshakes_resumed;
} HttpServerCounts;
void http_server_counts(const HttpServer *server, HttpServerCounts *counts); /* (any) */

HttpCall *http_call_ref(HttpCall *call); /* (any) a callback's call is borrowed: ref it to keep it */
void http_call_unref(HttpCall *call);    /* (any) unanswered when the last reference goes: 500; half-streamed: broken off */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpCall, http_call_unref)
/* (any) while referenced: */
const char *http_call_method(const HttpCall *call); /* "GET"; upper case */
/* Decoded, without query; begins with '/'. Valid UTF-8 without control characters, "." or ".." segments, or encoded
 * slashes: such requests got 400. */
const char *http_call_path(const HttpCall *call);
const char *http_call_query(const HttpCall *call, const char *name); /* decoded, the first of that name; NULL: absent */
guint http_call_query_count(const HttpCall *call);                   /* to refuse unknown parameters */
void http_call_nth_query(const HttpCall *call, guint i, const char **name, const char **value);
/* `name` in lower case; NULL: absent. Any header. Repeated ones are joined with ", " (cookies with "; "); those that may
 * come only once were refused. HTTP/2's :authority reads as "host". */
const char *http_call_header(const HttpCall *call, const char *name);
const char *http_call_peer_address(const HttpCall *call); /* "192.0.2.7", "2001:db8::7"; the client's, where a trusted proxy brings it */
const char *http_call_peer_cn(const HttpCall *call);      /* CN of the verified client certificate, or NULL */
const char *http_call_peer_serial(const HttpCall *call);  /* its serial in lower-case hex, or NULL */
void http_call_set_user(HttpCall *call, void *user, GDestroyNotify destroy); /* anything the handler wants to keep with it */
void *http_call_user(const HttpCall *call);
/* (any) The peer went away, or was refused here (a body too large or too slow): no answer is wanted any more. */
bool http_call_is_gone(const HttpCall *call);
/* `gone` is called once on the I/O thread if that happens before the whole answer is on its way; for calls kept for long.
 * From a callback only. */
void http_call_on_gone(HttpCall *call, void (*gone)(HttpCall *call, void *arg), void *arg);

/* Answer, exactly once, by one thread at a time. (any) Headers before the answer; one with a bad name, or with CR, LF or
 * NUL in its value, is dropped and false returned. The bytes are shared, not copied: 1,000 watchers can be sent the same
 * GBytes. HEAD and 304 send no body. */
bool http_call_add_header(HttpCall *call, const char *name, const char *value);
void http_call_answer(HttpCall *call, int status, const char *content_type, GBytes *body); /* type, body may be NULL */

/* Streaming down: (any) start, write pieces as asked, end. `writable` is called on the I/O thread, first after the start and
 * then whenever the queue falls below 256 KiB, so that the producer never runs ahead; also once when the peer has gone
 * (http_call_is_gone). NULL: not asked for. content_length -1: unknown (chunked); more than announced is cut off, less breaks
 * the connection, so that the peer sees it. */
void http_call_stream_start(HttpCall *call, int status, const char *content_type, gint64 content_length,
                            void (*writable)(HttpCall *call, void *arg), void *arg);
void http_call_stream_write(HttpCall *call, GBytes *piece);
gsize http_call_stream_queued(const HttpCall *call);
void http_call_stream_end(HttpCall *call, bool aborted);

/* Streaming up: from on_request. `piece` gets bytes as they come (at most 64 KiB each, borrowed); n = 0: the end; gone: the
 * peer broke off, stalled, or sent more than max_bytes (413). One of the two ends it, and nothing follows. Pause stops reading
 * from the peer (back-pressure; at most 256 KiB more are held) until resumed. (any: pause, resume) The answer may come
 * before the end: the rest of the body is then thrown away. */
typedef struct {
  void (*piece)(HttpCall *call, const char *bytes, gsize n, void *arg);
  void (*gone)(HttpCall *call, void *arg);
} HttpBodySink;
void http_call_stream_body(HttpCall *call, const HttpBodySink *sink, void *arg, guint64 max_bytes);
void http_call_pause_body(HttpCall *call);
/* From on_request, for a call whose body is taken whole: at most so many bytes (never more than the server's). */
void http_call_limit_body(HttpCall *call, guint64 max_bytes);
void http_call_resume_body(HttpCall *call);

/* ---- WebSocket: an event without a function is passed over ---- */
typedef struct {
  void (*opened)(HttpSocket *socket, void *arg); /* client: handshake done; server: after http_call_upgrade */
  void (*message)(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg); /* whole; text is valid UTF-8 */
  void (*writable)(HttpSocket *socket, void *arg); /* the queue fell below 256 KiB after it was above; may be NULL */
  void (*pinged)(HttpSocket *socket, void *arg); /* a ping went out, after ping_ms without a word */
  void (*closed)(HttpSocket *socket, int code, const char *reason, void *arg); /* exactly once, also when never opened */
  gsize max_message_bytes; /* 0: 4 MiB; longer: closed with 1009 */
  bool deflate;            /* permessage-deflate (RFC 7692) with a peer that has it too: see HttpMessage */
  guint ping_ms;           /* 0: 10,000: pings go when this long nothing came from the peer */
  guint silence_ms;        /* 0: 25,000: a peer silent for so long is closed (code 1006) */
} HttpSocketEvents;
/* A GET that asks for a WebSocket of version 13 (HTTP/1.1). */
bool http_call_wants_upgrade(const HttpCall *call);
/* From on_request for a call that wants it: this answers the call. protocol: the one chosen, or NULL. events are copied, and
 * run after on_request has returned. Caller owns the reference; the socket lives on without it until closed. */
HttpSocket *http_call_upgrade(HttpCall *call, const char *protocol, const HttpSocketEvents *events, void *arg);
HttpSocket *http_socket_ref(HttpSocket *socket); /* (any) */
void http_socket_unref(HttpSocket *socket);      /* (any) */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpSocket, http_socket_unref)
/* (any) Queues one message. false: gone, or more than 16 MiB would be queued (the socket is then closed with 1013). */
bool http_socket_send(HttpSocket *socket, GBytes *message, bool binary);
/* (any) What many are sent is compressed once: from 256 bytes on, for sockets that agreed to it. */
HttpMessage *http_message_new(GBytes *bytes, bool binary);
void http_message_free(HttpMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HttpMessage, http_message_free)
/* (I/O thread) As http_socket_send(). */
bool http_socket_send_message(HttpSocket *socket, HttpMessage *message);
gsize http_socket_queued(const HttpSocket *socket); /* (any) bytes */
void http_socket_pause(HttpSocket *socket);  /* (any) stop reading from the peer; silence is then no fault of its */
void http_socket_resume(HttpSocket *socket); /* (any) */
/* (any) Sends what is queued, then the close; `closed` comes when the peer has answered it, or after 2 s. */
void http_socket_close(HttpSocket *socket, int code, const char *reason);
const char *http_socket_peer_address(const HttpSocket *socket); /* (any) "" before a client is connected */

/* ---- client ---- */
typedef struct {
  const char *url;            /* wss://host[:port]/path */
  HttpTls tls;                /* ca_file required; cert_file/key_file for mutual TLS or NULL */
  const char *server_name;    /* expected name (or address) in the certificate; NULL: the URL's host */
  const char *const *headers; /* name, value, ..., NULL; or NULL */
  guint connect_timeout_ms;   /* 0: 10,000: until opened */
} HttpClientConfig;
/* (any) Connects; everything in config is copied, files are read now. `closed` tells of failure with a reason for people
 * ("certificate verify failed: ..."), code 1006; a refusal by HTTP reads "HTTP 403 Forbidden". protocol: offered, or NULL.
 * Caller owns the reference. */
HttpSocket *http_socket_connect(HttpIo *io, const HttpClientConfig *config, const char *protocol,
                                const HttpSocketEvents *events, void *arg);
