// SPDX-License-Identifier: Apache-2.0
/* Idempotency-Key: the same key with the same request is executed once and answered alike for a day.
 *
 * The key is recorded (durable) before the call acts, that it acted in the transaction in which it did, and its answer after. A
 * repeat that finds no answer is either still under way (WS_ERROR_BUSY) or was cut short, by a crash or a full disk: then the task that
 * carries the key, or the object that was changed, is the answer; else the call did not happen and is executed. Core loop, in a coroutine. */
#pragma once
#include "center/api/call-private.h"

/* True: go on (and *replayed: the call already holds its answer). */
bool idempotency_begin(ApiCall *call, bool *replayed, GError **error);
/* Into the transaction by which the call acts on `object` ("role-7"). */
void idempotency_note(ApiCall *call, InvTxn *txn, const char *object);
/* Keeps the answer; a refused call is forgotten, so that it may be tried again after the cause is gone. */
void idempotency_end(ApiCall *call, bool ok);
/* Drops what is older than its day. */
void idempotency_expire(Center *center);
