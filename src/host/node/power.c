// SPDX-License-Identifier: Apache-2.0
/* See power.h. */
#include "host/node/power.h"
#include "base/error.h"
#include "base/exec.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PORT 9 /* what the field uses; NICs look at the payload only */
#define PACKET_BYTES 102

/* shutdown(8) comes with every init system (systemd, sysvinit, OpenRC's, busybox's). The message of systemd's is of no use here. */
bool node_power_off(bool reboot, GError **error)
{
  const char *argv[] = {"shutdown", reboot ? "-r" : "-P", "now", NULL};
  WsExec exec = {.argv = argv, .timeout_ms = 30000};
  if (ws_exec(&exec, NULL, NULL, NULL, error))
    return true;
  ws_error_context(error, reboot ? "reboot the system" : "shut the system down");
  return false;
}

bool node_magic_packet(const char *mac, guint8 *packet)
{
  guint8 address[6];
  for (guint i = 0; i < 6; i++) {
    int high = g_ascii_xdigit_value(mac[3 * i]), low = high < 0 ? -1 : g_ascii_xdigit_value(mac[3 * i + 1]);
    if (low < 0 || mac[3 * i + 2] != (i < 5 ? ':' : 0))
      return false;
    address[i] = (guint8)(high << 4 | low);
  }
  memset(packet, 0xff, 6);
  for (guint i = 1; i <= 16; i++)
    memcpy(packet + 6 * i, address, 6);
  return true;
}

/* From the network's own address, so that it leaves on that network. */
static bool send_on(const struct ifaddrs *one, const guint8 *packet)
{
  struct sockaddr_in from = *(const struct sockaddr_in *)(void *)one->ifa_addr;
  struct sockaddr_in to = from; /* the network's last address: a broadcast address of its own need not be set */
  to.sin_addr.s_addr |= ~((const struct sockaddr_in *)(void *)one->ifa_netmask)->sin_addr.s_addr;
  int yes = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  from.sin_port = 0;
  to.sin_port = htons(DISCARD_PORT);
  bool sent = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) == 0 &&
              bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
              sendto(fd, packet, PACKET_BYTES, 0, (struct sockaddr *)&to, sizeof to) == PACKET_BYTES;
  if (fd >= 0)
    close(fd);
  return sent;
}

bool node_wake(const char *mac, guint *networks, GError **error)
{
  guint8 packet[PACKET_BYTES];
  struct ifaddrs *all = NULL;
  if (!node_magic_packet(mac, packet))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "mac", "expected", "a MAC address", NULL);
  if (getifaddrs(&all) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", "the list of networks", "cause", g_strerror(errno), NULL);
  *networks = 0;
  for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
    bool usable = one->ifa_addr && one->ifa_addr->sa_family == AF_INET && (one->ifa_flags & IFF_UP) &&
                  (one->ifa_flags & IFF_BROADCAST) && one->ifa_netmask;
    *networks += usable && send_on(one, packet);
  }
  freeifaddrs(all);
  return true;
}
