// SPDX-License-Identifier: Apache-2.0
/* Alarms of how full pools are: `pool_nearly_full` (minor from the warning threshold on, major from the critical one), `pool_full` (guests that
 * want new space stand still), `pool_overpromised` (volumes were promised more than the pool allows; nothing new is).
 *
 * They follow from what the inventory says: looked at when a host says something of the pool, and all of them with the sweep, because a
 * threshold may have moved. Each goes only when the pool is well below its limit again, so that one that breathes about it does not ring with each
 * breath. Of a pool whose size is not known, or that no host reaches, what was known last stays. Core loop, in a coroutine. */
#include "center/room.h"
#include "center/storage/storage.h"
#include <math.h>

#define NEARLY   "pool_nearly_full"
#define FULL     "pool_full"
#define PROMISED "pool_overpromised"
#define BACK_PERCENT 5  /* points below a threshold where its alarm ends */
#define BACK_RATIO 0.98 /* of what may be promised, likewise */
enum { WARNING_PERCENT = 80, CRITICAL_PERCENT = 90 }; /* while there is no site */

typedef struct {
  const char *kind;
  const WsAlarm *found;
} AlarmLook;

static bool look_for_alarm(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  AlarmLook *look = arg;
  if (alarm->object.type == &ws_type_pool && g_strcmp0(alarm->kind, look->kind) == 0)
    look->found = alarm;
  return !look->found;
}

/* Its level; 0: it is not open. */
static int level_now(const InvSnapshot *head, WsId pool, const char *kind)
{
  AlarmLook look = {kind, NULL};
  inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "object", 6), pool, NULL, look_for_alarm, &look);
  return look.found ? (int)look.found->level : 0;
}

static void set_level(Center *center, const InvSnapshot *head, WsId pool, const char *kind, int level)
{
  int now = level_now(head, pool, kind);
  if (level && level != now)
    center_alarm_open(center, (CenterLevel)level, &ws_type_pool, pool, kind);
  else if (!level && now)
    center_alarm_close(center, &ws_type_pool, pool, kind);
}

/* ---- how full ---- */

static gint64 chosen(gint64 own, gint64 of_site, gint64 otherwise)
{
  return own != WS_INT_UNSET ? own : of_site != WS_INT_UNSET ? of_site : otherwise;
}

typedef struct {
  double warning, critical;
} Thresholds;

/* A pool's own one may stand beside the site's other: then it is what counts, and the two are kept in order. */
static Thresholds thresholds_of(const InvSnapshot *head, const WsPool *pool)
{
  const WsSite *site = room_site(head);
  gint64 warning = chosen(pool->warning_percent, site ? site->pool_warning_percent : WS_INT_UNSET, WARNING_PERCENT);
  gint64 critical = chosen(pool->critical_percent, site ? site->pool_critical_percent : WS_INT_UNSET, CRITICAL_PERCENT);
  if (pool->critical_percent != WS_INT_UNSET)
    warning = MIN(warning, critical);
  return (Thresholds){(double)warning, (double)MAX(warning, critical)};
}

static int fill_level(double percent, const Thresholds *at, int now)
{
  double critical = now >= CENTER_MAJOR ? at->critical - BACK_PERCENT : at->critical;
  double warning = now ? at->warning - BACK_PERCENT : at->warning;
  return percent >= critical ? CENTER_MAJOR : percent >= warning ? CENTER_MINOR : 0;
}

static bool is_known(const WsPool *pool)
{
  bool seen = pool->state == WS_POOL_STATE_ACTIVE || pool->state == WS_POOL_STATE_DEGRADED || pool->state == WS_POOL_STATE_FULL ||
              pool->state == WS_POOL_STATE_SUSPENDED;
  return seen && pool->capacity_bytes != WS_INT_UNSET && pool->capacity_bytes > 0;
}

