// SPDX-License-Identifier: Apache-2.0
/* Disks, CDs and NICs as domain XML: for a whole domain and, one alone, for hot-plug. See domain.h. */
#include "host/hypervisor/build-private.h"
#include <string.h>

/* ---- target names: vda, sdb, hdc; kept over definitions, unique in a domain ---- */

static const char *dev_prefix(const char *bus)
{
  if (strcmp(bus, "virtio") == 0)
    return "vd";
  return strcmp(bus, "ide") == 0 ? "hd" : "sd";
}

/* 0: "vda", 25: "vdz", 26: "vdaa" */
static char *dev_name(const char *prefix, guint index)
{
  char letters[8];
  guint at = sizeof letters - 1;
  letters[at] = 0;
  for (guint n = index + 1; n > 0; n = (n - 1) / 26)
    letters[--at] = 'a' + (n - 1) % 26;
  return g_strconcat(prefix, letters + at, NULL);
}

static guint dev_index(const char *dev)
{
  guint n = 0;
  for (const char *c = dev + 2; *c; c++)
    n = n * 26 + (*c - 'a' + 1);
  return n - 1;
}

typedef struct {
  char *alias;
  const char *bus;
} Slot;

static void slot_clear(void *item)
{
  g_free(((Slot *)item)->alias);
}

/* What an earlier definition named keeps its name; then the others take the first free ones, in order. */
static GHashTable *assign_devs(const WsVmSpec *spec, const VirtPlaces *places)
{
  g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(Slot));
  g_array_set_clear_func(slots, slot_clear);
  for (guint i = 0; i < spec->disks.len; i++) {
    Slot slot = {virt_alias(spec->disks.items[i]->key), virt_word_disk_bus[spec->disks.items[i]->bus]};
    g_array_append_val(slots, slot);
  }
  for (guint i = 0; i < spec->cdroms.len; i++) {
    Slot slot = {virt_alias(spec->cdroms.items[i]->key), virt_word_cdrom_bus[spec->cdroms.items[i]->bus]};
    g_array_append_val(slots, slot);
  }
  if (spec->seed) {
    Slot slot = {g_strdup(VIRT_ALIAS_SEED), virt_word_cdrom_bus[virt_build_seed_bus(spec)]};
    g_array_append_val(slots, slot);
  }

  GHashTable *devs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(GHashTable) taken = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < slots->len; i++) {
    const Slot *slot = &g_array_index(slots, Slot, i);
    const char *dev = virt_places_dev(places, slot->alias);
    if (!dev || !g_str_has_prefix(dev, dev_prefix(slot->bus)))
      continue;
    char *name = g_strdup(dev);
    g_hash_table_insert(devs, g_strdup(slot->alias), name);
    g_hash_table_add(taken, name);
  }
  for (guint i = 0; i < slots->len; i++) {
    const Slot *slot = &g_array_index(slots, Slot, i);
    if (g_hash_table_contains(devs, slot->alias))
      continue;
    char *name = dev_name(dev_prefix(slot->bus), 0);
    for (guint n = 1; g_hash_table_contains(taken, name); n++) {
      g_free(name);
      name = dev_name(dev_prefix(slot->bus), n);
    }
    g_hash_table_insert(devs, g_strdup(slot->alias), name);
    g_hash_table_add(taken, name);
  }
  return devs;
}

/* ---- the builder ---- */

void virt_build_init(VirtBuild *b, const WsVmSpec *spec, const VirtHost *host, const VirtPlaces *places, bool with_addresses)
{
  *b = (VirtBuild){.xml = virt_xml_new(), .spec = spec, .host = host, .arch = virt_arch(spec->architecture), .places = places};
  b->devs = assign_devs(spec, places);
  /* Addresses mean something only on the same sort of machine. */
  const char *machine = virt_places_machine(places);
  bool same_sort = machine && virt_arch_is_pcie(b->arch, machine) == virt_arch_is_pcie(b->arch, spec->machine);
  b->addresses = with_addresses && same_sort ? places : NULL;
  /* "q35" is the newest of its sort; a VM that was defined keeps the version it got, also on a newer host. */
  bool has_version = strpbrk(spec->machine, ".") != NULL;
  b->machine = same_sort && !has_version ? machine : spec->machine;
}

