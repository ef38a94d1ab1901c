// SPDX-License-Identifier: Apache-2.0
/* One TLS connection on the I/O thread: bytes in, bytes out, a deadline, and how it ends. It knows no
 * protocol: a role (HTTP/1.1, HTTP/2, WebSocket) takes the input and is told what happens.
 *
 * Out: pieces are queued and leave in io_settle(), small ones gathered into one TLS record. Large ones are
 * shared, never copied. In: what a role leaves is kept (up to IO_INPUT_BYTES, then reading stops) and given
 * again with more, or after connection_kick(). An end is never abrupt for a peer that still listens:
 * connection_finish() flushes, says goodbye and drains for a moment, since a close with unread input would
 * destroy the last answer on its way.
 *
 * Everything here belongs to the I/O thread. Private to src/http. */
#pragma once
#include "http/io.h"
#include <openssl/ssl.h>

enum {
  CONNECTION_LOW_BYTES = 128 * 1024, /* roles queue more only below this */
};

typedef struct {
  /* Takes some of n bytes (may change them) and says how many. */
  gsize (*input)(Connection *connection, char *bytes, gsize n);
  void (*ended_input)(Connection *connection);   /* the peer will send no more */
  void (*sent)(Connection *connection, gsize n); /* n bytes went out */
  void (*expired)(Connection *connection);       /* the deadline passed; it is cleared */
  bool (*is_idle)(Connection *connection);       /* nothing under way: may give way to others */
  void (*goodbye)(
      Connection *connection); /* queues the protocol's farewell, as we are shutting down; may be NULL */
  /* The connection is over, told once: the role frees its state. `why` is for people. */
  void (*over)(Connection *connection, const char *why);
} ConnectionRole;

typedef struct Piece Piece;
struct Connection {
  HttpIo *io;
  HttpServer *server;                       /* NULL: we dialled */
  GList live_link, dirty_link, hungry_link; /* .data is this */
  bool is_dirty, is_hungry, is_dead;
  int fd;
  SSL *ssl;
  WsFdWatch *watch;
  guint32 events;              /* watched for */
  char *address, *cn, *serial; /* of the peer; cn, serial may be NULL. GRefString */
  bool is_counted_by_address;  /* of a server */
  int refusal;                 /* 0, or the status for every request: the server is full */
  const ConnectionRole *role;
  void *state;         /* the role's */
  GByteArray *rest;    /* input that the role left; NULL: none */
  Piece *first, *last; /* output */
  gsize out_bytes;
  gint64 sent_us;     /* when output last made progress, or began */
  gsize sent_bytes;   /* since then */
  gint64 deadline_us; /* 0: none */
  gint64 idle_since_us;
  bool is_paused, input_ended;
  bool wants_write_to_read; /* OpenSSL must send before it can read on */
  bool is_blocked;          /* the kernel's buffer is full: epoll says when to go on */
  enum { CONNECTION_OPEN, CONNECTION_FINISHING, CONNECTION_DRAINING } phase;
};

/* Takes fd and ssl (handshake done), and the strings. Follow with connection_set_role(). */
Connection *connection_new(HttpIo *io, HttpServer *server, int fd, SSL *ssl, const char *address);
void connection_free(Connection *connection); /* of a dead one: io_settle() */
/* The new role gets the input that is there at the end of the turn. */
void connection_set_role(Connection *connection, const ConnectionRole *role, void *state);

/* Queues prefix (copied) and then bytes (shared; may be NULL). */
void connection_send(Connection *connection, const void *prefix, gsize prefix_n, GBytes *bytes);
/* Drops what is queued, except what the peer has begun to receive. Returns how many bytes. */
gsize connection_drop_output(Connection *connection);
void connection_pause(Connection *connection, bool paused);
/* The role can take input again: gives it the rest and what is there, at the end of the turn. */
void connection_kick(Connection *connection);
void connection_set_deadline(Connection *connection, gint64 when_us);
/* When to give up a peer that does not read: it must take all, or 64 KiB, in each period. G_MAXINT64: nothing
 * is queued. */
gint64 connection_send_deadline(Connection *connection, gint64 period_us);

/* No more input; what is queued goes out, then goodbye. `over` comes at the end, at the latest when flushing
 * stands still. */
void connection_finish(Connection *connection);
/* As finish, and the role hears no more, not even `over`. Nothing on a dead connection. */
void connection_let_go(Connection *connection);
/* At once. `over` has been called on return. */
void connection_abort(Connection *connection, const char *why);
/* As abort, but tries once to send what is queued and to say goodbye. */
void connection_shut(Connection *connection, const char *why);

/* For io.c */
void connection_read(Connection *connection);
void connection_flush(Connection *connection);
void connection_expire(Connection *connection);
