// SPDX-License-Identifier: Apache-2.0
/* The life of an ApiCall and what its functions may ask of it. See call.h. */
#include "center/api/call-private.h"
#include "center/auth/audit.h"

ApiCall *api_call_new(Center *center, HttpCall *http, const WsRoute *route, WsId target)
{
  ApiCall *call = g_new0(ApiCall, 1);
  call->center = center;
  call->http = http_call_ref(http);
  call->route = route;
  call->target = target;
  call->object = target;
  call->object_type = route->type;
  return call;
}

/* No id of a request has a slash, so the part's is nobody else's. */
ApiCall *api_call_new_part(ApiCall *call, const WsRoute *route, WsId target, guint number)
{
  ApiCall *part = api_call_new(call->center, call->http, route, target);
  const ApiIdentity *from = &call->identity;
  part->identity = (ApiIdentity){from->user,
                                 g_strdup(from->name),
                                 from->session,
                                 from->token,
                                 from->rights ? g_ptr_array_ref(from->rights) : NULL,
                                 from->bound ? g_ptr_array_ref(from->bound) : NULL};
  g_snprintf(part->request_id, sizeof part->request_id, "%s/%u", call->request_id, number);
  part->lang = call->lang;
  part->dry_run = call->dry_run;
  part->is_part = true;
  part->if_match_any = true;
  return part;
}

void api_call_free(ApiCall *call)
{
  if (!call)
    return;
  if (call->body)
    ws_object_free(call->body_type, call->body);
  g_free(call->identity.name);
  g_clear_pointer(&call->identity.rights, g_ptr_array_unref);
  g_clear_pointer(&call->identity.bound, g_ptr_array_unref);
  g_free(call->patch);
  g_free(call->idempotency_key);
  g_free(call->request_hash);
  g_free(call->key_hash);
  g_free(call->task_text);
  g_clear_error(&call->refused);
  if (call->answer)
    g_string_free(call->answer, TRUE);
  if (call->answer_short)
    g_string_free(call->answer_short, TRUE);
  g_strfreev(call->dry_steps);
  g_strfreev(call->dry_waits);
  task_shown_clear(&call->dry_shown);
  g_clear_pointer(&call->batch, ws_batch_free);
  g_free(call->location);
  http_call_unref(call->http);
  g_free(call);
}

/* "17" or W/"17" as we write them; "*" and absence match all. */
static bool read_if_match(ApiCall *call, GError **error)
{
  const char *text = http_call_header(call->http, "if-match");
  call->if_match_any = true;
  if (!text || strcmp(text, "*") == 0)
    return true;
  char *end = NULL;
  guint64 revision = *text == '"' ? g_ascii_strtoull(text + 1, &end, 10) : 0;
  if (revision == 0 || !end || strcmp(end, "\"") != 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "If-Match", "expected", "an ETag of this API, such as \"42\"", NULL);
  call->if_match = revision;
  call->if_match_any = false;
  return true;
}

#define REQUEST_ID_MAX 47 /* as many as clients had always; a part's number has room behind it */

