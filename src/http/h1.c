// SPDX-License-Identifier: Apache-2.0
/* HTTP/1.1; see h1.h. RFC 9112.
 *
 * A connection is in one of three states: it reads a head, reads a body, or waits for the answer; the answer
 * may be written at any time after the head. Requests that were sent ahead wait in the connection's rest, and
 * reading stops when that is full. */
#include "http/h1.h"
#include "http/call.h"
#include "http/chunk.h"
#include "http/deflate.h"
#include "http/server.h"
#include "http/socket.h"
#include <string.h>

/* An unwanted body up to this size is read and thrown away, so that the connection can be used again. */
enum { DISCARD_BYTES = 256 * 1024 };

typedef struct {
  Connection *connection;
  HttpCall *call; /* NULL: none under way */
  enum { H1_HEAD, H1_BODY, H1_WAIT } state;
  gsize seen;       /* of an incomplete head */
  bool has_begun;   /* some of the head is there */
  gint64 since_us;  /* begin of: idling, the head, the whole body; or the last bytes of a streamed body */
  gint64 body_left; /* unless chunked */
  ChunkReader chunks;
  bool continue_due; /* the client waits for "100 Continue" before it sends the body */
  bool chunked_answer, chunk_open;
  bool is_answered;      /* the whole answer has been queued */
  bool will_close;       /* after it */
  HttpSocket *upgraded;  /* becomes the connection's role; counted */
  bool is_busy, is_over; /* inside input(); the connection died meanwhile */
} H1;

static const CallCarrier h1_carrier;
static const ConnectionRole h1_role;
static void pump(H1 *h1);

static gint64 idle_us(const H1 *h1)
{
  return (gint64)server_config(h1->connection->server)->idle_timeout_s * G_USEC_PER_SEC;
}

static void update_deadline(H1 *h1)
{
  const HttpServerConfig *config = server_config(h1->connection->server);
  gint64 when = connection_send_deadline(h1->connection, idle_us(h1));
  gint64 allowed_us = idle_us(h1);
  bool waits = h1->state != H1_WAIT;
  if (h1->connection->phase != CONNECTION_OPEN)
    return;
  if (h1->state == H1_HEAD && h1->has_begun)
    allowed_us = (gint64)config->header_timeout_s * G_USEC_PER_SEC;
  else if (h1->state == H1_BODY && h1->call->body_mode == BODY_WHOLE)
    allowed_us = (gint64)config->body_timeout_s * G_USEC_PER_SEC;
  else if (h1->state == H1_BODY && h1->call->is_paused)
    waits = false;
  if (waits)
    when = MIN(when, h1->since_us + allowed_us);
  connection_set_deadline(h1->connection, when == G_MAXINT64 ? 0 : when);
}

static void enter(H1 *h1, int state)
{
  h1->state = state;
  h1->since_us = io_now_us(h1->connection->io);
}

/* ---- the answer ---- */

/* Whether the connection ends with this answer. */
static bool must_close(const H1 *h1, const HttpCall *call)
{
  bool unread = h1->state == H1_BODY;
  return h1->will_close || !call->head->keep_alive ||
         (h1->connection->input_ended && !h1->connection->rest) ||
         (call->head->is_http10 && call->content_length < 0 && !call->has_no_body) ||
         (unread && (h1->continue_due || call->head->chunked || h1->body_left > DISCARD_BYTES));
}

static void append_field(GString *head, const char *name, const char *value)
{
  g_string_append(head, name);
  g_string_append_len(head, ": ", 2);
  g_string_append(head, value);
  g_string_append_len(head, "\r\n", 2);
}

static void append_head(const H1 *h1, const HttpCall *call, GString *head)
{
  g_string_append_printf(head, "HTTP/1.1 %d %s\r\n", call->status, call_status_text(call->status));
  append_field(head, "Date", io_date(call->io));
  if (call->content_type)
    append_field(head, "Content-Type", call->content_type);
  if (h1->chunked_answer)
    g_string_append(head, "Transfer-Encoding: chunked\r\n");
  else if (call->content_length > 0 ||
           (call->content_length == 0 && call->status != 204 && call->status != 304))
    g_string_append_printf(head, "Content-Length: %" G_GINT64_FORMAT "\r\n", call->content_length);
  if (h1->will_close)
    g_string_append(head, "Connection: close\r\n");
  else if (call->head->is_http10)
    g_string_append(head, "Connection: keep-alive\r\n");
  for (gsize at = 0; call->said && at < call->said->len;) {
    const char *name = call->said->str + at, *value = name + strlen(name) + 1;
    append_field(head, name, value);
    at = (gsize)(value + strlen(value) + 1 - call->said->str);
  }
  g_string_append(head, "\r\n");
}

