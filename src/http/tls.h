// SPDX-License-Identifier: Apache-2.0
/* What we ask of TLS, in one place: versions, ciphers, certificates, names, and words for people when it
 * fails.
 *
 * TLS 1.2 with forward secrecy and AEAD only, or 1.3. Times of certificates are judged by the given clock.
 * Any thread, except that a context's hook runs where its handshakes run. Private to src/http. */
#pragma once
#include "http/http.h"
#include <openssl/ssl.h>

/* Whom to ask about a client certificate; must live as long as connections of the context are being made. */
typedef struct {
  bool (*accept_peer)(const char *cn, const char *serial, void *arg);
  void *arg;
} TlsHook;

/* hook may be NULL or empty. Both fail when a file cannot be read or the key does not fit the certificate. */
SSL_CTX *http_tls_server_context(const HttpTls *tls, TlsHook *hook, GError **error);
SSL_CTX *http_tls_client_context(const HttpTls *tls, GError **error);

/* For tunnels between two hosts: both ends show a host's certificate, and hook is asked about the other's. TLS 1.3 only; an end without
 * goodbye is an error. */
SSL_CTX *http_tls_tunnel_context(const HttpTls *tls, bool server, TlsHook *hook, GError **error);

/* A TLS object on a connected, non-blocking socket. server_name: the name or address that the server's
 * certificate must have; NULL: we are the server. */
SSL *http_tls_new(SSL_CTX *context, int fd, const char *server_name, WsClock *clock);

/* Before the handshake of a dial: offers the ticket that an earlier one to the same server, with the same certificate of ours, has brought, and
 * keeps the next one. */
void http_tls_resume(SSL *ssl, const char *host, guint16 port, const char *server_name);
/* Server, after the handshake: whether the peer is still welcome (a resumed session skips the certificate's
 * check). */
bool http_tls_peer_is_accepted(SSL *ssl);
/* CN and serial (lower-case hex) of the peer's verified certificate; NULL when it has none. Caller frees. */
void http_tls_peer_identity(SSL *ssl, char **cn, char **serial);
bool http_tls_speaks_h2(SSL *ssl);

/* Why the last operation on this thread failed (ssl_error as of SSL_get_error), for people; empties OpenSSL's
 * queue. */
char *http_tls_why(SSL *ssl, int ssl_error);
