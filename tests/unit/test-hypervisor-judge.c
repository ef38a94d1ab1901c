// SPDX-License-Identifier: Apache-2.0
/* Definitions that come from another host: each shape of ours is let in for the VM that it is of, and nothing
 * that a broken host could add to it. */
#include "base/error.h"
#include "host/hypervisor/move-private.h"
#include "../fuzz/guard-sample.h"
#include <string.h>

static char *golden_dir;

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return g_strdup_printf("/pools/%" G_GUINT64_FORMAT "/%s", pool, file);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  return false;
}

static const VirtHost host = {
    .native = WS_VM_SPEC_ARCHITECTURE_X86_64,
    .seed_dir = "/var/lib/winsphere/seeds",
    .serial_log_dir = "/var/log/winsphere/serial",
    .pool_file = pool_file,
    .find_pool = find_pool,
};

typedef struct {
  WsVmSpec *spec;
  GArray *files; /* VirtJudgeFile */
  char *xml;
  VirtJudge judge;
} Shape;

static void file_clear(void *arg)
{
  VirtJudgeFile *file = arg;
  g_free((char *)file->key);
  g_free((char *)file->path);
}

static void add_path(Shape *shape, const char *key, char *path)
{
  VirtJudgeFile file = {g_strdup(key), path};
  g_array_append_val(shape->files, file);
}

static void add_file(Shape *shape, const char *key, WsId pool, const char *file, const char *path)
{
  if (file || path)
    add_path(shape, key, file ? pool_file(NULL, pool, file, NULL) : g_strdup(path));
}

/* false: it is one of those that cannot be. */
static bool load(Shape *shape, const char *name)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *path = g_strdup_printf("%s/%s.json", golden_dir, name), *json = NULL;
  g_assert_true(g_file_get_contents(path, &json, NULL, NULL));
  *shape = (Shape){.spec = ws_vm_spec_parse(json, strlen(json), WS_PARSE_CREATE, &error),
                   .files = g_array_new(TRUE, TRUE, sizeof(VirtJudgeFile))};
  g_assert_no_error(error);
  g_array_set_clear_func(shape->files, file_clear);
  WsVmSpec *spec = shape->spec;
  virt_spec_fill(spec, &host);
  shape->xml = virt_spec_check(spec, NULL) ? virt_domain_xml(spec, &host, NULL, NULL) : NULL;
  for (guint i = 0; i < spec->disks.len; i++) {
    const WsVmSpecDisk *disk = spec->disks.items[i];
    add_file(shape, disk->key, disk->pool, disk->file, disk->path);
  }
  for (guint i = 0; i < spec->cdroms.len; i++) {
    const WsVmSpecCdrom *cdrom = spec->cdroms.items[i];
    add_file(shape, cdrom->key, cdrom->pool, cdrom->file, cdrom->path);
  }
  if (spec->direct_boot) {
    add_file(shape, VIRT_JUDGE_KERNEL, spec->direct_boot->pool, spec->direct_boot->kernel, NULL);
    add_file(shape, VIRT_JUDGE_INITRD, spec->direct_boot->pool, spec->direct_boot->initrd, NULL);
  }
  add_path(shape, VIRT_JUDGE_SEED, virt_seed_path(&host, spec->uuid));
  add_path(shape, VIRT_JUDGE_LOG, g_strdup_printf("%s/%s.log", host.serial_log_dir, spec->uuid));
  shape->judge = (VirtJudge){spec->vm, spec->uuid, spec, (const VirtJudgeFile *)(void *)shape->files->data};
  return shape->xml != NULL;
}

static void unload(Shape *shape)
{
  ws_vm_spec_free(shape->spec);
  g_array_unref(shape->files);
  g_free(shape->xml);
}

static void expect_let_in(const Shape *shape, const char *what, const char *xml)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *said = NULL;
  if (!virt_judge_definition(xml, &shape->judge, &said, &error))
    g_error("%s: %s\n%s", what, error->message, xml);
}

/* As an honest source sends it: with its own files, formats, taps and sockets first, which give way to those
 * of the target. */
