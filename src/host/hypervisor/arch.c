// SPDX-License-Identifier: Apache-2.0
/* What differs between architectures, as one table. Facts of QEMU 7.2 and libvirt 9.0; a machine of the host's own is
 * asked of libvirt at start (capabilities), this is what its devices are called. */
#include "host/hypervisor/domain.h"
#include <string.h>

static const VirtArch arches[] = {
  {
    .id = WS_VM_SPEC_ARCHITECTURE_X86_64,
    .name = "x86_64",
    .machine = "q35",
    .firmware = WS_VM_SPEC_FIRMWARE_BIOS,
    .uefi = true,
    .secure_boot = true,
    .acpi = true,
    .apic = true,
    .pc_timers = true,
    .ps2 = true,
    .tcg_cpu = "maximum",
    .video = WS_VM_SPEC_VIDEO_VGA, /* shows in every firmware and guest; virtio needs a driver */
    .serial_target = "isa-serial",
    .panic = "isa",
    .tpm = "tpm-crb",
    .watchdog = "i6300esb",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_AARCH64,
    .name = "aarch64",
    .machine = "virt",
    .firmware = WS_VM_SPEC_FIRMWARE_UEFI,
    .uefi = true,
    .acpi = true,
    .tcg_cpu = "cortex-a57", /* "max" boots seven times slower: its pointer authentication is costly to emulate */
    .video = WS_VM_SPEC_VIDEO_VIRTIO,
    .serial_target = "system-serial",
    .serial_model = "pl011",
    .tpm = "tpm-tis",
    .watchdog = "i6300esb",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_LOONGARCH64,
    .name = "loongarch64",
    .machine = "virt",
    .firmware = WS_VM_SPEC_FIRMWARE_UEFI,
    .uefi = true,
    .acpi = true,
    .tcg_cpu = "la464",
    .video = WS_VM_SPEC_VIDEO_VIRTIO,
    .watchdog = "i6300esb",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_MIPS64EL,
    .name = "mips64el",
    .machine = "malta",
    .firmware = WS_VM_SPEC_FIRMWARE_BIOS,
    .ps2 = true,
    .video = WS_VM_SPEC_VIDEO_CIRRUS,
    .serial_target = "isa-serial",
    .watchdog = "i6300esb",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_S390X,
    .name = "s390x",
    .machine = "s390-ccw-virtio",
    .firmware = WS_VM_SPEC_FIRMWARE_BIOS,
    .ccw = true,
    .tcg_cpu = "maximum",
    .video = WS_VM_SPEC_VIDEO_VIRTIO,
    .serial_target = "sclp-serial",
    .serial_model = "sclpconsole",
    .panic = "s390",
    .panic_always = true,
    .watchdog = "diag288",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_PPC64LE,
    .name = "ppc64le",
    .machine = "pseries",
    .firmware = WS_VM_SPEC_FIRMWARE_BIOS,
    .tcg_cpu = "POWER9",
    .video = WS_VM_SPEC_VIDEO_VGA,
    .serial_target = "spapr-vio-serial",
    .serial_model = "spapr-vty",
    .panic = "pseries",
    .panic_always = true,
    .tpm = "tpm-spapr",
    .watchdog = "i6300esb",
  },
  {
    .id = WS_VM_SPEC_ARCHITECTURE_RISCV64,
    .name = "riscv64",
    .machine = "virt",
    .firmware = WS_VM_SPEC_FIRMWARE_BIOS,
    .video = WS_VM_SPEC_VIDEO_VIRTIO,
    .serial_target = "system-serial",
    .serial_model = "16550a",
    .watchdog = "i6300esb",
  },
};

const VirtArch *virt_arch(WsVmSpecArchitecture id)
{
  for (guint i = 0; i < G_N_ELEMENTS(arches); i++)
    if (arches[i].id == id)
      return &arches[i];
  g_assert_not_reached();
}

const VirtArch *virt_arch_find(const char *name)
{
  for (guint i = 0; name && i < G_N_ELEMENTS(arches); i++)
    if (strcmp(arches[i].name, name) == 0)
      return &arches[i];
  return NULL;
}

bool virt_arch_is_pcie(const VirtArch *arch, const char *machine)
{
  if (arch->id == WS_VM_SPEC_ARCHITECTURE_X86_64)
    return strstr(machine, "q35") != NULL;
  return g_str_has_prefix(machine, "virt");
}

bool virt_spec_has_virtio(const WsVmSpec *spec)
{
  /* Other architectures have no second choice: their guests bring the drivers. */
  return spec->architecture != WS_VM_SPEC_ARCHITECTURE_X86_64 || spec->os->family == WS_VM_OS_FAMILY_LINUX ||
         spec->os->family == WS_VM_OS_FAMILY_BSD;
}
