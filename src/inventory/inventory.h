// SPDX-License-Identifier: Apache-2.0
/* The inventory: what the manager believes, as a versioned map of immutable objects.
 *
 * Every object (host, VM, volume, task, ...) is a typed, reference-counted struct that is never modified
 * after it was published. To change one, a transaction puts a new version in its place. A transaction is
 * checked, made durable by the store thread (group commit), then published under the next revision, then
 * announced as (old, new): readers see all of it or nothing, and nobody hears of a change that could be lost.
 *
 *     g_autoptr(InvTxn) txn = inv_begin(inv);
 *     WsVolume *v = inv_edit(txn, volume);              // a private copy
 *     v->size_bytes = new_size_bytes;
 *     if (!inv_commit(txn, &rev, error)) return false;  // yields until durable
 *
 * Inside: maps are persistent (path-copying), so a snapshot is one pointer. The core loop edits the *head*,
 * which may be ahead of what is published by the transactions still on their way to the disk; each
 * transaction carries the root it leads to, so publishing is one store, and a failed write throws the head
 * back to what is published.
 *
 * Invariants: revisions only grow, also over restarts (a reserve is kept in the store); each watcher sees
 * each change exactly once, in order, or is told to relist.
 *
 * Threads: transactions belong to the core loop (a commit needs a coroutine). Snapshots may be taken and read
 * on any thread. */
#pragma once
#include "base/loop.h"
#include "inventory/store.h"
#include "model/type.h"

typedef struct Inventory Inventory;
typedef struct InvSnapshot InvSnapshot;
typedef struct InvTxn InvTxn;
typedef struct InvWatch InvWatch;

/* Loads everything from `store` (owned by the caller, must outlive). NULL with error when a row cannot be
 * read. */
Inventory *inv_open(WsLoop *loop, Store *store, GError **error);
/* When the loop runs no more; then store_close(). Coroutines that still wait in a commit never return. NULL
 * is fine. */
void inv_close(Inventory *inv);

/* ---- reading (any thread) ---- */
/* Newest published state. Never blocks. Free with inv_snapshot_unref(); objects reached through it live as
 * long as it does. */
InvSnapshot *inv_snapshot(Inventory *inv);
InvSnapshot *inv_snapshot_ref(InvSnapshot *snap);
void inv_snapshot_unref(InvSnapshot *snap);
Revision inv_snapshot_revision(const InvSnapshot *snap);
/* Object by id, or NULL. Borrowed from the snapshot. Typed forms are generated: inv_find_vm(snap, id) and
 * more, in inventory/typed.h. */
const void *inv_find(const InvSnapshot *snap, const WsType *type, WsId id);
guint inv_count(const InvSnapshot *snap, const WsType *type);
/* All of a type in order of id. Return false from func to stop. */
typedef bool (*InvEach)(const void *object, void *arg);
void inv_each(const InvSnapshot *snap, const WsType *type, InvEach func, void *arg);
/* All of a type that name the object by a reference that is neither indexed nor weak, at any depth: the VMs that have a volume. In order of id. */
void inv_each_referrer(const InvSnapshot *snap, const WsType *type, WsId target, InvEach func, void *arg);
/* All whose indexed field has the value (ref for REF and ANYREF, text for STRING and ENUM name; of an array:
 * among its items). In order of id. Asserts that the field is indexed. */
void inv_each_by(const InvSnapshot *snap, const WsType *type, const WsField *field, WsId ref,
                 const char *text, InvEach func, void *arg);
/* First of the above, or NULL. */
const void *inv_find_by(const InvSnapshot *snap, const WsType *type, const char *field, WsId ref,
                        const char *text);

/* The head: published plus what is on its way to the disk. Core loop only; for checks before a change. Unref
 * it. */
InvSnapshot *inv_head(Inventory *inv);
/* How often a write has failed: each time, whatever was ahead of the published state is no more. Core loop.
 */
guint64 inv_n_rollbacks(const Inventory *inv);

/* ---- changing (core loop) ---- */
/* An id never used before, for an object that is to be created later (inv_create_with_id), perhaps after a
 * restart. */
WsId inv_new_id(Inventory *inv);
InvTxn *inv_begin(Inventory *inv);
/* A private copy to modify. `seen` is the version the caller decided on: if the head's differs, the commit
 * fails with WS_ERROR_CONFLICT. Editing the same object twice in one transaction gives the same copy. */
void *inv_edit(InvTxn *txn, const void *seen);
/* The head's version, whatever it is; NULL when it does not exist or was deleted in this transaction. */
void *inv_edit_id(InvTxn *txn, const WsType *type, WsId id);
/* Its row is written again, as it is: in another form on disk. One that is gone is left. */
void inv_write_anew(InvTxn *txn, const WsType *type, WsId id);
/* A new object with an id never used before; fill it in. */
void *inv_create(InvTxn *txn, const WsType *type);
/* The same with an id from inv_new_id(). No object has or had it; else it is a programming error. */
void *inv_create_with_id(InvTxn *txn, const WsType *type, WsId id);
/* Whatever version it is, unless it was edited in this transaction before. */
void inv_delete(InvTxn *txn, const WsType *type, WsId id);
/* A row for SQL history (audit, event, ended task), written in the same transaction. Takes ownership; gets
 * its id here. Watchers are told of it as of an object that was created. */
