// SPDX-License-Identifier: Apache-2.0
/* What lies on a host of a VM that is off, beside its disks: the definition, the firmware's settings (NVRAM), the TPM's state. It goes from
 * agent to agent in one piece, and is written here only where this host's libvirt says, never where the other end does. */
#include "base/files.h"
#include "host/hypervisor/move-private.h"
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <errno.h>
#include <string.h>

#define NVRAM_DIR "/var/lib/libvirt/qemu/nvram"
#define TPM_DIR   "/var/lib/libvirt/swtpm"
#define NVRAM_MAX (128 << 20) /* flash of aarch64 is 64 MiB, nearly all of it empty */
#define TPM_MAX   (512 << 10)
#define TPM_FILES 16

/* ---- packing ---- */

static GBytes *convert(GConverter *converter, const void *bytes, gsize n, gsize max, GError **error)
{
  g_autoptr(GInputStream) from = g_memory_input_stream_new_from_data(bytes, (gssize)n, NULL);
  g_autoptr(GInputStream) through = g_converter_input_stream_new(from, converter);
  g_autoptr(GByteArray) out = g_byte_array_new();
  g_autofree char *buffer = g_malloc(1 << 16);
  g_autoptr(GError) failed = NULL;
  gssize got;
  while ((got = g_input_stream_read(through, buffer, 1 << 16, NULL, &failed)) > 0 && out->len + (gsize)got <= max)
    g_byte_array_append(out, (const guint8 *)buffer, (guint)got);
  if (got == 0)
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
  ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nvram", "expected", "packed bytes", "cause", failed ? failed->message : "too large", NULL);
  return NULL;
}

static char *pack(const void *bytes, gsize n, GError **error)
{
  g_autoptr(GConverter) zlib = G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 6));
  g_autoptr(GBytes) packed = convert(zlib, bytes, n, 6 << 20, error);
  return packed ? g_base64_encode(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed)) : NULL;
}

static GBytes *unpack(const char *text, GError **error)
{
  g_autoptr(GConverter) zlib = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB));
  gsize n;
  g_autofree guchar *packed = g_base64_decode(text, &n);
  return convert(zlib, packed, n, NVRAM_MAX, error);
}

/* ---- reading ---- */

/* Where the definition says; else where libvirt puts it by itself when it starts a VM with such firmware. NULL: it has none. */
static char *nvram_path(const char *xml)
{
  g_autoptr(xmlDoc) doc = virt_xml_parse(xml, NULL);
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
  const xmlNode *nvram = virt_xml_child(root, "os/nvram"), *name = virt_xml_child(root, "name");
  const char *in_source = virt_xml_path_get(nvram, "source", "file");
  bool flash = g_strcmp0(virt_xml_path_get(root, "os", "firmware"), "efi") == 0 ||
               g_strcmp0(virt_xml_path_get(root, "os/loader", "type"), "pflash") == 0;
  xmlChar *text = nvram && !in_source ? xmlNodeGetContent(nvram) : NULL;
  xmlChar *domain = name ? xmlNodeGetContent(name) : NULL;
  char *path = in_source ? g_strdup(in_source) : text ? g_strstrip(g_strdup((const char *)text)) : NULL;
  if ((!path || *path != '/') && flash && domain && !strchr((const char *)domain, '/')) {
    g_free(path);
    path = g_strdup_printf(NVRAM_DIR "/%s_VARS.fd", (const char *)domain);
  }
  xmlFree(text);
  xmlFree(domain);
  if (path && *path == '/')
    return path;
  g_free(path);
  return NULL;
}

static bool read_nvram(WsVmMoveState *state, GError **error)
{
  g_autofree char *path = nvram_path(state->definition);
  gsize n;
  if (!path || !g_file_test(path, G_FILE_TEST_IS_REGULAR)) /* never started: made from the template there */
    return true;
  g_autofree char *bytes = ws_file_read(path, NVRAM_MAX, &n, error);
  state->nvram = bytes ? pack(bytes, n, error) : NULL;
  return state->nvram != NULL;
}

static char *tpm_dir(const char *uuid, bool two)
{
  return g_build_filename(TPM_DIR, uuid, two ? "tpm2" : "tpm1.2", NULL);
}

static bool read_tpm_file(WsVmMoveState *state, const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  gsize n;
  g_autofree char *bytes = ws_file_read(path, TPM_MAX, &n, error);
  if (!bytes)
    return false;
  WsVmMoveFile *file = ws_vm_move_file_new();
  file->name = g_strdup(name);
  file->bytes = g_base64_encode((const guchar *)bytes, n);
  memset(bytes, 0, n);
  ws_array_add(&state->tpm, file);
  return true;
}

static bool read_tpm(WsVmMoveState *state, const char *uuid, GError **error)
{
  for (int two = 0; two < 2; two++) {
    g_autofree char *folder = tpm_dir(uuid, two);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));)
      if (*name != '.' && state->tpm.len < TPM_FILES && !read_tpm_file(state, folder, name, error))
        return false;
  }
  return true;
}

WsVmMoveState *virt_move_state(const char *xml, const char *uuid, GError **error)
{
  g_autoptr(WsVmMoveState) state = ws_vm_move_state_new();
  state->definition = g_strdup(xml);
  return read_nvram(state, error) && read_tpm(state, uuid, error) ? g_steal_pointer(&state) : NULL;
}

/* ---- writing ---- */

static bool make_folders(const char *path, GError **error)
{
  return g_mkdir_with_parents(path, 0711) == 0 || ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
}

static bool put_nvram(const WsVmMoveState *state, const char *xml, GError **error)
{
  g_autofree char *path = state->nvram ? nvram_path(xml) : NULL;
  if (!path)
    return true;
  g_autofree char *folder = g_path_get_dirname(path);
  g_autoptr(GBytes) bytes = unpack(state->nvram, error);
  return bytes && make_folders(folder, error) &&
         ws_file_write(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0600, error);
}

/* libvirt gives the files to swtpm's user when it starts the VM. */
static bool put_tpm(const WsVmMoveState *state, const char *uuid, GError **error)
{
  for (guint i = 0; i < state->tpm.len; i++) {
    const WsVmMoveFile *file = state->tpm.items[i];
    g_autofree char *folder = tpm_dir(uuid, g_str_has_prefix(file->name, "tpm2"));
    g_autofree char *path = g_build_filename(folder, file->name, NULL);
    gsize n;
    g_autofree guchar *bytes = g_base64_decode(file->bytes ? file->bytes : "", &n);
    bool ok = make_folders(folder, error) && ws_file_write(path, bytes, n, 0600, error);
    memset(bytes, 0, n);
    if (!ok)
      return false;
    g_chmod(folder, 0700);
  }
  return true;
}

bool virt_move_state_put(const WsVmMoveState *state, const char *xml, const char *uuid, GError **error)
{
  return put_nvram(state, xml, error) && put_tpm(state, uuid, error);
}
