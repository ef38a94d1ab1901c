// SPDX-License-Identifier: Apache-2.0
/* DRS: looks at clusters that want it. See drs.h.
 *
 * One timer for all. At each tick the clusters that balance or have rules are sampled; those that are due are planned, on a worker, from a snapshot. What
 * is planned is checked again by each move itself, so a plan may be a moment old. */
#include "center/cluster/drs.h"
#include "base/log.h"
#include "center/domains.h"

#define TICK_US (5 * (gint64)G_USEC_PER_SEC)
#define BROKEN  "affinity_rule_broken" /* kind of alarm */

/* ---- one look, on a worker ---- */

typedef struct {
  Drs *drs;
  InvSnapshot *snap;
  WsId cluster;
  gint64 now_us, wall_us;
  bool due, plan, forced; /* due: it is looked at, not only sampled */
  DrsPicture *picture; /* set where it was planned */
  PlanDrsResult result;
  WsAffinityViolations *violations;
} Look;

static void look_free(void *arg)
{
  Look *look = arg;
  plan_drs_result_clear(&look->result);
  drs_picture_free(look->picture);
  if (look->violations)
    ws_affinity_violations_free(look->violations);
  inv_snapshot_unref(look->snap);
  g_free(look);
}

static void note_hot(DrsCluster *known, const DrsPicture *picture, gint64 now_us)
{
  g_autofree PlanDrsLoad *loads = g_new(PlanDrsLoad, picture->plan.n_hosts + 1);
  double uneven = plan_drs_uneven_percent(picture->options.aggression);
  plan_drs_loads(&picture->plan, loads, NULL);
  for (guint i = 0; i < picture->plan.n_hosts; i++) {
    WsId id = g_array_index(picture->hosts, WsId, i);
    bool hot = plan_drs_is_hot(&loads[i], &picture->options), was = g_hash_table_contains(known->hot, &id);
    if (hot && !was) {
      gint64 *pair = g_new(gint64, 2); /* the key, then since when */
      pair[0] = (gint64)id;
      pair[1] = now_us;
      g_hash_table_insert(known->hot, pair, pair + 1);
    } else if (!hot && was) {
      g_hash_table_remove(known->hot, &id);
    }
    if (hot)
      picture->plan.hosts[i].hot_s = (double)(now_us - *(gint64 *)g_hash_table_lookup(known->hot, &id)) / G_USEC_PER_SEC;
  }
  bool is_uneven = uneven > 0 && plan_drs_imbalance(&picture->plan) > uneven;
  known->uneven_since_us = !is_uneven ? 0 : known->uneven_since_us ? known->uneven_since_us : now_us;
}

static bool work(void *arg, GError **error)
{
  Look *look = arg;
  const WsCluster *cluster = inv_find(look->snap, &ws_type_cluster, look->cluster);
  if (!cluster)
    return true;
  drs_sample(look->drs, look->snap, look->cluster, look->now_us);
  if (!look->due)
    return true;
  look->picture = drs_picture_new(look->drs, look->snap, cluster, NULL, look->now_us);
  g_mutex_lock(&look->drs->lock);
  DrsCluster *known = drs_cluster(look->drs, look->cluster);
  note_hot(known, look->picture, look->now_us);
  if (look->plan)
    known->looked_us = look->wall_us;
  g_mutex_unlock(&look->drs->lock);
  look->violations = room_rules_violations(look->picture->rules, 0);
  if (look->forced)
    look->picture->options.duration_s = look->picture->options.uneven_s = 0;
  for (guint i = 0; look->forced && i < look->picture->plan.n_hosts; i++)
    look->picture->plan.hosts[i].hot_s = 0;
  if (look->plan)
    plan_drs(&look->picture->plan, &look->picture->options, &look->result);
  return true;
}

/* ---- alarms of rules ---- */

typedef struct {
  Center *center;
  const WsAffinityViolations *violations;
} Alarms;

static const WsAffinityViolation *violation_of(const WsAffinityViolations *violations, WsId rule)
{
  for (guint i = 0; i < violations->items.len; i++)
    if (violations->items.items[i]->rule == rule)
      return violations->items.items[i];
  return NULL;
}

