// SPDX-License-Identifier: Apache-2.0
/* A WebSocket between its owner (http.h, any thread) and its connection. Private to src/http; I/O thread. */
#pragma once
#include "http/connection.h"

/* (any) The reference is the living socket's own: it goes after `closed`. */
HttpSocket *socket_new(HttpIo *io, bool is_server, const HttpSocketEvents *events, void *arg);
void socket_set_deflate(HttpSocket *socket); /* before it starts: both sides agreed to permessage-deflate */
/* The handshake is done and all of it queued: the socket becomes the connection's role, and `opened` is
 * called. false: it was closed meanwhile. */
bool socket_start(HttpSocket *socket, Connection *connection);
/* It never opens; nothing when it is closed already. */
void socket_fail(HttpSocket *socket, const char *why);

/* ---- a socket without a connection (local.h) ---- */
typedef struct {
  void (*message)(void *peer, GBytes *message, bool binary); /* said by the owner */
  void (*closed)(void *peer, int code, const char *reason);  /* the owner's side is over; once, unless the peer broke off */
  void (*destroy)(void *peer);
} SocketPeer;
/* As socket_start(). Takes peer. */
bool socket_start_local(HttpSocket *socket, char *address, const SocketPeer *methods, void *peer);
void socket_take_local(HttpSocket *socket, GBytes *message, bool binary); /* from the peer */
void socket_sent_local(HttpSocket *socket, gsize bytes);                  /* what the peer has taken is queued no more */

/* The answer to a Sec-WebSocket-Key; caller frees. */
char *socket_accept_key(const char *key);
