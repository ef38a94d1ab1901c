// SPDX-License-Identifier: Apache-2.0
/* WebSockets; see socket.h. RFC 6455.
 *
 * A socket is connecting, open, closing (we have sent a close and wait for the peer's) or closed. `closed` is
 * called when both closes have passed, or when the connection ends before. A text or binary message is one
 * frame. */
#include "http/socket.h"
#include "http/deflate.h"
#include "http/frame.h"
#include "http/server.h"
#include <openssl/evp.h>
#include <string.h>

enum {
  LOW_BYTES = 256 * 1024,
  DEFLATE_FROM_BYTES = 256, /* less is sent as it is */
  MAX_QUEUED_BYTES = 16 * 1024 * 1024,
  DEFAULT_MESSAGE_BYTES = 4 * 1024 * 1024,
  CLOSE_US = 2 * G_USEC_PER_SEC, /* for the peer to answer our close */
};

struct HttpSocket {
  gint refs;
  HttpIo *io;
  bool is_server;
  bool deflates; /* set before it starts */
  HttpSocketEvents events;
  void *arg;
  gint is_gone;   /* atomic: nothing can be sent any more */
  gint is_closed; /* atomic: the owner has asked for the close */
  gint was_high;  /* atomic: the queue was above LOW_BYTES, and `writable` is due when it falls below */
  gsize queued;   /* atomic: bytes said and not sent */
  char *address;  /* atomic, set once; GRefString; NULL: not connected yet */
  /* The rest: I/O thread */
  Connection *connection; /* NULL: not yet, or no more */
  const SocketPeer *peer; /* in place of a connection; NULL: none */
  void *peer_arg;
  GQueue held; /* Saying: messages of the peer, while it is not listened to */
  FrameReader reader;
  GQueue early; /* Saying: messages from before it opened */
  bool is_paused, close_sent, is_over;
  int close_code; /* ours, when close_sent */
  char *close_reason;
  gint64 heard_us, pinged_us, closing_us;
};

typedef struct {
  HttpSocket *socket;
  GBytes *message;
  bool binary, deflated;
  int code; /* of a close */
  char *reason;
} Saying;

struct HttpMessage {
  GBytes *bytes;
  GBytes *deflated; /* NULL: nobody wanted it yet */
  bool binary;
};

static const ConnectionRole socket_role;

static void drop_saying(void *arg)
{
  Saying *saying = arg;
  if (saying->message)
    g_bytes_unref(saying->message);
  http_socket_unref(saying->socket);
  g_free(saying->reason);
  g_free(saying);
}

/* ---- references ---- */

HttpSocket *socket_new(HttpIo *io, bool is_server, const HttpSocketEvents *events, void *arg)
{
  HttpSocket *socket = g_new0(HttpSocket, 1);
  socket->refs = 1;
  socket->io = io_ref(io);
  socket->is_server = is_server;
  socket->events = *events;
  socket->arg = arg;
  socket->reader.from_client = is_server;
  socket->reader.max_message_bytes =
      events->max_message_bytes ? events->max_message_bytes : DEFAULT_MESSAGE_BYTES;
  g_assert(socket->reader.max_message_bytes <= 1024 * 1024 * 1024);
  if (!socket->events.ping_ms)
    socket->events.ping_ms = 10 * 1000;
  if (!socket->events.silence_ms)
    socket->events.silence_ms = 25 * 1000;
  return socket;
}

void socket_set_deflate(HttpSocket *socket)
{
  socket->deflates = socket->reader.takes_deflated = true;
}

HttpSocket *http_socket_ref(HttpSocket *socket)
{
  g_atomic_int_inc(&socket->refs);
  return socket;
}

void http_socket_unref(HttpSocket *socket)
{
  if (!socket || !g_atomic_int_dec_and_test(&socket->refs))
    return;
  frame_reader_clear(&socket->reader);
  g_queue_clear_full(&socket->early, drop_saying);
  g_queue_clear_full(&socket->held, drop_saying);
  g_clear_pointer(&socket->address, g_ref_string_release);
  g_free(socket->close_reason);
  io_unref(socket->io);
  g_free(socket);
}

const char *http_socket_peer_address(const HttpSocket *socket)
{
  const char *address = g_atomic_pointer_get(&((HttpSocket *)socket)->address);
  return address ? address : "";
}

