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
#include "base/plant.h"
#include "base/log.h"
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static gpointer store_thread(gpointer arg);
static void start_turn(Store *store);
static void turn(void *arg);

StoreSchema store_schema = {WS_SCHEMA_VERSION, ws_schema_migrations};

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

/* The tables of all types; history's indexed fields are columns. */
static StoreTable *tables_new(void)
{
  StoreTable *tables = g_new0(StoreTable, ws_n_resource_types);

  for (guint i = 0; i < ws_n_resource_types; i++) {
    const WsType *type = ws_resource_types[i];
    tables[i] = (StoreTable){type, (type->flags & WS_TYPE_HISTORY) != 0, 0, g_new(const WsField *, type->n_fields)};
    for (guint k = 0; tables[i].history && k < type->n_fields; k++) {
      const WsField *field = &type->fields[k];
      if (!(field->flags & (WS_FIELD_INDEXED | WS_FIELD_UNIQUE)))
        continue;
      g_assert(field->kind != WS_KIND_ARRAY && field->kind != WS_KIND_OBJECT && field->kind != WS_KIND_MAP);
      tables[i].columns[tables[i].n_columns++] = field;
    }
  }
  return tables;
}

static void tables_free(StoreTable *tables)
{
  for (guint i = 0; i < ws_n_resource_types; i++)
    g_free(tables[i].columns);
  g_free(tables);
}

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
  tables_free(store->tables);
  g_string_free(store->body, TRUE);
  g_free(store->path);
  g_free(store);
}

static void close_database(Store *store)
{
  if (store->db)
    store->backend->close(store);
  store->db = NULL;
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

Store *store_new(const char *path, const char *suffix, WsLoop *loop)
{
  Store *store = g_new0(Store, 1);

  store->ref_count = 1;
  store->backend = store_address_is_server(path) ? &store_pg : &store_sqlite;
  store->path = store->backend == &store_pg ? g_strdup(path) : g_strconcat(path, suffix, NULL);
  store->suffix = suffix;
  store->tables = tables_new();
  store->body = g_string_sized_new(8192);
  store->loop = loop;
  store->epoch = 1;
  pthread_mutex_init(&store->lock, NULL);
  pthread_cond_init(&store->wake, NULL);
  pthread_mutex_init(&store->sql_lock, NULL);
  queue_init(&store->queue);
  queue_init(&store->done);
  return store;
}

bool store_hold(Store *store, GError **error)
{
  return store->backend->hold(store, error);
}

bool store_start(Store *store, GError **error)
{
  return store_hold(store, error) && store->backend->open(store, error) && (store->stand || start_thread(store, error));
}

static bool is_here(Store *store, GError **error)
{
  g_autofree char *moved_to = store->backend->get_meta(store, STORE_MOVED_TO), *cause = NULL;

  if (!moved_to || !*moved_to)
    return true;
  cause = g_strdup_printf("it was moved to %s", moved_to);
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", store->path, "cause", cause, NULL);
}

Store *store_open(const char *path, WsLoop *loop, GError **error)
{
  return store_open_on(path, loop, NULL, error);
}

Store *store_open_on(const char *path, WsLoop *loop, const StoreStand *stand, GError **error)
{
  Store *store = store_new(path, "", loop);

  store->stand = stand;
  if (store_start(store, error) && is_here(store, error))
    return store;
  store_close(store);
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
  if (store->has_thread)
    pthread_join(store->thread, NULL);
  g_clear_pointer(&store->turn, ws_timer_cancel);
  while (store->stand && store->queue.first)
    turn(store);
  hand_back(store); /* what the loop did not come to any more */
  store->closed = true;
  g_clear_pointer(&store->tick, ws_timer_cancel);
  close_database(store);
  store_unref(store);
}

StoreState store_state(Store *store)
{
  return g_atomic_int_get(&store->state);
}

bool store_is_stalled(Store *store)
{
  return g_atomic_int_get(&store->stalled) != 0;
}

void store_set_fault(Store *store, StoreFault fault, void *arg)
{
  pthread_mutex_lock(&store->sql_lock);
  store->fault = fault;
  store->fault_arg = arg;
  pthread_mutex_unlock(&store->sql_lock);
}

/* ---- for backends ---- */

const StoreTable *store_table(Store *store, const WsType *type)
{
  const StoreTable *table = &store->tables[type->index];

  g_assert(table->type == type);
  return table;
}

void store_write_body(Store *store, const StoreRow *row)
{
  WsJsonWriter writer = ws_json_writer(store->body);

  g_string_truncate(store->body, 0);
  ws_object_write(row->type, row->object, WS_WRITE_STORED, NULL, &writer);
}

int store_fault(Store *store, const char *point)
{
  return store->fault ? store->fault(point, store->fault_arg) : 0;
}

void store_die(Store *store, const char *what, const char *why)
{
  ws_log(WS_LOG_ERROR, "store-failed", "database", store->path, "during", what, "cause", why, "action",
         "the process ends; the next start goes on from what is on record", NULL);
  if (store->stand)
    store->stand->die(store->stand->arg);
  _exit(STORE_EXIT_STATUS);
}

bool store_wait(Store *store, gint64 us)
{
  gint64 until = ws_clock_monotonic_us(ws_loop_clock(store->loop)) + us;
  const struct timespec at = {until / G_USEC_PER_SEC, until % G_USEC_PER_SEC * 1000};
  int result = 0;
  bool stopping;

  pthread_mutex_lock(&store->lock);
  while (!store->stopping && result == 0) /* a new batch wakes it up early */
    result = pthread_cond_clockwait(&store->wake, &store->lock, CLOCK_MONOTONIC, &at);
  stopping = store->stopping;
  pthread_mutex_unlock(&store->lock);
  return !stopping;
}

/* ---- state ---- */

void store_set_state(Store *store, const GError *error)
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
  const StoreJob job = {.meta = (char **)meta};
  GError *failure = NULL;

  pthread_mutex_lock(&store->sql_lock);
  if (!store->backend->write(store, &job, &failure))
    become_read_only(&failure);
  store_set_state(store, failure);
  pthread_mutex_unlock(&store->sql_lock);
  if (failure)
    g_propagate_error(error, failure);
  return !failure;
}

