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
 *           && TASK_LAST(task, "enter", enter_inventory, &c, error);
 *     }
 *
 * **Before its first step a task does not exist**: what fails until then is a refused request (4xx), and dry_run stops there and
 * answers with the names of the steps. At the first step the task's record, its locks and the `activity` of the objects it
 * locked are made durable in one transaction, and the caller gets 202 with the task.
 *
 * **Steps.** A step's start is durable before its body acts, and its result before the next body acts. After a crash the function runs
 * anew: finished steps return at once, the step that was cut short is taken again. Hence the rules:
 *
 *   1. A body is idempotent: it may have run before, in whole or in part. So is an undo.
 *   2. Code between steps does nothing outside; it depends only on task_args(), results (task_step_result()) and choices
 *      (task_new_id(), task_choose()) - so that it comes to the same steps again.
 *   3. Checks that only guard the start ("is the name free?", "is the host up?") go before the first step and are skipped when
 *      task_is_resumed(): by then the task itself has changed the answer. What is merely looked up must still be found then.
 *   4. `ctx` of a step lives as long as the function: a local of the task function itself, or what that owns.
 *
 * **Changes of the inventory** belong to a step: task_txn() gives a body the transaction that is committed together with the
 * step's completion, so the two are never apart:
 *
 *     static bool enter_inventory(Task *task, void *ctx, GError **error)
 *     {
 *       WsVolume *v = inv_create_with_id(task_txn(task), &ws_type_volume, c->new_id);
 *       ...
 *       task_set_object(task, &ws_type_volume, c->new_id);
 *       return true;
 *     }
 *
 * Ask for it after the body's last wait and use inv_edit_id(): when an object was changed by others before the commit
 * (WS_ERROR_CONFLICT) or the disk was full, the body is run again. TASK_LAST is the step that ends the task: its changes, its completion, the
 * task's end and the release of its locks are one transaction. A task that deletes its own target does it there, for after it the function
 * could not be run anew.
 *
 * **Failure and cancel.** The undo of each finished and of the failed step runs, last first, each until it succeeds (or says
 * WS_ERROR_NOT_FOUND: what it would undo is gone); what it must wait for (a host that is away) shows in `waiting` and in the log. A body that
 * fails with WS_ERROR_HOST_UNREACHABLE is repeated for TASK_HOST_WAIT_MS before it counts as failed; after task_allow_cancel(task, false) it
 * is repeated until the host is back. Who does not want to wait abandons the task. A cancel reaches a running body as
 * task_cancelled() and task_cancel_flag() (for rpc_call() and ws_exec()); a body that ends well in spite of it is finished, and undone.
 *
 * Threads: core loop only. A body may wait (RPC, timer, child task) anywhere. */
#pragma once
#include "inventory/inventory.h"
#include "model/model.h"

typedef struct TaskEngine TaskEngine;
typedef struct Task Task;
typedef bool (*TaskFunc)(Task *task, GError **error);
typedef bool (*TaskBody)(Task *task, void *ctx, GError **error);
typedef bool (*TaskUndo)(Task *task, void *ctx, GError **error);

#define TASK_HOST_WAIT_MS 120000  /* how long a step waits for an unreachable host to come back */
#define TASK_RETRY_MAX_MS 15000   /* waits between repeats grow from 500 ms to this */
#define TASK_PROGRESS_MS 250      /* progress and log lines are published at most this often */
#define TASK_RUNNING_MAX 800      /* tasks at a time (without children); more are refused with too_many_requests */
#define TASK_CHILDREN_AT_ONCE 500 /* recorded in one transaction: 3 ms of the core loop */
#define TASK_CHILDREN_MAX 10000   /* of one batch */
#define TASK_LOG_MAX 200          /* lines kept */
#define TASK_DEPTH_MAX 3          /* a task, its children, their children */

/* A kind of task: generated from the contract (x-methods, x-verbs), plus hand-registered internal ones. */
typedef struct TaskKind {
  const char *name;        /* "volume_clone": in records, audit, texts */
  TaskFunc func;
  const WsType *args_type; /* NULL: no body */
  const WsType *target_type; /* the object in the path; NULL: none (create) */
  const char *verb;        /* activity word: "cloning" */
  /* JSON of the arguments for people, without secrets; caller frees. NULL: what of the arguments clients see. */
  char *(*request)(const void *args);
} TaskKind;

/* Who asked and why; copied. */
typedef struct {
  WsId user;            /* 0: the system itself */
  const char *user_name;
  const char *origin;   /* address, or NULL */
  const char *cause;    /* "user", "schedule", "host report", "recovery", ... */
  const char *request_id;
  const char *idempotency_key; /* or NULL */
  bool one_of_many; /* of a dry run: of a batch, or of a plan; what takes long only to be told is left out */
  /* May add to the transaction that makes the task durable (the audit record); NULL: nothing to add. */
  void (*enrich)(InvTxn *txn, WsId task, void *arg);
  void *enrich_arg;
} TaskCause;

