// SPDX-License-Identifier: Apache-2.0
/* One task: refused or accepted, its steps, locks, changes, failures and undo, waiting, cancel, what is shown of it. */
#include "task-rig.h"
#include <errno.h>
#include <string.h>

/* ---- a task whose behaviour a test scripts ----
 * Steps 0, 1, 2 make things 0, 1, 2 of the world. */

typedef struct {
  guint n_steps;
  const char *refuse;                /* what the function says before its first step */
  WsErrorCode fail[3], fail_undo[3]; /* 0: none; the body acts, then fails */
  guint n_failures[3], n_undo_failures[3]; /* so many times; 0: always */
  WsErrorCode fail_between;          /* after step 1 */
  bool wait[3];                      /* the body waits until the test opens the gate, or for a cancel */
  bool poll_cancel;                  /* and looks for it */
  bool txn[3];                       /* the body renames the target in task_txn() */
  bool last;                         /* the last of the steps is TASK_LAST */
  bool no_cancel_after_first;
  bool shared;
  /* seen */
  guint n_bodies[3], n_undos[3], n_functions;
  WsId new_ids[8];
} Script;
static Script script;
static bool gate;
static guint step_numbers[3] = {0, 1, 2};

static bool scripted_failure(WsErrorCode code, guint *left, GError **error)
{
  if (!code)
    return true;
  if (*left == G_MAXUINT)
    return true; /* it failed often enough */
  if (*left > 0 && --*left == 0)
    *left = G_MAXUINT;
  if (code == WS_ERROR_NO_CAPACITY)
    return ws_fail(error, code, "object", "pool-1", "need", "2", "free", "1", "field", "size_bytes", "cause", "statvfs", NULL);
  return ws_fail(error, code, "host", "host-1", "object", "x-1", NULL);
}

static bool do_step(Task *task, void *ctx, GError **error)
{
  guint i = *(guint *)ctx;

  script.n_bodies[i]++;
  world_make(i);
  while (script.wait[i] && !gate) {
    if (script.poll_cancel && task_cancelled(task))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    ws_co_sleep(1000);
  }
  if (script.txn[i]) {
    WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, task_target(task));
    g_free(v->name);
    v->name = g_strdup_printf("step-%u", i);
  }
  return scripted_failure(script.fail[i], &script.n_failures[i], error);
}

static bool undo_step(Task *task, void *ctx, GError **error)
{
  guint i = *(guint *)ctx;

  script.n_undos[i]++;
  g_assert_false(task_cancelled(task));
  if (!scripted_failure(script.fail_undo[i], &script.n_undo_failures[i], error))
    return false;
  world_remove(i);
  return true;
}

static bool scripted(Task *task, GError **error)
{
  static const char *const names[] = {"one", "two", "three"};
  TaskLockRef lock = {&ws_type_volume, task_target(task), script.shared};

  script.new_ids[script.n_functions++ % 8] = task_new_id(task, "volume");
  g_assert_cmpuint(task_new_id(task, "volume"), ==, script.new_ids[(script.n_functions - 1) % 8]);
  if (script.refuse && !task_is_resumed(task))
    return ws_fail(error, WS_ERROR_WRONG_STATE, "object", "vol-1", "verb", "clone", "state", script.refuse, NULL);
  if (task_target(task) && (!task_find_target(task, error) || !task_lock(task, &lock, 1, error)))
    return false;
  for (guint i = 0; i < script.n_steps; i++) {
    if (i == 1 && script.no_cancel_after_first)
      task_allow_cancel(task, false);
    if (i == 2 && script.fail_between)
      return ws_fail(error, script.fail_between, NULL);
    bool last = script.last && i + 1 == script.n_steps;
    if (!(last ? TASK_LAST(task, names[i], do_step, &step_numbers[i], error)
               : TASK_STEP(task, names[i], do_step, undo_step, &step_numbers[i], error)))
      return false;
  }
  return true;
}

/* ---- a task that deletes its target, one that makes a volume and one that says much ---- */

static bool delete_target(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, task_target(task));
  return true;
}

static bool deleting(Task *task, GError **error)
{
  return task_find_target(task, error) &&
         task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_LAST(task, "leave", delete_target, NULL, error);
}

static WsId made_id;

