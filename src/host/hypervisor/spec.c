// SPDX-License-Identifier: Apache-2.0
/* The spec of a VM: filling in what was left open, refusing what cannot be, telling two apart. See domain.h. */
#include "host/hypervisor/domain.h"
#include <string.h>

#define KIB 1024
#define MIB (1024 * 1024)
#define PC_MAX_VCPUS 255 /* more need an IOMMU with extended interrupts in the guest */

char *virt_alias(const char *key)
{
  return g_strconcat("ua-", key, NULL);
}

/* ---- filling ---- */

#define DEFAULT(field, value) ((field) = (field) ? (field) : (value))

static bool is_unset(gint64 value)
{
  return value == WS_INT_UNSET;
}

static void drop_empty_text(char **text)
{
  if (*text && !**text)
    g_clear_pointer(text, g_free);
}

static void lower(char *text)
{
  for (; text && *text; text++)
    *text = g_ascii_tolower(*text);
}

static void fill_cpu(WsVmSpec *spec, const VirtArch *arch)
{
  if (!spec->cpu)
    spec->cpu = ws_vm_cpu_new();
  WsVmCpu *cpu = spec->cpu;
  if (is_unset(cpu->vcpus))
    cpu->vcpus = 1;
  if (is_unset(cpu->max_vcpus))
    cpu->max_vcpus = cpu->vcpus;
  if (!is_unset(cpu->sockets) || !is_unset(cpu->cores) || !is_unset(cpu->threads)) {
    if (is_unset(cpu->threads))
      cpu->threads = 1;
    if (is_unset(cpu->cores))
      cpu->cores = is_unset(cpu->sockets) ? 1 : MAX(1, cpu->max_vcpus / (cpu->sockets * cpu->threads));
    if (is_unset(cpu->sockets))
      cpu->sockets = MAX(1, cpu->max_vcpus / (cpu->cores * cpu->threads));
  }
  DEFAULT(cpu->shares, WS_VM_CPU_SHARES_NORMAL);
  if (spec->start_order == 0)
    spec->start_order = WS_INT_UNSET;
  if (cpu->reservation_percent == 0)
    cpu->reservation_percent = WS_INT_UNSET;
  if (cpu->mode)
    return;
  bool kvm = spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM;
  if (kvm || g_strcmp0(arch->tcg_cpu, "maximum") == 0) {
    cpu->mode = WS_VM_CPU_MODE_HOST_PASSTHROUGH;
  } else if (arch->tcg_cpu) {
    cpu->mode = WS_VM_CPU_MODE_CUSTOM;
    g_free(cpu->model);
    cpu->model = g_strdup(arch->tcg_cpu);
  }
}

static bool policy_is_plain(const WsVmMemoryPolicy *policy)
{
  return policy->reservation_percent <= 0 && is_unset(policy->huge_page_bytes) && !policy->numa_mode &&
         !policy->numa_nodes && !policy->shared;
}

static void fill_memory(WsVmSpec *spec)
{
  if (spec->memory_max_bytes == spec->memory_bytes)
    spec->memory_max_bytes = WS_INT_UNSET;
  WsVmMemoryPolicy *policy = spec->memory_policy;
  if (policy) {
    drop_empty_text(&policy->numa_nodes);
    if (is_unset(policy->reservation_percent))
      policy->reservation_percent = 0;
    if (policy->numa_nodes && !policy->numa_mode)
      policy->numa_mode = WS_VM_MEMORY_POLICY_NUMA_MODE_STRICT;
    if (policy_is_plain(policy))
      g_clear_pointer(&spec->memory_policy, ws_vm_memory_policy_free);
  }
  if (spec->numa_cells.len == 1) { /* one node is what every machine has */
    ws_vm_numa_cell_free(spec->numa_cells.items[0]);
    g_clear_pointer(&spec->numa_cells.items, g_free);
    spec->numa_cells.len = 0;
  }
}

static bool limits_are_none(const WsVmIoLimits *l)
{
  return is_unset(l->total_bytes_per_s) && is_unset(l->read_bytes_per_s) && is_unset(l->write_bytes_per_s) &&
         is_unset(l->total_iops) && is_unset(l->read_iops) && is_unset(l->write_iops);
}

