// SPDX-License-Identifier: Apache-2.0
/* See route.h. A datagram socket that is connected has our own address, and has sent nothing. */
#include "host/storage/route.h"
#include <arpa/inet.h>
#include <glib.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_storage room;
} Address;

static const void *bytes_of(const Address *address, gsize *n)
{
  *n = address->any.sa_family == AF_INET ? sizeof address->v4.sin_addr : sizeof address->v6.sin6_addr;
  return address->any.sa_family == AF_INET ? (const void *)&address->v4.sin_addr
                                           : (const void *)&address->v6.sin6_addr;
}

static bool same_address(const struct sockaddr *given, const Address *ours)
{
  Address other = {.room = {0}};
  gsize n;
  if (!given || given->sa_family != ours->any.sa_family)
    return false;
  memcpy(&other, given, given->sa_family == AF_INET ? sizeof other.v4 : sizeof other.v6);
  const void *a = bytes_of(&other, &n), *b = bytes_of(ours, &n);
  return memcmp(a, b, n) == 0;
}

static char *device_of(const Address *ours)
{
  struct ifaddrs *all = NULL;
  char *device = NULL;
  if (getifaddrs(&all) != 0)
    return NULL;
  for (const struct ifaddrs *one = all; one && !device; one = one->ifa_next)
    if (same_address(one->ifa_addr, ours))
      device = g_strdup(one->ifa_name);
  freeifaddrs(all);
  return device;
}

static bool try_way(const struct addrinfo *to, char **device, char **source)
{
  Address ours = {.room = {0}};
  socklen_t length = sizeof ours;
  char text[INET6_ADDRSTRLEN];
  gsize n;
  if (to->ai_family != AF_INET && to->ai_family != AF_INET6)
    return false;
  int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool ok =
      fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 && getsockname(fd, &ours.any, &length) == 0;
  if (fd >= 0)
    close(fd);
  *device = ok ? device_of(&ours) : NULL;
  *source = *device && inet_ntop(ours.any.sa_family, bytes_of(&ours, &n), text, sizeof text) ? g_strdup(text)
                                                                                             : NULL;
  return *source != NULL;
}

bool route_find(const char *server, const char *port, char **device, char **source)
{
  const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
  struct addrinfo *all = NULL;
  bool found = false;
  if (getaddrinfo(server, port, &hints, &all) != 0)
    return false;
  for (const struct addrinfo *one = all; one && !found; one = one->ai_next) {
    g_clear_pointer(device, g_free);
    found = try_way(one, device, source);
  }
  freeaddrinfo(all);
  return found;
}
