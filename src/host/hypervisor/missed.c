// SPDX-License-Identifier: Apache-2.0
/* See missed.h. */
#include "host/hypervisor/missed.h"
#include "base/log.h"

struct MissedEvents {
  GQueue events; /* WsRpcVmEvent, oldest first */
  guint n_dropped;
};

/* What a record of the time is made of: power, and that a VM went. Guests' addresses and devices are in the reports. */
static bool is_worth_keeping(const WsRpcVmEvent *event)
{
  return event->power || event->kind == WS_RPC_VM_EVENT_KIND_UNDEFINED ||
         event->kind == WS_RPC_VM_EVENT_KIND_PEER_REFUSED;
}

/* A start is several events; one of each state is enough. */
static bool says_the_same(struct MissedEvents *missed, const WsRpcVmEvent *event)
{
  for (const GList *at = missed->events.tail; at; at = at->prev) {
    const WsRpcVmEvent *last = at->data;
    if (g_strcmp0(last->uuid, event->uuid) == 0)
      return last->power && event->power && last->power->state == event->power->state;
  }
  return false;
}

static void keep(Agent *agent, const WsRpcVmEvent *event)
{
  if (!is_worth_keeping(event))
    return;
  if (!agent->missed)
    agent->missed = g_new0(struct MissedEvents, 1);
  if (says_the_same(agent->missed, event))
    return;
  WsRpcVmEvent *copy = ws_rpc_vm_event_copy(event);
  copy->missed = true;
  g_clear_pointer(&copy->report, ws_vm_report_free);
  g_clear_pointer(&copy->guest, ws_vm_guest_free);
  g_queue_push_tail(&agent->missed->events, copy);
  if (g_queue_get_length(&agent->missed->events) > MISSED_MAX) {
    ws_rpc_vm_event_free(g_queue_pop_head(&agent->missed->events));
    agent->missed->n_dropped++;
  }
}

typedef struct {
  Agent *agent;
  WsRpcVmEvent *event;
} Notice;

static void tell(void *arg)
{
  Notice *notice = arg;
  if (rpc_link_is_up(notice->agent->link))
    rpc_vm_event(notice->agent->link, notice->event);
  else
    keep(notice->agent, notice->event);
}

static void notice_free(void *arg)
{
  Notice *notice = arg;
  ws_rpc_vm_event_free(notice->event);
  g_free(notice);
}

void missed_tell(Agent *agent, WsRpcVmEvent *event)
{
  Notice *notice = g_new(Notice, 1);
  *notice = (Notice){agent, event};
  ws_loop_post(agent->loop, tell, notice, notice_free);
}

void missed_send(Agent *agent)
{
  if (!agent->missed)
    return;
  g_autofree char *dropped = g_strdup_printf("%u", agent->missed->n_dropped);
  if (agent->missed->n_dropped)
    ws_log(WS_LOG_WARNING, "missed-events-dropped", "count", dropped, NULL);
  for (WsRpcVmEvent *event; (event = g_queue_pop_head(&agent->missed->events));) {
    rpc_vm_event(agent->link, event);
    ws_rpc_vm_event_free(event);
  }
  missed_free(agent);
}

void missed_free(Agent *agent)
{
  if (!agent->missed)
    return;
  g_queue_clear_full(&agent->missed->events, (GDestroyNotify)ws_rpc_vm_event_free);
  g_clear_pointer(&agent->missed, g_free);
}
