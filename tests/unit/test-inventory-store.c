// SPDX-License-Identifier: Apache-2.0
/* The store by itself: what it accepts as its database, groups, order, history, checkpoints. */
#include "inventory-rig.h"
#include "pg-server.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- helpers ---- */

static void assert_refuses_to_open(InvRig *rig, WsErrorCode code, const char *cause)
{
  GError *error = NULL;
  WsLoop *loop = ws_loop_new(ws_clock_system());

  g_assert_null(store_open(rig->path, loop, &error));
  if (cause)
    g_assert_nonnull(strstr(ws_error_cause(error), cause));
  inv_rig_assert_error(&error, code, NULL);
  ws_loop_free(loop);
}

/* Counts fault points; holds the store at a commit while `held`. Declared before the rig: the store passes it until it is closed. */
typedef struct {
  GMutex lock;
  GCond cond;
  guint commits, checkpoints, syncs;
  bool held;
} Points;

static int count_points(const char *point, void *arg)
{
  Points *points = arg;

  g_mutex_lock(&points->lock);
  points->commits += strcmp(point, "committed") == 0;
  points->checkpoints += strcmp(point, "checkpoint") == 0;
  points->syncs += strcmp(point, "sync") == 0;
  while (points->held && strcmp(point, "commit") == 0)
    g_cond_wait(&points->cond, &points->lock);
  g_mutex_unlock(&points->lock);
  return 0;
}

static void let_go(Points *points)
{
  g_mutex_lock(&points->lock);
  points->held = false;
  g_cond_broadcast(&points->cond);
  g_mutex_unlock(&points->lock);
}

static guint checkpoints(Points *points)
{
  g_mutex_lock(&points->lock);
  guint n = points->checkpoints;
  g_mutex_unlock(&points->lock);
  return n;
}

/* ---- the database ---- */

static void files_are_private(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(GDir) dir = g_dir_open(rig->dir, 0, NULL);
  const char *name;
  guint n = 0;

  for (; (name = g_dir_read_name(dir)); n++) {
    g_autofree char *path = g_build_filename(rig->dir, name, NULL);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
  }
  g_assert_cmpuint(n, ==, 4); /* database, WAL, shared memory, lock */
}

static void file_that_others_could_read_is_closed_to_them(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  struct stat st;

  inv_rig_close(rig);
  g_assert_cmpint(g_chmod(rig->path, 0644), ==, 0);
  inv_rig_open(rig);
  g_assert_cmpint(stat(rig->path, &st), ==, 0);
  g_assert_cmpint(st.st_mode & 07777, ==, 0600);
}

static void database_in_use_is_refused(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);

  assert_refuses_to_open(rig, WS_ERROR_IO_ERROR, inv_rig_on_server() ? "another manager has it open (" : "another process");
}

static void newer_database_is_refused(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);

  inv_rig_close(rig);
  inv_rig_sql(rig, inv_rig_on_server() ? "UPDATE lease SET schema_version = 1000000" : "PRAGMA user_version=1000000");
  assert_refuses_to_open(rig, WS_ERROR_VERSION_MISMATCH, NULL);
}

