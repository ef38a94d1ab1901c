// SPDX-License-Identifier: Apache-2.0
/* Bytes of volumes over streams that this host dials back.
 *
 * Upload: the manager sends binary messages of at most 8 MiB; each is answered, when it is on disk, by a text message with the number
 * of bytes received so far; the manager closes when all it wanted is acknowledged. Download: binary messages of 1 MiB, then we close.
 *
 * Threads: socket callbacks run on the I/O thread and only hand on; reading and writing files is done by jobs on the agent's
 * workers, one at a time for each stream (their key); the call itself is a coroutine on the core loop that waits until the socket is
 * closed and the last job has ended. `lock` guards what they share. */
#include "base/error.h"
#include "host/agent.h"
#include "host/storage/storage.h"
#include "rpc/methods.h"
#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20, QUEUE_HIGH_BYTES = 8 << 20, FRAMES_HIGH = 3 };
#define CANCEL_POLL_US (500 * 1000)

typedef struct {
  gint refs; /* of the coroutine, the socket and each job */
  Agent *agent;
  char *key; /* jobs of one stream run in order */
  HttpSocket *socket;
  WsCo *co;
  UploadSink *sink;       /* upload; jobs only */
  DownloadSource *source; /* download; jobs only */
  guint64 offset;         /* next byte to write or send; jobs only */
  guint64 end;            /* download: behind the last byte */

  GMutex lock;
  GError *error; /* the first that happened */
  guint jobs;    /* under way or queued */
  bool closed, pumping, complete;
  int close_code;
  char *close_reason;
} Stream;

static Stream *stream_new(Agent *agent, const char *name)
{
  Stream *s = g_new0(Stream, 1);
  s->refs = 1;
  s->agent = agent;
  s->key = g_strconcat("stream/", name, NULL);
  g_mutex_init(&s->lock);
  return s;
}

static Stream *stream_ref(Stream *s)
{
  g_atomic_int_inc(&s->refs);
  return s;
}

static void stream_unref(void *arg)
{
  Stream *s = arg;
  if (!g_atomic_int_dec_and_test(&s->refs))
    return;
  upload_sink_free(s->sink);
  download_source_free(s->source);
  if (s->socket)
    http_socket_unref(s->socket);
  g_clear_error(&s->error);
  g_mutex_clear(&s->lock);
  g_free(s->close_reason);
  g_free(s->key);
  g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stream, stream_unref)

/* ---- the end ---- */

static void wake(void *arg)
{
  Stream *s = arg;
  if (s->co)
    ws_co_wake(s->co);
}

static void tell_call(Stream *s)
{
  ws_loop_post(s->agent->loop, wake, stream_ref(s), stream_unref);
}

/* Keeps the first error and closes: the manager gets it as the answer of the call. */
static void stream_fail(Stream *s, GError *error)
{
  g_mutex_lock(&s->lock);
  if (!s->error)
    s->error = error;
  else
    g_error_free(error);
  g_mutex_unlock(&s->lock);
  http_socket_close(s->socket, 1011, "failed");
}

static void job_begin(Stream *s, WsLoopFunc func, void *arg)
{
  g_mutex_lock(&s->lock);
  s->jobs++;
  g_mutex_unlock(&s->lock);
  ws_workers_run(s->agent->workers, s->key, func, arg);
}

static void job_end(Stream *s)
{
  g_mutex_lock(&s->lock);
  s->jobs--;
  if (s->jobs < FRAMES_HIGH && !s->closed)
    http_socket_resume(s->socket);
  g_mutex_unlock(&s->lock);
  tell_call(s);
}

static bool is_over(Stream *s)
{
  g_mutex_lock(&s->lock);
  bool over = s->closed && s->jobs == 0;
  g_mutex_unlock(&s->lock);
  return over;
}

static bool has_failed(Stream *s)
{
  g_mutex_lock(&s->lock);
  bool failed = s->error != NULL;
  g_mutex_unlock(&s->lock);
  return failed;
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Stream *s = arg;
  g_mutex_lock(&s->lock);
  s->closed = true;
  s->close_code = code;
  s->close_reason = g_strdup(reason);
  g_mutex_unlock(&s->lock);
  tell_call(s);
  stream_unref(s);
}

/* In the call's coroutine: dials and waits for the end. */
static bool run_stream(RpcCall *call, Stream *s, const char *name, const HttpSocketEvents *events,
                       GError **error)
{
  volatile gint *cancelled = rpc_call_cancelled(call);
  s->co = ws_co_self();
  s->socket = agent_dial_stream(s->agent, name, events, stream_ref(s));
  while (!is_over(s)) {
    ws_co_yield_timeout(CANCEL_POLL_US);
    if (g_atomic_int_get(cancelled))
      http_socket_close(s->socket, 1001, "cancelled");
  }
  s->co = NULL;
  if (!s->error)
    return g_atomic_int_get(cancelled) == 0 || ws_fail(error, WS_ERROR_CANCELLED, NULL);
  g_propagate_error(error, g_steal_pointer(&s->error));
  return false;
}

static bool broken(const Stream *s, GError **error)
{
  g_autofree char *cause =
      g_strdup_printf("the stream ended with %d %s", s->close_code, s->close_reason ? s->close_reason : "");
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", "stream", "cause", cause, NULL);
}

/* ---- upload ---- */

typedef struct {
  Stream *stream;
  GBytes *bytes;
} Frame;

