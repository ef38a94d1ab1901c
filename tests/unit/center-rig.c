// SPDX-License-Identifier: Apache-2.0
/* See center-rig.h: opening, time, faults and requests. What is looked at is in center-rig-look.c. */
#include "center-rig.h"
#include "base/exec.h"
#include "base/log.h"
#include "center/api/batch.h"
#include "center/auth/audit.h"
#include "center/bin.h"
#include "center/compute/trouble.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/quota.h"
#include "center/tickets.h"
#include "center/turns.h"
#include "center/verbs.h"
#include "inventory/inventory-private.h"
#include "ssh/remote.h"
#include "task/task-private.h"
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECONNECT_US ((gint64)3 * G_USEC_PER_SEC)
#define OFF_US       ((gint64)600 * G_USEC_PER_SEC)
#define QUIET_US     ((gint64)3 * G_USEC_PER_SEC) /* longer than a guest takes to shut down */
#define FULL_OPS 20 /* operations for which a full disk is full */
#define REAL_LIMIT_US ((gint64)200 * G_USEC_PER_SEC)

/* ---- the world ---- */

RigWorld *rig_world_new(void)
{
  RigWorld *world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true(world != MAP_FAILED);
  return world;
}

void rig_world_name(RigWorld *world, const char *name, WsId id)
{
  for (guint i = 0; i < RIG_NAMES; i++)
    if (!world->names[i].id) {
      g_strlcpy(world->names[i].name, name, sizeof world->names[i].name);
      world->names[i].id = id;
      return;
    }
  g_assert_not_reached();
}

WsId rig_world_find(const RigWorld *world, const char *name)
{
  for (guint i = 0; i < RIG_NAMES; i++)
    if (world->names[i].id && strcmp(world->names[i].name, name) == 0)
      return world->names[i].id;
  g_error("the world has no %s", name);
}

/* ---- time ---- */

static gint64 rig_now(WsClock *clock)
{
  return ((CenterRig *)(void *)clock)->now_us;
}

static void rig_random(WsClock *clock, void *buf, gsize n)
{
  WsClock *system = ws_clock_system();
  system->random_bytes(system, buf, n);
}

static bool disk_is_idle(CenterRig *rig)
{
  return !rig->center.inventory->first;
}

static void cut(void *arg);
static bool may_come(const RigHost *host);

static HostTruth *truth_of(const RigHost *host)
{
  return &host->rig->world->hosts[host - host->rig->hosts];
}

/* A host without power is away, and somebody switches it on again. Only the first one's BMC is known to the manager of these tests. */
static void follow_power(CenterRig *rig, guint i)
{
  RigWorld *world = rig->world;
  RigHost *host = &rig->hosts[i];
  if (!g_atomic_int_get(&truth_of(host)->is_off))
    return;
  if (host_sim_is_connected(host->sim))
    cut(host);
  if (world->back_us[i] == 0)
    world->back_us[i] = rig->now_us + OFF_US;
  if (rig->now_us < world->back_us[i] && (i || g_atomic_int_get(&world->n_off_told) < 2))
    return;
  world->back_us[i] = 0;
  if (i == 0)
    world->n_off_told = 0;
  truth_of(host)->boots++;
  g_atomic_int_set(&truth_of(host)->is_off, 0);
}

/* Its BMC, on a worker: what ipmitool would say. */
static bool bmc(const WsExec *exec, char **out, int *status, void *arg)
{
  CenterRig *rig = arg;
  RigWorld *world = rig->world;
  HostTruth *truth = truth_of(&rig->hosts[0]);
  if (strcmp(exec->argv[0], "ipmitool") != 0)
    return false;
  guint n = 0;
  while (exec->argv[n])
    n++;
  const char *word = exec->argv[n - 1];
  bool off = g_atomic_int_get(&truth->is_off);
  if (strcmp(word, "status") == 0 && off)
    g_atomic_int_inc(&world->n_off_told);
  else if ((strcmp(word, "off") == 0 || strcmp(word, "cycle") == 0) && !off)
    host_lose_power(truth);
  else if (strcmp(word, "on") == 0 && off)
    world->n_off_told = 2;
  *status = 0;
  *out = g_strdup(strcmp(word, "status") != 0 ? "Chassis Power Control: done\n" : off ? "Chassis Power is off\n" : "Chassis Power is on\n");
  return true;
}

