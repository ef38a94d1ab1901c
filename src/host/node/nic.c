// SPDX-License-Identifier: Apache-2.0
/* Network interfaces from /sys/class/net. Taps of VMs and a switch's inner ports are not hardware and not shown. */
#include "host/node/node-private.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

enum { MAX_ADDRESSES = 256 };

bool node_shows_nic(const char *root, const char *name)
{
  gint64 type = tree_read_int(root, -1, "/sys/class/net/%s/type", name);
  if (type != ARPHRD_ETHER && type != ARPHRD_INFINIBAND)
    return false;
  if (tree_has(root, "/sys/class/net/%s/tun_flags", name)) /* a tap */
    return false;
  g_autofree char *uevent = tree_read(root, "/sys/class/net/%s/uevent", name);
  return strcmp(name, "ovs-system") != 0 && strcmp(name, "ovs-netdev") != 0 &&
         !(uevent && strstr(uevent, "DEVTYPE=vxlan"));
}

static WsHostNicKind kind_of(const char *root, const char *name)
{
  g_autofree char *uevent = tree_read(root, "/sys/class/net/%s/uevent", name);
  if (tree_has(root, "/sys/class/net/%s/device/physfn", name))
    return WS_HOST_NIC_KIND_VIRTUAL_FUNCTION;
  if (tree_has(root, "/sys/class/net/%s/device", name))
    return WS_HOST_NIC_KIND_PHYSICAL;
  if (tree_has(root, "/sys/class/net/%s/bonding", name))
    return WS_HOST_NIC_KIND_BOND;
  if (tree_has(root, "/sys/class/net/%s/bridge", name))
    return WS_HOST_NIC_KIND_BRIDGE;
  if (uevent && strstr(uevent, "DEVTYPE=vlan"))
    return WS_HOST_NIC_KIND_VLAN;
  return WS_HOST_NIC_KIND_VIRTUAL;
}

static WsHostNicLink link_of(const char *root, const char *name)
{
  g_autofree char *state = tree_read(root, "/sys/class/net/%s/operstate", name);
  if (g_strcmp0(state, "up") == 0)
    return WS_HOST_NIC_LINK_UP;
  if (g_strcmp0(state, "down") == 0 || g_strcmp0(state, "lowerlayerdown") == 0 ||
      g_strcmp0(state, "notpresent") == 0)
    return WS_HOST_NIC_LINK_DOWN;
  /* Some drivers leave the state at "unknown" and tell the carrier. */
  switch (tree_read_int(root, -1, "/sys/class/net/%s/carrier", name)) {
  case 1:
    return WS_HOST_NIC_LINK_UP;
  case 0:
    return WS_HOST_NIC_LINK_DOWN;
  default:
    return WS_HOST_NIC_LINK_UNKNOWN;
  }
}

static WsHostNic *read_nic(const char *root, const char *name)
{
  WsHostNic *n = ws_host_nic_new();
  n->name = g_strdup(name);
  n->kind = kind_of(root, name);
  n->mac = tree_read(root, "/sys/class/net/%s/address", name);
  n->link = link_of(root, name);
  gint64 speed = tree_read_int(root, -1, "/sys/class/net/%s/speed", name);
  n->speed_mbps = speed > 0 && speed != 0xffffffff ? speed : WS_INT_UNSET;
  g_autofree char *duplex = tree_read(root, "/sys/class/net/%s/duplex", name);
  n->duplex = g_strcmp0(duplex, "full") == 0   ? WS_HOST_NIC_DUPLEX_FULL
              : g_strcmp0(duplex, "half") == 0 ? WS_HOST_NIC_DUPLEX_HALF
                                               : WS_HOST_NIC_DUPLEX_UNKNOWN;
  n->mtu = tree_read_int(root, WS_INT_UNSET, "/sys/class/net/%s/mtu", name);
  n->driver = tree_link_name(root, "/sys/class/net/%s/device/driver", name);
  g_autofree char *device = tree_real(root, "/sys/class/net/%s/device", name);
  n->pci_address = device ? node_pci_address_in(device) : NULL;
  gint64 node = tree_read_int(root, -1, "/sys/class/net/%s/device/numa_node", name);
  n->numa_node = node >= 0 ? node : WS_INT_UNSET;
  n->master = tree_link_name(root, "/sys/class/net/%s/master", name);
  gint64 total = tree_read_int(root, 0, "/sys/class/net/%s/device/sriov_totalvfs", name);
  n->sriov_total = total > 0 ? total : WS_INT_UNSET;
  n->sriov_vfs =
      total > 0 ? tree_read_int(root, 0, "/sys/class/net/%s/device/sriov_numvfs", name) : WS_INT_UNSET;
  return n;
}

static guint prefix_length(const guint8 *mask, gsize n)
{
  guint bits = 0;
  for (gsize i = 0; i < n; i++)
    bits += (guint)__builtin_popcount(mask[i]);
  return bits;
}

static char *address_text(const struct ifaddrs *a)
{
  char buf[INET6_ADDRSTRLEN];
  if (a->ifa_addr->sa_family == AF_INET && a->ifa_netmask) {
    const struct sockaddr_in *in = (const void *)a->ifa_addr, *mask = (const void *)a->ifa_netmask;
    inet_ntop(AF_INET, &in->sin_addr, buf, sizeof buf);
    return g_strdup_printf("%s/%u", buf, prefix_length((const void *)&mask->sin_addr, 4));
  }
  if (a->ifa_addr->sa_family == AF_INET6 && a->ifa_netmask) {
    const struct sockaddr_in6 *in = (const void *)a->ifa_addr, *mask = (const void *)a->ifa_netmask;
    if (IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr))
      return NULL;
    inet_ntop(AF_INET6, &in->sin6_addr, buf, sizeof buf);
    return g_strdup_printf("%s/%u", buf, prefix_length((const void *)&mask->sin6_addr, 16));
  }
  return NULL;
}

/* No file tells IPv4 addresses by interface: the running kernel is asked; recorded trees have none. */
static void add_addresses(WsHostFacts *facts)
{
  struct ifaddrs *list = NULL;
  if (getifaddrs(&list) < 0)
    return;
  for (struct ifaddrs *a = list; a; a = a->ifa_next)
    for (guint i = 0; a->ifa_addr && i < facts->nics.len; i++) {
      WsHostNic *nic = facts->nics.items[i];
      if (strcmp(nic->name, a->ifa_name) != 0 || nic->addresses.len == MAX_ADDRESSES)
        continue;
      char *text = address_text(a);
      if (text)
        ws_array_add(&nic->addresses, text);
    }
  freeifaddrs(list);
}

void node_read_nics(const char *root, WsHostFacts *facts)
{
  g_auto(GStrv) names = tree_list(root, "/sys/class/net");
  for (char **name = names; *name; name++)
    if (node_shows_nic(root, *name))
      ws_array_add(&facts->nics, read_nic(root, *name));
  if (*root == 0)
    add_addresses(facts);
}
