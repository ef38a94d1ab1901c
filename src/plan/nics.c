// SPDX-License-Identifier: Apache-2.0
#include "plan/nics.h"
#include <string.h>

#define ROLES     4
#define PORTS_MAX 64
#define GBIT      1000 /* Mbit/s */

#define ROLE(name) WS_HOST_NIC_ROLES_ROLES_##name
#define RULE(name) WS_HOST_NIC_WARNING_RULE_##name

/* By role, from 1. */
static const struct {
  guint ports;
  gint64 speed_mbps;
} needs[ROLES + 1] = {
    [ROLE(MANAGEMENT)] = {2, 1 * GBIT},
    [ROLE(BUSINESS)] = {2, 10 * GBIT},
    [ROLE(STORAGE)] = {2, 10 * GBIT},
    [ROLE(MIGRATION)] = {1, 1 * GBIT},
};

typedef struct {
  const WsHostNic *ports[PORTS_MAX];
  guint n;
  guint n_named; /* NICs that have the purpose, also such as are not there */
} Ports;

typedef struct {
  WsHost *host;
  int role;
} Judge;

static const WsHostNic *find_nic(const WsHostFacts *facts, const char *name)
{
  for (guint i = 0; i < facts->nics.len; i++)
    if (g_strcmp0(facts->nics.items[i]->name, name) == 0)
      return facts->nics.items[i];
  return NULL;
}

static bool has_role(const WsHostNicRoles *roles, int role)
{
  for (guint i = 0; i < roles->roles.len; i++)
    if ((int)roles->roles.items[i] == role)
      return true;
  return false;
}

static void add_port(Ports *ports, const WsHostNic *nic)
{
  for (guint i = 0; i < ports->n; i++)
    if (ports->ports[i] == nic)
      return;
  if (ports->n < PORTS_MAX)
    ports->ports[ports->n++] = nic;
}

/* A bond is its members; anything else is itself. */
static void add_nic(Ports *ports, const WsHostFacts *facts, const WsHostNic *nic)
{
  guint before = ports->n;
  for (guint i = 0; nic->kind == WS_HOST_NIC_KIND_BOND && i < facts->nics.len; i++)
    if (g_strcmp0(facts->nics.items[i]->master, nic->name) == 0)
      add_port(ports, facts->nics.items[i]);
  if (ports->n == before)
    add_port(ports, nic);
}

static void find_ports(const WsHost *host, int role, Ports *ports)
{
  *ports = (Ports){.n = 0};
  for (guint i = 0; i < host->nic_roles.len; i++) {
    const WsHostNicRoles *one = host->nic_roles.items[i];
    const WsHostNic *nic = has_role(one, role) ? find_nic(host->facts, one->nic) : NULL;
    ports->n_named += has_role(one, role);
    if (nic)
      add_nic(ports, host->facts, nic);
  }
}

static void warn(const Judge *judge, int rule, const char *nic, const char *found, const char *needed)
{
  WsHostNicWarning *warning = ws_host_nic_warning_new();
  warning->rule = rule;
  warning->role = judge->role;
  warning->nic = g_strdup(nic);
  warning->found = g_strdup(found);
  warning->needed = g_strdup(needed);
  if (judge->host->nic_warnings.len < 64)
    ws_array_add(&judge->host->nic_warnings, warning);
  else
    ws_host_nic_warning_free(warning);
}

static char *speed_text(gint64 mbps)
{
  return mbps % GBIT ? g_strdup_printf("%" G_GINT64_FORMAT " Mbit/s", mbps) : g_strdup_printf("%" G_GINT64_FORMAT " Gbit/s", mbps / GBIT);
}

static void judge_port(const Judge *judge, const WsHostNic *nic)
{
  gint64 least = needs[judge->role].speed_mbps;
  bool told = nic->speed_mbps != WS_INT_UNSET && nic->speed_mbps > 0;
  if (nic->link == WS_HOST_NIC_LINK_DOWN) {
    warn(judge, RULE(LINK_DOWN), nic->name, "down", "up");
    return; /* what has no link tells no speed */
  }
  if (nic->duplex == WS_HOST_NIC_DUPLEX_HALF)
    warn(judge, RULE(HALF_DUPLEX), nic->name, "half", "full");
  if (told && nic->speed_mbps < least) {
    g_autofree char *found = speed_text(nic->speed_mbps), *at_least = speed_text(least), *needed = g_strconcat(">= ", at_least, NULL);
    warn(judge, RULE(SLOW), nic->name, found, needed);
  }
}

static void judge_absent(const Judge *judge)
{
  for (guint i = 0; i < judge->host->nic_roles.len; i++) {
    const WsHostNicRoles *one = judge->host->nic_roles.items[i];
    if (has_role(one, judge->role) && !find_nic(judge->host->facts, one->nic))
      warn(judge, RULE(ABSENT), one->nic, NULL, NULL);
  }
}

