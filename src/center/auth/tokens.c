// SPDX-License-Identifier: Apache-2.0
/* API tokens (api/api-token.yaml). */
#include "center/auth/auth-private.h"
#include "base/hash.h"
#include "center/verbs.h"

#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)

/* Whom the token is for: the caller, or a service account that it rules over. Other people's tokens are theirs alone to make. */
static const WsUser *find_holder(ApiCall *call, const InvSnapshot *head, const WsApiToken *body, GError **error)
{
  const ApiIdentity *me = api_call_identity(call);
  WsId id = body->user ? body->user : me->user;
  const WsUser *user = inv_find(head, &ws_type_user, id);
  char text[WS_ID_TEXT_MAX];
  if (!user) {
    ws_fail(error, WS_ERROR_BAD_REFERENCE, "field", "user", "object", ws_id_format(ws_type_user.prefix, id, text), NULL);
    return NULL;
  }
  if (!auth_is_service(user)) {
    if (id != me->user)
      ws_fail(error, WS_ERROR_NOT_ALLOWED, "object", user->name, "verb", "get an API token from somebody else", "reason", "it is a person; make a service account", NULL);
    return id == me->user ? user : NULL;
  }
  /* Also when it is its own: a program does not prolong its own life unless it may keep users. */
  if (!api_identity_may(me, "user.write")) {
    ws_fail(error, WS_ERROR_FORBIDDEN, "permission", "user.write", "object", user->name, NULL);
    return NULL;
  }
  return auth_may_give_roles(call, head, user->roles.items, user->roles.len, error) ? user : NULL;
}

bool api_token_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const ApiIdentity *me = api_call_identity(call);
  WsApiToken *body = api_call_body(call);
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  const WsUser *holder = find_holder(call, head, body, error);
  if (!holder)
    return false;
  for (guint i = 0; i < body->permissions.len; i++)
    if (!auth_right_check(body->permissions.items[i], i, error))
      return false;
  for (guint i = 0; i < body->permissions.len; i++)
    if (!api_identity_may(me, body->permissions.items[i]))
      return ws_fail(error, WS_ERROR_FORBIDDEN, "permission", body->permissions.items[i], "object", body->name, NULL);
  if (me->token && holder->id == me->user && !body->permissions.len)
    return ws_fail(error, WS_ERROR_REQUIRED, "field", "permissions", NULL); /* a bounded token makes no unbounded one */
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"create API token", NULL});
  g_autofree char *secret = ws_token_new(center->clock, "wst_");
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsApiToken *token = inv_create(txn, &ws_type_api_token);
  ws_resource_take_fields(&ws_type_api_token, token, body);
  token->user = holder->id;
  token->created = ws_clock_wall_us(center->clock);
  token->expires = token->created + token->days * DAY_US;
  const WsApiToken *maker = holder->id == me->user && !auth_is_service(holder) ? inv_find(head, &ws_type_api_token, me->token) : NULL;
  if (maker) /* whoever stole one that ends soon has none for ever */
    token->expires = MIN(token->expires, maker->expires);
  token->token_hash = ws_sha256_hex(secret, strlen(secret));
  g_autoptr(WsApiToken) answer = ws_api_token_copy(token);
  answer->token = g_strdup(secret);
  api_call_set_object(call, &ws_type_api_token, token->id);
  return api_call_commit(call, txn, error) && api_call_answer_made(call, &ws_type_api_token, answer);
}