static void expect_moved(const Shape *shape, const char *name)
{
  g_autoptr(GString) there = g_string_new(shape->xml);
  g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func((GDestroyNotify)ws_vm_move_path_free);
  for (guint i = 0; i < shape->files->len; i++) {
    const VirtJudgeFile *file = &g_array_index(shape->files, VirtJudgeFile, i);
    WsVmMovePath *path = ws_vm_move_path_new();
    path->key = g_strdup(file->key);
    path->path = g_strdup(file->path);
    g_ptr_array_add(paths, path);
  }
  g_string_replace(there, "<source file=\"", "<source index=\"3\" file=\"/elsewhere", 0);
  g_string_replace(there, "name=\"qemu\" type=\"qcow2\"", "name=\"qemu\" type=\"raw\"", 0);
  g_string_replace(there, "<log file=\"", "<log file=\"/elsewhere", 0);
  g_string_replace(there, "<model type=\"virtio\"/>", "<target dev=\"vnet7\"/><model type=\"virtio\"/>", 0);
  g_string_replace(there, "<listen type=\"socket\"/>", "<listen type=\"socket\" socket=\"/run/x/vnc.sock\"/>",
                   0);
  g_autofree char *seed = virt_seed_path(&host, shape->spec->uuid),
                  *log = g_strdup_printf("%s/%s.log", host.serial_log_dir, shape->spec->uuid);
  VirtMoveThere target = {shape->spec, (WsVmMovePath *const *)paths->pdata, paths->len, seed, log};
  for (int off = 0; off < 2; off++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = (off ? virt_move_xml_off : virt_move_xml)(there->str, &target, &error);
    g_assert_no_error(error);
    expect_let_in(shape, name, xml);
  }
}

static void every_shape_is_let_in(void)
{
  guint n = 0;
  GDir *dir = g_dir_open(golden_dir, 0, NULL);
  g_assert_nonnull(dir);
  for (const char *file; (file = g_dir_read_name(dir));) {
    g_autofree char *name = g_strdup(file);
    Shape shape;
    if (!g_str_has_suffix(name, ".json"))
      continue;
    name[strlen(name) - strlen(".json")] = 0;
    if (load(&shape, name)) {
      expect_let_in(&shape, name, shape.xml);
      expect_moved(&shape, name);
      n++;
    }
    unload(&shape);
  }
  g_dir_close(dir);
  g_assert_cmpuint(n, >, 50);
}

static void expect_refused(const Shape *shape, const char *old, const char *with, const char *why)
{
  g_autoptr(GError) error = NULL;
  g_autofree char *said = NULL;
  g_autoptr(GString) xml = g_string_new(shape->xml);
  if (g_string_replace(xml, old, with, 1) != 1)
    g_error("there is no %s in %s", old, shape->xml);
  if (virt_judge_definition(xml->str, &shape->judge, &said, &error))
    g_error("let in: %s", with);
  g_assert_error(error, WS_ERROR, WS_ERROR_PEER_REFUSED);
  if (!strstr(error->message, why))
    g_error("%s: %s", with, error->message);
  g_assert_null(said);
}

