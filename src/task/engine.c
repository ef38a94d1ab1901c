// SPDX-License-Identifier: Apache-2.0
/* The engine: kinds of tasks, the tasks that live, their coroutines, and what is published without waiting for the disk.
 *
 * A task has a coroutine only while it runs; at most a fixed number of them per depth. After a restart with more unfinished tasks than
 * that, and in batches, the rest are records that wait for a slot. */
#include "task/task-private.h"
#include "base/plant.h"

/* Depth 0: TASK_RUNNING_MAX. Below WS_CO_MAX in sum, since other things are coroutines too. */
static const guint slots[TASK_DEPTH_MAX] = {TASK_RUNNING_MAX, 500, 100};

/* ---- kinds ---- */

TaskEngine *task_engine_new(Inventory *inv, WsLoop *loop, void *center)
{
  TaskEngine *engine = g_new0(TaskEngine, 1);

  engine->inv = inv;
  engine->loop = loop;
  engine->center = center;
  engine->kinds = g_hash_table_new(g_str_hash, g_str_equal);
  engine->tasks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, NULL);
  engine->locks = locks_new();
  engine->waits = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  engine->touched = g_hash_table_new(NULL, NULL);
  engine->keep = 2000;
  engine->keep_us = G_TIME_SPAN_HOUR;
  engine->children_at_once = TASK_CHILDREN_AT_ONCE;
  return engine;
}

void task_engine_register(TaskEngine *engine, const TaskKind *kinds, guint n)
{
  for (guint i = 0; i < n; i++)
    g_hash_table_insert(engine->kinds, (char *)kinds[i].name, (TaskKind *)&kinds[i]);
}

const TaskKind *task_kind_find(TaskEngine *engine, const char *name)
{
  return name ? g_hash_table_lookup(engine->kinds, name) : NULL;
}

/* ---- tasks ---- */

Task *task_new(TaskEngine *engine, const TaskKind *kind, WsTask *rec, guint depth)
{
  Task *task = g_new0(Task, 1);

  task->ref_count = 1;
  task->engine = engine;
  task->kind = kind;
  task->rec = rec;
  task->depth = MIN(depth, TASK_DEPTH_MAX - 1);
  task->calls = g_array_new(FALSE, FALSE, sizeof(StepCall));
  task->new_locks = g_ptr_array_new();
  task->batches = g_ptr_array_new_with_free_func(batch_free);
  task->snaps = g_ptr_array_new_with_free_func((GDestroyNotify)inv_snapshot_unref);
  task->body_snaps = g_ptr_array_new_with_free_func((GDestroyNotify)inv_snapshot_unref);
  task->dry_steps = g_ptr_array_new_with_free_func(g_free);
  task->dry_waits = g_ptr_array_new_with_free_func(g_free);
  g_queue_init(&task->hold_queue);
  task->percent_shown = WS_INT_UNSET;
  return task;
}

Task *task_ref(Task *task)
{
  task->ref_count++;
  return task;
}

void task_unref(Task *task)
{
  if (!task || --task->ref_count > 0)
    return;
  if (task->args)
    ws_object_free(task->kind->args_type, task->args);
  ws_task_unref(task->rec);
  g_array_unref(task->calls);
  g_ptr_array_unref(task->new_locks);
  g_ptr_array_unref(task->batches);
  g_ptr_array_unref(task->snaps);
  g_ptr_array_unref(task->body_snaps);
  g_ptr_array_unref(task->dry_steps);
  g_ptr_array_unref(task->dry_waits);
  task_shown_clear(&task->dry_shown);
  g_clear_error(&task->refusal);
  g_free(task);
}

Task *engine_find(TaskEngine *engine, WsId id)
{
  return g_hash_table_lookup(engine->tasks, &id);
}

void engine_register(Task *task)
{
  g_hash_table_insert(task->engine->tasks, &task->rec->id, task_ref(task));
}

void engine_unregister(Task *task)
{
  if (g_hash_table_remove(task->engine->tasks, &task->rec->id))
    task_unref(task);
}

