// SPDX-License-Identifier: Apache-2.0
/* From a filled spec to libvirt's domain XML. See domain.h; device_xml.c has disks, CDs and NICs.
 *
 * The shape follows what was tried on libvirt 9.0 and QEMU 7.2: PCI Express machines get spare root ports (else nothing can be
 * plugged into a running guest), memory that may grow gets maxMemory and one NUMA node, CDs sit on virtio-scsi (guests without
 * an AHCI driver see them), the serial port is a pty (only that can be opened through libvirt), and VNC listens on a unix
 * socket, so that a host opens no TCP port. */
#include "host/hypervisor/build-private.h"

#define KIB              1024
#define DIMM_SLOTS       "16"
#define SPARE_ROOT_PORTS 6

/* ---- metadata ---- */

/* What there is to say of one device; an empty note is not written. */
typedef struct {
  const char *key, *dev, *mac, *file;
  WsId volume, pool, port_group;
} Note;

/* Names of the elements: with our prefix inside a whole domain; bare where libvirt adds the name space (virDomainSetMetadata). */
typedef struct {
  const char *vm, *boot, *device;
} NoteNames;
static const NoteNames prefixed = {"ws:vm", "ws:boot", "ws:device"}, bare = {"vm", "boot", "device"};

static void write_note(VirtXml *xml, const NoteNames *names, const Note *note)
{
  if (!note->volume && !note->pool && !note->port_group && !note->dev && !note->mac)
    return;
  virt_xml_open(xml, names->device);
  virt_xml_attr(xml, "key", note->key);
  virt_xml_attr(xml, "dev", note->dev);
  virt_xml_attr(xml, "mac", note->mac);
  if (note->volume)
    virt_xml_attr_int(xml, "volume", (gint64)note->volume);
  if (note->pool)
    virt_xml_attr_int(xml, "pool", (gint64)note->pool);
  virt_xml_attr(xml, "file", note->file);
  if (note->port_group)
    virt_xml_attr_int(xml, "port_group", (gint64)note->port_group);
  virt_xml_close(xml);
}

static void write_notes(VirtXml *xml, const NoteNames *names, const WsVmSpec *spec, GHashTable *devs)
{
  for (guint i = 0; i < spec->disks.len; i++) {
    const WsVmSpecDisk *d = spec->disks.items[i];
    write_note(xml, names, &(Note){.key = d->key, .dev = devs ? g_hash_table_lookup(devs, d->key) : NULL, .volume = d->volume,
                            .pool = d->pool, .file = d->pool ? d->file : NULL});
  }
  for (guint i = 0; i < spec->cdroms.len; i++) {
    const WsVmSpecCdrom *c = spec->cdroms.items[i];
    write_note(xml, names, &(Note){.key = c->key, .dev = devs ? g_hash_table_lookup(devs, c->key) : NULL, .volume = c->volume,
                            .pool = c->pool, .file = c->pool ? c->file : NULL});
  }
  for (guint i = 0; i < spec->nics.len; i++) {
    const WsVmSpecNic *n = spec->nics.items[i];
    write_note(xml, names, &(Note){.key = n->key, .mac = devs ? n->mac : NULL, .port_group = n->port_group});
  }
}

