// SPDX-License-Identifier: Apache-2.0
/* Connections; see connection.h. */
#include "http/connection.h"
#include "http/server.h"
#include "http/tls.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  TURN_BYTES = 256 * 1024,         /* read or written for one connection before the others get their turn */
  MIN_PROGRESS_BYTES = 64 * 1024,  /* per idle period, else the peer is thought not to read */
  DRAIN_US = 2 * G_USEC_PER_SEC,   /* after our goodbye */
  FINISH_US = 30 * G_USEC_PER_SEC, /* to flush before it */
};

/* One part of the output: its own copy of small bytes, then shared ones. */
struct Piece {
  Piece *next;
  GBytes *bytes; /* NULL: none */
  gsize at;      /* sent of both together */
  gsize own_n;
  char own[];
};

static void watch(Connection *connection);

/* ---- output ---- */

static gsize piece_size(const Piece *piece)
{
  return piece->own_n + (piece->bytes ? g_bytes_get_size(piece->bytes) : 0);
}

/* The next contiguous bytes of a piece from `at` on. */
static const char *piece_part(const Piece *piece, gsize at, gsize *n)
{
  if (at < piece->own_n) {
    *n = piece->own_n - at;
    return piece->own + at;
  }
  gsize size = 0;
  const char *bytes = piece->bytes ? g_bytes_get_data(piece->bytes, &size) : NULL;
  *n = size - (at - piece->own_n);
  return bytes + (at - piece->own_n);
}

static void piece_free(Piece *piece)
{
  if (piece->bytes)
    g_bytes_unref(piece->bytes);
  g_free(piece);
}

static void mark_dirty(Connection *connection)
{
  if (!connection->is_dirty && !connection->is_dead && !connection->is_blocked) {
    connection->is_dirty = true;
    g_queue_push_tail_link(&connection->io->dirty, &connection->dirty_link);
  }
}

static void mark_hungry(Connection *connection)
{
  if (!connection->is_hungry && !connection->is_dead) {
    connection->is_hungry = true;
    g_queue_push_tail_link(&connection->io->hungry, &connection->hungry_link);
  }
}

void connection_send(Connection *connection, const void *prefix, gsize prefix_n, GBytes *bytes)
{
  if (connection->is_dead || connection->phase != CONNECTION_OPEN)
    return;
  if (bytes && g_bytes_get_size(bytes) == 0)
    bytes = NULL;
  if (prefix_n == 0 && !bytes)
    return;
  Piece *piece = g_malloc(sizeof(Piece) + prefix_n);
  *piece = (Piece){.bytes = bytes ? g_bytes_ref(bytes) : NULL, .own_n = prefix_n};
  memcpy(piece->own, prefix, prefix_n);
  if (!connection->first) {
    connection->first = piece;
    connection->sent_us = io_now_us(connection->io);
    connection->sent_bytes = 0;
  } else {
    connection->last->next = piece;
  }
  connection->last = piece;
  connection->out_bytes += piece_size(piece);
  mark_dirty(connection);
}

static void drop_pieces(Connection *connection, Piece *from)
{
  while (from) {
    Piece *next = from->next;
    connection->out_bytes -= piece_size(from) - from->at;
    piece_free(from);
    from = next;
  }
}

gsize connection_drop_output(Connection *connection)
{
  gsize before = connection->out_bytes;
  Piece *first = connection->first;
  /* OpenSSL insists on getting the same bytes again after it was blocked: keep all that it has seen. */
  gsize seen = connection->is_blocked ? IO_RECORD_BYTES : 0, kept = 0;
  while (first && ((first == connection->first && first->at > 0) || kept < seen)) {
    kept += piece_size(first) - first->at;
    connection->last = first;
    first = first->next;
  }
  drop_pieces(connection, first);
  if (first == connection->first)
    connection->first = connection->last = NULL;
  else
    connection->last->next = NULL;
  return before - connection->out_bytes;
}

