// SPDX-License-Identifier: Apache-2.0
/* See center-runs.h. */
#include "center-runs.h"
#include "inventory/store-private.h"
#include "task/task-private.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 9
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STRIDE 9
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

static char *template_dir, *dir;
RigWorld *runs_world;
static RigWorld *template_world; /* the site as it was made */

/* ---- processes ---- */

static void empty_dir(const char *path)
{
  GDir *d = g_dir_open(path, 0, NULL);
  for (const char *name; (name = g_dir_read_name(d));) {
    g_autofree char *file = g_build_filename(path, name, NULL);
    if (g_file_test(file, G_FILE_TEST_IS_DIR)) {
      empty_dir(file);
      g_rmdir(file);
    } else
      g_unlink(file);
  }
  g_dir_close(d);
}

static void copy_file(const char *from, const char *to)
{
  g_autofree char *bytes = NULL;
  gsize n;
  g_autoptr(GError) error = NULL;
  g_assert_true(g_file_get_contents(from, &bytes, &n, NULL));
  g_file_set_contents_full(to, bytes, (gssize)n, G_FILE_SET_CONTENTS_NONE, 0600, &error);
  g_assert_no_error(error);
}

/* The database and its backups. */
static void copy_site(void)
{
  g_autofree char *from = g_build_filename(template_dir, "inventory.db", NULL);
  g_autofree char *to = g_build_filename(dir, "inventory.db", NULL);
  g_autofree char *backups = g_build_filename(template_dir, "backups", NULL);
  g_autofree char *copies = g_build_filename(dir, "backups", NULL);
  empty_dir(dir);
  copy_file(from, to);
  g_assert_cmpint(g_mkdir(copies, 0700), ==, 0);
  GDir *d = g_dir_open(backups, 0, NULL);
  for (const char *name; (name = g_dir_read_name(d));) {
    g_autofree char *backup = g_build_filename(backups, name, NULL), *copy = g_build_filename(copies, name, NULL);
    copy_file(backup, copy);
  }
  g_dir_close(d);
}

void runs_begin(RigFault fault, gint at)
{
  copy_site();
  *runs_world = *template_world;
  runs_world->fault = fault;
  runs_world->at = at;
}

/* true: it ended by itself; false: it was killed. */
static bool in_process(void (*func)(const Scene *scene), const Scene *scene)
{
  int status;
  pid_t pid = fork();
  g_assert_cmpint(pid, >=, 0);
  if (pid == 0) {
    alarm(250);
    func(scene);
    if (runs_world->fault == RIG_NO_SYNC) {
      runs_world->at = 0; /* none fails from here on */
      if (runs_world->happened)
        (void)pause(); /* one that has failed ends this process from the store's thread */
    }
    _exit(0);
  }
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    return false;
  if (runs_world->fault == RIG_NO_SYNC && WIFEXITED(status) && WEXITSTATUS(status) == STORE_EXIT_STATUS)
    return false;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    g_error("%s: fault %d at %d (%s): the process ended with status %x", scene->name, runs_world->fault, runs_world->at, runs_world->where,
            (guint)status);
  return true;
}

/* ---- one run ---- */

static void ask(const Scene *scene)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *quarrel = NULL;
  RigFault fault = runs_world->fault;
  runs_world->fault = RIG_NO_FAULT;
  CenterRig *rig = center_rig_open(dir, runs_world);
  center_rig_settle(rig);
  quarrel = center_rig_quarrel(rig);
  if (quarrel)
    g_error("before: %s", quarrel);
  if (scene->host_off) {
    center_rig_switch(rig, 0, false);
    center_rig_settle(rig);
  }
  runs_world->n_points = runs_world->n_acts = runs_world->n_ops = 0;
  runs_world->fault = fault;
  center_rig_start(rig, scene->kind, scene->target, scene->json, &error);
  if (!(fault >= RIG_FULL && ws_error_code(error) == WS_ERROR_READ_ONLY)) /* refused: nothing has happened */
    g_assert_no_error(error);
  center_rig_settle(rig);
}

static void recover(const Scene *scene)
{
  runs_world->n_points = runs_world->n_acts = 0;
  center_rig_settle(center_rig_open(dir, runs_world));
}

