// SPDX-License-Identifier: Apache-2.0
/* The VM and the session of the recorded moves in tests/fuzz/corpus/guard, and a guard that waits for it.
 * Recorded of libvirt 9.0; ids, folders and names of hosts are others since. */
#pragma once
#include "host/guard/guard.h"
#include "host/hypervisor/judge.h"

#define SAMPLE_UUID   "11111111-2222-4333-8444-555555555555"
#define SAMPLE_FOLDER "/run/winsphere/moves/00000000000000000000000000000000"

static const char *const sample_files[] = {
    "/var/lib/winsphere/pools/local/vol-52-00000000.qcow2",
    "/var/lib/winsphere/pools/local/vol-55-00000000.qcow2",
    "/var/lib/winsphere/pools/local/vol-55-00000000.raw",
    "/var/lib/winsphere/seeds/" SAMPLE_UUID ".iso",
    "/var/lib/winsphere/serial/" SAMPLE_UUID ".log",
    NULL,
};

static WsVmSpecNic sample_nic = {.key = (char *)"nic-0",
                                 .mac = (char *)"52:54:00:00:00:01",
                                 .bridge = (char *)"vs0",
                                 .model = WS_VM_SPEC_NIC_MODEL_VIRTIO,
                                 .connected = true,
                                 .queues = 1,
                                 .vlan = WS_INT_UNSET,
                                 .mtu = WS_INT_UNSET,
                                 .boot_order = WS_INT_UNSET,
                                 .in_kib_per_s = WS_INT_UNSET,
                                 .in_burst_kib = WS_INT_UNSET,
                                 .out_kib_per_s = WS_INT_UNSET,
                                 .out_burst_kib = WS_INT_UNSET};
static WsVmSpecNic *sample_nics[] = {&sample_nic};
static const WsVmSpec sample_spec = {.vm = 51,
                                     .uuid = (char *)SAMPLE_UUID,
                                     .architecture = WS_VM_SPEC_ARCHITECTURE_X86_64,
                                     .machine = (char *)"q35",
                                     .nics = {1, sample_nics}};
static const VirtJudge sample_judge = {51, SAMPLE_UUID, &sample_spec, sample_files};

static bool sample_definition(const char *xml, void *arg, char **name, GError **error)
{
  return virt_judge_definition(xml, &sample_judge, name, error);
}

static bool sample_cookie(const char *xml, const char *name, void *arg, GError **error)
{
  return virt_judge_cookie(xml, name, &sample_judge, error);
}

static const GuardTerms sample_terms = {"qemu:///system",
                                        "unix://" SAMPLE_FOLDER "/memory",
                                        "unix://" SAMPLE_FOLDER "/disks",
                                        sample_definition,
                                        sample_cookie,
                                        NULL};
