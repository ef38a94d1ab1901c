// SPDX-License-Identifier: Apache-2.0
/* HTTP without a network; see local.h. A carrier of calls (call.h) and a peer of sockets (socket.h). */
#include "http/local.h"
#include "http/call.h"
#include "http/server.h"
#include "http/socket.h"
#include <string.h>

struct HttpLocal {
  gint refs; /* the peer's, and one of each post and of the call or socket */
  HttpServer *server;
  HttpIo *io;
  const HttpLocalEvents *events; /* NULL: the peer is gone */
  void *arg;
  HttpHead *head;
  char *address, *cn, *serial; /* GRefString */
  GBytes *body;
  HttpCall *call;     /* while the carrier's; NULL: not begun, or over */
  HttpSocket *socket; /* counted; NULL: none */
  const GString *fields; /* of the answer, while it is told */
  bool is_over;
};

static HttpLocal *local_ref(HttpLocal *local)
{
  local->refs++;
  return local;
}

static void local_unref(void *arg)
{
  HttpLocal *local = arg;
  if (--local->refs > 0)
    return;
  http_head_free(local->head);
  g_clear_pointer(&local->address, g_ref_string_release);
  g_clear_pointer(&local->cn, g_ref_string_release);
  g_clear_pointer(&local->serial, g_ref_string_release);
  g_clear_pointer(&local->body, g_bytes_unref);
  http_socket_unref(local->socket);
  io_unref(local->io);
  g_free(local);
}

/* ---- the answer ---- */

static const char *find_field(HttpLocal *local, const char *name)
{
  const GString *fields = local->fields;
  for (gsize at = 0; fields && at < fields->len;) {
    const char *found = fields->str + at, *value = found + strlen(found) + 1;
    if (g_ascii_strcasecmp(found, name) == 0)
      return value;
    at = (gsize)(value - fields->str) + strlen(value) + 1;
  }
  return NULL;
}

static void tell_answer(HttpLocal *local, HttpCall *call)
{
  g_autoptr(GByteArray) whole = g_byte_array_new();
  for (GBytes *piece; (piece = call_take_piece(call)); g_bytes_unref(piece))
    g_byte_array_append(whole, g_bytes_get_data(piece, NULL), (guint)g_bytes_get_size(piece));
  g_autoptr(GBytes) body = g_bytes_new(whole->data, whole->len);
  local->is_over = true;
  local->fields = call->said;
  if (local->events && local->events->answered)
    local->events->answered(local, call->status, find_field, body, local->arg);
  local->fields = NULL;
}

static void release_call(HttpLocal *local)
{
  HttpCall *call = g_steal_pointer(&local->call);
  if (call)
    call_detach(call);
}

/* The carrier's side: a streamed answer is kept until it is whole. */
static void carrier_answer(HttpCall *call)
{
  HttpLocal *local = call->stream;
  if (!call->has_ended)
    return;
  tell_answer(local, call);
  release_call(local);
}

static void carrier_more(HttpCall *call)
{
  if (call->has_ended)
    carrier_answer(call);
}

static void carrier_break_off(HttpCall *call)
{
  HttpLocal *local = call->stream;
  local->is_over = true;
  if (local->events && local->events->closed)
    local->events->closed(local, 1006, "the answer was broken off", local->arg);
  release_call(local);
}

static void carrier_flow(HttpCall *call)
{
  if (!call->is_paused)
    call_resume(call);
}

/* ---- sockets ---- */

static void peer_message(void *arg, GBytes *message, bool binary)
{
  HttpLocal *local = arg;
  if (local->events && local->events->message)
    local->events->message(local, message, binary, local->arg);
}

static void peer_closed(void *arg, int code, const char *reason)
{
  HttpLocal *local = arg;
  local->is_over = true;
  if (local->events && local->events->closed)
    local->events->closed(local, code, reason, local->arg);
}

static void start_socket(void *arg)
{
  HttpLocal *local = arg;
  static const SocketPeer peer = {.message = peer_message, .closed = peer_closed, .destroy = local_unref};
  if (!local->events) {
    socket_fail(local->socket, "the peer is gone");
    return;
  }
  if (local->events->upgraded)
    local->events->upgraded(local, local->arg);
  socket_start_local(local->socket, local->address, &peer, local_ref(local));
}

