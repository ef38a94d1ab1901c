// SPDX-License-Identifier: Apache-2.0
/* Inside of a tunnel: what tunnel.c (who may come in) and tunnel_flow.c (how bytes move) share. */
#pragma once
#include "http/tls.h"
#include "http/tunnel.h"

typedef struct {
  char *name, *path;
  bool (*call)(GBytes *payload, void *arg, GError **error);
  void *arg;
  guint max, taken; /* taken: guarded by lock */
  int listen_fd;    /* sender; -1: none */
  const TunnelReader *reader;
} Channel;

struct Tunnel {
  TlsHook hook;
  SSL_CTX *context;
  WsClock *clock;
  char *ticket, *peer_cn, **peer_serials;
  char *address; /* sender: whom to dial */
  guint16 port;
  Channel *channels;
  guint n_channels;
  int tcp_fd;    /* receiver */
  int wake_fd;   /* readable: everybody ends */
  GMutex lock;   /* guards what follows */
  GCond changed;
  guint threads, arriving;
  TunnelStats stats; /* bytes: atomic */
};

/* One TLS connection. Its thread's own. */
typedef struct {
  Tunnel *tunnel;
  int fd;
  SSL *ssl;
  gint64 deadline_us; /* monotonic; G_MAXINT64: none */
} TunnelLine;

void tunnel_line_init(TunnelLine *line, Tunnel *tunnel, int fd, bool client); /* takes fd, non-blocking */
void tunnel_line_clear(TunnelLine *line);
/* These wait until done, the deadline, or the tunnel's end. WS_ERROR_TUNNEL_REFUSED. */
bool tunnel_handshake(TunnelLine *line, GError **error);
bool tunnel_read(TunnelLine *line, void *out, gsize n, GError **error);
bool tunnel_write(TunnelLine *line, const void *bytes, gsize n, GError **error);
/* Until the fd is ready (true), or the deadline or the tunnel's end (false). */
bool tunnel_wait_fd(Tunnel *tunnel, int fd, short events, gint64 deadline_us, GError **error);
/* Carries bytes between the line and a socket until both directions have ended or one breaks. Closes neither.
 * What comes over the line goes through the channel's reader, if it has one. */
void tunnel_flow(TunnelLine *line, const Channel *channel, int fd);
