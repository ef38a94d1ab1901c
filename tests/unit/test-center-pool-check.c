// SPDX-License-Identifier: Apache-2.0
/* Hosts are asked whether they can use a pool (storage/check.c): all at a time, and one that is away, too
 * old, or does not answer is a finding like any other. In a dry run of making a pool or of attaching a host
 * the same is shown, and nothing is made. */
#include "center-runs.h"
#include "center/storage/storage.h"
#include <string.h>

typedef struct {
  CenterRig *rig;
  const char *pool;
  char *said; /* "host result sign" of each finding */
  gint64 took_us;
} Look;

static char *said_of(const CenterRig *rig, const WsPoolFindings *findings)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < findings->findings.len; i++) {
    const WsPoolFinding *finding = findings->findings.items[i];
    g_string_append_printf(text, "%s%s %s %s", i ? ", " : "",
                           finding->host == rig_world_find(rig->world, "host") ? "host" : "second",
                           ws_pool_finding_result_names[finding->result - 1],
                           ws_pool_sign_word_names[finding->sign - 1]);
  }
  return g_string_free(text, FALSE);
}

static void look_in_coroutine(void *arg)
{
  Look *look = arg;
  Center *center = &look->rig->center;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, rig_world_find(look->rig->world, look->pool));
  gint64 began_us = ws_clock_monotonic_us(center->clock);
  g_autoptr(WsPoolFindings) findings =
      storage_check_pool(center, pool, true, pool->hosts.items, pool->hosts.len);
  look->said = said_of(look->rig, findings);
  look->took_us = ws_clock_monotonic_us(center->clock) - began_us;
}

static gint64 assert_found(CenterRig *rig, const char *pool, const char *expected)
{
  Look look = {.rig = rig, .pool = pool};
  center_rig_run(rig, look_in_coroutine, &look);
  g_assert_cmpstr(look.said, ==, expected);
  g_free(look.said);
  return look.took_us;
}

/* ---- the verb ---- */

