// SPDX-License-Identifier: Apache-2.0
/* See judge.h. What is not listed here is refused: a device or element that a later libvirt or a later spec
 * brings must be entered first. */
#include "host/hypervisor/judge.h"
#include "base/error.h"
#include <stdarg.h>
#include <string.h>

#define NVRAM_DIR "/var/lib/libvirt/qemu/nvram/"

typedef struct {
  const VirtJudge *judge;
  const char *name; /* of the domain */
  GError **error;
} Trial;

G_GNUC_PRINTF(2, 3) static bool refuse(GError **error, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  g_autofree char *reason = g_strdup_vprintf(format, args);
  va_end(args);
  for (char *at = reason; *at; at++)
    *at = g_ascii_isprint(*at) ? *at : '?';
  if (strlen(reason) > 200)
    reason[200] = 0;
  return ws_fail(error, WS_ERROR_PEER_REFUSED, "reason", reason, NULL);
}

/* ---- words ---- */

static bool has_word(const char *list, const char *word)
{
  gsize n = strlen(word);
  if (strchr(word, ' '))
    return false;
  for (const char *at = list; n && (at = strstr(at, word)); at += n)
    if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
      return true;
  return false;
}

/* What may stand in an element; those that are not named here may hold anything that names no file. */
static const struct {
  const char *element, *children;
} inside[] = {
    {"domain", "name uuid title description metadata maxMemory memory currentMemory memoryBacking numatune "
               "vcpu vcpus iothreads iothreadids "
               "cputune blkiotune memtune resource os features cpu clock on_poweroff on_reboot on_crash "
               "on_lockfailure pm devices seclabel genid"},
    {"cputune", "shares period quota global_period global_quota emulator_period emulator_quota "
                "iothread_period iothread_quota vcpupin emulatorpin iothreadpin"},
    {"os", "type firmware loader nvram kernel initrd cmdline boot bootmenu bios smbios"},
    {"seclabel", "label imagelabel"},
    {"devices", "emulator disk controller interface serial console channel input tpm graphics sound audio "
                "video hub redirdev watchdog "
                "memballoon rng panic memory"},
    {"disk", "driver source target alias address boot iotune readonly shareable serial wwn vendor product "
             "blockio geometry backingStore"},
    {"backingStore", ""},
    {"interface", "mac source vlan bandwidth virtualport target model driver link mtu boot alias address"},
    {"console", "log target alias address source"},
    {"channel", "target alias address source"},
    {"input", "driver alias address"},
    {"tpm", "backend alias address"},
    {"redirdev", "alias address boot"},
    {"rng", "rate backend driver alias address"},
};

/* The <source> of a disk, or of the firmware's settings. */
static bool is_file_source(const xmlNode *node)
{
  return virt_xml_is(node, "source") &&
         (virt_xml_is(node->parent, "disk") || virt_xml_is(node->parent, "nvram"));
}

/* The same element elsewhere has another sense: <serial> of a disk is a text. */
static const char *children_of(const xmlNode *node)
{
  if (virt_xml_is(node, "serial") && virt_xml_is(node->parent, "devices"))
    return "log target alias address source";
  if (virt_xml_is(node, "memory") && virt_xml_is(node->parent, "devices"))
    return "target alias address";
  if (is_file_source(node))
    return "";
  for (guint i = 0; i < G_N_ELEMENTS(inside); i++)
    if (virt_xml_is(node, inside[i].element))
      return inside[i].children;
  return NULL;
}

/* Which kinds of an element there may be. */
static const struct {
  const char *parent, *element, *attr, *words;
  bool must; /* it says so itself */
} kinds[] = {
    {"devices", "disk", "type", "file", true},
    {"devices", "disk", "device", "disk cdrom", false},
    {"devices", "interface", "type", "bridge", true},
    {"devices", "serial", "type", "pty", true},
    {"devices", "console", "type", "pty", true},
    {"devices", "channel", "type", "unix spicevmc", true},
    {"devices", "input", "type", "mouse tablet keyboard", true},
    {"devices", "graphics", "type", "vnc spice", true},
    {"devices", "audio", "type", "none spice", true},
    {"devices", "redirdev", "type", "spicevmc", true},
    {"devices", "memory", "model", "dimm", true},
    {"devices", "watchdog", "action", "reset shutdown poweroff pause none inject-nmi", false}, /* no dumps */
    {"graphics", "listen", "type", "socket none address", false},
    {"memoryBacking", "source", "type", "memfd anonymous", false},
    {"os", "loader", "type", "rom pflash", false},
    {"os", "nvram", "type", "file", false},
    {"os", "nvram", "format", "raw qcow2", false},
    {"os", "smbios", "mode", "emulate sysinfo", false}, /* not what this host's own say */
    {"tpm", "backend", "type", "emulator", true},
    {"rng", "backend", "model", "random builtin", true},
    {"domain", "seclabel", "type", "dynamic none", true},
};

