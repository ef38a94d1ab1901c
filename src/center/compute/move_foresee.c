// SPDX-License-Identifier: Apache-2.0
/* What a move is expected to take, from what is known of the way, the guest and moves before
 * (plan/forecast.h). See move.h. */
#include "center/compute/move.h"
#include "plan/forecast.h"
#include <gio/gio.h>
#include <math.h>
#include <string.h>

#define NIC_SHARE    0.9 /* of a NIC's speed, what it carries of ours */
#define LOGGED       20  /* moves before that are looked at, of the same way */
#define LOGGED_ALL   200 /* else of all, for those of the cluster */
#define LOGGED_OF_VM 5
#define ENOUGH_BYTES (64 << 20)                     /* a move of less tells nothing of the rate */
#define FRESH_US     (30 * (gint64)G_USEC_PER_SEC)  /* a measurement is not made anew */
#define GOOD_US      (300 * (gint64)G_USEC_PER_SEC) /* and says more than the last move */
#define MOST_S       (10 * 365 * 86400.)            /* what is longer is not told any better */

/* ---- moves before ---- */

typedef struct {
  Store *store;
  char vm[WS_ID_TEXT_MAX], from[WS_ID_TEXT_MAX], to[WS_ID_TEXT_MAX];
  bool storage_only;
  GPtrArray *same_way, *all, *of_vm; /* WsMigration */
} Before;

static void before_free(void *arg)
{
  Before *before = arg;
  g_ptr_array_unref(before->same_way);
  g_ptr_array_unref(before->all);
  g_ptr_array_unref(before->of_vm);
  g_free(before);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Before, before_free)

static Before *before_new(const Move *move)
{
  Before *before = g_new0(Before, 1);
  before->store = move->vm.center->store;
  before->storage_only = move->storage_only;
  ws_id_format(ws_type_vm.prefix, move->vm.id, before->vm);
  ws_id_format(ws_type_host.prefix, move->vm.host, before->from);
  ws_id_format(ws_type_host.prefix, move->target, before->to);
  before->same_way = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  before->all = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  before->of_vm = g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref);
  return before;
}

/* Bytes/s that it came to; 0: it does not tell. */
static double rate_of(const WsMigration *row)
{
  gint64 disks = row->forecast && row->forecast->disk_bytes != WS_INT_UNSET ? row->forecast->disk_bytes : 0;
  gint64 bytes = row->kind == WS_MIGRATION_KIND_STORAGE ? disks : MAX(row->bytes, 0);
  double seconds = (double)MAX(row->duration_ms, 0) / 1000;
  if (row->result != WS_MIGRATION_RESULT_DONE || bytes < ENOUGH_BYTES || seconds <= 0)
    return 0;
  return (double)bytes / MAX(seconds - PLAN_FORECAST_AROUND_S, seconds / 10);
}

static bool tells_any(const GPtrArray *rows)
{
  for (guint i = 0; i < rows->len; i++)
    if (rate_of(rows->pdata[i]) > 0)
      return true;
  return false;
}

static bool read_before(void *arg, GError **error)
{
  Before *b = arg;
  const StoreWhere vm[] = {{"vm", b->vm}}, done[] = {{"result", "done"}};
  const StoreWhere way[] = {
      {"from_host", b->from}, {"to_host", b->to}, {"result", "done"}, {"kind", "storage"}};
  if (!store_query_history(b->store, &ws_type_migration, vm, 1, 0, LOGGED_OF_VM, b->of_vm, error) ||
      !store_query_history(b->store, &ws_type_migration, way, b->storage_only ? 4 : 3, 0, LOGGED, b->same_way,
                           error))
    return false;
  return b->storage_only || tells_any(b->same_way) ||
         store_query_history(b->store, &ws_type_migration, done, 1, 0, LOGGED_ALL, b->all, error);
}

static bool is_of_cluster(const InvSnapshot *snap, const char *host, WsId cluster)
{
  WsId id = host && ws_id_parse(ws_type_host.prefix, host, &id) ? id : 0;
  const WsHost *object = id ? inv_find(snap, &ws_type_host, id) : NULL;
  return object && cluster && object->cluster == cluster;
}

