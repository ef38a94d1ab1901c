// SPDX-License-Identifier: Apache-2.0
/* The node in the agent: facts on demand and when devices change, load every few seconds.
 *
 * Reading takes milliseconds and may wait for a slow device: it is done on workers, one job at a time (by key). Several messages of
 * the kernel in a row (a dock, a NIC's virtual functions) become one reading. Jobs outlive the room's stop by a moment: each holds
 * a reference. */
#include "base/error.h"
#include "host/agent.h"
#include "host/hypervisor/hypervisor.h"
#include "host/node/node.h"
#include "rpc/methods.h"
#include <sys/epoll.h>
#include <unistd.h>

#define LOAD_INTERVAL_US (5 * G_USEC_PER_SEC)
#define LIBVIRT_MISSES 3 /* reports of load in a row without it: a restart of libvirtd is quicker, and so is the first look of an agent */
#define SETTLE_US (G_USEC_PER_SEC)
#define WORKER_KEY "node"
#define FACTS_DEADLINE_MS 25000

struct Node {
  gint refs;
  Agent *agent;
  gint stopped;
  NodeSampler *sampler; /* jobs only */
  WsHostFacts *told;    /* what the manager knows; jobs only */
  /* core loop */
  int uevent_fd;
  WsFdWatch *uevent_watch;
  WsTimer *load_timer, *settle_timer;
  gint libvirt_misses; /* written there, read by jobs */
  /* under lock */
  GMutex lock;
  char *versions[N_NODE_VERSIONS];
  WsHostGuestCpu *guest_cpu; /* NULL: nobody has told */
};

static Node *node_ref(Node *node)
{
  g_atomic_int_inc(&node->refs);
  return node;
}

static void node_unref(void *arg)
{
  Node *node = arg;
  if (!g_atomic_int_dec_and_test(&node->refs))
    return;
  node_sampler_free(node->sampler);
  ws_host_facts_free(node->told);
  for (guint i = 0; i < N_NODE_VERSIONS; i++)
    g_free(node->versions[i]);
  ws_host_guest_cpu_free(node->guest_cpu);
  g_mutex_clear(&node->lock);
  g_free(node);
}

/* ---- facts ---- */

static WsHostFacts *read_facts(Node *node)
{
  WsHostFacts *facts = node_read_facts("");
  g_mutex_lock(&node->lock);
  facts->versions->libvirt = g_strdup(node->versions[NODE_LIBVIRT]);
  facts->versions->qemu = g_strdup(node->versions[NODE_QEMU]);
  facts->versions->ovs = g_strdup(node->versions[NODE_OVS]);
  facts->guest_cpu = node->guest_cpu ? ws_host_guest_cpu_copy(node->guest_cpu) : NULL;
  g_mutex_unlock(&node->lock);
  return facts;
}

typedef struct {
  Node *node;
  WsHostFacts *facts;
} Read;

static void read_free(void *arg)
{
  Read *r = arg;
  ws_host_facts_free(r->facts);
  node_unref(r->node);
  g_free(r);
}

static bool run_read(AgentJob *job, void *arg, GError **error)
{
  Read *r = arg;
  r->facts = read_facts(r->node);
  return true;
}

bool serve_host_facts(RpcCall *call, WsRpcHostFactsResult **result, GError **error)
{
  Read *r = g_new0(Read, 1);
  r->node = node_ref(agent_of_call(call)->node);
  if (!agent_blocking(call, run_read, r, read_free, FACTS_DEADLINE_MS, error))
    return false;
  *result = ws_rpc_host_facts_result_new();
  (*result)->facts = g_steal_pointer(&r->facts);
  read_free(r);
  return true;
}

typedef struct {
  WsHostPackages *packages;
} ReadPackages;

static void read_packages_free(void *arg)
{
  ReadPackages *r = arg;
  ws_host_packages_free(r->packages);
  g_free(r);
}

static bool run_read_packages(AgentJob *job, void *arg, GError **error)
{
  ((ReadPackages *)arg)->packages = node_read_packages("");
  return true;
}

bool serve_host_packages(RpcCall *call, WsRpcHostPackagesResult **result, GError **error)
{
  ReadPackages *r = g_new0(ReadPackages, 1);
  if (!agent_blocking(call, run_read_packages, r, read_packages_free, FACTS_DEADLINE_MS, error))
    return false;
  *result = ws_rpc_host_packages_result_new();
  (*result)->packages = g_steal_pointer(&r->packages);
  read_packages_free(r);
  return true;
}

