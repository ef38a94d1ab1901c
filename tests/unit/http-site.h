// SPDX-License-Identifier: Apache-2.0
/* For the HTTP tests: a site with certificates, a server with a few routes, and a peer that speaks raw TLS,
 * so that it can also say what no client library would. All on 127.0.0.1; every wait has a deadline of some
 * seconds. */
#pragma once
#include "http/http.h"
#include <openssl/ssl.h>

typedef struct {
  char *directory;
  char *ca, *ca_key, *cert, *key;          /* of the site */
  char *client_cert, *client_key, *serial; /* CN host-3, issued by the site */
  char *stranger_cert, *stranger_key;      /* CN host-3 too, from another CA */
  HttpIo *io;
  HttpServer *server;
  char *revoked; /* a serial that accept_peer refuses */
  GMutex lock;
  GCond changed;
  /* under lock: what the routes saw */
  guint gone, socket_closed, pieces, ended;
  guint64 body_bytes;
  guint32 body_sum;
  int close_code;
  char *close_reason;
  HttpCall *held;     /* /hold: kept unanswered; /slow: the paused upload */
  HttpSocket *socket; /* the last one upgraded by /socket */
} Site;

/* Starts the server. `change` (may be NULL) sets limits before. */
Site *site_new(void (*change)(HttpServerConfig *config));
void site_free(Site *site);
/* Waits until *counter (of the site) reaches n; fails the test after some seconds. */
void site_wait(Site *site, const guint *counter, guint n);
HttpCall *site_wait_held(Site *site);

/* Routes:
 *   GET  /hello          "hello\n"                        HEAD too
 *   any  /echo           method, path, query, peer and body, as text
 *   GET  /big?n=         n bytes in one piece
 *   GET  /pour?n=        n bytes, streamed as the peer reads; &length=1 announces them
 *   GET  /cut            streams 1000 bytes and breaks off
 *   GET  /later          answered by another thread
 *   GET  /hold           kept in site->held, unanswered
 *   GET  /forget         dropped
 *   GET  /headers        with headers added, two of them bad
 *   GET  /not-modified   304
 *   POST /upload         streamed; answers bytes and sum. POST /slow: paused at the first piece, held
 *   POST /early          answers 403 before the body
 *   GET  /socket         WebSocket echo, protocol "echo"; the text "close" closes it, "flood" sends 1 MiB,
 * "pause" pauses */

/* ---- a raw peer ---- */
typedef struct {
  int fd;
  SSL_CTX *context;
  SSL *ssl;
  GString *input; /* read and not taken */
  bool is_closed;
} Peer;

typedef enum {
  PEER_PLAIN = 0,
  PEER_CERT = 1,
  PEER_STRANGER = 2,
  PEER_TLS11 = 4,
  PEER_SMALL_BUFFER = 8,
  PEER_H2 = 16
} PeerFlags;
Peer *peer_new(Site *site, PeerFlags flags); /* NULL: the handshake failed */
/* As PEER_CERT, with the session of an earlier connection; the handshake's outcome is not looked at. */
Peer *peer_resume(Site *site, SSL_SESSION *session);
void peer_free(Peer *peer);
void peer_send(Peer *peer, const char *text);
void peer_send_bytes(Peer *peer, const void *bytes, gsize n); /* ignores a peer that is gone */
/* Reads until the input holds n bytes; false: closed or too late. */
bool peer_fill(Peer *peer, gsize n);
/* Waits for the end of the connection; what came is in input. */
bool peer_wait_close(Peer *peer);
/* Cuts without goodbye (RST). */
void peer_vanish(Peer *peer);

typedef struct {
  int status;
  char *head; /* with the status line */
  char *body; /* decoded */
  gsize n;
  bool complete; /* ended as its head promised */
} Answer;
/* Reads one answer (to a HEAD: no body). NULL: nothing came. */
Answer *peer_answer(Peer *peer, bool to_head);
char *answer_header(const Answer *answer, const char *name); /* NULL: absent */
void answer_free(Answer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answer, answer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peer, peer_free)
/* Sends text, reads one answer, and checks its status. */
Answer *peer_ask(Peer *peer, const char *text, int status);

/* WebSocket by hand: upgrades, sends one frame (masked), reads one frame. */
void peer_upgrade(Peer *peer);
void peer_frame(Peer *peer, int first_byte, const void *payload, gsize n);
/* Returns the first byte of the frame; -1: closed. payload is NUL-terminated; caller frees. */
int peer_take_frame(Peer *peer, char **payload, gsize *n);
