// SPDX-License-Identifier: Apache-2.0
/* Steps: the body that is run until it is done, failed or cancelled, and the undos that take a task back.
 *
 * The n-th call of task_step() in a run of the function belongs to the n-th step of the record. A call whose step is recorded as done
 * returns at once; the one that was cut short acts again; the first one beyond the record makes a new step. A task that is being undone
 * replays its steps only to learn their undos: at the last recorded one all are known, and the stack that their contexts live on is
 * there, so there they run.
 *
 * The end of a step that changed nothing in the inventory is not committed by itself: it goes with the next step's start or the task's
 * end, and until then counts as not finished, which a repeat of the body makes true. */
#include "task/task-private.h"
#include "base/plant.h"

#define CONFLICT_TRIES 20 /* a body that never gets its change through has a fault */

static WsTaskStep *nth_step(Task *task, guint i)
{
  return task->rec->steps.items[i];
}

static bool was_asked_to_stop(const Task *task)
{
  return g_atomic_int_get(&task->cancel) != 0;
}

static bool fail_cancelled(GError **error)
{
  return ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

/* ---- one run of a body or an undo ---- */

static void enter_body(Task *task)
{
  g_assert(!task->in_body && !task->txn);
  task->in_body = true;
}

/* Gives the body's transaction, or NULL. */
static InvTxn *leave_body(Task *task)
{
  task->in_body = false;
  g_ptr_array_set_size(task->body_snaps, 0);
  return g_steal_pointer(&task->txn);
}

/* Objects that the body made become locks of the record. */
static void keep_new_locks(Task *task)
{
  for (guint i = 0; i < task->new_locks->len; i++)
    ws_array_add(&task->rec->locks, (WsTaskLock *)task->new_locks->pdata[i]);
  g_ptr_array_set_size(task->new_locks, 0);
}

/* The commit failed: they are as if never made. */
static void take_back_new_locks(Task *task, guint n_before)
{
  while (task->rec->locks.len > n_before) {
    WsTaskLock *lock = task->rec->locks.items[--task->rec->locks.len];
    g_ptr_array_add(task->new_locks, lock);
  }
  locks_drop_new(task);
}

/* Commits what the body changed together with the step's new state. */
static bool commit_step(Task *task, InvTxn *txn, WsTaskStep *step, WsTaskStepState state, GError **error)
{
  WsTaskStepState state_before = step->state;
  guint n_locks = task->rec->locks.len;
  bool ok;

  record_hold(task);
  step->state = state;
  step->ended = task_now_us(task);
  keep_new_locks(task);
  ok = record_commit(task, txn, error);
  if (!ok) {
    step->state = state_before;
    step->ended = 0;
    take_back_new_locks(task, n_locks);
  }
  record_release(task);
  return ok;
}

static bool finish_last(Task *task, InvTxn *txn, WsTaskStep *step, GError **error)
{
  guint n_locks = task->rec->locks.len;

  step->state = WS_TASK_STEP_STATE_DONE;
  step->ended = task_now_us(task);
  keep_new_locks(task);
  if (record_end(task, txn, task->partly ? WS_TASK_STATE_PARTLY_DONE : WS_TASK_STATE_DONE, error))
    return true;
  step = nth_step(task, task->rec->steps.len - 1);
  step->state = WS_TASK_STEP_STATE_RUNNING;
  step->ended = 0;
  take_back_new_locks(task, n_locks);
  return false;
}

/* The body, once. `txn` and the step's completion are durable, or will be with the next commit, when this returns true. */
static bool run_body_once(Task *task, const Step *what, guint i, GError **error)
{
  bool ok;
  InvTxn *txn;

  enter_body(task);
  ok = what->body(task, what->ctx, error);
  g_assert(ok || !error || *error);
  txn = leave_body(task);
  if (!ok) {
    locks_drop_new(task);
    inv_txn_free(txn);
    return false;
  }
  if (what->last)
    return finish_last(task, txn, nth_step(task, i), error);
  if (txn)
    return commit_step(task, txn, nth_step(task, i), WS_TASK_STEP_STATE_DONE, error);
  nth_step(task, i)->state = WS_TASK_STEP_STATE_DONE;
  nth_step(task, i)->ended = task_now_us(task);
  return true;
}

/* ---- repeats ---- */

/* Shows what is waited for, and sleeps. */
static void wait_to_repeat(Task *task, const char *text, const char *step, const GError *why, guint tries)
{
  gint64 delay_us = task_backoff_us(tries);
  g_autofree char *seconds = g_strdup_printf("%.1f", (double)delay_us / G_USEC_PER_SEC);

  if (!task->rec->waiting)
    record_log(task, text, "step", step, "code", ws_error_code_name(ws_error_code(why)), "seconds", seconds, NULL);
  record_set_failure(&task->rec->waiting, why);
  engine_touch(task);
  task_nap(task, delay_us);
}

void task_show_waiting(Task *task, const GError *why)
{
  if (!task->rec->waiting && !why)
    return;
  record_set_failure(&task->rec->waiting, why);
  engine_touch(task);
}

static void stop_waiting(Task *task)
{
  task_show_waiting(task, NULL);
}

typedef struct {
  guint conflicts, tries;
  gint64 unreachable_since_us; /* 0: not */
} Repeats;

/* Whether the body is worth another run, after a wait if need be. */
static bool may_repeat(Task *task, const Step *what, const GError *why, Repeats *r)
{
  gint64 now_us = ws_clock_monotonic_us(ws_loop_clock(task->engine->loop));

  if (what->batch && task->all_failed)
    return false;
  switch (ws_error_code(why)) {
  case WS_ERROR_CONFLICT:
    return ++r->conflicts < CONFLICT_TRIES;
  case WS_ERROR_READ_ONLY:
    break;
  case WS_ERROR_HOST_UNREACHABLE:
    if (!r->unreachable_since_us)
      r->unreachable_since_us = now_us;
    /* Where there is no way back there is only to wait, as an undo does. */
    if (task->rec->cancellable && now_us - r->unreachable_since_us >= (gint64)TASK_HOST_WAIT_MS * 1000)
      return false;
    break;
  default:
    return false;
  }
  wait_to_repeat(task, "task_step_waits", what->name, why, r->tries++);
  return true;
}

/* ---- undo ---- */

bool step_has_undo(const Task *task)
{
  for (guint i = 0; i < task->calls->len; i++)
    if (g_array_index(task->calls, StepCall, i).undo && i < task->rec->steps.len &&
        task->rec->steps.items[i]->state != WS_TASK_STEP_STATE_UNDONE)
      return true;
  return false;
}

/* From here on the way is back, also after a crash. */
void step_begin_undo(Task *task, const GError *why)
{
  bool cancelled = was_asked_to_stop(task) || task->rec->state == WS_TASK_STATE_CANCELLING;

  record_hold(task);
  task->undoing = true;
  task->rec->state = cancelled ? WS_TASK_STATE_CANCELLING : WS_TASK_STATE_ROLLING_BACK;
  task->rec->cancellable = false;
  record_set_failure(&task->rec->waiting, NULL);
  if (!cancelled) {
    record_set_failure(&task->rec->error, why);
    if (step_has_undo(task))
      record_log(task, "task_undo_began", "code", ws_error_code_name(ws_error_code(why)), NULL);
  }
  g_atomic_int_set(&task->cancel, 0); /* undos are not to be stopped */
  /* With nothing to undo the end follows at once and says it all. */
  if (step_has_undo(task))
    record_commit_surely(task);
  record_release(task);
}

static bool undo_once(Task *task, guint i, GError **error)
{
  const StepCall *call = &g_array_index(task->calls, StepCall, i);
  g_autoptr(GError) failure = NULL;
  bool ok;
  InvTxn *txn;

  enter_body(task);
  ok = (SIM_PLANT(undo_skipped) && i == 0) || call->undo(task, call->ctx, &failure);
  txn = leave_body(task);
  if (ok && txn && commit_step(task, g_steal_pointer(&txn), nth_step(task, i), WS_TASK_STEP_STATE_UNDONE, &failure))
    return true;
  locks_drop_new(task);
  inv_txn_free(txn);
  /* What it would undo, or would delete, is gone: all the better. And an agent that does not know the call has never done it. */
  WsErrorCode code = failure ? ws_error_code(failure) : WS_ERROR_NOT_FOUND;
  if (code == WS_ERROR_NOT_FOUND || code == WS_ERROR_UNSUPPORTED || code == WS_ERROR_PEER_OLDER)
    return commit_step(task, inv_begin(task->engine->inv), nth_step(task, i), WS_TASK_STEP_STATE_UNDONE, error);
  g_propagate_error(error, g_steal_pointer(&failure));
  return false;
}

/* Given up: this step and all before it, in the order in which they would have been undone. */
static void leave_behind(Task *task, guint from, const GError *why)
{
  for (guint i = from + 1; i-- > 0;) {
    WsTaskStep *step = nth_step(task, i);
    if (!g_array_index(task->calls, StepCall, i).undo || step->state == WS_TASK_STEP_STATE_UNDONE)
      continue;
    step->state = WS_TASK_STEP_STATE_LEFT;
    step->ended = task_now_us(task);
    record_log(task, "task_left_behind", "step", step->name, "code", ws_error_code_name(ws_error_code(why)), NULL);
  }
  task->left = true;
}

/* False: it was given up. */
static bool undo_step(Task *task, guint i)
{
  nth_step(task, i)->state = WS_TASK_STEP_STATE_UNDOING;
  engine_touch(task);
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) error = NULL;
    if (undo_once(task, i, &error))
      break;
    if (task->rec->abandoned_by) {
      leave_behind(task, i, error);
      return false;
    }
    if (ws_error_code(error) != WS_ERROR_CONFLICT || tries >= CONFLICT_TRIES)
      wait_to_repeat(task, "task_undo_waits", nth_step(task, i)->name, error, tries);
  }
  stop_waiting(task);
  return true;
}

