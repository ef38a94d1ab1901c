// SPDX-License-Identifier: Apache-2.0
/* The simulated network. See net.h.
 *
 * A connection is two lines of parcels. Each line's first parcel has an event of its own; it arrives when the event fires, the way is
 * free and the receiver is still there. */
#include "sim/net.h"
#include <string.h>

#define PATIENCE_US (30 * G_USEC_PER_SEC) /* TCP_USER_TIMEOUT of both sides */

typedef enum { REQUEST, ANSWER, UPGRADED, MESSAGE, CLOSED } Kind;

typedef struct {
  Kind kind;
  gint64 due_us;
  int status;
  char *etag, *location; /* ANSWER; `location` is the reason of CLOSED */
  GBytes *bytes;
} Parcel;

typedef struct {
  GQueue parcels;
  SimEvent *event;   /* the first one's arrival, or when patience ends; NULL: none */
  gint64 stuck_us;   /* the way has been barred for the first one since; 0: it is not */
  gsize bytes;
} Line;

struct SimConn {
  SimNet *net;
  GList link;
  guint node;
  guint64 number;
  const SimConnEvents *events; /* NULL: dropped by its owner */
  void *arg;
  HttpLocal *local; /* the manager's side; NULL: not yet, or no more */
  bool manager_over; /* the manager's side has ended, or never was */
  bool is_settled;   /* both have let go */
  bool peer_over;    /* the owner has had its last event */
  Line to_manager, to_peer;
  /* the request until it arrives */
  char *method, *target, *address, *cn, *serial;
  char **headers;
  guint refs;
};

struct SimNet {
  SimWorld *world;
  SimRandom random;
  HttpServer *server;
  GQueue conns;
  guint64 n_conns;
  bool barred[SIM_NODES_MAX][SIM_NODES_MAX];
  SimNetFaults faults;
};

static void set_event(SimConn *conn, Line *line);

SimNet *sim_net_new(SimWorld *world)
{
  SimNet *net = g_new0(SimNet, 1);
  net->world = world;
  net->faults.latency_us = 200;
  net->faults.latency_most_us = 2000;
  sim_random_seed(&net->random, sim_world_seed(world), 1);
  return net;
}

void sim_net_set_faults(SimNet *net, const SimNetFaults *faults)
{
  net->faults = *faults;
}

/* ---- life of a connection ---- */

static void free_parcel(void *arg)
{
  Parcel *parcel = arg;
  g_clear_pointer(&parcel->bytes, g_bytes_unref);
  g_free(parcel->etag);
  g_free(parcel->location);
  g_free(parcel);
}

static void conn_unref(SimConn *conn)
{
  if (--conn->refs > 0)
    return;
  sim_cancel(conn->to_manager.event);
  sim_cancel(conn->to_peer.event);
  g_queue_clear_full(&conn->to_manager.parcels, free_parcel);
  g_queue_clear_full(&conn->to_peer.parcels, free_parcel);
  g_queue_unlink(&conn->net->conns, &conn->link);
  g_free(conn->method);
  g_free(conn->target);
  g_free(conn->address);
  g_free(conn->cn);
  g_free(conn->serial);
  g_strfreev(conn->headers);
  g_free(conn);
}

static void clear_line(Line *line)
{
  sim_cancel(g_steal_pointer(&line->event));
  g_queue_clear_full(&line->parcels, free_parcel);
  line->bytes = 0;
  line->stuck_us = 0;
}

/* The owner's last event. */
static void tell_lost(SimConn *conn, const char *reason)
{
  if (conn->peer_over)
    return;
  conn->peer_over = true;
  clear_line(&conn->to_peer);
  if (conn->events && conn->events->lost)
    conn->events->lost(conn, reason, conn->arg);
}

static void end_manager(SimConn *conn)
{
  conn->manager_over = true;
  clear_line(&conn->to_manager);
  if (conn->local)
    http_local_free(g_steal_pointer(&conn->local));
}

