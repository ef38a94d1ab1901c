// SPDX-License-Identifier: Apache-2.0
/* Does a machine have what a host needs? Line by line, from what its agent measured: what the product cannot do without fails, what is only slow,
 * small or unsafe warns. Pure. */
#pragma once
#include "model/model.h"

/* `twin`: another host with the same machine id, NULL: none. Lines are in a fixed order; what is not known yet is `unknown`. Advice is left empty: the
 * reader's catalogue has it, under "check_" and the line's name. Caller frees. */
WsHostCheck *plan_host_check(const WsHost *host, const WsHost *twin);
/* "9.0.0" or "6.1.0-18-amd64" at least major.minor; false also for what is no version. */
bool plan_version_is_at_least(const char *version, guint major, guint minor);
