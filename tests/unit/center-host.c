// SPDX-License-Identifier: Apache-2.0
/* See center-host.h: the truth of a simulated host, and the wire to the manager. What the calls do is in center-host-serve.c. */
#include "center-host-private.h"
#include <string.h>

/* ---- the truth ---- */

HostDomain *host_find_domain(HostTruth *truth, const char *uuid)
{
  for (guint i = 0; i < HOST_DOMAINS; i++)
    if (truth->domains[i].there && strcmp(truth->domains[i].uuid, uuid) == 0)
      return &truth->domains[i];
  return NULL;
}

HostFile *host_find_file(HostDisks *disks, WsId pool, const char *file)
{
  for (guint i = 0; i < HOST_FILES; i++)
    if (disks->files[i].there && disks->files[i].pool == pool && strcmp(disks->files[i].file, file) == 0)
      return &disks->files[i];
  return NULL;
}

HostPool *host_find_pool(HostTruth *truth, WsId pool)
{
  for (guint i = 0; i < HOST_POOLS; i++)
    if (truth->pools[i].there && truth->pools[i].pool == pool)
      return &truth->pools[i];
  return NULL;
}

HostNet *host_find_net(HostTruth *truth, bool is_group, WsId id)
{
  for (guint i = 0; i < HOST_NETS; i++)
    if (truth->nets[i].there && truth->nets[i].is_group == is_group && truth->nets[i].id == id)
      return &truth->nets[i];
  return NULL;
}

guint host_count_domains(const HostTruth *truth)
{
  guint n = 0;
  for (guint i = 0; i < HOST_DOMAINS; i++)
    n += truth->domains[i].there;
  return n;
}

guint host_count_files(const HostDisks *disks)
{
  guint n = 0;
  for (guint i = 0; i < HOST_FILES; i++)
    n += disks->files[i].there;
  return n;
}

/* Places are found and emptied the same way, so that a truth that was taken back is equal byte by byte. */
#define NEW_PLACE(places, n)                                                                                           \
  for (guint i = 0; i < (n); i++)                                                                                      \
    if (!(places)[i].there) {                                                                                          \
      (places)[i].there = true;                                                                                        \
      return &(places)[i];                                                                                             \
    }                                                                                                                  \
  g_assert_not_reached()

HostDomain *host_new_domain(HostTruth *truth)
{
  NEW_PLACE(truth->domains, HOST_DOMAINS);
}

HostFile *host_new_file(HostDisks *disks)
{
  NEW_PLACE(disks->files, HOST_FILES);
}

HostPool *host_new_pool(HostTruth *truth)
{
  NEW_PLACE(truth->pools, HOST_POOLS);
}

HostNet *host_new_net(HostTruth *truth)
{
  NEW_PLACE(truth->nets, HOST_NETS);
}

void host_put_upload(HostDisks *disks, WsId pool, const char *file, gint64 bytes)
{
  HostFile *f = host_new_file(disks);
  f->partial = true;
  f->pool = pool;
  f->size_bytes = f->received_bytes = bytes;
  f->content = ++disks->last_content;
  g_strlcpy(f->file, file, sizeof f->file);
}

void host_set_space(HostDisks *disks, WsId pool, gint64 capacity_bytes, gint64 others_bytes)
{
  guint at = 0;
  while (disks->spaces[at].pool && disks->spaces[at].pool != pool)
    g_assert_cmpuint(++at, <, HOST_POOLS);
  disks->spaces[at].pool = pool;
  disks->spaces[at].capacity_bytes = capacity_bytes;
  disks->spaces[at].others_bytes = others_bytes;
}

gint64 host_free_bytes(const HostDisks *disks, WsId pool)
{
  gint64 bytes = (gint64)1 << 39;
  for (guint i = 0; i < HOST_POOLS; i++)
    if (disks->spaces[i].pool == pool)
      bytes = disks->spaces[i].capacity_bytes - disks->spaces[i].others_bytes;
  for (guint i = 0; i < HOST_FILES; i++)
    if (disks->files[i].there && disks->files[i].pool == pool)
      bytes -= disks->files[i].allocated_bytes;
  return bytes;
}

