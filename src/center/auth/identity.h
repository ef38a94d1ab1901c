// SPDX-License-Identifier: Apache-2.0
/* Who is calling: bearer token or session cookie to an identity with its rights; any thread (reads a snapshot). */
#pragma once
#include "center/api/call.h"

/* Fills *identity. WS_ERROR_UNAUTHENTICATED when there is no valid token. A cookie is taken only from our own origin. */
bool auth_identify(Center *center, const InvSnapshot *snap, HttpCall *http, ApiIdentity *identity, GError **error);
/* May the caller do what the route wants on `target`? WS_ERROR_FORBIDDEN names right and object. */
bool auth_authorise(const InvSnapshot *snap, const ApiIdentity *identity, const WsRoute *route, WsId target,
                    GError **error);
/* May they change what the patch names (UPDATE; JSON text, whatever its form)? WS_ERROR_FORBIDDEN names right and object. */
bool auth_authorise_patch(const ApiIdentity *identity, const WsRoute *route, WsId target, const char *patch, gsize patch_bytes, GError **error);
/* Has who got something for a while (a ticket) still the right, by the same session or token? Any thread. */
bool auth_still_may(Center *center, const InvSnapshot *snap, WsId user, WsId session, WsId token, const char *permission);
/* Gives the identity the rights that it has by now. WS_ERROR_UNAUTHENTICATED: session, token or user are
 * gone; it is as it was. */
bool auth_renew(Center *center, const InvSnapshot *snap, ApiIdentity *identity, GError **error);
