// SPDX-License-Identifier: Apache-2.0
/* See jws.h. */
#include "base/jws.h"
#include "base/error.h"
#include "base/json-members.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define KEYS_MAX        64
#define RSA_BITS_MIN    2048
#define RSA_BITS_MAX    8192 /* verifying with a larger one would only cost time */
#define EXPONENT_BYTES  4
#define P256_BYTES      32
#define TOKEN_BYTES_MAX (64 << 10)

typedef enum { KIND_RSA = 1, KIND_EC } Kind;

typedef struct {
  Kind kind;
  EVP_PKEY *key;
  char *id, *algorithm; /* NULL: not said */
} Key;

struct WsJwks {
  GPtrArray *keys;
};

static const struct {
  const char *name;
  Kind kind;
  bool pss;
} algorithms[] = {{"RS256", KIND_RSA, false}, {"PS256", KIND_RSA, true}, {"ES256", KIND_EC, false}};

/* ---- base64url ---- */

guint8 *ws_base64url_decode(const char *text, gsize n_text, gsize *n)
{
  if (n_text % 4 == 1)
    return NULL;
  GString *plain = g_string_sized_new(n_text + 4);
  for (gsize i = 0; i < n_text; i++) {
    char c = text[i];
    if (!g_ascii_isalnum(c) && c != '-' && c != '_') {
      g_string_free(plain, TRUE);
      return NULL;
    }
    g_string_append_c(plain, c == '-' ? '+' : c == '_' ? '/' : c);
  }
  while (plain->len % 4)
    g_string_append_c(plain, '=');
  guint8 *bytes = g_malloc(plain->len / 4 * 3 + 1);
  gint state = 0;
  guint save = 0;
  *n = g_base64_decode_step(plain->str, plain->len, bytes, &state, &save);
  bytes[*n] = 0;
  g_string_free(plain, TRUE);
  return bytes;
}

char *ws_base64url_encode(const guint8 *bytes, gsize n)
{
  char *text = g_base64_encode(bytes, n);
  g_strdelimit(text, "+", '-');
  g_strdelimit(text, "/", '_');
  text[strcspn(text, "=")] = '\0';
  return text;
}

/* ---- keys ---- */

