// SPDX-License-Identifier: Apache-2.0
#include "host/network/subnet.h"
#include "base/error.h"
#include <arpa/inet.h>
#include <string.h>

static bool bad(const char *field, const char *expected, GError **error)
{
  g_autofree char *path = g_strconcat("subnet.", field, NULL);
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", path, "expected", expected, NULL);
}

static bool parse_ip(const char *text, guint32 *address)
{
  struct in_addr in;
  if (!text || inet_pton(AF_INET, text, &in) != 1)
    return false;
  *address = ntohl(in.s_addr);
  return true;
}

static bool parse_cidr(const char *text, Subnet *s)
{
  const char *slash = text ? strchr(text, '/') : NULL;
  g_autofree char *ip = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
  guint64 prefix;
  if (!slash || !parse_ip(ip, &s->network) ||
      !g_ascii_string_to_unsigned(slash + 1, 10, 8, 30, &prefix, NULL))
    return false;
  s->prefix = (guint)prefix;
  s->mask = G_MAXUINT32 << (32 - s->prefix);
  return (s->network & ~s->mask) == 0;
}

static bool is_host(const Subnet *s, guint32 address)
{
  return (address & s->mask) == s->network && address != s->network && address != (s->network | ~s->mask);
}

/* An optional address; absent: `otherwise`. */
static bool take_ip(const Subnet *s, const char *text, guint32 otherwise, const char *field, guint32 *address,
                    GError **error)
{
  *address = otherwise;
  if (text && !parse_ip(text, address))
    return bad(field, "an IPv4 address", error);
  return is_host(s, *address) || bad(field, "a host address of the subnet", error);
}

static bool check_reservations(const WsPortGroupSubnet *given, const Subnet *s, GError **error)
{
  for (guint i = 0; i < given->reservations.len; i++) {
    guint32 address;
    if (!parse_ip(given->reservations.items[i]->address, &address) || !is_host(s, address) ||
        address == s->gateway)
      return bad("reservations", "host addresses of the subnet other than the gateway", error);
  }
  return true;
}

bool subnet_resolve(const WsPortGroupSubnet *given, Subnet *s, GError **error)
{
  *s = (Subnet){0};
  if (!parse_cidr(given->cidr, s))
    return bad("cidr", "an IPv4 network and its prefix length from 8 to 30, such as 192.168.100.0/24", error);
  if (!take_ip(s, given->gateway, s->network + 1, "gateway", &s->gateway, error) ||
      !check_reservations(given, s, error))
    return false;
  if (!given->dhcp)
    return true;
  guint32 broadcast = s->network | ~s->mask;
  /* What is left out: all behind the gateway; before it when it is the last address. */
  bool gateway_is_last = s->gateway == broadcast - 1;
  if (!take_ip(s, given->dhcp_first, gateway_is_last ? s->network + 1 : s->gateway + 1, "dhcp_first",
               &s->first, error) ||
      !take_ip(s, given->dhcp_last, gateway_is_last ? s->gateway - 1 : broadcast - 1, "dhcp_last", &s->last,
               error))
    return false;
  if (s->first > s->last)
    return bad("dhcp_last", "an address not before dhcp_first", error);
  if (s->gateway >= s->first && s->gateway <= s->last)
    return bad("dhcp_first", "a range without the gateway in it", error);
  return true;
}

bool subnet_overlaps(const Subnet *a, const Subnet *b)
{
  guint32 mask = a->mask & b->mask;
  return (a->network & mask) == (b->network & mask);
}

char *subnet_ip(guint32 address, char *buf)
{
  g_snprintf(buf, SUBNET_TEXT_MAX, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
             address & 255);
  return buf;
}

char *subnet_cidr(const Subnet *subnet, char *buf)
{
  char ip[SUBNET_TEXT_MAX];
  g_snprintf(buf, SUBNET_TEXT_MAX, "%s/%u", subnet_ip(subnet->network, ip), subnet->prefix);
  return buf;
}