/* Free counts of huge pages change with every VM; they are in load's interest, not news. */
static bool is_news(const WsHostFacts *before, const WsHostFacts *now)
{
  if (!before)
    return true;
  g_autoptr(WsHostFacts) a = ws_host_facts_copy(before), b = ws_host_facts_copy(now);
  WsHostFacts *both[] = {a, b};
  for (guint i = 0; i < 2; i++)
    for (guint n = 0; n < both[i]->numa_nodes.len; n++)
      for (guint h = 0; h < both[i]->numa_nodes.items[n]->hugepages.len; h++)
        both[i]->numa_nodes.items[n]->hugepages.items[h]->free = 0;
  return !ws_host_facts_equal(a, b);
}

static void tell_facts(void *arg)
{
  Node *node = arg;
  g_autoptr(WsHostFacts) facts = read_facts(node);
  if (!g_atomic_int_get(&node->stopped) && is_news(node->told, facts)) {
    WsRpcHostFactsChanged *params = ws_rpc_host_facts_changed_new();
    params->facts = ws_host_facts_copy(facts);
    agent_notify(node->agent, &rpc_method_host_facts_changed, params);
    ws_host_facts_free(node->told);
    node->told = g_steal_pointer(&facts);
  }
  node_unref(node);
}

static void on_settled(void *arg)
{
  Node *node = arg;
  node->settle_timer = NULL;
  ws_workers_run(node->agent->workers, WORKER_KEY, tell_facts, node_ref(node));
}

static void look_soon(void *arg)
{
  Node *node = arg;
  if (!node->settle_timer && !g_atomic_int_get(&node->stopped))
    node->settle_timer = ws_loop_after(node->agent->loop, SETTLE_US, on_settled, node);
}

static void on_uevent(int fd, guint32 epoll_events, void *arg)
{
  if (node_uevents_drain(fd))
    look_soon(arg);
}

void node_tell_version(Node *node, NodeVersion what, const char *version)
{
  g_mutex_lock(&node->lock);
  bool changed = g_strcmp0(node->versions[what], version) != 0;
  if (changed) {
    g_free(node->versions[what]);
    node->versions[what] = g_strdup(version);
  }
  g_mutex_unlock(&node->lock);
  if (changed)
    ws_loop_post(node->agent->loop, look_soon, node_ref(node), node_unref);
}

void node_tell_guest_cpu(Node *node, WsHostGuestCpu *cpu)
{
  g_mutex_lock(&node->lock);
  ws_host_guest_cpu_free(node->guest_cpu);
  node->guest_cpu = cpu;
  g_mutex_unlock(&node->lock);
  ws_loop_post(node->agent->loop, look_soon, node_ref(node), node_unref);
}

/* ---- load ---- */

static void tell_load(void *arg)
{
  Node *node = arg;
  if (!g_atomic_int_get(&node->stopped)) {
    WsRpcHostLoad *params = ws_rpc_host_load_new();
    params->load = node_sampler_take(node->sampler);
    params->load->libvirt_down = g_atomic_int_get(&node->libvirt_misses) == LIBVIRT_MISSES;
    agent_notify(node->agent, &rpc_method_host_load, params);
  }
  node_unref(node);
}

static void on_load_timer(void *arg)
{
  Node *node = arg;
  node->load_timer = ws_loop_after(node->agent->loop, LOAD_INTERVAL_US, on_load_timer, node);
  bool there = !node->agent->hypervisor || hypervisor_wait_ready(node->agent->hypervisor, 0);
  g_atomic_int_set(&node->libvirt_misses, there ? 0 : MIN(node->libvirt_misses + 1, LIBVIRT_MISSES));
  if (rpc_link_is_up(node->agent->link))
    ws_workers_run(node->agent->workers, WORKER_KEY, tell_load, node_ref(node));
}

/* ---- the room ---- */

bool node_room_start(Agent *agent, GError **error)
{
  Node *node = agent->node = g_new0(Node, 1);
  node->refs = 1;
  node->agent = agent;
  g_mutex_init(&node->lock);
  node->sampler = node_sampler_new("", agent->clock);
  node->uevent_fd =
      node_uevents_open(); /* not everywhere allowed: then devices show with the next connect or sync */
  if (node->uevent_fd >= 0)
    node->uevent_watch = ws_loop_watch_fd(agent->loop, node->uevent_fd, EPOLLIN, on_uevent, node);
  node->load_timer = ws_loop_after(agent->loop, LOAD_INTERVAL_US, on_load_timer, node);
  return true;
}

/* The manager asks for facts when a host connects; load need not wait for its turn. */
void node_room_link_up(Agent *agent)
{
  ws_workers_run(agent->workers, WORKER_KEY, tell_load, node_ref(agent->node));
}

void node_room_stop(Agent *agent)
{
  Node *node = agent->node;
  if (!node)
    return;
  agent->node = NULL;
  g_atomic_int_set(&node->stopped, 1);
  ws_timer_cancel(node->load_timer);
  ws_timer_cancel(node->settle_timer);
  ws_fd_watch_remove(node->uevent_watch);
  if (node->uevent_fd >= 0)
    close(node->uevent_fd);
  node_unref(node);
}