static void write_metadata(VirtXml *xml, const NoteNames *names, const WsVmSpec *spec, GHashTable *devs)
{
  virt_xml_open(xml, names->vm);
  if (names == &prefixed)
    virt_xml_attr(xml, "xmlns:" VIRT_METADATA_PREFIX, VIRT_METADATA_URI);
  virt_xml_attr_int(xml, "id", (gint64)spec->vm);
  virt_xml_attr(xml, "family", ws_vm_os_family_names[spec->os->family - 1]);
  virt_xml_attr(xml, "variant", spec->os->variant);
  if (spec->cpu->mode)
    virt_xml_attr(xml, "cpu_mode", ws_vm_cpu_mode_names[spec->cpu->mode - 1]);
  if (spec->cpu->reservation_percent != WS_INT_UNSET)
    virt_xml_attr_int(xml, "cpu_reservation_percent", spec->cpu->reservation_percent);
  if (spec->memory_policy && spec->memory_policy->reservation_percent > 0)
    virt_xml_attr_int(xml, "memory_reservation_percent", spec->memory_policy->reservation_percent);
  if (spec->start_order > 0)
    virt_xml_attr_int(xml, "start_order", spec->start_order);
  if (spec->direct_boot) {
    virt_xml_open(xml, names->boot);
    virt_xml_attr_int(xml, "pool", (gint64)spec->direct_boot->pool);
    virt_xml_attr(xml, "kernel", spec->direct_boot->kernel);
    virt_xml_attr(xml, "initrd", spec->direct_boot->initrd);
    virt_xml_close(xml);
  }
  write_notes(xml, names, spec, devs);
  virt_xml_close(xml);
}

char *virt_metadata_xml(const WsVmSpec *spec, GHashTable *devs)
{
  g_autoptr(VirtXml) xml = virt_xml_new();
  write_metadata(xml, &bare, spec, devs);
  return virt_xml_finish(xml);
}

/* ---- head: names, memory, CPU ---- */

static void write_kib(VirtXml *xml, const char *element, gint64 bytes)
{
  virt_xml_open(xml, element);
  virt_xml_attr(xml, "unit", "KiB");
  g_autofree char *kib = g_strdup_printf("%" G_GINT64_FORMAT, bytes / KIB);
  xmlTextWriterWriteString(xml->writer, BAD_CAST kib);
  virt_xml_close(xml);
}

/* libvirt's names are unique on a host and become file names; a person's need not be. So ours is made of the id, and the
 * person's is the title. A domain that is there keeps its name: libvirt takes another one for another domain. */
static void write_names(VirtBuild *b)
{
  const WsVmSpec *spec = b->spec;
  const char *kept = virt_places_domain_name(b->places);
  char id[WS_ID_TEXT_MAX];
  virt_xml_text(b->xml, "name", kept ? kept : ws_id_format("vm", spec->vm, id));
  virt_xml_text(b->xml, "uuid", spec->uuid);
  g_autofree char *title = g_strdup(spec->name);
  virt_xml_text(b->xml, "title", g_strdelimit(title, "\r\n\t", ' ')); /* libvirt refuses a line break there */
  virt_xml_text(b->xml, "description", spec->description);
  virt_xml_open(b->xml, "metadata");
  write_metadata(b->xml, &prefixed, spec, NULL);
  virt_xml_close(b->xml);
}

static void write_memory(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  if (spec->memory_max_bytes != WS_INT_UNSET) {
    virt_xml_open(xml, "maxMemory");
    virt_xml_attr(xml, "slots", DIMM_SLOTS);
    virt_xml_attr(xml, "unit", "KiB");
    g_autofree char *kib = g_strdup_printf("%" G_GINT64_FORMAT, spec->memory_max_bytes / KIB);
    xmlTextWriterWriteString(xml->writer, BAD_CAST kib);
    virt_xml_close(xml);
  }
  write_kib(xml, "memory", spec->memory_bytes);
  write_kib(xml, "currentMemory", spec->memory_bytes);
  const WsVmMemoryPolicy *policy = spec->memory_policy;
  if (!policy)
    return;
  bool huge = policy->huge_page_bytes != WS_INT_UNSET, all = policy->reservation_percent == 100;
  if (huge || all || policy->shared) {
    virt_xml_open(xml, "memoryBacking");
    if (huge) {
      virt_xml_open(xml, "hugepages");
      virt_xml_open(xml, "page");
      virt_xml_attr_int(xml, "size", policy->huge_page_bytes / KIB);
      virt_xml_attr(xml, "unit", "KiB");
      virt_xml_close(xml);
      virt_xml_close(xml);
    }
    if (all)
      virt_xml_leaf(xml, "locked", NULL);
    if (policy->shared) {
      virt_xml_leaf(xml, "source", "type", "memfd", NULL);
      virt_xml_leaf(xml, "access", "mode", "shared", NULL);
    }
    if (all)
      virt_xml_leaf(xml, "allocation", "mode", "immediate", NULL);
    virt_xml_close(xml);
  }
  if (policy->numa_mode) {
    virt_xml_open(xml, "numatune");
    virt_xml_leaf(xml, "memory", "mode", ws_vm_memory_policy_numa_mode_names[policy->numa_mode - 1], "nodeset",
                  policy->numa_nodes, NULL);
    virt_xml_close(xml);
  }
}

