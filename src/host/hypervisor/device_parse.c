// SPDX-License-Identifier: Apache-2.0
/* Devices of a domain's XML back into a spec. See domain.h and domain_parse.c. */
#include "host/hypervisor/parse-private.h"
#include <string.h>

/* ---- keys: alias of ours, else our note of the target, else the next free one ---- */

static bool is_key(const char *text)
{
  gsize n = text ? strlen(text) : 0;
  if (n == 0 || n > 31 || !g_ascii_islower(text[0]))
    return false;
  return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* Name behind "ua-" of a device's alias, or NULL. */
static const char *own_alias(const xmlNode *device)
{
  const char *alias = virt_xml_path_get(device, "alias", "name");
  return alias && g_str_has_prefix(alias, "ua-") ? alias + 3 : NULL;
}

static const xmlNode *find_note(const VirtReading *r, const char *attr, const char *value)
{
  for (const xmlNode *n = virt_xml_first(r->note); n && value; n = virt_xml_next(n))
    if (virt_xml_is(n, "device") && g_strcmp0(virt_xml_get(n, attr), value) == 0)
      return n;
  return NULL;
}

/* The key a device has by itself; NULL: it must be given one. */
static char *known_key(VirtReading *r, const xmlNode *device, const char *attr, const char *value)
{
  const char *key = own_alias(device);
  if (!is_key(key))
    key = virt_xml_get(find_note(r, attr, value), "key");
  if (!is_key(key) || !g_hash_table_add(r->keys, g_strdup(key)))
    return NULL;
  return g_strdup(key);
}

static char *next_key(VirtReading *r, const char *stem)
{
  for (guint i = 0;; i++) {
    char *key = g_strdup_printf("%s-%u", stem, i);
    if (g_hash_table_add(r->keys, g_strdup(key)))
      return key;
    g_free(key);
  }
}

static gint64 boot_order(const xmlNode *device)
{
  return virt_xml_int(virt_xml_path_get(device, "boot", "order"), WS_INT_UNSET);
}

/* ---- disks and CDs ---- */

/* A name as the manager gives to files (VmSpecDisk.file). */
static bool is_plain_file(const char *name)
{
  gsize n = strlen(name);
  return n > 0 && n <= 201 && g_ascii_isalnum(name[0]) && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* Where a file lies: our note when it is still true, else the pool that holds it, else the bare path. */
static void read_place(VirtReading *r, const xmlNode *note, const char *path, WsId *volume, WsId *pool, char **file, char **bare)
{
  if (!path)
    return;
  WsId noted = (WsId)MAX(0, virt_xml_int(virt_xml_get(note, "pool"), 0));
  const char *noted_file = virt_xml_get(note, "file");
  if (noted && noted_file) {
    g_autofree char *noted_path = r->host->pool_file(r->host->arg, noted, noted_file, NULL);
    if (!noted_path || strcmp(noted_path, path) == 0) {
      *pool = noted;
      *file = g_strdup(noted_file);
      *volume = (WsId)MAX(0, virt_xml_int(virt_xml_get(note, "volume"), 0));
      return;
    }
  }
  if (r->host->find_pool(r->host->arg, path, pool, file) && is_plain_file(*file))
    return;
  *pool = 0;
  g_clear_pointer(file, g_free);
  *bare = g_strdup(path);
}

static WsVmIoLimits *read_limits(VirtReading *r, const xmlNode *device, const char *dev)
{
  const xmlNode *tune = virt_xml_child(device, "iotune");
  if (!tune)
    return NULL;
  WsVmIoLimits *limits = ws_vm_io_limits_new();
  const struct { const char *element; gint64 *value; } rows[] = {
    {"total_bytes_sec", &limits->total_bytes_per_s}, {"read_bytes_sec", &limits->read_bytes_per_s},
    {"write_bytes_sec", &limits->write_bytes_per_s}, {"total_iops_sec", &limits->total_iops},
    {"read_iops_sec", &limits->read_iops},           {"write_iops_sec", &limits->write_iops},
  };
  for (const xmlNode *node = virt_xml_first(tune); node; node = virt_xml_next(node)) {
    guint i = 0;
    while (i < G_N_ELEMENTS(rows) && !virt_xml_is(node, rows[i].element))
      i++;
    if (i == G_N_ELEMENTS(rows)) {
      virt_read_block(r, "disk %s: iotune/%s", dev, node->name);
      continue;
    }
    gint64 value = virt_xml_int(virt_xml_path_text(tune, rows[i].element), 0);
    *rows[i].value = value > 0 ? value : WS_INT_UNSET;
  }
  return limits;
}

static void read_disk(VirtReading *r, const xmlNode *device, GPtrArray *disks)
{
  const char *dev = virt_xml_path_get(device, "target", "dev"), *format = virt_xml_path_get(device, "driver", "type");
  const char *cache = virt_xml_path_get(device, "driver", "cache"), *policy = virt_xml_path_get(device, "driver", "error_policy");
  WsVmSpecDisk *disk = ws_vm_spec_disk_new();
  disk->key = known_key(r, device, "dev", dev);
  disk->bus = virt_word_find(virt_word_disk_bus, virt_xml_path_get(device, "target", "bus"));
  disk->format = virt_read_name(ws_vm_spec_disk_format_names, format);
  /* What QEMU does when nothing is said. */
  disk->cache = virt_read_name(ws_vm_spec_disk_cache_names, cache ? cache : "writeback");
  disk->error_policy = virt_read_name(ws_vm_spec_disk_error_policy_names, policy ? policy : "enospace");
  disk->discard = g_strcmp0(virt_xml_path_get(device, "driver", "discard"), "unmap") == 0;
  disk->read_only = virt_xml_child(device, "readonly") != NULL;
  disk->shared = virt_xml_child(device, "shareable") != NULL;
  disk->boot_order = boot_order(device);
  disk->limits = read_limits(r, device, dev);
  const xmlNode *note = disk->key ? find_note(r, "key", disk->key) : NULL;
  read_place(r, note, virt_xml_path_get(device, "source", "file"), &disk->volume, &disk->pool, &disk->file, &disk->path);
  if (!disk->bus)
    virt_read_block(r, "disk %s: bus %s", dev, virt_xml_path_get(device, "target", "bus"));
  if (!disk->format)
    virt_read_block(r, "disk %s: format %s", dev, format ? format : "not named");
  if (!disk->cache)
    virt_read_block(r, "disk %s: cache %s", dev, cache);
  if (virt_xml_child(device, "encryption") || virt_xml_child(device, "source/encryption"))
    virt_read_block(r, "disk %s: encryption", dev);
  if (disk->path)
    virt_read_block(r, "disk %s: %s lies in no pool", dev, disk->path);
  g_ptr_array_add(disks, disk);
}

static void read_cdrom(VirtReading *r, const xmlNode *device, GPtrArray *cdroms)
{
  const char *dev = virt_xml_path_get(device, "target", "dev"), *alias = own_alias(device);
  const char *path = virt_xml_path_get(device, "source", "file");
  g_autofree char *seed = r->host->seed_dir && r->spec->uuid ? virt_seed_path(r->host, r->spec->uuid) : NULL;
  if (g_strcmp0(alias, "_seed") == 0 || (seed && g_strcmp0(path, seed) == 0)) {
    r->spec->seed = true;
    return;
  }
  WsVmSpecCdrom *cdrom = ws_vm_spec_cdrom_new();
  cdrom->key = known_key(r, device, "dev", dev);
  cdrom->bus = virt_word_find(virt_word_cdrom_bus, virt_xml_path_get(device, "target", "bus"));
  cdrom->boot_order = boot_order(device);
  const xmlNode *note = cdrom->key ? find_note(r, "key", cdrom->key) : NULL;
  read_place(r, note, path, &cdrom->volume, &cdrom->pool, &cdrom->file, &cdrom->path);
  if (!cdrom->bus)
    virt_read_block(r, "CD %s: bus %s", dev, virt_xml_path_get(device, "target", "bus"));
  if (cdrom->path)
    virt_read_block(r, "CD %s: %s lies in no pool", dev, cdrom->path);
  g_ptr_array_add(cdroms, cdrom);
}

static void read_storage(VirtReading *r, const xmlNode *device, GPtrArray *disks, GPtrArray *cdroms)
{
  const char *kind = virt_xml_get(device, "device"), *type = virt_xml_get(device, "type");
  const char *dev = virt_xml_path_get(device, "target", "dev");
  bool cd = g_strcmp0(kind, "cdrom") == 0;
  /* libvirt says type "block" or "network" for media that are no files, "file" for an empty drive. */
  if (g_strcmp0(type, "file") != 0)
    virt_read_block(r, "%s %s: type %s", cd ? "CD" : "disk", dev, type);
  else if (cd)
    read_cdrom(r, device, cdroms);
  else if (!kind || strcmp(kind, "disk") == 0)
    read_disk(r, device, disks);
  else
    virt_read_block(r, "%s %s", kind, dev);
}

/* ---- NICs ---- */

static void read_vlan(const xmlNode *device, WsVmSpecNic *nic)
{
  const xmlNode *vlan = virt_xml_child(device, "vlan");
  bool trunk = g_strcmp0(virt_xml_get(vlan, "trunk"), "yes") == 0;
  g_autoptr(GArray) trunks = g_array_new(FALSE, FALSE, sizeof(gint64));
  for (const xmlNode *tag = virt_xml_first(vlan); tag; tag = virt_xml_next(tag)) {
    gint64 id = virt_xml_int(virt_xml_get(tag, "id"), 0);
    if (trunk && !virt_xml_get(tag, "nativeMode"))
      g_array_append_val(trunks, id);
    else
      nic->vlan = id;
  }
  nic->trunks.len = trunks->len;
  nic->trunks.items = (gint64 *)g_array_steal(trunks, NULL);
}

static void read_nic(VirtReading *r, const xmlNode *device, GPtrArray *nics)
{
  const char *type = virt_xml_get(device, "type"), *mac = virt_xml_path_get(device, "mac", "address");
  const char *model = virt_xml_path_get(device, "model", "type");
  WsVmSpecNic *nic = ws_vm_spec_nic_new();
  nic->key = known_key(r, device, "mac", mac);
  nic->mac = g_strdup(mac);
  nic->bridge = g_strdup(virt_xml_path_get(device, "source", "bridge"));
  nic->port_id = g_strdup(virt_xml_path_get(device, "virtualport/parameters", "interfaceid"));
  nic->model = virt_read_name(ws_vm_spec_nic_model_names, model);
  nic->connected = g_strcmp0(virt_xml_path_get(device, "link", "state"), "down") != 0;
  nic->boot_order = boot_order(device);
  nic->mtu = virt_xml_int(virt_xml_path_get(device, "mtu", "size"), WS_INT_UNSET);
  nic->queues = virt_xml_int(virt_xml_path_get(device, "driver", "queues"), 1);
  nic->in_kib_per_s = virt_xml_int(virt_xml_path_get(device, "bandwidth/inbound", "average"), WS_INT_UNSET);
  nic->in_burst_kib = virt_xml_int(virt_xml_path_get(device, "bandwidth/inbound", "burst"), WS_INT_UNSET);
  nic->out_kib_per_s = virt_xml_int(virt_xml_path_get(device, "bandwidth/outbound", "average"), WS_INT_UNSET);
  nic->out_burst_kib = virt_xml_int(virt_xml_path_get(device, "bandwidth/outbound", "burst"), WS_INT_UNSET);
  read_vlan(device, nic);
  const xmlNode *note = nic->key ? find_note(r, "key", nic->key) : NULL;
  nic->port_group = (WsId)MAX(0, virt_xml_int(virt_xml_get(note, "port_group"), 0));
  if (g_strcmp0(type, "bridge") != 0)
    virt_read_block(r, "NIC %s: type %s", mac, type);
  else if (g_strcmp0(virt_xml_path_get(device, "virtualport", "type"), "openvswitch") != 0)
    virt_read_block(r, "NIC %s: a bridge that is not Open vSwitch", mac);
  if (model && !nic->model)
    virt_read_block(r, "NIC %s: model %s", mac, model);
  g_ptr_array_add(nics, nic);
}

/* ---- the rest ---- */

static void read_input(VirtReading *r, const xmlNode *device, GArray *inputs)
{
  const char *type = virt_xml_get(device, "type"), *bus = virt_xml_get(device, "bus");
  int value = virt_read_name(ws_vm_spec_inputs_names, type);
  if (g_strcmp0(bus, "ps2") == 0 || g_strcmp0(bus, "xen") == 0)
    return;
  if (value && inputs->len < 4)
    g_array_append_val(inputs, value);
  else
    virt_read_block(r, "input %s", type);
}

static void read_video(VirtReading *r, const xmlNode *device)
{
  const char *model = virt_xml_path_get(device, "model", "type");
  int value = virt_read_name(ws_vm_spec_video_names, model);
  if (r->spec->video)
    virt_read_block(r, "video: a second display adapter");
  else if (!value)
    virt_read_block(r, "video %s", model);
  else
    r->spec->video = value;
}

static void read_channel(VirtReading *r, const xmlNode *device)
{
  const char *name = virt_xml_path_get(device, "target", "name");
  const char *state = virt_xml_path_get(device, "target", "state");
  if (g_strcmp0(name, "org.qemu.guest_agent.0") == 0) {
    r->spec->agent_channel = true;
    r->domain->agent_connected = state ? strcmp(state, "connected") == 0 : -1;
  } else if (g_strcmp0(virt_xml_get(device, "type"), "spicevmc") != 0) {
    virt_read_block(r, "channel %s", name);
  }
}

static void read_watchdog(VirtReading *r, const xmlNode *device)
{
  const char *action = virt_xml_get(device, "action");
  r->spec->watchdog = virt_word_find(virt_word_watchdog, action ? action : "reset");
  if (!r->spec->watchdog)
    virt_read_block(r, "watchdog: action %s", action);
}

static void read_other(VirtReading *r, const xmlNode *device)
{
  /* Nothing of them is lost when a domain is defined anew from its spec. */
  static const char *const harmless[] = {"emulator", "controller", "console", "sound", "audio", "hub", "redirdev", "memory", NULL};
  const char *model = virt_xml_get(device, "model"), *type = virt_xml_get(device, "type");
  WsVmSpec *spec = r->spec;
  if (virt_xml_is(device, "video")) {
    read_video(r, device);
  } else if (virt_xml_is(device, "channel")) {
    read_channel(r, device);
  } else if (virt_xml_is(device, "watchdog")) {
    read_watchdog(r, device);
  } else if (virt_xml_is(device, "graphics")) {
    if (g_strcmp0(type, "vnc") == 0)
      spec->graphics = WS_VM_SPEC_GRAPHICS_VNC;
    else
      virt_read_block(r, "graphics %s", type);
  } else if (virt_xml_is(device, "serial")) {
    if (g_strcmp0(type, "pty") != 0 || spec->serial)
      virt_read_block(r, "serial %s", type);
    spec->serial = true;
  } else if (virt_xml_is(device, "memballoon")) {
    spec->balloon = g_strcmp0(model, "none") != 0;
  } else if (virt_xml_is(device, "rng")) {
    spec->rng = true;
  } else if (virt_xml_is(device, "panic")) {
    spec->panic_device = true;
  } else if (virt_xml_is(device, "tpm")) {
    spec->tpm = g_strcmp0(virt_xml_path_get(device, "backend", "type"), "emulator") == 0;
    if (!spec->tpm)
      virt_read_block(r, "tpm: a TPM of the host");
  } else if (!g_strv_contains(harmless, (const char *)device->name)) {
    virt_read_block(r, "%s %s", device->name, type ? type : "");
  }
}

/* <os><boot dev='hd'/>: an order of kinds, where the domain has no order of devices. */
static void read_boot_kinds(VirtReading *r)
{
  WsVmSpec *spec = r->spec;
  gint64 order = 0;
  for (const xmlNode *boot = virt_xml_first(virt_xml_child(r->root, "os")); boot; boot = virt_xml_next(boot)) {
    const char *dev = virt_xml_is(boot, "boot") ? virt_xml_get(boot, "dev") : NULL;
    if (g_strcmp0(dev, "hd") == 0 && spec->disks.len > 0)
      spec->disks.items[0]->boot_order = ++order;
    else if (g_strcmp0(dev, "cdrom") == 0 && spec->cdroms.len > 0)
      spec->cdroms.items[0]->boot_order = ++order;
    else if (g_strcmp0(dev, "network") == 0 && spec->nics.len > 0)
      spec->nics.items[0]->boot_order = ++order;
  }
}

static void settle_keys(VirtReading *r)
{
  WsVmSpec *spec = r->spec;
  for (guint i = 0; i < spec->disks.len; i++)
    if (!spec->disks.items[i]->key)
      spec->disks.items[i]->key = next_key(r, "disk");
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (!spec->cdroms.items[i]->key)
      spec->cdroms.items[i]->key = next_key(r, "cd");
  for (guint i = 0; i < spec->nics.len; i++)
    if (!spec->nics.items[i]->key)
      spec->nics.items[i]->key = next_key(r, "nic");
}

#define TAKE(array, from) ((array).len = (from)->len, (array).items = (void *)g_ptr_array_steal((from), NULL))

/* Under their final keys: targets of disks and CDs, host interfaces of NICs. nodes: XML of each, in the same order. */
static void note_devs(VirtReading *r, GPtrArray *disk_nodes, GPtrArray *cdrom_nodes, GPtrArray *nic_nodes)
{
  const WsVmSpec *spec = r->spec;
  for (guint i = 0; i < spec->disks.len; i++)
    g_hash_table_insert(r->domain->devs, g_strdup(spec->disks.items[i]->key),
                        g_strdup(virt_xml_path_get(disk_nodes->pdata[i], "target", "dev")));
  for (guint i = 0; i < spec->cdroms.len; i++)
    g_hash_table_insert(r->domain->devs, g_strdup(spec->cdroms.items[i]->key),
                        g_strdup(virt_xml_path_get(cdrom_nodes->pdata[i], "target", "dev")));
  for (guint i = 0; r->domain->live && i < spec->nics.len; i++) {
    const char *device = virt_xml_path_get(nic_nodes->pdata[i], "target", "dev");
    if (!device)
      continue;
    WsVmTap *tap = ws_vm_tap_new();
    tap->nic = g_strdup(spec->nics.items[i]->key);
    tap->device = g_strdup(device);
    g_ptr_array_add(r->domain->taps, tap);
  }
}

void virt_read_devices(VirtReading *r)
{
  g_autoptr(GPtrArray) disks = g_ptr_array_new(), cdroms = g_ptr_array_new(), nics = g_ptr_array_new();
  g_autoptr(GPtrArray) disk_nodes = g_ptr_array_new(), cdrom_nodes = g_ptr_array_new(), nic_nodes = g_ptr_array_new();
  g_autoptr(GArray) inputs = g_array_new(FALSE, FALSE, sizeof(int));
  r->spec->graphics = WS_VM_SPEC_GRAPHICS_NONE;
  r->spec->watchdog = WS_VM_SPEC_WATCHDOG_NONE;
  r->spec->balloon = true; /* libvirt adds one where nothing is said */
  for (xmlNode *device = virt_xml_first(virt_xml_child(r->root, "devices")); device; device = virt_xml_next(device)) {
    guint n_disks = disks->len, n_cdroms = cdroms->len;
    if (virt_xml_is(device, "disk"))
      read_storage(r, device, disks, cdroms);
    else if (virt_xml_is(device, "interface"))
      read_nic(r, device, nics), g_ptr_array_add(nic_nodes, device);
    else if (virt_xml_is(device, "input"))
      read_input(r, device, inputs);
    else
      read_other(r, device);
    if (disks->len > n_disks)
      g_ptr_array_add(disk_nodes, device);
    if (cdroms->len > n_cdroms)
      g_ptr_array_add(cdrom_nodes, device);
  }
  TAKE(r->spec->disks, disks);
  TAKE(r->spec->cdroms, cdroms);
  TAKE(r->spec->nics, nics);
  r->spec->inputs.len = inputs->len;
  r->spec->inputs.items = (void *)g_array_steal(inputs, NULL);
  settle_keys(r);
  note_devs(r, disk_nodes, cdrom_nodes, nic_nodes);
  read_boot_kinds(r);
}
