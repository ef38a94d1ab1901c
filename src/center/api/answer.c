// SPDX-License-Identifier: Apache-2.0
/* Answers: JSON bodies, ETags, the one error shape. Any thread. */
#include "center/api/call-private.h"
#include "model/texts.h"

void api_answer_headers(HttpCall *http, const char *request_id)
{
  http_call_add_header(http, "x-request-id", request_id);
  http_call_add_header(http, "cache-control", "no-store");
}

void api_answer_json(HttpCall *http, const char *request_id, int status, GString *body, Revision etag,
                     const char *location)
{
  api_answer_headers(http, request_id);
  if (etag) {
    g_autofree char *text = g_strdup_printf("\"%" G_GUINT64_FORMAT "\"", etag);
    http_call_add_header(http, "etag", text);
  }
  if (location)
    http_call_add_header(http, "location", location);
  g_autoptr(GBytes) bytes = body ? g_string_free_to_bytes(body) : NULL;
  http_call_answer(http, status, body ? "application/json" : NULL, bytes);
}

static void write_params(WsJsonWriter *w, const GError *error)
{
  ws_json_key(w, "params");
  ws_json_begin_object(w);
  for (guint i = 0; i < ws_error_n_params(error); i++) {
    const char *name, *value;
    ws_error_nth_param(error, i, &name, &value);
    ws_json_key(w, name);
    ws_json_string(w, value);
  }
  ws_json_end_object(w);
}

static void write_optional(WsJsonWriter *w, const char *key, const char *value)
{
  if (!value)
    return;
  ws_json_key(w, key);
  ws_json_string(w, value);
}

GString *api_error_json(const char *request_id, WsLang lang, const GError *error, const char *task)
{
  g_autofree char *message = ws_error_in_words(error, lang);
  g_autofree char *hint = ws_error_hint(error, lang);
  g_autofree char *cause = ws_error_cause(error) ? ws_phrase(ws_error_cause(error), lang) : NULL;
  GString *out = g_string_sized_new(256);
  WsJsonWriter w = ws_json_writer(out);
  ws_json_begin_object(&w);
  ws_json_key(&w, "code");
  ws_json_string(&w, ws_error_code_name(ws_error_code(error)));
  ws_json_key(&w, "message");
  ws_json_string(&w, message);
  write_optional(&w, "field", ws_error_field(error));
  write_optional(&w, "cause", cause);
  write_optional(&w, "hint", hint);
  write_optional(&w, "task", task);
  write_params(&w, error);
  ws_json_key(&w, "request_id");
  ws_json_string(&w, request_id);
  ws_json_end_object(&w);
  return out;
}

void api_answer_error(HttpCall *http, const char *request_id, WsLang lang, const GError *error, const char *task)
{
  int status = ws_error_http_status(ws_error_code(error));
  const char *seconds = ws_error_param(error, "seconds");
  if (status == 429 || status == 503)
    http_call_add_header(http, "retry-after", status == 429 && seconds ? seconds : "5");
  if (status == 401)
    http_call_add_header(http, "www-authenticate", "Bearer realm=\"winsphere\"");
  api_answer_json(http, request_id, status, api_error_json(request_id, lang, error, task), 0, NULL);
}

static void set_answer(ApiCall *call, int status, GString *body)
{
  g_assert(call->status == 0);
  call->status = status;
  call->answer = body;
}

bool api_call_answer_value(ApiCall *call, int status, const WsType *type, const void *object)
{
  const WsResource *resource = object;
  GString *body = g_string_sized_new(1024);
  WsJsonWriter w = ws_json_writer(body);
  char id[WS_ID_TEXT_MAX];
  ws_object_write(type, object, WS_WRITE_CLIENT, NULL, &w);
  set_answer(call, status, body);
  if (!(type->flags & WS_TYPE_RESOURCE)) {
    call->answer_private = true; /* a result that is no object of the inventory */
    return true;
  }
  call->etag = resource->revision;
  if (status == 201 || status == 202)
    call->location =
        g_strdup_printf("/api/v1/%s/%s", type->plural, ws_id_format(type->prefix, resource->id, id));
  return true;
}

bool api_call_answer_made(ApiCall *call, const WsType *type, void *copy)
{
  WsResource *resource = copy;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const WsResource *published = inv_find(snap, type, resource->id);
  if (published)
    resource->revision = published->revision;
  call->answer_private = true;
  return api_call_answer_value(call, 201, type, copy);
}

bool api_call_answer_object(ApiCall *call, int status, const WsType *type, WsId id, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  const void *object = inv_find(snap, type, id);
  if (!object) {
    char text[WS_ID_TEXT_MAX];
    return ws_fail(error, WS_ERROR_NOT_FOUND, "object", ws_id_format(type->prefix, id, text), NULL);
  }
  return api_call_answer_value(call, status, type, object);
}

bool api_call_answer_json(ApiCall *call, int status, GString *body)
{
  set_answer(call, status, body);
  call->answer_private = true;
  return true;
}

bool api_call_answer_none(ApiCall *call)
{
  set_answer(call, 204, NULL);
  return true;
}

void api_write_texts(WsJsonWriter *w, const char *key, char *const *texts)
{
  ws_json_key(w, key);
  ws_json_begin_array(w);
  for (; texts && *texts; texts++)
    ws_json_string(w, *texts);
  ws_json_end_array(w);
}

static void write_shown(ApiCall *call, WsJsonWriter *w)
{
  const TaskShown *shown = &call->dry_shown;
  if (!shown->name)
    return;
  if (shown->in_words)
    shown->in_words(shown->object, call->lang);
  ws_json_key(w, shown->name);
  ws_object_write(shown->type, shown->object, WS_WRITE_CLIENT, NULL, w);
}

void api_write_dry(WsJsonWriter *w, ApiCall *call)
{
  api_write_texts(w, "steps", call->dry_steps);
  if (call->dry_waits && *call->dry_waits)
    api_write_texts(w, "waits_for_restart", call->dry_waits);
  write_shown(call, w);
}

bool api_call_answer_dry(ApiCall *call, const char *const *steps)
{
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  call->dry_steps = g_strdupv((char **)steps);
  ws_json_begin_object(&w);
  ws_json_key(&w, "dry_run");
  ws_json_bool(&w, true);
  api_write_dry(&w, call);
  ws_json_end_object(&w);
  set_answer(call, 200, body);
  return true;
}

bool api_call_answer_results(ApiCall *call, GString *body)
{
  set_answer(call, 200, body);
  return true;
}
