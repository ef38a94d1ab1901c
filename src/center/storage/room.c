// SPDX-License-Identifier: Apache-2.0
/* What pools can still hold, and whether that is enough. See pools.h. */
#include "base/text.h"
#include "center/storage/storage.h"
#include <math.h>
#include <string.h>

#define READING_US ((gint64)10 * G_USEC_PER_SEC) /* from what a host saw until it is heard here, at most */

typedef struct {
  gint64 read_us;             /* when the pool was read last */
  gint64 promised, unwritten; /* bytes; unwritten: blocks that its last reading may have as free still, and
                                 that are taken since */
} PoolSum;

static bool add_to_sum(const void *object, void *arg)
{
  const WsVolume *volume = object;
  PoolSum *sum = arg;
  bool thin = (int)volume->provisioning == WS_VOLUME_PROVISIONING_THIN || !(int)volume->provisioning;
  if (volume->size_bytes == WS_INT_UNSET)
    return true;
  sum->promised += volume->size_bytes;
  sum->unwritten += !thin && volume->created > sum->read_us - READING_US ? volume->size_bytes : 0;
  return true;
}

/* ---- what tasks hold ---- */

/* What is taken of a pool beside what its volumes say: by a task, or by a member of a dry run. */
typedef struct {
  WsId pool;
  gint64 promised_bytes, real_bytes;
  const Task *task; /* that holds it; NULL: a member of a dry run */
  bool certain;     /* of a member: it was not refused after that */
} Held;

void pools_hold_again(Task *task, PoolsHold *hold, WsId pool, gint64 promised_bytes, gint64 real_bytes)
{
  Center *center = task_center(task);
  Held one = {pool, MAX(promised_bytes, 0), MAX(real_bytes, 0), task, false};
  if (task_is_dry_run(task))
    return;
  hold->task = task;
  if (!center->pools_held)
    center->pools_held = g_array_new(FALSE, FALSE, sizeof(Held));
  g_array_append_val(center->pools_held, one);
}

void pools_let_go(PoolsHold *hold)
{
  GArray *held = hold->task ? ((Center *)task_center(hold->task))->pools_held : NULL;
  for (guint i = held ? held->len : 0; i-- > 0;)
    if (g_array_index(held, Held, i).task == hold->task)
      g_array_remove_index_fast(held, i);
  hold->task = NULL;
}

static void take_off(PoolRoom *room, const GArray *held, WsId pool)
{
  for (guint i = 0; held && i < held->len; i++) {
    const Held *one = &g_array_index(held, Held, i);
    if (one->pool != pool)
      continue;
    room->promised_bytes -= room->promised_bytes == G_MAXINT64 ? 0 : one->promised_bytes;
    room->real_bytes -= room->real_bytes == G_MAXINT64 ? 0 : one->real_bytes;
  }
}

/* ---- what is left ---- */

PoolRoom pools_room(const Center *center, const InvSnapshot *head, const WsPool *pool)
{
  PoolSum sum = {.read_us = pool->read};
  if (pool->capacity_bytes == WS_INT_UNSET)
    return (PoolRoom){G_MAXINT64, G_MAXINT64}; /* not known yet: the host decides */
  inv_each_by(head, &ws_type_volume, ws_type_field(&ws_type_volume, "pool", 4), pool->id, NULL, add_to_sum,
              &sum);
  double ratio = isnan(pool->overcommit_ratio) ? 1 : pool->overcommit_ratio;
  PoolRoom room = {(gint64)((double)pool->capacity_bytes * ratio) - sum.promised,
                   pool->available_bytes == WS_INT_UNSET ? G_MAXINT64
                                                         : pool->available_bytes - sum.unwritten};
  take_off(&room, center->pools_held, pool->id);
  return room;
}

/* A host tells of a pool again when much of it has changed: until then what was made shortly before its last
 * reading counts as taken, and as not yet seen. */
void pools_look_again(Task *task, WsId id, gint64 real_bytes)
{
  Center *center = task_center(task);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsPool *pool =
      id && real_bytes > 0 && !task_is_resumed(task) ? inv_find(head, &ws_type_pool, id) : NULL;
  g_autoptr(GError) error = NULL; /* then what is known holds */
  if (pool && pool->available_bytes != WS_INT_UNSET && real_bytes <= pool->available_bytes &&
      real_bytes > pools_room(center, head, pool).real_bytes)
    pools_read(center, id, &error);
}

/* ---- members of a dry run ---- */

static void unref_array(gpointer array)
{
  g_array_unref(array);
}

void pools_begin_on_paper(Center *center, const char *request)
{
  if (!center->pools_on_paper)
    center->pools_on_paper = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_array);
  g_hash_table_replace(center->pools_on_paper, g_strdup(request), g_array_new(FALSE, FALSE, sizeof(Held)));
}

void pools_note_on_paper(Center *center, const char *request, bool refused)
{
  GArray *taken = center->pools_on_paper ? g_hash_table_lookup(center->pools_on_paper, request) : NULL;
  for (guint i = taken ? taken->len : 0; i-- > 0;) {
    Held *one = &g_array_index(taken, Held, i);
    if (refused && !one->certain)
      g_array_remove_index_fast(taken, i);
    else
      one->certain = true;
  }
}

void pools_end_on_paper(Center *center, const char *request)
{
  g_hash_table_remove(center->pools_on_paper, request);
}

/* NULL: it is no member of one. */
static GArray *on_paper(Task *task)
{
  const Center *center = task_center(task);
  const char *request = task_is_dry_run(task) ? task_request(task) : NULL,
             *slash = request ? strrchr(request, '/') : NULL;
  g_autofree char *whole = slash ? g_strndup(request, (gsize)(slash - request)) : NULL;
  return whole && center->pools_on_paper ? g_hash_table_lookup(center->pools_on_paper, whole) : NULL;
}

/* ---- the check ---- */

bool pools_check_room(Task *task, PoolsHold *hold, WsId id, gint64 promised_bytes, gint64 real_bytes,
                      GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(task_inventory(task));
  const WsPool *pool = inv_find(head, &ws_type_pool, id);
  GArray *taken = on_paper(task);
  char need[WS_SIZE_TEXT_MAX], left[WS_SIZE_TEXT_MAX], text[WS_ID_TEXT_MAX];
  if (!pool)
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", storage_text(&ws_type_pool, id, text), NULL);
  PoolRoom room = pools_room(task_center(task), head, pool);
  take_off(&room, taken, id);
  bool promise = promised_bytes > room.promised_bytes;
  if (!promise && (real_bytes <= 0 || real_bytes <= room.real_bytes)) {
    Held one = {id, promised_bytes, real_bytes, NULL, false};
    if (taken)
      g_array_append_val(taken, one);
    pools_hold_again(task, hold, id, promised_bytes, real_bytes);
    return true;
  }
  ws_size_format(promise ? promised_bytes : real_bytes, need);
  ws_size_format(MAX(0, promise ? room.promised_bytes : room.real_bytes), left);
  return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", pool->name, "need", need, "free", left, NULL);
}