static void strangers_database_is_refused_and_left_alone(void)
{
  g_autoptr(InvRig) rig = inv_rig_new_closed(NULL);

  if (rig->schema) {
    g_autofree char *sql = g_strdup_printf("CREATE SCHEMA %s; CREATE TABLE %s.theirs (x integer)", rig->schema, rig->schema);
    pg_server_run(sql);
  } else {
    inv_rig_sql(rig, "CREATE TABLE theirs (x)");
  }
  assert_refuses_to_open(rig, WS_ERROR_IO_ERROR, "not a WinSphere database");
  if (rig->schema) {
    g_assert_cmpint(inv_rig_sql_int(rig, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"), ==, 1);
    return;
  }
  g_assert_cmpint(inv_rig_sql_int(rig, "SELECT count(*) FROM sqlite_schema"), ==, 1);
  g_assert_true(g_file_set_contents(rig->path, "text", 4, NULL));
  assert_refuses_to_open(rig, WS_ERROR_DATABASE_DAMAGED, NULL);
}

static void missing_directory_is_an_error(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autofree char *good = rig->path;

  inv_rig_close(rig);
  rig->path = g_build_filename(rig->dir, "absent", "inventory.db", NULL);
  assert_refuses_to_open(rig, WS_ERROR_IO_ERROR, "No such file");
}

static void damaged_database_is_refused(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  InvTxn *txn = inv_begin(rig->inv);
  g_autofree char *bytes = NULL;
  gsize n;

  for (guint i = 0; i < 500; i++)
    inv_rig_pool(txn, "some name that takes a little room");
  inv_rig_commit_ok(rig, txn);
  inv_rig_close(rig);
  g_assert_true(g_file_get_contents(rig->path, &bytes, &n, NULL));
  for (gsize page = 4096 * 2; page + 4096 <= n; page += 4096)
    memset(bytes + page, 0x5a, 16); /* headers of b-tree pages */
  g_assert_true(g_file_set_contents(rig->path, bytes, (gssize)n, NULL));
  assert_refuses_to_open(rig, WS_ERROR_DATABASE_DAMAGED, NULL);
}

static void row_that_cannot_be_read_is_named(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  InvTxn *txn = inv_begin(rig->inv);
  GError *error = NULL;

  inv_rig_pool(txn, "p");
  inv_rig_commit_ok(rig, txn);
  inv_rig_close(rig);
  inv_rig_sql(rig, "UPDATE pools SET body = '{\"id\":'");
  rig->loop = ws_loop_new(ws_clock_system());
  rig->store = store_open(rig->path, rig->loop, &error);
  g_assert_no_error(error);
  g_assert_null(inv_open(rig->loop, rig->store, &error));
  g_assert_nonnull(strstr(ws_error_cause(error), "table pools, row 1"));
  inv_rig_assert_error(&error, WS_ERROR_DATABASE_DAMAGED, NULL);
}

static void facts_are_kept(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  static const char *const meta[] = {"site_uuid", "one", "other", "two", NULL};
  g_autofree char *value = NULL, *absent = NULL;

  g_assert_true(store_put_meta(rig->store, meta, NULL));
  inv_rig_close(rig);
  inv_rig_open(rig);
  value = store_get_meta(rig->store, "site_uuid");
  absent = store_get_meta(rig->store, "unknown");
  g_assert_cmpstr(value, ==, "one");
  g_assert_null(absent);
}

/* ---- batches ---- */

typedef struct {
  guint expected;
  guint n_done;
  bool all;
} Order;

typedef struct {
  Order *order;
  guint number;
} Ticket;

static void on_done(const GError *error, void *arg)
{
  Ticket *ticket = arg;

  g_assert_no_error(error);
  g_assert_cmpuint(ticket->number, ==, ticket->order->n_done++);
  ticket->order->all = ticket->order->n_done == ticket->order->expected;
}

static StoreRow *event_row(WsId id, const char *object, gint64 wall_us)
{
  WsEvent *event = inv_rig_event(object, wall_us);
  StoreRow *row = g_new(StoreRow, 1);

  event->id = id;
  *row = (StoreRow){&ws_type_event, id, 1, event};
  return row;
}

static void waiting_batches_share_a_sync_and_come_back_in_order(void)
{
  enum { N = 200 };
  Ticket tickets[N];
  Order order = {.expected = N};
  Points points = {.held = true};
  g_autoptr(InvRig) rig = inv_rig_new(false);

  store_set_fault(rig->store, count_points, &points);
  for (guint i = 0; i < N; i++) {
    tickets[i] = (Ticket){&order, i};
    store_submit(rig->store, event_row(i + 1, "vm-1", 1), 1, NULL, on_done, &tickets[i]);
  }
  let_go(&points);
  inv_rig_wait(rig, &order.all);
  g_assert_cmpuint(points.commits, >=, 1);
  g_assert_cmpuint(points.commits, <=, 2); /* what the store had taken when it was held, and all the others */
  g_assert_true(points.syncs > 0 || inv_rig_on_server());
  g_assert_cmpuint(points.syncs, <=, points.commits + 1); /* one more may be for the header of a fresh WAL */
}

static void closing_writes_and_hands_back_what_is_queued(void)
{
  enum { N = 50 };
  g_autoptr(InvRig) rig = inv_rig_new(false);
  Ticket tickets[N];
  Order order = {.expected = N};

  for (guint i = 0; i < N; i++) {
    tickets[i] = (Ticket){&order, i};
    store_submit(rig->store, event_row(i + 1, "vm-1", 1), 1, NULL, on_done, &tickets[i]);
  }
  inv_rig_close(rig);
  g_assert_true(order.all);
  g_assert_cmpint(inv_rig_sql_int(rig, "SELECT count(*) FROM events"), ==, N);
}

/* ---- history ---- */

static guint query(InvRig *rig, const char *field, const char *value, WsId before, guint limit, WsId *ids)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new();
  StoreWhere where = {field, value};
  GError *error = NULL;

  g_assert_true(
      store_query_history(rig->store, &ws_type_event, &where, field ? 1 : 0, before, limit, found, &error));
  g_assert_no_error(error);
  for (guint i = 0; i < found->len; i++) {
    WsEvent *event = g_ptr_array_index(found, i);
    if (field && strcmp(field, "object") == 0)
      g_assert_cmpstr(event->object, ==, value);
    ids[i] = event->id;
    ws_resource_unref(event);
  }
  return found->len;
}

/* One event a second, the first at `first_s`. */
static void append_events_at(InvRig *rig, guint n, guint first_s)
{
  InvTxn *txn = inv_begin(rig->inv);

  for (guint i = 0; i < n; i++)
    inv_append_history(txn, inv_rig_event(i % 2 ? "vm-1" : "vm-2", (gint64)(first_s + i) * G_USEC_PER_SEC));
  inv_rig_commit_ok(rig, txn);
}

static void append_events(InvRig *rig, guint n)
{
  append_events_at(rig, n, 1);
}

static void history_is_found_newest_first(gconstpointer in_memory)
{
  g_autoptr(InvRig) rig = inv_rig_new(GPOINTER_TO_INT(in_memory));
  WsId ids[100];

  append_events(rig, 40);
  g_assert_cmpuint(query(rig, NULL, NULL, 0, 100, ids), ==, 40);
  for (guint i = 1; i < 40; i++)
    g_assert_cmpuint(ids[i], <, ids[i - 1]);
  g_assert_cmpuint(query(rig, "object", "vm-1", 0, 8, ids), ==, 8);
  g_assert_cmpuint(query(rig, "object", "vm-1", ids[7], 100, ids), ==, 12);
  g_assert_cmpuint(query(rig, "object", "vm-3", 0, 100, ids), ==, 0);
  g_assert_cmpuint(query(rig, "time", "1970-01-01T00:00:05.000000Z", 0, 100, ids), ==, 1);
}

static void history_is_not_searched_by_fields_without_index(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(true);
  g_autoptr(GPtrArray) found = g_ptr_array_new();
  StoreWhere where = {"object_name", "x"};
  GError *error = NULL;

  g_assert_false(store_query_history(rig->store, &ws_type_event, &where, 1, 0, 10, found, &error));
  inv_rig_assert_error(&error, WS_ERROR_UNKNOWN_FIELD, "object_name");
}

/* Which of events 1..n (one a second, every other of vm-1) come, as seconds; the piece goes on behind the
 * last. */
static guint find(InvRig *rig, StoreQuery *query, gint64 *seconds)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  GError *error = NULL;

  g_assert_true(store_find_history(rig->store, &ws_type_event, query, found, &error));
  g_assert_no_error(error);
  for (guint i = 0; i < found->len; i++) {
    const WsEvent *event = g_ptr_array_index(found, i);
    seconds[i] = event->time / G_USEC_PER_SEC;
    query->after = event->id;
    query->after_us = event->time;
  }
  return found->len;
}

