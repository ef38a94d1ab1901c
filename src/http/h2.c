// SPDX-License-Identifier: Apache-2.0
/* HTTP/2; see h2.h. RFC 9113, by nghttp2, which also fends off floods of resets, pings, settings and
 * continuations.
 *
 * nghttp2 may not be asked to send while it takes input, so answers that are said there leave when it is
 * through (pump). A stream's window is given back to the peer only for bytes that the handler has seen: a
 * paused body stops its peer after CALL_HELD_BYTES, the other streams go on. Streams have no timers of their
 * own: while there are any, all are looked at every few seconds. */
#include "http/h2.h"
#include "http/call.h"
#include "http/server.h"
#include <nghttp2/nghttp2.h>
#include <string.h>

enum {
  MAX_STREAMS = 100,
  CONNECTION_WINDOW_BYTES = 1024 * 1024,
  LOOK_EVERY_US = 2 * G_USEC_PER_SEC,
};

typedef struct {
  Connection *connection;
  nghttp2_session *session;
  GQueue streams;        /* Stream */
  gint64 idle_since_us;  /* when the last stream went */
  bool is_busy, is_over; /* inside nghttp2; the connection died meanwhile */
  bool is_pumping;
} H2;

typedef struct {
  GList link; /* in streams */
  H2 *h2;
  gint32 id;
  HttpHead *head;            /* while its fields come */
  HttpFlaw flaw;             /* status 0: none */
  HttpCall *call;            /* NULL: not yet, or through */
  gint64 since_us, moved_us; /* begin; last bytes in or out */
  gsize unseen;              /* body bytes held, whose window is not given back */
  bool is_deferred;          /* nghttp2 waits for us to say that there is more to send */
  bool was_taken;            /* pieces went out in this pump: ask for more */
  bool input_ended, is_answered;
} Stream;

static const CallCarrier h2_carrier;
static void pump(H2 *h2);

static gint64 now_us(const H2 *h2)
{
  return io_now_us(h2->connection->io);
}

/* ---- the answer ---- */

/* The next bytes of an answer, for nghttp2's frame. */
static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
  Stream *stream = source->ptr;
  HttpCall *call = stream->call;
  gsize filled = 0;
  while (call && filled < n) {
    g_autoptr(GBytes) piece = call_take_piece(call);
    if (!piece)
      break;
    gsize size;
    const char *bytes = g_bytes_get_data(piece, &size);
    gsize take = MIN(size, n - filled);
    memcpy(buf + filled, bytes, take);
    filled += take;
    if (take < size)
      call_return_piece(call, g_bytes_new_from_bytes(piece, take, size - take));
  }
  stream->was_taken = stream->was_taken || filled > 0;
  stream->moved_us = now_us(stream->h2);
  if (call && call->has_ended && g_queue_is_empty(&call->pieces)) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    stream->is_answered = true;
  } else if (filled == 0) {
    stream->is_deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  return (ssize_t)filled;
}

static void add_field(GArray *fields, const char *name, const char *value)
{
  nghttp2_nv field = {
      .name = (uint8_t *)name, .namelen = strlen(name), .value = (uint8_t *)value, .valuelen = strlen(value)};
  g_array_append_val(fields, field);
}

/* HTTP/2 knows no header of the connection, and only lower case. */
static void add_call_fields(GArray *fields, HttpCall *call)
{
  static const char *const of_connection[] = {"connection", "keep-alive", "transfer-encoding", "upgrade"};
  for (gsize at = 0; call->said && at < call->said->len;) {
    char *name = call->said->str + at, *value = name + strlen(name) + 1;
    bool drop = false;
    for (char *c = name; *c; c++)
      *c = g_ascii_tolower(*c);
    for (guint i = 0; i < G_N_ELEMENTS(of_connection); i++)
      drop = drop || strcmp(name, of_connection[i]) == 0;
    if (!drop)
      add_field(fields, name, value);
    at = (gsize)(value + strlen(value) + 1 - call->said->str);
  }
}