/* ---- reading ---- */

char *store_get_meta(Store *store, const char *name)
{
  char *value;

  pthread_mutex_lock(&store->sql_lock);
  value = store->backend->get_meta(store, name);
  pthread_mutex_unlock(&store->sql_lock);
  return value;
}

typedef struct {
  Store *store;
  const WsType *type;
  StoreEach each;
  void *arg;
} Load;

static bool load_row(WsId id, Revision revision, const char *body, gsize n, void *arg, GError **error)
{
  Load *load = arg;
  GError *reason = NULL;
  WsResource *object = ws_object_parse(load->type, body, n, WS_PARSE_STORED, &reason);
  g_autofree char *cause = NULL;

  if (object && object->id == id)
    return load->each(object, load->arg, error);
  if (reason && ws_error_code(reason) == WS_ERROR_SECRETS_SEALED) { /* the database is whole, its key is not here */
    g_propagate_error(error, reason);
    return false;
  }
  cause = g_strdup_printf("table %s, row %" G_GUINT64_FORMAT ": %s", load->type->plural, id,
                          reason ? reason->message : "the body does not belong to the row");
  g_clear_error(&reason);
  ws_resource_unref(object);
  return ws_fail(error, WS_ERROR_DATABASE_DAMAGED, "path", load->store->path, "cause", cause, NULL);
}

bool store_load(Store *store, StoreEach each, void *arg, GError **error)
{
  bool ok = true;

  pthread_mutex_lock(&store->sql_lock);
  for (guint i = 0; ok && i < ws_n_resource_types; i++) {
    Load load = {store, store->tables[i].type, each, arg};
    if (!store->tables[i].history)
      ok = store->backend->load(store, &store->tables[i], load_row, &load, error);
  }
  pthread_mutex_unlock(&store->sql_lock);
  return ok;
}

typedef struct {
  const WsType *type;
  GPtrArray *into;
} Found;

