// SPDX-License-Identifier: Apache-2.0
/* Inside the store: what its files share. Nobody but src/inventory/store*.c includes this.
 *
 *   store.c            the thread, the queue, groups, outcomes, hand-back to the loop; tables; loading
 *   store-sqlite*.c    a file with SQLite
 *   store-pg*.c        a PostgreSQL server
 *   copy*.c            copies of whole databases: backup files, restoring, moving
 *
 * A backend is a table of functions. It knows rows as (id, revision, body); what bodies mean, in which order groups
 * come, and what a refusal means to later batches is the common part's.
 *
 * Threads: `sql_lock` guards the backend; it is held over I/O because the store thread is the only one that takes it
 * once the program runs (before, the thread that opens). `query` has a connection and a lock of its own. `lock` guards
 * the queues and is held for moments. */
#pragma once
#include "inventory/schema.h"
#include "inventory/store.h"
#include <pthread.h> /* not GMutex: ThreadSanitizer does not see into GLib */

#define STORE_GROUP_ROWS  2048              /* a group takes no further batch beyond so many rows */
#define STORE_TICK_US     G_USEC_PER_SEC
#define STORE_PROBE_TICKS 5    /* while read-only: try a write every so many idle ticks */
#define STORE_EXPIRE_ROWS 1000 /* history deleted in one transaction */
#define STORE_EXIT_STATUS 74   /* EX_IOERR of sysexits.h */
#define STORE_BESIDE      "_new"
#define STORE_MOVED_TO    "moved_to" /* a fact: where the database has gone */

/* The version of what bodies mean, and the way there: migrations[i] leads from version i + 1 to i + 2. The contract's; tests put others. */
typedef struct {
  int version;
  const char *const *migrations;
} StoreSchema;
extern StoreSchema store_schema;

typedef enum { STORE_JOB_BATCH, STORE_JOB_EXPIRE, STORE_JOB_TIDY, STORE_JOB_PROBE } StoreJobKind;

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

/* A type's table. Each indexed field of history is a column beside the body, with the field's value as the body's JSON has it. */
typedef struct {
  const WsType *type;
  bool history;
  guint n_columns;
  const WsField **columns;
} StoreTable;

/* One row as it is stored. The body is borrowed for the call. False (with error) stops. */
typedef bool (*StoreRaw)(WsId id, Revision revision, const char *body, gsize n, void *arg, GError **error);

typedef bool (*StoreFact)(const char *name, const char *value, void *arg, GError **error);

typedef struct {
  /* Makes store->db, and keeps every other program away from the database, which need not be there or whole. */
  bool (*hold)(Store *store, GError **error);
  /* After hold(): everything up to being able to write: ours, not newer, migrated, whole, tables and columns after the
   * descriptors. close() comes also after a failure. */
  bool (*open)(Store *store, GError **error);
  void (*close)(Store *store);
  /* Every row of a table, by id. */
  bool (*load)(Store *store, const StoreTable *table, StoreRaw each, void *arg, GError **error);
  char *(*get_meta)(Store *store, const char *name);
  /* Writes all jobs of the list in one transaction. On failure nothing of them is written, for certain: a backend that
   * cannot tell finds out, however long it takes, or ends the process. */
  bool (*write)(Store *store, const StoreJob *first, GError **error);
  /* The columns have been looked at. Any thread. */
  bool (*query)(Store *store, const StoreTable *table, const StoreQuery *query, StoreRaw each, void *arg,
                GError **error);
  /* Deletes one portion; *more: there is more to do. */
  bool (*expire)(Store *store, const StoreTable *table, gint64 wall_us, bool *more, GError **error);
  /* Housekeeping (a checkpoint) that is best done between groups: asked for when idle, and at once when it is urgent. May be NULL. */
  bool (*tidy)(Store *store, GError **error);
  bool (*is_untidy)(Store *store, bool *urgent); /* any thread */

  /* For copies. A view is the whole database at one moment, on a connection of its own; any thread. */
  void *(*begin_view)(Store *store, GError **error);
  bool (*view_table)(Store *store, void *view, const char *table, StoreRaw each, void *arg, GError **error);
  bool (*view_facts)(Store *store, void *view, StoreFact each, void *arg, GError **error); /* by name */
  void (*end_view)(Store *store, void *view);
  /* Makes and fills a database of that schema, after hold(), where there is none: begin, then for each table its rows, then
   * the facts, then end. One transaction. What of tables and columns is missing, open() makes later. */
  bool (*begin_fill)(Store *store, gint64 schema, GError **error);
  bool (*begin_table)(Store *store, const char *table, GError **error);
  bool (*fill_row)(Store *store, WsId id, Revision revision, const char *body, gsize n, GError **error);
  bool (*end_table)(Store *store, GError **error);
  bool (*fill_fact)(Store *store, const char *name, const char *value, GError **error);
  bool (*end_fill)(Store *store, GError **error);
  /* Of a database that is held. *occupied: there is one, and not only what one that was moved away has left. */
  bool (*look)(Store *store, bool *occupied, GError **error);
  /* Makes what was filled beside it (store->suffix) the database, and keeps the old one under a name with `stamp`: *kept, NULL
   * if there was none; caller frees. Whatever happens meanwhile, afterwards either is there, or opening is refused until this
   * is done again. */
  bool (*take_place)(Store *store, const char *stamp, char **kept, GError **error);
  /* Deletes what a copy beside it has left. */
  bool (*drop_beside)(Store *store, GError **error);
} StoreBackend;

