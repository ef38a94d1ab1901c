// SPDX-License-Identifier: Apache-2.0
/* What the dry run of a move foretells, what it rests on, and that the record of the move keeps it beside
 * what it came to. */
#include "center-runs.h"
#include "task/task-private.h"
#include <string.h>

#define MIB ((gint64)1 << 20)

typedef struct {
  CenterRig *rig;
  const char *kind, *target, *json;
  WsMigrationForecast *forecast;
} Ask;

static void ask(void *arg)
{
  Ask *a = arg;
  g_autoptr(GError) error = NULL;
  const TaskKind *kind = task_kind_find(a->rig->center.tasks, a->kind);
  const TaskCause cause = {.user_name = "bob", .cause = "user"};
  TaskStarted started = {0};
  g_autofree char *json = g_strdup(a->json);
  void *args = ws_object_parse(kind->args_type, json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  task_start(a->rig->center.tasks, kind, rig_world_find(a->rig->world, a->target), args, &cause, true, 0,
             &started, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(started.dry_shown.name, ==, "forecast");
  a->forecast = g_steal_pointer(&started.dry_shown.object);
  g_strfreev(started.dry_steps);
  g_strfreev(started.dry_waits);
}

static WsMigrationForecast *foretold(CenterRig *rig, const char *kind, const char *target, const char *more)
{
  char host[WS_ID_TEXT_MAX];
  g_autofree char *json =
      strcmp(kind, "vm_migrate")
          ? g_strdup_printf("{%s}", more)
          : g_strdup_printf("{\"host\":\"%s\"%s%s}",
                            ws_id_format("host", rig_world_find(rig->world, "second"), host),
                            *more ? "," : "", more);
  Ask a = {rig, kind, target, json, NULL};
  center_rig_run(rig, ask, &a);
  return a.forecast;
}

/* ---- what moves before tell ---- */

typedef struct {
  CenterRig *rig;
  const char *vm;
  gint64 bytes, duration_ms, dirty;
  int result;
} Past;

static char *text_of(CenterRig *rig, const char *prefix, const char *name)
{
  char id[WS_ID_TEXT_MAX];
  return g_strdup(ws_id_format(prefix, rig_world_find(rig->world, name), id));
}

static void add_past(void *arg)
{
  const Past *p = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(p->rig->center.inventory);
  WsMigration *row = ws_migration_new();
  row->time = ws_clock_wall_us(p->rig->center.clock);
  row->vm = text_of(p->rig, "vm", p->vm);
  row->from_host = text_of(p->rig, "host", "host");
  row->to_host = text_of(p->rig, "host", "second");
  row->kind = WS_MIGRATION_KIND_HOST;
  row->result = p->result;
  row->bytes = p->bytes;
  row->duration_ms = p->duration_ms;
  row->dirty_bytes_per_s = p->dirty;
  inv_append_history(txn, row);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void moved_before(CenterRig *rig, const char *vm, gint64 bytes, gint64 duration_ms, gint64 dirty,
                         int result)
{
  Past past = {rig, vm, bytes, duration_ms, dirty, result};
  center_rig_run(rig, add_past, &past);
}

static gint64 memory_of(CenterRig *rig, const char *vm)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsVm *)inv_find(snap, &ws_type_vm, rig_world_find(rig->world, vm)))->memory_bytes;
}

