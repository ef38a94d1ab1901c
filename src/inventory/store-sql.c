// SPDX-License-Identifier: Apache-2.0
/* The write connection: opening and checking the database, tables after the descriptors, rows, facts,
 * checkpoints.
 *
 * SQLite runs in WAL mode with synchronous=FULL: a commit is one append and one sync of the WAL. Checkpoints
 * are never automatic: they would happen inside somebody's commit; store.c asks for them. */
#include "inventory/store-private.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A database up to this size is checked whole when it is opened; of a larger one (it is history that grows)
 * only the tables that the inventory is loaded from. */
#define FULL_CHECK_BYTES (256ll << 20)

/* ---- small things ---- */

bool store_sql_fail(Store *store, sqlite3 *db, WsErrorCode code, const char *doing, GError **error)
{
  g_autofree char *cause =
      g_strdup_printf("%s: %s (%s)", doing, sqlite3_errmsg(db), sqlite3_errstr(sqlite3_extended_errcode(db)));

  if (code == WS_ERROR_IO_ERROR)
    return ws_fail(error, code, "path", store->path, "cause", cause, NULL);
  return ws_fail(error, code, "cause", cause, NULL);
}

bool store_sql_exec(Store *store, sqlite3 *db, const char *sql, GError **error)
{
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
    return true;
  return store_sql_fail(store, db, WS_ERROR_IO_ERROR, sql, error);
}

sqlite3_stmt *store_sql_prepare(Store *store, sqlite3 *db, const char *sql, GError **error)
{
  sqlite3_stmt *statement;

  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) == SQLITE_OK)
    return statement;
  store_sql_fail(store, db, WS_ERROR_IO_ERROR, sql, error);
  return NULL;
}

/* Runs a statement that returns no row, and makes it ready for the next time. */
static int run(sqlite3_stmt *statement)
{
  int result = sqlite3_step(statement);

  sqlite3_reset(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

/* First column of the first row as text; NULL when there is none. */
static char *query_text(sqlite3 *db, const char *sql, const char *parameter)
{
  sqlite3_stmt *statement;
  char *text = NULL;

  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
    return NULL;
  if (parameter)
    sqlite3_bind_text(statement, 1, parameter, -1, SQLITE_STATIC);
  if (sqlite3_step(statement) == SQLITE_ROW)
    text = g_strdup((const char *)sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  return text;
}

static gint64 query_int(sqlite3 *db, const char *sql)
{
  g_autofree char *text = query_text(db, sql, NULL);

  return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

/* ---- opening ---- */

static bool fail_errno(const char *path, const char *doing, GError **error)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errno));

  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

/* SQLite takes over the mode of the database for its other files. The file lock is on a file of its own,
 * because SQLite's locks are lost when any descriptor of the database is closed. */
static bool prepare_files(Store *store, GError **error)
{
  g_autofree char *lock_path = g_strconcat(store->path, ".lock", NULL);
  int fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0 || fchmod(fd, 0600) != 0) {
    fail_errno(store->path, "open", error);
    if (fd >= 0)
      close(fd);
    return false;
  }
  close(fd); /* before SQLite opens it */
  store->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (store->lock_fd < 0)
    return fail_errno(lock_path, "open", error);
  if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", "another process has it open",
                   NULL);
  return true;
}

static bool check_owner(Store *store, GError **error)
{
  gint64 application = query_int(store->db, "PRAGMA application_id");
  gint64 schema = query_int(store->db, "PRAGMA user_version");
  gint64 n_tables = query_int(store->db, "SELECT count(*) FROM sqlite_schema");
  char ours[24], theirs[24];

  if (sqlite3_errcode(store->db) != SQLITE_OK && sqlite3_errcode(store->db) != SQLITE_DONE &&
      sqlite3_errcode(store->db) != SQLITE_ROW)
    return store_sql_fail(store, store->db, WS_ERROR_IO_ERROR, "read", error);
  if (application != STORE_APPLICATION_ID && (application != 0 || n_tables != 0))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", "not a WinSphere database", NULL);
  if (schema <= STORE_SCHEMA)
    return true;
  g_snprintf(ours, sizeof ours, "schema %d", STORE_SCHEMA);
  g_snprintf(theirs, sizeof theirs, "schema %" G_GINT64_FORMAT, schema);
  return ws_fail(error, WS_ERROR_VERSION_MISMATCH, "ours", ours, "theirs", theirs, "cause", store->path,
                 NULL);
}

