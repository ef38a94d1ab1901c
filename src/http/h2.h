// SPDX-License-Identifier: Apache-2.0
/* HTTP/2 on a connection: many calls at a time (nghttp2). Private to src/http. */
#pragma once
#include "http/connection.h"

/* Gives the connection this role. */
void h2_start(Connection *connection);
