// SPDX-License-Identifier: Apache-2.0
/* Batches: a step whose body is a number of child tasks, some at a time.
 *
 * The children are recorded, queued: the first ones in the transaction that records the step's start, the rest in further ones, so that no
 * batch holds the core loop for long. None begins before all are there. A batch that was cut short in between is given the same list again by
 * its function, and goes on where its records end. A queued child is a record without a coroutine. The counts in the parent's record are
 * volatile; after a crash they are counted anew. */
#include "task/task-private.h"

#define CANCELS_PER_COMMIT 500

typedef struct {
  WsId id;
  WsTaskState state;
} Child;

struct Batch {
  Task *parent;
  const char *step;
  const TaskKind *kind;
  TaskChildRecorded recorded; /* or NULL */
  const TaskChild *wanted; /* borrowed while the function runs; NULL afterwards */
  guint n_wanted, parallel;
  GArray *children; /* of Child, by ordinal; NULL: not loaded yet */
  guint next;       /* those before it are not queued any more */
  guint n_running;  /* launched and not ended */
  bool stopping;    /* no child begins any more, and those that run are cancelled */
  bool in_turn;     /* the first failure keeps the rest from beginning */
  bool spared;      /* none has to succeed */
};

void batch_free(void *arg)
{
  Batch *batch = arg;

  g_clear_pointer(&batch->children, g_array_unref);
  g_free(batch);
}

/* ---- counting ---- */

static gint64 *count_of(WsTaskChildren *counts, WsTaskState state)
{
  switch (state) {
  case WS_TASK_STATE_QUEUED:
    return &counts->queued;
  case WS_TASK_STATE_DONE:
  case WS_TASK_STATE_PARTLY_DONE:
    return &counts->done;
  case WS_TASK_STATE_FAILED:
  case WS_TASK_STATE_ROLLED_BACK:
  case WS_TASK_STATE_ABANDONED:
    return &counts->failed;
  case WS_TASK_STATE_CANCELLED:
    return &counts->cancelled;
  default:
    return &counts->running;
  }
}

static void show_progress(Batch *batch)
{
  const WsTaskChildren *counts = batch->parent->rec->children;

  task_progress(batch->parent, counts->done + counts->failed + counts->cancelled, counts->total, "tasks");
}

static void set_child_state(Batch *batch, guint ordinal, WsTaskState state)
{
  Child *child = &g_array_index(batch->children, Child, ordinal);
  WsTaskChildren *counts = batch->parent->rec->children;

  --*count_of(counts, child->state);
  ++*count_of(counts, state);
  child->state = state;
  show_progress(batch);
}

static void count_all(Batch *batch)
{
  WsTaskChildren *counts = ws_task_children_new();

  counts->total = batch->children->len;
  counts->queued = counts->running = counts->done = counts->failed = counts->cancelled = 0;
  for (guint i = 0; i < batch->children->len; i++)
    ++*count_of(counts, g_array_index(batch->children, Child, i).state);
  ws_task_children_free(batch->parent->rec->children);
  batch->parent->rec->children = counts;
  show_progress(batch);
}

/* ---- recording and loading ---- */

static WsId record_child(Batch *batch, InvTxn *txn, guint i)
{
  WsTask *row = inv_create(txn, &ws_type_task);
  g_autoptr(WsTask) rec = task_new_child_record(batch->parent, batch->kind, batch->wanted[i].target, batch->wanted[i].args);

  rec->ordinal = i;
  rec->batch_step = g_strdup(batch->step);
  record_swap(row, rec);
  if (batch->recorded)
    batch->recorded(txn, row, batch->parent->engine->center);
  return row->id;
}

/* With the step's start, also of one that is tried again. */
static bool record_first(Task *parent, InvTxn *txn, void *ctx, GError **error)
{
  Batch *batch = ctx;

  for (guint i = 0; i < MIN(batch->n_wanted, parent->engine->children_at_once); i++)
    record_child(batch, txn, i);
  return true;
}

static bool load_child(const void *object, void *arg)
{
  Batch *batch = arg;
  const WsTask *rec = object;
  Child child = {rec->id, rec->state};

  if (g_strcmp0(rec->batch_step, batch->step) != 0)
    return true;
  if (rec->ordinal >= batch->children->len)
    g_array_set_size(batch->children, (guint)rec->ordinal + 1);
  g_array_index(batch->children, Child, rec->ordinal) = child;
  return true;
}

static void load_children(Batch *batch)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(batch->parent->engine->inv);
  const WsField *parent = ws_type_field(&ws_type_task, "parent", strlen("parent"));

  if (batch->children)
    return;
  batch->children = g_array_new(FALSE, TRUE, sizeof(Child));
  inv_each_by(snap, &ws_type_task, parent, batch->parent->rec->id, NULL, load_child, batch);
}

