// SPDX-License-Identifier: Apache-2.0
/* A host whose agent is of another version than the manager: what both know works, what one does not know is refused by name, and people
 * are told (docs/architecture.md, Versions). */
#include "center-runs.h"
#include "center/api/view.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include <string.h>

static const WsHost *host_of(CenterRig *rig)
{
  static const WsHost *kept;
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  ws_resource_unref(kept);
  kept = (const WsHost *)ws_resource_ref(inv_find(snap, &ws_type_host, rig->hosts[0].id));
  return kept;
}

static bool is_alarmed(CenterRig *rig, const char *kind)
{
  return center_alarm_is_open(&rig->center, &ws_type_host, rig->hosts[0].id, kind);
}

static void become(CenterRig *rig, const char *version, const char *const *unknown)
{
  center_rig_link(rig, 0, false);
  host_sim_set_version(rig->hosts[0].sim, version, unknown);
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_cmpstr(host_of(rig)->agent_version, ==, version);
  g_assert_cmpint(host_of(rig)->state, ==, WS_HOST_STATE_CONNECTED);
}

/* The task fails because of this method, and nothing is left of it. */
static void assert_refused_by_name(CenterRig *rig, const char *kind, const char *target, const char *json, const char *method)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *before = center_rig_portrait(rig);
  center_rig_start(rig, kind, target, json, &error);
  g_assert_no_error(error);
  center_rig_settle(rig);
  const WsTask *task = center_rig_last_task(rig);
  g_assert_cmpint(task->state, >, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpstr(task->error->code, ==, "peer_older");
  g_assert_cmpstr(ws_map_get(&task->error->params, "what"), ==, method);
  g_autofree char *after = center_rig_portrait(rig);
  center_rig_assert_no_quarrel(rig);
  g_assert_cmpstr(before, ==, after);
}

static void serve_an_older_agent(CenterRig *rig)
{
  static const char *const unknown[] = {"vm.reset", "vm.define", "volume.clone", NULL};
  become(rig, "0.0.9", unknown);
  g_assert_true(is_alarmed(rig, "host_agent_older"));
  assert_refused_by_name(rig, "vm_reset", "running", NULL, "vm.reset");
  assert_refused_by_name(rig, "volume_clone", "volume", "{'name':'c'}", "volume.clone");
  assert_refused_by_name(rig, "vm_create", NULL, "{'name':'new','host':'@host','memory_bytes':134217728,'disks':[{'new_volume':"
                         "{'size_bytes':1048576,'pool':'@pool'}}]}", "vm.define");
  center_rig_do(rig, NULL, "vm_power_off", "running", NULL);
  center_rig_do(rig, NULL, "vm_start", "running", NULL);
  center_rig_do(rig, NULL, "volume_create", NULL, "{'name':'n','pool':'@pool','size_bytes':4194304}");

  become(rig, "0.0.9", NULL); /* a setting that it can do without keeps no VM from being changed or defined */
  host_sim_forget_start_order(rig->hosts[0].sim, true);
  center_rig_do(rig, NULL, "vm_update", "running", "{'patch':{'start_order':20}}");
  center_rig_do(rig, NULL, "vm_update", "running", "{'patch':{'memory_bytes':268435456}}");
  center_rig_do(rig, NULL, "vm_delete", "off", "{'how':'bin'}");
  center_rig_do(rig, NULL, "vm_restore", "off", NULL);
  host_sim_forget_start_order(rig->hosts[0].sim, false);

  become(rig, WS_VERSION, NULL); /* it was upgraded */
  g_assert_false(is_alarmed(rig, "host_agent_older"));
  center_rig_do(rig, NULL, "vm_reset", "running", NULL);
}

static void older_agent_does_what_it_knows(void)
{
  runs_on_site(serve_an_older_agent, "an older agent");
}

static void serve_a_newer_agent(CenterRig *rig)
{
  become(rig, "99.1", NULL);
  g_assert_true(is_alarmed(rig, "host_agent_newer"));
  g_assert_false(is_alarmed(rig, "host_agent_older"));
  center_rig_do(rig, NULL, "vm_reset", "running", NULL);
  become(rig, WS_VERSION, NULL);
  g_assert_false(is_alarmed(rig, "host_agent_newer"));
}

static void newer_agent_is_told_and_works(void)
{
  runs_on_site(serve_a_newer_agent, "a newer agent");
}

/* ---- a host whose libvirt is away ---- */

static void report_load(CenterRig *rig, bool libvirt_down)
{
  host_sim_report_load(rig->hosts[0].sim, libvirt_down);
  center_rig_run_for(rig, G_USEC_PER_SEC);
}

static void serve_without_libvirt(CenterRig *rig)
{
  report_load(rig, false);
  g_assert_false(is_alarmed(rig, "libvirt_down"));
  report_load(rig, true);
  report_load(rig, true);
  g_assert_true(is_alarmed(rig, "libvirt_down"));
  report_load(rig, false);
  g_assert_false(is_alarmed(rig, "libvirt_down"));
}

