// SPDX-License-Identifier: Apache-2.0
/* Tasks: everything that takes time, written so that a crash at any moment leaves it done or undone.
 *
 * A task is a function that runs as a coroutine on the core loop and reads top to bottom:
 *
 *     bool volume_clone(Task *task, GError **error)
 *     {
 *       const WsVolumeClone *args = task_args(task);          // typed body of the verb
 *       Clone c = {.new_id = task_new_id(task, "volume")};
 *       return storage_resolve(task, &c, error)               // checks: nothing is written yet
 *           && task_lock(task, refs, 2, error)
 *           && TASK_STEP(task, "copy", copy_blocks, remove_copy, &c, error)
 *           && TASK_STEP(task, "enter", enter_inventory, NULL, &c, error);
 *     }
 *
 * Before its first step a task does not exist: what fails until then is a refused request (4xx), and dry_run stops there
 * and answers with the names of the steps. At the first step the task's record, its locks and the `activity` of the objects it locked
 * are made durable in one transaction, and the caller gets 202 with the task. A step's start is durable before its body acts, and its
 * result after; so after a crash the function runs anew: finished steps return their recorded result at once, the step that was cut
 * short is taken again. Hence the one rule: **a step's body is idempotent, and code between steps depends only on task_args(),
 * recorded results and recorded choices (task_new_id(), task_choose())**. When a step fails or the task is cancelled, the undo of each
 * finished (and of the failed) step runs, last first; undo is idempotent too and retried until it succeeds or the object is gone.
 * In dry runs bodies are not called; TASK_STEP returns true.
 *
 * Threads: core loop only. A body may wait (RPC, timer, child task) anywhere. */
#pragma once
#include "inventory/inventory.h"

typedef struct TaskEngine TaskEngine;
typedef struct Task Task;
typedef bool (*TaskFunc)(Task *task, GError **error);
typedef bool (*TaskBody)(Task *task, void *ctx, GError **error);
typedef bool (*TaskUndo)(Task *task, void *ctx, GError **error);

/* A kind of task: generated from the contract (x-methods, x-verbs), plus hand-registered internal ones. */
typedef struct {
  const char *name;        /* "volume_clone": in records, audit, texts */
  TaskFunc func;
  const WsType *args_type; /* NULL: no body */
  const WsType *target_type; /* the object in the path; NULL: none (create) */
  const char *verb;        /* activity word: "cloning" */
} TaskKind;

/* Who asked and why; copied. */
typedef struct {
  WsId user;            /* 0: the system itself */
  const char *user_name;
  const char *origin;   /* address, or NULL */
  const char *cause;    /* "user", "schedule", "host report", "recovery", ... */
  const char *request_id;
  const char *idempotency_key; /* or NULL */
  /* May add to the transaction that makes the task durable (the audit record); NULL: nothing to add. */
  void (*enrich)(InvTxn *txn, WsId task, void *arg);
  void *enrich_arg;
} TaskCause;

TaskEngine *task_engine_new(Inventory *inv, WsLoop *loop, void *center); /* center: task_center() for bodies */
void task_engine_register(TaskEngine *engine, const TaskKind *kinds, guint n);
/* After start-up: every unfinished task in the inventory is taken up again (resumed, or undone when its kind is gone). */
void task_engine_resume(TaskEngine *engine);
void task_engine_free(TaskEngine *engine);

/* Outcome of a start: exactly one of refused (error set), dry (steps set), accepted (task_id set). */
typedef struct { WsId task_id; char **dry_steps; } TaskStarted;
/* In a coroutine; returns when the task was refused, dry-run to its end, or became durable. `args` is a plain object of kind->args_type, taken over. */
bool task_start(TaskEngine *engine, const TaskKind *kind, WsId target, void *args, const TaskCause *cause, bool dry_run,
                WsId parent, TaskStarted *started, GError **error);
/* Waits (coroutine) until the task has ended; false with its error when it failed. */
bool task_wait(TaskEngine *engine, WsId task, GError **error);
/* Asks a task to stop; WS_ERROR_NOT_ALLOWED when its current step cannot. */
bool task_cancel(TaskEngine *engine, WsId task, GError **error);

/* ---- inside a task ---- */
const void *task_args(const Task *task);
WsId task_target(const Task *task);
WsId task_id(const Task *task);
void *task_center(const Task *task);
Inventory *task_inventory(const Task *task);
TaskEngine *task_engine(const Task *task);
bool task_is_dry_run(const Task *task);
/* Newest published snapshot at this moment; borrowed, valid until the next wait of this task. */
const InvSnapshot *task_snapshot(Task *task);
/* The target as it is now, or WS_ERROR_NOT_FOUND. Borrowed like the snapshot. */
const void *task_find_target(Task *task, GError **error);

/* Locks objects for this task, all or none; at once WS_ERROR_BUSY naming object, task and verb of the holder. Before the first step
 * only. A lock shows as the object's `activity` {task, verb, since, percent} where the type has that field. `exclusive` false: shared (a source that
 * must not change), does not show. Released with the task's end. */
typedef struct { const WsType *type; WsId id; bool shared; } TaskLockRef;
bool task_lock(Task *task, const TaskLockRef *refs, guint n, GError **error);
/* Objects made by this task (in the transaction of a step) are locked by it from birth. */
void task_lock_new(Task *task, InvTxn *txn, void *object);

bool task_step(Task *task, const char *name, TaskBody body, TaskUndo undo, void *ctx, GError **error);
#define TASK_STEP(task, name, body, undo, ctx, error) task_step((task), (name), (body), (undo), (ctx), (error))
/* Inside a body: result recorded with the step (short text or JSON); read by later code, also after a restart. */
void task_set_result(Task *task, const char *value);
const char *task_step_result(Task *task, const char *step); /* NULL: not finished or none */
/* A choice made once: recorded before the first step; returns the recorded one after a restart. */
WsId task_new_id(Task *task, const char *label);
const char *task_choose(Task *task, const char *label, const char *value); /* e.g. a picked host, a fresh UUID */

/* Progress of the running step in any unit (bytes, VMs). Published at most 4 times a second, not durable. */
void task_progress(Task *task, gint64 done, gint64 total, const char *unit);
/* A line in the task's log: catalogue text by name (api/texts.yaml) with parameters, shown in the reader's language. */
void task_log(Task *task, const char *text, ...) G_GNUC_NULL_TERMINATED;
bool task_cancelled(const Task *task);
/* What the finished task points at ("vm-42"), shown as result. */
void task_set_object(Task *task, const WsType *type, WsId id);
/* Runs a child per item, `parallel` at a time, and waits; failures are per child, the parent ends "partly done" when some failed. */
typedef struct { WsId target; void *args; } TaskChild;
bool task_run_children(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel, GError **error);

const TaskKind *task_kind_find(TaskEngine *engine, const char *name);
