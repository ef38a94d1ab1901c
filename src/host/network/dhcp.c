// SPDX-License-Identifier: Apache-2.0
#include "host/network/dhcp.h"
#include "base/error.h"
#include "base/exec.h"
#include "base/files.h"
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 16 << 20, END_TIMEOUT_MS = 5000, END_POLL_MS = 20, START_TIMEOUT_MS = 20000 };

static char *file_of(const char *directory, const char *name, const char *suffix)
{
  return g_strdup_printf("%s/%s.%s", directory, name, suffix);
}

/* ---- configuration ---- */

/* In the configuration itself: a file of their own would be read again by dnsmasq's own user, who cannot enter our directory. */
static void add_reservations(GString *out, const WsPortGroupSubnet *given)
{
  for (guint i = 0; i < given->reservations.len; i++) {
    const WsPortGroupReservation *r = given->reservations.items[i];
    g_string_append_printf(out, "dhcp-host=%s,%s%s%s\n", r->mac, r->address, r->hostname ? "," : "",
                           r->hostname ? r->hostname : "");
  }
}

static void add_dns(GString *out, const WsPortGroupSubnet *given)
{
  if (given->dns.len == 0) /* guests ask the gateway, dnsmasq asks whom the host asks */
    return;
  g_string_append(out, "port=0\ndhcp-option=option:dns-server");
  for (guint i = 0; i < given->dns.len; i++)
    g_string_append_printf(out, ",%s", given->dns.items[i]);
  g_string_append_c(out, '\n');
}

char *dhcp_config(const char *directory, const char *name, const WsPortGroupSubnet *given,
                  const Subnet *subnet, gint64 mtu)
{
  char first[SUBNET_TEXT_MAX], last[SUBNET_TEXT_MAX], mask[SUBNET_TEXT_MAX], gateway[SUBNET_TEXT_MAX];
  GString *out = g_string_new("# Made by the WinSphere host agent; changes are overwritten.\n");
  /* bind-dynamic: the interface may go and come back with the switch. */
  g_string_append_printf(out, "interface=%s\nexcept-interface=lo\nbind-dynamic\nno-hosts\n", name);
  g_string_append_printf(out, "pid-file=%s/%s.pid\ndhcp-leasefile=%s/%s.leases\n", directory, name, directory,
                         name);
  g_string_append_printf(out, "dhcp-range=%s,%s,%s,%" G_GINT64_FORMAT "\n", subnet_ip(subnet->first, first),
                         subnet_ip(subnet->last, last), subnet_ip(subnet->mask, mask),
                         given->lease_s > 0 ? given->lease_s : 43200);
  /* no-ping: all addresses of the range are ours to give; asking first would cost each new guest 3 s. */
  g_string_append_printf(out, "dhcp-lease-max=%u\ndhcp-authoritative\nno-ping\n",
                         MIN(subnet->last - subnet->first + 1, 65536));
  /* An isolated subnet has no way out to tell of. */
  g_string_append_printf(out, "dhcp-option=option:router%s%s\n", given->nat ? "," : "",
                         given->nat ? subnet_ip(subnet->gateway, gateway) : "");
  if (mtu != 1500)
    g_string_append_printf(out, "dhcp-option=option:mtu,%" G_GINT64_FORMAT "\n", mtu);
  if (given->domain)
    g_string_append_printf(out, "domain=%s\n", given->domain);
  add_dns(out, given);
  add_reservations(out, given);
  return g_string_free(out, FALSE);
}

/* ---- the process ---- */

/* Its pid, if the process with the number in its pid file is really it; else 0. */
static pid_t find_process(const char *directory, const char *name)
{
  g_autofree char *pid_file = file_of(directory, name, "pid"), *config = file_of(directory, name, "conf");
  g_autofree char *text = ws_file_read(pid_file, 64, NULL, NULL);
  pid_t pid = text ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
  if (pid <= 1)
    return 0;
  g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
  gsize n = 0;
  g_autofree char *arguments = ws_file_read(path, 65536, &n, NULL);
  for (gsize at = 0; arguments && at < n; at += strlen(arguments + at) + 1)
    if (g_str_has_suffix(arguments + at, config))
      return pid;
  return 0;
}

bool dhcp_is_running(const char *directory, const char *name)
{
  return find_process(directory, name) != 0;
}

