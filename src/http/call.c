// SPDX-License-Identifier: Apache-2.0
/* Calls; see call.h. */
#include "http/call.h"
#include "http/server.h"
#include <string.h>

/* What another thread said, on its way to the I/O thread. */
typedef struct {
  HttpCall *call; /* counted */
  GBytes *piece;
  enum {
    SAY_ANSWER,
    SAY_START,
    SAY_WRITE,
    SAY_END,
    SAY_ABORT,
    SAY_PAUSE,
    SAY_RESUME,
    SAY_FORGOTTEN,
    SAY_TOO_LATE
  } what;
} Saying;

/* ---- references ---- */

HttpCall *call_new(HttpServer *server, HttpIo *io, HttpHead *head, const CallCarrier *carrier, void *stream)
{
  HttpCall *call = g_new0(HttpCall, 1);
  call->refs = 2; /* the carrier's, and one for all users together */
  call->user_refs = 1;
  call->has_loan = true;
  call->io = io_ref(io);
  call->server = server;
  call->head = head;
  call->carrier = carrier;
  call->stream = stream;
  call->max_body_bytes = server_config(server)->max_body_bytes;
  return call;
}

void call_set_peer(HttpCall *call, char *address, char *cn, char *serial)
{
  g_autofree char *client = proxies_client(server_proxies(call->server), address, http_head_field(call->head, "x-forwarded-for"));
  call->address = client ? g_ref_string_new(client) : g_ref_string_acquire(address);
  call->cn = cn ? g_ref_string_acquire(cn) : NULL;
  call->serial = serial ? g_ref_string_acquire(serial) : NULL;
}

void call_unref(HttpCall *call)
{
  if (!g_atomic_int_dec_and_test(&call->refs))
    return;
  if (call->destroy_user)
    call->destroy_user(call->user);
  http_head_free(call->head);
  g_clear_pointer(&call->address, g_ref_string_release);
  g_clear_pointer(&call->cn, g_ref_string_release);
  g_clear_pointer(&call->serial, g_ref_string_release);
  if (call->fields)
    g_string_free(call->fields, TRUE);
  if (call->retry)
    g_string_free(call->retry, TRUE);
  g_free(call->content_type);
  g_queue_clear_full(&call->pieces, (GDestroyNotify)g_bytes_unref);
  if (call->body)
    g_byte_array_unref(call->body);
  io_unref(call->io);
  g_free(call);
}

HttpCall *http_call_ref(HttpCall *call)
{
  g_atomic_int_inc(&call->user_refs);
  return call;
}

/* ---- what handlers say, from any thread ---- */

static void drop_saying(void *arg)
{
  Saying *saying = arg;
  if (saying->piece)
    g_bytes_unref(saying->piece);
  call_unref(saying->call);
  g_free(saying);
}

/* The sink will get no end. */
static void lose_body(HttpCall *call)
{
  if (call->body_mode == BODY_SINK && !call->body_delivered) {
    call->body_delivered = true;
    call->sink.gone(call, call->sink_arg);
  }
  call->body_mode = BODY_DISCARD;
  g_clear_pointer(&call->body, g_byte_array_unref);
}

static void set_paused(HttpCall *call, bool paused)
{
  if (call->is_paused == paused)
    return;
  call->is_paused = paused;
  call->carrier->flow(call);
}

static void start_answer(HttpCall *call)
{
  int status = call->status;
  const char *method = call->head->method;
  call->has_started = true;
  call->length_left = call->content_length >= 0 ? call->content_length : G_MAXINT64;
  call->has_no_body = status == 204 || status == 304 || (method && strcmp(method, "HEAD") == 0);
  if (!call->body_delivered) {
    lose_body(call); /* whoever answers early does not want the rest; a sink is told that nothing follows */
    set_paused(call, false);
  }
}

