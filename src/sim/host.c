// SPDX-License-Identifier: Apache-2.0
/* A simulated host's life: power, agent, link. See host.h. */
#include "sim/host.h"
#include "rpc/methods.h"
#include <string.h>

#define LOAD_US (10 * G_USEC_PER_SEC)
#define STEP_US (200 * 1000) /* between two signs of progress */
#define OLDER_NODE  3
#define OLDER_EVERY 8 /* seeds */

SimHost *sim_host_new(SimWorld *world, SimNet *net, guint node, const char *name)
{
  SimHost *host = g_new0(SimHost, 1);
  host->world = world;
  host->net = net;
  host->node = node;
  host->name = g_strdup(name);
  host->machine = sim_machine_new(world, name);
  sim_random_seed(&host->random, sim_world_seed(world), 1000 + node);
  host->faults.call_us = 3000;
  host->faults.call_most_us = 20000;
  host->is_older = node == OLDER_NODE && sim_world_seed(world) % OLDER_EVERY == 0;
  host->domains = g_ptr_array_new();
  host->folders = g_ptr_array_new();
  host->pools = g_ptr_array_new();
  host->switches = g_ptr_array_new();
  host->groups = g_ptr_array_new();
  sim_host_move_know(host);
  return host;
}

void sim_host_enrol(SimHost *host, WsId id, const char *serial)
{
  host->id = id;
  g_free(host->serial);
  host->serial = g_strdup(serial);
}

void sim_host_set_faults(SimHost *host, const SimHostFaults *faults)
{
  host->faults = *faults;
}

void sim_host_note(SimHost *host, const char *format, ...)
{
  va_list list;
  va_start(list, format);
  g_autofree char *text = g_strdup_vprintf(format, list);
  va_end(list);
  sim_note(host->world, "%s: %s", host->name, text);
}

/* ---- looking ---- */

SimPool *sim_host_find_pool(const SimHost *host, WsId id)
{
  for (guint i = 0; i < host->pools->len; i++)
    if (((SimPool *)host->pools->pdata[i])->id == id)
      return host->pools->pdata[i];
  return NULL;
}

SimFolder *sim_host_find_folder(const SimHost *host, const char *path)
{
  for (guint i = 0; i < host->folders->len; i++)
    if (strcmp(((SimFolder *)host->folders->pdata[i])->path, path) == 0)
      return host->folders->pdata[i];
  return NULL;
}

SimApplied *sim_applied_find(const GPtrArray *list, WsId id)
{
  for (guint i = 0; i < list->len; i++)
    if (((SimApplied *)list->pdata[i])->id == id)
      return list->pdata[i];
  return NULL;
}

/* ---- the work of a call ---- */

SimHost *sim_host_of_call(RpcCall *call)
{
  return rpc_link_arg(rpc_call_link(call));
}

static bool fail_perhaps(SimHost *host, GError **error)
{
  if (!sim_chance(&host->random, host->faults.call_fails))
    return true;
  sim_host_note(host, "call fails");
  return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", host->name, "operation", "do it", "cause", "simulated", NULL);
}

/* ---- one after the other ---- */

typedef struct {
  WsCo *co;
  bool turn;
} Waiting;

static void enter_line(SimHost *host, const char *key)
{
  GQueue *line = key ? g_hash_table_lookup(host->lines, key) : NULL;
  Waiting waiting = {ws_co_self(), false};
  if (!key)
    return;
  if (!line) {
    g_hash_table_insert(host->lines, g_strdup(key), g_queue_new());
    return;
  }
  g_queue_push_tail(line, &waiting);
  while (!waiting.turn)
    ws_co_yield();
}

static void leave_line(SimHost *host, const char *key)
{
  GQueue *line = key ? g_hash_table_lookup(host->lines, key) : NULL;
  Waiting *next = line ? g_queue_pop_head(line) : NULL;
  if (next) {
    next->turn = true;
    ws_co_wake(next->co);
  } else if (key) {
    g_hash_table_remove(host->lines, key);
  }
}

const char *sim_host_key(const char *prefix, WsId id)
{
  static char key[WS_ID_TEXT_MAX];
  return ws_id_format(prefix, id, key);
}