static GArray *rates_of(const InvSnapshot *snap, const Before *before, WsId cluster)
{
  GArray *rates = g_array_new(FALSE, FALSE, sizeof(double));
  for (guint i = 0; i < before->same_way->len + before->all->len; i++) {
    const WsMigration *row = i < before->same_way->len ? before->same_way->pdata[i]
                                                       : before->all->pdata[i - before->same_way->len];
    bool other_way = i >= before->same_way->len;
    double rate = rate_of(row);
    bool counts = !other_way ||
                  (row->kind != WS_MIGRATION_KIND_STORAGE && is_of_cluster(snap, row->from_host, cluster) &&
                   is_of_cluster(snap, row->to_host, cluster));
    if (rate > 0 && counts)
      g_array_append_val(rates, rate);
  }
  return rates;
}

/* How fast it wrote when it moved last; WS_INT_UNSET: no move told. */
static gint64 dirty_before(const Before *before)
{
  for (guint i = 0; i < before->of_vm->len; i++)
    if (((const WsMigration *)before->of_vm->pdata[i])->dirty_bytes_per_s != WS_INT_UNSET)
      return ((const WsMigration *)before->of_vm->pdata[i])->dirty_bytes_per_s;
  return WS_INT_UNSET;
}

/* ---- NICs ---- */

static bool is_at(const WsHostNic *nic, const char *address, GInetAddressMask *network)
{
  for (guint i = 0; i < nic->addresses.len; i++) {
    g_auto(GStrv) parts = g_strsplit(nic->addresses.items[i], "/", 2);
    g_autoptr(GInetAddress) at = g_inet_address_new_from_string(parts[0]);
    if (network ? at && g_inet_address_mask_matches(network, at) : g_strcmp0(parts[0], address) == 0)
      return true;
  }
  return false;
}

/* Of a bridge, the fastest of what is in it. What the kernel says of devices that are no hardware at all
 * means nothing. */
static double speed_of(const WsHost *host, const WsHostNic *nic)
{
  gint64 most = nic->kind == WS_HOST_NIC_KIND_VIRTUAL ? 0 : MAX(nic->speed_mbps, 0);
  for (guint i = 0; nic->kind == WS_HOST_NIC_KIND_BRIDGE && i < host->facts->nics.len; i++) {
    const WsHostNic *member = host->facts->nics.items[i];
    if (g_strcmp0(member->master, nic->name) == 0 && member->kind != WS_HOST_NIC_KIND_VIRTUAL)
      most = MAX(most, member->speed_mbps);
  }
  return (double)most * 125000 * NIC_SHARE;
}

/* Bytes/s of the NIC that moves use there; 0: not known. */
static double nic_rate(const WsHost *host, const char *network)
{
  g_autoptr(GInetAddressMask) mask = network ? g_inet_address_mask_new_from_string(network, NULL) : NULL;
  if (!host->facts || (network && !mask))
    return 0;
  for (guint i = 0; i < host->facts->nics.len; i++)
    if (is_at(host->facts->nics.items[i], host->address, mask))
      return speed_of(host, host->facts->nics.items[i]);
  return 0;
}

/* ---- how fast the guest writes ---- */

typedef struct {
  WsId vm;
  gint64 bytes_per_s;       /* WS_INT_UNSET: never told */
  gint64 at_us, tried_us;   /* monotonic: of that, and of the last try */
  bool is_asked;            /* QEMU measures one at a time: others do without meanwhile */
} Measured;

static gboolean is_old(gpointer key, gpointer value, gpointer now_us)
{
  const Measured *m = value;
  return !m->is_asked && *(const gint64 *)now_us - m->tried_us > GOOD_US;
}

/* The last that was tried; NULL: none lately. */
static Measured *measured_of(const Move *move)
{
  Center *center = move->vm.center;
  gint64 now_us = ws_clock_monotonic_us(center->clock);
  if (!center->dirty_rates)
    center->dirty_rates = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  g_hash_table_foreach_remove(center->dirty_rates, is_old, &now_us);
  return g_hash_table_lookup(center->dirty_rates, &move->vm.id);
}

