// SPDX-License-Identifier: Apache-2.0
/* Which address of this host lies in the network that moves use. See move-private.h. */
#include "host/hypervisor/move-private.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int family;
  guint8 bytes[16];
  guint prefix;
} Net;

static bool parse(const char *text, Net *net)
{
  const char *slash = strchr(text, '/');
  g_autofree char *address = slash ? g_strndup(text, (gsize)(slash - text)) : g_strdup(text);
  *net = (Net){.family = strchr(address, ':') ? AF_INET6 : AF_INET};
  guint most = net->family == AF_INET ? 32 : 128;
  net->prefix = slash ? (guint)strtoul(slash + 1, NULL, 10) : most;
  return net->prefix <= most && inet_pton(net->family, address, net->bytes) == 1;
}

static bool is_in(const Net *net, const guint8 *address)
{
  guint whole = net->prefix / 8, rest = net->prefix % 8;
  guint8 mask = (guint8)(0xff00 >> rest);
  return memcmp(net->bytes, address, whole) == 0 && (rest == 0 || ((net->bytes[whole] ^ address[whole]) & mask) == 0);
}

char *virt_move_address(const char *network)
{
  Net net;
  struct ifaddrs *list = NULL;
  char text[INET6_ADDRSTRLEN];
  char *found = NULL;
  if (!parse(network, &net) || getifaddrs(&list) < 0)
    return NULL;
  for (const struct ifaddrs *at = list; at && !found; at = at->ifa_next) {
    if (!at->ifa_addr || at->ifa_addr->sa_family != net.family || !(at->ifa_flags & IFF_UP))
      continue;
    const void *address = net.family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr
                                                : (const void *)&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr;
    if (is_in(&net, address) && inet_ntop(net.family, address, text, sizeof text))
      found = g_strdup(text);
  }
  freeifaddrs(list);
  return found;
}