static bool check_kind(const Trial *trial, const xmlNode *node)
{
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    if (!virt_xml_is(node, kinds[i].element) || !virt_xml_is(node->parent, kinds[i].parent))
      continue;
    const char *value = virt_xml_get(node, kinds[i].attr);
    bool said = xmlHasProp((xmlNode *)node, BAD_CAST kinds[i].attr);
    if (said ? !value || !has_word(kinds[i].words, value) : kinds[i].must)
      return refuse(trial->error, "a definition with %s of type %s", kinds[i].element, value ? value : "-");
  }
  /* No confinement is what a host without any says of all; of one model among others it would be a way out.
   */
  if (virt_xml_is(node, "seclabel") && g_strcmp0(virt_xml_get(node, "type"), "none") == 0 &&
      g_strcmp0(virt_xml_get(node, "model"), "none") != 0)
    return refuse(trial->error, "a definition with %s of type %s", "seclabel", "none");
  return true;
}

/* ---- files ---- */

static bool is_emulator(const char *path)
{
  static const char *const folders[] = {"/usr/bin/", "/usr/libexec/", "/usr/local/bin/"};
  for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
    const char *name = g_str_has_prefix(path, folders[i]) ? path + strlen(folders[i]) : NULL;
    if (name && !strchr(name, '/'))
      return g_str_has_prefix(name, "qemu-system-") || strcmp(name, "qemu-kvm") == 0 ||
             strcmp(name, "kvm") == 0;
  }
  return false;
}

static bool is_installed(const char *path)
{
  return g_str_has_prefix(path, "/usr/share/") && !strstr(path, "..");
}

/* Where libvirt keeps the firmware's settings of a VM with that name. */
static bool is_own_nvram(const Trial *trial, const char *path)
{
  const char *at = g_str_has_prefix(path, NVRAM_DIR) ? path + strlen(NVRAM_DIR) : "";
  gsize n = strlen(trial->name);
  return strncmp(at, trial->name, n) == 0 && has_word("_VARS.fd _VARS.qcow2 _VARS.raw", at + n);
}

/* What was worked out for this use, and for no other. */
static bool is_file(const Trial *trial, const char *key, const char *path)
{
  for (const VirtJudgeFile *file = trial->judge->files; key && file->key; file++)
    if (strcmp(file->key, key) == 0 && strcmp(file->path, path) == 0)
      return true;
  return false;
}

static bool is_terminal(const char *path)
{
  const char *number = g_str_has_prefix(path, "/dev/pts/") ? path + strlen("/dev/pts/") : "";
  return *number && strspn(number, "0123456789") == strlen(number);
}

static bool may_name(const Trial *trial, const xmlNode *node, const char *attr, const char *value)
{
  const xmlNode *parent = node->parent;
  if (virt_xml_is(node, "source") && virt_xml_is(parent, "disk"))
    return g_strcmp0(attr, "file") == 0; /* check_disk() */
  if (virt_xml_is(node, "log"))
    return (virt_xml_is(parent, "serial") || virt_xml_is(parent, "console")) &&
           is_file(trial, VIRT_JUDGE_LOG, value);
  if (virt_xml_is(node, "kernel") || virt_xml_is(node, "initrd"))
    return virt_xml_is(parent, "os") && !attr &&
           is_file(trial, virt_xml_is(node, "kernel") ? VIRT_JUDGE_KERNEL : VIRT_JUDGE_INITRD, value);
  if (virt_xml_is(node, "emulator"))
    return is_emulator(value);
  if (virt_xml_is(node, "loader") || (virt_xml_is(node, "nvram") && g_strcmp0(attr, "template") == 0))
    return is_installed(value);
  if (virt_xml_is(node, "nvram") || (virt_xml_is(node, "source") && virt_xml_is(parent, "nvram")))
    return is_own_nvram(trial, value);
  if (virt_xml_is(node, "console") ||
      (virt_xml_is(node, "source") && (virt_xml_is(parent, "serial") || virt_xml_is(parent, "console"))))
    return is_terminal(value);
  if (virt_xml_is(node, "partition"))
    return has_word("/machine /machine.slice", value); /* libvirt's own control groups */
  if (virt_xml_is(node, "backend") && virt_xml_is(parent, "rng"))
    return has_word("/dev/urandom /dev/random /dev/hwrng", value);
  return false;
}