int virt_cpu_weight(const WsVmCpu *cpu)
{
  int own = cpu->shares == WS_VM_CPU_SHARES_LOW    ? VIRT_WEIGHT_LOW
            : cpu->shares == WS_VM_CPU_SHARES_HIGH ? VIRT_WEIGHT_HIGH
                                                   : VIRT_WEIGHT_NORMAL;
  gint64 floor = cpu->reservation_percent > 0 ? cpu->reservation_percent * VIRT_WEIGHT_RESERVED : 0;
  return own +
         (int)MIN(floor,
                  VIRT_WEIGHT_MAX -
                      VIRT_WEIGHT_HIGH); /* what is read back tells the shares, however much is reserved */
}

static void write_vcpus(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmCpu *cpu = b->spec->cpu;
  virt_xml_open(xml, "vcpu");
  virt_xml_attr(xml, "placement", "static");
  if (cpu->vcpus != cpu->max_vcpus)
    virt_xml_attr_int(xml, "current", cpu->vcpus);
  g_autofree char *max = g_strdup_printf("%" G_GINT64_FORMAT, cpu->max_vcpus);
  xmlTextWriterWriteString(xml->writer, BAD_CAST max);
  virt_xml_close(xml);

  /* Only what was asked for: where cgroups cannot be used libvirt refuses a domain that names any of it. */
  int weight = virt_cpu_weight(cpu);
  if (weight == VIRT_WEIGHT_NORMAL && cpu->limit_percent == WS_INT_UNSET && cpu->pinning.len == 0)
    return;
  virt_xml_open(xml, "cputune");
  for (guint i = 0; i < cpu->pinning.len; i++) {
    virt_xml_open(xml, "vcpupin");
    virt_xml_attr_int(xml, "vcpu", cpu->pinning.items[i]->vcpu);
    virt_xml_attr(xml, "cpuset", cpu->pinning.items[i]->cpus);
    virt_xml_close(xml);
  }
  if (weight != VIRT_WEIGHT_NORMAL)
    virt_xml_text_int(xml, "shares", weight);
  if (cpu->limit_percent != WS_INT_UNSET) {
    virt_xml_text_int(xml, "global_period", VIRT_CPU_PERIOD_US);
    virt_xml_text_int(xml, "global_quota", cpu->limit_percent * VIRT_CPU_PERIOD_US / 100);
  }
  virt_xml_close(xml);
}

/* Guest NUMA nodes; libvirt wants one where memory can grow. */
static void write_numa(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  bool one = spec->numa_cells.len == 0;
  virt_xml_open(xml, "numa");
  for (guint i = 0; i < (one ? 1 : spec->numa_cells.len); i++) {
    g_autofree char *all = g_strdup_printf(spec->cpu->max_vcpus > 1 ? "0-%" G_GINT64_FORMAT : "0", spec->cpu->max_vcpus - 1);
    virt_xml_open(xml, "cell");
    virt_xml_attr_int(xml, "id", i);
    virt_xml_attr(xml, "cpus", one ? all : spec->numa_cells.items[i]->vcpus);
    virt_xml_attr_int(xml, "memory", (one ? spec->memory_bytes : spec->numa_cells.items[i]->memory_bytes) / KIB);
    virt_xml_attr(xml, "unit", "KiB");
    virt_xml_close(xml);
  }
  virt_xml_close(xml);
}