static void history_is_found_by_time_in_pieces(gconstpointer in_memory)
{
  g_autoptr(InvRig) rig = inv_rig_new(GPOINTER_TO_INT(in_memory));
  const StoreWhere where = {"object", "vm-1"};
  gint64 s[100];

  append_events_at(rig, 20, 21); /* the later ones first: ids and times differ */
  append_events_at(rig, 20, 1);
  append_events_at(rig, 1, 5); /* a second one at that time */
  for (int ascending = 0; ascending < 2; ascending++) {
    StoreQuery all = {.by_time = true, .ascending = ascending, .limit = 7};
    for (guint n = 0, k; n < 41; n += k) {
      k = find(rig, &all, s + n);
      g_assert_cmpuint(k, ==, MIN(7, 41 - n));
    }
    for (guint i = 1; i < 41; i++)
      g_assert_true(ascending ? s[i] >= s[i - 1] : s[i] <= s[i - 1]);
    g_assert_cmpuint(find(rig, &all, s), ==, 0);
  }
  StoreQuery range = {.where = &where,
                      .n_where = 1,
                      .from = true,
                      .from_us = 5 * G_USEC_PER_SEC,
                      .until = true,
                      .until_us = 24 * G_USEC_PER_SEC,
                      .by_time = true,
                      .limit = 100};
  g_assert_cmpuint(find(rig, &range, s), ==, 10); /* 24, 22, 20, ... 6 */
  for (guint i = 0; i < 10; i++)
    g_assert_cmpint(s[i], ==, 24 - 2 * i);
  StoreQuery by_id = {.ascending = true,
                      .from = true,
                      .from_us = 5 * G_USEC_PER_SEC,
                      .until = true,
                      .until_us = 5 * G_USEC_PER_SEC,
                      .limit = 100};
  g_assert_cmpuint(find(rig, &by_id, s), ==, 2);
}

