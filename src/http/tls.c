// SPDX-License-Identifier: Apache-2.0
/* TLS settings and explanations; see tls.h. */
#include "http/tls.h"
#include "base/error.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/x509v3.h>
#include <string.h>

static const char tls12_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char session_context[] = "winsphere";

/* OpenSSL's last error as text; NULL: none. */
static char *last_error_text(void)
{
  unsigned long code = ERR_peek_error(); /* the first: later ones only say where it went through */
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
  ERR_clear_error();
  return g_strdup(ERR_SYSTEM_ERROR(code) ? g_strerror(ERR_GET_REASON(code)) : reason);
}

static bool fail_file(GError **error, const char *path)
{
  g_autofree char *why = last_error_text();
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", why, NULL);
}

static void name_and_serial(X509 *cert, char **cn, char **serial)
{
  char name[256];
  int n = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
  *cn = n > 0 && (gsize)n == strlen(name) && g_utf8_validate(name, n, NULL) ? g_strdup(name) : NULL;
  g_autoptr(GString) hex = g_string_new(NULL);
  const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
  const unsigned char *bytes = ASN1_STRING_get0_data(number);
  for (int i = 0; i < ASN1_STRING_length(number); i++)
    g_string_append_printf(hex, "%02x", bytes[i]);
  *serial = g_string_free(g_steal_pointer(&hex), FALSE);
}

static bool ask_hook(SSL_CTX *context, X509 *cert)
{
  const TlsHook *hook = SSL_CTX_get_app_data(context);
  if (!hook || !hook->accept_peer)
    return true;
  g_autofree char *cn = NULL, *serial = NULL;
  name_and_serial(cert, &cn, &serial);
  return hook->accept_peer(cn ? cn : "", serial, hook->arg);
}

/* Called for each certificate of a chain; depth 0 is the peer's own, after its issuers. */
static int verify_peer(int ok, X509_STORE_CTX *store)
{
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  if (!ok || X509_STORE_CTX_get_error_depth(store) > 0)
    return ok;
  if (ask_hook(SSL_get_SSL_CTX(ssl), X509_STORE_CTX_get_current_cert(store)))
    return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
  return 0;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                           unsigned int in_n, void *arg)
{
  static const unsigned char ours[] = "\x02h2\x08http/1.1";
  if (SSL_select_next_proto((unsigned char **)out, out_n, ours, sizeof ours - 1, in, in_n) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
  SSL_CTX *context = SSL_CTX_new(method);
  g_assert(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, tls12_ciphers);
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
  /* Whoever reads here knows from the protocol itself whether something was cut off. */
  SSL_CTX_set_options(context,
                      SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1); /* one read() for a record instead of two */
  return context;
}

/* ---- resumption: a peer that comes again shows a ticket instead of its certificate ---- */

#define SESSION_LIFE_S (7 * 24 * 3600) /* the longest that TLS 1.3 allows (RFC 8446, 4.6.1) */
#define SESSIONS_MAX   8192            /* kept by a program that dials; beyond it all are forgotten */

/* The keys of a server's tickets follow from its private key, so that hosts resume with a manager that was restarted; with a new key they
 * are others. A resumed session has keys of its own all the same (psk_dhe_ke), and its peer's certificate is asked about anew. */
static void set_ticket_keys(SSL_CTX *context)
{
  enum { TICKET_KEYS = 80 }; /* name, HMAC, AES, as OpenSSL wants them */
  static const unsigned char label[] = "winsphere session tickets ";
  unsigned char *secret = NULL, keys[96], text[sizeof label];
  int n = i2d_PrivateKey(SSL_CTX_get0_privatekey(context), &secret);
  g_assert(n > 0);
  memcpy(text, label, sizeof label);
  for (guint i = 0; i < sizeof keys / 32; i++) {
    text[sizeof label - 1] = (unsigned char)i;
    g_assert(HMAC(EVP_sha256(), secret, n, text, sizeof text, keys + (gsize)i * 32, NULL));
  }
  SSL_CTX_set_tlsext_ticket_keys(context, keys, TICKET_KEYS);
  OPENSSL_cleanse(keys, sizeof keys);
  OPENSSL_clear_free(secret, (gsize)n);
}

/* What dials have brought: by who dialled whom, as whom. Any thread. */
static struct {
  GMutex lock;
  GHashTable *sessions; /* text -> SSL_SESSION */
} kept;

static void free_session(void *session)
{
  SSL_SESSION_free(session);
}

static void free_key(void *parent, void *key, CRYPTO_EX_DATA *data, int index, long number, void *pointer)
{
  g_free(key);
}

static int key_index(void)
{
  static gsize index;
  if (g_once_init_enter(&index))
    g_once_init_leave(&index, (gsize)SSL_get_ex_new_index(0, NULL, NULL, NULL, free_key) + 1);
  return (int)index - 1;
}

/* The server has sent a ticket. 1: it is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
  const char *key = SSL_get_ex_data(ssl, key_index());
  if (!key)
    return 0;
  g_mutex_lock(&kept.lock);
  if (!kept.sessions)
    kept.sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_session);
  if (g_hash_table_size(kept.sessions) >= SESSIONS_MAX)
    g_hash_table_remove_all(kept.sessions);
  g_hash_table_replace(kept.sessions, g_strdup(key), session);
  g_mutex_unlock(&kept.lock);
  return 1;
}

static void add_digest(GString *hex, const X509 *cert)
{
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  X509_digest(cert, EVP_sha256(), bytes, &n);
  for (unsigned i = 0; i < n; i++)
    g_string_append_printf(hex, "%02x", bytes[i]);
}

/* A session is of the certificate that it was begun with, ours or none, and the server's was checked by the CAs that were trusted then: with
 * others everything begins anew. */
static char *digest_of_trust(SSL *ssl)
{
  g_autoptr(GString) hex = g_string_new(NULL);
  const X509 *own = SSL_get_certificate(ssl);
  STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)));
  if (own)
    add_digest(hex, own);
  for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
    const X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
    g_string_append_c(hex, ' ');
    if (cert)
      add_digest(hex, cert);
  }
  return g_string_free(g_steal_pointer(&hex), FALSE);
}