static void write_cpu(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  const WsVmCpu *cpu = spec->cpu;
  bool topology = cpu->sockets != WS_INT_UNSET;
  bool numa = spec->numa_cells.len > 0 || spec->memory_max_bytes != WS_INT_UNSET;
  if (!cpu->mode && !topology && !numa)
    return;
  virt_xml_open(xml, "cpu");
  switch (cpu->mode) {
  case WS_VM_CPU_MODE_HOST_PASSTHROUGH:
    if (spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM) {
      virt_xml_attr(xml, "mode", "host-passthrough");
      virt_xml_attr(xml, "check", "none");
      virt_xml_attr(xml, "migratable", "on");
    } else { /* the same wish without KVM: all that the emulator can */
      virt_xml_attr(xml, "mode", "maximum");
      virt_xml_attr(xml, "check", "none");
    }
    break;
  case WS_VM_CPU_MODE_HOST_MODEL:
    virt_xml_attr(xml, "mode", "host-model");
    virt_xml_attr(xml, "check", "partial");
    break;
  case WS_VM_CPU_MODE_CUSTOM:
    virt_xml_attr(xml, "mode", "custom");
    virt_xml_attr(xml, "match", "exact");
    virt_xml_attr(xml, "check", spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM ? "partial" : "none");
    virt_xml_open(xml, "model");
    virt_xml_attr(xml, "fallback", "forbid");
    xmlTextWriterWriteString(xml->writer, BAD_CAST cpu->model);
    virt_xml_close(xml);
    break;
  default:
    break;
  }
  if (topology) {
    virt_xml_open(xml, "topology");
    virt_xml_attr_int(xml, "sockets", cpu->sockets);
    virt_xml_attr_int(xml, "cores", cpu->cores);
    virt_xml_attr_int(xml, "threads", cpu->threads);
    virt_xml_close(xml);
  }
  for (guint i = 0; cpu->mode == WS_VM_CPU_MODE_CUSTOM && i < cpu->features.len; i++)
    virt_xml_leaf(xml, "feature", "policy", "require", "name", cpu->features.items[i], NULL);
  if (numa)
    write_numa(b);
  virt_xml_close(xml);
}

/* ---- boot, features, clock ---- */

static void write_pool_file(VirtBuild *b, const char *element, WsId pool, const char *file)
{
  if (!file)
    return;
  g_autofree char *path = b->host->pool_file(b->host->arg, pool, file, b->error ? NULL : &b->error);
  virt_xml_text(b->xml, element, path);
}

static void write_os(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  bool uefi = spec->firmware != WS_VM_SPEC_FIRMWARE_BIOS, secure = spec->firmware == WS_VM_SPEC_FIRMWARE_UEFI_SECURE;
  virt_xml_open(xml, "os");
  if (uefi)
    virt_xml_attr(xml, "firmware", "efi"); /* libvirt picks the image by the host's firmware descriptions */
  virt_xml_open(xml, "type");
  virt_xml_attr(xml, "arch", b->arch->name);
  virt_xml_attr(xml, "machine", b->machine);
  xmlTextWriterWriteString(xml->writer, BAD_CAST "hvm");
  virt_xml_close(xml);
  if (uefi && b->arch->secure_boot) {
    virt_xml_open(xml, "firmware");
    virt_xml_leaf(xml, "feature", "enabled", secure ? "yes" : "no", "name", "enrolled-keys", NULL);
    if (secure)
      virt_xml_leaf(xml, "feature", "enabled", "yes", "name", "secure-boot", NULL);
    virt_xml_close(xml);
  }
  if (secure)
    virt_xml_leaf(xml, "loader", "secure", "yes", NULL);
  const WsVmSpecDirectBoot *direct = spec->direct_boot;
  if (direct) {
    write_pool_file(b, "kernel", direct->pool, direct->kernel);
    write_pool_file(b, "initrd", direct->pool, direct->initrd);
    virt_xml_text(xml, "cmdline", direct->cmdline);
  }
  if (spec->boot_menu)
    virt_xml_leaf(xml, "bootmenu", "enable", "yes", "timeout", "3000", NULL);
  virt_xml_close(xml);
}

