// SPDX-License-Identifier: Apache-2.0
/* The site's certificates, with OpenSSL; see pki.h. */
#include "base/pki.h"
#include "base/error.h"
#include "base/files.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

enum {
  SERIAL_BYTES = 16,
  BACKDATED_S = 86400, /* a host's clock may be off by hours */
  MAX_CSR_BYTES = 16 * 1024,
  MAX_PEM_BYTES = 256 * 1024,
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free_all)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_REQ, X509_REQ_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)

/* Fails with what OpenSSL said last. */
static bool fail_ssl(GError **error, WsErrorCode code, const char *name, const char *value)
{
  unsigned long number = ERR_peek_error(); /* the first: later ones only say where it went through */
  const char *why =
      ERR_SYSTEM_ERROR(number) ? g_strerror(ERR_GET_REASON(number)) : ERR_reason_error_string(number);
  ERR_clear_error();
  return ws_fail(error, code, name, value, "cause", why, NULL);
}

/* ---- files ---- */

static char *bio_text(BIO *bio)
{
  char *bytes;
  long n = BIO_get_mem_data(bio, &bytes);
  return g_strndup(bytes, (gsize)n);
}

static bool write_file(const char *path, const char *text, guint mode, GError **error)
{
  return ws_file_write(path, text, strlen(text), mode, error);
}

static bool write_key(const char *path, EVP_PKEY *key, GError **error)
{
  g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
  if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
    return fail_ssl(error, WS_ERROR_IO_ERROR, "path", path);
  char *text;
  long n = BIO_get_mem_data(bio, &text);
  g_autofree char *copy = g_strndup(text, (gsize)n);
  bool ok = write_file(path, copy, 0600, error);
  OPENSSL_cleanse(copy, (gsize)n);
  OPENSSL_cleanse(text, (gsize)n);
  return ok;
}

static EVP_PKEY *read_key(const char *path, GError **error)
{
  g_autoptr(BIO) bio = BIO_new_file(path, "re");
  EVP_PKEY *key =
      bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL; /* "": never ask for a password */
  if (!key)
    fail_ssl(error, WS_ERROR_IO_ERROR, "path", path);
  return key;
}

static X509 *parse_cert(const char *pem)
{
  g_autoptr(BIO) bio = BIO_new_mem_buf(pem, -1);
  return PEM_read_bio_X509(bio, NULL, NULL, (void *)"");
}

bool ws_pki_is_certificate(const char *pem)
{
  g_autoptr(X509) cert = parse_cert(pem);
  ERR_clear_error();
  return cert != NULL;
}

static X509 *read_cert(const char *path, GError **error)
{
  g_autofree char *pem = ws_file_read(path, MAX_PEM_BYTES, NULL, error);
  X509 *cert = pem ? parse_cert(pem) : NULL;
  if (pem && !cert)
    fail_ssl(error, WS_ERROR_IO_ERROR, "path", path);
  return cert;
}

static char *cert_text(X509 *cert, X509 *issuer)
{
  g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, cert);
  if (issuer)
    PEM_write_bio_X509(bio, issuer);
  return bio_text(bio);
}

/* ---- certificates ---- */

static EVP_PKEY *new_key(void)
{
  EVP_PKEY *key = EVP_EC_gen("P-256");
  g_assert(key);
  return key;
}

static bool set_name(X509_NAME *name, const char *cn, GError **error)
{
  if (*cn && strlen(cn) <= 64 &&
      X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) ==
          1)
    return true;
  return fail_ssl(error, WS_ERROR_BAD_VALUE, "expected", "a name of 1 to 64 characters");
}

static void set_time(ASN1_TIME *time, gint64 wall_us, gint64 offset_s)
{
  ASN1_TIME_set(time, (time_t)(wall_us / G_USEC_PER_SEC + offset_s));
}

/* An unsigned certificate with everything that all have in common. */
static X509 *new_cert(WsClock *clock, const char *cn, EVP_PKEY *key, gint64 life_s, GError **error)
{
  g_autoptr(X509) cert = X509_new();
  unsigned char serial[SERIAL_BYTES];
  gint64 now_us = ws_clock_wall_us(clock);
  clock->random_bytes(clock, serial, sizeof serial);
  serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and always as long */
  BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
  BN_free(number);
  X509_set_version(cert, X509_VERSION_3);
  set_time(X509_getm_notBefore(cert), now_us, -MIN(BACKDATED_S, life_s / 10));
  set_time(X509_getm_notAfter(cert), now_us, life_s);
  X509_set_pubkey(cert, key);
  return set_name(X509_get_subject_name(cert), cn, error) ? g_steal_pointer(&cert) : NULL;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return ok;
}

