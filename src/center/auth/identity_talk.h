// SPDX-License-Identifier: Apache-2.0
/* Whom the manager asks while people log in: each identity provider has workers of its own, so that one that hangs holds up nobody but those who
 * log in by it, and a discovery document that is known for ten minutes. Core loop. */
#pragma once
#include "center/auth/oidc.h"
#include "center/center.h"
#include "model/model.h"

typedef struct IdentityTalks IdentityTalks;

/* inline_only: no threads (the simulator). */
IdentityTalks *identity_talks_new(bool inline_only);
/* No provider is waited for any more, nor asked. */
void identity_talks_stop(IdentityTalks *talks);
void identity_talks_free(IdentityTalks *talks); /* NULL is fine */

OidcSettings identity_settings_of(const WsIdentityProvider *provider); /* caller clears */

/* As ws_co_blocking(): the job is the caller's again, or gone. WS_ERROR_TOO_MANY_REQUESTS where 32 wait for this provider. */
bool identity_ask(IdentityTalks *talks, WsId provider, WsWorkFunc what, void *job, GDestroyNotify destroy, GError **error);
/* Its endpoints, asked for where they are not known. Caller unrefs; NULL with error. */
OidcEndpoints *identity_endpoints(IdentityTalks *talks, const WsIdentityProvider *provider, gint64 now_us, GError **error);
