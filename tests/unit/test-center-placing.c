// SPDX-License-Identifier: Apache-2.0
/* Where VMs are put, and where they go when a host is emptied, in a real manager with two simulated hosts:
 * room, what is reserved, processors, many at once; and what is said about it. */
#include "center-runs.h"
#include "center/cluster/evacuation.h"
#include "center/compute/compute.h"
#include "center/compute/place.h"
#include "center/pools.h"
#include <string.h>

/* ---- looking ---- */

static WsId host_of(CenterRig *rig, const char *vm)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return ((const WsVm *)inv_find(snap, &ws_type_vm, rig_world_find(rig->world, vm)))->host;
}

static void assert_on(CenterRig *rig, const char *vm, const char *host)
{
  g_assert_cmpuint(host_of(rig, vm), ==, rig_world_find(rig->world, host));
}

static int mode_of(CenterRig *rig, const char *name)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return (int)((const WsHost *)inv_find(snap, &ws_type_host, rig_world_find(rig->world, name)))->mode;
}

static int power_of(CenterRig *rig, const char *vm)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  return (int)((const WsVm *)inv_find(snap, &ws_type_vm, rig_world_find(rig->world, vm)))->power->state;
}

static void assert_refused(CenterRig *rig, WsErrorCode code, const char *kind, const char *target,
                           const char *json, const char *const *parts)
{
  g_autoptr(GError) error = NULL;
  g_assert_cmpuint(center_rig_start(rig, kind, target, json, &error), ==, 0);
  g_assert_cmpint(ws_error_code(error), ==, code);
  for (; *parts; parts++)
    if (!strstr(error->message, *parts))
      g_error("\"%s\" does not say \"%s\"", error->message, *parts);
  center_rig_settle(rig);
}
#define REFUSED(rig, code, kind, target, json, ...)                                                          \
  assert_refused(rig, code, kind, target, json, (const char *const[]){__VA_ARGS__, NULL})

/* A parameter of all lines of that text in the newest task's log, with the line's `what` before it; NULL:
 * there is none. Borrowed until the next call. */
static const char *logged(CenterRig *rig, const char *text, const char *param)
{
  static char *said;
  const WsTask *task = center_rig_last_task(rig);
  g_autoptr(GString) all = g_string_new(NULL);
  for (guint i = 0; task && i < task->log.len; i++)
    if (strcmp(task->log.items[i]->text, text) == 0) {
      const char *what = ws_map_get(&task->log.items[i]->params, "what");
      g_string_append_printf(all, "[%s] %s\n", what ? what : "-",
                             ws_map_get(&task->log.items[i]->params, param));
    }
  g_free(said);
  said = all->len ? g_strdup(all->str) : NULL;
  return said;
}

static void assert_logged(CenterRig *rig, const char *text, const char *param, const char *part)
{
  const char *value = logged(rig, text, param);
  if (!value || !strstr(value, part))
    g_error("%s of %s is \"%s\", which does not say \"%s\"", param, text, value ? value : "(nothing)", part);
}

/* The lines of a dry run. */
typedef struct {
  CenterRig *rig;
  const char *kind, *target;
  void *args;
  const char *request; /* NULL: none */
  TaskStarted started;
  GError *error;
} Dry;

static void run_dry(void *arg)
{
  Dry *dry = arg;
  Center *center = &dry->rig->center;
  const TaskCause why = {.user_name = "alice", .cause = "user", .request_id = dry->request};
  task_start(center->tasks, task_kind_find(center->tasks, dry->kind),
             dry->target ? rig_world_find(dry->rig->world, dry->target) : 0, dry->args, &why, true, 0,
             &dry->started, &dry->error);
}

/* ---- the site ---- */

static void take_second_out(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  ((WsHost *)inv_edit_id(txn, &ws_type_host, rig_world_find(rig->world, "second")))->cluster = 0;
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void power_off(CenterRig *rig, const char *const *vms)
{
  for (; *vms; vms++)
    center_rig_do(rig, NULL, "vm_power_off", *vms, NULL);
}

/* An image that both hosts reach. */
static void make_shared_image(CenterRig *rig)
{
  center_rig_do(rig, "wide", "image_create", NULL,
                "{'name':'wide','pool':'@shared_pool','source':'@volume','architecture':'x86_64'}");
}

/* ---- a single host is emptied ---- */

/* The other host is in a cluster: its VMs would be under rules and on networks that nobody meant for them. */
static void ask_to_scatter(CenterRig *rig)
{
  REFUSED(rig, WS_ERROR_NO_HOST, "host_enter_maintenance", "host", NULL,
          "5 virtual machines find no other host", "sharer", "paused",
          "there is no other host without a cluster in its host pool");
  REFUSED(rig, WS_ERROR_NO_HOST, "host_maintain", "host", NULL, "virtual machines find no other host");
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_migrate", "sharer", NULL, "host");
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_NORMAL);
  power_off(rig, (const char *const[]){"mover", "running", "paused", NULL});
  center_rig_run(rig, take_second_out, rig);
  center_rig_do(rig, NULL, "vm_migrate", "sharer", "{}");
  assert_logged(rig, "placed_as", "host", "second");
  center_rig_do(rig, NULL, "vm_migrate", "sharer", "{'host':'@host'}");
  center_rig_do(rig, NULL, "host_enter_maintenance", "host", NULL);
  assert_on(rig, "sharer", "second");
  assert_on(rig, "still", "second");
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_MAINTENANCE);
  center_rig_assert_no_quarrel(rig);
}

static void vms_of_a_single_host_go_to_single_hosts_only(void)
{
  runs_on_site(ask_to_scatter, "a single host is emptied");
}

/* ---- what does not run ---- */

static void ask_to_leave_what_is_off(CenterRig *rig)
{
  power_off(rig, (const char *const[]){"mover", "running", "paused", "still", NULL});
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  Dry dry = {.rig = rig, .kind = "host_enter_maintenance", .target = "host"};
  center_rig_run(rig, run_dry, &dry);
  g_assert_no_error(dry.error);
  g_autofree char *steps = g_strjoinv("\n", dry.started.dry_steps);
  g_assert_nonnull(strstr(steps, "virtual machines that are off stay: "));
  g_assert_nonnull(strstr(steps, "host: 1 virtual machines that are hibernated stay: hibernated"));
  g_strfreev(dry.started.dry_steps);
  center_rig_do(rig, NULL, "host_enter_maintenance", "host", NULL);
  assert_on(rig, "sharer", "second");
  assert_on(rig, "resting", "host");
  assert_on(rig, "copied", "host");
  assert_logged(rig, "stays_on_host", "names", "[that are off] mover, still, resting");
  assert_logged(rig, "stays_on_host", "names", "[that are in the recycle bin] binned");
  assert_logged(rig, "stays_on_pools", "names", "v, b");
  center_rig_assert_no_quarrel(rig);
}

