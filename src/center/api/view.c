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

bool api_view_query_ids(const ApiView *view, const char *name, const WsType *type, GArray *ids, GError **error)
{
  const char *text = api_view_query(view, name);
  g_auto(GStrv) words = g_strsplit(text ? text : "", ",", -1);
  for (guint i = 0; text && words[i]; i++) {
    WsId id;
    g_autofree char *expected = g_strdup_printf("a list of ids such as %s-1,%s-2", type->prefix, type->prefix);
    if (!ws_id_parse(type->prefix, g_strstrip(words[i]), &id))
      return ws_fail(error, WS_ERROR_BAD_VALUE, "field", name, "expected", expected, NULL);
    if (!inv_find(view->snap, type, id))
      return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", name, "object", words[i], NULL);
    g_array_append_val(ids, id);
  }
  return true;
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
  ApiCall *call = arg;
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

static void answer_and_free(void *arg)
{
  answer(arg);
  api_call_free(arg);
}

/* ---- views that ask a host ---- */

static void answer_in_coroutine(void *arg)
{
  Center *center = ((ApiCall *)arg)->center;
  answer_and_free(arg);
  g_atomic_int_add(&center->n_calls, -1);
}

static void start_answer(void *arg)
{
  ws_co_start(((ApiCall *)arg)->center->loop, answer_in_coroutine, arg);
}

void api_read_view(ApiCall *call)
{
  if (!call->route->asks_host) {
    ws_workers_run(call->center->workers, NULL, answer_and_free, call);
    return;
  }
  g_atomic_int_inc(&call->center->n_calls);
  ws_loop_post(call->center->loop, start_answer, call, NULL);
}
