// SPDX-License-Identifier: Apache-2.0
/* See pool_inspect.h. The thread has a reference to the storage, so one that is late may outlive its owner. */
#include "host/storage/pool_inspect.h"
#include "base/log.h"
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { MAX_RELISTS = 8 };
#define WATCHED (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct Inspection {
  gint refs;
  Storage *storage;
  ReachGate *gate; /* of the pool when it began; NULL: it was gone */
  WsId id;
  int inotify_fd, wake_fd;
  bool is_watched, list;
  gint signs; /* of life, atomic */
  GMutex lock;
  GCond over;
  InspectionState state; /* under the lock */
  InspectionResult result; /* the thread's until it is over */
  gint signs_seen; /* the owner's */
  gint64 seen_us;
};

void (*inspection_seam)(const char *path);

/* ---- files ---- */

typedef struct {
  GHashTable *names;
  Inspection *inspection;
} Collect;

static void collect_name(const char *name, const struct stat *st, void *arg)
{
  Collect *c = arg;
  g_hash_table_add(c->names, g_strdup(name));
  g_atomic_int_inc(&c->inspection->signs);
}

static bool is_busy(Storage *storage, const char *pool_name, const char *file)
{
  g_autofree char *key = g_strconcat(pool_name, "/", file, NULL);
  return g_hash_table_contains(storage->busy, key);
}

/* Under the lock: names in `a` but not in `b`, without those that a call works on. */
static void difference(Storage *storage, const Pool *pool, GHashTable *a, GHashTable *b, GPtrArray *out)
{
  GHashTableIter iter;
  const char *name;
  g_hash_table_iter_init(&iter, a);
  while (g_hash_table_iter_next(&iter, (gpointer *)&name, NULL))
    if (!g_hash_table_contains(b, name) && !is_busy(storage, pool->name, name))
      g_ptr_array_add(out, g_strdup(name));
}

/* Compares the directory with what is known. A call that publishes or deletes between listing and comparing changes
 * `changes`: then the list is taken again. */
static void look_at_files(Inspection *n, const Pool *pool)
{
  Storage *storage = n->storage;
  GPtrArray *appeared = n->result.appeared, *vanished = n->result.vanished;
  for (guint i = 0; i < MAX_RELISTS; i++) {
    g_mutex_lock(&storage->lock);
    StoragePool *p = storage_find_pool(storage, pool->id);
    guint64 before = p ? p->changes : 0;
    g_mutex_unlock(&storage->lock);

    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Collect collect = {names, n};
    guint64 allocated = pool_list(pool->dir_fd, collect_name, &collect);
    if (inspection_seam)
      inspection_seam(pool->path);

    g_mutex_lock(&storage->lock);
    p = storage_find_pool(storage, pool->id);
    bool again = p && p->changes != before;
    if (p && !again) {
      p->allocated_bytes = allocated;
      if (p->names) {
        difference(storage, pool, names, p->names, appeared);
        difference(storage, pool, p->names, names, vanished);
        for (guint k = 0; k < appeared->len; k++)
          g_hash_table_add(p->names, g_strdup(appeared->pdata[k]));
        for (guint k = 0; k < vanished->len; k++)
          g_hash_table_remove(p->names, vanished->pdata[k]);
      } else
        p->names = g_steal_pointer(&names);
    }
    g_mutex_unlock(&storage->lock);
    if (!again)
      return;
  }
}

/* ---- the thread ---- */

static void watch_directory(Inspection *n, const Pool *pool)
{
  char path[64];
  if (n->is_watched)
    return;
  g_snprintf(path, sizeof path, "/proc/self/fd/%d", pool->dir_fd);
  n->result.wd = inotify_add_watch(n->inotify_fd, path, WATCHED);
  n->list = true;
}

/* It is late no more. */
static void come_back(Inspection *n)
{
  g_mutex_lock(&n->lock);
  if (n->state == INSPECTION_IS_LATE) {
    reach_gate_late(n->gate, -1);
    n->state = INSPECTION_GOES_ON;
    n->seen_us = g_get_monotonic_time();
  }
  g_mutex_unlock(&n->lock);
}

