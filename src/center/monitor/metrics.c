// SPDX-License-Identifier: Apache-2.0
/* GET /metrics: the whole estate for Prometheus (text format 0.0.4), written from one snapshot on a worker.
 *
 * Every object is in every scrape. A host that is away keeps its line with winsphere_host_up 0, and its VMs theirs; what they were last
 * heard to use is left out, for an old value that looks new is worse than none. Measured values come from the contract: each number of HostLoad and
 * VmUsage is a metric of its own, so a field that is added there is scraped at once. */
#include "base/log.h"
#include "center/api/fixed.h"
#include "center/monitor/metrics.h"
#include "center/turns.h"
#include "plan/estate.h"
#include "task/task.h"
#include <math.h>
#include <unistd.h>

#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* ---- one line ---- */

static void head(GString *out, const char *name, const char *help, const char *type)
{
  g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_int(GString *out, gint64 value)
{
  char digits[24];
  guint at = sizeof digits;
  guint64 rest = value < 0 ? -(guint64)value : (guint64)value;
  do
    digits[--at] = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0)
    digits[--at] = '-';
  g_string_append_len(out, digits + at, (gssize)(sizeof digits - at));
}

static void line(GString *out, const char *name, const char *labels, gint64 value)
{
  g_string_append(out, name);
  g_string_append(out, labels);
  g_string_append_c(out, ' ');
  put_int(out, value);
  g_string_append_c(out, '\n');
}

static void line_real(GString *out, const char *name, const char *labels, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  g_string_append(out, name);
  g_string_append(out, labels);
  g_string_append_c(out, ' ');
  g_string_append(out, g_ascii_formatd(text, sizeof text, "%.6g", value));
  g_string_append_c(out, '\n');
}

static void put_label(GString *out, const char *name, const char *value)
{
  if (out->str[out->len - 1] != '{')
    g_string_append_c(out, ',');
  g_string_append(out, name);
  g_string_append(out, "=\"");
  for (const char *p = value ? value : ""; *p; p++)
    if (*p == '\n')
      g_string_append(out, "\\n");
    else if (*p == '"' || *p == '\\')
      g_string_append_printf(out, "\\%c", *p);
    else
      g_string_append_c(out, *p);
  g_string_append_c(out, '"');
}

static void put_id(GString *out, const char *name, const WsType *type, WsId id)
{
  char text[WS_ID_TEXT_MAX];
  put_label(out, name, id ? ws_id_format(type->prefix, id, text) : "");
}

/* ---- objects, each with its labels made once ---- */

typedef struct {
  const void *object;
  char *labels; /* {host="host-7",name="a"} */
} Row;

typedef struct {
  const InvSnapshot *snap;
  GArray *rows; /* Row */
  void (*describe)(GString *labels, const void *object);
} Gather;

static bool gather(const void *object, void *arg)
{
  Gather *g = arg;
  GString *labels = g_string_new("{");
  g->describe(labels, object);
  g_string_append_c(labels, '}');
  Row row = {object, g_string_free(labels, FALSE)};
  g_array_append_val(g->rows, row);
  return true;
}

static void row_clear(gpointer row)
{
  g_free(((Row *)row)->labels);
}

static GArray *rows_of(const InvSnapshot *snap, const WsType *type, void (*describe)(GString *, const void *))
{
  Gather g = {snap, g_array_new(FALSE, FALSE, sizeof(Row)), describe};
  g_array_set_clear_func(g.rows, row_clear);
  inv_each(snap, type, gather, &g);
  return g.rows;
}

/* Every number of a part (HostLoad, VmUsage) that the objects carry, one metric each. `fresh` says whose part counts. */
static void put_numbers(GString *out, GArray *rows, const char *prefix, const WsType *part_type, gsize part_offset,
                        bool (*fresh)(const void *object))
{
  for (guint i = 0; i < part_type->n_fields; i++) {
    const WsField *field = &part_type->fields[i];
    g_autofree char *name = g_strdup_printf("%s_%s", prefix, field->name);
    if (field->kind != WS_KIND_INT && field->kind != WS_KIND_DOUBLE)
      continue;
    head(out, name, "As the host last measured it.", "gauge");
    for (guint r = 0; r < rows->len; r++) {
      const Row *row = &g_array_index(rows, Row, r);
      const void *part = *(void *const *)((const char *)row->object + part_offset);
      if (!part || !fresh(row->object))
        continue;
      if (field->kind == WS_KIND_DOUBLE && !isnan(*(double *)ws_field_at(field, part)))
        line_real(out, name, row->labels, *(double *)ws_field_at(field, part));
      if (field->kind == WS_KIND_INT && *(gint64 *)ws_field_at(field, part) != WS_INT_UNSET)
        line(out, name, row->labels, *(gint64 *)ws_field_at(field, part));
    }
  }
}