/* A text that is said to people, or to the guest. */
static bool is_prose(const xmlNode *node)
{
  static const char words[] = "title description cmdline label imagelabel serial vendor product";
  return has_word(words, (const char *)node->name);
}

static bool names_file(const xmlNode *node, const char *attr, const char *value)
{
  static const char attrs[] = "file path dir template socket script tty",
                    texts[] = "emulator loader nvram kernel initrd";
  if (strchr(value, '/'))
    return !is_prose(node);
  return attr ? has_word(attrs, attr) : *value && has_word(texts, (const char *)node->name);
}

static bool check_attrs(const Trial *trial, const xmlNode *node)
{
  bool is_disk = is_file_source(node);
  /* Of that name libvirt would take a port out of its switch, at the latest when the domain ends. */
  bool is_tap = virt_xml_is(node, "target") && virt_xml_is(node->parent, "interface");
  for (const xmlAttr *attr = node->properties; attr; attr = attr->next) {
    const char *name = (const char *)attr->name, *value = virt_xml_get(node, name);
    if (attr->ns || !value || is_tap || (is_disk && !has_word("file index startupPolicy", name)))
      return refuse(trial->error, "a definition with %s in %s", name, (const char *)node->name);
    if (names_file(node, name, value) && !may_name(trial, node, name, value))
      return refuse(trial->error, "a definition that names %s", value);
  }
  return true;
}

/* Firmware that all VMs here start from. Of a ROM, which it is without a type, there is nothing to be
 * written. */
static bool is_read_only(const xmlNode *loader)
{
  const char *type = virt_xml_get(loader, "type"), *said = virt_xml_get(loader, "readonly");
  return g_strcmp0(type, "rom") == 0 || (said ? strcmp(said, "yes") == 0 : !type);
}

/* An element has text or others in it, never both. */
static bool check_text(const Trial *trial, const xmlNode *node)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (const xmlNode *at = node->children; at; at = at->next) {
    if (at->type == XML_TEXT_NODE || at->type == XML_CDATA_SECTION_NODE)
      g_string_append(text, (const char *)at->content);
    else if (at->type != XML_ELEMENT_NODE && at->type != XML_COMMENT_NODE)
      return refuse(trial->error, "a definition with %s in %s", "?", (const char *)node->name);
  }
  const char *value = g_strstrip(text->str);
  if (*value && virt_xml_first(node))
    return refuse(trial->error, "a definition with %s in %s", "text", (const char *)node->name);
  if (virt_xml_is(node, "on_crash") && !has_word("destroy restart rename-restart preserve", value))
    return refuse(trial->error, "a definition with %s of type %s", "on_crash", value);
  if (virt_xml_is(node, "loader") && *value && !is_read_only(node))
    return refuse(trial->error, "a definition with %s of type %s", "loader", "writable");
  return !names_file(node, NULL, value) || may_name(trial, node, NULL, value) ||
         refuse(trial->error, "a definition that names %s", value);
}

/* ---- devices that are the spec's, by their key ---- */

static const char *key_of(const xmlNode *device)
{
  const char *alias = virt_xml_path_get(device, "alias", "name");
  return alias && g_str_has_prefix(alias, "ua-") ? alias + 3 : NULL;
}

static bool has_one(const xmlNode *node, const char *element)
{
  const xmlNode *child = virt_xml_child(node, element);
  for (const xmlNode *next = child ? virt_xml_next(child) : NULL; next; next = virt_xml_next(next))
    if (virt_xml_is(next, element))
      return false;
  return child != NULL;
}

static bool has_more(const xmlNode *node, const char *element)
{
  return virt_xml_child(node, element) && !has_one(node, element);
}

/* "qcow2": how the disk with this key is to be read; NULL: there is none. */
static const char *disk_format(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; key && i < spec->disks.len; i++)
    if (strcmp(spec->disks.items[i]->key, key) == 0)
      return ws_vm_spec_disk_format_names[spec->disks.items[i]->format - 1];
  return NULL;
}

/* Each file is what the manager said it is: a raw disk that is read as a qcow2 would name files in its first
 * bytes, and an ISO is not to be written. Whether a disk is read-only or shared is left open: the running
 * guest may have it as it was before the last change. */