/* What is put in place of a piece of a good definition, and what is said of it. */
static const struct {
  const char *old, *with, *why;
} hostile[] = {
    /* whose it is */
    {"<uuid>", "<uuid>0", "another virtual machine"},
    {"<uuid>", "<uuid>6f1d9a1c-7d0e-4a55-9c51-0242ac11ffff</uuid><uuid>", "without a name or a UUID"},
    {"<name>vm-", "<name>vm-9", "another virtual machine"},
    {"<name>", "<name>vm-4</name><name>", "without a name or a UUID"},
    {"<name>vm-", "<name>../vm-", "another virtual machine"},
    {"<ws:vm ", "<ws:vm xmlns:ws='urn:winsphere:vm:1' id='9'/><ws:vm ", "another virtual machine: 9"},
    {"<ws:vm ", "<ws:vm xmlns:ws='urn:winsphere:vm:1'/><ws:vm ", "another virtual machine: -"},
    {"<name>vm-", "<name><!-- -->vm-", "without a name or a UUID"},
    /* whose files */
    {"</devices>",
     "<disk type='file' device='disk'><source "
     "file='/var/lib/winsphere/pools/local/vol-1.qcow2'/></disk></devices>",
     "names /var"},
    {"</devices>", "<disk type='file' device='disk'><source file='vol-1.qcow2'/></disk></devices>",
     "names vol-1"},
    {"</devices>", "<disk type='block' device='disk'><source dev='/dev/sda'/></disk></devices>",
     "disk of type block"},
    {"</devices>", "<disk type='file' device='disk'><source dev='sda'/></disk></devices>", "dev in source"},
    {"</devices>", "<disk type='network' device='disk'><source protocol='nbd' name='x'/></disk></devices>",
     "type network"},
    {"</devices>", "<disk device='disk'/></devices>", "disk of type -"},
    {"</devices>", "<disk type='file' device='lun'/></devices>", "disk of type lun"},
    {"</devices>",
     "<disk type='file' device='disk'><backingStore type='file'><source "
     "file='/x'/></backingStore></disk></devices>",
     "source in backingStore"},
    {"</devices>", "<disk type='file' device='disk'><mirror type='file' file='/x'/></disk></devices>",
     "mirror in disk"},
    {"</devices>", "<disk type='file'><source file='/x'><slices/></source></disk></devices>", "names /x"},
    /* whose programs */
    {"<devices>", "<devices><emulator>/tmp/evil</emulator>", "names /tmp/evil"},
    {"<devices>", "<devices><emulator>/usr/bin/python3</emulator>", "names /usr/bin/python3"},
    {"<devices>", "<devices><emulator>/usr/bin/../../tmp/qemu-system-x86_64</emulator>", "names /usr/bin/.."},
    {"<devices>", "<devices><emulator>/bin/evil<x/></emulator>", "text in emulator"},
    {"<devices>", "<devices><emulator>evil</emulator>", "names evil"},
    {"<devices>",
     "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg "
     "value='-S'/></qemu:commandline><devices>",
     "commandline in domain"},
    {"<devices>", "<devices><qemu:x xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>",
     "x in devices"},
    {"</devices>", "<interface type='ethernet'><script path='/tmp/x'/></interface></devices>", "interface"},
    /* whose devices */
    {"</devices>", "<hostdev mode='subsystem' type='pci'/></devices>", "hostdev in devices"},
    {"</devices>", "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem></devices>",
     "filesystem in devices"},
    {"</devices>", "<shmem name='x'/></devices>", "shmem in devices"},
    {"</devices>", "<lease/></devices>", "lease in devices"},
    {"</devices>", "<smartcard mode='host'/></devices>", "smartcard in devices"},
    {"</devices>", "<serial type='file'><source path='/etc/passwd'/></serial></devices>",
     "serial of type file"},
    {"</devices>", "<serial type='pty'><source path='/etc/passwd'/></serial></devices>", "names /etc/passwd"},
    {"</devices>", "<serial type='pty'><log file='/etc/passwd'/></serial></devices>", "names /etc/passwd"},
    {"</devices>", "<serial type='tcp'><source mode='bind' host='0.0.0.0' service='1'/></serial></devices>",
     "serial of type tcp"},
    {"</devices>", "<console type='dev'><source path='/dev/pts/3'/></console></devices>",
     "console of type dev"},
    {"</devices>",
     "<channel type='unix'><source mode='connect' path='/run/libvirt/libvirt-sock'/></channel></devices>",
     "names /run"},
    {"</devices>",
     "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm></devices>",
     "backend of type passthrough"},
    {"</devices>", "<rng model='virtio'><backend model='egd' type='tcp'/></rng></devices>",
     "backend of type egd"},
    {"</devices>", "<rng model='virtio'><backend model='random'>/etc/shadow</backend></rng></devices>",
     "names /etc/shadow"},
    {"</devices>", "<input type='passthrough'><source evdev='/dev/input/event1'/></input></devices>",
     "input of type passthrough"},
    {"</devices>", "<input type='evdev'/></devices>", "input of type evdev"},
    {"</devices>", "<audio id='1' type='file' path='/x'/></devices>", "names /x"},
    {"</devices>", "<audio id='1' type='file'/></devices>", "audio of type file"},
    {"</devices>", "<graphics type='vnc' socket='/run/x'/></devices>", "names /run/x"},
    {"</devices>", "<graphics type='desktop'/></devices>", "graphics of type desktop"},
    {"</devices>", "<graphics type='vnc' listen='0.0.0.0'/></devices>", "graphics of type 0.0.0.0"},
    {"</devices>", "<graphics type='vnc'><listen type='address' address='::'/></graphics></devices>",
     "graphics of type ::"},
    {"</devices>", "<graphics type='spice'><listen type='address' address='127.evil'/></graphics></devices>",
     "graphics of type 127.evil"},
    {"</devices>", "<graphics type='vnc'><listen type='network' network='x'/></graphics></devices>",
     "listen of type network"},
    {"</devices>", "<watchdog model='ib700' action='dump'/></devices>", "watchdog of type dump"},
    /* what is the host's */
    {"<on_crash>preserve", "<on_crash>coredump-restart", "on_crash of type coredump-restart"},
    {"<devices>", "<cputune><vcpusched vcpus='0' scheduler='fifo' priority='99'/></cputune><devices>",
     "vcpusched in cputune"},
    {"<devices>", "<cputune><cachetune vcpus='0'/></cputune><devices>", "cachetune in cputune"},
    {"<devices>", "<memoryBacking><source type='file'/></memoryBacking><devices>", "source of type file"},
    {"</devices>", "<memory model='nvdimm'><source><path>/x</path></source></memory></devices>",
     "memory of type nvdimm"},
    {"</devices>", "<controller type='usb'><x file='y'/></controller></devices>", "names y"},
    /* what it starts from, and as whom it runs */
    {"<os>", "<os><loader>/tmp/x</loader>", "names /tmp/x"},
    {"<os>", "<os><nvram>/var/lib/libvirt/qemu/nvram/vm-9_VARS.fd</nvram>", "names /var/lib/libvirt"},
    {"<os>", "<os><nvram template='/etc/shadow'/>", "names /etc/shadow"},
    {"<os>", "<os><nvram template='/usr/share/../../etc/shadow'/>", "names /usr/share/.."},
    {"<os>", "<os><kernel>/etc/shadow</kernel>", "names /etc/shadow"},
    {"<os>", "<os><nvram type='network'><source protocol='nbd' name='x'/></nvram>", "nvram of type network"},
    {"<os>", "<os><nvram type='file' format='vmdk'/>", "nvram of type vmdk"},
    {"<os>", "<os><nvram type='file'><source protocol='nbd'/></nvram>", "protocol in source"},
    {"<os>", "<os><nvram type='file'><source><host name='x'/></source></nvram>", "host in source"},
    {"<os>", "<os><nvram>/var/lib/libvirt/qemu/nvram/vm-68_VARS.fd _VARS.qcow2</nvram>",
     "names /var/lib/libvirt"},
    {"<os>", "<os><loader readonly='no'>/usr/share/OVMF/OVMF_CODE.fd</loader>", "loader of type writable"},
    {"<os>", "<os><loader readonly='no' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>",
     "loader of type writable"},
    {"<os>", "<os><loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>", "loader of type writable"},
    {"<os>", "<os><loader type='x'>/usr/share/OVMF/OVMF_CODE.fd</loader>", "loader of type"},
    {"<os>", "<os><smbios mode='host'/>", "smbios of type host"},
    {"<os>", "<os><acpi><table type='slic'>x</table></acpi>", "acpi in os"},
    {"<devices>", "<seclabel type='none' model='dac'/><devices>", "seclabel of type none"},
    {"<devices>", "<seclabel type='static' model='dac'><label>0:0</label></seclabel><devices>",
     "seclabel of type static"},
    {"<devices>", "<seclabel type='dynamic' model='dac'><baselabel>0:0</baselabel></seclabel><devices>",
     "baselabel in seclabel"},
    {"<devices>", "<sysinfo type='fwcfg'><entry name='x' file='/etc/shadow'/></sysinfo><devices>",
     "sysinfo in domain"},
    {"<devices>", "<resource><partition>/system.slice</partition></resource><devices>",
     "names /system.slice"},
    {"<domain ", "<!DOCTYPE domain [<!ENTITY x 'y'>]><domain ", "cannot be read"},
};

