// SPDX-License-Identifier: Apache-2.0
/* Inside the store: what its files share. Nobody but src/inventory/store*.c includes this.
 *
 *   store.c          the thread, the queue, groups, hand-back to the loop
 *   store-sql.c      the write connection: opening, schema, rows, facts, checkpoints
 *   store-history.c  history tables: columns, queries, expiry
 *   store-vfs.c      between SQLite and the file system: a failed sync ends the process; faults for tests
 *
 * Threads: `sql_lock` guards `db` and everything prepared on it; it is held over I/O because the store thread
 * is the only one that takes it once the program runs (before, the thread that opens). `lock` guards the
 * queues and is held for moments. */
#pragma once
#include "inventory/schema.h"
#include "inventory/store.h"
#include <pthread.h> /* not GMutex: ThreadSanitizer does not see into GLib */
#include <sqlite3.h>

#define STORE_SCHEMA         WS_SCHEMA_VERSION /* PRAGMA user_version: the number of the last migration */
#define STORE_APPLICATION_ID 0x57536e76        /* "WSnv" */
#define STORE_GROUP_ROWS     2048              /* a group takes no further batch beyond so many rows */
#define STORE_WAL_BYTES_MAX  (32 << 20)        /* checkpoint at once */
#define STORE_TICK_US        G_USEC_PER_SEC
#define STORE_PROBE_TICKS    5    /* while read-only: try a write every so many idle ticks */
#define STORE_EXPIRE_ROWS    1000 /* history deleted in one transaction */
#define STORE_EXIT_STATUS    74   /* EX_IOERR of sysexits.h */

/* A type's table: name and statements, prepared when first used. */
typedef struct {
  const WsType *type;
  bool history;
  guint n_columns;         /* of history: indexed fields, each a column */
  const WsField **columns; /* in order of the statement's parameters, from the fourth */
  sqlite3_stmt *put, *drop;
} StoreTable;

typedef enum { STORE_JOB_BATCH, STORE_JOB_EXPIRE, STORE_JOB_CHECKPOINT, STORE_JOB_PROBE } StoreJobKind;

typedef struct StoreJob {
  struct StoreJob *next;
  StoreJobKind kind;
  guint64 epoch; /* a batch fails when a batch of its epoch failed before: it was built on that one */
  StoreRow *rows;
  guint n_rows;
  char **meta; /* name, value, name, value, ..., NULL; or NULL */
  StoreDone done;
  void *arg;
  GError *error;
  const WsType *type; /* expiry */
  gint64 wall_us;
} StoreJob;

typedef struct {
  StoreJob *first, **end;
} StoreQueue;

struct Store {
  gint ref_count; /* the opener's, and one of each post on the loop */
  char *path;
  bool in_memory;
  int lock_fd; /* of "<path>.lock": one program per database */
  WsLoop *loop;
  pthread_t thread;
  bool has_thread;

  pthread_mutex_t lock;
  pthread_cond_t wake;
  StoreQueue queue, done; /* to the thread, and back */
  bool stopping, posted;  /* posted: the loop has been told of `done` */
  guint64 failed_epoch;   /* batches up to this epoch fail */
  gint state;             /* StoreState, atomic */

  /* loop thread */
  guint64 epoch;       /* of batches submitted now; begins with 1 */
  guint64 n_submitted; /* tells the tick whether the store was idle */
  guint64 n_at_tick;
  guint n_ticks;
  WsTimer *tick;
  bool closed;

  /* under sql_lock */
  pthread_mutex_t sql_lock;
  sqlite3 *db;
  sqlite3_stmt *begin, *commit, *rollback, *put_meta;
  StoreTable *tables; /* by type->index */
  GString *body;      /* scratch */
  gint wal_bytes;     /* atomic: not yet checkpointed */
  bool checkpoint_failed;

  pthread_mutex_t read_lock; /* guards read_db, the connection of history queries */
  sqlite3 *read_db;

  /* the VFS between */
  sqlite3_vfs vfs, *under;
  char *vfs_name;
  gint wal_tail_synced; /* atomic: the last thing that happened to the WAL was a good sync */
  StoreFault fault;
  void *fault_arg;
};

/* store-sql.c; all under sql_lock (or before the thread runs) */
bool store_sql_open(Store *store, GError **error);
void store_sql_close(Store *store);
/* Writes all batches from `first` to before `end` in one transaction. On failure nothing of them is written.
 */
bool store_sql_write(Store *store, const StoreJob *first, const StoreJob *end, GError **error);
bool store_sql_write_meta(Store *store, const char *const *meta, GError **error);
bool store_sql_checkpoint(Store *store, GError **error);
/* Sets `error` from the connection's last failure. Always false. */
bool store_sql_fail(Store *store, sqlite3 *db, WsErrorCode code, const char *doing, GError **error);
bool store_sql_exec(Store *store, sqlite3 *db, const char *sql, GError **error);
sqlite3_stmt *store_sql_prepare(Store *store, sqlite3 *db, const char *sql, GError **error);
/* The fault hook's errno for this point (0: none), and the SQLite result it stands for. */
int store_fault(Store *store, const char *point);
int store_fault_result(int errno_value);

/* store-history.c */
/* Takes the indexed fields as columns, and adds to the table what columns and indexes it lacks. */
bool store_history_prepare(Store *store, StoreTable *table, GError **error);
int store_history_bind(const StoreTable *table, sqlite3_stmt *put, const void *object);
bool store_history_open_reader(Store *store, GError **error);
/* Deletes one portion; *more: there is more to do. */
bool store_history_expire(Store *store, const WsType *type, gint64 wall_us, bool *more, GError **error);

/* store-vfs.c */
bool store_vfs_register(Store *store, GError **error);
void store_vfs_unregister(Store *store);
/* Logs and ends the process with status 74: what is on the disk is unknown, the next start replays. */
G_NORETURN void store_die(Store *store, const char *what, const char *why);