/* Who waits for the same connection is not kept waiting by a search that finds nothing. */
static void search_rests_after_many_that_do_not_match(gconstpointer in_memory)
{
  enum { MANY = 12000 };
  g_autoptr(InvRig) rig = inv_rig_new(GPOINTER_TO_INT(in_memory));
  const StoreWhere where = {"object", "vm-1"};
  StorePlace reached = {0};
  StoreQuery queries[] = {
      {.from = true, .from_us = 2 * MANY * (gint64)G_USEC_PER_SEC}, /* later than all */
      {.where = &where, .n_where = 1, .ascending = true, .until = true, .until_us = 1},
  };
  gint64 s[1];

  append_events_at(rig, MANY, 1);
  for (guint i = 0; i < G_N_ELEMENTS(queries); i++) {
    guint rests = 0;
    queries[i].limit = 1;
    queries[i].reached = &reached;
    do {
      g_assert_cmpuint(find(rig, &queries[i], s), ==, 0);
      queries[i].after = reached.id;
      queries[i].after_us = reached.us;
      rests += reached.id != 0;
    } while (reached.id);
    g_assert_cmpuint(rests, ==, i == 0 ? 2 : 1); /* half of them are of vm-1 */
  }
}

/* As when a clock is wrong, or more days are kept than it has counted. */
static void nothing_is_older_than_1970(gconstpointer in_memory)
{
  g_autoptr(InvRig) rig = inv_rig_new(GPOINTER_TO_INT(in_memory));
  gint64 s[100];

  append_events_at(rig, 3, 1);
  for (gint64 us = 0; us >= -G_USEC_PER_SEC; us -= G_USEC_PER_SEC) {
    StoreQuery older = {.by_time = true, .ascending = true, .until = true, .until_us = us, .limit = 100};
    g_assert_cmpuint(find(rig, &older, s), ==, 0);
    StoreQuery later = {.by_time = true, .from = true, .from_us = us, .limit = 100};
    g_assert_cmpuint(find(rig, &later, s), ==, 3);
  }
}

static void history_gives_a_revision_and_survives(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  g_autoptr(InvSnapshot) before = inv_snapshot(rig->inv);
  WsId ids[100];

  append_events(rig, 3);
  g_autoptr(InvSnapshot) after = inv_snapshot(rig->inv);
  g_assert_cmpuint(inv_snapshot_revision(after), ==, inv_snapshot_revision(before) + 1);
  inv_rig_close(rig);
  inv_rig_open(rig);
  g_assert_cmpuint(query(rig, "object", "vm-2", 0, 100, ids), ==, 2);
}

/* As when a later version of the contract indexes one more field. */
static void new_index_is_filled_in_from_what_is_there(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  WsId ids[100];

  append_events(rig, 40);
  inv_rig_close(rig);
  inv_rig_sql(rig, "DROP INDEX \"events.object\"; ALTER TABLE events DROP COLUMN object;"
                     "DROP INDEX \"events.time\"; ALTER TABLE events DROP COLUMN time");
  inv_rig_open(rig);
  g_assert_cmpuint(query(rig, "object", "vm-1", 0, 100, ids), ==, 20);
  g_assert_cmpuint(query(rig, "time", "1970-01-01T00:00:05.000000Z", 0, 100, ids), ==, 1);
}

static void old_history_goes_in_portions(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);
  static WsId ids[5000];

  append_events(rig, 4500);
  store_expire_history(rig->store, &ws_type_event, 4000 * (gint64)G_USEC_PER_SEC);
  append_events_at(rig, 1, 4501); /* commits between portions or after them, as the threads will have it */
  while (query(rig, NULL, NULL, 0, 5000, ids) != 502) /* meson's time limit is the only one */
    ws_loop_step(rig->loop, 10);
  g_assert_cmpuint(query(rig, "time", "1970-01-01T01:06:40.000000Z", 0, 10, ids), ==, 1);
}