/* The store's thread works in real time, so virtual time stands still while something is on its way to the disk. */
static void step(CenterRig *rig)
{
  WsLoop *loop = rig->center.loop;
  for (guint i = 0; i < RIG_MEMBERS; i++)
    follow_power(rig, i);
  if (ws_loop_next_us(loop) <= rig->now_us || !disk_is_idle(rig)) {
    ws_loop_step(loop, ws_loop_next_us(loop) <= rig->now_us ? 0 : 1);
    return;
  }
  gint64 next_us = ws_loop_next_us(loop);
  g_assert_cmpint(next_us, <, G_MAXINT64);
  rig->now_us = rig->world->now_us = next_us;
  ws_loop_step(loop, 0);
}

void center_rig_run_for(CenterRig *rig, gint64 us)
{
  gint64 end_us = rig->now_us + us;
  while (rig->now_us < end_us)
    step(rig);
}

static bool is_idle(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  for (guint i = 0; i < RIG_HOSTS; i++)
    if (host_sim_is_connected(rig->hosts[i].sim) !=
        (may_come(&rig->hosts[i]) && inv_find(snap, &ws_type_host, rig->hosts[i].id)))
      return false;
  return !g_hash_table_size(rig->center.stale_vms) && troubles_are_told(rig->center.troubles) && task_engine_n_running(rig->center.tasks) == 0 &&
         g_hash_table_size(rig->center.tasks->tasks) == 0;
}

void center_rig_settle(CenterRig *rig)
{
  gint64 limit_us = g_get_monotonic_time() + REAL_LIMIT_US;
  for (;;) {
    while (!is_idle(rig)) {
      step(rig);
      g_assert_cmpint(g_get_monotonic_time(), <, limit_us);
    }
    center_rig_run_for(rig, QUIET_US);
    if (is_idle(rig))
      return;
  }
}

typedef struct {
  WsCoFunc func;
  void *arg;
  bool ended;
} Run;

static void run(void *arg)
{
  Run *r = arg;
  r->func(r->arg);
  r->ended = true;
}

void center_rig_run(CenterRig *rig, WsCoFunc func, void *arg)
{
  Run r = {func, arg, false};
  gint64 limit_us = g_get_monotonic_time() + REAL_LIMIT_US;
  ws_co_start(rig->center.loop, run, &r);
  while (!r.ended) {
    step(rig);
    g_assert_cmpint(g_get_monotonic_time(), <, limit_us);
  }
}

/* ---- a cluster ---- */

typedef struct {
  CenterRig *rig;
  const char *name;
  guint first, n;
  void (*fill)(WsCluster *cluster);
} NewCluster;

static bool take_first(const void *object, void *arg)
{
  *(const void **)arg = object;
  return false;
}

