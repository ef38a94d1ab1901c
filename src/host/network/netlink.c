// SPDX-License-Identifier: Apache-2.0
#include "host/network/netlink.h"
#include "base/error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/genetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One request with room for a few attributes. */
typedef struct {
  struct nlmsghdr head;
  char body[256];
} Request;

static void add_attribute(Request *r, unsigned short type, const void *value, gsize n)
{
  struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
  g_assert(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_LENGTH(n) <= sizeof *r);
  a->rta_type = type;
  a->rta_len = (unsigned short)RTA_LENGTH(n);
  memcpy(RTA_DATA(a), value, n);
  r->head.nlmsg_len = (guint32)(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_LENGTH(n));
}

/* Sends and waits for the kernel's answer; its error as errno, 0 when all is well. */
static int talk(int protocol, Request *r)
{
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0)
    return errno;
  r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  char answer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
  gssize n = -1;
  if (send(fd, r, r->head.nlmsg_len, 0) == (gssize)r->head.nlmsg_len)
    do
      n = recv(fd, answer, sizeof answer, 0);
    while (n < 0 && errno == EINTR);
  int result = n < 0 ? errno : 0;
  close(fd);
  const struct nlmsghdr *head = (const struct nlmsghdr *)answer;
  if (n >= (gssize)NLMSG_LENGTH(sizeof(int)) && head->nlmsg_type == NLMSG_ERROR)
    result = -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
  return result;
}

static guint index_of(const char *name, GError **error)
{
  guint index = if_nametoindex(name);
  if (!index)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", name, NULL);
  return index;
}

bool netlink_has_interface(const char *name)
{
  return if_nametoindex(name) != 0;
}

static bool failed(const char *name, const char *doing, int errnum, GError **error)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errnum));
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", name, "cause", cause, NULL);
}

bool netlink_set_up(const char *name, GError **error)
{
  guint index = index_of(name, error);
  if (!index)
    return false;
  Request r = {.head = {.nlmsg_type = RTM_NEWLINK, .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg))}};
  struct ifinfomsg *info = NLMSG_DATA(&r.head);
  *info = (struct ifinfomsg){
      .ifi_family = AF_UNSPEC, .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  int result = talk(NETLINK_ROUTE, &r);
  return result == 0 || failed(name, "set up", result, error);
}

static int change_address(guint index, guint16 type, guint16 flags, guint32 address, guint prefix)
{
  Request r = {.head = {.nlmsg_type = type,
                        .nlmsg_flags = flags,
                        .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg))}};
  struct ifaddrmsg *message = NLMSG_DATA(&r.head);
  *message = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = (guint8)prefix, .ifa_index = index};
  guint32 wire = htonl(address);
  add_attribute(&r, IFA_LOCAL, &wire, sizeof wire);
  add_attribute(&r, IFA_ADDRESS, &wire, sizeof wire);
  if (type == RTM_NEWADDR) {
    guint32 broadcast = htonl(address | (prefix < 32 ? G_MAXUINT32 >> prefix : 0));
    add_attribute(&r, IFA_BROADCAST, &broadcast, sizeof broadcast);
  }
  return talk(NETLINK_ROUTE, &r);
}

static guint prefix_of(const struct ifaddrs *a)
{
  return (guint)__builtin_popcount(
      ((const struct sockaddr_in *)(const void *)a->ifa_netmask)->sin_addr.s_addr);
}

static guint32 address_of(const struct ifaddrs *a)
{
  return ntohl(((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr.s_addr);
}

static bool is_ipv4_of(const struct ifaddrs *a, const char *name)
{
  return a->ifa_addr && a->ifa_netmask && a->ifa_addr->sa_family == AF_INET && strcmp(a->ifa_name, name) == 0;
}

bool netlink_set_address(const char *name, guint32 address, guint prefix, GError **error)
{
  struct ifaddrs *list = NULL;
  guint index = index_of(name, error);
  if (!index)
    return false;
  if (getifaddrs(&list) < 0)
    return failed(name, "list addresses", errno, error);
  for (struct ifaddrs *a = list; a; a = a->ifa_next)
    if (is_ipv4_of(a, name) && (address_of(a) != address || prefix_of(a) != prefix))
      change_address(index, RTM_DELADDR, 0, address_of(a), prefix_of(a));
  freeifaddrs(list);
  int result = change_address(index, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address, prefix);
  return result == 0 || failed(name, "set its address", result, error);
}

bool netlink_is_set(const char *name, guint32 address, guint prefix)
{
  struct ifaddrs *list = NULL;
  bool found = false;
  if (getifaddrs(&list) < 0)
    return false;
  for (struct ifaddrs *a = list; a; a = a->ifa_next)
    found |=
        is_ipv4_of(a, name) && (a->ifa_flags & IFF_UP) && address_of(a) == address && prefix_of(a) == prefix;
  freeifaddrs(list);
  return found;
}

char *netlink_addresses(const char *name)
{
  struct ifaddrs *list = NULL;
  g_autoptr(GString) text = g_string_new(NULL);
  if (getifaddrs(&list) < 0)
    return NULL;
  for (struct ifaddrs *a = list; a; a = a->ifa_next) {
    char buf[INET6_ADDRSTRLEN];
    if (!a->ifa_addr || strcmp(a->ifa_name, name) != 0)
      continue;
    const struct sockaddr_in6 *in6 = (const void *)a->ifa_addr;
    if (a->ifa_addr->sa_family == AF_INET)
      inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr, buf, sizeof buf);
    else if (a->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
      inet_ntop(AF_INET6, &in6->sin6_addr, buf, sizeof buf);
    else
      continue;
    g_string_append_printf(text, "%s%s", text->len ? ", " : "", buf);
  }
  freeifaddrs(list);
  return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

int netlink_open_events(void)
{
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

void netlink_drain_events(int fd)
{
  char buf[16384];
  while (recv(fd, buf, sizeof buf, 0) > 0 || errno == EINTR || errno == ENOBUFS)
    errno = 0;
}

bool netlink_has_ovs_datapath(void)
{
  static const char family[] = "ovs_datapath";
  Request r = {.head = {.nlmsg_type = GENL_ID_CTRL, .nlmsg_len = NLMSG_LENGTH(sizeof(struct genlmsghdr))}};
  struct genlmsghdr *genl = NLMSG_DATA(&r.head);
  *genl = (struct genlmsghdr){.cmd = CTRL_CMD_GETFAMILY, .version = 1};
  add_attribute(&r, CTRL_ATTR_FAMILY_NAME, family,
                sizeof family); /* the kernel loads the module if it has one */
  return talk(NETLINK_GENERIC, &r) == 0;
}
