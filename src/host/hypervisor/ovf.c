// SPDX-License-Identifier: Apache-2.0
/* See ovf.h. Names and numbers are those of DSP0243 1.1.0, of CIM_ResourceAllocationSettingData (ResourceType) and CIM_OperatingSystem (OsType) of CIM
 * 2.22. Elements of an Item stand in the order of the alphabet: the schema says so. */
#include "host/hypervisor/ovf.h"
#include "host/hypervisor/xml.h"
#include <string.h>

#define ENVELOPE    "http://schemas.dmtf.org/ovf/envelope/1"
#define CIM         "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define VMWARE      "http://www.vmware.com/schema/ovf"
#define DISK_FORMAT "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
/* ESXi 6.5 and later: the first with secure boot. Others that read OVF do not look at the number. */
#define HARDWARE "vmx-13"

/* ResourceType */
enum { PROCESSOR = 3, MEMORY = 4, IDE = 5, SCSI = 6, NIC = 10, CD = 15, DISK = 17, SATA = 20 };

/* Places at one controller: VMware's. 7 is a SCSI controller's own. */
enum { IDE_PLACES = 2, SCSI_PLACES = 15, SCSI_OWN_PLACE = 7, SATA_PLACES = 30, IDE_MAX = 2 };

/* ---- the operating system ---- */

typedef struct {
  WsVmOsFamily family;
  const char *variant; /* begins with; NULL: any */
  int cim;             /* OsType */
  const char *vmware;
} System;

/* The first that fits. */
static const System systems[] = {
    {WS_VM_OS_FAMILY_LINUX, "debian", 96, "debian10_64Guest"}, {WS_VM_OS_FAMILY_LINUX, "ubuntu", 94, "ubuntu64Guest"},
    {WS_VM_OS_FAMILY_LINUX, "rhel", 80, "rhel7_64Guest"},      {WS_VM_OS_FAMILY_LINUX, "sles", 85, "sles12_64Guest"},
    {WS_VM_OS_FAMILY_LINUX, NULL, 101, "otherLinux64Guest"},   {WS_VM_OS_FAMILY_WINDOWS, NULL, 1, "windows9Server64Guest"},
    {WS_VM_OS_FAMILY_BSD, NULL, 78, "freebsd64Guest"},         {WS_VM_OS_FAMILY_OTHER, NULL, 102, "otherGuest64"},
};

static const System *system_of(const WsVmOs *os)
{
  WsVmOsFamily family = os && os->family ? os->family : WS_VM_OS_FAMILY_OTHER;
  for (guint i = 0; i < G_N_ELEMENTS(systems); i++)
    if (systems[i].family == family && (!systems[i].variant || (os->variant && g_str_has_prefix(os->variant, systems[i].variant))))
      return &systems[i];
  return &systems[G_N_ELEMENTS(systems) - 1];
}

/* ---- the text ---- */

typedef struct {
  const WsRpcVolumeExport *vm;
  const ExportedDisk *disks;
  guint n;
  VirtXml *xml;
  int last_item; /* InstanceID */
} Ovf;

static void section(Ovf *o, const char *element, const char *about)
{
  virt_xml_open(o->xml, element);
  virt_xml_text(o->xml, "Info", about);
}

static void references(Ovf *o)
{
  virt_xml_open(o->xml, "References");
  for (guint i = 0; i < o->n; i++) {
    g_autofree char *id = g_strdup_printf("file%u", i + 1), *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, o->disks[i].bytes);
    virt_xml_leaf(o->xml, "File", "ovf:href", o->disks[i].name, "ovf:id", id, "ovf:size", bytes, NULL);
  }
  virt_xml_close(o->xml);
}