static void undo_all(Task *task)
{
  for (guint i = task->calls->len; i-- > 0;)
    if (g_array_index(task->calls, StepCall, i).undo && nth_step(task, i)->state != WS_TASK_STEP_STATE_UNDONE && !undo_step(task, i))
      break;
  task->undone = true;
}

static bool fail_as_recorded(Task *task, GError **error)
{
  if (!task->rec->error)
    return fail_cancelled(error);
  g_propagate_error(error, ws_failure_to_error(task->rec->error));
  return false;
}

static bool fail_and_undo(Task *task, const GError *why, GError **error)
{
  step_begin_undo(task, why);
  undo_all(task);
  return fail_as_recorded(task, error);
}

/* ---- forward ---- */

static bool run_body(Task *task, const Step *what, guint i, GError **error)
{
  Repeats repeats = {0};

  for (;;) {
    g_autoptr(GError) why = NULL;
    if (was_asked_to_stop(task) && nth_step(task, i)->state == WS_TASK_STEP_STATE_RUNNING && !what->batch)
      fail_cancelled(&why);
    else if (run_body_once(task, what, i, &why))
      break;
    if (task->rec->abandoned_by && nth_step(task, i)->state == WS_TASK_STEP_STATE_RUNNING) {
      nth_step(task, i)->state = WS_TASK_STEP_STATE_FAILED;
      record_set_failure(&task->rec->error, why);
      leave_behind(task, i, why);
      nth_step(task, i)->state = WS_TASK_STEP_STATE_LEFT; /* whether it has an undo or not */
      task->undone = true;
      g_propagate_error(error, g_steal_pointer(&why));
      return false;
    }
    if (was_asked_to_stop(task) || !may_repeat(task, what, why, &repeats)) {
      nth_step(task, i)->state = WS_TASK_STEP_STATE_FAILED;
      nth_step(task, i)->ended = task_now_us(task);
      return fail_and_undo(task, why, error);
    }
  }
  stop_waiting(task);
  return true;
}

