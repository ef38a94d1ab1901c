// SPDX-License-Identifier: Apache-2.0
/* A manager's data directory with a large site in it, for the benches: through the inventory's own transactions, so that every check
 * and every row is as the manager itself would have made it.
 *
 *   fill-inventory DIR VMS HOSTS VOLUMES
 *
 * Adds to DIR/winsphere.db, whose manager is stopped: so many hosts (which never connect), a pool, a port group, and VMs of two disks and
 * two NICs each (2.1 KB as JSON), spread over the hosts. VOLUMES (0, 1 or 2) of a VM's disks have one.
 */
#include "base/log.h"
#include "inventory/typed.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { VMS_A_COMMIT = 500, DISKS = 2 };

typedef struct {
  Inventory *inv;
  guint n_vms, n_hosts, n_volumes; /* of each VM */
  WsId *hosts, pool, group;
  bool ended;
} Fill;

static void check(bool ok, const GError *error)
{
  if (ok)
    return;
  fprintf(stderr, "fill-inventory: %s\n", error ? error->message : "failed");
  exit(1);
}

static void commit(InvTxn *txn)
{
  g_autoptr(GError) error = NULL;
  check(inv_commit(txn, NULL, &error), error);
  inv_txn_free(txn);
}

/* A stored VM as it stands in the database of a site in use. */
static const char vm_json[] =
    "{\"name\":\"web-%05u.example.net\",\"description\":\"Front end of the shop, kept by the web team; restarted on Sundays after the nightly copy\","
    "\"uuid\":\"3b241101-e2bb-4255-8caf-4136c5%06x\",\"architecture\":\"x86_64\",\"os\":{\"family\":\"linux\",\"variant\":\"debian12\"},"
    "\"machine\":\"pc-q35-7.2\",\"firmware\":\"uefi\",\"cpu\":{\"vcpus\":%u,\"max_vcpus\":16,\"sockets\":1,\"cores\":16,\"threads\":1,"
    "\"mode\":\"host_model\",\"shares\":\"normal\"},\"memory_bytes\":%" G_GUINT64_FORMAT ",\"memory_max_bytes\":17179869184,"
    "\"nics\":[{\"key\":\"nic-0\",\"mac\":\"52:54:00:%02x:%02x:%02x\",\"model\":\"virtio\"},"
    "{\"key\":\"nic-1\",\"mac\":\"52:54:01:%02x:%02x:%02x\",\"model\":\"virtio\"}],\"video\":\"virtio\",\"inputs\":[\"tablet\"],"
    "\"labels\":{\"team\":\"web\",\"stage\":\"%s\",\"cost\":\"4711\"},\"management\":\"managed\",\"created\":\"2026-01-01T00:00:00.000000Z\","
    "\"power\":{\"state\":\"%s\",\"since\":\"2026-11-01T06:30:00.000000Z\"},"
    "\"guest\":{\"agent\":\"connected\",\"agent_version\":\"7.2.0\",\"hostname\":\"web-%05u\",\"os_name\":\"Debian GNU/Linux 12 (bookworm)\","
    "\"kernel\":\"6.1.0-28-amd64\",\"ips\":[\"10.%u.%u.%u\",\"fd00::%x\"],"
    "\"interfaces\":[{\"name\":\"enp1s0\",\"mac\":\"52:54:00:%02x:%02x:%02x\",\"nic\":\"nic-0\",\"ips\":[\"10.0.0.7\"]},{\"name\":\"enp2s0\",\"mac\":\"52:54:01:00:00:07\",\"nic\":\"nic-1\",\"ips\":[\"192.168.100.27\",\"fd00:1::7\"]}],\"since\":\"2026-11-01T06:31:00.000000Z\"},"
    "\"usage\":{\"cpu_percent\":%.1f,\"memory_used_bytes\":3221225472,\"memory_host_bytes\":4294967296,\"disk_read_bytes_per_s\":81920,"
    "\"disk_write_bytes_per_s\":409600,\"disk_read_iops\":12,\"disk_write_iops\":85,\"net_rx_bytes_per_s\":1048576,"
    "\"net_tx_bytes_per_s\":2097152,\"time\":\"2026-11-27T12:00:00.000000Z\"}}";

