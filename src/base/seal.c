// SPDX-License-Identifier: Apache-2.0
/* See seal.h. */
#include "base/seal.h"
#include "base/error.h"
#include "base/files.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX      "sealed:1:"
#define NONCE_BYTES 12
#define TAG_BYTES   16
#define FIRST_LINE  "winsphere-secrets-key 1\n" /* then 64 hexadecimal digits */
#define FILE_MAX    256

static guint8 the_key[WS_SEAL_KEY_BYTES];
static char *the_path;
static gint n_plain;

/* ---- the key ---- */

static bool parse_key(const char *path, const char *text, GError **error)
{
  gsize head = strlen(FIRST_LINE);
  bool ok = strncmp(text, FIRST_LINE, head) == 0 && strspn(text + head, "0123456789abcdef") == 2 * WS_SEAL_KEY_BYTES;
  for (gsize i = 0; ok && i < WS_SEAL_KEY_BYTES; i++)
    the_key[i] = (guint8)(g_ascii_xdigit_value(text[head + 2 * i]) << 4 | g_ascii_xdigit_value(text[head + 2 * i + 1]));
  return ok || ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "it is no key of secrets", NULL);
}

static bool read_key(const char *path, GError **error)
{
  struct stat st;
  gsize n;
  if (stat(path, &st) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  if (st.st_mode & 077)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", "others may read it: make it mode 0600", NULL);
  char *text = ws_file_read(path, FILE_MAX, &n, error);
  bool ok = text && parse_key(path, text, error);
  if (text)
    OPENSSL_cleanse(text, n);
  g_free(text);
  return ok;
}

static bool make_key(const char *path, GError **error)
{
  char text[sizeof FIRST_LINE + 2 * WS_SEAL_KEY_BYTES + 1];
  if (RAND_bytes(the_key, sizeof the_key) != 1)
    return ws_fail(error, WS_ERROR_INTERNAL, "cause", "no random bytes", NULL);
  gsize at = strlen(FIRST_LINE);
  memcpy(text, FIRST_LINE, at);
  for (gsize i = 0; i < sizeof the_key; i++, at += 2)
    g_snprintf(text + at, 3, "%02x", the_key[i]);
  text[at++] = '\n';
  bool ok = ws_file_write(path, text, at, 0600, error);
  OPENSSL_cleanse(text, sizeof text);
  return ok;
}

bool ws_seal_load(const char *path, GError **error)
{
  ws_seal_unload();
  if (!(access(path, F_OK) == 0 ? read_key(path, error) : make_key(path, error)))
    return false;
  the_path = g_strdup(path);
  return true;
}

void ws_seal_unload(void)
{
  OPENSSL_cleanse(the_key, sizeof the_key);
  g_clear_pointer(&the_path, g_free);
  g_atomic_int_set(&n_plain, 0);
}

const char *ws_seal_path(void)
{
  return the_path;
}

guint ws_seal_n_plain(void)
{
  return (guint)g_atomic_int_get(&n_plain);
}

/* ---- texts ---- */

bool ws_seal_is_sealed(const char *text)
{
  return g_str_has_prefix(text, PREFIX);
}

char *ws_seal(const char *text, const char *name)
{
  if (!the_path)
    return g_strdup(text);
  gsize n = strlen(text);
  g_autofree guint8 *box = g_malloc(NONCE_BYTES + n + TAG_BYTES);
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  int done = 0, rest = 0;
  bool ok = c && RAND_bytes(box, NONCE_BYTES) == 1 && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, the_key, box) == 1 &&
            EVP_EncryptUpdate(c, NULL, &done, (const guint8 *)name, (int)strlen(name)) == 1 &&
            EVP_EncryptUpdate(c, box + NONCE_BYTES, &done, (const guint8 *)text, (int)n) == 1 &&
            EVP_EncryptFinal_ex(c, box + NONCE_BYTES + done, &rest) == 1 &&
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, box + NONCE_BYTES + n) == 1;
  EVP_CIPHER_CTX_free(c);
  g_assert(ok); /* no memory, or no randomness: nothing is written in clear instead */
  g_autofree char *base64 = g_base64_encode(box, NONCE_BYTES + n + TAG_BYTES);
  return g_strconcat(PREFIX, base64, NULL);
}

static char *open_box(guint8 *box, gsize bytes, const char *name)
{
  gsize n = bytes - NONCE_BYTES - TAG_BYTES;
  char *text = g_malloc0(n + 1);
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  int done = 0, rest = 0;
  bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, the_key, box) == 1 &&
            EVP_DecryptUpdate(c, NULL, &done, (const guint8 *)name, (int)strlen(name)) == 1 &&
            EVP_DecryptUpdate(c, (guint8 *)text, &done, box + NONCE_BYTES, (int)n) == 1 &&
            EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, box + NONCE_BYTES + n) == 1 &&
            EVP_DecryptFinal_ex(c, (guint8 *)text + done, &rest) == 1;
  EVP_CIPHER_CTX_free(c);
  if (ok)
    return text;
  OPENSSL_cleanse(text, n);
  g_free(text);
  return NULL;
}

char *ws_unseal(const char *text, const char *name, GError **error)
{
  if (!ws_seal_is_sealed(text)) {
    if (the_path)
      g_atomic_int_inc(&n_plain);
    return g_strdup(text);
  }
  gsize bytes = 0;
  g_autofree guint8 *box = the_path ? g_base64_decode(text + strlen(PREFIX), &bytes) : NULL;
  char *opened = box && bytes >= NONCE_BYTES + TAG_BYTES ? open_box(box, bytes, name) : NULL;
  if (!opened)
    ws_fail(error, WS_ERROR_SECRETS_SEALED, "path", the_path ? the_path : "secrets.key", NULL);
  return opened;
}
