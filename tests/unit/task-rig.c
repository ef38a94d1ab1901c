// SPDX-License-Identifier: Apache-2.0
/* See task-rig.h. */
#include "task-rig.h"
#include "inventory/inventory-private.h"
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUSY_STEPS 2000 /* of a millisecond */

/* ---- the clock ---- */

static gint64 rig_wall_us(WsClock *clock)
{
  return ws_clock_wall_us(ws_clock_system()) + ((RigClock *)clock)->ahead_us;
}

static gint64 rig_monotonic_us(WsClock *clock)
{
  return ws_clock_monotonic_us(ws_clock_system()) + ((RigClock *)clock)->ahead_us;
}

static void rig_random(WsClock *clock, void *buf, gsize n)
{
  WsClock *system = ws_clock_system();

  system->random_bytes(system, buf, n);
}

/* ---- life ---- */

static int stop_in_store(const char *point, void *arg)
{
  if (g_atomic_int_get(&world->n_points) + 1 == g_atomic_int_get(&world->stop_at))
    g_atomic_int_set(&world->stopped_in_store, 1);
  world_point();
  return 0;
}

TaskRig *task_rig_new(const char *dir)
{
  TaskRig *rig = g_new0(TaskRig, 1);
  GError *error = NULL;

  if (!world)
    world_new();
  if (!g_test_verbose())
    ws_log_init("test", WS_LOG_ERROR, "/dev/null"); /* what the tests provoke is logged */
  rig->clock.clock =
    (WsClock){.wall_us = rig_wall_us, .monotonic_us = rig_monotonic_us, .random_bytes = rig_random};
  rig->inv.path = dir ? g_build_filename(dir, "inventory.db", NULL) : NULL;
  rig->inv.loop = ws_loop_new(&rig->clock.clock);
  rig->inv.store = store_open(rig->inv.path ? rig->inv.path : ":memory:", rig->inv.loop, &error);
  g_assert_no_error(error);
  rig->inv.inv = inv_open(rig->inv.loop, rig->inv.store, &error);
  g_assert_no_error(error);
  if (dir)
    store_set_fault(rig->inv.store, stop_in_store, NULL);
  rig->engine = task_engine_new(rig->inv.inv, rig->inv.loop, rig);
  return rig;
}

void task_rig_free(TaskRig *rig)
{
  if (!rig)
    return;
  task_rig_wait_idle(rig); /* else what coroutines hold is lost */
  task_engine_free(rig->engine);
  inv_rig_close(&rig->inv);
  g_free(rig->inv.path);
  g_free(rig);
}

/* ---- running ---- */

/* Time hurries, most when nothing is to happen for long; but the store's thread works in real time, so only that passes while something is on its
 * way to the disk. A store that a test holds up does not stop the time. */
void task_rig_step(TaskRig *rig, bool may_leap)
{
  ws_loop_step(rig->inv.loop, 1);
  if (rig->inv.inv->first && rig->n_busy++ < BUSY_STEPS)
    return;
  if (!rig->inv.inv->first)
    rig->n_busy = 0;
  gint64 idle_us = ws_loop_next_us(rig->inv.loop) - rig_monotonic_us(&rig->clock.clock);
  rig->clock.ahead_us += may_leap ? CLAMP(idle_us, 10 * 1000, 250 * 1000) : 10 * 1000;
}

void task_rig_wait(TaskRig *rig, const bool *flag)
{
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  while (!*flag) {
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    task_rig_step(rig, true);
  }
}

static bool is_idle(TaskRig *rig)
{
  return task_engine_n_running(rig->engine) == 0 && g_hash_table_size(rig->engine->tasks) == 0 &&
         !rig->engine->publish_timer && !rig->engine->publishing && !rig->engine->sweeping;
}

void task_rig_wait_idle(TaskRig *rig)
{
  gint64 deadline = g_get_monotonic_time() + 200 * G_USEC_PER_SEC;

  while (!is_idle(rig)) {
    g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    task_rig_step(rig, true);
  }
}

void task_rig_run_for(TaskRig *rig, gint64 us)
{
  gint64 end_us = rig_monotonic_us(&rig->clock.clock) + us;

  for (gint64 left_us = us; left_us > 0; left_us = end_us - rig_monotonic_us(&rig->clock.clock))
    task_rig_step(rig, left_us > G_USEC_PER_SEC);
}

/* ---- looking ---- */

/* Kept until the next call. */
static const void *find_published(TaskRig *rig, const WsType *type, WsId id)
{
  static const void *kept;
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  const void *found = inv_find(snap, type, id);

  ws_resource_unref(kept);
  kept = found ? ws_resource_ref(found) : NULL;
  return kept;
}

