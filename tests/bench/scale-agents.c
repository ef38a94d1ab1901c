// SPDX-License-Identifier: Apache-2.0
/* Many host agents in one process, for bench-scale: each has its own certificate, its own link over mutual TLS, and answers what the manager
 * asks as an agent with nothing to do would. They dial anew as agents do.
 *
 *   scale-agents CA PORT AGENTS        AGENTS: what scale-fill has left there
 *
 * Prints lines: "up N" when the number of links that are up has changed, at most four times a second; "synced N" the same for those whose VMs
 * the manager has read over their present link. Ends with its standard input. */
#include "base/log.h"
#include "http/http.h"
#include "kit-https.h"
#include "rpc/methods.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_US (G_USEC_PER_SEC / 2)
#define BACKOFF_MAX_US (30 * (gint64)G_USEC_PER_SEC)
#define LOAD_US        (10 * (gint64)G_USEC_PER_SEC)
#define TELL_US        (G_USEC_PER_SEC / 4)

static struct {
  WsClock *clock;
  WsLoop *loop;
  HttpIo *io;
  const char *ca, *folder;
  char *urls[2], *key;
  guint n_up, n_synced, told_up, told_synced;
} all;

typedef struct {
  char *name, *cert;
  RpcLink *link;
  const char *url;
  gint64 backoff_us;
  bool synced;
  WsRpcVmListResult *vms;
  WsRpcPoolRefreshResult *files;
  WsTimer *load;
} Agent;

static Agent *agent_of(RpcCall *call)
{
  return rpc_link_arg(rpc_call_link(call));
}

static gint64 part_of(gint64 most_us)
{
  guint32 chance;
  all.clock->random_bytes(all.clock, &chance, sizeof chance);
  return most_us / 2 + (gint64)((double)chance / (double)G_MAXUINT32 * (double)(most_us / 2));
}

/* ---- answers ---- */

static bool do_facts(RpcCall *call, const void *params, void **result, GError **error)
{
  WsRpcHostFactsResult *answer = ws_rpc_host_facts_result_new();
  WsHostFacts *facts = answer->facts = ws_host_facts_new();
  facts->hostname = g_strdup(agent_of(call)->name);
  facts->architecture = WS_ARCHITECTURE_X86_64;
  facts->memory_bytes = G_GINT64_CONSTANT(256) << 30;
  facts->cpu = ws_host_cpu_new();
  facts->cpu->threads = 64;
  facts->cpu->cores = 32;
  facts->virtualisation = ws_host_virtualisation_new();
  facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_KVM;
  facts->versions = ws_host_versions_new();
  facts->versions->agent = g_strdup(WS_VERSION);
  *result = answer;
  return true;
}

static bool do_nothing(RpcCall *call, const void *params, void **result, GError **error)
{
  return true;
}

static WsPoolStatus *pool_status(void)
{
  WsPoolStatus *status = ws_pool_status_new();
  status->state = WS_POOL_STATUS_STATE_ACTIVE;
  status->filesystem = g_strdup("xfs");
  status->capacity_bytes = G_GINT64_CONSTANT(4) << 40;
  status->available_bytes = G_GINT64_CONSTANT(3) << 40;
  status->allocated_bytes = G_GINT64_CONSTANT(1) << 40;
  return status;
}

static bool do_pool_prepare(RpcCall *call, const void *params, void **result, GError **error)
{
  WsRpcPoolPrepareResult *answer = ws_rpc_pool_prepare_result_new();
  answer->status = pool_status();
  *result = answer;
  return true;
}

static bool do_pool_refresh(RpcCall *call, const void *params, void **result, GError **error)
{
  WsRpcPoolRefreshResult *answer = ws_object_copy(&ws_type_rpc_pool_refresh_result, agent_of(call)->files);
  answer->status = pool_status();
  *result = answer;
  return true;
}

static bool do_switch(RpcCall *call, const void *params, void **result, GError **error)
{
  WsRpcNetworkSwitchApplyResult *answer = ws_rpc_network_switch_apply_result_new();
  answer->datapath = WS_RPC_NETWORK_SWITCH_APPLY_RESULT_DATAPATH_KERNEL;
  *result = answer;
  return true;
}

static bool do_group(RpcCall *call, const void *params, void **result, GError **error)
{
  *result = ws_rpc_network_port_group_apply_result_new();
  return true;
}

