// SPDX-License-Identifier: Apache-2.0
/* What of a change a running VM takes at once: each rule of host/hypervisor/update.c kept and broken. */
#include "plan/live.h"
#include <string.h>

static const char base[] =
    "{'name':'vm','uuid':'12345678-1234-1234-1234-123456789abc','architecture':'x86_64','machine':'q35','firmware':'bios',"
    "'cpu':{'vcpus':2,'max_vcpus':4},'memory_bytes':1073741824,'memory_max_bytes':2147483648,"
    "'disks':[{'key':'d0','pool':'pool-1','file':'a.qcow2','bus':'virtio_blk'},{'key':'d1','pool':'pool-1','file':'b.qcow2','bus':'sata'}],"
    "'cdroms':[{'key':'c0','bus':'sata'}],"
    "'nics':[{'key':'n0','mac':'52:54:00:00:00:01','bridge':'br0','model':'virtio'}]}";

static WsVmSpec *spec_of(const char *text)
{
  g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
  g_autoptr(GError) error = NULL;
  WsVmSpec *spec = ws_vm_spec_parse(json, strlen(json), WS_PARSE_STORED, &error);
  g_assert_no_error(error);
  return spec;
}

/* `from` -> `to` in the text; what waits then, joined. */
static char *waits(const char *from, const char *to, bool emulated)
{
  g_assert_nonnull(strstr(base, from));
  g_auto(GStrv) parts = g_strsplit(base, from, 2);
  g_autofree char *changed = g_strjoinv(to, parts);
  g_autoptr(WsVmSpec) now = spec_of(base), next = spec_of(changed);
  g_autoptr(GPtrArray) paths = live_waits(now, next, emulated);
  g_ptr_array_add(paths, NULL);
  return g_strjoinv(" ", (char **)paths->pdata);
}

#define ASSERT_WAITS(from, to, emulated, wanted)                                                                       \
  do {                                                                                                                 \
    g_autofree char *found = waits(from, to, emulated);                                                                \
    g_assert_cmpstr(found, ==, wanted);                                                                                \
  } while (0)

static void nothing_waits_of_what_a_guest_does_not_see(void)
{
  ASSERT_WAITS("'name':'vm'", "'name':'other','description':'x','autostart':true,'start_order':5", false, "");
}

static void machine_and_firmware_wait(void)
{
  ASSERT_WAITS("'machine':'q35'", "'machine':'pc','tpm':true", false, "machine tpm");
  ASSERT_WAITS("'firmware':'bios'", "'firmware':'uefi'", false, "firmware");
}

static void processors_grow_to_their_maximum_and_shrink_with_kvm(void)
{
  ASSERT_WAITS("'vcpus':2", "'vcpus':4", true, "");
  ASSERT_WAITS("'vcpus':2", "'vcpus':5", false, "cpu.vcpus");
  ASSERT_WAITS("'vcpus':2", "'vcpus':1", false, "");
  ASSERT_WAITS("'vcpus':2", "'vcpus':1", true, "cpu.vcpus");
  ASSERT_WAITS("'max_vcpus':4", "'max_vcpus':8", false, "cpu.max_vcpus");
  ASSERT_WAITS("'vcpus':2", "'vcpus':2,'shares':'high','limit_percent':50", false, "");
  ASSERT_WAITS("'vcpus':2", "'vcpus':2,'mode':'host_model'", false, "cpu.mode");
}

static void memory_grows_in_steps_where_there_is_room(void)
{
  ASSERT_WAITS("1073741824", "1207959552", false, "");
  ASSERT_WAITS("1073741824", "1074790400", false, "memory_bytes");
  ASSERT_WAITS("1073741824", "4294967296", false, "memory_bytes");
  ASSERT_WAITS("1073741824", "536870912", false, "");
  ASSERT_WAITS("1073741824,'memory_max_bytes':2147483648", "1207959552", false, "memory_max_bytes");
}

static void devices_come_and_go_where_their_bus_lets_them(void)
{
  ASSERT_WAITS("'file':'a.qcow2'", "'file':'z.qcow2'", false, "");
  ASSERT_WAITS("'file':'b.qcow2'", "'file':'z.qcow2'", false, "disks[d1].file");
  ASSERT_WAITS("'bus':'virtio_blk'", "'bus':'virtio_blk','cache':'writeback'", false, "disks[d0].cache");
  ASSERT_WAITS("'bus':'virtio_blk'", "'bus':'virtio_blk','limits':{'total_iops':100}", false, "");
  ASSERT_WAITS("'bus':'virtio_blk'", "'bus':'sata'", false, "disks[d0].bus");
  ASSERT_WAITS("{'key':'d0',", "{'key':'d2','pool':'pool-1','file':'c','bus':'virtio_scsi'},{'key':'d3','pool':'pool-1','file':'d','bus':'ide'},{'key':'d0',", false, "disks[d3]");
  ASSERT_WAITS("'cdroms':[{'key':'c0','bus':'sata'}]", "'cdroms':[{'key':'c0','bus':'sata','pool':'pool-2','file':'x.iso'}]", false, "");
  ASSERT_WAITS("'cdroms':[{'key':'c0','bus':'sata'}]", "'cdroms':[]", false, "cdroms[c0]");
}

static void cables_change_at_once(void)
{
  ASSERT_WAITS("'bridge':'br0'", "'bridge':'br1','vlan':7,'connected':false", false, "");
  ASSERT_WAITS("'model':'virtio'", "'model':'e1000'", false, "");
  ASSERT_WAITS("'model':'virtio'", "'model':'virtio','queues':4", false, "nics[n0].queues");
  ASSERT_WAITS("'nics':[", "'nics':[{'key':'n1','mac':'52:54:00:00:00:02','bridge':'br0'},", false, "");
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/plan/live/" #name, name)
  ADD(nothing_waits_of_what_a_guest_does_not_see);
  ADD(machine_and_firmware_wait);
  ADD(processors_grow_to_their_maximum_and_shrink_with_kvm);
  ADD(memory_grows_in_steps_where_there_is_room);
  ADD(devices_come_and_go_where_their_bus_lets_them);
  ADD(cables_change_at_once);
  return g_test_run();
}
