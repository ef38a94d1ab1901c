// SPDX-License-Identifier: Apache-2.0
/* Talking with an identity provider: discovery, code for tokens, who it is (OpenID Connect Core 1.0 and Discovery 1.0, RFC 6749, RFC 7636).
 *
 * All of it blocks for seconds where the provider hangs: on a worker of its own pool, never the loop's. Errors: WS_ERROR_IDENTITY_UNREACHABLE,
 * WS_ERROR_IDENTITY_REFUSED; neither holds a token, code or secret. */
#pragma once
#include "base/clock.h"
#include <stdbool.h>

typedef struct {
  char *name, *issuer, *client_id;
  char *client_secret;            /* NULL: a public client */
  char *ca_pem;                   /* NULL: the system's CAs */
  char *name_claim, *groups_claim;
} OidcSettings;
void oidc_settings_clear(OidcSettings *settings); /* wipes the secret */

/* What the discovery document says; never changed. Any thread. */
typedef struct {
  gint refs; /* atomic */
  char *authorization, *token, *keys;
  char *user;         /* UserInfo; NULL: none */
  bool says_issuer;   /* in what the browser brings back (RFC 9207) */
  bool secret_in_form; /* client_secret_post where client_secret_basic is not taken */
} OidcEndpoints;
OidcEndpoints *oidc_endpoints_ref(OidcEndpoints *endpoints);
void oidc_endpoints_unref(OidcEndpoints *endpoints); /* NULL is fine */

/* NULL with error. Caller unrefs. */
OidcEndpoints *oidc_discover(const OidcSettings *settings, GError **error);

typedef struct {
  const char *redirect_uri, *scopes, *state, *nonce, *verifier;
} OidcRequest;
/* Where the browser goes. Caller frees. */
char *oidc_authorization_url(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request);

typedef struct {
  char *subject, *user_name, *full_name; /* the names NULL where the provider says none */
  GPtrArray *groups;                     /* texts; NULL: none */
} OidcPerson;
void oidc_person_clear(OidcPerson *person);

/* Who brought the code: its tokens are fetched, checked and forgotten. request: state and scopes are not needed. */
bool oidc_identify(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request, const char *code, WsClock *clock,
                   OidcPerson *person, GError **error);
