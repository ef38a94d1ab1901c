// SPDX-License-Identifier: Apache-2.0
/* A link's life: opened, agreed on a version, alive, gone; and the limits a peer is held to.
 *
 * Every message comes in through rpc_link_received() and goes out through rpc_link_send(). Any callback may bring the link down or
 * drop it, so each entry holds a reference and looks at the generation again before it goes on. */
#include "rpc/rpc-private.h"
#include "base/error.h"
#include "base/log.h"
#include "model/model.h"
#include <string.h>

#define RATE_BURST (4.0 * RPC_RATE_MAX)
#define GARBAGE_PERIOD_US (60 * G_USEC_PER_SEC)
#define QUEUE_TICK_US (10 * 1000)
#define HEARTBEAT_TICK_US (RPC_HEARTBEAT_MS * 1000 / 2)
/* A timer that fires so late tells that this program was held up; the peers' messages then wait in its inbox. */
#define HELD_UP_US (5 * G_USEC_PER_SEC)

static void heartbeat_tick(void *arg);

gint64 rpc_now_us(RpcLink *link)
{
  return ws_clock_monotonic_us(ws_loop_clock(link->loop));
}

/* ---- making and dropping ---- */

RpcLink *rpc_link_new(WsLoop *loop, const RpcService *services, guint n, const RpcEvents *events, void *arg)
{
  RpcLink *link = g_new0(RpcLink, 1);

  link->ref_count = 1;
  link->loop = loop;
  link->events = events;
  link->arg = arg;
  link->peer = g_strdup("");
  link->services = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < n; i++)
    g_hash_table_insert(link->services, (char *)services[i].method->name, (RpcService *)&services[i]);
  rpc_calls_init(link);
  rpc_serve_init(link);
  return link;
}

RpcLink *rpc_link_ref(RpcLink *link)
{
  g_atomic_int_inc(&link->ref_count);
  return link;
}

/* The carrier and every call hold a reference: nothing is pending or served when the last one goes. */
void rpc_link_unref(RpcLink *link)
{
  if (!link || !g_atomic_int_dec_and_test(&link->ref_count))
    return;
  g_assert(link->state == LINK_DOWN);
  rpc_link_set_opening(link, NULL, NULL);
  rpc_calls_free(link);
  rpc_serve_free(link);
  g_hash_table_unref(link->services);
  g_free(link->peer);
  g_free(link);
}

void rpc_link_set_peer(RpcLink *link, const char *peer)
{
  g_free(link->peer);
  link->peer = g_strdup(peer);
}

void *rpc_link_arg(const RpcLink *link)
{
  return link->arg;
}

const char *rpc_link_peer(const RpcLink *link)
{
  return link->peer;
}

bool rpc_link_is_up(const RpcLink *link)
{
  return link->state == LINK_UP;
}

bool rpc_link_misfits(const RpcLink *link)
{
  return link->misfits;
}

guint rpc_link_version(const RpcLink *link)
{
  return link->state == LINK_UP ? link->version : 0;
}

void rpc_link_set_opening(RpcLink *link, const RpcCarrier *carrier, void *carrier_arg)
{
  if (link->opening)
    link->opening->close(link->opening_arg, NULL);
  link->opening = carrier;
  link->opening_arg = carrier_arg;
}

/* ---- down ---- */

/* Everything that belongs to the carrier ends; then `down` may do what it likes with the link. */
static void go_down(RpcLink *link, const char *reason)
{
  bool was_up = link->state == LINK_UP;

  g_assert(link->state != LINK_DOWN);
  link->state = LINK_DOWN;
  g_clear_pointer(&link->hello_timer, ws_timer_cancel);
  g_clear_pointer(&link->heartbeat_timer, ws_timer_cancel);
  ws_log(was_up ? WS_LOG_NOTICE : WS_LOG_INFO, "link-down", "peer", link->peer, "reason", reason, NULL);
  rpc_calls_fail(link, reason);
  rpc_serve_drop(link);
  if (link->events->down)
    link->events->down(link, reason, link->arg);
  rpc_link_unref(link); /* the carrier's */
}

void rpc_link_lost(RpcLink *link, const char *reason)
{
  if (link->state == LINK_DOWN)
    return;
  link->carrier.close(link->carrier_arg, NULL);
  go_down(link, reason);
}

static void stop_opening(RpcLink *link, const char *reason)
{
  if (!link->opening)
    return;
  link->opening->close(link->opening_arg, reason);
  link->opening = NULL;
  if (link->events->down)
    link->events->down(link, reason, link->arg);
}

void rpc_link_close(RpcLink *link, const char *reason)
{
  if (link->state == LINK_DOWN) {
    stop_opening(link, reason);
    return;
  }
  link->carrier.close(link->carrier_arg, reason);
  go_down(link, reason);
}

