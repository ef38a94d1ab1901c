// SPDX-License-Identifier: Apache-2.0
/* See pool_reach.h. A thread that is late owns what it found, and throws it away. */
#include "host/storage/pool_reach.h"
#include "base/error.h"
#include "base/log.h"
#include "host/storage/pool_dir.h"
#include <unistd.h>

#define MOUNT_AGAIN_US (10 * (gint64)G_USEC_PER_SEC) /* an export that cannot be mounted is tried this often */

guint pool_reach_wait_ms = 5000;
void (*pool_reach_seam)(const char *path);

struct ReachGate {
  gint refs;
  gint late; /* threads that nobody waits for any more; both atomic */
  GMutex mounting; /* held over mount and unmount */
  bool closed;     /* under it: not to be mounted any more */
  GMutex lock;
  GCond left;
  guint inside;  /* under the lock: threads that have entered */
  bool is_going; /* under it: nobody enters */
  gint64 tried_us; /* monotonic; last try to mount that failed; 0: none */
  char *failure;   /* why */
};

ReachGate *reach_gate_new(void)
{
  ReachGate *gate = g_new0(ReachGate, 1);
  gate->refs = 1;
  g_mutex_init(&gate->lock);
  g_cond_init(&gate->left);
  g_mutex_init(&gate->mounting);
  return gate;
}

ReachGate *reach_gate_ref(ReachGate *gate)
{
  g_atomic_int_inc(&gate->refs);
  return gate;
}

void reach_gate_unref(ReachGate *gate)
{
  if (!gate || !g_atomic_int_dec_and_test(&gate->refs))
    return;
  g_mutex_clear(&gate->lock);
  g_cond_clear(&gate->left);
  g_mutex_clear(&gate->mounting);
  g_free(gate->failure);
  g_free(gate);
}

void reach_gate_late(ReachGate *gate, gint by)
{
  g_atomic_int_add(&gate->late, by);
}

bool reach_gate_enter(ReachGate *gate)
{
  g_mutex_lock(&gate->lock);
  bool may = !gate->is_going;
  gate->inside += may;
  g_mutex_unlock(&gate->lock);
  return may;
}

void reach_gate_leave(ReachGate *gate)
{
  g_mutex_lock(&gate->lock);
  gate->inside--;
  g_cond_broadcast(&gate->left);
  g_mutex_unlock(&gate->lock);
}

static void set_going(ReachGate *gate, bool is_going)
{
  gint64 end_us = g_get_monotonic_time() + (gint64)pool_reach_wait_ms * 1000;
  g_mutex_lock(&gate->lock);
  gate->is_going = is_going;
  while (is_going && gate->inside && g_atomic_int_get(&gate->late) == 0 && g_cond_wait_until(&gate->left, &gate->lock, end_us))
    ;
  g_mutex_unlock(&gate->lock);
}

bool reach_gate_unmount(ReachGate *gate, const WsPoolNfs *nfs, const char *path, GError **error)
{
  set_going(gate, true);
  g_mutex_lock(&gate->mounting);
  gate->closed = nfs_unmount(nfs, path, error);
  bool closed = gate->closed;
  g_mutex_unlock(&gate->mounting);
  set_going(gate, closed);
  return closed;
}

void reached_clear(Reached *reached)
{
  if (reached->dir_fd >= 0)
    close(reached->dir_fd);
  g_free(reached->identity);
  g_free(reached->why);
  *reached = (Reached)REACHED_NONE;
}

static void look(char *const *allowed_roots, const char *path, Reached *reached)
{
  g_autoptr(GError) error = NULL;
  reached->dir_fd = pool_dir_open(allowed_roots, path, false, &error);
  if (reached->dir_fd >= 0)
    reached->identity = pool_dir_identity(reached->dir_fd, path, &error);
  if (reached->dir_fd >= 0)
    reached->has_fs = fstatvfs(reached->dir_fd, &reached->fs) == 0;
  if (error)
    reached->why = g_strdup(ws_error_cause(error));
}

/* ---- on a thread ---- */

typedef struct {
  gint refs;
  char **allowed_roots, *path;
  WsPoolNfs *nfs;
  ReachGate *gate;
  GMutex lock;
  GCond over;
  bool is_over, is_late;
  Reached reached;
} Errand;

