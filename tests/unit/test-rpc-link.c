// SPDX-License-Identifier: Apache-2.0
/* The link between manager and host agent: hello, calls both ways, progress, cancel, deadlines, loss, limits. */
#include "base/error.h"
#include "base/log.h"
#include "model/model.h"
#include "rpc-pipe.h"
#include <string.h>

static PipeClock the_clock;
static WsLoop *loop;
static Pipe *pipe_;

/* ---- methods to play with: parameters and result are link.progress's {call, done, total, unit} ---- */

typedef WsRpcLinkProgress Numbers;
#define numbers_type ws_type_rpc_link_progress

static const RpcMethod echo = {"test.echo", &numbers_type, &numbers_type, 0, false};
static const RpcMethod fail = {"test.fail", &numbers_type, NULL, 0, false};
static const RpcMethod slow = {"test.slow", &numbers_type, &numbers_type, 1000, false};
static const RpcMethod endless = {"test.endless", NULL, NULL, 0, false};
static const RpcMethod bounded = {"test.bounded", NULL, NULL, 1000, false};
static const RpcMethod deaf = {"test.deaf", NULL, NULL, 0, false};
static const RpcMethod event = {"test.event", &numbers_type, NULL, 0, true};
static const RpcMethod unknown = {"test.unknown", NULL, NULL, 0, false};

static GString *served;    /* what handlers did */
static guint n_progress;   /* steps of test.slow */
static gint64 step_us;

static bool serve_echo(RpcCall *call, const void *params, void **result, GError **error)
{
  const Numbers *in = params;

  ws_co_sleep(in->done); /* so that answers come in another order than calls */
  *result = ws_rpc_link_progress_copy(in);
  return true;
}

static bool serve_fail(RpcCall *call, const void *params, void **result, GError **error)
{
  return ws_fail(error, WS_ERROR_NO_CAPACITY, "object", "pool-1", "need", "4.0 GiB", "free", "1.2 GiB", "field", "size_bytes",
                 "cause", "statvfs", NULL);
}

static bool serve_slow(RpcCall *call, const void *params, void **result, GError **error)
{
  const Numbers *in = params;

  for (gint64 i = 1; i <= in->done; i++) {
    ws_co_sleep(step_us);
    rpc_call_progress(call, i, in->done, "steps");
    n_progress++;
  }
  *result = ws_rpc_link_progress_copy(in);
  g_string_append(served, "slow ");
  return true;
}

