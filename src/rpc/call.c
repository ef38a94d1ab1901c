// SPDX-License-Identifier: Apache-2.0
/* Our calls to the peer: matched with their answers by id, ended by an answer, a deadline, a cancel or the link's end.
 *
 * A pending call lives on the stack of the coroutine that waits for it; it is in link->pending until it is decided, and decided
 * once. The coroutine that was woken looks itself, so a stray wake does no harm. */
#include "rpc/rpc-private.h"
#include "base/error.h"
#include "base/log.h"
#include "model/model.h"

#define CANCEL_TICK_US (100 * 1000)

typedef struct {
  RpcLink *link;
  gint64 id;
  WsCo *co;
  const RpcMethod *method;
  RpcProgress on_progress;
  void *progress_arg;
  volatile gint *cancel;
  gint64 cancel_sent_us; /* 0: not asked to stop yet */
  WsTimer *deadline;

  bool waiting; /* the coroutine yields for us: only then it is woken, so no wake is left over for its next wait */
  bool decided;
  void *result;
  GError *failure;
} Pending;

void rpc_calls_init(RpcLink *link)
{
  link->pending = g_hash_table_new(g_int64_hash, g_int64_equal);
}

void rpc_calls_free(RpcLink *link)
{
  g_assert(g_hash_table_size(link->pending) == 0);
  g_hash_table_unref(link->pending);
}

/* Either `result` or `failure`, taken over. */
static void decide(Pending *call, void *result, GError *failure)
{
  g_assert(!call->decided);
  call->decided = true;
  call->result = result;
  call->failure = failure;
  g_clear_pointer(&call->deadline, ws_timer_cancel);
  g_hash_table_remove(call->link->pending, &call->id);
  if (call->cancel && --call->link->n_cancellable == 0)
    g_clear_pointer(&call->link->cancel_timer, ws_timer_cancel);
  if (call->waiting)
    ws_co_wake(call->co);
}

static GError *unreachable(RpcLink *link, const char *reason)
{
  GError *failure = NULL;

  ws_fail(&failure, WS_ERROR_HOST_UNREACHABLE, "host", link->peer, "cause", reason, NULL);
  return failure;
}

void rpc_calls_fail(RpcLink *link, const char *reason)
{
  g_autoptr(GList) calls = g_hash_table_get_values(link->pending);

  for (GList *l = calls; l; l = l->next)
    decide(l->data, NULL, unreachable(link, reason));
}

/* ---- deadline and cancel ---- */

static void ask_to_stop(Pending *call)
{
  WsRpcLinkCancel params = {.call = call->id};

  call->cancel_sent_us = rpc_now_us(call->link);
  rpc_link_send(call->link, rpc_message_new_call(0, "link.cancel", &ws_type_rpc_link_cancel, &params));
}

static void overdue(void *arg)
{
  Pending *call = arg;
  g_autoptr(RpcLink) hold = rpc_link_ref(call->link);
  g_autofree char *timeout = g_strdup_printf("%u ms", call->method->deadline_ms);
  GError *failure = NULL;

  call->deadline = NULL;
  ws_fail(&failure, WS_ERROR_DEADLINE_EXCEEDED, "what", call->method->name, "timeout", timeout, "cause", hold->peer, NULL);
  decide(call, NULL, failure);
  /* Nobody waits for it any more: the peer need not go on. Its answer, if it comes, is dropped. */
  WsRpcLinkCancel params = {.call = call->id};
  rpc_link_send(hold, rpc_message_new_call(0, "link.cancel", &ws_type_rpc_link_cancel, &params));
}

static void start_deadline(Pending *call)
{
  if (!call->method->deadline_ms)
    return;
  g_clear_pointer(&call->deadline, ws_timer_cancel);
  call->deadline = ws_loop_after(call->link->loop, (gint64)call->method->deadline_ms * 1000, overdue, call);
}

