// SPDX-License-Identifier: Apache-2.0
/* DPM: hosts sleep while little is wanted, and wake before more is wanted. What to do is plan/dpm.h; this does it.
 *
 * A host's `standby` is the record of what is going on, so a manager that comes back goes on where the one before stopped:
 *
 *     emptying   it enters maintenance (a task of its own kind: its VMs move away)
 *     asleep     it is in maintenance and off, or is being switched off
 *     waking     it is being switched on; when its agent is there it is put back in service
 *
 * Each tick looks at each such host and does the next thing. What fails puts the host back in service, with an event. A host that a person takes out of
 * maintenance is that person's again. Core loop; planning on a worker. */
#include "base/log.h"
#include "center/api/view.h"
#include "center/cluster/drs.h"
#include "center/hosts/bmc.h"
#include "center/verbs.h"
#include "plan/dpm.h"
#include <math.h>

#define AGAIN_US ((gint64)300 * G_USEC_PER_SEC) /* before what failed is tried again */

bool dpm_concerns(const WsCluster *cluster)
{
  return cluster->dpm && (int)cluster->dpm->level && cluster->dpm->level != WS_CLUSTER_DPM_LEVEL_OFF;
}

/* ---- what is planned from ---- */

static WsClusterDpm *settings_of(const WsCluster *cluster)
{
  WsClusterDpm *settings = cluster->dpm ? ws_cluster_dpm_copy(cluster->dpm) : ws_cluster_dpm_new();
  ws_apply_defaults(&ws_type_cluster_dpm, settings);
  return settings;
}

static PlanDpmOptions options_of(const WsClusterDpm *s)
{
  return (PlanDpmOptions){.low_cpu_percent = (double)s->low_cpu_percent,
                          .low_memory_percent = (double)s->low_memory_percent,
                          .high_cpu_percent = (double)s->high_cpu_percent,
                          .high_memory_percent = (double)s->high_memory_percent,
                          .duration_s = (double)s->duration_s,
                          .min_on = (guint)s->min_hosts_on,
                          .spare = (guint)s->spare_hosts,
                          .low_s = -1,
                          .high_s = -1};
}

static PlanDpmHost *power_of(const DrsPicture *picture)
{
  PlanDpmHost *power = g_new0(PlanDpmHost, picture->hosts->len + 1);
  for (guint i = 0; i < picture->hosts->len; i++) {
    const WsHost *host = inv_find(picture->snap, &ws_type_host, g_array_index(picture->hosts, WsId, i));
    bool wakes = bmc_is_set(host) || host->wake_mac;
    power[i].may_sleep = wakes && !host->activity && !(int)host->standby && host->mode == WS_HOST_MODE_NORMAL;
    power[i].asleep = host->standby == WS_HOST_STANDBY_ASLEEP && host->state != WS_HOST_STATE_CONNECTED;
  }
  return power;
}

/* ---- one look, on a worker ---- */

typedef struct {
  Drs *drs;
  InvSnapshot *snap;
  WsId cluster, host;
  gint64 now_us;
  PlanDpm plan;
} Look;

static void look_free(void *arg)
{
  Look *look = arg;
  inv_snapshot_unref(look->snap);
  g_free(look);
}

static gint64 since(gint64 before, bool holds, gint64 now_us)
{
  return !holds ? 0 : before ? before : now_us;
}

static bool work(void *arg, GError **error)
{
  Look *look = arg;
  const WsCluster *cluster = inv_find(look->snap, &ws_type_cluster, look->cluster);
  if (!cluster)
    return true;
  drs_sample(look->drs, look->snap, look->cluster, look->now_us);
  g_autoptr(DrsPicture) picture = drs_picture_new(look->drs, look->snap, cluster, NULL, look->now_us);
  g_autoptr(WsClusterDpm) settings = settings_of(cluster);
  g_autofree PlanDpmHost *power = power_of(picture);
  PlanDpmOptions options = options_of(settings);
  PlanDpmLoad load = plan_dpm_load(&picture->plan, power);
  g_mutex_lock(&look->drs->lock);
  DrsCluster *known = drs_cluster(look->drs, look->cluster);
  known->low_since_us = since(known->low_since_us, plan_dpm_is_low(&load, &options), look->now_us);
  known->high_since_us = since(known->high_since_us, plan_dpm_is_high(&load, &options), look->now_us);
  if (known->low_since_us)
    options.low_s = (double)(look->now_us - known->low_since_us) / G_USEC_PER_SEC;
  if (known->high_since_us)
    options.high_s = (double)(look->now_us - known->high_since_us) / G_USEC_PER_SEC;
  g_mutex_unlock(&look->drs->lock);
  look->plan = plan_dpm(&picture->plan, &picture->options, power, &options);
  if (look->plan.action != PLAN_DPM_NOTHING)
    look->host = g_array_index(picture->hosts, WsId, look->plan.host);
  return true;
}

/* ---- changing hosts ---- */

