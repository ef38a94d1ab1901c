// SPDX-License-Identifier: Apache-2.0
/* libvirt's errors as ours. libvirt keeps the last error per thread. */
#include "host/hypervisor/hypervisor-private.h"

const char *virt_object(WsId vm, const char *uuid, char *buf)
{
  if (vm)
    ws_id_format("vm", vm, buf);
  else
    g_strlcpy(buf, uuid ? uuid : "", VIRT_OBJECT_MAX);
  return buf;
}

bool virt_error_is(int code)
{
  const virError *last = virGetLastError();
  return last && last->code == code;
}

bool virt_wrong_state(GError **error, WsId vm, const char *uuid, const char *verb, WsPowerState state)
{
  char object[VIRT_OBJECT_MAX];
  return ws_fail(error, WS_ERROR_WRONG_STATE, "object", virt_object(vm, uuid, object), "verb", verb, "state",
                 state ? ws_power_state_names[state - 1] : "unknown", NULL);
}

bool virt_fail(GError **error, WsId vm, const char *uuid, const char *operation)
{
  const virError *last = virGetLastError();
  const char *cause = last && last->message ? last->message : "libvirt gave no reason";
  char object[VIRT_OBJECT_MAX];
  virt_object(vm, uuid, object);
  switch (last ? last->code : VIR_ERR_OK) {
  case VIR_ERR_NO_DOMAIN:
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", object, "cause", cause, NULL);
  case VIR_ERR_AGENT_UNRESPONSIVE:
    return ws_fail(error, WS_ERROR_GUEST_AGENT_ABSENT, "object", object, "cause", cause, NULL);
  case VIR_ERR_OPERATION_TIMEOUT: /* another call to this domain holds it: its QEMU does not answer */
    return ws_fail(error, WS_ERROR_DEADLINE_EXCEEDED, "what", operation, "timeout", "libvirt's limit", "cause", cause, NULL);
  case VIR_ERR_OPERATION_ABORTED:
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", cause, NULL);
  case VIR_ERR_NO_CONNECT:
  case VIR_ERR_INVALID_CONN:
    return ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, "cause", cause, NULL);
  default:
    /* RPC errors: the connection broke under the call. */
    if (last && last->domain == VIR_FROM_RPC)
      return ws_fail(error, WS_ERROR_HYPERVISOR_UNREACHABLE, "cause", cause, NULL);
    return ws_fail(error, WS_ERROR_HYPERVISOR_ERROR, "object", object, "operation", operation, "cause", cause, NULL);
  }
}

virDomainPtr virt_find(VirtConn *conn, WsId vm, const char *uuid, GError **error)
{
  virDomainPtr domain = virDomainLookupByUUIDString(conn->c, uuid);
  if (!domain)
    virt_fail(error, vm, uuid, "find");
  return domain;
}
