// SPDX-License-Identifier: Apache-2.0
/* See id_token.h. */
#include "center/auth/id_token.h"
#include "base/hash.h"
#include <string.h>

#define SUBJECT_MAX 255 /* Core 1.0, 2 */

char *id_token_hash(const char *text, gsize n)
{
  guint8 digest[32];
  gsize n_digest = sizeof digest;
  GChecksum *sha = g_checksum_new(G_CHECKSUM_SHA256);
  g_checksum_update(sha, (const guchar *)text, (gssize)strlen(text));
  g_checksum_get_digest(sha, digest, &n_digest);
  g_checksum_free(sha);
  return ws_base64url_encode(digest, MIN(n, n_digest));
}

static bool says(const WsJsonMembers *claims, const char *name, const char *expected)
{
  g_autofree char *value = ws_json_members_string(claims, name);
  return value && strlen(value) == strlen(expected) && ws_equal_constant_time(value, expected, strlen(expected));
}

/* For us; where it is for others too, then given to us (azp). */
static bool is_for_us(const WsJsonMembers *claims, const char *client_id)
{
  g_autoptr(GPtrArray) audience = ws_json_members_strings(claims, "aud");
  if (!audience || !g_ptr_array_find_with_equal_func(audience, client_id, g_str_equal, NULL))
    return false;
  if (audience->len > 1 || ws_json_members_has(claims, "azp"))
    return says(claims, "azp", client_id);
  return true;
}

static const char *wrong_time(const WsJsonMembers *claims, gint64 now_s)
{
  gint64 expires, issued, begins;
  if (!ws_json_members_number(claims, "exp", &expires) || !ws_json_members_number(claims, "iat", &issued))
    return "the token does not say how long it holds";
  if (now_s >= expires + ID_TOKEN_SKEW_S)
    return "the token has expired";
  if (issued > now_s + ID_TOKEN_SKEW_S || (ws_json_members_number(claims, "nbf", &begins) && begins > now_s + ID_TOKEN_SKEW_S))
    return "the token is of a later time: the clocks of manager and provider differ";
  return NULL;
}

static const char *wrong_claim(const WsJsonMembers *claims, const IdTokenExpected *expected)
{
  const char *late = wrong_time(claims, expected->now_us / G_USEC_PER_SEC);
  g_autofree char *subject = ws_json_members_string(claims, "sub");
  g_autofree char *hash = expected->access_token ? id_token_hash(expected->access_token, 16) : NULL;
  if (!says(claims, "iss", expected->issuer))
    return "the token is of another issuer";
  if (!is_for_us(claims, expected->client_id))
    return "the token is for another client";
  if (late)
    return late;
  if (!says(claims, "nonce", expected->nonce))
    return "the token is of another login";
  if (!subject || !*subject || strlen(subject) > SUBJECT_MAX)
    return "the token does not say who it is about";
  if (hash && ws_json_members_has(claims, "at_hash") && !says(claims, "at_hash", hash))
    return "the token belongs to another access token";
  return NULL;
}

WsJsonMembers *id_token_check(const char *token, const WsJwks *keys, const IdTokenExpected *expected, const char **why)
{
  gsize n;
  g_autofree char *payload = ws_jws_verify(token, keys, &n, why);
  if (!payload)
    return NULL;
  g_autoptr(WsJsonMembers) claims = ws_json_members_parse(payload, n, NULL);
  *why = claims ? wrong_claim(claims, expected) : "the token is not one";
  return *why ? NULL : g_steal_pointer(&claims);
}
