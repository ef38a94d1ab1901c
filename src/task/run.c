// SPDX-License-Identifier: Apache-2.0
/* One task from request to end: its start, the coroutine that runs its function as often as it takes, cancel and wait. */
#include "task/task-private.h"
#include "base/hash.h"
#include "base/plant.h"
#include "base/seal.h"

#define RERUN_TRIES 12 /* of a function that cannot be taken up again: about two minutes */

/* ---- sleeping ---- */

gint64 task_backoff_us(guint tries)
{
  gint64 ms = 500LL << MIN(tries, 5);

  return MIN(ms, TASK_RETRY_MAX_MS) * 1000;
}

void task_nap(Task *task, gint64 timeout_us)
{
  g_assert(ws_co_self() == task->co);
  task->napping = true;
  if (timeout_us < 0)
    while (task->napping)
      ws_co_yield();
  else
    ws_co_yield_timeout(timeout_us);
  task->napping = false;
}

void task_wake(Task *task)
{
  if (!task->napping)
    return;
  task->napping = false;
  ws_co_wake(task->co);
}

/* ---- the request ---- */

static char *json_of(const WsType *type, const void *object, WsWriteMode mode)
{
  return type && object ? ws_object_to_json(type, object, mode, NULL) : NULL;
}

/* JSON that stands in it as it came (a patch, a batch's arguments) may hold secrets that nobody knows: of such arguments all is sealed. */
static char *stored_args(const TaskKind *kind, const void *args)
{
  g_autofree char *json = json_of(kind->args_type, args, WS_WRITE_STORED);
  bool free_form = kind->request || kind->args_type == &ws_type_patch;
  g_autofree char *sealed = json && free_form ? ws_seal(json, "args") : NULL;
  return sealed && ws_seal_is_sealed(sealed) ? g_strdup_printf("\"%s\"", sealed) : g_steal_pointer(&json);
}

/* Caller frees. NULL: it is not to be opened. */
static char *args_json(const WsTask *rec, GError **error)
{
  if (!rec->args || *rec->args != '"')
    return g_strdup(rec->args ? rec->args : "{}");
  g_autofree char *sealed = g_strndup(rec->args + 1, strlen(rec->args) - 2);
  return ws_unseal(sealed, "args", error);
}

/* What was asked, without secrets. A patch is kept as it came, so that they stand in it as text. */
static char *request_of(const TaskKind *kind, const void *args)
{
  if (args && kind->request)
    return kind->request(args);
  if (!args || kind->args_type != &ws_type_patch || !kind->target_type)
    return json_of(kind->args_type, args, WS_WRITE_CLIENT);
  const char *text = ((const WsPatch *)args)->patch;
  g_autofree char *patch = text ? ws_json_without_secrets(kind->target_type, text, strlen(text)) : NULL;
  WsPatch shown = {.patch = patch};
  return json_of(&ws_type_patch, &shown, WS_WRITE_CLIENT);
}

static char *name_of(TaskEngine *engine, const WsType *type, WsId id)
{
  const WsField *field = type ? ws_type_field(type, "name", strlen("name")) : NULL;
  g_autoptr(InvSnapshot) head = inv_head(engine->inv);
  const void *object = field && field->kind == WS_KIND_STRING ? inv_find(head, type, id) : NULL;

  return object ? g_strdup(*(char **)ws_field_at(field, object)) : NULL;
}

static WsTask *new_record(TaskEngine *engine, const TaskKind *kind, WsId target, const void *args, const TaskCause *cause,
                          WsId parent)
{
  static const TaskCause none = {0};
  const TaskCause *why = cause ? cause : &none;
  WsTask *rec = ws_task_new();

  rec->kind = g_strdup(kind->name);
  rec->verb = g_strdup(kind->verb);
  if (target && kind->target_type)
    rec->target = (WsAnyRef){kind->target_type, target};
  rec->target_name = name_of(engine, rec->target.type, target);
  rec->state = WS_TASK_STATE_RUNNING;
  rec->cancellable = true;
  rec->owner = g_strdup(why->user_name ? why->user_name : "system");
  if (why->user)
    rec->user = (WsAnyRef){&ws_type_user, why->user};
  rec->origin = g_strdup(why->origin);
  rec->cause = g_strdup(why->cause);
  rec->request_id = g_strdup(why->request_id);
  rec->idempotency_key = g_strdup(why->idempotency_key);
  rec->parent = parent;
  rec->args = stored_args(kind, args);
  rec->request = SIM_PLANT(secret_in_task) ? json_of(kind->args_type, args, WS_WRITE_STORED) : request_of(kind, args);
  rec->created = ws_clock_wall_us(ws_loop_clock(engine->loop));
  return rec;
}

