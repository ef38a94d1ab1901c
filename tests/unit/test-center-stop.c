// SPDX-License-Identifier: Apache-2.0
/* A manager that is told to end right after something happened: what it told of that is durable, and nobody is left waiting (the sanitized build looks for
 * what is leaked). */
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "center/auth/strangers.h"
#include "center/center.h"
#include "inventory/store.h"
#include "model/model.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

static guint n_told(Center *center, const char *text)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  guint n = 0;
  g_assert_true(store_query_history(center->store, &ws_type_event, NULL, 0, 0, 1000, rows, &error));
  for (guint i = 0; i < rows->len; i++)
    n += g_strcmp0(((const WsEvent *)rows->pdata[i])->text, text) == 0;
  return n;
}

static Center *start(const char *dir, WsLoop *loop)
{
  g_autoptr(GError) error = NULL;
  CenterConfig config = {.data_dir = (char *)dir, .bind_address = (char *)"127.0.0.1"};
  Center *center = center_new(&config, ws_clock_system(), loop, &error);
  g_assert_no_error(error);
  return center;
}

static void what_was_told_is_durable_when_it_has_ended(void)
{
  g_autofree char *top = g_dir_make_tmp("ws-stop-XXXXXX", NULL), *dir = g_build_filename(top, "data", NULL);
  WsLoop *loop = ws_loop_new(ws_clock_system());
  Center *center = start(dir, loop); /* tells of its start, and the loop has not run since */
  center_settle(center);
  center_free(center);
  center = start(dir, loop);
  gint64 end_us = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;
  while (n_told(center, "manager_started") < 2 && g_get_monotonic_time() < end_us) /* of its own start too, before long */
    ws_loop_step(loop, 20);
  g_assert_cmpuint(n_told(center, "manager_started"), ==, 2);
  center_settle(center);
  center_free(center);
  ws_loop_free(loop);
  const char *argv[] = {"rm", "-rf", top, NULL};
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* ---- refused calls that were counted ---- */

static int full(const char *point, void *arg)
{
  return g_atomic_int_get((gint *)arg) && strcmp(point, "row") == 0 ? ENOSPC : 0;
}

static bool refused(Center *center, const char *operation)
{
  g_autoptr(GError) error = NULL;
  const WsRoute *route = ws_routes;
  while (strcmp(route->operation, operation) != 0)
    route++;
  ws_fail(&error, WS_ERROR_UNAUTHENTICATED, NULL);
  return strangers_note(center, route, NULL, 0, "192.0.2.1", error);
}

static gint64 n_recorded(Center *center, const char *operation)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autoptr(GError) error = NULL;
  gint64 n = 0;
  g_assert_true(store_query_history(center->store, &ws_type_audit_record, NULL, 0, 0, 1000, rows, &error));
  for (guint i = 0; i < rows->len; i++) {
    const WsAuditRecord *record = rows->pdata[i];
    n += g_strcmp0(record->operation, operation) == 0 ? record->count : 0;
  }
  return n;
}

typedef struct {
  Center *center;
  bool ended;
} Write;

static void write_counts(void *arg)
{
  Write *write = arg;
  strangers_settle(write->center);
  write->ended = true;
}

static void write_now(Center *center, WsLoop *loop)
{
  Write write = {center, false};
  ws_co_start(loop, write_counts, &write);
  while (!write.ended)
    ws_loop_step(loop, -1);
}

/* Of many refusals that are alike the sum is exact, though for a while no record of them could be written. */
static void what_was_counted_waits_until_it_can_be_written(void)
{
  static gint is_full;
  g_autofree char *top = g_dir_make_tmp("ws-stop-XXXXXX", NULL), *dir = g_build_filename(top, "data", NULL);
  WsLoop *loop = ws_loop_new(ws_clock_system());
  Center *center = start(dir, loop);
  while (center->n_events > 0)
    ws_loop_step(loop, -1);
  store_set_fault(center->store, full, &is_full);
  g_assert_true(refused(center, "vm_create"));
  for (int i = 0; i < 1000; i++)
    g_assert_false(refused(center, "vm_create"));
  g_atomic_int_set(&is_full, 1);
  write_now(center, loop);
  g_assert_cmpint(n_recorded(center, "vm_create"), ==, 0);
  for (int i = 0; i < 500; i++)
    g_assert_false(refused(center, "vm_create"));
  g_atomic_int_set(&is_full, 0);
  center_settle(center);
  g_assert_cmpint(n_recorded(center, "vm_create"), ==, 1500);
  center_free(center);
  ws_loop_free(loop);
  const char *argv[] = {"rm", "-rf", top, NULL};
  g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  ws_log_init("test", WS_LOG_WARNING, NULL);
  g_test_add_func("/center/stop/what_was_told_is_durable_when_it_has_ended", what_was_told_is_durable_when_it_has_ended);
  g_test_add_func("/center/stop/what_was_counted_waits_until_it_can_be_written", what_was_counted_waits_until_it_can_be_written);
  return g_test_run();
}