static bool do_list(RpcCall *call, const void *params, void **result, GError **error)
{
  Agent *agent = agent_of(call);
  *result = ws_object_copy(&ws_type_rpc_vm_list_result, agent->vms);
  if (!agent->synced)
    all.n_synced++;
  agent->synced = true;
  return true;
}

static bool do_stats(RpcCall *call, const void *params, void **result, GError **error)
{
  const Agent *agent = agent_of(call);
  WsRpcVmStatsResult *answer = ws_rpc_vm_stats_result_new();
  for (guint i = 0; i < agent->vms->vms.len; i++) {
    const WsVmReport *vm = agent->vms->vms.items[i];
    if (vm->power->state != WS_POWER_STATE_RUNNING)
      continue;
    WsVmSample *sample = ws_array_add(&answer->samples, ws_vm_sample_new());
    sample->vm = vm->vm;
    sample->uuid = g_strdup(vm->uuid);
    sample->time = ws_clock_wall_us(all.clock);
    sample->usage = ws_vm_usage_new();
    sample->usage->memory_used_bytes = 1 << 30;
    sample->usage->cpu_percent = (double)(g_random_int() % 1000) / 10;
  }
  *result = answer;
  return true;
}

static WsPower *set_power(const Agent *agent, const char *uuid, int state)
{
  for (guint i = 0; i < agent->vms->vms.len; i++) {
    const WsVmReport *vm = agent->vms->vms.items[i];
    if (strcmp(vm->uuid, uuid) != 0)
      continue;
    vm->power->state = state;
    vm->power->since = ws_clock_wall_us(all.clock);
    return ws_power_copy(vm->power);
  }
  return NULL;
}

static bool no_such_vm(const char *uuid, GError **error)
{
  return ws_fail(error, WS_ERROR_NOT_FOUND, "object", uuid, NULL);
}

static bool do_start(RpcCall *call, const void *params, void **result, GError **error)
{
  const char *uuid = ((const WsRpcVmStart *)params)->uuid;
  WsPower *power = set_power(agent_of(call), uuid, WS_POWER_STATE_RUNNING);
  if (!power)
    return no_such_vm(uuid, error);
  WsRpcVmStartResult *answer = ws_rpc_vm_start_result_new();
  answer->power = power;
  *result = answer;
  return true;
}

static bool do_power_off(RpcCall *call, const void *params, void **result, GError **error)
{
  const char *uuid = ((const WsRpcVmPowerOff *)params)->uuid;
  WsPower *power = set_power(agent_of(call), uuid, WS_POWER_STATE_OFF);
  if (!power)
    return no_such_vm(uuid, error);
  WsRpcVmPowerOffResult *answer = ws_rpc_vm_power_off_result_new();
  answer->power = power;
  *result = answer;
  return true;
}

static bool do_reset(RpcCall *call, const void *params, void **result, GError **error)
{
  const char *uuid = ((const WsRpcVmReset *)params)->uuid;
  WsPower *power = set_power(agent_of(call), uuid, WS_POWER_STATE_RUNNING);
  if (!power)
    return no_such_vm(uuid, error);
  WsRpcVmResetResult *answer = ws_rpc_vm_reset_result_new();
  answer->power = power;
  *result = answer;
  return true;
}

static const RpcService services[] = {
  {&rpc_method_host_facts, do_facts},
  {&rpc_method_pool_keep, do_nothing},
  {&rpc_method_pool_prepare, do_pool_prepare},
  {&rpc_method_pool_refresh, do_pool_refresh},
  {&rpc_method_network_switch_apply, do_switch},
  {&rpc_method_network_port_group_apply, do_group},
  {&rpc_method_vm_list, do_list},
  {&rpc_method_vm_stats, do_stats},
  {&rpc_method_vm_start, do_start},
  {&rpc_method_vm_power_off, do_power_off},
  {&rpc_method_vm_reset, do_reset},
};

/* ---- links ---- */

static void dial(void *arg)
{
  Agent *agent = arg;
  const HttpClientConfig config = {.url = agent->url,
                                   .tls = {.ca_file = all.ca, .cert_file = agent->cert, .key_file = all.key},
                                   .server_name = "winsphere-manager",
                                   .connect_timeout_ms = 30 * 1000};
  rpc_link_connect(agent->link, all.io, &config, NULL);
}