static void add_piece(HttpCall *call, GBytes *piece)
{
  gsize n = g_bytes_get_size(piece);
  call->written += n;
  g_atomic_pointer_add(&call->queued, -(gssize)n); /* counted when it was said; below what is kept of it */
  if (call->has_no_body || n == 0 || call->length_left == 0)
    return;
  if ((gint64)n > call->length_left) {
    n = (gsize)call->length_left;
    g_queue_push_tail(&call->pieces, g_bytes_new_from_bytes(piece, 0, n));
  } else {
    g_queue_push_tail(&call->pieces, g_bytes_ref(piece));
  }
  call->length_left -= (gint64)n;
  g_atomic_pointer_add(&call->queued, (gssize)n);
}

static void end_answer(HttpCall *call, bool aborted)
{
  bool is_short = call->content_length >= 0 && call->length_left > 0 && !call->has_no_body;
  if (call->has_ended)
    return;
  call->has_ended = true;
  if (aborted || is_short)
    call->carrier->break_off(call);
  else
    call->carrier->more(call);
}

/* A streamed answer of which only the head is wanted: the producer is told that nobody is there for the rest.
 */
static void end_headless(HttpCall *call)
{
  call->has_ended = true;
  call->carrier->answer(call);
  g_atomic_int_set(&call->is_gone, 1);
  if (call->writable)
    call->writable(call, call->writable_arg);
}

static void forget(HttpCall *call)
{
  call->gone = NULL; /* who dropped it needs not be told */
  if (!call_refuse(call, 500, "the request was dropped inside the server") && call->has_started)
    end_answer(call, true);
}

/* Whoever streams an answer is promised at least one call of `writable`, so that it can end. */
static void tell_late_starter(HttpCall *call)
{
  g_atomic_int_set(&call->is_gone, 1);
  if (call->writable)
    call->writable(call, call->writable_arg);
}

static void hear(void *arg)
{
  Saying *saying = arg;
  HttpCall *call = saying->call;
  if (saying->what == SAY_TOO_LATE || (saying->what == SAY_START && !call->carrier))
    tell_late_starter(call);
  if (!call->carrier)
    return;
  switch (saying->what) {
  case SAY_TOO_LATE:
    break;
  case SAY_ANSWER:
    start_answer(call);
    if (saying->piece)
      add_piece(call, saying->piece);
    call->has_ended = true;
    call->carrier->answer(call);
    break;
  case SAY_START:
    start_answer(call);
    if (call->has_no_body) {
      end_headless(call);
      break;
    }
    call->carrier->answer(call);
    if (call->carrier)
      call_produce(call);
    break;
  case SAY_WRITE:
    if (!call->has_ended) {
      add_piece(call, saying->piece);
      if (!call->is_producing) /* else call_produce() goes on with it */
        call->carrier->more(call);
    }
    break;
  case SAY_END:
  case SAY_ABORT:
    end_answer(call, saying->what == SAY_ABORT);
    break;
  case SAY_PAUSE:
  case SAY_RESUME:
    set_paused(call, saying->what == SAY_PAUSE);
    break;
  case SAY_FORGOTTEN:
    forget(call);
    break;
  }
}

/* At once on the I/O thread, else through its inbox. */
static void say(HttpCall *call, int what, GBytes *piece)
{
  if (http_io_is_own_thread(call->io)) {
    Saying saying = {call, piece, what};
    g_atomic_int_inc(&call->refs);
    hear(&saying);
    call_unref(call);
    return;
  }
  Saying *saying = g_new(Saying, 1);
  *saying = (Saying){call, piece ? g_bytes_ref(piece) : NULL, what};
  g_atomic_int_inc(&call->refs);
  io_post(call->io, hear, saying, drop_saying);
}

void http_call_unref(HttpCall *call)
{
  if (!call || !g_atomic_int_dec_and_test(&call->user_refs))
    return;
  if (!g_atomic_int_get(&call->is_gone) && !g_atomic_int_get(&call->is_complete))
    say(call, SAY_FORGOTTEN, NULL);
  call_unref(call);
}

