// SPDX-License-Identifier: Apache-2.0
/* What the inventory costs: memory of 50,000 VMs, snapshots, look-ups, lists, commits beside the disk's own
 * sync, many writers.
 *
 * Runs in the current directory (a real disk), or in the one that INVENTORY_BENCH_DIR names. Prints a table;
 * the last line is the same as JSON. Figures with a goal say whether it is met. */
#include "inventory/typed.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_VMS      50000
#define N_HOSTS    500
#define N_LIST     10000
#define N_COMMITS  400
#define N_WRITERS  64
#define WRITERS_US (3 * (gint64)G_USEC_PER_SEC)

typedef struct {
  WsLoop *loop;
  Store *store;
  Inventory *inv;
  char *dir, *path;
  bool with_volumes;
  GArray *vms; /* ids */
} Bench;

static GString *json;

/* goal 0: none. `below`: the goal is an upper bound. */
static void report(const char *name, const char *text, double value, const char *unit, double goal,
                   bool below)
{
  bool met = goal <= 0 || (below ? value <= goal : value >= goal);

  g_print("%-52s %12.2f %-8s", text, value, unit);
  if (goal > 0)
    g_print(" goal %s %.2f: %s", below ? "<=" : ">=", goal, met ? "met" : "MISSED");
  g_print("\n");
  g_string_append_printf(json, "%s\"%s\":%.3f", json->len > 1 ? "," : "", name, value);
}

