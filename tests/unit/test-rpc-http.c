// SPDX-License-Identifier: Apache-2.0
/* The link over real sockets: mutual TLS, WebSocket, the I/O thread, and the core loop that both sides share here. */
#include "base/error.h"
#include "base/log.h"
#include "http-site.h"
#include "model/model.h"
#include "rpc/rpc.h"
#include <string.h>

#define PATIENCE_US (200 * G_USEC_PER_SEC)

static WsLoop *loop;
static Site *site;
static HttpServer *server;

typedef struct {
  RpcLink *link;
  guint n_up, n_down;
  char *reason;
} Side;
static Side manager, agent;

/* ---- what is served: an echo of a step, whose result is a text of up to 64 KiB ---- */

static const RpcMethod echo = {"test.echo", &ws_type_task_step, &ws_type_task_step, 0, false};
static const RpcMethod endless = {"test.endless", NULL, NULL, 0, false};

static bool serve_echo(RpcCall *call, const void *params, void **result, GError **error)
{
  *result = ws_task_step_copy(params);
  return true;
}

static bool serve_endless(RpcCall *call, const void *params, void **result, GError **error)
{
  gint64 i = 0;

  while (!g_atomic_int_get(rpc_call_cancelled(call))) {
    rpc_call_progress(call, ++i, -1, "turns");
    ws_co_sleep(5000);
  }
  return ws_fail(error, WS_ERROR_CANCELLED, NULL);
}

static const RpcService services[] = {{&echo, serve_echo}, {&endless, serve_endless}};

/* ---- both sides ---- */

static void on_up(RpcLink *link, void *arg)
{
  ((Side *)arg)->n_up++;
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  Side *side = arg;

  side->n_down++;
  g_free(side->reason);
  side->reason = g_strdup(reason);
}

static const RpcEvents link_events = {on_up, on_down};

static void on_request(HttpCall *call, void *arg)
{
  if (!http_call_wants_upgrade(call) || g_strcmp0(http_call_peer_cn(call), "host-3") != 0)
    http_call_answer(call, 403, NULL, NULL);
  else
    rpc_link_upgrade(manager.link, call, NULL);
}

static void start_server(void)
{
  g_autoptr(GError) error = NULL;
  HttpServerConfig config = {.bind_address = "127.0.0.1", .on_request = on_request,
                             .tls = {site->cert, site->key, site->ca}};

  server = http_server_new(site->io, &config, &error);
  g_assert_no_error(error);
}

static void dial_from(RpcLink *link, const char *cert, const char *key)
{
  g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%u/agent", http_server_port(server));
  HttpClientConfig config = {.url = url, .tls = {cert, key, site->ca}};

  rpc_link_connect(link, site->io, &config, NULL);
}

static void dial(const char *cert, const char *key)
{
  dial_from(agent.link, cert, key);
}

#define until(condition)                                                                                                \
  do {                                                                                                                  \
    gint64 until_deadline = g_get_monotonic_time() + PATIENCE_US;                                                      \
    while (!(condition)) {                                                                                              \
      g_assert_cmpint(g_get_monotonic_time(), <, until_deadline);                                                       \
      ws_loop_step(loop, 50);                                                                                           \
    }                                                                                                                   \
  } while (0)

static void begin(void)
{
  ws_log_init("test-rpc-http", WS_LOG_ERROR, "/dev/null");
  loop = ws_loop_new(ws_clock_system());
  site = site_new(NULL);
  start_server();
  manager = (Side){.link = rpc_link_new(loop, services, G_N_ELEMENTS(services), &link_events, &manager)};
  agent = (Side){.link = rpc_link_new(loop, services, G_N_ELEMENTS(services), &link_events, &agent)};
  rpc_link_set_peer(manager.link, "host-3");
}

static void begin_up(void)
{
  begin();
  dial(site->client_cert, site->client_key);
  until(manager.n_up && agent.n_up);
}

static void nothing(void *arg)
{
}

static void end(void)
{
  rpc_link_close(agent.link, "the test ends");
  rpc_link_close(manager.link, "the test ends");
  g_clear_pointer(&server, http_server_free);
  g_clear_pointer(&site, site_free);
  ws_loop_after(loop, 100000, nothing, NULL);
  for (guint i = 0; i < 20; i++) /* what was posted, and handlers that are told to stop */
    ws_loop_step(loop, 20);
  rpc_link_unref(manager.link);
  rpc_link_unref(agent.link);
  g_free(manager.reason);
  g_free(agent.reason);
  g_clear_pointer(&loop, ws_loop_free);
}

/* ---- calls ---- */

typedef struct {
  RpcLink *link;
  const RpcMethod *method;
  gsize n; /* length of the text */
  bool done, ok;
  GError *error;
  guint n_progress;
  volatile gint cancel;
} Caller;

static void on_progress(gint64 done, gint64 total, const char *unit, void *arg)
{
  ((Caller *)arg)->n_progress++;
}

static void call_it(void *arg)
{
  Caller *c = arg;
  WsTaskStep *params = ws_task_step_new();
  void *result = NULL;

  params->result = g_strnfill(c->n, 'x');
  c->ok = rpc_call(c->link, c->method, c->method->params ? params : NULL, &result, on_progress, c, &c->cancel, &c->error);
  if (result)
    g_assert_true(ws_task_step_equal(result, params));
  ws_task_step_free(result);
  ws_task_step_free(params);
  c->done = true;
}

