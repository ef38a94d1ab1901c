// SPDX-License-Identifier: Apache-2.0
/* How long history is kept: events, ended tasks, migrations. (The audit log is a chain and has its own:
 * auth/expire.c.) See retention.c. */
#pragma once
#include "center/center.h"

/* In a coroutine, now and then: takes away what is older than the configuration says. */
void retention_tick(Center *center);
