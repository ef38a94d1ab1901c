// SPDX-License-Identifier: Apache-2.0
/* What NICs are for: each rule kept and broken. */
#include "plan/check.h"
#include "plan/nics.h"

static WsHostNic *add_nic(WsHost *host, const char *name, gint64 speed_mbps)
{
  WsHostNic *nic = ws_host_nic_new();
  nic->name = g_strdup(name);
  nic->kind = WS_HOST_NIC_KIND_PHYSICAL;
  nic->link = WS_HOST_NIC_LINK_UP;
  nic->duplex = WS_HOST_NIC_DUPLEX_FULL;
  nic->speed_mbps = speed_mbps;
  ws_array_add(&host->facts->nics, nic);
  return nic;
}

static void give(WsHost *host, const char *name, int role, int second)
{
  WsHostNicRoles *roles = ws_host_nic_roles_new();
  roles->nic = g_strdup(name);
  ws_array_add(&roles->roles, role);
  if (second)
    ws_array_add(&roles->roles, second);
  ws_array_add(&host->nic_roles, roles);
}

#define ROLE(name) WS_HOST_NIC_ROLES_ROLES_##name

/* Four ports: two for management and business, two for storage, which migration uses too. */
static WsHost *good_host(void)
{
  WsHost *host = ws_host_new();
  host->name = g_strdup("h");
  host->facts = ws_host_facts_new();
  for (guint i = 0; i < 4; i++) {
    g_autofree char *name = g_strdup_printf("eth%u", i);
    add_nic(host, name, 10000);
    give(host, name, i < 2 ? ROLE(MANAGEMENT) : ROLE(STORAGE), i < 2 ? ROLE(BUSINESS) : ROLE(MIGRATION));
  }
  return host;
}

/* "rule role nic" of each warning. */
static char *warnings(WsHost *host)
{
  GString *text = g_string_new(NULL);
  plan_nics_judge(host);
  for (guint i = 0; i < host->nic_warnings.len; i++) {
    const WsHostNicWarning *w = host->nic_warnings.items[i];
    g_string_append_printf(text, "%s%s %s %s", i ? "; " : "", ws_host_nic_warning_rule_names[w->rule - 1],
                           ws_host_nic_warning_role_names[w->role - 1], w->nic ? w->nic : "-");
  }
  return g_string_free(text, FALSE);
}

#define WARNS(host, words)                   \
  do {                                       \
    g_autofree char *found = warnings(host); \
    g_assert_cmpstr(found, ==, words);       \
  } while (0)

static void good_host_is_not_warned_of(void)
{
  g_autoptr(WsHost) host = good_host(), bare = ws_host_new();
  WARNS(host, "");
  WARNS(bare, "");
  give(bare, "eth0", ROLE(STORAGE), 0); /* and nothing is known of it yet */
  WARNS(bare, "");
}

static void what_is_not_there_or_has_no_link_is_told(void)
{
  g_autoptr(WsHost) host = good_host();
  give(host, "eth9", ROLE(MIGRATION), 0);
  host->facts->nics.items[1]->link = WS_HOST_NIC_LINK_DOWN;
  WARNS(host, "link_down management eth1; one_port management -; link_down business eth1; one_port business -; absent migration eth9");
}

static void one_port_is_one_too_few(void)
{
  g_autoptr(WsHost) host = ws_host_new();
  host->facts = ws_host_facts_new();
  add_nic(host, "eth0", 10000);
  add_nic(host, "eth1", 10000);
  give(host, "eth0", ROLE(MANAGEMENT), ROLE(BUSINESS));
  give(host, "eth1", ROLE(STORAGE), ROLE(MIGRATION));
  WARNS(host, "one_port management -; one_port business -; one_port storage -"); /* migration does with one */
}

