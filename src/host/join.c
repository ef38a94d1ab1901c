// SPDX-License-Identifier: Apache-2.0
/* Enrolment of this host: "winserverd --join - --manager URL". Blocking, before anything else runs.
 *
 * The token's last part is the fingerprint of the site's CA. So the CA's certificate is fetched without trust, believed only when it has
 * that fingerprint, and everything secret is said only to a manager that this CA vouches for. */
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pki.h"
#include "host/agent-private.h"
#include "http/rest.h"
#include "model/model.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- the CA ---- */

static bool fetch_ca(const AgentConfig *config, const char *manager_url, const char *fingerprint, GError **error)
{
  g_autofree char *path = g_build_filename(config->state_dir, "ca.crt", NULL);
  g_auto(RestAnswer) answer = {0};
  RestPeer stranger = {.url = manager_url};
  if (!rest_call(&stranger, "GET", "/api/v1/ca", NULL, NULL, &answer, error))
    return false;
  g_autoptr(WsCert) cert = answer.status == 200 ? ws_cert_parse(answer.body->str, error) : NULL;
  if (!cert)
    return error && *error ? false : ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", "the manager gave no CA certificate", NULL);
  if (!cert->is_ca || g_ascii_strcasecmp(cert->fingerprint, fingerprint) != 0)
    return ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason",
                   "the CA is not the one that the token names: this is another site, or somebody is in between", NULL);
  return ws_file_write(path, answer.body->str, answer.body->len, 0644, error);
}

/* ---- the request ---- */

static char *first_word(const char *path)
{
  char *text = ws_file_read(path, 256, NULL, NULL);
  return text ? g_strstrip(text) : NULL;
}

/* Which machine this is, so that one that is in the site already is known. */
static void add_machine(WsJsonWriter *w)
{
  g_autofree char *id = first_word("/etc/machine-id"), *uuid = first_word("/sys/class/dmi/id/product_uuid");
  if (id && *id) {
    g_autofree char *hash = ws_machine_hash(id);
    ws_json_key(w, "machine_hash");
    ws_json_string(w, hash);
  }
  if (uuid && *uuid && strlen(uuid) <= 64) {
    ws_json_key(w, "product_uuid");
    ws_json_string(w, uuid);
  }
}

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
  add_machine(&w);
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
  ws_fail(error, code ? ws_error_code_from_name(code) : WS_ERROR_INTERNAL, "reason", message, NULL);
  if (error && message) { /* with what it names: only the manager knows that */
    g_free((*error)->message);
    (*error)->message = g_steal_pointer(&message);
  }
  return false;
}

static bool enrol(const AgentConfig *config, const char *manager_url, const char *secret, const char *csr, char **cert,
                  GError **error)
{
  static const char *const names[] = {"certificate", NULL};
  g_autofree char *body = request_body(secret, csr);
  g_autofree char *ca = g_build_filename(config->state_dir, "ca.crt", NULL);
  g_auto(RestAnswer) answer = {0};
  RestPeer manager = {.url = manager_url, .ca_file = ca};
  if (!rest_call(&manager, "POST", "/api/v1/enrol", NULL, body, &answer, error))
    return false;
  if (answer.status != 201)
    return refuse(answer.body, error);
  read_members(answer.body->str, answer.body->len, names, cert);
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
  return fetch_ca(config, manager_url, dot + 1, error) && ws_pki_make_request(key, "host", &csr, error) &&
            enrol(config, manager_url, token, csr, &cert, error) &&
            ws_file_write(cert_path, cert, strlen(cert), 0600, error) &&
            ws_file_write(manager_path, manager_url, strlen(manager_url), 0644, error);
}
