// SPDX-License-Identifier: Apache-2.0
#include "inventory-rig.h"
#include "base/log.h"
#include "pg-server.h"
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

/* ---- life ---- */

static char *make_dir(void)
{
  const char *parent = g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
  char *dir = g_build_filename(parent, "inventory-XXXXXX", NULL);

  g_assert_nonnull(g_mkdtemp(dir));
  return dir;
}

static bool on_server;

InvRig *inv_rig_new_closed(const char *dir)
{
  InvRig *rig = g_new0(InvRig, 1);

  if (dir && store_address_is_server(dir)) {
    rig->path = g_strdup(dir);
    return rig;
  }
  rig->dir = dir ? g_strdup(dir) : make_dir();
  rig->keep_dir = dir != NULL;
  if (on_server) {
    rig->schema = pg_server_new_schema();
    rig->path = pg_server_address(rig->schema);
  } else {
    rig->path = g_build_filename(rig->dir, "inventory.db", NULL);
  }
  return rig;
}

const char *inv_rig_where(const InvRig *rig)
{
  return rig->schema ? rig->path : rig->dir;
}

InvRig *inv_rig_new(bool in_memory)
{
  InvRig *rig = in_memory && !on_server ? g_new0(InvRig, 1) : inv_rig_new_closed(NULL);

  inv_rig_open(rig);
  return rig;
}

/* ---- on both stores ---- */

bool inv_rig_on_server(void)
{
  return on_server;
}

typedef struct {
  void (*test)(gconstpointer arg);
  gconstpointer arg;
} OnServer;

static void run_on_server(gconstpointer arg)
{
  const OnServer *both = arg;

  if (!pg_server_get()) {
    g_test_skip("no PostgreSQL here: scripts/install-deps installs it");
    return;
  }
  on_server = true;
  both->test(both->arg);
  on_server = false;
}

static void add_on_server(const char *path, gconstpointer arg, void (*test)(gconstpointer))
{
  OnServer *both = g_new(OnServer, 1);

  *both = (OnServer){test, arg};
  g_test_add_data_func_full(path, both, run_on_server, g_free);
}

void inv_rig_add_data(const char *path, gconstpointer arg, void (*test)(gconstpointer arg))
{
  g_autofree char *second = g_strconcat(path, "/on-server", NULL);

  g_test_add_data_func(path, arg, test);
  add_on_server(second, arg, test);
}

static void run_plain(gconstpointer arg)
{
  void (*test)(void);

  memcpy(&test, &arg, sizeof test);
  test();
}

static gconstpointer as_pointer(void (*test)(void))
{
  gconstpointer arg;

  memcpy(&arg, &test, sizeof arg);
  return arg;
}

void inv_rig_add(const char *path, void (*test)(void))
{
  inv_rig_add_data(path, as_pointer(test), run_plain);
}

void inv_rig_add_on_server(const char *path, void (*test)(void))
{
  add_on_server(path, as_pointer(test), run_plain);
}

/* ---- SQL ---- */

static char *in_schema(const InvRig *rig, const char *sql)
{
  return g_strdup_printf("SET search_path TO %s; %s", rig->schema, sql);
}

void inv_rig_sql(const InvRig *rig, const char *sql)
{
  char *message = NULL;
  sqlite3 *db;

  if (rig->schema) {
    g_autofree char *there = in_schema(rig, sql);
    pg_server_run(there);
    return;
  }
  g_assert_cmpint(sqlite3_open(rig->path, &db), ==, SQLITE_OK);
  sqlite3_exec(db, sql, NULL, NULL, &message);
  g_assert_cmpstr(message, ==, NULL);
  g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
}

gint64 inv_rig_sql_int(const InvRig *rig, const char *sql)
{
  sqlite3_stmt *statement;
  sqlite3 *db;
  gint64 value;

  if (rig->schema) {
    g_autofree char *there = in_schema(rig, sql), *text = pg_server_query(there);
    return g_ascii_strtoll(text, NULL, 10);
  }
  g_assert_cmpint(sqlite3_open(rig->path, &db), ==, SQLITE_OK);
  g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), ==, SQLITE_OK);
  g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
  value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
  return value;
}

/* ---- opening ---- */

void inv_rig_open(InvRig *rig)
{
  GError *error = NULL;

  g_assert_null(rig->inv);
  if (!g_test_verbose())
    ws_log_init("test", WS_LOG_ERROR, "/dev/null"); /* what the tests provoke is logged as errors */
  rig->loop = ws_loop_new(ws_clock_system());
  rig->store = store_open(rig->path ? rig->path : ":memory:", rig->loop, &error);
  g_assert_no_error(error);
  rig->inv = inv_open(rig->loop, rig->store, &error);
  g_assert_no_error(error);
}

void inv_rig_close(InvRig *rig)
{
  g_clear_pointer(&rig->inv, inv_close);
  g_clear_pointer(&rig->store, store_close);
  g_clear_pointer(&rig->loop, ws_loop_free);
}