/* As over a real connection, the socket's events begin after on_request has returned. */
static HttpSocket *carrier_upgrade(HttpCall *call, const char *protocol, const HttpSocketEvents *events, void *arg)
{
  HttpLocal *local = call->stream;
  local->socket = http_socket_ref(socket_new(local->io, true, events, arg)); /* beside the living socket's own */
  io_post(local->io, start_socket, local_ref(local), local_unref);
  return http_socket_ref(local->socket);
}

static const CallCarrier local_carrier = {.answer = carrier_answer,
                                          .more = carrier_more,
                                          .break_off = carrier_break_off,
                                          .flow = carrier_flow,
                                          .upgrade = carrier_upgrade};

/* ---- requests ---- */

static void begin(void *arg)
{
  HttpLocal *local = arg;
  gsize n = 0;
  const char *body = local->body ? g_bytes_get_data(local->body, &n) : NULL;
  if (!local->events)
    return;
  HttpCall *call = call_new(local->server, local->io, g_steal_pointer(&local->head), &local_carrier, local);
  call_set_peer(call, local->address, local->cn, local->serial);
  local->call = call;
  server_count_call(local->server);
  g_atomic_int_inc(&call->refs); /* not the users' count, which may be at its end */
  call_begin(call);
  if (local->call && n > 0)
    call_body_bytes(call, body, n);
  if (local->socket)
    release_call(local); /* the socket goes on alone */
  else if (local->call)
    call_body_end(call);
  call_unref(call);
}

static char *format_head(const HttpLocalRequest *request)
{
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "%s %s HTTP/1.1\r\nhost: winsphere\r\n", request->method, request->target);
  for (const char *const *at = request->headers; at && at[0]; at += 2)
    g_string_append_printf(text, "%s: %s\r\n", at[0], at[1]);
  if (request->body)
    g_string_append_printf(text, "content-length: %" G_GSIZE_FORMAT "\r\n", request->body_bytes);
  g_string_append(text, "\r\n");
  return g_string_free(text, FALSE);
}

static char *ref_string(const char *text)
{
  return text ? g_ref_string_new(text) : NULL;
}

HttpLocal *http_local_request(HttpServer *server, const HttpLocalRequest *request, const HttpLocalEvents *events, void *arg)
{
  g_autofree char *text = format_head(request);
  HttpFlaw flaw;
  HttpHead *head = http_head_parse_request(text, strlen(text), &flaw);
  if (!head)
    return NULL;
  HttpLocal *local = g_new0(HttpLocal, 1);
  *local = (HttpLocal){.refs = 1,
                       .server = server,
                       .io = io_ref(server_io(server)),
                       .events = events,
                       .arg = arg,
                       .head = head,
                       .address = ref_string(request->address),
                       .cn = ref_string(request->cn),
                       .serial = ref_string(request->serial),
                       .body = request->body ? g_bytes_new(request->body, request->body_bytes) : NULL};
  io_post(local->io, begin, local_ref(local), local_unref);
  return local;
}

typedef struct {
  HttpLocal *local;
  GBytes *message;
  bool binary;
} Said;

static void drop_said(void *arg)
{
  Said *said = arg;
  local_unref(said->local);
  g_bytes_unref(said->message);
  g_free(said);
}

static void hear_said(void *arg)
{
  const Said *said = arg;
  if (said->local->socket)
    socket_take_local(said->local->socket, said->message, said->binary);
}

void http_local_send(HttpLocal *local, GBytes *message, bool binary)
{
  Said *said = g_new(Said, 1);
  *said = (Said){local_ref(local), g_bytes_ref(message), binary};
  io_post(local->io, hear_said, said, drop_said);
}

typedef struct {
  HttpLocal *local;
  gsize bytes;
} Took;

static void drop_took(void *arg)
{
  local_unref(((Took *)arg)->local);
  g_free(arg);
}

static void hear_took(void *arg)
{
  const Took *took = arg;
  if (took->local->socket)
    socket_sent_local(took->local->socket, took->bytes);
}

void http_local_took(HttpLocal *local, gsize bytes)
{
  Took *took = g_new(Took, 1);
  *took = (Took){local_ref(local), bytes};
  io_post(local->io, hear_took, took, drop_took);
}

static void hear_gone(void *arg)
{
  HttpLocal *local = arg;
  HttpCall *call = g_steal_pointer(&local->call);
  if (call)
    call_lose(call);
  if (local->socket)
    socket_fail(local->socket, "the peer broke off the connection");
}

void http_local_free(HttpLocal *local)
{
  if (!local)
    return;
  local->events = NULL;
  io_post(local->io, hear_gone, local_ref(local), local_unref);
  local_unref(local);
}
