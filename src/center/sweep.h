// SPDX-License-Identifier: Apache-2.0
/* The manager's housekeeping: once a minute what has expired is dropped, and the state of the store becomes an alarm. Core loop. */
#pragma once
#include "center/center.h"

void sweep_start(Center *center);
void sweep_stop(Center *center);
