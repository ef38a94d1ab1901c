// SPDX-License-Identifier: Apache-2.0
/* A process that is killed: at every point at which a step acts and at every step of the store, then again while it recovers.
 *
 * Each run is a process of its own that ends by SIGKILL; the world (what steps did outside) is shared memory, the inventory a
 * file. After the last kill a process takes up what is left and must find: each task has ended, what it did is there when it is
 * done and gone when it is undone, no lock and no activity is left. */
#include "task-rig.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AFTER_BATCH 9 /* thing of the step after a batch */

/* Under a sanitizer a fork costs so much that only some points are taken; the plain build takes them all. */
#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 7
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRIDE 7
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

/* ---- the kinds ----
 * The `name` argument is "FIRST FAIL": steps make the things FIRST, FIRST + 1, FIRST + 2; the step FAIL (0-2) fails after it acted;
 * 3: the function fails between the last two steps; -: nothing fails. */

typedef struct {
  guint first;
  gint fail;
} Plan;

static Plan plan_of(const char *name)
{
  Plan plan = {(guint)g_ascii_strtoull(name, NULL, 10), -1};
  const char *space = strchr(name, ' ');

  if (space && space[1] != '-')
    plan.fail = space[1] - '0';
  return plan;
}

typedef struct {
  Plan plan;
  WsId new_id;
} Context;

static Context context_of(Task *task)
{
  return (Context){.plan = plan_of(((const WsVolumeClone *)task_args(task))->name), .new_id = task_new_id(task, "volume")};
}

static bool act(Task *task, const Context *c, guint i, GError **error)
{
  ws_co_sleep(500);
  world_make(c->plan.first + i);
  if (c->plan.fail == (gint)i)
    return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", "pool-1", "need", "2", "free", "1", NULL);
  return true;
}

#define STEP(n)                                                                                                         \
  static bool do_##n(Task *task, void *ctx, GError **error)                                                             \
  {                                                                                                                     \
    return act(task, ctx, n, error);                                                                                    \
  }                                                                                                                     \
  static bool undo_##n(Task *task, void *ctx, GError **error)                                                           \
  {                                                                                                                     \
    ws_co_sleep(500);                                                                                                   \
    world_remove(((Context *)ctx)->plan.first + n);                                                                     \
    return true;                                                                                                        \
  }
STEP(0)
STEP(1)
STEP(2)

static bool three(Task *task, GError **error)
{
  Context c = context_of(task);

  if (!TASK_STEP(task, "zero", do_0, undo_0, &c, error) || !TASK_STEP(task, "one", do_1, undo_1, &c, error))
    return false;
  if (c.plan.fail == 3)
    return ws_fail(error, WS_ERROR_INTERNAL, NULL);
  return TASK_STEP(task, "two", do_2, undo_2, &c, error);
}

/* A copy under a recorded id, then its entry: as volume_clone. */
static bool enter_volume(Task *task, void *ctx, GError **error)
{
  Context *c = ctx;
  const WsVolume *source = task_find_target(task, error);
  WsVolume *v = inv_create_with_id(task_txn(task), &ws_type_volume, c->new_id);

  v->name = g_strdup("copy");
  v->pool = source->pool;
  v->state = WS_VOLUME_STATE_READY;
  task_set_object(task, &ws_type_volume, c->new_id);
  return true;
}

static bool clone_(Task *task, GError **error)
{
  Context c = context_of(task);

  return task_find_target(task, error) &&
         task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_STEP(task, "copy", do_0, undo_0, &c, error) && TASK_LAST(task, "enter", enter_volume, &c, error);
}

/* The entry first, in a state of its own, then the thing, then ready: as volume_create. */
static bool enter_creating(Task *task, void *ctx, GError **error)
{
  Context *c = ctx;
  WsVolume *v = inv_create_with_id(task_txn(task), &ws_type_volume, c->new_id);

  v->name = g_strdup("new");
  v->pool = world->ids[1];
  v->state = WS_VOLUME_STATE_CREATING;
  task_lock_new(task, task_txn(task), v);
  return true;
}

