// SPDX-License-Identifier: Apache-2.0
/* Answering views. See view.h. */
#include "center/api/view.h"
#include "center/api/call-private.h"

const char *api_view_query(const ApiView *view, const char *name)
{
  return view->call ? http_call_query(view->call->http, name) : NULL;
}

bool api_view_query_int(const ApiView *view, const char *name, gint64 min, gint64 max, gint64 preset, gint64 *value,
                        GError **error)
{
  const char *text = api_view_query(view, name);
  char low[24], high[24];
  *value = preset;
  if (!text || g_ascii_string_to_signed(text, 10, min, max, value, NULL))
    return true;
  g_snprintf(low, sizeof low, "%" G_GINT64_FORMAT, min);
  g_snprintf(high, sizeof high, "%" G_GINT64_FORMAT, max);
  return ws_fail(error, WS_ERROR_OUT_OF_RANGE, "field", name, "min", low, "max", high, NULL);
}

bool api_view_may_read(const ApiView *view, const WsType *type)
{
  return !view->call || api_identity_may_read(&view->call->identity, type);
}

static bool make(ApiCall *call, const InvSnapshot *snap, void **result, GError **error)
{
  ApiView view = {call->center, snap, NULL, call};
  char id[WS_ID_TEXT_MAX];
  if (call->target && !(view.object = inv_find(snap, call->route->type, call->target)))
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(call->route->type->prefix, call->target, id), NULL);
  return call->route->view(&view, result, error);
}

static void answer(void *arg)
{
  g_autoptr(ApiCall) call = arg;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  g_autoptr(GError) error = NULL;
  void *result = NULL;
  if (!make(call, snap, &result, &error)) {
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
    return;
  }
  GString *body = g_string_sized_new(1024);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(call->route->result, result, WS_WRITE_CLIENT, NULL, &w);
  ws_object_free(call->route->result, result);
  api_answer_json(call->http, call->request_id, 200, body, 0, NULL);
}

void api_read_view(ApiCall *call)
{
  ws_workers_run(call->center->workers, NULL, answer, call);
}
