// SPDX-License-Identifier: Apache-2.0
/* From libvirt's domain XML back to a spec. See domain.h; device_parse.c has the devices.
 *
 * The document is libvirt's own output, live or persistent, of a domain of ours or of anybody's. What it says and a
 * spec cannot say is listed as a blocker: were such a domain adopted and then edited, that would be lost. */
#include "host/hypervisor/parse-private.h"
#include "base/error.h"
#include <stdarg.h>
#include <string.h>

#define MIB (1024 * 1024)

void virt_read_block(VirtReading *r, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_ptr_array_add(r->domain->blockers, g_strdup_vprintf(format, args));
  va_end(args);
}

int virt_read_name(const char *const *names, const char *name)
{
  for (int i = 0; name && names[i]; i++)
    if (strcmp(names[i], name) == 0)
      return i + 1;
  return 0;
}

/* <memory unit='KiB'>N</memory>; libvirt writes KiB, but any of its units may come. */
static gint64 read_bytes(const xmlNode *node, const char *path)
{
  static const struct { const char *unit; gint64 bytes; } units[] = {
    {"KiB", 1024}, {"k", 1024}, {"b", 1}, {"bytes", 1}, {"KB", 1000}, {"MiB", 1 << 20}, {"M", 1 << 20}, {"MB", 1000000},
    {"GiB", 1 << 30}, {"G", 1 << 30}, {"GB", 1000000000}, {"TiB", G_GINT64_CONSTANT(1) << 40}, {"T", G_GINT64_CONSTANT(1) << 40},
  };
  gint64 n = virt_xml_int(virt_xml_path_text(node, path), -1), factor = 1024;
  const char *unit = virt_xml_path_get(node, path, "unit");
  for (guint i = 0; unit && i < G_N_ELEMENTS(units); i++)
    if (strcmp(units[i].unit, unit) == 0)
      factor = units[i].bytes;
  if (n < 0 || n > (G_MAXINT64 - MIB) / factor)
    return WS_INT_UNSET;
  return (n * factor + MIB - 1) / MIB * MIB; /* ours are whole MiB */
}

/* At most `max` characters of a text, NULL for none: others' texts may be longer than ours. */
static char *cut(const char *text, glong max)
{
  if (!text || !*text)
    return NULL;
  return g_utf8_strlen(text, -1) > max ? g_utf8_substring(text, 0, max) : g_strdup(text);
}

static void read_names(VirtReading *r)
{
  WsVmSpec *spec = r->spec;
  const char *name = virt_xml_path_text(r->root, "name"), *title = virt_xml_path_text(r->root, "title");
  r->domain->domain_name = g_strdup(name);
  spec->name = cut(title && *title ? title : name, 255);
  spec->description = cut(virt_xml_path_text(r->root, "description"), 4096);
  spec->uuid = g_strdup(virt_xml_path_text(r->root, "uuid"));
  spec->vm = (WsId)MAX(0, virt_xml_int(virt_xml_get(r->note, "id"), 0));
  spec->os = ws_vm_os_new();
  spec->os->family = virt_read_name(ws_vm_os_family_names, virt_xml_get(r->note, "family"));
  spec->os->variant = g_strdup(virt_xml_get(r->note, "variant"));
}

static bool read_type(VirtReading *r, GError **error)
{
  const char *arch_name = virt_xml_path_get(r->root, "os/type", "arch"), *type = virt_xml_get(r->root, "type");
  const VirtArch *arch = virt_arch_find(arch_name);
  if (!arch)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "field", "architecture", "what", arch_name, NULL);
  r->spec->architecture = arch->id;
  r->spec->machine = g_strdup(virt_xml_path_get(r->root, "os/type", "machine"));
  bool kvm = g_strcmp0(type, "kvm") == 0;
  if (!kvm && g_strcmp0(type, "qemu") != 0 && g_strcmp0(type, "test") != 0)
    return ws_fail(error, WS_ERROR_UNSUPPORTED, "field", "accelerator", "what", type, NULL);
  r->spec->accelerator = kvm ? WS_VM_SPEC_ACCELERATOR_KVM : WS_VM_SPEC_ACCELERATOR_TCG;
  return true;
}

