// SPDX-License-Identifier: Apache-2.0
/* The store: where the inventory and history survive. All SQL of the program is behind this door.
 *
 * Two kinds of database do: a file with SQLite, and a PostgreSQL server. One thread writes, in groups: store_submit()
 * queues a batch from the core loop; the thread takes all that is queued into one SQL transaction, commits it (one sync, or
 * one round trip) and hands each batch's outcome back to the loop, in order. Rows of resources are (id, revision, body =
 * JSON in STORED form), one table per type; history types likewise, with the fields the contract indexes taken out as
 * columns for queries. The tables follow the contract's descriptors at every opening; what bodies mean moves forward by
 * numbered migrations; a database newer than the program is refused, and one that another manager has open.
 *
 * A failed sync is fatal: the process logs, exits with status 74 and replays at the next start. So is finding out that
 * another manager has taken a server's database over. A full disk is not: the group is rolled back, its batches fail with
 * WS_ERROR_READ_ONLY, and so does every batch that was submitted before the loop heard of it (it may have been built on a
 * failed one); store_state() says STORE_READ_ONLY until a write succeeds. While idle the store tries one itself every few
 * seconds. A server that is away is the same, but for a group whose answer was lost on the way: its batches, and those
 * behind it, wait until the server can say what became of it; store_is_stalled() meanwhile.
 *
 * Threads: core loop, except where told. */
#pragma once
#include "base/loop.h"
#include "model/type.h"

typedef struct Store Store;

typedef struct {
  const WsType *type;
  WsId id;
  Revision revision;
  const void *object; /* a resource: the batch takes one reference; NULL: delete */
} StoreRow;

/* path: database file, created with mode 0600; ":memory:" for tests; or the address of a server, "postgresql://host/database"
 * with libpq's options behind "?". A password in an address is refused (passfile=, a service or peer authentication give
 * one); without sslmode= a server on the network must prove its name (verify-full). The tables are in the schema that the
 * address names (options=-csearch_path%3DNAME), else in "winsphere". Errors:
 *   WS_ERROR_IO_ERROR (path)      cannot be opened, is in use by another process, or is not ours
 *   WS_ERROR_DATABASE_DAMAGED (path)
 *   WS_ERROR_VERSION_MISMATCH     written by a newer program */
Store *store_open(const char *path, WsLoop *loop, GError **error);
/* Where a store is that has neither files of this system nor a thread: in the simulator. */
typedef struct {
  const char *vfs;               /* name of the SQLite VFS that has the files */
  gint64 (*delay_us)(void *arg); /* how long the next group waits, by the loop's clock, until it is written on the loop */
  void (*die)(void *arg);        /* in place of the process's end; does not return */
  void *arg;
} StoreStand;
/* As above; `stand` is borrowed and outlives the store. */
Store *store_open_on(const char *path, WsLoop *loop, const StoreStand *stand, GError **error);
/* An address of a server ("postgresql://..."), not a file. */
bool store_address_is_server(const char *path);
/* Writes out what is queued, calls what is still to be called, closes. NULL is fine. */
void store_close(Store *store);

/* Start-up: every row of every resource type, in any order. Objects are handed over with one reference. */
typedef bool (*StoreEach)(void *resource, void *arg, GError **error);
bool store_load(Store *store, StoreEach each, void *arg, GError **error);
/* Small facts: "next_id", "revision_reserve", "site_uuid" ... NULL: absent; caller frees. Both block until
 * done: start-up only. `meta` is name, value, name, value, ..., NULL. WS_ERROR_READ_ONLY: nothing is written.
 */
char *store_get_meta(Store *store, const char *name);
bool store_put_meta(Store *store, const char *const *meta, GError **error);

typedef void (*StoreDone)(const GError *error, void *arg); /* on the core loop, in order of submission */
/* Takes `rows` (g_malloc'ed; may be NULL) with a reference of each object, copies `meta` (as above; may be
 * NULL). Objects are serialised on the store thread, so they must not change any more. `done` may be NULL. */
void store_submit(Store *store, StoreRow *rows, guint n_rows, const char *const *meta, StoreDone done,
                  void *arg);

typedef enum { STORE_WRITABLE, STORE_READ_ONLY } StoreState;
StoreState store_state(Store *store); /* any thread */
/* What became of a group is not known yet: until it is, nothing more should be submitted. Any thread. */
bool store_is_stalled(Store *store);

/* The durability seam for tests: called on the store thread before each SQL step ("begin", "row", "commit",
 * "checkpoint"), after the commit ("committed"), before each "write", "truncate" and "sync" of a file, and when a transaction
 * has been sent to a server ("sent").
 * Returns an errno to inject, 0: none. An injected failing "sync" is fatal as a real one. */
typedef int (*StoreFault)(const char *point, void *arg);
void store_set_fault(Store *store, StoreFault fault, void *arg); /* while nothing is queued; arg outlives the store */

/* History query (any thread, blocks; a read connection of its own): newest first below `before` (0: from the
 * end), at most `limit`, objects are appended to `into` with one reference each. `where`: indexed fields
 * only, values as in JSON ("vol-7", a name of an enum); others give WS_ERROR_UNKNOWN_FIELD. */
typedef struct {
  const char *field, *value;
} StoreWhere;
bool store_query_history(Store *store, const WsType *type, const StoreWhere *where, guint n_where,
                         WsId before, guint limit, GPtrArray *into, GError **error);
/* The same in either order of ids or of times (then of ids), from a place on, within a range of time. */
typedef struct {
  WsId id;
  gint64 us; /* by_time alone */
} StorePlace;
typedef struct {
  const StoreWhere *where;
  guint n_where;
  bool from, until;         /* there is such a bound; a time may lie before 1970 */
  gint64 from_us, until_us; /* both included */
  bool by_time, ascending;
  WsId after;      /* begins behind the record of this id; 0: at the beginning */
  gint64 after_us; /* by_time: and of this time */
  guint limit;
  /* NULL: looks until there are `limit`. Else not at too many that do not match, so that others have their
   * turn: where fewer than `limit` come and its id is not 0, go on behind it. */
  StorePlace *reached;
} StoreQuery;
bool store_find_history(Store *store, const WsType *type, const StoreQuery *query, GPtrArray *into,
                        GError **error);
/* Deletes history of `type` older than wall_us (its "time" field); queued behind what is submitted, in
 * portions. */
void store_expire_history(Store *store, const WsType *type, gint64 wall_us);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)
