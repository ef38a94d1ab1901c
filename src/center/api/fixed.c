// SPDX-License-Identifier: Apache-2.0
/* The fixed routes and the small ones among them. See fixed.h. */
#include "center/api/fixed.h"
#include "center/pki.h"
#include "model/openapi.h"

static const struct {
  const char *operation;
  ApiFixed func;
} fixed_routes[] = {
    {"openapi", fixed_openapi},
    {"health", fixed_health},
    {"ca", fixed_ca},
    {"whoami", fixed_whoami},
    {"watch", fixed_watch},
    {"metrics", fixed_metrics},
    {"agent", fixed_agent},
    {"agent_stream", fixed_agent_stream},
    {"console", fixed_console},
    {"volume_upload", fixed_volume_upload},
    {"volume_download", fixed_volume_download},
};

ApiFixed api_fixed_find(const char *operation)
{
  for (guint i = 0; i < G_N_ELEMENTS(fixed_routes); i++)
    if (strcmp(fixed_routes[i].operation, operation) == 0)
      return fixed_routes[i].func;
  return NULL;
}

void fixed_openapi(ApiCall *call)
{
  g_autoptr(GBytes) text = g_bytes_new_static(ws_openapi_json, ws_openapi_json_bytes);
  http_call_add_header(call->http, "cache-control", "max-age=60");
  http_call_answer(call->http, 200, "application/json", text);
  api_call_free(call);
}

void fixed_health(ApiCall *call)
{
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  bool writable = store_state(call->center->store) == STORE_WRITABLE;
  ws_json_begin_object(&w);
  ws_json_key(&w, "status");
  ws_json_string(&w, writable ? "ok" : "read_only");
  ws_json_key(&w, "version");
  ws_json_string(&w, WS_VERSION);
  ws_json_end_object(&w);
  api_answer_json(call->http, call->request_id, writable ? 200 : 503, body, 0, NULL);
  api_call_free(call);
}

void fixed_ca(ApiCall *call)
{
  g_autoptr(GError) error = NULL;
  char *pem = center_pki_ca_pem(call->center, &error);
  g_autoptr(GBytes) text = pem ? g_bytes_new_take(pem, strlen(pem)) : NULL;
  if (text)
    http_call_answer(call->http, 200, "application/x-pem-file", text);
  else
    api_answer_error(call->http, call->request_id, call->lang, error, NULL);
  api_call_free(call);
}

static void write_rights(WsJsonWriter *w, const char *key, const GPtrArray *rights)
{
  ws_json_key(w, key);
  ws_json_begin_array(w);
  for (guint i = 0; rights && i < rights->len; i++)
    ws_json_string(w, rights->pdata[i]);
  ws_json_end_array(w);
}

static void write_id(WsJsonWriter *w, const char *key, const char *prefix, WsId id)
{
  char text[WS_ID_TEXT_MAX];
  if (!id)
    return;
  ws_json_key(w, key);
  ws_json_string(w, ws_id_format(prefix, id, text));
}

void fixed_whoami(ApiCall *call)
{
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  const ApiIdentity *me = &call->identity;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  ws_json_begin_object(&w);
  ws_json_key(&w, "name");
  ws_json_string(&w, me->name);
  write_id(&w, "user", ws_type_user.prefix, me->user);
  write_id(&w, "session", ws_type_session.prefix, me->session);
  write_id(&w, "token", ws_type_api_token.prefix, me->token);
  write_rights(&w, "permissions", me->rights);
  if (me->bound)
    write_rights(&w, "bound", me->bound);
  ws_json_key(&w, "revision");
  ws_json_uint(&w, inv_snapshot_revision(snap));
  ws_json_end_object(&w);
  api_answer_json(call->http, call->request_id, 200, body, 0, NULL);
  api_call_free(call);
}