/* Windows runs well under KVM only with the paravirtual interfaces it knows. */
static void write_hyperv(VirtXml *xml)
{
  virt_xml_open(xml, "hyperv");
  virt_xml_attr(xml, "mode", "custom");
  virt_xml_leaf(xml, "relaxed", "state", "on", NULL);
  virt_xml_leaf(xml, "vapic", "state", "on", NULL);
  virt_xml_leaf(xml, "spinlocks", "state", "on", "retries", "8191", NULL);
  virt_xml_leaf(xml, "vpindex", "state", "on", NULL);
  virt_xml_leaf(xml, "runtime", "state", "on", NULL);
  virt_xml_leaf(xml, "synic", "state", "on", NULL);
  virt_xml_leaf(xml, "stimer", "state", "on", NULL);
  virt_xml_leaf(xml, "frequencies", "state", "on", NULL);
  virt_xml_close(xml);
}

static bool wants_hyperv(const WsVmSpec *spec)
{
  return spec->os->family == WS_VM_OS_FAMILY_WINDOWS && spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM &&
         spec->architecture == WS_VM_SPEC_ARCHITECTURE_X86_64;
}

static void write_features(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const VirtArch *arch = b->arch;
  const WsVmSpec *spec = b->spec;
  /* On machines that can do without it, ACPI comes with UEFI. */
  bool acpi = arch->acpi && (arch->apic || spec->firmware != WS_VM_SPEC_FIRMWARE_BIOS);
  if (!acpi && !arch->apic)
    return;
  virt_xml_open(xml, "features");
  if (acpi)
    virt_xml_leaf(xml, "acpi", NULL);
  if (arch->apic)
    virt_xml_leaf(xml, "apic", NULL);
  if (wants_hyperv(spec))
    write_hyperv(xml);
  if (spec->firmware == WS_VM_SPEC_FIRMWARE_UEFI_SECURE)
    virt_xml_leaf(xml, "smm", "state", "on", NULL);
  virt_xml_close(xml);
}

