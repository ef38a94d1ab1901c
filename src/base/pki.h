// SPDX-License-Identifier: Apache-2.0
/* The site's own certificates: one CA, the manager's certificate, one for each host agent.
 *
 * Keys are EC P-256. Private keys are files of mode 0600 and never leave their machine: a host makes its key and a request
 * (CSR); the manager issues from it, and takes nothing from the request but the public key. Files are replaced
 * atomically and durably. Validity begins an hour before now (a tenth of a shorter life), for clocks that differ.
 *
 * Threads: any; all of it blocks (files, key generation: some milliseconds). Errors: io_error or too_large (a file), bad_value (what
 * was given), certificate_refused (a request or certificate that does not check out). */
#pragma once
#include "base/clock.h"
#include <stdbool.h>

/* The files of a CA. */
typedef struct {
  const char *cert_file, *key_file;
} WsCa;

#define WS_PKI_DAY_S ((gint64)24 * 3600)
#define WS_PKI_CA_DAYS 3650

/* Makes a CA valid for 10 years; refuses to replace either file (already_exists). `name`: its CN, e.g. "WinSphere site 4f2a". */
bool ws_pki_create_ca(WsClock *clock, const WsCa *ca, const char *name, GError **error);

/* A key and a certificate for a server that is called by `names` (DNS names, addresses; the first is the CN; ended by
 * NULL), good for life_s seconds. Replaces both files, one after the other: see ws_pki_check_pair(); cert_file holds the whole chain. */
bool ws_pki_issue_server(WsClock *clock, const WsCa *ca, const char *const *names, gint64 life_s, const char *cert_file,
                         const char *key_file, GError **error);

/* Does the text hold a certificate in PEM? */
bool ws_pki_is_certificate(const char *pem);

/* Does the certificate (PEM text) belong to the key in the file? Else certificate_refused. */
bool ws_pki_check_pair(const char *cert_pem, const char *key_file, GError **error);

/* Makes the key in key_file, unless there is one, and a request for it. *csr is PEM; caller frees. */
bool ws_pki_make_request(const char *key_file, const char *cn, char **csr, GError **error);

/* Issues a client certificate with this CN ("host-3") for the request's key, good for life_s seconds. *cert is PEM, *serial lower-case hex as
 * http_call_peer_serial() gives it (for revocation); caller frees both. */
bool ws_pki_issue_client(WsClock *clock, const WsCa *ca, const char *csr, const char *cn, gint64 life_s, char **cert,
                         char **serial, GError **error);

typedef struct {
  char *cn;          /* NULL: none */
  char *serial;      /* lower-case hex */
  char *fingerprint; /* SHA-256 of the certificate, lower-case hex */
  gint64 not_before_us, not_after_us;
  bool is_ca;
} WsCert;
/* The first certificate of PEM text, or of a file. Caller frees. */
WsCert *ws_cert_parse(const char *pem, GError **error);
WsCert *ws_cert_read(const char *path, GError **error);
/* When to renew it: two thirds of its life are over then. Wall time. */
gint64 ws_cert_due_us(const WsCert *cert);
bool ws_cert_is_due(const WsCert *cert, gint64 now_us); /* or its life has not begun: the clock was set back */
void ws_cert_free(WsCert *cert);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsCert, ws_cert_free)
