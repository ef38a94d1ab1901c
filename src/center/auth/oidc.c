// SPDX-License-Identifier: Apache-2.0
/* See oidc.h. */
#include "center/auth/oidc.h"
#include "base/error.h"
#include "base/hash.h"
#include "center/auth/id_token.h"
#include "http/ask.h"
#include <string.h>

#define ASK_TIMEOUT_S    10
#define ANSWER_BYTES_MAX (1 << 20)
#define GROUPS_MAX       1024

void oidc_settings_clear(OidcSettings *s)
{
  g_free(s->name);
  g_free(s->issuer);
  g_free(s->client_id);
  ws_secret_clear(&s->client_secret);
  g_free(s->ca_pem);
  g_free(s->name_claim);
  g_free(s->groups_claim);
  *s = (OidcSettings){0};
}

OidcEndpoints *oidc_endpoints_ref(OidcEndpoints *endpoints)
{
  g_atomic_int_inc(&endpoints->refs);
  return endpoints;
}

void oidc_endpoints_unref(OidcEndpoints *endpoints)
{
  if (!endpoints || !g_atomic_int_dec_and_test(&endpoints->refs))
    return;
  g_free(endpoints->authorization);
  g_free(endpoints->token);
  g_free(endpoints->keys);
  g_free(endpoints->user);
  g_free(endpoints);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OidcEndpoints, oidc_endpoints_unref)

void oidc_person_clear(OidcPerson *person)
{
  g_free(person->subject);
  g_free(person->user_name);
  g_free(person->full_name);
  g_clear_pointer(&person->groups, g_ptr_array_unref);
  *person = (OidcPerson){0};
}

/* ---- questions ---- */

static bool refuse(const OidcSettings *settings, const char *reason, GError **error)
{
  return ws_fail(error, WS_ERROR_IDENTITY_REFUSED, "provider", settings->name, "reason", reason, NULL);
}

static bool unreachable(const OidcSettings *settings, const char *url, const char *cause, GError **error)
{
  g_autofree char *plain = g_strndup(url, strcspn(url, "?"));
  return ws_fail(error, WS_ERROR_IDENTITY_UNREACHABLE, "provider", settings->name, "url", plain, "cause", cause, NULL);
}

/* The answer as an object, whatever its status. */
static WsJsonMembers *ask(const OidcSettings *settings, HttpQuestion *question, long *status, GError **error)
{
  g_auto(RestAnswer) answer = {0};
  g_autoptr(GError) failed = NULL;
  question->ca_pem = settings->ca_pem;
  question->max_bytes = ANSWER_BYTES_MAX;
  question->timeout_s = ASK_TIMEOUT_S;
  if (!http_ask(question, &answer, &failed)) {
    unreachable(settings, question->url, ws_error_cause(failed), error);
    return NULL;
  }
  *status = answer.status;
  WsJsonMembers *members = ws_json_members_parse(answer.body->str, answer.body->len, NULL);
  memset(answer.body->str, 0, answer.body->len); /* tokens */
  if (!members) {
    g_autofree char *cause = g_strdup_printf("HTTP %ld without a JSON object", answer.status);
    unreachable(settings, question->url, cause, error);
  }
  return members;
}

static WsJsonMembers *get(const OidcSettings *settings, const char *url, const char *authorization, GError **error)
{
  HttpQuestion question = {.url = url, .authorization = authorization};
  long status = 0;
  g_autoptr(WsJsonMembers) members = ask(settings, &question, &status, error);
  if (!members || status == 200)
    return g_steal_pointer(&members);
  g_autofree char *cause = g_strdup_printf("HTTP %ld", status);
  unreachable(settings, url, cause, error);
  return NULL;
}

/* ---- discovery ---- */

static char *endpoint(const WsJsonMembers *document, const char *name)
{
  char *url = ws_json_members_string(document, name);
  if (!http_is_https_url(url))
    g_clear_pointer(&url, g_free);
  return url;
}

static bool takes_basic(const WsJsonMembers *document)
{
  g_autoptr(GPtrArray) methods = ws_json_members_strings(document, "token_endpoint_auth_methods_supported");
  return !methods || g_ptr_array_find_with_equal_func(methods, "client_secret_basic", g_str_equal, NULL) ||
         !g_ptr_array_find_with_equal_func(methods, "client_secret_post", g_str_equal, NULL);
}

