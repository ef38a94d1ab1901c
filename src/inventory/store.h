// SPDX-License-Identifier: Apache-2.0
/* The store: where the inventory and history survive. All SQL of the program is behind this door.
 *
 * One thread writes, in groups: store_submit() queues a batch from the core loop; the thread takes all that is queued into one
 * SQL transaction, commits it (fsync) and posts each batch's outcome back to the loop, in order. Rows of resources are
 * (key INTEGER PRIMARY KEY = id, revision, body = JSON in STORED form), one table per type; history types likewise, with the
 * columns the contract names as indexed taken out for queries. The schema comes from the contract (model/schema generated) and moves
 * forward by numbered migrations; a database newer than the program is refused.
 *
 * A failed fsync is fatal: the process exits (status 74) and replays at the next start. A full disk is not: the group is
 * rolled back, its batches fail with WS_ERROR_READ_ONLY, and store_state() says so until a write succeeds. */
#pragma once
#include "base/loop.h"
#include "model/type.h"

typedef struct Store Store;

typedef struct {
  const WsType *type;
  WsId id;
  Revision revision;
  const void *object; /* NULL: delete. Referenced/owned by the batch until done */
} StoreRow;

/* path: database file, created with mode 0600; ":memory:" for tests. */
Store *store_open(const char *path, WsLoop *loop, GError **error);
void store_close(Store *store); /* writes out what is queued */

/* Start-up: every row of every resource type, in any order. Objects are handed over with one reference. */
typedef bool (*StoreEach)(void *resource, void *arg, GError **error);
bool store_load(Store *store, StoreEach each, void *arg, GError **error);
/* Small facts: "next_id", "revision_reserve", "site_uuid" ... NULL: absent. Blocking: start-up only. */
char *store_get_meta(Store *store, const char *name);

typedef void (*StoreDone)(const GError *error, void *arg); /* on the core loop, in order of submission */
/* Core loop. Takes `rows` and `n_meta` name/value pairs; serialises objects on the store thread. */
void store_submit(Store *store, StoreRow *rows, guint n_rows, const char *const *meta, StoreDone done, void *arg);
/* The durability seam for tests: called on the store thread before and after each SQL step ("begin", "row", "commit", "checkpoint"). */
typedef int (*StoreFault)(const char *point, void *arg); /* returns an errno to inject, 0: none */
void store_set_fault(Store *store, StoreFault fault, void *arg);

/* History query (any thread; a read connection of its own): newest first below `before` (0: from the end), indexed fields only in `where`. */
typedef struct { const char *field, *value; } StoreWhere;
bool store_query_history(Store *store, const WsType *type, const StoreWhere *where, guint n_where, WsId before, guint limit,
                         GPtrArray *into, GError **error);
/* Deletes history of `type` older than wall_us (its "time" field); queued like a batch. */
void store_expire_history(Store *store, const WsType *type, gint64 wall_us);
