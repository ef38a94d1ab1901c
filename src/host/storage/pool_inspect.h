// SPDX-License-Identifier: Apache-2.0
/* One look at a pool, on a thread of its own: whether it is there, what came and went, how full it is.
 *
 * A server that stops answering in the middle of a listing holds the thread for as long as it likes. Whoever sent the thread does not wait for it: it asks
 * now and then. A look that shows no sign of life for pool_reach_wait_ms is late: it is counted at the pool's gate, so that the pool is unreachable at once for
 * everybody, and it is left to itself; when it ends after all it is over like any other.
 *
 * Threads: one owner, the pool's watch. */
#pragma once
#include "host/storage/storage-private.h"

typedef enum { INSPECTION_GOES_ON, INSPECTION_IS_LATE, INSPECTION_IS_OVER } InspectionState;

typedef struct {
  WsPoolStatus *status; /* NULL: the pool is gone */
  GPtrArray *appeared, *vanished; /* file names */
  int wd;               /* of the directory in inotify_fd, when it was not watched before; -1: it is not now */
} InspectionResult;

typedef struct Inspection Inspection;
/* wake_fd: an eventfd that is written to at the end; both are duplicated. is_watched: its directory is in inotify already. list: compare the files,
 * which is done as well when the directory was not watched. */
Inspection *inspection_start(Storage *storage, WsId id, int inotify_fd, int wake_fd, bool is_watched, bool list);
InspectionState inspection_state(Inspection *inspection);
/* Only when it is over; the inspection's own, its parts may be stolen. */
InspectionResult *inspection_result(Inspection *inspection);
/* Waits until it is over or late. */
void inspection_wait(Inspection *inspection);
void inspection_unref(Inspection *inspection); /* NULL is fine; the thread goes on by itself */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Inspection, inspection_unref)

/* A seam for tests: called on the thread for each listing, when the first half of it is there. */
extern void (*inspection_seam)(const char *path);
