// SPDX-License-Identifier: Apache-2.0
/* See export.h. */
#include "plan/export.h"

/* Description, sums, heads, and each disk's own head. */
#define SLACK_BYTES (G_GUINT64_CONSTANT(1) << 20)

/* A stream-optimised VMDK (Virtual Disk Format 5.0, VMware 2011) is a chain of grains of 64 KiB, each deflated, with a marker of 12 bytes and filled up
 * to 512. Bytes that deflate cannot pack take 129/128 of their own; worst are single 4 KiB in grains that are empty else: 9/8. Its tables have
 * four bytes for each grain of the whole disk, and QEMU writes them twice. */
static guint64 packed(const PlanExportDisk *disk)
{
  guint64 data = MIN(disk->data_bytes, disk->size_bytes);
  return data + data / 8 + disk->size_bytes / (64 << 10) * 8 + SLACK_BYTES;
}

guint64 plan_export_bytes(const PlanExportDisk *disks, guint n)
{
  guint64 sum = SLACK_BYTES;
  for (guint i = 0; i < n; i++)
    sum += packed(&disks[i]);
  return sum;
}

guint64 plan_export_peak_bytes(const PlanExportDisk *disks, guint n)
{
  guint64 most = 0;
  for (guint i = 0; i < n; i++)
    most = MAX(most, packed(&disks[i]));
  return plan_export_bytes(disks, n) + most;
}