void host_put_stranger(HostTruth *truth, const char *uuid, const char *name)
{
  HostDomain *d = host_new_domain(truth);
  g_strlcpy(d->uuid, uuid, sizeof d->uuid);
  g_strlcpy(d->name, name, sizeof d->name);
  d->power = WS_POWER_STATE_OFF;
  g_snprintf(d->spec, sizeof d->spec,
             "{\"name\":\"%s\",\"uuid\":\"%s\",\"architecture\":\"x86_64\",\"cpu\":{\"vcpus\":1},\"memory_bytes\":67108864}", name, uuid);
}

WsVmSpec *host_spec(const HostDomain *d)
{
  g_autoptr(GError) error = NULL;
  WsVmSpec *spec = ws_vm_spec_parse(d->spec, strlen(d->spec), WS_PARSE_RPC, &error);
  g_assert_no_error(error);
  return spec;
}

bool host_is_on(const HostDomain *d)
{
  return d->power == WS_POWER_STATE_RUNNING || d->power == WS_POWER_STATE_PAUSED;
}

const char *host_shared_file(const HostTruth *hosts, guint n, char *buffer)
{
  g_autoptr(GHashTable) open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < n * HOST_DOMAINS; i++) {
    const HostDomain *d = &hosts[i / HOST_DOMAINS].domains[i % HOST_DOMAINS];
    if (d->arrived) /* it stands still, whatever it is called */
      continue;
    g_autoptr(WsVmSpec) spec = d->there && host_is_on(d) ? host_spec(d) : NULL;
    for (guint j = 0; spec && j < spec->disks.len; j++) {
      const WsVmSpecDisk *disk = spec->disks.items[j];
      if (disk->shared || disk->read_only || !disk->file)
        continue;
      if (!g_hash_table_add(open, g_strdup(disk->file)))
        return strncpy(buffer, disk->file, 207);
    }
  }
  return NULL;
}

/* ---- the wire: two links in one process ---- */

typedef struct {
  HostSim *sim;
  RpcLink *to;
  guint64 generation;
  GBytes *message;
} Packet;

static void deliver(void *arg)
{
  Packet *packet = arg;
  gsize n;
  const char *bytes = g_bytes_get_data(packet->message, &n);
  if (packet->generation == packet->sim->generation)
    rpc_link_received(packet->to, bytes, n);
  rpc_link_unref(packet->to);
  g_bytes_unref(packet->message);
  g_free(packet);
}

/* Carrier argument: which end sends. */
static bool wire_send(void *arg, GBytes *message)
{
  WireEnd *end = arg;
  HostSim *sim = end->sim;
  Packet *packet = g_new(Packet, 1);
  if (end->generation != sim->generation) {
    g_free(packet);
    return true;
  }
  RpcLink *to = end->is_manager ? sim->link : sim->manager_end;
  *packet = (Packet){sim, rpc_link_ref(to), sim->generation, g_bytes_ref(message)};
  ws_loop_after(sim->loop, HOST_WIRE_US, deliver, packet);
  return true;
}

static void cut_soon(void *arg)
{
  host_sim_cut(arg);
}

/* One side closes: the other loses the link too. */
static void wire_close(void *arg, const char *reason)
{
  WireEnd *end = arg;
  if (reason && end->generation == end->sim->generation)
    ws_loop_after(end->sim->loop, 0, cut_soon, end->sim);
}

static const RpcCarrier wire = {wire_send, wire_close, NULL};

void host_sim_connect(HostSim *sim, RpcLink *manager_end)
{
  host_sim_cut(sim);
  sim->generation++;
  sim->manager_end = rpc_link_ref(manager_end);
  sim->connected = true;
  /* Ends live as long as the simulation: a link may speak of its carrier after it was cut. */
  WireEnd *ends = g_new(WireEnd, 2);
  g_ptr_array_add(sim->ends, ends);
  ends[0] = (WireEnd){sim, sim->generation, true};
  ends[1] = (WireEnd){sim, sim->generation, false};
  rpc_link_opened(manager_end, &wire, &ends[0]);
  rpc_link_opened(sim->link, &wire, &ends[1]);
}

void host_sim_cut(HostSim *sim)
{
  if (!sim->connected)
    return;
  sim->connected = false;
  sim->generation++;
  g_autoptr(RpcLink) manager_end = g_steal_pointer(&sim->manager_end);
  rpc_link_lost(manager_end, "cut");
  rpc_link_lost(sim->link, "cut");
}

