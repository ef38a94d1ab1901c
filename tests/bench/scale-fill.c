// SPDX-License-Identifier: Apache-2.0
/* A site of many hosts for bench-scale: in the manager's data directory what the manager would have written, beside it what its hosts have.
 *
 *   scale-fill DIR AGENTS HOSTS VMS
 *
 * DIR belongs to a manager that has been started once (its CA is there) and is stopped. Enters so many hosts, each with a pool, a switch, a
 * port group and VMS virtual machines of one disk and one NIC, nine of ten running. Into AGENTS go a key, a certificate for each host, issued
 * by that CA, and for each host a file of answers to the calls by which the manager reads it. */
#include "base/log.h"
#include "base/pki.h"
#include "center/compute/compute.h"
#include "inventory/typed.h"
#include "rpc/methods.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HOSTS_A_COMMIT = 50 };
#define DISK_BYTES (G_GINT64_CONSTANT(20) << 30)

typedef struct {
  WsClock *clock;
  Inventory *inv;
  const char *dir, *agents;
  char *csr;
  guint n_hosts, n_vms; /* VMs of each host */
  WsId *hosts;
  bool ended;
} Fill;

static void check(bool ok, const GError *error)
{
  if (ok)
    return;
  (void)fprintf(stderr, "scale-fill: %s\n", error ? error->message : "failed");
  exit(1);
}

/* ---- the inventory ---- */

static WsHostCertificate *issue(const Fill *fill, WsId id)
{
  char cn[WS_ID_TEXT_MAX];
  g_autoptr(GError) error = NULL;
  g_autofree char *ca_cert = g_build_filename(fill->dir, "ca.crt", NULL), *ca_key = g_build_filename(fill->dir, "ca.key", NULL);
  g_autofree char *pem = NULL;
  const WsCa ca = {ca_cert, ca_key};
  WsHostCertificate *certificate = ws_host_certificate_new();
  const gint64 life_s = 365 * WS_PKI_DAY_S;
  check(ws_pki_issue_client(fill->clock, &ca, fill->csr, ws_id_format("host", id, cn), life_s, &pem, &certificate->serial, &error), error);
  certificate->not_after = ws_clock_wall_us(fill->clock) + life_s * G_USEC_PER_SEC;
  g_autofree char *path = g_strdup_printf("%s/%s.crt", fill->agents, cn);
  check(g_file_set_contents(path, pem, -1, &error), error);
  return certificate;
}

static WsVolume *add_volume(InvTxn *txn, WsId pool, guint i)
{
  char id[WS_ID_TEXT_MAX];
  WsVolume *volume = inv_create_volume(txn);
  ws_apply_defaults(&ws_type_volume, volume);
  volume->name = g_strdup_printf("disk of web-%05u", i);
  volume->pool = pool;
  volume->kind = WS_VOLUME_KIND_DISK;
  volume->format = WS_VOLUME_FORMAT_QCOW2;
  volume->provisioning = WS_VOLUME_PROVISIONING_THIN;
  volume->state = WS_VOLUME_STATE_READY;
  volume->size_bytes = DISK_BYTES;
  volume->allocated_bytes = 1 << 30;
  volume->file = g_strdup_printf("%s-0badcafe.qcow2", ws_id_format("vol", volume->id, id));
  return volume;
}

