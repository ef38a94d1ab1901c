// SPDX-License-Identifier: Apache-2.0
/* The checks before a pool is used (storage_pool_check()), on a thread of their own, since whatever holds the
 * files may not answer: who asks waits for pool_probe_wait_ms and then tells what was seen until then. An
 * export that is no pool here yet is mounted in a folder of the agent's own, softly, and unmounted again; one
 * whose server hangs is taken off the tree at once.
 *
 * Before anything is mounted or made a note of it is durable in the state directory, and goes when all is
 * cleared: what a killed agent left is cleared at its next start, also on a server. A note of an export that
 * had not come to be mounted has nothing to clear there, so no server is asked for it. Threads: any. */
#pragma once
#include "host/storage/storage.h"

/* At start: clears, on a thread of its own, what notes of the last run tell of. */
void pool_probe_recover(Storage *storage);

/* Seams for tests: how long is waited, what is called before that, and what on the thread for each sign. */
extern guint pool_probe_wait_ms;
extern void (*pool_probe_wait_seam)(void);
extern void (*pool_probe_seam)(WsPoolSignWord sign);
