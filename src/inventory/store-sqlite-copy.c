// SPDX-License-Identifier: Apache-2.0
/* SQLite: views, filling, and taking the place of another database. See StoreBackend.
 *
 * A database is its file and the WAL beside it, and no call of the system replaces both at once. So while they are replaced
 * there is a marker, "<path>.replacing", that names the copy of the old ones; opening is refused while it is there. */
#include "inventory/store-sqlite.h"
#include "base/files.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- views ---- */

void *sqlite_begin_view(Store *store, GError **error)
{
  StoreSqlite *q = store->db;
  sqlite3 *view = NULL;
  bool ok;

  g_assert(!q->in_memory);
  ok = sqlite3_open_v2(store->path, &view, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, q->vfs_name) ==
           SQLITE_OK ||
       sqlite_fail(q, view, WS_ERROR_IO_ERROR, "open for reading", error);
  /* A transaction sees the state of its first read. */
  if (ok && sqlite_run(q, view, "PRAGMA cell_size_check=ON; BEGIN; SELECT count(*) FROM meta", error))
    return view;
  sqlite3_close(view);
  return NULL;
}

bool sqlite_view_table(Store *store, void *view, const char *table, StoreRaw each, void *arg, GError **error)
{
  g_autofree char *sql = g_strdup_printf("SELECT id, revision, body FROM \"%s\" ORDER BY id", table);
  sqlite3_stmt *rows = sqlite_prepare(store->db, view, sql, error);
  bool ok = rows && sqlite_each(store->db, view, rows, each, arg, error);

  sqlite3_finalize(rows);
  return ok;
}

bool sqlite_view_facts(Store *store, void *view, StoreFact each, void *arg, GError **error)
{
  sqlite3_stmt *rows = sqlite_prepare(store->db, view, "SELECT name, value FROM meta ORDER BY name", error);
  int result = SQLITE_DONE;
  bool ok = rows != NULL;

  while (ok && (result = sqlite3_step(rows)) == SQLITE_ROW)
    ok = each((const char *)sqlite3_column_text(rows, 0), (const char *)sqlite3_column_text(rows, 1), arg, error);
  if (ok && result != SQLITE_DONE)
    ok = sqlite_fail(store->db, view, WS_ERROR_IO_ERROR, "meta", error);
  sqlite3_finalize(rows);
  return ok;
}

void sqlite_end_view(Store *store, void *view)
{
  sqlite3_close(view); /* and its transaction */
}

/* ---- filling ---- */

bool sqlite_begin_fill(Store *store, gint64 schema, GError **error)
{
  StoreSqlite *q = store->db;
  g_autofree char *sql = g_strdup_printf("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN IMMEDIATE; PRAGMA user_version=%" G_GINT64_FORMAT
                                         "; PRAGMA application_id=%d",
                                         schema, SQLITE_APPLICATION_ID);

  return sqlite_open_file(q, error) && sqlite_run(q, q->db, sql, error) && sqlite_make_facts(q, error);
}

bool sqlite_begin_table(Store *store, const char *table, GError **error)
{
  StoreSqlite *q = store->db;
  g_autofree char *sql = g_strdup_printf("INSERT INTO \"%s\" (id, revision, body) VALUES (?1, ?2, ?3)", table);

  if (sqlite_make_table(q, table, error))
    q->fill = sqlite_prepare(q, q->db, sql, error);
  return q->fill != NULL;
}

bool sqlite_fill_row(Store *store, WsId id, Revision revision, const char *body, gsize n, GError **error)
{
  StoreSqlite *q = store->db;
  int result;

  sqlite3_bind_int64(q->fill, 1, (sqlite3_int64)id);
  sqlite3_bind_int64(q->fill, 2, (sqlite3_int64)revision);
  sqlite3_bind_text64(q->fill, 3, body, n, SQLITE_STATIC, SQLITE_UTF8);
  result = sqlite3_step(q->fill);
  sqlite3_reset(q->fill);
  return result == SQLITE_DONE || sqlite_fail(q, q->db, WS_ERROR_IO_ERROR, "fill", error);
}

bool sqlite_end_table(Store *store, GError **error)
{
  StoreSqlite *q = store->db;

  sqlite3_finalize(q->fill);
  q->fill = NULL;
  return true;
}

bool sqlite_fill_fact(Store *store, const char *name, const char *value, GError **error)
{
  StoreSqlite *q = store->db;
  sqlite3_stmt *put = sqlite_prepare(q, q->db, "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", error);
  int result;

  if (!put)
    return false;
  sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC);
  sqlite3_bind_text(put, 2, value, -1, SQLITE_STATIC);
  result = sqlite3_step(put);
  sqlite3_finalize(put);
  return result == SQLITE_DONE || sqlite_fail(q, q->db, WS_ERROR_IO_ERROR, "fill", error);
}

