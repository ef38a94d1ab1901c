// SPDX-License-Identifier: Apache-2.0
/* Batches: how many run at a time, what the parent makes of its children's ends, cancel from above and of one. */
#include "task-rig.h"

#define MANY    40
#define AT_ONCE 7 /* recorded in one transaction */

static TaskRig *rig;
static WsId volumes[MANY];

typedef struct {
  guint n, parallel;
  bool fail[MANY]; /* the child fails after it acted */
  bool wait;       /* children wait for the gate */
  bool lock_all;   /* the parent holds all volumes itself */
  bool deep;       /* children are batches of one child each */
  bool then_step;  /* the parent has a step after the batch */
  bool free;       /* children hold nothing */
  bool in_turn;    /* the first that fails stops it */
  guint n_at_once, max_at_once, n_bodies;
  guint n_recorded; /* tasks there when the first child acts */
} Script;
static Script script;
static bool gate;

/* ---- child ---- */

static guint index_of(WsId volume)
{
  for (guint i = 0; i < MANY; i++)
    if (volumes[i] == volume)
      return i;
  g_assert_not_reached();
}

static bool work(Task *task, void *ctx, GError **error)
{
  guint i = index_of(task_target(task));

  world_make(i);
  if (script.n_bodies == 0)
    script.n_recorded = inv_count(task_snapshot(task), &ws_type_task);
  script.n_bodies++;
  script.n_at_once++;
  script.max_at_once = MAX(script.max_at_once, script.n_at_once);
  do
    ws_co_sleep(2000);
  while (script.wait && !gate && !task_cancelled(task));
  script.n_at_once--;
  if (task_cancelled(task))
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  return !script.fail[i] || ws_fail(error, WS_ERROR_NO_CAPACITY, "object", "pool-1", "need", "2", "free", "1", NULL);
}

static bool unwork(Task *task, void *ctx, GError **error)
{
  world_remove(index_of(task_target(task)));
  return true;
}

static bool child(Task *task, GError **error)
{
  return (script.free || task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error)) &&
         TASK_STEP(task, "work", work, unwork, NULL, error);
}

/* ---- parents ---- */

static bool middle(Task *task, GError **error)
{
  TaskChild one = {.target = task_target(task)};

  return task_run_children(task, task_kind_find(task_engine(task), "child"), &one, 1, 1, error);
}

static bool after(Task *task, void *ctx, GError **error)
{
  world_make(WORLD_THINGS - 1);
  return true;
}

static bool parent(Task *task, GError **error)
{
  g_autofree TaskChild *children = g_new0(TaskChild, script.n);
  g_autofree TaskLockRef *locks = g_new0(TaskLockRef, script.n);

  for (guint i = 0; i < script.n; i++) {
    children[i].target = volumes[i % MANY];
    locks[i] = (TaskLockRef){&ws_type_volume, volumes[i % MANY], false};
  }
  if (script.lock_all && !task_lock(task, locks, script.n, error))
    return false;
  bool (*run)(Task *, const TaskKind *, TaskChild *, guint, guint, GError **) = script.in_turn ? task_run_children_in_turn : task_run_children;
  return run(task, task_kind_find(task_engine(task), script.deep ? "middle" : "child"), children, script.n, script.parallel, error) &&
         (!script.then_step || TASK_STEP(task, "after", after, NULL, NULL, error));
}

static const TaskKind kinds[] = {
  {"child", child, NULL, &ws_type_volume, "working"},
  {"middle", middle, NULL, &ws_type_volume, "passing on"},
  {"parent", parent, NULL, NULL, "batch"},
};

/* ---- each test ---- */

static void begin(guint n, guint parallel)
{
  InvTxn *txn;
  WsPool *pool;

  rig = task_rig_new(NULL);
  rig->engine->children_at_once = AT_ONCE;
  task_engine_register(rig->engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_resume(rig->engine);
  world_clear();
  script = (Script){.n = n, .parallel = parallel};
  gate = false;
  txn = inv_begin(rig->inv.inv);
  pool = inv_rig_pool(txn, "pool");
  for (guint i = 0; i < MANY; i++)
    volumes[i] = inv_rig_volume(txn, pool->id, "v")->id;
  inv_rig_commit_ok(&rig->inv, txn);
}

static void end(void)
{
  gate = true;
  task_rig_wait_idle(rig);
  g_assert_cmpuint(g_hash_table_size(rig->engine->locks), ==, 0);
  for (guint i = 0; i < MANY; i++)
    g_assert_null(task_rig_find_volume(rig, volumes[i])->activity);
  g_clear_pointer(&rig, task_rig_free);
}

static WsId start(void)
{
  return task_rig_accept(rig, "parent", 0, NULL);
}

static void assert_state(const WsTask *rec, WsTaskState state)
{
  g_assert_cmpstr(ws_task_state_names[rec->state - 1], ==, ws_task_state_names[state - 1]);
}

static gint64 n_running(WsId parent_id)
{
  const WsTask *rec = task_rig_record(rig, parent_id);

  return rec->children ? rec->children->running : 0;
}

static const WsTask *nth_child(WsId parent_id, guint ordinal)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);

  for (WsId id = parent_id + 1; id < parent_id + 2 * MANY; id++) {
    const WsTask *rec = inv_find(snap, &ws_type_task, id);
    if (rec && rec->parent == parent_id && rec->ordinal == ordinal)
      return task_rig_record(rig, id);
  }
  g_assert_not_reached();
}

