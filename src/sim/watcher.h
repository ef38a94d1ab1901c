// SPDX-License-Identifier: Apache-2.0
/* A client that watches everything and keeps a copy: each change once, in order, or told to relist (invariant 3). */
#pragma once
#include "sim/manager.h"

typedef struct SimWatcher SimWatcher;
SimWatcher *sim_watcher_new(SimManager *manager, guint node, const char *token, bool slow);
/* After quiet: is its copy what the manager has? Fails the world if not. false: it is not up to date yet. */
bool sim_watcher_check(SimWatcher *watcher, bool must);
