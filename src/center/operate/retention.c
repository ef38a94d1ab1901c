// SPDX-License-Identifier: Apache-2.0
/* What of history is old enough goes, in portions. See retention.h.
 *
 * Events and migrations go by their age alone, on the store's thread. An ended task stays, with its steps and
 * its log, as long as something that lives names it: a task whose parent it was, advice that it carried out,
 * an alarm that tells of it. Its records are read along the index of times by a worker; the core loop says
 * which of them nobody names. */
#include "center/operate/retention.h"
#include "base/log.h"
#include "model/model.h"

#define PORTION      500
#define PORTIONS_MAX 20 /* at a time */
#define PAUSE_US     (3600 * (gint64)G_USEC_PER_SEC)
#define DAY_US       (24 * 3600 * (gint64)G_USEC_PER_SEC)

/* What is older may go; 0: nothing, it is kept for ever, or longer than the clock has counted. */
static gint64 limit_of(const Center *center, guint days)
{
  return days ? MAX(ws_clock_wall_us(center->clock) - days * DAY_US, 0) : 0;
}

/* ---- who names tasks ---- */

static void note_id(GHashTable *named, WsId id)
{
  char text[WS_ID_TEXT_MAX];
  if (id)
    g_hash_table_add(named, g_strdup(ws_id_format(ws_type_task.prefix, id, text)));
}

static bool note_task(const void *object, void *named)
{
  note_id(named, ((const WsTask *)object)->parent);
  return true;
}

static bool note_advice(const void *object, void *named)
{
  note_id(named, ((const WsDrsRecommendation *)object)->task);
  return true;
}

static bool note_alarm(const void *object, void *named)
{
  const WsAlarm *alarm = object;
  WsId id;
  for (guint i = 0; i < alarm->params.len; i++)
    if (ws_id_parse(ws_type_task.prefix, alarm->params.items[i].value, &id))
      note_id(named, id);
  if (alarm->object.type == &ws_type_task)
    note_id(named, alarm->object.id);
  return true;
}

static GHashTable *named_tasks(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  GHashTable *named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  inv_each(head, &ws_type_task, note_task, named);
  inv_each(head, &ws_type_drs_recommendation, note_advice, named);
  inv_each(head, &ws_type_alarm, note_alarm, named);
  return named;
}

/* ---- ended tasks ---- */

typedef struct {
  Store *store;
  StoreQuery query; /* the next portion: the oldest that were not looked at yet */
  GPtrArray *rows;
} Search;

static void search_free(void *arg)
{
  Search *search = arg;
  g_ptr_array_unref(search->rows);
  g_free(search);
}

static bool search_on_worker(void *arg, GError **error)
{
  Search *search = arg;
  return store_find_history(search->store, &ws_type_ended_task, &search->query, search->rows, error);
}

/* What of the portion nobody names. */
static bool drop(Center *center, const GPtrArray *rows, GError **error)
{
  g_autoptr(GHashTable) named = named_tasks(center);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  guint n = 0;
  for (guint i = 0; i < rows->len; i++) {
    const WsEndedTask *row = rows->pdata[i];
    if (row->task && g_hash_table_contains(named, row->task))
      continue;
    inv_delete_history(txn, &ws_type_ended_task, row->id);
    n++;
  }
  return n == 0 || inv_commit(txn, NULL, error);
}

/* *place goes behind the portion. False: nothing is left to do, or it did not work. */
static bool take_portion(Center *center, StoreQuery *place)
{
  g_autoptr(GError) error = NULL;
  Search *search = g_new0(Search, 1);
  *search =
      (Search){center->store, *place, g_ptr_array_new_with_free_func((GDestroyNotify)ws_resource_unref)};
  if (!ws_co_blocking(center->workers, search_on_worker, search, search_free, 0, &error)) {
    ws_log_error(WS_LOG_WARNING, "history-not-expired", error, "type", ws_type_ended_task.name, NULL);
    return false;
  }
  guint n = search->rows->len;
  const WsEndedTask *last = n ? search->rows->pdata[n - 1] : NULL;
  if (last) {
    place->after = last->id;
    place->after_us = last->time;
  }
  bool ok = !n || drop(center, search->rows, &error);
  if (!ok)
    ws_log_error(WS_LOG_WARNING, "history-not-expired", error, "type", ws_type_ended_task.name, NULL);
  search_free(search);
  return ok && n == PORTION;
}

static void expire_tasks(Center *center, gint64 limit_us)
{
  gint64 now = ws_clock_wall_us(center->clock);
  if (now < center->tasks_expire_us && now > center->tasks_expire_us - PAUSE_US)
    return;
  center->tasks_expire_us = now + PAUSE_US;
  StoreQuery place = {
      .by_time = true, .ascending = true, .until = true, .until_us = limit_us, .limit = PORTION};
  bool more = true;
  for (guint i = 0; more && i < PORTIONS_MAX; i++)
    more = take_portion(center, &place);
  if (more)
    center->tasks_expire_us = 0;
}

void retention_tick(Center *center)
{
  const CenterConfig *config = &center->config;
  gint64 events_us = limit_of(center, config->event_keep_days);
  gint64 migrations_us = limit_of(center, config->migration_keep_days);
  gint64 tasks_us = limit_of(center, config->task_keep_days);
  if (events_us)
    store_expire_history(center->store, &ws_type_event, events_us);
  if (migrations_us)
    store_expire_history(center->store, &ws_type_migration, migrations_us);
  if (tasks_us)
    expire_tasks(center, tasks_us);
}
