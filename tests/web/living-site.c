// SPDX-License-Identifier: Apache-2.0
/* A manager with a living estate for the tests of the console: the real wincenterd in one process with simulated hosts (tests/unit/center-host),
 * so that a browser meets the real API, watch and files, and VMs start, stop and show load without any hypervisor.
 *
 *   living-site DIR WEB HOSTS
 *
 * Prints "port N", then "ready" when its hosts are connected. Reads commands from its standard input, one a line, and answers each with "ok" or
 * "no": `cut HOST`, `connect HOST`, `uploaded VOLUME BYTES` (the bytes of an upload are there), `stranger HOST NAME` (somebody defined a VM
 * by hand), `alarm TYPE-ID LEVEL KIND`, `filled POOL GIB` (that is its size, and its files take all that they may), `end VM [REASON]` (its QEMU is gone, behind the
 * manager's back), `past HOURS` (load was measured for so long, as long as nothing else has been noted), `still` (load stays as it is at one beat of the pulse, the same each time). Ends with its input. */
#include "base/log.h"
#include "center-host.h"
#include "center/center.h"
#include "center/hosts/hosts.h"
#include "center/monitor/history.h"
#include "inventory/typed.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PULSE_US ((gint64)2 * G_USEC_PER_SEC)
enum { HOSTS_MAX = 64, THREADS = 64, NODES = 2 };

typedef struct {
  WsId id;
  HostTruth truth;
  HostDisks own_disks, *disks; /* two neighbours see the same directories, so that VMs move between them */
  HostSim *sim;
} Machine;

typedef struct {
  Center *center;
  WsLoop *loop;
  guint n;
  Machine *machines;
  guint64 beats;
  bool still;
  GString *input;
} Site;

static const gint64 GIB = (gint64)1 << 30;

/* ---- what the machines are ---- */

/* The first has the address by which the manager knows the machine (connect_machine()). */
static void add_nics(WsHostFacts *facts, guint number)
{
  for (guint nic = 0; nic < 2; nic++) {
    WsHostNic *n = ws_array_add(&facts->nics, ws_host_nic_new());
    n->name = g_strdup_printf("enp%us0f%u", 65 + nic, nic);
    n->kind = WS_HOST_NIC_KIND_PHYSICAL;
    n->mac = g_strdup_printf("3c:ec:ef:00:%02x:%02x", number, nic);
    n->link = WS_HOST_NIC_LINK_UP;
    n->speed_mbps = 25000;
    if (nic == 0)
      ws_array_add(&n->addresses, g_strdup_printf("192.0.2.%u/24", number + 10));
    n->mtu = 9000;
    n->driver = g_strdup("mlx5_core");
  }
}

static WsHostFacts *make_facts(guint number)
{
  WsHostFacts *facts = ws_host_facts_new();
  facts->hostname = g_strdup_printf("kvm-%02u", number + 1);
  facts->architecture = WS_ARCHITECTURE_X86_64;
  facts->memory_bytes = 256 * GIB;
  facts->cpu = ws_host_cpu_new();
  facts->cpu->model = g_strdup(number % 3 ? "AMD EPYC 9354 32-Core Processor" : "Intel Xeon Gold 6438Y+");
  facts->cpu->vendor = g_strdup(number % 3 ? "AuthenticAMD" : "GenuineIntel");
  facts->cpu->sockets = 2;
  facts->cpu->cores = 32;
  facts->cpu->threads = THREADS;
  facts->cpu->frequency_mhz = 3250;
  facts->system = ws_host_system_new();
  facts->system->vendor = g_strdup("Supermicro");
  facts->system->model = g_strdup("AS-1125HS-TNR");
  facts->system->serial = g_strdup_printf("S4711%05u", number);
  facts->versions = ws_host_versions_new();
  facts->versions->os = g_strdup("Debian GNU/Linux 12 (bookworm)");
  facts->versions->kernel = g_strdup("6.1.0-28-amd64");
  facts->versions->qemu = g_strdup("7.2.15");
  facts->versions->libvirt = g_strdup("9.0.0");
  facts->versions->ovs = g_strdup("3.1.0");
  facts->virtualisation = ws_host_virtualisation_new();
  facts->virtualisation->kind = WS_HOST_VIRTUALISATION_KIND_KVM;
  for (guint node = 0; node < NODES; node++) {
    WsHostNumaNode *numa = ws_array_add(&facts->numa_nodes, ws_host_numa_node_new());
    numa->id = node;
    numa->memory_bytes = 128 * GIB;
    for (guint cpu = 0; cpu < THREADS / NODES; cpu++)
      ws_array_add(&numa->cpus, (gint64)(node * (THREADS / NODES) + cpu));
    for (guint other = 0; other < NODES; other++)
      ws_array_add(&numa->distances, (gint64)(other == node ? 10 : 32));
  }
  add_nics(facts, number);
  WsHostDisk *disk = ws_array_add(&facts->disks, ws_host_disk_new());
  disk->name = g_strdup("nvme0n1");
  disk->kind = WS_HOST_DISK_KIND_NVME;
  disk->size_bytes = 3840 * GIB;
  disk->model = g_strdup("Micron 7450");
  return facts;
}