static bool serve_endless(RpcCall *call, const void *params, void **result, GError **error)
{
  while (!g_atomic_int_get(rpc_call_cancelled(call)))
    ws_co_sleep(10 * 1000);
  g_string_append(served, "stopped ");
  return ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static bool serve_deaf(RpcCall *call, const void *params, void **result, GError **error)
{
  ws_co_sleep(G_TIME_SPAN_HOUR);
  g_string_append(served, "deaf ");
  return true;
}

static bool serve_event(RpcCall *call, const void *params, void **result, GError **error)
{
  const Numbers *in = params;

  ws_co_sleep(in->done);
  g_string_append_printf(served, "%" G_GINT64_FORMAT " ", in->call);
  return true;
}

static const RpcService services[] = {{&echo, serve_echo}, {&fail, serve_fail},   {&slow, serve_slow},
                                      {&endless, serve_endless}, {&bounded, serve_endless}, {&deaf, serve_deaf}, {&event, serve_event}};

/* ---- a call made by a coroutine of its own ---- */

typedef struct {
  RpcLink *link;
  const RpcMethod *method;
  Numbers params;
  volatile gint cancel;
  bool with_cancel, ended, ok;
  Numbers *result;
  GError *error;
  guint n_progress;
  gint64 last_done, ended_us;
} Caller;

static void on_progress(gint64 done, gint64 total, const char *unit, void *arg)
{
  Caller *caller = arg;

  caller->n_progress++;
  caller->last_done = done;
  g_assert_cmpstr(unit, ==, "steps");
}

static void call_it(void *arg)
{
  Caller *caller = arg;
  void *result = NULL;

  caller->ok = rpc_call(caller->link, caller->method, caller->method->params ? &caller->params : NULL, &result, on_progress,
                        caller, caller->with_cancel ? &caller->cancel : NULL, &caller->error);
  caller->result = result;
  caller->ended = true;
  caller->ended_us = the_clock.now_us;
}

static Caller *start_call(RpcLink *link, const RpcMethod *method, gint64 id, gint64 done)
{
  Caller *caller = g_new0(Caller, 1);

  caller->link = link;
  caller->method = method;
  caller->params = (Numbers){.call = id, .done = done, .total = WS_INT_UNSET};
  return caller;
}

static Caller *begin_call(RpcLink *link, const RpcMethod *method, gint64 id, gint64 done)
{
  Caller *caller = start_call(link, method, id, done);

  ws_co_start(loop, call_it, caller);
  return caller;
}

static void caller_free(Caller *caller)
{
  g_assert_true(caller->ended);
  ws_rpc_link_progress_free(caller->result);
  g_clear_error(&caller->error);
  g_free(caller);
}

/* ---- each test ---- */

static void begin(void)
{
  pipe_clock_init(&the_clock);
  loop = ws_loop_new(&the_clock.clock);
  served = g_string_new(NULL);
  n_progress = 0;
  step_us = 400 * 1000;
  pipe_ = pipe_new(loop, services, G_N_ELEMENTS(services), services, G_N_ELEMENTS(services));
}

static void begin_open(void)
{
  begin();
  pipe_open(pipe_);
  pipe_settle(loop);
}

static void end(void)
{
  pipe_free(g_steal_pointer(&pipe_));
  pipe_run_for(loop, 2 * G_TIME_SPAN_HOUR); /* every handler ends: nothing may be left */
  ws_loop_free(g_steal_pointer(&loop));
  g_string_free(g_steal_pointer(&served), TRUE);
}

static RpcLink *link_(guint side)
{
  return pipe_->end[side].link;
}

/* ---- hello ---- */

static void both_sides_are_up_after_both_hellos(void)
{
  begin();
  pipe_open(pipe_);
  g_assert_false(rpc_link_is_up(link_(0)));
  g_assert_cmpuint(rpc_link_version(link_(0)), ==, 0);
  pipe_settle(loop);
  for (guint i = 0; i < 2; i++) {
    g_assert_true(rpc_link_is_up(link_(i)));
    g_assert_cmpuint(rpc_link_version(link_(i)), ==, 1);
    g_assert_cmpuint(pipe_->end[i].n_up, ==, 1);
    g_assert_cmpuint(pipe_->end[i].n_down, ==, 0);
  }
  end();
}

static void peer_without_common_version_is_refused_with_both_ranges(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":{\"protocol_min\":2,\"protocol_max\":9,\"program\":\"x\"}}");
  g_assert_cmpstr(peer->closed, ==, "protocol versions 1 to 1 here, 2 to 9 there");
  g_assert_cmpuint(peer->n_up, ==, 0);
  g_assert_cmpuint(peer->n_down, ==, 1);
  raw_peer_free(peer);
  end();
}

static void peer_with_newer_versions_too_is_taken(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":{\"protocol_min\":1,\"protocol_max\":9,\"program\":\"x\",\"new\":1}}");
  g_assert_cmpuint(rpc_link_version(peer->link), ==, 1);
  raw_peer_free(peer);
  end();
}

/* A program that was started by a long path is still one that the peer takes. */
static void program_with_a_long_path_is_let_in(void)
{
  g_autofree char *before = g_strdup(g_get_prgname());
  g_autofree char *path = g_strdup_printf("/%0*d/a-program-whose-name-alone-is-much-longer-than-what-fits", 300, 1);
  g_set_prgname(path);
  begin_open();
  g_assert_cmpuint(pipe_->end[0].n_up, ==, 1);
  g_assert_cmpuint(pipe_->end[1].n_up, ==, 1);
  end();
  g_set_prgname(before);
}

static void whatever_is_not_a_hello_first_ends_the_link(void)
{
  static const char *const first[] = {"x", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.echo\",\"params\":{\"call\":1,\"done\":1}}",
                                      "{\"jsonrpc\":\"2.0\",\"method\":\"link.heartbeat\"}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"};

  begin();
  for (guint i = 0; i < G_N_ELEMENTS(first); i++) {
    RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
    raw_peer_says(peer, first[i]);
    g_assert_cmpstr(peer->closed, ==, "first message was no hello");
    raw_peer_free(peer);
  }
  end();
}