/* ---- the engine ---- */
TaskEngine *task_engine_new(Inventory *inv, WsLoop *loop, void *center); /* center: task_center() for bodies */
/* `kinds` are borrowed for ever. */
void task_engine_register(TaskEngine *engine, const TaskKind *kinds, guint n);
/* After start-up, all kinds registered: every unfinished task in the inventory is taken up again (resumed, or failed when its kind is
 * gone). Locks are in force on return. */
void task_engine_resume(TaskEngine *engine);
/* What waits to try again tries now: call it when a host has come back. */
void task_engine_retry_now(TaskEngine *engine);
/* Ended tasks move to history (EndedTask) when more than `keep` are there or they are older than `keep_us`; default 2,000 and one hour. */
void task_engine_set_retention(TaskEngine *engine, guint keep, gint64 keep_us);
guint task_engine_n_running(const TaskEngine *engine); /* live coroutines, for metrics */
guint task_engine_n_locks(const TaskEngine *engine);   /* objects that are locked */
/* Lets go of everything at once, as a crash would; for the end of the program, after the loop has stopped. */
void task_engine_free(TaskEngine *engine);
const TaskKind *task_kind_find(TaskEngine *engine, const char *name);

/* What a dry run has found out beside its steps, as a member of its answer. */
typedef struct {
  const char *name; /* of the member; NULL: nothing */
  const WsType *type;
  void *object;
  void (*in_words)(void *object,
                   WsLang lang); /* fills in what is said in the reader's language; NULL: nothing is */
  bool hosts_asked;              /* they did something for it, so it is on record like a change */
} TaskShown;
void task_shown_clear(TaskShown *shown); /* any thread */

/* Outcome of a start: exactly one of refused (error set), dry (steps set), accepted (task_id set). */
typedef struct {
  WsId task_id;
  char **dry_steps, **dry_waits; /* owned by the caller; waits: see task_say_waits(), NULL: none */
  TaskShown dry_shown;           /* see task_show_dry(); owned by the caller */
} TaskStarted;
/* In a coroutine; returns when the task was refused, dry-run to its end, or became durable. `args` is a plain object of kind->args_type,
 * taken over. A function that returns true without a step gives a task that is done. A task with a `parent` counts as its child; it is
 * not taken up by the parent after a crash (task_run_children() is for that). */
bool task_start(TaskEngine *engine, const TaskKind *kind, WsId target, void *args, const TaskCause *cause, bool dry_run,
                WsId parent, TaskStarted *started, GError **error);
/* Waits (coroutine) until the task has ended; false with its error when it failed (WS_ERROR_CANCELLED when it was cancelled).
 * WS_ERROR_NOT_FOUND: no such task, or it has gone to history. */
bool task_wait(TaskEngine *engine, WsId task, GError **error);
/* In a coroutine. Asks a task to stop; on return the request is durable, the task still runs. `user` (may be NULL) goes to its log.
 * WS_ERROR_NOT_ALLOWED when its current step cannot be stopped, it is being undone, or has ended; WS_ERROR_NOT_FOUND. */
bool task_cancel(TaskEngine *engine, WsId task, const char *user, GError **error);

/* In a coroutine. Gives up a task that waits and cannot be cancelled (it is being undone, or is past the way back): the undo or body that waits is
 * tried once more; if it fails, it and the undos before it are left (state `left`), the task ends as `abandoned` and its locks are free. Durable on return; the end follows. WS_ERROR_NOT_ALLOWED when it does not wait. */
bool task_abandon(TaskEngine *engine, WsId task, const char *user, GError **error);
/* Called with the transaction that ends an abandoned task, whose record still has its locks: those with `made` are objects that are left
 * half made. One function for all; must not wait. */
typedef void (*TaskAbandoned)(InvTxn *txn, const WsTask *task, void *center);
void task_engine_set_abandoned(TaskEngine *engine, TaskAbandoned func);

/* ---- inside a task ---- */
const void *task_args(const Task *task);
WsId task_target(const Task *task);
const TaskKind *task_kind(const Task *task);
WsId task_id(const Task *task); /* 0 before the first step */
void *task_center(const Task *task);
Inventory *task_inventory(const Task *task);
TaskEngine *task_engine(const Task *task);
bool task_is_dry_run(const Task *task);
bool task_is_one_of_many(const Task *task); /* before the first step: as its cause said */
const char *task_request(const Task *task); /* the request that started it, of a batch's member "REQUEST/7"; NULL: none */
/* In a dry run: this setting would wait for a restart of what it is of. */
void task_say_waits(Task *task, const char *path);
/* In a dry run: takes the object over. The last one counts. */
void task_show_dry(Task *task, TaskShown shown);
/* The function runs anew over a task that has begun: checks that guard the start do not apply any more. */
bool task_is_resumed(const Task *task);
/* Newest published snapshot at this moment; borrowed. Taken in a body it is valid until the body returns, else until the function does. */
const InvSnapshot *task_snapshot(Task *task);
/* It only comes to the undos of its steps. */
bool task_is_undoing(const Task *task);
/* The target as it is now, or WS_ERROR_NOT_FOUND. Borrowed like the snapshot. */
const void *task_find_target(Task *task, GError **error);

