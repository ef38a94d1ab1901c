// SPDX-License-Identifier: Apache-2.0
/* A database of an older version is brought forward, wholly or not at all; one of a newer version is left alone. */
#include "inventory-rig.h"
#include "inventory/store-private.h"
#include <glib/gstdio.h>
#include <sqlite3.h>

/* Two releases on: pools got a description by default, then another word for one of them. */
static const char *const forward[] = {
    "UPDATE \"pools\" SET body = json_set(body, '$.description', 'from before') WHERE json_type(body, '$.description') IS NULL;",
    "UPDATE \"pools\" SET body = json_set(body, '$.description', 'renamed') WHERE json_extract(body, '$.name') = 'b';",
    NULL,
};
/* The second of them fails after the first one has changed things. */
static const char *const broken[] = {
    "UPDATE \"pools\" SET body = json_set(body, '$.description', 'half way');",
    "UPDATE no_such_table SET x = 1;",
    NULL,
};

/* The first release, whatever the contract's version is by now. */
static const char *const nothing[] = {NULL};
static const StoreSchema first = {1, nothing};

static InvRig *old_rig(void)
{
  store_schema = first;
  InvRig *rig = inv_rig_new(false);
  InvTxn *txn = inv_begin(rig->inv);
  inv_rig_pool(txn, "a");
  inv_rig_pool(txn, "b");
  inv_rig_commit_ok(rig, txn);
  inv_rig_close(rig);
  return rig;
}

static void end(InvRig *rig)
{
  store_schema = first;
  inv_rig_free(rig);
}

static bool look(const void *object, void *arg)
{
  const WsPool *pool = object;
  g_ptr_array_add(arg, g_strdup_printf("%s: %s", pool->name, pool->description ? pool->description : "-"));
  return true;
}

static void assert_pools(InvRig *rig, const char *expected)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
  inv_each(snap, &ws_type_pool, look, words);
  g_ptr_array_add(words, NULL);
  g_autofree char *all = g_strjoinv(", ", (char **)words->pdata);
  g_assert_cmpstr(all, ==, expected);
}

static int version_on_disk(InvRig *rig)
{
  sqlite3 *db;
  sqlite3_stmt *statement;
  g_assert_cmpint(sqlite3_open(rig->path, &db), ==, SQLITE_OK);
  g_assert_cmpint(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), ==, SQLITE_OK);
  g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
  int version = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return version;
}

static void old_database_is_brought_forward_through_each_version(void)
{
  InvRig *rig = old_rig();
  store_schema = (StoreSchema){3, forward};
  inv_rig_open(rig);
  assert_pools(rig, "a: from before, b: renamed");
  inv_rig_close(rig);
  g_assert_cmpint(version_on_disk(rig), ==, 3);
  inv_rig_open(rig); /* once is enough */
  assert_pools(rig, "a: from before, b: renamed");
  inv_rig_close(rig);
  end(rig);
}

static void migration_that_fails_leaves_all_as_it_was(void)
{
  InvRig *rig = old_rig();
  g_autoptr(GError) error = NULL;
  store_schema = (StoreSchema){3, broken};
  g_assert_null(store_open(rig->path, rig->loop, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_IO_ERROR);
  g_assert_cmpint(version_on_disk(rig), ==, 1);
  store_schema = first;
  inv_rig_open(rig);
  assert_pools(rig, "a: -, b: -");
  inv_rig_close(rig);
  end(rig);
}

static void database_of_a_newer_program_is_left_alone(void)
{
  InvRig *rig = old_rig();
  g_autoptr(GError) error = NULL;
  store_schema = (StoreSchema){3, forward};
  inv_rig_open(rig);
  inv_rig_close(rig);
  store_schema = first;
  g_assert_null(store_open(rig->path, rig->loop, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_VERSION_MISMATCH);
  g_assert_cmpint(version_on_disk(rig), ==, 3);
  end(rig);
}

/* ---- the database of an older manager ---- */

static StoreSchema contract;

static const char *const of_older[] = {
    /* when its host was removed by force the VM went, and its disk stayed */
    "INSERT INTO \"volumes\" VALUES(900,900,'{\"id\":\"vol-900\",\"revision\":900,\"name\":\"left\",\"pool\":\"pool-18\",\"kind\":\"disk\","
    "\"size_bytes\":4194304,\"state\":\"ready\",\"file\":\"left.qcow2\",\"in_bin_since\":\"2026-11-28T19:58:59.567968Z\"}');",
    NULL,
};

static void fill_as_older_manager(InvRig *rig)
{
  g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", "older-manager", "011.sql", NULL);
  g_autofree char *script = NULL;
  sqlite3 *db;
  g_assert_true(g_file_get_contents(path, &script, NULL, NULL));
  g_assert_cmpint(sqlite3_open(rig->path, &db), ==, SQLITE_OK);
  g_assert_cmpint(sqlite3_exec(db, script, NULL, NULL, NULL), ==, SQLITE_OK);
  for (guint i = 0; of_older[i]; i++)
    g_assert_cmpint(sqlite3_exec(db, of_older[i], NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close(db);
}

static bool is_held(InvRig *rig, WsId volume)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv);
  const WsVolume *v = inv_find(snap, &ws_type_volume, volume);
  g_assert_nonnull(v);
  return v->bin_held;
}

static void what_may_be_written_yet_is_held_in_the_bin(void)
{
  InvRig *rig = inv_rig_new_closed(NULL);
  fill_as_older_manager(rig);
  store_schema = contract;
  inv_rig_open(rig);
  g_assert_true(is_held(rig, 900));
  g_assert_false(is_held(rig, 41)); /* with its VM */
  g_assert_false(is_held(rig, 27)); /* not in the bin */
  inv_rig_close(rig);
  end(rig);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  contract = store_schema;
#define TEST(name) g_test_add_func("/inventory/migrate/" #name, name)
  TEST(old_database_is_brought_forward_through_each_version);
  TEST(migration_that_fails_leaves_all_as_it_was);
  TEST(database_of_a_newer_program_is_left_alone);
  TEST(what_may_be_written_yet_is_held_in_the_bin);
  return g_test_run();
}
