// SPDX-License-Identifier: Apache-2.0
/* Bytes of volumes up and down: between a client's HTTP call and a stream that the pool's host dials back.
 *
 * Upload: the client's body is gathered into frames of 4 MiB; the host acknowledges each when it is on disk; at most two are under way,
 * else the client is paused. A broken upload goes on at the acknowledged byte. Download: the host's messages become the answer's body,
 * the host paused while the client is slow.
 *
 * Threads: a Transfer lives on the I/O thread (sockets, buffers). The call itself runs as a coroutine on the core loop, which asks the
 * host and waits for the end of its RPC; the two share only what `refs` and the atomics guard. */
#include "center/api/fixed.h"
#include "center/storage/storage.h"
#include "http/fields.h"
#include "rpc/methods.h"
#include <errno.h>
#include <stdlib.h>

#define FRAME_BYTES (4 << 20)
#define FRAMES_UNDER_WAY 2
#define QUEUE_HIGH (2 << 20)

typedef struct {
  gint refs;
  HttpCall *http;
  HttpSocket *host;   /* NULL: not there (any more) */
  bool over;
  /* upload */
  GByteArray *frame;  /* being gathered */
  guint64 offset;     /* of the next byte from the client */
  guint64 sent, acked; /* bytes handed to the host, on its disk */
  bool body_ended, closing;
  /* download */
  bool started;
  int status;
  gint64 length;
  char *content_range;
  char *file_name;
} Transfer;

static Transfer *transfer_new(HttpCall *http)
{
  Transfer *t = g_new0(Transfer, 1);
  t->refs = 1;
  t->http = http_call_ref(http);
  t->frame = g_byte_array_new();
  return t;
}

static Transfer *transfer_ref(Transfer *t)
{
  g_atomic_int_inc(&t->refs);
  return t;
}

static void transfer_unref(void *arg)
{
  Transfer *t = arg;
  if (!g_atomic_int_dec_and_test(&t->refs))
    return;
  g_clear_pointer(&t->host, http_socket_unref);
  http_call_unref(t->http);
  g_byte_array_unref(t->frame);
  g_free(t->content_range);
  g_free(t->file_name);
  g_free(t);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transfer, transfer_unref)

/* ---- upload: I/O thread ---- */

static void close_host(Transfer *t)
{
  if (t->host && !t->closing)
    http_socket_close(t->host, 1000, "done");
  t->closing = true;
}

static void send_frame(Transfer *t)
{
  if (!t->frame->len || !t->host)
    return;
  g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(t->frame);
  t->frame = g_byte_array_new();
  t->sent += g_bytes_get_size(bytes);
  http_socket_send(t->host, bytes, true);
}

static void settle_flow(Transfer *t)
{
  if (t->sent - t->acked >= (guint64)FRAME_BYTES * FRAMES_UNDER_WAY)
    http_call_pause_body(t->http);
  else if (!t->body_ended && t->host)
    http_call_resume_body(t->http);
  if (t->body_ended && t->acked == t->sent && !t->frame->len)
    close_host(t);
}

static void on_piece(HttpCall *http, const char *bytes, gsize n, void *arg)
{
  Transfer *t = arg;
  if (n)
    g_byte_array_append(t->frame, (const guint8 *)bytes, (guint)n);
  else
    t->body_ended = true;
  if (t->frame->len >= FRAME_BYTES || t->body_ended)
    send_frame(t);
  settle_flow(t);
  if (t->body_ended)
    transfer_unref(t);
}

/* What has come goes to the host all the same: the next try begins behind it. */
static void on_body_gone(HttpCall *http, void *arg)
{
  Transfer *t = arg;
  t->body_ended = true;
  send_frame(t);
  settle_flow(t);
  transfer_unref(t);
}

static void on_upload_opened(HttpSocket *socket, void *arg)
{
  Transfer *t = arg;
  t->host = http_socket_ref(socket);
  send_frame(t);
  settle_flow(t);
}

static void on_ack(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Transfer *t = arg;
  g_autofree char *text = g_strndup(bytes, MIN(n, 32));
  guint64 received = g_ascii_strtoull(text, NULL, 10);
  if (received >= t->offset && received - t->offset <= t->sent)
    t->acked = received - t->offset;
  settle_flow(t);
}

