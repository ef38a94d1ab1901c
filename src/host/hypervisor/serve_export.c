// SPDX-License-Identifier: Apache-2.0
/* A VM becomes one file: the storage room makes it, this room knows the words that describe a VM. libvirt is not asked. */
#include "host/agent.h"
#include "host/hypervisor/ovf.h"
#include "rpc/methods.h"

typedef struct {
  Storage *storage;
  const WsRpcVolumeExport *params;
  WsRpcVolumeExportResult *result;
} Work;

static bool run_export(AgentJob *job, void *arg, GError **error)
{
  Work *work = arg;
  StorageOp op = {.progress = agent_job_progress, .arg = job, .cancel = job->cancel};
  return storage_volume_export(work->storage, work->params, virt_ovf, &op, &work->result, error);
}

/* Without a deadline the worker ends before the coroutine goes on. */
bool serve_volume_export(RpcCall *call, const WsRpcVolumeExport *params, WsRpcVolumeExportResult **result, GError **error)
{
  Work work = {agent_of_call(call)->storage, params, NULL};
  bool ok = agent_blocking(call, run_export, &work, NULL, 0, error);
  *result = work.result;
  return ok;
}
