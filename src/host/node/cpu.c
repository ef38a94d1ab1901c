// SPDX-License-Identifier: Apache-2.0
/* Processors, and whether guests get their help.
 *
 * /proc/cpuinfo is a different text on every architecture; counts come from /sys, which is the same everywhere. */
#include "host/node/node-private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- counts ---- */

static void count(const char *root, WsHostCpu *cpu)
{
  g_autofree char *online = tree_read(root, "/sys/devices/system/cpu/online");
  g_autoptr(GArray) cpus = tree_parse_cpu_list(online);
  g_autoptr(GHashTable) sockets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GHashTable) cores = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < cpus->len; i++) {
    gint64 n = g_array_index(cpus, gint64, i);
    gint64 socket = tree_read_int(
        root, -1, "/sys/devices/system/cpu/cpu%" G_GINT64_FORMAT "/topology/physical_package_id", n);
    /* Threads of one core list the same siblings. */
    char *siblings =
        tree_read(root, "/sys/devices/system/cpu/cpu%" G_GINT64_FORMAT "/topology/thread_siblings_list", n);
    g_hash_table_add(sockets,
                     g_strdup_printf("%" G_GINT64_FORMAT, MAX(socket, 0))); /* -1: a machine of one */
    g_hash_table_add(cores, siblings ? siblings : g_strdup_printf("%" G_GINT64_FORMAT, n));
  }
  cpu->sockets = g_hash_table_size(sockets);
  cpu->cores = g_hash_table_size(cores);
  cpu->threads = cpus->len;
}

/* ---- names ---- */

/* Arm tells numbers only: implementer and part of the machine's identification register. */
static const struct {
  guint implementer, part;
  const char *vendor, *model;
} arm_parts[] = {
    {0x48, 0xd01, "HiSilicon", "Kunpeng 920"}, {0x48, 0xd02, "HiSilicon", "Kunpeng 920 (TaiShan v120)"},
    {0x48, 0xd40, "HiSilicon", "Kunpeng 916"}, {0x70, 0x660, "Phytium", "FT-1500A"},
    {0x70, 0x661, "Phytium", "FT-1500A"},      {0x70, 0x662, "Phytium", "FT-2000+"},
    {0x70, 0x663, "Phytium", "S2500"},         {0x41, 0xd0c, "Arm", "Neoverse N1"},
    {0x41, 0xd49, "Arm", "Neoverse N2"},       {0x41, 0xd40, "Arm", "Neoverse V1"},
    {0x41, 0xd08, "Arm", "Cortex-A72"},        {0x41, 0xd07, "Arm", "Cortex-A57"},
    {0xc0, 0xac3, "Ampere", "Ampere-1"},       {0x50, 0x000, "APM", "X-Gene"},
};

static const struct {
  guint implementer;
  const char *name;
} arm_vendors[] = {
    {0x41, "Arm"},       {0x42, "Broadcom"}, {0x43, "Cavium"}, {0x46, "Fujitsu"},
    {0x48, "HiSilicon"}, {0x4e, "NVIDIA"},   {0x50, "APM"},    {0x51, "Qualcomm"},
    {0x61, "Apple"},     {0x70, "Phytium"},  {0xc0, "Ampere"},
};

static guint64 hex_value(const char *info, const char *key)
{
  g_autofree char *text = tree_line_value(info, key);
  return text ? g_ascii_strtoull(text, NULL, 16) : 0;
}

static void name_arm(const char *info, WsHostCpu *cpu)
{
  guint64 implementer = hex_value(info, "CPU implementer"), part = hex_value(info, "CPU part");
  for (guint i = 0; i < G_N_ELEMENTS(arm_vendors); i++)
    if (arm_vendors[i].implementer == implementer)
      cpu->vendor = g_strdup(arm_vendors[i].name);
  for (guint i = 0; !cpu->model && i < G_N_ELEMENTS(arm_parts); i++)
    if (arm_parts[i].implementer == implementer && arm_parts[i].part == part)
      cpu->model = g_strdup(arm_parts[i].model);
}

/* The first of several keys that cpuinfo has. */
static char *first_value(const char *info, const char *const *keys)
{
  char *value = NULL;
  for (; !value && *keys; keys++)
    value = tree_line_value(info, *keys);
  return value;
}

