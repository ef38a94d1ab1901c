// SPDX-License-Identifier: Apache-2.0
/* Facts as a whole: name, system, versions; the parts are in files of their own. */
#include "host/node/node-private.h"
#include <string.h>
#include <sys/utsname.h>

/* As the kernel names them; our words for those that differ. */
static WsArchitecture architecture_of(const char *machine)
{
  static const struct {
    const char *kernel;
    WsArchitecture ours;
  } names[] = {
      {"x86_64", WS_ARCHITECTURE_X86_64},
      {"aarch64", WS_ARCHITECTURE_AARCH64},
      {"loongarch64", WS_ARCHITECTURE_LOONGARCH64},
      {"riscv64", WS_ARCHITECTURE_RISCV64},
      {"mips64", WS_ARCHITECTURE_MIPS64EL},
      {"ppc64le", WS_ARCHITECTURE_PPC64LE},
      {"s390x", WS_ARCHITECTURE_S390X},
      {"sw_64", WS_ARCHITECTURE_SW64},
      {"alpha", WS_ARCHITECTURE_ALPHA},
  };
  for (guint i = 0; machine && i < G_N_ELEMENTS(names); i++)
    if (strcmp(machine, names[i].kernel) == 0)
      return names[i].ours;
  return 0;
}

/* Value of KEY=value or KEY="value" in os-release. */
static char *os_release_value(const char *text, const char *key)
{
  gsize n = strlen(key);
  for (const char *line = text; line && *line; line = strchr(line, '\n')) {
    if (*line == '\n')
      line++;
    if (strncmp(line, key, n) != 0 || line[n] != '=')
      continue;
    g_autofree char *quoted = g_strndup(line + n + 1, strcspn(line + n + 1, "\n"));
    char *value = g_shell_unquote(quoted, NULL);
    if (value && *value)
      return value;
    g_free(value);
    return NULL;
  }
  return NULL;
}

static WsHostVersions *read_versions(const char *root)
{
  WsHostVersions *v = ws_host_versions_new();
  g_autofree char *os = tree_read(root, "/etc/os-release");
  if (!os)
    os = tree_read(root, "/usr/lib/os-release");
  v->os = os_release_value(os, "PRETTY_NAME");
  v->os_id = os_release_value(os, "ID");
  v->os_version = os_release_value(os, "VERSION_ID");
  v->kernel = tree_read(root, "/proc/sys/kernel/osrelease");
  v->agent = g_strdup(WS_VERSION);
  return v;
}

/* open-iscsi's: a line InitiatorName=iqn.... */
static char *read_iqn(const char *root)
{
  g_autofree char *text = tree_read(root, "/etc/iscsi/initiatorname.iscsi");
  g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix(*line, "InitiatorName=") && strlen(*line) > strlen("InitiatorName="))
      return g_strndup(g_strstrip(*line + strlen("InitiatorName=")), 223);
  return NULL;
}

WsHostFacts *node_read_facts(const char *root)
{
  WsHostFacts *f = ws_host_facts_new();
  f->hostname = tree_read(root, "/proc/sys/kernel/hostname");
  f->machine_id = tree_read(root, "/etc/machine-id");
  f->iqn = read_iqn(root);
  g_autofree char *machine = tree_read(root, "/proc/sys/kernel/arch"); /* Linux 6.1 */
  struct utsname names;
  f->architecture = architecture_of(machine || uname(&names) < 0 ? machine : names.machine);
  g_autofree char *stat = tree_read_long(root, "/proc/stat");
  const char *btime = stat ? strstr(stat, "\nbtime ") : NULL;
  f->boot_time = btime ? g_ascii_strtoll(btime + 7, NULL, 10) * G_USEC_PER_SEC : 0;
  f->versions = read_versions(root);
  node_read_cpu(root, f);
  node_read_memory(root, f);
  node_read_firmware(root, f);
  node_read_nics(root, f);
  node_read_disks(root, f);
  node_read_pci(root, f);
  node_read_usb(root, f);
  if (!*root) /* clock and room are this machine's, not those of a recorded one */
    node_read_readiness(root, f);
  return f;
}