static void make_cluster(void *arg)
{
  const NewCluster *new = arg;
  RigWorld *world = new->rig->world;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(new->rig->center.inventory);
  g_autoptr(InvSnapshot) head = inv_head(new->rig->center.inventory);
  const WsHostPool *pool = NULL;
  inv_each(head, &ws_type_host_pool, take_first, &pool);
  WsCluster *cluster = inv_create(txn, &ws_type_cluster);
  cluster->name = g_strdup(new->name);
  cluster->host_pool = pool->id;
  if (new->fill)
    new->fill(cluster);
  rig_world_name(world, new->name, cluster->id);
  for (guint i = new->first; i < new->first + new->n; i++) {
    WsHost *host = inv_edit_id(txn, &ws_type_host, world->names[i].id);
    host->cluster = cluster->id;
    host->host_pool = pool->id;
  }
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

void center_rig_make_cluster(CenterRig *rig, const char *name, guint first, guint n, void (*fill)(WsCluster *cluster))
{
  center_rig_run(rig, make_cluster, &(NewCluster){rig, name, first, n, fill});
}

typedef struct {
  CenterRig *rig;
  const WsType *type;
  const char *name;
  void (*change)(void *object);
} Edit;

static void edit(void *arg)
{
  const Edit *e = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(e->rig->center.inventory);
  e->change(inv_edit_id(txn, e->type, rig_world_find(e->rig->world, e->name)));
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

void center_rig_edit(CenterRig *rig, const WsType *type, const char *name, void (*change)(void *object))
{
  center_rig_run(rig, edit, &(Edit){rig, type, name, change});
}

typedef struct {
  CenterRig *rig;
  const char *cluster, *rule, *label;
} KeepApart;

static void keep_apart(void *arg)
{
  const KeepApart *new = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(new->rig->center.inventory);
  WsAffinityRule *rule = inv_create(txn, &ws_type_affinity_rule);
  rule->name = g_strdup(new->rule);
  rule->cluster = rig_world_find(new->rig->world, new->cluster);
  rule->kind = WS_AFFINITY_RULE_KIND_KEEP_APART;
  rule->enabled = true;
  rule->vm_label = g_strdup(new->label);
  inv_commit(txn, NULL, &error);
  g_assert_no_error(error);
}

void center_rig_keep_apart(CenterRig *rig, const char *cluster, const char *rule, const char *label)
{
  center_rig_run(rig, keep_apart, &(KeepApart){rig, cluster, rule, label});
}

WsHostGuestCpu *center_rig_guest_cpu(const char *const *features)
{
  WsHostGuestCpu *cpu = ws_host_guest_cpu_new();
  WsHostGuestCpuModel *model = ws_host_guest_cpu_model_new();
  model->name = g_strdup("kvm64");
  ws_array_add(&cpu->models, model);
  for (; *features; features++)
    ws_array_add(&cpu->features, g_strdup(*features));
  return cpu;
}

/* ---- the host comes ---- */

static void connect_host(void *arg);

static bool may_come(const RigHost *host)
{
  const RigWorld *world = host->rig->world;
  guint i = (guint)(host - host->rig->hosts);
  return host->id && !world->away[i] && (i < RIG_MEMBERS || world->machine.runs);
}

static void connect_after(RigHost *host, gint64 us)
{
  if (!host->connecting)
    ws_loop_after(host->rig->center.loop, us, connect_host, host);
  host->connecting = true;
}

static void connect_host(void *arg)
{
  RigHost *host = arg;
  host->connecting = false;
  g_autoptr(InvSnapshot) snap = inv_snapshot(host->rig->center.inventory);
  if (!may_come(host) || !inv_find(snap, &ws_type_host, host->id))
    return;
  if (g_atomic_int_get(&truth_of(host)->is_off)) {
    connect_after(host, RECONNECT_US);
    return;
  }
  g_autoptr(RpcLink) end = hosts_admit(&host->rig->center, host->id, "192.0.2.9");
  host_sim_connect(host->sim, end);
}

void rig_connect_soon(RigHost *host)
{
  connect_after(host, RECONNECT_US);
}

static void cut(void *arg)
{
  RigHost *host = arg;
  host_sim_cut(host->sim);
  connect_after(host, host->rig->world->fault == RIG_AWAY ? RIG_AWAY_US : RECONNECT_US);
}

void center_rig_link(CenterRig *rig, guint host, bool on)
{
  rig->world->away[host] = !on;
  if (on)
    ws_loop_after(rig->center.loop, RECONNECT_US, connect_host, &rig->hosts[host]);
  else
    host_sim_cut(rig->hosts[host].sim);
}

void center_rig_switch(CenterRig *rig, guint host, bool on)
{
  if (!on)
    host_sim_fail_power(rig->hosts[host].sim);
  center_rig_link(rig, host, on);
}

/* ---- faults ---- */

void rig_point(RigWorld *world, const char *where)
{
  if (world->fault != RIG_KILL || g_atomic_int_add(&world->n_points, 1) + 1 != world->at)
    return;
  world->happened = 1;
  g_strlcpy(world->where, where, sizeof world->where);
  kill(getpid(), SIGKILL);
}

static bool hits(RigWorld *world, gint n, const char *where)
{
  bool hit = n == world->at || (world->fault == RIG_FULL && n > world->at && n < world->at + FULL_OPS);
  if (!hit)
    return false;
  world->happened = 1;
  g_strlcpy(world->where, where, sizeof world->where);
  return true;
}

/* Store's thread. A commit is whole or not at all (test-inventory-crash, test-inventory-power): before and after it is all there is for
 * kills. */
static int store_point(const char *point, void *arg)
{
  RigWorld *world = ((CenterRig *)arg)->world;
  bool is_sync = strcmp(point, "sync") == 0;
  if (strcmp(point, "commit") == 0 || strcmp(point, "committed") == 0)
    rig_point(world, point);
  if (world->fault == RIG_NO_SYNC)
    return is_sync && hits(world, g_atomic_int_add(&world->n_ops, 1) + 1, point) ? EIO : 0;
  if ((world->fault != RIG_FULL && world->fault != RIG_IO_ERROR) || is_sync || strcmp(point, "committed") == 0)
    return 0;
  return hits(world, g_atomic_int_add(&world->n_ops, 1) + 1, point) ? world->fault == RIG_FULL ? ENOSPC : EIO : 0;
}

/* ---- SQLite's memory ---- */

static sqlite3_mem_methods memory;
static RigWorld *memory_world;

static bool no_memory(void)
{
  return memory_world->fault == RIG_NO_MEMORY && hits(memory_world, g_atomic_int_add(&memory_world->n_ops, 1) + 1, "memory");
}

static void *rig_malloc(int n)
{
  return no_memory() ? NULL : memory.xMalloc(n);
}

static void *rig_realloc(void *old, int n)
{
  return no_memory() ? NULL : memory.xRealloc(old, n);
}

/* Before SQLite is used in this process. */
static void tap_memory(RigWorld *world)
{
  if (memory_world)
    return;
  memory_world = world;
  g_assert_cmpint(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), ==, SQLITE_OK);
  sqlite3_mem_methods tapped = memory;
  tapped.xMalloc = rig_malloc;
  tapped.xRealloc = rig_realloc;
  g_assert_cmpint(sqlite3_config(SQLITE_CONFIG_MALLOC, &tapped), ==, SQLITE_OK);
}

void rig_cancel_task(void *arg)
{
  CenterRig *rig = arg;
  g_autoptr(GError) refused = NULL;
  if (rig->task)
    task_cancel(rig->center.tasks, rig->task, "bob", &refused);
}

static bool act(const char *method, HostMoment moment, void *arg, GError **error)
{
  RigHost *host = arg;
  CenterRig *rig = host->rig;
  RigWorld *world = rig->world;
  char file[208];
  if (!world->lied_to && host_shared_file(world->hosts, RIG_HOSTS, file))
    g_error("at %s two running VMs write %s", method, file);
  rig_point(world, method);
  if (moment == HOST_BEFORE)
    world->n_acts++;
  if (world->fault <= RIG_KILL || world->fault >= RIG_FULL || world->n_acts != world->at)
    return true;
  if ((moment == HOST_AFTER) != (world->fault == RIG_CUT_AFTER))
    return true;
  world->happened = 1;
  g_strlcpy(world->where, method, sizeof world->where);
  if (world->fault == RIG_FAIL)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", "/simulated", NULL);
  if (world->fault == RIG_CANCEL)
    ws_co_start(rig->center.loop, rig_cancel_task, rig);
  else
    ws_loop_after(rig->center.loop, 0, cut, host); /* not under the handler's feet */
  return true;
}

/* ---- the manager ---- */

static void resume(void *arg)
{
  Center *center = arg;
  task_engine_resume(center->tasks);
  domains_resume(center);
}

CenterRig *center_rig_open(const char *dir, RigWorld *world)
{
  CenterRig *rig = g_new0(CenterRig, 1);
  Center *center = &rig->center;
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_build_filename(dir, "inventory.db", NULL);
  if (!g_test_verbose())
    ws_log_init("test", WS_LOG_ERROR, "/dev/null");
  rig->clock = (WsClock){.wall_us = rig_now, .monotonic_us = rig_now, .random_bytes = rig_random};
  rig->now_us = MAX(world->now_us, (gint64)1700000000 * G_USEC_PER_SEC);
  rig->world = world;
  tap_memory(world);
  center->clock = &rig->clock;
  center->loop = ws_loop_new(&rig->clock);
  center->config.data_dir = g_strdup(dir);
  center->config.packages_dir = g_strdup(dir);
  center->store = store_open(path, center->loop, &error);
  g_assert_no_error(error);
  center->inventory = inv_open(center->loop, center->store, &error);
  g_assert_no_error(error);
  store_set_fault(center->store, store_point, rig);
  center->workers = ws_workers_new("test", 0);
  center->tickets = tickets_new(center->clock);
  center->turns = turns_new();
  center->tasks = task_engine_new(center->inventory, center->loop, center);
  task_engine_register(center->tasks, ws_task_kinds, ws_n_task_kinds);
  task_engine_register(center->tasks, api_batch_task_kind(), 1);
  center->links = hosts_new(center);
  domains_start(center);
  center->audit = audit_new(center, &error);
  g_assert_no_error(error);
  ws_exec_set_recorder(bmc, rig);
  rig_machine_listen(rig);
  static const char *const host_names[RIG_HOSTS] = {"host", "second", "machine"};
  for (guint i = 0; i < RIG_HOSTS; i++) {
    RigHost *host = &rig->hosts[i];
    *host = (RigHost){rig, i < RIG_MEMBERS ? world->names[i].id : world->machine.host, host_sim_new(center->loop, host_names[i], &world->hosts[i], &world->disks, act, host)};
  }
  host_sim_meet(rig->hosts[0].sim, rig->hosts[1].sim);
  center_rig_run(rig, resume, center);
  for (guint i = 0; i < RIG_HOSTS && world->names[0].id; i++)
    connect_after(&rig->hosts[i], RECONNECT_US / 3 + i);
  return rig;
}

void center_rig_close(CenterRig *rig)
{
  Center *center = &rig->center;
  store_set_fault(center->store, NULL, NULL);
  ws_exec_set_recorder(NULL, NULL);
  remote_set_fake(NULL);
  for (guint i = 0; i < RIG_HOSTS; i++)
    host_sim_free(rig->hosts[i].sim);
  hosts_free(center->links);
  drs_stop(center);
  ws_workers_free(center->workers);
  drs_free(center);
  task_engine_free(center->tasks);
  audit_free(center->audit);
  inv_close(center->inventory);
  store_close(center->store);
  tickets_free(center->tickets);
  turns_free(center->turns);
  g_clear_pointer(&center->moves_begun, g_hash_table_unref);
  g_hash_table_unref(center->stale_vms);
  g_hash_table_unref(center->logs_asked);
  g_clear_pointer(&center->host_versions, g_hash_table_unref);
  g_hash_table_unref(center->pools_of_hosts);
  g_hash_table_unref(center->firewalls_under_way);
  g_ptr_array_unref(center->promises);
  quotas_free(center->quotas);
  bin_free(center);
  troubles_free(center->troubles);
  ws_loop_free(center->loop);
  g_free(center->config.data_dir);
  g_free(center->config.packages_dir);
  g_free(rig);
}

/* ---- requests ---- */

static const WsType *type_of_name(CenterRig *rig, WsId id)
{
  g_autoptr(InvSnapshot) snap = inv_head(rig->center.inventory);
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY) && inv_find(snap, ws_resource_types[i], id))
      return ws_resource_types[i];
  g_error("no object %" G_GUINT64_FORMAT, (guint64)id);
}

