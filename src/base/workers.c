// SPDX-License-Identifier: Apache-2.0
/* Workers: threads that run what blocks, started as needed, and the coroutine's side of waiting for them.
 *
 * A job is in `ready`, or waits in the line of its key, or runs. At most one job of a key is ready or
 * running; when it has ended, the next one of its line becomes ready. A call that a coroutine waits for is a
 * job with a Waiter; the two sides meet under the lock in `state`, and each holds a reference to the job.
 *
 * Threads: `lock` guards everything in WsWorkers and the state of jobs. Waiters belong to the loop's thread.
 */
#include "base/error.h"
#include "base/loop-private.h"
#include "base/log.h"
#include <pthread.h>
#include <signal.h>

#define IDLE_US     (10 * G_USEC_PER_SEC) /* a thread without work ends after this */
#define FAREWELL_US G_USEC_PER_SEC        /* ws_workers_free() waits this long */

typedef enum {
  QUEUED,
  RUNNING,
  DONE,      /* its coroutine has been or will be told */
  ABANDONED, /* nobody waits any more */
} State;

/* The coroutine's side of a call; on its stack, touched on the loop's thread only. */
typedef struct {
  WsLoop *loop;
  WsCo *co;
  WsTimer *timer;
  bool cancelled;
} Waiter;

typedef struct {
  gint refs; /* atomic: the worker's side, and the waiter's if there is one */
  char *key;
  State state;
  void *arg;
  WsLoopFunc run;  /* fire and forget, or ... */
  WsWorkFunc work; /* ... a call that is waited for: */
  GDestroyNotify destroy;
  Waiter *waiter;
  bool ok;
  GError *error;
} Job;

struct WsWorkers {
  char *name;
  guint max_threads;
  GMutex lock;
  GCond work_there;   /* for idle threads */
  GCond all_quiet;    /* for ws_workers_free() */
  guint refs;         /* the owner's and one per thread */
  GQueue ready;       /* of Job */
  GHashTable *lines;  /* key -> GQueue of Job; there while a job of the key is ready or running */
  GPtrArray *running; /* of Job */
  guint n_threads, n_idle;
  bool stopping;
};

static void job_unref(Job *job)
{
  if (!g_atomic_int_dec_and_test(&job->refs))
    return;
  g_clear_error(&job->error);
  g_free(job->key);
  g_free(job);
}

static void free_line(void *line)
{
  g_queue_free(line);
}

WsWorkers *ws_workers_new(const char *name, guint max_threads)
{
  WsWorkers *workers = g_new0(WsWorkers, 1);
  workers->name = g_strdup(name);
  workers->max_threads = max_threads;
  workers->refs = 1;
  g_mutex_init(&workers->lock);
  g_cond_init(&workers->work_there);
  g_cond_init(&workers->all_quiet);
  workers->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_line);
  workers->running = g_ptr_array_new();
  return workers;
}

/* With the lock held, which is given up. */
static void unref_and_unlock(WsWorkers *workers)
{
  bool last = --workers->refs == 0;
  g_mutex_unlock(&workers->lock);
  if (!last)
    return;
  g_hash_table_unref(workers->lines);
  g_ptr_array_unref(workers->running);
  g_mutex_clear(&workers->lock);
  g_cond_clear(&workers->work_there);
  g_cond_clear(&workers->all_quiet);
  g_free(workers->name);
  g_free(workers);
}

/* ---- queues (lock held) ---- */

static gpointer worker_main(gpointer arg);

/* A thread that takes no signals: they are for the main thread. */
static bool start_thread(WsWorkers *workers)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  g_autoptr(GError) error = NULL;
  GThread *thread = g_thread_try_new(workers->name, worker_main, workers, &error);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!thread) {
    ws_log_error(WS_LOG_ERROR, "no-thread", error, "workers", workers->name, NULL);
    return false;
  }
  g_thread_unref(thread);
  workers->n_threads++;
  workers->refs++;
  return true;
}

static void make_ready(WsWorkers *workers, Job *job)
{
  g_queue_push_tail(&workers->ready, job);
  if (workers->ready.length > workers->n_idle && workers->n_threads < workers->max_threads)
    start_thread(workers);
  g_cond_signal(&workers->work_there);
}

static void enqueue(WsWorkers *workers, Job *job)
{
  GQueue *line = job->key ? g_hash_table_lookup(workers->lines, job->key) : NULL;
  if (line) {
    g_queue_push_tail(line, job);
    return;
  }
  if (job->key)
    g_hash_table_insert(workers->lines, g_strdup(job->key), g_queue_new());
  make_ready(workers, job);
}

