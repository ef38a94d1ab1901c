// SPDX-License-Identifier: Apache-2.0
/* What the tests of the task engine share: an inventory on a store of its own, an engine, a clock that can be made to hurry, and a
 * small world outside of the inventory on which steps act.
 *
 * The world is shared memory: it outlives a process that is killed, like files on a host. Each thing in it is there or not; every
 * act on it is counted and has a point before and after it at which a test can stop the process. */
#pragma once
#include "inventory-rig.h"
#include "task/task-private.h"

typedef struct {
  WsClock clock;
  gint64 ahead_us; /* of the system's */
} RigClock;

typedef struct {
  InvRig inv; /* first: inv_rig_...() work on it */
  RigClock clock;
  TaskEngine *engine;
  guint n_busy; /* steps one after the other in which the store was at work */
} TaskRig;

/* dir NULL: in memory; else a directory with (or for) the database, kept by task_rig_free(). */
TaskRig *task_rig_new(const char *dir);
void task_rig_free(TaskRig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskRig, task_rig_free)
/* Steps until *flag; time hurries. Asserts that it takes less than 200 s of real time. */
void task_rig_wait(TaskRig *rig, const bool *flag);
/* The same for a condition. */
#define task_rig_until(rig, condition)                                                                                  \
  do {                                                                                                                  \
    gint64 until_deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;                                             \
    while (!(condition)) {                                                                                              \
      g_assert_cmpint(g_get_monotonic_time(), <, until_deadline);                                                       \
      task_rig_step(rig, true);                                                                                         \
    }                                                                                                                   \
  } while (0)
void task_rig_step(TaskRig *rig, bool may_leap);
void task_rig_wait_idle(TaskRig *rig);               /* until no task lives */
void task_rig_run_for(TaskRig *rig, gint64 us);      /* of the rig's time */
const WsTask *task_rig_record(TaskRig *rig, WsId id); /* as published; valid until the next call */
WsId task_rig_volume(TaskRig *rig, const char *name); /* a new volume in a new pool */
const WsVolume *task_rig_find_volume(TaskRig *rig, WsId id); /* as published; valid until the next call */

/* Starts a task from a coroutine and waits for the answer. cause NULL: a test user. */
bool task_rig_start(TaskRig *rig, const char *kind, WsId target, const char *name, bool dry_run, TaskStarted *started,
                    GError **error);
/* The same for a task that must be accepted; its id. */
WsId task_rig_accept(TaskRig *rig, const char *kind, WsId target, const char *name);
bool task_rig_cancel(TaskRig *rig, WsId task, GError **error);
/* Waits for the end of the task; its record. */
const WsTask *task_rig_end(TaskRig *rig, WsId task);

/* ---- the world ---- */
#define WORLD_THINGS 64
typedef struct {
  gint there[WORLD_THINGS]; /* 1: it is there */
  gint made[WORLD_THINGS], removed[WORLD_THINGS]; /* how often */
  gint order[256], n_order; /* thing made: its number + 1; removed: minus that */
  gint n_points, stop_at;   /* a process ends by SIGKILL at point number stop_at (0: never) */
  gint stopped_in_store;    /* the point was one of the store's */
  WsId ids[8];              /* whatever one process tells the next */
} World;
extern World *world; /* made by the first task_rig_new(), or world_new() before a fork */
void world_new(void);
void world_clear(void);
void world_point(void);
void world_make(guint thing);   /* idempotent */
void world_remove(guint thing); /* idempotent */
guint world_count(void);
