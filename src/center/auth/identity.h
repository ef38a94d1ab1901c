// SPDX-License-Identifier: Apache-2.0
/* Who is calling: bearer token or session cookie to an identity with its rights; any thread (reads a snapshot). */
#pragma once
#include "center/api/call.h"

/* Fills *identity. WS_ERROR_UNAUTHENTICATED when there is no valid token. A cookie is taken only from our own origin. */
bool auth_identify(Center *center, const InvSnapshot *snap, HttpCall *http, ApiIdentity *identity, GError **error);
/* May the caller do what the route wants on `target`? WS_ERROR_FORBIDDEN names right and object. */
bool auth_authorise(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target,
                    GError **error);