static void name(const char *root, const char *info, WsHostCpu *cpu)
{
  static const char *const models[] = {"model name", "Model Name", "cpu model", "cpu", NULL};
  static const char *const vendors[] = {"vendor_id", "CPU Family", "system type", NULL};
  gint64 firmware_mhz = 0;
  g_autofree char *firmware_model = node_firmware_cpu_model(root, &firmware_mhz);
  if (strstr(info, "CPU implementer")) {
    cpu->model = g_steal_pointer(&firmware_model); /* says more: "Kunpeng 920-6426" */
    name_arm(info, cpu);
  } else {
    cpu->model = first_value(info, models);
    cpu->vendor = first_value(info, vendors);
    if (!cpu->model)
      cpu->model = g_steal_pointer(&firmware_model);
  }
  cpu->microcode = tree_line_value(info, "microcode");

  gint64 khz = tree_read_int(root, 0, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
  static const char *const frequencies[] = {"cpu MHz", "CPU MHz", "cpu frequency [MHz]", NULL};
  g_autofree char *mhz = first_value(info, frequencies);
  cpu->frequency_mhz = khz > 0            ? khz / 1000
                       : firmware_mhz > 0 ? firmware_mhz
                       : mhz              ? (gint64)g_ascii_strtod(mhz, NULL)
                                          : WS_INT_UNSET;
}

static void list_flags(const char *info, WsHostCpu *cpu)
{
  static const char *const keys[] = {"flags", "Features", "features", "isa", "ASEs implemented", NULL};
  g_autofree char *text = first_value(info, keys);
  g_auto(GStrv) flags = g_strsplit(text ? text : "", " ", -1);
  for (char **flag = flags; *flag; flag++)
    if (**flag && strlen(*flag) <= 64)
      ws_array_add(&cpu->flags, g_strdup(*flag));
}

static bool has_flag(const WsHostCpu *cpu, const char *flag)
{
  for (guint i = 0; i < cpu->flags.len; i++)
    if (strcmp(cpu->flags.items[i], flag) == 0)
      return true;
  return false;
}

/* ---- virtualisation ---- */

/* Asks the kernel for a virtual machine, as QEMU would; a recorded tree holds a plain file and is taken at its word. */
static bool kvm_works(const char *root, const char **why)
{
  g_autofree char *path = g_strconcat(root, "/dev/kvm", NULL);
  struct stat st;
  if (stat(path, &st) < 0) {
    *why =
        "there is no /dev/kvm: the kvm module is not loaded, or the firmware has virtualisation switched off";
    return false;
  }
  if (!S_ISCHR(st.st_mode))
    return true;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    *why = "/dev/kvm cannot be opened";
    return false;
  }
  int vm = ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION ? ioctl(fd, KVM_CREATE_VM, 0) : -1;
  if (vm >= 0)
    close(vm);
  else
    *why = "/dev/kvm is there, but the kernel makes no virtual machine";
  close(fd);
  return vm >= 0;
}

static WsHostVirtualisation *read_virtualisation(const char *root, const WsHostFacts *facts)
{
  WsHostVirtualisation *v = ws_host_virtualisation_new();
  const WsHostCpu *cpu = facts->cpu;
  const char *why = NULL;
  bool works = kvm_works(root, &why);
  static const char *const extensions[] = {"vmx", "svm", "lvz", "h"};
  for (guint i = 0; !v->extension && i < G_N_ELEMENTS(extensions); i++)
    if (has_flag(cpu, extensions[i]))
      v->extension = g_strdup(extensions[i]);
  /* Arm's cpuinfo does not tell whether the kernel started at EL2; that KVM works does. */
  if (!v->extension && works && facts->architecture == WS_ARCHITECTURE_AARCH64)
    v->extension = g_strdup("el2");
  v->kind = works ? WS_HOST_VIRTUALISATION_KIND_KVM : WS_HOST_VIRTUALISATION_KIND_TCG;
  bool x86 = facts->architecture == WS_ARCHITECTURE_X86_64;
  if (works)
    v->reason = g_strdup("the kernel's KVM works");
  else if (x86 && !v->extension && has_flag(cpu, "hypervisor"))
    v->reason = g_strdup("this machine is virtual itself and its hypervisor passes no virtualisation on "
                         "(nested virtualisation is off)");
  else if (x86 && !v->extension)
    v->reason = g_strdup("the processor shows neither VT-x nor AMD-V; look at the firmware's settings");
  else
    v->reason = g_strdup(why);
  return v;
}

void node_read_cpu(const char *root, WsHostFacts *facts)
{
  g_autofree char *info = tree_read_long(root, "/proc/cpuinfo");
  WsHostCpu *cpu = facts->cpu = ws_host_cpu_new();
  count(root, cpu);
  name(root, info ? info : "", cpu);
  list_flags(info ? info : "", cpu);
  facts->virtualisation = read_virtualisation(root, facts);
}
