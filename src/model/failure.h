// SPDX-License-Identifier: Apache-2.0
/* Errors as values: a GError of ours as the contract's Failure part and back, for records that keep an error and messages
 * that carry one. Nothing is lost on the way but codes that the reading program does not know: those come out as
 * WS_ERROR_INTERNAL with the code's name in the cause. Any thread. */
#pragma once
#include "base/error.h"
#include "model/model.h"

WsFailure *ws_failure_from_error(const GError *error);       /* any domain; a plain object the caller owns */
GError *ws_failure_to_error(const WsFailure *failure); /* never NULL; NULL reads WS_ERROR_INTERNAL */
