// SPDX-License-Identifier: Apache-2.0
/* No limbo: an object is in a passing state only while a living task holds it. The task engine sees to that by itself; what gets past it - a task
 * of a kind that this version does not know any more, a record of an older version, a backup of another moment - is found here at each start
 * and set right: what was half made is marked like what an abandoned task has left (leftovers.c), and removed when its host is there; what is only
 * said to be passing is said to be what it is known to be. */
#include "base/log.h"
#include "center/domains.h"
#include "model/model.h"

typedef struct {
  Center *center;
  const InvSnapshot *head;
  InvTxn *txn;
  GHashTable *held; /* set of ids that living tasks have locked; ids are unique in a site */
  const WsType *type;
} Limbo;

static bool has_ended(const WsTask *task)
{
  return task->state >= WS_TASK_STATE_DONE; /* in the order of the contract: what ends comes last */
}

static bool add_locks(const void *object, void *arg)
{
  const WsTask *task = object;
  GHashTable *held = arg;
  for (guint i = 0; !has_ended(task) && i < task->locks.len; i++)
    g_hash_table_add(held, &task->locks.items[i]->object.id);
  return true;
}

static void tell(Limbo *limbo, WsId id, const char *what)
{
  center_event(limbo->center, CENTER_MAJOR, limbo->type, id, "recovery", "limbo_ended", "what", what, NULL);
}

static void end_activity(Limbo *limbo, const void *object, WsId id)
{
  const WsField *field = ws_type_field(limbo->type, "activity", 8);
  const WsActivity *activity = field ? *(WsActivity *const *)ws_field_at(field, (void *)object) : NULL;
  const WsTask *task = activity ? inv_find(limbo->head, &ws_type_task, activity->task) : NULL;
  if (!activity || (task && !has_ended(task)))
    return;
  tell(limbo, id, activity->verb);
  g_clear_pointer((WsActivity **)ws_field_at(field, inv_edit_id(limbo->txn, limbo->type, id)), ws_activity_free);
}

static void end_volume(Limbo *limbo, const WsVolume *volume)
{
  bool half = volume->state == WS_VOLUME_STATE_CREATING || volume->state == WS_VOLUME_STATE_DELETING;
  if (!half && volume->state != WS_VOLUME_STATE_IMPORTING)
    return;
  tell(limbo, volume->id, ws_volume_state_names[volume->state - 1]);
  if (half)
    center_alarm_add(limbo->center, limbo->txn, CENTER_MINOR, limbo->type, volume->id, "left_behind");
  else /* its file may be whole: its pool's next reading tells */
    ((WsVolume *)inv_edit_id(limbo->txn, limbo->type, volume->id))->state = WS_VOLUME_STATE_MISSING;
}

static void end_image(Limbo *limbo, const WsImage *image)
{
  if (image->state != WS_IMAGE_STATE_IMPORTING)
    return;
  tell(limbo, image->id, ws_image_state_names[image->state - 1]);
  ((WsImage *)inv_edit_id(limbo->txn, limbo->type, image->id))->state = WS_IMAGE_STATE_FAILED;
}

static void end_pool(Limbo *limbo, const WsPool *pool)
{
  if (pool->state != WS_POOL_STATE_CREATING)
    return;
  tell(limbo, pool->id, ws_pool_state_names[pool->state - 1]);
  ((WsPool *)inv_edit_id(limbo->txn, limbo->type, pool->id))->state = WS_POOL_STATE_UNREACHABLE; /* until a host has looked */
}

static bool look(const void *object, void *arg)
{
  Limbo *limbo = arg;
  WsId id = ((const WsResource *)object)->id;
  end_activity(limbo, object, id);
  if (g_hash_table_contains(limbo->held, &id))
    return true;
  if (limbo->type == &ws_type_volume)
    end_volume(limbo, object);
  else if (limbo->type == &ws_type_image)
    end_image(limbo, object);
  else if (limbo->type == &ws_type_pool)
    end_pool(limbo, object);
  return true;
}

void limbo_end(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  g_autoptr(GHashTable) held = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_autoptr(GError) error = NULL;
  Limbo limbo = {center, head, txn, held, NULL};
  inv_each(head, &ws_type_task, add_locks, held);
  for (guint i = 0; i < ws_n_resource_types; i++) {
    limbo.type = ws_resource_types[i];
    bool passes = ws_type_field(limbo.type, "activity", 8) || limbo.type == &ws_type_image;
    if (!(limbo.type->flags & WS_TYPE_HISTORY) && passes)
      inv_each(head, limbo.type, look, &limbo);
  }
  if (!inv_commit(txn, NULL, &error))
    ws_log_error(WS_LOG_WARNING, "limbo-not-ended", error, NULL);
}