static void key_free(void *arg)
{
  Key *key = arg;
  EVP_PKEY_free(key->key);
  g_free(key->id);
  g_free(key->algorithm);
  g_free(key);
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *build)
{
  EVP_PKEY *key = NULL;
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
  EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (!params || !make || EVP_PKEY_fromdata_init(make) != 1 || EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
    g_clear_pointer(&key, EVP_PKEY_free);
  EVP_PKEY_CTX_free(make);
  OSSL_PARAM_free(params);
  EVP_PKEY_CTX *check = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
  if (key && (!check || EVP_PKEY_public_check(check) != 1)) /* a point that is on the curve, an odd modulus */
    g_clear_pointer(&key, EVP_PKEY_free);
  EVP_PKEY_CTX_free(check);
  ERR_clear_error();
  return key;
}

static guint8 *member_bytes(const WsJsonMembers *jwk, const char *name, gsize *n)
{
  g_autofree char *text = ws_json_members_string(jwk, name);
  return text ? ws_base64url_decode(text, strlen(text), n) : NULL;
}

static EVP_PKEY *rsa_key(const WsJsonMembers *jwk)
{
  gsize n_modulus = 0, n_exponent = 0;
  g_autofree guint8 *modulus = member_bytes(jwk, "n", &n_modulus), *exponent = member_bytes(jwk, "e", &n_exponent);
  if (!modulus || !exponent || n_modulus > RSA_BITS_MAX / 8 || n_exponent > EXPONENT_BYTES)
    return NULL;
  BIGNUM *n = BN_bin2bn(modulus, (int)n_modulus, NULL), *e = BN_bin2bn(exponent, (int)n_exponent, NULL);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  EVP_PKEY *key = NULL;
  if (n && e && build && BN_num_bits(n) >= RSA_BITS_MIN && BN_is_odd(e) && !BN_is_one(e) &&
      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
    key = key_from("RSA", build);
  OSSL_PARAM_BLD_free(build);
  BN_free(n);
  BN_free(e);
  return key;
}

static EVP_PKEY *ec_key(const WsJsonMembers *jwk)
{
  gsize n_x = 0, n_y = 0;
  g_autofree char *curve = ws_json_members_string(jwk, "crv");
  g_autofree guint8 *x = member_bytes(jwk, "x", &n_x), *y = member_bytes(jwk, "y", &n_y);
  if (g_strcmp0(curve, "P-256") != 0 || !x || !y || n_x != P256_BYTES || n_y != P256_BYTES)
    return NULL;
  guint8 point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
  memcpy(point + 1, x, n_x);
  memcpy(point + 1 + n_x, y, n_y);
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  EVP_PKEY *key = NULL;
  if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
    key = key_from("EC", build);
  OSSL_PARAM_BLD_free(build);
  return key;
}

/* Meant for signatures, as far as the key says what it is meant for (RFC 7517, 4.2 and 4.3)? */
static bool is_for_signatures(const WsJsonMembers *jwk)
{
  g_autofree char *use = ws_json_members_string(jwk, "use");
  g_autoptr(GPtrArray) operations = ws_json_members_strings(jwk, "key_ops");
  if (use && strcmp(use, "sig") != 0)
    return false;
  return !ws_json_members_has(jwk, "key_ops") || (operations && g_ptr_array_find_with_equal_func(operations, "verify", g_str_equal, NULL));
}

static void add_key(WsJwks *keys, const char *text)
{
  g_autoptr(WsJsonMembers) jwk = ws_json_members_parse(text, strlen(text), NULL);
  g_autofree char *type = jwk ? ws_json_members_string(jwk, "kty") : NULL;
  if (!type || !is_for_signatures(jwk))
    return;
  Kind kind = strcmp(type, "RSA") == 0 ? KIND_RSA : strcmp(type, "EC") == 0 ? KIND_EC : 0;
  EVP_PKEY *pkey = kind == KIND_RSA ? rsa_key(jwk) : kind == KIND_EC ? ec_key(jwk) : NULL;
  if (!pkey)
    return;
  Key *key = g_new0(Key, 1);
  *key = (Key){kind, pkey, ws_json_members_string(jwk, "kid"), ws_json_members_string(jwk, "alg")};
  g_ptr_array_add(keys->keys, key);
}

WsJwks *ws_jwks_parse(const char *text, gsize n, GError **error)
{
  g_autoptr(WsJsonMembers) set = ws_json_members_parse(text, n, error);
  if (!set)
    return NULL;
  g_autoptr(GPtrArray) items = ws_json_members_items(set, "keys");
  if (!items) {
    ws_fail(error, WS_ERROR_REQUIRED, "field", "keys", NULL);
    return NULL;
  }
  WsJwks *keys = g_new0(WsJwks, 1);
  keys->keys = g_ptr_array_new_with_free_func(key_free);
  for (guint i = 0; i < items->len && i < KEYS_MAX; i++)
    add_key(keys, items->pdata[i]);
  return keys;
}

void ws_jwks_free(WsJwks *keys)
{
  if (!keys)
    return;
  g_ptr_array_unref(keys->keys);
  g_free(keys);
}

guint ws_jwks_n_keys(const WsJwks *keys)
{
  return keys->keys->len;
}

/* ---- signatures ---- */

static const Key *find_key(const WsJwks *keys, const char *id, Kind kind, const char *algorithm, const char **why)
{
  const Key *found = NULL;
  for (guint i = 0; i < keys->keys->len; i++) {
    const Key *key = keys->keys->pdata[i];
    if (key->kind != kind || (key->algorithm && strcmp(key->algorithm, algorithm) != 0) || (id && g_strcmp0(key->id, id) != 0))
      continue;
    if (found) {
      *why = "the token does not say which of several keys signed it";
      return NULL;
    }
    found = key;
  }
  if (!found)
    *why = "the provider has no such key as the token was signed with";
  return found;
}

/* r and s one behind the other (RFC 7518, 3.4) as OpenSSL wants them. */
static guint8 *der_of(const guint8 *raw, gsize n_raw, gsize *n)
{
  if (n_raw != 2 * P256_BYTES)
    return NULL;
  ECDSA_SIG *signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(raw, P256_BYTES, NULL), BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL));
  unsigned char *der = NULL;
  int length = i2d_ECDSA_SIG(signature, &der);
  ECDSA_SIG_free(signature);
  guint8 *copy = length > 0 ? g_memdup2(der, (gsize)length) : NULL;
  OPENSSL_free(der);
  *n = length > 0 ? (gsize)length : 0;
  return copy;
}

