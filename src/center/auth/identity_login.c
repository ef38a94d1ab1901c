// SPDX-License-Identifier: Apache-2.0
/* See identity_login.h. */
#include "center/auth/identity_login.h"
#include "base/hash.h"
#include "center/auth/auth-private.h"
#include "center/auth/login_guard.h"
#include "center/auth/identity_talk.h"
#include "center/tickets.h"
#include "center/verbs.h"
#include "http/fields.h"
#include <string.h>

#define PURPOSE      "oidc"
#define COOKIE       "__Host-winsphere_login"
#define COOKIE_CHARS 43
#define LIFE_S       600
#define FLOWS_MAX    2000 /* begun and not finished */
#define ADDRESS_MAX  500  /* of these, from one address: a proxy may have a whole company behind it */
#define ROLES_MAX    16   /* api/user.yaml */

/* How many are begun. A worker may outlive the logins. */
typedef struct {
  gint refs; /* atomic */
  GMutex lock;
  guint n;
  GHashTable *of; /* address -> how many of them */
} Begun;

struct IdentityLogins {
  IdentityTalks *talks;
  Begun *begun;
};

static void begun_unref(Begun *begun)
{
  if (!g_atomic_int_dec_and_test(&begun->refs))
    return;
  g_hash_table_unref(begun->of);
  g_mutex_clear(&begun->lock);
  g_free(begun);
}

IdentityLogins *identity_logins_new(Center *center)
{
  IdentityLogins *logins = g_new0(IdentityLogins, 1);
  logins->talks = identity_talks_new(center->config.stand != NULL);
  logins->begun = g_new0(Begun, 1);
  logins->begun->refs = 1;
  logins->begun->of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_mutex_init(&logins->begun->lock);
  return logins;
}

void identity_logins_stop(IdentityLogins *logins)
{
  if (logins)
    identity_talks_stop(logins->talks);
}

void identity_logins_free(IdentityLogins *logins)
{
  if (!logins)
    return;
  identity_talks_free(logins->talks);
  begun_unref(logins->begun);
  g_free(logins);
}

/* ---- a login under way ---- */

typedef struct {
  Begun *begun;
  char *address; /* where it was begun */
  WsId provider;
  OidcEndpoints *endpoints;
  char *browser; /* SHA-256 of its cookie */
  char *nonce, *verifier, *redirect_uri;
} Flow;

/* Caller frees. */
static char *place_of(const char *address)
{
  char place[INET6_ADDRSTRLEN];
  return g_strdup(login_guard_place_of(address, place));
}

static guint of_address(Begun *begun, const char *address)
{
  return GPOINTER_TO_UINT(g_hash_table_lookup(begun->of, address));
}

static void count_flow(Begun *begun, const char *address, int by)
{
  g_mutex_lock(&begun->lock);
  guint n = of_address(begun, address) + (guint)by;
  begun->n += (guint)by;
  if (n)
    g_hash_table_replace(begun->of, g_strdup(address), GUINT_TO_POINTER(n));
  else
    g_hash_table_remove(begun->of, address);
  g_mutex_unlock(&begun->lock);
}

static bool has_room(Begun *begun, const char *address)
{
  g_mutex_lock(&begun->lock);
  bool room = begun->n < FLOWS_MAX && of_address(begun, address) < ADDRESS_MAX;
  g_mutex_unlock(&begun->lock);
  return room;
}

static void flow_free(void *arg)
{
  Flow *flow = arg;
  count_flow(flow->begun, flow->address, -1);
  begun_unref(flow->begun);
  g_free(flow->address);
  oidc_endpoints_unref(flow->endpoints);
  g_free(flow->browser);
  g_free(flow->redirect_uri);
  ws_secret_free(flow->nonce);
  ws_secret_free(flow->verifier);
  g_free(flow);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Flow, flow_free)

static bool refuse(const char *provider, const char *reason, GError **error)
{
  return ws_fail(error, WS_ERROR_IDENTITY_REFUSED, "provider", provider, "reason", reason, NULL);
}

