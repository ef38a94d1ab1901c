// SPDX-License-Identifier: Apache-2.0
/* The agent's link and what its rooms share. See agent.h.
 *
 * Dialling: at once at start, then after 0.5 s doubling up to 30 s, each wait drawn from its half to its whole (so that 5,000 hosts
 * do not come back in step), anew from 0.5 s once a link has been up. The certificate is read from its file at each dialling, so a join beside the
 * running agent takes effect by itself; it is renewed over the link at two thirds of its life; the key stays on this host. */
#include "host/agent-private.h"
#include "base/log.h"
#include "rpc/methods.h"

#define BACKOFF_MIN_US (G_USEC_PER_SEC / 2)
#define BACKOFF_MAX_US (30 * (gint64)G_USEC_PER_SEC)
#define RENEW_CHECK_MAX_US (60 * (gint64)G_USEC_PER_SEC) /* the wall clock may be set meanwhile */
#define WORKERS_DEFAULT 64

/* ---- what rooms ask ---- */

Agent *agent_of_call(RpcCall *call)
{
  return rpc_link_arg(rpc_call_link(call));
}

typedef struct {
  AgentJob job;
  bool (*func)(AgentJob *job, void *arg, GError **error);
  void *arg;
  GDestroyNotify destroy;
} Work;

static bool run_work(void *arg, GError **error)
{
  Work *work = arg;
  return work->func(&work->job, work->arg, error);
}

static void work_free(void *arg)
{
  Work *work = arg;
  if (work->destroy && work->arg)
    work->destroy(work->arg);
  rpc_call_unref(work->job.call);
  g_free(work);
}

bool agent_blocking(RpcCall *call, bool (*func)(AgentJob *job, void *arg, GError **error), void *arg, GDestroyNotify destroy,
                    guint deadline_ms, GError **error)
{
  Agent *agent = agent_of_call(call);
  Work *work = g_new(Work, 1);
  *work = (Work){{rpc_call_ref(call), rpc_call_cancelled(call)}, func, arg, destroy};
  if (!ws_co_blocking(agent->workers, run_work, work, work_free, deadline_ms, error))
    return false;
  work->arg = NULL; /* the caller's again */
  work_free(work);
  return true;
}

void agent_job_progress(gint64 done, gint64 total, void *job)
{
  rpc_call_progress(((AgentJob *)job)->call, done, total, "bytes");
}

typedef struct {
  Agent *agent;
  const RpcMethod *method;
  void *params;
} Notice;

static void send_notice(void *arg)
{
  Notice *notice = arg;
  rpc_notify(notice->agent->link, notice->method, notice->params);
}

static void notice_free(void *arg)
{
  Notice *notice = arg;
  ws_object_free(notice->method->params, notice->params);
  g_free(notice);
}

void agent_notify(Agent *agent, const RpcMethod *method, void *params)
{
  Notice *notice = g_new(Notice, 1);
  *notice = (Notice){agent, method, params};
  ws_loop_post(agent->loop, send_notice, notice, notice_free);
}

HttpSocket *agent_dial_stream(Agent *agent, const char *stream, const HttpSocketEvents *events, void *arg)
{
  g_autofree char *base = agent_socket_url(agent);
  g_autofree char *name = g_uri_escape_string(stream, NULL, FALSE);
  g_autofree char *url = g_strdup_printf("%s/api/v1/agent/stream?stream=%s", base, name);
  HttpClientConfig config = {.url = url, .tls = agent->tls, .server_name = AGENT_MANAGER_NAME};
  return http_socket_connect(agent->io, &config, NULL, events, arg);
}

char *agent_socket_url(const Agent *agent)
{
  const char *rest = agent->config.manager_url + strlen("https");
  return g_strconcat("wss", rest, NULL);
}

/* ---- renewal ---- */

static bool renew(Agent *agent, GError **error)
{
  g_autofree char *csr = agent_identity_csr(agent, error);
  g_autoptr(WsRpcHostRenewCertificateResult) result = NULL;
  WsRpcHostRenewCertificate params = {.csr = csr};
  return csr && rpc_host_renew_certificate(agent->link, &params, &result, NULL, NULL, NULL, error) &&
         agent_identity_take(agent, result->certificate, error);
}

static gint64 next_check_us(Agent *agent);
static void plan_renewal(Agent *agent, gint64 wait_us);

static void check_certificate(void *arg)
{
  Agent *agent = arg;
  g_autoptr(GError) error = NULL;
  gint64 due_us, ends_us;
  agent_identity_times(agent, &due_us, &ends_us);
  if (rpc_link_is_up(agent->link) && ws_clock_wall_us(agent->clock) >= due_us) {
    if (renew(agent, &error))
      ws_log(WS_LOG_NOTICE, "certificate-renewed", NULL);
    else
      ws_log_error(WS_LOG_WARNING, "certificate-not-renewed", error, NULL);
  }
  agent->renewing = false;
  if (!agent->stopping)
    plan_renewal(agent, next_check_us(agent));
}

static void on_renew_timer(void *arg)
{
  Agent *agent = arg;
  agent->renew_timer = NULL;
  agent->renewing = true;
  ws_co_start(agent->loop, check_certificate, agent);
}