static void on_upload_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Transfer *t = arg;
  g_clear_pointer(&t->host, http_socket_unref);
  t->closing = true;
  transfer_unref(t);
}

/* ---- upload: core loop ---- */

static const WsVolume *find_volume(ApiCall *call, const InvSnapshot *snap, GError **error)
{
  return api_call_find_target(call, snap, error);
}

static bool answer_received(ApiCall *call, gint64 received)
{
  GString *body = g_string_new(NULL);
  g_string_printf(body, "{\"received_bytes\":%" G_GINT64_FORMAT "}", received);
  return api_call_answer_json(call, 200, body);
}

static bool open_upload(ApiCall *call, const WsVolume *volume, RpcLink *link, gint64 *received, GError **error)
{
  g_autoptr(WsRpcVolumeUploadOpenResult) result = NULL;
  WsRpcVolumeUploadOpen params = {.pool = volume->pool, .file = volume->file, .total_bytes = volume->upload_bytes};
  if (!rpc_volume_upload_open(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  *received = result->done ? volume->upload_bytes : result->received_bytes == WS_INT_UNSET ? 0 : result->received_bytes;
  return true;
}

static bool stream_up(ApiCall *call, const WsVolume *volume, RpcLink *link, Transfer *t, gint64 *received, GError **error)
{
  static const HttpSocketEvents events = {.opened = on_upload_opened,
                                          .message = on_ack,
                                          .closed = on_upload_closed,
                                          .max_message_bytes = 64};
  g_autofree char *stream =
      hosts_expect_stream(call->center, hosts_of_link(call->center, link), &events, transfer_ref(t), transfer_unref);
  g_autoptr(WsRpcVolumeUploadStreamResult) result = NULL;
  WsRpcVolumeUploadStream params = {
      .pool = volume->pool, .file = volume->file, .stream = stream, .offset = (gint64)t->offset};
  if (!rpc_volume_upload_stream(link, &params, &result, NULL, NULL, NULL, error))
    return false;
  *received = result->received_bytes;
  return true;
}

static bool run_upload(ApiCall *call, GError **error)
{
  g_autoptr(Transfer) t = call->stream;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const WsVolume *volume = find_volume(call, snap, error);
  const WsPool *pool = volume ? storage_usable_pool(snap, volume->pool, "take an upload", error) : NULL;
  RpcLink *link = pool ? storage_pool_link(call->center, pool, error) : NULL;
  gint64 received = 0;
  call->stream = NULL;
  if (!link)
    return false;
  if (volume->state != WS_VOLUME_STATE_AWAITING_UPLOAD)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", volume->name, "verb", "take an upload", "state",
                   volume->state ? ws_volume_state_names[volume->state - 1] : "unknown", NULL);
  if (!open_upload(call, volume, link, &received, error))
    return false;
  const char *length = http_call_header(call->http, "content-length");
  if (length && strcmp(length, "0") == 0)
    return answer_received(call, received);
  if ((guint64)received != t->offset) {
    char at[24];
    g_snprintf(at, sizeof at, "%" G_GINT64_FORMAT, received);
    return ws_fail(error, WS_ERROR_UPLOAD_OFFSET, "object", volume->name, "received", at, NULL);
  }
  return stream_up(call, volume, link, t, &received, error) && answer_received(call, received);
}

static bool read_offset(ApiCall *call, guint64 *offset, GError **error)
{
  const char *text = http_call_query(call->http, "offset");
  *offset = 0;
  return !text || g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, offset, NULL) ||
         ws_fail(error, WS_ERROR_BAD_VALUE, "field", "offset", "expected", "a number of bytes", NULL);
}

void fixed_volume_upload(ApiCall *call)
{
  static const HttpBodySink sink = {.piece = on_piece, .gone = on_body_gone};
  guint64 offset;
  if (read_offset(call, &offset, &call->refused)) {
    Transfer *t = transfer_new(call->http);
    t->offset = offset;
    call->stream = t;
    call->then = run_upload;
    http_call_stream_body(call->http, &sink, transfer_ref(t), G_MAXINT64);
    http_call_pause_body(call->http);
  }
  api_write(call);
}

/* ---- download: I/O thread ---- */

