// SPDX-License-Identifier: Apache-2.0
/* The screen as a picture, and keys pressed on the keyboard. See hypervisor.h. */
#include "host/hypervisor/hypervisor-private.h"
#include "host/hypervisor/keys.h"
#include <string.h>

#define PNG_MAX_BYTES (2600 * 1024) /* 3.5 million characters in Base64, as api/rpc/vm.yaml allows */
#define PIECE_BYTES   65536
#define KEYS_MAX      16

/* Everything a stream brings, up to the limit. */
static bool receive(virStreamPtr stream, GByteArray *bytes, WsId vm, const char *uuid, GError **error)
{
  g_autofree char *piece = g_malloc(PIECE_BYTES);
  for (;;) {
    int n = virStreamRecv(stream, piece, PIECE_BYTES);
    if (n == 0)
      return virStreamFinish(stream) == 0 || virt_fail(error, vm, uuid, "take a picture of");
    if (n < 0)
      return virt_fail(error, vm, uuid, "take a picture of");
    g_byte_array_append(bytes, (const guint8 *)piece, (guint)n);
    if (bytes->len > PNG_MAX_BYTES) {
      virStreamAbort(stream);
      return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", "2.5 MiB", NULL);
    }
  }
}

bool hypervisor_vm_screenshot(Hypervisor *hv, const WsRpcVmScreenshot *params, GBytes **png, GError **error)
{
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  if (virDomainIsActive(domain) != 1)
    return virt_wrong_state(error, params->vm, params->uuid, "be photographed", virt_state(domain));
  virStreamPtr stream = virStreamNew(conn->c, 0);
  char *type = virDomainScreenshot(domain, stream, 0, 0);
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  bool ok = type ? receive(stream, bytes, params->vm, params->uuid, error)
                 : virt_fail(error, params->vm, params->uuid, "take a picture of");
  if (ok && strcmp(type, "image/png") != 0)
    ok = ws_fail(error, WS_ERROR_UNSUPPORTED, "what", "a screenshot with this QEMU (no PNG)", NULL);
  free(type);
  virStreamFree(stream);
  if (ok)
    *png = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
  return ok;
}

bool hypervisor_vm_send_keys(Hypervisor *hv, const WsRpcVmSendKeys *params, GError **error)
{
  guint codes[KEYS_MAX];
  for (guint i = 0; i < params->keys.len; i++) {
    g_autofree char *field = g_strdup_printf("keys[%u]", i);
    codes[i < KEYS_MAX ? i : 0] = virt_key_code(params->keys.items[i]);
    if (i >= KEYS_MAX || codes[i] == 0)
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", field, "expected", "at most 16 names of keys, such as ctrl, f2, a", NULL);
  }
  g_autoptr(VirtConn) conn = virt_conn_acquire(hv, error);
  VIRT_AUTO_DOMAIN domain = conn ? virt_find(conn, params->vm, params->uuid, error) : NULL;
  if (!domain)
    return false;
  WsPowerState state = virt_state(domain);
  if (state != WS_POWER_STATE_RUNNING)
    return virt_wrong_state(error, params->vm, params->uuid, "take keys", state);
  return virDomainSendKey(domain, VIR_KEYCODE_SET_LINUX, (unsigned int)params->hold_ms, codes, (int)params->keys.len, 0) == 0 ||
         virt_fail(error, params->vm, params->uuid, "send keys to");
}