/* Flags are set by whoever wants a call to stop, without a word to us: they are looked at ten times a second. */
static void look_for_cancels(void *arg)
{
  RpcLink *link = arg;
  g_autoptr(RpcLink) hold = rpc_link_ref(link);
  g_autoptr(GList) ids = g_hash_table_get_keys(link->pending);
  g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(gint64));
  gint64 now_us = rpc_now_us(link);

  link->cancel_timer = ws_loop_after(link->loop, CANCEL_TICK_US, look_for_cancels, link);
  for (GList *l = ids; l; l = l->next) {
    const Pending *call = g_hash_table_lookup(link->pending, l->data);
    if (call->cancel && g_atomic_int_get(call->cancel))
      g_array_append_val(wanted, call->id);
  }
  for (guint i = 0; i < wanted->len; i++) {
    Pending *call = g_hash_table_lookup(link->pending, &g_array_index(wanted, gint64, i));
    if (!call)
      return; /* sending brought the link down */
    if (!call->cancel_sent_us) {
      ask_to_stop(call);
    } else if (now_us - call->cancel_sent_us > RPC_CANCEL_GRACE_MS * 1000) {
      GError *failure = NULL;
      ws_fail(&failure, WS_ERROR_CANCELLED, "cause", "the peer did not confirm the cancel", NULL);
      decide(call, NULL, failure);
    }
  }
}

/* ---- answers ---- */

/* What we ask for fits the contract, so a word that is none of those known there is newer. Peers that do not say so themselves refuse the value. */
static void name_newer_word(const RpcMethod *method, GError **failure)
{
  const char *field = ws_error_field(*failure), *expected = ws_error_param(*failure, "expected");
  if (ws_error_code(*failure) != WS_ERROR_BAD_VALUE || !field || !expected || !g_str_has_prefix(expected, "one of "))
    return;
  g_autofree char *what = g_strdup_printf("%s: %s", method->name, field);
  g_clear_error(failure);
  ws_fail(failure, WS_ERROR_UNSUPPORTED, "what", what, NULL);
}

/* "vm.define", or "vm.define: spec.tpm_version": not known over there. What a handler does not support is another matter. */
static GError *name_older(const RpcLink *link, const RpcMethod *method, GError *failure)
{
  name_newer_word(method, &failure);
  const char *what = ws_error_code(failure) == WS_ERROR_UNSUPPORTED ? ws_error_param(failure, "what") : NULL;
  gsize n = strlen(method->name);
  if (!what || strncmp(what, method->name, n) != 0 || (what[n] != '\0' && what[n] != ':'))
    return failure;
  GError *older = NULL;
  ws_fail(&older, WS_ERROR_PEER_OLDER, "peer", link->peer, "what", what, NULL);
  g_error_free(failure);
  return older;
}

void rpc_calls_answered(RpcLink *link, RpcMessage *message)
{
  Pending *call = g_hash_table_lookup(link->pending, &message->id);
  GError *failure = NULL;
  void *result = NULL;

  if (!call) {
    /* A late answer (after a deadline) is no fault; an answer to what was never asked is. */
    if (message->id > link->last_id || message->id == 0)
      rpc_link_garbage(link, "answer to no call", message->failure);
    else
      ws_log(WS_LOG_DEBUG, "link-late-answer", "peer", link->peer, NULL);
    return;
  }
  if (message->kind == RPC_FAILURE) {
    decide(call, NULL, name_older(link, call->method, g_steal_pointer(&message->failure)));
    return;
  }
  if (call->method->result) {
    result = ws_object_parse(call->method->result, message->body, message->body_bytes, WS_PARSE_RPC, &failure);
    if (!result)
      ws_error_context(&failure, "answer of %s to %s", link->peer, call->method->name);
  }
  decide(call, result, failure);
}

void rpc_calls_progressed(RpcLink *link, gint64 id, gint64 done, gint64 total, const char *unit)
{
  Pending *call = g_hash_table_lookup(link->pending, &id);

  if (!call)
    return; /* it has just ended */
  if (!call->cancel_sent_us)
    start_deadline(call);
  if (call->on_progress)
    call->on_progress(done, total, unit, call->progress_arg);
}