static void write_frame(void *arg)
{
  Frame *frame = arg;
  Stream *s = frame->stream;
  GError *error = NULL;
  gsize n;
  const void *bytes = g_bytes_get_data(frame->bytes, &n);
  if (has_failed(s)) {
    /* what follows an error is dropped */
  } else if (upload_sink_write(s->sink, s->offset, bytes, n, &error)) {
    s->offset += n;
    char text[24];
    int length = g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, s->offset);
    g_autoptr(GBytes) ack = g_bytes_new(text, (gsize)length);
    http_socket_send(s->socket, ack, false);
  } else
    stream_fail(s, error);
  g_bytes_unref(frame->bytes);
  g_free(frame);
  job_end(s);
  stream_unref(s);
}

static void on_frame(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Stream *s = arg;
  Frame *frame = g_new(Frame, 1);
  *frame = (Frame){stream_ref(s), g_bytes_new(bytes, n)};
  g_mutex_lock(&s->lock);
  if (s->jobs + 1 >= FRAMES_HIGH)
    http_socket_pause(socket); /* the disk is slower than the network */
  g_mutex_unlock(&s->lock);
  job_begin(s, write_frame, frame);
}

typedef struct {
  Stream *stream;
  WsId pool;
  const char *file;
  int format;
} Open;

static bool open_sink(AgentJob *job, void *arg, GError **error)
{
  Open *o = arg;
  o->stream->sink = storage_upload_sink(o->stream->agent->storage, o->pool, o->file, error);
  return o->stream->sink != NULL;
}

bool serve_volume_upload_stream(RpcCall *call, const WsRpcVolumeUploadStream *params,
                                WsRpcVolumeUploadStreamResult **result, GError **error)
{
  static const HttpSocketEvents events = {
      .message = on_frame, .closed = on_closed, .max_message_bytes = STORAGE_CHUNK_BYTES};
  g_autoptr(Stream) s = stream_new(agent_of_call(call), params->stream);
  Open o = {s, params->pool, params->file, 0};
  s->offset = (guint64)MAX(params->offset, 0);
  if (!agent_blocking(call, open_sink, &o, NULL, 0, error) ||
      !run_stream(call, s, params->stream, &events, error))
    return false;
  if (s->close_code != 1000) /* what came is kept: the manager goes on from there */
    return broken(s, error);
  *result = ws_rpc_volume_upload_stream_result_new();
  (*result)->received_bytes = (gint64)upload_sink_received(s->sink);
  return true;
}

/* ---- download ---- */

/* Sends until the queue is high or all is sent; goes on when the socket says it is low. */
static void pump(void *arg)
{
  Stream *s = arg;
  while (s->offset < s->end && !has_failed(s) && http_socket_queued(s->socket) < QUEUE_HIGH_BYTES) {
    gsize n = (gsize)MIN(PIECE_BYTES, s->end - s->offset);
    g_autofree void *buf = g_malloc(n);
    GError *error = NULL;
    if (!download_source_read(s->source, s->offset, buf, &n, &error)) {
      stream_fail(s, error);
      break;
    }
    g_autoptr(GBytes) piece = g_bytes_new_take(g_steal_pointer(&buf), n);
    if (n == 0 || !http_socket_send(s->socket, piece, true))
      break; /* gone: `closed` tells */
    s->offset += n;
  }
  g_mutex_lock(&s->lock);
  s->pumping = false;
  bool complete = s->offset == s->end && !s->complete;
  s->complete |= complete;
  g_mutex_unlock(&s->lock);
  if (complete)
    http_socket_close(s->socket, 1000, "done");
  job_end(s);
  stream_unref(s);
}

static void on_writable(HttpSocket *socket, void *arg)
{
  Stream *s = arg;
  g_mutex_lock(&s->lock);
  bool start = !s->pumping && !s->complete;
  s->pumping |= start;
  g_mutex_unlock(&s->lock);
  if (start)
    job_begin(s, pump, stream_ref(s));
}

static void ignore_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
}

static bool open_source(AgentJob *job, void *arg, GError **error)
{
  Open *o = arg;
  o->stream->source = storage_download_source(o->stream->agent->storage, o->pool, o->file, o->format, error);
  return o->stream->source != NULL;
}

bool serve_volume_download_stream(RpcCall *call, const WsRpcVolumeDownloadStream *params,
                                  WsRpcVolumeDownloadStreamResult **result, GError **error)
{
  static const HttpSocketEvents events = {.opened = on_writable,
                                          .message = ignore_message,
                                          .writable = on_writable,
                                          .closed = on_closed,
                                          .max_message_bytes = 64};
  g_autoptr(Stream) s = stream_new(agent_of_call(call), params->stream);
  Open o = {s, params->pool, params->file, (int)params->format};
  if (!agent_blocking(call, open_source, &o, NULL, 0, error))
    return false;
  guint64 size = download_source_bytes(s->source), start = (guint64)MAX(params->offset, 0);
  s->offset = start = MIN(start, size);
  s->end = params->bytes >= 0 ? start + MIN((guint64)params->bytes, size - start) : size;
  if (!run_stream(call, s, params->stream, &events, error))
    return false;
  if (!s->complete || s->close_code != 1000)
    return broken(s, error);
  *result = ws_rpc_volume_download_stream_result_new();
  (*result)->sent_bytes = (gint64)(s->end - start);
  return true;
}
