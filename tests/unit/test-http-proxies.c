// SPDX-License-Identifier: Apache-2.0
/* Who is behind a proxy, and that nobody else is believed. */
#include "base/error.h"
#include "http/proxies.h"
#include <string.h>

static const char *const trusted[] = {"10.0.0.0/24", "2001:db8::7", NULL};

static void last_that_is_no_proxy_is_the_client(void)
{
  static const struct {
    const char *peer, *header, *client;
  } rows[] = {
      {"10.0.0.7", "192.0.2.1", "192.0.2.1"},
      {"10.0.0.7", " 192.0.2.1 , 10.0.0.9", "192.0.2.1"},
      {"10.0.0.7", "203.0.113.5, 192.0.2.1", "192.0.2.1"}, /* what stands before was written by the client itself */
      {"10.0.0.7", "10.0.0.9, 10.0.0.8", "10.0.0.9"},      /* all are proxies: the farthest */
      {"10.0.0.7", "192.0.2.1:4711", "192.0.2.1"},
      {"2001:db8::7", "[2001:db8:0:0::1]:4711", "2001:db8::1"},
      {"2001:db8::7", "2001:DB8::1", "2001:db8::1"},
      {"10.0.0.7", "192.0.2.1, ::ffff:10.0.0.9", "192.0.2.1"},
      {"10.0.0.7", "[::FFFF:192.0.2.1]:4711", "192.0.2.1"},
      {"10.0.0.7", NULL, NULL},
      {"10.0.0.7", "", NULL},
      {"10.0.0.7", "unknown", NULL},
      {"10.0.0.7", "192.0.2.1, <script>, 10.0.0.9", "10.0.0.9"}, /* not further than what is an address */
      {"10.0.1.7", "192.0.2.1", NULL},                           /* a stranger says what he likes */
      {"2001:db8::8", "192.0.2.1", NULL},
      {"", "192.0.2.1", NULL},
  };
  g_autoptr(Proxies) proxies = proxies_new(trusted, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *client = proxies_client(proxies, rows[i].peer, rows[i].header);
    g_assert_cmpstr(client, ==, rows[i].client);
    g_assert_null(proxies_client(NULL, rows[i].peer, rows[i].header));
  }
}

static void many_hops_are_read_from_the_end_only(void)
{
  g_autoptr(Proxies) proxies = proxies_new(trusted, NULL);
  g_autoptr(GString) header = g_string_new("192.0.2.1");
  for (guint i = 0; i < 10000; i++)
    g_string_append(header, ",10.0.0.9");
  g_autofree char *client = proxies_client(proxies, "10.0.0.7", header->str);
  g_assert_cmpstr(client, ==, "10.0.0.9");
}

static void what_is_no_network_is_refused(void)
{
  static const char *const bad[] = {"10.0.0.0/33", "proxy.example", "10.0.0.7/24", "", "::/129", " 10.0.0.7"};
  for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
    const char *const list[] = {"192.0.2.1", bad[i], NULL};
    g_autoptr(GError) error = NULL;
    g_assert_null(proxies_new(list, &error));
    g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_BAD_VALUE);
    g_assert_cmpstr(ws_error_cause(error), ==, *bad[i] ? bad[i] : NULL);
  }
  const char *const none[] = {NULL};
  g_autoptr(GError) error = NULL;
  g_assert_null(proxies_new(none, &error));
  g_assert_null(proxies_new(NULL, &error));
  g_assert_no_error(error);
  g_assert_false(proxies_have(NULL, "10.0.0.7"));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/http/proxies/last_that_is_no_proxy_is_the_client", last_that_is_no_proxy_is_the_client);
  g_test_add_func("/http/proxies/many_hops_are_read_from_the_end_only", many_hops_are_read_from_the_end_only);
  g_test_add_func("/http/proxies/what_is_no_network_is_refused", what_is_no_network_is_refused);
  return g_test_run();
}
