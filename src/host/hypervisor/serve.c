// SPDX-License-Identifier: Apache-2.0
/* The hypervisor in the agent: the manager's calls, each on a worker, and events on their way back.
 *
 * Calls that ask QEMU something are in line with others of the same VM, so that a frozen one costs one thread however often it is
 * asked; each has its deadline, after which the call fails and the thread stays with libvirt until that answers. To cut the power
 * waits for no other call: it is the way out. */
#include "base/error.h"
#include "host/agent.h"
#include "host/hypervisor/hypervisor-private.h"
#include "host/hypervisor/missed.h"
#include "host/hypervisor/serve-private.h"
#include "host/node/node.h"
#include "host/storage/storage.h"
#include "rpc/methods.h"
#include <glib/gstdio.h>

#define SEED_FOLDER   "seeds"
#define SERIAL_FOLDER "serial"
#define MOVE_FOLDER   "/run/winsphere/moves"
#define RUN_LOG_FOLDER "/var/log/libvirt/qemu" /* libvirt's own, fixed when it is built */
#define LEASE_FOLDER  "leases"
#define STARTED_FILE  "/run/winsphere/started"

/* ---- one call ---- */

typedef struct Work Work;
typedef bool (*Run)(Work *work, GError **error);
struct Work {
  Hypervisor *hv;  /* referenced */
  RpcCall *call;   /* referenced */
  const RpcMethod *method;
  void *params;    /* a copy: the call may be given up while it runs */
  void *result;
  Run run;
};

static void work_free(void *arg)
{
  Work *work = arg;
  ws_object_free(work->method->params, work->params);
  if (work->result)
    ws_object_free(work->method->result, work->result);
  rpc_call_unref(work->call);
  virt_hv_unref(work->hv);
  g_free(work);
}

static bool run_work(void *arg, GError **error)
{
  Work *work = arg;
  return work->run(work, error);
}

/* key NULL: waits for no other call. */
static bool serve(RpcCall *call, const RpcMethod *method, const void *params, const char *uuid, Run run, void **result, GError **error)
{
  Agent *agent = agent_of_call(call);
  Work *work = g_new(Work, 1);
  *work = (Work){virt_hv_ref(agent->hypervisor), rpc_call_ref(call), method,
                 method->params ? ws_object_copy(method->params, params) : NULL,
                 method->result ? ws_object_new(method->result) : NULL, run};
  g_autofree char *key = uuid ? g_strconcat("vm ", uuid, NULL) : NULL;
  bool ok = key ? ws_co_blocking_keyed(agent->workers, key, run_work, work, work_free, method->deadline_ms, error)
                : ws_co_blocking(agent->workers, run_work, work, work_free, method->deadline_ms, error);
  if (!ok)
    return false;
  if (result)
    *result = g_steal_pointer(&work->result);
  work_free(work);
  return true;
}

/* ---- the same for other files ---- */

typedef struct {
  Hypervisor *hv; /* referenced */
  const RpcMethod *method;
  void *params, *result;
  VirtServe run;
} Job;

static void job_free(void *arg)
{
  Job *job = arg;
  ws_object_free(job->method->params, job->params);
  if (job->result)
    ws_object_free(job->method->result, job->result);
  virt_hv_unref(job->hv);
  g_free(job);
}

static bool run_job(void *arg, GError **error)
{
  Job *job = arg;
  return job->run(job->hv, job->params, &job->result, error);
}

bool virt_serve(RpcCall *call, const RpcMethod *method, const void *params, const char *uuid, VirtServe run, void **result,
                GError **error)
{
  Agent *agent = agent_of_call(call);
  Job *job = g_new(Job, 1);
  *job = (Job){virt_hv_ref(agent->hypervisor), method, ws_object_copy(method->params, params), NULL, run};
  g_autofree char *key = uuid ? g_strconcat("vm ", uuid, NULL) : NULL;
  bool ok = key ? ws_co_blocking_keyed(agent->workers, key, run_job, job, job_free, method->deadline_ms, error)
                : ws_co_blocking(agent->workers, run_job, job, job_free, method->deadline_ms, error);
  if (!ok)
    return false;
  if (result)
    *result = g_steal_pointer(&job->result);
  job_free(job);
  return true;
}

