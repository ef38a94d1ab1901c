// SPDX-License-Identifier: Apache-2.0
/* Versions that hosts tell. Core loop, in a coroutine. */
#pragma once
#include "center/center.h"
#include "model/model.h"

/* After a host has told what it is: what has changed becomes an event. `before`: what the inventory had of
 * it; both may be NULL. */
void host_versions_told(Center *center, WsId host, const WsHostVersions *before, const WsHostVersions *now);
/* It has left the inventory. */
void host_versions_forget(Center *center, WsId host);
