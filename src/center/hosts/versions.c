// SPDX-License-Identifier: Apache-2.0
/* The history of a host's software. What its package manager did the host is asked for. A change of what the
 * platform stands on (system, kernel, agent, libvirt, QEMU, Open vSwitch) becomes an event: a version that is
 * not told for a while (libvirt restarts, the agent has not met it yet) has not changed, so what was told
 * last is kept in memory; it begins with what the inventory has. */
#include "center/hosts/versions.h"
#include "center/api/view.h"
#include "center/hosts/hosts.h"
#include "center/verbs.h"
#include "rpc/methods.h"

#define ASKED_MAX                                                                                            \
  16 /* hosts asked at a time: some that hang hold so many readers up until their deadline, and no more of   \
        the manager */

/* ---- changes of versions ---- */

typedef struct {
  const char *what; /* as people call it */
  char **before, **now;
} Version;

/* NULL is what is not told. */
static void tell(Center *center, WsId host, const Version *version)
{
  if (*version->before && *version->now && g_strcmp0(*version->before, *version->now) != 0)
    center_event(center, CENTER_INFO, &ws_type_host, host, "host report", "host_version_changed", "what",
                 version->what, "before", *version->before, "version", *version->now, NULL);
  if (*version->now) {
    g_free(*version->before);
    *version->before = g_strdup(*version->now);
  }
}

void host_versions_told(Center *center, WsId host, const WsHostVersions *before, const WsHostVersions *now)
{
  if (!center->host_versions)
    center->host_versions =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)ws_host_versions_free);
  WsHostVersions *kept = g_hash_table_lookup(center->host_versions, &host);
  if (!kept) {
    kept = before ? ws_host_versions_copy(before) : ws_host_versions_new();
    g_hash_table_insert(center->host_versions, g_memdup2(&host, sizeof host), kept);
  }
  if (!now)
    return;
  g_autoptr(WsHostVersions) told = ws_host_versions_copy(now);
  const Version versions[] = {
      {"operating system", &kept->os, &told->os}, {"Linux kernel", &kept->kernel, &told->kernel},
      {"host agent", &kept->agent, &told->agent}, {"libvirt", &kept->libvirt, &told->libvirt},
      {"QEMU", &kept->qemu, &told->qemu},         {"Open vSwitch", &kept->ovs, &told->ovs}};
  for (guint i = 0; i < G_N_ELEMENTS(versions); i++)
    tell(center, host, &versions[i]);
}

void host_versions_forget(Center *center, WsId host)
{
  if (center->host_versions)
    g_hash_table_remove(center->host_versions, &host);
}

/* ---- what its package manager did ---- */

bool host_packages(const ApiView *view, void **result, GError **error)
{
  const WsHost *host = view->object;
  Center *center = view->center;
  g_autoptr(WsRpcHostPackagesResult) told = NULL;
  RpcLink *link = hosts_link(center, host->id, error);
  if (!link)
    return false;
  if (center->packages_asked >= ASKED_MAX)
    return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
  center->packages_asked++;
  bool ok = rpc_host_packages(link, &told, NULL, NULL, NULL, error);
  center->packages_asked--;
  if (!ok)
    return false;
  *result = told->packages ? g_steal_pointer(&told->packages) : ws_host_packages_new();
  return true;
}
