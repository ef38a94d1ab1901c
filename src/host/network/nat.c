// SPDX-License-Identifier: Apache-2.0
#include "host/network/nat.h"
#include "base/error.h"
#include "base/exec.h"
#include "base/files.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TABLE "winsphere"
#define FORWARD_FILE "/proc/sys/net/ipv4/ip_forward"

/* A subnet with NAT reaches everything but our other subnets, and gets the answers; one without stays to itself. */
static void add_forward(GString *out, const NatGroup *g)
{
  char cidr[SUBNET_TEXT_MAX];
  subnet_cidr(&g->subnet, cidr);
  if (g->nat) {
    g_string_append_printf(out, "    iifname \"%s\" ip saddr %s oifname != @ours accept\n", g->interface,
                           cidr);
    g_string_append_printf(out, "    oifname \"%s\" ip daddr %s ct state established,related accept\n",
                           g->interface, cidr);
  }
}

char *nat_ruleset(const NatGroup *groups, guint n)
{
  char cidr[SUBNET_TEXT_MAX];
  /* Added and deleted, so that deleting never fails for its absence. */
  GString *out = g_string_new("add table ip " TABLE "\ndelete table ip " TABLE "\n");
  if (n == 0)
    return g_string_free(out, FALSE);
  g_string_append(out, "table ip " TABLE " {\n  set ours {\n    type ifname\n    elements = { ");
  for (guint i = 0; i < n; i++)
    g_string_append_printf(out, "%s\"%s\"", i ? ", " : "", groups[i].interface);
  g_string_append(
      out, " }\n  }\n  chain postrouting {\n    type nat hook postrouting priority 100; policy accept;\n");
  for (guint i = 0; i < n; i++)
    if (groups[i].nat)
      g_string_append_printf(out, "    ip saddr %s ip daddr != %s oifname != \"%s\" masquerade\n",
                             subnet_cidr(&groups[i].subnet, cidr), cidr, groups[i].interface);
  g_string_append(out, "  }\n  chain forward {\n    type filter hook forward priority 0; policy accept;\n");
  for (guint i = 0; i < n; i++)
    add_forward(out, &groups[i]);
  g_string_append(out, "    iifname @ours drop\n    oifname @ours drop\n  }\n}\n");
  return g_string_free(out, FALSE);
}

static bool write_forward(const char *value, GError **error)
{
  int fd = open(FORWARD_FILE, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, value, 1) == 1;
  int saved = errno;
  if (fd >= 0)
    close(fd);
  return ok || ws_fail(error, WS_ERROR_IO_ERROR, "path", FORWARD_FILE, "cause", g_strerror(saved), NULL);
}

static bool set_forwarding(bool wanted, const char *was_off_file, GError **error)
{
  g_autofree char *now = ws_file_read(FORWARD_FILE, 16, NULL, error);
  if (!now)
    return false;
  bool is_on = now[0] != '0';
  if (wanted && !is_on)
    return ws_file_write(was_off_file, "", 0, 0600, error) && write_forward("1", error);
  if (wanted || access(was_off_file, F_OK) != 0)
    return true;
  if (!write_forward("0", error))
    return false;
  unlink(was_off_file);
  return true;
}

bool nat_apply(const NatGroup *groups, guint n, const char *was_off_file, GError **error)
{
  g_autofree char *rules = nat_ruleset(groups, n);
  const char *argv[] = {"nft", "-f", "-", NULL};
  WsExec exec = {.argv = argv, .input = rules, .input_bytes = strlen(rules), .timeout_ms = 20000};
  bool nat = false;
  for (guint i = 0; i < n; i++)
    nat |= groups[i].nat;
  /* Rules first: at no moment is there forwarding without them. */
  if (!ws_exec(&exec, NULL, NULL, NULL, error)) {
    ws_error_context(error, "set the address translation");
    return false;
  }
  return set_forwarding(nat, was_off_file, error);
}
