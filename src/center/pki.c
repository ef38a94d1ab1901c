// SPDX-License-Identifier: Apache-2.0
/* The site's certificates. See pki.h. */
#include "center/pki.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pki.h"
#include "model/model.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

/* In every manager's certificate: hosts trust this name from the site's CA, whatever address they dial. */
#define MANAGER_NAME "winsphere-manager"
#define SERVER_DAYS 398
#define HOST_DAYS 365
#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)

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
  return ws_pki_issue_server(center->clock, ca, (const char *const *)names->pdata, SERVER_DAYS, cert, key, error);
}

/* The names asked for on the command line must be in it, and a third of its life be left. */
static bool server_is_good(Center *center, const char *path)
{
  g_autoptr(WsCert) cert = g_file_test(path, G_FILE_TEST_EXISTS) ? ws_cert_read(path, NULL) : NULL;
  return cert && cert->not_after_us - ws_clock_wall_us(center->clock) > SERVER_DAYS / 3 * DAY_US;
}

static bool prepare_server(Center *center, const WsCa *ca, bool *renewed, GError **error)
{
  g_autofree char *cert = path_of(center, "server.crt");
  g_autofree char *key = path_of(center, "server.key");
  *renewed = false;
  if (server_is_good(center, cert))
    return true;
  *renewed = true;
  return issue_server(center, ca, cert, key, error);
}

bool center_pki_prepare(Center *center, GError **error)
{
  g_autofree char *cert = path_of(center, "ca.crt");
  g_autofree char *key = path_of(center, "ca.key");
  WsCa ca = {cert, key};
  char uuid[40];
  bool renewed;
  g_autofree char *name = g_strdup_printf("WinSphere site %.8s", ws_uuid_new(center->clock, uuid));
  if (!g_file_test(cert, G_FILE_TEST_EXISTS) && !ws_pki_create_ca(center->clock, &ca, name, error))
    return false;
  if (center->config.names) { /* they may have changed: it costs a millisecond */
    g_autofree char *server = path_of(center, "server.crt");
    unlink(server);
  }
  return prepare_server(center, &ca, &renewed, error);
}

void center_pki_renew(Center *center)
{
  g_autofree char *cert = path_of(center, "ca.crt");
  g_autofree char *key = path_of(center, "ca.key");
  WsCa ca = {cert, key};
  g_autoptr(GError) error = NULL;
  bool renewed;
  if (prepare_server(center, &ca, &renewed, &error) && renewed && http_server_reload_tls(center->server, &error))
    ws_log(WS_LOG_NOTICE, "server-certificate-renewed", NULL);
  if (error)
    ws_log_error(WS_LOG_ERROR, "server-certificate-not-renewed", error, NULL);
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

bool center_pki_issue_host(Center *center, const char *csr_pem, CenterCertificate *certificate, GError **error)
{
  g_autofree char *cert = path_of(center, "ca.crt");
  g_autofree char *key = path_of(center, "ca.key");
  WsCa ca = {cert, key};
  char cn[WS_ID_TEXT_MAX];
  ws_id_format(ws_type_host.prefix, certificate->host, cn);
  if (!ws_pki_issue_client(center->clock, &ca, csr_pem, cn, HOST_DAYS, &certificate->pem, &certificate->serial, error))
    return false;
  g_autoptr(WsCert) read = ws_cert_parse(certificate->pem, error);
  if (!read)
    return false;
  certificate->not_after_us = read->not_after_us;
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