/* To be asked now; NULL: it is asked already, or was lately, with whatever success. */
static Measured *begin_to_ask(const Move *move)
{
  Center *center = move->vm.center;
  Measured *m = measured_of(move);
  gint64 now_us = ws_clock_monotonic_us(center->clock);
  if (m && (m->is_asked || now_us - m->tried_us < FRESH_US))
    return NULL;
  if (!m) {
    m = g_new(Measured, 1);
    *m = (Measured){move->vm.id, WS_INT_UNSET, 0, 0, false};
    g_hash_table_replace(center->dirty_rates, &m->vm, m);
  }
  m->tried_us = now_us;
  m->is_asked = true;
  return m;
}

/* An agent that does not know the call, and a QEMU that does not answer, cost the forecast a figure and
 * nothing else. */
static void measure(const Move *move)
{
  Center *center = move->vm.center;
  RpcLink *link = hosts_link(center, move->vm.host, NULL);
  WsRpcVmDirtyRate params = {.vm = move->vm.id, .uuid = (char *)move->vm.uuid};
  g_autoptr(WsRpcVmDirtyRateResult) said = NULL;
  Measured *m = link ? begin_to_ask(move) : NULL; /* stays while it is asked */
  if (!m)
    return;
  bool told = rpc_vm_dirty_rate(link, &params, &said, NULL, NULL, NULL, NULL);
  m->is_asked = false;
  m->tried_us = ws_clock_monotonic_us(center->clock);
  if (!told)
    return;
  m->bytes_per_s = said->bytes_per_s;
  m->at_us = m->tried_us;
}

/* What was measured, else what its last move told; 0: nothing is known. */
static int dirty_rate(const Move *move, const Before *before, gint64 *bytes_per_s)
{
  const Measured *measured = measured_of(move);
  bool is_good = measured && measured->bytes_per_s != WS_INT_UNSET &&
                 ws_clock_monotonic_us(move->vm.center->clock) - measured->at_us <= GOOD_US;
  *bytes_per_s = is_good ? measured->bytes_per_s : dirty_before(before);
  return is_good                        ? WS_MIGRATION_FORECAST_DIRTY_BASIS_MEASURED
         : *bytes_per_s != WS_INT_UNSET ? WS_MIGRATION_FORECAST_DIRTY_BASIS_LOG
                                        : 0;
}

/* ---- the forecast ---- */

static double disks_of(const Move *move, double *largest)
{
  double sum = 0;
  *largest = 0;
  for (guint i = 0; i < move->n_disks; i++) {
    sum += (double)move->disks[i].copied_bytes;
    *largest = MAX(*largest, (double)move->disks[i].copied_bytes);
  }
  return sum;
}

/* Disks of a running VM that stay on its host go all at a time, each with the ceiling; of one that is off
 * nothing is held back. */
static double limit_of(const Move *move)
{
  double limit = move->bandwidth_bytes_per_s == WS_INT_UNSET ? 0 : (double)move->bandwidth_bytes_per_s,
         largest;
  double sum = disks_of(move, &largest);
  if (!move->storage_only)
    return limit;
  return !move->live ? 0 : largest > 0 ? limit * sum / largest : limit;
}

static PlanForecastWay way_of(const Move *move)
{
  if (!move->live || move->storage_only || move->was_paused)
    return PLAN_FORECAST_COPY;
  if (*move->stands_still)
    return PLAN_FORECAST_STILL;
  return move->strategy == WS_VM_MIGRATE_STRATEGY_POST_COPY ? PLAN_FORECAST_POST_COPY
         : move->strategy == WS_VM_MIGRATE_STRATEGY_FAST    ? PLAN_FORECAST_NEVER_SLOW
                                                            : PLAN_FORECAST_SLOW_DOWN;
}

static gint64 whole(double value)
{
  return isinf(value) ? WS_INT_UNSET : (gint64)ceil(value);
}

static gint64 seconds(double value)
{
  return whole(isinf(value) ? value : MIN(value, MOST_S));
}

static gint64 milliseconds(double value)
{
  return whole(isinf(value) ? value : MIN(value, MOST_S) * 1000);
}

