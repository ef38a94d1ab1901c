// SPDX-License-Identifier: Apache-2.0
/* What can be done in a folder that is to hold disks, found out by doing it: room, writing and reading back,
 * who owns what is made, locks as QEMU takes them, writing past the cache, renaming. Everything it makes has
 * names that begin with `name`, and is gone when it returns; after a crash pool_trial_clear() removes it.
 * Threads: any; no state. Each part may hang with its server. */
#pragma once
#include "model/model.h"

typedef void (*PoolTrialTell)(WsPoolSignWord sign, const char *found, void *arg);

void pool_trial_run(int dir_fd, const char *name, PoolTrialTell tell, void *arg);
/* false: something of it may be there still. */
bool pool_trial_clear(int dir_fd, const char *name);