OidcEndpoints *oidc_discover(const OidcSettings *settings, GError **error)
{
  bool slash = g_str_has_suffix(settings->issuer, "/");
  g_autofree char *url = g_strconcat(settings->issuer, slash ? "" : "/", ".well-known/openid-configuration", NULL);
  g_autoptr(WsJsonMembers) document = get(settings, url, NULL, error);
  if (!document)
    return NULL;
  g_autofree char *issuer = ws_json_members_string(document, "issuer");
  if (g_strcmp0(issuer, settings->issuer) != 0) {
    refuse(settings, "its discovery document names another issuer", error);
    return NULL;
  }
  g_autoptr(OidcEndpoints) endpoints = g_new0(OidcEndpoints, 1);
  endpoints->refs = 1;
  endpoints->authorization = endpoint(document, "authorization_endpoint");
  endpoints->token = endpoint(document, "token_endpoint");
  endpoints->keys = endpoint(document, "jwks_uri");
  endpoints->user = endpoint(document, "userinfo_endpoint");
  endpoints->says_issuer = ws_json_members_is_true(document, "authorization_response_iss_parameter_supported");
  endpoints->secret_in_form = !takes_basic(document);
  if (!endpoints->authorization || !endpoints->token || !endpoints->keys) {
    refuse(settings, "its discovery document lacks an https address", error);
    return NULL;
  }
  return g_steal_pointer(&endpoints);
}

/* ---- the way there ---- */

static void add_parameter(GString *text, const char *name, const char *value)
{
  g_autofree char *escaped = g_uri_escape_string(value, NULL, FALSE);
  g_string_append_printf(text, "%s%s=%s", text->len ? "&" : "", name, escaped);
}

char *oidc_authorization_url(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request)
{
  g_autofree char *challenge = id_token_hash(request->verifier, 32);
  g_autoptr(GString) query = g_string_new(NULL);
  add_parameter(query, "response_type", "code");
  add_parameter(query, "client_id", settings->client_id);
  add_parameter(query, "redirect_uri", request->redirect_uri);
  add_parameter(query, "scope", request->scopes);
  add_parameter(query, "state", request->state);
  add_parameter(query, "nonce", request->nonce);
  add_parameter(query, "code_challenge", challenge);
  add_parameter(query, "code_challenge_method", "S256");
  return g_strconcat(endpoints->authorization, strchr(endpoints->authorization, '?') ? "&" : "?", query->str, NULL);
}

/* ---- the code for tokens ---- */

/* RFC 6749, 2.3.1: both are encoded as form values before they are joined. */
static char *basic(const OidcSettings *settings)
{
  g_autofree char *id = g_uri_escape_string(settings->client_id, NULL, FALSE);
  char *secret = g_uri_escape_string(settings->client_secret, NULL, FALSE);
  char *pair = g_strconcat(id, ":", secret, NULL);
  char *encoded = g_base64_encode((const guchar *)pair, strlen(pair));
  char *value = g_strconcat("Basic ", encoded, NULL);
  ws_secret_free(secret);
  ws_secret_free(pair);
  ws_secret_free(encoded);
  return value;
}

/* An error code of RFC 6749 is a word; anything else is not repeated. */
static bool code_refused(const OidcSettings *settings, const WsJsonMembers *answer, long status, GError **error)
{
  g_autofree char *word = ws_json_members_string(answer, "error");
  g_autofree char *cause = word && strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word) && strlen(word) <= 64
                               ? g_strdup(word)
                               : g_strdup_printf("HTTP %ld", status);
  return ws_fail(error, WS_ERROR_IDENTITY_REFUSED, "provider", settings->name, "reason", "it does not take the code", "cause", cause, NULL);
}

typedef struct {
  char *id, *access;
} Tokens;

