// SPDX-License-Identifier: Apache-2.0
/* cloud-init NoCloud seed; see seed.h.
 *
 * YAML here is one key a line with double-quoted scalars (JSON's, all but ASCII escaped): every YAML reader agrees on
 * it, no text can end its line or change its type, and a guest without cloud-init can pick single lines out of it. */
#include "host/hypervisor/seed.h"
#include "base/error.h"
#include "base/files.h"
#include "host/hypervisor/iso.h"
#include <crypt.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define HOSTNAME_MAX 63

/* ---- YAML ---- */

static void add_scalar(GString *out, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  g_string_append_c(out, '"');
  for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    if (c == '"' || c == '\\')
      g_string_append_printf(out, "\\%c", (char)c);
    else if (c >= 0x20 && c < 0x7f)
      g_string_append_c(out, (char)c);
    else
      g_string_append_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
  }
  g_string_append_c(out, '"');
}

/* <indent>key: "value"; NULL: nothing. */
static void add_line(GString *out, const char *indent_and_key, const char *value)
{
  if (!value)
    return;
  g_string_append_printf(out, "%s: ", indent_and_key);
  add_scalar(out, value);
  g_string_append_c(out, '\n');
}

static void add_flow_list(GString *out, const char *indent_and_key, char *const *items, guint n)
{
  if (n == 0)
    return;
  g_string_append_printf(out, "%s: [", indent_and_key);
  for (guint i = 0; i < n; i++) {
    g_string_append(out, i ? ", " : "");
    add_scalar(out, items[i]);
  }
  g_string_append(out, "]\n");
}

/* ---- user-data ---- */

