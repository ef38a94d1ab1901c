// SPDX-License-Identifier: Apache-2.0
/* Alarms: open while their condition lasts; the most serious one of an object is its health. See center.h. */
#include "base/log.h"
#include "center/api/call.h"
#include "center/center.h"
#include "model/model.h"
#include "center/verbs.h"

typedef struct {
  const WsType *type;
  WsId object;
  const char *kind;
  const WsAlarm *same;  /* the one of this kind */
  const WsAlarm *worst; /* of the others */
} Look;

static bool look_at(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  Look *look = arg;
  if (alarm->object.type != look->type || alarm->object.id != look->object)
    return true;
  if (g_strcmp0(alarm->kind, look->kind) == 0)
    look->same = alarm;
  else if (!look->worst || alarm->level > look->worst->level)
    look->worst = alarm;
  return true;
}

/* Only those of the object: there may be one for each VM of a site whose storage is gone. */
static void look_at_all(const InvSnapshot *head, Look *look)
{
  if (look->object)
    inv_each_by(head, &ws_type_alarm, ws_type_field(&ws_type_alarm, "object", 6), look->object, NULL, look_at, look);
  else
    inv_each(head, &ws_type_alarm, look_at, look);
}

/* WsAlarm.level counts info, minor, major, critical from 1; health's level counts ok first. */
static void set_health(Center *center, InvTxn *txn, const WsType *type, WsId object, int level, WsId alarm)
{
  const WsField *field = type ? ws_type_field(type, "health", 6) : NULL;
  void *edit = field && object ? inv_edit_id(txn, type, object) : NULL;
  if (!edit)
    return;
  WsHealth **at = ws_field_at(field, edit);
  if (!*at)
    *at = ws_health_new();
  (*at)->level = level + 1;
  (*at)->alarm = alarm;
  (*at)->since = ws_clock_wall_us(center->clock);
}

static bool commit(InvTxn *txn, const char *kind)
{
  g_autoptr(GError) error = NULL;
  if (inv_commit(txn, NULL, &error))
    return true;
  ws_log_error(WS_LOG_WARNING, "alarm-not-recorded", error, "kind", kind, NULL);
  return false;
}

void center_alarm_open(Center *center, CenterLevel level, const WsType *type, WsId object, const char *kind)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  Look look = {type, object, kind, NULL, NULL};
  look_at_all(head, &look);
  if (look.same && (int)look.same->level == (int)level)
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsAlarm *alarm = look.same ? inv_edit(txn, look.same) : inv_create(txn, &ws_type_alarm);
  if (!look.same) {
    alarm->object = (WsAnyRef){type, object};
    alarm->kind = g_strdup(kind);
    alarm->since = ws_clock_wall_us(center->clock);
  }
  alarm->level = (int)level;
  if (!object && store_state(center->store) == STORE_READ_ONLY)
    inv_txn_set_unstored(txn); /* the manager's own, above all this very one */
  if (!look.worst || (int)look.worst->level < (int)level)
    set_health(center, txn, type, object, (int)level, alarm->id);
  if (commit(txn, kind))
    center_event(center, level, type, object, "alarm", "alarm_opened", "kind", kind, NULL);
}

void center_alarm_add(Center *center, InvTxn *txn, CenterLevel level, const WsType *type, WsId object, const char *kind)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  Look look = {type, object, kind, NULL, NULL};
  look_at_all(head, &look);
  if (look.same)
    return;
  WsAlarm *alarm = inv_create(txn, &ws_type_alarm);
  alarm->object = (WsAnyRef){type, object};
  alarm->kind = g_strdup(kind);
  alarm->level = (int)level;
  alarm->since = ws_clock_wall_us(center->clock);
  if (!look.worst || (int)look.worst->level < (int)level)
    set_health(center, txn, type, object, (int)level, alarm->id);
}

bool center_alarm_is_open(Center *center, const WsType *type, WsId object, const char *kind)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  Look look = {type, object, kind, NULL, NULL};
  look_at_all(head, &look);
  return look.same != NULL;
}

void center_alarm_close(Center *center, const WsType *type, WsId object, const char *kind)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  Look look = {type, object, kind, NULL, NULL};
  look_at_all(head, &look);
  if (!look.same)
    return;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_delete(txn, &ws_type_alarm, look.same->id);
  set_health(center, txn, type, object, look.worst ? look.worst->level : 0, look.worst ? look.worst->id : 0);
  if (commit(txn, kind))
    center_event(center, CENTER_INFO, type, object, "alarm", "alarm_closed", "kind", kind, NULL);
}

static bool add_id(const void *object, void *arg)
{
  const WsAlarm *alarm = object;
  g_array_append_val((GArray *)arg, alarm->id);
  return true;
}

/* The condition is gone with the object, and nobody else would close it. */
void center_alarms_close_orphans(Center *center)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(WsId));
  inv_each(head, &ws_type_alarm, add_id, ids);
  for (guint i = 0; i < ids->len; i++) {
    const WsAlarm *alarm = inv_find(head, &ws_type_alarm, g_array_index(ids, WsId, i));
    if (!alarm->object.type || inv_find(head, alarm->object.type, alarm->object.id))
      continue;
    g_autoptr(InvTxn) txn = inv_begin(center->inventory);
    inv_delete(txn, &ws_type_alarm, alarm->id);
    commit(txn, alarm->kind);
  }
}

bool alarm_acknowledge(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsAlarm *seen = api_call_find_target(call, head, error);
  if (!seen)
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){seen->acknowledged ? NULL : "acknowledge", NULL});
  if (seen->acknowledged)
    return api_call_answer_value(call, 200, &ws_type_alarm, seen);
  WsId id = seen->id;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsAlarm *alarm = inv_edit(txn, seen);
  alarm->acknowledged = true;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_alarm, id, error);
}