static void ask_to_move_what_is_off(CenterRig *rig)
{
  power_off(rig, (const char *const[]){"mover", "running", "paused", "still", NULL});
  for (guint i = 0; i < 2; i++)
    center_rig_do(rig, NULL, "vm_eject_cd", i ? "running" : "paused", "{}");
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_cmpuint(center_rig_start(rig, "host_enter_maintenance", "host", "{'powered_off':'move'}", &error),
                   !=, 0);
  g_assert_no_error(error);
  center_rig_settle(rig);
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_MAINTENANCE);
  assert_on(rig, "sharer", "second");
  assert_on(rig, "resting", "second"); /* on a pool that both have */
  assert_on(rig, "copied", "second");  /* with its disk */
  assert_on(rig, "running", "second");
  assert_on(rig, "hibernated", "host"); /* its memory lies there */
  assert_on(rig, "off", "host");        /* an ISO keeps it */
  g_assert_null(strstr(logged(rig, "stays_on_host", "names"), "resting"));
  assert_logged(rig, "stays_on_host", "names", "[that are hibernated] hibernated");
  assert_logged(rig, "stays_on_host", "names", "[that are off] off");
  center_rig_assert_no_quarrel(rig);
}

static void back_to_work(void *host)
{
  ((WsHost *)host)->mode = WS_HOST_MODE_NORMAL;
}

/* None of those that are off can leave: the other host has nothing of what they need. */
static void ask_to_move_what_cannot(CenterRig *rig)
{
  static const char *const gone[] = {"sharer", "mover", "running", "paused", "still", NULL};
  power_off(rig, gone);
  for (guint i = 0; gone[i]; i++)
    center_rig_do(rig, NULL, "vm_delete", gone[i], "{'how':'forget'}");
  center_rig_do(rig, NULL, "vm_delete", "resting", "{'how':'forget'}");
  center_rig_do(rig, NULL, "vm_delete", "copied", "{'how':'forget'}");
  center_rig_do(rig, NULL, "vm_delete", "linked", "{'how':'forget'}");
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  static const char *const ways[] = {"{'powered_off':'move'}", "{'vms':'refuse','powered_off':'move'}"};
  for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
    g_autoptr(GError) error = NULL;
    g_assert_cmpuint(center_rig_start(rig, "host_enter_maintenance", "host", ways[i], &error), !=, 0);
    g_assert_no_error(error);
    center_rig_settle(rig);
    g_assert_cmpint(center_rig_last_task(rig)->state, ==, WS_TASK_STATE_PARTLY_DONE);
    g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_MAINTENANCE);
    assert_on(rig, "off", "host");
    assert_logged(rig, "stays_on_host", "names", "[that are off] off");
    center_rig_edit(rig, &ws_type_host, "host", back_to_work);
  }
  center_rig_assert_no_quarrel(rig);
}

/* They were asked to shut down and did not: they are not moved in place of that. */
static void ask_what_does_not_hear(CenterRig *rig)
{
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  power_off(rig, (const char *const[]){"running", "paused", "still", NULL});
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsVm *deaf = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, "sharer"));
  g_strlcpy(rig->world->hosts[0].deaf, deaf->uuid, sizeof rig->world->hosts[0].deaf);
  g_autoptr(GError) error = NULL;
  center_rig_start(rig, "host_enter_maintenance", "host",
                   "{'vms':'shut_down','shut_down_timeout_s':10,'powered_off':'move'}", &error);
  g_assert_no_error(error);
  center_rig_settle(rig);
  assert_on(rig, "sharer", "host");
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_NORMAL);
  g_assert_cmpstr(center_rig_last_task(rig)->error->code, ==, "host_not_empty");
}

static void what_does_not_run_stays_and_is_told_or_moves(void)
{
  runs_on_site(ask_to_move_what_cannot, "what is off cannot move");
  runs_on_site(ask_what_does_not_hear, "what runs does not end");
  runs_on_site(ask_to_leave_what_is_off, "what is off stays");
  runs_on_site(ask_to_move_what_is_off, "what is off moves");
}

/* The manager is killed on the way: all that may leave has left in the end, or, where nothing was on record
 * yet, nothing happened. */
static void leave_with_what_is_off(CenterRig *rig)
{
  power_off(rig, (const char *const[]){"mover", "running", "paused", "still", NULL});
  for (guint i = 0; i < 3; i++) /* of those that are off only two can leave */
    center_rig_do(rig, NULL, "vm_delete",
                  i == 0   ? "copied"
                  : i == 1 ? "linked"
                           : "mover",
                  "{'how':'forget'}");
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  runs_arm(rig);
  g_autoptr(GError) error = NULL;
  center_rig_start(rig, "host_enter_maintenance", "host", "{'powered_off':'move'}", &error);
  g_assert_no_error(error);
  center_rig_settle(rig);
}

static void see_them_gone(CenterRig *rig)
{
  center_rig_settle(rig);
  bool begun = strcmp(center_rig_last_task(rig)->kind, "host_enter_maintenance") == 0;
  g_assert_cmpint(mode_of(rig, "host"), ==, begun ? WS_HOST_MODE_MAINTENANCE : WS_HOST_MODE_NORMAL);
  for (guint i = 0; i < 3; i++)
    assert_on(rig, i == 0 ? "sharer" : i == 1 ? "resting" : "still", begun ? "second" : "host");
  center_rig_assert_no_quarrel(rig);
}

static void manager_that_is_killed_goes_on_emptying(void)
{
  g_assert_cmpint(runs_kill_at_each_point(leave_with_what_is_off, see_them_gone, false), >, 20);
}

/* ---- what is reserved ---- */

