// SPDX-License-Identifier: Apache-2.0
/* Enrolment of this host: "winserverd --join TOKEN --manager URL". Blocking, before anything else runs.
 *
 * The token's last part is the fingerprint of the site's CA. So the CA's certificate is fetched without trust, believed only when it has
 * that fingerprint, and everything secret is said only to a manager that this CA vouches for. */
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pki.h"
#include "host/agent-private.h"
#include "model/model.h"
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ANSWER_MAX (256 * 1024)
#define TIMEOUT_S 30

static size_t collect(char *bytes, size_t size, size_t n, void *arg)
{
  GString *text = arg;
  if (text->len + size * n > ANSWER_MAX)
    return 0;
  g_string_append_len(text, bytes, size * n);
  return size * n;
}

/* One request. ca_file NULL: the peer is not checked (nothing secret is said then). body NULL: GET. */
static bool request(const char *url, const char *connect_to, const char *ca_file, const char *body, GString *answer,
                    long *status, GError **error)
{
  char why[CURL_ERROR_SIZE] = "";
  CURL *curl = curl_easy_init();
  struct curl_slist *to = connect_to ? curl_slist_append(NULL, connect_to) : NULL;
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, to);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, ca_file ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, ca_file ? 2L : 0L);
  if (ca_file)
    curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
  if (body) {
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  }
  CURLcode code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
  curl_slist_free_all(to);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return code == CURLE_OK ||
         ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", url, "cause", *why ? why : curl_easy_strerror(code), NULL);
}

/* ---- the CA ---- */

static bool fetch_ca(const AgentConfig *config, const char *manager_url, const char *fingerprint, GError **error)
{
  g_autofree char *url = g_strconcat(manager_url, "/api/v1/ca", NULL);
  g_autofree char *path = g_build_filename(config->state_dir, "ca.crt", NULL);
  g_autoptr(GString) pem = g_string_new(NULL);
  long status = 0;
  if (!request(url, NULL, NULL, NULL, pem, &status, error))
    return false;
  g_autoptr(WsCert) cert = status == 200 ? ws_cert_parse(pem->str, error) : NULL;
  if (!cert)
    return error && *error ? false : ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the manager gave no CA certificate", NULL);
  if (!cert->is_ca || g_ascii_strcasecmp(cert->fingerprint, fingerprint) != 0)
    return ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason",
                   "the CA is not the one that the token names: this is another site, or somebody is in between", NULL);
  return ws_file_write(path, pem->str, pem->len, 0644, error);
}

/* ---- the request ---- */

static char *request_body(const char *secret, const char *csr)
{
  struct utsname uts;
  char hostname[256] = "host";
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  gethostname(hostname, sizeof hostname - 1);
  ws_json_begin_object(&w);
  ws_json_key(&w, "token");
  ws_json_string(&w, secret);
  ws_json_key(&w, "csr");
  ws_json_string(&w, csr);
  ws_json_key(&w, "hostname");
  ws_json_string(&w, hostname);
  if (uname(&uts) == 0 && g_strv_contains(ws_architecture_names, uts.machine)) {
    ws_json_key(&w, "architecture");
    ws_json_string(&w, uts.machine);
  }
  ws_json_end_object(&w);
  return g_string_free(body, FALSE);
}

/* String members of a flat JSON object; absent ones stay NULL. */
static void read_members(const char *json, gsize n, const char *const *names, char **values)
{
  g_auto(WsJsonReader) r = {0};
  const char *key, *text;
  gsize key_bytes, bytes;
  ws_json_reader_init(&r, json, n);
  if (!ws_json_enter_object(&r, NULL))
    return;
  while (ws_json_next_key(&r, &key, &key_bytes, NULL)) {
    guint i = 0;
    while (names[i] && !(strlen(names[i]) == key_bytes && memcmp(names[i], key, key_bytes) == 0))
      i++;
    if (names[i] && !values[i] && ws_json_peek(&r) == WS_JSON_STRING) {
      if (!ws_json_take_string(&r, &text, &bytes, NULL))
        return;
      values[i] = g_strndup(text, bytes);
    } else if (!ws_json_take_raw(&r, &text, &bytes, NULL)) {
      return;
    }
  }
}

static bool refuse(const GString *answer, GError **error)
{
  static const char *const names[] = {"code", "message", NULL};
  char *values[] = {NULL, NULL};
  read_members(answer->str, answer->len, names, values);
  g_autofree char *code = values[0], *message = values[1];
  return ws_fail(error, code ? ws_error_code_from_name(code) : WS_ERROR_INTERNAL, "cause", message, "reason", message, NULL);
}

static bool enrol(const AgentConfig *config, const char *manager_url, const char *secret, const char *csr, char **cert,
                  GError **error)
{
  static const char *const names[] = {"certificate", NULL};
  g_autofree char *body = request_body(secret, csr);
  g_autofree char *ca = g_build_filename(config->state_dir, "ca.crt", NULL);
  g_autoptr(GUri) uri = g_uri_parse(manager_url, G_URI_FLAGS_NONE, NULL);
  if (!uri)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "manager", "expected", "https://name:port", NULL);
  int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : 443;
  bool v6 = strchr(g_uri_get_host(uri), ':') != NULL;
  g_autofree char *url = g_strdup_printf("https://%s:%d/api/v1/enrol", AGENT_MANAGER_NAME, port);
  g_autofree char *to = g_strdup_printf(v6 ? "%s:%d:[%s]:%d" : "%s:%d:%s:%d", AGENT_MANAGER_NAME, port, g_uri_get_host(uri), port);
  g_autoptr(GString) answer = g_string_new(NULL);
  long status = 0;
  if (!request(url, to, ca, body, answer, &status, error))
    return false;
  if (status != 201)
    return refuse(answer, error);
  read_members(answer->str, answer->len, names, cert);
  return *cert || ws_fail(error, WS_ERROR_INTERNAL, "cause", "the manager's answer holds no certificate", NULL);
}

bool agent_join(const AgentConfig *config, WsClock *clock, const char *manager_url, const char *token, GError **error)
{
  g_autofree char *key = g_build_filename(config->state_dir, "host.key", NULL);
  g_autofree char *cert_path = g_build_filename(config->state_dir, "host.crt", NULL);
  g_autofree char *manager_path = g_build_filename(config->state_dir, "manager", NULL);
  g_autofree char *csr = NULL, *cert = NULL;
  const char *dot = strchr(token, '.');
  if (!g_str_has_prefix(manager_url, "https://"))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "manager", "expected", "https://name:port", NULL);
  if (!dot || strlen(dot + 1) != 64)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "token", "expected", "a join token (winctl join-token create)", NULL);
  if (g_mkdir_with_parents(config->state_dir, 0700) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", config->state_dir, "cause", g_strerror(errno), NULL);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bool ok = fetch_ca(config, manager_url, dot + 1, error) && ws_pki_make_request(key, "host", &csr, error) &&
            enrol(config, manager_url, token, csr, &cert, error) &&
            ws_file_write(cert_path, cert, strlen(cert), 0600, error) &&
            ws_file_write(manager_path, manager_url, strlen(manager_url), 0644, error);
  curl_global_cleanup();
  return ok;
}
