// SPDX-License-Identifier: Apache-2.0
/* Events: what happened, for people and for programs that follow. See center.h. */
#include "base/log.h"
#include "center/center.h"
#include "model/model.h"

typedef struct {
  Center *center;
  WsEvent *event;
} Pending;

static void write_event(void *arg)
{
  g_autofree Pending *pending = arg;
  Center *center = pending->center;
  g_autoptr(GError) error = NULL;
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  inv_append_history(txn, pending->event);
  if (!inv_commit(txn, NULL, &error))
    ws_log_error(WS_LOG_WARNING, "event-lost", error, NULL);
  center->n_events--;
}

/* Name of an object at this moment, for readers who come when it is gone. */
static char *name_now(Center *center, const WsType *type, WsId id)
{
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsField *name = type ? ws_type_field(type, "name", 4) : NULL;
  const void *object = name && id ? inv_find(head, type, id) : NULL;
  return object && name->kind == WS_KIND_STRING ? g_strdup(*(char **)ws_field_at(name, object)) : NULL;
}

static void take_params(WsEvent *event, va_list args)
{
  GArray *entries = g_array_new(FALSE, FALSE, sizeof(WsMapEntry));
  const char *name;
  while ((name = va_arg(args, const char *))) {
    const char *value = va_arg(args, const char *);
    WsMapEntry entry = {g_strdup(name), g_strdup(value ? value : "")};
    g_array_append_val(entries, entry);
  }
  event->params.len = entries->len;
  event->params.items = (WsMapEntry *)g_array_free(entries, FALSE);
}

static void tell(Center *center, gint64 time_us, CenterLevel level, const WsType *type, WsId object, const char *cause,
                 const char *text, va_list args)
{
  char id[WS_ID_TEXT_MAX];
  WsEvent *event = ws_event_new();
  event->time = time_us;
  event->level = (int)level;
  event->object = g_strdup(object ? ws_id_format(type->prefix, object, id) : NULL);
  event->object_name = name_now(center, type, object);
  if (type == &ws_type_host)
    event->host = g_strdup(event->object);
  event->cause = g_strdup(cause);
  event->text = g_strdup(text);
  take_params(event, args);
  ws_log(level >= CENTER_MAJOR ? WS_LOG_WARNING : WS_LOG_INFO, text, "object", event->object, "name", event->object_name,
         "cause", cause, NULL);
  Pending *pending = g_new(Pending, 1);
  *pending = (Pending){center, event};
  center->n_events++;
  ws_co_start(center->loop, write_event, pending);
}

void center_event(Center *center, CenterLevel level, const WsType *type, WsId object, const char *cause, const char *text,
                  ...)
{
  va_list args;
  va_start(args, text);
  tell(center, ws_clock_wall_us(center->clock), level, type, object, cause, text, args);
  va_end(args);
}

void center_event_at(Center *center, gint64 time_us, CenterLevel level, const WsType *type, WsId object, const char *cause,
                     const char *text, ...)
{
  va_list args;
  va_start(args, text);
  tell(center, time_us, level, type, object, cause, text, args);
  va_end(args);
}
