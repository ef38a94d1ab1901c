// SPDX-License-Identifier: Apache-2.0
/* HTTP/1.1 on a connection: one call at a time, in order. Private to src/http. */
#pragma once
#include "http/connection.h"

/* Gives the connection this role. */
void h1_start(Connection *connection);
