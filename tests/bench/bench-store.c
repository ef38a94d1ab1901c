// SPDX-License-Identifier: Apache-2.0
/* What writing to the two kinds of database costs: rows a second in groups of 1, 10 and 100, and starting with 50,000 rows.
 *
 * Both are on the disk of the current directory, or of the one that INVENTORY_BENCH_DIR names, and sync for real. Turn by turn, so
 * that what else the disk does hits both. Prints a table; the last line is the same as JSON. */
#include "inventory/copy.h"
#include "model/model.h"
#include "base/log.h"
#include "pg-server.h"
#include <glib/gstdio.h>
#include <string.h>
#include <time.h>

#define TURN_US  (G_USEC_PER_SEC / 2)
#define N_TURNS  4
#define N_LOADED 50000

typedef struct {
  const char *name;
  char *path;
  WsLoop *loop;
  Store *store;
  WsId next_id;
} Side;

static GString *json;

static double now_us(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void report(const char *name, const char *what, double value, const char *unit)
{
  g_print("%-12s %-40s %12.1f %s\n", name, what, value, unit);
  g_string_append_printf(json, "%s\"%s %s\":%.1f", json->len > 1 ? "," : "", name, what, value);
}

static void open_side(Side *side)
{
  GError *error = NULL;

  side->loop = ws_loop_new(ws_clock_system());
  side->store = store_open(side->path, side->loop, &error);
  if (!side->store)
    g_error("%s", error->message);
}

static void close_side(Side *side)
{
  store_close(side->store);
  ws_loop_free(side->loop);
}

/* About 1.3 KB of JSON, as a virtual machine has. */
static WsVm *make_vm(WsId id)
{
  WsVm *vm = ws_vm_new();

  vm->id = id;
  vm->revision = id;
  vm->name = g_strdup_printf("web-%" G_GUINT64_FORMAT ".example.net", id);
  vm->description = g_strnfill(900, 'x');
  vm->uuid = g_strdup("3b241101-e2bb-4255-8caf-4136c5000000");
  vm->memory_bytes = (gint64)4 << 30;
  return vm;
}

static void on_done(const GError *error, void *arg)
{
  if (error)
    g_error("%s", error->message);
  *(bool *)arg = true;
}

static void write_group(Side *side, guint n)
{
  StoreRow *rows = g_new(StoreRow, n);
  bool done = false;

  for (guint i = 0; i < n; i++) {
    WsId id = ++side->next_id;
    rows[i] = (StoreRow){&ws_type_vm, id, id, make_vm(id)};
  }
  store_submit(side->store, rows, n, NULL, on_done, &done);
  while (!done)
    ws_loop_step(side->loop, -1);
}

/* Rows a second. */
static double turn(Side *side, guint n)
{
  double began = now_us();
  guint rows = 0;

  for (; now_us() - began < TURN_US; rows += n)
    write_group(side, n);
  return rows * 1e6 / (now_us() - began);
}

static void measure_groups(Side *sides, guint n_sides)
{
  static const guint sizes[] = {1, 10, 100};

  for (guint k = 0; k < G_N_ELEMENTS(sizes); k++) {
    double sums[2] = {0, 0};
    for (guint t = 0; t < N_TURNS; t++)
      for (guint i = 0; i < n_sides; i++)
        sums[i] += turn(&sides[i], sizes[k]);
    for (guint i = 0; i < n_sides; i++) {
      g_autofree char *what = g_strdup_printf("rows/s in groups of %u", sizes[k]);
      report(sides[i].name, what, sums[i] / N_TURNS, "rows/s");
    }
  }
}

static bool count(void *resource, void *arg, GError **error)
{
  ++*(guint *)arg;
  ws_resource_unref(resource);
  return true;
}

/* Opening checks the pages; loading parses every row. */
static void measure_start(Side *side)
{
  guint n = 0;
  double began, opened;
  GError *error = NULL;

  while (side->next_id < N_LOADED)
    write_group(side, 1000);
  close_side(side);
  began = now_us();
  open_side(side);
  opened = now_us();
  if (!store_load(side->store, count, &n, &error))
    g_error("%s", error->message);
  g_assert_cmpuint(n, >=, N_LOADED);
  report(side->name, "open and check", (opened - began) / 1000, "ms");
  report(side->name, "load, for each 50,000 rows", (now_us() - opened) / 1000 * N_LOADED / n, "ms");
}

static void measure_backup(Side *side, const char *dir)
{
  g_autofree char *path = g_build_filename(dir, "one.backup", NULL);
  GError *error = NULL;
  double began = now_us();
  g_autoptr(CopySummary) made = copy_backup(side->store, path, NULL, NULL, NULL, &error);

  if (!made)
    g_error("%s", error->message);
  report(side->name, "backup, for each 50,000 rows", (now_us() - began) / 1000 * N_LOADED / (double)made->n_rows, "ms");
  report(side->name, "backup, bytes a row", (double)made->size_bytes / (double)made->n_rows, "B");
  began = now_us();
  g_autoptr(CopySummary) read = copy_verify(path, NULL, &error);
  g_assert_nonnull(read);
  report(side->name, "verify it, for each 50,000 rows", (now_us() - began) / 1000 * N_LOADED / (double)made->n_rows, "ms");
  g_unlink(path);
}

static void remove_files(const char *dir)
{
  g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
  const char *name;

  while (folder && (name = g_dir_read_name(folder))) {
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_unlink(path);
  }
  g_rmdir(dir);
}

int main(void)
{
  const char *parent = g_getenv("INVENTORY_BENCH_DIR");
  g_autofree char *dir = g_build_filename(parent ? parent : ".", "bench-store-XXXXXX", NULL);
  g_autofree char *here = g_get_current_dir();
  Side sides[2] = {{.name = "SQLite"}, {.name = "PostgreSQL"}};
  guint n_sides = 1;

  ws_log_init("bench-store", WS_LOG_ERROR, NULL);
  g_assert_nonnull(g_mkdtemp(dir));
  json = g_string_new("{");
  sides[0].path = g_build_filename(dir, "bench.db", NULL);
  if (pg_server_get_on_disk(parent ? parent : here)) {
    g_autofree char *schema = pg_server_new_schema();
    sides[n_sides++].path = pg_server_address(schema);
  } else {
    g_print("no PostgreSQL here: scripts/install-deps installs it\n");
  }
  for (guint i = 0; i < n_sides; i++)
    open_side(&sides[i]);
  measure_groups(sides, n_sides);
  for (guint i = 0; i < n_sides; i++) {
    measure_start(&sides[i]);
    measure_backup(&sides[i], dir);
    close_side(&sides[i]);
  }
  remove_files(dir);
  g_print("%s}\n", json->str);
  return 0;
}
