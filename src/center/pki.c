// SPDX-License-Identifier: Apache-2.0
/* The site's certificates. See pki.h. */
#include "center/pki.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pki.h"
#include "center/database.h"
#include "model/model.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

/* In every manager's certificate: hosts trust this name from the site's CA, whatever address they dial. */
#define MANAGER_NAME "winsphere-manager"

static char *path_of(Center *center, const char *name)
{
  return g_build_filename(center->config.data_dir, name, NULL);
}

/* ---- the manager's own ---- */

static void add_name(GPtrArray *names, const char *name)
{
  for (guint i = 0; i < names->len; i++)
    if (strcmp(names->pdata[i], name) == 0)
      return;
  g_ptr_array_add(names, g_strdup(name));
}

static void add_addresses(GPtrArray *names)
{
  struct ifaddrs *all = NULL;
  if (getifaddrs(&all) < 0)
    return;
  for (struct ifaddrs *a = all; a; a = a->ifa_next) {
    char text[NI_MAXHOST];
    int family = a->ifa_addr ? a->ifa_addr->sa_family : 0;
    gsize n = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if ((family == AF_INET || family == AF_INET6) &&
        getnameinfo(a->ifa_addr, n, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 && !strchr(text, '%'))
      add_name(names, text);
  }
  freeifaddrs(all);
}

static bool issue_server(Center *center, const WsCa *ca, const char *cert, const char *key, GError **error)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  char hostname[256] = "";
  add_name(names, MANAGER_NAME);
  add_name(names, "localhost");
  if (gethostname(hostname, sizeof hostname - 1) == 0 && *hostname)
    add_name(names, hostname);
  add_addresses(names);
  for (char **name = center->config.names; name && *name; name++)
    add_name(names, *name);
  g_ptr_array_add(names, NULL);
  return ws_pki_issue_server(center->clock, ca, (const char *const *)names->pdata, center->config.server_cert_life_s, cert, key, error);
}

/* A third of its life must be left; and a crash between the two files leaves a key that is not its own. */
static bool server_is_good(Center *center, const char *cert_path, const char *key_path)
{
  g_autofree char *pem = g_file_test(cert_path, G_FILE_TEST_EXISTS) ? ws_file_read(cert_path, 65536, NULL, NULL) : NULL;
  g_autoptr(WsCert) cert = pem ? ws_cert_parse(pem, NULL) : NULL;
  return cert && !ws_cert_is_due(cert, ws_clock_wall_us(center->clock)) && ws_pki_check_pair(pem, key_path, NULL);
}

static bool prepare_server(Center *center, const WsCa *ca, bool *renewed, GError **error)
{
  g_autofree char *cert = path_of(center, "server.crt");
  g_autofree char *key = path_of(center, "server.key");
  *renewed = !server_is_good(center, cert, key);
  return !*renewed || issue_server(center, ca, cert, key, error);
}

/* A start that was cut short may have left a key without its certificate, and halves of files. */
static bool clear_unfinished(Center *center, const WsCa *ca, GError **error)
{
  static const char *const names[] = {"ca.crt", "ca.key", "server.crt", "server.key", "initial-password", CENTER_SECRETS_KEY};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = path_of(center, names[i]);
    ws_file_drop_unfinished(path);
  }
  if (g_file_test(ca->cert_file, G_FILE_TEST_EXISTS))
    return true;
  g_autofree char *database = path_of(center, "winsphere.db");
  if (g_file_test(database, G_FILE_TEST_EXISTS))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", ca->cert_file, "cause",
                   "it is missing, and every host of this site trusts it: restore it from a backup", NULL);
  unlink(ca->key_file);
  return true;
}

bool center_pki_prepare(Center *center, GError **error)
{
  g_autofree char *cert = path_of(center, "ca.crt");
  g_autofree char *key = path_of(center, "ca.key");
  WsCa ca = {cert, key};
  char uuid[40];
  bool renewed;
  g_autofree char *name = g_strdup_printf("WinSphere site %.8s", ws_uuid_new(center->clock, uuid));
  if (!clear_unfinished(center, &ca, error))
    return false;
  if (!g_file_test(cert, G_FILE_TEST_EXISTS) && !ws_pki_create_ca(center->clock, &ca, name, error))
    return false;
  if (center->config.names) { /* they may have changed: it costs a millisecond */
    g_autofree char *server = path_of(center, "server.crt");
    unlink(server);
  }
  return prepare_server(center, &ca, &renewed, error);
}