/* ---- power: the answer is the state afterwards ---- */

#define SERVE_POWER(name, Name, key)                                                                                   \
  static bool run_##name(Work *w, GError **error)                                                                      \
  {                                                                                                                    \
    WsRpcVm##Name##Result *result = w->result;                                                                         \
    return hypervisor_vm_##name(w->hv, w->params, &result->power, error);                                              \
  }                                                                                                                    \
  bool serve_vm_##name(RpcCall *call, const WsRpcVm##Name *params, WsRpcVm##Name##Result **result, GError **error)     \
  {                                                                                                                    \
    return serve(call, &rpc_method_vm_##name, params, key, run_##name, (void **)result, error);                        \
  }

SERVE_POWER(start, Start, params->uuid)
SERVE_POWER(shutdown, Shutdown, params->uuid)
SERVE_POWER(power_off, PowerOff, NULL)
SERVE_POWER(reboot, Reboot, params->uuid)
SERVE_POWER(reset, Reset, params->uuid)
SERVE_POWER(pause, Pause, params->uuid)
SERVE_POWER(resume, Resume, params->uuid)
SERVE_POWER(discard_saved, DiscardSaved, params->uuid)

static void hibernate_progress(gint64 done, gint64 total, void *arg)
{
  rpc_call_progress(arg, done, total, "bytes");
}

static bool run_hibernate(Work *w, GError **error)
{
  WsRpcVmHibernateResult *result = w->result;
  HypervisorOp op = {hibernate_progress, w->call, rpc_call_cancelled(w->call)};
  return hypervisor_vm_hibernate(w->hv, w->params, &op, &result->power, error);
}

bool serve_vm_hibernate(RpcCall *call, const WsRpcVmHibernate *params, WsRpcVmHibernateResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_hibernate, params, params->uuid, run_hibernate, (void **)result, error);
}

static bool run_move_disks(Work *w, GError **error)
{
  HypervisorOp op = {hibernate_progress, w->call, rpc_call_cancelled(w->call)};
  return hypervisor_vm_move_disks(w->hv, w->params, &op, error);
}

static bool run_move_disks_abort(Work *w, GError **error)
{
  g_clear_pointer((WsRpcVmMoveDisksAbortResult **)&w->result, ws_rpc_vm_move_disks_abort_result_free);
  return hypervisor_vm_move_disks_abort(w->hv, w->params, (WsRpcVmMoveDisksAbortResult **)&w->result, error);
}

/* In a line of its own: it lasts, and the VM is used meanwhile. */
bool serve_vm_move_disks(RpcCall *call, const WsRpcVmMoveDisks *params, GError **error)
{
  g_autofree char *line = g_strconcat("disks ", params->uuid, NULL);
  return serve(call, &rpc_method_vm_move_disks, params, line, run_move_disks, NULL, error);
}

bool serve_vm_move_disks_abort(RpcCall *call, const WsRpcVmMoveDisksAbort *params, WsRpcVmMoveDisksAbortResult **result, GError **error)
{
  g_autofree char *line = g_strconcat("disks ", params->uuid, NULL);
  return serve(call, &rpc_method_vm_move_disks_abort, params, line, run_move_disks_abort, (void **)result, error);
}

/* ---- definition: the answer is a report ---- */