const WsTask *task_rig_record(TaskRig *rig, WsId id)
{
  return find_published(rig, &ws_type_task, id);
}

const WsVolume *task_rig_find_volume(TaskRig *rig, WsId id)
{
  return find_published(rig, &ws_type_volume, id);
}

WsId task_rig_volume(TaskRig *rig, const char *name)
{
  InvTxn *txn = inv_begin(rig->inv.inv);
  WsPool *pool = inv_rig_pool(txn, "pool");
  WsId id = inv_rig_volume(txn, pool->id, name)->id;

  inv_rig_commit_ok(&rig->inv, txn);
  return id;
}

/* ---- asking ---- */

typedef struct {
  TaskRig *rig;
  const char *kind, *name;
  WsId target;
  bool dry_run, ok, done;
  TaskStarted *started;
  GError **error;
} Ask;

static void *args_of(const TaskKind *kind, const char *name)
{
  WsVolumeClone *args;

  if (!kind->args_type)
    return NULL;
  g_assert_true(kind->args_type == &ws_type_volume_clone);
  args = ws_volume_clone_new();
  args->name = g_strdup(name);
  return args;
}

static void ask(void *arg)
{
  Ask *a = arg;
  const TaskKind *kind = task_kind_find(a->rig->engine, a->kind);
  TaskCause cause = {.user = 77, .user_name = "alice", .origin = "192.0.2.7", .cause = "user", .request_id = "req-1"};

  g_assert_nonnull(kind);
  a->ok = task_start(a->rig->engine, kind, a->target, args_of(kind, a->name), &cause, a->dry_run, 0, a->started, a->error);
  a->done = true;
}

bool task_rig_start(TaskRig *rig, const char *kind, WsId target, const char *name, bool dry_run, TaskStarted *started,
                    GError **error)
{
  Ask a = {.rig = rig, .kind = kind, .name = name, .target = target, .dry_run = dry_run, .started = started, .error = error};

  ws_co_start(rig->inv.loop, ask, &a);
  task_rig_wait(rig, &a.done);
  return a.ok;
}

WsId task_rig_accept(TaskRig *rig, const char *kind, WsId target, const char *name)
{
  GError *error = NULL;
  TaskStarted started = {0};

  task_rig_start(rig, kind, target, name, false, &started, &error);
  g_assert_no_error(error);
  g_assert_cmpuint(started.task_id, >, 0);
  return started.task_id;
}

typedef struct {
  TaskRig *rig;
  WsId task;
  bool ok, done;
  GError **error;
} Other;

static void ask_cancel(void *arg)
{
  Other *o = arg;

  o->ok = task_cancel(o->rig->engine, o->task, "bob", o->error);
  o->done = true;
}

bool task_rig_cancel(TaskRig *rig, WsId task, GError **error)
{
  Other o = {rig, task, false, false, error};

  ws_co_start(rig->inv.loop, ask_cancel, &o);
  task_rig_wait(rig, &o.done);
  return o.ok;
}

static void ask_wait(void *arg)
{
  Other *o = arg;
  g_autoptr(GError) error = NULL;

  o->ok = task_wait(o->rig->engine, o->task, &error);
  o->done = true;
}

const WsTask *task_rig_end(TaskRig *rig, WsId task)
{
  Other o = {rig, task, false, false, NULL};
  const WsTask *rec;

  ws_co_start(rig->inv.loop, ask_wait, &o);
  task_rig_wait(rig, &o.done);
  rec = task_rig_record(rig, task);
  g_assert_nonnull(rec);
  g_assert_true(task_state_is_end(rec->state));
  g_assert_true(o.ok == (rec->state == WS_TASK_STATE_DONE || rec->state == WS_TASK_STATE_PARTLY_DONE));
  return rec;
}

/* ---- the world ---- */

World *world;

void world_new(void)
{
  world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true(world != MAP_FAILED);
}

void world_clear(void)
{
  memset(world, 0, sizeof *world);
}

void world_point(void)
{
  if (g_atomic_int_add(&world->n_points, 1) + 1 == g_atomic_int_get(&world->stop_at))
    kill(getpid(), SIGKILL);
}

static void note(gint what)
{
  if (world->n_order < (gint)G_N_ELEMENTS(world->order))
    world->order[world->n_order++] = what;
}

void world_make(guint thing)
{
  world_point();
  world->there[thing] = 1;
  world->made[thing]++;
  note((gint)thing + 1);
  world_point();
}

void world_remove(guint thing)
{
  world_point();
  world->there[thing] = 0;
  world->removed[thing]++;
  note(-(gint)thing - 1);
  world_point();
}

guint world_count(void)
{
  guint n = 0;

  for (guint i = 0; i < WORLD_THINGS; i++)
    n += (guint)world->there[i];
  return n;
}