static void fill_storage(WsVmSpec *spec, const VirtArch *arch)
{
  bool virtio = virt_spec_has_virtio(spec), pcie = virt_arch_is_pcie(arch, spec->machine);
  WsVmSpecDiskBus plain = pcie ? WS_VM_SPEC_DISK_BUS_SATA : WS_VM_SPEC_DISK_BUS_IDE;
  for (guint i = 0; i < spec->disks.len; i++) {
    WsVmSpecDisk *disk = spec->disks.items[i];
    DEFAULT(disk->bus, virtio ? WS_VM_SPEC_DISK_BUS_VIRTIO_BLK : plain);
    DEFAULT(disk->format, WS_VM_SPEC_DISK_FORMAT_QCOW2);
    DEFAULT(disk->cache, WS_VM_SPEC_DISK_CACHE_NONE);
    DEFAULT(disk->error_policy, WS_VM_SPEC_DISK_ERROR_POLICY_STOP);
    if (disk->limits && limits_are_none(disk->limits))
      g_clear_pointer(&disk->limits, ws_vm_io_limits_free);
  }
  WsVmSpecCdromBus plain_cd = pcie ? WS_VM_SPEC_CDROM_BUS_SATA : WS_VM_SPEC_CDROM_BUS_IDE;
  for (guint i = 0; i < spec->cdroms.len; i++)
    DEFAULT(spec->cdroms.items[i]->bus, virtio ? WS_VM_SPEC_CDROM_BUS_VIRTIO_SCSI : plain_cd);
}

static void fill_nics(WsVmSpec *spec, const VirtArch *arch)
{
  WsVmSpecNicModel plain = virt_arch_is_pcie(arch, spec->machine) ? WS_VM_SPEC_NIC_MODEL_E1000E : WS_VM_SPEC_NIC_MODEL_E1000;
  for (guint i = 0; i < spec->nics.len; i++) {
    WsVmSpecNic *nic = spec->nics.items[i];
    DEFAULT(nic->model, virt_spec_has_virtio(spec) ? WS_VM_SPEC_NIC_MODEL_VIRTIO : plain);
    if (is_unset(nic->queues))
      nic->queues = 1;
    lower(nic->mac);
    lower(nic->port_id);
  }
}

/* Without any order given: disks first, then CDs, so that an empty disk falls through to the installation medium. */
static void fill_boot_order(WsVmSpec *spec)
{
  bool given = spec->direct_boot != NULL;
  for (guint i = 0; i < spec->disks.len; i++)
    given |= !is_unset(spec->disks.items[i]->boot_order);
  for (guint i = 0; i < spec->cdroms.len; i++)
    given |= !is_unset(spec->cdroms.items[i]->boot_order);
  for (guint i = 0; i < spec->nics.len; i++)
    given |= !is_unset(spec->nics.items[i]->boot_order);
  if (given)
    return;
  gint64 order = 0;
  if (spec->disks.len > 0)
    spec->disks.items[0]->boot_order = ++order;
  for (guint i = 0; i < spec->cdroms.len; i++)
    spec->cdroms.items[i]->boot_order = ++order;
}

static void fill_screen(WsVmSpec *spec, const VirtArch *arch)
{
  DEFAULT(spec->graphics, WS_VM_SPEC_GRAPHICS_VNC);
  bool screen = spec->graphics == WS_VM_SPEC_GRAPHICS_VNC;
  DEFAULT(spec->video, screen ? arch->video : WS_VM_SPEC_VIDEO_NONE);
  if (spec->inputs.len > 0 || !screen)
    return;
  spec->inputs.len = arch->ps2 ? 1 : 2; /* a tablet for the pointer; the keyboard comes with PS/2 where there is one */
  spec->inputs.items = g_renew(WsVmSpecInputs, spec->inputs.items, spec->inputs.len);
  spec->inputs.items[0] = WS_VM_SPEC_INPUTS_TABLET;
  if (spec->inputs.len > 1)
    spec->inputs.items[1] = WS_VM_SPEC_INPUTS_KEYBOARD;
}

