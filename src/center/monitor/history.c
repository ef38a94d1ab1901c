// SPDX-License-Identifier: Apache-2.0
/* What is noted of which objects, when, and the views that show it. See history.h. */
#include "center/monitor/history.h"
#include "base/log.h"
#include "center/api/view.h"
#include "center/monitor/rings.h"
#include "center/verbs.h"
#include "model/model.h"
#include "plan/estate.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define EVERY_US   (20 * (gint64)G_USEC_PER_SEC)
#define DEFAULT_S  3600
#define LONGEST_S  (366 * 86400)
#define KEY        "history" /* one step is taken after the other */

/* ---- what is noted ----
 * The columns of a kind, in the order of the files: append, never change. */

typedef struct {
  const char *name, *unit;
  double (*value)(const void *object); /* NaN: not known */
} Column;

static double known(gint64 value)
{
  return value == WS_INT_UNSET ? NAN : (double)value;
}

#define NUMBER(kind, Type, part, field, of)                                                                            \
  static double kind##_##field(const void *object)                                                                     \
  {                                                                                                                    \
    const Type *o = object;                                                                                            \
    return o->part ? of(o->part->field) : NAN;                                                                         \
  }
#define SUM(name, list, field)                                                                                         \
  static double host_##name(const void *object)                                                                        \
  {                                                                                                                    \
    const WsHost *o = object;                                                                                          \
    double sum = 0;                                                                                                    \
    for (guint i = 0; o->load && i < o->load->list.len; i++)                                                           \
      sum += o->load->list.items[i]->field == WS_INT_UNSET ? 0 : (double)o->load->list.items[i]->field;               \
    return o->load ? sum : NAN;                                                                                        \
  }

NUMBER(vm, WsVm, usage, cpu_percent, )
NUMBER(vm, WsVm, usage, memory_used_bytes, known)
NUMBER(vm, WsVm, usage, memory_host_bytes, known)
NUMBER(vm, WsVm, usage, disk_read_bytes_per_s, known)
NUMBER(vm, WsVm, usage, disk_write_bytes_per_s, known)
NUMBER(vm, WsVm, usage, disk_read_iops, known)
NUMBER(vm, WsVm, usage, disk_write_iops, known)
NUMBER(vm, WsVm, usage, net_rx_bytes_per_s, known)
NUMBER(vm, WsVm, usage, net_tx_bytes_per_s, known)
NUMBER(host, WsHost, load, cpu_percent, )
NUMBER(host, WsHost, load, iowait_percent, )
NUMBER(host, WsHost, load, load_average, )
NUMBER(host, WsHost, load, memory_used_bytes, known)
SUM(disk_read_bytes_per_s, disks, read_bytes_per_s)
SUM(disk_write_bytes_per_s, disks, write_bytes_per_s)
SUM(disk_read_iops, disks, reads_per_s)
SUM(disk_write_iops, disks, writes_per_s)
SUM(net_rx_bytes_per_s, nics, rx_bytes_per_s)
SUM(net_tx_bytes_per_s, nics, tx_bytes_per_s)

static double pool_capacity_bytes(const void *object)
{
  return known(((const WsPool *)object)->capacity_bytes);
}

static double pool_available_bytes(const void *object)
{
  return known(((const WsPool *)object)->available_bytes);
}

static bool vm_is_measured(const void *object)
{
  const WsVm *vm = object;
  return vm->usage && vm->power && vm->power->state != WS_POWER_STATE_UNKNOWN && plan_vm_is_placed(vm);
}

static bool host_is_measured(const void *object)
{
  const WsHost *host = object;
  return host->load && host->state == WS_HOST_STATE_CONNECTED;
}

static bool pool_is_measured(const void *object)
{
  const WsPool *pool = object;
  return pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED || pool->state == WS_POOL_STATE_FULL;
}

typedef struct {
  const WsType *type;
  bool (*is_measured)(const void *object); /* false: what is there is old */
  Column columns[RINGS_COLUMNS];
} Kind;

