// SPDX-License-Identifier: Apache-2.0
/* From a request to an ApiCall: route, identity, right, body. See door.h.
 *
 * Everything here reads snapshots and never waits. A mutating call that is refused here still goes to the core loop, to be
 * audited there before it is answered. */
#include "center/api/door.h"
#include "base/hash.h"
#include "base/log.h"
#include "center/api/call-private.h"
#include "center/api/fixed.h"
#include "center/api/files.h"
#include "center/api/view.h"
#include "center/auth/identity.h"
#include "center/auth/references.h"
#include "center/auth/strangers.h"
#include "center/hosts/hosts.h"
#include "http/local.h"

static bool is_mutating(const WsRoute *route)
{
  return route->audit_kind != NULL;
}

/* Nobody's call, which nobody can be asked about: counted by address, and recorded as far as there is room for what strangers do. Is it to be recorded? */
static bool note_stranger(ApiCall *call, GError **error)
{
  const char *address = http_call_peer_address(call->http);
  if (!http_call_peer_cn(call->http)) /* a whole site of hosts may come from one address */
    strangers_refused(call->center, address, error);
  call->noted = is_mutating(call->route) && strangers_note(call->center, call->route, call->object_type, call->object, address, *error);
  return call->noted;
}

/* Refuses: audited first when the call would have changed something. Takes call and error. */
static void refuse(ApiCall *call, GError *error)
{
  if (call->identity.user ? is_mutating(call->route) : note_stranger(call, &error)) {
    call->refused = error;
    api_write(call);
    return;
  }
  api_answer_error(call->http, call->request_id, call->lang, error, NULL);
  g_error_free(error);
  api_call_free(call);
}

/* A host is known by its certificate; the route's target is the host itself. */
static bool check_host(Center *center, ApiCall *call, GError **error)
{
  const char *cn = http_call_peer_cn(call->http), *serial = http_call_peer_serial(call->http);
  if (hosts_certificate_valid(center, cn, serial, &call->target))
    return true;
  return ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason",
                 cn ? "it was revoked, replaced, or is of another site" : "none was shown", NULL);
}

static bool check_caller(Center *center, ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  if (strcmp(call->route->permission, "public") == 0)
    return true;
  if (strcmp(call->route->permission, "host-certificate") == 0)
    return check_host(center, call, error);
  if (strcmp(call->route->permission, "any") == 0)
    return auth_identify(center, snap, call->http, &call->identity, error);
  return auth_identify(center, snap, call->http, &call->identity, error) &&
         auth_authorise(snap, &call->identity, call->route, call->target, error) &&
         auth_may_adopt(snap, &call->identity, call->route, call->target, error);
}

/* A path that no route has: answered without a call, in the caller's language. */
static void answer_no_route(Center *center, HttpCall *http, const GError *error)
{
  char id[40];
  ws_uuid_new(center->clock, id);
  api_answer_error(http, id, ws_lang_parse(http_call_header(http, "accept-language")), error, NULL);
}

static bool is_read(const WsRoute *route)
{
  return route->kind == WS_ROUTE_LIST || route->kind == WS_ROUTE_GET;
}

/* The peer left before its body was whole: nothing was asked for. */
static void on_gone(HttpCall *http, void *arg)
{
  ApiCall *call = http_call_user(http);
  http_call_set_user(http, NULL, NULL);
  api_call_free(call);
}

static void on_request(HttpCall *http, void *arg)
{
  Center *center = arg;
  g_autoptr(GError) error = NULL;
  WsId target = 0;
  const char *method = http_call_method(http), *path = http_call_path(http);
  if (strcmp(path, "/metrics") == 0) /* where scrapers look by themselves */
    path = "/api/v1/metrics";
  if (!g_str_has_prefix(path, "/api/") && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)) {
    files_answer(center, http);
    return;
  }
  const WsRoute *route = api_route_find(strcmp(method, "HEAD") == 0 ? "GET" : method, path, &target, &error);
  if (!route) {
    answer_no_route(center, http, error);
    return;
  }
  ApiCall *call = api_call_new(center, http, route, target);
  bool read = api_call_read_headers(call, &error);
  g_autoptr(GError) caller =
      NULL; /* goes first: a bad header of somebody who is logged in is no stranger's call */
  if (!check_caller(center, call, &caller) || !read) {
    refuse(call, caller ? g_steal_pointer(&caller) : g_steal_pointer(&error));
    return;
  }
  ApiFixed fixed = api_fixed_find(route->operation);
  if (fixed) {
    fixed(call);
    return;
  }
  if (route->view) {
    api_read_view(call);
    return;
  }
  if (is_read(route)) {
    if (route->kind == WS_ROUTE_LIST)
      api_read_list(call);
    else
      api_read_object(call);
    return;
  }
  if (!call->identity.user)
    http_call_limit_body(http, STRANGERS_BODY_MAX);
  http_call_set_user(http, call, NULL); /* goes on in on_body, or ends in on_gone */
  http_call_on_gone(http, on_gone, NULL);
}

