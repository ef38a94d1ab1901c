// SPDX-License-Identifier: Apache-2.0
/* The watch thread. It owns inotify and what it last reported; the registry is read under its lock. */
#include "host/storage/pool_watch.h"
#include "host/storage/pool_dir.h"
#include "host/storage/storage-private.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
  DEFAULT_INTERVAL_MS = 2000,
  LIST_EVERY = 15 /* intervals: sizes change without a hint */,
  MAX_RELISTS = 8
};
#define WATCHED                                                                                              \
  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Capacity changes smaller than 1/128 of the pool are not worth a message. */
#define CAPACITY_STEPS 128

typedef struct {
  WsId id;
  int wd;     /* -1: not watched (unreachable) */
  bool dirty; /* the kernel gave a hint */
  guint age;  /* intervals since it was listed */
  WsPoolStatus *reported;
} Watched;

struct PoolWatch {
  Storage *storage;
  int inotify_fd, wake_fd, interval_ms;
  gint stop;
  GHashTable *pools; /* WsId -> Watched */
  GThread *thread;
  void (*changed)(WsId, const WsPoolStatus *, const char *const *, const char *const *, void *);
  void *changed_arg;
};

static void watched_free(gpointer data)
{
  Watched *w = data;
  ws_pool_status_free(w->reported);
  g_free(w);
}

/* ---- files ---- */

static void collect_name(const char *name, const struct stat *st, void *arg)
{
  g_hash_table_add(arg, g_strdup(name));
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
static void look_at_files(PoolWatch *watch, const Pool *pool, GPtrArray *appeared, GPtrArray *vanished)
{
  Storage *storage = watch->storage;
  for (guint i = 0; i < MAX_RELISTS; i++) {
    g_mutex_lock(&storage->lock);
    StoragePool *p = storage_find_pool(storage, pool->id);
    guint64 before = p ? p->changes : 0;
    g_mutex_unlock(&storage->lock);

    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint64 allocated = pool_list(pool->dir_fd, collect_name, names);

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

/* ---- one pool ---- */

static bool is_worth_telling(const WsPoolStatus *a, const WsPoolStatus *b)
{
  if (!a || a->state != b->state || g_strcmp0(a->reason, b->reason) != 0 ||
      a->capacity_bytes != b->capacity_bytes)
    return true;
  gint64 step = MAX(b->capacity_bytes / CAPACITY_STEPS, 1);
  return ABS(a->available_bytes - b->available_bytes) >= step ||
         ABS(a->allocated_bytes - b->allocated_bytes) >= step;
}

static void watch_directory(PoolWatch *watch, Watched *w, const Pool *pool)
{
  if (w->wd >= 0)
    return;
  char path[64];
  g_snprintf(path, sizeof path, "/proc/self/fd/%d", pool->dir_fd);
  w->wd = inotify_add_watch(watch->inotify_fd, path, WATCHED);
  w->dirty = true;
}

static void look_at_pool(PoolWatch *watch, Watched *w)
{
  g_autoptr(GPtrArray) appeared = g_ptr_array_new_with_free_func(g_free),
                       vanished = g_ptr_array_new_with_free_func(g_free);
  g_auto(Pool) pool = POOL_CLOSED;
  if (pool_open(watch->storage, w->id, "be watched", &pool, NULL)) {
    watch_directory(watch, w, &pool);
    if (w->dirty || ++w->age >= LIST_EVERY) {
      w->dirty = false;
      w->age = 0;
      look_at_files(watch, &pool, appeared, vanished);
    }
  }
  g_autoptr(WsPoolStatus) status = pool_look(watch->storage, w->id);
  if (!status)
    return;
  if (status->state == WS_POOL_STATUS_STATE_UNREACHABLE && w->wd >= 0) {
    inotify_rm_watch(watch->inotify_fd, w->wd);
    w->wd = -1;
  }
  if (appeared->len == 0 && vanished->len == 0 && !is_worth_telling(w->reported, status))
    return;
  g_ptr_array_add(appeared, NULL);
  g_ptr_array_add(vanished, NULL);
  watch->changed(w->id, status, (const char *const *)appeared->pdata, (const char *const *)vanished->pdata,
                 watch->changed_arg);
  ws_pool_status_free(w->reported);
  w->reported = g_steal_pointer(&status);
}

/* ---- the thread ---- */

/* Brings `pools` in line with the registry. */
static void follow_registry(PoolWatch *watch)
{
  g_mutex_lock(&watch->storage->lock);
  GHashTableIter iter;
  StoragePool *p;
  g_hash_table_iter_init(&iter, watch->storage->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&p))
    if (!g_hash_table_contains(watch->pools, &p->id)) {
      Watched *w = g_new0(Watched, 1);
      *w = (Watched){.id = p->id, .wd = -1, .dirty = true};
      g_hash_table_insert(watch->pools, &w->id, w);
    }
  Watched *w;
  g_hash_table_iter_init(&iter, watch->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&w))
    if (!storage_find_pool(watch->storage, w->id)) {
      if (w->wd >= 0)
        inotify_rm_watch(watch->inotify_fd, w->wd);
      g_hash_table_iter_remove(&iter);
    }
  g_mutex_unlock(&watch->storage->lock);
}

static void mark_dirty(PoolWatch *watch, const struct inotify_event *event)
{
  GHashTableIter iter;
  Watched *w;
  g_hash_table_iter_init(&iter, watch->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&w)) {
    if (event->mask & IN_Q_OVERFLOW)
      w->dirty = true;
    if (event->wd != w->wd)
      continue;
    w->dirty = true;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
      w->wd = -1;
  }
}