/* Our side ends it because of what the peer does. */
static void cut(RpcLink *link, const char *reason)
{
  ws_log(WS_LOG_WARNING, "link-cut", "peer", link->peer, "reason", reason, NULL);
  rpc_link_close(link, reason);
}

/* ---- sending ---- */

bool rpc_link_send(RpcLink *link, GBytes *message)
{
  bool sent = false;

  if (link->state != LINK_DOWN) {
    link->last_sent_us = rpc_now_us(link);
    sent = link->carrier.send(link->carrier_arg, message);
    if (!sent)
      rpc_link_close(link, "the peer does not take what is sent");
  }
  g_bytes_unref(message);
  return sent;
}

void rpc_link_wait_for_room(RpcLink *link)
{
  while (link->state == LINK_UP && link->carrier.queued && link->carrier.queued(link->carrier_arg) > RPC_QUEUE_HIGH)
    ws_co_sleep(QUEUE_TICK_US);
}

void rpc_notify(RpcLink *link, const RpcMethod *method, const void *params)
{
  if (link->state == LINK_UP)
    rpc_link_send(link, rpc_message_new_call(0, method->name, method->params, params));
}

/* ---- up ---- */

static void hello_overdue(void *arg)
{
  RpcLink *link = arg;

  link->hello_timer = NULL;
  cut(link, "no hello within 10 s");
}

void rpc_link_opened(RpcLink *link, const RpcCarrier *carrier, void *carrier_arg)
{
  const char *name = g_get_prgname() ? g_get_prgname() : "unknown", *slash = strrchr(name, '/');
  /* The contract gives it 64 characters, and a peer refuses a hello that is longer. */
  g_autofree char *program = g_strdup_printf("%.40s %.20s", slash ? slash + 1 : name, WS_VERSION);
  WsRpcLinkHello hello = {.protocol_min = RPC_PROTOCOL_MIN, .protocol_max = RPC_PROTOCOL_MAX, .program = program};
  gint64 now_us = rpc_now_us(link);

  if (link->state != LINK_DOWN)
    rpc_link_close(link, "replaced by a newer connection");
  rpc_link_ref(link);
  link->carrier = *carrier;
  link->carrier_arg = carrier_arg;
  link->generation++;
  link->misfits = false;
  link->state = LINK_HELLO;
  link->version = 0;
  link->last_heard_us = link->rate_us = link->garbage_us = now_us;
  link->rate_tokens = RATE_BURST;
  link->garbage = 0;
  link->hello_timer = ws_loop_after(link->loop, RPC_HELLO_TIMEOUT_MS * 1000, hello_overdue, link);
  link->heartbeat_due_us = now_us + HEARTBEAT_TICK_US;
  link->heartbeat_timer = ws_loop_after(link->loop, HEARTBEAT_TICK_US, heartbeat_tick, link);
  rpc_link_send(link, rpc_message_new_call(0, "link.hello", &ws_type_rpc_link_hello, &hello));
}

static void take_hello(RpcLink *link, const WsRpcLinkHello *hello)
{
  gint64 version = MIN(hello->protocol_max, RPC_PROTOCOL_MAX);

  if (link->state != LINK_HELLO) {
    rpc_link_garbage(link, "second hello", NULL);
    return;
  }
  if (version < MAX(hello->protocol_min, RPC_PROTOCOL_MIN)) {
    g_autofree char *reason =
      g_strdup_printf("protocol versions %d to %d here, %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " there",
                      RPC_PROTOCOL_MIN, RPC_PROTOCOL_MAX, hello->protocol_min, hello->protocol_max);
    link->misfits = true;
    cut(link, reason);
    return;
  }
  link->version = (guint)version;
  link->state = LINK_UP;
  g_clear_pointer(&link->hello_timer, ws_timer_cancel);
  ws_log(WS_LOG_INFO, "link-up", "peer", link->peer, "program", hello->program, NULL);
  if (link->events->up)
    link->events->up(link, link->arg);
}

/* ---- alive ---- */

static void heartbeat_tick(void *arg)
{
  RpcLink *link = arg;
  gint64 now_us = rpc_now_us(link);

  link->heartbeat_timer = NULL;
  if (now_us - link->heartbeat_due_us > HELD_UP_US)
    link->last_heard_us = now_us;
  if (now_us - link->last_heard_us > RPC_SILENCE_MS * 1000) {
    cut(link, "nothing heard for 30 s");
    return;
  }
  link->heartbeat_due_us = now_us + HEARTBEAT_TICK_US;
  link->heartbeat_timer = ws_loop_after(link->loop, HEARTBEAT_TICK_US, heartbeat_tick, link);
  if (link->state == LINK_UP && now_us - link->last_sent_us >= RPC_HEARTBEAT_MS * 1000)
    rpc_link_send(link, rpc_message_new_call(0, "link.heartbeat", NULL, NULL));
}