WsTask *task_new_child_record(Task *parent, const TaskKind *kind, WsId target, const void *args)
{
  WsTask *rec = new_record(parent->engine, kind, target, args, NULL, parent->rec->id);

  rec->state = WS_TASK_STATE_QUEUED;
  g_free(rec->owner);
  rec->owner = g_strdup(parent->rec->owner);
  rec->user = parent->rec->user;
  rec->origin = g_strdup(parent->rec->origin);
  rec->cause = g_strdup(parent->rec->cause);
  rec->request_id = g_strdup(parent->rec->request_id);
  return rec;
}

/* The array stays, empty. */
static char **take_texts(GPtrArray *texts)
{
  g_ptr_array_add(texts, NULL);
  return (char **)g_ptr_array_steal(texts, NULL);
}

bool task_start(TaskEngine *engine, const TaskKind *kind, WsId target, void *args, const TaskCause *cause, bool dry_run,
                WsId parent, TaskStarted *started, GError **error)
{
  Task *above = parent ? engine_find(engine, parent) : NULL;
  guint depth = above ? above->depth + 1 : parent ? 1 : 0;
  g_autoptr(Task) task = NULL;
  Wait wait = {0};

  g_assert(ws_co_self() && depth < TASK_DEPTH_MAX && (!args || kind->args_type));
  *started = (TaskStarted){0};
  if (!args && kind->args_type) {
    args = ws_object_new(kind->args_type);
    ws_apply_defaults(kind->args_type, args);
  }
  task = task_new(engine, kind, new_record(engine, kind, target, args, cause, parent), depth);
  task->args = args;
  task->dry = dry_run;
  task->cause = cause;
  task->starter = &wait;
  if (!engine_has_slot(engine, depth))
    return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
  engine_run_when_slot(task);
  wait_for(&wait);
  if (task->refusal) {
    g_propagate_error(error, g_steal_pointer(&task->refusal));
    return false;
  }
  if (dry_run) {
    started->dry_steps = take_texts(task->dry_steps);
    started->dry_waits = task->dry_waits->len ? take_texts(task->dry_waits) : NULL;
    started->dry_shown = task->dry_shown;
    task->dry_shown = (TaskShown){.name = NULL};
  } else {
    started->task_id = task->rec->id;
  }
  return true;
}

/* ---- runs of the function ---- */

static bool read_args(Task *task, GError **error)
{
  if (!task->kind)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", task->rec->kind, NULL);
  if (task->args || !task->kind->args_type)
    return true;
  char *json = args_json(task->rec, error);
  task->args = json ? ws_object_parse(task->kind->args_type, json, strlen(json), WS_PARSE_STORED, error) : NULL;
  ws_secret_free(json);
  return task->args != NULL;
}

static bool run_function(Task *task, GError **error)
{
  bool ok;

  task->at = 0;
  task->undone = false;
  task->left = task->partly = false;
  task->resumed = task_has_begun(task);
  g_array_set_size(task->calls, 0);
  ok = task->kind->func(task, error);
  g_assert(ok || *error);
  g_ptr_array_set_size(task->snaps, 0);
  g_ptr_array_set_size(task->batches, 0);
  return ok;
}

/* ---- outcomes ---- */

void task_answer_starter(Task *task)
{
  task->cause = NULL; /* the caller's */
  if (task->starter)
    wait_done(g_steal_pointer(&task->starter));
}

static void refuse(Task *task, const GError *why)
{
  if (!task->exists) {
    locks_release(task, task->rec);
    task->ended = true;
    task->refusal = g_error_copy(why);
    return;
  }
  /* A child whose request is refused is a task that failed. */
  if (g_atomic_int_get(&task->cancel) || task->rec->state == WS_TASK_STATE_CANCELLING) {
    record_end_surely(task, WS_TASK_STATE_CANCELLED);
    return;
  }
  record_set_failure(&task->rec->error, why);
  record_end_surely(task, WS_TASK_STATE_FAILED);
}

/* A function that had nothing to do: a task that is done, for the caller expects one. */
static void done_without_steps(Task *task)
{
  g_autoptr(GError) error = NULL;

  if (!record_begin(task, NULL, &error))
    refuse(task, error);
  else
    record_end_surely(task, WS_TASK_STATE_DONE);
}

static WsTaskState state_after_undo(const Task *task)
{
  if (task->left)
    return WS_TASK_STATE_ABANDONED;
  if (task->rec->state == WS_TASK_STATE_CANCELLING)
    return WS_TASK_STATE_CANCELLED;
  for (guint i = 0; i < task->rec->steps.len; i++)
    if (task->rec->steps.items[i]->state == WS_TASK_STEP_STATE_UNDONE)
      return WS_TASK_STATE_ROLLED_BACK;
  return WS_TASK_STATE_FAILED;
}