void virt_spec_fill(WsVmSpec *spec, const VirtHost *host)
{
  const VirtArch *arch = virt_arch(spec->architecture);
  DEFAULT(spec->accelerator, host->kvm && spec->architecture == host->native ? WS_VM_SPEC_ACCELERATOR_KVM
                                                                            : WS_VM_SPEC_ACCELERATOR_TCG);
  if (!spec->os)
    spec->os = ws_vm_os_new();
  DEFAULT(spec->os->family, WS_VM_OS_FAMILY_LINUX);
  drop_empty_text(&spec->os->variant);
  drop_empty_text(&spec->description);
  lower(spec->uuid);
  if (!spec->machine)
    spec->machine = g_strdup(arch->machine);
  DEFAULT(spec->firmware, spec->direct_boot ? WS_VM_SPEC_FIRMWARE_BIOS : arch->firmware);
  fill_cpu(spec, arch);
  fill_memory(spec);
  fill_storage(spec, arch);
  fill_nics(spec, arch);
  fill_boot_order(spec);
  fill_screen(spec, arch);
  DEFAULT(spec->watchdog, WS_VM_SPEC_WATCHDOG_NONE);
  DEFAULT(spec->clock, WS_VM_SPEC_CLOCK_UTC);
  if (!arch->panic)
    spec->panic_device = false;
  if (arch->panic_always)
    spec->panic_device = true;
}

/* ---- checking ---- */

static bool bad(GError **error, const char *field, const char *expected)
{
  return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", expected, NULL);
}

static bool bad_in(GError **error, const char *list, const char *key, const char *member, const char *expected)
{
  g_autofree char *field = g_strdup_printf("%s[%s].%s", list, key, member);
  return bad(error, field, expected);
}

static bool unsupported(GError **error, const char *field, const VirtArch *arch, const char *what)
{
  g_autofree char *text = g_strdup_printf("%s (%s)", what, arch->name);
  return ws_fail(error, WS_ERROR_UNSUPPORTED, "field", field, "what", text, NULL);
}

static bool check_cpu(const WsVmSpec *spec, GError **error)
{
  const WsVmCpu *cpu = spec->cpu;
  if (cpu->max_vcpus < cpu->vcpus)
    return bad(error, "cpu.max_vcpus", "at least cpu.vcpus");
  if (spec->architecture == WS_VM_SPEC_ARCHITECTURE_X86_64 && cpu->max_vcpus > PC_MAX_VCPUS)
    return bad(error, "cpu.max_vcpus", "at most 255 on x86_64");
  if (!is_unset(cpu->sockets) && cpu->sockets * cpu->cores * cpu->threads != cpu->max_vcpus)
    return bad(error, "cpu.sockets", "sockets x cores x threads = max_vcpus");
  if (cpu->mode == WS_VM_CPU_MODE_CUSTOM && !cpu->model)
    return bad(error, "cpu.model", "a CPU model, for mode custom");
  for (guint i = 0; i < cpu->pinning.len; i++) {
    g_autofree char *field = g_strdup_printf("cpu.pinning[%u].vcpu", i);
    if (cpu->pinning.items[i]->vcpu >= cpu->max_vcpus)
      return bad(error, field, "a vCPU below max_vcpus");
    for (guint j = 0; j < i; j++)
      if (cpu->pinning.items[j]->vcpu == cpu->pinning.items[i]->vcpu)
        return bad(error, field, "each vCPU once");
  }
  return true;
}

/* Marks the members of "0-3,6" in `seen` (of `limit` places) and counts them; -1 when a range is reversed, a member not below
 * `limit` or seen before. */
static gint64 mark_set(const char *set, bool *seen, gint64 limit)
{
  gint64 count = 0;
  for (const char *at = set; *at;) {
    char *end;
    gint64 first = g_ascii_strtoll(at, &end, 10), last = first;
    if (*end == '-')
      last = g_ascii_strtoll(end + 1, &end, 10);
    if (last < first || last >= limit)
      return -1;
    for (gint64 i = first; i <= last; i++, count++) {
      if (seen[i])
        return -1;
      seen[i] = true;
    }
    at = *end == ',' ? end + 1 : end;
  }
  return count;
}