/* It may never have been entered: then the delete says so, and that is fine. */
static bool leave_again(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, ((Context *)ctx)->new_id);
  return true;
}

static bool set_ready(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, ((Context *)ctx)->new_id);

  v->state = WS_VOLUME_STATE_READY;
  return true;
}

static bool create(Task *task, GError **error)
{
  Context c = context_of(task);

  return TASK_STEP(task, "enter", enter_creating, leave_again, &c, error) &&
         TASK_STEP(task, "make", do_0, undo_0, &c, error) && TASK_LAST(task, "ready", set_ready, &c, error);
}

/* Marked, unlinked, gone: as volume_delete. Thing 0 is the target's file. */
static bool mark(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, task_target(task));

  v->state = WS_VOLUME_STATE_DELETING;
  return true;
}

static bool unmark(Task *task, void *ctx, GError **error)
{
  WsVolume *v = inv_edit_id(task_txn(task), &ws_type_volume, task_target(task));

  v->state = WS_VOLUME_STATE_READY;
  return true;
}

static bool unlink_file(Task *task, void *ctx, GError **error)
{
  ws_co_sleep(500);
  world_remove(0);
  return true;
}

static bool leave(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, task_target(task));
  return true;
}

static bool delete(Task *task, GError **error)
{
  if (!task_find_target(task, error) ||
      !task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) ||
      !TASK_STEP(task, "mark", mark, unmark, NULL, error))
    return false;
  task_allow_cancel(task, false);
  return TASK_STEP(task, "unlink", unlink_file, NULL, NULL, error) && TASK_LAST(task, "leave", leave, NULL, error);
}

/* Four children, the third of which fails, then a step. */
static bool do_after(Task *task, void *ctx, GError **error)
{
  world_make(AFTER_BATCH);
  return true;
}

static bool undo_after(Task *task, void *ctx, GError **error)
{
  world_remove(AFTER_BATCH);
  return true;
}

static bool batch(Task *task, GError **error)
{
  TaskChild children[4] = {0};

  for (guint i = 0; i < 4; i++) {
    WsVolumeClone *args = ws_volume_clone_new();
    args->name = g_strdup_printf("%u %c", 10 + 3 * i, i == 2 ? '1' : '-');
    children[i].args = args;
  }
  return task_run_children(task, task_kind_find(task_engine(task), "three"), children, 4, 2, error) &&
         TASK_STEP(task, "after", do_after, undo_after, NULL, error);
}

/* A step after the batch fails: what the children did stays, what the task did goes. */
static bool do_too_much(Task *task, void *ctx, GError **error)
{
  world_make(AFTER_BATCH);
  return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", "pool-1", "need", "2", "free", "1", NULL);
}

static bool batch_and_more(Task *task, GError **error)
{
  TaskChild children[2] = {0};

  for (guint i = 0; i < 2; i++) {
    WsVolumeClone *args = ws_volume_clone_new();
    args->name = g_strdup_printf("%u -", 10 + 3 * i);
    children[i].args = args;
  }
  return task_run_children(task, task_kind_find(task_engine(task), "three"), children, 2, 2, error) &&
         TASK_STEP(task, "too much", do_too_much, undo_after, NULL, error);
}

static const TaskKind kinds[] = {
  {"three", three, &ws_type_volume_clone, NULL, "making"},
  {"clone", clone_, &ws_type_volume_clone, &ws_type_volume, "cloning"},
  {"create", create, &ws_type_volume_clone, NULL, "creating"},
  {"delete", delete, NULL, &ws_type_volume, "deleting"},
  {"batch", batch, NULL, NULL, "batch"},
  {"batch_and_more", batch_and_more, NULL, NULL, "batch"},
};

/* ---- processes ---- */

static char *template_dir, *dir;

static void copy_file(const char *name)
{
  g_autofree char *from = g_build_filename(template_dir, name, NULL), *to = g_build_filename(dir, name, NULL);
  g_autofree char *bytes = NULL;
  gsize n;

  if (g_file_get_contents(from, &bytes, &n, NULL))
    g_assert_true(g_file_set_contents(to, bytes, (gssize)n, NULL));
}