static void bond_counts_as_its_ports(void)
{
  g_autoptr(WsHost) host = ws_host_new();
  host->facts = ws_host_facts_new();
  add_nic(host, "eth0", 10000)->master = g_strdup("bond0");
  add_nic(host, "eth1", 1000)->master = g_strdup("bond0");
  add_nic(host, "bond0", 11000)->kind = WS_HOST_NIC_KIND_BOND;
  give(host, "bond0", ROLE(STORAGE), 0);
  WARNS(host, "slow storage eth1");
  give(host, "eth0", ROLE(MANAGEMENT), 0); /* the same port by another name */
  WARNS(host, "one_port management -; slow storage eth1; shared_storage storage eth0");
}

static void speed_is_judged_by_purpose(void)
{
  g_autoptr(WsHost) host = good_host();
  for (guint i = 0; i < 4; i++)
    host->facts->nics.items[i]->speed_mbps = 1000;
  WARNS(host, "slow business eth0; slow business eth1; slow storage eth2; slow storage eth3");
  host->facts->nics.items[0]->speed_mbps = 100;
  host->facts->nics.items[0]->duplex = WS_HOST_NIC_DUPLEX_HALF;
  host->facts->nics.items[2]->speed_mbps = host->facts->nics.items[3]->speed_mbps = WS_INT_UNSET; /* virtual ones do not tell */
  WARNS(host, "half_duplex management eth0; slow management eth0; half_duplex business eth0; slow business eth0; slow business eth1");
}

static void storage_shares_with_neither(void)
{
  g_autoptr(WsHost) host = good_host();
  ws_array_add(&host->nic_roles.items[2]->roles, ROLE(BUSINESS));
  WARNS(host, "shared_storage storage eth2");
}

static void change_is_told_once(void)
{
  g_autoptr(WsHost) host = good_host();
  g_assert_false(plan_nics_judge(host));
  host->facts->nics.items[0]->link = WS_HOST_NIC_LINK_DOWN;
  g_assert_true(plan_nics_judge(host));
  g_assert_false(plan_nics_judge(host));
  host->facts->nics.items[0]->link = WS_HOST_NIC_LINK_UP;
  g_assert_true(plan_nics_judge(host));
}

static void check_has_a_line_for_each_purpose(void)
{
  g_autoptr(WsHost) host = good_host();
  host->facts->nics.items[3]->speed_mbps = 1000;
  plan_nics_judge(host);
  g_autoptr(WsHostCheck) check = plan_host_check(host, NULL);
  guint n = check->lines.len;
  const WsHostCheckLine *storage = check->lines.items[n - 2], *management = check->lines.items[n - 4];
  g_assert_cmpint(storage->check, ==, WS_HOST_CHECK_LINE_CHECK_STORAGE_NICS);
  g_assert_cmpint(storage->state, ==, WS_HOST_CHECK_LINE_STATE_WARN);
  g_assert_cmpstr(storage->found, ==, "eth2 10 Gbit/s, eth3 1 Gbit/s");
  g_assert_cmpstr(storage->needed, ==, "2 x 10 Gbit/s");
  g_assert_cmpint(management->state, ==, WS_HOST_CHECK_LINE_STATE_PASS);
}

static void nic_is_named_once(void)
{
  g_autoptr(WsHost) host = good_host();
  g_assert_null(plan_nics_named_twice(host));
  give(host, "eth2", ROLE(MANAGEMENT), 0);
  g_assert_cmpstr(plan_nics_named_twice(host), ==, "eth2");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/plan/nics/" #name, name)
  ADD(good_host_is_not_warned_of);
  ADD(what_is_not_there_or_has_no_link_is_told);
  ADD(one_port_is_one_too_few);
  ADD(bond_counts_as_its_ports);
  ADD(speed_is_judged_by_purpose);
  ADD(storage_shares_with_neither);
  ADD(change_is_told_once);
  ADD(check_has_a_line_for_each_purpose);
  ADD(nic_is_named_once);
  return g_test_run();
}