/* A wave of its own for each thing, so that charts move and nothing is random. */
static double wave(guint64 beat, guint64 seed, double low, double high)
{
  double a = sin((double)beat / 9.0 + (double)(seed * 7919 % 97)), b = sin((double)beat / 3.1 + (double)(seed * 104729 % 89));
  return low + (high - low) * (0.5 + 0.32 * a + 0.18 * b);
}

static WsHostLoad *make_load(Site *site, guint number)
{
  WsHostLoad *load = ws_host_load_new();
  load->sampled = ws_clock_wall_us(ws_clock_system());
  load->interval_ms = 2000;
  load->cpu_percent = round(wave(site->beats, number + 3, 8, 30 + 9.0 * (number % 7)) * 10) / 10;
  load->iowait_percent = round(wave(site->beats, number + 31, 0, 3) * 10) / 10;
  load->load_average = round(load->cpu_percent * 6.4) / 10;
  load->memory_used_bytes = (gint64)(wave(site->beats / 4, number + 17, 40, 90 + 14.0 * (number % 8)) * (double)GIB);
  load->memory_available_bytes = 256 * GIB - load->memory_used_bytes;
  load->uptime_s = 8640000 + (gint64)site->beats * 2;
  for (guint node = 0; node < NODES; node++) {
    WsHostNumaLoad *numa = ws_array_add(&load->numa_nodes, ws_host_numa_load_new());
    numa->id = node;
    numa->cpu_percent = load->cpu_percent;
    numa->memory_free_bytes = load->memory_available_bytes / NODES;
  }
  WsHostNicLoad *nic = ws_array_add(&load->nics, ws_host_nic_load_new());
  nic->name = g_strdup("enp65s0f0");
  nic->rx_bytes_per_s = (gint64)wave(site->beats, number + 41, 2e6, 9e7);
  nic->tx_bytes_per_s = (gint64)wave(site->beats, number + 43, 1e6, 5e7);
  WsHostDiskLoad *disk = ws_array_add(&load->disks, ws_host_disk_load_new());
  disk->name = g_strdup("nvme0n1");
  disk->read_bytes_per_s = (gint64)wave(site->beats, number + 51, 1e6, 8e7);
  disk->write_bytes_per_s = (gint64)wave(site->beats, number + 53, 1e6, 6e7);
  return load;
}

static WsVmUsage *make_usage(Site *site, const WsVm *vm)
{
  WsVmUsage *usage = ws_vm_usage_new();
  usage->time = ws_clock_wall_us(ws_clock_system());
  usage->cpu_percent = round(wave(site->beats, vm->id, 1, 12 + (double)(vm->id * 37 % 80)) * 10) / 10;
  usage->memory_used_bytes = (gint64)(wave(site->beats / 3, vm->id + 5, 0.25, 0.8) * (double)vm->memory_bytes);
  usage->memory_host_bytes = (gint64)(0.9 * (double)vm->memory_bytes);
  usage->disk_read_bytes_per_s = (gint64)wave(site->beats, vm->id + 7, 0, 4e6);
  usage->disk_write_bytes_per_s = (gint64)wave(site->beats, vm->id + 9, 1e4, 9e6);
  usage->disk_read_iops = (gint64)wave(site->beats, vm->id + 7, 0, 300);
  usage->disk_write_iops = (gint64)wave(site->beats, vm->id + 9, 2, 800);
  usage->net_rx_bytes_per_s = (gint64)wave(site->beats, vm->id + 11, 1e3, 6e6);
  usage->net_tx_bytes_per_s = (gint64)wave(site->beats, vm->id + 13, 1e3, 3e6);
  return usage;
}