static void disk_section(Ovf *o)
{
  section(o, "DiskSection", "The disks");
  for (guint i = 0; i < o->n; i++) {
    g_autofree char *file = g_strdup_printf("file%u", i + 1), *disk = g_strdup_printf("disk%u", i + 1),
                    *bytes = g_strdup_printf("%" G_GUINT64_FORMAT, o->disks[i].size_bytes);
    virt_xml_leaf(o->xml, "Disk", "ovf:capacity", bytes, "ovf:capacityAllocationUnits", "byte", "ovf:diskId", disk, "ovf:fileRef", file, "ovf:format",
                  DISK_FORMAT, NULL);
  }
  virt_xml_close(o->xml);
}

/* Each once. */
static void network_section(Ovf *o)
{
  section(o, "NetworkSection", "The networks");
  for (guint i = 0; i < o->vm->nics.len; i++) {
    const char *name = o->vm->nics.items[i]->network;
    bool told = false;
    for (guint k = 0; k < i; k++)
      told = told || strcmp(o->vm->nics.items[k]->network, name) == 0;
    if (told)
      continue;
    virt_xml_open(o->xml, "Network");
    virt_xml_attr(o->xml, "ovf:name", name);
    virt_xml_text(o->xml, "Description", name);
    virt_xml_close(o->xml);
  }
  virt_xml_close(o->xml);
}

static void system_section(Ovf *o)
{
  const System *system = system_of(o->vm->os);
  virt_xml_open(o->xml, "OperatingSystemSection");
  virt_xml_attr_int(o->xml, "ovf:id", system->cim);
  if (o->vm->architecture == WS_ARCHITECTURE_X86_64)
    virt_xml_attr(o->xml, "vmw:osType", system->vmware);
  virt_xml_text(o->xml, "Info", "The guest's operating system");
  g_autofree char *words = g_strdup_printf("%s, %s", o->vm->os && o->vm->os->variant ? o->vm->os->variant : ws_vm_os_family_names[system->family - 1],
                                           ws_architecture_names[o->vm->architecture - 1]);
  virt_xml_text(o->xml, "Description", words);
  virt_xml_close(o->xml);
}

/* ---- hardware ---- */

/* One Item; members that are NULL or negative are left out. */
typedef struct {
  int address, address_on_parent, parent, type;
  bool may_be_absent; /* who cannot make it goes on */
  const char *units, *connection, *about, *name, *resource, *subtype;
  gint64 quantity, cores;
  int connected; /* AutomaticAllocation; -1: nothing is said */
} Item;

static Item new_item(int type, const char *about, const char *name)
{
  return (Item){.address = -1, .address_on_parent = -1, .parent = -1, .type = type, .about = about, .name = name, .quantity = -1, .connected = -1};
}

static void text_unless(Ovf *o, const char *element, gint64 value)
{
  if (value >= 0)
    virt_xml_text_int(o->xml, element, value);
}

/* Its InstanceID. */
static int item(Ovf *o, const Item *i)
{
  VirtXml *x = o->xml;
  virt_xml_open(x, "Item");
  if (i->may_be_absent)
    virt_xml_attr(x, "ovf:required", "false");
  text_unless(o, "rasd:Address", i->address);
  text_unless(o, "rasd:AddressOnParent", i->address_on_parent);
  virt_xml_text(x, "rasd:AllocationUnits", i->units);
  if (i->connected >= 0)
    virt_xml_text(x, "rasd:AutomaticAllocation", i->connected ? "true" : "false");
  virt_xml_text(x, "rasd:Connection", i->connection);
  virt_xml_text(x, "rasd:Description", i->about);
  virt_xml_text(x, "rasd:ElementName", i->name);
  virt_xml_text(x, "rasd:HostResource", i->resource);
  virt_xml_text_int(x, "rasd:InstanceID", ++o->last_item);
  text_unless(o, "rasd:Parent", i->parent);
  virt_xml_text(x, "rasd:ResourceSubType", i->subtype);
  virt_xml_text_int(x, "rasd:ResourceType", i->type);
  text_unless(o, "rasd:VirtualQuantity", i->quantity);
  if (i->cores > 0) {
    g_autofree char *cores = g_strdup_printf("%" G_GINT64_FORMAT, i->cores);
    virt_xml_open(x, "vmw:CoresPerSocket");
    virt_xml_attr(x, "ovf:required", "false");
    xmlTextWriterWriteString(x->writer, BAD_CAST cores);
    virt_xml_close(x);
  }
  virt_xml_close(x);
  return o->last_item;
}

