// SPDX-License-Identifier: Apache-2.0
#include "plan/pool_signs.h"
#include <arpa/inet.h>
#include <string.h>

#define FAST_MBPS 10000
#define PORTS_MAX 64
#define SEEN_MAX  (2 * PORTS_MAX) /* NICs on the way to them */

#define CHECK(name) WS_POOL_FINDING_CHECK_##name
#define SIGN(name)  WS_POOL_SIGN_WORD_##name
#define GOOD        WS_POOL_FINDING_RESULT_OK
#define ADVICE      WS_POOL_FINDING_RESULT_ADVICE
#define BAD         WS_POOL_FINDING_RESULT_FAILED

static const struct {
  WsPoolFindingCheck check;
  WsPoolFindingResult result;
} signs[] = {
    [SIGN(HOST_AWAY)] = {CHECK(HOST), BAD},
    [SIGN(HOST_OLDER)] = {CHECK(HOST), ADVICE},
    [SIGN(HOST_FAILED)] = {CHECK(HOST), BAD},
    [SIGN(HOST_BUSY)] = {CHECK(HOST), ADVICE},
    [SIGN(PATH_THERE)] = {CHECK(PATH), GOOD},
    [SIGN(PATH_TO_MAKE)] = {CHECK(PATH), GOOD},
    [SIGN(PATH_TO_SHARE)] = {CHECK(PATH), ADVICE},
    [SIGN(PATH_ABSENT)] = {CHECK(PATH), BAD},
    [SIGN(PATH_REFUSED)] = {CHECK(PATH), BAD},
    [SIGN(PATH_OPEN_TO_ALL)] = {CHECK(PATH), BAD},
    [SIGN(PATH_OTHER_POOL)] = {CHECK(PATH), BAD},
    [SIGN(PATH_NO_POOL)] = {CHECK(PATH), BAD},
    [SIGN(MOUNT_DONE)] = {CHECK(MOUNT), GOOD},
    [SIGN(MOUNT_FAILED)] = {CHECK(MOUNT), BAD},
    [SIGN(MOUNT_NO_CLIENT)] = {CHECK(MOUNT), BAD},
    [SIGN(MOUNT_SILENT)] = {CHECK(MOUNT), BAD},
    [SIGN(MOUNT_OTHER)] = {CHECK(MOUNT), BAD},
    [SIGN(OPTIONS_SOFT)] = {CHECK(OPTIONS), ADVICE},
    [SIGN(OPTIONS_V3)] = {CHECK(OPTIONS), ADVICE},
    [SIGN(FILESYSTEM_KNOWN)] = {CHECK(FILESYSTEM), GOOD},
    [SIGN(FILESYSTEM_MEMORY)] = {CHECK(FILESYSTEM), ADVICE},
    [SIGN(FILESYSTEM_OVERLAY)] = {CHECK(FILESYSTEM), ADVICE},
    [SIGN(FILESYSTEM_READ_ONLY)] = {CHECK(FILESYSTEM), BAD},
    [SIGN(SPACE_FREE)] = {CHECK(SPACE), GOOD},
    [SIGN(SPACE_LOW)] = {CHECK(SPACE), ADVICE},
    [SIGN(SPACE_FULL)] = {CHECK(SPACE), BAD},
    [SIGN(WRITE_DONE)] = {CHECK(WRITE), GOOD},
    [SIGN(WRITE_FAILED)] = {CHECK(WRITE), BAD},
    [SIGN(WRITE_DIFFERS)] = {CHECK(WRITE), BAD},
    [SIGN(OWNER_KEPT)] = {CHECK(OWNER), GOOD},
    [SIGN(OWNER_SQUASHED)] = {CHECK(OWNER), BAD},
    [SIGN(RENAME_DONE)] = {CHECK(RENAME), GOOD},
    [SIGN(RENAME_FAILED)] = {CHECK(RENAME), BAD},
    [SIGN(LOCKS_KEPT)] = {CHECK(LOCKS), GOOD},
    [SIGN(LOCKS_REFUSED)] = {CHECK(LOCKS), BAD},
    [SIGN(LOCKS_IGNORED)] = {CHECK(LOCKS), BAD},
    [SIGN(DIRECT_IO_WORKS)] = {CHECK(DIRECT_IO), GOOD},
    [SIGN(DIRECT_IO_MISSING)] = {CHECK(DIRECT_IO), ADVICE},
    [SIGN(NICS_BONDED)] = {CHECK(STORAGE_NICS), GOOD},
    [SIGN(NICS_SINGLE)] = {CHECK(STORAGE_NICS), ADVICE},
    [SIGN(NICS_SLOW)] = {CHECK(STORAGE_NICS), ADVICE},
    [SIGN(NICS_SHARED)] = {CHECK(STORAGE_NICS), ADVICE},
    [SIGN(NICS_SUBNET)] = {CHECK(STORAGE_NICS), ADVICE},
    [SIGN(MTU_DIFFERS)] = {CHECK(MTU), ADVICE},
};
G_STATIC_ASSERT(G_N_ELEMENTS(signs) == SIGN(MTU_DIFFERS) + 1);