char *virt_build_end(VirtBuild *b, GError **error)
{
  char *text = NULL;
  if (b->error)
    g_propagate_error(error, g_steal_pointer(&b->error));
  else
    text = virt_xml_finish(b->xml);
  g_clear_pointer(&b->xml, virt_xml_free);
  g_clear_pointer(&b->devs, g_hash_table_unref);
  return text;
}

void virt_build_identity(VirtBuild *b, const char *alias, const char *kind)
{
  virt_xml_leaf(b->xml, "alias", "name", alias, NULL);
  virt_places_write_address(b->addresses, b->xml, alias, kind);
}

static char *pool_file(VirtBuild *b, WsId pool, const char *file)
{
  char *path = b->host->pool_file(b->host->arg, pool, file, b->error ? NULL : &b->error);
  return path ? path : g_strdup("");
}

static void write_boot_order(VirtBuild *b, gint64 order)
{
  if (order == WS_INT_UNSET)
    return;
  virt_xml_open(b->xml, "boot");
  virt_xml_attr_int(b->xml, "order", order);
  virt_xml_close(b->xml);
}

static void write_limits(VirtBuild *b, const WsVmIoLimits *limits)
{
  if (!limits)
    return;
  const struct { const char *element; gint64 value; } rows[] = {
    {"total_bytes_sec", limits->total_bytes_per_s}, {"read_bytes_sec", limits->read_bytes_per_s},
    {"write_bytes_sec", limits->write_bytes_per_s}, {"total_iops_sec", limits->total_iops},
    {"read_iops_sec", limits->read_iops},           {"write_iops_sec", limits->write_iops},
  };
  virt_xml_open(b->xml, "iotune");
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].value != WS_INT_UNSET)
      virt_xml_text_int(b->xml, rows[i].element, rows[i].value);
  virt_xml_close(b->xml);
}

/* <target>, <alias>, <address>. On virtio-scsi each device is a target of its own, named by the place of its letter. */
static void write_target(VirtBuild *b, const char *alias, const char *bus)
{
  const char *dev = g_hash_table_lookup(b->devs, alias);
  virt_xml_leaf(b->xml, "target", "dev", dev, "bus", bus, NULL);
  virt_xml_leaf(b->xml, "alias", "name", alias, NULL);
  if (virt_places_write_address(b->addresses, b->xml, alias, bus) || strcmp(bus, "scsi") != 0)
    return;
  g_autofree char *target = g_strdup_printf("%u", dev_index(dev));
  virt_xml_leaf(b->xml, "address", "type", "drive", "controller", "0", "bus", "0", "target", target, "unit", "0", NULL);
}

void virt_build_disk(VirtBuild *b, const WsVmSpecDisk *disk)
{
  VirtXml *xml = b->xml;
  g_autofree char *alias = virt_alias(disk->key);
  g_autofree char *path = disk->path ? g_strdup(disk->path) : pool_file(b, disk->pool, disk->file);
  bool direct = disk->cache == WS_VM_SPEC_DISK_CACHE_NONE || disk->cache == WS_VM_SPEC_DISK_CACHE_DIRECTSYNC;
  virt_xml_open(xml, "disk");
  virt_xml_attr(xml, "type", "file");
  virt_xml_attr(xml, "device", "disk");
  virt_xml_leaf(xml, "driver", "name", "qemu", "type", ws_vm_spec_disk_format_names[disk->format - 1], "cache",
                ws_vm_spec_disk_cache_names[disk->cache - 1], "error_policy",
                ws_vm_spec_disk_error_policy_names[disk->error_policy - 1],
                "io", direct ? "native" : "threads", /* kernel AIO needs direct I/O */
                "discard", disk->discard ? "unmap" : "ignore", NULL);
  virt_xml_leaf(xml, "source", "file", path, NULL);
  write_limits(b, disk->limits);
  if (disk->read_only)
    virt_xml_leaf(xml, "readonly", NULL);
  if (disk->shared)
    virt_xml_leaf(xml, "shareable", NULL);
  if (disk->volume) { /* what /dev/disk/by-id shows in the guest */
    char serial[WS_ID_TEXT_MAX];
    virt_xml_text(xml, "serial", ws_id_format("vol", disk->volume, serial));
  }
  write_boot_order(b, disk->boot_order);
  write_target(b, alias, virt_word_disk_bus[disk->bus]);
  virt_xml_close(xml);
}