static bool set_standby(Center *center, WsId id, int standby, bool in_service)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GError) error = NULL;
  WsHost *host = inv_edit_id(txn, &ws_type_host, id);
  if (!host)
    return false;
  host->standby = standby;
  if (in_service) {
    host->mode = WS_HOST_MODE_NORMAL;
    host->mode_since = ws_clock_wall_us(center->clock);
  }
  if (!inv_commit(txn, NULL, &error)) {
    ws_log_error(WS_LOG_WARNING, "dpm-not-recorded", error, NULL);
    return false;
  }
  g_hash_table_remove(center->drs->tried, &id); /* what was tried was something else */
  return true;
}

static bool run_task(Center *center, const char *kind, WsId host, void *args, GError **error)
{
  const TaskCause why = {.user_name = "system", .cause = "dpm"};
  TaskStarted started = {0};
  if (!task_start(center->tasks, task_kind_find(center->tasks, kind), host, args, &why, false, 0, &started, error))
    return false;
  g_strfreev(started.dry_steps);
  return task_wait(center->tasks, started.task_id, error);
}

/* None is sent to sleep for a while. */
static void tell_failed(Center *center, WsId host, const GError *error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *object = inv_find(snap, &ws_type_host, host);
  g_mutex_lock(&center->drs->lock);
  if (object && object->cluster)
    drs_cluster(center->drs, object->cluster)->sleep_after_us = ws_clock_monotonic_us(center->clock) + AGAIN_US;
  g_mutex_unlock(&center->drs->lock);
  center_event(center, CENTER_MINOR, &ws_type_host, host, "dpm", "dpm_failed", "reason", error ? error->message : "-", NULL);
}

static void empty(Center *center, WsId id, bool emptied)
{
  g_autoptr(GError) error = NULL;
  WsHostEnterMaintenance *args = ws_host_enter_maintenance_new();
  ws_apply_defaults(&ws_type_host_enter_maintenance, args);
  args->vms = WS_HOST_ENTER_MAINTENANCE_VMS_MIGRATE;
  if (emptied)
    ws_host_enter_maintenance_free(args);
  else if (!run_task(center, "host_enter_maintenance", id, args, &error)) {
    tell_failed(center, id, error);
    set_standby(center, id, 0, false);
    return;
  }
  set_standby(center, id, WS_HOST_STANDBY_ASLEEP, false);
}

static void switch_off(Center *center, WsId id)
{
  g_autoptr(GError) error = NULL;
  WsHostPowerOff *args = ws_host_power_off_new();
  ws_apply_defaults(&ws_type_host_power_off, args);
  if (run_task(center, "host_power_off", id, args, &error))
    return;
  tell_failed(center, id, error);
  set_standby(center, id, WS_HOST_STANDBY_WAKING, false);
}

static void switch_on(Center *center, WsId id)
{
  g_autoptr(GError) error = NULL;
  WsHostPowerOn *args = ws_host_power_on_new();
  ws_apply_defaults(&ws_type_host_power_on, args);
  if (!run_task(center, "host_power_on", id, args, &error))
    tell_failed(center, id, error);
}

/* ---- the next thing for a host ---- */

typedef struct {
  Center *center;
  WsId host;
} Act;

static bool was_tried(Center *center, WsId id)
{
  gint64 now = ws_clock_monotonic_us(center->clock), *at = g_hash_table_lookup(center->drs->tried, &id);
  if (at && now - *at < AGAIN_US)
    return true;
  gint64 *pair = g_new(gint64, 2); /* the key owns both */
  pair[0] = (gint64)id;
  pair[1] = now;
  g_hash_table_replace(center->drs->tried, pair, pair + 1);
  return false;
}

static void next_thing(Center *center, const WsHost *host, bool wanted)
{
  bool connected = host->state == WS_HOST_STATE_CONNECTED, maintained = host->mode == WS_HOST_MODE_MAINTENANCE;
  switch ((int)host->standby) {
  case WS_HOST_STANDBY_EMPTYING:
    empty(center, host->id, maintained);
    break;
  case WS_HOST_STANDBY_ASLEEP:
    if (!maintained)
      set_standby(center, host->id, 0, false);
    else if (!wanted)
      set_standby(center, host->id, WS_HOST_STANDBY_WAKING, false);
    else if (connected && !was_tried(center, host->id))
      switch_off(center, host->id);
    break;
  case WS_HOST_STANDBY_WAKING:
    if (connected) {
      g_hash_table_remove(center->drs->tried, &host->id);
      set_standby(center, host->id, 0, true);
    } else if (!was_tried(center, host->id))
      switch_on(center, host->id);
    break;
  default:
    break;
  }
}

static void act(void *arg)
{
  g_autofree Act *act = arg;
  Center *center = act->center;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, act->host);
  const WsCluster *cluster = host ? cluster_of_host(snap, host) : NULL;
  if (host)
    next_thing(center, host, cluster && dpm_concerns(cluster));
  g_hash_table_remove(center->drs->acting, &act->host);
}

typedef struct {
  GArray *todo; /* WsId */
  bool any;
} Standby;