static char *before; /* portrait of the site */

static bool is_done(const WsTask *rec)
{
  return rec->state == WS_TASK_STATE_DONE;
}

/* The process that knew the password is gone: what is not begun with the machine by then cannot be, and what was is waited for in vain. */
static bool forgot_secret(const Scene *scene, RigFault fault, const char *code)
{
  return scene->has_secret && (fault == RIG_KILL || fault == RIG_NO_SYNC) &&
         (strcmp(code, "secret_gone") == 0 || strcmp(code, "deadline_exceeded") == 0);
}

/* What may have become of the task, by what happened. */
static void check_outcome(const Scene *scene, const WsTask *rec, RigFault fault)
{
  static const WsFailure none = {.code = (char *)"-"};
  const WsFailure *why = rec->error ? rec->error : &none;
  switch (runs_world->fault) {
  case RIG_FAIL:
    return;
  case RIG_CANCEL:
    if (!is_done(rec) && rec->state != WS_TASK_STATE_CANCELLED)
      g_error("it was cancelled and is %s (%s)", ws_task_state_names[rec->state - 1], why->code);
    return;
  case RIG_AWAY: /* steps give up after a while, for the host is away */
    if (!is_done(rec) && strcmp(why->code, "host_unreachable") != 0)
      g_error("the host was away and it is %s (%s)", ws_task_state_names[rec->state - 1], why->code);
    return;
  default:
    if (!is_done(rec) && !forgot_secret(scene, fault, why->code))
      g_error("nothing stood against it, and it is %s (%s, %s)", ws_task_state_names[rec->state - 1], why->code,
              why->cause ? why->cause : "");
  }
}

/* Where there is no way back, a task that failed can be asked for again. */
static void ask_again(CenterRig *rig, const Scene *scene)
{
  runs_world->fault = RIG_NO_FAULT;
  center_rig_do(rig, NULL, scene->kind, scene->target, scene->json);
  center_rig_settle(rig);
  g_autofree char *quarrel = center_rig_quarrel(rig);
  if (quarrel)
    g_error("asked again: %s", quarrel);
}

/* A task's own token does not outlive it, nor does what it let in, unless that is its result. */
static void check_tokens(CenterRig *rig, bool undone)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  g_assert_cmpuint(inv_count(snap, &ws_type_join_token), ==, 0);
  g_assert_cmpuint(inv_count(snap, &ws_type_host), ==, undone ? RIG_MEMBERS : RIG_HOSTS);
}

static void check(const Scene *scene)
{
  RigFault fault = runs_world->fault;
  if (fault == RIG_KILL || fault >= RIG_FULL)
    runs_world->fault = RIG_NO_FAULT; /* it happened to an earlier process */
  CenterRig *rig = center_rig_open(dir, runs_world);
  if (inv_count(inv_snapshot(rig->center.inventory), &ws_type_host))
    center_rig_settle(rig);
  if (scene->host_off) {
    center_rig_switch(rig, 0, true);
    center_rig_settle(rig);
  }
  const WsTask *rec = center_rig_last_task(rig);
  bool undone = !rec || !is_done(rec);
  g_autofree char *quarrel = center_rig_quarrel(rig);
  if (rec)
    check_outcome(scene, rec, fault);
  if (quarrel && !(undone && scene->no_way_back))
    g_error("%s: %s", rec ? ws_task_state_names[rec->state - 1] : "never begun", quarrel);
  if (undone && scene->has_secret && fault != RIG_KILL && fault != RIG_NO_SYNC && fault != RIG_AWAY && !rig_machine_is_clean(runs_world))
    g_error("undone, and something is left on the machine");
  if (scene->has_secret)
    check_tokens(rig, undone);
  if (undone && !scene->acts_only && !scene->no_way_back) {
    g_autofree char *after = center_rig_portrait(rig);
    if (strcmp(before, after) != 0)
      g_error("undone, and not as before:\n%s\nnow:\n%s", before, after);
  }
  if (undone && scene->no_way_back)
    ask_again(rig, scene);
}