void http_tls_resume(SSL *ssl, const char *host, guint16 port, const char *server_name)
{
  g_autofree char *trust = digest_of_trust(ssl);
  char *key = g_strdup_printf("%s %u %s %s", host, port, server_name, trust);
  SSL_set_ex_data(ssl, key_index(), key);
  g_mutex_lock(&kept.lock);
  SSL_SESSION *session = kept.sessions ? g_hash_table_lookup(kept.sessions, key) : NULL;
  if (session)
    SSL_set_session(ssl, session);
  g_mutex_unlock(&kept.lock);
}

/* ---- contexts ---- */

static bool load_own(SSL_CTX *context, const HttpTls *tls, GError **error)
{
  if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1)
    return fail_file(error, tls->cert_file);
  if (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    return fail_file(error, tls->key_file);
  return true;
}

SSL_CTX *http_tls_server_context(const HttpTls *tls, TlsHook *hook, GError **error)
{
  SSL_CTX *context = new_context(TLS_server_method());
  SSL_CTX_set_app_data(context, hook);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
  SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets resume without memory here */
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_timeout(context, SESSION_LIFE_S);
  if (!load_own(context, tls, error))
    goto failed;
  set_ticket_keys(context);
  if (tls->ca_file) {
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(tls->ca_file);
    if (!names || SSL_CTX_load_verify_file(context, tls->ca_file) != 1) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      fail_file(error, tls->ca_file);
      goto failed;
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verify_peer);
  }
  return context;
failed:
  SSL_CTX_free(context);
  return NULL;
}

SSL_CTX *http_tls_client_context(const HttpTls *tls, GError **error)
{
  SSL_CTX *context = new_context(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  if (SSL_CTX_load_verify_file(context, tls->ca_file) != 1)
    fail_file(error, tls->ca_file);
  else if (!tls->cert_file || load_own(context, tls, error))
    return context;
  SSL_CTX_free(context);
  return NULL;
}

SSL_CTX *http_tls_tunnel_context(const HttpTls *tls, bool server, TlsHook *hook, GError **error)
{
  SSL_CTX *context = new_context(server ? TLS_server_method() : TLS_client_method());
  SSL_CTX_set_app_data(context, hook);
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0); /* every connection shows its certificate */
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_peer);
  /* Hosts have certificates for clients, whichever end they are. */
  X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(context), X509_PURPOSE_SSL_CLIENT);
  if (SSL_CTX_load_verify_file(context, tls->ca_file) != 1)
    fail_file(error, tls->ca_file);
  else if (load_own(context, tls, error))
    return context;
  SSL_CTX_free(context);
  return NULL;
}

SSL *http_tls_new(SSL_CTX *context, int fd, const char *server_name, WsClock *clock)
{
  SSL *ssl = SSL_new(context);
  g_assert(ssl && SSL_set_fd(ssl, fd) == 1);
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_time(param, (time_t)(ws_clock_wall_us(clock) / G_USEC_PER_SEC));
  if (!server_name) {
    SSL_set_accept_state(ssl);
    return ssl;
  }
  SSL_set_connect_state(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(param, server_name) != 1) {
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(param, server_name, 0);
    SSL_set_tlsext_host_name(ssl, server_name);
  }
  ERR_clear_error(); /* set1_ip_asc complains about names */
  return ssl;
}

bool http_tls_peer_is_accepted(SSL *ssl)
{
  X509 *cert = SSL_get0_peer_certificate(ssl);
  if (!cert || !SSL_session_reused(ssl))
    return true;
  time_t now = X509_VERIFY_PARAM_get_time(SSL_get0_param(ssl));
  return X509_cmp_time(X509_get0_notAfter(cert), &now) > 0 && ask_hook(SSL_get_SSL_CTX(ssl), cert);
}

void http_tls_peer_identity(SSL *ssl, char **cn, char **serial)
{
  X509 *cert = SSL_get0_peer_certificate(ssl);
  *cn = *serial = NULL;
  if (cert)
    name_and_serial(cert, cn, serial);
}

bool http_tls_speaks_h2(SSL *ssl)
{
  const unsigned char *name;
  unsigned int n;
  SSL_get0_alpn_selected(ssl, &name, &n);
  return n == 2 && memcmp(name, "h2", 2) == 0;
}

char *http_tls_why(SSL *ssl, int ssl_error)
{
  int saved_errno = errno;
  long verdict = SSL_get_verify_result(ssl);
  g_autofree char *reason = last_error_text();
  if (verdict != X509_V_OK)
    return g_strdup_printf("certificate verify failed: %s", X509_verify_cert_error_string(verdict));
  if (ssl_error == SSL_ERROR_ZERO_RETURN)
    return g_strdup("the peer closed the connection");
  if (ssl_error == SSL_ERROR_SYSCALL && saved_errno != 0)
    return g_strdup(g_strerror(saved_errno));
  if (!reason || strstr(reason, "unexpected eof"))
    return g_strdup("the peer broke off the connection");
  const char *alert = strstr(reason, "alert "); /* "sslv3 alert certificate revoked" */
  if (alert)
    return g_strdup_printf("the peer refused us: %s", alert + strlen("alert "));
  return g_steal_pointer(&reason);
}