static bool check_pages(Store *store, const char *table, GError **error)
{
  g_autofree char *sql =
      table ? g_strdup_printf("PRAGMA quick_check(\"%s\")", table) : g_strdup("PRAGMA quick_check");
  g_autofree char *verdict = query_text(store->db, sql, NULL), *cause = NULL;

  if (g_strcmp0(verdict, "ok") == 0)
    return true;
  cause = g_strdup_printf("the database is damaged: %s", verdict ? verdict : sqlite3_errmsg(store->db));
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", cause, NULL);
}

static bool check_content(Store *store, GError **error)
{
  gint64 bytes =
      query_int(store->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");

  if (bytes <= FULL_CHECK_BYTES)
    return check_pages(store, NULL, error);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!store->tables[i].history && !check_pages(store, store->tables[i].type->plural, error))
      return false;
  return check_pages(store, "meta", error);
}

static bool make_tables(Store *store, GError **error)
{
  if (!store_sql_exec(store, store->db,
                      "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, "
                      "WITHOUT ROWID",
                      error))
    return false;
  for (guint i = 0; i < ws_n_resource_types; i++) {
    StoreTable *table = &store->tables[i];
    g_autofree char *sql = g_strdup_printf("CREATE TABLE IF NOT EXISTS \"%s\" (id INTEGER PRIMARY KEY,"
                                           " revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT",
                                           table->type->plural);
    if (!store_sql_exec(store, store->db, sql, error))
      return false;
    if (table->history && !store_history_prepare(store, table, error))
      return false;
  }
  return true;
}

/* Runs api/schema/NNN.sql from the database's version on. Before tables and columns are made: those are
 * filled from the bodies as they are now. A new database (version 0) has nothing to change. */
static bool migrate(Store *store, GError **error)
{
  gint64 schema = query_int(store->db, "PRAGMA user_version");
  g_autofree char *stamp =
      g_strdup_printf("PRAGMA user_version=%d; PRAGMA application_id=%d", STORE_SCHEMA, STORE_APPLICATION_ID);

  for (gint64 i = schema; i > 0 && i < STORE_SCHEMA; i++)
    if (!store_sql_exec(store, store->db, ws_schema_migrations[i - 1], error))
      return false;
  return schema == STORE_SCHEMA || store_sql_exec(store, store->db, stamp, error);
}

/* Tables and migrations are one transaction: a start that dies in the middle has changed nothing. */
static bool upgrade(Store *store, GError **error)
{
  if (!store_sql_exec(store, store->db, "BEGIN IMMEDIATE", error))
    return false;
  if (migrate(store, error) && make_tables(store, error) && store_sql_exec(store, store->db, "COMMIT", error))
    return true;
  if (!sqlite3_get_autocommit(store->db))
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

static int count_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
  Store *store = arg;

  g_atomic_int_set(&store->wal_bytes, (gint)MIN((gint64)pages * 4096, G_MAXINT));
  return SQLITE_OK;
}

bool store_sql_open(Store *store, GError **error)
{
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  g_autofree char *mode = NULL;

  store->body = g_string_sized_new(8192);
  store->tables = g_new0(StoreTable, ws_n_resource_types);
  for (guint i = 0; i < ws_n_resource_types; i++) {
    store->tables[i].type = ws_resource_types[i];
    store->tables[i].history = (ws_resource_types[i]->flags & WS_TYPE_HISTORY) != 0;
  }
  if (!store->in_memory && !prepare_files(store, error))
    return false;
  if (sqlite3_open_v2(store->path, &store->db, flags, store->vfs_name) != SQLITE_OK)
    return store_sql_fail(store, store->db, WS_ERROR_IO_ERROR, "open", error);
  if (!check_owner(store, error) ||
      !store_sql_exec(store, store->db,
                      "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                      "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864",
                      error))
    return false;
  mode = query_text(store->db, "PRAGMA journal_mode=WAL", NULL);
  if (g_strcmp0(mode, store->in_memory ? "memory" : "wal") != 0)
    return store_sql_fail(store, store->db, WS_ERROR_IO_ERROR, "journal_mode=WAL", error);
  sqlite3_wal_hook(store->db, count_wal, store); /* in place of automatic checkpoints */
  if (!upgrade(store, error) || !check_content(store, error))
    return false;
  return (store->begin = store_sql_prepare(store, store->db, "BEGIN IMMEDIATE", error)) != NULL &&
         (store->commit = store_sql_prepare(store, store->db, "COMMIT", error)) != NULL &&
         (store->rollback = store_sql_prepare(store, store->db, "ROLLBACK", error)) != NULL &&
         (store->put_meta = store_sql_prepare(
              store, store->db, "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", error)) != NULL;
}

