// SPDX-License-Identifier: Apache-2.0
/* Places: target names, bus addresses and PCI controllers of an earlier definition, by device alias. See domain.h.
 *
 * libvirt gives addresses when a domain is defined. Would a new definition of the same domain leave them out, they were
 * given anew, and adding one disk could move a NIC to another slot: a new name in the guest, a lost configuration. */
#include "host/hypervisor/domain.h"
#include <string.h>

struct VirtPlaces {
  xmlDoc *doc;         /* NULL: none */
  xmlNode *devices;    /* in doc; NULL: none */
  GHashTable *by_alias; /* alias -> device xmlNode, both borrowed from doc */
};

VirtPlaces *virt_places_new(const char *xml)
{
  VirtPlaces *places = g_new0(VirtPlaces, 1);
  places->by_alias = g_hash_table_new(g_str_hash, g_str_equal);
  places->doc = xml ? virt_xml_parse(xml, NULL) : NULL;
  if (!places->doc)
    return places;
  places->devices = virt_xml_child(xmlDocGetRootElement(places->doc), "devices");
  for (xmlNode *device = virt_xml_first(places->devices); device; device = virt_xml_next(device)) {
    const char *alias = virt_xml_path_get(device, "alias", "name");
    if (alias && !virt_xml_is(device, "console")) /* a console repeats its serial port's alias */
      g_hash_table_insert(places->by_alias, (gpointer)alias, device);
  }
  return places;
}

void virt_places_free(VirtPlaces *places)
{
  if (!places)
    return;
  g_hash_table_unref(places->by_alias);
  xmlFreeDoc(places->doc);
  g_free(places);
}

static const xmlNode *root(const VirtPlaces *places)
{
  return places && places->doc ? xmlDocGetRootElement(places->doc) : NULL;
}

const char *virt_places_domain_name(const VirtPlaces *places)
{
  return virt_xml_path_text(root(places), "name");
}

const char *virt_places_machine(const VirtPlaces *places)
{
  return virt_xml_path_get(root(places), "os/type", "machine");
}

const char *virt_places_dev(const VirtPlaces *places, const char *alias)
{
  return places ? virt_xml_path_get(g_hash_table_lookup(places->by_alias, alias), "target", "dev") : NULL;
}

const char *virt_places_port_id(const VirtPlaces *places, const char *alias)
{
  return places ? virt_xml_path_get(g_hash_table_lookup(places->by_alias, alias), "virtualport/parameters", "interfaceid") : NULL;
}

static const char *kind_of(const xmlNode *device)
{
  if (virt_xml_is(device, "disk"))
    return virt_xml_path_get(device, "target", "bus");
  if (virt_xml_is(device, "interface") || virt_xml_is(device, "video"))
    return virt_xml_path_get(device, "model", "type");
  return NULL;
}

/* Writes an element without content again. */
static void copy_leaf(VirtXml *xml, const xmlNode *node)
{
  virt_xml_open(xml, (const char *)node->name);
  for (const xmlAttr *a = node->properties; a; a = a->next)
    virt_xml_attr(xml, (const char *)a->name, virt_xml_get(node, (const char *)a->name));
  virt_xml_close(xml);
}

bool virt_places_write_address(const VirtPlaces *places, VirtXml *xml, const char *alias, const char *kind)
{
  const xmlNode *device = places ? g_hash_table_lookup(places->by_alias, alias) : NULL;
  const xmlNode *address = virt_xml_child(device, "address");
  if (!address || g_strcmp0(kind_of(device), kind) != 0)
    return false;
  copy_leaf(xml, address);
  return true;
}

const char *virt_places_alias(const VirtPlaces *places, const char *key, const char *dev, const char *mac)
{
  g_autofree char *own = virt_alias(key);
  const xmlNode *device = places ? g_hash_table_lookup(places->by_alias, own) : NULL;
  if (device)
    return virt_xml_path_get(device, "alias", "name");
  for (device = virt_xml_first(places ? places->devices : NULL); device; device = virt_xml_next(device)) {
    bool same = (dev && virt_xml_is(device, "disk") && g_strcmp0(virt_xml_path_get(device, "target", "dev"), dev) == 0) ||
                (mac && virt_xml_is(device, "interface") && g_strcmp0(virt_xml_path_get(device, "mac", "address"), mac) == 0);
    if (same)
      return virt_xml_path_get(device, "alias", "name");
  }
  return NULL;
}

static bool is_pci_controller(const xmlNode *device)
{
  return virt_xml_is(device, "controller") && g_strcmp0(virt_xml_get(device, "type"), "pci") == 0;
}

/* A controller as it was, with <model>, <target> and <address>, but without an alias that libvirt chose. */
static void copy_controller(VirtXml *xml, const xmlNode *controller)
{
  virt_xml_open(xml, "controller");
  for (const xmlAttr *a = controller->properties; a; a = a->next)
    virt_xml_attr(xml, (const char *)a->name, virt_xml_get(controller, (const char *)a->name));
  for (const xmlNode *part = virt_xml_first(controller); part; part = virt_xml_next(part))
    if (!virt_xml_is(part, "alias"))
      copy_leaf(xml, part);
  virt_xml_close(xml);
}

void virt_places_write_pci(const VirtPlaces *places, VirtXml *xml, guint root_ports)
{
  gint64 next_index = 0;
  guint have = 0;
  for (const xmlNode *device = virt_xml_first(places ? places->devices : NULL); device; device = virt_xml_next(device)) {
    if (!is_pci_controller(device))
      continue;
    copy_controller(xml, device);
    next_index = MAX(next_index, virt_xml_int(virt_xml_get(device, "index"), 0) + 1);
    have += g_strcmp0(virt_xml_get(device, "model"), "pcie-root-port") == 0;
  }
  if (next_index == 0) {
    virt_xml_leaf(xml, "controller", "type", "pci", "index", "0", "model", "pcie-root", NULL);
    next_index = 1;
  }
  for (; have < root_ports; have++, next_index++) {
    g_autofree char *index = g_strdup_printf("%" G_GINT64_FORMAT, next_index);
    virt_xml_leaf(xml, "controller", "type", "pci", "index", index, "model", "pcie-root-port", NULL);
  }
}