static WsVmGuest *make_guest(const WsVm *vm)
{
  WsVmGuest *guest = ws_vm_guest_new();
  guest->agent = WS_VM_GUEST_AGENT_CONNECTED;
  guest->agent_version = g_strdup("7.2.0");
  guest->hostname = g_strdup_printf("guest-%" G_GUINT64_FORMAT, (guint64)vm->id);
  guest->os_name = g_strdup("Debian GNU/Linux 12 (bookworm)");
  guest->kernel = g_strdup("6.1.0-28-amd64");
  ws_array_add(&guest->ips, g_strdup_printf("10.20.%u.%u", (guint)(vm->id >> 8 & 255), (guint)(vm->id & 255)));
  guest->since = vm->power ? vm->power->since : 0;
  return guest;
}

/* ---- the pulse: load and guests ---- */

typedef struct {
  Site *site;
  InvTxn *txn;
} Beat;

static bool beat_vm(const void *object, void *arg)
{
  const WsVm *known = object;
  Beat *beat = arg;
  if (!known->power || known->power->state != WS_POWER_STATE_RUNNING)
    return true;
  WsVm *vm = inv_edit_vm(beat->txn, known->id);
  g_clear_pointer(&vm->usage, ws_vm_usage_free);
  vm->usage = make_usage(beat->site, vm);
  if (!vm->guest || vm->guest->agent != WS_VM_GUEST_AGENT_CONNECTED) {
    g_clear_pointer(&vm->guest, ws_vm_guest_free);
    vm->guest = make_guest(vm);
  }
  return true;
}

static void beat_all(Site *site)
{
  g_autoptr(InvSnapshot) snap = inv_head(site->center->inventory);
  g_autoptr(InvTxn) txn = inv_begin(site->center->inventory);
  for (guint i = 0; i < site->n; i++) {
    WsHost *host = host_sim_is_connected(site->machines[i].sim) ? inv_edit_host(txn, site->machines[i].id) : NULL;
    if (!host)
      continue;
    if (!host->facts || !host->facts->cpu) {
      g_clear_pointer(&host->facts, ws_host_facts_free);
      host->facts = make_facts(i);
    }
    if (!host->facts->nics.len)
      add_nics(host->facts, i);
    g_clear_pointer(&host->load, ws_host_load_free);
    host->load = make_load(site, i);
    host->clock_offset_ms = 3;
  }
  Beat beat = {site, txn};
  inv_each(snap, &ws_type_vm, beat_vm, &beat);
  inv_commit(txn, NULL, NULL);
  site->beats++;
}

static void pulse(void *arg)
{
  Site *site = arg;
  for (;;) {
    if (!site->still)
      beat_all(site);
    ws_co_sleep(PULSE_US);
  }
}

/* For pictures that are compared. */
static bool stand_still(Site *site)
{
  enum { BEAT = 1000 };
  site->beats = BEAT;
  beat_all(site);
  site->still = true;
  return true;
}

/* The hours before now, as if load had been what the pulse makes of it. */
static bool make_past(Site *site, const char *hours)
{
  const gint64 step_us = 20 * (gint64)G_USEC_PER_SEC, now_us = ws_clock_wall_us(ws_clock_system());
  for (gint64 at_us = now_us - g_ascii_strtoll(hours, NULL, 10) * 3600 * G_USEC_PER_SEC; at_us < now_us; at_us += step_us) {
    beat_all(site);
    g_autoptr(InvSnapshot) snap = inv_head(site->center->inventory);
    if (!site->center->history || !monitor_history_note(site->center->history, snap, at_us, NULL))
      return false;
  }
  return true;
}

/* ---- making it ---- */

static bool first_id(const void *object, void *arg)
{
  *(WsId *)arg = ((const WsResource *)object)->id;
  return false;
}

static void connect_machine(Site *site, guint number)
{
  g_autofree char *address = g_strdup_printf("192.0.2.%u", number + 10);
  g_autoptr(RpcLink) end = hosts_admit(site->center, site->machines[number].id, address);
  host_sim_connect(site->machines[number].sim, end);
}

/* A new link, when the manager has seen the end of the old one: it reads what there is. */
static void connect_again(Site *site, guint number)
{
  host_sim_cut(site->machines[number].sim);
  ws_co_sleep(200000);
  connect_machine(site, number);
}

static void say(const char *text)
{
  printf("%s\n", text);
  (void)fflush(stdout);
}

