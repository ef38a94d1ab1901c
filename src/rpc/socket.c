// SPDX-License-Identifier: Apache-2.0
/* A link's carrier made of a WebSocket: from the I/O thread to the core loop and back.
 *
 * Each socket event is posted to the loop, in order. What a peer sends faster than the loop takes would pile up in the loop's
 * inbox: above INBOX_HIGH bytes the socket is not read until they have fallen to INBOX_LOW. This waits for the loop alone, never
 * for a handler, so two sides cannot wait for each other.
 *
 * A posted event holds references to link and socket; the reference that the socket's `arg` is goes with `closed`, the
 * socket's last event. */
#include "rpc/rpc-private.h"

#define INBOX_HIGH (8 * 1024 * 1024)
#define INBOX_LOW (1024 * 1024)
#define CLOSE_NORMAL 1000

typedef struct {
  RpcLink *link;
  HttpSocket *socket;
  GBytes *message;
  char *reason;
} Event;

static void event_free(void *arg)
{
  Event *event = arg;

  rpc_link_unref(event->link);
  http_socket_unref(event->socket);
  g_clear_pointer(&event->message, g_bytes_unref);
  g_free(event->reason);
  g_free(event);
}

static void post(RpcLink *link, HttpSocket *socket, WsLoopFunc func, GBytes *message, const char *reason)
{
  Event *event = g_new0(Event, 1);

  event->link = rpc_link_ref(link);
  event->socket = http_socket_ref(socket);
  event->message = message;
  event->reason = g_strdup(reason);
  ws_loop_post(link->loop, func, event, event_free);
}

/* ---- core loop ---- */

static bool carrier_send(void *carrier, GBytes *message)
{
  return http_socket_send(carrier, message, false);
}

static void carrier_close(void *carrier, const char *reason)
{
  if (reason)
    http_socket_close(carrier, CLOSE_NORMAL, reason);
  http_socket_unref(carrier);
}

static const RpcCarrier socket_carrier = {.send = carrier_send, .close = carrier_close};

static bool is_carrier(const RpcLink *link, const HttpSocket *socket)
{
  return link->state != LINK_DOWN && link->carrier_arg == socket;
}

static bool is_opening(const RpcLink *link, const HttpSocket *socket)
{
  return link->opening && link->opening_arg == socket;
}

static void take_attach(void *arg)
{
  Event *event = arg;

  if (!is_carrier(event->link, event->socket)) /* else it opened meanwhile */
    rpc_link_set_opening(event->link, &socket_carrier, http_socket_ref(event->socket));
}

static void take_opened(void *arg)
{
  Event *event = arg;

  if (is_opening(event->link, event->socket))
    rpc_link_set_opening(event->link, NULL, NULL);
  rpc_link_opened(event->link, &socket_carrier, http_socket_ref(event->socket));
}

static void take_message(void *arg)
{
  Event *event = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(event->message, &n);
  gint before = g_atomic_int_add(&event->link->inbox_bytes, -(gint)n);

  if (before >= INBOX_LOW && before - (gint)n < INBOX_LOW)
    http_socket_resume(event->socket);
  if (is_carrier(event->link, event->socket))
    rpc_link_received(event->link, bytes, n);
}

static void take_closed(void *arg)
{
  Event *event = arg;
  RpcLink *link = event->link;

  if (is_carrier(link, event->socket)) {
    rpc_link_lost(link, event->reason);
  } else if (is_opening(link, event->socket)) {
    rpc_link_set_opening(link, NULL, NULL);
    if (link->state == LINK_DOWN && link->events->down)
      link->events->down(link, event->reason, link->arg);
  }
}

void rpc_link_attach(RpcLink *link, HttpSocket *socket)
{
  post(link, socket, take_attach, NULL, NULL);
}

/* ---- I/O thread ---- */

static void on_opened(HttpSocket *socket, void *arg)
{
  post(arg, socket, take_opened, NULL, NULL);
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  RpcLink *link = arg;
  gint inbox = g_atomic_int_add(&link->inbox_bytes, (gint)n) + (gint)n;

  post(link, socket, take_message, g_bytes_new(bytes, n), NULL);
  if (inbox <= INBOX_HIGH)
    return;
  http_socket_pause(socket);
  /* The loop may have emptied the inbox just before: then nobody else would resume. */
  if (g_atomic_int_get(&link->inbox_bytes) < INBOX_LOW)
    http_socket_resume(socket);
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  RpcLink *link = arg;

  post(link, socket, take_closed, NULL, reason && *reason ? reason : "the connection was closed");
  rpc_link_unref(link);
}

const HttpSocketEvents *rpc_link_socket_events(void)
{
  static const HttpSocketEvents events = {
    .opened = on_opened, .message = on_message, .closed = on_closed, .max_message_bytes = RPC_MESSAGE_MAX};

  return &events;
}