/* Neither forward nor back: what is left behind is said, and the locks are freed. Kept for programs that break task.h's rules. */
static void give_up(Task *task, const GError *why)
{
  ws_log_error(WS_LOG_ERROR, "task-left-behind", why, "kind", task->rec->kind, NULL);
  for (guint i = 0; i < task->rec->steps.len; i++)
    if (task->rec->steps.items[i]->state != WS_TASK_STEP_STATE_UNDONE)
      record_log(task, "task_left_behind", "step", task->rec->steps.items[i]->name, "code",
                 ws_error_code_name(ws_error_code(why)), NULL);
  if (!task->rec->error)
    record_set_failure(&task->rec->error, why);
  record_end_surely(task, task->rec->abandoned_by ? WS_TASK_STATE_ABANDONED : WS_TASK_STATE_FAILED);
}

/* The function did not come to all the steps it once took: often because something it looks up is away for now. */
static void wait_to_rerun(Task *task, const GError *why, guint tries)
{
  gint64 delay_us = task_backoff_us(tries);
  g_autofree char *seconds = g_strdup_printf("%.1f", (double)delay_us / G_USEC_PER_SEC);

  if (!task->rec->waiting)
    record_log(task, "task_resume_waits", "code", ws_error_code_name(ws_error_code(why)), "seconds", seconds, NULL);
  record_set_failure(&task->rec->waiting, why);
  engine_touch(task);
  task_nap(task, delay_us);
  if (g_atomic_int_get(&task->cancel) && !task->undoing)
    step_begin_undo(task, why);
}

static bool is_passing(const GError *error)
{
  WsErrorCode code = ws_error_code(error);

  return code == WS_ERROR_HOST_UNREACHABLE || code == WS_ERROR_READ_ONLY;
}

/* What follows from one run of the function of a task that has begun. true: it has ended. */
static bool conclude(Task *task, bool ok, GError *error, guint *tries)
{
  bool came_to_all = task->at >= task->rec->steps.len;

  if (task->ended)
    return true;
  if (task->undone) {
    record_end_surely(task, state_after_undo(task));
    return true;
  }
  if (!task->undoing && came_to_all && ok) {
    record_end_surely(task, task->partly ? WS_TASK_STATE_PARTLY_DONE : WS_TASK_STATE_DONE);
    return true;
  }
  if (!task->undoing && came_to_all) {
    /* It failed between steps: their contexts are gone with the function's stack, so it is run again to undo. */
    step_begin_undo(task, error);
    if (step_has_undo(task))
      return false;
    record_end_surely(task, state_after_undo(task));
    return true;
  }
  g_autoptr(GError) why = error ? g_error_copy(error) : NULL;
  if (!why)
    ws_fail(&why, WS_ERROR_INTERNAL, "cause", "the function took fewer steps than before", NULL);
  if (task->rec->abandoned_by || (*tries >= RERUN_TRIES && !is_passing(why))) {
    give_up(task, why);
    return true;
  }
  wait_to_rerun(task, why, (*tries)++);
  return false;
}

static void run_to_end(Task *task)
{
  guint tries = 0;

  for (;;) {
    g_autoptr(GError) error = NULL;
    bool ok = run_function(task, &error);

    if (task->dry && ok) {
      locks_release(task, task->rec);
      task->ended = true;
      return;
    }
    if (!task_has_begun(task)) {
      ok ? done_without_steps(task) : refuse(task, error);
      return;
    }
    if (conclude(task, ok, error, &tries))
      return;
  }
}

void task_main(void *arg)
{
  g_autoptr(Task) task = arg;
  g_autoptr(GError) error = NULL;

  task->co = ws_co_self();
  record_set_failure(&task->rec->waiting, NULL);
  if (!task_has_begun(task) && batch_stops(task))
    g_atomic_int_set(&task->cancel, 1); /* while it waited for its slot */
  if (task_has_begun(task))
    record_log(task, "task_resumed", NULL);
  if (!read_args(task, &error)) {
    if (task_has_begun(task))
      give_up(task, error);
    else
      refuse(task, error);
  } else {
    run_to_end(task);
  }
  task_answer_starter(task);
  task->co = NULL;
  engine_slot_free(task->engine, task->depth);
}

void task_has_ended(Task *task, const WsTask *before)
{
  TaskEngine *engine = task->engine;
  Task *parent = task->rec->parent ? engine_find(engine, task->rec->parent) : NULL;

  task->ended = true;
  locks_release(task, before);
  g_hash_table_remove(engine->touched, task);
  if (parent && parent->batch)
    batch_child_ended(parent, task->rec);
  history_add(engine, task->rec);
  engine_wake_waits(engine, task->rec->id);
  engine_unregister(task);
}

/* ---- from outside ---- */