bool sim_host_work(SimHost *host, RpcCall *call, const char *key, GError **error)
{
  g_autofree char *own = g_strdup(key);
  enter_line(host, own);
  ws_co_sleep(sim_delay(&host->random, host->faults.call_us, host->faults.call_most_us));
  leave_line(host, own);
  return fail_perhaps(host, error);
}

static bool work_long(SimHost *host, RpcCall *call, gint64 bytes, GError **error)
{
  guint steps = (guint)sim_between(&host->random, 1, 8);
  for (guint i = 0; i < steps; i++) {
    ws_co_sleep(sim_delay(&host->random, STEP_US, STEP_US * 10));
    if (*rpc_call_cancelled(call))
      return ws_fail(error, WS_ERROR_CANCELLED, NULL);
    if (!fail_perhaps(host, error))
      return false;
    rpc_call_progress(call, bytes / steps * (i + 1), bytes, "bytes");
  }
  return true;
}

bool sim_host_work_long(SimHost *host, RpcCall *call, const char *key, gint64 bytes, GError **error)
{
  g_autofree char *own = g_strdup(key);
  enter_line(host, own);
  bool ok = work_long(host, call, bytes, error);
  leave_line(host, own);
  return ok;
}

/* ---- what the host says of itself ---- */

static WsHostFacts *facts_of(SimHost *host)
{
  WsHostFacts *facts = ws_host_facts_new();
  facts->hostname = g_strdup(host->name);
  facts->architecture = WS_ARCHITECTURE_X86_64;
  facts->memory_bytes = G_GINT64_CONSTANT(64) << 30;
  facts->cpu = ws_host_cpu_new();
  facts->cpu->threads = 16;
  facts->cpu->cores = 8;
  facts->virtualisation = ws_host_virtualisation_new();
  facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_KVM;
  facts->versions = ws_host_versions_new();
  facts->versions->agent = g_strdup(host->is_older ? "0.0.9" : WS_VERSION);
  return facts;
}

static bool serve_facts(RpcCall *call, const void *params, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, NULL, error))
    return false;
  WsRpcHostFactsResult *facts = ws_rpc_host_facts_result_new();
  facts->facts = facts_of(host);
  *result = facts;
  return true;
}

/* ---- power and firewall of the machine ---- */

static void press_button(void *arg)
{
  sim_host_power_on(arg);
}

static void go_down(void *arg)
{
  SimHost *host = arg;
  sim_host_power_off(host);
  sim_after(host->world, sim_between(&host->random, 2 * G_USEC_PER_SEC, 20 * G_USEC_PER_SEC), press_button, host);
}

static bool serve_power_off(RpcCall *call, const void *arg, void **result, GError **error)
{
  const WsRpcHostPowerOff *params = arg;
  SimHost *host = sim_host_of_call(call);
  if (!sim_host_work(host, call, "power", error))
    return false;
  for (guint i = 0; !params->force && i < host->domains->len; i++)
    if (sim_domain_is_on(host->domains->pdata[i]))
      return ws_fail(error, WS_ERROR_HOST_NOT_EMPTY, "object", host->name, "vms", "1", "names", ((SimDomain *)host->domains->pdata[i])->name,
                     NULL);
  sim_host_note(host, params->reboot ? "restarts" : "shuts down");
  sim_after(host->world, 100 * 1000, go_down, host); /* not under the handler's feet */
  return true;
}

static bool serve_wake(RpcCall *call, const void *arg, void **result, GError **error)
{
  return sim_host_work(sim_host_of_call(call), call, NULL, error); /* somebody presses the button anyway */
}

static bool serve_firewall(RpcCall *call, const void *arg, void **result, GError **error)
{
  SimHost *host = sim_host_of_call(call);
  gsize n;
  if (!sim_host_work(host, call, "firewall", error))
    return false;
  g_free(host->firewall);
  host->firewall = ws_object_to_json(&ws_type_rpc_host_firewall, arg, WS_WRITE_PEER, &n);
  return true;
}