char *socket_accept_key(const char *key)
{
  guint8 digest[20];
  g_autofree char *both = g_strconcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", NULL); /* RFC 6455, 1.3 */
  EVP_Digest(both, strlen(both), digest, NULL, EVP_sha1(), NULL);
  return g_base64_encode(digest, sizeof digest);
}

/* ---- sending ---- */

static gsize frame_bytes(const HttpSocket *socket, gsize n)
{
  return frame_header_length(n, !socket->is_server) + n;
}

static bool is_attached(const HttpSocket *socket)
{
  return socket->connection || socket->peer;
}

/* Queues one frame whose bytes were counted already. */
static void send_frame(HttpSocket *socket, FrameKind kind, bool deflated, GBytes *payload)
{
  if (socket->peer) {
    if (kind == FRAME_TEXT || kind == FRAME_BINARY)
      socket->peer->message(socket->peer_arg, payload, kind == FRAME_BINARY);
    return;
  }
  guint8 header[FRAME_MAX_HEADER_BYTES], mask[4];
  gsize n = g_bytes_get_size(payload);
  if (socket->is_server) {
    connection_send(socket->connection, header, frame_header(header, kind, deflated, n, NULL), payload);
    return;
  }
  socket->io->clock->random_bytes(socket->io->clock, mask, sizeof mask);
  char *masked = g_malloc(n + 1);
  frame_mask(masked, g_bytes_get_data(payload, NULL), n, mask, 0);
  g_autoptr(GBytes) bytes = g_bytes_new_take(masked, n);
  connection_send(socket->connection, header, frame_header(header, kind, deflated, n, mask), bytes);
}

static void send_control(HttpSocket *socket, FrameKind kind, const char *bytes, gsize n)
{
  g_autoptr(GBytes) payload = g_bytes_new(bytes, n);
  g_atomic_pointer_add(&socket->queued, (gssize)frame_bytes(socket, n));
  send_frame(socket, kind, false, payload);
}

static void send_close(HttpSocket *socket, int code, const char *reason)
{
  char payload[FRAME_MAX_CONTROL_BYTES];
  const char *end = reason;
  if (socket->close_sent || !is_attached(socket))
    return;
  if (code == 1005) {
    send_control(socket, FRAME_CLOSE, "", 0);
  } else {
    while (*end && g_utf8_next_char(end) - reason <= FRAME_MAX_CONTROL_BYTES - 2)
      end = g_utf8_next_char(end);
    gsize n = (gsize)(end - reason);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, reason, n);
    send_control(socket, FRAME_CLOSE, payload, n + 2);
  }
  socket->close_sent = true;
  socket->close_code = code;
  g_free(socket->close_reason);
  socket->close_reason = g_strdup(reason);
  socket->closing_us = io_now_us(socket->io);
}

/* Tells the owner, once, and lets go of the connection. */
static void end(HttpSocket *socket, int code, const char *reason)
{
  Connection *connection = g_steal_pointer(&socket->connection);
  const SocketPeer *peer = g_steal_pointer(&socket->peer);
  if (socket->is_over)
    return;
  socket->is_over = true;
  g_atomic_int_set(&socket->is_gone, 1);
  if (peer) {
    peer->closed(socket->peer_arg, code, reason);
    peer->destroy(socket->peer_arg);
  }
  if (connection) {
    if (connection->server)
      server_count_socket(connection->server, -1);
    connection_let_go(connection);
  }
  if (socket->events.closed)
    socket->events.closed(socket, code, reason, socket->arg);
  http_socket_unref(socket); /* the living socket's own */
}

void socket_fail(HttpSocket *socket, const char *why)
{
  end(socket, 1006, why);
}

/* We will not go on with this peer: drops what it has not got, and says why. */
static void fail(HttpSocket *socket, int code, const char *why)
{
  if (socket->connection)
    connection_drop_output(socket->connection);
  send_close(socket, code, why);
  end(socket, code, why);
}

