// SPDX-License-Identifier: Apache-2.0
/* The kernel's messages on devices that come and go (netlink, kobject uevents). */
#include "host/node/node.h"
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KERNEL_GROUP = 1, BUFFER_BYTES = 256 << 10 };

int node_uevents_open(void)
{
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  if (fd < 0)
    return -1;
  int bytes = BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); /* a plugged dock is a burst */
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  close(fd);
  return -1;
}

/* "ACTION@PATH", then NAME=value strings, each NUL-ended. Changes of a tap or of queues are no news. */
static bool is_news(const char *message, gsize n)
{
  static const char *const subsystems[] = {"SUBSYSTEM=net",  "SUBSYSTEM=block", "SUBSYSTEM=pci",
                                           "SUBSYSTEM=usb",  "SUBSYSTEM=cpu",   "SUBSYSTEM=memory",
                                           "SUBSYSTEM=iommu"};
  if (!g_str_has_prefix(message, "add@") && !g_str_has_prefix(message, "remove@") &&
      !g_str_has_prefix(message, "change@") && !g_str_has_prefix(message, "online@") &&
      !g_str_has_prefix(message, "offline@") && !g_str_has_prefix(message, "bind@") &&
      !g_str_has_prefix(message, "unbind@"))
    return false;
  for (const char *at = message; at < message + n; at += strlen(at) + 1)
    for (guint i = 0; i < G_N_ELEMENTS(subsystems); i++)
      if (strcmp(at, subsystems[i]) == 0)
        return true;
  return false;
}

bool node_uevents_drain(int fd)
{
  char message[8192];
  bool news = false;
  for (;;) {
    struct sockaddr_nl from = {0};
    socklen_t from_bytes = sizeof from;
    gssize n = recvfrom(fd, message, sizeof message - 1, 0, (struct sockaddr *)&from, &from_bytes);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == ENOBUFS) { /* some were lost: anything may have happened */
      news = true;
      continue;
    }
    if (n <= 0)
      return news;
    message[n] = 0;
    if (from.nl_pid == 0) /* the kernel, not a program that plays one */
      news |= is_news(message, (gsize)n);
  }
}