static const RpcService own_services[] = {{&rpc_method_host_facts, serve_facts},
                                          {&rpc_method_host_power_off, serve_power_off},
                                          {&rpc_method_host_wake, serve_wake},
                                          {&rpc_method_host_firewall, serve_firewall}};

static void tell_load(void *arg)
{
  SimHost *host = arg;
  g_autoptr(WsRpcHostLoad) params = ws_rpc_host_load_new();
  params->load = ws_host_load_new();
  params->load->sampled = ws_clock_wall_us(&host->machine->clock);
  host->load = sim_after(host->world, LOAD_US, tell_load, host);
  if (!host->machine->paused)
    rpc_notify(host->link, &rpc_method_host_load, params);
}

/* ---- the link ---- */

static void dial(void *arg);

static void dial_later(SimHost *host)
{
  sim_cancel(host->dial);
  host->dial = sim_after(host->world, sim_between(&host->random, 200 * 1000, 3 * G_USEC_PER_SEC), dial, host);
}

static bool carrier_send(void *carrier, GBytes *message)
{
  SimHost *host = carrier;
  if (!host->conn)
    return false;
  sim_conn_send(host->conn, message);
  return true;
}

static void carrier_close(void *carrier, const char *reason)
{
  SimHost *host = carrier;
  sim_conn_drop(g_steal_pointer(&host->conn), true);
}

static gsize carrier_queued(void *carrier)
{
  SimHost *host = carrier;
  return host->conn ? sim_conn_queued(host->conn) : 0;
}

static const RpcCarrier carrier = {carrier_send, carrier_close, carrier_queued};

/* What arrives is taken up by the agent's loop, when it runs. */
typedef struct {
  SimHost *host;
  SimConn *conn; /* the one that it came on: another one since then drops it */
  GBytes *message;
  char *reason;
} Arrival;

static void free_arrival(void *arg)
{
  Arrival *arrival = arg;
  g_clear_pointer(&arrival->message, g_bytes_unref);
  g_free(arrival->reason);
  g_free(arrival);
}

static void post(SimHost *host, SimConn *conn, WsLoopFunc func, GBytes *message, const char *reason)
{
  Arrival *arrival = g_new0(Arrival, 1);
  *arrival = (Arrival){host, conn, message ? g_bytes_ref(message) : NULL, g_strdup(reason)};
  ws_loop_post(host->loop, func, arrival, free_arrival);
}

static void take_opened(void *arg)
{
  const Arrival *arrival = arg;
  if (arrival->host->conn == arrival->conn)
    rpc_link_opened(arrival->host->link, &carrier, arrival->host);
}

static void take_message(void *arg)
{
  const Arrival *arrival = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(arrival->message, &n);
  if (arrival->host->conn == arrival->conn)
    rpc_link_received(arrival->host->link, bytes, n);
}

static void take_lost(void *arg)
{
  const Arrival *arrival = arg;
  SimHost *host = arrival->host;
  if (host->conn != arrival->conn)
    return;
  bool was_open = rpc_link_is_up(host->link);
  rpc_link_lost(host->link, arrival->reason);
  if (host->conn == arrival->conn)
    sim_conn_drop(g_steal_pointer(&host->conn), true);
  if (!was_open)
    dial_later(host);
}

static void on_conn_upgraded(SimConn *conn, void *arg)
{
  post(arg, conn, take_opened, NULL, NULL);
}

static void on_conn_message(SimConn *conn, GBytes *message, void *arg)
{
  post(arg, conn, take_message, message, NULL);
}

static void on_conn_answered(SimConn *conn, int status, const char *etag, const char *location, GBytes *body, void *arg)
{
  sim_host_note(arg, "agent refused with %d", status);
  post(arg, conn, take_lost, NULL, "refused");
}

static void on_conn_lost(SimConn *conn, const char *reason, void *arg)
{
  post(arg, conn, take_lost, NULL, reason);
}

static const SimConnEvents conn_events = {
    .answered = on_conn_answered, .upgraded = on_conn_upgraded, .message = on_conn_message, .lost = on_conn_lost};