static void on_client_writable(HttpCall *http, void *arg)
{
  Transfer *t = arg;
  if (http_call_is_gone(http))
    close_host(t);
  else if (t->host)
    http_socket_resume(t->host);
}

static void on_download_opened(HttpSocket *socket, void *arg)
{
  Transfer *t = arg;
  g_autofree char *disposition = g_strdup_printf("attachment; filename=\"%s\"", t->file_name);
  t->host = http_socket_ref(socket);
  t->started = true;
  http_call_add_header(t->http, "accept-ranges", "bytes");
  http_call_add_header(t->http, "content-disposition", disposition);
  if (t->content_range)
    http_call_add_header(t->http, "content-range", t->content_range);
  http_call_stream_start(t->http, t->status, "application/octet-stream", t->length, on_client_writable, t);
}

static void on_bytes(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  Transfer *t = arg;
  g_autoptr(GBytes) piece = g_bytes_new(bytes, n);
  http_call_stream_write(t->http, piece);
  t->sent += n;
  if (http_call_stream_queued(t->http) > QUEUE_HIGH)
    http_socket_pause(socket);
}

static void on_download_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  Transfer *t = arg;
  g_clear_pointer(&t->host, http_socket_unref);
  if (t->started)
    http_call_stream_end(t->http, t->sent != (guint64)t->length);
  transfer_unref(t);
}

/* ---- download: core loop ---- */

static bool prepare_download(ApiCall *call, const WsVolume *volume, RpcLink *link, Transfer *t, gint64 *from, GError **error)
{
  g_autoptr(WsRpcVolumeInfoResult) info = NULL;
  WsRpcVolumeInfo params = {.pool = volume->pool, .file = volume->file, .format = (int)volume->format};
  if (!rpc_volume_info(link, &params, &info, NULL, NULL, NULL, error))
    return false;
  if (!info->exists)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", volume->name, NULL);
  guint64 first, n;
  *from = 0;
  t->status = 200;
  t->length = info->file_bytes;
  t->file_name = g_strdup(volume->file);
  switch (http_parse_range(http_call_header(call->http, "range"), (guint64)info->file_bytes, &first, &n)) {
  case HTTP_RANGE_OK:
    t->status = 206;
    *from = (gint64)first;
    t->length = (gint64)n;
    t->content_range = g_strdup_printf("bytes %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, *from,
                                       *from + t->length - 1, info->file_bytes);
    return true;
  case HTTP_RANGE_UNSATISFIABLE: {
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, info->file_bytes);
    return ws_fail(error, WS_ERROR_RANGE_OUTSIDE, "object", volume->name, "bytes", size, NULL);
  }
  default:
    return true;
  }
}

static bool run_download(ApiCall *call, GError **error)
{
  static const HttpSocketEvents events = {.opened = on_download_opened, .message = on_bytes, .closed = on_download_closed};
  g_autoptr(Transfer) t = call->stream;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const WsVolume *volume = find_volume(call, snap, error);
  const WsPool *pool = volume ? storage_usable_pool(snap, volume->pool, "be read", error) : NULL;
  RpcLink *link = pool ? storage_pool_link(call->center, pool, error) : NULL;
  gint64 from = 0;
  call->stream = NULL;
  if (!link)
    return false;
  if (volume->state != WS_VOLUME_STATE_READY)
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", volume->name, "verb", "be downloaded", "state",
                   volume->state ? ws_volume_state_names[volume->state - 1] : "unknown", NULL);
  if (!prepare_download(call, volume, link, t, &from, error))
    return false;
  g_autofree char *stream =
      hosts_expect_stream(call->center, hosts_of_link(call->center, link), &events, transfer_ref(t), transfer_unref);
  WsRpcVolumeDownloadStream params = {
      .pool = volume->pool, .file = volume->file, .format = (int)volume->format, .stream = stream, .offset = from,
      .bytes = t->length};
  g_autoptr(WsRpcVolumeDownloadStreamResult) result = NULL;
  bool ok = rpc_volume_download_stream(link, &params, &result, NULL, NULL, NULL, error);
  /* Once the head is out, a failure shows as a broken body; before it, as an ordinary error. */
  call->streamed = ok || t->started;
  return ok;
}

void fixed_volume_download(ApiCall *call)
{
  call->stream = transfer_new(call->http);
  call->then = run_download;
  api_write(call);
}
