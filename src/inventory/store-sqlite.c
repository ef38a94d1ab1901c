// SPDX-License-Identifier: Apache-2.0
/* The write connection: opening and checking the database, tables after the descriptors, rows, facts,
 * checkpoints.
 *
 * SQLite runs in WAL mode with synchronous=FULL: a commit is one append and one sync of the WAL. Checkpoints
 * are never automatic: they would happen inside somebody's commit; store.c asks for them. */
#include "inventory/store-sqlite.h"
#include "base/plant.h"
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

bool sqlite_fail(StoreSqlite *q, sqlite3 *db, WsErrorCode code, const char *doing, GError **error)
{
  g_autofree char *cause =
      g_strdup_printf("%s: %s (%s)", doing, sqlite3_errmsg(db), sqlite3_errstr(sqlite3_extended_errcode(db)));

  int result = sqlite3_errcode(db);

  if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB)
    return ws_fail(error, WS_ERROR_DATABASE_DAMAGED, "path", q->store->path, "cause", cause, NULL);
  if (code == WS_ERROR_IO_ERROR)
    return ws_fail(error, code, "path", q->store->path, "cause", cause, NULL);
  return ws_fail(error, code, "cause", cause, NULL);
}

bool sqlite_run(StoreSqlite *q, sqlite3 *db, const char *sql, GError **error)
{
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
    return true;
  return sqlite_fail(q, db, WS_ERROR_IO_ERROR, sql, error);
}

sqlite3_stmt *sqlite_prepare(StoreSqlite *q, sqlite3 *db, const char *sql, GError **error)
{
  sqlite3_stmt *statement;

  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) == SQLITE_OK)
    return statement;
  sqlite_fail(q, db, WS_ERROR_IO_ERROR, sql, error);
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