static void answer(HttpCall *call)
{
  Stream *stream = call->stream;
  char status[16], length[24];
  g_autoptr(GArray) fields = g_array_sized_new(FALSE, FALSE, sizeof(nghttp2_nv), 16);
  nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_answer};
  g_snprintf(status, sizeof status, "%d", call->status);
  g_snprintf(length, sizeof length, "%" G_GINT64_FORMAT, call->content_length);
  add_field(fields, ":status", status);
  add_field(fields, "date", io_date(call->io));
  if (call->content_type)
    add_field(fields, "content-type", call->content_type);
  if (call->content_length > 0 || (call->content_length == 0 && call->status != 204 && call->status != 304))
    add_field(fields, "content-length", length);
  add_call_fields(fields, call);
  bool is_empty = call->has_ended && g_queue_is_empty(&call->pieces);
  stream->is_answered = is_empty;
  stream->moved_us = now_us(stream->h2);
  nghttp2_submit_response(stream->h2->session, stream->id, (nghttp2_nv *)(void *)fields->data, fields->len,
                          is_empty ? NULL : &provider);
  pump(stream->h2);
}

static void more(HttpCall *call)
{
  Stream *stream = call->stream;
  if (stream->is_deferred) {
    stream->is_deferred = false;
    stream->moved_us = now_us(stream->h2);
    nghttp2_session_resume_data(stream->h2->session, stream->id);
  }
  pump(stream->h2);
}

static void reset(Stream *stream, guint32 code)
{
  nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, code);
}

static void break_off(HttpCall *call)
{
  Stream *stream = call->stream;
  stream->is_answered = true; /* as far as it will be */
  reset(stream, NGHTTP2_INTERNAL_ERROR);
  pump(stream->h2);
}

/* Gives the peer back the window of what has been seen. */
static void give_back(Stream *stream)
{
  if (stream->unseen > 0)
    nghttp2_session_consume_stream(stream->h2->session, stream->id, stream->unseen);
  stream->unseen = 0;
}

static void flow(HttpCall *call)
{
  Stream *stream = call->stream;
  stream->moved_us = now_us(stream->h2);
  if (call->is_paused)
    return;
  call_resume(call);
  if (call->carrier && !call->is_paused) {
    give_back(stream);
    pump(stream->h2);
  }
}

static const CallCarrier h2_carrier = {.answer = answer, .more = more, .break_off = break_off, .flow = flow};

/* Streams whose pieces went out: their handlers may have more. */
static bool produce(H2 *h2)
{
  bool any = false;
  for (GList *link = h2->streams.head, *next; link && !h2->is_over; link = next) {
    Stream *stream = link->data;
    next = link->next; /* a handler can end its own stream's call, not the stream */
    if (stream->was_taken) {
      stream->was_taken = false;
      if (stream->call)
        call_produce(stream->call);
      any = true;
    }
  }
  return any;
}

/* Takes frames from nghttp2 as long as the connection has room. */
static void fill(H2 *h2)
{
  Connection *connection = h2->connection;
  while (!h2->is_over && connection->out_bytes < CONNECTION_LOW_BYTES) {
    const uint8_t *bytes;
    ssize_t n = nghttp2_session_mem_send(h2->session, &bytes);
    if (n <= 0)
      break;
    connection_send(connection, bytes, (gsize)n, NULL);
  }
}

static void update_deadline(H2 *h2)
{
  gint64 idle_us = (gint64)server_config(h2->connection->server)->idle_timeout_s * G_USEC_PER_SEC;
  gint64 when = g_queue_is_empty(&h2->streams) ? h2->idle_since_us + idle_us
                                               : now_us(h2) + MIN(LOOK_EVERY_US, MAX(idle_us / 4, 1));
  when = MIN(when, connection_send_deadline(h2->connection, idle_us));
  connection_set_deadline(h2->connection, when);
}

static void free_h2(H2 *h2)
{
  nghttp2_session_del(h2->session);
  g_free(h2);
}