static bool check_disk(const Trial *trial, const xmlNode *disk)
{
  const char *key = key_of(disk), *format = disk_format(trial->judge->spec, key),
             *path = virt_xml_path_get(disk, "source", "file"), *device = virt_xml_get(disk, "device"),
             *name = virt_xml_path_get(disk, "driver", "name"),
             *type = virt_xml_path_get(disk, "driver", "type");
  if (has_more(disk, "source") || has_more(disk, "driver") || has_more(disk, "alias"))
    return refuse(trial->error, "a definition with %s in %s", "two of a kind", "disk");
  if (!path)
    return true; /* an empty drive */
  bool other_use = key && *key == '_' && strcmp(key, VIRT_JUDGE_SEED) != 0;
  if (other_use || !is_file(trial, key, path) ||
      strcmp(device ? device : "disk", format ? "disk" : "cdrom") != 0)
    return refuse(trial->error, "a definition that names %s", path);
  return (strcmp(name ? name : "qemu", "qemu") == 0 &&
          strcmp(type ? type : "raw", format ? format : "raw") == 0) ||
         refuse(trial->error, "a definition with %s of type %s", "driver", type ? type : "-");
}

/* ---- switches ---- */

/* "trunk=yes 5 6/tagged": what a NIC may hear. */
static char *vlan_of(const xmlNode *nic)
{
  const xmlNode *vlan = virt_xml_child(nic, "vlan");
  const char *trunk = virt_xml_get(vlan, "trunk");
  GString *out = g_string_new(trunk && strcmp(trunk, "yes") == 0 ? "trunk" : "");
  for (const xmlNode *tag = virt_xml_first(vlan); tag; tag = virt_xml_next(tag)) {
    const char *id = virt_xml_get(tag, "id"), *native = virt_xml_get(tag, "nativeMode");
    g_string_append_printf(out, " %s/%s", id ? id : "", native ? native : "");
  }
  return g_string_free(out, FALSE);
}

static bool is_spec_nic(const WsVmSpec *spec, const char *key)
{
  for (guint i = 0; key && i < spec->nics.len; i++)
    if (strcmp(spec->nics.items[i]->key, key) == 0)
      return true;
  return false;
}

static bool check_nic(const Trial *trial, const xmlNode *nic)
{
  static const VirtHost nobody = {0};
  const VirtJudge *judge = trial->judge;
  const char *key = key_of(nic);
  if (!is_spec_nic(judge->spec, key) || !has_one(nic, "source") || !has_one(nic, "alias") ||
      has_more(nic, "vlan") || has_more(nic, "virtualport"))
    return refuse(trial->error, "a definition with a NIC that is not the VM's");
  g_autofree char *text = virt_device_xml(judge->spec, key, &nobody, NULL, false, trial->error);
  g_autoptr(xmlDoc) doc = text ? virt_xml_parse(text, trial->error) : NULL;
  if (!doc)
    return false;
  const xmlNode *ours = xmlDocGetRootElement(doc);
  g_autofree char *vlan = vlan_of(nic), *our_vlan = vlan_of(ours);
  const char *bridge = virt_xml_path_get(nic, "source", "bridge"),
             *our_bridge = virt_xml_path_get(ours, "source", "bridge"),
             *port = virt_xml_path_get(nic, "virtualport/parameters", "interfaceid"),
             *our_port = virt_xml_path_get(ours, "virtualport/parameters", "interfaceid");
  return (g_strcmp0(bridge, our_bridge ? our_bridge : "") == 0 && strcmp(vlan, our_vlan) == 0 &&
          g_strcmp0(virt_xml_path_get(nic, "virtualport", "type"),
                    virt_xml_path_get(ours, "virtualport", "type")) == 0 &&
          (!our_port || (port && g_ascii_strcasecmp(port, our_port) == 0))) ||
         refuse(trial->error, "a definition with a NIC on another network");
}

/* ---- screens ---- */

static bool is_loopback(const char *address)
{
  return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
         (g_str_has_prefix(address, "127.") && strspn(address, "0123456789.") == strlen(address));
}

/* Nobody but this host's own proxy is to reach it. Without an address it is this host's choice. */
static bool check_screen(const Trial *trial, const xmlNode *node)
{
  bool is_listen = virt_xml_is(node, "listen") && virt_xml_is(node->parent, "graphics");
  const char *attr = virt_xml_is(node, "graphics") ? "listen"
                     : is_listen                   ? "address"
                                                   : NULL,
             *address = attr ? virt_xml_get(node, attr) : NULL;
  return !address || is_loopback(address) ||
         refuse(trial->error, "a definition with %s of type %s", "graphics", address);
}