static void read_direct_boot(VirtReading *r, const xmlNode *os)
{
  const xmlNode *note = virt_xml_child(r->note, "boot");
  if (!virt_xml_child(os, "kernel"))
    return;
  if (!virt_xml_get(note, "kernel") || !virt_xml_get(note, "pool")) { /* not ours, or somebody has edited it */
    virt_read_block(r, "os/kernel: a kernel booted directly");
    return;
  }
  WsVmSpecDirectBoot *direct = r->spec->direct_boot = ws_vm_spec_direct_boot_new();
  direct->cmdline = g_strdup(virt_xml_path_text(os, "cmdline"));
  direct->pool = (WsId)MAX(0, virt_xml_int(virt_xml_get(note, "pool"), 0));
  direct->kernel = g_strdup(virt_xml_get(note, "kernel"));
  direct->initrd = g_strdup(virt_xml_get(note, "initrd"));
}

static void read_os(VirtReading *r)
{
  const xmlNode *os = virt_xml_child(r->root, "os"), *loader = virt_xml_child(os, "loader");
  bool uefi = g_strcmp0(virt_xml_get(os, "firmware"), "efi") == 0 || g_strcmp0(virt_xml_get(loader, "type"), "pflash") == 0;
  bool secure = g_strcmp0(virt_xml_get(loader, "secure"), "yes") == 0;
  r->spec->firmware = WS_VM_SPEC_FIRMWARE_BIOS;
  if (uefi)
    r->spec->firmware = secure ? WS_VM_SPEC_FIRMWARE_UEFI_SECURE : WS_VM_SPEC_FIRMWARE_UEFI;
  r->spec->boot_menu = g_strcmp0(virt_xml_path_get(os, "bootmenu", "enable"), "yes") == 0;
  read_direct_boot(r, os);
}

static void read_memory_policy(VirtReading *r)
{
  WsVmMemoryPolicy *policy = r->spec->memory_policy = ws_vm_memory_policy_new();
  const xmlNode *backing = virt_xml_child(r->root, "memoryBacking"), *tune = virt_xml_child(r->root, "numatune/memory");
  policy->reservation_percent = virt_xml_int(virt_xml_get(r->note, "memory_reservation_percent"), 0);
  if (virt_xml_child(backing, "locked"))
    policy->reservation_percent = 100;
  if (virt_xml_child(backing, "hugepages")) {
    const xmlNode *page = virt_xml_child(backing, "hugepages/page");
    gint64 size = virt_xml_int(virt_xml_get(page, "size"), 2048);
    policy->huge_page_bytes = size > 0 && size < (G_MAXINT64 >> 10) ? size * 1024 : WS_INT_UNSET;
  }
  policy->shared = g_strcmp0(virt_xml_path_get(backing, "access", "mode"), "shared") == 0;
  policy->numa_mode = virt_read_name(ws_vm_memory_policy_numa_mode_names, virt_xml_get(tune, "mode"));
  policy->numa_nodes = g_strdup(virt_xml_get(tune, "nodeset"));
  if (tune && (!policy->numa_mode || !policy->numa_nodes)) {
    policy->numa_mode = 0;
    virt_read_block(r, "numatune: %s", virt_xml_get(tune, "mode"));
  }
}

static void read_memory(VirtReading *r)
{
  WsVmSpec *spec = r->spec;
  spec->memory_bytes = read_bytes(r->root, "memory");
  gint64 current = read_bytes(r->root, "currentMemory");
  if (r->domain->live && current != WS_INT_UNSET && current < spec->memory_bytes)
    spec->memory_bytes = current; /* the balloon took the rest */
  spec->memory_max_bytes = read_bytes(r->root, "maxMemory");
  read_memory_policy(r);

  const xmlNode *numa = virt_xml_child(r->root, "cpu/numa");
  g_autoptr(GPtrArray) cells = g_ptr_array_new();
  for (const xmlNode *node = virt_xml_first(numa); node; node = virt_xml_next(node)) {
    if (!virt_xml_is(node, "cell"))
      continue;
    WsVmNumaCell *cell = ws_vm_numa_cell_new();
    gint64 kib = virt_xml_int(virt_xml_get(node, "memory"), 0);
    cell->vcpus = g_strdup(virt_xml_get(node, "cpus"));
    cell->memory_bytes = kib > 0 && kib < (G_MAXINT64 >> 10) ? kib * 1024 : 0;
    g_ptr_array_add(cells, cell);
  }
  spec->numa_cells.len = cells->len;
  spec->numa_cells.items = (WsVmNumaCell **)g_ptr_array_steal(cells, NULL);
}

/* Which share makes this weight, with what is reserved; else without, as agents wrote it that knew of no
 * floor. */