static void write_cdrom(VirtBuild *b, const char *alias, WsVmSpecCdromBus bus, const char *path, gint64 boot_order)
{
  VirtXml *xml = b->xml;
  virt_xml_open(xml, "disk");
  virt_xml_attr(xml, "type", "file");
  virt_xml_attr(xml, "device", "cdrom");
  virt_xml_leaf(xml, "driver", "name", "qemu", "type", "raw", NULL);
  if (path)
    virt_xml_leaf(xml, "source", "file", path, NULL);
  virt_xml_leaf(xml, "readonly", NULL);
  write_boot_order(b, boot_order);
  write_target(b, alias, virt_word_cdrom_bus[bus]);
  virt_xml_close(xml);
}

void virt_build_cdrom(VirtBuild *b, const WsVmSpecCdrom *cdrom)
{
  g_autofree char *alias = virt_alias(cdrom->key);
  g_autofree char *path = NULL;
  if (cdrom->path)
    path = g_strdup(cdrom->path);
  else if (cdrom->file)
    path = pool_file(b, cdrom->pool, cdrom->file);
  write_cdrom(b, alias, cdrom->bus, path, cdrom->boot_order);
}

WsVmSpecCdromBus virt_build_seed_bus(const WsVmSpec *spec)
{
  if (virt_spec_has_virtio(spec))
    return WS_VM_SPEC_CDROM_BUS_VIRTIO_SCSI;
  return virt_arch_is_pcie(virt_arch(spec->architecture), spec->machine) ? WS_VM_SPEC_CDROM_BUS_SATA : WS_VM_SPEC_CDROM_BUS_IDE;
}

char *virt_seed_path(const VirtHost *host, const char *uuid)
{
  return g_strdup_printf("%s/%s.iso", host->seed_dir, uuid);
}

void virt_build_seed(VirtBuild *b)
{
  g_autofree char *path = virt_seed_path(b->host, b->spec->uuid);
  write_cdrom(b, VIRT_ALIAS_SEED, virt_build_seed_bus(b->spec), path, WS_INT_UNSET);
}

static void write_vlan(VirtBuild *b, const WsVmSpecNic *nic)
{
  bool access = nic->vlan != WS_INT_UNSET;
  if (!access && nic->trunks.len == 0)
    return;
  virt_xml_open(b->xml, "vlan");
  if (nic->trunks.len > 0)
    virt_xml_attr(b->xml, "trunk", "yes");
  if (access) {
    virt_xml_open(b->xml, "tag");
    virt_xml_attr_int(b->xml, "id", nic->vlan);
    if (nic->trunks.len > 0)
      virt_xml_attr(b->xml, "nativeMode", "untagged");
    virt_xml_close(b->xml);
  }
  for (guint i = 0; i < nic->trunks.len; i++) {
    virt_xml_open(b->xml, "tag");
    virt_xml_attr_int(b->xml, "id", nic->trunks.items[i]);
    virt_xml_close(b->xml);
  }
  virt_xml_close(b->xml);
}

static void write_rate(VirtBuild *b, const char *element, gint64 average, gint64 burst)
{
  if (average == WS_INT_UNSET)
    return;
  virt_xml_open(b->xml, element);
  virt_xml_attr_int(b->xml, "average", average);
  if (burst != WS_INT_UNSET)
    virt_xml_attr_int(b->xml, "burst", burst);
  virt_xml_close(b->xml);
}