/* ---- the whole ---- */

/* Others' notes are theirs; in ours stands whose the domain is. */
static bool check_notes(const Trial *trial, const xmlNode *metadata)
{
  for (const xmlNode *note = virt_xml_first(metadata); note; note = virt_xml_next(note)) {
    const char *id = virt_xml_get(note, "id");
    if (virt_xml_is(note, "vm") && note->ns && strcmp((const char *)note->ns->href, VIRT_METADATA_URI) == 0 &&
        (WsId)virt_xml_int(id, 0) != trial->judge->vm)
      return refuse(trial->error, "another virtual machine: %s", id ? id : "-");
  }
  return true;
}

static bool check_node(const Trial *trial, const xmlNode *node, guint depth)
{
  const char *children = children_of(node);
  if (node->ns || depth > 32)
    return refuse(trial->error, "a definition with something of another name space: %s",
                  (const char *)node->name);
  if (!check_attrs(trial, node) || !check_text(trial, node) || !check_kind(trial, node))
    return false;
  if (virt_xml_is(node, "interface") && virt_xml_is(node->parent, "devices") && !check_nic(trial, node))
    return false;
  if ((virt_xml_is(node, "disk") && !check_disk(trial, node)) || !check_screen(trial, node))
    return false;
  for (const xmlNode *child = virt_xml_first(node); child; child = virt_xml_next(child)) {
    if (children && !has_word(children, (const char *)child->name))
      return refuse(trial->error, "a definition with %s in %s", (const char *)child->name,
                    (const char *)node->name);
    bool notes = depth == 0 && virt_xml_is(child, "metadata");
    if (notes ? !check_notes(trial, child) : !check_node(trial, child, depth + 1))
      return false;
  }
  return true;
}

/* The names of ours, "vm-51", are kept for the VMs that have them. One that was adopted keeps its own:
 * "vm-web01". */
static bool is_own_name(const VirtJudge *judge, const char *name)
{
  char own[WS_ID_TEXT_MAX];
  const char *number = g_str_has_prefix(name, "vm-") ? name + strlen("vm-") : "";
  bool reserved = *number && strspn(number, "0123456789") == strlen(number);
  if (!*name || strlen(name) > 255 || strchr(name, '/'))
    return false;
  return strcmp(name, ws_id_format("vm", judge->vm, own)) == 0 || !reserved;
}

static bool judge_domain(const xmlNode *root, const VirtJudge *judge, char **name, GError **error)
{
  const char *uuid = virt_xml_path_text(root, "uuid"), *said = virt_xml_path_text(root, "name");
  if (!virt_xml_is(root, "domain") || !has_one(root, "uuid") || !has_one(root, "name") || !uuid || !said)
    return refuse(error, "a definition without a name or a UUID");
  if (g_ascii_strcasecmp(uuid, judge->uuid) != 0)
    return refuse(error, "another virtual machine: %s", uuid);
  if (!is_own_name(judge, said))
    return refuse(error, "another virtual machine: %s", said);
  Trial trial = {judge, said, error};
  if (!check_node(&trial, root, 0))
    return false;
  *name = g_strdup(said);
  return true;
}

bool virt_judge_definition(const char *xml, const VirtJudge *judge, char **name, GError **error)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  if (!doc)
    return refuse(error, "a definition that cannot be read");
  return judge_domain(xmlDocGetRootElement(doc), judge, name, error);
}

bool virt_judge_cookie(const char *xml, const char *name, const VirtJudge *judge, GError **error)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  if (!virt_xml_is(root, "qemu-migration") || !has_one(root, "name") || !has_one(root, "uuid"))
    return refuse(error, "a cookie that cannot be read");
  const char *said = virt_xml_path_text(root, "name"), *uuid = virt_xml_path_text(root, "uuid");
  if (g_strcmp0(said, name) != 0 || !uuid || g_ascii_strcasecmp(uuid, judge->uuid) != 0)
    return refuse(error, "another virtual machine: %s", said ? said : "-");
  for (const xmlNode *node = virt_xml_first(root); node; node = virt_xml_next(node)) {
    g_autofree char *defined = NULL;
    if (!virt_xml_is(node, "domain"))
      continue;
    if (!judge_domain(node, judge, &defined, error))
      return false;
    if (strcmp(defined, name) != 0)
      return refuse(error, "another virtual machine: %s", defined);
  }
  return true;
}