void inv_append_history(InvTxn *txn, void *object);
/* Takes such a row out again; whether it is there is not looked at. */
void inv_delete_history(InvTxn *txn, const WsType *type, WsId id);
/* Checks (references exist, unique fields are, model invariants), makes durable, publishes, announces; the
 * coroutine waits meanwhile. `revision` may be NULL.
 *
 * Success says that what the caller saw and wrote is durable. A transaction that changes nothing gives no new
 * revision, but waits while the head is ahead of the disk. One whose changes are all in volatile fields is
 * published without the disk, after the transactions before it; when there are none it needs no coroutine.
 * A transaction is committed once; its copies belong to the inventory then. Errors:
 *
 * - WS_ERROR_CONFLICT: an object edited here was changed since it was read.
 * - WS_ERROR_NOT_FOUND: an object deleted here is not there.
 * - WS_ERROR_NAME_TAKEN, WS_ERROR_BAD_REFERENCE: `field` has the path ("disks[1].volume").
 * - WS_ERROR_IN_USE: delete of something that a field of kind REF names; `user` is one who does. ANYREF
 * fields may outlive what they name.
 * - WS_ERROR_READ_ONLY: the store cannot write (disk full); nothing of the transaction is left.
 * - What a registered check set.
 *
 * A failing sync does not return: the process ends and replays. */
bool inv_commit(InvTxn *txn, Revision *revision, GError **error);
/* The transaction need not survive a restart: it is published without the disk, also while that is full. For
 * what is only true now, such as the alarm that the disk is full. It only creates and edits; nothing stored
 * should refer to what it creates. What another transaction edits later is stored with that one. */
void inv_txn_set_unstored(InvTxn *txn);
/* Only the checks of a commit, at once and without any effect: for dry runs. The transaction is used up. */
bool inv_check(InvTxn *txn, GError **error);
void inv_txn_free(InvTxn *txn); /* aborts unless committed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InvTxn, inv_txn_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InvSnapshot, inv_snapshot_unref)

/* Model invariants beyond the generated ones, e.g. "a volume belongs to one VM": called for each changed
 * object at commit, with the head as it would be after the whole transaction; objects NULL: created /
 * deleted. Must not wait. */
typedef bool (*InvCheck)(const InvSnapshot *head, const void *old_object, const void *new_object,
                         GError **error);
void inv_add_check(Inventory *inv, const WsType *type, InvCheck check);

/* A type of history whose records build on one another (a hash chain). Core loop; set before the first commit. */
typedef struct {
  /* Completes a record at the moment when only the disk can refuse it any more, so in the order of the disk. Must not wait. */
  void (*seal)(void *record, void *arg);
  /* It is on the disk. */
  void (*durable)(const void *record, void *arg);
  /* Everything sealed since the last durable() is lost: go on from there. */
  void (*fell)(void *arg);
} InvSeal;
void inv_set_seal(Inventory *inv, const WsType *type, const InvSeal *seal, void *arg);

/* ---- following ---- */
typedef struct {
  Revision revision;
  const WsType *type;
  WsId id;
  const void *old_object, *new_object; /* NULL: created / deleted. Referenced while the change is held. A
                                          record of history is created; that it expires is not told */
  bool last;                           /* of its revision */
} InvChange;

/* On the core loop, in order, right after publication; objects alone, no records of history. May commit in a
 * coroutine it starts: that comes after. */
typedef void (*InvListener)(const InvChange *change, void *arg);
void inv_add_listener(Inventory *inv, InvListener func, void *arg);

/* A cursor over the change log: the last INV_LOG_MAX changes, fewer when the old versions they keep alive
 * exceed INV_LOG_BYTES_MAX. Used on any one thread.
 *
 * since: the newest revision the reader knows in full; it gets what came after. 0: from now. A revision from
 * before a restart is good if it was the last one and the inventory was closed in order.
 *
 * `notify` (may be NULL) is called on the core loop when something was published after the reader had seen n
 * = 0: so read until then. It must only wake the reader, and not call inv_watch_new() or _free(). None comes
 * after inv_watch_free(). */
#define INV_LOG_MAX       65536
#define INV_LOG_BYTES_MAX ((gsize)48 << 20)
InvWatch *inv_watch_new(Inventory *inv, Revision since, void (*notify)(void *arg), void *arg);
void inv_watch_free(InvWatch *watch); /* before inv_close(); NULL is fine */
/* Next batch of changes after the cursor: at most `max` into `changes` (released by inv_changes_release()).
 * *n = 0: none yet. A batch ends with the last change of a revision, unless one revision alone has more than
 * `max`: then what is left of it comes first in the next batch. false: the cursor is older than the log
 * (WS_ERROR_RELIST): free it, take a snapshot, and watch from its revision. */
bool inv_watch_next(InvWatch *watch, InvChange *changes, guint max, guint *n, GError **error);
void inv_changes_release(InvChange *changes, guint n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inventory, inv_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(InvWatch, inv_watch_free)