static void batch_runs_as_many_at_a_time_as_asked(void)
{
  begin(20, 3);
  script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 3);
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_DONE);
  g_assert_cmpuint(script.max_at_once, ==, 3);
  g_assert_cmpint(rec->children->total, ==, 20);
  g_assert_cmpint(rec->children->done, ==, 20);
  g_assert_cmpint(rec->progress->percent, ==, 100);
  g_assert_cmpuint(world_count(), ==, 20);
  end();
}

static void queued_children_are_records_of_the_same_request(void)
{
  begin(20, 3);
  script.wait = true;
  WsId id = start();
  task_rig_until(rig, n_running(id) == 3);
  g_assert_cmpuint(task_engine_n_running(rig->engine), ==, 4);
  const WsTask *rec = nth_child(id, 19);
  assert_state(rec, WS_TASK_STATE_QUEUED);
  g_assert_cmpstr(rec->owner, ==, "alice");
  g_assert_cmpstr(rec->request_id, ==, "req-1");
  g_assert_cmpuint(rec->target.id, ==, volumes[19]);
  g_assert_cmpint(task_rig_record(rig, id)->children->queued, ==, 17);
  g_assert_cmpint(task_rig_record(rig, id)->children->running, ==, 3);
  end();
}

static bool count_by_revision(const void *object, void *arg)
{
  const WsTask *rec = object;
  GHashTable *counts = arg;
  gpointer key = GUINT_TO_POINTER((guint)rec->revision);

  if (rec->state == WS_TASK_STATE_QUEUED)
    g_hash_table_replace(counts, key, GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(counts, key)) + 1));
  return true;
}

static void children_are_recorded_in_parts_before_the_first_begins(void)
{
  g_autoptr(GHashTable) counts = g_hash_table_new(NULL, NULL);
  GHashTableIter iter;
  void *n;

  begin(MANY, 1);
  script.wait = true;
  WsId id = task_rig_accept(rig, "parent", 0, NULL);
  task_rig_until(rig, script.n_bodies > 0);
  g_assert_cmpuint(script.n_recorded, ==, MANY + 1);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  inv_each(snap, &ws_type_task, count_by_revision, counts);
  g_assert_cmpuint(g_hash_table_size(counts), >=, MANY / AT_ONCE);
  g_hash_table_iter_init(&iter, counts);
  while (g_hash_table_iter_next(&iter, NULL, &n))
    g_assert_cmpuint(GPOINTER_TO_UINT(n), <=, AT_ONCE);
  gate = true;
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_DONE);
  g_assert_cmpuint(script.n_bodies, ==, MANY);
  end();
}

static void batch_with_failures_is_partly_done(void)
{
  begin(10, 4);
  script.fail[2] = script.fail[7] = script.then_step = true;
  WsId id = start();
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(rec->children->done, ==, 8);
  g_assert_cmpint(rec->children->failed, ==, 2);
  g_assert_null(rec->error);
  g_assert_cmpuint(world_count(), ==, 9); /* 8 and the step after */
  assert_state(nth_child(id, 2), WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(nth_child(id, 7)->error->code, ==, "no_capacity");
  end();
}

static void failure_keeps_those_that_come_after_it_from_beginning(void)
{
  begin(10, 1);
  script.fail[3] = script.in_turn = script.then_step = true;
  WsId id = start();
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(rec->children->done, ==, 3);
  g_assert_cmpint(rec->children->failed, ==, 1);
  g_assert_cmpint(rec->children->cancelled, ==, 6);
  g_assert_cmpuint(script.n_bodies, ==, 4);
  assert_state(nth_child(id, 9), WS_TASK_STATE_CANCELLED);
  g_assert_cmpuint(world_count(), ==, 4); /* three, and the step after */
  end();
}

static void those_under_way_when_one_fails_come_to_their_end(void)
{
  begin(10, 3);
  script.fail[1] = script.in_turn = script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 3);
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(rec->children->failed, ==, 1);
  g_assert_cmpint(rec->children->done + rec->children->cancelled, ==, 9);
  assert_state(nth_child(id, 0), WS_TASK_STATE_DONE);
  assert_state(nth_child(id, 2), WS_TASK_STATE_DONE);
  assert_state(nth_child(id, 9), WS_TASK_STATE_CANCELLED);
  end();
}