static void dial(void *arg)
{
  SimHost *host = arg;
  char cn[WS_ID_TEXT_MAX];
  host->dial = NULL;
  if (host->conn || !host->serial)
    return;
  const char *const headers[] = {"connection", "upgrade",      "upgrade", "websocket", "sec-websocket-version", "13",
                                 "sec-websocket-key", "c2ltdWxhdGVkIGtleSAxMg==", NULL};
  g_autofree char *address = g_strdup_printf("10.0.0.%u", host->node);
  HttpLocalRequest request = {.method = "GET",
                              .target = "/api/v1/agent",
                              .headers = headers,
                              .address = address,
                              .cn = ws_id_format("host", host->id, cn),
                              .serial = host->serial};
  host->conn = sim_net_request(host->net, host->node, &request, &conn_events, host);
}

static void on_up(RpcLink *link, void *arg)
{
  SimHost *host = arg;
  sim_host_note(host, "link is up");
}

static void on_down(RpcLink *link, const char *reason, void *arg)
{
  SimHost *host = arg;
  sim_host_note(host, "link is down: %s", reason);
  dial_later(host);
}

static const RpcEvents link_events = {.up = on_up, .down = on_down};

/* ---- the agent ---- */

static bool knows(bool is_older, const RpcMethod *method)
{
  static const RpcMethod *const newer[] = {&rpc_method_vm_reset, &rpc_method_vm_disk_resize, &rpc_method_volume_clone, &rpc_method_vm_hibernate};
  for (guint i = 0; is_older && i < G_N_ELEMENTS(newer); i++)
    if (newer[i] == method)
      return false;
  return true;
}

static const RpcService *all_services(bool is_older, guint *n)
{
  static GArray *lists[2];
  GArray **all = &lists[is_older];
  if (!*all) {
    const SimServices parts[] = {sim_host_move_services(), sim_host_vm_services(), sim_host_storage_services(), sim_host_network_services(),
                                 {own_services, G_N_ELEMENTS(own_services)}};
    *all = g_array_new(FALSE, FALSE, sizeof(RpcService));
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
      for (guint k = 0; k < parts[i].n; k++)
        if (knows(is_older, parts[i].services[k].method))
          g_array_append_val(*all, parts[i].services[k]);
  }
  *n = (*all)->len;
  return (const RpcService *)(void *)(*all)->data;
}

void sim_host_start_agent(SimHost *host)
{
  guint n;
  if (!host->powered || host->loop)
    return;
  const RpcService *services = all_services(host->is_older, &n);
  sim_host_note(host, "agent starts");
  host->starts++;
  host->lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_queue_free);
  host->sequence = 0;
  host->looks = 0;
  host->loop = ws_loop_new(&host->machine->clock);
  ws_loop_step(host->loop, 0); /* its thread is ours */
  sim_machine_run(host->machine, host->loop);
  host->link = rpc_link_new(host->loop, services, n, &link_events, host);
  rpc_link_set_peer(host->link, "manager");
  dial_later(host);
  host->load = sim_after(host->world, LOAD_US, tell_load, host);
}

/* Its coroutines and what they hold are gone; the link's memory with them. */
static void end_agent(SimHost *host, bool told)
{
  if (!host->loop)
    return;
  sim_host_moves_break(host);
  sim_cancel(g_steal_pointer(&host->dial));
  sim_cancel(g_steal_pointer(&host->load));
  sim_conn_drop(g_steal_pointer(&host->conn), told);
  sim_machine_stop(host->machine, host->loop);
  ws_loop_free(g_steal_pointer(&host->loop));
  g_clear_pointer(&host->lines, g_hash_table_unref);
  host->link = NULL;
}

void sim_host_stop_agent(SimHost *host)
{
  if (!host->loop)
    return;
  sim_host_note(host, "agent killed");
  end_agent(host, true);
}

void sim_host_power_on(SimHost *host)
{
  if (host->powered)
    return;
  sim_host_note(host, "power on");
  host->powered = true;
  host->machine->paused = false;
  sim_host_start_agent(host);
}

void sim_host_power_off(SimHost *host)
{
  if (!host->powered)
    return;
  sim_host_note(host, "power lost");
  end_agent(host, false);
  host->powered = false;
  host->machine->paused = false;
  sim_host_guests_die(host);
}
