// SPDX-License-Identifier: Apache-2.0
/* Identity providers (api/identity-provider.yaml) and which users belong to them. Nobody lets others in with more rights than they have themselves. */
#include "center/auth/auth-private.h"
#include "base/hash.h"
#include "base/pki.h"
#include "center/api/view.h"
#include "center/verbs.h"
#include "http/ask.h"

typedef struct {
  ApiCall *call;
  const InvSnapshot *head;
  const char *issuer;
  GError **error;
  bool ok;
} Bound;

static bool look_at_bound(const void *object, void *arg)
{
  Bound *bound = arg;
  const WsUser *user = object;
  if (g_strcmp0(user->identity_issuer, bound->issuer) == 0)
    bound->ok = auth_may_rule(bound->call, bound->head, user, bound->error);
  return bound->ok;
}

/* Users are bound to the issuer, and a second provider may name the same one: whoever sets client and CA decides who comes in as them. */
static bool may_rule_bound(ApiCall *call, const InvSnapshot *head, const char *issuer, GError **error)
{
  Bound bound = {call, head, issuer, error, true};
  inv_each(head, &ws_type_user, look_at_bound, &bound);
  return bound.ok;
}

/* Whoever lets in by this provider gives what it gives. */
static bool may_give_its_roles(ApiCall *call, const InvSnapshot *head, const WsIdentityProvider *provider, GError **error)
{
  for (guint i = 0; i < provider->group_roles.len; i++)
    if (!auth_may_give_roles(call, head, &provider->group_roles.items[i]->role, 1, error))
      return false;
  return auth_may_give_roles(call, head, provider->roles.items, provider->roles.len, error);
}

static bool may_let_in(ApiCall *call, const InvSnapshot *head, const WsIdentityProvider *provider, GError **error)
{
  return may_give_its_roles(call, head, provider, error) && may_rule_bound(call, head, provider->issuer, error);
}

static bool check_settings(const WsIdentityProvider *provider, GError **error)
{
  if (!http_is_https_url(provider->issuer))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "issuer", "expected", "an https URL", NULL);
  if (provider->ca_certificate && !ws_pki_is_certificate(provider->ca_certificate))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "ca_certificate", "expected", "a certificate in PEM", NULL);
  return true;
}

bool identity_provider_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsIdentityProvider *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!check_settings(body, error) || !may_let_in(call, head, body, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsIdentityProvider *provider = inv_create(txn, &ws_type_identity_provider);
  WsId id = provider->id;
  ws_resource_take_fields(&ws_type_identity_provider, provider, api_call_body(call));
  provider->created = ws_clock_wall_us(center->clock);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"create", NULL});
  api_call_set_object(call, &ws_type_identity_provider, id);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 201, &ws_type_identity_provider, id, error);
}

static bool end_session(const void *session, void *txn)
{
  inv_delete(txn, &ws_type_session, ((const WsSession *)session)->id);
  return true;
}

typedef struct {
  InvTxn *txn;
  const char *issuer;
} Leaving;

static bool take_group_roles(const void *object, void *arg)
{
  const Leaving *leaving = arg;
  const WsUser *user = object;
  if (user->identity_roles.len > 0 && g_strcmp0(user->identity_issuer, leaving->issuer) == 0)
    auth_set_group_roles(inv_edit(leaving->txn, user), NULL, 0);
  return true;
}

/* Nobody comes in by it any more: its sessions end, and roles that follow from groups there go, or API tokens would keep what they give. */
static void let_nobody_in(InvTxn *txn, const InvSnapshot *head, const WsIdentityProvider *provider)
{
  Leaving leaving = {txn, provider->issuer};
  inv_each_by(head, &ws_type_session, ws_type_field(&ws_type_session, "provider", 8), provider->id, NULL, end_session, txn);
  inv_each(head, &ws_type_user, take_group_roles, &leaving);
}

bool identity_provider_update(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsIdentityProvider *seen = api_call_find_target(call, head, error);
  gsize n;
  const char *patch = api_call_patch(call, &n);
  if (!seen || !may_let_in(call, head, seen, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsIdentityProvider *provider = inv_edit(txn, seen);
  bool changed = false;
  if (!ws_object_merge_patch(&ws_type_identity_provider, provider, patch, n, &changed, error) || !check_settings(provider, error) ||
      !may_let_in(call, head, provider, error))
    return false;
  if (!provider->enabled)
    let_nobody_in(txn, head, seen);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){changed ? "update" : NULL, NULL});
  if (!changed)
    return api_call_answer_value(call, 200, &ws_type_identity_provider, seen);
  WsId id = seen->id;
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_identity_provider, id, error);
}

