// SPDX-License-Identifier: Apache-2.0
/* Inside the inventory: what its files share. Nobody but src/inventory/ includes this.
 *
 *   inventory.c  opening, published state, the line of transactions on their way to the disk, reserves
 *   txn.c        a transaction: copies, conflicts, checks, commit
 *   watch.c      the log of changes and who reads it
 *   root.c       one revision: maps, indexes, checks against it
 *   plan.c       what must be known of the contract
 *   pmap.c       the persistent map
 *
 * Threads: everything is the core loop's but what is said to be under a lock. */
#pragma once
#include "inventory/inventory.h"
#include "inventory/root.h"
#include <pthread.h> /* not GMutex: ThreadSanitizer does not see into GLib */

/* Numbers are handed out from reserves that the store has on record, so a crash can only skip some. The one
 * for revisions is large because volatile changes go on while the disk is full. */
#define INV_RESERVE_REVISIONS (1u << 24)
#define INV_RESERVE_IDS       4096u
typedef struct {
  Revision revision; /* every published revision is <= this */
  WsId id;           /* every id handed out is < this */
} InvReserve;

/* A transaction between its commit and its publication. They form a line; only the first is published or
 * failed. */
typedef struct InvPending {
  struct InvPending *next;
  Inventory *inv;    /* NULL: it was closed meanwhile */
  InvSnapshot *root; /* where it leads to; NULL: nothing changes in memory */
  InvChange *changes;
  guint n_changes;    /* of objects; behind them in `changes` */
  guint n_records;    /* come those of history, which are told to watchers alone */
  GPtrArray *sealed;  /* history rows of the sealed type; NULL: none */
  bool durable;       /* goes to the store */
  bool unstored;      /* never does: inv_txn_set_unstored() */
  bool written;       /* the store has answered */
  guint64 epoch;      /* older than the inventory's: built on what has been rolled back */
  InvReserve reserve; /* on record once this is written; 0: as before */
  bool owned;         /* by the one who commits; else freed when done */
  WsCo *waiter;       /* NULL: nobody waits (yet) */
  bool done;
  GError *error;
} InvPending;

/* The log of changes, a ring. Changes have numbers without gap; a number's place is its remainder. */
typedef struct {
  pthread_mutex_t lock; /* guards all down to `newest`; taken before Inventory.lock */
  InvChange *ring;      /* INV_LOG_MAX */
  gsize *sizes;         /* of the old versions, each an estimate */
  guint64 first, end;   /* the oldest change kept, and the next one to come */
  gsize bytes;          /* sum of sizes */
  Revision floor;       /* changes up to this revision are not (all) there */
  Revision newest;      /* published last */

  pthread_mutex_t watch_lock; /* held while watchers are notified; never together with `lock` */
  GPtrArray *watches;
  bool dirty; /* loop: something was appended since watchers were notified */
} InvLog;

struct Inventory {
  WsLoop *loop;
  Store *store;
  InvPlan *plan;
  InvSnapshot *head;
  pthread_mutex_t lock; /* guards the pointer `published`, for as long as it takes to count */
  InvSnapshot *published;

  InvPending *first, **end; /* the line */
  GHashTable *unwritten;    /* id -> WsType: its newest version was published without the disk */
  GHashTable *unstored;     /* ids: the same, and not to be there after a restart */
  bool advancing;
  guint64 epoch;   /* grows when the head is thrown back */
  GError *failure; /* why, the last time */

  WsId next_id;
  InvReserve reserved, asked;              /* on record; on record or on the way */
  struct InvReserveBatch *reserve_batches; /* on their way by themselves; inventory.c */

  GArray **checks;   /* by type->index: InvCheck; NULL: none */
  GArray *listeners; /* of Listener, inventory.c */
  const WsType *sealed_type; /* NULL: none */
  const InvSeal *seal;
  void *seal_arg;
  InvLog log;
};

/* inventory.c */
/* Puts a transaction at the end of the line and moves the head to its root. `rows` (taken over) go to the
 * store when it is durable. */
void inv_enqueue(Inventory *inv, InvPending *pending, StoreRow *rows, guint n_rows);
void inv_pending_free(InvPending *pending);

/* watch.c */
void inv_log_init(InvLog *log, Revision revision);
void inv_log_clear(InvLog *log);
/* Appends a revision's changes, after publish(arg): both under the log's lock, so who has seen the new
 * revision in a snapshot finds its changes in the log. Takes references of its own. */
void inv_log_append(InvLog *log, const InvChange *changes, guint n, void (*publish)(void *arg), void *arg);
void inv_log_notify(InvLog *log);