static double now_us(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Of this thread: what is bound by the processor is not disturbed by what else the machine does. */
static double cpu_us(void)
{
  struct timespec t;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double process_cpu_us(void)
{
  struct timespec t;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static gint compare_doubles(gconstpointer a, gconstpointer b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return x < y ? -1 : x > y;
}

static double percentile(double *values, guint n, double p)
{
  qsort(values, n, sizeof(double), compare_doubles);
  return values[(guint)((n - 1) * p)];
}

static double rss_mib(void)
{
  g_autofree char *text = NULL;
  long pages = 0;

  malloc_trim(0);
  g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
  pages = strtol(strchr(text, ' '), NULL, 10);
  return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* ---- coroutines from outside ---- */

typedef struct {
  WsCoFunc func;
  void *arg;
  bool ended;
} Run;

static void run_then_end(void *arg)
{
  Run *run = arg;

  run->func(run->arg);
  run->ended = true;
}

static void run(Bench *b, WsCoFunc func, void *arg)
{
  Run r = {func, arg, false};

  ws_co_start(b->loop, run_then_end, &r);
  while (!r.ended)
    ws_loop_step(b->loop, -1);
}

static void check(bool ok, const GError *error)
{
  if (!ok)
    g_error("%s", error ? error->message : "failed");
}

static void open_bench(Bench *b)
{
  GError *error = NULL;

  b->loop = ws_loop_new(ws_clock_system());
  b->store = store_open(b->path, b->loop, &error);
  check(b->store != NULL, error);
  b->inv = inv_open(b->loop, b->store, &error);
  check(b->inv != NULL, error);
}

static void close_bench(Bench *b)
{
  inv_close(b->inv);
  store_close(b->store);
  ws_loop_free(b->loop);
}

/* ---- objects as they are in use ---- */

static void fill_vm(WsVm *vm, guint i, WsId host, WsId volume)
{
  vm->name = g_strdup_printf("web-%05u.example.net", i);
  vm->description = g_strdup("Front end, kept by the web team");
  vm->host = host;
  vm->uuid = g_strdup_printf("3b241101-e2bb-4255-8caf-4136c5%06x", i);
  vm->architecture = 1;
  vm->machine = g_strdup("pc-q35-7.2");
  vm->firmware = 1;
  vm->memory_bytes = vm->memory_max_bytes = (gint64)4 << 30;
  vm->cpu = ws_object_new(&ws_type_vm_cpu);
  vm->os = ws_object_new(&ws_type_vm_os);
  ws_apply_defaults(&ws_type_vm_cpu, vm->cpu);
  vm->disks.items = g_new0(WsVmDisk *, 1);
  vm->disks.len = 1;
  vm->disks.items[0] = ws_object_new(&ws_type_vm_disk);
  vm->disks.items[0]->key = g_strdup("disk-1");
  vm->disks.items[0]->volume = volume;
  vm->nics.items = g_new0(WsVmNic *, 1);
  vm->nics.len = 1;
  vm->nics.items[0] = ws_object_new(&ws_type_vm_nic);
  vm->nics.items[0]->key = g_strdup("nic-1");
  vm->nics.items[0]->mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", i >> 16, i >> 8 & 255, i & 255);
  vm->management = 1;
  vm->created = 1700000000000000 + i;
  vm->power = ws_object_new(&ws_type_power);
  vm->power->since = vm->created;
  vm->guest = ws_object_new(&ws_type_vm_guest);
  vm->guest->hostname = g_strdup(vm->name);
  vm->guest->os_name = g_strdup("Debian GNU/Linux 12 (bookworm)");
  vm->guest->kernel = g_strdup("6.1.0-28-amd64");
  vm->guest->ips.items = g_new0(char *, 1);
  vm->guest->ips.len = 1;
  vm->guest->ips.items[0] = g_strdup_printf("10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
  vm->usage = ws_object_new(&ws_type_vm_usage);
  vm->usage->cpu_percent = 12.5;
  vm->usage->memory_used_bytes = vm->usage->memory_host_bytes = (gint64)3 << 30;
  vm->usage->time = vm->created;
  vm->health = ws_object_new(&ws_type_health);
}

/* Hosts, a pool, then VMs with a volume each (or without), 500 a transaction. */
static void fill_inventory(void *arg)
{
  Bench *b = arg;
  GError *error = NULL;
  WsId hosts[N_HOSTS], pool;
  InvTxn *txn = inv_begin(b->inv);

  for (guint i = 0; i < N_HOSTS; i++) {
    WsHost *host = inv_create_host(txn);
    host->name = g_strdup_printf("host-%u", i);
    hosts[i] = host->id;
  }
  pool = inv_create_pool(txn)->id;
  check(inv_commit(txn, NULL, &error), error);
  inv_txn_free(txn);
  for (guint i = 0; i < N_VMS; i += 500) {
    txn = inv_begin(b->inv);
    for (guint k = i; k < i + 500; k++) {
      WsVolume *volume = b->with_volumes ? inv_create_volume(txn) : NULL;
      if (volume) {
        volume->name = g_strdup_printf("web-%05u", k);
        volume->pool = pool;
        volume->size_bytes = (gint64)40 << 30;
      }
      fill_vm(inv_create_vm(txn), k, hosts[k % N_HOSTS], volume ? volume->id : 0);
    }
    check(inv_commit(txn, NULL, &error), error);
    inv_txn_free(txn);
  }
}

/* Runs func in a process of its own, so that this one's memory is as before; its figure. */
static double in_child(Bench *b, double (*func)(Bench *b))
{
  int fds[2], status;
  double figure = 0;
  pid_t pid;

  g_assert_cmpint(pipe(fds), ==, 0);
  pid = fork();
  g_assert_cmpint(pid, >=, 0);
  if (pid == 0) {
    figure = func(b);
    _exit(write(fds[1], &figure, sizeof figure) == sizeof figure ? 0 : 1);
  }
  close(fds[1]);
  g_assert_cmpint(read(fds[0], &figure, sizeof figure), ==, sizeof figure);
  close(fds[0]);
  g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
  return figure;
}

static double fill(Bench *b)
{
  open_bench(b);
  run(b, fill_inventory, b);
  close_bench(b);
  return 0;
}

static double memory_of_loading(Bench *b)
{
  double before = rss_mib();

  open_bench(b);
  return rss_mib() - before;
}

static bool add_id(const void *object, void *arg)
{
  g_array_append_val((GArray *)arg, ((const WsResource *)object)->id);
  return true;
}

/* ---- memory ---- */

static void remove_database(Bench *b)
{
  static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};

  for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
    g_autofree char *path = g_strconcat(b->path, suffixes[i], NULL);
    g_unlink(path);
  }
}

static void measure_memory(Bench *b)
{
  double before, began;
  g_autoptr(InvSnapshot) snap = NULL;

  in_child(b, fill);
  report("memory_vms_mib", "memory of 50,000 VMs and 500 hosts", in_child(b, memory_of_loading), "MiB", 100,
         true);
  remove_database(b);
  b->with_volumes = true;
  in_child(b, fill);
  before = rss_mib();
  began = cpu_us();
  open_bench(b);
  report("load_ms", "start with that and 50,000 volumes", (cpu_us() - began) / 1000, "ms", 0, true);
  report("memory_all_mib", "memory of all that", rss_mib() - before, "MiB", 0, true);
  snap = inv_snapshot(b->inv);
  b->vms = g_array_new(FALSE, FALSE, sizeof(WsId));
  inv_each(snap, &ws_type_vm, add_id, b->vms);
  g_assert_cmpuint(b->vms->len, ==, N_VMS);
}

/* ---- reading ---- */

static bool count_large(const void *object, void *arg)
{
  const WsVm *vm = object;

  *(guint *)arg += vm->memory_bytes >= (gint64)4 << 30 && vm->power && vm->power->state == 0;
  return true;
}

typedef struct {
  guint left, n;
} Page;

static bool first_page(const void *object, void *arg)
{
  Page *page = arg;

  page->n += ((const WsVm *)object)->memory_bytes > 0;
  return --page->left > 0;
}

static void measure_reading(Bench *b)
{
  enum { N = 1000000 };
  g_autoptr(InvSnapshot) snap = inv_snapshot(b->inv);
  const WsField *by_host = ws_type_field(&ws_type_vm, "host", 4);
  double began = cpu_us();
  guint found = 0;

  for (guint i = 0; i < N; i++)
    inv_snapshot_unref(inv_snapshot(b->inv));
  report("snapshot_ns", "take and drop a snapshot", (cpu_us() - began) * 1000 / N, "ns", 0, true);

  began = cpu_us();
  for (guint i = 0; i < N; i++)
    found += inv_find_vm(snap, g_array_index(b->vms, WsId, i * 7919ull % N_VMS)) != NULL;
  report("find_ns", "find one of 50,000 by id", (cpu_us() - began) * 1000 / N, "ns", 0, true);
  g_assert_cmpuint(found, ==, N);

  began = cpu_us();
  found = 0;
  for (guint i = 0; i < N_HOSTS; i++) {
    const WsVm *vm = inv_find_vm(snap, g_array_index(b->vms, WsId, i));
    inv_each_by(snap, &ws_type_vm, by_host, vm->host, NULL, count_large, &found);
  }
  report("index_ns", "one VM of a host through the index", (cpu_us() - began) * 1000 / N_VMS, "ns", 0, true);
  g_assert_cmpuint(found, ==, N_VMS);

  double best = G_MAXDOUBLE;
  for (guint round = 0; round < 10; round++) {
    Page page = {N_LIST, 0};
    began = cpu_us();
    inv_each(snap, &ws_type_vm, first_page, &page);
    best = MIN(best, cpu_us() - began);
    g_assert_cmpuint(page.n, ==, N_LIST);
  }
  report("list_10000_us", "walk over 10,000 VMs, reading a field", best, "us", 0, true);
}

/* ---- commits ---- */

static bool edit_one(Bench *b, guint i, bool durable, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(b->inv);
  WsVm *vm = inv_edit_vm(txn, g_array_index(b->vms, WsId, i % N_VMS));

  if (durable)
    vm->memory_bytes += 1 << 20;
  else
    vm->usage->time++;
  return inv_commit(txn, NULL, error);
}

static double append_and_sync(int fd)
{
  static const char block[4096];
  double began = now_us();

  if (write(fd, block, sizeof block) != sizeof block || fdatasync(fd) != 0)
    g_error("sync: %s", g_strerror(errno));
  return now_us() - began;
}

/* Turn by turn, so that what else the disk does hits both. */
static void commit_beside_sync(void *arg)
{
  Bench *b = arg;
  g_autofree char *path = g_build_filename(b->dir, "sync", NULL);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  static double syncs[N_COMMITS], commits[N_COMMITS];
  GError *error = NULL;
  double sync_p50;

  for (guint i = 0; i < N_COMMITS; i++) {
    double began;
    syncs[i] = append_and_sync(fd);
    began = now_us();
    check(edit_one(b, i * 97, true, &error), error);
    commits[i] = now_us() - began;
  }
  close(fd);
  g_unlink(path);
  sync_p50 = percentile(syncs, N_COMMITS, 0.5) / 1000;
  report("fdatasync_p50_ms", "append 4 KiB and fdatasync, p50", sync_p50, "ms", 0, true);
  report("commit_p50_ms", "commit of one VM, p50", percentile(commits, N_COMMITS, 0.5) / 1000, "ms",
         1.5 * sync_p50 + 0.5, true);
  report("commit_p99_ms", "commit of one VM, p99", percentile(commits, N_COMMITS, 0.99) / 1000, "ms", 0,
         true);
}

typedef struct {
  Bench *b;
  double until;
  guint number, n_rows, *n_left;
} Writer;

static void write_on(void *arg)
{
  Writer *w = arg;
  GError *error = NULL;

  for (; now_us() < w->until; w->n_rows++)
    check(edit_one(w->b, w->number + N_WRITERS * w->n_rows, true, &error), error);
  --*w->n_left;
}

static void measure_writers(Bench *b)
{
  static Writer writers[N_WRITERS];
  guint n_left = N_WRITERS, n_rows = 0;
  double began = now_us(), cpu = process_cpu_us(), seconds;

  for (guint i = 0; i < N_WRITERS; i++) {
    writers[i] = (Writer){b, began + (double)WRITERS_US, i, 0, &n_left};
    ws_co_start(b->loop, write_on, &writers[i]);
  }
  while (n_left > 0)
    ws_loop_step(b->loop, -1);
  seconds = (now_us() - began) / 1e6;
  for (guint i = 0; i < N_WRITERS; i++)
    n_rows += writers[i].n_rows;
  cpu = process_cpu_us() - cpu;
  report("writers_64_rows_per_s", "64 writers, one VM a commit", n_rows / seconds, "rows/s", 10000, false);
  report("row_cpu_us", "processor time of each of them, both threads", cpu / n_rows, "us", 0, true);
}

static void measure_reports(Bench *b)
{
  enum { N = 50000 };
  GError *error = NULL;
  double began = cpu_us();

  for (guint i = 0; i < N; i++)
    check(edit_one(b, i * 7919, false, &error), error);
  report("volatile_us", "commit of a volatile change (no disk)", (cpu_us() - began) / N, "us", 0, true);
}

/* ---- watching ---- */

static void count_wake(void *arg)
{
  ++*(guint *)arg;
}

static void measure_watchers(Bench *b)
{
  enum { N = 1000, ROUNDS = 100 };
  static InvWatch *watches[N];
  GError *error = NULL;
  guint woken = 0;
  double began;

  for (guint i = 0; i < N; i++)
    watches[i] = inv_watch_new(b->inv, 0, count_wake, &woken);
  began = cpu_us();
  for (guint round = 0; round < ROUNDS; round++) {
    check(edit_one(b, round, false, &error), error);
    for (guint i = 0; i < N; i++) {
      InvChange change;
      guint n = 1;
      while (n > 0) {
        check(inv_watch_next(watches[i], &change, 1, &n, &error), error);
        inv_changes_release(&change, n);
      }
    }
  }
  g_assert_cmpuint(woken, ==, N * ROUNDS);
  report("watch_ns", "one change to one watcher: woken, read, end seen",
         (cpu_us() - began) * 1000 / (N * ROUNDS), "ns", 0, true);
  for (guint i = 0; i < N; i++)
    inv_watch_free(watches[i]);
}

/* ---- all ---- */

int main(void)
{
  const char *parent = g_getenv("INVENTORY_BENCH_DIR");
  Bench b = {.dir = g_build_filename(parent ? parent : ".", "bench-inventory-XXXXXX", NULL)};

  ws_log_init("bench-inventory", WS_LOG_ERROR, NULL);
  g_assert_nonnull(g_mkdtemp(b.dir));
  b.path = g_build_filename(b.dir, "inventory.db", NULL);
  json = g_string_new("{");
  measure_memory(&b);
  measure_reading(&b);
  run(&b, commit_beside_sync, &b);
  measure_writers(&b);
  measure_watchers(&b);
  measure_reports(&b);
  close_bench(&b);
  remove_database(&b);
  g_rmdir(b.dir);
  g_print("%s}\n", json->str);
  return 0;
}