static void answer(HttpCall *call)
{
  H1 *h1 = call->stream;
  g_autoptr(GString) head = g_string_sized_new(512);
  g_autoptr(GBytes) piece = NULL;
  h1->will_close = must_close(h1, call);
  h1->chunked_answer = call->content_length < 0 && !call->has_no_body && !call->head->is_http10;
  append_head(h1, call, head);
  if (!h1->chunked_answer)
    piece = call_take_piece(call);
  connection_send(h1->connection, head->str, head->len, piece);
  pump(h1);
}

/* The next request, or the end. */
static void settle(H1 *h1)
{
  Connection *connection = h1->connection;
  if (!h1->is_answered)
    return;
  if (h1->will_close) {
    call_detach(g_steal_pointer(&h1->call));
    connection_finish(connection);
    return;
  }
  if (h1->state != H1_WAIT)
    return; /* throws the rest of the body away first */
  call_detach(g_steal_pointer(&h1->call));
  h1->is_answered = h1->has_begun = false;
  h1->seen = 0;
  connection->idle_since_us = io_now_us(connection->io);
  enter(h1, H1_HEAD);
  if (connection->rest)
    connection_kick(connection);
}

static void send_piece(H1 *h1, GBytes *piece)
{
  char size[24];
  int n = 0;
  if (h1->chunked_answer) {
    n = g_snprintf(size, sizeof size, "%s%zx\r\n", h1->chunk_open ? "\r\n" : "", g_bytes_get_size(piece));
    h1->chunk_open = true;
  }
  connection_send(h1->connection, size, (gsize)n, piece);
}

/* Moves pieces from the call to the connection as long as that has room. */
static void pump(H1 *h1)
{
  HttpCall *call = h1->call;
  if (!call || !call->has_started || h1->is_answered)
    return;
  while (h1->connection->out_bytes < CONNECTION_LOW_BYTES && !g_queue_is_empty(&call->pieces)) {
    g_autoptr(GBytes) piece = call_take_piece(call);
    send_piece(h1, piece);
  }
  if (call->has_ended && g_queue_is_empty(&call->pieces)) {
    if (h1->chunked_answer)
      connection_send(h1->connection, h1->chunk_open ? "\r\n0\r\n\r\n" : "0\r\n\r\n", h1->chunk_open ? 7 : 5,
                      NULL);
    h1->chunk_open = false;
    h1->is_answered = true;
    settle(h1);
  }
  update_deadline(h1);
}

static void more(HttpCall *call)
{
  pump(call->stream);
}

static void break_off(HttpCall *call)
{
  H1 *h1 = call->stream;
  Connection *connection = h1->connection;
  bool by_length = h1->chunked_answer || call->content_length >= 0;
  call_detach(g_steal_pointer(&h1->call));
  if (by_length)
    connection_finish(connection); /* the peer misses the end and knows */
  else
    connection_abort(connection, "the answer was broken off");
}

static void flow(HttpCall *call)
{
  H1 *h1 = call->stream;
  connection_pause(h1->connection, call->is_paused);
  h1->since_us = io_now_us(call->io);
  if (!call->is_paused)
    call_resume(call);
  if (call->carrier)
    update_deadline(h1);
}

static HttpSocket *upgrade(HttpCall *call, const char *protocol, const HttpSocketEvents *events, void *arg)
{
  H1 *h1 = call->stream;
  g_autofree char *accept = socket_accept_key(http_call_header(call, "sec-websocket-key"));
  g_autoptr(GString) head = g_string_new("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n");
  g_assert(!protocol || http_is_token(protocol, strlen(protocol)));
  g_string_append_printf(head, "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", accept);
  if (protocol)
    g_string_append_printf(head, "Sec-WebSocket-Protocol: %s\r\n", protocol);
  const char *deflate = events->deflate ? deflate_accept(http_call_header(call, "sec-websocket-extensions")) : NULL;
  if (deflate)
    g_string_append_printf(head, "Sec-WebSocket-Extensions: %s\r\n", deflate);
  g_string_append(head, "\r\n");
  connection_send(h1->connection, head->str, head->len, NULL);
  HttpSocket *socket = socket_new(call->io, true, events, arg);
  if (deflate)
    socket_set_deflate(socket);
  h1->upgraded = http_socket_ref(socket);
  return http_socket_ref(socket);
}

