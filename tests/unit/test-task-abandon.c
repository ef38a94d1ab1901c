// SPDX-License-Identifier: Apache-2.0
/* A task whose undoing waits for a host that does not come back, and the user who does not want to wait. */
#include "task-rig.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Steps "enter" (makes a volume), "make" and "fail"; the undo of "make" waits for a host. */
static bool host_is_away;
static guint n_undos[2]; /* of enter, make */
static WsId target, made;

static bool enter(Task *task, void *ctx, GError **error)
{
  WsId *id = ctx;
  const WsVolume *like = inv_find(task_snapshot(task), &ws_type_volume, task_target(task));
  WsVolume *volume = inv_create_with_id(task_txn(task), &ws_type_volume, *id);
  volume->pool = like->pool;
  volume->name = g_strdup("made");
  task_lock_new(task, task_txn(task), volume);
  return true;
}

static bool leave(Task *task, void *ctx, GError **error)
{
  n_undos[0]++;
  inv_delete(task_txn(task), &ws_type_volume, *(WsId *)ctx);
  return true;
}

static bool make(Task *task, void *ctx, GError **error)
{
  world_make(0);
  return true;
}

static bool unmake(Task *task, void *ctx, GError **error)
{
  n_undos[1]++;
  if (host_is_away)
    return ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", "host-1", NULL);
  world_remove(0);
  return true;
}

static bool fail(Task *task, void *ctx, GError **error)
{
  return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", "pool-1", "need", "2", "free", "1", NULL);
}

static bool leave_target(Task *task, void *ctx, GError **error)
{
  inv_delete(task_txn(task), &ws_type_volume, task_target(task));
  return true;
}

static bool building(Task *task, GError **error)
{
  WsId id = task_new_id(task, "volume");
  made = id;
  return task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_STEP(task, "enter", enter, leave, &id, error) && TASK_STEP(task, "make", make, unmake, NULL, error) &&
         TASK_STEP(task, "fail", fail, NULL, NULL, error);
}

/* Past the way back: its one step waits for a host. */
static bool destroy(Task *task, void *ctx, GError **error)
{
  return !host_is_away || ws_fail(error, WS_ERROR_HOST_UNREACHABLE, "host", "host-1", NULL);
}

static bool destroying(Task *task, GError **error)
{
  task_allow_cancel(task, false);
  return task_lock(task, &(TaskLockRef){&ws_type_volume, task_target(task), false}, 1, error) &&
         TASK_STEP(task, "destroy", destroy, NULL, NULL, error) && TASK_LAST(task, "forget", leave_target, NULL, error);
}

static bool of_children(Task *task, GError **error)
{
  TaskChild one = {.target = task_target(task), .args = ws_volume_clone_new()};
  ((WsVolumeClone *)one.args)->name = g_strdup("x");
  return task_run_children(task, task_kind_find(task_engine(task), "building"), &one, 1, 1, error);
}

static const TaskKind kinds[] = {{"of children", of_children, NULL, &ws_type_volume, NULL}, {"destroying", destroying, NULL, &ws_type_volume, "deleting"}, {"building", building, &ws_type_volume_clone, &ws_type_volume, "cloning"}};

/* ---- the rig ---- */

static TaskRig *rig;
static GPtrArray *told; /* ids of half made objects, as text */

static void on_abandoned(InvTxn *txn, const WsTask *task, void *center)
{
  for (guint i = 0; i < task->locks.len; i++)
    if (task->locks.items[i]->made)
      g_ptr_array_add(told, g_strdup_printf("%s-%" G_GUINT64_FORMAT, task->locks.items[i]->object.type->prefix, task->locks.items[i]->object.id));
}