static bool tell_rule(const void *object, void *arg)
{
  const WsAffinityRule *rule = object;
  Alarms *alarms = arg;
  const WsAffinityViolation *broken = violation_of(alarms->violations, rule->id);
  bool told = rule->health && rule->health->level > WS_HEALTH_LEVEL_OK;
  WsId id = rule->id;
  if (broken && !told) {
    bool hard = plan_rule_is_hard((PlanRuleKind)rule->kind);
    center_event(alarms->center, hard ? CENTER_MAJOR : CENTER_MINOR, &ws_type_affinity_rule, id, "DRS", "rule_broken", "rule", broken->name, "vm",
                 broken->vm_name, "reason", broken->reason, NULL);
    center_alarm_open(alarms->center, hard ? CENTER_MAJOR : CENTER_MINOR, &ws_type_affinity_rule, id, BROKEN);
  } else if (!broken && told) {
    center_alarm_close(alarms->center, &ws_type_affinity_rule, id, BROKEN);
  }
  return true;
}

static bool add_orphan(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  void **pair = arg;
  if (alarm->object.type == &ws_type_affinity_rule && !inv_find(pair[0], &ws_type_affinity_rule, alarm->object.id))
    g_array_append_val((GArray *)pair[1], alarm->object.id);
  return true;
}

/* Of rules that are gone. */
static void close_orphans(Center *center, const InvSnapshot *snap)
{
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  void *pair[] = {(void *)snap, ids};
  inv_each_by(snap, &ws_type_alarm, ws_type_field(&ws_type_alarm, "kind", 4), 0, BROKEN, add_orphan, pair);
  for (guint i = 0; i < ids->len; i++)
    center_alarm_close(center, &ws_type_affinity_rule, g_array_index(ids, WsId, i), BROKEN);
}

/* ---- one look, on the core loop ---- */

static bool is_due(Drs *drs, DrsCluster *known, gint64 interval_s, gint64 now_us)
{
  g_mutex_lock(&drs->lock);
  bool due = now_us >= known->next_us;
  if (due)
    known->next_us = now_us + interval_s * G_USEC_PER_SEC;
  g_mutex_unlock(&drs->lock);
  return due;
}

static DrsCluster *known_cluster(Drs *drs, WsId cluster)
{
  g_mutex_lock(&drs->lock);
  DrsCluster *known = drs_cluster(drs, cluster); /* never freed while drs lives */
  g_mutex_unlock(&drs->lock);
  return known;
}

static bool look_and_plan(Center *center, DrsCluster *known, Look *look, GError **error)
{
  if (!ws_co_blocking(center->workers, work, look, look_free, 0, error))
    return false;
  Alarms alarms = {center, look->violations};
  bool entered = true;
  if (look->violations)
    inv_each_by(look->snap, &ws_type_affinity_rule, ws_type_field(&ws_type_affinity_rule, "cluster", 7), look->cluster, NULL, tell_rule, &alarms);
  if (look->plan && look->picture)
    entered = drs_enter_plan(center, look->picture, &look->result, ++known->batch, error);
  look_free(look);
  return entered;
}

bool drs_look(Center *center, WsId id, bool now, GError **error)
{
  Drs *drs = center->drs;
  DrsCluster *known = known_cluster(drs, id);
  InvSnapshot *snap = inv_snapshot(center->inventory);
  const WsCluster *cluster = inv_find(snap, &ws_type_cluster, id);
  guint pending, accepted;
  gint64 now_us = ws_clock_monotonic_us(center->clock);
  drs_count(snap, id, DRS_OF_HOSTS, &pending, &accepted);
  if (!cluster || known->looking) {
    inv_snapshot_unref(snap);
    return true;
  }
  gint64 interval_s = cluster->drs && cluster->drs->interval_s != WS_INT_UNSET ? cluster->drs->interval_s : 60;
  known->looking = true;
  if (!known->batch)
    known->batch = ws_clock_wall_us(center->clock);
  Look *look = g_new0(Look, 1);
  *look = (Look){.drs = drs, .snap = snap, .cluster = id, .now_us = now_us, .wall_us = ws_clock_wall_us(center->clock), .forced = now};
  /* While moves are under way the figures are of neither state. */
  look->due = is_due(drs, known, interval_s, now_us) || now;
  look->plan = look->due && !accepted && !known->applying[DRS_OF_HOSTS];
  bool ok = look_and_plan(center, known, look, error);
  known->looking = false;
  drs_apply(center, id);
  return ok;
}

void drs_note_moved(Center *center, WsId vm)
{
  Drs *drs = center->drs;
  g_mutex_lock(&drs->lock);
  DrsMemory *memory = g_hash_table_lookup(drs->memories, &vm);
  if (memory)
    memory->moved_us = ws_clock_monotonic_us(center->clock);
  g_mutex_unlock(&drs->lock);
}