WsPoolFinding *plan_pool_finding(WsId host, WsPoolSignWord sign, const char *found)
{
  WsPoolFinding *finding = ws_pool_finding_new();
  bool known = sign > 0 && sign < G_N_ELEMENTS(signs);
  finding->host = host;
  finding->sign = known ? sign : SIGN(HOST_FAILED);
  finding->check = signs[finding->sign].check;
  finding->result = signs[finding->sign].result;
  finding->found = g_strdup(found);
  return finding;
}

/* ---- NICs ---- */

static const WsHostNic *find_nic(const WsHostFacts *facts, const char *name)
{
  for (guint i = 0; name && facts && i < facts->nics.len; i++)
    if (g_strcmp0(facts->nics.items[i]->name, name) == 0)
      return facts->nics.items[i];
  return NULL;
}

/* "10.0.0.5/24" is 10.0.0.5. */
static bool is_address(const char *with_prefix, const char *address)
{
  gsize n = strlen(address);
  return strncmp(with_prefix, address, n) == 0 && (with_prefix[n] == '/' || with_prefix[n] == 0);
}

/* The NIC with that address, and the address with its prefix length. */
static const WsHostNic *find_address(const WsHostFacts *facts, const char *address, const char **with_prefix)
{
  for (guint i = 0; address && facts && i < facts->nics.len; i++)
    for (guint j = 0; j < facts->nics.items[i]->addresses.len; j++)
      if (is_address(facts->nics.items[i]->addresses.items[j], address)) {
        *with_prefix = facts->nics.items[i]->addresses.items[j];
        return facts->nics.items[i];
      }
  return NULL;
}

static bool is_among(const WsHostNic *const *nics, guint n, const WsHostNic *nic)
{
  for (guint i = 0; i < n; i++)
    if (nics[i] == nic)
      return true;
  return false;
}

typedef struct {
  const WsHostNic *ports[PORTS_MAX];
  guint n;
  bool stand_in; /* for each other */
} Ports;

/* What cables are behind it: itself, the members of a bond, what a bridge has. Each NIC is looked at once and
 * few at all: a host may tell of thousands that are each other's masters. */
static void add_ports(const WsHostFacts *facts, const WsHostNic *nic, Ports *ports)
{
  const WsHostNic *seen[SEEN_MAX] = {nic};
  guint n = 1;
  for (guint at = 0; at < n && ports->n < PORTS_MAX; at++) {
    const WsHostNic *one = seen[at];
    if (one->kind == WS_HOST_NIC_KIND_PHYSICAL || one->kind == WS_HOST_NIC_KIND_VIRTUAL_FUNCTION) {
      ports->ports[ports->n++] = one;
      continue;
    }
    ports->stand_in = ports->stand_in || one->kind == WS_HOST_NIC_KIND_BOND;
    for (guint i = 0; i < facts->nics.len && n < SEEN_MAX; i++) {
      const WsHostNic *child = facts->nics.items[i];
      if (g_strcmp0(child->master, one->name) == 0 && !is_among(seen, n, child))
        seen[n++] = child;
    }
  }
}

static void add(WsPoolFindings *findings, const PlanPoolWay *way, WsPoolSignWord sign, const char *found)
{
  ws_array_add(&findings->findings, plan_pool_finding(way->host->id, sign, found));
}

