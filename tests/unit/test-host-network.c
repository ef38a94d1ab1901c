// SPDX-License-Identifier: Apache-2.0
/* The network room without a network: subnets, what dnsmasq and nft are told, leases, and the database client against a server that
 * misbehaves. On real Open vSwitch: tests/lab/network. */
#include "base/error.h"
#include "host/network/dhcp.h"
#include "host/network/firewall.h"
#include "host/network/nat.h"
#include "host/network/ovsdb.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- subnets ---- */

static WsPortGroupSubnet *parse_subnet(const char *json)
{
  g_autoptr(GError) error = NULL;
  WsPortGroupSubnet *subnet = ws_port_group_subnet_parse(json, strlen(json), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  return subnet;
}

static void subnet_is_filled_in_or_refused(void)
{
  static const struct {
    const char *json, *outcome;
  } cases[] = {
      /* network gateway first-last */
      {"{\"cidr\":\"192.168.100.0/24\"}", "192.168.100.0/24 192.168.100.1 192.168.100.2-192.168.100.254"},
      {"{\"cidr\":\"10.0.0.0/8\"}", "10.0.0.0/8 10.0.0.1 10.0.0.2-10.255.255.254"},
      {"{\"cidr\":\"10.0.0.0/30\"}", "10.0.0.0/30 10.0.0.1 10.0.0.2-10.0.0.2"},
      {"{\"cidr\":\"10.0.0.0/24\",\"gateway\":\"10.0.0.254\"}", "10.0.0.0/24 10.0.0.254 10.0.0.1-10.0.0.253"},
      {"{\"cidr\":\"10.0.0.0/24\",\"gateway\":\"10.0.0.100\"}",
       "10.0.0.0/24 10.0.0.100 10.0.0.101-10.0.0.254"},
      {"{\"cidr\":\"10.0.0.0/24\",\"dhcp_first\":\"10.0.0.50\",\"dhcp_last\":\"10.0.0.60\"}",
       "10.0.0.0/24 10.0.0.1 10.0.0.50-10.0.0.60"},
      {"{\"cidr\":\"10.0.0.0/24\",\"dhcp\":false}", "10.0.0.0/24 10.0.0.1 0.0.0.0-0.0.0.0"},
      {"{\"cidr\":\"10.0.0.1/24\"}", "subnet.cidr"},
      {"{\"cidr\":\"10.0.0.0/31\"}", "subnet.cidr"},
      {"{\"cidr\":\"10.0.0.0/7\"}", "subnet.cidr"},
      {"{\"cidr\":\"fd00::/64\"}", "subnet.cidr"},
      {"{\"cidr\":\"10.0.0.0/24\",\"gateway\":\"10.0.1.1\"}", "subnet.gateway"},
      {"{\"cidr\":\"10.0.0.0/24\",\"gateway\":\"10.0.0.0\"}", "subnet.gateway"},
      {"{\"cidr\":\"10.0.0.0/24\",\"gateway\":\"10.0.0.255\"}", "subnet.gateway"},
      {"{\"cidr\":\"10.0.0.0/24\",\"dhcp_first\":\"10.0.0.60\",\"dhcp_last\":\"10.0.0.50\"}",
       "subnet.dhcp_last"},
      {"{\"cidr\":\"10.0.0.0/"
       "24\",\"gateway\":\"10.0.0.55\",\"dhcp_first\":\"10.0.0.50\",\"dhcp_last\":\"10.0.0.60\"}",
       "subnet.dhcp_first"},
      {"{\"cidr\":\"10.0.0.0/24\",\"dhcp_first\":\"10.0.1.50\"}", "subnet.dhcp_first"},
      {"{\"cidr\":\"10.0.0.0/"
       "24\",\"reservations\":[{\"mac\":\"52:54:00:00:00:01\",\"address\":\"10.0.1.9\"}]}",
       "subnet.reservations"},
      {"{\"cidr\":\"10.0.0.0/"
       "24\",\"reservations\":[{\"mac\":\"52:54:00:00:00:01\",\"address\":\"10.0.0.1\"}]}",
       "subnet.reservations"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
    g_autoptr(WsPortGroupSubnet) given = parse_subnet(cases[i].json);
    g_autoptr(GError) error = NULL;
    Subnet s;
    g_autofree char *outcome = NULL;
    char cidr[SUBNET_TEXT_MAX], gateway[SUBNET_TEXT_MAX], first[SUBNET_TEXT_MAX], last[SUBNET_TEXT_MAX];
    if (subnet_resolve(given, &s, &error))
      outcome = g_strdup_printf("%s %s %s-%s", subnet_cidr(&s, cidr), subnet_ip(s.gateway, gateway),
                                subnet_ip(s.first, first), subnet_ip(s.last, last));
    else
      outcome = g_strdup(ws_error_field(error));
    g_test_message("%s", cases[i].json);
    g_assert_cmpstr(outcome, ==, cases[i].outcome);
  }
}

static Subnet resolved(const char *cidr)
{
  g_autofree char *json = g_strdup_printf("{\"cidr\":\"%s\"}", cidr);
  g_autoptr(WsPortGroupSubnet) given = parse_subnet(json);
  Subnet s;
  g_assert_true(subnet_resolve(given, &s, NULL));
  return s;
}

static void overlap_is_seen_from_both_sides(void)
{
  Subnet a = resolved("10.0.0.0/16"), b = resolved("10.0.5.0/24"), c = resolved("10.1.0.0/24");
  g_assert_true(subnet_overlaps(&a, &b) && subnet_overlaps(&b, &a) && subnet_overlaps(&a, &a));
  g_assert_false(subnet_overlaps(&a, &c) || subnet_overlaps(&c, &b));
}

/* ---- what programs are told ---- */

static void dnsmasq_is_told_all_of_the_subnet(void)
{
  g_autoptr(WsPortGroupSubnet) given = parse_subnet(
      "{\"cidr\":\"192.168.100.0/"
      "24\",\"dns\":[\"9.9.9.9\",\"1.1.1.1\"],\"domain\":\"lab.example\",\"lease_s\":600,"
      "\"reservations\":[{\"mac\":\"52:54:00:00:00:01\",\"address\":\"192.168.100.9\",\"hostname\":\"nine\"},"
      "{\"mac\":\"52:54:00:00:00:02\",\"address\":\"192.168.100.10\"}]}");
  Subnet s;
  g_assert_true(subnet_resolve(given, &s, NULL));
  g_autofree char *config = dhcp_config("/state", "pg-7", given, &s, 9000);
  g_assert_cmpstr(config, ==,
                  "# Made by the WinSphere host agent; changes are overwritten.\n"
                  "interface=pg-7\nexcept-interface=lo\nbind-dynamic\nno-hosts\n"
                  "pid-file=/state/pg-7.pid\ndhcp-leasefile=/state/pg-7.leases\n"
                  "dhcp-range=192.168.100.2,192.168.100.254,255.255.255.0,600\n"
                  "dhcp-lease-max=253\ndhcp-authoritative\nno-ping\n"
                  "dhcp-option=option:router,192.168.100.1\n"
                  "dhcp-option=option:mtu,9000\n"
                  "domain=lab.example\n"
                  "port=0\ndhcp-option=option:dns-server,9.9.9.9,1.1.1.1\n"
                  "dhcp-host=52:54:00:00:00:01,192.168.100.9,nine\n"
                  "dhcp-host=52:54:00:00:00:02,192.168.100.10\n");
}

static void nft_is_told_all_groups_at_once(void)
{
  NatGroup groups[] = {{"pg-1", resolved("10.0.1.0/24"), true}, {"pg-2", resolved("10.0.2.0/24"), false}};
  g_autofree char *rules = nat_ruleset(groups, 2), *none = nat_ruleset(NULL, 0);
  g_assert_cmpstr(rules, ==,
                  "add table ip winsphere\ndelete table ip winsphere\n"
                  "table ip winsphere {\n"
                  "  set ours {\n    type ifname\n    elements = { \"pg-1\", \"pg-2\" }\n  }\n"
                  "  chain postrouting {\n    type nat hook postrouting priority 100; policy accept;\n"
                  "    ip saddr 10.0.1.0/24 ip daddr != 10.0.1.0/24 oifname != \"pg-1\" masquerade\n  }\n"
                  "  chain forward {\n    type filter hook forward priority 0; policy accept;\n"
                  "    iifname \"pg-1\" ip saddr 10.0.1.0/24 oifname != @ours accept\n"
                  "    oifname \"pg-1\" ip daddr 10.0.1.0/24 ct state established,related accept\n"
                  "    iifname @ours drop\n    oifname @ours drop\n  }\n}\n");
  g_assert_cmpstr(none, ==, "add table ip winsphere\ndelete table ip winsphere\n");
}

static void leases_are_read_and_sorted(void)
{
  g_autoptr(GPtrArray) leases =
      dhcp_parse_leases("1700000600 52:54:00:00:00:02 10.0.0.20 web-2 01:52:54:00:00:00:02\n"
                        "0 52:54:00:00:00:01 10.0.0.3 * *\n"
                        "duid 00:01:00:01\n"
                        "1700000600 12345 fd00::5 six 00:01\n"
                        "garbage\n\n1700000600 52:54:00:00:00:03 10.0.0.4\n");
  g_assert_cmpuint(leases->len, ==, 2);
  const WsPortGroupLease *a = leases->pdata[0], *b = leases->pdata[1];
  g_assert_cmpstr(a->address, ==, "10.0.0.3");
  g_assert_null(a->hostname);
  g_assert_cmpint(a->expires, ==, 0);
  g_assert_cmpstr(b->mac, ==, "52:54:00:00:00:02");
  g_assert_cmpstr(b->hostname, ==, "web-2");
  g_assert_cmpint(b->expires, ==, 1700000600 * (gint64)G_USEC_PER_SEC);
  g_autoptr(GPtrArray) none = dhcp_parse_leases(NULL);
  g_assert_cmpuint(none->len, ==, 0);
}

/* ---- the database client ---- */

/* A server for one connection: waits for a request before each answer, and says what it is told to; "%ID" is the request's id. An
 * answer without an id in it is sent without waiting. */
typedef struct {
  char *directory, *path;
  int listener;
  const char *const *answers;
  GThread *thread;
} Server;

static gint64 read_request_id(int fd)
{
  GString *text = g_string_new(NULL);
  gint64 id = -1;
  char c;
  while (id < 0 && read(fd, &c, 1) == 1) {
    g_string_append_c(text, c);
    json_t *request = c == '}' ? json_loads(text->str, 0, NULL) : NULL;
    if (request && json_object_get(request, "method")) {
      id = json_integer_value(json_object_get(request, "id"));
    } else if (request)
      g_string_truncate(text, 0); /* the answer to our echo */
    json_decref(request);
  }
  g_string_free(text, TRUE);
  return id;
}

static gpointer serve(gpointer data)
{
  Server *server = data;
  int fd = accept(server->listener, NULL, NULL);
  for (const char *const *answer = server->answers; *answer; answer++) {
    g_autofree char *id =
        strstr(*answer, "%ID") ? g_strdup_printf("%" G_GINT64_FORMAT, read_request_id(fd)) : g_strdup("");
    g_auto(GStrv) parts = g_strsplit(*answer, "%ID", 2);
    g_autofree char *text = g_strjoinv(id, parts);
    const char *at =
        text; /* in small pieces: a message may come in any; a client that has seen enough may be gone */
    while (*at && send(fd, at, 1, MSG_NOSIGNAL) == 1)
      at++;
  }
  close(fd);
  return NULL;
}

static void server_start(Server *server, const char *const *answers)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  server->directory = g_dir_make_tmp("ws-ovsdb-XXXXXX", NULL);
  server->path = g_build_filename(server->directory, "db.sock", NULL);
  server->answers = answers;
  g_strlcpy(address.sun_path, server->path, sizeof address.sun_path);
  server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint(bind(server->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(listen(server->listener, 1), ==, 0);
  server->thread = g_thread_new("ovsdb", serve, server);
}

static void server_end(Server *server)
{
  g_thread_join(server->thread);
  close(server->listener);
  g_unlink(server->path);
  g_rmdir(server->directory);
  g_free(server->path);
  g_free(server->directory);
}

#define HELLO                                                                                                \
  "{\"id\":%ID,\"error\":null,\"result\":{\"Open_vSwitch\":{\"u\":{\"new\":{\"cur_cfg\":4,\"ovs_version\":"  \
  "\"3.1.0\"}}}}}"
#define ECHO "{\"id\":\"echo\",\"method\":\"echo\",\"params\":[]}"

static void client_applies_and_waits_for_the_daemon(void)
{
  static const char *const answers[] = {
      HELLO,
      ECHO, /* before the answer: must be answered, not taken for it */
      "{\"id\":%ID,\"error\":null,\"result\":[{\"count\":1},{},{\"rows\":[{\"next_cfg\":6}]}]}",
      "{\"id\":null,\"method\":\"update\",\"params\":[\"cfg\",{\"Open_vSwitch\":{\"u\":{\"new\":{\"cur_cfg\":"
      "5,\"ovs_version\":\"3.1.0\"}}}}]}",
      "{\"id\":null,\"method\":\"update\",\"params\":[\"cfg\",{\"Open_vSwitch\":{\"u\":{\"new\":{\"cur_cfg\":"
      "6,\"ovs_version\":[\"set\",[]]}}}}]}",
      "{\"id\":%ID,\"error\":null,\"result\":[{\"rows\":[{\"name\":\"vs0\",\"ports\":[\"set\",[]],\"external_"
      "ids\":[\"map\",[[\"k\",\"v\"]]]}]}]}",
      NULL};
  Server server;
  server_start(&server, answers);
  g_autoptr(GError) error = NULL;
  g_autoptr(Ovsdb) db = ovsdb_connect(server.path, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(ovsdb_version(db), ==, "3.1.0");
  json_t *results =
      ovsdb_transact_and_apply(db, json_pack("[{s:s}]", "op", "comment"), "vs0", "change", &error);
  g_assert_no_error(error);
  json_decref(results);
  static const char *const columns[] = {"name", NULL};
  json_t *rows = ovsdb_select(db, "Bridge", NULL, columns, &error);
  g_assert_no_error(error);
  json_t *row = json_array_get(rows, 0);
  g_assert_cmpstr(ovsdb_map_get(json_object_get(row, "external_ids"), "k"), ==, "v");
  g_assert_null(ovsdb_map_get(json_object_get(row, "external_ids"), "x"));
  g_assert_null(ovsdb_member(json_object_get(row, "ports"), 0));
  g_assert_nonnull(ovsdb_member(json_object_get(row, "name"), 0));
  json_decref(rows);
  server_end(&server);
}

static void refusals_of_the_server_are_told(void)
{
  static const char *const answers[] = {HELLO,
                                        "{\"id\":%ID,\"error\":null,\"result\":[{},{\"error\":\"constraint "
                                        "violation\",\"details\":\"name is taken\"}]}",
                                        "{\"id\":%ID,\"error\":\"unknown database\",\"result\":null}", NULL};
  Server server;
  server_start(&server, answers);
  g_autoptr(Ovsdb) db = ovsdb_connect(server.path, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_null(ovsdb_transact(db, json_array(), "vs0", "create", &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_ERROR);
  g_assert_cmpstr(ws_error_cause(error), ==, "constraint violation: name is taken");
  g_clear_error(&error);
  g_assert_null(ovsdb_transact(db, json_array(), "vs0", "create",
                               &error)); /* an error of the call leaves the connection alive */
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_ERROR);
  server_end(&server);
}

static void broken_server_makes_a_dead_connection(void)
{
  static const char *const cut[] = {HELLO, "{\"id\":%ID,\"error\":null,\"res", NULL};
  static const char *const garbage[] = {HELLO, "%ID}}}]", NULL};
  static const char *const gone[] = {HELLO, NULL};
  const char *const *const all[] = {cut, garbage, gone};
  for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
    Server server;
    server_start(&server, all[i]);
    g_autoptr(Ovsdb) db = ovsdb_connect(server.path, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(ovsdb_transact(db, json_array(), "vs0", "create", &error));
    g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_UNREACHABLE);
    g_clear_error(&error);
    g_assert_null(ovsdb_transact(db, json_array(), "vs0", "create", &error));
    g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_UNREACHABLE);
    g_assert_false(ovsdb_pump(db));
    server_end(&server);
  }
}

static void absent_server_is_unreachable(void)
{
  g_autoptr(GError) error = NULL;
  g_assert_null(ovsdb_connect("/nonexistent/db.sock", &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_UNREACHABLE);
  g_clear_error(&error);
  g_autofree char *longest = g_strnfill(200, 'x');
  g_assert_null(ovsdb_connect(longest, &error));
  g_assert_cmpint(ws_error_code(error), ==, WS_ERROR_SWITCH_UNREACHABLE);
}

static void firewall_lets_in_what_is_listed_and_what_the_agent_needs(void)
{
  g_autoptr(WsRpcHostFirewall) wanted = ws_rpc_host_firewall_new();
  g_autoptr(GError) error = NULL;
  static const char json[] = "{\"enabled\":true,\"rules\":[{\"source\":\"10.0.0.0/8\",\"ports\":\"22\"},{\"source\":\"2001:db8::/32\",\"protocol\":\"icmp\"},"
                             "{\"protocol\":\"any\",\"source\":\"192.0.2.7/32\"},{\"protocol\":\"udp\"}]}";
  g_autoptr(WsRpcHostFirewall) some = ws_object_parse(&ws_type_rpc_host_firewall, json, strlen(json), WS_PARSE_RPC, &error);
  g_autofree char *none = firewall_ruleset(wanted, &error), *rules = some ? firewall_ruleset(some, &error) : NULL;
  g_assert_no_error(error);
  g_assert_cmpstr(none, ==, "add table inet winsphere_host\ndelete table inet winsphere_host\n");
  const char *const *lines = (const char *const[]){"policy drop", "ip saddr 10.0.0.0/8 tcp dport 22-22 accept", "ct state established,related accept", "iif lo accept", "tcp dport 49152-49215 accept",
                                                   "ip saddr 192.0.2.7 accept", "ip6 saddr 2001:db8::/32 meta l4proto ipv6-icmp accept", "meta l4proto udp accept", NULL};
  for (; *lines; lines++)
    if (!strstr(rules, *lines))
      g_error("%s is not in %s", *lines, rules);
}

static void firewall_refuses_what_cannot_be(void)
{
  static const char *const rules[] = {"{\"ports\":\"0\"}", "{\"ports\":\"9-1\"}", "{\"ports\":\"65536\"}", "{\"protocol\":\"any\",\"ports\":\"1\"}"};
  for (guint i = 0; i < G_N_ELEMENTS(rules); i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *json = g_strdup_printf("{\"enabled\":true,\"rules\":[{},%s]}", rules[i]);
    g_autoptr(WsRpcHostFirewall) wanted = ws_object_parse(&ws_type_rpc_host_firewall, json, strlen(json), WS_PARSE_RPC, &error);
    g_assert_no_error(error);
    g_assert_null(firewall_ruleset(wanted, &error));
    g_assert_nonnull(strstr(error->message, "rules[1].ports"));
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  g_test_add_func("/host/network/subnet_is_filled_in_or_refused", subnet_is_filled_in_or_refused);
  g_test_add_func("/host/network/overlap_is_seen_from_both_sides", overlap_is_seen_from_both_sides);
  g_test_add_func("/host/network/dnsmasq_is_told_all_of_the_subnet", dnsmasq_is_told_all_of_the_subnet);
  g_test_add_func("/host/network/nft_is_told_all_groups_at_once", nft_is_told_all_groups_at_once);
  g_test_add_func("/host/network/leases_are_read_and_sorted", leases_are_read_and_sorted);
  g_test_add_func("/host/network/client_applies_and_waits_for_the_daemon",
                  client_applies_and_waits_for_the_daemon);
  g_test_add_func("/host/network/refusals_of_the_server_are_told", refusals_of_the_server_are_told);
  g_test_add_func("/host/network/broken_server_makes_a_dead_connection",
                  broken_server_makes_a_dead_connection);
  g_test_add_func("/host/network/absent_server_is_unreachable", absent_server_is_unreachable);
  g_test_add_func("/host/firewall/lets_in_what_is_listed", firewall_lets_in_what_is_listed_and_what_the_agent_needs);
  g_test_add_func("/host/firewall/refuses_what_cannot_be", firewall_refuses_what_cannot_be);
  return g_test_run();
}