/* Nobody is left: over for good. */
static void settle(SimConn *conn)
{
  if (!conn->manager_over || conn->events || conn->is_settled)
    return;
  conn->is_settled = true;
  conn_unref(conn);
}

/* ---- sending ---- */

static void push(SimConn *conn, Line *line, Parcel *parcel)
{
  SimNet *net = conn->net;
  const Parcel *last = line->parcels.tail ? line->parcels.tail->data : NULL;
  parcel->due_us = sim_now_us(net->world) + sim_delay(&net->random, net->faults.latency_us, net->faults.latency_most_us);
  if (last)
    parcel->due_us = MAX(parcel->due_us, last->due_us);
  line->bytes += parcel->bytes ? g_bytes_get_size(parcel->bytes) : 0;
  g_queue_push_tail(&line->parcels, parcel);
  if (!line->event)
    set_event(conn, line);
}

static Parcel *parcel_new(Kind kind, GBytes *bytes)
{
  Parcel *parcel = g_new0(Parcel, 1);
  parcel->kind = kind;
  parcel->bytes = bytes ? g_bytes_ref(bytes) : NULL;
  return parcel;
}

/* The manager's side speaks: in turns of its io's loop. */
static const char *field_or_empty(HttpLocal *local, const char *(*header)(HttpLocal *local, const char *name), const char *name)
{
  const char *value = header(local, name);
  return value ? value : "";
}

static void on_answered(HttpLocal *local, int status, const char *(*header)(HttpLocal *local, const char *name), GBytes *body,
                        void *arg)
{
  SimConn *conn = arg;
  Parcel *parcel = parcel_new(ANSWER, body);
  parcel->status = status;
  parcel->etag = g_strdup(field_or_empty(local, header, "etag"));
  parcel->location = g_strdup(field_or_empty(local, header, "location"));
  push(conn, &conn->to_peer, parcel);
}

static void on_upgraded(HttpLocal *local, void *arg)
{
  push(arg, &((SimConn *)arg)->to_peer, parcel_new(UPGRADED, NULL));
}

static void on_message(HttpLocal *local, GBytes *message, bool binary, void *arg)
{
  push(arg, &((SimConn *)arg)->to_peer, parcel_new(MESSAGE, message));
}

static void on_closed(HttpLocal *local, int code, const char *reason, void *arg)
{
  SimConn *conn = arg;
  Parcel *parcel = parcel_new(CLOSED, NULL);
  parcel->location = g_strdup(reason);
  push(conn, &conn->to_peer, parcel);
}

static const HttpLocalEvents local_events = {
    .answered = on_answered, .upgraded = on_upgraded, .message = on_message, .closed = on_closed};

/* ---- arriving ---- */

static void reach_manager(SimConn *conn, const Parcel *parcel)
{
  if (parcel->kind == CLOSED) {
    end_manager(conn);
    return;
  }
  if (parcel->kind == MESSAGE) {
    if (conn->local)
      http_local_send(conn->local, parcel->bytes, false);
    return;
  }
  HttpLocalRequest request = {.method = conn->method,
                              .target = conn->target,
                              .headers = (const char *const *)conn->headers,
                              .address = conn->address,
                              .cn = conn->cn,
                              .serial = conn->serial};
  if (parcel->bytes)
    request.body = g_bytes_get_data(parcel->bytes, &request.body_bytes);
  conn->local = conn->net->server ? http_local_request(conn->net->server, &request, &local_events, conn) : NULL;
  if (conn->local)
    return;
  conn->manager_over = true;
  Parcel *refused = parcel_new(CLOSED, NULL);
  refused->location = g_strdup("connection refused");
  push(conn, &conn->to_peer, refused);
}

