// SPDX-License-Identifier: Apache-2.0
/* What hosts found of a pool, judged; and the NICs by which they reach a server: each rule kept and broken.
 */
#include "plan/pool_signs.h"
#include <string.h>

static WsHostNic *add_nic(WsHost *host, const char *name, WsHostNicKind kind, const char *master,
                          const char *address)
{
  WsHostNic *nic = ws_host_nic_new();
  nic->name = g_strdup(name);
  nic->kind = kind;
  nic->link = WS_HOST_NIC_LINK_UP;
  nic->speed_mbps = kind == WS_HOST_NIC_KIND_PHYSICAL ? 10000 : WS_INT_UNSET;
  nic->mtu = 9000;
  nic->master = g_strdup(master);
  if (address)
    ws_array_add(&nic->addresses, g_strdup(address));
  ws_array_add(&host->facts->nics, nic);
  return nic;
}

/* Management on eth0, storage on a bond of two others in a subnet of its own. */
static WsHost *good_host(WsId id)
{
  WsHost *host = ws_host_new();
  host->id = id;
  host->address = g_strdup("10.0.0.5");
  host->facts = ws_host_facts_new();
  add_nic(host, "eth0", WS_HOST_NIC_KIND_PHYSICAL, NULL, "10.0.0.5/24");
  add_nic(host, "bond0", WS_HOST_NIC_KIND_BOND, NULL, "10.0.9.5/24");
  add_nic(host, "eth1", WS_HOST_NIC_KIND_PHYSICAL, "bond0", NULL);
  add_nic(host, "eth2", WS_HOST_NIC_KIND_PHYSICAL, "bond0", NULL);
  return host;
}

static char *judged(const PlanPoolWay *ways, guint n)
{
  g_autoptr(WsPoolFindings) findings = ws_pool_findings_new();
  GString *text = g_string_new(NULL);
  plan_pool_judge_ways(ways, n, findings);
  for (guint i = 0; i < findings->findings.len; i++) {
    const WsPoolFinding *finding = findings->findings.items[i];
    g_string_append_printf(text, "%s%s %s (%s)", i ? "; " : "",
                           ws_pool_finding_result_names[finding->result - 1],
                           ws_pool_sign_word_names[finding->sign - 1], finding->found);
  }
  return g_string_free(text, FALSE);
}

static void assert_judged(const WsHost *host, const char *device, const char *source, const char *expected)
{
  PlanPoolWay way = {host, device, source};
  g_autofree char *text = judged(&way, 1);
  g_assert_cmpstr(text, ==, expected);
}

static void bond_on_a_subnet_of_its_own_is_well(void)
{
  g_autoptr(WsHost) host = good_host(1);
  assert_judged(host, "bond0", "10.0.9.5", "ok nics_bonded (bond0: eth1, eth2)");
}

static void single_port_is_told(void)
{
  g_autoptr(WsHost) host = good_host(1);
  host->facts->nics.items[3]->link = WS_HOST_NIC_LINK_DOWN; /* one of the two hangs loose */
  assert_judged(host, "bond0", "10.0.9.5", "advice nics_single (bond0: eth1, eth2 (down))");
  add_nic(host, "eth3", WS_HOST_NIC_KIND_PHYSICAL, NULL, "10.0.8.5/24")->speed_mbps = 1000;
  assert_judged(host, "eth3", "10.0.8.5",
                "advice nics_single (eth3: eth3); advice nics_slow (eth3: 1000 Mbit/s)");
}

static void two_ports_in_a_bridge_do_not_stand_in(void)
{
  g_autoptr(WsHost) host = good_host(1);
  add_nic(host, "br0", WS_HOST_NIC_KIND_BRIDGE, NULL, "10.0.8.5/24");
  add_nic(host, "eth3", WS_HOST_NIC_KIND_PHYSICAL, "br0", NULL);
  add_nic(host, "eth4", WS_HOST_NIC_KIND_PHYSICAL, "br0", NULL);
  assert_judged(host, "br0", "10.0.8.5", "advice nics_single (br0: eth3, eth4)");
  g_free(host->facts->nics.items[1]->master);
  host->facts->nics.items[1]->master = g_strdup("br1"); /* the bond in a bridge */
  add_nic(host, "br1", WS_HOST_NIC_KIND_BRIDGE, NULL, "10.0.7.5/24");
  assert_judged(host, "br1", "10.0.7.5", "ok nics_bonded (br1: eth1, eth2)");
}