static void both_sides_call_each_other(void)
{
  Caller there = {.method = &echo, .n = 100}, back = {.method = &echo, .n = 100};

  begin_up();
  there.link = manager.link;
  back.link = agent.link;
  ws_co_start(loop, call_it, &there);
  ws_co_start(loop, call_it, &back);
  until(there.done && back.done);
  g_assert_no_error(there.error);
  g_assert_no_error(back.error);
  end();
}

static void progress_and_cancel_travel(void)
{
  Caller c = {.method = &endless};

  begin_up();
  c.link = manager.link;
  ws_co_start(loop, call_it, &c);
  until(c.n_progress >= 2);
  g_atomic_int_set(&c.cancel, 1);
  until(c.done);
  g_assert_error(c.error, WS_ERROR, WS_ERROR_CANCELLED);
  g_clear_error(&c.error);
  end();
}

/* More than a socket's queue takes at once: callers wait for their turn, none is lost and nothing is cut. */
static void much_at_a_time_goes_through(void)
{
  static Caller many[RPC_SERVING_MAX];

  begin_up();
  for (guint i = 0; i < G_N_ELEMENTS(many); i++) {
    many[i] = (Caller){.link = manager.link, .method = &echo, .n = 65536};
    ws_co_start(loop, call_it, &many[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS(many); i++) {
    until(many[i].done);
    g_assert_no_error(many[i].error);
  }
  g_assert_cmpuint(manager.n_down, ==, 0);
  end();
}

static void agent_hears_when_the_manager_goes_and_comes_back(void)
{
  Caller c = {.method = &endless};

  begin_up();
  c.link = agent.link;
  ws_co_start(loop, call_it, &c);
  until(c.n_progress);
  http_server_free(g_steal_pointer(&server));
  until(agent.n_down && manager.n_down && c.done);
  g_assert_error(c.error, WS_ERROR, WS_ERROR_HOST_UNREACHABLE);
  g_clear_error(&c.error);
  start_server();
  dial(site->client_cert, site->client_key);
  until(manager.n_up == 2 && agent.n_up == 2);
  g_assert_cmpuint(agent.n_down, ==, 1);
  end();
}

static void connection_that_never_opened_is_told_of(void)
{
  begin();
  dial(site->stranger_cert, site->stranger_key); /* another site's certificate */
  until(agent.n_down == 1);
  dial(NULL, NULL); /* none */
  until(agent.n_down == 2);
  g_assert_nonnull(strstr(agent.reason, "403"));
  guint16 port = http_server_port(server);
  http_server_free(g_steal_pointer(&server));
  g_autofree char *url = g_strdup_printf("wss://127.0.0.1:%u/agent", port);
  HttpClientConfig config = {.url = url, .tls = {site->client_cert, site->client_key, site->ca}};
  rpc_link_connect(agent.link, site->io, &config, NULL);
  until(agent.n_down == 3);
  g_assert_cmpuint(agent.n_up, ==, 0);
  g_assert_cmpuint(manager.n_up, ==, 0);
  end();
}

static void dialling_can_be_given_up(void)
{
  begin();
  dial(site->client_cert, site->client_key);
  rpc_link_close(agent.link, "changed my mind");
  g_assert_cmpuint(agent.n_down, ==, 1);
  g_assert_cmpstr(agent.reason, ==, "changed my mind");
  dial(site->client_cert, site->client_key); /* again: the first one does not disturb it */
  until(agent.n_up == 1 && rpc_link_is_up(manager.link));
  end();
}

static void close_reaches_the_other_side(void)
{
  begin_up();
  rpc_link_close(manager.link, "host removed");
  until(agent.n_down);
  g_assert_cmpstr(agent.reason, ==, "host removed");
  end();
}

static void newer_connection_takes_the_place_of_the_old(void)
{
  Side second = {0};

  begin_up();
  second.link = rpc_link_new(loop, services, G_N_ELEMENTS(services), &link_events, &second);
  dial_from(second.link, site->client_cert, site->client_key);
  until(second.n_up && manager.n_up == 2 && agent.n_down);
  g_assert_true(rpc_link_is_up(manager.link));
  g_assert_cmpstr(agent.reason, ==, "replaced by a newer connection");
  rpc_link_close(second.link, "the test ends");
  until(!rpc_link_is_up(manager.link));
  rpc_link_unref(second.link);
  g_free(second.reason);
  end();
}

int main(int argc, char **argv)
{
#define add(name) g_test_add_func("/rpc/http/" #name, name)
  g_test_init(&argc, &argv, NULL);
  add(both_sides_call_each_other);
  add(progress_and_cancel_travel);
  add(much_at_a_time_goes_through);
  add(agent_hears_when_the_manager_goes_and_comes_back);
  add(connection_that_never_opened_is_told_of);
  add(dialling_can_be_given_up);
  add(close_reaches_the_other_side);
  add(newer_connection_takes_the_place_of_the_old);
  return g_test_run();
}
