// SPDX-License-Identifier: Apache-2.0
/* Tunnels: unix sockets of one machine carried to another over mutual TLS, for as long as one job lasts.
 *
 * A host agent has no listening port. When something must go straight from one host to another (a migration), the receiving end opens
 * a port for this job alone and closes it with the job; the sending end dials. What may pass is a list of named channels:
 *
 *     sender                                                              receiver
 *     program --> unix socket `path` --> [TLS connection: ticket, channel] --> unix socket `path` of the same channel --> program
 *     tunnel_request() ------------------[TLS connection: ticket, channel, payload] --> the channel's `call`
 *     tunnel_caller_call() --------------[the same, then one payload after the other]
 *
 * Who may come in: a certificate of the site's CA, of the expected host, with one of the expected serial numbers (the manager names the
 * serials, so a host that was removed or whose certificate was replaced is refused), and the job's ticket. Each of them is
 * checked at both ends but for the ticket, which the sender shows. TLS 1.3 only.
 *
 * Order: each socket of a channel is carried to its end, there connected, before the next one is taken: QEMU tells its channels
 * apart by the order of their connections.
 *
 * Bounds: one connection holds two buffers of TUNNEL_BUFFER_BYTES, and reads no more until they are empty. A connection that breaks off
 * without TLS's goodbye breaks off at the other end too; a goodbye in one direction (end of file) is carried as such.
 *
 * Threads: each connection has its own, so this never shares one with the agent's link. All functions: any thread; they block. */
#pragma once
#include "http/http.h"

typedef struct Tunnel Tunnel;

#define TUNNEL_BUFFER_BYTES (256 * 1024)
#define TUNNEL_PAYLOAD_MAX (8 * 1024 * 1024)
#define TUNNEL_HANDSHAKE_MS 10000  /* from the connection to the ticket */
#define TUNNEL_SILENCE_MS 60000    /* bytes unacknowledged for so long break a connection */
#define TUNNEL_ARRIVING_MAX 8      /* connections that have not shown a ticket yet; more are closed */

/* Receiver: reads along what the sender says on a channel before the program at this end hears it. On the
 * connection's thread. */
typedef struct {
  void *(*begin)(void *arg); /* for one connection: what the others are given */
  /* Appends to `pass` what may go on of these bytes and of those it kept. false: the tunnel is broken off,
   * all of it. */
  bool (*take)(void *state, const void *bytes, gsize n, GByteArray *pass, GError **error);
  void (*refused)(const GError *error, void *arg); /* once take() was false */
  void (*end)(void *state);
} TunnelReader;

/* `path`: the sender listens there (the file is made and removed), the receiver connects there. `call`: receiver only, in place of a path:
 * runs with each payload on the connection's thread, its error goes back. */
typedef struct {
  const char *name;   /* at most 63 letters */
  const char *path;
  bool (*call)(GBytes *payload, void *arg, GError **error);
  void *arg;          /* of call, or of reader */
  guint max;          /* connections in all */
  const TunnelReader *reader; /* with a path; borrowed for ever; NULL: bytes go on unread */
} TunnelChannel;

typedef struct {
  HttpTls tls;                     /* all three files */
  WsClock *clock;                  /* judges certificates */
  const char *ticket;              /* 16 to 128 letters; a secret */
  const char *peer_cn;             /* "host-7" */
  const char *const *peer_serials; /* lower-case hex, NULL-ended */
  const TunnelChannel *channels;
  guint n_channels;
} TunnelConfig;

/* Receiver: listens on `address` (IPv4 or IPv6; must be this machine's) on the first free port of first..last (0, 0: any).
 * Everything in config is copied. NULL with error. */
Tunnel *tunnel_listen(const TunnelConfig *config, const char *address, guint16 first, guint16 last, guint16 *port, GError **error);
/* Sender: nothing is dialled before something connects to a channel's path. */
Tunnel *tunnel_dial(const TunnelConfig *config, const char *address, guint16 port, GError **error);
/* Breaks off everything and lets nothing more in; the tunnel stays to be closed. NULL is fine. */
void tunnel_break(Tunnel *tunnel);
/* The same, waits for it, removes the sockets' files. Nobody may use it any more. NULL is fine. */
void tunnel_close(Tunnel *tunnel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tunnel, tunnel_close)

/* Sender: one call over a connection of its own. WS_ERROR_TUNNEL_REFUSED (reason): the other end refused it or could not be reached. */
bool tunnel_request(Tunnel *tunnel, const char *channel, const void *payload, gsize n, GError **error);

/* Sender: many calls, one after the other, over one connection, which is opened with the first. Not shared by threads; ends before the tunnel. */
typedef struct TunnelCaller TunnelCaller;
TunnelCaller *tunnel_caller_new(Tunnel *tunnel, const char *channel); /* channel: borrowed */
/* As tunnel_request(). After a failure the next call opens a new connection. */
bool tunnel_caller_call(TunnelCaller *caller, const void *payload, gsize n, GError **error);
void tunnel_caller_free(TunnelCaller *caller); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TunnelCaller, tunnel_caller_free)

typedef struct {
  guint open;             /* connections now */
  guint total;            /* that were let in */
  guint refused;          /* that were not */
  gint64 sent_bytes, received_bytes; /* over TLS, without its overhead */
} TunnelStats;
TunnelStats tunnel_stats(Tunnel *tunnel);
