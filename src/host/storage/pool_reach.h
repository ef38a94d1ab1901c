// SPDX-License-Identifier: Apache-2.0
/* Getting at a pool's folder, whose server may not answer.
 *
 * A call to a file system on a network can take for ever, and cannot be broken off. So for such a pool a thread of its own mounts it if need be, opens
 * the folder, reads the identity and asks for sizes; whoever wants to know waits for it, but not longer than five seconds. While a thread
 * of a pool is out the pool is unreachable, at once and for everybody, and no more threads are sent. A local folder is just opened, unless the watch's thread is late in it (pool_inspect.h): it may be somebody else's mount.
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
/* A thread that reads the pool's files has given no sign of life for long (1), or has come back after all (-1). */
void reach_gate_late(ReachGate *gate, gint by);
/* Around the time in which a thread has files of the pool open by itself; false: the pool goes, keep out. */
bool reach_gate_enter(ReachGate *gate);
void reach_gate_leave(ReachGate *gate);
/* Unmounts, and no thread mounts it again: the pool goes. After an error it may be mounted as before. Waits for a mount under way, and for threads that have
 * entered unless they are late. */
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

/* Why a pool is not reached whose thread is late. */
#define REACH_NO_ANSWER(nfs) ((nfs) ? "its server does not answer" : "its file system does not answer")

/* nfs NULL: a local folder. */
void pool_reach(char *const *allowed_roots, const char *path, const WsPoolNfs *nfs, ReachGate *gate, Reached *reached);

/* Seams for tests: how long is waited; and what is called on the thread, before it looks. */
extern guint pool_reach_wait_ms;
extern void (*pool_reach_seam)(const char *path);
