// SPDX-License-Identifier: Apache-2.0
/* Logins by identity providers: begun here, gone through there, finished here.
 *
 *     POST /sessions/start_oidc   state, nonce and PKCE verifier are made and kept; the browser gets the provider's address and a cookie
 *     (the provider)              the person logs in, the browser comes back to /login with code and state
 *     POST /sessions/finish_oidc  same browser, state of this login, not used before: the code is changed for tokens, the ID token is checked
 *
 * What is kept is a one-time ticket (center/tickets.h) of ten minutes, 2,000 of them at most and 500 from one address. How the provider is asked:
 * identity_talk.h. Core loop. */
#pragma once
#include "center/center.h"

IdentityLogins *identity_logins_new(Center *center);
/* Before the core loop goes: no provider is waited for any more. */
void identity_logins_stop(IdentityLogins *logins); /* NULL is fine */
/* After the tickets. NULL is fine. */
void identity_logins_free(IdentityLogins *logins);
