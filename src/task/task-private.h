// SPDX-License-Identifier: Apache-2.0
/* The inside of the task engine, shared by the files of src/task:
 *
 *   engine.c    the engine: kinds, taking up again after a start, slots for coroutines, publishing what is volatile
 *   run.c       one task from request to end: start, the coroutine, cancel, wait
 *   step.c      steps: body, repeats, undo
 *   record.c    the task's record and how it is committed
 *   lock.c      who holds which object
 *   children.c  batches
 *   history.c   ended tasks leave the inventory
 *   inside.c    what task functions and bodies ask for
 *
 * Core loop only; between two waits nothing else runs. The record in memory (task->rec) is what the inventory holds plus what
 * is not durable yet. Durable members are changed only while the record is held (record_hold), so that a commit on its way and
 * its possible failure concern one change at a time; volatile ones (log, progress, waiting, children) at any time. */
#pragma once
#include "base/error.h"
#include "base/log.h"
#include "model/failure.h"
#include "task/task.h"

typedef struct Batch Batch;

/* One coroutine waits for one thing. Woken only while it waits, so no wake is left over for its next wait. */
typedef struct {
  WsCo *co;
  bool waiting, done;
} Wait;

static inline void wait_for(Wait *wait)
{
  wait->co = ws_co_self();
  wait->waiting = true;
  while (!wait->done)
    ws_co_yield();
  wait->waiting = false;
}

static inline void wait_done(Wait *wait)
{
  if (wait->done)
    return;
  wait->done = true;
  if (wait->waiting)
    ws_co_wake(wait->co);
}

struct TaskEngine {
  Inventory *inv;
  WsLoop *loop;
  void *center;
  GHashTable *kinds; /* name -> TaskKind */
  GHashTable *tasks; /* id -> Task (referenced): unfinished, but for children that are still queued records */
  GHashTable *locks; /* see lock.c */
  GHashTable *waits; /* id -> GPtrArray of Wait: who waits for the task's end */

  TaskAbandoned on_abandoned; /* NULL: nobody */
  guint n_running[TASK_DEPTH_MAX]; /* coroutines, by depth; a task waits only for deeper ones, so the deepest always get on */
  GQueue for_slot[TASK_DEPTH_MAX]; /* of Task (referenced): records that wait for a coroutine */

  GHashTable *touched; /* set of Task: something volatile changed */
  WsTimer *publish_timer;
  bool publishing;

  GQueue ended;  /* of EndedRef (history.c): roots in order of their end */
  guint n_ended; /* ended tasks in the inventory, children too */
  guint keep;
  gint64 keep_us;
  guint children_at_once; /* of a batch, recorded in one transaction */
  WsTimer *sweep_timer;
  bool sweeping;
};

/* A step's call in the current run of the function: what undoes it. */
typedef struct {
  TaskUndo undo;
  void *ctx;
} StepCall;

struct Task {
  guint ref_count;
  TaskEngine *engine;
  const TaskKind *kind; /* NULL: unknown to this program */
  WsTask *rec;
  void *args; /* typed, parsed from rec->args */
  guint depth;

  bool dry;      /* a dry run: never exists */
  bool exists;   /* its record is in the inventory */
  bool resumed;  /* this run of the function is over a task that had begun */
  bool undoing;  /* forward work is over */
  bool undone;   /* all undos have run, in this run of the function */
  bool left;     /* undos were given up */
  bool partly;   /* some children failed */
  bool all_failed; /* the step under way is a batch, and its children have done all the waiting there was to do */
  bool ended;    /* nothing more will happen to it */
  volatile gint cancel;

  /* the start */
  Wait *starter; /* NULL: nobody waits any more */
  const TaskCause *cause;
  GError *refusal;
  GPtrArray *dry_steps, *dry_waits;
  TaskShown dry_shown;

  /* the current run of the function */
  WsCo *co;
  bool napping;   /* in task_nap(): may be woken early */
  guint at;       /* number of the next step call */
  GArray *calls;  /* of StepCall, by step */
  bool in_body;
  InvTxn *txn;    /* of the running body */
  GPtrArray *new_locks; /* of WsTaskLock: objects made in txn */
  GPtrArray *snaps, *body_snaps; /* taken by the function, by the running body */
  Batch *batch;   /* being run */
  GPtrArray *batches; /* of the function's run so far: undos of later steps come back to them */

  /* record.c */
  bool held;
  GQueue hold_queue; /* of Wait */
  gint64 percent_shown;
};

