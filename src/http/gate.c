// SPDX-License-Identifier: Apache-2.0
/* The handshake thread; see gate.h. */
#include "http/gate.h"
#include "http/server.h"
#include "http/tls.h"
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  ACCEPTS_A_TURN = 64,
  OUT_OF_FDS_US = 100 * 1000, /* rest after accept() found no descriptor left */
  RESOLVERS = 4,
  TIDY_AFTER_US = G_USEC_PER_SEC,
  GRACE_US = 5 * G_USEC_PER_SEC, /* for a handshake that waits for us */
  GRACES_MAX = 12,
};

struct Gate {
  gint refs;
  HttpIo *io;
  WsLoop *loop;
  GThread *thread;
  GThreadPool *resolvers;
  GMutex lock;
  bool stopped; /* under lock: the loop is gone */
  /* The rest: handshake thread */
  GQueue listeners; /* Listener */
  GQueue attempts;  /* Attempt */
  guint handshakes; /* ended, since the last tidying was asked for */
  WsTimer *tidying;
};

typedef struct {
  GList link;
  Gate *gate;
  HttpServer *server;
  int fd;
  WsFdWatch *watch;
  WsTimer *rest;
} Listener;

/* One connection on its way: of a server or of a dial. */
typedef struct {
  GList link;
  Gate *gate;
  HttpServer *server;
  Dial *dial;                    /* counted */
  struct addrinfo *found, *next; /* of the dial: where else to try */
  char *last_why;
  int fd; /* -1: looking up the name */
  SSL *ssl;
  WsFdWatch *watch;
  WsTimer *timer;
  char *address;
  int refusal;
  guint graces;
  bool is_connecting;
} Attempt;

typedef struct {
  Gate *gate; /* counted */
  Attempt *attempt;
  Dial *dial; /* counted */
  struct addrinfo *found;
  int error;
} Lookup;

/* A connection on its way to the I/O thread. */
typedef struct {
  HttpServer *server;
  Dial *dial;
  int fd;
  SSL *ssl;
  char *address, *why;
  int refusal;
  bool is_done;
} Handover;

static void step(Attempt *attempt);
static void try_next_address(Attempt *attempt);

/* ---- handing over ---- */

static void hand_over(void *arg)
{
  Handover *over = arg;
  int fd = over->fd;
  over->fd = -1;
  over->is_done = true;
  if (over->server)
    server_adopt(over->server, fd, g_steal_pointer(&over->ssl), over->address, over->refusal);
  else if (over->ssl)
    over->dial->ready(over->dial, fd, g_steal_pointer(&over->ssl), over->address);
  else
    over->dial->failed(over->dial, over->why);
}

static void drop_handover(void *arg)
{
  Handover *over = arg;
  SSL_free(over->ssl);
  if (over->fd >= 0)
    close(over->fd);
  if (over->dial && !over->is_done) /* the I/O thread is gone: its owner hears of it all the same */
    over->dial->failed(over->dial, "shutting down");
  if (over->dial)
    dial_unref(over->dial);
  g_free(over->address);
  g_free(over->why);
  g_free(over);
}

void dial_unref(Dial *dial)
{
  if (!g_atomic_int_dec_and_test(&dial->refs))
    return;
  SSL_CTX_free(dial->context);
  g_free(dial->host);
  g_free(dial->server_name);
  io_unref(dial->io);
  dial->destroy(dial);
}

/* ---- attempts ---- */

static void close_socket(Attempt *attempt)
{
  ws_fd_watch_remove(g_steal_pointer(&attempt->watch));
  g_clear_pointer(&attempt->ssl, SSL_free);
  if (attempt->fd >= 0)
    close(attempt->fd);
  attempt->fd = -1;
}

static void tidy(void *arg)
{
  Gate *gate = arg;
  gate->tidying = NULL;
  malloc_trim(0);
}

static void start_tidying(void *arg)
{
  Gate *gate = arg;
  if (!gate->tidying)
    gate->tidying = ws_loop_after(gate->loop, TIDY_AFTER_US, tidy, gate);
}

/* false: the loop is gone. */
static bool post(Gate *gate, WsLoopFunc func, void *arg, GDestroyNotify destroy)
{
  g_mutex_lock(&gate->lock);
  bool stopped = gate->stopped;
  if (!stopped)
    ws_loop_post(gate->loop, func, arg, destroy);
  g_mutex_unlock(&gate->lock);
  return !stopped;
}

void gate_tidy(Gate *gate)
{
  post(gate, start_tidying, gate, NULL);
}