/* ---- limits ---- */

bool rpc_link_garbage(RpcLink *link, const char *what, const GError *why)
{
  gint64 now_us = rpc_now_us(link);

  if (now_us - link->garbage_us > GARBAGE_PERIOD_US) {
    link->garbage_us = now_us;
    link->garbage = 0;
  }
  link->garbage++;
  if (link->garbage <= 10) /* the first ones tell the story; a log is no place for a flood */
    ws_log(WS_LOG_WARNING, "link-garbage", "peer", link->peer, "what", what, "why", why ? why->message : NULL, NULL);
  if (link->garbage <= RPC_GARBAGE_MAX)
    return true;
  cut(link, "too many unusable messages");
  return false;
}

static bool within_rate(RpcLink *link, gint64 now_us)
{
  link->rate_tokens += (double)(now_us - link->rate_us) * RPC_RATE_MAX / G_USEC_PER_SEC;
  link->rate_tokens = MIN(link->rate_tokens, RATE_BURST);
  link->rate_us = now_us;
  link->rate_tokens -= 1;
  if (link->rate_tokens >= 0)
    return true;
  cut(link, "too many messages");
  return false;
}

/* ---- receiving ---- */

/* Methods of the link itself. */
typedef struct {
  const char *name;
  const WsType *type;
  void (*take)(RpcLink *link, const void *params);
} LinkMethod;

static void on_hello(RpcLink *link, const void *params)
{
  take_hello(link, params);
}

static void on_heartbeat(RpcLink *link, const void *params)
{
  /* That it came is all it says. */
}

static void on_progress(RpcLink *link, const void *params)
{
  const WsRpcLinkProgress *p = params;

  rpc_calls_progressed(link, p->call, p->done, p->total == WS_INT_UNSET ? -1 : p->total, p->unit);
}

static void on_cancel(RpcLink *link, const void *params)
{
  rpc_serve_cancel(link, ((const WsRpcLinkCancel *)params)->call);
}

static const LinkMethod link_methods[] = {
  {"link.hello", &ws_type_rpc_link_hello, on_hello},
  {"link.heartbeat", NULL, on_heartbeat},
  {"link.progress", &ws_type_rpc_link_progress, on_progress},
  {"link.cancel", &ws_type_rpc_link_cancel, on_cancel},
};

static const LinkMethod *find_link_method(const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS(link_methods); i++)
    if (g_str_equal(link_methods[i].name, name))
      return &link_methods[i];
  return NULL;
}

static void take_link_message(RpcLink *link, const LinkMethod *method, const RpcMessage *message)
{
  g_autoptr(GError) error = NULL;
  void *params = NULL;

  if (method->type) {
    params = ws_object_parse(method->type, message->body ? message->body : "{}", message->body ? message->body_bytes : 2,
                             WS_PARSE_RPC, &error);
    if (!params) {
      rpc_link_garbage(link, method->name, error);
      return;
    }
  }
  method->take(link, params);
  if (params)
    ws_object_free(method->type, params);
}

static void take_message(RpcLink *link, RpcMessage *message)
{
  const LinkMethod *own = message->kind == RPC_NOTIFICATION ? find_link_method(message->method) : NULL;

  if (link->state == LINK_HELLO && !(own && g_str_equal(message->method, "link.hello"))) {
    cut(link, "first message was no hello");
    return;
  }
  if (own)
    take_link_message(link, own, message);
  else if (message->kind == RPC_RESULT || message->kind == RPC_FAILURE)
    rpc_calls_answered(link, message);
  else
    rpc_serve_message(link, message);
}

void rpc_link_received(RpcLink *link, const char *bytes, gsize n)
{
  g_autoptr(RpcLink) hold = rpc_link_ref(link);
  g_auto(RpcMessage) message = {0};
  g_autoptr(GError) error = NULL;
  gint64 now_us = rpc_now_us(link);

  if (link->state == LINK_DOWN)
    return;
  link->last_heard_us = now_us;
  if (n > RPC_MESSAGE_MAX) {
    cut(link, "a message above 4 MiB");
    return;
  }
  if (!within_rate(link, now_us))
    return;
  if (rpc_message_parse(&message, bytes, n, &error)) {
    take_message(link, &message);
    return;
  }
  if (link->state == LINK_HELLO) {
    cut(link, "first message was no hello");
    return;
  }
  /* What looks like a call gets an answer, so that a peer with a fault hears of it. */
  if (rpc_link_garbage(link, "message", error) && (message.method[0] || message.id == 0) && !message.failure)
    rpc_link_send(link, rpc_message_new_failure(message.id, error));
}