/* When it becomes due, or, when it is due already and nobody could or would renew it, at a tenth of what is left. Drawn from its half to its
 * whole, for hosts that joined together. */
static gint64 next_check_us(Agent *agent)
{
  gint64 due_us, ends_us, now = ws_clock_wall_us(agent->clock);
  guint32 chance;
  agent_identity_times(agent, &due_us, &ends_us);
  agent->clock->random_bytes(agent->clock, &chance, sizeof chance);
  if (now < due_us)
    return CLAMP(due_us - now, G_USEC_PER_SEC / 2, RENEW_CHECK_MAX_US);
  gint64 wait_us = CLAMP((ends_us - now) / 10, G_USEC_PER_SEC, RENEW_CHECK_MAX_US);
  return wait_us / 2 + (gint64)(chance % (guint32)(wait_us / 2));
}

static void plan_renewal(Agent *agent, gint64 wait_us)
{
  if (agent->renewing)
    return; /* it plans the next by itself */
  ws_timer_cancel(agent->renew_timer);
  agent->renew_timer = ws_loop_after(agent->loop, wait_us, on_renew_timer, agent);
}

/* The one fault of the link that no patience heals. */
static void complain_when_expired(Agent *agent)
{
  gint64 due_us, ends_us;
  agent_identity_times(agent, &due_us, &ends_us);
  if (ws_clock_wall_us(agent->clock) > ends_us)
    ws_log(WS_LOG_ERROR, "certificate-expired", "do", "check this host's clock; else: winctl join-token create --host HOST, and here: winserverd --join - --manager URL; "
           "guests and this agent go on running", NULL);
}

/* ---- the link ---- */

static void dial(void *arg)
{
  Agent *agent = arg;
  g_autofree char *base = agent_socket_url(agent);
  g_autofree char *url = g_strconcat(base, "/api/v1/agent", NULL);
  HttpClientConfig config = {.url = url, .tls = agent->tls, .server_name = AGENT_MANAGER_NAME};
  agent->dial_timer = NULL;
  rpc_link_connect(agent->link, agent->io, &config, NULL);
}

static void on_up(RpcLink *link, void *arg)
{
  Agent *agent = arg;
  agent->backoff_us = 0;
  ws_log(WS_LOG_NOTICE, "manager-connected", "manager", agent->config.manager_url, NULL);
  plan_renewal(agent, 0); /* it may have become due while nobody could be asked */
  node_room_link_up(agent);
  hypervisor_room_link_up(agent);
}

static gint64 next_wait(Agent *agent)
{
  guint32 chance;
  agent->backoff_us = agent->backoff_us ? MIN(agent->backoff_us * 2, BACKOFF_MAX_US) : BACKOFF_MIN_US;
  agent->clock->random_bytes(agent->clock, &chance, sizeof chance);
  return agent->backoff_us / 2 + (gint64)(chance % (guint32)(agent->backoff_us / 2));
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  Agent *agent = arg;
  if (agent->stopping)
    return;
  gint64 wait_us = next_wait(agent);
  g_autofree char *wait = g_strdup_printf("%.1f", (double)wait_us / G_USEC_PER_SEC);
  ws_log(WS_LOG_WARNING, "manager-lost", "reason", reason, "dial_again_s", wait, NULL);
  agent->dial_timer = ws_loop_after(agent->loop, wait_us, dial, agent);
  complain_when_expired(agent);
}

/* ---- start and stop ---- */

static bool start_rooms(Agent *agent, GError **error)
{
  return node_room_start(agent, error) && storage_room_start(agent, error) && network_room_start(agent, error) &&
         hypervisor_room_start(agent, error);
}

Agent *agent_new(const AgentConfig *config, WsClock *clock, WsLoop *loop, GError **error)
{
  static const RpcEvents events = {.up = on_up, .down = on_down};
  Agent *agent = g_new0(Agent, 1);
  agent->config = *config;
  agent->clock = clock;
  agent->loop = loop;
  if (!agent_identity_load(agent, error)) {
    g_free(agent);
    return NULL;
  }
  agent->workers = ws_workers_new("agent", config->max_workers ? config->max_workers : WORKERS_DEFAULT);
  agent->io = http_io_new(clock, error);
  agent->link = rpc_link_new(loop, rpc_host_services, rpc_n_host_services, &events, agent);
  rpc_link_set_peer(agent->link, "the manager");
  if (!agent->io || !start_rooms(agent, error)) {
    agent_free(agent);
    return NULL;
  }
  dial(agent);
  plan_renewal(agent, 0);
  return agent;
}

/* Running guests go on: nothing here touches them. */
void agent_free(Agent *agent)
{
  if (!agent)
    return;
  agent->stopping = true;
  ws_timer_cancel(agent->dial_timer);
  ws_timer_cancel(agent->renew_timer);
  if (agent->link)
    rpc_link_close(agent->link, "the agent stops");
  hypervisor_room_stop(agent);
  network_room_stop(agent);
  storage_room_stop(agent);
  node_room_stop(agent);
  g_clear_pointer(&agent->workers, ws_workers_free);
  g_clear_pointer(&agent->io, http_io_free);
  g_clear_pointer(&agent->link, rpc_link_unref);
  agent_identity_clear(agent);
  g_free(agent);
}