static void begin(const char *dir)
{
  rig = task_rig_new(dir);
  task_engine_register(rig->engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_set_abandoned(rig->engine, on_abandoned);
  told = g_ptr_array_new_with_free_func(g_free);
  host_is_away = true;
  memset(n_undos, 0, sizeof n_undos);
}

static void end(void)
{
  host_is_away = false;
  task_rig_wait_idle(rig);
  g_assert_cmpuint(g_hash_table_size(rig->engine->locks), ==, 0);
  g_clear_pointer(&rig, task_rig_free);
  g_clear_pointer(&told, g_ptr_array_unref);
}

typedef struct {
  WsId task;
  bool ok, done;
  GError *error;
} Ask;

static void ask(void *arg)
{
  Ask *a = arg;
  a->ok = task_abandon(rig->engine, a->task, "bob", &a->error);
  a->done = true;
}

static bool abandon(WsId task, WsErrorCode refused)
{
  Ask a = {.task = task};
  ws_co_start(rig->inv.loop, ask, &a);
  task_rig_wait(rig, &a.done);
  if (refused)
    g_assert_error(a.error, WS_ERROR, (gint)refused);
  else
    g_assert_no_error(a.error);
  g_clear_error(&a.error);
  return a.ok;
}

static WsId waiting_task(void)
{
  WsId id = task_rig_accept(rig, "building", target, "x");
  task_rig_until(rig, task_rig_record(rig, id)->waiting);
  g_assert_cmpint(task_rig_record(rig, id)->state, ==, WS_TASK_STATE_ROLLING_BACK);
  return id;
}

static void assert_abandoned(const WsTask *rec)
{
  g_assert_cmpint(rec->state, ==, WS_TASK_STATE_ABANDONED);
  g_assert_cmpstr(rec->abandoned_by, ==, "bob");
  g_assert_cmpstr(rec->error->code, ==, "no_capacity"); /* why it failed stays */
  g_assert_null(rec->waiting);
  g_assert_cmpint(rec->steps.items[0]->state, ==, WS_TASK_STEP_STATE_LEFT);
  g_assert_cmpint(rec->steps.items[1]->state, ==, WS_TASK_STEP_STATE_LEFT);
  g_assert_cmpint(rec->steps.items[2]->state, ==, WS_TASK_STEP_STATE_FAILED);
  g_assert_cmpuint(rec->locks.len, ==, 0);
  guint said = 0;
  for (guint i = 0; i < rec->log.len; i++)
    said += strcmp(rec->log.items[i]->text, "task_left_behind") == 0;
  g_assert_cmpuint(said, ==, 2);
}

/* ---- tests ---- */

static void abandoned_task_frees_its_locks_and_says_what_is_left(void)
{
  begin(NULL);
  task_engine_resume(rig->engine);
  target = task_rig_volume(rig, "v");
  WsId id = waiting_task();
  g_assert_true(abandon(id, 0));
  assert_abandoned(task_rig_end(rig, id));
  g_assert_cmpuint(n_undos[0], ==, 0); /* the object stays: what is on the host is known by it */
  g_assert_nonnull(task_rig_find_volume(rig, made));
  g_assert_null(task_rig_find_volume(rig, made)->activity);
  g_assert_null(task_rig_find_volume(rig, target)->activity);
  g_assert_cmpuint(told->len, ==, 1);
  g_autofree char *expected = g_strdup_printf("vol-%" G_GUINT64_FORMAT, made);
  g_assert_cmpstr(told->pdata[0], ==, expected);
  end();
}

static WsId only_child(WsId parent)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->inv.inv);
  const WsTask *child = inv_find_by(snap, &ws_type_task, "parent", parent, NULL);
  return child ? child->id : 0;
}

/* It has ended, and not well. */
static void abandoned_child_counts_as_failed(void)
{
  begin(NULL);
  task_engine_resume(rig->engine);
  target = task_rig_volume(rig, "v");
  WsId parent = task_rig_accept(rig, "of children", target, NULL);
  task_rig_until(rig, only_child(parent) && task_rig_record(rig, only_child(parent))->waiting);
  g_assert_true(abandon(only_child(parent), 0));
  const WsTask *rec = task_rig_end(rig, parent);
  g_assert_cmpint(rec->children->running, ==, 0);
  g_assert_cmpint(rec->children->failed, ==, 1);
  g_assert_cmpstr(rec->error->code, ==, "no_capacity");
  end();
}

