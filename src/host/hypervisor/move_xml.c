// SPDX-License-Identifier: Apache-2.0
/* A domain's XML for another host. See move-private.h.
 *
 * The running guest's own XML is changed as little as can be: where files lie, which switch a NIC is on, what we noted. Building it anew from
 * the spec could give a guest other devices than it has. */
#include "host/hypervisor/build-private.h"
#include "host/hypervisor/move-private.h"
#include <libxml/xmlsave.h>
#include <string.h>

static const char *alias_of(const xmlNode *device)
{
  return virt_xml_path_get(device, "alias", "name");
}

/* "disk-0" of "ua-disk-0"; NULL: no alias of ours. */
static const char *key_of(const xmlNode *device)
{
  const char *alias = alias_of(device);
  return alias && g_str_has_prefix(alias, "ua-") ? alias + 3 : NULL;
}

static void set_attr(xmlNode *node, const char *name, const char *value)
{
  xmlSetProp(node, BAD_CAST name, BAD_CAST value);
}

static void drop_attr(xmlNode *node, const char *name)
{
  xmlAttr *attr = node ? xmlHasProp(node, BAD_CAST name) : NULL;
  if (attr)
    xmlRemoveProp(attr);
}

static void drop_child(xmlNode *node, const char *element)
{
  for (xmlNode *child; (child = virt_xml_child(node, element));) {
    xmlUnlinkNode(child);
    xmlFreeNode(child);
  }
}

static const char *path_there(const VirtMoveThere *there, const char *key)
{
  for (guint i = 0; i < there->n_paths; i++)
    if (strcmp(there->paths[i]->key, key) == 0)
      return there->paths[i]->path;
  return NULL;
}

#define FIND(list, wanted)                                                                                             \
  for (guint i = 0; wanted && i < there->spec->list.len; i++)                                                          \
    if (strcmp(there->spec->list.items[i]->key, wanted) == 0)                                                          \
      return there->spec->list.items[i];                                                                               \
  return NULL

static const WsVmSpecDisk *disk_there(const VirtMoveThere *there, const char *key)
{
  FIND(disks, key);
}

static const WsVmSpecCdrom *cdrom_there(const VirtMoveThere *there, const char *key)
{
  FIND(cdroms, key);
}

static const WsVmSpecNic *nic_there(const VirtMoveThere *there, const char *key)
{
  FIND(nics, key);
}

static bool unknown_device(const xmlNode *device, GError **error)
{
  const char *alias = alias_of(device), *dev = virt_xml_path_get(device, "target", "dev");
  g_autofree char *what = g_strdup_printf("moving the device %s", alias ? alias : dev ? dev : (const char *)device->name);
  return ws_fail(error, WS_ERROR_UNSUPPORTED, "what", what, NULL);
}

/* ---- disks and CDs ---- */

static bool change_disk(xmlNode *device, const VirtMoveThere *there, GError **error)
{
  const char *key = key_of(device);
  const WsVmSpecDisk *disk = disk_there(there, key);
  const WsVmSpecCdrom *cdrom = cdrom_there(there, key);
  bool seed = g_strcmp0(key, "_seed") == 0;
  xmlNode *source = virt_xml_child(device, "source"), *driver = virt_xml_child(device, "driver");
  const char *path = disk || cdrom ? path_there(there, key) : seed ? there->seed_path : NULL;
  drop_child(device, "backingStore");
  drop_child(device, "mirror");
  if (!source && (cdrom || seed))
    return true; /* an empty drive */
  if (!path || !source)
    return unknown_device(device, error);
  set_attr(source, "file", path);
  drop_attr(source, "index");
  if (disk && driver)
    set_attr(driver, "type", ws_vm_spec_disk_format_names[disk->format - 1]);
  return true;
}

/* ---- NICs: source, VLAN and rates as the target's port group has them ---- */

static xmlDoc *build_nic(const VirtMoveThere *there, const char *key, GError **error)
{
  static const VirtHost nobody = {0};
  g_autofree char *text = virt_device_xml(there->spec, key, &nobody, NULL, false, error);
  return text ? virt_xml_parse(text, error) : NULL;
}

static void take_child(xmlNode *to, xmlNode *from, const char *element, const char *after)
{
  xmlNode *fresh = virt_xml_child(from, element), *place = virt_xml_child(to, after);
  drop_child(to, element);
  if (fresh && place)
    xmlAddNextSibling(place, xmlDocCopyNode(fresh, to->doc, 1));
}

static bool change_nic(xmlNode *device, const VirtMoveThere *there, GError **error)
{
  const char *key = key_of(device);
  if (!nic_there(there, key) || !virt_xml_child(device, "source"))
    return unknown_device(device, error);
  g_autoptr(xmlDoc) built = build_nic(there, key, error);
  if (!built)
    return false;
  xmlNode *fresh = xmlDocGetRootElement(built), *target = virt_xml_child(device, "target");
  const char *bridge = virt_xml_path_get(fresh, "source", "bridge");
  xmlNode *source = virt_xml_child(device, "source");
  drop_attr(source, "portid");
  set_attr(source, "bridge", bridge ? bridge : "");
  take_child(device, fresh, "vlan", "source");
  take_child(device, fresh, "bandwidth", "source");
  drop_attr(target, "dev"); /* a free one is found there */
  return true;
}