static void add_vm(InvTxn *txn, WsId host, WsId pool, WsId group, guint i)
{
  WsVm *vm = inv_create_vm(txn);
  WsVolume *volume = add_volume(txn, pool, i);
  ws_apply_defaults(&ws_type_vm, vm);
  vm->name = g_strdup_printf("web-%05u.example.net", i);
  vm->description = g_strdup("Front end of the shop, kept by the web team");
  vm->uuid = g_strdup_printf("3b241101-e2bb-4255-8caf-4136c5%06x", i);
  vm->host = host;
  vm->management = WS_VM_MANAGEMENT_MANAGED;
  vm->architecture = WS_VM_ARCHITECTURE_X86_64;
  vm->cpu = ws_vm_cpu_new();
  ws_apply_defaults(&ws_type_vm_cpu, vm->cpu);
  vm->cpu->vcpus = 1 + i % 4;
  vm->memory_bytes = (gint64)(1 + i % 8) << 30;
  WsVmDisk *disk = ws_array_add(&vm->disks, ws_vm_disk_new());
  ws_apply_defaults(&ws_type_vm_disk, disk);
  disk->key = g_strdup("disk-0");
  disk->volume = volume->id;
  volume->used_by = vm->id;
  WsVmNic *nic = ws_array_add(&vm->nics, ws_vm_nic_new());
  ws_apply_defaults(&ws_type_vm_nic, nic);
  nic->key = g_strdup("nic-0");
  nic->mac = g_strdup_printf("52:54:%02x:%02x:%02x:%02x", i >> 24 & 255, i >> 16 & 255, i >> 8 & 255, i & 255);
  nic->port_group = group;
  vm->power = ws_power_new();
  vm->power->state = i % 10 ? WS_POWER_STATE_RUNNING : WS_POWER_STATE_OFF;
  vm->power->since = G_GINT64_CONSTANT(1767225600) * G_USEC_PER_SEC;
}

/* All hosts come first: their ids follow each other. */
static void add_host(InvTxn *txn, Fill *fill, guint i)
{
  WsHost *host = inv_create_host(txn);
  host->name = g_strdup_printf("host-%04u.example.net", i);
  host->state = WS_HOST_STATE_LOST;
  host->architecture = WS_ARCHITECTURE_X86_64;
  host->certificate = issue(fill, host->id);
  fill->hosts[i] = host->id;
}

static void add_what_it_has(InvTxn *txn, Fill *fill, guint i)
{
  char uuid[40];
  WsId host = fill->hosts[i];
  WsPool *pool = inv_create_pool(txn);
  ws_apply_defaults(&ws_type_pool, pool);
  pool->name = g_strdup_printf("local-%04u", i);
  ws_array_add(&pool->hosts, host);
  pool->path = g_strdup("/var/lib/winsphere/pools/local");
  pool->uuid = g_strdup(ws_uuid_new(fill->clock, uuid));
  pool->state = WS_POOL_STATE_ACTIVE;
  WsSwitch *sw = inv_create_switch(txn);
  ws_apply_defaults(&ws_type_switch, sw);
  sw->name = g_strdup_printf("front-%04u", i);
  sw->host = host;
  sw->bridge = g_strdup("br0");
  sw->state = WS_SWITCH_STATE_ACTIVE;
  WsPortGroup *group = inv_create_port_group(txn);
  ws_apply_defaults(&ws_type_port_group, group);
  group->name = g_strdup_printf("web-%04u", i);
  group->switch_ = sw->id;
  group->state = WS_PORT_GROUP_STATE_ACTIVE;
  for (guint k = 0; k < fill->n_vms; k++)
    add_vm(txn, host, pool->id, group->id, i * fill->n_vms + k);
}

/* ---- what the hosts have ---- */

typedef struct {
  const InvSnapshot *snap;
  WsRpcVmListResult *list;
  WsRpcPoolRefreshResult *files;
} Truth;

static bool add_report(const void *object, void *arg)
{
  const WsVm *vm = object;
  Truth *truth = arg;
  g_autoptr(GError) error = NULL;
  WsVmReport *report = ws_array_add(&truth->list->vms, ws_vm_report_new());
  report->vm = vm->id;
  report->uuid = g_strdup(vm->uuid);
  report->name = g_strdup(vm->name);
  report->power = ws_power_copy(vm->power);
  report->persistent = true;
  report->spec = compute_spec(truth->snap, vm, &error);
  check(report->spec != NULL, error);
  const WsVolume *volume = inv_find(truth->snap, &ws_type_volume, vm->disks.items[0]->volume);
  WsPoolFile *file = ws_array_add(&truth->files->files, ws_pool_file_new());
  file->file = g_strdup(volume->file);
  file->format = WS_POOL_FILE_FORMAT_QCOW2;
  file->size_bytes = volume->size_bytes;
  file->allocated_bytes = volume->allocated_bytes;
  return true;
}