static void update_deadline(HttpSocket *socket)
{
  Connection *connection = socket->connection;
  if (!connection)
    return;
  gint64 silence_us = (gint64)socket->events.silence_ms * 1000,
         ping_us = (gint64)socket->events.ping_ms * 1000;
  gint64 when = connection_send_deadline(connection, silence_us);
  if (socket->close_sent)
    when = MIN(when, MAX(socket->closing_us, connection->sent_us) + CLOSE_US);
  else if (!connection->is_paused)
    when = MIN(when, MIN(socket->heard_us + silence_us, MAX(socket->heard_us, socket->pinged_us) + ping_us));
  connection_set_deadline(connection, when == G_MAXINT64 ? 0 : when);
}

static void hear_send(void *arg)
{
  Saying *saying = arg;
  HttpSocket *socket = saying->socket;
  if (!is_attached(socket) && !socket->is_over) {
    Saying *kept = g_memdup2(saying, sizeof *saying);
    g_bytes_ref(kept->message);
    kept->socket = NULL; /* it is inside: no circle */
    g_queue_push_tail(&socket->early, kept);
  }
  if (!is_attached(socket) || socket->close_sent)
    return;
  send_frame(socket, saying->binary ? FRAME_BINARY : FRAME_TEXT, saying->deflated, saying->message);
  update_deadline(socket);
}

static void hear_close(void *arg)
{
  Saying *saying = arg;
  HttpSocket *socket = saying->socket;
  if (socket->peer) {
    end(socket, saying->code, saying->reason); /* a local peer answers at once */
  } else if (socket->connection) {
    send_close(socket, saying->code, saying->reason);
    update_deadline(socket);
  } else if (socket->is_server && !socket->is_over) {
    socket->close_code = saying->code; /* it opens in this very turn */
    socket->close_reason = g_strdup(saying->reason);
  } else {
    end(socket, saying->code, saying->reason);
  }
}

static void hear_overflow(void *arg)
{
  HttpSocket *socket = ((Saying *)arg)->socket;
  if (!is_attached(socket))
    end(socket, 1013, "too much was said before it opened");
  else if (!socket->close_sent)
    fail(socket, 1013, "the peer does not keep up");
}

/* Messages of a local peer, while they are listened to. */
static void take_held(HttpSocket *socket)
{
  g_autoptr(HttpSocket) keep = http_socket_ref(socket);
  while (!socket->is_paused && socket->peer && socket->held.head) {
    Saying *held = g_queue_pop_head(&socket->held);
    gsize n;
    const char *bytes = g_bytes_get_data(held->message, &n);
    if (socket->events.message && !g_atomic_int_get(&socket->is_closed))
      socket->events.message(socket, bytes, n, held->binary, socket->arg);
    drop_saying(held);
  }
}

static void hear_pause(void *arg)
{
  Saying *saying = arg;
  HttpSocket *socket = saying->socket;
  socket->is_paused = saying->binary;
  if (socket->peer)
    take_held(socket);
  if (!socket->connection)
    return;
  socket->heard_us = io_now_us(socket->io); /* silence while we did not listen is none */
  connection_pause(socket->connection, saying->binary);
  update_deadline(socket);
}

/* At once on the I/O thread, else through its inbox. */
static void say(HttpSocket *socket, WsLoopFunc what, Saying saying)
{
  saying.socket = http_socket_ref(socket);
  if (http_io_is_own_thread(socket->io)) {
    what(&saying);
    if (saying.message)
      g_bytes_unref(saying.message);
    g_free(saying.reason);
    http_socket_unref(socket);
  } else {
    io_post(socket->io, what, g_memdup2(&saying, sizeof saying), drop_saying);
  }
}

static bool send_payload(HttpSocket *socket, GBytes *payload, bool binary, bool deflated)
{
  gsize n = frame_bytes(socket, g_bytes_get_size(payload));
  if (g_atomic_int_get(&socket->is_gone) || g_atomic_int_get(&socket->is_closed))
    return false;
  gsize queued = (gsize)g_atomic_pointer_add(&socket->queued, (gssize)n) + n;
  if (queued >= LOW_BYTES)
    g_atomic_int_set(&socket->was_high, 1);
  if (queued > MAX_QUEUED_BYTES) {
    g_atomic_pointer_add(&socket->queued, -(gssize)n);
    if (g_atomic_int_compare_and_exchange(&socket->is_gone, 0, 1))
      say(socket, hear_overflow, (Saying){0});
    return false;
  }
  say(socket, hear_send, (Saying){.message = g_bytes_ref(payload), .binary = binary, .deflated = deflated});
  return true;
}