static void write_clock(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  virt_xml_open(xml, "clock");
  virt_xml_attr(xml, "offset", ws_vm_spec_clock_names[b->spec->clock - 1]);
  if (b->arch->pc_timers) {
    virt_xml_leaf(xml, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
    virt_xml_leaf(xml, "timer", "name", "pit", "tickpolicy", "delay", NULL);
    virt_xml_leaf(xml, "timer", "name", "hpet", "present", "no", NULL);
  }
  if (wants_hyperv(b->spec))
    virt_xml_leaf(xml, "timer", "name", "hypervclock", "present", "yes", NULL);
  virt_xml_close(xml);
  virt_xml_text(xml, "on_poweroff", "destroy");
  virt_xml_text(xml, "on_reboot", "restart");
  virt_xml_text(xml, "on_crash", "preserve"); /* so that its last screen can be looked at */
  if (!b->arch->pc_timers)
    return;
  virt_xml_open(xml, "pm");
  virt_xml_leaf(xml, "suspend-to-mem", "enabled", "no", NULL);
  virt_xml_leaf(xml, "suspend-to-disk", "enabled", "no", NULL);
  virt_xml_close(xml);
}

/* ---- devices ---- */

static bool has_bus(const WsVmSpec *spec, const char *bus)
{
  for (guint i = 0; i < spec->disks.len; i++)
    if (g_strcmp0(virt_word_disk_bus[spec->disks.items[i]->bus], bus) == 0)
      return true;
  for (guint i = 0; i < spec->cdroms.len; i++)
    if (g_strcmp0(virt_word_cdrom_bus[spec->cdroms.items[i]->bus], bus) == 0)
      return true;
  return spec->seed && g_strcmp0(virt_word_cdrom_bus[virt_build_seed_bus(spec)], bus) == 0;
}

/* Root ports that devices of this spec take now, roughly; too many do no harm. */
static guint count_pcie_devices(const WsVmSpec *spec)
{
  guint n = 3 + spec->nics.len; /* SCSI, USB and virtio-serial controllers */
  for (guint i = 0; i < spec->disks.len; i++)
    n += spec->disks.items[i]->bus == WS_VM_SPEC_DISK_BUS_VIRTIO_BLK;
  n += spec->balloon + spec->rng + (spec->watchdog != WS_VM_SPEC_WATCHDOG_NONE) + (spec->video != WS_VM_SPEC_VIDEO_NONE);
  return n;
}

static void write_controller(VirtBuild *b, const char *type, const char *model, const char *alias)
{
  virt_xml_open(b->xml, "controller");
  virt_xml_attr(b->xml, "type", type);
  virt_xml_attr(b->xml, "index", "0");
  virt_xml_attr(b->xml, "model", model);
  virt_build_identity(b, alias, NULL);
  virt_xml_close(b->xml);
}

static void write_controllers(VirtBuild *b)
{
  const WsVmSpec *spec = b->spec;
  if (virt_arch_is_pcie(b->arch, spec->machine))
    virt_places_write_pci(b->addresses, b->xml, (count_pcie_devices(spec) + SPARE_ROOT_PORTS + 3) / 4 * 4);
  /* Guests with virtio drivers have the controller always: a disk or CD can then be plugged in later. */
  if (virt_spec_has_virtio(spec) || has_bus(spec, "scsi"))
    write_controller(b, "scsi", "virtio-scsi", "ua-_scsi");
  bool usb_inputs = spec->inputs.len > 0 && !b->arch->ccw;
  if (usb_inputs || has_bus(spec, "usb"))
    write_controller(b, "usb", "qemu-xhci", "ua-_usb");
  else if (!b->arch->ccw)
    virt_xml_leaf(b->xml, "controller", "type", "usb", "index", "0", "model", "none", NULL);
  if (spec->agent_channel)
    write_controller(b, "virtio-serial", NULL, "ua-_vserial");
}

static void write_serial(VirtBuild *b)
{
  if (!b->spec->serial)
    return;
  VirtXml *xml = b->xml;
  virt_xml_open(xml, "serial");
  virt_xml_attr(xml, "type", "pty");
  if (b->host->serial_log_dir) {
    g_autofree char *log = g_strdup_printf("%s/%s.log", b->host->serial_log_dir, b->spec->uuid);
    virt_xml_leaf(xml, "log", "file", log, "append", "on", NULL);
  }
  if (b->arch->serial_target) {
    virt_xml_open(xml, "target");
    virt_xml_attr(xml, "type", b->arch->serial_target);
    virt_xml_attr(xml, "port", "0");
    if (b->arch->serial_model)
      virt_xml_leaf(xml, "model", "name", b->arch->serial_model, NULL);
    virt_xml_close(xml);
  }
  virt_build_identity(b, "ua-_serial", NULL);
  virt_xml_close(xml);
}

static void write_channel(VirtBuild *b)
{
  if (!b->spec->agent_channel)
    return;
  virt_xml_open(b->xml, "channel");
  virt_xml_attr(b->xml, "type", "unix");
  virt_xml_leaf(b->xml, "target", "type", "virtio", "name", "org.qemu.guest_agent.0", NULL);
  virt_build_identity(b, "ua-_agent", NULL);
  virt_xml_close(b->xml);
}

static void write_screen(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  for (guint i = 0; i < spec->inputs.len; i++) {
    const char *name = ws_vm_spec_inputs_names[spec->inputs.items[i] - 1];
    g_autofree char *alias = g_strconcat("ua-_", name, NULL);
    virt_xml_open(xml, "input");
    virt_xml_attr(xml, "type", name);
    virt_xml_attr(xml, "bus", b->arch->ccw ? "virtio" : "usb");
    virt_build_identity(b, alias, NULL);
    virt_xml_close(xml);
  }
  if (spec->graphics == WS_VM_SPEC_GRAPHICS_VNC) {
    virt_xml_open(xml, "graphics");
    virt_xml_attr(xml, "type", "vnc");
    virt_xml_leaf(xml, "listen", "type", "socket", NULL);
    virt_xml_close(xml);
  }
  virt_xml_open(xml, "video");
  virt_xml_leaf(xml, "model", "type", ws_vm_spec_video_names[spec->video - 1], NULL);
  if (spec->video != WS_VM_SPEC_VIDEO_NONE)
    virt_build_identity(b, "ua-_video", ws_vm_spec_video_names[spec->video - 1]);
  virt_xml_close(xml);
}

static void write_tpm(VirtBuild *b)
{
  if (!b->spec->tpm)
    return;
  virt_xml_open(b->xml, "tpm");
  virt_xml_attr(b->xml, "model", b->arch->tpm);
  virt_xml_leaf(b->xml, "backend", "type", "emulator", "version", "2.0", NULL);
  virt_build_identity(b, "ua-_tpm", NULL);
  virt_xml_close(b->xml);
}

static void write_service_devices(VirtBuild *b)
{
  VirtXml *xml = b->xml;
  const WsVmSpec *spec = b->spec;
  if (spec->watchdog != WS_VM_SPEC_WATCHDOG_NONE) {
    virt_xml_open(xml, "watchdog");
    virt_xml_attr(xml, "model", b->arch->watchdog);
    virt_xml_attr(xml, "action", virt_word_watchdog[spec->watchdog]);
    virt_build_identity(b, "ua-_watchdog", NULL);
    virt_xml_close(xml);
  }
  virt_xml_open(xml, "memballoon");
  virt_xml_attr(xml, "model", spec->balloon ? "virtio" : "none");
  if (spec->balloon) {
    virt_xml_attr(xml, "autodeflate", "on");       /* the guest takes memory back before it runs out */
    virt_xml_attr(xml, "freePageReporting", "on"); /* the host gets back what the guest does not use */
    virt_xml_leaf(xml, "stats", "period", "10", NULL);
    virt_build_identity(b, "ua-_balloon", NULL);
  }
  virt_xml_close(xml);
  if (spec->rng) {
    virt_xml_open(xml, "rng");
    virt_xml_attr(xml, "model", "virtio");
    virt_xml_open(xml, "backend");
    virt_xml_attr(xml, "model", "random");
    xmlTextWriterWriteString(xml->writer, BAD_CAST "/dev/urandom");
    virt_xml_close(xml);
    virt_build_identity(b, "ua-_rng", NULL);
    virt_xml_close(xml);
  }
  if (spec->panic_device) {
    virt_xml_open(xml, "panic");
    virt_xml_attr(xml, "model", b->arch->panic);
    virt_build_identity(b, "ua-_panic", NULL);
    virt_xml_close(xml);
  }
}

static void write_devices(VirtBuild *b)
{
  const WsVmSpec *spec = b->spec;
  virt_xml_open(b->xml, "devices");
  for (guint i = 0; i < spec->disks.len; i++)
    virt_build_disk(b, spec->disks.items[i]);
  for (guint i = 0; i < spec->cdroms.len; i++)
    virt_build_cdrom(b, spec->cdroms.items[i]);
  if (spec->seed)
    virt_build_seed(b);
  write_controllers(b);
  for (guint i = 0; i < spec->nics.len; i++)
    virt_build_nic(b, spec->nics.items[i]);
  write_serial(b);
  write_channel(b);
  write_screen(b);
  write_tpm(b);
  write_service_devices(b);
  virt_xml_close(b->xml);
}

char *virt_domain_xml(const WsVmSpec *spec, const VirtHost *host, const VirtPlaces *places, GError **error)
{
  VirtBuild b;
  virt_build_init(&b, spec, host, places, true);
  virt_xml_open(b.xml, "domain");
  virt_xml_attr(b.xml, "type", spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM ? "kvm" : "qemu");
  write_names(&b);
  write_memory(&b);
  write_vcpus(&b);
  write_os(&b);
  write_features(&b);
  write_cpu(&b);
  write_clock(&b);
  write_devices(&b);
  virt_xml_close(b.xml);
  return virt_build_end(&b, error);
}