static void ask_for_what_is_reserved(CenterRig *rig)
{
  REFUSED(rig, WS_ERROR_OUT_OF_RANGE, "vm_create", NULL,
          "{'name':'x','host':'@host','cpu':{'vcpus':1,'reservation_percent':101}}",
          "cpu.reservation_percent");
  center_rig_do(rig, "first", "vm_create", NULL,
                "{'name':'first','host':'@host','cpu':{'vcpus':15,'reservation_percent':1500}}");
  center_rig_do(rig, "next", "vm_create", NULL,
                "{'name':'next','host':'@host','cpu':{'vcpus':2,'reservation_percent':200}}");
  center_rig_do(rig, NULL, "vm_start", "first", NULL);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_start", "next", NULL, "host",
          "not enough processors left that are not reserved");
  center_rig_do(rig, NULL, "vm_update", "next", "{'patch':{'cpu':{'reservation_percent':100}}}");
  center_rig_do(rig, NULL, "vm_start", "next", NULL);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_update", "next", "{'patch':{'cpu':{'reservation_percent':101}}}",
          "not reserved"); /* it runs */
  center_rig_do(rig, "guest", "vm_create", NULL,
                "{'name':'guest','host':'@second','cpu':{'vcpus':1,'reservation_percent':50}}");
  center_rig_do(rig, NULL, "vm_start", "guest", NULL);
  REFUSED(rig, WS_ERROR_CANNOT_MOVE, "vm_migrate", "guest", "{'host':'@host'}",
          "not enough processors left that are not reserved");
  make_shared_image(rig);
  center_rig_do(
      rig, "floor", "vm_deploy", NULL,
      "{'name':'floor','image':'@wide','pool':'@shared_pool','cpu':{'vcpus':1,'reservation_percent':100}}");
  assert_on(rig, "floor", "second");
  assert_logged(rig, "placed_left_out", "reason", "host: not enough processors left that are not reserved");
  center_rig_assert_no_quarrel(rig);
}

/* Twice its memory may be promised there, but nothing of what is reserved. */
static void allow_overcommit(void *host)
{
  ((WsHost *)host)->memory_overcommit_ratio = 2;
}

static void ask_for_memory_that_is_reserved(CenterRig *rig)
{
  center_rig_edit(rig, &ws_type_host, "second", allow_overcommit);
  center_rig_do(rig, "a", "vm_create", NULL,
                "{'name':'a','host':'@second','memory_bytes':42949672960,'memory_policy':{'reservation_"
                "percent':75}}"); /* 30 of 40 GiB */
  center_rig_do(
      rig, "b", "vm_create", NULL,
      "{'name':'b','host':'@second','memory_bytes':42949672960,'memory_policy':{'reservation_percent':75}}");
  center_rig_do(rig, NULL, "vm_start", "a", NULL);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_start", "b", NULL, "not enough memory left beside what is reserved");
  center_rig_do(rig, NULL, "vm_update", "b", "{'patch':{'memory_policy':{'reservation_percent':0}}}");
  center_rig_do(rig, NULL, "vm_start", "b", NULL);
}

/* Each alone would fit: starts side by side, and a move to a host where one starts. */
static void ask_for_what_is_promised(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  center_rig_edit(rig, &ws_type_host, "second", allow_overcommit);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *json =
        g_strdup_printf("{'name':'%c','host':'@%s','memory_bytes':41875931136,'memory_policy':{"
                        "'reservation_percent':100}}", /* 39 of 62 GiB */
                        'a' + i, i == 2 ? "host" : "second");
    center_rig_do(rig, (const char[]){(char)('a' + i), 0}, "vm_create", NULL, json);
  }
  g_assert_cmpuint(center_rig_start(rig, "batch", NULL, "{'verb':'start','ids':['@a','@b']}", &error), !=, 0);
  g_assert_no_error(error);
  center_rig_settle(rig);
  g_assert_cmpint(center_rig_last_task(rig)->state, ==, WS_TASK_STATE_PARTLY_DONE);
  g_assert_cmpint(power_of(rig, "a"), ==, WS_POWER_STATE_RUNNING);
  g_assert_cmpint(power_of(rig, "b"), ==, WS_POWER_STATE_OFF);
  center_rig_do(rig, NULL, "vm_power_off", "a", NULL);
  center_rig_do(rig, NULL, "vm_start", "c", NULL);

  g_assert_cmpuint(center_rig_start(rig, "vm_start", "b", NULL, &error), !=, 0);
  g_assert_no_error(error);
  REFUSED(rig, WS_ERROR_CANNOT_MOVE, "vm_migrate", "c", "{'host':'@second'}", "beside what is reserved");
  center_rig_do(rig, NULL, "vm_power_off", "b", NULL);

  g_assert_cmpuint(center_rig_start(rig, "vm_migrate", "c", "{'host':'@second'}", &error), !=, 0);
  g_assert_no_error(error);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_start", "a", NULL, "beside what is reserved");
  assert_on(rig, "c", "second");
  center_rig_assert_no_quarrel(rig);
}

/* Each alone could be raised: who commits first has it, and the other one is as it was, on its host too. */
static void ask_to_raise_two_at_once(CenterRig *rig)
{
  static const char *const names[] = {"a", "b"};
  g_autoptr(GError) error = NULL;
  WsId tasks[2];
  guint raised = 0;
  for (guint i = 0; i < 2; i++) {
    g_autofree char *json = g_strdup_printf("{'name':'%s','host':'@second','cpu':{'vcpus':10}}", names[i]);
    center_rig_do(rig, names[i], "vm_create", NULL, json);
    center_rig_do(rig, NULL, "vm_start", names[i], NULL);
  }
  for (guint i = 0; i < 2; i++) {
    tasks[i] =
        center_rig_start(rig, "vm_update", names[i], "{'patch':{'cpu':{'reservation_percent':900}}}", &error);
    g_assert_no_error(error);
  }
  center_rig_settle(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  for (guint i = 0; i < 2; i++) {
    const WsTask *task = inv_find(snap, &ws_type_task, tasks[i]);
    const WsVm *vm = inv_find(snap, &ws_type_vm, rig_world_find(rig->world, names[i]));
    bool done = task->state == WS_TASK_STATE_DONE;
    raised += done;
    g_assert_cmpint(vm->cpu->reservation_percent == 900, ==, done);
    if (!done)
      g_assert_cmpstr(task->error->code, ==, "no_host");
  }
  g_assert_cmpuint(raised, ==, 1);
  center_rig_assert_no_quarrel(rig);
}

static void what_is_reserved_is_nobody_elses(void)
{
  runs_on_site(ask_to_raise_two_at_once, "reservations raised side by side");
  runs_on_site(ask_for_what_is_promised, "promised memory");
  runs_on_site(ask_for_what_is_reserved, "reserved processors");
  runs_on_site(ask_for_memory_that_is_reserved, "reserved memory");
}

/* ---- many at once ---- */

typedef struct {
  const char *prefix;
  guint n;
} Count;

static bool count_vm(const void *object, void *arg)
{
  Count *count = arg;
  count->n += g_str_has_prefix(((const WsVm *)object)->name, count->prefix);
  return true;
}

static guint count_on(CenterRig *rig, const char *host, const char *prefix)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  Count count = {prefix, 0};
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), rig_world_find(rig->world, host),
              NULL, count_vm, &count);
  return count.n;
}