static void rests_on_what_is_known(CenterRig *rig)
{
  g_autoptr(WsMigrationForecast) nothing = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(nothing->rate_basis, ==, 0);
  g_assert_cmpint(nothing->course, ==, 0);
  g_assert_cmpint(nothing->duration_s, ==, WS_INT_UNSET);
  g_assert_cmpint(nothing->passes, ==, WS_INT_UNSET);
  g_assert_cmpint(nothing->memory_max_bytes, ==, memory_of(rig, "sharer"));
  g_assert_cmpint(nothing->disk_bytes, ==, 0);

  g_autoptr(WsMigrationForecast) limited =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":16777216");
  g_assert_cmpint(limited->rate_basis, ==, WS_MIGRATION_FORECAST_RATE_BASIS_LIMIT);
  g_assert_cmpint(limited->rate_bytes_per_s, ==, 16 * MIB);
  g_assert_cmpint(limited->dirty_basis, ==, 0);
  g_assert_cmpint(limited->course, ==, 0); /* how fast it writes is not known */
  g_assert_cmpint(limited->duration_s, ==, 2 + (limited->memory_bytes + 16 * MIB - 1) / (16 * MIB));
  g_assert_cmpint(limited->duration_max_s, ==, WS_INT_UNSET);
  g_assert_cmpint(limited->downtime_ms, ==, WS_INT_UNSET);
  g_assert_cmpint(limited->downtime_max_ms, ==, 400);

  moved_before(rig, "sharer", 1024 * MIB, 12000, WS_INT_UNSET, WS_MIGRATION_RESULT_DONE);
  moved_before(rig, "sharer", 1024 * MIB, 18000, 8 * MIB, WS_MIGRATION_RESULT_DONE);
  moved_before(rig, "sharer", 1024 * MIB, 34000, WS_INT_UNSET, WS_MIGRATION_RESULT_DONE);
  moved_before(rig, "sharer", 1024 * MIB, 1000, WS_INT_UNSET,
               WS_MIGRATION_RESULT_FAILED); /* tells nothing, as the next */
  moved_before(rig, "sharer", 1 * MIB, 10, WS_INT_UNSET, WS_MIGRATION_RESULT_DONE);
  g_autoptr(WsMigrationForecast) logged = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(logged->rate_basis, ==, WS_MIGRATION_FORECAST_RATE_BASIS_LOG);
  g_assert_cmpint(logged->rate_bytes_per_s, ==,
                  64 * MIB); /* in the middle: 1 GiB in 16 s and what is around it */
  g_assert_cmpint(logged->dirty_basis, ==, WS_MIGRATION_FORECAST_DIRTY_BASIS_LOG);
  g_assert_cmpint(logged->dirty_bytes_per_s, ==, 8 * MIB);
  g_assert_cmpint(logged->course, ==, WS_MIGRATION_FORECAST_COURSE_CONVERGES);
  g_assert_cmpint(logged->downtime_max_ms, <=, 400);
  g_assert_cmpint(logged->downtime_ms, >, 100);

  g_autoptr(WsMigrationForecast) endless =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":4194304,\"strategy\":\"fast\"");
  g_assert_cmpint(endless->course, ==, WS_MIGRATION_FORECAST_COURSE_NEVER_ENDS);
  g_assert_cmpint(endless->duration_s, ==, WS_INT_UNSET);
  g_autoptr(WsMigrationForecast) slowed =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":4194304");
  g_assert_cmpint(slowed->course, ==, WS_MIGRATION_FORECAST_COURSE_SLOWED);
  g_autoptr(WsMigrationForecast) post =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":4194304,\"strategy\":\"post_copy\"");
  g_assert_cmpint(post->course, ==, WS_MIGRATION_FORECAST_COURSE_POST_COPY);
}

static void what_is_not_known_is_said(void)
{
  runs_on_site(rests_on_what_is_known, "what a forecast rests on");
}

/* ---- NICs ---- */

static void add_nic(WsHost *host, const char *name, const char *address, gint64 speed_mbps,
                    const char *master)
{
  WsHostNic *nic = ws_host_nic_new();
  nic->name = g_strdup(name);
  nic->kind = speed_mbps ? WS_HOST_NIC_KIND_PHYSICAL : WS_HOST_NIC_KIND_BRIDGE;
  nic->speed_mbps = speed_mbps ? speed_mbps : WS_INT_UNSET;
  nic->master = g_strdup(master);
  if (address)
    ws_array_add(&nic->addresses, g_strdup(address));
  ws_array_add(&host->facts->nics, nic);
}

static void give_nics(void *object)
{
  WsHost *host = object;
  g_free(host->address);
  host->address = g_strdup("192.0.2.7");
  add_nic(host, "eno1", "192.0.2.7/24", 1000, NULL);
  add_nic(host, "br0", "198.51.100.7/24", 0, NULL);
  add_nic(host, "eno2", NULL, 10000, "br0");
}

static void fill_cluster(WsCluster *cluster)
{
  cluster->migration = ws_cluster_migration_new();
  cluster->migration->network = g_strdup("198.51.100.0/24");
}