void store_sql_close(Store *store)
{
  for (guint i = 0; store->tables && i < ws_n_resource_types; i++) {
    sqlite3_finalize(store->tables[i].put);
    sqlite3_finalize(store->tables[i].drop);
    g_free(store->tables[i].columns);
  }
  g_clear_pointer(&store->tables, g_free);
  sqlite3_finalize(store->begin);
  sqlite3_finalize(store->commit);
  sqlite3_finalize(store->rollback);
  sqlite3_finalize(store->put_meta);
  if (store->db && sqlite3_close(store->db) != SQLITE_OK)
    g_error("store: a statement was left open");
  store->db = NULL;
  if (store->lock_fd >= 0)
    close(store->lock_fd);
  if (store->body)
    g_string_free(store->body, TRUE);
  store->body = NULL;
}

/* ---- writing ---- */

/* INSERT OR REPLACE of all columns: id, revision, body, then a history table's own. */
static sqlite3_stmt *prepare_put(Store *store, StoreTable *table, GError **error)
{
  g_autoptr(GString) sql = g_string_new(NULL);

  g_string_printf(sql, "INSERT OR REPLACE INTO \"%s\" (id, revision, body", table->type->plural);
  for (guint i = 0; i < table->n_columns; i++)
    g_string_append_printf(sql, ", \"%s\"", table->columns[i]->name);
  g_string_append(sql, ") VALUES (?, ?, ?");
  for (guint i = 0; i < table->n_columns; i++)
    g_string_append(sql, ", ?");
  g_string_append_c(sql, ')');
  return store_sql_prepare(store, store->db, sql->str, error);
}

static sqlite3_stmt *prepare_drop(Store *store, StoreTable *table, GError **error)
{
  g_autofree char *sql = g_strdup_printf("DELETE FROM \"%s\" WHERE id = ?1", table->type->plural);

  return store_sql_prepare(store, store->db, sql, error);
}

static bool write_row(Store *store, const StoreRow *row, GError **error)
{
  StoreTable *table = &store->tables[row->type->index];
  sqlite3_stmt **statement = row->object ? &table->put : &table->drop;
  WsJsonWriter writer = ws_json_writer(store->body);
  int result;

  g_assert(table->type == row->type);
  if (!*statement)
    *statement = row->object ? prepare_put(store, table, error) : prepare_drop(store, table, error);
  if (!*statement)
    return false;
  result = sqlite3_bind_int64(*statement, 1, (sqlite3_int64)row->id);
  if (row->object) {
    g_string_truncate(store->body, 0);
    ws_object_write(row->type, row->object, WS_WRITE_STORED, NULL, &writer);
    if (result == SQLITE_OK)
      result = sqlite3_bind_int64(*statement, 2, (sqlite3_int64)row->revision);
    if (result == SQLITE_OK)
      result =
          sqlite3_bind_text64(*statement, 3, store->body->str, store->body->len, SQLITE_STATIC, SQLITE_UTF8);
    if (result == SQLITE_OK)
      result = store_history_bind(table, *statement, row->object);
  }
  if (result == SQLITE_OK)
    result = store_fault_result(store_fault(store, "row"));
  if (result == SQLITE_OK)
    result = run(*statement);
  return result == SQLITE_OK ||
         store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, table->type->plural, error);
}

static bool write_meta(Store *store, const char *const *meta, GError **error)
{
  for (; meta && meta[0]; meta += 2) {
    sqlite3_bind_text(store->put_meta, 1, meta[0], -1, SQLITE_STATIC);
    sqlite3_bind_text(store->put_meta, 2, meta[1], -1, SQLITE_STATIC);
    if (run(store->put_meta) != SQLITE_OK)
      return store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, "meta", error);
  }
  return true;
}

static bool begin(Store *store, GError **error)
{
  int result = store_fault_result(store_fault(store, "begin"));

  return (result == SQLITE_OK && run(store->begin) == SQLITE_OK) ||
         store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, "begin", error);
}

/* A commit can fail although its frames are already synced (SQLite appends to its index of the WAL after
 * that). Then nothing shows here, but a restart would replay it: so it must not be reported as rolled back.
 */