/* ---- the call ---- */

static GBytes *new_request(RpcLink *link, const RpcMethod *method, const void *params, WsWriteMode mode,
                           volatile gint *cancel, GError **error)
{
  g_autoptr(GBytes) message = NULL;

  if (link->state != LINK_UP) {
    g_propagate_error(error, unreachable(link, "no connection"));
    return NULL;
  }
  if (cancel && g_atomic_int_get(cancel)) {
    ws_fail(error, WS_ERROR_CANCELLED, NULL);
    return NULL;
  }
  if (g_hash_table_size(link->pending) >= RPC_PENDING_MAX) {
    ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, "cause", link->peer, NULL);
    return NULL;
  }
  message = rpc_message_new_call_as(++link->last_id, method->name, method->params, params, mode);
  if (g_bytes_get_size(message) > RPC_MESSAGE_MAX) {
    ws_fail(error, WS_ERROR_TOO_LARGE, "limit", "4 MiB", "cause", method->name, NULL);
    return NULL;
  }
  return g_steal_pointer(&message);
}

static bool call_as(RpcLink *link, const RpcMethod *method, const void *params, WsWriteMode mode, void **result,
                    RpcProgress on_progress, void *arg, volatile gint *cancel, GError **error)
{
  GBytes *message;

  rpc_link_wait_for_room(link);
  message = new_request(link, method, params, mode, cancel, error);
  if (!message)
    return false;

  Pending call = {.link = link, .id = link->last_id, .co = ws_co_self(), .method = method,
                  .on_progress = on_progress, .progress_arg = arg, .cancel = cancel};
  g_hash_table_insert(link->pending, &call.id, &call);
  start_deadline(&call);
  if (cancel && link->n_cancellable++ == 0)
    link->cancel_timer = ws_loop_after(link->loop, CANCEL_TICK_US, look_for_cancels, link);
  rpc_link_send(link, message); /* when that fails the call is decided already */
  call.waiting = true;
  while (!call.decided)
    ws_co_yield();

  if (call.failure) {
    g_propagate_error(error, call.failure);
    return false;
  }
  if (result)
    *result = call.result;
  else if (call.result)
    ws_object_free(method->result, call.result);
  return true;
}

/* It does not know a parameter, and there is something that can be left out of them. */
static bool may_say_less(const RpcMethod *method, const void *params, const GError *failure)
{
  const char *what = ws_error_code(failure) == WS_ERROR_PEER_OLDER ? ws_error_param(failure, "what") : NULL;
  if (!what || !strchr(what, ':'))
    return false;
  g_autoptr(GBytes) all = rpc_message_new_call_as(0, method->name, method->params, params, WS_WRITE_PEER);
  g_autoptr(GBytes) less = rpc_message_new_call_as(0, method->name, method->params, params, WS_WRITE_OLDER);
  return g_bytes_get_size(less) < g_bytes_get_size(all);
}

bool rpc_call(RpcLink *link, const RpcMethod *method, const void *params, void **result, RpcProgress on_progress, void *arg,
              volatile gint *cancel, GError **error)
{
  g_autoptr(RpcLink) hold = rpc_link_ref(link);
  g_autoptr(GError) failure = NULL;

  g_assert(ws_co_self() && !method->notification);
  if (result)
    *result = NULL;
  bool done = call_as(link, method, params, WS_WRITE_PEER, result, on_progress, arg, cancel, &failure);
  /* It has refused by name what it does not know, and done nothing. */
  if (!done && may_say_less(method, params, failure)) {
    g_clear_error(&failure);
    done = call_as(link, method, params, WS_WRITE_OLDER, result, on_progress, arg, cancel, &failure);
  }
  if (failure)
    g_propagate_error(error, g_steal_pointer(&failure));
  return done;
}