static void what_a_broken_host_adds_is_refused(void)
{
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  for (guint i = 0; i < G_N_ELEMENTS(hostile); i++)
    expect_refused(&shape, hostile[i].old, hostile[i].with, hostile[i].why);
  unload(&shape);
}

/* What libvirt writes into the XML of a running VM beside what we asked for. */
static void what_libvirt_adds_is_let_in(void)
{
  static const struct {
    const char *old, *with;
  } rows[] = {
      {"<os>",
       "<os firmware='efi'><firmware><feature enabled='no' name='enrolled-keys'/></firmware>"
       "<loader readonly='yes' secure='no' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
       "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/NAME_VARS.fd</nvram>"},
      {"<os>", "<os><nvram type='file' format='qcow2'><source "
               "file='/var/lib/libvirt/qemu/nvram/NAME_VARS.qcow2'/></nvram>"},
      {"<devices>", "<resource><partition>/machine</partition></resource><devices><emulator>/usr/bin/"
                    "qemu-system-x86_64</emulator>"},
      {"<devices>", "<devices><emulator>/usr/libexec/qemu-kvm</emulator>"},
      {"<devices>",
       "<seclabel type='dynamic' model='dac' "
       "relabel='yes'><label>+64055:+64055</label><imagelabel>+64055:+64055</imagelabel></seclabel>"
       "<seclabel type='none' model='none'/><devices>"},
      {"</devices>", "<console type='pty' tty='/dev/pts/4'><source path='/dev/pts/4'/></console><audio "
                     "id='1' type='none'/></devices>"},
      {"</devices>", "<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk></devices>"},
      {"</devices>", "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm><input "
                     "type='keyboard' bus='ps2'/></devices>"},
      {"<title>", "<title>a/b "},
      {"<os>", "<os><loader type='rom'>/usr/share/seabios/bios.bin</loader>"},
      {"<os>", "<os><loader>/usr/share/seabios/bios.bin</loader><smbios mode='emulate'/>"},
      {"<os>", "<os><loader secure='yes'/><nvram/>"},
      {"</devices>", "<graphics type='vnc' port='5900' listen='127.0.0.1'><listen type='address' "
                     "address='127.0.0.1'/></graphics></devices>"},
      {"</devices>", "<graphics type='spice' autoport='yes'><listen type='address'/></graphics></devices>"},
      {"</devices>", "<graphics type='vnc'><listen type='none'/></graphics></devices>"},
      {"</devices>", "<watchdog model='itco' action='reset'/></devices>"},
      {"</devices>",
       "<disk type='file' device='cdrom'><source index='2'/><target dev='sdb'/></disk></devices>"},
      {"<metadata>", "<metadata><o:vm xmlns:o='http://ovirt.org/vm/1.0' id='9'/>"},
      {"<devices>", "<cputune><shares>50</shares><emulatorpin cpuset='0'/></cputune><devices>"},
      {"<devices>", "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking><devices>"},
  };
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  char name[WS_ID_TEXT_MAX];
  ws_id_format("vm", shape.spec->vm, name);
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    g_autofree char *said = NULL;
    g_autoptr(GString) xml = g_string_new(shape.xml);
    g_assert_cmpuint(g_string_replace(xml, rows[i].old, rows[i].with, 1), ==, 1);
    g_string_replace(xml, "NAME", name, 0);
    if (!virt_judge_definition(xml->str, &shape.judge, &said, &error))
      g_error("%s: %s", rows[i].with, error->message);
    g_assert_cmpstr(said, ==, name);
  }
  unload(&shape);
}