/* The rest. Stops when the parent is to stop: what is not recorded by then never is. */
static void record_rest(Batch *batch)
{
  Task *parent = batch->parent;

  for (guint tries = 0; batch->children->len < batch->n_wanted && !g_atomic_int_get(&parent->cancel);) {
    g_autoptr(InvTxn) txn = inv_begin(parent->engine->inv);
    guint from = batch->children->len, until = MIN(batch->n_wanted, from + parent->engine->children_at_once);
    for (guint i = from; i < until; i++) { /* known from now on: whoever sees its record may cancel it */
      Child child = {record_child(batch, txn, i), WS_TASK_STATE_QUEUED};
      g_array_append_val(batch->children, child);
    }
    if (inv_commit(txn, NULL, NULL)) {
      tries = 0;
      continue;
    }
    g_array_set_size(batch->children, from);
    task_nap(parent, task_backoff_us(tries++));
  }
}

/* ---- running ---- */

/* A child that had begun before a restart is alive already: it only needs its coroutine. */
static void launch(Batch *batch, Child *child, guint ordinal)
{
  TaskEngine *engine = batch->parent->engine;
  g_autoptr(Task) task = NULL;

  if (engine_find(engine, child->id)) {
    task = task_ref(engine_find(engine, child->id));
  } else {
    g_autoptr(InvSnapshot) head = inv_head(engine->inv);
    task = engine_adopt(engine, inv_find(head, &ws_type_task, child->id));
    set_child_state(batch, ordinal, WS_TASK_STATE_RUNNING);
  }
  batch->n_running++;
  engine_run_when_slot(task);
}

static void launch_begun(Batch *batch)
{
  for (guint i = 0; i < batch->children->len; i++) {
    Child *child = &g_array_index(batch->children, Child, i);
    if (!task_state_is_end(child->state) && child->state != WS_TASK_STATE_QUEUED)
      launch(batch, child, i);
  }
}

static void launch_queued(Batch *batch)
{
  for (; batch->next < batch->children->len && batch->n_running < batch->parallel; batch->next++) {
    Child *child = &g_array_index(batch->children, Child, batch->next);
    if (child->state == WS_TASK_STATE_QUEUED)
      launch(batch, child, batch->next);
  }
}

void batch_child_ended(Task *parent, const WsTask *child)
{
  Batch *batch = parent->batch;

  if (!batch || !batch->children || g_strcmp0(child->batch_step, batch->step) != 0)
    return;
  set_child_state(batch, (guint)child->ordinal, child->state);
  batch->n_running--;
  task_wake(parent);
}

/* ---- cancelling ---- */

bool batch_stops(const Task *child)
{
  const Task *parent = child->rec->parent ? engine_find(child->engine, child->rec->parent) : NULL;

  return parent && parent->batch && parent->batch->stopping && child->rec->batch_step;
}

static void end_queued(WsTask *row, gint64 now_us, const char *user)
{
  row->state = WS_TASK_STATE_CANCELLED;
  row->ended = now_us;
  row->cancellable = false;
  g_clear_pointer(&row->args, g_free);
  if (user) {
    WsTaskLogLine *line = ws_task_log_line_new();
    line->time = now_us;
    line->text = g_strdup("task_cancel_asked");
    ws_map_set(&line->params, "user", user);
    ws_array_add(&row->log, line);
  }
}

/* Marks up to CANCELS_PER_COMMIT queued children as cancelled. false: the store cannot write now. */
static bool cancel_some_queued(Batch *batch, guint *from)
{
  TaskEngine *engine = batch->parent->engine;
  g_autoptr(InvTxn) txn = inv_begin(engine->inv);
  g_autoptr(GArray) marked = g_array_new(FALSE, FALSE, sizeof(guint));
  guint i = *from;

  for (; i < batch->children->len && marked->len < CANCELS_PER_COMMIT; i++) {
    const Child *child = &g_array_index(batch->children, Child, i);
    WsTask *row = child->state == WS_TASK_STATE_QUEUED ? inv_edit_id(txn, &ws_type_task, child->id) : NULL;
    if (!row || row->state != WS_TASK_STATE_QUEUED)
      continue;
    end_queued(row, task_now_us(batch->parent), NULL);
    g_array_append_val(marked, i);
  }
  if (marked->len && !inv_commit(txn, NULL, NULL))
    return false;
  for (guint k = 0; k < marked->len; k++) {
    guint ordinal = g_array_index(marked, guint, k);
    WsId id = g_array_index(batch->children, Child, ordinal).id;
    set_child_state(batch, ordinal, WS_TASK_STATE_CANCELLED);
    engine_wake_waits(engine, id);
  }
  *from = i;
  return true;
}

static void cancel_queued(Batch *batch)
{
  guint from = batch->next, tries = 0;

  batch->next = batch->children->len; /* nothing more is launched */
  while (from < batch->children->len)
    if (!cancel_some_queued(batch, &from))
      task_nap(batch->parent, task_backoff_us(tries++));
}

static void cancel_rest(Batch *batch)
{
  batch->stopping = true;
  cancel_queued(batch);
  for (guint i = 0; i < batch->children->len; i++) {
    const Child *child = &g_array_index(batch->children, Child, i);
    if (!task_state_is_end(child->state))
      task_cancel(batch->parent->engine, child->id, NULL, NULL); /* one that cannot be stopped is waited for */
  }
}

