// SPDX-License-Identifier: Apache-2.0
/* What the files of this folder share. Core loop, in a coroutine. */
#pragma once
#include "center/api/call.h"
#include "center/auth/users.h"
#include "model/model.h"

/* argon2id on a worker (some 30 ms must not stop the core loop). NULL with error; caller frees. */
char *auth_hash_password(Center *center, const char *password, GError **error);
/* The same cost whatever the hash is. false with error: it could not be looked at. */
bool auth_password_fits(Center *center, const char *password, const char *hash, bool *fits, GError **error);

/* All of a user's logins but the session `keep` (0: none); API tokens too where asked. */
void auth_drop_logins(InvTxn *txn, const InvSnapshot *head, WsId user, WsId keep, bool tokens);
/* Nobody may give what they do not have: all rights of these roles must be the caller's own. WS_ERROR_FORBIDDEN. */
bool auth_may_give_roles(ApiCall *call, const InvSnapshot *head, const WsId *roles, guint n, GError **error);
/* Does the last one who may do everything (users.c) do so by this role, which is to become `after` (NULL: to go)? */
bool auth_is_last_role(const InvSnapshot *head, const WsRole *now, const WsRole *after);
/* The right, or the pattern of rights ("vm.*", "*.read"), covers something that the platform asks for; i: its place in `permissions`. WS_ERROR_BAD_VALUE.
 * Any thread. */
bool auth_right_check(const char *right, guint i, GError **error);

static inline bool auth_is_service(const WsUser *user)
{
  return user->kind == WS_USER_KIND_SERVICE;
}

/* Opens a session of `user` (being edited in txn): commits, sets the browser's cookie where it was asked for, answers. provider 0: by password. */
bool auth_open_session(ApiCall *call, InvTxn *txn, WsUser *user, WsId provider, GError **error);

/* The one key of a person at a provider: users are bound to issuer and subject, never to a name. Caller frees. */
char *auth_identity_key(const char *issuer, const char *subject);
void auth_set_identity(WsUser *user, const char *issuer, const char *subject); /* NULL: unbinds */
/* Puts the roles that follow from groups in the place of those that did before. */
void auth_set_group_roles(WsUser *user, const WsId *roles, guint n);