static void peer_that_says_nothing_is_cut_after_ten_seconds(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  pipe_run_for(loop, 9900 * 1000);
  g_assert_null(peer->closed);
  pipe_run_for(loop, 200 * 1000);
  g_assert_cmpstr(peer->closed, ==, "no hello within 10 s");
  raw_peer_free(peer);
  end();
}

/* ---- calls ---- */

static void result_comes_back_to_its_call(void)
{
  begin_open();
  Caller *late = begin_call(link_(0), &echo, 1, 50000), *early = begin_call(link_(0), &echo, 2, 10000);
  Caller *back = begin_call(link_(1), &echo, 3, 0);
  pipe_run_for(loop, 20000);
  g_assert_true(early->ended && back->ended && !late->ended);
  pipe_run_for(loop, 50000);
  g_assert_true(late->ok && early->ok && back->ok);
  g_assert_cmpint(late->result->call, ==, 1);
  g_assert_cmpint(early->result->call, ==, 2);
  g_assert_cmpint(back->result->call, ==, 3);
  caller_free(late);
  caller_free(early);
  caller_free(back);
  end();
}

static void error_comes_out_as_it_went_in(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &fail, 1, 1);
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_NO_CAPACITY);
  g_assert_cmpstr(ws_error_param(caller->error, "object"), ==, "pool-1");
  g_assert_cmpstr(ws_error_param(caller->error, "free"), ==, "1.2 GiB");
  g_assert_cmpstr(ws_error_field(caller->error), ==, "size_bytes");
  g_assert_cmpstr(ws_error_cause(caller->error), ==, "statvfs");
  caller_free(caller);
  end();
}

static void unknown_method_is_refused_and_the_link_stays(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &unknown, 1, 1);
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_PEER_OLDER);
  g_assert_cmpstr(ws_error_param(caller->error, "what"), ==, "test.unknown");
  g_assert_true(rpc_link_is_up(link_(0)));
  caller_free(caller);
  end();
}

/* ---- peers of another version ---- */

static void what_a_newer_peer_asks_for_is_done_or_refused(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
  raw_peer_open(peer);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"test.echo\",\"params\":{\"call\":1,\"done\":1,\"shiny\":true}}");
  g_assert_nonnull(strstr(raw_peer_last(peer), "test.echo: shiny"));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"test.echo\",\"params\":{\"call\":1,\"done\":0,\"shiny\":false}}");
  pipe_run_for(loop, 1000);
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":8,\"result\""));
  raw_peer_free(peer);
  end();
}

static void what_a_newer_peer_tells_is_skipped(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
  raw_peer_open(peer);
  for (guint i = 0; i < 10 * RPC_GARBAGE_MAX; i++)
    raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"test.shiny\",\"params\":{}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.shiny\"}");
  g_assert_null(peer->closed);
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"call\":1,\"done\":4,\"shiny\":true}}");
  pipe_settle(loop);
  g_assert_true(caller->ok);
  caller_free(caller);
  raw_peer_free(peer);
  end();
}

static void refuse_as(RawPeer *peer, const char *what, int code)
{
  static guint id;
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  g_autofree char *text = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":%u,\"error\":{\"code\":-32601,\"message\":\"x\",\"data\":"
                                          "{\"code\":\"unsupported\",\"params\":{\"what\":\"%s\"}}}}", ++id, what);
  raw_peer_says(peer, text);
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, code);
  g_assert_cmpstr(ws_error_param(caller->error, "what"), ==, what);
  caller_free(caller);
}

/* Of a version that refuses a word that it does not know as any other value. */
static void refuse_value_as(RawPeer *peer, const char *expected, int code, guint id)
{
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  g_autofree char *text = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":%u,\"error\":{\"code\":-32602,\"message\":\"x\",\"data\":"
                                          "{\"code\":\"bad_value\",\"field\":\"kind\",\"params\":{\"expected\":\"%s\"}}}}", id, expected);
  raw_peer_says(peer, text);
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, code);
  if (code == WS_ERROR_PEER_OLDER)
    g_assert_cmpstr(ws_error_param(caller->error, "what"), ==, "test.echo: kind");
  caller_free(caller);
}

static void an_older_peer_is_told_from_one_that_cannot(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  refuse_as(peer, "test.echo", WS_ERROR_PEER_OLDER);
  refuse_as(peer, "test.echo: shiny", WS_ERROR_PEER_OLDER);
  refuse_as(peer, "test.echoes", WS_ERROR_UNSUPPORTED);
  refuse_as(peer, "a VM that is off", WS_ERROR_UNSUPPORTED);
  refuse_value_as(peer, "one of directory, shared_directory", WS_ERROR_PEER_OLDER, 5);
  refuse_value_as(peer, "a plain file name", WS_ERROR_BAD_VALUE, 6);
  raw_peer_free(peer);
  end();
}