bool identity_provider_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsIdentityProvider *seen = api_call_find_target(call, head, error);
  if (!seen || !may_let_in(call, head, seen, error))
    return false;
  g_autoptr(InvTxn) txn = api_call_begin(call);
  let_nobody_in(txn, head, seen);
  inv_delete(txn, &ws_type_identity_provider, seen->id);
  if (api_call_is_dry_run(call))
    return inv_check(txn, error) && api_call_answer_dry(call, (const char *[]){"delete", NULL});
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}

/* ---- what the login page offers ---- */

static bool add_choice(const void *object, void *arg)
{
  const WsIdentityProvider *provider = object;
  WsIdentityProviderChoicesResult *result = arg;
  if (!provider->enabled)
    return true;
  WsIdentityChoice *choice = ws_identity_choice_new();
  choice->provider = provider->id;
  choice->name = g_strdup(provider->name);
  ws_array_add(&result->items, choice);
  return true;
}

bool identity_provider_choices(const ApiView *view, void **result, GError **error)
{
  *result = ws_identity_provider_choices_result_new();
  inv_each(view->snap, &ws_type_identity_provider, add_choice, *result);
  return true;
}

/* ---- whose is an identity ---- */

char *auth_identity_key(const char *issuer, const char *subject)
{
  g_autofree char *both = g_strconcat(issuer, "\n", subject, NULL); /* no issuer has a line end: they are https URLs */
  return ws_sha256_hex(both, strlen(both));
}

void auth_set_identity(WsUser *user, const char *issuer, const char *subject)
{
  g_free(user->identity_issuer);
  g_free(user->identity_subject);
  g_free(user->identity_key);
  user->identity_issuer = g_strdup(issuer);
  user->identity_subject = g_strdup(subject);
  user->identity_key = issuer ? auth_identity_key(issuer, subject) : NULL;
}

static bool has_role(const WsId *roles, guint n, WsId role)
{
  for (guint i = 0; i < n; i++)
    if (roles[i] == role)
      return true;
  return false;
}

static void add_new(GArray *roles, WsId role)
{
  if (!has_role((const WsId *)(void *)roles->data, roles->len, role))
    g_array_append_val(roles, role);
}

/* What an administrator gave stays; what groups gave goes, and comes again from the groups of now. */
void auth_set_group_roles(WsUser *user, const WsId *roles, guint n)
{
  g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(WsId)), given = g_array_new(FALSE, FALSE, sizeof(WsId));
  for (guint i = 0; i < user->roles.len; i++)
    if (!has_role(user->identity_roles.items, user->identity_roles.len, user->roles.items[i]))
      add_new(all, user->roles.items[i]);
  for (guint i = 0; i < n; i++)
    if (!has_role((const WsId *)(void *)all->data, all->len, roles[i]))
      add_new(given, roles[i]);
  for (guint i = 0; i < given->len; i++)
    g_array_append_val(all, g_array_index(given, WsId, i));
  g_free(user->roles.items);
  g_free(user->identity_roles.items);
  user->roles.len = all->len;
  user->identity_roles.len = given->len;
  user->roles.items = g_memdup2(all->data, all->len * sizeof(WsId));
  user->identity_roles.items = g_memdup2(given->data, given->len * sizeof(WsId));
}

bool user_link_identity(ApiCall *call, GError **error)
{
  const WsUserLinkIdentity *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  const WsIdentityProvider *provider = inv_find(head, &ws_type_identity_provider, body->provider);
  char text[WS_ID_TEXT_MAX];
  if (!seen || !auth_may_rule(call, head, seen, error))
    return false;
  if (!provider)
    return ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "provider", "object", ws_id_format(ws_type_identity_provider.prefix, body->provider, text), NULL);
  if (auth_is_service(seen))
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "be linked", "reason", "a service account does not log in", NULL);
  if (!may_give_its_roles(call, head, provider, error)) /* else somebody's groups raise an account that another has the password of */
    return false;
  g_autofree char *key = auth_identity_key(provider->issuer, body->subject);
  const WsUser *other = inv_find_by(head, &ws_type_user, "identity_key", 0, key);
  if (other && other->id != seen->id)
    return ws_fail(error, WS_ERROR_IN_USE, "object", body->subject, "user", other->name, NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"link identity", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_edit(txn, seen);
  WsId id = seen->id;
  auth_set_identity(user, provider->issuer, body->subject);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_user, id, error);
}

bool user_unlink_identity(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const WsUser *seen = api_call_find_target(call, head, error);
  if (!seen || !auth_may_rule(call, head, seen, error))
    return false;
  if (!seen->identity_key)
    return ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", seen->name, "verb", "be unlinked", "reason", "it is not linked", NULL);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"unlink identity", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *user = inv_edit(txn, seen);
  WsId id = seen->id;
  auth_set_identity(user, NULL, NULL);
  auth_set_group_roles(user, NULL, 0);
  auth_drop_logins(txn, head, id, api_call_identity(call)->session, false);
  return api_call_commit(call, txn, error) && api_call_answer_object(call, 200, &ws_type_user, id, error);
}
