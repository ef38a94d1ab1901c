// SPDX-License-Identifier: Apache-2.0
/* PCI devices and the IOMMU. Names come from pci.ids where it is installed (package pci.ids); without it numbers are shown. */
#include "host/node/node-private.h"
#include <stdlib.h>
#include <string.h>

/* ---- addresses ---- */

/* "0000:3b:00.0"; domains may be longer than four digits. */
static bool is_address(const char *text, gsize n)
{
  if (n < 12 || text[n - 2] != '.' || text[n - 5] != ':' || text[n - 8] != ':')
    return false;
  for (gsize i = 0; i < n; i++)
    if (i != n - 2 && i != n - 5 && i != n - 8 && !g_ascii_isxdigit(text[i]))
      return false;
  return true;
}

char *node_pci_address_in(const char *path)
{
  g_auto(GStrv) parts = g_strsplit(path, "/", -1);
  char *last = NULL;
  for (char **part = parts; *part; part++)
    if (is_address(*part, strlen(*part)))
      last = *part;
  return g_strdup(last);
}

/* ---- names ---- */

/* Base class, or base and sub class, to a word (PCI Code and ID Assignment). */
static const struct {
  const char *class;
  const char *kind;
} kinds[] = {
    {"0300", "display"},       {"0302", "display"},
    {"0380", "display"},       {"0c03", "usb"},
    {"0c04", "fibre_channel"}, {"0108", "nvme"},
    {"0604", "bridge"},        {"0600", "bridge"},
    {"01", "storage"},         {"02", "network"},
    {"03", "display"},         {"04", "multimedia"},
    {"05", "memory"},          {"06", "bridge"},
    {"07", "communication"},   {"08", "system"},
    {"09", "input"},           {"0b", "processor"},
    {"0c", "serial_bus"},      {"0d", "wireless"},
    {"10", "encryption"},      {"11", "signal_processing"},
    {"12", "accelerator"},     {"13", "instrumentation"},
};

static const char *kind_of(const char *class)
{
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
    if (g_str_has_prefix(class, kinds[i].class))
      return kinds[i].kind;
  return "other";
}

static char *rest_of_line(const char *at)
{
  char *name = g_strndup(at, MIN(strcspn(at, "\n"), 255));
  g_strstrip(name);
  if (*name && g_utf8_validate(name, -1, NULL))
    return name;
  g_free(name);
  return NULL;
}

/* pci.ids: "vvvv  Vendor" lines, below each "\tdddd  Device" lines. */
static void look_up_names(const char *ids, WsHostPciDevice *d)
{
  g_autofree char *vendor_key = g_strdup_printf("\n%s  ", d->vendor_id),
                  *device_key = g_strdup_printf("\n\t%s  ", d->device_id);
  const char *vendor = ids ? strstr(ids, vendor_key) : NULL;
  if (!vendor)
    return;
  d->vendor = rest_of_line(vendor + strlen(vendor_key));
  const char *end = vendor + 1;
  do /* to the next vendor: a line that begins with neither tab nor comment */
    end = strchr(end, '\n');
  while (end && (end[1] == '\t' || end[1] == '#') && end++);
  const char *device = strstr(vendor, device_key);
  if (device && (!end || device < end))
    d->device = rest_of_line(device + strlen(device_key));
}

/* ---- devices ---- */

/* "0x8086" to "8086". */
static char *read_id(const char *root, const char *address, const char *what)
{
  char *id = tree_read(root, "/sys/bus/pci/devices/%s/%s", address, what);
  if (id && g_str_has_prefix(id, "0x"))
    memmove(id, id + 2, strlen(id + 2) + 1);
  if (id && strlen(id) > 8)
    g_clear_pointer(&id, g_free);
  return id;
}

static WsHostPciDevice *read_device(const char *root, const char *address, const char *ids)
{
  WsHostPciDevice *d = ws_host_pci_device_new();
  d->address = g_strdup(address);
  d->class = read_id(root, address, "class");
  d->vendor_id = read_id(root, address, "vendor");
  d->device_id = read_id(root, address, "device");
  d->kind = g_strdup(kind_of(d->class ? d->class : ""));
  if (d->vendor_id && d->device_id)
    look_up_names(ids, d);
  d->driver = tree_link_name(root, "/sys/bus/pci/devices/%s/driver", address);
  gint64 node = tree_read_int(root, -1, "/sys/bus/pci/devices/%s/numa_node", address);
  d->numa_node = node >= 0 ? node : WS_INT_UNSET;
  g_autofree char *group = tree_link_name(root, "/sys/bus/pci/devices/%s/iommu_group", address);
  d->iommu_group = group ? g_ascii_strtoll(group, NULL, 10) : WS_INT_UNSET;
  gint64 total = tree_read_int(root, 0, "/sys/bus/pci/devices/%s/sriov_totalvfs", address);
  d->sriov_total = total > 0 ? total : WS_INT_UNSET;
  d->sriov_vfs =
      total > 0 ? tree_read_int(root, 0, "/sys/bus/pci/devices/%s/sriov_numvfs", address) : WS_INT_UNSET;
  d->physical_function = tree_link_name(root, "/sys/bus/pci/devices/%s/physfn", address);
  return d;
}

/* ---- IOMMU ---- */

static WsHostIommu *read_iommu(const char *root, const WsHostFacts *facts)
{
  WsHostIommu *iommu = ws_host_iommu_new();
  g_auto(GStrv) units = tree_list(root, "/sys/class/iommu"),
                groups = tree_list(root, "/sys/kernel/iommu_groups");
  static const struct {
    const char *prefix, *kind;
  } names[] = {{"dmar", "intel"}, {"ivhd", "amd"}, {"smmu", "smmu"}, {"arm-smmu", "smmu"}};
  iommu->groups = g_strv_length(groups);
  iommu->enabled = iommu->groups > 0;
  for (guint i = 0; *units && i < G_N_ELEMENTS(names); i++)
    if (g_str_has_prefix(*units, names[i].prefix))
      iommu->kind = g_strdup(names[i].kind);
  if (iommu->enabled)
    return iommu;
  bool intel = tree_has(root, "/sys/firmware/acpi/tables/DMAR"),
       amd = tree_has(root, "/sys/firmware/acpi/tables/IVRS");
  if (intel)
    iommu->reason = g_strdup(
        "the machine has VT-d, but the kernel does not use it: add intel_iommu=on to its command line");
  else if (amd)
    iommu->reason = g_strdup(
        "the machine has AMD-Vi, but the kernel does not use it: look for iommu=off on its command line");
  else if (facts->system && facts->system->virtual)
    iommu->reason = g_strdup("this machine is virtual itself and shows none");
  else
    iommu->reason = g_strdup("the firmware shows none: it is absent or switched off in its settings");
  return iommu;
}

static int compare_addresses(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a,
                *(const char *const *)b); /* hexadecimal of one width: not in natural order */
}

void node_read_pci(const char *root, WsHostFacts *facts)
{
  g_autofree char *ids = tree_read_long(root, "/usr/share/misc/pci.ids");
  if (!ids)
    ids = tree_read_long(root, "/usr/share/hwdata/pci.ids");
  g_auto(GStrv) addresses = tree_list(root, "/sys/bus/pci/devices");
  qsort(addresses, g_strv_length(addresses), sizeof *addresses, compare_addresses);
  for (char **address = addresses; *address && facts->pci_devices.len < 8192; address++)
    ws_array_add(&facts->pci_devices, read_device(root, *address, ids));
  facts->iommu = read_iommu(root, facts);
}