static void bad_parameter_is_refused_naming_its_field(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &echo, 0, 1); /* call: minimum 1 */
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_OUT_OF_RANGE);
  g_assert_cmpstr(ws_error_field(caller->error), ==, "call");
  caller_free(caller);
  end();
}

static void call_on_a_link_that_is_down_fails_at_once(void)
{
  begin();
  Caller *caller = begin_call(link_(0), &echo, 1, 1);
  g_assert_true(caller->ended);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  g_assert_cmpstr(ws_error_param(caller->error, "host"), ==, "host-1");
  caller_free(caller);
  end();
}

static void notifications_are_served_one_by_one_in_order(void)
{
  begin_open();
  for (gint64 i = 1; i <= 5; i++)
    rpc_notify(link_(0), &event, &(Numbers){.call = i, .done = 60000 - i * 10000, .total = WS_INT_UNSET});
  pipe_run_for(loop, G_USEC_PER_SEC);
  g_assert_cmpstr(served->str, ==, "1 2 3 4 5 ");
  end();
}

/* ---- deadline, progress, cancel ---- */

static void deadline_ends_the_call_and_a_late_answer_does_no_harm(void)
{
  begin_open();
  gint64 began_us = the_clock.now_us;
  step_us = 5 * G_USEC_PER_SEC;
  Caller *caller = begin_call(link_(0), &slow, 1, 1);
  pipe_run_for(loop, 2 * G_USEC_PER_SEC);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  g_assert_cmpstr(ws_error_param(caller->error, "what"), ==, "test.slow");
  g_assert_cmpint(caller->ended_us - began_us, ==, G_USEC_PER_SEC);
  pipe_run_for(loop, 10 * G_USEC_PER_SEC);
  g_assert_cmpstr(served->str, ==, "slow ");
  g_assert_true(rpc_link_is_up(link_(0)));
  caller_free(caller);
  end();
}

static void peer_is_told_of_a_missed_deadline(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &bounded, 1, 1);
  pipe_run_for(loop, 900 * 1000);
  g_assert_cmpstr(served->str, ==, "");
  pipe_run_for(loop, 200 * 1000);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_DEADLINE_EXCEEDED);
  g_assert_cmpstr(served->str, ==, "stopped ");
  caller_free(caller);
  end();
}

static void progress_moves_the_deadline(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &slow, 1, 10); /* 4 s in all, deadline 1 s */
  pipe_run_for(loop, 5 * G_USEC_PER_SEC);
  g_assert_true(caller->ok);
  g_assert_cmpint(caller->last_done, >=, 9);
  caller_free(caller);
  end();
}

static void progress_is_sent_four_times_a_second(void)
{
  begin_open();
  step_us = 1000;
  Caller *caller = begin_call(link_(0), &slow, 1, 2000);
  pipe_run_for(loop, 3 * G_USEC_PER_SEC);
  g_assert_true(caller->ok);
  g_assert_cmpuint(n_progress, ==, 2000);
  g_assert_cmpuint(caller->n_progress, >=, 7);
  g_assert_cmpuint(caller->n_progress, <=, 9);
  caller_free(caller);
  end();
}

static void cancel_reaches_the_handler_and_its_answer_counts(void)
{
  begin_open();
  Caller *caller = start_call(link_(0), &endless, 1, 1);
  caller->with_cancel = true;
  ws_co_start(loop, call_it, caller);
  pipe_run_for(loop, G_USEC_PER_SEC);
  g_assert_false(caller->ended);
  g_atomic_int_set(&caller->cancel, 1);
  pipe_run_for(loop, 200 * 1000);
  g_assert_cmpstr(served->str, ==, "stopped ");
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_CANCELLED);
  caller_free(caller);
  end();
}

static void cancel_that_nobody_confirms_ends_after_the_grace(void)
{
  begin_open();
  Caller *caller = start_call(link_(0), &deaf, 1, 1);
  caller->with_cancel = true;
  ws_co_start(loop, call_it, caller);
  g_atomic_int_set(&caller->cancel, 1);
  pipe_run_for(loop, 29 * G_USEC_PER_SEC);
  g_assert_false(caller->ended);
  pipe_run_for(loop, 2 * G_USEC_PER_SEC);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_CANCELLED);
  g_assert_true(rpc_link_is_up(link_(0)));
  caller_free(caller);
  end();
}