bool http_call_add_header(HttpCall *call, const char *name, const char *value)
{
  if (!value || !http_is_token(name, strlen(name)) || !http_is_field_value(value, strlen(value)))
    return false;
  if (!call->fields)
    call->fields = g_string_sized_new(256);
  g_string_append_len(call->fields, name, (gssize)strlen(name) + 1);
  g_string_append_len(call->fields, value, (gssize)strlen(value) + 1);
  return true;
}

/* true: the caller is the one who answers. */
static bool take_answer(HttpCall *call, int status, const char *content_type, gint64 content_length)
{
  g_assert(status >= 200 && status <= 599);
  if (!g_atomic_int_compare_and_exchange(&call->is_answered, 0, 1))
    return false;
  call->status = status;
  call->said = call->fields;
  call->content_type =
      content_type && http_is_field_value(content_type, strlen(content_type)) ? g_strdup(content_type) : NULL;
  call->content_length = content_length;
  return true;
}

void http_call_answer(HttpCall *call, int status, const char *content_type, GBytes *body)
{
  gsize n = body ? g_bytes_get_size(body) : 0;
  if (!take_answer(call, status, content_type, (gint64)n))
    return;
  g_atomic_int_set(&call->is_complete, 1);
  g_atomic_pointer_add(&call->queued, (gssize)n);
  say(call, SAY_ANSWER, body);
}

void http_call_stream_start(HttpCall *call, int status, const char *content_type, gint64 content_length,
                            void (*writable)(HttpCall *call, void *arg), void *arg)
{
  call->writable = writable;
  call->writable_arg = arg;
  say(call, take_answer(call, status, content_type, content_length) ? SAY_START : SAY_TOO_LATE, NULL);
}

void http_call_stream_write(HttpCall *call, GBytes *piece)
{
  if (g_atomic_int_get(&call->is_gone))
    return;
  g_atomic_pointer_add(&call->queued, (gssize)g_bytes_get_size(piece));
  say(call, SAY_WRITE, piece);
}

gsize http_call_stream_queued(const HttpCall *call)
{
  return (gsize)g_atomic_pointer_get(&((HttpCall *)call)->queued);
}

void http_call_stream_end(HttpCall *call, bool aborted)
{
  g_atomic_int_set(&call->is_complete, 1);
  say(call, aborted ? SAY_ABORT : SAY_END, NULL);
}

void http_call_pause_body(HttpCall *call)
{
  say(call, SAY_PAUSE, NULL);
}

void http_call_resume_body(HttpCall *call)
{
  say(call, SAY_RESUME, NULL);
}

/* ---- what handlers ask ---- */

const char *http_call_method(const HttpCall *call)
{
  return call->head->method;
}

const char *http_call_path(const HttpCall *call)
{
  return call->head->path;
}

guint http_call_query_count(const HttpCall *call)
{
  return call->head->query ? call->head->query->len : 0;
}

void http_call_nth_query(const HttpCall *call, guint i, const char **name, const char **value)
{
  g_assert(i < http_call_query_count(call));
  const HttpParameter *parameter = &g_array_index(call->head->query, HttpParameter, i);
  *name = parameter->name;
  *value = parameter->value;
}

const char *http_call_query(const HttpCall *call, const char *name)
{
  for (guint i = 0; i < http_call_query_count(call); i++) {
    const HttpParameter *parameter = &g_array_index(call->head->query, HttpParameter, i);
    if (strcmp(parameter->name, name) == 0)
      return parameter->value;
  }
  return NULL;
}

const char *http_call_header(const HttpCall *call, const char *name)
{
  return http_head_field(call->head, name);
}

const char *http_call_peer_address(const HttpCall *call)
{
  return call->address;
}

const char *http_call_peer_cn(const HttpCall *call)
{
  return call->cn;
}

const char *http_call_peer_serial(const HttpCall *call)
{
  return call->serial;
}

void http_call_set_user(HttpCall *call, void *user, GDestroyNotify destroy)
{
  if (call->destroy_user)
    call->destroy_user(call->user);
  call->user = user;
  call->destroy_user = destroy;
}