static bool sign(X509 *cert, X509 *issuer, EVP_PKEY *issuer_key)
{
  return X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
         X509_sign(cert, issuer_key, EVP_sha256()) > 0;
}

/* What tells a leaf's purpose, and its signature. */
static bool finish_leaf(X509 *cert, const WsCa *ca, X509 *issuer, const char *purpose, GError **error)
{
  g_autoptr(EVP_PKEY) issuer_key = read_key(ca->key_file, error);
  if (!issuer_key)
    return false;
  if (add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
      add_extension(cert, issuer, NID_ext_key_usage, purpose) &&
      add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
      add_extension(cert, issuer, NID_authority_key_identifier, "keyid") && sign(cert, issuer, issuer_key))
    return true;
  return fail_ssl(error, WS_ERROR_IO_ERROR, "path", ca->key_file);
}

static bool refuse_existing(const char *path, GError **error)
{
  if (access(path, F_OK) != 0)
    return true;
  return ws_fail(error, WS_ERROR_ALREADY_EXISTS, "object", path, NULL);
}

bool ws_pki_create_ca(WsClock *clock, const WsCa *ca, const char *name, GError **error)
{
  if (!refuse_existing(ca->cert_file, error) || !refuse_existing(ca->key_file, error))
    return false;
  g_autoptr(EVP_PKEY) key = new_key();
  g_autoptr(X509) cert = new_cert(clock, name, key, WS_PKI_CA_DAYS * WS_PKI_DAY_S, error);
  if (!cert)
    return false;
  if (!add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(cert, cert, NID_subject_key_identifier, "hash") || !sign(cert, cert, key))
    return fail_ssl(error, WS_ERROR_IO_ERROR, "path", ca->cert_file);
  g_autofree char *text = cert_text(cert, NULL);
  return write_key(ca->key_file, key, error) && write_file(ca->cert_file, text, 0644, error);
}

/* "DNS:a.example,IP:192.0.2.1"; NULL: a name is neither. */
static char *alternative_names(const char *const *names, GError **error)
{
  g_autoptr(GString) list = g_string_new(NULL);
  for (guint i = 0; names[i]; i++) {
    const char *name = names[i];
    bool is_address = g_hostname_is_ip_address(name);
    gsize plain = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
    if (!is_address && (!*name || name[plain] || plain > 253)) {
      ws_fail(error, WS_ERROR_BAD_VALUE, "field", "names", "expected", "DNS names and IP addresses", "cause",
              name, NULL);
      return NULL;
    }
    g_string_append_printf(list, "%s%s:%s", i ? "," : "", is_address ? "IP" : "DNS", name);
  }
  return g_string_free(g_steal_pointer(&list), FALSE);
}

bool ws_pki_issue_server(WsClock *clock, const WsCa *ca, const char *const *names, gint64 life_s,
                         const char *cert_file, const char *key_file, GError **error)
{
  g_assert(names[0]);
  g_autofree char *list = alternative_names(names, error);
  g_autofree char *cn = g_strndup(names[0], 64); /* nobody reads it when there are alternative names */
  g_autoptr(X509) issuer = list ? read_cert(ca->cert_file, error) : NULL;
  if (!issuer)
    return false;
  g_autoptr(EVP_PKEY) key = new_key();
  g_autoptr(X509) cert = new_cert(clock, cn, key, life_s, error);
  if (!cert)
    return false;
  if (!add_extension(cert, issuer, NID_subject_alt_name, list))
    return fail_ssl(error, WS_ERROR_BAD_VALUE, "expected", "DNS names and IP addresses");
  if (!finish_leaf(cert, ca, issuer, "serverAuth", error))
    return false;
  g_autofree char *text = cert_text(cert, issuer);
  return write_key(key_file, key, error) && write_file(cert_file, text, 0644, error);
}

bool ws_pki_check_pair(const char *cert_pem, const char *key_file, GError **error)
{
  g_autoptr(X509) cert = parse_cert(cert_pem);
  if (!cert)
    return fail_ssl(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "this is not a PEM certificate");
  g_autoptr(EVP_PKEY) key = read_key(key_file, error);
  if (!key)
    return false;
  return X509_check_private_key(cert, key) == 1 ||
         fail_ssl(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "it belongs to another key");
}

