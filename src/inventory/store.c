// SPDX-License-Identifier: Apache-2.0
/* The store's thread: batches in, groups to SQL, outcomes back to the loop in order.
 *
 * A batch of the inventory is built on the batches before it. So when a group fails, everything submitted
 * before the loop has heard of the failure must fail too, although there might be room for it by now. Each
 * batch carries the loop's epoch; a failure condemns its epoch; the loop enters the next one when the first
 * failed batch comes back to it.
 *
 * Time comes from the loop's timers alone: while there is something to checkpoint or the store is read-only,
 * a tick a second asks the thread to act when nothing was submitted since the last one. */
#include "inventory/store-private.h"
#include "base/log.h"
#include <signal.h>
#include <string.h>

static gpointer store_thread(gpointer arg);

/* ---- jobs and queues ---- */

static void queue_init(StoreQueue *queue)
{
  queue->first = NULL;
  queue->end = &queue->first;
}

static void queue_push(StoreQueue *queue, StoreJob *job)
{
  job->next = NULL;
  *queue->end = job;
  queue->end = &job->next;
}

/* Takes the jobs from the first to before `end`, as a list that ends with NULL. */
static StoreJob *queue_take(StoreQueue *queue, StoreJob *end)
{
  StoreJob *first = queue->first, *last = first;

  if (first == end)
    return NULL;
  while (last->next != end)
    last = last->next;
  last->next = NULL;
  queue->first = end;
  if (!end)
    queue->end = &queue->first;
  return first;
}

static void drop_rows(StoreJob *job)
{
  for (guint i = 0; i < job->n_rows; i++)
    ws_resource_unref((void *)job->rows[i].object);
  g_clear_pointer(&job->rows, g_free);
  job->n_rows = 0;
}

static void job_free(StoreJob *job)
{
  drop_rows(job);
  g_strfreev(job->meta);
  g_clear_error(&job->error);
  g_free(job);
}

/* ---- life ---- */

static Store *store_ref(Store *store)
{
  g_atomic_int_inc(&store->ref_count);
  return store;
}

static void store_unref(gpointer arg)
{
  Store *store = arg;

  if (!g_atomic_int_dec_and_test(&store->ref_count))
    return;
  pthread_mutex_destroy(&store->lock);
  pthread_cond_destroy(&store->wake);
  pthread_mutex_destroy(&store->sql_lock);
  pthread_mutex_destroy(&store->read_lock);
  g_free(store->path);
  g_free(store);
}

static void close_connections(Store *store)
{
  sqlite3_close(store->read_db);
  store->read_db = NULL;
  store_sql_close(store);
  store_vfs_unregister(store);
}

/* The thread takes no signals: they are the loop's business. */
static bool start_thread(Store *store, GError **error)
{
  sigset_t all, before;
  int result;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  result = pthread_create(&store->thread, NULL, store_thread, store);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  store->has_thread = result == 0;
  if (result == 0)
    return true;
  return ws_fail(error, WS_ERROR_INTERNAL, "cause", g_strerror(result), NULL);
}

Store *store_open(const char *path, WsLoop *loop, GError **error)
{
  Store *store = g_new0(Store, 1);

  store->ref_count = 1;
  store->path = g_strdup(path);
  store->in_memory = strcmp(path, ":memory:") == 0;
  store->lock_fd = -1;
  store->loop = loop;
  store->epoch = 1;
  pthread_mutex_init(&store->lock, NULL);
  pthread_cond_init(&store->wake, NULL);
  pthread_mutex_init(&store->sql_lock, NULL);
  pthread_mutex_init(&store->read_lock, NULL);
  queue_init(&store->queue);
  queue_init(&store->done);
  if (store_vfs_register(store, error) && store_sql_open(store, error) &&
      store_history_open_reader(store, error) && start_thread(store, error))
    return store;
  close_connections(store);
  store_unref(store);
  return NULL;
}

static void hand_back(Store *store);

void store_close(Store *store)
{
  if (!store)
    return;
  pthread_mutex_lock(&store->lock);
  store->stopping = true;
  pthread_cond_signal(&store->wake);
  pthread_mutex_unlock(&store->lock);
  pthread_join(store->thread, NULL);
  hand_back(store); /* what the loop did not come to any more */
  store->closed = true;
  g_clear_pointer(&store->tick, ws_timer_cancel);
  close_connections(store);
  store_unref(store);
}

StoreState store_state(Store *store)
{
  return g_atomic_int_get(&store->state);
}

