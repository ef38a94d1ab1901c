// SPDX-License-Identifier: Apache-2.0
/* What task functions and bodies ask of the engine; see task.h. */
#include "task/task-private.h"

const void *task_args(const Task *task)
{
  return task->args;
}

WsId task_target(const Task *task)
{
  return task->rec->target.id;
}

const TaskKind *task_kind(const Task *task)
{
  return task->kind;
}

WsId task_id(const Task *task)
{
  return task->rec->id;
}

void *task_center(const Task *task)
{
  return task->engine->center;
}

Inventory *task_inventory(const Task *task)
{
  return task->engine->inv;
}

TaskEngine *task_engine(const Task *task)
{
  return task->engine;
}

bool task_is_dry_run(const Task *task)
{
  return task->dry;
}

bool task_is_one_of_many(const Task *task)
{
  return task->cause && task->cause->one_of_many;
}

const char *task_request(const Task *task)
{
  return task->rec->request_id;
}

void task_say_waits(Task *task, const char *path)
{
  g_ptr_array_add(task->dry_waits, g_strdup(path));
}

void task_show_dry(Task *task, TaskShown shown)
{
  g_assert(task->dry);
  task_shown_clear(&task->dry_shown);
  task->dry_shown = shown;
}

void task_shown_clear(TaskShown *shown)
{
  if (shown->object)
    ws_object_free(shown->type, shown->object);
  *shown = (TaskShown){.name = NULL};
}

bool task_is_resumed(const Task *task)
{
  return task->resumed;
}

bool task_is_undoing(const Task *task)
{
  return task->undoing;
}

/* ---- looking ---- */

/* Pointers into older snapshots may still be in use; an unchanged inventory costs no further snapshot. */
const InvSnapshot *task_snapshot(Task *task)
{
  GPtrArray *snaps = task->in_body ? task->body_snaps : task->snaps;
  InvSnapshot *now = inv_snapshot(task->engine->inv);
  const InvSnapshot *last = snaps->len ? snaps->pdata[snaps->len - 1] : NULL;

  if (last && inv_snapshot_revision(last) == inv_snapshot_revision(now)) {
    inv_snapshot_unref(now);
    return last;
  }
  g_ptr_array_add(snaps, now);
  return now;
}

const void *task_find_target(Task *task, GError **error)
{
  WsAnyRef target = task->rec->target;
  const void *object = target.type ? inv_find(task_snapshot(task), target.type, target.id) : NULL;
  char id[WS_ID_TEXT_MAX] = "";

  if (!object)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", target.type ? ws_id_format(target.type->prefix, target.id, id) : id,
            NULL);
  return object;
}

/* ---- locks ---- */

bool task_lock(Task *task, const TaskLockRef *refs, guint n, GError **error)
{
  g_assert(!task->in_body);
  if (task->resumed)
    return true; /* taken when it began, and held since */
  g_assert(!task_has_begun(task));
  return locks_take(task, refs, n, error);
}

void task_lock_new(Task *task, InvTxn *txn, void *object)
{
  const WsResource *made = object;

  g_assert(task->in_body && txn == task->txn);
  locks_add_new(task, made->type, made->id);
  locks_show_on(task, object);
}

/* ---- steps ---- */

InvTxn *task_txn(Task *task)
{
  g_assert(task->in_body);
  if (!task->txn)
    task->txn = inv_begin(task->engine->inv);
  return task->txn;
}

void task_set_result(Task *task, const char *value)
{
  WsTaskStep *step;

  g_assert(task->in_body && !task->undoing);
  step = task->rec->steps.items[task->at - 1];
  g_free(step->result);
  step->result = g_strdup(value);
}

const char *task_step_result(Task *task, const char *name)
{
  for (guint i = 0; i < task->rec->steps.len; i++) {
    const WsTaskStep *step = task->rec->steps.items[i];
    if (g_str_equal(step->name, name))
      return step->state == WS_TASK_STEP_STATE_RUNNING ? NULL : step->result;
  }
  return NULL;
}

bool task_step_has_begun(const Task *task, const char *name)
{
  for (guint i = 0; i < task->rec->steps.len; i++)
    if (g_str_equal(((const WsTaskStep *)task->rec->steps.items[i])->name, name))
      return true;
  return false;
}

const char *task_chosen(const Task *task, const char *label)
{
  return ws_map_get(&task->rec->choices, label);
}

const char *task_choose(Task *task, const char *label, const char *value)
{
  const char *chosen = task_chosen(task, label);

  g_assert(!task->in_body);
  if (chosen)
    return chosen;
  ws_map_set(&task->rec->choices, label, value);
  return task_chosen(task, label);
}

WsId task_new_id(Task *task, const char *label)
{
  const char *chosen = task_chosen(task, label);
  char text[32];
  WsId id;

  if (chosen)
    return g_ascii_strtoull(chosen, NULL, 10);
  id = inv_new_id(task->engine->inv);
  g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, id);
  task_choose(task, label, text);
  return id;
}

/* ---- cancel ---- */

void task_allow_cancel(Task *task, bool allowed)
{
  g_assert(!task->in_body);
  if (!task->undoing && task->rec->state != WS_TASK_STATE_CANCELLING)
    task->rec->cancellable = allowed;
}

void task_no_return(Task *task)
{
  g_assert(task->in_body && !task->undoing);
  task->rec->cancellable = false;
  if (task->rec->state != WS_TASK_STATE_CANCELLING)
    return;
  task->rec->state = WS_TASK_STATE_RUNNING;
  g_atomic_int_set(&task->cancel, 0);
  record_log(task, "task_cancel_late", NULL);
}

bool task_cancelled(const Task *task)
{
  return g_atomic_int_get(&task->cancel) != 0;
}

volatile gint *task_cancel_flag(Task *task)
{
  return &task->cancel;
}

/* ---- shown ---- */

void task_set_object(Task *task, const WsType *type, WsId id)
{
  task->rec->result = (WsAnyRef){type, id};
}

void task_progress(Task *task, gint64 done, gint64 total, const char *unit)
{
  WsTaskProgress *progress = task->rec->progress;

  if (!progress)
    progress = task->rec->progress = ws_task_progress_new();
  progress->done = MAX(done, 0);
  progress->total = total < 0 ? WS_INT_UNSET : total;
  progress->percent = total <= 0 ? WS_INT_UNSET : (gint64)(100.0 * (double)MIN(progress->done, total) / (double)total);
  if (g_strcmp0(progress->unit, unit) != 0) {
    g_free(progress->unit);
    progress->unit = g_strdup(unit);
  }
  engine_touch(task);
}

void task_progress_of_call(gint64 done, gint64 total, const char *unit, void *task)
{
  task_progress(task, done, total, unit);
}