/* "@pool" becomes "pool-3", and ' becomes ". */
static char *resolve(CenterRig *rig, const char *json)
{
  GString *out = g_string_new(NULL);
  while (*json) {
    if (*json != '@') {
      g_string_append_c(out, *json == '\'' ? '"' : *json);
      json++;
      continue;
    }
    gsize n = strspn(++json, "abcdefghijklmnopqrstuvwxyz_0123456789");
    g_autofree char *name = g_strndup(json, n);
    WsId id = rig_world_find(rig->world, name);
    char text[WS_ID_TEXT_MAX];
    g_string_append(out, ws_id_format(type_of_name(rig, id)->prefix, id, text));
    json += n;
  }
  return g_string_free(out, FALSE);
}

typedef struct {
  CenterRig *rig;
  const TaskKind *kind;
  WsId target;
  void *args;
  TaskStarted started;
  GError *error;
} Ask;

static void add_audit(InvTxn *txn, WsId task, void *arg)
{
  Ask *ask = arg;
  char text[WS_ID_TEXT_MAX];
  WsAuditRecord *record = ws_audit_record_new();
  record->user = g_strdup("alice");
  record->operation = g_strdup(ask->kind->name);
  record->task = g_strdup(ws_id_format(ws_type_task.prefix, task, text));
  record->result = WS_AUDIT_RECORD_RESULT_ACCEPTED;
  record->risk = WS_AUDIT_RECORD_RISK_LOW;
  audit_append(ask->rig->center.audit, txn, record);
  ask->rig->task = task;
}

