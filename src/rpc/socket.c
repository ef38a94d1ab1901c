// SPDX-License-Identifier: Apache-2.0
/* A link's carrier made of a WebSocket: from the I/O thread to the core loop and back.
 *
 * Each socket event is posted to the loop, in order. What a peer sends faster than the loop takes would pile up in the loop's
 * inbox: above INBOX_HIGH bytes the socket is not read until they have fallen to INBOX_LOW. This waits for the loop alone, never
 * for a handler, so two sides cannot wait for each other.
 *
 * A Conn is what a socket is to its link. The socket's callbacks hold one reference of it until `closed`, each posted event
 * one, and the link one while the Conn is its carrier or is being opened. */
#include "rpc/rpc-private.h"

#define INBOX_HIGH (8 * 1024 * 1024)
#define INBOX_LOW (1024 * 1024)
#define CLOSE_NORMAL 1000

typedef struct {
  gint ref_count; /* atomic */
  RpcLink *link;
  gint inbox_bytes; /* atomic: messages on their way to the loop */
  /* core loop */
  HttpSocket *socket; /* NULL: not known here yet */
} Conn;

typedef struct {
  Conn *conn;
  HttpSocket *socket;
  GBytes *message;
  char *reason;
} Event;

static Conn *conn_new(RpcLink *link)
{
  Conn *conn = g_new0(Conn, 1);

  conn->ref_count = 1;
  conn->link = rpc_link_ref(link);
  return conn;
}

static Conn *conn_ref(Conn *conn)
{
  g_atomic_int_inc(&conn->ref_count);
  return conn;
}

static void conn_unref(Conn *conn)
{
  if (!g_atomic_int_dec_and_test(&conn->ref_count))
    return;
  g_clear_pointer(&conn->socket, http_socket_unref);
  rpc_link_unref(conn->link);
  g_free(conn);
}

static void event_free(void *arg)
{
  Event *event = arg;

  conn_unref(event->conn);
  http_socket_unref(event->socket);
  g_clear_pointer(&event->message, g_bytes_unref);
  g_free(event->reason);
  g_free(event);
}

static void post(Conn *conn, HttpSocket *socket, WsLoopFunc func, GBytes *message, const char *reason)
{
  Event *event = g_new0(Event, 1);

  event->conn = conn_ref(conn);
  event->socket = http_socket_ref(socket);
  event->message = message;
  event->reason = g_strdup(reason);
  ws_loop_post(conn->link->loop, func, event, event_free);
}

/* ---- core loop ---- */

static bool carrier_send(void *carrier, GBytes *message)
{
  return http_socket_send(((Conn *)carrier)->socket, message, false);
}

static void carrier_close(void *carrier, const char *reason)
{
  Conn *conn = carrier;

  if (reason)
    http_socket_close(conn->socket, CLOSE_NORMAL, reason);
  conn_unref(conn);
}

static gsize carrier_queued(void *carrier)
{
  return http_socket_queued(((Conn *)carrier)->socket);
}

static const RpcCarrier socket_carrier = {.send = carrier_send, .close = carrier_close, .queued = carrier_queued};

static bool is_carrier(const Conn *conn)
{
  return conn->link->state != LINK_DOWN && conn->link->carrier_arg == conn;
}

static bool is_opening(const Conn *conn)
{
  return conn->link->opening && conn->link->opening_arg == conn;
}

static void take_opened(void *arg)
{
  const Event *event = arg;
  Conn *conn = event->conn;

  if (!conn->socket)
    conn->socket = http_socket_ref(event->socket);
  if (is_opening(conn))
    rpc_link_set_opening(conn->link, NULL, NULL);
  rpc_link_opened(conn->link, &socket_carrier, conn_ref(conn));
}

static void take_message(void *arg)
{
  const Event *event = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(event->message, &n);
  gint before = g_atomic_int_add(&event->conn->inbox_bytes, -(gint)n);

  if (before >= INBOX_LOW && before - (gint)n < INBOX_LOW)
    http_socket_resume(event->socket);
  if (is_carrier(event->conn))
    rpc_link_received(event->conn->link, bytes, n);
}

static void take_closed(void *arg)
{
  const Event *event = arg;
  RpcLink *link = event->conn->link;

  if (is_carrier(event->conn)) {
    rpc_link_lost(link, event->reason);
  } else if (is_opening(event->conn)) {
    rpc_link_set_opening(link, NULL, NULL);
    if (link->state == LINK_DOWN && link->events->down)
      link->events->down(link, event->reason, link->arg);
  }
}

/* ---- I/O thread ---- */

static void on_opened(HttpSocket *socket, void *arg)
{
  post(arg, socket, take_opened, NULL, NULL);
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Conn *conn = arg;
  gint inbox = g_atomic_int_add(&conn->inbox_bytes, (gint)n) + (gint)n;

  post(conn, socket, take_message, g_bytes_new(bytes, n), NULL);
  if (inbox <= INBOX_HIGH)
    return;
  http_socket_pause(socket);
  /* The loop may have emptied the inbox just before: then nobody else would resume. */
  if (g_atomic_int_get(&conn->inbox_bytes) < INBOX_LOW)
    http_socket_resume(socket);
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Conn *conn = arg;

  post(conn, socket, take_closed, NULL, reason && *reason ? reason : "the connection was closed");
  conn_unref(conn);
}

static const HttpSocketEvents events = {
  .opened = on_opened, .message = on_message, .closed = on_closed, .max_message_bytes = RPC_MESSAGE_MAX};

/* ---- the door ---- */

void rpc_link_upgrade(RpcLink *link, HttpCall *call, const char *protocol)
{
  g_autoptr(HttpSocket) socket = http_call_upgrade(call, protocol, &events, conn_new(link));
}

void rpc_link_connect(RpcLink *link, HttpIo *io, const HttpClientConfig *config, const char *protocol)
{
  Conn *conn = conn_new(link), *opening = conn_ref(conn);

  g_assert(ws_loop_is_own_thread(link->loop));
  /* What the callbacks post comes after this turn of the loop. */
  opening->socket = http_socket_connect(io, config, protocol, &events, conn);
  rpc_link_set_opening(link, &socket_carrier, opening);
}
