// SPDX-License-Identifier: Apache-2.0
/* The verbs of tasks: cancel and abandon. All else about them is the engine's (src/task). */
#include "center/api/call.h"
#include "center/verbs.h"
#include "model/model.h"

bool task_request_cancel(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!api_call_find_target(call, head, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"cancel", NULL});
  return task_cancel(center->tasks, api_call_target(call), api_call_identity(call)->name, error) &&
         api_call_answer_object(call, 200, &ws_type_task, api_call_target(call), error);
}

bool task_request_abandon(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!api_call_find_target(call, head, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"abandon", NULL});
  return task_abandon(center->tasks, api_call_target(call), api_call_identity(call)->name, error) &&
         api_call_answer_object(call, 200, &ws_type_task, api_call_target(call), error);
}
