// SPDX-License-Identifier: Apache-2.0
/* The PostgreSQL backend's own: what store-pg*.c share.
 *
 *   store-pg.c          addresses, connections, and who may write: lock, lease, reconnecting
 *   store-pg-schema.c   schema, migrations, tables and columns
 *   store-pg-write.c    transactions in one round trip each; finding out about those whose answer was lost
 *   store-pg-read.c     loading, facts, history
 *   store-pg-copy.c     views, filling, taking the place of another one
 *
 * One manager per database. The writing session holds an advisory lock for as long as it lives; the row `lease` has the
 * epoch of the manager that opened last and the number of its last transaction. Every transaction writes its number under
 * its epoch: one of a manager that has lost the lease fails, wherever it was held up. And since the lock is free only once
 * the session before has ended, who holds it reads in `lease` what became of a transaction whose answer was lost. */
#pragma once
#include "inventory/store-private.h"
#include <libpq-fe.h>

#define PG_LOCK_CLASS "1465085558" /* "WSnv": first half of the advisory lock's key; the second is made of the schema's name */

typedef struct {
  Store *store;
  char *schema;   /* where the tables are: the first one of the search path that is named, else "winsphere" */
  PGconn *writer; /* NULL: lost */
  guint64 epoch;  /* the lease's, ours */
  guint64 number; /* of the last transaction that is known to be committed */
  guint64 n_deleted; /* rows that the last transaction took away */
  gint64 backoff_us, next_try_us; /* monotonic; while the writer is lost */

  pthread_mutex_t read_lock; /* guards reader, the connection of history queries */
  PGconn *reader;
} StorePg;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PGresult, PQclear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PGconn, PQfinish)

/* store-pg.c */
/* Sets `error` from the result (may be NULL) or else the connection. Always false. */
bool pg_fail(StorePg *pg, PGconn *conn, const PGresult *result, WsErrorCode code, const char *doing, GError **error);
/* Runs SQL without parameters (several statements too: one transaction). */
bool pg_run(StorePg *pg, PGconn *conn, const char *sql, GError **error);
/* One statement with text parameters that returns rows; NULL with error. */
PGresult *pg_query(StorePg *pg, PGconn *conn, const char *sql, guint n, const char *const *values, GError **error);
/* A session of this database with the schema set; blocks for seconds. */
PGconn *pg_connect(StorePg *pg, bool read_only, GError **error);
/* Makes sure that there is a writing session that holds lock and lease. Fails at once while it is too early to try again
 * (`patient`: waits for that moment). A lease that others have taken, or a database that has forgotten what it had
 * acknowledged, ends the process. */
bool pg_writer(StorePg *pg, bool patient, GError **error);
void pg_lose_writer(StorePg *pg);

/* store-pg-schema.c */
/* Ours or empty, not newer, migrated; tables, columns and indexes after the descriptors. One transaction. */
bool pg_upgrade(StorePg *pg, GError **error);
bool pg_make_base(StorePg *pg, gint64 version, GError **error);
bool pg_make_table(StorePg *pg, const char *table, GError **error);
const char *pg_column_type(const WsField *field);

/* store-pg-write.c */
bool pg_prepare(StorePg *pg, PGconn *conn, GError **error);
bool pg_write(Store *store, const StoreJob *first, GError **error);
bool pg_expire(Store *store, const StoreTable *table, gint64 wall_us, bool *more, GError **error);

/* store-pg-read.c */
bool pg_copy_out(StorePg *pg, PGconn *conn, const char *table, StoreRaw each, void *arg, GError **error);
bool pg_load(Store *store, const StoreTable *table, StoreRaw each, void *arg, GError **error);
char *pg_get_meta(Store *store, const char *name);
bool pg_history_query(Store *store, const StoreTable *table, const StoreQuery *query, StoreRaw each,
                      void *arg, GError **error);

/* store-pg-copy.c: see StoreBackend */
void *pg_begin_view(Store *store, GError **error);
bool pg_view_table(Store *store, void *view, const char *table, StoreRaw each, void *arg, GError **error);
bool pg_view_facts(Store *store, void *view, StoreFact each, void *arg, GError **error);
void pg_end_view(Store *store, void *view);
bool pg_begin_fill(Store *store, gint64 schema, GError **error);
bool pg_begin_table(Store *store, const char *table, GError **error);
bool pg_fill_row(Store *store, WsId id, Revision revision, const char *body, gsize n, GError **error);
bool pg_end_table(Store *store, GError **error);
bool pg_fill_fact(Store *store, const char *name, const char *value, GError **error);
bool pg_end_fill(Store *store, GError **error);
bool pg_look(Store *store, bool *occupied, GError **error);
bool pg_take_place(Store *store, const char *stamp, char **kept, GError **error);
bool pg_drop_beside(Store *store, GError **error);