/* The next bytes to encrypt: a large part as it lies, small ones gathered. */
static const char *next_record(Connection *connection, gsize *n)
{
  const Piece *piece = connection->first;
  gsize at = piece->at, part_n, filled = 0;
  const char *part = piece_part(piece, at, &part_n);
  if (part_n >= IO_RECORD_BYTES) {
    *n = IO_RECORD_BYTES;
    return part;
  }
  while (piece && filled < IO_RECORD_BYTES) {
    part = piece_part(piece, at, &part_n);
    gsize take = MIN(part_n, IO_RECORD_BYTES - filled);
    memcpy(connection->io->output + filled, part, take);
    filled += take;
    at += take;
    if (at == piece_size(piece)) {
      piece = piece->next;
      at = piece ? piece->at : 0;
    }
  }
  *n = filled;
  return connection->io->output;
}

static void consume_output(Connection *connection, gsize n)
{
  connection->out_bytes -= n;
  while (n > 0) {
    Piece *piece = connection->first;
    gsize take = MIN(n, piece_size(piece) - piece->at);
    piece->at += take;
    n -= take;
    if (piece->at == piece_size(piece)) {
      connection->first = piece->next;
      piece_free(piece);
    }
  }
  if (!connection->first)
    connection->last = NULL;
}

/* Everything is flushed: says goodbye, and waits for the peer's. */
static void start_draining(Connection *connection)
{
  SSL_shutdown(connection->ssl);
  shutdown(connection->fd, SHUT_WR);
  connection->phase = CONNECTION_DRAINING;
  if (connection->input_ended) {
    connection_abort(connection, "closed");
    return;
  }
  connection_set_deadline(connection, io_now_us(connection->io) + DRAIN_US);
  watch(connection);
}

static bool fail_io(Connection *connection, int result)
{
  g_autofree char *why = http_tls_why(connection->ssl, SSL_get_error(connection->ssl, result));
  connection_abort(connection, why);
  return false;
}

/* Encrypts and sends until the kernel or the turn is full. false: the connection is dead. */
static bool send_output(Connection *connection, gsize *sent)
{
  connection->is_blocked = false;
  while (connection->first && *sent < TURN_BYTES) {
    gsize n;
    const char *record = next_record(connection, &n);
    int result = SSL_write(connection->ssl, record, (int)n);
    if (result > 0) {
      consume_output(connection, (gsize)result);
      *sent += (gsize)result;
      continue;
    }
    int error = SSL_get_error(connection->ssl, result);
    if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
      return fail_io(connection, result);
    connection->is_blocked = true;
    break;
  }
  return true;
}

void connection_flush(Connection *connection)
{
  gsize sent = 0;
  connection->is_dirty = false;
  if (connection->is_dead || connection->phase == CONNECTION_DRAINING || !send_output(connection, &sent))
    return;
  if (sent > 0) {
    gint64 now = io_now_us(connection->io);
    connection->sent_bytes += sent;
    if (connection->sent_bytes >= MIN_PROGRESS_BYTES || !connection->first) {
      connection->sent_us = now;
      connection->sent_bytes = 0;
    }
    connection->role->sent(connection, sent);
  }
  if (connection->is_dead)
    return;
  if (connection->phase == CONNECTION_FINISHING && !connection->first)
    start_draining(connection);
  else
    watch(connection);
}

gint64 connection_send_deadline(Connection *connection, gint64 period_us)
{
  return connection->first ? connection->sent_us + period_us : G_MAXINT64;
}

/* ---- input ---- */

/* Lets the role take what it can of the bytes; keeps the rest. */
static void give(Connection *connection, char *bytes, gsize n)
{
  GByteArray *rest = connection->rest;
  if (rest) {
    g_byte_array_append(rest, (const guint8 *)bytes, (guint)n);
    bytes = (char *)rest->data;
    n = rest->len;
  }
  gsize used = n;
  if (connection->phase == CONNECTION_OPEN)
    used = connection->role->input(connection, bytes, n);
  if (used == n || connection->phase != CONNECTION_OPEN) {
    g_clear_pointer(&connection->rest, g_byte_array_unref);
  } else if (rest) {
    if (used > 0)
      g_byte_array_remove_range(rest, 0, (guint)used);
  } else {
    connection->rest = g_byte_array_sized_new((guint)(n - used));
    g_byte_array_append(connection->rest, (const guint8 *)bytes + used, (guint)(n - used));
  }
}

