// SPDX-License-Identifier: Apache-2.0
/* The run log of a VM: its host has it, and is asked. */
#include "center/api/view.h"
#include "center/compute/compute.h"
#include "center/verbs.h"

#define LINES_PRESET 1000
#define LINES_MAX    10000
#define ASKED_MAX    8 /* of one host at a time: one that hangs holds so many readers up until their deadline, and no more of the manager */

static bool begin_asking(Center *center, WsId host, GError **error)
{
  guint *n = g_hash_table_lookup(center->logs_asked, &host);
  if (n && *n >= ASKED_MAX)
    return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
  if (!n) {
    n = g_new0(guint, 1);
    g_hash_table_insert(center->logs_asked, g_memdup2(&host, sizeof host), n);
  }
  (*n)++;
  return true;
}

static void end_asking(Center *center, WsId host)
{
  guint *n = g_hash_table_lookup(center->logs_asked, &host);
  if (n && --*n == 0)
    g_hash_table_remove(center->logs_asked, &host);
}

bool vm_log(const ApiView *view, void **result, GError **error)
{
  const WsVm *vm = view->object;
  gint64 lines;
  if (!api_view_query_int(view, "lines", 1, LINES_MAX, LINES_PRESET, &lines, error))
    return false;
  RpcLink *link = hosts_link(view->center, vm->host, error);
  g_autoptr(WsRpcVmLogResult) log = NULL;
  const WsRpcVmLog params = {.vm = vm->id, .uuid = vm->uuid, .lines = lines};
  WsId host = vm->host;
  if (!link || !begin_asking(view->center, host, error))
    return false;
  bool told = rpc_vm_log(link, &params, &log, NULL, NULL, NULL, error);
  end_asking(view->center, host);
  if (!told)
    return false;
  WsVmLogResult *answer = ws_vm_log_result_new();
  answer->host = host;
  answer->text = g_steal_pointer(&log->text);
  answer->lines = log->lines;
  answer->more = log->more;
  *result = answer;
  return true;
}