static void call_cancelled_before_it_began_is_not_sent(void)
{
  begin_open();
  guint64 n_sent = pipe_->end[0].n_sent;
  Caller *caller = start_call(link_(0), &echo, 1, 1);
  caller->with_cancel = true;
  caller->cancel = 1;
  ws_co_start(loop, call_it, caller);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_CANCELLED);
  g_assert_cmpuint(pipe_->end[0].n_sent, ==, n_sent);
  caller_free(caller);
  end();
}

/* ---- loss ---- */

static void loss_fails_what_waits_and_stops_what_is_served(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &endless, 1, 1);
  pipe_run_for(loop, G_USEC_PER_SEC);
  pipe_break(pipe_, "cable pulled");
  pipe_run_for(loop, G_USEC_PER_SEC);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  g_assert_cmpstr(ws_error_cause(caller->error), ==, "cable pulled");
  g_assert_cmpstr(served->str, ==, "stopped ");
  g_assert_cmpstr(pipe_->end[1].down_reason, ==, "cable pulled");
  caller_free(caller);
  end();
}

static void answer_of_an_old_connection_is_not_sent_on_the_new_one(void)
{
  begin_open();
  Caller *old = begin_call(link_(0), &echo, 1, G_USEC_PER_SEC);
  pipe_settle(loop);
  pipe_break(pipe_, "gone");
  pipe_open(pipe_);
  pipe_settle(loop);
  guint64 n_sent = pipe_->end[1].n_sent;
  pipe_run_for(loop, 2 * G_USEC_PER_SEC);
  g_assert_cmpuint(pipe_->end[1].n_sent, ==, n_sent);
  Caller *new = begin_call(link_(0), &echo, 2, 0);
  pipe_settle(loop);
  g_assert_true(new->ok && !old->ok);
  g_assert_cmpuint(pipe_->end[0].n_up, ==, 2);
  g_assert_cmpuint(pipe_->end[0].n_down, ==, 1);
  caller_free(old);
  caller_free(new);
  end();
}

static void close_tells_both_sides_why(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &endless, 1, 1);
  rpc_link_close(link_(0), "host removed");
  g_assert_cmpstr(pipe_->end[0].down_reason, ==, "host removed");
  pipe_settle(loop);
  g_assert_cmpstr(pipe_->end[1].down_reason, ==, "host removed");
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  rpc_link_close(link_(0), "again"); /* nothing happens */
  g_assert_cmpuint(pipe_->end[0].n_down, ==, 1);
  caller_free(caller);
  end();
}

static void peer_that_takes_nothing_is_lost(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  peer->refuse = true;
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  g_assert_cmpuint(peer->n_down, ==, 1);
  caller_free(caller);
  raw_peer_free(peer);
  end();
}

static void call_to_a_slow_peer_waits_for_room(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  guint n_sent = peer->sent->len;
  peer->queued = RPC_QUEUE_HIGH + 1;
  Caller *caller = begin_call(peer->link, &echo, 1, 1), *lost = begin_call(peer->link, &echo, 2, 1);
  pipe_run_for(loop, G_USEC_PER_SEC);
  g_assert_cmpuint(peer->sent->len, ==, n_sent);
  peer->queued = RPC_QUEUE_HIGH;
  pipe_run_for(loop, 100 * 1000);
  g_assert_cmpuint(peer->sent->len, ==, n_sent + 2);
  rpc_link_lost(peer->link, "gone");
  pipe_settle(loop);
  caller_free(caller);
  caller_free(lost);
  raw_peer_free(peer);
  end();
}

/* ---- alive ---- */

static void idle_link_stays_up(void)
{
  begin_open();
  pipe_run_for(loop, G_TIME_SPAN_HOUR);
  g_assert_true(rpc_link_is_up(link_(0)) && rpc_link_is_up(link_(1)));
  g_assert_cmpuint(pipe_->end[0].n_sent, >=, 300); /* a heartbeat every ten seconds */
  g_assert_cmpuint(pipe_->end[0].n_sent, <=, 400);
  end();
}

