// SPDX-License-Identifier: Apache-2.0
/* A VM in the words of OVF 1.1 (DMTF DSP0243), for other platforms. Pure; threads: any. */
#pragma once
#include "host/storage/storage.h"

/* The descriptor: one virtual system with its disks, NICs and CD drives, and what VMware's products ask for beyond the standard (vmw:, its public OVF
 * schema). What is not in `params` is not in it: no MAC addresses, no first-boot settings, no passwords. An ExportDescribe. Caller frees. */
char *virt_ovf(const WsRpcVolumeExport *params, const ExportedDisk *disks, guint n);