static bool commit(Store *store, GError **error)
{
  int result = store_fault_result(store_fault(store, "commit"));

  g_atomic_int_set(&store->wal_tail_synced, 0);
  if (result == SQLITE_OK && run(store->commit) == SQLITE_OK) {
    store_fault(store, "committed");
    return true;
  }
  if (g_atomic_int_get(&store->wal_tail_synced))
    store_die(store, "commit", sqlite3_errmsg(store->db));
  return store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, "commit", error);
}

/* After an error SQLite has sometimes rolled back by itself. The statement is prepared: there may be no
 * memory now. */
static void roll_back(Store *store)
{
  if (!sqlite3_get_autocommit(store->db))
    run(store->rollback);
  if (!sqlite3_get_autocommit(store->db))
    store_die(store, "rollback", sqlite3_errmsg(store->db));
}

bool store_sql_write(Store *store, const StoreJob *first, const StoreJob *end, GError **error)
{
  bool ok = begin(store, error);

  for (const StoreJob *job = first; ok && job != end; job = job->next) {
    for (guint i = 0; ok && i < job->n_rows; i++)
      ok = write_row(store, &job->rows[i], error);
    ok = ok && write_meta(store, (const char *const *)job->meta, error);
  }
  if (ok && commit(store, error))
    return true;
  roll_back(store);
  return false;
}

bool store_sql_write_meta(Store *store, const char *const *meta, GError **error)
{
  if (begin(store, error) && write_meta(store, meta, error) && commit(store, error))
    return true;
  roll_back(store);
  return false;
}

/* RESTART leaves the WAL's blocks in place: overwriting them is cheaper to sync than growing the file.
 * Readers of history may hold it back; then as much as possible is done. */
bool store_sql_checkpoint(Store *store, GError **error)
{
  int result = store_fault_result(store_fault(store, "checkpoint"));

  if (result == SQLITE_OK)
    result = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
  if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
    return store_sql_fail(store, store->db, WS_ERROR_READ_ONLY, "checkpoint", error);
  if (result == SQLITE_OK)
    g_atomic_int_set(&store->wal_bytes, 0);
  return true;
}

/* ---- facts and loading ---- */

char *store_get_meta(Store *store, const char *name)
{
  char *value;

  pthread_mutex_lock(&store->sql_lock);
  value = query_text(store->db, "SELECT value FROM meta WHERE name = ?1", name);
  pthread_mutex_unlock(&store->sql_lock);
  return value;
}

static bool load_row(Store *store, const WsType *type, sqlite3_stmt *rows, StoreEach each, void *arg,
                     GError **error)
{
  WsId id = (WsId)sqlite3_column_int64(rows, 0);
  const char *body = (const char *)sqlite3_column_text(rows, 1);
  gsize n = (gsize)sqlite3_column_bytes(rows, 1);
  GError *reason = NULL;
  WsResource *object = body ? ws_object_parse(type, body, n, WS_PARSE_STORED, &reason) : NULL;
  g_autofree char *cause = NULL;

  if (object && object->id == id)
    return each(object, arg, error);
  cause = g_strdup_printf("table %s, row %" G_GUINT64_FORMAT ": %s", type->plural, id,
                          reason ? reason->message : "the body does not belong to the row");
  g_clear_error(&reason);
  ws_resource_unref(object);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", cause, NULL);
}

static bool load_table(Store *store, const WsType *type, StoreEach each, void *arg, GError **error)
{
  g_autofree char *sql = g_strdup_printf("SELECT id, body FROM \"%s\" ORDER BY id", type->plural);
  sqlite3_stmt *rows = store_sql_prepare(store, store->db, sql, error);
  bool ok = rows != NULL;
  int result = SQLITE_DONE;

  while (ok && (result = sqlite3_step(rows)) == SQLITE_ROW)
    ok = load_row(store, type, rows, each, arg, error);
  if (ok && result != SQLITE_DONE)
    ok = store_sql_fail(store, store->db, WS_ERROR_IO_ERROR, type->plural, error);
  sqlite3_finalize(rows);
  return ok;
}

bool store_load(Store *store, StoreEach each, void *arg, GError **error)
{
  bool ok = true;

  pthread_mutex_lock(&store->sql_lock);
  for (guint i = 0; ok && i < ws_n_resource_types; i++)
    if (!store->tables[i].history)
      ok = load_table(store, store->tables[i].type, each, arg, error);
  pthread_mutex_unlock(&store->sql_lock);
  return ok;
}