static void judge_number(const Judge *judge, const Ports *ports)
{
  guint up = 0;
  for (guint i = 0; i < ports->n; i++)
    up += ports->ports[i]->link != WS_HOST_NIC_LINK_DOWN;
  if (up >= needs[judge->role].ports || needs[judge->role].ports < 2)
    return;
  g_autofree char *found = g_strdup_printf("%u", up), *needed = g_strdup_printf(">= %u", needs[judge->role].ports);
  warn(judge, RULE(ONE_PORT), NULL, found, needed);
}

static void judge_sharing(const Judge *judge, const Ports *storage)
{
  for (int role = ROLE(MANAGEMENT); role <= ROLE(BUSINESS); role++) {
    Ports other;
    find_ports(judge->host, role, &other);
    for (guint i = 0; i < storage->n; i++)
      for (guint j = 0; j < other.n; j++)
        if (storage->ports[i] == other.ports[j])
          warn(judge, RULE(SHARED_STORAGE), storage->ports[i]->name, ws_host_nic_roles_roles_names[role - 1], "storage");
  }
}

static void judge_role(const Judge *judge)
{
  Ports ports;
  find_ports(judge->host, judge->role, &ports);
  if (!ports.n_named)
    return;
  judge_absent(judge);
  for (guint i = 0; i < ports.n; i++)
    judge_port(judge, ports.ports[i]);
  judge_number(judge, &ports);
  if (judge->role == ROLE(STORAGE))
    judge_sharing(judge, &ports);
}

static bool same_warnings(const WsHost *a, const WsHost *b)
{
  bool same = a->nic_warnings.len == b->nic_warnings.len;
  for (guint i = 0; same && i < a->nic_warnings.len; i++)
    same = ws_host_nic_warning_equal(a->nic_warnings.items[i], b->nic_warnings.items[i]);
  return same;
}

static void take_warnings(WsHost *from, WsHost *to)
{
  to->nic_warnings = from->nic_warnings;
  from->nic_warnings.items = NULL;
  from->nic_warnings.len = 0;
}

bool plan_nics_judge(WsHost *host)
{
  g_autoptr(WsHost) before = ws_host_new();
  take_warnings(host, before);
  for (int role = 1; host->facts && role <= ROLES; role++)
    judge_role(&(Judge){host, role});
  return !same_warnings(before, host);
}

/* ---- the requirements check ---- */

static void add_line(WsHostCheck *check, const WsHost *host, int role)
{
  static const int lines[ROLES + 1] = {0, WS_HOST_CHECK_LINE_CHECK_MANAGEMENT_NICS, WS_HOST_CHECK_LINE_CHECK_BUSINESS_NICS,
                                       WS_HOST_CHECK_LINE_CHECK_STORAGE_NICS, WS_HOST_CHECK_LINE_CHECK_MIGRATION_NICS};
  Ports ports;
  find_ports(host, role, &ports);
  if (!ports.n_named)
    return;
  g_autoptr(GString) found = g_string_new(NULL);
  bool warned = false;
  for (guint i = 0; i < ports.n; i++) {
    const WsHostNic *nic = ports.ports[i];
    bool told = nic->speed_mbps != WS_INT_UNSET && nic->speed_mbps > 0 && nic->link != WS_HOST_NIC_LINK_DOWN;
    g_autofree char *speed = told ? speed_text(nic->speed_mbps) : NULL;
    g_string_append_printf(found, "%s%s%s%s", i ? ", " : "", nic->name, speed ? " " : "", speed ? speed : "");
  }
  for (guint i = 0; i < host->nic_warnings.len; i++)
    warned |= (int)host->nic_warnings.items[i]->role == role;
  g_autofree char *speed = speed_text(needs[role].speed_mbps), *needed = g_strdup_printf("%u x %s", needs[role].ports, speed);
  g_string_truncate(found, MIN(found->len, 255));
  WsHostCheckLine *line = ws_host_check_line_new();
  line->check = lines[role];
  line->state = warned ? WS_HOST_CHECK_LINE_STATE_WARN : WS_HOST_CHECK_LINE_STATE_PASS;
  line->found = g_strdup(found->str);
  line->needed = g_steal_pointer(&needed);
  ws_array_add(&check->lines, line);
  check->warned += warned;
}

void plan_nics_add_lines(WsHostCheck *check, const WsHost *host)
{
  for (int role = 1; host->facts && role <= ROLES; role++)
    add_line(check, host, role);
}

const char *plan_nics_named_twice(const WsHost *host)
{
  for (guint i = 0; i < host->nic_roles.len; i++)
    for (guint j = 0; j < i; j++)
      if (strcmp(host->nic_roles.items[i]->nic, host->nic_roles.items[j]->nic) == 0)
        return host->nic_roles.items[i]->nic;
  return NULL;
}