static void processor_and_memory(Ovf *o)
{
  gint64 mib = o->vm->memory_bytes >> 20;
  g_autofree char *cpus = g_strdup_printf("%" G_GINT64_FORMAT " virtual CPU(s)", o->vm->vcpus);
  g_autofree char *memory = g_strdup_printf("%" G_GINT64_FORMAT " MB of memory", mib);
  Item i = new_item(PROCESSOR, "Number of virtual CPUs", cpus);
  i.units = "hertz * 10^6";
  i.quantity = o->vm->vcpus;
  i.cores = o->vm->cores > 0 && o->vm->vcpus % o->vm->cores == 0 ? o->vm->cores : 0; /* VMware has no socket that is half full */
  item(o, &i);
  i = new_item(MEMORY, "Memory size", memory);
  i.units = "byte * 2^20";
  i.quantity = mib;
  item(o, &i);
}

/* A kind of controller, and what is at it: a new one is made when all places of the last are taken. */
typedef struct {
  int type, places, own_place, most;
  const char *name, *subtype;
  int n, id, next; /* controllers; the last one's InstanceID and free place */
} Controller;

static void place(Ovf *o, Controller *c, Item *what)
{
  if (c->n == 0 || c->next == c->places + (c->own_place >= 0)) {
    g_autofree char *name = g_strdup_printf("%s controller %d", c->name, c->n);
    Item i = new_item(c->type, c->name, name);
    i.address = c->n++;
    i.subtype = c->subtype;
    c->id = item(o, &i);
    c->next = 0;
  }
  if (c->next == c->own_place)
    c->next++;
  what->parent = c->id;
  what->address_on_parent = c->next++;
  item(o, what);
}

static bool has_room(const Controller *c)
{
  return c->n < c->most || c->next < c->places;
}

static void disks_and_cdroms(Ovf *o)
{
  bool windows = o->vm->os && o->vm->os->family == WS_VM_OS_FAMILY_WINDOWS;
  /* What guests have drivers for: of Windows the SAS kind, of others the older one. */
  Controller scsi = {SCSI, SCSI_PLACES, SCSI_OWN_PLACE, G_MAXINT, "SCSI", windows ? "lsilogicsas" : "lsilogic"};
  Controller sata = {SATA, SATA_PLACES, -1, G_MAXINT, "SATA", "vmware.sata.ahci"}, ide = {IDE, IDE_PLACES, -1, IDE_MAX, "IDE", NULL};
  for (guint i = 0; i < o->n; i++) {
    const WsVmExportDisk *disk = o->vm->disks.items[i];
    g_autofree char *resource = g_strdup_printf("ovf:/disk/disk%u", i + 1);
    Controller *at = disk->bus == WS_VM_EXPORT_DISK_BUS_IDE && has_room(&ide)                                      ? &ide
                     : disk->bus == WS_VM_EXPORT_DISK_BUS_VIRTIO_BLK || disk->bus == WS_VM_EXPORT_DISK_BUS_VIRTIO_SCSI ? &scsi
                                                                                                                    : &sata;
    Item what = new_item(DISK, "Hard disk", disk->key);
    what.resource = resource;
    place(o, at, &what);
  }
  for (gint64 i = 0; i < o->vm->cdroms; i++) {
    g_autofree char *name = g_strdup_printf("CD/DVD drive %" G_GINT64_FORMAT, i + 1);
    Item what = new_item(CD, "CD/DVD drive", name);
    what.may_be_absent = true;
    what.subtype = "vmware.cdrom.remotepassthrough";
    what.connected = 0;
    place(o, &sata, &what);
  }
}

