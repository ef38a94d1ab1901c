// SPDX-License-Identifier: Apache-2.0
#include "plan/compatibility.h"
#include <fnmatch.h>
#include <string.h>

#define LINES_MAX 256
#define CLASS_STORAGE "01" /* PCI base classes, Code and ID Assignment Specification 1.1 */
#define CLASS_NETWORK "02"

const WsCompatibilityEntry *plan_compatibility_of_model(const GPtrArray *list, WsCompatibilityEntryKind kind, const char *model)
{
  for (guint i = 0; model && i < list->len; i++) {
    const WsCompatibilityEntry *entry = list->pdata[i];
    for (guint j = 0; entry->kind == kind && j < entry->models.len; j++)
      if (fnmatch(entry->models.items[j], model, FNM_CASEFOLD | FNM_NOESCAPE) == 0)
        return entry;
  }
  return NULL;
}

static bool is_device(const WsCompatibilityEntry *entry)
{
  return entry->kind == WS_COMPATIBILITY_ENTRY_KIND_NIC || entry->kind == WS_COMPATIBILITY_ENTRY_KIND_CONTROLLER;
}

/* "0x8086" and "8086" are both seen. */
static const char *bare(const char *id)
{
  return id && g_str_has_prefix(id, "0x") ? id + 2 : id ? id : "";
}

const WsCompatibilityEntry *plan_compatibility_of_pci(const GPtrArray *list, const WsHostPciDevice *device)
{
  g_autofree char *code = g_strdup_printf("%s:%s", bare(device->vendor_id), bare(device->device_id));
  const WsCompatibilityEntry *by_driver = NULL;
  for (guint i = 0; i < list->len; i++) {
    const WsCompatibilityEntry *entry = list->pdata[i];
    for (guint j = 0; is_device(entry) && j < entry->pci.len; j++)
      if (g_ascii_strcasecmp(entry->pci.items[j], code) == 0)
        return entry;
    if (!by_driver && is_device(entry) && entry->driver && g_strcmp0(entry->driver, device->driver) == 0)
      by_driver = entry;
  }
  return by_driver;
}

static void add_line(WsHostCheck *check, const char *found, const WsCompatibilityEntry *entry)
{
  WsHostCheckLine *line = ws_host_check_line_new();
  line->check = WS_HOST_CHECK_LINE_CHECK_DEVICE;
  line->compatibility = entry ? entry->state : WS_COMPATIBILITY_STATE_UNKNOWN;
  line->state = line->compatibility == WS_COMPATIBILITY_STATE_UNKNOWN ? WS_HOST_CHECK_LINE_STATE_UNKNOWN : WS_HOST_CHECK_LINE_STATE_PASS;
  line->found = g_utf8_substring(found, 0, MIN(g_utf8_strlen(found, -1), 255));
  ws_array_add(&check->lines, line);
}

static void add_model(WsHostCheck *check, const GPtrArray *list, WsCompatibilityEntryKind kind, const char *vendor, const char *model)
{
  g_autofree char *found = vendor && model && !g_str_has_prefix(model, vendor) ? g_strdup_printf("%s %s", vendor, model) : g_strdup(model);
  if (model && *model)
    add_line(check, found, plan_compatibility_of_model(list, kind, model));
}

static bool is_seen(const WsHostFacts *facts, guint n)
{
  const WsHostPciDevice *device = facts->pci_devices.items[n];
  for (guint i = 0; i < n; i++)
    if (g_strcmp0(facts->pci_devices.items[i]->vendor_id, device->vendor_id) == 0 &&
        g_strcmp0(facts->pci_devices.items[i]->device_id, device->device_id) == 0)
      return true;
  return false;
}

void plan_compatibility_add_lines(WsHostCheck *check, const WsHostFacts *facts, const GPtrArray *list)
{
  guint most = check->lines.len + LINES_MAX;
  if (facts->system)
    add_model(check, list, WS_COMPATIBILITY_ENTRY_KIND_SERVER, facts->system->vendor, facts->system->model);
  if (facts->cpu)
    add_model(check, list, WS_COMPATIBILITY_ENTRY_KIND_PROCESSOR, NULL, facts->cpu->model);
  for (guint i = 0; i < facts->pci_devices.len && check->lines.len < most; i++) {
    const WsHostPciDevice *device = facts->pci_devices.items[i];
    const char *class = bare(device->class);
    if ((!g_str_has_prefix(class, CLASS_STORAGE) && !g_str_has_prefix(class, CLASS_NETWORK)) || is_seen(facts, i))
      continue;
    g_autofree char *found = g_strdup_printf("%s %s (%s:%s%s%s)", device->vendor ? device->vendor : "", device->device ? device->device : "",
                                             bare(device->vendor_id), bare(device->device_id), device->driver ? ", " : "",
                                             device->driver ? device->driver : "");
    add_line(check, g_strstrip(found), plan_compatibility_of_pci(list, device));
  }
}