static void free_attempt(Attempt *attempt)
{
  Gate *gate = attempt->gate;
  g_queue_unlink(&gate->attempts, &attempt->link);
  if (++gate->handshakes % IO_TIDY_CONNECTIONS == 0)
    start_tidying(gate);
  ws_timer_cancel(attempt->timer);
  close_socket(attempt);
  if (attempt->found)
    freeaddrinfo(attempt->found);
  if (attempt->dial)
    dial_unref(attempt->dial);
  g_free(attempt->address);
  g_free(attempt->last_why);
  g_free(attempt);
}

void gate_refuse(Dial *dial, const char *why)
{
  Handover *over = g_new0(Handover, 1);
  over->fd = -1;
  over->dial = dial;
  over->why = g_strdup(why);
  io_post(dial->io, hand_over, over, drop_handover);
}

static void fail(Attempt *attempt, const char *why)
{
  if (attempt->server) {
    server_count_failed_handshake(attempt->server);
    server_leave(attempt->server, attempt->address);
  } else {
    gate_refuse(g_steal_pointer(&attempt->dial), why);
  }
  free_attempt(attempt);
}

static void succeed(Attempt *attempt)
{
  Handover *over = g_new0(Handover, 1);
  ws_fd_watch_remove(g_steal_pointer(&attempt->watch));
  over->server = attempt->server;
  over->dial = g_steal_pointer(&attempt->dial);
  over->fd = attempt->fd;
  over->ssl = g_steal_pointer(&attempt->ssl);
  over->address = g_steal_pointer(&attempt->address);
  over->refusal = attempt->refusal;
  attempt->fd = -1;
  io_post(attempt->gate->io, hand_over, over, drop_handover);
  free_attempt(attempt);
}

/* Somebody speaks HTTP to the TLS port: says so in kind. */
static void answer_plain(int fd)
{
  static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                             "Content-Length: 37\r\n\r\nThis port speaks HTTPS: use https://.\n";
  if (send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
    shutdown(fd, SHUT_WR);
}

static void fail_handshake(Attempt *attempt, int error)
{
  if (attempt->server && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST)
    answer_plain(attempt->fd);
  g_autofree char *why = http_tls_why(attempt->ssl, error);
  fail(attempt, why);
}

static void on_event(int fd, guint32 events, void *arg)
{
  step(arg);
}

static void wait_for(Attempt *attempt, guint32 events)
{
  if (attempt->watch)
    ws_fd_watch_modify(attempt->watch, events);
  else
    attempt->watch = ws_loop_watch_fd(attempt->gate->loop, attempt->fd, events, on_event, attempt);
}

static void shake_hands(Attempt *attempt)
{
  ERR_clear_error();
  int result = SSL_do_handshake(attempt->ssl);
  int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(attempt->ssl, result);
  if (error == SSL_ERROR_WANT_READ) {
    wait_for(attempt, EPOLLIN);
  } else if (error == SSL_ERROR_WANT_WRITE) {
    wait_for(attempt, EPOLLOUT);
  } else if (error != SSL_ERROR_NONE) {
    fail_handshake(attempt, error);
  } else if (attempt->server && !http_tls_peer_is_accepted(attempt->ssl)) {
    fail(attempt, "the certificate is revoked");
  } else {
    if (attempt->server && SSL_session_reused(attempt->ssl))
      server_count_resumed(attempt->server);
    succeed(attempt);
  }
}

/* Goes on as far as it can without waiting. */
static void step(Attempt *attempt)
{
  if (attempt->is_connecting) {
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error) {
      g_free(attempt->last_why);
      attempt->last_why = g_strdup(g_strerror(error));
      try_next_address(attempt);
      return;
    }
    attempt->is_connecting = false;
    attempt->ssl = http_tls_new(attempt->dial->context, attempt->fd, attempt->dial->server_name,
                                attempt->gate->io->clock);
    http_tls_resume(attempt->ssl, attempt->dial->host, attempt->dial->port, attempt->dial->server_name);
  }
  shake_hands(attempt);
}

/* What the peer has sent lies here unread: it is not late, we are. */
static bool is_our_delay(const Attempt *attempt)
{
  struct pollfd look = {.fd = attempt->fd, .events = POLLIN};
  return attempt->server && attempt->graces < GRACES_MAX && poll(&look, 1, 0) == 1 && (look.revents & POLLIN);
}

static void time_out(void *arg)
{
  Attempt *attempt = arg;
  attempt->timer = NULL;
  if (is_our_delay(attempt)) {
    attempt->graces++;
    attempt->timer = ws_loop_after(attempt->gate->loop, GRACE_US, time_out, attempt);
    return;
  }
  fail(attempt, attempt->fd < 0          ? "the name could not be looked up in time"
                : attempt->is_connecting ? "no connection in time"
                                         : "no TLS handshake in time");
}

