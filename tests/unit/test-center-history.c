// SPDX-License-Identifier: Apache-2.0
/* What is measured of hosts, VMs and pools is noted each 20 s and shown, what is not measured leaves gaps. */
#include "center-runs.h"
#include "center/api/view.h"
#include "center/monitor/history.h"
#include "center/verbs.h"
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define STEP_US (20 * (gint64)G_USEC_PER_SEC)

typedef struct {
  CenterRig *rig;
  double cpu_percent;
} Load;

static void set_load(void *arg)
{
  const Load *load = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(load->rig->center.inventory);
  WsHost *host = inv_edit_id(txn, &ws_type_host, rig_world_find(load->rig->world, "host"));
  ws_host_load_free(host->load);
  host->load = ws_host_load_new();
  host->load->cpu_percent = load->cpu_percent;
  for (guint i = 1; i <= 2; i++) {
    WsHostNicLoad *nic = ws_host_nic_load_new();
    nic->rx_bytes_per_s = 1000 * i;
    ws_array_add(&host->load->nics, nic);
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

typedef bool (*View)(const ApiView *view, void **result, GError **error);

static WsHistory *show(CenterRig *rig, View of, const WsType *type, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_autoptr(GError) error = NULL;
  void *result = NULL;
  ApiView view = {&rig->center, snap, inv_find(snap, type, rig_world_find(rig->world, name)), NULL};
  g_assert_nonnull(view.object);
  of(&view, &result, &error);
  g_assert_no_error(error);
  return result;
}

static const WsHistorySeries *series_of(const WsHistory *history, const char *name)
{
  for (guint i = 0; i < history->series.len; i++)
    if (strcmp(history->series.items[i]->name, name) == 0)
      return history->series.items[i];
  g_error("no series %s", name);
}

static guint n_known(const WsHistorySeries *series)
{
  guint n = 0;
  for (guint i = 0; i < series->values.len; i++)
    n += !isnan(series->values.items[i]);
  return n;
}

static void clean(CenterRig *rig)
{
  const char *names[] = {"hosts-0.ring", "vms-0.ring", "pools-0.ring", ""};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *path = g_build_filename(rig->center.config.data_dir, "history", names[i], NULL);
    g_remove(path);
  }
}

static void measure(CenterRig *rig)
{
  rig->center.history = monitor_history_new(&rig->center);
  g_assert_nonnull(rig->center.history);
  for (guint i = 1; i <= 10; i++) {
    Load load = {rig, 10 * i};
    center_rig_run(rig, set_load, &load);
    if (i == 8)
      center_rig_link(rig, 0, false); /* its load is old from now on */
    center_rig_run_for(rig, STEP_US);
  }
  g_autoptr(WsHistory) host = show(rig, host_history, &ws_type_host, "host");
  const WsHistorySeries *cpu = series_of(host, "cpu_percent"), *net = series_of(host, "net_rx_bytes_per_s");
  g_assert_cmpint(host->step_s, ==, 20);
  g_assert_cmpuint(n_known(cpu), >=, 6);
  g_assert_cmpuint(n_known(cpu), <=, 7);
  for (guint i = 0, last = 0; i < cpu->values.len; i++)
    if (!isnan(cpu->values.items[i])) {
      g_assert_cmpfloat(cpu->values.items[i], >=, 10 * (last + 1)); /* in order */
      g_assert_cmpfloat(cpu->values.items[i], <=, 70);
      g_assert_cmpfloat(net->values.items[i], ==, 3000); /* of both NICs */
      last++;
    }
  g_assert_true(isnan(cpu->values.items[cpu->values.len - 1]));
  g_autoptr(WsHistory) pool = show(rig, pool_history, &ws_type_pool, "shared_pool");
  g_assert_cmpuint(n_known(series_of(pool, "capacity_bytes")), >, 0);
  g_autoptr(WsHistory) off = show(rig, vm_history, &ws_type_vm, "off");
  g_assert_cmpuint(n_known(series_of(off, "cpu_percent")), ==, 0);
  center_rig_link(rig, 0, true);
  monitor_history_free(g_steal_pointer(&rig->center.history));
  clean(rig);
}

static void what_is_measured_is_noted_and_shown(void)
{
  runs_on_site(measure, "measured");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/history/what_is_measured_is_noted_and_shown", what_is_measured_is_noted_and_shown);
  int result = g_test_run();
  runs_end();
  return result;
}
