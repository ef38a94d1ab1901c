// SPDX-License-Identifier: Apache-2.0
/* Writers whose traces show whether a crash lost or tore anything.
 *
 * Transaction k of a writer sets the descriptions of its two pools to k, makes a volume named k in the first
 * pool, deletes the one named k - WORK_VOLUMES, and appends one event. Writers run side by side, so their
 * transactions share groups. */
#pragma once
#include "inventory-rig.h"

#define WORK_WRITERS 3
#define WORK_VOLUMES 4

typedef struct {
  guint64 k[WORK_WRITERS]; /* last transaction of each */
} WorkState;

/* Called on the loop when a transaction has been committed: nothing acknowledged may be lost from here on. */
typedef void (*WorkAck)(guint writer, guint64 k, void *arg);

/* Runs each writer for `n` transactions from where the database says it stopped (0: for ever). A writer ends
 * early when a commit fails with READ_ONLY; returns false then. */
bool inv_work_run(InvRig *rig, guint64 n, WorkAck ack, void *arg);

/* Asserts that the state is whole, that nothing of `acked` is lost, and nothing is there that was not asked
 * for: at most one more transaction of each writer. *found (may be NULL): what is there. */
void inv_work_verify(InvRig *rig, const WorkState *acked, WorkState *found);