/* is_known NULL: of all. */
static void put_some(GString *out, GArray *rows, const char *name, const char *help,
                     gint64 (*value)(const void *object), bool (*is_known)(const void *object))
{
  head(out, name, help, "gauge");
  for (guint r = 0; r < rows->len; r++) {
    const Row *row = &g_array_index(rows, Row, r);
    gint64 v = !is_known || is_known(row->object) ? value(row->object) : WS_INT_UNSET;
    if (v != WS_INT_UNSET)
      line(out, name, row->labels, v);
  }
}

static void put_each(GString *out, GArray *rows, const char *name, const char *help,
                     gint64 (*value)(const void *object))
{
  put_some(out, rows, name, help, value, NULL);
}

/* ---- hosts ---- */

static void describe_host(GString *labels, const void *object)
{
  const WsHost *host = object;
  put_id(labels, "host", &ws_type_host, host->id);
  put_label(labels, "name", host->name);
  put_id(labels, "cluster", &ws_type_cluster, host->cluster);
  put_label(labels, "architecture", (int)host->architecture ? ws_architecture_names[host->architecture - 1] : "");
}

static bool host_is_up(const void *object)
{
  return ((const WsHost *)object)->state == WS_HOST_STATE_CONNECTED;
}

static gint64 host_up(const void *object)
{
  return host_is_up(object);
}

static gint64 host_in_service(const void *object)
{
  return plan_host_in_service(object);
}

static gint64 host_memory(const void *object)
{
  const WsHost *host = object;
  return host->facts ? host->facts->memory_bytes : WS_INT_UNSET;
}

static gint64 host_threads(const void *object)
{
  const WsHost *host = object;
  return host->facts && host->facts->cpu ? host->facts->cpu->threads : WS_INT_UNSET;
}

static void put_hosts(GString *out, const InvSnapshot *snap)
{
  g_autoptr(GArray) rows = rows_of(snap, &ws_type_host, describe_host);
  put_each(out, rows, "winsphere_host_up", "1 while the host is connected to the manager.", host_up);
  put_each(out, rows, "winsphere_host_in_service", "0 in maintenance mode and on the way there.", host_in_service);
  put_each(out, rows, "winsphere_host_memory_bytes", "Memory of the host.", host_memory);
  put_each(out, rows, "winsphere_host_cpu_threads", "Hardware threads of the host.", host_threads);
  put_numbers(out, rows, "winsphere_host", &ws_type_host_load, G_STRUCT_OFFSET(WsHost, load), host_is_up);
}

/* ---- virtual machines ---- */

static void describe_vm(GString *labels, const void *object)
{
  const WsVm *vm = object;
  put_id(labels, "vm", &ws_type_vm, vm->id);
  put_label(labels, "name", vm->name);
  put_id(labels, "host", &ws_type_host, vm->host);
}

static gint64 vm_up(const void *object)
{
  const WsVm *vm = object;
  return vm->power && vm->power->state == WS_POWER_STATE_RUNNING;
}

/* Of a VM whose host is lost nobody knows. */
static bool vm_is_measured(const void *object)
{
  const WsVm *vm = object;
  return vm->power && vm->power->state != WS_POWER_STATE_UNKNOWN && plan_vm_is_placed(vm);
}

static gint64 vm_state(const void *object)
{
  const WsVm *vm = object;
  return vm->power && (int)vm->power->state ? (int)vm->power->state - 1 : 0;
}

static gint64 vm_memory(const void *object)
{
  return ((const WsVm *)object)->memory_bytes;
}

