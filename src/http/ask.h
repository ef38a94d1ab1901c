// SPDX-License-Identifier: Apache-2.0
/* One question to a web server of somebody else's (an identity provider), which may be slow, wrong or hostile. Blocks: a worker's. libcurl beneath.
 *
 * HTTPS only, certificate and name checked; no proxies, no redirects, no cookies; the whole takes timeout_s at most and the answer is max_bytes at most.
 * See rest.h for questions to the manager. Threads: any. */
#pragma once
#include "http/rest.h"

typedef struct {
  const char *url;           /* https://... */
  const char *ca_pem;        /* the only CAs that are trusted; NULL: the system's */
  const char *authorization; /* value of that header, or NULL */
  const char *form;          /* POSTs this application/x-www-form-urlencoded text; NULL: GET */
  gsize max_bytes;
  guint timeout_s;
} HttpQuestion;

/* Is it https with a host, and without user, fragment or control characters? */
bool http_is_https_url(const char *url);

/* true: there is an answer, whatever its status. WS_ERROR_IO_ERROR: none came, with the URL (without its query) as path. */
bool http_ask(const HttpQuestion *question, RestAnswer *answer, GError **error);