/* The job at the head of its key has ended or was dropped: the next one of the line is ready. */
static void advance_line(WsWorkers *workers, const Job *job)
{
  if (!job->key)
    return;
  GQueue *line = g_hash_table_lookup(workers->lines, job->key);
  Job *next = g_queue_pop_head(line);
  if (next)
    make_ready(workers, next);
  else
    g_hash_table_remove(workers->lines, job->key);
}

/* Takes a queued job out again. */
static void dequeue(WsWorkers *workers, Job *job)
{
  if (g_queue_remove(&workers->ready, job))
    advance_line(workers, job);
  else
    g_queue_remove(g_hash_table_lookup(workers->lines, job->key), job);
}

/* ---- the worker's side ---- */

static void call_ended(void *arg);

/* The lock is held, except while the function runs. */
static void run_job(WsWorkers *workers, Job *job)
{
  job->state = RUNNING;
  g_ptr_array_add(workers->running, job);
  g_mutex_unlock(&workers->lock);

  bool ok = true;
  GError *error = NULL;
  if (job->work)
    ok = job->work(job->arg, &error);
  else
    job->run(job->arg);

  g_mutex_lock(&workers->lock);
  g_ptr_array_remove_fast(workers->running, job);
  advance_line(workers, job);
  bool abandoned = job->state == ABANDONED;
  if (job->waiter && !abandoned) {
    job->state = DONE;
    job->ok = ok;
    job->error = error;
    ws_loop_post(job->waiter->loop, call_ended, job, NULL);
  } else if (abandoned) {
    g_mutex_unlock(&workers->lock);
    g_clear_error(&error);
    if (job->destroy)
      job->destroy(job->arg);
    g_mutex_lock(&workers->lock);
  }
  job_unref(job);
  g_cond_signal(&workers->all_quiet);
}

static gpointer worker_main(gpointer arg)
{
  WsWorkers *workers = arg;
  g_mutex_lock(&workers->lock);
  for (;;) {
    Job *job = g_queue_pop_head(&workers->ready);
    if (job) {
      run_job(workers, job);
      continue;
    }
    if (workers->stopping)
      break;
    workers->n_idle++;
    bool told = g_cond_wait_until(&workers->work_there, &workers->lock, g_get_monotonic_time() + IDLE_US);
    workers->n_idle--;
    if (!told && workers->ready.length == 0)
      break;
  }
  workers->n_threads--;
  unref_and_unlock(workers);
  return NULL;
}

void ws_workers_run(WsWorkers *workers, const char *key, WsLoopFunc func, void *arg)
{
  if (workers->max_threads == 0) {
    func(arg);
    return;
  }
  Job *job = g_new0(Job, 1);
  *job = (Job){.refs = 1, .key = g_strdup(key), .run = func, .arg = arg};
  g_mutex_lock(&workers->lock);
  g_assert(!workers->stopping);
  enqueue(workers, job);
  g_mutex_unlock(&workers->lock);
}

/* ---- the coroutine's side ---- */

/* Gives up the worker's side of an abandoned job that no worker will see. */
static void drop_unrun(Job *job)
{
  if (job->destroy)
    job->destroy(job->arg);
  job_unref(job);
}

/* Posted to the loop once the job is done or cancelled. */
static void call_ended(void *arg)
{
  Job *job = arg;
  ws_co_resume(job->waiter->co);
}

typedef struct {
  Waiter waiter;
  WsWorkers *workers;
  Job *job;
  guint timeout_ms;
} Call;

static void deadline_passed(void *arg)
{
  Call *call = arg;
  Job *job = call->job;
  call->waiter.timer = NULL;
  g_mutex_lock(&call->workers->lock);
  State was = job->state;
  if (was == QUEUED)
    dequeue(call->workers, job);
  if (was == QUEUED || was == RUNNING)
    job->state = ABANDONED;
  g_mutex_unlock(&call->workers->lock);
  if (was == QUEUED)
    drop_unrun(job);
  if (was == QUEUED || was == RUNNING) /* else call_ended() is on its way */
    ws_co_resume(call->waiter.co);
}