bool batch_cancel_queued(TaskEngine *engine, const WsTask *child, const char *user, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(engine->inv);
  Task *parent = engine_find(engine, child->parent);
  WsTask *row = inv_edit_id(txn, &ws_type_task, child->id);
  WsId id = child->id, parent_id = child->parent;
  guint ordinal = (guint)child->ordinal;

  if (!row || row->state != WS_TASK_STATE_QUEUED)
    return task_cancel(engine, id, user, error); /* it has just begun */
  /* Not to be launched while the commit is on its way. */
  if (parent && parent->batch && parent->batch->children)
    g_array_index(parent->batch->children, Child, ordinal).state = WS_TASK_STATE_CANCELLED;
  end_queued(row, ws_clock_wall_us(ws_loop_clock(engine->loop)), user);
  if (!inv_commit(txn, NULL, error))
    return false;
  parent = engine_find(engine, parent_id);
  if (parent && parent->batch && parent->batch->children) {
    count_all(parent->batch);
    task_wake(parent);
  }
  engine_wake_waits(engine, id);
  return true;
}

/* ---- the step ---- */

static bool all_ended(const Batch *batch)
{
  const WsTaskChildren *counts = batch->parent->rec->children;

  return counts->queued == 0 && counts->running == 0;
}

static bool has_failures(const Batch *batch)
{
  const WsTaskChildren *counts = batch->parent->rec->children;

  return counts->failed || counts->cancelled;
}

/* Until all have ended; `stop`: those that have not are cancelled. */
static void run_all(Batch *batch, bool stop)
{
  Task *parent = batch->parent;
  bool stopped = false;

  load_children(batch);
  count_all(batch);
  parent->batch = batch;
  if (!stop)
    record_rest(batch);
  count_all(batch);
  launch_begun(batch);
  while (!all_ended(batch)) {
    if (batch->in_turn && has_failures(batch) && batch->next < batch->children->len) {
      cancel_queued(batch);
      continue;
    }
    if (!stopped && (stop || g_atomic_int_get(&parent->cancel))) {
      stopped = true;
      cancel_rest(batch);
      continue;
    }
    launch_queued(batch);
    if (!all_ended(batch))
      task_nap(parent, -1);
  }
  parent->batch = NULL;
}

static bool fail_as_first_child(Batch *batch, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(batch->parent->engine->inv);

  for (guint i = 0; i < batch->children->len; i++) {
    const Child *child = &g_array_index(batch->children, Child, i);
    const WsTask *rec = inv_find(snap, &ws_type_task, child->id);
    if (rec && rec->error) {
      g_propagate_error(error, ws_failure_to_error(rec->error));
      return false;
    }
  }
  return ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static bool run_batch(Task *parent, void *ctx, GError **error)
{
  Batch *batch = ctx;
  const WsTaskChildren *counts;

  run_all(batch, false);
  counts = parent->rec->children;
  if (g_atomic_int_get(&parent->cancel))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  if (counts->done == 0 && counts->total > 0 && !batch->spared) {
    parent->all_failed = true; /* once more would find them as they are */
    return fail_as_first_child(batch, error);
  }
  parent->partly = parent->partly || counts->done < counts->total;
  task_set_result(parent, counts->done < counts->total ? "partly" : "wholly");
  return true;
}

/* Each child has undone itself when it failed; what is done stays done. */
static bool stop_batch(Task *parent, void *ctx, GError **error)
{
  run_all(ctx, true);
  return true;
}

static bool run_children(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel,
                         bool in_turn, bool spared, TaskChildRecorded recorded, GError **error)
{
  Batch *batch = g_new(Batch, 1); /* not here on the stack: a later step that fails undoes this one too */
  bool ok;

  *batch = (Batch){.parent = task,
                   .step = kind->name,
                   .kind = kind,
                   .wanted = children,
                   .n_wanted = n,
                   .parallel = MAX(parallel, 1),
                   .in_turn = in_turn,
                   .spared = spared,
                   .recorded = recorded};
  g_ptr_array_add(task->batches, batch);
  g_assert(n <= TASK_CHILDREN_MAX && task->depth + 1 < TASK_DEPTH_MAX);
  ok = step_run(task, &(Step){.name = batch->step, .body = run_batch, .undo = stop_batch, .ctx = batch, .batch = true,
                              .at_start = record_first}, error);
  batch->wanted = NULL; /* the caller's */
  batch->n_wanted = 0;
  for (guint i = 0; i < n; i++)
    if (children[i].args)
      ws_object_free(kind->args_type, children[i].args);
  return ok;
}

bool task_run_children(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel, GError **error)
{
  return run_children(task, kind, children, n, parallel, false, false, NULL, error);
}

bool task_run_children_recorded(Task *task, const TaskKind *kind, TaskChild *children, guint n,
                                guint parallel, TaskChildRecorded recorded, GError **error)
{
  return run_children(task, kind, children, n, parallel, false, false, recorded, error);
}

bool task_run_children_in_turn(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel, GError **error)
{
  return run_children(task, kind, children, n, parallel, true, false, NULL, error);
}

bool task_run_children_spared(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel,
                              GError **error)
{
  return run_children(task, kind, children, n, parallel, false, true, NULL, error);
}