/* false: it is late again. */
static bool end(Inspection *n)
{
  g_mutex_lock(&n->lock);
  bool over = n->state != INSPECTION_IS_LATE;
  if (over)
    n->state = INSPECTION_IS_OVER;
  g_cond_broadcast(&n->over);
  g_mutex_unlock(&n->lock);
  return over;
}

static void look_inside(Inspection *n)
{
  g_auto(Pool) pool = POOL_CLOSED;
  if (pool_open(n->storage, n->id, "be watched", &pool, NULL)) {
    g_atomic_int_inc(&n->signs);
    watch_directory(n, &pool);
    if (n->list)
      look_at_files(n, &pool);
  }
}

static gpointer inspect(gpointer arg)
{
  Inspection *n = arg;
  guint64 one = 1;
  bool may = reach_gate_enter(n->gate);
  if (may)
    look_inside(n);
  do { /* one that was late would only see itself */
    come_back(n);
    ws_pool_status_free(n->result.status);
    n->result.status = may ? pool_look(n->storage, n->id) : NULL;
  } while (!end(n));
  if (may)
    reach_gate_leave(n->gate);
  if (write(n->wake_fd, &one, sizeof one) < 0)
    ws_log(WS_LOG_DEBUG, "pool-watch-awake", NULL);
  inspection_unref(n);
  return NULL;
}

/* ---- its owner ---- */

Inspection *inspection_start(Storage *storage, WsId id, int inotify_fd, int wake_fd, bool is_watched, bool list)
{
  Inspection *n = g_new0(Inspection, 1);
  *n = (Inspection){.refs = 2, .storage = storage_ref(storage), .id = id, .is_watched = is_watched, .list = list, .seen_us = g_get_monotonic_time(),
                    .inotify_fd = fcntl(inotify_fd, F_DUPFD_CLOEXEC, 3), .wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 3),
                    .result = {NULL, g_ptr_array_new_with_free_func(g_free), g_ptr_array_new_with_free_func(g_free), -1}};
  g_mutex_init(&n->lock);
  g_cond_init(&n->over);
  g_mutex_lock(&storage->lock);
  StoragePool *p = storage_find_pool(storage, id);
  n->gate = p ? reach_gate_ref(p->gate) : reach_gate_new();
  g_mutex_unlock(&storage->lock);
  g_thread_unref(g_thread_new("pool-inspect", inspect, n));
  return n;
}

void inspection_unref(Inspection *n)
{
  if (!n || !g_atomic_int_dec_and_test(&n->refs))
    return;
  close(n->inotify_fd);
  close(n->wake_fd);
  reach_gate_unref(n->gate);
  ws_pool_status_free(n->result.status);
  g_ptr_array_unref(n->result.appeared);
  g_ptr_array_unref(n->result.vanished);
  g_mutex_clear(&n->lock);
  g_cond_clear(&n->over);
  storage_unref(n->storage);
  g_free(n);
}

/* Under the lock. When it is late unless something is heard of it; it is now, when that has passed. */
static gint64 late_at_us(Inspection *n)
{
  gint signs = g_atomic_int_get(&n->signs);
  if (signs != n->signs_seen)
    n->seen_us = g_get_monotonic_time();
  n->signs_seen = signs;
  gint64 at_us = n->seen_us + (gint64)pool_reach_wait_ms * 2000; /* what it asks itself is waited for as long, and gets its say first */
  if (n->state == INSPECTION_GOES_ON && g_get_monotonic_time() >= at_us) {
    n->state = INSPECTION_IS_LATE;
    reach_gate_late(n->gate, 1);
  }
  return at_us;
}

InspectionState inspection_state(Inspection *n)
{
  g_mutex_lock(&n->lock);
  late_at_us(n);
  InspectionState state = n->state;
  g_mutex_unlock(&n->lock);
  return state;
}

void inspection_wait(Inspection *n)
{
  g_mutex_lock(&n->lock);
  for (gint64 at_us = late_at_us(n); n->state == INSPECTION_GOES_ON; at_us = late_at_us(n))
    g_cond_wait_until(&n->over, &n->lock, at_us);
  g_mutex_unlock(&n->lock);
}

InspectionResult *inspection_result(Inspection *n)
{
  return &n->result;
}
