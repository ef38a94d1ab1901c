// SPDX-License-Identifier: Apache-2.0
/* What the inventory's tests share: a loop, a store and an inventory in a directory of their own, coroutines
 * run to their end, and small objects. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"

typedef struct {
  char *dir, *path; /* path NULL: in memory; on a server: its address */
  char *schema;     /* on a server, made by this rig: where its tables are */
  bool keep_dir;
  WsLoop *loop;
  Store *store;
  Inventory *inv;
} InvRig;

/* Adds a test under `path` and, as `path` with "/on-server" behind it, once more with PostgreSQL as store: all rigs are on a
 * server then, whatever they ask for. */
void inv_rig_add(const char *path, void (*test)(void));
void inv_rig_add_data(const char *path, gconstpointer arg, void (*test)(gconstpointer arg));
void inv_rig_add_on_server(const char *path, void (*test)(void)); /* on a server only */
bool inv_rig_on_server(void);                                     /* inside a test */

/* A fresh directory, removed by inv_rig_free(). in_memory: no files at all. Where there is a file system in
 * memory the directory is there: the tests are about order, not about a disk's speed. */
InvRig *inv_rig_new(bool in_memory);
/* A rig that is not open yet: on a directory of its own, or on one of the caller's (then it stays), which may also be the path
 * of a rig on a server. */
InvRig *inv_rig_new_closed(const char *dir);
/* Opens the database there (again); asserts success. */
void inv_rig_open(InvRig *rig);
void inv_rig_close(InvRig *rig);
/* What inv_rig_new_closed() takes to come to the same database, for another process. */
const char *inv_rig_where(const InvRig *rig);
/* A rig of its own on a copy of the files as they are now: what a process that is killed leaves. */
InvRig *inv_rig_copy(InvRig *rig);
void inv_rig_free(InvRig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InvRig, inv_rig_free)

/* 1, or more under a sanitizer or on a server: tests that try every place try every so manieth there. */
guint inv_rig_stride(void);

/* Runs func(arg) in a coroutine and the loop until it has ended. */
void inv_rig_run(InvRig *rig, WsCoFunc func, void *arg);
/* Steps the loop until *flag; asserts that it takes less than a minute. */
void inv_rig_wait(InvRig *rig, const bool *flag);
/* Commits from outside of a coroutine. */
bool inv_rig_commit(InvRig *rig, InvTxn *txn, Revision *revision, GError **error);
/* The same, asserting success; frees the transaction. */
Revision inv_rig_commit_ok(InvRig *rig, InvTxn *txn);

/* Objects in a transaction, with nothing but what is given. */
WsPool *inv_rig_pool(InvTxn *txn, const char *name);
WsVolume *inv_rig_volume(InvTxn *txn, WsId pool, const char *name);
WsVm *inv_rig_vm(InvTxn *txn, const char *uuid);
void inv_rig_attach(WsVm *vm, WsId volume); /* one more disk */
WsEvent *inv_rig_event(const char *object, gint64 wall_us);

/* SQL behind the store's back, while it is closed or not; asserts success. */
void inv_rig_sql(const InvRig *rig, const char *sql);
gint64 inv_rig_sql_int(const InvRig *rig, const char *sql); /* first column of the first row */

/* Asserts the error's code and clears it. */
void inv_rig_assert_error(GError **error, WsErrorCode code, const char *field);
