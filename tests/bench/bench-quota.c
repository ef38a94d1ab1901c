// SPDX-License-Identifier: Apache-2.0
/* What quotas cost the core loop: 50,000 VMs in 500 groups under one root, each group with a quota. CPU time of this thread.
 *
 * Runs in the current directory (a real disk). Prints a table; the last line is the same as JSON. */
#include "center/quota.h"
#include "inventory/typed.h"
#include <glib/gstdio.h>
#include <time.h>

#define N_VMS       50000
#define N_DIVISIONS 10
#define N_TEAMS     489
#define N_BATCH     1000

typedef struct {
  WsLoop *loop;
  Store *store;
  Inventory *inv;
  Quotas *quotas;
  WsId root, divisions[N_DIVISIONS], teams[N_TEAMS];
  WsId vms[N_VMS];
} Bench;

static GString *json;

static double cpu_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void report(const char *name, const char *text, double ms, double goal_ms)
{
  g_print("%-60s %9.3f ms", text, ms);
  if (goal_ms > 0)
    g_print("  goal <= %.0f: %s", goal_ms, ms <= goal_ms ? "met" : "MISSED");
  g_print("\n");
  g_string_append_printf(json, "%s\"%s\":%.4f", json->len > 1 ? "," : "", name, ms);
}

typedef struct {
  Bench *bench;
  void (*func)(Bench *bench, InvTxn *txn);
  bool ended;
} Run;

static void commit(void *arg)
{
  Run *run = arg;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(run->bench->inv);
  run->func(run->bench, txn);
  if (!inv_commit(txn, NULL, &error))
    g_error("%s", error->message);
  run->ended = true;
}

static void in_transaction(Bench *bench, void (*func)(Bench *bench, InvTxn *txn))
{
  Run run = {bench, func, false};
  ws_co_start(bench->loop, commit, &run);
  while (!run.ended)
    ws_loop_step(bench->loop, -1);
}

static WsId make_group(InvTxn *txn, WsId parent, guint i)
{
  WsBusinessGroup *group = inv_create_business_group(txn);
  group->name = g_strdup_printf("group-%u", i);
  group->parent = parent;
  group->quota = ws_business_group_quota_new();
  group->quota->vms = 1000000;
  group->quota->disk_bytes = (gint64)1 << 52;
  return group->id;
}

static guint filled;

static void make_groups(Bench *b, InvTxn *txn)
{
  b->root = make_group(txn, 0, 0);
  for (guint i = 0; i < N_DIVISIONS; i++)
    b->divisions[i] = make_group(txn, b->root, i + 1);
  for (guint i = 0; i < N_TEAMS; i++)
    b->teams[i] = make_group(txn, b->divisions[i % N_DIVISIONS], i + 100);
}

static void make_vms(Bench *b, InvTxn *txn)
{
  for (guint end = filled + N_BATCH; filled < end; filled++) {
    WsVm *vm = inv_create_vm(txn);
    vm->name = g_strdup_printf("vm-%u", filled);
    vm->group = b->teams[filled % N_TEAMS];
    vm->management = WS_VM_MANAGEMENT_MANAGED;
    vm->memory_bytes = (gint64)4 << 30;
    WsVmDisk *disk = ws_vm_disk_new();
    disk->key = g_strdup("disk-0");
    ws_array_add(&vm->disks, disk);
    WsVolume *volume = inv_create_volume(txn);
    volume->name = g_strdup(vm->name);
    volume->size_bytes = (gint64)40 << 30;
    volume->used_by = vm->id;
    disk->volume = volume->id;
    b->vms[filled] = vm->id;
  }
}

static void move_division(Bench *b, InvTxn *txn)
{
  WsBusinessGroup *group = inv_edit_business_group(txn, b->divisions[0]);
  group->parent = group->parent == b->root ? b->divisions[1] : b->root;
}

static void ask(Bench *b)
{
  g_autofree QuotaAsk *asks = g_new0(QuotaAsk, N_BATCH);
  g_autofree QuotaHold *holds = g_new0(QuotaHold, N_BATCH);
  g_auto(QuotaHold) hold = {NULL};
  QuotaFigures one = {{1, 2, (gint64)4 << 30, (gint64)40 << 30}};
  double start = cpu_ms();
  for (guint i = 0; i < N_BATCH; i++) {
    QuotaAsk ask = {inv_new_id(b->inv), one};
    g_assert_true(quota_admit(b->quotas, &holds[i], &ask, 1, b->teams[i % N_TEAMS], NULL));
  }
  report("admit_1000_new", "1,000 deployments admitted, one by one", cpu_ms() - start, 20);
  start = cpu_ms();
  for (guint i = 0; i < N_BATCH; i++)
    quota_hold_end(&holds[i]);
  report("end_1000", "their holds ended", cpu_ms() - start, 20);
  for (guint i = 0; i < N_BATCH; i++)
    asks[i].vm = b->vms[i];
  start = cpu_ms();
  g_assert_true(quota_admit(b->quotas, &hold, asks, N_BATCH, b->teams[7], NULL));
  report("take_1000", "1,000 VMs taken into a group, admitted in one call", cpu_ms() - start, 20);
}

int main(void)
{
  g_autofree Bench *b = g_new0(Bench, 1);
  g_autofree char *dir = g_strdup("bench-quota-XXXXXX");
  GError *error = NULL;
  json = g_string_new("{");
  g_assert_nonnull(g_mkdtemp(dir));
  g_autofree char *path = g_build_filename(dir, "db", NULL);
  b->loop = ws_loop_new(ws_clock_system());
  b->store = store_open(path, b->loop, &error);
  b->inv = b->store ? inv_open(b->loop, b->store, &error) : NULL;
  if (!b->inv)
    g_error("%s", error->message);
  in_transaction(b, make_groups);
  while (filled < N_VMS)
    in_transaction(b, make_vms);

  double start = cpu_ms();
  b->quotas = quotas_new(b->inv);
  report("start", "added up at start, 50,000 VMs", cpu_ms() - start, 0);
  g_assert_cmpint(quota_used(b->quotas, b->root).of[QUOTA_VMS], ==, N_VMS);
  ask(b);
  {
    g_auto(QuotaHold) hold = {NULL};
    start = cpu_ms();
    g_assert_true(quota_admit_group(b->quotas, &hold, b->divisions[0], b->divisions[1], NULL));
    report("move_group_asked", "a group of 5,000 VMs moves: admitted", cpu_ms() - start, 20);
  }
  start = cpu_ms();
  in_transaction(b, move_division);
  report("move_group", "... and counted anew, commit and all", cpu_ms() - start, 20);
  g_assert_cmpint(quota_used(b->quotas, b->divisions[1]).of[QUOTA_VMS], >, N_VMS / N_DIVISIONS);

  inv_close(b->inv);
  store_close(b->store);
  ws_loop_free(b->loop);
  quotas_free(b->quotas);
  const char *files[] = {"db", "db.lock", "db-wal", "db-shm", "db-journal"};
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autofree char *file = g_build_filename(dir, files[i], NULL);
    g_unlink(file);
  }
  g_rmdir(dir);
  g_print("%s}\n", json->str);
  g_string_free(json, TRUE);
  return 0;
}