/* Locks objects for this task, all or none; at once WS_ERROR_BUSY naming object, task and verb of the holder. Before the first step
 * only. A lock shows as the object's `activity` {task, verb, since, percent} where the type has that field. `shared`: (a source that
 * must not change), does not show. What a parent holds its children may lock too. Released with the task's end. */
typedef struct { const WsType *type; WsId id; bool shared; } TaskLockRef;
bool task_lock(Task *task, const TaskLockRef *refs, guint n, GError **error);
/* Objects made by this task (in a body, in task_txn()) are locked by it from birth. */
void task_lock_new(Task *task, InvTxn *txn, void *object);

/* Runs `body` as a step; `undo` NULL: it leaves nothing behind. False with `error` when it failed or the task was cancelled: everything
 * has been undone by then, the function just returns. In dry runs bodies are not called and it returns true. */
bool task_step(Task *task, const char *name, TaskBody body, TaskUndo undo, void *ctx, GError **error);
bool task_last_step(Task *task, const char *name, TaskBody body, TaskUndo undo, void *ctx, GError **error);
#define TASK_STEP(task, name, body, undo, ctx, error) task_step((task), (name), (body), (undo), (ctx), (error))
/* The step that ends the task, see above; it has no undo of its own unless its body acts outside before it can fail. */
#define TASK_LAST(task, name, body, ctx, error) task_last_step((task), (name), (body), NULL, (ctx), (error))
/* In a body or undo: the transaction that is committed with the step's completion (with its being undone). Made at the first call. */
InvTxn *task_txn(Task *task);
/* In a body: result recorded with the step (short text or JSON); read by later code, also after a restart. */
void task_set_result(Task *task, const char *value);
const char *task_step_result(Task *task, const char *step); /* borrowed; NULL: not finished, none, or a dry run */
bool task_step_has_begun(const Task *task, const char *step); /* it is on record, whatever became of it */
/* A choice made once, durable before the next body acts; returns the recorded one after a restart. Not in bodies. */
WsId task_new_id(Task *task, const char *label);           /* never used before; for inv_create_with_id() */
const char *task_choose(Task *task, const char *label, const char *value); /* e.g. a picked host, a fresh UUID; borrowed */
const char *task_chosen(const Task *task, const char *label); /* NULL: not yet */
/* false: from the next step on the task cannot be cancelled (what it does cannot be undone). */
void task_allow_cancel(Task *task, bool allowed);
/* In a body: what it has done cannot be taken back. A cancel that came meanwhile is void (and the log says so), none is taken any more. The body
 * then succeeds. */
void task_no_return(Task *task);

/* Progress of the running step in any unit (bytes, VMs); total < 0: unknown. Published at most 4 times a second, not durable. */
void task_progress(Task *task, gint64 done, gint64 total, const char *unit);
/* The same as an RpcProgress: pass the task as its `arg`. */
void task_progress_of_call(gint64 done, gint64 total, const char *unit, void *task);
/* In a body: what it waits for in line, shown as the task's `waiting`; NULL: it waits no more. */
void task_show_waiting(Task *task, const GError *why);
/* A line in the task's log: catalogue text by name (api/texts.yaml) with parameters as name, value pairs, shown in the reader's
 * language. Durable with the next step. */
void task_log(Task *task, const char *text, ...) G_GNUC_NULL_TERMINATED;
bool task_cancelled(const Task *task);         /* never while undoing */
volatile gint *task_cancel_flag(Task *task);   /* (any thread) non-zero when so; valid while the body runs */
/* What the finished task points at ("vm-42"), shown as result. */
void task_set_object(Task *task, const WsType *type, WsId id);
/* Runs a child per item, `parallel` at a time, and waits; it is a step of its own, named after `kind`. Takes over the children's args (not the
 * array). All children are recorded before the first begins, TASK_CHILDREN_AT_ONCE in a transaction, and survive a crash; a function that is
 * run anew passes the same list. Failures are per child: when some failed it returns true
 * and the parent ends "partly done"; when all did, false with the error of the first. A cancel of the parent cancels them. */
typedef struct { WsId target; void *args; } TaskChild;
bool task_run_children(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel, GError **error);
/* The same; `recorded` is called with each child's record in the transaction that makes it, to add what
 * belongs there (an audit record). It must not wait. */
typedef void (*TaskChildRecorded)(InvTxn *txn, const WsTask *child, void *center);
bool task_run_children_recorded(Task *task, const TaskKind *kind, TaskChild *children, guint n,
                                guint parallel, TaskChildRecorded recorded, GError **error);
/* The same, but the parent goes on, to end "partly done", also when all failed: what they do is welcome and
 * not needed. */
bool task_run_children_spared(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel,
                              GError **error);
/* As task_run_children(), but the first that fails or is cancelled stops it: those that have not begun by
 * then are cancelled, those under way come to their end. */
bool task_run_children_in_turn(Task *task, const TaskKind *kind, TaskChild *children, guint n, guint parallel, GError **error);
