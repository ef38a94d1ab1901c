// SPDX-License-Identifier: Apache-2.0
/* Watching pools: a thread that notices what nobody told us - a full or vanished file system, files that came or went.
 *
 * It waits for the kernel's hints (inotify) and looks at each pool's state every interval as well. Changes that our own
 * calls made are known to the registry (pool_expect) and not reported. */
#pragma once
#include "host/storage/storage.h"

typedef struct PoolWatch PoolWatch;
PoolWatch *pool_watch_new(Storage *storage, const StorageConfig *config);
void pool_watch_free(PoolWatch *watch); /* NULL is fine; waits for the thread */
void pool_watch_wake(PoolWatch *watch); /* pools were added or removed; NULL is fine */
