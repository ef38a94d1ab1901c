// SPDX-License-Identifier: Apache-2.0
/* Alarms of how full pools are (storage/fill.c): at the thresholds, gone well below them, by the setting that counts. */
#include "center-runs.h"
#include "center/pools.h"

#define GIB ((gint64)1 << 30)

static void watch(void *arg)
{
  pools_watch_fill(arg);
}

typedef struct {
  CenterRig *rig;
  gint64 warning, critical; /* of the pool */
  double ratio;
  bool refused;
} Set;

static void set_in_coroutine(void *arg)
{
  Set *set = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(set->rig->center.inventory);
  WsPool *pool = inv_edit_id(txn, &ws_type_pool, rig_world_find(set->rig->world, "pool"));
  pool->warning_percent = set->warning;
  pool->critical_percent = set->critical;
  if (set->ratio > 0)
    pool->overcommit_ratio = set->ratio;
  set->refused = !inv_commit(txn, NULL, &error);
  if (set->refused)
    g_assert_error(error, WS_ERROR, (int)WS_ERROR_BAD_VALUE);
}

static bool thresholds_are_refused(CenterRig *rig, gint64 warning, gint64 critical)
{
  Set set = {rig, warning, critical, 0, false};
  center_rig_run(rig, set_in_coroutine, &set);
  return set.refused;
}

static void promise_at_most(CenterRig *rig, double ratio)
{
  Set set = {rig, WS_INT_UNSET, WS_INT_UNSET, ratio, false};
  center_rig_run(rig, set_in_coroutine, &set);
  center_rig_run(rig, watch, &rig->center);
}

typedef struct {
  WsId pool;
  const char *kind;
  int level;
} Look;

static bool look_at(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  Look *look = arg;
  if (alarm->object.type == &ws_type_pool && alarm->object.id == look->pool && g_strcmp0(alarm->kind, look->kind) == 0)
    look->level = (int)alarm->level;
  return true;
}

/* 0: no such alarm. */
static int level_of(CenterRig *rig, const char *kind)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  Look look = {rig_world_find(rig->world, "pool"), kind, 0};
  inv_each(snap, &ws_type_alarm, look_at, &look);
  return look.level;
}

static gint64 written(CenterRig *rig)
{
  gint64 bytes = 0;
  for (guint i = 0; i < HOST_FILES; i++)
    if (rig->world->disks.files[i].there && rig->world->disks.files[i].pool == rig_world_find(rig->world, "pool"))
      bytes += rig->world->disks.files[i].allocated_bytes;
  return bytes;
}

/* So much of the pool is taken, and the pool was read. */
static int fill(CenterRig *rig, gint64 percent)
{
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "pool"), 100 * GIB, percent * GIB - written(rig));
  center_rig_do(rig, NULL, "pool_refresh", "pool", NULL);
  return level_of(rig, "pool_nearly_full");
}

static void fill_and_empty(CenterRig *rig)
{
  g_assert_cmpint(fill(rig, 79), ==, 0);
  g_assert_cmpint(fill(rig, 80), ==, CENTER_MINOR);
  g_assert_cmpint(fill(rig, 89), ==, CENTER_MINOR);
  g_assert_cmpint(fill(rig, 90), ==, CENTER_MAJOR);
  g_assert_cmpint(fill(rig, 86), ==, CENTER_MAJOR); /* it breathes */
  g_assert_cmpint(fill(rig, 84), ==, CENTER_MINOR);
  g_assert_cmpint(fill(rig, 76), ==, CENTER_MINOR);
  g_assert_cmpint(fill(rig, 74), ==, 0);
  g_assert_cmpint(fill(rig, 78), ==, 0);
  center_rig_assert_no_quarrel(rig);
}

static void alarm_follows_how_full_it_is(void)
{
  runs_on_site(fill_and_empty, "filled");
}

static void set_thresholds(CenterRig *rig)
{
  g_assert_cmpint(fill(rig, 60), ==, 0);
  g_assert_false(thresholds_are_refused(rig, 50, WS_INT_UNSET));
  center_rig_run(rig, watch, &rig->center); /* nothing was said of the pool meanwhile */
  g_assert_cmpint(level_of(rig, "pool_nearly_full"), ==, CENTER_MINOR);
  g_assert_false(thresholds_are_refused(rig, 50, 55));
  center_rig_run(rig, watch, &rig->center);
  g_assert_cmpint(level_of(rig, "pool_nearly_full"), ==, CENTER_MAJOR);
  g_assert_true(thresholds_are_refused(rig, 55, 55));
  g_assert_true(thresholds_are_refused(rig, 56, 55));
  g_assert_false(thresholds_are_refused(rig, WS_INT_UNSET, WS_INT_UNSET));
  center_rig_run(rig, watch, &rig->center);
  g_assert_cmpint(level_of(rig, "pool_nearly_full"), ==, 0);
}

static void pool_has_thresholds_of_its_own(void)
{
  runs_on_site(set_thresholds, "thresholds");
}

static void lose_the_host(CenterRig *rig)
{
  g_assert_cmpint(fill(rig, 85), ==, CENTER_MINOR);
  center_rig_link(rig, 0, false);
  center_rig_settle(rig);
  center_rig_run(rig, watch, &rig->center);
  g_assert_cmpint(level_of(rig, "pool_nearly_full"), ==, CENTER_MINOR);
}

static void what_was_known_last_stays(void)
{
  runs_on_site(lose_the_host, "unreachable");
}

static void promise(CenterRig *rig)
{
  center_rig_do(rig, "big", "volume_create", NULL, "{'name':'big','pool':'@pool','size_bytes':161061273600}"); /* 150 GiB, of a TiB */
  g_assert_cmpint(fill(rig, 10), ==, 0); /* the file system turned out to be smaller */
  g_assert_cmpint(level_of(rig, "pool_overpromised"), ==, 0);
  promise_at_most(rig, 1.2);
  g_assert_cmpint(level_of(rig, "pool_overpromised"), ==, CENTER_MINOR);
  promise_at_most(rig, 1.505);
  g_assert_cmpint(level_of(rig, "pool_overpromised"), ==, CENTER_MINOR); /* well below it, to end */
  center_rig_do(rig, NULL, "volume_delete", "big", NULL);
  center_rig_run(rig, watch, &rig->center);
  g_assert_cmpint(level_of(rig, "pool_overpromised"), ==, 0);
}

static void promises_beyond_the_limit_are_an_alarm(void)
{
  runs_on_site(promise, "promised");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/fill/alarm_follows_how_full_it_is", alarm_follows_how_full_it_is);
  g_test_add_func("/center/fill/pool_has_thresholds_of_its_own", pool_has_thresholds_of_its_own);
  g_test_add_func("/center/fill/what_was_known_last_stays", what_was_known_last_stays);
  g_test_add_func("/center/fill/promises_beyond_the_limit_are_an_alarm", promises_beyond_the_limit_are_an_alarm);
  int result = g_test_run();
  runs_end();
  return result;
}