static void goes_by_nics(CenterRig *rig)
{
  center_rig_settle(rig);
  center_rig_edit(rig, &ws_type_host, "host", give_nics);
  center_rig_edit(rig, &ws_type_host, "second", give_nics);
  g_autoptr(WsMigrationForecast) plain = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(plain->rate_basis, ==, WS_MIGRATION_FORECAST_RATE_BASIS_NIC);
  g_assert_cmpint(plain->rate_bytes_per_s, ==, 112500000);
  g_autoptr(WsMigrationForecast) limited =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":1000000000");
  g_assert_cmpint(limited->rate_basis, ==,
                  WS_MIGRATION_FORECAST_RATE_BASIS_NIC); /* which does not carry that much */
  center_rig_make_cluster(rig, "fast", 0, 2, fill_cluster);
  g_autoptr(WsMigrationForecast) bridged = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(bridged->rate_bytes_per_s, ==,
                  1125000000); /* by the bridge in the cluster's migration network */
}

static void slower_nic_of_the_network_counts(void)
{
  runs_on_site(goes_by_nics, "forecast by NICs");
}

/* ---- what stands still, what is off ---- */

static void without_writes(CenterRig *rig)
{
  g_autoptr(WsMigrationForecast) off =
      foretold(rig, "vm_migrate", "resting", "\"bandwidth_bytes_per_s\":16777216");
  g_assert_cmpint(off->course, ==, WS_MIGRATION_FORECAST_COURSE_COPIED);
  g_assert_cmpint(off->memory_max_bytes, ==, 0);
  g_assert_cmpint(off->downtime_ms, ==, WS_INT_UNSET);
  g_assert_cmpint(off->duration_s, ==, 2 + (off->disk_bytes + 16 * MIB - 1) / (16 * MIB));
  g_autoptr(WsMigrationForecast) still =
      foretold(rig, "vm_migrate", "still", "\"bandwidth_bytes_per_s\":16777216");
  g_assert_cmpint(still->course, ==, WS_MIGRATION_FORECAST_COURSE_COPIED);
  g_assert_cmpint(still->memory_max_bytes, ==, memory_of(rig, "still"));
  g_assert_cmpint(still->downtime_ms, ==, WS_INT_UNSET); /* a person paused it */
  g_autofree char *pool = text_of(rig, "pool", "idle_pool");
  g_autofree char *there = g_strdup_printf("\"pool\":\"%s\",\"bandwidth_bytes_per_s\":1048576", pool);
  g_autoptr(WsMigrationForecast) disks = foretold(rig, "vm_migrate_storage", "running", there);
  g_assert_cmpint(disks->rate_basis, ==, WS_MIGRATION_FORECAST_RATE_BASIS_LIMIT);
  g_assert_cmpint(disks->memory_max_bytes, ==, 0);
  g_assert_cmpint(disks->downtime_max_ms, ==, 0);
}

static void what_does_not_write_is_copied_once(void)
{
  runs_on_site(without_writes, "forecast without writes");
}

/* ---- measured by its host ---- */

/* Two people open the dialog: QEMU measures one at a time. */
static void ask_twice_at_once(CenterRig *rig)
{
  char host[WS_ID_TEXT_MAX];
  g_autofree char *json = g_strdup_printf("{\"host\":\"%s\"}", ws_id_format("host", rig_world_find(rig->world, "second"), host));
  Ask a = {rig, "vm_migrate", "sharer", json, NULL}, b = a;
  ws_co_start(rig->center.loop, ask, &a);
  ws_co_start(rig->center.loop, ask, &b);
  while (!a.forecast || !b.forecast)
    center_rig_run_for(rig, 1);
  ws_migration_forecast_free(a.forecast);
  ws_migration_forecast_free(b.forecast);
}

