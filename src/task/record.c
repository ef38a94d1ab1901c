// SPDX-License-Identifier: Apache-2.0
/* The task's record: how its changes become durable. See task-private.h for who may change what when. */
#include "task/task-private.h"
#include <stdarg.h>
#include <stddef.h>

bool task_state_is_end(WsTaskState state)
{
  switch (state) {
  case WS_TASK_STATE_DONE:
  case WS_TASK_STATE_PARTLY_DONE:
  case WS_TASK_STATE_FAILED:
  case WS_TASK_STATE_ROLLED_BACK:
  case WS_TASK_STATE_CANCELLED:
  case WS_TASK_STATE_ABANDONED:
    return true;
  default:
    return false;
  }
}

/* ---- one at a time ---- */

void record_hold(Task *task)
{
  Wait wait = {0};

  if (!task->held) {
    task->held = true;
    return;
  }
  g_queue_push_tail(&task->hold_queue, &wait);
  wait_for(&wait); /* it is handed over held */
}

void record_release(Task *task)
{
  Wait *next = g_queue_pop_head(&task->hold_queue);

  g_assert(task->held);
  if (next)
    wait_done(next);
  else
    task->held = false;
}

/* ---- writing ---- */

/* The members behind the header of a resource change places; both objects are private. */
void record_swap(WsTask *a, WsTask *b)
{
  const gsize from = sizeof(WsResource), n = sizeof(WsTask) - sizeof(WsResource);
  char other[sizeof(WsTask)];

  G_STATIC_ASSERT(offsetof(WsTask, kind) == sizeof(WsResource));
  memcpy(other, (char *)a + from, n);
  memcpy((char *)a + from, (char *)b + from, n);
  memcpy((char *)b + from, other, n);
}

void record_write(Task *task, InvTxn *txn)
{
  WsTask *row = inv_edit_id(txn, &ws_type_task, task->rec->id);
  g_autoptr(WsTask) copy = ws_task_copy(task->rec);

  g_assert(row);
  record_swap(row, copy);
}

bool record_commit(Task *task, InvTxn *txn, GError **error)
{
  g_autoptr(InvTxn) own = txn;

  g_assert(task->held);
  record_write(task, own);
  return inv_commit(own, NULL, error);
}

/* Between two tries the record is not held: whoever wants to cancel is not kept waiting. */
static void wait_for_store(Task *task, const GError *why, guint tries)
{
  ws_log_error(WS_LOG_WARNING, "task-record-waits", why, "kind", task->rec->kind, NULL);
  record_release(task);
  task_nap(task, task_backoff_us(tries));
  record_hold(task);
}

void record_commit_surely(Task *task)
{
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) error = NULL;
    if (record_commit(task, inv_begin(task->engine->inv), &error))
      return;
    wait_for_store(task, error, tries);
  }
}

/* ---- birth ---- */

static bool begin_once(Task *task, const Step *step, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(task->engine->inv);

  if (!task->exists)
    task->rec->id = ((WsTask *)inv_create(txn, &ws_type_task))->id;
  task->rec->state = WS_TASK_STATE_RUNNING;
  task->rec->started = task_now_us(task);
  if (!locks_show(task, txn, error))
    return false;
  record_write(task, txn);
  if (step && step->at_start && !step->at_start(task, txn, step->ctx, error))
    return false;
  if (task->cause && task->cause->enrich)
    task->cause->enrich(txn, task->rec->id, task->cause->enrich_arg);
  /* Whoever sees the record may ask to cancel it: it is known from then on. */
  if (!task->exists)
    engine_register(task);
  if (inv_commit(txn, NULL, error))
    return true;
  if (!task->exists)
    engine_unregister(task);
  return false;
}