/* The file lock is on a file of its own, because SQLite's locks are lost when any descriptor of the database is closed. */
static bool lock_file(StoreSqlite *q, GError **error)
{
  g_autofree char *lock_path = g_strconcat(q->store->path, ".lock", NULL);

  q->lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (q->lock_fd < 0)
    return fail_errno(lock_path, "open", error);
  if (flock(q->lock_fd, LOCK_EX | LOCK_NB) != 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", q->store->path, "cause", "another process has it open", NULL);
  return true;
}

/* SQLite takes over the mode of the database for its other files. */
static bool prepare_file(StoreSqlite *q, GError **error)
{
  int fd = open(q->store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  if (fd < 0 || fchmod(fd, 0600) != 0) {
    fail_errno(q->store->path, "open", error);
    if (fd >= 0)
      close(fd);
    return false;
  }
  close(fd); /* before SQLite opens it */
  return true;
}

static bool check_owner(StoreSqlite *q, GError **error)
{
  gint64 application = query_int(q->db, "PRAGMA application_id");
  gint64 schema = query_int(q->db, "PRAGMA user_version");
  gint64 n_tables = query_int(q->db, "SELECT count(*) FROM sqlite_schema");
  char ours[24], theirs[24];

  if (sqlite3_errcode(q->db) != SQLITE_OK && sqlite3_errcode(q->db) != SQLITE_DONE &&
      sqlite3_errcode(q->db) != SQLITE_ROW)
    return sqlite_fail(q, q->db, WS_ERROR_IO_ERROR, "read", error);
  if (application != SQLITE_APPLICATION_ID && (application != 0 || n_tables != 0))
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", q->store->path, "cause", "not a WinSphere database", NULL);
  if (schema <= store_schema.version)
    return true;
  g_snprintf(ours, sizeof ours, "schema %d", store_schema.version);
  g_snprintf(theirs, sizeof theirs, "schema %" G_GINT64_FORMAT, schema);
  return ws_fail(error, WS_ERROR_VERSION_MISMATCH, "ours", ours, "theirs", theirs, "cause", q->store->path,
                 NULL);
}

static bool check_pages(StoreSqlite *q, const char *table, GError **error)
{
  g_autofree char *sql =
      table ? g_strdup_printf("PRAGMA quick_check(\"%s\")", table) : g_strdup("PRAGMA quick_check");
  g_autofree char *verdict = query_text(q->db, sql, NULL), *cause = NULL;

  if (g_strcmp0(verdict, "ok") == 0)
    return true;
  cause = g_strdup(verdict ? verdict : sqlite3_errmsg(q->db));
  return ws_fail(error, WS_ERROR_DATABASE_DAMAGED, "path", q->store->path, "cause", cause, NULL);
}

static bool check_content(StoreSqlite *q, GError **error)
{
  gint64 bytes =
      query_int(q->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");

  if (bytes <= FULL_CHECK_BYTES)
    return check_pages(q, NULL, error);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!q->store->tables[i].history && !check_pages(q, q->store->tables[i].type->plural, error))
      return false;
  return check_pages(q, "meta", error);
}

bool sqlite_make_facts(StoreSqlite *q, GError **error)
{
  return sqlite_run(q, q->db,
                    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID", error);
}

bool sqlite_make_table(StoreSqlite *q, const char *table, GError **error)
{
  g_autofree char *sql = g_strdup_printf("CREATE TABLE IF NOT EXISTS \"%s\" (id INTEGER PRIMARY KEY,"
                                         " revision INTEGER NOT NULL, body TEXT NOT NULL) STRICT",
                                         table);

  return sqlite_run(q, q->db, sql, error);
}

static bool make_tables(StoreSqlite *q, GError **error)
{
  if (!sqlite_make_facts(q, error))
    return false;
  for (guint i = 0; i < ws_n_resource_types; i++) {
    const StoreTable *table = &q->store->tables[i];
    if (!sqlite_make_table(q, table->type->plural, error) ||
        (table->history && !sqlite_history_prepare(q, table, error)))
      return false;
  }
  return true;
}

/* Runs api/schema/NNN.sql from the database's version on. Before tables and columns are made: those are
 * filled from the bodies as they are now. A new database (version 0) has nothing to change. */
static bool migrate(StoreSqlite *q, GError **error)
{
  gint64 schema = query_int(q->db, "PRAGMA user_version");
  g_autofree char *stamp =
      g_strdup_printf("PRAGMA user_version=%d; PRAGMA application_id=%d", store_schema.version, SQLITE_APPLICATION_ID);

  for (gint64 i = schema; i > 0 && i < store_schema.version; i++)
    if (!sqlite_run(q, q->db, store_schema.migrations[i - 1], error))
      return false;
  return schema == store_schema.version || sqlite_run(q, q->db, stamp, error);
}

/* Tables and migrations are one transaction: a start that dies in the middle has changed nothing. */
static bool upgrade(StoreSqlite *q, GError **error)
{
  if (!sqlite_run(q, q->db, "BEGIN IMMEDIATE", error))
    return false;
  if (migrate(q, error) && make_tables(q, error) && sqlite_run(q, q->db, "COMMIT", error))
    return true;
  if (!sqlite3_get_autocommit(q->db))
    sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

static int count_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
  StoreSqlite *q = arg;

  g_atomic_int_set(&q->wal_bytes, (gint)MIN((gint64)pages * 4096, G_MAXINT));
  return SQLITE_OK;
}

static bool set_pragmas(StoreSqlite *q, GError **error)
{
  g_autofree char *mode = NULL;

  if (!sqlite_run(q, q->db,
                  "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                  "PRAGMA secure_delete=ON;" /* what is deleted, and what an older version left in clear, is not found in free pages */
                  "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864",
                  error) ||
      (SIM_PLANT(store_never_syncs) && !sqlite_run(q, q->db, "PRAGMA synchronous=OFF", error)))
    return false;
  mode = query_text(q->db, "PRAGMA journal_mode=WAL", NULL);
  if (g_strcmp0(mode, q->in_memory ? "memory" : "wal") != 0)
    return sqlite_fail(q, q->db, WS_ERROR_IO_ERROR, "journal_mode=WAL", error);
  sqlite3_wal_hook(q->db, count_wal, q); /* in place of automatic checkpoints */
  return true;
}

static bool prepare_statements(StoreSqlite *q, GError **error)
{
  return (q->begin = sqlite_prepare(q, q->db, "BEGIN IMMEDIATE", error)) != NULL &&
         (q->commit = sqlite_prepare(q, q->db, "COMMIT", error)) != NULL &&
         (q->rollback = sqlite_prepare(q, q->db, "ROLLBACK", error)) != NULL &&
         (q->put_meta = sqlite_prepare(q, q->db, "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", error)) !=
             NULL;
}

static bool hold_database(Store *store, GError **error)
{
  StoreSqlite *q = g_new0(StoreSqlite, 1);

  store->db = q;
  q->store = store;
  q->in_memory = strcmp(store->path, ":memory:") == 0;
  q->lock_fd = -1;
  q->put = g_new0(sqlite3_stmt *, ws_n_resource_types);
  q->drop = g_new0(sqlite3_stmt *, ws_n_resource_types);
  pthread_mutex_init(&q->read_lock, NULL);
  return q->in_memory || store->stand || lock_file(q, error);
}

bool sqlite_open_file(StoreSqlite *q, GError **error)
{
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

  if (!sqlite_vfs_register(q, error) || (!q->in_memory && !q->store->stand && !prepare_file(q, error)))
    return false;
  return sqlite3_open_v2(q->store->path, &q->db, flags, q->vfs_name) == SQLITE_OK ||
         sqlite_fail(q, q->db, WS_ERROR_IO_ERROR, "open", error);
}

static bool open_database(Store *store, GError **error)
{
  StoreSqlite *q = store->db;

  if (!q->in_memory && !store->stand && !sqlite_is_whole(store, error))
    return false;
  return sqlite_open_file(q, error) && check_owner(q, error) && set_pragmas(q, error) && upgrade(q, error) && check_content(q, error) &&
         prepare_statements(q, error) && sqlite_history_open_reader(q, error);
}

static void close_database(Store *store)
{
  StoreSqlite *q = store->db;

  sqlite3_close(q->read_db);
  for (guint i = 0; i < ws_n_resource_types; i++) {
    sqlite3_finalize(q->put[i]);
    sqlite3_finalize(q->drop[i]);
  }
  sqlite3_finalize(q->begin);
  sqlite3_finalize(q->commit);
  sqlite3_finalize(q->rollback);
  sqlite3_finalize(q->put_meta);
  sqlite3_finalize(q->fill);
  if (q->db && sqlite3_close(q->db) != SQLITE_OK)
    g_error("store: a statement was left open");
  if (q->lock_fd >= 0)
    close(q->lock_fd);
  sqlite_vfs_unregister(q);
  pthread_mutex_destroy(&q->read_lock);
  g_free(q->put);
  g_free(q->drop);
  g_free(q);
}

/* ---- writing ---- */

/* INSERT OR REPLACE of all columns: id, revision, body, then a history table's own. */
static sqlite3_stmt *prepare_put(StoreSqlite *q, const StoreTable *table, GError **error)
{
  g_autoptr(GString) sql = g_string_new(NULL);

  g_string_printf(sql, "INSERT OR REPLACE INTO \"%s\" (id, revision, body", table->type->plural);
  for (guint i = 0; i < table->n_columns; i++)
    g_string_append_printf(sql, ", \"%s\"", table->columns[i]->name);
  g_string_append(sql, ") VALUES (?, ?, ?");
  for (guint i = 0; i < table->n_columns; i++)
    g_string_append(sql, ", ?");
  g_string_append_c(sql, ')');
  return sqlite_prepare(q, q->db, sql->str, error);
}

static sqlite3_stmt *prepare_drop(StoreSqlite *q, const StoreTable *table, GError **error)
{
  g_autofree char *sql = g_strdup_printf("DELETE FROM \"%s\" WHERE id = ?1", table->type->plural);

  return sqlite_prepare(q, q->db, sql, error);
}

static bool write_row(StoreSqlite *q, const StoreRow *row, GError **error)
{
  const StoreTable *table = store_table(q->store, row->type);
  sqlite3_stmt **statement = row->object ? &q->put[row->type->index] : &q->drop[row->type->index];
  GString *body = q->store->body;
  int result;

  if (!*statement)
    *statement = row->object ? prepare_put(q, table, error) : prepare_drop(q, table, error);
  if (!*statement)
    return false;
  result = sqlite3_bind_int64(*statement, 1, (sqlite3_int64)row->id);
  if (row->object) {
    store_write_body(q->store, row);
    if (result == SQLITE_OK)
      result = sqlite3_bind_int64(*statement, 2, (sqlite3_int64)row->revision);
    if (result == SQLITE_OK)
      result = sqlite3_bind_text64(*statement, 3, body->str, body->len, SQLITE_STATIC, SQLITE_UTF8);
    if (result == SQLITE_OK)
      result = sqlite_history_bind(table, *statement, row->object);
  }
  if (result == SQLITE_OK)
    result = sqlite_fault_result(store_fault(q->store, "row"));
  if (result == SQLITE_OK)
    result = run(*statement);
  return result == SQLITE_OK || sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, table->type->plural, error);
}

static bool write_meta(StoreSqlite *q, const char *const *meta, GError **error)
{
  for (; meta && meta[0]; meta += 2) {
    sqlite3_bind_text(q->put_meta, 1, meta[0], -1, SQLITE_STATIC);
    sqlite3_bind_text(q->put_meta, 2, meta[1], -1, SQLITE_STATIC);
    if (run(q->put_meta) != SQLITE_OK)
      return sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, "meta", error);
  }
  return true;
}

static bool begin(StoreSqlite *q, GError **error)
{
  int result = sqlite_fault_result(store_fault(q->store, "begin"));

  return (result == SQLITE_OK && run(q->begin) == SQLITE_OK) ||
         sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, "begin", error);
}