void *http_call_user(const HttpCall *call)
{
  return call->user;
}

bool http_call_is_gone(const HttpCall *call)
{
  return g_atomic_int_get(&call->is_gone);
}

void http_call_on_gone(HttpCall *call, void (*gone)(HttpCall *call, void *arg), void *arg)
{
  call->gone = gone;
  call->gone_arg = arg;
}

bool http_call_wants_upgrade(const HttpCall *call)
{
  const HttpHead *head = call->head;
  return call->carrier && call->carrier->upgrade && g_strcmp0(head->method, "GET") == 0 &&
         http_head_field_has(head, "connection", "upgrade") &&
         http_head_field_has(head, "upgrade", "websocket") &&
         g_strcmp0(http_head_field(head, "sec-websocket-version"), "13") == 0 &&
         http_head_field(head, "sec-websocket-key") && head->content_length <= 0 && !head->chunked;
}

HttpSocket *http_call_upgrade(HttpCall *call, const char *protocol, const HttpSocketEvents *events, void *arg)
{
  g_assert(http_call_wants_upgrade(call));
  bool first = g_atomic_int_compare_and_exchange(&call->is_answered, 0, 1);
  g_assert(first);
  g_atomic_int_set(&call->is_complete, 1);
  return call->carrier->upgrade(call, protocol, events, arg);
}

/* ---- the carrier's side ---- */

static void drop_loan(HttpCall *call)
{
  if (!call->has_loan)
    return;
  call->has_loan = false;
  http_call_unref(call);
}

void call_begin(HttpCall *call)
{
  const HttpServerConfig *config = server_config(call->server);
  server_count_call(call->server);
  g_atomic_int_inc(&call->refs);
  config->on_request(call, config->arg);
  if (g_atomic_int_get(&call->is_answered) || !call->carrier)
    drop_loan(call);
  call_unref(call);
}

void http_call_stream_body(HttpCall *call, const HttpBodySink *sink, void *arg, guint64 max_bytes)
{
  g_assert(call->body_mode == BODY_WHOLE && call->body_bytes == 0);
  call->body_mode = BODY_SINK;
  call->sink = *sink;
  call->sink_arg = arg;
  call->max_body_bytes = max_bytes;
}

void http_call_limit_body(HttpCall *call, guint64 max_bytes)
{
  call->max_body_bytes = MIN(call->max_body_bytes, max_bytes);
}

bool call_wants_body(const HttpCall *call)
{
  return call->body_mode != BODY_DISCARD;
}

static void hold(HttpCall *call, const char *bytes, gsize n)
{
  if (!call->body)
    call->body = g_byte_array_new();
  g_byte_array_append(call->body, (const guint8 *)bytes, (guint)n);
}

bool call_body_bytes(HttpCall *call, const char *bytes, gsize n)
{
  if (n == 0 || call->body_mode == BODY_DISCARD)
    return true;
  call->body_bytes += n;
  if (call->body_bytes > call->max_body_bytes) {
    call_refuse(call, 413, "the body is too large");
    return false;
  }
  if (call->body_mode == BODY_WHOLE || call->is_paused || call->body)
    hold(call, bytes, n);
  else
    call->sink.piece(call, bytes, n, call->sink_arg);
  return true;
}

/* Hands over what is due; whoever was promised an end gets it once. */
static void deliver_body(HttpCall *call)
{
  const HttpServerConfig *config = server_config(call->server);
  if (call->body_mode == BODY_SINK && call->is_paused)
    return;
  g_autoptr(GByteArray) body = g_steal_pointer(&call->body);
  if (call->body_mode == BODY_WHOLE) {
    call->body_delivered = true;
    if (config->on_body && !g_atomic_int_get(&call->is_answered))
      config->on_body(call, body ? (const char *)body->data : "", body ? body->len : 0, config->arg);
    return;
  }
  if (body)
    for (gsize at = 0; at < body->len && !call->is_paused && call->body_mode == BODY_SINK;) {
      gsize n = MIN(body->len - at, (gsize)IO_INPUT_BYTES);
      call->sink.piece(call, (const char *)body->data + at, n, call->sink_arg);
      at += n;
      if (call->is_paused && at < body->len) {
        hold(call, (const char *)body->data + at, body->len - at);
        return;
      }
    }
  if (call->body_complete && !call->is_paused && call->body_mode == BODY_SINK && !call->body_delivered) {
    call->body_delivered = true;
    call->sink.piece(call, NULL, 0, call->sink_arg);
  }
}

