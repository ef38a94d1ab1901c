// SPDX-License-Identifier: Apache-2.0
/* Getting at a pool's folder, whose server may not answer.
 *
 * A call to a file system on a network can take for ever, and cannot be broken off. So for such a pool a thread of its own mounts it if need be, opens
 * the folder, reads the identity and asks for sizes; whoever wants to know waits for it, but not longer than five seconds. While a thread
 * of a pool is out the pool is unreachable, at once and for everybody, and no more threads are sent. A local folder is just opened.
 *
 * Threads: any. */
#pragma once
#include "host/storage/nfs.h"
#include <glib.h>
#include <sys/statvfs.h>


/* Counts the threads of one pool that are out; outlives them. */
typedef struct ReachGate ReachGate;
ReachGate *reach_gate_new(void);
ReachGate *reach_gate_ref(ReachGate *gate);
void reach_gate_unref(ReachGate *gate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReachGate, reach_gate_unref)
/* Unmounts, and no thread mounts it again: the pool goes. After an error it may be mounted as before. Waits for a mount under way. */
bool reach_gate_unmount(ReachGate *gate, const WsPoolNfs *nfs, const char *path, GError **error);

typedef struct {
  int dir_fd;     /* -1: not reached; `why` says the reason, for people */
  char *identity; /* UUID in the folder; NULL: it has none */
  struct statvfs fs;
  bool has_fs;    /* fs is filled in */
  char *why;
} Reached;
#define REACHED_NONE {.dir_fd = -1}
void reached_clear(Reached *reached); /* closes */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reached, reached_clear)

/* nfs NULL: a local folder. */
void pool_reach(char *const *allowed_roots, const char *path, const WsPoolNfs *nfs, ReachGate *gate, Reached *reached);

/* Seams for tests: how long is waited; and what is called on the thread, before it looks. */
extern guint pool_reach_wait_ms;
extern void (*pool_reach_seam)(const char *path);