static void ask_all(CenterRig *rig)
{
  assert_found(rig, "pool", "host ok path_there");
  assert_found(rig, "shared_pool", "host ok path_there, second ok path_there");
  assert_found(rig, "suspended_pool", "host ok path_there");
  host_sim_delay_checks(rig->hosts[0].sim, 30 * (gint64)G_USEC_PER_SEC);
  host_sim_delay_checks(rig->hosts[1].sim, 30 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(assert_found(rig, "shared_pool", "host ok path_there, second ok path_there"), <,
                  31 * (gint64)G_USEC_PER_SEC);
  center_rig_assert_no_quarrel(rig);
}

static void hosts_are_asked_at_a_time(void)
{
  runs_on_site(ask_all, "asked");
}

static void ask_the_silent(CenterRig *rig)
{
  host_sim_delay_checks(rig->hosts[1].sim, 600 * (gint64)G_USEC_PER_SEC);
  g_assert_cmpint(assert_found(rig, "shared_pool", "host ok path_there, second failed host_failed"), <,
                  90 * (gint64)G_USEC_PER_SEC);
  center_rig_link(rig, 1, false);
  assert_found(rig, "shared_pool", "host ok path_there, second failed host_away");
}

static void one_that_does_not_answer_is_a_finding(void)
{
  runs_on_site(ask_the_silent, "silent");
}

static void ask_the_older(CenterRig *rig)
{
  static const char *const unknown[] = {"pool.check", NULL};
  center_rig_link(rig, 1, false);
  host_sim_set_version(rig->hosts[1].sim, "0.0.1", unknown);
  center_rig_link(rig, 1, true);
  center_rig_settle(rig);
  assert_found(rig, "shared_pool", "host ok path_there, second advice host_older");
}

static void older_agent_is_told_not_failed(void)
{
  runs_on_site(ask_the_older, "older");
}

/* The answer of a newer agent is taken for what is known of it. */
static void word_of_a_newer_agent_costs_no_more_than_itself(void)
{
  static const char text[] =
      "{\"signs\":[{\"sign\":\"of_the_future\",\"found\":\"x\"},{\"sign\":\"path_there\"}]}";
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcPoolCheckResult) result =
      ws_rpc_pool_check_result_parse(text, strlen(text), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(result->signs.len, ==, 2);
  g_assert_cmpint(result->signs.items[0]->sign, ==, 0);
  g_assert_cmpint(result->signs.items[1]->sign, ==, WS_POOL_SIGN_WORD_PATH_THERE);
}

/* ---- dry runs ---- */

typedef struct {
  CenterRig *rig;
  const char *kind, *target, *json;
  bool one_of_many;
  char *said, *steps, *reason;
} Dry;

static void dry_in_coroutine(void *arg)
{
  Dry *dry = arg;
  TaskEngine *tasks = dry->rig->center.tasks;
  const TaskKind *kind = task_kind_find(tasks, dry->kind);
  g_autoptr(GError) error = NULL;
  g_autofree char *host = NULL, *json = g_strdelimit(g_strdup(dry->json), "'", '"');
  char id[WS_ID_TEXT_MAX];
  const char *const names[] = {"host", "second"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *at = g_strconcat("@", names[i], NULL);
    g_auto(GStrv) parts = g_strsplit(json, at, -1);
    g_free(json);
    json = g_strjoinv(ws_id_format("host", rig_world_find(dry->rig->world, names[i]), id), parts);
  }
  void *args = ws_object_parse(kind->args_type, json, strlen(json), WS_PARSE_CREATE, &error);
  g_assert_no_error(error);
  TaskCause cause = {.user_name = "test", .cause = "user", .one_of_many = dry->one_of_many};
  TaskStarted started = {0};
  task_start(tasks, kind, dry->target ? rig_world_find(dry->rig->world, dry->target) : 0, args, &cause, true,
             0, &started, &error);
  g_assert_no_error(error);
  dry->steps = g_strjoinv(" ", started.dry_steps);
  g_strfreev(started.dry_steps);
  if (dry->one_of_many) {
    g_assert_null(started.dry_shown.name);
    return;
  }
  g_assert_cmpstr(started.dry_shown.name, ==, "check");
  g_assert_true(started.dry_shown.hosts_asked);
  started.dry_shown.in_words(started.dry_shown.object, WS_LANG_ZH);
  dry->said = said_of(dry->rig, started.dry_shown.object);
  dry->reason = g_strdup(((WsPoolFindings *)started.dry_shown.object)->findings.items[0]->reason);
  task_shown_clear(&started.dry_shown);
}

static void assert_shown(CenterRig *rig, const char *kind, const char *target, const char *json,
                         const char *expected, const char *reason)
{
  g_autofree char *before = center_rig_portrait(rig);
  Dry dry = {.rig = rig, .kind = kind, .target = target, .json = json};
  center_rig_run(rig, dry_in_coroutine, &dry);
  g_autofree char *after = center_rig_portrait(rig);
  g_assert_cmpstr(dry.said, ==, expected);
  g_assert_nonnull(strstr(dry.reason, reason));
  g_assert_cmpstr(before, ==, after);
  g_free(dry.said);
  g_free(dry.steps);
  g_free(dry.reason);
}

static void run_dry(CenterRig *rig)
{
  assert_shown(rig, "pool_create", NULL, "{'name':'n','hosts':['@host'],'path':'/pools/n'}",
               "host ok path_to_make", "目录尚不存在");
  assert_shown(rig, "pool_create", NULL,
               "{'name':'n','kind':'shared_directory','hosts':['@host','@second'],'path':'/shared/n'}",
               "host ok path_to_make, second advice path_to_share", "目录尚不存在");
  assert_shown(rig, "pool_create", NULL,
               "{'name':'n','kind':'nfs','hosts':['@second'],'nfs':{'server':'filer','export':'/vol'}}",
               "second ok path_to_make", "目录尚不存在");
  assert_shown(rig, "pool_attach", "lone_pool", "{'host':'@second'}", "second failed path_absent", "不存在");
  center_rig_assert_refused(rig, WS_ERROR_ALREADY_EXISTS, "pool_create", NULL,
                            "{'name':'n','hosts':['@host'],'path':'/pools/p'}");
  center_rig_assert_no_quarrel(rig);
}

static void dry_run_shows_findings_and_makes_nothing(void)
{
  runs_on_site(run_dry, "dry");
}

/* A batch of them would wait for each host in its turn. */
static void run_dry_among_many(CenterRig *rig)
{
  Dry dry = {.rig = rig,
             .kind = "pool_attach",
             .target = "lone_pool",
             .json = "{'host':'@second'}",
             .one_of_many = true};
  gint64 began_us = ws_clock_monotonic_us(rig->center.clock);
  host_sim_delay_checks(rig->hosts[1].sim, 30 * (gint64)G_USEC_PER_SEC);
  center_rig_run(rig, dry_in_coroutine, &dry);
  g_assert_nonnull(dry.steps);
  g_free(dry.steps);
  g_assert_cmpint(ws_clock_monotonic_us(rig->center.clock) - began_us, <, 10 * (gint64)G_USEC_PER_SEC);
}

static void one_of_many_dry_runs_asks_nobody(void)
{
  runs_on_site(run_dry_among_many, "many");
}

/* ---- others meanwhile ---- */

static void suspend_in_coroutine(void *arg)
{
  CenterRig *rig = arg;
  TaskEngine *tasks = rig->center.tasks;
  g_autoptr(GError) error = NULL;
  TaskCause cause = {.user_name = "test", .cause = "user"};
  TaskStarted started = {0};
  ws_co_sleep(5 * (gint64)G_USEC_PER_SEC); /* the dry run waits for its host */
  task_start(tasks, task_kind_find(tasks, "pool_refresh"), rig_world_find(rig->world, "lone_pool"), NULL, &cause, true, 0, &started, &error);
  g_assert_no_error(error);
  g_strfreev(started.dry_steps);
  task_start(tasks, task_kind_find(tasks, "pool_suspend"), rig_world_find(rig->world, "lone_pool"), NULL, &cause, true, 0, &started, &error);
  g_assert_no_error(error);
  g_strfreev(started.dry_steps);
}

static void run_slowly(CenterRig *rig)
{
  host_sim_delay_checks(rig->hosts[1].sim, 30 * (gint64)G_USEC_PER_SEC);
  ws_co_start(rig->center.loop, suspend_in_coroutine, rig);
  assert_shown(rig, "pool_attach", "lone_pool", "{'host':'@second'}", "second failed path_absent", "不存在");
  center_rig_assert_no_quarrel(rig);
}

static void dry_run_that_waits_holds_nobody_up(void)
{
  runs_on_site(run_slowly, "slow");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
#define ADD(name) g_test_add_func("/center/pool-check/" #name, name)
  ADD(hosts_are_asked_at_a_time);
  ADD(one_that_does_not_answer_is_a_finding);
  ADD(older_agent_is_told_not_failed);
  ADD(word_of_a_newer_agent_costs_no_more_than_itself);
  ADD(dry_run_shows_findings_and_makes_nothing);
  ADD(one_of_many_dry_runs_asks_nobody);
  ADD(dry_run_that_waits_holds_nobody_up);
  int result = g_test_run();
  runs_end();
  return result;
}