static WsTaskStep *append_step(Task *task, const char *name)
{
  WsTaskStep *step = ws_task_step_new();

  step->name = g_strdup(name);
  step->state = WS_TASK_STEP_STATE_RUNNING;
  step->started = task_now_us(task);
  ws_array_add(&task->rec->steps, step);
  g_clear_pointer(&task->rec->progress, ws_task_progress_free);
  return step;
}

static void drop_last_step(Task *task)
{
  ws_task_step_free(task->rec->steps.items[--task->rec->steps.len]);
}

/* The first step makes the task; what fails here refuses the request. */
static bool begin_first_step(Task *task, const Step *what, GError **error)
{
  append_step(task, what->name);
  if (record_begin(task, what, error)) {
    task_answer_starter(task);
    return true;
  }
  drop_last_step(task);
  return false;
}

static void begin_later_step(Task *task, const Step *what)
{
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(InvTxn) txn = inv_begin(task->engine->inv);
    record_hold(task);
    append_step(task, what->name);
    bool ok = !what->at_start || what->at_start(task, txn, what->ctx, &error);
    ok = ok && record_commit(task, g_steal_pointer(&txn), &error);
    if (!ok)
      drop_last_step(task); /* it is on record with all that belongs to it or not at all */
    record_release(task);
    if (ok)
      return;
    ws_log_error(WS_LOG_WARNING, "task-record-waits", error, "kind", task->rec->kind, NULL);
    task_nap(task, task_backoff_us(tries));
  }
}

