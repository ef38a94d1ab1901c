// SPDX-License-Identifier: Apache-2.0
/* See stream.h. The I/O thread puts messages into a queue; an eventfd tells the program's thread. */
#include "cli/stream.h"
#include "http/http.h"
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct CliStream {
  HttpIo *io;
  HttpSocket *socket;
  GMutex lock; /* guards what follows */
  GQueue messages;
  bool opened, closed;
  int code;
  char *reason;
  int event_fd;
};

static void tell(CliStream *s)
{
  guint64 one = 1;
  gssize put = write(s->event_fd, &one, sizeof one);
  (void)put; /* full means that it is told already */
}

static void on_opened(HttpSocket *socket, void *arg)
{
  CliStream *s = arg;
  g_mutex_lock(&s->lock);
  s->opened = true;
  g_mutex_unlock(&s->lock);
  tell(s);
}

static void on_message(HttpSocket *socket, const char *bytes, gsize n, bool binary, void *arg)
{
  CliStream *s = arg;
  g_mutex_lock(&s->lock);
  g_queue_push_tail(&s->messages, g_bytes_new(bytes, n));
  g_mutex_unlock(&s->lock);
  tell(s);
}

static void on_closed(HttpSocket *socket, int code, const char *reason, void *arg)
{
  CliStream *s = arg;
  g_mutex_lock(&s->lock);
  s->closed = true;
  s->code = code;
  s->reason = g_strdup(reason);
  g_mutex_unlock(&s->lock);
  tell(s);
}

static bool wait_open(CliStream *s, GError **error)
{
  for (;;) {
    g_mutex_lock(&s->lock);
    bool opened = s->opened, closed = s->closed;
    g_mutex_unlock(&s->lock);
    if (opened)
      return true;
    if (closed)
      return ws_fail(error, WS_ERROR_MANAGER_UNREACHABLE, "url", "", "cause", s->reason, NULL);
    struct pollfd poll_fd = {s->event_fd, POLLIN, 0};
    guint64 n;
    poll(&poll_fd, 1, -1);
    gssize got = read(s->event_fd, &n, sizeof n);
    (void)got;
  }
}

CliStream *stream_open(Cli *cli, const char *path, GError **error)
{
  static const HttpSocketEvents events = {
      .opened = on_opened, .message = on_message, .closed = on_closed, .max_message_bytes = 64 << 20};
  g_autofree char *url = g_strdup_printf("wss%s%s", cli->manager + strlen("https"), path);
  g_autofree char *bearer = g_strconcat("Bearer ", cli->token, NULL);
  const char *headers[] = {"authorization", bearer, NULL};
  HttpClientConfig config = {
      .url = url, .tls = {.ca_file = cli->ca_file}, .server_name = REST_MANAGER_NAME, .headers = headers};
  CliStream *s = g_new0(CliStream, 1);
  g_mutex_init(&s->lock);
  s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  s->io = http_io_new(ws_clock_system(), error);
  if (s->io)
    s->socket = http_socket_connect(s->io, &config, NULL, &events, s);
  if (s->io && wait_open(s, error))
    return s;
  stream_close(s);
  return NULL;
}

bool stream_is_refused(const GError *error)
{
  const char *cause = error ? ws_error_cause(error) : NULL;
  return cause && g_str_has_prefix(cause, "HTTP 4") && !g_str_has_prefix(cause, "HTTP 429");
}

int stream_fd(CliStream *s)
{
  return s->event_fd;
}

GBytes *stream_take(CliStream *s, int timeout_ms, GError **error)
{
  for (;;) {
    g_mutex_lock(&s->lock);
    GBytes *message = g_queue_pop_head(&s->messages);
    bool closed = s->closed;
    g_mutex_unlock(&s->lock);
    if (message)
      return message;
    if (closed) {
      if (s->code != 1000 && s->code != 4000)
        ws_fail(error, WS_ERROR_MANAGER_UNREACHABLE, "url", "", "cause", s->reason, NULL);
      return NULL;
    }
    struct pollfd poll_fd = {s->event_fd, POLLIN, 0};
    guint64 n;
    if (poll(&poll_fd, 1, timeout_ms) == 0)
      return NULL;
    gssize got = read(s->event_fd, &n, sizeof n);
    (void)got;
  }
}

void stream_send(CliStream *s, const void *bytes, gsize n)
{
  g_autoptr(GBytes) message = g_bytes_new(bytes, n);
  http_socket_send(s->socket, message, true);
}

void stream_close(CliStream *s)
{
  if (!s)
    return;
  if (s->socket)
    http_socket_close(s->socket, 1000, "done");
  if (s->io)
    http_io_free(s->io);
  if (s->socket)
    http_socket_unref(s->socket);
  g_queue_clear_full(&s->messages, (GDestroyNotify)g_bytes_unref);
  close(s->event_fd);
  g_mutex_clear(&s->lock);
  g_free(s->reason);
  g_free(s);
}