static bool fetch_tokens(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request, const char *code,
                         Tokens *tokens, GError **error)
{
  GString *form = g_string_new(NULL);
  bool secret = settings->client_secret && *settings->client_secret;
  char *authorization = secret && !endpoints->secret_in_form ? basic(settings) : NULL;
  add_parameter(form, "grant_type", "authorization_code");
  add_parameter(form, "code", code);
  add_parameter(form, "redirect_uri", request->redirect_uri);
  add_parameter(form, "code_verifier", request->verifier);
  if (!authorization)
    add_parameter(form, "client_id", settings->client_id);
  if (secret && !authorization)
    add_parameter(form, "client_secret", settings->client_secret);
  HttpQuestion question = {.url = endpoints->token, .authorization = authorization, .form = form->str};
  long status = 0;
  g_autoptr(WsJsonMembers) answer = ask(settings, &question, &status, error);
  ws_secret_free(authorization);
  ws_secret_free(g_string_free(form, FALSE));
  if (!answer)
    return false;
  if (status != 200)
    return code_refused(settings, answer, status, error);
  tokens->id = ws_json_members_string(answer, "id_token");
  tokens->access = ws_json_members_string(answer, "access_token");
  return tokens->id || refuse(settings, "it gave no ID token", error);
}

static WsJwks *fetch_keys(const OidcSettings *settings, const OidcEndpoints *endpoints, GError **error)
{
  g_auto(RestAnswer) answer = {0};
  g_autoptr(GError) failed = NULL;
  HttpQuestion question = {.url = endpoints->keys, .ca_pem = settings->ca_pem, .max_bytes = ANSWER_BYTES_MAX, .timeout_s = ASK_TIMEOUT_S};
  WsJwks *keys = http_ask(&question, &answer, &failed) && answer.status == 200 ? ws_jwks_parse(answer.body->str, answer.body->len, &failed) : NULL;
  if (!keys)
    unreachable(settings, endpoints->keys, failed ? ws_error_cause(failed) ? ws_error_cause(failed) : failed->message : "no keys", error);
  return keys;
}

/* ---- who it is ---- */

static void take_claims(const OidcSettings *settings, const WsJsonMembers *claims, OidcPerson *person)
{
  if (!person->user_name)
    person->user_name = ws_json_members_string(claims, settings->name_claim);
  if (!person->full_name)
    person->full_name = ws_json_members_string(claims, "name");
  if (!person->groups)
    person->groups = ws_json_members_strings(claims, settings->groups_claim);
  if (person->groups && person->groups->len > GROUPS_MAX)
    g_ptr_array_set_size(person->groups, GROUPS_MAX);
}

/* Many providers put names and groups there alone. It must be about the same person (Core 1.0, 5.3.2). */
static bool ask_user_info(const OidcSettings *settings, const OidcEndpoints *endpoints, const char *access, OidcPerson *person, GError **error)
{
  if (!endpoints->user || !access || (person->user_name && person->full_name && person->groups))
    return true;
  char *authorization = g_strconcat("Bearer ", access, NULL);
  g_autoptr(WsJsonMembers) claims = get(settings, endpoints->user, authorization, error);
  ws_secret_free(authorization);
  if (!claims)
    return false;
  g_autofree char *subject = ws_json_members_string(claims, "sub");
  if (g_strcmp0(subject, person->subject) != 0)
    return refuse(settings, "it says different things about who this is", error);
  take_claims(settings, claims, person);
  return true;
}

static bool identify(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request, const Tokens *tokens, WsClock *clock,
                     OidcPerson *person, GError **error)
{
  g_autoptr(WsJwks) keys = fetch_keys(settings, endpoints, error);
  if (!keys)
    return false;
  IdTokenExpected expected = {settings->issuer, settings->client_id, request->nonce, tokens->access, ws_clock_wall_us(clock)};
  const char *why = NULL;
  g_autoptr(WsJsonMembers) claims = id_token_check(tokens->id, keys, &expected, &why);
  if (!claims)
    return refuse(settings, why, error);
  person->subject = ws_json_members_string(claims, "sub");
  take_claims(settings, claims, person);
  return ask_user_info(settings, endpoints, tokens->access, person, error);
}

bool oidc_identify(const OidcSettings *settings, const OidcEndpoints *endpoints, const OidcRequest *request, const char *code, WsClock *clock,
                   OidcPerson *person, GError **error)
{
  Tokens tokens = {0};
  bool ok = fetch_tokens(settings, endpoints, request, code, &tokens, error) && identify(settings, endpoints, request, &tokens, clock, person, error);
  ws_secret_free(tokens.id);
  ws_secret_free(tokens.access);
  return ok;
}