static void measures(CenterRig *rig)
{
  HostTruth *truth = &rig->world->hosts[0];
  truth->dirty_bytes_per_s = 3 * MIB;
  moved_before(rig, "sharer", 1024 * MIB, 12000, 8 * MIB, WS_MIGRATION_RESULT_DONE);
  g_autoptr(WsMigrationForecast) said = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(said->dirty_basis, ==, WS_MIGRATION_FORECAST_DIRTY_BASIS_MEASURED);
  g_assert_cmpint(said->dirty_bytes_per_s, ==, 3 * MIB);
  truth->dirty_bytes_per_s = 5 * MIB;
  g_autoptr(WsMigrationForecast) again = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(again->dirty_bytes_per_s, ==, 3 * MIB); /* a moment ago is as good */
  g_assert_cmpuint(truth->n_measured, ==, 1);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  g_autoptr(WsMigrationForecast) later = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(later->dirty_bytes_per_s, ==, 5 * MIB);
  center_rig_run_for(rig, 600 * (gint64)G_USEC_PER_SEC);
  truth->dirty_bytes_per_s = 0; /* it cannot any more */
  g_autoptr(WsMigrationForecast) old = foretold(rig, "vm_migrate", "sharer", "");
  g_assert_cmpint(old->dirty_basis, ==, WS_MIGRATION_FORECAST_DIRTY_BASIS_LOG);
  truth->dirty_bytes_per_s = 5 * MIB;
  truth->n_measured = 0;
  g_autoptr(WsMigrationForecast) soon = foretold(rig, "vm_migrate", "sharer", ""); /* nor is that tried again at once */
  g_assert_cmpint(soon->dirty_basis, ==, WS_MIGRATION_FORECAST_DIRTY_BASIS_LOG);
  g_assert_cmpuint(truth->n_measured, ==, 0);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  ask_twice_at_once(rig);
  g_assert_cmpuint(truth->n_measured, ==, 1);
  center_rig_run_for(rig, 60 * (gint64)G_USEC_PER_SEC);
  truth->n_measured = 0;
  center_rig_do(rig, NULL, "vm_migrate", "sharer", "{'host':'@second','bandwidth_bytes_per_s':16777216}");
  center_rig_settle(rig);
  g_assert_cmpuint(truth->n_measured, ==, 0); /* a move does not wait for that */
}

static void host_measures_for_a_dry_run_alone(void)
{
  runs_on_site(measures, "forecast as measured");
}

static void is_older(CenterRig *rig)
{
  static const char *const unknown[] = {"vm.dirty_rate", NULL};
  rig->world->hosts[0].dirty_bytes_per_s = 3 * MIB;
  center_rig_link(rig, 0, false);
  host_sim_set_version(rig->hosts[0].sim, "0.0.9", unknown);
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_autoptr(WsMigrationForecast) said =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":16777216");
  g_assert_cmpint(said->dirty_basis, ==, 0);
  g_assert_cmpint(said->duration_s, >, 0);
}

static void agent_that_cannot_measure_costs_a_figure(void)
{
  runs_on_site(is_older, "forecast with an older agent");
}

/* ---- the record ---- */

static void moves(CenterRig *rig)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  g_autofree char *vm = text_of(rig, "vm", "sharer");
  const StoreWhere where[] = {{"vm", vm}};
  g_autoptr(WsMigrationForecast) said =
      foretold(rig, "vm_migrate", "sharer", "\"bandwidth_bytes_per_s\":16777216");
  center_rig_do(rig, NULL, "vm_migrate", "sharer", "{'host':'@second','bandwidth_bytes_per_s':16777216}");
  center_rig_settle(rig);
  store_query_history(rig->center.store, &ws_type_migration, where, 1, 0, 2, rows, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(rows->len, ==, 1);
  const WsMigration *row = rows->pdata[0];
  g_assert_cmpint(row->result, ==, WS_MIGRATION_RESULT_DONE);
  g_assert_cmpint(row->duration_ms, >, 0);
  g_assert_nonnull(row->forecast);
  g_assert_true(ws_migration_forecast_equal(row->forecast, said));
  center_rig_assert_no_quarrel(rig);
}

static void record_keeps_it(void)
{
  runs_on_site(moves, "forecast in the record");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/forecast/what_is_not_known_is_said", what_is_not_known_is_said);
  g_test_add_func("/center/forecast/slower_nic_of_the_network_counts", slower_nic_of_the_network_counts);
  g_test_add_func("/center/forecast/what_does_not_write_is_copied_once", what_does_not_write_is_copied_once);
  g_test_add_func("/center/forecast/host_measures_for_a_dry_run_alone", host_measures_for_a_dry_run_alone);
  g_test_add_func("/center/forecast/agent_that_cannot_measure_costs_a_figure",
                  agent_that_cannot_measure_costs_a_figure);
  g_test_add_func("/center/forecast/record_keeps_it", record_keeps_it);
  int result = g_test_run();
  runs_end();
  return result;
}