bool ws_pki_make_request(const char *key_file, const char *cn, char **csr, GError **error)
{
  g_autoptr(EVP_PKEY) key = NULL;
  g_autoptr(X509_REQ) request = X509_REQ_new();
  g_autoptr(BIO) bio = BIO_new(BIO_s_mem());
  if (access(key_file, F_OK) == 0) {
    if (!(key = read_key(key_file, error)))
      return false;
  } else {
    key = new_key();
    if (!write_key(key_file, key, error))
      return false;
  }
  if (!set_name(X509_REQ_get_subject_name(request), cn, error))
    return false;
  if (X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
      PEM_write_bio_X509_REQ(bio, request) != 1)
    return fail_ssl(error, WS_ERROR_IO_ERROR, "path", key_file);
  *csr = bio_text(bio);
  return true;
}

/* The request's key, when whoever sent it also holds the private one, and it is strong enough. */
static EVP_PKEY *key_of_request(const char *csr, GError **error)
{
  gsize n = strlen(csr);
  g_autoptr(BIO) bio = n <= MAX_CSR_BYTES ? BIO_new_mem_buf(csr, (int)n) : NULL;
  g_autoptr(X509_REQ) request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, (void *)"") : NULL;
  EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
  if (!key || X509_REQ_verify(request, key) != 1) {
    fail_ssl(error, WS_ERROR_CERTIFICATE_REFUSED, "reason",
             "the request is not a valid PEM certificate request");
    return NULL;
  }
  if (EVP_PKEY_get_security_bits(key) < 112) {
    ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the key is too weak", NULL);
    return NULL;
  }
  EVP_PKEY_up_ref(key);
  return key;
}

static char *serial_text(X509 *cert)
{
  const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
  const unsigned char *bytes = ASN1_STRING_get0_data(number);
  g_autoptr(GString) text = g_string_new(NULL);
  for (int i = 0; i < ASN1_STRING_length(number); i++)
    g_string_append_printf(text, "%02x", bytes[i]);
  return g_string_free(g_steal_pointer(&text), FALSE);
}

bool ws_pki_issue_client(WsClock *clock, const WsCa *ca, const char *csr, const char *cn, gint64 life_s,
                         char **cert_pem, char **serial, GError **error)
{
  g_autoptr(EVP_PKEY) key = key_of_request(csr, error);
  g_autoptr(X509) issuer = key ? read_cert(ca->cert_file, error) : NULL;
  g_autoptr(X509) cert = issuer ? new_cert(clock, cn, key, life_s, error) : NULL;
  if (!cert || !finish_leaf(cert, ca, issuer, "clientAuth", error))
    return false;
  *cert_pem = cert_text(cert, NULL);
  *serial = serial_text(cert);
  return true;
}

/* ---- reading ---- */

static gint64 time_us(const ASN1_TIME *time)
{
  struct tm tm = {0};
  if (ASN1_TIME_to_tm(time, &tm) != 1)
    return 0;
  return (gint64)timegm(&tm) * G_USEC_PER_SEC;
}

static WsCert *describe(X509 *x509)
{
  char cn[256];
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_n = 0;
  WsCert *cert = g_new0(WsCert, 1);
  int n = X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, cn, sizeof cn);
  if (n > 0 && g_utf8_validate(cn, n, NULL))
    cert->cn = g_strndup(cn, (gsize)n);
  cert->serial = serial_text(x509);
  X509_digest(x509, EVP_sha256(), digest, &digest_n);
  cert->fingerprint = g_malloc(digest_n * 2 + 1);
  for (unsigned int i = 0; i < digest_n; i++)
    g_snprintf(cert->fingerprint + i * 2, 3, "%02x", digest[i]);
  cert->not_before_us = time_us(X509_get0_notBefore(x509));
  cert->not_after_us = time_us(X509_get0_notAfter(x509));
  cert->is_ca = X509_check_ca(x509) == 1;
  return cert;
}

WsCert *ws_cert_parse(const char *pem, GError **error)
{
  g_autoptr(X509) x509 = parse_cert(pem);
  if (x509)
    return describe(x509);
  fail_ssl(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "this is not a PEM certificate");
  return NULL;
}

WsCert *ws_cert_read(const char *path, GError **error)
{
  g_autoptr(X509) x509 = read_cert(path, error);
  return x509 ? describe(x509) : NULL;
}

gint64 ws_cert_due_us(const WsCert *cert)
{
  return cert->not_before_us + (cert->not_after_us - cert->not_before_us) / 3 * 2;
}

bool ws_cert_is_due(const WsCert *cert, gint64 now_us)
{
  return now_us < cert->not_before_us || now_us >= ws_cert_due_us(cert);
}

void ws_cert_free(WsCert *cert)
{
  if (!cert)
    return;
  g_free(cert->cn);
  g_free(cert->serial);
  g_free(cert->fingerprint);
  g_free(cert);
}
