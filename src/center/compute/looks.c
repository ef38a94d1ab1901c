// SPDX-License-Identifier: Apache-2.0
/* What is older than what is known is not taken in. A host's answers, events and lists overtake each other: they are made on different
 * threads there, and a list is long on its way. Each says of which look at the VM it is (Power.look); here the newest one of each VM is kept
 * as long as the host's link, for a new link may be a new run of the agent, which counts anew.
 *
 * So a VM that is missing in a list is gone only if nothing newer told of it, and one that is in a list is there only if nothing newer
 * told of its end. What is dropped here is lost to nobody: the newer look has been taken in. */
#include "center/compute/compute.h"
#include "center/bin.h"

bool compute_is_news(Center *center, WsId host, const char *uuid, gint64 look)
{
  GHashTable *looks = hosts_looks(center, host);
  const gint64 *known = looks && uuid ? g_hash_table_lookup(looks, uuid) : NULL;
  return !known || look == WS_INT_UNSET || look >= *known;
}

void compute_note_look(Center *center, WsId host, const char *uuid, gint64 look)
{
  GHashTable *looks = hosts_looks(center, host);
  if (looks && uuid && look != WS_INT_UNSET && compute_is_news(center, host, uuid, look))
    g_hash_table_replace(looks, g_strdup(uuid), g_memdup2(&look, sizeof look));
}

bool compute_undefine(Center *center, WsId host, const WsRpcVmUndefine *params, GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  g_autoptr(WsRpcVmUndefineResult) result = NULL;
  if (!link || !rpc_vm_undefine(link, params, &result, NULL, NULL, NULL, error))
    return false;
  compute_note_look(center, host, params->uuid, result->look);
  bin_seen_undefined(center, 0, params->uuid); /* the event that says it is older than this answer, and not taken */
  return true;
}

bool compute_define(Center *center, WsId host, const WsRpcVmDefine *params, volatile gint *cancel, WsVmReport **report, GError **error)
{
  RpcLink *link = hosts_link(center, host, error);
  g_autoptr(WsRpcVmDefineResult) result = NULL;
  if (!link || !rpc_vm_define(link, params, &result, NULL, NULL, cancel, error))
    return false;
  if (result->report->power)
    compute_note_look(center, host, params->spec->uuid, result->report->power->look);
  if (report)
    *report = g_steal_pointer(&result->report);
  return true;
}