static void nics(Ovf *o)
{
  static const char *const kinds[] = {"VmxNet3", [WS_VM_EXPORT_NIC_MODEL_VIRTIO] = "VmxNet3", [WS_VM_EXPORT_NIC_MODEL_E1000E] = "E1000e",
                                      [WS_VM_EXPORT_NIC_MODEL_E1000] = "E1000", [WS_VM_EXPORT_NIC_MODEL_RTL8139] = "E1000"};
  for (guint i = 0; i < o->vm->nics.len; i++) {
    const WsVmExportNic *nic = o->vm->nics.items[i];
    g_autofree char *name = g_strdup_printf("Network adapter %u", i + 1), *about = g_strdup_printf("%s network adapter", kinds[nic->model]);
    Item what = new_item(NIC, about, name);
    what.address_on_parent = (int)i + 7; /* of the PCI bus: VMware's first that is free */
    what.connection = nic->network;
    what.subtype = kinds[nic->model];
    what.connected = nic->connected;
    item(o, &what);
  }
}

static void config(Ovf *o, const char *key, const char *value)
{
  virt_xml_leaf(o->xml, "vmw:Config", "ovf:required", "false", "vmw:key", key, "vmw:value", value, NULL);
}

static void hardware_section(Ovf *o)
{
  section(o, "VirtualHardwareSection", "The virtual hardware");
  virt_xml_open(o->xml, "System");
  virt_xml_text(o->xml, "vssd:ElementName", "Virtual Hardware Family");
  virt_xml_text_int(o->xml, "vssd:InstanceID", 0);
  virt_xml_text(o->xml, "vssd:VirtualSystemIdentifier", o->vm->name);
  virt_xml_text(o->xml, "vssd:VirtualSystemType", HARDWARE);
  virt_xml_close(o->xml);
  processor_and_memory(o);
  disks_and_cdroms(o);
  nics(o);
  if (o->vm->firmware == WS_RPC_VOLUME_EXPORT_FIRMWARE_UEFI || o->vm->firmware == WS_RPC_VOLUME_EXPORT_FIRMWARE_UEFI_SECURE)
    config(o, "firmware", "efi");
  if (o->vm->firmware == WS_RPC_VOLUME_EXPORT_FIRMWARE_UEFI_SECURE)
    config(o, "bootOptions.efiSecureBootEnabled", "true");
  virt_xml_close(o->xml);
}

char *virt_ovf(const WsRpcVolumeExport *params, const ExportedDisk *disks, guint n)
{
  g_autoptr(VirtXml) xml = virt_xml_new();
  Ovf o = {.vm = params, .disks = disks, .n = n, .xml = xml};
  xmlTextWriterStartDocument(xml->writer, NULL, "UTF-8", NULL);
  virt_xml_open(xml, "Envelope");
  virt_xml_attr(xml, "xmlns", ENVELOPE);
  virt_xml_attr(xml, "xmlns:ovf", ENVELOPE);
  virt_xml_attr(xml, "xmlns:rasd", CIM "CIM_ResourceAllocationSettingData");
  virt_xml_attr(xml, "xmlns:vmw", VMWARE);
  virt_xml_attr(xml, "xmlns:vssd", CIM "CIM_VirtualSystemSettingData");
  references(&o);
  if (n > 0)
    disk_section(&o);
  if (params->nics.len > 0)
    network_section(&o);
  virt_xml_open(xml, "VirtualSystem");
  virt_xml_attr(xml, "ovf:id", params->name);
  virt_xml_text(xml, "Info", "A virtual machine");
  virt_xml_text(xml, "Name", params->name);
  if (params->description && *params->description) {
    section(&o, "AnnotationSection", "Notes");
    virt_xml_text(xml, "Annotation", params->description);
    virt_xml_close(xml);
  }
  system_section(&o);
  hardware_section(&o);
  return virt_xml_finish(xml);
}