/* ---- bodies ---- */

static bool is_json_type(const char *content_type)
{
  if (!content_type)
    return false;
  gsize n = strcspn(content_type, "; ");
  return (n == 16 && g_ascii_strncasecmp(content_type, "application/json", n) == 0) ||
         (n == 28 && g_ascii_strncasecmp(content_type, "application/merge-patch+json", n) == 0);
}

/* Parsed as the resource on create, as the verb's body else; an empty body counts as {}. */
static bool parse_body(ApiCall *call, const char *body, gsize n, GError **error)
{
  const WsRoute *route = call->route;
  call->body_type = route->kind == WS_ROUTE_CREATE && !route->body ? route->type : route->body;
  if (n > 0 && !is_json_type(http_call_header(call->http, "content-type")))
    return ws_fail(error, WS_ERROR_BAD_CONTENT_TYPE, "expected", "application/json", NULL);
  if (n > 0 || call->body_type) {
    call->patch = n ? g_memdup2(body, n) : g_memdup2("{}", 2); /* kept for audit: names of the fields given */
    call->patch_bytes = n ? n : 2;
  }
  if (route->kind == WS_ROUTE_UPDATE)
    return true;
  if (!call->body_type)
    return n == 0 || (call->patch_bytes == 2 && memcmp(call->patch, "{}", 2) == 0) ||
           ws_fail(error, WS_ERROR_BAD_VALUE, "field", "body", "expected", "no body", NULL);
  call->body = ws_object_parse(call->body_type, call->patch, call->patch_bytes, WS_PARSE_CREATE, error);
  return call->body != NULL;
}

/* What is named in the body. A batch's objects are asked for by its verb (batch.c); nobody has rights on public routes. */
static bool check_named(ApiCall *call, GError **error)
{
  if (!call->identity.user || call->route->kind == WS_ROUTE_BATCH)
    return true;
  g_autoptr(InvSnapshot) snap = inv_snapshot(call->center->inventory);
  if (call->route->kind == WS_ROUTE_UPDATE)
    return !call->patch ||
           (auth_authorise_patch(&call->identity, call->route, call->target, call->patch, call->patch_bytes, error) &&
            auth_authorise_patched(snap, &call->identity, call->route->type, call->target, call->patch, call->patch_bytes, error));
  return !call->body ||
         (auth_authorise_references(&call->identity, call->body_type, call->body, NULL, error) &&
          auth_settle_group(snap, &call->identity, call->route, call->body_type, call->body, error) &&
          auth_may_let_go(snap, &call->identity, call->route, call->target, call->body, error));
}

static void hash_request(ApiCall *call)
{
  if (!call->idempotency_key)
    return;
  g_autoptr(GString) text = g_string_new(http_call_method(call->http));
  g_string_append_printf(text, " %s\n", http_call_path(call->http));
  g_string_append_len(text, call->patch ? call->patch : "", call->patch_bytes);
  call->request_hash = ws_sha256_hex(text->str, text->len);
}

static void on_body(HttpCall *http, const char *body, gsize n, void *arg)
{
  ApiCall *call = http_call_user(http);
  GError *error = NULL;
  if (!call)
    return;
  http_call_set_user(http, NULL, NULL);
  if (!parse_body(call, body, n, &error) || !check_named(call, &error)) {
    refuse(call, error);
    return;
  }
  hash_request(call);
  api_write(call);
}

bool door_open(Center *center, GError **error)
{
  g_autofree char *cert = g_build_filename(center->config.data_dir, "server.crt", NULL);
  g_autofree char *key = g_build_filename(center->config.data_dir, "server.key", NULL);
  g_autofree char *ca = g_build_filename(center->config.data_dir, "ca.crt", NULL);
  HttpServerConfig config = {
      .bind_address = center->config.bind_address,
      .port = center->config.port,
      .tls = {.cert_file = cert, .key_file = key, .ca_file = ca},
      .trusted_proxies = (const char *const *)center->config.trusted_proxies,
      .max_body_bytes = 4 << 20,
      .on_request = on_request,
      .on_body = on_body,
      .arg = center,
  };
  center->server = center->config.stand ? http_server_new_local(center->io, &config)
                                        : http_server_new(center->io, &config, error);
  return center->server != NULL;
}

void door_close(Center *center)
{
  g_clear_pointer(&center->server, http_server_free);
}
