// SPDX-License-Identifier: Apache-2.0
/* The first users. Most of users.c is reached through the contract's routes. Core loop, in a coroutine. */
#pragma once
#include "center/api/call.h"

/* Where there is no user yet: the built-in roles and `admin` with this password. */
bool users_make_first(Center *center, const char *password, GError **error);
/* Built-in roles may do what this version of the program says: called at each start. */
bool users_refresh_roles(Center *center, GError **error);
/* Nobody rules over somebody who may more: else who may only keep users resets the administrator's password. */
bool auth_may_rule(ApiCall *call, const InvSnapshot *head, const WsUser *user, GError **error);
/* May the caller delete what belongs to a user (its field `user`: a session, an API token)? Their own, and what is of those over whom they rule. What
 * belongs to nobody: yes. WS_ERROR_FORBIDDEN. */
bool auth_may_take_from_owner(ApiCall *call, const InvSnapshot *head, const WsType *type, const void *object, GError **error);