static bool read_weight(WsVmCpu *cpu, gint64 weight)
{
  static const WsVmCpuShares shares[] = {WS_VM_CPU_SHARES_NORMAL, WS_VM_CPU_SHARES_LOW,
                                         WS_VM_CPU_SHARES_HIGH};
  for (guint i = 0; i < G_N_ELEMENTS(shares); i++) {
    cpu->shares = shares[i];
    if (virt_cpu_weight(cpu) == weight)
      return true;
  }
  cpu->shares = weight == VIRT_WEIGHT_LOW    ? WS_VM_CPU_SHARES_LOW
                : weight == VIRT_WEIGHT_HIGH ? WS_VM_CPU_SHARES_HIGH
                                             : WS_VM_CPU_SHARES_NORMAL;
  return cpu->shares != WS_VM_CPU_SHARES_NORMAL;
}

static void read_cputune(VirtReading *r)
{
  WsVmCpu *cpu = r->spec->cpu;
  const xmlNode *tune = virt_xml_child(r->root, "cputune");
  g_autoptr(GPtrArray) pins = g_ptr_array_new();
  gint64 period = 0, quota = 0;
  cpu->shares = WS_VM_CPU_SHARES_NORMAL;
  for (const xmlNode *node = virt_xml_first(tune); node; node = virt_xml_next(node)) {
    const char *text = node->children ? virt_xml_path_text(tune, (const char *)node->name) : NULL;
    if (virt_xml_is(node, "shares"))
      r->domain->cpu_weight = virt_xml_int(text, 0);
    if (virt_xml_is(node, "vcpupin")) {
      WsVmCpuPin *pin = ws_vm_cpu_pin_new();
      pin->vcpu = virt_xml_int(virt_xml_get(node, "vcpu"), 0);
      pin->cpus = g_strdup(virt_xml_get(node, "cpuset"));
      g_ptr_array_add(pins, pin);
    } else if (virt_xml_is(node, "shares") && read_weight(cpu, virt_xml_int(text, 0))) {
      continue;
    } else if (virt_xml_is(node, "global_period")) {
      period = virt_xml_int(text, 0);
    } else if (virt_xml_is(node, "global_quota")) {
      quota = virt_xml_int(text, 0);
    } else {
      virt_read_block(r, "cputune/%s", node->name);
    }
  }
  if (period > 0 && quota > 0 && quota < G_MAXINT64 / 100)
    cpu->limit_percent = quota * 100 / period;
  cpu->pinning.len = pins->len;
  cpu->pinning.items = (WsVmCpuPin **)g_ptr_array_steal(pins, NULL);
}

/* A running guest's XML shows host-model as the model it became; our own note tells what was asked for. */
static void read_cpu_mode(VirtReading *r, const xmlNode *node)
{
  WsVmCpu *cpu = r->spec->cpu;
  const char *mode = virt_xml_get(node, "mode");
  int noted = virt_read_name(ws_vm_cpu_mode_names, virt_xml_get(r->note, "cpu_mode"));
  if (!mode)
    return;
  if (strcmp(mode, "host-passthrough") == 0 || strcmp(mode, "maximum") == 0)
    cpu->mode = WS_VM_CPU_MODE_HOST_PASSTHROUGH;
  else if (strcmp(mode, "host-model") == 0 || (r->domain->live && noted == WS_VM_CPU_MODE_HOST_MODEL))
    cpu->mode = WS_VM_CPU_MODE_HOST_MODEL;
  else
    cpu->mode = WS_VM_CPU_MODE_CUSTOM;
  if (cpu->mode == WS_VM_CPU_MODE_CUSTOM)
    cpu->model = g_strdup(virt_xml_path_text(node, "model"));
  for (const xmlNode *at = r->domain->live ? NULL : virt_xml_first(node); at; at = virt_xml_next(at)) {
    if (!virt_xml_is(at, "feature"))
      continue;
    if (cpu->mode == WS_VM_CPU_MODE_CUSTOM && g_strcmp0(virt_xml_get(at, "policy"), "require") == 0)
      ws_array_add(&cpu->features, g_strdup(virt_xml_get(at, "name")));
    else
      virt_read_block(r, "cpu/feature: single CPU features");
  }
}