static bool make_volume(Task *task, void *ctx, GError **error)
{
  const WsVolume *target = task_find_target(task, NULL);
  WsVolume *v = inv_create_with_id(task_txn(task), &ws_type_volume, *(WsId *)ctx);

  made_id = *(WsId *)ctx;
  v->name = g_strdup("made");
  v->pool = target->pool;
  task_lock_new(task, task_txn(task), v);
  task_set_object(task, &ws_type_volume, v->id);
  task_set_result(task, "made it");
  return true;
}

static bool wait_for_gate(Task *task, void *ctx, GError **error)
{
  while (!gate)
    ws_co_sleep(1000);
  return true;
}

static bool making(Task *task, GError **error)
{
  WsId id = task_new_id(task, "volume");

  if (!TASK_STEP(task, "make", make_volume, NULL, &id, error))
    return false;
  g_assert_cmpstr(task_step_result(task, "make"), ==, "made it");
  g_assert_null(task_step_result(task, "wait"));
  return TASK_STEP(task, "wait", wait_for_gate, NULL, NULL, error);
}

static bool talk(Task *task, void *ctx, GError **error)
{
  for (gint64 i = 1; i <= 1000; i++) {
    g_autofree char *n = g_strdup_printf("%" G_GINT64_FORMAT, i);
    task_progress(task, i, 1000, "bytes");
    task_log(task, "task_cancel_asked", "user", n, NULL);
    ws_co_sleep(1000);
  }
  return true;
}

static bool talking(Task *task, GError **error)
{
  return task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_STEP(task, "talk", talk, NULL, NULL, error);
}

/* A commit that the inventory refuses: a volume in no pool. */
static bool make_nowhere(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_create(task_txn(task), &ws_type_volume);
  v->name = g_strdup("nowhere");
  v->pool = 999999;
  return true;
}

static bool keeping(Task *task, GError **error)
{
  const char *word = task_choose(task, "word", "kept");
  bool ok = TASK_LAST(task, "end", make_nowhere, NULL, error);

  g_assert_false(ok);
  g_assert_true(word == task_choose(task, "word", "other")); /* the very text: it was not freed meanwhile */
  g_assert_cmpstr(word, ==, "kept");
  return false;
}

static const TaskKind kinds[] = {
  {"keeping", keeping, NULL, &ws_type_volume, "keeping"},
  {"scripted", scripted, &ws_type_volume_clone, &ws_type_volume, "cloning"},
  {"deleting", deleting, NULL, &ws_type_volume, "deleting"},
  {"making", making, NULL, &ws_type_volume, "making"},
  {"talking", talking, NULL, &ws_type_volume, "talking"},
};

/* ---- each test ---- */

static TaskRig *rig;
static WsId volume;

static void begin(void)
{
  rig = task_rig_new(NULL);
  task_engine_register(rig->engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_resume(rig->engine);
  world_clear();
  script = (Script){.n_steps = 3};
  gate = false;
  volume = task_rig_volume(rig, "v");
}

static void end(void)
{
  gate = true;
  task_rig_wait_idle(rig);
  g_assert_cmpuint(g_hash_table_size(rig->engine->locks), ==, 0);
  g_clear_pointer(&rig, task_rig_free);
}

static WsId accept(void)
{
  return task_rig_accept(rig, "scripted", volume, "x");
}

static guint n_tasks(void)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);

  return inv_count(snap, &ws_type_task);
}