static bool can_read(const Connection *connection)
{
  return !connection->is_dead && connection->phase == CONNECTION_OPEN && !connection->is_paused &&
         !connection->input_ended && (!connection->rest || connection->rest->len < IO_INPUT_BYTES);
}

static void end_input(Connection *connection)
{
  connection->input_ended = true;
  connection->role->ended_input(connection);
}

/* After our goodbye: throws away what still comes, without decrypting it, until the peer closes too. */
static void drain(Connection *connection)
{
  gssize n;
  do {
    n = recv(connection->fd, connection->io->input, IO_INPUT_BYTES, MSG_DONTWAIT);
  } while (n > 0);
  if (n == 0 || (errno != EAGAIN && errno != EINTR))
    connection_abort(connection, "closed");
}

void connection_read(Connection *connection)
{
  gsize total = 0;
  connection->is_hungry = false;
  if (connection->is_dead)
    return;
  if (connection->phase == CONNECTION_DRAINING) {
    drain(connection);
    return;
  }
  if (connection->rest && !connection->is_paused) {
    give(connection, NULL, 0);
    if (!connection->is_dead && connection->input_ended && connection->phase == CONNECTION_OPEN)
      connection->role->ended_input(connection); /* it may have waited for what was in the rest */
  }
  connection->wants_write_to_read = false;
  while (can_read(connection)) {
    int result = SSL_read(connection->ssl, connection->io->input, IO_INPUT_BYTES);
    if (result <= 0) {
      int error = SSL_get_error(connection->ssl, result);
      if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        connection->wants_write_to_read = error == SSL_ERROR_WANT_WRITE;
      else if (error == SSL_ERROR_ZERO_RETURN)
        end_input(connection);
      else
        fail_io(connection, result);
      break;
    }
    give(connection, connection->io->input, (gsize)result);
    total += (gsize)result;
    if (!SSL_has_pending(connection->ssl))
      break; /* level-triggered: if more came meanwhile, epoll says so */
    if (total >= TURN_BYTES) {
      io_come_back(connection->io, connection); /* OpenSSL holds bytes that epoll does not know of */
      break;
    }
  }
  if (!connection->is_dead && !connection->is_dirty) /* what is dirty is flushed in this turn, and watched after that */
    watch(connection);
}

void connection_pause(Connection *connection, bool paused)
{
  if (connection->is_paused == paused)
    return;
  connection->is_paused = paused;
  if (!paused)
    connection_kick(connection);
  else if (!connection->is_dead)
    watch(connection);
}

void connection_kick(Connection *connection)
{
  mark_hungry(connection);
}

/* ---- events and deadlines ---- */

static void on_event(int fd, guint32 events, void *arg)
{
  Connection *connection = arg;
  HttpIo *io = connection->io;
  bool is_cut = events & (EPOLLERR | EPOLLHUP);
  if (is_cut && !(connection->events & EPOLLIN)) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    connection_abort(connection, error ? g_strerror(error) : "the peer broke off the connection");
  }
  if (events & EPOLLOUT) {
    connection->is_blocked = false;
    if (connection->first)
      mark_dirty(connection);
  }
  if ((events & EPOLLIN) || is_cut || connection->wants_write_to_read)
    mark_hungry(connection);
  io_settle(io);
}

/* Tells epoll what would help. */
static void watch(Connection *connection)
{
  guint32 events = 0;
  if (connection->phase == CONNECTION_DRAINING || can_read(connection))
    events |= EPOLLIN;
  if (connection->phase != CONNECTION_DRAINING && (connection->first || connection->wants_write_to_read))
    events |= EPOLLOUT;
  if (events == connection->events && connection->watch)
    return;
  connection->events = events;
  if (connection->watch)
    ws_fd_watch_modify(connection->watch, events);
  else
    connection->watch = ws_loop_watch_fd(connection->io->loop, connection->fd, events, on_event, connection);
}

