// SPDX-License-Identifier: Apache-2.0
/* The peer's calls to us: each is a coroutine that runs a handler and sends what it gives.
 *
 * Requests run side by side, at most RPC_SERVING_MAX. Notifications run one after the other, in the order they came, for "VM
 * stopped" must not overtake "VM started". A call belongs to the carrier it came on: its answer goes there or nowhere.
 *
 * RpcCall: `lock` guards the progress; `cancelled` is atomic; the rest is the core loop's. */
#include "rpc/rpc-private.h"
#include "base/error.h"
#include "base/log.h"
#include "model/model.h"

#define UNKNOWN_TOLD 10 /* notifications of a newer peer, in the log */

struct RpcCall {
  gint ref_count; /* atomic */
  RpcLink *link;
  guint64 generation;
  gint64 id; /* 0: notification */
  const RpcService *service;
  void *params;
  volatile gint cancelled;
  bool ended; /* nothing more is sent */

  GMutex lock;
  gint64 done, total;
  const char *unit;
  bool posted; /* the loop will look at the progress */

  gint64 progress_sent_us;
  WsTimer *progress_timer;
};

void rpc_serve_init(RpcLink *link)
{
  link->serving = g_hash_table_new(g_int64_hash, g_int64_equal);
  g_queue_init(&link->notifications);
}

void rpc_serve_free(RpcLink *link)
{
  g_assert(g_hash_table_size(link->serving) == 0);
  g_hash_table_unref(link->serving);
}

/* ---- RpcCall ---- */

static RpcCall *call_new(RpcLink *link, const RpcService *service, gint64 id, void *params)
{
  RpcCall *call = g_new0(RpcCall, 1);

  call->ref_count = 1;
  call->link = rpc_link_ref(link);
  call->generation = link->generation;
  call->id = id;
  call->service = service;
  call->params = params;
  g_mutex_init(&call->lock);
  return call;
}

RpcCall *rpc_call_ref(RpcCall *call)
{
  g_atomic_int_inc(&call->ref_count);
  return call;
}

void rpc_call_unref(RpcCall *call)
{
  if (!call || !g_atomic_int_dec_and_test(&call->ref_count))
    return;
  if (call->params)
    ws_object_free(call->service->method->params, call->params);
  g_mutex_clear(&call->lock);
  rpc_link_unref(call->link);
  g_free(call);
}

volatile gint *rpc_call_cancelled(RpcCall *call)
{
  return &call->cancelled;
}

RpcLink *rpc_call_link(RpcCall *call)
{
  return call->link;
}

/* Its carrier is still the link's. */
static bool is_current(const RpcCall *call)
{
  return call->link->state == LINK_UP && call->generation == call->link->generation;
}

/* ---- progress ---- */

static void progress_timer_fired(void *arg);

static void send_progress(RpcCall *call)
{
  RpcLink *link = call->link;
  WsRpcLinkProgress params = {.call = call->id};
  gint64 due_us = call->progress_sent_us + RPC_PROGRESS_MS * 1000, now_us = rpc_now_us(link);

  if (call->ended || call->progress_timer || !is_current(call))
    return;
  if (call->progress_sent_us && now_us < due_us) {
    call->progress_timer = ws_loop_after(link->loop, due_us - now_us, progress_timer_fired, call);
    return;
  }
  g_mutex_lock(&call->lock);
  params.done = call->done;
  params.total = call->total < 0 ? WS_INT_UNSET : call->total;
  params.unit = (char *)call->unit;
  call->posted = false;
  g_mutex_unlock(&call->lock);
  call->progress_sent_us = now_us;
  rpc_link_send(link, rpc_message_new_call(0, "link.progress", &ws_type_rpc_link_progress, &params));
}

static void progress_timer_fired(void *arg)
{
  RpcCall *call = arg;

  call->progress_timer = NULL;
  send_progress(call);
}

static void progress_posted(void *arg)
{
  send_progress(arg);
}

static void unref_call(void *arg)
{
  rpc_call_unref(arg);
}

void rpc_call_progress(RpcCall *call, gint64 done, gint64 total, const char *unit)
{
  bool post;

  if (!call->id)
    return;
  g_mutex_lock(&call->lock);
  call->done = MAX(done, 0);
  call->total = total;
  call->unit = unit;
  post = !call->posted;
  call->posted = true;
  g_mutex_unlock(&call->lock);
  if (post)
    ws_loop_post(call->link->loop, progress_posted, rpc_call_ref(call), unref_call);
}

/* ---- running ---- */

static bool run_handler(RpcCall *call, void **result, GError **error)
{
  bool has_result = call->service->method->result != NULL;
  bool ok = call->service->handler(call, call->params, has_result ? result : NULL, error);

  g_assert(ok || !error || *error);
  return ok;
}

static void send_answer(RpcCall *call, const void *result, const GError *failure)
{
  const RpcMethod *method = call->service->method;
  GBytes *message = failure ? rpc_message_new_failure(call->id, failure)
                            : rpc_message_new_result(call->id, method->result, result);

  if (g_bytes_get_size(message) > RPC_MESSAGE_MAX) {
    g_autoptr(GError) too_large = NULL;
    ws_fail(&too_large, WS_ERROR_TOO_LARGE, "limit", "4 MiB", "cause", method->name, NULL);
    g_bytes_unref(message);
    message = rpc_message_new_failure(call->id, too_large);
  }
  rpc_link_send(call->link, message);
}