extern const StoreBackend store_sqlite, store_pg;

typedef struct {
  StoreJob *first, **end;
} StoreQueue;

struct Store {
  gint ref_count; /* the opener's, and one of each post on the loop */
  char *path;     /* file or address; never with a password in it */
  const char *suffix; /* "", or STORE_BESIDE: a copy that is made beside the database */
  WsLoop *loop;
  const StoreStand *stand; /* NULL: this system's files, and a thread */
  WsTimer *turn;           /* stand: when the next group is written */
  pthread_t thread;
  bool has_thread;

  pthread_mutex_t lock;
  pthread_cond_t wake;
  StoreQueue queue, done; /* to the thread, and back */
  bool stopping, posted;  /* posted: the loop has been told of `done` */
  guint64 failed_epoch;   /* batches up to this epoch fail */
  gint state;             /* StoreState, atomic */
  gint stalled;           /* atomic; the backend's */

  /* loop thread */
  guint64 epoch;       /* of batches submitted now; begins with 1 */
  guint64 n_submitted; /* tells the tick whether the store was idle */
  guint64 n_at_tick;
  guint n_ticks;
  WsTimer *tick;
  bool closed;

  /* under sql_lock */
  pthread_mutex_t sql_lock;
  const StoreBackend *backend;
  void *db; /* the backend's */
  bool tidy_failed;
  GString *body; /* scratch */

  StoreTable *tables; /* by type->index; constant once open */
  StoreFault fault;
  void *fault_arg;
};

/* store.c */
/* A store that is not open; `suffix` as above. Then open it, or hold it only; closed by store_close(). */
Store *store_new(const char *path, const char *suffix, WsLoop *loop);
bool store_start(Store *store, GError **error);
bool store_hold(Store *store, GError **error);
const StoreTable *store_table(Store *store, const WsType *type);
/* Serialises a row's object into store->body. */
void store_write_body(Store *store, const StoreRow *row);
/* WRITABLE when error is NULL. Logs a change. */
void store_set_state(Store *store, const GError *error);
/* Waits on the store's thread; false: the store is being closed. */
bool store_wait(Store *store, gint64 us);
/* The fault hook's errno for this point (0: none). */
int store_fault(Store *store, const char *point);
/* Logs and ends the process with status 74: what is on record is unknown, or no longer ours; the next start finds out. */
G_NORETURN void store_die(Store *store, const char *what, const char *why);

/* store-query.c */
/* The column of an indexed field of the table. */
const WsField *store_column(const StoreTable *table, const char *name);
/* The whole statement. terms[i]: what where[i] asks for, with its placeholder. `aside`: put before a column
 * that shall not choose the index
 * ("+", or "" where the server knows better); by_term: one of the terms chooses it, not the time. */
/* The last record that a query is to look at: the `nth` along its order (and term; NULL: none) from its place
 * on. */
char *store_bound_sql(const StoreTable *table, const StoreQuery *query, const char *term, guint nth);
char *store_query_sql(const StoreTable *table, const StoreQuery *query, char *const *terms, const char *aside,
                      bool by_term);
