// SPDX-License-Identifier: Apache-2.0
/* What the firmware tells: who made the machine, and its memory modules (SMBIOS tables, DMTF DSP0134; device tree on machines
 * without them). The tables come from outside: every offset is checked. */
#include "host/node/node-private.h"
#include <string.h>

enum { SMBIOS_PROCESSOR = 4, SMBIOS_MEMORY_DEVICE = 17, SMBIOS_END = 127 };

/* ---- SMBIOS ---- */

typedef struct {
  const guint8 *at; /* the structure's formatted part */
  guint8 type, length;
  const char *strings; /* follows it: NUL-ended one after the other, an empty one at the end */
  const char *end;     /* of the table */
} Structure;

/* Structure at *offset; moves *offset behind it. false: no more, or damaged. */
static bool next_structure(const guint8 *table, gsize n, gsize *offset, Structure *s)
{
  if (*offset + 4 > n || table[*offset + 1] < 4 || *offset + table[*offset + 1] > n)
    return false;
  *s = (Structure){.at = table + *offset,
                   .type = table[*offset],
                   .length = table[*offset + 1],
                   .end = (const char *)table + n};
  gsize at = *offset + s->length;
  s->strings = (const char *)table + at;
  while (at + 1 < n && (table[at] != 0 || table[at + 1] != 0))
    at++;
  *offset = at + 2;
  return s->type != SMBIOS_END;
}

static guint word(const Structure *s, guint offset)
{
  return offset + 2 <= s->length ? (guint)(s->at[offset] | s->at[offset + 1] << 8) : 0;
}

static guint64 dword(const Structure *s, guint offset)
{
  return offset + 4 <= s->length ? (guint64)word(s, offset) | (guint64)word(s, offset + 2) << 16 : 0;
}

/* The string whose number is at `offset`; NULL: none, or one of the makers' words for none. */
static char *text(const Structure *s, guint offset)
{
  guint number = offset < s->length ? s->at[offset] : 0;
  const char *at = s->strings;
  for (guint i = 1; number && i < number; i++) {
    gsize n = strnlen(at, (gsize)(s->end - at));
    if (at + n + 1 >= s->end || n == 0)
      return NULL;
    at += n + 1;
  }
  if (!number || at >= s->end)
    return NULL;
  char *value = g_strndup(at, strnlen(at, (gsize)MIN(s->end - at, 128)));
  g_strstrip(value);
  static const char *const nothing[] = {
      "", "Unknown", "Not Specified", "NO DIMM", "None", "To Be Filled By O.E.M.", "Default string"};
  for (guint i = 0; i < G_N_ELEMENTS(nothing); i++)
    if (g_ascii_strcasecmp(value, nothing[i]) == 0 || !g_utf8_validate(value, -1, NULL)) {
      g_free(value);
      return NULL;
    }
  return value;
}

static const char *memory_kind(guint type)
{
  static const char *const kinds[] = {
      [0x13] = "DDR2",   [0x18] = "DDR3",   [0x1a] = "DDR4",   [0x1b] = "LPDDR", [0x1c] = "LPDDR2",
      [0x1d] = "LPDDR3", [0x1e] = "LPDDR4", [0x1f] = "NVDIMM", [0x20] = "HBM",   [0x21] = "HBM2",
      [0x22] = "DDR5",   [0x23] = "LPDDR5", [0x12] = "DDR",
  };
  return type < G_N_ELEMENTS(kinds) ? kinds[type] : NULL;
}