static void nics_stay_on_their_networks(void)
{
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  const WsVmSpecNic *nic = shape.spec->nics.items[0];
  g_autofree char *bridge = g_strdup_printf("bridge=\"%s\"", nic->bridge),
                  *alias = g_strdup_printf("ua-%s", nic->key);
  expect_refused(&shape, bridge, "bridge=\"uplink\"", "another network");
  expect_refused(&shape, bridge, "bridge=\"\"", "another network");
  expect_refused(&shape, alias, "ua-nic-77", "not the VM's");
  expect_refused(&shape, "openvswitch", "802.1Qbg", "another network");
  expect_refused(&shape, "</interface>", "<source bridge=\"uplink\"/></interface>", "not the VM's");
  expect_refused(&shape, "</interface>",
                 "<vlan><tag id=\"4\"/></vlan><vlan><tag id=\"4\"/></vlan></interface>", "not the VM's");
  expect_refused(&shape, "</interface>", "<target dev=\"eth0\"/></interface>", "dev in target");
  expect_refused(&shape, "</interface>", "<target managed=\"no\"/></interface>", "managed in target");
  expect_refused(&shape, "</interface>", "<virtualport type=\"openvswitch\"/></interface>", "not the VM's");
  expect_refused(&shape, "</interface>", "<script path=\"x\"/></interface>", "script in interface");
  expect_refused(&shape, "</interface>", "<backend tap=\"/dev/x\"/></interface>", "backend in interface");
  unload(&shape);
}