static const Kind kinds[] = {
    {&ws_type_vm,
     vm_is_measured,
     {{"cpu_percent", "percent", vm_cpu_percent},
      {"memory_used_bytes", "bytes", vm_memory_used_bytes},
      {"memory_host_bytes", "bytes", vm_memory_host_bytes},
      {"disk_read_bytes_per_s", "bytes/s", vm_disk_read_bytes_per_s},
      {"disk_write_bytes_per_s", "bytes/s", vm_disk_write_bytes_per_s},
      {"disk_read_iops", "1/s", vm_disk_read_iops},
      {"disk_write_iops", "1/s", vm_disk_write_iops},
      {"net_rx_bytes_per_s", "bytes/s", vm_net_rx_bytes_per_s},
      {"net_tx_bytes_per_s", "bytes/s", vm_net_tx_bytes_per_s}}},
    {&ws_type_host,
     host_is_measured,
     {{"cpu_percent", "percent", host_cpu_percent},
      {"iowait_percent", "percent", host_iowait_percent},
      {"load_average", "", host_load_average},
      {"memory_used_bytes", "bytes", host_memory_used_bytes},
      {"disk_read_bytes_per_s", "bytes/s", host_disk_read_bytes_per_s},
      {"disk_write_bytes_per_s", "bytes/s", host_disk_write_bytes_per_s},
      {"disk_read_iops", "1/s", host_disk_read_iops},
      {"disk_write_iops", "1/s", host_disk_write_iops},
      {"net_rx_bytes_per_s", "bytes/s", host_net_rx_bytes_per_s},
      {"net_tx_bytes_per_s", "bytes/s", host_net_tx_bytes_per_s}}},
    {&ws_type_pool,
     pool_is_measured,
     {{"capacity_bytes", "bytes", pool_capacity_bytes}, {"available_bytes", "bytes", pool_available_bytes}}},
};

/* ---- noting ---- */

struct MonitorHistory { /* counted: a step that overstays the end of the manager keeps it */
  Center *center;
  WsTimer *timer;
  Rings *rings[G_N_ELEMENTS(kinds)];
  gint failing; /* atomic: the last step could not be written; said once */
};

static void clear(gpointer data)
{
  MonitorHistory *history = data;
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    rings_free(history->rings[k]);
}

static void monitor_history_unref(MonitorHistory *history)
{
  g_atomic_rc_box_release_full(history, clear);
}

typedef struct {
  const Kind *kind;
  GArray *samples; /* RingsSample */
} Look;

static bool look_at(const void *object, void *arg)
{
  Look *look = arg;
  RingsSample sample = {.id = ((const WsResource *)object)->id};
  bool measured = look->kind->is_measured(object);
  for (guint c = 0; c < RINGS_COLUMNS; c++) {
    const Column *column = &look->kind->columns[c];
    sample.values[c] = measured && column->value ? (float)column->value(object) : NAN;
  }
  g_array_append_val(look->samples, sample);
  return true;
}

static bool note_kind(MonitorHistory *history, guint k, const InvSnapshot *snap, gint64 now_us, GError **error)
{
  g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(RingsSample));
  Look look = {&kinds[k], samples};
  inv_each(snap, kinds[k].type, look_at, &look);
  return rings_take(history->rings[k], now_us, (const RingsSample *)(void *)samples->data, samples->len, error);
}

bool monitor_history_note(MonitorHistory *history, const InvSnapshot *snap, gint64 now_us, GError **error)
{
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    if (!note_kind(history, k, snap, now_us, error))
      return false;
  return true;
}

typedef struct {
  MonitorHistory *history;
  InvSnapshot *snap;
  gint64 now_us;
} Step;

static void note(void *arg)
{
  g_autofree Step *step = arg;
  g_autoptr(GError) error = NULL;
  bool ok = monitor_history_note(step->history, step->snap, step->now_us, &error);
  if (!ok && !g_atomic_int_get(&step->history->failing))
    ws_log_error(WS_LOG_WARNING, "history-not-written", error, NULL);
  g_atomic_int_set(&step->history->failing, !ok);
  inv_snapshot_unref(step->snap);
  monitor_history_unref(step->history);
}

static void on_timer(void *arg);

/* Soon after each step's end, whatever the clock does in between. */
static void wait_for_next(MonitorHistory *history)
{
  gint64 now_us = ws_clock_wall_us(history->center->clock);
  history->timer = ws_loop_after(history->center->loop, EVERY_US - now_us % EVERY_US, on_timer, history);
}

static void on_timer(void *arg)
{
  MonitorHistory *history = arg;
  Step *step = g_new(Step, 1);
  *step = (Step){g_atomic_rc_box_acquire(history), inv_snapshot(history->center->inventory), ws_clock_wall_us(history->center->clock)};
  ws_workers_run(history->center->workers, KEY, note, step);
  wait_for_next(history);
}