static void first_failure_is_the_error_of_all_when_none_was_done(void)
{
  begin(5, 1);
  script.fail[0] = script.in_turn = script.then_step = true;
  const WsTask *rec = task_rig_end(rig, start());
  g_assert_cmpstr(rec->error->code, ==, "no_capacity");
  g_assert_cmpuint(script.n_bodies, ==, 1);
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

static void batch_of_failures_fails_as_the_first(void)
{
  begin(3, 1);
  script.fail[0] = script.fail[1] = script.fail[2] = script.then_step = true;
  const WsTask *rec = task_rig_end(rig, start());
  g_assert_cmpstr(rec->error->code, ==, "no_capacity");
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

static void child_that_is_refused_counts_as_failed(void)
{
  begin(MANY + 1, MANY + 1); /* the last one wants the first one's volume */
  script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once > 0); /* all are recorded by then */
  g_assert_cmpstr(task_rig_end(rig, nth_child(id, MANY)->id)->error->code, ==, "busy");
  gate = true;
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_PARTLY_DONE);
  end();
}

static void children_may_hold_what_their_parent_holds(void)
{
  begin(4, 4);
  script.lock_all = script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 4);
  const WsVolume *v = task_rig_find_volume(rig, volumes[0]);
  g_assert_cmpuint(v->activity->task, ==, id); /* the parent's shows */
  gate = true;
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_DONE);
  end();
}

static void batches_may_be_nested(void)
{
  begin(6, 2);
  script.deep = true;
  script.fail[3] = true;
  const WsTask *rec = task_rig_end(rig, start());
  assert_state(rec, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(rec->children->done, ==, 5);
  g_assert_cmpuint(world_count(), ==, 5);
  end();
}

static void cancel_of_the_parent_stops_all(void)
{
  begin(20, 3);
  script.wait = script.then_step = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 3);
  g_assert_true(task_rig_cancel(rig, id, NULL));
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_CANCELLED);
  g_assert_cmpint(rec->children->cancelled, ==, 20);
  g_assert_cmpuint(world_count(), ==, 0);
  assert_state(nth_child(id, 0), WS_TASK_STATE_CANCELLED);
  assert_state(nth_child(id, 19), WS_TASK_STATE_CANCELLED);
  end();
}

/* More at a time than there are coroutines for: the rest wait, and can be stopped while they do. */
static void cancel_reaches_children_that_wait_for_a_coroutine(void)
{
  const guint n = 600;

  begin(n, n);
  script.wait = script.free = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 500);
  g_assert_true(task_rig_cancel(rig, id, NULL));
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_CANCELLED);
  g_assert_cmpint(rec->children->cancelled, ==, n);
  g_assert_cmpuint(script.n_bodies, ==, 500);
  end();
}

static void one_queued_child_can_be_cancelled(void)
{
  begin(6, 2);
  script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 2);
  WsId fifth = nth_child(id, 4)->id;
  g_assert_true(task_rig_cancel(rig, fifth, NULL));
  assert_state(task_rig_end(rig, fifth), WS_TASK_STATE_CANCELLED);
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(rec->children->cancelled, ==, 1);
  g_assert_cmpint(rec->children->done, ==, 5);
  g_assert_cmpuint(world_count(), ==, 5);
  end();
}

static void one_running_child_can_be_cancelled(void)
{
  begin(4, 2);
  script.wait = true;
  WsId id = start();
  task_rig_until(rig, script.n_at_once == 2);
  g_assert_true(task_rig_cancel(rig, nth_child(id, 0)->id, NULL));
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  g_assert_cmpint(rec->children->cancelled, ==, 1);
  g_assert_cmpint(rec->children->done, ==, 3);
  end();
}

static void dry_run_of_a_batch_makes_no_children(void)
{
  TaskStarted started;

  begin(5, 2);
  g_assert_true(task_rig_start(rig, "parent", 0, NULL, true, &started, NULL));
  g_auto(GStrv) steps = started.dry_steps;
  g_assert_cmpstr(steps[0], ==, "child");
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  g_assert_cmpuint(inv_count(snap, &ws_type_task), ==, 0);
  end();
}