bool sqlite_end_fill(Store *store, GError **error)
{
  StoreSqlite *q = store->db;

  return sqlite_run(q, q->db, "COMMIT", error);
}

/* ---- places ---- */

static bool fail_errno(const char *path, const char *doing, GError **error)
{
  g_autofree char *cause = g_strdup_printf("%s: %s", doing, g_strerror(errno));

  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

/* Anything that cannot be read counts as a database: it may be a damaged one. */
bool sqlite_look(Store *store, bool *occupied, GError **error)
{
  struct stat st;
  sqlite3 *db = NULL;
  sqlite3_stmt *row = NULL;

  *occupied = stat(store->path, &st) == 0 && st.st_size > 0;
  if (!*occupied)
    return true;
  if (sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
      sqlite3_prepare_v2(db, "SELECT 1 FROM meta WHERE name = '" STORE_MOVED_TO "' AND value <> ''", -1, &row, NULL) == SQLITE_OK)
    *occupied = sqlite3_step(row) != SQLITE_ROW;
  sqlite3_finalize(row);
  sqlite3_close(db);
  return true;
}

static char *marker_of(Store *store)
{
  return g_strconcat(store->path, ".replacing", NULL);
}

bool sqlite_is_whole(Store *store, GError **error)
{
  g_autofree char *marker = marker_of(store), *cause = NULL;

  if (access(marker, F_OK) != 0)
    return true;
  cause = g_strdup_printf("replacing it was cut short (%s): do that again", marker);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", cause, NULL);
}

/* A second name for a file; one that a run before this one has given it already is as good. */
static bool add_name(const char *path, const char *name, GError **error)
{
  struct stat file, other;

  if (link(path, name) == 0)
    return true;
  if (errno == EEXIST && stat(path, &file) == 0 && stat(name, &other) == 0 && file.st_ino == other.st_ino &&
      file.st_dev == other.st_dev)
    return true;
  return fail_errno(name, "link", error);
}

/* A second name for the database and its WAL. *kept stays NULL when there is none. */
static bool keep_old(Store *store, const char *stamp, char **kept, GError **error)
{
  g_autofree char *name = g_strdup_printf("%s.%s", store->path, stamp), *wal = g_strconcat(store->path, "-wal", NULL),
                  *wal_name = g_strconcat(name, "-wal", NULL);
  struct stat st;

  if (stat(store->path, &st) != 0 || st.st_size == 0)
    return true;
  if (!add_name(store->path, name, error) || (access(wal, F_OK) == 0 && !add_name(wal, wal_name, error)))
    return false;
  *kept = g_steal_pointer(&name);
  return ws_directory_sync(store->path, error);
}

static bool remove_file(Store *store, const char *suffix, GError **error)
{
  g_autofree char *path = g_strconcat(store->path, suffix, NULL);

  return unlink(path) == 0 || errno == ENOENT || fail_errno(path, "delete", error);
}

/* What was kept stands in the marker: when this is done again, the old files are no longer whole and must not be kept again. */
bool sqlite_take_place(Store *store, const char *stamp, char **kept, GError **error)
{
  g_autofree char *marker = marker_of(store), *beside = g_strconcat(store->path, STORE_BESIDE, NULL);

  *kept = NULL;
  if (access(marker, F_OK) == 0) {
    *kept = ws_file_read(marker, 4096, NULL, error);
    if (!*kept)
      return false;
  } else if (!keep_old(store, stamp, kept, error) || !ws_file_write(marker, *kept ? *kept : "", *kept ? strlen(*kept) : 0, 0600, error)) {
    return false;
  }
  if (!remove_file(store, "-wal", error) || !remove_file(store, "-shm", error) || !ws_directory_sync(store->path, error))
    return false;
  if (rename(beside, store->path) != 0)
    return fail_errno(beside, "rename", error);
  if (*kept && !**kept)
    g_clear_pointer(kept, g_free);
  return ws_directory_sync(store->path, error) && remove_file(store, ".replacing", error) && ws_directory_sync(store->path, error);
}

bool sqlite_drop_beside(Store *store, GError **error)
{
  return remove_file(store, STORE_BESIDE, error) && remove_file(store, STORE_BESIDE "-wal", error) &&
         remove_file(store, STORE_BESIDE "-shm", error) && remove_file(store, STORE_BESIDE ".lock", error);
}