static void empty_dir(const char *path)
{
  GDir *d = g_dir_open(path, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name(d))) {
    g_autofree char *file = g_build_filename(path, name, NULL);
    g_unlink(file);
  }
  g_dir_close(d);
}

/* Runs func(arg) in a process of its own; true when it ended by itself, false when it was killed. */
static bool in_process(void (*func)(const void *arg), const void *arg, guint kill_after_us)
{
  int status;
  pid_t pid = fork();

  g_assert_cmpint(pid, >=, 0);
  if (pid == 0) {
    alarm(40);
    func(arg);
    _exit(0);
  }
  if (kill_after_us) {
    g_usleep(kill_after_us);
    kill(pid, SIGKILL);
  }
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    return false;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    g_error("a process ended with status %x at point %d", (guint)status, world->stop_at);
  return true;
}

static TaskRig *open_rig(const char *path)
{
  TaskRig *rig = task_rig_new(path);

  rig->engine->children_at_once = 2; /* so that it is killed between the parts of a batch's record, too */
  task_engine_register(rig->engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_resume(rig->engine);
  return rig;
}

/* What every run begins with: one volume, its file is thing 0. */
static void make_template(const void *unused)
{
  TaskRig *rig = open_rig(template_dir);

  world->ids[0] = task_rig_volume(rig, "v");
  world->ids[1] = task_rig_find_volume(rig, world->ids[0])->pool;
  task_rig_free(rig);
}

static void begin_run(bool thing_0)
{
  WsId ids[2] = {world->ids[0], world->ids[1]};

  empty_dir(dir);
  copy_file("inventory.db");
  world_clear();
  memcpy(world->ids, ids, sizeof ids);
  world->there[0] = thing_0;
}

/* ---- what must hold at the end ---- */

static void check_no_activity(const WsVolume *v)
{
  g_assert_null(v->activity);
}

static bool check_volume(const void *object, void *arg)
{
  check_no_activity(object);
  return true;
}

static bool count_task(const void *object, void *arg)
{
  g_assert_true(task_state_is_end(((const WsTask *)object)->state));
  g_assert_cmpuint(((const WsTask *)object)->locks.len, ==, 0);
  ++*(guint *)arg;
  return true;
}

static guint check_all_ended(TaskRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  guint n = 0;

  g_assert_cmpuint(g_hash_table_size(rig->engine->locks), ==, 0);
  g_assert_cmpuint(g_hash_table_size(rig->engine->tasks), ==, 0);
  inv_each(snap, &ws_type_volume, check_volume, NULL);
  inv_each(snap, &ws_type_task, count_task, &n);
  return n;
}

static bool find_root(const void *object, void *arg)
{
  const WsTask *rec = object;

  if (!rec->parent)
    *(const WsTask **)arg = rec;
  return true;
}

/* Things first..first+2 are as a task with this plan leaves them in this state. */
static void check_things(const char *name, WsTaskState state)
{
  Plan plan = plan_of(name);

  for (guint i = 0; i < 3; i++)
    g_assert_cmpint(world->there[plan.first + i], ==, state == WS_TASK_STATE_DONE);
  g_assert_true(state == WS_TASK_STATE_DONE || state == WS_TASK_STATE_CANCELLED ||
                (plan.fail >= 0 && state == WS_TASK_STATE_ROLLED_BACK));
  g_assert_true(state != WS_TASK_STATE_DONE || plan.fail < 0);
}

/* ---- scenarios: one request, killed at every point ---- */

typedef struct Scenario {
  const char *name, *kind, *plan;
  bool on_volume, thing_0, cancel;
  /* rec NULL: the request was not accepted before the end. */
  void (*check)(const struct Scenario *s, const InvSnapshot *snap, const WsTask *rec);
} Scenario;

static void check_three(const Scenario *s, const InvSnapshot *snap, const WsTask *rec)
{
  if (rec)
    check_things(s->plan, rec->state);
  else
    g_assert_cmpuint(world_count(), ==, 0);
}

/* The volume that was made is there exactly when its thing is, and the task is done. */
static void check_made(const Scenario *s, const InvSnapshot *snap, const WsTask *rec)
{
  bool done = rec && rec->state == WS_TASK_STATE_DONE;

  g_assert_cmpuint(inv_count(snap, &ws_type_volume), ==, done ? 2 : 1);
  g_assert_cmpuint(world_count(), ==, done ? 1 : 0);
  if (rec)
    g_assert_true(done == (plan_of(s->plan).fail < 0));
  if (done && rec->result.type) {
    const WsVolume *v = inv_find(snap, &ws_type_volume, rec->result.id);
    g_assert_cmpint(v->state, ==, WS_VOLUME_STATE_READY);
  }
}

static void check_deleted(const Scenario *s, const InvSnapshot *snap, const WsTask *rec)
{
  g_assert_true(!rec || rec->state == WS_TASK_STATE_DONE);
  g_assert_cmpuint(inv_count(snap, &ws_type_volume), ==, rec ? 0 : 1);
  g_assert_cmpuint(world_count(), ==, rec ? 0 : 1);
}

static void check_batch(const Scenario *s, const InvSnapshot *snap, const WsTask *rec)
{
  static const guint there[] = {10, 11, 12, 13, 14, 15, 19, 20, 21, AFTER_BATCH};

  if (!rec) {
    g_assert_cmpuint(world_count(), ==, 0);
    return;
  }
  g_assert_true(s->cancel || rec->state == WS_TASK_STATE_PARTLY_DONE);
  for (guint i = 0; i < G_N_ELEMENTS(there) && rec->state == WS_TASK_STATE_PARTLY_DONE; i++)
    g_assert_cmpint(world->there[there[i]], ==, 1);
  if (rec->state == WS_TASK_STATE_PARTLY_DONE)
    g_assert_cmpuint(world_count(), ==, G_N_ELEMENTS(there));
  else
    g_assert_cmpint(world->there[AFTER_BATCH], ==, 0);
}

static bool check_child(const void *object, void *arg)
{
  const WsTask *rec = object;
  g_autofree char *name = NULL;

  if (!rec->parent)
    return true;
  name = g_strdup_printf("%u %c", 10 + 3 * (guint)rec->ordinal, rec->ordinal == 2 ? '1' : '-');
  check_things(name, rec->state);
  return true;
}

static void check_batch_and_more(const Scenario *s, const InvSnapshot *snap, const WsTask *rec)
{
  g_assert_true(!rec || rec->state == WS_TASK_STATE_ROLLED_BACK);
  g_assert_cmpint(world->there[AFTER_BATCH], ==, 0);
  for (guint i = 10; i < 16; i++)
    g_assert_cmpint(world->there[i], ==, rec != NULL);
}

static const Scenario scenarios[] = {
  {"task_that_succeeds", "three", "0 -", false, false, false, check_three},
  {"task_that_fails_in_its_last_step", "three", "0 2", false, false, false, check_three},
  {"task_that_fails_between_steps", "three", "0 3", false, false, false, check_three},
  {"task_that_is_cancelled", "three", "0 -", false, false, true, check_three},
  {"clone", "clone", "0 -", true, false, false, check_made},
  {"clone_that_fails", "clone", "0 0", true, false, false, check_made},
  {"create", "create", "0 -", false, false, false, check_made},
  {"create_that_fails", "create", "0 0", false, false, false, check_made},
  {"delete", "delete", NULL, true, true, false, check_deleted},
  {"batch", "batch", NULL, false, false, false, check_batch},
  {"batch_whose_next_step_fails", "batch_and_more", NULL, false, false, false, check_batch_and_more},
  {"batch_that_is_cancelled", "batch", NULL, false, false, true, check_batch},
};

static void cancel_when_it_acts(TaskRig *rig, WsId id)
{
  task_rig_until(rig, world->n_order > 0 || task_engine_n_running(rig->engine) == 0);
  task_rig_cancel(rig, id, NULL);
}

static void request(const void *arg)
{
  const Scenario *s = arg;
  TaskRig *rig = open_rig(dir);
  TaskStarted started;
  gint stop_at = world->stop_at;

  world->stop_at = 0;
  world->n_points = 0;
  world->stop_at = stop_at;
  if (task_rig_start(rig, s->kind, s->on_volume ? world->ids[0] : 0, s->plan, false, &started, NULL) && s->cancel)
    cancel_when_it_acts(rig, started.task_id);
  task_rig_wait_idle(rig);
}

static void recover(const void *arg)
{
  TaskRig *rig;

  world->n_points = 0;
  rig = open_rig(dir);
  task_rig_wait_idle(rig);
}

static void recover_and_check(const void *arg)
{
  const Scenario *s = arg;
  const WsTask *root = NULL;
  TaskRig *rig;

  world->stop_at = 0;
  rig = open_rig(dir);
  task_rig_wait_idle(rig);
  check_all_ended(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  inv_each(snap, &ws_type_task, find_root, &root);
  inv_each(snap, &ws_type_task, check_child, NULL);
  s->check(s, snap, root);
  task_rig_free(rig);
}

static void survives_a_kill_at_every_point(const void *arg)
{
  const Scenario *s = arg;
  guint n_in_store = 0, n_again = 0;
  gint n = 1;

  for (;; n += STRIDE) {
    begin_run(s->thing_0);
    world->stop_at = n;
    bool reached_the_end = in_process(request, s, 0);
    n_in_store += (guint)world->stopped_in_store;
    if (!reached_the_end) { /* and once more while it recovers */
      world->stop_at = 1 + n * 7 % 23;
      n_again += !in_process(recover, s, 0);
    }
    g_assert_true(in_process(recover_and_check, s, 0));
    if (reached_the_end)
      break;
  }
  g_test_message("%d points, %u of them in the store; killed again %u times", n - 1, n_in_store, n_again);
  g_assert_cmpint(n, >, 10);
  g_assert_cmpuint(n_in_store, >, 5 / STRIDE);
}

/* ---- between a kill and the end ---- */

static bool wait_for_world(Task *task, void *ctx, GError **error)
{
  world_make(1);
  while (!world->ids[2])
    ws_co_sleep(1000);
  return true;
}

static bool holding(Task *task, GError **error)
{
  return task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_STEP(task, "hold", wait_for_world, NULL, NULL, error);
}

static const TaskKind holding_kind = {"holding", holding, NULL, &ws_type_volume, "holding"};

static void hold_and_die(const void *arg)
{
  TaskRig *rig = open_rig(dir);

  task_engine_register(rig->engine, &holding_kind, 1);
  task_rig_accept(rig, "holding", world->ids[0], NULL);
  kill(getpid(), SIGKILL);
}

static void find_it_held(const void *arg)
{
  TaskRig *rig = task_rig_new(dir);
  g_autoptr(GError) error = NULL;
  TaskStarted started;

  task_engine_register(rig->engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_register(rig->engine, &holding_kind, 1);
  task_engine_resume(rig->engine);
  g_assert_nonnull(task_rig_find_volume(rig, world->ids[0])->activity);
  g_assert_false(task_rig_start(rig, "delete", world->ids[0], NULL, false, &started, &error));
  g_assert_error(error, WS_ERROR, WS_ERROR_BUSY);
  g_assert_cmpstr(ws_error_param(error, "verb"), ==, "holding");
  world->ids[2] = 1;
  task_rig_wait_idle(rig);
  g_assert_true(task_rig_start(rig, "delete", world->ids[0], NULL, true, &started, NULL));
  task_rig_wait_idle(rig);
}

static void task_that_is_taken_up_again_still_holds_its_objects(void)
{
  begin_run(true);
  g_assert_false(in_process(hold_and_die, NULL, 0));
  g_assert_true(in_process(find_it_held, NULL, 0));
}

/* The program that comes up does not know the kind any more: the task cannot be finished, but nobody waits for it for ever. */
static void find_it_unknown(const void *arg)
{
  TaskRig *rig = open_rig(dir);
  const WsTask *root = NULL;

  task_rig_wait_idle(rig);
  check_all_ended(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  inv_each(snap, &ws_type_task, find_root, &root);
  g_assert_cmpint(root->state, ==, WS_TASK_STATE_FAILED);
  g_assert_cmpstr(root->error->code, ==, "unsupported");
  g_assert_cmpstr(root->log.items[root->log.len - 1]->text, ==, "task_left_behind");
}

static void task_of_an_unknown_kind_ends_and_says_what_is_left(void)
{
  begin_run(true);
  g_assert_false(in_process(hold_and_die, NULL, 0));
  g_assert_true(in_process(find_it_unknown, NULL, 0));
}

/* What the function looks up before its steps is away for a while after the restart. */
static bool looking_up(Task *task, GError **error)
{
  if (task_is_resumed(task) && world->ids[3] < 3) {
    world->ids[3]++;
    return ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", "host-1", NULL);
  }
  world->ids[2] = task_is_resumed(task);
  return TASK_STEP(task, "hold", wait_for_world, NULL, NULL, error);
}

static const TaskKind looking_up_kind = {"holding", looking_up, NULL, &ws_type_volume, "holding"};

static void look_up_and_die(const void *arg)
{
  TaskRig *rig = open_rig(dir);

  task_engine_register(rig->engine, &looking_up_kind, 1);
  task_rig_accept(rig, "holding", world->ids[0], NULL);
  kill(getpid(), SIGKILL);
}

static void look_up_again(const void *arg)
{
  TaskRig *rig = task_rig_new(dir);
  const WsTask *root = NULL;

  task_engine_register(rig->engine, &looking_up_kind, 1);
  task_engine_resume(rig->engine);
  task_rig_wait_idle(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  inv_each(snap, &ws_type_task, find_root, &root);
  g_assert_cmpint(root->state, ==, WS_TASK_STATE_DONE);
  g_assert_cmpuint(world->ids[3], ==, 3);
}

static void task_waits_until_it_can_be_taken_up_again(void)
{
  begin_run(true);
  g_assert_false(in_process(look_up_and_die, NULL, 0));
  g_assert_true(in_process(look_up_again, NULL, 0));
}

/* ---- histories: many requests, failures, cancels and kills by chance ---- */

#define REQUESTS 12

typedef struct {
  guint32 seed;
  guint round;
} History;

typedef struct {
  TaskRig *rig;
  guint i;
  GRand *rand;
  guint *n_left;
  guint delay_us, cancel_after_us; /* 0: no cancel */
  char *plan;
} Request;

static void make_request(void *arg)
{
  Request *r = arg;
  TaskEngine *engine = r->rig->engine;
  WsVolumeClone *args = ws_volume_clone_new();
  TaskStarted started;

  args->name = g_strdup(r->plan);
  ws_co_sleep(r->delay_us);
  if (task_start(engine, task_kind_find(engine, "three"), 0, args, NULL, false, 0, &started, NULL)) {
    if (r->cancel_after_us) {
      ws_co_sleep(r->cancel_after_us);
      task_cancel(engine, started.task_id, NULL, NULL);
    }
    task_wait(engine, started.task_id, NULL);
  }
  --*r->n_left;
  g_free(r->plan);
  g_free(r);
}

/* Requests of one round use things of their own: 3 * (12 * round + i) would not fit, so only five per round. */
static void play_round(const void *arg)
{
  const History *h = arg;
  g_autoptr(GRand) rand = g_rand_new_with_seed(h->seed * 31 + h->round);
  TaskRig *rig = open_rig(dir);
  guint n = 5, n_left = n;

  for (guint i = 0; i < n; i++) {
    Request *r = g_new0(Request, 1);
    r->rig = rig;
    r->n_left = &n_left;
    r->delay_us = (guint)g_rand_int_range(rand, 0, 20000);
    r->cancel_after_us = g_rand_int_range(rand, 0, 3) ? 0 : (guint)g_rand_int_range(rand, 1, 20000);
    r->plan = g_strdup_printf("%u %c", 3 * (n * h->round + i), "-----0123"[g_rand_int_range(rand, 0, 9)]);
    ws_co_start(rig->inv.loop, make_request, r);
  }
  task_rig_until(rig, n_left == 0);
  task_rig_wait_idle(rig);
}

static bool check_one(const void *object, void *arg)
{
  const WsTask *rec = object;
  gint *n_accounted = arg;
  g_autoptr(GError) error = NULL;
  WsVolumeClone *args = ws_volume_clone_parse(rec->request, strlen(rec->request), WS_PARSE_STORED, &error);

  g_assert_no_error(error);
  check_things(args->name, rec->state);
  *n_accounted += rec->state == WS_TASK_STATE_DONE ? 3 : 0;
  ws_volume_clone_free(args);
  return true;
}

static void check_history(const void *arg)
{
  gint n_accounted = 0;
  TaskRig *rig;

  world->stop_at = 0;
  rig = open_rig(dir);
  task_rig_wait_idle(rig);
  check_all_ended(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  inv_each(snap, &ws_type_task, check_one, &n_accounted);
  g_assert_cmpuint(world_count(), ==, n_accounted); /* nothing is there that no task owns */
  task_rig_free(rig);
}

static void histories_by_chance_end_done_or_undone(void)
{
  guint n_kills = 0;
  const guint n_seeds = g_test_slow() ? 1000 : 25 / STRIDE;

  for (guint32 seed = 1; seed <= n_seeds; seed++) {
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    begin_run(false);
    for (guint round = 0; round < 4; round++) {
      History h = {seed, round};
      bool from_outside = g_rand_boolean(rand);
      world->n_points = 0;
      world->stop_at = from_outside ? 0 : g_rand_int_range(rand, 1, 150);
      n_kills += !in_process(play_round, &h, from_outside ? (guint)g_rand_int_range(rand, 5000, 60000) : 0);
    }
    g_assert_true(in_process(check_history, NULL, 0));
  }
  g_test_message("%u histories, %u kills", n_seeds, n_kills);
  g_assert_cmpuint(n_kills, >, n_seeds);
}

static char *new_dir(void)
{
  /* In memory where there is such a place: a kill loses nothing that was written, synced or not. */
  const char *base = g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
  char *path = g_build_filename(base, "task-kill-XXXXXX", NULL);

  g_assert_nonnull(g_mkdtemp(path));
  return path;
}

static void remove_dir(char *path)
{
  empty_dir(path);
  g_rmdir(path);
  g_free(path);
}

int main(int argc, char **argv)
{
  int result;

  g_test_init(&argc, &argv, NULL);
  world_new();
  template_dir = new_dir();
  dir = new_dir();
  in_process(make_template, NULL, 0);
  for (guint i = 0; i < G_N_ELEMENTS(scenarios); i++) {
    g_autofree char *path = g_strconcat("/task/kill/", scenarios[i].name, NULL);
    g_test_add_data_func(path, &scenarios[i], survives_a_kill_at_every_point);
  }
  g_test_add_func("/task/kill/task_that_is_taken_up_again_still_holds_its_objects",
                  task_that_is_taken_up_again_still_holds_its_objects);
  g_test_add_func("/task/kill/task_of_an_unknown_kind_ends_and_says_what_is_left",
                  task_of_an_unknown_kind_ends_and_says_what_is_left);
  g_test_add_func("/task/kill/task_waits_until_it_can_be_taken_up_again", task_waits_until_it_can_be_taken_up_again);
  g_test_add_func("/task/kill/histories_by_chance", histories_by_chance_end_done_or_undone);
  result = g_test_run();
  remove_dir(template_dir);
  remove_dir(dir);
  return result;
}