static void ask_for_many(CenterRig *rig)
{
  make_shared_image(rig);
  static const char many[] = "{'name':'m','image':'@wide','pool':'@shared_pool','linked':true,'memory_bytes':"
                             "21609054208,'count':60}";
  REFUSED(rig, WS_ERROR_NO_ROOM_FOR_ALL, "vm_deploy", NULL, many, "Of 60 virtual machines only 5 find a host",
          "not enough memory left");
  g_assert_cmpuint(count_on(rig, "host", "m-") + count_on(rig, "second", "m-"), ==, 0);

  WsVmDeploy *args = ws_vm_deploy_new();
  ws_apply_defaults(&ws_type_vm_deploy, args);
  args->name = g_strdup("m");
  args->image = rig_world_find(rig->world, "wide");
  args->pool = rig_world_find(rig->world, "shared_pool");
  args->linked = true;
  args->memory_bytes =
      21609054208; /* 20 GiB and a little: three on one host, two beside what runs on the other */
  args->count = 5;
  WsVmDeploy *too_many = ws_vm_deploy_copy(args);
  too_many->count = 6;
  Dry dry = {.rig = rig, .kind = "vm_deploy", .args = args},
      refused = {.rig = rig, .kind = "vm_deploy", .args = too_many};
  center_rig_run(rig, run_dry, &refused);
  g_assert_error(refused.error, WS_ERROR, WS_ERROR_NO_ROOM_FOR_ALL);
  g_clear_error(&refused.error);
  center_rig_run(rig, run_dry, &dry);
  g_assert_no_error(dry.error);
  guint on_second = 0;
  for (guint i = 0; i < 5; i++) {
    g_autofree char *name = g_strdup_printf("m-%u -> ", i + 1);
    g_assert_true(g_str_has_prefix(dry.started.dry_steps[i], name));
    on_second += g_str_has_suffix(dry.started.dry_steps[i], "second");
  }
  g_strfreev(dry.started.dry_steps);
  g_assert_cmpuint(on_second, ==, 3); /* nothing runs there yet */

  center_rig_do(rig, NULL, "vm_deploy", NULL,
                "{'name':'m','image':'@wide','pool':'@shared_pool','linked':true,'memory_bytes':21609054208,'"
                "count':5}");
  g_assert_cmpuint(count_on(rig, "second", "m-"), ==, 3);
  g_assert_cmpuint(count_on(rig, "host", "m-"), ==, 2);
  assert_logged(rig, "placed_many", "hosts", "second (3)");
  center_rig_assert_no_quarrel(rig);
}

/* Those of the first that are still to come have their places already. */
static void ask_for_many_twice(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  make_shared_image(rig);
  g_assert_cmpuint(
      center_rig_start(rig, "vm_deploy", NULL,
                       "{'name':'m','image':'@wide','linked':true,'memory_bytes':10737418240,'count':12}",
                       &error),
      !=, 0);
  g_assert_no_error(error);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_deploy", NULL,
          "{'name':'late','image':'@wide','linked':true,'memory_bytes':10737418240,'count':2}",
          "not enough memory left");
  g_assert_cmpuint(count_on(rig, "host", "m-"), ==, 6);
  g_assert_cmpuint(count_on(rig, "second", "m-"), ==, 6);
  g_assert_cmpint(center_rig_last_task(rig)->state, ==, WS_TASK_STATE_DONE);
  g_assert_cmpuint(rig->center.promises->len, ==, 0);
}

static void ask_for_many_that_keep_apart(CenterRig *rig)
{
  make_shared_image(rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  center_rig_keep_apart(rig, "cluster", "apart", "role=web");
  REFUSED(rig, WS_ERROR_NO_ROOM_FOR_ALL, "vm_deploy", NULL,
          "{'name':'w','image':'@wide','linked':true,'labels':{'role':'web'},'count':3}", "only 2",
          "rule apart keeps it apart");
  center_rig_do(rig, NULL, "vm_deploy", NULL,
                "{'name':'w','image':'@wide','linked':true,'labels':{'role':'web'},'count':2}");
  g_assert_cmpuint(count_on(rig, "host", "w-"), ==, 1);
  g_assert_cmpuint(count_on(rig, "second", "w-"), ==, 1);
}

/* One would find room on the pool, and so would eight: not ten. */
static void ask_for_many_disks(CenterRig *rig)
{
  static const char ten[] = "{'name':'d','image':'@wide','pool':'@shared_pool','linked':true,'count':%u}";
  make_shared_image(rig);
  center_rig_do(rig, NULL, "pool_refresh", "shared_pool", NULL);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, rig_world_find(rig->world, "shared_pool"));
  host_set_space(&rig->world->disks, pool->id, (pool->provisioned_bytes + (35 << 20)) / 2,
                 0); /* twice of it may be promised */
  center_rig_do(rig, NULL, "pool_refresh", "shared_pool", NULL);
  REFUSED(rig, WS_ERROR_NO_DISK_ROOM_FOR_ALL, "vm_deploy", NULL,
          "{'name':'d','image':'@wide','pool':'@shared_pool','linked':true,'count':10}", "only 8 of 10",
          "needed for one more, 3.0 MiB left");
  g_assert_cmpuint(count_on(rig, "host", "d-") + count_on(rig, "second", "d-"), ==, 0);
  WsVmDeploy *args = ws_vm_deploy_new();
  ws_apply_defaults(&ws_type_vm_deploy, args);
  args->name = g_strdup("d");
  args->image = rig_world_find(rig->world, "wide");
  args->pool = pool->id;
  args->linked = true;
  args->count = 10;
  Dry dry = {.rig = rig, .kind = "vm_deploy", .args = args};
  center_rig_run(rig, run_dry, &dry);
  g_assert_error(dry.error, WS_ERROR, WS_ERROR_NO_DISK_ROOM_FOR_ALL);
  g_clear_error(&dry.error);
  g_autofree char *eight = g_strdup_printf(ten, 8);
  center_rig_do(rig, NULL, "vm_deploy", NULL, eight);
  g_assert_cmpuint(count_on(rig, "host", "d-") + count_on(rig, "second", "d-"), ==, 8);
  REFUSED(rig, WS_ERROR_NO_CAPACITY, "vm_deploy", NULL,
          "{'name':'e','image':'@wide','pool':'@shared_pool','linked':true}", "3.0 MiB free");
  REFUSED(rig, WS_ERROR_NO_CAPACITY, "vm_create", NULL,
          "{'name':'e','host':'@host','disks':[{'new_volume':{'size_bytes':2097152,'pool':'@shared_pool'}},"
          "{'new_volume':{'size_bytes':2097152,'pool':'@shared_pool'}}]}",
          "4.0 MiB needed");
  REFUSED(rig, WS_ERROR_NO_CAPACITY, "vm_attach_disk", "sharer",
          "{'disk':{'new_volume':{'size_bytes':4194304,'pool':'@shared_pool'}}}", "3.0 MiB free");
}