static const CallCarrier h1_carrier = {
    .answer = answer, .more = more, .break_off = break_off, .flow = flow, .upgrade = upgrade};

/* ---- the request ---- */

static void new_call(H1 *h1, HttpHead *head)
{
  Connection *connection = h1->connection;
  h1->call = call_new(connection->server, connection->io, head, &h1_carrier, h1);
  call_set_peer(h1->call, connection->address, connection->cn, connection->serial);
  h1->is_answered = h1->chunked_answer = h1->chunk_open = false;
}

/* Answers a request that is none, and closes. */
static void refuse_head(H1 *h1, HttpHead *head, int status, const char *why)
{
  new_call(h1, head ? head : http_head_new());
  h1->will_close = true;
  h1->state = H1_WAIT;
  call_refuse(h1->call, status, why);
}

static void end_body(H1 *h1)
{
  enter(h1, H1_WAIT);
  call_body_end(h1->call);
  if (h1->call)
    settle(h1);
}

static void begin_call(H1 *h1, HttpHead *head)
{
  Connection *connection = h1->connection;
  h1->continue_due = head->expects_continue;
  h1->body_left = MAX(head->content_length, 0);
  h1->chunks = (ChunkReader){0};
  if (connection->refusal) {
    refuse_head(h1, head, connection->refusal, "too many connections");
    return;
  }
  new_call(h1, head);
  enter(h1, head->chunked || h1->body_left > 0 ? H1_BODY : H1_WAIT);
  call_begin(h1->call);
  if (!h1->call || h1->upgraded)
    return;
  if (h1->state == H1_WAIT) {
    end_body(h1);
    return;
  }
  if (h1->call->body_mode == BODY_WHOLE && h1->body_left > (gint64)h1->call->max_body_bytes) {
    call_refuse(h1->call, 413, "the body is too large");
  } else if (h1->continue_due && call_wants_body(h1->call)) {
    connection_send(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL);
    h1->continue_due = false;
  }
}

/* false: more is needed. */
static bool take_head(H1 *h1, const char *bytes, gsize n, gsize *used)
{
  HttpFlaw flaw = {400, "the request is not valid"};
  if (n == 0 ||
      h1->connection->out_bytes >= CONNECTION_LOW_BYTES) /* it sends ahead but does not read: later */
    return false;
  if (!h1->has_begun)
    enter(h1, H1_HEAD);
  h1->has_begun = true;
  gsize length = http_head_find_end(bytes, n, &h1->seen);
  if (length == 0) {
    if (n <= HTTP_MAX_HEAD_BYTES)
      return false;
    bool in_line = !memchr(bytes, '\n', HTTP_MAX_TARGET_BYTES);
    refuse_head(h1, NULL, in_line ? 414 : 431,
                in_line ? "the request target is too long" : "the header is too long");
    *used = n;
    return true;
  }
  *used = length;
  HttpHead *head = http_head_parse_request(bytes, length, &flaw);
  if (head)
    begin_call(h1, head);
  else
    refuse_head(h1, NULL, flaw.status, flaw.why);
  return true;
}

static void take_part(H1 *h1, const char *part, gsize n)
{
  if (h1->call->body_mode != BODY_WHOLE)
    h1->since_us = io_now_us(h1->connection->io);
  call_body_bytes(h1->call, part, n);
}

