// SPDX-License-Identifier: Apache-2.0
/* The SQLite backend's own: what store-sqlite*.c share.
 *
 *   store-sqlite.c          opening and checking, schema, rows, facts, checkpoints
 *   store-sqlite-history.c  history: columns, queries, expiry
 *   store-sqlite-copy.c     views, filling, taking the place of another one
 *   store-sqlite-vfs.c      between SQLite and the file system: a failed sync ends the process; faults for tests */
#pragma once
#include "inventory/store-private.h"
#include <sqlite3.h>

#define SQLITE_APPLICATION_ID 0x57536e76 /* "WSnv" */
#define SQLITE_WAL_BYTES_MAX  (32 << 20) /* checkpoint at once */

typedef struct {
  Store *store;
  bool in_memory;
  int lock_fd; /* of "<path>.lock": one program per database */

  sqlite3 *db;
  sqlite3_stmt *begin, *commit, *rollback, *put_meta;
  sqlite3_stmt **put, **drop; /* by type->index, prepared when first used */
  sqlite3_stmt *fill;         /* while a table is filled */
  gint wal_bytes;             /* atomic: not yet checkpointed */

  pthread_mutex_t read_lock; /* guards read_db, the connection of history queries */
  sqlite3 *read_db;

  /* the VFS between */
  sqlite3_vfs vfs, *under;
  char *vfs_name;
  gint wal_tail_synced; /* atomic: the last thing that happened to the WAL was a good sync */
} StoreSqlite;

/* store-sqlite.c */
/* Sets `error` from the connection's last failure. Always false. */
bool sqlite_fail(StoreSqlite *q, sqlite3 *db, WsErrorCode code, const char *doing, GError **error);
bool sqlite_run(StoreSqlite *q, sqlite3 *db, const char *sql, GError **error);
sqlite3_stmt *sqlite_prepare(StoreSqlite *q, sqlite3 *db, const char *sql, GError **error);
/* Opens the file, making it if there is none, without looking into it. */
bool sqlite_open_file(StoreSqlite *q, GError **error);
bool sqlite_make_facts(StoreSqlite *q, GError **error);
bool sqlite_make_table(StoreSqlite *q, const char *table, GError **error);
/* id, revision, body of each row of a statement that is bound. */
bool sqlite_each(StoreSqlite *q, sqlite3 *db, sqlite3_stmt *rows, StoreRaw each, void *arg, GError **error);

/* store-sqlite-history.c */
/* Adds to a history table what columns and indexes it lacks. */
bool sqlite_history_prepare(StoreSqlite *q, const StoreTable *table, GError **error);
int sqlite_history_bind(const StoreTable *table, sqlite3_stmt *put, const void *object);
bool sqlite_history_open_reader(StoreSqlite *q, GError **error);
bool sqlite_history_query(Store *store, const StoreTable *table, const StoreQuery *query, StoreRaw each,
                          void *arg, GError **error);
bool sqlite_history_expire(Store *store, const StoreTable *table, gint64 wall_us, bool *more, GError **error);

/* store-sqlite-copy.c: see StoreBackend */
void *sqlite_begin_view(Store *store, GError **error);
bool sqlite_view_table(Store *store, void *view, const char *table, StoreRaw each, void *arg, GError **error);
bool sqlite_view_facts(Store *store, void *view, StoreFact each, void *arg, GError **error);
void sqlite_end_view(Store *store, void *view);
bool sqlite_begin_fill(Store *store, gint64 schema, GError **error);
bool sqlite_begin_table(Store *store, const char *table, GError **error);
bool sqlite_fill_row(Store *store, WsId id, Revision revision, const char *body, gsize n, GError **error);
bool sqlite_end_table(Store *store, GError **error);
bool sqlite_fill_fact(Store *store, const char *name, const char *value, GError **error);
bool sqlite_end_fill(Store *store, GError **error);
bool sqlite_look(Store *store, bool *occupied, GError **error);
bool sqlite_take_place(Store *store, const char *stamp, char **kept, GError **error);
bool sqlite_drop_beside(Store *store, GError **error);
/* No other one was just taking its place when that was cut short. */
bool sqlite_is_whole(Store *store, GError **error);

/* store-sqlite-vfs.c */
bool sqlite_vfs_register(StoreSqlite *q, GError **error);
void sqlite_vfs_unregister(StoreSqlite *q);
int sqlite_fault_result(int errno_value); /* what SQLite would say */