static void read_hints(PoolWatch *watch)
{
  char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
  gssize n;
  while ((n = read(watch->inotify_fd, buf, sizeof buf)) > 0)
    for (char *at = buf; at < buf + n;) {
      const struct inotify_event *event = (const struct inotify_event *)at;
      mark_dirty(watch, event);
      at += sizeof *event + event->len;
    }
}

static gpointer watch_thread(gpointer data)
{
  PoolWatch *watch = data;
  while (!g_atomic_int_get(&watch->stop)) {
    follow_registry(watch);
    GHashTableIter iter;
    Watched *w;
    g_hash_table_iter_init(&iter, watch->pools);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&w))
      look_at_pool(watch, w);
    struct pollfd fds[] = {{watch->inotify_fd, POLLIN, 0}, {watch->wake_fd, POLLIN, 0}};
    int n = poll(fds, 2, watch->interval_ms);
    guint64 wakes;
    if (n > 0 && (fds[1].revents & POLLIN) && read(watch->wake_fd, &wakes, sizeof wakes) < 0)
      continue;
    if (n > 0 && (fds[0].revents & POLLIN))
      read_hints(watch);
  }
  return NULL;
}

PoolWatch *pool_watch_new(Storage *storage, const StorageConfig *config)
{
  PoolWatch *watch = g_new0(PoolWatch, 1);
  watch->storage = storage;
  watch->interval_ms = config->watch_interval_ms ? (int)config->watch_interval_ms : DEFAULT_INTERVAL_MS;
  watch->changed = config->changed;
  watch->changed_arg = config->changed_arg;
  watch->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  watch->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, watched_free);
  watch->thread = g_thread_new("pool-watch", watch_thread, watch);
  return watch;
}

void pool_watch_wake(PoolWatch *watch)
{
  guint64 one = 1;
  if (watch && write(watch->wake_fd, &one, sizeof one) < 0)
    g_warn_if_fail(errno == EAGAIN); /* already awake */
}

void pool_watch_free(PoolWatch *watch)
{
  if (!watch)
    return;
  g_atomic_int_set(&watch->stop, 1);
  pool_watch_wake(watch);
  g_thread_join(watch->thread);
  close(watch->inotify_fd);
  close(watch->wake_fd);
  g_hash_table_unref(watch->pools);
  g_free(watch);
}
