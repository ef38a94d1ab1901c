// SPDX-License-Identifier: Apache-2.0
/* By which interface a server is reached. Threads: any; blocks for as long as a name server takes. */
#pragma once
#include <stdbool.h>

/* What the kernel would take for the first address of `server` that it has a way to: the interface's name,
 * and our address on it. Nothing is sent. Caller frees both; false: the name is not known, or there is no
 * way. */
bool route_find(const char *server, const char *port, char **device, char **source);