void connection_set_deadline(Connection *connection, gint64 when_us)
{
  if (connection->is_dead || connection->phase == CONNECTION_FINISHING)
    return;
  connection->deadline_us = when_us;
  if (when_us)
    io_watch_deadline(connection->io, when_us);
}

void connection_expire(Connection *connection)
{
  connection->deadline_us = 0;
  if (connection->phase == CONNECTION_OPEN)
    connection->role->expired(connection);
  else
    connection_abort(connection, "the peer does not read");
}

/* ---- life ---- */

Connection *connection_new(HttpIo *io, HttpServer *server, int fd, SSL *ssl, const char *address)
{
  g_autofree char *cn = NULL, *serial = NULL;
  Connection *connection = g_new0(Connection, 1);
  connection->io = io;
  connection->server = server;
  connection->fd = fd;
  connection->ssl = ssl;
  connection->address = g_ref_string_new(address);
  http_tls_peer_identity(ssl, &cn, &serial);
  connection->cn = cn ? g_ref_string_new(cn) : NULL;
  connection->serial = serial ? g_ref_string_new(serial) : NULL;
  connection->idle_since_us = io_now_us(io);
  connection->live_link.data = connection->dirty_link.data = connection->hungry_link.data = connection;
  g_queue_push_tail_link(&io->live, &connection->live_link);
  return connection;
}

void connection_set_role(Connection *connection, const ConnectionRole *role, void *state)
{
  connection->role = role;
  connection->state = state;
  connection_kick(connection);
}

void connection_finish(Connection *connection)
{
  if (connection->is_dead || connection->phase != CONNECTION_OPEN)
    return;
  connection_set_deadline(connection, io_now_us(connection->io) + FINISH_US);
  connection->phase = CONNECTION_FINISHING; /* the rest stays: a role may be reading in it at this moment */
  mark_dirty(connection);
}

static void ignore(Connection *connection)
{
}

static void ignore_sent(Connection *connection, gsize n)
{
}

static void ignore_over(Connection *connection, const char *why)
{
}

static const ConnectionRole nobody = {
    .ended_input = ignore, .sent = ignore_sent, .expired = ignore, .over = ignore_over};

void connection_let_go(Connection *connection)
{
  connection->role = &nobody;
  connection->state = NULL;
  connection_finish(connection);
}

void connection_abort(Connection *connection, const char *why)
{
  HttpIo *io = connection->io;
  if (connection->is_dead)
    return;
  connection->is_dead = true;
  if (connection->is_dirty)
    g_queue_unlink(&io->dirty, &connection->dirty_link);
  if (connection->is_hungry)
    g_queue_unlink(&io->hungry, &connection->hungry_link);
  g_queue_unlink(&io->live, &connection->live_link);
  g_queue_push_tail_link(&io->dead, &connection->live_link);
  ws_fd_watch_remove(g_steal_pointer(&connection->watch));
  connection->role->over(connection, why);
  if (connection->server)
    server_connection_over(connection->server, connection);
}

void connection_shut(Connection *connection, const char *why)
{
  gsize sent = 0;
  if (connection->is_dead)
    return;
  if (connection->phase == CONNECTION_OPEN && connection->role->goodbye)
    connection->role->goodbye(connection);
  if (connection->phase != CONNECTION_DRAINING && !connection->is_dead && send_output(connection, &sent) &&
      !connection->first)
    SSL_shutdown(connection->ssl);
  connection_abort(connection, why);
}

void connection_free(Connection *connection)
{
  drop_pieces(connection, connection->first);
  if (connection->rest)
    g_byte_array_unref(connection->rest);
  SSL_free(connection->ssl);
  close(connection->fd);
  g_ref_string_release(connection->address);
  g_clear_pointer(&connection->cn, g_ref_string_release);
  g_clear_pointer(&connection->serial, g_ref_string_release);
  g_free(connection);
}