bool record_begin(Task *task, const Step *step, GError **error)
{
  bool ok;

  record_hold(task);
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) failure = NULL;
    ok = begin_once(task, step, &failure);
    /* A child is there already and waits for the store; a request is refused. */
    if (ok || !task->exists || ws_error_code(failure) != WS_ERROR_READ_ONLY) {
      if (!ok)
        g_propagate_error(error, g_steal_pointer(&failure));
      break;
    }
    task_nap(task, task_backoff_us(tries));
  }
  if (!ok && !task->exists)
    task->rec->id = 0;
  task->exists = task->exists || ok;
  record_release(task);
  return ok;
}

/* ---- end ---- */

static void set_ended(Task *task, WsTaskState state)
{
  WsTask *rec = task->rec;

  rec->state = state;
  rec->ended = task_now_us(task);
  rec->cancellable = false;
  record_set_failure(&rec->waiting, NULL);
  if (state == WS_TASK_STATE_DONE && rec->progress && rec->progress->percent < 100) /* some steps need not go all the way */
    g_clear_pointer(&rec->progress, ws_task_progress_free);
  g_clear_pointer(&rec->args, g_free); /* secrets do not outlive it */
  while (rec->choices.len)
    ws_map_set(&rec->choices, rec->choices.items[0].key, NULL);
  for (guint i = 0; i < rec->locks.len; i++)
    ws_task_lock_free(rec->locks.items[i]);
  g_clear_pointer(&rec->locks.items, g_free);
  rec->locks.len = 0;
}

/* The record is held. */
static bool end_once(Task *task, InvTxn *txn, WsTaskState state, GError **error)
{
  g_autoptr(InvTxn) own = txn ? txn : inv_begin(task->engine->inv);
  g_autoptr(WsTask) before = ws_task_copy(task->rec);

  locks_hide(task, own);
  if (state == WS_TASK_STATE_ABANDONED && task->engine->on_abandoned)
    task->engine->on_abandoned(own, task->rec, task->engine->center);
  record_swap(task->rec, before); /* what the function holds of its record, its choices, stays where it is should the commit fail */
  set_ended(task, state);
  record_write(task, own);
  if (!inv_commit(own, NULL, error)) {
    record_swap(task->rec, before);
    return false;
  }
  task_has_ended(task, before);
  return true;
}

bool record_end(Task *task, InvTxn *txn, WsTaskState state, GError **error)
{
  bool ok;

  record_hold(task);
  ok = end_once(task, txn, state, error);
  record_release(task);
  return ok;
}

void record_end_surely(Task *task, WsTaskState state)
{
  record_hold(task);
  for (guint tries = 0;; tries++) {
    g_autoptr(GError) error = NULL;
    if (end_once(task, NULL, state, &error))
      break;
    wait_for_store(task, error, tries);
  }
  record_release(task);
}

/* ---- log and errors ---- */

static void add_line(Task *task, const char *text, va_list pairs)
{
  WsTask *rec = task->rec;
  WsTaskLogLine *line = ws_task_log_line_new();
  const char *name;

  line->time = task_now_us(task);
  line->text = g_strdup(text);
  while ((name = va_arg(pairs, const char *))) {
    const char *value = va_arg(pairs, const char *);
    ws_map_set(&line->params, name, value ? value : "");
  }
  if (rec->log.len == TASK_LOG_MAX) {
    ws_task_log_line_free(rec->log.items[0]);
    memmove(rec->log.items, rec->log.items + 1, (TASK_LOG_MAX - 1) * sizeof(*rec->log.items));
    rec->log.items[TASK_LOG_MAX - 1] = line;
  } else {
    ws_array_add(&rec->log, line);
  }
  engine_touch(task);
}

void record_log(Task *task, const char *text, ...)
{
  va_list pairs;

  va_start(pairs, text);
  add_line(task, text, pairs);
  va_end(pairs);
}

void task_log(Task *task, const char *text, ...)
{
  va_list pairs;

  va_start(pairs, text);
  add_line(task, text, pairs);
  va_end(pairs);
}

void record_set_failure(WsFailure **at, const GError *error)
{
  g_clear_pointer(at, ws_failure_free);
  if (error)
    *at = ws_failure_from_error(error);
}