bool http_socket_send(HttpSocket *socket, GBytes *message, bool binary)
{
  return send_payload(socket, message, binary, false);
}

HttpMessage *http_message_new(GBytes *bytes, bool binary)
{
  HttpMessage *message = g_new0(HttpMessage, 1);
  message->bytes = g_bytes_ref(bytes);
  message->binary = binary;
  return message;
}

void http_message_free(HttpMessage *message)
{
  if (!message)
    return;
  g_bytes_unref(message->bytes);
  g_clear_pointer(&message->deflated, g_bytes_unref);
  g_free(message);
}

bool http_socket_send_message(HttpSocket *socket, HttpMessage *message)
{
  bool deflated = socket->deflates && g_bytes_get_size(message->bytes) >= DEFLATE_FROM_BYTES;
  g_assert(http_io_is_own_thread(socket->io));
  if (deflated && !message->deflated)
    message->deflated = deflate_message(message->bytes);
  return send_payload(socket, deflated ? message->deflated : message->bytes, message->binary, deflated);
}

gsize http_socket_queued(const HttpSocket *socket)
{
  return (gsize)g_atomic_pointer_get(&((HttpSocket *)socket)->queued);
}

void http_socket_pause(HttpSocket *socket)
{
  say(socket, hear_pause, (Saying){.binary = true});
}

void http_socket_resume(HttpSocket *socket)
{
  say(socket, hear_pause, (Saying){.binary = false});
}

void http_socket_close(HttpSocket *socket, int code, const char *reason)
{
  g_assert(frame_close_code_is_valid(code));
  if (g_atomic_int_compare_and_exchange(&socket->is_closed, 0, 1))
    say(socket, hear_close, (Saying){.code = code, .reason = g_utf8_make_valid(reason ? reason : "", -1)});
}

/* ---- receiving ---- */

/* The peer's close: an answer to ours, or answered. */
static void take_close(HttpSocket *socket, const FrameEvent *event)
{
  if (socket->close_sent) {
    end(socket, socket->close_code, socket->close_reason);
  } else {
    send_close(socket, event->close_code, "");
    end(socket, event->close_code, event->bytes);
  }
}

static void take_event(HttpSocket *socket, const FrameEvent *event)
{
  switch (event->kind) {
  case FRAME_PING:
    if (!socket->close_sent)
      send_control(socket, FRAME_PONG, event->bytes, event->n);
    break;
  case FRAME_CLOSE:
    take_close(socket, event);
    break;
  case FRAME_TEXT:
  case FRAME_BINARY:
    if (!g_atomic_int_get(&socket->is_closed))
      if (socket->events.message)
        socket->events.message(socket, event->bytes, event->n, event->kind == FRAME_BINARY, socket->arg);
    break;
  default:
    break;
  }
}

static gsize input(Connection *connection, char *bytes, gsize n)
{
  g_autoptr(HttpSocket) socket = http_socket_ref(connection->state);
  gsize left = n;
  socket->heard_us = io_now_us(socket->io);
  while (left > 0 && socket->connection && connection->phase == CONNECTION_OPEN && !connection->is_paused) {
    FrameEvent event;
    FrameResult result = frame_reader_take(&socket->reader, &bytes, &left, &event);
    if (result == FRAME_EVENT)
      take_event(socket, &event);
    else if (result == FRAME_ERROR)
      fail(socket, event.close_code, event.why);
  }
  if (!socket->connection)
    return n;
  update_deadline(socket);
  return n - left;
}

static void ended_input(Connection *connection)
{
  connection_abort(connection, "the peer broke off the connection");
}

/* So many bytes of what was said are on their way. */
static void count_sent(HttpSocket *socket, gsize n)
{
  g_atomic_pointer_add(&socket->queued, -(gssize)MIN(n, http_socket_queued(socket)));
  if (http_socket_queued(socket) < LOW_BYTES && g_atomic_int_compare_and_exchange(&socket->was_high, 1, 0) &&
      socket->events.writable && !socket->close_sent)
    socket->events.writable(socket, socket->arg);
}

