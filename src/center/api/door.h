// SPDX-License-Identifier: Apache-2.0
/* The manager's HTTPS door: from a request's first byte to a checked ApiCall. I/O thread. */
#pragma once
#include "center/center.h"

/* Starts listening as configured. */
bool door_open(Center *center, GError **error);
void door_close(Center *center);
