// SPDX-License-Identifier: Apache-2.0
/* The server of bench-http: the same bytes that nginx serves from files, and a WebSocket to which messages
 * are sent.
 *
 *   http-serve DIR     makes certificates in DIR (ca.crt, server.crt, server.key), serves DIR's files
 * `object` and `list` from memory on a free port of 127.0.0.1, and prints the port. Ends when its input does.
 *
 * PUT /upload takes any body, but pauses for a millisecond after each 256 KiB, as a slow disk would.
 * A line "send N" on its input sends one shared message with the time to every socket, N times, 50 ms apart.
 */
#include "base/pki.h"
#include "http/http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static GBytes *object, *list;
static GMutex lock;
static GPtrArray *sockets; /* HttpSocket, under lock */

static void fail(const GError *error)
{
  fprintf(stderr, "http-serve: %s\n", error->message);
  exit(1);
}

static void opened(HttpSocket *socket, void *arg)
{
  g_mutex_lock(&lock);
  g_ptr_array_add(sockets, http_socket_ref(socket));
  g_mutex_unlock(&lock);
}

static void message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
}

static void closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  g_mutex_lock(&lock);
  g_ptr_array_remove_fast(sockets, socket);
  g_mutex_unlock(&lock);
}

/* ---- a slow taker of uploads ---- */

typedef struct {
  guint64 taken, resumed_at;
} Upload;

static GAsyncQueue *paused; /* HttpCall, counted */

static gpointer resume_slowly(gpointer arg)
{
  for (;;) {
    g_autoptr(HttpCall) call = g_async_queue_pop(paused);
    g_usleep(1000);
    http_call_resume_body(call);
  }
  return NULL;
}

static void take_piece(HttpCall *call, const char *bytes, gsize n, void *arg)
{
  Upload *upload = arg;
  upload->taken += n;
  if (n == 0) {
    http_call_answer(call, 204, NULL, NULL);
  } else if (upload->taken - upload->resumed_at >= 256 * 1024) {
    upload->resumed_at = upload->taken;
    http_call_pause_body(call);
    g_async_queue_push(paused, http_call_ref(call));
  }
}

static void lose_upload(HttpCall *call, void *arg)
{
}

static void on_body(HttpCall *call, const char *body, gsize n, void *arg)
{
  const char *path = http_call_path(call);
  if (strcmp(path, "/object") == 0)
    http_call_answer(call, 200, "application/json", object);
  else if (strcmp(path, "/list") == 0)
    http_call_answer(call, 200, "application/json", list);
  else
    http_call_answer(call, 404, NULL, NULL);
}

static void on_request(HttpCall *call, void *arg)
{
  static const HttpSocketEvents events = {.opened = opened, .message = message, .closed = closed};
  static const HttpBodySink sink = {take_piece, lose_upload};
  if (strcmp(http_call_path(call), "/upload") == 0) {
    Upload *upload = g_new0(Upload, 1);
    http_call_set_user(call, upload, g_free);
    http_call_stream_body(call, &sink, upload, G_MAXINT64);
  }
  if (http_call_wants_upgrade(call))
    http_socket_unref(http_call_upgrade(call, NULL, &events, NULL));
}

static GBytes *load(const char *directory, const char *name)
{
  g_autofree char *path = g_build_filename(directory, name, NULL);
  g_autoptr(GError) error = NULL;
  char *bytes;
  gsize n;
  if (!g_file_get_contents(path, &bytes, &n, &error))
    fail(error);
  return g_bytes_new_take(bytes, n);
}

static void send_to_all(guint times, gsize padding)
{
  for (guint i = 0; i < times; i++) {
    g_autofree char *filler = g_strnfill(padding, ' ');
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT "%s", g_get_monotonic_time(), filler);
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_mutex_lock(&lock);
    for (guint at = 0; at < sockets->len; at++)
      http_socket_send(sockets->pdata[at], bytes, false);
    g_mutex_unlock(&lock);
    g_usleep(50 * 1000);
  }
}

int main(int argc, char **argv)
{
  static const char *const names[] = {"localhost", "127.0.0.1", NULL};
  g_autoptr(GError) error = NULL;
  const char *directory = argc == 2 ? argv[1] : ".";
  g_autofree char *ca_cert = g_build_filename(directory, "ca.crt", NULL),
                  *ca_key = g_build_filename(directory, "ca.key", NULL);
  g_autofree char *cert = g_build_filename(directory, "server.crt", NULL);
  g_autofree char *key = g_build_filename(directory, "server.key", NULL);
  const WsCa ca = {ca_cert, ca_key};
  if (!ws_pki_create_ca(ws_clock_system(), &ca, "bench", &error) ||
      !ws_pki_issue_server(ws_clock_system(), &ca, names, 2 * WS_PKI_DAY_S, cert, key, &error))
    fail(error);
  object = load(directory, "object");
  list = load(directory, "list");
  paused = g_async_queue_new();
  g_thread_unref(g_thread_new("slow", resume_slowly, NULL));
  sockets = g_ptr_array_new_with_free_func((GDestroyNotify)http_socket_unref);
  HttpIo *io = http_io_new(ws_clock_system(), &error);
  const HttpServerConfig config = {
      .bind_address = "127.0.0.1", .tls = {cert, key, ca_cert}, .on_request = on_request, .on_body = on_body};
  HttpServer *server = io ? http_server_new(io, &config, &error) : NULL;
  if (!server)
    fail(error);
  printf("%u\n", http_server_port(server));
  fflush(stdout);
  char line[64];
  while (fgets(line, sizeof line, stdin))
    if (g_str_has_prefix(line, "send "))
      send_to_all((guint)g_ascii_strtoull(line + 5, NULL, 10), 500);
  http_server_free(server);
  http_io_free(io);
  return 0;
}
