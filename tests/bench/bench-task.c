// SPDX-License-Identifier: Apache-2.0
/* What a task costs: one by itself beside as many syncs of the same disk, many at a time, a batch, and what a queued child takes in
 * memory; and a call over the agent link without its sockets. A table, then one line of JSON. */
#include "base/log.h"
#include "rpc/rpc.h"
#include "task/task.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

static GString *json_line;
static WsLoop *loop;
static Inventory *inv;
static TaskEngine *engine;

static void show(const char *name, const char *text, double value, const char *unit)
{
  g_print("%-58s %12.2f %s\n", text, value, unit);
  g_string_append_printf(json_line, "%s\"%s_%s\":%.2f", json_line->len > 1 ? "," : "", name, unit, value);
}

static double ms_since(gint64 began_us)
{
  return (double)(g_get_monotonic_time() - began_us) / 1000;
}

static double cpu_ms(void)
{
  struct timespec t;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

/* ---- tasks of three steps that do nothing ---- */

static guint n_children;

static bool nothing(Task *task, void *ctx, GError **error)
{
  return true;
}

static bool three(Task *task, GError **error)
{
  return TASK_STEP(task, "one", nothing, nothing, NULL, error) && TASK_STEP(task, "two", nothing, nothing, NULL, error) &&
         TASK_LAST(task, "three", nothing, NULL, error);
}

static bool batch(Task *task, GError **error)
{
  g_autofree TaskChild *children = g_new0(TaskChild, n_children);

  return task_run_children(task, task_kind_find(task_engine(task), "three"), children, n_children, 256, error);
}

static const TaskKind kinds[] = {{"three", three, NULL, NULL, "working"}, {"batch", batch, NULL, NULL, "batch"}};

static guint n_left;
static GArray *took_ms;

static void run_one(void *kind)
{
  gint64 began_us = g_get_monotonic_time();
  TaskStarted started;
  double ms;

  g_assert_true(task_start(engine, task_kind_find(engine, kind), 0, NULL, NULL, false, 0, &started, NULL));
  g_assert_true(task_wait(engine, started.task_id, NULL));
  ms = ms_since(began_us);
  g_array_append_val(took_ms, ms);
  n_left--;
}

static void run_many(const char *kind, guint n, guint at_a_time)
{
  guint begun = 0;

  n_left = n;
  while (n_left) {
    while (begun < n && begun < n - n_left + at_a_time) {
      begun++;
      ws_co_start(loop, run_one, (char *)kind);
    }
    ws_loop_step(loop, 100);
  }
}

static int by_value(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return x < y ? -1 : x > y;
}

static double median_ms(void)
{
  double median;

  g_array_sort(took_ms, by_value);
  median = g_array_index(took_ms, double, took_ms->len / 2);
  g_array_set_size(took_ms, 0);
  return median;
}

static double sync_ms(const char *dir)
{
  g_autofree char *path = g_build_filename(dir, "sync", NULL);
  int fd = g_open(path, O_CREAT | O_WRONLY, 0600);
  char page[4096] = "";

  for (guint i = 0; i < 200; i++) {
    gint64 began_us = g_get_monotonic_time();
    g_assert_cmpint(pwrite(fd, page, sizeof page, i * 4096), ==, sizeof page);
    fdatasync(fd);
    double ms = ms_since(began_us);
    g_array_append_val(took_ms, ms);
  }
  close(fd);
  g_unlink(path);
  return median_ms();
}

static void bench_tasks(const char *dir)
{
  double sync = sync_ms(dir), one, cpu;
  gint64 began_us;

  g_print("Tasks of three steps\n");
  show("sync", "  fdatasync of 4 KiB on this disk, median", sync, "ms");
  run_many("three", 200, 1);
  one = median_ms();
  show("task", "  one at a time, from request to end, median", one, "ms");
  show("task_per_sync", "  the same in such syncs", one / sync, "x");
  cpu = cpu_ms();
  began_us = g_get_monotonic_time();
  run_many("three", 5000, 500);
  show("many", "  500 at a time", 5000 / ms_since(began_us) * 1000, "per_s");
  show("cpu", "  core loop's CPU for one", (cpu_ms() - cpu) * 1000 / 5000, "us");
  g_array_set_size(took_ms, 0);
}

static void bench_batch(void)
{
  gint64 began_us = g_get_monotonic_time();
  struct mallinfo2 before = mallinfo2();

  g_print("\nA batch of 10,000 children, 256 at a time\n");
  n_children = 10000;
  n_left = 1;
  ws_co_start(loop, run_one, (char *)"batch");
  while (task_engine_n_running(engine) < 200) /* the children are on record, the first ones run */
    ws_loop_step(loop, 100);
  show("queued_child", "  memory of a queued child", (double)(mallinfo2().uordblks - before.uordblks) / n_children, "bytes");
  show("batch_recorded", "  until all are on record and the first run", ms_since(began_us), "ms");
  while (n_left)
    ws_loop_step(loop, 100);
  show("batch", "  until the last has ended", ms_since(began_us), "ms");
}

/* ---- a call over the link, its bytes handed over in memory ---- */

static const RpcMethod echo = {"bench.echo", &ws_type_rpc_volume_create, &ws_type_rpc_volume_create_result, 0, false};

static bool serve(RpcCall *call, const void *params, void **result, GError **error)
{
  WsRpcVolumeCreateResult *r = ws_rpc_volume_create_result_new();

  r->allocated_bytes = 4096;
  *result = r;
  return true;
}

static RpcLink *ends[2];

typedef struct {
  RpcLink *to;
  GBytes *message;
} Packet;

static void take_packet(void *arg)
{
  Packet *packet = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(packet->message, &n);

  rpc_link_received(packet->to, bytes, n);
}

static void free_packet(void *arg)
{
  g_bytes_unref(((Packet *)arg)->message);
  g_free(arg);
}

static bool send_packet(void *carrier, GBytes *message)
{
  Packet *packet = g_new(Packet, 1);

  *packet = (Packet){carrier, g_bytes_ref(message)};
  ws_loop_post(loop, take_packet, packet, free_packet);
  return true;
}

static void close_end(void *carrier, const char *reason)
{
}

static void call_often(void *arg)
{
  guint n = GPOINTER_TO_UINT(arg);
  WsRpcVolumeCreate params = {.pool = 7, .file = (char *)"vol-42-0a1b2c3d.qcow2", .size_bytes = 1 << 30,
                              .format = WS_RPC_VOLUME_CREATE_FORMAT_QCOW2, .provisioning = WS_RPC_VOLUME_CREATE_PROVISIONING_THIN};

  for (guint i = 0; i < n; i++) {
    void *result = NULL;
    g_autoptr(GError) error = NULL;
    rpc_call(ends[0], &echo, &params, &result, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    ws_object_free(echo.result, result);
  }
  n_left--;
}

static void bench_calls(void)
{
  static const RpcService services[] = {{&echo, serve}};
  static const RpcEvents events = {0};
  static const RpcCarrier carrier = {send_packet, close_end, NULL};
  const guint n = 100;
  double cpu;

  for (guint i = 0; i < 2; i++)
    ends[i] = rpc_link_new(loop, services, 1, &events, NULL);
  for (guint i = 0; i < 2; i++)
    rpc_link_opened(ends[i], &carrier, ends[1 - i]);
  while (!rpc_link_is_up(ends[0]) || !rpc_link_is_up(ends[1]))
    ws_loop_step(loop, 10);
  g_print("\nCalls over the agent link, without its sockets\n");
  cpu = cpu_ms();
  /* Below the rate at which a peer is cut. */
  for (guint i = 0; i < 60; i++) {
    n_left = 1;
    ws_co_start(loop, call_often, GUINT_TO_POINTER(n));
    while (n_left)
      ws_loop_step(loop, 10);
  }
  show("call", "  CPU of both sides for one", (cpu_ms() - cpu) * 1000 / (60 * n), "us");
  for (guint i = 0; i < 2; i++) {
    rpc_link_lost(ends[i], "the end");
    rpc_link_unref(ends[i]);
  }
}

int main(void)
{
  g_autofree char *dir = g_dir_make_tmp("bench-task-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(dir, "inventory.db", NULL), *wal = g_strconcat(path, "-wal", NULL);
  g_autofree char *shm = g_strconcat(path, "-shm", NULL);
  g_autoptr(GError) error = NULL;
  Store *store;

  ws_log_init("bench-task", WS_LOG_ERROR, NULL);
  json_line = g_string_new("{");
  took_ms = g_array_new(FALSE, FALSE, sizeof(double));
  loop = ws_loop_new(ws_clock_system());
  store = store_open(path, loop, &error);
  g_assert_no_error(error);
  inv = inv_open(loop, store, &error);
  g_assert_no_error(error);
  engine = task_engine_new(inv, loop, NULL);
  task_engine_register(engine, kinds, G_N_ELEMENTS(kinds));
  task_engine_resume(engine);
  bench_tasks(dir);
  bench_batch();
  bench_calls();
  g_print("\n%s}\n", json_line->str);
  task_engine_free(engine);
  inv_close(inv);
  store_close(store);
  ws_loop_free(loop);
  g_unlink(path);
  g_unlink(wal);
  g_unlink(shm);
  g_rmdir(dir);
  return 0;
}