static void paint_before(const Scene *scene)
{
  g_autofree char *path = g_build_filename(template_dir, "portrait", NULL);
  CenterRig *rig = center_rig_open(dir, runs_world);
  center_rig_settle(rig);
  g_autofree char *text = center_rig_portrait(rig);
  g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *new_dir(void)
{
  const char *base = g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
  char *path = g_build_filename(base, "center-kill-XXXXXX", NULL);
  g_assert_nonnull(g_mkdtemp(path));
  return path;
}

static void remove_dir(char *path)
{
  empty_dir(path);
  g_rmdir(path);
  g_free(path);
}

static void make_site(const Scene *scene)
{
  scenes_make_site(template_dir, runs_world);
}

void runs_prepare(void)
{
  static const Scene none = {.name = "the site"};
  runs_world = rig_world_new();
  template_world = g_new0(RigWorld, 1);
  template_dir = new_dir();
  dir = new_dir();
  in_process(make_site, &none);
  *template_world = *runs_world;
  runs_begin(RIG_NO_FAULT, 0);
  in_process(paint_before, &none);
  g_autofree char *path = g_build_filename(template_dir, "portrait", NULL);
  g_assert_true(g_file_get_contents(path, &before, NULL, NULL));
}

void runs_end(void)
{
  remove_dir(template_dir);
  remove_dir(dir);
}

bool runs_ask(const Scene *scene)
{
  return in_process(ask, scene);
}

bool runs_recover(const Scene *scene)
{
  return in_process(recover, scene);
}

void runs_check(const Scene *scene)
{
  g_assert_true(in_process(check, scene));
}

static void (*on_site)(CenterRig *rig);

static void run_on_site(const Scene *scene)
{
  CenterRig *rig = center_rig_open(dir, runs_world);
  center_rig_settle(rig);
  on_site(rig);
}

void runs_on_site(void (*func)(CenterRig *rig), const char *name)
{
  const Scene scene = {.name = name};
  runs_begin(RIG_NO_FAULT, 0);
  on_site = func;
  g_assert_true(in_process(run_on_site, &scene));
}

bool runs_may_die(void (*func)(CenterRig *rig), const char *name)
{
  const Scene scene = {.name = name};
  runs_begin(RIG_NO_FAULT, 0);
  on_site = func;
  return in_process(run_on_site, &scene);
}

void runs_on_older_site(void (*func)(CenterRig *rig), const char *name)
{
  const Scene scene = {.name = name};
  gint64 now_us = runs_world->now_us;
  copy_site();
  runs_world->now_us = now_us;
  on_site = func;
  g_assert_true(in_process(run_on_site, &scene));
}

void runs_on_same_site(void (*func)(CenterRig *rig), const char *name)
{
  const Scene scene = {.name = name};
  on_site = func;
  g_assert_true(in_process(run_on_site, &scene));
}

static void run_at_once(const Scene *scene)
{
  on_site(center_rig_open(dir, runs_world));
}

void runs_on_same_site_at_once(void (*func)(CenterRig *rig), const char *name)
{
  const Scene scene = {.name = name};
  on_site = func;
  g_assert_true(in_process(run_at_once, &scene));
}

static gint kill_at;

void runs_arm(CenterRig *rig)
{
  rig->world->n_points = 0;
  rig->world->at = kill_at;
  rig->world->fault = RIG_KILL;
}

gint runs_kill_at_each_point(void (*func)(CenterRig *rig), void (*after)(CenterRig *rig), bool at_once)
{
  bool lived = false;
  for (kill_at = 1; !lived; kill_at += STRIDE) {
    lived = runs_may_die(func, "killed");
    runs_world->fault = RIG_NO_FAULT;
    (at_once ? runs_on_same_site_at_once : runs_on_same_site)(after, "after a kill");
  }
  return kill_at - STRIDE;
}

gint runs_stride(void)
{
  return STRIDE;
}

void runs_add(const char *path, void (*func)(const void *scene))
{
  for (guint i = 0; i < n_scenes; i++) {
    g_autofree char *full = g_strdup_printf("%s/%s", path, scenes[i].name);
    g_test_add_data_func(full, &scenes[i], func);
  }
}