static bool end_process(const char *directory, const char *name, GError **error)
{
  pid_t pid = find_process(directory, name);
  if (!pid)
    return true;
  kill(pid, SIGTERM);
  for (guint waited = 0; waited < END_TIMEOUT_MS && find_process(directory, name) == pid;
       waited += END_POLL_MS)
    g_usleep(END_POLL_MS * 1000);
  if (find_process(directory, name) == pid)
    kill(pid, SIGKILL);
  for (guint waited = 0; waited < END_TIMEOUT_MS && find_process(directory, name) == pid;
       waited += END_POLL_MS)
    g_usleep(END_POLL_MS * 1000);
  return find_process(directory, name) != pid ||
         ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", "ending dnsmasq", "timeout", "10 s", NULL);
}

/* It goes into the background by itself once its sockets are open, so a start that fails is told at once. */
static bool start_process(const char *directory, const char *name, GError **error)
{
  g_autofree char *config = file_of(directory, name, "conf"),
                  *option = g_strconcat("--conf-file=", config, NULL);
  const char *argv[] = {"dnsmasq", option, NULL};
  WsExec exec = {.argv = argv, .timeout_ms = START_TIMEOUT_MS};
  return ws_exec(&exec, NULL, NULL, NULL, error);
}

bool dhcp_apply(const char *directory, const char *name, const WsPortGroupSubnet *given, const Subnet *subnet,
                gint64 mtu, GError **error)
{
  g_autofree char *path = file_of(directory, name, "conf"),
                  *config = dhcp_config(directory, name, given, subnet, mtu);
  g_autofree char *now = ws_file_read(path, MAX_FILE_BYTES, NULL, NULL);
  bool running = find_process(directory, name) != 0;
  if (running && g_strcmp0(now, config) == 0)
    return true;
  return end_process(directory, name, error) && ws_file_write(path, config, strlen(config), 0644, error) &&
         start_process(directory, name, error);
}

bool dhcp_remove(const char *directory, const char *name, GError **error)
{
  static const char *const suffixes[] = {"conf", "leases", "pid"};
  if (!end_process(directory, name, error))
    return false;
  for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
    g_autofree char *path = file_of(directory, name, suffixes[i]);
    if (unlink(path) < 0 && errno != ENOENT)
      return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  }
  return true;
}

/* ---- leases ---- */

static guint32 number_of(const char *address)
{
  struct in_addr in = {0};
  inet_pton(AF_INET, address, &in);
  return ntohl(in.s_addr);
}

static int compare_leases(gconstpointer pa, gconstpointer pb)
{
  guint32 a = number_of((*(WsPortGroupLease *const *)pa)->address),
          b = number_of((*(WsPortGroupLease *const *)pb)->address);
  return a < b ? -1 : a > b;
}

/* Lines "EXPIRY MAC ADDRESS NAME CLIENT-ID"; "*" is an unknown name, 0 never expires. What a guest sends as its name is not believed
 * to be one. */
GPtrArray *dhcp_parse_leases(const char *text)
{
  GPtrArray *leases = g_ptr_array_new_with_free_func((GDestroyNotify)ws_port_group_lease_free);
  g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
  for (char **line = lines; *line; line++) {
    g_auto(GStrv) words = g_strsplit(*line, " ", 5);
    if (g_strv_length(words) < 4 || !g_ascii_isdigit(words[0][0]) || !strchr(words[2], '.') ||
        strlen(words[1]) > 64 || strlen(words[2]) > 64)
      continue; /* "duid ..." and IPv6 */
    WsPortGroupLease *lease = ws_port_group_lease_new();
    lease->expires = g_ascii_strtoll(words[0], NULL, 10) * G_USEC_PER_SEC;
    lease->mac = g_strdup(words[1]);
    lease->address = g_strdup(words[2]);
    if (strcmp(words[3], "*") != 0 && strlen(words[3]) <= 255 && g_utf8_validate(words[3], -1, NULL))
      lease->hostname = g_strdup(words[3]);
    g_ptr_array_add(leases, lease);
  }
  g_ptr_array_sort(leases, compare_leases);
  return leases;
}

GPtrArray *dhcp_leases(const char *directory, const char *name)
{
  g_autofree char *path = file_of(directory, name, "leases");
  g_autofree char *text = ws_file_read(path, MAX_FILE_BYTES, NULL, NULL);
  return dhcp_parse_leases(text);
}