static void pump(H2 *h2)
{
  if (h2->is_busy || h2->is_pumping || h2->is_over)
    return;
  h2->is_pumping = true;
  do {
    h2->is_busy = true; /* nghttp2 calls back from here too */
    fill(h2);
    h2->is_busy = false;
  } while (produce(h2) && !h2->is_over && h2->connection->out_bytes < CONNECTION_LOW_BYTES);
  h2->is_pumping = false;
  if (h2->is_over) {
    free_h2(h2);
    return;
  }
  if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session))
    connection_finish(h2->connection);
  else
    update_deadline(h2);
}

/* ---- requests ---- */

static Stream *find_stream(H2 *h2, gint32 id)
{
  return nghttp2_session_get_stream_user_data(h2->session, id);
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
  H2 *h2 = user;
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
    return 0;
  Stream *stream = g_new0(Stream, 1);
  stream->h2 = h2;
  stream->id = frame->hd.stream_id;
  stream->head = http_head_new();
  stream->since_us = stream->moved_us = now_us(h2);
  stream->link.data = stream;
  g_queue_push_tail_link(&h2->streams, &stream->link);
  nghttp2_session_set_stream_user_data(session, stream->id, stream);
  return 0;
}

static int take_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
  Stream *stream = find_stream(user, frame->hd.stream_id);
  if (stream && stream->head && stream->flaw.status == 0)
    http_head_add(stream->head, (const char *)name, name_n, (const char *)value, value_n, &stream->flaw);
  return 0;
}

static void begin_call(Stream *stream)
{
  Connection *connection = stream->h2->connection;
  HttpHead *head = g_steal_pointer(&stream->head);
  if (stream->flaw.status == 0)
    http_head_complete_h2(head, &stream->flaw);
  if (stream->flaw.status == 0 && connection->refusal)
    stream->flaw = (HttpFlaw){connection->refusal, "too many connections"};
  stream->call = call_new(connection->server, connection->io, head, &h2_carrier, stream);
  call_set_peer(stream->call, connection->address, connection->cn, connection->serial);
  if (stream->flaw.status == 0)
    call_begin(stream->call);
  else
    call_refuse(stream->call, stream->flaw.status, stream->flaw.why);
  HttpCall *call = stream->call;
  if (call && call->body_mode == BODY_WHOLE && !call->is_answered &&
      call->head->content_length > (gint64)call->max_body_bytes)
    call_refuse(call, 413, "the body is too large");
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
  Stream *stream = find_stream(user, frame->hd.stream_id);
  if (!stream || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
    return 0;
  if (stream->head && frame->hd.type == NGHTTP2_HEADERS)
    begin_call(stream);
  if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
    stream->input_ended = true;
    if (stream->call)
      call_body_end(stream->call);
  }
  return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                     void *user)
{
  Stream *stream = find_stream(user, id);
  nghttp2_session_consume_connection(session, n);
  if (!stream)
    return 0;
  stream->unseen += n;
  if (!stream->is_answered)
    stream->moved_us = now_us(stream->h2);
  if (stream->call)
    call_body_bytes(stream->call, (const char *)bytes, n);
  if (!stream->is_answered && !(stream->call && stream->call->is_paused))
    give_back(stream);
  return 0;
}

static void lose_stream(Stream *stream)
{
  HttpCall *call = g_steal_pointer(&stream->call);
  http_head_free(stream->head);
  g_queue_unlink(&stream->h2->streams, &stream->link);
  nghttp2_session_set_stream_user_data(stream->h2->session, stream->id, NULL);
  if (call && stream->is_answered)
    call_detach(call);
  else if (call)
    call_lose(call);
  g_free(stream);
}

static int close_stream(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
  H2 *h2 = user;
  Stream *stream = find_stream(h2, id);
  if (!stream)
    return 0;
  lose_stream(stream);
  h2->idle_since_us = h2->connection->idle_since_us = now_us(h2);
  return 0;
}

/* ---- what happens to the connection ---- */