static void ask_for_task(void *arg)
{
  Ask *ask = arg;
  Center *center = &ask->rig->center;
  TaskCause cause = {.user_name = "alice", .origin = "192.0.2.1", .cause = "user", .enrich = add_audit, .enrich_arg = ask};
  task_start(center->tasks, ask->kind, ask->target, ask->args, &cause, false, 0, &ask->started, &ask->error);
}

WsId center_rig_start(CenterRig *rig, const char *kind, const char *target, const char *json, GError **error)
{
  Ask ask = {.rig = rig, .kind = task_kind_find(rig->center.tasks, kind)};
  g_autoptr(GError) bad = NULL;
  g_assert_nonnull(ask.kind);
  ask.target = target ? rig_world_find(rig->world, target) : 0;
  if (ask.kind->args_type) {
    g_autofree char *text = resolve(rig, json ? json : "{}");
    ask.args = ws_object_parse(ask.kind->args_type, text, strlen(text), WS_PARSE_CREATE, &bad);
    g_assert_no_error(bad);
  }
  center_rig_run(rig, ask_for_task, &ask);
  if (ask.error)
    g_propagate_error(error, ask.error);
  return ask.started.task_id;
}

void center_rig_assert_refused(CenterRig *rig, WsErrorCode code, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  WsId task = center_rig_start(rig, kind, target, json, &error);
  if (task || ws_error_code(error) != code)
    g_error("%s %s %s: %s", kind, target ? target : "", json ? json : "", task ? "was not refused" : error->message);
}