static void put_vms(GString *out, const InvSnapshot *snap)
{
  g_autoptr(GArray) rows = rows_of(snap, &ws_type_vm, describe_vm);
  put_each(out, rows, "winsphere_vm_up", "1 while the VM runs.", vm_up);
  put_each(out, rows, "winsphere_vm_power_state", "0 unknown, 1 off, 2 running, 3 paused, 4 hibernated, 5 waiting for storage, 6 crashed.",
           vm_state);
  put_each(out, rows, "winsphere_vm_memory_bytes", "Memory of the VM.", vm_memory);
  put_each(out, rows, "winsphere_vm_vcpus", "vCPUs of the VM.", (gint64(*)(const void *))plan_vm_vcpus);
  put_numbers(out, rows, "winsphere_vm", &ws_type_vm_usage, G_STRUCT_OFFSET(WsVm, usage), vm_is_measured);
}

/* ---- pools ---- */

static void describe_pool(GString *labels, const void *object)
{
  const WsPool *pool = object;
  put_id(labels, "pool", &ws_type_pool, pool->id);
  put_label(labels, "name", pool->name);
}

static gint64 pool_up(const void *object)
{
  const WsPool *pool = object;
  return pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED || pool->state == WS_POOL_STATE_FULL;
}

static gint64 pool_capacity(const void *object)
{
  return ((const WsPool *)object)->capacity_bytes;
}

static gint64 pool_available(const void *object)
{
  return ((const WsPool *)object)->available_bytes;
}

static gint64 pool_provisioned(const void *object)
{
  return ((const WsPool *)object)->provisioned_bytes;
}

/* Of one that nobody reaches the figures are what they once were. */
static bool pool_is_measured(const void *object)
{
  const WsPool *pool = object;
  return pool->state != WS_POOL_STATE_UNREACHABLE;
}

static void put_pools(GString *out, const InvSnapshot *snap)
{
  g_autoptr(GArray) rows = rows_of(snap, &ws_type_pool, describe_pool);
  put_each(out, rows, "winsphere_pool_up", "1 while the pool can be used.", pool_up);
  put_some(out, rows, "winsphere_pool_capacity_bytes", "Size of the pool.", pool_capacity, pool_is_measured);
  put_some(out, rows, "winsphere_pool_available_bytes", "Free for new data.", pool_available,
           pool_is_measured);
  put_some(out, rows, "winsphere_pool_provisioned_bytes", "Promised to volumes.", pool_provisioned,
           pool_is_measured);
}

/* ---- the manager ---- */

static bool count_state(const void *object, void *arg)
{
  ((guint *)arg)[(int)((const WsTask *)object)->state]++;
  return true;
}

static bool count_level(const void *object, void *arg)
{
  ((guint *)arg)[(int)((const WsAlarm *)object)->level]++;
  return true;
}

/* What alerts are made of: who has which alarm. */
static void describe_alarm(GString *labels, const void *object)
{
  const WsAlarm *alarm = object;
  put_label(labels, "kind", alarm->kind);
  put_label(labels, "level", ws_alarm_level_names[alarm->level - 1]);
  if (alarm->object.type)
    put_id(labels, "object", alarm->object.type, alarm->object.id);
  else
    put_label(labels, "object", "");
}

static gint64 alarm_is_open(const void *object)
{
  return 1;
}

static gint64 resident_bytes(void)
{
  g_autofree char *text = NULL;
  guint64 pages = 0;
  if (g_file_get_contents("/proc/self/statm", &text, NULL, NULL)) {
    const char *second = strchr(text, ' ');
    pages = second ? g_ascii_strtoull(second + 1, NULL, 10) : 0;
  }
  return (gint64)pages * sysconf(_SC_PAGESIZE);
}

static void put_words(GString *out, const char *name, const char *label, const char *const *words, const guint *counts)
{
  for (guint i = 0; words[i]; i++) {
    g_autoptr(GString) labels = g_string_new("{");
    put_label(labels, label, words[i]);
    g_string_append_c(labels, '}');
    line(out, name, labels->str, counts[i + 1]);
  }
}

static void put_turns_of(GString *out, const char *name, const char *help, const gint *counts)
{
  static const char *const kinds[] = {"file", "copy"};
  G_STATIC_ASSERT(G_N_ELEMENTS(kinds) == N_TURN_KINDS);
  head(out, name, help, "gauge");
  for (guint i = 0; i < N_TURN_KINDS; i++) {
    g_autoptr(GString) labels = g_string_new("{");
    put_label(labels, "kind", kinds[i]);
    g_string_append_c(labels, '}');
    line(out, name, labels->str, counts[i]);
  }
}