static void silent_peer_is_taken_for_dead_within_40_seconds(void)
{
  begin_open();
  Caller *caller = begin_call(link_(0), &endless, 1, 1);
  pipe_->stopped[1] = true;
  pipe_run_for(loop, 29 * G_USEC_PER_SEC);
  g_assert_true(rpc_link_is_up(link_(0)));
  pipe_run_for(loop, 11 * G_USEC_PER_SEC);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  g_assert_cmpstr(pipe_->end[0].down_reason, ==, "nothing heard for 30 s");
  caller_free(caller);
  end();
}

/* SIGSTOP for five minutes, then SIGCONT: what the peer sent meanwhile is still in the inbox. */
static void program_that_was_held_up_does_not_blame_its_peers(void)
{
  begin_open();
  pipe_run_for(loop, G_USEC_PER_SEC);
  the_clock.now_us += 300 * G_USEC_PER_SEC;
  pipe_run_for(loop, 60 * G_USEC_PER_SEC);
  g_assert_true(rpc_link_is_up(link_(0)) && rpc_link_is_up(link_(1)));
  end();
}

/* ---- bad peers ---- */

static void garbage_is_answered_and_the_link_stays(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
  raw_peer_open(peer);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",");
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":null,\"error\":{\"code\":-32700"));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"test.echo\",\"params\":[1]}");
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":5,\"error\":{"));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"no.such\",\"params\":{}}");
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":6,\"error\":{\"code\":-32601"));
  guint n_sent = peer->sent->len;
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"x\"}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.cancel\",\"params\":{\"call\":0}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.cancel\",\"params\":{\"call\":77}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.hello\",\"params\":{\"protocol_min\":1,\"protocol_max\":1,\"program\":\"x\"}}");
  g_assert_cmpuint(peer->sent->len, ==, n_sent); /* answers are not answered */
  g_assert_true(rpc_link_is_up(peer->link));
  raw_peer_free(peer);
  end();
}

static void too_much_garbage_ends_the_link(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  for (guint i = 0; i < RPC_GARBAGE_MAX; i++)
    raw_peer_says(peer, "?");
  g_assert_null(peer->closed);
  raw_peer_says(peer, "?");
  g_assert_cmpstr(peer->closed, ==, "too many unusable messages");
  raw_peer_free(peer);
  end();
}

static void a_little_garbage_for_ever_does_not(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  for (guint i = 0; i < 600; i++) {
    raw_peer_says(peer, "?");
    pipe_run_for(loop, G_USEC_PER_SEC);
  }
  g_assert_null(peer->closed);
  raw_peer_free(peer);
  end();
}

static void second_answer_is_dropped(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":1,"));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"call\":1,\"done\":4}}");
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"call\":1,\"done\":5}}");
  pipe_settle(loop);
  g_assert_true(caller->ok);
  g_assert_cmpint(caller->result->done, ==, 4);
  g_assert_true(rpc_link_is_up(peer->link));
  caller_free(caller);
  raw_peer_free(peer);
  end();
}

static void answer_of_the_wrong_form_fails_the_call(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  Caller *caller = begin_call(peer->link, &echo, 1, 1);
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"call\":\"one\",\"done\":4}}");
  pipe_settle(loop);
  g_assert_error(caller->error, WS_ERROR, WS_ERROR_WRONG_TYPE);
  g_assert_cmpstr(ws_error_field(caller->error), ==, "call");
  caller_free(caller);
  raw_peer_free(peer);
  end();
}

static void id_in_use_and_too_many_calls_are_refused(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
  raw_peer_open(peer);
  for (guint i = 1; i <= RPC_SERVING_MAX; i++) {
    g_autofree char *call = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"test.endless\"}", i);
    guint n_sent = peer->sent->len;
    raw_peer_says(peer, call);
    g_assert_cmpuint(peer->sent->len, ==, n_sent);
  }
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"test.endless\"}");
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":7,\"error\""));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"id\":1000,\"method\":\"test.endless\"}");
  g_assert_nonnull(strstr(raw_peer_last(peer), "too_many_requests"));
  raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.cancel\",\"params\":{\"call\":7}}");
  pipe_run_for(loop, 100 * 1000);
  g_assert_nonnull(strstr(raw_peer_last(peer), "\"id\":7,\"error\""));
  g_assert_nonnull(strstr(raw_peer_last(peer), "cancelled"));
  raw_peer_free(peer);
  pipe_run_for(loop, G_USEC_PER_SEC);
  end();
}

