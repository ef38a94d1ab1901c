// SPDX-License-Identifier: Apache-2.0
/* How the bytes of a tunnel move. See tunnel.h. */
#include "http/tunnel-private.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- waiting ---- */

static int wait_ms(gint64 deadline_us)
{
  if (deadline_us == G_MAXINT64)
    return -1;
  gint64 left_us = deadline_us - g_get_monotonic_time();
  return left_us <= 0 ? 0 : (int)(left_us / 1000 + 1);
}

bool tunnel_wait_fd(Tunnel *tunnel, int fd, short events, gint64 deadline_us, GError **error)
{
  for (;;) {
    struct pollfd fds[] = {{tunnel->wake_fd, POLLIN, 0}, {fd, events, 0}};
    int n = poll(fds, 2, wait_ms(deadline_us));
    if (n < 0 && errno == EINTR)
      continue;
    if (fds[0].revents)
      return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the job has ended", NULL);
    if (n > 0)
      return true;
    return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", "the other end is silent", NULL);
  }
}

/* ---- one connection before its bytes flow ---- */

void tunnel_line_init(TunnelLine *line, Tunnel *tunnel, int fd, bool client)
{
  *line = (TunnelLine){tunnel, fd, http_tls_new(tunnel->context, fd, NULL, tunnel->clock),
                       g_get_monotonic_time() + TUNNEL_HANDSHAKE_MS * G_GINT64_CONSTANT(1000)};
  if (client)
    SSL_set_connect_state(line->ssl);
}

void tunnel_line_clear(TunnelLine *line)
{
  ERR_clear_error();
  SSL_shutdown(line->ssl); /* a goodbye if there is room for it */
  ERR_clear_error();
  SSL_free(line->ssl);
  close(line->fd);
}

/* After a call that did not succeed: waits for what it wants. */
static bool wait_for_want(TunnelLine *line, int result, GError **error)
{
  int why = SSL_get_error(line->ssl, result);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
    return tunnel_wait_fd(line->tunnel, line->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, line->deadline_us, error);
  g_autofree char *text = http_tls_why(line->ssl, why);
  return ws_fail(error, WS_ERROR_TUNNEL_REFUSED, "reason", text ? text : "TLS failed", NULL);
}

bool tunnel_handshake(TunnelLine *line, GError **error)
{
  int done;
  ERR_clear_error();
  while ((done = SSL_do_handshake(line->ssl)) != 1)
    if (!wait_for_want(line, done, error))
      return false;
  return true;
}

bool tunnel_read(TunnelLine *line, void *out, gsize n, GError **error)
{
  for (gsize at = 0, got; at < n; at += got) {
    ERR_clear_error();
    int done = SSL_read_ex(line->ssl, (char *)out + at, n - at, &got);
    if (done == 1)
      continue;
    got = 0;
    if (!wait_for_want(line, done, error))
      return false;
  }
  return true;
}

bool tunnel_write(TunnelLine *line, const void *bytes, gsize n, GError **error)
{
  for (gsize at = 0, sent; at < n; at += sent) {
    ERR_clear_error();
    int done = SSL_write_ex(line->ssl, (const char *)bytes + at, n - at, &sent);
    if (done == 1)
      continue;
    sent = 0;
    if (!wait_for_want(line, done, error))
      return false;
  }
  return true;
}

/* ---- the flow: two directions, one thread ---- */

typedef struct {
  char *buffer;
  const char *bytes; /* what waits to go on: of the buffer, or what a reader lets pass */
  gsize at, n;
  bool ended;    /* nothing more comes */
  bool told;     /* the other side was told so */
  bool stuck;    /* cannot read or cannot write now */
} Way;

typedef struct {
  TunnelLine *line;
  int fd;
  Way up, down;      /* from the socket to TLS, and back */
  short tls_events;  /* what TLS waits for */
  bool broken;
  const Channel *channel;
  void *state; /* of the channel's reader; NULL: it has none */
  GByteArray *pass;
} Flow;

static void want_of_tls(Flow *flow, int result)
{
  int why = SSL_get_error(flow->line->ssl, result);
  if (why == SSL_ERROR_WANT_READ)
    flow->tls_events |= POLLIN;
  else if (why == SSL_ERROR_WANT_WRITE)
    flow->tls_events |= POLLOUT;
  else
    flow->broken = true;
}

static void fill_up(Flow *flow)
{
  Way *way = &flow->up;
  ssize_t n = read(flow->fd, way->buffer, TUNNEL_BUFFER_BYTES);
  if (n > 0)
    *way = (Way){way->buffer, way->buffer, 0, (gsize)n, false, false, false};
  else if (n == 0)
    way->ended = true;
  else if (errno == EAGAIN || errno == EINTR)
    way->stuck = true;
  else
    flow->broken = true;
}

