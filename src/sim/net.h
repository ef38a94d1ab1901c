// SPDX-License-Identifier: Apache-2.0
/* The simulated network between the manager and everybody else.
 *
 * Connections are as TCP leaves them to programs: bytes arrive late, in order, once, or the connection breaks - at any point, so that
 * either side may have said more than the other ever hears, and the sides may learn of it at different times. A partition holds what
 * is on its way; it may be one-way; whoever has waited 30 s for the other's receipt gives up. The manager's side of each connection is a
 * local call of the HTTP server (http/local.h), so all of the door, identity and sockets' code runs.
 *
 * Nodes are numbers: 0 is the manager. Events of a connection come from the world, outside of any loop's turn. */
#pragma once
#include "http/local.h"
#include "sim/world.h"

enum { SIM_NODES_MAX = 64, SIM_MANAGER = 0 };

typedef struct SimNet SimNet;
typedef struct SimConn SimConn;

SimNet *sim_net_new(SimWorld *world);
/* The manager is there (server not NULL), or gone: its process killed (its system tells the peers), or its machine without power. */
void sim_net_set_server(SimNet *net, HttpServer *server);
void sim_net_manager_gone(SimNet *net, bool power_lost);

/* May what `from` sends reach `to`? Healing lets go what waited. */
void sim_net_set_reach(SimNet *net, guint from, guint to, bool reach);
bool sim_net_reaches(SimNet *net, guint from, guint to);
void sim_net_heal(SimNet *net);

typedef struct {
  gint64 latency_us, latency_most_us;
  double breaks; /* chance of a break, for each message */
} SimNetFaults;
void sim_net_set_faults(SimNet *net, const SimNetFaults *faults);

typedef struct {
  /* An answer to the request; body borrowed. etag, location: "" when absent. */
  void (*answered)(SimConn *conn, int status, const char *etag, const char *location, GBytes *body, void *arg);
  void (*upgraded)(SimConn *conn, void *arg);                  /* it is a WebSocket now */
  void (*message)(SimConn *conn, GBytes *message, void *arg);
  void (*lost)(SimConn *conn, const char *reason, void *arg);  /* broken, refused, or closed by the manager; the last event */
} SimConnEvents;

/* Sends a request of `node` over a connection of its own. Everything in it is copied. The connection is the caller's until sim_conn_drop(). */
SimConn *sim_net_request(SimNet *net, guint node, const HttpLocalRequest *request, const SimConnEvents *events, void *arg);
void sim_conn_send(SimConn *conn, GBytes *message);
gsize sim_conn_queued(const SimConn *conn); /* bytes on their way to the manager */
/* Forgets the connection; no event comes any more. told: the manager's side hears of it (after a while); else never (power failure). */
void sim_conn_drop(SimConn *conn, bool told);