/* A commit can fail although its frames are already synced (SQLite appends to its index of the WAL after
 * that). Then nothing shows here, but a restart would replay it: so it must not be reported as rolled back.
 */
static bool commit(StoreSqlite *q, GError **error)
{
  int result = sqlite_fault_result(store_fault(q->store, "commit"));

  g_atomic_int_set(&q->wal_tail_synced, 0);
  if (result == SQLITE_OK && run(q->commit) == SQLITE_OK) {
    store_fault(q->store, "committed");
    return true;
  }
  if (g_atomic_int_get(&q->wal_tail_synced))
    store_die(q->store, "commit", sqlite3_errmsg(q->db));
  return sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, "commit", error);
}

/* After an error SQLite has sometimes rolled back by itself. The statement is prepared: there may be no
 * memory now. */
static void roll_back(StoreSqlite *q)
{
  if (!sqlite3_get_autocommit(q->db))
    run(q->rollback);
  if (!sqlite3_get_autocommit(q->db))
    store_die(q->store, "rollback", sqlite3_errmsg(q->db));
}

static bool write_jobs(Store *store, const StoreJob *first, GError **error)
{
  StoreSqlite *q = store->db;
  bool ok = begin(q, error);

  for (const StoreJob *job = first; ok && job; job = job->next) {
    for (guint i = 0; ok && i < job->n_rows; i++)
      ok = write_row(q, &job->rows[i], error);
    ok = ok && write_meta(q, (const char *const *)job->meta, error);
  }
  if (ok && commit(q, error))
    return true;
  roll_back(q);
  return false;
}