static const void *kept;

static bool newest_root(const void *object, void *arg)
{
  const WsTask *rec = object, **found = arg;
  if (!rec->parent && (!*found || rec->id > (*found)->id))
    *found = rec;
  return true;
}

const WsTask *center_rig_last_task(CenterRig *rig)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsTask *found = NULL;
  inv_each(snap, &ws_type_task, newest_root, &found);
  if (found && found->id <= rig->world->last_id)
    found = NULL;
  ws_resource_unref(kept);
  kept = found ? ws_resource_ref(found) : NULL;
  return kept;
}

WsId center_rig_do(CenterRig *rig, const char *name, const char *kind, const char *target, const char *json)
{
  g_autoptr(GError) error = NULL;
  WsId task = center_rig_start(rig, kind, target, json, &error);
  g_assert_no_error(error);
  while (engine_find(rig->center.tasks, task))
    step(rig);
  g_autoptr(InvSnapshot) snap = inv_snapshot(rig->center.inventory);
  const WsTask *rec = inv_find(snap, &ws_type_task, task);
  if (rec->state != WS_TASK_STATE_DONE)
    g_error("%s: %s %s", kind, ws_task_state_names[rec->state - 1], rec->error ? rec->error->code : "");
  if (name)
    rig_world_name(rig->world, name, rec->result.id);
  return rec->result.id;
}