static void batch_of_nothing_is_done(void)
{
  begin(0, 2);
  assert_state(task_rig_end(rig, start()), WS_TASK_STATE_DONE);
  end();
}

/* ---- history ---- */

static guint n_tasks(void)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);

  return inv_count(snap, &ws_type_task);
}

static GPtrArray *history_of(WsId parent_id)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_autofree char *text = g_strdup_printf("task-%" G_GUINT64_FORMAT, parent_id);

  g_assert_true(store_query_history(rig->inv.store, &ws_type_ended_task, (StoreWhere[]){{"parent", text}}, 1, 0, 1000, rows, NULL));
  return rows;
}

static void ended_family_moves_to_history_as_a_whole(void)
{
  begin(8, 8);
  script.fail[1] = true;
  WsId id = start();
  task_rig_end(rig, id);
  task_rig_run_for(rig, 50 * G_USEC_PER_SEC);
  g_assert_cmpuint(n_tasks(), ==, 9); /* young and few: they stay */
  task_engine_set_retention(rig->engine, 2000, 30 * G_USEC_PER_SEC);
  task_rig_until(rig, n_tasks() == 0);
  g_autoptr(GPtrArray) rows = history_of(id);
  g_assert_cmpuint(rows->len, ==, 8);
  for (guint i = 0; i < rows->len; i++) {
    const WsEndedTask *row = rows->pdata[i];
    bool failed = g_strcmp0(row->state, "rolled_back") == 0;
    g_assert_true(failed || g_strcmp0(row->state, "done") == 0);
    g_assert_true(failed == (row->error != NULL));
    g_assert_cmpuint(row->steps.len, ==, 1);
    g_assert_cmpstr(row->owner, ==, "alice");
    g_assert_cmpint(row->time, >=, row->started);
  }
  end();
}

static bool outlive(Task *task, void *ctx, GError **error)
{
  TaskStarted started;

  return task_start(task_engine(task), task_kind_find(task_engine(task), "child"), volumes[0], NULL, NULL, false, task_id(task),
                    &started, error);
}

static bool short_lived(Task *task, GError **error)
{
  return TASK_STEP(task, "start", outlive, NULL, NULL, error);
}

static void parent_of_a_living_child_stays(void)
{
  static const TaskKind kind = {"short_lived", short_lived, NULL, NULL, "starting"};

  begin(0, 0);
  script.wait = script.free = true; /* no reference keeps it either */
  task_engine_register(rig->engine, &kind, 1);
  task_engine_set_retention(rig->engine, 2000, G_USEC_PER_SEC);
  WsId id = task_rig_accept(rig, "short_lived", 0, NULL);
  task_rig_end(rig, id);
  task_rig_run_for(rig, 100 * G_USEC_PER_SEC);
  g_assert_nonnull(task_rig_record(rig, id));
  gate = true;
  task_rig_until(rig, n_tasks() == 0);
  end();
}

static void only_so_many_ended_tasks_stay(void)
{
  begin(1, 1);
  task_engine_set_retention(rig->engine, 10, G_TIME_SPAN_HOUR);
  WsId last = 0;
  for (guint i = 0; i < 12; i++)
    task_rig_end(rig, last = start());
  task_rig_until(rig, n_tasks() <= 10);
  g_assert_nonnull(task_rig_record(rig, last));
  end();
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/task/children/" #name, name)
  g_test_init(&argc, &argv, NULL);
  add(batch_runs_as_many_at_a_time_as_asked);
  add(queued_children_are_records_of_the_same_request);
  add(children_are_recorded_in_parts_before_the_first_begins);
  add(batch_with_failures_is_partly_done);
  add(failure_keeps_those_that_come_after_it_from_beginning);
  add(those_under_way_when_one_fails_come_to_their_end);
  add(first_failure_is_the_error_of_all_when_none_was_done);
  add(batch_of_failures_fails_as_the_first);
  add(child_that_is_refused_counts_as_failed);
  add(children_may_hold_what_their_parent_holds);
  add(batches_may_be_nested);
  add(cancel_of_the_parent_stops_all);
  add(cancel_reaches_children_that_wait_for_a_coroutine);
  add(one_queued_child_can_be_cancelled);
  add(one_running_child_can_be_cancelled);
  add(dry_run_of_a_batch_makes_no_children);
  add(batch_of_nothing_is_done);
  add(ended_family_moves_to_history_as_a_whole);
  add(parent_of_a_living_child_stays);
  add(only_so_many_ended_tasks_stay);
  return g_test_run();
}
