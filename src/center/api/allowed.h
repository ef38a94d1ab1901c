// SPDX-License-Identifier: Apache-2.0
/* Which verb is allowed in which state: the contract's table (`allowed:`), asked by the API, by tasks and shown to clients.
 *
 * A verb may be bound to the object's power state, its own `state` field and, for VMs, its management state. Any thread. */
#pragma once
#include "model/routes.h"
#include "model/type.h"

/* May the method or verb that task/call `operation` serves be done to the object now? Otherwise WS_ERROR_WRONG_STATE with object,
 * verb and state. An unknown operation is allowed: it has no table row. */
bool allowed_check(const char *operation, const void *object, GError **error);
/* The same for a route at hand. */
bool allowed_check_route(const WsRoute *route, const void *object, GError **error);
