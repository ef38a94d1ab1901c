// SPDX-License-Identifier: Apache-2.0
/* How much room a VM takes that is exported as one file (host/storage/volume_export.c), before it is known how far its bytes can be packed: at most so
 * much, also when they cannot. The manager refuses by what it has heard their files take, which is too little where these are compressed; the host by the
 * data that it finds in them. */
#pragma once
#include <glib.h>

typedef struct {
  guint64 data_bytes; /* in the disk and all below it; more than its size counts as its size */
  guint64 size_bytes; /* that the guest sees */
} PlanExportDisk;

/* The file when it is whole. */
guint64 plan_export_bytes(const PlanExportDisk *disks, guint n);
/* With the largest disk once more: each is packed beside the file, and then taken into it. */
guint64 plan_export_peak_bytes(const PlanExportDisk *disks, guint n);
