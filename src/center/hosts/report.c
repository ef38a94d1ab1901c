// SPDX-License-Identifier: Apache-2.0
/* What hosts say of themselves: facts on connect and when devices change, load every few seconds. */
#include "base/text.h"
#include "center/api/call.h"
#include "center/domains.h"
#include "center/hosts/hosts.h"
#include "center/hosts/versions.h"
#include "center/room.h"
#include "model/model.h"
#include "plan/estate.h"
#include "plan/nics.h"
#include "rpc/methods.h"
#include "center/verbs.h"

/* A host of a cluster whose processor shows less than the others', or less than before. */
static void tell_lower_cpu(Center *center, WsId id, const WsHostGuestCpu *before)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsHost *host = inv_find(snap, &ws_type_host, id);
  const WsHostGuestCpu *now = host && host->facts ? host->facts->guest_cpu : NULL;
  if (!now || !host->cluster || (before && ws_host_guest_cpu_equal(before, now)))
    return;
  g_auto(GStrv) lowered = room_cpu_lowered(snap, host->cluster, host);
  g_autofree char *names = plan_cpu_names(lowered);
  if (lowered[0])
    center_event(center, CENTER_MINOR, &ws_type_cluster, host->cluster, "host report", "cpu_baseline_lower", "host", host->name, "features", names,
                 NULL);
}

/* Shown, and told once: what an older one cannot do it refuses by itself (docs/architecture.md, Versions). */
static void tell_version(Center *center, WsId id, const char *before, const char *agent)
{
  int order = ws_version_compare(agent, WS_VERSION);
  const char *kind = order < 0 ? "host_agent_older" : "host_agent_newer";
  center_alarm_close(center, &ws_type_host, id, order < 0 ? "host_agent_newer" : "host_agent_older");
  if (order == 0) {
    center_alarm_close(center, &ws_type_host, id, kind);
    return;
  }
  center_alarm_open(center, CENTER_MINOR, &ws_type_host, id, kind);
  if (g_strcmp0(before, agent) != 0)
    center_event(center, CENTER_MINOR, &ws_type_host, id, "host report", kind, "agent", agent, "manager", WS_VERSION, NULL);
}

static bool take_facts(Center *center, WsId id, const WsHostFacts *facts, GError **error)
{
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsHost *host = facts ? inv_edit_id(txn, &ws_type_host, id) : NULL;
  if (!host)
    return true;
  bool first = !host->facts;
  g_autoptr(WsHostGuestCpu) before = host->facts && host->facts->guest_cpu ? ws_host_guest_cpu_copy(host->facts->guest_cpu) : NULL;
  g_autoptr(WsHostVersions) versions =
      host->facts && host->facts->versions ? ws_host_versions_copy(host->facts->versions) : NULL;
  ws_host_facts_free(host->facts);
  host->facts = ws_host_facts_copy(facts);
  if ((int)facts->architecture)
    host->architecture = (int)facts->architecture;
  g_autofree char *agent_before = g_strdup(host->agent_version), *agent = NULL;
  if (facts->versions && facts->versions->agent) {
    agent = g_strdup(facts->versions->agent);
    g_free(host->agent_version);
    host->agent_version = g_strdup(facts->versions->agent);
  }
  plan_nics_judge(host);
  if (!inv_commit(txn, NULL, error))
    return false;
  tell_lower_cpu(center, id, before);
  host_versions_told(center, id, versions, facts->versions);
  if (agent)
    tell_version(center, id, agent_before, agent);
  if (first)
    hosts_report_check(center, id);
  return true;
}

/* What NICs are for is judged in the transaction that says it, as it is when the machine changes. */
static bool host_updated(InvTxn *txn, const InvSnapshot *head, const void *before, void *after, GError **error)
{
  if (plan_nics_named_twice(after))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "nic_roles", "expected", "each NIC once", NULL);
  plan_nics_judge(after);
  return true;
}

bool host_update(ApiCall *call, GError **error)
{
  return api_call_update(call, host_updated, error);
}

static bool resync_facts(Center *center, WsId host, RpcLink *link, GError **error)
{
  g_autoptr(WsRpcHostFactsResult) result = NULL;
  return rpc_host_facts(link, &result, NULL, NULL, NULL, error) && take_facts(center, host, result->facts, error);
}

bool serve_host_facts_changed(RpcCall *call, const WsRpcHostFactsChanged *params, GError **error)
{
  return take_facts(hosts_center_of_call(call), hosts_of_call(call), params->facts, error);
}

bool serve_host_load(RpcCall *call, const WsRpcHostLoad *params, GError **error)
{
  Center *center = hosts_center_of_call(call);
  g_autoptr(InvTxn) txn = inv_begin(center->inventory);
  WsHost *host = inv_edit_id(txn, &ws_type_host, hosts_of_call(call));
  if (!host)
    return true;
  bool news = !host->load || host->load->libvirt_down != params->load->libvirt_down; /* also the first after a start of this manager */
  if (host->load)
    ws_host_load_free(host->load);
  host->load = ws_host_load_copy(params->load);
  host->cpu_recent_percent =
      plan_mean_recent(host->cpu_recent_percent, params->load->cpu_percent, params->load->interval_ms);
  if (params->load->sampled)
    host->clock_offset_ms = (params->load->sampled - ws_clock_wall_us(center->clock)) / 1000;
  if (!inv_commit(txn, NULL, error))
    return false;
  if (news && params->load->libvirt_down)
    center_alarm_open(center, CENTER_MAJOR, &ws_type_host, hosts_of_call(call), "libvirt_down");
  else if (news)
    center_alarm_close(center, &ws_type_host, hosts_of_call(call), "libvirt_down");
  return true;
}

/* ---- verb sync: all of it again ---- */

static bool sync_step(Task *task, void *ctx, GError **error)
{
  return hosts_resync(task_center(task), *(WsId *)ctx, error);
}

bool host_sync(Task *task, GError **error)
{
  WsId id = task_target(task);
  TaskLockRef lock = {&ws_type_host, id, true};
  return task_find_target(task, error) && (task_is_resumed(task) || hosts_link(task_center(task), id, error)) &&
         task_lock(task, &lock, 1, error) && TASK_STEP(task, "read", sync_step, NULL, &id, error);
}

void hosts_start(Center *center)
{
  hosts_add_resync(center, resync_facts);
  hosts_watch_removals(center);
}