/* SHA-512 crypt with a fresh salt; the caller wipes and frees it. */
static char *hash_password(const char *password, WsClock *clock)
{
  static const char letters[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  guint8 noise[16];
  char setting[3 + sizeof noise + 1] = "$6$";
  clock->random_bytes(clock, noise, sizeof noise);
  for (guint i = 0; i < sizeof noise; i++)
    setting[3 + i] = letters[noise[i] % 64];
  struct crypt_data *work = g_new0(struct crypt_data, 1);
  const char *hash = crypt_r(password, setting, work);
  char *copy = hash && hash[0] == '$' ? g_strdup(hash) : NULL;
  explicit_bzero(work, sizeof *work);
  g_free(work);
  return copy;
}

/* A user name is written bare: it is a plain YAML scalar by its pattern, unless YAML 1.1 takes it for something else. */
static bool is_yaml_word(const char *name)
{
  static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", NULL};
  return g_strv_contains(words, name);
}

static void add_user(GString *out, const WsVmCloudInit *s, const char *hash)
{
  bool root = strcmp(s->user, "root") == 0;
  g_string_append(out, "users:\n");
  if (is_yaml_word(s->user))
    add_line(out, "  - name", s->user);
  else
    g_string_append_printf(out, "  - name: %s\n", s->user);
  if (!root) {
    add_line(out, "    sudo", "ALL=(ALL) NOPASSWD:ALL");
    add_line(out, "    shell", "/bin/bash");
  }
  g_string_append_printf(out, "    lock_passwd: %s\n", hash ? "false" : "true");
  add_line(out, "    hashed_passwd", hash);
  if (s->ssh_keys.len > 0)
    g_string_append(out, "    ssh_authorized_keys:\n");
  for (guint i = 0; i < s->ssh_keys.len; i++) {
    g_string_append(out, "      - ");
    add_scalar(out, s->ssh_keys.items[i]);
    g_string_append_c(out, '\n');
  }
  if (root)
    g_string_append(out, "disable_root: false\n");
}

/* Without a user the image's own one gets password and keys. */
static void add_default_user(GString *out, const WsVmCloudInit *s, const char *hash)
{
  add_line(out, "password", hash);
  if (hash)
    g_string_append(out, "chpasswd: {expire: false}\n");
  if (s->ssh_keys.len > 0)
    g_string_append(out, "ssh_authorized_keys:\n");
  for (guint i = 0; i < s->ssh_keys.len; i++) {
    g_string_append(out, "  - ");
    add_scalar(out, s->ssh_keys.items[i]);
    g_string_append_c(out, '\n');
  }
}

static char *own_user_data(const WsVmCloudInit *s, const char *hostname, const char *hash)
{
  GString *out = g_string_new("#cloud-config\n");
  add_line(out, "hostname", hostname);
  if (hash)
    g_string_append(out, "ssh_pwauth: true\n");
  if (s->user)
    add_user(out, s, hash);
  else
    add_default_user(out, s, hash);
  return g_string_free(out, FALSE);
}

/* The platform's settings and a person's own, as the two parts that cloud-init merges; where both say something, ours holds. */
static char *join_user_data(const char *ours, const char *theirs)
{
  /* A line that the text cannot hold, since it is its digest. */
  g_autofree char *boundary = g_compute_checksum_for_string(G_CHECKSUM_SHA256, theirs, -1);
  return g_strdup_printf("Content-Type: multipart/mixed; boundary=\"%s\"\nMIME-Version: 1.0\n\n"
                         "--%s\nContent-Type: text/cloud-config\nMIME-Version: 1.0\n\n%s\n"
                         "--%s\nContent-Type: text/plain\nMIME-Version: 1.0\n"
                         "Merge-Type: list(append)+dict(no_replace,recurse_list)+str()\n\n%s\n--%s--\n",
                         boundary, boundary, ours, boundary, theirs, boundary);
}

/* ---- meta-data, network-config ---- */

/* What a name for people leaves of a host name: letters, digits and single hyphens; nothing left: vm-<id>. */
static char *hostname_from(const WsVmSpec *spec)
{
  GString *out = g_string_new(NULL);
  for (const char *c = spec->name; *c && out->len < HOSTNAME_MAX; c++) {
    if (g_ascii_isalnum(*c))
      g_string_append_c(out, g_ascii_tolower(*c));
    else if (out->len > 0 && out->str[out->len - 1] != '-')
      g_string_append_c(out, '-');
  }
  while (out->len > 0 && out->str[out->len - 1] == '-')
    g_string_truncate(out, out->len - 1);
  if (out->len == 0) {
    char id[WS_ID_TEXT_MAX];
    g_string_assign(out, ws_id_format("vm", spec->vm, id));
  }
  return g_string_free(out, FALSE);
}

static const WsVmCloudInitNetwork *find_network(const WsVmCloudInit *s, const char *key)
{
  for (guint i = 0; i < s->networks.len; i++)
    if (strcmp(s->networks.items[i]->nic, key) == 0)
      return s->networks.items[i];
  return NULL;
}

static void add_static(GString *out, const WsVmCloudInitNetwork *network)
{
  g_string_append(out, "    dhcp4: false\n");
  add_flow_list(out, "    addresses", network->addresses.items, network->addresses.len);
  for (guint i = 0; i < network->gateways.len; i++) {
    const char *gateway = network->gateways.items[i];
    add_line(out, strchr(gateway, ':') ? "    gateway6" : "    gateway4", gateway);
  }
}

/* NICs are found by their MAC address and named eth0, eth1, ... in order. */
static char *network_config(const WsVmSpec *spec, const WsVmCloudInit *s)
{
  GString *out = g_string_new("version: 2\nethernets:");
  g_string_append(out, spec->nics.len > 0 ? "\n" : " {}\n");
  for (guint i = 0; i < spec->nics.len; i++) {
    const WsVmSpecNic *nic = spec->nics.items[i];
    const WsVmCloudInitNetwork *network = find_network(s, nic->key);
    g_string_append_printf(out, "  eth%u:\n    match: {macaddress: ", i);
    add_scalar(out, nic->mac);
    g_string_append_printf(out, "}\n    set-name: eth%u\n", i);
    if (network && network->method == WS_VM_CLOUD_INIT_NETWORK_METHOD_STATIC)
      add_static(out, network);
    else
      g_string_append(out, "    dhcp4: true\n");
    if (s->dns_servers.len == 0 && s->dns_domains.len == 0)
      continue;
    g_string_append(out, "    nameservers:\n");
    add_flow_list(out, "      addresses", s->dns_servers.items, s->dns_servers.len);
    add_flow_list(out, "      search", s->dns_domains.items, s->dns_domains.len);
  }
  return g_string_free(out, FALSE);
}

static bool check_networks(const WsVmSpec *spec, const WsVmCloudInit *s, GError **error)
{
  for (guint i = 0; i < s->networks.len; i++) {
    const WsVmCloudInitNetwork *network = s->networks.items[i];
    bool found = false;
    for (guint n = 0; n < spec->nics.len; n++)
      found |= strcmp(spec->nics.items[n]->key, network->nic) == 0;
    g_autofree char *field = g_strdup_printf("cloud_init.networks[%u].%s", i, found ? "addresses" : "nic");
    if (!found)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "the key of a NIC of this VM", NULL);
    if (network->method == WS_VM_CLOUD_INIT_NETWORK_METHOD_STATIC && network->addresses.len == 0)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "an address, with method static", NULL);
  }
  return true;
}