/* ---- checkpoints ---- */

static gint64 wal_bytes(InvRig *rig)
{
  g_autofree char *path = g_strconcat(rig->path, "-wal", NULL);
  struct stat st;

  g_assert_cmpint(stat(path, &st), ==, 0);
  return st.st_size;
}

static void idle_store_moves_its_log_into_the_database_once(void)
{
  Points points = {.held = false};
  g_autoptr(InvRig) rig = inv_rig_new(false);
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  store_set_fault(rig->store, count_points, &points);
  append_events(rig, 10);
  while (checkpoints(&points) == 0) {
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    ws_loop_step(rig->loop, 1000);
  }
  ws_loop_step(rig->loop, 1500); /* and then it sleeps */
  g_assert_cmpuint(checkpoints(&points), ==, 1);
}

static void large_log_is_moved_at_once(void)
{
  Points points = {.held = false};
  g_autoptr(InvRig) rig = inv_rig_new(false);

  store_set_fault(rig->store, count_points, &points);
  for (guint round = 0; round < 50; round++) {
    InvTxn *txn = inv_begin(rig->inv);
    inv_rig_pool(txn, "p")->description = g_strnfill(2 << 20, 'x');
    inv_rig_commit_ok(rig, txn);
  }
  inv_rig_close(rig); /* so that the last checkpoint has been counted */
  g_assert_cmpuint(points.checkpoints, >=, 2);
  g_assert_cmpuint(points.checkpoints, <, 25); /* not one for each; a slow disk lets the store be idle now and then */
}

static void log_does_not_grow_without_bound(void)
{
  g_autoptr(InvRig) rig = inv_rig_new(false);

  for (guint round = 0; round < 40; round++) {
    InvTxn *txn = inv_begin(rig->inv);
    inv_rig_pool(txn, "p")->description = g_strnfill(2 << 20, 'x');
    inv_rig_commit_ok(rig, txn);
  }
  g_assert_cmpint(wal_bytes(rig), <, 48 << 20);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define FILE_TEST(name) g_test_add_func("/inventory/store/" #name, name)
#define TEST(name)      inv_rig_add("/inventory/store/" #name, name)
  FILE_TEST(files_are_private);
  FILE_TEST(file_that_others_could_read_is_closed_to_them);
  TEST(database_in_use_is_refused);
  TEST(newer_database_is_refused);
  TEST(strangers_database_is_refused_and_left_alone);
  FILE_TEST(missing_directory_is_an_error);
  FILE_TEST(damaged_database_is_refused);
  TEST(row_that_cannot_be_read_is_named);
  TEST(facts_are_kept);
  TEST(waiting_batches_share_a_sync_and_come_back_in_order);
  TEST(closing_writes_and_hands_back_what_is_queued);
  inv_rig_add_data("/inventory/store/history_is_found_newest_first", GINT_TO_POINTER(0), history_is_found_newest_first);
  g_test_add_data_func("/inventory/store/history_is_found_newest_first_in_memory", GINT_TO_POINTER(1),
                       history_is_found_newest_first);
  inv_rig_add_data("/inventory/store/history_is_found_by_time_in_pieces", GINT_TO_POINTER(0),
                   history_is_found_by_time_in_pieces);
  g_test_add_data_func("/inventory/store/history_is_found_by_time_in_pieces_in_memory", GINT_TO_POINTER(1),
                       history_is_found_by_time_in_pieces);
  g_test_add_data_func("/inventory/store/search_rests_after_many_that_do_not_match", GINT_TO_POINTER(0),
                       search_rests_after_many_that_do_not_match);
  inv_rig_add_data("/inventory/store/nothing_is_older_than_1970", GINT_TO_POINTER(0),
                   nothing_is_older_than_1970);
  TEST(history_is_not_searched_by_fields_without_index);
  TEST(history_gives_a_revision_and_survives);
  TEST(new_index_is_filled_in_from_what_is_there);
  TEST(old_history_goes_in_portions);
  FILE_TEST(idle_store_moves_its_log_into_the_database_once);
  FILE_TEST(large_log_is_moved_at_once);
  FILE_TEST(log_does_not_grow_without_bound);
  return g_test_run();
}