static void sent(Connection *connection, gsize n)
{
  HttpSocket *socket = connection->state;
  count_sent(socket, n);
  if (connection->first)
    socket->heard_us = io_now_us(socket->io); /* the kernel's buffer was full and moved: it reads */
  if (socket->connection)
    update_deadline(socket);
}

static void expired(Connection *connection)
{
  HttpSocket *socket = connection->state;
  gint64 now = io_now_us(socket->io), silence_us = (gint64)socket->events.silence_ms * 1000;
  if (socket->close_sent && now >= MAX(socket->closing_us, connection->sent_us) + CLOSE_US) {
    connection_abort(connection, socket->close_reason);
  } else if (now >= connection_send_deadline(connection, silence_us)) {
    connection_abort(connection, "the peer does not read");
  } else if (!connection->is_paused && now >= socket->heard_us + silence_us) {
    g_autofree char *why =
        g_strdup_printf("the peer was silent for %.1f s", socket->events.silence_ms / 1000.0);
    connection_abort(connection, why);
  } else {
    bool pings = !socket->close_sent && !connection->is_paused && !connection->first;
    socket->pinged_us = now;
    if (pings) {
      send_control(socket, FRAME_PING, "", 0);
      if (socket->events.pinged)
        socket->events.pinged(socket, socket->arg);
    }
    update_deadline(socket);
  }
}

static bool is_idle(Connection *connection)
{
  return false;
}

static void goodbye(Connection *connection)
{
  send_close(connection->state, 1001, "shutting down");
}

static void over(Connection *connection, const char *why)
{
  HttpSocket *socket = connection->state;
  end(socket, socket->close_sent ? socket->close_code : 1006,
      socket->close_sent ? socket->close_reason : why);
}

static const ConnectionRole socket_role = {.input = input,
                                           .ended_input = ended_input,
                                           .sent = sent,
                                           .expired = expired,
                                           .is_idle = is_idle,
                                           .goodbye = goodbye,
                                           .over = over};

/* What was said before it opened, then the owner is told. */
static void open_socket(HttpSocket *socket)
{
  for (Saying *saying; (saying = g_queue_pop_head(&socket->early));) {
    send_frame(socket, saying->binary ? FRAME_BINARY : FRAME_TEXT, saying->deflated, saying->message);
    drop_saying(saying);
  }
  update_deadline(socket);
  if (socket->events.opened)
    socket->events.opened(socket, socket->arg);
}

bool socket_start_local(HttpSocket *socket, char *address, const SocketPeer *methods, void *peer)
{
  if (socket->is_over) {
    methods->destroy(peer);
    return false;
  }
  g_autoptr(HttpSocket) keep = http_socket_ref(socket);
  g_atomic_pointer_set(&socket->address, g_ref_string_acquire(address));
  socket->peer = methods;
  socket->peer_arg = peer;
  open_socket(socket);
  if (socket->peer && socket->close_reason)
    end(socket, socket->close_code, socket->close_reason);
  return true;
}

void socket_take_local(HttpSocket *socket, GBytes *message, bool binary)
{
  if (!socket->peer)
    return;
  Saying *held = g_new0(Saying, 1);
  held->message = g_bytes_ref(message);
  held->binary = binary;
  g_queue_push_tail(&socket->held, held);
  take_held(socket);
}

void socket_sent_local(HttpSocket *socket, gsize bytes)
{
  if (socket->peer)
    count_sent(socket, bytes);
}

bool socket_start(HttpSocket *socket, Connection *connection)
{
  if (socket->is_over)
    return false;
  g_autoptr(HttpSocket) keep = http_socket_ref(socket);
  g_atomic_pointer_set(&socket->address, g_ref_string_acquire(connection->address));
  socket->connection = connection;
  g_atomic_pointer_add(&socket->queued, (gssize)connection->out_bytes);
  socket->heard_us = socket->pinged_us = io_now_us(socket->io);
  if (connection->server)
    server_count_socket(connection->server, 1);
  connection_set_role(connection, &socket_role, socket);
  connection_pause(connection, socket->is_paused);
  open_socket(socket);
  if (socket->connection && socket->close_reason && !socket->close_sent) {
    g_autofree char *reason = g_steal_pointer(&socket->close_reason);
    send_close(socket, socket->close_code, reason);
    update_deadline(socket);
  }
  return true;
}