/* What is in use, and all there is. */
static void forecast(WsMigrationForecast *f, const Move *move, PlanForecastMove *plan)
{
  bool stops = move->live && !move->was_paused;
  bool writes = plan->way >= PLAN_FORECAST_SLOW_DOWN,
       dirty_known = !writes || f->dirty_bytes_per_s != WS_INT_UNSET;
  plan->memory_bytes = (double)f->memory_bytes;
  PlanForecast least = plan_forecast(plan);
  plan->memory_bytes = (double)f->memory_max_bytes;
  PlanForecast most = plan_forecast(plan);
  f->duration_s = seconds(least.duration_s);
  f->passes = !least.course || isinf(least.passes) || !dirty_known ? WS_INT_UNSET : (gint64)least.passes;
  if (dirty_known && least.course) {
    f->course = (int)least.course;
    f->duration_max_s = seconds(most.duration_s);
    f->downtime_ms = stops ? milliseconds(least.pause_s) : WS_INT_UNSET;
    f->downtime_max_ms = stops ? milliseconds(most.pause_s) : WS_INT_UNSET;
  } else if (plan->way != PLAN_FORECAST_NEVER_SLOW) { /* when it is there at all, it stands still for as long
                                                         as is allowed */
    f->downtime_max_ms = writes ? milliseconds(PLAN_FORECAST_HAND_S + plan->pause_s) : WS_INT_UNSET;
  }
}

static gint64 memory_in_use(const WsVm *vm)
{
  gint64 used = vm->usage ? vm->usage->memory_host_bytes : WS_INT_UNSET;
  return used > 0 ? MIN(used, vm->memory_bytes) : vm->memory_bytes;
}

void move_foresee(Move *move, const InvSnapshot *snap, const WsVm *vm, bool may_measure)
{
  const WsHost *from = inv_find(snap, &ws_type_host, move->vm.host),
               *to = inv_find(snap, &ws_type_host, move->target);
  g_clear_pointer(&move->forecast, ws_migration_forecast_free);
  if (may_measure && way_of(move) >= PLAN_FORECAST_SLOW_DOWN)
    measure(move);
  Before *asked = before_new(move); /* what cannot be read is not known */
  bool read = ws_co_blocking(move->vm.center->workers, read_before, asked, before_free, 0, NULL);
  g_autoptr(Before) before = read ? asked : before_new(move);
  g_autoptr(GArray) rates = rates_of(snap, before, to ? to->cluster : 0);
  WsMigrationForecast *f = move->forecast = ws_migration_forecast_new();
  double largest;
  PlanRateBasis basis;
  PlanForecastMove plan = {.way = way_of(move),
                           .disk_bytes = disks_of(move, &largest),
                           .pause_s = PLAN_FORECAST_PAUSE_S,
                           .post_copy_after = (guint)MAX(move->args->post_copy_after, 1)};
  bool wired = from && to && !move->storage_only;
  plan.rate = plan_forecast_rate(limit_of(move), wired ? nic_rate(from, move->network) : 0,
                                 wired ? nic_rate(to, move->network) : 0, (double *)(void *)rates->data,
                                 rates->len, &basis);
  f->rate_bytes_per_s = plan.rate > 0 ? (gint64)plan.rate : WS_INT_UNSET;
  f->rate_basis = (int)basis;
  f->disk_bytes = (gint64)plan.disk_bytes;
  f->memory_bytes = f->memory_max_bytes = 0;
  if (move->live && !move->storage_only) {
    f->memory_bytes = memory_in_use(vm);
    f->memory_max_bytes = vm->memory_bytes;
  }
  if (plan.way >= PLAN_FORECAST_SLOW_DOWN &&
      (f->dirty_basis = dirty_rate(move, before, &f->dirty_bytes_per_s)))
    plan.dirty = (double)f->dirty_bytes_per_s;
  forecast(f, move, &plan);
}

/* ---- kept with the task ---- */

char *move_forecast_text(const Move *move)
{
  GString *text = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(text);
  if (move->forecast)
    ws_object_write(&ws_type_migration_forecast, move->forecast, WS_WRITE_STORED, NULL, &w);
  return g_string_free(text, FALSE);
}

void move_take_forecast(Move *move, const char *text)
{
  g_clear_pointer(&move->forecast, ws_migration_forecast_free);
  if (text && *text)
    move->forecast = ws_object_parse(&ws_type_migration_forecast, text, strlen(text), WS_PARSE_STORED, NULL);
}