static void make_site(void *arg)
{
  Site *site = arg;
  g_autoptr(InvSnapshot) snap = inv_head(site->center->inventory);
  WsId pool = 0, clusters[2];
  inv_each(snap, &ws_type_host_pool, first_id, &pool);
  InvTxn *txn = inv_begin(site->center->inventory);
  static const char *const names[] = {"production", "staging"};
  for (guint i = 0; i < 2; i++) {
    WsCluster *cluster = inv_create_cluster(txn);
    ws_apply_defaults(&ws_type_cluster, cluster);
    cluster->name = g_strdup(names[i]);
    cluster->host_pool = pool;
    cluster->architecture = WS_ARCHITECTURE_X86_64;
    clusters[i] = cluster->id;
  }
  for (guint i = 0; i < site->n; i++) {
    WsHost *host = inv_create_host(txn);
    ws_apply_defaults(&ws_type_host, host);
    host->name = g_strdup_printf("kvm-%02u.example.net", i + 1);
    host->host_pool = pool;
    host->cluster = i + 1 == site->n && site->n > 3 ? 0 : clusters[i * 3 / (2 * site->n)];
    host->architecture = WS_ARCHITECTURE_X86_64;
    host->agent_version = g_strdup("1.0.0");
    host->joined = ws_clock_wall_us(ws_clock_system());
    site->machines[i].id = host->id;
  }
  g_autoptr(GError) error = NULL;
  if (!inv_commit(txn, NULL, &error))
    g_error("the site is refused: %s", error->message);
  inv_txn_free(txn);
  for (guint i = 0; i < site->n; i++) {
    Machine *machine = &site->machines[i], *neighbour = i % 2 ? &site->machines[i - 1] : NULL;
    g_autofree char *name = g_strdup_printf("kvm-%02u", i + 1);
    machine->disks = neighbour ? neighbour->disks : &machine->own_disks;
    machine->truth.dirty_bytes_per_s = 24 << 20;
    machine->sim = host_sim_new(site->loop, name, &machine->truth, machine->disks, NULL, NULL);
    if (neighbour)
      host_sim_meet(machine->sim, neighbour->sim);
    connect_machine(site, i);
  }
  for (guint i = 0; i < site->n; i++)
    while (!host_sim_is_connected(site->machines[i].sim))
      ws_co_sleep(20000);
  ws_co_start(site->loop, pulse, site);
  say("ready");
}

/* ---- commands ---- */

static Machine *machine_of(Site *site, const char *id)
{
  WsId wanted;
  for (guint i = 0; i < site->n && ws_id_parse(ws_type_host.prefix, id, &wanted); i++)
    if (site->machines[i].id == wanted)
      return &site->machines[i];
  return NULL;
}

static bool put_upload(Site *site, const char *id, const char *bytes)
{
  WsId wanted;
  g_autoptr(InvSnapshot) snap = inv_head(site->center->inventory);
  const WsVolume *volume = ws_id_parse(ws_type_volume.prefix, id, &wanted) ? inv_find_volume(snap, wanted) : NULL;
  const WsPool *pool = volume ? inv_find_pool(snap, volume->pool) : NULL;
  for (guint i = 0; pool && i < site->n; i++)
    if (site->machines[i].id == pool->hosts.items[0]) {
      host_put_upload(site->machines[i].disks, pool->id, volume->file, g_ascii_strtoll(bytes, NULL, 10));
      return true;
    }
  return false;
}

/* `reason`: libvirt's, such as crashed; "": none that means something. */
static bool end_vm(Site *site, const char *id, const char *reason)
{
  WsId wanted;
  g_autoptr(InvSnapshot) snap = inv_head(site->center->inventory);
  const WsVm *vm = ws_id_parse(ws_type_vm.prefix, id, &wanted) ? inv_find_vm(snap, wanted) : NULL;
  for (guint i = 0; vm && i < site->n; i++) {
    HostDomain *domain = site->machines[i].id == vm->host ? host_find_domain(&site->machines[i].truth, vm->uuid) : NULL;
    if (!domain)
      continue;
    domain->power = WS_POWER_STATE_OFF;
    g_strlcpy(domain->reason, reason, sizeof domain->reason);
    connect_again(site, i);
    return true;
  }
  return false;
}

/* A pool of that size, in which its files take all that they may. */
static bool fill_pool(Site *site, const char *id, const char *gib)
{
  WsId pool;
  guint64 n;
  if (!ws_id_parse(ws_type_pool.prefix, id, &pool) || !g_ascii_string_to_unsigned(gib, 10, 1, 1 << 20, &n, NULL))
    return false;
  for (guint i = 0; i < site->n; i++) {
    HostDisks *disks = site->machines[i].disks;
    host_set_space(disks, pool, (gint64)n * GIB, 0);
    for (guint k = 0; k < HOST_FILES; k++)
      if (disks->files[k].there && disks->files[k].pool == pool)
        disks->files[k].allocated_bytes = disks->files[k].size_bytes;
  }
  return true;
}

