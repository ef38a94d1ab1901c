// SPDX-License-Identifier: Apache-2.0
/* What an ID token must say before it is believed (OpenID Connect Core 1.0, 3.1.3.7). Pure; any thread. */
#pragma once
#include "base/json-members.h"
#include "base/jws.h"

#define ID_TOKEN_SKEW_S 60 /* clocks of manager and provider may differ so much */

typedef struct {
  const char *issuer, *client_id, *nonce;
  const char *access_token; /* what at_hash is about, where the token has one; NULL: none came */
  gint64 now_us;            /* wall */
} IdTokenExpected;

/* The claims of a token that was signed by one of the keys, for us, now, for this login. NULL: *why, a phrase. Caller frees. */
WsJsonMembers *id_token_check(const char *token, const WsJwks *keys, const IdTokenExpected *expected, const char **why);

/* base64url of the first n bytes of SHA-256: code challenges (RFC 7636, 4.2; n 32), at_hash (n 16). Caller frees. */
char *id_token_hash(const char *text, gsize n);