static void judge_ports(const PlanPoolWay *way, const WsHostNic *nic, WsPoolFindings *findings)
{
  Ports ports = {.n = 0};
  g_autoptr(GString) names = g_string_new(nic->name);
  gint64 speed = G_MAXINT64;
  guint up = 0;
  add_ports(way->host->facts, nic, &ports);
  if (!ports.n)
    return; /* a switch of Open vSwitch, a VLAN: what is behind it is not told */
  for (guint i = 0; i < ports.n; i++) {
    const WsHostNic *port = ports.ports[i];
    bool down = port->link == WS_HOST_NIC_LINK_DOWN;
    up += !down;
    g_string_append_printf(names, "%s%s%s", i ? ", " : ": ", port->name, down ? " (down)" : "");
    if (!down && port->speed_mbps != WS_INT_UNSET && port->speed_mbps > 0)
      speed = MIN(speed, port->speed_mbps);
  }
  add(findings, way, ports.stand_in && up >= 2 ? SIGN(NICS_BONDED) : SIGN(NICS_SINGLE), names->str);
  if (speed < FAST_MBPS) {
    g_autofree char *found = g_strdup_printf("%s: %" G_GINT64_FORMAT " Mbit/s", nic->name, speed);
    add(findings, way, SIGN(NICS_SLOW), found);
  }
}

/* Of "10.0.0.5/24": its bytes, 4 or 16 of them, and the length of its prefix; 0: it is no address. */
static gsize read_address(const char *text, guint8 *bytes, guint64 *prefix)
{
  g_auto(GStrv) halves = g_strsplit(text, "/", 2);
  gsize n = inet_pton(AF_INET, halves[0], bytes) == 1    ? 4
            : inet_pton(AF_INET6, halves[0], bytes) == 1 ? 16
                                                         : 0;
  *prefix = halves[1] ? g_ascii_strtoull(halves[1], NULL, 10) : n * 8;
  return n;
}

static bool same_subnet(const char *a, const char *b)
{
  guint8 one[16], other[16];
  guint64 prefix, its;
  gsize n = read_address(a, one, &prefix);
  if (!n || read_address(b, other, &its) != n)
    return false;
  for (guint64 bit = 0; bit < MIN(prefix, n * 8); bit++)
    if (((one[bit / 8] ^ other[bit / 8]) >> (7 - bit % 8)) & 1)
      return false;
  return true;
}

static void judge_sharing(const PlanPoolWay *way, const WsHostNic *nic, WsPoolFindings *findings)
{
  const WsHostFacts *facts = way->host->facts;
  const char *management = NULL, *storage = NULL;
  const WsHostNic *at = find_address(facts, way->host->address, &management);
  if (at == nic)
    add(findings, way, SIGN(NICS_SHARED), nic->name);
  else if (at && find_address(facts, way->source, &storage) && same_subnet(storage, management))
    add(findings, way, SIGN(NICS_SUBNET), storage);
}

/* One finding for each host when they are not of one mind. */
static void judge_mtus(const PlanPoolWay *ways, guint n, WsPoolFindings *findings)
{
  gint64 first = WS_INT_UNSET;
  bool differ = false;
  for (int pass = 0; pass < 2 && (pass == 0 || differ); pass++)
    for (guint i = 0; i < n; i++) {
      const WsHostNic *nic = find_nic(ways[i].host->facts, ways[i].device);
      if (!nic || nic->mtu == WS_INT_UNSET)
        continue;
      first = first == WS_INT_UNSET ? nic->mtu : first;
      differ = differ || nic->mtu != first;
      if (pass == 1) {
        g_autofree char *found = g_strdup_printf("%s: %" G_GINT64_FORMAT, nic->name, nic->mtu);
        add(findings, &ways[i], SIGN(MTU_DIFFERS), found);
      }
    }
}

void plan_pool_judge_ways(const PlanPoolWay *ways, guint n, WsPoolFindings *findings)
{
  for (guint i = 0; i < n; i++) {
    const WsHostNic *nic = find_nic(ways[i].host->facts, ways[i].device);
    if (!nic)
      continue;
    judge_ports(&ways[i], nic, findings);
    judge_sharing(&ways[i], nic, findings);
  }
  judge_mtus(ways, n, findings);
}
