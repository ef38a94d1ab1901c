// SPDX-License-Identifier: Apache-2.0
/* What a host says of things that are not its own is not believed: its certificate may be in somebody else's hands. And one that does not answer holds
 * few up. */
#include "center/api/view.h"
#include "center/verbs.h"
#include "center-host-private.h"
#include "center-runs.h"
#include "rpc/methods.h"

static guint n_leases(CenterRig *rig, const char *group)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsPortGroup *)inv_find(snap, &ws_type_port_group, rig_world_find(rig->world, group)))->leases.len;
}

static void say_lease(CenterRig *rig, guint host, const char *group)
{
  WsPortGroupLease lease = {.mac = (char *)"52:54:00:00:00:01", .address = (char *)"10.0.0.66"}, *leases[] = {&lease};
  WsRpcNetworkLeasesChanged params = {.port_group = rig_world_find(rig->world, group), .leases = {.len = 1, .items = leases}};
  rpc_network_leases_changed(rig->hosts[host].sim->link, &params);
  center_rig_settle(rig);
}

static void lease_addresses(CenterRig *rig)
{
  say_lease(rig, 1, "group"); /* the first host's */
  g_assert_cmpuint(n_leases(rig, "group"), ==, 0);
  say_lease(rig, 1, "far_group");
  g_assert_cmpuint(n_leases(rig, "far_group"), ==, 1);
  say_lease(rig, 0, "group");
  g_assert_cmpuint(n_leases(rig, "group"), ==, 1);
}

static void host_tells_of_its_own_networks_only(void)
{
  runs_on_site(lease_addresses, "addresses of another's network");
}

/* ---- readers of a host's logs ---- */

enum { READERS = 9 };

typedef struct {
  CenterRig *rig;
  guint begun, refused, ended;
} Readers;

static void read_log(void *arg)
{
  Readers *readers = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(readers->rig->center.inventory);
  ApiView view = {&readers->rig->center, snap, inv_find(snap, &ws_type_vm, rig_world_find(readers->rig->world, "running")), NULL};
  g_autoptr(GError) error = NULL;
  void *result = NULL;
  readers->begun++;
  if (vm_log(&view, &result, &error))
    ws_vm_log_result_free(result);
  else
    readers->refused += ws_error_code(error) == WS_ERROR_TOO_MANY_REQUESTS;
  readers->ended++;
}

static guint refused_of(CenterRig *rig, guint n)
{
  Readers readers = {.rig = rig};
  for (guint i = 0; i < n; i++)
    ws_co_start(rig->center.loop, read_log, &readers);
  g_assert_cmpuint(readers.begun, ==, n);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpuint(readers.ended, ==, n);
  return readers.refused;
}

static void read_together(CenterRig *rig)
{
  g_assert_cmpuint(refused_of(rig, READERS), ==, 1);
  g_assert_cmpuint(refused_of(rig, READERS - 1), ==, 0); /* the places are free again */
}

static void few_wait_for_one_host(void)
{
  runs_on_site(read_together, "readers of one host's logs");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/liars/host_tells_of_its_own_networks_only", host_tells_of_its_own_networks_only);
  g_test_add_func("/center/liars/few_wait_for_one_host", few_wait_for_one_host);
  int result = g_test_run();
  runs_end();
  return result;
}