static guint depth_of(TaskEngine *engine, const WsTask *rec)
{
  g_autoptr(InvSnapshot) head = inv_head(engine->inv);
  guint depth = 0;

  while (rec && rec->parent && depth < TASK_DEPTH_MAX - 1) {
    rec = inv_find(head, &ws_type_task, rec->parent);
    depth++;
  }
  return depth;
}

Task *engine_adopt(TaskEngine *engine, const WsTask *rec)
{
  Task *task = task_new(engine, task_kind_find(engine, rec->kind), ws_task_copy(rec), depth_of(engine, rec));

  task->exists = true;
  task->rec->revision = rec->revision;
  task->undoing = rec->state == WS_TASK_STATE_CANCELLING || rec->state == WS_TASK_STATE_ROLLING_BACK;
  engine_register(task);
  locks_restore(task);
  return task;
}

guint task_engine_n_running(const TaskEngine *engine)
{
  guint n = 0;

  for (guint i = 0; i < TASK_DEPTH_MAX; i++)
    n += engine->n_running[i];
  return n;
}

/* ---- slots ---- */

bool engine_has_slot(const TaskEngine *engine, guint depth)
{
  return engine->n_running[depth] < slots[depth];
}

void engine_slot_taken(TaskEngine *engine, guint depth)
{
  engine->n_running[depth]++;
}

void engine_run_when_slot(Task *task)
{
  TaskEngine *engine = task->engine;

  if (!engine_has_slot(engine, task->depth)) {
    g_queue_push_tail(&engine->for_slot[task->depth], task_ref(task));
    return;
  }
  engine_slot_taken(engine, task->depth);
  ws_co_start(engine->loop, task_main, task_ref(task));
}

void engine_slot_free(TaskEngine *engine, guint depth)
{
  Task *next = g_queue_pop_head(&engine->for_slot[depth]);

  engine->n_running[depth]--;
  if (!next)
    return;
  engine_slot_taken(engine, depth);
  ws_co_start(engine->loop, task_main, next);
}

/* ---- taking up again ---- */

typedef struct {
  TaskEngine *engine;
  GPtrArray *unfinished; /* of WsTask, borrowed from the snapshot */
} Resume;

static bool sort_out(const void *object, void *arg)
{
  Resume *resume = arg;

  if (!task_state_is_end(((const WsTask *)object)->state))
    g_ptr_array_add(resume->unfinished, (void *)object);
  return true;
}

/* A child of a batch is taken up by its parent, which knows how many may run at a time. */
static bool parent_takes_it_up(const InvSnapshot *snap, const WsTask *rec)
{
  const WsTask *parent = rec->batch_step ? inv_find(snap, &ws_type_task, rec->parent) : NULL;

  return parent && !task_state_is_end(parent->state);
}

void task_engine_resume(TaskEngine *engine)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
  g_autoptr(GPtrArray) unfinished = g_ptr_array_new();
  g_autoptr(GPtrArray) to_run = g_ptr_array_new();
  Resume resume = {engine, unfinished};

  inv_each(snap, &ws_type_task, sort_out, &resume);
  /* All locks first: what runs below must find them in force. A queued child has none yet. */
  for (guint i = 0; i < unfinished->len; i++) {
    const WsTask *rec = unfinished->pdata[i];
    if (rec->state == WS_TASK_STATE_QUEUED && parent_takes_it_up(snap, rec))
      continue;
    Task *task = engine_adopt(engine, rec);
    if (!parent_takes_it_up(snap, rec))
      g_ptr_array_add(to_run, task);
    else
      task_unref(task); /* the table holds it until the parent asks */
  }
  if (unfinished->len) {
    g_autofree char *n = g_strdup_printf("%u", unfinished->len);
    ws_log(WS_LOG_NOTICE, "tasks-resumed", "tasks", n, NULL);
  }
  history_load(engine);
  for (guint i = SIM_PLANT(task_not_resumed) ? 1 : 0; i < to_run->len; i++) {
    engine_run_when_slot(to_run->pdata[i]);
    task_unref(to_run->pdata[i]);
  }
}

