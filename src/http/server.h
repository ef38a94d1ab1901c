// SPDX-License-Identifier: Apache-2.0
/* What connections and calls ask of their server. Private to src/http. */
#pragma once
#include "http/connection.h"
#include "http/proxies.h"

const HttpServerConfig *server_config(const HttpServer *server); /* (any) defaults filled in; without trusted_proxies */
const Proxies *server_proxies(const HttpServer *server); /* (any) NULL: none */
GBytes *server_refusal(HttpServer *server, int status, const char *why);
HttpIo *server_io(const HttpServer *server);
void server_count_call(HttpServer *server);
void server_count_socket(HttpServer *server, int change);
void server_count_refusal(HttpServer *server);
void server_connection_over(HttpServer *server, Connection *connection);

/* ---- for the handshake thread ---- */
/* Counts a new connection from this address. 0: welcome; 429 or 503: full, to be told so; -1: not even that.
 */
int server_admit(HttpServer *server, const char *address);
void server_leave(HttpServer *server, const char *address); /* undoes it; NULL: this one is not counted by its address any more */
SSL_CTX *server_dup_context(HttpServer *server);
void server_count_failed_handshake(HttpServer *server);
void server_count_resumed(HttpServer *server); /* a handshake by a ticket */
/* A connection is ready (I/O thread). Takes fd and ssl. */
void server_adopt(HttpServer *server, int fd, SSL *ssl, const char *address, int refusal);