/* Of a switch port that the manager has named no other is taken; case is nothing. */
static void nics_are_on_their_ports(void)
{
  static const char port[] = "0d5f2a38-3c2b-4a4f-8c1a-0242ac110002",
                    other[] = "0d5f2a38-3c2b-4a4f-8c1a-0242ac110003";
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  WsVmSpecNic *nic = shape.spec->nics.items[0];
  g_free(nic->port_id);
  nic->port_id = g_strdup(port);
  g_free(shape.xml);
  shape.xml = virt_domain_xml(shape.spec, &host, NULL, NULL);
  expect_let_in(&shape, "its own", shape.xml);
  expect_refused(&shape, port, other, "another network");
  g_autoptr(GString) upper = g_string_new(shape.xml);
  g_autofree char *big = g_ascii_strup(port, -1);
  g_assert_cmpuint(g_string_replace(upper, port, big, 1), ==, 1);
  expect_let_in(&shape, "in capitals", upper->str);
  g_clear_pointer(&nic->port_id, g_free);
  expect_let_in(&shape, "one that libvirt made", shape.xml);
  unload(&shape);
}

/* Each file is for one use, as the manager said it. */
static void files_are_what_they_are_for(void)
{
  Shape shape;
  g_assert_true(load(&shape, "cloud-init-seed-with-cd"));
  g_autofree char *seed = virt_seed_path(&host, shape.spec->uuid),
                  *log = g_strdup_printf("%s/%s.log", host.serial_log_dir, shape.spec->uuid),
                  *log_as_cd = g_strdup_printf("<disk type='file' device='cdrom'><source file='%s'/><alias "
                                               "name='ua-_log'/></disk></devices>",
                                               log);
  static const char disk[] = "/pools/3/v7.qcow2", qcow2[] = "name=\"qemu\" type=\"qcow2\"";
  expect_refused(&shape, disk, seed, "names /var/lib/winsphere/seeds");
  expect_refused(&shape, disk, log, "names /var/log");
  expect_refused(&shape, seed, disk, "names /pools/3/v7.qcow2");
  expect_refused(&shape, log, disk, "names /pools/3/v7.qcow2");
  expect_refused(&shape, "</devices>", log_as_cd, "names /var/log");
  expect_refused(&shape, "ua-disk-0", "ua-disk-9", "names /pools/3/v7.qcow2");
  expect_refused(&shape, "ua-disk-0", "disk-0", "names /pools/3/v7.qcow2");
  expect_refused(&shape, "ua-_seed", "ua-cd-0", "names /var/lib/winsphere/seeds");
  expect_refused(&shape, "device=\"disk\"", "device=\"cdrom\"", "names /pools/3/v7.qcow2");
  expect_refused(&shape, qcow2, "name=\"qemu\" type=\"raw\"", "driver of type raw");
  expect_refused(&shape, qcow2, "name=\"qemu\" type=\"vmdk\"", "driver of type vmdk");
  expect_refused(&shape, qcow2, "name=\"qemu\"", "driver of type -");
  expect_refused(&shape, qcow2, "name=\"tap\" type=\"qcow2\"", "driver of type qcow2");
  expect_refused(&shape, "<source file", "<source index=\"1\"/><source file", "two of a kind in disk");
  expect_refused(&shape, "<driver", "<driver type=\"raw\"/><driver", "two of a kind in disk");
  expect_refused(&shape, "<alias name=\"ua-disk-0\"", "<alias name=\"x\"/><alias name=\"ua-disk-0\"",
                 "two of a kind in disk");
  unload(&shape);
  g_assert_true(load(&shape, "disk-shared-raw"));
  expect_refused(&shape, "name=\"qemu\" type=\"raw\"", qcow2, "driver of type qcow2");
  unload(&shape);
  g_assert_true(load(&shape, "cdroms"));
  expect_refused(&shape, "name=\"qemu\" type=\"raw\"", qcow2, "driver of type qcow2");
  expect_refused(&shape, "device=\"cdrom\"", "device=\"disk\"", "names /pools/3/a.iso");
  expect_refused(&shape, "device=\"cdrom\"", "", "names /pools/3/a.iso");
  unload(&shape);
  g_assert_true(load(&shape, "direct-kernel"));
  expect_refused(&shape, "<kernel>/pools/3/vmlinuz", "<kernel>/pools/3/initrd.img",
                 "names /pools/3/initrd.img");
  expect_refused(
      &shape, "</devices>",
      "<disk type='file' device='cdrom'><source file='/pools/3/vmlinuz'/><alias name='ua-_kernel'/></disk>"
      "</devices>",
      "names /pools/3/vmlinuz");
  expect_refused(&shape, "</devices>", "<serial type='pty'><log file='/pools/3/vmlinuz'/></serial></devices>",
                 "names /pools/3/vmlinuz");
  unload(&shape);
}

