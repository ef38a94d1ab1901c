// SPDX-License-Identifier: Apache-2.0
/* Storage in the agent: the manager's calls, each on a worker, and what the watcher notices. Streams are in serve_stream.c. */
#include "base/error.h"
#include "host/agent.h"
#include "host/storage/storage.h"
#include "rpc/methods.h"
#include <errno.h>
#include <glib/gstdio.h>

#define STATE_FOLDER "storage"

typedef struct {
  Storage *storage;
  const void *params;
  void *result;
  guint64 came_at; /* storage_pool_moment() when the call came: it may wait for a worker, and outlive its link */
} Work;

/* Without a deadline: the worker ends before the coroutine goes on, so everything may lie on its stack. The manager's own deadline
 * gives a call up when a disk hangs. */
static bool on_worker(RpcCall *call, bool (*run)(AgentJob *, void *, GError **), const void *params,
                      void **result, GError **error)
{
  Storage *storage = agent_of_call(call)->storage;
  Work work = {.storage = storage, .params = params, .came_at = storage_pool_moment(storage)};
  bool ok = agent_blocking(call, run, &work, NULL, 0, error);
  if (result)
    *result = work.result;
  return ok;
}

static StorageOp op_of(AgentJob *job)
{
  return (StorageOp){.progress = agent_job_progress, .arg = job, .cancel = job->cancel};
}