/* The pool may promise twice what it has: what counts of thick ones is what they take, also of those that it
 * has not been read since. */
static void ask_for_thick_disks_at_once(CenterRig *rig)
{
  static const char thick[] =
      "{'name':'t','pool':'@idle_pool','size_bytes':16777216,'provisioning':'eager_zeroed'}";
  g_autoptr(GError) error = NULL;
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "idle_pool"), 40 << 20, 0);
  center_rig_do(rig, NULL, "pool_refresh", "idle_pool", NULL);
  for (guint i = 0; i < 2; i++) {
    g_assert_cmpuint(center_rig_start(rig, "volume_create", NULL, thick, &error), !=, 0);
    g_assert_no_error(error);
  }
  REFUSED(rig, WS_ERROR_NO_CAPACITY, "volume_create", NULL, thick, "16.0 MiB needed", "8.0 MiB free");
}

/* ---- several that find the same room ---- */

typedef struct {
  CenterRig *rig;
  const char *kind, *target;
  void *args;
  guint *n_ok, *n_refused, *n_ended;
} AtOnce;

static void start_one(void *arg)
{
  AtOnce *one = arg;
  Center *center = &one->rig->center;
  const TaskCause why = {.user_name = "alice", .cause = "user"};
  TaskStarted started = {0};
  g_autoptr(GError) error = NULL;
  bool ok = task_start(center->tasks, task_kind_find(center->tasks, one->kind),
                       one->target ? rig_world_find(one->rig->world, one->target) : 0, one->args, &why, false,
                       0, &started, &error);
  if (!ok)
    g_assert_error(error, WS_ERROR, WS_ERROR_NO_CAPACITY);
  *(ok ? one->n_ok : one->n_refused) += 1;
  *one->n_ended += 1;
}

static AtOnce tries[5];
static guint n_tries, n_ok, n_refused, n_ended;

static void start_all(void *arg)
{
  CenterRig *rig = arg;
  n_ok = n_refused = n_ended = 0;
  for (guint i = 0; i < n_tries; i++) {
    tries[i].rig = rig;
    tries[i].n_ok = &n_ok;
    tries[i].n_refused = &n_refused;
    tries[i].n_ended = &n_ended;
    ws_co_start(rig->center.loop, start_one, &tries[i]);
  }
  while (n_ended < n_tries)
    ws_co_sleep(1000);
}

static void make_room(CenterRig *rig, gint64 bytes)
{
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "idle_pool"), bytes, 0);
  center_rig_do(rig, NULL, "pool_refresh", "idle_pool", NULL);
}

/* None is on record when the next one looks. */
static void ask_for_disks_in_one_turn(CenterRig *rig)
{
  make_room(rig, 40 << 20);
  n_tries = 5;
  for (guint i = 0; i < n_tries; i++) {
    WsVolume *args = ws_volume_new();
    ws_apply_defaults(&ws_type_volume, args);
    args->name = g_strdup("t");
    args->pool = rig_world_find(rig->world, "idle_pool");
    args->size_bytes = 16 << 20;
    args->provisioning = WS_VOLUME_PROVISIONING_EAGER_ZEROED;
    tries[i] = (AtOnce){.kind = "volume_create", .args = args};
  }
  center_rig_run(rig, start_all, rig);
  g_assert_cmpuint(n_ok, ==, 2);
  g_assert_cmpuint(n_refused, ==, 3);
  center_rig_settle(rig);
  g_assert_cmpint(center_rig_last_task(rig)->state, ==, WS_TASK_STATE_DONE);
  g_assert_cmpuint(rig->center.pools_held->len, ==, 0);
}

/* A volume's record has its new size only when the file has it. */
static void ask_to_grow_in_one_turn(CenterRig *rig)
{
  static const char *const names[] = {"a", "b"};
  make_room(rig, 40 << 20);
  for (guint i = 0; i < 2; i++)
    center_rig_do(rig, names[i], "volume_create", NULL,
                  "{'name':'t','pool':'@idle_pool','size_bytes':4194304,'provisioning':'eager_zeroed'}");
  n_tries = 2;
  for (guint i = 0; i < n_tries; i++) {
    WsVolumeResize *args = ws_volume_resize_new();
    args->size_bytes = 28 << 20;
    tries[i] = (AtOnce){.kind = "volume_resize", .target = names[i], .args = args};
  }
  center_rig_run(rig, start_all, rig);
  g_assert_cmpuint(n_ok, ==, 1);
  g_assert_cmpuint(n_refused, ==, 1);
  center_rig_settle(rig);
  g_assert_cmpuint(rig->center.pools_held->len, ==, 0);
}

/* Its last reading is of a moment after the first one was made: whether it shows that one is not known, so it
 * is read again before the next one is refused. */
