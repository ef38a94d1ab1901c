// SPDX-License-Identifier: Apache-2.0
/* Where the running guest and the definition differ, as paths of fields. See domain.h. */
#include "host/hypervisor/domain.h"

/* What a guest does not see, or what the host follows at once. */
static const char *const not_waiting[] = {
    "vm",     "name",       "description", "autostart",           "start_order",
    "volume", "port_group", "port_id",     "reservation_percent", NULL,
};

GPtrArray *virt_spec_diff(const WsVmSpec *live, const WsVmSpec *next)
{
  return ws_object_diff(&ws_type_vm_spec, live, next, not_waiting);
}