/* ---- the timer ---- */

static bool is_standby(const void *object, void *arg)
{
  *(bool *)arg = (int)((const WsHost *)object)->standby != 0;
  return !*(bool *)arg;
}

static bool has_sleepers(const InvSnapshot *snap, WsId cluster)
{
  bool any = false;
  inv_each_by(snap, &ws_type_host, ws_type_field(&ws_type_host, "cluster", 7), cluster, NULL, is_standby, &any);
  return any;
}

static bool add_cluster(const void *object, void *arg)
{
  const WsCluster *cluster = object;
  void **pair = arg;
  guint pending, accepted;
  drs_count(pair[0], cluster->id, DRS_OF_HOSTS, &pending, &accepted);
  if (drs_concerns(pair[0], cluster) || pending || accepted)
    g_array_append_val((GArray *)pair[1], cluster->id);
  drs_count(pair[0], cluster->id, DRS_OF_STORAGE, &pending, &accepted);
  if (storage_drs_concerns(cluster) || pending || accepted)
    g_array_append_val((GArray *)pair[3], cluster->id);
  if (dpm_concerns(cluster) || has_sleepers(pair[0], cluster->id))
    g_array_append_val((GArray *)pair[2], cluster->id);
  return true;
}

static gboolean is_gone(gpointer key, gpointer value, gpointer snap)
{
  return !inv_find(snap, &ws_type_vm, *(const WsId *)key);
}

/* Of VMs that are no more; now and then. */
static void forget_demands(Drs *drs, const InvSnapshot *snap)
{
  g_mutex_lock(&drs->lock);
  if (g_hash_table_size(drs->memories) > 2 * inv_count(snap, &ws_type_vm) + 100)
    g_hash_table_foreach_remove(drs->memories, is_gone, (gpointer)snap);
  g_mutex_unlock(&drs->lock);
}

static void look_at_all(void *arg)
{
  Center *center = arg;
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId)), powered = g_array_new(FALSE, FALSE, sizeof(WsId));
  g_autoptr(GArray) stored = g_array_new(FALSE, FALSE, sizeof(WsId));
  InvSnapshot *snap = inv_snapshot(center->inventory);
  void *pair[] = {snap, ids, powered, stored};
  inv_each(snap, &ws_type_cluster, add_cluster, pair);
  close_orphans(center, snap);
  forget_demands(center->drs, snap);
  inv_snapshot_unref(snap);
  for (guint i = 0; i < ids->len; i++) {
    g_autoptr(GError) error = NULL;
    if (!drs_look(center, g_array_index(ids, WsId, i), false, &error))
      ws_log_error(WS_LOG_WARNING, "drs-did-not-look", error, NULL);
  }
  for (guint i = 0; i < stored->len; i++) {
    g_autoptr(GError) error = NULL;
    if (!storage_drs_look(center, g_array_index(stored, WsId, i), false, &error))
      ws_log_error(WS_LOG_WARNING, "storage-drs-did-not-look", error, NULL);
  }
  for (guint i = 0; i < powered->len; i++)
    dpm_look(center, g_array_index(powered, WsId, i));
  drs_forget_old(center);
  if (!center->drs->stopped && !center->drs->timer)
    center->drs->timer = ws_loop_after(center->loop, TICK_US, drs_on_timer, center);
}

void drs_on_timer(void *arg)
{
  Center *center = arg;
  center->drs->timer = NULL;
  ws_co_start(center->loop, look_at_all, center);
}

void drs_start(Center *center)
{
  Drs *drs = center->drs = g_new0(Drs, 1);
  g_mutex_init(&drs->lock);
  drs->memories = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  drs->pools = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  drs->volumes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  drs->tried = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  drs->acting = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  drs->timer = ws_loop_after(center->loop, TICK_US, drs_on_timer, center);
}

void drs_stop(Center *center)
{
  if (!center->drs)
    return;
  center->drs->stopped = true;
  g_clear_pointer(&center->drs->timer, ws_timer_cancel);
}

void drs_free(Center *center)
{
  Drs *drs = center->drs;
  if (!drs)
    return;
  g_hash_table_unref(drs->memories);
  if (drs->clusters)
    g_hash_table_unref(drs->clusters);
  g_hash_table_unref(drs->pools);
  g_hash_table_unref(drs->volumes);
  g_hash_table_unref(drs->tried);
  g_hash_table_unref(drs->acting);
  g_mutex_clear(&drs->lock);
  g_clear_pointer(&center->drs, g_free);
}
