// SPDX-License-Identifier: Apache-2.0
/* See page.h.
 *
 * The stream belongs to the HTTP call, because that may ask for more until its end has been heard; what is in it is let go by the last
 * piece, or when the client has gone. Pieces are jobs in line (one key for a stream), so they are written one at a time and in order. */
#include "center/api/page.h"

#define STREAM_FROM 500          /* objects: shorter pages are one answer */
#define PIECE_BYTES (128 * 1024) /* written before the I/O thread gets it */
#define AHEAD_BYTES (1 << 20)    /* on the way to the client before the writer pauses */

typedef struct {
  gint refs;     /* atomic: the HTTP call's and one for each job */
  WsWorkers *workers;
  ApiCall *call; /* NULL: through. The rest: jobs only */
  Page page;
  guint next; /* object to write */
  char key[32];
} Stream;

static void page_clear(Page *page)
{
  g_clear_pointer(&page->objects, g_ptr_array_unref);
  g_clear_pointer(&page->snap, inv_snapshot_unref);
  g_clear_pointer(&page->fields, ws_field_set_free);
  g_clear_pointer(&page->next_cursor, g_free);
}

/* ---- text ---- */

static void begin(WsJsonWriter *w)
{
  ws_json_begin_object(w);
  ws_json_key(w, "items");
  ws_json_begin_array(w);
}

static void write_object(const Page *page, guint i, WsJsonWriter *w)
{
  ws_object_write(page->type, page->objects->pdata[i], WS_WRITE_CLIENT, page->fields, w);
}

static void end(const Page *page, WsJsonWriter *w)
{
  ws_json_end_array(w);
  ws_json_key(w, "revision");
  ws_json_uint(w, page->revision);
  if (page->total >= 0) {
    ws_json_key(w, "total");
    ws_json_int(w, page->total);
  }
  if (page->next_cursor) {
    ws_json_key(w, "next_cursor");
    ws_json_string(w, page->next_cursor);
  }
  ws_json_end_object(w);
}

/* ---- a stream ---- */

static void stream_unref(void *arg)
{
  Stream *stream = arg;
  if (g_atomic_int_dec_and_test(&stream->refs))
    g_free(stream);
}

static void let_go(Stream *stream)
{
  page_clear(&stream->page);
  g_clear_pointer(&stream->call, api_call_free);
}

static void write_piece(Stream *stream)
{
  const Page *page = &stream->page;
  GString *text = g_string_sized_new(PIECE_BYTES + PIECE_BYTES / 8);
  WsJsonWriter w = ws_json_writer(text);
  if (stream->next == 0)
    begin(&w);
  else
    w.need_comma = true;
  while (stream->next < page->objects->len && text->len < PIECE_BYTES)
    write_object(page, stream->next++, &w);
  if (stream->next == page->objects->len)
    end(page, &w);
  g_autoptr(GBytes) piece = g_string_free_to_bytes(text);
  http_call_stream_write(stream->call->http, piece);
}

static void write_on(void *arg)
{
  Stream *stream = arg;
  while (stream->call && !http_call_is_gone(stream->call->http) &&
         http_call_stream_queued(stream->call->http) < AHEAD_BYTES) {
    write_piece(stream);
    if (stream->next == stream->page.objects->len) {
      http_call_stream_end(stream->call->http, false);
      let_go(stream);
    }
  }
  if (stream->call && http_call_is_gone(stream->call->http))
    let_go(stream);
  stream_unref(stream);
}

static void on_writable(HttpCall *http, void *arg)
{
  Stream *stream = arg;
  g_atomic_int_inc(&stream->refs);
  ws_workers_run(stream->workers, stream->key, write_on, stream);
}

/* ---- the answer ---- */

static void answer_stream(ApiCall *call, const Page *page)
{
  Stream *stream = g_new0(Stream, 1);
  HttpCall *http = call->http;
  *stream = (Stream){.refs = 1, .workers = call->center->workers, .call = call, .page = *page};
  g_snprintf(stream->key, sizeof stream->key, "page %p", (void *)stream);
  api_answer_headers(http, call->request_id);
  http_call_set_user(http, stream, stream_unref);
  http_call_stream_start(http, 200, "application/json", -1, on_writable, stream);
}

void page_answer(ApiCall *call, const Page *page)
{
  if (page->objects->len >= STREAM_FROM) {
    answer_stream(call, page);
    return;
  }
  Page whole = *page;
  GString *body = g_string_sized_new(256 + page->objects->len * (page->fields ? 256 : 2048));
  WsJsonWriter w = ws_json_writer(body);
  begin(&w);
  for (guint i = 0; i < page->objects->len; i++)
    write_object(page, i, &w);
  end(page, &w);
  api_answer_json(call->http, call->request_id, 200, body, 0, NULL);
  page_clear(&whole);
  api_call_free(call);
}