static void serve_request(void *arg)
{
  g_autoptr(RpcCall) call = arg;
  g_autoptr(GError) failure = NULL;
  void *result = NULL;

  if (run_handler(call, &result, &failure) && call->service->method->result && !result)
    result = ws_object_new(call->service->method->result);
  call->ended = true;
  g_clear_pointer(&call->progress_timer, ws_timer_cancel);
  if (is_current(call))
    rpc_link_wait_for_room(call->link);
  if (g_hash_table_lookup(call->link->serving, &call->id) == call)
    g_hash_table_remove(call->link->serving, &call->id);
  if (is_current(call))
    send_answer(call, result, failure);
  if (result)
    ws_object_free(call->service->method->result, result);
}

/* Serves what is in the queue until it is empty; one such coroutine per link at a time. */
static void serve_notifications(void *arg)
{
  g_autoptr(RpcLink) link = arg;

  while ((link->notifying = g_queue_pop_head(&link->notifications))) {
    g_autoptr(RpcCall) call = link->notifying;
    g_autoptr(GError) failure = NULL;

    if (!run_handler(call, NULL, &failure))
      ws_log_error(WS_LOG_WARNING, "notification-failed", failure, "peer", link->peer, "method",
                   call->service->method->name, NULL);
  }
  link->notifier_runs = false;
}

/* ---- arriving ---- */

/* A notification that is not known is of a newer version, and no fault: its rate alone is held to a limit. */
static void refuse(RpcLink *link, const RpcMessage *message, const GError *why)
{
  if (message->kind == RPC_REQUEST)
    rpc_link_send(link, rpc_message_new_failure(message->id, why));
  else if (ws_error_code(why) != WS_ERROR_UNSUPPORTED)
    rpc_link_garbage(link, message->method, why);
  else if (link->unknown++ < UNKNOWN_TOLD)
    ws_log(WS_LOG_NOTICE, "link-notification-unknown", "peer", link->peer, "method", message->method, NULL);
}

/* "vm.define: spec.tpm_version": so that the caller knows it for its own. */
static void name_what_is_unknown(const RpcMessage *message, GError *why)
{
  if (ws_error_code(why) != WS_ERROR_UNSUPPORTED)
    return;
  g_autofree char *what = g_strdup_printf("%s: %s", message->method, ws_error_param(why, "what"));
  ws_error_set_param(why, "what", what);
}

static const RpcService *find_service(RpcLink *link, const RpcMessage *message, GError **error)
{
  const RpcService *service = g_hash_table_lookup(link->services, message->method);

  if (!service || service->method->notification != (message->kind == RPC_NOTIFICATION)) {
    ws_fail(error, WS_ERROR_UNSUPPORTED, "what", message->method, NULL);
    return NULL;
  }
  if (message->kind == RPC_REQUEST && g_hash_table_lookup(link->serving, &message->id)) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "id", "expected", "an id that is not in use", NULL);
    return NULL;
  }
  if (message->kind == RPC_REQUEST && g_hash_table_size(link->serving) >= RPC_SERVING_MAX) {
    ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
    return NULL;
  }
  return service;
}

void rpc_serve_message(RpcLink *link, const RpcMessage *message)
{
  g_autoptr(GError) error = NULL;
  const RpcService *service = find_service(link, message, &error);
  const WsType *type = service ? service->method->params : NULL;
  void *params = NULL;
  RpcCall *call;

  if (type)
    params = ws_object_parse(type, message->body ? message->body : "{}", message->body ? message->body_bytes : 2,
                             message->kind == RPC_REQUEST ? WS_PARSE_REQUEST : WS_PARSE_RPC, &error);
  if (type && error)
    name_what_is_unknown(message, error);
  if (error) {
    refuse(link, message, error);
    return;
  }
  if (message->kind == RPC_REQUEST) {
    call = call_new(link, service, message->id, params);
    g_hash_table_insert(link->serving, &call->id, call);
    ws_co_start(link->loop, serve_request, call);
    return;
  }
  if (g_queue_get_length(&link->notifications) >= RPC_BACKLOG_MAX) {
    if (params)
      ws_object_free(type, params);
    rpc_link_close(link, "too many notifications wait to be served");
    return;
  }
  g_queue_push_tail(&link->notifications, call_new(link, service, 0, params));
  if (!link->notifier_runs) {
    link->notifier_runs = true;
    ws_co_start(link->loop, serve_notifications, rpc_link_ref(link));
  }
}

void rpc_serve_cancel(RpcLink *link, gint64 id)
{
  RpcCall *call = g_hash_table_lookup(link->serving, &id);

  if (call) /* else it has just been answered */
    g_atomic_int_set(&call->cancelled, 1);
}

static void set_cancelled(void *key, void *value, void *arg)
{
  g_atomic_int_set(&((RpcCall *)value)->cancelled, 1);
}

void rpc_serve_drop(RpcLink *link)
{
  RpcCall *call;

  g_hash_table_foreach(link->serving, set_cancelled, NULL);
  g_hash_table_remove_all(link->serving);
  while ((call = g_queue_pop_head(&link->notifications)))
    rpc_call_unref(call);
  if (link->notifying)
    g_atomic_int_set(&link->notifying->cancelled, 1);
}