void virt_build_nic(VirtBuild *b, const WsVmSpecNic *nic)
{
  VirtXml *xml = b->xml;
  g_autofree char *alias = virt_alias(nic->key);
  const char *model = ws_vm_spec_nic_model_names[nic->model - 1];
  virt_xml_open(xml, "interface");
  virt_xml_attr(xml, "type", "bridge");
  virt_xml_leaf(xml, "mac", "address", nic->mac, NULL);
  virt_xml_leaf(xml, "source", "bridge", nic->bridge, NULL);
  virt_xml_open(xml, "virtualport");
  virt_xml_attr(xml, "type", "openvswitch");
  const char *port_id = nic->port_id ? nic->port_id : virt_places_port_id(b->places, alias);
  if (port_id)
    virt_xml_leaf(xml, "parameters", "interfaceid", port_id, NULL);
  virt_xml_close(xml);
  write_vlan(b, nic);
  if (nic->in_kib_per_s != WS_INT_UNSET || nic->out_kib_per_s != WS_INT_UNSET) {
    virt_xml_open(xml, "bandwidth");
    write_rate(b, "inbound", nic->in_kib_per_s, nic->in_burst_kib);
    write_rate(b, "outbound", nic->out_kib_per_s, nic->out_burst_kib);
    virt_xml_close(xml);
  }
  virt_xml_leaf(xml, "model", "type", model, NULL);
  if (nic->queues > 1) {
    virt_xml_open(xml, "driver");
    virt_xml_attr_int(xml, "queues", nic->queues);
    virt_xml_close(xml);
  }
  if (nic->mtu != WS_INT_UNSET) {
    virt_xml_open(xml, "mtu");
    virt_xml_attr_int(xml, "size", nic->mtu);
    virt_xml_close(xml);
  }
  virt_xml_leaf(xml, "link", "state", nic->connected ? "up" : "down", NULL);
  write_boot_order(b, nic->boot_order);
  virt_build_identity(b, alias, model);
  virt_xml_close(xml);
}

/* ---- one device alone ---- */

static bool build_device(VirtBuild *b, const char *key)
{
  const WsVmSpec *spec = b->spec;
  for (guint i = 0; i < spec->disks.len; i++)
    if (strcmp(spec->disks.items[i]->key, key) == 0)
      return virt_build_disk(b, spec->disks.items[i]), true;
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (strcmp(spec->cdroms.items[i]->key, key) == 0)
      return virt_build_cdrom(b, spec->cdroms.items[i]), true;
  for (guint i = 0; i < spec->nics.len; i++)
    if (strcmp(spec->nics.items[i]->key, key) == 0)
      return virt_build_nic(b, spec->nics.items[i]), true;
  return false;
}

char *virt_device_xml(const WsVmSpec *spec, const char *key, const VirtHost *host, const VirtPlaces *places, bool with_address,
                      GError **error)
{
  VirtBuild b;
  virt_build_init(&b, spec, host, places, with_address);
  bool found = build_device(&b, key);
  g_assert(found);
  return virt_build_end(&b, error);
}

char *virt_dimm_xml(gint64 bytes)
{
  g_autoptr(VirtXml) xml = virt_xml_new();
  virt_xml_open(xml, "memory");
  virt_xml_attr(xml, "model", "dimm");
  virt_xml_open(xml, "target");
  virt_xml_open(xml, "size");
  virt_xml_attr(xml, "unit", "KiB");
  g_autofree char *kib = g_strdup_printf("%" G_GINT64_FORMAT, bytes / 1024);
  xmlTextWriterWriteString(xml->writer, BAD_CAST kib);
  virt_xml_close(xml);
  virt_xml_text(xml, "node", "0");
  virt_xml_close(xml);
  virt_xml_close(xml);
  return virt_xml_finish(xml);
}