static Attempt *new_attempt(Gate *gate, gint64 time_us)
{
  Attempt *attempt = g_new0(Attempt, 1);
  attempt->gate = gate;
  attempt->fd = -1;
  attempt->link.data = attempt;
  attempt->timer = ws_loop_after(gate->loop, MAX(time_us, 0), time_out, attempt);
  g_queue_push_tail_link(&gate->attempts, &attempt->link);
  return attempt;
}

static void set_options(int fd)
{
  const struct {
    int level, name, value;
  } options[] = {
      {IPPROTO_TCP, TCP_NODELAY, 1},
      {SOL_SOCKET, SO_KEEPALIVE, 1}, /* finds peers that vanished while we only wait */
      {IPPROTO_TCP, TCP_KEEPIDLE, 15},
      {IPPROTO_TCP, TCP_KEEPINTVL, 5},
      {IPPROTO_TCP, TCP_KEEPCNT, 3},
      {IPPROTO_TCP, TCP_USER_TIMEOUT, 30 * 1000},
  };
  for (guint i = 0; i < G_N_ELEMENTS(options); i++)
    setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static char *format_address(const struct sockaddr *address, socklen_t n)
{
  char text[NI_MAXHOST] = "";
  getnameinfo(address, n, text, sizeof text, NULL, 0, NI_NUMERICHOST);
  return g_strdup(g_str_has_prefix(text, "::ffff:") && strchr(text, '.') ? text + 7 : text);
}

/* ---- servers ---- */

static void welcome(Listener *listener, int fd, const struct sockaddr *peer, socklen_t peer_n)
{
  Gate *gate = listener->gate;
  HttpServer *server = listener->server;
  g_autofree char *address = format_address(peer, peer_n);
  int verdict = server_admit(server, address);
  if (verdict < 0) {
    close(fd);
    return;
  }
  Attempt *attempt = new_attempt(gate, (gint64)server_config(server)->header_timeout_s * G_USEC_PER_SEC);
  SSL_CTX *context = server_dup_context(server);
  attempt->server = server;
  attempt->fd = fd;
  attempt->address = g_steal_pointer(&address);
  attempt->refusal = verdict;
  set_options(fd);
  attempt->ssl = http_tls_new(context, fd, NULL, gate->io->clock);
  SSL_CTX_free(context);
  step(attempt);
}

static void on_listener(int fd, guint32 events, void *arg);

static void rested(void *arg)
{
  Listener *listener = arg;
  listener->rest = NULL;
  listener->watch = ws_loop_watch_fd(listener->gate->loop, listener->fd, EPOLLIN, on_listener, listener);
}

static void on_listener(int fd, guint32 events, void *arg)
{
  Listener *listener = arg;
  for (int i = 0; i < ACCEPTS_A_TURN; i++) {
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int got = accept4(fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got >= 0) {
      welcome(listener, got, (struct sockaddr *)&peer, n);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      ws_fd_watch_remove(g_steal_pointer(&listener->watch));
      listener->rest = ws_loop_after(listener->gate->loop, OUT_OF_FDS_US, rested, listener);
      return;
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

static void free_listener(Listener *listener)
{
  g_queue_unlink(&listener->gate->listeners, &listener->link);
  ws_fd_watch_remove(listener->watch);
  ws_timer_cancel(listener->rest);
  g_free(listener);
}

static void start_listening(void *arg)
{
  Listener *listener = arg;
  g_queue_push_tail_link(&listener->gate->listeners, &listener->link);
  rested(listener);
}

void gate_listen(Gate *gate, HttpServer *server, int fd)
{
  Listener *listener = g_new0(Listener, 1);
  *listener = (Listener){.link.data = listener, .gate = gate, .server = server, .fd = fd};
  io_call_on_loop(gate->loop, start_listening, listener);
}

typedef struct {
  Gate *gate;
  HttpServer *server;
} Unlisten;

static void stop_listening(void *arg)
{
  const Unlisten *what = arg;
  for (GList *link = what->gate->listeners.head, *next; link; link = next) {
    next = link->next;
    if (((Listener *)link->data)->server == what->server)
      free_listener(link->data);
  }
  for (GList *link = what->gate->attempts.head, *next; link; link = next) {
    next = link->next;
    if (((Attempt *)link->data)->server == what->server)
      fail(link->data, "shutting down");
  }
}

void gate_unlisten(Gate *gate, HttpServer *server)
{
  Unlisten what = {gate, server};
  io_call_on_loop(gate->loop, stop_listening, &what);
}

/* ---- dials ---- */

static void try_next_address(Attempt *attempt)
{
  close_socket(attempt);
  attempt->is_connecting = true;
  while (attempt->next) {
    const struct addrinfo *to = attempt->next;
    attempt->next = to->ai_next;
    g_free(attempt->address);
    attempt->address = format_address(to->ai_addr, to->ai_addrlen);
    attempt->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (attempt->fd >= 0) {
      set_options(attempt->fd);
      if (connect(attempt->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) {
        wait_for(attempt, EPOLLOUT);
        return;
      }
    }
    g_free(attempt->last_why);
    attempt->last_why = g_strdup(g_strerror(errno));
    close_socket(attempt);
  }
  fail(attempt, attempt->last_why ? attempt->last_why : "the name has no address");
}

static int look_up(const Dial *dial, int flags, struct addrinfo **found)
{
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
  char port[8];
  g_snprintf(port, sizeof port, "%u", dial->port);
  return getaddrinfo(dial->host, port, &hints, found);
}

void gate_unref(Gate *gate)
{
  if (!g_atomic_int_dec_and_test(&gate->refs))
    return;
  g_mutex_clear(&gate->lock);
  g_free(gate);
}

static void drop_lookup(void *arg)
{
  Lookup *lookup = arg;
  if (lookup->found)
    freeaddrinfo(lookup->found);
  dial_unref(lookup->dial);
  gate_unref(lookup->gate);
  g_free(lookup);
}

static void looked_up(void *arg)
{
  Lookup *lookup = arg;
  Attempt *attempt = lookup->attempt;
  if (!g_queue_find(&lookup->gate->attempts, attempt) || attempt->dial != lookup->dial)
    return; /* timed out meanwhile */
  if (lookup->error) {
    fail(attempt, gai_strerror(lookup->error));
    return;
  }
  attempt->found = attempt->next = g_steal_pointer(&lookup->found);
  try_next_address(attempt);
}

/* On a resolver's thread. */
static void resolve(gpointer arg, gpointer user)
{
  Lookup *lookup = arg;
  Gate *gate = lookup->gate;
  lookup->error = look_up(lookup->dial, AI_ADDRCONFIG, &lookup->found);
  if (!post(gate, looked_up, lookup, drop_lookup))
    drop_lookup(lookup);
}

typedef struct {
  Gate *gate;
  Dial *dial;
} StartDial;

static void start_dial(void *arg)
{
  StartDial *start = arg;
  Gate *gate = start->gate;
  Dial *dial = start->dial;
  Attempt *attempt = new_attempt(gate, dial->deadline_us - ws_clock_monotonic_us(gate->io->clock));
  attempt->dial = g_steal_pointer(&start->dial);
  if (look_up(dial, AI_NUMERICHOST, &attempt->found) == 0) {
    attempt->next = attempt->found;
    try_next_address(attempt);
    return;
  }
  Lookup *lookup = g_new0(Lookup, 1);
  g_atomic_int_inc(&gate->refs);
  g_atomic_int_inc(&dial->refs);
  *lookup = (Lookup){.gate = gate, .attempt = attempt, .dial = dial};
  g_thread_pool_push(gate->resolvers, lookup, NULL);
}

static void drop_start(void *arg)
{
  StartDial *start = arg;
  if (start->dial)
    gate_refuse(g_steal_pointer(&start->dial), "shutting down");
  g_free(start);
}

void gate_dial(Gate *gate, Dial *dial)
{
  StartDial *start = g_new(StartDial, 1);
  g_atomic_int_inc(&dial->refs);
  *start = (StartDial){gate, dial};
  if (!post(gate, start_dial, start, drop_start))
    drop_start(start);
}

/* ---- life ---- */

static gpointer run(gpointer arg)
{
  Gate *gate = arg;
  io_block_signals();
  ws_loop_run(gate->loop);
  return NULL;
}

Gate *gate_new(HttpIo *io)
{
  Gate *gate = g_new0(Gate, 1);
  gate->refs = 1;
  gate->io = io;
  g_mutex_init(&gate->lock);
  gate->resolvers = g_thread_pool_new(resolve, NULL, RESOLVERS, FALSE, NULL);
  gate->loop = ws_loop_new(io->clock);
  gate->thread = g_thread_new("http-gate", run, gate);
  return gate;
}

static void stop(void *arg)
{
  Gate *gate = arg;
  g_mutex_lock(&gate->lock);
  gate->stopped = true;
  g_mutex_unlock(&gate->lock);
  while (gate->listeners.head)
    free_listener(gate->listeners.head->data);
  while (gate->attempts.head)
    fail(gate->attempts.head->data, "shutting down");
  ws_loop_quit(gate->loop);
}

void gate_stop(Gate *gate)
{
  ws_loop_post(gate->loop, stop, gate, NULL);
  g_thread_join(gate->thread);
  ws_loop_free(gate->loop);
  g_thread_pool_free(gate->resolvers, FALSE, FALSE); /* a look-up that hangs ends by itself */
}