static void flood_of_messages_ends_the_link(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  for (guint i = 0; i < 4 * RPC_RATE_MAX + 10 && !peer->closed; i++)
    raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.heartbeat\"}");
  g_assert_cmpstr(peer->closed, ==, "too many messages");
  raw_peer_free(peer);
  end();
}

static void busy_but_bearable_peer_stays(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  for (guint s = 0; s < 20; s++) {
    for (guint i = 0; i < RPC_RATE_MAX - 100; i++)
      raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"link.heartbeat\"}");
    pipe_run_for(loop, G_USEC_PER_SEC);
  }
  g_assert_null(peer->closed);
  raw_peer_free(peer);
  end();
}

static void pile_of_notifications_ends_the_link(void)
{
  begin();
  RawPeer *peer = raw_peer_new(loop, services, G_N_ELEMENTS(services));
  raw_peer_open(peer);
  for (guint i = 0; i < RPC_BACKLOG_MAX + 10 && !peer->closed; i++)
    raw_peer_says(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"test.event\",\"params\":{\"call\":1,\"done\":1000000}}");
  g_assert_cmpstr(peer->closed, ==, "too many notifications wait to be served");
  raw_peer_free(peer);
  pipe_run_for(loop, 2 * G_USEC_PER_SEC);
  end();
}

static void message_above_the_limit_ends_the_link(void)
{
  g_autofree char *huge = g_malloc(RPC_MESSAGE_MAX + 2);

  begin();
  memset(huge, ' ', RPC_MESSAGE_MAX + 1);
  huge[RPC_MESSAGE_MAX + 1] = '\0';
  RawPeer *peer = raw_peer_new(loop, NULL, 0);
  raw_peer_open(peer);
  raw_peer_says(peer, huge);
  g_assert_cmpstr(peer->closed, ==, "a message above 4 MiB");
  raw_peer_free(peer);
  end();
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/rpc/link/" #name, name)
  g_test_init(&argc, &argv, NULL);
  ws_log_init("test-rpc-link", WS_LOG_ERROR, NULL); /* the warnings are meant to happen */
  add(both_sides_are_up_after_both_hellos);
  add(peer_without_common_version_is_refused_with_both_ranges);
  add(peer_with_newer_versions_too_is_taken);
  add(program_with_a_long_path_is_let_in);
  add(whatever_is_not_a_hello_first_ends_the_link);
  add(peer_that_says_nothing_is_cut_after_ten_seconds);
  add(result_comes_back_to_its_call);
  add(error_comes_out_as_it_went_in);
  add(unknown_method_is_refused_and_the_link_stays);
  add(what_a_newer_peer_asks_for_is_done_or_refused);
  add(what_a_newer_peer_tells_is_skipped);
  add(an_older_peer_is_told_from_one_that_cannot);
  add(bad_parameter_is_refused_naming_its_field);
  add(call_on_a_link_that_is_down_fails_at_once);
  add(notifications_are_served_one_by_one_in_order);
  add(deadline_ends_the_call_and_a_late_answer_does_no_harm);
  add(peer_is_told_of_a_missed_deadline);
  add(progress_moves_the_deadline);
  add(progress_is_sent_four_times_a_second);
  add(cancel_reaches_the_handler_and_its_answer_counts);
  add(cancel_that_nobody_confirms_ends_after_the_grace);
  add(call_cancelled_before_it_began_is_not_sent);
  add(loss_fails_what_waits_and_stops_what_is_served);
  add(answer_of_an_old_connection_is_not_sent_on_the_new_one);
  add(close_tells_both_sides_why);
  add(peer_that_takes_nothing_is_lost);
  add(call_to_a_slow_peer_waits_for_room);
  add(idle_link_stays_up);
  add(silent_peer_is_taken_for_dead_within_40_seconds);
  add(program_that_was_held_up_does_not_blame_its_peers);
  add(garbage_is_answered_and_the_link_stays);
  add(too_much_garbage_ends_the_link);
  add(a_little_garbage_for_ever_does_not);
  add(second_answer_is_dropped);
  add(answer_of_the_wrong_form_fails_the_call);
  add(id_in_use_and_too_many_calls_are_refused);
  add(flood_of_messages_ends_the_link);
  add(busy_but_bearable_peer_stays);
  add(pile_of_notifications_ends_the_link);
  add(message_above_the_limit_ends_the_link);
  return g_test_run();
}