static void libvirt_away_is_an_alarm(void)
{
  runs_on_site(serve_without_libvirt, "a host without libvirt");
}

static bool pool_is_full(CenterRig *rig, bool reported)
{
  WsId pool = rig_world_find(rig->world, "pool");
  host_sim_report_pool(rig->hosts[0].sim, pool, reported);
  center_rig_run_for(rig, G_USEC_PER_SEC);
  return center_alarm_is_open(&rig->center, &ws_type_pool, pool, "pool_full");
}

static void fill_a_pool(CenterRig *rig)
{
  g_assert_false(pool_is_full(rig, false));
  g_assert_true(pool_is_full(rig, true));
  g_assert_true(pool_is_full(rig, true));
  g_assert_false(pool_is_full(rig, false));
}

static void empty_a_pool_unheard(CenterRig *rig)
{
  g_assert_true(pool_is_full(rig, true));
  center_rig_link(rig, 0, false);
  center_rig_settle(rig);
  center_rig_link(rig, 0, true);
  center_rig_settle(rig); /* it is read, and tells of no change by itself */
  g_assert_false(center_alarm_is_open(&rig->center, &ws_type_pool, rig_world_find(rig->world, "pool"), "pool_full"));
}

static void alarm_of_a_full_pool_ends_though_nobody_heard_that_it_is_not(void)
{
  runs_on_site(empty_a_pool_unheard, "a pool that is emptied unheard");
}

static void full_pool_is_an_alarm(void)
{
  runs_on_site(fill_a_pool, "a pool that is full");
}

/* ---- alarms of what is gone ---- */

static WsId volume_of(CenterRig *rig)
{
  return rig_world_find(rig->world, "volume");
}

static void open_alarms(void *arg)
{
  CenterRig *rig = arg;
  center_alarm_open(&rig->center, CENTER_MAJOR, &ws_type_volume, volume_of(rig), "left_behind");
  center_alarm_open(&rig->center, CENTER_MAJOR, &ws_type_host, rig->hosts[0].id, "libvirt_down");
  center_alarm_open(&rig->center, CENTER_MAJOR, NULL, 0, "server_certificate");
}

static void close_orphans(void *arg)
{
  center_alarms_close_orphans(&((CenterRig *)arg)->center);
}

static void delete_what_has_an_alarm(CenterRig *rig)
{
  WsId volume = volume_of(rig);
  center_rig_run(rig, open_alarms, rig);
  center_rig_run(rig, close_orphans, rig);
  g_assert_true(center_alarm_is_open(&rig->center, &ws_type_volume, volume, "left_behind"));
  center_rig_do(rig, NULL, "volume_delete", "volume", NULL);
  center_rig_run(rig, close_orphans, rig);
  g_assert_false(center_alarm_is_open(&rig->center, &ws_type_volume, volume, "left_behind"));
  g_assert_true(is_alarmed(rig, "libvirt_down"));
  g_assert_true(center_alarm_is_open(&rig->center, NULL, 0, "server_certificate"));
}

static void alarms_go_with_their_object(void)
{
  runs_on_site(delete_what_has_an_alarm, "an object with an alarm is deleted");
}

/* ---- what changes is an event ---- */

/* "what before version" of each change that was told. */
static char *changes_told(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  GString *text = g_string_new(NULL);
  g_assert_true(store_query_history(rig->center.store, &ws_type_event, NULL, 0, 0, 10000, events, &error));
  for (guint i = 0; i < events->len; i++) {
    const WsEvent *event = events->pdata[i];
    if (g_strcmp0(event->text, "host_version_changed") == 0)
      g_string_append_printf(text, "%s %s %s; ", ws_map_get(&event->params, "what"),
                             ws_map_get(&event->params, "before"), ws_map_get(&event->params, "version"));
  }
  return g_string_free(text, FALSE);
}

static void assert_told(CenterRig *rig, const char *expected)
{
  g_autofree char *text = changes_told(rig);
  g_assert_cmpstr(text, ==, expected);
}

static void upgrade_twice(CenterRig *rig)
{
  become(rig, "1.0.0", NULL); /* nothing was known: no change */
  assert_told(rig, "");
  become(rig, "1.0.1", NULL);
  assert_told(rig, "host agent 1.0.0 1.0.1; ");
  center_rig_link(rig, 0, false);
  host_sim_set_version(rig->hosts[0].sim, NULL, NULL); /* it does not say */
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  become(rig, "1.0.1", NULL);
  assert_told(rig, "host agent 1.0.0 1.0.1; ");
}

/* None becomes another word of the catalogue ("kernel" is CPU time there), and names of products stay. */
static void what_is_upgraded_has_a_name_in_chinese(void)
{
  static const char *const names[][2] = {{"operating system", "操作系统"},
                                         {"Linux kernel", "Linux 内核"},
                                         {"host agent", "主机代理"},
                                         {"libvirt", "libvirt"},
                                         {"QEMU", "QEMU"},
                                         {"Open vSwitch", "Open vSwitch"}};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *zh = ws_phrase(names[i][0], WS_LANG_ZH), *en = ws_phrase(names[i][0], WS_LANG_EN);
    g_assert_cmpstr(zh, ==, names[i][1]);
    g_assert_cmpstr(en, ==, names[i][0]);
  }
}