static InvRig *copy_on_server(const InvRig *rig)
{
  InvRig *copy = inv_rig_new_closed(NULL);
  g_autofree char *sql = g_strdup_printf(
      "DO $$ DECLARE t text; BEGIN CREATE SCHEMA %s; FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = '%s' LOOP"
      " EXECUTE format('CREATE TABLE %s.%%I (LIKE %s.%%I INCLUDING ALL)', t, t);"
      " EXECUTE format('INSERT INTO %s.%%I SELECT * FROM %s.%%I', t, t); END LOOP; END $$",
      copy->schema, rig->schema, copy->schema, rig->schema, copy->schema, rig->schema);

  pg_server_run(sql);
  inv_rig_open(copy);
  return copy;
}

InvRig *inv_rig_copy(InvRig *rig)
{
  if (rig->schema)
    return copy_on_server(rig);
  static const char *const suffixes[] = {"", "-wal"};
  InvRig *copy = inv_rig_new_closed(NULL);

  for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
    g_autofree char *from = g_strconcat(rig->path, suffixes[i], NULL),
                    *to = g_strconcat(copy->path, suffixes[i], NULL);
    g_autofree char *bytes = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(from, &bytes, &n, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)n, NULL));
  }
  inv_rig_open(copy);
  return copy;
}

void inv_rig_free(InvRig *rig)
{
  const char *name;
  GDir *dir;

  if (!rig)
    return;
  if (rig->store)
    store_set_fault(rig->store, NULL, NULL); /* what the test gave it may be gone: rigs are freed at the end of a scope */
  inv_rig_close(rig);
  if (rig->schema) {
    g_autofree char *sql = g_strdup_printf("DROP SCHEMA IF EXISTS %s CASCADE", rig->schema);
    pg_server_run(sql);
  }
  if (rig->dir && !rig->keep_dir) {
    dir = g_dir_open(rig->dir, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
      g_autofree char *path = g_build_filename(rig->dir, name, NULL);
      g_unlink(path);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_rmdir(rig->dir);
  }
  g_free(rig->schema);
  g_free(rig->dir);
  g_free(rig->path);
  g_free(rig);
}

guint inv_rig_stride(void)
{
  if (on_server)
    return 9; /* each place makes a database anew there */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 7;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return 7;
#endif
#endif
  return 1;
}

/* ---- running ---- */

void inv_rig_wait(InvRig *rig, const bool *flag)
{
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  while (!*flag) {
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    ws_loop_step(rig->loop, 1000);
  }
}

typedef struct {
  WsCoFunc func;
  void *arg;
  bool ended;
} Run;

static void run(void *arg)
{
  Run *r = arg;

  r->func(r->arg);
  r->ended = true;
}

void inv_rig_run(InvRig *rig, WsCoFunc func, void *arg)
{
  Run r = {func, arg, false};

  ws_co_start(rig->loop, run, &r);
  inv_rig_wait(rig, &r.ended);
}

typedef struct {
  InvTxn *txn;
  Revision *revision;
  GError **error;
  bool ok;
} Commit;

static void commit(void *arg)
{
  Commit *c = arg;

  c->ok = inv_commit(c->txn, c->revision, c->error);
}

bool inv_rig_commit(InvRig *rig, InvTxn *txn, Revision *revision, GError **error)
{
  Commit c = {txn, revision, error, false};

  inv_rig_run(rig, commit, &c);
  return c.ok;
}

Revision inv_rig_commit_ok(InvRig *rig, InvTxn *txn)
{
  GError *error = NULL;
  Revision revision = 0;

  inv_rig_commit(rig, txn, &revision, &error);
  g_assert_no_error(error);
  inv_txn_free(txn);
  return revision;
}

/* ---- objects ---- */

WsPool *inv_rig_pool(InvTxn *txn, const char *name)
{
  WsPool *pool = inv_create(txn, &ws_type_pool);

  pool->name = g_strdup(name);
  return pool;
}

WsVolume *inv_rig_volume(InvTxn *txn, WsId pool, const char *name)
{
  WsVolume *volume = inv_create(txn, &ws_type_volume);

  volume->name = g_strdup(name);
  volume->pool = pool;
  volume->size_bytes = 1 << 20;
  return volume;
}

WsVm *inv_rig_vm(InvTxn *txn, const char *uuid)
{
  WsVm *vm = inv_create(txn, &ws_type_vm);

  vm->name = g_strdup("vm");
  vm->uuid = g_strdup(uuid);
  return vm;
}

void inv_rig_attach(WsVm *vm, WsId volume)
{
  WsVmDisk *disk = ws_object_new(&ws_type_vm_disk);

  disk->volume = volume;
  vm->disks.items = g_renew(WsVmDisk *, vm->disks.items, vm->disks.len + 1);
  vm->disks.items[vm->disks.len++] = disk;
}

WsEvent *inv_rig_event(const char *object, gint64 wall_us)
{
  WsEvent *event = ws_object_new(&ws_type_event);

  event->time = wall_us;
  event->object = g_strdup(object);
  event->text = g_strdup("vm_started");
  return event;
}

void inv_rig_assert_error(GError **error, WsErrorCode code, const char *field)
{
  g_assert_error(*error, WS_ERROR, (gint)code);
  if (field)
    g_assert_cmpstr(ws_error_field(*error), ==, field);
  g_clear_error(error);
}