static bool take_body(H1 *h1, const char *bytes, gsize n, gsize *used)
{
  const char *at = bytes, *part;
  if (h1->call->is_paused)
    return false;
  if (!h1->call->head->chunked) {
    gsize take = MIN(n, (guint64)h1->body_left);
    if (take == 0)
      return false;
    h1->body_left -= (gint64)take;
    *used = take;
    take_part(h1, bytes, take);
    if (h1->call && h1->body_left == 0)
      end_body(h1);
    return true;
  }
  gsize part_n;
  ChunkResult result = chunk_reader_take(&h1->chunks, &at, &n, &part, &part_n);
  *used = (gsize)(at - bytes);
  if (result == CHUNK_DATA) {
    take_part(h1, part, part_n);
  } else if (result == CHUNK_END) {
    end_body(h1);
  } else if (result == CHUNK_BAD) {
    h1->will_close = true;
    if (!call_refuse(h1->call, 400, "the chunked body is not valid"))
      connection_finish(h1->connection);
  }
  return result != CHUNK_MORE;
}

static void free_h1(H1 *h1)
{
  g_free(h1);
}

/* The socket takes over: h1 ends. */
static void become_socket(H1 *h1)
{
  Connection *connection = h1->connection;
  g_autoptr(HttpSocket) socket = g_steal_pointer(&h1->upgraded);
  call_detach(g_steal_pointer(&h1->call));
  free_h1(h1);
  socket_start(socket, connection);
}

static gsize input(Connection *connection, char *bytes, gsize n)
{
  H1 *h1 = connection->state;
  gsize used = 0;
  bool goes_on = true;
  h1->is_busy = true;
  while (goes_on && !h1->is_over && !h1->upgraded && connection->phase == CONNECTION_OPEN) {
    gsize step = 0;
    if (h1->state == H1_HEAD)
      goes_on = take_head(h1, bytes + used, n - used, &step);
    else if (h1->state == H1_BODY)
      goes_on = take_body(h1, bytes + used, n - used, &step);
    else
      goes_on = false;
    used += step;
  }
  h1->is_busy = false;
  if (h1->is_over)
    free_h1(h1);
  else if (h1->upgraded)
    become_socket(h1);
  else
    update_deadline(h1);
  return used;
}

/* ---- what happens to the connection ---- */

static void ended_input(Connection *connection)
{
  H1 *h1 = connection->state;
  if (h1->state == H1_WAIT)
    return; /* it may have closed only its half: answer first */
  if (h1->state == H1_HEAD && !h1->has_begun)
    connection_finish(connection);
  else
    connection_abort(connection, "the peer broke off its request");
}

static void sent(Connection *connection, gsize n)
{
  H1 *h1 = connection->state;
  HttpCall *call = h1->call;
  if (call) {
    pump(h1);
    if (h1->call == call && !h1->is_answered)
      call_produce(call);
  } else if (h1->state == H1_HEAD && connection->rest && connection->out_bytes < CONNECTION_LOW_BYTES) {
    connection_kick(connection); /* requests that waited for room */
  }
  if (!connection->is_dead)
    update_deadline(h1);
}

static void expired(Connection *connection)
{
  H1 *h1 = connection->state;
  if (io_now_us(connection->io) >= connection_send_deadline(connection, idle_us(h1))) {
    connection_abort(connection, "the peer does not read");
  } else if (h1->state == H1_HEAD) {
    if (h1->has_begun)
      refuse_head(h1, NULL, 408, "the request did not come in time");
    else
      connection_finish(connection);
  } else if (h1->state == H1_BODY) {
    h1->will_close = true;
    if (!call_refuse(h1->call, 408, "the body did not come in time"))
      connection_abort(connection, "the body did not come in time");
  }
}

static bool is_idle(Connection *connection)
{
  H1 *h1 = connection->state;
  return h1->state == H1_HEAD && !h1->has_begun && !connection->first;
}

static void over(Connection *connection, const char *why)
{
  H1 *h1 = connection->state;
  HttpCall *call = g_steal_pointer(&h1->call);
  if (h1->upgraded) {
    socket_fail(h1->upgraded, why);
    g_clear_pointer(&h1->upgraded, http_socket_unref);
  }
  if (call)
    call_lose(call);
  if (h1->is_busy)
    h1->is_over = true;
  else
    free_h1(h1);
}

static const ConnectionRole h1_role = {.input = input,
                                       .ended_input = ended_input,
                                       .sent = sent,
                                       .expired = expired,
                                       .is_idle = is_idle,
                                       .over = over};

void h1_start(Connection *connection)
{
  H1 *h1 = g_new0(H1, 1);
  h1->connection = connection;
  connection_set_role(connection, &h1_role, h1);
  enter(h1, H1_HEAD);
  update_deadline(h1);
}