static void version_that_changes_is_an_event(void)
{
  runs_on_site(upgrade_twice, "upgraded");
}

/* ---- the patch history ---- */

typedef struct {
  CenterRig *rig;
  WsErrorCode expected; /* 0: it is told */
} Ask;

static void ask_in_coroutine(void *arg)
{
  Ask *ask = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(ask->rig->center.inventory);
  ApiView view = {.center = &ask->rig->center, .snap = snap, .object = inv_find(snap, &ws_type_host, ask->rig->hosts[0].id)};
  g_autoptr(GError) error = NULL;
  void *result = NULL;
  host_packages(&view, &result, &error);
  g_autoptr(WsHostPackages) packages = result;
  g_assert_cmpint(error ? ws_error_code(error) : 0, ==, ask->expected);
  if (ask->expected)
    return;
  g_assert_cmpuint(packages->changes.len, ==, 2);
  g_assert_cmpstr(packages->changes.items[0]->package, ==, "qemu-system-x86");
  g_assert_cmpstr(packages->changes.items[0]->before, ==, "1:7.2+dfsg-7");
}

static void assert_asked(CenterRig *rig, WsErrorCode expected)
{
  Ask ask = {rig, expected};
  center_rig_run(rig, ask_in_coroutine, &ask);
}

static void ask_for_packages(CenterRig *rig)
{
  static const char *const unknown[] = {"host.packages", NULL};
  assert_asked(rig, 0);
  become(rig, "0.0.9", unknown);
  assert_asked(rig, WS_ERROR_PEER_OLDER);
  center_rig_link(rig, 0, false);
  assert_asked(rig, WS_ERROR_HOST_UNREACHABLE);
  g_assert_cmpuint(rig->center.packages_asked, ==, 0);
}

static void host_tells_its_patch_history(void)
{
  runs_on_site(ask_for_packages, "patches");
}

/* ---- another protocol altogether ---- */

static bool swallow(void *carrier, GBytes *message)
{
  return true;
}

static void let_go(void *carrier, const char *reason)
{
}

static void meet_another_protocol(CenterRig *rig)
{
  static const RpcCarrier carrier = {.send = swallow, .close = let_go};
  static const char hello[] = "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":{\"protocol_min\":7,\"protocol_max\":9,"
                              "\"program\":\"winserverd 99.1\"}}";
  center_rig_link(rig, 0, false);
  center_rig_run_for(rig, G_USEC_PER_SEC);
  g_autoptr(RpcLink) link = hosts_admit(&rig->center, rig->hosts[0].id, "192.0.2.1");
  rpc_link_opened(link, &carrier, NULL);
  rpc_link_received(link, hello, strlen(hello));
  center_rig_run_for(rig, G_USEC_PER_SEC);
  g_assert_cmpint(host_of(rig)->state, ==, WS_HOST_STATE_INCOMPATIBLE);
  g_assert_nonnull(strstr(host_of(rig)->connection->reason, "7 to 9"));
  center_rig_link(rig, 0, true);
  center_rig_settle(rig);
  g_assert_cmpint(host_of(rig)->state, ==, WS_HOST_STATE_CONNECTED);
  g_assert_null(host_of(rig)->connection->reason);
}

static void host_without_a_common_protocol_is_incompatible(void)
{
  runs_on_site(meet_another_protocol, "another protocol");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/versions/older_agent_does_what_it_knows", older_agent_does_what_it_knows);
  g_test_add_func("/center/versions/newer_agent_is_told_and_works", newer_agent_is_told_and_works);
  g_test_add_func("/center/versions/libvirt_away_is_an_alarm", libvirt_away_is_an_alarm);
  g_test_add_func("/center/versions/full_pool_is_an_alarm", full_pool_is_an_alarm);
  g_test_add_func("/center/versions/alarm_of_a_full_pool_ends_though_nobody_heard_that_it_is_not", alarm_of_a_full_pool_ends_though_nobody_heard_that_it_is_not);
  g_test_add_func("/center/versions/alarms_go_with_their_object", alarms_go_with_their_object);
  g_test_add_func("/center/versions/what_is_upgraded_has_a_name_in_chinese",
                  what_is_upgraded_has_a_name_in_chinese);
  g_test_add_func("/center/versions/version_that_changes_is_an_event", version_that_changes_is_an_event);
  g_test_add_func("/center/versions/host_tells_its_patch_history", host_tells_its_patch_history);
  g_test_add_func("/center/versions/host_without_a_common_protocol_is_incompatible", host_without_a_common_protocol_is_incompatible);
  int result = g_test_run();
  runs_end();
  return result;
}