#define SERVE_REPORT(name, Name, key)                                                                                  \
  static bool run_##name(Work *w, GError **error)                                                                      \
  {                                                                                                                    \
    WsRpcVm##Name##Result *result = w->result;                                                                         \
    return hypervisor_vm_##name(w->hv, w->params, &result->report, error);                                             \
  }                                                                                                                    \
  bool serve_vm_##name(RpcCall *call, const WsRpcVm##Name *params, WsRpcVm##Name##Result **result, GError **error)     \
  {                                                                                                                    \
    return serve(call, &rpc_method_vm_##name, params, key, run_##name, (void **)result, error);                        \
  }

SERVE_REPORT(define, Define, params->spec->uuid)
SERVE_REPORT(adopt, Adopt, params->uuid)
SERVE_REPORT(get, Get, NULL)

static bool run_update_live(Work *w, GError **error)
{
  WsRpcVmUpdateLiveResult *result = w->result;
  g_autoptr(GPtrArray) refused = NULL;
  if (!hypervisor_vm_update_live(w->hv, w->params, &result->report, &refused, error))
    return false;
  for (guint i = 0; i < refused->len && i < 64; i++)
    ws_array_add(&result->refused, g_strdup(refused->pdata[i]));
  return true;
}

bool serve_vm_update_live(RpcCall *call, const WsRpcVmUpdateLive *params, WsRpcVmUpdateLiveResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_update_live, params, params->spec->uuid, run_update_live, (void **)result, error);
}

/* ---- calls without an answer ---- */

#define SERVE_PLAIN(name, Name)                                                                                        \
  static bool run_##name(Work *w, GError **error)                                                                      \
  {                                                                                                                    \
    return hypervisor_vm_##name(w->hv, w->params, error);                                                              \
  }                                                                                                                    \
  bool serve_vm_##name(RpcCall *call, const WsRpcVm##Name *params, GError **error)                                     \
  {                                                                                                                    \
    return serve(call, &rpc_method_vm_##name, params, params->uuid, run_##name, NULL, error);                          \
  }

SERVE_PLAIN(release, Release)
SERVE_PLAIN(disk_resize, DiskResize)
SERVE_PLAIN(send_keys, SendKeys)
SERVE_PLAIN(set_password, SetPassword)

static bool run_undefine(Work *w, GError **error)
{
  WsRpcVmUndefineResult *result = w->result;
  bool done = hypervisor_vm_undefine(w->hv, w->params, error);
  result->look = virt_look(w->hv);
  return done;
}

bool serve_vm_undefine(RpcCall *call, const WsRpcVmUndefine *params, WsRpcVmUndefineResult **result,
                       GError **error)
{
  return serve(call, &rpc_method_vm_undefine, params, params->uuid, run_undefine, (void **)result, error);
}

/* ---- looking ---- */

static bool run_list(Work *w, GError **error)
{
  g_clear_pointer((WsRpcVmListResult **)&w->result, ws_rpc_vm_list_result_free);
  return hypervisor_vm_list(w->hv, w->params, (WsRpcVmListResult **)&w->result, error);
}

bool serve_vm_list(RpcCall *call, const WsRpcVmList *params, WsRpcVmListResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_list, params, NULL, run_list, (void **)result, error);
}

static bool run_stats(Work *w, GError **error)
{
  g_clear_pointer((WsRpcVmStatsResult **)&w->result, ws_rpc_vm_stats_result_free);
  return hypervisor_vm_stats(w->hv, (WsRpcVmStatsResult **)&w->result, error);
}

bool serve_vm_stats(RpcCall *call, WsRpcVmStatsResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_stats, NULL, NULL, run_stats, (void **)result, error);
}

static bool run_get_xml(Work *w, GError **error)
{
  WsRpcVmGetXmlResult *result = w->result;
  return hypervisor_vm_get_xml(w->hv, w->params, &result->xml, error);
}

bool serve_vm_get_xml(RpcCall *call, const WsRpcVmGetXml *params, WsRpcVmGetXmlResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_get_xml, params, NULL, run_get_xml, (void **)result, error);
}

static bool run_screenshot(Work *w, GError **error)
{
  WsRpcVmScreenshotResult *result = w->result;
  g_autoptr(GBytes) png = NULL;
  if (!hypervisor_vm_screenshot(w->hv, w->params, &png, error))
    return false;
  result->png = g_base64_encode(g_bytes_get_data(png, NULL), g_bytes_get_size(png));
  return true;
}

bool serve_vm_screenshot(RpcCall *call, const WsRpcVmScreenshot *params, WsRpcVmScreenshotResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_screenshot, params, params->uuid, run_screenshot, (void **)result, error);
}