static void undo_that_succeeds_after_all_is_no_abandonment(void)
{
  begin(NULL);
  task_engine_resume(rig->engine);
  target = task_rig_volume(rig, "v");
  WsId id = waiting_task();
  host_is_away = false; /* it came back just now */
  g_assert_true(abandon(id, 0));
  const WsTask *rec = task_rig_end(rig, id);
  g_assert_cmpint(rec->state, ==, WS_TASK_STATE_ROLLED_BACK);
  g_assert_null(task_rig_find_volume(rig, made));
  g_assert_cmpuint(told->len, ==, 0);
  g_assert_cmpuint(world_count(), ==, 0);
  end();
}

static void task_past_its_way_back_is_abandoned_where_it_waits(void)
{
  begin(NULL);
  task_engine_resume(rig->engine);
  target = task_rig_volume(rig, "v");
  WsId id = task_rig_accept(rig, "destroying", target, NULL);
  task_rig_until(rig, task_rig_record(rig, id)->waiting);
  g_assert_true(abandon(id, 0));
  const WsTask *rec = task_rig_end(rig, id);
  g_assert_cmpint(rec->state, ==, WS_TASK_STATE_ABANDONED);
  g_assert_cmpint(rec->steps.items[0]->state, ==, WS_TASK_STEP_STATE_LEFT);
  g_assert_cmpstr(rec->error->code, ==, "host_unreachable");
  g_assert_null(task_rig_find_volume(rig, target)->activity);
  end();
}

static void only_what_waits_to_be_undone_is_abandoned(void)
{
  begin(NULL);
  task_engine_resume(rig->engine);
  target = task_rig_volume(rig, "v");
  abandon(4711, WS_ERROR_NOT_FOUND);
  host_is_away = false;
  WsId id = task_rig_accept(rig, "building", target, "x");
  abandon(id, WS_ERROR_NOT_ALLOWED); /* it gets on by itself */
  task_rig_end(rig, id);
  abandon(id, WS_ERROR_NOT_ALLOWED);
  host_is_away = true;
  id = waiting_task();
  g_assert_true(abandon(id, 0));

  end();
}

/* Killed when the answer is out: the next process ends it. */
static void abandonment_outlives_a_kill(void)
{
  g_autofree char *dir = g_dir_make_tmp("ws-abandon-XXXXXX", NULL);
  world_new();
  world_clear();
  pid_t pid = fork();
  if (pid == 0) {
    begin(dir);
    task_engine_resume(rig->engine);
    target = task_rig_volume(rig, "v");
    world->ids[0] = waiting_task();
    abandon(world->ids[0], 0);
    kill(getpid(), SIGKILL);
  }
  int status;
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  g_assert_true(WIFSIGNALED(status));
  begin(dir);
  task_engine_resume(rig->engine);
  const WsTask *rec = task_rig_end(rig, world->ids[0]);
  assert_abandoned(rec);
  end();
  g_autoptr(GDir) files = g_dir_open(dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name(files));) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_unlink(path);
  }
  g_rmdir(dir);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/task/abandon/" #name, name)
  TEST(abandonment_outlives_a_kill); /* forks: before any thread */
  TEST(abandoned_task_frees_its_locks_and_says_what_is_left);
  TEST(abandoned_child_counts_as_failed);
  TEST(task_past_its_way_back_is_abandoned_where_it_waits);
  TEST(undo_that_succeeds_after_all_is_no_abandonment);
  TEST(only_what_waits_to_be_undone_is_abandoned);
  return g_test_run();
}