static void put_turns(GString *out, Center *center)
{
  gint running[N_TURN_KINDS], waiting[N_TURN_KINDS], most[N_TURN_KINDS];
  for (guint i = 0; i < N_TURN_KINDS; i++) {
    TurnCounts counts = turns_count(center->turns, (TurnKind)i);
    running[i] = counts.running;
    waiting[i] = counts.waiting;
    most[i] = counts.most;
  }
  put_turns_of(out, "winsphere_work_running", "Files being made (file) and volumes being copied (copy) by hosts.", running);
  put_turns_of(out, "winsphere_work_waiting", "Those that wait for their turn.", waiting);
  put_turns_of(out, "winsphere_work_most", "Most that one host did at a time since the manager started.", most);
}

static void put_manager(GString *out, Center *center, const InvSnapshot *snap)
{
  guint states[32] = {0}, levels[16] = {0};
  g_autoptr(GString) version = g_string_new("{");
  put_label(version, "version", WS_VERSION);
  g_string_append_c(version, '}');
  head(out, "winsphere_info", "The manager.", "gauge");
  line(out, "winsphere_info", version->str, 1);
  head(out, "winsphere_start_time_seconds", "When the manager started.", "gauge");
  line(out, "winsphere_start_time_seconds", "", center->started_us / G_USEC_PER_SEC);
  head(out, "winsphere_store_writable", "0 while changes cannot be made durable.", "gauge");
  line(out, "winsphere_store_writable", "", store_state(center->store) == STORE_WRITABLE);
  gint64 longest_cpu_us, longest_us = ws_loop_longest_turn_us(center->loop, &longest_cpu_us);
  head(out, "winsphere_core_loop_longest_turn_seconds", "Longest turn of the core loop since the last scrape.", "gauge");
  line_real(out, "winsphere_core_loop_longest_turn_seconds", "", (double)longest_us / G_USEC_PER_SEC);
  head(out, "winsphere_core_loop_longest_turn_cpu_seconds", "The same in processor time.", "gauge");
  line_real(out, "winsphere_core_loop_longest_turn_cpu_seconds", "", (double)longest_cpu_us / G_USEC_PER_SEC);
  put_turns(out, center);
  head(out, "winsphere_inventory_revision", "Newest revision.", "counter");
  line(out, "winsphere_inventory_revision", "", (gint64)inv_snapshot_revision(snap));
  head(out, "winsphere_objects", "Objects by type.", "gauge");
  for (guint i = 0; i < ws_n_resource_types; i++)
    if (!(ws_resource_types[i]->flags & WS_TYPE_HISTORY)) {
      g_autoptr(GString) labels = g_string_new("{");
      put_label(labels, "type", ws_resource_types[i]->plural);
      g_string_append_c(labels, '}');
      line(out, "winsphere_objects", labels->str, inv_count(snap, ws_resource_types[i]));
    }
  inv_each(snap, &ws_type_task, count_state, states);
  head(out, "winsphere_tasks", "Tasks in memory by state.", "gauge");
  put_words(out, "winsphere_tasks", "state", ws_task_state_names, states);
  inv_each(snap, &ws_type_alarm, count_level, levels);
  head(out, "winsphere_alarms", "Open alarms by level.", "gauge");
  put_words(out, "winsphere_alarms", "level", ws_alarm_level_names, levels);
  g_autoptr(GArray) alarms = rows_of(snap, &ws_type_alarm, describe_alarm);
  put_each(out, alarms, "winsphere_alarm", "1 for each open alarm.", alarm_is_open);
  head(out, "process_resident_memory_bytes", "Memory of the manager.", "gauge");
  line(out, "process_resident_memory_bytes", "", resident_bytes());
}

GString *metrics_write(Center *center, const InvSnapshot *snap)
{
  GString *out = g_string_sized_new(64 * 1024);
  put_manager(out, center, snap);
  put_hosts(out, snap);
  put_vms(out, snap);
  put_pools(out, snap);
  return out;
}

static void answer(void *arg)
{
  g_autoptr(ApiCall) call = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  g_autoptr(GBytes) body = g_string_free_to_bytes(metrics_write(call->center, snap));
  http_call_answer(call->http, 200, CONTENT_TYPE, body);
}

void fixed_metrics(ApiCall *call)
{
  ws_workers_run(call->center->workers, NULL, answer, call);
}
