// SPDX-License-Identifier: Apache-2.0
/* What other domains ask of pools: storage/pool_hosts.c. */
#pragma once
#include "center/center.h"

/* Has capacity and files of the pool read anew, and waits for it: what its volumes take is known of their
 * last reading only. In a coroutine. WS_ERROR_NOT_FOUND, errors of the host. */
bool pools_read(Center *center, WsId pool, GError **error);