static bool add_standby(const void *object, void *arg)
{
  const WsHost *host = object;
  Standby *standby = arg;
  bool on_its_way = host->standby == WS_HOST_STANDBY_EMPTYING || host->standby == WS_HOST_STANDBY_WAKING;
  standby->any = standby->any || on_its_way || ((int)host->standby && host->activity);
  if ((int)host->standby && !host->activity)
    g_array_append_val(standby->todo, host->id);
  return true;
}

/* True: a host is on its way to sleep or back. */
static bool act_on_hosts(Center *center, const InvSnapshot *snap, WsId cluster)
{
  g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(WsId));
  Standby standby = {todo, false};
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster, NULL, add_standby, &standby);
  for (guint i = 0; i < todo->len; i++) {
    WsId id = g_array_index(todo, WsId, i);
    if (g_hash_table_contains(center->drs->acting, &id))
      continue;
    gint64 *key = g_new(gint64, 1);
    *key = (gint64)id;
    g_hash_table_add(center->drs->acting, key);
    Act *job = g_new(Act, 1);
    *job = (Act){center, id};
    ws_co_start(center->loop, act, job);
  }
  return standby.any || g_hash_table_size(center->drs->acting);
}

/* ---- one look, on the core loop ---- */

static void tell_begins(Center *center, const Look *look)
{
  static const char *const reasons[] = {"", "idle", "busy", "spare", "few"};
  char load[32];
  g_snprintf(load, sizeof load, "%.0f", fmax(fmax(look->plan.before.cpu, look->plan.before.cpu_forecast), look->plan.before.memory));
  center_event(center, CENTER_INFO, &ws_type_host, look->host, "dpm", look->plan.action == PLAN_DPM_SLEEP ? "dpm_sleeps" : "dpm_wakes", "reason",
               reasons[look->plan.reason], "percent", load, NULL);
}

void dpm_look(Center *center, WsId id)
{
  InvSnapshot *snap = inv_snapshot(center->inventory);
  const WsCluster *cluster = inv_find(snap, &ws_type_cluster, id);
  gint64 now_us = ws_clock_monotonic_us(center->clock);
  bool moving = cluster && act_on_hosts(center, snap, id);
  g_mutex_lock(&center->drs->lock);
  DrsCluster *known = drs_cluster(center->drs, id);
  bool due = cluster && dpm_concerns(cluster) && now_us >= known->dpm_next_us && !moving && !cluster->activity; /* no rolling maintenance, which counts on what is on */
  if (due)
    known->dpm_next_us = now_us + (cluster->dpm->interval_s != WS_INT_UNSET ? cluster->dpm->interval_s : 60) * G_USEC_PER_SEC;
  g_mutex_unlock(&center->drs->lock);
  if (!due) {
    inv_snapshot_unref(snap);
    return;
  }
  bool automatic = cluster->dpm->level == WS_CLUSTER_DPM_LEVEL_AUTOMATIC;
  Look *look = g_new0(Look, 1);
  *look = (Look){.drs = center->drs, .snap = snap, .cluster = id, .now_us = now_us};
  if (!ws_co_blocking(center->workers, work, look, look_free, 0, NULL))
    return;
  bool waits = look->plan.action == PLAN_DPM_SLEEP && now_us < known->sleep_after_us;
  if (automatic && look->plan.action != PLAN_DPM_NOTHING && !waits &&
      set_standby(center, look->host, look->plan.action == PLAN_DPM_SLEEP ? WS_HOST_STANDBY_EMPTYING : WS_HOST_STANDBY_WAKING, false)) {
    tell_begins(center, look);
    g_autoptr(InvSnapshot) now = inv_snapshot(center->inventory);
    act_on_hosts(center, now, id);
  }
  look_free(look);
}

/* ---- view ---- */

static double rounded(double value)
{
  return round(value * 100) / 100;
}

bool cluster_dpm_status(const ApiView *view, void **result, GError **error)
{
  const WsCluster *cluster = view->object;
  gint64 now_us = ws_clock_monotonic_us(view->center->clock);
  drs_sample(view->center->drs, view->snap, cluster->id, now_us);
  g_autoptr(DrsPicture) picture = drs_picture_new(view->center->drs, view->snap, cluster, NULL, now_us);
  g_autoptr(WsClusterDpm) settings = settings_of(cluster);
  g_autofree PlanDpmHost *power = power_of(picture);
  PlanDpmOptions options = options_of(settings);
  options.low_s = options.high_s = options.duration_s; /* what it would do if this lasted */
  PlanDpm plan = plan_dpm(&picture->plan, &picture->options, power, &options);
  WsDpmStatus *out = ws_dpm_status_new();
  out->level = (int)settings->level;
  out->hosts_on = plan.before.n_on;
  out->hosts_asleep = plan.before.n_asleep;
  out->cpu_percent = rounded(plan.before.cpu);
  out->cpu_forecast_percent = rounded(plan.before.cpu_forecast);
  out->memory_percent = rounded(plan.before.memory);
  out->action = (int)plan.action + 1;
  out->reason = (int)plan.reason;
  if (plan.action != PLAN_DPM_NOTHING)
    out->host = g_array_index(picture->hosts, WsId, plan.host);
  *result = out;
  return true;
}
