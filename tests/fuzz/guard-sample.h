// SPDX-License-Identifier: Apache-2.0
/* The VM and the session of the recorded moves in tests/fuzz/corpus/guard, and a guard that waits for it.
 * Recorded of libvirt 9.0; ids, folders and names of hosts are others since. */
#pragma once
#include "host/guard/guard.h"
#include "host/hypervisor/judge.h"

#define SAMPLE_UUID   "11111111-2222-4333-8444-555555555555"
#define SAMPLE_FOLDER "/run/winsphere/moves/00000000000000000000000000000000"

#define SAMPLE_FILES(second)                                                                                 \
  {                                                                                                          \
    {"disk-0", "/var/lib/winsphere/pools/local/vol-52-00000000.qcow2"},                                      \
        {"disk-1", "/var/lib/winsphere/pools/local/vol-55-00000000." second},                                \
        {VIRT_JUDGE_SEED, "/var/lib/winsphere/seeds/" SAMPLE_UUID ".iso"},                                   \
        {VIRT_JUDGE_LOG, "/var/lib/winsphere/serial/" SAMPLE_UUID ".log"}, {NULL, NULL},                     \
  }
static const VirtJudgeFile sample_files[] = SAMPLE_FILES("raw"), sample_files_qcow2[] = SAMPLE_FILES("qcow2");

#define SAMPLE_DISK(the_key, the_format)                                                                     \
  {                                                                                                          \
    .key = (char *)the_key, .format = WS_VM_SPEC_DISK_FORMAT_##the_format,                                   \
    .bus = WS_VM_SPEC_DISK_BUS_VIRTIO_BLK,                                                                   \
  }
static WsVmSpecDisk sample_first = SAMPLE_DISK("disk-0", QCOW2), sample_raw = SAMPLE_DISK("disk-1", RAW),
                    sample_qcow2 = SAMPLE_DISK("disk-1", QCOW2);
static WsVmSpecDisk *sample_disks[] = {&sample_first, &sample_raw},
                    *sample_disks_qcow2[] = {&sample_first, &sample_qcow2};

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
#define SAMPLE_SPEC(the_disks)                                                                               \
  {                                                                                                          \
    .vm = 51, .uuid = (char *)SAMPLE_UUID, .architecture = WS_VM_SPEC_ARCHITECTURE_X86_64,                   \
    .machine = (char *)"q35", .disks = {2, the_disks}, .nics = {1, sample_nics},                             \
  }
static const WsVmSpec sample_spec = SAMPLE_SPEC(sample_disks),
                      sample_spec_qcow2 = SAMPLE_SPEC(sample_disks_qcow2);
/* The second disk goes over as it is, or as a qcow2 ("moved-other-format"). */
static const VirtJudge sample_judge = {51, SAMPLE_UUID, &sample_spec, sample_files},
                       sample_judge_qcow2 = {51, SAMPLE_UUID, &sample_spec_qcow2, sample_files_qcow2};

static bool sample_definition(const char *xml, void *judge, char **name, GError **error)
{
  return virt_judge_definition(xml, judge, name, error);
}

static bool sample_cookie(const char *xml, const char *name, void *judge, GError **error)
{
  return virt_judge_cookie(xml, name, judge, error);
}

#define SAMPLE_TERMS(judge)                                                                                  \
  {                                                                                                          \
    "qemu:///system", "unix://" SAMPLE_FOLDER "/memory", "unix://" SAMPLE_FOLDER "/disks",                   \
        sample_definition, sample_cookie, (void *)&judge,                                                    \
  }
static const GuardTerms sample_terms = SAMPLE_TERMS(sample_judge),
                        sample_terms_qcow2 = SAMPLE_TERMS(sample_judge_qcow2);