static bool add_found(WsId id, Revision revision, const char *body, gsize n, void *arg, GError **error)
{
  Found *found = arg;
  void *object = ws_object_parse(found->type, body, n, WS_PARSE_STORED, error);

  if (object)
    g_ptr_array_add(found->into, object);
  return object != NULL;
}

bool store_find_history(Store *store, const WsType *type, const StoreQuery *query, GPtrArray *into,
                        GError **error)
{
  const StoreTable *table = store_table(store, type);
  Found found = {type, into};

  g_assert(table->history);
  for (guint i = 0; i < query->n_where; i++)
    if (!store_column(table, query->where[i].field))
      return ws_fail(error, WS_ERROR_UNKNOWN_FIELD, "field", query->where[i].field, NULL);
  return store->backend->query(store, table, query, add_found, &found, error);
}

bool store_query_history(Store *store, const WsType *type, const StoreWhere *where, guint n_where,
                         WsId before, guint limit, GPtrArray *into, GError **error)
{
  const StoreQuery query = {.where = where, .n_where = n_where, .after = before, .limit = limit};

  return store_find_history(store, type, &query, into, error);
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
  start_turn(store);
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
  bool urgent;

  return store_state(store) == STORE_READ_ONLY ||
         (store->backend->is_untidy && store->backend->is_untidy(store, &urgent));
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
    job->kind = STORE_JOB_TIDY;
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

  if (SIM_PLANT(store_forgets_row) && first->n_rows > 1)
    ws_resource_unref((void *)first->rows[--first->n_rows].object);
  if (first->epoch > store->failed_epoch || SIM_PLANT(store_builds_on_failed)) {
    if (!store->backend->write(store, first, &error))
      become_read_only(&error);
    store_set_state(store, error);
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

  if (!store->backend->expire(store, store_table(store, job->type), job->wall_us, &more, &error))
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
static void tidy(Store *store)
{
  GError *error = NULL;

  store->backend->tidy(store, &error);
  if (error && !store->tidy_failed)
    ws_log_error(WS_LOG_WARNING, "store-checkpoint-failed", error, "database", store->path, NULL);
  store->tidy_failed = error != NULL;
  g_clear_error(&error);
}

static void tidy_if_urgent(Store *store)
{
  bool urgent = false;

  if (!store->backend->is_untidy || !store->backend->is_untidy(store, &urgent) || !urgent)
    return;
  pthread_mutex_lock(&store->sql_lock);
  tidy(store);
  pthread_mutex_unlock(&store->sql_lock);
}

static void probe(Store *store)
{
  static const char *const meta[] = {"probe", "", NULL};
  const StoreJob job = {.meta = (char **)meta};
  GError *error = NULL;

  if (store->backend->write(store, &job, &error))
    store_set_state(store, NULL);
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
  case STORE_JOB_TIDY:
    if (store->backend->tidy)
      tidy(store);
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

/* One group, all the way. false: nothing was queued. */
static bool serve_group(Store *store)
{
  StoreJob *jobs;

  pthread_mutex_lock(&store->lock);
  while (!store->stand && !store->queue.first && !store->stopping)
    pthread_cond_wait(&store->wake, &store->lock);
  jobs = store->queue.first ? queue_take(&store->queue, group_end(store->queue.first)) : NULL;
  pthread_mutex_unlock(&store->lock);
  if (!jobs)
    return false;
  run_jobs(store, jobs);
  return_jobs(store, jobs);
  tidy_if_urgent(store); /* after the outcome is on its way: nobody waits for this but the next group */
  return true;
}

static gpointer store_thread(gpointer arg)
{
  Store *store = arg;

  pthread_setname_np(pthread_self(), "store");
  while (serve_group(store)) {
  }
  return NULL;
}

/* ---- without a thread: groups are written on the loop ---- */

static void turn(void *arg)
{
  Store *store = arg;

  store->turn = NULL;
  serve_group(store);
  start_turn(store);
}

static void start_turn(Store *store)
{
  const StoreStand *stand = store->stand;

  if (stand && !store->turn && store->queue.first && !store->stopping)
    store->turn = ws_loop_after(store->loop, stand->delay_us(stand->arg), turn, store);
}