static void assert_order(const gint *order, guint n)
{
  g_assert_cmpint(world->n_order, ==, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint(world->order[i], ==, order[i]);
}

static void assert_state(const WsTask *rec, WsTaskState state)
{
  g_assert_cmpstr(ws_task_state_names[rec->state - 1], ==, ws_task_state_names[state - 1]);
}

/* ---- before the first step ---- */

static void task_that_refuses_never_existed(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  begin();
  script.refuse = "gone";
  g_assert_false(task_rig_start(rig, "scripted", volume, "x", false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_WRONG_STATE);
  g_assert_cmpuint(n_tasks(), ==, 0);
  g_assert_cmpuint(world_count(), ==, 0);
  g_assert_cmpuint(g_hash_table_size(rig->engine->locks), ==, 0);
  end();
}

static void dry_run_names_the_steps_and_does_none(void)
{
  TaskStarted started;

  begin();
  g_assert_true(task_rig_start(rig, "scripted", volume, "x", true, &started, NULL));
  g_auto(GStrv) steps = started.dry_steps;
  g_assert_cmpuint(g_strv_length(steps), ==, 3);
  g_assert_cmpstr(steps[0], ==, "one");
  g_assert_cmpstr(steps[2], ==, "three");
  g_assert_cmpuint(started.task_id, ==, 0);
  g_assert_cmpuint(n_tasks(), ==, 0);
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

static void dry_run_is_refused_like_the_real_thing(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  begin();
  script.wait[0] = true;
  accept();
  g_assert_false(task_rig_start(rig, "scripted", volume, "x", true, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BUSY);
  end();
}

static void function_with_nothing_to_do_gives_a_task_that_is_done(void)
{
  begin();
  script.n_steps = 0;
  const WsTask *rec = task_rig_end(rig, accept());
  assert_state(rec, WS_TASK_STATE_DONE);
  g_assert_cmpuint(rec->steps.len, ==, 0);
  end();
}

static void more_tasks_than_slots_are_refused(void)
{
  begin();
  script.wait[0] = true;
  script.shared = true;
  for (guint i = 0; i < TASK_RUNNING_MAX; i++)
    accept();
  g_autoptr(GError) error = NULL;
  TaskStarted started;
  g_assert_false(task_rig_start(rig, "scripted", volume, "x", false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_TOO_MANY_REQUESTS);
  end();
}

/* ---- while it runs ---- */

static void accepted_task_shows_who_asked_and_what_it_holds(void)
{
  begin();
  script.wait[0] = true;
  WsId id = accept();
  const WsTask *rec = task_rig_record(rig, id);
  assert_state(rec, WS_TASK_STATE_RUNNING);
  g_assert_cmpstr(rec->kind, ==, "scripted");
  g_assert_cmpstr(rec->owner, ==, "alice");
  g_assert_cmpstr(rec->origin, ==, "192.0.2.7");
  g_assert_cmpstr(rec->cause, ==, "user");
  g_assert_cmpstr(rec->request_id, ==, "req-1");
  g_assert_cmpstr(rec->target_name, ==, "v");
  g_assert_true(rec->target.type == &ws_type_volume && rec->target.id == volume);
  g_assert_cmpuint(rec->locks.len, ==, 1);
  g_assert_cmpuint(rec->steps.len, ==, 1);
  g_assert_cmpint(rec->steps.items[0]->state, ==, WS_TASK_STEP_STATE_RUNNING);
  g_assert_true(rec->cancellable);
  g_assert_nonnull(strstr(rec->request, "\"name\":\"x\""));
  const WsVolume *v = task_rig_find_volume(rig, volume);
  g_assert_nonnull(v->activity);
  g_assert_cmpuint(v->activity->task, ==, id);
  g_assert_cmpstr(v->activity->verb, ==, "cloning");
  end();
}

static void done_task_lets_go_of_everything(void)
{
  begin();
  const WsTask *rec = task_rig_end(rig, accept());
  assert_state(rec, WS_TASK_STATE_DONE);
  g_assert_cmpuint(rec->steps.len, ==, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint(rec->steps.items[i]->state, ==, WS_TASK_STEP_STATE_DONE);
  g_assert_cmpuint(rec->locks.len, ==, 0);
  g_assert_null(rec->args);
  g_assert_cmpuint(rec->choices.len, ==, 0);
  g_assert_cmpint(rec->ended, >=, rec->started);
  g_assert_false(rec->cancellable);
  g_assert_null(task_rig_find_volume(rig, volume)->activity);
  assert_order((gint[]){1, 2, 3}, 3);
  end();
}

static void object_that_is_held_is_refused_naming_the_holder(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;
  char text[WS_ID_TEXT_MAX];

  begin();
  script.wait[0] = true;
  WsId id = accept();
  g_assert_false(task_rig_start(rig, "deleting", volume, NULL, false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BUSY);
  g_assert_cmpstr(ws_error_param(error, "object"), ==, ws_id_format("vol", volume, text));
  g_assert_cmpstr(ws_error_param(error, "task"), ==, ws_id_format("task", id, text));
  g_assert_cmpstr(ws_error_param(error, "verb"), ==, "cloning");
  end();
}

static void readers_share_an_object_and_keep_writers_out(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  begin();
  script.wait[0] = script.shared = true;
  accept();
  accept();
  g_assert_null(task_rig_find_volume(rig, volume)->activity);
  g_assert_false(task_rig_start(rig, "deleting", volume, NULL, false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BUSY);
  end();
}

static void made_object_is_held_from_birth(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  begin();
  WsId id = task_rig_accept(rig, "making", volume, NULL);
  task_rig_until(rig, task_rig_find_volume(rig, made_id));
  const WsVolume *made = task_rig_find_volume(rig, made_id);
  g_assert_nonnull(made);
  g_assert_cmpuint(made->activity->task, ==, id);
  g_assert_false(task_rig_start(rig, "deleting", made_id, NULL, false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BUSY);
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  g_assert_cmpuint(rec->result.id, ==, made_id);
  g_assert_null(task_rig_find_volume(rig, made_id)->activity);
  end();
}

static gint64 n_progress_changes, last_percent;

static void count_progress(const InvChange *change, void *arg)
{
  const WsTask *rec = change->new_object;

  if (change->type == &ws_type_task && rec && rec->progress)
    n_progress_changes++;
  if (change->type == &ws_type_volume && change->new_object) {
    const WsActivity *activity = ((const WsVolume *)change->new_object)->activity;
    last_percent = activity && activity->percent != WS_INT_UNSET ? MAX(last_percent, activity->percent) : last_percent;
  }
}

static void progress_is_published_four_times_a_second(void)
{
  begin();
  n_progress_changes = last_percent = 0;
  inv_add_listener(rig->inv.inv, count_progress, NULL);
  gint64 began_us = ws_clock_monotonic_us(&rig->clock.clock);
  const WsTask *rec = task_rig_end(rig, task_rig_accept(rig, "talking", volume, NULL));
  gint64 took_us = ws_clock_monotonic_us(&rig->clock.clock) - began_us;
  g_assert_cmpint(n_progress_changes, >=, 2);
  g_assert_cmpint(n_progress_changes, <=, took_us / (TASK_PROGRESS_MS * 1000) + 2);
  g_assert_cmpint(last_percent, >, 0);
  g_assert_cmpint(rec->progress->done, ==, 1000);
  g_assert_cmpint(rec->progress->percent, ==, 100);
  g_assert_cmpuint(rec->log.len, ==, TASK_LOG_MAX); /* the newest */
  g_assert_cmpstr(ws_map_get(&rec->log.items[TASK_LOG_MAX - 1]->params, "user"), ==, "1000");
  end();
}

/* ---- failure and undo ---- */

static void failed_step_takes_back_all_before_it_last_first(void)
{
  begin();
  script.fail[2] = WS_ERROR_NO_CAPACITY;
  const WsTask *rec = task_rig_end(rig, accept());
  assert_state(rec, WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(rec->error->code, ==, "no_capacity");
  g_assert_cmpstr(ws_map_get(&rec->error->params, "free"), ==, "1");
  g_assert_cmpstr(rec->error->field, ==, "size_bytes");
  g_assert_cmpstr(rec->error->cause, ==, "statvfs");
  assert_order((gint[]){1, 2, 3, -3, -2, -1}, 6);
  g_assert_null(task_rig_find_volume(rig, volume)->activity);
  end();
}

static void failure_with_nothing_to_undo_is_plain(void)
{
  begin();
  script.n_steps = 1;
  script.last = true; /* no undo */
  script.fail[0] = WS_ERROR_NO_CAPACITY;
  assert_state(task_rig_end(rig, accept()), WS_TASK_STATE_FAILED);
  end();
}

static void failure_between_steps_is_undone_by_another_run(void)
{
  begin();
  script.fail_between = WS_ERROR_INTERNAL;
  const WsTask *rec = task_rig_end(rig, accept());
  assert_state(rec, WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(rec->error->code, ==, "internal");
  assert_order((gint[]){1, 2, -2, -1}, 4);
  g_assert_cmpuint(script.n_functions, ==, 2);
  g_assert_cmpuint(script.new_ids[0], ==, script.new_ids[1]);
  end();
}

static void undo_is_repeated_until_it_succeeds(void)
{
  begin();
  script.fail[1] = WS_ERROR_NO_CAPACITY;
  script.fail_undo[0] = WS_ERROR_HOST_UNREACHABLE;
  script.n_undo_failures[0] = 5;
  WsId id = accept();
  task_rig_until(rig, task_rig_record(rig, id)->waiting);
  const WsTask *rec = task_rig_record(rig, id);
  assert_state(rec, WS_TASK_STATE_ROLLING_BACK);
  g_assert_cmpstr(rec->waiting->code, ==, "host_unreachable");
  g_assert_nonnull(task_rig_find_volume(rig, volume)->activity); /* it is still held */
  rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_ROLLED_BACK);
  g_assert_null(rec->waiting);
  g_assert_cmpuint(script.n_undos[0], ==, 6);
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

static void undo_of_what_is_gone_counts_as_done(void)
{
  begin();
  script.fail[1] = WS_ERROR_NO_CAPACITY;
  script.fail_undo[1] = WS_ERROR_NOT_FOUND;
  script.fail_undo[0] = WS_ERROR_UNSUPPORTED; /* by an agent that never knew the call */
  assert_state(task_rig_end(rig, accept()), WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpuint(script.n_undos[0], ==, 1);
  g_assert_cmpuint(script.n_undos[1], ==, 1);
  end();
}

static void step_waits_for_its_host_to_come_back(void)
{
  begin();
  script.fail[1] = WS_ERROR_HOST_UNREACHABLE;
  script.n_failures[1] = 4;
  script.wait[2] = true;
  WsId id = accept();
  task_rig_until(rig, task_rig_record(rig, id)->waiting);
  task_rig_until(rig, script.n_bodies[2]);
  g_assert_null(task_rig_record(rig, id)->waiting);
  gate = true;
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_DONE);
  g_assert_cmpuint(script.n_bodies[1], ==, 5);
  g_assert_cmpuint(script.n_bodies[0], ==, 1);
  g_assert_cmpuint(rec->log.len, ==, 1); /* said once */
  g_assert_cmpstr(rec->log.items[0]->text, ==, "task_step_waits");
  end();
}

static void host_that_does_not_come_back_fails_the_step_after_two_minutes(void)
{
  begin();
  script.fail[1] = WS_ERROR_HOST_UNREACHABLE;
  gint64 began_us = ws_clock_monotonic_us(&rig->clock.clock), ahead_us = rig->clock.ahead_us;
  assert_state(task_rig_end(rig, accept()), WS_TASK_STATE_ROLLED_BACK);
  gint64 took_us = ws_clock_monotonic_us(&rig->clock.clock) - began_us;
  g_assert_cmpint(took_us, >=, TASK_HOST_WAIT_MS * 1000);
  g_assert_cmpint(rig->clock.ahead_us - ahead_us, <, (TASK_HOST_WAIT_MS + 2 * TASK_RETRY_MAX_MS) * 1000); /* without what it took us */
  end();
}

static void retry_now_ends_the_waiting(void)
{
  begin();
  script.fail[1] = WS_ERROR_NO_CAPACITY;
  script.fail_undo[0] = WS_ERROR_HOST_UNREACHABLE;
  WsId id = accept();
  task_rig_run_for(rig, 40 * G_USEC_PER_SEC); /* waits are 15 s by now */
  guint before = script.n_undos[0];
  task_rig_until(rig, script.n_undos[0] > before); /* and one has just begun */
  before = script.n_undos[0];
  script.fail_undo[0] = 0;
  gint64 ahead_us = rig->clock.ahead_us;
  task_engine_retry_now(rig->engine);
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpint(rig->clock.ahead_us - ahead_us, <, 10 * G_USEC_PER_SEC);
  g_assert_cmpuint(script.n_undos[0], ==, before + 1);
  end();
}

/* ---- cancel ---- */

static void cancel_stops_the_body_and_undoes_the_rest(void)
{
  begin();
  script.wait[1] = script.poll_cancel = true;
  WsId id = accept();
  task_rig_until(rig, script.n_bodies[1]);
  g_assert_true(task_rig_cancel(rig, id, NULL));
  const WsTask *rec = task_rig_end(rig, id);
  assert_state(rec, WS_TASK_STATE_CANCELLED);
  g_assert_null(rec->error);
  assert_order((gint[]){1, 2, -2, -1}, 4);
  g_assert_cmpstr(rec->log.items[0]->text, ==, "task_cancel_asked");
  g_assert_cmpstr(ws_map_get(&rec->log.items[0]->params, "user"), ==, "bob");
  end();
}

static void body_that_does_not_look_is_finished_then_undone(void)
{
  begin();
  script.wait[0] = true;
  WsId id = accept();
  g_assert_true(task_rig_cancel(rig, id, NULL));
  assert_state(task_rig_record(rig, id), WS_TASK_STATE_CANCELLING);
  g_assert_true(task_rig_cancel(rig, id, NULL)); /* again: the same */
  gate = true;
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_CANCELLED);
  assert_order((gint[]){1, -1}, 2);
  end();
}

static void cancel_that_comes_too_late_leaves_the_task_done(void)
{
  begin();
  script.n_steps = 1;
  script.wait[0] = script.last = true;
  WsId id = accept();
  g_assert_true(task_rig_cancel(rig, id, NULL));
  gate = true;
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_DONE);
  end();
}

static void assert_cancel_refused(WsId id, WsErrorCode code)
{
  g_autoptr(GError) error = NULL;

  g_assert_false(task_rig_cancel(rig, id, &error));
  g_assert_error(error, WS_ERROR, (gint)code);
}

static void cancel_is_refused_when_it_cannot_be(void)
{
  begin();
  assert_cancel_refused(4711, WS_ERROR_NOT_FOUND);
  script.no_cancel_after_first = script.wait[1] = true;
  WsId id = accept();
  task_rig_until(rig, script.n_bodies[1]);
  g_assert_false(task_rig_record(rig, id)->cancellable);
  assert_cancel_refused(id, WS_ERROR_NOT_ALLOWED);
  gate = true;
  task_rig_end(rig, id);
  assert_cancel_refused(id, WS_ERROR_NOT_ALLOWED);

  script = (Script){.n_steps = 2, .fail = {0, WS_ERROR_NO_CAPACITY}, .fail_undo = {WS_ERROR_HOST_UNREACHABLE}};
  id = accept();
  task_rig_until(rig, script.n_undos[0]);
  assert_cancel_refused(id, WS_ERROR_NOT_ALLOWED); /* it is being undone */
  script.fail_undo[0] = 0;
  end();
}

static void cancel_ends_the_wait_for_a_host(void)
{
  begin();
  script.fail[1] = WS_ERROR_HOST_UNREACHABLE;
  WsId id = accept();
  task_rig_run_for(rig, 40 * G_USEC_PER_SEC); /* waits are 15 s by now */
  guint before = script.n_bodies[1];
  task_rig_until(rig, script.n_bodies[1] > before); /* and one has just begun */
  gint64 ahead_us = rig->clock.ahead_us;
  g_assert_true(task_rig_cancel(rig, id, NULL));
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_CANCELLED);
  g_assert_cmpint(rig->clock.ahead_us - ahead_us, <, 10 * G_USEC_PER_SEC);
  end();
}

/* ---- changes of the inventory ---- */

static void changes_of_a_step_come_with_its_completion(void)
{
  begin();
  script.txn[0] = script.wait[1] = true;
  WsId id = accept();
  task_rig_until(rig, script.n_bodies[1]);
  g_assert_cmpstr(task_rig_find_volume(rig, volume)->name, ==, "step-0");
  g_assert_cmpint(task_rig_record(rig, id)->steps.items[0]->state, ==, WS_TASK_STEP_STATE_DONE);
  end();
}

static void changes_of_a_failed_body_are_dropped(void)
{
  begin();
  script.txn[0] = true;
  script.fail[0] = WS_ERROR_NO_CAPACITY;
  task_rig_end(rig, accept());
  g_assert_cmpstr(task_rig_find_volume(rig, volume)->name, ==, "v");
  end();
}

static bool disturbed;

/* The first time it gets its copy before somebody else changes the object. */
static bool edit_disturbed(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, task_target(task));

  world_make(0);
  g_free(v->name);
  v->name = g_strdup("mine");
  if (!disturbed) {
    g_autoptr(InvTxn) other = inv_begin(task_inventory(task));
    WsVolume *theirs = inv_edit_id(other, &ws_type_volume, task_target(task));
    theirs->size_bytes = 4096;
    disturbed = inv_commit(other, NULL, NULL);
  }
  return true;
}

static bool disturbing(Task *task, GError **error)
{
  return TASK_STEP(task, "edit", edit_disturbed, undo_step, &step_numbers[0], error);
}

static void body_whose_change_met_another_is_run_again(void)
{
  static const TaskKind kind = {"disturbing", disturbing, NULL, &ws_type_volume, "editing"};

  begin();
  disturbed = false;
  task_engine_register(rig->engine, &kind, 1);
  assert_state(task_rig_end(rig, task_rig_accept(rig, "disturbing", volume, NULL)), WS_TASK_STATE_DONE);
  g_assert_cmpint(world->made[0], ==, 2);
  g_assert_cmpstr(task_rig_find_volume(rig, volume)->name, ==, "mine");
  g_assert_cmpint(task_rig_find_volume(rig, volume)->size_bytes, ==, 4096);
  end();
}

static void choices_outlive_an_end_that_could_not_be_committed(void)
{
  begin();
  const WsTask *rec = task_rig_end(rig, task_rig_accept(rig, "keeping", volume, NULL));
  g_assert_cmpint(rec->state, >, WS_TASK_STATE_PARTLY_DONE);
  g_assert_nonnull(rec->error);
  end();
}

static void last_step_may_delete_the_target(void)
{
  begin();
  const WsTask *rec = task_rig_end(rig, task_rig_accept(rig, "deleting", volume, NULL));
  assert_state(rec, WS_TASK_STATE_DONE);
  g_assert_null(task_rig_find_volume(rig, volume));
  g_assert_cmpuint(rec->target.id, ==, volume);
  end();
}

/* The volume's pool goes: the change cannot be committed, the step has failed. */
static bool break_reference(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, task_target(task));

  world_make(1);
  v->pool = 999999;
  return true;
}

static bool breaking(Task *task, GError **error)
{
  return TASK_STEP(task, "one", do_step, undo_step, &step_numbers[0], error) &&
         TASK_STEP(task, "two", break_reference, undo_step, &step_numbers[1], error);
}

static void change_that_is_refused_fails_the_step(void)
{
  static const TaskKind kind = {"breaking", breaking, NULL, &ws_type_volume, "editing"};

  begin();
  task_engine_register(rig->engine, &kind, 1);
  const WsTask *rec = task_rig_end(rig, task_rig_accept(rig, "breaking", volume, NULL));
  assert_state(rec, WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(rec->error->code, ==, "bad_reference");
  g_assert_cmpstr(rec->error->field, ==, "pool");
  assert_order((gint[]){1, 2, -2, -1}, 4);
  end();
}

/* The entry is refused, so its undo has nothing to delete. */
static bool enter_refused(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_create_with_id(task_txn(task), &ws_type_volume, *(WsId *)ctx);

  v->name = g_strdup("new");
  v->pool = 999999;
  return true;
}

static bool delete_entered(Task *task, void *ctx, GError **error)
{
  script.n_undos[0]++;
  inv_delete(task_txn(task), &ws_type_volume, *(WsId *)ctx);
  return true;
}

static bool entering(Task *task, GError **error)
{
  WsId id = task_new_id(task, "volume");

  return TASK_STEP(task, "enter", enter_refused, delete_entered, &id, error);
}

static void undo_may_delete_what_was_never_made(void)
{
  static const TaskKind kind = {"entering", entering, NULL, NULL, "creating"};

  begin();
  task_engine_register(rig->engine, &kind, 1);
  const WsTask *rec = task_rig_end(rig, task_rig_accept(rig, "entering", 0, NULL));
  assert_state(rec, WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpstr(rec->error->code, ==, "bad_reference");
  g_assert_cmpuint(script.n_undos[0], ==, 1);
  end();
}

static void add_event(InvTxn *txn, WsId task, void *arg)
{
  WsEvent *row = ws_event_new();

  row->text = g_strdup_printf("%" G_GUINT64_FORMAT, task);
  *(WsId *)arg = task;
  inv_append_history(txn, row);
}

typedef struct {
  WsId seen, accepted;
  bool done;
} Enriched;

static void start_enriched(void *arg)
{
  Enriched *e = arg;
  TaskCause cause = {.cause = "user", .enrich = add_event, .enrich_arg = &e->seen};
  TaskStarted started;
  GError *error = NULL;

  task_start(rig->engine, task_kind_find(rig->engine, "scripted"), volume, NULL, &cause, false, 0, &started, &error);
  g_assert_no_error(error);
  e->accepted = started.task_id;
  e->done = true;
}

static void start_can_carry_an_audit_record(void)
{
  Enriched e = {0};

  begin();
  ws_co_start(rig->inv.loop, start_enriched, &e);
  task_rig_wait(rig, &e.done);
  g_assert_cmpuint(e.seen, ==, e.accepted);
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  g_assert_true(store_query_history(rig->inv.store, &ws_type_event, NULL, 0, 0, 10, rows, NULL));
  g_assert_cmpuint(rows->len, ==, 1);
  end();
}

/* ---- a full disk ---- */

static gint disk_full;

static int full_disk(const char *point, void *arg)
{
  return g_atomic_int_get(&disk_full) && g_str_equal(point, "row") ? ENOSPC : 0;
}

static void full_disk_refuses_starts_and_holds_up_what_runs(void)
{
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  begin();
  store_set_fault(rig->inv.store, full_disk, NULL);
  script.wait[0] = true;
  script.shared = true;
  WsId id = accept();
  g_atomic_int_set(&disk_full, 1);
  gate = true;
  g_assert_false(task_rig_start(rig, "scripted", volume, "x", false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_READ_ONLY);
  task_rig_run_for(rig, 60 * G_USEC_PER_SEC);
  g_assert_cmpuint(script.n_bodies[1], ==, 0); /* step two is not on record: it does not act */
  g_assert_cmpuint(task_rig_record(rig, id)->steps.len, ==, 1);
  g_atomic_int_set(&disk_full, 0);
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_DONE);
  end();
}

static void full_disk_does_not_hold_up_a_cancel(void)
{
  g_autoptr(GError) error = NULL;

  begin();
  store_set_fault(rig->inv.store, full_disk, NULL);
  script.wait[0] = true;
  WsId id = accept();
  g_atomic_int_set(&disk_full, 1);
  gate = true;
  task_rig_run_for(rig, 10 * G_USEC_PER_SEC);
  g_assert_false(task_rig_cancel(rig, id, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_READ_ONLY);
  g_atomic_int_set(&disk_full, 0);
  assert_state(task_rig_end(rig, id), WS_TASK_STATE_CANCELLED); /* it was not promised, but it is no harm */
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/task/steps/" #name, name)
  g_test_init(&argc, &argv, NULL);
  add(task_that_refuses_never_existed);
  add(dry_run_names_the_steps_and_does_none);
  add(dry_run_is_refused_like_the_real_thing);
  add(function_with_nothing_to_do_gives_a_task_that_is_done);
  add(more_tasks_than_slots_are_refused);
  add(accepted_task_shows_who_asked_and_what_it_holds);
  add(done_task_lets_go_of_everything);
  add(object_that_is_held_is_refused_naming_the_holder);
  add(readers_share_an_object_and_keep_writers_out);
  add(made_object_is_held_from_birth);
  add(progress_is_published_four_times_a_second);
  add(failed_step_takes_back_all_before_it_last_first);
  add(failure_with_nothing_to_undo_is_plain);
  add(failure_between_steps_is_undone_by_another_run);
  add(undo_is_repeated_until_it_succeeds);
  add(undo_of_what_is_gone_counts_as_done);
  add(step_waits_for_its_host_to_come_back);
  add(host_that_does_not_come_back_fails_the_step_after_two_minutes);
  add(retry_now_ends_the_waiting);
  add(cancel_stops_the_body_and_undoes_the_rest);
  add(body_that_does_not_look_is_finished_then_undone);
  add(cancel_that_comes_too_late_leaves_the_task_done);
  add(cancel_is_refused_when_it_cannot_be);
  add(cancel_ends_the_wait_for_a_host);
  add(changes_of_a_step_come_with_its_completion);
  add(changes_of_a_failed_body_are_dropped);
  add(body_whose_change_met_another_is_run_again);
  add(choices_outlive_an_end_that_could_not_be_committed);
  add(last_step_may_delete_the_target);
  add(change_that_is_refused_fails_the_step);
  add(undo_may_delete_what_was_never_made);
  add(start_can_carry_an_audit_record);
  add(full_disk_refuses_starts_and_holds_up_what_runs);
  add(full_disk_does_not_hold_up_a_cancel);
  return g_test_run();
}
