// SPDX-License-Identifier: Apache-2.0
/* Work that waits its turn: copies at one host, moves from and to one. */
#include "center-runs.h"
#include "center/compute/move.h"
#include "center/turns.h"
#include "task/task-private.h"
#include <string.h>

#define COPIES 12
#define MOVES  6
#define PARALLEL_MOVES 2 /* what holds without a cluster that says more */

static WsId start_ok(CenterRig *rig, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  WsId task = center_rig_start(rig, kind, target, json, &error);
  g_assert_no_error(error);
  return task;
}

static const WsTask *record(const InvSnapshot *snap, WsId task)
{
  return inv_find(snap, &ws_type_task, task);
}

static bool has_log(const WsTask *task, const char *text)
{
  for (guint i = 0; i < task->log.len; i++)
    if (strcmp(task->log.items[i]->text, text) == 0)
      return true;
  return false;
}

typedef struct {
  CenterRig *rig;
  WsId task;
} Cancel;

static void cancel(void *arg)
{
  const Cancel *c = arg;
  task_cancel(c->rig->center.tasks, c->task, "bob", NULL);
}

static void copy_many(CenterRig *rig)
{
  WsId tasks[COPIES];
  guint waited = 0, done = 0;
  for (guint i = 0; i < COPIES; i++) {
    g_autofree char *json = g_strdup_printf("{'name':'copy %u'}", i);
    tasks[i] = start_ok(rig, "volume_clone", "volume", json);
  }
  while (turns_count(rig->center.turns, TURN_COPY).waiting == 0)
    center_rig_run_for(rig, 10);
  g_assert_cmpint(turns_count(rig->center.turns, TURN_COPY).running, ==, TURNS_COPY);
  Cancel c = {rig, tasks[COPIES - 1]};
  center_rig_run(rig, cancel, &c);
  center_rig_settle(rig);
  TurnCounts counts = turns_count(rig->center.turns, TURN_COPY);
  g_assert_cmpint(counts.most, ==, TURNS_COPY);
  g_assert_cmpint(counts.running + counts.waiting, ==, 0);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  for (guint i = 0; i < COPIES; i++) {
    const WsTask *task = record(snap, tasks[i]);
    done += task->state == WS_TASK_STATE_DONE;
    waited += has_log(task, "turn_waits");
    g_assert_null(task->waiting);
  }
  g_assert_cmpuint(waited, >=, COPIES - TURNS_COPY - 1);
  g_assert_cmpint(record(snap, tasks[COPIES - 1])->state, ==, WS_TASK_STATE_CANCELLED);
  g_assert_cmpuint(done, ==, COPIES - 1);
  center_rig_assert_no_quarrel(rig);
}

static void copies_at_a_host_wait_their_turn_and_can_be_cancelled(void)
{
  runs_on_site(copy_many, "many copies");
}

/* ---- moves ---- */

typedef struct {
  guint begun;
} Look;

/* Past its turn, and not at its end. */
static bool look_at_move(const void *object, void *arg)
{
  const WsTask *task = object;
  if (!task->ended && task->steps.len > 1)
    ((Look *)arg)->begun++;
  return true;
}

static guint moves_begun(CenterRig *rig)
{
  Look look = {0};
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  inv_each_by(head, &ws_type_task, ws_type_field(&ws_type_task, "kind", 4), 0, "vm_migrate", look_at_move, &look);
  return look.begun;
}