static void write_truth(const Fill *fill, const InvSnapshot *snap, WsId host)
{
  char id[WS_ID_TEXT_MAX];
  gsize n;
  g_autoptr(GError) error = NULL;
  g_autoptr(WsRpcVmListResult) list = ws_rpc_vm_list_result_new();
  g_autoptr(WsRpcPoolRefreshResult) files = ws_rpc_pool_refresh_result_new();
  Truth truth = {snap, list, files};
  list->sequence = 1;
  inv_each_by(snap, &ws_type_vm, ws_type_field(&ws_type_vm, "host", 4), host, NULL, add_report, &truth);
  g_autofree char *vms = ws_object_to_json(&ws_type_rpc_vm_list_result, list, WS_WRITE_PEER, &n);
  g_autofree char *volumes = ws_object_to_json(&ws_type_rpc_pool_refresh_result, files, WS_WRITE_PEER, &n);
  g_autofree char *text = g_strconcat(vms, "\n", volumes, "\n", NULL);
  g_autofree char *path = g_strdup_printf("%s/%s.truth", fill->agents, ws_id_format("host", host, id));
  check(g_file_set_contents(path, text, -1, &error), error);
}

static void for_each_host(Fill *fill, void (*add)(InvTxn *txn, Fill *fill, guint i))
{
  for (guint i = 0; i < fill->n_hosts;) {
    g_autoptr(InvTxn) txn = inv_begin(fill->inv);
    g_autoptr(GError) error = NULL;
    for (guint n = 0; n < HOSTS_A_COMMIT && i < fill->n_hosts; n++, i++)
      add(txn, fill, i);
    check(inv_commit(txn, NULL, &error), error);
  }
}

static void fill_all(void *arg)
{
  Fill *fill = arg;
  for_each_host(fill, add_host);
  for_each_host(fill, add_what_it_has);
  g_autoptr(InvSnapshot) snap = inv_snapshot(fill->inv);
  for (guint i = 0; i < fill->n_hosts; i++)
    write_truth(fill, snap, fill->hosts[i]);
  fill->ended = true;
}

int main(int argc, char **argv)
{
  g_autoptr(GError) error = NULL;
  if (argc != 5) {
    (void)fputs("usage: scale-fill DIR AGENTS HOSTS VMS\n", stderr);
    return 2;
  }
  ws_log_init("scale-fill", WS_LOG_ERROR, NULL);
  Fill fill = {.clock = ws_clock_system(), .dir = argv[1], .agents = argv[2]};
  fill.n_hosts = (guint)strtoul(argv[3], NULL, 10);
  fill.n_vms = (guint)strtoul(argv[4], NULL, 10);
  fill.hosts = g_new(WsId, fill.n_hosts);
  g_mkdir_with_parents(fill.agents, 0700);
  g_autofree char *key = g_build_filename(fill.agents, "host.key", NULL), *path = g_build_filename(fill.dir, "winsphere.db", NULL);
  check(ws_pki_make_request(key, "host", &fill.csr, &error), error);
  WsLoop *loop = ws_loop_new(fill.clock);
  Store *store = store_open(path, loop, &error);
  check(store != NULL, error);
  fill.inv = inv_open(loop, store, &error);
  check(fill.inv != NULL, error);
  ws_co_start(loop, fill_all, &fill);
  while (!fill.ended)
    ws_loop_step(loop, -1);
  inv_close(fill.inv);
  store_close(store);
  ws_loop_free(loop);
  return 0;
}