/* A client may name its request; the name ends in logs and audit, so it is kept plain. */
static void read_request_id(ApiCall *call)
{
  const char *given = http_call_header(call->http, "x-request-id");
  gsize n = given ? strspn(given, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.") : 0;
  if (n > 0 && n <= REQUEST_ID_MAX && given[n] == '\0')
    g_strlcpy(call->request_id, given, sizeof call->request_id);
  else
    ws_uuid_new(call->center->clock, call->request_id);
}

/* What is not known must not be passed over: with ?dryrun=true somebody wants nothing to happen. */
static bool check_query(ApiCall *call, GError **error)
{
  static const char *const none[] = {NULL};
  const char *const *known = call->route->query ? call->route->query : none;
  for (guint i = 0; i < http_call_query_count(call->http); i++) {
    const char *name, *value;
    http_call_nth_query(call->http, i, &name, &value);
    if (g_strv_contains(known, name)) {
      if (http_call_query(call->http, name) != value)
        return ws_fail(error, WS_ERROR_BAD_VALUE, "field", name, "expected", "a query parameter once", NULL);
      continue;
    }
    if (strcmp(name, "dry_run") == 0)
      return ws_fail(error, WS_ERROR_UNSUPPORTED, "field", name, "what", "a dry run of this call", NULL);
    g_autofree char *all = *known ? g_strjoinv(", ", (char **)known) : NULL;
    return ws_fail(error, WS_ERROR_UNKNOWN_PARAMETER, "field", name, "known", all ? all : "none", NULL);
  }
  return true;
}

bool api_call_read_headers(ApiCall *call, GError **error)
{
  read_request_id(call);
  call->lang = ws_lang_parse(http_call_header(call->http, "accept-language"));
  if (!check_query(call, error))
    return false;
  const char *dry = http_call_query(call->http, "dry_run");
  if (dry && strcmp(dry, "true") != 0 && strcmp(dry, "false") != 0)
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "dry_run", "expected", "true or false", NULL);
  call->dry_run = dry && *dry == 't';
  const char *key = http_call_header(call->http, "idempotency-key");
  if (key && (strlen(key) > 255 || !*key || !g_str_is_ascii(key)))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "Idempotency-Key", "expected", "1 to 255 ASCII characters", NULL);
  call->idempotency_key = g_strdup(key);
  return read_if_match(call, error);
}

/* ---- what call: functions ask ---- */

Center *api_call_center(ApiCall *call)
{
  return call->center;
}

const ApiIdentity *api_call_identity(ApiCall *call)
{
  return &call->identity;
}

const WsRoute *api_call_route(ApiCall *call)
{
  return call->route;
}

WsId api_call_target(ApiCall *call)
{
  return call->target;
}

void *api_call_body(ApiCall *call)
{
  return call->body;
}

const char *api_call_patch(ApiCall *call, gsize *n)
{
  *n = call->patch_bytes;
  return call->patch;
}

bool api_call_is_dry_run(ApiCall *call)
{
  return call->dry_run;
}

const char *api_call_origin(ApiCall *call)
{
  return http_call_peer_address(call->http);
}

const char *api_call_query(ApiCall *call, const char *name)
{
  return http_call_query(call->http, name);
}

const char *api_call_header(ApiCall *call, const char *name)
{
  return http_call_header(call->http, name);
}

void api_call_add_header(ApiCall *call, const char *name, const char *value)
{
  http_call_add_header(call->http, name, value);
}

const char *api_call_user_agent(ApiCall *call)
{
  return http_call_header(call->http, "user-agent");
}

const char *api_call_request_id(ApiCall *call)
{
  return call->request_id;
}

WsLang api_call_lang(ApiCall *call)
{
  return call->lang;
}

const void *api_call_find_target(ApiCall *call, const InvSnapshot *head, GError **error)
{
  char id[WS_ID_TEXT_MAX];
  const WsResource *object = inv_find(head, call->route->type, call->target);
  ws_id_format(call->route->type->prefix, call->target, id);
  if (!object) {
    ws_fail(error, WS_ERROR_NOT_FOUND, "object", id, NULL);
    return NULL;
  }
  if (!call->if_match_any && object->revision != call->if_match) {
    g_autofree char *now = g_strdup_printf("%" G_GUINT64_FORMAT, object->revision);
    ws_fail(error, WS_ERROR_REVISION_MISMATCH, "object", id, "revision", now, NULL);
    return NULL;
  }
  return object;
}

InvTxn *api_call_begin(ApiCall *call)
{
  return inv_begin(call->center->inventory);
}

void api_call_set_subject(ApiCall *call, const char *user_name)
{
  g_free(call->identity.name);
  call->identity.name = g_strdup(user_name);
}

void api_call_set_object(ApiCall *call, const WsType *type, WsId id)
{
  call->object_type = type;
  call->object = id;
}

TaskCause api_call_cause(ApiCall *call)
{
  return (TaskCause){
      .user = call->identity.user,
      .user_name = call->identity.name,
      .origin = api_call_origin(call),
      .cause = "user",
      .request_id = call->request_id,
      .idempotency_key = call->key_hash,
      .one_of_many = call->is_part,
  };
}
