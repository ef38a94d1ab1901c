// SPDX-License-Identifier: Apache-2.0
/* Sessions: logging in and out (api/session.yaml). A login costs the same whether the user exists or not; tokens are random, given out once, and kept
 * only as SHA-256. */
#include "center/auth/auth-private.h"
#include "center/auth/strangers.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/plant.h"
#include "center/verbs.h"

/* NULL with error: it does not fit, or was not looked at (strangers.h). snap: the user lives as long as it. */
static const WsUser *check_login(ApiCall *call, const InvSnapshot *snap, const WsSession *body, GError **error)
{
  const WsUser *user = inv_find_by(snap, &ws_type_user, "name", 0, body->user_name);
  const StrangersLogin login = {
      .name = body->user_name,
      .password = body->password ? body->password : "",
      .hash = user ? user->password_hash : NULL,
      .user = user ? user->id : 0,
      .usable = user && !user->frozen && user->password_hash,
      .known = user && strangers_knows(snap, user, api_call_origin(call)),
  };
  bool fits;
  if (!strangers_try(call, &login, &fits, error))
    return NULL;
  if (!fits)
    ws_fail(error, WS_ERROR_LOGIN_FAILED, NULL);
  return fits ? user : NULL;
}

/* While it waited for its turn the user may have got another password, or been frozen. */
static bool is_as_it_was(const InvSnapshot *head, const WsUser *user)
{
  const WsUser *now = inv_find(head, &ws_type_user, user->id);
  return now && !now->frozen && g_strcmp0(now->password_hash, user->password_hash) == 0;
}

static void fill_session(ApiCall *call, WsSession *session, const WsUser *user, const char *token)
{
  Center *center = api_call_center(call);
  const char *agent = api_call_user_agent(call);
  g_autofree char *valid = agent ? g_utf8_make_valid(agent, MIN(strlen(agent), 255)) : NULL;
  gint64 now = ws_clock_wall_us(center->clock);
  session->user = user->id;
  session->user_name = g_strdup(user->name);
  session->token_hash = ws_sha256_hex(token, strlen(token));
  session->address = g_strdup(api_call_origin(call));
  session->agent = g_steal_pointer(&valid);
  session->created = session->last_used = now;
  session->expires = now + (gint64)center->config.session_max_s * G_USEC_PER_SEC;
}

bool session_create(ApiCall *call, GError **error)
{
  Center *center = api_call_center(call);
  const WsSession *body = api_call_body(call);
  g_autoptr(InvSnapshot) snap = inv_snapshot(center->inventory);
  if (SIM_PLANT(secret_in_log))
    ws_log(WS_LOG_INFO, "login", "user", body->user_name, "password", body->password, NULL);
  const WsUser *user = check_login(call, snap, body, error);
  if (!user)
    return false;
  g_autoptr(InvSnapshot) head = inv_head(center->inventory);
  if (!is_as_it_was(head, user))
    return ws_fail(error, WS_ERROR_LOGIN_FAILED, NULL);
  api_call_set_object(call, &ws_type_user, user->id);
  api_call_set_subject(call, user->name);
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"log in", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  WsUser *edit = inv_edit_id(txn, &ws_type_user, user->id);
  if (!edit)
    return ws_fail(error, WS_ERROR_LOGIN_FAILED, NULL);
  return auth_open_session(call, txn, edit, 0, error);
}

bool auth_open_session(ApiCall *call, InvTxn *txn, WsUser *user, WsId provider, GError **error)
{
  Center *center = api_call_center(call);
  g_autofree char *token = ws_token_new(center->clock, "wss_");
  WsSession *session = inv_create(txn, &ws_type_session);
  fill_session(call, session, user, token);
  session->provider = provider;
  g_autoptr(WsSession) answer = ws_session_copy(session);
  answer->token = g_strdup(token);
  user->last_login = session->created;
  g_free(user->last_login_address);
  user->last_login_address = g_strdup(api_call_origin(call));
  user->failures = 0;
  strangers_logged_in(center, user->id);
  if (!api_call_commit(call, txn, error))
    return false;
  /* For browsers: a cookie that scripts cannot read and that goes only to our own pages' requests. */
  if (g_strcmp0(api_call_query(call, "cookie"), "true") == 0) {
    g_autofree char *cookie =
        g_strdup_printf("winsphere_session=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%u", token, center->config.session_max_s);
    api_call_add_header(call, "set-cookie", cookie);
    ws_secret_clear(&answer->token);
  }
  return api_call_answer_made(call, &ws_type_session, answer);
}

bool session_delete(ApiCall *call, GError **error)
{
  g_autoptr(InvSnapshot) head = inv_head(api_call_center(call)->inventory);
  const void *seen = api_call_find_target(call, head, error);
  if (!seen || !auth_may_take_from_owner(call, head, &ws_type_session, seen, error))
    return false;
  if (api_call_is_dry_run(call))
    return api_call_answer_dry(call, (const char *[]){"log out", NULL});
  g_autoptr(InvTxn) txn = api_call_begin(call);
  inv_delete(txn, &ws_type_session, api_call_target(call));
  return api_call_commit(call, txn, error) && api_call_answer_none(call);
}