static void ask_after_a_reading(CenterRig *rig)
{
  static const char thick[] =
      "{'name':'t','pool':'@idle_pool','size_bytes':16777216,'provisioning':'eager_zeroed'}";
  make_room(rig, 40 << 20);
  center_rig_do(rig, NULL, "volume_create", NULL, thick);
  host_set_space(&rig->world->disks, rig_world_find(rig->world, "idle_pool"), 40 << 20,
                 16 << 20); /* its blocks */
  center_rig_do(rig, NULL, "pool_refresh", "idle_pool", NULL);
  center_rig_run_for(rig, (gint64)20 * G_USEC_PER_SEC);
  center_rig_do(rig, NULL, "volume_create", NULL, thick);
  REFUSED(rig, WS_ERROR_NO_CAPACITY, "volume_create", NULL, thick, "16.0 MiB needed");
}

/* ---- which pool ---- */

#define POOL_GIB ((gint64)1 << 30)

static void set_pool(void *object, gint64 capacity_bytes, gint64 available_bytes)
{
  WsPool *pool = object;
  pool->overcommit_ratio = 1;
  pool->capacity_bytes = capacity_bytes;
  pool->available_bytes = available_bytes;
}

static void much_promise(void *pool)
{
  set_pool(pool, 5120 * POOL_GIB, 300 * POOL_GIB);
}

static void much_room(void *pool)
{
  set_pool(pool, 350 * POOL_GIB, 900 * POOL_GIB);
}

static void nothing_known(void *pool)
{
  set_pool(pool, WS_INT_UNSET, WS_INT_UNSET);
}

static void overfull(void *pool)
{
  set_pool(pool, 0, 0);
}

static void assert_picked(CenterRig *rig, const PlacePoolNeed *need, const char *expected)
{
  g_autoptr(InvSnapshot) head = inv_head(rig->center.inventory);
  g_autoptr(GError) error = NULL;
  WsId pool = 0;
  g_assert_true(
      place_pool(&rig->center, head, rig_world_find(rig->world, "host"), need, &pool, "pool", &error));
  g_assert_cmpuint(pool, ==, rig_world_find(rig->world, expected));
}

/* A disk that is thin needs what may be promised, and nothing that is free. */
static void pick_a_pool(CenterRig *rig)
{
  static const char *const others[] = {"idle_pool", "shared_pool", "idle_shared_pool", "lone_pool"};
  center_rig_edit(rig, &ws_type_pool, "pool", much_promise);
  for (guint i = 0; i < G_N_ELEMENTS(others); i++)
    center_rig_edit(rig, &ws_type_pool, others[i], much_room);
  assert_picked(rig, &(PlacePoolNeed){0, 400 * POOL_GIB, 0}, "pool");
  center_rig_edit(rig, &ws_type_pool, "pool", nothing_known);
  for (guint i = 0; i < G_N_ELEMENTS(others); i++)
    center_rig_edit(rig, &ws_type_pool, others[i], overfull);
  assert_picked(rig, &(PlacePoolNeed){0, POOL_GIB, 0}, "pool");
  center_rig_edit(rig, &ws_type_pool, "idle_pool", much_room);
  assert_picked(rig, &(PlacePoolNeed){0, POOL_GIB, POOL_GIB}, "idle_pool");
}

/* ---- members of a dry run ---- */

static void clone_on_paper(CenterRig *rig, const char *request, bool fits)
{
  WsVolumeClone *args = ws_volume_clone_new();
  args->name = g_strdup("copy");
  args->linked = true;
  Dry dry = {.rig = rig, .kind = "volume_clone", .target = "volume", .args = args, .request = request};
  center_rig_run(rig, run_dry, &dry);
  g_strfreev(dry.started.dry_steps);
  if (fits)
    g_assert_no_error(dry.error);
  else
    g_assert_error(dry.error, WS_ERROR, WS_ERROR_NO_CAPACITY);
  g_clear_error(&dry.error);
}

/* Of 4 MiB each, as promises. */
static void leave_room_for_two(CenterRig *rig)
{
  center_rig_do(rig, NULL, "pool_refresh", "pool", NULL);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsPool *pool = inv_find(snap, &ws_type_pool, rig_world_find(rig->world, "pool"));
  host_set_space(&rig->world->disks, pool->id, (pool->provisioned_bytes + (10 << 20)) / 2,
                 0); /* two of 4 MiB */
  center_rig_do(rig, NULL, "pool_refresh", "pool", NULL);
}

/* What was found for one that something else refuses later is the next one's. */
static void ask_on_paper_where_one_is_refused(CenterRig *rig)
{
  leave_room_for_two(rig);
  pools_begin_on_paper(&rig->center, "r");
  clone_on_paper(rig, "r/1", true);
  pools_note_on_paper(&rig->center, "r", false);
  clone_on_paper(rig, "r/2", true);
  pools_note_on_paper(&rig->center, "r", true);
  clone_on_paper(rig, "r/3", true);
  pools_note_on_paper(&rig->center, "r", false);
  clone_on_paper(rig, "r/4", false);
  pools_end_on_paper(&rig->center, "r");
}

/* Of the members of a dry run each finds the pool with what those before would take; another request does
 * not. */
static void ask_on_paper(CenterRig *rig)
{
  leave_room_for_two(rig);
  pools_begin_on_paper(&rig->center, "r");
  clone_on_paper(rig, "r/1", true);
  clone_on_paper(rig, "r/2", true);
  clone_on_paper(rig, "r/3", false);
  clone_on_paper(rig, "q/1", true);
  pools_end_on_paper(&rig->center, "r");
  clone_on_paper(rig, "r/4", true);
}

static void many_find_their_hosts_together_or_none_is_made(void)
{
  runs_on_site(ask_on_paper, "members of a dry run");
  runs_on_site(ask_on_paper_where_one_is_refused, "a member that is refused");
  runs_on_site(pick_a_pool, "the pool that fits");
  runs_on_site(ask_for_disks_in_one_turn, "disks in one turn");
  runs_on_site(ask_to_grow_in_one_turn, "disks that grow in one turn");
  runs_on_site(ask_after_a_reading, "a reading that may not show all");
  runs_on_site(ask_for_many_disks, "many disks at once");
  runs_on_site(ask_for_thick_disks_at_once, "thick disks at once");
  runs_on_site(ask_for_many, "many at once");
  runs_on_site(ask_for_many_twice, "many at once, twice");
  runs_on_site(ask_for_many_that_keep_apart, "many that keep apart");
}

/* ---- strategies ---- */

static void fill_up(WsCluster *cluster)
{
  cluster->placement = ws_cluster_placement_new();
  cluster->placement->strategy = WS_CLUSTER_PLACEMENT_STRATEGY_CONCENTRATED;
  cluster->placement->fill_threshold_percent = 50; /* 31 of 62 GiB */
}