static bool check_numa(const WsVmSpec *spec, GError **error)
{
  if (spec->numa_cells.len == 0)
    return true;
  g_autofree bool *seen = g_new0(bool, spec->cpu->max_vcpus);
  gint64 vcpus = 0, bytes = 0;
  for (guint i = 0; i < spec->numa_cells.len; i++) {
    gint64 n = mark_set(spec->numa_cells.items[i]->vcpus, seen, spec->cpu->max_vcpus);
    if (n < 0)
      return bad(error, "numa_cells", "vCPUs below max_vcpus, each once, in rising ranges");
    vcpus += n;
    bytes += spec->numa_cells.items[i]->memory_bytes;
  }
  if (vcpus != spec->cpu->max_vcpus)
    return bad(error, "numa_cells", "each vCPU in one node");
  if (bytes != spec->memory_bytes)
    return bad(error, "numa_cells", "nodes whose memory adds up to memory_bytes");
  return true;
}

static bool check_memory(const WsVmSpec *spec, GError **error)
{
  bool grows = !is_unset(spec->memory_max_bytes);
  if (grows && spec->memory_max_bytes < spec->memory_bytes)
    return bad(error, "memory_max_bytes", "at least memory_bytes");
  if (grows && spec->architecture != WS_VM_SPEC_ARCHITECTURE_X86_64 && spec->architecture != WS_VM_SPEC_ARCHITECTURE_AARCH64 &&
      spec->architecture != WS_VM_SPEC_ARCHITECTURE_PPC64LE)
    return unsupported(error, "memory_max_bytes", virt_arch(spec->architecture), "adding memory to a running VM");
  const WsVmMemoryPolicy *policy = spec->memory_policy;
  if (policy && !is_unset(policy->huge_page_bytes) &&
      (policy->huge_page_bytes % KIB || spec->memory_bytes % policy->huge_page_bytes))
    return bad(error, "memory_policy.huge_page_bytes", "a page size that divides memory_bytes");
  if (policy && policy->numa_mode && !policy->numa_nodes)
    return bad(error, "memory_policy.numa_nodes", "the nodes, when numa_mode is given");
  return check_numa(spec, error);
}

static bool check_bus(const WsVmSpec *spec, const VirtArch *arch, const char *list, const char *key, const char *bus,
                      GError **error)
{
  bool pcie = virt_arch_is_pcie(arch, spec->machine);
  bool ok = true;
  if (strcmp(bus, "ide") == 0)
    ok = arch->id == WS_VM_SPEC_ARCHITECTURE_X86_64 && !pcie;
  else if (strcmp(bus, "sata") == 0)
    ok = arch->id == WS_VM_SPEC_ARCHITECTURE_X86_64;
  else if (strcmp(bus, "usb") == 0)
    ok = !arch->ccw;
  if (ok)
    return true;
  g_autofree char *field = g_strdup_printf("%s[%s].bus", list, key);
  g_autofree char *what = g_strdup_printf("%s on machine %s", bus, spec->machine);
  return unsupported(error, field, arch, what);
}

static bool check_disk(const WsVmSpec *spec, const VirtArch *arch, const WsVmSpecDisk *disk, GError **error)
{
  if (!disk->path && (!disk->pool || !disk->file))
    return bad_in(error, "disks", disk->key, "file", "pool and file");
  if (!check_bus(spec, arch, "disks", disk->key, virt_word_disk_bus[disk->bus], error))
    return false;
  if (disk->shared && (disk->format != WS_VM_SPEC_DISK_FORMAT_RAW || disk->cache != WS_VM_SPEC_DISK_CACHE_NONE))
    return bad_in(error, "disks", disk->key, "shared", "format raw and cache none");
  bool can_read_only = disk->bus != WS_VM_SPEC_DISK_BUS_IDE && disk->bus != WS_VM_SPEC_DISK_BUS_SATA;
  if (disk->read_only && !can_read_only)
    return bad_in(error, "disks", disk->key, "read_only", "bus virtio_blk, virtio_scsi or usb");
  const WsVmIoLimits *l = disk->limits;
  if (l && !is_unset(l->total_bytes_per_s) && (!is_unset(l->read_bytes_per_s) || !is_unset(l->write_bytes_per_s)))
    return bad_in(error, "disks", disk->key, "limits.total_bytes_per_s", "either a total or its parts");
  if (l && !is_unset(l->total_iops) && (!is_unset(l->read_iops) || !is_unset(l->write_iops)))
    return bad_in(error, "disks", disk->key, "limits.total_iops", "either a total or its parts");
  return true;
}