void call_body_end(HttpCall *call)
{
  g_atomic_int_inc(&call->refs);
  call->body_complete = true;
  if (call->body_mode != BODY_DISCARD)
    deliver_body(call);
  if (call->body_delivered || call->body_mode == BODY_DISCARD)
    drop_loan(call);
  call_unref(call);
}

void call_resume(HttpCall *call)
{
  g_atomic_int_inc(&call->refs);
  if (call->body_mode == BODY_SINK && !call->body_delivered)
    deliver_body(call);
  if (call->body_delivered)
    drop_loan(call);
  call_unref(call);
}

bool call_refuse(HttpCall *call, int status, const char *why)
{
  if (!take_answer(call, status, "application/json", 0))
    return false;
  g_autoptr(GBytes) body = server_refusal(call->server, status, why);
  server_count_refusal(call->server);
  call->said = NULL;
  if (status == 429 || status == 503) {
    static const char retry[] = "Retry-After\0001";
    call->said = call->retry = g_string_new_len(retry, sizeof retry);
  }
  call->content_length = (gint64)g_bytes_get_size(body);
  g_atomic_int_set(&call->is_complete, 1);
  g_atomic_int_set(&call->is_gone, 1);
  g_atomic_pointer_add(&call->queued, (gssize)call->content_length);
  lose_body(call);
  if (call->gone)
    call->gone(call, call->gone_arg);
  call->gone = NULL;
  say(call, SAY_ANSWER, body);
  return true;
}

GBytes *call_take_piece(HttpCall *call)
{
  GBytes *piece = g_queue_pop_head(&call->pieces);
  if (piece)
    g_atomic_pointer_add(&call->queued, -(gssize)g_bytes_get_size(piece));
  return piece;
}

void call_return_piece(HttpCall *call, GBytes *piece)
{
  g_queue_push_head(&call->pieces, piece);
  g_atomic_pointer_add(&call->queued, (gssize)g_bytes_get_size(piece));
}

void call_produce(HttpCall *call)
{
  if (!call->writable || call->is_producing)
    return;
  call->is_producing = true;
  g_atomic_int_inc(&call->refs);
  while (call->carrier && !call->has_ended && http_call_stream_queued(call) < CALL_LOW_BYTES) {
    guint64 before = call->written;
    call->writable(call, call->writable_arg);
    if (call->written == before || !call->carrier)
      break;
    call->carrier->more(call);
  }
  call->is_producing = false;
  call_unref(call);
}

void call_detach(HttpCall *call)
{
  if (!call->carrier)
    return;
  call->carrier = NULL;
  call->gone = NULL;
  drop_loan(call);
  call_unref(call);
}

void call_lose(HttpCall *call)
{
  bool was_streaming = call->has_started && !call->has_ended;
  if (!call->carrier)
    return;
  call->carrier = NULL;
  g_atomic_int_set(&call->is_gone, 1);
  lose_body(call);
  if (was_streaming && call->writable)
    call->writable(call, call->writable_arg);
  if (call->gone)
    call->gone(call, call->gone_arg);
  drop_loan(call);
  call_unref(call);
}

const char *call_status_text(int status)
{
  static const struct {
    int status;
    const char *text;
  } texts[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {423, "Locked"},
      {428, "Precondition Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
    if (texts[i].status == status)
      return texts[i].text;
  return "Status";
}