static void adopted_vms_keep_their_names(void)
{
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  char own[WS_ID_TEXT_MAX];
  g_autofree char *mine = g_strdup_printf("<name>%s<", ws_id_format("vm", shape.spec->vm, own));
  static const char *const names[] = {"vm-web01", "vm-", "vm-12a", "VM-12", "web", "vm-1 2"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GString) xml = g_string_new(shape.xml);
    g_autofree char *theirs = g_strdup_printf("<name>%s<", names[i]);
    g_assert_cmpuint(g_string_replace(xml, mine, theirs, 1), ==, 1);
    expect_let_in(&shape, names[i], xml->str);
  }
  expect_refused(&shape, mine, "<name>vm-1<", "another virtual machine: vm-1");
  expect_refused(&shape, mine, "<name>vm-068<", "another virtual machine: vm-068");
  unload(&shape);
}

static void cookies_are_of_the_same_vm(void)
{
  g_autoptr(GError) error = NULL;
  Shape shape;
  g_assert_true(load(&shape, "nic-vlan"));
  char name[WS_ID_TEXT_MAX];
  ws_id_format("vm", shape.spec->vm, name);
  g_autofree char *plain = g_strdup_printf("<qemu-migration><name>%s</name><uuid>%s</uuid></qemu-migration>",
                                           name, shape.spec->uuid);
  g_autofree char *whole = g_strdup_printf(
      "<qemu-migration><name>%s</name><uuid>%s</uuid>%s</qemu-migration>", name, shape.spec->uuid, shape.xml);
  g_assert_true(virt_judge_cookie(plain, name, &shape.judge, &error));
  g_assert_true(virt_judge_cookie(whole, name, &shape.judge, &error));
  g_assert_no_error(error);
  const struct {
    const char *old, *with;
  } rows[] = {
      {"<name>", "<name>x"},
      {"<uuid>", "<uuid>0"},
      {"</domain>", "<launchSecurity/></domain>"},
      {"<domain", "<domain><name>x</name></domain><domain"},
      {"<qemu-migration>", "<other>"},
      {"<devices>", "<devices><emulator>/tmp/x</emulator>"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GString) bad = g_string_new(whole);
    g_assert_cmpuint(g_string_replace(bad, rows[i].old, rows[i].with, 1), ==, 1);
    g_assert_false(virt_judge_cookie(bad->str, name, &shape.judge, &error));
    g_assert_error(error, WS_ERROR, WS_ERROR_PEER_REFUSED);
    g_clear_error(&error);
  }
  unload(&shape);
}

/* What libvirt really sends, from the first byte to the last, or as far as it goes on. */
static void recorded_moves_go_through(void)
{
  static const struct {
    const char *name;
    gint64 passes;
  } rows[] = {
      {"moved", -1},        {"moved-other-format", -1}, {"cut-off", 11068 - 500},
      {"ends-another", 84}, {"looks-up-by-uuid", 208},
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(Guard) guard = guard_new(strstr(rows[i].name, "format") ? &sample_terms_qcow2 : &sample_terms);
    g_autoptr(GByteArray) pass = g_byte_array_new();
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "fuzz", "corpus", "guard", rows[i].name,
                                                  NULL),
                    *bytes = NULL;
    gsize n;
    g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
    bool all = guard_take(guard, bytes, n, pass, &error);
    if (rows[i].passes < 0 && !all)
      g_error("%s: %s", rows[i].name, error->message);
    g_assert_cmpint(pass->len, ==, rows[i].passes < 0 ? (gint64)n : rows[i].passes);
  }
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  golden_dir = g_test_build_filename(G_TEST_DIST, "..", "golden", "domain", NULL);
#define TEST(name) g_test_add_func("/judge/" #name, name)
  TEST(every_shape_is_let_in);
  TEST(what_a_broken_host_adds_is_refused);
  TEST(what_libvirt_adds_is_let_in);
  TEST(nics_stay_on_their_networks);
  TEST(nics_are_on_their_ports);
  TEST(files_are_what_they_are_for);
  TEST(adopted_vms_keep_their_names);
  TEST(cookies_are_of_the_same_vm);
  TEST(recorded_moves_go_through);
  int status = g_test_run();
  g_free(golden_dir);
  return status;
}
