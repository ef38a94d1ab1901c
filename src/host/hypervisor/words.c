// SPDX-License-Identifier: Apache-2.0
/* Values that domain XML calls by other names than the contract. All others have the contract's names. */
#include "host/hypervisor/domain.h"
#include <string.h>

const char *const virt_word_disk_bus[] = {
  [WS_VM_SPEC_DISK_BUS_VIRTIO_BLK] = "virtio", [WS_VM_SPEC_DISK_BUS_VIRTIO_SCSI] = "scsi",
  [WS_VM_SPEC_DISK_BUS_SATA] = "sata",         [WS_VM_SPEC_DISK_BUS_IDE] = "ide",
  [WS_VM_SPEC_DISK_BUS_USB] = "usb",           [WS_VM_SPEC_DISK_BUS_USB + 1] = NULL,
};

const char *const virt_word_cdrom_bus[] = {
  [WS_VM_SPEC_CDROM_BUS_VIRTIO_SCSI] = "scsi", [WS_VM_SPEC_CDROM_BUS_SATA] = "sata",
  [WS_VM_SPEC_CDROM_BUS_IDE] = "ide",          [WS_VM_SPEC_CDROM_BUS_USB] = "usb",
  [WS_VM_SPEC_CDROM_BUS_USB + 1] = NULL,
};

const char *const virt_word_watchdog[] = {
  [WS_VM_SPEC_WATCHDOG_NONE] = "none",          [WS_VM_SPEC_WATCHDOG_RESET] = "reset",
  [WS_VM_SPEC_WATCHDOG_POWER_OFF] = "poweroff", [WS_VM_SPEC_WATCHDOG_PAUSE] = "pause",
  [WS_VM_SPEC_WATCHDOG_PAUSE + 1] = NULL,
};

int virt_word_find(const char *const *table, const char *word)
{
  for (int i = 1; word && table[i]; i++)
    if (strcmp(table[i], word) == 0)
      return i;
  return 0;
}
