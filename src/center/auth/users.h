// SPDX-License-Identifier: Apache-2.0
/* The first users. The rest of users.c is reached through the contract's routes. Core loop, in a coroutine. */
#pragma once
#include "center/center.h"

/* Where there is no user yet: the built-in roles and `admin` with this password. */
bool users_make_first(Center *center, const char *password, GError **error);
/* Built-in roles may do what this version of the program says: called at each start. */
bool users_refresh_roles(Center *center, GError **error);