static void sharing_with_management_is_told(void)
{
  g_autoptr(WsHost) host = good_host(1);
  assert_judged(host, "eth0", "10.0.0.5", "advice nics_single (eth0: eth0); advice nics_shared (eth0)");
  g_free(host->facts->nics.items[1]->addresses.items[0]);
  host->facts->nics.items[1]->addresses.items[0] = g_strdup("10.0.0.77/24");
  assert_judged(host, "bond0", "10.0.0.77",
                "ok nics_bonded (bond0: eth1, eth2); advice nics_subnet (10.0.0.77/24)");
  g_free(host->facts->nics.items[1]->addresses.items[0]);
  host->facts->nics.items[1]->addresses.items[0] =
      g_strdup("10.0.0.130/25"); /* by its own prefix another one */
  assert_judged(host, "bond0", "10.0.0.130", "ok nics_bonded (bond0: eth1, eth2)");
}

/* What a host may tell of itself that is no estate of this world: it must not hold the manager up. */
static void masters_of_each_other_are_soon_looked_at(void)
{
  g_autoptr(WsHost) host = good_host(1);
  for (guint i = 0; i < 4092; i++)
    add_nic(host, "br0", WS_HOST_NIC_KIND_BRIDGE, "br0", NULL);
  gint64 began_us = g_get_monotonic_time();
  assert_judged(host, "br0", "10.0.8.5", "");
  g_assert_cmpint(g_get_monotonic_time() - began_us, <, G_USEC_PER_SEC); /* of hours */
  add_nic(host, "br1", WS_HOST_NIC_KIND_BRIDGE, "br2", "10.0.7.5/24");
  add_nic(host, "br2", WS_HOST_NIC_KIND_BRIDGE, "br1", NULL);
  add_nic(host, "eth3", WS_HOST_NIC_KIND_PHYSICAL, "br2", NULL);
  assert_judged(host, "br1", "10.0.7.5", "advice nics_single (br1: eth3)");
}

static void what_is_not_known_is_not_judged(void)
{
  g_autoptr(WsHost) host = good_host(1), bare = ws_host_new();
  add_nic(host, "ovs0", WS_HOST_NIC_KIND_VIRTUAL, NULL, "10.0.8.5/24");
  bare->facts = ws_host_facts_new();
  assert_judged(host, "ovs0", "10.0.8.5", "");
  assert_judged(host, "gone0", "10.0.8.5", "");
  assert_judged(host, NULL, NULL, "");
  assert_judged(bare, "eth0", "10.0.0.5", "");
}

static void mtus_are_compared(void)
{
  g_autoptr(WsHost) one = good_host(1), other = good_host(2), third = good_host(3);
  PlanPoolWay ways[] = {
      {one, "bond0", "10.0.9.5"}, {other, "bond0", "10.0.9.5"}, {third, "bond0", "10.0.9.5"}};
  g_autofree char *same = judged(ways, 3);
  g_assert_null(strstr(same, "mtu"));
  other->facts->nics.items[1]->mtu = 1500;
  g_autofree char *differ = judged(ways, 3);
  g_assert_true(g_str_has_suffix(differ, "advice mtu_differs (bond0: 9000); advice mtu_differs (bond0: "
                                         "1500); advice mtu_differs (bond0: 9000)"));
}

/* None falls through the table, and each that is not well says what to do, in both languages. */
static void every_sign_is_judged_and_told(void)
{
  for (guint sign = 1; ws_pool_sign_word_names[sign - 1]; sign++) {
    g_autoptr(WsPoolFinding) finding = plan_pool_finding(7, sign, "x");
    g_assert_cmpuint(finding->sign, ==, sign);
    g_assert_cmpuint(finding->check, >, 0);
    g_assert_cmpuint(finding->result, >, 0);
    g_assert_cmpuint(finding->host, ==, 7);
  }
  g_autoptr(WsPoolFinding) none = plan_pool_finding(7, 0, NULL), beyond = plan_pool_finding(7, 9999, NULL);
  g_assert_cmpuint(none->sign, ==, WS_POOL_SIGN_WORD_HOST_FAILED);
  g_assert_cmpuint(beyond->sign, ==, WS_POOL_SIGN_WORD_HOST_FAILED);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/plan/pool-signs/" #name, name)
  ADD(bond_on_a_subnet_of_its_own_is_well);
  ADD(single_port_is_told);
  ADD(two_ports_in_a_bridge_do_not_stand_in);
  ADD(sharing_with_management_is_told);
  ADD(masters_of_each_other_are_soon_looked_at);
  ADD(what_is_not_known_is_not_judged);
  ADD(mtus_are_compared);
  ADD(every_sign_is_judged_and_told);
  return g_test_run();
}
