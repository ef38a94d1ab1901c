// SPDX-License-Identifier: Apache-2.0
/* The handshake thread: accepts and dials, makes the TLS handshakes, and hands what is ready over to the I/O
 * thread.
 *
 * A handshake costs a millisecond of CPU; here it costs nobody else's. Name look-ups block and have threads
 * of their own. Private to src/http; all of it may be called from any other thread. */
#pragma once
#include "http/io.h"
#include <openssl/ssl.h>

Gate *gate_new(HttpIo *io);
/* Ends all that is under way (dials fail), joins the thread. What comes later is refused. */
void gate_stop(Gate *gate);
void gate_unref(Gate *gate); /* after gate_stop() */

/* Accepts for `server` on a listening socket (which stays the server's). */
void gate_listen(Gate *gate, HttpServer *server, int fd);
/* On return nothing of this server is under way here. */
void gate_unlisten(Gate *gate, HttpServer *server);

/* Many connections came or went: gives freed memory back to the system, soon. OpenSSL's buffers leave holes all over the heap:
 * after 1,000 handshakes 28-37 KiB are held for each connection, and 20 once they are given back. */
void gate_tidy(Gate *gate);

/* A connection to be made. Exactly one of `ready` and `failed` is called, on the I/O thread (`failed` on the one that ends
 * it, when it is gone). */
typedef struct Dial Dial;
struct Dial {
  gint refs;
  HttpIo *io;
  char *host; /* name or address, without brackets */
  guint16 port;
  char *server_name; /* expected in the certificate */
  SSL_CTX *context;
  gint64 deadline_us; /* monotonic: until the handshake is done, and for what the owner does then */
  void (*ready)(Dial *dial, int fd, SSL *ssl, const char *address); /* takes fd and ssl */
  void (*failed)(Dial *dial, const char *why);
  void (*destroy)(Dial *dial); /* the owner's part, when the last reference goes */
};
void gate_dial(Gate *gate, Dial *dial); /* takes a reference */
void gate_refuse(Dial *dial, const char *why); /* `failed` without a try; takes the reference */
void dial_unref(Dial *dial);