static WsVm *parse_vm(guint i)
{
  g_autoptr(GError) error = NULL;
  guint a = i >> 16 & 255, b = i >> 8 & 255, c = i & 255;
  g_autofree char *json =
      g_strdup_printf(vm_json, i, i, 1 + i % 8, (guint64)(1 + i % 16) << 30, a, b, c, a, b, c, i % 3 ? "production" : "test",
                      i % 10 ? "running" : "off", i, a, b, c, i, a, b, c, i % 1000 / 10.0);
  WsVm *vm = ws_object_parse(&ws_type_vm, json, strlen(json), WS_PARSE_STORED, &error);
  check(vm != NULL, error);
  return vm;
}

static WsId add_volume(InvTxn *txn, const Fill *fill, const WsVm *vm, guint number)
{
  WsVolume *volume = inv_create_volume(txn);
  volume->name = g_strdup_printf("%s disk %u", vm->name, number);
  volume->pool = fill->pool;
  volume->size_bytes = (gint64)40 << 30;
  return volume->id;
}

static void add_disk(InvTxn *txn, const Fill *fill, WsVm *vm, guint number)
{
  WsVmDisk *disk = ws_array_add(&vm->disks, ws_object_new(&ws_type_vm_disk));
  ws_apply_defaults(&ws_type_vm_disk, disk);
  disk->key = g_strdup_printf("disk-%u", number);
  disk->volume = number < fill->n_volumes ? add_volume(txn, fill, vm, number) : 0;
}

static void add_vm(InvTxn *txn, const Fill *fill, guint i)
{
  WsVm *parsed = parse_vm(i), *vm = inv_create_vm(txn);
  ws_resource_take_fields(&ws_type_vm, vm, parsed);
  ws_resource_unref(parsed);
  vm->host = fill->hosts[i % fill->n_hosts];
  for (guint nic = 0; nic < vm->nics.len; nic++)
    vm->nics.items[nic]->port_group = fill->group;
  for (guint number = 0; number < DISKS; number++)
    add_disk(txn, fill, vm, number);
}

static void add_site(Fill *fill)
{
  InvTxn *txn = inv_begin(fill->inv);
  fill->hosts = g_new(WsId, fill->n_hosts);
  for (guint i = 0; i < fill->n_hosts; i++) {
    WsHost *host = inv_create_host(txn);
    host->name = g_strdup_printf("host-%04u.example.net", i);
    fill->hosts[i] = host->id;
  }
  WsPool *pool = inv_create_pool(txn);
  pool->name = g_strdup("fast");
  fill->pool = pool->id;
  WsSwitch *net_switch = inv_create_switch(txn);
  net_switch->name = g_strdup("front");
  net_switch->host = fill->hosts[0];
  WsPortGroup *group = inv_create_port_group(txn);
  group->name = g_strdup("web");
  group->switch_ = net_switch->id;
  fill->group = group->id;
  commit(txn);
}

static void fill_all(void *arg)
{
  Fill *fill = arg;
  add_site(fill);
  for (guint i = 0; i < fill->n_vms;) {
    InvTxn *txn = inv_begin(fill->inv);
    for (guint n = 0; n < VMS_A_COMMIT && i < fill->n_vms; n++, i++)
      add_vm(txn, fill, i);
    commit(txn);
  }
  fill->ended = true;
}

static bool read_number(const char *text, guint min, guint max, guint *number)
{
  guint64 value;
  if (!g_ascii_string_to_unsigned(text, 10, min, max, &value, NULL))
    return false;
  *number = (guint)value;
  return true;
}

int main(int argc, char **argv)
{
  Fill fill = {0};
  g_autoptr(GError) error = NULL;
  if (argc != 5 || !read_number(argv[2], 1, 1000000, &fill.n_vms) || !read_number(argv[3], 1, 10000, &fill.n_hosts) ||
      !read_number(argv[4], 0, DISKS, &fill.n_volumes)) {
    fputs("usage: fill-inventory DIR VMS HOSTS VOLUMES\n", stderr);
    return 2;
  }
  ws_log_init("fill-inventory", WS_LOG_ERROR, NULL);
  g_mkdir_with_parents(argv[1], 0700);
  g_autofree char *path = g_build_filename(argv[1], "winsphere.db", NULL);
  WsLoop *loop = ws_loop_new(ws_clock_system());
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
  g_free(fill.hosts);
  return 0;
}
