// SPDX-License-Identifier: Apache-2.0
#include "host/network/firewall.h"
#include "base/error.h"
#include "base/exec.h"
#include "base/files.h"
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#define TABLE "winsphere_host"
#define FILE_NAME "firewall.json"
#define MAX_FILE_BYTES (1024 * 1024)
#define MOVE_PORTS "49152-49215" /* where agents listen for each other while a VM moves (hypervisor/move.c) */

/* Priority 10: after the system's own filters, which may refuse more. Gateway ports of our subnets are called pg-N: DHCP and DNS for guests. */
static const char head[] =
    "table inet " TABLE " {\n  chain input {\n    type filter hook input priority 10; policy drop;\n"
    "    ct state established,related accept\n    iif lo accept\n"
    "    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-router-solicit, nd-router-advert, "
    "nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept\n"
    "    udp sport 67 udp dport 68 accept\n    udp sport 547 udp dport 546 accept\n"
    "    iifname \"pg-*\" udp dport { 53, 67 } accept\n    iifname \"pg-*\" tcp dport 53 accept\n"
    "    tcp dport " MOVE_PORTS " accept\n";

static bool refuse(guint at, const char *field, const char *expected, GError **error)
{
  g_autofree char *path = g_strdup_printf("rules[%u].%s", at, field);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", path, "expected", expected, NULL);
}

/* "22" or "5900-5999" as two numbers. */
static bool read_ports(const char *text, guint *first, guint *last)
{
  char *end;
  *first = *last = (guint)g_ascii_strtoull(text, &end, 10);
  if (*end == '-')
    *last = (guint)g_ascii_strtoull(end + 1, &end, 10);
  return *end == 0 && *first >= 1 && *first <= *last && *last <= 65535;
}

/* Nothing of the text that came goes into the rules, only what was read from it. */
static bool add_rule(GString *out, const WsHostFirewallRule *rule, guint at, GError **error)
{
  int protocol = (int)rule->protocol ? (int)rule->protocol : WS_HOST_FIREWALL_RULE_PROTOCOL_TCP;
  bool has_ports = protocol == WS_HOST_FIREWALL_RULE_PROTOCOL_TCP || protocol == WS_HOST_FIREWALL_RULE_PROTOCOL_UDP, is_v6 = false;
  const char *name = ws_host_firewall_rule_protocol_names[protocol - 1];
  guint first = 0, last = 0;
  if (rule->ports && !has_ports)
    return refuse(at, "ports", "ports for tcp and udp only", error);
  if (rule->ports && !read_ports(rule->ports, &first, &last))
    return refuse(at, "ports", "ports from 1 to 65535, the first before the last", error);
  g_string_append(out, "   ");
  if (rule->source) {
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(rule->source, NULL);
    if (!mask)
      return refuse(at, "source", "a network such as 10.0.0.0/8", error);
    g_autofree char *text = g_inet_address_mask_to_string(mask);
    is_v6 = g_inet_address_mask_get_family(mask) == G_SOCKET_FAMILY_IPV6;
    g_string_append_printf(out, " %s saddr %s", is_v6 ? "ip6" : "ip", text);
  }
  if (protocol == WS_HOST_FIREWALL_RULE_PROTOCOL_ICMP)
    g_string_append(out, !rule->source ? " meta l4proto { icmp, ipv6-icmp }" : is_v6 ? " meta l4proto ipv6-icmp" : " meta l4proto icmp");
  else if (rule->ports)
    g_string_append_printf(out, " %s dport %u-%u", name, first, last);
  else if (has_ports)
    g_string_append_printf(out, " meta l4proto %s", name);
  g_string_append(out, " accept\n");
  return true;
}

char *firewall_ruleset(const WsRpcHostFirewall *wanted, GError **error)
{
  /* Added and deleted, so that deleting never fails for its absence. */
  GString *out = g_string_new("add table inet " TABLE "\ndelete table inet " TABLE "\n");
  if (!wanted->enabled)
    return g_string_free(out, FALSE);
  g_string_append(out, head);
  for (guint i = 0; i < wanted->rules.len; i++)
    if (!add_rule(out, wanted->rules.items[i], i, error)) {
      g_string_free(out, TRUE);
      return NULL;
    }
  g_string_append(out, "  }\n}\n");
  return g_string_free(out, FALSE);
}

static bool put_in_place(const WsRpcHostFirewall *wanted, GError **error)
{
  const char *argv[] = {"nft", "-f", "-", NULL};
  g_autofree char *rules = firewall_ruleset(wanted, error);
  WsExec exec = {.argv = argv, .input = rules, .input_bytes = rules ? strlen(rules) : 0, .timeout_ms = 20000};
  if (!rules)
    return false;
  if (ws_exec(&exec, NULL, NULL, NULL, error))
    return true;
  ws_error_context(error, "set the host's firewall");
  return false;
}

bool firewall_apply(const char *state_dir, const WsRpcHostFirewall *wanted, GError **error)
{
  gsize n;
  g_autofree char *path = g_build_filename(state_dir, FILE_NAME, NULL);
  g_autofree char *json = ws_object_to_json(&ws_type_rpc_host_firewall, wanted, WS_WRITE_PEER, &n);
  return put_in_place(wanted, error) && ws_file_write(path, json, n, 0600, error);
}

bool firewall_restore(const char *state_dir, GError **error)
{
  gsize n;
  g_autofree char *path = g_build_filename(state_dir, FILE_NAME, NULL);
  if (access(path, F_OK) != 0)
    return true;
  g_autofree char *json = ws_file_read(path, MAX_FILE_BYTES, &n, error);
  g_autoptr(WsRpcHostFirewall) kept = json ? ws_object_parse(&ws_type_rpc_host_firewall, json, n, WS_PARSE_RPC, error) : NULL;
  return kept && (!kept->enabled || put_in_place(kept, error));
}