static void errand_unref(Errand *errand)
{
  if (!g_atomic_int_dec_and_test(&errand->refs))
    return;
  g_strfreev(errand->allowed_roots);
  g_free(errand->path);
  ws_pool_nfs_free(errand->nfs);
  reach_gate_unref(errand->gate);
  g_mutex_clear(&errand->lock);
  g_cond_clear(&errand->over);
  reached_clear(&errand->reached);
  g_free(errand);
}

/* false: not now, and why. */
static bool mount_once(Errand *errand, char **why)
{
  ReachGate *gate = errand->gate;
  g_autoptr(GError) error = NULL;
  gint64 now_us = g_get_monotonic_time();
  g_mutex_lock(&gate->lock);
  bool wait = gate->tried_us && now_us - gate->tried_us < MOUNT_AGAIN_US;
  if (wait)
    *why = g_strdup(gate->failure);
  g_mutex_unlock(&gate->lock);
  if (wait)
    return false;
  g_mutex_lock(&gate->mounting);
  bool ok = gate->closed ? ws_fail(&error, WS_ERROR_NOT_FOUND, "object", errand->path, NULL) : nfs_mount(errand->nfs, errand->path, &error);
  g_mutex_unlock(&gate->mounting);
  g_mutex_lock(&gate->lock);
  gate->tried_us = ok ? 0 : g_get_monotonic_time();
  g_free(gate->failure);
  gate->failure = ok ? NULL : g_strdup(ws_error_cause(error) ? ws_error_cause(error) : error->message);
  g_mutex_unlock(&gate->lock);
  if (ok) {
    ws_log(WS_LOG_NOTICE, "pool-mounted", "path", errand->path, NULL);
    return true;
  }
  ws_log_error(WS_LOG_WARNING, "pool-not-mounted", error, "path", errand->path, NULL);
  *why = g_strdup(gate->failure);
  return false;
}

static gpointer run(gpointer arg)
{
  Errand *errand = arg;
  Reached found = REACHED_NONE;
  if (pool_reach_seam)
    pool_reach_seam(errand->path);
  NfsState state = nfs_state(errand->nfs, errand->path);
  if (state == NFS_OTHER)
    found.why = g_strdup("another file system is mounted at its path");
  else if (state == NFS_MOUNTED || mount_once(errand, &found.why))
    look(errand->allowed_roots, errand->path, &found);
  g_mutex_lock(&errand->lock);
  errand->reached = found;
  errand->is_over = true;
  if (errand->is_late)
    g_atomic_int_add(&errand->gate->late, -1);
  g_cond_signal(&errand->over);
  g_mutex_unlock(&errand->lock);
  errand_unref(errand);
  return NULL;
}

void pool_reach(char *const *allowed_roots, const char *path, const WsPoolNfs *nfs, ReachGate *gate, Reached *reached)
{
  *reached = (Reached)REACHED_NONE;
  if (g_atomic_int_get(&gate->late) > 0) {
    reached->why = g_strdup(REACH_NO_ANSWER(nfs));
    return;
  }
  if (!nfs) {
    look(allowed_roots, path, reached);
    return;
  }
  Errand *errand = g_new0(Errand, 1);
  *errand = (Errand){.refs = 2, .allowed_roots = g_strdupv((char **)allowed_roots), .path = g_strdup(path), .nfs = ws_pool_nfs_copy(nfs),
                     .gate = reach_gate_ref(gate), .reached = REACHED_NONE};
  g_mutex_init(&errand->lock);
  g_cond_init(&errand->over);
  gint64 end_us = g_get_monotonic_time() + (gint64)pool_reach_wait_ms * 1000;
  g_thread_unref(g_thread_new("pool-reach", run, errand));
  g_mutex_lock(&errand->lock);
  while (!errand->is_over && g_cond_wait_until(&errand->over, &errand->lock, end_us))
    ;
  if (errand->is_over) {
    *reached = errand->reached;
    errand->reached = (Reached)REACHED_NONE;
  } else {
    errand->is_late = true;
    g_atomic_int_inc(&gate->late);
    reached->why = g_strdup(REACH_NO_ANSWER(nfs));
  }
  g_mutex_unlock(&errand->lock);
  errand_unref(errand);
}