static void deploy(CenterRig *rig, const char *name, guint gib, const char *more)
{
  g_autofree char *json = g_strdup_printf("{'name':'%s','image':'@wide','cluster':'@cluster','pool':'@shared_"
                                          "pool','linked':true,'memory_bytes':%" G_GINT64_FORMAT "%s}",
                                          name, (gint64)gib << 30, more);
  center_rig_do(rig, strstr(more, "count") ? NULL : name, "vm_deploy", NULL, json);
}

/* The first host has what runs there from the beginning. */
static void ask_to_fill(CenterRig *rig)
{
  make_shared_image(rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, fill_up);
  deploy(rig, "one", 8, "");
  assert_on(rig, "one", "host");
  assert_logged(rig, "placed_as", "strategy", "concentrated, filled up to 50 %");
  assert_logged(rig, "placed_as", "reason", "what is promised alone, for nothing was measured there");
  deploy(rig, "away", 8, ",'placement':'spread'");
  assert_on(rig, "away", "second");
  assert_logged(rig, "placed_as", "strategy", "spread");
  deploy(rig, "m", 6, ",'count':6"); /* three fill the first, three the other one */
  g_assert_cmpuint(count_on(rig, "host", "m-"), ==, 3);
  g_assert_cmpuint(count_on(rig, "second", "m-"), ==, 3);
  assert_logged(rig, "placed_by", "strategy", "concentrated, filled up to 50 %");
  deploy(rig, "late", 8, ""); /* 26.6 of 62 GiB on one, 26 on the other */
  assert_on(rig, "late", "second");
  assert_logged(rig, "placed_as", "strategy", "spread, for no host would stay below 50 %");
  deploy(rig, "n", 2, ",'count':4");
  assert_logged(rig, "placed_by", "count", "[-] 1\n[-] 3");
  center_rig_assert_no_quarrel(rig);
}

/* It is busy, whoever is. */
static void work_hard(void *object)
{
  WsHost *host = object;
  ws_host_load_free(host->load);
  host->load = ws_host_load_new();
  host->load->memory_used_bytes = (gint64)8 << 30;
  host->cpu_recent_percent = 97;
}

static void ask_beside_a_busy_host(CenterRig *rig)
{
  make_shared_image(rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  deploy(rig, "calm", 1, "");
  assert_on(rig, "calm", "second"); /* nothing runs there */
  center_rig_edit(rig, &ws_type_host, "second", work_hard);
  deploy(rig, "hot", 1, "");
  assert_on(rig, "hot", "host");
  center_rig_edit(rig, &ws_type_host, "host", work_hard);
  deploy(rig, "both", 1, "");
  assert_logged(rig, "placed_as", "reason", "and was measured: 97 % of its processors, 12 % of its memory");
  deploy(rig, "vast", 58,
         ""); /* a host that is busy takes it all the same, where there is room for it at all */
  center_rig_assert_no_quarrel(rig);
}

static void cluster_says_whether_hosts_are_filled_or_vms_spread(void)
{
  runs_on_site(ask_to_fill, "hosts are filled");
  runs_on_site(ask_beside_a_busy_host, "a busy host");
}

/* ---- processors ---- */

static void have_guest_cpu(WsHost *host, const char *const *features)
{
  ws_host_guest_cpu_free(host->facts->guest_cpu);
  host->facts->guest_cpu = center_rig_guest_cpu(features);
}

static void have_avx2(void *host)
{
  have_guest_cpu(host, (const char *const[]){"avx", "avx2", NULL});
}

static void have_avx(void *host)
{
  have_guest_cpu(host, (const char *const[]){"avx", NULL});
}

static void differ(CenterRig *rig)
{
  center_rig_edit(rig, &ws_type_host, "host", have_avx2);
  center_rig_edit(rig, &ws_type_host, "second", have_avx);
}

static void ask_for_a_feature(CenterRig *rig)
{
  make_shared_image(rig);
  differ(rig);
  center_rig_do(rig, "plain", "vm_deploy", NULL, "{'name':'plain','image':'@wide','pool':'@shared_pool'}");
  assert_on(rig, "plain", "second"); /* the emptier one */
  assert_logged(rig, "placed_as", "host", "second");
  assert_logged(rig, "placed_as", "what", "host (");
  center_rig_do(rig, "picky", "vm_deploy", NULL,
                "{'name':'picky','image':'@wide','pool':'@shared_pool','cpu':{'vcpus':1,'mode':'custom','"
                "model':'kvm64','features':['avx2']}}");
  assert_on(rig, "picky", "host");
  assert_logged(rig, "placed_left_out", "reason", "second: its processor lacks avx2");
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_deploy", NULL,
          "{'name':'x','image':'@wide','host':'@second','cpu':{'vcpus':1,'mode':'custom','model':'kvm64','"
          "features':['avx2','sha']}}",
          "second: its processor lacks avx2, sha");
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
  power_off(rig, (const char *const[]){"sharer", "mover", "running", "paused", "still", NULL});
  REFUSED(rig, WS_ERROR_NO_HOST, "host_enter_maintenance", "host", NULL, "second: its processor lacks avx2");
}

/* An emulator takes any model; a processor that runs guests itself does not. */
static void emulate(void *host)
{
  WsHostFacts *facts = ((WsHost *)host)->facts;
  ws_host_virtualisation_free(facts->virtualisation);
  facts->virtualisation = ws_host_virtualisation_new();
  facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_TCG;
}

static void ask_an_emulator(CenterRig *rig)
{
  static const char rich[] = "{'name':'rich','host':'@second','cpu':{'vcpus':1,'mode':'custom','model':'"
                             "Skylake','features':['avx2']}}";
  differ(rig);
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_create", NULL, rich, "second: its processor lacks avx2, model Skylake");
  center_rig_edit(rig, &ws_type_host, "second", emulate);
  center_rig_do(rig, "rich", "vm_create", NULL, rich);
  center_rig_do(rig, NULL, "vm_start", "rich", NULL);
  center_rig_do(rig, NULL, "vm_hibernate", "rich", NULL);
  center_rig_do(rig, NULL, "vm_resume", "rich", NULL);
  g_assert_cmpint(power_of(rig, "rich"), ==, WS_POWER_STATE_RUNNING);
  REFUSED(rig, WS_ERROR_CANNOT_MOVE, "vm_migrate", "rich", "{'host':'@host'}",
          "the processor of host lacks model Skylake");
  center_rig_assert_no_quarrel(rig);
}