static void move_many(CenterRig *rig)
{
  WsId tasks[MOVES];
  guint most = 0, waited = 0;
  char name[16];
  for (guint i = 0; i < MOVES; i++) {
    g_autofree char *json = g_strdup_printf("{'name':'m%u','host':'@host','memory_bytes':67108864}", i);
    g_snprintf(name, sizeof name, "mover%u", i);
    center_rig_do(rig, name, "vm_create", NULL, json);
  }
  for (guint i = 0; i < MOVES; i++) {
    g_snprintf(name, sizeof name, "mover%u", i);
    tasks[i] = start_ok(rig, "vm_migrate", name, "{'host':'@second'}");
  }
  for (guint left = MOVES; left;) {
    guint begun = moves_begun(rig);
    most = MAX(most, begun);
    g_assert_cmpuint(begun, <=, PARALLEL_MOVES);
    center_rig_run_for(rig, 1000);
    g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
    left = 0;
    for (guint i = 0; i < MOVES; i++)
      left += !record(head, tasks[i])->ended;
  }
  center_rig_settle(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  for (guint i = 0; i < MOVES; i++) {
    g_assert_cmpint(record(snap, tasks[i])->state, ==, WS_TASK_STATE_DONE);
    waited += has_log(record(snap, tasks[i]), "turn_waits");
  }
  g_assert_cmpuint(most, ==, PARALLEL_MOVES);
  g_assert_cmpuint(waited, >=, MOVES - PARALLEL_MOVES);
  center_rig_assert_no_quarrel(rig);
}

static void no_host_has_more_moves_than_it_may(void)
{
  runs_on_site(move_many, "many moves");
}

/* ---- a turn that was taken and is not recorded yet ---- */

typedef struct {
  CenterRig *rig;
  WsId tasks[3];
} Racing;

/* Its first step is under way: it waits. */
static void begin_waiting(InvTxn *txn, WsId task)
{
  WsTask *rec = inv_edit_id(txn, &ws_type_task, task);
  WsTaskStep *step = ws_task_step_new();
  step->name = g_strdup(MOVE_TURN);
  step->state = WS_TASK_STEP_STATE_RUNNING;
  ws_array_add(&rec->steps, step);
}

static void race(void *arg)
{
  Racing *r = arg;
  Center *center = &r->rig->center;
  g_autoptr(GError) error = NULL;
  WsId from = r->rig->hosts[0].id, to = r->rig->hosts[1].id;
  char from_text[24], to_text[24];
  guint limit = 0;
  g_snprintf(from_text, sizeof from_text, "%" G_GUINT64_FORMAT, from);
  g_snprintf(to_text, sizeof to_text, "%" G_GUINT64_FORMAT, to);
  InvTxn *txn = inv_begin(center->inventory);
  for (guint i = 0; i < 3; i++) { /* the children of a batch: all are recorded before the first begins */
    WsTask *task = inv_create(txn, &ws_type_task);
    task->kind = g_strdup("vm_migrate");
    task->state = WS_TASK_STATE_RUNNING;
    ws_map_set(&task->choices, "from", from_text);
    ws_map_set(&task->choices, "to", to_text);
    r->tasks[i] = task->id;
    if (i > 0)
      begin_waiting(txn, task->id);
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
  g_autoptr(InvSnapshot) early = inv_snapshot(center->inventory);
  for (guint i = 1; i < 3; i++)
    g_assert_cmpuint(move_take_turn(center, early, r->tasks[i], from, to, &limit), ==, 0);

  txn = inv_begin(center->inventory);
  begin_waiting(txn, r->tasks[0]); /* the first comes late, and the records of the others say still that they wait */
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
  g_autoptr(InvSnapshot) late = inv_snapshot(center->inventory);
  g_assert_cmpuint(move_take_turn(center, late, r->tasks[0], from, to, &limit), ==, from);
  g_assert_cmpuint(limit, ==, PARALLEL_MOVES);

  txn = inv_begin(center->inventory);
  for (guint i = 0; i < 3; i++)
    inv_delete(txn, &ws_type_task, r->tasks[i]);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void race_on_site(CenterRig *rig)
{
  Racing r = {.rig = rig};
  center_rig_run(rig, race, &r);
}

static void turn_that_is_not_recorded_yet_counts(void)
{
  runs_on_site(race_on_site, "turns taken");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
  g_test_add_func("/center/turns/copies_at_a_host_wait_their_turn_and_can_be_cancelled", copies_at_a_host_wait_their_turn_and_can_be_cancelled);
  g_test_add_func("/center/turns/no_host_has_more_moves_than_it_may", no_host_has_more_moves_than_it_may);
  g_test_add_func("/center/turns/turn_that_is_not_recorded_yet_counts", turn_that_is_not_recorded_yet_counts);
  int result = g_test_run();
  runs_end();
  return result;
}