static const WsIdentityProvider *find_provider(const InvSnapshot *snap, WsId id, GError **error)
{
  const WsIdentityProvider *provider = inv_find(snap, &ws_type_identity_provider, id);
  char text[WS_ID_TEXT_MAX];
  if (provider && provider->enabled)
    return provider;
  if (provider)
    refuse(provider->name, "it is switched off", error);
  else
    ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "provider", "object", ws_id_format(ws_type_identity_provider.prefix, id, text), NULL);
  return NULL;
}

/* ---- start ---- */

/* The provider sends the browser only where it was told before that it may, so a Host that somebody made up leads nowhere. */
static char *redirect_uri_of(ApiCall *call, GError **error)
{
  const char *host = api_call_header(call, "host");
  if (host && *host && strlen(host) <= 262 && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") == strlen(host))
    return g_strconcat("https://", host, "/login", NULL);
  ws_fail(error, WS_ERROR_BAD_VALUE, "field", "Host", "expected", "a host name or an address", NULL);
  return NULL;
}

static char *scopes_of(const WsIdentityProvider *provider)
{
  GString *text = g_string_new("openid");
  for (guint i = 0; i < provider->scopes.len; i++)
    if (strcmp(provider->scopes.items[i], "openid") != 0)
      g_string_append_printf(text, " %s", provider->scopes.items[i]);
  if (!provider->scopes.len)
    g_string_append(text, " profile email");
  return g_string_free(text, FALSE);
}

static char *browser_cookie(ApiCall *call)
{
  const char *header = api_call_header(call, "cookie");
  char *cookie = header ? http_find_cookie(header, COOKIE) : NULL;
  if (cookie && strlen(cookie) != COOKIE_CHARS)
    g_clear_pointer(&cookie, g_free);
  return cookie;
}

/* Only the browser that began may finish: else somebody could make another log in as them. One that has a cookie keeps it, for logins in two tabs. */
static char *bind_browser(ApiCall *call)
{
  g_autofree char *word = browser_cookie(call);
  if (!word)
    word = ws_token_new(api_call_center(call)->clock, "");
  g_autofree char *cookie = g_strdup_printf(COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%d", word, LIFE_S);
  api_call_add_header(call, "set-cookie", cookie);
  return ws_sha256_hex(word, strlen(word));
}

static Flow *flow_new(ApiCall *call, WsId provider, OidcEndpoints *endpoints, const char *redirect_uri)
{
  Center *center = api_call_center(call);
  Flow *flow = g_new(Flow, 1);
  *flow = (Flow){
      .begun = center->identity->begun,
      .address = place_of(api_call_origin(call)),
      .provider = provider,
      .endpoints = endpoints,
      .browser = bind_browser(call),
      .nonce = ws_token_new(center->clock, ""),
      .verifier = ws_token_new(center->clock, ""),
      .redirect_uri = g_strdup(redirect_uri),
  };
  g_atomic_int_inc(&flow->begun->refs);
  count_flow(flow->begun, flow->address, 1);
  return flow;
}

static bool answer_start(ApiCall *call, char *url)
{
  WsSessionStartOidcResult answer = {.url = url, .expires = ws_clock_wall_us(api_call_center(call)->clock) + LIFE_S * (gint64)G_USEC_PER_SEC};
  GString *body = g_string_new(NULL);
  WsJsonWriter w = ws_json_writer(body);
  ws_object_write(&ws_type_session_start_oidc_result, &answer, WS_WRITE_CLIENT, NULL, &w);
  return api_call_answer_json(call, 200, body);
}

bool session_start_oidc(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  IdentityLogins *logins = center->identity;
  const WsSessionStartOidc *body = api_call_body(call);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsIdentityProvider *provider = find_provider(snap, body->provider, error);
  g_autofree char *redirect_uri = provider ? redirect_uri_of(call, error) : NULL;
  if (!redirect_uri)
    return false;
  api_call_set_object(call, &ws_type_identity_provider, provider->id);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"begin login", NULL});
  g_autofree char *address = place_of(api_call_origin(call));
  if (!has_room(logins->begun, address)) /* those given up count until they are swept away */
    tickets_expire(center->tickets);
  if (!has_room(logins->begun, address))
    return ws_fail(error, WS_ERROR_TOO_MANY_REQUESTS, NULL);
  OidcEndpoints *endpoints = identity_endpoints(logins->talks, provider, ws_clock_monotonic_us(center->clock), error);
  if (!endpoints)
    return false;
  Flow *flow = flow_new(call, provider->id, endpoints, redirect_uri);
  OidcSettings settings = identity_settings_of(provider);
  g_autofree char *scopes = scopes_of(provider);
  g_autofree char *nonce = g_strdup(flow->nonce), *verifier = g_strdup(flow->verifier);
  OidcEndpoints *ref = oidc_endpoints_ref(endpoints);
  g_autofree char *state = tickets_issue(center->tickets, PURPOSE, LIFE_S, flow, flow_free); /* the flow is the ticket's from here on */
  OidcRequest request = {redirect_uri, scopes, state, nonce, verifier};
  g_autofree char *url = oidc_authorization_url(&settings, ref, &request);
  oidc_endpoints_unref(ref);
  oidc_settings_clear(&settings);
  return answer_start(call, url);
}