static bool signature_holds(const Key *key, bool pss, const char *text, gsize n_text, const guint8 *signature, gsize n_signature)
{
  gsize n_der = 0;
  g_autofree guint8 *der = key->kind == KIND_EC ? der_of(signature, n_signature, &n_der) : NULL;
  if (key->kind == KIND_EC && !der)
    return false;
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_PKEY_CTX *how = NULL;
  bool ok = context && EVP_DigestVerifyInit(context, &how, EVP_sha256(), NULL, key->key) == 1;
  if (ok && pss) /* salt as long as the hash, MGF1 with the same hash: RFC 7518, 3.5 */
    ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(how, EVP_sha256()) == 1;
  ok = ok && EVP_DigestVerify(context, der ? der : signature, der ? n_der : n_signature, (const guint8 *)text, n_text) == 1;
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return ok;
}

static const Key *key_of_header(const char *text, gsize n, const WsJwks *keys, bool *pss, const char **why)
{
  g_autoptr(WsJsonMembers) header = ws_json_members_parse(text, n, NULL);
  g_autofree char *algorithm = header ? ws_json_members_string(header, "alg") : NULL, *id = header ? ws_json_members_string(header, "kid") : NULL;
  *why = "the token is not one";
  if (!algorithm || (ws_json_members_has(header, "kid") && !id))
    return NULL;
  if (ws_json_members_has(header, "crit")) { /* extensions that must be understood: none is */
    *why = "the token has extensions that are not known here";
    return NULL;
  }
  for (guint i = 0; i < G_N_ELEMENTS(algorithms); i++)
    if (strcmp(algorithms[i].name, algorithm) == 0) {
      *pss = algorithms[i].pss;
      return find_key(keys, id, algorithms[i].kind, algorithm, why);
    }
  *why = "the token is not signed by RS256, PS256 or ES256";
  return NULL;
}

char *ws_jws_verify(const char *token, const WsJwks *keys, gsize *n, const char **why)
{
  const char *dot = strchr(token, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
  *why = "the token is not one";
  if (!second || strchr(second + 1, '.') || strlen(token) > TOKEN_BYTES_MAX)
    return NULL;
  gsize n_header, n_payload, n_signature;
  g_autofree guint8 *header = ws_base64url_decode(token, (gsize)(dot - token), &n_header);
  g_autofree guint8 *payload = ws_base64url_decode(dot + 1, (gsize)(second - dot - 1), &n_payload);
  g_autofree guint8 *signature = ws_base64url_decode(second + 1, strlen(second + 1), &n_signature);
  if (!header || !payload || !signature)
    return NULL;
  bool pss = false;
  const Key *key = key_of_header((const char *)header, n_header, keys, &pss, why);
  if (!key)
    return NULL;
  *why = "the signature of the token does not hold";
  if (!signature_holds(key, pss, token, (gsize)(second - token), signature, n_signature))
    return NULL;
  *why = NULL;
  *n = n_payload;
  return (char *)g_steal_pointer(&payload);
}