static bool open_alarm(Site *site, const char *id, const char *level, const char *kind)
{
  static const char *const levels[] = {"info", "minor", "major", "critical"};
  for (guint i = 0; i < ws_n_resource_types; i++) {
    WsId wanted;
    if (!ws_id_parse(ws_resource_types[i]->prefix, id, &wanted))
      continue;
    for (guint l = 0; l < G_N_ELEMENTS(levels); l++)
      if (strcmp(level, levels[l]) == 0)
        center_alarm_open(site->center, CENTER_INFO + l, ws_resource_types[i], wanted, kind);
    return true;
  }
  return false;
}

typedef struct {
  Site *site;
  char *line;
} Command;

static void run_command(void *arg)
{
  g_autofree Command *command = arg;
  g_autofree char *line = command->line;
  Site *site = command->site;
  g_auto(GStrv) words = g_strsplit(line, " ", 5);
  guint n = g_strv_length(words);
  Machine *machine = n > 1 ? machine_of(site, words[1]) : NULL;
  bool ok = false;
  if (n == 2 && strcmp(words[0], "cut") == 0 && machine) {
    host_sim_cut(machine->sim);
    ok = true;
  } else if (n == 2 && strcmp(words[0], "connect") == 0 && machine) {
    connect_machine(site, (guint)(machine - site->machines));
    ok = true;
  } else if (n == 3 && strcmp(words[0], "uploaded") == 0)
    ok = put_upload(site, words[1], words[2]);
  else if (n == 3 && strcmp(words[0], "stranger") == 0 && machine) {
    g_autofree char *uuid = g_uuid_string_random();
    host_put_stranger(&machine->truth, uuid, words[2]);
    connect_again(site, (guint)(machine - site->machines));
    ok = true;
  } else if (n == 4 && strcmp(words[0], "alarm") == 0)
    ok = open_alarm(site, words[1], words[2], words[3]);
  else if ((n == 2 || n == 3) && strcmp(words[0], "end") == 0)
    ok = end_vm(site, words[1], n == 3 ? words[2] : "");
  else if (n == 2 && strcmp(words[0], "past") == 0)
    ok = make_past(site, words[1]);
  else if (n == 3 && strcmp(words[0], "filled") == 0)
    ok = fill_pool(site, words[1], words[2]);
  else if (n == 1 && strcmp(words[0], "still") == 0)
    ok = stand_still(site);
  say(ok ? "ok" : "no");
}

static void on_input(int fd, guint32 events, void *arg)
{
  Site *site = arg;
  char buffer[4096];
  ssize_t n = read(fd, buffer, sizeof buffer);
  if (n <= 0) {
    ws_loop_quit(site->loop);
    return;
  }
  g_string_append_len(site->input, buffer, n);
  for (char *end; (end = strchr(site->input->str, '\n'));) {
    Command *command = g_new(Command, 1);
    *command = (Command){site, g_strndup(site->input->str, (gsize)(end - site->input->str))};
    g_string_erase(site->input, 0, end - site->input->str + 1);
    ws_co_start(site->loop, run_command, command);
  }
}

int main(int argc, char **argv)
{
  guint64 n;
  g_autoptr(GError) error = NULL;
  if (argc != 4 || !g_ascii_string_to_unsigned(argv[3], 10, 0, HOSTS_MAX, &n, NULL)) {
    fputs("usage: living-site DIR WEB HOSTS\n", stderr);
    return 2;
  }
  g_autofree char *log = g_build_filename(argv[1], "log", NULL);
  ws_log_init("living-site", WS_LOG_INFO, log);
  Site site = {.n = (guint)n, .machines = g_new0(Machine, n + 1), .loop = ws_loop_new(ws_clock_system()), .input = g_string_new(NULL)};
  CenterConfig config = {.data_dir = argv[1], .web_dir = argv[2], .bind_address = g_strdup("127.0.0.1")};
  site.center = center_new(&config, ws_clock_system(), site.loop, &error);
  if (!site.center)
    g_error("the manager does not start: %s", error->message);
  printf("port %u\n", http_server_port(site.center->server));
  ws_loop_watch_fd(site.loop, STDIN_FILENO, EPOLLIN, on_input, &site);
  ws_co_start(site.loop, make_site, &site);
  ws_loop_run(site.loop);
  (void)fflush(stdout);
  _exit(0); /* hosts, links and coroutines are under way: the process ends as a killed one would */
}