bool host_sim_is_connected(const HostSim *sim)
{
  return sim->connected && rpc_link_is_up(sim->link);
}

static void make_link(HostSim *sim, const char *const *unknown)
{
  static const RpcEvents events = {NULL, NULL};
  guint n = 0;
  for (guint i = 0; i < host_n_services + host_n_move_services; i++) {
    RpcService service = i < host_n_services ? host_services[i] : host_move_services[i - host_n_services];
    if (!unknown || !g_strv_contains(unknown, service.method->name))
      sim->services[n++] = service;
  }
  sim->link = rpc_link_new(sim->loop, sim->services, n, &events, sim);
  rpc_link_set_peer(sim->link, "manager");
}

void host_sim_set_version(HostSim *sim, const char *version, const char *const *unknown)
{
  host_sim_cut(sim);
  rpc_link_unref(sim->link);
  sim->services = g_new(RpcService, host_n_services + host_n_move_services); /* the old ones may be at work yet */
  sim->version = version;
  make_link(sim, unknown);
}

void host_sim_report_load(HostSim *sim, bool libvirt_down)
{
  g_autoptr(WsRpcHostLoad) params = ws_rpc_host_load_new();
  params->load = ws_host_load_new();
  params->load->libvirt_down = libvirt_down;
  params->load->sampled = ws_clock_wall_us(ws_loop_clock(sim->loop)) + sim->ahead_us;
  rpc_host_load(sim->link, params);
}

void host_sim_forget_start_order(HostSim *sim, bool forget)
{
  sim->knows_no_start_order = forget;
}

void host_sim_delay_checks(HostSim *sim, gint64 us)
{
  sim->check_late_us = us;
}

void host_sim_set_clock(HostSim *sim, gint64 ahead_us)
{
  sim->ahead_us = ahead_us;
}

void host_sim_set_power(HostSim *sim, const char *uuid, int power, const char *reason)
{
  HostDomain *d = host_find_domain(sim->truth, uuid);
  d->power = power;
  memset(d->reason, 0, sizeof d->reason);
  g_strlcpy(d->reason, reason, sizeof d->reason);
  if (host_sim_is_connected(sim))
    host_tell(sim, uuid, d, power == WS_POWER_STATE_OFF ? WS_RPC_VM_EVENT_KIND_STOPPED : WS_RPC_VM_EVENT_KIND_PAUSED, false);
}

void host_sim_report_pool(HostSim *sim, WsId pool, bool full)
{
  g_autoptr(WsRpcPoolChanged) params = ws_rpc_pool_changed_new();
  params->pool = pool;
  params->status = ws_pool_status_new();
  params->status->state = full ? WS_POOL_STATUS_STATE_FULL : WS_POOL_STATUS_STATE_ACTIVE;
  params->status->capacity_bytes = 1 << 30;
  params->status->available_bytes = full ? 0 : 1 << 29;
  rpc_pool_changed(sim->link, params);
}

HostSim *host_sim_new(WsLoop *loop, const char *name, HostTruth *truth, HostDisks *disks, HostAct act, void *arg)
{
  HostSim *sim = g_new0(HostSim, 1);
  *sim = (HostSim){.loop = loop, .name = g_strdup(name), .truth = truth, .disks = disks, .act = act, .arg = arg};
  sim->ends = g_ptr_array_new_with_free_func(g_free);
  sim->services = g_new(RpcService, host_n_services + host_n_move_services);
  make_link(sim, NULL);
  ws_loop_after(loop, HOST_GOODBYE_US, host_end_guests, sim); /* asked while another process was the host */
  ws_loop_after(loop, HOST_MOVE_US, host_end_moves, sim);
  return sim;
}

void host_sim_meet(HostSim *a, HostSim *b)
{
  a->peer = b;
  b->peer = a;
}

void host_sim_free(HostSim *sim)
{
  if (!sim)
    return;
  host_sim_cut(sim);
  rpc_link_unref(sim->link);
  g_ptr_array_unref(sim->ends);
  g_free(sim->services);
  g_free(sim->name);
  g_free(sim);
}

void host_sim_delay(HostSim *sim, gint64 lists_us, gint64 events_us)
{
  sim->list_late_us = lists_us;
  sim->event_late_us = events_us;
}