static void read_cpu(VirtReading *r)
{
  WsVmCpu *cpu = r->spec->cpu = ws_vm_cpu_new();
  const xmlNode *node = virt_xml_child(r->root, "cpu"), *topology = virt_xml_child(node, "topology");
  cpu->max_vcpus = virt_xml_int(virt_xml_path_text(r->root, "vcpu"), 1);
  cpu->vcpus = virt_xml_int(virt_xml_path_get(r->root, "vcpu", "current"), cpu->max_vcpus);
  cpu->reservation_percent = virt_xml_int(virt_xml_get(r->note, "cpu_reservation_percent"), WS_INT_UNSET);
  r->spec->start_order = virt_xml_int(virt_xml_get(r->note, "start_order"), WS_INT_UNSET);
  if (virt_xml_path_get(r->root, "vcpu", "cpuset"))
    virt_read_block(r, "vcpu: one cpuset for all vCPUs");
  if (topology) {
    cpu->sockets = virt_xml_int(virt_xml_get(topology, "sockets"), 1);
    cpu->cores = virt_xml_int(virt_xml_get(topology, "cores"), 1);
    cpu->threads = virt_xml_int(virt_xml_get(topology, "threads"), 1);
    gint64 dies = virt_xml_int(virt_xml_get(topology, "dies"), 1);
    if (dies > 1) {
      cpu->cores *= dies;
      virt_read_block(r, "cpu/topology: dies");
    }
  }
  read_cpu_mode(r, node);
  read_cputune(r);
}

static void read_clock(VirtReading *r)
{
  const xmlNode *clock = virt_xml_child(r->root, "clock");
  const char *offset = virt_xml_get(clock, "offset");
  if (g_strcmp0(offset, "variable") == 0) /* a guest that set its clock */
    offset = virt_xml_get(clock, "basis");
  r->spec->clock = virt_read_name(ws_vm_spec_clock_names, offset);
  if (offset && !r->spec->clock)
    virt_read_block(r, "clock: offset %s", offset);
}

/* Top-level elements that this file reads, or that say nothing of the guest. */
static const char *const known_elements[] = {
  "name", "uuid", "title", "description", "metadata", "maxMemory", "memory", "currentMemory", "memoryBacking", "numatune", "vcpu",
  "vcpus", "cputune", "resource", "os", "features", "cpu", "clock", "on_poweroff", "on_reboot", "on_crash", "on_lockfailure", "pm",
  "devices", "seclabel", "genid", NULL,
};

static void block_unknown_elements(VirtReading *r)
{
  for (const xmlNode *node = virt_xml_first(r->root); node; node = virt_xml_next(node))
    if (!g_strv_contains(known_elements, (const char *)node->name))
      virt_read_block(r, "%s", node->name);
}

static const xmlNode *find_note(const xmlNode *root)
{
  for (const xmlNode *n = virt_xml_first(virt_xml_child(root, "metadata")); n; n = virt_xml_next(n))
    if (virt_xml_is(n, "vm") && n->ns && g_strcmp0((const char *)n->ns->href, VIRT_METADATA_URI) == 0)
      return n;
  return NULL;
}

static void tap_free(void *tap)
{
  ws_vm_tap_free(tap);
}

VirtDomain *virt_domain_parse(const char *xml, const VirtHost *host, GError **error)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, error);
  if (!doc)
    return NULL;
  const xmlNode *root = xmlDocGetRootElement(doc);
  if (!virt_xml_is(root, "domain") || !virt_xml_child(root, "name") || !virt_xml_child(root, "memory")) {
    ws_fail(error, WS_ERROR_BAD_VALUE, "field", "xml", "expected", "a <domain> with name and memory", NULL);
    return NULL;
  }
  g_autoptr(VirtDomain) domain = g_new0(VirtDomain, 1);
  domain->spec = ws_vm_spec_new();
  domain->blockers = g_ptr_array_new_with_free_func(g_free);
  domain->taps = g_ptr_array_new_with_free_func(tap_free);
  domain->devs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  domain->live = virt_xml_get(root, "id") != NULL;
  domain->cpu_weight = VIRT_WEIGHT_NORMAL;
  domain->agent_connected = -1;
  g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  VirtReading r = {.host = host, .root = root, .note = find_note(root), .domain = domain, .spec = domain->spec, .keys = keys};
  if (!read_type(&r, error))
    return NULL;
  read_names(&r);
  read_os(&r);
  read_memory(&r);
  read_cpu(&r);
  read_clock(&r);
  virt_read_devices(&r);
  block_unknown_elements(&r);
  virt_spec_fill(domain->spec, host);
  return g_steal_pointer(&domain);
}

void virt_domain_free(VirtDomain *domain)
{
  if (!domain)
    return;
  ws_vm_spec_free(domain->spec);
  g_free(domain->domain_name);
  g_clear_pointer(&domain->blockers, g_ptr_array_unref);
  g_clear_pointer(&domain->taps, g_ptr_array_unref);
  g_clear_pointer(&domain->devs, g_hash_table_unref);
  g_free(domain);
}