/* What a finished or abandoned call means to its caller. */
static bool call_result(Call *call, GError **error)
{
  Job *job = call->job;
  if (call->waiter.cancelled)
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (job->state == ABANDONED) {
    char timeout[32];
    g_snprintf(timeout, sizeof timeout, "%u ms", call->timeout_ms);
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", call->workers->name, "timeout", timeout, NULL);
  }
  if (job->ok)
    return true;
  if (job->destroy)
    job->destroy(job->arg);
  if (job->error)
    g_propagate_error(error, g_steal_pointer(&job->error));
  return false;
}

static bool call_here(WsWorkFunc func, void *arg, GDestroyNotify destroy, GError **error)
{
  bool ok = func(arg, error);
  ws_co_sleep(0); /* others run in between, as they would with a thread */
  if (!ok && destroy)
    destroy(arg);
  return ok;
}

bool ws_co_blocking_keyed(WsWorkers *workers, const char *key, WsWorkFunc func, void *arg,
                          GDestroyNotify destroy, guint timeout_ms, GError **error)
{
  g_assert(ws_co_self());
  if (workers->max_threads == 0)
    return call_here(func, arg, destroy, error);
  Call call = {.waiter = {.loop = ws_co_loop(), .co = ws_co_self()},
               .workers = workers,
               .job = g_new0(Job, 1),
               .timeout_ms = timeout_ms};
  *call.job = (Job){
      .refs = 2, .key = g_strdup(key), .work = func, .arg = arg, .destroy = destroy, .waiter = &call.waiter};
  if (timeout_ms > 0)
    call.waiter.timer =
        ws_loop_after(call.waiter.loop, timeout_ms * G_GINT64_CONSTANT(1000), deadline_passed, &call);
  g_mutex_lock(&workers->lock);
  g_assert(!workers->stopping);
  enqueue(workers, call.job);
  g_mutex_unlock(&workers->lock);

  ws_co_suspend();
  ws_timer_cancel(call.waiter.timer);
  bool ok = call_result(&call, error);
  job_unref(call.job);
  return ok;
}

bool ws_co_blocking(WsWorkers *workers, WsWorkFunc func, void *arg, GDestroyNotify destroy, guint timeout_ms,
                    GError **error)
{
  return ws_co_blocking_keyed(workers, NULL, func, arg, destroy, timeout_ms, error);
}

/* ---- the end ---- */

/* Lock held: tells the coroutine that waits for it, if one does. */
static void cancel(Job *job)
{
  bool waited_for = job->waiter && job->state != ABANDONED;
  job->state = ABANDONED;
  if (!waited_for)
    return;
  job->waiter->cancelled = true;
  ws_loop_post(job->waiter->loop, call_ended, job, NULL);
}

static void log_abandoned(const WsWorkers *workers, guint n_running, guint n_dropped)
{
  if (n_running + n_dropped == 0)
    return;
  char running[16], dropped[16];
  g_snprintf(running, sizeof running, "%u", n_running);
  g_snprintf(dropped, sizeof dropped, "%u", n_dropped);
  ws_log(WS_LOG_WARNING, "calls-abandoned", "workers", workers->name, "running", running, "dropped", dropped,
         NULL);
}

/* Lock held: takes all queued jobs out. */
static void collect_queued(WsWorkers *workers, GQueue *queued)
{
  for (Job *job; (job = g_queue_pop_head(&workers->ready));)
    g_queue_push_tail(queued, job);
  GHashTableIter lines;
  gpointer line;
  g_hash_table_iter_init(&lines, workers->lines);
  while (g_hash_table_iter_next(&lines, NULL, &line))
    for (Job *job; (job = g_queue_pop_head(line));)
      g_queue_push_tail(queued, job);
}

void ws_workers_free(WsWorkers *workers)
{
  if (!workers)
    return;
  g_mutex_lock(&workers->lock);
  workers->stopping = true;
  g_cond_broadcast(&workers->work_there);
  gint64 until = g_get_monotonic_time() + FAREWELL_US;
  while (workers->running->len + workers->ready.length > 0)
    if (!g_cond_wait_until(&workers->all_quiet, &workers->lock, until))
      break;

  GQueue queued = G_QUEUE_INIT;
  collect_queued(workers, &queued);
  log_abandoned(workers, workers->running->len, queued.length);
  for (guint i = 0; i < workers->running->len; i++)
    cancel(g_ptr_array_index(workers->running, i));
  for (GList *item = queued.head; item; item = item->next)
    cancel(item->data);
  unref_and_unlock(workers);
  for (Job *job; (job = g_queue_pop_head(&queued));)
    drop_unrun(job);
}