void store_set_fault(Store *store, StoreFault fault, void *arg)
{
  pthread_mutex_lock(&store->sql_lock);
  store->fault = fault;
  store->fault_arg = arg;
  pthread_mutex_unlock(&store->sql_lock);
}

/* ---- state ---- */

static void set_state(Store *store, const GError *error)
{
  gint state = error ? STORE_READ_ONLY : STORE_WRITABLE;

  if (g_atomic_int_get(&store->state) == state)
    return;
  g_atomic_int_set(&store->state, state);
  if (error)
    ws_log_error(WS_LOG_ERROR, "store-read-only", error, "database", store->path, NULL);
  else
    ws_log(WS_LOG_NOTICE, "store-writable", "database", store->path, NULL);
}

/* Whatever hinders a write, to those who wait for it the answer is one. */
static void become_read_only(GError **error)
{
  GError *cause = *error;

  if (g_error_matches(cause, WS_ERROR, WS_ERROR_READ_ONLY))
    return;
  *error = NULL;
  ws_fail(error, WS_ERROR_READ_ONLY, "cause", ws_error_cause(cause), NULL);
  g_error_free(cause);
}

bool store_put_meta(Store *store, const char *const *meta, GError **error)
{
  GError *failure = NULL;

  pthread_mutex_lock(&store->sql_lock);
  if (!store_sql_write_meta(store, meta, &failure))
    become_read_only(&failure);
  set_state(store, failure);
  pthread_mutex_unlock(&store->sql_lock);
  if (failure)
    g_propagate_error(error, failure);
  return !failure;
}

/* ---- submitting (loop) ---- */

static void enqueue(Store *store, StoreJob *job)
{
  job->epoch = store->epoch;
  pthread_mutex_lock(&store->lock);
  g_assert(!store->stopping);
  queue_push(&store->queue, job);
  pthread_cond_signal(&store->wake);
  pthread_mutex_unlock(&store->lock);
}

void store_submit(Store *store, StoreRow *rows, guint n_rows, const char *const *meta, StoreDone done,
                  void *arg)
{
  StoreJob *job = g_new0(StoreJob, 1);

  job->kind = STORE_JOB_BATCH;
  job->rows = rows;
  job->n_rows = n_rows;
  job->meta = g_strdupv((char **)meta);
  job->done = done;
  job->arg = arg;
  store->n_submitted++;
  enqueue(store, job);
}

void store_expire_history(Store *store, const WsType *type, gint64 wall_us)
{
  StoreJob *job = g_new0(StoreJob, 1);

  job->kind = STORE_JOB_EXPIRE;
  job->type = type;
  job->wall_us = wall_us;
  enqueue(store, job);
}

static void tick(void *arg);

static bool needs_tick(Store *store)
{
  return g_atomic_int_get(&store->wal_bytes) > 0 || store_state(store) == STORE_READ_ONLY;
}

static void start_tick(Store *store)
{
  if (!store->tick && !store->closed && needs_tick(store)) {
    store->n_at_tick = store->n_submitted;
    store->tick = ws_loop_after(store->loop, STORE_TICK_US, tick, store);
  }
}

static void tick(void *arg)
{
  Store *store = arg;
  bool idle = store->n_submitted == store->n_at_tick;
  StoreJob *job;

  store->tick = NULL;
  store->n_ticks = idle ? store->n_ticks + 1 : 0;
  if (idle && store_state(store) == STORE_READ_ONLY && store->n_ticks % STORE_PROBE_TICKS == 0) {
    job = g_new0(StoreJob, 1);
    job->kind = STORE_JOB_PROBE;
    enqueue(store, job);
  } else if (idle && store_state(store) == STORE_WRITABLE) {
    job = g_new0(StoreJob, 1);
    job->kind = STORE_JOB_CHECKPOINT;
    enqueue(store, job);
    return; /* the next batch starts the tick again */
  }
  start_tick(store);
}

/* ---- outcomes (loop) ---- */

static void hand_back(Store *store)
{
  StoreJob *job;

  pthread_mutex_lock(&store->lock);
  store->posted = false;
  job = queue_take(&store->done, NULL);
  pthread_mutex_unlock(&store->lock);
  while (job) {
    StoreJob *next = job->next;
    if (job->kind == STORE_JOB_BATCH) {
      if (job->error && job->epoch == store->epoch)
        store->epoch++; /* what is submitted from here on knows of the failure */
      if (job->done)
        job->done(job->error, job->arg);
    }
    job_free(job);
    job = next;
  }
}

static void on_posted(void *arg)
{
  Store *store = arg;

  hand_back(store);
  if (!store->closed)
    start_tick(store);
}

/* ---- the thread ---- */