/* What a step is made of. */
typedef struct {
  const char *name;
  TaskBody body;
  TaskUndo undo;
  void *ctx;
  bool last, batch;
  /* Adds to the transaction that records the step's start; NULL: nothing. */
  bool (*at_start)(Task *task, InvTxn *txn, void *ctx, GError **error);
} Step;

static inline bool task_has_begun(const Task *task)
{
  return task->rec->steps.len > 0;
}

static inline gint64 task_now_us(const Task *task)
{
  return ws_clock_wall_us(ws_loop_clock(task->engine->loop));
}

bool task_state_is_end(WsTaskState state);

/* engine.c */
Task *task_new(TaskEngine *engine, const TaskKind *kind, WsTask *rec /* taken */, guint depth);
Task *task_ref(Task *task);
void task_unref(Task *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Task, task_unref)
Task *engine_find(TaskEngine *engine, WsId id);       /* borrowed; NULL: not alive */
Task *engine_adopt(TaskEngine *engine, const WsTask *rec); /* a Task for a record; registered; locks taken when it has begun */
void engine_register(Task *task);                     /* it exists now */
void engine_unregister(Task *task);
bool engine_has_slot(const TaskEngine *engine, guint depth);
void engine_run_when_slot(Task *task);                /* starts its coroutine now or later */
void engine_slot_taken(TaskEngine *engine, guint depth);
void engine_slot_free(TaskEngine *engine, guint depth);
void engine_touch(Task *task);                        /* publish what is volatile soon */
void engine_wake_waits(TaskEngine *engine, WsId id);

/* run.c */
void task_main(void *task); /* coroutine; takes a reference and a slot over */
void task_answer_starter(Task *task);
WsTask *task_new_child_record(Task *parent, const TaskKind *kind, WsId target, const void *args);
/* Sleeps; a cancel, task_engine_retry_now() or task_wake() ends it early. timeout_us < 0: for ever. */
void task_nap(Task *task, gint64 timeout_us);
void task_wake(Task *task);
gint64 task_backoff_us(guint tries);
/* After its end is durable. */
void task_has_ended(Task *task, const WsTask *before);

/* step.c */
bool step_run(Task *task, const Step *step, GError **error);
void step_begin_undo(Task *task, const GError *why);
bool step_has_undo(const Task *task);

/* record.c */
void record_hold(Task *task);
void record_release(Task *task);
void record_write(Task *task, InvTxn *txn);    /* puts the record into the transaction */
/* The members behind the header of a resource change places; both are private copies. */
void record_swap(WsTask *a, WsTask *b);
bool record_commit(Task *task, InvTxn *txn, GError **error); /* writes it and commits; txn taken; the record is held */
void record_commit_surely(Task *task);         /* the same, and waits until the store can write */
/* The birth: record, locks, activity, first step. */
bool record_begin(Task *task, const Step *step, GError **error);
/* The end in one transaction with `txn` (taken; may be NULL). On failure the record is as it was. */
bool record_end(Task *task, InvTxn *txn, WsTaskState state, GError **error);
void record_end_surely(Task *task, WsTaskState state);
void record_log(Task *task, const char *text, ...) G_GNUC_NULL_TERMINATED;
void record_set_failure(WsFailure **at, const GError *error); /* NULL clears */

/* lock.c */
GHashTable *locks_new(void);
bool locks_take(Task *task, const TaskLockRef *refs, guint n, GError **error);
void locks_restore(Task *task);                          /* from its record, after a start */
void locks_add_new(Task *task, const WsType *type, WsId id);
void locks_drop_new(Task *task);                         /* the transaction that made them failed */
void locks_release(Task *task, const WsTask *rec);       /* those that `rec` names */
bool locks_show(Task *task, InvTxn *txn, GError **error); /* activity of what is locked */
void locks_show_on(Task *task, void *object);
void locks_show_percent(Task *task, InvTxn *txn, gint64 percent);
void locks_hide(Task *task, InvTxn *txn);

/* children.c */
void batch_free(void *batch);
bool batch_stops(const Task *child); /* its parent's batch is being cancelled */
void batch_child_ended(Task *parent, const WsTask *child);
bool batch_cancel_queued(TaskEngine *engine, const WsTask *child, const char *user, GError **error);

/* history.c */
void history_load(TaskEngine *engine);
void history_add(TaskEngine *engine, const WsTask *ended);
void history_free(TaskEngine *engine);