static bool open_rings(MonitorHistory *history, GError **error)
{
  g_autofree char *dir = g_build_filename(history->center->config.data_dir, "history", NULL);
  if (g_mkdir_with_parents(dir, 0700) < 0)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", dir, "cause", g_strerror(errno), NULL);
  for (guint k = 0; k < G_N_ELEMENTS(kinds); k++)
    if (!(history->rings[k] = rings_open(dir, kinds[k].type->plural, error)))
      return false;
  return true;
}

MonitorHistory *monitor_history_new(Center *center)
{
  if (center->config.stand)
    return NULL;
  g_autoptr(GError) error = NULL;
  MonitorHistory *history = g_atomic_rc_box_new0(MonitorHistory);
  history->center = center;
  if (!open_rings(history, &error)) {
    ws_log_error(WS_LOG_WARNING, "history-not-opened", error, NULL);
    monitor_history_free(history);
    return NULL;
  }
  wait_for_next(history);
  return history;
}

void monitor_history_free(MonitorHistory *history)
{
  if (!history)
    return;
  ws_timer_cancel(history->timer);
  monitor_history_unref(history);
}

/* ---- showing ---- */

typedef struct {
  gint64 from_us, to_us;
  char **names; /* NULL: all */
} Range;

static bool is_column(const Kind *kind, const char *name)
{
  for (guint c = 0; c < RINGS_COLUMNS; c++)
    if (g_strcmp0(kind->columns[c].name, name) == 0)
      return true;
  return false;
}

static bool parse_range(const ApiView *view, const Kind *kind, gint64 now_us, Range *range, GError **error)
{
  const char *series = api_view_query(view, "series");
  range->names = series ? g_strsplit(series, ",", -1) : NULL;
  for (char **name = range->names; name && *name; name++)
    if (!is_column(kind, *name))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "series", "expected", "names of measured values, such as cpu_percent", NULL);
  const char *to = api_view_query(view, "to");
  gint64 last_s;
  if (to && !ws_time_parse(to, &range->to_us))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "to", "expected", "a time such as 2026-01-31T08:00:00Z", NULL);
  if (!api_view_query_int(view, "last_s", EVERY_US / G_USEC_PER_SEC, LONGEST_S, DEFAULT_S, &last_s, error))
    return false;
  range->to_us = to ? MIN(range->to_us, now_us) : now_us;
  range->from_us = range->to_us - last_s * G_USEC_PER_SEC;
  return true;
}

static WsHistorySeries *series_of(const Column *column, const RingsSeries *from, guint c)
{
  WsHistorySeries *to = ws_history_series_new();
  to->name = g_strdup(column->name);
  to->unit = g_strdup(column->unit);
  to->values.len = from->n;
  to->values.items = g_new(double, from->n);
  for (guint i = 0; i < from->n; i++) /* two decimals say all that is known, and keep answers short; NaN stays, it is written as null */
    to->values.items[i] = round((double)from->values[i][c] * 100) / 100;
  return to;
}

static WsHistory *history_of(const Kind *kind, const Range *range, const RingsSeries *series)
{
  WsHistory *history = ws_history_new();
  history->from = series->from_us;
  history->step_s = series->step_us / G_USEC_PER_SEC;
  for (guint c = 0; c < RINGS_COLUMNS && kind->columns[c].name; c++)
    if (!range->names || g_strv_contains((const char *const *)range->names, kind->columns[c].name))
      ws_array_add(&history->series, series_of(&kind->columns[c], series, c));
  return history;
}

static bool show(const ApiView *view, const WsType *type, void **result, GError **error)
{
  guint k = 0;
  while (kinds[k].type != type)
    k++;
  gint64 now_us = ws_clock_wall_us(view->center->clock);
  g_auto(GStrv) names = NULL;
  Range range = {0};
  RingsSeries series = {.step_us = EVERY_US};
  bool ok = parse_range(view, &kinds[k], now_us, &range, error);
  names = range.names;
  WsId id = ((const WsResource *)view->object)->id;
  if (ok && view->center->history)
    ok = rings_read(view->center->history->rings[k], id, now_us, range.from_us, range.to_us, &series, error);
  if (ok)
    *result = history_of(&kinds[k], &range, &series);
  g_free(series.values);
  return ok;
}

bool vm_history(const ApiView *view, void **result, GError **error)
{
  return show(view, &ws_type_vm, result, error);
}

bool host_history(const ApiView *view, void **result, GError **error)
{
  return show(view, &ws_type_host, result, error);
}

bool pool_history(const ApiView *view, void **result, GError **error)
{
  return show(view, &ws_type_pool, result, error);
}
