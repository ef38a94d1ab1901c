// SPDX-License-Identifier: Apache-2.0
/* The site's certificates: what is issued, what is refused, and what openssl(1) thinks of it. */
#include "base/error.h"
#include "base/pki.h"
#include <glib/gstdio.h>
#include <string.h>

#define DAY_US (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)

typedef struct {
  char *directory, *ca_cert, *ca_key;
  WsCa ca;
} Rig;

/* A fixed day, so that nothing here depends on today. */
static gint64 wall_us(WsClock *clock)
{
  return G_GINT64_CONSTANT(1800000000) * G_USEC_PER_SEC;
}

static void random_bytes(WsClock *clock, void *buf, gsize n)
{
  ws_clock_system()->random_bytes(ws_clock_system(), buf, n);
}

static WsClock fixed = {.wall_us = wall_us, .random_bytes = random_bytes};

static char *file(Rig *rig, const char *name)
{
  return g_build_filename(rig->directory, name, NULL);
}

static Rig *rig_new(void)
{
  g_autoptr(GError) error = NULL;
  Rig *rig = g_new0(Rig, 1);
  rig->directory = g_dir_make_tmp("ws-pki-XXXXXX", NULL);
  rig->ca_cert = file(rig, "ca.crt");
  rig->ca_key = file(rig, "ca.key");
  rig->ca = (WsCa){rig->ca_cert, rig->ca_key};
  g_assert_true(ws_pki_create_ca(&fixed, &rig->ca, "Site 1", &error));
  g_assert_no_error(error);
  return rig;
}

static void rig_free(Rig *rig)
{
  g_autoptr(GDir) directory = g_dir_open(rig->directory, 0, NULL);
  for (const char *name; (name = g_dir_read_name(directory));) {
    g_autofree char *path = file(rig, name);
    g_unlink(path);
  }
  g_rmdir(rig->directory);
  g_free(rig->directory);
  g_free(rig->ca_cert);
  g_free(rig->ca_key);
  g_free(rig);
}

static guint mode_of(const char *path)
{
  GStatBuf st;
  g_assert_cmpint(g_stat(path, &st), ==, 0);
  return st.st_mode & 0777;
}

/* Runs openssl with these words; its output. */
static char *openssl(const char *const *words)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) argv = g_ptr_array_new();
  char *out;
  int status;
  g_ptr_array_add(argv, (char *)"openssl");
  for (; *words; words++)
    g_ptr_array_add(argv, (char *)*words);
  g_ptr_array_add(argv, NULL);
  g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
               &out, NULL, &status, &error);
  g_assert_no_error(error);
  g_assert_cmpint(status, ==, 0);
  return out;
}