typedef struct {
  Center *center;
  bool renewed;
} Renewal;

static bool renew_on_worker(void *arg, GError **error)
{
  Renewal *renewal = arg;
  g_autofree char *cert = path_of(renewal->center, "ca.crt");
  g_autofree char *key = path_of(renewal->center, "ca.key");
  WsCa ca = {cert, key};
  return prepare_server(renewal->center, &ca, &renewal->renewed, error);
}

void center_pki_renew(Center *center)
{
  g_autoptr(GError) error = NULL;
  Renewal *renewal = g_new(Renewal, 1);
  *renewal = (Renewal){center, false};
  if (ws_co_blocking(center->workers, renew_on_worker, renewal, g_free, 0, &error)) {
    bool renewed = renewal->renewed;
    g_free(renewal);
    if (renewed && http_server_reload_tls(center->server, &error))
      ws_log(WS_LOG_NOTICE, "server-certificate-renewed", NULL);
  }
  if (error) {
    ws_log_error(WS_LOG_ERROR, "server-certificate-not-renewed", error, NULL);
    center_alarm_open(center, CENTER_MAJOR, NULL, 0, "server_certificate");
  } else {
    center_alarm_close(center, NULL, 0, "server_certificate");
  }
}

char *center_pki_ca_pem(Center *center, GError **error)
{
  g_autofree char *path = path_of(center, "ca.crt");
  return ws_file_read(path, 65536, NULL, error);
}

char *center_pki_fingerprint(Center *center, GError **error)
{
  g_autofree char *path = path_of(center, "ca.crt");
  g_autoptr(WsCert) cert = ws_cert_read(path, error);
  return cert ? g_steal_pointer(&cert->fingerprint) : NULL;
}

/* ---- hosts ---- */

void center_certificate_clear(CenterCertificate *certificate)
{
  g_clear_pointer(&certificate->pem, g_free);
  g_clear_pointer(&certificate->serial, g_free);
}

typedef struct {
  Center *center;
  char *csr;
  CenterCertificate made;
} Issue;

static void issue_free(void *arg)
{
  Issue *issue = arg;
  center_certificate_clear(&issue->made);
  g_free(issue->csr);
  g_free(issue);
}

static bool issue_on_worker(void *arg, GError **error)
{
  Issue *issue = arg;
  CenterCertificate *made = &issue->made;
  g_autofree char *cert = path_of(issue->center, "ca.crt");
  g_autofree char *key = path_of(issue->center, "ca.key");
  WsCa ca = {cert, key};
  char cn[WS_ID_TEXT_MAX];
  ws_id_format(ws_type_host.prefix, made->host, cn);
  if (!ws_pki_issue_client(issue->center->clock, &ca, issue->csr, cn, issue->center->config.host_cert_life_s, &made->pem, &made->serial,
                           error))
    return false;
  g_autoptr(WsCert) read = ws_cert_parse(made->pem, error);
  if (!read)
    return false;
  made->not_after_us = read->not_after_us;
  return true;
}

bool center_pki_issue_host(Center *center, const char *csr_pem, CenterCertificate *certificate, GError **error)
{
  Issue *issue = g_new(Issue, 1);
  *issue = (Issue){center, g_strdup(csr_pem), {.host = certificate->host}};
  if (!ws_co_blocking(center->workers, issue_on_worker, issue, issue_free, 0, error))
    return false;
  *certificate = issue->made;
  issue->made = (CenterCertificate){0};
  issue_free(issue);
  return true;
}

/* ---- the first password ---- */

char *center_first_password(Center *center, GError **error)
{
  static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: none that look alike */
  g_autofree char *path = path_of(center, "initial-password");
  guint8 bytes[16];
  char *password = g_malloc0(sizeof bytes + 4);
  center->clock->random_bytes(center->clock, bytes, sizeof bytes);
  for (guint i = 0, n = 0; i < sizeof bytes; i++) {
    if (i && i % 4 == 0)
      password[n++] = '-';
    password[n++] = letters[bytes[i] % 32];
  }
  if (ws_file_write(path, password, strlen(password), 0600, error))
    return password;
  g_free(password);
  return NULL;
}