/* ---- finish ---- */

typedef struct {
  OidcSettings settings;
  Flow *flow;
  char *code;
  WsClock *clock;
  OidcPerson person;
} Job;

static void job_free(void *arg)
{
  Job *job = arg;
  oidc_settings_clear(&job->settings);
  oidc_person_clear(&job->person);
  g_clear_pointer(&job->flow, flow_free);
  ws_secret_free(job->code);
  g_free(job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_free)

static bool identify(void *arg, GError **error)
{
  Job *job = arg;
  OidcRequest request = {.redirect_uri = job->flow->redirect_uri, .nonce = job->flow->nonce, .verifier = job->flow->verifier};
  return oidc_identify(&job->settings, job->flow->endpoints, &request, job->code, job->clock, &job->person, error);
}

static Flow *redeem(ApiCall *call, const char *state, GError **error)
{
  static const char somebody[] = "the identity provider";
  Center *center = api_call_center(call);
  g_autoptr(Flow) flow = tickets_redeem(center->tickets, PURPOSE, state, NULL);
  g_autofree char *cookie = browser_cookie(call);
  g_autofree char *browser = cookie ? ws_sha256_hex(cookie, strlen(cookie)) : NULL;
  if (!flow)
    refuse(somebody, "it was not begun here, took longer than ten minutes, or was finished already", error);
  else if (!browser || !ws_equal_constant_time(browser, flow->browser, strlen(flow->browser)))
    refuse(somebody, "it was begun in another browser", error);
  else
    return g_steal_pointer(&flow);
  return NULL;
}

/* What the browser brought back, before the provider is asked (RFC 9207, 2.4: a provider that names itself is the one that was asked). */
static bool check_brought(const WsSessionFinishOidc *body, const WsIdentityProvider *provider, const Flow *flow, GError **error)
{
  if (body->iss ? strcmp(body->iss, provider->issuer) != 0 : flow->endpoints->says_issuer)
    return refuse(provider->name, "the answer is of another provider", error);
  if (body->error)
    return ws_fail(error, WS_ERROR_IDENTITY_REFUSED, "provider", provider->name, "reason", "it did not log you in", "cause", body->error, NULL);
  return (body->code && *body->code) || ws_fail(error, WS_ERROR_REQUIRED, "field", "code", NULL);
}

static GArray *roles_of_groups(const WsIdentityProvider *provider, const GPtrArray *groups)
{
  GArray *roles = g_array_new(FALSE, FALSE, sizeof(WsId));
  for (guint i = 0; groups && i < provider->group_roles.len; i++)
    if (g_ptr_array_find_with_equal_func((GPtrArray *)groups, provider->group_roles.items[i]->group, g_str_equal, NULL))
      g_array_append_val(roles, provider->group_roles.items[i]->role);
  return roles;
}

/* A user like those of the contract (api/user.yaml, name). */
static bool is_user_name(const char *name)
{
  return name && *name && strlen(name) <= 64 && g_ascii_isalnum(*name) &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") == strlen(name);
}

static WsUser *make_user(ApiCall *call, InvTxn *txn, const InvSnapshot *head, const WsIdentityProvider *provider, const OidcPerson *person, GError **error)
{
  if (!is_user_name(person->user_name)) {
    refuse(provider->name, "it gives no name that a user can have (see name_claim of the provider)", error);
    return NULL;
  }
  /* A name proves nothing: whoever has it here already is somebody else until an administrator says otherwise. */
  if (inv_find_by(head, &ws_type_user, "name", 0, person->user_name)) {
    ws_fail(error, WS_ERROR_NAME_TAKEN, "name", person->user_name, NULL);
    return NULL;
  }
  WsUser *user = inv_create(txn, &ws_type_user);
  user->name = g_strdup(person->user_name);
  user->kind = WS_USER_KIND_PERSON;
  if (person->full_name && g_utf8_strlen(person->full_name, -1) <= 255)
    user->full_name = g_strdup(person->full_name);
  user->created = ws_clock_wall_us(api_call_center(call)->clock);
  for (guint i = 0; i < provider->roles.len; i++)
    ws_array_add(&user->roles, provider->roles.items[i]);
  auth_set_identity(user, provider->issuer, person->subject);
  return user;
}

static WsUser *edit_user(ApiCall *call, InvTxn *txn, const InvSnapshot *head, const WsIdentityProvider *provider, const OidcPerson *person, GError **error)
{
  g_autofree char *key = auth_identity_key(provider->issuer, person->subject);
  const WsUser *known = inv_find_by(head, &ws_type_user, "identity_key", 0, key);
  if (known) {
    api_call_set_subject(call, known->name);
    api_call_set_object(call, &ws_type_user, known->id);
    if (!known->frozen)
      return inv_edit(txn, known);
    refuse(provider->name, "the user is frozen", error);
    return NULL;
  }
  if (provider->create_users)
    return make_user(call, txn, head, provider, person, error);
  ws_fail(error, WS_ERROR_IDENTITY_UNKNOWN, "provider", provider->name, "subject", person->subject, NULL);
  return NULL;
}

static bool log_in(ApiCall *call, WsId provider_id, const OidcPerson *person, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsIdentityProvider *provider = find_provider(head, provider_id, error); /* it may have gone while it was asked */
  if (!provider)
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = edit_user(call, txn, head, provider, person, error);
  if (!user)
    return false;
  g_autoptr(GArray) roles = roles_of_groups(provider, person->groups);
  auth_set_group_roles(user, (const WsId *)(void *)roles->data, roles->len);
  if (user->roles.len > ROLES_MAX)
    return refuse(provider->name, "more than 16 roles follow from the groups", error);
  api_call_set_subject(call, user->name);
  api_call_set_object(call, &ws_type_user, user->id);
  return auth_open_session(call, txn, user, provider_id, error);
}

bool session_finish_oidc(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsSessionFinishOidc *body = api_call_body(call);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"log in", NULL});
  g_autoptr(Flow) flow = redeem(call, body->state, error);
  if (!flow)
    return false;
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  const WsIdentityProvider *provider = find_provider(snap, flow->provider, error);
  if (!provider)
    return false;
  api_call_set_object(call, &ws_type_identity_provider, provider->id);
  if (!check_brought(body, provider, flow, error))
    return false;
  WsId provider_id = provider->id;
  Job *asked = g_new0(Job, 1);
  asked->settings = identity_settings_of(provider);
  asked->flow = g_steal_pointer(&flow);
  asked->code = g_strdup(body->code);
  asked->clock = center->clock;
  if (!identity_ask(center->identity->talks, provider_id, identify, asked, job_free, error))
    return false;
  g_autoptr(Job) job = asked;
  return log_in(call, provider_id, &job->person, error);
}