/* The end of the group that begins with `first`: a batch that is too much, of another epoch, or no batch. */
static StoreJob *group_end(StoreJob *first)
{
  guint n_rows = first->n_rows;
  StoreJob *end = first->next;

  if (first->kind != STORE_JOB_BATCH)
    return end;
  while (end && end->kind == STORE_JOB_BATCH && end->epoch == first->epoch && n_rows < STORE_GROUP_ROWS) {
    n_rows += end->n_rows;
    end = end->next;
  }
  return end;
}

static void write_group(Store *store, StoreJob *first)
{
  GError *error = NULL;

  if (first->epoch > store->failed_epoch) {
    if (!store_sql_write(store, first, NULL, &error))
      become_read_only(&error);
    set_state(store, error);
  } else {
    ws_fail(&error, WS_ERROR_READ_ONLY, "cause", "an earlier change could not be written", NULL);
  }
  if (error)
    store->failed_epoch = MAX(store->failed_epoch, first->epoch);
  for (StoreJob *job = first; job; job = job->next) {
    job->error = error ? g_error_copy(error) : NULL;
    drop_rows(job); /* freeing old versions is not the loop's work */
  }
  g_clear_error(&error);
}

/* One portion; what is left goes to the end of the queue, so that batches get their turn. */
static void expire(Store *store, StoreJob *job)
{
  GError *error = NULL;
  bool more = false;

  if (!store_history_expire(store, job->type, job->wall_us, &more, &error))
    ws_log_error(WS_LOG_WARNING, "history-not-expired", error, "type", job->type->name, NULL);
  g_clear_error(&error);
  if (more) {
    StoreJob *again = g_new0(StoreJob, 1);
    again->kind = STORE_JOB_EXPIRE;
    again->type = job->type;
    again->wall_us = job->wall_us;
    pthread_mutex_lock(&store->lock);
    if (store->stopping)
      g_free(again); /* the rest another day */
    else
      queue_push(&store->queue, again);
    pthread_mutex_unlock(&store->lock);
  }
}

/* A failure loses nothing: the WAL keeps it all. It is tried again at the next tick, and said once. */
static void checkpoint(Store *store)
{
  GError *error = NULL;

  store_sql_checkpoint(store, &error);
  if (error && !store->checkpoint_failed)
    ws_log_error(WS_LOG_WARNING, "store-checkpoint-failed", error, "database", store->path, NULL);
  store->checkpoint_failed = error != NULL;
  g_clear_error(&error);
}

static void probe(Store *store)
{
  static const char *const meta[] = {"probe", "", NULL};
  GError *error = NULL;

  if (store_sql_write_meta(store, meta, &error))
    set_state(store, NULL);
  g_clear_error(&error);
}

static void run_jobs(Store *store, StoreJob *first)
{
  pthread_mutex_lock(&store->sql_lock);
  switch (first->kind) {
  case STORE_JOB_BATCH:
    write_group(store, first);
    break;
  case STORE_JOB_EXPIRE:
    expire(store, first);
    break;
  case STORE_JOB_CHECKPOINT:
    checkpoint(store);
    break;
  case STORE_JOB_PROBE:
    probe(store);
    break;
  }
  pthread_mutex_unlock(&store->sql_lock);
}

static void return_jobs(Store *store, StoreJob *first)
{
  bool post;

  pthread_mutex_lock(&store->lock);
  while (first) {
    StoreJob *next = first->next;
    queue_push(&store->done, first);
    first = next;
  }
  post = !store->posted && !store->stopping;
  store->posted = true;
  pthread_mutex_unlock(&store->lock);
  if (post)
    ws_loop_post(store->loop, on_posted, store_ref(store), store_unref);
}

static gpointer store_thread(gpointer arg)
{
  Store *store = arg;
  StoreJob *jobs;

  pthread_setname_np(pthread_self(), "store");
  for (;;) {
    pthread_mutex_lock(&store->lock);
    while (!store->queue.first && !store->stopping)
      pthread_cond_wait(&store->wake, &store->lock);
    jobs = store->queue.first ? queue_take(&store->queue, group_end(store->queue.first)) : NULL;
    pthread_mutex_unlock(&store->lock);
    if (!jobs)
      return NULL;
    run_jobs(store, jobs);
    return_jobs(store, jobs);
    /* After the outcome is on its way: nobody waits for this but the next group. */
    if (g_atomic_int_get(&store->wal_bytes) >= STORE_WAL_BYTES_MAX) {
      pthread_mutex_lock(&store->sql_lock);
      checkpoint(store);
      pthread_mutex_unlock(&store->sql_lock);
    }
  }
}
