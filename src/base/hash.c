// SPDX-License-Identifier: Apache-2.0
/* See hash.h. */
#include "base/hash.h"
#include "base/error.h"
#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define ARGON_MEMORY_KIB 19456
#define ARGON_PASSES 2
#define ARGON_LANES 1
#define ARGON_SALT_BYTES 16
#define ARGON_HASH_BYTES 32

struct WsSha256 {
  EVP_MD_CTX *context;
};

static char *hex_of(const guint8 *bytes, gsize n)
{
  static const char digits[] = "0123456789abcdef";
  char *text = g_malloc(2 * n + 1);
  for (gsize i = 0; i < n; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  text[2 * n] = '\0';
  return text;
}

WsSha256 *ws_sha256_new(void)
{
  WsSha256 *sha = g_new(WsSha256, 1);
  sha->context = EVP_MD_CTX_new();
  int ok = sha->context && EVP_DigestInit_ex(sha->context, EVP_sha256(), NULL);
  g_assert(ok);
  return sha;
}

void ws_sha256_add(WsSha256 *sha, const void *bytes, gsize n)
{
  int ok = EVP_DigestUpdate(sha->context, bytes, n);
  g_assert(ok);
}

char *ws_sha256_end(WsSha256 *sha)
{
  guint8 digest[32];
  guint n = 0;
  int ok = EVP_DigestFinal_ex(sha->context, digest, &n);
  g_assert(ok && n == sizeof digest);
  ws_sha256_free(sha);
  return hex_of(digest, n);
}

void ws_sha256_free(WsSha256 *sha)
{
  if (!sha)
    return;
  EVP_MD_CTX_free(sha->context);
  g_free(sha);
}

/* Looked up once: by EVP_sha256() OpenSSL 3 would look for it at each use, which takes longer than to hash a token. */
static const EVP_MD *sha256(void)
{
  static const EVP_MD *method;
  if (g_once_init_enter(&method)) {
    const EVP_MD *found = EVP_MD_fetch(NULL, "SHA256", NULL);
    g_assert(found);
    g_once_init_leave(&method, found);
  }
  return method;
}

char *ws_sha256_hex(const void *bytes, gsize n)
{
  guint8 digest[32];
  int ok = EVP_Digest(bytes, n, digest, NULL, sha256(), NULL);
  g_assert(ok);
  return hex_of(digest, sizeof digest);
}

#define MACHINE_SALT "winsphere machine "

char *ws_machine_hash(const char *machine_id)
{
  if (!*machine_id)
    return NULL;
  g_autofree char *salted = g_strconcat(MACHINE_SALT, machine_id, NULL);
  return ws_sha256_hex(salted, strlen(salted));
}

bool ws_equal_constant_time(const void *a, const void *b, gsize n)
{
  return CRYPTO_memcmp(a, b, n) == 0;
}

static guint argon_memory_kib = ARGON_MEMORY_KIB;

void ws_password_set_memory(guint kib)
{
  argon_memory_kib = kib;
}

char *ws_password_hash(WsClock *clock, const char *password, GError **error)
{
  guint8 salt[ARGON_SALT_BYTES];
  gsize room = argon2_encodedlen(ARGON_PASSES, argon_memory_kib, ARGON_LANES, sizeof salt, ARGON_HASH_BYTES, Argon2_id);
  g_autofree char *phc = g_malloc0(room);
  clock->random_bytes(clock, salt, sizeof salt);
  int code = argon2id_hash_encoded(ARGON_PASSES, argon_memory_kib, ARGON_LANES, password, strlen(password), salt, sizeof salt,
                                   ARGON_HASH_BYTES, phc, room);
  if (code == ARGON2_OK)
    return g_steal_pointer(&phc);
  ws_fail(error, WS_ERROR_INTERNAL, "cause", argon2_error_message(code), NULL);
  return NULL;
}

bool ws_password_verify(const char *password, const char *phc)
{
  return argon2id_verify(phc, password, strlen(password)) == ARGON2_OK;
}

char *ws_token_new(WsClock *clock, const char *prefix)
{
  guint8 bytes[32];
  clock->random_bytes(clock, bytes, sizeof bytes);
  g_autofree char *text = g_base64_encode(bytes, sizeof bytes);
  OPENSSL_cleanse(bytes, sizeof bytes);
  g_strdelimit(text, "+", '-');
  g_strdelimit(text, "/", '_');
  text[strcspn(text, "=")] = '\0';
  return g_strconcat(prefix, text, NULL);
}

void ws_secret_free(char *text)
{
  if (!text)
    return;
  OPENSSL_cleanse(text, strlen(text));
  g_free(text);
}

void ws_secret_clear(char **text)
{
  ws_secret_free(*text);
  *text = NULL;
}