static void vm_goes_where_the_processor_has_what_it_needs(void)
{
  runs_on_site(ask_for_a_feature, "processors");
  runs_on_site(ask_an_emulator, "emulated processors");
}

/* ---- hosts are emptied side by side, and beside others ---- */

static const char large[] = "{'name':'large','image':'@wide','host':'@second','pool':'@shared_pool','linked':"
                            "true,'memory_bytes':65229815808}"; /* nearly all that may be promised there */

static void make_both_members(CenterRig *rig)
{
  power_off(rig, (const char *const[]){"mover", "running", "paused", "still", NULL});
  make_shared_image(rig);
  center_rig_make_cluster(rig, "cluster", 0, RIG_MEMBERS, NULL);
}

/* It is promised its room on the other host, and is not there yet. */
static void ask_beside_a_deployment(CenterRig *rig)
{
  g_autoptr(GError) error = NULL;
  make_both_members(rig);
  g_assert_cmpuint(center_rig_start(rig, "vm_deploy", NULL, large, &error), !=, 0);
  g_assert_no_error(error);
  REFUSED(rig, WS_ERROR_NO_HOST, "host_enter_maintenance", "host", NULL, "second: not enough memory left");
  g_assert_cmpint(mode_of(rig, "host"), ==, WS_HOST_MODE_NORMAL);
  center_rig_assert_no_quarrel(rig);
}

/* A third host is being emptied: it has found room on the second one for what runs there, whose turn has not
 * come. */
static void begin_to_empty_third(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsHost *second = inv_find(snap, &ws_type_host, rig_world_find(rig->world, "second"));
  g_autoptr(InvTxn) txn = inv_begin(rig->center.inventory);
  WsHost *third = inv_create(txn, &ws_type_host);
  third->name = g_strdup("third");
  third->state = WS_HOST_STATE_CONNECTED;
  third->architecture = WS_ARCHITECTURE_X86_64;
  third->mode = WS_HOST_MODE_ENTERING_MAINTENANCE;
  third->cluster = second->cluster;
  third->host_pool = second->host_pool;
  WsVm *vm = inv_create(txn, &ws_type_vm);
  vm->name = g_strdup("leaver");
  vm->host = third->id;
  vm->memory_bytes = 65229815808;
  vm->power = ws_power_new();
  vm->power->state = WS_POWER_STATE_RUNNING;
  WsTask *parent = inv_create(txn, &ws_type_task), *child = inv_create(txn, &ws_type_task);
  parent->kind = g_strdup("host_enter_maintenance");
  parent->target = (WsAnyRef){&ws_type_host, third->id};
  parent->state = WS_TASK_STATE_RUNNING;
  child->kind = g_strdup("vm_migrate");
  child->target = (WsAnyRef){&ws_type_vm, vm->id};
  child->state = WS_TASK_STATE_QUEUED;
  child->parent = parent->id;
  child->args = g_strdup_printf("{\"host\":\"host-%" G_GUINT64_FORMAT "\"}", second->id);
  rig_world_name(rig->world, "line", child->id);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

static void end_task(void *task)
{
  ((WsTask *)task)->ended = 1;
}

static bool finds_room(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, rig_world_find(rig->world, "host"));
  g_autoptr(Evacuation) evacuation = evacuation_new_of(snap, host, NULL);
  g_autoptr(GError) error = NULL;
  bool found = evacuation_empty(evacuation, host, 0, NULL, &error);
  if (!found)
    g_assert_nonnull(strstr(error->message, "second: not enough memory left"));
  return found;
}

static void empty_two_hosts(CenterRig *rig)
{
  make_both_members(rig);
  g_assert_true(finds_room(rig));
  center_rig_run(rig, begin_to_empty_third, rig);
  g_assert_false(finds_room(rig));
  REFUSED(rig, WS_ERROR_NO_HOST, "vm_deploy", NULL, large, "second: not enough memory left");
  center_rig_edit(rig, &ws_type_task, "line", end_task);
  g_assert_true(finds_room(rig));
}

/* What is still to come to a host that was emptied keeps its share when that is back. */
static void empty_and_return(CenterRig *rig)
{
  make_both_members(rig);
  center_rig_run(rig, begin_to_empty_third, rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, rig_world_find(rig->world, "host")),
               *second = inv_find(snap, &ws_type_host, rig_world_find(rig->world, "second"));
  g_autoptr(Evacuation) evacuation = evacuation_new_of(snap, host, NULL);
  g_autoptr(GError) error = NULL;
  g_assert_true(evacuation_empty(evacuation, second, 0, NULL, &error));
  evacuation_return(evacuation, second->id);
  g_assert_false(evacuation_empty(evacuation, host, 0, NULL, &error));
  g_assert_nonnull(strstr(error->message, "second: not enough memory left"));
}

static void what_is_promised_counts_when_a_host_is_emptied(void)
{
  runs_on_site(ask_beside_a_deployment, "emptied beside a deployment");
  runs_on_site(empty_two_hosts, "two hosts are emptied");
  runs_on_site(empty_and_return, "a host that is emptied comes back");
}

/* ---- a host is removed ---- */

static void ask_to_remove(CenterRig *rig)
{
  REFUSED(rig, WS_ERROR_IN_USE, "host_delete", "host", NULL, "virtual machines: ", "sharer", "hibernated",
          "pools: ", "p, q, r", "switches: ", "s, t");
}

static void removal_names_all_that_is_in_the_way(void)
{
  runs_on_site(ask_to_remove, "a host with something on it");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  runs_prepare();
#define ADD(name) g_test_add_func("/center/placing/" #name, name)
  ADD(vms_of_a_single_host_go_to_single_hosts_only);
  ADD(what_does_not_run_stays_and_is_told_or_moves);
  ADD(manager_that_is_killed_goes_on_emptying);
  ADD(what_is_reserved_is_nobody_elses);
  ADD(many_find_their_hosts_together_or_none_is_made);
  ADD(cluster_says_whether_hosts_are_filled_or_vms_spread);
  ADD(vm_goes_where_the_processor_has_what_it_needs);
  ADD(what_is_promised_counts_when_a_host_is_emptied);
  ADD(removal_names_all_that_is_in_the_way);
  int result = g_test_run();
  runs_end();
  return result;
}