/* The three shapes of calls: with progress and result, with progress, with result. */
#define SERVE_LONG(name, Type)                                                                               \
  static bool run_##name(AgentJob *job, void *arg, GError **error)                                           \
  {                                                                                                          \
    Work *w = arg;                                                                                           \
    StorageOp op = op_of(job);                                                                               \
    return storage_##name(w->storage, w->params, &op, (WsRpc##Type##Result **)&w->result, error);            \
  }                                                                                                          \
  bool serve_##name(RpcCall *call, const WsRpc##Type *params, WsRpc##Type##Result **result, GError **error)  \
  {                                                                                                          \
    return on_worker(call, run_##name, params, (void **)result, error);                                      \
  }
#define SERVE_LONG_WITHOUT_RESULT(name, Type)                                                                \
  static bool run_##name(AgentJob *job, void *arg, GError **error)                                           \
  {                                                                                                          \
    Work *w = arg;                                                                                           \
    StorageOp op = op_of(job);                                                                               \
    return storage_##name(w->storage, w->params, &op, error);                                                \
  }                                                                                                          \
  bool serve_##name(RpcCall *call, const WsRpc##Type *params, GError **error)                                \
  {                                                                                                          \
    return on_worker(call, run_##name, params, NULL, error);                                                 \
  }
#define SERVE_SHORT(name, Type)                                                                              \
  static bool run_##name(AgentJob *job, void *arg, GError **error)                                           \
  {                                                                                                          \
    Work *w = arg;                                                                                           \
    return storage_##name(w->storage, w->params, (WsRpc##Type##Result **)&w->result, error);                 \
  }                                                                                                          \
  bool serve_##name(RpcCall *call, const WsRpc##Type *params, WsRpc##Type##Result **result, GError **error)  \
  {                                                                                                          \
    return on_worker(call, run_##name, params, (void **)result, error);                                      \
  }

SERVE_LONG(volume_create, VolumeCreate)
SERVE_LONG(volume_resize, VolumeResize)
SERVE_LONG(volume_clone, VolumeClone)
SERVE_LONG(volume_checksum, VolumeChecksum)
SERVE_LONG(image_import, ImageImport)
SERVE_LONG_WITHOUT_RESULT(volume_delete, VolumeDelete)
SERVE_LONG_WITHOUT_RESULT(volume_wipe, VolumeWipe)
SERVE_SHORT(volume_info, VolumeInfo)
SERVE_SHORT(image_inspect, ImageInspect)

/* Uploads are named after the stream's parts in the engine. */
#define storage_volume_upload_open storage_upload_open
#define storage_volume_upload_finish storage_upload_finish
SERVE_SHORT(volume_upload_open, VolumeUploadOpen)
SERVE_LONG(volume_upload_finish, VolumeUploadFinish)

static bool run_upload_abort(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return storage_upload_abort(w->storage, w->params, error);
}

bool serve_volume_upload_abort(RpcCall *call, const WsRpcVolumeUploadAbort *params, GError **error)
{
  return on_worker(call, run_upload_abort, params, NULL, error);
}

/* ---- pools ---- */

static bool run_pool_prepare(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return storage_pool_prepare(w->storage, w->params, (WsPoolStatus **)&w->result, error);
}

bool serve_pool_prepare(RpcCall *call, const WsRpcPoolPrepare *params, WsRpcPoolPrepareResult **result,
                        GError **error)
{
  WsPoolStatus *status = NULL;
  if (!on_worker(call, run_pool_prepare, params, (void **)&status, error))
    return false;
  *result = ws_rpc_pool_prepare_result_new();
  (*result)->status = status;
  return true;
}

static bool run_pool_refresh(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  const WsRpcPoolRefresh *params = w->params;
  return storage_pool_refresh(w->storage, params->pool, (WsRpcPoolRefreshResult **)&w->result, error);
}

bool serve_pool_refresh(RpcCall *call, const WsRpcPoolRefresh *params, WsRpcPoolRefreshResult **result,
                        GError **error)
{
  return on_worker(call, run_pool_refresh, params, (void **)result, error);
}

static bool run_pool_remove(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  const WsRpcPoolRemove *params = w->params;
  return storage_pool_remove(w->storage, params->pool, params->keep, error);
}

bool serve_pool_remove(RpcCall *call, const WsRpcPoolRemove *params, GError **error)
{
  return on_worker(call, run_pool_remove, params, NULL, error);
}

static bool run_pool_keep(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return storage_pool_keep(w->storage, w->params, w->came_at, error);
}

bool serve_pool_keep(RpcCall *call, const WsRpcPoolKeep *params, GError **error)
{
  return on_worker(call, run_pool_keep, params, NULL, error);
}

static bool run_pool_check(AgentJob *job, void *arg, GError **error)
{
  Work *w = arg;
  return storage_pool_check(w->storage, w->params, (WsRpcPoolCheckResult **)&w->result, error);
}

bool serve_pool_check(RpcCall *call, const WsRpcPoolCheck *params, WsRpcPoolCheckResult **result,
                      GError **error)
{
  return on_worker(call, run_pool_check, params, (void **)result, error);
}

/* On the watch thread. */
static void on_changed(WsId pool, const WsPoolStatus *status, const char *const *appeared,
                       const char *const *vanished, void *arg)
{
  WsRpcPoolChanged *params = ws_rpc_pool_changed_new();
  params->pool = pool;
  params->status = ws_pool_status_copy(status);
  for (; *appeared && params->appeared.len < 1024; appeared++)
    ws_array_add(&params->appeared, g_strdup(*appeared));
  for (; *vanished && params->vanished.len < 1024; vanished++)
    ws_array_add(&params->vanished, g_strdup(*vanished));
  agent_notify(arg, &rpc_method_pool_changed, params);
}

/* ---- the room ---- */

bool storage_room_start(Agent *agent, GError **error)
{
  g_autofree char *state = g_build_filename(agent->config.state_dir, STATE_FOLDER, NULL);
  if (g_mkdir(state, 0700) < 0 && errno != EEXIST)
    return ws_fail(error, WS_ERROR_IO_ERROR, "path", state, "cause", g_strerror(errno), NULL);
  StorageConfig config = {.state_dir = state,
                          .allowed_roots = (const char *const *)agent->config.pool_roots,
                          .clock = agent->clock,
                          .changed = on_changed,
                          .changed_arg = agent};
  agent->storage = storage_new(&config, error);
  return agent->storage != NULL;
}

void storage_room_stop(Agent *agent)
{
  g_clear_pointer(&agent->storage, storage_free);
}