static void add_module(const Structure *s, WsHostFacts *facts)
{
  guint size = word(s, 0x0c);
  if (size == 0 || size == 0xffff)
    return; /* an empty slot, or one of unknown content */
  WsHostMemoryModule *m = ws_host_memory_module_new();
  if (size == 0x7fff)
    m->size_bytes = (gint64)(dword(s, 0x1c) & 0x7fffffff) << 20;
  else
    m->size_bytes = (gint64)(size & 0x7fff) << (size & 0x8000 ? 10 : 20);
  m->slot = text(s, 0x10);
  m->kind = g_strdup(memory_kind(s->length > 0x12 ? s->at[0x12] : 0));
  guint speed = word(s, 0x20) ? word(s, 0x20) : word(s, 0x15); /* configured, else rated */
  m->speed_mts = speed && speed != 0xffff ? speed : WS_INT_UNSET;
  m->vendor = text(s, 0x17);
  m->serial = text(s, 0x18);
  m->part = text(s, 0x1a);
  ws_array_add(&facts->memory_modules, m);
}

static guint8 *read_table(const char *root, gsize *n)
{
  return (guint8 *)tree_read_bytes(root, n, "/sys/firmware/dmi/tables/DMI");
}

char *node_firmware_cpu_model(const char *root, gint64 *frequency_mhz)
{
  gsize n, offset = 0;
  g_autofree guint8 *table = read_table(root, &n);
  Structure s;
  while (table && next_structure(table, n, &offset, &s))
    if (s.type == SMBIOS_PROCESSOR && s.length > 0x18 && (s.at[0x18] & 0x40)) { /* socket populated */
      *frequency_mhz =
          word(&s, 0x16); /* current: the nominal one; "max speed" is what the board could take */
      return text(&s, 0x10);
    }
  return NULL;
}

/* ---- the machine ---- */

/* A field of the firmware, or NULL for the makers' words for nothing. */
static char *dmi(const char *root, const char *name)
{
  char *value = tree_read(root, "/sys/class/dmi/id/%s", name);
  static const char *const nothing[] = {
      "To Be Filled By O.E.M.", "To be filled by O.E.M.", "Not Specified",        "Default string", "None",
      "System Product Name",    "System manufacturer",    "System Serial Number", "0123456789"};
  for (guint i = 0; value && i < G_N_ELEMENTS(nothing); i++)
    if (strcmp(value, nothing[i]) == 0)
      g_clear_pointer(&value, g_free);
  return value;
}

static bool is_virtual(const WsHostFacts *facts, const WsHostSystem *system)
{
  static const char *const makers[] = {
      "QEMU",       "VMware", "Xen",           "innotek", "Microsoft Corporation",
      "Amazon EC2", "Google", "Alibaba Cloud", "Red Hat", "OpenStack",
      "Parallels",  "oVirt"};
  for (guint i = 0; facts->cpu && i < facts->cpu->flags.len; i++)
    if (strcmp(facts->cpu->flags.items[i], "hypervisor") == 0)
      return true;
  for (guint i = 0; system->vendor && i < G_N_ELEMENTS(makers); i++)
    if (g_str_has_prefix(system->vendor, makers[i]))
      return true;
  return false;
}

void node_read_firmware(const char *root, WsHostFacts *facts)
{
  WsHostSystem *system = facts->system = ws_host_system_new();
  system->vendor = dmi(root, "sys_vendor");
  system->model = dmi(root, "product_name");
  system->serial = dmi(root, "product_serial");
  system->uuid = dmi(root, "product_uuid");
  system->bios_version = dmi(root, "bios_version");
  if (!system->model)
    system->model = tree_read(root, "/sys/firmware/devicetree/base/model");
  system->firmware = tree_has(root, "/sys/firmware/efi") ? WS_HOST_SYSTEM_FIRMWARE_UEFI
                     : system->bios_version              ? WS_HOST_SYSTEM_FIRMWARE_BIOS
                                                         : WS_HOST_SYSTEM_FIRMWARE_UNKNOWN;
  system->virtual = is_virtual(facts, system);
  system->bmc = tree_has(root, "/sys/class/ipmi/ipmi0") || tree_has(root, "/dev/ipmi0");

  gsize n, offset = 0;
  g_autofree guint8 *table = read_table(root, &n);
  Structure s;
  while (table && facts->memory_modules.len < 1024 && next_structure(table, n, &offset, &s))
    if (s.type == SMBIOS_MEMORY_DEVICE)
      add_module(&s, facts);
}