void task_engine_retry_now(TaskEngine *engine)
{
  g_autoptr(GList) all = g_hash_table_get_values(engine->tasks);

  for (GList *l = all; l; l = l->next)
    if (((Task *)l->data)->rec->waiting)
      task_wake(l->data);
}

/* ---- waiting for an end ---- */

void engine_wake_waits(TaskEngine *engine, WsId id)
{
  GPtrArray *waits = g_hash_table_lookup(engine->waits, &id);

  for (guint i = 0; waits && i < waits->len; i++)
    wait_done(waits->pdata[i]);
  g_hash_table_remove(engine->waits, &id);
}

/* ---- publishing ---- */

static void publish_soon(TaskEngine *engine);

static void publish_one(Task *task, InvTxn *txn)
{
  const WsTaskProgress *progress = task->rec->progress;
  gint64 percent = progress ? progress->percent : WS_INT_UNSET;

  record_write(task, txn);
  if (percent != task->percent_shown)
    locks_show_percent(task, txn, percent);
  task->percent_shown = percent;
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
  WsId x = (*(Task *const *)a)->rec->id, y = (*(Task *const *)b)->rec->id;

  return x < y ? -1 : x > y;
}

/* The set is of addresses, and what is published must not follow their order. */
static GPtrArray *touched_in_order(TaskEngine *engine)
{
  GPtrArray *tasks = g_ptr_array_sized_new(g_hash_table_size(engine->touched));
  GHashTableIter i;
  void *task;

  g_hash_table_iter_init(&i, engine->touched);
  while (g_hash_table_iter_next(&i, &task, NULL))
    g_ptr_array_add(tasks, task);
  g_ptr_array_sort(tasks, compare_ids);
  return tasks;
}

/* All that changed since the last time, in one transaction. A task whose record is being committed takes its turn later. */
static void publish(void *arg)
{
  TaskEngine *engine = arg;
  g_autoptr(InvTxn) txn = inv_begin(engine->inv);
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) tasks = touched_in_order(engine);

  for (guint i = 0; i < tasks->len; i++) {
    Task *task = tasks->pdata[i];

    if (task->held)
      continue;
    g_hash_table_remove(engine->touched, task);
    publish_one(task, txn);
  }
  if (!inv_commit(txn, NULL, &error))
    ws_log_error(WS_LOG_DEBUG, "task-progress-not-published", error, NULL);
  engine->publishing = false;
  if (g_hash_table_size(engine->touched))
    publish_soon(engine);
}

static void publish_due(void *arg)
{
  TaskEngine *engine = arg;

  engine->publish_timer = NULL;
  engine->publishing = true;
  ws_co_start(engine->loop, publish, engine);
}

static void publish_soon(TaskEngine *engine)
{
  if (!engine->publish_timer && !engine->publishing)
    engine->publish_timer = ws_loop_after(engine->loop, TASK_PROGRESS_MS * 1000, publish_due, engine);
}

void engine_touch(Task *task)
{
  if (!task->exists || task->ended)
    return;
  g_hash_table_add(task->engine->touched, task);
  publish_soon(task->engine);
}

guint task_engine_n_locks(const TaskEngine *engine)
{
  return g_hash_table_size(engine->locks);
}

/* ---- the end of the program ---- */

static void let_go(void *key, void *value, void *arg)
{
  task_unref(value);
}

/* Coroutines that wait keep what is on their stacks: nobody runs them again. */
void task_engine_free(TaskEngine *engine)
{
  if (!engine)
    return;
  g_clear_pointer(&engine->publish_timer, ws_timer_cancel);
  history_free(engine);
  for (guint i = 0; i < TASK_DEPTH_MAX; i++)
    g_queue_clear_full(&engine->for_slot[i], (GDestroyNotify)task_unref);
  g_hash_table_foreach(engine->tasks, let_go, NULL);
  g_hash_table_unref(engine->tasks);
  g_hash_table_unref(engine->touched);
  g_hash_table_unref(engine->waits);
  g_hash_table_unref(engine->locks);
  g_hash_table_unref(engine->kinds);
  g_free(engine);
}