static void tell_nearly(Center *center, const InvSnapshot *head, const WsPool *pool)
{
  Thresholds at = thresholds_of(head, pool);
  if (pool->available_bytes == WS_INT_UNSET)
    return;
  double used = (double)(pool->capacity_bytes - MIN(pool->available_bytes, pool->capacity_bytes));
  double percent = 100 * used / (double)pool->capacity_bytes;
  set_level(center, head, pool->id, NEARLY, fill_level(percent, &at, level_now(head, pool->id, NEARLY)));
}

static void tell_promised(Center *center, const InvSnapshot *head, const WsPool *pool, gint64 promised_bytes)
{
  double limit = (double)pool->capacity_bytes * (isnan(pool->overcommit_ratio) ? 1 : pool->overcommit_ratio);
  bool open = level_now(head, pool->id, PROMISED) != 0;
  set_level(center, head, pool->id, PROMISED, (double)promised_bytes > (open ? limit * BACK_RATIO : limit) ? CENTER_MINOR : 0);
}

static void tell(Center *center, const InvSnapshot *head, const WsPool *pool, gint64 promised_bytes)
{
  set_level(center, head, pool->id, FULL, pool->state == WS_POOL_STATE_FULL ? CENTER_MAJOR : 0);
  if (!is_known(pool))
    return;
  tell_nearly(center, head, pool);
  tell_promised(center, head, pool, promised_bytes);
}

void storage_tell_fill(Center *center, WsId id)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsPool *pool = inv_find(head, &ws_type_pool, id);
  if (pool)
    tell(center, head, pool, storage_provisioned_bytes(head, id));
}

/* ---- all of them ---- */

static bool add_promise(const void *object, void *arg)
{
  const WsVolume *volume = object;
  gint64 *sum = g_hash_table_lookup(arg, &volume->pool);
  if (sum)
    *sum += volume->size_bytes;
  return true;
}

static bool add_pool(const void *object, void *arg)
{
  const WsPool *pool = object;
  g_hash_table_insert(arg, g_memdup2(&pool->id, sizeof pool->id), g_new0(gint64, 1));
  return true;
}

void pools_watch_fill(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GHashTable) promised = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  GHashTableIter iter;
  gpointer id, sum;
  inv_each(head, &ws_type_pool, add_pool, promised);
  inv_each(head, &ws_type_volume, add_promise, promised);
  g_hash_table_iter_init(&iter, promised);
  while (g_hash_table_iter_next(&iter, &id, &sum)) {
    g_autoptr(InvSnapshot) now = inv_head(center->inventory); /* the alarm of the one before took its time */
    const WsPool *pool = inv_find(now, &ws_type_pool, *(WsId *)id);
    if (pool)
      tell(center, now, pool, *(gint64 *)sum);
  }
}

/* ---- thresholds that make sense ---- */

/* Named is the one that was changed. */
static bool check_order(gint64 warning, gint64 critical, bool critical_is_new, const char *names[2], GError **error)
{
  if (warning == WS_INT_UNSET || critical == WS_INT_UNSET || warning < critical)
    return true;
  return critical_is_new ? ws_fail(error, WS_ERROR_BAD_VALUE, "field", names[1], "expected", "more than the warning threshold", NULL)
                         : ws_fail(error, WS_ERROR_BAD_VALUE, "field", names[0], "expected", "less than the critical threshold", NULL);
}

static bool check_pool(const InvSnapshot *head, const void *old_object, const void *new_object, GError **error)
{
  const WsPool *pool = new_object, *before = old_object;
  return !pool || check_order(pool->warning_percent, pool->critical_percent, !before || before->critical_percent != pool->critical_percent,
                              (const char *[]){"warning_percent", "critical_percent"}, error);
}

static bool check_site(const InvSnapshot *head, const void *old_object, const void *new_object, GError **error)
{
  const WsSite *site = new_object, *before = old_object;
  return !site || check_order(site->pool_warning_percent, site->pool_critical_percent,
                              !before || before->pool_critical_percent != site->pool_critical_percent,
                              (const char *[]){"pool_warning_percent", "pool_critical_percent"}, error);
}

void storage_fill_start(Center *center)
{
  inv_add_check(center->inventory, &ws_type_pool, check_pool);
  inv_add_check(center->inventory, &ws_type_site, check_site);
}
