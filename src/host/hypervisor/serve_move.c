// SPDX-License-Identifier: Apache-2.0
/* The manager's calls for moves, each on a worker. None waits for a frozen QEMU longer than its deadline. */
#include "host/agent.h"
#include "host/hypervisor/serve-private.h"
#include "rpc/methods.h"

#define RUN(name, Name, call)                                                                                          \
  static bool run_##name(Hypervisor *hv, const void *params, void **result, GError **error)                            \
  {                                                                                                                    \
    return call;                                                                                                       \
  }

#define ANSWERS(name, Name)                                                                                            \
  RUN(name, Name, hypervisor_vm_##name(hv, params, (WsRpcVm##Name##Result **)result, error))                           \
  bool serve_vm_##name(RpcCall *call, const WsRpcVm##Name *params, WsRpcVm##Name##Result **result, GError **error)     \
  {                                                                                                                    \
    return virt_serve(call, &rpc_method_vm_##name, params, NULL, run_##name, (void **)result, error);                  \
  }

#define PLAIN(name, Name)                                                                                              \
  RUN(name, Name, hypervisor_vm_##name(hv, params, error))                                                             \
  bool serve_vm_##name(RpcCall *call, const WsRpcVm##Name *params, GError **error)                                     \
  {                                                                                                                    \
    return virt_serve(call, &rpc_method_vm_##name, params, NULL, run_##name, NULL, error);                             \
  }

ANSWERS(dirty_rate, DirtyRate) /* not in line with the VM's other calls: it keeps nobody waiting */
ANSWERS(migrate_check, MigrateCheck)
ANSWERS(migrate_status, MigrateStatus)
PLAIN(migrate_cancel, MigrateCancel)
PLAIN(migrate_close, MigrateClose)
PLAIN(lease_pass, LeasePass)

static bool run_look(Hypervisor *hv, const void *params, void **result, GError **error)
{
  WsRpcVmMigrateLookResult *answer = *result = ws_rpc_vm_migrate_look_result_new();
  return hypervisor_vm_migrate_look(hv, params, &answer->sight, error);
}

bool serve_vm_migrate_look(RpcCall *call, const WsRpcVmMigrateLook *params, WsRpcVmMigrateLookResult **result, GError **error)
{
  return virt_serve(call, &rpc_method_vm_migrate_look, params, params->uuid, run_look, (void **)result, error);
}

ANSWERS(migrate_prepare, MigratePrepare)

/* In line with the VM's other calls: what began before is over. */
static bool run_start(Hypervisor *hv, const void *params, void **result, GError **error)
{
  return hypervisor_vm_migrate_start(hv, params, error);
}

bool serve_vm_migrate_start(RpcCall *call, const WsRpcVmMigrateStart *params, GError **error)
{
  return virt_serve(call, &rpc_method_vm_migrate_start, params, params->uuid, run_start, NULL, error);
}

static bool run_release(Hypervisor *hv, const void *params, void **result, GError **error)
{
  WsRpcVmMigrateReleaseResult *answer = *result = ws_rpc_vm_migrate_release_result_new();
  return hypervisor_vm_migrate_release(hv, params, &answer->power, error);
}

bool serve_vm_migrate_release(RpcCall *call, const WsRpcVmMigrateRelease *params, WsRpcVmMigrateReleaseResult **result,
                              GError **error)
{
  return virt_serve(call, &rpc_method_vm_migrate_release, params, params->uuid, run_release, (void **)result, error);
}

static bool run_drop(Hypervisor *hv, const void *params, void **result, GError **error)
{
  return hypervisor_vm_migrate_drop(hv, params, error);
}

bool serve_vm_migrate_drop(RpcCall *call, const WsRpcVmMigrateDrop *params, GError **error)
{
  return virt_serve(call, &rpc_method_vm_migrate_drop, params, params->uuid, run_drop, NULL, error);
}