static bool new_step(Task *task, const Step *what, guint i, GError **error)
{
  if (was_asked_to_stop(task) || task->undoing) {
    g_autoptr(GError) why = NULL;
    fail_cancelled(&why);
    return task_has_begun(task) ? fail_and_undo(task, why, error) : fail_cancelled(error);
  }
  g_array_append_val(task->calls, ((StepCall){what->undo, what->ctx}));
  if (task_has_begun(task))
    begin_later_step(task, what);
  else if (!begin_first_step(task, what, error))
    return false;
  return run_body(task, what, i, error);
}

static bool recorded_step(Task *task, const Step *what, guint i, GError **error)
{
  const WsTaskStep *step = nth_step(task, i);
  StepCall call = {what->undo, what->ctx};

  if (g_strcmp0(step->name, what->name) != 0)
    return ws_fail(error, WS_ERROR_INTERNAL, "cause", "the program's steps are not those of the record", NULL);
  g_array_append_val(task->calls, call);
  if (task->undoing) {
    if (i + 1 < task->rec->steps.len)
      return true;
    undo_all(task);
    return fail_as_recorded(task, error);
  }
  if (step->state != WS_TASK_STEP_STATE_DONE)
    return run_body(task, what, i, error);
  if (what->batch && g_strcmp0(step->result, "partly") == 0)
    task->partly = true;
  return true;
}

bool step_run(Task *task, const Step *what, GError **error)
{
  guint i = task->at++;

  g_assert(!task->in_body && !task->ended);
  if (task->dry) {
    g_ptr_array_add(task->dry_steps, g_strdup(what->name));
    return true;
  }
  return i < task->rec->steps.len ? recorded_step(task, what, i, error) : new_step(task, what, i, error);
}

bool task_step(Task *task, const char *name, TaskBody body, TaskUndo undo, void *ctx, GError **error)
{
  return step_run(task, &(Step){.name = name, .body = body, .undo = undo, .ctx = ctx}, error);
}

bool task_last_step(Task *task, const char *name, TaskBody body, TaskUndo undo, void *ctx, GError **error)
{
  return step_run(task, &(Step){.name = name, .body = body, .undo = undo, .ctx = ctx, .last = true}, error);
}