static void a_ca_is_made_once(void)
{
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL;
  g_autoptr(WsCert) cert = ws_cert_read(rig->ca_cert, NULL);
  g_assert_cmpstr(cert->cn, ==, "Site 1");
  g_assert_true(cert->is_ca);
  g_assert_cmpint(cert->not_after_us, ==, wall_us(NULL) + WS_PKI_CA_DAYS * DAY_US);
  g_assert_cmpuint(strlen(cert->fingerprint), ==, 64);
  g_assert_cmpuint(mode_of(rig->ca_key), ==, 0600);
  g_assert_false(ws_pki_create_ca(&fixed, &rig->ca, "Site 2", &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_ALREADY_EXISTS);
  g_autofree char *text = openssl((const char *[]){"x509", "-in", rig->ca_cert, "-noout", "-text", NULL});
  g_assert_nonnull(strstr(text, "CA:TRUE, pathlen:0"));
  g_assert_nonnull(strstr(text, "Certificate Sign, CRL Sign"));
  g_assert_nonnull(strstr(text, "prime256v1"));
  rig_free(rig);
}

static void a_server_is_called_by_all_its_names(void)
{
  static const char *const names[] = {"manager.example", "10.0.0.5", "fd00::1", NULL};
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *cert = file(rig, "server.crt"), *key = file(rig, "server.key");
  g_assert_true(ws_pki_issue_server(&fixed, &rig->ca, names, 398 * WS_PKI_DAY_S, cert, key, &error));
  g_assert_no_error(error);
  g_assert_cmpuint(mode_of(key), ==, 0600);
  g_autofree char *text = openssl((const char *[]){"x509", "-in", cert, "-noout", "-text", NULL});
  g_assert_nonnull(strstr(text, "DNS:manager.example, IP Address:10.0.0.5, IP Address:FD00:0:0:0:0:0:0:1"));
  g_assert_nonnull(strstr(text, "TLS Web Server Authentication"));
  g_assert_null(strstr(text, "TLS Web Client Authentication"));
  g_autofree char *good =
      openssl((const char *[]){"verify", "-CAfile", rig->ca_cert, "-attime", "1800000000", "-purpose",
                               "sslserver", "-verify_hostname", "manager.example", cert, NULL});
  g_autofree char *pem = NULL;
  g_file_get_contents(cert, &pem, NULL, NULL);
  g_assert_nonnull(strstr(strstr(pem, "END CERTIFICATE"), "BEGIN CERTIFICATE")); /* the CA's comes with it */
  rig_free(rig);
}

static void names_cannot_smuggle_anything_in(void)
{
  static const char *const bad[] = {"a,DNS:evil", "a b", "", "a\nb", "*.example", "ü.example", "email:x"};
  Rig *rig = rig_new();
  g_autofree char *cert = file(rig, "server.crt"), *key = file(rig, "server.key");
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    const char *const names[] = {bad[i], NULL};
    g_autoptr(GError) error = NULL;
    g_assert_false(ws_pki_issue_server(&fixed, &rig->ca, names, 10 * WS_PKI_DAY_S, cert, key, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_BAD_VALUE);
  }
  g_assert_false(g_file_test(key, G_FILE_TEST_EXISTS));
  rig_free(rig);
}

static void a_host_gets_the_name_that_we_give_it(void)
{
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *key = file(rig, "host.key"), *path = file(rig, "host.crt"), *before = NULL, *after = NULL;
  g_autofree char *csr = NULL, *again = NULL, *pem = NULL, *serial = NULL, *other = NULL,
                  *other_serial = NULL;
  g_assert_true(ws_pki_make_request(key, "host-1 or so", &csr, &error));
  g_assert_cmpuint(mode_of(key), ==, 0600);
  g_file_get_contents(key, &before, NULL, NULL);
  g_assert_true(ws_pki_make_request(key, "host-1 or so", &again, &error)); /* a retry keeps the key */
  g_file_get_contents(key, &after, NULL, NULL);
  g_assert_cmpstr(before, ==, after);
  g_assert_true(ws_pki_issue_client(&fixed, &rig->ca, csr, "host-3", 90 * WS_PKI_DAY_S, &pem, &serial, &error));
  g_assert_true(ws_pki_issue_client(&fixed, &rig->ca, csr, "host-3", 90 * WS_PKI_DAY_S, &other, &other_serial, &error));
  g_assert_cmpstr(serial, !=, other_serial);
  g_autoptr(WsCert) cert = ws_cert_parse(pem, &error);
  g_assert_cmpstr(cert->cn, ==, "host-3");
  g_assert_cmpstr(cert->serial, ==, serial);
  g_assert_false(cert->is_ca);
  g_assert_cmpint(cert->not_before_us, ==, wall_us(NULL) - G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC);
  g_assert_cmpint(cert->not_after_us, ==, wall_us(NULL) + 90 * DAY_US);
  g_file_set_contents(path, pem, -1, NULL);
  g_autofree char *good = openssl((const char *[]){"verify", "-CAfile", rig->ca_cert, "-attime", "1800000000",
                                                   "-purpose", "sslclient", path, NULL});
  rig_free(rig);
}

static void bad_requests_are_refused(void)
{
  Rig *rig = rig_new();
  g_autofree char *key = file(rig, "host.key"), *csr = NULL, *pem = NULL, *serial = NULL;
  g_autofree char *huge = g_strnfill(100000, 'A');
  g_assert_true(ws_pki_make_request(key, "x", &csr, NULL));
  g_autofree char *torn = g_strdup(csr);
  torn[100] = torn[100] == 'A' ? 'B' : 'A'; /* the signature no longer fits */
  const char *const bad[] = {
      "", "garbage", huge, torn,
      "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_false(ws_pki_issue_client(&fixed, &rig->ca, bad[i], "host-3", 90 * WS_PKI_DAY_S, &pem, &serial, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_CERTIFICATE_REFUSED);
  }
  g_autoptr(GError) empty = NULL, longer = NULL;
  g_autofree char *name = g_strnfill(65, 'n');
  g_assert_false(ws_pki_issue_client(&fixed, &rig->ca, csr, "", 90 * WS_PKI_DAY_S, &pem, &serial, &empty));
  g_assert_error(empty, WS_ERROR, WS_ERROR_BAD_VALUE);
  g_assert_false(ws_pki_issue_client(&fixed, &rig->ca, csr, name, 90 * WS_PKI_DAY_S, &pem, &serial, &longer));
  g_assert_error(longer, WS_ERROR, WS_ERROR_BAD_VALUE);
  g_assert_null(pem);
  rig_free(rig);
}

/* A crash between the two files of an issue leaves such a pair. */
static void a_certificate_and_anothers_key_do_not_fit(void)
{
  static const char *const names[] = {"manager.example", NULL};
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL, foreign = NULL, nonsense = NULL;
  g_autofree char *cert = file(rig, "server.crt"), *key = file(rig, "server.key"), *pem = NULL;
  g_assert_true(ws_pki_issue_server(&fixed, &rig->ca, names, 60, cert, key, &error));
  g_file_get_contents(cert, &pem, NULL, NULL);
  g_assert_true(ws_pki_check_pair(pem, key, &error));
  g_assert_no_error(error);
  g_assert_false(ws_pki_check_pair(pem, rig->ca_key, &foreign));
  g_assert_error(foreign, WS_ERROR, WS_ERROR_CERTIFICATE_REFUSED);
  g_assert_false(ws_pki_check_pair("nothing", key, &nonsense));
  g_assert_error(nonsense, WS_ERROR, WS_ERROR_CERTIFICATE_REFUSED);
  rig_free(rig);
}

static void a_short_life_is_due_at_two_thirds(void)
{
  static const char *const names[] = {"manager.example", NULL};
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *path = file(rig, "server.crt"), *key = file(rig, "server.key");
  g_assert_true(ws_pki_issue_server(&fixed, &rig->ca, names, 60, path, key, &error));
  g_autoptr(WsCert) cert = ws_cert_read(path, &error);
  gint64 now = wall_us(NULL);
  g_assert_cmpint(cert->not_after_us - now, ==, 60 * G_USEC_PER_SEC);
  g_assert_cmpint(now - cert->not_before_us, ==, 6 * G_USEC_PER_SEC); /* a tenth */
  g_assert_cmpint(ws_cert_due_us(cert) - now, ==, 38 * G_USEC_PER_SEC);
  g_assert_false(ws_cert_is_due(cert, now));
  g_assert_true(ws_cert_is_due(cert, now + 38 * G_USEC_PER_SEC));
  g_assert_true(ws_cert_is_due(cert, now - 7 * G_USEC_PER_SEC)); /* the clock was set back */
  rig_free(rig);
}

static void a_weak_key_is_refused(void)
{
  Rig *rig = rig_new();
  g_autoptr(GError) error = NULL;
  g_autofree char *key = file(rig, "weak.key"), *request = file(rig, "weak.csr"), *csr = NULL, *pem = NULL,
                  *serial = NULL;
  g_autofree char *out = openssl((const char *[]){"req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout",
                                                  key, "-out", request, "-subj", "/CN=x", NULL});
  g_file_get_contents(request, &csr, NULL, NULL);
  g_assert_false(ws_pki_issue_client(&fixed, &rig->ca, csr, "host-3", 90 * WS_PKI_DAY_S, &pem, &serial, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_CERTIFICATE_REFUSED);
  g_assert_cmpstr(ws_error_param(error, "reason"), ==, "the key is too weak");
  rig_free(rig);
}

static void missing_files_are_named(void)
{
  Rig *rig = rig_new();
  g_autoptr(GError) cert = NULL, key = NULL, parse = NULL, directory = NULL;
  const WsCa nowhere = {"/nonexistent/ca.crt", "/nonexistent/ca.key"},
             no_key = {rig->ca_cert, "/nonexistent/ca.key"};
  g_autofree char *out = file(rig, "s.crt"), *out_key = file(rig, "s.key");
  static const char *const names[] = {"a", NULL};
  g_assert_false(ws_pki_issue_server(&fixed, &nowhere, names, 1 * WS_PKI_DAY_S, out, out_key, &cert));
  g_assert_error(cert, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_cmpstr(ws_error_param(cert, "path"), ==, "/nonexistent/ca.crt");
  g_assert_false(ws_pki_issue_server(&fixed, &no_key, names, 1 * WS_PKI_DAY_S, out, out_key, &key));
  g_assert_cmpstr(ws_error_param(key, "path"), ==, "/nonexistent/ca.key");
  g_assert_nonnull(strstr(ws_error_cause(key), "No such file"));
  g_assert_false(ws_pki_create_ca(&fixed, &nowhere, "x", &directory));
  g_assert_error(directory, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_null(ws_cert_parse("nothing", &parse));
  g_assert_error(parse, WS_ERROR, WS_ERROR_CERTIFICATE_REFUSED);
  rig_free(rig);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/base/pki/" #name, name)
  TEST(a_ca_is_made_once);
  TEST(a_server_is_called_by_all_its_names);
  TEST(names_cannot_smuggle_anything_in);
  TEST(a_host_gets_the_name_that_we_give_it);
  TEST(bad_requests_are_refused);
  TEST(a_certificate_and_anothers_key_do_not_fit);
  TEST(a_short_life_is_due_at_two_thirds);
  TEST(a_weak_key_is_refused);
  TEST(missing_files_are_named);
  return g_test_run();
}
