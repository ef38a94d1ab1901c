// SPDX-License-Identifier: Apache-2.0
/* A call between its two sides: the handler's (http.h, any thread) and the carrier's, which is HTTP/1.1 or
 * HTTP/2 on the I/O thread. What the handler says on other threads travels through the inbox.
 *
 * Life: the carrier holds the call until answer and request are both through, or the peer is gone; then it
 * detaches and nothing more happens. Handlers' references are counted apart (user_refs), so that a forgotten
 * call is noticed and answered with 500. The first such reference is the carrier's loan to the callbacks:
 * call_return_loan(). Private to src/http; I/O thread only, except what http.h says. */
#pragma once
#include "http/head.h"
#include "http/http.h"
#include "http/io.h"

enum {
  CALL_LOW_BYTES = 256 * 1024,  /* below it, `writable` asks for more */
  CALL_HELD_BYTES = 256 * 1024, /* of a paused body */
};

typedef struct {
  void (*answer)(HttpCall *call);    /* status and fields are set; pieces may be there */
  void (*more)(HttpCall *call);      /* pieces came, or has_ended */
  void (*break_off)(HttpCall *call); /* the answer cannot be completed */
  void (*flow)(HttpCall *call);      /* is_paused changed */
  HttpSocket *(*upgrade)(HttpCall *call, const char *protocol, const HttpSocketEvents *events,
                         void *arg); /* or NULL */
} CallCarrier;

struct HttpCall {
  gint refs, user_refs;
  HttpIo *io;
  HttpServer *server;
  HttpHead *head;
  char *address, *cn, *serial; /* GRefString; cn and serial may be NULL */
  void *user;
  GDestroyNotify destroy_user;
  gint is_gone;     /* atomic */
  gint is_answered; /* atomic: somebody has begun to answer */
  gint is_complete; /* atomic: the whole answer has been said */
  gsize queued;     /* atomic: bytes of pieces that the carrier has not taken */
  GString *fields;  /* what the handler adds: name NUL value NUL ...; NULL: none */
  /* The answer's head; by whoever set is_answered. */
  GString *said; /* `fields`, or `retry`; NULL: none */
  int status;
  char *content_type;
  gint64 content_length; /* -1: unknown */
  /* The rest: I/O thread. */
  const CallCarrier *carrier; /* NULL: detached */
  void *stream;               /* the carrier's */
  GString *retry;             /* the fields of a refusal, which may not touch the handler's; NULL: none */
  bool has_loan, has_started, has_ended, has_no_body, is_producing;
  gint64 length_left; /* of the announced content_length */
  guint64 written;
  GQueue pieces; /* GBytes */
  void (*writable)(HttpCall *call, void *arg);
  void *writable_arg;
  void (*gone)(HttpCall *call, void *arg);
  void *gone_arg;
  /* The request's body */
  enum { BODY_WHOLE, BODY_SINK, BODY_DISCARD } body_mode;
  HttpBodySink sink;
  void *sink_arg;
  guint64 max_body_bytes, body_bytes;
  GByteArray *body; /* BODY_WHOLE: all of it; BODY_SINK: what came while paused */
  bool is_paused, body_complete, body_delivered;
};

/* A call with one loan. Takes head; copies references of the connection's strings. */
HttpCall *call_new(HttpServer *server, HttpIo *io, HttpHead *head, const CallCarrier *carrier, void *stream);
void call_set_peer(HttpCall *call, char *address, char *cn, char *serial);
void call_unref(HttpCall *call); /* (any) the carrier's reference */
/* Runs on_request; then the call is answered, streamed, upgraded, or waits for its body. */
void call_begin(HttpCall *call);
/* Body bytes from the peer. false: too many; the call has been refused. */
bool call_body_bytes(HttpCall *call, const char *bytes, gsize n);
void call_body_end(HttpCall *call);
void call_resume(HttpCall *call); /* from `flow`: delivers what was held */
/* Answers in the handler's place, who hears of it as if the peer were gone; why is for people. false: the
 * handler was faster. */
bool call_refuse(HttpCall *call, int status, const char *why);
/* The carrier takes the next piece. NULL: none. Unref it. */
GBytes *call_take_piece(HttpCall *call);
/* Puts back what is left of it; takes the reference. */
void call_return_piece(HttpCall *call, GBytes *piece);
/* After taking: asks the handler for more. */
void call_produce(HttpCall *call);
/* The carrier is through with the call and forgets it. Returns the loan, drops the carrier's reference. */
void call_detach(HttpCall *call);
/* The peer is gone: tells the handler, then as call_detach(). */
void call_lose(HttpCall *call);
bool call_wants_body(const HttpCall *call); /* somebody will look at it */
const char *call_status_text(int status);
