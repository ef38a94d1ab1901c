// SPDX-License-Identifier: Apache-2.0
/* Where the running guest and the definition differ, as paths of fields. See domain.h. */
#include "host/hypervisor/domain.h"
#include "plan/live.h"

GPtrArray *virt_spec_diff(const WsVmSpec *live, const WsVmSpec *next)
{
  return ws_object_diff(&ws_type_vm_spec, live, next, live_unseen);
}

/* A floor follows at once; where it could not (the agent that wrote the definition knew of none), that is
 * told. */
GPtrArray *virt_domain_waits(const VirtDomain *live, const WsVmSpec *next)
{
  const WsVmCpu *cpu = next->cpu;
  GPtrArray *paths = virt_spec_diff(live->spec, next);
  if (next->vm && cpu->reservation_percent > 0 && cpu->shares == live->spec->cpu->shares &&
      live->cpu_weight != virt_cpu_weight(cpu))
    g_ptr_array_add(paths, g_strdup("cpu.reservation_percent"));
  return paths;
}