static bool outcome_of(const WsTask *rec, GError **error)
{
  switch (rec->state) {
  case WS_TASK_STATE_DONE:
  case WS_TASK_STATE_PARTLY_DONE:
    return true;
  case WS_TASK_STATE_CANCELLED:
    return ws_fail(error, WS_ERROR_CANCELLED, NULL);
  default:
    g_propagate_error(error, ws_failure_to_error(rec->error));
    return false;
  }
}

static const WsTask *find_record(const InvSnapshot *snap, WsId id, GError **error)
{
  const WsTask *rec = inv_find(snap, &ws_type_task, id);
  char text[WS_ID_TEXT_MAX];

  if (!rec)
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(ws_type_task.prefix, id, text), NULL);
  return rec;
}

bool task_wait(TaskEngine *engine, WsId id, GError **error)
{
  for (;;) {
    g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
    const WsTask *rec = find_record(snap, id, error);
    Wait wait = {0};
    GPtrArray *waits;

    if (!rec)
      return false;
    if (task_state_is_end(rec->state))
      return outcome_of(rec, error);
    waits = g_hash_table_lookup(engine->waits, &id);
    if (!waits) {
      waits = g_ptr_array_new();
      g_hash_table_insert(engine->waits, g_memdup2(&id, sizeof id), waits);
    }
    g_ptr_array_add(waits, &wait);
    wait_for(&wait);
  }
}

static bool refuse_verb(const WsTask *rec, const char *verb, const char *reason, GError **error)
{
  char text[WS_ID_TEXT_MAX];

  return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", ws_id_format(ws_type_task.prefix, rec->id, text), "verb", verb,
                 "reason", reason, NULL);
}

static bool refuse_cancel(const WsTask *rec, const char *reason, GError **error)
{
  return refuse_verb(rec, "cancel", reason, error);
}

/* The record is held. */
static bool cancel_alive(Task *task, const char *user, GError **error)
{
  if (task->ended)
    return refuse_cancel(task->rec, "it has ended", error);
  if (task->rec->state == WS_TASK_STATE_CANCELLING)
    return true;
  if (task->undoing)
    return refuse_cancel(task->rec, "it is being undone", error);
  if (!task->rec->cancellable)
    return refuse_cancel(task->rec, "its current step cannot be stopped", error);
  task->rec->state = WS_TASK_STATE_CANCELLING;
  task->rec->cancellable = false;
  if (user)
    record_log(task, "task_cancel_asked", "user", user, NULL);
  g_atomic_int_set(&task->cancel, 1);
  task_wake(task);
  return record_commit(task, inv_begin(task->engine->inv), error);
}

bool task_cancel(TaskEngine *engine, WsId id, const char *user, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
  Task *task = engine_find(engine, id);
  bool ok;

  if (!task) {
    const WsTask *rec = find_record(snap, id, error);
    if (!rec)
      return false;
    if (rec->state == WS_TASK_STATE_QUEUED)
      return batch_cancel_queued(engine, rec, user, error);
    return refuse_cancel(rec, "it has ended", error);
  }
  task_ref(task);
  record_hold(task);
  ok = cancel_alive(task, user, error);
  record_release(task);
  task_unref(task);
  return ok;
}

/* The record is held. */
static bool abandon_alive(Task *task, const char *user, GError **error)
{
  bool ok;

  if (task->ended)
    return refuse_verb(task->rec, "abandon", "it has ended", error);
  if (task->rec->abandoned_by)
    return true;
  if (!task->rec->waiting)
    return refuse_verb(task->rec, "abandon", "it waits for nothing", error);
  if (!task->undoing && task->rec->cancellable)
    return refuse_verb(task->rec, "abandon", "it can be cancelled", error);
  task->rec->abandoned_by = g_strdup(user ? user : "system");
  ok = record_commit(task, inv_begin(task->engine->inv), error);
  if (!ok) {
    g_clear_pointer(&task->rec->abandoned_by, g_free);
    return false;
  }
  record_log(task, "task_abandoned", "user", task->rec->abandoned_by, NULL);
  task_wake(task);
  return true;
}

bool task_abandon(TaskEngine *engine, WsId id, const char *user, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(engine->inv);
  Task *task = engine_find(engine, id);
  bool ok;

  if (!task) {
    const WsTask *rec = find_record(snap, id, error);
    return rec && refuse_verb(rec, "abandon", task_state_is_end(rec->state) ? "it has ended" : "it waits for nothing", error);
  }
  task_ref(task);
  record_hold(task);
  ok = abandon_alive(task, user, error);
  record_release(task);
  task_unref(task);
  return ok;
}

void task_engine_set_abandoned(TaskEngine *engine, TaskAbandoned func)
{
  engine->on_abandoned = func;
}