static void reach_peer(SimConn *conn, const Parcel *parcel)
{
  if (parcel->bytes && conn->local && parcel->kind == MESSAGE)
    http_local_took(conn->local, g_bytes_get_size(parcel->bytes) + 14);
  if (!conn->events || conn->peer_over)
    return;
  switch (parcel->kind) {
  case ANSWER:
    if (conn->events->answered)
      conn->events->answered(conn, parcel->status, parcel->etag, parcel->location, parcel->bytes, conn->arg);
    break;
  case UPGRADED:
    if (conn->events->upgraded)
      conn->events->upgraded(conn, conn->arg);
    break;
  case MESSAGE:
    if (conn->events->message)
      conn->events->message(conn, parcel->bytes, conn->arg);
    break;
  default:
    tell_lost(conn, parcel->location);
  }
}

/* Both sides lose it, each by itself. */
static void break_conn(SimConn *conn)
{
  sim_note(conn->net->world, "net: connection %" G_GUINT64_FORMAT " of node %u breaks", conn->number, conn->node);
  clear_line(&conn->to_peer);
  end_manager(conn);
  tell_lost(conn, "the connection was reset");
}

static void arrive(SimConn *conn, Line *line)
{
  SimNet *net = conn->net;
  bool to_manager = line == &conn->to_manager;
  g_autoptr(GBytes) keep = NULL;
  if (sim_chance(&net->random, net->faults.breaks)) {
    break_conn(conn);
    return;
  }
  Parcel *parcel = g_queue_pop_head(&line->parcels);
  line->bytes -= parcel->bytes ? g_bytes_get_size(parcel->bytes) : 0;
  char what[64];
  g_snprintf(what, sizeof what, "net: %u %s manager, %s", conn->node, to_manager ? "to" : "from",
             (const char *[]){"request", "answer", "upgrade", "message", "close"}[parcel->kind]);
  gsize n = 0;
  const void *bytes = parcel->bytes ? g_bytes_get_data(parcel->bytes, &n) : "";
  sim_note_bytes(net->world, what, bytes, n);
  if (to_manager)
    reach_manager(conn, parcel);
  else
    reach_peer(conn, parcel);
  free_parcel(parcel);
}

static void try_line(SimConn *conn, Line *line)
{
  SimNet *net = conn->net;
  bool to_manager = line == &conn->to_manager;
  guint from = to_manager ? conn->node : SIM_MANAGER, to = to_manager ? SIM_MANAGER : conn->node;
  line->event = NULL;
  conn->refs++;
  if (!net->barred[from][to]) {
    line->stuck_us = 0;
    arrive(conn, line);
  } else if (!line->stuck_us) {
    line->stuck_us = sim_now_us(net->world);
  } else if (sim_now_us(net->world) - line->stuck_us >= PATIENCE_US) {
    if (to_manager)
      tell_lost(conn, "the connection timed out");
    else
      end_manager(conn);
    clear_line(line);
  }
  if (!line->event && line->parcels.head)
    set_event(conn, line);
  settle(conn);
  conn_unref(conn);
}

static void try_to_manager(void *arg)
{
  try_line(arg, &((SimConn *)arg)->to_manager);
}

static void try_to_peer(void *arg)
{
  try_line(arg, &((SimConn *)arg)->to_peer);
}

static void set_event(SimConn *conn, Line *line)
{
  const Parcel *first = g_queue_peek_head(&line->parcels);
  gint64 now = sim_now_us(conn->net->world);
  gint64 due = line->stuck_us ? line->stuck_us + PATIENCE_US : first->due_us;
  line->event = sim_after(conn->net->world, MAX(due - now, 0),
                          line == &conn->to_manager ? try_to_manager : try_to_peer, conn);
}

/* ---- partitions ---- */

bool sim_net_reaches(SimNet *net, guint from, guint to)
{
  return !net->barred[from][to];
}

static void release(SimConn *conn, Line *line)
{
  if (!line->stuck_us)
    return;
  line->stuck_us = 0;
  sim_cancel(g_steal_pointer(&line->event));
  if (line->parcels.head)
    set_event(conn, line);
}

void sim_net_set_reach(SimNet *net, guint from, guint to, bool reach)
{
  if (net->barred[from][to] == !reach)
    return;
  net->barred[from][to] = !reach;
  sim_note(net->world, "net: %u to %u %s", from, to, reach ? "open" : "barred");
  for (GList *link = net->conns.head; reach && link; link = link->next) {
    SimConn *conn = link->data;
    if (from == conn->node)
      release(conn, &conn->to_manager);
    if (to == conn->node)
      release(conn, &conn->to_peer);
  }
}

