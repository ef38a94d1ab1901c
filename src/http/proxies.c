// SPDX-License-Identifier: Apache-2.0
/* See proxies.h. The header is no standard of its own; RFC 7239, section 5.2 has its meaning: each proxy adds whom it was asked by, at the end. */
#include "http/proxies.h"
#include "base/error.h"
#include <gio/gio.h>
#include <string.h>

#define HOPS_MAX 32

struct Proxies {
  GPtrArray *masks; /* GInetAddressMask */
};

Proxies *proxies_new(const char *const *list, GError **error)
{
  if (!list || !*list)
    return NULL;
  g_autoptr(Proxies) proxies = g_new0(Proxies, 1);
  proxies->masks = g_ptr_array_new_with_free_func(g_object_unref);
  for (; *list; list++) {
    const char *slash = strchr(*list, '/');
    /* GLib looks at the length of an IPv6 mask with a warning only. */
    bool sane = !slash || g_ascii_string_to_unsigned(slash + 1, 10, 0, 128, NULL, NULL);
    GInetAddressMask *mask = sane ? g_inet_address_mask_new_from_string(*list, NULL) : NULL;
    if (!mask) {
      ws_fail(error, WS_ERROR_BAD_VALUE, "field", "trusted_proxies", "expected", "an IP address or a network such as 192.0.2.0/24", "cause", *list, NULL);
      return NULL;
    }
    g_ptr_array_add(proxies->masks, mask);
  }
  return g_steal_pointer(&proxies);
}

void proxies_free(Proxies *proxies)
{
  if (!proxies)
    return;
  g_ptr_array_unref(proxies->masks);
  g_free(proxies);
}

bool proxies_have(const Proxies *proxies, const char *address)
{
  g_autoptr(GInetAddress) at = proxies ? g_inet_address_new_from_string(address) : NULL;
  bool found = false;
  for (guint i = 0; at && !found && i < proxies->masks->len; i++)
    found = g_inet_address_mask_matches(proxies->masks->pdata[i], at);
  return found;
}

/* "192.0.2.7", "192.0.2.7:4711", "2001:db8::7", "[2001:db8::7]:4711", with spaces around. NULL: none of these. */
static char *plain_address(const char *text)
{
  g_autofree char *copy = g_strstrip(g_strdup(text));
  char *start = copy, *end = *copy == '[' ? strchr(copy, ']') : NULL;
  if (end) {
    start = copy + 1;
    *end = '\0';
  } else if ((end = strchr(copy, ':')) && !strchr(end + 1, ':')) {
    *end = '\0';
  }
  if (g_ascii_strncasecmp(start, "::ffff:", 7) == 0 && strchr(start, '.')) /* IPv4 on a socket of both families, as gate.c has it */
    start += 7;
  g_autoptr(GInetAddress) at = g_inet_address_new_from_string(start);
  return at ? g_inet_address_to_string(at) : NULL;
}

char *proxies_client(const Proxies *proxies, const char *peer, const char *forwarded_for)
{
  if (!forwarded_for || !proxies_have(proxies, peer))
    return NULL;
  g_auto(GStrv) hops = g_strsplit(forwarded_for, ",", 0);
  char *client = NULL;
  guint n = g_strv_length(hops);
  for (guint i = n; i > 0 && n - i < HOPS_MAX; i--) {
    char *hop = plain_address(hops[i - 1]);
    if (!hop) /* what is no address was not written by a proxy that is to be believed */
      break;
    g_free(client);
    client = hop;
    if (!proxies_have(proxies, client))
      break;
  }
  return client;
}