static gsize input(Connection *connection, char *bytes, gsize n)
{
  H2 *h2 = connection->state;
  h2->is_busy = true;
  ssize_t used = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, n);
  h2->is_busy = false;
  if (h2->is_over) {
    free_h2(h2);
    return n;
  }
  if (used < 0)
    nghttp2_session_terminate_session(h2->session, NGHTTP2_PROTOCOL_ERROR);
  pump(h2);
  return n;
}

static void ended_input(Connection *connection)
{
  connection_abort(connection, "the peer closed the connection");
}

static void sent(Connection *connection, gsize n)
{
  pump(connection->state);
}

/* Streams that have stood still for too long. */
static void look_at_streams(H2 *h2)
{
  const HttpServerConfig *config = server_config(h2->connection->server);
  gint64 now = now_us(h2), idle_us = (gint64)config->idle_timeout_s * G_USEC_PER_SEC;
  gint64 body_us = (gint64)config->body_timeout_s * G_USEC_PER_SEC;
  for (GList *link = h2->streams.head; link; link = link->next) {
    Stream *stream = link->data;
    HttpCall *call = stream->call;
    /* Answered early, and the peer does not stop. Not at once: some clients then forget the answer that they
     * have. */
    if (stream->is_answered && !stream->input_ended && now >= stream->moved_us + LOOK_EVERY_US)
      reset(stream, NGHTTP2_NO_ERROR);
    if (!call || stream->is_answered)
      continue;
    bool reads = !stream->input_ended && call_wants_body(call) && !call->is_paused;
    bool body_late = reads && (call->body_mode == BODY_WHOLE ? now >= stream->since_us + body_us
                                                             : now >= stream->moved_us + idle_us);
    bool not_read =
        call->has_started && !g_queue_is_empty(&call->pieces) && now >= stream->moved_us + idle_us;
    if (body_late && call_refuse(call, 408, "the body did not come in time"))
      continue;
    if (body_late || not_read)
      reset(stream, NGHTTP2_CANCEL);
  }
}

static void expired(Connection *connection)
{
  H2 *h2 = connection->state;
  gint64 idle_us = (gint64)server_config(connection->server)->idle_timeout_s * G_USEC_PER_SEC;
  if (now_us(h2) >= connection_send_deadline(connection, idle_us)) {
    connection_abort(connection, "the peer does not read");
    return;
  }
  if (!g_queue_is_empty(&h2->streams))
    look_at_streams(h2);
  else if (now_us(h2) >= h2->idle_since_us + idle_us)
    nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
  pump(h2);
}

static bool is_idle(Connection *connection)
{
  H2 *h2 = connection->state;
  return g_queue_is_empty(&h2->streams) && !connection->first;
}

static void goodbye(Connection *connection)
{
  H2 *h2 = connection->state;
  nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
  fill(h2);
}

static void over(Connection *connection, const char *why)
{
  H2 *h2 = connection->state;
  h2->is_over = true;
  while (h2->streams.head)
    lose_stream(h2->streams.head->data);
  if (h2->is_busy || h2->is_pumping)
    return; /* pump() or input() frees it */
  free_h2(h2);
}

static const ConnectionRole h2_role = {.input = input,
                                       .ended_input = ended_input,
                                       .sent = sent,
                                       .expired = expired,
                                       .is_idle = is_idle,
                                       .goodbye = goodbye,
                                       .over = over};

static nghttp2_session *new_session(H2 *h2)
{
  nghttp2_session_callbacks *callbacks;
  nghttp2_option *option;
  nghttp2_session *session;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, take_field);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, close_stream);
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_session_server_new2(&session, callbacks, h2, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return session;
}

void h2_start(Connection *connection)
{
  H2 *h2 = g_new0(H2, 1);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CALL_HELD_BYTES},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_MAX_HEAD_BYTES},
  };
  h2->connection = connection;
  h2->idle_since_us = io_now_us(connection->io);
  h2->session = new_session(h2);
  connection_set_role(connection, &h2_role, h2);
  nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, G_N_ELEMENTS(settings));
  nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES);
  pump(h2);
}