void sim_net_heal(SimNet *net)
{
  for (guint i = 0; i < SIM_NODES_MAX; i++)
    for (guint j = 0; j < SIM_NODES_MAX; j++)
      sim_net_set_reach(net, i, j, true);
}

/* ---- the manager ---- */

void sim_net_set_server(SimNet *net, HttpServer *server)
{
  net->server = server;
}

typedef struct {
  SimConn *conn;
} Reset;

static void on_reset(void *arg)
{
  SimConn *conn = arg;
  tell_lost(conn, "the connection was reset");
  settle(conn);
  conn_unref(conn);
}

/* What the manager said last may still be on its way; behind it comes the reset. Without power nobody says so: the peers find out
 * when they get no receipt. */
void sim_net_manager_gone(SimNet *net, bool power_lost)
{
  net->server = NULL;
  for (GList *link = net->conns.head, *next; link; link = next) {
    SimConn *conn = link->data;
    next = link->next;
    if (conn->manager_over)
      continue;
    if (!conn->local && conn->to_manager.parcels.head)
      continue; /* its request has not arrived: it is refused when it does */
    conn->local = NULL; /* went with the process */
    conn->manager_over = true;
    clear_line(&conn->to_manager);
    conn->refs++;
    gint64 delay = power_lost ? sim_between(&net->random, 0, PATIENCE_US)
                              : sim_delay(&net->random, net->faults.latency_us, net->faults.latency_most_us);
    const Parcel *last = conn->to_peer.parcels.tail ? conn->to_peer.parcels.tail->data : NULL;
    if (last)
      delay = MAX(delay, last->due_us - sim_now_us(net->world) + 1);
    sim_after(net->world, delay, on_reset, conn);
  }
}

/* ---- the peer's side ---- */

SimConn *sim_net_request(SimNet *net, guint node, const HttpLocalRequest *request, const SimConnEvents *events, void *arg)
{
  SimConn *conn = g_new0(SimConn, 1);
  *conn = (SimConn){.net = net,
                    .node = node,
                    .number = ++net->n_conns,
                    .events = events,
                    .arg = arg,
                    .method = g_strdup(request->method),
                    .target = g_strdup(request->target),
                    .headers = g_strdupv((char **)request->headers),
                    .address = g_strdup(request->address),
                    .cn = g_strdup(request->cn),
                    .serial = g_strdup(request->serial),
                    .refs = 1};
  conn->link.data = conn;
  g_queue_push_tail_link(&net->conns, &conn->link);
  g_autoptr(GBytes) body = request->body ? g_bytes_new(request->body, request->body_bytes) : NULL;
  push(conn, &conn->to_manager, parcel_new(REQUEST, body));
  return conn;
}

void sim_conn_send(SimConn *conn, GBytes *message)
{
  if (!conn->manager_over && !conn->peer_over)
    push(conn, &conn->to_manager, parcel_new(MESSAGE, message));
}

gsize sim_conn_queued(const SimConn *conn)
{
  return conn->to_manager.bytes;
}

static void give_up_manager(void *arg)
{
  SimConn *conn = arg;
  if (!conn->manager_over)
    end_manager(conn);
  settle(conn);
  conn_unref(conn);
}

void sim_conn_drop(SimConn *conn, bool told)
{
  if (!conn)
    return;
  conn->events = NULL;
  conn->peer_over = true;
  clear_line(&conn->to_peer);
  if (conn->manager_over) {
    settle(conn);
  } else if (told) {
    push(conn, &conn->to_manager, parcel_new(CLOSED, NULL));
  } else {
    clear_line(&conn->to_manager);
    conn->refs++;
    sim_after(conn->net->world, PATIENCE_US * 3, give_up_manager, conn); /* its system's keepalive */
  }
}
