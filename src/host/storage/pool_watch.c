// SPDX-License-Identifier: Apache-2.0
/* The watch thread. It owns inotify and what it last reported; the registry is read under its lock. It never touches a pool itself: that may hang
 * (pool_inspect.h). */
#include "host/storage/pool_watch.h"
#include "host/storage/pool_inspect.h"
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
};
/* Capacity changes smaller than 1/128 of the pool are not worth a message. */
#define CAPACITY_STEPS 128

typedef struct {
  WsId id;
  int wd;     /* -1: not watched (unreachable) */
  bool dirty; /* the kernel gave a hint */
  guint age;  /* intervals since it was listed */
  Inspection *inspection; /* under way; NULL: none */
  WsPoolStatus *reported;
} Watched;

struct PoolWatch {
  Storage *storage;
  int inotify_fd, wake_fd, interval_ms;
  gint stop, asked; /* atomic */
  GHashTable *pools; /* WsId -> Watched */
  GThread *thread;
  void (*changed)(WsId, const WsPoolStatus *, const char *const *, const char *const *, void *);
  void *changed_arg;
};

static void watched_free(gpointer data)
{
  Watched *w = data;
  inspection_unref(w->inspection);
  ws_pool_status_free(w->reported);
  g_free(w);
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

static void tell(PoolWatch *watch, Watched *w, WsPoolStatus *status, GPtrArray *appeared, GPtrArray *vanished)
{
  g_autoptr(WsPoolStatus) told = status;
  if (appeared->len == 0 && vanished->len == 0 && !is_worth_telling(w->reported, told))
    return;
  g_ptr_array_add(appeared, NULL);
  g_ptr_array_add(vanished, NULL);
  watch->changed(w->id, told, (const char *const *)appeared->pdata, (const char *const *)vanished->pdata, watch->changed_arg);
  ws_pool_status_free(w->reported);
  w->reported = g_steal_pointer(&told);
}

static void tell_late(PoolWatch *watch, Watched *w)
{
  g_autoptr(GPtrArray) none = g_ptr_array_new(), nothing = g_ptr_array_new();
  WsPoolStatus *status = pool_silent(watch->storage, w->id);
  if (status)
    tell(watch, w, status, none, nothing);
}

static void take_result(PoolWatch *watch, Watched *w)
{
  g_autoptr(Inspection) over = g_steal_pointer(&w->inspection);
  InspectionResult *result = inspection_result(over);
  WsPoolStatus *status = g_steal_pointer(&result->status);
  if (result->wd >= 0)
    w->wd = result->wd;
  if (!status)
    return;
  if (status->state == WS_POOL_STATUS_STATE_UNREACHABLE && w->wd >= 0) {
    inotify_rm_watch(watch->inotify_fd, w->wd);
    w->wd = -1;
  }
  tell(watch, w, status, result->appeared, result->vanished);
}

static void begin_look(PoolWatch *watch, Watched *w)
{
  if (w->inspection) /* never two of a pool */
    return;
  bool list = w->dirty || ++w->age >= LIST_EVERY;
  if (list) {
    w->dirty = false;
    w->age = 0;
  }
  w->inspection = inspection_start(watch->storage, w->id, watch->inotify_fd, watch->wake_fd, w->wd >= 0, list);
}

/* What has come of the look that is under way. */
static void follow_look(PoolWatch *watch, Watched *w)
{
  InspectionState state = w->inspection ? inspection_state(w->inspection) : INSPECTION_GOES_ON;
  if (state == INSPECTION_IS_OVER)
    take_result(watch, w);
  else if (state == INSPECTION_IS_LATE)
    tell_late(watch, w);
  if (state == INSPECTION_IS_OVER && w->dirty) /* there were hints meanwhile */
    begin_look(watch, w);
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
    if (event->wd != w->wd && !(w->inspection && w->wd < 0)) /* which may have put it there just now */
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

static void each_pool(PoolWatch *watch, void (*visit)(PoolWatch *, Watched *))
{
  GHashTableIter iter;
  Watched *w;
  g_hash_table_iter_init(&iter, watch->pools);
  while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&w))
    visit(watch, w);
}

static void wait_for_look(PoolWatch *watch, Watched *w)
{
  if (w->inspection)
    inspection_wait(w->inspection);
}

/* The results of those that are over come before the hints: only then it is known which directory is meant. New looks begin once an interval, or when there
 * are hints or other pools. */
static gpointer watch_thread(gpointer data)
{
  PoolWatch *watch = data;
  gint64 next_us = 0;
  while (!g_atomic_int_get(&watch->stop)) {
    follow_registry(watch);
    each_pool(watch, follow_look);
    if (g_atomic_int_compare_and_exchange(&watch->asked, 1, 0) || g_get_monotonic_time() >= next_us) {
      each_pool(watch, begin_look);
      next_us = g_get_monotonic_time() + (gint64)watch->interval_ms * 1000;
    }
    struct pollfd fds[] = {{watch->inotify_fd, POLLIN, 0}, {watch->wake_fd, POLLIN, 0}};
    int n = poll(fds, 2, (int)MAX((next_us - g_get_monotonic_time()) / 1000 + 1, 0));
    guint64 wakes;
    if (n > 0 && (fds[1].revents & POLLIN) && read(watch->wake_fd, &wakes, sizeof wakes) < 0)
      continue;
    if (n > 0 && (fds[0].revents & POLLIN)) {
      each_pool(watch, follow_look);
      read_hints(watch);
      next_us = 0;
    }
  }
  each_pool(watch, wait_for_look);
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
  if (watch)
    g_atomic_int_set(&watch->asked, 1);
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