static void tell_load(void *arg)
{
  Agent *agent = arg;
  g_autoptr(WsRpcHostLoad) params = ws_rpc_host_load_new();
  params->load = ws_host_load_new();
  params->load->sampled = ws_clock_wall_us(all.clock);
  params->load->cpu_percent = (double)(g_random_int() % 1000) / 10;
  if (rpc_link_is_up(agent->link))
    rpc_notify(agent->link, &rpc_method_host_load, params);
  agent->load = ws_loop_after(all.loop, LOAD_US, tell_load, agent);
}

static void on_up(RpcLink *link, void *arg)
{
  ((Agent *)arg)->backoff_us = 0;
  all.n_up++;
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  Agent *agent = arg;
  static guint complaints;
  if (complaints++ < 3)
    (void)fprintf(stderr, "scale-agents: %s: %s\n", agent->name, reason);
  if (agent->backoff_us == 0 && all.n_up > 0)
    all.n_up--;
  if (agent->synced)
    all.n_synced--;
  agent->synced = false;
  agent->backoff_us = agent->backoff_us ? MIN(agent->backoff_us * 2, BACKOFF_MAX_US) : BACKOFF_MIN_US;
  ws_loop_after(all.loop, part_of(agent->backoff_us), dial, agent);
}

static const RpcEvents events = {on_up, on_down};

static void tell(void *arg)
{
  if (all.n_up != all.told_up || all.n_synced != all.told_synced)
    printf("up %u synced %u\n", all.n_up, all.n_synced);
  (void)fflush(stdout);
  all.told_up = all.n_up;
  all.told_synced = all.n_synced;
  ws_loop_after(all.loop, TELL_US, tell, NULL);
}

static void on_input(int fd, guint32 epoll_events, void *arg)
{
  exit(0);
}

/* ---- at start ---- */

static void read_truth(Agent *agent)
{
  g_autofree char *path = g_strdup_printf("%s/%s.truth", all.folder, agent->name), *text = NULL;
  g_autoptr(GError) error = NULL;
  if (!g_file_get_contents(path, &text, NULL, &error))
    kit_fail("%s", error->message);
  g_auto(GStrv) lines = g_strsplit(text, "\n", 3);
  agent->vms = ws_object_parse(&ws_type_rpc_vm_list_result, lines[0], strlen(lines[0]), WS_PARSE_RPC, &error);
  agent->files = agent->vms ? ws_object_parse(&ws_type_rpc_pool_refresh_result, lines[1], strlen(lines[1]), WS_PARSE_RPC, &error) : NULL;
  if (!agent->files)
    kit_fail("%s: %s", path, error->message);
}

static void add_agent(const char *file)
{
  static guint n_agents;
  Agent *agent = g_new0(Agent, 1);
  agent->name = g_strndup(file, strlen(file) - strlen(".truth"));
  agent->cert = g_strdup_printf("%s/%s.crt", all.folder, agent->name);
  read_truth(agent);
  agent->link = rpc_link_new(all.loop, services, G_N_ELEMENTS(services), &events, agent);
  rpc_link_set_peer(agent->link, "manager");
  agent->backoff_us = BACKOFF_MIN_US; /* not up yet */
  agent->url = all.urls[n_agents++ % 2]; /* one address may not have more than half of all connections */
  ws_loop_after(all.loop, part_of(2 * G_USEC_PER_SEC), dial, agent);
  agent->load = ws_loop_after(all.loop, part_of(2 * LOAD_US), tell_load, agent);
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (argc != 4)
    return 2;
  ws_log_init("scale-agents", WS_LOG_ERROR, NULL);
  all.clock = ws_clock_system();
  all.loop = ws_loop_new(all.clock);
  all.ca = argv[1];
  all.urls[0] = g_strdup_printf("wss://127.0.0.1:%s/api/v1/agent", argv[2]);
  all.urls[1] = g_strdup_printf("wss://[::1]:%s/api/v1/agent", argv[2]);
  all.folder = argv[3];
  all.key = g_build_filename(all.folder, "host.key", NULL);
  all.io = http_io_new(all.clock, &error);
  GDir *dir = all.io ? g_dir_open(all.folder, 0, &error) : NULL;
  if (!dir)
    kit_fail("%s", error->message);
  for (const char *name; (name = g_dir_read_name(dir));)
    if (g_str_has_suffix(name, ".truth"))
      add_agent(name);
  g_dir_close(dir);
  ws_loop_watch_fd(all.loop, 0, 1 /* EPOLLIN */, on_input, NULL);
  tell(NULL);
  ws_loop_run(all.loop);
  return 0;
}