static bool run_log(Work *w, GError **error)
{
  return hypervisor_vm_log(w->hv, w->params, w->result, error);
}

/* Without the VM's key: it can be read while a call on a frozen QEMU hangs. */
bool serve_vm_log(RpcCall *call, const WsRpcVmLog *params, WsRpcVmLogResult **result, GError **error)
{
  return serve(call, &rpc_method_vm_log, params, NULL, run_log, (void **)result, error);
}

/* ---- console: the stream is dialled when the guest's end is open ---- */

static bool run_console_open(Work *w, GError **error)
{
  return virt_serve_console(agent_of_call(w->call), w->hv, w->params, error);
}

bool serve_vm_console_open(RpcCall *call, const WsRpcVmConsoleOpen *params, GError **error)
{
  return serve(call, &rpc_method_vm_console_open, params, params->uuid, run_console_open, NULL, error);
}

/* ---- the room ---- */

static char *pool_file(void *arg, WsId pool, const char *file, GError **error)
{
  return storage_volume_path(((Agent *)arg)->storage, pool, file, error);
}

static bool find_pool(void *arg, const char *path, WsId *pool, char **file)
{
  const char *name;
  if (!storage_find_volume(((Agent *)arg)->storage, path, pool, &name))
    return false;
  *file = g_strdup(name);
  return true;
}

static void on_event(WsRpcVmEvent *event, void *arg)
{
  missed_tell(arg, event);
}

static void on_report(WsRpcVmReport *page, void *arg)
{
  agent_notify(arg, &rpc_method_vm_report, page);
}

static void on_versions(const char *libvirt, const char *qemu, void *arg)
{
  Agent *agent = arg;
  node_tell_version(agent->node, NODE_LIBVIRT, libvirt);
  node_tell_version(agent->node, NODE_QEMU, qemu);
}

static void on_guest_cpu(WsHostGuestCpu *cpu, void *arg)
{
  node_tell_guest_cpu(((Agent *)arg)->node, cpu);
}

/* A folder beside the agent's own state, which nobody else may enter: QEMU opens files there, virtlogd writes some. */
static char *own_folder(Agent *agent, const char *name, int mode, GError **error)
{
  g_autofree char *parent = g_path_get_dirname(agent->config.state_dir);
  g_autofree char *path = g_build_filename(parent, name, NULL);
  if (g_mkdir_with_parents(path, mode) == 0)
    return g_steal_pointer(&path);
  ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", g_strerror(errno), NULL);
  return NULL;
}

bool hypervisor_room_start(Agent *agent, GError **error)
{
  g_autofree char *seeds = own_folder(agent, SEED_FOLDER, 0711, error);
  g_autofree char *serial = seeds ? own_folder(agent, SERIAL_FOLDER, 0700, error) : NULL;
  g_autofree char *leases = serial ? own_folder(agent, LEASE_FOLDER, 0700, error) : NULL;
  if (!leases)
    return false;
  const HypervisorConfig config = {
    .uri = agent->config.libvirt_uri,
    .clock = agent->clock,
    .workers = agent->workers,
    .seed_dir = seeds,
    .serial_log_dir = serial,
    .run_log_dir = RUN_LOG_FOLDER,
    .move_dir = MOVE_FOLDER,
    .move_emulated_live = agent->config.move_emulated_live,
    .lease_dir = leases,
    .started_file = STARTED_FILE,
    .tls = agent->tls,
    .storage = agent->storage,
    .pool_file = pool_file,
    .find_pool = find_pool,
    .on_event = on_event,
    .on_report = on_report,
    .on_versions = on_versions,
    .on_guest_cpu = on_guest_cpu,
    .arg = agent,
  };
  agent->hypervisor = hypervisor_new(&config);
  return true;
}

void hypervisor_room_stop(Agent *agent)
{
  g_clear_pointer(&agent->hypervisor, hypervisor_free);
  missed_free(agent);
}

/* The manager reads the list itself when a host's link comes up. */
void hypervisor_room_link_up(Agent *agent)
{
  missed_send(agent);
  hypervisor_check_leases(agent->hypervisor);
}