/* RESTART leaves the WAL's blocks in place: overwriting them is cheaper to sync than growing the file.
 * Readers of history may hold it back; then as much as possible is done. */
static bool checkpoint(Store *store, GError **error)
{
  StoreSqlite *q = store->db;
  int result = sqlite_fault_result(store_fault(store, "checkpoint"));

  if (result == SQLITE_OK)
    result = sqlite3_wal_checkpoint_v2(q->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
  if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
    return sqlite_fail(q, q->db, WS_ERROR_READ_ONLY, "checkpoint", error);
  if (result == SQLITE_OK)
    g_atomic_int_set(&q->wal_bytes, 0);
  return true;
}

static bool needs_checkpoint(Store *store, bool *urgent)
{
  gint bytes = g_atomic_int_get(&((StoreSqlite *)store->db)->wal_bytes);

  *urgent = bytes >= SQLITE_WAL_BYTES_MAX;
  return bytes > 0;
}

/* ---- reading ---- */

static char *get_meta(Store *store, const char *name)
{
  return query_text(((StoreSqlite *)store->db)->db, "SELECT value FROM meta WHERE name = ?1", name);
}

/* id, revision, body of each row of a statement that is bound. */
bool sqlite_each(StoreSqlite *q, sqlite3 *db, sqlite3_stmt *rows, StoreRaw each, void *arg, GError **error)
{
  int result;

  while ((result = sqlite3_step(rows)) == SQLITE_ROW) {
    const char *body = (const char *)sqlite3_column_text(rows, 2);
    if (!body)
      return sqlite_fail(q, db, WS_ERROR_IO_ERROR, "read", error);
    if (!each((WsId)sqlite3_column_int64(rows, 0), (Revision)sqlite3_column_int64(rows, 1), body,
              (gsize)sqlite3_column_bytes(rows, 2), arg, error))
      return false;
  }
  return result == SQLITE_DONE || sqlite_fail(q, db, WS_ERROR_IO_ERROR, "read", error);
}

static bool load_table(Store *store, const StoreTable *table, StoreRaw each, void *arg, GError **error)
{
  StoreSqlite *q = store->db;
  g_autofree char *sql = g_strdup_printf("SELECT id, revision, body FROM \"%s\" ORDER BY id", table->type->plural);
  sqlite3_stmt *rows = sqlite_prepare(q, q->db, sql, error);
  bool ok = rows && sqlite_each(q, q->db, rows, each, arg, error);

  sqlite3_finalize(rows);
  return ok;
}

const StoreBackend store_sqlite = {
    .hold = hold_database,
    .open = open_database,
    .close = close_database,
    .load = load_table,
    .get_meta = get_meta,
    .write = write_jobs,
    .query = sqlite_history_query,
    .expire = sqlite_history_expire,
    .tidy = checkpoint,
    .is_untidy = needs_checkpoint,
    .begin_view = sqlite_begin_view,
    .view_table = sqlite_view_table,
    .view_facts = sqlite_view_facts,
    .end_view = sqlite_end_view,
    .begin_fill = sqlite_begin_fill,
    .begin_table = sqlite_begin_table,
    .fill_row = sqlite_fill_row,
    .end_table = sqlite_end_table,
    .fill_fact = sqlite_fill_fact,
    .end_fill = sqlite_end_fill,
    .look = sqlite_look,
    .take_place = sqlite_take_place,
    .drop_beside = sqlite_drop_beside,
};