/* ---- what else names a file ---- */

static void change_serial(xmlNode *device, const VirtMoveThere *there)
{
  xmlNode *log = virt_xml_child(device, "log");
  if (log && there->serial_log)
    set_attr(log, "file", there->serial_log);
}

/* Paths that libvirt makes for each start. */
static void drop_own_sockets(xmlNode *device)
{
  if (virt_xml_is(device, "graphics")) {
    xmlNode *listen = virt_xml_child(device, "listen");
    drop_attr(device, "socket");
    drop_attr(listen, "socket");
  }
  if (virt_xml_is(device, "channel"))
    drop_child(device, "source");
}

static void change_notes(xmlNode *root, const VirtMoveThere *there)
{
  for (xmlNode *note = virt_xml_first(virt_xml_child(root, "metadata/vm")); note; note = virt_xml_next(note)) {
    const WsVmSpecNic *nic = nic_there(there, virt_xml_get(note, "key"));
    g_autofree char *group = nic && nic->port_group ? g_strdup_printf("%" G_GINT64_FORMAT, (gint64)nic->port_group) : NULL;
    if (group)
      set_attr(note, "port_group", group);
  }
}

static bool change_device(xmlNode *device, const VirtMoveThere *there, GError **error)
{
  if (virt_xml_is(device, "disk"))
    return change_disk(device, there, error);
  if (virt_xml_is(device, "interface"))
    return change_nic(device, there, error);
  if (virt_xml_is(device, "serial") || virt_xml_is(device, "console"))
    change_serial(device, there);
  drop_own_sockets(device);
  return true;
}

static void forget_nvram_path(xmlNode *root)
{
  xmlNode *nvram = virt_xml_child(root, "os/nvram");
  if (!nvram)
    return;
  drop_child(nvram, "source");
  drop_attr(nvram, "type");
  xmlNodeSetContent(nvram, NULL);
}

static char *to_text(xmlDoc *doc)
{
  xmlChar *text = NULL;
  int n = 0;
  xmlDocDumpMemoryEnc(doc, &text, &n, "UTF-8");
  char *copy = g_strndup((const char *)text, (gsize)n);
  xmlFree(text);
  return copy;
}

static char *rewrite(const char *xml, const VirtMoveThere *there, bool off, GError **error)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, error);
  xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  if (!root)
    return NULL;
  for (xmlNode *device = virt_xml_first(virt_xml_child(root, "devices")), *next; device; device = next) {
    next = virt_xml_next(device);
    if (!change_device(device, there, error))
      return NULL;
  }
  change_notes(root, there);
  if (off)
    forget_nvram_path(root);
  return to_text(doc);
}

char *virt_move_xml(const char *xml, const VirtMoveThere *there, GError **error)
{
  return rewrite(xml, there, false, error);
}

char *virt_move_xml_off(const char *xml, const VirtMoveThere *there, GError **error)
{
  return rewrite(xml, there, true, error);
}

char *virt_move_dev(const char *xml, const char *key)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  for (const xmlNode *device = virt_xml_first(virt_xml_child(root, "devices")); device; device = virt_xml_next(device))
    if (virt_xml_is(device, "disk") && g_strcmp0(key_of(device), key) == 0)
      return g_strdup(virt_xml_path_get(device, "target", "dev"));
  return NULL;
}

/* ---- disks on their host ---- */

static xmlNode *find_disk(const xmlDoc *doc, const char *key)
{
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  for (xmlNode *device = virt_xml_first(virt_xml_child(root, "devices")); device; device = virt_xml_next(device))
    if (virt_xml_is(device, "disk") && g_strcmp0(key_of(device), key) == 0)
      return device;
  return NULL;
}

char *virt_move_xml_disks(const char *xml, WsVmMoveHere *const *disks, char *const *paths, guint n, GError **error)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, error);
  for (guint i = 0; doc && i < n; i++) {
    xmlNode *device = find_disk(doc, disks[i]->key), *source = virt_xml_child(device, "source");
    if (!source)
      return ws_fail(error, WS_ERROR_NOT_FOUND, "object", disks[i]->key, NULL), NULL;
    drop_child(device, "backingStore");
    drop_child(device, "mirror");
    set_attr(source, "file", paths[i]);
    drop_attr(source, "index");
    if (virt_xml_child(device, "driver"))
      set_attr(virt_xml_child(device, "driver"), "type", ws_vm_move_here_format_names[disks[i]->format - 1]);
  }
  return doc ? to_text(doc) : NULL;
}

char *virt_move_mirror(const char *xml, const char *key, bool *ready)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  const xmlNode *mirror = virt_xml_child(find_disk(doc, key), "mirror");
  const char *path = virt_xml_path_get(mirror, "source", "file");
  const char *is_ready = mirror ? virt_xml_get(mirror, "ready") : NULL;
  *ready = g_strcmp0(is_ready, "yes") == 0;
  return mirror ? g_strdup(path ? path : virt_xml_get(mirror, "file")) : NULL;
}

char *virt_move_file(const char *xml, const char *key)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  return g_strdup(virt_xml_path_get(find_disk(doc, key), "source", "file"));
}