static bool check_nic(const VirtArch *arch, const WsVmSpecNic *nic, GError **error)
{
  if (!nic->bridge)
    return bad_in(error, "nics", nic->key, "bridge", "a bridge");
  if (nic->queues > 1 && nic->model != WS_VM_SPEC_NIC_MODEL_VIRTIO)
    return bad_in(error, "nics", nic->key, "queues", "1, or model virtio");
  if (arch->ccw && nic->model != WS_VM_SPEC_NIC_MODEL_VIRTIO) {
    g_autofree char *field = g_strdup_printf("nics[%s].model", nic->key);
    return unsupported(error, field, arch, "a NIC other than virtio");
  }
  return true;
}

/* Keys name aliases, which are one space for all devices of a VM; a boot place can be taken once. */
static bool check_key(GHashTable *keys, GHashTable *places, const char *list, const char *key, gint64 boot_order, GError **error)
{
  if (!g_hash_table_add(keys, (gpointer)key))
    return bad_in(error, list, key, "key", "a key that no other device of the VM has");
  if (!is_unset(boot_order) && !g_hash_table_add(places, GINT_TO_POINTER((int)boot_order)))
    return bad_in(error, list, key, "boot_order", "a place that no other device of the VM has");
  return true;
}

static bool check_devices(const WsVmSpec *spec, const VirtArch *arch, GError **error)
{
  g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GHashTable) places = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < spec->disks.len; i++) {
    const WsVmSpecDisk *disk = spec->disks.items[i];
    if (!check_key(keys, places, "disks", disk->key, disk->boot_order, error) || !check_disk(spec, arch, disk, error))
      return false;
  }
  for (guint i = 0; i < spec->cdroms.len; i++) {
    const WsVmSpecCdrom *cd = spec->cdroms.items[i];
    if (!check_key(keys, places, "cdroms", cd->key, cd->boot_order, error) ||
        !check_bus(spec, arch, "cdroms", cd->key, virt_word_cdrom_bus[cd->bus], error))
      return false;
    if (!cd->pool != !cd->file)
      return bad_in(error, "cdroms", cd->key, "file", "pool and file, or neither");
  }
  for (guint i = 0; i < spec->nics.len; i++) {
    const WsVmSpecNic *nic = spec->nics.items[i];
    if (!check_key(keys, places, "nics", nic->key, nic->boot_order, error) || !check_nic(arch, nic, error))
      return false;
  }
  return true;
}

bool virt_spec_check(const WsVmSpec *spec, GError **error)
{
  const VirtArch *arch = virt_arch(spec->architecture);
  if (!spec->vm)
    return bad(error, "vm", "the id of the VM");
  if (spec->memory_bytes % MIB)
    return bad(error, "memory_bytes", "whole MiB");
  if ((spec->firmware == WS_VM_SPEC_FIRMWARE_UEFI && !arch->uefi) ||
      (spec->firmware == WS_VM_SPEC_FIRMWARE_UEFI_SECURE && !arch->secure_boot))
    return unsupported(error, "firmware", arch, "this firmware");
  if (spec->firmware == WS_VM_SPEC_FIRMWARE_UEFI_SECURE && !virt_arch_is_pcie(arch, spec->machine))
    return bad(error, "machine", "q35, for secure boot");
  if (spec->firmware != WS_VM_SPEC_FIRMWARE_BIOS && spec->direct_boot)
    return bad(error, "firmware", "bios, for a kernel that is booted directly");
  if (spec->tpm && !arch->tpm)
    return unsupported(error, "tpm", arch, "a TPM");
  if (arch->ccw && spec->video != WS_VM_SPEC_VIDEO_VIRTIO && spec->video != WS_VM_SPEC_VIDEO_NONE)
    return unsupported(error, "video", arch, "video other than virtio");
  if (spec->video == WS_VM_SPEC_VIDEO_QXL && arch->id != WS_VM_SPEC_ARCHITECTURE_X86_64)
    return unsupported(error, "video", arch, "qxl");
  if (arch->id == WS_VM_SPEC_ARCHITECTURE_MIPS64EL && spec->accelerator == WS_VM_SPEC_ACCELERATOR_KVM)
    return unsupported(error, "accelerator", arch, "KVM");
  return check_cpu(spec, error) && check_memory(spec, error) && check_devices(spec, arch, error);
}
