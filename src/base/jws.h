// SPDX-License-Identifier: Apache-2.0
/* JSON Web Signatures (RFC 7515) by public keys of others (JWK sets, RFC 7517): what an identity provider signs.
 *
 * RS256, PS256 and ES256 (RFC 7518), RSA keys of 2048 to 8192 bits, P-256. The algorithm is taken from the key as much as from the token: a key verifies
 * only what its kind can; `none` and HS256 (where a public key would be the secret) are not known at all. Pure; threads: any. OpenSSL beneath. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct WsJwks WsJwks;

/* Keys that can verify; others in the set are passed over, as are those behind the 64th. WS_ERROR_BAD_JSON, WS_ERROR_REQUIRED (no list `keys`). */
WsJwks *ws_jwks_parse(const char *text, gsize n, GError **error);
void ws_jwks_free(WsJwks *keys); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsJwks, ws_jwks_free)
guint ws_jwks_n_keys(const WsJwks *keys);

/* The payload of a token in compact form whose signature holds; n without the NUL after it; caller frees. NULL: *why says it, a phrase. The key is
 * the one that the token names (kid), or, without a name, the only one of its kind. */
char *ws_jws_verify(const char *token, const WsJwks *keys, gsize *n, const char **why);

/* base64url without padding (RFC 7515, 2). NULL: it is not that. Caller frees; a NUL follows the n bytes. */
guint8 *ws_base64url_decode(const char *text, gsize n_text, gsize *n);
char *ws_base64url_encode(const guint8 *bytes, gsize n);