static void wipe(char **text)
{
  if (*text)
    explicit_bzero(*text, strlen(*text));
  g_clear_pointer(text, g_free);
}

void seed_texts_clear(SeedTexts *texts)
{
  wipe(&texts->user_data);
  wipe(&texts->meta_data);
  wipe(&texts->network_config);
}

bool seed_texts(SeedTexts *texts, const WsVmSpec *spec, const WsVmCloudInit *s, const char *instance_id, WsClock *clock,
                GError **error)
{
  *texts = (SeedTexts){0};
  if (!check_networks(spec, s, error))
    return false;
  char *hash = s->password ? hash_password(s->password, clock) : NULL;
  if (s->password && !hash)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "cloud_init.password", "expected", "a password that crypt takes", NULL);
  g_autofree char *hostname = s->hostname ? g_strdup(s->hostname) : hostname_from(spec);
  texts->user_data = own_user_data(s, hostname, hash);
  wipe(&hash);
  if (s->user_data && *s->user_data) {
    char *joined = join_user_data(texts->user_data, s->user_data);
    wipe(&texts->user_data);
    texts->user_data = joined;
  }
  GString *meta = g_string_new(NULL);
  add_line(meta, "instance-id", instance_id ? instance_id : spec->uuid);
  add_line(meta, "local-hostname", hostname);
  texts->meta_data = g_string_free(meta, FALSE);
  texts->network_config = network_config(spec, s);
  return true;
}

/* ---- the file ---- */

static bool fail_errno(GError **error, const char *path)
{
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
}

bool seed_write(const VirtHost *host, const WsVmSpec *spec, const WsVmCloudInit *settings, const char *instance_id, WsClock *clock,
                GError **error)
{
  g_auto(SeedTexts) texts = {0};
  if (!seed_texts(&texts, spec, settings, instance_id, clock, error))
    return false;
  const IsoFile files[] = {
    {"meta-data", "METADATA.;1", texts.meta_data, strlen(texts.meta_data)},
    {"network-config", "NETCONF.;1", texts.network_config, strlen(texts.network_config)},
    {"user-data", "USERDATA.;1", texts.user_data, strlen(texts.user_data)},
  };
  g_autoptr(GByteArray) image = iso_build("cidata", files, G_N_ELEMENTS(files), ws_clock_wall_us(clock));
  g_autofree char *path = virt_seed_path(host, spec->uuid);
  if (g_mkdir_with_parents(host->seed_dir, 0711) != 0) /* QEMU's user passes through, but lists nothing */
    return fail_errno(error, host->seed_dir);
  bool ok = ws_file_write(path, image->data, image->len, 0600, error);
  explicit_bzero(image->data, image->len);
  return ok;
}

bool seed_ensure(const VirtHost *host, const WsVmSpec *spec, WsClock *clock, GError **error)
{
  g_autofree char *path = virt_seed_path(host, spec->uuid);
  if (g_file_test(path, G_FILE_TEST_EXISTS))
    return true;
  g_autoptr(WsVmCloudInit) nothing = ws_vm_cloud_init_new();
  return seed_write(host, spec, nothing, NULL, clock, error);
}

bool seed_remove(const VirtHost *host, const char *uuid, GError **error)
{
  g_autofree char *path = virt_seed_path(host, uuid);
  if (g_unlink(path) == 0 || errno == ENOENT)
    return true;
  return fail_errno(error, path);
}
