// SPDX-License-Identifier: Apache-2.0
/* The log of changes and its readers.
 *
 * The log is a ring of the last INV_LOG_MAX changes, numbered without gap; a watch is the number it will read
 * next. The ring keeps old versions alive, so it is also bounded by an estimate of their size: then fewer
 * changes are kept. A reader whose next number is gone, or who asks for a revision of which a change is gone,
 * is told to list again.
 *
 * Threads: the core loop appends; each watch belongs to one reader, on any thread; `lock` is held for a copy
 * of a batch at most. Wake-ups run on the core loop under `watch_lock`, so after inv_watch_free() none comes
 * any more. */
#include "inventory/inventory-private.h"
#include "base/plant.h"
#include <string.h>

struct InvWatch {
  InvLog *log;
  guint64 next; /* number of the next change to read */
  bool lost;    /* asked for what is not there */
  gint armed;   /* atomic: the reader has seen the end and wants to be woken */
  void (*notify)(void *arg);
  void *arg;
};

static InvChange *slot(const InvLog *log, guint64 number)
{
  return &log->ring[number % INV_LOG_MAX];
}

/* What malloc holds for a version: it is one block. */
static gsize bytes_of(const WsResource *object)
{
  return object->packed_bytes + 16;
}

/* What the log alone keeps alive: the old version; of history the record. */
static gsize kept_bytes(const InvChange *change)
{
  const void *kept = change->type->flags & WS_TYPE_HISTORY ? change->new_object : change->old_object;
  return kept ? bytes_of(kept) : 0;
}

/* ---- the log ---- */

void inv_log_init(InvLog *log, Revision revision)
{
  pthread_mutex_init(&log->lock, NULL);
  pthread_mutex_init(&log->watch_lock, NULL);
  log->ring = g_new0(InvChange, INV_LOG_MAX); /* pages are taken as they are used */
  log->sizes = g_new0(gsize, INV_LOG_MAX);
  log->floor = log->newest = revision;
  log->watches = g_ptr_array_new();
}

void inv_log_clear(InvLog *log)
{
  for (; log->first < log->end; log->first++)
    inv_changes_release(slot(log, log->first), 1);
  g_free(log->ring);
  g_free(log->sizes);
  g_ptr_array_free(log->watches, TRUE);
  pthread_mutex_destroy(&log->lock);
  pthread_mutex_destroy(&log->watch_lock);
}

static void hold(const InvChange *change)
{
  if (change->old_object)
    ws_resource_ref(change->old_object);
  if (change->new_object)
    ws_resource_ref(change->new_object);
}

void inv_changes_release(InvChange *changes, guint n)
{
  for (guint i = 0; i < n; i++) {
    ws_resource_unref((void *)changes[i].old_object);
    ws_resource_unref((void *)changes[i].new_object);
  }
}

/* Under the lock: forgets the oldest change. */
static void forget_oldest(InvLog *log, GArray *forgotten)
{
  const InvChange *oldest = slot(log, log->first);

  log->bytes -= log->sizes[log->first % INV_LOG_MAX];
  log->floor = oldest->revision;
  g_array_append_val(forgotten, *oldest);
  log->first++;
}

/* All changes of a revision at once, so that no reader takes half of them for the whole. */
void inv_log_append(InvLog *log, const InvChange *changes, guint n, void (*publish)(void *arg), void *arg)
{
  g_autoptr(GArray) forgotten = g_array_new(FALSE, FALSE, sizeof(InvChange));
  g_autofree gsize *sizes = g_new(gsize, n);

  for (guint i = 0; i < n; i++)
    sizes[i] = kept_bytes(&changes[i]);
  pthread_mutex_lock(&log->lock);
  publish(arg);
  for (guint i = 0; i < n; i++) {
    while (log->first < log->end &&
           (log->end - log->first == INV_LOG_MAX || log->bytes + sizes[i] > INV_LOG_BYTES_MAX))
      forget_oldest(log, forgotten);
    log->sizes[log->end % INV_LOG_MAX] = sizes[i];
    *slot(log, log->end) = changes[i];
    hold(slot(log, log->end++));
    log->bytes += sizes[i];
    log->newest = changes[i].revision;
  }
  pthread_mutex_unlock(&log->lock);
  inv_changes_release((InvChange *)(gpointer)forgotten->data, forgotten->len);
  log->dirty = true;
}

void inv_log_notify(InvLog *log)
{
  if (!log->dirty)
    return;
  log->dirty = false;
  pthread_mutex_lock(&log->watch_lock);
  for (guint i = 0; i < log->watches->len; i++) {
    InvWatch *watch = g_ptr_array_index(log->watches, i);
    if (watch->notify && g_atomic_int_compare_and_exchange(&watch->armed, 1, 0))
      watch->notify(watch->arg);
  }
  pthread_mutex_unlock(&log->watch_lock);
}

/* ---- reading ---- */

/* Under the lock: number of the first change after a revision. */
static guint64 first_after(const InvLog *log, Revision since)
{
  guint64 low = log->first, high = log->end;

  while (low < high) {
    guint64 mid = low + (high - low) / 2;
    if (slot(log, mid)->revision <= since)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

InvWatch *inv_watch_new(Inventory *inv, Revision since, void (*notify)(void *arg), void *arg)
{
  InvLog *log = &inv->log;
  InvWatch *watch = g_new0(InvWatch, 1);

  watch->log = log;
  watch->armed = 1;
  watch->notify = notify;
  watch->arg = arg;
  pthread_mutex_lock(&log->lock);
  watch->lost = since != 0 && ((since < log->floor && !SIM_PLANT(watch_never_relists)) || since > log->newest);
  watch->next = since != 0 ? first_after(log, since) : log->end;
  pthread_mutex_unlock(&log->lock);
  pthread_mutex_lock(&log->watch_lock);
  g_ptr_array_add(log->watches, watch);
  pthread_mutex_unlock(&log->watch_lock);
  return watch;
}

void inv_watch_free(InvWatch *watch)
{
  if (!watch)
    return;
  pthread_mutex_lock(&watch->log->watch_lock);
  g_ptr_array_remove_fast(watch->log->watches, watch);
  pthread_mutex_unlock(&watch->log->watch_lock);
  g_free(watch);
}

/* How many of the changes from `next` on make a batch: whole revisions as far as they fit. */
static guint batch_size(const InvLog *log, guint64 next, guint max)
{
  guint n = 0, whole = 0;

  while (n < max && next + n < log->end)
    if (slot(log, next + n++)->last)
      whole = n;
  return whole > 0 ? whole : n;
}

bool inv_watch_next(InvWatch *watch, InvChange *changes, guint max, guint *n, GError **error)
{
  InvLog *log = watch->log;

  pthread_mutex_lock(&log->lock);
  watch->lost = watch->lost || watch->next < log->first;
  *n = watch->lost ? 0 : batch_size(log, watch->next, max);
  for (guint i = 0; i < *n; i++) {
    changes[i] = *slot(log, watch->next++);
    hold(&changes[i]);
  }
  if (*n == 0)
    g_atomic_int_set(&watch->armed, 1); /* under the lock: what is appended next finds it */
  pthread_mutex_unlock(&log->lock);
  return !watch->lost || ws_fail(error, WS_ERROR_RELIST, NULL);
}
