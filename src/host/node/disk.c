// SPDX-License-Identifier: Apache-2.0
/* Block devices from /sys/block. Loop, RAM and empty devices are not shown. */
#include "host/node/node-private.h"
#include <string.h>

bool node_shows_disk(const char *root, const char *name)
{
  static const char *const hidden[] = {"loop", "ram", "zram", "fd", "nbd"};
  for (guint i = 0; i < G_N_ELEMENTS(hidden); i++)
    if (g_str_has_prefix(name, hidden[i]) && g_ascii_isdigit(name[strlen(hidden[i])]))
      return false;
  return g_str_has_prefix(name, "sr") || tree_read_int(root, 0, "/sys/block/%s/size", name) > 0;
}

/* By the way the device hangs in /sys/devices; the first that fits counts. */
static const char *transport_of(const char *path)
{
  static const struct {
    const char *part, *name;
  } parts[] = {
      {"/usb", "usb"},   {"/session", "iscsi"}, {"/rport-", "fc"}, {"/end_device-", "sas"}, {"/ata", "sata"},
      {"/nvme", "nvme"}, {"/virtio", "virtio"}, {"/mmc", "mmc"},   {"/vmbus", "vmbus"},     {"/xen", "xen"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
    if (strstr(path, parts[i].part))
      return parts[i].name;
  return NULL;
}

static WsHostDiskKind kind_of(const char *root, const char *name, const char *path)
{
  if (g_str_has_prefix(name, "sr"))
    return WS_HOST_DISK_KIND_CDROM;
  if (g_str_has_prefix(name, "nvme"))
    return WS_HOST_DISK_KIND_NVME;
  if (strstr(path, "/devices/virtual/")) /* device mapper, md */
    return WS_HOST_DISK_KIND_VIRTUAL;
  return tree_read_int(root, 1, "/sys/block/%s/queue/rotational", name) ? WS_HOST_DISK_KIND_DISK
                                                                        : WS_HOST_DISK_KIND_SSD;
}

/* SCSI keeps the serial in vital product data, page 80: four bytes of head, then text. */
static char *serial_of(const char *root, const char *name)
{
  gsize n;
  char *serial = tree_read(root, "/sys/block/%s/serial", name); /* virtio */
  if (!serial)
    serial = tree_read(root, "/sys/block/%s/device/serial", name); /* nvme */
  g_autofree char *page = serial ? NULL : tree_read_bytes(root, &n, "/sys/block/%s/device/vpd_pg80", name);
  if (page && n > 4) {
    gsize length = (gsize)((guint8)page[2] << 8 | (guint8)page[3]);
    serial = g_strndup(page + 4, MIN(length, n - 4));
    g_strstrip(serial);
    if (*serial == 0 || strlen(serial) > 128 || !g_utf8_validate(serial, -1, NULL))
      g_clear_pointer(&serial, g_free);
  }
  return serial;
}

/* Device numbers ("8:1") that are mounted or swapped to. */
static GHashTable *list_used(const char *root)
{
  GHashTable *used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *mounts = tree_read_long(root, "/proc/self/mountinfo"),
                  *swaps = tree_read_long(root, "/proc/swaps");
  g_auto(GStrv) lines = g_strsplit(mounts ? mounts : "", "\n", -1),
                swap_lines = g_strsplit(swaps ? swaps : "", "\n", -1);
  for (char **line = lines; *line; line++) {
    g_auto(GStrv) words = g_strsplit(*line, " ", 4);
    if (g_strv_length(words) == 4)
      g_hash_table_add(used, g_strdup(words[2]));
  }
  for (char **line = swap_lines; *line; line++)
    if (g_str_has_prefix(*line, "/dev/")) {
      g_autofree char *name = g_strndup(*line + 5, strcspn(*line + 5, " \t"));
      char *number = tree_read(root, "/sys/class/block/%s/dev", name);
      if (number)
        g_hash_table_add(used, number);
    }
  return used;
}

static bool is_used(const char *root, const char *directory, GHashTable *used)
{
  g_autofree char *number = tree_read(root, "%s/dev", directory);
  g_auto(GStrv) holders = tree_list(root, "%s/holders", directory);
  return (number && g_hash_table_contains(used, number)) || *holders;
}

static void look_at_partitions(const char *root, WsHostDisk *d, GHashTable *used)
{
  g_autofree char *directory = g_strconcat("/sys/block/", d->name, NULL);
  d->in_use = is_used(root, directory, used);
  d->partitions = 0;
  g_auto(GStrv) names = tree_list(root, "%s", directory);
  for (char **name = names; *name; name++)
    if (g_str_has_prefix(*name, d->name) && tree_has(root, "%s/%s/partition", directory, *name)) {
      g_autofree char *partition = g_strconcat(directory, "/", *name, NULL);
      d->in_use |= is_used(root, partition, used);
      d->partitions++;
    }
}

static WsHostDisk *read_disk(const char *root, const char *name, GHashTable *used)
{
  WsHostDisk *d = ws_host_disk_new();
  g_autofree char *path = tree_real(root, "/sys/block/%s", name);
  if (!path)
    path = g_strdup("");
  d->name = g_strdup(name);
  d->kind = kind_of(root, name, path);
  d->size_bytes = tree_read_int(root, 0, "/sys/block/%s/size", name) * 512; /* always in 512s */
  d->sector_bytes = tree_read_int(root, WS_INT_UNSET, "/sys/block/%s/queue/logical_block_size", name);
  d->transport = g_strdup(transport_of(path));
  d->vendor = tree_read(root, "/sys/block/%s/device/vendor", name);
  if (d->vendor && g_str_has_prefix(d->vendor, "0x")) /* virtio: a number, no name */
    g_clear_pointer(&d->vendor, g_free);
  d->model = tree_read(root, "/sys/block/%s/device/model", name);
  d->serial = serial_of(root, name);
  d->wwn = tree_read(root, "/sys/block/%s/wwid", name);
  if (!d->wwn)
    d->wwn = tree_read(root, "/sys/block/%s/device/wwid", name);
  if (d->wwn && strlen(d->wwn) > 128)
    g_clear_pointer(&d->wwn, g_free);
  d->removable = tree_read_int(root, 0, "/sys/block/%s/removable", name) > 0;
  d->read_only = tree_read_int(root, 0, "/sys/block/%s/ro", name) > 0;
  d->pci_address = node_pci_address_in(path);
  look_at_partitions(root, d, used);
  return d;
}

void node_read_disks(const char *root, WsHostFacts *facts)
{
  g_autoptr(GHashTable) used = list_used(root);
  g_auto(GStrv) names = tree_list(root, "/sys/block");
  for (char **name = names; *name; name++)
    if (node_shows_disk(root, *name))
      ws_array_add(&facts->disks, read_disk(root, *name, used));
}
