// SPDX-License-Identifier: Apache-2.0
/* The site's certificates: its CA, the manager's own, those of the hosts. Files below the data directory: ca.crt, ca.key, server.crt,
 * server.key; keys mode 0600. */
#pragma once
#include "center/center.h"

/* Makes what is absent. Before the door opens. */
bool center_pki_prepare(Center *center, GError **error);
/* Renews the manager's certificate when a third of its life is left; the door takes it up without a pause: links and requests go on, who
 * comes from now on sees the new one. In a coroutine, now and then; waits for a worker. A failure opens the alarm server_certificate. */
void center_pki_renew(Center *center);
char *center_pki_ca_pem(Center *center, GError **error);
/* SHA-256 of the CA's certificate in hex. */
char *center_pki_fingerprint(Center *center, GError **error);

typedef struct {
  WsId host; /* in */
  char *pem, *serial;
  gint64 not_after_us;
} CenterCertificate;
void center_certificate_clear(CenterCertificate *certificate);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CenterCertificate, center_certificate_clear)
/* Signs a host's request: CN becomes its id, whatever the request says. WS_ERROR_CERTIFICATE_REFUSED for a request that is not one. In a
 * coroutine; waits for a worker. */
bool center_pki_issue_host(Center *center, const char *csr_pem, CenterCertificate *certificate, GError **error);

/* A password for the first administrator: generated, kept in the file initial-password (0600) until somebody has read it. Caller frees. */
char *center_first_password(Center *center, GError **error);