static void drain_up(Flow *flow)
{
  Way *way = &flow->up;
  gsize sent = 0;
  ERR_clear_error();
  int done = SSL_write_ex(flow->line->ssl, way->bytes + way->at, way->n - way->at, &sent);
  if (done != 1) {
    way->stuck = true;
    want_of_tls(flow, done);
    return;
  }
  __atomic_add_fetch(&flow->line->tunnel->stats.sent_bytes, (gint64)sent, __ATOMIC_RELAXED);
  way->at += sent;
  if (way->at == way->n)
    way->at = way->n = 0;
}

static void tell_up(Flow *flow)
{
  ERR_clear_error();
  int done = SSL_shutdown(flow->line->ssl); /* 0: our goodbye is out, theirs has not come: that is all we ask */
  if (done >= 0)
    flow->up.told = true;
  else
    want_of_tls(flow, done);
}

/* Nothing that was not read goes on; what is refused ends the whole job. */
static void read_along(Flow *flow, gsize n)
{
  Way *way = &flow->down;
  const TunnelReader *reader = flow->channel->reader;
  g_autoptr(GError) error = NULL;
  g_byte_array_set_size(flow->pass, 0);
  if (reader->take(flow->state, way->buffer, n, flow->pass, &error)) {
    *way = (Way){way->buffer, (const char *)flow->pass->data, 0, flow->pass->len, false, false, false};
    return;
  }
  flow->broken = true;
  reader->refused(error, flow->channel->arg);
  tunnel_break(flow->line->tunnel);
}

static void fill_down(Flow *flow)
{
  Way *way = &flow->down;
  gsize got = 0;
  ERR_clear_error();
  int done = SSL_read_ex(flow->line->ssl, way->buffer, TUNNEL_BUFFER_BYTES, &got);
  if (done == 1) {
    __atomic_add_fetch(&flow->line->tunnel->stats.received_bytes, (gint64)got, __ATOMIC_RELAXED);
    if (flow->state)
      read_along(flow, got);
    else
      *way = (Way){way->buffer, way->buffer, 0, got, false, false, false};
  } else if (SSL_get_error(flow->line->ssl, done) == SSL_ERROR_ZERO_RETURN) {
    way->ended = true;
  } else {
    way->stuck = true;
    want_of_tls(flow, done);
  }
}

static void drain_down(Flow *flow)
{
  Way *way = &flow->down;
  ssize_t n = send(flow->fd, way->bytes + way->at, way->n - way->at, MSG_NOSIGNAL);
  if (n >= 0) {
    way->at += (gsize)n;
    if (way->at == way->n)
      way->at = way->n = 0;
  } else if (errno == EAGAIN || errno == EINTR) {
    way->stuck = true;
  } else {
    flow->broken = true;
  }
}

/* As far as it goes without waiting. */
static void push(Flow *flow)
{
  Way *up = &flow->up, *down = &flow->down;
  flow->tls_events = 0;
  up->stuck = down->stuck = false;
  while (!flow->broken && (!up->stuck || !down->stuck)) {
    bool idle = true;
    if (!up->stuck && !up->told) {
      idle = false;
      if (up->n)
        drain_up(flow);
      else if (!up->ended)
        fill_up(flow);
      else
        tell_up(flow), up->stuck = !up->told;
    }
    if (!flow->broken && !down->stuck && !down->told) {
      idle = false;
      if (down->n)
        drain_down(flow);
      else if (!down->ended)
        fill_down(flow);
      else
        down->told = shutdown(flow->fd, SHUT_WR) == 0 || (flow->broken = true);
    }
    if (idle)
      return;
  }
}

static bool wait_for_more(Flow *flow)
{
  Way *up = &flow->up, *down = &flow->down;
  short events = 0;
  if (!up->ended && up->n == 0)
    events |= POLLIN;
  if (down->n)
    events |= POLLOUT;
  struct pollfd fds[] = {{flow->line->tunnel->wake_fd, POLLIN, 0},
                         {flow->line->fd, flow->tls_events, 0},
                         {events ? flow->fd : -1, events, 0}};
  while (poll(fds, 3, -1) < 0)
    if (errno != EINTR)
      return false;
  /* The program at this end is gone for good: there is nobody to read for, nor to write to. */
  if (fds[2].revents & POLLERR)
    return false;
  return !fds[0].revents;
}

void tunnel_flow(TunnelLine *line, const Channel *channel, int fd)
{
  g_autofree char *up = g_malloc(TUNNEL_BUFFER_BYTES), *down = g_malloc(TUNNEL_BUFFER_BYTES);
  Flow flow = {.line = line, .fd = fd, .up.buffer = up, .down.buffer = down, .channel = channel};
  if (channel->reader) {
    flow.state = channel->reader->begin(channel->arg);
    flow.pass = g_byte_array_new();
  }
  int flags = fcntl(fd, F_GETFL);
  fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  do
    push(&flow);
  while (!flow.broken && !(flow.up.told && flow.down.told) && wait_for_more(&flow));
  if (flow.broken || !(flow.up.told && flow.down.told))
    SSL_set_quiet_shutdown(line->ssl, 1); /* broken off here, so broken off there: no goodbye */
  if (channel->reader) {
    channel->reader->end(flow.state);
    g_byte_array_unref(flow.pass);
  }
}
